"""A table in three formats: read back it is the same in each, and made again the same bytes."""

import csv
import io
import json
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zipfile import ZipFile

import openpyxl
import pytest
from hypothesis import Phase, given, settings, strategies as st
from openpyxl.utils.escape import unescape

from tanpuhui.bureau.sheets import Cell, Column, Sort, Table, csv_of, json_of, xlsx_of
from tanpuhui.csvtext import parse_sheet

TABLE = Table(
    "things",
    "点位",
    (
        Column("name", "名称"),
        Column("count", "整数", Sort.WHOLE, unit="千克"),
        Column("amount", "小数", Sort.DECIMAL, places=6),
        Column("day", "日期", Sort.DAY),
        Column("told", "是或否", Sort.FLAG, meaning="含义", source="来源"),
    ),
)

#: Text that XML can hold; what a spreadsheet cannot tell from nothing is left out.
_TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), min_size=1, max_size=40
)
_FORMULAS = st.sampled_from(["=1+1", "+1", "-1", "@x", "=HYPERLINK(\"http://x\")", "'=1", "{=1}", "http://a.b", "007", "1e5", "_x0041_"])  # fmt: skip
_WHOLE = st.integers(-(10**18), 10**18)
_ROWS = st.lists(
    st.tuples(
        st.none() | _FORMULAS | _TEXT,
        st.none() | _WHOLE,
        st.none() | _WHOLE,
        st.none() | st.dates(date(1950, 1, 1), date(2099, 12, 31)),
        st.none() | st.booleans(),
    ),
    max_size=8,
)


def plain(rows: list[tuple[Cell, ...]]) -> list[tuple[Any, ...]]:
    """What each format has to say: numbers as exact decimals."""
    return [
        (name, count, None if amount is None else Decimal(amount).scaleb(-6), day, told)
        for name, count, amount, day, told in rows
    ]


def read_xlsx(body: bytes) -> list[tuple[Any, ...]]:
    book = openpyxl.load_workbook(io.BytesIO(body))
    sheet = book.worksheets[0]
    found = []
    for row in list(sheet.iter_rows(max_col=5))[1:]:
        assert not [cell for cell in row if cell.data_type == "f"], "a formula"
        name, count, amount, day, told = (cell.value for cell in row)
        assert day is None or isinstance(day, datetime)
        found.append(
            (
                name and unescape(name),  # as Excel does, and openpyxl does not
                None if count is None else int(count),
                None if amount is None else Decimal(str(amount)),
                day and day.date(),
                told,
            )
        )
    return found


def read_csv(body: bytes) -> list[tuple[Any, ...]]:
    assert body.startswith(b"\xef\xbb\xbf")
    sheet = parse_sheet("things.csv", body)
    assert (sheet.problems, sheet.header) == ([], [column.key for column in TABLE.columns])
    return [
        (
            name or None,
            int(count) if count else None,
            Decimal(amount) if amount else None,
            date.fromisoformat(day) if day else None,
            {"": None, "yes": True, "no": False}[told],
        )
        for _, (name, count, amount, day, told) in sheet.lines
    ]


def read_json(body: bytes) -> list[tuple[Any, ...]]:
    return [
        (
            row["name"],
            row["count"],
            None if row["amount"] is None else Decimal(str(row["amount"])),
            row["day"] and date.fromisoformat(row["day"]),
            row["told"],
        )
        for row in json.loads(body)["rows"]
    ]


@settings(max_examples=25, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(_ROWS)
def test_every_format_says_the_same(rows: list[tuple[Cell, ...]]) -> None:
    assert read_json(b"".join(json_of(TABLE, rows))) == plain(rows)
    while rows and not [cell for cell in rows[-1] if cell is not None]:
        rows.pop()  # a sheet ends with what stands in it
    assert read_xlsx(xlsx_of(TABLE, rows, "zh")) == plain(rows)
    assert read_csv(b"".join(csv_of(TABLE, rows))) == plain(rows)


def test_a_sheet_is_the_same_bytes_each_time_and_numbers_are_numbers() -> None:
    rows: list[tuple[Cell, ...]] = [
        ("=cmd|' /C calc'!A0", 12, 1_500_000, date(2026, 6, 5), True),
        ("静安", 10**17 + 1, 123_456_789_012_345_678, None, False),
    ]
    body = xlsx_of(TABLE, rows, "zh")
    assert xlsx_of(TABLE, iter(rows), "zh") == body
    sheet, meaning = openpyxl.load_workbook(io.BytesIO(body)).worksheets
    kinds = [[cell.data_type for cell in row] for row in sheet.iter_rows(min_row=2)]
    # more digits than a spreadsheet keeps stand there as text
    assert kinds == [["s", "n", "n", "d", "b"], ["s", "s", "s", "n", "b"]]
    assert sheet["A2"].quotePrefix
    assert not sheet["A3"].quotePrefix
    assert sheet["B1"].value == "整数（千克）"
    assert [cell.value for cell in meaning[6]] == ["told", "是或否", "", "是或否", "含义", "来源"]
    assert (
        openpyxl.load_workbook(io.BytesIO(xlsx_of(TABLE, [], "en"))).worksheets[0]["B1"].value
        == "Whole number (kg)"
    )
    with ZipFile(io.BytesIO(body)) as file:
        assert "xl/sharedStrings.xml" not in file.namelist() or b"calc" not in file.read(
            "xl/sharedStrings.xml"
        )
        assert b"2000-01-01" in file.read("docProps/core.xml")
        assert {entry.date_time[0] for entry in file.infolist()} == {1980}


def test_what_no_cell_can_hold_is_refused_and_not_cut() -> None:
    with pytest.raises(ValueError, match="longer than a cell"):
        xlsx_of(TABLE, [("x" * 32_768, None, None, None, None)], "zh")
    with pytest.raises(ValueError, match="argument"):
        list(csv_of(TABLE, [("too", "few")]))


def test_a_csv_is_harmless_in_a_spreadsheet() -> None:
    rows: list[tuple[Cell, ...]] = [("=1+1", -5, -1_500_000, None, None)]
    body = b"".join(csv_of(TABLE, rows)).decode("utf-8-sig")
    assert list(csv.reader(io.StringIO(body)))[1] == ["'=1+1", "-5", "-1.5", "", ""]
