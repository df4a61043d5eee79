"""The counter on a phone: scan or type, see what to hand over, one big button; and what was handed over, by month."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from rewards import counter
from rewards.counter import ACCOUNTANTS, COUNTER, may_undo
from tanpuhui import clock, ids
from tanpuhui.csvtext import write_sheet
from tanpuhui.errors import NotFound, TanpuhuiError
from tanpuhui.web.auth import house, staff, staff_required
from tanpuhui.web.forms import form_errors

blueprint = Blueprint("counter", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]


@blueprint.get("/console/counter")
@staff_required(*COUNTER)
def scan() -> Answer:
    """Ready for the next voucher."""
    return _scan_page()


def _scan_page(error: TanpuhuiError | None = None) -> Answer:
    with house().db.reading_session() as session:
        handed_over = counter.lately(session, staff())
    page = render_template(
        "rewards/counter.html",
        handed_over=handed_over,
        public_url=house().settings.public_url,
        form=request.form,
        errors=form_errors(error, "code") if error else None,
    )
    return (page, error.status) if error else page


@blueprint.post("/console/counter")
@staff_required(*COUNTER)
def find() -> Answer:
    """Look a voucher up by its code. Nothing is settled by that."""
    try:
        found = counter.find(house(), staff(), request.form.get("code", "")[:200])
    except TanpuhuiError as error:
        return _scan_page(error)
    return redirect(url_for("counter.one", redemption_id=found.redemption.id), 303)


@blueprint.get("/console/counter/<uuid:redemption_id>")
@staff_required(*COUNTER)
def one(redemption_id: UUID) -> Answer:
    """What to hand over, and the button that says so; afterwards, that it was, and how to take that back."""
    return _one_page(redemption_id)


def _one_page(redemption_id: UUID, error: TanpuhuiError | None = None) -> Answer:
    with house().db.reading_session() as session:
        found = counter.one(session, staff(), redemption_id)
    now = clock.now()
    page = render_template(
        "rewards/counter_voucher.html",
        found=found,
        good=found.good(now),
        lapsed=found.redemption.state == "open" and not found.good(now),
        may_undo=may_undo(found.redemption, now),
        key=ids.new_id().hex,
        form=request.form,
        done=bool(request.args.get("done")),
        errors=form_errors(error) if error else None,
    )
    return (page, error.status) if error else page


@blueprint.post("/console/counter/<uuid:redemption_id>/hand-over")
@staff_required(*COUNTER)
def hand_over(redemption_id: UUID) -> Answer:
    """It was handed over."""
    key = request.form.get("key", "")
    return _do(redemption_id, lambda: counter.hand_over(house(), staff(), redemption_id, key=key), done=1)


@blueprint.post("/console/counter/<uuid:redemption_id>/undo")
@staff_required(*COUNTER)
def undo(redemption_id: UUID) -> Answer:
    """It was not, after all."""
    return _do(redemption_id, lambda: counter.undo(house(), staff(), redemption_id))


@blueprint.post("/console/counter/<uuid:redemption_id>/cancel")
@staff_required(*COUNTER)
def cancel(redemption_id: UUID) -> Answer:
    """It cannot be served; the resident reads why."""
    because = request.form.get("reason", "")
    return _do(redemption_id, lambda: counter.cancel(house(), staff(), redemption_id, because))


def _do(redemption_id: UUID, work: Callable[[], Any], **arguments: Any) -> Answer:
    """Do it, or show the page again with what was refused."""
    try:
        work()
    except NotFound:
        raise
    except TanpuhuiError as error:
        return _one_page(redemption_id, error)
    return redirect(url_for("counter.one", redemption_id=redemption_id, **arguments), 303)


# --- accounts by month -------------------------------------------------------------------------------------


@blueprint.get("/console/settlements")
@staff_required(*ACCOUNTANTS)
def settlements() -> Answer:
    """What was handed over in a month, by whose it is and by offer."""
    month = counter.month_of(request.args.get("month", ""))
    with house().db.reading_session() as session:
        lines = counter.settled_in(session, staff(), month)
    return render_template("rewards/settlements.html", month=month, lines=lines)


@blueprint.get("/console/settlements.csv")
@staff_required(*ACCOUNTANTS)
def settlements_csv() -> Answer:
    """The same, for a spreadsheet."""
    month = counter.month_of(request.args.get("month", ""))
    with house().db.reading_session() as session:
        lines = counter.settled_in(session, staff(), month)
    header = [
        _("月份"),
        _("由谁提供"),
        _("兑换"),
        _("每份积分"),
        _("份数"),
        _("积分合计"),
        _("由哪一笔预算支付"),
    ]
    rows = [
        (f"{month:%Y-%m}", one.held_by, one.title, one.price, one.count, one.points, one.pool)
        for one in lines
    ]
    name = f"tanpuhui-settlements-{month:%Y-%m}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(write_sheet(header, rows), mimetype="text/csv", headers=headers)
