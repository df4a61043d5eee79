"""Redemptions: points given for vouchers, used once, given back; nothing oversold, whoever asks when."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
import time_machine
from sqlmodel import col, select

from rewards import counter, ledger, offer_desk, offer_letters, redemptions, vouchers
from rewards.offers import Offer
from rewards.reward_pools import RewardPool
from rewards.vouchers import Redemption, VoucherState
from tanpuhui import clock, families, jobs, people
from tanpuhui.db import Statement
from tanpuhui.errors import (
    CodeInvalid,
    InsufficientPoints,
    KeyReused,
    NotAVoucher,
    NotFound,
    OfferForOthers,
    OfferLimitReached,
    OfferNotOpen,
    OfferSoldOut,
    PoolUsedUp,
    TanpuhuiError,
    Unavailable,
    VoucherCancelled,
    VoucherCodeHere,
    VoucherElsewhere,
    VoucherLapsed,
    VoucherNotUsed,
    VoucherUsed,
)
from tanpuhui.inbox import Message
from tanpuhui.people import PRESENT, Document, Resident
from tanpuhui.staff import Role
from tests.tables import contents, written
from tests.threads import at_once, codes
from tests.world import COMMUNITY, OTHER_COMMUNITY, World


def refusal(call: Callable[[], Any]) -> str:
    """The code of what `call` raises."""
    with pytest.raises(TanpuhuiError) as error:
        call()
    return error.value.code


def state_of(world: World, voucher: dict[str, Any]) -> VoucherState:
    with world.house.db.reading_session() as session:
        return session.get_one(Redemption, UUID(voucher["id"])).state


def balance(world: World, resident: Resident) -> int:
    with world.house.db.reading() as connection:
        return ledger.balance(connection, resident.id)


def pool_of(world: World, offer_id: UUID) -> RewardPool:
    with world.house.db.reading_session() as session:
        return session.get_one(RewardPool, session.get_one(Offer, offer_id).pool_id)


def persistent(call: Callable[[], Any]) -> Callable[[], Any]:
    """As a phone that tries again, with the same key, while the house is too busy."""

    def tried() -> Any:
        for _ in range(20):
            try:
                return call()
            except Unavailable:
                continue
        return call()

    return tried


def run_jobs(world: World) -> None:
    for job in offer_letters.JOBS:
        jobs.run_due(world.house, job, clock.now())


# --- a voucher's life --------------------------------------------------------------------------------------


def test_points_become_a_voucher_that_is_handed_over_once(world: World) -> None:
    resident = world.resident()
    world.earn(resident)
    had = balance(world, resident)
    offer = world.offer(price="10")
    answer = world.redeem(resident, offer, key="once")
    voucher = answer["voucher"]
    assert answer["balance"] == balance(world, resident) == had - 10
    assert (pool_of(world, offer).reserved, pool_of(world, offer).spent) == (10, 0)
    assert world.redeem(resident, offer, key="once") == answer  # the same key: the same answer, nothing more
    assert refusal(lambda: world.redeem(resident, world.offer(), key="once")) == KeyReused.code
    world.hand_over(world.organiser, voucher, key="tap")
    world.hand_over(world.organiser, voucher, key="tap")  # a double tap
    assert refusal(lambda: world.hand_over(world.organiser, voucher)) == VoucherUsed.code
    assert (
        refusal(lambda: redemptions.cancel(world.house, resident.id, UUID(voucher["id"]))) == VoucherUsed.code
    )
    assert (pool_of(world, offer).reserved, pool_of(world, offer).spent) == (0, 10)
    assert balance(world, resident) == had - 10
    assert world.breaches() == []


def test_a_settlement_is_taken_back_within_minutes_only(world: World) -> None:
    resident = world.resident()
    world.earn(resident)
    offer = world.offer()
    voucher = world.redeem(resident, offer)["voucher"]
    redemption_id = UUID(voucher["id"])
    with time_machine.travel(clock.now(), tick=False) as time:
        world.hand_over(world.organiser, voucher)
        counter.undo(world.house, world.organiser, redemption_id)
        counter.undo(world.house, world.organiser, redemption_id)  # twice is once
        assert state_of(world, voucher) is VoucherState.OPEN
        assert (pool_of(world, offer).reserved, pool_of(world, offer).spent) == (10, 0)
        world.hand_over(world.organiser, voucher)
        time.shift(counter.UNDO_WITHIN)
        undo = refusal(lambda: counter.undo(world.house, world.organiser, redemption_id))
        assert undo == VoucherNotUsed.code
    assert state_of(world, voucher) is VoucherState.SETTLED
    assert world.breaches() == []


def test_who_cancels_has_the_points_back_and_somebody_else_can_have_it(world: World) -> None:
    first, second = world.residents(2)
    world.earn(first, second)
    had = balance(world, first)
    offer = world.offer(stock="1")
    voucher = world.redeem(first, offer)["voucher"]
    assert refusal(lambda: world.redeem(second, offer)) == OfferSoldOut.code
    assert refusal(lambda: redemptions.cancel(world.house, second.id, UUID(voucher["id"]))) == NotFound.code
    redemptions.cancel(world.house, first.id, UUID(voucher["id"]))
    redemptions.cancel(world.house, first.id, UUID(voucher["id"]))  # twice is once
    assert balance(world, first) == had
    assert refusal(lambda: world.hand_over(world.organiser, voucher)) == VoucherCancelled.code
    taken_back = world.redeem(second, offer)["voucher"]
    counter.cancel(world.house, world.organiser, UUID(taken_back["id"]), "货到晚了")
    counter.cancel(world.house, world.organiser, UUID(taken_back["id"]), "货到晚了")
    with world.house.db.reading_session() as session:
        told = session.exec(select(Message).where(Message.resident_id == second.id)).all()
        assert [one.kind for one in told if one.kind.startswith("voucher")] == ["voucher.cancelled"]
        assert session.get_one(Redemption, UUID(taken_back["id"])).reason == "货到晚了"
    assert balance(world, second) == had
    assert pool_of(world, offer).left == pool_of(world, offer).budget
    assert world.breaches() == []


def test_a_voucher_lapses_after_its_holder_was_told_in_time(world: World) -> None:
    resident = world.resident()
    world.earn(resident)
    had = balance(world, resident)
    offer = world.offer(good_days="7")
    with time_machine.travel(clock.now(), tick=False) as time:
        voucher = world.redeem(resident, offer)["voucher"]
        used = world.redeem(resident, world.offer(good_days="7"))["voucher"]
        world.hand_over(world.organiser, used)
        time.shift(timedelta(days=6, hours=1))
        run_jobs(world)
        time.shift(timedelta(hours=1))
        run_jobs(world)  # told once
        time.shift(timedelta(days=4))  # nobody ran for days: it is lapsed all the same, and caught up
        assert refusal(lambda: world.hand_over(world.organiser, voucher)) == VoucherLapsed.code
        run_jobs(world)
        run_jobs(world)
    with world.house.db.reading_session() as session:
        told = session.exec(
            select(Message).where(Message.resident_id == resident.id).order_by(col(Message.told_at))
        )
        assert [one.kind for one in told if one.kind.startswith("voucher")] == [
            "voucher.about_to_lapse",
            "voucher.lapsed",
        ]
    assert state_of(world, voucher) is VoucherState.LAPSED
    assert balance(world, resident) == had - 10
    assert world.breaches() == []


def test_coupons_are_given_at_once_and_each_once(world: World) -> None:
    residents = world.residents(3)
    world.earn(*residents)
    offer = world.offer(kind="coupon", coupons="A-1\nA-2\n", price="5")
    given = [world.redeem(resident, offer)["voucher"] for resident in residents[:2]]
    assert [(one["coupon"], one["state"], one["code"]) for one in given] == [
        ("A-1", "settled", None),
        ("A-2", "settled", None),
    ]
    assert refusal(lambda: world.redeem(residents[2], offer)) == OfferSoldOut.code
    assert pool_of(world, offer).spent == 10
    with pytest.raises(sa.exc.DBAPIError), world.house.db.transaction() as connection:
        connection.execute(sa.text("UPDATE offer_coupon SET redemption_id = NULL WHERE code = 'A-1'"))
    assert world.breaches() == []


def test_an_honour_costs_nothing_and_is_handed_over_all_the_same(world: World) -> None:
    resident = world.resident()
    voucher = world.redeem(resident, world.offer(kind="honour", price="0", title="纪念章"))["voucher"]
    world.hand_over(world.organiser, voucher)
    assert state_of(world, voucher) is VoucherState.SETTLED
    assert world.breaches() == []


def test_what_cannot_be_had_leaves_nothing_behind(world: World) -> None:
    """Each refusal with its reason, and not a row written."""
    resident, poor = world.residents(2)
    world.earn(resident)
    now = clock.now()
    refused = {
        OfferNotOpen.code: world.offer(opens_at=now + timedelta(days=1)),
        OfferForOthers.code: world.offer(divisions=[OTHER_COMMUNITY]),
        PoolUsedUp.code: world.offer(pool_id=world.pool(9)),
    }
    paused, ended, mine = world.offer(), world.offer(), world.offer(divisions=[COMMUNITY[:9]])
    offer_desk.pause(world.house, world.organiser, paused, paused=True)
    offer_desk.end(world.house, world.organiser, ended, "收回")
    draft = offer_desk.draft(world.house, world.organiser, world.offer_in())
    world.redeem(resident, mine)
    before = contents(world.house)
    for code, offer in refused.items():
        assert refusal(lambda offer=offer: world.redeem(resident, offer)) == code  # type: ignore[misc]
    assert refusal(lambda: world.redeem(resident, paused)) == OfferNotOpen.code
    assert refusal(lambda: world.redeem(resident, ended)) == OfferNotOpen.code
    assert refusal(lambda: world.redeem(resident, draft)) == NotFound.code
    assert refusal(lambda: world.redeem(resident, mine)) == OfferLimitReached.code
    assert refusal(lambda: world.redeem(poor, mine)) == InsufficientPoints.code
    assert written(before, contents(world.house)) == {}


def test_a_guardian_and_their_family_are_one_person(world: World) -> None:
    guardian = world.resident()
    family = families.make(
        world.house, guardian.id, label="我家", adult=True, version=PRESENT[Document.FAMILY]
    )
    world.earn(guardian)
    offer = world.offer()
    world.redeem(guardian, offer)
    with pytest.raises(OfferLimitReached):
        redemptions.redeem(world.house, family, offer, key="for-the-family")


# --- codes, and whose they are -----------------------------------------------------------------------------


def test_a_forged_or_foreign_voucher_moves_nothing(world: World) -> None:
    resident = world.resident()
    world.earn(resident)
    shop = world.colleague(Role.MERCHANT, organisation=world.organisation("甲店"))
    other = world.colleague(Role.MERCHANT, organisation=world.organisation("乙店"))
    pool = world.pool()
    offer = world.offer(shop, scope=world.scope_of(shop), pool_id=pool)
    voucher = world.redeem(resident, offer)["voucher"]
    code = voucher["code"]
    forged = code[:-1] + ("A" if code[-1] != "A" else "B")
    unknown = vouchers.token_of(world.house.settings, 12345)
    before = contents(world.house)
    assert refusal(lambda: counter.find(world.house, shop, forged)) == CodeInvalid.code
    assert refusal(lambda: counter.find(world.house, shop, unknown)) == CodeInvalid.code
    assert (
        refusal(lambda: counter.find(world.house, shop, world.code_at(world.site("own_cup"))))
        == NotAVoucher.code
    )
    for stranger in (other, world.colleague(Role.MERCHANT, division=OTHER_COMMUNITY[:9]), world.officer):
        assert refusal(lambda who=stranger: counter.find(world.house, who, code)) == VoucherElsewhere.code  # type: ignore[misc]
        for act in (
            lambda who=stranger: counter.hand_over(world.house, who, UUID(voucher["id"]), key="x"),
            lambda who=stranger: counter.undo(world.house, who, UUID(voucher["id"])),
            lambda who=stranger: counter.cancel(world.house, who, UUID(voucher["id"]), "不给"),
        ):
            assert refusal(act) == VoucherElsewhere.code
    changed = written(before, contents(world.house))
    assert "redemption" not in changed
    assert "transfer" not in changed
    assert refusal(lambda: world.scan(resident, code)) == VoucherCodeHere.code
    typed = "-".join(code[at : at + 4] for at in range(0, 24, 4)).lower()
    found = counter.find(world.house, shop, f"{typed}")
    assert found.redemption.id == UUID(voucher["id"])
    world.hand_over(shop, {"code": f"{world.house.settings.public_url}/s/{code}"})
    with world.house.db.reading_session() as session:
        month = clock.today().replace(day=1)
        (line,) = counter.settled_in(session, shop, month)
        assert (line.held_by, line.count, line.points) == ("甲店", 1, 10)
        assert counter.settled_in(session, other, month) == []
        assert counter.settled_in(session, shop, (month - timedelta(days=1)).replace(day=1)) == []


# --- leaving -----------------------------------------------------------------------------------------------


def test_whoever_leaves_gives_up_what_they_have_not_used(world: World) -> None:
    resident = world.resident()
    world.earn(resident)
    offer = world.offer(stock="1")
    voucher = world.redeem(resident, offer)["voucher"]
    people.leave(world.house, resident.id)
    assert state_of(world, voucher) is VoucherState.CANCELLED
    with world.house.db.reading_session() as session:
        assert session.get_one(Offer, offer).taken == 0
    assert refusal(lambda: world.hand_over(world.organiser, voucher)) == VoucherCancelled.code
    assert world.breaches() == []


# --- many at once ------------------------------------------------------------------------------------------

_ANYHOW = Statement("UPDATE offer SET taken = taken + 1 WHERE id {in:ids:uuid} RETURNING id", id="uuid")
_SETTLE_ANYHOW = Statement(
    redemptions._SETTLE._text.replace("AND redemption.state = 'open'", ""),
    rows=redemptions._SETTLE._rows,
    settlements="int",
)


def rush(world: World, many: int, stock: int) -> tuple[UUID, list[str]]:
    """As many residents as there are want one of a stock, all at the same moment."""
    crowd = world.residents(many)
    world.earn(*crowd)
    offer = world.offer(stock=str(stock))
    calls = [persistent(lambda who=who: world.redeem(who, offer, key="rush")) for who in crowd]  # type: ignore[misc]
    return offer, codes(at_once(calls, timeout=120))


def test_two_hundred_at_once_get_fifty_vouchers_of_fifty(world: World) -> None:
    offer, answers = rush(world, 200, 50)
    assert sorted(set(answers)) == ["offer_sold_out", "ok"]
    assert answers.count("ok") == 50
    assert pool_of(world, offer).reserved == 500
    assert world.breaches() == []


def test_without_its_guards_an_offer_is_oversold(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: a build that does not look gets no further with the database's own rule, and oversells without it."""
    monkeypatch.setattr(redemptions, "_TAKE_ONE", _ANYHOW)
    _, answers = rush(world, 8, 3)
    assert answers.count("ok") == 3
    assert "offer_sold_out" not in answers  # what stops the others is the database
    without_check(world, "offer", "ck_offer_stock")
    _, answers = rush(world, 8, 3)
    assert answers.count("ok") == 8


