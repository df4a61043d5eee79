"""The bureau's monthly and yearly reports: each made once, of a period that is over, and kept as it was.

A report is ordered by the scheduler or by an officer, and made in the background step by step, by whichever process takes it; one
that was left alone (its process was stopped) is taken up again. First its snapshot is written down, read at one moment; then it is drawn
from that alone, so whoever draws it gets the same bytes. Neither changes afterwards.
"""

import threading
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection
from sqlmodel import Field, Session, SQLModel

from activities import period_report_numbers
from tanpuhui import audit, clock, outbox
from tanpuhui.bureau.participation import may_read
from tanpuhui.errors import InvalidField, NotFound
from tanpuhui.i18n import N_
from tanpuhui.jobs import Job
from tanpuhui.periods import CalendarPeriod
from tanpuhui.rooms import House
from tanpuhui.schema import Guard
from tanpuhui.sessions import Principal
from tanpuhui.staff import Role

log = structlog.get_logger(__name__)

#: The form of snapshots that are made today. What was made in an earlier one stays readable.
FORMAT = 1

UNITS = ("month", "year")

#: A report that nobody has written to for so long is taken up by whoever looks.
LEFT_ALONE = timedelta(minutes=1)

#: Until events have been taken in that are older than this, no report is begun.
_LAG = 60.0

_NEVER = datetime(2000, 1, 1, tzinfo=clock.SHANGHAI)

#: Numbers, then the pages in either language.
STEPS = period_report_numbers.STEPS + 2


class PeriodReport(SQLModel, table=True):
    """The report of a month (2026-10) or a year (2026): ordered, made in `steps`, then never changed.

    `ordered_by`: the officer, None for the scheduler. `worked_at`: when its maker last wrote here. `pdf_zh`, `pdf_en`: as it was
    drawn from `snapshot`.
    """

    __tablename__ = "period_report"
    __table_args__ = (
        sa.CheckConstraint("length(period) IN (4, 7)", name="period"),
        sa.CheckConstraint("done BETWEEN 0 AND steps", name="done"),
        sa.CheckConstraint("(made_at IS NULL) = (format IS NULL)", name="made"),
        sa.CheckConstraint(
            "finished_at IS NULL OR (made_at IS NOT NULL AND pdf_zh IS NOT NULL AND pdf_en IS NOT NULL)",
            name="whole",
        ),
    )

    period: str = Field(primary_key=True, max_length=7)
    ordered_by: UUID | None = Field(default=None, foreign_key="staff.id")
    ordered_at: datetime
    steps: int
    done: int = 0
    worked_at: datetime
    format: int | None = None
    made_at: datetime | None = None
    snapshot: dict[str, Any] = Field(default_factory=dict, sa_type=sa.JSON)
    pdf_zh: bytes | None = Field(default=None, sa_column=sa.Column(sa.LargeBinary, nullable=True))
    pdf_en: bytes | None = Field(default=None, sa_column=sa.Column(sa.LargeBinary, nullable=True))
    finished_at: datetime | None = None


_TABLE = SQLModel.metadata.tables["period_report"]

#: A report says what it said.
GUARDS = (
    Guard(
        "period_report",
        "frozen",
        "UPDATE",
        "OLD.finished_at IS NOT NULL OR (OLD.made_at IS NOT NULL AND (NEW.made_at {differs} OLD.made_at"
        " OR CAST(NEW.snapshot AS text) {differs} CAST(OLD.snapshot AS text)))",
        "a report that was made is never changed",
    ),
    Guard("period_report", "kept", "DELETE", "true", "a report is kept"),
)


# --- ordering ----------------------------------------------------------------------------------------------


def settled_on(period: CalendarPeriod, late_hours: int) -> date:
    """The first day on which no late record can come into a period any more: its report can be made."""
    return clock.day_of(clock.day_bounds(period.last)[1] + timedelta(hours=late_hours, days=1))


