"""A file of factors becomes proposals: read or refused with line, column and reason; all of them or none."""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
import time_machine
from sqlmodel import select

from activities.catalogue import PACKAGE_DATA, ActionKind
from activities.quantify import proposals, publication
from activities.quantify.factor_cells import RULES, read_values
from activities.quantify.factor_sheet import FACTORS_FILE, cells_of, write_sheet
from activities.quantify.factors import all_versions
from activities.quantify.proposal_import import Imported, import_sheet
from activities.quantify.proposals import FactorProposal, values_in
from tanpuhui.errors import InvalidField, InvalidReference, NotAllowed
from tanpuhui.staff import Role
from tests.world import World

WHY = "年度更新"
BEGINS = date(2027, 7, 1)
PUBLISHED = (PACKAGE_DATA / "factors.csv").read_text(encoding="utf-8")
Rows = list[dict[str, str]]


@pytest.fixture(autouse=True)
def time() -> Iterator[None]:
    with time_machine.travel(datetime(2027, 6, 5, 2, 0, tzinfo=UTC), tick=False):
        yield


def rows() -> Rows:
    """The rows of the packages' own file."""
    return list(csv.DictReader(io.StringIO(PUBLISHED)))


def sheet(changed: Rows) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(dict.fromkeys(name for row in changed for name in row)), restval="")
    writer.writeheader()
    writer.writerows(changed)
    return out.getvalue().encode()


def load(world: World, content: bytes, **more: Any) -> Imported:
    return import_sheet(world.house, world.officer, content, WHY, **more)


def found(world: World) -> list[FactorProposal]:
    with world.house.db.reading_session() as session:
        return sorted(proposals.list_proposals(session), key=lambda one: one.action_code)


def told(world: World, content: bytes, **more: Any) -> list[tuple[int, str, str, str]]:
    """What is wrong with a file; that nothing was proposed."""
    with pytest.raises(InvalidReference) as caught:
        load(world, content, **more)
    assert found(world) == []
    entries = caught.value.params["errors"]
    return [(one["line"], one["column"], one["reason"], one["detail"]) for one in entries]


# --- what is read -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_only_what_differs_is_proposed_in_whatever_encoding(world: World, encoding: str) -> None:
    changed = rows()
    changed[0] |= {"co2e_g_low": "150.5", "nox_mg": "-0.25", "source": "更好的来源"}
    changed[3] |= {"note": "另一种说明"}
    content = sheet(changed).decode().replace("\n", "\r\n").encode(encoding)
    assert load(world, content, begins=BEGINS) == Imported(proposed=2, as_published=len(changed) - 2)
    one, other = found(world)
    assert (one.action_code, one.co2e_low_ng, one.nox_ng, one.source, one.valid_from) == (
        "clean_plate",
        150_500_000_000,
        -250_000,
        "更好的来源",
        BEGINS,
    )
    assert (one.methodology, one.reason, one.proposed_by) == ("catering_savings", WHY, world.officer.id)
    assert (other.action_code, other.note) == ("clothing_reuse", "另一种说明")
    with world.house.db.reading_session() as session:
        for proposal in (one, other):
            assert [entry.deed for entry in proposals.history_of(session, proposal)] == ["factor.proposed"]


def test_what_is_proposed_already_is_not_proposed_again(world: World) -> None:
    changed = rows()
    changed[0]["co2e_g_low"] = "150"
    load(world, sheet(changed), begins=BEGINS)
    assert load(world, sheet(changed), begins=BEGINS) == Imported(0, len(changed) - 1, 1)
    assert len(found(world)) == 1


