"""An organiser on a phone: a code was passed around; withdrawn, its records voided together, a new poster put up."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from activities import codes, scans, sites
from activities.sites import SiteIn
from tanpuhui import people, staff
from tanpuhui.config import Settings
from tanpuhui.rooms import build_house
from tanpuhui.sessions import Principal, new_session
from tanpuhui.staff import Role
from tanpuhui.web.auth import COOKIES
from tests.journeys.conftest import PHONE, NewPage, picture, serving
from tests.world import COMMUNITY

pytestmark = pytest.mark.browser


def test_an_organiser_sees_a_signal_withdraws_voids_and_prints_anew(
    tmp_path: Path, new_page: NewPage
) -> None:
    with serving(tmp_path) as served:
        house = build_house(Settings(var=tmp_path / "var", port=int(served.base.rsplit(":", 1)[1])))
        with house.db.session() as session:
            grants = [staff.grant(Role.ORGANISER, division_code="310106")]
            member = staff.add_staff(session, name="组织者", password="for a journey only", grants=grants)
        organiser = Principal("staff", member.id, member.id)
        site_in = SiteIn(name="新安食堂", kind="canteen", division_code=COMMUNITY, kinds=["clean_plate"])
        site = sites.create_site(house, organiser, site_in)
        code = codes.issue_code(house, organiser, site.id)
        for number in range(7):
            resident = people.join(
                house,
                phone=f"+861391234560{number}",
                division_code=COMMUNITY,
                consent_version=people.CONSENT_VERSION,
            )
            asked = scans.read_request(
                house, who=resident.id, key=f"key-{number}", code=codes.token_of(house.settings, code.id)
            )
            house.part(scans.Desk).record(asked)
        phone = new_page(PHONE, is_mobile=True, has_touch=True, java_script_enabled=False)
        token = new_session(house, kind="staff", subject_id=member.id)
        phone.context.add_cookies([{"name": COOKIES["staff"], "value": token, "url": served.base}])

        phone.goto(f"{served.base}/console/sites/{site.id}")
        phone.get_by_role("link", name="这张码有异常？").click()
        phone.get_by_role("button", name="这张码被发到了网上").click()
        phone.goto(f"{served.base}/console/signals")
        expect(phone.get_by_role("heading", name="码可能被发到了网上")).to_be_visible()
        picture(phone, "signals")
        phone.get_by_role("link", name="查看这张码和记录").click()
        expect(phone.get_by_text("共 7 条记录，其中 7 条还没有撤销。")).to_be_visible()
        picture(phone, "flagged-code")

        phone.get_by_role("button", name="立即停用").click()
        expect(phone.get_by_text("已停用，再扫也不会记录。")).to_be_visible()
        phone.get_by_role("button", name="撤销全部 7 条").click()
        expect(phone.get_by_role("heading", name="已撤销 7 / 7 条")).to_be_visible()
        picture(phone, "voided-together")

        phone.get_by_role("link", name="下一步：换一张新码").click()
        phone.get_by_role("button", name="换新码并打印海报").click()
        expect(phone.get_by_role("link", name="打印新海报")).to_be_visible()
        phone.goto(f"{served.base}/console/signals")
        expect(phone.get_by_text("目前没有需要看的提示。")).to_be_visible()
        house.db.dispose()
