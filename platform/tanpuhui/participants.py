"""Distinct participants, exactly: how many residents have a standing action in a period, an area, a kind or a campaign.

Counts of people do not add up: who takes part in two weeks of a month is one participant of the month. So of each resident and year
it is kept on which days they took part, in which community, in what and in which campaign, as bits (`ParticipantYear`). What a
batch of events changes of these bits tells by how much each count changes (`ParticipantCount`): by comparing before and after, not
by counting again. A resident who moved is one in the district and one in each community they took part in.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, SQLModel

from tanpuhui.db import Statement
from tanpuhui.periods import UNITS, CalendarPeriod

#: Instead of a kind or a campaign: all of them, and what is in none.
ALL = "*"


class ParticipantYear(SQLModel, table=True):
    """The days of a `year` on which a resident has a standing action. `days`: bits (the lowest is January 1st) by cell,
    as `days_text` writes them.

    `first_day` is the first of them and `first_division` the community of its actions (the lowest code if there are several).
    """

    __tablename__ = "participant_year"
    __table_args__ = ({"sqlite_with_rowid": False},)

    resident_id: UUID = Field(primary_key=True)
    year: int = Field(primary_key=True)
    first_day: date | None = None
    first_division: str = Field(default="", max_length=12)
    days: str = Field(sa_type=sa.Text)


class ParticipantCount(SQLModel, table=True):
    """How many distinct residents took part. `kind` and `campaign` may be `ALL`; `newcomers` never had before.

    An area is the code of the district, a 街镇 or a community. Newcomers are counted where and when they began.
    """

    __tablename__ = "participant_count"
    __table_args__ = ({"sqlite_with_rowid": False},)

    unit: str = Field(primary_key=True, max_length=8)
    area: str = Field(primary_key=True, max_length=12)
    kind: str = Field(primary_key=True, max_length=32)
    campaign: str = Field(primary_key=True, max_length=36)
    first: date = Field(primary_key=True)
    participants: int = Field(default=0, sa_type=sa.BigInteger)
    newcomers: int = Field(default=0, sa_type=sa.BigInteger)


class Cell(NamedTuple):
    """Where and in what somebody took part. `campaign` is empty for none."""

    division_code: str
    kind: str
    campaign: str


class Change(NamedTuple):
    """From now on a resident has, or no longer has, a standing action of a cell on a day."""

    day: date
    cell: Cell
    stands: bool


#: The days of one year, as bits, by cell.
Year = dict[Cell, int]


@dataclass(frozen=True, slots=True)
class Beginning:
    """The first day on which somebody took part, and in which community."""

    day: date
    division_code: str


@dataclass
class Known:
    """What is kept of a resident: the days of the years that matter, and how every year began."""

    years: dict[int, Year] = field(default_factory=dict)
    began: dict[int, Beginning] = field(default_factory=dict)

    @property
    def beginning(self) -> Beginning | None:
        """When and where they first took part at all."""
        return self.began[min(self.began)] if self.began else None

    def turn(self, day: date, cell: Cell, *, stands: bool) -> None:
        """Set or take away the bit of a day, and see to how its year began."""
        cells, bit = self.years[day.year], 1 << day.toordinal() - _january(day.year)
        cells[cell] = cells.get(cell, 0) | bit if stands else cells.get(cell, 0) & ~bit
        began = self.began.get(day.year)
        if began is None or day <= began.day:
            self.began.pop(day.year, None)
            if first := beginning(day.year, cells):
                self.began[day.year] = first


#: Area, kind and campaign.
Scope = tuple[str, str, str]

#: (unit, area, kind, campaign, first day) -> [participants, newcomers]
Counts = dict[tuple[str, str, str, str, date], list[int]]


def areas_of(division_code: str) -> tuple[str, str, str]:
    """The community, its 街镇 and the district, by their codes."""
    return division_code, division_code[:9], division_code[:6]


@lru_cache(4096)
def _scopes(cell: Cell) -> tuple[Scope, ...]:
    """Whatever a cell counts in: area, kind, campaign."""
    areas = areas_of(cell.division_code)
    kinds = [(area, kind, ALL) for area in areas for kind in (ALL, cell.kind)]
    return (*kinds, *((area, ALL, cell.campaign) for area in areas)) if cell.campaign else tuple(kinds)


@lru_cache(4096)
def _periods(day: date, base: int) -> tuple[tuple[str, date, int], ...]:
    """The periods that a day lies in: unit, first day, and its days as bits that count from `base` on."""
    found = []
    for one in (CalendarPeriod.containing(unit, day) for unit in UNITS):
        mask, ahead = (1 << (one.last - one.first).days + 1) - 1, one.first.toordinal() - base
        found.append((one.unit, one.first, mask << ahead if ahead >= 0 else mask >> -ahead))
    return tuple(found)


@lru_cache(4096)
def years_around(day: date) -> frozenset[int]:
    """The years that the periods of a day touch: its own, and where its week begins or ends."""
    week = CalendarPeriod.containing("week", day)
    return frozenset({day.year, week.first.year, week.last.year})


@lru_cache
def _january(year: int) -> int:
    """The ordinal of the first day of a year."""
    return date(year, 1, 1).toordinal()


def beginning(year: int, cells: Year) -> Beginning | None:
    """The first day of a year's bits."""
    together = 0
    for bits in cells.values():
        together |= bits
    if not together:
        return None
    lowest = together & -together
    division = min(cell.division_code for cell, bits in cells.items() if bits & lowest)
    return Beginning(date(year, 1, 1) + timedelta(days=lowest.bit_length() - 1), division)


