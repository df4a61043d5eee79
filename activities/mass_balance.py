"""The mass balance of the recovery chain: for each site, material and month what came in, what went on, what should lie there.

    opening + brought in + received - handed on = book stock

in whole grams. Opening is the closing stock of the month before, at first 0; closing is what was counted at the end of the month, or
else the book stock. What was brought in is the weight of the records that stand (neither voided nor waiting for review nor rejected), as the
figures by site have it, which the relay moves a moment after the record; received is what the receiver weighed, handed on what the sender did, of hand-overs that were not reversed. A month's sums are plain
sums: in whatever order they were entered and corrected, the same comes out.

Where weights differ by more than the material's tolerance there is an alarm: between the stock that was counted and that of the book,
where more went on than was there, and between the two scales of a hand-over. An alarm is open until its difference is answered
with a reason, or gone because of a correction. Nothing of this is stored but the answers.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import col, select

from activities.actions import Action, ActionVoid
from activities.material_hand_overs import Handed, of_sites
from activities.materials import Material, MaterialKind
from activities.recycling import (
    AlarmAnswer,
    HandOver,
    HandOverConfirmation,
    HandOverReversal,
    StockTake,
)
from activities.reviews import ActionReview, ReviewState
from activities.sites import Site
from activities.stock import month_after
from tanpuhui import clock
from tanpuhui.db import session_on
from tanpuhui.i18n import N_
from tanpuhui.site_figures import SiteFigure

#: A site, a material, and the first day of a month.
Key = tuple[UUID, str, date]

#: A query of what came in by (site, material, month, grams) at some sites (None: at all).
Sums = Callable[[list[UUID] | None], Any]


@dataclass(slots=True)
class Flows:
    """What moved at a site in a month, in grams."""

    brought_in: int = 0
    received: int = 0
    handed_on: int = 0


class Line(NamedTuple):
    """The balance of a site, material and month, in grams. `counted`: the stock as it was counted, if it was."""

    site_id: UUID
    material: str
    month: date
    opening: int
    brought_in: int
    received: int
    handed_on: int
    counted: int | None
    tolerance: int

    @property
    def book(self) -> int:
        """The stock that should be there."""
        return self.opening + self.brought_in + self.received - self.handed_on

    @property
    def closing(self) -> int:
        """The stock with which the next month opens."""
        return self.book if self.counted is None else self.counted

    @property
    def difference(self) -> int:
        """Counted less book where it was counted; else how much more went on in this month than was there, below zero."""
        if self.counted is not None:
            return self.counted - self.book
        return min(0, min(0, self.book) - min(0, self.opening))

    @property
    def beyond(self) -> bool:
        """Whether it is more than scales and moisture can explain: small lacks of many months are added up."""
        if self.counted is not None:
            return abs(self.difference) > self.tolerance
        return self.book < -self.tolerance and self.difference < 0


def lines(
    flows: Mapping[Key, Flows], counts: Mapping[Key, int], materials: Mapping[str, Material], last: date
) -> list[Line]:
    """The balances of every site and material, month by month without a gap, from the first that anything moved in to `last`."""
    moved: dict[tuple[UUID, str], dict[date, Flows]] = {}
    for (site_id, material, month), flow in flows.items():
        moved.setdefault((site_id, material), {})[month] = flow
    counted: dict[tuple[UUID, str], dict[date, int]] = {}
    for (site_id, material, month), grams in counts.items():
        counted.setdefault((site_id, material), {})[month] = grams
    return [
        line
        for of in sorted(moved.keys() | counted.keys(), key=str)
        for line in _months(*of, materials[of[1]], moved.get(of, {}), counted.get(of, {}), last)
    ]


_NOTHING = Flows()


def _months(
    site_id: UUID,
    code: str,
    material: Material,
    moved: Mapping[date, Flows],
    counted: Mapping[date, int],
    last: date,
) -> Iterator[Line]:
    opening = 0
    for month in _without_gap(min((*moved, *counted)), last):
        flow = moved.get(month, _NOTHING)
        through = max(0, opening) + flow.brought_in + flow.received
        line = Line(
            site_id,
            code,
            month,
            opening,
            flow.brought_in,
            flow.received,
            flow.handed_on,
            counted.get(month),
            material.tolerance(through),
        )
        yield line
        opening = line.closing


@lru_cache(64)
def _without_gap(first: date, last: date) -> tuple[date, ...]:
    """The months from `first` to `last`, both included."""
    found = []
    while first <= last:
        found.append(first)
        first = month_after(first)
    return tuple(found)


# --- alarms -------------------------------------------------------------------------------------------------


class AlarmKind(StrEnum):
    """What does not add up."""

    COUNTED = "counted"
    NEGATIVE = "negative"
    TRANSIT = "transit"


ALARM_NAMES = {
    AlarmKind.COUNTED: N_("盘点与账面不符"),
    AlarmKind.NEGATIVE: N_("交出的比收到的多"),
    AlarmKind.TRANSIT: N_("交接两头重量不符"),
}


@dataclass(frozen=True, slots=True)
class Alarm:
    """Weights that differ by more than `tolerance`, in grams. `of`: the sum or the hand-over. `key` names it for good."""

    key: str
    kind: AlarmKind
    site_id: UUID
    material: str
    month: date
    difference: int
    tolerance: int
    of: Line | Handed
    answer: AlarmAnswer | None = None


def alarms(
    balances: Iterable[Line],
    handed: Iterable[Handed],
    answers: Mapping[tuple[str, int], AlarmAnswer] | None = None,
) -> list[Alarm]:
    """Everything beyond its tolerance, the latest month first; with the answer to that very difference, if there is one."""
    found = [
        *(_of_line(line) for line in balances if line.beyond),
        *(_of_hand_over(one, one.receiver) for one in handed if one.receiver and one.beyond),
    ]
    told = [replace(one, answer=(answers or {}).get((one.key, one.difference))) for one in found]
    return sorted(told, key=lambda alarm: (-alarm.month.toordinal(), alarm.key))


def _of_line(line: Line) -> Alarm:
    kind = AlarmKind.NEGATIVE if line.counted is None else AlarmKind.COUNTED
    key = f"{kind}:{line.site_id}:{line.material}:{line.month:%Y-%m}"
    return Alarm(key, kind, line.site_id, line.material, line.month, line.difference, line.tolerance, line)


def _of_hand_over(one: Handed, receiver: Site) -> Alarm:
    row = one.hand_over
    return Alarm(
        f"{AlarmKind.TRANSIT}:{row.id}",
        AlarmKind.TRANSIT,
        receiver.id,
        row.material,
        row.day.replace(day=1),
        one.difference,
        one.material.tolerance(row.grams),
        one,
    )


# --- reading ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Balance:
    """The balances of some sites until a month, what does not add up, and the sites by id and materials by code."""

    lines: list[Line]
    alarms: list[Alarm]
    sites: dict[UUID, Site]
    materials: dict[str, Material]

    @property
    def open(self) -> list[Alarm]:
        """The alarms that nobody has answered."""
        return [alarm for alarm in self.alarms if alarm.answer is None]


def balance(
    connection: Connection,
    last: date,
    site_ids: Collection[UUID] | None = None,
    brought_in: Sums | None = None,
) -> Balance:
    """The balance of `site_ids` (None: of the district) from the beginning to the month that begins on `last`.

    What was brought in is that of the figures: of whatever the relay has delivered, a moment ago. `brought_in`: of something else.
    """
    within = None if site_ids is None else list(site_ids)
    with session_on(connection) as session:
        materials = {one.code: one for one in session.exec(select(Material)).all()}
        made = lines(flows(connection, within, brought_in), counts(connection, within), materials, last)
        handed = of_sites(session, within, *_DIFFERS, col(HandOver.day) < month_after(last))
        wanted = {line.site_id for line in made} | {one.receiver.id for one in handed if one.receiver}
        answered = session.exec(select(AlarmAnswer)).all()
        answers = {(one.alarm, one.difference_g): one for one in answered}
        sites = {one.id: one for one in session.exec(select(Site).where(col(Site.id).in_(wanted))).all()}
        session.expunge_all()
    return Balance(made, alarms(made, handed, answers), sites, materials)


def flows(
    connection: Connection, site_ids: list[UUID] | None, brought_in: Sums | None = None
) -> dict[Key, Flows]:
    """What moved by site, material and month; what was `brought_in` as the figures have it, unless told otherwise."""
    found: dict[Key, Flows] = {}
    for name, query in (
        ("brought_in", (brought_in or _brought_in)(site_ids)),
        ("received", _received(site_ids)),
        ("handed_on", _handed_on(site_ids)),
    ):
        for site, material, month, grams in connection.execute(query):
            key = _site(site), material, _month(month)
            flow = found.get(key)
            if flow is None:
                flow = found[key] = Flows()
            setattr(flow, name, int(grams))
    return found


# The same sites and months come again and again: each is read once.


@lru_cache(4096)
def _site(value: Any) -> UUID:
    return value if isinstance(value, UUID) else UUID(value)


@lru_cache(1024)
def _month(value: Any) -> date:
    return value if isinstance(value, date) else date.fromisoformat(f"{value[:7]}-01")


def _plain(column: Any) -> Any:
    """A column as the driver gives it."""
    return sa.type_coerce(column, sa.types.NULLTYPE)


_APART = sa.func.abs(col(HandOverConfirmation.grams) - col(HandOver.grams))

#: Hand-overs that differ by more than the tolerance of their material (`Material.tolerance`): no others are read.
_DIFFERS = (
    col(Material.tolerance_floor_g) < _APART,
    col(HandOver.grams) * col(Material.tolerance_permille) // 1000 < _APART,
)


def counts(connection: Connection, site_ids: list[UUID] | None) -> dict[Key, int]:
    """The stock as it was counted last, by site, material and month."""
    query = sa.select(
        col(StockTake.site_id), col(StockTake.material), col(StockTake.month), col(StockTake.grams)
    ).order_by(col(StockTake.revision))
    rows = connection.execute(_of(query, col(StockTake.site_id), site_ids))
    return {(site_id, material, month): grams for site_id, material, month, grams in rows}


def standing() -> sa.ColumnElement[bool]:
    """The condition that a record counts: neither voided, nor waiting for review, nor rejected."""
    voided = sa.exists().where(col(ActionVoid.action_id) == col(Action.id))
    unconfirmed = sa.exists().where(
        col(ActionReview.action_id) == col(Action.id), col(ActionReview.state) != ReviewState.CONFIRMED
    )
    return ~voided & ~unconfirmed


def _of(query: Any, site: Any, site_ids: list[UUID] | None) -> Any:
    return query if site_ids is None else query.where(site.in_(site_ids))


def _brought_in(site_ids: list[UUID] | None) -> Any:
    """Thousandths of a kilogram are grams. Of the figures: as few rows of ten million records as of some."""
    query = (
        sa.select(
            _plain(col(SiteFigure.site_id)),
            col(MaterialKind.material),
            _plain(col(SiteFigure.first)),
            sa.func.sum(col(SiteFigure.quantity_milli)),
        )
        .join(MaterialKind, col(MaterialKind.kind) == col(SiteFigure.kind))
        .where(col(SiteFigure.unit) == "month", col(SiteFigure.quantity_milli) != 0)
        .group_by(col(SiteFigure.site_id), col(MaterialKind.material), col(SiteFigure.first))
    )
    return _of(query, col(SiteFigure.site_id), site_ids)


def recorded(site_ids: list[UUID] | None) -> Any:
    """The same of the records themselves."""
    month = _month_of(col(Action.day))
    query = (
        sa.select(
            _plain(col(Action.site_id)),
            col(MaterialKind.material),
            month,
            sa.func.sum(col(Action.quantity_milli)),
        )
        .join(MaterialKind, col(MaterialKind.kind) == col(Action.kind))
        .where(standing())
        .group_by(col(Action.site_id), col(MaterialKind.material), month)
    )
    return _of(query, col(Action.site_id), site_ids)


def _month_of(day: Any) -> Any:
    return sa.func.substr(sa.cast(day, sa.Text), 1, 7)


_NOT_REVERSED = ~sa.exists().where(col(HandOverReversal.hand_over_id) == col(HandOver.id))


def _received(site_ids: list[UUID] | None) -> Any:
    query = _handed(col(HandOver.to_site_id), col(HandOverConfirmation.grams), site_ids)
    return query.join(HandOverConfirmation, col(HandOverConfirmation.hand_over_id) == col(HandOver.id))


def _handed_on(site_ids: list[UUID] | None) -> Any:
    return _handed(col(HandOver.from_site_id), col(HandOver.grams), site_ids)


def _handed(site: Any, grams: Any, site_ids: list[UUID] | None) -> Any:
    month = _month_of(col(HandOver.day))
    query = sa.select(_plain(site), col(HandOver.material), month, sa.func.sum(grams)).select_from(HandOver)
    query = query.where(_NOT_REVERSED).group_by(site, col(HandOver.material), month)
    return _of(query, site, site_ids)


# --- what must always hold ----------------------------------------------------------------------------------

#: The plain sum of everything since the last count, said in one statement and another way than above.
_PLAIN = """
WITH flow AS (
    SELECT a.site_id, k.material, a.day, a.quantity_milli AS grams FROM action a JOIN material_kind k ON k.kind = a.kind
    WHERE a.id NOT IN (SELECT v.action_id FROM action_void v)
    AND a.id NOT IN (SELECT r.action_id FROM action_review r WHERE r.state IN ('pending', 'rejected'))
    UNION ALL
    SELECT h.to_site_id, h.material, h.day, c.grams FROM hand_over h JOIN hand_over_confirmation c ON c.hand_over_id = h.id
    LEFT JOIN hand_over_reversal r ON r.hand_over_id = h.id WHERE r.hand_over_id IS NULL
    UNION ALL
    SELECT h.from_site_id, h.material, h.day, -h.grams FROM hand_over h
    LEFT JOIN hand_over_reversal r ON r.hand_over_id = h.id WHERE r.hand_over_id IS NULL
), counted AS (
    SELECT s.site_id, s.material, s.month, s.grams FROM stock_take s WHERE NOT EXISTS (
        SELECT 1 FROM stock_take l WHERE l.site_id = s.site_id AND l.material = s.material
        AND (l.month > s.month OR (l.month = s.month AND l.revision > s.revision)))
)
SELECT site_id, material, sum(grams) AS grams FROM (
    SELECT f.site_id, f.material, f.grams FROM flow f LEFT JOIN counted c
    ON c.site_id = f.site_id AND c.material = f.material
    WHERE c.month IS NULL OR substr(CAST(f.day AS text), 1, 7) > substr(CAST(c.month AS text), 1, 7)
    UNION ALL SELECT site_id, material, grams FROM counted
) every GROUP BY site_id, material
"""


def unequal(connection: Connection) -> Iterator[str]:
    """Sites and materials whose closing stock is not the plain sum of everything since it was last counted.

    To the next month, which a phone whose clock is ahead may have recorded in. Both are of the records, which no relay is behind of;
    that the figures are those of the records is for `tanpuhui rebuild --check`.
    """
    rows = connection.execute(
        sa.text(_PLAIN).columns(site_id=sa.Uuid(), material=sa.Text(), grams=sa.Numeric())
    )
    plain = {(row.site_id, row.material): int(row.grams) for row in rows}
    stocks = {
        (line.site_id, line.material): line.closing
        for line in balance(connection, month_after(clock.today().replace(day=1)), brought_in=recorded).lines
    }
    for site_id, material in sorted(plain.keys() | stocks.keys(), key=str):
        booked, summed = (found.get((site_id, material), 0) for found in (stocks, plain))
        if booked != summed:
            yield f"{material} at {site_id}: {booked} g booked, {summed} g summed up"
