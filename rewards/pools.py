"""Pools: the budget of a campaign's bonus, and the rules of each version.

A pool (account ``pool:campaign:<id>``) holds what its budget leaves over what was granted; of a closed one, nothing. Whoever changes
budget or granted holds its row, and levels the account in the same transaction: what is missing comes from the programme, what is
too much goes back to it. So a bonus that is due after the closing is still paid, and never beyond the budget.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, Session, SQLModel, col, select

from activities.events import BonusRules, CampaignApproved, CampaignSubmitted
from rewards import ledger
from rewards.ledger import Posting, pool_of
from tanpuhui import clock
from tanpuhui.db import enum_type, session_on
from tanpuhui.errors import InvalidField
from tanpuhui.i18n import N_
from tanpuhui.subscribers import SameTransaction

CAMPAIGNS_PROGRAMME = "programme:campaigns"


class BonusUnit(StrEnum):
    """What `amount` counts: percent of an action's own points, or points an action."""

    PERCENT = "percent"
    POINTS = "points"


class CampaignPool(SQLModel, table=True):
    """What a campaign may grant, and has granted less what came back. `moves` numbers the transfers between programme and pool.

    Closed, it holds nothing.
    """

    __tablename__ = "campaign_pool"
    __table_args__ = (
        sa.CheckConstraint("granted BETWEEN 0 AND budget", name="granted"),
        sa.CheckConstraint("moves >= 0", name="moves"),
    )

    campaign_id: UUID = Field(primary_key=True)
    title: str = Field(max_length=60)
    budget: int = Field(sa_type=sa.BigInteger)
    granted: int = Field(default=0, sa_type=sa.BigInteger)
    moves: int = 0
    closed_at: datetime | None = None

    @property
    def left(self) -> int:
        """What can still be granted of an open one; it is what the account holds."""
        return 0 if self.closed_at else self.budget - self.granted


class CampaignBonus(SQLModel, table=True):
    """The bonus by a version of a campaign's rules, for records made from `valid_from` on until the next version. Never changed.

    Without `unit` this version gives none.
    """

    __tablename__ = "campaign_bonus"
    __table_args__ = (
        sa.CheckConstraint(
            "(unit IS NULL AND amount IS NULL AND cap IS NULL AND budget IS NULL) OR "
            "(unit IS NOT NULL AND amount >= 1 AND cap >= 1 AND budget >= 1)",
            name="whole",
        ),
    )

    campaign_id: UUID = Field(foreign_key="campaign_pool.campaign_id", primary_key=True)
    version: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    unit: BonusUnit | None = Field(default=None, sa_type=enum_type(BonusUnit))
    amount: int | None = None
    cap: int | None = None
    budget: int | None = Field(default=None, sa_type=sa.BigInteger)
    valid_from: datetime


@dataclass(frozen=True, slots=True)
class BonusRule:
    """A version that gives a bonus: `amount` by `unit`, to one resident at most `cap` points in the campaign."""

    version: int
    unit: BonusUnit
    amount: int
    cap: int
    valid_from: datetime

    def due(self, points: int) -> int:
        """What an action that earned `points` gets on top, in whole points, rounded down; one that earned none gets none."""
        if not points:
            return 0
        return points * self.amount // 100 if self.unit is BonusUnit.PERCENT else self.amount


# --- rules -------------------------------------------------------------------------------------------------


def versions_of(session: Session, campaign_id: UUID) -> Sequence[CampaignBonus]:
    """Every version of a campaign's bonus, the latest first."""
    query = select(CampaignBonus).where(CampaignBonus.campaign_id == campaign_id)
    return session.exec(query.order_by(col(CampaignBonus.version).desc())).all()


def rule_at(versions: Sequence[CampaignBonus], moment: datetime) -> BonusRule | None:
    """The rule for a record made at `moment`; `versions` as in `versions_of`."""
    found = next((one for one in versions if one.valid_from <= moment), None)
    if found is None or found.unit is None or found.amount is None or found.cap is None:
        return None
    return BonusRule(found.version, found.unit, found.amount, found.cap, found.valid_from)


# --- the account -------------------------------------------------------------------------------------------


