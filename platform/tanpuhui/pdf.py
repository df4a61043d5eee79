"""Pages of text and shapes, drawn as PDF or PNG from one description, in the font we ship.

A page is a list of items in points (1/72 inch), measured from its top left corner. Let `fit` find the size
and the lines of each text, place the items, then call `page_pdf` or `page_png`: both draw the same page,
the same bytes each time.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import Literal, TypeVar, get_args

from PIL import Image, ImageDraw, ImageFont
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from tanpuhui import qr

Weight = Literal["Regular", "Bold"]

_FONTS = {weight: Path(__file__).parent / f"fonts/NotoSansSC-{weight}.ttf" for weight in get_args(Weight)}
_FACES = {weight: TTFont(path.stem, path) for weight, path in _FONTS.items()}
for _face in _FACES.values():
    pdfmetrics.registerFont(_face)
_pdf_lock = Lock()  # reportlab reads a font for its subset by seeking in it, one document at a time
_CAPITAL = 0.74  # height of capitals and digits, as a share of the size
_SMOOTH = 2  # shapes and text are drawn this many times too large, then reduced

# What a line may not be broken within: a Latin word or one ideograph, with the punctuation that belongs to
# it; better, a whole phrase. A dot between spaces parts two halves and goes when a line ends there.
_OPEN, _CLOSE = "（《「『【〔“‘", "，。、；：？！）》」』】〕％”’…—·"
_GAP = r"\s+·\s+|\s+"
_WORD = re.compile(rf"{_GAP}|[{_OPEN}]*(?:[^\s\u2e80-\U0010ffff{_OPEN}{_CLOSE}]+|.)[{_CLOSE}]*")
_PHRASE = re.compile(rf"{_GAP}|[{_OPEN}]*(?:[^\s{_OPEN}{_CLOSE}]+|.)[{_CLOSE}]*")

T = TypeVar("T")


class MissingGlyphs(ValueError):
    """The font has no picture for some characters; `characters` lists them."""

    def __init__(self, characters: list[str]) -> None:
        self.characters = characters
        super().__init__("not in the font: " + " ".join(f"{c!a} (U+{ord(c):04X})" for c in characters))


class DoesNotFit(ValueError):
    """A text is too long for its place, even in the smallest type allowed there."""


@dataclass(frozen=True)
class Text:
    """A line of text; `x` is its left edge or its middle, `y` its baseline, `size` in points."""

    x: float
    y: float
    text: str
    size: float
    colour: str
    weight: Weight = "Regular"
    centred: bool = False


@dataclass(frozen=True)
class Box:
    """A filled rectangle with rounded corners."""

    x: float
    y: float
    width: float
    height: float
    colour: str
    radius: float = 0


@dataclass(frozen=True)
class Disc:
    """A filled circle around (x, y)."""

    x: float
    y: float
    radius: float
    colour: str


@dataclass(frozen=True)
class Code:
    """A QR code, black, `side` wide without its quiet zone. It has to stand on white."""

    x: float
    y: float
    side: float
    rows: tuple[tuple[bool, ...], ...]


Item = Text | Box | Disc | Code


@dataclass(frozen=True)
class Page:
    """Width and height in points, and the items in the order in which they are painted."""

    width: float
    height: float
    items: tuple[Item, ...]


def width(text: str, size: float, weight: Weight = "Regular") -> float:
    """Width of a line of text in points."""
    return float(_FACES[weight].stringWidth(text, size))


def missing_glyphs(text: str) -> list[str]:
    """The characters of `text` that the shipped font cannot print, each once, in order."""
    known = _FACES["Regular"].face.charToGlyph
    return [character for character in dict.fromkeys(text) if ord(character) not in known]


def require_glyphs(texts: Iterable[str]) -> None:
    """Raises MissingGlyphs when the shipped font cannot print all of the texts."""
    if missing := missing_glyphs("".join(texts)):
        raise MissingGlyphs(missing)


def plain(text: str) -> str:
    """The text on one line, with single spaces."""
    return " ".join(text.split())


# --- fitting text into places ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Style:
    """How a text is set: between which sizes in points, and the line height as a multiple of the size."""

    largest: float
    smallest: float
    colour: str
    weight: Weight = "Regular"
    leading: float = 1.32
    centred: bool = False


@dataclass(frozen=True)
class Block:
    """A text broken into lines at a size; none is wider than `width` points."""

    style: Style
    size: float
    lines: tuple[str, ...]

    @property
    def width(self) -> float:
        return max(width(line, self.size, self.style.weight) for line in self.lines)

    @property
    def height(self) -> float:
        return len(self.lines) * self.size * self.style.leading

    def at(self, x: float, top: float) -> Iterator[Text]:
        """The lines from `top` on, each in the middle of its line height."""
        for number, line in enumerate(self.lines):
            y = top + (number + 0.5) * self.size * self.style.leading + self.size * _CAPITAL / 2
            yield Text(x, y, line, self.size, self.style.colour, self.style.weight, self.style.centred)


@lru_cache(4096)  # the pages of one order have most of their words in common
def fit(text: str, style: Style, space: float, height: float) -> Block:
    """The text at the largest size at which it stays within `space` x `height` points.

    Lines end between phrases, unless that makes the type much smaller; a line break in `text` is kept.
    Raises DoesNotFit when not even the smallest size does.
    """

    def broken_by(pattern: re.Pattern[str]) -> Block:
        parts = [pattern.findall(plain(part)) for part in text.split("\n")]

        def attempt(size: float) -> Block | None:
            lines = [line for units in parts for line in _balanced(units, size, style.weight, space)]
            block = Block(style, size, tuple(lines))
            return block if block.width <= space and block.height <= height else None

        return largest(attempt, style, text)

    words = broken_by(_WORD)
    try:
        phrases = broken_by(_PHRASE)
    except DoesNotFit:
        return words
    return phrases if phrases.size > 0.85 * words.size else words


def largest(attempt: Callable[[float], T | None], style: Style, what: str) -> T:
    """The first result of `attempt(size)`, from the largest size of `style` to the smallest.

    Raises DoesNotFit, naming `what`, when each of them is None.
    """
    for half_points in range(int(style.largest * 2), int(style.smallest * 2) - 1, -1):
        if (result := attempt(half_points / 2)) is not None:
            return result
    raise DoesNotFit(f"too long for its place: {what}")


def _balanced(units: list[str], size: float, weight: Weight, space: float) -> list[str]:
    """The lines in the narrowest space that needs no more of them."""
    best = _broken(units, size, weight, space)
    narrow, wide = space / len(best), space
    for _ in range(8):
        middle = (narrow + wide) / 2
        tried = _broken(units, size, weight, middle)
        if len(tried) > len(best):
            narrow = middle
        else:
            wide, best = middle, tried
    return best


def _broken(units: list[str], size: float, weight: Weight, space: float) -> list[str]:
    """Each line takes the units that fit; a unit wider than `space` gets a line of its own."""
    lines = [""]
    for unit in units:
        gap = not unit.strip(" ·")
        if lines[-1] and not gap and width(lines[-1] + unit, size, weight) > space:
            lines[-1] = lines[-1].removesuffix(" · ").rstrip()
            lines.append("")
        if lines[-1] or not gap:
            lines[-1] += unit
    return [line.rstrip() for line in lines]


# --- drawing -----------------------------------------------------------------------------------------------


def page_pdf(page: Page, *, title: str, scale: float = 1) -> bytes:
    """The page as a PDF with embedded fonts, `scale` times as large. Raises MissingGlyphs."""
    return pages_pdf([page], title=title, scale=scale)


def pages_pdf(
    pages: Iterable[Page],
    *,
    title: str,
    scale: float = 1,
    language: str = "zh-CN",
    drawn: Callable[[int], None] | None = None,
) -> bytes:
    """The pages, one after the other, as one PDF like that of `page_pdf`; `language`: that of its text.

    `drawn` is told how many there are already; between two pages others may draw theirs.
    """
    pages = list(pages)
    require_glyphs([title, *(item.text for page in pages for item in page.items if isinstance(item, Text))])
    out = BytesIO()
    canvas = Canvas(out, invariant=1, pageCompression=1, lang=language)
    canvas.setTitle(title)
    canvas.setCreator("tanpuhui")
    for number, page in enumerate(pages, start=1):
        with _pdf_lock:
            canvas.setPageSize((page.width * scale, page.height * scale))
            canvas.scale(scale, scale)
            for item in page.items:
                _draw_pdf(canvas, page.height, item)
            canvas.showPage()
        if drawn:
            drawn(number)
    with _pdf_lock:
        canvas.save()
    return out.getvalue()


def _draw_pdf(canvas: Canvas, top: float, item: Item) -> None:
    """reportlab measures upwards from the bottom: `top` is the height of the page."""
    canvas.setFillColor("#000000" if isinstance(item, Code) else item.colour)
    match item:
        case Text():
            canvas.setFont(_FACES[item.weight].fontName, item.size)
            draw = canvas.drawCentredString if item.centred else canvas.drawString
            draw(item.x, top - item.y, item.text)
        case Box():
            y = top - item.y - item.height
            canvas.roundRect(item.x, y, item.width, item.height, item.radius, stroke=0, fill=1)
        case Disc():
            canvas.circle(item.x, top - item.y, item.radius, stroke=0, fill=1)
        case Code():
            module = item.side / len(item.rows)
            path = canvas.beginPath()  # one path: separate rectangles would show hairlines between them
            for column, row, length in qr.runs(item.rows):
                y = top - item.y - (row + 1) * module
                path.rect(item.x + column * module, y, length * module, module)
            canvas.drawPath(path, stroke=0, fill=1)


def page_png(page: Page, *, dpi: int = 150, scale: float = 1) -> bytes:
    """The page as a PNG of `dpi` pixels to the inch, `scale` times as large. Raises MissingGlyphs."""
    require_glyphs(item.text for item in page.items if isinstance(item, Text))
    pixels = dpi / 72 * scale
    size = round(page.width * pixels), round(page.height * pixels)
    image = Image.new("RGB", (size[0] * _SMOOTH, size[1] * _SMOOTH), "white")
    draw = ImageDraw.Draw(image)
    for item in page.items:
        if not isinstance(item, Code):
            _draw_png(draw, pixels * _SMOOTH, item)
    image = image.reduce(_SMOOTH)
    for item in page.items:
        if isinstance(item, Code):
            _paste_code(image, pixels, item)
    out = BytesIO()
    image.save(out, "PNG", dpi=(dpi, dpi))
    return out.getvalue()


def _draw_png(draw: ImageDraw.ImageDraw, pixels: float, item: Text | Box | Disc) -> None:
    x, y = item.x * pixels, item.y * pixels
    match item:
        case Text():
            font = _png_font(item.weight, item.size * pixels)
            draw.text((x, y), item.text, item.colour, font, anchor="ms" if item.centred else "ls")
        case Box():
            corner = (x + item.width * pixels - 1, y + item.height * pixels - 1)
            draw.rounded_rectangle((x, y, *corner), item.radius * pixels, item.colour)
        case Disc():
            draw.circle((x, y), item.radius * pixels, item.colour)


def _png_font(weight: Weight, size: float) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(_FONTS[weight], size, layout_engine=ImageFont.Layout.BASIC)


def _paste_code(image: Image.Image, pixels: float, item: Code) -> None:
    """Whole pixels for each module, centred in the place kept for the code."""
    module = int(item.side * pixels / len(item.rows) + 0.001)  # floats fall just short of the whole
    side = module * len(item.rows)
    picture = qr.picture(item.rows).resize((side, side), Image.Resampling.NEAREST)
    spare = (item.side * pixels - side) / 2
    image.paste(picture, (round(item.x * pixels + spare), round(item.y * pixels + spare)))
