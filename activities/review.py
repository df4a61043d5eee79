"""Review: staff look at records, and void one with a reason. A record is never edited."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Session, col, select

from activities.actions import Action, ActionVoid
from activities.catalogue import ActionKind, EvidenceTier
from activities.events import ActionVoided
from activities.records import managed_action
from activities.sites import MANAGERS, Site
from tanpuhui import audit, clock
from tanpuhui.db import session_on
from tanpuhui.errors import AlreadyVoided, NotFound
from tanpuhui.people import take_turn
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal
from tanpuhui.staff import grants_of


def void_action(house: House, principal: Principal, action_id: UUID, reason: str) -> None:
    """Take an action back: its transfer is reversed, the figures follow, the resident sees both lines.

    For organisers and officers in whose scope the site lies. Raises NotFound, NotAllowed, InvalidField (no
    reason), AlreadyVoided, PointsSpent.
    """
    reason = audit.reason(reason)

    def work(connection: Connection) -> None:
        with session_on(connection) as session:
            action, _, _ = managed_action(session, principal, action_id)
            take_turn(connection, [action.resident_id])
            if session.exec(select(ActionVoid.action_id).where(ActionVoid.action_id == action_id)).first():
                raise AlreadyVoided
            now = clock.now()
            session.add(ActionVoid(action_id=action_id, voided_at=now, voided_by=principal.id, reason=reason))
            audit.note(
                session,
                actor_kind=principal.kind,
                actor_id=principal.id,
                deed="action.voided",
                subject=f"action:{action_id}",
                reason=reason,
            )
            session.flush()
            tier = session.get_one(EvidenceTier, action.evidence)
            kind = session.get_one(ActionKind, action.kind)
            fields = action.model_dump(exclude={"id", "ordinal", "recorded_at"})
            event = ActionVoided(
                **fields,
                subject_id=action.id,
                recorded_at=now,
                unit=kind.unit,
                verified=tier.counts_as_verified,
                reason=reason,
                voided_by=principal.id,
            )
            house.publish(connection, [event])

    house.db.run(work)


def recent_actions(
    session: Session, principal: Principal, *, site_id: UUID | None = None, limit: int = 50
) -> Sequence[tuple[Action, ActionVoid | None, Site]]:
    """The latest actions at the sites in the scope of `principal`, with what became of each."""
    within = [
        col(Site.organisation_id) == given.organisation_id
        if given.organisation_id
        else col(Site.division_code).startswith(given.division_code or "-")
        for given in grants_of(session, principal)
        if given.role in MANAGERS
    ]
    if not within:
        return []
    query: Any = (
        select(Action, ActionVoid, Site)
        .join(Site, col(Site.id) == col(Action.site_id))
        .join(ActionVoid, col(ActionVoid.action_id) == col(Action.id), isouter=True)
        .where(sa.or_(*within))
        .order_by(col(Action.id).desc())
        .limit(limit)
    )
    if site_id:
        query = query.where(Action.site_id == site_id)
    found: Sequence[tuple[Action, ActionVoid | None, Site]] = session.exec(query).all()
    return found


def own_action(
    session: Session, resident_id: UUID, action_id: UUID
) -> tuple[Action, ActionVoid | None, Site]:
    """A resident's own action. Raises NotFound for anybody else's."""
    action = session.get(Action, action_id)
    if action is None or action.resident_id != resident_id:
        raise NotFound
    return action, session.get(ActionVoid, action_id), session.get_one(Site, action.site_id)
