"""The bureau's pages of tasks under a target, their log, and what somebody is reminded of."""

from uuid import UUID

from flask import Blueprint, g, redirect, render_template, request, url_for
from flask_babel import gettext, ngettext

from tanpuhui import clock
from tanpuhui.bureau import target_task_changes as changes
from tanpuhui.bureau.pages import Answer
from tanpuhui.bureau.participation import READERS
from tanpuhui.bureau.target_forms import known
from tanpuhui.bureau.target_imports import staff_names
from tanpuhui.bureau.target_task_changes import TaskIn
from tanpuhui.bureau.target_tasks import STATE_NAMES, TargetTask, TaskState, follow_ups_of, mark_seen, unseen
from tanpuhui.bureau.targets import EDITORS, is_editor, may_edit, one_readable
from tanpuhui.divisions import Division
from tanpuhui.errors import NotAllowed, NotFound, TanpuhuiError
from tanpuhui.web.auth import house, safe_next, staff, staff_required
from tanpuhui.web.forms import chosen_id, form_errors

blueprint = Blueprint("target_task_desk", __name__)


def menu_text() -> str:
    """The name of the targets in the menu, with how many reminders wait."""
    if "_reminders" not in g:
        with house().db.reading_session() as session:
            g.setdefault("_reminders", len(unseen(session, staff())))
    waiting: int = g.get("_reminders")
    if not waiting:
        return str(gettext("目标管理"))
    return str(ngettext("目标（%(num)s 条提醒）", "目标（%(num)s 条提醒）", waiting))


@blueprint.app_template_filter()
def task_state(state: TaskState) -> str:
    """How a task stands, in words."""
    return str(gettext(STATE_NAMES[state]))


def _said() -> TaskIn:
    return TaskIn(**{name: request.form.get(name, "") for name in ("title", "answerer_id", "due_on")})


def _seen() -> int:
    return request.form.get("seen", -1, type=int)


@blueprint.route("/bureau/targets/<uuid:target_id>/new-task", methods=["GET", "POST"])
@staff_required(*EDITORS)
def new(target_id: UUID) -> Answer:
    """Set a task for a target."""
    error: TanpuhuiError | None = None
    if request.method == "POST":
        try:
            made = changes.set_task(house(), staff(), target_id, _said(), chosen=chosen_id(staff()))
            return redirect(url_for("target_task_desk.one", task_id=made), 303)
        except TanpuhuiError as problem:
            if isinstance(problem, NotAllowed | NotFound):
                raise
            error = problem
    with house().db.reading_session() as session:
        may_edit(session, house(), staff())
        target = one_readable(session, house(), staff(), target_id)
        if target.withdrawn_at:
            raise NotFound
        page = render_template(
            "bureau/target_task_new.html",
            target=target,
            place_name=session.get_one(Division, target.division_code).name,
            answerers=[
                ("", [(str(found), name) for found, name in known(session, house()).answerers.items()])
            ],
            form=request.form if error else {"answerer_id": str(target.answerer_id)},
            errors=form_errors(error) if error else {},
        )
    return (page, error.status) if error else page


@blueprint.get("/bureau/targets/tasks/<uuid:task_id>")
@staff_required(*READERS)
def one(task_id: UUID) -> Answer:
    """A task, its log, and the forms that change and close it."""
    return _one(task_id)


def _one(task_id: UUID, step: str = "", error: TanpuhuiError | None = None) -> Answer:
    """A task; with what is wrong with the form that takes a `step`."""
    with house().db.reading_session() as session:
        task = session.get(TargetTask, task_id)
        if task is None:
            raise NotFound
        target = one_readable(session, house(), staff(), task.target_id)
        editor = is_editor(session, house(), staff())
        log = follow_ups_of(session, task.id)
        wanted = {task.answerer_id, task.created_by, *(entry.said_by for entry in log)}
        wanted |= {entry.closed_by for entry in log if entry.closed_by}
        page = render_template(
            "bureau/target_task.html",
            task=task,
            target=target,
            place_name=session.get_one(Division, target.division_code).name,
            log=log,
            today=clock.today(),
            people=staff_names(session, wanted | ({task.closed_by} if task.closed_by else set())),
            may_edit=editor,
            may_report=editor or staff().id in {task.answerer_id, target.answerer_id},
            answerers=[
                ("", [(str(found), name) for found, name in known(session, house()).answerers.items()])
            ],
            form=request.form,
            errors={step: form_errors(error)} if error else {},
        )
    return (page, error.status) if error else page


@blueprint.post("/bureau/targets/tasks/<uuid:task_id>/<any(change, done, drop, reopen, follow):step>")
@staff_required(*READERS)
def act(task_id: UUID, step: str) -> Answer:
    """Change a task, close it, open it again, or write into its log; what was typed stays in the form until it is taken."""
    form, reason = request.form, request.form.get("reason", "")
    try:
        if step == "change":
            changes.change_task(house(), staff(), task_id, _said(), reason=reason, seen=_seen())
        elif step == "done":
            changes.finish_task(
                house(),
                staff(),
                task_id,
                outcome=form.get("outcome", ""),
                reference=form.get("reference", ""),
                seen=_seen(),
            )
        elif step == "drop":
            changes.drop_task(house(), staff(), task_id, reason=reason, seen=_seen())
        elif step == "reopen":
            changes.reopen_task(house(), staff(), task_id, reason=reason, seen=_seen())
        else:
            changes.follow_up(
                house(),
                staff(),
                task_id,
                text=form.get("text", ""),
                on_day=form.get("on_day", ""),
                chosen=chosen_id(staff()),
            )
    except TanpuhuiError as error:
        if isinstance(error, NotAllowed | NotFound):
            raise
        return _one(task_id, step, error)
    return redirect(url_for("target_task_desk.one", task_id=task_id), 303)


@blueprint.post("/bureau/targets/reminders/<uuid:reminder_id>/seen")
@staff_required(*READERS)
def see(reminder_id: UUID) -> Answer:
    """Whoever answers for a task has seen its reminder."""
    mark_seen(house(), staff(), reminder_id)
    return redirect(safe_next(request.form.get("next"), url_for("target_desk.listed")), 303)
