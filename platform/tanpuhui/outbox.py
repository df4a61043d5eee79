"""The event log, and the relay that brings it to the later subscribers.

PostgreSQL makes sequence numbers visible out of order, so "everything after the last id I saw" loses events.
Each row therefore keeps the id of its transaction, and a reader stops below the oldest transaction still
running; the order is (transaction, position). SQLite has one writer: there the position alone is enough.
"""

import traceback
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError
from sqlmodel import Field, SQLModel
from sqlmodel.sql.sqltypes import UTCDateTime

from tanpuhui import clock
from tanpuhui.db import Database, Statement
from tanpuhui.errors import Unavailable
from tanpuhui.events import Event, event_class
from tanpuhui.subscribers import Later

if TYPE_CHECKING:
    from tanpuhui.rooms import House

MAX_ATTEMPTS = 5


class LoggedEvent(SQLModel, table=True):
    """One fact, for ever. Rows are added and never changed."""

    __tablename__ = "event_log"
    __table_args__ = (
        sa.Index("ix_event_log_tx_position", "tx", "position"),
        sa.Index("ix_event_log_resident_id_position", "resident_id", "position"),
        {"sqlite_autoincrement": True},
    )

    position: int | None = Field(
        default=None,
        sa_column=sa.Column(
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True
        ),
    )
    tx: int = Field(sa_type=sa.BigInteger)
    type: str = Field(max_length=64)
    subject_id: UUID
    resident_id: UUID | None = None
    recorded_at: datetime
    payload: str = Field(sa_type=sa.Text)


class SubscriberCursor(SQLModel, table=True):
    """How far a later subscriber has come."""

    __tablename__ = "subscriber_cursor"

    subscriber: str = Field(primary_key=True, max_length=64)
    tx: int = Field(sa_type=sa.BigInteger)
    position: int = Field(sa_type=sa.BigInteger)
    updated_at: datetime


class EventFailure(SQLModel, table=True):
    """An event that a subscriber could not handle: waiting for the next attempt, or parked for staff."""

    __tablename__ = "event_failure"
    __table_args__ = (sa.CheckConstraint("attempts >= 0", name="attempts"),)

    subscriber: str = Field(primary_key=True, max_length=64)
    position: int = Field(primary_key=True, sa_type=sa.BigInteger)
    attempts: int
    next_attempt_at: datetime
    parked_at: datetime | None = Field(default=None, index=True)
    error: str = Field(sa_type=sa.Text)


_APPEND = Statement(
    "INSERT INTO event_log (tx, type, subject_id, resident_id, recorded_at, payload) "
    "SELECT {pg:CAST(CAST(pg_current_xact_id() AS text) AS bigint)}{sqlite:0}, "
    "q.type, q.subject_id, q.resident_id, q.recorded_at, q.payload FROM {rows}",
    rows={
        "type": "text",
        "subject_id": "uuid",
        "resident_id": "uuid",
        "recorded_at": "time",
        "payload": "text",
    },
)

_READ = Statement(
    "SELECT position, tx, type, recorded_at, payload FROM event_log WHERE "
    "{pg:(tx, position) > (:tx, :position) "
    "AND tx < CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint)"
    " ORDER BY tx, position}"
    "{sqlite:position > :position ORDER BY position} LIMIT :limit",
    position="int",
    tx="int",
    type="text",
    recorded_at="time",
    payload="text",
)

_LOCK_CURSOR = Statement(
    "SELECT tx, position FROM subscriber_cursor WHERE subscriber = :subscriber "
    "{pg:FOR NO KEY UPDATE SKIP LOCKED}",
    tx="int",
    position="int",
)


def append(connection: Connection, events: Sequence[Event]) -> None:
    """Add `events` to the log, in the caller's transaction."""
    _APPEND.run(
        connection,
        [
            {
                "type": event.type,
                "subject_id": event.subject_id,
                "resident_id": event.resident_id,
                "recorded_at": event.recorded_at,
                "payload": event.model_dump_json(),
            }
            for event in events
        ],
    )


def length(connection: Connection) -> int:
    """How many events the log holds."""
    return int(connection.scalar(sa.text("SELECT count(*) FROM event_log")) or 0)


