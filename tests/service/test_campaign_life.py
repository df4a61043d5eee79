"""The steps of campaigns on a simulated clock: each once, in order, late if nobody was there, whoever ticks and dies."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
import time_machine
from sqlmodel import select

from activities import campaign_desk, campaign_life
from activities.campaign_life import JOB, LATE_AFTER, CampaignStep, Step, remind_at, steps_of
from activities.campaign_notices import NoticeKind, notices_of
from activities.campaign_reports import report_of
from activities.campaign_watch import watch
from activities.campaigns import Campaign, Stage, stage_of
from activities.observances import observances_of
from tanpuhui import clock, jobs
from tanpuhui.rooms import House, build_house
from tests.service.test_campaigns import anchored, date_it
from tests.threads import at_once
from tests.world import World

NOW = datetime(2027, 6, 1, 4, 0, tzinfo=UTC)
START = NOW + timedelta(days=10)
END = START + timedelta(days=2)
ALL = list(Step)


@pytest.fixture(autouse=True)
def time() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


def launch(world: World, **more: Any) -> Campaign:
    window = {"starts_at": START, "ends_at": END, "announce_days": 7}
    return world.launch(world.campaign_in(world.site("own_cup"), **{**window, **more}))


def tick(house: House) -> None:
    jobs.run_due(house, JOB, clock.now())


def taken(house: House, campaign_id: UUID) -> list[CampaignStep]:
    with house.db.reading_session() as session:
        return steps_of(session, campaign_id)


def advanced(house: House) -> list[str]:
    """The steps as the event log tells them, in its order."""
    with house.db.reading() as connection:
        rows = connection.scalars(
            sa.text("SELECT payload FROM event_log WHERE type = 'campaign.advanced' ORDER BY position")
        )
        facts = [campaign_life.CampaignAdvanced.model_validate_json(row) for row in rows]
    return [fact.step + (" late" if fact.late else "") for fact in facts]


def test_each_step_is_taken_when_it_is_due(world: World, time: Any) -> None:
    campaign = launch(world)
    settled = END + timedelta(hours=world.house.settings.late_hours)
    announced = START - timedelta(days=7)
    due = [announced, remind_at(announced, START), START, END, *[settled] * 3]
    due.append(settled + timedelta(days=90))
    for moment in sorted(set(due)):
        time.move_to(moment - timedelta(minutes=1))
        before = len(taken(world.house, campaign.id))
        tick(world.house)
        assert len(taken(world.house, campaign.id)) == before
        time.move_to(moment)
        tick(world.house)
        tick(world.house)
        assert [one.due_at for one in taken(world.house, campaign.id)] == [at for at in due if at <= moment]
    assert [one.step for one in taken(world.house, campaign.id)] == ALL
    assert not any(one.late for one in taken(world.house, campaign.id))
    assert advanced(world.house) == [step.value for step in ALL]
    with world.house.db.reading_session() as session:
        found = session.get_one(Campaign, campaign.id)
        assert stage_of(found, None, clock.now()) is Stage.ARCHIVED
        assert found.settled_at == settled


def test_after_three_days_without_a_worker_all_is_caught_up_in_order_and_said_to_be_late(
    world: World, time: Any
) -> None:
    first, second = launch(world), launch(world, starts_at=START + timedelta(hours=5))
    time.move_to(START - timedelta(days=8))
    tick(world.house)
    time.move_to(START + timedelta(days=3))
    code = world.code_at(world.site("own_cup"))
    assert world.scan(world.resident(), code, quantity="1")["action"]["campaign_id"] is None
    tick(world.house)
    steps = [
        (one.due_at, one.step) for one in (*taken(world.house, first.id), *taken(world.house, second.id))
    ]
    assert len(steps) == 8
    assert advanced(world.house) == [
        *("announce late", "announce late", "remind late", "remind late"),
        *("open late", "open late", "close late", "close late"),
    ]
    with world.house.db.reading_session() as session:
        late = [one.params["step"] for one in notices_of(session, first.id) if one.kind is NoticeKind.LATE]
        told = {one.kind for one in notices_of(session, first.id)}
    assert late[::-1] == ["announce", "remind", "open", "close"]
    assert NoticeKind.BEGINS not in told  # there is nothing to get ready any more
    assert timedelta(days=3) > LATE_AFTER


def test_two_workers_take_each_step_once(world: World, time: Any) -> None:
    second = build_house(world.house.settings)
    campaign = launch(world)
    for moment in (
        START - timedelta(days=7),
        START - timedelta(hours=4),
        START,
        END,
        END + timedelta(days=4),
    ):
        time.move_to(moment)
        at_once([lambda house=house: tick(house) for house in (world.house, second)] * 4)
    assert [one.step for one in taken(world.house, campaign.id)] == ALL[:-1]
    assert [word.split()[0] for word in advanced(world.house)] == [step.value for step in ALL[:-1]]
    second.db.dispose()


def test_without_the_claim_two_ticks_take_a_step_twice(
    world: World, time: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: what keeps a step from being taken twice is its row."""
    launch(world)
    time.move_to(START - timedelta(days=7))
    free = sa.text("UPDATE campaign SET title = title WHERE id = :campaign_id").bindparams(
        sa.bindparam("campaign_id", type_=sa.Uuid())
    )
    monkeypatch.setattr(campaign_life, "_CLAIM", free)
    for _ in range(2):
        with world.house.db.transaction() as connection:
            campaign_life.tick(world.house, connection, clock.now())
    assert advanced(world.house) == ["announce", "announce"]


