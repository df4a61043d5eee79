"""The relay with two readers, with a dead leader, and with an event that nobody can handle."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from activities.events import ActionRecorded
from tanpuhui import clock, outbox
from tanpuhui.db import Database
from tanpuhui.events import Event
from tanpuhui.outbox import Relay
from tanpuhui.rooms import House, Room
from tanpuhui.subscribers import Later
from tanpuhui.worker import Worker
from tests.faults.ledgers import faults
from tests.faults.load import KINDS, Load, crowd, scans_of
from tests.faults.servers import Deployment
from tests.faults.wrong_builds import UnlockedRelay
from tests.world import World

pytestmark = [pytest.mark.faults, pytest.mark.xdist_group("faults")]

_HEAR = sa.text(
    "INSERT INTO heard (subject, times) VALUES (:subject, 1) ON CONFLICT (subject) DO UPDATE SET times = heard.times + 1"
)


def _count(connection: Connection, events: Sequence[Event]) -> None:
    connection.execute(_HEAR, [{"subject": str(event.subject_id)} for event in events])


def _like(world: World, *later: Later) -> House:
    """A house of its own on the same database, with more subscribers."""
    settings = world.house.settings
    rooms = (*world.house.rooms, Room("listening", later=later))
    return House(settings, Database(settings.database_url), rooms)


@contextmanager
def _relaying(houses: Sequence[House], relay: Callable[[House], Relay]) -> Iterator[None]:
    """A relay for each house, each in a thread; at the end they have brought everything."""
    stopping = threading.Event()
    errors: list[Exception] = []

    def run(house: House) -> None:
        mine = relay(house)
        try:
            while not stopping.is_set():
                mine.run_once()
            mine.drain()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(house,), daemon=True) for house in houses]
    for thread in threads:
        thread.start()
    yield
    stopping.set()
    for thread in threads:
        thread.join()
    assert errors == []


def _scan_beside_two_relays(world: World, relay: Callable[[House], Relay]) -> list[int]:
    """Record scans from four threads while two relays run; how often each event was heard."""
    with world.house.db.transaction() as connection:
        connection.execute(sa.text("CREATE TABLE heard (subject varchar(36) PRIMARY KEY, times integer)"))
    listener = Later("listener", "listener", (ActionRecorded,), _count, batch=20)
    houses = [_like(world, listener), _like(world, listener)]
    code, residents = world.code("own_cup"), world.residents(120)

    def phone(index: int) -> None:
        for resident in residents[index::4]:
            world.scan(resident, code)

    with _relaying(houses, relay):
        phones = [threading.Thread(target=phone, args=(index,), daemon=True) for index in range(4)]
        for one in phones:
            one.start()
        for one in phones:
            one.join()
    for house in houses:
        house.db.dispose()
    with world.house.db.reading() as connection:
        return list(connection.scalars(sa.text("SELECT times FROM heard")))


def test_two_relays_apply_each_event_once(world: World) -> None:
    assert _scan_beside_two_relays(world, Relay) == [1] * 120
    assert world.figure_differences() == []


def test_a_relay_that_does_not_hold_its_cursor_is_found_out(world: World) -> None:
    heard = _scan_beside_two_relays(world, UnlockedRelay)
    assert heard != [1] * 120 or world.figure_differences() != []


@pytest.mark.parametrize("engine", ["postgres"])
def test_the_second_worker_takes_over_from_a_dead_one(world: World, engine: str, tmp_path: Path) -> None:
    scans = scans_of(crowd(world, 600), world.code(*KINDS))
    with Deployment(world.house.db.url.render_as_string(), tmp_path) as deployment:
        deployment.add_worker()
        with Load(deployment.port, scans, threads=4) as load:
            load.wait_for(50)
            leader = _wait_for_leader(world)
            dead = next(worker for worker in deployment.workers if worker.pid == leader)
            dead.kill()
            killed = time.monotonic()
            second = _wait_for_leader(world, other_than=leader)
            took_over = time.monotonic() - killed
            load.wait_for(50)
            load.finish()
        assert second in {worker.pid for worker in deployment.workers if worker is not dead}
        assert took_over < 12, f"{took_over:.1f} s"
        deployment.wait_drained(10)
        assert deployment.readiness()["lease_age_seconds"] < 4
        assert deployment.audit() == []
        assert faults(world, load.acknowledged) == []


def _wait_for_leader(world: World, other_than: int = 0) -> int:
    """The process id in the lease, once it is there and another one."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with world.house.db.reading() as connection:
            holder = connection.scalar(sa.text("SELECT holder FROM lease WHERE name = 'worker'"))
        if holder and int(holder.split(":")[1]) != other_than:
            return int(holder.split(":")[1])
        time.sleep(0.05)
    raise AssertionError("nobody leads")


