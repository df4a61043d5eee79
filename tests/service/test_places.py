"""The public list of sites: what fits, the nearest first, page by page, in as many queries for two as for thousands."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from activities import places, sites
from activities.places import FAR, HERE, NEAR, Page, Search
from activities.site_reports import SiteCondition, report
from activities.sites import Site, SiteKind, SiteStatus
from tanpuhui import clock, ids
from tanpuhui.errors import InvalidField, NotFound
from tests.browser import browser
from tests.world import COMMUNITY, DISTRICT, OTHER_COMMUNITY, STREET, World

NEIGHBOUR = "310106006003"


def find(world: World, *, home: str = "", number: int = 1, size: int = places.PAGE, **search: Any) -> Page:
    with world.house.db.reading() as connection:
        return places.find(connection, Search(**search), clock.now(), home=home, number=number, size=size)


def names(page: Page) -> list[str]:
    return [place.name for place in page.places]


def close(world: World, site: Site) -> None:
    sites.set_status(world.house, world.organiser, site.id, SiteStatus.CLOSED, "停业")


@contextmanager
def counting(world: World) -> Iterator[list[str]]:
    """The statements that are sent meanwhile."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        sent.append(statement)

    sa.event.listen(world.house.db.engine, "before_cursor_execute", note)
    yield sent
    sa.event.remove(world.house.db.engine, "before_cursor_execute", note)


@pytest.fixture
def four(world: World) -> list[Site]:
    """Sites far and near, whose names would order them the other way."""
    return [
        world.site("clean_plate", name="甲 食堂", community=OTHER_COMMUNITY),
        world.site(
            "recycle_glass", "recycle_paper", name="乙 回收", kind="recycling_point", community=NEIGHBOUR
        ),
        world.site("recycle_glass", name="丙 回收", kind="recycling_point"),
        world.site("clean_plate", "own_cup", name="丁 食堂", hours="11:00–13:00"),
    ]


# --- what is found -----------------------------------------------------------------------------------------


def test_the_own_community_comes_first_then_the_street_then_the_district(
    world: World, four: list[Site]
) -> None:
    found = find(world, home=COMMUNITY)
    assert [place.distance for place in found.places] == [HERE, HERE, NEAR, FAR]
    assert set(names(found)[:2]) == {"丙 回收", "丁 食堂"}
    assert names(found)[2:] == ["乙 回收", "甲 食堂"]
    assert {place.distance for place in find(world).places} == {FAR}
    assert names(find(world, home=OTHER_COMMUNITY))[0] == "甲 食堂"


def test_a_place_says_what_can_be_recorded_there(world: World, four: list[Site]) -> None:
    with world.house.db.reading() as connection:
        place = places.one(connection, four[3].id, clock.now())
    assert (place.name, place.kind, place.hours) == ("丁 食堂", SiteKind.CANTEEN, "11:00–13:00")
    assert (place.kinds, place.standing.condition) == (("clean_plate", "own_cup"), "open")
    assert (place.street, place.community) == ("江宁路街道", "新安居委会")
    with pytest.raises(NotFound), world.house.db.reading() as connection:
        places.one(connection, ids.new_id(), clock.now())


def test_filters_by_kind_action_and_division_must_all_hold(world: World, four: list[Site]) -> None:
    for search, expected in (
        ({"kind": SiteKind.RECYCLING_POINT}, {"乙 回收", "丙 回收"}),
        ({"action": "recycle_paper"}, {"乙 回收"}),
        ({"division": DISTRICT}, {"甲 食堂", "乙 回收", "丙 回收", "丁 食堂"}),
        ({"division": STREET}, {"乙 回收", "丙 回收", "丁 食堂"}),
        ({"division": COMMUNITY}, {"丙 回收", "丁 食堂"}),
        (
            {"division": STREET, "action": "recycle_glass", "kind": SiteKind.RECYCLING_POINT},
            {"乙 回收", "丙 回收"},
        ),
        ({"kind": SiteKind.PARCEL_STATION}, set()),
    ):
        found = find(world, **search)
        assert (set(names(found)), found.total) == (expected, len(expected)), search


def test_what_staff_closed_is_not_listed(world: World, four: list[Site]) -> None:
    close(world, four[0])
    assert "甲 食堂" not in names(find(world))
    assert "暂停开放" in browser(world).get(f"/sites/{four[0].id}")
    assert [code for code, _name, _street in _divisions(world)] == [COMMUNITY, NEIGHBOUR]


def _divisions(world: World) -> list[tuple[str, str, str]]:
    with world.house.db.reading() as connection:
        return places.divisions(connection)


def test_pages_hold_each_site_once(world: World) -> None:
    made = {world.site("own_cup", name=f"点位 {number % 3}").id for number in range(7)}
    pages = [find(world, number=number, size=3) for number in (1, 2, 3)]
    assert [len(page.places) for page in pages] == [3, 3, 1]
    assert {place.id for page in pages for place in page.places} == made
    assert {(page.total, page.last) for page in pages} == {(7, 3)}
    beyond = find(world, number=4, size=3)
    assert (beyond.places, beyond.total) == ((), 7)


