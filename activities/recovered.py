"""What became of what was brought in: for everybody, of the district as a whole, and never of a person.

What was brought in is read from the sums of months, as they are told everywhere: those of a few people are withheld. What followed is
read from the hand-overs, which are few.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.orm import aliased
from sqlmodel import col, select

from activities.material_hand_overs import of_sites
from activities.materials import Material, MaterialKind, all_materials
from activities.recycling import Fate, HandOver, HandOverConfirmation, HandOverReversal
from activities.sites import RecoveryLevel, Site, SiteCredits
from activities.stock import month_after, month_before
from tanpuhui.bureau.told import told_sums
from tanpuhui.db import session_on
from tanpuhui.participants import ALL
from tanpuhui.period_figures import PeriodFigure
from tanpuhui.periods import CalendarPeriod

#: So many months, the present one among them.
MONTHS = 12


@dataclass(frozen=True, slots=True)
class Stop:
    """A station or yard, and what it received in grams by its own scale."""

    site: Site
    grams: int


@dataclass
class Story:
    """What became of a material, in grams. `withheld`: of some months it is not told how much was brought in, as too few people did.

    `collected`: what left the points, by the points' scales; `arrived`: what of it stations and yards confirmed; `on_the_way`: what
    nobody has confirmed, on any leg; `ends`: what left the district, by fate and taker.
    """

    material: Material
    brought_in: int = 0
    withheld: bool = False
    collected: int = 0
    arrived: int = 0
    on_the_way: int = 0
    stations: list[Stop] = field(default_factory=list)
    yards: list[Stop] = field(default_factory=list)
    ends: dict[tuple[Fate, str], int] = field(default_factory=dict)

    @property
    def ended(self) -> int:
        """What left the district."""
        return sum(self.ends.values())

    @property
    def at_points(self) -> int | None:
        """What was brought in and is not collected, as far as is known; below zero where more was collected than scanned."""
        return None if self.withheld else self.brought_in - self.collected

    @property
    def not_known(self) -> int:
        """What arrived and of which no end is known yet: it is at a station or a yard, or on the way between."""
        return max(0, self.arrived - self.ended)

    @property
    def told(self) -> bool:
        """Whether there is anything to tell."""
        return self.brought_in > 0 or self.withheld or self.collected > 0 or self.ended > 0


def months_until(today: date, number: int = MONTHS) -> list[date]:
    """The first days of so many months, that of `today` last."""
    found = [today.replace(day=1)]
    while len(found) < number:
        found.append(month_before(found[-1]))
    return found[::-1]


def stories(connection: Connection, district: str, today: date) -> list[Story]:
    """What became of each material in the last twelve months, those that residents ask for first."""
    months = months_until(today)
    brought, withheld = brought_in(connection, district, months)
    with session_on(connection) as session:
        materials = all_materials(session)
        moved = _moved(connection, months[0], months[-1])
        reached = {one.to_site_id for one in moved if one.to_site_id}
        sites = {one.id: one for one in session.exec(select(Site).where(col(Site.id).in_(reached))).all()}
        session.expunge_all()
    told = [
        _story(material, [one for one in moved if one.material == material.code], sites)
        for material in materials
    ]
    for story in told:
        code = story.material.code
        story.brought_in = sum(grams for (_month, of), grams in brought.items() if of == code)
        story.withheld = any(of == code for _month, of in withheld)
    return [story for story in told if story.told]


def _moved(connection: Connection, first: date, last: date) -> Sequence[Any]:
    """What hand-overs of the months from `first` to `last` add up to, in grams, by whence and whither; reversed ones are in none."""
    sender: Any = aliased(Site)
    keys: tuple[Any, ...] = (
        col(HandOver.material),
        sender.level,
        col(HandOver.to_site_id),
        col(HandOver.fate),
        col(HandOver.taker),
        col(HandOverConfirmation.hand_over_id).is_not(None).label("confirmed"),
    )
    query = (
        sa.select(
            *keys,
            sa.func.sum(col(HandOver.grams)).label("grams"),
            sa.func.sum(col(HandOverConfirmation.grams)).label("arrived"),
        )
        .join_from(HandOver, sender, sender.id == col(HandOver.from_site_id))
        .outerjoin(HandOverConfirmation, col(HandOverConfirmation.hand_over_id) == col(HandOver.id))
        .where(col(HandOver.day) >= first, col(HandOver.day) < month_after(last))
        .where(~sa.exists().where(col(HandOverReversal.hand_over_id) == col(HandOver.id)))
        .group_by(*keys)
        .order_by(*keys)
    )
    return connection.execute(query).all()


def _story(material: Material, moved: Iterable[Any], sites: Mapping[UUID, Site]) -> Story:
    story = Story(material)
    stops: dict[UUID, int] = defaultdict(int)
    ends: dict[tuple[Fate, str], int] = defaultdict(int)
    for one in moved:
        grams, arrived = int(one.grams), int(one.arrived or 0)
        from_point = one.level is RecoveryLevel.POINT
        story.collected += grams if from_point else 0
        story.arrived += arrived if from_point else 0
        if one.to_site_id is None:
            ends[one.fate, one.taker] += grams
        elif not one.confirmed:
            story.on_the_way += grams
        else:
            stops[one.to_site_id] += arrived
    largest = sorted((Stop(sites[of], grams) for of, grams in stops.items()), key=lambda stop: -stop.grams)
    story.stations = [stop for stop in largest if stop.site.level is RecoveryLevel.STATION]
    story.yards = [stop for stop in largest if stop.site.level is RecoveryLevel.YARD]
    order = list(Fate)
    story.ends = dict(sorted(ends.items(), key=lambda end: (order.index(end[0][0]), -end[1])))
    return story


def brought_in(
    connection: Connection, district: str, months: Sequence[date]
) -> tuple[dict[tuple[date, str], int], set[tuple[date, str]]]:
    """What residents brought in by month and material, in grams: thousandths of a kilogram of records that stand.

    And of which months and materials it is not told in full, as too few people are behind it: what is withheld of the district's
    numbers (`tanpuhui.bureau.told`) is not in the sums.
    """
    rows = connection.execute(
        sa.select(
            col(PeriodFigure.first),
            col(PeriodFigure.kind),
            col(MaterialKind.material),
            sa.func.sum(col(PeriodFigure.quantity_milli)).label("grams"),
        )
        .join(MaterialKind, col(MaterialKind.kind) == col(PeriodFigure.kind))
        .where(
            col(PeriodFigure.unit) == "month",
            col(PeriodFigure.area) == district,
            col(PeriodFigure.campaign) == ALL,
            col(PeriodFigure.first).in_(list(months)),
        )
        .group_by(col(PeriodFigure.first), col(PeriodFigure.kind), col(MaterialKind.material))
    ).all()
    periods = [CalendarPeriod("month", month) for month in months]
    sums = told_sums(connection, periods, [district], by=("period", "kind"))
    hidden = {(row["period"].first, row["kind"]) for row in sums if row["withheld"]}
    told: dict[tuple[date, str], int] = defaultdict(int)
    withheld = set()
    for row in rows:
        if (row.first, row.kind) in hidden:
            withheld.add((row.first, row.material))
        else:
            told[row.first, row.material] += int(row.grams)
    return told, withheld


# --- low-value materials ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Share:
    """Of a month: the weight of low-value materials and of all that was recovered, in grams. `withheld`: too few people are behind it."""

    month: date
    low_value: int
    every: int
    withheld: bool

    @property
    def permille(self) -> int | None:
        """The share in thousandths, cut; None of nothing, and where it is withheld."""
        return self.low_value * 1000 // self.every if self.every and not self.withheld else None


def low_value_shares(connection: Connection, district: str, today: date) -> list[Share]:
    """The share of low-value materials by weight in what residents brought in, for each of the last twelve months."""
    months = months_until(today)
    brought, withheld = brought_in(connection, district, months)
    with session_on(connection) as session:
        low = {one.code for one in all_materials(session) if one.low_value}
        session.expunge_all()
    return [
        Share(
            month,
            sum(grams for (first, code), grams in brought.items() if first == month and code in low),
            sum(grams for (first, _code), grams in brought.items() if first == month),
            any(first == month for first, _code in withheld),
        )
        for month in months
    ]


# --- of a site ----------------------------------------------------------------------------------------------


def from_site(connection: Connection, site_id: UUID, today: date) -> list[tuple[Material, Stop]]:
    """Where a site handed over to in the last twelve months, by material; as confirmed by who received it."""
    sums: dict[tuple[str, UUID], int] = defaultdict(int)
    names: dict[tuple[str, UUID], tuple[Material, Site]] = {}
    with session_on(connection) as session:
        own = col(HandOver.from_site_id) == site_id, col(HandOver.day) >= months_until(today)[0]
        for one in of_sites(session, None, *own):
            if one.stands and one.receiver and one.confirmation:
                key = one.material.code, one.receiver.id
                sums[key] += one.confirmation.grams
                names[key] = one.material, one.receiver
        session.expunge_all()
    return [
        (names[key][0], Stop(names[key][1], grams))
        for key, grams in sorted(sums.items(), key=lambda one: -one[1])
    ]


def collects(connection: Connection, site_id: UUID) -> bool:
    """Whether a site brings material in, or has handed any over: then one can ask where it went."""
    bringing = sa.select(col(SiteCredits.kind)).where(
        col(SiteCredits.site_id) == site_id, col(SiteCredits.kind) == col(MaterialKind.kind)
    )
    handing = (
        sa.select(col(HandOver.id))
        .where(col(HandOver.from_site_id) == site_id)
        .where(~sa.exists().where(col(HandOverReversal.hand_over_id) == col(HandOver.id)))
    )
    return bool(connection.scalar(sa.select(bringing.exists() | handing.exists())))
