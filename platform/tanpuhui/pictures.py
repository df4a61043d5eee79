"""Pictures that people upload: what they become is a small JPEG in which nothing is left but what is seen."""

import io
import struct

from PIL import Image, ImageOps

from tanpuhui.errors import PhotoTooLarge, PhotoUnreadable

#: More than any phone's camera makes; what is larger is refused before it is unpacked.
MOST_PIXELS = 60_000_000

_FORMATS = ("JPEG", "PNG", "WEBP")
_LONGEST = 1280
_QUALITIES = (82, 70, 55, 40, 25, 10)
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, TypeError, IndexError, KeyError, struct.error)
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)


def seen_in(data: bytes) -> Image.Image:
    """What is seen in an uploaded file: upright, in plain colours, at most 1,280 pixels on its longer side, without metadata.

    JPEG, PNG or WebP; of what moves the first picture. Raises PhotoUnreadable, PhotoTooLarge.
    """
    try:
        return _seen(data)
    except _BOMBS as error:
        raise PhotoTooLarge from error
    except _BROKEN as error:
        raise PhotoUnreadable from error


def _seen(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data), formats=_FORMATS) as opened:
        if opened.width * opened.height > MOST_PIXELS:
            raise PhotoTooLarge
        opened.draft("RGB", (_LONGEST * 2, _LONGEST * 2))  # a JPEG need not be unpacked any larger
        turned = ImageOps.exif_transpose(opened)
        if turned.mode.startswith(("I", "F")):  # 16 bits of grey
            turned = turned.convert("F").point(lambda grey: grey * (1 / 256)).convert("L")
        turned.thumbnail((_LONGEST, _LONGEST))
        if turned.has_transparency_data:
            turned = turned.convert("RGBA")
            turned = Image.alpha_composite(Image.new("RGBA", turned.size, "white"), turned)
        plain = Image.new("RGB", turned.size)  # a new one carries over no metadata
        plain.paste(turned.convert("RGB"))
        return plain


def as_jpeg(picture: Image.Image, most_bytes: int) -> bytes:
    """As good as fits into `most_bytes`."""
    for quality in _QUALITIES:
        made = io.BytesIO()
        picture.save(made, "JPEG", quality=quality, optimize=True)
        if made.tell() <= most_bytes:
            break
    return made.getvalue()


def squared(picture: Image.Image, side: int) -> Image.Image:
    """The middle of a picture as a square of `side` pixels."""
    return ImageOps.fit(picture, (side, side))
