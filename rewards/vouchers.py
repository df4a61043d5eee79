"""Vouchers: what a resident gave points for, until it is used, given back, or has lapsed.

    open ──handed over at a counter──▶ settled
      │ ◀──taken back minutes after──┘
      ├──the resident, or the merchant with a reason──▶ cancelled   (the points are back)
      └──nobody came in time──▶ lapsed                              (the points are back)

A row is a `Redemption`. Its code (`/s/<token>` in form VOUCHER) is shown by the resident and scanned or typed by whoever hands over; what
moves is `rewards.redemptions`.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, Session, SQLModel, col

from rewards.offers import Offer, OfferCoupon
from tanpuhui import ids, signing
from tanpuhui.config import Settings
from tanpuhui.db import enum_type
from tanpuhui.divisions import Division
from tanpuhui.errors import NotAVoucher, NotFound
from tanpuhui.i18n import N_
from tanpuhui.schema import Guard
from tanpuhui.signing import Form, Token
from tanpuhui.staff import Organisation


class VoucherState(StrEnum):
    """Where a voucher stands. An open one whose time is over is as good as lapsed; a job makes it so."""

    OPEN = "open"
    SETTLED = "settled"
    CANCELLED = "cancelled"
    LAPSED = "lapsed"


VOUCHER_STATE_NAMES = {
    VoucherState.OPEN: N_("待使用"),
    VoucherState.SETTLED: N_("已使用"),
    VoucherState.CANCELLED: N_("已取消"),
    VoucherState.LAPSED: N_("已过期"),
}


class Redemption(SQLModel, table=True):
    """Points given for an offer: the voucher with its `number`. Price and pool are the offer's, which stand.

    `settlements`: how often it was settled, which numbers the transfers. `ended_at`: when it was cancelled or lapsed;
    `cancelled_by`: the member of staff, None for the resident. `reminded_at`: its holder was told that it is about to lapse.
    """

    __tablename__ = "redemption"
    __table_args__ = (
        sa.CheckConstraint("number > 0 AND price >= 0 AND settlements >= 0", name="numbers"),
        sa.CheckConstraint("expires_at > made_at", name="order"),
        sa.CheckConstraint(
            "(state = 'settled') = (settled_at IS NOT NULL) AND (settled_at IS NULL OR settlements >= 1)",
            name="settled",
        ),
        sa.CheckConstraint(
            "(state IN ('cancelled', 'lapsed')) = (ended_at IS NOT NULL) AND (cancelled_by IS NULL OR "
            "(state = 'cancelled' AND reason <> ''))",
            name="ended",
        ),
        sa.Index("ix_redemption_offer_id_resident_id", "offer_id", "resident_id"),
        sa.Index("ix_redemption_resident_id_made_at", "resident_id", "made_at"),
        sa.Index("ix_redemption_pool_id_made_at", "pool_id", "made_at"),
        sa.Index("ix_redemption_settled_at", "settled_at"),
        sa.Index(
            "ix_redemption_open",
            "expires_at",
            sqlite_where=sa.text("state = 'open'"),
            postgresql_where=sa.text("state = 'open'"),
        ),
    )

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    offer_id: UUID = Field(foreign_key="offer.id")
    pool_id: UUID = Field(foreign_key="reward_pool.id")
    resident_id: UUID = Field(foreign_key="resident.id")
    number: int = Field(sa_column=sa.Column(sa.BigInteger, unique=True, nullable=False))
    price: int
    state: VoucherState = Field(sa_column=sa.Column(enum_type(VoucherState), nullable=False))
    made_at: datetime
    expires_at: datetime
    settlements: int = 0
    settled_at: datetime | None = None
    settled_by: UUID | None = Field(default=None, foreign_key="staff.id")
    ended_at: datetime | None = None
    cancelled_by: UUID | None = Field(default=None, foreign_key="staff.id")
    reason: str = Field(default="", max_length=200)
    reminded_at: datetime | None = None


_FIXED = ("offer_id", "pool_id", "resident_id", "number", "price", "made_at", "expires_at")
_HAS = (
    "(SELECT count(*) FROM redemption r WHERE r.offer_id = NEW.offer_id AND r.resident_id = NEW.resident_id "
    "AND r.state IN ('open', 'settled'))"
)

GUARDS = (
    Guard(
        "redemption",
        "of_offer",
        "INSERT",
        "NEW.state <> 'open' OR NOT EXISTS (SELECT 1 FROM offer o WHERE o.id = NEW.offer_id "
        "AND o.approved_at IS NOT NULL AND o.pool_id = NEW.pool_id AND o.price = NEW.price)",
        "a voucher is what its offer says",
    ),
    Guard(
        "redemption",
        "limit",
        "INSERT",
        f"{_HAS} >= (SELECT o.per_person FROM offer o WHERE o.id = NEW.offer_id)",
        "more than one resident may have",
        first="PERFORM 1 FROM offer WHERE id = NEW.offer_id FOR UPDATE;",
    ),
    Guard(
        "redemption",
        "fixed",
        "UPDATE",
        " OR ".join(f"NEW.{name} <> OLD.{name}" for name in _FIXED),
        "a voucher is not rewritten",
    ),
    Guard(
        "redemption",
        "once",
        "UPDATE",
        "OLD.state IN ('cancelled', 'lapsed') "
        "OR (OLD.state = 'settled' AND (NEW.state NOT IN ('settled', 'open') OR NEW.settlements <> OLD.settlements "
        "OR (NEW.state = 'settled' AND (NEW.settled_at <> OLD.settled_at OR NEW.settled_by {differs} OLD.settled_by)))) "
        "OR (OLD.state = 'open' AND NEW.settlements <> OLD.settlements + (CASE WHEN NEW.state = 'settled' THEN 1 ELSE 0 END))",
        "a voucher works once",
    ),
    Guard("redemption", "kept", "DELETE", "true", "a voucher is kept"),
)


# --- codes -------------------------------------------------------------------------------------------------


def token_of(settings: Settings, number: int) -> str:
    """What the code of a voucher says."""
    return signing.keyring(settings).sign(Token(Form.VOUCHER, number))


def read_voucher(settings: Settings, text: str) -> int:
    """The number of a voucher's code, scanned or typed. Raises CodeInvalid, and NotAVoucher for any other code of ours."""
    text = text.strip()
    if "/s/" in text:
        text = text.rsplit("/s/", 1)[1].split("?", 1)[0]
    token = signing.keyring(settings).read(text)
    if token.form is not Form.VOUCHER:
        raise NotAVoucher
    return token.number


