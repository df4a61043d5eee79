"""Whom the scheme reaches: communities in which something was recorded, holders of cards, accounts with the elder
view, campaigns side by side.

Outcomes only: nothing here counts log-ins, views or time, and nothing is ranked.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import SQLModel

from tanpuhui import clock
from tanpuhui.bureau.suppression import told
from tanpuhui.bureau.told import FEW
from tanpuhui.bureau.view import View
from tanpuhui.displays import DisplayChoice
from tanpuhui.divisions import DivisionLevel, street_of
from tanpuhui.participants import ALL
from tanpuhui.periods import CalendarPeriod

#: As many campaigns stand side by side.
MOST_CAMPAIGNS = 40


@dataclass(frozen=True)
class Reach:
    """By 街镇 of the area: how many communities there are, and in how many something was recorded."""

    communities: Counter[str]
    active: Counter[str]


def reach(connection: Connection, view: View) -> Reach:
    """The communities of the area in which something was recorded in the period, within what else the view leaves out."""
    divisions = SQLModel.metadata.tables["division"].c
    counts = SQLModel.metadata.tables["participant_count"]
    here = sa.and_(
        counts.c.area == divisions.code,
        counts.c.unit == view.period.unit,
        counts.c.first == view.period.first,
        counts.c.kind == (view.kind or ALL),
        counts.c.campaign == (view.campaign or ALL),
    )
    query = (
        sa.select(divisions.code, sa.func.coalesce(counts.c.participants, 0))
        .select_from(divisions.code.table.outerjoin(counts, here))
        .where(divisions.level == DivisionLevel.COMMUNITY, divisions.code.startswith(view.area))
    )
    found = connection.execute(query).all()
    return Reach(_by_street(code for code, _ in found), _by_street(code for code, people in found if people))


def _by_street(codes: Iterable[str]) -> Counter[str]:
    return Counter(map(street_of, codes))


# --- cards, the elder view -------------------------------------------------------------------------------------------------


def card_holders(connection: Connection, *, see_all: bool = False) -> int | None:
    """How many people take part by a printed card, now, in the whole district; None if they are fewer than five."""
    cards = SQLModel.metadata.tables["member_card"].c
    query = sa.select(sa.func.count()).where(
        cards.issued_by.is_not(None), cards.resident_id.is_not(None), cards.revoked_at.is_(None)
    )
    holders = connection.scalar(query) or 0
    return holders if see_all or told(holders) else None


def elder_accounts(connection: Connection, *, see_all: bool = False) -> int | None:
    """How many accounts have the elder view now, in the whole district; None if they are fewer than five."""
    found = connection.scalar(sa.select(sa.func.count()).select_from(DisplayChoice)) or 0
    return found if see_all or told(found) else None


# --- campaigns ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CampaignLine:
    """A campaign from its beginning until now; numbers are None where they are not told. CO2e in milligrams."""

    withheld: ClassVar[str] = FEW  # why, where they are not

    id: str
    title: str
    starts_at: datetime
    until: datetime
    participants: int | None = None
    actions: int | None = None
    co2e_mg: int | None = None
    city_co2e_mg: int | None = None

    @property
    def year(self) -> CalendarPeriod | None:
        """The calendar year in which all of it lies, by which its numbers are traced; None if it lies in two."""
        year = CalendarPeriod.containing("year", clock.day_of(self.starts_at))
        return year if self.until <= clock.day_bounds(year.last)[1] else None


def campaign_lines(connection: Connection, view: View, *, see_all: bool = False) -> list[CampaignLine]:
    """The campaigns that ran in the period, by their beginning; their numbers are of the whole campaign."""
    table = SQLModel.metadata.tables["campaign"].c
    begins, _ = clock.day_bounds(view.period.first)
    _, ends = clock.day_bounds(view.period.last)
    until = sa.case((table.cancelled_at < table.ends_at, table.cancelled_at), else_=table.ends_at)
    query = sa.select(table.id, table.title, table.starts_at, until.label("until"))
    query = query.where(table.starts_at < ends, until > begins, until > table.starts_at)
    found = connection.execute(query.order_by(table.starts_at, table.id).limit(MOST_CAMPAIGNS)).all()
    totals = SQLModel.metadata.tables["campaign_total"]
    wanted = sa.select(totals).where(totals.c.campaign.in_([str(row.id) for row in found]))
    numbers = {row["campaign"]: dict(row) for row in connection.execute(wanted).mappings()}
    return [_line(row, numbers.get(str(row.id)) or _NOTHING, see_all=see_all) for row in found]


_NOTHING = {"participants": 0, "actions": 0, "co2e_mg": 0, "city_actions": 0, "city_co2e_mg": 0}


def _line(row: Any, sums_: Mapping[str, int], *, see_all: bool) -> CampaignLine:
    line = CampaignLine(str(row.id), row.title, row.starts_at, row.until)
    if not (see_all or told(sums_["participants"])):
        return line
    return replace(
        line,
        participants=sums_["participants"],
        actions=sums_["actions"] + sums_["city_actions"],
        co2e_mg=sums_["co2e_mg"],
        city_co2e_mg=sums_["city_co2e_mg"],
    )
