"""The pages: a resident's whole way through them, and staff's, as a browser without JavaScript goes it."""

import re
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from sqlmodel import select

from activities import codes, members, review
from activities.actions import Action
from tanpuhui import classes, clock, login, people, staff
from tanpuhui.errors import NotAllowed
from tanpuhui.figures import DailyFigure
from tanpuhui.people import Resident
from tanpuhui.sessions import Doorkeeper, new_session
from tanpuhui.sms import SmsSender
from tanpuhui.staff import Role
from tanpuhui.web.auth import COOKIES
from tests.browser import Browser, browser
from tests.tables import contents, written
from tests.world import COMMUNITY, DISTRICT, OTHER_COMMUNITY, PASSWORD, STREET, World


class Phone(SmsSender):
    """Keeps the messages."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def send(self, _phone: str, text: str) -> None:
        self.messages.append(text)

    @property
    def code(self) -> str:
        """The code in the last message."""
        found = re.search(r"\d{6}", self.messages[-1])
        assert found
        return found[0]


@pytest.fixture
def phone(monkeypatch: pytest.MonkeyPatch) -> Phone:
    phone = Phone()
    monkeypatch.setattr(login, "sender_for", lambda *_args: phone)
    return phone


def actions(world: World, resident: Resident) -> int:
    """How many standing records a resident has."""
    with world.house.db.reading_session() as session:
        found = review.recent_actions(session, world.organiser)
        return sum(action.resident_id == resident.id and void is None for action, void, *_ in found)


# --- residents ---------------------------------------------------------------------------------------------


def test_a_new_resident_scans_joins_and_is_credited(world: World, phone: Phone) -> None:
    """From the printed address to the grams, with log-in and joining on the way; nothing twice."""
    code = world.code("clean_plate", name="临汾社区食堂")
    me = browser(world)
    assert "临汾社区食堂" in me.get(f"/s/{code}")
    me.send("/s/")
    assert me.path == "/login"
    me.send("/login", phone="138 1234 5678")
    assert me.path == "/login/code"
    assert "5678" in me.page.text
    me.send("/login/code", code="000000" if phone.code != "000000" else "111111")
    assert me.status == 401
    assert "验证码不正确" in me.page.text
    me.send("/login/code", code=phone.code)
    assert me.path == "/join"
    me.get(f"/join?street={STREET}")
    assert "请阅读并同意" in me.send("/join", division_code=COMMUNITY)
    me.send("/join", division_code=COMMUNITY, consent_version=people.CONSENT_VERSION, age="14")
    assert me.path == f"/s/{code}"
    before = me.address

    shown = me.send("/s/")
    assert me.path.startswith("/me/actions/")
    for text in ("144", "+10", "估算减排量", "暂无污染物因子", "今天还可以记录“光盘行动” 2 次", "光明日报"):
        assert text in shown
    assert "/factors/clean_plate@1" in unescape(shown)

    result = me.path
    me.get(before)  # the back button, or a reload of the page that was confirmed
    assert me.path == result
    statement = me.get("/me/statement")
    assert statement.count("光盘行动") == 1
    assert world.breaches() == []


def test_opening_a_code_records_nothing_and_a_repeated_post_credits_once(world: World) -> None:
    resident = world.resident()
    code = world.code("recycle_paper")
    me = browser(world, resident)
    for _ in range(3):
        me.get(f"/s/{code}")
    assert actions(world, resident) == 0
    page = me.page
    me.send("/s/", quantity="2.5")
    first = me.path
    me.page = page
    me.send("/s/", quantity="2.5")
    assert me.path == first
    me.page = page  # the same page with another quantity: still one record, the first
    me.send("/s/", quantity="9")
    assert me.path == first
    assert actions(world, resident) == 1


def test_a_site_of_several_kinds_asks_which(world: World) -> None:
    code = world.code("recycle_paper", "recycle_glass")
    me = browser(world, world.resident())
    page = me.get(f"/s/{code}")
    assert "废纸回收" in page
    assert "玻璃回收" in page
    assert 'method="post"' not in page
    choice = re.search(r'href="(/s/[^"]*kind=recycle_glass[^"]*)"', page)
    assert choice
    page = me.get(unescape(choice[1]))
    assert "0.1" in page
    assert "30" in page
    assert "772" in me.send("/s/", quantity="2.5")


def test_scanning_is_the_first_thing_on_the_first_page(world: World) -> None:
    """For everybody; the guide for whoever has no record yet, today's number for whoever has."""
    resident = world.resident()
    for who, there, not_there in (
        (None, "登录或加入", "今天"),
        (resident, "第一次来", "今天"),
    ):
        page = browser(world, who).get("/")
        main = page.partition("<main")[2].partition("</main>")[0]
        links = re.findall('href="([^"]+)"', main)
        assert links[0] == "/scan"
        assert there in main
        assert not_there not in main
    done = world.scan(resident, world.code("clean_plate"))
    main = browser(world, resident).get("/").partition("<main")[2]
    assert "第一次来" not in main
    assert re.search(r"今天.*?144", main, re.S)
    assert re.search('href="([^"]+)"', main)
    review.void_action(world.house, world.organiser, UUID(done["action"]["id"]), "重复扫码")
    assert "第一次来" not in browser(world, resident).get("/"), "who was here before is no newcomer"
    assert 'name="code"' in browser(world).get("/scan"), "the short code is typed beside the scanner"


