"""The helper's desk: pages that work without JavaScript, the operation of the API, and who may use them."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine

from activities import codes, members, sites
from activities.sites import Site, SiteStatus
from tanpuhui import staff
from tanpuhui.people import Resident
from tanpuhui.sessions import Principal, end_all
from tanpuhui.staff import Role
from tests.browser import Browser, browser
from tests.threads import at_once
from tests.world import COMMUNITY, DISTRICT, OTHER_COMMUNITY, World

NOON = datetime(2027, 6, 7, 4, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def time() -> Iterator[time_machine.Traveller]:
    """Noon in Shanghai."""
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


@pytest.fixture
def point(world: World) -> Site:
    """A recycling point of the community."""
    return world.site("recycle_glass", "recycle_paper", name="三宝回收点", kind="recycling_point")


@pytest.fixture
def helper(world: World) -> Principal:
    """A helper of the community."""
    return world.colleague(Role.HELPER, division=COMMUNITY)


def own(world: World, resident: Resident) -> str:
    return members.token_of(world.house.settings, members.own_card(world.house, resident.id).number)


def actions(world: World) -> list[Any]:
    with world.house.db.reading() as connection:
        found = connection.execute(
            sa.text(
                "SELECT kind, resident_id, recorded_by, day, evidence FROM action ORDER BY recorded_at, id"
            )
        )
        return list(found)


def record(me: Browser, point: Site, member: str, **more: str) -> str:
    """Fill in the form of a desk and send it; the page that answers."""
    me.get(f"/console/desk/{point.id}")
    fields = {"member": member, "kind": "recycle_glass", "quantity-recycle_glass": "2", **more}
    return me.send("/console/desk", **fields)


# --- pages ---------------------------------------------------------------------------------------------------


def test_a_helper_is_led_to_the_desk_and_an_organiser_to_the_sites(
    world: World, point: Site, helper: Principal
) -> None:
    me = browser(world, helper)
    for path in ("/console", "/desk", "/console/desk"):
        me.get(path)
        assert me.path == f"/console/desk/{point.id}"  # the only site there is
    boss = browser(world, world.organiser)
    boss.get("/console")
    assert boss.path == "/console"
    assert "/console/desk" in boss.page.get_data(as_text=True)


def test_the_site_is_chosen_once(world: World, point: Site, helper: Principal) -> None:
    other = world.site("clothing_reuse", name="三宝旧衣箱", kind="clothes_bin")
    world.site("clothing_reuse", name="别处", kind="clothes_bin", community=OTHER_COMMUNITY)
    me = browser(world, helper)
    page = me.get("/console/desk")
    assert me.path == "/console/desk"
    assert "三宝旧衣箱" in page
    assert "别处" not in page
    me.get(f"/console/desk/{other.id}")
    me.get("/console/desk")
    assert me.path == f"/console/desk/{other.id}"
    me.get("/console/desk?all=1")
    assert me.path == "/console/desk"


def test_a_record_shows_what_it_saved_and_earned_and_what_is_left(
    world: World, point: Site, helper: Principal
) -> None:
    resident = world.resident()
    me = browser(world, helper)
    page = record(me, point, own(world, resident))
    assert "618" in page  # grams
    assert "+12" in page
    assert "还可以记录“玻璃回收” 4 次" in page
    assert f"/console/desk/{point.id}" in page
    assert str(resident.id) not in page
    (action,) = actions(world)
    assert (action.kind, action.evidence) == ("recycle_glass", "staff_confirmed")
    assert "玻璃回收" in me.get(f"/console/desk/{point.id}/records")
    assert world.breaches() == []


def test_the_form_sent_twice_is_one_record(world: World, point: Site, helper: Principal) -> None:
    me = browser(world, helper)
    member = own(world, world.resident())
    me.get(f"/console/desk/{point.id}")
    fields = {"member": member, "kind": "recycle_glass", "quantity-recycle_glass": "2"}
    path, hidden = me._form("/console/desk")
    first, second = (me.client.post(path, data={**hidden, **fields}) for _ in range(2))
    assert first.status_code == second.status_code == 303
    assert first.location == second.location
    other = me.client.post(path, data={**hidden, **fields, "quantity-recycle_glass": "3"})
    assert other.location == f"{first.location}?before=1"
    assert "没有再记" in me.get(other.location)
    assert len(actions(world)) == 1


def test_two_taps_at_once_are_one_record(world: World, point: Site, helper: Principal) -> None:
    me = browser(world, helper)
    me.get(f"/console/desk/{point.id}")
    path, hidden = me._form("/console/desk")
    data = {
        **hidden,
        "member": own(world, world.resident()),
        "kind": "recycle_glass",
        "quantity-recycle_glass": "2",
    }
    cookies = {cookie.key: cookie.value for cookie in me.client._cookies.values()}

    def tap() -> int:
        client = world.client()
        for name, value in cookies.items():
            client.set_cookie(name, value)
        return client.post(path, data=data).status_code

    assert at_once([tap] * 6) == [303] * 6
    assert len(actions(world)) == 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"quantity-recycle_glass": ""}, "请填写数量"),
        ({"quantity-recycle_glass": "31"}, "0.1"),
        ({"quantity-recycle_glass": "many"}, "数量"),
        ({"kind": ""}, "请选择要记录的行为"),
        ({"kind": "clean_plate"}, "没有记录"),
        ({"member": "ABC"}, "码不完整"),
        ({"member": ""}, "码不完整"),
        ({"key": ""}, "Idempotency-Key"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_recorded(
    world: World, point: Site, helper: Principal, fields: dict[str, str], said: str
) -> None:
    me = browser(world, helper)
    page = record(me, point, **{"member": own(world, world.resident()), **fields})
    assert said in page
    assert 400 <= me.status < 500
    assert actions(world) == []


def test_a_blank_card_is_refused_with_the_way_to_hand_it_over(
    world: World, point: Site, helper: Principal
) -> None:
    (card,) = members.print_cards(world.house, world.organiser, COMMUNITY, 1)
    token = members.token_of(world.house.settings, card.number)
    me = browser(world, helper)
    page = record(me, point, token)
    assert "还没有发给任何人" in page
    assert f'href="/console/cards/{card.number}"' in page
    members.hand_over(world.house, helper, card.number, consented=True)
    assert "已记录" in record(me, point, token)


def test_the_limit_of_the_day_is_said_in_words(
    world: World, point: Site, helper: Principal, time: Any
) -> None:
    me = browser(world, helper)
    member = own(world, world.resident())
    for _ in range(5):
        assert "已记录" in record(me, point, member)
        time.shift(timedelta(hours=1))
    assert "没有记录" in record(me, point, member)
    assert me.status == 409
    assert len(actions(world)) == 5


def test_the_code_of_a_poster_is_no_members_code(world: World, point: Site, helper: Principal) -> None:
    assert "这不是会员码" in record(browser(world, helper), point, world.code_at(point))


def test_the_code_of_a_desk_is_shown_to_nobody(world: World, point: Site, helper: Principal) -> None:
    record(browser(world, helper), point, own(world, world.resident()))
    with world.house.db.reading_session() as session:
        (code,) = codes.codes_of(session, point.id)
    boss = browser(world, world.organiser)
    assert f"/console/codes/{code.id}/" not in boss.get(f"/console/sites/{point.id}")
    assert boss.client.get(f"/console/codes/{code.id}/poster.pdf").status_code == 404


def test_a_closed_site_takes_nothing(world: World, point: Site, helper: Principal) -> None:
    me = browser(world, helper)
    me.get(f"/console/desk/{point.id}")
    path, hidden = me._form("/console/desk")
    sites.set_status(world.house, world.organiser, point.id, SiteStatus.CLOSED, "检修")
    fields = {"member": own(world, world.resident()), "kind": "recycle_glass", "quantity-recycle_glass": "2"}
    answer = me.client.post(path, data={**hidden, **fields})
    assert "未开放" in answer.get_data(as_text=True)
    assert "没有可以登记的行为" in me.get(f"/console/desk/{point.id}")


# --- what a phone sends afterwards ---------------------------------------------------------------------------


def late(me: Browser, path: str, data: dict[str, str]) -> Any:
    return me.client.post(path, data=data, headers={"Accept": "application/json"})


def test_what_was_scanned_before_the_first_record_of_a_desk_lands_on_its_day(
    world: World, point: Site, helper: Principal, time: Any
) -> None:
    """The code of the desk is made by the first record, and that may be sent a day after it was scanned."""
    time.shift(timedelta(days=1))
    me = browser(world, helper)
    me.get(f"/console/desk/{point.id}")
    path, hidden = me._form("/console/desk")
    fields = {"member": own(world, world.resident()), "kind": "recycle_glass", "quantity-recycle_glass": "2"}
    answer = late(me, path, {**hidden, **fields, "occurred_at": "2027-06-07T04:30:00.000Z"})
    assert answer.status_code == 303
    (action,) = actions(world)
    assert str(action.day) == "2027-06-07"


def test_a_phone_hears_a_refusal_as_a_document(world: World, point: Site, helper: Principal) -> None:
    me = browser(world, helper)
    me.get(f"/console/desk/{point.id}")
    path, hidden = me._form("/console/desk")
    answer = late(me, path, {**hidden, "member": world.code_at(point), "kind": "recycle_glass"})
    assert answer.get_json()["code"] == "not_a_member_code"
    answer = late(me, path, {**hidden, "member": "x", "occurred_at": "yesterday"})
    assert answer.get_json()["code"] == "invalid_fields"


def test_a_phone_whose_session_ended_is_not_told_that_all_is_well(
    world: World, point: Site, helper: Principal
) -> None:
    me = browser(world, helper)
    me.get(f"/console/desk/{point.id}")
    path, hidden = me._form("/console/desk")
    end_all(world.house, "staff", helper.id)
    fields = {"member": own(world, world.resident()), "kind": "recycle_glass", "quantity-recycle_glass": "2"}
    assert late(me, path, {**hidden, **fields}).status_code == 401
    assert actions(world) == []


def test_what_another_helper_confirmed_is_not_recorded_as_ones_own(
    world: World, point: Site, helper: Principal
) -> None:
    other = browser(world, world.colleague(Role.HELPER, division=COMMUNITY))
    other.get(f"/console/desk/{point.id}")
    _, theirs = other._form("/console/desk")
    me = browser(world, helper)
    me.get(f"/console/desk/{point.id}")
    path, hidden = me._form("/console/desk")
    fields = {"member": own(world, world.resident()), "kind": "recycle_glass", "quantity-recycle_glass": "2"}
    answer = late(me, path, {**hidden, **fields, "staff": theirs["staff"]})
    assert answer.get_json()["code"] == "other_resident"
    assert actions(world) == []


def test_the_phone_is_told_whose_session_it_has(world: World, helper: Principal) -> None:
    assert browser(world).client.get("/offline/state").get_json()["staff"] == ""
    state = browser(world, helper).client.get("/offline/state").get_json()
    assert re.fullmatch("[0-9a-f]{20}", state["staff"])
    assert state["resident"] == ""


def test_the_desk_is_an_app_of_its_own(world: World) -> None:
    manifest = world.client().get("/manifest.webmanifest?lang=zh&app=desk").get_json(force=True)
    assert manifest["start_url"] == manifest["id"] == "/console/desk"
    assert world.client().get("/manifest.webmanifest?lang=zh").get_json(force=True)["start_url"] == "/"


# --- scope ---------------------------------------------------------------------------------------------------


def strangers(world: World) -> dict[str, Principal]:
    admin = world.colleague(Role.ADMIN)
    school = staff.create_organisation(world.house, admin, name="海防村小学", division_code=COMMUNITY)
    return {
        "another community": world.colleague(Role.HELPER, division=OTHER_COMMUNITY),
        "another organisation": world.colleague(Role.HELPER, Role.ORGANISER, organisation=school.id),
        "another role": world.colleague(Role.MERCHANT, Role.AUDITOR, division=DISTRICT),
    }


@pytest.mark.parametrize("who", ["another community", "another organisation", "another role"])
def test_desks_are_refused_outside_ones_scope(world: World, point: Site, helper: Principal, who: str) -> None:
    stranger = strangers(world)[who]
    member = own(world, world.resident())
    mine = browser(world, helper)
    record(mine, point, member)
    done = mine.path
    me = browser(world, stranger)
    assert str(point.id) not in me.get("/console/desk")
    for path in (f"/console/desk/{point.id}", f"/console/desk/{point.id}/records", done):
        assert me.client.get(path).status_code == 403, path
    me.get("/staff/login")
    _, hidden = me._form(None) if me.path == "/staff/login" else ("", {})
    fields = {"member": member, "kind": "recycle_glass", "quantity-recycle_glass": "2", "key": "theirs"}
    answer = me.client.post(f"/console/desk/{point.id}", data={**hidden, **fields})
    assert answer.status_code == 403
    answer = post(
        world, world.token(stranger), point, {"member": member, "kind": "recycle_glass", "quantity": 1}
    )
    assert answer.status_code == 403
    assert len(actions(world)) == 1


def test_a_helper_of_an_organisation_records_at_its_sites(world: World) -> None:
    admin = world.colleague(Role.ADMIN)
    school = staff.create_organisation(world.house, admin, name="海防村小学", division_code=COMMUNITY)
    at_school = world.site("recycle_glass", name="小学回收角", kind="other", organisation_id=school.id)
    me = browser(world, world.colleague(Role.HELPER, organisation=school.id))
    assert "已记录" in record(me, at_school, own(world, world.resident()))


# --- the API -------------------------------------------------------------------------------------------------


def post(world: World, token: str | None, point: Site, body: Any, key: str | None = "key") -> Any:
    keyed = {"Idempotency-Key": key} if key else {}
    return world.call("POST", f"/sites/{point.id}/records", token, json=body, headers=keyed)


def test_the_api_records_once_for_a_key(world: World, point: Site, helper: Principal) -> None:
    token = world.token(helper)
    body = {"member": own(world, world.resident()), "kind": "recycle_glass", "quantity": "2"}
    first, again = post(world, token, point, body), post(world, token, point, body)
    assert first.status_code == again.status_code == 201
    assert first.data == again.data
    assert again.headers["Idempotent-Replayed"] == "true"
    answer = first.get_json()
    assert answer["action"]["evidence"] == "staff_confirmed"
    assert answer["left_today"] == 4
    other = post(world, token, point, {**body, "quantity": 3})
    assert other.get_json()["code"] == "idempotency_key_reused"
    (action,) = actions(world)
    assert str(action.recorded_by).replace("-", "") == helper.id.hex


def test_the_api_refuses_residents_and_calls_without_a_key(
    world: World, point: Site, helper: Principal
) -> None:
    resident = world.resident()
    body = {"member": own(world, resident), "kind": "recycle_glass", "quantity": 2}
    assert post(world, world.token(resident), point, body).status_code == 403
    assert post(world, None, point, body).status_code == 401
    assert post(world, world.token(helper), point, body, key=None).status_code == 400
    assert post(world, world.token(helper), point, {**body, "more": 1}).status_code == 422
    assert actions(world) == []


def test_the_api_takes_the_time_it_happened(world: World, point: Site, helper: Principal, time: Any) -> None:
    time.shift(timedelta(days=2))
    body = {"member": own(world, world.resident()), "kind": "recycle_glass", "quantity": 2}
    answer = post(world, world.token(helper), point, {**body, "occurred_at": "2027-06-07T12:10:00+08:00"})
    assert answer.get_json()["action"]["occurred_at"] == "2027-06-07T04:10:00Z"
    time.shift(timedelta(days=5))
    answer = post(
        world, world.token(helper), point, {**body, "occurred_at": "2027-06-07T12:10:00+08:00"}, key="2"
    )
    assert answer.get_json()["next_step"]
