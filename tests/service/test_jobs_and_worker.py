"""Jobs and the worker: each occurrence once, one leader, and no outage ends it."""

import time as wall
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine

from tanpuhui import clock, idempotency, ids, jobs, login, worker
from tanpuhui.errors import Unavailable
from tanpuhui.jobs import Job, run_due, slot_of
from tanpuhui.rooms import House, Room, build_house
from tanpuhui.sms import SmsSender
from tanpuhui.worker import Worker
from tests.tables import contents
from tests.threads import at_once, codes
from tests.world import World


@pytest.fixture
def houses(house: House) -> Iterator[list[House]]:
    second = build_house(house.settings)
    yield [house, second]
    second.db.dispose()


def until(true: Callable[[], bool], seconds: float = 15) -> bool:
    """Whether it came true within that time."""
    end = wall.monotonic() + seconds
    while wall.monotonic() < end:
        if true():
            return True
        wall.sleep(0.02)
    return False


# --- jobs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("every", "moment", "slot"),
    [
        (timedelta(hours=1), "2027-06-07T04:59:59.999999", "2027-06-07T04:00:00"),
        (timedelta(hours=1), "2027-06-07T05:00:00", "2027-06-07T05:00:00"),
        (timedelta(minutes=15), "2027-06-07T04:44:00", "2027-06-07T04:30:00"),
        (timedelta(days=1), "2027-06-07T23:59:59", "2027-06-07T00:00:00"),
    ],
)
def test_slots_are_counted_from_the_epoch(every: timedelta, moment: str, slot: str) -> None:
    job = Job("j", "j", every, lambda *_args: None)
    found = slot_of(job, datetime.fromisoformat(moment).replace(tzinfo=UTC))
    assert found == datetime.fromisoformat(slot).replace(tzinfo=UTC)


def test_each_slot_runs_once_whoever_ticks(houses: list[House]) -> None:
    ran: list[datetime] = []
    job = Job("tick", "tick", timedelta(hours=1), lambda _house, _connection, now: ran.append(now))
    moment = datetime(2027, 6, 7, 4, 10, tzinfo=UTC)
    results = at_once([lambda h=h: run_due(h, job, moment) for h in houses * 4])
    assert (sorted(results), ran) == ([False] * 7 + [True], [moment])
    assert not run_due(houses[0], job, moment + timedelta(minutes=49))
    assert run_due(houses[1], job, moment + timedelta(minutes=50))
    assert run_due(houses[1], job, moment + timedelta(days=3))  # what was missed meanwhile is caught up, once
    assert len(ran) == 3


def test_a_job_killed_half_way_frees_its_slot_and_leaves_nothing(house: House) -> None:
    broken = True

    def work(_house: House, connection: sa.Connection, now: datetime) -> None:
        row = {"owner_id": ids.new_id(), "key": "k", "request_hash": "", "answer": "", "stored_at": now}
        idempotency.store(connection, [row])
        if broken:
            raise KeyboardInterrupt

    job = Job("fragile", "fragile", timedelta(hours=1), work)
    with pytest.raises(KeyboardInterrupt):
        run_due(house, job, clock.now())
    assert contents(house)["stored_answer"] == {}
    assert contents(house)["job_run"] == {}
    broken = False
    assert run_due(house, job, clock.now())
    assert len(contents(house)["stored_answer"]) == 1


def test_the_slot_is_unique_in_the_database(house: House) -> None:
    insert = sa.text(
        "INSERT INTO job_run (job, slot, ran_at) VALUES ('j', '2027-01-01 00:00:00', '2027-01-01 00:00:00')"
    )
    with house.db.transaction() as connection:
        connection.execute(insert)
    with pytest.raises(sa.exc.IntegrityError), house.db.transaction() as connection:
        connection.execute(insert)


def test_housekeeping_deletes_what_is_kept_for_a_while_only(world: World) -> None:
    class Mute:
        def send(self, _phone: str, _text: str) -> None:
            """Say nothing."""

    house = world.house
    house.extras[SmsSender] = Mute()
    (job,) = [job for room in house.rooms for job in room.jobs if job.name == "housekeeping"]
    start = clock.now()
    with time_machine.travel(start, tick=False) as time:
        code = world.code("clean_plate")
        login.request_code(house, phone="13812345678", address="203.0.113.1")
        world.scan(world.resident(), code)
        assert run_due(house, job, clock.now())
        held = contents(house)
        assert (len(held["login_code"]), len(held["stored_answer"]), len(held["job_run"])) == (1, 1, 1)
        time.shift(timedelta(days=3))
        assert run_due(house, job, clock.now())
        held = contents(house)
        assert (len(held["login_code"]), len(held["stored_answer"])) == (0, 1)
        time.shift(timedelta(days=30))
        assert run_due(house, job, clock.now())
        assert contents(house)["stored_answer"] == {}
        assert len(contents(house)["action"]) == 1
        time.shift(timedelta(days=181))
        assert run_due(house, job, clock.now())
        assert len(contents(house)["job_run"]) == 1


