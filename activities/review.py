"""Review: staff decide on records that wait, and void records that count; each with a reason. A record is never edited."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection
from sqlmodel import Session, col, select

from activities.actions import Action, ActionVoid
from activities.declarations import is_declared, keep_reports_out
from activities.events import ActionConfirmed, ActionRejected, Deed
from activities.records import deed_of, managed_action
from activities.replacing import voided_event
from activities.reviews import ActionReview, ReviewState
from activities.sites import Site, in_scope
from tanpuhui import audit, clock
from tanpuhui.db import session_on
from tanpuhui.errors import AlreadyDeclared, AlreadyReviewed, AlreadyVoided, NotFound, WaitsForReview
from tanpuhui.people import ResidentStatus, take_turn
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal


def void_action(house: House, principal: Principal, action_id: UUID, reason: str) -> None:
    """Take an action back: its transfer is reversed, the figures follow, the resident sees both lines.

    For organisers and officers in whose scope the site lies. Raises NotFound, NotAllowed, InvalidField (no
    reason), AlreadyVoided, WaitsForReview, AlreadyReviewed (it was rejected), AlreadyDeclared, PointsSpent.
    """
    reason = audit.reason(reason)

    def work(connection: Connection) -> None:
        with session_on(connection) as session:
            action, _, _ = managed_action(session, principal, action_id)
            take_turn(connection, [action.resident_id])
            keep_reports_out(connection)
            if session.exec(select(ActionVoid.action_id).where(ActionVoid.action_id == action_id)).first():
                raise AlreadyVoided
            review = session.get(ActionReview, action_id)
            if review is not None and review.state is not ReviewState.CONFIRMED:
                raise WaitsForReview if review.state is ReviewState.PENDING else AlreadyReviewed
            if is_declared(connection, action_id):
                raise AlreadyDeclared
            now = clock.now()
            void = ActionVoid(action_id=action_id, voided_at=now, voided_by=principal.id, reason=reason)
            session.add(void)
            audit.note_by(
                session,
                principal,
                deed="action.voided",
                subject=f"action:{action_id}",
                reason=reason,
            )
            session.flush()
            house.publish(connection, [voided_event(session, action, void)])

    house.db.run(work)


def confirm_action(house: House, principal: Principal, action_id: UUID, reason: str) -> None:
    """Let a record that waits count from now on, on the day it happened; its points can be spent.

    For organisers and officers in whose scope the site lies, while its resident is here; the same decision of the same
    person again changes nothing. Raises NotFound, NotAllowed, InvalidField (no reason), AlreadyReviewed.
    """
    _decide(house, principal, action_id, ReviewState.CONFIRMED, reason)


def reject_action(house: House, principal: Principal, action_id: UUID, reason: str) -> None:
    """Decide that a record that waits shall not count; its points go back. Raises as `confirm_action`."""
    _decide(house, principal, action_id, ReviewState.REJECTED, reason)


def _decide(house: House, principal: Principal, action_id: UUID, state: ReviewState, reason: str) -> None:
    reason = audit.reason(reason)

    def work(connection: Connection) -> None:
        with session_on(connection) as session:
            action, _, _ = managed_action(session, principal, action_id)
            resident = take_turn(connection, [action.resident_id]).get(action.resident_id)
            review = session.get(ActionReview, action_id)
            if review is None or resident is None or resident.status == ResidentStatus.CLOSED:
                raise NotFound
            if review.state is state and review.decided_by == principal.id:
                return
            if review.state is not ReviewState.PENDING:
                raise AlreadyReviewed
            now = clock.now()
            review.state, review.reason = state, reason
            review.decided_at, review.decided_by = now, principal.id
            audit.note_by(
                session,
                principal,
                deed=f"action.{state}",
                subject=f"action:{action_id}",
                reason=reason,
            )
            session.flush()
            deed = deed_of(session, action) | {"recorded_at": now, "reason": reason}
            event: Deed = (
                ActionConfirmed(**deed, confirmed_by=principal.id)
                if state is ReviewState.CONFIRMED
                else ActionRejected(**deed, rejected_by=principal.id)
            )
            house.publish(connection, [event])

    house.db.run(work)


def recent_actions(
    session: Session, principal: Principal, *, site_id: UUID | None = None, limit: int = 50
) -> Sequence[tuple[Action, ActionVoid | None, Site, ActionReview | None]]:
    """The latest actions at the sites in the scope of `principal`, with what became of each."""
    query: Any = (
        select(Action, ActionVoid, Site, ActionReview)
        .join(Site, col(Site.id) == col(Action.site_id))
        .join(ActionVoid, col(ActionVoid.action_id) == col(Action.id), isouter=True)
        .join(ActionReview, col(ActionReview.action_id) == col(Action.id), isouter=True)
        .where(in_scope(session, principal))
        .order_by(col(Action.id).desc())
        .limit(limit)
    )
    if site_id:
        query = query.where(Action.site_id == site_id)
    found: Sequence[tuple[Action, ActionVoid | None, Site, ActionReview | None]] = session.exec(query).all()
    return found


def own_action(
    session: Session, resident_id: UUID, action_id: UUID
) -> tuple[Action, ActionVoid | None, Site]:
    """A resident's own action. Raises NotFound for anybody else's."""
    action = session.get(Action, action_id)
    if action is None or action.resident_id != resident_id:
        raise NotFound
    return action, session.get(ActionVoid, action_id), session.get_one(Site, action.site_id)
