"""The desk of offers: drafted and run by whoever gives them, within their scope; approved by the bureau, another person."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection
from sqlmodel import Session, col, select

from rewards.counter import in_scope
from rewards.offer_forms import OFFERERS, Errors, OfferIn, check, whole
from rewards.offers import (
    MOST_STOCK,
    Offer,
    OfferCoupon,
    OfferKind,
    Seen,
    one,
    seen,
)
from tanpuhui import audit, clock, ids
from tanpuhui.db import session_on
from tanpuhui.errors import ApproverIsSubmitter, InvalidField, NotFound, OfferMovedOn
from tanpuhui.i18n import N_
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal
from tanpuhui.staff import Role, made_before, require

#: Who approves them.
APPROVERS = (Role.OFFICER,)

MOST_COUPONS = 5000

# --- drafting ----------------------------------------------------------------------------------------------


def draft(house: House, principal: Principal, said: OfferIn, chosen: UUID | None = None) -> UUID:
    """Draft an offer; with a `chosen` id once. Raises NotAllowed, InvalidField beside each field."""
    with house.db.session() as session:
        require(session, principal, OFFERERS)
        if made := made_before(session, principal, Offer, chosen):
            return made.id
        values = check(session, principal, said)
        offer = Offer(id=chosen or ids.new_id(), drafted_by=principal.id, **values)
        session.add(offer)
        _note(session, principal, "drafted", offer)
        return offer.id


def edit(house: House, principal: Principal, offer_id: UUID, said: OfferIn) -> None:
    """Change a draft; one that waits becomes a draft again. Raises NotFound, NotAllowed, OfferMovedOn once approved, InvalidField."""
    with house.db.session() as session:
        offer = _locked(session, principal, offer_id)
        if offer.approved_at is not None:
            raise OfferMovedOn
        values = check(session, principal, said)
        if session.exec(select(OfferCoupon.id).where(OfferCoupon.offer_id == offer_id).limit(1)).first():
            scope = _holder(offer) != _holder(Offer(**{**offer.model_dump(), **values}))
            if scope or values["kind"] is not OfferKind.COUPON:
                reason = N_("已经有券码名单，种类和由谁提供不能再改。")
                raise InvalidField(errors=[{"field": "kind", "reason": reason}])
            values["stock"] = offer.stock
        for name, value in values.items():
            setattr(offer, name, value)
        offer.drafted_by, offer.submitted_at = principal.id, None
        session.add(offer)
        _note(session, principal, "edited", offer)


def submit(house: House, principal: Principal, offer_id: UUID) -> None:
    """Ask the bureau to approve a draft. Again changes nothing. Raises NotFound, NotAllowed, OfferMovedOn, InvalidField (no stock)."""
    with house.db.session() as session:
        offer = _locked(session, principal, offer_id)
        if offer.submitted_at is not None:
            return
        if not offer.stock:
            reason = N_("请先导入券码名单。") if offer.kind is OfferKind.COUPON else N_("请填写数量。")
            raise InvalidField(errors=[{"field": "stock", "reason": reason}])
        if offer.closes_at <= clock.now():
            raise InvalidField(errors=[{"field": "closes_at", "reason": N_("结束时间已经过了，请先改。")}])
        offer.drafted_by, offer.submitted_at, offer.returned_because = principal.id, clock.now(), ""
        session.add(offer)
        _note(session, principal, "submitted", offer)


# --- coupons -----------------------------------------------------------------------------------------------


def import_coupons(house: House, principal: Principal, offer_id: UUID, text: str) -> int:
    """Add codes to a coupon offer, one a line; how many. All of the list or nothing.

    Raises NotFound, NotAllowed, InvalidField with the line and the reason of each that is empty of sense, there twice, or
    there already among the codes of the same giver.
    """
    lines = [(number, line.strip().strip(",;").strip()) for number, line in enumerate(text.splitlines(), 1)]
    lines = [(number, code) for number, code in lines if code]

    def work(connection: Connection) -> int:
        with session_on(connection) as session:
            offer = _locked(session, principal, offer_id)
            if offer.kind is not OfferKind.COUPON:
                raise NotFound
            holder = _holder(offer)
            mine = OfferCoupon.holder == holder
            wanted = {code for _, code in lines}
            known = (
                set(session.exec(select(OfferCoupon.code).where(mine, col(OfferCoupon.code).in_(wanted))))
                if len(wanted) <= MOST_COUPONS
                else set()
            )
            _check_list(lines, known)
            session.add_all(OfferCoupon(offer_id=offer_id, holder=holder, code=code) for _, code in lines)
            offer.stock += len(lines)
            session.add(offer)
            _note(session, principal, "coupons_imported", offer, count=len(lines))
            return len(lines)

    return house.db.run(work)  # of two lists at once with the same code the second is told


def _check_list(lines: Sequence[tuple[int, str]], known: set[str]) -> None:
    errors: Errors = []
    if not 1 <= len(lines) <= MOST_COUPONS:
        reason = N_("一次请导入 1 到 %(most)s 个券码，每行一个。")
        raise InvalidField(errors=[{"field": "codes", "reason": reason, "params": {"most": MOST_COUPONS}}])
    first: dict[str, int] = {}
    for number, code in lines:
        if len(code) > 64 or not code.isprintable() or any(mark in code for mark in ",;\t"):
            reason, more = N_("第 %(line)s 行：券码应为 1 到 64 个字，每行一个。"), {}
        elif code in first:
            reason, more = N_("第 %(line)s 行：和第 %(first)s 行重复。"), {"first": first[code]}
        elif code in known:
            reason, more = N_("第 %(line)s 行：这个券码以前导入过。"), {}
        else:
            first[code] = number
            continue
        errors.append({"field": "codes", "reason": reason, "params": {"line": number, **more}})
    if errors:
        raise InvalidField(errors=errors[:50])


def _holder(offer: Offer) -> str:
    """Whose coupon codes an offer's are."""
    if offer.organisation_id:
        return f"organisation:{offer.organisation_id.hex}"
    return f"division:{offer.division_code}"


