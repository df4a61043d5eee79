"""The calendar as people and machines read it, and the forms and operations of officers."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
import time_machine

from activities.observance_changes import add, edit, enter, take_back
from activities.observance_words import Said
from tanpuhui import clock
from tanpuhui.reference import load_reference
from tanpuhui.staff import Role
from tests.browser import browser
from tests.service.test_observances import DAY, LAST_ROW, NOTICE, OZONE, WEEK, said
from tests.sheets import edit as edit_sheet, reference_copy, setting
from tests.unit.test_icalendar import read
from tests.world import COMMUNITY, World

sqlite = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)


@pytest.fixture(autouse=True)
def time() -> Iterator[time_machine.Traveller]:
    """The year 2026, whose holidays are known; the next year's are not."""
    with time_machine.travel(datetime(2026, 11, 28, 12, tzinfo=clock.SHANGHAI), tick=False) as traveller:
        yield traveller


def part(page: str, heading: str) -> str:
    """The section of a page with this heading."""
    found = re.search(rf"<(section|details)[^>]*>(?:(?!</\1>).)*{heading}.*?</\1>", page, re.S)
    assert found, heading
    return re.sub(r"<[^>]+>", " ", found[0])


# --- for everybody -----------------------------------------------------------------------------------------


def test_the_public_calendar_goes_from_awaiting_to_the_date_and_back(world: World) -> None:
    anybody = browser(world)
    page = anybody.get("/calendar")
    awaiting = part(page, "等待公布")
    assert "全国低碳日" in awaiting
    assert "2027 年的日期还没有公布" in awaiting
    assert "上一次是 2026年6月17日，只供参考，不代表 2027 年的日期。" in awaiting
    assert "六五环境日" in part(page, "接下来")
    assert "来源：环境保护法（2014修订）第十二条" in part(page, "接下来")
    assert "2026年6月17日" not in part(page, "接下来")
    over = part(page, "今年已经过去的")
    assert "2026年6月17日" in over
    assert over.count("推算，待核对") == 1  # the file reckoned that day from the week

    enter(world.house, world.officer, DAY, 2027, said(), seen=0)
    page = anybody.get("/calendar")
    assert "全国低碳日" not in part(page, "等待公布")
    coming = part(page, "接下来")
    assert "2027年6月16日 星期三" in coming
    assert NOTICE in coming
    assert "还有 200 天" in coming
    assert "2027 年的假期安排还没有公布" in coming

    take_back(world.house, world.officer, DAY, 2027, "通知已撤销", seen=1)
    assert "2027 年的日期还没有公布" in part(anybody.get("/calendar"), "等待公布")


@sqlite
def test_a_day_that_is_today_or_under_way_says_so(world: World, time: time_machine.Traveller) -> None:
    anybody = browser(world)
    time.move_to(datetime(2026, 9, 22, 9, tzinfo=clock.SHANGHAI))
    coming = part(anybody.get("/calendar"), "接下来")
    assert "正在进行" in coming  # 公交出行宣传周
    assert "今天" in coming  # 世界无车日
    assert "7 天中有 6 个工作日" in coming  # the Sunday is worked in place of a holiday
    time.move_to(datetime(2026, 9, 23, 0, tzinfo=clock.SHANGHAI))
    assert "世界无车日" in part(anybody.get("/calendar"), "今年已经过去的")


def test_the_file_for_phones_holds_what_is_known_and_nothing_that_is_awaited(world: World) -> None:
    def events() -> dict[str, dict[str, str]]:
        answer = world.client().get("/calendar.ics")
        assert answer.content_type == "text/calendar; charset=utf-8"
        lines = read(answer.get_data())
        starts = [index for index, line in enumerate(lines) if line == ("BEGIN", "VEVENT")]
        each = (dict(lines[start + 1 : lines.index(("END", "VEVENT"), start)]) for start in starts)
        return {event["UID"].partition("@")[0]: event for event in each}

    before = events()
    assert len(before) == 2 * 7 + 2  # fixed ones of two years, and both announced ones of 2026
    assert f"{DAY}-2027" not in before
    assert before[f"{WEEK}-2026"]["DTEND;VALUE=DATE"] == "20260622"
    assert before[f"{WEEK}-2026"]["SUMMARY"] == "全国节能宣传周"
    assert [uid for uid, event in before.items() if event["STATUS"] == "TENTATIVE"] == [f"{DAY}-2026"]
    enter(world.house, world.officer, DAY, 2027, said(), seen=0)
    enter(world.house, world.officer, DAY, 2027, said("2027-06-17"), seen=1)
    moved = events()[f"{DAY}-2027"]
    assert (moved["DTSTART;VALUE=DATE"], moved["SEQUENCE"]) == ("20270617", "2")
    assert NOTICE in moved["DESCRIPTION"]
    take_back(world.house, world.officer, DAY, 2027, "通知已撤销", seen=2)
    assert events() == before


