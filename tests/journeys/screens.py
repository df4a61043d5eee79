"""`python -m tests.journeys.screens`: pictures of a district with demo data.

The few of docs/screens that the README shows, and every page in every look into docs/screens/all (not in git).
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

from playwright.sync_api import Browser, Page, sync_playwright
from sqlmodel import select

from activities import codes
from activities.sites import Site
from tanpuhui.web.views import VIEW_COOKIE
from tests.journeys.conftest import CHROMIUM_SWITCHES, DESK, PHONE, chromium_program
from tests.journeys.district import District, Who, demo_district

SCREENS = Path(__file__).parents[2] / "docs" / "screens"

Sessions = dict[Who, list[dict[str, str]]]

LOOKS: dict[str, dict[str, str]] = {
    "zh-light": {},
    "zh-dark": {"scheme": "dark"},
    "zh-elder": {"view": "elder"},
    "en-light": {"locale": "en-GB"},
    "en-dark": {"locale": "en-GB", "scheme": "dark"},
    "en-elder": {"locale": "en-GB", "view": "elder"},
}


def main() -> None:
    """Fill a temporary district, serve it, and take the pictures; with ``few`` only those of the README."""
    SCREENS.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        demo_district(Path(folder), residents=200, days=30) as district,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium_program(), args=CHROMIUM_SWITCHES)
        sessions = {who: district.cookies(who) for who in get_args(Who)}
        if "few" not in sys.argv:
            _take_all(browser, district, sessions)
        _take_few(browser, district, sessions)
        browser.close()


def _take_all(browser: Browser, district: District, sessions: Sessions) -> None:
    for look, wanted in LOOKS.items():
        folder = SCREENS / "all" / look
        folder.mkdir(parents=True, exist_ok=True)
        for who in ("visitor", "resident", "staff"):
            if who == "staff" and "view" in wanted:
                continue  # the desk has one view
            for size_name, size in (("phone", PHONE), ("desk", DESK)):
                with _page(browser, district, sessions[who], size, **wanted) as page:
                    for here in district.pages:
                        if here.who == who:
                            page.goto(district.base + here.path)
                            _whole(page, size).screenshot(
                                path=folder / f"{who}-{here.endpoint}-{size_name}.png"
                            )


def _whole(page: Page, size: dict[str, int]) -> Page:
    """The page in a window as high as itself, so that the tabs stand below it and not across it."""
    page.set_viewport_size(size)  # type: ignore[arg-type]
    height = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({**size, "height": height})  # type: ignore[arg-type]
    page.evaluate("() => new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
    return page


def _take_few(browser: Browser, district: District, sessions: Sessions) -> None:
    with district.house.db.reading_session() as session:
        canteen = session.exec(select(Site).where(Site.kind == "canteen").order_by(Site.name)).first()
        assert canteen is not None
        code = codes.codes_of(session, canteen.id)[0]
    token = codes.token_of(district.house.settings, code.id)
    with _page(browser, district, sessions["resident"], PHONE, scale=2) as phone:
        phone.goto(f"{district.base}/s/{token}")
        phone.get_by_text("光盘行动").first.click()
        phone.screenshot(path=SCREENS / "resident-scan.png")
        phone.get_by_role("button", name="确认记录").click()
        phone.screenshot(path=SCREENS / "resident-result.png")
        phone.goto(f"{district.base}/me/statement")
        phone.screenshot(path=SCREENS / "resident-statement.png")
    with _page(browser, district, sessions["resident"], PHONE, scale=2, view="elder") as phone:
        phone.goto(district.base)
        phone.screenshot(path=SCREENS / "resident-elder.png")
    time.sleep(1)
    with _page(browser, district, sessions["staff"], DESK) as desk:
        for name, path in (
            ("console-site", f"/console/sites/{canteen.id}"),
            ("bureau", "/bureau"),
        ):
            desk.goto(district.base + path)
            desk.screenshot(path=SCREENS / f"{name}.png")


@contextmanager
def _page(
    browser: Browser,
    district: District,
    session: list[dict[str, str]],
    size: dict[str, int],
    *,
    locale: str = "zh-CN",
    scheme: Any = "light",
    view: str = "standard",
    scale: int = 1,
) -> Iterator[Page]:
    context = browser.new_context(
        viewport=size,
        locale=locale,
        color_scheme=scheme,
        reduced_motion="reduce",
        device_scale_factor=scale,
        timezone_id="Asia/Shanghai",
    )
    context.add_cookies([*session, {"name": VIEW_COOKIE, "value": view, "url": district.base}])  # type: ignore[list-item]
    yield context.new_page()
    context.close()


if __name__ == "__main__":
    main()
