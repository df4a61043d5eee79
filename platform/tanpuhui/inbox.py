"""The inbox: what the platform has to tell a resident. Read in the app; nothing is sent elsewhere.

A message keeps its kind and what it is about, never a finished text: it is worded when it is read, in the language of
the reader, by the `Letter` of its kind.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, Session, SQLModel, col, select
from sqlmodel.sql.sqltypes import UTCDateTime

from tanpuhui import clock, ids
from tanpuhui.errors import NotFound
from tanpuhui.letters import Letter
from tanpuhui.people import ResidentJoined, ResidentStatus, take_turn
from tanpuhui.rooms import House
from tanpuhui.subscribers import SameTransaction

#: So many messages are shown at once.
PAGE = 50


class Message(SQLModel, table=True):
    """Something a resident is told once. `reference` makes it once: kind and reference are unique for a resident."""

    __tablename__ = "message"
    __table_args__ = (
        sa.UniqueConstraint("resident_id", "kind", "reference"),
        sa.Index("ix_message_resident_id_told_at", "resident_id", "told_at"),
        sa.CheckConstraint("kind <> '' AND reference <> ''", name="kind"),
    )

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    resident_id: UUID = Field(foreign_key="resident.id")
    kind: str = Field(max_length=48)
    reference: str = Field(max_length=80)
    params: dict[str, Any] = Field(default_factory=dict, sa_type=sa.JSON)
    told_at: datetime = Field(default_factory=clock.now)
    read_at: datetime | None = None


@dataclass(frozen=True)
class Note:
    """A message that is to be told. `told_at`: when what it tells happened."""

    letter: Letter
    resident_id: UUID
    reference: str
    params: dict[str, Any] = field(default_factory=dict)
    told_at: datetime = field(default_factory=clock.now)


_TELL = sa.text(
    "INSERT INTO message (id, resident_id, kind, reference, params, told_at) "
    "VALUES (:id, :resident_id, :kind, :reference, :params, :told_at) "
    "ON CONFLICT (resident_id, kind, reference) DO NOTHING"
).bindparams(
    sa.bindparam("id", type_=sa.Uuid()),
    sa.bindparam("resident_id", type_=sa.Uuid()),
    sa.bindparam("params", type_=sa.JSON()),
    sa.bindparam("told_at", type_=UTCDateTime()),
)


def tell(connection: Connection, notes: Sequence[Note]) -> None:
    """Put `notes` into the inboxes, in the caller's transaction; what was told before is not told again.

    Takes the residents' turns: whoever has left, or leaves meanwhile, gets nothing.
    """
    here = take_turn(connection, [note.resident_id for note in notes])
    rows = [
        {
            "id": ids.new_id(),
            "resident_id": note.resident_id,
            "kind": note.letter.kind,
            "reference": note.reference,
            "params": note.params,
            "told_at": note.told_at,
        }
        for note in notes
        if note.resident_id in here and here[note.resident_id].status == ResidentStatus.ACTIVE
    ]
    if rows:
        connection.execute(_TELL, rows)


# --- reading ------------------------------------------------------------------------------------------------


def _own(house: House, resident_id: UUID) -> tuple[Any, ...]:
    """The resident's messages, of kinds that a room of this deployment can word."""
    return col(Message.resident_id) == resident_id, col(Message.kind).in_(house.letters)


def unread(house: House, connection: Connection, resident_id: UUID) -> int:
    """How many messages a resident has not read."""
    query = sa.select(sa.func.count()).select_from(Message)
    return connection.scalar(query.where(*_own(house, resident_id), col(Message.read_at).is_(None))) or 0


def messages(
    house: House, session: Session, resident_id: UUID, before: UUID | None = None
) -> tuple[Sequence[Message], bool]:
    """A page of a resident's messages, the newest first, and whether there are older ones.

    `before`: those older than this one. Raises NotFound if it is not theirs.
    """
    query = select(Message).where(*_own(house, resident_id))
    if before:
        last = own_message(house, session, resident_id, before)
        query = query.where(sa.tuple_(col(Message.told_at), col(Message.id)) < (last.told_at, last.id))
    newest_first = query.order_by(col(Message.told_at).desc(), col(Message.id).desc())
    found = session.exec(newest_first.limit(PAGE + 1)).all()
    return found[:PAGE], len(found) > PAGE


def own_message(house: House, session: Session, resident_id: UUID, message_id: UUID) -> Message:
    """One message. Raises NotFound for anybody else's."""
    found = session.exec(select(Message).where(*_own(house, resident_id), Message.id == message_id)).first()
    if found is None:
        raise NotFound
    return found


def open_message(house: House, resident_id: UUID, message_id: UUID) -> Message:
    """A message that is being read: from now on it counts as read. Raises NotFound for anybody else's."""
    with house.db.reading_session() as session:
        message = own_message(house, session, resident_id, message_id)
    if message.read_at is None:
        _mark(house, resident_id, col(Message.id) == message_id)
    return message


def mark_read(house: House, resident_id: UUID, newest: UUID) -> None:
    """Count everything up to the message `newest` as read; what came after it was not seen. Raises NotFound."""
    with house.db.reading_session() as session:
        seen = own_message(house, session, resident_id, newest)
    _mark(house, resident_id, sa.tuple_(col(Message.told_at), col(Message.id)) <= (seen.told_at, seen.id))


def _mark(house: House, resident_id: UUID, which: Any) -> None:
    with house.db.session() as session:
        unread_ones = (col(Message.resident_id) == resident_id, col(Message.read_at).is_(None), which)
        session.exec(sa.update(Message).where(*unread_ones).values(read_at=clock.now()))


# --- the first one -------------------------------------------------------------------------------------------

WELCOME = Letter("welcome", "letters/welcome.html", icon="leaf")


def _greet(connection: Connection, joined: Sequence[ResidentJoined]) -> None:
    tell(
        connection,
        [
            Note(WELCOME, event.resident_id, "joined", told_at=event.recorded_at)
            for event in joined
            if event.resident_id
        ],
    )


#: Whoever joins finds the first three steps in the inbox.
GREETING = SameTransaction("welcome", (ResidentJoined,), _greet)