class Relay:
    """Brings the log to the later subscribers. Any number may run; each batch is applied by one of them."""

    def __init__(self, house: "House") -> None:
        self._db: Database = house.db
        self._subscribers = house.later
        self._ready = False

    def run_once(self) -> int:
        """One round: a batch for every subscriber and the retries that are due. Returns events handled."""
        if not self._ready:
            self._prepare()
            self._ready = True
        handled = 0
        trouble: Exception | None = None
        for subscriber in self._subscribers:
            try:
                handled += self._serve(subscriber) + self._retry(subscriber)
            except (Unavailable, OperationalError) as error:
                trouble = error  # what one subscriber waits for must not hold up the others
        if trouble and not handled:
            raise trouble
        return handled

    def drain(self) -> int:
        """Run until nothing is left to bring (retries not yet due stay). Returns events handled."""
        total = 0
        while handled := self.run_once():
            total += handled
        return total

    def _prepare(self) -> None:
        with self._db.transaction() as connection:
            if connection.dialect.name == "postgresql":
                _shift_after_restore(connection)
            cursors = sa.table("subscriber_cursor", *map(sa.column, ("subscriber", "tx", "position")))
            known = set(connection.scalars(sa.select(cursors.c.subscriber)))
            for subscriber in self._subscribers:
                if subscriber.name not in known:
                    connection.execute(
                        sa.text(
                            "INSERT INTO subscriber_cursor (subscriber, tx, position, updated_at) "
                            "VALUES (:name, -9000000000000000000, 0, :now) ON CONFLICT DO NOTHING"
                        ).bindparams(sa.bindparam("now", type_=UTCDateTime())),
                        {"name": subscriber.name, "now": clock.now()},
                    )

    def _serve(self, subscriber: Later) -> int:
        with self._db.reading() as connection:
            at = connection.execute(
                sa.text("SELECT tx, position FROM subscriber_cursor WHERE subscriber = :name"),
                {"name": subscriber.name},
            ).one()
            if not _READ.run(connection, tx=at.tx, position=at.position, limit=1):
                return 0
        try:
            return self._apply(subscriber, one_by_one=False)
        except (Unavailable, OperationalError):
            raise
        except Exception:
            return self._apply(subscriber, one_by_one=True)

    def _apply(self, subscriber: Later, *, one_by_one: bool) -> int:
        with self._db.transaction() as connection:
            locked = _LOCK_CURSOR.run(connection, subscriber=subscriber.name)
            if not locked:
                return 0  # another relay is at it
            limit = subscriber.batch
            rows = _READ.run(connection, tx=locked[0].tx, position=locked[0].position, limit=limit)
            if not rows:
                return 0
            wanted = {event.type for event in subscriber.hears}
            mine = [row for row in rows if row.type in wanted]
            if one_by_one:
                for row in mine:
                    _apply_alone(connection, subscriber, row)
            elif mine:
                subscriber.handle(connection, [_event(row) for row in mine])
            _advance(connection, subscriber.name, rows[-1].tx, rows[-1].position)
            return len(rows)

    def _retry(self, subscriber: Later) -> int:
        with self._db.reading() as connection:
            due = connection.execute(_DUE, {"name": subscriber.name, "now": clock.now()}).scalars().all()
        return sum(self._retry_one(subscriber, position) for position in due)

    def _retry_one(self, subscriber: Later, position: int) -> int:
        with self._db.transaction() as connection:
            if not _LOCK_CURSOR.run(connection, subscriber=subscriber.name):
                return 0  # another relay, or a rebuild, is at it
            key = {"name": subscriber.name, "position": position}
            failure = _LOCK_FAILURE.run(connection, **key)
            if not failure:
                return 0
            row = _LOGGED.run(connection, position=position)[0]
            try:
                with connection.begin_nested():
                    subscriber.handle(connection, [_event(row)])
            except (Unavailable, OperationalError):
                raise
            except Exception:
                _note_failure(connection, subscriber.name, position, failure[0].attempts + 1)
                return 0
            connection.execute(
                sa.text("DELETE FROM event_failure WHERE subscriber = :name AND position = :position"), key
            )
            return 1


_DUE = sa.text(
    "SELECT position FROM event_failure WHERE subscriber = :name AND parked_at IS NULL "
    "AND next_attempt_at <= :now ORDER BY position LIMIT 100"
).bindparams(sa.bindparam("now", type_=UTCDateTime()))

_LOCK_FAILURE = Statement(
    "SELECT attempts FROM event_failure WHERE subscriber = :name AND position = :position "
    "AND parked_at IS NULL {pg:FOR UPDATE SKIP LOCKED}",
    attempts="int",
)

_LOGGED = Statement(
    "SELECT type, payload FROM event_log WHERE position = :position", type="text", payload="text"
)


def _event(row: sa.Row[tuple[str, ...]]) -> Event:
    return event_class(row.type).from_payload(row.payload)


