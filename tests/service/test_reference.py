"""Reference data: loaded whole or not at all, every bad row told, history kept by the database itself."""

import csv
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from sqlmodel import Session, SQLModel, col, select

from activities.catalogue import PACKAGE_DATA, ActionKind, EvidenceTier
from activities.commands import load_reference_command, quantify_command
from activities.observances import observances_of
from activities.quantify.factors import FactorVersion, all_versions, valid_on
from rewards.rules import points_for, rule_on, rules, weights
from tanpuhui import clock, divisions
from tanpuhui.audit import AuditEntry
from tanpuhui.errors import InvalidReference
from tanpuhui.reference import bump, current_version, load_reference
from tanpuhui.rooms import House
from tests.sheets import edit, reference_copy, setting

TABLES = (
    *("division", "evidence_tier", "action_kind", "factor_version"),
    *(
        "material",
        "material_kind",
        "observance",
        "points_rule",
        "evidence_weight",
        "points_lifetime",
        "reference_state",
    ),
)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a copy of the packages' reference files, to be spoilt."""
    return reference_copy(tmp_path)


@pytest.fixture
def loaded(house: House) -> House:
    """The house with the packages' reference data."""
    load_reference(house)
    return house


@pytest.fixture
def session(loaded: House) -> Iterator[Session]:
    with loaded.db.reading_session() as session:
        yield session


def contents(house: House) -> dict[str, list[Any]]:
    """Every row of every reference table."""
    with house.db.reading() as connection:
        return {
            name: sorted(map(repr, connection.execute(sa.select(SQLModel.metadata.tables[name]))))
            for name in TABLES
        }


def problems(house: House, folder: Path) -> list[tuple[str, int, str, str]]:
    """What a load of `folder` complains of; that it wrote nothing."""
    before = contents(house)
    with pytest.raises(InvalidReference) as caught:
        load_reference(house, folder)
    assert contents(house) == before
    return [tuple(problem.values()) for problem in caught.value.params["errors"]]


# --- loading ------------------------------------------------------------------------------------------------


def test_the_district_comes_with_all_its_data(session: Session) -> None:
    streets = divisions.children(session, "310106")
    assert len(streets) == 14
    communities = [child for street in streets for child in divisions.children(session, street.code)]
    assert len(communities) == 267
    assert all(divisions.street_of(community.code) == community.parent_code for community in communities)
    assert divisions.community_exists(session, "310106006002")
    assert not divisions.community_exists(session, "310106006")
    assert not divisions.community_exists(session, "310106999999")
    assert divisions.district_of("310106006002") == "310106"
    clean_plate = session.get_one(ActionKind, "clean_plate")
    assert (clean_plate.name_zh, clean_plate.unit, clean_plate.clash_group) == ("光盘行动", "meal", "meal")
    assert (clean_plate.quantity_default_milli, clean_plate.quantity_per_day_milli) == (1000, 3000)
    assert session.get_one(ActionKind, "recycle_metal_aluminium").quantity_min_milli == 20
    disabled = session.scalars(sa.select(ActionKind).where(~col(ActionKind.enabled)))
    assert [kind.code for kind in disabled] == ["household_pv"]
    assert session.get_one(EvidenceTier, "measured").rank == 6


