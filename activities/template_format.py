"""The file format of campaign templates: one JSON document, read strictly, written the same byte for byte.

`docs/campaign-templates.md` describes it. Nothing here knows a database: whether its kinds and observances exist is asked by
`activities.campaign_templates`.
"""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from activities.campaign_rules import (
    Accounts,
    Bonus,
    ByDates,
    ByObservance,
    Goals,
    OfDay,
    Offset,
    Rules,
    Weekly,
    Whole,
    refuse,
)
from activities.sites import SiteKind
from tanpuhui.errors import InvalidField
from tanpuhui.i18n import N_
from tanpuhui.reasons import findings

#: The format that is written, and the newest that is read.
FORMAT = 1

#: A file has at most so many bytes.
LARGEST = 32 * 1024

Code = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", min_length=3, max_length=64)
]
Key = Annotated[str, StringConstraints(min_length=1, max_length=32)]
#: An SPDX licence expression of one identifier, such as CC-BY-4.0.
Licence = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+-]*$", max_length=64)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class Title(_Part):
    """In Chinese, and if somebody has written it, in English."""

    zh: Annotated[str, StringConstraints(min_length=2, max_length=60)]
    en: Annotated[str, StringConstraints(max_length=60)] = ""


class Words(_Part):
    """What residents read, in Chinese, and if somebody has written it, in English."""

    zh: Annotated[str, StringConstraints(max_length=1000)]
    en: Annotated[str, StringConstraints(max_length=1000)] = ""


class AroundObservance(_Part):
    """Around an observance of whatever year: offsets in days as in `ByObservance`."""

    by: Literal["observance"]
    key: Key
    from_offset: Offset = 0
    until: Key | None = None
    until_offset: Offset = 0


class ForDays(_Part):
    """So many days in a row, from whatever day."""

    by: Literal["days"]
    days: Annotated[Whole, Field(ge=1, le=366)]


class EveryWeek(_Part):
    """On some days of the week (1 is Monday) for so many weeks, between two times of the day."""

    by: Literal["weekly"]
    weekdays: Annotated[list[Annotated[Whole, Field(ge=1, le=7)]], Field(min_length=1, max_length=7)]
    from_time: OfDay
    to_time: OfDay
    weeks: Annotated[Whole, Field(ge=1, le=53)]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.to_time <= self.from_time:
            raise refuse(N_("每天的结束时间应晚于开始时间。"))
        return self


class Template(_Part):
    """A template as its file says it. No goals: the organiser sets them. `kinds` empty: whatever the sites credit.

    `accounts` stands in the file only where not every kind of account may take part: a file of before says the same as ever.
    """

    format: Literal[1]
    code: Code
    title: Title
    words: Words
    author: Annotated[str, StringConstraints(min_length=2, max_length=60)]
    licence: Licence
    kinds: Annotated[list[Key], Field(max_length=20)] = []
    site_kinds: Annotated[list[SiteKind], Field(max_length=8)] = []
    accounts: Accounts = []
    when: Annotated[AroundObservance | ForDays | EveryWeek, Field(discriminator="by")]
    goals: Goals | None = None
    bonus: Bonus | None = None
    announce_days: Annotated[Whole, Field(ge=0, le=60)] = 7

    def text(self) -> str:
        """The file: the same template gives the same bytes."""
        unsaid = set() if self.accounts else {"accounts"}
        return json.dumps(self.model_dump(mode="json", exclude=unsaid), ensure_ascii=False, indent=2) + "\n"


# --- reading -------------------------------------------------------------------------------------------------


def read(content: bytes) -> Template:
    """The template that a file holds. Raises InvalidField: each error with its JSON path as the field, and the reason."""
    if len(content) > LARGEST:
        raise _bad("$", N_("文件太大：模板最多 32 KB。"))
    try:
        document = json.loads(
            content.decode("utf-8-sig"), object_pairs_hook=_no_doubles, parse_constant=_no_constant
        )
    except (ValueError, RecursionError):
        raise _bad("$", N_("这不是模板文件：内容读不出来。")) from None
    if not isinstance(document, dict):
        raise _bad("$", N_("这不是模板文件：最外层应是一组带名称的内容。"))
    _check_format(document.get("format"))
    try:
        return Template.model_validate(document)
    except ValidationError as error:
        raise InvalidField(
            errors=[{"field": json_path(document, where), **why} for where, why in findings(error)]
        ) from None


