"""The sheet of factors: read whole or refused with file, line, column and reason; written, it gives equal versions."""

import csv
import io
import random
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, strategies as st
from sqlmodel import select

from activities.catalogue import NAMES_FILE, PACKAGE_DATA, ActionKind
from activities.quantify.factor_sheet import FACTORS_FILE, row_values, write_sheet
from activities.quantify.factors import (
    POLLUTANTS,
    Confidence,
    FactorValues,
    FactorVersion,
    all_versions,
    valid_on,
)
from activities.quantify.methodologies import ScenarioKind
from tanpuhui import csvtext
from tanpuhui.errors import InvalidReference
from tanpuhui.reference import current_version, load_reference, read_sheets
from tanpuhui.rooms import House, build_house
from tests.databases import Shelf, settings_for
from tests.sheets import Change, edit, reference_copy, setting
from tests.tables import contents, written
from tests.world import World

SHEET = "factors.csv"
METHODS = "methodologies.csv"

#: Rows of the packages' file, counted from 0.
PLATE, BIKE, WALK = 0, 13, 15


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a copy of the packages' reference files, to be spoilt."""
    return reference_copy(tmp_path)


@pytest.fixture
def loaded(world: World) -> House:
    """A house with the packages' reference data."""
    return world.house


def refusals(house: House, folder: Path) -> list[tuple[str, int, str, str]]:
    """What a load of `folder` is refused for; nothing in any table may have changed."""
    before = contents(house)
    with pytest.raises(InvalidReference) as caught:
        load_reference(house, folder)
    assert written(before, contents(house)) == {}
    return [tuple(problem.values()) for problem in caught.value.params["errors"]]


def only(folder: Path, name: str = SHEET) -> Path:
    """The folder with no other file than `name`."""
    for other in set(folder.glob("*.csv")) - {folder / name}:
        other.unlink()
    return folder / name


def without(column: str) -> Change:
    """A change that takes a column away."""
    return lambda rows: [row.pop(column) for row in rows]


def another(index: int, **cells: str) -> Change:
    """A change that adds a row like one there is, but for some cells."""
    return lambda rows: rows.append({**rows[index], **cells})


def keeping(row: dict[str, str]) -> Change:
    """A change that leaves one row and no other."""
    return lambda rows: rows.__setitem__(slice(None), [row])


def both(*changes: Change) -> Change:
    """Several changes."""
    return lambda rows: [change(rows) for change in changes]


# --- bad rows -----------------------------------------------------------------------------------------------

