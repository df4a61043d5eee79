"""Member cards to print and cut: ten on a page of A4, each the size of a bank card, with a stub to tear off.

All words come from the caller. The layout measures them and shrinks them until they fit their place.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tanpuhui import qr
from tanpuhui.pdf import Block, Box, Code, Item, Page, Style, fit, pages_pdf, plain

_MM = 72 / 25.4
_WIDTH, _HEIGHT = 595.28, 841.89  # A4 in points
CARD_WIDTH, CARD_HEIGHT = 85.6 * _MM, 54 * _MM
STUB = 14 * _MM
_ROWS, PER_PAGE = 5, 10
_LEFT = (_WIDTH - 2 * (CARD_WIDTH + STUB)) / 2
_TOP = (_HEIGHT - _ROWS * CARD_HEIGHT) / 2

_CODE = 105.0  # side of the code: four modules of quiet around it stay within the card
_CODE_X, _CODE_Y = 15.0, 14.0
_WORDS_X = 137.0  # of the card: where the words begin, beside the quiet of the code
_WORDS = CARD_WIDTH - _WORDS_X - 9
_TYPED_Y = 134.0

_DEEP, _INK, _QUIET, _LINE = "#14603F", "#1B2A22", "#56665D", "#8A968F"
_TITLE = Style(14, 7, "#FFFFFF", "Bold", centred=True)
_HOW = Style(8, 5, _INK, leading=1.3)
_HELP = Style(8.5, 5, _DEEP, "Bold", leading=1.3)
_TYPED = Style(11.5, 6, _INK, "Bold", centred=True)
_STUB_TITLE = Style(8, 5, _DEEP, "Bold", centred=True)
_STUB_CODE = Style(9, 6, _INK, "Bold", leading=1.25, centred=True)
_STUB_HINT = Style(5.5, 4, _QUIET, centred=True, leading=1.25)
_CUTTING = Style(7, 5, _QUIET, centred=True)


@dataclass(frozen=True)
class Card:
    """What one card says: the address in its code, and the short code to type."""

    url: str
    short_code: str


@dataclass(frozen=True)
class Words:
    """What all cards of a sheet say. `lost`: what to do then; `cutting` is for who cuts the sheet."""

    title: str
    how: str
    lost: str
    help: str
    stub: str
    stub_hint: str
    cutting: str


def cards_pdf(cards: Sequence[Card], words: Words) -> bytes:
    """The cards, ten to a page, the same bytes each time.

    Raises MissingGlyphs, DoesNotFit for texts far too long, and ValueError when a `url` needs more than a version 5
    code at level Q.
    """
    pages = [_page(cards[first : first + PER_PAGE], words) for first in range(0, len(cards), PER_PAGE)]
    return pages_pdf(pages, title=plain(words.title))


def _page(cards: Sequence[Card], words: Words) -> Page:
    fixed = [
        (fit(words.title, _TITLE, _WORDS - 8, 20), _WORDS_X + _WORDS / 2, 14.0, 22.0),
        (fit(words.how, _HOW, _WORDS, 34), _WORDS_X, 42.0, 0.0),
        (fit(words.lost, _HOW, _WORDS, 34), _WORDS_X, 76.0, 0.0),
        (fit(words.help, _HELP, _WORDS, 20), _WORDS_X, 112.0, 0.0),
    ]
    items: list[Item] = []
    for place, card in enumerate(cards):
        column, row = place % 2, place // 2
        outer = _LEFT + column * (2 * CARD_WIDTH + STUB)  # the stubs are outside, left and right
        left = _LEFT + STUB + column * CARD_WIDTH
        top = _TOP + row * CARD_HEIGHT
        items += _card(card, left, top, fixed)
        items += _stub(card, words, outer, top)
        items += _tear(left + column * CARD_WIDTH, top)
        items += _corners(left, top)
    items += fit(words.cutting, _CUTTING, CARD_WIDTH * 2, 12).at(_WIDTH / 2, _HEIGHT - 24)
    return Page(_WIDTH, _HEIGHT, tuple(items))


def _card(
    card: Card, left: float, top: float, fixed: list[tuple[Block, float, float, float]]
) -> Iterator[Item]:
    rows = tuple(map(tuple, qr.matrix(card.url, level="Q")))
    yield Code(left + _CODE_X, top + _CODE_Y, _CODE, rows)
    yield Box(left + _WORDS_X, top + 14, _WORDS, 22, _DEEP, 5)
    for block, x, y, height in fixed:
        yield from block.at(left + x, top + y + max(0.0, height - block.height) / 2)
    typed = fit(card.short_code, _TYPED, CARD_WIDTH - 20, 15)
    yield from typed.at(left + CARD_WIDTH / 2, top + _TYPED_Y)


def _stub(card: Card, words: Words, left: float, top: float) -> Iterator[Item]:
    """The same short code in a narrow strip, a group of four on each line."""
    middle, space = left + STUB / 2, STUB - 5
    yield from fit(words.stub, _STUB_TITLE, space, 12).at(middle, top + 16)
    groups = fit(card.short_code.replace("-", "\n"), _STUB_CODE, space, 72)
    yield from groups.at(middle, top + 34)
    yield from fit(words.stub_hint, _STUB_HINT, space, 34).at(middle, top + 110)


def _tear(x: float, top: float) -> Iterator[Item]:
    """A dashed line between card and stub."""
    dashes = 24
    step = CARD_HEIGHT / dashes
    for dash in range(dashes):
        yield Box(x - 0.25, top + (dash + 0.25) * step, 0.5, step / 2, _LINE)


def _corners(left: float, top: float) -> Iterator[Item]:
    """A small cross at each corner of a card, to cut by."""
    for x in (left, left + CARD_WIDTH):
        for y in (top, top + CARD_HEIGHT):
            yield Box(x - 5, y - 0.2, 10, 0.4, _LINE)
            yield Box(x - 0.2, y - 5, 0.4, 10, _LINE)
