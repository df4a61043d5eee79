"""The poster beside a site: what to do, the code to scan, what it counts for.

All its words come from the caller, already translated. The layout measures them and wraps or shrinks
them until they fit their place.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import urlsplit

from tanpuhui import qr
from tanpuhui.pdf import (
    Block,
    Box,
    Code,
    Disc,
    Item,
    Page,
    Style,
    fit,
    largest,
    page_pdf,
    page_png,
    plain,
    require_glyphs,
    width,
)

_WIDTH, _HEIGHT = 595.28, 841.89  # A4 in points; other papers are the same page, scaled
SCALES = {"A4": 1.0, "A3": 2**0.5, "A5": 2**-0.5}
_MARGIN = 42.0
_INNER = _WIDTH - 2 * _MARGIN

_DEEP, _LEAF, _MIST, _PALE = "#14603F", "#1F8A5B", "#EAF5EF", "#CDE7D9"
_WHITE, _INK, _QUIET = "#FFFFFF", "#1B2A22", "#56665D"
_RINGS = ((230.0, "#176845"), (150.0, "#1B724C"), (76.0, "#207F55"))

_CAMPAIGN = Style(14, 7, _DEEP, "Bold")
_HEADLINE = Style(84, 16, _WHITE, "Bold", leading=1.16)
_SITE = Style(27, 9, "#E2F2E9")
_HINT = Style(11.5, 6, _QUIET, centred=True)
_SHORT_CODE = Style(27, 10, _DEEP, "Bold", centred=True)
_NUMBER = Style(17, 17, _WHITE, "Bold", centred=True)
_STEP = Style(20, 8, _INK, "Bold")
_LABEL = Style(12, 6, _QUIET)
_KIND = Style(16, 6, _DEEP, "Bold", centred=True)
_WITHOUT_PHONE = Style(11, 7, _DEEP, "Bold")
_FOOTER = Style(9.5, 5, _QUIET)

# Where the parts begin, downwards in points.
_HEADER = 288.0
_BODY = _HEADER + 28
_SYMBOL = 252.0  # side of the code, about 8.9 cm
_PIXEL = 0.48  # of a picture of 150 dpi: the modules are made of whole ones
_QUIET_MODULES = 4.5  # beside the code: four, and the frame
_STRIP = 68.0  # under the code, for the short code
_FOOT = 796.0


@dataclass(frozen=True)
class Poster:
    """The words of a poster. `url` is what its code says; "{host}" in a label stands for the url's host."""

    site_name: str
    headline: str
    kinds: tuple[str, ...]
    url: str
    short_code: str
    steps: tuple[str, ...]
    footer: str
    campaign: str | None = None
    paper: Literal["A4", "A3", "A5"] = "A4"
    without_phone: str = ""
    kinds_label: str = "扫这个码，可以记录"
    short_code_label: str = "扫不了？打开 {host} 输入短码"


def poster_pdf(poster: Poster) -> bytes:
    """The poster as a PDF of one page, the same bytes each time.

    Raises MissingGlyphs for characters that the font lacks, DoesNotFit for texts far too long, and
    ValueError when `url` needs more than a version 5 code at level Q (a host of up to 31 characters
    leaves room for `/s/` and a token of 24 capitals and digits).
    """
    title = plain(f"{poster.headline} · {poster.site_name}")
    return page_pdf(poster_page(poster), title=title, scale=SCALES[poster.paper])


def poster_png(poster: Poster, *, dpi: int = 150) -> bytes:
    """The same page as a PNG of `dpi` pixels to the inch. Raises like `poster_pdf`."""
    return page_png(poster_page(poster), dpi=dpi, scale=SCALES[poster.paper])


def poster_page(poster: Poster) -> Page:
    """The layout, in points of an A4 page. Raises like `poster_pdf`."""
    words = (poster.site_name, poster.headline, poster.short_code, poster.footer, poster.campaign or "")
    labels = (poster.kinds_label, poster.short_code_label, _host(poster), poster.without_phone)
    require_glyphs(map(plain, (*words, *labels, *poster.kinds, *poster.steps)))
    rows = tuple(map(tuple, qr.matrix(poster.url, level="Q")))
    module = _PIXEL * round(_SYMBOL / len(rows) / _PIXEL)
    card = module * (len(rows) + 2 * _QUIET_MODULES)
    items = (
        *_header(poster),
        *_card(poster, rows, module, card),
        *_steps(poster.steps, _MARGIN + card + 22, card + _STRIP),
        *_kinds(poster, _BODY + card + _STRIP + 22),
        *_foot(poster),
    )
    return Page(_WIDTH, _HEIGHT, items)


