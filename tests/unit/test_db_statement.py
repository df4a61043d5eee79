"""Statements written once for both engines, and the batches of rows they take."""

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings, strategies as st
from sqlalchemy.dialects import postgresql, sqlite

from tanpuhui import ids
from tanpuhui.db import Statement, encode, insert_statement
from tanpuhui.errors import Unavailable
from tanpuhui.rooms import House

ROWS = {"u": "uuid", "t": "text", "i": "int", "b": "bool", "m": "time", "d": "date"}
ECHO = Statement("SELECT q.u, q.t, q.i, q.b, q.m, q.d FROM {rows}", rows=ROWS, **ROWS)


def text_of(statement: Statement, dialect: str) -> str:
    return str(statement._compile(dialect)[0])


def test_words_of_one_engine_are_left_out_on_the_other() -> None:
    statement = Statement("SELECT a FROM b r WHERE a {in:names:text} {lock:r} {pg:LIMIT 1}{sqlite:LIMIT 2}")
    assert text_of(statement, "postgresql") == (
        "SELECT a FROM b r WHERE a = ANY(CAST(:names AS text[])) FOR NO KEY UPDATE OF r LIMIT 1"
    )
    assert text_of(statement, "sqlite") == (
        "SELECT a FROM b r WHERE a IN (SELECT value FROM json_each(:names))  LIMIT 2"
    )


def test_an_insert_is_one_statement_with_one_parameter() -> None:
    table = sa.Table("things", sa.MetaData(), sa.Column("id"), sa.Column("key"))
    insert = insert_statement(table, {"id": "uuid", "key": "text"}, extra="ON CONFLICT DO NOTHING")
    for dialect, module in (("postgresql", postgresql), ("sqlite", sqlite)):
        compiled = insert._compile(dialect)[0].compile(dialect=module.dialect())
        assert set(compiled.params) == {"rows"}
        assert str(compiled).startswith('INSERT INTO things ("id", "key") SELECT q.id, q.key FROM')


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

ROW = st.fixed_dictionaries(
    {
        "u": st.uuids(),
        "t": st.none() | st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])),
        "i": st.none() | st.integers(-(2**53), 2**53),
        "b": st.booleans(),
        "m": st.integers(10**6, 2**54).map(lambda us: EPOCH + timedelta(microseconds=us)),
        "d": st.dates(date(1, 1, 1), date(9999, 12, 31)),
    }
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows=st.lists(ROW, max_size=5))
def test_a_batch_comes_back_as_it_was_sent(house: House, rows: list[dict[str, Any]]) -> None:
    with house.db.reading() as connection:
        found = [dict(row._mapping) for row in ECHO.run(connection, rows)]
    for row in found:
        row["b"] = bool(row["b"])
    key = lambda row: str(sorted(row.items(), key=str))  # noqa: E731
    assert sorted(found, key=key) == sorted(rows, key=key)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows=st.lists(ROW, max_size=5))
def test_rows_that_are_sent_one_after_the_other_are_kept_the_same(
    house: House, rows: list[dict[str, Any]]
) -> None:
    columns = ", ".join(f"{name} {kind}" for name, kind in zip(ROWS, _KINDS[house.db.is_sqlite], strict=True))
    kept = []
    with house.db.transaction() as connection:
        for each in (False, True):
            connection.execute(sa.text("DROP TABLE IF EXISTS kept"))
            connection.execute(sa.text(f"CREATE TEMPORARY TABLE kept ({columns})"))
            text = "INSERT INTO kept SELECT q.u, q.t, q.i, q.b, q.m, q.d FROM {rows}"
            Statement(text, rows=ROWS, each=each).run(connection, rows)
            kept.append(sorted(connection.execute(sa.text("SELECT * FROM kept")), key=str))
        connection.execute(sa.text("DROP TABLE kept"))
    assert kept[0] == kept[1]
    assert len(kept[0]) == len(rows)