def test_without_any_day_there_is_no_file(house: Any) -> None:
    client = World(house).client()
    assert client.get("/calendar.ics").status_code == 404
    assert client.get("/calendar").status_code == 200


@sqlite
def test_the_calendar_is_linked_where_campaigns_are(world: World) -> None:
    assert 'href="/calendar"' in browser(world).get("/campaigns")
    assert 'href="/calendar"' in browser(world, world.organiser).get("/console/campaigns")
    desk = browser(world, world.officer).get("/bureau")
    assert 'href="/bureau/observances"' in desk
    assert 'href="/bureau/observances"' not in browser(world, world.organiser).get("/console/campaigns")


# --- for officers ------------------------------------------------------------------------------------------


def test_an_officer_enters_moves_and_takes_back_in_the_form(world: World) -> None:
    desk = browser(world, world.officer)
    assert "全国低碳日" in part(desk.get("/bureau/observances?year=2027"), "哪些日子还没有公布？")
    words = {"starts_on": "2027-06-16", "ends_on": "", "source": NOTICE, "confidence": "A"}
    page = desk.send(f"{DAY}/2027/enter", **words)
    assert (desk.status, desk.path) == (200, "/bureau/observances")
    assert "2027年6月16日" in part(page, "哪些日子已经知道？")
    page = desk.send(f"{DAY}/2027/enter", **words | {"starts_on": "2027-06-17"})
    assert "2027年6月17日" in part(page, "哪些日子已经知道？")
    page = desk.get(f"/bureau/observances/{DAY}")
    told = part(page, "谁改过什么？")
    assert "staff 1" in told
    assert "2027-06-16" in told
    assert NOTICE in told
    desk.get("/bureau/observances?year=2027")
    page = desk.send(f"{DAY}/2027/withdraw", source="通知已撤销")
    assert "全国低碳日" in part(page, "哪些日子还没有公布？")
    assert "通知已撤销" in desk.get(f"/bureau/observances/{DAY}")


@sqlite
def test_what_is_wrong_is_said_beside_the_field_and_what_was_typed_stays(world: World) -> None:
    desk = browser(world, world.officer)
    desk.get("/bureau/observances?year=2027")
    page = desk.send(f"{DAY}/2027/enter", starts_on="2026-06-16", ends_on="", source="字", confidence="B")
    assert desk.status == 422
    assert re.search(rf'id="starts_on-{DAY}-error".*?这一天不在这一年。', page, re.S)
    assert re.search(rf'id="source-{DAY}-error".*?请写明依据', page, re.S)
    for kept in ('value="2026-06-16"', 'value="字"', '<option value="B" selected>'):
        assert page.count(kept) == 1, kept
    assert page.count("<details open>") == 1
    page = desk.send(f"{DAY}/2027/enter", starts_on="2027-06-16", source=NOTICE, confidence="B")
    assert desk.status == 200
    for path, words in (
        (f"/bureau/observances/{DAY}/1999/enter", "只能填写 2000 年到后年的日期。"),
        (f"/bureau/observances/{DAY}/{10**25}/enter", "只能填写 2000 年到后年的日期。"),
        (f"/bureau/observances/{DAY}/{10**25}/withdraw", "只能填写 2000 年到后年的日期。"),
        ("/bureau/observances/no_such_day/2027/enter", "没有这个每年公布的日子。"),
        ("/bureau/observances/earth_day/2027/enter", "没有这个每年公布的日子。"),
    ):
        answer = desk.client.post(
            path, data=hidden(desk) | {"starts_on": "2027-06-16", "source": "不会有的依据"}
        )
        assert answer.status_code == 422, path
        assert words in answer.text, path


def hidden(desk: Any) -> dict[str, str]:
    """The hidden fields of the form that enters a date."""
    desk.get("/bureau/observances?year=2027")
    fields: dict[str, str] = desk._form(f"{DAY}/2027/enter")[1]
    return fields


