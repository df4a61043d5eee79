"""What an officer looks at: a calendar period, an area, and perhaps a kind of action or a campaign, as its address says it.

An address that makes no sense is answered by the nearest view that does, and by words at the field that was wrong.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import SQLModel, col, select

from tanpuhui import clock
from tanpuhui.bureau.participation import read_day
from tanpuhui.db import session_on
from tanpuhui.divisions import Division, DivisionLevel, district_of, street_of
from tanpuhui.errors import InvalidField
from tanpuhui.i18n import N_
from tanpuhui.periods import UNITS, CalendarPeriod

#: Into what a period is divided in a trend. A day is not divided.
PARTS = {"week": "day", "month": "day", "quarter": "month", "year": "month"}

DEFAULT_UNIT = "month"

#: As many campaigns can be chosen from, the latest first; any other by its address.
MOST_CAMPAIGNS = 60


class CampaignHere(NamedTuple):
    """A campaign to choose."""

    id: str
    title: str


@dataclass(frozen=True)
class Choices:
    """What can be looked at: the district and what lies in it, as far as it is offered; kinds of action; campaigns."""

    district: Division
    streets: Sequence[Division]
    communities: Sequence[Division]
    kinds: Sequence[str]
    campaigns: Sequence[CampaignHere]

    def division(self, code: str) -> Division | None:
        """The division of that code, if it is among them."""
        known = (self.district, *self.streets, *self.communities)
        return next((one for one in known if one.code == code), None)

    def title(self, campaign: str) -> str:
        """The title of a campaign that is offered."""
        return next(one.title for one in self.campaigns if one.id == campaign)


@dataclass(frozen=True)
class View:
    """A period, an area (the code of a division), and what is left out besides: all but one kind, or all but one campaign."""

    period: CalendarPeriod
    area: str
    kind: str | None = None
    campaign: str | None = None

    @property
    def parts(self) -> tuple[CalendarPeriod, ...]:
        """What the period is divided into in a trend."""
        unit = PARTS.get(self.period.unit)
        return self.period.parts(unit) if unit else ()

    def address(self, **changes: Any) -> dict[str, str]:
        """The view with `changes` as a query that brings it back; what is the district's own default is left out."""
        other = replace(self, **changes)
        query = {"period": other.period.name, "kind": other.kind or "", "campaign": other.campaign or ""}
        if len(other.area) > len(district_of(other.area)):
            query["area"] = other.area
        return {name: text for name, text in query.items() if text}


def choices(connection: Connection, district: str, area: str) -> Choices:
    """What can be chosen beside `area`: its 街镇 and all others, and of communities those of that 街镇."""
    parents = {district, street_of(area)}
    query = select(Division).where(
        sa.or_(col(Division.code) == district, col(Division.parent_code).in_(parents))
    )
    with session_on(connection) as session:
        found = session.exec(query.order_by(Division.code)).all()
    of_level = {level: [one for one in found if one.level is level] for level in DivisionLevel}
    kinds = SQLModel.metadata.tables["action_kind"].c
    return Choices(
        of_level[DivisionLevel.DISTRICT][0],
        of_level[DivisionLevel.STREET],
        of_level[DivisionLevel.COMMUNITY],
        connection.scalars(sa.select(kinds.code).order_by(kinds.code)).all(),
        _campaigns(connection),
    )


def _campaigns(connection: Connection) -> list[CampaignHere]:
    table = SQLModel.metadata.tables["campaign"].c
    query = sa.select(table.id, table.title).where(table.starts_at.is_not(None))
    rows = connection.execute(query.order_by(table.starts_at.desc(), table.id).limit(MOST_CAMPAIGNS))
    return [CampaignHere(str(row.id), row.title) for row in rows]


def read_view(
    connection: Connection, asked: Mapping[str, str], district: str
) -> tuple[View, Choices, dict[str, str]]:
    """The view that an address asks for, what else there is, and what was wrong, by field; then the default stands there.

    A period is said by its name (`period`), or by its `unit` and a day in it (`on`), as a form does.
    """
    given = {
        name: asked.get(name, "").strip() for name in ("period", "unit", "on", "area", "kind", "campaign")
    }
    wrong: dict[str, str] = {}
    period = _period(given, wrong)
    offered = choices(connection, district, given["area"])
    area, kind, campaign = given["area"] or district, given["kind"] or None, given["campaign"] or None
    if offered.division(area) is None:
        wrong["area"] = N_("没有这个街镇或居（村）委会。")
        area = district
    if kind is not None and kind not in offered.kinds:
        wrong["kind"] = N_("没有这种绿色行为。")
        kind = None
    if campaign is not None and (named := _known_campaign(connection, offered, campaign)) is None:
        wrong["campaign"] = N_("没有这个活动。")
        campaign = None
    elif campaign is not None and named is not None:
        offered = replace(offered, campaigns=[*dict.fromkeys((*offered.campaigns, named))])
    if kind and campaign:
        wrong["campaign"] = N_("行为和活动一次只选一个：两者一起时分不出有多少人。")
        campaign = None
    return View(period, area, kind, campaign), offered, wrong


def _period(given: Mapping[str, str], wrong: dict[str, str]) -> CalendarPeriod:
    """The period asked for, or this month with what is wrong with it."""
    unit = given["unit"] or DEFAULT_UNIT
    if unit not in UNITS:
        wrong["unit"] = N_("请选择日、周、月、季或年。")
        unit = DEFAULT_UNIT
    try:
        if given["period"] and not given["on"]:
            return CalendarPeriod.parse(given["period"], "on")
        day = read_day(given["on"], "on") if given["on"] else clock.today()
        return CalendarPeriod.containing(unit, day)
    except InvalidField as error:
        wrong |= {entry["field"]: entry["reason"] for entry in error.params["errors"]}
        return CalendarPeriod.containing(unit, clock.today())


def _known_campaign(connection: Connection, offered: Choices, text: str) -> CampaignHere | None:
    """The campaign of that id, also an old one that is not offered."""
    if (here := next((one for one in offered.campaigns if one.id == text), None)) is not None:
        return here
    table = SQLModel.metadata.tables["campaign"].c
    try:
        title = connection.scalar(sa.select(table.title).where(table.id == UUID(text)))
    except ValueError:
        return None
    return CampaignHere(str(UUID(text)), title) if title is not None else None
