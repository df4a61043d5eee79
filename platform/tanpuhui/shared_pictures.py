"""What pictures that people pass on have in common: size and colours, and the foot with a code and where it leads.

In pixels: a page of so many points, drawn at 72 to the inch.
"""

from collections.abc import Iterator

from tanpuhui import qr
from tanpuhui.pdf import Box, Code, Item, Style, fit

WIDTH, HEIGHT = 1080.0, 1440.0
MARGIN = 84.0
SPACE = WIDTH - 2 * MARGIN

LEAF, RING, TINT = "#0A6B4C", "#15775A", "#DFF0E4"
WHITE, INK, QUIET, PAPER = "#FFFFFF", "#17211C", "#54625A", "#F4F6F1"

#: Where the foot begins, downwards.
FOOT = 1108.0

_INVITE = Style(40, 22, INK, "Bold", leading=1.3)
_ADDRESS = Style(32, 18, QUIET)
_SYMBOL = 232.0


def foot(invitation: str, address: str, url: str) -> Iterator[Item]:
    """A code on white that says `url`, what it is for, and the address to read.

    Raises ValueError for a `url` that no code of version 10 holds.
    """
    yield Box(0, FOOT, WIDTH, HEIGHT - FOOT, WHITE)
    rows = tuple(map(tuple, qr.matrix(url, level="M", max_version=10)))
    quiet = 4 * _SYMBOL / len(rows)
    left, top = WIDTH - MARGIN - _SYMBOL + quiet / 2, (FOOT + HEIGHT - _SYMBOL) / 2
    yield Code(left, top, _SYMBOL, rows)
    space = left - quiet - MARGIN
    inviting = fit(invitation, _INVITE, space, 120)
    reading = fit(address, _ADDRESS, space, 84)
    top = (FOOT + HEIGHT - inviting.height - 14 - reading.height) / 2
    yield from inviting.at(MARGIN, top)
    yield from reading.at(MARGIN, top + inviting.height + 14)
