"""Complaints, suggestions and questions, as residents see them."""

import json
from datetime import date
from typing import Any
from uuid import UUID

from flask import Blueprint, get_template_attribute, redirect, render_template, request, url_for
from flask_babel import gettext, ngettext
from werkzeug.wrappers import Response as AnyResponse

from tanpuhui import clock, feedback, ids, workdays
from tanpuhui.errors import KeyReused, NotFound, TanpuhuiError
from tanpuhui.feedback import (
    ANSWER_WITHIN,
    FEEDBACK_KIND_NAMES,
    FEEDBACK_STATE_NAMES,
    About,
    Feedback,
    FeedbackState,
)
from tanpuhui.web.auth import house, resident, resident_required
from tanpuhui.web.forms import form_errors

blueprint = Blueprint("feedback", __name__)

Answer = str | AnyResponse | tuple[str, int]


# --- words for every template ---------------------------------------------------------------------------------


@blueprint.app_template_filter()
def feedback_kind(kind: str) -> str:
    """Complaint, suggestion or question, in the page's language."""
    return str(gettext(FEEDBACK_KIND_NAMES[feedback.FeedbackKind(kind)]))


@blueprint.app_template_filter()
def feedback_state(state: FeedbackState) -> str:
    """Where it stands, in the page's language."""
    return str(gettext(FEEDBACK_STATE_NAMES[state]))


@blueprint.app_template_filter()
def days_left(due_on: date) -> str:
    """How far off the last day for an answer is, in calendar days and in words."""
    days = (due_on - clock.today()).days
    if days < 0:
        return str(ngettext("已超期 %(num)s 天", "已超期 %(num)s 天", -days))
    return str(ngettext("还有 %(num)s 天", "还有 %(num)s 天", days) if days else gettext("今天到期"))


@blueprint.app_template_test()
def overdue(one: Feedback) -> bool:
    """Whether an answer is late."""
    return one.state is FeedbackState.OPEN and one.due_on < clock.today()


@blueprint.app_template_global()
def holidays_known(day: date) -> bool:
    """Whether working days up to `day` were counted with that year's holidays."""
    return workdays.is_announced(day.year)


@blueprint.app_template_global()
def topic_of(one: Feedback | About, words: str) -> Any:
    """What a feedback is about, by the macro `words` of its topic; None if about nothing, or gone."""
    topic = house().topics.get(one.topic or "")
    thing = one.id if isinstance(one, About) else one.topic_id
    if topic is None or thing is None:
        return None
    with house().db.reading() as connection:
        seen = topic.look(connection, thing)
    return get_template_attribute(topic.template, words)(seen) if seen else None


# --- writing in ------------------------------------------------------------------------------------------------


@blueprint.get("/feedback")
@resident_required
def start() -> Answer:
    """Choose what it is, and write; ``?kind=`` and ``?site=`` or ``?action=`` say more where a page led here."""
    form = {"kind": request.args.get("kind", ""), "key": ids.new_id().hex}
    return _start(form, _about(request.args, ""))


@blueprint.post("/feedback")
@resident_required
def send() -> Answer:
    """Take it in; sent twice, it is one."""
    form = {name: request.form.get(name, "") for name in ("kind", "text", "key")}
    about = _about(request.form, "_id")
    try:
        answer = feedback.write_in(house(), resident().id, **form, about=about)
    except KeyReused:  # the form was sent before, and its words were changed afterwards: those are a new one
        return _start({**form, "key": ids.new_id().hex}, about, again=True), KeyReused.status
    except TanpuhuiError as error:
        if isinstance(error, NotFound):
            raise
        return _start(form, about, form_errors(error)), error.status
    return redirect(url_for("feedback.thread", feedback_id=json.loads(answer.body)["feedback"]["id"]), 303)


def _about(given: Any, suffix: str) -> About | None:
    """The topic that an address or a form names. Raises NotFound for one that the resident may not name."""
    for key, topic in house().topics.items():
        if text := given.get(f"{key}{suffix}"):
            try:
                about = About(key, UUID(text))
            except ValueError:
                raise NotFound from None
            with house().db.reading() as connection:
                if not topic.may_name(connection, resident().id, about.id):
                    raise NotFound
            return about
    return None


def _start(
    form: dict[str, str], about: About | None, errors: dict[str, str] | None = None, *, again: bool = False
) -> str:
    kinds = [
        (
            kind.value,
            gettext(name),
            ngettext("%(num)s 个工作日内答复", "%(num)s 个工作日内答复", ANSWER_WITHIN[kind]),
        )
        for kind, name in FEEDBACK_KIND_NAMES.items()
    ]
    return render_template(
        "feedback/start.html",
        form=form,
        kinds=kinds,
        about=about,
        errors=errors,
        again=again,
        longest=feedback.LONGEST,
    )


# --- one's own --------------------------------------------------------------------------------------------------


@blueprint.get("/me/feedback")
@resident_required
def mine() -> Answer:
    """What one wrote in, and where each stands."""
    with house().db.reading_session() as session:
        found = feedback.own(session, resident().id)
    return render_template("feedback/mine.html", found=found)


@blueprint.get("/me/feedback/<uuid:feedback_id>")
@resident_required
def thread(feedback_id: UUID) -> Answer:
    """What was said, and what can be said next."""
    return _thread(feedback_id)


def _thread(feedback_id: UUID, errors: dict[str, str] | None = None) -> str:
    with house().db.reading_session() as session:
        one = feedback.own_one(session, resident().id, feedback_id)
        entries = feedback.entries(session, feedback_id)
    return render_template(
        "feedback/thread.html",
        one=one,
        entries=entries,
        form=request.form,
        errors=errors,
        longest=feedback.LONGEST,
        closed_after=feedback.CLOSED_AFTER.days,
    )


@blueprint.post("/me/feedback/<uuid:feedback_id>/say")
@resident_required
def say(feedback_id: UUID) -> Answer:
    """Add something; of an answered one it says that it is not solved."""
    try:
        feedback.say(house(), resident().id, feedback_id, request.form.get("text", ""))
    except TanpuhuiError as error:
        if isinstance(error, NotFound):
            raise
        return _thread(feedback_id, form_errors(error)), error.status
    return redirect(url_for("feedback.thread", feedback_id=feedback_id), 303)


@blueprint.post("/me/feedback/<uuid:feedback_id>/close")
@resident_required
def close(feedback_id: UUID) -> Answer:
    """It is solved."""
    feedback.close(house(), resident().id, feedback_id)
    return redirect(url_for("feedback.thread", feedback_id=feedback_id), 303)
