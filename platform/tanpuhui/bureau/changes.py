"""A number beside what it was before: whether there is anything to compare, and by how much it changed.

Pure and exact: integers in, integers out. A share is in tenths of a percent, cut towards zero like every number of a page.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Course(StrEnum):
    """Where a number went, or why that cannot be said."""

    MORE = "more"
    LESS = "less"
    SAME = "same"
    NOTHING_THEN = "nothing_then"
    NOT_TOLD = "not_told"


@dataclass(frozen=True, slots=True)
class Change:
    """From then to now: `difference` in the unit of the number; `per_mille` of what it was then, None where that says nothing."""

    course: Course
    difference: int = 0
    per_mille: int | None = None


NOTHING_THEN = Change(Course.NOTHING_THEN)
NOT_TOLD = Change(Course.NOT_TOLD)


def change(now: int | None, then: int | None) -> Change:
    """From `then` to `now`; None is what nobody recorded or no factor is known for, with which nothing compares."""
    if now is None or then is None:
        return NOTHING_THEN
    difference = now - then
    share = abs(difference) * 1000 // then if then > 0 else None
    course = Course.SAME if not difference else Course.MORE if difference > 0 else Course.LESS
    return Change(course, abs(difference), share)


def changes(
    now: Mapping[str, int] | None, then: Mapping[str, int] | None, names: Sequence[str], *, recorded: bool
) -> dict[str, Change]:
    """The change of each number of `names`. A row that is None is not told; `recorded`: whether then anything was.

    A pollutant (`nox_ug`) is compared where both rows know a factor for some of their records, CO2e where both have some.
    """
    if not recorded:
        return dict.fromkeys(names, NOTHING_THEN)
    if now is None or then is None:
        return dict.fromkeys(names, NOT_TOLD)
    return {name: change(_known(now, name), _known(then, name)) for name in names}


def _known(row: Mapping[str, int], name: str) -> int | None:
    counted = f"{name.removesuffix('_ug')}_known" if name.endswith("_ug") else "own_actions"
    return row[name] if not name.endswith(("_ug", "_mg")) or row[counted] else None
