"""The residents' pages of this room: scan, confirm, result, factors."""

import json
from typing import Any
from uuid import UUID

from flask import Blueprint, g, redirect, render_template, request, url_for
from sqlmodel import select
from werkzeug.wrappers import Response as AnyResponse

from activities import codes, records, review
from activities.catalogue import ActionKind, EvidenceTier
from activities.known import Knowledge, Known
from activities.quantify.factors import POLLUTANTS, Confidence, FactorVersion, all_versions, valid_on
from activities.scans import Desk, Preview, preview, read_request
from activities.sites import SITE_KIND_NAMES
from tanpuhui import clock, idempotency, ids
from tanpuhui.errors import (
    CodeInvalid,
    KeyReused,
    QuantityMissing,
    QuantityNotANumber,
    QuantityOutOfRange,
    QuantityTooPrecise,
    TanpuhuiError,
)
from tanpuhui.i18n import N_
from tanpuhui.web.auth import house, resident, resident_required, visitor
from tanpuhui.web.formatting import name_of
from tanpuhui.web.forms import form_errors

blueprint = Blueprint("activities", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]

#: What can be mended in the field itself; any other refusal is a page of its own.
_IN_THE_FIELD = (QuantityMissing, QuantityNotANumber, QuantityTooPrecise, QuantityOutOfRange)

#: How sure a factor is, in plain words.
CONFIDENCE = {
    Confidence.A: N_("A：读过原始文件"),
    Confidence.B: N_("B：来自新闻报道"),
    Confidence.C: N_("C：来自转述"),
    Confidence.D: N_("D：由公开数字换算"),
}


# --- names for every template ------------------------------------------------------------------------------


def _known() -> Known:
    if "_known" not in g:
        with house().db.reading() as connection:
            g.setdefault("_known", house().part(Knowledge).at(connection))
    known: Known = g.get("_known")
    return known


@blueprint.app_template_filter()
def kind_name(code: str) -> str:
    """A kind of action by its name in the page's language."""
    kind = _known().kinds.get(code)
    return name_of(kind) if kind else code


@blueprint.app_template_filter()
def kind_unit(code: str) -> str:
    """The unit in which a kind is counted."""
    kind = _known().kinds.get(code)
    return kind.unit if kind else ""


@blueprint.app_template_filter()
def evidence_name(code: str) -> str:
    """An evidence tier by its name in the page's language."""
    tier = _known().tiers.get(code)
    return name_of(tier) if tier else code


@blueprint.app_template_global()
def kind_icon(code: str) -> str:
    """The icon of a kind: that of its category."""
    kind = _known().kinds.get(code)
    return kind.category if kind else "leaf"


@blueprint.app_template_global()
def own_totals() -> records.Totals:
    """The logged-in resident's standing records of today and of this month."""
    with house().db.reading() as connection:
        return records.own_totals(connection, resident().id, clock.today())


# --- the scan ----------------------------------------------------------------------------------------------


@blueprint.get("/s/")
def typed_code() -> Answer:
    """A short code typed by hand leads to the page of that code."""
    typed = request.args.get("code", "").strip()
    if not typed:
        return render_template("activities/typed.html", code="")
    try:
        number = codes.read_token(house().settings, typed)
    except CodeInvalid as refusal:
        page = render_template("activities/typed.html", code=typed[:80], errors=form_errors(refusal, "code"))
        return page, refusal.status
    return redirect(url_for("activities.scan", token=codes.token_of(house().settings, number)))


@blueprint.get("/s/<token>")
def scan(token: str) -> Answer:
    """Say what would be recorded. Records nothing.

    The idempotency key stands in the address: going back, reloading or logging in on the way keeps it, so one
    scan of the code is credited at most once; a key that was used leads to what it recorded.
    """
    key = request.args.get("key", "")
    if not key:
        chosen = request.args.get("kind")
        return redirect(url_for("activities.scan", token=token, key=ids.new_id().hex, kind=chosen))
    idempotency.check_key(key)
    done = _recorded_by(key)
    if done:
        return redirect(url_for("activities.result", action_id=done))
    who = visitor()
    return _scan_page(token, key, preview(house(), token, who.id if who else None), request.args)


