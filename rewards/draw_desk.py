"""Staff's pages of draws: make one, approve it, write a public number down, hand prizes over, call it off."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from pydantic import ValidationError
from werkzeug.wrappers import Response as AnyResponse

from rewards import draw_entries, draw_making, published_draws
from rewards.draw_making import APPROVERS, MANAGERS, DrawIn
from rewards.scopes import scopes_of
from tanpuhui import clock
from tanpuhui.errors import InvalidField, NotFound, TanpuhuiError
from tanpuhui.i18n import N_
from tanpuhui.web.api import invalid
from tanpuhui.web.auth import house, roles_here, staff, staff_required
from tanpuhui.web.forms import chosen_id, form_errors, local_moment

blueprint = Blueprint("draw_desk", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]

#: So many kinds of prizes the form has room for.
ROWS = 5


@blueprint.get("/console/draws")
@staff_required(*MANAGERS)
def listed() -> Answer:
    """The draws of one's scope, the latest first."""
    with house().db.reading_session() as session:
        return render_template(
            "rewards/draw_list.html", draws=draw_making.of_scope(session, staff()), now=clock.now()
        )


@blueprint.route("/console/draws/new", methods=["GET", "POST"])
@staff_required(*MANAGERS)
def new() -> Answer:
    """Draft a draw."""
    errors: dict[str, str] = {}
    if request.method == "POST":
        try:
            made = draw_making.create_draw(house(), staff(), _draw_in(), chosen=chosen_id(staff()))
            return redirect(url_for("draw_desk.one", draw_id=made.id), 303)
        except InvalidField as error:
            errors = form_errors(error)
    with house().db.reading_session() as session:
        scopes = [(scope.key, scope.name) for scope in scopes_of(session, staff(), MANAGERS)]
    form: Mapping[str, Any] = request.form
    page = render_template(
        "rewards/draw_new.html",
        form=form,
        errors=errors,
        rows=ROWS,
        scopes=[("", scopes)],
        only_scope=scopes[0][0] if len(scopes) == 1 else "",
    )
    return (page, InvalidField.status) if errors else page


def _draw_in() -> DrawIn:
    """What the form says. Raises InvalidField, by the names of its fields."""
    form = request.form
    kind, _, key = form.get("scope", "").partition(":")
    closes_at = local_moment(form.get("closes_at", ""))
    prizes = [
        {"name": form.get(f"prize-{row}", ""), "count": form.get(f"count-{row}", "").strip()}
        for row in range(ROWS)
        if form.get(f"prize-{row}", "").strip() or form.get(f"count-{row}", "").strip()
    ]
    wrong = []
    if kind not in {"division", "organisation"} or not key:
        wrong.append(("scope", N_("请选择由谁举办。")))
    if closes_at is None:
        wrong.append(("closes_at", N_("请填写日期和时间。")))
    if not prizes:
        wrong.append(("prize-0", N_("请至少写一种奖品。")))
    if wrong:
        raise InvalidField(errors=[{"field": field, "reason": reason} for field, reason in wrong])
    try:
        return DrawIn.model_validate(
            {
                "title": form.get("title", ""),
                "words": form.get("words", ""),
                "division_code": key if kind == "division" else "",
                "organisation_id": key if kind == "organisation" else None,
                "price": form.get("price", "").strip(),
                "prizes": prizes,
                "witness": form.get("witness", ""),
                "closes_at": closes_at,
            }
        )
    except ValidationError as error:
        raise _beside_its_row(invalid(error)) from error


def _beside_its_row(error: InvalidField) -> InvalidField:
    """Prizes are lists in the API and rows in the form."""
    for entry in error.params["errors"]:
        parts = str(entry["field"]).split(".")
        if parts[0] == "prizes" and len(parts) == 3:
            entry["field"] = f"{'prize' if parts[2] == 'name' else 'count'}-{parts[1]}"
        elif parts[0] in {"division_code", "organisation_id"}:
            entry["field"] = "scope"
    return error


@blueprint.get("/console/draws/<uuid:draw_id>")
@staff_required(*MANAGERS)
def one(draw_id: UUID) -> Answer:
    """A draw: where it stands, and what can be done."""
    return _one(draw_id)


def _one(draw_id: UUID, error: TanpuhuiError | None = None) -> Answer:
    with house().db.reading_session() as session:
        draw = draw_making.managed(session, staff(), draw_id)
        page = render_template(
            "rewards/draw_manage.html",
            draw=draw,
            entered=published_draws.entered(session, draw_id),
            winners=published_draws.winners_of(session, draw_id),
            handed=draw_entries.handed(session, draw_id),
            may_approve=bool(roles_here() & set(APPROVERS)),
            own=draw.created_by == staff().id,
            now=clock.now(),
            form=request.form,
            errors=form_errors(error) if error else None,
            done=request.args.get("done", ""),
            ticket=request.args.get("ticket", "")[:40],
        )
    return (page, error.status) if error else page


@blueprint.post("/console/draws/<uuid:draw_id>/approve")
@staff_required(*APPROVERS)
def approve(draw_id: UUID) -> Answer:
    """Open it."""
    try:
        draw_making.approve(house(), staff(), draw_id)
    except NotFound:
        raise
    except TanpuhuiError as error:
        return _one(draw_id, error)
    return redirect(url_for("draw_desk.one", draw_id=draw_id), 303)


@blueprint.post("/console/draws/<uuid:draw_id>/cancel")
@staff_required(*MANAGERS)
def cancel(draw_id: UUID) -> Answer:
    """Call it off; the points go back."""
    try:
        draw_making.cancel(house(), staff(), draw_id, request.form.get("reason", ""))
    except InvalidField as error:
        return _one(draw_id, error)
    return redirect(url_for("draw_desk.one", draw_id=draw_id), 303)


@blueprint.post("/console/draws/<uuid:draw_id>/witness")
@staff_required(*APPROVERS)
def witness(draw_id: UUID) -> Answer:
    """Write the public number down."""
    try:
        draw_making.witness(house(), staff(), draw_id, request.form.get("witnessed", ""))
    except InvalidField as error:
        return _one(draw_id, error)
    return redirect(url_for("draw_desk.one", draw_id=draw_id), 303)


@blueprint.post("/console/draws/<uuid:draw_id>/hand-over")
@staff_required(*MANAGERS)
def hand_over(draw_id: UUID) -> Answer:
    """Note that a prize was handed over."""
    try:
        entry = draw_entries.hand_over(house(), staff(), draw_id, request.form.get("ticket", ""))
    except InvalidField as error:
        return _one(draw_id, error)
    return redirect(url_for("draw_desk.one", draw_id=draw_id, done=entry.prize, ticket=entry.ticket), 303)
