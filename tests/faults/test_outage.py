"""PostgreSQL stops at once and starts again, and its connections are cut, under load."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
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
FIRST_WRITE = 5.0  # seconds after the start, beyond what sixty scans take while nothing is wrong


@contextmanager
def _world_on(server: Postgres, folder: Path) -> Iterator[World]:
    """A world on `server`; both are gone afterwards, because what a failed test leaves open fails others, too."""
    with ExitStack() as after:
        after.callback(server.destroy)
        url = after.enter_context(Shelf(folder, server).database(loaded=True))
        world = World(build_house(settings_for(url, folder)))
        after.callback(world.house.db.dispose)
        yield world


def _server(*, fsync: bool = True) -> Postgres:
    """A server of its own, which keeps what it acknowledged through an immediate stop if `fsync`."""
    if postgres_programs() is None:
        pytest.skip("PostgreSQL's programs (initdb, postgres) are not on this machine")
    return Postgres(fsync=fsync)


@pytest.fixture
def durable(tmp_path: Path) -> Iterator[tuple[Postgres, World]]:
    """A server that keeps what it acknowledged, and a world on it."""
    server = _server()
    with _world_on(server, tmp_path) as world:
        yield server, world


def _address(world: World) -> str:
    return world.house.db.url.render_as_string()


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


def test_an_immediate_stop_of_postgresql_loses_nothing(
    durable: tuple[Postgres, World], tmp_path: Path
) -> None:
    server, world = durable
    scans = scans_of(crowd(world, 1000), world.code(*KINDS))
    waits = []
    with Deployment(_address(world), tmp_path) as deployment:
        with Load(deployment.port, scans) as load:
            for _ in range(STOPS):
                began = time.monotonic()
                load.wait_for(60)
                pace = time.monotonic() - began  # of a machine that does much else, too
                waits.append(_first_after(load, _restart(server)) - pace)
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


def test_a_server_that_does_not_keep_what_it_acknowledged_is_found_out(tmp_path: Path) -> None:
    server = _server(fsync=False)  # commits are acknowledged before they are written
    found: list[str] = []
    with _world_on(server, tmp_path) as world:
        scans = scans_of(crowd(world, 300), world.code(*KINDS))
        with world.house.db.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").execute(sa.text("CHECKPOINT"))
        with (
            Deployment(_address(world), tmp_path) as deployment,
            Load(deployment.port, scans, pause=0.0) as load,
        ):
            for _ in range(5):
                load.wait_for(40)
                server.stop("immediate")
                server.start()
                found = faults(world, load.acknowledged)
                if found:
                    break
    assert any(line.startswith("lost") for line in found)


def test_cut_connections_lose_nothing(durable: tuple[Postgres, World], tmp_path: Path) -> None:
    _, world = durable
    scans = scans_of(crowd(world, 1000), world.code(*KINDS))
    cut = 0
    with Deployment(_address(world), tmp_path) as deployment:
        with Load(deployment.port, scans, threads=12) as load:
            for _ in range(CUTS):
                load.wait_for(20)
                cut += _cut_connections(_address(world))
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


@pytest.mark.parametrize(
    ("keep_alive", "cut"), [(75, False), (2, True)], ids=["as documented", "gunicorn's own"]
)
def test_a_proxy_that_pauses_keeps_its_connections(
    durable: tuple[Postgres, World], tmp_path: Path, keep_alive: int, cut: bool
) -> None:
    """With gunicorn's two seconds, what is sent after a pause is lost: behind a proxy, a 502."""
    _, world = durable
    scans = scans_of(crowd(world, 300), world.code(*KINDS))
    with (
        Deployment(_address(world), tmp_path, keep_alive=keep_alive) as deployment,
        Load(deployment.port, scans, threads=4) as load,
    ):
        load.wait_for(20)
        with load.paused():
            time.sleep(3)
        load.wait_for(20)
        load.finish()
    assert (load.cut > 0) == cut


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
