"""What those who answer for a pool are told: less than a tenth of it is left, or at this pace it is used up soon.

A crossing is told once: the notice stands until the pool is above the mark again, and while it stands the database lets no second
one in. A job looks, so that giving points waits for nothing. Whoever funds the pool sees the notice until one of them has read it.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, Session, SQLModel, col, select

from rewards.reward_pools import RewardPool, managed_pool, own_pools, runs_out_on
from tanpuhui import clock, ids
from tanpuhui.db import enum_type, session_on
from tanpuhui.errors import NotFound
from tanpuhui.i18n import N_
from tanpuhui.jobs import Job
from tanpuhui.sessions import Principal

if TYPE_CHECKING:
    from tanpuhui.rooms import House

#: A pool that lasts no longer than this, at its pace, is told of; one that lasts twice as long again is out of it.
SOON = timedelta(days=14)


class PoolNoticeKind(StrEnum):
    """What is told."""

    LOW = "low"
    SOON = "soon"


class PoolNotice(SQLModel, table=True):
    """A pool ran low, or is about to run out. `left` points then, of `budget`; `runs_out_on` at the pace then, if it was known.

    `over_at`: when it was above the mark again. `seen_at`: when one of those who answer for it read it.
    """

    __tablename__ = "pool_notice"
    __table_args__ = (
        sa.CheckConstraint("(seen_at IS NULL) = (seen_by IS NULL)", name="seen"),
        sa.CheckConstraint("kind <> 'soon' OR runs_out_on IS NOT NULL", name="soon"),
        sa.Index(
            "uq_pool_notice_standing",
            "pool_id",
            "kind",
            unique=True,
            sqlite_where=sa.text("over_at IS NULL"),
            postgresql_where=sa.text("over_at IS NULL"),
        ),
        sa.Index("ix_pool_notice_pool_id_told_at", "pool_id", "told_at"),
    )

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    pool_id: UUID = Field(foreign_key="reward_pool.id")
    kind: PoolNoticeKind = Field(sa_type=enum_type(PoolNoticeKind))
    left: int = Field(sa_type=sa.BigInteger)
    budget: int = Field(sa_type=sa.BigInteger)
    runs_out_on: date | None = None
    told_at: datetime
    over_at: datetime | None = None
    seen_at: datetime | None = None
    seen_by: UUID | None = Field(default=None, foreign_key="staff.id")


# --- telling -----------------------------------------------------------------------------------------------


def tick(_house: "House | None", connection: Connection, now: datetime) -> None:
    """Tell of each crossing that nobody was told of, and end the notices of pools that are above the mark again."""
    with session_on(connection) as session:
        pool_ids = session.exec(select(RewardPool.id).order_by(col(RewardPool.id))).all()
        for pool_id in pool_ids:
            pool = session.get_one(RewardPool, pool_id)
            if _changes(session, pool, now):
                pool = _locked(session, pool_id)
                for kind, below in _changes(session, pool, now).items():
                    _write(session, pool, kind, now, below=below)


def _locked(session: Session, pool_id: UUID) -> RewardPool:
    """A pool, in its turn: whoever looks at the same time sees what this one wrote."""
    return session.get_one(RewardPool, pool_id, with_for_update=True, populate_existing=True)


def _changes(session: Session, pool: RewardPool, now: datetime) -> dict[PoolNoticeKind, bool]:
    """Which notices have to be written (True) or ended (False) by what a pool has left."""
    standing = set(
        session.exec(
            select(PoolNotice.kind).where(PoolNotice.pool_id == pool.id, col(PoolNotice.over_at).is_(None))
        )
    )
    day = runs_out_on(session.connection(), pool, now)
    days = (day - clock.day_of(now)).days if day else None
    soon_again = days is None or days > 2 * SOON.days
    below = {PoolNoticeKind.LOW: pool.low, PoolNoticeKind.SOON: days is not None and days <= SOON.days}
    above = {PoolNoticeKind.LOW: not pool.low, PoolNoticeKind.SOON: soon_again}
    return {
        kind: kind not in standing
        for kind in PoolNoticeKind
        if (below[kind] if kind not in standing else above[kind])
    }


def _write(session: Session, pool: RewardPool, kind: PoolNoticeKind, now: datetime, *, below: bool) -> None:
    if below:
        day = runs_out_on(session.connection(), pool, now)
        notice = PoolNotice(
            pool_id=pool.id, kind=kind, left=pool.left, budget=pool.budget, runs_out_on=day, told_at=now
        )
        session.add(notice)
    else:
        standing = (col(PoolNotice.pool_id) == pool.id, col(PoolNotice.kind) == kind)
        ended: Any = sa.update(PoolNotice).where(*standing, col(PoolNotice.over_at).is_(None))
        session.execute(ended.values(over_at=now))
    session.flush()


JOB = Job("pools that run low", N_("提醒奖励预算快用完了"), timedelta(minutes=5), tick)


# --- reading -----------------------------------------------------------------------------------------------


def unseen(session: Session, principal: Principal) -> Sequence[tuple[PoolNotice, RewardPool]]:
    """What nobody has read yet of the pools that `principal` answers for, the latest first."""
    mine = {pool.id: pool for pool in own_pools(session, principal)}
    query = select(PoolNotice).where(col(PoolNotice.seen_at).is_(None), col(PoolNotice.pool_id).in_(mine))
    newest = query.order_by(col(PoolNotice.told_at).desc(), col(PoolNotice.id).desc())
    return [(notice, mine[notice.pool_id]) for notice in session.exec(newest)]


def notices_of(session: Session, pool_id: UUID) -> Sequence[PoolNotice]:
    """Everything that was told of a pool, the latest first."""
    query = select(PoolNotice).where(PoolNotice.pool_id == pool_id)
    newest = query.order_by(col(PoolNotice.told_at).desc(), col(PoolNotice.id).desc())
    return session.exec(newest.limit(50)).all()


def mark_seen(house: "House", principal: Principal, notice_id: UUID) -> None:
    """One of those who answer for the pool has read it; twice changes nothing. Raises NotFound, NotAllowed."""
    with house.db.session() as session:
        notice = session.get(PoolNotice, notice_id, with_for_update=True)
        if notice is None:
            raise NotFound
        managed_pool(session, principal, notice.pool_id)
        if notice.seen_at is None:
            notice.seen_at, notice.seen_by = clock.now(), principal.id
            session.add(notice)