# file, change, then line, column and reason of the one problem told
BAD: list[tuple[str, Change, int, str, str]] = [
    # parts missing or negative
    (SHEET, setting(PLATE, co2e_g_low=""), 2, "co2e_g_low", "must not be empty"),
    (SHEET, setting(PLATE, co2e_g_mid=""), 2, "co2e_g_mid", "must not be empty"),
    (SHEET, setting(PLATE, co2e_g_high=" "), 2, "co2e_g_high", "must not be empty"),
    (SHEET, setting(PLATE, co2e_g_low="-144"), 2, "co2e_g_low", "-144 is negative"),
    (SHEET, setting(PLATE, co2e_g_high="-0.001"), 2, "co2e_g_high", "-0.001 is negative"),
    (SHEET, setting(PLATE, co2e_g_low="144 g"), 2, "co2e_g_low", "'144 g' is not a number"),
    (SHEET, setting(PLATE, co2e_g_low="1,440"), 2, "co2e_g_low", "'1,440' is not a number"),
    (SHEET, setting(PLATE, co2e_g_low="1e2"), 2, "co2e_g_low", "'1e2' is not a number"),
    (SHEET, setting(PLATE, co2e_g_low="341"), 2, "co2e_g_low", "larger than co2e_g_mid"),
    (SHEET, setting(BIKE, nox_mg="?"), 15, "nox_mg", "'?' is not a number"),
    (SHEET, setting(BIKE, nox_mg="9000001"), 15, "nox_mg", "larger than 9000000"),
    (SHEET, setting(BIKE, nox_mg="0.0000001"), 15, "nox_mg", "more than 6 decimals"),
    (SHEET, setting(BIKE, baseline=""), 15, "baseline", "must not be empty"),
    (SHEET, setting(BIKE, region=""), 15, "region", "must not be empty"),
    (SHEET, without("so2_mg"), 1, "so2_mg", "the column is missing"),
    (SHEET, without("source"), 1, "source", "the column is missing"),
    # a version without source
    (SHEET, setting(WALK, source=""), 17, "source", "must not be empty"),
    (SHEET, setting(WALK, source=" \t "), 17, "source", "must not be empty"),
    (SHEET, setting(WALK, source_year=""), 17, "source_year", "must not be empty"),
    (SHEET, setting(WALK, confidence="Z"), 17, "confidence", "'Z' is not one of: A, B, C, D"),
    # a pollutant that is none of the five
    (
        *(SHEET, setting(PLATE, nh3_mg="1"), 1, "nh3_mg"),
        "unknown column: the pollutants are nox_mg, pm25_mg, voc_mg, so2_mg, co_mg",
    ),
    (SHEET, setting(PLATE, remark="x"), 1, "remark", "unknown column"),
    # units
    (SHEET, setting(PLATE, unit="ton"), 2, "unit", "write t (1,000 kg) or short ton (907.18474 kg)"),
    (SHEET, setting(PLATE, unit="tons of food"), 2, "unit", "ton is ambiguous"),
    (SHEET, setting(PLATE, unit=""), 2, "unit", "must not be empty"),
    # days
    (
        *(SHEET, setting(PLATE, valid_from="2026-02-02", valid_to="2026-02-01"), 2, "valid_to"),
        "ends (2026-02-01) before it begins (2026-02-02)",
    ),
    (SHEET, setting(PLATE, valid_from="01/02/2026"), 2, "valid_from", "not a day written YYYY-MM-DD"),
    (SHEET, setting(PLATE, valid_to="2026-02-29"), 2, "valid_to", "no day of the calendar"),
    (SHEET, another(PLATE, valid_from="2026-01-01"), 20, "valid_from", "overlaps with line 2"),
    (
        *(SHEET, both(setting(PLATE, valid_to="2026-01-01"), another(PLATE, valid_from="2026-01-01")), 20),
        *("valid_from", "overlaps with line 2"),
    ),
    (SHEET, another(PLATE), 20, "action_code", "the same action_code and valid_from as in line 2"),
    # numbers of versions
    (SHEET, setting(PLATE, version="0"), 2, "version", "0 is smaller than 1"),
    (SHEET, setting(PLATE, version="one"), 2, "version", "'one' is not a number"),
    (
        SHEET,
        both(
            setting(PLATE, valid_to="2025-12-31", version="3"),
            another(PLATE, valid_from="2026-01-01", valid_to="", version="3"),
        ),
        *(20, "version", "number 3 is taken by line 2"),
    ),
    # derivations
    (
        *(SHEET, setting(PLATE, co2e_g_high="450"), 2, "derivation"),
        "high: the parameters give 449.19 and not 450",
    ),
    (SHEET, setting(PLATE, derivation="high: rate=93"), 2, "derivation", "generation needs factor"),
    (
        *(SHEET, setting(PLATE, derivation="high: rate=93, share=4.83"), 2, "derivation"),
        "share is no parameter of the form generation; it has rate, factor",
    ),
    (
        *(SHEET, setting(PLATE, derivation="high: rate=-93, factor=-4.83"), 2, "derivation"),
        "rate is negative",
    ),
    (SHEET, setting(PLATE, derivation="nox: rate=93, factor=1"), 2, "derivation", "nox_mg is empty"),
    (SHEET, setting(PLATE, derivation="nh3: rate=93, factor=1"), 2, "derivation", "'nh3' is not one of"),
    (SHEET, setting(PLATE, derivation="93 x 4.83"), 2, "derivation", "is not one of: low, mid, high"),
    (
        *(SHEET, setting(PLATE, methodology="walking"), 2, "derivation"),
        "rate is no parameter of the form difference; it has baseline, project",
    ),
    (
        SHEET,
        setting(PLATE, methodology="magic", derivation=""),
        2,
        "methodology",
        "unknown methodology magic",
    ),
    (SHEET, setting(PLATE, methodology="Magic!", derivation=""), 2, "methodology", "is not a code"),
    (SHEET, setting(PLATE, methodology=""), 2, "derivation", "needs a methodology"),
    # methodologies
    (METHODS, setting(0, form="magic"), 2, "form", "'magic' is not one of: factor, difference"),
    (METHODS, setting(0, title_en=""), 2, "title_en", "must not be empty"),
    (METHODS, setting(0, baseline_zh=""), 2, "baseline_zh", "must not be empty"),
    (METHODS, setting(0, sources=""), 2, "sources", "must not be empty"),
    (METHODS, setting(0, filing_status="perhaps"), 2, "filing_status", "is not one of: not_filed"),
    (METHODS, setting(0, filing_status="filed"), 2, "city_reference", "must not be empty when filed"),
    (METHODS, setting(0, kinds="clean_plate wish"), 2, "kinds", "unknown kind wish"),
    (METHODS, setting(0, kinds="clean_plate, walk"), 2, "kinds", "'clean_plate,' is not a code"),
    (METHODS, without("form"), 1, "form", "the column is missing"),
]