def test_what_was_recorded_here_last_time_stands_first(world: World) -> None:
    site, elsewhere = (world.site("recycle_glass", "recycle_paper", "recycle_plastic_pet") for _ in "12")
    code, resident = world.code_at(site), world.resident()
    me = browser(world, resident)

    def kinds(address: str) -> list[str]:
        return re.findall(r"kind=(recycle_\w+)", me.get(address))

    assert kinds(f"/s/{code}") == ["recycle_glass", "recycle_paper", "recycle_plastic_pet"]
    assert "上次" not in me.page.text
    last = world.scan(resident, code, kind="recycle_plastic_pet", quantity="0.4")
    world.scan(resident, world.code_at(elsewhere), kind="recycle_paper", quantity="3")
    assert kinds(f"/s/{code}") == ["recycle_plastic_pet", "recycle_glass", "recycle_paper"]
    assert me.page.text.count("上次") == 1
    assert "上次" not in browser(world, world.resident()).get(f"/s/{code}")
    review.void_action(world.house, world.organiser, UUID(last["action"]["id"]), "重复扫码")
    assert kinds(f"/s/{code}") == ["recycle_glass", "recycle_paper", "recycle_plastic_pet"]


def test_a_quantity_is_filled_in_as_last_time_by_a_plain_link(world: World) -> None:
    code, resident = world.code("recycle_paper"), world.resident()
    me = browser(world, resident)
    assert "和上次一样" not in me.get(f"/s/{code}")
    with clock.pretending(clock.now() - timedelta(hours=30)):
        world.scan(resident, world.code("recycle_paper"), quantity="3.2")
    page = me.get(f"/s/{code}")
    assert "和上次一样：3.2\N{NO-BREAK SPACE}千克" in page
    link = re.search(r'href="([^"]*quantity=3.2[^"]*)"', page)
    assert link
    page = me.get(unescape(link[1]))
    assert 'value="3.2"' in page
    assert "和上次一样" not in page
    assert "11 千克" in me.send("/s/", quantity="3.2").replace("\N{NO-BREAK SPACE}", " ")
    assert me.path.startswith("/me/actions/")
    assert "和上次一样" not in browser(world, resident).get(f"/s/{world.code('clean_plate')}")


@pytest.mark.parametrize("quantity", ["😀", "-1", "1e99", "<script>"])
def test_a_quantity_in_the_address_is_text_until_it_is_checked(world: World, quantity: str) -> None:
    me = browser(world, world.resident())
    page = me.get(f"/s/{world.code('recycle_paper')}?kind=recycle_paper&key={'k' * 20}&quantity={quantity}")
    assert me.status == 200
    assert "<script>" not in page
    me.send("/s/", quantity=quantity)
    assert me.status == 422