# --- the bureau --------------------------------------------------------------------------------------------


def waiting(session: Session, principal: Principal) -> list[Seen]:
    """What waits for approval in the scope of an officer."""
    unapproved = (col(Offer.submitted_at).is_not(None), col(Offer.approved_at).is_(None))
    return seen(session, in_scope(session, principal, APPROVERS), *unapproved)


def approve(house: House, principal: Principal, offer_id: UUID, read: str) -> None:
    """Approve an offer as it was `read`: the moment of its submission. From then on its terms stand.

    Raises NotFound, NotAllowed, ApproverIsSubmitter, OfferMovedOn.
    """
    with house.db.session() as session:
        offer = _to_decide(session, principal, offer_id, read)
        offer.approved_by, offer.approved_at = principal.id, clock.now()
        session.add(offer)
        _note(session, principal, "approved", offer)


def send_back(house: House, principal: Principal, offer_id: UUID, read: str, because: str) -> None:
    """Send an offer back to who drafted it, with a reason. Raises like `approve`, and InvalidField without a reason."""
    because = audit.reason(because)
    with house.db.session() as session:
        offer = _to_decide(session, principal, offer_id, read)
        offer.submitted_at, offer.returned_because = None, because
        session.add(offer)
        _note(session, principal, "sent_back", offer, because)


def _to_decide(session: Session, principal: Principal, offer_id: UUID, read: str) -> Offer:
    offer = _locked(session, principal, offer_id, APPROVERS)
    if offer.approved_at is not None or offer.submitted_at is None or mark_of(offer) != read:
        raise OfferMovedOn
    if offer.drafted_by == principal.id:
        raise ApproverIsSubmitter
    return offer


def mark_of(offer: Offer) -> str:
    """What tells this submission of an offer from another one."""
    return offer.submitted_at.isoformat() if offer.submitted_at else ""


# --- running it --------------------------------------------------------------------------------------------


def set_stock(house: House, principal: Principal, offer_id: UUID, stock: str, because: str) -> None:
    """Change how many there are, never below what is taken. Raises NotFound, NotAllowed, InvalidField.

    Of coupons there are as many as codes.
    """
    because = audit.reason(because)
    errors: Errors = []
    wanted = whole("stock", stock, 0, MOST_STOCK, errors)
    if errors:
        raise InvalidField(errors=errors)
    with house.db.session() as session:
        offer = _locked(session, principal, offer_id)
        if offer.kind is OfferKind.COUPON:
            reason = N_("券码有多少，就有多少份；要加，请导入名单。")
            raise InvalidField(errors=[{"field": "stock", "reason": reason}])
        if wanted < offer.taken:
            reason = N_("已经兑出 %(taken)s 份，数量不能低于这个数。")
            raise InvalidField(
                errors=[{"field": "stock", "reason": reason, "params": {"taken": offer.taken}}]
            )
        offer.stock = wanted
        session.add(offer)
        _note(session, principal, "stock_set", offer, because, stock=wanted)


def pause(house: House, principal: Principal, offer_id: UUID, *, paused: bool) -> None:
    """Stop giving vouchers for a while, or go on; those given stay good. Raises NotFound, NotAllowed, OfferMovedOn."""
    with house.db.session() as session:
        offer = _locked(session, principal, offer_id)
        if offer.approved_at is None or offer.ended_at is not None:
            raise OfferMovedOn
        if (offer.paused_at is not None) != paused:
            offer.paused_at = clock.now() if paused else None
            session.add(offer)
            _note(session, principal, "paused" if paused else "resumed", offer)


def end(house: House, principal: Principal, offer_id: UUID, because: str) -> None:
    """End an offer for good; vouchers given stay good. Again changes nothing. Raises NotFound, NotAllowed, OfferMovedOn, InvalidField."""
    because = audit.reason(because)
    with house.db.session() as session:
        offer = _locked(session, principal, offer_id)
        if offer.approved_at is None:
            raise OfferMovedOn
        if offer.ended_at is None:
            offer.ended_at = clock.now()
            session.add(offer)
            _note(session, principal, "ended", offer, because)


# --- reading -----------------------------------------------------------------------------------------------


def own_offers(session: Session, principal: Principal) -> list[Seen]:
    """The offers in the scope of whoever runs some, the latest first; numbers untouched, they are theirs."""
    return seen(session, in_scope(session, principal, OFFERERS))


def managed(session: Session, principal: Principal, offer_id: UUID, roles: Sequence[Role] = OFFERERS) -> Seen:
    """An offer in the scope of `principal`. Raises NotFound, NotAllowed."""
    found = one(session, offer_id)
    offer = found.offer
    require(
        session, principal, roles, division_code=offer.division_code, organisation_id=offer.organisation_id
    )
    return found


def _locked(
    session: Session, principal: Principal, offer_id: UUID, roles: Sequence[Role] = OFFERERS
) -> Offer:
    """An offer in the scope of `principal`, in its turn: others wait until this transaction ends."""
    managed(session, principal, offer_id, roles)
    return session.get_one(Offer, offer_id, with_for_update=True, populate_existing=True)


def _note(
    session: Session, principal: Principal, deed: str, offer: Offer, because: str = "", **more: Any
) -> None:
    audit.note_by(
        session,
        principal,
        deed=f"offer.{deed}",
        subject=f"offer:{offer.id}",
        reason=because,
        **more,
    )
    session.flush()
