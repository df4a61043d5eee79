"""Campaigns: identity, window, sites, and the versions of their rules. Where one stands follows from time alone.

A campaign gets its window when a version of its rules is approved and its dates are known; before that no scan sees it. A scan at
a site of an open campaign carries the campaign's id; its totals are folded by the relay, so that a campaign with a whole district
in it costs a scan nothing.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, Session, SQLModel, col, select

from activities.campaign_rules import Rules
from activities.sites import MANAGERS, Site
from tanpuhui import clock, ids
from tanpuhui.db import enum_type
from tanpuhui.divisions import Division
from tanpuhui.errors import NotFound
from tanpuhui.i18n import N_
from tanpuhui.schema import Guard
from tanpuhui.sessions import Principal
from tanpuhui.staff import Organisation, Role, grants_of, require


class VersionState(StrEnum):
    """Where a version of a campaign's rules stands."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    RETURNED = "returned"
    APPROVED = "approved"


#: What its organisers may still write in.
EDITABLE = frozenset({VersionState.DRAFT, VersionState.RETURNED})


class Stage(StrEnum):
    """Where a campaign stands."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    RETURNED = "returned"
    AWAITING = "awaiting"
    APPROVED = "approved"
    ANNOUNCED = "announced"
    OPEN = "open"
    CLOSED = "closed"
    SETTLED = "settled"
    ARCHIVED = "archived"
    CANCELLED = "cancelled"


STAGE_NAMES = {
    Stage.DRAFT: N_("草稿"),
    Stage.SUBMITTED: N_("待审批"),
    Stage.RETURNED: N_("退回修改"),
    Stage.AWAITING: N_("等待公布日期"),
    Stage.APPROVED: N_("已批准"),
    Stage.ANNOUNCED: N_("已预告"),
    Stage.OPEN: N_("进行中"),
    Stage.CLOSED: N_("已结束"),
    Stage.SETTLED: N_("已结算"),
    Stage.ARCHIVED: N_("已归档"),
    Stage.CANCELLED: N_("已取消"),
}


class Campaign(SQLModel, table=True):
    """A campaign runs from `starts_at` (included) to `ends_at` (not included) unless it was cancelled.

    `division_code` is where it is for; `organisation_id` who runs it, if a tenant does. What stands here of its rules is that of
    the approved `version`: `schedule` (weekly hours, empty: always), `kinds`, `divisions` and kinds of `accounts` (None: all).
    `announces_at`: from when on everybody may know, never before it was approved.
    """

    __tablename__ = "campaign"
    __table_args__ = (
        sa.CheckConstraint("(starts_at IS NULL) = (ends_at IS NULL) AND ends_at > starts_at", name="window"),
        sa.CheckConstraint("(starts_at IS NULL) = (announces_at IS NULL)", name="announces_at"),
        sa.CheckConstraint("version IS NOT NULL OR starts_at IS NULL", name="approved"),
        sa.CheckConstraint("settled_at IS NULL OR ends_at IS NOT NULL", name="settled_at"),
        sa.CheckConstraint("archived_at IS NULL OR settled_at IS NOT NULL", name="archived_at"),
    )

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    title: str = Field(max_length=60)
    division_code: str = Field(foreign_key="division.code", max_length=12)
    organisation_id: UUID | None = Field(default=None, foreign_key="organisation.id")
    template: str | None = Field(default=None, max_length=64)
    version: int | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    announces_at: datetime | None = None
    schedule: str = Field(default="", max_length=120, sa_column_kwargs={"server_default": ""})
    kinds: list[str] | None = Field(default=None, sa_column=sa.Column(sa.JSON(none_as_null=True)))
    divisions: list[str] | None = Field(default=None, sa_column=sa.Column(sa.JSON(none_as_null=True)))
    accounts: list[str] | None = Field(default=None, sa_column=sa.Column(sa.JSON(none_as_null=True)))
    cancelled_at: datetime | None = None
    settled_at: datetime | None = None
    archived_at: datetime | None = None
    created_by: UUID = Field(foreign_key="staff.id")
    created_at: datetime = Field(default_factory=clock.now)

    @property
    def until(self) -> datetime | None:
        """When it ends, or ended early."""
        if self.ends_at and self.cancelled_at:
            return min(self.ends_at, self.cancelled_at)
        return self.ends_at

    def lets_in(self, division_code: str, account_kind: str) -> bool:
        """Whether a resident of a community may take part with an account of a kind."""
        here = self.divisions is None or division_code.startswith(tuple(self.divisions))
        return here and (self.accounts is None or account_kind in self.accounts)


class CampaignSite(SQLModel, table=True):
    """A site takes part in a campaign."""

    __tablename__ = "campaign_site"

    campaign_id: UUID = Field(foreign_key="campaign.id", primary_key=True)
    site_id: UUID = Field(foreign_key="site.id", primary_key=True, index=True)


class CampaignVersion(SQLModel, table=True):
    """A version of a campaign's title and rules: drafted, submitted, approved by somebody else or sent back with a `reason`.

    `by_template`: approved at once, because the bureau had approved the template that it keeps to.
    """

    __tablename__ = "campaign_version"
    __table_args__ = (
        sa.CheckConstraint("number >= 1", name="number"),
        sa.CheckConstraint(
            "state IN ('draft', 'returned') OR (submitted_at IS NOT NULL AND submitted_by IS NOT NULL)",
            name="submitted",
        ),
        sa.CheckConstraint(
            "(state IN ('approved', 'returned')) = (decided_at IS NOT NULL) "
            "AND (decided_at IS NOT NULL AND NOT by_template) = (decided_by IS NOT NULL)",
            name="decided",
        ),
        sa.CheckConstraint("decided_by <> submitted_by", name="second_person"),
        sa.CheckConstraint("(state = 'returned') = (reason <> '')", name="reason"),
        sa.CheckConstraint("NOT by_template OR state = 'approved'", name="by_template"),
        sa.Index(
            "uq_campaign_version_open",
            "campaign_id",
            unique=True,
            sqlite_where=sa.text("state <> 'approved'"),
            postgresql_where=sa.text("state <> 'approved'"),
        ),
    )

    campaign_id: UUID = Field(foreign_key="campaign.id", primary_key=True)
    number: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    title: str = Field(max_length=60)
    rules: dict[str, Any] = Field(sa_type=sa.JSON)
    state: VersionState = Field(default=VersionState.DRAFT, sa_type=enum_type(VersionState))
    drafted_by: UUID = Field(foreign_key="staff.id")
    drafted_at: datetime = Field(default_factory=clock.now)
    submitted_by: UUID | None = Field(default=None, foreign_key="staff.id")
    submitted_at: datetime | None = None
    decided_by: UUID | None = Field(default=None, foreign_key="staff.id")
    decided_at: datetime | None = None
    by_template: bool = False
    reason: str = Field(default="", max_length=200)

    def read(self) -> Rules:
        """The rules, checked again as they are read."""
        return Rules.model_validate(self.rules)


#: What was approved stays as it was; what waits for approval is not changed meanwhile.
GUARDS = (
    Guard(
        "campaign_version",
        "frozen",
        "UPDATE",
        "OLD.state = 'approved' OR NEW.number <> OLD.number OR NEW.campaign_id <> OLD.campaign_id "
        "OR (OLD.state = 'submitted' AND (CAST(NEW.rules AS TEXT) <> CAST(OLD.rules AS TEXT) OR NEW.title <> OLD.title))",
        "rules are frozen on approval",
    ),
    Guard("campaign_version", "kept", "DELETE", "true", "a version is kept"),
    Guard(
        "campaign",
        "approved_version",
        "UPDATE",
        "NEW.version {differs} OLD.version AND NOT EXISTS (SELECT 1 FROM campaign_version v "
        "WHERE v.campaign_id = NEW.id AND v.number = NEW.version AND v.state = 'approved')",
        "only an approved version is in force",
    ),
)


# --- where it stands -----------------------------------------------------------------------------------------


def stage_of(campaign: Campaign, pending: VersionState | None, now: datetime) -> Stage:
    """Where a campaign stands at `now`. `pending`: the state of its open version, if it has one."""
    for stage, reached in (
        (Stage.CANCELLED, campaign.cancelled_at),
        (Stage.ARCHIVED, campaign.archived_at),
        (Stage.SETTLED, campaign.settled_at),
    ):
        if reached:
            return stage
    if campaign.version is None:
        return Stage(pending or VersionState.DRAFT)
    if campaign.starts_at is None:
        return Stage.AWAITING
    for stage, since in (
        (Stage.CLOSED, campaign.ends_at),
        (Stage.OPEN, campaign.starts_at),
        (Stage.ANNOUNCED, campaign.announces_at),
    ):
        if since and now >= since:
            return stage
    return Stage.APPROVED


def open_version(session: Session, campaign_id: UUID) -> CampaignVersion | None:
    """The version that is being drafted or decided, if there is one."""
    query = select(CampaignVersion).where(
        CampaignVersion.campaign_id == campaign_id, CampaignVersion.state != VersionState.APPROVED
    )
    return session.exec(query).first()


def open_versions(session: Session, campaigns: Sequence[Campaign]) -> dict[UUID, CampaignVersion]:
    """The version that is being drafted or decided, of those campaigns that have one."""
    query = select(CampaignVersion).where(
        col(CampaignVersion.campaign_id).in_([campaign.id for campaign in campaigns]),
        CampaignVersion.state != VersionState.APPROVED,
    )
    return {version.campaign_id: version for version in session.exec(query)}


def latest_versions(session: Session, campaigns: Sequence[Campaign]) -> dict[UUID, CampaignVersion]:
    """The version with the highest number, of each campaign."""
    query = select(CampaignVersion).where(
        col(CampaignVersion.campaign_id).in_([campaign.id for campaign in campaigns])
    )
    return {one.campaign_id: one for one in session.exec(query.order_by(col(CampaignVersion.number)))}


def submitted(
    session: Session, principal: Principal, roles: Sequence[Role]
) -> list[tuple[Campaign, CampaignVersion]]:
    """What waits for approval in the scope of `principal` with one of `roles`, the first submitted first."""
    standing = [one for one in list_campaigns(session, principal, roles) if one.cancelled_at is None]
    pending = open_versions(session, standing)
    waiting = [
        (campaign, pending[campaign.id])
        for campaign in standing
        if campaign.id in pending and pending[campaign.id].state is VersionState.SUBMITTED
    ]
    return sorted(waiting, key=lambda pair: (pair[1].submitted_at or pair[1].drafted_at, pair[0].id))


def rules_of(session: Session, campaign: Campaign) -> Rules | None:
    """The approved rules of a campaign; None before its first approval."""
    if campaign.version is None:
        return None
    return session.get_one(CampaignVersion, (campaign.id, campaign.version)).read()


def versions_of(session: Session, campaign_id: UUID) -> Sequence[CampaignVersion]:
    """Every version, the latest first."""
    query = select(CampaignVersion).where(CampaignVersion.campaign_id == campaign_id)
    return session.exec(query.order_by(col(CampaignVersion.number).desc())).all()


# --- whose it is ---------------------------------------------------------------------------------------------


def managed(
    session: Session,
    principal: Principal,
    campaign_id: UUID,
    roles: Sequence[Role] = MANAGERS,
    *,
    locked: bool = False,
) -> Campaign:
    """A campaign of one's own scope. Raises NotFound, NotAllowed."""
    campaign = session.get(Campaign, campaign_id, with_for_update=locked)
    if campaign is None:
        raise NotFound
    require(
        session,
        principal,
        roles,
        division_code=campaign.division_code,
        organisation_id=campaign.organisation_id,
    )
    return campaign


