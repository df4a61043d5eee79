"""The public pages of campaigns: open, coming and over, what they add up to, and one's own part in them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import time_machine

from activities import campaign_desk, occasions
from activities.campaigns import Campaign
from activities.occasions import OccasionState
from activities.review import void_action
from activities.site_reports import SiteCondition, report
from activities.sites import Site
from tanpuhui import clock, ids
from tanpuhui.errors import NotFound
from tests.browser import browser
from tests.world import COMMUNITY, DISTRICT, OTHER_COMMUNITY, STREET, World

NOON = datetime(2027, 6, 5, 4, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def time() -> Iterator[time_machine.Traveller]:
    """Noon in Shanghai; a test goes on from there."""
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


def launch(
    world: World,
    title: str,
    *site_list: Site,
    starts: float = -1,
    hours: float = 24,
    division: str = DISTRICT,
) -> Campaign:
    start = clock.now() + timedelta(hours=starts)
    end = start + timedelta(hours=hours)
    return world.launch(
        world.campaign_in(*site_list, title=title, division_code=division, starts_at=start, ends_at=end)
    )


def titles(found: Any) -> list[str]:
    return [occasion.title for occasion in found]


def totals(world: World, campaign: Campaign) -> occasions.Totals | None:
    world.house.relay.drain()
    with world.house.db.reading() as connection:
        return occasions.totals(connection, occasions.one(connection, campaign.id, clock.now()))


def test_each_campaign_stands_where_time_puts_it(world: World, time: Any) -> None:
    site = world.site("clean_plate")
    launch(world, "昨天开始", site, starts=-24, hours=48)
    launch(world, "先结束的", site, hours=2)
    launch(world, "明天", site, starts=24)
    launch(world, "后天", site, starts=48)
    launch(world, "到此刻为止", site, starts=-2, hours=2)
    launch(world, "此刻开始", site, starts=0, hours=72)
    gone = launch(world, "取消了的", site, starts=5)
    campaign_desk.cancel(world.house, world.organiser, gone.id, "台风")
    with world.house.db.reading() as connection:
        found = occasions.occasions(connection, clock.now())
    assert titles(found.open) == ["先结束的", "昨天开始", "此刻开始"]
    assert titles(found.coming) == ["明天", "后天"]
    assert titles(found.over) == ["取消了的", "到此刻为止"]
    assert [one.state(clock.now()) for one in found.over] == [OccasionState.CANCELLED, OccasionState.OVER]
    assert (found.open[0].sites, found.open[0].where) == (1, "静安区")


def test_of_those_that_are_over_the_latest_twenty_are_listed(world: World) -> None:
    site = world.site("clean_plate")
    for number in range(22):
        launch(world, f"第 {number:02} 次", site, starts=-100 + number, hours=1)
    with world.house.db.reading() as connection:
        over = occasions.occasions(connection, clock.now()).over
    assert titles(over) == [f"第 {number:02} 次" for number in range(21, 1, -1)]


def test_totals_come_from_the_figures_and_nothing_is_told_of_few_people(world: World) -> None:
    site = world.site("clean_plate")
    code, campaign = world.code_at(site), launch(world, "光盘", site)
    other = launch(world, "别的", world.site("own_cup"))
    assert totals(world, campaign) == occasions.Totals(0, 0, 0, 0, 0)
    saved = [world.scan(resident, code)["action"] for resident in world.residents(4)]
    assert totals(world, campaign) is None
    page = browser(world).get(f"/campaigns/{campaign.id}")
    assert "不到 5 人" in page
    assert "4 条记录" not in page
    assert "估算减排量" not in page
    saved.append(world.scan(world.resident(), code)["action"])
    saved_mg = sum(action["reduction"]["co2e_mg"] for action in saved)
    assert totals(world, campaign) == occasions.Totals(5, 5, saved_mg, 0, 0)
    page = browser(world).get(f"/campaigns/{campaign.id}")
    assert "5 人参加" in page
    assert "估算减排量" in page
    assert totals(world, other) == occasions.Totals(0, 0, 0, 0, 0)
    void_action(world.house, world.organiser, UUID(saved[0]["id"]), "重复登记")
    assert totals(world, campaign) is None


def test_what_the_city_credits_stands_apart(world: World) -> None:
    site = world.site("metro_trip")
    campaign = launch(world, "出行", site)
    code = world.code_at(site)
    for resident in world.residents(5):
        world.scan(resident, code, quantity="5")
    found = totals(world, campaign)
    assert found is not None
    assert (found.co2e_mg, found.city_actions) == (0, 5)
    assert found.city_co2e_mg > 0
    assert "由市级核算" in browser(world).get(f"/campaigns/{campaign.id}")


def test_one_sees_ones_own_part_and_nobody_elses(world: World) -> None:
    site = world.site("clean_plate")
    code, campaign = world.code_at(site), launch(world, "光盘", site)
    mine, other = world.residents(2)
    world.scan(mine, code)
    world.house.relay.drain()
    for path in ("/campaigns", f"/campaigns/{campaign.id}"):
        assert "您在这次活动已记录 1 次" in browser(world, mine).get(path)
        assert "您在这次活动" not in browser(world, other).get(path)
        assert "您在这次活动" not in browser(world).get(path)
    assert "You have 1 record in this campaign" in browser(world, mine, language="en").get("/campaigns")


def test_the_page_of_a_campaign_says_when_where_and_how_its_sites_stand(world: World) -> None:
    site = world.site("clean_plate", name="临汾食堂")
    report(world.house, world.organiser, site.id, SiteCondition.CLOSED)
    campaign = launch(world, "光盘", site, hours=3)
    page = browser(world).get(f"/campaigns/{campaign.id}")
    for text in ("光盘", "2027年6月5日 11:00–14:00", "静安区", "临汾食堂", "没开", "进行中", "/scan"):
        assert text in page, text
    assert f'/campaigns/{campaign.id}"' in browser(world).get(f"/sites/{site.id}")
    campaign_desk.cancel(world.house, world.organiser, campaign.id, "台风")
    page = browser(world).get(f"/campaigns/{campaign.id}")
    assert "已取消" in page
    assert "台风" not in page  # the reason is written for the audit, not for the public
    assert "2027年6月5日 12:00 取消了" in page


def test_what_is_not_there_is_not_found(world: World) -> None:
    anyone = browser(world)
    for path in (f"/campaigns/{ids.new_id()}", "/campaigns/😀", "/campaigns/1"):
        anyone.get(path)
        assert anyone.status == 404, path
    with pytest.raises(NotFound), world.house.db.reading() as connection:
        occasions.one(connection, ids.new_id(), clock.now())


def test_without_campaigns_the_page_leads_to_the_sites(world: World) -> None:
    page = browser(world).get("/campaigns")
    assert "现在没有正在进行的活动" in page
    assert 'href="/sites"' in page


# --- the first page ----------------------------------------------------------------------------------------


def test_the_first_page_tells_what_goes_on_near_a_resident(world: World) -> None:
    here = world.site("clean_plate", name="近处食堂")
    there = world.site("clean_plate", name="远处食堂", community=OTHER_COMMUNITY)
    report(world.house, world.organiser, here.id, SiteCondition.FULL)
    launch(world, "全区活动", here, starts=24)
    launch(world, "街道活动", here, division=STREET)
    launch(world, "别处活动", there, division=OTHER_COMMUNITY[:9])
    launch(world, "很久以后", here, starts=24 * 15)
    launch(world, "已经过去", here, starts=-3, hours=1)
    page = browser(world, world.resident(COMMUNITY)).get("/")
    assert page.index("街道活动") < page.index("全区活动")
    assert "近处食堂" in page
    assert "满了" in page
    for elsewhere in ("远处食堂", "别处活动", "很久以后", "已经过去"):
        assert elsewhere not in page
    page = browser(world).get("/")
    assert "全区活动" in page
    assert "街道活动" not in page
    assert "近处食堂" not in page


def test_where_nothing_goes_on_the_first_page_leads_on(world: World) -> None:
    assert 'href="/sites"' in browser(world).get("/").split("<footer")[0]
    page = browser(world, world.resident()).get("/").split("<footer")[0]
    assert "您所在的居（村）委会还没有点位" in page
    assert 'href="/sites?all=1"' in page
