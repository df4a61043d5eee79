"""The pages of signals: what was seen, the code it was seen on, and what staff do about it, one tap each."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask_babel import gettext
from sqlmodel import Session
from werkzeug.wrappers import Response as AnyResponse

from activities import codes, signals, voiding
from activities.code_pages import after_issuing
from activities.signals import KIND_NAMES, Signal, SignalKind, SignalState
from activities.sites import MANAGERS, Site
from tanpuhui import clock
from tanpuhui.errors import InvalidField, NotFound
from tanpuhui.i18n import N_
from tanpuhui.web.auth import house, staff, staff_required
from tanpuhui.web.forms import chosen_id, form_errors

blueprint = Blueprint("signals", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]

_CODE = "<int(max=1099511627775):code_id>"

#: What was seen, by kind and by what its `detail` holds.
_SEEN = {
    ("burst", "accounts"): N_(
        "%(minutes)s 分钟里有 %(accounts)s 个账号扫了这张码；此前七天里同样长的时间最多 %(usual)s 个。"
    ),
    ("posted", "streets"): N_(
        "%(minutes)s 分钟里有 %(streets)s 个街镇的账号扫了这张码；此前七天里同样长的时间最多 %(usual)s 个街镇。"
    ),
    ("posted", "told"): N_("工作人员在网上看到了这张码。"),
    ("posted", "refused"): N_(
        "%(refused)s 个账号扫了已经用过或过期的码，可能有人转发了照片。这些都没有记上。"
    ),
    ("hours", "refused"): N_("%(refused)s 个账号在开放时间以外扫码。这些都没有记上。"),
    ("hours", "night"): N_("%(night)s 个账号在零点到五点之间记录。这个点位没有填写可以记录的时间。"),
    ("device", "accounts"): N_(
        "一部手机一天里用了 %(accounts)s 个账号。一家人合用手机很平常，这个数比平常多。"
    ),
}


@blueprint.app_template_global()
def seen_words(signal: Signal) -> str:
    """What was seen, in a sentence."""
    for (kind, key), sentence in _SEEN.items():
        if kind == signal.kind and key in signal.detail:
            return str(gettext(sentence, **signal.detail))
    return str(gettext("看到 %(count)s 次。", count=signal.count))


@blueprint.get("/console/signals")
@staff_required(*MANAGERS)
def listed() -> Answer:
    """What is open, and what was decided lately."""
    return _listed_page()


def _listed_page(error: InvalidField | None = None, signal_id: UUID | None = None) -> Answer:
    with house().db.reading_session() as session:
        page = render_template(
            "activities/signals.html",
            open=signals.list_signals(session, staff()),
            decided=signals.list_signals(session, staff(), decided=True, limit=50),
            names=KIND_NAMES,
            form=request.form,
            errors={signal_id: form_errors(error)} if error else {},
        )
    return (page, error.status) if error else page


@blueprint.post("/console/signals/<uuid:signal_id>/dismiss")
@staff_required(*MANAGERS)
def dismiss(signal_id: UUID) -> Answer:
    """It was nothing."""
    try:
        signals.dismiss(house(), staff(), signal_id, request.form.get("reason", ""))
    except InvalidField as error:
        return _listed_page(error, signal_id)
    return redirect(url_for("signals.listed"), 303)


# --- a code ------------------------------------------------------------------------------------------------


@blueprint.get(f"/console/codes/{_CODE}/flagged")
@staff_required(*MANAGERS)
def code(code_id: int) -> Answer:
    """A code with its signals and its records: withdraw it, void the records, put up a new one."""
    return _code_page(code_id)


def _code_page(code_id: int, error: InvalidField | None = None, form_of: str = "") -> Answer:
    with house().db.reading_session() as session:
        found = signals.managed_code(session, staff(), code_id)
        seen = signals.signals_of_code(session, code_id)
        since = _since(seen)
        scans = voiding.scans_since(session, code_id, since)
        page = render_template(
            "activities/flagged.html",
            code=found,
            site=session.get_one(Site, found.site_id),
            kind_name_of_code=codes.KIND_NAMES[found.kind],
            signals=seen,
            names=KIND_NAMES,
            reason=_reason(seen),
            since=since,
            since_typed=clock.local(since).strftime("%Y-%m-%dT%H:%M"),
            scans=scans,
            orders=voiding.orders_of(session, code_id),
            most=voiding.MOST,
            form=request.form,
            errors={form_of: form_errors(error)} if error else {},
        )
    return (page, error.status) if error else page


def _since(seen: Any) -> datetime:
    """The moment that the address or the form names; else the first scan of what is open, or was seen last."""
    typed = request.values.get("since", "")
    try:
        moment = datetime.fromisoformat(typed) if typed else None
    except ValueError:
        moment = None
    if moment and 2000 <= moment.year < 3000:
        return moment if moment.tzinfo else moment.replace(tzinfo=clock.SHANGHAI)
    is_open = [signal.first_at for signal in seen if signal.state == SignalState.OPEN]
    firsts = is_open or [signal.first_at for signal in seen[:1]]
    first: datetime = min(firsts, default=clock.now() - timedelta(days=1))
    if any(signal.kind == SignalKind.POSTED and "told" in signal.detail for signal in seen):
        first = min(first, clock.now() - timedelta(days=1))
    return first.replace(second=0, microsecond=0)


def _reason(seen: Any) -> str:
    """A reason to begin with, which residents can read."""
    if not seen:
        return ""
    return str(gettext(KIND_NAMES[seen[0].kind]))


@blueprint.post(f"/console/codes/{_CODE}/posted")
@staff_required(*MANAGERS)
def posted(code_id: int) -> Answer:
    """This code was seen online."""
    signals.tell_posted(house(), staff(), code_id)
    return redirect(url_for("signals.code", code_id=code_id), 303)


@blueprint.post(f"/console/codes/{_CODE}/withdraw")
@staff_required(*MANAGERS)
def withdraw(code_id: int) -> Answer:
    """Withdraw a code that was flagged; its signals are settled by it."""
    reason = request.form.get("reason", "")
    try:
        codes.revoke_code(house(), staff(), code_id, reason)
    except InvalidField as error:
        return _code_page(code_id, error, "withdraw")
    with house().db.session() as session:
        signals.managed_code(session, staff(), code_id)
        signals.acted_on(session, staff(), code_id, reason.strip())
    since = request.form.get("since", "")
    return redirect(url_for("signals.code", code_id=code_id, since=since), 303)


@blueprint.post(f"/console/codes/{_CODE}/renew")
@staff_required(*MANAGERS)
def renew(code_id: int) -> Answer:
    """A new code in the place of a withdrawn one; its poster is one tap more."""
    return redirect(after_issuing(codes.renew_code(house(), staff(), code_id)), 303)


# --- voiding together --------------------------------------------------------------------------------------


@blueprint.post(f"/console/codes/{_CODE}/voids")
@staff_required(*MANAGERS)
def void(code_id: int) -> Answer:
    """Void all records on a code since a moment, or those ticked."""
    only = None
    if request.form.get("which") != "all":
        only = [_uuid(text) for text in request.form.getlist("action_ids")]
    try:
        order_id = voiding.order(
            house(),
            staff(),
            code_id,
            since=_since(()),
            reason=request.form.get("reason", ""),
            only=only,
            chosen=chosen_id(staff()),
        )
    except InvalidField as error:
        return _code_page(code_id, error, "void")
    return redirect(url_for("signals.voided", order_id=order_id), 303)


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound from None


@blueprint.get("/console/voids/<uuid:order_id>")
@staff_required(*MANAGERS)
def voided(order_id: UUID) -> Answer:
    """What became of the records of an order."""
    with house().db.reading_session() as session:
        asked = voiding.get_order(session, staff(), order_id)
        return render_template(
            "activities/voided_together.html",
            asked=asked,
            code=signals.managed_code(session, staff(), asked.code_id),
            site=_site_of(session, asked.code_id),
            told=voiding.outcome(session, asked),
        )


def _site_of(session: Session, code_id: int) -> Site:
    return session.get_one(Site, signals.managed_code(session, staff(), code_id).site_id)


@blueprint.post("/console/voids/<uuid:order_id>")
@staff_required(*MANAGERS)
def go_on(order_id: UUID) -> Answer:
    """Go on where the last answer stopped."""
    voiding.go_on(house(), staff(), order_id)
    return redirect(url_for("signals.voided", order_id=order_id), 303)
