"""Replacing: a better proven record of the same deed takes the place of a weaker one."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Session, col, select

from activities.actions import Action, ActionVoid
from activities.declarations import is_declared, keep_reports_out
from activities.events import ActionRejected, ActionVoided, Deed
from activities.records import deed_of
from activities.reviews import ActionReview, ReviewState
from tanpuhui.db import session_on
from tanpuhui.errors import CannotReplace, PointsSpent
from tanpuhui.i18n import N_
from tanpuhui.rooms import House

#: Why a record was replaced, as it is kept; pages translate it.
BETTER_PROVEN = N_("同一次行为有了更可靠的证明，以后者为准。")


def voided_event(session: Session, action: Action, void: ActionVoid) -> ActionVoided:
    """The fact that `action` was taken back by `void`."""
    return ActionVoided(
        **deed_of(session, action),
        recorded_at=void.voided_at,
        reason=void.reason,
        voided_by=void.voided_by,
        replaced_by=void.replaced_by,
    )


def replaced_by(session: Session, action: Action) -> Sequence[Action]:
    """The weaker records of the same deed whose place `action` took."""
    near = [action.day + timedelta(days=apart) for apart in (-1, 0, 1)]
    return session.exec(
        select(Action)
        .join(ActionVoid, col(ActionVoid.action_id) == col(Action.id), isouter=True)
        .join(ActionReview, col(ActionReview.action_id) == col(Action.id), isouter=True)
        .where(Action.resident_id == action.resident_id, col(Action.day).in_(near))
        .where(sa.or_(col(ActionVoid.replaced_by) == action.id, col(ActionReview.replaced_by) == action.id))
        .order_by(col(Action.occurred_at), col(Action.id))
    ).all()


def replace(
    house: House, connection: Connection, weaker: Sequence[UUID], stronger: UUID, now: datetime
) -> list[dict[str, Any]]:
    """Take the records `weaker` back for `stronger`, which was credited just before in the resident's own turn.

    One that waits for review is rejected instead: it never counted, and what was held for it goes back.
    Returns what the subscribers add to the answer. Raises CannotReplace for a record that stands in a declaration, or
    whose points are spent; the caller then undoes its whole step.
    """
    keep_reports_out(connection)
    with session_on(connection) as session:
        events: list[Deed] = []
        for action_id in weaker:
            action = session.get_one(Action, action_id)
            if _waits(connection, action_id):
                events.append(_reject(connection, deed_of(session, action), stronger, now))
                continue
            if is_declared(connection, action_id):
                raise CannotReplace
            void = ActionVoid(action_id=action_id, voided_at=now, reason=BETTER_PROVEN, replaced_by=stronger)
            session.add(void)
            session.flush()
            events.append(voided_event(session, action, void))
    try:
        return house.publish(connection, events)
    except PointsSpent as error:
        raise CannotReplace from error


def _waits(connection: Connection, action_id: UUID) -> bool:
    waiting = (col(ActionReview.action_id) == action_id, col(ActionReview.state) == ReviewState.PENDING)
    return connection.scalar(sa.select(col(ActionReview.action_id)).where(*waiting)) is not None


def _reject(connection: Connection, deed: dict[str, Any], stronger: UUID, now: datetime) -> ActionRejected:
    """Close the review of a record without anybody's decision."""
    connection.execute(
        sa.update(ActionReview)
        .where(col(ActionReview.action_id) == deed["subject_id"])
        .values(state=ReviewState.REJECTED, decided_at=now, reason=BETTER_PROVEN, replaced_by=stronger)
    )
    return ActionRejected(**deed, recorded_at=now, reason=BETTER_PROVEN, replaced_by=stronger)
