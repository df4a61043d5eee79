"""Records on one code, voided together: an order names them, and each is voided by `review.void_action` on its own.

A record is voided whole or not at all, by the same rules as ever; what cannot be voided is told with its reason and
keeps none of the others back. An order of a thousand goes on as long as one answer may take, and then where it stopped;
sent twice, or by two at once, it voids nothing twice.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, Session, SQLModel, col, select

from activities.actions import Action, ActionVoid
from activities.review import void_action
from activities.signals import acted_on, managed_code
from tanpuhui import audit, clock, ids
from tanpuhui.errors import AlreadyDeclared, AlreadyVoided, InvalidField, NotFound, PointsSpent
from tanpuhui.i18n import N_
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal
from tanpuhui.staff import made_before

#: Records that one page shows, and that one order takes.
PAGE, MOST = 200, 5000

#: How long one answer may go on voiding, in seconds, and how many records are voided before it is written down.
LONGEST, STEP = 8.0, 50


class VoidOrder(SQLModel, table=True):
    """Records that staff void together: which, why, and how far it is. `problems`: what could not be voided, and why."""

    __tablename__ = "void_order"
    __table_args__ = (
        sa.CheckConstraint("reason <> ''", name="reason"),
        sa.CheckConstraint("done >= 0", name="done"),
    )

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    code_id: int = Field(sa_type=sa.BigInteger, index=True)
    asked_by: UUID = Field(foreign_key="staff.id")
    asked_at: datetime = Field(default_factory=clock.now)
    reason: str = Field(max_length=200)
    action_ids: list[str] = Field(sa_type=sa.JSON)
    done: int = 0
    problems: dict[str, str] = Field(default_factory=dict, sa_type=sa.JSON)
    finished_at: datetime | None = None


# --- the records -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scans:
    """The records on a code since a moment: how many, how many stand, and the latest of them with their voids."""

    total: int
    standing: int
    latest: Sequence[tuple[Action, ActionVoid | None]]


def scans_since(session: Session, code_id: int, since: datetime) -> Scans:
    """What was recorded on a code since a moment. The caller has checked the scope."""
    where = _since(code_id, since)
    both = sa.select(sa.func.count(), sa.func.count(col(ActionVoid.action_id)))
    joined = both.select_from(Action).join(
        ActionVoid, col(ActionVoid.action_id) == col(Action.id), isouter=True
    )
    total, voided = session.execute(joined.where(*where)).one()
    latest = session.exec(
        select(Action, ActionVoid)
        .join(ActionVoid, col(ActionVoid.action_id) == col(Action.id), isouter=True)
        .where(*where)
        .order_by(col(Action.id).desc())
        .limit(PAGE)
    ).all()
    return Scans(total, total - voided, latest)


def _since(code_id: int, since: datetime) -> list[sa.ColumnElement[bool]]:
    """Ids are in the order of time: they bound the search, which has no index of codes."""
    return [
        col(Action.id) >= first_id(since),
        col(Action.code_id) == code_id,
        col(Action.recorded_at) >= since,
    ]


def first_id(moment: datetime) -> UUID:
    """The lowest id that was made at `moment` or later."""
    return UUID(int=(int(moment.timestamp() * 1000) - 1) << 80)


# --- ordering and going on ---------------------------------------------------------------------------------


def order(
    house: House,
    principal: Principal,
    code_id: int,
    *,
    since: datetime,
    reason: str,
    only: Sequence[UUID] | None = None,
    chosen: UUID | None = None,
) -> UUID:
    """Void the standing records on a code since a moment, or `only` these of them; the order, as far as one answer goes.

    Its open signals are settled by it. With a `chosen` id it is made once. Raises NotFound, NotAllowed, InvalidField
    (no reason, nothing to void).
    """
    reason = audit.reason(reason)
    with house.db.session() as session:
        managed_code(session, principal, code_id)
        made = made_before(session, principal, VoidOrder, chosen)
        if made is None:
            wanted = session.exec(
                select(Action.id)
                .join(ActionVoid, col(ActionVoid.action_id) == col(Action.id), isouter=True)
                .where(*_since(code_id, since), col(ActionVoid.action_id).is_(None))
                .order_by(col(Action.id))
                .limit(MOST)
            ).all()
            ticked = None if only is None else set(only)
            found = [str(one) for one in wanted if ticked is None or one in ticked]
            if not found:
                raise InvalidField(errors=[{"field": "action_ids", "reason": N_("请至少选一条记录。")}])
            made = VoidOrder(
                id=chosen or ids.new_id(),
                code_id=code_id,
                asked_by=principal.id,
                reason=reason,
                action_ids=found,
            )
            session.add(made)
            acted_on(session, principal, code_id, reason)
            _note(session, principal, made, "code.records_voided", records=len(found))
        order_id = made.id
    go_on(house, principal, order_id)
    return order_id


def get_order(session: Session, principal: Principal, order_id: UUID) -> VoidOrder:
    """An order on a code in one's scope. Raises NotFound, NotAllowed."""
    found = session.get(VoidOrder, order_id)
    if found is None:
        raise NotFound
    managed_code(session, principal, found.code_id)
    return found


