"""The limits as they are published: for anybody, in words and as JSON, and what a resident has left today."""

import html
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine

from activities import sites
from activities.known import Knowledge
from activities.published import Left, published
from tanpuhui import reference
from tanpuhui.errors import DailyLimitReached, TooSoon
from tanpuhui.people import Resident
from tests.browser import browser
from tests.world import World

NOON = datetime(2027, 6, 7, 4, 0, tzinfo=UTC)  # a Monday noon in Shanghai


@pytest.fixture(autouse=True)
def time() -> Iterator[time_machine.Traveller]:
    """A Monday noon in Shanghai."""
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


def said(page: str, kind: str) -> str:
    """What a page says of a kind, without marks."""
    (card,) = re.findall(rf'aria-labelledby="kind-{kind}">(.*?)</section>', page, re.S)
    return " ".join(
        html.unescape(re.sub(r"<[^>]+>", " ", re.sub(r"</?span[^>]*>", "", card)))
        .replace("\u2060", "")
        .split()
    )


def set_kind(world: World, code: str, **columns: Any) -> None:
    with world.house.db.transaction() as connection:
        table = sa.table("action_kind", sa.column("code"), *(sa.column(name) for name in columns))
        connection.execute(sa.update(table).where(table.c.code == code).values(columns))
        reference.bump(connection)


def left(world: World, resident: Resident, kind: str) -> Left | None:
    with world.house.db.reading() as connection:
        known = world.house.part(Knowledge).at(connection)
        (found,) = [one for one in published(connection, known, resident.id) if one.kind.code == kind]
    return found.left


def test_every_kind_that_is_credited_stands_there(world: World) -> None:
    page = browser(world).get("/limits")
    with world.house.db.reading() as connection:
        enabled = {
            row.code: row.enabled
            for row in connection.execute(sa.text("SELECT code, enabled FROM action_kind"))
        }
    assert set(re.findall(r'id="kind-([a-z_]+)"', page)) == {kind for kind, on in enabled.items() if on}
    assert not enabled["household_pv"]
    assert "今天还可以记录" not in page
    assert "登录后能看到" in page


def test_in_words(world: World) -> None:
    set_kind(world, "clothing_reuse", records_per_week=5, quantity_per_week_milli=60_000)
    page = browser(world).get("/limits")
    clothes = said(page, "clothing_reuse")
    for words in (
        "每次 0.1 千克 到 30 千克。",
        "每天最多 3 次。一共不超过 30 千克。",
        "每周最多 5 次。一周一共不超过 60 千克。",
        "两次之间至少隔 1 分钟。",
        "10 分钟内分几次交来的，合起来算一次。",
        "至少要有的证据：点位扫码。",
    ):
        assert words in clothes.replace("\xa0", " "), words
    assert "一次记 1 餐，不用填写别的。" in said(page, "clean_plate").replace("\xa0", " ")
    assert "两次之间至少隔 2 小时。" in said(page, "clean_plate")
    assert "至少隔" not in said(page, "walk"), "no interval, no line"
    assert "以后每年检查一次" in said(page, "tree_planting")
    english = browser(world, language="en").get("/limits")
    assert "Within 5 minutes, only one of this and" in said(english, "bus_trip")


def test_a_meal_is_credited_once_in_its_part_of_the_day(world: World) -> None:
    """What is said is the rule by which `activities.clashes` judges."""
    body = {one["kind"]: one for one in world.call("GET", "/limits").get_json()["limits"]}
    assert body["clean_plate"]["one_a_period"] == ["05:00-10:00", "10:00-16:00", "16:00-22:00"]
    assert body["walk"]["one_a_period"] == body["own_cup"]["one_a_period"] == []
    assert "同一时段只记一次：05:00–10:00、10:00–16:00、16:00–22:00。" in said(
        browser(world).get("/limits"), "clean_plate"
    )


