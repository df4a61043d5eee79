"""Draws (抽奖): places in a fair draw for points, or for nothing, with winners that anybody can work out again.

    drafted ──another person──▶ open ──time──▶ closed ──the seed is revealed──▶ drawn
                                  └──with a reason──▶ cancelled (points go back)

The seed is made with the draw and kept sealed; only its hash is known until the tickets are fixed and published. The rule
that picks the winners is `rewards.repeat_draw`, a script that runs without this platform. A ticket is a random text: the
published list says of nobody that they took part. `rewards.draw_making` is what staff do, `rewards.draw_entries` what residents do,
`rewards.draw_ticks` what time does; `rewards.published_draws` is what everybody reads.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from sqlmodel import Field, SQLModel

from rewards import repeat_draw
from tanpuhui import clock, ids
from tanpuhui.config import Settings
from tanpuhui.i18n import N_
from tanpuhui.schema import Guard

DEAREST = 10_000

#: Between the publication of the tickets and the revelation of the seed: time to take a copy of the list.
PAUSE = timedelta(minutes=10)

#: So long a prize can be collected after the draw was held.
COLLECTED_WITHIN = timedelta(days=60)


class DrawState(StrEnum):
    """Where a draw stands. It closes by time alone, whether or not anybody was there to say so."""

    DRAFTED = "drafted"
    OPEN = "open"
    CLOSED = "closed"
    DRAWN = "drawn"
    CANCELLED = "cancelled"


DRAW_STATE_NAMES = {
    DrawState.DRAFTED: N_("待审批"),
    DrawState.OPEN: N_("可以参加"),
    DrawState.CLOSED: N_("已截止，等待开奖"),
    DrawState.DRAWN: N_("已开奖"),
    DrawState.CANCELLED: N_("已取消"),
}


class Draw(SQLModel, table=True):
    """A draw. `commitment`: the SHA-256 of its seed; `sealed`: the seed, encrypted until it is revealed as `seed`.

    `witness`: which public number nobody here controls is mixed in, as it was named before the approval; `witnessed`: that number.
    `digest` is that of the `tickets` in it when it closed.
    """

    __tablename__ = "draw"
    __table_args__ = (
        sa.CheckConstraint(f"price BETWEEN 0 AND {DEAREST}", name="price"),
        sa.CheckConstraint("(approved_at IS NULL) = (approved_by IS NULL)", name="approved"),
        sa.CheckConstraint("approved_by <> created_by", name="second_person"),
        sa.CheckConstraint("(cancelled_at IS NULL) = (cancel_reason IS NULL)", name="cancelled"),
        sa.CheckConstraint(
            "(closed_at IS NULL) = (digest IS NULL) AND (closed_at IS NULL) = (tickets IS NULL) "
            "AND (closed_at IS NULL OR (approved_at IS NOT NULL AND closed_at >= closes_at))",
            name="closed",
        ),
        sa.CheckConstraint("witnessed = '' OR (witness <> '' AND closed_at IS NOT NULL)", name="witnessed"),
        sa.CheckConstraint(
            "(drawn_at IS NULL) = (seed IS NULL) AND (drawn_at IS NULL OR (closed_at IS NOT NULL "
            "AND drawn_at > closed_at AND cancelled_at IS NULL AND (witness = '' OR witnessed <> '')))",
            name="drawn",
        ),
    )

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    title: str = Field(max_length=60)
    words: str = Field(default="", max_length=1000)
    division_code: str = Field(foreign_key="division.code", max_length=12)
    organisation_id: UUID | None = Field(default=None, foreign_key="organisation.id")
    price: int
    prizes: list[dict[str, Any]] = Field(sa_type=sa.JSON)
    witness: str = Field(default="", max_length=100)
    closes_at: datetime = Field(index=True)
    commitment: str = Field(max_length=64)
    sealed: bytes
    created_by: UUID = Field(foreign_key="staff.id")
    created_at: datetime = Field(default_factory=clock.now)
    approved_by: UUID | None = Field(default=None, foreign_key="staff.id")
    approved_at: datetime | None = None
    cancelled_at: datetime | None = None
    cancel_reason: str | None = Field(default=None, max_length=200)
    closed_at: datetime | None = None
    tickets: int | None = None
    digest: str | None = Field(default=None, max_length=64)
    witnessed: str = Field(default="", max_length=100)
    drawn_at: datetime | None = None
    seed: str | None = Field(default=None, max_length=64)

    def state(self, now: datetime) -> DrawState:
        """Where it stands at `now`."""
        if self.cancelled_at:
            return DrawState.CANCELLED
        if self.drawn_at:
            return DrawState.DRAWN
        if self.approved_at is None:
            return DrawState.DRAFTED
        return DrawState.OPEN if now < self.closes_at and not self.closed_at else DrawState.CLOSED

    @property
    def how_many(self) -> int:
        """How many prizes there are."""
        return sum(int(prize["count"]) for prize in self.prizes)

    @property
    def collect_by(self) -> datetime | None:
        """Until when a prize can be collected."""
        return self.drawn_at + COLLECTED_WITHIN if self.drawn_at else None


class DrawEntry(SQLModel, table=True):
    """A resident's ticket in a draw. `place` among the winners, from 1, and `prize`; `handed_at` when it was handed over.

    `given_up_at`: taken back before the draw closed, with its points; such a ticket is in no list. `resident_id` is None once
    its holder has left.
    """

    __tablename__ = "draw_entry"
    __table_args__ = (
        sa.Index(
            "uq_draw_entry_one",
            "draw_id",
            "resident_id",
            unique=True,
            sqlite_where=sa.text("given_up_at IS NULL"),
            postgresql_where=sa.text("given_up_at IS NULL"),
        ),
        sa.UniqueConstraint("draw_id", "place"),
        sa.CheckConstraint("(place IS NULL) = (prize IS NULL) AND place >= 1", name="place"),
        sa.CheckConstraint("given_up_at IS NULL OR place IS NULL", name="given_up"),
        sa.CheckConstraint(
            "(handed_at IS NULL) = (handed_by IS NULL) AND (handed_at IS NULL OR place IS NOT NULL)",
            name="handed",
        ),
    )

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    draw_id: UUID = Field(foreign_key="draw.id")
    resident_id: UUID | None = Field(default=None, foreign_key="resident.id", index=True)
    ticket: str = Field(max_length=24, unique=True)
    entered_at: datetime
    given_up_at: datetime | None = None
    place: int | None = None
    prize: str | None = Field(default=None, max_length=40)
    handed_at: datetime | None = None
    handed_by: UUID | None = Field(default=None, foreign_key="staff.id")


_FIXED = ("commitment", "sealed", "created_by", "created_at", "division_code", "organisation_id")
_TERMS = ("title", "words", "price", "witness", "closes_at", "approved_at", "approved_by")
_CLOSED = ("closed_at", "tickets", "digest")


def _differ(columns: Sequence[str]) -> str:
    return "(" + " OR ".join(f"NEW.{name} {{differs}} OLD.{name}" for name in columns) + ")"


_PRIZES = "CAST(NEW.prizes AS TEXT) <> CAST(OLD.prizes AS TEXT)"
_OPEN = (
    "EXISTS (SELECT 1 FROM draw d WHERE d.id = NEW.draw_id AND d.approved_at IS NOT NULL "
    "AND d.closed_at IS NULL AND d.cancelled_at IS NULL AND NEW.entered_at < d.closes_at)"
)
_WAS_CLOSED = "EXISTS (SELECT 1 FROM draw d WHERE d.id = OLD.draw_id AND d.closed_at IS NOT NULL AND d.cancelled_at IS NULL)"
_LOCK = "PERFORM 1 FROM draw WHERE id = NEW.draw_id FOR SHARE;"

#: What was promised stays: the seed from the beginning, the terms from the approval, the tickets from the closing.
GUARDS = (
    Guard("draw", "fixed", "UPDATE", _differ(_FIXED), "the seed is committed to when the draw is made"),
    Guard(
        "draw",
        "terms",
        "UPDATE",
        f"OLD.approved_at IS NOT NULL AND ({_differ(_TERMS)} OR {_PRIZES})",
        "its terms are frozen on approval",
    ),
    Guard(
        "draw",
        "closed_once",
        "UPDATE",
        f"OLD.closed_at IS NOT NULL AND {_differ(_CLOSED)}",
        "its tickets are fixed",
    ),
    Guard(
        "draw",
        "held_once",
        "UPDATE",
        f"(OLD.seed IS NOT NULL AND {_differ(('seed', 'drawn_at', 'witnessed', 'cancelled_at'))}) "
        "OR (OLD.witnessed <> '' AND NEW.witnessed <> OLD.witnessed) "
        f"OR (OLD.cancelled_at IS NOT NULL AND {_differ(('cancelled_at', 'cancel_reason'))})",
        "a draw is held once",
    ),
    Guard("draw", "kept", "DELETE", "true", "a draw is kept"),
    Guard("draw_entry", "open", "INSERT", f"NOT {_OPEN}", "it is not open", _LOCK),
    Guard(
        "draw_entry",
        "given_up_in_time",
        "UPDATE",
        f"NEW.given_up_at {{differs}} OLD.given_up_at AND (OLD.given_up_at IS NOT NULL OR {_WAS_CLOSED})",
        "tickets are fixed when it closes",
        _LOCK,
    ),
    Guard(
        "draw_entry",
        "fixed",
        "UPDATE",
        f"{_differ(('draw_id', 'ticket', 'entered_at'))} "
        "OR (NEW.resident_id IS NOT NULL AND NEW.resident_id {differs} OLD.resident_id) "
        f"OR (OLD.place IS NOT NULL AND {_differ(('place', 'prize'))}) "
        f"OR (OLD.handed_at IS NOT NULL AND {_differ(('handed_at', 'handed_by'))})",
        "a ticket stays what it is; a prize is handed over once",
    ),
    Guard("draw_entry", "kept", "DELETE", "true", "a ticket is kept"),
)


# --- the seed ----------------------------------------------------------------------------------------------


def sealed_seed(settings: Settings, seed: str) -> bytes:
    nonce = ids.random_number(96).to_bytes(12, "big")
    return nonce + AESGCMSIV(settings.key("draw")).encrypt(nonce, seed.encode(), b"draw")


def open_seed(settings: Settings, draw: Draw) -> str:
    """The seed of a draw. Raises ValueError if it is not the one that was committed to."""
    seed = AESGCMSIV(settings.key("draw")).decrypt(draw.sealed[:12], draw.sealed[12:], b"draw").decode()
    if repeat_draw.sha256(seed) != draw.commitment:
        raise ValueError(f"draw {draw.id}: the seed is not the one that was committed to")
    return seed
