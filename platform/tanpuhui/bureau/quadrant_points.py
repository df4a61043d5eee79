"""Kinds of action as points in the picture of the co-control quadrants: a picture for each pollutant."""

from collections.abc import Sequence
from typing import NamedTuple

from tanpuhui.bureau.cocontrol import Pair, Quadrant, quadrant
from tanpuhui.bureau.synergy import KindPart
from tanpuhui.measures import POLLUTANTS


class Point(NamedTuple):
    """A kind of action in the picture of the quadrants, from -100 to 100; `number` is that of its row beside it."""

    number: int
    kind: str
    pair: Pair
    x: int
    y: int
    place: Quadrant


def points(kinds: Sequence[KindPart]) -> dict[str, list[Point]]:
    """For each pollutant that can be compared, where the kinds of action lie; each axis to its own scale."""
    shown = [kind for kind in kinds if any(pair.compared for pair in kind.pairs.values())]
    found = {}
    for name in POLLUTANTS:
        pairs = {
            (number, kind.kind): kind.pairs[name]
            for number, kind in enumerate(shown, 1)
            if kind.pairs[name].compared
        }
        widest = max((abs(pair.compared_co2e_mg) for pair in pairs.values()), default=0)
        highest = max((abs(pair.compared_ug) for pair in pairs.values()), default=0)
        found[name] = [
            Point(
                *which,
                pair,
                _along(pair.compared_co2e_mg, widest),
                _along(pair.compared_ug, highest),
                quadrant(pair.compared_co2e_mg, pair.compared_ug),
            )
            for which, pair in pairs.items()
        ]
    return {name: points for name, points in found.items() if points}


def _along(value: int, most: int) -> int:
    """`value` to a scale of `most` = 100; what is off the axis is seen to be."""
    if not value:
        return 0
    return max(12, abs(value) * 100 // most) * (1 if value > 0 else -1)
