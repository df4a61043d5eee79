"""The JSON API of those who give offers and of the bureau: drafting, submitting, coupon codes, approving, running, each within their scope."""

from typing import Annotated, Any
from uuid import UUID

from flask import Response
from flask_openapi import APIBlueprint
from pydantic import BaseModel, Field

from rewards import coupons, offer_desk
from rewards.coupons import LONGEST_CODE, MOST_COUPONS
from rewards.offer_api import OfferPath, PictureOut, picture_of
from rewards.offer_forms import OfferIn
from rewards.offers import (
    MOST_DAYS,
    MOST_PER_PERSON,
    MOST_PRICE,
    MOST_STOCK,
    OfferKind,
    OfferState,
    Seen,
)
from tanpuhui import clock
from tanpuhui.errors import NotAllowed
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal
from tanpuhui.web.api import READING, WRITING, IsoDatetime, Strict, api_blueprint, iso, json_answer
from tanpuhui.web.auth import machine

_Id = Annotated[UUID, Field(strict=False)]


class OfferBody(Strict):
    """What is said of an offer. Everything that is wrong with it is answered at once, by field."""

    kind: OfferKind = Field(strict=False)
    title: str = Field(max_length=200)
    words: str = Field(max_length=1000)
    collect_at: str = Field(max_length=400)
    price: int = Field(ge=0, le=MOST_PRICE, description="Whole points; 0 for an honour, and for nothing else")
    stock: int = Field(0, ge=0, le=MOST_STOCK, description="Of coupons there are as many as codes")
    per_person: int = Field(1, ge=1, le=MOST_PER_PERSON)
    opens_at: IsoDatetime
    closes_at: IsoDatetime
    good_days: int = Field(7, ge=1, le=MOST_DAYS, description="For so many days a voucher can be used")
    scope: str = Field(
        max_length=60, description="Whose it is: `organisation:` and its id, or `division:` and its code"
    )
    pool_id: _Id
    divisions: list[Annotated[str, Field(max_length=12)]] = Field(
        default_factory=list, max_length=200, description="For residents of these divisions; of all, if empty"
    )


class CouponsBody(Strict):
    """Codes to be given, each once. If one is there twice or already, none is imported."""

    codes: list[Annotated[str, Field(max_length=4 * LONGEST_CODE)]] = Field(
        min_length=1, max_length=MOST_COUPONS
    )


class StockBody(Strict):
    """How many there are, never fewer than are taken, and why."""

    stock: int = Field(ge=0, le=MOST_STOCK)
    reason: str = Field(max_length=400)


class PauseBody(Strict):
    """Whether it gives no vouchers until it goes on."""

    paused: bool


class EndBody(Strict):
    """Why it ends."""

    reason: str = Field(max_length=400)


class ReadBody(Strict):
    """Which submission was read: its `mark`."""

    mark: str = Field(max_length=60)


class SendBackBody(ReadBody):
    """Which submission was read, and what is to be changed."""

    reason: str = Field(max_length=400)


class ManagedOfferOut(BaseModel):
    """An offer as whoever gives it sees it. `mark` names its submission while it waits; whoever decides sends it back."""

    id: UUID
    kind: OfferKind
    state: OfferState
    title: str
    words: str
    collect_at: str
    price: int
    stock: int
    taken: int
    per_person: int
    opens_at: str
    closes_at: str
    good_days: int
    held_by: str
    division_code: str
    organisation_id: UUID | None
    pool_id: UUID
    divisions: list[str]
    picture: PictureOut | None
    mark: str | None
    returned_because: str


class ManagedOffersOut(BaseModel):
    """The offers of one's scope, the latest first."""

    offers: list[ManagedOfferOut]


class ImportedOut(BaseModel):
    """How many codes were imported, and how many of the offer there are now."""

    imported: int
    stock: int