def order(house: House, principal: Principal, name: str) -> str:
    """Ask for the report of the period called `name` (2026-10, 2026), and begin, unless there is one; its name.

    For officers of the district. Raises NotAllowed, InvalidField for what is no month or year, is not settled yet, or lies
    before the first record.
    """
    may_read(house, principal, (Role.OFFICER,))
    period = _period(name)
    ready = settled_on(period, house.settings.late_hours)
    if period.last >= clock.today():
        raise _refused(N_("这段时间还没有结束。"))
    if ready > clock.today():
        raise _refused(N_("迟到的记录还可能补进来，再过几天才能生成。"))
    with house.db.session() as session:
        begun = period_report_numbers.first_day(session.connection())
        if begun is None or period.last < begun:
            raise _refused(N_("这段时间里还没有任何记录。"))
        if _insert(session.connection(), period.name, clock.now(), principal.id):
            audit.note_by(
                session,
                principal,
                deed="report.ordered",
                subject=f"report:{period.name}",
            )
        for month in period.parts("month") if period.unit == "year" else ():
            if month.last >= begun:
                _insert(session.connection(), month.name, clock.now())
    _begin(house)
    return period.name


def _period(name: str) -> CalendarPeriod:
    period = CalendarPeriod.parse(name)
    if period.unit not in UNITS:
        raise _refused(N_("报告只按月或按年，例如 2026-10 或 2026。"))
    return period


def _refused(reason: str) -> InvalidField:
    return InvalidField(errors=[{"field": "period", "reason": reason}])


def _insert(connection: Connection, name: str, now: datetime, ordered_by: UUID | None = None) -> bool:
    """Order a report unless there is one; whether this did."""
    order_ = sa.text(
        "INSERT INTO period_report (period, ordered_by, ordered_at, steps, done, worked_at, snapshot) "
        "VALUES (:period, :by, :now, :steps, 0, :never, '{}') ON CONFLICT DO NOTHING"
    ).bindparams(
        sa.bindparam("by", ordered_by, type_=sa.Uuid()),
        sa.bindparam("now", now, type_=_TABLE.c.ordered_at.type),
        sa.bindparam("never", _NEVER, type_=_TABLE.c.worked_at.type),
    )
    return connection.execute(order_, {"period": name, "steps": STEPS}).rowcount > 0


def _order_due(house: House, connection: Connection, now: datetime) -> None:
    """Order the report of every month and year that is settled; take up what was left alone."""
    first = period_report_numbers.first_day(connection)
    if first is None:
        return
    known = set(connection.scalars(sa.select(_TABLE.c.period)))
    for unit in UNITS:
        period = CalendarPeriod.containing(unit, first)
        while settled_on(period, house.settings.late_hours) <= clock.day_of(now):
            if period.name not in known:
                _insert(connection, period.name, now)
            period = period.after()
    _begin(house)


JOB = Job("period_reports", N_("安排月报和年报"), timedelta(minutes=10), _order_due)


# --- making ------------------------------------------------------------------------------------------------


def look_after(house: House) -> None:
    """Take up what was left alone: called by the pages on which somebody waits for a report."""
    with house.db.reading() as connection:
        left = connection.scalar(sa.select(sa.func.count()).select_from(_TABLE).where(_left_alone()))
    if left:
        _begin(house)


def _begin(house: House) -> None:
    threading.Thread(target=_tend, args=(house,), name="period-reports", daemon=True).start()


def _tend(house: House) -> None:
    try:
        tend(house)
    except Exception as error:  # it is left alone then, and taken up again
        log.exception("report_failed", kind=type(error).__name__)


def tend(house: House) -> None:
    """Make every report that was left alone; of several who do so at once each makes its own.

    A year waits for its months: it leaves out what would give away what they did.
    """
    with house.db.reading() as connection:
        if outbox.lag_seconds(connection, house.later) > _LAG:
            return
        waiting = connection.scalars(
            sa.select(_TABLE.c.period)
            .where(_left_alone())
            .order_by(sa.func.length(_TABLE.c.period).desc(), _TABLE.c.period)
        ).all()
    for name in waiting:
        if not _waits_for_months(house, name) and _take(house, name):
            make(house, name)


def _waits_for_months(house: House, name: str) -> bool:
    months = sa.and_(_TABLE.c.period.like(f"{name}-%"), _TABLE.c.made_at.is_(None))
    with house.db.reading() as connection:
        return connection.execute(sa.select(_TABLE.c.period).where(months)).first() is not None


