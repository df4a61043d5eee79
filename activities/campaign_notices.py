"""What a campaign's organisers are told: it was approved or sent back, its dates moved, something was late.

A notice keeps its kind and numbers, and is worded when it is read. Whoever manages the campaign sees it until one of them has
read it.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, Session, SQLModel, col, select
from sqlmodel.sql.sqltypes import UTCDateTime

from activities.campaigns import Campaign, list_campaigns, managed
from tanpuhui import clock, ids
from tanpuhui.db import enum_type
from tanpuhui.errors import NotFound
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal


class NoticeKind(StrEnum):
    """What is told."""

    APPROVED = "approved"
    RETURNED = "returned"
    MOVED = "moved"
    AWAITING = "awaiting"
    NOT_MOVED = "not_moved"
    NO_DAYS = "no_days"
    LATE = "late"
    BEGINS = "begins"
    REPORTED = "reported"


class CampaignNotice(SQLModel, table=True):
    """Something that the organisers of a campaign are told. `params`: days and codes, never words."""

    __tablename__ = "campaign_notice"
    __table_args__ = (
        sa.CheckConstraint("(seen_at IS NULL) = (seen_by IS NULL)", name="seen"),
        sa.Index("ix_campaign_notice_campaign_id_told_at", "campaign_id", "told_at"),
    )

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    campaign_id: UUID = Field(foreign_key="campaign.id")
    kind: NoticeKind = Field(sa_type=enum_type(NoticeKind))
    params: dict[str, Any] = Field(default_factory=dict, sa_type=sa.JSON)
    told_at: datetime = Field(default_factory=clock.now)
    seen_at: datetime | None = None
    seen_by: UUID | None = Field(default=None, foreign_key="staff.id")


_TELL = sa.text(
    "INSERT INTO campaign_notice (id, campaign_id, kind, params, told_at) VALUES (:id, :campaign_id, :kind, :params, :told_at)"
).bindparams(
    sa.bindparam("id", type_=sa.Uuid()),
    sa.bindparam("campaign_id", type_=sa.Uuid()),
    sa.bindparam("params", type_=sa.JSON()),
    sa.bindparam("told_at", type_=UTCDateTime()),
)


def notify(connection: Connection, campaign_id: UUID, kind: NoticeKind, **params: Any) -> None:
    """Tell the organisers of a campaign, in the caller's transaction."""
    row = {"id": ids.new_id(), "campaign_id": campaign_id, "kind": kind.value}
    connection.execute(_TELL, {**row, "params": params, "told_at": clock.now()})


def unseen(session: Session, principal: Principal) -> Sequence[tuple[CampaignNotice, Campaign]]:
    """What nobody has read yet of the campaigns that `principal` manages, the latest first."""
    mine = {campaign.id: campaign for campaign in list_campaigns(session, principal)}
    query = select(CampaignNotice).where(
        col(CampaignNotice.seen_at).is_(None), col(CampaignNotice.campaign_id).in_(list(mine))
    )
    newest = query.order_by(col(CampaignNotice.told_at).desc(), col(CampaignNotice.id).desc())
    return [(notice, mine[notice.campaign_id]) for notice in session.exec(newest)]


def notices_of(session: Session, campaign_id: UUID) -> Sequence[CampaignNotice]:
    """Everything that was told of a campaign, the latest first."""
    query = select(CampaignNotice).where(CampaignNotice.campaign_id == campaign_id)
    return session.exec(
        query.order_by(col(CampaignNotice.told_at).desc(), col(CampaignNotice.id).desc())
    ).all()


def mark_seen(house: House, principal: Principal, notice_id: UUID) -> None:
    """One of the organisers has read it; twice changes nothing. Raises NotFound, NotAllowed."""
    with house.db.session() as session:
        notice = session.get(CampaignNotice, notice_id, with_for_update=True)
        if notice is None:
            raise NotFound
        managed(session, principal, notice.campaign_id)
        if notice.seen_at is None:
            notice.seen_at, notice.seen_by = clock.now(), principal.id
            session.add(notice)
