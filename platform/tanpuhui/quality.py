"""Checks of the quality desk: what is not a breach and still wants somebody's hand. Each room brings its own through its `Room`.

A check reads figures, small tables or indexed columns, never a table of records from end to end; its docstring says what.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tanpuhui import clock, jobs, outbox
from tanpuhui.i18n import N_
from tanpuhui.jobs import JobRun
from tanpuhui.worker import Lease

if TYPE_CHECKING:
    from tanpuhui.rooms import House

#: So many rows of a check are shown; how many there are is told.
SHOWN = 20


class Severity(StrEnum):
    """How soon somebody should look."""

    NOW = "now"
    SOON = "soon"


SEVERITY_NAMES = {Severity.NOW: N_("请尽快处理"), Severity.SOON: N_("请留意")}


@dataclass(frozen=True)
class Row:
    """One thing that a check found: `words` with `values` in them, and the page where something can be done about it."""

    words: str
    values: Mapping[str, Any]
    endpoint: str
    at: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Text:
    """A value that has words in each language: the source of them."""

    words: str


@dataclass(frozen=True)
class Named:
    """A value with a name of its own in each language."""

    zh: str
    en: str


@dataclass(frozen=True)
class Check:
    """A question to the data, in words; `find` yields a row for each thing that is wrong, the worst first.

    `endpoint`: where to go for all of them.
    """

    key: str
    question: str
    severity: Severity
    endpoint: str
    find: Callable[["House", Connection, datetime], Sequence[Row]]


@dataclass(frozen=True)
class Found:
    """What a check found: the first `SHOWN` rows, and how many there are."""

    check: Check
    rows: Sequence[Row]
    count: int


def look(house: "House", connection: Connection, now: datetime) -> list[Found]:
    """Ask every check of the house; what is most urgent first, in the order of the rooms."""
    found = []
    for check in (check for room in house.rooms for check in room.checks):
        rows = check.find(house, connection, now)
        found.append(Found(check, list(islice(rows, SHOWN)), len(rows)))
    order = list(Severity)
    return sorted(found, key=lambda one: order.index(one.check.severity))


# --- the floor's own -----------------------------------------------------------------------------------------

#: A subscriber behind the relay may be so late; a job, beside its own pace.
LAG, GRACE = timedelta(minutes=10), timedelta(minutes=10)


def _parked(house: "House", connection: Connection, _now: datetime) -> Sequence[Row]:
    """Reads the failures that are parked, by their index."""
    words = N_("事件 %(position)s：“%(subscriber)s”反复没有成功")
    titles = house.later_titles
    return [
        Row(
            words,
            {"position": one.position, "subscriber": Text(titles.get(one.subscriber, one.subscriber))},
            "bureau.parked",
        )
        for one in outbox.parked(connection)
    ]


def _lagging(house: "House", connection: Connection, _now: datetime) -> Sequence[Row]:
    """Reads the cursor of each subscriber and the first event behind it."""
    late = {one.title: outbox.lag_seconds(connection, [one]) for one in house.later}
    words = N_("“%(subscriber)s”落后 %(minutes)s 分钟")
    return [
        Row(words, {"subscriber": Text(title), "minutes": int(seconds // 60)}, "bureau.parked")
        for title, seconds in sorted(late.items(), key=lambda item: -item[1])
        if seconds > LAG.total_seconds()
    ]


def _idle_jobs(house: "House", connection: Connection, now: datetime) -> Sequence[Row]:
    """Reads the lease, and the latest run of each job by its key.

    Where no process leads, that is all there is to say; where one has only just begun, nothing is late yet.
    """
    runs, lease = (sa.inspect(table).local_table for table in (JobRun, Lease))
    leads = connection.execute(sa.select(lease.c.renewed_at, lease.c.taken_at)).first()
    if leads is None or now - leads.renewed_at > GRACE:
        return [Row(N_("后台进程没有在运行，定时任务都停着：请运维人员启动它"), {}, "bureau.parked")]
    if leads.taken_at is not None and now - leads.taken_at < GRACE:
        return []
    rows = []
    for job in (job for room in house.rooms for job in room.jobs):
        slot = connection.scalar(sa.select(sa.func.max(runs.c.slot)).where(runs.c.job == job.name))
        if slot is None or jobs.slot_of(job, now - GRACE) > slot:
            words = N_("“%(job)s”没有按时运行，上次：%(last)s") if slot else N_("“%(job)s”还没有运行过")
            rows.append(Row(words, {"job": Text(job.title), "last": slot}, "bureau.parked"))
    return rows


def _unanswered(_house: "House", connection: Connection, now: datetime) -> Sequence[Row]:
    """Reads the open letters by the index on state and due date."""
    late = connection.execute(
        sa.text(
            "SELECT id, number, due_on FROM feedback WHERE state = 'open' AND due_on < :today ORDER BY due_on, number"
        )
        .bindparams(sa.bindparam("today", type_=sa.Date()))
        .columns(id=sa.Uuid(), number=sa.String(), due_on=sa.Date()),
        {"today": clock.day_of(now)},
    ).all()
    words = N_("来信 %(number)s 应在 %(due)s 前答复")
    return [
        Row(words, {"number": one.number, "due": one.due_on}, "feedback_desk.one", {"feedback_id": one.id})
        for one in late
    ]


CHECKS = (
    Check("parked", N_("有没有事件投递不出去？"), Severity.NOW, "bureau.parked", _parked),
    Check("lag", N_("后台处理跟得上吗？"), Severity.NOW, "bureau.parked", _lagging),
    Check("jobs", N_("定时任务都按时运行了吗？"), Severity.NOW, "bureau.parked", _idle_jobs),
    Check(
        "unanswered", N_("有没有来信和申诉超期没有答复？"), Severity.NOW, "feedback_desk.queue", _unanswered
    ),
)
