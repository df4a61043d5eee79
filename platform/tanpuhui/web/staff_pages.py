"""Staff's own pages: log-in, one-time links, and who works here for which organisation."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask_babel import gettext
from sqlmodel import Session, col, select
from werkzeug.wrappers import Response as AnyResponse

from tanpuhui import sessions, staff as staff_service
from tanpuhui.divisions import Division, DivisionLevel
from tanpuhui.errors import InvalidField, NotFound, TanpuhuiError
from tanpuhui.staff import ROLE_NAMES, Organisation, Role, RoleGrant, Staff
from tanpuhui.web import auth
from tanpuhui.web.auth import house, safe_next, staff, staff_required
from tanpuhui.web.forms import form_errors
from tanpuhui.web.staff_menu import menu

blueprint = Blueprint("staff", __name__)

Answer = str | AnyResponse | tuple[str, int]

HELPERS_INVITED_BY = tuple(staff_service.INVITERS[Role.HELPER])


@blueprint.app_context_processor
def _for_every_page() -> dict[str, Any]:
    return {"staff_menu": menu}


@blueprint.get("/desk")
@staff_required()
def desk() -> Answer:
    """Where a member of staff begins: the first entry of their daily work."""
    bar = menu().bar
    return redirect(bar[0].href if bar else url_for("pages.home"))


# --- log-in ------------------------------------------------------------------------------------------------


@blueprint.route("/staff/login", methods=["GET", "POST"])
def login() -> Answer:
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
def first(token: str) -> Answer:
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
    target = safe_next(request.args.get("next"), url_for("staff.desk"))
    token = sessions.new_session(house(), kind="staff", subject_id=member.id)
    return auth.log_in_browser(redirect(target, 303), token, "staff")


@blueprint.post("/staff/logout")
def log_out() -> Answer:
    """End the staff session of this browser."""
    return auth.log_out_browser(redirect(url_for("staff.login"), 303), "staff")


# --- who works here ----------------------------------------------------------------------------------------


@blueprint.get("/console/staff")
@staff_required(Role.ADMIN)
def members() -> Answer:
    """Who works in one's scope, with which roles; the forms that invite somebody and add an organisation."""
    return _members_page()


@blueprint.post("/console/staff")
@staff_required(Role.ADMIN)
def invite() -> Answer:
    """Make a one-time link for a role and a scope; it is shown once, on the answer itself."""
    try:
        token = staff_service.invite(house(), [_wanted_grant()], by=staff())
    except TanpuhuiError as error:
        errors = {_FIELDS.get(field, field): said for field, said in form_errors(error).items()}
        return _members_page(errors), error.status
    address = f"{house().settings.public_url}{url_for('staff.first', token=token)}"
    return _members_page(invitation=address)


#: What the service calls grants is the form's scope.
_FIELDS = {"grants": "scope"}


def _wanted_grant(role: Role | None = None) -> dict[str, Any]:
    try:
        role = role or Role(request.form.get("role", ""))
        kind, _, scope = request.form.get("scope", "").partition(":")
        if kind == "organisation":
            return staff_service.grant(role, organisation_id=UUID(scope))
    except ValueError:
        raise NotFound from None
    return staff_service.grant(role, division_code=scope)


@blueprint.get("/console/helpers")
@staff_required(*HELPERS_INVITED_BY)
def helpers() -> Answer:
    """Who helps in one's scope, and the form that invites one more."""
    return _helpers_page()


@blueprint.post("/console/helpers")
@staff_required(*HELPERS_INVITED_BY)
def invite_helper() -> Answer:
    """Make a one-time link for a helper; it is shown once, on the answer itself."""
    try:
        token = staff_service.invite(house(), [_wanted_grant(Role.HELPER)], by=staff())
    except InvalidField as error:
        errors = {_FIELDS.get(field, field): said for field, said in form_errors(error).items()}
        return _helpers_page(errors), error.status
    return _helpers_page(invitation=f"{house().settings.public_url}{url_for('staff.first', token=token)}")


