"""Looking through the audit trail: by person, deed, subject, time and words of the reason, the latest first.

Auditors and admins of the district see everybody's, every member of staff their own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Session, col, select

from tanpuhui import audit, clock
from tanpuhui.audit import AuditEntry
from tanpuhui.audit_chain import AuditLink
from tanpuhui.bureau.participation import Period
from tanpuhui.errors import InvalidField
from tanpuhui.i18n import N_
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal
from tanpuhui.staff import Role, Staff

READERS = (Role.AUDITOR, Role.ADMIN)

#: So many are listed at once, and so many can be taken away as one sheet.
PAGE, MOST_IN_A_SHEET = 50, 100_000

Key = tuple[datetime, UUID]


@dataclass(frozen=True)
class Asked:
    """What of the trail is looked for; an empty text asks for nothing.

    `actor`: a part of a name. `subject`: a whole one (``site:<id>``), or the kind of many (``site``).
    """

    within: Period
    actor: str = ""
    deed: str = ""
    subject: str = ""
    text: str = ""


@dataclass(frozen=True)
class Line:
    """An entry as people read it. `actor`: a name, or empty where none is told. `position`: in the chain, once it is sealed."""

    entry: AuditEntry
    actor: str
    position: int | None


def key_of(text: str) -> Key | None:
    """The entry before which a page begins, from the address; None for the first page. Raises InvalidField."""
    if not text:
        return None
    moment, _, entry_id = text.partition("~")
    try:
        return datetime.fromisoformat(moment).astimezone(UTC), UUID(entry_id)
    except (ValueError, OverflowError):
        raise InvalidField(errors=[{"field": "before", "reason": N_("页码不对，请从第一页看起。")}]) from None


def key_text(entry: AuditEntry) -> str:
    """The other way round."""
    return f"{entry.at.isoformat()}~{entry.id}"


def search(
    session: Session, asked: Asked, *, own: UUID | None = None, before: Key | None = None, limit: int = PAGE
) -> tuple[list[Line], bool]:
    """Up to `limit` entries before a key, the latest first, and whether there are more. `own`: of this member of staff alone."""
    query = (
        select(AuditEntry, col(Staff.name), col(AuditLink.position))
        .outerjoin(
            Staff, sa.and_(col(AuditEntry.actor_kind) == "staff", col(Staff.id) == AuditEntry.actor_id)
        )
        .outerjoin(AuditLink, col(AuditLink.entry_id) == col(AuditEntry.id))
        .where(*_conditions(asked))
        .order_by(col(AuditEntry.at).desc(), col(AuditEntry.id).desc())
        .limit(limit + 1)
    )
    if own:
        query = query.where(AuditEntry.actor_kind == "staff", AuditEntry.actor_id == own)
    if before:
        at, entry_id = before
        earlier = sa.and_(col(AuditEntry.at) == at, col(AuditEntry.id) < entry_id)
        query = query.where(AuditEntry.at <= at, sa.or_(col(AuditEntry.at) < at, earlier))
    found = session.exec(query).all()
    return [Line(entry, name or "", position) for entry, name, position in found[:limit]], len(found) > limit


def _conditions(asked: Asked) -> Iterator[Any]:
    yield AuditEntry.at >= clock.day_bounds(asked.within.first)[0]
    yield AuditEntry.at < clock.day_bounds(asked.within.last)[1]
    if asked.actor:
        yield col(Staff.name).contains(asked.actor, autoescape=True)
    if asked.deed:
        yield AuditEntry.deed == asked.deed
    if asked.subject:
        kind = col(AuditEntry.subject).startswith(f"{asked.subject}:", autoescape=True)
        one = col(AuditEntry.subject) == asked.subject
        yield one if ":" in asked.subject else sa.or_(one, kind)
    if asked.text:
        yield col(AuditEntry.reason).contains(asked.text, autoescape=True)


def take(house: House, principal: Principal, asked: Asked, reason: str) -> Sequence[Line]:
    """What `asked` finds, for a sheet; that it was taken, and why, is in the trail itself.

    Raises InvalidField without a reason, and for more than `MOST_IN_A_SHEET`.
    """
    why = audit.reason(reason)
    with house.db.session() as session:
        lines, more = search(session, asked, limit=MOST_IN_A_SHEET)
        if more:
            raise InvalidField(errors=[{"field": "to", "reason": N_("一次最多导出十万条，请缩短日期。")}])
        audit.note_by(
            session,
            principal,
            deed="audit.exported",
            subject="audit",
            reason=why,
            count=len(lines),
            first=asked.within.first.isoformat(),
            last=asked.within.last.isoformat(),
            looked_for=[asked.actor, asked.deed, asked.subject, asked.text],
        )
        return lines
