"""The console's pages of gatherings: announce, change and cancel one, check people in, the screen with its code."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from flask import Blueprint, Response, jsonify, redirect, render_template, request, url_for
from flask_babel import gettext
from pydantic import ValidationError
from sqlmodel import Session
from werkzeug.wrappers import Response as AnyResponse

from activities import (
    campaigns as campaign_service,
    check_ins,
    choices,
    gathering_changes,
    gathering_list,
    gatherings,
    sign_ups,
    sites as site_service,
)
from activities.gatherings import GATHERING_KIND_NAMES, Gathering, GatheringIn
from activities.members import HELPERS
from activities.screen_pages import showing
from activities.sites import MANAGERS
from tanpuhui import clock
from tanpuhui.errors import (
    Conflict,
    InvalidField,
    Refused,
    TanpuhuiError,
)
from tanpuhui.i18n import N_
from tanpuhui.staff import INVITERS, Organisation, Role
from tanpuhui.web.api import invalid
from tanpuhui.web.auth import house, roles_here, staff, staff_required
from tanpuhui.web.forms import chosen_id, form_errors, local_moment
from tanpuhui.web.problems import document

blueprint = Blueprint("gathering_desk", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]


@blueprint.get("/console/gatherings")
@staff_required(*HELPERS)
def listed() -> Answer:
    """The gatherings of one's scope: those that come, then those that are over."""
    now = clock.now()
    with house().db.reading_session() as session:
        found = gathering_list.of_staff(session, staff(), now)
    return render_template(
        "activities/gathering_desk.html",
        found=found,
        now=now,
        opens_before=check_ins.OPENS_BEFORE,
        may_manage=bool(roles_here() & set(MANAGERS)),
    )


# --- the form ----------------------------------------------------------------------------------------------


@blueprint.route("/console/gatherings/new", methods=["GET", "POST"])
@staff_required(*MANAGERS)
def new() -> Answer:
    """Announce a gathering."""
    errors: dict[str, str] = {}
    if request.method == "POST":
        try:
            made = gatherings.create_gathering(house(), staff(), _gathering_in(), chosen=chosen_id(staff()))
            return redirect(url_for("gathering_desk.one", gathering_id=made.id), 303)
        except InvalidField as error:
            errors = form_errors(error)
    return _form_page(request.form, errors)


@blueprint.route("/console/gatherings/<uuid:gathering_id>/edit", methods=["GET", "POST"])
@staff_required(*MANAGERS)
def edit(gathering_id: UUID) -> Answer:
    """Change a gathering: anything until somebody has signed up, then the place, the times and more places."""
    with house().db.reading_session() as session:
        gathering = gatherings.managed(session, staff(), gathering_id)
        fixed = sign_ups.anybody(session, gathering_id)
    errors: dict[str, str] = {}
    if request.method == "POST":
        try:
            gathering_in = _gathering_in(gathering if fixed else None)
            gathering_changes.change(house(), staff(), gathering_id, gathering_in)
            return redirect(url_for("gathering_desk.one", gathering_id=gathering_id), 303)
        except InvalidField as error:
            errors = form_errors(error)
    return _form_page(request.form if errors else _typed(gathering), errors, gathering, fixed=fixed)


def _typed(gathering: Gathering) -> dict[str, Any]:
    """A gathering as the form shows it."""
    times = {
        name: f"{clock.local(getattr(gathering, name)):%Y-%m-%dT%H:%M}"
        for name in ("starts_at", "ends_at", "sign_up_until")
    }
    scope = f"o:{gathering.organisation_id}" if gathering.organisation_id else f"d:{gathering.division_code}"
    return {**gathering.model_dump(), **times, "scope": scope}


