"""The scanner in the page: the browser's own reader where it reads our codes, else ours; and the short code by hand."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import qrcode  # type: ignore[import-untyped]
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from activities import codes
from tanpuhui.config import Settings
from tanpuhui.rooms import build_house
from tanpuhui.staff import Role
from tests.browser import browser as clerk
from tests.journeys.camera import SEEN, WALL, poster_passing, poster_seen, seeing
from tests.journeys.conftest import picture, serving
from tests.journeys.test_everywhere import wait_until
from tests.world import World

pytestmark = pytest.mark.browser

CANTEEN = "临汾社区食堂"

#: ms; a machine with two busy cores needs a while to start a camera and to read a bad picture.
READ_WITHIN = 60_000

#: Browsers whose own reader is of no use for our codes.
NO_READER = {
    "absent": "delete window.BarcodeDetector;",
    "other formats": (
        "window.BarcodeDetector = class {"
        " static async getSupportedFormats() { return ['ean_13', 'code_128']; }"
        " constructor() { noticed('made'); } };"
    ),
    "cannot be asked": (
        "window.BarcodeDetector = class { static async getSupportedFormats() { throw new Error('no service'); } };"
    ),
    "throws": (
        "window.BarcodeDetector = class {"
        " static async getSupportedFormats() { return ['qr_code']; }"
        " async detect() { await noticed('detect'); throw new DOMException('gone', 'InvalidStateError'); } };"
    ),
}

#: A reader of the browser that sees TEXTS in every picture.
ITS_READER = """
window.BarcodeDetector = class {
  static async getSupportedFormats() { return ["aztec", "qr_code"]; }
  constructor({ formats }) { noticed(formats.join()); }
  async detect(picture) { await noticed(`${picture.width}x${picture.height}`); return TEXTS.map((rawValue) => ({ rawValue })); }
};"""

#: Keep the cameras that were opened, and what was asked of them.
WATCHED = """
const media = navigator.mediaDevices, open = media.getUserMedia.bind(media);
window.tracks = [];
media.getUserMedia = async (wish) => {
  const stream = await open(wish), [track] = stream.getVideoTracks(), end = track.stop.bind(track);
  window.tracks.push(track);
  track.stop = () => { localStorage.setItem("stopped", 1 + Number(localStorage.getItem("stopped"))); end(); };
  track.getCapabilities = () => ({ torch: true });
  track.applyConstraints = async ({ advanced: [{ torch }] }) => { window.light = torch; };
  return stream;
};
window.hide = (hidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event("visibilitychange"));
};"""


@dataclass(frozen=True)
class Canteen:
    """A served district with a poster."""

    base: str
    code: str
    poster: bytes


@pytest.fixture(scope="module")
def canteen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Canteen]:
    """One canteen for all tests of this file; its poster as organisers print it."""
    folder = tmp_path_factory.mktemp("scanner")
    with serving(folder) as served:
        house = build_house(Settings(var=folder / "var", port=urlsplit(served.base).port))
        world = World(house)
        code = world.code("clean_plate", name=CANTEEN)
        number = codes.read_token(house.settings, code).number
        staff = clerk(world, world.colleague(Role.ORGANISER))
        yield Canteen(served.base, code, staff.client.get(f"/console/codes/{number}/poster.png").data)
        house.db.dispose()


@contextmanager
def scanning(canteen: Canteen, page: Page, script: str) -> Iterator[list[str]]:
    """The scanner of `page`, in which `script` runs first; what that noticed, and `vendored` when our reader is loaded."""
    noticed: list[str] = []
    page.expose_function("noticed", lambda what: noticed.append(what))  # noqa: PLW0108 - a builtin cannot be exposed
    page.add_init_script(script)
    page.on("request", lambda request: "qr/decode.js" in request.url and noticed.append("vendored"))
    page.goto(f"{canteen.base}/scan")
    yield noticed


def arrives(canteen: Canteen, page: Page) -> None:
    """The page of the code opens by itself."""
    page.wait_for_url(f"**/s/{canteen.code}*", timeout=READ_WITHIN)
    expect(page.get_by_role("heading", name=CANTEEN)).to_be_visible()


# --- whose reader ------------------------------------------------------------------------------------------


def test_a_printed_poster_held_still_is_read(canteen: Canteen, browser: Browser, tmp_path: Path) -> None:
    """In this browser as it is, whatever reader it has."""
    with seeing(browser, poster_seen(canteen.poster), tmp_path) as page:
        page.goto(f"{canteen.base}/scan")
        arrives(canteen, page)


def test_a_poster_that_moves_is_read_by_ours(canteen: Canteen, browser: Browser, tmp_path: Path) -> None:
    """Drifting, turning, near and far, blurred, in noisy light."""
    views = poster_passing(canteen.poster)
    assert len({view.tobytes() for view in views}) == len(views)
    with (
        seeing(browser, views, tmp_path) as page,
        scanning(canteen, page, NO_READER["absent"]) as noticed,
    ):
        arrives(canteen, page)
        assert noticed == ["vendored"]


@pytest.mark.parametrize("why", NO_READER)
def test_where_the_browser_cannot_ours_reads(
    canteen: Canteen, browser: Browser, tmp_path: Path, why: str
) -> None:
    with (
        seeing(browser, poster_seen(canteen.poster), tmp_path) as page,
        scanning(canteen, page, NO_READER[why]) as noticed,
    ):
        arrives(canteen, page)
        assert noticed == (["detect", "vendored"] if why == "throws" else ["vendored"])


def test_the_reader_of_the_browser_is_preferred(canteen: Canteen, browser: Browser, tmp_path: Path) -> None:
    """The camera sees a bare wall: what is opened is what the browser's reader said, among others that are not ours."""
    texts = f"const TEXTS = ['https://elsewhere.example/', '{canteen.base}/s/{canteen.code}'];"
    with (
        seeing(browser, Image.new("RGB", SEEN, WALL), tmp_path) as page,
        scanning(canteen, page, texts + ITS_READER) as noticed,
    ):
        arrives(canteen, page)
        assert noticed == ["qr_code", "480x480"]


