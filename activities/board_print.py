"""A board on paper: A4, standing, as many pages as it takes. Its words come from the caller, already translated."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tanpuhui.pdf import Box, Item, Page, Style, fit, missing_glyphs, pages_pdf, plain

_WIDTH, _HEIGHT = 595.28, 841.89  # in points
_LEFT, _SPACE = 48.0, 499.0
_BOTTOM = _HEIGHT - 96
_ROW = 27.0

_DEEP, _PALE, _TINT = "#14603F", "#CDE7D9", "#EAF5EF"
_TITLE = Style(30, 12, _DEEP, "Bold", leading=1.2)
_SUBTITLE = Style(11, 7, "#56665D")
_HEADING = Style(17, 10, _DEEP, "Bold")
_HEAD = Style(10, 7, "#56665D")
_CELL = Style(13, 6, "#1B2A22")
_RANK = Style(15, 8, _DEEP, "Bold")
_NOTE = Style(9, 5, "#56665D", leading=1.5)

#: How wide the columns are, by their number.
_COLUMNS = {3: (58.0, 281.0, 160.0), 5: (58.0, 171.0, 100.0, 100.0, 70.0)}

#: Stands for what the font has no picture of: nicknames hold any script and emoji.
_UNKNOWN = "□"


@dataclass(frozen=True)
class Section:
    """A table: its heading, the names of three or five columns, and its rows."""

    heading: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


@dataclass(frozen=True)
class Sheet:
    """The words of a board. `empty` stands where there is no section."""

    title: str
    subtitle: str
    sections: tuple[Section, ...]
    empty: str
    notes: str
    issuer: str


def printable(text: str) -> str:
    """`text` on one line, with a square for each character that the font lacks."""
    lacking = set(missing_glyphs(plain(text)))
    return "".join(_UNKNOWN if character in lacking else character for character in plain(text))


def board_pdf(sheet: Sheet) -> bytes:
    """The board as a PDF, the same bytes each time. Raises DoesNotFit for words far too long."""
    pages = [Page(_WIDTH, _HEIGHT, (*items, *_foot(sheet))) for items in _pages(sheet)]
    return pages_pdf(pages, title=printable(sheet.title))


def _pages(sheet: Sheet) -> Iterator[list[Item]]:
    items, y = list(_top(sheet)), 138.0
    if not sheet.sections:
        items.extend(fit(printable(sheet.empty), _CELL, _SPACE, 60).at(_LEFT, y))
    for section in sheet.sections:
        waiting = list(section.rows)
        while waiting:
            if y + 34 + 22 + 2 * _ROW > _BOTTOM:
                yield items
                items, y = list(_top(sheet)), 138.0
            items.extend(fit(printable(section.heading), _HEADING, _SPACE, 26).at(_LEFT, y))
            items.extend(_line(section.columns, y + 34, 18, (_HEAD,) * len(section.columns)))
            y += 34 + 22
            while waiting and y + _ROW <= _BOTTOM:
                items.append(Box(_LEFT, y - 1, _SPACE, 0.75, _PALE))
                cells = waiting.pop(0)
                items.extend(_line(cells, y, _ROW - 3, (_RANK, *(_CELL,) * (len(cells) - 1))))
                y += _ROW
            y += 14
    yield items


def _line(cells: Sequence[str], top: float, height: float, styles: Sequence[Style]) -> Iterator[Item]:
    x = _LEFT
    for text, width, style in zip(cells, _COLUMNS[len(cells)], styles, strict=True):
        block = fit(printable(text) or " ", style, width - 10, height)
        yield from block.at(x, top + (height - block.height) / 2)
        x += width


def _top(sheet: Sheet) -> Iterator[Item]:
    yield Box(0, 0, _WIDTH, 10, _DEEP)
    yield from fit(printable(sheet.title), _TITLE, _SPACE, 62).at(_LEFT, 34)
    yield from fit(printable(sheet.subtitle), _SUBTITLE, _SPACE, 28).at(_LEFT, 102)


def _foot(sheet: Sheet) -> Iterator[Item]:
    yield Box(_LEFT - 12, _HEIGHT - 84, _SPACE + 24, 48, _TINT, 8)
    notes = fit(printable(sheet.notes), _NOTE, _SPACE, 42)
    yield from notes.at(_LEFT, _HEIGHT - 60 - notes.height / 2)
    yield from fit(printable(sheet.issuer), _HEAD, _SPACE, 16).at(_LEFT, _HEIGHT - 28)