def test_a_bad_row_is_told_with_line_column_and_reason_and_nothing_is_loaded(
    house: House, files: Path
) -> None:
    for name, change, line, column, reason in BAD:
        sound = (files / name).read_bytes()
        edit(files / name, change)
        told = refusals(house, files)
        assert any(found[:3] == (name, line, column) and reason in found[3] for found in told), (reason, told)
        (files / name).write_bytes(sound)
    assert load_reference(house, files).version == 1


def test_one_bad_row_is_one_problem(house: House, files: Path) -> None:
    """What follows from another problem is not told as well, so that the list shows what is to be mended."""
    alone = {"co2e_g_low", "source", "valid_to", "version", "nh3_mg", "unit"}
    for name, change, line, column, _reason in BAD:
        if name == SHEET and column in alone and line > 1:
            sound = (files / name).read_bytes()
            edit(files / name, change)
            assert [found[:3] for found in refusals(house, files)] == [(name, line, column)]
            (files / name).write_bytes(sound)


def test_a_kind_has_one_methodology_and_a_methodology_one_row(house: House, files: Path) -> None:
    edit(files / METHODS, both(setting(1, kinds="clean_plate own_cup"), another(2)))
    told = refusals(house, files)
    assert (METHODS, 5, "kinds", "clean_plate has a methodology in line 2") in told
    assert [found[2] for found in told].count("methodology") == 1


def test_a_derivation_without_any_methodology_is_refused(house: House, files: Path) -> None:
    edit(files / METHODS, setting(0, kinds=""))
    assert refusals(house, files) == [
        (SHEET, 2, "derivation", "needs a methodology, whose form tells what the parameters are")
    ]


def test_a_kind_moves_to_another_methodology_and_what_is_published_keeps_its_own(
    loaded: House, files: Path
) -> None:
    """Also by a folder whose factors name no methodology, as the package's own."""

    def move(rows: list[dict[str, str]]) -> None:
        by_code = {row["methodology"]: row for row in rows}
        by_code["single_use_avoided"]["kinds"] = "no_cutlery"
        by_code["carton_reuse"]["kinds"] = "parcel_box_return own_cup"

    edit(files / METHODS, move)
    before = versions(loaded)
    report = load_reference(loaded, files)
    assert [(entry.new, entry.changed) for entry in report.loaded if entry.what == "methodology"] == [(0, 1)]
    assert versions(loaded) == before
    edit(
        only(files, SHEET),
        lambda rows: rows.__setitem__(
            slice(None), [{**rows[2], "source": "a newer one", "valid_from": "2026-08-01"}]
        ),
    )
    load_reference(loaded, files)
    told = {version["id"]: version["methodology"] for version in versions(loaded)}
    assert (told["own_cup@1"], told["own_cup@2"]) == ("single_use_avoided", "carton_reuse")


def test_a_kind_that_leaves_its_methodology_must_be_told_where_to(loaded: House, files: Path) -> None:
    edit(only(files, METHODS), setting(1, kinds="no_cutlery"))
    (told,) = refusals(loaded, files)
    assert told[:3] == (METHODS, 5, "kinds")
    assert "own_cup follows this methodology and is in no line" in told[3]


