"""Staff's pages of offers: drafting and running them in the console, approving them and funding pools in the bureau."""

from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask_babel import gettext as _
from sqlmodel import Session
from werkzeug.wrappers import Response as AnyResponse

from rewards import (
    coupons as coupon_lists,
    offer_desk,
    offer_forms,
    offer_pictures,
    pool_notices,
    reward_pools,
)
from rewards.offer_desk import APPROVERS
from rewards.offer_forms import OFFERERS, OfferIn
from rewards.offer_pages import jpeg_answer
from rewards.offers import OFFER_KIND_NAMES, Seen
from rewards.reward_pools import FUNDERS, PoolIn
from rewards.scopes import scopes_of
from tanpuhui import clock
from tanpuhui.divisions import Division, children
from tanpuhui.errors import (
    FileTooLarge,
    InvalidField,
    NotFound,
    OfferMovedOn,
    PhotoTooLarge,
    PhotoUnreadable,
    TanpuhuiError,
)
from tanpuhui.web.auth import house, roles_here, staff, staff_required
from tanpuhui.web.forms import chosen_id, form_errors, local_moment
from tanpuhui.web.problems import document

blueprint = Blueprint("offer_desk", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]

#: The largest form with a file that is read at all; a file that is too large for what it is is refused beside its field.
MOST_BODY = 24 * 1024 * 1024

_TYPED = ("kind", "title", "words", "collect_at", "price", "stock", "per_person", "good_days", "scope")


# --- the console -------------------------------------------------------------------------------------------


@blueprint.get("/console/offers")
@staff_required(*OFFERERS)
def listed() -> Answer:
    """The offers of one's scope, and the pools that run low."""
    with house().db.reading_session() as session:
        found = offer_desk.own_offers(session, staff())
    now = clock.now()
    low = {one.pool.id: one.pool for one in found if one.pool.low and one.offer.closes_at > now}
    return render_template("rewards/offers.html", offers=found, now=now, low=list(low.values()))


@blueprint.route("/console/offers/new", methods=["GET", "POST"])
@staff_required(*OFFERERS)
def new() -> Answer:
    """Draft an offer."""
    if request.method == "POST":
        try:
            offer_id = offer_desk.draft(house(), staff(), _offer_in(), chosen_id(staff()))
            return redirect(url_for("offer_desk.one", offer_id=offer_id), 303)
        except InvalidField as error:
            return _form_page(request.form, request.form.getlist("divisions"), form_errors(error))
    return _form_page({"per_person": "1", "good_days": "7"}, [])


@blueprint.route("/console/offers/<uuid:offer_id>/edit", methods=["GET", "POST"])
@staff_required(*OFFERERS)
def edit(offer_id: UUID) -> Answer:
    """Change a draft."""
    if request.method == "POST":
        try:
            offer_desk.edit(house(), staff(), offer_id, _offer_in())
            return redirect(url_for("offer_desk.one", offer_id=offer_id), 303)
        except InvalidField as error:
            return _form_page(request.form, request.form.getlist("divisions"), form_errors(error), offer_id)
    with house().db.reading_session() as session:
        offer = offer_desk.managed(session, staff(), offer_id).offer
    if offer.approved_at is not None:
        raise NotFound
    typed = {name: str(getattr(offer, name)) for name in _TYPED if name not in {"scope", "kind"}}
    scope = (
        f"organisation:{offer.organisation_id}"
        if offer.organisation_id
        else f"division:{offer.division_code}"
    )
    times = {
        name: f"{clock.local(getattr(offer, name)):%Y-%m-%dT%H:%M}" for name in ("opens_at", "closes_at")
    }
    form = {**typed, **times, "kind": offer.kind.value, "scope": scope, "pool_id": str(offer.pool_id)}
    return _form_page(form, offer.divisions, None, offer_id)


