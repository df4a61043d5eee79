"""A factor's life in a browser: proposed, reviewed by a second officer, published, seen on a resident's record."""

import io
from datetime import timedelta

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tanpuhui import clock
from tests.journeys.conftest import DESK, PHONE, NewPage, Served, picture
from tests.journeys.test_first_credit import PASSWORD, join, read, set_up_a_canteen

pytestmark = pytest.mark.browser


def a_second_officer(first: Page, page: Page, served: Served) -> None:
    """The first officer invites a colleague, who comes in by the link."""
    first.goto(f"{served.base}/console/staff")
    first.select_option("[name=role]", "officer")
    first.select_option("[name=scope]", "division:310106")
    first.get_by_role("button", name="生成一次性链接").click()
    page.goto(first.locator("code", has_text="/staff/first/").inner_text())
    page.fill("[name=name]", "复核员")
    page.fill("[name=password]", PASSWORD)
    page.locator("main form button").click()


def scan(phone: Page, served: Served, printed: str, number: str) -> str:
    """A newcomer scans, joins, confirms; the address of the record."""
    phone.goto(printed)
    phone.get_by_role("button", name="登录并记录").click()
    join(phone, served, number)
    phone.get_by_role("button", name="确认记录").click()
    expect(phone.get_by_text("已记录")).to_be_visible()
    return phone.url


def test_a_factor_is_proposed_reviewed_published_and_shown(served: Served, new_page: NewPage) -> None:
    officer, reviewer = new_page(DESK), new_page(DESK)
    printed = read(Image.open(io.BytesIO(set_up_a_canteen(officer, served))))
    before, after = (new_page(PHONE, is_mobile=True, has_touch=True) for _ in range(2))
    old = scan(before, served, printed, "13812340001")

    officer.goto(f"{served.base}/bureau/factors/kinds/clean_plate/new")
    officer.fill("[name=co2e_g_low]", "-1")
    officer.fill("[name=valid_from]", clock.today().isoformat())
    officer.fill("[name=reason]", "示例：核对后下调")
    officer.get_by_role("button", name="提出").click()
    expect(officer.locator("#co2e_g_low-error")).to_be_visible()
    picture(officer, "factor-refused")
    officer.fill("[name=co2e_g_low]", "120")
    officer.get_by_role("button", name="提出").click()
    expect(officer.get_by_text("待复核").first).to_be_visible()
    assert officer.get_by_role("button", name="复核通过").count() == 0, "the proposer cannot be the reviewer"
    proposal = officer.url

    a_second_officer(officer, reviewer, served)
    reviewer.goto(proposal)
    picture(reviewer, "factor-review")
    reviewer.locator("[id='reason-review']").fill("已对照原文")
    reviewer.get_by_role("button", name="复核通过").click()
    reviewer.locator("summary", has_text="发布").click()
    reviewer.get_by_role("button", name="确定发布").click()
    expect(reviewer.get_by_text("已发布").first).to_be_visible()

    scan(after, served, printed, "13812340002")
    expect(after.get_by_text("1 餐 × 120 克/餐", exact=False).first).to_be_visible()
    picture(after, "record-of-the-new-factor")
    before.goto(old)
    expect(before.get_by_text("1 餐 × 144 克/餐", exact=False).first).to_be_visible()
    before.get_by_role("link", name="clean_plate@1").click()
    expect(before.get_by_text("光盘行动").first).to_be_visible()
    picture(before, "factor-version")

    yesterday = (clock.today() - timedelta(days=1)).isoformat()
    reviewer.goto(f"{served.base}/bureau/whatif?version=clean_plate@1&from={yesterday}")
    expect(reviewer.get_by_text("0.26 千克").first).to_be_visible()  # what was recorded: 144 g + 120 g
    expect(reviewer.get_by_text("0.28 千克").first).to_be_visible()  # twice 144 g
    picture(reviewer, "whatif")