def _check_format(found: Any) -> None:
    if isinstance(found, bool) or not isinstance(found, int):
        raise _bad("$.format", N_("请写明文件格式的版本，例如 1。"))
    if found > FORMAT:
        raise _bad(
            "$.format",
            N_("这个模板用的是更新的文件格式，这里还读不了。请先升级平台，或换一个格式 1 的文件。"),
        )


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _no_constant(text: str) -> Any:
    raise ValueError(text)


def _bad(path: str, reason: str) -> InvalidField:
    return InvalidField(errors=[{"field": path, "reason": reason}])


def json_path(document: Any, where: Sequence[int | str]) -> str:
    """Where in the document something is wrong: ``$.when.from_offset``, ``$.kinds[2]``.

    Pydantic also names which of several shapes it read (`by`); that is no place in the document.
    """
    path, at, shape = "$", document, None
    for part in where:
        if isinstance(at, dict) and shape is None and part == at.get("by"):
            shape = part
            continue
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
        try:
            at, shape = at[part], None
        except (LookupError, TypeError):  # it is missing
            at = None
    return path


# --- templates and rules -------------------------------------------------------------------------------------


def keeps_to(template: Template, rules: Rules) -> bool:
    """Whether rules stay within a template: its kinds or fewer, no bonus beyond its own, no longer than it is.

    Words, sites, goals, teams and who may take part are the organiser's own.
    """
    kinds = not template.kinds or (bool(rules.kinds) and set(rules.kinds) <= set(template.kinds))
    return kinds and _bonus_within(template.bonus, rules.bonus) and _within(template, rules)


def _bonus_within(most: Bonus | None, bonus: Bonus | None) -> bool:
    if bonus is None:
        return True
    return (
        most is not None
        and bonus.by == most.by
        and bonus.amount <= most.amount
        and bonus.cap <= most.cap
        and bonus.budget <= most.budget
    )


def _within(template: Template, rules: Rules) -> bool:
    match template.when, rules.when:
        case AroundObservance() as most, ByObservance() as when:
            return (
                when.key == most.key
                and when.last_key == (most.until or most.key)
                and when.from_offset >= most.from_offset
                and when.until_offset <= most.until_offset
            )
        case ForDays() as most, ByDates() as when:
            return when.ends_at - when.starts_at <= timedelta(days=most.days)
        case EveryWeek() as most, Weekly() as when:
            return (
                set(when.weekdays) <= set(most.weekdays)
                and most.from_time <= when.from_time
                and when.to_time <= most.to_time
                and (when.last - when.first).days < 7 * most.weeks
            )
    return False


def template_of(
    rules: Rules, *, code: str, title: dict[str, str], words: dict[str, str], author: str, licence: str
) -> Template:
    """What others can do with the rules of a campaign: without its sites, its year, its teams and its divisions.

    Raises InvalidField, as of a form: ``title_en``, ``author``.
    """
    try:
        return Template.model_validate(
            {
                "format": FORMAT,
                "code": code,
                "title": title,
                "words": words,
                "author": author,
                "licence": licence,
                "kinds": rules.kinds,
                "accounts": rules.accounts,
                "when": _relative(rules),
                "goals": rules.goals and rules.goals.model_dump(),
                "bonus": rules.bonus and rules.bonus.model_dump(),
                "announce_days": rules.announce_days,
            }
        )
    except ValidationError as error:
        raise InvalidField(
            errors=[{"field": "_".join(map(str, where)), **why} for where, why in findings(error)]
        ) from None


def _relative(rules: Rules) -> dict[str, Any]:
    match rules.when:
        case ByObservance() as when:
            return when.model_dump(exclude={"year"})
        case ByDates() as when:
            return {"by": "days", "days": -((when.starts_at - when.ends_at) // timedelta(days=1))}
        case Weekly() as when:
            weeks = -(-((when.last - when.first).days + 1) // 7)
            return {**when.model_dump(exclude={"first", "last"}), "weeks": weeks}
