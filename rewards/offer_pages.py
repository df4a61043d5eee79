"""The residents' pages of offers: what can be had, what it takes, one's own vouchers; and the pools, for everybody."""

import json
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask_babel import gettext as _
from markupsafe import Markup
from werkzeug.wrappers import Response as AnyResponse

from rewards import ledger, offer_pictures, offers, redemptions, vouchers
from rewards.offers import OFFER_ICONS, OFFER_KIND_NAMES, OFFER_STATE_NAMES, OfferKind, OfferState, Seen
from rewards.public_pools import campaign_pools, public_pools
from rewards.vouchers import VOUCHER_STATE_NAMES, VoucherState
from tanpuhui import clock, families, ids, qr, signing
from tanpuhui.errors import NotFound, TanpuhuiError
from tanpuhui.people import Resident
from tanpuhui.web.assets import FOREVER
from tanpuhui.web.auth import house, resident, resident_required, visitor
from tanpuhui.web.forms import form_errors

blueprint = Blueprint("offers", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]


@blueprint.app_template_filter()
def offer_kind(kind: OfferKind) -> str:
    """What a resident gets, in the page's language."""
    return str(_(OFFER_KIND_NAMES[kind]))


@blueprint.app_template_filter()
def offer_icon(kind: OfferKind) -> str:
    """The icon of what a resident gets."""
    return OFFER_ICONS[kind]


@blueprint.app_template_filter()
def offer_state(state: OfferState) -> str:
    """Where an offer stands, in the page's language."""
    return str(_(OFFER_STATE_NAMES[state]))


@blueprint.app_template_filter()
def voucher_state(state: VoucherState) -> str:
    """Where a voucher stands, in the page's language."""
    return str(_(VOUCHER_STATE_NAMES[state]))


@blueprint.app_template_global()
def offers_here() -> list[Seen]:
    """What can be had now: by the logged-in resident, or by anybody."""
    with house().db.reading_session() as session:
        home = session.get_one(Resident, resident().id).division_code if visitor() else None
        return offers.catalogue(session, clock.now(), home)


@blueprint.app_template_global()
def vouchers_waiting() -> int:
    """How many vouchers of the logged-in resident wait to be used."""
    with house().db.reading_session() as session:
        own = vouchers.own_vouchers(session, resident().id)
    return sum(one.good(clock.now()) for one in own)


# --- an offer ----------------------------------------------------------------------------------------------


@blueprint.get("/rewards/offers/<uuid:offer_id>")
def one(offer_id: UUID) -> Answer:
    """What it is, what it takes, what one has, what is left, until when, and where it is collected."""
    return _offer_page(offer_id)


@blueprint.get("/rewards/offers/<uuid:offer_id>/<any(small, large):size>-<digest>.jpg")
def picture(offer_id: UUID, size: str, digest: str) -> Answer:
    """The picture of an approved offer. Its address names its contents, so it is kept for ever."""
    with house().db.reading_session() as session:
        found = offers.public_offer(session, offer_id)
        if found.picture is None or found.picture.digest != digest:
            raise NotFound
        answer = jpeg_answer(offer_pictures.file_of(session, offer_id, size))
    answer.headers["Cache-Control"] = FOREVER
    return answer


def jpeg_answer(jpeg: bytes) -> AnyResponse:
    """A picture as the answer of a page."""
    return Response(jpeg, mimetype="image/jpeg")


def _offer_page(offer_id: UUID, error: TanpuhuiError | None = None) -> Answer:
    now = clock.now()
    with house().db.reading_session() as session:
        found = offers.public_offer(session, offer_id)
        own: dict[str, Any] = {}
        if visitor():
            me = resident().id
            together = families.counted_with(session.connection(), me)
            counted = [me, *(one.id for one in together if one.until is None)]
            own = {
                "balance": ledger.balance(session.connection(), me),
                "mine": redemptions.how_many(session, offer_id, counted),
                "for_me": found.offer.is_for(session.get_one(Resident, me).division_code),
            }
    page = render_template(
        "rewards/offer.html",
        found=found,
        state=found.offer.state(now),
        key=ids.new_id().hex,
        errors=form_errors(error) if error else None,
        **own,
    )
    return (page, error.status) if error else page


@blueprint.post("/rewards/offers/<uuid:offer_id>/redeem")
@resident_required
def redeem(offer_id: UUID) -> Answer:
    """Give points for it; the same tap twice is one voucher."""
    key = request.form.get("key", "")
    try:
        answer = redemptions.redeem(house(), resident().id, offer_id, key=key)
    except NotFound:
        raise
    except TanpuhuiError as error:
        return _offer_page(offer_id, error)
    made = json.loads(answer.body)["voucher"]["id"]
    return redirect(url_for("offers.voucher", redemption_id=made, made=1), 303)


# --- one's own vouchers ------------------------------------------------------------------------------------


@blueprint.get("/me/vouchers")
@resident_required
def mine() -> Answer:
    """What waits to be used, and what was."""
    with house().db.reading_session() as session:
        found = vouchers.own_vouchers(session, resident().id)
    now = clock.now()
    return render_template(
        "rewards/vouchers.html",
        good=[one for one in found if one.good(now)],
        rest=[one for one in found if not one.good(now)],
    )


@blueprint.get("/me/vouchers/<uuid:redemption_id>")
@resident_required
def voucher(redemption_id: UUID) -> Answer:
    """A voucher, with its code as large as the phone is wide."""
    return _voucher_page(redemption_id)


def _voucher_page(redemption_id: UUID, error: TanpuhuiError | None = None) -> Answer:
    with house().db.reading_session() as session:
        found = vouchers.own_voucher(session, resident().id, redemption_id)
    good = found.good(clock.now())
    token = vouchers.token_of(house().settings, found.redemption.number) if good else ""
    address = f"{house().settings.public_url}/s/{token}"
    page = render_template(
        "rewards/voucher.html",
        found=found,
        good=good,
        picture=Markup(qr.svg(address, level="M")) if good else "",  # noqa: S704 - drawn here
        short_code=signing.typed_form(token),
        made=bool(request.args.get("made")),
        errors=form_errors(error) if error else None,
    )
    return (page, error.status) if error else page


@blueprint.post("/me/vouchers/<uuid:redemption_id>/cancel")
@resident_required
def cancel(redemption_id: UUID) -> Answer:
    """Give a voucher up; the points come back."""
    try:
        redemptions.cancel(house(), resident().id, redemption_id)
    except NotFound:
        raise
    except TanpuhuiError as error:
        return _voucher_page(redemption_id, error)
    return redirect(url_for("offers.voucher", redemption_id=redemption_id), 303)


# --- the pools ---------------------------------------------------------------------------------------------


@blueprint.get("/pools")
def pools() -> Answer:
    """Who pays for what residents get: budgets, what of them is gone, and how long they will last."""
    with house().db.reading() as connection:
        return render_template(
            "rewards/pools.html",
            pools=public_pools(connection, clock.now()),
            campaigns=campaign_pools(connection),
            fewest=offers.FEWEST_TOLD,
        )
