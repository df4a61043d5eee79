"""The desk of review: what waits in the scope of a member of staff, the most urgent first, and what was decided lately."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Session, col, select

from activities.actions import Action
from activities.records import managed_action
from activities.reviews import ActionReview, ReviewState
from activities.sites import Site, in_scope
from tanpuhui.errors import NotFound
from tanpuhui.i18n import N_
from tanpuhui.people import Resident, ResidentStatus
from tanpuhui.sessions import Principal

#: Why a record is confirmed in one tap, as it is kept; pages translate it.
LOOKED_AT = N_("看过了，是这件事。")

#: Prepared sentences for why a record is rejected, as they are kept; pages translate them.
REASONS = (
    N_("照片看不清，认不出是这件事。"),
    N_("照片里不是这件事。"),
    N_("数量和照片对不上。"),
    N_("这件事已经记过一次了。"),
)

#: So many are listed at once.
LISTED = 50

Reviewed = tuple[Action, ActionReview, Site]


@dataclass(frozen=True)
class Waiting:
    """How many records wait, and how many of them should have been decided before today."""

    records: int
    overdue: int


def waiting(session: Session, principal: Principal, today: date) -> Waiting:
    """What waits in the scope of `principal`."""
    counts = select(sa.func.count(), sa.func.count(sa.case((col(ActionReview.due_on) < today, 1))))
    row = session.exec(_waits(session, principal, counts.select_from(ActionReview))).one()
    return Waiting(*row)


def queue(session: Session, principal: Principal) -> Sequence[Reviewed]:
    """The records that wait in the scope of `principal`, those due first before the others."""
    query = _waits(session, principal, select(Action, ActionReview, Site))
    order = (col(ActionReview.due_on), col(ActionReview.opened_at), col(ActionReview.action_id))
    found: Sequence[Reviewed] = session.exec(query.order_by(*order).limit(LISTED)).all()
    return found


def decided(session: Session, principal: Principal, limit: int = 20) -> Sequence[Reviewed]:
    """What staff decided in the scope of `principal`, the latest first."""
    by_staff = col(ActionReview.decided_by).is_not(None)
    query = _reviewed(session, principal, select(Action, ActionReview, Site), by_staff)
    found: Sequence[Reviewed] = session.exec(
        query.order_by(col(ActionReview.decided_at).desc()).limit(limit)
    ).all()
    return found


def _waits(session: Session, principal: Principal, query: Any) -> Any:
    """Whose resident left is looked at by nobody any more: it stays undecided and counts nowhere."""
    here = sa.exists().where(
        col(Resident.id) == col(Action.resident_id), col(Resident.status) != ResidentStatus.CLOSED
    )
    pending = col(ActionReview.state) == ReviewState.PENDING
    return _reviewed(session, principal, query, sa.and_(pending, here))


def _reviewed(session: Session, principal: Principal, query: Any, which: Any) -> Any:
    return (
        query.join(Action, col(Action.id) == col(ActionReview.action_id))
        .join(Site, col(Site.id) == col(Action.site_id))
        .where(which, in_scope(session, principal))
    )


def one(session: Session, principal: Principal, action_id: UUID) -> Reviewed:
    """A record that waits or waited, at a site that `principal` manages. Raises NotFound, NotAllowed."""
    action, _, site = managed_action(session, principal, action_id)
    review = session.get(ActionReview, action_id)
    resident = session.get_one(Resident, action.resident_id)
    if review is None or resident.status == ResidentStatus.CLOSED:
        raise NotFound
    return action, review, site