#: As columns are made, whether on SQLite or not.
_KINDS = {
    True: ("CHAR(32)", "TEXT", "BIGINT", "BOOLEAN", "DATETIME", "DATE"),
    False: ("uuid", "text", "bigint", "boolean", "timestamptz", "date"),
}


def test_times_of_another_zone_and_long_numbers_arrive_exactly(house: House) -> None:
    shanghai = datetime(2027, 6, 7, 12, 0, 0, 1, tzinfo=timezone(timedelta(hours=8)))
    row = {"u": ids.new_id(), "t": "'\"\\碳\n😀", "i": 2**62, "b": None, "m": shanghai, "d": date(2027, 6, 7)}
    with house.db.reading() as connection:
        (found,) = ECHO.run(connection, [row])
    assert dict(found._mapping) == row
    assert found.m.utcoffset() == timedelta(0)


def test_sets_are_one_parameter(house: House) -> None:
    wanted = [ids.new_id(), ids.new_id()]
    query = Statement(
        "SELECT q.u FROM {rows} WHERE q.u {in:ids:uuid} AND q.i {in:numbers:int}",
        rows={"u": "uuid", "i": "int"},
        u="uuid",
    )
    rows = [{"u": one, "i": n} for n, one in enumerate([*wanted, ids.new_id()])]
    with house.db.reading() as connection:
        found = query.run(connection, rows, ids=wanted, numbers=[1, 2])
        assert [row.u for row in found] == [wanted[1]]
        assert query.run(connection, rows, ids=[], numbers=[1]) == []
        assert query.run(connection, [], ids=wanted, numbers=[1]) == []


@pytest.mark.parametrize("dialect", ["postgresql", "sqlite"])
def test_what_has_no_exact_form_is_not_sent(dialect: str) -> None:
    for value in (object(), {1}, b"x"):
        with pytest.raises(TypeError):
            encode(dialect, [{"x": value}])
    assert encode(dialect, [{"x": None, "y": UUID(int=0)}]) in {
        '[{"x":null,"y":"00000000-0000-0000-0000-000000000000"}]',
        '[{"x":null,"y":"00000000000000000000000000000000"}]',
    }


# --- transactions ------------------------------------------------------------------------------------------


def rows_of(house: House) -> int:
    with house.db.reading() as connection:
        return int(connection.scalar(sa.text("SELECT count(*) FROM account")) or 0)


INSERT = sa.text("INSERT INTO account (path, balance) VALUES ('resident:x', 1)")


def test_a_transaction_commits_whole_or_not_at_all(house: House) -> None:
    with suppress(RuntimeError), house.db.transaction() as connection:
        connection.execute(INSERT)
        raise RuntimeError
    assert rows_of(house) == 0
    with house.db.transaction() as connection:
        connection.execute(INSERT)
    assert rows_of(house) == 1


def test_a_conflict_is_tried_once_more_and_then_told(house: House) -> None:
    tries: list[int] = []

    def work(connection: sa.Connection) -> int:
        tries.append(1)
        if len(tries) == 1:
            connection.execute(INSERT)
            connection.execute(INSERT)
        return len(tries)

    assert house.db.run(work) == 2
    assert rows_of(house) == 0

    def never(connection: sa.Connection) -> None:
        tries.append(1)
        connection.execute(INSERT)
        connection.execute(INSERT)

    tries.clear()
    with pytest.raises(sa.exc.IntegrityError):
        house.db.run(never)
    assert len(tries) == 2


def test_a_mistake_in_a_statement_is_not_called_an_outage(house: House) -> None:
    with pytest.raises(sa.exc.DBAPIError) as error, house.db.transaction() as connection:
        connection.execute(sa.text("SELECT * FROM no_such_table"))
    assert not isinstance(error.value, Unavailable)


def test_a_reader_that_finds_no_server_hears_that_only_time_can_mend_it(house: House) -> None:
    class Lost(Exception):
        sqlstate = "57P01"

    with pytest.raises(Unavailable), house.db.reading():
        raise sa.exc.OperationalError("SELECT 1", {}, Lost("terminating connection"))
