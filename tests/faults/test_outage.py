"""PostgreSQL stops at once and starts again, and its connections are cut, under load."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tanpuhui.rooms import build_house
from tests.databases import Postgres, Shelf, postgres_programs, settings_for
from tests.faults.ledgers import faults
from tests.faults.load import KINDS, Answer, Load, crowd, scans_of
from tests.faults.servers import Deployment
from tests.world import World

pytestmark = [pytest.mark.faults, pytest.mark.postgres, pytest.mark.xdist_group("faults")]

STOPS = 3
CUTS = 20
DOWN = 0.5  # seconds
FIRST_WRITE = 5.0  # seconds after the start


@pytest.fixture
def durable(tmp_path: Path) -> Iterator[tuple[Postgres, str]]:
    """A server that keeps what it acknowledged through an immediate stop, and a loaded database on it."""
    if postgres_programs() is None:
        pytest.skip("PostgreSQL's programs (initdb, postgres) are not on this machine")
    server = Postgres(fsync=True)
    try:
        with Shelf(tmp_path, server).database(loaded=True) as url:
            yield server, url
    finally:
        server.destroy()


def _restart(server: Postgres) -> float:
    """Stop at once, rest, start; the moment it took connections again."""
    server.stop("immediate")
    time.sleep(DOWN)
    server.start()
    return time.monotonic()


def _first_after(load: Load, moment: float) -> float:
    """Seconds from `moment` to the first acknowledged scan after it."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        later = [answer.at for answer in load.acknowledged if answer.at > moment]
        if later:
            return min(later) - moment
        time.sleep(0.01)
    raise AssertionError(f"nothing was written in 20 s: {load.others[-2:]}")


def _told(answers: list[Answer]) -> list[str]:
    return [f"{answer.status} {answer.headers} {answer.body!r}" for answer in answers[:3]]


def test_an_immediate_stop_of_postgresql_loses_nothing(durable: tuple[Postgres, str], tmp_path: Path) -> None:
    server, url = durable
    world = World(build_house(settings_for(url, tmp_path)))
    scans = scans_of(crowd(world, 1000), world.code(*KINDS))
    waits = []
    with Deployment(url, tmp_path) as deployment:
        with Load(deployment.port, scans) as load:
            for _ in range(STOPS):
                load.wait_for(60)
                waits.append(_first_after(load, _restart(server)))
            load.wait_for(60)
            load.finish()
        assert load.others, "the stops did not meet the load"
        assert _told(load.surprises()) == []
        assert load.cut == 0
        assert max(waits) <= FIRST_WRITE, waits
        assert deployment.audit() == []
        assert faults(world, load.acknowledged) == []
        assert deployment.unexpected() == []
        assert all(worker.running for worker in deployment.workers)
    world.house.db.dispose()


def test_a_server_that_does_not_keep_what_it_acknowledged_is_found_out(tmp_path: Path) -> None:
    if postgres_programs() is None:
        pytest.skip("PostgreSQL's programs (initdb, postgres) are not on this machine")
    server = Postgres()  # commits are acknowledged before they are written
    try:
        with Shelf(tmp_path, server).database(loaded=True) as url:
            world = World(build_house(settings_for(url, tmp_path)))
            scans = scans_of(crowd(world, 300), world.code(*KINDS))
            with world.house.db.engine.connect() as connection:
                connection.execution_options(isolation_level="AUTOCOMMIT").execute(sa.text("CHECKPOINT"))
            found: list[str] = []
            with Deployment(url, tmp_path) as deployment, Load(deployment.port, scans, pause=0.0) as load:
                for _ in range(5):
                    load.wait_for(40)
                    server.stop("immediate")
                    server.start()
                    found = faults(world, load.acknowledged)
                    if found:
                        break
            assert any(line.startswith("lost") for line in found)
            world.house.db.dispose()
    finally:
        server.destroy()


def test_cut_connections_lose_nothing(durable: tuple[Postgres, str], tmp_path: Path) -> None:
    _, url = durable
    world = World(build_house(settings_for(url, tmp_path)))
    scans = scans_of(crowd(world, 1000), world.code(*KINDS))
    cut = 0
    with Deployment(url, tmp_path) as deployment:
        with Load(deployment.port, scans, threads=12) as load:
            for _ in range(CUTS):
                load.wait_for(20)
                cut += _cut_connections(url)
            load.wait_for(20)
            load.finish()
        assert cut >= CUTS
        assert _told(load.surprises()) == []
        assert load.cut == 0
        assert len(load.others) <= cut, "at most one 503 a connection"
        assert deployment.audit() == []
        assert faults(world, load.acknowledged) == []
        assert deployment.unexpected() == []
        assert all(worker.running for worker in deployment.workers)
    world.house.db.dispose()


@pytest.mark.parametrize(
    ("keep_alive", "cut"), [(75, False), (2, True)], ids=["as documented", "gunicorn's own"]
)
def test_a_proxy_that_pauses_keeps_its_connections(
    durable: tuple[Postgres, str], tmp_path: Path, keep_alive: int, cut: bool
) -> None:
    """With gunicorn's two seconds, what is sent after a pause is lost: behind a proxy, a 502."""
    _, url = durable
    world = World(build_house(settings_for(url, tmp_path)))
    scans = scans_of(crowd(world, 300), world.code(*KINDS))
    with (
        Deployment(url, tmp_path, keep_alive=keep_alive) as deployment,
        Load(deployment.port, scans, threads=4) as load,
    ):
        load.wait_for(20)
        with load.paused():
            time.sleep(3)
        load.wait_for(20)
        load.finish()
    assert (load.cut > 0) == cut
    world.house.db.dispose()


def _cut_connections(url: str) -> int:
    """End every other session of the database; how many there were."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        ended = connection.scalars(
            sa.text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
        ).all()
    engine.dispose()
    return len(ended)
