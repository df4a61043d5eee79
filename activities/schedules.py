"""Opening hours that can be checked: ``Mo-Fr 07:00-09:00,11:00-13:00; Sa 08:00-12:00``.

A small part of the notation of OpenStreetMap's `opening_hours`. Empty means that nothing is said: always open. Times
are those of the district; ``24:00`` ends a day, and nothing runs past midnight.
"""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tanpuhui import clock
from tanpuhui.errors import InvalidField
from tanpuhui.i18n import N_

DAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
LONGEST = 120

_DAY = "|".join(DAYS)
_RULE = re.compile(rf"((?:{_DAY})(?:-(?:{_DAY}))?(?:,(?:{_DAY})(?:-(?:{_DAY}))?)*) (.+)")
_SPAN = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-(?:([01]\d|2[0-3]):([0-5]\d)|(24):(00))")

#: Minutes from midnight: begin (included) and end (not included).
Span = tuple[int, int]


@dataclass(frozen=True)
class Schedule:
    """The spans of each day of the week, Monday first."""

    days: tuple[tuple[Span, ...], ...]

    def open_at(self, moment: datetime) -> bool:
        """Whether `moment` lies within the hours."""
        local = clock.local(moment)
        minute = local.hour * 60 + local.minute
        return any(begin <= minute < end for begin, end in self.days[local.weekday()])


def read_schedule(text: str) -> Schedule | None:
    """The hours that `text` says; None for none. Raises InvalidField (field ``schedule``)."""
    if not text:
        return None
    days: list[tuple[Span, ...]] = [()] * 7
    for rule in text.split(";"):
        found = _RULE.fullmatch(rule.strip())
        if found is None or len(text) > LONGEST:
            raise _invalid()
        spans = tuple(_span(part.strip()) for part in found[2].split(","))
        for day in _days(found[1]):
            if days[day]:
                raise _invalid()
            days[day] = _in_order(spans)
    return Schedule(tuple(days))


def _days(text: str) -> Sequence[int]:
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        begin, end = DAYS.index(first), DAYS.index(last or first)
        if end < begin:
            raise _invalid()
        found += range(begin, end + 1)
    return found


def _span(text: str) -> Span:
    found = _SPAN.fullmatch(text)
    if found is None:
        raise _invalid()
    begin = int(found[1]) * 60 + int(found[2])
    end = 24 * 60 if found[5] else int(found[3]) * 60 + int(found[4])
    if end <= begin:
        raise _invalid()
    return begin, end


def _in_order(spans: tuple[Span, ...]) -> tuple[Span, ...]:
    if any(later[0] < earlier[1] for earlier, later in itertools.pairwise(spans)):
        raise _invalid()
    return spans


def _invalid() -> InvalidField:
    reason = N_("开放时间请按这样写：Mo-Fr 07:00-19:00; Sa 08:00-12:00。")
    return InvalidField(errors=[{"field": "schedule", "reason": reason}])