def test_a_kind_that_joins_a_methodology_is_a_change_that_scans_see(loaded: House, files: Path) -> None:
    with loaded.db.transaction() as connection:
        connection.execute(sa.text("DELETE FROM methodology_kind WHERE kind = 'own_cup'"))
    before = current(loaded)
    only(files, METHODS)
    report = load_reference(loaded, files)
    assert [(entry.new, entry.changed) for entry in report.loaded] == [(0, 1)]
    assert current(loaded) == before + 1


def current(house: House) -> int:
    with house.db.reading() as connection:
        return current_version(connection)


def test_a_methodology_keeps_its_form_once_factors_follow_it(loaded: House, files: Path) -> None:
    edit(only(files, METHODS), setting(0, form="factor"))
    (told,) = refusals(loaded, files)
    assert told[:3] == (METHODS, 2, "form")
    assert "published factors follow catering_savings as generation" in told[3]


def test_pollutants_may_be_added_and_zero_is_not_unknown(house: House, files: Path) -> None:
    edit(files / SHEET, setting(BIKE, so2_mg="-0.5", co_mg="0", nox_mg=""))
    load_reference(house, files)
    with house.db.reading_session() as session:
        (version,) = all_versions(session, "bike_trip")
    assert (version.so2_ng, version.co_ng, version.nox_ng) == (-500_000, 0, None)


# --- against what is published ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "column", "reason"),
    [
        ({"version": "1", "valid_from": "2026-07-01"}, "version", "number 1 is taken by clean_plate@1"),
        ({"version": "2"}, "version", "what begins on that day was published as clean_plate@1"),
        ({"co2e_g_low": "143"}, "co2e_g_low", "differs from published clean_plate@1, which is never edited"),
        ({"nox_mg": "0"}, "nox_mg", "differs from published clean_plate@1"),
        ({"derivation": "low: rate=1, factor=144"}, "derivation", "differs from published clean_plate@1"),
        ({"methodology": "walking", "derivation": ""}, "methodology", "differs from published clean_plate@1"),
        ({"unit": "plate", "valid_from": "2026-07-01"}, "unit", "clean_plate is counted in meal"),
    ],
)
def test_what_is_published_stands(
    loaded: House, files: Path, cells: dict[str, str], column: str, reason: str
) -> None:
    file = only(files)
    with file.open(encoding="utf-8", newline="") as lines:
        edit(file, keeping(list(csv.DictReader(lines))[PLATE] | cells))
    told = refusals(loaded, files)
    assert any(found[:3] == (SHEET, 2, column) and reason in found[3] for found in told), told


def test_numbers_given_and_numbers_made_do_not_meet(house: House, files: Path) -> None:
    edit(
        files / SHEET,
        both(
            setting(WALK, valid_to="2024-12-31"),
            another(WALK, valid_from="2025-01-01", valid_to="2025-12-31", version="1"),
            another(WALK, valid_from="2026-01-01", valid_to="", version=""),
        ),
    )
    load_reference(house, files)
    with house.db.reading_session() as session:
        found = {version.valid_from: version.version for version in all_versions(session, "walk")}
    assert found == {None: 2, date(2025, 1, 1): 1, date(2026, 1, 1): 3}


# --- encodings ----------------------------------------------------------------------------------------------


def encoded(file: Path, encoding: str, line_end: str) -> None:
    text = file.read_text(encoding="utf-8").replace("\r\n", "\n")
    file.write_bytes(text.replace("\n", line_end).encode(encoding))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_a_sheet_is_read_as_people_save_it(
    house: House, files: Path, encoding: str, line_end: str, tmp_path: Path
) -> None:
    for file in files.glob("*.csv"):
        encoded(file, encoding, line_end)
    load_reference(house, files)
    with house.db.reading_session() as session:
        plate = valid_on(session, "clean_plate", date(2026, 6, 5))
        kind = session.get_one(ActionKind, "clean_plate")
    assert plate is not None
    assert (kind.name_zh, plate.co2e_high_ng) == ("光盘行动", 449 * 10**9)
    assert plate.source.startswith("low: 泸州绿芽积分")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030"])
