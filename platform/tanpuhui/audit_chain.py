"""The chain of the audit trail: a job gives every entry its place and a hash over it and the one before.

Whoever notes a deed waits for nobody: the chain is made behind. What a hash covers and how it is checked stands in
`tanpuhui.verify_audit`, which everybody may run. Each day that is over leaves a head, which is published.
"""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, Session, SQLModel, col, select

from tanpuhui import clock
from tanpuhui.audit import AuditEntry
from tanpuhui.db import session_on
from tanpuhui.i18n import N_
from tanpuhui.jobs import Job
from tanpuhui.rooms import House
from tanpuhui.verify_audit import FORMAT, NOTHING, breaches, link_of

#: An entry is sealed at most so long after its moment: nobody's transaction or clock is later than that.
LATE = timedelta(days=1)

_PIECE = 2000


class AuditLink(SQLModel, table=True):
    """An entry of the audit in its place for ever. `hash`: over it, its position and the hash before."""

    __tablename__ = "audit_link"
    __table_args__ = (sa.CheckConstraint("position >= 1", name="position"),)

    position: int = Field(sa_column=sa.Column(sa.BigInteger, primary_key=True, autoincrement=False))
    entry_id: UUID = Field(unique=True)
    hash: str = Field(max_length=64)
    sealed_at: datetime


class AuditHead(SQLModel, table=True):
    """Where the chain of the audit stood when a day was closed: what is published."""

    __tablename__ = "audit_head"

    day: date = Field(primary_key=True)
    position: int = Field(sa_type=sa.BigInteger)
    hash: str = Field(max_length=64)
    taken_at: datetime


#: Tables whose rows are added and never changed.
APPEND_ONLY = ("audit_link", "audit_head")

_ENTRY_OF = col(AuditLink.entry_id) == col(AuditEntry.id)


def seal(_house: House, connection: Connection, moment: datetime) -> None:
    """Link what was noted since, and leave the head of yesterday, as a job of the worker. Of two at once, one fails."""
    with session_on(connection) as session:
        last = _last(session)
        position, previous = (last.position, last.hash) if last else (0, NOTHING)
        for entry in session.exec(_unsealed(session, last)).all():
            position += 1
            previous = link_of(previous, position, said(entry))
            session.add(AuditLink(position=position, entry_id=entry.id, hash=previous, sealed_at=moment))
        yesterday = clock.day_of(moment) - timedelta(days=1)
        taken = session.exec(select(sa.func.max(AuditHead.day))).one()
        if position and (taken is None or taken < yesterday):
            session.add(AuditHead(day=yesterday, position=position, hash=previous, taken_at=moment))


def _last(session: Session) -> AuditLink | None:
    return session.exec(select(AuditLink).order_by(col(AuditLink.position).desc()).limit(1)).first()


def _unsealed(session: Session, last: AuditLink | None) -> Any:
    """What has no place yet, in the order in which it is to have one; of long ago nothing is looked for again."""
    query = (
        select(AuditEntry)
        .outerjoin(AuditLink, _ENTRY_OF)
        .where(col(AuditLink.position).is_(None))
        .order_by(col(AuditEntry.at), col(AuditEntry.id))
    )
    return query.where(AuditEntry.at >= _mark(session, last)) if last else query


def _mark(session: Session, last: AuditLink) -> datetime:
    """From when on entries may still be without a place: all that are older had theirs when the last one got it."""
    entry = session.get(AuditEntry, last.entry_id)
    return min(last.sealed_at, entry.at if entry else last.sealed_at) - LATE


def said(entry: AuditEntry) -> dict[str, Any]:
    """An entry as it is sealed."""
    return {
        "id": str(entry.id),
        "at": entry.at.astimezone(UTC).isoformat(),
        "actor_kind": entry.actor_kind,
        "actor_id": str(entry.actor_id) if entry.actor_id else None,
        "deed": entry.deed,
        "subject": entry.subject,
        "reason": entry.reason,
        "detail": entry.detail,
    }


# --- reading -----------------------------------------------------------------------------------------------


def trail(session: Session) -> Iterator[dict[str, Any]]:
    """Every sealed entry with its position and hash, as `verify_audit` reads it; `id` is None where the entry is gone."""
    query = select(AuditLink, AuditEntry).outerjoin(AuditEntry, _ENTRY_OF).order_by(col(AuditLink.position))
    position = 0
    while found := session.exec(query.where(AuditLink.position > position).limit(_PIECE)).all():
        for link, entry in found:
            position = link.position
            place = {"position": position, "hash": link.hash}
            yield {"id": None, **place} if entry is None else {**said(entry), **place}


def heads(session: Session) -> list[dict[str, Any]]:
    """The heads by day."""
    found = session.exec(select(AuditHead).order_by(col(AuditHead.day))).all()
    return [{"day": one.day.isoformat(), "position": one.position, "hash": one.hash} for one in found]


def heads_text(session: Session) -> str:
    """The heads as a plain file, a line a day, to be kept somewhere else."""
    lines = (f"{head['day']} {head['position']} {head['hash']}\n" for head in heads(session))
    return "# day position hash\n" + "".join(lines)


def trail_lines(house: House) -> Iterator[str]:
    """The trail as a file for `verify_audit`, an entry a line."""
    with house.db.reading_session() as session:
        yield json.dumps({"format": FORMAT}) + "\n"
        for entry in trail(session):
            yield json.dumps(entry, ensure_ascii=False) + "\n"


def last_link(session: Session) -> AuditLink | None:
    """Where the chain stands now."""
    return _last(session)


def broken(connection: Connection) -> Iterator[str]:
    """What `tanpuhui verify` has to say of the audit: the first bad entry, and those that came past the chain."""
    with session_on(connection) as session:
        yield from breaches(trail(session), heads(session))
        last = _last(session)
        if last is None:
            return
        passed = _unsealed(session, None).where(AuditEntry.at < _mark(session, last))
        for entry in session.exec(passed):
            yield f"{entry.deed} of {entry.subject} ({entry.id}) of {entry.at:%Y-%m-%d} was put in past the chain"


JOB = Job("audit_chain", N_("封存操作记录"), timedelta(minutes=1), seal)
