"""What an officer says of an observance, as typed: read as a whole, and refused with a reason beside each field."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from activities.observances import EVERY_YEAR
from activities.quantify.factors import Confidence
from tanpuhui import clock
from tanpuhui.errors import InvalidField
from tanpuhui.i18n import N_

#: An observance is at most so long.
LONGEST = timedelta(days=31)

#: How far ahead dates are announced at most, in years.
_YEARS_AHEAD = 2

_NAME_LENGTH = 64
_SOURCE_LENGTH = (2, 200)
_KEY_LENGTH = 32

#: How sure a date is, in plain words.
CONFIDENCE = {
    Confidence.A: N_("A：读过通知原文"),
    Confidence.B: N_("B：来自新闻报道"),
    Confidence.C: N_("C：来自转述"),
    Confidence.D: N_("D：推算，还没有核对通知"),
}


@dataclass(frozen=True, slots=True)
class Said:
    """What is said of an observance. Days are ``2027-06-17``, or ``06-17`` of every year; no last day: it is one day.

    The names are those of an observance that returns every year.
    """

    starts_on: str
    ends_on: str = ""
    source: str = ""
    confidence: str = ""
    name_zh: str = ""
    name_en: str = ""


def last_year() -> int:
    """The last year whose dates can be entered."""
    return clock.today().year + _YEARS_AHEAD


def read_said(said: Said, year: int, *, named: bool = False) -> dict[str, Any]:
    """The columns that `said` fills. Raises InvalidField with everything that is wrong with it."""
    confidence = said.confidence.strip()
    source = " ".join(said.source.split())
    first, last = (" ".join(text.split()) for text in (said.starts_on, said.ends_on or said.starts_on))
    errors = [
        *_wrong_days(first, last, year),
        *_wrong_source(source),
        *([] if confidence in set(Confidence) else [("confidence", N_("请选择可信度。"))]),
    ]
    values = {"starts_on": first, "ends_on": last, "source": source}
    if named:
        names = {name: " ".join(getattr(said, name).split()) for name in ("name_zh", "name_en")}
        errors += [wrong for name, text in names.items() for wrong in _wrong_name(name, text)]
        values |= names
    if errors:
        raise InvalidField(errors=[{"field": field, "reason": reason} for field, reason in errors])
    return {**values, "confidence": Confidence(confidence)}


def read_source(text: str) -> str:
    """A source in words. Raises InvalidField."""
    source = " ".join(text.split())
    for field, reason in _wrong_source(source):
        raise InvalidField(errors=[{"field": field, "reason": reason}])
    return source


def read_key(name_en: str) -> str:
    """The key of an observance: its English name in lower case, with underscores. Raises InvalidField."""
    key = re.sub(r"[^a-z0-9]+", "_", name_en.lower()).strip("_")[:_KEY_LENGTH].rstrip("_")
    if not re.match(r"[a-z]", key):
        reason = N_("请写英文名称，以字母开头。")
        raise InvalidField(errors=[{"field": "name_en", "reason": reason}])
    return key


Wrong = Iterator[tuple[str, str]]


def _wrong_days(first: str, last: str, year: int) -> Wrong:
    days = {"starts_on": _day(first, year), "ends_on": _day(last, year)}
    for name, day in days.items():
        if day is None and (name == "starts_on" or last != first):
            yield (
                name,
                N_("请填写日期，例如 2026-06-05。") if year else N_("请填写每年都有的一天，例如 06-05。"),
            )
        elif day is not None and year and day.year != year:
            yield name, N_("这一天不在这一年。")
    begin, end = days.values()
    if begin and end and end < begin:
        yield "ends_on", N_("结束日期应不早于开始日期。")
    elif begin and end and end - begin >= LONGEST:
        yield "ends_on", N_("最长一个月。")


def _day(text: str, year: int) -> date | None:
    """The day that is written, if it is one; of a fixed one in a year that is no leap year."""
    shape = r"[0-9]{2}-[0-9]{2}" if year == EVERY_YEAR else r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    if not re.fullmatch(shape, text):
        return None
    try:
        return date.fromisoformat(text if year else f"2001-{text}")
    except ValueError:
        return None


def _wrong_source(source: str) -> Wrong:
    shortest, longest = _SOURCE_LENGTH
    if not shortest <= len(source) <= longest:
        yield "source", N_("请写明依据，例如通知的文号（2 到 200 字）。")


def _wrong_name(field: str, text: str) -> Wrong:
    if not 2 <= len(text) <= _NAME_LENGTH:
        yield field, N_("请填写名称（2 到 64 字）。")
