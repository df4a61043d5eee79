"""The database: engine, transactions, and batches of rows.

One path serves SQLite and PostgreSQL. Where the hot path sends many rows at once it sends them as one JSON
parameter (`Batch`), which both engines unfold, so a statement is written once and prepared once whatever the
number of rows.
"""

import json
import re
import select
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, date, datetime
from enum import Enum
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlmodel import Session, SQLModel
from sqlmodel.sql.sqltypes import UTCDateTime

from tanpuhui.errors import Unavailable

SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

Result = TypeVar("Result")
EnumClass = TypeVar("EnumClass", bound=Enum)


def enum_type(enum: type[EnumClass]) -> sa.Enum:
    """A column type that stores the values (not the names) of `enum` and is checked by the database."""
    return sa.Enum(
        enum,
        native_enum=False,
        create_constraint=True,
        length=32,
        name=enum.__name__.lower(),
        values_callable=lambda e: [member.value for member in e],
    )


PATIENCE = 8  # seconds: nobody waits for ever for a lock
TURN = 600  # seconds: a migration of another process may take its time

#: Nor for a process that froze in the middle of a transaction. Our few statements are planned once a connection:
#: planning costs more than running them.
_POSTGRES_OPTIONS = (
    f"-c timezone=UTC -c lock_timeout={PATIENCE}s -c idle_in_transaction_session_timeout=30s "
    "-c plan_cache_mode=force_generic_plan"
)


