"""The quality desk: each check sees its trouble and sees it go; who may look; that all is well is said."""

import dataclasses
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
import time_machine

from activities import sites
from activities.campaign_life import CampaignStep, Step
from activities.quantify import publication
from activities.sites import SiteStatus
from rewards.pools import CampaignPool
from rewards.reward_pools import set_budget
from tanpuhui import clock, jobs, outbox, quality
from tanpuhui.db import session_on
from tanpuhui.i18n import translated
from tanpuhui.jobs import JobRun
from tanpuhui.outbox import EventFailure
from tanpuhui.staff import Role
from tanpuhui.worker import Lease
from tests.browser import browser
from tests.service.test_feedback import reply, write
from tests.world import STREET, World


def found(world: World) -> dict[str, list[quality.Row]]:
    """The rows of every check, by its key."""
    with world.house.db.reading() as connection:
        looked = quality.look(world.house, connection, clock.now())
    return {one.check.key: list(one.rows) for one in looked}


def add(world: World, *rows: Any) -> None:
    """Put rows in, as something went wrong."""
    with world.house.db.session() as session:
        session.add_all(rows)


def later(**by: float) -> Any:
    """What the clock says after a while."""
    return time_machine.travel(clock.now() + timedelta(**by), tick=False)


def values(rows: list[quality.Row], name: str) -> list[Any]:
    """One value of each row."""
    return [row.values[name] for row in rows]


def test_parked_events_and_what_lags_behind(world: World) -> None:
    assert found(world)["parked"] == []
    past = clock.now()
    add(
        world,
        EventFailure(
            subscriber="figures", position=7, attempts=9, next_attempt_at=past, parked_at=past, error="x"
        ),
    )
    assert values(found(world)["parked"], "position") == [7]
    officer = browser(world, world.officer)
    for address in ("/bureau/quality", "/bureau/parked"):
        page = officer.get(address)
        assert "计入统计数" in page, address
    told = world.call("GET", "/quality", world.token(world.officer, Role.OFFICER)).get_json()["checks"]
    assert next(one["rows"][0]["text"] for one in told if one["key"] == "parked").startswith(
        "事件 7：“计入统计数”"
    )
    with world.house.db.transaction() as connection:
        assert outbox.deliver_again(connection, "figures", 7)
    assert found(world)["parked"] == []
    world.scan(world.resident(), world.code("clean_plate"))
    assert found(world)["lag"] == []
    with later(minutes=12):
        assert quality.Text("计入统计数") in values(found(world)["lag"], "subscriber")
        with world.house.db.session() as session:
            session.exec(sa.delete(EventFailure))  # type: ignore[call-overload]
        world.house.relay.drain()
        assert found(world)["lag"] == []


def lead(world: World, **times: Any) -> None:
    """What a worker that leads has written of itself."""
    with world.house.db.session() as session:
        session.merge(Lease(name="worker", holder="x", expires_at=clock.now(), **times))


def test_jobs_that_do_not_run(world: World) -> None:
    every = [job for room in world.house.rooms for job in room.jobs]
    (row,) = found(world)["jobs"]
    assert "后台进程没有在运行" in row.words
    now = clock.now()
    lead(world, renewed_at=now, taken_at=now - timedelta(minutes=1))
    assert found(world)["jobs"] == []  # it has just begun
    lead(world, renewed_at=now, taken_at=now - timedelta(minutes=11))
    assert values(found(world)["jobs"], "job") == [quality.Text(job.title) for job in every][: quality.SHOWN]
    add(world, *(JobRun(job=job.name, slot=jobs.slot_of(job, now), ran_at=now) for job in every))
    assert found(world)["jobs"] == []
    with later(minutes=25):
        (row,) = found(world)["jobs"]
        assert "后台进程没有在运行" in row.words
        lead(world, renewed_at=clock.now(), taken_at=now)
        late = {one.words for one in values(found(world)["jobs"], "job")}
        assert "封存积分账" in late
        assert "删除过了保存期的数据" not in late or clock.now().minute >= 10
        lead(world, renewed_at=clock.now(), taken_at=None)  # of an older release: it may have led for long
        assert late <= {one.words for one in values(found(world)["jobs"], "job")}
        page = browser(world, world.officer).get("/bureau/quality")
        assert "“封存积分账”没有按时运行" in page
        assert not [job.name for job in every if f"“{job.name}”" in page or f"任务 {job.name}" in page]
        english = browser(world, world.officer, "en").get("/bureau/quality")
        assert "Seal the ledger of points" in english


def test_what_runs_in_the_background_is_told_in_words(world: World) -> None:
    """Every job and every subscriber has words of its own, in both languages."""
    titles = [job.title for room in world.house.rooms for job in room.jobs]
    titles += [one.title for one in world.house.later]
    assert len(set(titles)) == len(titles)
    for title in titles:
        assert not title.isascii()
        assert translated(title, "en").isascii(), title


def test_letters_that_wait_too_long(world: World) -> None:
    letter = write(world, world.resident())
    assert found(world)["unanswered"] == []
    with later(days=60):
        (row,) = found(world)["unanswered"]
        assert row.at == {"feedback_id": letter}
        reply(world, world.officer, letter)
        assert found(world)["unanswered"] == []


