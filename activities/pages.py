"""The residents' pages of this room: scan, confirm, result."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from flask import Blueprint, g, redirect, render_template, request, url_for
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.engine import Connection
from sqlmodel import Session
from werkzeug.wrappers import Response as AnyResponse

from activities import (
    attempts,
    codes,
    opened,
    place_hint_pages,
    plantings,
    records,
    replacing,
    review,
    reviews,
)
from activities.actions import Action, ActionVoid
from activities.bands import read_text
from activities.catalogue import ActionKind, EvidenceTier
from activities.check_ins import is_check_in
from activities.device_cookie import note_device
from activities.known import Knowledge, Known
from activities.quantify.factors import POLLUTANTS
from activities.scans import Desk, Preview, preview, read_request
from activities.sites import SITE_KIND_NAMES, Site
from activities.trees import Grove, groves_of
from tanpuhui import clock, idempotency, ids, signing
from tanpuhui.errors import (
    CodeInvalid,
    GatheringCodeHere,
    InvalidField,
    KeyReused,
    MemberCodeHere,
    MoreTreesThanPlanted,
    NoFamily,
    NotAuthenticated,
    NotFound,
    QuantityMissing,
    QuantityNotANumber,
    QuantityNotPositive,
    QuantityOutOfRange,
    QuantityTooPrecise,
    Refused,
    TanpuhuiError,
    TreesNotWhole,
    VoucherCodeHere,
)
from tanpuhui.i18n import N_
from tanpuhui.sessions import Principal
from tanpuhui.web.api import IsoDatetime
from tanpuhui.web.auth import act_for, house, resident, resident_required, visitor
from tanpuhui.web.family_pages import ACCOUNTS, FAMILY
from tanpuhui.web.formatting import name_of
from tanpuhui.web.forms import form_errors
from tanpuhui.web.offline import check_mark, resident_mark
from tanpuhui.web.problems import wants_json

blueprint = Blueprint("activities", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]

_MOMENT: TypeAdapter[datetime] = TypeAdapter(IsoDatetime)

#: What can be mended in the field itself; any other refusal is a page of its own.
IN_THE_FIELD = (
    QuantityMissing,
    QuantityNotANumber,
    QuantityNotPositive,
    QuantityTooPrecise,
    QuantityOutOfRange,
    TreesNotWhole,
    VoucherCodeHere,
    MoreTreesThanPlanted,
)


# --- names for every template ------------------------------------------------------------------------------


def known() -> Known:
    """What this request knows of kinds, evidence and factors."""
    if "_known" not in g:
        with house().db.reading() as connection:
            g.setdefault("_known", house().part(Knowledge).at(connection))
    known: Known = g.get("_known")
    return known


@blueprint.app_template_filter()
def kind_name(code: str) -> str:
    """A kind of action by its name in the page's language."""
    kind = known().kinds.get(code)
    return name_of(kind) if kind else code


@blueprint.app_template_filter()
def kind_unit(code: str) -> str:
    """The unit in which a kind is counted."""
    kind = known().kinds.get(code)
    return kind.unit if kind else ""


@blueprint.app_template_filter()
def evidence_name(code: str) -> str:
    """An evidence tier by its name in the page's language."""
    tier = known().tiers.get(code)
    return name_of(tier) if tier else code


@blueprint.app_template_global()
def kind_icon(code: str) -> str:
    """The icon of a kind: that of its category."""
    kind = known().kinds.get(code)
    return kind.category if kind else "leaf"


@blueprint.app_template_global()
def own_totals() -> records.Totals:
    """The logged-in resident's standing records of today and of this month."""
    with house().db.reading() as connection:
        return records.own_totals(connection, resident().id, clock.today())


@blueprint.app_template_global()
def scanned_site() -> UUID | None:
    """The site of the code whose page this is, if the address has a code of ours."""
    try:
        number = codes.read_token(house().settings, (request.view_args or {}).get("token", "")).number
    except (CodeInvalid, GatheringCodeHere, MemberCodeHere, VoucherCodeHere):
        return None
    with house().db.reading() as connection:
        code = known().code(connection, number)
    return code.site.id if code else None


@blueprint.app_template_global()
def is_new_here() -> bool:
    """Whether the logged-in resident has no record yet."""
    with house().db.reading() as connection:
        return not records.has_any(connection, resident().id)


# --- the scan ----------------------------------------------------------------------------------------------


