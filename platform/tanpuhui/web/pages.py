"""The residents' pages of the floor: home, log-in, joining, profile, leaving, privacy."""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from flask import (
    Blueprint,
    current_app,
    redirect,
    render_template,
    request,
    session as form_session,
    url_for,
)
from sqlmodel import col, select
from werkzeug.wrappers import Response as AnyResponse

from tanpuhui import clock, divisions, login as logins, people, sessions
from tanpuhui.divisions import Division
from tanpuhui.errors import InvalidField, InvalidInput, NotFound, TanpuhuiError
from tanpuhui.people import CONSENT_VERSION, Consent, Resident, consent_text
from tanpuhui.web import auth
from tanpuhui.web.auth import house, resident, resident_required, safe_next
from tanpuhui.web.formatting import language
from tanpuhui.web.forms import form_errors

blueprint = Blueprint("pages", __name__)

Answer = str | AnyResponse | tuple[str, int]

_YEAR = 365 * 24 * 3600

#: How long after the one-time code a newcomer may take to read the consent and join.
_PROOF_GOOD_FOR = 30 * 60


def here() -> str:
    """The address of this page, for coming back after a change of language.

    That of the nearest page above, for an address that only takes forms.
    """
    adapter, path = current_app.create_url_adapter(request), request.path
    while adapter is not None and path != "/" and not adapter.test(path, method="GET"):
        path = path.rpartition("/")[0] or "/"
    query = urlencode([(key, value) for key, value in request.args.items(multi=True) if key != "next"])
    return f"{path}?{query}" if query and path == request.path else path


@blueprint.app_context_processor
def _for_every_page() -> dict[str, Any]:
    return {"here": here}


@blueprint.before_app_request
def _text_only() -> None:
    """Refuse NUL in a form or a query: no field wants it, and a database cannot hold it as text."""
    if any("\0" in text for text in request.args.values()) or (
        request.mimetype in _FORMS and any("\0" in text for text in request.form.values())
    ):
        raise InvalidInput


_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


# --- everybody ---------------------------------------------------------------------------------------------


@blueprint.get("/")
def home() -> Answer:
    """The first page."""
    return render_template("home.html")


@blueprint.get("/language/<any(zh, en):wanted>")
def change_language(wanted: str) -> Answer:
    """Remember the language and come back."""
    from tanpuhui.web import LANGUAGE_COOKIE

    answer = redirect(safe_next(request.args.get("next"), url_for("pages.home")))
    answer.set_cookie(LANGUAGE_COOKIE, wanted, max_age=_YEAR, samesite="Lax", httponly=True)
    return answer


@blueprint.get("/privacy")
def privacy() -> Answer:
    """The text that consent is bound to, by version."""
    version = request.args.get("version", CONSENT_VERSION)
    return render_template("privacy.html", text=consent_text(language(), version))


# --- log-in and joining ------------------------------------------------------------------------------------


@blueprint.route("/login", methods=["GET", "POST"])
def login() -> Answer:
    """Ask for the phone number and send a code."""
    if request.method == "GET":
        form_session["next"] = safe_next(request.args.get("next"), form_session.get("next", ""))
        return render_template("login.html", form={}, coming=form_session["next"].startswith("/s/"))
    phone = request.form.get("phone", "")
    try:
        logins.request_code(house(), phone=phone, address=auth.address())
    except TanpuhuiError as error:
        page = render_template(
            "login.html",
            form=request.form,
            errors=form_errors(error, "phone"),
            coming=form_session.get("next", "").startswith("/s/"),
        )
        return page, error.status
    form_session["phone"] = people.normalise_phone(phone)
    form_session.pop("proven", None)
    return redirect(url_for("pages.login_code"), 303)


