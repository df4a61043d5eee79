"""The desk of offers: drafted and run by whoever gives them, within their scope; approved by the bureau, another person."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlmodel import Session, col, select

from rewards import offer_pictures
from rewards.counter import in_scope
from rewards.offer_forms import OFFERERS, Errors, OfferIn, check, whole
from rewards.offer_pictures import MOST_WORDS, OfferPicture, Picture
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
from tanpuhui.errors import ApproverIsSubmitter, InvalidField, OfferMovedOn
from tanpuhui.i18n import N_
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal
from tanpuhui.staff import Role, made_before, require

#: Who approves them.
APPROVERS = (Role.OFFICER,)

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
        note(session, principal, "drafted", offer)
        return offer.id


def edit(house: House, principal: Principal, offer_id: UUID, said: OfferIn) -> None:
    """Change a draft; one that waits becomes a draft again. Raises NotFound, NotAllowed, OfferMovedOn once approved, InvalidField."""
    with house.db.session() as session:
        offer = _draft_again(session, principal, offer_id)
        values = check(session, principal, said)
        if session.exec(select(OfferCoupon.id).where(OfferCoupon.offer_id == offer_id).limit(1)).first():
            scope = offer.holder != Offer(**{**offer.model_dump(), **values}).holder
            if scope or values["kind"] is not OfferKind.COUPON:
                reason = N_("已经有券码名单，种类和由谁提供不能再改。")
                raise InvalidField(errors=[{"field": "kind", "reason": reason}])
            values["stock"] = offer.stock
        for name, value in values.items():
            setattr(offer, name, value)
        note(session, principal, "edited", offer)


def _draft_again(session: Session, principal: Principal, offer_id: UUID) -> Offer:
    """An offer that is not approved yet, in its turn: whoever changes it is who drafted it, and it has to be submitted again."""
    offer = locked(session, principal, offer_id)
    if offer.approved_at is not None:
        raise OfferMovedOn
    offer.drafted_by, offer.submitted_at = principal.id, None
    session.add(offer)
    return offer


def submit(house: House, principal: Principal, offer_id: UUID) -> None:
    """Ask the bureau to approve a draft. Again changes nothing. Raises NotFound, NotAllowed, OfferMovedOn, InvalidField (no stock)."""
    with house.db.session() as session:
        offer = locked(session, principal, offer_id)
        if offer.submitted_at is not None:
            return
        if not offer.stock:
            reason = N_("请先导入券码名单。") if offer.kind is OfferKind.COUPON else N_("请填写数量。")
            raise InvalidField(errors=[{"field": "stock", "reason": reason}])
        if offer.closes_at <= clock.now():
            raise InvalidField(errors=[{"field": "closes_at", "reason": N_("结束时间已经过了，请先改。")}])
        offer.drafted_by, offer.submitted_at, offer.returned_because = principal.id, clock.now(), ""
        session.add(offer)
        note(session, principal, "submitted", offer)


# --- the picture -------------------------------------------------------------------------------------------


def set_picture(house: House, principal: Principal, offer_id: UUID, picture: Picture, words: str) -> None:
    """Give a draft its picture, in place of the one before; one that waits becomes a draft again.

    `words` say what is on it. Raises NotFound, NotAllowed, OfferMovedOn once approved, InvalidField (``picture_words``).
    """
    words = " ".join(words.split())
    if len(words) > MOST_WORDS:
        reason = N_("最多 %(most)s 个字。")
        raise InvalidField(
            errors=[{"field": "picture_words", "reason": reason, "params": {"most": MOST_WORDS}}]
        )
    with house.db.session() as session:
        offer = _draft_again(session, principal, offer_id)
        kept = OfferPicture(
            offer_id=offer_id,
            digest=offer_pictures.digest_of(picture),
            width=picture.width,
            height=picture.height,
            words=words,
            large=picture.large,
            small=picture.small,
        )
        session.merge(kept)
        note(session, principal, "picture_set", offer, digest=kept.digest)


def remove_picture(house: House, principal: Principal, offer_id: UUID) -> None:
    """Take the picture of a draft away; without one nothing changes. Raises like `set_picture`."""
    with house.db.session() as session:
        offer = locked(session, principal, offer_id)
        found = session.get(OfferPicture, offer_id)
        if found is None:
            return
        _draft_again(session, principal, offer_id)
        session.delete(found)
        note(session, principal, "picture_removed", offer)


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
        note(session, principal, "approved", offer)


def send_back(house: House, principal: Principal, offer_id: UUID, read: str, because: str) -> None:
    """Send an offer back to who drafted it, with a reason. Raises like `approve`, and InvalidField without a reason."""
    because = audit.reason(because)
    with house.db.session() as session:
        offer = _to_decide(session, principal, offer_id, read)
        offer.submitted_at, offer.returned_because = None, because
        session.add(offer)
        note(session, principal, "sent_back", offer, because)


def _to_decide(session: Session, principal: Principal, offer_id: UUID, read: str) -> Offer:
    offer = locked(session, principal, offer_id, APPROVERS)
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
        offer = locked(session, principal, offer_id)
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
        note(session, principal, "stock_set", offer, because, stock=wanted)


def pause(house: House, principal: Principal, offer_id: UUID, *, paused: bool) -> None:
    """Stop giving vouchers for a while, or go on; those given stay good. Raises NotFound, NotAllowed, OfferMovedOn."""
    with house.db.session() as session:
        offer = locked(session, principal, offer_id)
        if offer.approved_at is None or offer.ended_at is not None:
            raise OfferMovedOn
        if (offer.paused_at is not None) != paused:
            offer.paused_at = clock.now() if paused else None
            session.add(offer)
            note(session, principal, "paused" if paused else "resumed", offer)


def end(house: House, principal: Principal, offer_id: UUID, because: str) -> None:
    """End an offer for good; vouchers given stay good. Again changes nothing. Raises NotFound, NotAllowed, OfferMovedOn, InvalidField."""
    because = audit.reason(because)
    with house.db.session() as session:
        offer = locked(session, principal, offer_id)
        if offer.approved_at is None:
            raise OfferMovedOn
        if offer.ended_at is None:
            offer.ended_at = clock.now()
            session.add(offer)
            note(session, principal, "ended", offer, because)


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


def locked(session: Session, principal: Principal, offer_id: UUID, roles: Sequence[Role] = OFFERERS) -> Offer:
    """An offer in the scope of `principal`, in its turn: others wait until this transaction ends."""
    managed(session, principal, offer_id, roles)
    return session.get_one(Offer, offer_id, with_for_update=True, populate_existing=True)


def note(
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
