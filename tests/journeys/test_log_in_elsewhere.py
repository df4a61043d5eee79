"""Log-in by an identity provider in a real browser: from a scan to the provider's page and back, and the way it fails."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tanpuhui.config import Settings
from tanpuhui.rooms import build_house
from tests.journeys.conftest import PHONE, NewPage, picture, serving
from tests.journeys.test_everywhere import WECHAT, Place, confirm
from tests.provider import NAME, CityPass, city_pass
from tests.world import World

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def provider() -> Iterator[CityPass]:
    """A provider that asks the person on a page of its own."""
    with city_pass() as found:
        found.asks = True
        yield found


@pytest.fixture(scope="module")
def place(provider: CityPass, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A district that offers it."""
    folder = tmp_path_factory.mktemp("elsewhere")
    with serving(folder, **provider.settings) as served:
        house = build_house(Settings(var=folder / "var", port=urlsplit(served.base).port))
        yield Place(served, World(house))
        house.db.dispose()


def webview(new_page: NewPage) -> Page:
    """WeChat's view: its user agent, no script, no service worker."""
    return new_page(
        PHONE, user_agent=WECHAT, java_script_enabled=False, service_workers="block", is_mobile=True
    )


def scan_and_log_in(page: Page, place: Place) -> None:
    """From a scanned code to the provider, and its yes."""
    page.goto(f"{place.base}/s/{place.world.code('clean_plate')}")
    page.get_by_role("button", name="登录并记录").click()
    page.get_by_role("link", name=f"用{NAME}登录").click()
    expect(page.get_by_role("heading", name=NAME)).to_be_visible()
    page.get_by_role("link", name="同意登录").click()


def join(page: Page) -> None:
    """Community, age, consent."""
    expect(page.get_by_role("heading", name="加入碳普惠")).to_be_visible()
    page.select_option("[name=street]", label="静安寺街道")
    page.get_by_role("button", name="选定").click()
    page.select_option("[name=division_code]", index=3)
    page.check("[name=age][value='14']")
    page.check("[name=consent_version]")
    page.get_by_role("button", name="加入", exact=True).click()


@contextmanager
def one_window(page: Page, place: Place, provider: CityPass) -> Iterator[None]:
    """Nothing but the two sites is asked, no second window opens, and our cookies need no other site's leave."""
    hosts: set[str] = set()
    page.on("request", lambda asked: hosts.add(urlsplit(asked.url).netloc))
    yield
    assert hosts == {urlsplit(place.base).netloc, urlsplit(provider.base).netloc}
    assert len(page.context.pages) == 1
    for cookie in page.context.cookies():
        assert cookie["sameSite"] == "Lax", cookie["name"]


def test_from_a_scan_to_the_provider_and_back_to_the_scan(
    place: Place, provider: CityPass, new_page: NewPage
) -> None:
    provider.subject, before = "citizen-1", len(place.recorded())
    page = new_page(PHONE, is_mobile=True, has_touch=True, device_scale_factor=2)
    with one_window(page, place, provider):
        scan_and_log_in(page, place)
        picture(page, "elsewhere-join")
        join(page)
        confirm(page)
        expect(page.get_by_text("已记录")).to_be_visible()
    assert len(place.recorded()) == before + 1


def test_in_an_embedded_view_without_javascript_one_links_and_logs_in(
    place: Place, provider: CityPass, new_page: NewPage
) -> None:
    provider.subject = "citizen-2"
    resident = place.world.resident()
    page = webview(new_page)
    with one_window(page, place, provider):
        place.enter(page, resident)
        page.goto(f"{place.base}/me")
        page.get_by_role("button", name="关联", exact=True).click()
        expect(page.get_by_role("heading", name=f"关联{NAME}")).to_be_visible()
        picture(page, "elsewhere-linking")
        page.get_by_role("link", name=f"去{NAME}确认").click()
        page.get_by_role("link", name="同意登录").click()
        expect(page.get_by_role("button", name="解除")).to_be_visible()
        picture(page, "elsewhere-profile")

    before = len(place.recorded())
    again = webview(new_page)
    with one_window(again, place, provider):
        scan_and_log_in(again, place)
        confirm(again)
        expect(again.get_by_text("已记录")).to_be_visible()
    assert [who for _, who in place.recorded()[before:]] == [resident.id.hex]


def test_who_says_no_there_is_shown_the_phone(place: Place, new_page: NewPage) -> None:
    page = webview(new_page)
    page.goto(f"{place.base}/s/{place.world.code('clean_plate')}")
    page.get_by_role("button", name="登录并记录").click()
    picture(page, "elsewhere-login")
    page.get_by_role("link", name=f"用{NAME}登录").click()
    page.get_by_role("link", name="不同意").click()
    expect(page.get_by_text("什么都没有改动。")).to_be_visible()
    picture(page, "elsewhere-refused")
    page.get_by_role("link", name="用手机号码登录").click()
    expect(page.get_by_text(re.compile("扫码不会丢失"))).to_be_visible()
    expect(page.locator("[name=phone]")).to_be_visible()
