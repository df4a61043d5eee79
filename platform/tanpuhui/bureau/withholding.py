"""Which numbers of the district are not told, so that nobody of a few can be found out in them, whatever is added and subtracted.

What is told is a cube: areas (district, 街镇, communities), kinds, and time (days, months, quarters, years), each with its totals. Of
fewer than `FEWEST` people nothing is told. Beside each such cell others are withheld, so that its number could be another one and
everything that is told would still be the same: what goes up in it goes down in a partner in its area, kind or period, and up again where
both are changed. A number that may be moved like that cannot be worked out by any adding and subtracting, over areas, kinds,
levels or neighbouring periods. (That each sum misses two cells or none is not enough: a chain of such sums can give one away.)

Newcomers add up by themselves over areas and periods, as each begins once and in one place, and are decided over in the same way.

What is so fine that it would have to be withheld mostly is not offered at all (`offered`). A week is told if each of its days is.
This guards against sums. It does not guard against what somebody knows of their neighbours.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from datetime import date
from functools import lru_cache, partial
from itertools import product
from typing import NamedTuple, TypeVar

from tanpuhui.bureau.suppression import FEWEST
from tanpuhui.participants import ALL, areas_of
from tanpuhui.periods import CalendarPeriod

#: The units of the cube; weeks lie across months and follow from their days.
UNITS = ("day", "month", "quarter", "year")

#: Instead of a kind: who took part for the first time.
NEWCOMERS = "*new"

_DISTRICT, _STREET, _COMMUNITY = 6, 9, 12  # digits of a code
_LEVELS = (_DISTRICT, _STREET, _COMMUNITY)
_SHORTLIST = 3


class Cell(NamedTuple):
    """A number of the cube: a period, an area by its code, a kind, `ALL` or `NEWCOMERS`."""

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


def withheld(
    people: Mapping[Cell, int],
    left: Mapping[Cell, int] | None = None,
    together: Iterable[Set[Cell]] = (),
    offers: Callable[[str, str, str], bool] = offered,
) -> frozenset[Cell]:
    """The cells that are not told. `people`: how many distinct people each offered cell of some years stands for, at least; what is not
    in it stands for nobody. `left`: of how many of them nothing is told besides, where that is fewer: of a few is as bad as a few in all.
    `together`: cells whose sum must not be worked out either. `offers`: which cells there are.
    """
    weights = {**people, **(left or {})}
    few = sorted(cell for cell, number in people.items() if 0 < number < FEWEST or 0 < weights[cell] < FEWEST)
    cube, hidden = _Cube(people, weights, offers), set(few)
    for cell in few:
        hidden |= cube.cover(cell, hidden)
    for cells in together:
        hidden |= cube.cover(max(cells & people.keys()), hidden, cells)
    return frozenset(hidden)


def newcomers_offered(unit: str, area: str, kind: str) -> bool:
    """Whether it is told how many took part for the first time: of all kinds, of the district and 街镇, by month or more."""
    return kind == ALL and unit not in {"day", "week"} and len(area) < _COMMUNITY


def withheld_newcomers(counts: Mapping[Cell, tuple[int, int]]) -> frozenset[Cell]:
    """The numbers of newcomers that are not told, as cells of `NEWCOMERS`. `counts`: participants and newcomers of the offered cells.

    Told of a cell, they also tell how many others took part, so it stands for the fewer of the two.
    """
    fewer = {
        cell: min(newcomers, others) if 0 < (others := participants - newcomers) < FEWEST else newcomers
        for cell, (participants, newcomers) in counts.items()
        if newcomers
    }
    return frozenset(cell._replace(kind=NEWCOMERS) for cell in withheld(fewer, offers=newcomers_offered))


#: What changes along one dimension, by how much: areas, kinds, or periods.
_Change = dict[str, int]


class _Cube:
    """The cells that people stand for, and who stands beside whom."""

    def __init__(
        self,
        people: Mapping[Cell, int],
        weights: Mapping[Cell, int],
        offers: Callable[[str, str, str], bool],
    ) -> None:
        self.people, self.weights, self.offers = people, weights, offers
        self._leaves: dict[Cell, tuple[str, str, date]] = {}
        self._areas: dict[tuple[str, date, str, str], list[str]] = defaultdict(list)
        self._kinds: dict[tuple[str, date, str], list[str]] = defaultdict(list)
        self._times: dict[tuple[str, date, str, str], list[date]] = defaultdict(list)
        for cell in sorted(cell for cell, number in people.items() if number):
            unit, first, area, kind = cell
            self._areas[unit, first, kind, _parent(area)].append(area)
            self._times[unit, _outer(unit, first), area, kind].append(first)
            if kind != ALL:
                self._kinds[unit, first, area].append(kind)

    def cover(self, cell: Cell, hidden: set[Cell], together: Set[Cell] = frozenset()) -> set[Cell]:
        """The cells that change together with `cell`, so that everything else stays: those by which least more is withheld.

        The sum of those of `together`, if there are any, changes, too.
        A partner of few people helps little: what is withheld of a sum would be worked out together, and be of a few still.
        """
        areas = self._area_changes(cell, hidden)
        kinds = self._kind_changes(cell, hidden)
        times = self._time_changes(cell, hidden)
        lines = list(self._lines(cell))
        best: tuple[tuple[int, int, int], set[Cell]] | None = None
        for far in range(3):  # partners beside it; farther ones, too; none
            for way in product(_near(areas, far), _near(kinds, far), _near(times, far)):
                by = dict(_changed(*way, self.offers))
                changed = set(by)
                if not all(map(self.people.get, changed)):
                    continue  # of nobody zero is told, and zero cannot change
                if together and not sum(by[one] for one in changed & together):
                    continue
                more = changed - hidden
                weak = sum(map(partial(self._weak, hidden=hidden, changed=changed), lines))
                cost = (weak, sum(map(_worth, more)), sum(self.people[one] for one in more))
                if best is None or cost < best[0]:
                    best = cost, changed
                if not any(cost):
                    return changed
            if best and not best[0][0]:
                return best[1]
        if best:
            return best[1]
        # Nothing stands beside it: it is withheld with everything that it is a part of.
        leaf = self._leaf(cell)
        above = dict.fromkeys(areas_of(leaf[0]), 1), {leaf[1]: 1, ALL: 1}, _days_up(leaf[2])
        return set(dict(_changed(*above, self.offers)))

    def _lines(self, cell: Cell) -> Iterator[list[Cell]]:
        """The parts of each sum that `cell` is a part of."""
        unit, first, area, kind = cell
        yield [cell._replace(area=one) for one in self._areas[unit, first, kind, _parent(area)]]
        if kind != ALL:
            yield [cell._replace(kind=one) for one in self._kinds[unit, first, area]]
        if unit != "year":
            yield [cell._replace(first=one) for one in self._times[unit, _outer(unit, first), area, kind]]

    def _weak(self, line: Sequence[Cell], hidden: Set[Cell], changed: Set[Cell]) -> bool:
        """Whether the cell changes against others of this sum, and what is withheld of it, which is worked out together, may be of a
        few people. All of it is told as the total."""
        missing = [one for one in line if one in changed or one in hidden]
        if len(missing) == len(line) or sum(one in changed for one in missing) < 2:
            return False
        return max(self.weights[one] for one in missing) < FEWEST

    def _shortlist(self, cells: Iterable[Cell], hidden: set[Cell]) -> list[Cell]:
        """A few partners, best first: of enough people, already withheld, of few more."""
        known = [(self.weights[one] < FEWEST, one not in hidden, self.people[one], one) for one in cells]
        return [one for *_, one in sorted(known)[:_SHORTLIST]]

    def _area_changes(self, cell: Cell, hidden: set[Cell]) -> list[list[_Change]]:
        """With another area beside it; with one beside the area that it is in; with everything above it."""
        if len(cell.area) == _DISTRICT:
            return [[dict.fromkeys(areas_of(community), 1) for community in self._communities(cell)]]
        own = areas_of(self._leaf(cell)[0])
        found: list[list[_Change]] = [[], [], [dict.fromkeys(own, 1)]]
        around = cell
        while len(around.area) > _DISTRICT:
            line = self._areas[around.unit, around.first, around.kind, _parent(around.area)]
            beside = [around._replace(area=area) for area in line if area != around.area]
            for partner in self._shortlist(beside, hidden):
                found[around is not cell].append(_difference(own, areas_of(self._leaf(partner)[0])))
            around = around._replace(area=_parent(around.area))
        return found

    def _communities(self, cell: Cell) -> list[str]:
        """Communities inside a cell of the district: of the 街镇 where most people did the same, and where most people are."""
        wide = cell.unit if cell.unit != "day" else "month"
        there = Cell(wide, _start(wide, cell.first), cell.area, cell.kind)
        streets = [there._replace(area=area) for area in self._areas[wide, there.first, cell.kind, cell.area]]
        streets.sort(key=lambda one: (-self.people[one], one))
        found = [self._leaf(street)[0] for street in streets[:_SHORTLIST]]
        return list(dict.fromkeys([*found, self._leaf(cell)[0]]))

    def _kind_changes(self, cell: Cell, hidden: set[Cell]) -> list[list[_Change]]:
        """With another kind; with all kinds together."""
        if cell.kind == ALL:
            return [[{self._leaf(cell)[1]: 1, ALL: 1}]]
        line = self._kinds[cell.unit, cell.first, cell.area]
        beside = [cell._replace(kind=kind) for kind in line if kind != cell.kind]
        found = [{cell.kind: 1, partner.kind: -1} for partner in self._shortlist(beside, hidden)]
        return [found, [], [{cell.kind: 1, ALL: 1}]]

    def _time_changes(self, cell: Cell, hidden: set[Cell]) -> list[list[dict[tuple[str, date], int]]]:
        """With another period beside it; with one beside the period that it is in; with everything above it."""
        own = _days_up(self._leaf(cell)[2])
        found: list[list[dict[tuple[str, date], int]]] = [[], [], [own]]
        if cell.unit == "year":
            return [found[-1]]
        for unit in UNITS[UNITS.index(cell.unit) : -1]:
            around = cell._replace(unit=unit, first=_start(unit, cell.first))
            line = self._times[unit, _outer(unit, around.first), around.area, around.kind]
            beside = [around._replace(first=first) for first in line if first != around.first]
            for partner in self._shortlist(beside, hidden):
                others = _days_up(self._leaf(partner)[2])
                change = {key: by for key in own | others if (by := own.get(key, 0) - others.get(key, 0))}
                found[unit != cell.unit].append(change)
        return found

    def _leaf(self, cell: Cell) -> tuple[str, str, date]:
        """A community, a kind and a day inside `cell`: where most people are."""
        if cell not in self._leaves:
            self._leaves[cell] = self._find_leaf(cell)
        return self._leaves[cell]

    def _find_leaf(self, cell: Cell) -> tuple[str, str, date]:
        unit, first, area, kind = cell
        while len(area) < _COMMUNITY:
            wide = "month" if unit == "day" else unit
            start = _start(wide, first)
            below = self._areas.get((wide, start, ALL, area)) or self._areas.get((unit, first, ALL, area))
            if not below:
                area = area.ljust(_COMMUNITY, "0")  # nobody told of communities there
                break
            area = max(below, key=lambda one: (self.people.get(Cell(wide, start, one, ALL), 0), one))
        if kind == ALL:
            kinds = (
                self._kinds.get((unit, first, cell.area))
                or self._kinds.get(("month", _start("month", first), area[:_STREET]))
                or [ALL]
            )
            kind = max(kinds, key=lambda one: (self.people.get(cell._replace(kind=one), 0), one))
        place = area[:_STREET] if len(cell.area) > _DISTRICT else cell.area
        while unit != "day":
            inner = {"year": "quarter", "quarter": "month", "month": "day"}[unit]
            what = cell.kind if self.offers(inner, place, cell.kind) else ALL
            firsts = self._times.get((inner, first, place, what)) or [first]
            first = max(firsts, key=lambda one: (self.people.get(Cell(inner, one, place, what), 0), one))
            unit = inner
        return area, kind, first


_Way = TypeVar("_Way")


def _near(ways: Sequence[Sequence[_Way]], far: int) -> list[_Way]:
    return [one for some in ways[: far + 1] for one in some]


def _changed(
    areas: _Change,
    kinds: _Change,
    times: Mapping[tuple[str, date], int],
    offers: Callable[[str, str, str], bool],
) -> Iterator[tuple[Cell, int]]:
    """The offered cells that are changed by a change along each dimension, and by how much."""
    for (area, x), (kind, y), ((unit, first), z) in product(areas.items(), kinds.items(), times.items()):
        if offers(unit, area, kind):
            yield Cell(unit, first, area, kind), x * y * z


def _worth(cell: Cell) -> int:
    """How much is lost with a number: totals are asked for more than parts."""
    place = {_DISTRICT: 10_000, _STREET: 100, _COMMUNITY: 1}[len(cell.area)]
    return (
        place * {"day": 1, "month": 3, "quarter": 6, "year": 12}[cell.unit] * (3 if cell.kind == ALL else 1)
    )


def _difference(own: Iterable[str], others: Iterable[str]) -> _Change:
    change = defaultdict(int, dict.fromkeys(own, 1))
    for name in others:
        change[name] -= 1
    return {name: by for name, by in change.items() if by}


@lru_cache(4096)
def _start(unit: str, day: date) -> date:
    return CalendarPeriod.containing(unit, day).first


@lru_cache(4096)
def _days_up(day: date) -> dict[tuple[str, date], int]:
    """A day and the periods that it is a part of."""
    return {(unit, _start(unit, day)): 1 for unit in UNITS}


def _parent(area: str) -> str:
    """The area that this one adds up to; nothing for the district."""
    return area[: _LEVELS[_LEVELS.index(len(area)) - 1]] if len(area) > _DISTRICT else ""


def _outer(unit: str, first: date) -> date:
    """When the period begins that this one adds up to; of a year nothing is added up."""
    outer = UNITS[min(UNITS.index(unit) + 1, len(UNITS) - 1)]
    return _start(outer, first)
