"""The bonus of a campaign as everybody may read it, and as it stands for a record of one's own.

How much was granted is not told of fewer than `FEWEST_TOLD` residents: of so few somebody could be found out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import SQLModel, col

from rewards import ledger
from rewards.crediting import credit_reference
from rewards.grants import CampaignGrant, Short, share
from rewards.pools import BonusRule, CampaignPool, pools, rule_at, versions_of
from tanpuhui import clock
from tanpuhui.db import session_on
from tanpuhui.errors import NotFound

FEWEST_TOLD = 5


@dataclass(frozen=True, slots=True)
class PublicBonus:
    """What a campaign gives on top, and how far its budget has gone in whole points; `granted` and `left` None of too few.

    `rule` None: it gives none any more. Of a `closed` one the rest went back, so that nothing is left.
    """

    campaign_id: UUID
    title: str
    rule: BonusRule | None
    budget: int
    granted: int | None
    left: int | None
    closed: bool


def public_bonus(connection: Connection, campaign_id: UUID) -> PublicBonus:
    """The bonus of a campaign that is announced, as everybody may read it. Raises NotFound if there is none."""
    campaign = SQLModel.metadata.tables["campaign"]
    announced = sa.select(campaign.c.id).where(
        campaign.c.id == campaign_id, campaign.c.announces_at <= clock.now()
    )
    pool = pools(connection, [campaign_id]).get(campaign_id)
    if pool is None or connection.scalar(announced) is None:
        raise NotFound
    told = not pool.granted or _residents(connection, campaign_id) >= FEWEST_TOLD
    return _shown(connection, pool, told=told)


def organisers_bonus(connection: Connection, campaign_id: UUID) -> PublicBonus | None:
    """The bonus of a campaign as its own organisers read it, however few have something of it; None if there is none."""
    pool = pools(connection, [campaign_id]).get(campaign_id)
    return _shown(connection, pool, told=True) if pool else None


def _shown(connection: Connection, pool: CampaignPool, *, told: bool) -> PublicBonus:
    with session_on(connection) as session:
        rule = rule_at(versions_of(session, pool.campaign_id), clock.now())
    return PublicBonus(
        campaign_id=pool.campaign_id,
        title=pool.title,
        rule=rule,
        budget=pool.budget,
        granted=pool.granted if told else None,
        left=pool.left if told else None,
        closed=pool.closed_at is not None,
    )


def reported(connection: Connection, campaign_id: UUID) -> Mapping[str, Any]:
    """What the closing report of a campaign says of its bonus, if it has one: whole points; None of too few."""
    pool = pools(connection, [campaign_id]).get(campaign_id)
    if pool is None:
        return {}
    told = not pool.granted or _residents(connection, campaign_id) >= FEWEST_TOLD
    return {"bonus": {"budget": pool.budget, "granted": pool.granted if told else None}}


def _residents(connection: Connection, campaign_id: UUID) -> int:
    """How many residents have something of a bonus, counted no further than it takes to tell."""
    with_some = (
        sa.select(col(CampaignGrant.resident_id))
        .where(
            col(CampaignGrant.campaign_id) == campaign_id,
            col(CampaignGrant.granted) > col(CampaignGrant.returned),
        )
        .distinct()
        .limit(FEWEST_TOLD)
    )
    return connection.scalar(sa.select(sa.func.count()).select_from(with_some.subquery())) or 0


@dataclass(frozen=True, slots=True)
class BonusOfRecord:
    """The bonus of a record: `points` granted, less than what was due if `short` says why; `coming`: not decided yet."""

    campaign_id: UUID
    title: str
    points: int
    short: Short | None
    coming: bool = False


def bonus_of_record(connection: Connection, action_id: UUID, campaign_id: UUID) -> BonusOfRecord | None:
    """What a record gets on top of its own points, or will get as things stand; None for nothing."""
    pool = pools(connection, [campaign_id]).get(campaign_id)
    if pool is None:
        return None
    with session_on(connection) as session:
        grant = session.get(CampaignGrant, action_id)
        if grant is None:
            coming = _coming(connection, pool, action_id)
            return BonusOfRecord(campaign_id, pool.title, coming, None, coming=True) if coming else None
    return BonusOfRecord(campaign_id, pool.title, grant.granted - grant.returned, grant.short)


def _coming(connection: Connection, pool: CampaignPool, action_id: UUID) -> int:
    reference = credit_reference(action_id)
    credit = ledger.find(connection, [reference]).get(reference)
    if credit is None or pool.closed_at:
        return 0
    with session_on(connection) as session:
        rule = rule_at(versions_of(session, pool.campaign_id), credit.recorded_at)
    return share(rule.due(credit.amount), rule.cap, pool.left)[0] if rule else 0


def titles(connection: Connection, campaign_ids: Sequence[UUID]) -> dict[UUID, str]:
    """The titles of campaigns that have or had a bonus."""
    return {campaign_id: pool.title for campaign_id, pool in pools(connection, campaign_ids).items()}