def blueprint(house: House) -> APIBlueprint:
    """The operations under `/api/v1`."""
    api = api_blueprint("offer-desk-api", __name__)
    done = {"200": ManagedOfferOut, **WRITING}

    def answer(offer_id: UUID, status: int = 200) -> Response:
        with house.db.reading_session() as session:
            found = offer_desk.managed(session, machine(), offer_id)
        return json_answer(_offer(house, found), status)

    @api.get(
        "/console/offers", summary="Offers of one's scope", responses={"200": ManagedOffersOut, **READING}
    )
    def get_own() -> Response:
        with house.db.reading_session() as session:
            found = offer_desk.own_offers(session, _staff())
        return json_answer({"offers": [_offer(house, one) for one in found]})

    @api.get("/console/offers/<offer_id>", summary="One offer", responses={"200": ManagedOfferOut, **READING})
    def get_one(path: OfferPath) -> Response:
        return answer(path.offer_id)

    @api.post("/console/offers", summary="Draft an offer", responses={"201": ManagedOfferOut, **WRITING})
    def post_draft(body: OfferBody) -> Response:
        return answer(offer_desk.draft(house, machine(), _said(body)), 201)

    @api.put(
        "/console/offers/<offer_id>",
        summary="Change a draft",
        description="One that waits for approval becomes a draft again. Its picture stays.",
        responses=done,
    )
    def put_draft(path: OfferPath, body: OfferBody) -> Response:
        offer_desk.edit(house, machine(), path.offer_id, _said(body))
        return answer(path.offer_id)

    @api.post("/console/offers/<offer_id>/submit", summary="Ask the bureau to approve it", responses=done)
    def post_submit(path: OfferPath) -> Response:
        offer_desk.submit(house, machine(), path.offer_id)
        return answer(path.offer_id)

    @api.post(
        "/console/offers/<offer_id>/coupons",
        summary="Import coupon codes",
        description="All of them, or none with the reason for each that is wrong, counted from 1.",
        responses={"200": ImportedOut, **WRITING},
    )
    def post_coupons(path: OfferPath, body: CouponsBody) -> Response:
        lines = [(number, code.strip()) for number, code in enumerate(body.codes, 1)]
        imported = coupons.import_codes(house, machine(), path.offer_id, lines)
        with house.db.reading_session() as session:
            stock = offer_desk.managed(session, machine(), path.offer_id).offer.stock
        return json_answer({"imported": imported, "stock": stock})

    @api.post("/console/offers/<offer_id>/stock", summary="Change how many there are", responses=done)
    def post_stock(path: OfferPath, body: StockBody) -> Response:
        offer_desk.set_stock(house, machine(), path.offer_id, str(body.stock), body.reason)
        return answer(path.offer_id)

    @api.post("/console/offers/<offer_id>/pause", summary="Pause it, or go on", responses=done)
    def post_pause(path: OfferPath, body: PauseBody) -> Response:
        offer_desk.pause(house, machine(), path.offer_id, paused=body.paused)
        return answer(path.offer_id)

    @api.post("/console/offers/<offer_id>/end", summary="End it for good", responses=done)
    def post_end(path: OfferPath, body: EndBody) -> Response:
        offer_desk.end(house, machine(), path.offer_id, body.reason)
        return answer(path.offer_id)

    @api.post(
        "/console/offers/<offer_id>/approve",
        summary="Approve it as it was read",
        description="For officers, another person than submitted it. From then on its terms stand.",
        responses=done,
    )
    def post_approve(path: OfferPath, body: ReadBody) -> Response:
        offer_desk.approve(house, machine(), path.offer_id, body.mark)
        return answer(path.offer_id)

    @api.post("/console/offers/<offer_id>/return", summary="Send it back with a reason", responses=done)
    def post_return(path: OfferPath, body: SendBackBody) -> Response:
        offer_desk.send_back(house, machine(), path.offer_id, body.mark, body.reason)
        return answer(path.offer_id)

    return api


def _staff() -> Principal:
    """Who asks, if it is a member of staff. Raises NotAllowed."""
    principal = machine()
    if principal.kind != "staff":
        raise NotAllowed
    return principal


def _said(body: OfferBody) -> OfferIn:
    """What a form would say."""
    numbers = {name: str(getattr(body, name)) for name in ("price", "stock", "per_person", "good_days")}
    return OfferIn(**{**body.model_dump(), **numbers, "kind": body.kind.value})


def _offer(house: House, found: Seen) -> dict[str, Any]:
    offer = found.offer
    waiting = offer.submitted_at is not None and offer.approved_at is None
    told = {name: getattr(offer, name) for name in ManagedOfferOut.model_fields if hasattr(offer, name)}
    told |= {
        "state": offer.state(clock.now()),
        "held_by": found.held_by,
        "opens_at": iso(offer.opens_at),
        "closes_at": iso(offer.closes_at),
        "picture": picture_of(house, found),
        "mark": offer_desk.mark_of(offer) if waiting else None,
    }
    return ManagedOfferOut(**told).model_dump(mode="json")
