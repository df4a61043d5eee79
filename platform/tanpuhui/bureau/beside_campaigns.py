"""What is left of the district's numbers beside its campaigns: everybody is told what a whole campaign adds up to, and may subtract it.

A campaign is taken from cells of one shape (days by kind, months by community, ...) that hold it, alone or with other campaigns. What is left
is of nobody, or of at least `FEWEST` people; else these cells stand for as few, and are withheld like all small ones.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Set
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import SQLModel

from tanpuhui.bureau.suppression import FEWEST
from tanpuhui.bureau.withholding import UNITS, Cell, offered
from tanpuhui.participants import ALL
from tanpuhui.periods import CalendarPeriod

#: Instead of a campaign: none, or one whose numbers are not told.
NONE = ""

#: Who took part in a cell, by campaign; of `NONE` as many as are enough.
People = Mapping[str, Set[Any]]


class Shape(NamedTuple):
    """Cells of the same unit, level of area (digits of its code), and by kind or not."""

    unit: str
    level: int
    by_kind: bool

    def holds(self, finer: "Shape") -> bool:
        """Whether each cell of `finer` lies in one of these."""
        return (
            UNITS.index(self.unit) >= UNITS.index(finer.unit)
            and self.level <= finer.level
            and self.by_kind <= finer.by_kind
        )

    def around(self, cell: Cell) -> Cell:
        """The cell of this shape in which a finer one lies."""
        first = CalendarPeriod.containing(self.unit, cell.first).first
        return Cell(self.unit, first, cell.area[: self.level], cell.kind if self.by_kind else ALL)


#: What is offered, the finest first.
SHAPES = tuple(
    Shape(unit, level, by_kind)
    for unit in UNITS
    for level in (12, 9, 6)
    for by_kind in (True, False)
    if offered(unit, "0" * level, "any kind" if by_kind else ALL)
)


class Left(NamedTuple):
    """How many are left in cells, as far as these are few or nobody; and cells that are known to be of a few if their sum is known."""

    people: dict[Cell, int]
    together: list[frozenset[Cell]]


def beside_campaigns(
    counts: Mapping[Cell, int],
    campaigns: Mapping[str, Iterable[Cell]],
    people: Callable[[str, Cell], People],
) -> Left:
    """How many people are left in cells when campaigns are taken away, as far as these are few, or nobody.

    `counts`: the people of each offered cell. `campaigns`: of each whose numbers are told, the cells of a day or month and of a kind
    that it has, at the finest levels that there are figures of. `people`: who took part in a cell beside one campaign.
    """
    found = Left({}, [])
    for campaign, finest in campaigns.items():
        cells = list(finest)
        enough: list[Shape] = []
        for shape in SHAPES:
            if any(shape.holds(finer) for finer in enough):
                continue  # who is left in a part is left in the whole
            inside = sorted({shape.around(cell) for cell in cells if _divides(cell, shape)})
            left = _left(campaign, inside, people)
            if len(left[NONE]) >= FEWEST:
                enough.append(shape)
                continue
            number = len(left[NONE]) or min((len(some) for some in left.values() if some), default=0)
            here = [cell for cell in inside if cell in counts]
            if number < FEWEST:  # in all of them: of two that hide each other the sum is known
                found.people.update({cell: min(number, found.people.get(cell, number)) for cell in here})
            if 0 < number < FEWEST and here:
                found.together.append(frozenset(here))
    return found


def _left(
    campaign: str, inside: Iterable[Cell], people: Callable[[str, Cell], People]
) -> dict[str, set[Any]]:
    """Who took part in any of these cells beside a campaign, by campaign; of `NONE` as many as are enough."""
    left: dict[str, set[Any]] = {NONE: set()}
    for cell in inside:
        for other, some in people(campaign, cell).items():
            left.setdefault(other, set()).update(some)
        if len(left[NONE]) >= FEWEST:
            break
    return left


def _divides(cell: Cell, shape: Shape) -> bool:
    """Whether a cell with figures of its own lies in one cell of the shape."""
    return UNITS.index(cell.unit) <= UNITS.index(shape.unit) and len(cell.area) >= shape.level


# --- read from the figures ---------------------------------------------------------------------------------


def of_year(connection: Connection, counts: Mapping[Cell, int], year: CalendarPeriod) -> Left:
    """`beside_campaigns` of the campaigns of a year."""
    totals = SQLModel.metadata.tables["campaign_total"].c
    told = frozenset(connection.scalars(sa.select(totals.campaign).where(totals.participants >= FEWEST)))
    figures = SQLModel.metadata.tables["period_figure"].c
    query = sa.select(figures.campaign, figures.area).where(
        figures.unit == "year", figures.first == year.first, figures.campaign != ALL
    )
    areas: dict[str, set[str]] = defaultdict(set)
    for campaign, area in connection.execute(query.distinct()):
        areas[campaign].add(area)
    campaigns = {one: _cells(connection, one, areas[one]) for one in sorted(areas.keys() & told)}
    return beside_campaigns(
        counts, campaigns, lambda campaign, cell: _people(connection, told, campaign, cell)
    )


def _cells(connection: Connection, campaign: str, areas: Iterable[str]) -> list[Cell]:
    """The cells of days and months that a campaign has, by kind."""
    figures = SQLModel.metadata.tables["period_figure"].c
    query = (
        sa.select(figures.unit, figures.first, figures.area, figures.kind)
        .where(
            figures.unit.in_(["day", "month"]), figures.area.in_(list(areas)), figures.campaign == campaign
        )
        .group_by(figures.unit, figures.first, figures.area, figures.kind)
        .having(sa.func.sum(figures.actions) > 0)
    )
    return [Cell(*row) for row in connection.execute(query)]


def _people(connection: Connection, told: Set[str], campaign: str, cell: Cell) -> People:
    """Who took part beside a campaign: outside of all that are told, and if these are few, in each of the others."""
    doers = SQLModel.metadata.tables["daily_participant"].c
    period = CalendarPeriod(cell.unit, cell.first)
    here = [
        doers.day.between(period.first, period.last),
        sa.func.substr(doers.division_code, 1, len(cell.area)) == cell.area,
        doers.actions > 0,
    ]
    if cell.kind != ALL:
        here.append(doers.kind == cell.kind)
    outside = sa.select(doers.resident_id).where(*here, doers.campaign.not_in(told)).distinct().limit(FEWEST)
    found: dict[str, set[Any]] = {NONE: set(connection.scalars(outside))}
    if len(found[NONE]) < FEWEST:
        others = sa.select(doers.campaign, doers.resident_id).where(
            *here, doers.campaign.in_(told - {campaign})
        )
        for other, resident in connection.execute(others.distinct()):
            found.setdefault(other, set()).add(resident)
    return found
