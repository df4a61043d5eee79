"""The poster of an honour: a picture to pass on, with a code by which anybody can check it.

All its words come from the caller. The same words make the same bytes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tanpuhui.certificates import medal
from tanpuhui.pdf import Box, Disc, Item, Page, Style, fit, page_png
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

_HEAD = 470.0

_ISSUER = Style(40, 22, TINT, "Bold")
_TITLE = Style(104, 44, WHITE, "Bold", leading=1.15)
_HOLDER = Style(88, 28, LEAF, "Bold", leading=1.2)
_REASON = Style(44, 24, INK, leading=1.5)
_NOTE = Style(32, 18, QUIET, leading=1.4)


@dataclass(frozen=True)
class MedalPoster:
    """The words of a poster. `url` is what its code says, `address` the same to read."""

    issuer: str
    title: str
    holder: str
    reason: str
    note: str
    invitation: str
    address: str
    url: str


def poster_png(poster: MedalPoster) -> bytes:
    """The poster as a PNG of 1080 x 1440.

    Raises MissingGlyphs for characters that the font lacks, DoesNotFit for texts far too long, and ValueError for a
    `url` that no code of version 10 holds.
    """
    items = (*_head(poster), *_body(poster), *foot(poster.invitation, poster.address, poster.url))
    return page_png(Page(WIDTH, HEIGHT, items), dpi=72)


def _head(poster: MedalPoster) -> Iterator[Item]:
    """Who gives it, and what it is called, on green with a medal."""
    yield Box(0, 0, WIDTH, HEIGHT, PAPER)
    yield Box(0, 0, WIDTH, _HEAD, LEAF)
    yield Disc(WIDTH - 190, 150, 190, RING)
    yield from medal(WIDTH - 190, 150, 112)
    yield from fit(poster.issuer, _ISSUER, SPACE - 270, 56).at(MARGIN, 66)
    title = fit(poster.title, _TITLE, SPACE, 130)
    yield from title.at(MARGIN, _HEAD - 40 - title.height)


def _body(poster: MedalPoster) -> Iterator[Item]:
    """Who has it and what for, and when it was given."""
    holder = fit(poster.holder, _HOLDER, SPACE, 220)
    yield from holder.at(MARGIN, _HEAD + 52)
    top = _HEAD + 52 + holder.height + 24
    note = fit(poster.note, _NOTE, SPACE, 96)
    yield from fit(poster.reason, _REASON, SPACE, FOOT - 32 - note.height - 24 - top).at(MARGIN, top)
    yield from note.at(MARGIN, FOOT - 32 - note.height)
