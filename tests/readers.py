"""What a phone's camera makes of a printed or shown code, and whether it is still read."""

from collections.abc import Iterator

import zxingcpp
from PIL import Image, ImageFilter


def assert_read_in_every_way(image: Image.Image, text: str, *, level: str) -> None:
    """The one code on `image` says `text` as it is, blurred, turned by 20 degrees, and at a quarter of its size."""
    for name, seen in _ways(image.convert("L")):
        found = zxingcpp.read_barcodes(seen)
        assert [(code.text, code.ec_level) for code in found] == [(text, level)], name
        assert int(found[0].extra["Version"]) <= 5


def _ways(image: Image.Image) -> Iterator[tuple[str, Image.Image]]:
    (code,) = zxingcpp.read_barcodes(image)
    corners = code.position
    module = abs(corners.top_right.x - corners.top_left.x) / (17 + 4 * int(code.extra["Version"]))
    yield "as it is", image
    yield "blurred", image.filter(ImageFilter.GaussianBlur(module * 0.4))
    yield "turned", image.rotate(20, Image.Resampling.BICUBIC, expand=True, fillcolor=255)
    quarter = image.width // 4, image.height // 4
    yield "a quarter", image.resize(quarter, Image.Resampling.LANCZOS)