def test_every_factor_is_stored_to_the_last_digit_with_its_source(session: Session) -> None:
    with (PACKAGE_DATA / "factors.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["action_code"]: row for row in csv.DictReader(file)}
    stored = {version.action_code: version for version in all_versions(session)}
    assert stored.keys() == rows.keys()
    for code, row in rows.items():
        version = stored[code]
        assert version.co2e_low_ng == Decimal(row["co2e_g_low"]) * 10**9
        assert version.co2e_high_ng == Decimal(row["co2e_g_high"]) * 10**9
        for name in ("nox", "pm25", "voc", "so2", "co"):
            cell, value = row[f"{name}_mg"], getattr(version, f"{name}_ng")
            assert value == (Decimal(cell) * 10**6 if cell else None)
        assert version.source == row["source"]
        assert version.scenario_kind == row["scenario_kind"]
        assert version.city_credited == (row["city_credited"] == "yes")


def test_observances_are_a_table_and_no_formula(session: Session) -> None:
    by_year = {
        year: {observance.key: (start, end) for observance, start, end in observances_of(session, year)}
        for year in (2016, 2020, 2026)
    }
    assert by_year[2020]["low_carbon_day"] == (date(2020, 7, 2), date(2020, 7, 2))
    assert by_year[2026]["bus_travel_week"] == (date(2026, 9, 16), date(2026, 9, 22))
    assert "low_carbon_day" not in by_year[2016]
    assert by_year[2016]["environment_day"] == (date(2016, 6, 5), date(2016, 6, 5))


def test_a_connection_that_read_the_version_before_sees_the_next_one(loaded: House) -> None:
    """Pooled connections come back; what one remembered of an earlier reading must not be taken for the present."""
    with loaded.db.reading() as reader, loaded.db.transaction() as writer:
        before = current_version(reader)
        bump(writer)
    with loaded.db.reading() as one, loaded.db.reading() as other:
        assert {current_version(one), current_version(other)} == {before + 1}


def test_points_come_with_the_share_of_each_tier(loaded: House) -> None:
    with loaded.db.reading() as connection:
        share, priced = weights(connection), rules(connection)
    walk = rule_on(priced["walk"], clock.today())
    assert walk is not None
    assert points_for(walk, share["self_declared"], 10_000_000) == 5
    assert share["measured"] == 100


def test_loading_twice_changes_nothing(loaded: House, files: Path) -> None:
    before = contents(loaded)
    for folder in (None, files):
        report = load_reference(loaded, folder)
        assert [(entry.new, entry.changed) for entry in report.loaded] == [(0, 0)] * 12
        assert report.version == 1
    assert contents(loaded) == before


def test_what_a_load_changed_is_audited_once(loaded: House, files: Path) -> None:
    """No officer is asked when files are loaded; that it was done, and what changed, is known all the same."""
    load_reference(loaded, files)
    with loaded.db.reading_session() as session:
        (entry,) = session.exec(select(AuditEntry).where(AuditEntry.deed == "reference.loaded")).all()
    assert (entry.actor_kind, entry.subject) == ("operator", "reference:1")
    assert entry.detail["new_and_changed"]["factor version"] == [18, 0]


def test_two_loads_at_once_take_turns(house: House) -> None:
    versions: list[int] = []
    threads = [
        threading.Thread(target=lambda: versions.append(load_reference(house).version)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert versions == [1] * 4


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030"])
def test_files_saved_by_a_spreadsheet_are_read(loaded: House, files: Path, encoding: str) -> None:
    before = contents(loaded)
    for file in files.glob("*.csv"):
        text = file.read_text(encoding="utf-8")
        file.write_bytes(text.replace("\n", "\r\n").encode(encoding))
    load_reference(loaded, files)
    assert contents(loaded) == before


def test_limits_are_settings_and_change_in_place(loaded: House, files: Path) -> None:
    for other in set(files.glob("*.csv")) - {files / "catalogue.csv"}:
        other.unlink()
    edit(files / "catalogue.csv", setting(0, records_per_day="2", points_per_unit="12.5"))
    report = load_reference(loaded, files)
    assert [(entry.what, entry.new, entry.changed) for entry in report.loaded] == [
        ("kind of action", 0, 1),
        ("points rule", 0, 1),
    ]
    assert report.version == 2
    with loaded.db.reading_session() as session:
        assert session.get_one(ActionKind, "clean_plate").records_per_day == 2
        old, new = reversed(rules(session.connection())["clean_plate"])
    assert (old.id, old.micro_points_per_unit, old.valid_from) == ("clean_plate@1", 10_000_000, None)
    assert (new.id, new.micro_points_per_unit) == ("clean_plate@2", 12_500_000)
    assert new.valid_from is not None


def test_names_may_be_reworded_and_kinds_switched_off_and_stay_off(loaded: House, files: Path) -> None:
    (files / "catalogue.csv").unlink()
    edit(files / "factors.csv", setting(0, name_en="Empty plate", note="reworded"))
    changes = {entry.what: entry.changed for entry in load_reference(loaded, files).loaded if entry.changed}
    assert changes == {"name of a kind": 1, "factor version": 1}
    shutil.copy(PACKAGE_DATA / "catalogue.csv", files)
    edit(files / "catalogue.csv", lambda rows: [row.update(enabled="no") for row in rows])
    load_reference(loaded, files)
    shutil.copy(PACKAGE_DATA / "catalogue.csv", files)
    load_reference(loaded, files)
    with loaded.db.reading_session() as session:
        kind = session.get_one(ActionKind, "clean_plate")
        assert (kind.name_en, kind.enabled) == ("Empty plate", False)


def test_ranks_may_be_exchanged(loaded: House, files: Path) -> None:
    def exchange(rows: list[dict[str, str]]) -> None:
        rows[0]["rank"], rows[1]["rank"] = rows[1]["rank"], rows[0]["rank"]

    edit(files / "evidence.csv", exchange)
    load_reference(loaded, files)
    with loaded.db.reading_session() as session:
        assert session.get_one(EvidenceTier, "self_declared").rank == 2
        assert session.get_one(EvidenceTier, "photo").rank == 1


def test_the_version_rises_with_each_change(house: House) -> None:
    with house.db.transaction() as connection:
        assert current_version(connection) == 0
        bump(connection)
        bump(connection)
    with house.db.reading() as connection:
        assert current_version(connection) == 2


# --- bad rows -----------------------------------------------------------------------------------------------

# file, row counted from 0, cells to write, then the line, column and reason to be told
BAD: list[tuple[str, int, dict[str, str], int, str, str]] = [
    ("factors.csv", 0, {"co2e_g_low": "abc"}, 2, "co2e_g_low", "'abc' is not a number"),
    ("factors.csv", 1, {"co2e_g_low": "NaN"}, 3, "co2e_g_low", "'NaN' is not a number"),
    ("factors.csv", 1, {"co2e_g_low": "-1"}, 3, "co2e_g_low", "-1 is negative"),
    ("factors.csv", 1, {"co2e_g_low": ""}, 3, "co2e_g_low", "must not be empty"),
    ("factors.csv", 1, {"co2e_g_low": "24"}, 3, "co2e_g_low", "larger than co2e_g_mid"),
    ("factors.csv", 1, {"co2e_g_mid": "50"}, 3, "co2e_g_mid", "larger than co2e_g_high"),
    ("factors.csv", 15, {"co2e_g_low": "0.01640000001"}, 17, "co2e_g_low", "more than 9 decimals"),
    ("factors.csv", 1, {"co2e_g_high": "9000001"}, 3, "co2e_g_high", "larger than 9000000"),
    ("factors.csv", 13, {"nox_mg": "48.7g"}, 15, "nox_mg", "not a number"),
    ("factors.csv", 0, {"source": " "}, 2, "source", "must not be empty"),
    ("factors.csv", 0, {"source_year": "20"}, 2, "source_year", "smaller than 1900"),
    ("factors.csv", 0, {"confidence": "E"}, 2, "confidence", "'E' is not one of: A, B, C, D"),
    ("factors.csv", 0, {"scenario_kind": "场景"}, 2, "scenario_kind", "not one of"),
    ("factors.csv", 0, {"city_credited": "1"}, 2, "city_credited", "neither yes nor no"),
    ("factors.csv", 0, {"valid_from": "2026-02-30"}, 2, "valid_from", "no day of the calendar"),
    ("factors.csv", 0, {"valid_from": "2026/2/3"}, 2, "valid_from", "YYYY-MM-DD"),
    (
        "factors.csv",
        0,
        {"valid_from": "2026-02-02", "valid_to": "2026-02-01"},
        2,
        "valid_to",
        "before it begins",
    ),
    ("catalogue.csv", 2, {"lowest_evidence": "wish"}, 4, "lowest_evidence", "unknown evidence tier wish"),
    ("catalogue.csv", 2, {"quantity_min": "2"}, 4, "quantity_min", "larger than quantity_max"),
    ("catalogue.csv", 2, {"quantity_min": "0"}, 4, "quantity_min", "must be larger than 0"),
    ("catalogue.csv", 2, {"quantity_per_day": "0.5"}, 4, "quantity_max", "larger than quantity_per_day"),
    ("catalogue.csv", 2, {"quantity_default": ""}, 4, "quantity_default", "must not be empty"),
    ("catalogue.csv", 3, {"quantity_default": "31"}, 5, "quantity_default", "outside"),
    ("catalogue.csv", 2, {"records_per_day": "1.5"}, 4, "records_per_day", "more than 0 decimals"),
    ("catalogue.csv", 2, {"points_per_unit": "many"}, 4, "points_per_unit", "not a number"),
    ("catalogue.csv", 2, {"points_per_unit": "-1"}, 4, "points_per_unit", "negative"),
    (
        "catalogue.csv",
        1,
        {"action_code": "clean_plate"},
        3,
        "action_code",
        "the same action_code as in line 2",
    ),
    ("evidence.csv", 0, {"points_percent": "101"}, 2, "points_percent", "larger than 100"),
    ("evidence.csv", 1, {"rank": "1"}, 3, "rank", "rank 1 is taken by self_declared"),
    ("observances.csv", 0, {"starts_on": "02-29"}, 2, "starts_on", "no day of the calendar"),
    ("observances.csv", 6, {"ends_on": "09-15"}, 8, "ends_on", "before it starts"),
    ("observances.csv", 0, {"year": "2026"}, 2, "year", "must be empty"),
    ("observances.csv", 7, {"starts_on": "2012-06-15"}, 9, "starts_on", "does not lie in 2013"),
    ("observances.csv", 9, {"year": "2013"}, 11, "key", "the same key and year as in line 9"),
    ("divisions_310106.csv", 20, {"parent_code": "310106999"}, 22, "parent_code", "unknown parent 310106999"),
    ("divisions_310106.csv", 20, {"parent_code": "310106011"}, 22, "parent_code", "does not lie in"),
    ("divisions_310106.csv", 20, {"parent_code": ""}, 22, "parent_code", "must not be empty"),
    ("divisions_310106.csv", 20, {"level": "street"}, 22, "code", "the code of a street has 9 digits"),
    ("divisions_310106.csv", 20, {"code": "31010600600"}, 22, "code", "not a statistical code"),
    ("divisions_310106.csv", 20, {"name": ""}, 22, "name", "must not be empty"),
]


def test_a_bad_row_is_told_and_nothing_loaded(house: House, files: Path) -> None:
    for name, index, values, line, column, reason in BAD:
        sound = (files / name).read_bytes()
        edit(files / name, setting(index, **values))
        told = problems(house, files)
        assert any(found[:3] == (name, line, column) and reason in found[3] for found in told), (values, told)
        (files / name).write_bytes(sound)
    assert load_reference(house, files).version == 1


def test_all_bad_rows_of_all_files_are_told_at_once(house: House, files: Path) -> None:
    for name, index, column in (
        ("factors.csv", 3, "co2e_g_mid"),
        ("factors.csv", 3, "voc_mg"),
        ("factors.csv", 9, "co2e_g_low"),
        ("catalogue.csv", 4, "quantity_max"),
        ("observances.csv", 30, "ends_on"),
        ("divisions_310106.csv", 281, "level"),
    ):
        edit(files / name, setting(index, **{column: "wrong"}))
    assert [problem[:3] for problem in problems(house, files)] == [
        ("catalogue.csv", 6, "quantity_max"),
        ("divisions_310106.csv", 283, "level"),
        ("factors.csv", 5, "co2e_g_mid"),
        ("factors.csv", 5, "voc_mg"),
        ("factors.csv", 11, "co2e_g_low"),
        ("observances.csv", 32, "ends_on"),
    ]


def test_wrong_missing_and_repeated_columns_are_told(house: House, files: Path) -> None:
    file = files / "evidence.csv"
    file.write_text(
        file.read_text(encoding="utf-8").replace("name_en,rank", "name_fr,name_fr"), encoding="utf-8"
    )
    assert {problem for problem in problems(house, files) if problem[0] == "evidence.csv"} >= {
        ("evidence.csv", 1, "name_fr", "unknown column"),
        ("evidence.csv", 1, "name_en", "the column is missing"),
        ("evidence.csv", 1, "rank", "the column is missing"),
    }


def test_a_kind_needs_both_its_factor_and_its_limits(house: House, files: Path) -> None:
    edit(files / "factors.csv", lambda rows: rows.pop(0))
    edit(files / "catalogue.csv", lambda rows: rows.pop(1))
    (files / "methodologies.csv").unlink()  # it would name both kinds
    assert problems(house, files) == [
        ("catalogue.csv", 2, "action_code", "clean_plate has no names and no factor in factors.csv"),
        ("factors.csv", 2, "action_code", "no_cutlery has no limits in catalogue.csv"),
    ]


def test_lines_are_physical_and_broken_records_are_told(house: House, files: Path) -> None:
    file = files / "evidence.csv"
    lines = file.read_text(encoding="utf-8").splitlines()
    lines[1] = lines[1].replace("half points as Wuhan does", '"half points\nas Wuhan\ndoes"')
    lines[2] += ",surplus"
    lines[3] = lines[3].replace(",3,", ",three,")
    file.write_text("\n".join(lines), encoding="utf-8")
    assert problems(house, files) == [
        ("evidence.csv", 5, "", "8 cells where the header has 7"),
        ("evidence.csv", 6, "rank", "'three' is not a number"),
    ]


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        (b"", 1, "the header is missing"),
        (
            "evidence,name_zh\nself_declared,自报自报\n".encode().replace("报自".encode(), b"\xff"),
            0,
            "damaged UTF-8",
        ),
        (b"\xff\xfea\x00\xff\xff", 0, "neither UTF-8 nor GB18030"),
        (b'evidence,"name_zh\nself_declared', 1, "not readable as CSV"),
    ],
)
def test_what_is_no_table_is_told(house: House, files: Path, content: bytes, line: int, reason: str) -> None:
    (files / "evidence.csv").write_bytes(content)
    told = [problem for problem in problems(house, files) if problem[0] == "evidence.csv"]
    assert told[0][1] == line
    assert reason in told[0][3]


def test_a_file_that_no_room_reads_and_an_empty_folder_are_told(
    house: House, files: Path, tmp_path: Path
) -> None:
    (files / "factor.csv").write_text("action_code\n", encoding="utf-8")
    assert problems(house, files) == [("factor.csv", 0, "", "no room reads a file of this name")]
    (tmp_path / "empty").mkdir()
    assert problems(house, tmp_path / "empty")[0][3] == "no CSV file here"


# --- factor versions ----------------------------------------------------------------------------------------


def newer(index: int, **cells: str) -> Callable[[list[dict[str, str]]], None]:
    """Keep only one row of the file, changed."""

    def change(rows: list[dict[str, str]]) -> None:
        rows[:] = [{**rows[index], **cells}]

    return change


def test_a_changed_value_asks_for_a_new_version(loaded: House, files: Path) -> None:
    edit(files / "factors.csv", setting(0, co2e_g_low="150", source="a better one"))
    told = problems(loaded, files)
    assert [problem[:3] for problem in told] == [
        ("factors.csv", 2, "co2e_g_low"),
        ("factors.csv", 2, "source"),
    ]
    assert "differs from published clean_plate@1, which is never edited" in told[0][3]


def test_a_new_version_closes_the_present_one_and_history_stays(loaded: House, files: Path) -> None:
    for other in set(files.glob("*.csv")) - {files / "factors.csv"}:
        other.unlink()
    edit(files / "factors.csv", newer(0, co2e_g_low="150", valid_from="2026-07-01"))
    report = load_reference(loaded, files)
    assert [(entry.what, entry.new, entry.changed) for entry in report.loaded][1] == ("factor version", 1, 1)
    with loaded.db.reading_session() as session:
        before = valid_on(session, "clean_plate", date(2026, 6, 30))
        after = valid_on(session.connection(), "clean_plate", date(2026, 7, 1))
    assert before is not None
    assert after is not None
    assert (before.id, before.co2e_low_ng, before.valid_to) == (
        "clean_plate@1",
        144 * 10**9,
        date(2026, 6, 30),
    )
    assert (after.id, after.co2e_low_ng, after.valid_to) == ("clean_plate@2", 150 * 10**9, None)
    before_again = contents(loaded)
    load_reference(loaded, files)
    load_reference(loaded)  # the packages' own file does not open the closed version again
    assert contents(loaded) == before_again


def test_overlapping_validity_is_told(loaded: House, files: Path) -> None:
    def add(rows: list[dict[str, str]]) -> None:
        rows[0].update(valid_to="2026-06-30")
        rows.append({**rows[0], "valid_from": "2026-06-30", "valid_to": ""})
        rows.append({**rows[1], "valid_from": "2026-06-30", "valid_to": ""})
        rows.append(dict(rows[2]))

    edit(files / "factors.csv", add)
    assert problems(loaded, files) == [
        ("factors.csv", 20, "valid_from", "validity overlaps with line 2"),
        ("factors.csv", 21, "valid_from", "validity overlaps with line 3"),
        ("factors.csv", 22, "action_code", "the same action_code and valid_from as in line 4"),
    ]


def test_a_version_may_not_reach_into_a_published_one(loaded: House, files: Path) -> None:
    edit(files / "factors.csv", newer(0, valid_from="2026-07-01", valid_to="2026-12-31"))
    load_reference(loaded, files)
    edit(files / "factors.csv", setting(0, valid_from="2026-05-01", valid_to="2026-08-01"))
    reasons = [problem[3] for problem in problems(loaded, files)]
    assert reasons == [
        "validity overlaps with published clean_plate@1",
        "validity overlaps with published clean_plate@2",
    ]


def test_the_unit_of_a_kind_never_changes(loaded: House, files: Path) -> None:
    edit(files / "factors.csv", setting(0, unit="plate", valid_from="2030-01-01"))
    assert ("factors.csv", 2, "unit") in [problem[:3] for problem in problems(loaded, files)]


def version_row(house: House, **values: Any) -> dict[str, Any]:
    """The published version of clean_plate, changed."""
    with house.db.reading() as connection:
        table = SQLModel.metadata.tables["factor_version"]
        row = (
            connection.execute(sa.select(table).where(table.c.action_code == "clean_plate")).mappings().one()
        )
        return {**row, "id": f"clean_plate@{values['version']}", **values}


@pytest.mark.parametrize(
    ("valid_from", "valid_to"), [(None, None), (date(2030, 1, 1), None), (None, date(1990, 1, 1))]
)
def test_the_database_refuses_overlapping_validity(loaded: House, valid_from: Any, valid_to: Any) -> None:
    row = version_row(loaded, version=2, valid_from=valid_from, valid_to=valid_to)
    with pytest.raises(sa.exc.DBAPIError, match="overlaps"), loaded.db.transaction() as connection:
        connection.execute(sa.insert(SQLModel.metadata.tables["factor_version"]), row)


def test_the_database_takes_versions_that_only_touch(loaded: House) -> None:
    table = SQLModel.metadata.tables["factor_version"]
    with loaded.db.transaction() as connection:
        connection.execute(sa.update(table).values(valid_to=date(2025, 12, 31)))
    row = version_row(loaded, version=2, valid_from=date(2026, 1, 1), valid_to=None)
    with loaded.db.transaction() as connection:
        connection.execute(sa.insert(table), row)
    with loaded.db.reading() as connection:
        assert len(all_versions(connection, "clean_plate")) == 2


def test_two_publishers_at_once_do_not_overlap(loaded: House) -> None:
    table = SQLModel.metadata.tables["factor_version"]
    with loaded.db.transaction() as connection:
        connection.execute(sa.update(table).values(valid_to=date(2025, 12, 31)))
    rows = [
        version_row(loaded, version=version, valid_from=date(2026, version, 1), valid_to=None)
        for version in range(2, 8)
    ]
    ready, refused = threading.Barrier(len(rows)), []

    def publish(row: dict[str, Any]) -> None:
        ready.wait()
        try:
            with loaded.db.transaction() as connection:
                connection.execute(sa.insert(table), row)
        except sa.exc.DBAPIError as error:
            refused.append(error)

    threads = [threading.Thread(target=publish, args=[row]) for row in rows]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == len(rows) - 1
    with loaded.db.reading() as connection:
        assert len(all_versions(connection, "clean_plate")) == 2


_FREE = ("valid_to", "note", "cancelled_on", "cancelled_by", "cancelled_because")


def test_the_database_refuses_to_edit_a_published_version(loaded: House) -> None:
    other: dict[str, Any] = {
        "id": "clean_plate@9",
        "action_code": "walk",
        "version": 9,
        "scenario_kind": "减排项目",
        "city_credited": True,
        "confidence": "A",
        "valid_from": date(2020, 1, 1),
        **dict.fromkeys(("unit", "baseline", "source", "region", "derivation"), "other"),
        "methodology": "walking",
        "proposal_id": uuid4(),
    }
    table = SQLModel.metadata.tables["factor_version"]
    for name in FactorVersion.model_fields.keys() - set(_FREE):
        change = sa.update(table).where(table.c.id == "clean_plate@1").values({name: other.get(name, 2)})
        with pytest.raises(sa.exc.DBAPIError, match="never edited"), loaded.db.transaction() as connection:
            connection.execute(change)


def test_an_open_version_may_be_closed_once_and_its_note_reworded(loaded: House) -> None:
    table = SQLModel.metadata.tables["factor_version"]
    with loaded.db.transaction() as connection:
        connection.execute(sa.update(table).values(valid_to=date(2026, 1, 1), note="closed"))
    for valid_to in (None, date(2026, 1, 2)):
        with pytest.raises(sa.exc.DBAPIError, match="never edited"), loaded.db.transaction() as connection:
            connection.execute(sa.update(table).values(valid_to=valid_to))


def test_the_database_refuses_to_delete_a_version(loaded: House) -> None:
    table = SQLModel.metadata.tables["factor_version"]
    with pytest.raises(sa.exc.DBAPIError, match="never deleted"), loaded.db.transaction() as connection:
        connection.execute(sa.delete(table).where(table.c.id == "walk@1"))


# --- rules the tables keep ----------------------------------------------------------------------------------


BROKEN: list[tuple[str, Any, dict[str, Any]]] = [
    ("division", "310106006002", {"parent_code": "310106011"}),
    ("division", "310106006002", {"level": "street"}),
    ("action_kind", "walk", {"quantity_min_milli": 0}),
    ("action_kind", "walk", {"quantity_max_milli": 1}),
    ("action_kind", "walk", {"lowest_evidence": "wish"}),
    ("action_kind", "clean_plate", {"quantity_default_milli": None}),
    ("evidence_tier", "photo", {"rank": 1}),
    ("evidence_weight", "photo", {"points_percent": 101}),
    ("points_rule", "walk@1", {"micro_points_per_unit": -1}),
    ("observance", "earth_day", {"ends_on": "04-21"}),
    ("observance", "earth_day", {"year": 2026}),
    ("reference_state", 1, {"id": 2}),
]


def test_the_tables_refuse_what_breaks_their_rules(loaded: House) -> None:
    for table, where, values in BROKEN:
        target = SQLModel.metadata.tables[table]
        key = next(iter(target.primary_key))
        with pytest.raises(sa.exc.IntegrityError), loaded.db.transaction() as connection:
            connection.execute(sa.update(target).where(key == where).values(values))


# --- commands -----------------------------------------------------------------------------------------------


def test_load_reference_prints_counts_or_every_problem(house: House, files: Path) -> None:
    done = CliRunner().invoke(load_reference_command, [], obj=house)
    assert done.exit_code == 0, done.output
    assert "divisions_310106.csv: division: 282 rows, 282 new, 0 changed" in done.stdout
    edit(files / "factors.csv", setting(0, co2e_g_low="abc"))
    failed = CliRunner().invoke(load_reference_command, [str(files)], obj=house)
    assert failed.exit_code == 1
    assert "factors.csv:2 co2e_g_low: 'abc' is not a number" in failed.stderr
    assert failed.stdout == ""


def test_quantify_shows_the_sum_and_where_it_comes_from(loaded: House) -> None:
    shown = CliRunner().invoke(quantify_command, ["bike_trip", "2.5"], obj=loaded)
    assert shown.exit_code == 0, shown.output
    assert "减排量（低） = 2.5 公里 × 48.7 克/公里 = 121.75 克，向下取整记 121750 毫克" in shown.stdout
    assert "no factor known" in shown.stdout
    assert "bike_trip@1" in shown.stdout
    assert "本区给积分" in shown.stdout


def test_quantify_prints_json_of_the_day_asked_for(loaded: House, files: Path) -> None:
    edit(files / "factors.csv", newer(15, co2e_g_low="0.02", co2e_g_mid="0.02", valid_from="2026-07-01"))
    load_reference(loaded, files)

    def grams(day: str) -> dict[str, Any]:
        args = ["walk", "7250", "--on", day, "--json"]
        result: dict[str, Any] = json.loads(CliRunner().invoke(quantify_command, args, obj=loaded).stdout)
        return result["reduction"]

    assert grams("2026-07-01")["co2e_mg"] == 145_000
    assert grams("2026-06-30")["co2e_mg"] == 118_900
    assert grams("2026-06-30")["factor_version"] == "walk@1"
    assert grams("2026-06-30")["nox_ug"] is None


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["wish", "1"], "unknown_kind"),
        (["walk", "many"], "quantity_not_a_number"),
        (["walk", "0.0001"], "quantity_too_precise"),
        (["walk", "0"], "must be larger than 0"),
    ],
)
def test_quantify_says_what_is_wrong(loaded: House, args: list[str], told: str) -> None:
    result = CliRunner().invoke(quantify_command, args, obj=loaded)
    assert result.exit_code != 0
    assert told in result.stderr


def test_a_kind_brings_in_one_material_and_is_weighed(loaded: House, files: Path) -> None:
    edit(files / "materials.csv", setting(0, kinds="clothing_reuse flying recycle_paper walk"))
    found = [(line, reason) for name, line, _, reason in problems(loaded, files) if name == "materials.csv"]
    assert found == [
        (2, "unknown kind flying"),
        (2, "walk is counted in step; a material is weighed in kg"),
        (3, "recycle_paper brings in a material in line 2"),
    ]
