"""The JSON API of offers: what can be had and the pools, for everybody; redeeming, for residents; settling, for counters."""

from typing import Any
from uuid import UUID

from flask import Response, request
from flask_openapi import APIBlueprint
from pydantic import BaseModel, Field

from rewards import counter, offers, redemptions, vouchers
from rewards.offers import OfferKind, Seen
from rewards.public_pools import campaign_pools, public_pools
from rewards.vouchers import VoucherState
from tanpuhui import clock
from tanpuhui.errors import NotAllowed
from tanpuhui.idempotency import Answer
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal
from tanpuhui.web.api import (
    ACCOUNT_PARAMETER,
    KEY_HEADER,
    READING,
    WRITING,
    Query,
    Strict,
    api_blueprint,
    iso,
    json_answer,
)
from tanpuhui.web.auth import machine


class OffersQuery(Query):
    """What to look for."""

    community: str | None = Field(
        None, pattern=r"^[0-9]{12}$", description="Only what is for residents of this community"
    )


class PictureOut(BaseModel):
    """A picture: JPEGs of all of it and of its middle as a square, its size in pixels, and what is on it in words, if anybody said."""

    large: str
    small: str
    width: int
    height: int
    words: str


class OfferOut(BaseModel):
    """Something that can be had now for `price` points."""

    id: UUID
    kind: OfferKind
    title: str
    words: str
    held_by: str
    collect_at: str
    price: int
    left: int | None = Field(description="null while fewer than five residents have had one")
    sold_out: bool
    per_person: int
    closes_at: str
    good_days: int = Field(description="For so many days a voucher can be used")
    divisions: list[str] = Field(description="For residents of these divisions; of all, if empty")
    pool_id: UUID
    picture: PictureOut | None
    page: str


class OffersOut(BaseModel):
    """The offers that are open, the cheapest first and what is sold out last."""

    offers: list[OfferOut]


class PoolOut(BaseModel):
    """A reward pool, in whole points."""

    id: UUID
    title: str
    funder: str
    purpose: str
    division_code: str
    budget: int
    reserved: int | None = Field(
        description="In vouchers not used yet; null while fewer than five residents have had one"
    )
    spent: int | None = Field(description="null while fewer than five residents have had a voucher")
    left: int | None = Field(description="null while fewer than five residents have had a voucher")
    low: bool
    runs_out_on: str | None = Field(description="At the pace of the last weeks; null if that is not known")


class CampaignPoolOut(BaseModel):
    """What a campaign gives on top, in whole points."""

    campaign_id: UUID
    title: str
    budget: int
    granted: int | None = Field(description="null while fewer than five residents have any")
    left: int | None = Field(description="null while fewer than five residents have any")
    closed: bool


class PoolsOut(BaseModel):
    """The budgets that pay for what residents get."""

    pools: list[PoolOut]
    campaigns: list[CampaignPoolOut]


class VoucherOut(BaseModel):
    """A voucher as its holder sees it. `code` while it is open, `coupon` if it brought a code of a list."""

    id: str
    offer_id: str
    title: str
    kind: OfferKind
    held_by: str
    collect_at: str
    price: int
    state: VoucherState
    code: str | None
    coupon: str | None
    certificate: str | None = Field(
        description="The number of a donation's certificate, checked at /donations"
    )
    made_at: str
    expires_at: str
    settled_at: str | None
    reason: str | None = Field(description="Why staff cancelled it")


class RedeemedOut(BaseModel):
    """The voucher, and the balance after."""

    voucher: VoucherOut
    balance: int


class VouchersOut(BaseModel):
    """One's own vouchers: those to be used first."""

    vouchers: list[VoucherOut]


class SettleIn(Strict):
    """The code of a voucher, scanned or typed."""

    code: str = Field(min_length=1, max_length=200)


class SettledOut(BaseModel):
    """What was handed over: nothing of the resident."""

    id: str
    offer_id: str
    title: str
    state: VoucherState
    settled_at: str | None


class OfferPath(BaseModel):
    """An offer."""

    offer_id: UUID


class VoucherPath(BaseModel):
    """A voucher."""

    voucher_id: UUID


def public_blueprint(house: House) -> APIBlueprint:
    """What anybody may read under `/api/v1`."""
    api = api_blueprint("offers-api", __name__, public=True)

    @api.get("/offers", summary="What can be had for points", responses={"200": OffersOut, **READING})
    def get_offers(query: OffersQuery) -> Response:
        with house.db.reading_session() as session:
            found = offers.catalogue(session, clock.now(), query.community)
        return json_answer({"offers": [_offer(house, one) for one in found]})

    @api.get(
        "/pools",
        summary="The budgets that pay for what residents get",
        responses={"200": PoolsOut, **READING},
    )
    def get_pools() -> Response:
        with house.db.reading() as connection:
            pools = [_pool(one) for one in public_pools(connection, clock.now())]
            campaigns = [
                CampaignPoolOut.model_validate(one, from_attributes=True).model_dump(mode="json")
                for one in campaign_pools(connection)
            ]
        return json_answer({"pools": pools, "campaigns": campaigns})

    return api