def list_campaigns(
    session: Session, principal: Principal, roles: Sequence[Role] = MANAGERS
) -> Sequence[Campaign]:
    """The campaigns in the scope of `principal` with one of `roles`: those without a date first, then the latest."""
    grants = [given for given in grants_of(session, principal) if given.role in roles]
    within = [
        col(Campaign.division_code).startswith(given.division_code) for given in grants if given.division_code
    ]
    within += [
        col(Campaign.organisation_id) == given.organisation_id for given in grants if given.organisation_id
    ]
    if not within:
        return []
    undated = sa.case((col(Campaign.starts_at).is_(None), 0), else_=1)
    query = select(Campaign).where(sa.or_(*within))
    return session.exec(
        query.order_by(undated, col(Campaign.starts_at).desc(), col(Campaign.id).desc())
    ).all()


def owners(session: Session, found: Sequence[Campaign]) -> dict[UUID, str]:
    """Who runs each campaign: an organisation, or else where it is for."""
    codes = {one.division_code for one in found}
    places = dict(
        session.exec(select(Division.code, Division.name).where(col(Division.code).in_(codes))).all()
    )
    tenant_ids = {one.organisation_id for one in found if one.organisation_id}
    tenants = dict(
        session.exec(
            select(Organisation.id, Organisation.name).where(col(Organisation.id).in_(tenant_ids))
        ).all()
    )
    return {
        one.id: tenants[one.organisation_id] if one.organisation_id else places[one.division_code]
        for one in found
    }


def division_of(session: Session, organisation_id: UUID) -> str:
    """Where an organisation is. Raises NotFound."""
    organisation = session.get(Organisation, organisation_id)
    if organisation is None:
        raise NotFound
    return organisation.division_code


def sites_of(session: Session, campaign_id: UUID) -> Sequence[Site]:
    """The sites of a campaign, by name."""
    return session.exec(
        select(Site)
        .join(CampaignSite, col(CampaignSite.site_id) == col(Site.id))
        .where(CampaignSite.campaign_id == campaign_id)
        .order_by(Site.name)
    ).all()
