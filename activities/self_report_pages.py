"""Self-reports: the page on which residents report, and the one on which an officer opens and closes it."""

import json
from datetime import datetime
from typing import Any

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from activities import self_reports
from activities.codes import EVIDENCE, CodeKind
from activities.drafts import PHOTO
from activities.pages import IN_THE_FIELD, known, recorded_by
from activities.photos import Photo
from activities.pictures import read_photo
from activities.scans import Desk
from activities.self_reports import KEEPERS
from activities.sites import SiteStatus
from tanpuhui import clock, idempotency, ids
from tanpuhui.errors import (
    InvalidField,
    KeyReused,
    NoPhotoHere,
    PhotoBlank,
    PhotoSeenBefore,
    PhotoTooLarge,
    PhotoUnreadable,
    TanpuhuiError,
    TimeInFuture,
    TimeTooOld,
)
from tanpuhui.i18n import N_
from tanpuhui.people import AccountKind, Resident
from tanpuhui.web.auth import house, resident, resident_required, staff, staff_required
from tanpuhui.web.forms import form_errors

blueprint = Blueprint("self_reports", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]

#: The largest form that is read at all.
MOST_BODY = 8 * 1024 * 1024

#: Which field of the form a refusal belongs to.
_FIELDS: dict[tuple[type[TanpuhuiError], ...], str] = {
    IN_THE_FIELD: "quantity",
    (TimeInFuture, TimeTooOld, InvalidField): "happened",
    (NoPhotoHere, PhotoBlank, PhotoSeenBefore, PhotoTooLarge, PhotoUnreadable): "photo",
}


@blueprint.get("/declare")
@resident_required
def page() -> Answer:
    """What may be reported, and the form of one kind. Records nothing; the key in the address makes a second tap harmless."""
    key, kind = request.args.get("key", ""), request.args.get("kind", "")
    if kind and not key:
        return redirect(url_for("self_reports.page", kind=kind, key=ids.new_id().hex))
    if key:
        idempotency.check_key(key)
        if done := recorded_by(key):
            return redirect(done)
    return _page(key, kind, {})


def _page(key: str, kind: str, typed: dict[str, str], error: TanpuhuiError | None = None) -> Answer:
    who = resident()
    offer = self_reports.offer(house(), who.id, shares=who.family is not None)
    with house().db.reading_session() as session:
        may_add_photo = session.get_one(Resident, who.id).account_kind is AccountKind.PERSON
    found = next((one for one in offer.kinds if one.code == kind), None)
    field = next((field for errors, field in _FIELDS.items() if isinstance(error, errors)), "")
    shown = render_template(
        "activities/self_report.html",
        offer=offer,
        kind=found,
        key=key,
        typed=typed,
        factor=known().factor_on(found.code, clock.today()) if found else None,
        tiers=(EVIDENCE[CodeKind.SELF], PHOTO),
        earliest=_local(self_reports.earliest(house())),
        latest=_local(clock.now()),
        may_add_photo=may_add_photo,
        errors=form_errors(error, field) if error else {},
    )
    return (shown, error.status) if error else shown


def _local(moment: datetime) -> str:
    """A moment as the browser's field for one writes it."""
    return moment.astimezone(clock.SHANGHAI).strftime("%Y-%m-%dT%H:%M")


@blueprint.post("/declare")
@resident_required
def report() -> Answer:
    """Record what was reported. The same key again leads to the same record."""
    names = "key", "kind", "quantity", "happened"
    typed = {name: request.form.get(name, "").strip() for name in names}
    try:
        asked = self_reports.read_report(
            house(),
            who=resident().id,
            key=typed["key"],
            kind=typed["kind"],
            quantity=typed["quantity"] or None,
            occurred_at=_happened(typed["happened"]),
            photo=_photo(),
        )
        answer = house().part(Desk).record(asked)
    except KeyReused:
        return redirect(url_for("self_reports.page", kind=typed["kind"], key=typed["key"]), 303)
    except tuple(error for errors in _FIELDS for error in errors) as refusal:
        g.scan_result = refusal.code
        return _page(typed["key"], typed["kind"], typed, refusal)
    except TanpuhuiError as refusal:
        g.scan_result = refusal.code
        raise
    g.scan_result = "replayed" if answer.replayed else "credited"
    return redirect(url_for("activities.result", action_id=json.loads(answer.body)["action"]["id"]), 303)


report.most_body = MOST_BODY  # type: ignore[attr-defined]


def _happened(text: str) -> datetime | None:
    """The time that was chosen, of Shanghai; None for now. Raises InvalidField."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=clock.SHANGHAI) if text else None
    except ValueError:
        raise InvalidField(errors=[{"field": "happened", "reason": N_("时间的格式不正确。")}]) from None


def _photo() -> Photo | None:
    """The photo that was offered, if one was."""
    sent = request.files.get("photo")
    return read_photo(sent.read()) if sent and sent.filename else None


@blueprint.route("/bureau/self-reports", methods=["GET", "POST"])
@staff_required(*KEEPERS)
def desk() -> Answer:
    """Open or close self-reports of the district, and say of which kinds."""
    errors: dict[str, str] = {}
    if request.method == "POST":
        try:
            self_reports.set_desk(
                house(),
                staff(),
                request.form.getlist("kinds"),
                is_open=request.form.get("state") == SiteStatus.OPEN.value,
                reason=request.form.get("reason", ""),
            )
            return redirect(url_for("self_reports.desk"), 303)
        except InvalidField as error:
            errors = form_errors(error)
    with house().db.reading_session() as session:
        found = self_reports.desk_of(house(), session)
        shown: dict[str, Any] = {
            "is_open": found is not None and found.status is SiteStatus.OPEN,
            "kinds": self_reports.allowed_kinds(house(), session),
            "chosen": self_reports.ticked(session, found),
            "state": found.status.value if found else SiteStatus.OPEN.value,
        }
    if errors:
        shown |= {"chosen": set(request.form.getlist("kinds")), "state": request.form.get("state")}
    page = render_template(
        "activities/self_report_desk.html",
        **shown,
        form=request.form,
        errors=errors,
    )
    return (page, 422) if errors else page
