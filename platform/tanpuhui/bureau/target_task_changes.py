"""What is done with a task of a target: set, changed, followed, done with evidence, dropped with a reason, opened again."""

from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlmodel import Session

from tanpuhui import audit, clock
from tanpuhui.bureau.participation import read_day
from tanpuhui.bureau.target_changes import day_so_far, in_turn, may_report, note
from tanpuhui.bureau.target_forms import known, line
from tanpuhui.bureau.target_tasks import TargetFollowUp, TargetTask, TaskState
from tanpuhui.bureau.targets import Target, may_edit
from tanpuhui.errors import InvalidField, NotFound, TargetChanged, TaskClosed
from tanpuhui.i18n import N_
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal


@dataclass(frozen=True)
class TaskIn:
    """A task as it is typed."""

    title: str = ""
    answerer_id: str = ""
    due_on: str = ""


def set_task(
    house: House, principal: Principal, target_id: UUID, said: TaskIn, *, chosen: UUID | None = None
) -> UUID:
    """Set a task for a target; its id. Sent twice (`chosen`) it is set once.

    For officers and admins of the district. Raises NotAllowed, NotFound, InvalidField.
    """

    def work(session: Session) -> UUID:
        may_edit(session, house, principal)
        target = session.get(Target, target_id, with_for_update=True)
        if target is None or target.withdrawn_at:
            raise NotFound
        if chosen and session.get(TargetTask, chosen):
            return chosen
        values = _read(house, session, said, target)
        task = TargetTask(target_id=target.id, created_by=principal.id, **values)
        if chosen:
            task.id = chosen
        session.add(task)
        note(session, principal, "target.task_set", target, target.basis, task=str(task.id), now=_held(task))
        return task.id

    return in_turn(house, work)


def change_task(
    house: House, principal: Principal, task_id: UUID, said: TaskIn, *, reason: str, seen: int
) -> None:
    """Change what an open task is, who answers for it or by when. `seen`: the version that the officer looked at.

    For officers and admins of the district. Raises NotAllowed, NotFound, InvalidField, TargetChanged, TaskClosed.
    """

    def work(session: Session) -> None:
        may_edit(session, house, principal)
        task, target = _open(session, task_id, seen)
        problems: list[dict[str, str]] = []
        try:
            values = _read(house, session, said, target)
        except InvalidField as error:
            problems += error.params["errors"]
        try:
            why = audit.reason(reason)
        except InvalidField as error:
            problems += error.params["errors"]
        if problems:
            raise InvalidField(errors=problems)
        was = _held(task)
        for name, value in values.items():
            setattr(task, name, value)
        if was == _held(task):
            return
        task.version += 1
        session.add(task)
        note(
            session,
            principal,
            "target.task_changed",
            target,
            why,
            task=str(task.id),
            was=was,
            now=_held(task),
        )

    in_turn(house, work)


def finish_task(
    house: House, principal: Principal, task_id: UUID, *, outcome: str, reference: str, seen: int
) -> None:
    """A task is done: what shows it, and where that is found (a link, or the number of a file).

    For whoever answers for the task or its target, and officers and admins of the district.
    Raises NotAllowed, NotFound, InvalidField, TargetChanged, TaskClosed.
    """
    words, where = line(outcome), line(reference)
    errors = []
    if not 2 <= len(words) <= 500 or not words.isprintable():
        errors.append({"field": "outcome", "reason": N_("请写明证据：做成了什么（2 到 500 字）。")})
    if not 2 <= len(where) <= 300 or not where.isprintable():
        reason = N_("请写明在哪里能看到：链接，或文件名称和文号（2 到 300 字）。")
        errors.append({"field": "reference", "reason": reason})
    _close(house, principal, task_id, TaskState.DONE, words, where, seen, errors)


def drop_task(house: House, principal: Principal, task_id: UUID, *, reason: str, seen: int) -> None:
    """A task is given up, with the reason.

    For officers and admins of the district. Raises NotAllowed, NotFound, InvalidField, TargetChanged, TaskClosed.
    """
    why, errors = line(reason), []
    try:
        why = audit.reason(reason)
    except InvalidField as error:
        errors = error.params["errors"]
    _close(house, principal, task_id, TaskState.DROPPED, why, "", seen, errors)


def _close(
    house: House,
    principal: Principal,
    task_id: UUID,
    state: TaskState,
    outcome: str,
    reference: str,
    seen: int,
    errors: list[dict[str, str]],
) -> None:
    def work(session: Session) -> None:
        task, target = _found(session, task_id)
        if state is TaskState.DONE:
            may_report(session, house, principal, target, task.answerer_id)
        else:
            may_edit(session, house, principal)
        task, target = _open(session, task_id, seen)
        if errors:
            raise InvalidField(errors=errors)
        task.state, task.outcome, task.reference = state, outcome, reference
        task.closed_at, task.closed_by = clock.now(), principal.id
        task.version += 1
        session.add(task)
        deed = "target.task_done" if state is TaskState.DONE else "target.task_dropped"
        note(session, principal, deed, target, outcome[:200], task=str(task.id), reference=reference)

    in_turn(house, work)