def _form_page(
    form: Mapping[str, Any],
    errors: dict[str, str],
    gathering: Gathering | None = None,
    *,
    fixed: bool = False,
) -> Answer:
    with house().db.reading_session() as session:
        page = render_template(
            "activities/gathering_form.html",
            form=form,
            errors=errors,
            gathering=gathering,
            fixed=fixed,
            kinds=[("", [(kind.value, gettext(name)) for kind, name in GATHERING_KIND_NAMES.items()])],
            scopes=_scopes(session),
            sites=[(str(site.id), site.name) for site in site_service.list_sites(session, staff())],
            campaigns=[
                (str(campaign.id), campaign.title)
                for campaign in campaign_service.list_campaigns(session, staff())
                if campaign.cancelled_at is None
                and (campaign.ends_at is None or campaign.ends_at > clock.now())
            ],
        )
    return page, 422 if errors else 200


def _scopes(session: Session) -> list[tuple[str, list[tuple[str, str]]]]:
    """Who may hold it: the organisations and divisions of one's scope."""
    tenants = [(f"o:{key}", name) for key, name in choices.organisations(session, staff())]
    upper = [(f"d:{code}", name) for code, name in choices.scopes(session, staff())]
    groups = [(gettext("单位"), tenants), (gettext("区、街镇"), upper)]
    if not choices.only_for_organisations(session, staff()):
        groups += [
            (street, [(f"d:{code}", name) for code, name in found])
            for street, found in choices.communities(session, staff())
        ]
    return [(heading, found) for heading, found in groups if found]


def _gathering_in(fixed: Gathering | None = None) -> GatheringIn:
    """What the form says; what is `fixed` is no part of it. Raises InvalidField."""
    form: dict[str, Any] = {
        name: text for name, text in request.form.items() if name in GatheringIn.model_fields and text.strip()
    }
    wrong = []
    for name in ("starts_at", "ends_at", "sign_up_until"):
        moment = local_moment(form.get(name, ""))
        if moment is None:
            wrong.append({"field": name, "reason": N_("请填写日期和时间。")})
        form[name] = moment
    if wrong:
        raise InvalidField(errors=wrong)
    if fixed is not None:
        form |= fixed.model_dump(include=set(GatheringIn.model_fields) - gathering_changes.STILL_OPEN)
    else:
        form |= _scope()
    try:
        return GatheringIn.model_validate(form)
    except ValidationError as error:
        raise invalid(error) from error


def _scope() -> dict[str, Any]:
    """The organisation or division that the form names. Raises InvalidField."""
    kind, _, key = request.form.get("scope", "").partition(":")
    if kind == "d" and key:
        return {"division_code": key, "organisation_id": None}
    try:
        with house().db.reading_session() as session:
            organisation = session.get(Organisation, UUID(key)) if kind == "o" else None
    except ValueError:
        organisation = None
    if organisation is None:
        raise InvalidField(errors=[{"field": "scope", "reason": N_("请选择由谁举办。")}])
    return {"division_code": organisation.division_code, "organisation_id": organisation.id}


# --- one ---------------------------------------------------------------------------------------------------


@blueprint.get("/console/gatherings/<uuid:gathering_id>")
@staff_required(*MANAGERS)
def one(gathering_id: UUID) -> Answer:
    """A gathering with how many signed up and came, as numbers only."""
    return _one(gathering_id)


def _one(gathering_id: UUID, refusal: TanpuhuiError | None = None, form_of: str = "") -> Answer:
    with house().db.reading_session() as session:
        gathering = gatherings.managed(session, staff(), gathering_id)
        seen = gathering_list.seen(session, gathering_id)
        counts = gathering_changes.counts(session, gathering)
    page = render_template(
        "activities/gathering_manage.html",
        seen=seen,
        counts=counts,
        now=clock.now(),
        opens=gathering.starts_at - check_ins.OPENS_BEFORE,
        counted_until=gathering_changes.counted_until(gathering),
        may_invite=bool(roles_here() & INVITERS[Role.HELPER]),
        form=request.form,
        errors={form_of: form_errors(refusal)} if refusal else {},
    )
    return (page, refusal.status) if refusal else page


