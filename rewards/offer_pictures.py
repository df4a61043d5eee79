"""The picture of an offer: one, made anew from what somebody uploaded, and part of what the bureau approves.

`rewards.offer_desk` puts it there and takes it away while the offer is a draft; from the approval on the database keeps it.
"""

import hashlib
from dataclasses import dataclass, field
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, Session, SQLModel

from tanpuhui.errors import NotFound, PhotoTooLarge
from tanpuhui.schema import Guard

#: The largest file that is looked at, in bytes.
MOST_FILE = 8 * 1024 * 1024

#: The most that is kept of one, in bytes: as large as a phone is wide, and as lists show it.
MOST_LARGE, MOST_SMALL = 200_000, 20_000

#: Characters of what is on it.
MOST_WORDS = 80

#: Pixels of a side of what lists show: three for each that a phone's page counts.
SIDE = 192


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as it is kept: JPEGs of all of it, and of its middle as a square; `width` and `height` of the former in pixels."""

    large: bytes = field(repr=False)
    small: bytes = field(repr=False)
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class PictureSeen:
    """What pages say of a picture: its digest, its size in pixels, and what is on it in words, "" if nobody said."""

    digest: str
    width: int
    height: int
    words: str


class OfferPicture(SQLModel, table=True):
    """The picture of an offer, as JPEGs of two sizes; `words` for those who do not see it, `digest` what tells it from another."""

    __tablename__ = "offer_picture"
    __table_args__ = (
        sa.CheckConstraint(f"length(large) BETWEEN 1 AND {MOST_LARGE}", name="large"),
        sa.CheckConstraint(f"length(small) BETWEEN 1 AND {MOST_SMALL}", name="small"),
        sa.CheckConstraint("width BETWEEN 1 AND 1280 AND height BETWEEN 1 AND 1280", name="size"),
    )

    offer_id: UUID = Field(foreign_key="offer.id", primary_key=True)
    digest: str = Field(max_length=16)
    width: int
    height: int
    words: str = Field(default="", max_length=MOST_WORDS)
    large: bytes
    small: bytes


def _approved(row: str) -> str:
    return f"EXISTS (SELECT 1 FROM offer o WHERE o.id = {row}.offer_id AND o.approved_at IS NOT NULL)"


def _lock(row: str) -> str:
    return f"PERFORM 1 FROM offer WHERE id = {row}.offer_id FOR SHARE;"


_STANDS = "what was approved stands"

GUARDS = (
    Guard("offer_picture", "added", "INSERT", _approved("NEW"), _STANDS, _lock("NEW")),
    Guard(
        "offer_picture",
        "changed",
        "UPDATE",
        f"NEW.offer_id <> OLD.offer_id OR {_approved('OLD')}",
        _STANDS,
        _lock("OLD"),
    ),
    Guard("offer_picture", "removed", "DELETE", _approved("OLD"), _STANDS, _lock("OLD")),
)


def read(data: bytes) -> Picture:
    """The picture in an uploaded file, without anything that was written into the file. Raises PhotoUnreadable, PhotoTooLarge."""
    from tanpuhui import pictures  # late: it would slow every start

    if len(data) > MOST_FILE:
        raise PhotoTooLarge
    seen = pictures.seen_in(data)
    small = pictures.as_jpeg(pictures.squared(seen, SIDE), MOST_SMALL)
    return Picture(pictures.as_jpeg(seen, MOST_LARGE), small, seen.width, seen.height)


def digest_of(picture: Picture) -> str:
    """What tells a picture from another: 64 bits of the SHA-256 of its bytes, in hexadecimal."""
    return hashlib.sha256(picture.large).hexdigest()[:16]


def file_of(session: Session, offer_id: UUID, size: str) -> bytes:
    """The JPEG of an offer's picture, ``large`` or ``small``. Raises NotFound."""
    found = session.get(OfferPicture, offer_id)
    if found is None:
        raise NotFound
    return found.small if size == "small" else found.large
