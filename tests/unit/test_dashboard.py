"""The dashboard's rules that need no database: views and their addresses, tiles, what can be compared."""

import csv
from datetime import date
from pathlib import Path

import pytest

import tanpuhui
from tanpuhui.bureau.dashboard import Line, pair_of
from tanpuhui.bureau.pages import levels
from tanpuhui.bureau.populations import per_thousand
from tanpuhui.bureau.tiles import tile_rows
from tanpuhui.bureau.view import View
from tanpuhui.periods import CalendarPeriod

DATA = Path(tanpuhui.__file__).parent / "data"
JUNE = CalendarPeriod.parse("2026-06")


def test_a_view_is_its_address() -> None:
    view = View(JUNE, "310106")
    assert view.address() == {"period": "2026-06"}
    assert view.address(area="310106006", kind="walk") == {
        "period": "2026-06",
        "kind": "walk",
        "area": "310106006",
    }
    assert View(JUNE, "310106006", campaign="c").address(campaign=None, period=JUNE.before()) == {
        "period": "2026-05",
        "area": "310106006",
    }


@pytest.mark.parametrize(
    ("name", "parts"), [("2026-06-05", 0), ("2026-W23", 7), ("2026-06", 30), ("2026-Q2", 3), ("2026", 12)]
)
def test_a_period_is_divided_into_what_can_be_read(name: str, parts: int) -> None:
    view = View(CalendarPeriod.parse(name), "310106")
    assert len(view.parts) == parts
    if parts:
        assert view.parts[0].first == view.period.first
        assert view.parts[-1].last == view.period.last


def test_every_street_has_one_tile() -> None:
    with (DATA / "divisions_310106.csv").open(encoding="utf-8", newline="") as text:
        streets = sorted(row["code"] for row in csv.DictReader(text) if row["level"] == "street")
    rows = tile_rows("310106")
    assert sorted(code for row in rows for code in row if code) == streets
    assert len({len(row) for row in rows}) == 1
    assert tile_rows("999999") == ()


def test_the_tile_of_most_is_the_darkest_and_none_is_dark_for_nothing() -> None:
    saved = {"a": 1_000, "b": 501, "c": 1, "d": 0, "e": -5}
    places = [Line(of, {"co2e_mg": amount, "withheld": None}) for of, amount in saved.items()]
    assert levels([*places, Line("f", {"co2e_mg": None, "withheld": "few"})]) == {
        "a": 4,
        "b": 3,
        "c": 1,
        "d": 0,
        "e": 0,
        "f": 0,
    }
    assert levels([]) == {}


def test_pollution_is_compared_where_every_record_has_a_factor() -> None:
    row = {"own_actions": 3, "nox_known": 3, "nox_ug": 30, "co2e_mg": 900}
    row |= {"city_actions": 2, "city_nox_known": 1, "city_nox_ug": 8, "city_co2e_mg": 70}
    whole, partly = pair_of(row, "nox"), pair_of(row, "nox", city=True)
    assert (whole.compared, whole.compared_ug, whole.compared_co2e_mg) == (3, 30, 900)
    assert (partly.known, partly.ug, partly.compared, partly.compared_co2e_mg) == (1, 8, 0, 0)


def test_participation_for_a_thousand_residents_is_cut_down() -> None:
    assert per_thousand(12, 8_000) == 15
    assert per_thousand(1, 3_000) == 3
    assert per_thousand(0, 5) == 0


def test_the_name_of_a_view_survives_the_turn_of_the_year() -> None:
    week = CalendarPeriod.containing("week", date(2026, 1, 1))
    assert View(week, "310106").address() == {"period": "2026-W01"}