@pytest.mark.parametrize(
    ("search", "field"),
    [({"action": "flying"}, "action"), ({"action": "😀"}, "action"), ({"division": "999999"}, "division")],
)
def test_what_is_not_there_is_said(world: World, search: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidField) as error:
        find(world, **search)
    assert [bad["field"] for bad in error.value.params["errors"]] == [field]


def test_the_list_takes_two_queries_however_long_it_is(world: World) -> None:
    def queries() -> int:
        with counting(world) as sent:
            find(world, home=COMMUNITY)
        return len([statement for statement in sent if statement.lstrip().startswith("SELECT")])

    for count in (2, 28):
        for number in range(count):
            site = world.site("own_cup", "clean_plate", name=f"点位 {number}")
            report(world.house, world.organiser, site.id, SiteCondition.FULL)
        assert queries() == 2

    me = browser(world, world.resident())
    with counting(world) as sent:
        me.get("/sites")
    assert len([statement for statement in sent if "FROM site" in statement]) <= 3


# --- the page ----------------------------------------------------------------------------------------------


def test_the_page_lists_by_distance_for_who_is_logged_in(world: World, four: list[Site]) -> None:
    page = browser(world, world.resident()).get("/sites")
    order = ["您所在的居（村）委会", "丙 回收", "您所在的街镇", "乙 回收", "区里其他地方", "甲 食堂"]
    assert [page.index(text) for text in order] == sorted(page.index(text) for text in order)
    page = browser(world).get("/sites")
    assert "您所在的" not in page
    assert "甲 食堂" in page


def test_what_was_looked_for_is_remembered_and_forgotten_in_one_tap(world: World, four: list[Site]) -> None:
    me = browser(world)
    page = me.get("/sites?kind=&action=recycle_paper&division=")
    assert "乙 回收" in page
    assert "甲 食堂" not in page
    page = me.get("/sites")
    assert me.address == "/sites?action=recycle_paper"
    assert "乙 回收" in page
    assert 'href="/sites?all=1"' in page
    assert "甲 食堂" in me.get("/sites?all=1")
    assert "甲 食堂" in me.get("/sites")
    assert me.path == "/sites"


@pytest.mark.parametrize(
    "query",
    [
        "kind=palace",
        "action=flying",
        "action=😀",
        "action=" + "x" * 300,
        "division=31",
        "division=😀",
        "division=310106999",
        "division=3101060060%27",
        "page=-1",
        "page=0",
        "page=😀",
        "page=1e9",
        "page=99999999999999999999999",
        "kind=😀&action=%E4&division=&page=",
    ],
)
def test_a_wrong_address_is_answered_kindly_and_not_remembered(world: World, query: str) -> None:
    me = browser(world)
    page = me.get(f"/sites?{query}")
    assert me.status == 422
    assert "显示全部点位" in page
    me.get("/sites")
    assert (me.status, me.address) == (200, "/sites?")
    assert world.call("GET", f"/sites?{query}").status_code == 422


def test_a_remembered_filter_that_is_no_longer_there_is_forgotten(world: World) -> None:
    me = browser(world)
    me.client.set_cookie("tph_sites", "action=gone&page=7&next=//evil.example", path="/sites")
    me.get("/sites")
    assert (me.status, me.address) == (422, "/sites?action=gone")
    me.get("/sites")
    assert (me.status, me.address) == (200, "/sites?")


def test_a_page_beyond_the_last_leads_back_and_an_empty_list_leads_on(world: World) -> None:
    anyone = browser(world)
    assert "区里还没有开放的点位" in anyone.get("/sites")
    world.site("own_cup")
    assert "回到第一页" in anyone.get("/sites?page=7")
    assert "没有符合这些条件的点位" in anyone.get("/sites?kind=parcel_station")
    assert anyone.get(f"/sites/{ids.new_id()}")
    assert anyone.status == 404


def test_long_lists_are_turned_page_by_page(world: World) -> None:
    for number in range(31):
        world.site("own_cup", name=f"点位 {number:02}")
    anyone = browser(world)
    page = anyone.get("/sites?action=own_cup")
    assert "第 1 页，共 2 页" in page
    assert 'href="/sites?action=own_cup&amp;page=2"' in page
    assert "点位 30" in anyone.get("/sites?action=own_cup&page=2")


# --- the API -----------------------------------------------------------------------------------------------


def test_anybody_may_read_the_list_by_machine(world: World, four: list[Site]) -> None:
    report(world.house, world.organiser, four[1].id, SiteCondition.FULL)
    answer = world.call("GET", "/sites?action=recycle_paper&division=310106006").get_json()
    (site,) = answer["sites"]
    assert (answer["total"], answer["page"], answer["pages"]) == (1, 1, 1)
    assert (site["id"], site["kinds"]) == (str(four[1].id), ["recycle_glass", "recycle_paper"])
    assert (site["standing"]["condition"], site["standing"]["by_staff"]) == ("full", True)
    assert site["page"].endswith(f"/sites/{four[1].id}")