@blueprint.post("/s/<token>")
def confirm(token: str) -> Answer:
    """Record the scan and show what it saved. The same key again leads to the same record."""
    key, kind, quantity = (request.form.get(name, "").strip() for name in ("key", "kind", "quantity"))
    typed = {"key": key, "kind": kind, "quantity": quantity}
    who = visitor()
    if who is None:
        back = url_for("activities.scan", token=token, key=key, kind=kind or None, quantity=quantity or None)
        return redirect(url_for("pages.login", next=back), 303)
    try:
        asked = read_request(
            house(), who=who.id, key=key, code=token, kind=kind or None, quantity=quantity or None
        )
        answer = house().part(Desk).record(asked)
    except KeyReused:
        g.scan_result = KeyReused.code
        return redirect(url_for("activities.scan", token=token, key=key), 303)
    except _IN_THE_FIELD as refusal:
        g.scan_result = refusal.code
        page = _scan_page(
            token, key, preview(house(), token, who.id), typed, form_errors(refusal, "quantity")
        )
        return page, refusal.status
    except TanpuhuiError as refusal:
        g.scan_result = refusal.code
        raise
    g.scan_result = "replayed" if answer.replayed else "credited"
    return redirect(url_for("activities.result", action_id=json.loads(answer.body)["action"]["id"]), 303)


def _recorded_by(key: str) -> str | None:
    """The action that the visitor's `key` recorded, if it was used."""
    who = visitor()
    if who is None:
        return None
    with house().db.reading() as connection:
        stored = idempotency.find(connection, [(who.id, key)]).get((who.id, key))
    return str(json.loads(stored.answer)["action"]["id"]) if stored else None


def _scan_page(token: str, key: str, seen: Preview, typed: Any, errors: dict[str, str] | None = None) -> str:
    wanted = typed.get("kind") or (seen.kinds[0].code if len(seen.kinds) == 1 else "")
    kind = next((kind for kind in seen.kinds if kind.code == wanted), None)
    with house().db.reading_session() as session:
        factor = valid_on(session, kind.code, clock.today()) if kind else None
    return render_template(
        "activities/scan.html",
        token=token,
        key=key,
        site=seen.code.site,
        site_kinds=SITE_KIND_NAMES,
        campaign=seen.code.campaign_at(clock.now()),
        kinds=seen.kinds,
        kind=kind,
        full=kind is not None and seen.left[kind.code] == 0,
        quantity=typed.get("quantity", ""),
        factor=factor,
        errors=errors,
    )


@blueprint.get("/me/actions/<uuid:action_id>")
@resident_required
def result(action_id: UUID) -> Answer:
    """What one of the resident's own records saved and earned."""
    who = resident()
    with house().db.reading_session() as session:
        action, voided, site = review.own_action(session, who.id, action_id)
        kind = session.get_one(ActionKind, action.kind)
        amounts = {name: getattr(action, f"{name}_ug") for name in POLLUTANTS}
        return render_template(
            "activities/result.html",
            action=action,
            voided=voided,
            site=site,
            kind=kind,
            evidence=session.get_one(EvidenceTier, action.evidence),
            factor=session.get_one(FactorVersion, action.factor_version),
            pollutants=[(name, ug) for name, ug in amounts.items() if ug is not None],
            unknown=[name for name, ug in amounts.items() if ug is None],
            left_today=records.left_today(session.connection(), action, kind, clock.today()),
        )


# --- factors -----------------------------------------------------------------------------------------------


@blueprint.get("/factors")
def factors() -> Answer:
    """Every published factor with its source."""
    with house().db.reading_session() as session:
        versions: dict[str, list[FactorVersion]] = {}
        for factor in all_versions(session):
            versions.setdefault(factor.action_code, []).insert(0, factor)
        kinds = session.exec(select(ActionKind).order_by(ActionKind.category, ActionKind.code)).all()
        groups = [{"kind": kind, "versions": versions[kind.code]} for kind in kinds if kind.code in versions]
        return render_template("activities/factors.html", groups=groups, confidence=CONFIDENCE)