def test_what_was_exported_comes_back_as_published(world: World) -> None:
    second = world.colleague(Role.OFFICER)
    changed = rows()[:1]
    changed[0] |= {"co2e_g_low": "150", "valid_from": "2027-06-06"}
    load(world, sheet(changed))
    proposals.review(world.house, second, found(world)[0].id, "核对过原文")
    publication.publish(world.house, second, found(world)[0].id)
    with world.house.db.reading_session() as session:
        kinds = {kind.code: kind for kind in session.exec(select(ActionKind))}
        versions = all_versions(session)
    exported = write_sheet((version, kinds[version.action_code]) for version in versions).encode("utf-8-sig")
    assert load(world, exported) == Imported(as_published=len(versions))
    assert load(world, PUBLISHED.encode()) == Imported(as_published=len(rows()))


# --- what is refused ----------------------------------------------------------------------------------------


def test_every_bad_row_is_told_with_line_and_column_and_nothing_is_proposed(world: World) -> None:
    changed = rows()
    changed[0]["co2e_g_low"] = "150"  # this one is sound
    changed[1]["co2e_g_mid"] = "viel"
    changed[2] |= {"source": "", "confidence": "E"}
    changed[3] |= {"co2e_g_low": "9000"}
    changed[4] |= {"unit": "kg"}
    lines = told(world, sheet(changed), begins=BEGINS)
    assert [(line, column) for line, column, _, _ in lines] == [
        (3, "co2e_g_mid"),
        (4, "confidence"),
        (4, "source"),
        (5, "co2e_g_low"),
        (6, "unit"),
    ]
    assert lines[0][2:] == (RULES["co2e_g_mid"], "'viel' is not a number")
    assert lines[3][2:] == ("较低值不应大于居中值。", "")


@pytest.mark.parametrize("unit", ["ton", "tons", "Ton"])
def test_a_ton_must_say_which(world: World, unit: str) -> None:
    changed = [row | {"unit": unit} for row in rows() if row["action_code"] == "recycle_glass"]
    ((line, column, reason, detail),) = told(world, sheet(changed))
    assert (line, column, reason) == (2, "unit", RULES["unit"])
    assert "907.18474" in reason
    assert detail == "ton is ambiguous: write t (1,000 kg) or short ton (907.18474 kg)"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (PUBLISHED.encode("utf-16"), 0),
        (b"\xfe\xff" + PUBLISHED.encode("utf-16-be"), 0),
        (PUBLISHED.encode("utf-16-le"), 0),
        (PUBLISHED.encode("utf-32"), 0),
        (b"PK\x03\x04" + bytes(range(256)), 0),
        (b"\0" * 500, 1),
        (PUBLISHED.replace(",", ";").encode(), 1),
        (PUBLISHED.replace(",", "\t").encode(), 1),
        (b"\n", 1),
        (PUBLISHED.replace("one disposable cup", "x" * 140_000).encode(), 4),
    ],
    ids=["utf-16", "utf-16-be", "no bom", "utf-32", "xlsx", "nul", "semicolons", "tabs", "blank", "endless"],
)
def test_what_is_no_such_file_is_refused_and_told_where(world: World, content: bytes, line: int) -> None:
    entries = told(world, content)
    assert entries[0][0] == line
    assert all(column.isprintable() and len(column) <= 64 for _, column, _, _ in entries)


def test_a_file_without_a_row_is_no_import(world: World) -> None:
    with pytest.raises(InvalidField) as caught:
        load(world, PUBLISHED.splitlines()[0].encode())
    assert caught.value.params["errors"][0]["field"] == "file"


def test_a_changed_row_needs_a_day_to_begin(world: World) -> None:
    changed = rows()[:1]
    changed[0]["co2e_g_low"] = "150"
    assert [one[:2] for one in told(world, sheet(changed))] == [(2, "valid_from")]


