"""Statements: what a resident did and what it earned, one readable line a fact, latest first."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from activities.events import ActionConfirmed, ActionRecorded, ActionRejected, ActionVoided, Deed
from rewards import grants, ledger
from rewards.bonus_view import titles
from rewards.crediting import reference_of
from rewards.events import Bonus, BonusGranted, BonusReturned, Voucher, VoucherReserved, VoucherReturned
from rewards.offers import titles as offer_titles
from rewards.redemptions import back_reference, reference
from tanpuhui.db import Statement

_TYPES: dict[str, type[Deed] | type[Bonus] | type[Voucher]] = {
    event.type: event
    for event in (
        ActionRecorded,
        ActionConfirmed,
        ActionRejected,
        ActionVoided,
        BonusGranted,
        BonusReturned,
        VoucherReserved,
        VoucherReturned,
    )
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


@dataclass(frozen=True)
class BonusLine:
    """Points of a campaign's bonus for a record, granted or taken back, signed, with the balance after."""

    position: int
    bonus: Bonus
    title: str
    points: int
    balance_after: int | None

    @property
    def returned(self) -> bool:
        """Whether it was taken back."""
        return isinstance(self.bonus, BonusReturned)


@dataclass(frozen=True)
class VoucherLine:
    """Points given for a voucher, or given back, signed, with the balance after."""

    position: int
    voucher: Voucher
    title: str
    points: int
    balance_after: int | None

    @property
    def returned(self) -> bool:
        """Whether they were given back."""
        return isinstance(self.voucher, VoucherReturned)


_READ = Statement(
    "SELECT position, type, payload FROM event_log WHERE resident_id = :resident AND position < :before "
    "AND type {in:types:text} ORDER BY position DESC LIMIT :limit",
    position="int",
    type="text",
    payload="text",
)


def statement(
    connection: Connection, resident_id: UUID, *, limit: int = 50, before: int | None = None
) -> Sequence[Line | BonusLine | VoucherLine]:
    """The latest `limit` lines, or those before the line at position `before`."""
    resident = resident_id if connection.dialect.name == "postgresql" else resident_id.hex
    rows = _READ.run(connection, resident=resident, before=before or 2**62, types=tuple(_TYPES), limit=limit)
    events = [(row.position, _TYPES[row.type].from_payload(row.payload)) for row in rows]
    transfers = ledger.find(connection, [_reference(event) for _, event in events])
    campaigns = titles(connection, [event.campaign_id for _, event in events if isinstance(event, Bonus)])
    offers = offer_titles(connection, [event.offer_id for _, event in events if isinstance(event, Voucher)])
    lines: list[Line | BonusLine | VoucherLine] = []
    for position, event in events:
        transfer = transfers.get(_reference(event))
        if isinstance(event, Bonus):
            lines.append(_bonus_line(position, event, campaigns[event.campaign_id], transfer))
        elif isinstance(event, Voucher):
            lines.append(_voucher_line(position, event, offers[event.offer_id], transfer))
        else:
            lines.append(_line(position, event, transfer))
    return lines


def _reference(event: Deed | Bonus | Voucher) -> str:
    if isinstance(event, Voucher):
        return (back_reference if isinstance(event, VoucherReturned) else reference)(event.subject_id)
    return grants.reference_of(event) if isinstance(event, Bonus) else reference_of(event)


def _voucher_line(
    position: int, event: Voucher, title: str, transfer: sa.Row[tuple[str, ...]] | None
) -> VoucherLine:
    """The balance after stands where the transfer has it: that of the resident's side."""
    points = event.points if isinstance(event, VoucherReturned) else -event.points
    return VoucherLine(position, event, title, points, transfer.balance_after if transfer else None)


def _line(position: int, deed: Deed, transfer: sa.Row[tuple[str, ...]] | None) -> Line:
    line = Line(position, isinstance(deed, ActionVoided), deed, 0, None)
    if transfer and line.sign:
        return replace(line, points=line.sign * transfer.amount, balance_after=transfer.balance_after)
    return replace(line, held=transfer.amount) if transfer and line.pending else line


def _bonus_line(
    position: int, event: Bonus, title: str, transfer: sa.Row[tuple[str, ...]] | None
) -> BonusLine:
    sign = -1 if isinstance(event, BonusReturned) else 1
    return BonusLine(
        position, event, title, sign * event.points, transfer.balance_after if transfer else None
    )
