"""The hand-over files of declarations, made in the background while whoever asked looks on, and kept for a day.

An order is a row. Whichever process takes it writes the file in a thread of its own, and once a second how far it is; the file is put
away in pieces, and stands once all of them do. Left alone (its process was stopped), it is begun again from its first record by the
next one that looks: half a file is never handed out, and two that were made of the same declaration are the same byte for byte.
"""

import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from tempfile import TemporaryFile
from typing import IO
from uuid import UUID

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection
from sqlmodel import Field, Session, SQLModel, col, select

from activities import declared, hand_over
from activities.declarations import Declaration
from tanpuhui import audit, clock, ids
from tanpuhui.bureau.participation import may_read
from tanpuhui.errors import NotFound
from tanpuhui.i18n import N_
from tanpuhui.jobs import Job
from tanpuhui.rooms import House
from tanpuhui.schema import Guard
from tanpuhui.sessions import Principal
from tanpuhui.staff import Role

log = structlog.get_logger(__name__)

#: Who may take a file in which deeds of one person can be told from those of another.
TAKERS = (Role.OFFICER,)

#: A file that nobody has written to for so long is begun again by whoever looks.
LEFT_ALONE = timedelta(seconds=30)

KEPT = timedelta(days=1)

PIECE = 2**20  # bytes

_TELL_EVERY = 1.0  # seconds between two notes of how far it is


class DeclarationFile(SQLModel, table=True):
    """A hand-over file of a declaration: how many of its `records` are `done`; once whole its `size` in bytes, and its fingerprint.

    Kept for a day. `attempt`: the how-manieth maker is at it. `worked_at`: when that one last wrote here.
    """

    __tablename__ = "declaration_file"
    __table_args__ = (
        sa.CheckConstraint("done BETWEEN 0 AND records", name="done"),
        sa.CheckConstraint("attempt >= 1", name="attempt"),
        sa.CheckConstraint(
            "(finished_at IS NULL) = (size IS NULL) AND (finished_at IS NULL) = (fingerprint IS NULL)"
            " AND (finished_at IS NULL OR done = records)",
            name="whole",
        ),
        sa.Index(
            "uq_declaration_file_unfinished",
            "declaration_id",
            unique=True,
            sqlite_where=sa.text("finished_at IS NULL"),
            postgresql_where=sa.text("finished_at IS NULL"),
        ),
    )

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    declaration_id: UUID = Field(foreign_key="declaration.id", index=True)
    asked_by: UUID = Field(foreign_key="staff.id")
    asked_at: datetime = Field(index=True)
    records: int = Field(sa_type=sa.BigInteger)
    done: int = Field(default=0, sa_type=sa.BigInteger)
    attempt: int = 1
    worked_at: datetime
    size: int | None = Field(default=None, sa_type=sa.BigInteger)
    fingerprint: str | None = Field(default=None, max_length=64)
    finished_at: datetime | None = None


class DeclarationFilePiece(SQLModel, table=True):
    """Up to a megabyte of a hand-over file, in the order of `number`, as the maker of an `attempt` wrote it."""

    __tablename__ = "declaration_file_piece"

    file_id: UUID = Field(
        sa_column=sa.Column(
            sa.Uuid(), sa.ForeignKey("declaration_file.id", ondelete="CASCADE"), primary_key=True
        )
    )
    attempt: int = Field(primary_key=True)
    number: int = Field(primary_key=True)
    body: bytes = Field(sa_column=sa.Column(sa.LargeBinary, nullable=False))


_FILES = SQLModel.metadata.tables["declaration_file"]
_PIECES = SQLModel.metadata.tables["declaration_file_piece"]

GUARDS = (
    Guard(
        "declaration_file",
        "frozen",
        "UPDATE",
        "OLD.finished_at IS NOT NULL",
        "a file that was made is never changed",
    ),
    Guard(
        "declaration_file",
        "pieces",
        "UPDATE",
        "NEW.finished_at IS NOT NULL AND NEW.size <> (SELECT coalesce(sum(length(p.body)), 0) FROM declaration_file_piece p"
        " WHERE p.file_id = NEW.id AND p.attempt = NEW.attempt)",
        "a file is as long as its pieces",
    ),
    Guard(
        "declaration_file_piece",
        "maker",
        "INSERT",
        "NOT EXISTS (SELECT 1 FROM declaration_file f WHERE f.id = NEW.file_id AND f.attempt = NEW.attempt"
        " AND f.finished_at IS NULL)",
        "another one makes the file, or it is whole",
    ),
    Guard("declaration_file_piece", "change", "UPDATE", "true", "a piece is never changed"),
)


# --- ordering ----------------------------------------------------------------------------------------------


def order(house: House, principal: Principal, declaration_id: UUID) -> None:
    """Ask for the hand-over file of a declaration, and begin, unless it is just being made.

    For officers of the district. Raises NotAllowed, NotFound.
    """
    may_read(house, principal, TAKERS)
    now = clock.now()
    with house.db.transaction() as connection:
        records = connection.scalar(
            sa.select(col(Declaration.actions)).where(col(Declaration.id) == declaration_id)
        )
        if records is None:
            raise NotFound
        _throw_away(connection, now)
        file_id = ids.new_id()
        made = connection.execute(
            sa.text(
                "INSERT INTO declaration_file (id, declaration_id, asked_by, asked_at, records, done, attempt, worked_at)"
                " VALUES (:id, :declaration, :by, :now, :records, 0, 1, :now) ON CONFLICT DO NOTHING"
            ).bindparams(
                sa.bindparam("id", file_id, type_=sa.Uuid()),
                sa.bindparam("declaration", declaration_id, type_=sa.Uuid()),
                sa.bindparam("by", principal.id, type_=sa.Uuid()),
                sa.bindparam("now", now, type_=_FILES.c.asked_at.type),
            ),
            {"records": records},
        ).rowcount
    if made:
        _begin(house, file_id, 1)


