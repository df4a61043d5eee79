"""Reminders before a campaign begins, and thanks after it: told once, to whom they are for, without a row for each participant."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine

from activities import campaign_desk, campaign_reminders, campaign_thanks, codes
from activities.campaign_life import JOB, remind_at
from activities.campaign_notices import NoticeKind, notices_of
from activities.campaign_words import notice_words
from activities.campaigns import Campaign
from tanpuhui import clock, jobs, people
from tanpuhui.errors import CampaignMovedOn, InvalidField, NotAllowed, NotFound
from tanpuhui.people import Resident
from tanpuhui.rooms import House, build_house
from tests.browser import browser
from tests.tables import contents, written
from tests.threads import at_once
from tests.world import World

NOW = datetime(2027, 6, 1, 4, 0, tzinfo=UTC)
START, END = NOW + timedelta(days=10), NOW + timedelta(days=12)


@pytest.fixture(autouse=True)
def time() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


def launch(world: World, **more: Any) -> Campaign:
    return world.launch(
        world.campaign_in(world.site("own_cup"), **{"starts_at": START, "ends_at": END, **more})
    )


def tick(house: House) -> None:
    for job in (JOB, campaign_reminders.JOB):
        jobs.run_due(house, job, clock.now())


def told(world: World) -> list[Any]:
    query = sa.text("SELECT resident_id, reference FROM message WHERE kind = 'campaign.begins'")
    with world.house.db.reading() as connection:
        return [tuple(row) for row in connection.execute(query)]


def asked(world: World, *who: Resident) -> Campaign:
    campaign = launch(world)
    for one in who:
        campaign_reminders.ask(world.house, one.id, campaign.id, on=True)
    return campaign


REMINDS = remind_at(START - timedelta(days=60), START)


def test_who_asked_is_told_once_by_however_many_workers(
    world: World, time: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign_reminders, "AT_A_TIME", 2)
    residents = world.residents(5)
    campaign = asked(world, *residents)
    world.resident()  # did not ask
    people.leave(world.house, residents[4].id)
    campaign_reminders.ask(world.house, residents[3].id, campaign.id, on=False)
    tick(world.house)
    assert told(world) == []
    second = build_house(world.house.settings)
    for minute in range(4):
        time.move_to(REMINDS + timedelta(minutes=minute))
        at_once([lambda house=house: tick(house) for house in (world.house, second)] * 2)
    second.db.dispose()
    assert len(told(world)) == len(set(told(world))) == 3
    with world.house.db.reading_session() as session:
        (notice,) = [one for one in notices_of(session, campaign.id) if one.kind is NoticeKind.BEGINS]
    assert notice.params == {"at": START.isoformat(), "no_code": 1, "paused": 0}
    with world.app.test_request_context():
        assert "还有 1 个点位没有可用的码" in notice_words(notice)
    with pytest.raises(NotFound):
        campaign_reminders.ask(world.house, residents[4].id, campaign.id, on=True)
    with pytest.raises(CampaignMovedOn):  # everybody was reminded
        campaign_reminders.ask(world.house, residents[0].id, campaign.id, on=True)


def test_opening_and_closing_write_no_row_of_anybody(world: World, time: Any) -> None:
    """Who asked is told before; what is kept of it goes with a job of its own."""
    one = world.resident()
    asked(world, one)
    time.move_to(REMINDS)
    tick(world.house)
    tick(world.house)
    for moment in (START, END):
        time.move_to(moment)
        before = contents(world.house)
        jobs.run_due(world.house, JOB, clock.now())
        assert set(written(before, contents(world.house))) == {"campaign_step", "event_log", "job_run"}
    jobs.run_due(world.house, campaign_reminders.JOB, clock.now())
    assert contents(world.house)["campaign_reminder"] == {}


def test_after_an_outage_it_is_told_as_long_as_the_campaign_goes_on(world: World, time: Any) -> None:
    one = world.resident()
    asked(world, one)
    gone = asked(world, one)
    campaign_desk.cancel(world.house, world.organiser, gone.id, "台风")
    time.move_to(START + timedelta(hours=3))
    jobs.run_due(world.house, campaign_reminders.JOB, clock.now())  # before the step was taken
    assert len(contents(world.house)["campaign_reminder"]) == 1
    time.shift(timedelta(minutes=1))
    tick(world.house)
    assert len(told(world)) == 1


def test_a_resident_asks_on_the_page_and_reads_place_and_time(world: World, time: Any) -> None:
    campaign = launch(world, title="光盘行动周")
    codes.first_code(world.house, world.organiser, _first(world, "SELECT id FROM site"))
    me = browser(world, world.resident())
    assert "开始前提醒我" in me.get(f"/campaigns/{campaign.id}")
    assert "开始前提醒我" not in browser(world).get(f"/campaigns/{campaign.id}")
    assert "开始前一天会在收件箱提醒您" in me.send("/remind")
    time.move_to(REMINDS)
    tick(world.house)
    assert "提醒：“光盘行动周”就要开始了" in me.get("/me/inbox")
    page = me.get(f"/me/inbox/{_first(world, 'SELECT id FROM message ' + _BEGINS)}")
    assert "点位 " in page
    assert "2027年6月11日" in page


_BEGINS = "WHERE kind = 'campaign.begins'"


def _first(world: World, query: str) -> Any:
    with world.house.db.reading() as connection:
        return connection.scalar(sa.text(query).columns(sa.column("id", sa.Uuid())))


# --- thanks --------------------------------------------------------------------------------------------------


def test_thanks_are_said_when_it_is_over_and_mended_once(world: World, time: Any) -> None:
    site = world.site("own_cup")
    campaign = world.campaign(site, title="自带杯月")
    other = world.campaign(world.site("own_cup"), title="别的活动")
    guest, stranger = world.residents(2)
    world.scan(guest, world.code_at(site))
    world.house.relay.drain()
    house, organiser = world.house, world.organiser
    with pytest.raises(CampaignMovedOn):
        campaign_thanks.thank(house, organiser, campaign.id, "谢谢大家！")
    time.shift(timedelta(hours=2))
    boss = browser(world, organiser)
    boss.get(f"/console/campaigns/{campaign.id}/report")
    assert "请写 2 到 200 个字" in boss.send("/thanks", words="谢")
    assert "谢谢大家！" in boss.send("/thanks", words=" 谢谢大家！\n")
    with pytest.raises(InvalidField):
        campaign_thanks.thank(house, organiser, campaign.id, "谢" * 201)
    with pytest.raises(NotAllowed):
        campaign_thanks.thank(house, world.colleague(), campaign.id, "谢谢")
    before = contents(house)
    guests = browser(world, guest)
    assert "谢谢您参加“自带杯月”" in guests.get("/")
    assert "谢谢大家！" in guests.page.text
    for who in (stranger, None):
        assert "谢谢大家！" not in browser(world, who).get("/")
    assert "谢谢大家！" in browser(world).get(f"/campaigns/{campaign.id}")
    assert "谢谢大家！" not in browser(world).get(f"/campaigns/{other.id}")
    assert set(written(before, contents(house))) <= {"browser_session"}
    campaign_thanks.thank(house, organiser, campaign.id, "谢谢大家，杯子洗干净啦！")
    with pytest.raises(CampaignMovedOn):
        campaign_thanks.thank(house, organiser, campaign.id, "再谢一次")
    change = sa.text("UPDATE campaign_thanks SET words = 'x', mended_at = mended_at")
    with pytest.raises(sa.exc.DBAPIError, match="mended once"), house.db.transaction() as connection:
        connection.execute(change)
    time.shift(timedelta(days=31))
    assert "杯子洗干净啦" not in browser(world, guest).get("/")
    assert "杯子洗干净啦" in browser(world).get(f"/campaigns/{campaign.id}")
