"""QR codes as module matrices, PNG files and inline SVG.

Codes are always dark on light with a quiet zone, because some readers fail on anything else.
Use level M on screens and level Q on paper, which gets dirty and torn.
"""

from collections.abc import Iterator, Sequence
from html import escape
from io import BytesIO
from threading import Lock
from typing import Literal

from PIL import Image
from qrcode import constants
from qrcode.exceptions import DataOverflowError
from qrcode.image.base import BaseImage
from qrcode.main import QRCode
from qrcode.util import QRData, optimal_data_chunks

Level = Literal["L", "M", "Q", "H"]
Matrix = list[list[bool]]

_LEVELS = {
    "L": constants.ERROR_CORRECT_L,
    "M": constants.ERROR_CORRECT_M,
    "Q": constants.ERROR_CORRECT_Q,
    "H": constants.ERROR_CORRECT_H,
}
# A run of digits or capitals this long is cheaper in a segment of its own, whatever follows it:
# two segment headers cost 25 bits and each character saves at least 2.5.
_SHORTEST_RUN = 11
_TOO_LARGE = 41  # one more than the largest version there is

# qrcode keeps its blank symbols in a module-level dictionary, and calls running at once spoil each other.
_lock = Lock()


def matrix(text: str, *, level: Level, max_version: int = 5) -> Matrix:
    """The modules of the code for `text`, row by row, without quiet zone; True is dark.

    The side is 17 + 4 x version modules. Raises ValueError when `text` is empty or needs a version
    above `max_version` at this level.
    """
    if not text:
        raise ValueError("an empty text makes no code")
    with _lock:
        for segments in _segmentations(text.encode()):
            code = _code(segments, level)
            if _version(code) > max_version:
                break  # what follows is longer still
            try:
                code.make()
            except ValueError as error:
                if "glog(0)" not in str(error):
                    raise
            else:
                return [[bool(module) for module in row] for row in code.modules]
    raise ValueError(f"{len(text)} characters do not fit version {max_version} at level {level}")


def printed(text: str) -> tuple[tuple[bool, ...], ...]:
    """The modules of the code for `text` on paper: level Q, or M where Q would need more than version 5.

    Raises ValueError when M does, too.
    """
    try:
        rows = matrix(text, level="Q")
    except ValueError:
        rows = matrix(text, level="M")
    return tuple(map(tuple, rows))


def png(text: str, *, level: Level = "M", box: int = 8, border: int = 4, max_version: int = 5) -> bytes:
    """A black on white PNG with modules of `box` pixels and a quiet zone of `border` modules.

    Raises ValueError like `matrix`.
    """
    rows = matrix(text, level=level, max_version=max_version)
    size = len(rows) + 2 * border
    image = Image.new("1", (size, size), 1)
    image.paste(picture(rows), (border, border))
    out = BytesIO()
    image.resize((size * box, size * box), Image.Resampling.NEAREST).save(out, "PNG", optimize=True)
    return out.getvalue()


def picture(rows: Sequence[Sequence[bool]]) -> Image.Image:
    """One pixel per module, black on white, without quiet zone."""
    image = Image.new("1", (len(rows), len(rows)), 1)
    image.putdata([not dark for row in rows for dark in row])
    return image


def svg(
    text: str, *, level: Level = "M", border: int = 4, title: str | None = None, max_version: int = 5
) -> str:
    """Inline SVG of one path on a white ground, one user unit per module, to be sized by CSS.

    With a `title` it is announced as a picture of that name, without one it is hidden from screen
    readers. Raises ValueError like `matrix`.
    """
    rows = matrix(text, level=level, max_version=max_version)
    size = len(rows) + 2 * border
    path = "".join(f"M{x + border} {y + border}h{length}v1h-{length}z" for x, y, length in runs(rows))
    label = f' role="img"><title>{escape(title)}</title>' if title else ' aria-hidden="true">'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size} {size}"'
        f' shape-rendering="crispEdges"{label}<rect width="{size}" height="{size}" fill="#fff"/>'
        f'<path fill="#000" d="{path}"/></svg>'
    )


def runs(rows: Sequence[Sequence[bool]]) -> Iterator[tuple[int, int, int]]:
    """The dark runs of each row as (column, row, length), in modules."""
    for y, row in enumerate(rows):
        start = 0
        for x, dark in enumerate([*row, False]):
            if not dark:
                if x > start:
                    yield start, y, x - start
                start = x + 1


def _code(segments: list[QRData], level: Level) -> "QRCode[BaseImage]":
    code = QRCode(error_correction=_LEVELS[level], image_factory=BaseImage)
    for segment in segments:
        code.add_data(segment)
    return code


def _version(code: "QRCode[BaseImage]") -> int:
    try:
        return code.best_fit()
    except (ValueError, DataOverflowError):
        return _TOO_LARGE


def _segmentations(data: bytes) -> Iterator[list[QRData]]:
    """Ways to cut the text into segments, roughly from compact to long.

    qrcode 8.2 raises `glog(0)` when all data bytes of one error correction block are zero, as a long
    run of "0" makes them in numeric or alphanumeric mode. The mask is laid on afterwards, so another
    mask would not help. Finer pieces do: their segment headers fall into the run of zeros.
    """
    for length in range(len(data), 0, -1):
        pieces = [data[start : start + length] for start in range(0, len(data), length)]
        yield [segment for piece in pieces for segment in optimal_data_chunks(piece, _SHORTEST_RUN)]
