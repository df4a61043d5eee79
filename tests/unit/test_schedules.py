"""Opening hours that can be checked."""

import contextlib
from datetime import datetime

import pytest
from hypothesis import given, strategies as st

from activities.schedules import DAYS, read_schedule
from tanpuhui.clock import SHANGHAI
from tanpuhui.errors import InvalidField


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """A moment of the week of Monday 2027-06-07 in Shanghai."""
    return datetime(2027, 6, 7 + day, hour, minute, tzinfo=SHANGHAI)


def test_hours_hold_to_the_minute() -> None:
    schedule = read_schedule("Mo-Fr 07:00-09:00,11:00-13:00; Sa 08:00-24:00")
    assert schedule is not None
    opened = {
        (0, 6, 59): False,
        (0, 7, 0): True,
        (0, 8, 59): True,
        (0, 9, 0): False,
        (4, 12, 30): True,
        (5, 7, 59): False,
        (5, 23, 59): True,
        (6, 12, 0): False,
    }
    assert {moment: schedule.open_at(at(*moment)) for moment in opened} == opened


def test_nothing_said_is_no_schedule() -> None:
    assert read_schedule("") is None


@pytest.mark.parametrize(
    "text",
    [
        "07:00-19:00",
        "Mo 7:00-19:00",
        "Mo 19:00-07:00",
        "Mo 07:00-07:00",
        "Mo 07:00-24:01",
        "Mo 25:00-26:00",
        "Fr-Mo 07:00-19:00",
        "Xx 07:00-19:00",
        "Mo 07:00-10:00,09:00-12:00",
        "Mo 07:00-10:00; Mo 11:00-12:00",
        "Mo-Fr",
        ";",
        "周一 07:00-19:00",
        "Mo 07:00-19:00; " * 20,
    ],
)
def test_what_cannot_be_read_is_refused_in_its_field(text: str) -> None:
    with pytest.raises(InvalidField) as error:
        read_schedule(text)
    assert [entry["field"] for entry in error.value.params["errors"]] == ["schedule"]


@given(st.text(max_size=140))
def test_whatever_is_typed_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidField):
        read_schedule(text)


@given(st.integers(0, 6), st.integers(0, 23), st.integers(0, 59), st.integers(0, 6))
def test_a_day_is_open_in_its_own_hours_only(day: int, hour: int, minute: int, other: int) -> None:
    schedule = read_schedule(f"{DAYS[day]} {hour:02}:{minute:02}-24:00")
    assert schedule is not None
    assert schedule.open_at(at(day, hour, minute))
    assert schedule.open_at(at(other, hour, minute)) is (other == day)
