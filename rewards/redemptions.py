"""Redemptions: points given for an offer, and given back.

    resident:<id> ──redeem:<voucher>────────────▶ reserved:<pool>        a voucher is made
    reserved:<pool> ──redeem:<voucher>:done:<n>──▶ programme:redeemed     it is handed over, or given at once
    programme:redeemed ──redeem:<voucher>:undone:<n>──▶ reserved:<pool>   staff take that back, minutes after
    reserved:<pool> ──redeem:<voucher>:back──────▶ resident:<id>          it is cancelled, or lapses

Turns are taken in one order: the residents', then the offers', then the pools'. What is left is compared by the database in the statement
that takes it, so that not even somebody out of turn gets beyond the stock, the limit or the budget.
"""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Session, col, select

from rewards import donations, ledger, reward_pools, spending
from rewards.events import VoucherReserved, VoucherReturned, VoucherSettled
from rewards.ledger import Posting, reserved_of
from rewards.offers import Offer, OfferCoupon, OfferKind, OfferState
from rewards.vouchers import Held, Redemption, VoucherState, own_voucher, token_of
from tanpuhui import clock, families, idempotency, ids, outbox
from tanpuhui.config import Settings
from tanpuhui.db import Statement, session_on
from tanpuhui.errors import (
    KeyReused,
    NotFound,
    OfferForOthers,
    OfferLimitReached,
    OfferNotOpen,
    OfferSoldOut,
    PoolUsedUp,
    ResidentInactive,
    VoucherCancelled,
    VoucherLapsed,
    VoucherUsed,
)
from tanpuhui.idempotency import Answer
from tanpuhui.people import ResidentStatus, take_turn
from tanpuhui.rooms import House

REDEEMED_PROGRAMME = "programme:redeemed"

#: So many lapsed vouchers are given back in one run of the job.
MOST_AT_ONCE = 500

#: So long before a voucher lapses its holder is told.
REMINDED_BEFORE = timedelta(days=1)

_TAKE_ONE = Statement(
    "UPDATE offer SET taken = taken + 1 WHERE id {in:ids:uuid} AND taken < stock RETURNING id", id="uuid"
)
_GIVE_ONE_BACK = Statement("UPDATE offer SET taken = taken - 1 WHERE id {in:ids:uuid}")
_SETTLE = Statement(
    "UPDATE redemption SET state = 'settled', settlements = settlements + 1, settled_at = q.at, settled_by = q.who "
    "FROM {rows} WHERE redemption.id = q.id AND redemption.state = 'open' RETURNING settlements",
    rows={"id": "uuid", "at": "time", "who": "uuid"},
    settlements="int",
)


def reference(redemption_id: UUID) -> str:
    """The reference of the transfer by which a resident gave points for a voucher."""
    return f"redeem:{redemption_id}"


def back_reference(redemption_id: UUID) -> str:
    """The reference of the transfer that gives these points back."""
    return f"redeem:{redemption_id}:back"


# --- redeeming ---------------------------------------------------------------------------------------------


def redeem(house: House, resident_id: UUID, offer_id: UUID, *, key: str | None) -> Answer:
    """Give points for an offer; the voucher and the balance after, the same answer again for the same key.

    Raises MissingIdempotencyKey, InvalidIdempotencyKey, KeyReused, ResidentInactive, NotFound, OfferNotOpen, OfferForOthers,
    OfferLimitReached, OfferSoldOut, PoolUsedUp, InsufficientPoints.
    """
    key = idempotency.check_key(key)
    asked = idempotency.request_hash({"redeem": str(offer_id)})

    def work(connection: Connection) -> Answer:
        rows, together = families.take_turns(connection, resident_id)
        resident = rows.get(resident_id)
        if resident is None or resident.status != ResidentStatus.ACTIVE:
            raise ResidentInactive
        if before := idempotency.find(connection, [(resident_id, key)]).get((resident_id, key)):
            if before.request_hash != asked:
                raise KeyReused
            return Answer(before.answer, replayed=True)
        counted = [resident_id, *(one.id for one in together if one.until is None)]
        with session_on(connection) as session:
            redemption, offer = _reserve(session, resident_id, resident.division_code, offer_id, counted)
            if offer.at_once:
                _settle(connection, redemption, None)
                session.refresh(redemption)
            balance = ledger.balance(connection, resident_id)
            told = voucher_answer(house.settings, own_voucher(session, resident_id, redemption.id))
        body = json.dumps({"voucher": told, "balance": balance}, ensure_ascii=False)
        idempotency.store(
            connection,
            [
                {
                    "owner_id": resident_id,
                    "key": key,
                    "request_hash": asked,
                    "answer": body,
                    "stored_at": clock.now(),
                }
            ],
        )
        return Answer(body, replayed=False)

    return families.again(lambda: house.db.run(work))


