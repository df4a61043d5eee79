"""The counter: whoever hands over scans or types a voucher's code, sees what it is for, and says that it was handed over.

For the merchant and the organisers of the organisation or the division whose offer it is. Who the resident is they do not see.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Session, col

from rewards import ledger, reward_pools
from rewards.events import VoucherReopened
from rewards.ledger import Posting, reserved_of
from rewards.offer_letters import TAKEN_BACK
from rewards.offers import Offer
from rewards.redemptions import REDEEMED_PROGRAMME, event_of, give_back, reference, settle, why_not
from rewards.reward_pools import RewardPool
from rewards.vouchers import Held, Redemption, VoucherState, held, read_voucher
from tanpuhui import audit, clock, idempotency, outbox
from tanpuhui.db import session_on
from tanpuhui.divisions import Division
from tanpuhui.errors import (
    CodeInvalid,
    KeyReused,
    NotAllowed,
    NotFound,
    VoucherElsewhere,
    VoucherNotUsed,
)
from tanpuhui.idempotency import Answer
from tanpuhui.inbox import Note, tell
from tanpuhui.people import take_turn
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal
from tanpuhui.staff import Organisation, Role, grants_of, require

#: Who hands over.
COUNTER = (Role.MERCHANT, Role.ORGANISER, Role.ADMIN)
#: Who reads what was handed over, by month.
ACCOUNTANTS = (Role.MERCHANT, Role.ORGANISER, Role.OFFICER, Role.ADMIN, Role.AUDITOR)

#: So long a settlement can be taken back by who made it or a colleague.
UNDO_WITHIN = timedelta(minutes=10)


def find(house: House, principal: Principal, code: str) -> Held:
    """The voucher of a scanned or typed code, for who hands it over. Raises CodeInvalid, NotAVoucher, VoucherElsewhere."""
    number = read_voucher(house.settings, code)
    with house.db.reading_session() as session:
        return _in_scope(session, principal, col(Redemption.number) == number)


def one(session: Session, principal: Principal, redemption_id: UUID) -> Held:
    """A voucher in the scope of who hands over. Raises NotFound, VoucherElsewhere."""
    try:
        return _in_scope(session, principal, col(Redemption.id) == redemption_id)
    except CodeInvalid as error:
        raise NotFound from error


def _in_scope(session: Session, principal: Principal, which: Any) -> Held:
    for found in held(session, which, limit=1):
        offer = found.offer
        try:
            require(
                session,
                principal,
                COUNTER,
                division_code=offer.division_code,
                organisation_id=offer.organisation_id,
            )
        except NotAllowed as error:
            raise VoucherElsewhere from error
        return found
    raise CodeInvalid


def hand_over(house: House, principal: Principal, redemption_id: UUID, *, key: str | None) -> Answer:
    """Say that a voucher's thing was handed over: once, from however many counters; the same answer again for the same key.

    Raises MissingIdempotencyKey, InvalidIdempotencyKey, KeyReused, NotFound, VoucherElsewhere, VoucherUsed, VoucherCancelled,
    VoucherLapsed.
    """
    key = idempotency.check_key(key)
    asked = idempotency.request_hash({"settle": str(redemption_id)})
    owner = principal.id, key

    def work(connection: Connection) -> Answer:
        with session_on(connection) as session:
            redemption = _at_their_turn(session, principal, redemption_id)
            if before := idempotency.find(connection, [owner]).get(owner):
                if before.request_hash != asked:
                    raise KeyReused
                return Answer(before.answer, replayed=True)
            settle(connection, redemption, principal.id)
            session.refresh(redemption)
            body = json.dumps(settled_answer(one(session, principal, redemption_id)), ensure_ascii=False)
            _note(session, principal, "settled", redemption_id)
        row = {
            "owner_id": owner[0],
            "key": key,
            "request_hash": asked,
            "answer": body,
            "stored_at": clock.now(),
        }
        idempotency.store(connection, [row])
        return Answer(body, replayed=False)

    return house.db.run(work)


def _at_their_turn(session: Session, principal: Principal, redemption_id: UUID) -> Redemption:
    """A voucher in scope, as its resident's previous turn left it."""
    found = one(session, principal, redemption_id).redemption
    take_turn(session.connection(), [found.resident_id])
    session.refresh(found)
    return found


def settled_answer(found: Held) -> dict[str, Any]:
    """What was handed over, as the API tells who did: nothing of the resident."""
    redemption, offer = found.redemption, found.offer
    moment = redemption.settled_at
    return {
        "id": str(redemption.id),
        "offer_id": str(offer.id),
        "title": offer.title,
        "state": redemption.state.value,
        "settled_at": moment.isoformat().replace("+00:00", "Z") if moment else None,
    }


def may_undo(redemption: Redemption, now: datetime) -> bool:
    """Whether a settlement at a counter can still be taken back."""
    settled = redemption.settled_at if redemption.settled_by else None
    return settled is not None and now < settled + UNDO_WITHIN


