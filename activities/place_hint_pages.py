"""Place as a hint, on the pages: the offer below a confirmation, and where staff say that a site stands."""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from uuid import UUID

from flask import Blueprint, Response, after_this_request, redirect, render_template, request, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response as AnyResponse

from activities import place_hints, positions, sites
from activities.actions import Action
from activities.bands import BAND_NAMES, Band
from activities.geodesy import DATUM_NAMES
from activities.records import has_any
from activities.scans import Preview
from activities.sites import MANAGERS
from tanpuhui import consents
from tanpuhui.errors import InvalidField
from tanpuhui.i18n import N_
from tanpuhui.people import PRESENT, Document, consent_text
from tanpuhui.web.auth import house, resident, resident_required, safe_next, staff, staff_required, visitor
from tanpuhui.web.formatting import language
from tanpuhui.web.forms import form_errors

blueprint = Blueprint("place_hints", __name__, template_folder="templates")

#: Remembers on this phone that the offer was made, or that the answer was no.
OFFER_COOKIE = "place_offer"
_AGAIN_AFTER = {"seen": 30 * 86400, "no": 365 * 86400}


# --- on the page that confirms -----------------------------------------------------------------------------


def wanted(seen: Preview) -> str:
    """What the page of a scan does about the position: ``ask`` the phone, ``offer`` to do so, or nothing.

    Offered is it to those who know the place already, at most once a month, and after a no for a year not again.
    """
    who = visitor()
    if who is None or not place_hints.tells(seen.code):
        return ""
    with house().db.reading() as connection:
        if consents.stands(connection, who.id, Document.PLACE_HINTS):
            return "ask"
        if OFFER_COOKIE in request.cookies or not has_any(connection, who.id):
            return ""
        if not consents.is_asked(connection, who.id, Document.PLACE_HINTS):
            return ""
    after_this_request(lambda answer: _remember(answer, "seen"))
    return "offer"


def _remember(answer: AnyResponse, what: str) -> Response:
    answer.set_cookie(OFFER_COOKIE, what, max_age=_AGAIN_AFTER[what], samesite="Lax", httponly=True)
    return answer  # type: ignore[return-value]


@blueprint.app_template_global()
def place_offer_text() -> tuple[str, str]:
    """The words that are agreed to, and their version."""
    version = PRESENT[Document.PLACE_HINTS]
    return consent_text(language(), version, Document.PLACE_HINTS), version


@blueprint.app_template_global()
def place_hint_of(action_id: UUID) -> Band | None:
    """The band that is kept of a record whose page this is."""
    with house().db.reading() as connection:
        return place_hints.hint_of(connection, action_id)


@blueprint.app_template_filter()
def band_name(band: Band) -> str:
    """A band in the words of the page's language."""
    return str(gettext(BAND_NAMES[band]))


@blueprint.app_template_global()
def far_records(actions: Sequence[tuple[Action, object, object, object]]) -> set[UUID]:
    """Which of the records of a list for staff were confirmed far from their site."""
    with house().db.reading() as connection:
        return place_hints.far_among(connection, [action.id for action, *_ in actions])


@blueprint.post("/me/place-hints")
@resident_required
def answer() -> AnyResponse:
    """Yes or no to the offer; then back to the scan."""
    back = redirect(safe_next(request.form.get("next"), url_for("privacy.centre")), 303)
    if request.form.get("wanted") != "on":
        return _remember(back, "no")
    consents.give(house(), resident().id, Document.PLACE_HINTS, request.form.get("version", ""))
    return back


# --- where a site stands -----------------------------------------------------------------------------------


@blueprint.route("/console/sites/<uuid:site_id>/position", methods=["GET", "POST"])
@staff_required(*MANAGERS)
def position(site_id: UUID) -> str | AnyResponse | tuple[str, int]:
    """Show and say where a site stands."""
    with house().db.reading_session() as session:
        site = sites.get_site(session, staff(), site_id)
    errors: dict[str, str] = {}
    if request.method == "POST":
        try:
            positions.set_position(
                house(),
                staff(),
                site_id,
                latitude=_degrees("latitude"),
                longitude=_degrees("longitude"),
                datum=request.form.get("datum", ""),
                reason=request.form.get("reason", ""),
            )
            return redirect(url_for("console.site", site_id=site_id), 303)
        except InvalidField as error:
            errors = form_errors(error)
    stored = {"latitude": site.latitude_e6, "longitude": site.longitude_e6}
    form = {name: "" if e6 is None else f"{Decimal(e6) / sites.MICRO}" for name, e6 in stored.items()}
    page = render_template(
        "activities/site_position.html",
        site=site,
        datums=DATUM_NAMES,
        form=request.form if request.method == "POST" else {**form, "datum": site.datum or ""},
        errors=errors,
    )
    return (page, 422) if errors else page


def _degrees(name: str) -> Decimal | None:
    """The degrees typed in a field; None if it is empty. Raises InvalidField."""
    text = request.form.get(name, "").strip()
    try:
        return Decimal(text) if text else None
    except InvalidOperation:
        reason = N_("请填写数字，例如 31.2283。")
        raise InvalidField(errors=[{"field": name, "reason": reason}]) from None