def _helpers_page(errors: dict[str, str] | None = None, invitation: str = "") -> str:
    with house().db.reading_session() as session:
        mine = _within(session, *HELPERS_INVITED_BY)
        divisions = session.exec(select(Division).order_by(Division.code)).all()
        names = {one.code: one.name for one in divisions}
        within = [one for one in divisions if mine(one.code, None)]
        regions = [one for one in within if one.level != DivisionLevel.COMMUNITY] or within
        tenants = session.exec(select(Organisation).order_by(Organisation.name)).all()
        places = [(f"division:{one.code}", one.name) for one in regions]
        ours = [(f"organisation:{one.id}", one.name) for one in tenants if mine(one.division_code, one.id)]
        groups = [(gettext("单位"), ours), (gettext("区、街道、镇"), places)]
        return render_template(
            "staff/helpers.html",
            form=request.form or request.args,
            errors=errors,
            invitation=invitation,
            members=_members(session, names, mine, Role.HELPER),
            scopes=[(heading, options) for heading, options in groups if options],
        )


@blueprint.post("/console/staff/organisations")
@staff_required(Role.ADMIN)
def add_organisation() -> Answer:
    """Take an organisation in."""
    form = {field: request.form.get(field, "") for field in ("name", "division_code")}
    try:
        staff_service.create_organisation(house(), staff(), **form)
    except TanpuhuiError as error:
        return _members_page(form_errors(error)), error.status
    return redirect(url_for("staff.members", _anchor="organisations"), 303)


def _members_page(errors: dict[str, str] | None = None, invitation: str = "") -> str:
    with house().db.reading_session() as session:
        mine = _within(session, Role.ADMIN)
        divisions = session.exec(select(Division).order_by(Division.code)).all()
        names = {division.code: division.name for division in divisions}
        organisations = [
            organisation
            for organisation in session.exec(select(Organisation).order_by(Organisation.name)).all()
            if mine(organisation.division_code, organisation.id)
        ]
        regions = [
            (division.code, division.name)
            for division in divisions
            if division.level != DivisionLevel.COMMUNITY and mine(division.code, None)
        ]
        return render_template(
            "staff/staff.html",
            form=request.form,
            errors=errors,
            invitation=invitation,
            members=_members(session, names, mine),
            organisations=organisations,
            names=names,
            regions=regions,
            roles=[(role.value, gettext(name)) for role, name in ROLE_NAMES.items()],
            scopes=[
                (gettext("区、街道、镇"), [(f"division:{code}", name) for code, name in regions]),
                (gettext("单位"), [(f"organisation:{one.id}", one.name) for one in organisations]),
            ],
        )


Within = Callable[[str | None, UUID | None], bool]


def _within(session: Session, *roles: Role) -> Within:
    """Whether a division or an organisation lies in the scope of who is asking, with one of `roles`."""
    grants = [given for given in staff_service.grants_of(session, staff()) if given.role in roles]

    def within(division_code: str | None, organisation_id: UUID | None) -> bool:
        return any(
            staff_service.covers(given, division_code=division_code, organisation_id=organisation_id)
            for given in grants
        )

    return within


def _members(
    session: Session, names: dict[str, str], mine: Within, role: Role | None = None
) -> list[dict[str, Any]]:
    """Staff of one's scope by name, each with their grants (of one role, or any) as people read them."""
    tenants = {one.id: one for one in session.exec(select(Organisation)).all()}
    grants: dict[UUID, list[str]] = {}
    for given in session.exec(select(RoleGrant)).all():
        organisation = tenants.get(given.organisation_id) if given.organisation_id else None
        division = organisation.division_code if organisation else given.division_code
        if mine(division, given.organisation_id) and (role is None or given.role is role):
            scope = organisation.name if organisation else names.get(division or "", "")
            grants.setdefault(given.staff_id, []).append(f"{gettext(ROLE_NAMES[given.role])} · {scope}")
    found = session.exec(select(Staff).where(col(Staff.active).is_(True)).order_by(Staff.name)).all()
    return [{"name": member.name, "grants": grants[member.id]} for member in found if member.id in grants]