@pytest.mark.parametrize("step", list(Step)[:-1])
def test_a_process_that_dies_at_a_step_leaves_it_to_the_next(
    world: World, time: Any, monkeypatch: pytest.MonkeyPatch, step: Step
) -> None:
    campaign = launch(world)
    time.move_to(END + timedelta(hours=world.house.settings.late_hours))

    class Killed(BaseException):
        """Nothing catches it, as nothing catches a kill."""

    publish, at = type(world.house).publish, iter(ALL)

    def dying(house: House, connection: Any, events: Any) -> Any:
        done = publish(house, connection, events)
        if next(at) is step:
            raise Killed
        return done

    monkeypatch.setattr(type(world.house), "publish", dying)
    with pytest.raises(Killed):
        tick(world.house)
    monkeypatch.undo()
    assert taken(world.house, campaign.id) == []  # the claim and the work are one
    assert advanced(world.house) == []
    tick(world.house)
    assert [one.step for one in taken(world.house, campaign.id)] == ALL[:-1]
    assert len(advanced(world.house)) == len(ALL) - 1


def test_a_step_that_fails_holds_nobody_up_and_is_tried_again(
    world: World, time: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = launch(world), launch(world)
    time.move_to(END + timedelta(hours=world.house.settings.late_hours))

    def broken(_house: House, _session: Any, campaign: Campaign, _now: datetime) -> None:
        if campaign.id == first.id:
            raise ValueError("broken")

    monkeypatch.setattr(campaign_life, "WORK", {**campaign_life.WORK, Step.SETTLE: broken})
    tick(world.house)
    assert Step.SETTLE not in {one.step for one in taken(world.house, first.id)}
    assert Step.SETTLE in {one.step for one in taken(world.house, second.id)}
    monkeypatch.undo()
    time.shift(timedelta(minutes=1))
    tick(world.house)
    assert Step.SETTLE in {one.step for one in taken(world.house, first.id)}


@pytest.mark.parametrize("before", [timedelta(days=2), timedelta(hours=3), -timedelta(hours=3)])
def test_what_is_approved_after_it_should_have_been_told_is_told_at_once_and_nobody_was_late(
    world: World, time: Any, before: timedelta
) -> None:
    time.move_to(START - before)
    campaign = launch(world)
    with world.house.db.reading_session() as session:
        found = session.get_one(Campaign, campaign.id)
        assert found.announces_at == clock.now()
        assert watch(session, found, clock.now(), world.house.settings.late_hours).overdue == []
        reminds = remind_at(found.announces_at, START)
    for moment in sorted({clock.now() + timedelta(minutes=1), max(reminds, clock.now()), START}):
        if moment >= clock.now():
            time.move_to(moment)
            tick(world.house)
    reminded = ["remind"] if before > timedelta(0) else []  # there is nothing to get ready for what has begun
    assert advanced(world.house) == ["announce", *reminded, "open"]


def test_a_campaign_that_moves_is_announced_anew_and_a_cancelled_one_takes_no_step(
    world: World, time: Any
) -> None:
    campaign = launch(world, when=anchored(), announce_days=30)
    gone = launch(world)
    campaign_desk.cancel(world.house, world.organiser, gone.id, "台风")
    for day in (date(2027, 6, 20), date(2027, 6, 25)):
        date_it(world, "low_carbon_day", day, day)
        tick(world.house)
        time.shift(timedelta(minutes=2))
    assert [(one.step, one.occasion.day) for one in taken(world.house, campaign.id)] == [
        (Step.ANNOUNCE, 20),
        (Step.ANNOUNCE, 25),
    ]
    time.move_to(END + timedelta(days=9))
    tick(world.house)
    assert taken(world.house, gone.id) == []


def test_what_was_cancelled_after_it_began_is_reported_and_nothing_else(world: World, time: Any) -> None:
    campaign = launch(world)
    time.move_to(START + timedelta(days=1))
    tick(world.house)
    campaign_desk.cancel(world.house, world.organiser, campaign.id, "台风")
    time.shift(timedelta(hours=world.house.settings.late_hours))
    for _ in range(2):
        time.shift(timedelta(minutes=1))
        tick(world.house)
    assert [one.step for one in taken(world.house, campaign.id)] == [
        *(Step.ANNOUNCE, Step.REMIND, Step.OPEN, Step.REPORT, Step.HONOUR)
    ]
    with world.house.db.reading_session() as session:
        assert report_of(session, campaign.id).snapshot["campaign"]["cancelled"] is True


def test_the_years_2019_to_2027_run_by_the_calendar(world: World, time: Any) -> None:
    """A campaign for every observance of every year, ticked twice a day: each opens and closes once, on its days."""
    site = world.site("own_cup")
    launched: dict[UUID, tuple[date, date]] = {}
    for year in range(2019, 2028):
        time.move_to(datetime(year, 1, 1, tzinfo=UTC))
        with world.house.db.reading_session() as session:
            known = [(one.key, first, last) for one, first, last in observances_of(session, year)]
        for key, first, last in known:
            campaign = world.launch(
                world.campaign_in(
                    site,
                    starts_at=clock.now(),
                    ends_at=clock.now(),
                    when=anchored(key=key, year=year, from_offset=-1),
                    announce_days=3,
                )
            )
            launched[campaign.id] = (first - timedelta(days=1), last)
    moments = set()
    for first, last in launched.values():
        begins, ends = clock.day_bounds(first)[0], clock.day_bounds(last)[1]
        moments.add(begins - timedelta(hours=15))
        for day in range(-4, (last - first).days + 6):
            moments.add(begins + timedelta(days=day))
        moments |= {begins - timedelta(seconds=1), ends - timedelta(seconds=1), ends + timedelta(days=120)}
    for moment in sorted(moments):
        time.move_to(moment)
        with world.house.db.transaction() as connection:
            campaign_life.tick(world.house, connection, clock.now())
    with world.house.db.reading_session() as session:
        steps = session.exec(select(CampaignStep)).all()
    assert len(steps) == len(launched) * len(ALL)
    for one in steps:
        first, last = launched[one.campaign_id]
        if one.step is Step.REMIND:
            assert clock.day_of(one.taken_at) == first - timedelta(days=1)
        if one.step is Step.OPEN:
            assert clock.day_of(one.taken_at) == first
            assert not one.late
        if one.step is Step.CLOSE:
            assert clock.day_of(one.taken_at) == last + timedelta(days=1)
            assert not one.late
    assert world.breaches() == []
