"""A fault at the n-th database call of one scan, for every n: all of it or nothing, and the retry credits once."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from activities import scans
from activities.actions import INSERT_ACTIONS
from tanpuhui.errors import Unavailable
from tanpuhui.people import Resident
from tests.faults import wrong_builds
from tests.faults.ledgers import faults
from tests.faults.load import Answer, Member, Scan
from tests.world import World

pytestmark = [pytest.mark.faults, pytest.mark.xdist_group("faults")]

Fault = Callable[[Any], None]


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


def _rows(world: World, resident: Resident) -> list[int]:
    """How many actions, events, transfers and stored answers the resident has."""
    account = f"resident:{resident.id}"
    of = resident.id if world.house.db.url.get_backend_name() == "postgresql" else resident.id.hex
    queries = (
        "SELECT count(*) FROM action WHERE resident_id = :of",
        "SELECT count(*) FROM event_log WHERE resident_id = :of AND type = 'action.recorded'",
        "SELECT count(*) FROM transfer WHERE destination = :account",
        "SELECT count(*) FROM stored_answer WHERE owner_id = :of",
    )
    with world.house.db.reading() as connection:
        parameters = {"of": of, "account": account}
        return [
            int(
                connection.scalar(sa.text(query), {k: v for k, v in parameters.items() if f":{k}" in query})
                or 0
            )
            for query in queries
        ]


def _break_every_call(world: World, fault: Fault) -> tuple[int, list[str]]:
    """One resident's scan for each n, broken at its n-th call; how many calls there are, and what went wrong."""
    code = world.code("own_cup")
    wrong: list[str] = []
    world.scan(world.resident(), code)  # what is kept in memory is there
    for at in range(1, 100):
        resident, calls = world.resident(), _Calls(world.house.db.engine, at, fault)
        answer = None
        with calls.watching(world.house.db.engine), suppress(Broken, Unavailable):
            answer = world.scan(resident, code, key="the-key")
        rows = _rows(world, resident)
        if calls.made < at:
            return at - 1, wrong
        if rows not in ([0] * 4, [1] * 4) or (answer and rows != [1] * 4):
            wrong.append(f"call {at}: {rows} rows")
        try:
            again = world.scan(resident, code, key="the-key")
        except Exception as error:
            wrong.append(f"call {at}: the retry fails: {error!r}")
            continue
        if answer not in (None, again) or _rows(world, resident) != [1] * 4:
            wrong.append(f"call {at}: the retry differs")
        wrong += [f"call {at}: {line}" for line in faults(world, [_answer(resident, "the-key", again)])]
    raise AssertionError("a scan has no hundred calls")


@pytest.mark.parametrize("fault", [_mistake, _database_error, _connection_lost])
def test_a_fault_at_any_call_leaves_all_or_nothing(world: World, fault: Fault) -> None:
    calls, wrong = _break_every_call(world, fault)
    assert calls >= 8
    assert wrong == []


def test_a_transaction_in_two_parts_is_found_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scans, "INSERT_ACTIONS", INSERT_ACTIONS)  # and put back afterwards
    monkeypatch.setattr(wrong_builds, "GAP", 0)
    wrong_builds.torn()
    _, wrong = _break_every_call(world, _mistake)
    assert any("rows" in line for line in wrong)