def orders_of(session: Session, code_id: int) -> Sequence[VoidOrder]:
    """The orders on a code, the latest first. The caller has checked the scope."""
    return session.exec(
        select(VoidOrder).where(VoidOrder.code_id == code_id).order_by(col(VoidOrder.id).desc()).limit(20)
    ).all()


def go_on(house: House, principal: Principal, order_id: UUID) -> None:
    """Void what an order has left, as long as one answer may take; done already, it changes nothing.

    Raises NotFound, NotAllowed.
    """
    until = time.monotonic() + LONGEST
    with house.db.reading_session() as session:
        asked = get_order(session, principal, order_id)
        left, reason = asked.action_ids[asked.done :], asked.reason
        at = asked.done
    while left and time.monotonic() < until:
        problems: dict[str, str] = {}
        for action_id in left[:STEP]:
            try:
                void_action(house, principal, UUID(action_id), reason)
            except AlreadyVoided:
                continue  # `outcome` tells by whom: this order, another one, or somebody before it
            except (PointsSpent, AlreadyDeclared) as error:
                problems[action_id] = error.code
        at, left = at + len(left[:STEP]), left[STEP:]
        _write_down(house, principal, order_id, at, problems)


def _write_down(
    house: House, principal: Principal, order_id: UUID, at: int, problems: dict[str, str]
) -> None:
    with house.db.session() as session:
        asked = session.get_one(VoidOrder, order_id, with_for_update=True)
        asked.done = max(asked.done, at)
        asked.problems = {**asked.problems, **problems}
        if asked.done >= len(asked.action_ids) and asked.finished_at is None:
            asked.finished_at = clock.now()
            session.add(asked)
            session.flush()
            told = outcome(session, asked)
            _note(
                session,
                principal,
                asked,
                "code.records_voided.done",
                voided=told.voided,
                before=told.before,
                spent=len(told.spent),
                declared=len(told.declared),
            )
        session.add(asked)


@dataclass(frozen=True)
class Outcome:
    """What became of an order, read from the records themselves. `before`: voided already when it was asked for."""

    voided: int
    before: int
    spent: Sequence[Action]
    declared: Sequence[Action]
    left: int


def outcome(session: Session, asked: VoidOrder) -> Outcome:
    """What became of the records of an order."""
    wanted = [UUID(action_id) for action_id in asked.action_ids]
    moments: list[datetime] = []
    for start in range(0, len(wanted), 500):  # engines bound the parameters of a statement
        part = wanted[start : start + 500]
        moments += session.exec(select(ActionVoid.voided_at).where(col(ActionVoid.action_id).in_(part))).all()
    voided = sum(moment >= asked.asked_at for moment in moments)
    kept = {code: [UUID(one) for one, why in asked.problems.items() if why == code] for code in _KEPT_BACK}
    spent, declared = (
        session.exec(
            select(Action)
            .where(col(Action.id).in_(kept[code]), col(Action.id).not_in(select(ActionVoid.action_id)))
            .order_by(col(Action.id))
        ).all()
        for code in _KEPT_BACK
    )
    left = len(wanted) - len(moments) - len(spent) - len(declared)
    return Outcome(voided, len(moments) - voided, spent, declared, left)


_KEPT_BACK = (PointsSpent.code, AlreadyDeclared.code)


def _note(session: Session, principal: Principal, asked: VoidOrder, deed: str, **detail: int) -> None:
    audit.note_by(
        session,
        principal,
        deed=deed,
        subject=f"code:{asked.code_id}",
        reason=asked.reason,
        order=str(asked.id),
        **detail,
    )