def test_its_mistakes_are_told_in_the_same_lines(house: House, files: Path, encoding: str) -> None:
    edit(files / SHEET, both(setting(BIKE, source=""), setting(PLATE, scenario_kind="行為场景")))
    encoded(files / SHEET, encoding, "\r\n")
    assert [found[:3] for found in refusals(house, files)] == [
        (SHEET, 2, "scenario_kind"),
        (SHEET, 15, "source"),
    ]


def test_a_damaged_file_is_no_other_encoding(house: House, files: Path) -> None:
    raw = (files / SHEET).read_bytes()
    (files / SHEET).write_bytes(raw.replace("光盘".encode(), "光盘".encode()[:-1], 1))
    assert any(
        found[0] == SHEET and "damaged UTF-8 in line 2" in found[3] for found in refusals(house, files)
    )


# --- written ------------------------------------------------------------------------------------------------


def exported(house: House) -> str:
    """The sheet of every version of a house."""
    with house.db.reading_session() as session:
        kinds = {kind.code: kind for kind in session.exec(select(ActionKind))}
        return write_sheet((version, kinds[version.action_code]) for version in all_versions(session))


def versions(house: House) -> list[dict[str, Any]]:
    with house.db.reading_session() as session:
        return [version.model_dump() for version in all_versions(session)]


def test_the_sheet_has_the_columns_of_the_packages_own_file_first(loaded: House) -> None:
    with (PACKAGE_DATA / SHEET).open(encoding="utf-8", newline="") as lines:
        own = csv.DictReader(lines)
        rows, header = {row["action_code"]: row for row in own}, own.fieldnames or []
    text = csv.DictReader(io.StringIO(exported(loaded), newline=""))
    assert text.fieldnames == [*header, "valid_from", "valid_to", "methodology", "version"]
    for row in text:
        numbers = [name for name in header if name.endswith("_mg") or name.startswith("co2e_g_")]
        assert {name: row[name] for name in numbers} == {
            name: rows[row["action_code"]][name] for name in numbers
        }
        assert {name: row[name] for name in header} == rows[row["action_code"]]
        assert (row["valid_from"], row["valid_to"], row["version"]) == ("", "", "1")


NOTES = ("", "=1+1", "'-x", "@home", "two\nlines", 'a "note", quoted', "“引号”；备注")


def random_values(chance: random.Random) -> dict[str, str]:
    grams = sorted(Decimal(chance.randrange(10**15)).scaleb(-9) for _ in range(3))
    values = {
        f"co2e_g_{name}": f"{value:f}" for name, value in zip(("low", "mid", "high"), grams, strict=True)
    }
    for pollutant in POLLUTANTS:
        milligrams = Decimal(chance.randrange(-(10**12), 10**12)).scaleb(-6)
        values[f"{pollutant}_mg"] = chance.choice(["", "0", f"{milligrams:f}"])
    return {**values, "derivation": "", "methodology": chance.choice(["", "walking"])}


def with_history(rows: list[dict[str, str]], chance: random.Random) -> None:
    """Give kinds some later versions, with gaps between some of them, and numbers in no order."""
    for row in list(rows):
        days = sorted(chance.sample(range(0, 2000, 10), chance.randrange(4)))
        numbers = chance.sample(range(1, 100), len(days) + 1)
        row.update(version=str(numbers[0]), valid_from="", valid_to="", note=chance.choice(NOTES))
        before = row
        for day, number in zip(days, numbers[1:], strict=True):
            begins = date(2020, 1, 1) + timedelta(days=day)
            before["valid_to"] = str(begins - timedelta(days=chance.randrange(1, 9)))
            before = {**before, **random_values(chance), "version": str(number)}
            before.update(valid_from=str(begins), valid_to="", note=chance.choice(NOTES))
            rows.append(before)


@pytest.fixture
def second_house(shelf: Shelf, tmp_path: Path) -> Iterator[House]:
    """Another house on a fresh, migrated database without reference data."""
    with shelf.database(loaded=False) as url:
        house = build_house(settings_for(url, tmp_path))
        yield house
        house.db.dispose()


