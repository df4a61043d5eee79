"""Reward pools: what a funder promises to pay for, in points, and how far it has gone.

A pool holds no points of its own: they are residents', who give them for what an offer says. It counts what is promised: `reserved` in
vouchers that are not used yet, `spent` in those that are, never more than `budget` together. The account ``reserved:<id>`` holds the
points of those vouchers, and equals `reserved` (`rewards.offer_invariants`).
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, Session, SQLModel, col, select

from tanpuhui import audit, clock, ids
from tanpuhui.db import session_on
from tanpuhui.divisions import Division
from tanpuhui.errors import InvalidField, NotFound
from tanpuhui.i18n import N_
from tanpuhui.rooms import House
from tanpuhui.schema import Guard
from tanpuhui.sessions import Principal
from tanpuhui.staff import Role, grants_of, made_before, require

#: Who makes pools and sets their budgets: the bureau.
FUNDERS = (Role.OFFICER, Role.ADMIN)

#: A pool runs low when less than this share of its budget is left.
LOW_PERCENT = 10

MOST_BUDGET = 1_000_000_000

#: What says that a pool begins empty, and that nobody rewrites whose money it is.
GUARDS = (
    Guard(
        "reward_pool",
        "fixed",
        "UPDATE",
        "NEW.funder <> OLD.funder OR NEW.division_code <> OLD.division_code OR NEW.created_by <> OLD.created_by",
        "a pool keeps its funder",
    ),
    Guard("reward_pool", "kept", "DELETE", "true", "a pool is kept"),
)


class RewardPool(SQLModel, table=True):
    """A budget in points that somebody answers for. `reserved` and `spent` move with the vouchers, in their transactions."""

    __tablename__ = "reward_pool"
    __table_args__ = (
        sa.CheckConstraint("title <> '' AND funder <> '' AND purpose <> ''", name="words"),
        sa.CheckConstraint("budget >= 1", name="budget"),
        sa.CheckConstraint("reserved >= 0 AND spent >= 0 AND reserved + spent <= budget", name="left"),
    )

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    title: str = Field(max_length=40)
    funder: str = Field(max_length=60)
    purpose: str = Field(max_length=160)
    division_code: str = Field(foreign_key="division.code", max_length=12)
    budget: int = Field(sa_type=sa.BigInteger)
    reserved: int = Field(default=0, sa_type=sa.BigInteger)
    spent: int = Field(default=0, sa_type=sa.BigInteger)
    created_by: UUID = Field(foreign_key="staff.id")
    created_at: datetime = Field(default_factory=clock.now)

    @property
    def left(self) -> int:
        """What can still be given for, in points."""
        return self.budget - self.reserved - self.spent

    @property
    def low(self) -> bool:
        """Whether it is running out."""
        return self.left * 100 < self.budget * LOW_PERCENT


@dataclass(frozen=True, slots=True)
class PoolIn:
    """What a form says of a pool; `budget` as it was typed."""

    title: str
    funder: str
    purpose: str
    division_code: str
    budget: str


# --- the bureau --------------------------------------------------------------------------------------------


def create_pool(house: House, principal: Principal, said: PoolIn, chosen: UUID | None = None) -> UUID:
    """Make a pool; with a `chosen` id once. Raises NotAllowed, InvalidField."""
    words: dict[str, Any] = {
        name: " ".join(getattr(said, name).split()) for name in ("title", "funder", "purpose")
    }
    with house.db.session() as session:
        known = session.get(Division, said.division_code) is not None
        require(session, principal, FUNDERS, division_code=said.division_code if known else None)
        if made := made_before(session, principal, RewardPool, chosen):
            return made.id
        errors: list[dict[str, Any]] = (
            [] if known else [{"field": "division_code", "reason": N_("请选择区划。")}]
        )
        errors += [
            {
                "field": name,
                "reason": N_("请填写 %(low)s 到 %(high)s 个字。"),
                "params": {"low": 2, "high": most},
            }
            for name, most in (("title", 40), ("funder", 60), ("purpose", 160))
            if not 2 <= len(words[name]) <= most
        ]
        budget = _read_budget(said.budget, errors)
        if errors:
            raise InvalidField(errors=errors)
        pool = RewardPool(
            id=chosen or ids.new_id(),
            division_code=said.division_code,
            budget=budget,
            created_by=principal.id,
            **words,
        )
        session.add(pool)
        _note(session, principal, "created", pool, "")
        return pool.id


def set_budget(house: House, principal: Principal, pool_id: UUID, budget: str, because: str) -> None:
    """Raise or lower the budget, never below what is reserved and spent. Raises NotFound, NotAllowed, InvalidField."""
    because = audit.reason(because)
    errors: list[dict[str, Any]] = []
    wanted = _read_budget(budget, errors)
    if errors:
        raise InvalidField(errors=errors)
    with house.db.session() as session:
        managed_pool(session, principal, pool_id)
        pool = session.get_one(RewardPool, pool_id, with_for_update=True, populate_existing=True)
        used = pool.reserved + pool.spent
        if wanted < used:
            reason = N_("已经用掉和留出 %(used)s 分，预算不能低于这个数。")
            raise InvalidField(errors=[{"field": "budget", "reason": reason, "params": {"used": used}}])
        pool.budget = wanted
        session.add(pool)
        _note(session, principal, "budget_set", pool, because)


def _read_budget(text: str, errors: list[dict[str, Any]]) -> int:
    number = int(text) if text.strip().isascii() and text.strip().isdigit() and len(text.strip()) <= 10 else 0
    if not 1 <= number <= MOST_BUDGET:
        reason = N_("预算应为 1 到 %(most)s 的整数。")
        errors.append({"field": "budget", "reason": reason, "params": {"most": MOST_BUDGET}})
    return number


def managed_pool(session: Session, principal: Principal, pool_id: UUID) -> RewardPool:
    """A pool in the scope of somebody of the bureau. Raises NotFound, NotAllowed."""
    pool = session.get(RewardPool, pool_id)
    if pool is None:
        raise NotFound
    require(session, principal, FUNDERS, division_code=pool.division_code)
    return pool


def own_pools(session: Session, principal: Principal) -> list[RewardPool]:
    """The pools in the scope of somebody of the bureau, the latest first."""
    scopes = [
        col(RewardPool.division_code).startswith(given.division_code)
        for given in grants_of(session, principal)
        if given.role in FUNDERS and given.division_code
    ]
    query = select(RewardPool).where(sa.or_(sa.false(), *scopes)).order_by(col(RewardPool.id).desc())
    return list(session.exec(query.limit(200)))


def _note(session: Session, principal: Principal, deed: str, pool: RewardPool, because: str) -> None:
    audit.note_by(
        session,
        principal,
        deed=f"reward_pool.{deed}",
        subject=f"reward_pool:{pool.id}",
        reason=because,
        budget=pool.budget,
    )


# --- movements ---------------------------------------------------------------------------------------------


def move(connection: Connection, pool_id: UUID, *, reserved: int = 0, spent: int = 0) -> bool:
    """Count points into or out of what is reserved and spent; whether the budget lets it. The database adds and compares."""
    now = {"reserved": col(RewardPool.reserved) + reserved, "spent": col(RewardPool.spent) + spent}
    room = col(RewardPool.reserved) + col(RewardPool.spent) + reserved + spent <= col(RewardPool.budget)
    moved = connection.execute(sa.update(RewardPool).where(col(RewardPool.id) == pool_id, room).values(**now))
    return bool(moved.rowcount)


# --- forecast ----------------------------------------------------------------------------------------------

#: The pace is that of the last two weeks; of four where two have too few vouchers to tell.
_PACES = (timedelta(days=14), timedelta(days=28))
_FEWEST_VOUCHERS = 5


def runs_out_on(connection: Connection, pool: RewardPool, now: datetime) -> date | None:
    """The day on which a pool will have run out if it goes on as lately; None if too little is known, or beyond ten years."""
    redemption = SQLModel.metadata.tables["redemption"]
    for pace in _PACES:
        query = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(redemption.c.price), 0)).where(
            redemption.c.pool_id == pool.id,
            redemption.c.made_at > now - pace,
            redemption.c.state.in_(("open", "settled")),
        )
        vouchers, points = connection.execute(query).one()
        if vouchers >= _FEWEST_VOUCHERS and points:
            days = pool.left * pace.days // points
            return clock.day_of(now) + timedelta(days=days) if days < 3650 else None
    return None


def pools_by_id(connection: Connection, pool_ids: set[UUID]) -> dict[UUID, RewardPool]:
    """These pools, as they are, in nobody's turn."""
    with session_on(connection) as session:
        found = session.exec(select(RewardPool).where(col(RewardPool.id).in_(pool_ids)))
        return {pool.id: pool for pool in found}
