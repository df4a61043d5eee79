"""Whoever answers for a pool is told once a crossing that it runs low, however many look at the same time."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from rewards import pool_notices, redemptions, reward_pools
from rewards.pool_notices import SOON, PoolNoticeKind
from tanpuhui import clock
from tanpuhui.errors import NotAllowed
from tanpuhui.jobs import run_due
from tanpuhui.staff import Role
from tests.browser import browser
from tests.threads import at_once
from tests.world import OTHER_COMMUNITY, World


def look(world: World, now: datetime | None = None) -> None:
    with world.house.db.transaction() as connection:
        pool_notices.tick(world.house, connection, now or clock.now())


def told(world: World, pool_id: UUID) -> list[tuple[str, int, bool]]:
    """Kind, points left, and whether it stands; the first at the top."""
    with world.house.db.reading_session() as session:
        found = reversed(pool_notices.notices_of(session, pool_id))
        return [(one.kind.value, one.left, one.over_at is None) for one in found]


def test_a_crossing_is_told_once_and_the_next_one_again(world: World) -> None:
    resident = world.resident()
    world.earn(resident)
    pool = world.pool(100)
    offer = world.offer(pool_id=pool, price="91", per_person="9")
    look(world)
    assert told(world, pool) == []
    voucher = world.redeem(resident, offer)["voucher"]
    for _ in range(3):
        look(world)
    assert told(world, pool) == [("low", 9, True)]
    redemptions.cancel(world.house, resident.id, UUID(voucher["id"]))
    for _ in range(2):
        look(world)
    assert told(world, pool) == [("low", 9, False)]
    world.redeem(resident, offer)
    look(world)
    assert told(world, pool) == [("low", 9, False), ("low", 9, True)]
    reward_pools.set_budget(world.house, world.officer, pool, "1000", "加一些")
    look(world)
    assert [stands for *_, stands in told(world, pool)] == [False, False]


def test_who_funds_it_is_told_when_it_is_used_up_soon_at_its_pace(world: World) -> None:
    """Five vouchers of ten points in a fortnight: of 100 points the 50 that are left last another one."""
    residents = world.residents(5)
    world.earn(*residents)
    pool = world.pool(120)
    offer = world.offer(pool_id=pool, price="10")
    for resident in residents:
        world.redeem(resident, offer)
    look(world)
    assert told(world, pool) == []  # 70 are left: 19 days
    reward_pools.set_budget(world.house, world.officer, pool, "100", "少一些")
    for _ in range(2):
        look(world)
    assert told(world, pool) == [("soon", 50, True)]
    with world.house.db.reading_session() as session:
        (notice,) = pool_notices.notices_of(session, pool)
        assert notice.runs_out_on == clock.today() + SOON
    reward_pools.set_budget(world.house, world.officer, pool, "120", "又多一些")
    look(world)
    assert told(world, pool) == [("soon", 50, True)]  # a few days more are no news
    look(world, clock.now() + timedelta(days=90))  # nobody wants it any more
    assert told(world, pool) == [("soon", 50, False)]

    officer, other = (
        browser(world, world.officer),
        world.colleague(Role.OFFICER, division=OTHER_COMMUNITY[:9]),
    )
    page = officer.get("/bureau/rewards")
    assert "大约只够用到" in page
    assert "大约只够用到" not in browser(world, other).get("/bureau/rewards")
    with pytest.raises(NotAllowed):
        pool_notices.mark_seen(world.house, other, notice.id)
    officer.get("/bureau/rewards")
    officer.send("/seen")
    pool_notices.mark_seen(world.house, world.officer, notice.id)  # twice is once
    assert "大约只够用到" not in officer.get("/bureau/rewards")
    history = officer.get(f"/bureau/rewards/pools/{pool}")
    assert "大约只够用到" in history
    assert "有人看过" in history


def low_pool(world: World) -> UUID:
    resident = world.resident()
    world.earn(resident)
    pool = world.pool(100)
    world.redeem(resident, world.offer(pool_id=pool, price="95"))
    return pool


def test_two_workers_at_once_tell_once(world: World) -> None:
    pool = low_pool(world)
    results = at_once([lambda: look(world)] * 6)
    assert [one for one in results if isinstance(one, Exception)] == []
    assert told(world, pool) == [("low", 5, True)]
    now = clock.now()
    at_once([lambda: run_due(world.house, pool_notices.JOB, now + timedelta(hours=1))] * 4)
    assert told(world, pool) == [("low", 5, True)]


def test_without_its_turn_the_index_and_without_that_nothing_keeps_it_to_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: who does not wait is refused by the database; without the index there would be several."""

    def out_of_turn(session: Any, pool_id: UUID) -> Any:
        return session.get_one(reward_pools.RewardPool, pool_id)

    def blind(_session: Any, _pool: Any, _now: datetime) -> dict[PoolNoticeKind, bool]:
        return {PoolNoticeKind.LOW: True}

    pool = low_pool(world)
    monkeypatch.setattr(pool_notices, "_locked", out_of_turn)
    monkeypatch.setattr(pool_notices, "_changes", blind)
    look(world)
    with pytest.raises(sa.exc.IntegrityError):
        look(world)
    with world.house.db.transaction() as connection:
        connection.execute(sa.text("DROP INDEX uq_pool_notice_standing"))
    look(world)
    assert told(world, pool) == [("low", 5, True)] * 2
