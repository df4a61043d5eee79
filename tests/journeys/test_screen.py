"""A rotating code on an organiser's tablet, and the phone that scans it."""

import io
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import zxingcpp
from PIL import Image
from playwright.sync_api import Page, expect
from sqlmodel import col, select

from activities import codes
from activities.campaigns import Campaign
from activities.codes import CodeKind
from activities.sites import Site
from tanpuhui import clock
from tanpuhui.sessions import Principal, end_all
from tests.journeys.conftest import PHONE, NewPage, picture
from tests.journeys.district import District, demo_district
from tests.readers import assert_read_in_every_way

TABLET = {"width": 1024, "height": 768}

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def district(tmp_path_factory: pytest.TempPathFactory) -> Iterator[District]:
    """A small district with yesterday's records, so that today's limits are untouched."""
    with demo_district(tmp_path_factory.mktemp("screen"), residents=5, days=2) as found:
        yield found


def canteen(district: District) -> Site:
    with district.house.db.reading_session() as session:
        found = session.exec(select(Site).where(Site.kind == "canteen")).first()
        assert found is not None
        return found


def opened(district: District, page: Page, kind: str = "clean_plate") -> str:
    """The screen of a new rotating code, opened on `page`; its path."""
    staff = Principal("staff", district.people["staff"], district.people["staff"])
    code = codes.issue_code(
        district.house, staff, canteen(district).id, kind=CodeKind.ROTATING, action_kind=kind
    )
    page.context.add_cookies(district.cookies("staff"))  # type: ignore[arg-type]
    path = f"/console/codes/{code.id}/screen"
    page.goto(district.base + path)
    return path


def seen_on(page: Page) -> Image.Image:
    """What stands on the screen."""
    return Image.open(io.BytesIO(page.screenshot()))


def test_an_organiser_shows_a_code_and_a_resident_scans_it(district: District, new_page: NewPage) -> None:
    tablet = new_page(TABLET, reduced_motion="reduce")
    tablet.goto(district.base)
    tablet.context.add_cookies(district.cookies("staff"))  # type: ignore[arg-type]
    tablet.goto(f"{district.base}/console/sites/{canteen(district).id}")
    tablet.get_by_role("link", name="别的码").click()
    tablet.select_option("#action_kind-rotating", "clean_plate")
    tablet.get_by_role("button", name="发一个轮换码").click()
    tablet.get_by_role("link", name="在平板上展示").first.click()
    image = seen_on(tablet)
    picture(tablet, "rotating-screen")
    (code,) = zxingcpp.read_barcodes(image)
    assert_read_in_every_way(image, code.text, level="M")
    assert code.text.startswith(f"{district.base}/s/")

    phone = new_page(PHONE, is_mobile=True, has_touch=True)
    phone.context.add_cookies(district.cookies("resident"))  # type: ignore[arg-type]
    phone.goto(code.text)
    phone.get_by_role("button", name="确认记录").click()
    expect(phone.get_by_text("光盘行动").first).to_be_visible()
    assert urlsplit(phone.url).path.startswith("/me/actions/")
    expect(phone.get_by_text("动态码").first).to_be_visible()


def test_the_code_changes_by_itself(district: District, new_page: NewPage) -> None:
    tablet = new_page(TABLET, reduced_motion="reduce")
    opened(district, tablet)
    before = tablet.locator("[data-typed]").inner_text()
    expect(tablet.locator("[data-typed]")).not_to_have_text(before, timeout=40_000)
    (code,) = zxingcpp.read_barcodes(seen_on(tablet))
    assert code.text.endswith(tablet.locator("[data-typed]").inner_text().replace("-", ""))


