"""Campaigns: a title, a window and sites. Whether one is open follows from time alone.

A scan at a site of an open campaign carries the campaign's id; its totals are folded by the relay, so that a
campaign with a whole district in it costs a scan nothing.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field as InField
from sqlmodel import Field, Session, SQLModel, col, select

from activities.sites import MANAGERS, Site, get_site
from tanpuhui import audit, clock, ids, reference
from tanpuhui.divisions import Division
from tanpuhui.errors import InvalidField, NotFound
from tanpuhui.i18n import N_
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal
from tanpuhui.staff import grants_of, made_before, require


class Campaign(SQLModel, table=True):
    """A campaign runs from `starts_at` (included) to `ends_at` (not included) unless it was cancelled."""

    __tablename__ = "campaign"
    __table_args__ = (sa.CheckConstraint("ends_at > starts_at", name="window"),)

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    title: str = Field(max_length=60)
    division_code: str = Field(foreign_key="division.code", max_length=12)
    starts_at: datetime
    ends_at: datetime
    cancelled_at: datetime | None = None
    created_by: UUID = Field(foreign_key="staff.id")
    created_at: datetime = Field(default_factory=clock.now)


class CampaignSite(SQLModel, table=True):
    """A site takes part in a campaign."""

    __tablename__ = "campaign_site"

    campaign_id: UUID = Field(foreign_key="campaign.id", primary_key=True)
    site_id: UUID = Field(foreign_key="site.id", primary_key=True, index=True)


class CampaignIn(BaseModel):
    """What an organiser says of a new campaign."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    title: str = InField(min_length=2, max_length=60)
    division_code: str = InField(max_length=12)
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    site_ids: list[UUID] = InField(min_length=1, max_length=500)


def create_campaign(
    house: House, principal: Principal, campaign_in: CampaignIn, *, chosen: UUID | None = None
) -> Campaign:
    """Launch a campaign over sites of one's own scope; with a `chosen` id once, however often it is asked.

    Raises NotAllowed, NotFound, InvalidField.
    """
    if campaign_in.ends_at <= campaign_in.starts_at:
        raise InvalidField(errors=[{"field": "ends_at", "reason": N_("结束时间应晚于开始时间。")}])
    with house.db.session() as session:
        require(session, principal, MANAGERS, division_code=campaign_in.division_code)
        if made := made_before(session, principal, Campaign, chosen):
            return made
        if session.get(Division, campaign_in.division_code) is None:
            raise InvalidField(errors=[{"field": "division_code", "reason": N_("没有这个区划。")}])
        for site_id in campaign_in.site_ids:
            get_site(session, principal, site_id)
        campaign = Campaign(
            id=chosen or ids.new_id(),
            **campaign_in.model_dump(exclude={"site_ids"}),
            created_by=principal.id,
        )
        session.add(campaign)
        session.flush()
        for site_id in dict.fromkeys(campaign_in.site_ids):
            session.add(CampaignSite(campaign_id=campaign.id, site_id=site_id))
        audit.note(
            session,
            actor_kind=principal.kind,
            actor_id=principal.id,
            deed="campaign.created",
            subject=f"campaign:{campaign.id}",
        )
        session.flush()
        reference.bump(session.connection())
        return campaign


def cancel_campaign(house: House, principal: Principal, campaign_id: UUID, reason: str) -> None:
    """End a campaign early: scans from now on do not count for it. Ending it twice changes nothing.

    Raises NotFound, NotAllowed, InvalidField (no reason).
    """
    reason = audit.reason(reason)
    with house.db.session() as session:
        campaign = session.get(Campaign, campaign_id, with_for_update=True)
        if campaign is None:
            raise NotFound
        require(session, principal, MANAGERS, division_code=campaign.division_code)
        if campaign.cancelled_at is not None:
            return
        campaign.cancelled_at = clock.now()
        session.add(campaign)
        audit.note(
            session,
            actor_kind=principal.kind,
            actor_id=principal.id,
            deed="campaign.cancelled",
            subject=f"campaign:{campaign.id}",
            reason=reason,
        )
        session.flush()
        reference.bump(session.connection())


def list_campaigns(session: Session, principal: Principal) -> Sequence[Campaign]:
    """The campaigns in the scope of `principal`, latest first."""
    within = [
        col(Campaign.division_code).startswith(given.division_code or "-")
        for given in grants_of(session, principal)
        if given.role in MANAGERS and given.division_code
    ]
    if not within:
        return []
    query = select(Campaign).where(sa.or_(*within)).order_by(col(Campaign.starts_at).desc())
    return session.exec(query).all()


def sites_of(session: Session, campaign_id: UUID) -> Sequence[Site]:
    """The sites of a campaign, by name."""
    return session.exec(
        select(Site)
        .join(CampaignSite, col(CampaignSite.site_id) == col(Site.id))
        .where(CampaignSite.campaign_id == campaign_id)
        .order_by(Site.name)
    ).all()
