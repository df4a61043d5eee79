"""Open data: datasets for everybody, each with a dictionary, a licence and files that say the same."""

import csv
import io
import json
import re
from datetime import timedelta
from typing import Any

import openpyxl
import pytest

from activities import source_register
from tanpuhui import clock
from tanpuhui.bureau.open_data import FORMS, KEPT, datasets
from tests.browser import browser
from tests.tables import contents, written
from tests.world import COMMUNITY, World


def taken(world: World, key: str, form: str = "json") -> Any:
    answer = world.client().get(f"/open-data/{key}.{form}")
    assert answer.status_code == 200, answer.text
    return json.loads(answer.data) if form == "json" else answer.data


def in_csv(body: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(body.decode("utf-8-sig"))))


def test_every_dataset_has_a_page_a_dictionary_and_the_same_rows_in_every_file(world: World) -> None:
    world.site("own_cup")
    world.pool()
    before = contents(world.house)
    visitor = browser(world)
    page = visitor.get("/open-data")
    assert "CC BY 4.0" in page
    found = datasets(world.house)
    assert len({one.key for one in found}) == len(found) >= 3
    for one in found:
        assert f'href="/open-data/{one.key}"' in page
        shown = visitor.get(f"/open-data/{one.key}").replace("<wbr>", "")
        keys = [column.key for column in one.table.columns]
        assert [key for key in keys if f"<code>{key}</code>" not in shown] == []
        for form in FORMS:
            assert f"/open-data/{one.key}.{form}" in shown or form == "en.xlsx"
        rows = taken(world, one.key)
        assert [column["key"] for column in rows["columns"]] == keys
        assert [
            column for column in rows["columns"] if re.search("[\u4e00-\u9fff]", column["name"]["en"])
        ] == []
        assert rows["licence"] == "CC BY 4.0"
        assert rows["rows"] or one.key == "monthly"  # which begins with the first report
        lines = in_csv(taken(world, one.key, "csv"))
        assert len(lines) == len(rows["rows"])
        for form in ("zh.xlsx", "en.xlsx"):
            sheet = openpyxl.load_workbook(io.BytesIO(taken(world, one.key, form))).worksheets[0]
            assert [str(cell.value) for cell in sheet["A"][1:]] == [row[keys[0]] for row in rows["rows"]]
    assert written(before, contents(world.house)) == {}


def test_sites_are_told_with_their_number_in_the_register_and_factors_with_their_source(world: World) -> None:
    site = world.site("own_cup", "clean_plate", name="=静安食堂")
    world.open_self_reports("walk")  # a desk that is no place
    source_register.set_number(world.house, world.organiser, site.id, "SH-0042", "区源清单")
    (row,) = taken(world, "sites")["rows"]
    assert row == {
        "site": str(site.id), "source_register": "SH-0042", "name": "=静安食堂", "kind": "canteen",
        "street_code": "310106006", "street": row["street"], "community_code": COMMUNITY, "community": row["community"],
        "open": True, "hours": None, "kinds": "clean_plate own_cup", "latitude": None, "longitude": None, "datum": None,
    }  # fmt: skip
    assert in_csv(taken(world, "sites", "csv"))[0]["name"] == "'=静安食堂"
    (plate,) = [row for row in taken(world, "factors")["rows"] if row["factor_version"] == "clean_plate@1"]
    assert (plate["co2e_low_ng"], plate["nox_ng"], plate["city_credited"]) == (144_000_000_000, None, False)
    assert plate["source"]
    metro = [row for row in taken(world, "factors")["rows"] if row["kind"] == "metro_trip"]
    assert metro[0]["city_credited"] is True


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_file_is_made_once_in_some_minutes_and_says_when(world: World) -> None:
    world.site("own_cup")
    now = clock.now()
    with clock.pretending(now):
        first = world.client().get("/open-data/sites.json")
        world.site("own_cup")
        assert len(taken(world, "sites")["rows"]) == 1
    with clock.pretending(now + KEPT):
        assert len(taken(world, "sites")["rows"]) == 2
    with clock.pretending(now - timedelta(days=2)):
        assert len(taken(world, "sites")["rows"]) == 2  # a clock that was set back keeps nothing for ever
    assert first.headers["Cache-Control"] == "public, max-age=300"
    assert first.headers["Access-Control-Allow-Origin"] == "*"
    assert json.loads(first.data)["read_at"].startswith(f"{now:%Y-%m-%dT%H:%M}")


@pytest.mark.parametrize("engine", ["sqlite"])
def test_what_there_is_not_is_not_found(world: World) -> None:
    client = world.client()
    for path in ("nothing", "nothing.csv", "sites.pdf", "sites.xlsx", "sites.fr.xlsx", "..%2f.csv"):
        assert client.get(f"/open-data/{path}").status_code == 404, path
    assert client.post("/open-data/sites.csv").status_code == 405
