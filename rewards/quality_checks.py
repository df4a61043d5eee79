"""What this room asks at the quality desk: budgets that are nearly gone."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.engine import Connection
from sqlmodel import col, select

from rewards.pools import CampaignPool
from rewards.reward_pools import LOW_PERCENT, RewardPool
from tanpuhui.db import session_on
from tanpuhui.i18n import N_
from tanpuhui.quality import Check, Row, Severity
from tanpuhui.rooms import House


def _reward_pools(_house: House, connection: Connection, _now: datetime) -> Sequence[Row]:
    """Reads the reward pools, a row for each budget."""
    with session_on(connection) as session:
        pools = session.exec(select(RewardPool).order_by(col(RewardPool.title))).all()
        words = N_("%(pool)s：预算 %(budget)s 分，只剩 %(left)s 分")
        return [
            Row(
                words,
                {"pool": pool.title, "budget": pool.budget, "left": pool.left},
                "offer_desk.pool",
                {"pool_id": pool.id},
            )
            for pool in pools
            if pool.low
        ]


def _campaign_pools(_house: House, connection: Connection, _now: datetime) -> Sequence[Row]:
    """Reads the pools of campaigns that are open, a row for each."""
    with session_on(connection) as session:
        open_pools = select(CampaignPool).where(
            col(CampaignPool.closed_at).is_(None), col(CampaignPool.budget) > 0
        )
        words = N_("%(campaign)s：加分预算 %(budget)s 分，只剩 %(left)s 分")
        return [
            Row(
                words,
                {"campaign": pool.title, "budget": pool.budget, "left": pool.left},
                "campaigns.one",
                {"campaign_id": pool.campaign_id},
            )
            for pool in session.exec(open_pools.order_by(col(CampaignPool.title)))
            if pool.left * 100 < pool.budget * LOW_PERCENT
        ]


CHECKS = (
    Check("reward_pools", N_("奖励池的预算够用吗？"), Severity.SOON, "offer_desk.bureau", _reward_pools),
    Check("campaign_pools", N_("活动的加分预算够用吗？"), Severity.SOON, "campaigns.listed", _campaign_pools),
)
