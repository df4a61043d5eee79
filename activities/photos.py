"""Photos that residents offer with what they report themselves: seen by reviewers only, deleted when they have decided.

What stays is that there was one, and its fingerprint for a year, by which the same picture is known again. The fingerprint stands
beside no record and no resident.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, Session, SQLModel, col

from activities.actions import Action
from activities.fingerprints import NEAR, distance, near_parts, parts
from activities.records import managed_action
from activities.reviews import ActionReview, ReviewState
from tanpuhui import audit, clock
from tanpuhui.db import Statement
from tanpuhui.errors import NotFound, PhotoSeenBefore
from tanpuhui.i18n import N_
from tanpuhui.jobs import Job
from tanpuhui.schema import Guard
from tanpuhui.sessions import Principal

if TYPE_CHECKING:
    from tanpuhui.rooms import House

#: A photo is deleted then, whether anybody has decided or not.
LONGEST = timedelta(days=30)

#: For so long a picture is known again.
REMEMBERED = timedelta(days=365)

MOST_BYTES = 200_000


@dataclass(frozen=True, slots=True)
class Photo:
    """A picture as it is kept, and what it is known again by."""

    jpeg: bytes = field(repr=False)
    fingerprint: int


class ActionPhoto(SQLModel, table=True):
    """A photo was offered with a record; `jpeg` until it is deleted."""

    __tablename__ = "action_photo"
    __table_args__ = (
        sa.CheckConstraint("(jpeg IS NULL) = (deleted_at IS NOT NULL)", name="deleted"),
        sa.CheckConstraint(f"length(jpeg) BETWEEN 1 AND {MOST_BYTES}", name="size"),
        sa.Index(
            "ix_action_photo_standing",
            "received_at",
            sqlite_where=sa.text("jpeg IS NOT NULL"),
            postgresql_where=sa.text("jpeg IS NOT NULL"),
        ),
    )

    action_id: UUID = Field(foreign_key="action.id", primary_key=True)
    jpeg: bytes | None = Field(default=None, sa_column=sa.Column(sa.LargeBinary, nullable=True))
    received_at: datetime
    deleted_at: datetime | None = None


class PhotoFingerprint(SQLModel, table=True):
    """A picture that was sent on `day`. The parts are those of the fingerprint, to find near ones by."""

    __tablename__ = "photo_fingerprint"

    fingerprint: int = Field(sa_column=sa.Column(sa.BigInteger, primary_key=True, autoincrement=False))
    part_0: int = Field(index=True)
    part_1: int = Field(index=True)
    part_2: int = Field(index=True)
    part_3: int = Field(index=True)
    day: date = Field(index=True)


#: What is deleted does not come back.
GUARDS = (
    Guard(
        "action_photo",
        "gone",
        "UPDATE",
        "OLD.jpeg IS NULL OR NEW.jpeg IS NOT NULL",
        "a photo is only deleted",
    ),
    Guard("action_photo", "told", "DELETE", "true", "that there was a photo is kept"),
)

_ALONE = Statement("{pg:SELECT pg_advisory_xact_lock(31010604)}{sqlite:SELECT 1}")
_NEAR = Statement(
    " UNION ".join(
        f"SELECT fingerprint FROM photo_fingerprint WHERE part_{number} {{in:near_{number}:int}}"
        for number in range(4)
    ),
    fingerprint="int",
)


def remember(connection: Connection, photo: Photo, day: date) -> None:
    """Let a picture in that is new, and know it from now on. Raises PhotoSeenBefore.

    On PostgreSQL those who send photos at the same moment take turns until they commit; on SQLite writers do anyway.
    """
    _ALONE.run(connection)
    found = parts(photo.fingerprint)
    near = {f"near_{number}": list(near_parts(part)) for number, part in enumerate(found)}
    for row in _NEAR.run(connection, **near):
        if distance(row.fingerprint & _ALL_BITS, photo.fingerprint) <= NEAR:
            raise PhotoSeenBefore
    row = {f"part_{number}": part for number, part in enumerate(found)}
    connection.execute(
        sa.insert(PhotoFingerprint).values(fingerprint=_signed(photo.fingerprint), day=day, **row)
    )


_ALL_BITS = (1 << 64) - 1


def _signed(value: int) -> int:
    """64 bits as databases have them."""
    return value - (1 << 64) if value >> 63 else value


def keep(connection: Connection, kept: Sequence[tuple[UUID, Photo]], now: datetime) -> None:
    """Keep the photos of records, by their ids."""
    rows = [{"action_id": action_id, "jpeg": photo.jpeg, "received_at": now} for action_id, photo in kept]
    connection.execute(sa.insert(ActionPhoto), rows)


# --- looking -----------------------------------------------------------------------------------------------


def photo_of(session: Session, action_id: UUID) -> ActionPhoto | None:
    """The photo that was offered with a record, deleted or not."""
    return session.get(ActionPhoto, action_id)


def look(session: Session, principal: Principal, action_id: UUID) -> bytes:
    """The photo of a record for whoever may decide upon it; who looked is written down. Raises NotFound, NotAllowed."""
    managed_action(session, principal, action_id)
    photo = photo_of(session, action_id)
    if photo is None or photo.jpeg is None:
        raise NotFound
    audit.saw(session, principal, f"action:{action_id}", what="photo")
    return photo.jpeg


def own_photo(session: Session, resident_id: UUID, action_id: UUID) -> bytes:
    """A resident's own photo while it is there. Raises NotFound."""
    action, photo = session.get(Action, action_id), photo_of(session, action_id)
    if action is None or action.resident_id != resident_id or photo is None or photo.jpeg is None:
        raise NotFound
    return photo.jpeg


# --- deleting ----------------------------------------------------------------------------------------------


def delete(connection: Connection, which: Any) -> None:
    """Delete the photos for which `which` holds; that there were any stays."""
    connection.execute(
        sa.update(ActionPhoto)
        .where(which, col(ActionPhoto.jpeg).is_not(None))
        .values(jpeg=None, deleted_at=clock.now())
    )


def delete_before(connection: Connection, before: datetime) -> None:
    """Delete the photos that came before a moment."""
    delete(connection, col(ActionPhoto.received_at) < before)


def forget(connection: Connection, resident_id: UUID) -> None:
    """Delete the photos of somebody who leaves."""
    own = sa.select(col(Action.id)).where(col(Action.resident_id) == resident_id)
    delete(connection, col(ActionPhoto.action_id).in_(own))


def tidy(_house: "House", connection: Connection, now: datetime) -> None:
    """Delete the photos of records that were decided, and fingerprints after their time."""
    delete(connection, _decided())
    connection.execute(
        sa.delete(PhotoFingerprint).where(col(PhotoFingerprint.day) < clock.day_of(now - REMEMBERED))
    )


def _decided() -> Any:
    """The record was decided upon."""
    waiting = col(ActionReview.state) == ReviewState.PENDING
    return ~sa.exists().where(col(ActionReview.action_id) == col(ActionPhoto.action_id), waiting)


JOB = Job("photos", N_("删除不再需要的照片"), timedelta(hours=1), tidy)
