"""A resident's own code on the phone, and cards printed for those who have none: pages, and who may see them."""

import csv
import io
import re
from datetime import timedelta

import pypdfium2
import pytest
import sqlalchemy as sa
import time_machine
import zxingcpp

from activities import cards, helping, members
from tanpuhui import clock, staff
from tanpuhui.people import Resident
from tanpuhui.sessions import Principal
from tanpuhui.staff import Role
from tests.browser import Browser, browser
from tests.world import COMMUNITY, DISTRICT, OTHER_COMMUNITY, World


def typed(page: str) -> str:
    """The short code that stands on a page."""
    found = re.search(r"<code[^>]*>([A-Z2-7]{4}(?:-[A-Z2-7]{4}){5})</code>", page)
    assert found
    return found[1]


def decoded(data: bytes) -> list[str]:
    """What the codes of a printed sheet say."""
    with pypdfium2.PdfDocument(data) as document:
        return [
            found.text
            for page in document
            for found in zxingcpp.read_barcodes(page.render(scale=200 / 72).to_pil())
        ]


def printed(world: World, count: int = 1) -> list[int]:
    made = members.print_cards(world.house, world.organiser, COMMUNITY, count)
    return [card.number for card in made]


def token(world: World, number: int) -> str:
    return members.token_of(world.house.settings, number)


def print_batch(me: Browser, count: str) -> str:
    """The answer to the form that prints cards."""
    form = {"csrf_token": csrf(me), "division_code": COMMUNITY, "count": count}
    return me.client.post("/console/cards", data=form, follow_redirects=True).get_data(as_text=True)


def csrf(me: Browser) -> str:
    """The token of the forms of a browser."""
    me.get("/staff/login")
    found = re.search(r'name="csrf_token" value="([^"]+)"', me.page.get_data(as_text=True))
    assert found
    return found[1]


@pytest.fixture
def helper(world: World) -> Principal:
    """A helper of the community."""
    return world.colleague(Role.HELPER, division=COMMUNITY)


@pytest.fixture
def stranger(world: World) -> Principal:
    """A helper and organiser of a school in the same community, and of no more."""
    admin = world.colleague(Role.ADMIN)
    school = staff.create_organisation(world.house, admin, name="海防村小学", division_code=COMMUNITY)
    return world.colleague(Role.HELPER, Role.ORGANISER, organisation=school.id)


# --- a resident's own ----------------------------------------------------------------------------------------


def test_the_code_is_linked_from_the_profile_and_stays_the_same(world: World) -> None:
    me = browser(world, world.resident())
    assert "/me/code" in me.get("/me")
    code = typed(me.get("/me/code"))
    assert typed(me.get("/me/code")) == code
    assert members.read_member(world.house.settings, code)


def test_one_tap_replaces_it_and_the_old_one_is_worthless(world: World) -> None:
    me = browser(world, world.resident())
    old = typed(me.get("/me/code"))
    form = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', me.page.get_data(as_text=True)))
    fresh = typed(me.send("/me/code/replace"))
    assert fresh != old
    assert "已经换成新码" in me.page.get_data(as_text=True)
    me.client.post("/me/code/replace", data=form)  # the second tap, which was on its way
    assert typed(me.get("/me/code")) == fresh
    number = members.read_member(world.house.settings, old)
    with world.house.db.reading_session() as session:
        card = session.get(members.MemberCard, number)
    assert card is not None
    assert card.revoked_at is not None


@pytest.mark.parametrize("number", ["", "x", "-1", "²", "9" * 30])
def test_what_is_no_number_replaces_nothing(world: World, number: str) -> None:
    me = browser(world, world.resident())
    code = typed(me.get("/me/code"))
    me.send("/me/code/replace", number=number)
    assert me.status == 404
    assert typed(me.get("/me/code")) == code


def test_it_is_printed_as_one_card_that_names_nobody(world: World) -> None:
    me = browser(world, world.resident())
    code = typed(me.get("/me/code"))
    answer = me.client.get("/me/code/card.pdf")
    assert answer.mimetype == "application/pdf"
    assert decoded(answer.data) == [f"{world.house.settings.public_url}/s/{code.replace('-', '')}"]


def test_nobody_sees_a_code_without_logging_in(world: World) -> None:
    someone = browser(world)
    for path in ("/me/code", "/me/code/card.pdf"):
        someone.get(path)
        assert someone.path == "/login"


# --- printing ------------------------------------------------------------------------------------------------