@pytest.mark.parametrize(
    ("quantity", "said"),
    [("", "请填写数量"), ("abc", "有效的数字"), ("NaN", "有效的数字"), ("31", "0.1"), ("1.2345", "三位小数")],
)
def test_a_bad_quantity_is_said_in_the_field_and_kept(world: World, quantity: str, said: str) -> None:
    resident = world.resident()
    me = browser(world, resident)
    me.get(f"/s/{world.code('recycle_glass')}")
    page = me.send("/s/", quantity=quantity)
    assert me.status == 422
    assert said in page
    assert 'aria-invalid="true"' in page
    assert f'value="{quantity}"' in page
    assert actions(world, resident) == 0
    assert me.send("/s/", quantity="1")
    assert me.path.startswith("/me/actions/")


def test_a_typed_quantity_survives_logging_in(world: World) -> None:
    me = browser(world)
    me.get(f"/s/{world.code('recycle_glass')}")
    page = me.send("/s/", quantity="2.5")
    assert me.path == "/login"
    assert "扫码不会丢失" in page
    me.client.set_cookie(
        COOKIES["resident"], new_session(world.house, kind="resident", subject_id=world.resident().id)
    )
    assert 'value="2.5"' in me.get(unescape(me.page.request.args["next"]))


def test_a_refusal_says_why_and_what_to_do(world: World) -> None:
    code = world.code("clean_plate")
    resident = world.resident()
    me = browser(world, resident)
    me.get(f"/s/{code}")
    me.send("/s/")
    me.get(f"/s/{code}")
    page = me.send("/s/")
    assert me.status == 409
    assert "分钟后再试" in page
    assert "稍后再扫一次" in page
    assert "too_soon" in page
    assert actions(world, resident) == 1


@pytest.mark.parametrize("token", ["ABC", "A" * 24, "x" * 300, "<script>"])
def test_a_code_that_is_none_of_ours_is_a_friendly_page(world: World, token: str) -> None:
    page = browser(world).get(f"/s/{token}")
    assert "没有记录任何内容" in page
    assert "<script>" not in page


def test_a_revoked_code_is_refused_by_its_page(world: World) -> None:
    code = world.code("clean_plate")
    codes.revoke_code(
        world.house, world.organiser, codes.read_token(world.house.settings, code).number, "海报破损"
    )
    me = browser(world)
    assert "已停用" in me.get(f"/s/{code}")
    assert me.status == 410


def test_a_short_code_is_typed_with_dashes_and_small_letters(world: World) -> None:
    code = world.code("own_cup", name="一号咖啡馆")
    typed = "-".join(code[at : at + 4] for at in range(0, 24, 4)).lower()
    me = browser(world)
    assert "一号咖啡馆" in me.get(f"/s/?code={typed}")
    assert 'aria-invalid="true"' in me.get("/s/?code=nonsense")


def test_a_voided_record_is_seen_with_its_reason(world: World) -> None:
    resident = world.resident()
    done = world.scan(resident, world.code("clean_plate"))
    organiser = browser(world, world.organiser)
    organiser.get("/console")
    organiser.get(f"/console/actions/{done['action']['id']}/void")
    assert "请写明原因" in organiser.send(reason=" ")
    organiser.send(reason="重复扫码")
    assert organiser.path.startswith("/console/sites/")
    me = browser(world, resident)
    statement = me.get("/me/statement")
    assert "重复扫码" in statement
    assert "\N{MINUS SIGN}10" in statement
    assert "重复扫码" in me.get(f"/me/actions/{done['action']['id']}")
    assert ">0<" in re.sub(r"\s", "", me.get("/rewards"))


def test_nobody_sees_another_ones_record(world: World) -> None:
    done = world.scan(world.resident(), world.code("clean_plate"))
    other = browser(world, world.resident())
    other.get(f"/me/actions/{done['action']['id']}")
    assert other.status == 404


def test_ending_a_session_ends_it(world: World) -> None:
    resident = world.resident()
    here, there = browser(world, resident), browser(world, resident)
    assert here.get("/me").count("/me/sessions/end") == 2
    sessions = re.findall(r'name="session" value="([^"]+)"', here.page.text)
    here.send("/me/sessions/end", session=sessions[1])
    there.get("/me")
    here.get("/me")
    assert sorted([here.path, there.path]) == ["/login", "/me"]