@pytest.mark.parametrize("seed", range(4))
def test_every_version_written_and_loaded_into_an_empty_house_is_equal(
    house: House, second_house: House, files: Path, seed: int
) -> None:
    if seed:  # the first is the packages' own file
        chance = random.Random(seed)
        edit(files / SHEET, setting(PLATE, methodology="catering_savings"))
        edit(files / SHEET, lambda rows: with_history(rows, chance))
    load_reference(house, files)
    assert len(versions(house)) >= 18 + 10 * bool(seed)
    (files / SHEET).write_text(exported(house), encoding="utf-8", newline="")
    load_reference(second_house, files)
    assert versions(second_house) == versions(house)
    assert exported(second_house) == exported(house)

    before = contents(house)
    load_reference(house, files)
    assert written(before, contents(house)) == {}


@pytest.mark.parametrize("seed", range(3))
def test_published_in_any_order_the_version_of_a_day_is_the_same(
    loaded: House, files: Path, seed: int
) -> None:
    chance = random.Random(seed)
    starts = [date(2027, 1, 1) + timedelta(days=days) for days in sorted(chance.sample(range(900), 5))]
    ends = [start - timedelta(days=1) for start in starts[1:]]
    file = only(files)
    with file.open(encoding="utf-8", newline="") as lines:
        first = list(csv.DictReader(lines))[WALK] | {"valid_to": str(starts[0] - timedelta(days=1))}
    rows = [
        first | {"co2e_g_high": f"{number}", "valid_from": str(start), "valid_to": str(end or "")}
        for number, (start, end) in enumerate(zip(starts, [*ends, None], strict=True), start=1)
    ]
    for row in [first, *chance.sample(rows, len(rows))]:
        edit(file, keeping(row))
        load_reference(loaded, files)
    with loaded.db.reading_session() as session:
        for day in (starts[0] + timedelta(days=days) for days in range(-3, 1000)):
            version = valid_on(session, "walk", day)
            begun = [row for row in rows if row["valid_from"] <= str(day)]
            assert version is not None
            assert Decimal(version.co2e_high_ng).scaleb(-9) == Decimal([first, *begun][-1]["co2e_g_high"])


texts = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")) | st.sampled_from("=+-@'\",\n;"),
    max_size=30,
)
said = texts.map(str.strip).filter(lambda text: text and "\r" not in text)
nanograms = st.integers(0, 9 * 10**15)
optional_ng = st.none() | st.integers(-9 * 10**12, 9 * 10**12)
days = st.none() | st.dates(date(1, 1, 1), date(9999, 12, 31))


@given(
    st.builds(
        FactorVersion,
        id=st.just("kind@7"),
        version=st.just(7),
        action_code=st.just("kind"),
        unit=said,
        scenario_kind=st.sampled_from(list(ScenarioKind)),
        city_credited=st.booleans(),
        **dict.fromkeys((f"co2e_{name}_ng" for name in ("low", "mid", "high")), nanograms),
        **dict.fromkeys((f"{name}_ng" for name in POLLUTANTS), optional_ng),
        **dict.fromkeys(("baseline", "source", "region"), said),
        source_year=st.integers(1900, 2999),
        confidence=st.sampled_from(list(Confidence)),
        valid_from=days,
        valid_to=days,
        note=said | st.just(""),
        methodology=st.none() | st.just("rule"),
        derivation=st.just("") | st.just("high: rate=93, factor=4.83; nox: rate=1, factor=0.5"),
    )
)
def test_whatever_a_version_says_is_read_back_from_its_row(version: FactorVersion) -> None:
    kind = ActionKind(code="kind", name_zh="行为", name_en="Action", category="food", unit=version.unit)
    raw = write_sheet([(version, kind)]).encode()
    reading = read_sheets([NAMES_FILE, FACTORS_FILE], [csvtext.parse_sheet(SHEET, raw)])
    assert reading.problems == []
    (row,) = reading.rows(FACTORS_FILE)
    wanted = version.model_dump(include=set(FactorValues.model_fields))
    assert {**row_values(row), "methodology": row.get("methodology") or None} == wanted
    assert row.get("version") == 7