def test_an_organiser_prints_a_batch_and_prints_it_again(world: World) -> None:
    me = browser(world, world.organiser)
    page = print_batch(me, "12")
    found = re.search(r'href="(/console/cards/\d+/sheet)\.pdf"', page)
    assert found
    sheet = me.client.get(f"{found[1]}.pdf").data
    urls = decoded(sheet)
    assert len(set(urls)) == 12
    lines = list(csv.reader(io.StringIO(me.client.get(f"{found[1]}.csv").data.decode("utf-8-sig"))))
    assert {line[0].replace("-", "") for line in lines[1:]} == {url.rpartition("/")[2] for url in urls}
    for url in urls:
        number = members.read_member(world.house.settings, url)
        assert me.client.get(f"/console/cards/{number}/sheet.pdf").data == sheet
    printed(world, 2)
    assert me.client.get(f"{found[1]}.pdf").data == sheet  # another batch is another sheet


@pytest.mark.parametrize("count", ["", "0", "201", "-1", "1.5", "十", "99999"])
def test_a_number_of_cards_that_makes_no_sense_is_refused_in_its_field(world: World, count: str) -> None:
    me = browser(world, world.organiser)
    page = print_batch(me, count)
    assert 'class="error"' in page
    assert 'id="count-error"' in page
    with world.house.db.reading() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM member_card")).scalar() == 0


def test_helpers_hand_over_and_do_not_print(world: World, helper: Principal) -> None:
    (number,) = printed(world)
    me = browser(world, helper)
    assert 'name="count"' not in me.get("/console/cards")
    assert f"/console/cards/{number}/sheet.pdf" not in me.get(f"/console/cards/{number}")
    assert me.client.get(f"/console/cards/{number}/sheet.pdf").status_code == 403


# --- handing over --------------------------------------------------------------------------------------------


def test_a_card_is_handed_over_with_consent_only(world: World, helper: Principal) -> None:
    (number,) = printed(world)
    me = browser(world, helper)
    page = me.get(f"/console/cards/{number}")
    assert "个人信息说明" in page
    assert "请先念给本人听" in me.send("/hand-over")
    assert me.status == 422
    page = me.send("/hand-over", consented="yes")
    assert "卡已发出" in page
    with world.house.db.reading_session() as session:
        card = session.get_one(members.MemberCard, number)
        resident = session.get_one(Resident, card.resident_id)
    assert (resident.division_code, resident.phone_cipher) == (COMMUNITY, b"")


def test_a_second_tap_hands_nothing_over(world: World, helper: Principal) -> None:
    (number,) = printed(world)
    me, tab = browser(world, helper), browser(world, helper)
    me.get(f"/console/cards/{number}")
    tab.get(f"/console/cards/{number}")
    me.send("/hand-over", consented="yes")
    assert "已发出" in tab.send("/hand-over", consented="yes")
    with world.house.db.reading() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM resident")).scalar() == 1


def test_the_list_tells_the_last_site_and_day_and_nothing_more(world: World, helper: Principal) -> None:
    site = world.site("recycle_glass", name="三宝回收点")
    used, unused = printed(world, 2)
    for number in (used, unused):
        members.hand_over(world.house, helper, number, consented=True)
    helping.record_for(
        world.house,
        helper,
        site.id,
        key="1",
        member=token(world, used),
        kind="recycle_glass",
        quantity="1",
    )
    with world.house.db.reading_session() as session:
        by_number = {
            found.card.number: found for found in cards.listed(session, world.house.settings, helper)
        }
    assert (by_number[used].site, by_number[used].day) == ("三宝回收点", clock.today())
    assert (by_number[unused].site, by_number[unused].day) == (None, None)
    page = browser(world, helper).get("/console/cards")
    assert "三宝回收点" in page
    assert str(by_number[used].card.resident_id) not in page
    assert token(world, used) not in page.replace("-", "")


# --- looking up ----------------------------------------------------------------------------------------------


def find(me: Browser, code: str) -> str:
    me.get("/console/cards")
    return me.send("/console/cards/find", code=code)


def test_a_card_is_found_by_its_code_or_the_end_of_it(world: World, helper: Principal) -> None:
    number, other = printed(world, 2)
    code = token(world, number)
    me = browser(world, helper)
    for text in (code, f"https://elsewhere.example/s/{code}", "-".join(re.findall("....", code)).lower()):
        find(me, text)
        assert me.path == f"/console/cards/{number}", text
    for text in (code[-8:], f"{code[-8:-4]}-{code[-4:]}".lower(), code[-5:]):
        page = find(me, text)
        assert f'href="/console/cards/{number}"' in page, text
        assert f'href="/console/cards/{other}"' not in page
    for text in (code[-2:], "ZZZZZZZZZZ", "", "1"):
        assert f'href="/console/cards/{number}"' not in find(me, text) or not text


