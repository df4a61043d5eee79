"""The pages of the floor: home, log-in, joining, profile, privacy; and staff's log-in and invitations."""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, session as form_session, url_for
from flask_babel import gettext
from sqlmodel import Session, col, select
from werkzeug.wrappers import Response as AnyResponse

from tanpuhui import clock, divisions, login as logins, people, sessions, staff as staff_service
from tanpuhui.divisions import Division
from tanpuhui.errors import InvalidField, InvalidInput, NotFound, TanpuhuiError
from tanpuhui.people import CONSENT_VERSION, Consent, Resident, consent_text
from tanpuhui.staff import ROLE_NAMES, Organisation, Role, RoleGrant, Staff
from tanpuhui.web import auth
from tanpuhui.web.auth import house, resident, resident_required, safe_next, staff, staff_required
from tanpuhui.web.formatting import language
from tanpuhui.web.forms import form_errors

blueprint = Blueprint("pages", __name__)

Answer = str | AnyResponse | tuple[str, int]

_YEAR = 365 * 24 * 3600

#: How long after the one-time code a newcomer may take to read the consent and join.
_PROOF_GOOD_FOR = 30 * 60


def here() -> str:
    """The address of this page, for coming back after a change of language. A form's page is its GET."""
    query = urlencode([(key, value) for key, value in request.args.items(multi=True) if key != "next"])
    return f"{request.path}?{query}" if query else request.path


def places() -> list[tuple[str, str, str, str]]:
    """The menu of staff: (key, address, icon, text) of what their roles open."""
    roles = auth.roles_here()
    managers = {Role.ORGANISER, Role.OFFICER, Role.ADMIN}
    menu = [
        (managers, "sites", "console.sites", "place", gettext("点位")),
        (managers, "campaigns", "console.campaigns", "flag", gettext("活动")),
        ({Role.OFFICER, Role.ADMIN, Role.AUDITOR}, "bureau", "bureau.overview", "chart", gettext("统计")),
        ({Role.OFFICER, Role.ADMIN}, "parked", "bureau.parked", "queue", gettext("待处理")),
        ({Role.ADMIN}, "staff", "pages.staff_list", "people", gettext("人员")),
    ]
    return [
        (key, url_for(endpoint), icon, text) for allowed, key, endpoint, icon, text in menu if allowed & roles
    ]


@blueprint.app_context_processor
def _for_every_page() -> dict[str, Any]:
    return {"here": here, "places": places}


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


# --- staff -------------------------------------------------------------------------------------------------


@blueprint.get("/desk")
@staff_required()
def desk() -> Answer:
    """Where a member of staff begins: the first place that their roles open."""
    menu = places()
    return redirect(menu[0][1] if menu else url_for("pages.home"))


@blueprint.route("/staff/login", methods=["GET", "POST"])
def staff_login() -> Answer:
    """Log in with name and password."""
    if request.method == "GET":
        return render_template("staff/login.html", form={})
    try:
        member = staff_service.log_in(
            house(), name=request.form.get("name", "")[:80], password=request.form.get("password", "")[:400]
        )
    except TanpuhuiError as error:
        return render_template("staff/login.html", form=request.form, errors=form_errors(error)), error.status
    return _begin(member)


@blueprint.route("/staff/first/<token>", methods=["GET", "POST"])
def staff_first(token: str) -> Answer:
    """A one-time link: choose a name and a password."""
    if not staff_service.invitation_stands(house(), token):
        return render_template("staff/first.html", stands=False), 404
    if request.method == "GET":
        return render_template("staff/first.html", stands=True, form={})
    try:
        member = staff_service.accept(
            house(), token, name=request.form.get("name", ""), password=request.form.get("password", "")
        )
    except InvalidField as error:
        page = render_template("staff/first.html", stands=True, form=request.form, errors=form_errors(error))
        return page, error.status
    return _begin(member)


def _begin(member: Staff) -> AnyResponse:
    target = safe_next(request.args.get("next"), url_for("pages.desk"))
    token = sessions.new_session(house(), kind="staff", subject_id=member.id)
    return auth.log_in_browser(redirect(target, 303), token, "staff")


@blueprint.post("/staff/logout")
def staff_log_out() -> Answer:
    """End the staff session of this browser."""
    return auth.log_out_browser(redirect(url_for("pages.staff_login"), 303), "staff")


@blueprint.get("/console/staff")
@staff_required(Role.ADMIN)
def staff_list() -> Answer:
    """Who works here, with which roles; and the form that invites somebody."""
    return _staff_page()


@blueprint.post("/console/staff")
@staff_required(Role.ADMIN)
def invite() -> Answer:
    """Make a one-time link for a role and a scope; it is shown once, on the answer itself."""
    try:
        token = staff_service.invite(house(), [_wanted_grant()], by=staff())
    except TanpuhuiError as error:
        return _staff_page(form_errors(error)), error.status
    address = f"{house().settings.public_url}{url_for('pages.staff_first', token=token)}"
    return _staff_page(invitation=address)


def _wanted_grant() -> dict[str, Any]:
    try:
        role = Role(request.form.get("role", ""))
        kind, _, scope = request.form.get("scope", "").partition(":")
        if kind == "organisation":
            return staff_service.grant(role, organisation_id=UUID(scope))
    except ValueError:
        raise NotFound from None
    return staff_service.grant(role, division_code=scope)


def _staff_page(errors: dict[str, str] | None = None, invitation: str = "") -> str:
    with house().db.reading_session() as session:
        names = {division.code: division.name for division in session.exec(select(Division)).all()}
        organisations = session.exec(select(Organisation).order_by(Organisation.name)).all()
        tenants = {organisation.id: organisation.name for organisation in organisations}
        district = house().settings.district_code
        streets = _options(divisions.children(session, district))
        return render_template(
            "staff/staff.html",
            form=request.form,
            errors=errors,
            invitation=invitation,
            members=_members(session, names, tenants),
            organisations=organisations,
            roles=[(role.value, gettext(name)) for role, name in ROLE_NAMES.items()],
            scopes=[
                (
                    gettext("区、街道、镇"),
                    [(f"division:{code}", name) for code, name in [(district, names[district]), *streets]],
                ),
                (gettext("单位"), [(f"organisation:{key}", name) for key, name in tenants.items()]),
            ],
        )


def _members(session: Session, names: dict[str, str], tenants: dict[UUID, str]) -> list[dict[str, Any]]:
    """Staff with their grants as people read them, by name."""
    grants: dict[UUID, list[str]] = {}
    for given in session.exec(select(RoleGrant)).all():
        scope = (
            tenants.get(given.organisation_id, "")
            if given.organisation_id
            else names.get(given.division_code or "", "")
        )
        grants.setdefault(given.staff_id, []).append(f"{gettext(ROLE_NAMES[given.role])} · {scope}")
    members = session.exec(select(Staff).where(col(Staff.active).is_(True)).order_by(Staff.name)).all()
    return [{"name": member.name, "grants": grants.get(member.id, [])} for member in members]