def _reserve(
    session: Session, resident_id: UUID, division_code: str, offer_id: UUID, counted: Sequence[UUID]
) -> tuple[Redemption, Offer]:
    connection, now = session.connection(), clock.now()
    offer = session.get(Offer, offer_id, with_for_update=True, populate_existing=True)
    if offer is None or offer.approved_at is None:
        raise NotFound
    if offer.state(now) is not OfferState.OPEN:
        raise OfferNotOpen
    if not offer.is_for(division_code):
        raise OfferForOthers
    if how_many(session, offer_id, counted) >= offer.per_person:
        raise OfferLimitReached(limit=offer.per_person)
    if not _TAKE_ONE.run(connection, ids=[offer_id]):
        raise OfferSoldOut
    if not reward_pools.move(connection, offer.pool_id, reserved=offer.price):
        raise PoolUsedUp
    redemption = Redemption(
        offer_id=offer_id,
        pool_id=offer.pool_id,
        resident_id=resident_id,
        number=ids.random_number(40),
        price=offer.price,
        state=VoucherState.OPEN,
        made_at=now,
        expires_at=offer.expires_at(now),
    )
    session.add(redemption)
    session.flush()
    if offer.kind is OfferKind.COUPON:
        _give_coupon(session, offer_id, redemption.id)
    donations.certify(session, redemption, offer)
    if offer.price:
        paid, pool = reference(redemption.id), reserved_of(offer.pool_id)
        spending.spend(connection, resident_id, offer.price, reference=paid, destination=pool, moment=now)
    outbox.append(connection, [event_of(VoucherReserved, redemption, now)])
    return redemption, offer


def _give_coupon(session: Session, offer_id: UUID, redemption_id: UUID) -> None:
    """The next code of the list. The offer's row is held, so nobody else takes it."""
    free = select(OfferCoupon).where(
        OfferCoupon.offer_id == offer_id, col(OfferCoupon.redemption_id).is_(None)
    )
    coupon = session.exec(free.order_by(col(OfferCoupon.id)).limit(1)).first()
    if coupon is None:
        raise OfferSoldOut
    coupon.redemption_id = redemption_id
    session.add(coupon)
    session.flush()


def how_many(session: Session, offer_id: UUID, resident_ids: Sequence[UUID]) -> int:
    """How many vouchers of an offer these residents have that are good or used."""
    mine = select(sa.func.count()).where(
        Redemption.offer_id == offer_id,
        col(Redemption.resident_id).in_(resident_ids),
        col(Redemption.state).in_((VoucherState.OPEN, VoucherState.SETTLED)),
    )
    return session.exec(mine).one()


def voucher_answer(settings: Settings, found: Held) -> dict[str, Any]:
    """A voucher as the API tells its holder."""
    redemption, offer = found.redemption, found.offer
    shown = redemption.state is VoucherState.OPEN
    return {
        "id": str(redemption.id),
        "offer_id": str(offer.id),
        "title": offer.title,
        "kind": offer.kind.value,
        "held_by": found.held_by,
        "collect_at": offer.collect_at,
        "price": redemption.price,
        "state": redemption.state.value,
        "code": token_of(settings, redemption.number) if shown else None,
        "coupon": found.coupon,
        "certificate": found.certificate,
        "made_at": _iso(redemption.made_at),
        "expires_at": _iso(redemption.expires_at),
        "settled_at": _iso(redemption.settled_at),
        "reason": redemption.reason or None,
    }


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment else None


def event_of(kind: Any, redemption: Redemption, now: datetime) -> Any:
    """What happened to a voucher, for the log."""
    return kind(
        subject_id=redemption.id,
        resident_id=redemption.resident_id,
        recorded_at=now,
        offer_id=redemption.offer_id,
        points=redemption.price,
    )


# --- settling ----------------------------------------------------------------------------------------------


def settle(connection: Connection, redemption: Redemption, by: UUID | None) -> None:
    """Count a voucher as used, once; the caller has its resident's turn.

    Raises VoucherUsed, VoucherCancelled, VoucherLapsed: of several at once one settles it.
    """
    if redemption.state is VoucherState.OPEN and clock.now() >= redemption.expires_at:
        raise VoucherLapsed
    _settle(connection, redemption, by)


def _settle(connection: Connection, redemption: Redemption, by: UUID | None) -> None:
    now = clock.now()
    rows = _SETTLE.run(connection, [{"id": redemption.id, "at": now, "who": by}])
    if not rows:
        raise why_not(connection, redemption.id)
    if redemption.price:
        times = f"{reference(redemption.id)}:done:{rows[0].settlements}"
        pool = reserved_of(redemption.pool_id)
        reward_pools.move(connection, redemption.pool_id, reserved=-redemption.price, spent=redemption.price)
        ledger.take(connection, Posting(times, pool, REDEEMED_PROGRAMME, redemption.price, now))
    outbox.append(connection, [event_of(VoucherSettled, redemption, now)])