def test_a_foreign_code_that_the_browser_reads_is_not_opened(
    canteen: Canteen, browser: Browser, tmp_path: Path
) -> None:
    texts = f"const TEXTS = ['https://elsewhere.example/s/{canteen.code}'];"
    with (
        seeing(browser, Image.new("RGB", SEEN, WALL), tmp_path) as page,
        scanning(canteen, page, texts + ITS_READER) as noticed,
    ):
        expect(page.get_by_text("这不是碳普惠的码", exact=False)).to_be_visible()
        assert page.url == f"{canteen.base}/scan"
        assert "vendored" not in noticed


def test_a_foreign_code_is_called_one_and_not_opened(
    canteen: Canteen, browser: Browser, tmp_path: Path
) -> None:
    drawn = qrcode.make("https://elsewhere.example/s/AAAAAAAAAAAAAAAAAAAAAAAA").get_image().convert("RGB")
    view = Image.new("RGB", SEEN, WALL)
    view.paste(drawn.resize((320, 320)), (160, 80))
    with seeing(browser, view, tmp_path) as page:
        page.goto(f"{canteen.base}/scan")
        expect(page.get_by_text("这不是碳普惠的码", exact=False)).to_be_visible(timeout=READ_WITHIN)
        picture(page, "scan-foreign")
        assert page.url == f"{canteen.base}/scan"


# --- the camera, and without it ----------------------------------------------------------------------------


def test_while_it_looks_the_short_code_can_be_typed(
    canteen: Canteen, browser: Browser, tmp_path: Path
) -> None:
    noise = [Image.effect_noise(SEEN, 90).convert("RGB") for _ in range(10)]
    with seeing(browser, noise, tmp_path) as page, scanning(canteen, page, NO_READER["absent"]):
        expect(page.get_by_text("把海报上的码放进框里", exact=False)).to_be_visible()
        page.fill("[name=code]", canteen.code.lower())
        page.get_by_role("button", name="打开", exact=True).click()
        arrives(canteen, page)


def test_a_camera_that_is_refused_leaves_the_short_code(
    canteen: Canteen, browser: Browser, tmp_path: Path
) -> None:
    with seeing(browser, Image.new("RGB", SEEN, WALL), tmp_path, allowed=False) as page:
        page.goto(f"{canteen.base}/scan")
        refusal = page.get_by_text("没有得到使用相机的许可", exact=False)
        expect(refusal).to_be_visible()
        expect(refusal).to_contain_text("输入短码")
        expect(page.get_by_role("button", name="再试一次")).to_be_visible()
        page.fill("[name=code]", canteen.code)
        page.get_by_role("button", name="打开", exact=True).click()
        arrives(canteen, page)


def test_the_camera_rests_while_nobody_looks_and_when_the_page_is_left(
    canteen: Canteen, browser: Browser, tmp_path: Path
) -> None:
    live = "window.tracks.map(track => track.readyState).join()"
    with (
        seeing(browser, Image.new("RGB", SEEN, WALL), tmp_path) as page,
        scanning(canteen, page, WATCHED),
    ):
        wait_until(lambda: page.evaluate(live) == "live")
        page.evaluate("hide(true)")
        wait_until(lambda: page.evaluate(live) == "ended")
        expect(page.locator("video")).to_be_hidden()
        page.evaluate("hide(false)")
        wait_until(lambda: page.evaluate(live) == "ended,live")
        expect(page.locator("video")).to_be_visible()
        page.get_by_role("link", name="附近哪里可以记录").click()
        page.wait_for_url("**/sites**")
        assert page.evaluate("localStorage.getItem('stopped')") == "2"


def test_the_torch_is_offered_where_the_camera_has_one(
    canteen: Canteen, browser: Browser, tmp_path: Path
) -> None:
    with (
        seeing(browser, Image.new("RGB", SEEN, WALL), tmp_path) as page,
        scanning(canteen, page, WATCHED),
    ):
        torch = page.get_by_role("button", name="手电筒")
        for pressed in ("true", "false"):
            torch.click()
            expect(torch).to_have_attribute("aria-pressed", pressed)
            assert str(page.evaluate("window.light")).lower() == pressed


def test_a_camera_that_another_app_takes_away_is_said_to_be_gone(
    canteen: Canteen, browser: Browser, tmp_path: Path
) -> None:
    with (
        seeing(browser, Image.new("RGB", SEEN, WALL), tmp_path) as page,
        scanning(canteen, page, WATCHED),
    ):
        expect(page.locator("video")).to_be_visible()
        page.evaluate("window.tracks[0].dispatchEvent(new Event('ended'))")
        expect(page.get_by_text("相机打不开", exact=False)).to_be_visible()
        page.get_by_role("button", name="再试一次").click()
        expect(page.locator("video")).to_be_visible()
