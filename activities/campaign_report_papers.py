"""A closing report on paper and as a sheet: drawn from its snapshot alone, the same bytes each time.

A4, upright. The words come from `activities.campaign_report_words`, in the language of the moment.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from activities.campaign_report_words import Section, made, sections, title, untold
from tanpuhui.csvtext import write_sheet
from tanpuhui.pdf import (
    Block,
    Box,
    DoesNotFit,
    Item,
    Page,
    Style,
    Text,
    fit,
    missing_glyphs,
    pages_pdf,
    width,
)

_WIDTH, _HEIGHT = 595.28, 841.89  # in points
_LEFT, _TOP, _BOTTOM = 48.0, 52.0, 58.0
_SPACE = _WIDTH - 2 * _LEFT

_INK, _QUIET, _LEAF, _DEEP, _PALE, _LINE = "#1B2A22", "#56665D", "#1F8A5B", "#14603F", "#EAF5EF", "#CDE7D9"

_TITLE = Style(24, 14, _DEEP, "Bold", leading=1.25)
_MADE = Style(9.5, 9.5, _QUIET)
_HEADING = Style(13.5, 9, _DEEP, "Bold", leading=1.3)
_TEXT = Style(9.5, 9.5, _INK, leading=1.5)
_LABEL = Style(9, 7, _QUIET, leading=1.4)
_VALUE = Style(10.5, 7, _INK, "Bold", leading=1.4)
_HEAD = Style(8, 6, _QUIET, "Bold", leading=1.35)
_CELL = Style(8.5, 6, _INK, leading=1.4)
_NOTE = Style(8, 8, _QUIET, leading=1.45)
_SMALL = 7.5

_COLUMNS_HIGH = 88.0  # of a chart whose bars stand side by side


def report_pdf(snapshot: Mapping[str, Any], language: str) -> bytes:
    """The report as a PDF whose text is in `language`, which is that of the moment."""
    return sections_pdf(title(snapshot), made(snapshot), sections(snapshot), language)


def sections_pdf(name: str, made_at: str, parts: Iterable[Section], language: str) -> bytes:
    """A report called `name` as a PDF: its `parts` one after the other."""
    sheet = _Sheet(name, made_at)
    sheet.begin()
    for section in parts:
        sheet.section(section)
    return pages_pdf(sheet.pages(), title=_printable(name), language=language)


class _Sheet:
    """Pages that are filled from the top; what does not fit goes on to the next one."""

    def __init__(self, name: str, made_at: str) -> None:
        self._name, self._made = name, made_at
        self._pages: list[list[Item]] = [[]]
        self._y = _TOP

    def begin(self) -> None:
        """The title, over a band."""
        block = _set(self._name, _TITLE, _SPACE)
        self._add(Box(0, 0, _WIDTH, 8, _LEAF))
        self._text(block, 6)
        self._text(_set(self._made, _MADE, _SPACE), 4)

    def section(self, section: Section) -> None:
        """One part: its question, then what answers it."""
        heading = _set(section.title, _HEADING, _SPACE)
        self._room(heading.height + 62)
        self._y += 16
        self._add(Box(_LEFT, self._y - 4, _SPACE, 0.75, _LINE))
        self._text(heading, 4)
        for sentence in section.text:
            self._text(_set(sentence, _TEXT, _SPACE), 3)
        for label, value in section.facts:
            self._fact(label, value)
        if section.columns:
            self._columns(section)
        if section.rows:
            self._table(section)
        if section.bars and not section.columns:
            self._bars(section)
        if section.note:
            self._text(_set(section.note, _NOTE, _SPACE), 3)

    def pages(self) -> Iterator[Page]:
        """The pages, each with its number."""
        for number, items in enumerate(self._pages, start=1):
            count = f"{number} / {len(self._pages)}"
            foot = _HEIGHT - 28
            name = self._name if width(_printable(self._name), _SMALL) < _SPACE - 60 else ""
            items.append(Text(_LEFT, foot, _printable(name), _SMALL, _QUIET))
            items.append(Text(_WIDTH - _LEFT - width(count, _SMALL), foot, count, _SMALL, _QUIET))
            yield Page(_WIDTH, _HEIGHT, tuple(items))

    # --- pieces ----------------------------------------------------------------------------------------------

    def _add(self, *items: Item) -> None:
        self._pages[-1].extend(items)

    def _room(self, height: float) -> bool:
        """Go on to the next page unless there are so many points left on this one; whether it did."""
        if self._y + height <= _HEIGHT - _BOTTOM or self._y <= _TOP:
            return False
        self._pages.append([])
        self._y = _TOP
        return True

    def _text(self, block: Block, after: float) -> None:
        for line in block.lines:
            one = Block(block.style, block.size, (line,))
            self._room(one.height)
            self._add(*one.at(_LEFT, self._y))
            self._y += one.height
        self._y += after

    def _fact(self, label: str, value: str) -> None:
        left, right = _set(label, _LABEL, 150), _set(value, _VALUE, _SPACE - 166)
        height = max(left.height, right.height)
        self._room(height)
        self._add(*left.at(_LEFT, self._y), *right.at(_LEFT + 166, self._y))
        self._y += height + 2

    def _table(self, section: Section) -> None:
        spaces = _spaces(section)
        numbers = [_is_of_numbers([row[at] for row in section.rows]) for at in range(len(spaces))]
        head = [_set(text, _HEAD, space - 8) for text, space in zip(section.head, spaces, strict=True)]

        def line(blocks: Sequence[Block], ground: str = "") -> None:
            height = max((block.height for block in blocks), default=0.0) + 5
            if ground:
                self._add(Box(_LEFT, self._y, _SPACE, height, ground))
            x = _LEFT
            for at, (block, space) in enumerate(zip(blocks, spaces, strict=True)):
                for text in block.at(x + 4, self._y + 2.5):
                    shift = space - 8 - width(text.text, text.size, text.weight) if numbers[at] and at else 0
                    self._add(Text(text.x + shift, text.y, text.text, text.size, text.colour, text.weight))
                x += space
            self._y += height

        height = max(block.height for block in head) + 5
        self._room(height + 24)
        line(head, _PALE)
        for row in section.rows:
            blocks = [_set(text, _CELL, space - 8) for text, space in zip(row, spaces, strict=True)]
            if self._room(max(block.height for block in blocks) + 6):
                line(head, _PALE)
            line(blocks)
            self._add(Box(_LEFT, self._y, _SPACE, 0.4, _LINE))
        self._y += 4

    def _bars(self, section: Section) -> None:
        """A bar for each row, one below the other."""
        space = _SPACE - 170
        for row, share in zip(section.rows, section.bars, strict=True):
            name = _set(row[0], _CELL, 160)
            self._room(name.height + 3)
            middle = self._y + name.height / 2
            self._add(*name.at(_LEFT, self._y))
            self._add(Box(_LEFT + 170, middle - 3.5, space, 7, _PALE, 2))
            if share:
                self._add(Box(_LEFT + 170, middle - 3.5, max(2.0, space * share / 1000), 7, _LEAF, 2))
            self._y += name.height + 3
        self._y += 4

    def _columns(self, section: Section) -> None:
        """A bar for each row, side by side; what is not told is pale."""
        self._room(_COLUMNS_HIGH + 24)
        step = min(40.0, _SPACE / len(section.bars))
        base = self._y + _COLUMNS_HIGH
        for at, share in enumerate(section.bars):
            x = _LEFT + at * step
            high = 4.0 if share is None else max(1.0, _COLUMNS_HIGH * share / 1000)
            self._add(Box(x + step * 0.1, base - high, step * 0.8, high, _LINE if share is None else _LEAF))
        self._add(Box(_LEFT, base, step * len(section.bars), 0.75, _QUIET))
        first, last = _printable(section.rows[0][0]), _printable(section.rows[-1][0])
        self._add(Text(_LEFT, base + 11, first, _SMALL, _QUIET))
        if len(section.rows) > 1:
            right = max(
                _LEFT + step * len(section.bars), _LEFT + width(first, _SMALL) + 12 + width(last, _SMALL)
            )
            self._add(Text(right - width(last, _SMALL), base + 11, last, _SMALL, _QUIET))
        self._y = base + 22


_NUMBER = re.compile(r"[−\d][\d.,\s%–−]*\D{0,10}")


def _is_of_numbers(cells: Sequence[str]) -> bool:
    """Whether a column stands at the right: all of it are numbers, or left out."""
    return all(cell == untold() or _NUMBER.fullmatch(cell) for cell in cells)


def _spaces(section: Section) -> list[float]:
    """How wide each column is: the words of the first, or of the last if it is long, need the most."""
    count = len(section.head)
    longest = max(len(row[-1]) for row in section.rows)
    if count == 3 and longest > 24:
        return [_SPACE * share for share in (0.22, 0.18, 0.6)]
    first = 0.3 if count > 4 else 0.4
    return [_SPACE * first, *[_SPACE * (1 - first) / (count - 1)] * (count - 1)]


def _set(text: str, style: Style, space: float) -> Block:
    """The text in lines of at most so many points; a word that is too long for a line is broken."""
    text = _printable(text) or " "
    try:
        return fit(text, style, space, 100_000)
    except DoesNotFit:
        return fit(re.sub(r"(\S{12})(?=\S)", r"\1 ", text), style, space, 100_000)


def _printable(text: str) -> str:
    """The text with an empty box for each character that the font has no picture of: a report is always made."""
    for character in missing_glyphs(text):
        text = text.replace(character, "□")
    return text


# --- as a sheet ----------------------------------------------------------------------------------------------

_HEADER = (
    *("section", "key", "name_zh", "name_en", "city_credited", "participants", "records"),
    *("co2e_low_mg", "co2e_mid_mg", "co2e_high_mg", "pollutant_ug", "value"),
)


def report_csv(snapshot: Mapping[str, Any]) -> bytes:
    """The numbers of a report as a CSV file, one a line; an empty cell is left out or has no meaning there."""
    return write_sheet(_HEADER, _lines(snapshot))


def _lines(snapshot: Mapping[str, Any]) -> Iterator[tuple[str | int | None, ...]]:
    about = snapshot["campaign"]

    def line(
        section: str, key: str, value: str | int | None = None, **cells: Any
    ) -> tuple[str | int | None, ...]:
        known = {"section": section, "key": key, "value": value, **cells}
        return tuple(known.get(name) for name in _HEADER)

    for key in ("title", "owner", "where", "starts_at", "ends_at", "version", "approved_at"):
        yield line("campaign", key, about[key])
    yield line("campaign", "made_at", snapshot["made_at"])
    yield line("campaign", "format", snapshot["format"])
    for key, goal in (about["goals"] or {}).items():
        yield line("goal", key, goal)
    for key in ("participants", "new", "returning", "waiting"):
        yield line("people" if key != "waiting" else "records", key, snapshot[key])
    for table, rows in snapshot["tables"].items():
        for row in rows:
            yield line(
                table,
                row["key"],
                name_zh=row.get("zh"),
                name_en=row.get("en"),
                city_credited="yes" if row["city"] else "no",
                participants=row["participants"],
                records=row["records"],
                co2e_low_mg=row["co2e_mg"],
                co2e_mid_mg=row["co2e_mid_mg"],
                co2e_high_mg=row["co2e_high_mg"],
            )
    for row in snapshot["pollutants"]:
        yield line(
            "pollutant",
            row["key"],
            city_credited="yes" if row["city"] else "no",
            records=row["known"],
            pollutant_ug=row["ug"],
        )
    if found := snapshot["otherwise"]:
        yield line("otherwise", "asked", found["asked"])
        yield line("otherwise", "answered", found["answered"])
        for key, number in found["answers"].items():
            yield line("otherwise", key, records=number)
    for row in snapshot["refused"]:
        yield line("refused", row["key"], row["times"])
    for row in snapshot["checked"]:
        key = "verified" if row["verified"] else "self_declared"
        yield line("checked", f"{key}.judged", row["judged"])
        yield line("checked", f"{key}.wrong", row["wrong"])
    for key, number in snapshot.get("bonus", {}).items():
        yield line("bonus", key, number)
    for row in snapshot["factors"]:
        yield line("factor", row["key"], row["source"], name_zh=row["zh"], name_en=row["en"])
