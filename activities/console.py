"""The organisers' pages: sites, their codes and posters, and recent records."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask_babel import gettext
from pydantic import ValidationError
from sqlmodel import Session, col, select
from werkzeug.wrappers import Response as AnyResponse

from activities import (
    choices,
    codes,
    records,
    review,
    reviews,
    sites as site_service,
)
from activities.catalogue import ActionKind
from activities.code_pages import PER_PDF, after_issuing
from activities.codes import Code, CodeKind
from activities.members import HELPERS
from activities.sites import MANAGERS, RECOVERY_LEVEL_NAMES, SITE_KIND_NAMES, SiteIn, SiteStatus
from tanpuhui import clock, signing
from tanpuhui.divisions import Division
from tanpuhui.errors import InvalidField, NotFound, TanpuhuiError, Unprintable
from tanpuhui.i18n import N_
from tanpuhui.staff import Organisation
from tanpuhui.web.api import invalid
from tanpuhui.web.auth import house, roles_here, staff, staff_required
from tanpuhui.web.formatting import name_of
from tanpuhui.web.forms import chosen_id, form_errors

blueprint = Blueprint("console", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]


@blueprint.get("/console")
@staff_required(*HELPERS)
def sites() -> Answer:
    """The sites of one's scope, and the latest records there; for those who only help, the desk."""
    if not roles_here() & set(MANAGERS):
        return redirect(url_for("helping.desks"))
    with house().db.reading_session() as session:
        found = site_service.list_sites(session, staff())
        return render_template(
            "activities/sites.html",
            sites=found,
            site_kinds=SITE_KIND_NAMES,
            divisions=_names(session, [site.division_code for site in found]),
            actions=review.recent_actions(session, staff()),
        )


# --- a site ------------------------------------------------------------------------------------------------


@blueprint.route("/console/sites/new", methods=["GET", "POST"])
@staff_required(*MANAGERS)
def new_site() -> Answer:
    """Register a site; its first code comes with it."""
    errors: dict[str, str] = {}
    if request.method == "POST":
        try:
            site_in = _site_in()
            site = site_service.create_site(house(), staff(), site_in, chosen=chosen_id(staff()))
            if site_in.kinds:
                codes.first_code(house(), staff(), site.id)
            return redirect(url_for("console.site", site_id=site.id), 303)
        except InvalidField as error:
            errors = form_errors(error)
    with house().db.reading_session() as session:
        kinds = session.exec(select(ActionKind).where(col(ActionKind.enabled).is_(True))).all()
        page = render_template(
            "activities/site_new.html",
            form=request.form,
            errors=errors,
            site_kinds=[(kind.value, gettext(name)) for kind, name in SITE_KIND_NAMES.items()],
            levels=[(level.value, gettext(name)) for level, name in RECOVERY_LEVEL_NAMES.items()],
            communities=choices.communities(session, staff()),
            organisations=choices.organisations(session, staff()),
            only_for_organisations=choices.only_for_organisations(session, staff()),
            kinds=[(kind.code, name_of(kind), "") for kind in kinds],
        )
    return page, 422 if errors else 200


def _site_in() -> SiteIn:
    form = {name: text for name, text in request.form.items() if name in SiteIn.model_fields and text}
    try:
        return SiteIn.model_validate({**form, "kinds": request.form.getlist("kinds")})
    except ValidationError as error:
        raise invalid(error) from error


@blueprint.get("/console/sites/<uuid:site_id>")
@staff_required(*MANAGERS)
def site(site_id: UUID) -> Answer:
    """A site with its codes and the latest records there."""
    return _site_page(site_id)


def _site_page(site_id: UUID, error: InvalidField | None = None, form_of: str = "") -> Answer:
    """The page of a site; `form_of` names the form on it that `error` belongs to."""
    with house().db.reading_session() as session:
        found = site_service.get_site(session, staff(), site_id)
        used = codes.used_of(session, site_id)
        shown = [
            {**_shown(code), "used": used.get(code.id, 0)}
            for code in codes.codes_of(session, site_id)
            if code.kind is not CodeKind.DESK
        ]
        page = render_template(
            "activities/site.html",
            site=found,
            site_kinds=SITE_KIND_NAMES,
            division=_names(session, [found.division_code]).get(found.division_code, ""),
            organisation=session.get(Organisation, found.organisation_id) if found.organisation_id else None,
            kinds=site_service.kinds_of(session, site_id),
            codes=shown,
            code_kinds=codes.KIND_NAMES,
            per_pdf=PER_PDF,
            fresh=next((code for code in shown if str(code["id"]) == request.args.get("fresh")), None),
            actions=review.recent_actions(session, staff(), site_id=site_id),
            form=request.form,
            errors={form_of: form_errors(error)} if error else {},
        )
    return (page, error.status) if error else page


def _shown(code: Code) -> dict[str, Any]:
    """A code as its row shows it: that of a place has one token, the others have many."""
    token = codes.token_of(house().settings, code.id) if code.kind is CodeKind.PLACE else ""
    return {**code.model_dump(), "token": token, "typed": signing.typed_form(token)}


