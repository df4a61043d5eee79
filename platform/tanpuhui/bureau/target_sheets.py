"""Targets as a sheet: XLSX and CSV with the same columns, out and in again (docs/targets.md).

A sheet that was written here, read again and applied changes nothing.
"""

import io
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from tanpuhui import csvtext
from tanpuhui.bureau.target_forms import Known, TargetIn, typed, unit_word
from tanpuhui.bureau.target_measures import MEASURES
from tanpuhui.bureau.targets import Target
from tanpuhui.i18n import N_

#: The columns, and the field of a form that each is.
COLUMNS = {
    "编号": "code",
    "上级编号": "parent",
    "街镇": "division_code",
    "部门": "department",
    "指标": "measure",
    "行为": "kind",
    "统计内容": "subject",
    "数量": "amount",
    "单位": "unit",
    "期限": "due_on",
    "负责人": "answerer_id",
    "依据": "basis",
    "备注": "notes",
}
COLUMN_OF = {name: column for column, name in COLUMNS.items()}
_EVER = datetime(2000, 1, 1)  # noqa: DTZ001 - a sheet says nothing of when it was made
MOST_ROWS, LARGEST_UNPACKED = 500, 8_000_000
CODE = re.compile(r"[0-9A-Za-z]{1,8}(?:[.-][0-9A-Za-z]{1,8}){0,5}")


@dataclass(frozen=True, order=True)
class Problem:
    """Something wrong in a row (0: the whole file, 1: the heading), at a column if it belongs to one."""

    row: int
    column: str
    reason: str


@dataclass(frozen=True)
class Line:
    """A row of a sheet as texts, by column."""

    row: int
    cells: Mapping[str, str]

    def get(self, column: str) -> str:
        """The text in a column."""
        return self.cells.get(column, "")


@dataclass
class Table:
    """A sheet as read."""

    lines: list[Line] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


# --- writing ------------------------------------------------------------------------------------------------


def rows_of(
    targets: Sequence[Target], known: Known, names: Mapping[UUID, str], codes: Mapping[UUID, str]
) -> list[dict[str, str]]:
    """The cells of targets, by column. `names`: who answers, also of those who have left; `codes`: of every parent."""
    kind_names = Counter(kind.name_zh for kind in known.kinds.values())
    found = []
    for one in targets:
        said = typed(one)
        kind = known.kinds.get(one.kind)
        cells = {
            **{COLUMN_OF[name]: getattr(said, name) for name in TargetIn.__dataclass_fields__},
            "编号": one.code,
            "上级编号": codes.get(one.parent_id, "") if one.parent_id else "",
            "街镇": known.divisions[one.division_code].name,
            "指标": MEASURES[one.measure].name,
            "行为": kind.name_zh if kind and kind_names[kind.name_zh] == 1 else one.kind,
            "单位": unit_word(one.unit),
            "负责人": names.get(one.answerer_id, ""),
        }
        found.append({column: cells[column] for column in COLUMNS})
    return found


def csv_of(rows: Iterable[Mapping[str, str]]) -> bytes:
    """Targets as CSV; text that a spreadsheet would run as a formula is defused."""
    return csvtext.write_sheet(list(COLUMNS), [list(row.values()) for row in rows])


def xlsx_of(rows: Iterable[Mapping[str, str]]) -> bytes:
    """Targets as XLSX: amounts are numbers, days are days, and all else is text, which no spreadsheet runs."""
    import xlsxwriter  # late: few processes write sheets

    out = io.BytesIO()
    plain = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with xlsxwriter.Workbook(out, {"in_memory": True, **plain}) as book:
        book.set_properties({"created": _EVER})
        sheet = book.add_worksheet("目标")
        bold, day = book.add_format({"bold": True}), book.add_format({"num_format": "yyyy-mm-dd"})
        text, quoted = book.add_format({"num_format": "@"}), book.add_format({"quote_prefix": True})
        sheet.freeze_panes(1, 0)
        for at, column in enumerate(COLUMNS):
            sheet.write_string(0, at, column, bold)
            width = {"依据": 40, "备注": 40, "统计内容": 24}.get(column, 14)
            sheet.set_column(at, at, width, {"数量": None, "期限": day}.get(column, text))  # of new rows, too
        for line, row in enumerate(rows, 1):
            for at, (column, cell) in enumerate(row.items()):
                if column == "数量":
                    sheet.write_number(line, at, float(cell))
                elif column == "期限":
                    sheet.write_datetime(line, at, datetime.fromisoformat(cell), day)
                else:
                    # Text is never a formula, and does not become one when somebody edits the cell.
                    sheet.write_string(line, at, cell, quoted if csvtext.like_a_formula(cell) else text)
    return out.getvalue()


