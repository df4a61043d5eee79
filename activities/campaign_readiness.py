"""Whether the sites of a campaign are ready for it."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Session, col, select

from activities.campaigns import sites_of
from activities.codes import NEVER_SHOWN, Code
from activities.sites import SiteStatus


def with_code(session: Session, site_ids: Sequence[UUID], moment: datetime) -> set[UUID]:
    """Those of these sites with a code that residents can scan at a moment."""
    good = select(Code.site_id).where(
        col(Code.site_id).in_(site_ids),
        col(Code.kind).not_in(NEVER_SHOWN),
        col(Code.revoked_at).is_(None),
        sa.or_(col(Code.valid_until).is_(None), col(Code.valid_until) > moment),
    )
    return set(session.exec(good.distinct()))


def missing(session: Session, campaign_id: UUID, starts_at: datetime) -> dict[str, int]:
    """What is not ready at the sites: of how many no code is good then (`no_code`), and how many are paused (`paused`)."""
    sites = sites_of(session, campaign_id)
    ready = with_code(session, [site.id for site in sites], starts_at)
    return {
        "no_code": sum(site.id not in ready for site in sites),
        "paused": sum(site.status is not SiteStatus.OPEN for site in sites),
    }
