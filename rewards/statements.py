"""Statements: what a resident did and what it earned, one readable line a fact, latest first."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from activities.events import ActionRecorded, ActionVoided, Deed
from rewards import ledger
from rewards.crediting import credit_reference, reversal_reference
from tanpuhui.db import Statement

_TYPES = (ActionRecorded.type, ActionVoided.type)


@dataclass(frozen=True)
class Line:
    """One line: the deed (recorded or voided), and the points it moved, signed, with the balance after."""

    position: int
    voided: bool
    deed: Deed
    points: int
    balance_after: int | None

    @property
    def reason(self) -> str | None:
        """Why it was voided, if it was."""
        return self.deed.reason if isinstance(self.deed, ActionVoided) else None


_READ = Statement(
    "SELECT position, type, payload FROM event_log WHERE resident_id = :resident AND position < :before "
    "AND type {in:types:text} ORDER BY position DESC LIMIT :limit",
    position="int",
    type="text",
    payload="text",
)


def statement(
    connection: Connection, resident_id: UUID, *, limit: int = 50, before: int | None = None
) -> Sequence[Line]:
    """The latest `limit` lines, or those before the line at position `before`."""
    resident = resident_id if connection.dialect.name == "postgresql" else resident_id.hex
    rows = _READ.run(connection, resident=resident, before=before or 2**62, types=_TYPES, limit=limit)
    deeds = [_deed(row) for row in rows]
    references = [_reference(deed) for deed in deeds]
    transfers = ledger.find(connection, references)
    lines = []
    for row, deed, reference in zip(rows, deeds, references, strict=True):
        transfer = transfers.get(reference)
        voided = isinstance(deed, ActionVoided)
        points = (-transfer.amount if voided else transfer.amount) if transfer else 0
        lines.append(Line(row.position, voided, deed, points, transfer.balance_after if transfer else None))
    return lines


def _deed(row: sa.Row[tuple[str, ...]]) -> Deed:
    event = ActionVoided if row.type == ActionVoided.type else ActionRecorded
    return event.from_payload(row.payload)


def _reference(deed: Deed) -> str:
    voided = isinstance(deed, ActionVoided)
    return reversal_reference(deed.subject_id) if voided else credit_reference(deed.subject_id)
