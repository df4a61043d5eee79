"""A family in a real browser: a guardian makes its account, records for it and not twice, shares it with a second one, and ends it."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from activities import codes, sites
from activities.sites import SiteIn
from tanpuhui import people, staff
from tanpuhui.config import Settings
from tanpuhui.people import Resident
from tanpuhui.rooms import House, build_house
from tanpuhui.sessions import Principal, new_session
from tanpuhui.staff import Role
from tanpuhui.web.auth import COOKIES
from tanpuhui.web.views import VIEW_COOKIE
from tests.journeys.conftest import DESK, PHONE, NewPage, Served, picture, serving
from tests.journeys.test_every_page import AXE, MEASURE
from tests.world import COMMUNITY

pytestmark = pytest.mark.browser


def furnish(house: House) -> tuple[list[Resident], str]:
    """Two guardians, and the code of a canteen."""
    with house.db.session() as session:
        grants = [staff.grant(Role.ORGANISER, division_code="310106")]
        member = staff.add_staff(session, name="组织者", password="for a journey only", grants=grants)
    organiser = Principal("staff", member.id, member.id)
    guardians = [
        people.join(
            house,
            phone=f"+861391234567{number}",
            division_code=COMMUNITY,
            consent_version=people.CONSENT_VERSION,
        )
        for number in range(2)
    ]
    site_in = SiteIn(
        name="临汾社区食堂", kind="canteen", division_code=COMMUNITY, kinds=["clean_plate", "own_cup"]
    )
    site = sites.create_site(house, organiser, site_in)
    return guardians, codes.token_of(house.settings, codes.issue_code(house, organiser, site.id).id)


def acting_for(page: Page, name: str) -> None:
    expect(page.locator(".accounts [aria-current]")).to_have_text(name)


def agree(page: Page) -> None:
    page.get_by_label("我年满 18 周岁，是孩子的监护人").check()
    page.get_by_label("我已阅读并同意").check()


def test_one_deed_for_me_or_for_my_family(tmp_path: Path, new_page: NewPage) -> None:
    with serving(tmp_path) as served:
        house = build_house(Settings(var=tmp_path / "var", port=int(served.base.rsplit(":", 1)[1])))
        guardians, code = furnish(house)

        def phone_of(who: Resident, size: dict[str, int] = PHONE) -> Page:
            page = new_page(size, is_mobile=size is PHONE, has_touch=size is PHONE, bypass_csp=True)
            token = new_session(house, kind="resident", subject_id=who.id)
            page.context.add_cookies([{"name": COOKIES["resident"], "value": token, "url": served.base}])
            return page

        mine, other = (phone_of(who) for who in guardians)
        made(mine, served)
        recorded_once(mine, served, code)
        shared(mine, other, served)
        looks(mine, served, code)
        desk = phone_of(guardians[1], DESK)
        desk.goto(f"{served.base}/me/family")
        picture(desk, "family-wide")
        ended(mine, other, served)
        house.db.dispose()


def made(mine: Page, served: Served) -> None:
    mine.goto(f"{served.base}/me")
    mine.get_by_role("link", name="家庭账户").click()
    expect(mine.get_by_role("heading", name="建一个家庭账户")).to_be_visible()
    picture(mine, "family-new")
    mine.fill("#label", "13812345678")
    agree(mine)
    mine.get_by_role("button", name="建好，开始用").click()
    expect(mine.get_by_text("请不要用电话号码作昵称。")).to_be_visible()
    expect(mine.locator("#label")).to_have_value("13812345678")
    mine.fill("#label", "我家")
    agree(mine)
    mine.get_by_role("button", name="建好，开始用").click()
    expect(mine.get_by_role("status")).to_contain_text("新的记录记在“我家”名下")
    acting_for(mine, "我家")
    picture(mine, "family-made")


def recorded_once(mine: Page, served: Served, code: str) -> None:
    scan = f"{served.base}/s/{code}?kind=clean_plate"
    mine.goto(scan)
    expect(mine.get_by_label("我家")).to_be_checked()
    picture(mine, "family-scan")
    mine.get_by_role("button", name="确认记录").click()
    expect(mine.get_by_text("记在“我家”名下")).to_be_visible()
    picture(mine, "family-result")
    mine.goto(scan)
    mine.get_by_label("我", exact=True).check()
    mine.get_by_role("button", name="确认记录").click()
    expect(mine.get_by_text("这次已经记在“我家”名下。")).to_be_visible()
    picture(mine, "family-refused")
    mine.goto(served.base)
    acting_for(mine, "我")  # the choice is remembered
    mine.locator(".accounts").get_by_role("button", name="我家").click()
    acting_for(mine, "我家")
    expect(mine).to_have_url(f"{served.base}/")
    picture(mine, "family-home")


def shared(mine: Page, other: Page, served: Served) -> None:
    mine.goto(f"{served.base}/me/family")
    mine.get_by_role("button", name="给我一个邀请码").click()
    code = mine.locator("#invitation ~ p code").first.inner_text()
    picture(mine, "family-invitation")
    other.goto(f"{served.base}/me/family")
    other.fill("[name=code]", code.lower())
    other.get_by_role("button", name="下一步").click()
    expect(other.get_by_role("heading", name="共用家庭账户")).to_be_visible()
    picture(other, "family-join")
    agree(other)
    other.get_by_role("button", name="同意，一起用").click()
    expect(other.get_by_text("您和另一位监护人一起用，两人一样。")).to_be_visible()
    acting_for(other, "我家")
    other.get_by_role("link", name="家庭会员码").click()
    expect(other.get_by_role("heading", name="家庭会员码")).to_be_visible()
    picture(other, "family-code")
    other.goto(f"{served.base}/me/leave")
    expect(other.get_by_text("这一项属于您本人，不属于家庭账户。")).to_be_visible()


def looks(mine: Page, served: Served, code: str) -> None:
    """The same pages in the dark, in the elder view and in English, for people to look at."""
    mine.emulate_media(color_scheme="dark")
    mine.goto(f"{served.base}/me/family")
    picture(mine, "family-dark")
    mine.emulate_media(color_scheme="light")
    mine.goto(f"{served.base}/me")
    picture(mine, "family-profile")
    mine.goto(f"{served.base}/me/privacy")
    expect(mine.get_by_text("家庭账户：昵称，从什么时候起共用").first).to_be_visible()
    mine.context.add_cookies([{"name": VIEW_COOKIE, "value": "elder", "url": served.base}])
    for path, name in ((f"/s/{code}?kind=own_cup", "family-elder-scan"), ("/me/family", "family-elder")):
        mine.goto(served.base + path)
        picture(mine, name)
    paths = "/", "/me", "/me/family", "/me/code", f"/s/{code}?kind=own_cup", f"/s/{code}"
    for view in ("standard", "elder", "elder-large"):
        mine.context.add_cookies([{"name": VIEW_COOKIE, "value": view, "url": served.base}])
        for path in paths:
            mine.goto(served.base + path)
            assert view == "standard" or mine.evaluate(MEASURE) == [], (path, view)
            room = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert mine.evaluate(room) == 0, (path, view)
            mine.evaluate(AXE)
            found = mine.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
            assert not found["violations"], (path, view, found["violations"])
    mine.context.add_cookies([{"name": VIEW_COOKIE, "value": "standard", "url": served.base}])
    mine.goto(f"{served.base}/language/en?next=/me/family")
    picture(mine, "family-en")
    mine.goto(f"{served.base}/language/zh?next=/me/family")


def ended(mine: Page, other: Page, served: Served) -> None:
    for page in (other, mine):
        page.goto(f"{served.base}/me/family")
        page.locator("summary", has_text="收回同意，结束共用").click()
        picture(page, "family-end")
        page.get_by_role("button", name="结束共用", exact=True).click()
        expect(page.get_by_role("status")).to_contain_text("已经结束共用")
        expect(page.locator(".accounts")).to_have_count(0)
