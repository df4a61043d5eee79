"""Pictures: what somebody uploads becomes a small JPEG in which nothing is left but what is seen."""

import io
import struct

from PIL import Image, ImageOps

from activities.fingerprints import SIDE, fingerprint, is_flat
from activities.photos import MOST_BYTES, Photo
from tanpuhui.errors import PhotoBlank, PhotoTooLarge, PhotoUnreadable

#: More than any phone's camera makes; what is larger is refused before it is unpacked.
MOST_PIXELS = 60_000_000

_FORMATS = ("JPEG", "PNG", "WEBP")
_LONGEST = 1280
_QUALITIES = (82, 70, 55, 40, 25, 10)
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, TypeError, IndexError, KeyError, struct.error)
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)


def read_photo(data: bytes) -> Photo:
    """The photo in an uploaded file, upright, without anything that was written into the file.

    Raises PhotoUnreadable, PhotoTooLarge, PhotoBlank.
    """
    try:
        picture = _seen(data)
    except _BOMBS as error:
        raise PhotoTooLarge from error
    except _BROKEN as error:
        raise PhotoUnreadable from error
    greys = list(picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX).tobytes())
    if is_flat(greys):
        raise PhotoBlank
    return Photo(_jpeg(picture), fingerprint(greys))


def _seen(data: bytes) -> Image.Image:
    """The first picture of the file in plain colours, at most `_LONGEST` on its longer side."""
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


def _jpeg(picture: Image.Image) -> bytes:
    """As good as fits into `MOST_BYTES`."""
    for quality in _QUALITIES:
        made = io.BytesIO()
        picture.save(made, "JPEG", quality=quality, optimize=True)
        if made.tell() <= MOST_BYTES:
            break
    return made.getvalue()
