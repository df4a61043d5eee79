"""The pure rule of when two records are one deed."""

from datetime import datetime

import pytest

from activities.clashes import ClashRule, one_deed, read_periods
from tanpuhui.clock import SHANGHAI

MEAL = ClashRule(
    clash_group="meal", within="period", minutes=120, periods="05:00-10:00 10:00-16:00 16:00-22:00"
)
DAY = ClashRule(clash_group="walk", within="day")
TRIP = ClashRule(clash_group="trip", within="minutes")


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-06-{text}").replace(tzinfo=SHANGHAI)


@pytest.mark.parametrize(
    ("rule", "first", "second", "same"),
    [
        (None, "05 08:00", "05 08:29", True),
        (None, "05 08:00", "05 08:30", False),
        (None, "05 23:50", "06 00:10", True),
        (TRIP, "05 08:00", "05 08:29", True),
        (TRIP, "05 08:00", "05 08:30", False),
        (MEAL, "05 10:00", "05 15:59", True),
        (MEAL, "05 10:00", "05 16:00", False),
        (MEAL, "05 09:59", "05 10:00", True),  # within the minutes, across the edge
        (MEAL, "05 07:00", "05 09:59", True),
        (MEAL, "05 12:00", "06 12:00", False),
        (MEAL, "05 22:30", "06 00:20", True),  # outside of every period the minutes hold
        (MEAL, "05 22:00", "06 00:00", False),
        (DAY, "05 00:00", "05 23:59", True),
        (DAY, "05 23:59", "06 00:29", False),
    ],
)
def test_when_two_records_are_one_deed(rule: ClashRule | None, first: str, second: str, same: bool) -> None:
    interval = 0 if rule is DAY else 30
    assert one_deed(rule, at(first), at(second), interval) is same
    assert one_deed(rule, at(second), at(first), interval) is same


@pytest.mark.parametrize("text", ["5-10", "10:00-09:00", "05:00-10:00 09:59-12:00", "05:00-24:30", "x"])
def test_periods_that_cannot_be_read(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_periods(text)
