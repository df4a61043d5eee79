"""The bureau's pages of targets: the tree of a year, one target, and the forms that set, change and withdraw it."""

from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask_babel import gettext
from sqlmodel import Session, col, select

from tanpuhui import audit, clock
from tanpuhui.audit import AuditEntry
from tanpuhui.bureau import target_changes as changes
from tanpuhui.bureau.pages import Answer
from tanpuhui.bureau.participation import READERS, reads_statistics
from tanpuhui.bureau.target_forms import FIELDS, Known, TargetIn, known, typed
from tanpuhui.bureau.target_imports import staff_names
from tanpuhui.bureau.target_measures import MEASURES, UNIT_NAMES, Counted
from tanpuhui.bureau.target_progress import number_of, progress
from tanpuhui.bureau.target_tasks import TargetTask, TaskState, tasks_of, unseen
from tanpuhui.bureau.targets import (
    DEEPEST,
    EDITORS,
    FIRST_YEAR,
    LAST_YEAR,
    WAY_NAMES,
    Target,
    TargetProgress,
    depths,
    divided,
    is_editor,
    may_edit,
    one_readable,
    parts_of,
    readable,
    years,
)
from tanpuhui.divisions import Division
from tanpuhui.errors import NotAllowed, NotFound, TanpuhuiError
from tanpuhui.i18n import N_
from tanpuhui.web.auth import house, staff, staff_required
from tanpuhui.web.formatting import Amount, as_written, language, quantity, whole
from tanpuhui.web.forms import chosen_id, form_errors

blueprint = Blueprint("target_desk", __name__)


# --- words --------------------------------------------------------------------------------------------------


