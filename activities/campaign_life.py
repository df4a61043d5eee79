"""The steps of a campaign's life that somebody has to take: announce, remind, open, close, settle, report, honour, archive.

Whether a campaign is open follows from its window alone, whether or not anybody was there to say so. A tick (a job of the worker)
takes each step once: claimed by a unique row in the transaction that does it, so a process killed half way leaves it to
the next. After an outage steps are caught up in the order in which they were due, and are marked as late.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from uuid import UUID

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Field, Session, SQLModel, col, select
from sqlmodel.sql.sqltypes import UTCDateTime

from activities import campaign_reports
from activities.campaign_notices import NoticeKind, notify
from activities.campaign_readiness import missing
from activities.campaigns import Campaign
from activities.events import CampaignAdvanced
from tanpuhui import clock
from tanpuhui.db import enum_type, session_on
from tanpuhui.errors import TanpuhuiError
from tanpuhui.i18n import N_
from tanpuhui.jobs import Job
from tanpuhui.rooms import House

log = structlog.get_logger(__name__)

#: A settled campaign is put into the archive so long after.
ARCHIVE_AFTER = timedelta(days=90)

#: On the day before it begins, from this time on (Asia/Shanghai), people are reminded of a campaign.
REMIND_AT = time(9)

#: A step that is taken so long after it was due is late: the worker looks every minute.
LATE_AFTER = timedelta(minutes=15)


class Step(StrEnum):
    """A step, in the order in which they are taken."""

    ANNOUNCE = "announce"
    REMIND = "remind"
    OPEN = "open"
    CLOSE = "close"
    SETTLE = "settle"
    REPORT = "report"
    HONOUR = "honour"
    ARCHIVE = "archive"


STEP_NAMES = {
    Step.ANNOUNCE: N_("预告"),
    Step.REMIND: N_("提醒"),
    Step.OPEN: N_("开始"),
    Step.CLOSE: N_("结束"),
    Step.SETTLE: N_("结算"),
    Step.REPORT: N_("总结报告"),
    Step.HONOUR: N_("致谢与提名"),
    Step.ARCHIVE: N_("归档"),
}

_ORDER = list(Step)


class CampaignStep(SQLModel, table=True):
    """A step that was taken. `occasion`: the day it belongs to, so that a campaign that moved is announced anew."""

    __tablename__ = "campaign_step"
    __table_args__ = (sa.CheckConstraint("taken_at >= due_at", name="order"),)

    campaign_id: UUID = Field(foreign_key="campaign.id", primary_key=True)
    step: Step = Field(sa_column=sa.Column(enum_type(Step), primary_key=True))
    occasion: date = Field(primary_key=True)
    due_at: datetime
    taken_at: datetime
    late: bool = False


def remind_at(announces_at: datetime, starts_at: datetime) -> datetime:
    """When people are reminded: on the morning before, and never before it is announced."""
    morning = datetime.combine(clock.day_of(starts_at) - timedelta(days=1), REMIND_AT, clock.SHANGHAI)
    return max(announces_at, morning)


def due_steps(campaign: Campaign, late_hours: int) -> Iterator[tuple[Step, datetime, date]]:
    """Every step of a campaign that has a window: what, when it is due, and the day it belongs to.

    It is settled when no late record can come any more. One that was cancelled takes no step, but what had begun is reported.
    """
    if campaign.starts_at is None or campaign.until is None or campaign.announces_at is None:
        return
    first = clock.day_of(campaign.starts_at)
    last = clock.day_of(campaign.until - timedelta(seconds=1))
    settles = campaign.until + timedelta(hours=late_hours)
    if campaign.cancelled_at is None:
        reminds = remind_at(campaign.announces_at, campaign.starts_at)
        yield Step.ANNOUNCE, campaign.announces_at, first
        if reminds < campaign.starts_at:
            yield Step.REMIND, reminds, first
        yield Step.OPEN, max(campaign.starts_at, campaign.announces_at), first
        yield Step.CLOSE, campaign.until, last
        yield Step.SETTLE, settles, last
        yield Step.ARCHIVE, settles + ARCHIVE_AFTER, last
    if campaign.starts_at < campaign.until:
        yield Step.REPORT, settles, last
        yield Step.HONOUR, settles, last


# --- what is done at a step ----------------------------------------------------------------------------------

#: What a step does besides being told (`CampaignAdvanced`); in the transaction that claims it.
Work = Callable[[House, Session, Campaign, datetime], None]


def _remind(_house: House, session: Session, campaign: Campaign, now: datetime) -> None:
    begins = campaign.starts_at
    if begins and now < begins:  # caught up after it began, there is nothing to get ready any more
        what = missing(session, campaign.id, begins)
        notify(session.connection(), campaign.id, NoticeKind.BEGINS, at=begins.isoformat(), **what)


def _settle(_house: House, session: Session, campaign: Campaign, now: datetime) -> None:
    campaign.settled_at = now
    session.add(campaign)


def _report(house: House, session: Session, campaign: Campaign, now: datetime) -> None:
    campaign_reports.make(house, session, campaign.id, now)


def _honour(_house: House, session: Session, campaign: Campaign, _now: datetime) -> None:
    campaign_reports.report_of(session, campaign.id)  # or it is too early to say so
    notify(session.connection(), campaign.id, NoticeKind.REPORTED)


def _archive(_house: House, session: Session, campaign: Campaign, now: datetime) -> None:
    campaign.archived_at = now
    session.add(campaign)


WORK: Mapping[Step, Work] = {
    Step.REMIND: _remind,
    Step.SETTLE: _settle,
    Step.REPORT: _report,
    Step.HONOUR: _honour,
    Step.ARCHIVE: _archive,
}


# --- the tick ------------------------------------------------------------------------------------------------

_CLAIM = sa.text(
    "INSERT INTO campaign_step (campaign_id, step, occasion, due_at, taken_at, late) "
    "VALUES (:campaign_id, :step, :occasion, :due_at, :taken_at, :late) ON CONFLICT DO NOTHING"
).bindparams(
    sa.bindparam("campaign_id", type_=sa.Uuid()),
    sa.bindparam("occasion", type_=sa.Date()),
    *(sa.bindparam(name, type_=UTCDateTime()) for name in ("due_at", "taken_at")),
)


def tick(house: House, connection: Connection, now: datetime) -> None:
    """Take every step that is due, in the order in which they were due. One that fails is left for the next tick."""
    for due_at, step, campaign_id, occasion in _due(house, connection, now):
        try:
            with connection.begin_nested():
                _take(house, connection, campaign_id, step, occasion, due_at, now)
        except (SQLAlchemyError, TanpuhuiError, ValueError, KeyError):
            log.exception("campaign step", campaign=str(campaign_id), step=step.value)


def _due(house: House, connection: Connection, now: datetime) -> list[tuple[datetime, Step, UUID, date]]:
    with session_on(connection) as session:
        told = sa.exists().where(
            col(CampaignStep.campaign_id) == col(Campaign.id), col(CampaignStep.step) == Step.HONOUR
        )
        ended_early = sa.and_(col(Campaign.starts_at) < col(Campaign.cancelled_at), ~told)
        running = select(Campaign).where(
            col(Campaign.announces_at) <= now,
            col(Campaign.archived_at).is_(None),
            sa.or_(col(Campaign.cancelled_at).is_(None), ended_early),
        )
        campaigns = session.exec(running).all()
        taken = set(
            session.exec(
                select(
                    col(CampaignStep.campaign_id), col(CampaignStep.step), col(CampaignStep.occasion)
                ).where(col(CampaignStep.campaign_id).in_([campaign.id for campaign in campaigns]))
            )
        )
        found = [
            (due_at, step, campaign.id, occasion)
            for campaign in campaigns
            for step, due_at, occasion in due_steps(campaign, house.settings.late_hours)
            if due_at <= now and (campaign.id, step, occasion) not in taken
        ]
    return sorted(found, key=lambda one: (one[0], _ORDER.index(one[1]), one[2]))


def _take(
    house: House,
    connection: Connection,
    campaign_id: UUID,
    step: Step,
    occasion: date,
    due_at: datetime,
    now: datetime,
) -> None:
    """Take one step, unless somebody has, or the campaign moved meanwhile."""
    with session_on(connection) as session:
        campaign = session.get_one(Campaign, campaign_id, with_for_update=True, populate_existing=True)
        still_due = (step, due_at, occasion) in set(due_steps(campaign, house.settings.late_hours))
        if not still_due:
            return
        late = now - due_at > LATE_AFTER
        claim = {"campaign_id": campaign_id, "step": step.value, "occasion": occasion, "due_at": due_at}
        if not connection.execute(_CLAIM, {**claim, "taken_at": now, "late": late}).rowcount:
            return
        if work := WORK.get(step):
            work(house, session, campaign, now)
        session.flush()
        if late:
            notify(connection, campaign_id, NoticeKind.LATE, step=step.value, due=due_at.isoformat())
        house.publish(
            connection,
            [
                CampaignAdvanced(
                    subject_id=campaign_id, recorded_at=now, step=step.value, due_at=due_at, late=late
                )
            ],
        )


def steps_of(session: Session, campaign_id: UUID) -> list[CampaignStep]:
    """The steps that were taken, the first first."""
    query = select(CampaignStep).where(CampaignStep.campaign_id == campaign_id)
    return sorted(session.exec(query), key=lambda one: (one.due_at, _ORDER.index(one.step)))


JOB = Job("campaigns", N_("按时推进活动的每一步"), timedelta(minutes=1), tick)
