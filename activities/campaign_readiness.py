"""Whether the sites of a campaign are ready for it."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Session, col, select

from activities.campaigns import CampaignSite
from activities.codes import NEVER_SHOWN, Code
from activities.sites import Site, SiteStatus


def missing(session: Session, campaign_id: UUID, starts_at: datetime) -> dict[str, int]:
    """What is not ready at the sites: of how many no code is good then (`no_code`), and how many are paused (`paused`)."""
    here = col(Site.id).in_(select(CampaignSite.site_id).where(CampaignSite.campaign_id == campaign_id))
    good = sa.exists().where(
        col(Code.site_id) == col(Site.id),
        col(Code.kind).not_in(NEVER_SHOWN),
        col(Code.revoked_at).is_(None),
        sa.or_(col(Code.valid_until).is_(None), col(Code.valid_until) > starts_at),
    )
    count = select(sa.func.count()).select_from(Site).where(here)
    return {
        "no_code": session.exec(count.where(~good)).one(),
        "paused": session.exec(count.where(col(Site.status) != SiteStatus.OPEN)).one(),
    }
