"""The bureau's desk for adjustments of points: one proposes, another decides."""

from collections.abc import Callable
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from rewards import adjustments
from rewards.adjustments import ADJUSTERS, MOST, Adjustment, AdjustmentKind, GoodwillIn
from tanpuhui.errors import NotFound, TanpuhuiError
from tanpuhui.web.auth import house, saw, staff, staff_required
from tanpuhui.web.forms import chosen_id, form_errors

blueprint = Blueprint("adjustment_desk", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]


@blueprint.app_template_filter()
def adjustment_state(found: Adjustment) -> str:
    """Where an adjustment stands, in the page's language."""
    if found.decision is None:
        return str(_("等待批准"))
    return str(_("已批准") if found.decision is adjustments.AdjustmentDecision.APPROVED else _("没有批准"))


@blueprint.get("/bureau/adjustments")
@staff_required(*ADJUSTERS)
def queue() -> Answer:
    """What waits for a second person, what was decided, and the form to propose."""
    return _queue()


def _queue(error: TanpuhuiError | None = None) -> Answer:
    with house().db.reading_session() as session:
        found = adjustments.listed(session, staff())
    form = request.form or {"about": request.args.get("about", "")[:20]}
    page = render_template(
        "rewards/adjustments.html",
        waiting=[one for one in found if one.decision is None],
        decided=[one for one in found if one.decision is not None],
        me=staff().id,
        most=MOST,
        form=form,
        errors=form_errors(error) if error else None,
    )
    return (page, error.status) if error else page


@blueprint.post("/bureau/adjustments")
@staff_required(*ADJUSTERS)
def propose() -> Answer:
    """Propose to give points; what was typed stays until it is taken."""
    form = request.form
    goodwill = GoodwillIn(form.get("about", ""), form.get("points", ""), form.get("reason", ""))
    try:
        made = adjustments.propose(house(), staff(), goodwill, chosen_id(staff()))
    except TanpuhuiError as error:
        return _queue(error)
    return redirect(url_for("adjustment_desk.one", adjustment_id=made), 303)


@blueprint.get("/bureau/adjustments/<uuid:adjustment_id>")
@staff_required(*ADJUSTERS)
def one(adjustment_id: UUID) -> Answer:
    """One proposal, and what can be done with it; who looked is written down."""
    page = _one(adjustment_id)
    saw(f"adjustment:{adjustment_id}")
    return page


def _one(adjustment_id: UUID, error: TanpuhuiError | None = None) -> Answer:
    with house().db.reading_session() as session:
        found = adjustments.in_scope(session, staff(), adjustment_id)
        given = found.kind is AdjustmentKind.GOODWILL and found.decision is not None
        taken = adjustments.reversal_of(session, adjustment_id) if given else None
    page = render_template(
        "rewards/adjustment.html",
        found=found,
        taken=taken,
        own=found.proposed_by == staff().id,
        form=request.form,
        errors=form_errors(error) if error else None,
    )
    return (page, error.status) if error else page


@blueprint.post("/bureau/adjustments/<uuid:adjustment_id>/decide")
@staff_required(*ADJUSTERS)
def decide(adjustment_id: UUID) -> Answer:
    """Approve or decline, once."""
    chosen = request.form.get("decision", "")
    return _do(adjustment_id, lambda: adjustments.decide(house(), staff(), adjustment_id, chosen))


@blueprint.post("/bureau/adjustments/<uuid:adjustment_id>/reverse")
@staff_required(*ADJUSTERS)
def reverse(adjustment_id: UUID) -> Answer:
    """Propose to take the points back."""
    reason = request.form.get("reason", "")
    return _do(adjustment_id, lambda: adjustments.propose_reversal(house(), staff(), adjustment_id, reason))


def _do(adjustment_id: UUID, work: Callable[[], UUID | None]) -> Answer:
    """Do it, or show the page again with what was refused; then the page of what came of it."""
    try:
        made = work()
    except NotFound:
        raise
    except TanpuhuiError as error:
        return _one(adjustment_id, error)
    return redirect(url_for("adjustment_desk.one", adjustment_id=made or adjustment_id), 303)
