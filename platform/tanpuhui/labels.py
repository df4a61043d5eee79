"""Labels: sheets of A4 that are cut into slips or stickers, each with a code of its own.

All words come from the caller. The layout measures them and shrinks them until they fit their place.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tanpuhui import qr
from tanpuhui.pdf import Box, Code, Item, Page, Style, fit, plain, require_glyphs
from tanpuhui.posters import Poster

MM = 72 / 25.4
_WIDTH, _HEIGHT = 595.28, 841.89  # A4 in points

_DEEP, _INK, _QUIET, _LINE = "#14603F", "#1B2A22", "#56665D", "#B9C4BE"


@dataclass(frozen=True)
class Grid:
    """Labels of `width` x `height` points, side by side in the middle of a sheet."""

    columns: int
    rows: int
    width: float
    height: float

    @property
    def per_sheet(self) -> int:
        """How many labels a sheet has."""
        return self.columns * self.rows

    @property
    def left(self) -> float:
        """Where the first column begins."""
        return (_WIDTH - self.columns * self.width) / 2

    @property
    def top(self) -> float:
        """Where the first row begins."""
        return (_HEIGHT - self.rows * self.height) / 2


#: The labels of office shops: 70 x 37 mm.
SLIPS = Grid(3, 8, 70 * MM, 37 * MM)

#: Square ones for the place itself: 50 mm.
STICKERS = Grid(4, 5, 50 * MM, 50 * MM)


def sheets(grid: Grid, labels: Sequence[Sequence[Item]]) -> Iterator[Page]:
    """The labels, each drawn from its own corner, on as many sheets as it takes, with lines to cut by."""
    for first in range(0, len(labels), grid.per_sheet):
        items = list(_cutting_lines(grid))
        for place, label in enumerate(labels[first : first + grid.per_sheet]):
            row, column = divmod(place, grid.columns)
            x, y = grid.left + column * grid.width, grid.top + row * grid.height
            items += [replace(item, x=item.x + x, y=item.y + y) for item in label]
        yield Page(_WIDTH, _HEIGHT, tuple(items))


def _cutting_lines(grid: Grid) -> Iterator[Item]:
    for column in range(grid.columns + 1):
        yield Box(grid.left + column * grid.width - 0.2, grid.top, 0.4, grid.rows * grid.height, _LINE)
    for row in range(grid.rows + 1):
        yield Box(grid.left, grid.top + row * grid.height - 0.2, grid.columns * grid.width, 0.4, _LINE)


# --- slips -------------------------------------------------------------------------------------------------

_SITE = Style(8.5, 5, _QUIET, leading=1.2)
_WHAT = Style(13, 6, _DEEP, "Bold", leading=1.2)
_ONCE = Style(7, 5, _INK, leading=1.25)
_TYPED = Style(7.5, 5, _INK, "Bold", leading=1.25)
_HOST = Style(5.5, 3.5, _QUIET)

_CODE = 26 * MM
_QUIET_MODULES = 4


@dataclass(frozen=True)
class Slip:
    """What one slip says: where, for what, the rule, and its code as a picture and to type at `host`."""

    site_name: str
    what: str
    once: str
    url: str
    short_code: str
    host: str


def in_two_lines(short_code: str) -> str:
    """The groups of a short code, half of them on each line."""
    groups = short_code.split("-")
    half = len(groups) // 2
    return "-".join(groups[:half]) + "\n" + "-".join(groups[half:])


def slip_label(slip: Slip) -> Iterator[Item]:
    """A slip, from its own corner. Raises MissingGlyphs, DoesNotFit, and ValueError for a `url` too long for version 5."""
    require_glyphs(map(plain, (slip.site_name, slip.what, slip.once, slip.short_code, slip.host)))
    rows = qr.printed(slip.url)
    left = top = (SLIPS.height - _CODE) / 2
    yield Code(left, top, _CODE, rows)
    x = left + _CODE + _QUIET_MODULES * _CODE / len(rows) + 1
    space = SLIPS.width - 4 * MM - x
    blocks = (
        fit(slip.site_name, _SITE, space, 22),
        fit(slip.what, _WHAT, space, 32),
        fit(slip.once, _ONCE, space, 18),
        fit(in_two_lines(slip.short_code), _TYPED, space, 19),
        fit(slip.host, _HOST, space, 8),
    )
    spare = SLIPS.height - sum(block.height for block in blocks)
    gap = max(0.0, min(2.5, (spare - 8) / len(blocks)))
    y = (spare - gap * (len(blocks) - 1)) / 2
    for block in blocks:
        yield from block.at(x, y)
        y += block.height + gap


# --- stickers ----------------------------------------------------------------------------------------------

_PAD = 5.0
_SQUARE = 65.0  # side of the code
_AROUND = 7.2  # above and below it: four modules of the smallest
_LINES = (  # what stands above the code and below it, with the height kept for it
    (Style(6.5, 4, _QUIET, centred=True), 8.0),
    (Style(9, 3.5, _INK, "Bold", leading=1.15, centred=True), 17.0),
    (Style(8, 4, _DEEP, "Bold", leading=1.15, centred=True), 12.0),
    (Style(7.5, 5, _INK, "Bold", centred=True), 9.0),
    (Style(6, 3.5, _QUIET, leading=1.25, centred=True), 7.5),
)


def sticker_label(poster: Poster) -> Iterator[Item]:
    """The words of a poster that matter most, on 50 mm. Raises MissingGlyphs, DoesNotFit, and ValueError like a slip."""
    kinds = "、".join(plain(kind) for kind in poster.kinds)
    words = (poster.campaign or "", poster.site_name, kinds, poster.short_code, poster.without_phone)
    require_glyphs(map(plain, words))
    y, middle = _PAD, STICKERS.width / 2
    for place, (text, (style, height)) in enumerate(zip(words, _LINES, strict=True)):
        if place == 3:
            yield Code(middle - _SQUARE / 2, y + _AROUND, _SQUARE, qr.printed(poster.url))
            y += _SQUARE + 2 * _AROUND
        if text:
            block = fit(text, style, STICKERS.width - 2 * _PAD, height)
            yield from block.at(middle, y + (height - block.height) / 2)
        y += height