@blueprint.get("/s/")
def typed_code() -> Answer:
    """A short code typed by hand leads to the page of that code."""
    typed = request.args.get("code", "").strip()
    if not typed:
        return render_template("activities/typed.html", code="")
    if is_check_in(house().settings, typed):
        return redirect(url_for("gatherings.here", token=signing.letters_of(codes.letters_in(typed))))
    try:
        token = codes.read_token(house().settings, typed)
    except CodeInvalid as refusal:
        page = render_template("activities/typed.html", code=typed[:80], errors=form_errors(refusal, "code"))
        return page, refusal.status
    return redirect(url_for("activities.scan", token=codes.text_of(house().settings, token)))


@blueprint.get("/s/<token>")
def scan(token: str) -> Answer:
    """Say what would be recorded. Records nothing; a refusal is kept, so that its resident can look it up.

    The idempotency key stands in the address: going back, reloading or logging in on the way keeps it, so one
    scan of the code is credited at most once; a key that was used leads to what it recorded. The check-in code of a
    gathering leads there.
    """
    if is_check_in(house().settings, token):
        return redirect(url_for("gatherings.here", token=token))
    key = request.args.get("key", "")
    if not key:
        chosen = request.args.get("kind")
        return redirect(url_for("activities.scan", token=token, key=ids.new_id().hex, kind=chosen))
    idempotency.check_key(key)
    done = recorded_by(key)
    if done:
        return redirect(done)
    who = visitor()
    try:
        seen = _preview(token, who)
    except Refused as refusal:
        if who and refusal.kept:
            number = codes.read_token(house().settings, token).number
            attempts.keep_one(house(), who.id, number, request.args.get("kind"), refusal)
        raise
    opened.note(token, seen)
    return scan_page(token, key, seen, request.args)


@blueprint.post("/s/<token>")
def confirm(token: str) -> Answer:
    """Record the scan and show what it saved. The same key again leads to the same record.

    A phone that was without network sends the form later, with the time it happened and the mark of who confirmed
    it, and asks for JSON: then whatever is not recorded is answered as a problem document.
    """
    names = "key", "kind", "quantity", "planting", "occurred_at", "account"
    typed: dict[str, Any] = {name: request.form.get(name, "").strip() or None for name in names}
    key = typed["key"] or ""
    who = visitor()
    if who is None:
        if wants_json():
            raise NotAuthenticated
        return redirect(url_for("pages.login", next=url_for("activities.scan", token=token, **typed)), 303)
    try:
        check_mark(request.form.get("resident"), resident_mark())
        who = account_chosen(typed["account"])
        asked = read_request(
            house(),
            who=who.id,
            key=key,
            code=token,
            kind=typed["kind"],
            quantity=typed["quantity"],
            occurred_at=happened(typed["occurred_at"]),
            planting=_planting(typed["planting"]),
            opened_at=opened.opened_at(token),
            position=read_text(request.form.get("position")),
        )
        answer = house().part(Desk).record(asked)
    except KeyReused:
        g.scan_result = KeyReused.code
        return redirect(url_for("activities.scan", token=token, key=key), 303)
    except IN_THE_FIELD as refusal:
        g.scan_result = refusal.code
        if wants_json():
            raise
        seen = _preview(token, who)
        page = scan_page(token, key, seen, typed, form_errors(refusal, "quantity"))
        return page, refusal.status
    except TanpuhuiError as refusal:
        g.scan_result = refusal.code
        raise
    opened.spend(token)
    g.scan_result = "replayed" if answer.replayed else "credited"
    done = redirect(url_for("activities.result", action_id=json.loads(answer.body)["action"]["id"]), 303)
    return note_device(done, who.id, asked.token.number)


def account_chosen(wanted: str | None) -> Principal:
    """For whom the visitor records this: their family or themselves, as a form says, and remembered for the next time.

    What a phone sends later changes nothing of what its browser shows now. Raises NoFamily if they share none any more.
    """
    who = resident()
    if wanted not in ACCOUNTS:
        return who
    family = wanted == FAMILY
    if family and who.family is None:
        raise NoFamily
    return who.acting_for(family) if wants_json() else act_for(family)


def _preview(token: str, who: Principal | None) -> Preview:
    return preview(
        house(),
        token,
        who.id if who else None,
        opened.opened_at(token),
        shares=who is not None and who.family is not None,
    )


def _planting(text: str | None) -> UUID | None:
    """The planting that a form names. Raises NotFound for anything else."""
    try:
        return UUID(text) if text else None
    except ValueError:
        raise NotFound from None


def happened(text: str | None) -> datetime | None:
    """The time that a form names, if it names one. Raises InvalidField."""
    try:
        return _MOMENT.validate_python(text) if text else None
    except ValidationError:
        raise InvalidField(errors=[{"field": "occurred_at", "reason": N_("时间的格式不正确。")}]) from None


