"""Statements: what a resident did and what it earned, latest first.

For machines one line a fact (`statement`), for people one row a deed (`rows`): with its credit stand the bonus, the decision
and the reversal that followed, whenever they came.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from activities.events import ActionConfirmed, ActionRecorded, ActionRejected, ActionVoided, Deed
from rewards import grants, ledger
from rewards.adjustments import adjust_reference, reasons
from rewards.bonus_view import titles
from rewards.crediting import reference_of
from rewards.draw_entries import back_reference as ticket_back, paid_reference as ticket_paid
from rewards.events import (
    Bonus,
    BonusGranted,
    BonusReturned,
    PointsAdjusted,
    PointsExpired,
    Spending,
    Ticket,
    TicketReturned,
    TicketTaken,
    Voucher,
    VoucherReserved,
    VoucherReturned,
)
from rewards.expiry import expired_reference
from rewards.offers import titles as offer_titles
from rewards.published_draws import titles as draw_titles
from rewards.redemptions import back_reference as voucher_back, reference as voucher_paid
from rewards.spending import late_reference
from tanpuhui.db import Statement

#: Each begins a row of its own; the others follow a deed, or what points were given for.
_HEADS = (ActionRecorded, PointsExpired, PointsAdjusted, VoucherReserved, TicketTaken)
_FOLLOWERS = (
    ActionConfirmed,
    ActionRejected,
    ActionVoided,
    BonusGranted,
    BonusReturned,
    VoucherReturned,
    TicketReturned,
)
_TYPES: dict[str, Any] = {event.type: event for event in (*_HEADS, *_FOLLOWERS)}


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
class PointsLine:
    """Points that expired or were adjusted, signed, with the balance after. `reason`: of an adjustment, until one leaves."""

    position: int
    event: PointsExpired | PointsAdjusted
    points: int
    balance_after: int | None
    reason: str | None = None


@dataclass(frozen=True)
class SpendingLine:
    """Points given for something, or given back, signed, with the balance after. `title`: of the offer, or of the draw."""

    position: int
    spending: Spending
    title: str
    points: int
    balance_after: int | None

    @property
    def returned(self) -> bool:
        """Whether they were given back."""
        return isinstance(self.spending, VoucherReturned | TicketReturned)

    @property
    def of_draw(self) -> bool:
        """Whether it was a ticket in a draw."""
        return isinstance(self.spending, Ticket)


AnyLine = Line | BonusLine | PointsLine | SpendingLine


@dataclass(frozen=True)
class Row:
    """A deed, or other points, with all that followed. `lines`: in the order of time, the first says what it is about."""

    lines: tuple[AnyLine, ...]

    @property
    def first(self) -> AnyLine:
        """What it is about."""
        return self.lines[0]

    @property
    def recorded_at(self) -> datetime:
        """When it began."""
        return recorded_at(self.first)

    @property
    def points(self) -> int:
        """What it came to so far."""
        return sum(line.points for line in self.lines)

    @property
    def bonus(self) -> int:
        """What of it is bonus."""
        return sum(line.points for line in self.lines if isinstance(line, BonusLine))

    @property
    def balance_after(self) -> int | None:
        """The balance after the last of its transfers; None if nothing was moved."""
        found = [line.balance_after for line in self.lines if line.balance_after is not None]
        return found[-1] if found else None

    @property
    def held(self) -> int:
        """Points that wait for review."""
        waits = isinstance(self.first, Line) and self.first.pending and self.decision is None
        return self.first.held if waits and isinstance(self.first, Line) else 0

    @property
    def decision(self) -> Line | None:
        """By what the record was confirmed, rejected or voided last."""
        decided = [line for line in self.lines[1:] if isinstance(line, Line)]
        return decided[-1] if decided else None

    @property
    def off(self) -> bool:
        """Whether the record does not count any more."""
        return self.decision is not None and not isinstance(self.decision.deed, ActionConfirmed)


def recorded_at(line: AnyLine) -> datetime:
    """When what a line tells happened."""
    if isinstance(line, Line):
        return line.deed.recorded_at
    if isinstance(line, SpendingLine):
        return line.spending.recorded_at
    return line.bonus.recorded_at if isinstance(line, BonusLine) else line.event.recorded_at


_READ = Statement(
    "SELECT position, type, payload FROM event_log WHERE resident_id = :resident AND position < :before "
    "AND type {in:types:text} ORDER BY position DESC LIMIT :limit",
    position="int",
    type="text",
    payload="text",
)
_FOLLOW = Statement(
    "SELECT position, type, payload FROM event_log WHERE resident_id = :resident AND position > :after "
    "AND subject_id {in:subjects:uuid} AND type {in:types:text} ORDER BY position",
    position="int",
    type="text",
    payload="text",
)
_Found = tuple[int, Any]


def statement(
    connection: Connection, resident_id: UUID, *, limit: int = 50, before: int | None = None
) -> Sequence[AnyLine]:
    """The latest `limit` lines, or those before the line at position `before`."""
    return _lines(connection, _read(connection, resident_id, tuple(_TYPES), limit, before))


def rows(
    connection: Connection,
    resident_id: UUID,
    *,
    limit: int = 50,
    before: int | None = None,
    until: datetime | None = None,
) -> Sequence[Row]:
    """The latest `limit` rows, or those before the row at position `before`; what happened from `until` on is left out."""
    heads = _read(connection, resident_id, tuple(event.type for event in _HEADS), limit, before)
    if not heads:
        return []
    followed = _FOLLOW.run(
        connection,
        resident=_stored(connection, resident_id),
        after=heads[-1][0],
        subjects=[event.subject_id for _, event in heads if isinstance(event, ActionRecorded | Spending)],
        types=[event.type for event in _FOLLOWERS],
    )
    followers = [(row.position, _TYPES[row.type].from_payload(row.payload)) for row in followed]
    known = [one for one in (*heads, *followers) if until is None or one[1].recorded_at < until]
    lines: dict[UUID | int, list[AnyLine]] = {}
    for (position, event), line in zip(known, _lines(connection, known), strict=True):
        by_subject = isinstance(event, Deed | Bonus | Spending)
        lines.setdefault(event.subject_id if by_subject else position, []).append(line)
    return [Row(tuple(of_one)) for of_one in lines.values()]


def all_rows(connection: Connection, resident_id: UUID, until: datetime) -> Iterator[Row]:
    """Every row of a resident, as it stood at `until`, a few at a time."""
    before = None
    while found := _read(connection, resident_id, tuple(event.type for event in _HEADS), 200, before):
        yield from rows(connection, resident_id, limit=200, before=before, until=until)
        before = found[-1][0]


def _read(
    connection: Connection, resident_id: UUID, types: tuple[str, ...], limit: int, before: int | None
) -> list[_Found]:
    found = _READ.run(
        connection,
        resident=_stored(connection, resident_id),
        before=before or 2**62,
        types=types,
        limit=limit,
    )
    return [(row.position, _TYPES[row.type].from_payload(row.payload)) for row in found]


def _stored(connection: Connection, resident_id: UUID) -> UUID | str:
    return resident_id if connection.dialect.name == "postgresql" else resident_id.hex


def _lines(connection: Connection, events: Sequence[_Found]) -> list[AnyLine]:
    references = [_reference(event) for _, event in events]
    references += [late_reference(_reference(event)) for _, event in events if isinstance(event, Spending)]
    transfers = ledger.find(connection, references)
    offers = offer_titles(connection, [event.offer_id for _, event in events if isinstance(event, Voucher)])
    draws = draw_titles(connection, [event.draw_id for _, event in events if isinstance(event, Ticket)])
    campaigns = titles(connection, [event.campaign_id for _, event in events if isinstance(event, Bonus)])
    why = reasons(connection, [event.subject_id for _, event in events if isinstance(event, PointsAdjusted)])
    made: list[AnyLine] = []
    for position, event in events:
        transfer = transfers.get(_reference(event))
        if isinstance(event, Bonus):
            made.append(_bonus_line(position, event, campaigns[event.campaign_id], transfer))
        elif isinstance(event, Deed):
            made.append(_line(position, event, transfer))
        elif isinstance(event, Spending):
            transfer = transfers.get(late_reference(_reference(event))) or transfer
            made.append(_spending_line(position, event, _title(event, offers, draws), transfer))
        else:
            made.append(_points_line(position, event, transfer, why.get(event.subject_id)))
    return made


def _reference(event: Any) -> str:
    if isinstance(event, Bonus):
        return grants.reference_of(event)
    if isinstance(event, Voucher):
        return (voucher_back if isinstance(event, VoucherReturned) else voucher_paid)(event.subject_id)
    if isinstance(event, Ticket):
        return (ticket_back if isinstance(event, TicketReturned) else ticket_paid)(event.subject_id)
    if isinstance(event, PointsExpired):
        return expired_reference(event.subject_id, event.expires_on)
    return adjust_reference(event.subject_id) if isinstance(event, PointsAdjusted) else reference_of(event)


def _points_line(
    position: int,
    event: PointsExpired | PointsAdjusted,
    transfer: sa.Row[tuple[str, ...]] | None,
    reason: str | None,
) -> PointsLine:
    points = -event.points if isinstance(event, PointsExpired) else event.points
    return PointsLine(position, event, points, transfer.balance_after if transfer else None, reason)


def _title(event: Spending, offers: Mapping[UUID, str], draws: Mapping[UUID, str]) -> str:
    if isinstance(event, Voucher):
        return offers[event.offer_id]
    return draws[event.draw_id] if isinstance(event, Ticket) else ""


def _spending_line(
    position: int, event: Spending, title: str, transfer: sa.Row[tuple[str, ...]] | None
) -> SpendingLine:
    points = event.points if isinstance(event, VoucherReturned | TicketReturned) else -event.points
    return SpendingLine(position, event, title, points, transfer.balance_after if transfer else None)


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