def test_a_code_that_could_not_be_replaced_is_taken_down(district: District, new_page: NewPage) -> None:
    tablet = new_page(TABLET, reduced_motion="reduce")
    tablet.clock.install()
    opened(district, tablet)
    tablet.context.set_offline(True)
    tablet.clock.run_for(1_000)
    assert zxingcpp.read_barcodes(seen_on(tablet)), "it is still good"
    tablet.clock.run_for(60_000)
    expect(tablet.get_by_text("连不上网络")).to_be_visible()
    assert not zxingcpp.read_barcodes(seen_on(tablet))
    picture(tablet, "rotating-screen-lost")
    tablet.context.set_offline(False)
    tablet.clock.run_for(5_000)
    expect(tablet.get_by_text("连不上网络")).to_be_hidden()
    assert zxingcpp.read_barcodes(seen_on(tablet))


def test_a_tablet_that_slept_shows_no_old_code(district: District, new_page: NewPage) -> None:
    tablet = new_page(TABLET, reduced_motion="reduce")
    tablet.clock.install()
    opened(district, tablet)
    tablet.context.set_offline(True)
    tablet.clock.fast_forward(3600_000)  # no timer ran meanwhile
    tablet.clock.run_for(1_000)
    expect(tablet.get_by_text("连不上网络")).to_be_visible()


def test_when_the_session_ends_the_tablet_asks_to_log_in(district: District, new_page: NewPage) -> None:
    tablet = new_page(TABLET, reduced_motion="reduce")
    tablet.clock.install()
    path = opened(district, tablet)
    end_all(district.house, "staff", district.people["staff"])
    tablet.clock.run_for(35_000)
    tablet.wait_for_url("**/staff/login**")
    assert f"next={path}" in tablet.url.replace("%2F", "/")


def test_without_network_the_phone_does_not_promise_what_cannot_be(
    district: District, new_page: NewPage
) -> None:
    """It is told at once, nothing waits on the phone, and back in the network the same page may be confirmed."""
    tablet = new_page(TABLET, reduced_motion="reduce")
    opened(district, tablet, "own_cup")
    phone = new_page(PHONE, is_mobile=True, has_touch=True)
    phone.context.add_cookies(district.cookies("resident"))  # type: ignore[arg-type]
    phone.goto(district.base)
    phone.evaluate("navigator.serviceWorker.ready.then(() => null)")
    (code,) = zxingcpp.read_barcodes(seen_on(tablet))
    phone.goto(code.text)
    phone.context.set_offline(True)
    phone.get_by_role("button", name="确认记录").click()
    expect(phone.get_by_text("要当场确认")).to_be_visible()
    picture(phone, "rotating-offline")
    assert phone.evaluate("queue.all().then((all) => all.length)") == 0
    phone.context.set_offline(False)
    phone.get_by_role("button", name="返回上一页").click()
    phone.get_by_role("button", name="确认记录").click()
    phone.wait_for_url("**/me/actions/**")


def test_a_wall_comes_anew_and_keeps_its_last_numbers_without_a_network(
    district: District, new_page: NewPage
) -> None:
    with district.house.db.reading_session() as session:
        running = select(Campaign).where(
            col(Campaign.starts_at) <= clock.now(), col(Campaign.ends_at) > clock.now()
        )
        campaign = session.exec(running).first()
    assert campaign
    wall = new_page({"width": 1920, "height": 1080}, reduced_motion="reduce")
    wall.clock.install()
    wall.goto(f"{district.base}/campaigns/{campaign.id}/screen")
    (code,) = zxingcpp.read_barcodes(seen_on(wall))
    assert code.text == f"{district.base}/campaigns/{campaign.id}"
    lost, shown = wall.get_by_text("连不上网络", exact=False), wall.locator("[data-live]").inner_text()
    wall.context.set_offline(True)
    wall.clock.run_for(16_000)
    expect(lost).to_be_visible()
    assert shown.splitlines()[0] in wall.locator("[data-live]").inner_text()
    picture(wall, "wall-lost")
    wall.context.set_offline(False)
    wall.clock.run_for(16_000)
    expect(lost).to_be_hidden()
    picture(wall, "wall")
