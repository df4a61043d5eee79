"""A camera for Chromium: what it sees is a film made here."""

import io
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import zxingcpp
from PIL import Image, ImageChops, ImageEnhance, ImageFilter
from playwright.sync_api import Browser, Page

from tests.journeys.conftest import CHROMIUM_SWITCHES, PHONE, chromium_program

SEEN = (640, 480)
WALL = "#8a8f8c"


def poster_seen(poster: bytes) -> Image.Image:
    """What a camera sees of a poster held before it: the code and what is around it, a little askew."""
    part = _code_of(poster).resize((SEEN[1], SEEN[1]), Image.Resampling.BICUBIC).rotate(7, fillcolor=WALL)
    view = Image.new("RGB", SEEN, WALL)
    view.paste(part, ((SEEN[0] - SEEN[1]) // 2, 0))
    return view


def poster_passing(poster: bytes, moments: int = 60) -> list[Image.Image]:
    """What a camera in an unsteady hand sees of a poster in noisy light: never sharp, never level, never still.

    It drifts to all sides, turns by up to 20 degrees, comes nearer and goes away, and the light flickers.
    """
    code = _code_of(poster)
    return [_passing(code, 2 * math.pi * moment / moments) for moment in range(moments)]


def _passing(code: Image.Image, phase: float) -> Image.Image:
    side = int(SEEN[1] * (0.95 + 0.2 * math.cos(phase)))
    turned = code.resize((side, side), Image.Resampling.BICUBIC).rotate(
        20 * math.sin(phase + 1), Image.Resampling.BICUBIC, fillcolor=WALL
    )
    view = Image.new("RGB", SEEN, WALL)
    left = (SEEN[0] - side) / 2 + 50 * math.sin(2 * phase)
    top = (SEEN[1] - side) / 2 + 35 * math.cos(3 * phase)
    view.paste(turned, (int(left), int(top)))
    blurred = view.filter(ImageFilter.GaussianBlur(1 + 0.4 * math.sin(5 * phase)))
    lit = ImageEnhance.Brightness(blurred).enhance(0.8 + 0.2 * math.cos(7 * phase))
    noise = Image.effect_noise(SEEN, 40).convert("RGB")
    return ImageChops.add(lit, noise, offset=-128)


def _code_of(poster: bytes) -> Image.Image:
    """The code on a poster and half its width around it."""
    sheet = Image.open(io.BytesIO(poster)).convert("RGB")
    (found,) = zxingcpp.read_barcodes(sheet)
    corners = found.position
    left, top = corners.top_left.x, corners.top_left.y
    side = corners.bottom_right.x - left
    around = side // 2
    return sheet.crop((left - around, top - around, left + side + around, top + side + around))


def film(views: Sequence[Image.Image], file: Path) -> list[str]:
    """Write `views` as a film into `file`; the switches that make it Chromium's camera, which everybody may use."""
    with file.open("wb") as out:
        for view in views * 10 if len(views) == 1 else views:
            view.save(out, "JPEG", quality=80)
    return [
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={file}",
        "--use-fake-ui-for-media-stream",
    ]


@contextmanager
def seeing(
    browser: Browser, views: Image.Image | Sequence[Image.Image], folder: Path, *, allowed: bool = True
) -> Iterator[Page]:
    """A page in a browser whose camera sees `views`, over and over; not `allowed`: nobody says yes to using it."""
    views = [views] if isinstance(views, Image.Image) else views
    switches = film(views, folder / "film.mjpeg")
    chromium = browser.browser_type.launch(
        executable_path=chromium_program(),
        args=[*CHROMIUM_SWITCHES, *(switches if allowed else switches[:2])],
    )
    try:
        page = chromium.new_page(viewport=PHONE, locale="zh-CN")
        page.set_default_timeout(60_000)
        yield page
    finally:
        chromium.close()
