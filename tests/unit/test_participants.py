"""Counts of distinct people: whatever changes in whatever order, they are what counting anew gives."""

from collections import defaultdict
from datetime import date
from typing import cast

from hypothesis import given, settings, strategies as st

from tanpuhui.participants import (
    ALL,
    Beginning,
    Cell,
    Change,
    Counts,
    Known,
    apply,
    areas_of,
    beginning,
    days_text,
    read_days,
)
from tanpuhui.periods import UNITS, CalendarPeriod

HERE, NEXT, AWAY = "310106006001", "310106006002", "310106011001"

CELLS = st.builds(
    Cell,
    st.sampled_from([HERE, NEXT, AWAY]),
    st.sampled_from(["walk", "glass"]),
    st.sampled_from(["", "spring"]),
)
#: Around the turns of years, where weeks belong to two of them.
DAYS = st.one_of(
    st.dates(date(2024, 12, 27), date(2025, 1, 7)), st.dates(date(2025, 12, 27), date(2026, 3, 3))
)


def counted(standing: set[tuple[date, Cell]]) -> dict[tuple[str, str, str, str, date], list[int]]:
    """What one resident with these standing actions adds to the counts, by counting."""
    found: dict[tuple[str, str, str, str, date], list[int]] = defaultdict(lambda: [0, 0])
    keys = {
        (unit, area, *scope, CalendarPeriod.containing(unit, day).first)
        for day, cell in standing
        for unit in UNITS
        for area in areas_of(cell.division_code)
        for scope in ((ALL, ALL), (cell.kind, ALL), *([(ALL, cell.campaign)] if cell.campaign else ()))
    }
    for key in keys:
        found[key][0] = 1
    if standing:
        day, division = min((day, cell.division_code) for day, cell in standing)
        for unit in UNITS:
            for area in areas_of(division):
                found[unit, area, ALL, ALL, CalendarPeriod.containing(unit, day).first][1] = 1
    return found


@settings(max_examples=150)
@given(st.lists(st.lists(st.tuples(DAYS, CELLS), min_size=1, max_size=6, unique=True), max_size=6))
def test_counts_are_what_counting_anew_gives(batches: list[list[tuple[date, Cell]]]) -> None:
    """Each batch turns over what it names: what stood is voided, what did not is recorded."""
    standing: set[tuple[date, Cell]] = set()
    years: dict[int, dict[Cell, int]] = {year: {} for year in range(2024, 2028)}
    known, counts = Known(years), cast(Counts, defaultdict(lambda: [0, 0]))
    for batch in batches:
        changes = [Change(day, cell, (day, cell) not in standing) for day, cell in batch]
        standing ^= set(batch)
        apply(known, changes, counts)
        assert {key: row for key, row in counts.items() if any(row)} == counted(standing)
    for cells in years.values():
        assert read_days(days_text(cells)) == {cell: bits for cell, bits in cells.items() if bits}


def test_who_began_in_another_year_is_no_newcomer_unless_a_late_record_comes_first() -> None:
    counts: Counts = defaultdict(lambda: [0, 0])
    cell = Cell(HERE, "walk", "")
    apply(
        Known({2026: {}}, {2025: Beginning(date(2025, 6, 5), AWAY)}),
        [Change(date(2026, 6, 5), cell, True)],
        counts,
    )
    assert all(newcomers == 0 for _people, newcomers in counts.values())

    apply(
        Known({2024: {}}, {2025: Beginning(date(2025, 6, 5), AWAY)}),
        [Change(date(2024, 6, 5), cell, True)],
        counts,
    )
    assert counts["year", "310106", ALL, ALL, date(2024, 1, 1)] == [1, 1]
    assert counts["year", AWAY, ALL, ALL, date(2025, 1, 1)] == [0, -1]


def test_the_beginning_is_the_first_day_and_the_lowest_community_of_it() -> None:
    assert beginning(2026, {}) is None
    assert beginning(2026, {Cell(HERE, "walk", ""): 0}) is None
    cells = {Cell(AWAY, "walk", ""): 0b1100, Cell(NEXT, "walk", ""): 0b0100, Cell(HERE, "glass", ""): 0b1000}
    assert beginning(2026, cells) == Beginning(date(2026, 1, 3), NEXT)