def test_moving_counts_from_now_on_and_moves_nothing_of_before(world: World) -> None:
    resident = world.resident()
    first = world.scan(resident, world.code("clean_plate"))
    me = browser(world, resident)
    me.get("/me")
    assert 'href="/me/community"' in me.page.text
    page = me.get("/me/community")
    assert "以前的不变" in page
    street = OTHER_COMMUNITY[:9]
    page = me.get(f"/me/community?street={street}")
    assert f'value="{OTHER_COMMUNITY}"' in page
    me.send("/me/community", division_code=OTHER_COMMUNITY)
    assert me.path == "/me"
    world.scan(resident, world.code("own_cup"))
    review.void_action(world.house, world.organiser, UUID(first["action"]["id"]), "重复扫码")
    world.scan(resident, world.code("no_cutlery"))
    with world.house.db.reading_session() as session:
        assert {row.kind: row.division_code for row in session.exec(select(Action))} == {
            "clean_plate": COMMUNITY,
            "own_cup": OTHER_COMMUNITY,
            "no_cutlery": OTHER_COMMUNITY,
        }
    world.house.relay.drain()
    with world.house.db.reading_session() as session:
        figures = session.exec(select(DailyFigure)).all()
    counted = {(row.division_code, row.kind): row.actions for row in figures}
    assert counted[COMMUNITY, "clean_plate"] == 0, "what was taken back is taken back where it was counted"
    assert counted[OTHER_COMMUNITY, "own_cup"] == counted[OTHER_COMMUNITY, "no_cutlery"] == 1
    assert world.figure_differences() == []
    assert world.breaches() == []


@pytest.mark.parametrize("wrong", ["", STREET, DISTRICT, "999999999999", "😀", "x" * 3000])
def test_moving_to_no_community_is_said_in_the_field(world: World, wrong: str) -> None:
    resident = world.resident()
    me = browser(world, resident)
    me.get(f"/me/community?street={wrong}")
    assert me.status == 200
    me.get("/me/community")
    page = me.send("/me/community", division_code=wrong)
    assert me.status == 422
    assert "请选择您所在的居（村）委会" in page
    with world.house.db.reading_session() as session:
        assert session.get_one(Resident, resident.id).division_code == COMMUNITY


def test_a_class_stays_where_its_school_put_it(world: World) -> None:
    admin = world.colleague(Role.ADMIN)
    school = staff.create_organisation(world.house, admin, name="第一小学", division_code=STREET)
    link = classes.create(
        world.house, admin, organisation_id=school.id, label="三（2）班", division_code=COMMUNITY
    )
    class_id = classes.open_with(world.house, link)
    with world.house.db.reading_session() as session:
        me = browser(world, session.get_one(Resident, class_id))
    assert "/me/community" not in me.get("/me")
    me.get("/me/community")
    assert me.status == 403
    with pytest.raises(NotAllowed):
        people.move(world.house, class_id, OTHER_COMMUNITY)


def test_leaving_closes_the_account_and_the_number_may_join_again(world: World, phone: Phone) -> None:
    """Asked, warned and done: nothing of the person is kept, and the same number starts anew."""
    me, elsewhere = browser(world), browser(world)
    code = world.code("clean_plate")
    first = _join(me, phone)
    elsewhere.client.set_cookie(
        COOKIES["resident"], new_session(world.house, kind="resident", subject_id=first)
    )
    me.get(f"/s/{code}")
    me.send("/s/")
    me.get("/me")
    page = me.get("/me/leave")
    for said in ("手机号码和登录信息立即删除", "匿名的合计", "10 分碳积分作废", "不能恢复"):
        assert said in page
    assert "隐私中心" in elsewhere.get("/me")  # asking changes nothing
    assert (
        me.client.post("/me/leave", headers={"Accept": "text/html"}).status_code == 400
    )  # without its token

    assert "账户已注销" in me.send("/me/leave")
    assert me.path == "/left"
    assert me.client.get_cookie(COOKIES["resident"]) is None
    for one in (me, elsewhere):
        one.get("/me")
        assert one.path == "/login"
    held = contents(world.house)
    assert people.blind_index(world.house.settings, NUMBER) not in repr(held)
    assert held["login_code"] == {}
    assert world.breaches() == []
    assert world.figure_differences() == []

    assert _join(me, phone) != first
    assert "还没有记录" in me.get("/me/statement")
    assert me.get("/left")
    assert me.path == "/"