def _form_page(
    form: Mapping[str, Any],
    chosen: list[str],
    errors: dict[str, str] | None = None,
    offer_id: UUID | None = None,
) -> Answer:
    with house().db.reading_session() as session:
        scopes = scopes_of(session, staff(), OFFERERS)
        pools = offer_forms.pools_for(session, scopes)
        streets = children(session, house().settings.district_code)
    page = render_template(
        "rewards/offer_form.html",
        form=form,
        errors=errors,
        offer_id=offer_id,
        kinds=[("", [(kind.value, _(name)) for kind, name in OFFER_KIND_NAMES.items()])],
        scopes=[("", [(scope.key, scope.name) for scope in scopes])],
        pools=[("", [(pool.id, f"{pool.title} · {pool.funder}") for pool in pools])],
        streets=[(street.code, street.name, "") for street in streets],
        chosen=chosen,
    )
    return (page, InvalidField.status) if errors else page


def _offer_in() -> OfferIn:
    form = request.form
    return OfferIn(
        **{name: form.get(name, "")[:600] for name in _TYPED},
        opens_at=local_moment(form.get("opens_at", "")),
        closes_at=local_moment(form.get("closes_at", "")),
        pool_id=_id(form.get("pool_id", "")),
        divisions=form.getlist("divisions"),
    )


def _id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


@blueprint.get("/console/offers/<uuid:offer_id>")
@staff_required(*OFFERERS)
def one(offer_id: UUID) -> Answer:
    """One offer: how far it has gone, and what can be done with it."""
    return _one_page(offer_id)


def _one_page(
    offer_id: UUID, errors: dict[str, str] | None = None, *, status: int = 200, lines: list[str] | None = None
) -> Answer:
    with house().db.reading_session() as session:
        found = offer_desk.managed(session, staff(), offer_id)
        streets = _names(session, found)
    page = render_template(
        "rewards/offer_manage.html",
        found=found,
        streets=streets,
        state=found.offer.state(clock.now()),
        form=request.form,
        errors=errors,
        lines=lines,
        imported=request.args.get("imported", type=int),
    )
    return page, status


def _names(session: Session, found: Seen) -> list[str]:
    """For whom an offer is, in words."""
    places = (session.get(Division, code) for code in found.offer.divisions)
    return [place.name for place in places if place]


@blueprint.post("/console/offers/<uuid:offer_id>/submit")
@staff_required(*OFFERERS)
def submit(offer_id: UUID) -> Answer:
    """Ask the bureau to approve it."""
    return _do(offer_id, lambda: offer_desk.submit(house(), staff(), offer_id))


@blueprint.post("/console/offers/<uuid:offer_id>/stock")
@staff_required(*OFFERERS)
def stock(offer_id: UUID) -> Answer:
    """Change how many there are."""
    wanted, because = request.form.get("stock", ""), request.form.get("reason", "")
    return _do(offer_id, lambda: offer_desk.set_stock(house(), staff(), offer_id, wanted, because))


@blueprint.post("/console/offers/<uuid:offer_id>/pause")
@staff_required(*OFFERERS)
def pause(offer_id: UUID) -> Answer:
    """Pause it, or go on."""
    paused = request.form.get("paused") == "yes"
    return _do(offer_id, lambda: offer_desk.pause(house(), staff(), offer_id, paused=paused))


@blueprint.post("/console/offers/<uuid:offer_id>/end")
@staff_required(*OFFERERS)
def end(offer_id: UUID) -> Answer:
    """End it for good."""
    because = request.form.get("end_reason", "")
    return _do(offer_id, lambda: offer_desk.end(house(), staff(), offer_id, because), reason="end_reason")