def test_records_that_come_late_and_sites_that_fall_silent(world: World) -> None:
    with later(days=-3):
        site, resident = world.site("clean_plate", name="临汾食堂"), world.resident()
        code = world.code_at(site)
    world.site("clean_plate", name="从没用过")
    assert (found(world)["late_records"], found(world)["silent_sites"]) == ([], [])
    world.scan(resident, code, occurred_at=clock.now() - timedelta(hours=23))
    assert found(world)["late_records"] == []
    world.scan(resident, code, occurred_at=clock.now() - timedelta(hours=30))
    (row,) = found(world)["late_records"]
    assert (row.values, row.at) == ({"site": "临汾食堂", "late": 1}, {"site_id": site.id})
    with later(days=13):
        assert found(world)["silent_sites"] == []
    with later(days=16):
        assert found(world)["late_records"] == []
        (row,) = found(world)["silent_sites"]
        assert (row.values["site"], row.at) == ("临汾食堂", {"site_id": site.id})
        sites.set_status(world.house, world.organiser, site.id, SiteStatus.CLOSED, "暑假")
        assert found(world)["silent_sites"] == []
        sites.set_status(world.house, world.organiser, site.id, SiteStatus.OPEN, "开学")
        assert len(found(world)["silent_sites"]) == 1
        world.scan(world.resident(), code)
        assert found(world)["silent_sites"] == []
    with later(days=60):
        assert found(world)["silent_sites"] == []  # of long ago


def test_factors_that_end_that_are_missing_and_that_lack_pollutants(world: World) -> None:
    def kinds(key: str) -> list[str]:
        with world.house.db.reading() as connection:
            rows = next(one for one in _checks(world) if one.key == key).find(
                world.house, connection, clock.now()
            )
        return [row.at["code"] for row in rows]

    assert (kinds("no_factor"), "clean_plate" in kinds("factor_ends")) == ([], False)
    first = world.publish_factor("clean_plate", valid_from=clock.today(), nox_ng=None)
    assert "clean_plate" in kinds("pollutants")
    publication.retire(world.house, world.officer, first.id, clock.today() + timedelta(days=30), "有了新数据")
    assert "clean_plate" in kinds("factor_ends")
    with later(days=31):
        assert "clean_plate" in kinds("no_factor")
        whole = {f"{name}_ng": 1 for name in ("nox", "pm25", "voc", "so2", "co")}
        world.publish_factor("clean_plate", valid_from=clock.today(), **whole)
        for key in ("no_factor", "factor_ends", "pollutants"):
            assert "clean_plate" not in kinds(key), key


def _checks(world: World) -> list[quality.Check]:
    return [check for room in world.house.rooms for check in room.checks]


def test_steps_that_came_late_and_budgets_that_run_out(world: World) -> None:
    campaign = world.campaign(world.site("clean_plate"))
    pool = world.pool(100)
    assert [found(world)[key] for key in ("late_steps", "reward_pools", "campaign_pools")] == [[], [], []]
    now = clock.now()
    step = CampaignStep(
        campaign_id=campaign.id,
        step=Step.OPEN,
        occasion=clock.today(),
        due_at=now - timedelta(hours=3),
        taken_at=now,
        late=True,
    )
    add(world, step, CampaignPool(campaign_id=campaign.id, title="周", budget=100, granted=91))
    with world.house.db.transaction() as connection:
        connection.execute(sa.text("UPDATE reward_pool SET reserved = 91"))
    assert values(found(world)["reward_pools"], "left") == [9]
    assert values(found(world)["campaign_pools"], "left") == [9]
    assert values(found(world)["late_steps"], "campaign") == [campaign.title]
    set_budget(world.house, world.officer, pool, "1000", "追加")
    with world.house.db.transaction() as connection, session_on(connection) as session:
        session.get_one(CampaignPool, campaign.id).closed_at = now
    assert [found(world)[key] for key in ("reward_pools", "campaign_pools")] == [[], []]
    with later(days=15):
        assert found(world)["late_steps"] == []


def test_the_desk_tells_officers_what_to_do_and_that_all_is_well(world: World) -> None:
    letter = write(world, world.resident())
    with later(days=60):
        officer = browser(world, world.officer)
        page = officer.get("/bureau/quality")
        assert (officer.status, f'href="/bureau/feedback/{letter}"' in page) == (200, True)
        assert page.index("有没有来信") < page.index("哪些因子还缺")
        english = browser(world, world.officer, "en").get("/bureau/quality")
        assert "should have been answered" in english
        told = world.call("GET", "/quality", world.token(world.officer, Role.OFFICER))
        checks = {one["key"]: one for one in told.get_json()["checks"]}
        assert (told.status_code, checks.keys()) == (200, {one.key for one in _checks(world)})
        assert checks["unanswered"]["rows"][0]["page"] == f"/bureau/feedback/{letter}"
        assert checks["unanswered"]["count"] == 1
    for person in (
        world.organiser,
        world.colleague(Role.OFFICER, division=STREET),
        world.colleague(Role.HELPER),
    ):
        visitor = browser(world, person)
        visitor.get("/bureau/quality")
        assert visitor.status == 403
    assert world.call("GET", "/quality", world.token(world.organiser, Role.ORGANISER)).status_code == 403
    world.house.rooms = tuple(
        dataclasses.replace(room, checks=tuple(one for one in room.checks if one.key == "parked"))
        for room in world.house.rooms
    )
    assert "一切正常" in browser(world, world.officer).get("/bureau/quality")
