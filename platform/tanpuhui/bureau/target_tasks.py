"""Tasks under a target, the log of what followed (跟进记录), and the reminders that no task is late in silence."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, Session, SQLModel, col, select
from sqlmodel.sql.sqltypes import UTCDateTime

from tanpuhui import clock, ids
from tanpuhui.bureau.targets import Target
from tanpuhui.db import enum_type
from tanpuhui.errors import NotAllowed, NotFound
from tanpuhui.i18n import N_
from tanpuhui.rooms import House
from tanpuhui.schema import Guard
from tanpuhui.sessions import Principal


class TaskState(StrEnum):
    """How a task stands."""

    OPEN = "open"
    DONE = "done"
    DROPPED = "dropped"


STATE_NAMES = {TaskState.OPEN: N_("未办结"), TaskState.DONE: N_("已办成"), TaskState.DROPPED: N_("已取消")}


class TargetTask(SQLModel, table=True):
    """Something to be done for a target by a day. Done with evidence (`outcome`, and where it is found), or dropped with a reason."""

    __tablename__ = "target_task"
    __table_args__ = (
        sa.CheckConstraint("title <> ''", name="title"),
        sa.CheckConstraint(
            "(state = 'open') = (closed_at IS NULL) AND (closed_at IS NULL) = (closed_by IS NULL)"
            " AND (state = 'open') = (outcome = '')",
            name="closed",
        ),
        sa.CheckConstraint("reference = '' OR state = 'done'", name="reference"),
        sa.CheckConstraint("version >= 1", name="version"),
        sa.Index("ix_target_task_state_due_on", "state", "due_on"),
    )

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    target_id: UUID = Field(foreign_key="target.id", index=True)
    title: str = Field(max_length=80)
    answerer_id: UUID = Field(foreign_key="staff.id", index=True)
    due_on: date
    state: TaskState = Field(default=TaskState.OPEN, sa_type=enum_type(TaskState))
    outcome: str = Field(default="", max_length=500)
    reference: str = Field(default="", max_length=300)
    closed_at: datetime | None = None
    closed_by: UUID | None = Field(default=None, foreign_key="staff.id")
    version: int = 1
    created_by: UUID = Field(foreign_key="staff.id")
    created_at: datetime = Field(default_factory=clock.now)


class TargetFollowUp(SQLModel, table=True):
    """What happened with a task on a day, and who says so. Nothing is edited.

    One that opens a closed task again (`reopens`: the version that it makes of it) keeps what that was closed with.
    """

    __tablename__ = "target_follow_up"
    __table_args__ = (
        sa.CheckConstraint("text <> ''", name="text"),
        sa.CheckConstraint(
            "(reopens IS NULL) = (outcome IS NULL) AND (reopens IS NULL) = (reference IS NULL)"
            " AND (reopens IS NULL) = (closed_at IS NULL) AND (reopens IS NULL) = (closed_by IS NULL)",
            name="reopens",
        ),
        sa.UniqueConstraint("task_id", "reopens"),
        sa.Index("ix_target_follow_up_task_id_on_day", "task_id", "on_day"),
    )

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    task_id: UUID = Field(foreign_key="target_task.id")
    on_day: date
    text: str = Field(max_length=500)
    said_by: UUID = Field(foreign_key="staff.id")
    said_at: datetime = Field(default_factory=clock.now)
    reopens: int | None = None
    outcome: str | None = Field(default=None, max_length=500)
    reference: str | None = Field(default=None, max_length=300)
    closed_at: datetime | None = None
    closed_by: UUID | None = Field(default=None, foreign_key="staff.id")


class Step(StrEnum):
    """When somebody is reminded of a task."""

    MONTH = "month"
    WEEK = "week"
    OVERDUE = "overdue"


#: So many days before the due day, or less; the last that applies is the one that is told.
STEPS = ((Step.MONTH, 30), (Step.WEEK, 7), (Step.OVERDUE, -1))


class TargetReminder(SQLModel, table=True):
    """Whoever answers for a task is reminded of its due day, once a step; seen when they say so."""

    __tablename__ = "target_reminder"
    __table_args__ = (
        sa.UniqueConstraint("task_id", "due_on", "step"),
        sa.CheckConstraint("(seen_at IS NULL) = (seen_by IS NULL)", name="seen"),
    )

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    task_id: UUID = Field(foreign_key="target_task.id")
    due_on: date
    step: Step = Field(sa_type=enum_type(Step))
    noted_at: datetime = Field(default_factory=clock.now)
    seen_at: datetime | None = None
    seen_by: UUID | None = Field(default=None, foreign_key="staff.id")


GUARDS = (
    Guard("target_task", "counted", "UPDATE", "NEW.version <> OLD.version + 1", "each change counts"),
    Guard("target_task", "ended", "UPDATE", "OLD.state <> 'open'", "a closed one is not changed"),
    Guard("target_task", "kept", "DELETE", "true", "nothing is deleted"),
    Guard("target_follow_up", "fixed", "UPDATE", "true", "nothing is edited"),
    Guard("target_follow_up", "kept", "DELETE", "true", "nothing is deleted"),
)

_KEPT = ("outcome", "reference", "closed_at", "closed_by")
_SAME = ("target_id", "title", "answerer_id", "due_on", "created_by", "created_at")

#: Since a closed task can be opened again: the first stands in place of the guard of the same name.
REOPENING = (
    Guard(
        "target_task",
        "ended",
        "UPDATE",
        "OLD.state <> 'open' AND (NEW.state <> 'open'"
        + "".join(f" OR NEW.{name} {{differs}} OLD.{name}" for name in _SAME)
        + " OR NOT EXISTS (SELECT 1 FROM target_follow_up f WHERE f.task_id = NEW.id AND f.reopens = NEW.version)"
        " OR NOT EXISTS (SELECT 1 FROM target t WHERE t.id = NEW.target_id AND t.withdrawn_at IS NULL))",
        "a closed one is only opened again, with a word in its log",
    ),
    Guard(
        "target_follow_up",
        "tells",
        "INSERT",
        "NEW.reopens IS NOT NULL AND NOT EXISTS (SELECT 1 FROM target_task t WHERE t.id = NEW.task_id"
        " AND t.state <> 'open' AND t.version + 1 = NEW.reopens"
        + "".join(f" AND t.{name} = NEW.{name}" for name in _KEPT)
        + ")",
        "what is opened again was closed so",
    ),
)


def tasks_of(session: Session, target_id: UUID) -> Sequence[TargetTask]:
    """The tasks of a target: the open ones first, the most urgent before the others."""
    is_closed = sa.case((col(TargetTask.state) == TaskState.OPEN, 0), else_=1)
    query = select(TargetTask).where(TargetTask.target_id == target_id)
    return session.exec(query.order_by(is_closed, col(TargetTask.due_on), col(TargetTask.id))).all()


def follow_ups_of(session: Session, task_id: UUID) -> Sequence[TargetFollowUp]:
    """The log of a task, the latest day first."""
    query = select(TargetFollowUp).where(TargetFollowUp.task_id == task_id)
    return session.exec(
        query.order_by(
            col(TargetFollowUp.on_day).desc(),
            col(TargetFollowUp.said_at).desc(),
            col(TargetFollowUp.id).desc(),
        )
    ).all()


# --- reminders ----------------------------------------------------------------------------------------------


def step_of(due_on: date, today: date) -> Step | None:
    """Of what somebody is reminded today: the last step that has come. Overdue is what is not done the day after."""
    left = (due_on - today).days
    come = [step for step, days in STEPS if left <= days]
    return come[-1] if come else None


def remind(_house: House, connection: Connection, now: datetime) -> None:
    """Note a reminder for every open task for which a step has come; each step of a due day once, whoever comes first."""
    today = clock.day_of(now)
    tasks = (
        sa.select(col(TargetTask.id), col(TargetTask.due_on))
        .where(
            col(TargetTask.state) == TaskState.OPEN,
            col(TargetTask.due_on) <= today + timedelta(days=STEPS[0][1]),
        )
        .order_by(col(TargetTask.id))
    )
    for task_id, due_on in connection.execute(tasks).all():
        if step := step_of(due_on, today):
            row = {"id": ids.new_id(), "task_id": task_id, "due_on": due_on}
            connection.execute(_REMIND, {**row, "step": step.value, "noted_at": now})


_REMIND = sa.text(
    "INSERT INTO target_reminder (id, task_id, due_on, step, noted_at) VALUES (:id, :task_id, :due_on, :step, :noted_at)"
    " ON CONFLICT DO NOTHING"
).bindparams(
    sa.bindparam("id", type_=sa.Uuid()),
    sa.bindparam("task_id", type_=sa.Uuid()),
    sa.bindparam("due_on", type_=sa.Date()),
    sa.bindparam("noted_at", type_=UTCDateTime()),
)


def unseen(session: Session, principal: Principal) -> list[tuple[TargetReminder, TargetTask, Target]]:
    """What `principal` has not seen yet of the open tasks they answer for, the most urgent first; of each task the last word."""
    query = (
        select(TargetReminder, TargetTask, Target)
        .join(TargetTask, col(TargetTask.id) == col(TargetReminder.task_id))
        .join(Target, col(Target.id) == col(TargetTask.target_id))
        .where(
            TargetTask.answerer_id == principal.id,
            TargetTask.state == TaskState.OPEN,
            TargetReminder.due_on == TargetTask.due_on,
            col(TargetReminder.seen_at).is_(None),
        )
        .order_by(col(TargetTask.due_on), col(TargetTask.id), col(TargetReminder.noted_at))
    )
    return list(
        {task.id: (reminder, task, target) for reminder, task, target in session.exec(query)}.values()
    )


def mark_seen(house: House, principal: Principal, reminder_id: UUID) -> None:
    """Whoever answers for the task has seen this reminder, and those before it; twice changes nothing. Raises NotFound, NotAllowed."""
    with house.db.session() as session:
        found = session.get(TargetReminder, reminder_id)
        if found is None:
            raise NotFound
        if session.get_one(TargetTask, found.task_id).answerer_id != principal.id:
            raise NotAllowed
        session.exec(
            sa.update(TargetReminder)
            .where(
                col(TargetReminder.task_id) == found.task_id,
                col(TargetReminder.noted_at) <= found.noted_at,
                col(TargetReminder.seen_at).is_(None),
            )
            .values(seen_at=clock.now(), seen_by=principal.id)
        )
