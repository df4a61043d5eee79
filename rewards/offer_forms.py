"""The form of an offer: what staff say of one, and everything that is wrong with it, beside each field."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlmodel import Session, col, select

from rewards.offers import MOST_DAYS, MOST_PER_PERSON, MOST_PRICE, MOST_STOCK, OfferKind
from rewards.reward_pools import RewardPool
from rewards.scopes import Scope, scopes_of
from tanpuhui.divisions import Division
from tanpuhui.errors import InvalidField
from tanpuhui.i18n import N_
from tanpuhui.sessions import Principal
from tanpuhui.staff import Role

#: Who drafts offers and runs them.
OFFERERS = (Role.MERCHANT, Role.ORGANISER, Role.OFFICER, Role.ADMIN)

Errors = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class OfferIn:
    """What a form says of an offer, as it was typed. `scope`: whose it is, as `scopes_of` names it; `divisions`: for whom."""

    kind: str
    title: str
    words: str
    collect_at: str
    price: str
    stock: str
    per_person: str
    opens_at: datetime | None
    closes_at: datetime | None
    good_days: str
    scope: str
    pool_id: UUID | None
    divisions: Sequence[str] = ()


def pools_for(session: Session, scopes: Sequence[Scope]) -> list[RewardPool]:
    """The pools that may pay for offers of these scopes: those of a division in which they lie."""
    over = {scope.division_code[:length] for scope in scopes for length in (6, 9, 12)}
    query = select(RewardPool).where(col(RewardPool.division_code).in_(over))
    return list(session.exec(query.order_by(RewardPool.title, col(RewardPool.id)).limit(200)))


def check(session: Session, principal: Principal, said: OfferIn) -> dict[str, Any]:
    """The values of an offer. Raises InvalidField with everything that is wrong."""
    errors: Errors = []
    kind = next((kind for kind in OfferKind if kind.value == said.kind), None)
    if kind is None:
        errors.append({"field": "kind", "reason": N_("请选择种类。")})
    values: dict[str, Any] = {"kind": kind, "divisions": sorted(set(said.divisions))}
    for name, low, high in (("title", 2, 40), ("words", 4, 400), ("collect_at", 2, 120)):
        values[name] = " ".join(getattr(said, name).split())
        if not low <= len(values[name]) <= high:
            reason = N_("请填写 %(low)s 到 %(high)s 个字。")
            errors.append({"field": name, "reason": reason, "params": {"low": low, "high": high}})
    if kind is OfferKind.DONATION:
        _check_printable(values, errors)
    values["price"] = _price(kind, said.price, errors)
    least = 0 if kind is OfferKind.COUPON else 1
    values["stock"] = 0 if kind is OfferKind.COUPON else whole("stock", said.stock, least, MOST_STOCK, errors)
    values["per_person"] = whole("per_person", said.per_person, 1, MOST_PER_PERSON, errors)
    values["good_days"] = whole("good_days", said.good_days, 1, MOST_DAYS, errors)
    values |= {"opens_at": said.opens_at, "closes_at": said.closes_at}
    if said.opens_at is None or said.closes_at is None or said.closes_at <= said.opens_at:
        errors.append({"field": "closes_at", "reason": N_("请填写开始和结束时间，结束要在开始之后。")})
    values |= _whose(session, principal, said, errors)
    if errors:
        raise InvalidField(errors=errors)
    return values


def _check_printable(values: dict[str, Any], errors: Errors) -> None:
    """Title and words of a donation stand on its certificates."""
    from tanpuhui.pdf import missing_glyphs  # late: only paper and this need the font

    reason = N_("这里有证书上印不出的字或表情，请换一种写法。")
    errors += [
        {"field": name, "reason": reason} for name in ("title", "words") if missing_glyphs(values[name])
    ]


def _price(kind: OfferKind | None, text: str, errors: Errors) -> int:
    if kind is OfferKind.HONOUR:
        if text.strip() not in {"", "0"}:
            errors.append({"field": "price", "reason": N_("荣誉纪念不收积分，请填 0。")})
        return 0
    return whole("price", text, 1, MOST_PRICE, errors)


def whole(field: str, text: str, low: int, high: int, errors: Errors) -> int:
    """A whole number from `low` to `high`; what is none is added to `errors`."""
    text = text.strip()
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else -1
    if not low <= number <= high:
        reason = N_("请填 %(low)s 到 %(high)s 的整数。")
        errors.append({"field": field, "reason": reason, "params": {"low": low, "high": high}})
    return number


def _whose(session: Session, principal: Principal, said: OfferIn, errors: Errors) -> dict[str, Any]:
    """Whose offer it is, out of which pool, and for whom."""
    scopes = {scope.key: scope for scope in scopes_of(session, principal, OFFERERS)}
    scope = scopes.get(said.scope)
    if scope is None:
        errors.append({"field": "scope", "reason": N_("请选择由谁提供。")})
    pools = pools_for(session, [scope]) if scope else []
    if said.pool_id not in {pool.id for pool in pools}:
        errors.append({"field": "pool_id", "reason": N_("请选择由哪一笔预算支付。没有预算，不能兑换。")})
    known = session.exec(select(Division.code).where(col(Division.code).in_(said.divisions))).all()
    if set(said.divisions) - set(known):
        errors.append({"field": "divisions", "reason": N_("请从列表中选择区划。")})
    return {
        "pool_id": said.pool_id,
        "division_code": scope.division_code if scope else "",
        "organisation_id": scope.organisation_id if scope else None,
    }
