"""A resident on a phone: where is the nearest place for glass, is it full, and here it is recorded."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from activities import codes, site_reports, sites
from activities.sites import SiteIn
from tanpuhui import people, staff
from tanpuhui.config import Settings
from tanpuhui.rooms import House, build_house
from tanpuhui.sessions import Principal, new_session
from tanpuhui.staff import Role
from tanpuhui.web.auth import COOKIES
from tests.journeys.conftest import PHONE, NewPage, picture, serving
from tests.world import COMMUNITY, OTHER_COMMUNITY

pytestmark = pytest.mark.browser


def furnish(house: House) -> tuple[people.Resident, str]:
    """Two places for glass, the nearer one said to be full; a resident, and the code that hangs at the nearer one."""
    with house.db.session() as session:
        grants = [staff.grant(Role.ORGANISER, division_code="310106")]
        member = staff.add_staff(session, name="组织者", password="for a journey only", grants=grants)
    organiser = Principal("staff", member.id, member.id)
    me, neighbour = (
        people.join(house, phone=phone, division_code=COMMUNITY, consent_version=people.CONSENT_VERSION)
        for phone in ("+8613912345678", "+8613912345679")
    )
    for name, community in (("甲回收点", OTHER_COMMUNITY), ("乙回收点", COMMUNITY)):
        site_in = SiteIn(
            name=name,
            kind="recycling_point",
            division_code=community,
            hours="07:00–20:00",
            kinds=["recycle_glass"],
        )
        nearer = sites.create_site(house, organiser, site_in)
    canteen = SiteIn(name="新安食堂", kind="canteen", division_code=COMMUNITY, kinds=["clean_plate"])
    sites.create_site(house, organiser, canteen)
    said = Principal("resident", neighbour.id, neighbour.id)
    site_reports.report(house, said, nearer.id, site_reports.SiteCondition.FULL)
    return me, codes.token_of(house.settings, codes.issue_code(house, organiser, nearer.id).id)


def test_a_resident_finds_the_nearest_place_reports_it_and_scans_there(
    tmp_path: Path, new_page: NewPage
) -> None:
    with serving(tmp_path) as served:
        house = build_house(Settings(var=tmp_path / "var", port=int(served.base.rsplit(":", 1)[1])))
        me, code = furnish(house)
        phone = new_page(PHONE, is_mobile=True, has_touch=True, java_script_enabled=False)
        token = new_session(house, kind="resident", subject_id=me.id)
        phone.context.add_cookies([{"name": COOKIES["resident"], "value": token, "url": served.base}])

        phone.goto(served.base)
        phone.get_by_role("link", name="附近的点位").first.click()
        phone.select_option("[name=action]", "recycle_glass")
        phone.get_by_role("button", name="查找").click()
        rows = phone.locator("main a.row")
        expect(rows).to_have_count(2)
        expect(rows.first).to_contain_text("乙回收点")
        expect(rows.first).to_contain_text("满了")
        picture(phone, "resident-places")

        rows.first.click()
        expect(phone.get_by_text("最近报告：刚刚", exact=False)).to_be_visible()
        picture(phone, "resident-place")
        phone.get_by_role("button", name="可以使用").click()
        expect(phone.get_by_text("您的报告：可以使用", exact=False)).to_be_visible()
        expect(phone.get_by_text("1 人说可以使用，1 人说满了", exact=False)).to_be_visible()

        phone.get_by_role("link", name="扫码记录").click()
        phone.fill("[name=code]", code)
        phone.get_by_role("button", name="打开").click()
        phone.fill("[name=quantity]", "2.5")
        phone.get_by_role("button", name="确认记录").click()
        expect(phone.get_by_text("玻璃回收").first).to_be_visible()

        phone.goto(f"{served.base}/sites")
        expect(phone.locator("main a.row")).to_have_count(2)  # as it was looked for last
        house.db.dispose()
