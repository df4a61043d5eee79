"""The pages of a family account: making it, changing over in one tap, recording for one or the other, inviting, ending."""

import io
import re
import zipfile
from uuid import UUID

import sqlalchemy as sa

from tanpuhui import ids, people
from tanpuhui.people import PRESENT, Document, Resident
from tanpuhui.sessions import end_all
from tests.browser import Browser, browser
from tests.service.test_families import make, share
from tests.world import World

VERSION = PRESENT[Document.FAMILY]


def change_over(me: Browser, account: str) -> str:
    """One tap on the bar that stands on every page."""
    return me.send("/me/family/account", account=account)


def records(world: World) -> list[UUID]:
    with world.house.db.reading() as connection:
        query = sa.text("SELECT resident_id FROM action ORDER BY recorded_at, id").columns(
            resident_id=sa.Uuid()
        )
        return list(connection.execute(query).scalars())


def shown(page: str) -> str | None:
    """For whom the page says that it records; None where there is no choice."""
    found = re.search(r'<button name="account" value="(\w+)" aria-current', page)
    return found[1] if found else None


def test_from_the_profile_to_a_family_and_back(world: World) -> None:
    me = browser(world, world.resident())
    assert "/me/family" in me.get("/me")
    assert shown(me.page.text) is None
    me.get("/me/family")
    page = me.send("/me/family", label="三楼的猫" * 5, version=VERSION)
    assert me.status == 422
    assert "三楼的猫" * 5 in page  # what was typed is kept
    assert "昵称最多 12 个字" in page
    page = me.send("/me/family", label="三楼的猫", version=VERSION)
    assert "请先确认" in page
    page = me.send("/me/family", label="三楼的猫", adult="yes", version=VERSION)
    assert (me.path, me.status) == ("/me/family", 200)
    assert "新的记录记在“三楼的猫”名下" in page
    assert shown(me.get("/")) == "family"
    page = change_over(me, "me")
    assert (me.path, shown(page)) == ("/", "me")
    me.get("/me/family")
    me.send("/me/family/name", label="")
    assert me.status == 422
    me.send("/me/family/name", label="四楼的猫")
    assert "四楼的猫" in me.get("/me")


def test_a_scan_says_for_whom_and_remembers(world: World) -> None:
    guardian = world.resident()
    family = make(world, guardian)
    me = browser(world, guardian)
    code = world.code("clean_plate", "own_cup", "bike_trip")
    page = me.get(f"/s/{code}?kind=clean_plate")
    assert re.search(r'name="account" value="me" checked', page)
    assert shown(page) is None  # the choice stands in the form itself
    me.send("/s/", account="family")
    assert me.path.startswith("/me/actions/")
    assert "记在“我家”名下" in me.page.text
    page = me.get(f"/s/{code}?kind=own_cup")
    assert re.search(r'name="account" value="family" checked', page)
    me.send("/s/")  # without the field, as it was chosen before
    me.get(f"/s/{code}?kind=bike_trip")
    me.send("/s/", account="me", quantity="x")
    assert re.search(r'name="account" value="me" checked', me.page.text)  # kept with what has to be mended
    me.send("/s/", account="me", quantity="1")
    assert records(world) == [family.id, family.id, guardian.id]
    assert shown(me.get("/")) == "me"
    me.get(f"/s/{code}?kind=clean_plate")
    page = me.send("/s/", account="me")
    assert me.status == 409
    assert "这次已经记在“我家”名下" in page


def test_what_a_phone_sends_later_goes_where_it_was_meant(world: World) -> None:
    guardian = world.resident()
    family = make(world, guardian)
    me = browser(world, guardian)
    code = world.code("clean_plate")
    state = me.client.get("/offline/state").json
    form = {
        "key": ids.new_id().hex,
        "kind": "clean_plate",
        "account": "family",
        "resident": state["resident"],
        "csrf_token": state["csrf"],
    }
    answer = me.client.post(f"/s/{code}", data=form, headers={"Accept": "application/json"})
    assert answer.status_code == 303
    assert records(world) == [family.id]
    assert me.client.get(answer.headers["Location"]).status_code == 200  # the record opens all the same
    assert shown(me.get("/")) == "me"  # and nothing has changed for what the phone shows now
    change_over(me, "family")
    assert me.client.get("/offline/state").json["resident"] == state["resident"]