NUMBER = "+8613812345678"


def _join(me: Browser, phone: Phone) -> UUID:
    """Join with the number through the pages; the resident's id."""
    me.get("/login")
    me.send("/login", phone=NUMBER)
    me.send("/login/code", code=phone.code)
    me.get(f"/join?street={STREET}")
    me.send("/join", division_code=COMMUNITY, consent_version=people.CONSENT_VERSION, age="14")
    token = me.client.get_cookie(COOKIES["resident"])
    assert token
    found = Doorkeeper(me.client.application.extensions["tanpuhui"]).identify_browser(token.value)
    assert found
    return found.id


# --- language ----------------------------------------------------------------------------------------------

RESIDENT_PAGES = (
    "/",
    "/me",
    "/me/code",
    "/me/leave",
    "/me/impact",
    "/me/community",
    "/me/statement",
    "/rewards",
    "/factors",
    "/privacy",
    "/s/",
)
STAFF_PAGES = (
    "/console",
    "/console/sites/new",
    "/console/campaigns",
    "/console/campaigns/new",
    "/console/campaigns/new/blank",
    "/console/campaign-templates",
    "/console/campaign-templates/glass-drive",
    "/bureau/campaigns",
    "/console/staff",
    "/bureau",
    "/bureau/synergy",
    "/bureau/populations",
    "/bureau/effect",
    "/bureau/evidence",
    "/bureau/parked",
)


def test_english_pages_hold_no_chinese_of_ours(world: World) -> None:
    """Names of places stay as they are; every other word is English."""
    resident = world.resident()
    site = world.site("clean_plate", "recycle_glass", name="Canteen")
    done = world.scan(resident, world.code_at(site), kind="clean_plate")
    me = browser(world, resident, "en")
    boss = browser(world, world.colleague(Role.ADMIN, Role.OFFICER, Role.ORGANISER), "en")
    world.house.relay.drain()
    pages = {path: me.get(path) for path in (*RESIDENT_PAGES, f"/me/actions/{done['action']['id']}")}
    (card,) = members.print_cards(world.house, world.organiser, COMMUNITY, 1)
    desk = f"/console/desk/{site.id}"
    helping = (
        "/console/cards",
        f"/console/cards/{card.number}",
        "/console/cards/scan",
        desk,
        f"{desk}/records",
    )
    pages |= {path: boss.get(path) for path in (*STAFF_PAGES, f"/console/sites/{site.id}", *helping)}
    for path, page in pages.items():
        text = re.sub(r"<option.*?</option>|<optgroup[^>]*>", "", page, flags=re.S)
        for place in _places(world):
            text = text.replace(place, "")
        found = [word for word in re.findall("[\u4e00-\u9fff]+", text) if word not in _OTHERS]
        assert not found or path in {"/factors", f"/me/actions/{done['action']['id']}"}, (path, found)


#: The other language is named in itself; who wrote a template is a name.
_OTHERS = {"中文", "碳普惠项目"}


def _places(world: World) -> list[str]:
    with world.house.db.reading() as connection:
        from sqlalchemy import text

        names = [str(name) for name in connection.scalars(text("SELECT name FROM division"))]
        return sorted(names, key=len, reverse=True)


def test_the_language_is_remembered_and_goes_nowhere_else(world: World) -> None:
    me = browser(world)
    assert "减排因子" in me.get("/factors")
    assert "Emission factors" in me.get("/language/en?next=/factors")
    assert "Emission factors" in me.get("/factors")
    for bad in ("https://elsewhere.example/", "//elsewhere.example", "/\\elsewhere.example"):
        me.get(f"/language/zh?next={bad}")
        assert me.path == "/"


# --- staff -------------------------------------------------------------------------------------------------


