"""What residents can write about: a site, one of their own records, or a scan of theirs that was refused."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import col

from activities.actions import Action, ActionVoid
from activities.attempts import ScanAttempt
from activities.reviews import ActionReview, ReviewState
from activities.sites import Site
from tanpuhui.topics import Topic


def _is_site(connection: Connection, _resident_id: UUID, site_id: UUID) -> bool:
    return connection.scalar(sa.select(col(Site.id)).where(col(Site.id) == site_id)) is not None


def _is_own(connection: Connection, resident_id: UUID, action_id: UUID) -> bool:
    mine = (col(Action.id) == action_id, col(Action.resident_id) == resident_id)
    return connection.scalar(sa.select(col(Action.id)).where(*mine)) is not None


def _site(connection: Connection, site_id: UUID) -> Any:
    return connection.execute(sa.select(col(Site.id), col(Site.name)).where(col(Site.id) == site_id)).first()


def _record(connection: Connection, action_id: UUID) -> Any:
    shown: tuple[Any, ...] = (
        col(Action.id),
        col(Action.kind),
        col(Action.day),
        col(Site.name),
        col(ActionVoid.reason).label("voided"),
        col(ActionReview.state).label("review"),
        col(ActionReview.reason).label("review_reason"),
    )
    record = (
        sa.select(*shown)
        .join(Site, col(Site.id) == col(Action.site_id))
        .join(ActionVoid, col(ActionVoid.action_id) == col(Action.id), isouter=True)
        .join(ActionReview, col(ActionReview.action_id) == col(Action.id), isouter=True)
    )
    return connection.execute(record.where(col(Action.id) == action_id)).first()


def _is_own_attempt(connection: Connection, resident_id: UUID, attempt_id: UUID) -> bool:
    mine = (col(ScanAttempt.id) == attempt_id, col(ScanAttempt.resident_id) == resident_id)
    return connection.scalar(sa.select(col(ScanAttempt.id)).where(*mine)) is not None


def _attempt(connection: Connection, attempt_id: UUID) -> Any:
    shown = (
        col(ScanAttempt.id),
        col(ScanAttempt.kind),
        col(ScanAttempt.reason),
        col(ScanAttempt.last_at),
        col(ScanAttempt.site_id),
        col(Site.name),
    )
    attempt = sa.select(*shown).join(Site, col(Site.id) == col(ScanAttempt.site_id))
    return connection.execute(attempt.where(col(ScanAttempt.id) == attempt_id)).first()


def _decided_against(action_id: Any) -> Any:
    """Of a record: that it was voided or rejected."""
    voided = sa.exists().where(col(ActionVoid.action_id) == action_id)
    rejected = sa.exists().where(
        col(ActionReview.action_id) == action_id, col(ActionReview.state) == ReviewState.REJECTED
    )
    return sa.or_(voided, rejected)


TOPICS = (
    Topic("action", "activities/topics/action.html", may_name=_is_own, look=_record, appeal=_decided_against),
    Topic(
        "attempt",
        "activities/topics/attempt.html",
        may_name=_is_own_attempt,
        look=_attempt,
        appeal=lambda _id: sa.true(),
    ),
    Topic("site", "activities/topics/site.html", may_name=_is_site, look=_site),
)
