"""Who did what to what, when and why. Rows are added and never changed (the database refuses it)."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, Session, SQLModel, col, select

from tanpuhui import clock, ids
from tanpuhui.errors import InvalidField
from tanpuhui.i18n import N_

if TYPE_CHECKING:
    from tanpuhui.sessions import Principal

REASON_LENGTH = (2, 200)


class AuditEntry(SQLModel, table=True):
    """One deed of a member of staff or of the system. `detail` holds ids and choices, never personal data."""

    __tablename__ = "audit_entry"
    __table_args__ = tuple(
        sa.Index(f"ix_audit_entry_{column}_at", column, "at") for column in ("actor_id", "deed", "subject")
    )

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    at: datetime = Field(default_factory=clock.now, index=True)
    actor_kind: str = Field(max_length=16)
    actor_id: UUID | None = None
    deed: str = Field(max_length=64)
    subject: str = Field(max_length=128)
    reason: str = Field(default="", sa_type=sa.Text)
    detail: dict[str, Any] = Field(default_factory=dict, sa_type=sa.JSON)


def reason(text: str) -> str:
    """`text` as the reason of a deed that takes something from people: one line of 2 to 200 characters.

    Raises InvalidField.
    """
    line = " ".join(text.split())
    shortest, longest = REASON_LENGTH
    if not shortest <= len(line) <= longest:
        raise InvalidField(errors=[{"field": "reason", "reason": N_("请写明原因（2 到 200 字）。")}])
    return line


def history(session: Session, subject: str, since: datetime) -> Sequence[AuditEntry]:
    """What was done to `subject`, the first deed first. `since`: when it came to be; the index is on the time."""
    return session.exec(
        select(AuditEntry)
        .where(AuditEntry.at >= since, AuditEntry.subject == subject)
        .order_by(col(AuditEntry.at), col(AuditEntry.id))
    ).all()


def note_by(
    session: Session, principal: "Principal", *, deed: str, subject: str, reason: str = "", **detail: Any
) -> None:
    """Record `deed` (``site.created``, ``action.voided``) of `principal` on `subject` (``site:<id>``) with its `reason`."""
    note(
        session,
        actor_kind=principal.kind,
        actor_id=principal.id,
        deed=deed,
        subject=subject,
        reason=reason,
        **detail,
    )


def saw(
    session: Session, principal: "Principal", subject: str, reason: str = "", *, what: str = "", **detail: Any
) -> None:
    """Record that `principal` was shown more than everybody is: ``<what>.seen`` of `subject`.

    Once a look, for what is personal or left out of public tables; not for pages of sums. `what`: what of the subject was
    shown, where that is not all of it (the ``photo`` of ``action:<id>``). Where a reason is asked for, `reason` made it tidy.
    """
    deed = f"{what or subject.partition(':')[0]}.seen"
    note_by(session, principal, deed=deed, subject=subject, reason=reason, **detail)


def note(
    session: Session,
    *,
    actor_kind: str,
    actor_id: UUID | None,
    deed: str,
    subject: str,
    reason: str = "",
    **detail: Any,
) -> None:
    """The same for whoever is no `Principal`: the system, the machine's operator (no id), somebody who logs in."""
    session.add(
        AuditEntry(
            actor_kind=actor_kind,
            actor_id=actor_id,
            deed=deed,
            subject=subject,
            reason=reason,
            detail=detail,
        )
    )
