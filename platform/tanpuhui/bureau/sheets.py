"""One table as CSV, XLSX and JSON, from one description of its columns: the same values in every format, and the same bytes each time.

A value is a whole number (a decimal one scaled by the places of its column), text, a day, yes or no, or None for a cell without a value.
A spreadsheet keeps 15 digits of a number; one that has more is written there, and in JSON if it is a decimal, as text.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from io import BytesIO
from typing import Any

from tanpuhui.csvtext import like_a_formula, stream_sheet
from tanpuhui.i18n import N_, translated

#: A cell; of a decimal column a whole number scaled by its places.
Cell = str | int | date | bool | None
Row = Sequence[Cell]

_DIGITS = 15  # what a spreadsheet keeps of a number
_LONGEST_TEXT = 32_767  # of a cell of a spreadsheet
_EVER = datetime(2000, 1, 1)  # noqa: DTZ001 - a sheet says nothing of when it was made


class Sort(StrEnum):
    """What the values of a column are."""

    TEXT = "text"
    WHOLE = "whole"
    DECIMAL = "decimal"
    DAY = "day"
    FLAG = "flag"


@dataclass(frozen=True)
class Column:
    """A column. `key` is its name for programs; the texts are marked for translation. `places`: of a decimal number."""

    key: str
    name: str
    sort: Sort = Sort.TEXT
    unit: str = ""
    meaning: str = ""
    source: str = ""
    places: int = 0


@dataclass(frozen=True)
class Table:
    """What a sheet holds. `key` is its name for programs, `name` marked for translation."""

    key: str
    name: str
    columns: tuple[Column, ...]


SORT_NAMES = {
    Sort.TEXT: N_("文字"),
    Sort.WHOLE: N_("整数"),
    Sort.DECIMAL: N_("小数"),
    Sort.DAY: N_("日期"),
    Sort.FLAG: N_("是或否"),
}


def csv_of(table: Table, rows: Iterable[Row]) -> Iterator[bytes]:
    """The table as CSV (UTF-8 with a BOM) piece by piece: headed by the keys of its columns, the same in every language."""
    header = [column.key for column in table.columns]
    return stream_sheet(
        header, ([_in_csv(cell, column) for cell, column in _pairs(table, row)] for row in rows)
    )


def json_of(table: Table, rows: Iterable[Row], about: Mapping[str, Any] | None = None) -> Iterator[bytes]:
    """The table as JSON piece by piece: what it is about, its columns in both languages, and an object for each row."""
    head = {"table": table.key, **(about or {}), "columns": [_described(column) for column in table.columns]}
    yield _dumped(head)[:-1] + b',"rows":[\n'
    between = b""
    for row in rows:
        line = {column.key: _in_json(cell, column) for cell, column in _pairs(table, row)}
        yield between + _dumped(line)
        between = b",\n"
    yield b"\n]}\n"


def xlsx_of(table: Table, rows: Iterable[Row], language: str) -> bytes:
    """The table as an Excel file: its rows on one sheet, headed in `language` (``zh`` or ``en``), what its columns mean on another."""
    import xlsxwriter  # late: few processes write sheets

    out = BytesIO()
    book = xlsxwriter.Workbook(
        out,
        {
            "constant_memory": True,
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "strings_to_numbers": False,
        },
    )
    book.set_properties({"title": translated(table.name, language), "created": _EVER})
    try:
        _data_sheet(book, table, rows, language)
        _meaning_sheet(book, table, language)
    finally:
        book.close()  # and with it the file that holds its rows meanwhile
    return out.getvalue()


def headed(column: Column, language: str) -> str:
    """The name of a column with its unit, in ``zh`` or ``en``."""
    name, unit = translated(column.name, language), translated(column.unit, language)
    if not unit:
        return name
    return f"{name}（{unit}）" if language == "zh" else f"{name} ({unit})"


def dictionary(table: Table, language: str) -> list[tuple[str, ...]]:
    """What each column means: key, name, unit, sort, meaning, source; for people."""
    return [
        (
            column.key,
            *(translated(text, language) for text in (column.name, column.unit, SORT_NAMES[column.sort])),
            *(translated(text, language) for text in (column.meaning, column.source)),
        )
        for column in table.columns
    ]


#: What heads the columns of a `dictionary`.
DICTIONARY_HEAD = (N_("列名"), N_("名称"), N_("计量单位"), N_("数据类型"), N_("含义"), N_("来源"))


def _pairs(table: Table, row: Row) -> Iterator[tuple[Cell, Column]]:
    return zip(row, table.columns, strict=True)


# --- CSV and JSON ------------------------------------------------------------------------------------------


def _in_csv(cell: Cell, column: Column) -> str | int | None:
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, date):
        return cell.isoformat()
    if column.sort is Sort.DECIMAL and isinstance(cell, int):
        return _decimal_text(cell, column.places)
    return cell


def _in_json(cell: Cell, column: Column) -> Any:
    if isinstance(cell, date):
        return cell.isoformat()
    if column.sort is Sort.DECIMAL and isinstance(cell, int):
        return _number(cell, column.places)
    return cell


def _described(column: Column) -> dict[str, Any]:
    texts = {"name": column.name, "unit": column.unit, "meaning": column.meaning, "source": column.source}
    told = {
        key: {language: translated(text, language) for language in ("zh", "en")}
        for key, text in texts.items()
        if text
    }
    return {"key": column.key, "type": column.sort.value, **told}


def _dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _decimal_text(value: int, places: int) -> str:
    """A whole number scaled by 10**places, as a decimal without superfluous zeros: (2500, 3) -> '2.5'."""
    digits = str(abs(value)).rjust(places + 1, "0")
    whole, fraction = digits[: len(digits) - places], digits[len(digits) - places :].rstrip("0")
    return f"{'-' if value < 0 else ''}{whole}{'.' if fraction else ''}{fraction}"


def _number(value: int, places: int) -> int | float | str:
    """The number itself as far as a double keeps it exactly, else its digits."""
    text = _decimal_text(value, places)
    if len(text.lstrip("-").replace(".", "").strip("0")) > _DIGITS:
        return text
    return float(text) if "." in text else int(text)


# --- XLSX --------------------------------------------------------------------------------------------------


def _data_sheet(book: Any, table: Table, rows: Iterable[Row], language: str) -> None:
    sheet = book.add_worksheet(_sheet_name(translated(table.name, language)))
    bold = book.add_format({"bold": True, "text_wrap": True, "valign": "top", "bottom": 1})
    formats = [book.add_format({"num_format": _FORMATS[column.sort](column)}) for column in table.columns]
    quoted = book.add_format({"quote_prefix": True})
    sheet.freeze_panes(1, 0)
    for at, column in enumerate(table.columns):
        sheet.set_column(at, at, _WIDTHS[column.sort])
        sheet.write_string(0, at, headed(column, language), bold)
    for line, row in enumerate(rows, start=1):
        for at, (cell, column) in enumerate(_pairs(table, row)):
            _write(sheet, (line, at), cell, column, formats[at], quoted)


def _write(sheet: Any, place: tuple[int, int], cell: Cell, column: Column, form: Any, quoted: Any) -> None:
    match cell:
        case None:
            return
        case bool():
            sheet.write_boolean(*place, cell)
        case date():
            sheet.write_datetime(*place, datetime(cell.year, cell.month, cell.day), form)  # noqa: DTZ001
        case int():
            number = _number(cell, column.places if column.sort is Sort.DECIMAL else 0)
            if isinstance(number, str):
                sheet.write_string(*place, number)
            else:
                sheet.write_number(*place, number, form)
        case _:
            if len(cell) > _LONGEST_TEXT:
                raise ValueError(f"{column.key}: longer than a cell of a spreadsheet holds")
            # Text is never a formula, and does not become one when somebody edits the cell.
            sheet.write_string(*place, cell, quoted if like_a_formula(cell) else None)


def _meaning_sheet(book: Any, table: Table, language: str) -> None:
    sheet = book.add_worksheet(translated(N_("各列说明"), language))
    bold, wrapped = (
        book.add_format({"bold": True, "bottom": 1}),
        book.add_format({"text_wrap": True, "valign": "top"}),
    )
    sheet.freeze_panes(1, 0)
    for at, (text, wide) in enumerate(zip(DICTIONARY_HEAD, (22, 26, 16, 10, 60, 40), strict=True)):
        sheet.set_column(at, at, wide)
        sheet.write_string(0, at, translated(text, language), bold)
    for line, texts in enumerate(dictionary(table, language), start=1):
        for at, text in enumerate(texts):
            sheet.write_string(line, at, text, wrapped)


def _sheet_name(text: str) -> str:
    """As a spreadsheet takes it: at most 31 characters, none of seven, no apostrophe at an end."""
    return "".join(" " if character in "[]:*?/\\" else character for character in text)[:31].strip("' ")


_FORMATS: dict[Sort, Any] = {
    Sort.TEXT: lambda _column: "General",
    Sort.WHOLE: lambda _column: "#,##0",
    Sort.DECIMAL: lambda column: f"#,##0.{'0' * min(column.places, 3)}" if column.places else "#,##0",
    Sort.DAY: lambda _column: "yyyy-mm-dd",
    Sort.FLAG: lambda _column: "General",
}
_WIDTHS = {Sort.TEXT: 24, Sort.WHOLE: 14, Sort.DECIMAL: 16, Sort.DAY: 12, Sort.FLAG: 8}
