"""A certificate as a page to print: A4, lying.

All its words come from the caller, already translated. The layout measures them and wraps or shrinks them
until they fit their place.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tanpuhui.pdf import Box, Disc, DoesNotFit, Item, Page, Style, fit, page_pdf, plain

_WIDTH, _HEIGHT = 841.89, 595.28  # in points
_PANEL = 270.0  # the green part, with the tree
_LEFT = _PANEL + 56
_SPACE = _WIDTH - _LEFT - 52

_DEEP, _RING, _PALE, _WHITE = "#14603F", "#1B724C", "#CDE7D9", "#FFFFFF"
_CROWN, _LIGHT, _TRUNK = "#7FC8A2", "#A9DDC0", "#E8C48A"

_TITLE = Style(40, 16, _DEEP, "Bold")
_HEADLINE = Style(64, 20, "#1F8A5B", "Bold", leading=1.2)
_LABEL = Style(11, 7, "#56665D")
_VALUE = Style(19, 8, "#1B2A22", "Bold")
_NEXT = Style(13.5, 7, "#1B2A22", leading=1.55)
_FOOTER = Style(10, 6, "#56665D", leading=1.45)
_NAME = Style(20, 9, _WHITE, "Bold", centred=True)

_HEADLINE_ROOM = (_SPACE, 84.0)
_VALUE_ROOM = ((_SPACE - 24) / 2, 44.0)


@dataclass(frozen=True)
class Certificate:
    """The words of a certificate. `facts`: pairs of label and value; `issuer` stands below the tree."""

    title: str
    headline: str
    facts: tuple[tuple[str, str], ...]
    next_step: str
    footer: str
    issuer: str


def certificate_pdf(certificate: Certificate) -> bytes:
    """The certificate as a PDF of one page, the same bytes each time.

    Raises MissingGlyphs for characters that the font lacks, and DoesNotFit for texts far too long.
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
    return Page(_WIDTH, _HEIGHT, (*_tree(certificate.issuer), *_words(certificate)))


def _tree(issuer: str) -> Iterator[Item]:
    """A tree on green, and who issues the certificate below it."""
    yield Box(0, 0, _WIDTH, _HEIGHT, _WHITE)
    yield Box(0, 0, _PANEL, _HEIGHT, _DEEP)
    middle, crown = _PANEL / 2, 214.0
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
    name = fit(issuer, _NAME, _PANEL - 48, 60)
    yield from name.at(middle, 470 - name.height / 2)


def _words(certificate: Certificate) -> Iterator[Item]:
    """Title and headline, the facts in two columns, what comes next, and what it does not say."""
    yield from fit(certificate.title, _TITLE, _SPACE, 54).at(_LEFT, 62)
    yield from fit(certificate.headline, _HEADLINE, *_HEADLINE_ROOM).at(_LEFT, 122)
    yield Box(_LEFT, 222, _SPACE, 0.75, _PALE)
    column = _VALUE_ROOM[0]
    for place, (label, value) in enumerate(certificate.facts):
        x, top = _LEFT + place % 2 * (column + 24), 240 + place // 2 * 66
        yield from fit(label, _LABEL, column, 16).at(x, top)
        yield from fit(value, _VALUE, *_VALUE_ROOM).at(x, top + 17)
    yield Box(_LEFT, 384, _SPACE, 96, "#EAF5EF", 12)
    text = fit(certificate.next_step, _NEXT, _SPACE - 36, 76)
    yield from text.at(_LEFT + 18, 432 - text.height / 2)
    yield from fit(certificate.footer, _FOOTER, _SPACE, 44).at(_LEFT, 500)