def test_kinds_that_may_be_the_same_deed_name_each_other(world: World) -> None:
    body = {one["kind"]: one for one in world.client().get("/api/v1/limits").get_json()["limits"]}
    assert {one["kind"] for one in body["bus_trip"]["same_deed"]} == {"metro_trip", "bike_trip", "ebike_trip"}
    assert body["walk"]["same_deed"] == []
    page = browser(world).get("/limits")
    assert "5 分钟内和" in said(page, "bus_trip")
    for kind in body:
        for other in body[kind]["same_deed"]:
            back = {one["kind"]: one["within_minutes"] for one in body[other["kind"]]["same_deed"]}
            assert back[kind] == other["within_minutes"]


def test_what_is_published_is_what_holds(world: World, time: Any) -> None:
    """As many records as are published are taken, no sooner than is published; the next one is refused."""
    body = {one["kind"]: one for one in world.client().get("/api/v1/limits").get_json()["limits"]}
    limits = body["own_cup"]
    resident, code = world.resident(), world.code("own_cup")
    for number in range(limits["records_per_day"]):
        world.scan(resident, code)
        found = left(world, resident, "own_cup")
        assert found
        assert found.records == limits["records_per_day"] - number - 1
        time.shift(timedelta(minutes=limits["min_interval_minutes"] - 1))
        with pytest.raises(TooSoon if found.records else DailyLimitReached):
            world.scan(resident, code)
        time.shift(timedelta(minutes=1))
    one = browser(world, resident)
    assert "已记满，明天再来。" in said(one.get("/limits"), "own_cup")
    assert 'href="/limits#kind-own_cup"' in one.get(f"/s/{code}")


def test_what_is_left_counts_the_quantity_and_the_week(world: World, time: Any) -> None:
    set_kind(world, "recycle_paper", records_per_week=6, quantity_per_week_milli=80_000, merge_minutes=10)
    resident, code = world.resident(), world.code("recycle_paper")
    assert left(world, resident, "recycle_paper") == Left(5, 50_000, False)
    world.scan(resident, code, quantity="20")
    assert left(world, resident, "recycle_paper") == Left(4, 30_000, False)
    time.shift(timedelta(minutes=11))
    world.scan(resident, code, quantity="30")
    time.shift(timedelta(minutes=11))
    assert left(world, resident, "recycle_paper") == Left(0, 0, False), "the quantity of the day is used up"
    time.shift(timedelta(days=1))
    assert left(world, resident, "recycle_paper") == Left(4, 30_000, False), "the week bounds the day"
    world.scan(resident, code, quantity="30")
    assert left(world, resident, "recycle_paper") == Left(0, 0, True)
    page = said(browser(world, resident).get("/limits"), "recycle_paper")
    assert "已记满。下周一起又可以记录了。" in page
    time.shift(timedelta(days=6))
    assert left(world, resident, "recycle_paper") == Left(5, 50_000, False)
    assert left(world, world.resident(), "recycle_paper") == Left(5, 50_000, False)


def test_a_refusal_of_a_limit_leads_there_and_others_do_not(world: World) -> None:
    resident, code = world.resident(), world.code("clean_plate")
    one = browser(world, resident)
    for status, told in ((200, "今天还可以记录"), (409, "时间太近")):
        one.get(f"/s/{code}")
        assert told in one.send("/s/")
        assert one.status == status
        assert 'href="/limits#kind-clean_plate"' in one.page.get_data(as_text=True)
    assert "/limits" not in browser(world, resident).get(f"/s/{'A' * 24}?key=abcdefgh")


def test_a_place_says_its_own_limits(world: World) -> None:
    site = world.site("clean_plate", "no_cutlery")
    sites.set_limits(
        world.house,
        world.organiser,
        site.id,
        schedule="Mo-Fr 07:00-09:00,11:00-13:00; Su 08:00-24:00",
        records_per_day={"clean_plate": 1},
        reason="人多",
    )
    page = browser(world).get(f"/sites/{site.id}")
    assert "周一 – 周五 07:00–09:00, 11:00–13:00；周日 08:00–24:00" in page
    assert page.count("每天最多 1 次。") == 1
    assert page.count("每天最多 3 次。") == 1
    assert "Mon – Fri 07:00–09:00" in browser(world, language="en").get(f"/sites/{site.id}")


@pytest.mark.parametrize("path", ["/help", "/factors", "/evidence"])
def test_it_is_found_where_people_look(world: World, path: str) -> None:
    assert 'href="/limits"' in browser(world).get(path)
