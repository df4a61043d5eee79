"""The residents' pages of the floor: home, log-in, joining, profile, leaving."""

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
from sqlmodel import Session
from werkzeug.wrappers import Response as AnyResponse

from tanpuhui import divisions, people, sessions
from tanpuhui.divisions import Division
from tanpuhui.errors import AddressTooLong, InvalidField, InvalidInput, NotAllowed, NotFound, TanpuhuiError
from tanpuhui.identities import linked
from tanpuhui.people import CONSENT_VERSION, PHONE, PRESENT, ClassAccount, Document, Resident, consent_text
from tanpuhui.web import auth, entering
from tanpuhui.web.auth import house, person_required, resident, resident_required, safe_next
from tanpuhui.web.formatting import language
from tanpuhui.web.forms import form_errors
from tanpuhui.web.offline import resident_mark

blueprint = Blueprint("pages", __name__)

Answer = str | AnyResponse | tuple[str, int]

_YEAR = 365 * 24 * 3600


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


#: No link to a page is as long (characters); gunicorn cuts a request line at about the same.
_LONGEST = 4000


@blueprint.before_app_request
def _no_endless_address() -> None:
    if len(request.full_path) > _LONGEST and not request.path.startswith("/api/"):
        raise AddressTooLong


@blueprint.before_app_request
def _text_only() -> None:
    """Refuse NUL in an address, a query or a form: no field wants it, and a database cannot hold it as text."""
    if any("\0" in text for text in (request.view_args or {}).values() if isinstance(text, str)):
        raise NotFound
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


# --- log-in and joining ------------------------------------------------------------------------------------


@blueprint.route("/login", methods=["GET", "POST"])
def login() -> Answer:
    """Ask for the phone number and send a code; or go to another provider."""
    if request.method == "GET":
        form_session["next"] = safe_next(request.args.get("next"), form_session.get("next", ""))
        return _login_page()
    given = {"phone": request.form.get("phone", ""), "address": auth.address()}
    try:
        entering.begin(PHONE, given)
    except TanpuhuiError as error:
        return _login_page(form_errors(error, "phone")), error.status
    return redirect(url_for("pages.login_code"), 303)


def _login_page(errors: dict[str, str] | None = None) -> str:
    return render_template(
        "login.html",
        form=request.form,
        errors=errors,
        coming=form_session.get("next", "").startswith("/s/"),
        elsewhere=entering.elsewhere(),
    )


@blueprint.route("/login/code", methods=["GET", "POST"])
def login_code() -> Answer:
    """Take the code; a known resident is logged in, a new one joins."""
    pending = entering.pending(PHONE)
    if pending is None:
        return redirect(url_for("pages.login"))
    tail = pending["phone"][-4:]
    if request.method == "GET":
        return render_template("login_code.html", tail=tail)
    try:
        way = house().providers[PHONE].end(pending, request.form)
    except TanpuhuiError as error:
        page = render_template("login_code.html", tail=tail, errors=form_errors(error, "code"))
        return page, error.status
    return entering.come_in(way)


@blueprint.route("/join", methods=["GET", "POST"])
def join() -> Answer:
    """Ask for the community, the age and the consent, and nothing more.

    For a child under 14 (``?child=1``) a guardian joins, with the guardian's own number and consent.
    """
    way = entering.proven()
    if way is None:
        return redirect(url_for("pages.login"))
    errors: dict[str, str] = {}
    child, street = "child" in request.args, request.args.get("street", "")
    if request.method == "POST":
        if request.form.get("age") == "under-14" and not child:
            return redirect(url_for("pages.join", child=1, street=street), 303)
        try:
            joined = people.take_in(
                house(),
                way,
                division_code=request.form.get("division_code", ""),
                consent_version=request.form.get("consent_version", ""),
                of_age=request.form.get("age") == "14",
                guardian_version=request.form.get("guardian_version", "") if child else None,
            )
            return entering.enter(joined)
        except InvalidField as error:
            errors = form_errors(error)
    with house().db.reading_session() as session:
        places = _places(session, street)
    page = render_template(
        "join.html",
        form=request.form,
        errors=errors,
        **places,
        text=consent_text(language()),
        version=CONSENT_VERSION,
        child=child,
        guardian_text=consent_text(language(), PRESENT[Document.GUARDIAN], Document.GUARDIAN),
        guardian_version=PRESENT[Document.GUARDIAN],
        elsewhere="" if way.provider == PHONE else entering.name_of(way.provider),
    )
    return page, 422 if errors else 200


def _places(session: Session, street: str) -> dict[str, Any]:
    """What there is to choose from: the 街镇, and the communities of `street`, if it is one."""
    streets = divisions.children(session, house().settings.district_code)
    known = street in {one.code for one in streets}
    return {
        "street": street if known else "",
        "streets": _options(streets),
        "communities": _options(divisions.children(session, street)) if known else [],
    }


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
    """What belongs to the resident, and where one is logged in."""
    who = resident()
    with house().db.reading_session() as session:
        person = session.get_one(Resident, who.id)
        community = session.get_one(Division, person.division_code)
        return render_template(
            "profile.html",
            community=community,
            street=session.get_one(Division, divisions.street_of(community.code)),
            person=person,
            school_class=session.get(ClassAccount, who.id),
            acting_for_family=who.guardian is not None,
            sessions=sessions.list_open(house(), who),
            elsewhere=entering.elsewhere(),
            linked=linked(session, who.person),
        )


@blueprint.route("/me/community", methods=["GET", "POST"])
@resident_required
def community() -> Answer:
    """Choose another community, from now on."""
    errors: dict[str, str] = {}
    chosen = request.form.get("division_code", "")
    if request.method == "POST":
        try:
            people.move(house(), resident().id, chosen)
            return redirect(url_for("pages.profile"), 303)
        except InvalidField as error:
            errors = form_errors(error)
    with house().db.reading_session() as session:
        if session.get(ClassAccount, resident().id):
            raise NotAllowed
        present = session.get_one(Resident, resident().id).division_code
        street = request.args.get("street", divisions.street_of(present))
        page = render_template(
            "community.html",
            errors=errors,
            present=session.get_one(Division, present),
            present_street=session.get_one(Division, divisions.street_of(present)),
            chosen=chosen or present,
            **_places(session, street),
        )
    return page, 422 if errors else 200


@blueprint.route("/me/leave", methods=["GET", "POST"])
@person_required
def leave() -> Answer:
    """Say what leaving means; on the resident's word, close the account and delete what is personal."""
    if request.method == "GET":
        return render_template("leave.html")
    people.leave(house(), resident().id)
    form_session.clear()
    form_session["gone"] = resident_mark()
    return auth.log_out_browser(redirect(url_for("pages.left"), 303), "resident")


@blueprint.get("/left")
def left() -> Answer:
    """The account is closed. Told once, by the leaving itself, whose scans the phone is to forget."""
    if auth.visitor():
        return redirect(url_for("pages.home"))
    return render_template("left.html", gone=form_session.pop("gone", ""))


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