def recorded_by(key: str) -> str | None:
    """The address of what the visitor's `key` recorded, if it was used."""
    who = visitor()
    if who is None:
        return None
    with house().db.reading() as connection:
        stored = idempotency.find(connection, [(who.id, key)]).get((who.id, key))
    if stored is None:
        return None
    made = json.loads(stored.answer)
    if "planting" in made:
        return url_for("trees.certificate", planting_id=made["planting"]["id"])
    return url_for("activities.result", action_id=made["action"]["id"])


def scan_page(
    token: str, key: str, seen: Preview, typed: Mapping[str, Any], errors: dict[str, str] | None = None
) -> str:
    """What the code of `token` would record, with what was `typed` so far and what is wrong with it."""
    wanted = typed.get("kind") or (seen.kinds[0].code if len(seen.kinds) == 1 else "")
    kind = next((kind for kind in seen.kinds if kind.code == wanted), None)
    earlier = happened(typed.get("occurred_at"))
    kinds, latest = _as_before(seen, kind)
    return render_template(
        "activities/scan.html",
        token=token,
        key=key,
        site=seen.code.site,
        site_kinds=SITE_KIND_NAMES,
        campaign=seen.code.campaign_at(clock.now(), kind.code if kind else None),
        kinds=kinds,
        kind=kind,
        latest=latest,
        fixed=seen.fixed,
        live=seen.code.code.kind is codes.CodeKind.ROTATING,
        full=kind is not None and seen.left[kind.code] == 0 and not earlier,
        typed=typed,
        happened=earlier,
        factor=known().factor_on(kind.code, clock.today()) if kind else None,
        growing=known().survival,
        plot=_plot(seen, kind),
        place_hint=place_hint_pages.wanted(seen) if kind else "",
        errors=errors,
    )


def _as_before(seen: Preview, kind: ActionKind | None) -> tuple[list[ActionKind], records.Last | None]:
    """The kinds of the site, and the visitor's last record: of `kind`, or else here, whose kind then stands first."""
    kinds, who = list(seen.kinds), visitor()
    if who is None or (len(kinds) == 1 and kind and kind.asks == "nothing"):
        return kinds, None
    wanted: dict[str, Any] = {"kind": kind.code} if kind else {"site_id": seen.code.site.id}
    with house().db.reading() as connection:
        last = records.last_record(connection, who.id, clock.today(), **wanted)
    if last and kind and not kind.quantity_min_milli <= last.quantity_milli <= kind.quantity_max_milli:
        last = None  # the limits have changed since
    return sorted(kinds, key=lambda one: not last or one.code != last.kind), last


def _plot(seen: Preview, kind: ActionKind | None) -> plantings.Plot | None:
    """What the visitor planted at this site, if `kind` is credited by yearly checks."""
    if kind is None or kind.code not in known().survival:
        return None
    who = visitor()
    with house().db.reading() as connection:
        return plantings.plot(connection, who.id if who else None, seen.code.site.id, kind, clock.today())


def _checked(connection: Connection, action: Action) -> Grove | None:
    """The planting that a record checked, if its kind is credited by yearly checks."""
    if action.kind not in known().survival:
        return None
    groves = groves_of(connection, action.resident_id, site_id=action.site_id, kind=action.kind)
    return next((grove for grove in groves if grove.checked_by(action.id)), None)


@blueprint.get("/me/actions/<uuid:action_id>")
@resident_required
def result(action_id: UUID) -> Answer:
    """What one of the resident's own records saved and earned."""
    who = resident()
    with house().db.reading_session() as session:
        action, voided, site = own_action(session, who, action_id)
        kind = session.get_one(ActionKind, action.kind)
        amounts = {name: getattr(action, f"{name}_ug") for name in POLLUTANTS}
        return render_template(
            "activities/result.html",
            action=action,
            voided=voided,
            unconfirmed=reviews.unconfirmed(session, action_id),
            replaced=replacing.replaced_by(session, action),
            site=site,
            kind=kind,
            evidence=session.get_one(EvidenceTier, action.evidence),
            trace=records.sum_of(session, action),
            pollutants=[(name, ug) for name, ug in amounts.items() if ug is not None],
            unknown=[name for name, ug in amounts.items() if ug is None],
            grove=_checked(session.connection(), action),
            left_today=records.left_today(
                session.connection(), action, kind, clock.today(), shares=who.family is not None
            ),
        )


def own_action(session: Session, who: Principal, action_id: UUID) -> tuple[Action, ActionVoid | None, Site]:
    """A record of the account that the visitor acts for, or of their other one. Raises NotFound."""
    try:
        return review.own_action(session, who.id, action_id)
    except NotFound:
        return review.own_action(session, who.acting_for(who.guardian is None).id, action_id)
