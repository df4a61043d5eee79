"""A repair day: an organiser announces it, residents sign up until it is full, one waits and moves up, a helper checks in by
the member's code, another by the code on the tablet, and each takes a certificate home."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from activities import members
from tanpuhui import clock, people, staff
from tanpuhui.config import Settings
from tanpuhui.people import Resident
from tanpuhui.rooms import House, build_house
from tanpuhui.sessions import new_session
from tanpuhui.staff import Role
from tanpuhui.web.auth import COOKIES
from tests.journeys.conftest import DESK, PHONE, NewPage, Served, go, picture, serving
from tests.world import COMMUNITY

pytestmark = pytest.mark.browser


def furnish(house: House) -> tuple[list[Resident], dict[Role, str]]:
    """Three residents of the community; an organiser and a helper, each with a session."""
    residents = [
        people.join(
            house,
            phone=f"+8613912345{number}",
            division_code=COMMUNITY,
            consent_version=people.CONSENT_VERSION,
        )
        for number in range(670, 673)
    ]
    sessions = {}
    for role in (Role.ORGANISER, Role.HELPER):
        with house.db.session() as session:
            grants = [staff.grant(role, division_code=COMMUNITY)]
            member = staff.add_staff(session, name=role.value, password="for a journey only", grants=grants)
        sessions[role] = new_session(house, kind="staff", subject_id=member.id)
    return residents, sessions


def announce(desk: Page, served: Served, starts_at: datetime) -> str:
    """A repair day with two places, by the form; a refused form keeps what was typed."""
    desk.goto(f"{served.base}/console")
    go(desk, "现场活动")
    desk.get_by_role("link", name="新建现场活动").first.click()
    desk.fill("[name=title]", "旧衣修补日")
    desk.select_option("[name=kind]", "repair_day")
    desk.select_option("[name=scope]", f"d:{COMMUNITY}")
    desk.fill("[name=words]", "请带一两件要补的衣服，针线和缝纫机现场都有。")
    desk.fill("[name=place]", "居委会二楼活动室")
    desk.fill("[name=starts_at]", f"{starts_at:%Y-%m-%dT%H:%M}")
    desk.fill("[name=ends_at]", f"{starts_at - timedelta(hours=2):%Y-%m-%dT%H:%M}")
    desk.fill("[name=sign_up_until]", f"{starts_at:%Y-%m-%dT%H:%M}")
    desk.fill("[name=places]", "2")
    desk.get_by_role("button", name="发布").click()
    expect(desk.get_by_text("结束时间应晚于开始时间", exact=False)).to_be_visible()
    expect(desk.locator("[name=title]")).to_have_value("旧衣修补日")
    picture(desk, "organiser-gathering-form")
    desk.fill("[name=ends_at]", f"{starts_at + timedelta(hours=2):%Y-%m-%dT%H:%M}")
    desk.get_by_role("button", name="发布").click()
    expect(desk.get_by_role("heading", name="旧衣修补日")).to_be_visible()
    return desk.url


def test_from_the_announcement_to_the_certificate(tmp_path: Path, new_page: NewPage) -> None:
    with serving(tmp_path) as served:
        house = build_house(Settings(var=tmp_path / "var", port=int(served.base.rsplit(":", 1)[1])))
        residents, sessions = furnish(house)

        def enter(page: Page, kind: str, token: str) -> Page:
            page.context.add_cookies([{"name": COOKIES[kind], "value": token, "url": served.base}])  # type: ignore[index]
            return page

        starts_at = clock.local(clock.now()).replace(second=0, microsecond=0) + timedelta(minutes=40)
        desk = enter(new_page(DESK), "staff", sessions[Role.ORGANISER])
        address = announce(desk, served, starts_at)

        phones = [
            enter(
                new_page(PHONE, is_mobile=True, has_touch=True, java_script_enabled=False),
                "resident",
                new_session(house, kind="resident", subject_id=one.id),
            )
            for one in residents
        ]
        for phone, stands in zip(
            phones, ("已报名，名额给您留着", "已报名，名额给您留着", "正在候补"), strict=True
        ):
            phone.goto(served.base)
            phone.get_by_role("link", name="旧衣修补日", exact=False).first.click()
            phone.get_by_role("button", name="报名", exact=False).click()
            expect(phone.get_by_text(stands)).to_be_visible()
        expect(phones[2].get_by_text("您排在第一个。")).to_be_visible()
        picture(phones[0], "resident-gathering-placed")
        picture(phones[2], "resident-gathering-waiting")

        phones[1].get_by_role("button", name="取消报名").click()
        expect(phones[1].get_by_text("名额让给了下一位", exact=False)).to_be_visible()
        picture(phones[1], "resident-gathering-given-up")
        phones[2].goto(f"{served.base}/me/inbox")
        phones[2].get_by_text("候补成功", exact=False).click()
        expect(phones[2].get_by_text("轮到您了", exact=False)).to_be_visible()
        picture(phones[2], "resident-gathering-moved-up")

        helper = enter(new_page(PHONE), "staff", sessions[Role.HELPER])
        helper.goto(f"{served.base}/console/gatherings")
        helper.get_by_role("link", name="签到").click()
        token = members.token_of(house.settings, members.own_card(house, residents[0].id).number)
        for said in ("签到成功", "已经签过到了"):
            helper.fill("[name=member]", token)
            helper.get_by_role("button", name="签到").click()
            expect(helper.get_by_text(said, exact=False)).to_be_visible()
            expect(helper.get_by_text(f"…{token[-4:]}")).to_be_visible()
        picture(helper, "helper-gathering-check-in")

        tablet = enter(new_page(DESK), "staff", sessions[Role.HELPER])
        tablet.goto(f"{address}/screen")
        picture(tablet, "tablet-gathering-code")
        typed = tablet.locator("[data-typed]").inner_text()
        phones[2].goto(f"{served.base}/s/{typed.replace('-', '')}")
        picture(phones[2], "resident-gathering-here")
        phones[2].get_by_role("button", name="签到").click()
        expect(phones[2].get_by_text("签到成功", exact=False)).to_be_visible()
        picture(phones[2], "resident-gathering-came")

        number = phones[2].locator("main").get_by_text("G20", exact=False).first.inner_text()
        anyone = new_page(PHONE, java_script_enabled=False)
        anyone.goto(f"{served.base}/gatherings/certificate")
        anyone.fill("[name=number]", number.lower())
        anyone.get_by_role("button", name="核对").click()
        expect(anyone.get_by_text("这张参加证书有效")).to_be_visible()
        picture(anyone, "anyone-gathering-certificate")

        link = phones[2].get_by_role("link", name="参加证书 PDF").get_attribute("href")
        pdf = phones[2].request.get(f"{served.base}{link}")
        assert pdf.body().startswith(b"%PDF")
        assert f"tanpuhui-{number}.pdf" in pdf.headers["content-disposition"]

        desk.goto(address)
        desk.fill("[name=people]", "3")
        desk.get_by_role("button", name="保存").click()
        expect(desk.locator(".figure .value").nth(2)).to_contain_text("2")
        expect(desk.locator(".figure .value").nth(3)).to_contain_text("3")
        picture(desk, "organiser-gathering")
        house.db.dispose()