class Database:
    """An engine and the rule for its transactions: writers of SQLite take turns inside the process."""

    def __init__(self, url: str, *, pool_size: int = 8) -> None:
        """Open `url` (``sqlite:///file`` or ``postgresql+psycopg://...``); nothing is created."""
        self.url = sa.make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._writer: Any = threading.RLock() if self.is_sqlite else nullcontext()
        if self.is_sqlite:
            if self.url.database:
                Path(self.url.database).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.engine = sa.create_engine(
                self.url, pool_size=pool_size, max_overflow=32, pool_timeout=10, hide_parameters=True
            )
            sa.event.listen(self.engine, "connect", _prepare_sqlite)
            sa.event.listen(self.engine, "begin", _begin_sqlite)
        else:
            self.engine = sa.create_engine(
                self.url,
                pool_size=pool_size,
                max_overflow=24,
                pool_timeout=10,
                hide_parameters=True,
                connect_args={"connect_timeout": 5, "options": _POSTGRES_OPTIONS},
            )
            sa.event.listen(self.engine, "checkout", _refuse_dead_connection)
        # A rollback would make psycopg forget its prepared statements, so on PostgreSQL reads do not begin one:
        # under READ COMMITTED each statement sees its own moment anyway.
        self.reader = self._reader("AUTOCOMMIT")
        self._snapshots = self._reader("REPEATABLE READ")

    def _reader(self, isolation: str) -> sa.Engine:
        if self.is_sqlite:
            return self.engine.execution_options(tanpuhui_reader=True)
        return self.engine.execution_options(isolation_level=isolation)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A writing transaction: commits at the end, rolls back on any exception."""
        with self._writer, _telling(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def turn(self, number: int) -> Iterator[Connection]:
        """A writing transaction for long work that processes do one after the other: each waits for its turn `TURN` seconds.

        `number` tells one such work from another (PostgreSQL; on SQLite all writers take turns anyway). For any other
        lock it waits no longer than everybody.
        """
        patient = self.engine.execution_options(tanpuhui_patience=TURN)
        with self._writer, _telling(), patient.begin() as connection:
            if not self.is_sqlite:
                connection.execute(sa.text(f"SET LOCAL lock_timeout = '{TURN}s'"))
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})
                connection.execute(sa.text(f"SET LOCAL lock_timeout = '{PATIENCE}s'"))
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for reading; never waits for writers."""
        with _telling(), self.reader.connect() as connection:
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A reading transaction in which every statement sees the same state, whatever is written meanwhile."""
        with _telling(), self._snapshots.connect() as connection:
            yield connection

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A SQLModel session over a writing transaction; commits at the end."""
        with self.transaction() as connection, session_on(connection) as session:
            yield session

    @contextmanager
    def reading_session(self) -> Iterator[Session]:
        """A SQLModel session that only reads."""
        with self.reading() as connection, session_on(connection) as session:
            yield session

    def run(self, work: Callable[[Connection], Result], *, attempts: int = 2) -> Result:
        """Run `work` in a transaction; on a lost connection, a deadlock or a unique conflict, once more.

        The second try sees what the winner of the conflict wrote.
        """
        return self._attempt(self.transaction, work, attempts)

    def read(self, work: Callable[[Connection], Result]) -> Result:
        """Run `work` in a reading transaction; on a lost connection, once more."""
        return self._attempt(self.reading, work, 2)

    def _attempt(
        self,
        begin: Callable[[], AbstractContextManager[Connection]],
        work: Callable[[Connection], Result],
        attempts: int,
    ) -> Result:
        for attempt in range(1, attempts + 1):
            try:
                with begin() as connection:
                    return work(connection)
            except (IntegrityError, OperationalError, Unavailable) as error:
                if attempt == attempts or not _worth_another_try(error):
                    raise
        raise AssertionError("unreachable")

    def dispose(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


@contextmanager
def session_on(connection: Connection) -> Iterator[Session]:
    """A session inside a transaction that somebody else commits.

    What it writes stays when it ends, also within a savepoint: by default it would open one of its own there and undo it.
    """
    with Session(
        bind=connection, expire_on_commit=False, autoflush=True, join_transaction_mode="rollback_only"
    ) as session:
        yield session
        session.flush()


def _worth_another_try(error: Exception) -> bool:
    if isinstance(error, Unavailable):
        return isinstance(error.__cause__, DBAPIError) and _worth_another_try(error.__cause__)
    if isinstance(error, IntegrityError):
        return True
    assert isinstance(error, DBAPIError)
    return error.connection_invalidated or getattr(error.orig, "sqlstate", "") in {"40001", "40P01"}


#: What only time can mend: SQLSTATE classes and codes of PostgreSQL, words of SQLite and of lost connections.
_TRANSIENT_CLASSES = {"08", "53", "57", "58"}
_TRANSIENT_CODES = {"55P03"}
_TRANSIENT_WORDS = ("is locked", "is full", "disk I/O error", "unable to open", "connection", "No space left")


@contextmanager
def _telling() -> Iterator[None]:
    """Turn what only time can mend (no connection, disk full, lock not had) into `Unavailable`."""
    try:
        yield
    except sa.exc.TimeoutError as error:
        raise Unavailable from error
    except OperationalError as error:
        if _transient(error):
            raise Unavailable from error
        raise


def _transient(error: OperationalError) -> bool:
    if error.connection_invalidated:
        return True
    state = getattr(error.orig, "sqlstate", None)
    if state:
        return state[:2] in _TRANSIENT_CLASSES or state in _TRANSIENT_CODES
    return any(word in str(error.orig) for word in _TRANSIENT_WORDS)


def _prepare_sqlite(raw: Any, _record: Any) -> None:
    raw.isolation_level = None  # we say BEGIN ourselves
    raw.execute("PRAGMA journal_mode=WAL")
    raw.execute("PRAGMA synchronous=FULL")  # an acknowledged scan survives a power cut
    raw.execute(f"PRAGMA busy_timeout={PATIENCE * 1000}")
    raw.execute("PRAGMA foreign_keys=ON")
    raw.execute("PRAGMA cache_size=-65536")


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    if patience := options.get("tanpuhui_patience"):
        connection.exec_driver_sql(f"PRAGMA busy_timeout={patience * 1000}")
    connection.exec_driver_sql("BEGIN" if options.get("tanpuhui_reader") else "BEGIN IMMEDIATE")
    if patience:
        connection.exec_driver_sql(f"PRAGMA busy_timeout={PATIENCE * 1000}")


def _refuse_dead_connection(raw: Any, _record: Any, _proxy: Any) -> None:
    """A pooled connection at rest has nothing to read, unless its server has hung up: then take another one.

    Costs no round trip, which asking the server would.
    """
    if not raw.closed:
        poller = select.poll()
        poller.register(raw.fileno(), select.POLLIN)
        if not poller.poll(0):
            return
    raise sa.exc.DisconnectionError


# --- batches of rows ---------------------------------------------------------------------------------------

_PG_TYPES = {
    "uuid": "uuid",
    "text": "text",
    "int": "bigint",
    "bool": "boolean",
    "time": "timestamptz",
    "date": "date",
    "json": "json",
}
_RESULT_TYPES: dict[str, sa.types.TypeEngine[Any]] = {
    "uuid": sa.Uuid(),
    "text": sa.Text(),
    "int": sa.BigInteger(),
    "bool": sa.Boolean(),
    "time": UTCDateTime(),
    "date": sa.Date(),
}


class Statement:
    """A statement written once for both engines.

    In its text ``{rows}`` stands for a table named ``q`` made of the rows given to `run`; ``{in:name:type}``
    for "is one of the values of parameter `name`"; ``{lock:alias}`` for the row lock of PostgreSQL (SQLite's
    writers already take turns); ``{pg:text}`` and ``{sqlite:text}`` for words that only one engine needs.
    """

    def __init__(
        self, text: str, *, rows: Mapping[str, str] | None = None, each: bool = False, **returns: str
    ) -> None:
        """`rows`: column -> type of the batch; `returns`: column -> type of the answer.

        `each`: nothing in the text looks at two rows at once, so that SQLite may be given them one after the other,
        which takes half as long as unfolding them.
        """
        self._text, self._rows, self._returns, self._each = text, dict(rows or {}), returns, each
        self._compiled: dict[str, tuple[sa.TextClause, frozenset[str]]] = {}

    def run(
        self, connection: Connection, rows: Sequence[Mapping[str, Any]] = (), /, **params: Any
    ) -> list[Any]:
        """Execute with a batch of `rows` and plain or set parameters; the answer's rows, if it has any."""
        dialect = connection.dialect.name
        if dialect not in self._compiled:
            self._compiled[dialect] = self._compile(dialect)
        clause, sets = self._compiled[dialect]
        if self._each and dialect == "sqlite":
            if rows:
                connection.exec_driver_sql(clause.text, list(map(itemgetter(*self._rows), rows)))
            return []
        bound: dict[str, Any] = {
            name: encode_set(dialect, value) if name in sets else value for name, value in params.items()
        }
        if self._rows:
            bound["rows"] = encode(dialect, rows)
        result = connection.execute(clause, bound)
        return list(result) if result.returns_rows else []

    def _compile(self, dialect: str) -> tuple[sa.TextClause, frozenset[str]]:
        sets: set[str] = set()
        pg = dialect == "postgresql"

        def fill(match: re.Match[str]) -> str:
            word, _, rest = match[1].partition(":")
            if word == "rows":
                return _one_row_sql(self._rows) if self._each and not pg else _rows_sql(dialect, self._rows)
            if word == "lock":
                return f"FOR NO KEY UPDATE OF {rest}" if pg else ""
            if word == "in":
                name, _, kind = rest.partition(":")
                sets.add(name)
                if pg:
                    return f"= ANY(CAST(:{name} AS {_PG_TYPES[kind]}[]))"
                return f"IN (SELECT value FROM json_each(:{name}))"
            return rest if (word == "pg") == pg else ""

        text = re.sub(r"\{(\w+(?::[^{}]*)?)\}", fill, self._text)
        clause = sa.text(text)
        if self._returns:
            typed = {name: _RESULT_TYPES[kind] for name, kind in self._returns.items()}
            return clause.columns(**typed), frozenset(sets)  # type: ignore[return-value]
        return clause, frozenset(sets)


def _rows_sql(dialect: str, columns: Mapping[str, str]) -> str:
    if dialect == "postgresql":
        listed = ", ".join(f"{name} {_PG_TYPES[kind]}" for name, kind in columns.items())
        return f"json_to_recordset(CAST(:rows AS json)) AS q({listed})"
    listed = ", ".join(f"json_extract(value, '$.{name}') AS {name}" for name in columns)
    return f"(SELECT {listed} FROM json_each(:rows)) AS q"


def _one_row_sql(columns: Mapping[str, str]) -> str:
    return f"(SELECT {', '.join(f'? AS {name}' for name in columns)}) AS q"


def insert_statement(table: sa.Table, columns: Mapping[str, str], *, extra: str = "") -> Statement:
    """An INSERT of a batch into `table`; `extra` follows it (``ON CONFLICT ... RETURNING ...``)."""
    names = ", ".join(f'"{name}"' for name in columns)
    picked = ", ".join(f"q.{name}" for name in columns)
    return Statement(
        f"INSERT INTO {table.name} ({names}) SELECT {picked} FROM {{rows}} {extra}", rows=columns
    )


def _json_pg(value: Any) -> Any:
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    raise TypeError(f"cannot send {type(value).__name__} to the database")


def _json_sqlite(value: Any) -> Any:
    if isinstance(value, UUID):
        return value.hex
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"cannot send {type(value).__name__} to the database")


for _kind in (UUID, datetime, date):  # for what SQLite's driver is given as it is
    sqlite3.register_adapter(_kind, _json_sqlite)


def encode(dialect: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """`rows` as the JSON text that `Statement` unfolds on `dialect`."""
    default = _json_pg if dialect == "postgresql" else _json_sqlite
    return json.dumps(rows, default=default, ensure_ascii=False, separators=(",", ":"))


def encode_set(dialect: str, values: Sequence[Any]) -> Any:
    """A set of values as one parameter: an array on PostgreSQL, a JSON list on SQLite."""
    if dialect == "postgresql":
        return [str(value) if isinstance(value, UUID) else value for value in values]
    return json.dumps(list(values), default=_json_sqlite)


def uuid_text(connection: Connection, column: str) -> str:
    """SQL for a UUID column as text: SQLite stores it without dashes."""
    if connection.dialect.name == "postgresql":
        return f"CAST({column} AS text)"
    parts = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
    return " || '-' || ".join(f"substr({column}, {start}, {length})" for start, length in parts)
