"""A fault at the n-th database call of one scan, for every n: all of it or nothing, and the retry credits once."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from activities import scans
from activities.actions import INSERT_ACTIONS
from activities.trees import INSERT_CHECKS
from tanpuhui import clock
from tanpuhui.errors import Unavailable
from tanpuhui.people import Resident
from tests.faults import wrong_builds
from tests.faults.ledgers import faults
from tests.faults.load import Answer, Member, Scan
from tests.world import World

pytestmark = [pytest.mark.faults, pytest.mark.xdist_group("faults")]

Fault = Callable[[Any], None]

#: What one scan, and a scan that checks trees, leave of a resident: one row each, or none.
SCAN = (
    "SELECT count(*) FROM action WHERE resident_id = :of",
    "SELECT count(*) FROM event_log WHERE resident_id = :of AND type = 'action.recorded'",
    "SELECT count(*) FROM transfer WHERE destination = :account",
    "SELECT count(*) FROM stored_answer WHERE owner_id = :of AND key = 'the-key'",
)
TREE_CHECK = (
    *SCAN,
    "SELECT count(*) FROM tree_check c JOIN planting p ON p.id = c.planting_id WHERE p.resident_id = :of",
)


class Broken(Exception):
    """A mistake in the middle of the work."""


def _mistake(_raw: Any) -> None:
    raise Broken


def _database_error(raw: Any) -> None:
    if isinstance(raw, sqlite3.Connection):
        raise sqlite3.OperationalError("disk I/O error")
    raise psycopg.errors.DiskFull("could not extend file: No space left on device")


def _connection_lost(raw: Any) -> None:
    if isinstance(raw, sqlite3.Connection):  # its connection is a file: what can happen is that it is taken
        raise sqlite3.OperationalError("database is locked")
    raw.close()  # the server rolls back
    raise psycopg.OperationalError("the connection is lost")


class _Calls:
    """Counts calls to the database: statements, and the commit before and after it is done; breaks one."""

    def __init__(self, engine: sa.Engine, at: int, fault: Fault) -> None:
        self._at, self._fault = at, fault
        self._dialect: Any = engine.dialect
        self.made = 0

    def _call(self, raw: Any) -> None:
        self.made += 1
        if self.made == self._at:
            self._fault(raw)

    def _statement(self, cursor: Any, *_args: Any) -> None:
        self._call(cursor.connection)

    @contextmanager
    def watching(self, engine: sa.Engine) -> Iterator[None]:
        """Count, and break, what `engine` is asked meanwhile."""
        commit = self._dialect.do_commit

        def watched_commit(raw: Any) -> None:
            self._call(raw.driver_connection)
            commit(raw)
            self._call(raw.driver_connection)

        sa.event.listen(engine, "do_execute", self._statement)
        self._dialect.do_commit = watched_commit
        try:
            yield
        finally:
            self._dialect.do_commit = commit
            sa.event.remove(engine, "do_execute", self._statement)


def _answer(resident: Resident, key: str, body: dict[str, Any]) -> Answer:
    text = json.dumps(body, ensure_ascii=False).encode()
    return Answer(Scan(Member(resident.id, ""), key, b""), 201, {}, text, 0.0)


def _rows(world: World, resident: Resident, queries: tuple[str, ...]) -> list[int]:
    """How many rows of the resident's each of `queries` counts."""
    account = f"resident:{resident.id}"
    of = resident.id if world.house.db.url.get_backend_name() == "postgresql" else resident.id.hex
    with world.house.db.reading() as connection:
        parameters = {"of": of, "account": account}
        return [
            int(
                connection.scalar(sa.text(query), {k: v for k, v in parameters.items() if f":{k}" in query})
                or 0
            )
            for query in queries
        ]


def _grower(code: str) -> Callable[[World], Resident]:
    """Residents who planted three trees by `code`, a year ago."""

    def join(world: World) -> Resident:
        resident = world.resident()
        with clock.pretending(clock.now() - timedelta(days=366)):
            world.plant(resident, code, 3)
        return resident

    return join


def _break_every_call(
    world: World,
    fault: Fault,
    code: str,
    *,
    resident_of: Callable[[World], Resident] = World.resident,
    quantity: int | None = None,
    queries: tuple[str, ...] = SCAN,
) -> tuple[int, list[str]]:
    """One resident's scan for each n, broken at its n-th call; how many calls there are, and what went wrong."""
    wrong: list[str] = []
    none, all_of_it = [0] * len(queries), [1] * len(queries)
    world.scan(resident_of(world), code, quantity=quantity)  # what is kept in memory is there
    for at in range(1, 100):
        resident, calls = resident_of(world), _Calls(world.house.db.engine, at, fault)
        answer = None
        with calls.watching(world.house.db.engine), suppress(Broken, Unavailable):
            answer = world.scan(resident, code, key="the-key", quantity=quantity)
        rows = _rows(world, resident, queries)
        if calls.made < at:
            return at - 1, wrong
        if rows not in (none, all_of_it) or (answer and rows != all_of_it):
            wrong.append(f"call {at}: {rows} rows")
        try:
            again = world.scan(resident, code, key="the-key", quantity=quantity)
        except Exception as error:
            wrong.append(f"call {at}: the retry fails: {error!r}")
            continue
        if answer not in (None, again) or _rows(world, resident, queries) != all_of_it:
            wrong.append(f"call {at}: the retry differs")
        wrong += [f"call {at}: {line}" for line in faults(world, [_answer(resident, "the-key", again)])]
    raise AssertionError("a scan has no hundred calls")


@pytest.mark.parametrize("fault", [_mistake, _database_error, _connection_lost])
def test_a_fault_at_any_call_leaves_all_or_nothing(world: World, fault: Fault) -> None:
    calls, wrong = _break_every_call(world, fault, world.code("own_cup"))
    assert calls >= 8
    assert wrong == []


def _break_every_call_of_a_tree_check(world: World) -> tuple[int, list[str]]:
    site = world.site("tree_planting")
    with clock.pretending(clock.now() - timedelta(days=366)):
        then = world.code_at(site, staffed=True)
    return _break_every_call(
        world,
        _mistake,
        world.code_at(site, staffed=True),
        resident_of=_grower(then),
        quantity=2,
        queries=TREE_CHECK,
    )


def test_a_fault_at_any_call_leaves_an_action_with_its_tree_check_or_neither(world: World) -> None:
    calls, wrong = _break_every_call_of_a_tree_check(world)
    assert calls >= 10
    assert wrong == []


def test_a_tree_check_committed_apart_is_found_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrong_builds, "GAP", 0)
    monkeypatch.setattr(scans, "INSERT_CHECKS", wrong_builds.CommittingInsert(INSERT_CHECKS))
    _, wrong = _break_every_call_of_a_tree_check(world)
    assert any("rows" in line for line in wrong)


def test_a_transaction_in_two_parts_is_found_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scans, "INSERT_ACTIONS", INSERT_ACTIONS)  # and put back afterwards
    monkeypatch.setattr(wrong_builds, "GAP", 0)
    wrong_builds.torn()
    _, wrong = _break_every_call(world, _mistake, world.code("own_cup"))
    assert any("rows" in line for line in wrong)
