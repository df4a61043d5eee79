"""The pages of the audit trail: everybody's for auditors and admins, one's own for all staff; the heads of its chain for everybody."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, render_template, request, stream_with_context, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response as AnyResponse

from tanpuhui import audit, audit_chain, verify_audit
from tanpuhui.audit import AuditEntry
from tanpuhui.bureau import trail
from tanpuhui.bureau.pages import asked_period, spans
from tanpuhui.bureau.participation import may_read
from tanpuhui.bureau.trail import Asked, Line
from tanpuhui.csvtext import stream_sheet
from tanpuhui.errors import InvalidField
from tanpuhui.i18n import N_
from tanpuhui.web.auth import house, staff, staff_required
from tanpuhui.web.forms import form_errors

blueprint = Blueprint("trail", __name__)

Answer = str | AnyResponse | tuple[str, int]

_FILTERS, _LONGEST = ("actor", "deed", "subject", "text"), 80
_NOBODY = {"operator": N_("系统运维"), "resident": N_("居民"), "staff": N_("工作人员")}


# --- everybody's, and one's own ------------------------------------------------------------------------------


@blueprint.get("/bureau/audit")
@staff_required(*trail.READERS)
def listed() -> Answer:
    """Who did and saw what, when and why, the latest first."""
    may_read(house(), staff(), trail.READERS)
    return _page("trail.listed")


@blueprint.get("/desk/audit")
@staff_required()
def own() -> Answer:
    """The same of oneself."""
    return _page("trail.own")


@blueprint.post("/bureau/audit")
@staff_required(*trail.READERS)
def export() -> Answer:
    """What the filters find, as a sheet; or the whole chain, for the script. Either is noted with its reason."""
    may_read(house(), staff(), trail.READERS)
    within, errors = asked_period()
    try:
        if errors:
            return _page("trail.listed", {})
        if "chain" in request.form:
            why = audit.reason(request.form.get("reason", ""))
            with house().db.session() as session:
                audit.note_by(session, staff(), deed="audit.chain_exported", subject="audit", reason=why)
            return _file(audit_chain.trail_lines(house()), "application/x-ndjson", "tanpuhui-audit.jsonl")
        lines = trail.take(house(), staff(), _asked(within), request.form.get("reason", ""))
    except InvalidField as error:
        return _page("trail.listed", form_errors(error))
    name = f"tanpuhui-audit-{within.first}-{within.last}.csv"
    return _file(stream_with_context(stream_sheet(_header(), _rows(lines))), "text/csv", name)


def _page(endpoint: str, refused: dict[str, str] | None = None) -> Answer:
    within, errors = asked_period()
    mine = endpoint == "trail.own"
    try:
        before = trail.key_of(request.args.get("before", ""))
    except InvalidField as error:
        before, errors = None, errors | form_errors(error)
    with house().db.reading_session() as session:
        lines, more = trail.search(session, _asked(within), own=staff().id if mine else None, before=before)
        head = None if mine else audit_chain.last_link(session)
    errors |= refused or {}
    asked: dict[str, Any] = {
        name: request.args[name] for name in ("from", "to", *_FILTERS) if name in request.args
    }
    page = render_template(
        "bureau/trail.html",
        mine=mine,
        asked=asked,
        within=within,
        errors=errors,
        typed=request.form.get("reason", ""),
        lines=lines,
        deeds=_deeds(),
        head=head,
        spans=spans(),
        here=lambda **more: url_for(endpoint, **{**asked, **more}),
        next_page=url_for(endpoint, **asked, before=trail.key_text(lines[-1].entry)) if more else "",
    )
    return page, 422 if errors else 200


def _asked(within: Any) -> Asked:
    return Asked(within, **{name: request.args.get(name, "").strip()[:_LONGEST] for name in _FILTERS})


def _deeds() -> list[tuple[str, list[tuple[str, str]]]]:
    """Every deed under what it is done to, for a field that offers them."""
    words = house().trail
    groups: dict[str, list[tuple[str, str]]] = {}
    for key, text in words.items():
        kind, dot, _ = key.partition(".")
        if dot:
            groups.setdefault(gettext(words.get(kind, text)), []).append((key, gettext(text)))
    return sorted(groups.items())


# --- as people read it ---------------------------------------------------------------------------------------


@blueprint.app_template_filter()
def deed_words(entry: AuditEntry) -> str:
    """What was done; a deed without words as it is written."""
    return gettext(house().trail[entry.deed]) if entry.deed in house().trail else entry.deed


@blueprint.app_template_filter()
def subject_words(subject: str) -> str:
    """What it was done to: its kind in words, and as much of its id as tells it from its like."""
    kind, _, rest = subject.partition(":")
    words = gettext(house().trail[kind]) if kind in house().trail else kind
    return f"{words} {rest[-6:] if len(rest) == 36 else rest}".strip()


@blueprint.app_template_filter()
def actor_words(line: Line) -> str:
    """Who did it: a member of staff by name, nobody else."""
    kind = line.entry.actor_kind
    return line.actor or (gettext(_NOBODY[kind]) if kind in _NOBODY else kind)


def _header() -> list[str]:
    return [
        gettext(name)
        for name in (N_("封存位置"), N_("时间"), N_("谁"), N_("做了什么"), N_("对象"), N_("原因"), N_("细节"))
    ]


def _rows(lines: Any) -> Iterator[list[str | int | None]]:
    for line in lines:
        entry = line.entry
        detail = json.dumps(entry.detail, ensure_ascii=False, sort_keys=True) if entry.detail else None
        deed = f"{deed_words(entry)} ({entry.deed})"
        yield [
            line.position,
            entry.at.isoformat(),
            actor_words(line),
            deed,
            entry.subject,
            entry.reason,
            detail,
        ]


# --- the heads of the chain, for everybody -------------------------------------------------------------------


@blueprint.get("/audit/heads.txt")
def heads() -> Response:
    """Where the chain stood at the end of each day: to be kept elsewhere, by whoever likes."""
    with house().db.reading_session() as session:
        return Response(audit_chain.heads_text(session), mimetype="text/plain")


@blueprint.get("/audit/verify_audit.py")
def script() -> Response:
    """The script that checks a trail against the heads without the platform."""
    text = Path(verify_audit.__file__).read_text(encoding="utf-8")
    return _file(iter([text]), "text/x-python", "verify_audit.py")


def _file(body: Iterator[str] | Iterator[bytes], kind: str, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return Response(body, mimetype=kind, headers=headers)
