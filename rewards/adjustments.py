"""Adjustments: points that staff give a resident, or take back again, with a reason that the resident reads.

    proposed ──another member of staff──▶ approved (the transfer is made) or declined

Nobody moves points alone: a constraint keeps proposer and decider apart, and the database takes a transfer of an adjustment only
with an approved one of that amount. What earns points is corrected where it was earned (a record is voided, which takes its
points and its bonus back); an adjustment is for what no record shows. `GOODWILL` gives points, `REVERSAL` takes those of one
earlier adjustment back, as a whole and once, never below zero and not after their day. Staff know a resident by the number of
what they wrote in, and by nothing else.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, Session, SQLModel, col, select

from rewards import ledger
from rewards.crediting import expires_on
from rewards.events import PointsAdjusted
from rewards.ledger import ADJUSTMENTS_PROGRAMME, Posting, account_of
from tanpuhui import audit, clock, ids
from tanpuhui.db import enum_type, session_on
from tanpuhui.errors import (
    AdjustmentDecided,
    AlreadyReversed,
    ApproverIsProposer,
    InsufficientPoints,
    InvalidField,
    NotFound,
)
from tanpuhui.feedback import Feedback
from tanpuhui.i18n import N_
from tanpuhui.inbox import Note, tell
from tanpuhui.letters import Letter
from tanpuhui.people import Resident, ResidentStatus, take_turn
from tanpuhui.rooms import House
from tanpuhui.schema import Guard
from tanpuhui.sessions import Principal
from tanpuhui.staff import Role, grants_of, made_before, require

#: Who proposes and decides, each within their division.
ADJUSTERS = (Role.OFFICER, Role.ADMIN)

#: The most points that one adjustment gives.
MOST = 10_000


class AdjustmentKind(StrEnum):
    """What is proposed."""

    GOODWILL = "goodwill"
    REVERSAL = "reversal"


class AdjustmentDecision(StrEnum):
    """What a second member of staff decided."""

    APPROVED = "approved"
    DECLINED = "declined"


class Adjustment(SQLModel, table=True):
    """A proposal and what became of it. `reason` is for the resident.

    `about`: the number of what the resident wrote in; both are None once they have left. `division_code`: their community then. `reverses`: the adjustment whose
    points a reversal takes back.
    """

    __tablename__ = "adjustment"
    __table_args__ = (
        sa.CheckConstraint(f"amount BETWEEN 1 AND {MOST}", name="amount"),
        sa.CheckConstraint("reason <> ''", name="reason"),
        sa.CheckConstraint("(kind = 'reversal') = (reverses IS NOT NULL)", name="reverses"),
        sa.CheckConstraint(
            "(decision IS NULL AND decided_by IS NULL AND decided_at IS NULL) OR "
            "(decision IS NOT NULL AND decided_by IS NOT NULL AND decided_at IS NOT NULL)",
            name="decision_whole",
        ),
        sa.CheckConstraint("decided_by IS NULL OR decided_by <> proposed_by", name="second_person"),
        sa.Index(
            "uq_adjustment_reverses",
            "reverses",
            unique=True,
            sqlite_where=sa.text("decision IS NULL OR decision = 'approved'"),
            postgresql_where=sa.text("decision IS NULL OR decision = 'approved'"),
        ),
        sa.Index("ix_adjustment_proposed_at", "proposed_at"),
    )

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    kind: AdjustmentKind = Field(sa_column=sa.Column(enum_type(AdjustmentKind), nullable=False))
    resident_id: UUID = Field(foreign_key="resident.id", index=True)
    division_code: str = Field(foreign_key="division.code", max_length=12)
    about: str | None = Field(default=None, max_length=20)
    amount: int
    reverses: UUID | None = Field(default=None, foreign_key="adjustment.id")
    reason: str | None = Field(default=None, max_length=200)
    proposed_by: UUID = Field(foreign_key="staff.id")
    proposed_at: datetime = Field(default_factory=clock.now)
    decision: AdjustmentDecision | None = Field(default=None, sa_type=enum_type(AdjustmentDecision))
    decided_by: UUID | None = Field(default=None, foreign_key="staff.id")
    decided_at: datetime | None = None

    @property
    def points(self) -> int:
        """What the resident gets by it; below zero for what is taken back."""
        return self.amount if self.kind is AdjustmentKind.GOODWILL else -self.amount


_FIXED = ("kind", "resident_id", "division_code", "amount", "reverses", "proposed_by", "proposed_at")
_CHANGED = " OR ".join(
    [
        *(f"NEW.{name} {{differs}} OLD.{name}" for name in _FIXED),
        *(f"(NEW.{name} IS NOT NULL AND NEW.{name} {{differs}} OLD.{name})" for name in ("about", "reason")),
    ]
)

#: A proposal stays as it was made and is decided once; points move by an approved one alone.
GUARDS = (
    Guard("adjustment", "undecided", "INSERT", "NEW.decision IS NOT NULL", "a proposal begins undecided"),
    Guard(
        "adjustment",
        "fixed",
        "UPDATE",
        _CHANGED,
        "a proposal is not rewritten",
    ),
    Guard(
        "adjustment",
        "once",
        "UPDATE",
        "OLD.decision IS NOT NULL AND (NEW.decision {differs} OLD.decision "
        "OR NEW.decided_by {differs} OLD.decided_by OR NEW.decided_at {differs} OLD.decided_at)",
        "a proposal is decided once",
    ),
    Guard("adjustment", "kept", "DELETE", "true", "an adjustment is kept"),
    Guard(
        "transfer",
        "adjusted",
        "INSERT",
        "NOT EXISTS (SELECT 1 FROM adjustment a WHERE a.decision = 'approved' AND a.amount = NEW.amount AND "
        "replace(CAST(a.id AS VARCHAR(36)), '-', '') = replace(substr(NEW.reference, 8), '-', ''))",
        "points are adjusted by an approved proposal alone",
        only="(NEW.source = 'programme:adjustments' OR NEW.destination = 'programme:adjustments')",
    ),
)


def adjust_reference(adjustment_id: UUID) -> str:
    """The reference of the transfer that an approved adjustment makes."""
    return f"adjust:{adjustment_id}"


# --- proposing -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GoodwillIn:
    """What somebody fills in: the number of what the resident wrote in, whole points, and the reason for the resident."""

    about: str
    points: str
    reason: str


def propose(house: House, principal: Principal, goodwill: GoodwillIn, chosen: UUID | None = None) -> UUID:
    """Propose to give a resident points. With a `chosen` id it is made once. Raises InvalidField, NotAllowed."""
    with house.db.session() as session:
        require(session, principal, ADJUSTERS)
        if made := made_before(session, principal, Adjustment, chosen):
            return made.id
        feedback, errors = _written(session, principal, goodwill.about), []
        if feedback is None:
            errors.append({"field": "about", "reason": N_("没有这个编号的来信，或者不在您的辖区。")})
        points = goodwill.points.strip()
        if not (points.isascii() and points.isdigit() and len(points) <= 6 and 1 <= int(points) <= MOST):
            errors.append({"field": "points", "reason": N_("请填 1 到 10000 的整数。")})
        try:
            words = audit.reason(goodwill.reason)
        except InvalidField as error:
            errors += error.params["errors"]
        if feedback and feedback.resident_id and not errors:
            resident = session.get_one(Resident, feedback.resident_id)
            if not resident.with_points:
                errors.append({"field": "about", "reason": N_("这位居民选择了不要积分。")})
        if errors or feedback is None or feedback.resident_id is None:
            raise InvalidField(errors=errors)
        made = Adjustment(
            id=chosen or ids.new_id(),
            kind=AdjustmentKind.GOODWILL,
            resident_id=feedback.resident_id,
            division_code=feedback.division_code,
            about=feedback.number,
            amount=int(points),
            reason=words,
            proposed_by=principal.id,
        )
        return _keep(session, principal, made)


def propose_reversal(house: House, principal: Principal, adjustment_id: UUID, reason: str) -> UUID:
    """Propose to take the points of an adjustment back. Raises NotFound, NotAllowed, InvalidField, AlreadyReversed."""
    words = audit.reason(reason)

    def work(connection: Connection) -> UUID:
        with session_on(connection) as session:
            given = in_scope(session, principal, adjustment_id)
            if given.kind is not AdjustmentKind.GOODWILL or given.decision is not AdjustmentDecision.APPROVED:
                raise NotFound
            if reversal_of(session, adjustment_id):
                raise AlreadyReversed
            made = Adjustment(
                kind=AdjustmentKind.REVERSAL,
                resident_id=given.resident_id,
                division_code=given.division_code,
                about=given.about,
                amount=given.amount,
                reverses=given.id,
                reason=words,
                proposed_by=principal.id,
            )
            return _keep(session, principal, made)

    return house.db.run(work)


def reversal_of(session: Session, adjustment_id: UUID) -> Adjustment | None:
    """What takes an adjustment back, or would if it were approved."""
    standing = sa.or_(
        col(Adjustment.decision).is_(None), col(Adjustment.decision) == AdjustmentDecision.APPROVED
    )
    return session.exec(select(Adjustment).where(Adjustment.reverses == adjustment_id, standing)).first()


def _written(session: Session, principal: Principal, number: str) -> Feedback | None:
    """What a resident who is still here wrote in, by its number, in the scope of `principal`."""
    found = session.exec(select(Feedback).where(Feedback.number == number.strip().upper()[:20])).first()
    if found is None or found.resident_id is None:
        return None
    within = any(
        given.role in ADJUSTERS
        and given.division_code
        and found.division_code.startswith(given.division_code)
        for given in grants_of(session, principal)
    )
    return found if within else None


def _keep(session: Session, principal: Principal, made: Adjustment) -> UUID:
    session.add(made)
    session.flush()
    _note(session, principal, "adjustment.proposed", made)
    return made.id


# --- deciding --------------------------------------------------------------------------------------------------


def decide(house: House, principal: Principal, adjustment_id: UUID, decision: str) -> None:
    """Approve a proposal, which moves the points and tells the resident, or decline it. Said twice alike it is said once.

    Raises NotFound, NotAllowed, ApproverIsProposer, InvalidField (no decision), AdjustmentDecided, InsufficientPoints (too few are
    left to take back, or their day is over).
    """
    try:
        chosen = AdjustmentDecision(decision)
    except ValueError:
        raise InvalidField(errors=[{"field": "decision", "reason": N_("请选择批准还是不批准。")}]) from None

    def work(connection: Connection) -> None:
        with session_on(connection) as session:
            found = in_scope(session, principal, adjustment_id)
            here = take_turn(connection, [found.resident_id])
            session.refresh(found, with_for_update=True)
            if found.decision is not None:
                if (found.decision, found.decided_by) != (chosen, principal.id):
                    raise AdjustmentDecided
                return
            if found.proposed_by == principal.id:
                raise ApproverIsProposer
            if chosen is AdjustmentDecision.APPROVED:
                if here[found.resident_id].status != ResidentStatus.ACTIVE:
                    raise NotFound
                if found.kind is AdjustmentKind.GOODWILL and not here[found.resident_id].with_points:
                    reason = N_("这位居民选择了不要积分。")
                    raise InvalidField(errors=[{"field": "decision", "reason": reason}])
            now = clock.now()
            found.decision, found.decided_by, found.decided_at = chosen, principal.id, now
            session.add(found)
            _note(session, principal, f"adjustment.{chosen.value}", found)
            session.flush()
            if chosen is AdjustmentDecision.APPROVED:
                _move(house, connection, found, now)

    house.db.run(work)


def _move(house: House, connection: Connection, approved: Adjustment, now: datetime) -> None:
    """Make the transfer; its resident has the turn, and is told."""
    reference, account = adjust_reference(approved.id), account_of(approved.resident_id)
    if approved.reverses is None:
        day = expires_on(connection, now)
        posting = Posting(reference, ADJUSTMENTS_PROGRAMME, account, approved.amount, now, day)
        ledger.credit(connection, [posting], [])
    else:
        original = adjust_reference(approved.reverses)
        given = ledger.find(connection, [original])[original]
        if given.expires_on < clock.day_of(now):
            raise InsufficientPoints
        ledger.take(
            connection,
            Posting(reference, account, ADJUSTMENTS_PROGRAMME, approved.amount, now, given.expires_on),
        )
    house.publish(
        connection,
        [
            PointsAdjusted(
                subject_id=approved.id,
                resident_id=approved.resident_id,
                recorded_at=now,
                points=approved.points,
            )
        ],
    )
    about = {"adjustment": str(approved.id)}
    tell(connection, [Note(ADJUSTED, approved.resident_id, str(approved.id), about, told_at=now)])


# --- reading ---------------------------------------------------------------------------------------------------


def in_scope(session: Session, principal: Principal, adjustment_id: UUID) -> Adjustment:
    """A proposal that `principal` answers for. Raises NotFound, NotAllowed."""
    found = session.get(Adjustment, adjustment_id)
    if found is None:
        raise NotFound
    require(session, principal, ADJUSTERS, division_code=found.division_code)
    return found


def listed(session: Session, principal: Principal, limit: int = 100) -> list[Adjustment]:
    """The proposals in the scope of `principal`, the latest first."""
    scopes = [
        col(Adjustment.division_code).startswith(given.division_code)
        for given in grants_of(session, principal)
        if given.role in ADJUSTERS and given.division_code
    ]
    query = select(Adjustment).where(sa.or_(sa.false(), *scopes))
    return list(session.exec(query.order_by(col(Adjustment.proposed_at).desc()).limit(limit)))


def forget(connection: Connection, resident_id: UUID) -> None:
    """The words about somebody who has left go; that points were moved stays, as in the ledger."""
    theirs = col(Adjustment.resident_id) == resident_id
    connection.execute(sa.update(Adjustment).where(theirs).values(reason=None, about=None))


def reasons(connection: Connection, adjustment_ids: list[UUID]) -> dict[UUID, str | None]:
    """Why each of these was made, in the words for the resident."""
    query = sa.select(col(Adjustment.id), col(Adjustment.reason)).where(
        col(Adjustment.id).in_(adjustment_ids)
    )
    return {row.id: row.reason for row in connection.execute(query)} if adjustment_ids else {}


def _note(session: Session, principal: Principal, deed: str, found: Adjustment) -> None:
    audit.note_by(
        session,
        principal,
        deed=deed,
        subject=f"adjustment:{found.id}",
        points=found.points,
    )


def _look(connection: Connection, resident_id: UUID, params: Any) -> Adjustment | None:
    with session_on(connection) as session:
        found = session.get(Adjustment, UUID(params["adjustment"]))
        if found is None or found.resident_id != resident_id:
            return None
        session.expunge(found)
        return found


#: Points were given or taken back: how many, and why.
ADJUSTED = Letter("points.adjusted", "rewards/letters/adjusted.html", icon="points", look=_look)
