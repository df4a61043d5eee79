"""Which numbers of the district are not told, so that nobody of a few can be found out in them, whatever is added and subtracted.

What is told is a cube: areas (district, 街镇, communities), kinds, and time (days, months, quarters, years), each with its totals. Of
fewer than `FEWEST` people nothing is told. Beside each such cell others are withheld, so that its number could be another one and
everything that is told would still be the same: what goes up in it goes down in a partner in its area, kind or period, and up again where
both are changed. A number that may be moved like that cannot be worked out by any adding and subtracting, over areas, kinds,
levels or neighbouring periods. (That each sum misses two cells or none is not enough: a chain of such sums can give one away.)

What is so fine that it would have to be withheld mostly is not offered at all (`offered`). A week is told if each of its days is.
This guards against sums. It does not guard against what somebody knows of their neighbours.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from itertools import product
from typing import NamedTuple

from tanpuhui.bureau.suppression import FEWEST
from tanpuhui.participants import ALL, areas_of
from tanpuhui.periods import CalendarPeriod

#: The units of the cube; weeks lie across months and follow from their days.
UNITS = ("day", "month", "quarter", "year")

_DISTRICT, _STREET, _COMMUNITY = 6, 9, 12  # digits of a code
_LEVELS = (_DISTRICT, _STREET, _COMMUNITY)
_SHORTLIST = 4


class Cell(NamedTuple):
    """A number of the cube: a period, an area by its code, a kind or `ALL`."""

    unit: str
    first: date
    area: str
    kind: str


def offered(unit: str, area: str, kind: str) -> bool:
    """Whether such numbers are told at all: of a day not by kind below the district, of a community only in all, by month or more."""
    if len(area) == _DISTRICT:
        return True
    if len(area) == _STREET:
        return kind == ALL or unit not in {"day", "week"}
    return kind == ALL and unit not in {"day", "week"}


def withheld(people: Mapping[Cell, int]) -> frozenset[Cell]:
    """The cells that are not told. `people`: how many distinct people each offered cell of some years stands for; who is not in it is nobody."""
    few = sorted(cell for cell, number in people.items() if 0 < number < FEWEST)
    cube, hidden = _Cube(people), set(few)
    for cell in few:
        hidden |= cube.cover(cell, hidden)
    return frozenset(hidden)


#: What changes along one dimension, by how much: areas, kinds, or periods.
_Change = dict[str, int]


class _Cube:
    """The cells that people stand for, and who stands beside whom."""

    def __init__(self, people: Mapping[Cell, int]) -> None:
        self.people = people
        self._areas: dict[tuple[str, date, str, str], list[str]] = defaultdict(list)
        self._kinds: dict[tuple[str, date, str], list[str]] = defaultdict(list)
        self._times: dict[tuple[str, date, str, str], list[date]] = defaultdict(list)
        for cell in sorted(cell for cell, number in people.items() if number):
            unit, first, area, kind = cell
            self._areas[unit, first, kind, _parent(area)].append(area)
            self._times[unit, _outer(unit, first), area, kind].append(first)
            if kind != ALL:
                self._kinds[unit, first, area].append(kind)

    def cover(self, cell: Cell, hidden: set[Cell]) -> set[Cell]:
        """The cells that change together with `cell`, so that everything else stays: those by which least more is withheld."""
        best: tuple[tuple[int, int], set[Cell]] | None = None
        for areas, kinds, times in product(
            self._area_changes(cell, hidden),
            self._kind_changes(cell, hidden),
            self._time_changes(cell, hidden),
        ):
            changed = set(_changed(areas, kinds, times))
            if not all(self.people.get(one) for one in changed):
                continue  # of nobody zero is told, and zero cannot change
            more = changed - hidden
            cost = (sum(self.people[one] for one in more), len(more))
            if best is None or cost < best[0]:
                best = cost, changed
        if best:
            return best[1]
        # Nothing stands beside it: it is withheld with everything that it is a part of.
        leaf = self._leaf(cell)
        return set(_changed(dict.fromkeys(areas_of(leaf[0]), 1), {leaf[1]: 1, ALL: 1}, _days_up(leaf[2])))

    def _shortlist(self, cells: Iterable[tuple[str, Cell]], hidden: set[Cell]) -> list[str]:
        """A few partners, best first: of enough people, already withheld, of few more."""
        known = [
            (self.people[one] < FEWEST, one not in hidden, self.people[one], name) for name, one in cells
        ]
        return [name for *_, name in sorted(known)[:_SHORTLIST]]

    def _area_changes(self, cell: Cell, hidden: set[Cell]) -> list[_Change]:
        own = areas_of(self._leaf(cell)[0])
        beside = [
            area
            for area in self._areas[cell.unit, cell.first, cell.kind, _parent(cell.area)]
            if area != cell.area
        ]
        found: list[_Change] = []
        for area in self._shortlist(((area, cell._replace(area=area)) for area in beside), hidden):
            others = areas_of(self._leaf(cell._replace(area=area))[0])
            found.append(_difference(own, others))
        return [*found, dict.fromkeys(own, 1)]

    def _kind_changes(self, cell: Cell, hidden: set[Cell]) -> list[_Change]:
        if cell.kind == ALL:
            return [{self._leaf(cell)[1]: 1, ALL: 1}]
        beside = [kind for kind in self._kinds[cell.unit, cell.first, cell.area] if kind != cell.kind]
        found = [
            {cell.kind: 1, kind: -1}
            for kind in self._shortlist(((kind, cell._replace(kind=kind)) for kind in beside), hidden)
        ]
        return [*found, {cell.kind: 1, ALL: 1}]

    def _time_changes(self, cell: Cell, hidden: set[Cell]) -> list[dict[tuple[str, date], int]]:
        own = _days_up(self._leaf(cell)[2])
        line = self._times[cell.unit, _outer(cell.unit, cell.first), cell.area, cell.kind]
        beside = (
            {first.isoformat(): first for first in line if first != cell.first} if cell.unit != "year" else {}
        )
        found = []
        for name in self._shortlist(
            ((name, cell._replace(first=first)) for name, first in beside.items()), hidden
        ):
            others = _days_up(self._leaf(cell._replace(first=beside[name]))[2])
            found.append(
                {key: change for key in own | others if (change := own.get(key, 0) - others.get(key, 0))}
            )
        return [*found, own]

    def _leaf(self, cell: Cell) -> tuple[str, str, date]:
        """A community, a kind and a day inside `cell`: where most people are."""
        unit, first, area, kind = cell
        while len(area) < _COMMUNITY:
            wide = "month" if unit == "day" else unit
            start = CalendarPeriod.containing(wide, first).first
            below = self._areas.get((wide, start, ALL, area)) or self._areas.get((unit, first, ALL, area))
            if not below:
                area = area.ljust(_COMMUNITY, "0")  # nobody told of communities there
                break
            area = max(below, key=lambda one: (self.people.get(Cell(wide, start, one, ALL), 0), one))
        if kind == ALL:
            kinds = (
                self._kinds.get((unit, first, cell.area))
                or self._kinds.get(("month", CalendarPeriod.containing("month", first).first, area[:_STREET]))
                or [ALL]
            )
            kind = max(kinds, key=lambda one: (self.people.get(cell._replace(kind=one), 0), one))
        place = area[:_STREET] if len(cell.area) > _DISTRICT else cell.area
        while unit != "day":
            inner = {"year": "quarter", "quarter": "month", "month": "day"}[unit]
            what = cell.kind if offered(inner, place, cell.kind) else ALL
            firsts = self._times.get((inner, first, place, what)) or [first]
            first = max(firsts, key=lambda one: (self.people.get(Cell(inner, one, place, what), 0), one))
            unit = inner
        return area, kind, first


def _changed(areas: _Change, kinds: _Change, times: Mapping[tuple[str, date], int]) -> Iterator[Cell]:
    """The offered cells that are changed by a change along each dimension."""
    for (area, _), (kind, _), ((unit, first), _) in product(areas.items(), kinds.items(), times.items()):
        if offered(unit, area, kind):
            yield Cell(unit, first, area, kind)


def _difference(own: Iterable[str], others: Iterable[str]) -> _Change:
    change = defaultdict(int, dict.fromkeys(own, 1))
    for name in others:
        change[name] -= 1
    return {name: by for name, by in change.items() if by}


def _days_up(day: date) -> dict[tuple[str, date], int]:
    """A day and the periods that it is a part of."""
    return {(unit, CalendarPeriod.containing(unit, day).first): 1 for unit in UNITS}


def _parent(area: str) -> str:
    """The area that this one adds up to; nothing for the district."""
    return area[: _LEVELS[_LEVELS.index(len(area)) - 1]] if len(area) > _DISTRICT else ""


def _outer(unit: str, first: date) -> date:
    """When the period begins that this one adds up to; of a year nothing is added up."""
    outer = UNITS[min(UNITS.index(unit) + 1, len(UNITS) - 1)]
    return CalendarPeriod.containing(outer, first).first
