"""Statistics to take away: the numbers of the API in three forms, small ones withheld; what cannot be asked is answered in words."""

import csv
import io
import json
from datetime import timedelta
from typing import Any

import openpyxl

from tanpuhui import clock
from tanpuhui.staff import Role
from tests.browser import browser
from tests.world import OTHER_COMMUNITY, STREET, World

PATH = "/bureau/statistics"


def test_the_files_say_what_the_api_says_and_the_same_in_every_form(world: World) -> None:
    plate, metro = world.code("clean_plate"), world.code("metro_trip")
    for resident in [*world.residents(6), *(world.resident(OTHER_COMMUNITY) for _ in range(7))]:
        world.scan(resident, plate)
        world.scan(resident, metro, quantity=5)
    world.house.relay.drain()
    officer = browser(world, world.officer)
    assert f'action="{PATH}"' in officer.get(PATH)
    assert f'href="{PATH}"' in officer.get("/bureau")
    today = clock.today()
    asked = f"{PATH}?from={today}&to={today}&by=kind&form="

    def taken(form: str) -> Any:
        answer = officer.client.get(asked + form)
        assert answer.status_code == 200
        return answer.data

    rows = json.loads(taken("json"))["rows"]
    token = world.token(world.officer, Role.OFFICER)
    query = {"from": str(today), "to": str(today), "by": "kind"}
    told = world.call("GET", "/statistics", token, query_string=query).get_json()["rows"]
    for line in told:
        (whole,) = (row for row in rows if row["kind"] == line["kind"] and row["part"] == "all")
        assert (
            (whole["participants"], whole["records"]) == (line["participants"], line["actions"]) == (13, 13)
        )
        part = "city" if line["kind"] == "metro_trip" else "verified"
        (one,) = (row for row in rows if row["kind"] == line["kind"] and row["part"] == part)
        assert round(one["co2e_low_kg"] * 10**6) == line[f"{part}_co2e_mg"] > 0
        assert one["so2_g"] is None
    lines = list(csv.DictReader(io.StringIO(taken("csv").decode("utf-8-sig"))))
    sheet = openpyxl.load_workbook(io.BytesIO(taken("xlsx"))).worksheets[0]
    assert len(lines) == len(rows) == sheet.max_row - 1 == 4
    for at, (line, row) in enumerate(zip(lines, rows, strict=True), start=2):
        assert line == {key: _in_csv(value) for key, value in row.items()}
        assert [cell.value for cell in sheet[at]] == list(row.values())


def _in_csv(value: Any) -> str:
    if value is None:
        return ""
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def test_the_page_is_taken_away_with_its_filters(world: World) -> None:
    plate, cup = world.code("clean_plate"), world.code("own_cup")
    for resident in [*world.residents(6), *(world.resident(OTHER_COMMUNITY) for _ in range(7))]:
        world.scan(resident, plate)
        world.scan(resident, cup)
    world.house.relay.drain()
    officer = browser(world, world.officer)
    today = clock.today()
    query = f"period={today}&area={STREET}"
    assert f"{PATH}.xlsx?" in officer.get(f"/bureau?{query}")
    rows = json.loads(officer.client.get(f"{PATH}.json?period={today}").data)["rows"]
    wholes = [
        (row["area"], row["kind"], row["records"]) for row in rows if row["part"] == "all" and row["records"]
    ]
    assert wholes == [
        ("310106", None, 26), ("310106", "clean_plate", 13), ("310106", "own_cup", 13),
        (STREET, None, 12), (OTHER_COMMUNITY[:9], None, 14),
    ]  # fmt: skip
    (one,) = (row for row in rows if (row["area"], row["part"], row["kind"]) == (STREET, "verified", None))
    assert one["period"] == str(today)
    for form in ("csv", "xlsx"):
        assert officer.client.get(f"{PATH}.{form}?{query}").status_code == 200
    for wrong, words in (
        ("area=999999", "没有这个街镇"),
        ("period=2026-13", "请填写年"),
        ("kind=x", "没有这种"),
    ):
        page = officer.get(f"{PATH}.csv?{wrong}")
        assert (officer.status, words in page) == (422, True), wrong


def test_small_numbers_are_empty_and_flagged_never_zero(world: World) -> None:
    world.scan(world.resident(), world.code("clean_plate"))
    world.house.relay.drain()
    today = clock.today()
    officer = browser(world, world.officer)
    (row,) = json.loads(
        officer.client.get(f"{PATH}?from={today}&to={today}&by=division,kind&form=json").data
    )["rows"]
    assert row["hidden"] is True
    assert {
        value for key, value in row.items() if key in {"participants", "records", "points", "co2e_low_kg"}
    } == {None}


def test_what_cannot_be_asked_is_answered_in_words(world: World) -> None:
    officer, today = browser(world, world.officer), clock.today()
    year = f"from={today - timedelta(days=365)}&to={today}"
    for query, words in (
        (f"from={today}&to={today - timedelta(days=1)}", "结束日期应不早于开始日期"),
        ("from=昨天", "请填写日期"),
        (f"from=2001-01-01&to={today}", "一次最多查看三年"),
        (f"{year}&by=hour", "时间最细到天"),
        (f"{year}&by=day&by=minute", "时间最细到天"),
    ):
        page = officer.get(f"{PATH}?{query}&form=xlsx")
        assert (officer.status, words in page) == (422, True), query
    future = today + timedelta(days=30)
    assert (
        json.loads(officer.client.get(f"{PATH}?from={future}&to={future}&by=kind&form=json").data)["rows"]
        == []
    )
    officer.get(f"{PATH}?form=pdf")
    assert officer.status == 200
    assert world.client().get(PATH).status_code in {302, 303}
    stranger = browser(world, world.organiser)
    stranger.get(PATH)
    assert stranger.status == 403