def locked_pool(session: Session, campaign_id: UUID) -> CampaignPool | None:
    """The pool of a campaign, in its turn: others wait until this transaction ends."""
    return session.get(CampaignPool, campaign_id, with_for_update=True, populate_existing=True)


def count_granted(session: Session, pool: CampaignPool, granted: int, over_at: datetime | None) -> None:
    """Count `granted` points more (less, below 0), and close the pool if its campaign is over.

    The database adds and compares, so that not even somebody out of turn gets beyond the budget.
    """
    if not granted and (over_at is None or pool.closed_at):
        return
    more = {"granted": col(CampaignPool.granted) + granted, "closed_at": pool.closed_at or over_at}
    this = col(CampaignPool.campaign_id) == pool.campaign_id
    session.execute(sa.update(CampaignPool).where(this).values(more))
    session.refresh(pool)


def level(session: Session, pool: CampaignPool, wanted: int) -> None:
    """Let the account of a pool, whose turn the caller has, hold exactly `wanted` points."""
    connection, account, now = session.connection(), pool_of(pool.campaign_id), clock.now()
    missing = wanted - ledger.in_pool(connection, pool.campaign_id)
    if not missing:
        return
    pool.moves += 1
    reference = f"pool:{pool.campaign_id}:{pool.moves}"
    if missing > 0:
        posting = Posting(reference, CAMPAIGNS_PROGRAMME, account, missing, now)
        ledger.credit(connection, [posting], [])
    else:
        ledger.take(connection, Posting(reference, account, CAMPAIGNS_PROGRAMME, -missing, now))
    session.add(pool)
    session.flush()


def pools(connection: Connection, campaign_ids: Sequence[UUID]) -> Mapping[UUID, CampaignPool]:
    """The pools of these campaigns, of those that have one; as they are, in nobody's turn."""
    if not campaign_ids:
        return {}
    with session_on(connection) as session:
        found = session.exec(select(CampaignPool).where(col(CampaignPool.campaign_id).in_(campaign_ids)))
        return {pool.campaign_id: pool for pool in found}


# --- approval ----------------------------------------------------------------------------------------------


def refuse_too_small(connection: Connection, events: Sequence[CampaignSubmitted]) -> None:
    """A budget below what was granted is refused as soon as it is submitted. Raises InvalidField."""
    known = pools(connection, [event.subject_id for event in events])
    for event in events:
        _check_budget(known.get(event.subject_id), event.bonus)


def keep_rules(connection: Connection, events: Sequence[CampaignApproved]) -> None:
    """Keep the bonus of an approved version and fund its pool up to the budget, or take back what is more than that.

    A version without a bonus closes the pool. Raises InvalidField (the budget is below what was granted meanwhile).
    """
    with session_on(connection) as session:
        for event in events:
            pool = locked_pool(session, event.subject_id)
            _check_budget(pool, event.bonus)
            if pool is None:
                if event.bonus is None:
                    continue
                pool = CampaignPool(campaign_id=event.subject_id, title=event.title, budget=0)
            pool.title = event.title
            pool.closed_at = None if event.bonus else pool.closed_at or event.recorded_at
            if event.bonus:
                pool.budget = event.bonus.budget
            session.add(pool)
            session.flush()
            level(session, pool, pool.left)
            session.add(_version(event))
            session.flush()


def _version(event: CampaignApproved) -> CampaignBonus:
    kept = CampaignBonus(campaign_id=event.subject_id, version=event.version, valid_from=event.recorded_at)
    if event.bonus:
        kept.unit, kept.amount = BonusUnit(event.bonus.by), event.bonus.amount
        kept.cap, kept.budget = event.bonus.cap, event.bonus.budget
    return kept


def _check_budget(pool: CampaignPool | None, bonus: BonusRules | None) -> None:
    if pool and bonus and bonus.budget < pool.granted:
        raise InvalidField(
            errors=[
                {
                    "field": "bonus.budget",
                    "reason": N_("已经发出 %(granted)s 分，预算不能低于这个数。"),
                    "params": {"granted": pool.granted},
                }
            ]
        )


CHECKING = SameTransaction("campaign budget", (CampaignSubmitted,), refuse_too_small)
FUNDING = SameTransaction("campaign pool", (CampaignApproved,), keep_rules)