def test_an_organiser_registers_a_site_and_prints_its_poster(world: World) -> None:
    me = browser(world, world.organiser)
    me.get("/console/sites/new")
    page = me.send(name="临汾社区食堂", kind="canteen", division_code=COMMUNITY)
    assert me.status == 422
    assert 'value="临汾社区食堂"' in page
    page = me.send(
        name="临汾社区食堂", kind="canteen", division_code=COMMUNITY, kinds=["clean_plate", "own_cup"]
    )
    assert me.path.startswith("/console/sites/")
    poster = re.search(r'href="(/console/codes/\d+/poster)\.pdf"', page)
    assert poster
    for form, start in (("pdf", b"%PDF"), ("png", b"\x89PNG")):
        answer = me.client.get(f"{poster[1]}.{form}")
        assert answer.data.startswith(start)

    old = re.search(r'href="/s/([A-Z2-7]{24})"', page)
    assert old
    page = me.send("/reissue", reason="海报破损")
    fresh = re.search(r'href="/s/([A-Z2-7]{24})"', page)
    assert fresh
    assert fresh[1] != old[1]
    anyone = browser(world)
    anyone.get(f"/s/{old[1]}")
    assert anyone.status == 410
    assert "光盘行动" in anyone.get(f"/s/{fresh[1]}")


def test_a_site_can_be_paused(world: World) -> None:
    site = world.site("clean_plate")
    code = world.code_at(site)
    me = browser(world, world.organiser)
    me.get(f"/console/sites/{site.id}")
    me.send("/status", reason="装修")
    assert "未开放" in browser(world).get(f"/s/{code}")


@pytest.mark.parametrize("reason", ["", " x ", "因" * 201])
def test_what_takes_something_from_people_wants_a_reason(world: World, reason: str) -> None:
    """Said in the form that was sent, and nowhere else; nothing is done."""
    site = world.site("clean_plate")
    code = codes.read_token(world.house.settings, world.code_at(site)).number
    campaign = world.campaign(site)
    me = browser(world, world.organiser)
    for page, form, field in (
        (f"/console/sites/{site.id}", "/status", "reason"),
        (f"/console/sites/{site.id}", "/reissue", f"reason-{code}"),
        (f"/console/campaigns/{campaign.id}", "/cancel", "reason"),
    ):
        me.get(page)
        before = contents(world.house)
        answer = me.send(form, reason=reason)
        assert me.status == 422
        assert answer.count("请写明原因") == 1
        assert f'id="{field}-error"' in answer
        assert written(before, contents(world.house)) == {}
        ids = re.findall(r'\sid="([^"]+)"', answer)
        assert len(ids) == len(set(ids))


def test_a_first_link_opens_an_account_once_and_an_admin_invites(world: World) -> None:
    with world.house.db.session() as session:
        assert not session.exec(_count_staff()).first()
    token = staff.first_invitation(world.house)
    me = browser(world)
    me.get(f"/staff/first/{token}")
    assert "至少 10 位" in me.send(name="王敏", password="short")
    me.send(name="王敏", password=PASSWORD)
    assert me.path == "/console"
    me.get(f"/staff/first/{token}")
    assert me.status == 404

    me.get("/console/staff")
    page = me.send("/console/staff", role="organiser", scope=f"division:{STREET}")
    link = re.search(r"<code>(http[^<]+/staff/first/[^<]+)</code>", page)
    assert link
    other = browser(world)
    other.get(urlsplit(link[1]).path)
    other.send(name="李华", password=PASSWORD)
    assert other.path == "/console"
    other.get("/bureau")
    assert other.status == 403
    assert "李华" in me.get("/console/staff")


def _count_staff() -> Any:
    from sqlmodel import select

    return select(staff.Staff.id)


def test_staff_log_in_and_out(world: World) -> None:
    with world.house.db.session() as session:
        grants = [staff.grant(Role.OFFICER, division_code=DISTRICT)]
        staff.add_staff(session, name="张伟", password=PASSWORD, grants=grants)
    me = browser(world)
    me.get("/bureau?period=2026-01")
    assert me.path == "/staff/login"
    assert "用户名或密码不正确" in me.send(name="张伟", password="wrong password")
    me.send(name="张伟", password=PASSWORD)
    assert me.path == "/bureau"
    me.send("/staff/logout")
    me.get("/bureau")
    assert me.path == "/staff/login"


@pytest.mark.parametrize("path", STAFF_PAGES)
def test_staff_pages_are_for_staff(world: World, path: str) -> None:
    anyone = browser(world, world.resident())
    anyone.get(path)
    assert anyone.path == "/staff/login"
    helper = browser(world, world.colleague(Role.HELPER))
    helper.get(path)
    assert helper.status == 403 or (path, helper.path) == ("/console", "/console/desk")  # their own place