def apply(known: Known, changes: Sequence[Change], counts: Counts) -> None:
    """Change the bits of one resident, and add to `counts` by how much each count of people changes for it."""
    began = known.beginning
    for change in changes:
        _turn(known, change, counts)
    if known.beginning != began:
        _count_beginning(began, -1, counts)
        _count_beginning(known.beginning, 1, counts)


def _turn(known: Known, change: Change, counts: Counts) -> None:
    base = _january(min(known.years))
    before = _together(known, base, change.cell)
    known.turn(change.day, change.cell, stands=change.stands)
    if change.stands:  # nothing else need be looked for
        bit = 1 << change.day.toordinal() - base
        after = [days | bit for days in before]
    else:
        after = _together(known, base, change.cell)
    for scope, was, is_ in zip(_scopes(change.cell), before, after, strict=True):
        if was == is_:
            continue
        for unit, first, days in _periods(change.day, base):
            if not was & days:
                if is_ & days:
                    counts[(unit, *scope, first)][0] += 1
            elif not is_ & days:
                counts[(unit, *scope, first)][0] -= 1


def _together(known: Known, base: int, cell: Cell) -> list[int]:
    """The days of each scope of `cell`, as bits that count from `base` on."""
    found = [0] * len(_scopes(cell))
    for year, cells in known.years.items():
        shift = _january(year) - base
        for other, bits in cells.items():
            for at in _in_common(cell, other):
                found[at] |= bits << shift
    return found


@lru_cache(65_536)
def _in_common(cell: Cell, other: Cell) -> tuple[int, ...]:
    """Which of the scopes of `cell` are scopes of `other`, too."""
    theirs = frozenset(_scopes(other))
    return tuple(at for at, scope in enumerate(_scopes(cell)) if scope in theirs)


def _count_beginning(began: Beginning | None, change: int, counts: Counts) -> None:
    if began:
        for area in areas_of(began.division_code):
            for unit, first, _days in _periods(began.day, _january(began.day.year)):
                counts[unit, area, ALL, ALL, first][1] += change


# --- kept in the database ----------------------------------------------------------------------------------