@blueprint.route("/login/code", methods=["GET", "POST"])
def login_code() -> Answer:
    """Take the code; a known resident is logged in, a new one joins."""
    phone = form_session.get("phone")
    if not phone:
        return redirect(url_for("pages.login"))
    if request.method == "GET":
        return render_template("login_code.html", tail=phone[-4:])
    try:
        logins.check_code(house(), phone=phone, code=request.form.get("code", ""))
    except TanpuhuiError as error:
        page = render_template("login_code.html", tail=phone[-4:], errors=form_errors(error, "code"))
        return page, error.status
    with house().db.reading_session() as session:
        known = people.find_by_phone(session, house().settings, phone)
    if known is None:
        form_session["proven"] = [phone, clock.now().timestamp()]
        return redirect(url_for("pages.join"), 303)
    return _enter(known)


@blueprint.route("/join", methods=["GET", "POST"])
def join() -> Answer:
    """Ask for the community and the consent, and nothing more."""
    phone = _proven_phone()
    if phone is None:
        return redirect(url_for("pages.login"))
    errors: dict[str, str] = {}
    if request.method == "POST":
        try:
            joined = people.join(
                house(),
                phone=phone,
                division_code=request.form.get("division_code", ""),
                consent_version=request.form.get("consent_version", ""),
            )
            return _enter(joined)
        except InvalidField as error:
            errors = form_errors(error)
    street = request.args.get("street", "")
    with house().db.reading_session() as session:
        streets = _options(divisions.children(session, house().settings.district_code))
        communities = (
            _options(divisions.children(session, street)) if len(street) == 9 and street.isdigit() else []
        )
    page = render_template(
        "join.html",
        form=request.form,
        errors=errors,
        street=street if communities else "",
        streets=streets,
        communities=communities,
        text=consent_text(language()),
        version=CONSENT_VERSION,
    )
    return page, 422 if errors else 200


def _proven_phone() -> str | None:
    """The number that this browser proved a short while ago, by a one-time code."""
    phone, proven_at = form_session.get("proven") or (None, 0)
    return phone if clock.now().timestamp() - proven_at < _PROOF_GOOD_FOR else None


def _enter(person: Resident) -> AnyResponse:
    """Log a resident in with this browser and go on to where they were going."""
    target = safe_next(form_session.get("next"), url_for("pages.home"))
    for key in ("phone", "proven", "next"):
        form_session.pop(key, None)
    token = sessions.new_session(house(), kind="resident", subject_id=person.id)
    return auth.log_in_browser(redirect(target, 303), token, "resident")


def _options(found: list[Division]) -> list[tuple[str, str]]:
    return [(division.code, division.name) for division in found]


@blueprint.post("/logout")
def log_out() -> Answer:
    """End this browser's session."""
    return auth.log_out_browser(redirect(url_for("pages.home"), 303), "resident")


# --- the resident's own ------------------------------------------------------------------------------------


@blueprint.get("/me")
@resident_required
def profile() -> Answer:
    """What is held, and where one is logged in."""
    who = resident()
    with house().db.reading_session() as session:
        person = session.get_one(Resident, who.id)
        community = session.get_one(Division, person.division_code)
        consents = session.exec(
            select(Consent).where(Consent.resident_id == who.id).order_by(col(Consent.given_at).desc())
        ).all()
        return render_template(
            "profile.html",
            community=community,
            street=session.get_one(Division, divisions.street_of(community.code)),
            consents=consents,
            sessions=sessions.list_open(house(), who),
        )


@blueprint.route("/me/leave", methods=["GET", "POST"])
@resident_required
def leave() -> Answer:
    """Say what leaving means; on the resident's word, close the account and delete what is personal."""
    if request.method == "GET":
        return render_template("leave.html")
    people.leave(house(), resident().id)
    form_session.clear()
    return auth.log_out_browser(redirect(url_for("pages.left"), 303), "resident")


@blueprint.get("/left")
def left() -> Answer:
    """The account is closed."""
    if auth.visitor():
        return redirect(url_for("pages.home"))
    return render_template("left.html")


@blueprint.post("/me/sessions/end")
@resident_required
def end_session() -> Answer:
    """End one of one's own sessions."""
    try:
        wanted = UUID(request.form.get("session", ""))
    except ValueError:
        raise NotFound from None
    sessions.end_session(house(), resident(), wanted)
    return redirect(url_for("pages.profile"), 303)