class _Poison:
    """A subscriber that cannot handle one event until it is mended."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.poison = ""
        self.tries = 0
        self.mended = False

    def handle(self, _connection: Connection, events: Sequence[ActionRecorded]) -> None:
        """Hear `events`, all or none."""
        if not self.mended and any(str(event.subject_id) == self.poison for event in events):
            self.tries += len(events) == 1
            raise ValueError("poison")
        self.heard += [str(event.subject_id) for event in events]


def _live_through_poison(world: World, monkeypatch: pytest.MonkeyPatch) -> tuple[House, _Poison, list[str]]:
    """Five scans, the third of which is poison to a listener; an hour of relaying."""
    poison = _Poison()
    house = _like(world, Later("listener", "listener", (ActionRecorded,), poison.handle))
    code = world.code("own_cup")
    made = [world.scan(resident, code)["action"]["id"] for resident in world.residents(5)]
    poison.poison = made[2]
    real = clock.now
    for minute in range(10):
        with monkeypatch.context() as patch:
            patch.setattr(clock, "now", lambda minute=minute: real() + timedelta(minutes=minute))
            house.relay.drain()
    return house, poison, made


def test_a_poison_event_is_parked_and_delivered_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    house, poison, made = _live_through_poison(world, monkeypatch)
    assert sorted(poison.heard) == sorted(made[:2] + made[3:])
    assert poison.tries == outbox.MAX_ATTEMPTS
    with house.db.reading() as connection:
        (parked,) = outbox.parked(connection)
        assert outbox.lag_seconds(connection, house.later) == 0
    assert (parked.subscriber, parked.attempts) == ("listener", outbox.MAX_ATTEMPTS)
    assert "poison" in parked.error
    assert world.figure_differences() == []

    poison.mended = True
    house.relay.drain()
    assert made[2] not in poison.heard, "a parked event waits for staff"
    with house.db.transaction() as connection:
        assert outbox.deliver_again(connection, parked.subscriber, parked.position)
        assert not outbox.deliver_again(connection, parked.subscriber, parked.position)
    house.relay.drain()
    assert sorted(poison.heard) == sorted(made)
    with house.db.reading() as connection:
        assert outbox.parked(connection) == []
    house.db.dispose()


def test_a_relay_that_drops_what_fails_is_found_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "_note_failure", lambda *_: None)
    house, poison, made = _live_through_poison(world, monkeypatch)
    with house.db.reading() as connection:
        assert outbox.parked(connection) == []
    assert made[2] not in poison.heard
    assert poison.tries < outbox.MAX_ATTEMPTS
    house.db.dispose()


def test_a_mistake_in_a_round_does_not_end_the_worker(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.scan(world.resident(), world.code("own_cup"))
    right, rounds = world.house.relay.run_once, itertools.count()

    def run_once() -> int:
        if next(rounds) == 0:
            raise KeyError("a mistake")
        return right()

    monkeypatch.setattr(world.house.relay, "run_once", run_once)
    worker = Worker(world.house)
    worker.start()
    try:
        deadline = time.monotonic() + 20
        while _lag(world) and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        worker.stop()
    assert next(rounds) > 1
    assert _lag(world) == 0


def _lag(world: World) -> float:
    with world.house.db.reading() as connection:
        return outbox.lag_seconds(connection, world.house.later)
