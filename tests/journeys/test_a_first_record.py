"""A newcomer's first record on a phone: home, scan, result, card to share, impact, and home again."""

import io

import pytest
import zxingcpp
from PIL import Image
from playwright.sync_api import Page, expect

from tests.journeys.conftest import DESK, PHONE, NewPage, Served, picture
from tests.journeys.test_first_credit import join, read, set_up_a_canteen

pytestmark = pytest.mark.browser


def whole_on_the_first_screen(page: Page, text: str) -> bool:
    """Whether all of what says `text` is above the tabs, without scrolling."""
    box = page.get_by_text(text, exact=False).first.bounding_box()
    tabs = page.locator("nav.tabs").bounding_box()
    assert box
    assert tabs
    return box["y"] >= 0 and box["y"] + box["height"] <= tabs["y"]


def test_a_newcomer_goes_from_home_to_a_record_and_back_with_a_number(
    served: Served, new_page: NewPage
) -> None:
    poster = set_up_a_canteen(new_page(DESK), served)
    token = read(Image.open(io.BytesIO(poster))).rpartition("/")[2]

    phone = new_page(PHONE, is_mobile=True, has_touch=True, device_scale_factor=2)
    phone.goto(served.base)
    assert phone.locator("main a").first.inner_text().strip() == "扫码记录"
    picture(phone, "home-visitor")
    phone.get_by_role("link", name="登录或加入").click()
    join(phone, served, "13812345678")
    expect(phone.get_by_text("第一次来", exact=False)).to_be_visible()
    picture(phone, "home-newcomer")

    phone.get_by_role("link", name="扫码记录").click()
    phone.fill("[name=code]", token)
    phone.get_by_role("button", name="打开").click()
    phone.get_by_role("button", name="确认记录").click()
    expect(phone.get_by_text("相当于一盏 10 瓦的灯亮 34", exact=False)).to_be_visible()
    for seen in ("144", "相当于一盏", "每盏灯代表", "+10"):
        assert whole_on_the_first_screen(phone, seen), seen
    picture(phone, "result")
    result = phone.url

    phone.get_by_role("link", name="分享卡片").click()
    card = phone.locator("main img")
    expect(card).to_have_js_property("naturalWidth", 1080)
    shown = zxingcpp.read_barcode(Image.open(io.BytesIO(card.screenshot())))
    assert shown
    assert shown.text == f"{served.base}/", "what the screen shows can be scanned by another phone"
    picture(phone, "share-card")
    with phone.expect_download() as download:
        phone.get_by_role("link", name="保存图片").click()
    assert download.value.suggested_filename == "tanpuhui.png"
    phone.get_by_role("link", name="回到这条记录").click()
    assert phone.url == result

    phone.get_by_role("link", name="我的影响").click()
    expect(phone.get_by_role("heading", name="每月省下多少？")).to_be_visible()
    phone.get_by_role("link", name="光盘行动").click()
    assert phone.url.endswith("/me/impact?kind=clean_plate")
    expect(phone.get_by_text("一共 1", exact=False)).to_be_visible()
    picture(phone, "impact")

    phone.get_by_role("link", name="首页").click()
    expect(phone.locator("main .card").first).to_contain_text("144")
    for seen in ("扫码记录", "今天", "本月估算减排", "我的影响"):
        assert whole_on_the_first_screen(phone, seen), seen
    picture(phone, "home")

    phone.go_back()  # two tabs and the back button: the confirmed scan is not confirmed again
    phone.goto(result)
    phone.get_by_role("link", name="完成").click()
    expect(phone.locator("main .card").first).to_contain_text("1 条记录")


def test_where_the_phone_can_share_the_picture_is_handed_to_it(served: Served, new_page: NewPage) -> None:
    """The button is there only where it works; without it the picture is kept by a long press."""
    poster = set_up_a_canteen(new_page(DESK), served)
    phone = new_page(PHONE)
    phone.goto(read(Image.open(io.BytesIO(poster))))
    phone.get_by_role("button", name="登录并记录").click()
    join(phone, served, "13812345678")
    phone.get_by_role("button", name="确认记录").click()
    phone.get_by_role("link", name="分享卡片").click()
    expect(phone.locator("main img")).to_have_js_property("naturalWidth", 1080)
    expect(phone.locator("[data-share]")).to_be_hidden()

    phone.add_init_script(
        "navigator.canShare = ({files}) => files.length === 1;"
        "navigator.share = async ({files}) => { window.shared = [files[0].name, files[0].type, files[0].size] }"
    )
    phone.reload()
    phone.get_by_role("button", name="发给朋友").click()
    phone.wait_for_function("window.shared")
    name, kind, size = phone.evaluate("window.shared")
    assert (name, kind) == ("tanpuhui.png", "image/png")
    assert size > 10_000