def _apply_alone(connection: Connection, subscriber: Later, row: sa.Row[tuple[str, ...]]) -> None:
    try:
        with connection.begin_nested():
            subscriber.handle(connection, [_event(row)])
    except (Unavailable, OperationalError):
        raise
    except Exception:
        _note_failure(connection, subscriber.name, row.position, 1)


def _note_failure(connection: Connection, subscriber: str, position: int, attempts: int) -> None:
    """Keep the failure with its reason; after MAX_ATTEMPTS it is parked. Call inside `except`."""
    now = clock.now()
    row = {
        "subscriber": subscriber,
        "position": position,
        "attempts": attempts,
        "next_attempt_at": now + timedelta(seconds=2**attempts),
        "parked_at": now if attempts >= MAX_ATTEMPTS else None,
        "error": traceback.format_exc(limit=-3)[-2000:],
    }
    table = EventFailure.__table__  # type: ignore[attr-defined]
    where = (table.c.subscriber == subscriber) & (table.c.position == position)
    if not connection.execute(sa.update(table).where(where).values(**row)).rowcount:
        connection.execute(sa.insert(table).values(**row))


def _advance(connection: Connection, subscriber: str, tx: int, position: int) -> None:
    connection.execute(
        sa.text(
            "UPDATE subscriber_cursor SET tx = :tx, position = :position, updated_at = :now "
            "WHERE subscriber = :subscriber"
        ).bindparams(sa.bindparam("now", type_=UTCDateTime())),
        {"tx": tx, "position": position, "now": clock.now(), "subscriber": subscriber},
    )


_BEYOND_NOW = sa.text(
    "SELECT max(tx) AS newest, max(position) AS last_old FROM event_log "
    "WHERE tx >= CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS text) AS bigint)"
)


def _shift_after_restore(connection: Connection) -> None:
    """After a restore into another cluster, move the old transaction ids below zero, order kept.

    A fresh cluster counts transactions from the start again: without this, new events would sort before the
    cursors and never be delivered. Nothing of a fact changes, so this one update may pass the table's guard;
    it takes the owner of the table.
    """
    connection.execute(sa.text("SELECT pg_advisory_xact_lock(31010602)"))
    found = connection.execute(
        _BEYOND_NOW
    ).one()  # one statement: one snapshot, so no live event is beyond it
    if found.last_old is None:
        return
    shift = {"by": found.newest + 1, "last": found.last_old}
    connection.execute(sa.text("ALTER TABLE event_log DISABLE TRIGGER event_log_append_only"))
    connection.execute(sa.text("UPDATE event_log SET tx = tx - :by WHERE position <= :last"), shift)
    connection.execute(sa.text("ALTER TABLE event_log ENABLE TRIGGER event_log_append_only"))
    connection.execute(
        sa.text("UPDATE subscriber_cursor SET tx = tx - :by WHERE tx > -4000000000000000000"), shift
    )


def lag_seconds(connection: Connection, subscribers: Sequence[Later]) -> float:
    """Age in seconds of the oldest event that some later subscriber has not handled yet; 0 if none."""
    oldest: datetime | None = None
    for subscriber in subscribers:
        at = connection.execute(
            sa.text("SELECT tx, position FROM subscriber_cursor WHERE subscriber = :name"),
            {"name": subscriber.name},
        ).one_or_none()
        tx, position = (at.tx, at.position) if at else (-9000000000000000000, 0)
        waiting = _READ.run(connection, tx=tx, position=position, limit=1)
        if waiting and (oldest is None or waiting[0].recorded_at < oldest):
            oldest = waiting[0].recorded_at
    return max(0.0, (clock.now() - oldest).total_seconds()) if oldest else 0.0


def parked(connection: Connection) -> list[EventFailure]:
    """Events that were given up, oldest first, for staff to look at."""
    table = EventFailure.__table__  # type: ignore[attr-defined]
    rows = connection.execute(
        sa.select(table).where(table.c.parked_at.is_not(None)).order_by(table.c.parked_at)
    )
    return [EventFailure(**row._mapping) for row in rows]


def deliver_again(connection: Connection, subscriber: str, position: int) -> bool:
    """Give a parked event a fresh row of attempts; False if it is not parked."""
    table = EventFailure.__table__  # type: ignore[attr-defined]
    changed = connection.execute(
        sa.update(table)
        .where(
            (table.c.subscriber == subscriber)
            & (table.c.position == position)
            & table.c.parked_at.is_not(None)
        )
        .values(parked_at=None, attempts=0, next_attempt_at=clock.now())
    )
    return bool(changed.rowcount)