def blueprint(house: House) -> APIBlueprint:
    """What residents and counters do."""
    api = api_blueprint("vouchers-api", __name__)
    keyed = {"parameters": [KEY_HEADER]}
    for_account = {"parameters": [ACCOUNT_PARAMETER]}

    @api.post(
        "/offers/<offer_id>/redeem",
        summary="Give points for an offer",
        description="With one key it is done once; the same key again gets the same answer.",
        responses={"201": RedeemedOut, **WRITING},
        openapi_extensions={"parameters": [KEY_HEADER, ACCOUNT_PARAMETER]},
    )
    def post_redeem(path: OfferPath) -> Response:
        key = request.headers.get("Idempotency-Key")
        return _answer(redemptions.redeem(house, _resident().id, path.offer_id, key=key), 201)

    @api.get(
        "/me/vouchers",
        summary="One's own vouchers",
        responses={"200": VouchersOut, **READING},
        openapi_extensions=for_account,
    )
    def get_vouchers() -> Response:
        who = _resident()
        with house.db.reading_session() as session:
            found = vouchers.own_vouchers(session, who.id)
        return json_answer({"vouchers": [redemptions.voucher_answer(house.settings, one) for one in found]})

    @api.post(
        "/me/vouchers/<voucher_id>/cancel",
        summary="Give a voucher up; the points come back",
        description="Sent twice it is done once.",
        responses={"200": VoucherOut, **WRITING},
        openapi_extensions=for_account,
    )
    def post_cancel(path: VoucherPath) -> Response:
        who = _resident()
        redemptions.cancel(house, who.id, path.voucher_id)
        with house.db.reading_session() as session:
            found = vouchers.own_voucher(session, who.id, path.voucher_id)
        return json_answer(redemptions.voucher_answer(house.settings, found))

    @api.post(
        "/vouchers/settle",
        summary="Say that what a voucher is for was handed over",
        description="For merchants and organisers in the scope of the offer. A voucher works once; the same key again "
        "gets the same answer.",
        responses={"200": SettledOut, **WRITING},
        openapi_extensions=keyed,
    )
    def post_settle(body: SettleIn) -> Response:
        who, key = machine(), request.headers.get("Idempotency-Key")
        found = counter.find(house, who, body.code)
        return _answer(counter.hand_over(house, who, found.redemption.id, key=key), 200)

    return api


def _resident() -> Principal:
    """Raises NotAllowed."""
    principal = machine()
    if principal.kind != "resident":
        raise NotAllowed
    return principal


def _answer(answer: Answer, status: int) -> Response:
    response = json_answer(answer.body, status)
    if answer.replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return response


def _offer(house: House, seen: Seen) -> dict[str, Any]:
    offer = seen.offer
    told = OfferOut(
        **offer.model_dump(
            include={
                "id",
                "kind",
                "title",
                "words",
                "collect_at",
                "price",
                "per_person",
                "good_days",
                "divisions",
                "pool_id",
            }
        ),
        held_by=seen.held_by,
        left=seen.left,
        sold_out=seen.really_left == 0,
        closes_at=iso(offer.closes_at),
        picture=picture_of(house, seen),
        page=_page(house, offer.id),
    )
    return told.model_dump(mode="json")


def picture_of(house: House, seen: Seen) -> PictureOut | None:
    """Where everybody finds the picture of an offer, once it is approved."""
    if seen.picture is None:
        return None
    page, digest = _page(house, seen.offer.id), seen.picture.digest
    return PictureOut(
        large=f"{page}/large-{digest}.jpg",
        small=f"{page}/small-{digest}.jpg",
        width=seen.picture.width,
        height=seen.picture.height,
        words=seen.picture.words,
    )


def _page(house: House, offer_id: UUID) -> str:
    return f"{house.settings.public_url}/rewards/offers/{offer_id}"


def _pool(pool: Any) -> dict[str, Any]:
    day = pool.runs_out_on.isoformat() if pool.runs_out_on else None
    told = {name: getattr(pool, name) for name in PoolOut.model_fields if name != "runs_out_on"}
    return PoolOut(**told, runs_out_on=day).model_dump(mode="json")
