"""A number beside what it was before."""

import pytest

from tanpuhui.bureau.changes import NOT_TOLD, NOTHING_THEN, Change, Course, change, changes

ROW = {
    "actions": 9,
    "own_actions": 6,
    "co2e_mg": 1_500,
    "nox_ug": 40,
    "nox_known": 2,
    "so2_ug": 0,
    "so2_known": 0,
}
NAMES = ("actions", "co2e_mg", "nox_ug", "so2_ug")


@pytest.mark.parametrize(
    ("now", "then", "found"),
    [
        (12, 10, Change(Course.MORE, 2, 200)),
        (10, 12, Change(Course.LESS, 2, 166)),  # 16.66 % is cut, never rounded up
        (7, 7, Change(Course.SAME, 0, 0)),
        (5, 0, Change(Course.MORE, 5, None)),
        (0, 5, Change(Course.LESS, 5, 1000)),
        (3, -4, Change(Course.MORE, 7, None)),
        (None, 5, NOTHING_THEN),
        (5, None, NOTHING_THEN),
    ],
)
def test_a_change_is_exact_and_says_when_there_is_none(
    now: int | None, then: int | None, found: Change
) -> None:
    assert change(now, then) == found


def test_what_was_not_recorded_or_is_not_told_is_not_compared() -> None:
    assert set(changes(ROW, ROW, NAMES, recorded=False).values()) == {NOTHING_THEN}
    assert set(changes(ROW, None, NAMES, recorded=True).values()) == {NOT_TOLD}
    assert set(changes(None, ROW, NAMES, recorded=True).values()) == {NOT_TOLD}


def test_a_pollutant_without_a_factor_is_not_zero() -> None:
    found = changes(ROW, {**ROW, "nox_ug": 20}, NAMES, recorded=True)
    assert found["nox_ug"] == Change(Course.MORE, 20, 1000)
    assert found["so2_ug"] == NOTHING_THEN
    assert changes(ROW, {**ROW, "nox_known": 0}, NAMES, recorded=True)["nox_ug"] == NOTHING_THEN


def test_carbon_is_compared_where_the_district_had_records_of_its_own() -> None:
    then = {**ROW, "own_actions": 0, "co2e_mg": 0}
    found = changes(ROW, then, NAMES, recorded=True)
    assert found["co2e_mg"] == NOTHING_THEN
    assert found["actions"].course is Course.SAME