# --- reading -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Held:
    """A voucher, its offer, who gives it, the coupon code that it brought, if any, and the number of its certificate, of a donation."""

    redemption: Redemption
    offer: Offer
    held_by: str
    coupon: str | None
    certificate: str | None

    def good(self, now: datetime) -> bool:
        """Whether it can be used now."""
        return self.redemption.state is VoucherState.OPEN and now < self.redemption.expires_at


def held(session: Session, *which: Any, limit: int = 200, order: Any = None) -> list[Held]:
    """The vouchers for which `which` holds, the latest first."""
    certificate = SQLModel.metadata.tables["donation_certificate"]
    query: Any = (
        sa.select(
            Redemption,
            Offer,
            sa.func.coalesce(col(Organisation.name), col(Division.name)),
            col(OfferCoupon.code),
            certificate.c.number,
        )
        .join(Offer, col(Offer.id) == col(Redemption.offer_id))
        .join(Division, col(Division.code) == col(Offer.division_code))
        .join(Organisation, col(Organisation.id) == col(Offer.organisation_id), isouter=True)
        .join(OfferCoupon, col(OfferCoupon.redemption_id) == col(Redemption.id), isouter=True)
        .join(certificate, certificate.c.redemption_id == col(Redemption.id), isouter=True)
        .where(*which)
        .order_by(*(order or (col(Redemption.made_at).desc(), col(Redemption.id).desc())))
        .limit(limit)
    )
    return [Held(*row) for row in session.exec(query)]


def own_vouchers(session: Session, resident_id: UUID) -> list[Held]:
    """A resident's vouchers: those to be used first, the soonest to lapse at the top."""
    found = held(session, col(Redemption.resident_id) == resident_id)
    waiting = [one for one in found if one.redemption.state is VoucherState.OPEN]
    rest = [one for one in found if one.redemption.state is not VoucherState.OPEN]
    return sorted(waiting, key=lambda one: one.redemption.expires_at) + rest


def own_voucher(session: Session, resident_id: UUID, redemption_id: UUID) -> Held:
    """One voucher of a resident. Raises NotFound for anybody else's."""
    mine = (col(Redemption.id) == redemption_id, col(Redemption.resident_id) == resident_id)
    for found in held(session, *mine, limit=1):
        return found
    raise NotFound
