"""Pools as everybody may read them: reward pools, and what campaigns give on top. Nothing runs out in silence.

Numbers are told once enough people have had something out of a pool: by the sum of fewer somebody could be found out.
"""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import SQLModel, col, select

from rewards.bonus_view import PublicBonus, public_bonus
from rewards.offers import FEWEST_TOLD
from rewards.pools import CampaignPool
from rewards.reward_pools import RewardPool, runs_out_on
from tanpuhui.db import session_on
from tanpuhui.errors import NotFound

#: So many of each sort are listed, the latest.
MOST_LISTED = 100


@dataclass(frozen=True, slots=True)
class PublicPool:
    """A reward pool, in whole points. `reserved`, `spent` and `left` are None while too few people have had something of it.

    `runs_out_on`: the day on which it will have run out at the pace of the last weeks; None if that is not known.
    """

    id: UUID
    title: str
    funder: str
    purpose: str
    division_code: str
    budget: int
    reserved: int | None
    spent: int | None
    left: int | None
    low: bool
    runs_out_on: date | None


def public_pools(connection: Connection, now: datetime) -> list[PublicPool]:
    """The reward pools, the latest first."""
    with session_on(connection) as session:
        query = select(RewardPool).order_by(col(RewardPool.id).desc()).limit(MOST_LISTED)
        pools = list(session.exec(query))
    told = _told(connection, [pool.id for pool in pools if pool.reserved + pool.spent])
    return [
        _public(connection, pool, pool.id in told or not pool.reserved + pool.spent, now) for pool in pools
    ]


def _public(connection: Connection, pool: RewardPool, told: bool, now: datetime) -> PublicPool:
    return PublicPool(
        id=pool.id,
        title=pool.title,
        funder=pool.funder,
        purpose=pool.purpose,
        division_code=pool.division_code,
        budget=pool.budget,
        reserved=pool.reserved if told else None,
        spent=pool.spent if told else None,
        left=pool.left if told else None,
        low=pool.low and (told or not pool.left),
        runs_out_on=runs_out_on(connection, pool, now) if told else None,
    )


def _told(connection: Connection, pool_ids: list[UUID]) -> set[UUID]:
    redemption = SQLModel.metadata.tables["redemption"]
    query = (
        sa.select(redemption.c.pool_id)
        .where(redemption.c.pool_id.in_(pool_ids), redemption.c.state.in_(("open", "settled")))
        .group_by(redemption.c.pool_id)
        .having(sa.func.count(sa.distinct(redemption.c.resident_id)) >= FEWEST_TOLD)
    )
    return set(connection.scalars(query)) if pool_ids else set()


def campaign_pools(connection: Connection) -> list[PublicBonus]:
    """What announced campaigns give on top, those still open first."""
    with session_on(connection) as session:
        query = select(CampaignPool.campaign_id).order_by(
            col(CampaignPool.closed_at).is_not(None), col(CampaignPool.campaign_id).desc()
        )
        found = session.exec(query.limit(MOST_LISTED)).all()
    pools = []
    for campaign_id in found:
        try:
            pools.append(public_bonus(connection, campaign_id))
        except NotFound:
            continue  # not announced yet
    return pools
