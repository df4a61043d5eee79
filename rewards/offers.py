"""Offers: what residents can have for their points, who gives it, and out of whose budget.

    draft ──submitted──▶ waiting ──an officer──▶ approved ──in its window──▶ open ──▶ over, or ended
      ▲──sent back, with a reason──┘                 ⇄ paused

An offer is drafted by whoever runs it (a merchant's or organiser's organisation, or a division), within their scope, and approved by the
bureau: another person. From then on its terms stand: what, for how much, how often, from when, out of which pool. Only the stock may still
change, never below what is taken, and the offer may pause or end. `rewards.offer_desk` is what staff do, `rewards.redemptions` what
residents do.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, Session, SQLModel, col

from rewards.offer_pictures import OfferPicture, PictureSeen
from rewards.reward_pools import RewardPool
from tanpuhui import clock, ids
from tanpuhui.db import enum_type
from tanpuhui.divisions import Division
from tanpuhui.errors import NotFound
from tanpuhui.i18n import N_
from tanpuhui.schema import Guard
from tanpuhui.staff import Organisation

#: A number of fewer people than this is told to nobody.
FEWEST_TOLD = 5

MOST_PRICE, MOST_STOCK, MOST_PER_PERSON, MOST_DAYS = 1_000_000, 100_000, 1000, 180


class OfferKind(StrEnum):
    """What a resident gets."""

    GOODS = "goods"
    COUPON = "coupon"
    SERVICE = "service"
    DONATION = "donation"
    HONOUR = "honour"


OFFER_KIND_NAMES = {
    OfferKind.GOODS: N_("实物"),
    OfferKind.COUPON: N_("券码"),
    OfferKind.SERVICE: N_("服务"),
    OfferKind.DONATION: N_("捐赠"),
    OfferKind.HONOUR: N_("荣誉纪念"),
}

OFFER_ICONS = {
    OfferKind.GOODS: "parcel",
    OfferKind.COUPON: "key",
    OfferKind.SERVICE: "people",
    OfferKind.DONATION: "sink",
    OfferKind.HONOUR: "medal",
}

#: Given the moment the points are: nothing is handed over at a counter.
AT_ONCE = frozenset({OfferKind.COUPON, OfferKind.DONATION})


class OfferState(StrEnum):
    """Where an offer stands, from what was decided and the clock alone."""

    DRAFT = "draft"
    WAITING = "waiting"
    COMING = "coming"
    OPEN = "open"
    PAUSED = "paused"
    OVER = "over"
    ENDED = "ended"


OFFER_STATE_NAMES = {
    OfferState.DRAFT: N_("草稿"),
    OfferState.WAITING: N_("等待审批"),
    OfferState.COMING: N_("还没开始"),
    OfferState.OPEN: N_("可以兑换"),
    OfferState.PAUSED: N_("暂停"),
    OfferState.OVER: N_("已到期"),
    OfferState.ENDED: N_("已结束"),
}


class Offer(SQLModel, table=True):
    """Something for points. `taken`: vouchers that are good or used, of `stock`. `divisions`: for whom, by the codes of divisions; all if empty.

    `good_days`: so long a voucher can be used. `division_code`: where its place is; `organisation_id`: whose it is, if not the division's.
    """

    __tablename__ = "offer"
    __table_args__ = (
        sa.CheckConstraint("title <> '' AND words <> '' AND collect_at <> ''", name="words"),
        sa.CheckConstraint("price >= 0 AND (price = 0) = (kind = 'honour')", name="price"),
        sa.CheckConstraint("taken >= 0 AND taken <= stock", name="stock"),
        sa.CheckConstraint("per_person >= 1", name="per_person"),
        sa.CheckConstraint("good_days >= 1", name="good_days"),
        sa.CheckConstraint("closes_at > opens_at", name="window"),
        sa.CheckConstraint(
            "(approved_at IS NULL) = (approved_by IS NULL) AND (approved_at IS NULL OR submitted_at IS NOT NULL)",
            name="approved",
        ),
        sa.CheckConstraint("approved_by IS NULL OR approved_by <> drafted_by", name="approved_by_another"),
        sa.CheckConstraint(
            "approved_at IS NOT NULL OR (taken = 0 AND paused_at IS NULL AND ended_at IS NULL)", name="begun"
        ),
        sa.Index("ix_offer_approved_at_closes_at", "approved_at", "closes_at"),
    )

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    kind: OfferKind = Field(sa_column=sa.Column(enum_type(OfferKind), nullable=False))
    title: str = Field(max_length=40)
    words: str = Field(max_length=400)
    collect_at: str = Field(max_length=120)
    price: int
    stock: int
    taken: int = 0
    per_person: int
    opens_at: datetime
    closes_at: datetime
    good_days: int
    divisions: list[str] = Field(default_factory=list, sa_type=sa.JSON)
    division_code: str = Field(foreign_key="division.code", max_length=12)
    organisation_id: UUID | None = Field(default=None, foreign_key="organisation.id", index=True)
    pool_id: UUID = Field(foreign_key="reward_pool.id", index=True)
    drafted_by: UUID = Field(foreign_key="staff.id")
    drafted_at: datetime = Field(default_factory=clock.now)
    submitted_at: datetime | None = None
    returned_because: str = Field(default="", max_length=200)
    approved_by: UUID | None = Field(default=None, foreign_key="staff.id")
    approved_at: datetime | None = None
    paused_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def left(self) -> int:
        """How many can still be had."""
        return self.stock - self.taken

    @property
    def at_once(self) -> bool:
        """Whether it is given the moment the points are."""
        return self.kind in AT_ONCE

    @property
    def holder(self) -> str:
        """Whose coupon codes its are."""
        if self.organisation_id:
            return f"organisation:{self.organisation_id.hex}"
        return f"division:{self.division_code}"

    def state(self, now: datetime) -> OfferState:
        """Where it stands at a moment."""
        if self.approved_at is None:
            return OfferState.DRAFT if self.submitted_at is None else OfferState.WAITING
        if self.ended_at is not None:
            return OfferState.ENDED
        if now >= self.closes_at:
            return OfferState.OVER
        if self.paused_at is not None:
            return OfferState.PAUSED
        return OfferState.COMING if now < self.opens_at else OfferState.OPEN

    def is_for(self, division_code: str) -> bool:
        """Whether it is for residents of a community."""
        return not self.divisions or any(division_code.startswith(code) for code in self.divisions)

    def expires_at(self, now: datetime) -> datetime:
        """Until when a voucher that is made now is good."""
        return now + timedelta(days=self.good_days)


class OfferCoupon(SQLModel, table=True):
    """A code of a coupon list; given once, to `redemption_id`. `holder` is whose codes these are: among them each is there once."""

    __tablename__ = "offer_coupon"
    __table_args__ = (
        sa.UniqueConstraint("holder", "code"),
        sa.UniqueConstraint("redemption_id"),
        sa.CheckConstraint("code <> ''", name="code"),
        sa.Index("ix_offer_coupon_offer_id_redemption_id", "offer_id", "redemption_id"),
    )

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    offer_id: UUID = Field(foreign_key="offer.id")
    holder: str = Field(max_length=48)
    code: str = Field(max_length=64)
    redemption_id: UUID | None = Field(default=None, foreign_key="redemption.id")


_TERMS = (
    "kind",
    "title",
    "words",
    "collect_at",
    "price",
    "per_person",
    "opens_at",
    "closes_at",
    "good_days",
    "division_code",
    "organisation_id",
    "pool_id",
    "drafted_by",
    "drafted_at",
    "submitted_at",
    "approved_by",
    "approved_at",
)
_CHANGED = " OR ".join(f"NEW.{name} {{differs}} OLD.{name}" for name in _TERMS)

GUARDS = (
    Guard("offer", "undecided", "INSERT", "NEW.approved_at IS NOT NULL", "an offer begins undecided"),
    Guard(
        "offer",
        "terms",
        "UPDATE",
        f"OLD.approved_at IS NOT NULL AND ({_CHANGED} OR CAST(NEW.divisions AS TEXT) <> CAST(OLD.divisions AS TEXT))",
        "what was approved stands",
    ),
    Guard(
        "offer",
        "ended",
        "UPDATE",
        "OLD.ended_at IS NOT NULL AND NEW.ended_at {differs} OLD.ended_at",
        "an end is final",
    ),
    Guard("offer", "kept", "DELETE", "true", "an offer is kept"),
    Guard(
        "offer_coupon",
        "once",
        "UPDATE",
        "OLD.redemption_id IS NOT NULL OR NEW.redemption_id IS NULL OR NEW.code <> OLD.code "
        "OR NEW.holder <> OLD.holder OR NEW.offer_id <> OLD.offer_id",
        "a code is given once",
    ),
    Guard("offer_coupon", "kept", "DELETE", "true", "a code is kept"),
)


# --- reading -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Seen:
    """An offer, who gives it, the pool that pays, and its picture if it has one; `told`: whether numbers may be told."""

    offer: Offer
    held_by: str
    pool: RewardPool
    told: bool = True
    picture: PictureSeen | None = None

    @property
    def left(self) -> int | None:
        """How many can still be had, as the pool reaches; None where that would tell of too few people."""
        left = self.really_left
        return left if self.told or left == 0 else None

    @property
    def really_left(self) -> int:
        """How many can still be had, as the pool reaches."""
        offer = self.offer
        return min(offer.left, self.pool.left // offer.price) if offer.price else offer.left


#: What is said of a picture: its bytes stay where they are.
_PICTURE: tuple[Any, ...] = (
    OfferPicture.digest,
    OfferPicture.width,
    OfferPicture.height,
    OfferPicture.words,
)


def seen(session: Session, *which: Any, limit: int = 200, order: Any = None) -> list[Seen]:
    """The offers for which `which` holds; the latest drafted first, if no order is said."""
    name = sa.func.coalesce(col(Organisation.name), col(Division.name))
    query: Any = (
        sa.select(Offer, name, RewardPool, *_PICTURE)
        .join(Division, col(Division.code) == col(Offer.division_code))
        .join(Organisation, col(Organisation.id) == col(Offer.organisation_id), isouter=True)
        .join(RewardPool, col(RewardPool.id) == col(Offer.pool_id))
        .join(OfferPicture, col(OfferPicture.offer_id) == col(Offer.id), isouter=True)
        .where(*which)
        .order_by(col(Offer.id).desc() if order is None else order)
        .limit(limit)
    )
    rows = session.exec(query).all()
    told = _told(session.connection(), [offer for offer, *_ in rows])
    return [
        Seen(offer, name, pool, offer.id in told, PictureSeen(*picture) if picture[0] else None)
        for offer, name, pool, *picture in rows
    ]


def _told(connection: Connection, found: list[Offer]) -> set[UUID]:
    """Those of the offers whose numbers may be told: nobody has had one, or enough people have.

    What more vouchers are taken of than so few could have needs no counting.
    """
    few = {one.id for one in found if 0 < one.taken <= (FEWEST_TOLD - 1) * one.per_person}
    redemption = SQLModel.metadata.tables["redemption"]
    query = (
        sa.select(redemption.c.offer_id)
        .where(redemption.c.offer_id.in_(few), redemption.c.state.in_(("open", "settled")))
        .group_by(redemption.c.offer_id)
        .having(sa.func.count(sa.distinct(redemption.c.resident_id)) >= FEWEST_TOLD)
    )
    enough = set(connection.scalars(query)) if few else set()
    return {one.id for one in found if one.id not in few or one.id in enough}


def one(session: Session, offer_id: UUID) -> Seen:
    """One offer. Raises NotFound."""
    for found in seen(session, col(Offer.id) == offer_id, limit=1):
        return found
    raise NotFound


def public_offer(session: Session, offer_id: UUID) -> Seen:
    """An offer that was approved. Raises NotFound."""
    found = one(session, offer_id)
    if found.offer.approved_at is None:
        raise NotFound
    return found


def catalogue(session: Session, now: datetime, home: str | None = None) -> list[Seen]:
    """What can be had now, the cheapest first; for a resident of the community `home` only what is for them."""
    found = seen(
        session,
        col(Offer.approved_at).is_not(None),
        col(Offer.ended_at).is_(None),
        col(Offer.paused_at).is_(None),
        col(Offer.opens_at) <= now,
        col(Offer.closes_at) > now,
        order=col(Offer.price),
        limit=500,
    )
    theirs = [one for one in found if home is None or one.offer.is_for(home)]
    return sorted(theirs, key=lambda one: (one.really_left == 0, one.offer.price, one.offer.id))


def titles(connection: Connection, offer_ids: list[UUID]) -> dict[UUID, str]:
    """What these offers are called."""
    query = sa.select(col(Offer.id), col(Offer.title)).where(col(Offer.id).in_(offer_ids))
    return {row[0]: row[1] for row in connection.execute(query)} if offer_ids else {}
