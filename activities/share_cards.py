"""The card to share: what one deed saved, as a picture. It names nobody, no place and no time.

All its words come from the caller, already translated. The same words make the same bytes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from tanpuhui import qr
from tanpuhui.pdf import Box, Code, Disc, Item, Page, Style, Text, fit, page_png

_WIDTH, _HEIGHT = 1080.0, 1440.0  # in pixels
_MARGIN = 84.0
_SPACE = _WIDTH - 2 * _MARGIN

_LEAF, _RING, _TINT = "#0A6B4C", "#15775A", "#DFF0E4"
_WHITE, _INK, _QUIET, _PAPER = "#FFFFFF", "#17211C", "#54625A", "#F4F6F1"

_ISSUER = Style(40, 22, _TINT, "Bold")
_KIND = Style(62, 30, _WHITE, "Bold", leading=1.2)
_QUANTITY = Style(44, 24, _TINT)
_LABEL = Style(38, 22, _QUIET)
_AMOUNT = Style(210, 70, _LEAF, "Bold", leading=1.1)
_LIKENESS = Style(42, 24, _INK, "Bold", leading=1.35)
_NOTE = Style(28, 18, _QUIET, leading=1.4)
_INVITE = Style(40, 22, _INK, "Bold", leading=1.3)
_ADDRESS = Style(32, 18, _QUIET)

# Where the parts begin, downwards.
_HEAD = 396.0
_FOOT = 1108.0
_SYMBOL = 232.0
_LAMPS = 884.0
_LAMPS_A_ROW = 20


@dataclass(frozen=True)
class Card:
    """The words of a card. `lamps`: how many are drawn; `url` is what its code says, `address` the same to read."""

    issuer: str
    kind: str
    quantity: str
    label: str
    amount: str
    unit: str
    likeness: str
    lamps: int
    note: str
    invitation: str
    address: str
    url: str


@lru_cache(maxsize=64)
def card_png(card: Card) -> bytes:
    """The card as a PNG of 1080 x 1440.

    Raises MissingGlyphs for characters that the font lacks, DoesNotFit for texts far too long, and ValueError for a
    `url` that no code of version 10 holds.
    """
    return page_png(Page(_WIDTH, _HEIGHT, (*_head(card), *_saved(card), *_foot(card))), dpi=72)


def _head(card: Card) -> Iterator[Item]:
    """Who issues it, and what was done, on green."""
    yield Box(0, 0, _WIDTH, _HEIGHT, _PAPER)
    yield Box(0, 0, _WIDTH, _HEAD, _LEAF)
    yield Disc(_WIDTH - 70, 60, 210, _RING)
    yield Disc(_WIDTH - 70, 60, 120, _LEAF)
    yield from fit(card.issuer, _ISSUER, _SPACE, 56).at(_MARGIN, 66)
    quantity = fit(card.quantity, _QUANTITY, _SPACE, 60)
    kind = fit(card.kind, _KIND, _SPACE, 150)
    yield from kind.at(_MARGIN, _HEAD - 54 - quantity.height - kind.height)
    yield from quantity.at(_MARGIN, _HEAD - 46 - quantity.height)


def _saved(card: Card) -> Iterator[Item]:
    """The grams as large as they go, what they are like, and the lamps of it."""
    yield from fit(card.label, _LABEL, _SPACE, 52).at(_MARGIN, _HEAD + 58)
    amount = fit(card.amount, _AMOUNT, _SPACE - 260, 240)
    for line in amount.at(_MARGIN, _HEAD + 104):
        yield line
        yield Text(_MARGIN + amount.width + 24, line.y, card.unit, amount.size * 0.42, _LEAF, "Bold")
    if card.likeness:
        likeness = fit(card.likeness, _LIKENESS, _SPACE, 120)
        yield from likeness.at(_MARGIN, _LAMPS - 22 - likeness.height)
        yield from _lamps(card.lamps)
    note = fit(card.note, _NOTE, _SPACE, 80)
    yield from note.at(_MARGIN, _FOOT - 24 - note.height)


def _lamps(count: int) -> Iterator[Item]:
    """Row by row: a bulb and its socket."""
    step = _SPACE / _LAMPS_A_ROW
    bulb = step * 0.32
    for number in range(count):
        x = _MARGIN + number % _LAMPS_A_ROW * step + bulb
        y = _LAMPS + (number // _LAMPS_A_ROW + 0.5) * step
        yield Box(x - bulb * 0.45, y + bulb * 0.5, bulb * 0.9, bulb, _LEAF, 3)
        yield Disc(x, y, bulb, _LEAF)


def _foot(card: Card) -> Iterator[Item]:
    """Where to begin: a code on white, and the address to read."""
    yield Box(0, _FOOT, _WIDTH, _HEIGHT - _FOOT, _WHITE)
    rows = tuple(map(tuple, qr.matrix(card.url, level="M", max_version=10)))
    quiet = 4 * _SYMBOL / len(rows)
    left, top = _WIDTH - _MARGIN - _SYMBOL + quiet / 2, (_FOOT + _HEIGHT - _SYMBOL) / 2
    yield Code(left, top, _SYMBOL, rows)
    space = left - quiet - _MARGIN
    invitation = fit(card.invitation, _INVITE, space, 120)
    address = fit(card.address, _ADDRESS, space, 84)
    top = (_FOOT + _HEIGHT - invitation.height - 14 - address.height) / 2
    yield from invitation.at(_MARGIN, top)
    yield from address.at(_MARGIN, top + invitation.height + 14)