def test_a_card_of_before_a_change_of_keys_is_found_by_what_stands_on_it(
    world: World, helper: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    (number,) = printed(world)
    on_paper = token(world, number)
    monkeypatch.setitem(world.house.settings.__dict__, "code_key_numbers", (1, 0))
    assert token(world, number) != on_paper
    me = browser(world, helper)
    assert f'href="/console/cards/{number}"' in find(me, on_paper[-8:])
    find(me, on_paper)
    assert me.path == f"/console/cards/{number}"


def test_the_code_on_a_phone_is_no_printed_card(world: World, helper: Principal) -> None:
    own = members.own_card(world.house, world.resident().id)
    me = browser(world, helper)
    assert "没有这张印好的会员卡" in find(me, token(world, own.number))
    assert me.status == 404


# --- lost ----------------------------------------------------------------------------------------------------


def test_a_lost_card_is_replaced_in_one_step(world: World, helper: Principal) -> None:
    lost, blank, taken = printed(world, 3)
    holder = members.hand_over(world.house, helper, lost, consented=True)
    members.hand_over(world.house, helper, taken, consented=True)
    me = browser(world, helper)
    me.get(f"/console/cards/{lost}")
    for wrong, said in (
        ("ABC", "码不完整"),
        (token(world, taken), "已经发出"),
        (token(world, lost), "已经发出"),
    ):
        assert said in me.send("/replace", blank=wrong)
        assert 'id="blank-error"' in me.page.get_data(as_text=True)
    page = me.send("/replace", blank=token(world, blank))
    assert me.path == f"/console/cards/{blank}"
    assert "换好了" in page
    with world.house.db.reading() as connection:
        assert members.holder_of(connection, blank) == holder.id
    assert "已停用" in me.get(f"/console/cards/{lost}")


def test_a_card_is_ended_with_a_reason(world: World, helper: Principal) -> None:
    (number,) = printed(world)
    me = browser(world, helper)
    me.get(f"/console/cards/{number}")
    me.send("/revoke", reason="")
    assert me.status == 422
    assert "已停用" in me.send("/revoke", reason="印坏了")
    with world.house.db.reading() as connection:
        deeds = (
            connection.execute(
                sa.text("SELECT deed FROM audit_entry WHERE deed LIKE 'member_card.%' ORDER BY at, id")
            )
            .scalars()
            .all()
        )
    assert deeds == ["member_card.printed", "member_card.revoked"]


def test_what_was_scanned_before_a_card_ended_still_counts(world: World, helper: Principal) -> None:
    """A helper's phone without network sends it afterwards."""
    site = world.site("recycle_glass")
    lost, blank = printed(world, 2)
    members.hand_over(world.house, helper, lost, consented=True)
    scanned = clock.now()
    with time_machine.travel(scanned + timedelta(hours=1)):
        members.replace_printed(world.house, helper, lost, blank, "丢失")
        answer = helping.record_for(
            world.house,
            helper,
            site.id,
            key="1",
            member=token(world, lost),
            kind="recycle_glass",
            quantity="1",
            occurred_at=scanned,
        )
    assert '"kind": "recycle_glass"' in answer.body


# --- scope ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["of another community", "of a school", "merchant"])
def test_cards_are_refused_outside_ones_scope(world: World, stranger: Principal, who: str) -> None:
    (number, blank) = printed(world, 2)
    elsewhere = {
        "of another community": lambda: world.colleague(
            Role.HELPER, Role.ORGANISER, division=OTHER_COMMUNITY
        ),
        "of a school": lambda: stranger,
        "merchant": lambda: world.colleague(Role.MERCHANT, division=DISTRICT),
    }[who]()
    me = browser(world, elsewhere)
    page = me.get("/console/cards")
    assert f"/console/cards/{number}" not in page
    given = {"csrf_token": csrf(me)}
    for path, form in (
        ("hand-over", {"consented": "yes"}),
        ("replace", {"blank": token(world, blank)}),
        ("revoke", {"reason": "丢失"}),
    ):
        answer = me.client.post(f"/console/cards/{number}/{path}", data={**given, **form})
        assert answer.status_code == 403, path
    for path in (
        f"/console/cards/{number}",
        f"/console/cards/{number}/sheet.pdf",
        f"/console/cards/{number}/sheet.csv",
    ):
        assert me.client.get(path).status_code == 403
    answer = me.client.post("/console/cards", data={**given, "division_code": COMMUNITY, "count": "1"})
    assert answer.status_code == 403
    with world.house.db.reading_session() as session:
        card = session.get_one(members.MemberCard, number)
    assert (card.resident_id, card.revoked_at) == (None, None)


@pytest.mark.parametrize("path", ["hand-over", "replace", "revoke"])
def test_without_the_token_of_a_form_nothing_is_changed(world: World, helper: Principal, path: str) -> None:
    (number,) = printed(world)
    me = browser(world, helper)
    assert me.client.post(f"/console/cards/{number}/{path}", data={"consented": "yes"}).status_code == 400
    assert me.client.get("/console/cards/5").status_code == 404
