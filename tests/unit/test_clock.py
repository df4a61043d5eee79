"""Time: UTC inside, days in Shanghai."""

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta

import pytest
import time_machine
from hypothesis import given, strategies as st

from tanpuhui import clock


def test_now_is_aware_and_utc() -> None:
    with time_machine.travel(datetime(2027, 6, 7, 20, 0, tzinfo=UTC), tick=False):
        assert clock.now() == datetime(2027, 6, 7, 20, 0, tzinfo=UTC)
        assert clock.now().tzinfo is UTC
        assert clock.today() == date(2027, 6, 8)
        assert clock.local(clock.now()).hour == 4


@pytest.mark.parametrize(
    ("moment", "day"),
    [("2027-06-07T15:59:59.999999", date(2027, 6, 7)), ("2027-06-07T16:00:00", date(2027, 6, 8))],
)
def test_a_day_begins_at_midnight_in_shanghai(moment: str, day: date) -> None:
    assert clock.day_of(datetime.fromisoformat(moment).replace(tzinfo=UTC)) == day


@given(st.dates(date(1900, 1, 2), date(2100, 1, 1)))
def test_the_bounds_of_a_day_hold_exactly_that_day(day: date) -> None:
    """Also on the days of the last century when Shanghai put its clocks forward or back."""
    start, end = clock.day_bounds(day)
    assert start.tzinfo is end.tzinfo is UTC
    assert clock.day_of(start) == day
    assert clock.day_of(end - timedelta(microseconds=1)) == day
    assert clock.day_of(start - timedelta(microseconds=1)) == day - timedelta(days=1)
    assert clock.day_bounds(day + timedelta(days=1))[0] == end


def test_pretending_ends() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    with suppress(ValueError), clock.pretending(moment):
        assert clock.now() == moment
        raise ValueError
    assert clock.now() > moment
