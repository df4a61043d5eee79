"""kill -9 in the middle of load, twenty times: what was answered is there, whole, once."""

import os
import signal
from pathlib import Path

import pytest

from tests.faults.ledgers import faults
from tests.faults.load import KINDS, Load, at_once, crowd, scans_of
from tests.faults.servers import Deployment, integrity
from tests.faults.wrong_builds import hasty, torn
from tests.world import World

pytestmark = [pytest.mark.faults, pytest.mark.xdist_group("faults")]

KILLS = 20
BETWEEN_KILLS = 25  # scans acknowledged


def _address(world: World) -> str:
    return world.house.db.url.render_as_string()


def _kill_something(deployment: Deployment, turn: int) -> None:
    """SQLite: the one process. PostgreSQL: a web process and the worker in turn, now and then the whole web."""
    assert deployment.web is not None
    if deployment.is_sqlite or turn % 10 == 9:
        deployment.web.kill()
    elif turn % 2 == 1:
        deployment.workers.pop().kill()
    else:
        processes = deployment.web.children()
        os.kill(processes[turn % len(processes)], signal.SIGKILL)
        return  # its master starts another
    deployment.start()


def test_nothing_is_lost_or_half_there_after_twenty_kills(world: World, tmp_path: Path) -> None:
    scans = scans_of(crowd(world, 1000), world.code(*KINDS))
    with Deployment(_address(world), tmp_path) as deployment:
        with Load(deployment.port, scans) as load:
            for turn in range(KILLS):
                load.wait_for(BETWEEN_KILLS)
                _kill_something(deployment, turn)
            load.wait_for(BETWEEN_KILLS)
            load.finish()
        assert load.cut >= KILLS / 2, "the kills did not meet the load"
        assert load.surprises() == []
        assert deployment.audit() == []
        assert faults(world, load.acknowledged) == []
        again = at_once(deployment.port, [answer.scan for answer in load.acknowledged[-200:]])
        assert [answer.body for answer in again] == [answer.body for answer in load.acknowledged[-200:]]
        assert faults(world, load.acknowledged) == []


@pytest.mark.parametrize(
    ("build", "fault"), [(hasty.__name__, "lost"), (torn.__name__, "an action has exactly one event")]
)
def test_a_wrong_commit_is_found_by_the_same_check(
    world: World, tmp_path: Path, build: str, fault: str
) -> None:
    scans = scans_of(crowd(world, 200), world.code(*KINDS))
    found: list[str] = []
    with (
        Deployment(_address(world), tmp_path, build=build) as deployment,
        Load(deployment.port, scans, pause=0.0) as load,
    ):
        for _ in range(8):
            load.wait_for(10)
            assert deployment.web is not None
            deployment.web.kill()
            found = faults(world, load.acknowledged)
            if any(line.startswith(fault) for line in found):
                return
            deployment.start()
    raise AssertionError(f"not found out: {found}")


def test_sigterm_under_load_ends_cleanly(world: World, tmp_path: Path) -> None:
    scans = scans_of(crowd(world, 300), world.code(*KINDS))
    with Deployment(_address(world), tmp_path) as deployment:
        with Load(deployment.port, scans) as load:
            load.wait_for(50)
            assert deployment.web is not None
            ended = [process.terminate() for process in (*deployment.workers, deployment.web)]
            deployment.start()
            load.wait_for(50)
            load.finish()
        assert [code for code, _ in ended] == [0] * len(ended)
        assert max(seconds for _, seconds in ended) < 10
        assert load.surprises() == []
        assert deployment.audit() == []
        assert faults(world, load.acknowledged) == []
    if deployment.is_sqlite:
        assert integrity(deployment.url) == "ok"