def without_check(world: World, table: str, constraint: str) -> None:
    """The database forgets a rule."""
    if world.house.db.is_sqlite:
        sa.event.listen(
            world.house.db.engine,
            "checkout",
            lambda raw, *_: raw.execute("PRAGMA ignore_check_constraints=ON"),
        )
        return
    with world.house.db.transaction() as connection:
        connection.execute(sa.text(f"ALTER TABLE {table} DROP CONSTRAINT {constraint}"))


def counters(world: World) -> tuple[dict[str, Any], list[str]]:
    """One voucher, scanned at twelve counters at the same moment."""
    resident = world.resident()
    world.earn(resident)
    voucher = world.redeem(resident, world.offer())["voucher"]
    colleagues = [world.colleague(Role.MERCHANT) for _ in range(4)] * 3
    calls = [
        persistent(lambda who=who, key=f"{at}": world.hand_over(who, voucher, key=key))  # type: ignore[misc]
        for at, who in enumerate(colleagues)
    ]
    return voucher, codes(at_once(calls))


def test_a_voucher_works_once_at_however_many_counters(world: World) -> None:
    _, answers = counters(world)
    assert sorted(set(answers)) == ["ok", "voucher_used"]
    assert answers.count("ok") == 1
    assert world.breaches() == []


def test_without_its_guards_a_voucher_works_more_than_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control, as of offers."""
    monkeypatch.setattr(redemptions, "_SETTLE", _SETTLE_ANYHOW)
    _, answers = counters(world)
    assert answers.count("ok") == 1
    assert "voucher_used" not in answers
    with world.house.db.transaction() as connection:
        for guard in vouchers.GUARDS:
            for statement in guard.drop(world.house.db.url.get_backend_name()):
                connection.execute(sa.text(statement))
    monkeypatch.setattr(redemptions.reward_pools, "move", lambda *_args, **_more: True)
    monkeypatch.setattr(redemptions.ledger, "take", lambda *_args: 0)
    _, answers = counters(world)
    assert answers.count("ok") == 12


def test_a_resident_in_a_hurry_keeps_to_limit_stock_and_balance(world: World) -> None:
    """One resident at many devices; and while some give back, others take."""
    resident = world.resident()
    world.earn(resident)
    offer = world.offer(per_person="2", stock="9")
    calls = [persistent(lambda at=at: world.redeem(resident, offer, key=f"{at}")) for at in range(8)]  # type: ignore[misc]
    results = at_once(calls)
    assert sorted(set(codes(results))) == ["offer_limit_reached", "ok"]
    mine = [UUID(one["voucher"]["id"]) for one in results if isinstance(one, dict)]
    assert len(mine) == 2
    with world.house.db.reading_session() as session:
        told = session.get_one(Redemption, mine[0]).model_dump(exclude={"id", "number"})
    with pytest.raises(sa.exc.DBAPIError), world.house.db.session() as session:
        session.add(Redemption(number=7, **told))
    giving = [persistent(lambda one=one: redemptions.cancel(world.house, resident.id, one)) for one in mine]  # type: ignore[misc]
    taking = [persistent(lambda at=at: world.redeem(resident, offer, key=f"again-{at}")) for at in range(4)]  # type: ignore[misc]
    at_once(giving + taking)
    assert world.breaches() == []


def test_handed_over_given_up_and_lapsed_at_once_one_of_them_holds(world: World) -> None:
    resident = world.resident()
    world.earn(resident)
    had = balance(world, resident)
    offer = world.offer()
    voucher = world.redeem(resident, offer)["voucher"]
    redemption_id = UUID(voucher["id"])

    def lapse() -> None:
        with world.house.db.transaction() as connection:
            redemptions.lapse(connection, clock.now() + timedelta(days=8))

    at_once(
        [
            persistent(lambda: world.hand_over(world.organiser, voucher)),
            persistent(lambda: redemptions.cancel(world.house, resident.id, redemption_id)),
            persistent(lapse),
        ]
        * 2
    )
    used = state_of(world, voucher) is VoucherState.SETTLED
    assert state_of(world, voucher) is not VoucherState.OPEN
    assert balance(world, resident) == (had - 10 if used else had)
    assert world.breaches() == []