def _left_alone() -> sa.ColumnElement[bool]:
    return sa.and_(_TABLE.c.finished_at.is_(None), _TABLE.c.worked_at < clock.now() - LEFT_ALONE)


def _take(house: House, name: str) -> bool:
    with house.db.transaction() as connection:
        taken = connection.execute(
            sa.update(_TABLE).where(_TABLE.c.period == name, _left_alone()).values(worked_at=clock.now())
        )
    return taken.rowcount > 0


def make(house: House, name: str) -> None:
    """Write the snapshot of a report down, if there is none, and draw it. Of two that do so at once the first one's stands."""
    from activities.period_report_papers import report_pdf  # late: the type-setting would slow every start

    tell = _Teller(house, name)
    if _report(house, name).made_at is None:
        now = clock.now()
        with house.db.snapshot() as connection:
            made = snapshot(house, connection, CalendarPeriod.parse(name), now, tell)
        _note(house, name, _TABLE.c.made_at.is_(None), snapshot=made, made_at=now, format=FORMAT)
    tell.at(period_report_numbers.STEPS)
    report = _report(house, name)
    papers = {}
    for language in ("zh", "en"):
        papers[f"pdf_{language}"] = report_pdf(report.snapshot, language)
        tell()
    _note(house, name, _TABLE.c.finished_at.is_(None), **papers, done=report.steps, finished_at=clock.now())


class _Teller:
    """Writes down how far a report is."""

    def __init__(self, house: House, name: str) -> None:
        self._house, self._name, self._done = house, name, 0

    def __call__(self) -> None:
        self.at(self._done + 1)

    def at(self, done: int) -> None:
        self._done = done
        _note(self._house, self._name, _TABLE.c.finished_at.is_(None), done=done)


def _note(house: House, name: str, only_if: sa.ColumnElement[bool], **changes: Any) -> None:
    with house.db.transaction() as connection:
        connection.execute(
            sa.update(_TABLE).where(_TABLE.c.period == name, only_if).values(worked_at=clock.now(), **changes)
        )


def snapshot(
    house: House, connection: Connection, period: CalendarPeriod, now: datetime, tell: Any = lambda: None
) -> dict[str, Any]:
    """Everything that the report of a period says, as JSON keeps it: numbers, names and days; words come when it is drawn.

    None stands for a number that is left out, because it is of fewer than five people or would give one of these away.
    """
    district = house.settings.district_code
    return {
        "format": FORMAT,
        "period": period.name,
        "unit": period.unit,
        "first": period.first.isoformat(),
        "last": period.last.isoformat(),
        "made_at": now.isoformat(),
        **period_report_numbers.numbers(connection, period, district, monthly(connection), tell),
    }


# --- reading -----------------------------------------------------------------------------------------------


def _report(house: House, name: str) -> PeriodReport:
    with house.db.reading_session() as session:
        return session.get_one(PeriodReport, name)


def report_of(session: Session, name: str) -> PeriodReport:
    """The report of a period. Raises NotFound."""
    found = session.get(PeriodReport, name)
    if found is None:
        raise NotFound
    return found


def reports(session: Session) -> Sequence[sa.Row[Any]]:
    """Every report without what it holds, the latest period first, a year before its months."""
    columns = (_TABLE.c[name] for name in ("period", "ordered_by", "steps", "done", "made_at", "finished_at"))
    order_ = (
        sa.func.substr(_TABLE.c.period, 1, 4).desc(),
        sa.func.length(_TABLE.c.period),
        _TABLE.c.period.desc(),
    )
    return session.connection().execute(sa.select(*columns).order_by(*order_)).all()


def monthly(connection: Connection) -> dict[str, dict[str, Any]]:
    """The snapshots of the months that have one, by their names, the first one first."""
    query = (
        sa.select(_TABLE.c.period, _TABLE.c.snapshot)
        .where(_TABLE.c.made_at.is_not(None), sa.func.length(_TABLE.c.period) == 7)
        .order_by(_TABLE.c.period)
    )
    return {row.period: row.snapshot for row in connection.execute(query)}