def why_not(connection: Connection, redemption_id: UUID) -> Exception:
    """Why a voucher cannot be used (any more)."""
    with session_on(connection) as session:
        now = session.get_one(Redemption, redemption_id, populate_existing=True)
    if now.settled_at:
        return VoucherUsed(moment=f"{clock.local(now.settled_at):%Y-%m-%d %H:%M}")
    return VoucherCancelled() if now.state is VoucherState.CANCELLED else VoucherLapsed()


# --- giving back -------------------------------------------------------------------------------------------


def cancel(house: House, resident_id: UUID, redemption_id: UUID) -> None:
    """A resident gives a voucher up and has the points back; twice is once. Raises NotFound, VoucherUsed, VoucherLapsed."""

    def work(connection: Connection) -> None:
        take_turn(connection, [resident_id])
        with session_on(connection) as session:
            found = own_voucher(session, resident_id, redemption_id).redemption
            if found.state is VoucherState.CANCELLED:
                return
            if found.state is not VoucherState.OPEN:
                raise why_not(connection, redemption_id)
            give_back(session, [found], VoucherState.CANCELLED)

    house.db.run(work)


def give_back(
    session: Session,
    found: Sequence[Redemption],
    state: VoucherState,
    *,
    by: UUID | None = None,
    reason: str = "",
) -> None:
    """End open vouchers, whose residents' turns the caller has: the points go back, what they took is there again."""
    connection, now = session.connection(), clock.now()
    for offer_id in sorted({one.offer_id for one in found}):  # their turns, in one order
        session.get_one(Offer, offer_id, with_for_update=True, populate_existing=True)
    for redemption in sorted(found, key=lambda one: (one.pool_id, one.id)):
        redemption.state, redemption.ended_at = state, now
        redemption.cancelled_by, redemption.reason = by, reason
        session.add(redemption)
        session.flush()
        _GIVE_ONE_BACK.run(connection, ids=[redemption.offer_id])
        if redemption.price:
            reward_pools.move(connection, redemption.pool_id, reserved=-redemption.price)
            spending.give_back(
                connection,
                redemption.resident_id,
                redemption.price,
                reference=back_reference(redemption.id),
                source=reserved_of(redemption.pool_id),
                moment=now,
            )
        outbox.append(connection, [event_of(VoucherReturned, redemption, now)])


def forget(connection: Connection, resident_id: UUID) -> None:
    """Whoever leaves gives up what they have not used: others can have it, and their points go with the account."""
    with session_on(connection) as session:
        open_ones = select(Redemption).where(
            Redemption.resident_id == resident_id, Redemption.state == VoucherState.OPEN
        )
        give_back(session, session.exec(open_ones).all(), VoucherState.CANCELLED)


def lapse(connection: Connection, now: datetime) -> list[Redemption]:
    """Give back what nobody used in time, the oldest first, at most `MOST_AT_ONCE`; what was given back."""
    late = (col(Redemption.state) == VoucherState.OPEN, col(Redemption.expires_at) <= now)
    with session_on(connection) as session:
        query = select(Redemption.id, Redemption.resident_id).where(*late)
        rows = session.exec(query.order_by(col(Redemption.expires_at)).limit(MOST_AT_ONCE)).all()
        take_turn(connection, sorted({resident_id for _, resident_id in rows}))
        again = select(Redemption).where(col(Redemption.id).in_([one for one, _ in rows]), *late)
        found = list(session.exec(again))  # what is still so, now that it is their turn
        give_back(session, found, VoucherState.LAPSED)
        return found


def about_to_lapse(connection: Connection, now: datetime) -> list[Redemption]:
    """Vouchers that lapse within a day and whose holders were not told; marks them as told."""
    with session_on(connection) as session:
        soon = select(Redemption).where(
            Redemption.state == VoucherState.OPEN,
            col(Redemption.reminded_at).is_(None),
            col(Redemption.expires_at) > now,
            col(Redemption.expires_at) <= now + REMINDED_BEFORE,
        )
        rows = list(session.exec(soon.order_by(col(Redemption.expires_at)).limit(MOST_AT_ONCE)))
        take_turn(connection, sorted({one.resident_id for one in rows}))
        told = []
        for one in rows:
            session.refresh(one)
            if one.state is VoucherState.OPEN and one.reminded_at is None:
                one.reminded_at = now
                session.add(one)
                told.append(one)
        session.flush()
        return told
