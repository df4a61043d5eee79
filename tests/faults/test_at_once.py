"""Many at the same moment: one key counts once, one code serves everybody."""

import json
from pathlib import Path

import pytest
from sqlmodel import func, select

from activities.actions import Action
from tanpuhui.idempotency import StoredAnswer
from tests.faults.ledgers import faults
from tests.faults.load import Answer, at_once, crowd, scan
from tests.faults.servers import Deployment
from tests.world import World

pytestmark = [pytest.mark.faults, pytest.mark.xdist_group("faults")]


def _count(world: World, table: type[Action] | type[StoredAnswer]) -> int:
    with world.house.db.reading_session() as session:
        return session.exec(select(func.count()).select_from(table)).one()


def _hundred_with_one_key(world: World, folder: Path, build: str = "") -> tuple[list[Answer], Answer]:
    """A hundred posts with one key at once; then the same key with another body."""
    code, (member,) = world.code("clothing_reuse"), crowd(world, 1)
    one = scan(member, code, "clothing_reuse", key="the-key")
    with Deployment(str(world.house.db.url.render_as_string()), folder, build=build) as deployment:
        answers = at_once(deployment.port, [one] * 100)
        other = scan(member, code, "clothing_reuse", key="the-key", quantity="2")
        return answers, at_once(deployment.port, [other])[0]


def test_a_hundred_posts_with_one_key_make_one_action(world: World, tmp_path: Path) -> None:
    answers, other = _hundred_with_one_key(world, tmp_path)
    assert {answer.status for answer in answers} == {201}
    assert len({answer.body for answer in answers}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    assert (other.status, json.loads(other.body)["code"]) == (409, "idempotency_key_reused")
    assert _count(world, Action) == _count(world, StoredAnswer) == 1
    assert faults(world, answers) == []


def test_without_the_look_for_the_key_answers_differ(world: World, tmp_path: Path) -> None:
    answers, other = _hundred_with_one_key(world, tmp_path, build="forgetful")
    assert len({(answer.status, answer.body) for answer in answers}) > 1
    assert json.loads(other.body)["code"] != "idempotency_key_reused"


def test_two_hundred_residents_scan_one_code(world: World, tmp_path: Path) -> None:
    code, members = world.code("own_cup"), crowd(world, 200)
    with Deployment(str(world.house.db.url.render_as_string()), tmp_path) as deployment:
        answers = at_once(deployment.port, [scan(member, code) for member in members])
        assert [answer.status for answer in answers] == [201] * 200
        assert len({json.loads(answer.body)["action"]["id"] for answer in answers}) == 200
        assert _count(world, Action) == 200
        assert deployment.audit() == []
        assert deployment.unexpected() == []
    assert faults(world, answers) == []