@blueprint.app_template_filter()
def of_target(milli: int, target: Target) -> Amount:
    """Thousandths of the unit of a target, as people read them: cut, never rounded up."""
    if target.unit in UNIT_NAMES:
        return Amount(whole(milli // 1000), gettext(UNIT_NAMES[target.unit]))  # nobody is half there
    found = quantity(milli, target.unit)
    match target.measure:
        case Counted.CO2E:
            return Amount(found.number, f"{found.unit} CO₂e")
        case Counted.FREE:  # a unit of their own
            return Amount(found.number, as_written(found.unit))
    return found


@blueprint.app_template_filter()
def measure_name(counted: Counted) -> str:
    """What is counted, in words."""
    return str(gettext(MEASURES[counted].name))


@blueprint.app_template_filter()
def how_counted(counted: Counted) -> str:
    """How it is counted, in words."""
    return str(gettext(MEASURES[counted].how))


@blueprint.app_template_filter()
def permille(share: int | None) -> str:
    """Thousandths as a percentage with one decimal: 423 -> 42.3%."""
    return "–" if share is None else f"{share // 10:,}.{share % 10}%"


_DEEDS = {
    "target.set": N_("定下目标"),
    "target.changed": N_("修改目标"),
    "target.withdrawn": N_("撤回目标"),
    "target.progress": N_("填写进展"),
    "target.task_set": N_("定下任务"),
    "target.task_changed": N_("修改任务"),
    "target.task_done": N_("办结任务"),
    "target.task_dropped": N_("取消任务"),
    "target.task_reopened": N_("重新打开任务"),
    "target.followed_up": N_("记下跟进"),
}
_NAMES = {
    "measure": N_("指标"),
    "kind": N_("行为"),
    "subject": N_("统计什么"),
    "unit": N_("单位"),
    "amount_milli": N_("目标值"),
    "division_code": N_("街镇"),
    "department": N_("部门"),
    "answerer_id": N_("负责人"),
    "basis": N_("依据"),
    "due_on": N_("期限"),
    "notes": N_("备注"),
}
_TOLD = ("amount_milli", "due_on", "department")


@blueprint.app_template_filter()
def target_deed(entry: AuditEntry) -> str:
    """What was done with a target, in words: of a change what it says now, where that reads without more."""
    words = str(gettext(_DEEDS.get(entry.deed, entry.deed)))
    was = entry.detail.get("was", {}) if entry.deed == "target.changed" else {}
    told = [_told(name, before, entry.detail["now"][name]) for name, before in was.items()]
    return f"{words}{gettext('：')}{gettext('；').join(told)}" if told else words


def _told(name: str, was: Any, now: Any) -> str:
    words = str(gettext(_NAMES[name]))
    if name not in _TOLD:
        return words
    cells = [quantity(int(cell), "").number if name == "amount_milli" else cell or "–" for cell in (was, now)]
    return f"{words} {cells[0]} → {cells[1]}"


# --- the tree of a year -------------------------------------------------------------------------------------


@blueprint.get("/bureau/targets")
@staff_required(*READERS)
def listed() -> Answer:
    """The targets of a year: what each is, how far it is, and where the parts do not sum to the whole."""
    year = request.args.get("year", clock.today().year, type=int)
    year = min(max(year, FIRST_YEAR), LAST_YEAR)
    with house().db.reading_session() as session:
        found = readable(session, house(), staff(), year)
        parts = parts_of(session, found)
        return render_template(
            "bureau/targets.html",
            year=year,
            years=sorted({*years(session), year}),
            today=clock.today(),
            targets=found,
            depth=depths(found),
            parts={one.id: divided(one, parts[one.id]) for one in found},
            progress=progress(session.connection(), found, clock.today()),
            late=_late(session, found),
            reminders=unseen(session, staff()),
            may_edit=is_editor(session, house(), staff()),
            **_words(session, found),
        )


def _late(session: Session, found: list[Target]) -> dict[UUID, int]:
    """How many open tasks of each target are past their due day."""
    query = select(TargetTask.target_id).where(
        TargetTask.state == TaskState.OPEN,
        TargetTask.due_on < clock.today(),
        col(TargetTask.target_id).in_([one.id for one in found]),
    )
    late: dict[UUID, int] = {}
    for target_id in session.exec(query):
        late[target_id] = late.get(target_id, 0) + 1
    return late


def _words(session: Session, found: list[Target]) -> dict[str, Any]:
    """Places and people by what targets keep of them."""
    codes = {one.division_code for one in found}
    places = session.exec(select(Division).where(col(Division.code).in_(codes))).all()
    return {
        "places_by_code": {one.code: one.name for one in places},
        "people": staff_names(session, {one.answerer_id for one in found}),
        "way_names": WAY_NAMES,
    }


# --- one target ---------------------------------------------------------------------------------------------


@blueprint.get("/bureau/targets/<uuid:target_id>")
@staff_required(*READERS)
def one(target_id: UUID) -> Answer:
    """A target: how far it is and how that is computed, its parts, its tasks, and who changed what."""
    return _one(target_id)


def _one(target_id: UUID, step: str = "", error: TanpuhuiError | None = None) -> Answer:
    """A target; with what is wrong with the form that takes a `step`."""
    with house().db.reading_session() as session:
        target = one_readable(session, house(), staff(), target_id)
        family = readable(session, house(), staff(), target.year)
        parts = [other for other in family if other.parent_id == target.id]
        every_part = parts_of(session, [target])[target.id]
        editor = is_editor(session, house(), staff())
        tasks = tasks_of(session, target.id)
        entered = _entered(session, target)
        log = audit.history(session, f"target:{target.id}", target.created_at)
        page = render_template(
            "bureau/target.html",
            target=target,
            parent=next((other for other in family if other.id == target.parent_id), None),
            parts=parts,
            divided=divided(target, every_part),
            hidden=len(every_part) - len(parts),
            progress=progress(session.connection(), [target, *parts], clock.today()),
            traced=number_of(target, clock.today()) if reads_statistics(session, house(), staff()) else None,
            today=clock.today(),
            tasks=tasks,
            entered=entered,
            log=log,
            deepest=_depth(session, target) >= DEEPEST,
            may_edit=editor and target.withdrawn_at is None,
            may_report=(editor or target.answerer_id == staff().id) and target.withdrawn_at is None,
            choices=_choices(known(session, house())) if editor else {},
            typed=typed(target),
            form=request.form,
            errors={step: form_errors(error)} if error else {},
            **_words(session, [target, *parts])
            | {"people": _people(session, target, parts, tasks, entered, log)},
        )
    return (page, error.status) if error else page


def _people(
    session: Session, target: Target, parts: Any, tasks: Any, entered: Any, log: list[AuditEntry] | Any
) -> Any:
    wanted = {target.answerer_id, *(one.answerer_id for one in (*parts, *tasks))}
    wanted |= {one.said_by for one in entered} | {one.actor_id for one in log if one.actor_id}
    return staff_names(session, wanted)


def _depth(session: Session, target: Target) -> int:
    """How many targets there are from the root to this one."""
    depth, above = 1, target
    while above.parent_id is not None:
        depth, above = depth + 1, session.get_one(Target, above.parent_id)
    return depth


def _entered(session: Session, target: Target) -> Any:
    query = select(TargetProgress).where(TargetProgress.target_id == target.id)
    newest = (
        col(TargetProgress.as_of).desc(),
        col(TargetProgress.said_at).desc(),
        col(TargetProgress.id).desc(),
    )
    return session.exec(query.order_by(*newest)).all()


def _choices(known: Known) -> dict[str, list[tuple[str, list[tuple[str, str]]]]]:
    """What the fields of a form offer."""
    is_english = language() == "en"
    kinds = [(code, kind.name_en if is_english else kind.name_zh) for code, kind in known.kinds.items()]
    return {
        "measure": [("", [(one.value, measure_name(one)) for one in Counted])],
        "kind": [("", kinds)],
        "division_code": [("", [(code, place.name) for code, place in known.divisions.items()])],
        "answerer_id": [("", [(str(found), name) for found, name in known.answerers.items()])],
    }


def said() -> TargetIn:
    """A target as the form says it."""
    return TargetIn(**{name: request.form.get(name, "") for name in FIELDS})


def seen() -> int:
    """The version that the form was made from; one that never stands, if it carries none."""
    return request.form.get("seen", -1, type=int)


@blueprint.route("/bureau/targets/new", methods=["GET", "POST"])
@staff_required(*EDITORS)
def new() -> Answer:
    """Set a target of the district for a year, or a part of another one."""
    error: TanpuhuiError | None = None
    year, parent_id = request.args.get("year", clock.today().year, type=int), _parent_id()
    if request.method == "POST":
        try:
            made = changes.set_target(
                house(), staff(), year, said(), parent_id=parent_id, chosen=chosen_id(staff())
            )
            return redirect(url_for("target_desk.one", target_id=made), 303)
        except TanpuhuiError as problem:
            if isinstance(problem, NotAllowed | NotFound):
                raise
            error = problem
    with house().db.reading_session() as session:
        may_edit(session, house(), staff())
        parent = one_readable(session, house(), staff(), parent_id) if parent_id else None
        if parent and (parent.withdrawn_at or _depth(session, parent) >= DEEPEST):
            raise NotFound
        page = render_template(
            "bureau/target_new.html",
            year=parent.year if parent else year,
            parent=parent,
            choices=_choices(known(session, house())),
            form=request.form if error else _begun(parent, year),
            errors=form_errors(error) if error else {},
            **_words(session, [parent] if parent else []),
        )
    return (page, error.status) if error else page


def _parent_id() -> UUID | None:
    """The target that is to be divided. Raises NotFound for what is no id."""
    text = request.args.get("parent", "")
    try:
        return UUID(text) if text else None
    except ValueError:
        raise NotFound from None


def _begun(parent: Target | None, year: int) -> dict[str, Any]:
    """What a new form says already: a part counts what the whole counts."""
    if parent is None:
        return {
            "division_code": house().settings.district_code,
            "due_on": f"{year}-12-31",
            "answerer_id": str(staff().id),
        }
    begun = dict(vars(typed(parent)))
    return begun | {"amount": "", "department": "", "notes": ""}


@blueprint.post("/bureau/targets/<uuid:target_id>/<any(change, withdraw, progress):step>")
@staff_required(*READERS)
def act(target_id: UUID, step: str) -> Answer:
    """Change a target, withdraw it, or say what was reached; what was typed stays in the form until it is taken."""
    reason, form = request.form.get("reason", ""), request.form
    try:
        if step == "change":
            changes.change_target(house(), staff(), target_id, said(), reason=reason, seen=seen())
        elif step == "withdraw":
            changes.withdraw_target(house(), staff(), target_id, reason=reason, seen=seen())
        else:
            changes.enter_progress(
                house(),
                staff(),
                target_id,
                amount=form.get("amount", ""),
                as_of=form.get("as_of", ""),
                evidence=form.get("evidence", ""),
                chosen=chosen_id(staff()),
            )
    except TanpuhuiError as error:
        if isinstance(error, NotAllowed | NotFound):
            raise
        return _one(target_id, step, error)
    return redirect(url_for("target_desk.one", target_id=target_id), 303)