def _throw_away(connection: Connection, now: datetime) -> None:
    connection.execute(sa.delete(_FILES).where(_FILES.c.asked_at < now - KEPT))


def latest(session: Session, declaration_id: UUID) -> DeclarationFile | None:
    """The file of a declaration that was asked for last, whole or not yet; None after a day."""
    wanted = select(DeclarationFile).where(DeclarationFile.declaration_id == declaration_id)
    kept = wanted.where(col(DeclarationFile.asked_at) >= clock.now() - KEPT)
    return session.exec(kept.order_by(col(DeclarationFile.id).desc()).limit(1)).first()


def tend(house: House, file: DeclarationFile) -> None:
    """Begin a file again if it was left alone; of several who see that at once, one does."""
    now = clock.now()
    if file.finished_at is not None or file.worked_at >= now - LEFT_ALONE:
        return
    with house.db.transaction() as connection:
        taken = connection.execute(
            sa.update(_FILES)
            .where(_FILES.c.id == file.id, _FILES.c.attempt == file.attempt, _FILES.c.finished_at.is_(None))
            .where(_FILES.c.worked_at < now - LEFT_ALONE)
            .values(attempt=file.attempt + 1, done=0, worked_at=now)
        ).rowcount
        if taken:
            connection.execute(sa.delete(_PIECES).where(_PIECES.c.file_id == file.id))
    if taken:
        _begin(house, file.id, file.attempt + 1)


def _tidy(house: House, connection: Connection, now: datetime) -> None:
    """Throw away what is older than a day; begin again what was left alone."""
    _throw_away(connection, now)
    left = select(DeclarationFile).where(_FILES.c.finished_at.is_(None))
    with Session(connection) as session:
        alone = session.exec(left).all()
        session.expunge_all()
    for file in alone:
        threading.Thread(target=tend, args=(house, file), daemon=True).start()


JOB = Job("declaration_files", N_("整理交接文件"), timedelta(minutes=30), _tidy)


# --- making ------------------------------------------------------------------------------------------------


def _begin(house: House, file_id: UUID, attempt: int) -> None:
    threading.Thread(target=_make, args=(house, file_id, attempt), name="hand-over", daemon=True).start()


def _make(house: House, file_id: UUID, attempt: int) -> None:
    try:
        make(house, file_id, attempt)
    except Exception as error:  # it is left alone then, and begun again
        log.exception("hand_over_failed", kind=type(error).__name__)


class _Overtaken(Exception):
    """Another one was taken for the maker."""


def make(house: House, file_id: UUID, attempt: int) -> None:
    """Write a file and put it away; of two that make the same one, the last that was taken for it."""
    with house.db.reading_session() as session:
        declaration_id = session.get_one(DeclarationFile, file_id).declaration_id
    told, done = time.monotonic(), 0

    def note(connection: Connection, **changes: object) -> None:
        mine = _FILES.c.id == file_id, _FILES.c.attempt == attempt, _FILES.c.finished_at.is_(None)
        noted = sa.update(_FILES).where(*mine).values(worked_at=clock.now(), **changes)
        if not connection.execute(noted).rowcount:
            raise _Overtaken

    def tell(records: int) -> None:
        nonlocal told, done
        done = records
        if time.monotonic() - told >= _TELL_EVERY:
            told = time.monotonic()
            with house.db.transaction() as connection:
                note(connection, done=records)

    with TemporaryFile() as file:
        try:
            fingerprint = hand_over.write(house, declaration_id, file, tell)
            size = file.tell()
            for number, body in enumerate(_pieces(file)):
                with house.db.transaction() as connection:
                    note(connection, done=done)
                    row = {"file_id": file_id, "attempt": attempt, "number": number, "body": body}
                    connection.execute(sa.insert(_PIECES), row)
            with house.db.transaction() as connection:
                note(connection, done=done, size=size, fingerprint=fingerprint, finished_at=clock.now())
        except _Overtaken:
            log.info("hand_over_overtaken")


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    while body := file.read(PIECE):
        yield body


# --- taking ------------------------------------------------------------------------------------------------


def take(
    house: House, principal: Principal, declaration_id: UUID
) -> tuple[DeclarationFile, Declaration, Iterator[bytes]]:
    """The whole file of a declaration, its declaration, and what is in it piece by piece. That it was taken is noted.

    For officers of the district. Raises NotAllowed, NotFound.
    """
    may_read(house, principal, TAKERS)
    with house.db.session() as session:
        file = latest(session, declaration_id)
        if file is None or file.finished_at is None:
            raise NotFound
        declaration = session.get_one(Declaration, declaration_id)
        audit.note_by(
            session,
            principal,
            deed="declaration.handed_over",
            subject=declared.subject(declaration_id),
            fingerprint=file.fingerprint,
        )
        session.flush()
        session.expunge_all()
    return file, declaration, _read(house, file)


def _read(house: House, file: DeclarationFile) -> Iterator[bytes]:
    number = 0
    while True:
        key = _PIECES.c.file_id == file.id, _PIECES.c.attempt == file.attempt, _PIECES.c.number == number
        with house.db.reading() as connection:
            body = connection.scalar(sa.select(_PIECES.c.body).where(*key))
        if body is None:
            return
        yield body
        number += 1
