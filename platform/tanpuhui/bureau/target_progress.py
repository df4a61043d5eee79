"""How far targets have come: what the figures count from the first of January to the deadline, or what was entered by hand.

What is expected by today is spread evenly over the days from the first of January to the deadline. That is arithmetic, no forecast.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import SQLModel, col

from tanpuhui.bureau import participation
from tanpuhui.bureau.participation import Period
from tanpuhui.bureau.target_measures import MEASURES, Counted
from tanpuhui.bureau.targets import Target, TargetProgress
from tanpuhui.divisions import district_of

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Progress:
    """What was reached by `as_of`, and what would have been, evenly; thousandths of the unit. None: nobody has said yet.

    `share`: of a thousand, cut.
    """

    reached_milli: int | None
    as_of: date
    expected_milli: int
    share: int | None

    @property
    def behind(self) -> bool:
        """Whether less was reached than evenly expected."""
        return (self.reached_milli or 0) < self.expected_milli


def expected_milli(amount_milli: int, year: int, due_on: date, today: date) -> int:
    """What is expected by the end of `today`, evenly from the first of January to the deadline; cut."""
    first = date(year, 1, 1)
    days = (due_on - first).days + 1
    gone = min(max((today - first).days + 1, 0), days)
    return amount_milli * gone // days


def progress(connection: Connection, targets: Sequence[Target], today: date) -> dict[UUID, Progress]:
    """How far each target has come by `today`."""
    figures = _Figures(connection, today)
    by_hand = _entered(connection, [one.id for one in targets if one.measure is Counted.FREE])
    found = {}
    for one in targets:
        until = min(one.due_on, today)
        if one.measure is Counted.FREE:
            reached, until = by_hand.get(one.id, (None, until))
        else:
            reached = figures.reached(one)
        share = None if reached is None else reached * 1000 // one.amount_milli
        expected = expected_milli(one.amount_milli, one.year, one.due_on, today)
        found[one.id] = Progress(reached, until, expected, share)
    return found


def _statistics(connection: Connection, within: Period, by: Sequence[str]) -> list[dict[str, Any]]:
    """The one place where figures are read: whoever reads them quicker is put in here."""
    return participation.statistics(connection, within, by)


@dataclass
class _Figures:
    """The figures of periods, each way of breaking them down read once."""

    connection: Connection
    today: date
    read: dict[tuple[Period, tuple[str, ...]], dict[tuple[str, ...], Row]] = field(default_factory=dict)

    def reached(self, target: Target) -> int:
        """What the figures count for a target, in thousandths of its unit; cut."""
        within = Period(date(target.year, 1, 1), min(target.due_on, self.today))
        if within.last < within.first:
            return 0
        if target.measure is Counted.VENUES:
            return venues(self.connection, within, target.division_code, target.kind) * 1000
        asked = {}
        if target.division_code != district_of(target.division_code):
            asked["division"] = target.division_code
        if target.kind:
            asked["kind"] = target.kind
        row = self._rows(within, tuple(asked)).get(tuple(asked.values()))
        measure = MEASURES[target.measure]
        return int(row[measure.number]) * measure.milli // measure.per_milli if row else 0

    def _rows(self, within: Period, by: tuple[str, ...]) -> dict[tuple[str, ...], Row]:
        if (within, by) not in self.read:
            rows = _statistics(self.connection, within, by)
            self.read[within, by] = {tuple(row[name] for name in by): row for row in rows}
        return self.read[within, by]


def venues(connection: Connection, within: Period, division_code: str, kind: str = "") -> int:
    """The sites of a division at which something (of `kind`, if one is named) was recorded that stands. Not from the figures, which know
    no site; asked site by site by an index."""
    site, action, void, review = (
        SQLModel.metadata.tables[name] for name in ("site", "action", "action_void", "action_review")
    )
    undecided = sa.and_(review.c.action_id == action.c.id, review.c.state.in_(("pending", "rejected")))
    used = (
        sa.select(action.c.id)
        .where(
            action.c.site_id == site.c.id,
            action.c.day.between(within.first, within.last),
            *([action.c.kind == kind] if kind else []),
            ~sa.exists().where(void.c.action_id == action.c.id),
            ~sa.exists().where(undecided),
        )
        .correlate(site)
    )
    query = (
        sa.select(sa.func.count())
        .select_from(site)
        .where(site.c.division_code.startswith(division_code), site.c.self_reports.is_(False), used.exists())
    )
    return int(connection.scalar(query) or 0)


def _entered(connection: Connection, wanted: Sequence[UUID]) -> dict[UUID, tuple[int | None, date]]:
    """What was entered by hand: of each target the latest day, and what was said last of it."""
    columns = (col(TargetProgress.target_id), col(TargetProgress.amount_milli), col(TargetProgress.as_of))
    query = (
        sa.select(*columns)
        .where(col(TargetProgress.target_id).in_(wanted))
        .order_by(col(TargetProgress.as_of), col(TargetProgress.said_at), col(TargetProgress.id))
    )
    return {row[0]: (row[1], row[2]) for row in connection.execute(query)}