def test_who_is_later_sees_the_date_and_keeps_what_they_typed(world: World) -> None:
    slow = browser(world, world.second_officer)
    slow.get("/bureau/observances?year=2027")
    enter(world.house, world.officer, DAY, 2027, said(), seen=0)
    words = {"starts_on": "2027-06-17", "source": "另一份通知", "confidence": "B"}
    page = slow.send(f"{DAY}/2027/enter", **words)
    assert slow.status == 409
    assert "刚刚有人改过这个日子" in page
    assert "2027年6月16日" in page
    assert 'value="2027-06-17"' in page
    assert 'value="另一份通知"' in page
    page = slow.send(f"{DAY}/2027/enter", **words)  # having looked, they insist
    assert slow.status == 200
    assert "2027年6月17日" in page


def test_a_fixed_day_is_added_changed_and_taken_back_in_the_forms(world: World) -> None:
    desk = browser(world, world.officer)
    desk.get("/bureau/observances/new-day")
    words = {name: getattr(OZONE, name) for name in Said.__dataclass_fields__}
    page = desk.send(None, **words | {"starts_on": "9月16日"})
    assert desk.status == 422
    assert re.search(r'id="starts_on-error".*?请填写每年都有的一天', page, re.S)
    assert 'value="9月16日"' in page
    desk.send(None, **words)
    key = desk.path.rpartition("/")[2]
    assert "国际臭氧层保护日" in browser(world).get("/calendar")
    desk.send(f"{key}/edit", **words | {"ends_on": "09-15"})
    assert desk.status == 422
    desk.send(f"{key}/edit", **words | {"ends_on": "09-17"})
    assert "2027年9月16日–9月17日" in browser(world).get("/calendar")
    desk.send(f"{key}/remove", source="")
    assert desk.status == 422
    desk.send(f"{key}/remove", source="登记有误")
    assert "国际臭氧层保护日" not in browser(world).get("/calendar")
    assert f'href="/bureau/observances/{key}"' in desk.get("/bureau/observances")


@sqlite
def test_other_staff_look_and_change_nothing(world: World) -> None:
    for who in (world.colleague(Role.AUDITOR), world.colleague(Role.ADMIN)):
        desk = browser(world, who)
        for path in (
            "/bureau/observances?year=2027",
            f"/bureau/observances/{DAY}",
            "/bureau/observances/earth_day",
        ):
            page = desk.get(path)
            assert desk.status == 200
            assert "<form" not in page.partition("<main")[2], path
        assert desk.client.get("/bureau/observances/new-day").status_code == 403
    for who in (world.organiser, world.colleague(Role.OFFICER, division=COMMUNITY)):
        desk = browser(world, who)
        for path in ("/bureau/observances", f"/bureau/observances/{DAY}"):
            desk.get(path)
            assert desk.status == 403
    nobody = browser(world)
    nobody.get("/bureau/observances")
    assert nobody.path == "/staff/login"
    desk = browser(world, world.officer)
    for unknown in ("no_such_day", "%00"):
        desk.get(f"/bureau/observances/{unknown}")
        assert desk.status == 404


@sqlite
def test_any_year_opens_within_what_can_be_entered(world: World) -> None:
    desk = browser(world, world.officer)
    for asked, shown in (("2016", 2016), ("1066", 2000), ("99999", 2028), ("soon", 2026)):
        assert f"{shown} 年的日历" in desk.get(f"/bureau/observances?year={asked}")
    page = desk.get("/bureau/observances?year=2016")
    assert "全国低碳日" in part(page, "哪些日子还没有公布？")
    assert "那一年不一定已经设立" in page
    assert 'href="/bureau/observances?year=2029"' not in desk.get("/bureau/observances?year=2028")


def test_a_conflict_with_a_file_is_told_to_the_officers(world: World, tmp_path: Any) -> None:
    enter(world.house, world.officer, DAY, 2026, said("2026-06-18"), seen=0)
    folder = reference_copy(tmp_path)
    edit_sheet(folder / "observances.csv", setting(LAST_ROW, starts_on="2026-06-19", ends_on="2026-06-19"))
    load_reference(world.house, folder)
    page = browser(world, world.second_officer).get(f"/bureau/observances/{DAY}")
    assert "载入的参考文件写的是 2026-06-19（推算：宣传周的第三天），与工作人员填写的不同，没有采用。" in page


# --- for machines ------------------------------------------------------------------------------------------


