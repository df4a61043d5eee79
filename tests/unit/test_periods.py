"""Calendar periods: where they begin and end, their names, and their neighbours."""

import itertools
from datetime import date, timedelta

import pytest
from hypothesis import given, strategies as st

from tanpuhui.errors import InvalidField
from tanpuhui.periods import UNITS, CalendarPeriod

DAYS = st.dates(date(2000, 1, 8), date(2099, 12, 20))


@given(st.sampled_from(UNITS), DAYS)
def test_a_period_holds_its_days_and_follows_the_one_before(unit: str, day: date) -> None:
    period = CalendarPeriod.containing(unit, day)
    assert period.first <= day <= period.last
    assert CalendarPeriod.containing(unit, period.last) == period
    assert period.before().last == period.first - timedelta(days=1)
    assert period.before().after() == period
    assert CalendarPeriod.parse(period.name) == period


@given(
    st.sampled_from(
        [("week", "day"), ("month", "day"), ("quarter", "month"), ("year", "month"), ("year", "quarter")]
    ),
    DAYS,
)
def test_parts_make_up_the_whole(units: tuple[str, str], day: date) -> None:
    whole, part = units
    period = CalendarPeriod.containing(whole, day)
    parts = period.parts(part)
    assert (parts[0].first, parts[-1].last) == (period.first, period.last)
    assert all(one.after() == other for one, other in itertools.pairwise(parts))


@pytest.mark.parametrize(
    ("name", "first", "last", "year_before"),
    [
        ("2026", date(2026, 1, 1), date(2026, 12, 31), "2025"),
        ("2026-Q2", date(2026, 4, 1), date(2026, 6, 30), "2025-Q2"),
        ("2024-02", date(2024, 2, 1), date(2024, 2, 29), "2023-02"),
        ("2024-02-29", date(2024, 2, 29), date(2024, 2, 29), "2023-02-28"),
        ("2026-W23", date(2026, 6, 1), date(2026, 6, 7), "2025-W23"),
        ("2020-W53", date(2020, 12, 28), date(2021, 1, 3), "2019-W52"),
    ],
)
def test_names(name: str, first: date, last: date, year_before: str) -> None:
    period = CalendarPeriod.parse(name)
    assert (period.first, period.last, period.name) == (first, last, name)
    assert period.year_before().name == year_before


@pytest.mark.parametrize(
    "name",
    [
        "",
        "26",
        "2026-13",
        "2026-00",
        "2026-W54",
        "2026-W00",
        "2025-W53",
        "2026-Q5",
        "2026-02-30",
        "1999",
        "2100",
        "2026-6",
        "今天",
    ],
)
def test_what_is_no_period_is_refused(name: str) -> None:
    with pytest.raises(InvalidField):
        CalendarPeriod.parse(name)
