"""The whole main job in a real browser: from an empty installation to a resident's credit and the bureau's count."""

import io
import time

import pypdfium2
import pytest
import zxingcpp
from PIL import Image
from playwright.sync_api import Page, expect

from tests.journeys.conftest import DESK, PHONE, NewPage, Served, picture

PASSWORD = "a good long password"

pytestmark = pytest.mark.browser


def set_up_a_canteen(page: Page, served: Served) -> bytes:
    """The first member of staff comes in, registers a canteen and prints its poster; the poster's PNG."""
    page.goto(served.printed(r"(http\S+/staff/first/\S+)"))
    page.fill("[name=name]", "静安碳普惠")
    page.fill("[name=password]", PASSWORD)
    page.click("form button[type=submit], form button:not([type])")
    page.goto(f"{served.base}/console")
    picture(page, "console-empty")
    page.goto(f"{served.base}/console/sites/new")
    page.fill("[name=name]", "临汾社区食堂")
    page.fill("[name=hours]", "每天 11:00–13:00")
    page.select_option("[name=kind]", "canteen")
    page.select_option("[name=division_code]", index=5)
    page.check("[name=kinds][value=clean_plate]")
    picture(page, "console-new-site")
    page.get_by_role("button", name="登记").click()
    expect(page.get_by_role("heading", name="临汾社区食堂")).to_be_visible()
    picture(page, "console-site")
    address = page.get_by_role("link", name="海报 PNG").first.get_attribute("href")
    answer = page.request.get(f"{served.base}{address}")
    assert answer.ok
    assert answer.headers["content-type"] == "image/png"
    pdf = page.request.get(f"{served.base}{address}".replace(".png", ".pdf"))
    sheet = pypdfium2.PdfDocument(pdf.body())[0].render(scale=2).to_pil()
    assert read(sheet) == read(Image.open(io.BytesIO(answer.body())))
    return answer.body()


def read(poster: Image.Image) -> str:
    """What the code on a poster says."""
    found = zxingcpp.read_barcode(poster)
    assert found is not None
    return found.text


def join(page: Page, served: Served, phone: str) -> None:
    """From the log-in page: phone, code from the console, community, consent."""
    page.fill("[name=phone]", phone)
    picture(page, "resident-login")
    page.get_by_role("button", name="获取验证码").click()
    expect(page.locator("[name=code]")).to_be_visible()
    page.fill("[name=code]", served.printed(rf"\*\*\*{phone[-4:]}\] .*?(\d{{6}})"))
    page.get_by_role("button", name="登录").click()
    page.select_option("[name=street]", label="静安寺街道")
    page.get_by_role("button", name="选定").click()
    page.select_option("[name=division_code]", index=3)
    page.check("[name=age][value='14']")
    page.check("[name=consent_version]")
    picture(page, "resident-join")
    page.get_by_role("button", name="加入", exact=True).click()


def seen_by_the_bureau(staff: Page, served: Served) -> str:
    """The line of the bureau's table in which the record counts, as soon as the relay has brought it there.

    Of one person no number is told: the line says no longer that there was nobody.
    """
    line = staff.locator("tr", has_text="静安寺街道").first
    for _ in range(20):
        staff.goto(f"{served.base}/bureau")
        if line.count() and "人少，不显示" in line.inner_text():
            break
        time.sleep(0.5)
    return line.inner_text()


def test_a_resident_scans_a_printed_code_and_the_bureau_sees_it(served: Served, new_page: NewPage) -> None:
    staff = new_page(DESK)
    poster = set_up_a_canteen(staff, served)
    printed = read(Image.open(io.BytesIO(poster)))
    assert printed.startswith(f"{served.base}/s/")

    phone = new_page(PHONE, is_mobile=True, has_touch=True, device_scale_factor=2)
    phone.goto(printed)
    expect(phone.get_by_role("heading", name="临汾社区食堂")).to_be_visible()
    phone.get_by_role("button", name="登录并记录").click()
    join(phone, served, "13812345678")
    expect(phone.get_by_role("heading", name="临汾社区食堂")).to_be_visible()
    picture(phone, "resident-scan")
    phone.get_by_role("button", name="确认记录").click()

    expect(phone.get_by_text("144", exact=False).first).to_be_visible()
    expect(phone.get_by_text("光盘行动").first).to_be_visible()
    expect(phone.get_by_text("暂无污染物因子", exact=False).first).to_be_visible()
    result = phone.url
    assert seen_by_the_bureau(staff, served).split()[1] == "人少，不显示"
    picture(phone, "resident-result")
    picture(staff, "bureau")

    phone.go_back()
    phone.reload()
    assert phone.url == result, "going back after confirming leads to the record, not to a second one"
    phone.goto(f"{served.base}/me/statement")
    expect(phone.get_by_text("光盘行动").first).to_be_visible()
    picture(phone, "resident-statement")
    phone.goto(printed)
    phone.get_by_role("button", name="确认记录").click()
    expect(phone.get_by_text("分钟后再试", exact=False)).to_be_visible()
    picture(phone, "resident-refused")

    staff.goto(f"{served.base}/console")
    assert staff.get_by_text("临汾社区食堂").count() >= 1


def test_everything_a_resident_needs_works_without_javascript(served: Served, new_page: NewPage) -> None:
    page = new_page(PHONE, java_script_enabled=False)
    page.goto(f"{served.base}/login")
    join(page, served, "13900001111")
    page.goto(f"{served.base}/me")
    expect(page.get_by_text("静安寺", exact=False).first).to_be_visible()
    picture(page, "resident-profile")
    page.goto(f"{served.base}/language/en?next=/me/statement")
    assert page.locator("html").get_attribute("lang") == "en"
    picture(page, "resident-statement-empty-en")