def undo(house: House, principal: Principal, redemption_id: UUID) -> None:
    """Take a settlement back that was a mistake, within minutes: the voucher is good again. Twice is once.

    Raises NotFound, VoucherElsewhere, VoucherNotUsed.
    """

    def work(connection: Connection) -> None:
        with session_on(connection) as session:
            redemption = _at_their_turn(session, principal, redemption_id)
            now = clock.now()
            if redemption.state is VoucherState.OPEN:
                return
            if not may_undo(redemption, now):
                raise VoucherNotUsed(minutes=int(UNDO_WITHIN.total_seconds()) // 60)
            redemption.state, redemption.settled_at, redemption.settled_by = VoucherState.OPEN, None, None
            session.add(redemption)
            session.flush()
            if redemption.price:
                price, pool = redemption.price, reserved_of(redemption.pool_id)
                undone = f"{reference(redemption.id)}:undone:{redemption.settlements}"
                reward_pools.move(connection, redemption.pool_id, reserved=price, spent=-price)
                ledger.credit(connection, [Posting(undone, REDEEMED_PROGRAMME, pool, price, now)], [])
            outbox.append(connection, [event_of(VoucherReopened, redemption, now)])
            _note(session, principal, "reopened", redemption_id)

    house.db.run(work)


def cancel(house: House, principal: Principal, redemption_id: UUID, because: str) -> None:
    """Cancel a voucher that cannot be served, with a reason that its resident reads; the points go back. Twice is once.

    Raises NotFound, VoucherElsewhere, InvalidField (no reason), VoucherUsed, VoucherLapsed.
    """
    reason = audit.reason(because)

    def work(connection: Connection) -> None:
        with session_on(connection) as session:
            redemption = _at_their_turn(session, principal, redemption_id)
            if redemption.state is VoucherState.CANCELLED:
                return
            if redemption.state is not VoucherState.OPEN:
                raise why_not(connection, redemption_id)
            give_back(session, [redemption], VoucherState.CANCELLED, by=principal.id, reason=reason)
            _note(session, principal, "cancelled", redemption_id, reason)
            about = {"voucher": str(redemption_id)}
            tell(connection, [Note(TAKEN_BACK, redemption.resident_id, str(redemption_id), about)])

    house.db.run(work)


def _note(session: Session, principal: Principal, deed: str, redemption_id: UUID, reason: str = "") -> None:
    audit.note_by(
        session,
        principal,
        deed=f"voucher.{deed}",
        subject=f"voucher:{redemption_id}",
        reason=reason,
    )


# --- accounts by month -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Settled:
    """What was handed over of an offer in a month: whose it is, how many, and for how many points."""

    held_by: str
    offer_id: UUID
    title: str
    price: int
    count: int
    points: int
    pool: str


def month_of(text: str) -> date:
    """The first day of the month that was asked for (``2026-11``); of this month, if nothing sensible was."""
    try:
        return (
            date.fromisoformat(f"{text}-01") if len(text) == len("2026-11") else clock.today().replace(day=1)
        )
    except ValueError:
        return clock.today().replace(day=1)


def settled_in(session: Session, principal: Principal, month: date) -> list[Settled]:
    """What was handed over in a month within the scope of `principal`, by whose it is and by offer."""
    first = clock.day_bounds(month)[0]
    last = clock.day_bounds((month + timedelta(days=32)).replace(day=1))[0]
    name = sa.func.coalesce(col(Organisation.name), col(Division.name))
    query: Any = (
        sa.select(
            name,
            col(Offer.id),
            col(Offer.title),
            col(Offer.price),
            sa.func.count(),
            sa.func.sum(Redemption.price),
            col(RewardPool.title),
        )
        .select_from(Offer)
        .join(Redemption, col(Redemption.offer_id) == col(Offer.id))
        .join(Division, col(Division.code) == col(Offer.division_code))
        .join(Organisation, col(Organisation.id) == col(Offer.organisation_id), isouter=True)
        .join(RewardPool, col(RewardPool.id) == col(Offer.pool_id))
        .where(
            in_scope(session, principal, ACCOUNTANTS),
            col(Redemption.settled_at) >= first,
            col(Redemption.settled_at) < last,
        )
        .group_by(name, col(Offer.id), col(Offer.title), col(Offer.price), col(RewardPool.title))
        .order_by(name, col(Offer.title), col(Offer.id))
    )
    return [
        Settled(who, offer, title, price, count, int(points), fund)
        for who, offer, title, price, count, points, fund in session.connection().execute(query)
    ]


def in_scope(session: Session, principal: Principal, roles: Collection[Role]) -> Any:
    """The condition that an offer lies in the scope that `principal` has by one of `roles`."""
    within = (
        col(Offer.organisation_id) == given.organisation_id
        if given.organisation_id
        else col(Offer.division_code).startswith(given.division_code or "-")
        for given in grants_of(session, principal)
        if given.role in roles
    )
    return sa.or_(sa.false(), *within)


def lately(session: Session, principal: Principal) -> Sequence[Held]:
    """What was handed over in one's scope within a day, the latest first: to look at again, or to take back."""
    since = clock.now() - timedelta(days=1)
    at_counters = (col(Redemption.settled_by).is_not(None), col(Redemption.settled_at) >= since)
    within = in_scope(session, principal, COUNTER)
    return held(session, within, *at_counters, limit=20, order=(col(Redemption.settled_at).desc(),))