@blueprint.post("/console/offers/<uuid:offer_id>/coupons")
@staff_required(*OFFERERS)
def coupons(offer_id: UUID) -> Answer:
    """Import a list of codes, pasted or from a file: all of it, or nothing with the reason for each line."""
    sent, typed = _sent("file"), request.form.get("codes", "")
    if sent is not None and typed.strip():
        both = {"file": _("请只选一种：传文件，或者贴在下面。")}
        return _one_page(offer_id, both, status=InvalidField.status)
    try:
        listed = coupon_lists.pasted(typed) if sent is None else coupon_lists.in_file(sent)
        count = coupon_lists.import_codes(house(), staff(), offer_id, listed)
    except InvalidField as error:
        lines = [entry["reason"] for entry in document(error)["errors"]]
        field = "codes" if sent is None else "file"
        return _one_page(offer_id, {field: lines[0]}, status=error.status, lines=lines)
    except OfferMovedOn as error:
        return _one_page(offer_id, form_errors(error), status=error.status)
    return redirect(url_for("offer_desk.one", offer_id=offer_id, imported=count), 303)


coupons.most_body = MOST_BODY  # type: ignore[attr-defined]
coupons.too_large = FileTooLarge  # type: ignore[attr-defined]


@blueprint.post("/console/offers/<uuid:offer_id>/picture")
@staff_required(*OFFERERS)
def put_picture(offer_id: UUID) -> Answer:
    """Give a draft its picture, or another one; what is wrong with the file is said beside it."""
    sent, words = _sent("picture"), request.form.get("picture_words", "")[:400]
    if sent is None:
        return _one_page(offer_id, {"picture": _("请先选一张图片。")}, status=InvalidField.status)
    try:
        offer_desk.set_picture(house(), staff(), offer_id, offer_pictures.read(sent), words)
    except (InvalidField, OfferMovedOn, PhotoTooLarge, PhotoUnreadable) as error:
        field = "picture" if isinstance(error, PhotoTooLarge | PhotoUnreadable) else ""
        return _one_page(offer_id, form_errors(error, field), status=error.status)
    return redirect(url_for("offer_desk.one", offer_id=offer_id, _anchor="picture-of"), 303)


def _sent(name: str) -> bytes | None:
    """The file of a field, if one was chosen."""
    sent = request.files.get(name)
    if sent is None:
        return None
    with closing(sent):
        return sent.read() if sent.filename else None


put_picture.most_body = MOST_BODY  # type: ignore[attr-defined]


@blueprint.post("/console/offers/<uuid:offer_id>/picture/remove")
@staff_required(*OFFERERS)
def remove_picture(offer_id: UUID) -> Answer:
    """Take the picture of a draft away."""
    return _do(offer_id, lambda: offer_desk.remove_picture(house(), staff(), offer_id))


@blueprint.get("/console/offers/<uuid:offer_id>/picture.jpg")
@staff_required(*OFFERERS)
def picture(offer_id: UUID) -> Answer:
    """The picture of an offer in one's scope, approved or not."""
    with house().db.reading_session() as session:
        offer_desk.managed(session, staff(), offer_id)
        return jpeg_answer(offer_pictures.file_of(session, offer_id, "large"))


def _do(offer_id: UUID, work: Callable[[], Any], reason: str = "reason") -> Answer:
    """Do it, or show the page again with what was refused beside the field. `reason`: the field of the reason."""
    try:
        work()
    except NotFound:
        raise
    except TanpuhuiError as error:
        said = {reason if name == "reason" else name: text for name, text in form_errors(error).items()}
        return _one_page(offer_id, said, status=error.status)
    return redirect(url_for("offer_desk.one", offer_id=offer_id), 303)


# --- the bureau --------------------------------------------------------------------------------------------


@blueprint.get("/bureau/rewards")
@staff_required(*FUNDERS)
def bureau() -> Answer:
    """Offers that wait for approval, and the pools that pay."""
    return _bureau_page()


def _bureau_page(errors: dict[str, str] | None = None, status: int = 200) -> Answer:
    with house().db.reading_session() as session:
        page = render_template(
            "rewards/bureau.html",
            waiting=offer_desk.waiting(session, staff()),
            pools=reward_pools.own_pools(session, staff()),
            notices=pool_notices.unseen(session, staff()),
            district=house().settings.district_code,
            form=request.form,
            errors=errors,
        )
    return page, status