@blueprint.post("/console/gatherings/<uuid:gathering_id>/cancel")
@staff_required(*MANAGERS)
def cancel(gathering_id: UUID) -> Answer:
    """Cancel a gathering; everybody who signed up is told why."""
    try:
        gathering_changes.cancel(house(), staff(), gathering_id, request.form.get("reason", ""))
    except (InvalidField, Conflict) as refusal:
        return _one(gathering_id, refusal, "cancel")
    return redirect(url_for("gathering_desk.one", gathering_id=gathering_id), 303)


@blueprint.post("/console/gatherings/<uuid:gathering_id>/walk-ins")
@staff_required(*MANAGERS)
def walk_ins(gathering_id: UUID) -> Answer:
    """Say how many came without an account."""
    text = request.form.get("people", "").strip()
    people = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else -1
    try:
        gathering_changes.count_walk_ins(house(), staff(), gathering_id, people)
    except (InvalidField, Conflict) as refusal:
        return _one(gathering_id, refusal, "walk_ins")
    return redirect(url_for("gathering_desk.one", gathering_id=gathering_id), 303)


# --- check-in ----------------------------------------------------------------------------------------------


@blueprint.get("/console/gatherings/<uuid:gathering_id>/check-in")
@staff_required(*HELPERS)
def check_in_page(gathering_id: UUID) -> Answer:
    """Scan the member's codes of those who come."""
    return _check_in_page(gathering_id)


def _check_in_page(
    gathering_id: UUID, arrival: check_ins.Arrival | None = None, refusal: TanpuhuiError | None = None
) -> Answer:
    with house().db.reading_session() as session:
        gathering = gatherings.managed(session, staff(), gathering_id, HELPERS)
        counts = gathering_changes.counts(session, gathering)
        seen = gathering_list.seen(session, gathering_id)
    page = render_template(
        "activities/gathering_check_in.html",
        seen=seen,
        counts=counts,
        arrival=arrival,
        problem=document(refusal) if refusal else None,
        public_url=house().settings.public_url,
        may_manage=bool(roles_here() & set(MANAGERS)),
        now=clock.now(),
        opens=gathering.starts_at - check_ins.OPENS_BEFORE,
    )
    return (page, refusal.status) if refusal else page


@blueprint.post("/console/gatherings/<uuid:gathering_id>/check-in")
@staff_required(*HELPERS)
def check_in(gathering_id: UUID) -> Answer:
    """Check the holder of a member's code in, and be ready for the next one. Sent twice, it is answered the same."""
    try:
        arrival = check_ins.check_in_member(house(), staff(), gathering_id, request.form.get("member", ""))
    except (Refused, Conflict) as refusal:
        return _check_in_page(gathering_id, refusal=refusal)
    return _check_in_page(gathering_id, arrival)


@blueprint.get("/console/gatherings/<uuid:gathering_id>/screen")
@staff_required(*HELPERS)
def screen(gathering_id: UUID) -> Answer:
    """The page that stays on a tablet at the door: a code that changes, by which people check themselves in."""
    gathering, shown = _shown(gathering_id)
    host = urlsplit(house().settings.public_url).netloc
    return render_template("activities/gathering_screen.html", gathering=gathering, host=host, **shown)


@blueprint.get("/console/gatherings/<uuid:gathering_id>/screen/now")
@staff_required(*HELPERS)
def screen_now(gathering_id: UUID) -> Response:
    """The code that is to stand there now, for the page's script."""
    return jsonify(_shown(gathering_id)[1])


def _shown(gathering_id: UUID) -> tuple[Gathering, dict[str, Any]]:
    """Raises NotFound, NotAllowed, GatheringCancelled, NotCheckInTime."""
    with house().db.reading_session() as session:
        gathering = gatherings.managed(session, staff(), gathering_id, HELPERS)
    check_ins.check_window(gathering, clock.now())
    settings = house().settings
    token = check_ins.check_in_token
    return gathering, showing(lambda moment: token(settings, gathering, moment), gettext("扫这个码签到"))
