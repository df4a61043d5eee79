"""The screen of a rotating code, and residents who open what it shows."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
import time_machine

from activities import codes, sites
from activities.codes import CodeKind
from activities.screen_pages import EARLY
from activities.sites import SiteStatus
from tanpuhui import clock, qr
from tanpuhui.people import Resident
from tanpuhui.sessions import end_session, list_open, new_session
from tanpuhui.staff import Organisation, Role
from tanpuhui.web.auth import COOKIES
from tests.browser import Browser, browser
from tests.world import COMMUNITY, OTHER_COMMUNITY, World

NOON = datetime(2027, 6, 7, 4, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def time() -> Iterator[time_machine.Traveller]:
    """Noon in Shanghai, at the beginning of a period of rotating codes."""
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


@pytest.fixture
def screen(world: World) -> codes.Code:
    """A rotating code at a canteen."""
    site = world.site("clean_plate", "own_cup", name="临汾社区食堂")
    return codes.issue_code(
        world.house, world.organiser, site.id, kind=CodeKind.ROTATING, action_kind="clean_plate"
    )


def token_now(world: World, screen: codes.Code) -> str:
    return codes.rotating_token(world.house.settings, screen.id, clock.now())


def recorded(world: World, resident: Resident) -> int:
    with world.house.db.reading() as connection:
        rows = connection.exec_driver_sql("SELECT resident_id FROM action").all()
        return sum(str(row[0]).replace("-", "") == resident.id.hex for row in rows)


# --- the screen --------------------------------------------------------------------------------------------


def test_an_organiser_issues_a_rotating_code_and_opens_its_screen(world: World) -> None:
    site = world.site("clean_plate", "own_cup", name="临汾社区食堂")
    me = browser(world, world.organiser)
    me.get(f"/console/sites/{site.id}")
    me.get(f"/console/sites/{site.id}/codes/new")
    page = me.send("/codes/rotating", action_kind="own_cup")
    found = re.search(r"/console/codes/\d+/screen", page)
    assert found
    page = me.get(found[0])
    for said in ("临汾社区食堂", "自带杯", "<svg", "每 30 秒", "15 分钟", "http-equiv"):
        assert said in page
    assert "光盘" not in page
    again = unescape(re.search(r'content="(\d+)">\s*</noscript>', page)[1])  # type: ignore[index]
    assert 1 <= int(again) <= 30


def test_a_kind_that_the_site_does_not_credit_is_refused_in_its_field(world: World) -> None:
    site = world.site("clean_plate")
    me = browser(world, world.organiser)
    me.get(f"/console/sites/{site.id}/codes/new")
    assert "请选择这个点位可以记录的行为" in me.send("/codes/rotating", action_kind="own_cup")
    assert me.status == 422


def test_each_code_stands_for_a_period_and_is_good_all_the_while(
    world: World, screen: codes.Code, time: Any
) -> None:
    """Followed for two minutes as the script does: what stands there is credited, from its first moment to its last."""
    me = browser(world, world.organiser)
    shown = []
    moment = NOON
    while moment < NOON + timedelta(minutes=2):
        time.move_to(moment)
        state = json.loads(me.get(f"/console/codes/{screen.id}/screen/now"))
        token = state["typed"].replace("-", "")
        assert state["svg"].count("<path") == 1
        assert 0 < state["next_in"] <= 30_000 < state["good_for"]
        shown.append(token)
        last = moment + timedelta(milliseconds=state["good_for"])
        for opened in (moment, last, last + EARLY - timedelta(milliseconds=1)):
            time.move_to(opened)
            world.scan(world.resident(), token)
        time.move_to(last + EARLY)
        assert browser(world).get(f"/s/{token}").count("屏幕上的码已经换了") >= 1
        moment += timedelta(milliseconds=state["next_in"])
    assert len(set(shown)) == len(shown) == 5


def test_others_do_not_see_the_screen(world: World, screen: codes.Code) -> None:
    with world.house.db.session() as session:
        school = Organisation(name="学校", division_code=COMMUNITY)
        session.add(school)
    for path in (f"/console/codes/{screen.id}/screen", f"/console/codes/{screen.id}/screen/now"):
        for role in (
            world.colleague(Role.ORGANISER, division=OTHER_COMMUNITY),
            world.colleague(Role.ORGANISER, organisation=school.id),
            world.colleague(Role.HELPER),
        ):
            me = browser(world, role)
            me.get(path)
            assert me.status == 403
        me = browser(world)
        me.get(path)
        assert me.path == "/staff/login"


def test_a_poster_has_no_screen_and_a_rotating_code_no_poster(world: World, screen: codes.Code) -> None:
    me = browser(world, world.organiser)
    poster = codes.issue_code(world.house, world.organiser, screen.site_id)
    for path in (f"codes/{poster.id}/screen", "codes/7/screen", f"codes/{screen.id}/poster.pdf"):
        me.get(f"/console/{path}")
        assert me.status == 404


def test_what_residents_could_not_use_is_not_shown(world: World, screen: codes.Code) -> None:
    me = browser(world, world.organiser)
    path = f"/console/codes/{screen.id}/screen"
    sites.set_status(world.house, world.organiser, screen.site_id, SiteStatus.CLOSED, "停业")
    assert "未开放" in me.get(path)
    sites.set_status(world.house, world.organiser, screen.site_id, SiteStatus.OPEN, "恢复")
    me.get(path)
    assert me.status == 200
    codes.revoke_code(world.house, world.organiser, screen.id, "活动结束")
    assert "已停用" in me.get(path)
    answer = me.client.get(f"{path}/now", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.get_json()["code"]) == (410, "code_revoked")


def test_after_the_session_has_ended_the_screen_leads_to_the_login_and_back(
    world: World, screen: codes.Code
) -> None:
    me = browser(world, world.organiser)
    path = f"/console/codes/{screen.id}/screen"
    me.get(path)
    for session in list_open(world.house, world.organiser):
        end_session(world.house, world.organiser, session.id)
    assert me.client.get(f"{path}/now", headers={"Accept": "application/json"}).status_code == 302
    me.get(path)
    assert me.path == "/staff/login"
    assert me.page.request.args["next"] == path


def test_its_code_is_of_version_5_at_most_with_the_longest_host(world: World, screen: codes.Code) -> None:
    address = f"https://carbon.jingan-district.example./s/{token_now(world, screen)}"
    assert (len(qr.matrix(address, level="M")) - 17) // 4 <= 5


def test_a_replaced_rotating_code_is_one_again(world: World, screen: codes.Code) -> None:
    me = browser(world, world.organiser)
    me.get(f"/console/sites/{screen.site_id}")
    page = me.send(f"/console/codes/{screen.id}/reissue", reason="平板丢了")
    assert "已经发出" in page
    fresh = int(me.page.request.args["fresh"])
    assert f"/console/codes/{fresh}/screen" in page
    assert f"/console/codes/{screen.id}/screen" not in page


def test_the_page_after_replacing_a_poster_offers_the_new_one_at_once(world: World) -> None:
    site = world.site("clean_plate")
    old = codes.issue_code(world.house, world.organiser, site.id)
    me = browser(world, world.organiser)
    me.get(f"/console/sites/{site.id}")
    page = me.send(f"/console/codes/{old.id}/reissue", reason="海报破损")
    fresh = me.page.request.args["fresh"]
    assert fresh != str(old.id)
    notice = page[page.index("notice good") :]
    assert f"/console/codes/{fresh}/poster.pdf" in notice[: notice.index("</div>")]
    assert me.client.get(f"/console/codes/{fresh}/poster.pdf").mimetype == "application/pdf"


# --- opened in time ----------------------------------------------------------------------------------------


def log_in(me: Browser, world: World, who: Resident) -> None:
    me.client.set_cookie(COOKIES["resident"], new_session(world.house, kind="resident", subject_id=who.id))


@pytest.mark.parametrize(("minutes", "good"), [(1, True), (14.9, True), (15.1, False)])
def test_who_opened_it_in_time_has_fifteen_minutes(
    world: World, screen: codes.Code, time: Any, minutes: float, good: bool
) -> None:
    me, resident = browser(world), world.resident()
    me.get(f"/s/{token_now(world, screen)}")
    address = me.address
    time.shift(timedelta(minutes=minutes))
    log_in(me, world, resident)
    page = me.get(address)
    if good:
        me.send("/s/")
        assert me.path.startswith("/me/actions/")
    else:
        assert "再扫一次屏幕上正在显示的码" in page
        assert "rotating_code_expired" in page
    assert recorded(world, resident) == good


def test_the_page_may_be_sent_without_being_opened_again(world: World, screen: codes.Code, time: Any) -> None:
    resident = world.resident()
    me = browser(world, resident)
    me.get(f"/s/{token_now(world, screen)}")
    time.shift(timedelta(minutes=10))
    me.send("/s/")
    assert recorded(world, resident) == 1


def test_an_address_handed_on_is_worthless_with_or_without_its_key(
    world: World, screen: codes.Code, time: Any
) -> None:
    here = browser(world, world.resident())
    token = token_now(world, screen)
    here.get(f"/s/{token}")
    time.shift(timedelta(minutes=2))
    friend = world.resident()
    there = browser(world, friend)
    for address in (here.address, f"/s/{token}", f"/s/{token}?key=abc"):
        assert "rotating_code_expired" in there.get(address)
        there.page = here.page  # even with the other one's form
        there.send("/s/", csrf_token=csrf_of(there), resident="")
        assert there.status == 410
    assert recorded(world, friend) == 0


def csrf_of(me: Browser) -> str:
    answer = me.client.get("/offline/state")
    return str(answer.get_json()["csrf"])


def test_an_opening_is_good_for_one_record(world: World, screen: codes.Code, time: Any) -> None:
    """Nobody's phone becomes a screen for the whole table."""
    token = token_now(world, screen)
    first, second = world.residents(2)
    me = browser(world, first)
    me.get(f"/s/{token}")
    time.shift(timedelta(minutes=2))
    me.send("/s/")
    assert recorded(world, first) == 1
    confirmed = me.path
    log_in(me, world, second)
    assert "rotating_code_expired" in me.get(f"/s/{token}")
    assert me.status == 410
    assert recorded(world, second) == 0
    log_in(me, world, first)
    me.get(confirmed)
    assert me.status == 200


def test_a_second_tap_leads_to_the_same_record(world: World, screen: codes.Code, time: Any) -> None:
    resident = world.resident()
    me = browser(world, resident)
    me.get(f"/s/{token_now(world, screen)}")
    page = me.page
    time.shift(timedelta(minutes=5))
    me.send("/s/")
    first = me.path
    me.page = page
    me.send("/s/")
    assert me.path == first
    assert recorded(world, resident) == 1


def test_the_clock_of_an_opening_cannot_be_wound_back(world: World, screen: codes.Code, time: Any) -> None:
    """Opening it again does not begin the quarter of an hour anew."""
    resident = world.resident()
    me = browser(world, resident)
    me.get(f"/s/{token_now(world, screen)}")
    address = me.address
    for _ in range(3):
        time.shift(timedelta(minutes=6))
        me.get(address)
    assert me.status == 410
    assert recorded(world, resident) == 0


def test_the_confirmation_says_that_it_cannot_wait_for_a_network(world: World, screen: codes.Code) -> None:
    me = browser(world, world.resident())
    assert 'name="live"' in me.get(f"/s/{token_now(world, screen)}")
    assert 'name="live"' not in me.get(f"/s/{world.code('clean_plate')}")