def _header(poster: Poster) -> Iterator[Item]:
    """Headline and site name on green, as large as they go."""
    yield Box(0, 0, _WIDTH, _HEADER, _DEEP)
    yield from (Disc(_WIDTH - 40, 40, radius, colour) for radius, colour in _RINGS)
    top = 36.0
    if poster.campaign:
        campaign = fit(poster.campaign, _CAMPAIGN, _INNER - 28, 20)
        yield Box(_MARGIN, top, campaign.width + 28, 28, _WHITE, 14)
        yield from campaign.at(_MARGIN + 14, top + 14 - campaign.height / 2)
        top += 40
    site = fit(poster.site_name, _SITE, _INNER, 74)
    bottom = _HEADER - 26 - site.height
    headline = fit(poster.headline, _HEADLINE, _INNER, bottom - top - 22)
    yield from headline.at(_MARGIN, (top + bottom - headline.height) / 2)
    yield from site.at(_MARGIN, bottom)


def _card(poster: Poster, rows: tuple[tuple[bool, ...], ...], module: float, side: float) -> Iterator[Item]:
    """The code in a frame, and under it what to type where it cannot be scanned."""
    yield Box(_MARGIN, _BODY, side, side + _STRIP, _PALE, 16)
    yield Box(_MARGIN + 1.5, _BODY + 1.5, side - 3, side + _STRIP - 3, _MIST, 14.5)
    yield Box(_MARGIN + 1.5, _BODY + 1.5, side - 3, side / 2, _WHITE, 14.5)
    yield Box(_MARGIN + 1.5, _BODY + side / 4, side - 3, side * 3 / 4, _WHITE)
    quiet = _QUIET_MODULES * module
    yield Code(_MARGIN + quiet, _BODY + quiet, module * len(rows), rows)
    middle, top, space = _MARGIN + side / 2, _BODY + side, side - 28
    hint = fit(poster.short_code_label.replace("{host}", _host(poster)), _HINT, space, 18)
    short_code = fit(poster.short_code, _SHORT_CODE, space, 36)
    gap = (_STRIP - hint.height - short_code.height) / 2
    yield from hint.at(middle, top + gap)
    yield from short_code.at(middle, top + gap + hint.height)


def _steps(steps: tuple[str, ...], left: float, height: float) -> Iterator[Item]:
    """Numbered steps down the right, as tall together as the card."""
    each = height / max(len(steps), 3)
    for number, block in enumerate(_alike(steps, _STEP, _WIDTH - _MARGIN - left, each - 62)):
        top = _BODY + number * each
        mark = fit(str(number + 1), _NUMBER, 34, 34)
        yield Disc(left + 17, top + 17, 17, _LEAF)
        yield from mark.at(left + 17, top + 17 - mark.height / 2)
        yield from block.at(left, top + 42)


def _alike(texts: tuple[str, ...], style: Style, space: float, height: float) -> list[Block]:
    """Each text within `space` x `height`, all in one size."""
    blocks = [fit(text, style, space, height) for text in texts]
    while len({block.size for block in blocks}) > 1:
        style = replace(style, largest=min(block.size for block in blocks))
        blocks = [fit(text, style, space, height) for text in texts]
    return blocks


def _kinds(poster: Poster, top: float) -> Iterator[Item]:
    """What the code credits, as a flow of labels down to the footer."""
    if not poster.kinds:
        return
    yield from fit(poster.kinds_label, _LABEL, _INNER, 16).at(_MARGIN, top)
    top += 20
    kinds = [plain(kind) for kind in poster.kinds]
    what = f"{len(kinds)} kinds of action, {max(kinds, key=len)}"
    size, places = largest(lambda size: _flow(kinds, size, _FOOT - 10 - top), _KIND, what)
    for kind, (x, y, wide) in zip(kinds, places, strict=True):
        yield Box(_MARGIN + x, top + y, wide, size * 1.9, _MIST, size * 0.95)
        label = Block(_KIND, size, (kind,))
        yield from label.at(_MARGIN + x + wide / 2, top + y + (size * 1.9 - label.height) / 2)


def _flow(
    labels: list[str], size: float, height: float
) -> tuple[float, list[tuple[float, float, float]]] | None:
    """The size, and place and width of each label, row after row; None when they need more `height`."""
    places: list[tuple[float, float, float]] = []
    x = y = 0.0
    for label in labels:
        wide = width(label, size, _KIND.weight) + size * 1.7
        if x and x + wide > _INNER:
            x, y = 0.0, y + size * 2.4
        if wide > _INNER or y + size * 1.9 > height:
            return None
        places.append((x, y, wide))
        x += wide + size * 0.6
    return size, places


def _foot(poster: Poster) -> Iterator[Item]:
    """Under a line: how those take part who have no phone, and the small print."""
    yield Box(_MARGIN, _FOOT, _INNER, 0.75, _PALE)
    top, height = _FOOT + 6, 30.0
    if poster.without_phone:
        yield from fit(poster.without_phone, _WITHOUT_PHONE, _INNER, 15).at(_MARGIN, _FOOT + 4)
        top, height = _FOOT + 19, 14.0
    yield from fit(poster.footer, _FOOTER, _INNER, height).at(_MARGIN, top)


def _host(poster: Poster) -> str:
    return urlsplit(poster.url).netloc