# --- the worker --------------------------------------------------------------------------------------------


@contextmanager
def running(*houses: House) -> Iterator[list[Worker]]:
    workers = [Worker(house) for house in houses]
    try:
        for found in workers:
            found.start()
        yield workers
    finally:
        for found in workers:
            found.stop()


def test_one_worker_leads_and_hands_over_when_it_stops(houses: list[House]) -> None:
    with running(*houses) as workers:
        assert until(lambda: any(found.leads for found in workers))
        wall.sleep(1.2)  # long enough for the other to have tried
        assert sum(found.leads for found in workers) == 1
        leader, other = sorted(workers, key=lambda found: not found.leads)
        leader.stop()
        assert until(lambda: other.leads, 4)
    assert contents(houses[0])["lease"] == {}  # the last one handed it back


def test_a_second_worker_takes_over_when_the_first_is_dead(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "LEASE_FOR", timedelta(seconds=1.5))
    monkeypatch.setattr(worker, "RENEW_EVERY", 0.2)
    dead = Worker(house)
    dead._renew()
    assert dead.leads
    with running(house) as (second,):
        wall.sleep(0.6)
        assert not second.leads  # the lease still stands
        assert until(lambda: second.leads, 5)
    assert not dead.leads
    dead._renew()
    assert dead.leads


def test_a_lease_that_was_lost_is_noticed(house: House) -> None:
    first, second = Worker(house), Worker(house)
    first._renew()
    with time_machine.travel(clock.now() + timedelta(seconds=6)):
        second._renew()
        assert second.leads
        first._renew()
        assert not first.leads
        first._release()  # what is not mine I do not give away
        second._renew()
        assert second.leads


def test_the_worker_relays_what_is_recorded(world: World) -> None:
    with running(world.house):
        world.scan(world.resident(), world.code("clean_plate"))

        def counted() -> bool:
            with world.house.db.reading() as connection:
                return connection.scalar(sa.text("SELECT sum(actions) FROM daily_figure")) == 1

        assert until(counted, 5)


def test_the_worker_outlives_an_outage_of_the_database(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "RENEW_EVERY", 0.1)
    house = build_house(world.house.settings)
    healthy, refused = (house.db.transaction, house.db.reading), [0]

    @contextmanager
    def out() -> Iterator[Any]:
        refused[0] += 1
        if refused[0] % 2:
            raise Unavailable
        raise sa.exc.OperationalError("SELECT 1", {}, Exception("server closed the connection"))
        yield

    def counted() -> bool:
        with world.house.db.reading() as connection:
            return connection.scalar(sa.text("SELECT sum(actions) FROM daily_figure")) == 1

    with running(house) as (found,):
        assert until(lambda: found.leads)
        house.db.transaction, house.db.reading = out, out  # type: ignore[method-assign]
        world.scan(world.resident(), world.code("clean_plate"))
        assert until(lambda: refused[0] >= 4)
        assert not counted()
        house.db.transaction, house.db.reading = healthy  # type: ignore[method-assign]
        assert until(counted)
    house.db.dispose()


def test_a_failing_job_stops_neither_the_others_nor_the_worker(
    house: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[str] = []

    def fail(*_args: Any) -> None:
        ran.append("bad")
        raise ValueError("a mistake in a job")

    every = timedelta(hours=1)
    own = Room(
        "test",
        jobs=(Job("bad", "bad", every, fail), Job("good", "good", every, lambda *_args: ran.append("good"))),
    )
    house.rooms = (own,)
    found = Worker(house)
    found._run_jobs()
    assert ran == []  # it does not lead
    found._renew()
    found._run_jobs()
    found._run_jobs()
    assert ran == ["bad", "good", "bad"]  # free for the next tick; the good one is done
    assert "a mistake in a job" in "".join(capsys.readouterr())


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_job_that_meets_an_outage_waits_for_the_next_tick(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[str] = []

    def meet(*_args: Any) -> None:
        ran.append("away")
        if ran.count("away") == 1:
            raise Unavailable

    house.rooms = (Room("test", jobs=(Job("away", "away", timedelta(hours=1), meet),)),)
    found = Worker(house)
    found._renew()
    for _ in range(3):
        found._run_jobs()
    assert ran == ["away", "away"]
    said = "".join(capsys.readouterr())
    assert "job_waits" in said
    assert "Traceback" not in said


def test_workers_of_two_processes_count_every_event_once(world: World) -> None:
    second = build_house(world.house.settings)
    code = world.code("clean_plate")
    residents = world.residents(20)
    with running(world.house, second):
        results = at_once([lambda r=r: world.scan(r, code, key="k") for r in residents])
        assert set(codes(results)) == {"ok"}
    second.db.dispose()
    assert world.figure_differences() == []
    with world.house.db.reading() as connection:
        assert connection.scalar(sa.text("SELECT sum(actions) FROM daily_figure")) == 20
    assert jobs.JobRun.__tablename__ == "job_run"
