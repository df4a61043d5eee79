"""What is withheld of the district's numbers cannot be worked out from what is told, by any adding and subtracting."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st

from tanpuhui.bureau.beside_campaigns import NONE, SHAPES, Left, People, beside_campaigns
from tanpuhui.bureau.suppression import FEWEST
from tanpuhui.bureau.withholding import (
    NEWCOMERS,
    UNITS,
    Cell,
    newcomers_offered,
    offered,
    withheld,
    withheld_newcomers,
)
from tanpuhui.participants import ALL, areas_of
from tanpuhui.periods import CalendarPeriod

COMMUNITIES = ("310106006001", "310106006002", "310106011001", "310106011002", "310106012001")
KINDS = ("walk", "glass", "cup")
DAYS = (
    date(2026, 1, 5),
    date(2026, 1, 6),
    date(2026, 2, 7),
    date(2026, 3, 9),
    date(2026, 5, 5),
    date(2026, 11, 8),
)

#: A person, where, in what and when: what the cube is made of.
Deed = tuple[int, str, str, date]
DEEDS = st.lists(
    st.tuples(
        st.integers(0, 25), st.sampled_from(COMMUNITIES), st.sampled_from(KINDS), st.sampled_from(DAYS)
    ),
    max_size=120,
)


def cells_of(community: str, kind: str, day: date) -> list[Cell]:
    """The offered cells that a deed lies in."""
    return [
        Cell(unit, CalendarPeriod.containing(unit, day).first, area, what)
        for unit in UNITS
        for area in areas_of(community)
        for what in (kind, ALL)
        if offered(unit, area, what)
    ]


def persons_of(deeds: list[Deed]) -> dict[Cell, set[int]]:
    persons: dict[Cell, set[int]] = defaultdict(set)
    for person, community, kind, day in deeds:
        for cell in cells_of(community, kind, day):
            persons[cell].add(person)
    return persons


def cube(deeds: list[Deed]) -> dict[Cell, int]:
    return {cell: len(persons) for cell, persons in persons_of(deeds).items()}


#: The finest numbers there can be.
FINEST = tuple(product(COMMUNITIES, KINDS, DAYS))


def worked_out(
    people: dict[Cell, int],
    hidden: frozenset[Cell],
    groups: Iterable[tuple[Cell, ...]] = (),
    finest: Sequence[Any] = FINEST,
    cells_of: Callable[..., list[Cell]] = cells_of,
) -> set[tuple[Cell, ...]]:
    """Of what an attacker can work out the number, or the sum of the numbers of a group, who knows every cell that is told, and how cells add up of the finest numbers there can be.

    Unknown are the numbers of each community, kind and day, unless it lies in a cell of which nobody is told: that is nothing. A
    cell is worked out if no change of the unknown changes it that leaves alone all that is told.
    """
    finest = [one for one in finest if all(people.get(cell) or cell in hidden for cell in cells_of(*one))]
    if not finest:
        return {(cell,) for cell in hidden}
    rows: dict[Cell, np.ndarray] = {}
    for at, one in enumerate(finest):
        for cell in cells_of(*one):
            rows.setdefault(cell, np.zeros(len(finest)))[at] = 1
    told = np.array([row for cell, row in rows.items() if cell not in hidden]).reshape(-1, len(finest))
    _u, singular, directions = np.linalg.svd(told)
    free = directions[int((singular > 1e-9).sum()) :]  # the changes that leave alone what is told
    asked = [*((cell,) for cell in hidden), *groups]
    return {
        group
        for group in asked
        if rows.keys() >= set(group)
        and np.abs(free @ sum(rows[cell] for cell in group)).max(initial=0) < 1e-7
    }


@settings(max_examples=60)
@given(DEEDS)
@example(
    [(person, community, "walk", DAYS[0]) for community in COMMUNITIES for person in range(7)]
    + [(1, COMMUNITIES[0], "glass", DAYS[0])]
)
@example([(1, COMMUNITIES[0], "walk", DAYS[0])])
def test_of_a_few_nothing_can_be_worked_out(deeds: list[Deed]) -> None:
    people = cube(deeds)
    hidden = withheld(people)
    few = {cell for cell, number in people.items() if number < FEWEST}
    assert few <= hidden
    assert not worked_out(people, hidden) & {(cell,) for cell in few}


def test_two_small_neighbours_do_not_hide_each_other() -> None:
    """Left out alone, the two would be worked out together, and be of two people."""
    deeds = [(person, community, "walk", DAYS[0]) for community in COMMUNITIES[:3] for person in range(7)]
    deeds += [(50, COMMUNITIES[4], "walk", DAYS[0])]
    deeds = [one for one in deeds if one[1] != COMMUNITIES[2] or one[0] == 0]
    people = cube(deeds)
    hidden = withheld(people)
    few = sorted(
        cell
        for cell in hidden
        if cell.unit == "month" and len(cell.area) == 9 and people[cell] == 1 and cell.kind == ALL
    )
    assert [cell.area for cell in few] == ["310106011", "310106012"]
    assert Cell("month", date(2026, 1, 1), "310106", ALL) not in hidden
    assert not worked_out(people, hidden, [tuple(few)]) & {tuple(few)}
    only_these = frozenset(cell for cell, number in people.items() if number < FEWEST)
    assert worked_out(people, only_these, [tuple(few)]) & {tuple(few)}  # the control


def test_the_attack_works_on_what_only_leaves_out_the_few() -> None:
    """The negative control: leaving out small cells alone, each is found by subtraction."""
    deeds = [
        (person, community, "walk", day) for community in COMMUNITIES for day in DAYS for person in range(7)
    ]
    deeds.append((1, COMMUNITIES[0], "glass", DAYS[0]))
    people = cube(deeds)
    few = frozenset(cell for cell, number in people.items() if number < FEWEST)
    assert worked_out(people, few) == {(cell,) for cell in few} != set()


def test_much_is_still_told() -> None:
    """One small kind in one 街镇 takes with it a few neighbours, and no total."""
    deeds = [
        (person, community, kind, day)
        for community in COMMUNITIES
        for kind in KINDS
        for day in DAYS
        for person in range(9)
    ]
    deeds = [
        one
        for one in deeds
        if not (one[1][:9] == "310106006" and one[2] == "glass" and one[3] == DAYS[0] and one[0] > 2)
    ]
    deeds = [
        one for one in deeds if not (one[1][:9] == "310106006" and one[2] == "glass" and one[3] == DAYS[1])
    ]
    people = cube(deeds)
    hidden = withheld(people)
    assert Cell("month", date(2026, 1, 1), "310106006", "glass") in hidden
    assert len(hidden) == 8
    assert {cell.unit for cell in hidden} == {"month"}
    assert not any(cell.kind == ALL or len(cell.area) == 6 for cell in hidden)


def test_what_is_rare_in_the_district_takes_no_total_with_it() -> None:
    """Most people are where nobody did it; the change is looked for where it was done."""
    everywhere = [
        (person, community, kind, day)
        for community, number in ((COMMUNITIES[0], 20), (COMMUNITIES[2], 9))
        for kind in ("walk", "cup")
        for day in (DAYS[0], DAYS[2])
        for person in range(number)
    ]
    rare = [(person, COMMUNITIES[2], "glass", DAYS[0]) for person in range(3)]
    rare += [(person, COMMUNITIES[2], "glass", DAYS[2]) for person in range(8)]
    people = cube([*everywhere, *rare])
    hidden = withheld(people)
    assert Cell("month", date(2026, 1, 1), "310106", "glass") in hidden
    assert not [cell for cell in hidden if cell.area == "310106" and cell.kind == ALL]
    assert not worked_out(people, hidden) & {(cell,) for cell, number in people.items() if number < FEWEST}


def test_the_same_numbers_are_withheld_the_same_way() -> None:
    deeds = [
        (person % 11, COMMUNITIES[person % 5], KINDS[person % 3], DAYS[person % 6]) for person in range(40)
    ]
    people = cube(deeds)
    assert withheld(people) == withheld(dict(reversed(people.items())))


@pytest.mark.parametrize(
    ("unit", "area", "kind", "told"),
    [
        ("day", "310106", "walk", True),
        ("week", "310106006", ALL, True),
        ("day", "310106006", "walk", False),
        ("month", "310106006", "walk", True),
        ("month", "310106006001", ALL, True),
        ("day", "310106006001", ALL, False),
        ("year", "310106006001", "walk", False),
    ],
)
def test_what_is_offered(unit: str, area: str, kind: str, told: bool) -> None:
    assert offered(unit, area, kind) is told


# --- newcomers ---------------------------------------------------------------------------------------------


def newcomers_of(deeds: list[Deed]) -> dict[Cell, tuple[int, int]]:
    """Participants and newcomers of the cells of which these are told."""
    people: dict[Cell, set[int]] = defaultdict(set)
    new: dict[Cell, set[int]] = defaultdict(set)
    for person, community, _kind, day in sorted(deeds, key=lambda one: (one[3], one[1])):
        begins = not any(person in persons for persons in people.values())
        for unit, area in product(UNITS, areas_of(community)):
            if newcomers_offered(unit, area, ALL):
                cell = Cell(unit, CalendarPeriod.containing(unit, day).first, area, ALL)
                people[cell].add(person)
                if begins:
                    new[cell].add(person)
    return {cell: (len(persons), len(new[cell])) for cell, persons in people.items()}


def newcomers_worked_out(
    counts: dict[Cell, tuple[int, int]], hidden: frozenset[Cell]
) -> set[tuple[Cell, ...]]:
    """Which numbers of a few newcomers, or beside a few others, come back."""
    found = worked_out(
        {cell: new for cell, (_people, new) in counts.items()},
        frozenset(cell._replace(kind=ALL) for cell in hidden),
        (),
        tuple(product(COMMUNITIES, DAYS)),
        lambda community, day: [
            cell for cell in cells_of(community, ALL, day) if newcomers_offered(cell.unit, cell.area, ALL)
        ],
    )
    return found & {(cell,) for cell in few_newcomers(counts)}


def few_newcomers(counts: dict[Cell, tuple[int, int]]) -> frozenset[Cell]:
    return frozenset(
        cell
        for cell, (people, new) in counts.items()
        if 0 < new < FEWEST or (new and 0 < people - new < FEWEST)
    )


@settings(max_examples=60)
@given(DEEDS)
@example(
    [(person, community, "walk", day) for community in COMMUNITIES for day in DAYS for person in range(9)]
)
@example(
    [(person, COMMUNITIES[0], "walk", DAYS[0]) for person in range(9)]
    + [(person, COMMUNITIES[2], "walk", DAYS[0]) for person in range(9, 19)]
    + [(person, COMMUNITIES[0], "walk", DAYS[1]) for person in range(25)]
)
def test_of_a_few_newcomers_nothing_can_be_worked_out(deeds: list[Deed]) -> None:
    counts = newcomers_of(deeds)
    hidden = withheld_newcomers(counts)
    assert {cell.kind for cell in hidden} <= {NEWCOMERS}
    assert not newcomers_worked_out(counts, hidden)


def test_the_attack_works_where_only_a_few_newcomers_are_left_out() -> None:
    """The negative control: months from a quarter, 街镇 from the district."""
    deeds = [(person, COMMUNITIES[0], "walk", DAYS[0]) for person in range(9)]
    deeds += [(person + 10, COMMUNITIES[2], "walk", DAYS[0]) for person in range(9)]
    deeds += [(person, COMMUNITIES[0], "walk", DAYS[2]) for person in range(9)]
    deeds += [(person + 10, COMMUNITIES[2], "walk", DAYS[2]) for person in range(12)]
    counts = newcomers_of(deeds)
    february = Cell("month", date(2026, 2, 1), "310106", ALL)
    assert counts[february] == (21, 3)
    few = few_newcomers(counts)
    assert (february,) in newcomers_worked_out(counts, few)
    hidden = withheld_newcomers(counts)
    assert not newcomers_worked_out(counts, hidden)
    assert Cell("quarter", date(2026, 1, 1), "310106", NEWCOMERS) not in hidden
    assert Cell("year", date(2026, 1, 1), "310106", NEWCOMERS) not in hidden


# --- campaigns ---------------------------------------------------------------------------------------------

#: Some people, where, in what, when and in which campaign.
Block = tuple[int, int, str, str, date, str]
BLOCKS = st.lists(
    st.tuples(
        st.integers(0, 20),
        st.integers(1, 9),
        st.sampled_from(COMMUNITIES[:4]),
        st.sampled_from(KINDS[:2]),
        st.sampled_from(DAYS[:4]),
        st.sampled_from((NONE, NONE, "a", "b", "c")),
    ),
    max_size=20,
)


class District:
    """What some people did, in campaigns and outside; what is told of it; and what is left when campaigns are taken away."""

    def __init__(self, blocks: list[Block]) -> None:
        done = [
            (person, (community, kind, day, campaign))
            for first, number, community, kind, day, campaign in blocks
            for person in range(first, first + number)
        ]
        self.people = cube([(person, *one[:3]) for person, one in done])
        self.members: dict[str, set[int]] = defaultdict(set)
        self.where: dict[str, set[tuple[str, str, date]]] = defaultdict(set)
        self.doers: dict[Cell, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
        for person, (community, kind, day, campaign) in done:
            self.members[campaign].add(person)
            self.where[campaign].add((community, kind, day))
        self.told = sorted(one for one in self.members if one and len(self.members[one]) >= FEWEST)
        for person, (community, kind, day, campaign) in done:
            for cell in cells_of(community, kind, day):
                self.doers[cell][campaign if campaign in self.told else NONE].add(person)

    def beside(self, campaign: str, cell: Cell) -> People:
        return {one: persons for one, persons in self.doers[cell].items() if one != campaign}

    def left(self) -> Left:
        """What is left beside campaigns: of each there are figures of days by 街镇, and of months by community."""
        finest = {
            campaign: {
                Cell(unit, CalendarPeriod.containing(unit, day).first, area, kind)
                for community, kind, day in self.where[campaign]
                for unit, areas in (("day", areas_of(community)[1:]), ("month", areas_of(community)))
                for area in areas
            }
            for campaign in self.told
        }
        return beside_campaigns(self.people, finest, self.beside)

    def worked_out(self, hidden: frozenset[Cell]) -> set[str]:
        """What an attacker can work out who also knows what each campaign adds up to, and where it had records: what is left of few people when
        some campaigns are taken away from cells of a shape that hold them, and the campaigns of a few people.
        """
        left: dict[Cell, tuple[set[Cell], tuple[str, ...]]] = {}
        for number in range(1, len(self.told) + 1):
            for taken, (at, shape) in product(combinations(self.told, number), enumerate(SHAPES)):
                inside = {
                    cell
                    for campaign in taken
                    for one in self.where[campaign]
                    for cell in cells_of(*one)
                    if (cell.unit, len(cell.area), cell.kind != ALL) == shape
                }
                persons = {
                    person
                    for cell in inside
                    for campaign, some in self.doers[cell].items()
                    if campaign not in taken
                    for person in some
                }
                if 0 < len(persons) < FEWEST:
                    left[Cell("left", DAYS[0], "+".join(taken), str(at))] = inside, taken

        def cells(community: str, kind: str, day: date, campaign: str) -> list[Cell]:
            plain = cells_of(community, kind, day)
            whole = [Cell("campaign", DAYS[0], campaign, ALL)] if campaign else []
            of_left = [
                cell
                for cell, (inside, taken) in left.items()
                if campaign not in taken and not inside.isdisjoint(plain)
            ]
            return [*plain, *whole, *of_left]

        campaigns = {
            Cell("campaign", DAYS[0], one, ALL): len(self.members[one]) for one in self.members if one
        }
        untold = frozenset(cell for cell in campaigns if cell.area not in self.told)
        finest = [(*one, NONE) for one in FINEST]
        finest += [(*one, campaign) for campaign in self.members if campaign for one in self.where[campaign]]
        found = worked_out(self.people | campaigns, hidden | left.keys() | untold, (), finest, cells)
        wanted = left.keys() | untold | {cell for cell, number in self.people.items() if number < FEWEST}
        return {f"{cell.unit} {cell.area} {cell.kind}" for (cell,) in found if cell in wanted}


@settings(max_examples=60, derandomize=True)
@given(BLOCKS)
@example([(0, 9, COMMUNITIES[0], "walk", DAYS[0], "a"), (12, 2, COMMUNITIES[0], "walk", DAYS[0], NONE)])
@example(
    [(0, 9, COMMUNITIES[0], "walk", day, "a") for day in DAYS[:2]]
    + [(9, 6, COMMUNITIES[1], "glass", DAYS[0], "b"), (0, 9, COMMUNITIES[0], "walk", DAYS[2], NONE)]
    + [(20, 1, COMMUNITIES[1], "walk", DAYS[1], NONE), (20, 9, COMMUNITIES[2], "walk", DAYS[0], NONE)]
)
def test_with_what_campaigns_add_up_to_nothing_of_a_few_can_be_worked_out(blocks: list[Block]) -> None:
    district = District(blocks)
    assert not district.worked_out(withheld(district.people, *district.left()))


def test_the_days_of_a_campaign_do_not_hide_one_another_across_months() -> None:
    """All days but those of the campaign are told, and so is the quarter: then the sum of these days would be known."""
    district = District(
        [
            (3, 6, COMMUNITIES[0], "glass", DAYS[0], "a"),
            (15, 9, COMMUNITIES[1], "glass", DAYS[0], "a"),
            (15, 1, COMMUNITIES[0], "glass", DAYS[2], "a"),
            (3, 9, COMMUNITIES[1], "walk", DAYS[2], "a"),
            (15, 1, COMMUNITIES[1], "walk", DAYS[0], NONE),
            (3, 9, COMMUNITIES[0], "walk", DAYS[1], NONE),
        ]
    )
    people, together = district.left()
    assert district.worked_out(withheld(district.people, people)) == {"left a 0", "left a 2"}  # the control
    assert not district.worked_out(withheld(district.people, people, together))


def test_the_attack_works_where_campaigns_are_told_beside_the_cube() -> None:
    """The negative control: each cell is of enough people, and less the campaign of two."""
    district = District(
        [(0, 9, COMMUNITIES[0], "walk", DAYS[0], "a"), (12, 2, COMMUNITIES[0], "walk", DAYS[0], NONE)]
    )
    assert not withheld(district.people)
    assert "left a 0" in district.worked_out(frozenset())
    assert set(district.left().people.values()) == {2}


def test_a_campaign_beside_which_many_take_part_hides_nothing() -> None:
    blocks = [(0, 9, community, "walk", DAYS[0], "a") for community in COMMUNITIES[:2]]
    blocks += [(5, 9, community, "walk", DAYS[0], NONE) for community in COMMUNITIES]
    district = District(blocks)
    assert district.left() == Left({}, [])
    assert not withheld(district.people)
