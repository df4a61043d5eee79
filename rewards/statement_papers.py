"""A statement on paper: sheets of A4 with a row for each deed, the same bytes each time.

All words come from the caller, already translated. What the font lacks is printed as an empty square: somebody's own words must not
keep the rest from being printed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tanpuhui.pdf import Box, Item, Page, Text, missing_glyphs, pages_pdf, plain, width

_WIDTH, _HEIGHT = 595.28, 841.89  # in points
_LEFT, _RIGHT = 42.0, _WIDTH - 42
_TOP, _FIRST_TOP, _BOTTOM = 64.0, 132.0, _HEIGHT - 54
_ROW = 30.0  # two lines: what, and beneath it what is to be said of it
_WHEN, _WHAT, _POINTS, _BALANCE = _LEFT, _LEFT + 104, _RIGHT - 76, _RIGHT
_INK, _QUIET, _RULE, _GREEN = "#1B2A22", "#56665D", "#D9E2DC", "#14603F"


@dataclass(frozen=True)
class PaperRow:
    """When, what, what is to be said of it, the points and the balance after."""

    when: str
    what: str
    note: str
    points: str
    balance: str


@dataclass(frozen=True)
class StatementPaper:
    """The words around the rows. `facts` stand under the title, `columns` over when, what, points and balance."""

    title: str
    facts: tuple[str, ...]
    columns: tuple[str, str, str, str]
    footer: str
    nothing: str
    rows: Sequence[PaperRow]


def statement_pdf(paper: StatementPaper) -> bytes:
    """The statement as a PDF."""
    sheets = list(_sheets(paper))
    pages = [
        Page(_WIDTH, _HEIGHT, (*items, *_foot(paper, number, len(sheets))))
        for number, items in enumerate(sheets, start=1)
    ]
    return pages_pdf(pages, title=_printable(paper.title))


def _sheets(paper: StatementPaper) -> Iterator[tuple[Item, ...]]:
    left = list(paper.rows)
    first = True
    while first or left:
        top = _FIRST_TOP if first else _TOP
        fits = int((_BOTTOM - top - 20) // _ROW)
        items = [*(_head(paper) if first else ()), *_table(paper, left[:fits], top)]
        if not paper.rows:
            items.append(_text(_LEFT, top + 44, paper.nothing, 11, _QUIET))
        yield tuple(items)
        left, first = left[fits:], False


def _head(paper: StatementPaper) -> Iterator[Item]:
    yield _text(_LEFT, 62, paper.title, 22, _GREEN, bold=True)
    for number, fact in enumerate(paper.facts):
        yield _text(_LEFT, 84 + 16 * number, fact, 10.5, _INK)


def _table(paper: StatementPaper, rows: Sequence[PaperRow], top: float) -> Iterator[Item]:
    when, what, points, balance = paper.columns
    yield _text(_WHEN, top, when, 9, _QUIET)
    yield _text(_WHAT, top, what, 9, _QUIET)
    yield _to_the_right(_POINTS, top, points, 9, _QUIET)
    yield _to_the_right(_BALANCE, top, balance, 9, _QUIET)
    for number, row in enumerate(rows):
        y = top + 8 + _ROW * number
        yield Box(_LEFT, y, _RIGHT - _LEFT, 0.6, _RULE)
        yield _text(_WHEN, y + 13, row.when, 9, _QUIET)
        yield _text(_WHAT, y + 13, _cut(row.what, 10.5, _POINTS - _WHAT - 60), 10.5, _INK)
        yield _text(_WHAT, y + 25, _cut(row.note, 8.5, _POINTS - _WHAT - 40), 8.5, _QUIET)
        yield _to_the_right(_POINTS, y + 13, row.points, 10.5, _INK, bold=True)
        yield _to_the_right(_BALANCE, y + 13, row.balance, 10.5, _INK)


def _foot(paper: StatementPaper, number: int, total: int) -> Iterator[Item]:
    yield _text(_LEFT, _HEIGHT - 30, paper.footer, 8.5, _QUIET)
    yield _to_the_right(_RIGHT, _HEIGHT - 30, f"{number} / {total}", 8.5, _QUIET)


def _text(x: float, y: float, text: str, size: float, colour: str, *, bold: bool = False) -> Text:
    return Text(x, y, _printable(text), size, colour, "Bold" if bold else "Regular")


def _to_the_right(x: float, y: float, text: str, size: float, colour: str, *, bold: bool = False) -> Text:
    printed = _printable(text)
    return _text(x - width(printed, size, "Bold" if bold else "Regular"), y, printed, size, colour, bold=bold)


def _printable(text: str) -> str:
    line = plain(text)
    for missing in missing_glyphs(line):
        line = line.replace(missing, "□")
    return line


def _cut(text: str, size: float, room: float) -> str:
    """As much of a line as there is room for, with dots where the rest was."""
    line = _printable(text)
    if width(line, size) <= room:
        return line
    while line and width(f"{line}…", size) > room:
        line = line[:-1]
    return f"{line}…"
