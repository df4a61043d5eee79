"""`python -m tests.journeys.icons`: the PNG icons of the installed app, drawn by Chromium from the mark."""

import io

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from tanpuhui.web.assets import FOLDER
from tests.journeys.conftest import CHROMIUM_SWITCHES, chromium_program

MARK = (FOLDER / "mark.svg").read_text(encoding="utf-8")
GROUND = "#0a6b4c"

#: name -> (pixels, share of the width that the mark takes, ground around it)
ICONS = {
    "icons/app-192.png": (192, 1.0, "transparent"),
    "icons/app-512.png": (512, 1.0, "transparent"),
    "icons/maskable-512.png": (512, 0.8, GROUND),  # a launcher cuts its own shape from the middle 80 %
}


def main() -> None:
    """Draw every icon."""
    (FOLDER / "icons").mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_program(), args=CHROMIUM_SWITCHES)
        for name, (pixels, share, ground) in ICONS.items():
            drawn = _draw(browser, pixels, round(pixels * share), ground)
            drawn.quantize(64, dither=Image.Dither.NONE).save(FOLDER / name, optimize=True)
        browser.close()


def _draw(browser: Browser, pixels: int, mark: int, ground: str) -> Image.Image:
    page = browser.new_page(viewport={"width": pixels, "height": pixels})
    page.set_content(
        f"<body style='margin:0;height:100vh;display:grid;place-items:center;background:{ground}'>{MARK}"
    )
    page.eval_on_selector("svg", f"mark => {{ mark.setAttribute('width', {mark}) }}")
    picture = page.screenshot(omit_background=True)
    page.close()
    return Image.open(io.BytesIO(picture)).convert("RGBA")


if __name__ == "__main__":
    main()
