"""Declarations as officers meet them: shown before they are made, one next step at a time; as JSON; as a list."""

import csv
import io
import re
from datetime import timedelta
from html import unescape
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

from activities import declared
from activities.declaring import report, use, withdraw
from activities.review import void_action
from tanpuhui import clock
from tanpuhui.csvtext import stream_sheet, write_sheet
from tanpuhui.people import Resident
from tanpuhui.sessions import Principal
from tanpuhui.staff import Role
from tests.browser import Browser, browser
from tests.past import DAY, DAYS, FOOD, ITEMS, confirmed, recorded, reported
from tests.tables import contents, written
from tests.world import STREET, World

LIST, NEW = "/bureau/declarations", "/bureau/declarations/new"
ASKED = f"?methodology={FOOD}&from={DAYS[0]}&to={DAYS[1]}"


def words(page: str) -> str:
    """The text of a page as it is read."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).replace("\xa0", " ").split())


def said_at(page: str, field: str) -> str:
    """What is wrong with a field, said at the field."""
    found = re.search(rf'id="{field}-error".*?<span>(.*?)</span>', page, re.S)
    assert found, f"nothing is said at {field}"
    assert f'aria-describedby="{field}-error' in page
    return unescape(found[1])


# --- the way of a declaration -------------------------------------------------------------------------------


def test_an_officer_takes_a_declaration_from_the_preview_to_its_use(world: World) -> None:
    recorded(world, 3)
    officer = browser(world, world.officer)
    assert "还没有申报" in officer.get(LIST)
    assert f'href="{NEW}"' in officer.get(LIST)
    assert "会上报什么？" not in officer.get(NEW)
    before = contents(world.house)
    preview = words(officer.get(NEW + ASKED))
    assert "记录次数 3" in preview
    assert "估算减排量 0.43 千克" in preview
    assert "未向市级备案" in preview
    before = contents(world.house)
    assert written(before, contents(world.house)) == {}
    page = words(officer.send(NEW))
    assert re.fullmatch(r"/bureau/declarations/[0-9a-f-]{36}", officer.path)
    assert "餐饮节约" in page
    assert "上报市级" in page
    with world.house.db.reading() as connection:
        name = connection.scalar(sa.text("SELECT name FROM staff ORDER BY created_at DESC LIMIT 1"))
    assert f"· {name}" in page
    assert "用途" not in page
    page = words(officer.send("/confirm", city_reference="沪环〔2026〕1号", confirmed_kg="0.4"))
    assert "市级确认了多少？ 0.40 千克 上报 0.43 千克" in page
    assert "沪环〔2026〕1号" in page
    assert "撤回申报" not in page
    page = words(officer.send("/use", used_for="低碳日会议"))
    assert "低碳日会议" in page
    assert "登记用途" in page
    assert "下一步" not in page
    page = words(officer.get(LIST))
    assert "已使用 0.40 千克 上报 0.43 千克 · 3 条记录 不能再用" in page
    assert "估算减排量 0 千克 0 条记录" in page
    assert world.breaches() == []


def test_a_report_is_withdrawn_with_a_reason(world: World) -> None:
    made = reported(world)
    officer = browser(world, world.officer)
    officer.get(f"{LIST}/{made.id}")
    page = officer.send("/withdraw", reason="短")
    assert officer.status == 422
    assert "请写明原因" in said_at(page, "reason")
    page = words(officer.send("/withdraw", reason="时间填错了"))
    assert (officer.status, officer.path) == (200, f"{LIST}/{made.id}")
    assert "原因：时间填错了" in page
    assert "下一步" not in page
    assert "估算减排量 0.14 千克 1 条记录" in words(officer.get(LIST))


@pytest.mark.parametrize(
    ("asked", "field", "reason"),
    [
        ({"methodology": ""}, "methodology", "请选择方法学。"),
        ({"methodology": "=cmd"}, "methodology", "请选择方法学。"),
        ({"from": ""}, "from", "请填写日期"),
        ({"from": "昨天"}, "from", "请填写日期"),
        ({"to": "0001-01-01"}, "to", "请填写日期"),
        ({"to": str(DAYS[0] - timedelta(days=1))}, "to", "结束日期应不早于开始日期。"),
        ({"to": str(clock.today())}, "to", "今天还没有结束。"),
    ],
)
@pytest.mark.parametrize("engine", ["sqlite"])
def test_what_is_wrong_with_a_question_is_said_at_its_field(
    world: World, asked: dict[str, str], field: str, reason: str
) -> None:
    recorded(world)
    officer = browser(world, world.officer)
    good = {"methodology": FOOD, "from": str(DAYS[0]), "to": str(DAYS[1])}
    page = officer.get(f"{NEW}?" + "&".join(f"{name}={value}" for name, value in {**good, **asked}.items()))
    assert officer.status == 422
    assert reason in said_at(page, field)
    officer.get(NEW + ASKED)
    page = officer.send(NEW, **asked)  # the same, past the browser's own form
    assert officer.status == 422
    assert reason in said_at(page, field)
    assert 'method="post" action="/bureau/declarations/new"' not in page
    assert "还没有申报" in officer.get(LIST)


@pytest.mark.parametrize("engine", ["sqlite"])
def test_what_is_wrong_with_a_confirmation_is_said_at_its_field(world: World) -> None:
    confirmed(world, "沪环〔2026〕1号")
    made = reported(world)
    officer = browser(world, world.officer)
    good = {"city_reference": "沪环〔2026〕2号", "confirmed_kg": "0.144"}
    for wrong, field, reason in (
        ({"city_reference": " "}, "city_reference", "请填写市级文号"),
        ({"city_reference": "沪环〔2026〕1号"}, "city_reference", "已用于另一份申报"),
        ({"confirmed_kg": ""}, "confirmed_kg", "请填写千克数"),
        ({"confirmed_kg": "很多"}, "confirmed_kg", "请填写千克数"),
        ({"confirmed_kg": "-0.1"}, "confirmed_kg", "请填写千克数"),
        ({"confirmed_kg": "0.1440001"}, "confirmed_kg", "请填写千克数"),
        ({"confirmed_kg": "1e-3"}, "confirmed_kg", "请填写千克数"),
        ({"confirmed_kg": "NaN"}, "confirmed_kg", "请填写千克数"),
        ({"confirmed_kg": "0.144001"}, "confirmed_kg", "不能多于上报的量"),
        ({"confirmed_kg": "999,999,999,999"}, "confirmed_kg", "不能多于上报的量"),
    ):
        officer.get(f"{LIST}/{made.id}")
        page = officer.send("/confirm", **{**good, **wrong})
        assert officer.status == 422
        assert reason in said_at(page, field), wrong
        kept = {**good, **wrong}["city_reference"].strip()
        assert f'value="{kept}"' in page or not kept
    officer.send("/confirm", **good)
    assert officer.status == 200
    page = officer.send("/use", used_for=" ")
    assert officer.status == 422
    assert "请写明用途" in said_at(page, "used_for")


def test_what_has_changed_since_the_preview_is_shown_again(world: World) -> None:
    recorded(world, 2)
    officer = browser(world, world.officer)
    officer.get(NEW + ASKED)
    recorded(world)
    page = words(officer.send(NEW))
    assert officer.status == 409
    assert "记录有了变化，请重新核对" in page
    assert "记录次数 3" in page
    assert "餐饮节约" in words(officer.send(NEW))
    assert (officer.status, officer.path == NEW) == (200, False)


def test_who_comes_second_is_shown_what_the_first_has_done(world: World) -> None:
    recorded(world)
    first, second = browser(world, world.officer), browser(world, world.colleague(Role.OFFICER))
    for one in (first, second):
        one.get(NEW + ASKED)
    for one in (first, second):
        one.send(NEW)
    assert (first.status, second.status) == (200, 409)
    assert "没有可以上报的记录，或都已上报" in words(second.get(NEW + ASKED))
    second.get(first.path)
    first.send("/withdraw", reason="时间填错了")
    page = words(second.send("/confirm", city_reference="沪环〔2026〕1号", confirmed_kg="0.1"))
    assert second.status == 409
    assert "已经办到别的状态" in page
    assert "原因：时间填错了" in page
    assert "下一步" not in page


def test_a_declared_record_is_not_voided_on_its_page(world: World) -> None:
    (action,) = recorded(world)
    report(world.house, world.officer, FOOD, *DAYS)
    organiser = browser(world, world.organiser)
    organiser.get(f"/console/actions/{action}/void")
    page = words(organiser.send("/void", reason="重复扫码"))
    assert organiser.status == 409
    assert "这条记录已随申报上报市级，须先撤回该申报。" in page


# --- who may --------------------------------------------------------------------------------------------------


def who(world: World, name: str) -> Principal | Resident | None:
    return {
        "nobody": lambda: None,
        "resident": world.resident,
        "organiser": lambda: world.organiser,
        "street": lambda: world.colleague(Role.OFFICER, Role.AUDITOR, division=STREET),
        "auditor": lambda: world.colleague(Role.AUDITOR),
        "admin": lambda: world.colleague(Role.ADMIN),
        "officer": lambda: world.officer,
    }[name]()


@pytest.mark.parametrize("engine", ["sqlite"])
@pytest.mark.parametrize(
    ("name", "reads", "reports"),
    [
        ("nobody", False, False),
        ("resident", False, False),
        ("organiser", False, False),
        ("street", False, False),
        ("auditor", True, False),
        ("admin", True, False),
        ("officer", True, True),
    ],
)
def test_officers_of_the_district_report_auditors_and_admins_look(
    world: World, name: str, reads: bool, reports: bool
) -> None:
    made = reported(world)
    recorded(world)
    person = browser(world, who(world, name))
    outsider = browser(world) if name == "officer" else person
    pages = (LIST, f"{LIST}/{made.id}", f"{LIST}/{made.id}.csv", NEW + ASKED)
    for path, allowed in zip(pages, (reads, reads, reads, reports), strict=True):
        page = person.get(path)
        there = person.path == path.split("?")[0]
        if name in {"nobody", "resident"}:
            assert person.path == "/staff/login"
        else:
            assert (person.status, there) == (200 if allowed else 403, True), path
        if reads and not reports:
            assert f'href="{NEW}"' not in page
            assert "<form" not in page.split("<main")[-1] or path == LIST
    token = re.search(r'name="csrf_token" value="([^"]+)"', outsider.get("/staff/login"))
    before = contents(world.house)
    for path in ("/new", *(f"/{made.id}/{step}" for step in ("confirm", "use", "withdraw"))):
        assert token
        answer = outsider.client.post(LIST + path, data={"csrf_token": token[1], "reason": "不要了"})
        assert answer.status_code in {302, 403}, path
    assert written(before, contents(world.house)) == {}


def test_a_declaration_that_is_not_there_is_not_found(world: World) -> None:
    officer = browser(world, world.officer)
    for path in (f"{LIST}/{uuid4()}", f"{LIST}/{uuid4()}.csv", f"{LIST}/1"):
        officer.get(path)
        assert officer.status == 404


@pytest.mark.parametrize("engine", ["sqlite"])
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("?from=x", "from"),
        ("?to=1", "to"),
        ("?from=2026-06-05&to=2026-06-04", "to"),
        ("?from=2001-01-01", "to"),
    ],
)
def test_a_period_that_makes_no_sense_is_said_at_its_field(world: World, query: str, field: str) -> None:
    officer = browser(world, world.officer)
    page = officer.get(LIST + query)
    assert officer.status == 422
    assert said_at(page, field)


def test_a_methodology_is_named_in_the_language_of_the_page(world: World) -> None:
    made = reported(world)
    officer = browser(world, world.officer, "en")
    assert "Food not wasted" in officer.get(f"{LIST}/{made.id}")
    assert "Food not wasted" in officer.get(LIST)


# --- the list of records ------------------------------------------------------------------------------------


def lines(person: Browser, path: str) -> list[dict[str, str]]:
    body = person.get(path)
    return list(csv.DictReader(io.StringIO(body.removeprefix("\ufeff"))))


def test_every_record_of_a_declaration_can_be_traced(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(declared, "_BATCH", 2)
    first = recorded(world, 3)
    (later,) = recorded(world, day=DAY + timedelta(days=1))
    made = report(world.house, world.officer, FOOD, *DAYS)
    recorded(world)  # late, and not in it
    officer = browser(world, world.officer)
    found = lines(officer, f"{LIST}/{made.id}.csv")
    assert [line["action_id"] for line in found] == [str(action) for action in sorted([*first, later])]
    assert sum(int(line["co2e_mg"]) for line in found) == made.co2e_mg
    assert sum(int(line["co2e_high_mg"]) for line in found) == made.co2e_high_mg
    site = found[0]["site_id"]
    assert found[0] == {
        "action_id": str(first[0]), "day": str(DAY), "occurred_at": f"{DAY}T04:00:00Z", "kind": "clean_plate",
        "quantity": "1", "unit": "meal", "evidence": "site_code", "factor_version": "clean_plate@1",
        "methodology": FOOD, "co2e_mg": "144000", "co2e_mid_mg": "340000", "co2e_high_mg": "449000",
        "nox_ug": "", "pm25_ug": "", "voc_ug": "", "so2_ug": "", "co_ug": "", "site_id": site,
        "division_code": "310106006002",
    }  # fmt: skip
    assert officer.page.content_type == "text/csv; charset=utf-8"
    name = f"tanpuhui-declaration-{FOOD}-{DAYS[0]}-{DAYS[1]}.csv"
    assert officer.page.headers["Content-Disposition"] == f'attachment; filename="{name}"'


def test_the_list_names_nobody_and_is_the_same_for_whoever_takes_it(world: World) -> None:
    made = reported(world, 3)
    path = f"{LIST}/{made.id}.csv"
    body = browser(world, world.officer).get(path)
    with world.house.db.reading() as connection:
        people = [str(one) for one in connection.scalars(sa.text("SELECT id FROM resident"))]
    assert not [one for one in people if one in body or one.replace("-", "") in body.replace("-", "")]
    assert browser(world, world.colleague(Role.AUDITOR), "en").get(path) == body
    withdraw(world.house, world.officer, made.id, reason="时间填错了")
    assert browser(world, world.officer).get(path) == body  # what had been said


def test_nothing_in_the_list_is_run_by_a_spreadsheet(world: World) -> None:
    made = reported(world)
    with world.house.db.transaction() as connection:
        connection.execute(sa.text("UPDATE action_kind SET unit = '=1+1'"))
    (line,) = lines(browser(world, world.officer), f"{LIST}/{made.id}.csv")
    assert line["unit"] == "'=1+1"


def test_a_long_list_is_sent_piece_by_piece() -> None:
    rows = [[f"={number}", number, None] for number in range(2500)]
    pieces = list(stream_sheet(["a", "b", "c"], iter(rows)))
    assert len(pieces) == 4
    assert b"".join(pieces) == write_sheet(["a", "b", "c"], rows)


# --- JSON -----------------------------------------------------------------------------------------------------


def test_a_declaration_goes_its_way_by_the_api(world: World) -> None:
    recorded(world, 2)
    token = world.token(world.officer, Role.OFFICER)

    def call(method: str, path: str, status: int, **more: Any) -> dict[str, Any]:
        answer = world.call(method, path, token, **more)
        assert answer.status_code == status, answer.text
        found: dict[str, Any] = answer.get_json()
        return found

    asked = {"methodology": FOOD, "from": str(DAYS[0]), "to": str(DAYS[1])}
    made = call("POST", "/declarations", 201, json=asked)
    assert made == {
        "id": made["id"], "methodology": FOOD, "from": str(DAYS[0]), "to": str(DAYS[1]), "state": "reported",
        "actions": 2, "co2e_mg": 288_000, "co2e_mid_mg": 680_000, "co2e_high_mg": 898_000,
        "reported_at": made["reported_at"], "confirmed_at": None, "city_reference": None, "confirmed_mg": None,
        "used_at": None, "used_for": None, "withdrawn_at": None, "withdrawn_because": None,
    }  # fmt: skip
    assert call("POST", "/declarations", 409, json=asked)["code"] == "nothing_to_declare"
    body = {"city_reference": "沪环〔2026〕1号", "confirmed_mg": 288_001}
    path = f"/declarations/{made['id']}"
    wrong = call("POST", f"{path}/confirm", 422, json=body)
    assert (wrong["code"], wrong["errors"][0]["field"]) == ("invalid_fields", "confirmed_mg")
    done = call("POST", f"{path}/confirm", 200, json={**body, "confirmed_mg": 250_000})
    assert (done["state"], done["confirmed_mg"]) == ("confirmed", 250_000)
    late = call("POST", f"{path}/withdraw", 409, json={"reason": "不要了"})
    assert (late["code"], late["state"]) == ("declaration_moved_on", "confirmed")
    assert call("POST", f"{path}/use", 200, json={"used_for": "会议"})["used_for"] == "会议"
    recorded(world)
    period = {"from": str(DAYS[0]), "to": str(DAYS[1])}
    nothing = dict.fromkeys(("actions", "co2e_mg", "co2e_mid_mg", "co2e_high_mg"), 0)
    assert call("GET", "/declarations/states", 200, query_string=period) == {
        **period,
        "estimated": {"actions": 1, "co2e_mg": 144_000, "co2e_mid_mg": 340_000, "co2e_high_mg": 449_000, "confirmed_mg": None},
        "reported": {**nothing, "confirmed_mg": None},
        "confirmed": {**nothing, "confirmed_mg": 0},
        "used": {"actions": 2, "co2e_mg": 288_000, "co2e_mid_mg": 680_000, "co2e_high_mg": 898_000, "confirmed_mg": 250_000},
    }  # fmt: skip


def test_declarations_are_listed_by_state_methodology_and_period(world: World) -> None:
    token = world.token(world.colleague(Role.AUDITOR), Role.AUDITOR)
    used, standing = confirmed(world), reported(world)
    use(world.house, world.officer, used.id, used_for="会议")
    recorded(world, kind="own_cup", day=DAY - timedelta(days=40))
    early = DAY - timedelta(days=40)
    other = report(world.house, world.officer, ITEMS, early, early)

    def listed(**query: Any) -> list[str]:
        answer = world.call("GET", "/declarations", token, query_string=query)
        assert answer.status_code == 200, answer.text
        return [one["id"] for one in answer.get_json()["declarations"]]

    assert listed() == [str(one.id) for one in (other, standing, used)]
    assert listed(limit=1) == [str(other.id)]
    assert listed(state="used") == [str(used.id)]
    assert listed(methodology=ITEMS) == [str(other.id)]
    assert listed(to=str(early)) == [str(other.id)]
    assert listed(**{"from": str(DAYS[1])}) == [str(standing.id), str(used.id)]
    assert listed(**{"from": str(clock.today())}) == []


@pytest.mark.parametrize("engine", ["sqlite"])
def test_the_api_takes_nothing_but_what_it_describes(world: World) -> None:
    made = reported(world)
    recorded(world)
    token = world.token(world.officer, Role.OFFICER)
    asked = {"methodology": FOOD, "from": str(DAYS[0]), "to": str(DAYS[1])}
    confirm_, path = {"city_reference": "1", "confirmed_mg": 1}, f"/declarations/{made.id}"
    before = contents(world.house)
    for at, body in (
        ("/declarations", {**asked, "seen": 1}),
        ("/declarations", {"methodology": FOOD}),
        ("/declarations", {**asked, "from": 1780000000}),
        ("/declarations", {**asked, "to": str(clock.today())}),
        ("/declarations", {**asked, "methodology": None}),
        (f"{path}/confirm", {**confirm_, "confirmed_mg": "1"}),
        (f"{path}/confirm", {**confirm_, "confirmed_mg": 1.5}),
        (f"{path}/confirm", {**confirm_, "confirmed_mg": True}),
        (f"{path}/confirm", {**confirm_, "confirmed_mg": 2**63}),
        (f"{path}/confirm", {"confirmed_mg": 1}),
        (f"{path}/confirm", {**confirm_, "city_reference": "  "}),
        (f"{path}/use", {"used_for": ""}),
        (f"{path}/withdraw", {"reason": "短"}),
        (f"{path}/withdraw", {}),
    ):
        answer = world.call("POST", at, token, json=body)
        assert (answer.status_code, answer.content_type) == (422, "application/problem+json"), (at, body)
    assert (
        world.call("POST", f"/declarations/{uuid4()}/use", token, json={"used_for": "会议"}).status_code
        == 404
    )
    for query in ({"state": "estimated"}, {"limit": 0}, {"from": "today"}, {"by": "day"}):
        assert world.call("GET", "/declarations", token, query_string=query).status_code == 422
    for query in ({}, {"from": str(DAY)}, {"from": str(DAYS[1]), "to": str(DAY)}):
        assert world.call("GET", "/declarations/states", token, query_string=query).status_code == 422
    assert written(before, contents(world.house)) == {}


def test_a_token_reaches_as_far_as_its_role(world: World) -> None:
    made = reported(world)
    recorded(world)
    asked = {"methodology": FOOD, "from": str(DAYS[0]), "to": str(DAYS[1])}
    period = {"from": str(DAYS[0]), "to": str(DAYS[1])}
    everything = world.colleague(Role.OFFICER, Role.AUDITOR, Role.ORGANISER)
    street = world.colleague(Role.OFFICER, division=STREET)
    callers = {
        world.token(everything, Role.AUDITOR): (200, 403),
        world.token(everything, Role.ORGANISER): (403, 403),
        world.token(street, Role.OFFICER): (403, 403),
        world.token(world.resident()): (403, 403),
        None: (401, 401),
    }
    before = contents(world.house)
    for token, (reading, writing) in callers.items():
        assert world.call("GET", "/declarations", token).status_code == reading
        assert world.call("GET", "/declarations/states", token, query_string=period).status_code == reading
        for path, body in (
            ("", asked),
            (f"/{made.id}/confirm", {"city_reference": "1", "confirmed_mg": 1}),
            (f"/{made.id}/use", {"used_for": "会议"}),
            (f"/{made.id}/withdraw", {"reason": "不要了"}),
        ):
            assert world.call("POST", f"/declarations{path}", token, json=body).status_code == writing
    assert written(before, contents(world.house)) == {}


def test_the_api_refuses_to_void_what_is_declared(world: World) -> None:
    (action,) = recorded(world)
    made = report(world.house, world.officer, FOOD, *DAYS)
    token = world.token(world.officer, Role.OFFICER)
    answer = world.call("POST", f"/actions/{action}/void", token, json={"reason": "重复扫码"})
    assert (answer.status_code, answer.get_json()["code"]) == (409, "already_declared")
    withdraw(world.house, world.officer, made.id, reason="有一条重复")
    void_action(world.house, world.officer, action, "重复扫码")