_READ = Statement(
    "SELECT resident_id, year, first_day, first_division, "
    "CASE WHEN year {in:years:int} THEN days END AS days FROM participant_year WHERE resident_id {in:residents:uuid}",
    resident_id="uuid",
    year="int",
    first_day="date",
    first_division="text",
    days="text",
)

_WRITE = Statement(
    "INSERT INTO participant_year (resident_id, year, first_day, first_division, days) "
    "SELECT q.resident_id, q.year, q.first_day, q.first_division, q.days FROM {rows} WHERE true "
    "ON CONFLICT (resident_id, year) DO UPDATE SET first_day = excluded.first_day, "
    "first_division = excluded.first_division, days = excluded.days",
    rows={
        "resident_id": "uuid",
        "year": "int",
        "first_day": "date",
        "first_division": "text",
        "days": "text",
    },
    each=True,
)

_ADD = Statement(
    "INSERT INTO participant_count (unit, area, kind, campaign, first, participants, newcomers) "
    "SELECT q.unit, q.area, q.kind, q.campaign, q.first, q.participants, q.newcomers FROM {rows} WHERE true "
    "ON CONFLICT (unit, area, kind, campaign, first) DO UPDATE SET "
    "participants = participant_count.participants + excluded.participants, "
    "newcomers = participant_count.newcomers + excluded.newcomers",
    rows={
        "unit": "text",
        "area": "text",
        "kind": "text",
        "campaign": "text",
        "first": "date",
        "participants": "int",
        "newcomers": "int",
    },
    each=True,
)


def count(connection: Connection, changes: Mapping[UUID, Sequence[Change]]) -> None:
    """Count what changed of these residents. The caller holds the cursor of the figures, so that nobody else does meanwhile."""
    if not changes:
        return
    known = _known(connection, changes)
    counts: Counts = defaultdict(lambda: [0, 0])
    for resident_id, own in changes.items():
        apply(known[resident_id], own, counts)
    _WRITE.run(
        connection,
        [
            row
            for resident_id in changes
            for row in _rows(resident_id, known[resident_id], changes[resident_id])
        ],
    )
    changed = [(*key, *numbers) for key, numbers in sorted(counts.items()) if any(numbers)]
    names = ("unit", "area", "kind", "campaign", "first", "participants", "newcomers")
    _ADD.run(connection, [dict(zip(names, row, strict=True)) for row in changed])


def _known(connection: Connection, changes: Mapping[UUID, Sequence[Change]]) -> dict[UUID, Known]:
    needed = {
        resident_id: frozenset[int]().union(*(years_around(change.day) for change in own))
        for resident_id, own in changes.items()
    }
    known = {resident_id: Known({year: {} for year in years}) for resident_id, years in needed.items()}
    years = sorted(set[int]().union(*needed.values()))
    for row in _READ.run(connection, years=years, residents=list(changes)):
        one = known[row.resident_id]
        if row.first_day:
            one.began[row.year] = Beginning(row.first_day, row.first_division)
        if row.year in one.years:
            one.years[row.year] = read_days(row.days)
    return known


def _rows(resident_id: UUID, known: Known, changes: Sequence[Change]) -> Iterable[dict[str, Any]]:
    for year in sorted({change.day.year for change in changes}):
        first = known.began.get(year)
        yield {
            "resident_id": resident_id,
            "year": year,
            "first_day": first.day if first else None,
            "first_division": first.division_code if first else "",
            "days": days_text(known.years[year]),
        }


def days_text(cells: Year) -> str:
    """The bits of a year as they are kept, the same for the same bits: a line for each cell, its parts between blanks."""
    return "\n".join(f"{' '.join(cell)} {bits:x}" for cell, bits in sorted(cells.items()) if bits)


def read_days(text: str) -> Year:
    """The bits of a year from what is kept."""
    lines = (line.split(" ") for line in text.split("\n") if line)
    return {Cell(division, kind, campaign): int(bits, 16) for division, kind, campaign, bits in lines}
