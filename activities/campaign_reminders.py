"""Reminders of a campaign that begins, for residents who asked on its page.

Who asked stands in a row until the campaign has begun. When its step "remind" is taken, a job tells them in batches; the inbox
keeps each message once. What a crash left untold is told by the next run, so opening a campaign writes no row of anybody.
"""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, SQLModel, col, select

from activities import occasions
from activities.campaign_life import CampaignStep, Step, remind_at
from activities.campaigns import Campaign
from activities.occasions import Occasion
from tanpuhui import clock
from tanpuhui.db import session_on
from tanpuhui.errors import CampaignMovedOn, NotFound
from tanpuhui.i18n import N_
from tanpuhui.inbox import Message, Note, tell
from tanpuhui.jobs import Job
from tanpuhui.letters import Letter
from tanpuhui.people import ResidentStatus, take_turn
from tanpuhui.rooms import House

#: So many are told in one transaction.
AT_A_TIME = 500


class CampaignReminder(SQLModel, table=True):
    """A resident wants to be told when a campaign is about to begin."""

    __tablename__ = "campaign_reminder"

    campaign_id: UUID = Field(foreign_key="campaign.id", primary_key=True)
    resident_id: UUID = Field(foreign_key="resident.id", primary_key=True, index=True)
    asked_at: datetime


# --- asking --------------------------------------------------------------------------------------------------


def may_ask(occasion: Occasion, now: datetime) -> bool:
    """Whether there is anything to be reminded of: it is still to come, and nobody was reminded yet."""
    if occasion.starts_at is None or occasion.announces_at is None or occasion.cancelled_at:
        return False
    return now < remind_at(occasion.announces_at, occasion.starts_at)


def wants(connection: Connection, resident_id: UUID, campaign_id: UUID) -> bool:
    """Whether a resident asked to be reminded."""
    query = select(CampaignReminder.campaign_id).where(
        CampaignReminder.resident_id == resident_id, CampaignReminder.campaign_id == campaign_id
    )
    return connection.execute(query).first() is not None


def ask(house: House, resident_id: UUID, campaign_id: UUID, *, on: bool) -> None:
    """Ask to be reminded, or no more; again changes nothing. Raises NotFound, CampaignMovedOn (too late to ask)."""

    def work(connection: Connection) -> None:
        here = take_turn(connection, [resident_id]).get(resident_id)
        if here is None or here.status != ResidentStatus.ACTIVE:
            raise NotFound
        this = (
            col(CampaignReminder.campaign_id) == campaign_id,
            col(CampaignReminder.resident_id) == resident_id,
        )
        if not on:
            connection.execute(sa.delete(CampaignReminder).where(*this))
            return
        if not may_ask(occasions.one(connection, campaign_id, clock.now()), clock.now()):
            raise CampaignMovedOn
        with session_on(connection) as session:
            if session.get(CampaignReminder, (campaign_id, resident_id)) is None:
                session.add(
                    CampaignReminder(campaign_id=campaign_id, resident_id=resident_id, asked_at=clock.now())
                )
                session.flush()

    house.db.run(work)


def _what(connection: Connection, _resident_id: UUID, params: Any) -> Any:
    """The campaign as it is now, and its first sites."""
    now = clock.now()
    try:
        occasion = occasions.one(connection, UUID(params["campaign"]), now)
    except NotFound:
        return None
    return occasion, occasions.sites_of(connection, occasion.id, now)


#: A campaign begins tomorrow.
BEGINS = Letter("campaign.begins", "activities/letters/campaign_begins.html", icon="clock", look=_what)


# --- telling -------------------------------------------------------------------------------------------------


def _reminded(connection: Connection) -> Mapping[UUID, date]:
    """The campaigns of which somebody waits to be told and the step "remind" was taken, with the day on which they begin."""
    asked = select(CampaignReminder.campaign_id).distinct()
    query = (
        sa.select(col(Campaign.id), col(Campaign.starts_at), col(CampaignStep.occasion))
        .join_from(Campaign, CampaignStep, col(CampaignStep.campaign_id) == col(Campaign.id))
        .where(col(Campaign.id).in_(asked), col(CampaignStep.step) == Step.REMIND)
        .where(col(Campaign.starts_at).is_not(None))
    )
    rows = connection.execute(query)
    return {found: day for found, starts_at, day in rows if starts_at and day == clock.day_of(starts_at)}


def _owed(connection: Connection, now: datetime) -> list[Note]:
    """What is to be told and was not, up to `AT_A_TIME`."""
    notes: list[Note] = []
    for campaign_id, day in sorted(_reminded(connection).items()):
        reference = f"{campaign_id}:{day}"
        told = sa.exists().where(
            col(Message.resident_id) == col(CampaignReminder.resident_id),
            col(Message.kind) == BEGINS.kind,
            col(Message.reference) == reference,
        )
        query = (
            select(CampaignReminder.resident_id)
            .join(Campaign, col(Campaign.id) == col(CampaignReminder.campaign_id))
            .where(CampaignReminder.campaign_id == campaign_id)
            .where(col(Campaign.cancelled_at).is_(None), col(Campaign.ends_at) > now, ~told)
            .order_by(col(CampaignReminder.resident_id))
            .limit(AT_A_TIME - len(notes))
        )
        about = {"campaign": str(campaign_id)}
        notes += [Note(BEGINS, who, reference, about, told_at=now) for who in connection.scalars(query)]
    return notes


def tell_due(_house: House, connection: Connection, now: datetime) -> None:
    """Tell whom it is due; once all of a campaign that has begun are told, nothing is kept of who asked."""
    notes = _owed(connection, now)
    if notes:
        tell(connection, notes)
        return
    begun = col(Campaign.starts_at) <= now
    over = sa.or_(
        col(Campaign.cancelled_at).is_not(None),
        col(Campaign.ends_at) <= now,
        sa.and_(begun, col(Campaign.id).in_(list(_reminded(connection)))),
    )
    gone = select(Campaign.id).where(over)
    connection.execute(sa.delete(CampaignReminder).where(col(CampaignReminder.campaign_id).in_(gone)))


JOB = Job("campaign_reminders", N_("提醒居民活动明天开始"), timedelta(minutes=1), tell_due)
