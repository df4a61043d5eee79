"""How far targets have come: what the figures count from the first of January to the deadline, or what was entered by hand.

What is expected by today is spread evenly over the days from the first of January to the deadline. That is arithmetic, no forecast.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import col

from tanpuhui.bureau import participation, rollups
from tanpuhui.bureau.participation import Period
from tanpuhui.bureau.target_measures import MEASURES, Counted
from tanpuhui.bureau.targets import Target, TargetProgress
from tanpuhui.bureau.venues import venues
from tanpuhui.bureau.view import View
from tanpuhui.divisions import district_of
from tanpuhui.periods import CalendarPeriod

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
    figures = _Figures(connection, targets, today)
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


#: What figures are asked for: days, whether of the whole district, and whether by kind of action.
Asked = tuple[Period, bool, bool]


def _asked(target: Target, today: date) -> Asked:
    within = Period(date(target.year, 1, 1), min(target.due_on, today))
    return within, target.division_code == district_of(target.division_code), bool(target.kind)


class _Figures:
    """The figures that some targets need, read once for all that ask alike."""

    def __init__(self, connection: Connection, targets: Sequence[Target], today: date) -> None:
        self.connection, self.today = connection, today
        self.areas: dict[Asked, set[str]] = defaultdict(set)
        for one in targets:
            if MEASURES[one.measure].number:
                self.areas[_asked(one, today)].add(one.division_code)
        self.read: dict[Asked, dict[tuple[str, str], Row]] = {}
        self.used: dict[tuple[Period, str, str], Counter[str]] = {}

    def reached(self, target: Target) -> int:
        """What the figures count for a target, in thousandths of its unit; cut."""
        asked = _asked(target, self.today)
        within = asked[0]
        if within.last < within.first:
            return 0
        if target.measure is Counted.VENUES:
            return self._venues(within, target.kind, target.division_code) * 1000
        if asked not in self.read:
            self.read[asked] = _numbers(self.connection, asked, sorted(self.areas[asked]), self.today)
        row = self.read[asked].get((target.division_code, target.kind))
        measure = MEASURES[target.measure]
        return int(row[measure.number]) * measure.milli // measure.per_milli if row else 0

    def _venues(self, within: Period, kind: str, division_code: str) -> int:
        """The sites of the district or of a 街镇 at which something was recorded, read once for all 街镇."""
        district = district_of(division_code)
        asked = (within, kind, district)
        if asked not in self.used:
            whole = is_calendar_year(within, self.today)
            last = CalendarPeriod("year", within.first).last if whole else within.last
            found = venues(self.connection, within.first, last, district, kind or None)
            self.used[asked] = found.used_by_street
        return sum(sites for street, sites in self.used[asked].items() if street.startswith(division_code))


def _numbers(
    connection: Connection, asked: Asked, areas: Sequence[str], today: date
) -> dict[tuple[str, str], Row]:
    """The one place where figures are read: the numbers of `bureau.participation.statistics` by area and kind ("": all of them).

    A year that is over, or is not cut short by the deadline, is a calendar period and ready; other days are counted.
    """
    within, whole_district, by_kind = asked
    kinds = ("kind",) if by_kind else ()
    if is_calendar_year(within, today):
        year = CalendarPeriod("year", within.first)
        rows = rollups.sums(connection, [year], areas, by=("area", *kinds))
        return {(row["area"], row.get("kind", "")): row for row in rows}
    by = kinds if whole_district else ("division", *kinds)
    rows = participation.statistics(connection, within, by)
    return {(row.get("division", areas[0]), row.get("kind", "")): row for row in rows}


def is_calendar_year(within: Period, today: date) -> bool:
    """Whether all that was ever recorded of the year lies within: nothing is recorded of days to come."""
    return within.last in {today, date(within.first.year, 12, 31)}


def number_of(target: Target, today: date) -> tuple[View, str] | None:
    """The number of the figures that is the progress of a target; None where it is none of a whole calendar year."""
    within, _, _ = _asked(target, today)
    number = MEASURES[target.measure].number
    if not number or within.last < within.first or not is_calendar_year(within, today):
        return None
    year = CalendarPeriod("year", within.first)
    return View(year, target.division_code, target.kind or None), number


def _entered(connection: Connection, wanted: Sequence[UUID]) -> dict[UUID, tuple[int | None, date]]:
    """What was entered by hand: of each target the latest day, and what was said last of it."""
    columns = (col(TargetProgress.target_id), col(TargetProgress.amount_milli), col(TargetProgress.as_of))
    query = (
        sa.select(*columns)
        .where(col(TargetProgress.target_id).in_(wanted))
        .order_by(col(TargetProgress.as_of), col(TargetProgress.said_at), col(TargetProgress.id))
    )
    return {row[0]: (row[1], row[2]) for row in connection.execute(query)}
