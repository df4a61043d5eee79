"""Reviews: records that wait for a person to look at them, and what was decided.

A waiting record stands among its resident's records and counts for limits, so nobody doubles by waiting; it counts in no sum
until it is confirmed. It is decided once, with reason and actor.
"""

from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, Session, SQLModel, col

from activities.actions import Action, ActionVoid
from tanpuhui import clock, workdays
from tanpuhui.db import enum_type, insert_statement
from tanpuhui.schema import Guard


class Waits(StrEnum):
    """Why a record waits for review."""

    PHOTO = "photo"


class ReviewState(StrEnum):
    """What became of a record that waits."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"


class ActionReview(SQLModel, table=True):
    """A record waits for review, or was decided. `why` it waits; `due_on` is the last day on which a decision is in time.

    Either a member of staff decided, or a better proven record of the same deed replaced it: then it is rejected.
    """

    __tablename__ = "action_review"
    __table_args__ = (
        sa.CheckConstraint(
            "(state = 'pending' AND decided_at IS NULL AND decided_by IS NULL AND replaced_by IS NULL "
            "AND reason IS NULL) OR (state <> 'pending' AND decided_at IS NOT NULL AND reason IS NOT NULL "
            "AND reason <> '' AND (decided_by IS NULL) <> (replaced_by IS NULL) "
            "AND (replaced_by IS NULL OR state = 'rejected'))",
            name="decision",
        ),
        sa.CheckConstraint("replaced_by <> action_id", name="replaced_by"),
        sa.CheckConstraint("decided_at >= opened_at", name="order"),
        sa.Index("ix_action_review_state_due_on", "state", "due_on"),
    )

    action_id: UUID = Field(foreign_key="action.id", primary_key=True)
    why: Waits = Field(sa_type=enum_type(Waits))
    opened_at: datetime
    due_on: date
    state: ReviewState = Field(default=ReviewState.PENDING, sa_type=enum_type(ReviewState))
    decided_at: datetime | None = None
    decided_by: UUID | None = Field(default=None, foreign_key="staff.id")
    reason: str | None = Field(default=None, max_length=200)
    replaced_by: UUID | None = Field(default=None, foreign_key="action.id")


_UNCONFIRMED = (
    "EXISTS (SELECT 1 FROM action_review r WHERE r.action_id = NEW.action_id AND r.state <> 'confirmed')"
)

#: A decision is made once, whoever asks.
GUARDS = (
    Guard(
        "action_review",
        "once",
        "UPDATE",
        "OLD.state <> 'pending' OR NEW.action_id <> OLD.action_id OR NEW.why <> OLD.why "
        "OR NEW.opened_at <> OLD.opened_at OR NEW.due_on <> OLD.due_on",
        "a review is decided once",
    ),
    Guard("action_review", "kept", "DELETE", "true", "a review is kept"),
    Guard("action_void", "reviewed", "INSERT", _UNCONFIRMED, "only what counts is voided"),
    Guard("declared_action", "reviewed", "INSERT", _UNCONFIRMED, "only what counts is declared"),
)

INSERT_REVIEWS = insert_statement(
    SQLModel.metadata.tables["action_review"],
    {
        "action_id": "uuid",
        "why": "text",
        "opened_at": "time",
        "due_on": "date",
        "state": "text",
    },
)


def review_row(action_id: UUID, why: Waits, now: datetime, days: int) -> dict[str, Any]:
    """The row by which a record waits; a decision is due within `days` working days."""
    return {
        "action_id": action_id,
        "why": why.value,
        "opened_at": now,
        "due_on": workdays.after(clock.day_of(now), days),
        "state": ReviewState.PENDING.value,
    }


def unconfirmed(session: Session, action_id: UUID) -> ActionReview | None:
    """The review of a record that waits or was rejected; None for one that counts, as far as reviews go."""
    review = session.get(ActionReview, action_id)
    return None if review is None or review.state is ReviewState.CONFIRMED else review


def waiting_in(session: Session, campaign_id: UUID) -> int:
    """How many records of a campaign wait; those that wait are few, and have an index of their own."""
    query = sa.select(sa.func.count()).join_from(
        ActionReview, Action, col(Action.id) == col(ActionReview.action_id)
    )
    pending = col(ActionReview.state) == ReviewState.PENDING
    return session.scalar(query.where(pending, col(Action.campaign_id) == campaign_id)) or 0


def standing(action: Any = Action) -> Any:
    """The condition that a record counts: neither voided, nor waiting, nor rejected. `action`: an alias of the table."""
    voided = sa.exists().where(col(ActionVoid.action_id) == col(action.id))
    unconfirmed = sa.exists().where(
        col(ActionReview.action_id) == col(action.id), col(ActionReview.state) != ReviewState.CONFIRMED
    )
    return sa.and_(~voided, ~unconfirmed)
