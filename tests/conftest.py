"""Fixtures. Whatever uses `house` or `world` runs on SQLite and on PostgreSQL."""

import gc
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from argon2 import PasswordHasher
from hypothesis import HealthCheck, settings

from tanpuhui import staff
from tanpuhui.rooms import House
from tanpuhui.web import slowing
from tests import once
from tests.databases import SCRATCH, Postgres, Shelf, postgres_programs
from tests.world import World

ENGINES = ("sqlite", "postgres")

# No test is timed: a busy machine takes longer for the same examples.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_configure() -> None:
    """Folders of tests, of servers and of browsers are made where the databases are."""
    os.environ.setdefault("TMPDIR", str(SCRATCH))
    tempfile.tempdir = None  # what was found before


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where everything a test may need is installed (CI), a skipped test is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("TANPUHUI_TESTS_SKIP_NOTHING") and reporter and reporter.stats.get("skipped"):
        session.exitstatus = 1


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What drives a browser, or kills processes under load, is tried once more if it fails, and the report names it.

    A machine of two cores that does both at once starves one of them now and then. What is broken fails twice.
    """
    for item in items:
        if item.get_closest_marker("browser") or item.get_closest_marker("faults"):
            item.add_marker(pytest.mark.flaky(reruns=1))


def pytest_collection_finish() -> None:
    """Modules and tests stay until the end: no need to look through them for garbage again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def quick_passwords() -> Iterator[None]:
    """Passwords hashed in a millisecond: what makes guessing slow made every member of staff in a test cost a tenth of a second."""
    quick = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(staff, "_hasher", quick)
        patch.setattr(staff, "_dummy", quick.hash("nobody's password"))
        yield


@pytest.fixture(scope="session", autouse=True)
def unhurried() -> Iterator[None]:
    """Tests of bad input are refused more often in a minute than anybody is let; `test_flood` has its own limits."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MOST_OF_ACCOUNT", "MOST_OF_ADDRESS"):
            patch.setattr(slowing, name, 1_000_000)
        yield


@pytest.fixture(scope="session", autouse=True)
def apps_made_of_the_same_parts() -> Iterator[None]:
    """See `tests.once`."""
    with once.described_and_routed_once():
        yield


@pytest.fixture(scope="session", autouse=True)
def plain_tracebacks() -> Iterator[None]:
    """As a deployment logs them: structlog alone would draw each with all its variables, which takes seconds."""
    before = structlog.get_config()
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*before["processors"][:-1], plain])
    yield
    structlog.configure(**before)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server for this run; skips where its programs are missing."""
    if postgres_programs() is None:
        pytest.skip("PostgreSQL's programs (initdb, postgres) are not on this machine")
    server = Postgres()
    yield server
    server.destroy()


@pytest.fixture(scope="session")
def shelves() -> dict[str, Shelf]:
    """The shelf of each engine, made when first used."""
    return {}


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """The name of the engine of this test."""
    return str(request.param)


@pytest.fixture
def shelf(
    engine: str,
    shelves: dict[str, Shelf],
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Shelf:
    """Databases of this test's engine."""
    if engine not in shelves:
        server = request.getfixturevalue("postgres") if engine == "postgres" else None
        shelves[engine] = Shelf(tmp_path_factory.mktemp(engine), server)
    return shelves[engine]


@pytest.fixture
def house(shelf: Shelf, tmp_path: Path) -> Iterator[House]:
    """A house on a fresh, migrated database without reference data."""
    with shelf.database(loaded=False) as url:
        house = shelf.house(url, tmp_path)
        yield house
        house.db.dispose()


@pytest.fixture
def world(shelf: Shelf, tmp_path: Path) -> Iterator[World]:
    """A house on a fresh database with reference data, and ways to fill it."""
    with shelf.database(loaded=True) as url:
        house = shelf.house(url, tmp_path)
        yield World(house)
        house.db.dispose()