def reopen_task(house: House, principal: Principal, task_id: UUID, *, reason: str, seen: int) -> None:
    """Open a task again that was closed by mistake. The reason goes into its log, with what it was closed with.

    For officers and admins of the district. Raises NotAllowed, NotFound, InvalidField, TargetChanged (it is open already, or
    its target was withdrawn).
    """

    def work(session: Session) -> None:
        may_edit(session, house, principal)
        _, target = _found(session, task_id)
        session.refresh(target, with_for_update=True)  # a target is not withdrawn meanwhile
        task = session.get_one(TargetTask, task_id, with_for_update=True, populate_existing=True)
        why = audit.reason(reason)
        if task.state is TaskState.OPEN or task.version != seen or target.withdrawn_at:
            raise TargetChanged
        was = {name: getattr(task, name) for name in ("outcome", "reference", "closed_at", "closed_by")}
        entry = TargetFollowUp(
            task_id=task.id,
            on_day=clock.today(),
            text=why,
            said_by=principal.id,
            reopens=task.version + 1,
            **was,
        )
        session.add(entry)
        session.flush()  # the database asks for it before it lets the task be opened
        task.state, task.outcome, task.reference = TaskState.OPEN, "", ""
        task.closed_at = task.closed_by = None
        task.version += 1
        session.add(task)
        note(
            session,
            principal,
            "target.task_reopened",
            target,
            why,
            task=str(task.id),
            outcome=was["outcome"],
            reference=was["reference"],
        )

    in_turn(house, work)


def follow_up(
    house: House, principal: Principal, task_id: UUID, *, text: str, on_day: str, chosen: UUID | None = None
) -> None:
    """Write into the log of a task what happened on a day; also of one that is closed. Sent twice (`chosen`) it stands once.

    For whoever answers for the task or its target, and officers and admins of the district. Raises NotAllowed, NotFound, InvalidField.
    """
    said = line(text)

    def work(session: Session) -> None:
        task, target = _found(session, task_id)
        may_report(session, house, principal, target, task.answerer_id)
        if chosen and session.get(TargetFollowUp, chosen):
            return
        problems: list[dict[str, str]] = []
        day: date | None = None
        try:
            day = day_so_far(on_day, "on_day")
        except InvalidField as error:
            problems += error.params["errors"]
        if not 2 <= len(said) <= 500 or not said.isprintable():
            problems.append({"field": "text", "reason": N_("请写明进展（2 到 500 字）。")})
        if problems or day is None:
            raise InvalidField(errors=problems)
        entry = TargetFollowUp(task_id=task.id, on_day=day, text=said, said_by=principal.id)
        if chosen:
            entry.id = chosen
        session.add(entry)
        note(
            session,
            principal,
            "target.followed_up",
            target,
            said[:200],
            task=str(task.id),
            entry=str(entry.id),
        )

    in_turn(house, work)


def _found(session: Session, task_id: UUID) -> tuple[TargetTask, Target]:
    task = session.get(TargetTask, task_id)
    if task is None:
        raise NotFound
    return task, session.get_one(Target, task.target_id)


def _open(session: Session, task_id: UUID, seen: int) -> tuple[TargetTask, Target]:
    """A task to be changed, locked. Raises NotFound, TaskClosed, TargetChanged."""
    _found(session, task_id)
    task = session.get_one(TargetTask, task_id, with_for_update=True, populate_existing=True)
    if task.state is not TaskState.OPEN:
        raise TaskClosed
    if task.version != seen:
        raise TargetChanged
    return task, session.get_one(Target, task.target_id)


def _held(task: TargetTask) -> dict[str, str]:
    return {name: str(getattr(task, name)) for name in ("title", "answerer_id", "due_on")}


def _read(house: House, session: Session, said: TaskIn, target: Target) -> dict[str, Any]:
    """What a task holds. Raises InvalidField with every problem."""
    problems: list[dict[str, str]] = []
    title = line(said.title)
    if not 2 <= len(title) <= 80 or not title.isprintable():
        problems.append({"field": "title", "reason": N_("请写明要做什么（2 到 80 字）。")})
    due_on: date | None = None
    try:
        due_on = read_day(said.due_on.strip(), "due_on")
        if due_on.year != target.year:
            problems.append({"field": "due_on", "reason": N_("期限应在目标的年份之内。")})
    except InvalidField as error:
        problems += error.params["errors"]
    try:
        answerer = UUID(said.answerer_id)
    except ValueError:
        answerer = None
    if answerer not in known(session, house).answerers:
        problems.append({"field": "answerer_id", "reason": N_("没有这位工作人员，请从列表中选择。")})
    if problems:
        raise InvalidField(errors=problems)
    return {"title": title, "answerer_id": answerer, "due_on": due_on}