def of(world: World, year: int, key: str = DAY) -> dict[str, Any]:
    answer = world.call("GET", f"/observances?year={year}")
    assert answer.status_code == 200
    (found,) = [one for one in answer.get_json()["observances"] if one["key"] == key]
    return dict(found)


def test_the_api_tells_the_calendar_to_anybody(world: World) -> None:
    assert world.call("GET", "/observances").get_json()["year"] == 2026
    assert of(world, 2020) == {
        "key": DAY,
        "year": 2020,
        "name_zh": "全国低碳日",
        "name_en": "National Low-Carbon Day",
        "kind": "announced",
        "state": "dated",
        "starts_on": "2020-07-02",
        "ends_on": "2020-07-02",
        "working_days": 1,
        "source": "yearly notice (fourth day: the exception)",
        "confidence": "B",
        "last_known": None,
        "revision": 0,
    }
    awaiting = of(world, 2018)
    assert awaiting["state"] == "awaiting"
    assert {awaiting[name] for name in ("starts_on", "ends_on", "source", "confidence", "working_days")} == {
        None
    }
    assert awaiting["last_known"] == {"starts_on": "2017-06-13", "ends_on": "2017-06-13"}
    assert world.call("GET", "/observances?year=soon").status_code == 422


def test_officers_enter_and_take_back_by_the_api(world: World) -> None:
    token = world.token(world.officer)
    path = f"/bureau/observances/{DAY}/2027"
    body = {"starts_on": "2027-06-16", "source": NOTICE, "confidence": "A", "revision": 0}
    for _ in range(2):
        answer = world.call("PUT", path, token, json=body)
        assert (answer.status_code, answer.get_json()["revision"]) == (200, 1)
    assert of(world, 2027)["starts_on"] == "2027-06-16"
    late = world.call("PUT", path, world.token(world.second_officer), json=body | {"starts_on": "2027-06-17"})
    assert (late.status_code, late.get_json()["code"]) == (409, "observance_changed")
    moved = world.call("PUT", path, token, json=body | {"ends_on": "2027-06-18", "revision": 1})
    assert moved.get_json()["ends_on"] == "2027-06-18"
    gone = world.call("DELETE", f"{path}?source=通知已撤销&revision=2", token)
    assert (gone.status_code, gone.get_json()["state"], gone.get_json()["revision"]) == (200, "awaiting", 3)
    assert of(world, 2027)["state"] == "awaiting"


@sqlite
def test_the_api_refuses_in_words_and_lets_nobody_else_in(world: World) -> None:
    token = world.token(world.officer)
    body = {"starts_on": "2027-06-16", "source": NOTICE, "confidence": "A", "revision": 0}
    for path, change, field in (
        (f"{DAY}/2027", {"starts_on": "2026-06-16"}, "starts_on"),
        (f"{DAY}/2027", {"ends_on": "2027-06-15"}, "ends_on"),
        (f"{DAY}/2027", {"source": ""}, "source"),
        (f"{DAY}/2027", {"confidence": "E"}, "confidence"),
        (f"{DAY}/2027", {"revision": -1}, "revision"),
        (f"{DAY}/2900", {}, "year"),
        (f"{DAY}/1990", {}, "year"),
        ("earth_day/2027", {}, "key"),
        ("no_such_day/2027", {}, "key"),
    ):
        answer = world.call("PUT", f"/bureau/observances/{path}", token, json=body | change)
        assert answer.status_code == 422, (path, change)
        assert {wrong["field"] for wrong in answer.get_json()["errors"]} >= {field}, (path, change)
    path = f"/bureau/observances/{DAY}/2027"
    for who, status in (
        (None, 401),
        (world.token(world.organiser), 403),
        (world.token(world.resident()), 403),
    ):
        assert world.call("PUT", path, who, json=body).status_code == status
        assert world.call("DELETE", f"{path}?source=撤销&revision=0", who).status_code == status
    assert of(world, 2027)["state"] == "awaiting"


@sqlite
def test_a_fixed_day_edited_is_edited_everywhere(world: World) -> None:
    earth = Said("04-23", "", "改期通知（示例）", "A", "世界地球日", "Earth Day")
    edit(world.house, world.officer, "earth_day", earth, seen=0)
    assert of(world, 2027, "earth_day")["starts_on"] == "2027-04-23"
    assert add(world.house, world.officer, OZONE) in {
        one["key"] for one in world.call("GET", "/observances?year=2030").get_json()["observances"]
    }
