"""The bureau's desk for what residents write in: the queue, and the answer."""

from uuid import UUID

from flask import Blueprint, g, redirect, render_template, request, url_for
from flask_babel import gettext, ngettext
from sqlmodel import Session, col, select
from werkzeug.wrappers import Response as AnyResponse

from tanpuhui import clock, divisions
from tanpuhui.bureau import answers
from tanpuhui.divisions import Division
from tanpuhui.errors import NotAllowed, NotFound, TanpuhuiError
from tanpuhui.feedback import ANSWER_WITHIN, LONGEST, FeedbackState, entries
from tanpuhui.web.auth import house, saw, staff, staff_required
from tanpuhui.web.forms import form_errors

blueprint = Blueprint("feedback_desk", __name__)

Answer = str | AnyResponse | tuple[str, int]


def menu_text() -> str:
    """The name of the desk in the menu, with how many answers are late."""
    if "_overdue" not in g:
        with house().db.reading_session() as session:
            g.setdefault("_overdue", answers.overdue(session, staff(), clock.today()))
    late: int = g.get("_overdue")
    if not late:
        return str(gettext("来信"))
    return str(ngettext("来信（%(num)s 件超期）", "来信（%(num)s 件超期）", late))


@blueprint.get("/bureau/feedback")
@staff_required(*answers.ANSWERERS)
def queue() -> Answer:
    """What waits for an answer, the most urgent first; or what was answered, or closed."""
    try:
        state = FeedbackState(request.args.get("state", FeedbackState.OPEN.value))
    except ValueError:
        raise NotFound from None
    page = min(max(request.args.get("page", 1, type=int), 1), 10_000)
    with house().db.reading_session() as session:
        found, more = answers.queue(session, staff(), state, page)
        names = _names(session, {one.division_code for one in found})
    return render_template(
        "bureau/feedback.html",
        found=found,
        names=names,
        state=state,
        states=list(FeedbackState),
        page=page,
        more=more,
        within=ANSWER_WITHIN,
    )


@blueprint.get("/bureau/appeals")
@staff_required(*answers.ANSWERERS)
def appeals() -> Answer:
    """Who contests that a scan was refused, or that a record was voided or rejected; the most urgent first."""
    with house().db.reading_session() as session:
        found = answers.appeals(session, staff(), house().topics.values())
        names = _names(session, {one.division_code for one in found})
    return render_template("bureau/appeals.html", found=found, names=names)


def _names(session: Session, communities: set[str]) -> dict[str, str]:
    """Communities by code, each with its 街镇."""
    wanted = communities | {divisions.street_of(code) for code in communities}
    found = session.exec(select(Division).where(col(Division.code).in_(wanted))).all()
    names = {one.code: one.name for one in found}
    return {code: f"{names[divisions.street_of(code)]} · {names[code]}" for code in communities}


@blueprint.get("/bureau/feedback/<uuid:feedback_id>")
@staff_required(*answers.ANSWERERS)
def one(feedback_id: UUID) -> Answer:
    """What was said, and the form for an answer; that it was read is written down."""
    page = _one(feedback_id)
    saw(f"feedback:{feedback_id}")
    return page


def _one(feedback_id: UUID, errors: dict[str, str] | None = None) -> str:
    with house().db.reading_session() as session:
        found = answers.one(session, staff(), feedback_id)
        said = entries(session, feedback_id)
        names = _names(session, {found.division_code})
    return render_template(
        "bureau/feedback_one.html",
        one=found,
        entries=said,
        place_name=names[found.division_code],
        form=request.form,
        errors=errors,
        longest=LONGEST,
    )


@blueprint.post("/bureau/feedback/<uuid:feedback_id>")
@staff_required(*answers.ANSWERERS)
def answer(feedback_id: UUID) -> Answer:
    """Answer; what was written stays in the field until it is taken."""
    try:
        seen = UUID(request.form.get("seen", ""))
    except ValueError:
        raise NotFound from None
    try:
        answers.answer(house(), staff(), feedback_id, text=request.form.get("text", ""), seen=seen)
    except TanpuhuiError as error:
        if isinstance(error, NotFound | NotAllowed):
            raise
        return _one(feedback_id, form_errors(error)), error.status
    return redirect(url_for("feedback_desk.one", feedback_id=feedback_id), 303)
