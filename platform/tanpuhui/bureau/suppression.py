"""Suppression: what is left out of published tables, so that nobody can be found out in them.

Of fewer than `FEWEST` people nothing is told. Nor may a cell that is left out come back by subtraction: tables add up, to each other
and to totals that are public anyway. So beside a small cell another one is left out, until of every sum either all is told, or
what is missing stands for at least two cells and at least `FEWEST` people.

This guards against adding and subtracting what is published. It does not guard against what somebody knows of their neighbours, nor
against sums worked back with published factors; who tells several amounts of one cell tells them all or none.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

#: Of fewer people than this nothing is told.
FEWEST = 5

Cell = TypeVar("Cell")


@dataclass(frozen=True)
class Sum(Generic[Cell]):
    """Cells that add up to another one; without `total`, to a number that is known anyway.

    A cell is a part of one sum and the total of one sum at most for each way in which a table is divided: then a sum cannot be
    worked out from several others, if none gives anything away by itself.
    """

    parts: tuple[Cell, ...]
    total: Cell | None = None


def told(people: int) -> bool:
    """Whether a number of so many people is told: of nobody, or of enough."""
    return people == 0 or people >= FEWEST


def left_out(people: Mapping[Cell, int], sums: Iterable[Sum[Cell]]) -> frozenset[Cell]:
    """The cells that are not told. `people`: how many distinct people each cell stands for; a cell of nobody is always told."""
    hidden = {cell for cell, number in people.items() if not told(number)}
    divided = list(sums)
    while more := {cell for one in divided for cell in _more(one, people, hidden)} - hidden:
        hidden |= more
    return frozenset(hidden)


def _more(one: Sum[Cell], people: Mapping[Cell, int], hidden: Collection[Cell]) -> Iterable[Cell]:
    """What has to be left out besides, so that this sum gives nothing away."""
    parts = [cell for cell in one.parts if people[cell]]
    missing = [cell for cell in parts if cell in hidden]
    shown = sorted((cell for cell in parts if cell not in hidden), key=lambda cell: (people[cell], str(cell)))
    total_is_missing = one.total is not None and one.total in hidden
    if not missing:
        return shown[:1] if total_is_missing else ()  # or it could be added up again
    if not shown:
        # All of it is missing: what is missing is the total, and told with it.
        return (one.total,) if one.total is not None and len(missing) == 1 and one.total in people else ()
    # Distinct people of several cells are at least those of the largest.
    enough = max(people[cell] for cell in missing) >= FEWEST
    return () if enough and (len(missing) > 1 or total_is_missing) else shown[:1]
