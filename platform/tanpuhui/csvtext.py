"""The text of a CSV file with the physical line of each record: UTF-8 (with or without BOM) or GB18030.

And the other way round, for people who open it in a spreadsheet.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple


class Problem(NamedTuple):
    """Something wrong in a file. `line` is the physical line, the header being 1; 0 is the whole file."""

    file: str
    line: int
    column: str
    reason: str


@dataclass
class Sheet:
    """A CSV file as read: header, and for each record its first physical line and its cells."""

    file: str
    header: list[str] = field(default_factory=list)
    lines: list[tuple[int, list[str]]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def read_sheet(path: Path) -> Sheet:
    """Read a CSV file; what is wrong with it as a CSV file stands in `problems`."""
    return parse_sheet(path.name, path.read_bytes())


def parse_sheet(name: str, raw: bytes) -> Sheet:
    """The same for the bytes of a file, which is called `name`."""
    sheet = Sheet(name)
    try:
        content = decode(raw)
    except ValueError as error:
        sheet.problems.append(Problem(sheet.file, 0, "", str(error)))
        return sheet
    reader = csv.reader(io.StringIO(content, newline=""), strict=True)
    start = 1
    try:
        for cells in reader:
            if not sheet.header:
                sheet.header = [cell.strip() for cell in cells]
            elif cells:
                sheet.lines.append((start, [_as_said(cell) for cell in cells]))
            start = reader.line_num + 1
    except csv.Error as error:
        sheet.problems.append(Problem(sheet.file, start, "", f"not readable as CSV: {error}"))
    if not sheet.header:
        sheet.problems.append(Problem(sheet.file, 1, "", "the header is missing"))
    width = len(sheet.header)
    for line, cells in sheet.lines:
        if len(cells) != width:
            reason = f"{len(cells)} cells where the header has {width}"
            sheet.problems.append(Problem(sheet.file, line, "", reason))
    return sheet


def decode(raw: bytes) -> str:
    """The text of a file. Raises ValueError when it is in neither encoding.

    Nearly any bytes pass as GB18030, so that a UTF-8 file with a damaged character would come out as
    nonsense: text whose other characters read well as UTF-8 is not taken for GB18030.
    """
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        lenient = raw.decode("utf-8", errors="replace")
        damaged = lenient.count("�")
        foreign = sum(character > "\x7f" for character in lenient) - damaged
        if foreign > damaged:
            line = raw.count(b"\n", 0, error.start) + 1
            raise ValueError(f"damaged UTF-8 in line {line}") from None
    try:
        return raw.decode("gb18030")
    except UnicodeDecodeError:
        raise ValueError("neither UTF-8 nor GB18030") from None


# --- writing ------------------------------------------------------------------------------------------------

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
_FORMULA_BEGINS = ("=", "+", "-", "@", "\t", "\r", "\N{FULLWIDTH EQUALS SIGN}", "\N{FULLWIDTH PLUS SIGN}",
                   "\N{FULLWIDTH HYPHEN-MINUS}", "\N{FULLWIDTH COMMERCIAL AT}")  # fmt: skip


def write_sheet(header: Sequence[str], rows: Iterable[Sequence[str | int | None]]) -> bytes:
    """A CSV file as spreadsheets open it: UTF-8 with a BOM, an empty cell for None.

    Text that a spreadsheet would run as a formula is preceded by an apostrophe, which reading takes away again; a
    number is not such a text.
    """
    return b"".join(stream_sheet(header, rows))


def stream_sheet(header: Sequence[str], rows: Iterable[Sequence[str | int | None]]) -> Iterator[bytes]:
    """The same a thousand lines at a time, for what is too long to be held at once."""
    yield codecs.BOM_UTF8
    lines = chain([header], rows)
    while some := list(islice(lines, 1000)):
        out = io.StringIO(newline="")
        csv.writer(out).writerows([_harmless(cell) for cell in line] for line in some)
        yield out.getvalue().encode()


def _harmless(cell: str | int | None) -> str | int | None:
    if isinstance(cell, str) and like_a_formula(cell) and not _NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell


def _as_said(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and like_a_formula(cell) else cell


def like_a_formula(cell: str) -> bool:
    """Whether a formula begins behind apostrophes, if any: of these reading takes one away, so writing adds one."""
    return cell.lstrip("'").startswith(_FORMULA_BEGINS)