@blueprint.post("/console/sites/<uuid:site_id>/status")
@staff_required(*MANAGERS)
def set_status(site_id: UUID) -> Answer:
    """Pause a site, or open it again."""
    try:
        status = SiteStatus(request.form.get("status", ""))
    except ValueError:
        raise NotFound from None
    try:
        site_service.set_status(house(), staff(), site_id, status, request.form.get("reason", ""))
    except InvalidField as error:
        return _site_page(site_id, error, "status")
    return redirect(url_for("console.site", site_id=site_id), 303)


# --- codes -------------------------------------------------------------------------------------------------


@blueprint.post("/console/sites/<uuid:site_id>/codes")
@staff_required(*MANAGERS)
def issue(site_id: UUID) -> Answer:
    """Issue a code: a printed one, or with a validity one that staff show."""
    try:
        first, last = (
            _moment(name) if request.form.get(name) else None for name in ("valid_from", "valid_until")
        )
        codes.issue_code(
            house(), staff(), site_id, valid_from=first, valid_until=last, chosen=chosen_id(staff())
        )
    except InvalidField as error:
        return _site_page(site_id, error, "staffed")
    return redirect(url_for("console.site", site_id=site_id), 303)


@blueprint.post("/console/codes/<int(max=1099511627775):code_id>/reissue")
@staff_required(*MANAGERS)
def reissue(code_id: int) -> Answer:
    """Withdraw a code and issue a new one for the same site."""
    try:
        fresh = codes.replace_code(house(), staff(), code_id, request.form.get("reason", ""))
    except InvalidField as error:
        with house().db.reading_session() as session:
            code = session.get(Code, code_id)
        if code is None:
            raise NotFound from None
        return _site_page(code.site_id, error, f"code-{code_id}")
    return redirect(after_issuing(fresh), 303)


@blueprint.get("/console/codes/<int(max=1099511627775):code_id>/poster.<any(pdf, png):form>")
@staff_required(*MANAGERS)
def poster(code_id: int, form: str) -> Response:
    """The poster of a code, to print."""
    with house().db.reading_session() as session:
        code = session.get(Code, code_id)
        if code is None or code.revoked_at is not None or code.kind is not CodeKind.PLACE:
            raise NotFound
        found = site_service.get_site(session, staff(), code.site_id)
        kinds = site_service.kinds_of(session, found.id)
    from activities.paper import poster_of  # late: the type-setting would slow every start
    from tanpuhui.pdf import DoesNotFit, MissingGlyphs
    from tanpuhui.posters import poster_pdf, poster_png

    sheet = poster_of(house().settings, found, kinds, code_id)
    try:
        body = poster_pdf(sheet) if form == "pdf" else poster_png(sheet)
    except MissingGlyphs as error:
        raise Unprintable(characters=" ".join(error.characters)) from error
    except DoesNotFit as error:
        raise Unprintable(characters=sheet.site_name) from error
    kind = "application/pdf" if form == "pdf" else "image/png"
    name = f"tanpuhui-{signing.typed_form(codes.token_of(house().settings, code_id))}.{form}"
    return Response(body, mimetype=kind, headers={"Content-Disposition": f'inline; filename="{name}"'})


# --- records -----------------------------------------------------------------------------------------------


@blueprint.route("/console/actions/<uuid:action_id>/void", methods=["GET", "POST"])
@staff_required(*MANAGERS)
def void(action_id: UUID) -> Answer:
    """Take a record back, with a reason that the resident reads."""
    with house().db.reading_session() as session:
        action, voided, where = records.managed_action(session, staff(), action_id)
        trace = records.sum_of(session, action)
        unconfirmed = reviews.unconfirmed(session, action_id)
    errors: dict[str, str] = {}
    status = 200
    if request.method == "POST":
        try:
            review.void_action(house(), staff(), action_id, request.form.get("reason", ""))
            return redirect(url_for("console.site", site_id=where.id), 303)
        except TanpuhuiError as error:
            errors, status = form_errors(error), error.status
    page = render_template(
        "activities/void.html",
        action=action,
        voided=voided,
        unconfirmed=unconfirmed,
        site=where,
        trace=trace,
        form=request.form,
        errors=errors,
    )
    return page, status


# --- small things ------------------------------------------------------------------------------------------


def _moment(name: str) -> datetime:
    """A form's local time as a moment. Raises InvalidField."""
    try:
        found = datetime.fromisoformat(request.form.get(name, ""))
    except ValueError:
        found = datetime.min  # noqa: DTZ901 - refused below
    if not 2000 <= found.year < 3000:
        raise InvalidField(errors=[{"field": name, "reason": N_("请填写日期和时间。")}])
    return found.replace(tzinfo=clock.SHANGHAI)


def _names(session: Session, wanted: Sequence[str]) -> dict[str, str]:
    found = session.exec(select(Division).where(col(Division.code).in_(set(wanted)))).all()
    return {division.code: division.name for division in found}
