"""A notice comes out: an officer enters the date, and what everybody saw as awaited is a day of the calendar."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tanpuhui import clock, staff
from tanpuhui.config import Settings
from tanpuhui.rooms import build_house
from tanpuhui.sessions import new_session
from tanpuhui.staff import Role
from tanpuhui.web.auth import COOKIES
from tests.journeys.conftest import DESK, PHONE, NewPage, Served, go, picture, serving

pytestmark = pytest.mark.browser

NOTICE = "年度通知（示例）"


def officer(served: Served, folder: Path, page: Page) -> None:
    """Log the browser in as an officer of the district."""
    house = build_house(Settings(var=folder / "var", port=int(served.base.rsplit(":", 1)[1])))
    with house.db.session() as session:
        grants = [staff.grant(Role.OFFICER, division_code="310106")]
        member = staff.add_staff(session, name="经办人", password="for a journey only", grants=grants)
    token = new_session(house, kind="staff", subject_id=member.id)
    page.context.add_cookies([{"name": COOKIES["staff"], "value": token, "url": served.base}])
    house.db.dispose()


def test_an_awaited_day_gets_its_date_and_everybody_sees_it(tmp_path: Path, new_page: NewPage) -> None:
    year = clock.today().year + 1
    with serving(tmp_path) as served:
        desk, phone = (
            new_page(DESK),
            new_page(PHONE, is_mobile=True, has_touch=True, java_script_enabled=False),
        )
        officer(served, tmp_path, desk)

        phone.goto(f"{served.base}/campaigns")
        phone.get_by_role("link", name="看看日历").click()
        awaited = phone.locator("section", has=phone.get_by_role("heading", name="等待公布"))
        coming = phone.locator("section", has=phone.get_by_role("heading", name="接下来"))
        expect(awaited).to_contain_text("全国低碳日")
        expect(awaited).to_contain_text(f"{year} 年的日期还没有公布")
        expect(coming).not_to_contain_text("全国低碳日")
        picture(phone, "calendar-awaiting")

        desk.goto(f"{served.base}/bureau")
        go(desk, "日历")
        desk.get_by_role("link", name=f"{year} 年", exact=True).click()
        row = desk.locator("#low_carbon_day")
        expect(row).to_contain_text("等待公布")
        row.locator("summary", has_text="填写日期").click()
        row.locator("[name=starts_on]").fill(f"{year}-06-16")
        row.locator("[name=ends_on]").fill(f"{year}-06-15")
        row.locator("[name=source]").first.fill(NOTICE)
        row.locator("[name=confidence]").select_option("A")
        row.get_by_role("button", name="保存").click()
        expect(row.locator("#ends_on-low_carbon_day-error")).to_have_text("结束日期应不早于开始日期。")
        expect(row.locator("[name=source]").first).to_have_value(NOTICE)
        picture(desk, "observances-refused")
        row.locator("[name=ends_on]").fill("")
        row.get_by_role("button", name="保存").click()
        expect(row).to_contain_text(f"{year}年6月16日")
        picture(desk, "observances-year")

        phone.reload()
        expect(coming).to_contain_text(f"{year}年6月16日")
        expect(coming).to_contain_text(NOTICE)
        expect(awaited).not_to_contain_text("全国低碳日")
        picture(phone, "calendar-dated")
        file = phone.request.get(f"{served.base}/calendar.ics")
        assert file.headers["content-type"] == "text/calendar; charset=utf-8"
        assert f"DTSTART;VALUE=DATE:{year}0616" in file.text()

        row.get_by_role("link", name="全国低碳日", exact=True).click()
        history = desk.locator("section", has=desk.get_by_role("heading", name="谁改过什么？"))
        expect(history).to_contain_text("经办人")
        expect(history).to_contain_text(NOTICE)
        picture(desk, "observance-history")
