"""What a campaign is to be: when, where, who, what for. Plain data that is checked as it is read; nothing here knows a database.

Rules are kept as JSON with each version of a campaign (`activities.campaigns.CampaignVersion`) and frozen once approved.
"""

import unicodedata
from datetime import date, datetime, time
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

from activities.schedules import DAYS
from tanpuhui.i18n import N_
from tanpuhui.people import AccountKind

#: An anchor lies at most so many days before or after what it is anchored to.
FARTHEST = 60


def _only_text(value: object) -> object:
    """Times are written out: a number is never taken for one."""
    if isinstance(value, str | date | time):
        return value
    raise PydanticCustomError("written", "expected text")


def _this_millennium(value: date) -> date:
    """A calendar far away cannot be counted in every time zone, and is a slip of the finger."""
    if not 2000 <= value.year < 3000:
        raise refuse(N_("年份应在 2000 到 2999 之间。"))
    return value


def refuse(reason: str) -> PydanticCustomError:
    """A refusal in words for people; pages and API show it in the reader's language."""
    return PydanticCustomError("said", reason)


Day = Annotated[date, BeforeValidator(_only_text), AfterValidator(_this_millennium)]
Moment = Annotated[AwareDatetime, BeforeValidator(_only_text), AfterValidator(_this_millennium)]
Whole = Annotated[int, Field(strict=True)]
Offset = Annotated[Whole, Field(ge=-FARTHEST, le=FARTHEST)]
OfDay = Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$|^24:00$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


# --- when ----------------------------------------------------------------------------------------------------


class ByDates(_Part):
    """From a moment (included) to another (not included)."""

    by: Literal["dates"]
    starts_at: Moment
    ends_at: Moment

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.ends_at <= self.starts_at:
            raise refuse(N_("结束时间应晚于开始时间。"))
        return self


class ByObservance(_Part):
    """Whole days around an observance of a year: from `from_offset` days after its first day (negative: before) to
    `until_offset` days after the last day of `until` (the same observance, if none is named).

    The dates of an announced observance may not be known yet.
    """

    by: Literal["observance"]
    key: Annotated[str, StringConstraints(min_length=1, max_length=32)]
    year: Annotated[Whole, Field(ge=2000, le=2999)]
    from_offset: Offset = 0
    until: Annotated[str, StringConstraints(min_length=1, max_length=32)] | None = None
    until_offset: Offset = 0

    @property
    def last_key(self) -> str:
        """The observance whose last day ends it."""
        return self.until or self.key


class Weekly(_Part):
    """On some days of each week (1 is Monday) from `first` to `last`, both included, between two times of the day."""

    by: Literal["weekly"]
    first: Day
    last: Day
    weekdays: Annotated[list[Annotated[Whole, Field(ge=1, le=7)]], Field(min_length=1, max_length=7)]
    from_time: OfDay
    to_time: OfDay

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.last < self.first:
            raise refuse(N_("结束日期不能早于开始日期。"))
        if self.to_time <= self.from_time:
            raise refuse(N_("每天的结束时间应晚于开始时间。"))
        span = (self.last - self.first).days + 1
        if not any((self.first.weekday() + day) % 7 + 1 in self.weekdays for day in range(min(span, 7))):
            raise refuse(N_("这段时间里没有您选的星期几。"))
        return self

    @property
    def schedule(self) -> str:
        """The hours in the notation of `activities.schedules`."""
        days = ",".join(DAYS[day - 1] for day in sorted(set(self.weekdays)))
        return f"{days} {self.from_time}-{self.to_time}"


When = Annotated[ByDates | ByObservance | Weekly, Field(discriminator="by")]


# --- who may take part ---------------------------------------------------------------------------------------

Accounts = Annotated[list[AccountKind], Field(max_length=len(AccountKind))]


# --- what for ------------------------------------------------------------------------------------------------


class Bonus(_Part):
    """Points on top, out of a budget of their own: `amount` percent of an action's points, or `amount` points an action.

    To one resident at most `cap` points in the whole campaign.
    """

    by: Literal["percent", "points"]
    amount: Annotated[Whole, Field(ge=1, le=1000)]
    cap: Annotated[Whole, Field(ge=1, le=100_000)]
    budget: Annotated[Whole, Field(ge=1, le=100_000_000)]


class Goals(_Part):
    """What is hoped for: participants, records, kilograms of CO2e. At least one of them."""

    participants: Annotated[Whole, Field(ge=1, le=10_000_000)] | None = None
    actions: Annotated[Whole, Field(ge=1, le=100_000_000)] | None = None
    kg: Annotated[Whole, Field(ge=1, le=1_000_000_000)] | None = None

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.participants is self.actions is self.kg is None:
            raise refuse(N_("请至少填一个目标，或者不设目标。"))
        return self


def _one_line(name: str) -> str:
    """A name as people read it: one space where there were several, and nothing invisible."""
    name = " ".join(unicodedata.normalize("NFC", name).split())
    if any(unicodedata.category(character) in {"Cc", "Cf", "Co", "Cs", "Cn"} for character in name):
        raise refuse(N_("名称里有看不见的字符，请重新输入。"))
    return name


TeamName = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=30), AfterValidator(_one_line)
]


class Teams(_Part):
    """Teams that residents may join: the communities of those who may take part, or those that are named."""

    kind: Literal["community", "building", "school", "class"]
    names: Annotated[list[TeamName], Field(max_length=200)] = []

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.kind == "community":
            if self.names:
                raise refuse(N_("按居（村）委会分队时，不用写队名。"))
            return self
        if len(self.names) < 2:
            raise refuse(N_("请至少写两个队，一行一个。"))
        if len({name.casefold() for name in self.names}) < len(self.names):
            raise refuse(N_("有两个队同名，请改一改。"))
        return self


class Rules(_Part):
    """All rules of a campaign. `kinds` empty: whatever the sites credit.

    Who may take part: residents of `divisions` with `accounts` of these kinds; empty: of all of them.
    """

    words: Annotated[str, StringConstraints(max_length=1000)] = ""
    when: When
    site_ids: Annotated[list[UUID], Field(min_length=1, max_length=500)]
    kinds: Annotated[list[Annotated[str, StringConstraints(max_length=32)]], Field(max_length=20)] = []
    divisions: Annotated[list[Annotated[str, StringConstraints(max_length=12)]], Field(max_length=300)] = []
    accounts: Accounts = []
    bonus: Bonus | None = None
    goals: Goals | None = None
    teams: Teams | None = None
    announce_days: Annotated[Whole, Field(ge=0, le=60)] = 7

    def stored(self) -> dict[str, Any]:
        """As JSON keeps it: the same rules give the same text."""
        return self.model_dump(mode="json")


def by_dates(starts_at: datetime, ends_at: datetime) -> dict[str, str]:
    """`ByDates` as data."""
    return {"by": "dates", "starts_at": starts_at.isoformat(), "ends_at": ends_at.isoformat()}
