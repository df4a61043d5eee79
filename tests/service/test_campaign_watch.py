"""What the organisers of a campaign see while it runs, and what everybody sees of it on a wall."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from activities import campaign_life, sites
from activities.campaign_life import Step
from activities.campaign_watch import REASONS, Trouble, Watched, watch
from activities.campaigns import Campaign
from tanpuhui import clock
from tanpuhui.errors import Refused, SiteClosed, TooSoon, all_errors
from tests.browser import browser
from tests.document import ours
from tests.world import World

NOON = datetime(2027, 6, 5, 4, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def time() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


def watched(world: World, campaign: Campaign) -> Watched:
    with world.house.db.reading_session() as session:
        return watch(
            session,
            session.get_one(Campaign, campaign.id),
            clock.now(),
            world.house.settings.late_hours,
        )


def text(page: str) -> str:
    return re.sub(r"<[^>]+>", "", page)


def test_every_refusal_that_is_kept_has_a_reason_for_organisers() -> None:
    kept = [error for error in ours(all_errors()) if issubclass(error, Refused) and error.kept]
    told = [error for reason in REASONS for error in reason.errors]
    assert sorted(error.code for error in kept if error is not Refused) == sorted(
        error.code for error in told
    )


def test_refusals_are_counted_by_reason_at_its_sites_in_its_window(world: World, time: Any) -> None:
    site, elsewhere = world.site("clean_plate"), world.site("clean_plate")
    code, other = world.code_at(site), world.code_at(elsewhere)
    first, second = world.residents(2)

    def refused(error: type[Refused], who: Any, token: str) -> None:
        with pytest.raises(error):
            world.scan(who, token)

    def close(at: sites.Site, status: str) -> None:
        sites.set_status(world.house, world.organiser, at.id, sites.SiteStatus(status), reason="盘点")

    close(site, "closed")
    refused(SiteClosed, first, code)  # before it begins
    time.shift(timedelta(hours=1))
    campaign = world.launch(
        world.campaign_in(site, starts_at=clock.now(), ends_at=clock.now() + timedelta(hours=20))
    )
    refused(SiteClosed, second, code)
    close(site, "open")
    close(elsewhere, "closed")
    refused(SiteClosed, first, other)  # no site of its
    world.scan(first, code)
    for _ in range(2):
        refused(TooSoon, first, code)
    found = watched(world, campaign).refused
    assert [(one.reason.name, one.times) for one in found] == [("到了上限", 2), ("点位没开", 1)]
    page = text(browser(world, world.organiser).get(f"/console/campaigns/{campaign.id}"))
    assert "请到点位页核对状态和时间" in page
    time.shift(timedelta(hours=24))
    refused(SiteClosed, second, other)
    assert sum(one.times for one in watched(world, campaign).refused) == 3


def test_what_is_wrong_is_said_with_what_can_be_done(world: World, time: Any) -> None:
    fine, silent, bare, shut = (
        world.site("own_cup", name=name) for name in ("好的", "没声音", "没码", "关了")
    )
    code = world.code_at(fine)
    for site in (silent, shut):
        world.code_at(site)
    start = clock.now() + timedelta(hours=1)
    campaign = world.launch(
        world.campaign_in(fine, silent, bare, shut, starts_at=start, ends_at=start + timedelta(hours=2))
    )
    sites.set_status(world.house, world.organiser, shut.id, sites.SiteStatus.CLOSED, reason="盘点")
    troubles = {site.name: trouble for site, trouble in watched(world, campaign).sites}
    assert troubles == {"没码": Trouble.NO_CODE, "关了": Trouble.CLOSED}  # nothing is silent before it begins
    time.move_to(start)
    world.scan(world.resident(), code)
    with world.house.db.transaction() as connection:
        campaign_life.tick(world.house, connection, clock.now())
    time.shift(timedelta(minutes=20))
    seen = watched(world, campaign)
    assert {site.name: trouble for site, trouble in seen.sites} == {**troubles, "没声音": Trouble.SILENT}
    assert (seen.overdue, seen.parked) == ([], 0)
    time.move_to(start + timedelta(hours=2, minutes=20))
    seen = watched(world, campaign)
    assert seen.sites == []
    assert seen.overdue == [(Step.CLOSE, start + timedelta(hours=2))]
    page = text(browser(world, world.organiser).get(f"/console/campaigns/{campaign.id}"))
    assert "“结束”本该在" in page


def test_the_budget_is_told_to_organisers_however_few_have_something_of_it(world: World) -> None:
    site = world.site("clean_plate")
    bonus = {"by": "points", "amount": 7, "cap": 50, "budget": 300}
    campaign = world.campaign(site, bonus=bonus)
    world.scan(world.resident(), world.code_at(site))
    world.house.relay.drain()
    desk = text(browser(world, world.organiser).get(f"/console/campaigns/{campaign.id}"))
    assert "已发 7，共 300 分" in desk
    assert "还剩 293 分" in desk
    assert "已发 7" not in text(browser(world).get(f"/campaigns/{campaign.id}"))


def test_a_wall_shows_the_numbers_of_five_and_not_of_fewer(world: World, time: Any) -> None:
    site = world.site("clean_plate")
    code = world.code_at(site)
    campaign = world.campaign(site, hours=30, goals={"participants": 10}, title="光盘周")
    anyone = browser(world)

    def wall(more: int) -> str:
        for resident in world.residents(more):
            world.scan(resident, code)
        world.house.relay.drain()
        return text(anyone.get(f"/campaigns/{campaign.id}/screen"))

    assert "不公布合计" in wall(4)
    shown = wall(1)
    assert "5 / 10" in shown
    assert "截至 12:00" in shown
    assert "千克" in shown
    assert "<svg" in anyone.page.text
    assert f"/campaigns/{campaign.id}/screen" in browser(world, world.organiser).get(
        f"/console/campaigns/{campaign.id}"
    )
    hidden = world.launch(
        world.campaign_in(
            site, starts_at=NOON + timedelta(days=9), ends_at=NOON + timedelta(days=10), announce_days=0
        )
    )
    anyone.get(f"/campaigns/{hidden.id}/screen")
    assert anyone.status == 404  # not announced yet


def test_the_parked_are_told_by_number_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = world.campaign(world.site("own_cup"))
    monkeypatch.setattr("tanpuhui.outbox.parked", lambda _connection: [object(), object()])
    page = text(browser(world, world.organiser).get(f"/console/campaigns/{campaign.id}"))
    assert "系统有 2 件事没处理成" in page
