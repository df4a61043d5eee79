"""Certificates as pages to print: A4, lying, with an emblem on the left; with a code below it, if anybody may check them.

All their words come from the caller, already translated. The layout measures them and wraps or shrinks them
until they fit their place.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import cos, pi, sin
from typing import Literal

from tanpuhui import qr
from tanpuhui.pdf import Box, Code, Disc, DoesNotFit, Item, Page, Style, fit, page_pdf, plain

_WIDTH, _HEIGHT = 841.89, 595.28  # in points
_PANEL = 270.0  # the green part, with the emblem
_LEFT = _PANEL + 56
_SPACE = _WIDTH - _LEFT - 52

_DEEP, _RING, _PALE, _WHITE = "#14603F", "#1B724C", "#CDE7D9", "#FFFFFF"
_CROWN, _LIGHT, _TRUNK = "#7FC8A2", "#A9DDC0", "#E8C48A"

_TITLE = Style(40, 16, _DEEP, "Bold")
_HEADLINE = Style(64, 12, "#1F8A5B", "Bold", leading=1.2)
_LABEL = Style(11, 7, "#56665D")
_VALUE = Style(19, 8, "#1B2A22", "Bold")
_TEXT = Style(13.5, 7, "#1B2A22", leading=1.55)
_FOOTER = Style(10, 6, "#56665D", leading=1.45)
_NAME = Style(20, 9, _WHITE, "Bold", centred=True)

_HEADLINE_ROOM = (_SPACE, 84.0)
_VALUE_ROOM = ((_SPACE - 24) / 2, 44.0)

_SYMBOL = 124.0  # side of the code, about 4.4 cm


@dataclass(frozen=True)
class Certificate:
    """The words of a certificate. `facts`: pairs of label and value; `issuer` stands below the emblem.

    `url` is what its code says; without, it has none.
    """

    title: str
    headline: str
    facts: tuple[tuple[str, str], ...]
    text: str
    footer: str
    issuer: str
    emblem: Literal["tree", "medal"] = "tree"
    url: str = ""


def certificate_pdf(certificate: Certificate) -> bytes:
    """The certificate as a PDF of one page, the same bytes each time.

    Raises MissingGlyphs for characters that the font lacks, DoesNotFit for texts far too long, and ValueError for a
    `url` that no code of version 10 holds.
    """
    return page_pdf(_page(certificate), title=plain(f"{certificate.title} · {certificate.headline}"))


def has_room(headline: str, fact: str = "") -> bool:
    """Whether a certificate holds this headline, and this value of a fact."""
    try:
        fit(headline, _HEADLINE, *_HEADLINE_ROOM)
        fit(fact, _VALUE, *_VALUE_ROOM)
    except DoesNotFit:
        return False
    return True


def _page(certificate: Certificate) -> Page:
    return Page(_WIDTH, _HEIGHT, (*_panel(certificate), *_words(certificate)))


def _panel(certificate: Certificate) -> Iterator[Item]:
    """The emblem on green, the code if there is one, and who issues the certificate below."""
    yield Box(0, 0, _WIDTH, _HEIGHT, _WHITE)
    yield Box(0, 0, _PANEL, _HEIGHT, _DEEP)
    middle, below = _PANEL / 2, 470.0
    yield from (_tree(middle, 214) if certificate.emblem == "tree" else medal(middle, 152, 78))
    if certificate.url:
        yield from _code(certificate.url, middle, 296)
        below = 510
    name = fit(certificate.issuer, _NAME, _PANEL - 48, 60)
    yield from name.at(middle, below - name.height / 2)


def _tree(middle: float, crown: float) -> Iterator[Item]:
    """A tree around its crown."""
    yield Disc(middle, crown, 118, _RING)
    yield Box(middle - 8, crown, 16, 160, _TRUNK, 3)
    for x, y, radius, colour in (
        (-38, 18, 42, _CROWN),
        (38, 18, 42, _CROWN),
        (0, -24, 56, _CROWN),
        (-12, -36, 26, _LIGHT),
    ):
        yield Disc(middle + x, crown + y, radius, colour)
    yield Box(middle - 70, crown + 158, 140, 5, _PALE, 2.5)


def medal(middle: float, centre: float, radius: float) -> Iterator[Item]:
    """A rosette with two ribbons, and a young plant on it."""
    for side in (-1, 1):
        yield Box(
            middle + side * radius * 0.36 - radius * 0.17, centre, radius * 0.34, radius * 1.6, _CROWN, 4
        )
    petals = 16
    for petal in range(petals):
        turn = 2 * pi * petal / petals
        yield Disc(
            middle + cos(turn) * radius * 0.84, centre + sin(turn) * radius * 0.84, radius * 0.2, _TRUNK
        )
    yield Disc(middle, centre, radius * 0.86, _TRUNK)
    yield Disc(middle, centre, radius * 0.7, _DEEP)
    yield Box(middle - radius * 0.035, centre - radius * 0.2, radius * 0.07, radius * 0.61, _LIGHT, 2)
    for side in (-1, 1):
        yield Disc(middle + side * radius * 0.2, centre - radius * 0.08, radius * 0.19, _CROWN)
    yield Disc(middle, centre - radius * 0.3, radius * 0.2, _LIGHT)


def _code(url: str, middle: float, top: float) -> Iterator[Item]:
    """The code on white, with its quiet zone."""
    rows = tuple(map(tuple, qr.matrix(url, level="M", max_version=10)))
    side = _SYMBOL * (len(rows) + 8) / len(rows)
    yield Box(middle - side / 2, top, side, side, _WHITE, 6)
    yield Code(middle - _SYMBOL / 2, top + (side - _SYMBOL) / 2, _SYMBOL, rows)


def _words(certificate: Certificate) -> Iterator[Item]:
    """Title and headline, the facts in two columns, what there is to say, and what it does not say."""
    yield from fit(certificate.title, _TITLE, _SPACE, 54).at(_LEFT, 62)
    yield from fit(certificate.headline, _HEADLINE, *_HEADLINE_ROOM).at(_LEFT, 122)
    yield Box(_LEFT, 222, _SPACE, 0.75, _PALE)
    column = (_SPACE - 24) / 2
    for place, (label, value) in enumerate(certificate.facts):
        x, top = _LEFT + place % 2 * (column + 24), 240 + place // 2 * 66
        yield from fit(label, _LABEL, column, 16).at(x, top)
        yield from fit(value, _VALUE, *_VALUE_ROOM).at(x, top + 17)
    yield Box(_LEFT, 384, _SPACE, 96, "#EAF5EF", 12)
    text = fit(certificate.text, _TEXT, _SPACE - 36, 76)
    yield from text.at(_LEFT + 18, 432 - text.height / 2)
    yield from fit(certificate.footer, _FOOTER, _SPACE, 44).at(_LEFT, 500)