# --- reading ------------------------------------------------------------------------------------------------


def read_table(name: str, content: bytes) -> Table:
    """The rows of an XLSX or CSV file; what is wrong with it as a file stands in `problems`."""
    is_book = content.startswith(b"PK") or name.lower().endswith((".xlsx", ".xlsm"))
    table = _read_book(content) if is_book else _read_csv(content)
    if not table.problems and not table.lines:
        table.problems.append(Problem(0, "", N_("这个文件里没有目标。")))
    if len(table.lines) > MOST_ROWS:
        table.problems.append(Problem(0, "", N_("一个文件最多 500 行，请分开导入。")))
    return table


def _read_csv(content: bytes) -> Table:
    sheet = csvtext.parse_sheet("targets.csv", content)
    if any(problem.line == 0 for problem in sheet.problems):
        return Table(problems=[Problem(0, "", N_("应是 UTF-8 或 GB18030 编码的 CSV 文件，或 XLSX 文件。"))])
    whole = [(line, cells) for line, cells in sheet.lines if any(cell.strip() for cell in cells)]
    broken = sorted({problem.line for problem in sheet.problems})
    table = _lines(sheet.header, whole)
    reason = N_("这一行不完整，请检查引号，以及格数是否与第一行相同。")
    table.problems += [Problem(line, "", reason) for line in broken if not table.problems]
    return table


def _read_book(content: bytes) -> Table:
    """The first sheet of a workbook. What does not open, or would unpack to far more than any sheet of targets, is refused."""
    import openpyxl  # late: few processes read sheets

    refused = Table(problems=[Problem(0, "", N_("这个文件打不开，应是 XLSX 或 CSV 文件。"))])
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            if sum(entry.file_size for entry in packed.infolist()) > LARGEST_UNPACKED:
                return refused
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True)
        rows = [
            list(row) for _, row in zip(range(MOST_ROWS + 100), book.worksheets[0].iter_rows(), strict=False)
        ]
    except Exception:  # a damaged workbook breaks in a hundred ways, none of them ours
        return refused
    problems, lines = [], []
    header = [str(cell.value or "").strip() for cell in rows[0]] if rows else []
    while header and not header[-1]:
        header.pop()
    for number, row in enumerate(rows[1:], 2):
        cells = [cell.value for cell in row[: len(header)]]
        formulas = [at for at, cell in enumerate(row[: len(header)]) if cell.data_type == "f"]
        reason = N_("这一格是公式，请粘贴为数值。")
        problems += [Problem(number, header[at], reason) for at in formulas]
        if any(value not in {None, ""} for value in cells):
            lines.append((number, [_text(value) for value in cells] + [""] * (len(header) - len(cells))))
    table = _lines(header, lines)
    table.problems += problems
    return table


def _text(value: Any) -> str:
    """A cell as it reads."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == datetime.min.time() else value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float):
        number = Decimal(repr(value))
        return f"{number.normalize():f}" if number.is_finite() else str(value)
    return str(value)


def _lines(header: Sequence[str], lines: Iterable[tuple[int, Sequence[str]]]) -> Table:
    wrong = [
        *(Problem(1, column, N_("缺少这一列。")) for column in COLUMNS if column not in header),
        *(
            Problem(1, "".join(filter(str.isprintable, column))[:64], N_("不认识这一列。"))
            for column in header
            if column not in COLUMNS
        ),
        *(
            Problem(1, column, N_("这一列出现了两次。"))
            for column, times in Counter(header).items()
            if times > 1
        ),
    ]
    if wrong:
        return Table(problems=sorted(set(wrong)))
    return Table(
        [Line(row, dict(zip(header, [cell.strip() for cell in cells], strict=False))) for row, cells in lines]
    )
