"""The text of a CSV file with the physical line of each record: UTF-8 (with or without BOM) or GB18030."""

import csv
import io
from dataclasses import dataclass, field
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
    sheet = Sheet(path.name)
    try:
        content = _decode(path.read_bytes())
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
                sheet.lines.append((start, cells))
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


def _decode(raw: bytes) -> str:
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
