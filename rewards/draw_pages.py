"""The pages of draws for everybody: the list, one with how its winners come about, its record, one's tickets."""

from collections.abc import Mapping
from importlib import resources
from uuid import UUID

from flask import Blueprint, Response, jsonify, redirect, render_template, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from rewards import draw_entries, draws, ledger, published_draws
from rewards.draws import DRAW_STATE_NAMES, DrawState
from tanpuhui import clock
from tanpuhui.divisions import Division
from tanpuhui.errors import Conflict, TanpuhuiError
from tanpuhui.staff import Organisation
from tanpuhui.web.auth import house, resident, resident_required, visitor
from tanpuhui.web.problems import document

blueprint = Blueprint("draws", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]


@blueprint.app_template_filter()
def draw_state(state: DrawState) -> str:
    """Where a draw stands, in the page's language."""
    return str(_(DRAW_STATE_NAMES[state]))


@blueprint.get("/draws")
def index() -> Answer:
    """The draws that can be entered, then those that are over."""
    with house().db.reading_session() as session:
        found = published_draws.public_draws(session)
        return render_template("rewards/draws.html", draws=found, now=clock.now())


@blueprint.get("/draws/<uuid:draw_id>")
def one(draw_id: UUID) -> Answer:
    """A draw: prizes, price, one's ticket, and everything that shows that it is fair."""
    return _one(draw_id)


def _one(draw_id: UUID, error: TanpuhuiError | None = None) -> Answer:
    here = visitor()
    with house().db.reading_session() as session:
        told = published_draws.published(session, draw_id)
        draw = told.draw
        place = (
            session.get_one(Organisation, draw.organisation_id).name
            if draw.organisation_id
            else session.get_one(Division, draw.division_code).name
        )
        page = render_template(
            "rewards/draw.html",
            draw=draw,
            told=told,
            by=place,
            where=session.get_one(Division, draw.division_code).name,
            entered=published_draws.entered(session, draw_id),
            entry=draw_entries.own_entry(session, here.id, draw_id) if here else None,
            balance=ledger.balance(session.connection(), here.id) if here else 0,
            now=clock.now(),
            pause=int(draws.PAUSE.total_seconds() // 60),
            problem=document(error) if error else None,
        )
    return (page, error.status) if error else page


@blueprint.post("/draws/<uuid:draw_id>/enter")
@resident_required
def enter(draw_id: UUID) -> Answer:
    """Take a ticket. A second tap finds it taken."""
    try:
        draw_entries.enter(house(), resident().id, draw_id)
    except Conflict as error:
        return _one(draw_id, error)
    return redirect(url_for("draws.one", draw_id=draw_id, entered=1), 303)


@blueprint.post("/draws/<uuid:draw_id>/give-up")
@resident_required
def give_up(draw_id: UUID) -> Answer:
    """Give the ticket back before the draw closes; the points come back."""
    try:
        draw_entries.give_up(house(), resident().id, draw_id)
    except Conflict as error:
        return _one(draw_id, error)
    return redirect(url_for("draws.one", draw_id=draw_id, given_up=1), 303)


@blueprint.get("/draws/<uuid:draw_id>/record.json")
def record(draw_id: UUID) -> Response:
    """What is published of a draw, as the script reads it."""
    with house().db.reading_session() as session:
        found: Mapping[str, object] = published_draws.published(session, draw_id).record
    answer = jsonify(found)
    answer.headers["Content-Disposition"] = f'attachment; filename="draw-{draw_id}.json"'
    return answer


@blueprint.get("/draws/repeat_draw.py")
def script() -> Response:
    """The script that repeats a draw, without this platform."""
    text = resources.files("rewards").joinpath("repeat_draw.py").read_text(encoding="utf-8")
    headers = {"Content-Disposition": 'attachment; filename="repeat_draw.py"'}
    return Response(text, mimetype="text/x-python", headers=headers)


@blueprint.get("/me/draws")
@resident_required
def mine() -> Answer:
    """One's tickets, and what they won."""
    with house().db.reading_session() as session:
        found = draw_entries.own_entries(session, resident().id)
        return render_template("rewards/own_draws.html", found=found, now=clock.now())
