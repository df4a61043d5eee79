"""Small numbers are left out of tables, and nobody can work them out again from what is told."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import combinations

from hypothesis import given, settings, strategies

from tanpuhui.bureau.suppression import FEWEST, Sum, left_out

Cell = str


def in_the_span(rows: Sequence[Sequence[Fraction]], wanted: Sequence[Fraction]) -> bool:
    """Whether `wanted` is a combination of `rows`: by elimination, in exact fractions."""
    reduced: list[list[Fraction]] = []
    for row in [*rows, wanted]:
        left = list(row)
        for pivot in reduced:
            at = next(index for index, value in enumerate(pivot) if value)
            left = [value - left[at] / pivot[at] * other for value, other in zip(left, pivot, strict=True)]
        if any(left):
            reduced.append(left)
        elif row is wanted:
            return True
    return False


def given_away(
    people: dict[Cell, int], sums: Sequence[Sum[Cell]], hidden: frozenset[Cell]
) -> Iterator[set[Cell]]:
    """What an attacker works out who knows all that is told and how it adds up: groups of cells of fewer than five people."""
    unknown = sorted(hidden)
    place = {cell: index for index, cell in enumerate(unknown)}
    equations = []
    for one in sums:
        row = [Fraction(0)] * len(unknown)
        for cell in one.parts:
            if cell in place:
                row[place[cell]] += 1
        if one.total in place:
            row[place[one.total]] -= 1
        equations.append(row)
    for size in (1, 2, 3):
        for group in combinations(unknown, size):
            # Parts have people of their own here, so that a group's people are counted exactly.
            if sum(people[cell] for cell in group) < FEWEST:
                wanted = [Fraction(cell in group) for cell in unknown]
                if in_the_span(equations, wanted):
                    yield set(group)


def district(sizes: Sequence[Sequence[int]], kinds: Sequence[int]) -> tuple[dict[Cell, int], list[Sum[Cell]]]:
    """A table by street and community, and one by kind, of the same people; the total is public."""
    people: dict[Cell, int] = {}
    sums: list[Sum[Cell]] = []
    for street, communities in enumerate(sizes):
        people[f"s{street}"] = sum(communities)
        parts = tuple(f"s{street}c{number}" for number in range(len(communities)))
        people |= dict(zip(parts, communities, strict=True))
        sums.append(Sum(parts, f"s{street}"))
    sums.append(Sum(tuple(f"s{street}" for street in range(len(sizes)))))
    people |= {f"k{number}": size for number, size in enumerate(kinds)}
    sums.append(Sum(tuple(f"k{number}" for number in range(len(kinds)))))
    return people, sums


SIZES = strategies.lists(strategies.integers(0, 12), min_size=1, max_size=4)


@settings(max_examples=150, deadline=None)
@given(strategies.lists(SIZES, min_size=1, max_size=4), SIZES)
def test_nothing_of_a_few_can_be_worked_out(sizes: list[list[int]], kinds: list[int]) -> None:
    people, sums = district(sizes, kinds)
    if min(sum(map(sum, sizes)), sum(kinds)) < FEWEST:
        return  # the public total itself is not told then, and nothing else is
    hidden = left_out(people, sums)
    assert {cell for cell, number in people.items() if 0 < number < FEWEST} <= hidden
    assert not any(people[cell] == 0 for cell in hidden)
    assert list(given_away(people, sums, hidden)) == []


def test_the_attacker_finds_what_plain_suppression_gives_away() -> None:
    """The negative control: with only the small cells left out, subtraction brings them back."""
    people, sums = district([[9, 2], [8, 7]], [3, 23])
    small = frozenset(cell for cell, number in people.items() if 0 < number < FEWEST)
    assert small == {"s0c1", "k0"}
    assert list(given_away(people, sums, small)) == [{"k0"}, {"s0c1"}]
    assert left_out(people, sums) == {"s0c0", "s0c1", "k0", "k1"}


def test_of_several_small_ones_the_sum_is_not_told_either() -> None:
    """Two cells of one person each: their sum would be of two people."""
    assert left_out({"a": 1, "b": 1, "c": 6, "d": 9}, [Sum(("a", "b", "c", "d"))]) == {"a", "b", "c"}


def test_a_total_that_is_left_out_is_not_added_up_again() -> None:
    """A street that is left out for another one's sake keeps one of its communities back."""
    people = {"s0": 3, "s0c0": 3, "s1": 12, "s1c0": 5, "s1c1": 7, "s2": 20, "s2c0": 20}
    sums = [Sum(("s0c0",), "s0"), Sum(("s1c0", "s1c1"), "s1"), Sum(("s2c0",), "s2"), Sum(("s0", "s1", "s2"))]
    assert left_out(people, sums) == {"s0", "s0c0", "s1", "s1c0"}


def test_what_is_large_enough_is_told() -> None:
    assert left_out({"a": 5, "b": 6, "c": 0}, [Sum(("a", "b", "c"))]) == frozenset()