@blueprint.post("/bureau/rewards/pools")
@staff_required(*FUNDERS)
def create_pool() -> Answer:
    """Make a pool."""
    form = request.form
    said = PoolIn(
        *(form.get(name, "")[:400] for name in ("title", "funder", "purpose", "division_code", "budget"))
    )
    try:
        reward_pools.create_pool(house(), staff(), said, chosen_id(staff()))
    except InvalidField as error:
        return _bureau_page(form_errors(error), error.status)
    return redirect(url_for("offer_desk.bureau"), 303)


@blueprint.get("/bureau/rewards/pools/<uuid:pool_id>")
@staff_required(*FUNDERS)
def pool(pool_id: UUID) -> Answer:
    """A pool: what of its budget is gone, and changing the budget."""
    return _pool_page(pool_id)


def _pool_page(pool_id: UUID, errors: dict[str, str] | None = None, status: int = 200) -> Answer:
    with house().db.reading_session() as session:
        found = reward_pools.managed_pool(session, staff(), pool_id)
        page = render_template(
            "rewards/pool.html",
            pool=found,
            runs_out_on=reward_pools.runs_out_on(session.connection(), found, clock.now()),
            notices=pool_notices.notices_of(session, pool_id),
            form=request.form,
            errors=errors,
        )
    return page, status


@blueprint.post("/bureau/rewards/pools/<uuid:pool_id>/budget")
@staff_required(*FUNDERS)
def budget(pool_id: UUID) -> Answer:
    """Raise or lower the budget."""
    wanted, because = request.form.get("budget", ""), request.form.get("reason", "")
    try:
        reward_pools.set_budget(house(), staff(), pool_id, wanted, because)
    except InvalidField as error:
        return _pool_page(pool_id, form_errors(error), error.status)
    return redirect(url_for("offer_desk.pool", pool_id=pool_id), 303)


@blueprint.post("/bureau/rewards/notices/<uuid:notice_id>/seen")
@staff_required(*FUNDERS)
def see_notice(notice_id: UUID) -> Answer:
    """One of those who answer for the pool has read it."""
    pool_notices.mark_seen(house(), staff(), notice_id)
    return redirect(url_for("offer_desk.bureau"), 303)


@blueprint.get("/bureau/rewards/offers/<uuid:offer_id>")
@staff_required(*APPROVERS)
def approval(offer_id: UUID) -> Answer:
    """An offer as it was submitted, for another person to approve."""
    return _approval_page(offer_id)


def _approval_page(offer_id: UUID, error: TanpuhuiError | None = None) -> Answer:
    with house().db.reading_session() as session:
        found = offer_desk.managed(session, staff(), offer_id, APPROVERS)
        streets = _names(session, found)
    page = render_template(
        "rewards/offer_approval.html",
        found=found,
        streets=streets,
        state=found.offer.state(clock.now()),
        mark=offer_desk.mark_of(found.offer),
        own=found.offer.drafted_by == staff().id,
        may_run=bool(roles_here() & set(OFFERERS)),
        form=request.form,
        errors=form_errors(error) if error else None,
    )
    return (page, error.status) if error else page


@blueprint.post("/bureau/rewards/offers/<uuid:offer_id>/approve")
@staff_required(*APPROVERS)
def approve(offer_id: UUID) -> Answer:
    """Approve it as it was read."""
    read = request.form.get("mark", "")
    return _decide(offer_id, lambda: offer_desk.approve(house(), staff(), offer_id, read))


@blueprint.post("/bureau/rewards/offers/<uuid:offer_id>/return")
@staff_required(*APPROVERS)
def send_back(offer_id: UUID) -> Answer:
    """Send it back with a reason."""
    read, because = request.form.get("mark", ""), request.form.get("reason", "")
    return _decide(offer_id, lambda: offer_desk.send_back(house(), staff(), offer_id, read, because))


def _decide(offer_id: UUID, work: Callable[[], Any]) -> Answer:
    try:
        work()
    except NotFound:
        raise
    except TanpuhuiError as error:
        return _approval_page(offer_id, error)
    return redirect(url_for("offer_desk.bureau"), 303)
