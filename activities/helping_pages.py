"""The helper's desk: choose the site, scan a member's code, say what was done, record; and the next one."""

import json
from typing import Any
from uuid import UUID

from flask import Blueprint, g, redirect, render_template, request, session as form_session, url_for
from werkzeug.wrappers import Response as AnyResponse

from activities import helping, pages
from activities.members import HELPERS, read_member
from activities.sites import MANAGERS, SITE_KIND_NAMES, SiteStatus, get_site
from tanpuhui import clock, ids, signing
from tanpuhui.errors import (
    CardUnused,
    InvalidField,
    KeyReused,
    NotAuthenticated,
    Refused,
    TanpuhuiError,
)
from tanpuhui.signing import Form
from tanpuhui.web.auth import colleague, house, roles_here, staff, staff_required
from tanpuhui.web.forms import form_errors
from tanpuhui.web.offline import check_mark, staff_mark
from tanpuhui.web.problems import document, wants_json

blueprint = Blueprint("helping", __name__)

Answer = str | AnyResponse | tuple[str, int]

#: Under which name the browser remembers at which site its helper is.
_REMEMBERED = "desk"


@blueprint.get("/console/desk")
@staff_required(*HELPERS)
def desks() -> Answer:
    """The sites at which one may help. Who has only one, or chose one before, goes there at once."""
    with house().db.reading_session() as session:
        found = helping.desks(session, staff())
    remembered = form_session.get(_REMEMBERED, "")
    chosen = [site for site in found if str(site.id) == remembered] or (found if len(found) == 1 else [])
    if chosen and "all" not in request.args:
        return redirect(url_for("helping.desk", site_id=chosen[0].id))
    return render_template("activities/desks.html", sites=found, site_kinds=SITE_KIND_NAMES)


@blueprint.get("/console/desk/<uuid:site_id>")
@staff_required(*HELPERS)
def desk(site_id: UUID) -> Answer:
    """The desk of a site, ready for the next member. A phone without network shows the page it kept."""
    page = _desk_page(site_id, ids.new_id().hex)
    form_session[_REMEMBERED] = str(site_id)
    return page


def _desk_page(site_id: UUID, key: str, refusal: TanpuhuiError | None = None) -> Answer:
    with house().db.reading_session() as session:
        site = get_site(session, staff(), site_id, HELPERS)
        several = len(helping.desks(session, staff())) > 1
        kinds = helping.kinds_at(house(), session, site_id) if site.status == SiteStatus.OPEN else ()
    kind = request.form.get("kind", "") or (kinds[0].code if len(kinds) == 1 else "")
    mendable = isinstance(refusal, pages.IN_THE_FIELD)
    page = render_template(
        "activities/helping.html",
        site=site,
        several=several,
        kinds=kinds,
        kind=kind,
        key=key,
        form=request.form,
        code_pattern=signing.pattern(Form.MEMBER),
        public_url=house().settings.public_url,
        errors=form_errors(refusal, f"quantity-{kind}") if refusal and mendable else {},
        problem=document(refusal) if refusal and not mendable else None,
        blank=_blank_card(refusal),
    )
    return (page, refusal.status) if refusal else page


def _blank_card(refusal: TanpuhuiError | None) -> int | None:
    """The number of the card that nobody holds yet, if that is what was refused."""
    if not isinstance(refusal, CardUnused):
        return None
    return read_member(house().settings, request.form.get("member", ""))


@blueprint.post("/console/desk/<uuid:site_id>")
def record(site_id: UUID) -> Answer:
    """Record for a member and show what it saved. The same key again leads to the same record.

    A phone that was without network sends the form later, with the time it happened and the mark of the helper, and asks
    for JSON: then whatever is not recorded is answered as a problem document.
    """
    if wants_json() and colleague() is None:
        raise NotAuthenticated  # a phone would take the log-in for a success
    return _record(site_id)


@staff_required(*HELPERS)
def _record(site_id: UUID) -> Answer:
    typed: dict[str, Any] = {name: request.form.get(name, "").strip() for name in ("key", "member", "kind")}
    key, member, kind = typed["key"], typed["member"], typed["kind"]
    occurred_at = None
    try:
        occurred_at = pages.happened(request.form.get("occurred_at"))
        check_mark(request.form.get("staff"), staff_mark())
        answer = helping.record_for(
            house(),
            staff(),
            site_id,
            key=key,
            member=member,
            kind=kind or None,
            quantity=request.form.get(f"quantity-{kind}", "").strip() or None,
            occurred_at=occurred_at,
        )
    except KeyReused:
        g.scan_result = KeyReused.code
        done = helping.recorded_before(
            house(), staff(), site_id, member=member, key=key, occurred_at=occurred_at
        )
        if done is None:
            raise
        return redirect(url_for("helping.helped", site_id=site_id, action_id=done, before=1), 303)
    except (Refused, InvalidField) as refusal:
        g.scan_result = refusal.code
        if wants_json():
            raise
        return _desk_page(site_id, key, refusal)
    g.scan_result = "replayed" if answer.replayed else "credited"
    action_id = json.loads(answer.body)["action"]["id"]
    return redirect(url_for("helping.helped", site_id=site_id, action_id=action_id), 303)


@blueprint.get("/console/desk/<uuid:site_id>/records")
@staff_required(*HELPERS)
def recorded(site_id: UUID) -> Answer:
    """What was recorded at this desk today: what and when, not for whom."""
    with house().db.reading_session() as session:
        site, found = helping.recorded_here(session, staff(), site_id, clock.today())
        return render_template("activities/desk_records.html", site=site, found=found)


@blueprint.get("/console/desk/<uuid:site_id>/records/<uuid:action_id>")
@staff_required(*HELPERS)
def helped(site_id: UUID, action_id: UUID) -> Answer:
    """What was just recorded for a member, and what the day still allows; then the next one."""
    with house().db.reading_session() as session:
        found = helping.helped(session, staff(), site_id, action_id)
    return render_template(
        "activities/helped.html",
        found=found,
        before=bool(request.args.get("before")),
        may_void=bool(roles_here() & set(MANAGERS)),
    )
