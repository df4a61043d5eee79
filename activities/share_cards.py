"""The card to share: what one deed saved, as a picture. It names nobody, no place and no time.

All its words come from the caller, already translated. The same words make the same bytes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from tanpuhui.pdf import Box, Disc, Item, Page, Style, Text, fit, page_png
from tanpuhui.shared_pictures import (
    FOOT,
    HEIGHT,
    INK,
    LEAF,
    MARGIN,
    PAPER,
    QUIET,
    RING,
    SPACE,
    TINT,
    WHITE,
    WIDTH,
    foot,
)

_ISSUER = Style(40, 22, TINT, "Bold")
_KIND = Style(62, 30, WHITE, "Bold", leading=1.2)
_QUANTITY = Style(44, 24, TINT)
_LABEL = Style(38, 22, QUIET)
_AMOUNT = Style(210, 70, LEAF, "Bold", leading=1.1)
_LIKENESS = Style(42, 24, INK, "Bold", leading=1.35)
_NOTE = Style(28, 18, QUIET, leading=1.4)

# Where the parts begin, downwards.
_HEAD = 396.0
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
    return page_png(
        Page(WIDTH, HEIGHT, (*_head(card), *_saved(card), *foot(card.invitation, card.address, card.url))),
        dpi=72,
    )


def _head(card: Card) -> Iterator[Item]:
    """Who issues it, and what was done, on green."""
    yield Box(0, 0, WIDTH, HEIGHT, PAPER)
    yield Box(0, 0, WIDTH, _HEAD, LEAF)
    yield Disc(WIDTH - 70, 60, 210, RING)
    yield Disc(WIDTH - 70, 60, 120, LEAF)
    yield from fit(card.issuer, _ISSUER, SPACE, 56).at(MARGIN, 66)
    quantity = fit(card.quantity, _QUANTITY, SPACE, 60)
    kind = fit(card.kind, _KIND, SPACE, 150)
    yield from kind.at(MARGIN, _HEAD - 54 - quantity.height - kind.height)
    yield from quantity.at(MARGIN, _HEAD - 46 - quantity.height)


def _saved(card: Card) -> Iterator[Item]:
    """The grams as large as they go, what they are like, and the lamps of it."""
    yield from fit(card.label, _LABEL, SPACE, 52).at(MARGIN, _HEAD + 58)
    amount = fit(card.amount, _AMOUNT, SPACE - 260, 240)
    for line in amount.at(MARGIN, _HEAD + 104):
        yield line
        yield Text(MARGIN + amount.width + 24, line.y, card.unit, amount.size * 0.42, LEAF, "Bold")
    if card.likeness:
        likeness = fit(card.likeness, _LIKENESS, SPACE, 120)
        yield from likeness.at(MARGIN, _LAMPS - 22 - likeness.height)
        yield from _lamps(card.lamps)
    note = fit(card.note, _NOTE, SPACE, 80)
    yield from note.at(MARGIN, FOOT - 24 - note.height)


def _lamps(count: int) -> Iterator[Item]:
    """Row by row: a bulb and its socket."""
    step = SPACE / _LAMPS_A_ROW
    bulb = step * 0.32
    for number in range(count):
        x = MARGIN + number % _LAMPS_A_ROW * step + bulb
        y = _LAMPS + (number // _LAMPS_A_ROW + 0.5) * step
        yield Box(x - bulb * 0.45, y + bulb * 0.5, bulb * 0.9, bulb, LEAF, 3)
        yield Disc(x, y, bulb, LEAF)