def test_a_parked_event_is_delivered_again(world: World) -> None:
    from sqlmodel import Session

    from tanpuhui.outbox import EventFailure, parked

    world.scan(world.resident(), world.code("clean_plate"))
    now = clock.now()
    with world.house.db.transaction() as connection, Session(bind=connection) as session:
        session.add(
            EventFailure(
                subscriber="figures", position=1, attempts=9, next_attempt_at=now, parked_at=now, error="Boom"
            )
        )
        session.flush()
    officer = browser(world, world.officer)
    assert "Boom" in officer.get("/bureau/parked")
    assert "一切正常" in officer.send("/bureau/parked")
    with world.house.db.reading() as connection:
        assert parked(connection) == []


# --- every page --------------------------------------------------------------------------------------------


def test_no_page_has_inline_style_or_script(world: World) -> None:
    me = browser(world, world.resident())
    boss = browser(world, world.colleague(Role.ADMIN, Role.OFFICER, Role.ORGANISER))
    pages = [me.get(path) for path in RESIDENT_PAGES] + [boss.get(path) for path in STAFF_PAGES]
    ours = r'<script (?:defer|type="module") src="/static/[\w./-]+"></script>'
    for page in (re.sub(ours, "", page) for page in pages):
        assert not re.search(r"\sstyle=|<style|<script|\son\w+=", page)
        assert not re.search(r'(?:src|href)="(?:https?:)?//', page)


def test_a_form_without_its_token_is_refused(world: World) -> None:
    me = browser(world, world.resident())
    answer = me.client.post("/logout", headers={"Accept": "text/html"})
    assert answer.status_code == 400
    assert "页面放得太久" in answer.text
    me.get("/me")
    assert me.path == "/me"


def test_hostile_text_stays_text(world: World) -> None:
    site = world.site("clean_plate", name='<b onload="x">&amp;食堂')
    page = browser(world).get(f"/s/{world.code_at(site)}")
    assert "<b onload" not in page
    assert "&lt;b onload" in page


@pytest.mark.parametrize(
    "path",
    [
        "/me/statement?before=99999999999999999999999",
        "/me/statement?before=-1",
        "/me/statement?before=x",
        "/join?street=%00%00%00%00%00%00%00%00%00",
        "/privacy?version=../../etc/passwd",
        "/privacy?version=2020-01",
        "/s/?code=%00",
        "/s/AAAA?key=%FF%FE",
        "/language/fr",
        "/me/actions/1",
    ],
)
def test_strange_addresses_are_answered_kindly(world: World, path: str) -> None:
    me = browser(world, world.resident())
    page = me.get(path)
    assert me.status < 500
    assert "碳普惠" in page


@pytest.mark.parametrize(
    "path",
    [
        "/bureau?period=0001-01",
        "/bureau?on=0001-01-02",
        "/bureau?period=2026-13-01",
        "/console/codes/99999999999999999999999999/poster.pdf",
        "/console/codes/5/poster.exe",
        "/console/sites/00000000-0000-0000-0000-000000000000",
    ],
)
def test_strange_addresses_at_the_desk_too(world: World, path: str) -> None:
    boss = browser(world, world.colleague(Role.ADMIN, Role.OFFICER, Role.ORGANISER))
    page = boss.get(path)
    assert 400 <= boss.status < 500
    assert "碳普惠" in page


def test_nul_in_a_form_is_refused(world: World) -> None:
    me = browser(world)
    me.get("/staff/login")
    me.send(name="a\0b", password="x" * 12)
    assert me.status == 400


def test_an_old_proof_of_a_number_does_not_log_in(
    world: World, phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cookie of the joining page, kept and shown again later, opens nothing."""
    me = browser(world)
    me.get("/login")
    me.send("/login", phone="13812345678")
    me.send("/login/code", code=phone.code)
    assert me.path == "/join"
    later = clock.now() + timedelta(hours=1)
    monkeypatch.setattr(clock, "now", lambda: later)
    me.get("/join")
    assert me.path == "/login"