def test_each_account_sees_its_own(world: World) -> None:
    guardian = world.resident()
    family = make(world, guardian)
    me = browser(world, guardian)
    code = world.code("clean_plate")
    me.get(f"/s/{code}")
    me.send("/s/", account="family")
    done = me.path
    assert "+10" in me.get("/me/statement")
    change_over(me, "me")
    assert "+10" not in me.get("/me/statement")
    for path in (done, f"{done}/card"):
        assert me.client.get(path).status_code == 200, path
    assert "记在“我家”名下" in me.get(done)
    stranger = browser(world, world.resident())
    stranger.get(done)
    assert stranger.status == 404
    me.get("/")
    change_over(me, "family")
    copy = me.client.get("/me/privacy")
    token = re.search(r'name="csrf_token" value="([^"]+)"', copy.text)
    assert token
    sent = me.client.post("/me/privacy/download", data={"csrf_token": token[1]})
    with zipfile.ZipFile(io.BytesIO(sent.data)) as archive:
        assert "我家" in archive.read("family.json").decode()
        assert str(family.id) not in archive.read("account.json").decode()
        assert '"account_kind": "family"' in archive.read("account.json").decode()


def test_what_belongs_to_a_person_is_not_the_familys(world: World) -> None:
    guardian = world.resident()
    make(world, guardian)
    me = browser(world, guardian)
    me.get("/")
    change_over(me, "family")
    for path in ("/me/leave", "/me/nickname"):
        assert "这一项属于您本人" in me.get(path)
        assert me.status == 403
    page = me.get("/me")
    assert "/me/leave" not in page
    assert page.count("本机") == 1  # one's own devices stay in sight
    me.send("/logout")
    assert me.get("/me").count("手机号码") > 0
    assert me.path == "/login"


def test_a_second_guardian_and_the_end(world: World) -> None:
    first, second = world.residents(2)
    family = make(world, first)
    me, you = browser(world, first), browser(world, second)
    me.get("/me/family")
    page = me.send("/me/family/invitation")
    code = re.search(r"<code>(\w{4}-\w{4}-\w{4})</code>", page)
    link = re.search(r"(/me/family/join\?code=\w+)</code>", page)
    assert code
    assert link
    assert code[1] not in me.get("/me/family")  # shown once
    you.get("/me/family/join?code=AAAA-BBBB-CCCC")
    assert you.status == 404
    assert "不对，或者已用过" in you.page.text
    visitor = browser(world)
    visitor.get(link[1])
    assert visitor.path == "/login"
    assert "我家" in you.get(link[1])
    you.send("/me/family/join", version=VERSION)
    assert you.status == 422
    you.send("/me/family/join", adult="yes", version=VERSION)
    assert (you.path, shown(you.page.text)) == ("/me/family", "family")
    assert "您和另一位监护人一起用" in you.page.text
    assert "邀请另一位监护人" not in you.page.text

    you.get("/me/family")
    you.send("/me/family/end")
    assert "已经结束共用" in you.page.text
    assert shown(you.get("/")) is None
    change_privacy = me.get("/me/privacy")
    assert "收回对家庭账户说明的同意" in change_privacy
    token = re.search(r'name="csrf_token" value="([^"]+)"', change_privacy)
    assert token
    form = {"csrf_token": token[1], "document": "family", "wanted": "off"}
    assert me.client.post("/me/privacy/consents", data=form).status_code == 303
    assert shown(me.get("/")) is None
    with world.house.db.reading_session() as session:
        assert session.get_one(Resident, family.id).status == "closed"
    assert world.breaches() == []


def test_an_end_holds_at_once_in_every_browser(world: World) -> None:
    first, second = world.residents(2)
    family = make(world, first)
    share(world, first, second)
    here, there = browser(world, first), browser(world, first)
    for one in (here, there):
        one.get("/")
        change_over(one, "family")
    code = world.code("own_cup")
    page = there.get(f"/s/{code}")
    assert 'value="family" checked' in page
    here.get("/me/family")
    here.send("/me/family/end")
    there.send("/s/", account="family")
    assert "您还没有家庭账户" in there.page.text
    assert records(world) == []  # neither for whom it was not meant
    end_all(world.house, "resident", second.id)
    people.leave(world.house, second.id)
    with world.house.db.reading_session() as session:
        assert session.get_one(Resident, family.id).status == "closed"
    assert world.breaches() == []


def test_another_site_cannot_change_it_over(world: World) -> None:
    guardian = world.resident()
    make(world, guardian)
    me = browser(world, guardian)
    assert me.client.post("/me/family/account", data={"account": "family"}).status_code in {400, 403}
    assert shown(me.get("/")) == "me"
    change_over(me, "family")
    me.get("/")
    me.send("/me/family/account", account="me", next="https://elsewhere.example/")
    assert me.path == "/"
