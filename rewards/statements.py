"""Statements: what a resident did and what it earned, one readable line a fact, latest first."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from activities.events import ActionConfirmed, ActionRecorded, ActionRejected, ActionVoided, Deed
from rewards import ledger
from rewards.crediting import reference_of
from tanpuhui.db import Statement

_TYPES: dict[str, type[Deed]] = {
    event.type: event for event in (ActionRecorded, ActionConfirmed, ActionRejected, ActionVoided)
}


@dataclass(frozen=True)
class Line:
    """One line: the deed (recorded, decided or voided), and the points it moved, signed, with the balance after.

    `held`: points of a record that waits for review; they are no part of the balance. `sign`: how the deed's numbers count.
    """

    position: int
    voided: bool
    deed: Deed
    points: int
    balance_after: int | None
    held: int = 0

    @property
    def pending(self) -> bool:
        """Whether it was recorded to wait for review."""
        return isinstance(self.deed, ActionRecorded) and self.deed.pending

    @property
    def sign(self) -> int:
        """1 for what is added, -1 for what is taken back, 0 for what waits or was rejected."""
        if self.pending or isinstance(self.deed, ActionRejected):
            return 0
        return -1 if self.voided else 1

    @property
    def replaced(self) -> bool:
        """Whether a better proven record of the same deed took its place."""
        return isinstance(self.deed, ActionVoided | ActionRejected) and self.deed.replaced_by is not None

    @property
    def reason(self) -> str | None:
        """Why it was voided or decided so, if it was."""
        return (
            self.deed.reason
            if isinstance(self.deed, ActionVoided | ActionConfirmed | ActionRejected)
            else None
        )


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
    rows = _READ.run(connection, resident=resident, before=before or 2**62, types=tuple(_TYPES), limit=limit)
    deeds = [_deed(row) for row in rows]
    references = [reference_of(deed) for deed in deeds]
    transfers = ledger.find(connection, references)
    lines = []
    for row, deed, reference in zip(rows, deeds, references, strict=True):
        transfer = transfers.get(reference)
        voided = isinstance(deed, ActionVoided)
        line = Line(row.position, voided, deed, 0, None)
        if transfer and line.sign:
            line = replace(line, points=line.sign * transfer.amount, balance_after=transfer.balance_after)
        elif transfer and line.pending:
            line = replace(line, held=transfer.amount)
        lines.append(line)
    return lines


def _deed(row: sa.Row[tuple[str, ...]]) -> Deed:
    return _TYPES[row.type].from_payload(row.payload)