@pytest.mark.parametrize(
    ("cells", "column"),
    [
        ({"valid_from": "2027-13-01"}, "valid_from"),
        ({"valid_from": "2027-07-01", "valid_to": "2027-06-30"}, "valid_to"),
        ({"derivation": "high: rate=93, factor=4.9"}, "derivation"),
        ({"derivation": "93 g x 4.83"}, "derivation"),
        ({"methodology": "walking"}, "methodology"),
        ({"action_code": "flying"}, "action_code"),
        ({"co2e_g_low": "-1"}, "co2e_g_low"),
        ({"co2e_g_low": ""}, "co2e_g_low"),
        ({"nox_mg": "0.0000001"}, "nox_mg"),
        ({"unit": "ton"}, "unit"),
        ({"name_zh": ""}, "name_zh"),
    ],
    ids=str,
)
def test_what_a_cell_cannot_say_is_told_at_its_column(
    world: World, cells: dict[str, str], column: str
) -> None:
    changed = rows()[:1]
    changed[0] |= {"co2e_g_low": "150", "valid_from": "2027-07-01", **cells}
    lines = told(world, sheet(changed))
    assert {(line, name) for line, name, _, _ in lines} == {(2, column)}
    assert all(reason for _, _, reason, _ in lines)


def test_two_rows_for_the_same_days_are_told(world: World) -> None:
    changed = [{**row, "valid_from": "2027-07-01", "co2e_g_low": "150"} for row in rows()[:1] * 2]
    assert told(world, sheet(changed))[0][:3] == (3, "action_code", "行为和生效日与前面的一行相同。")


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        (b"", 1, "第一行的列名应与导出的文件相同，用逗号分隔。"),
        (b"PK\x03\x04\xff\xff\x00\x81\x00", 0, "应是 UTF-8 或 GB18030 编码的 CSV 文件。"),
        (PUBLISHED.replace("nox_mg", "nh3_mg").encode(), 1, "第一行的列名应与导出的文件相同，用逗号分隔。"),
        (
            (PUBLISHED + "own_cup,自带杯\n").encode(),
            1 + len(PUBLISHED.splitlines()),
            "这一行不完整，请检查引号，以及格数是否与第一行相同。",
        ),
        (
            (PUBLISHED + '"own_cup').encode(),
            1 + len(PUBLISHED.splitlines()),
            "这一行不完整，请检查引号，以及格数是否与第一行相同。",
        ),
    ],
    ids=["empty", "a workbook", "an unknown pollutant", "too few cells", "an open quotation"],
)
def test_what_is_no_sheet_of_factors_is_told(world: World, content: bytes, line: int, reason: str) -> None:
    assert (line, reason) in [(one[0], one[2]) for one in told(world, content)]


def test_only_officers_with_a_reason_import(world: World) -> None:
    content = sheet(rows())
    for who in (world.organiser, world.colleague(Role.AUDITOR)):
        with pytest.raises(NotAllowed):
            import_sheet(world.house, who, content, WHY)
    with pytest.raises(InvalidField):
        import_sheet(world.house, world.officer, content, " ")


# --- the sheet as a form ------------------------------------------------------------------------------------


def test_every_column_has_its_rule_in_plain_words() -> None:
    assert RULES.keys() == {column.name for column in FACTORS_FILE.columns}


def test_a_form_says_what_the_sheet_would(world: World) -> None:
    with world.house.db.reading_session() as session:
        kind = session.get_one(ActionKind, "bike_trip")
        version = all_versions(session, "bike_trip")[0]
    assert values_in(read_values(kind, cells_of(version))) == values_in(version)


def test_full_width_signs_of_a_chinese_keyboard_are_understood(world: World) -> None:
    with world.house.db.reading_session() as session:
        kind = session.get_one(ActionKind, "clean_plate")
        cells = cells_of(all_versions(session, "clean_plate")[0])
    typed = {
        "co2e_g_low": "１４４．５",
        "nox_mg": "−0.25",
        "derivation": "high：rate＝93，factor＝4.83；",
        "source": "来源：全角的标点，留着",
    }
    values = read_values(kind, {**cells, **typed})
    assert (values.co2e_low_ng, values.nox_ng) == (144_500_000_000, -250_000)
    assert values.derivation == "high: rate=93, factor=4.83"
    assert values.source == "来源：全角的标点，留着"
