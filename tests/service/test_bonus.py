"""Bonuses: out of a campaign's budget, never beyond it; each record decided once, in whatever order its events come."""

import random
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import SQLModel, col, select

from activities import campaign_desk, campaigns
from activities.campaign_desk import ChangeIn
from activities.campaign_life import tick
from activities.campaigns import Campaign
from activities.events import ActionVoided
from activities.review import confirm_action, reject_action, void_action
from activities.reviews import Waits
from rewards import bonus as bonuses, ledger
from rewards.bonus import GRANTING, follow
from rewards.bonus_invariants import BONUS_INVARIANTS
from rewards.grants import CampaignGrant, Short
from rewards.ledger import Posting, account_of, pool_of
from rewards.pools import CampaignBonus, CampaignPool
from rewards.statements import BonusLine, statement
from tanpuhui import clock, consents, ids, people
from tanpuhui.db import Statement
from tanpuhui.errors import InvalidField
from tanpuhui.events import event_class
from tanpuhui.inbox import Message
from tanpuhui.outbox import LoggedEvent
from tanpuhui.people import Document, Resident
from tanpuhui.rooms import build_house
from tests.browser import browser
from tests.service.test_verify import tamper
from tests.tables import contents, written
from tests.threads import at_once, codes
from tests.world import World

WORD = "登记了两次"
OTHER_BOOKS = {"subscriber_cursor"}


def bonus(by: str = "points", amount: int = 5, cap: int = 1000, budget: int = 1000) -> dict[str, Any]:
    return {"by": by, "amount": amount, "cap": cap, "budget": budget}


def opened(world: World, given: dict[str, Any] | None, *kinds: str, **more: Any) -> tuple[Campaign, str]:
    """A campaign that is open, and a code at its site."""
    site = world.site(*(kinds or ("clean_plate",)))
    return world.campaign(site, bonus=given, **more), world.code_at(site)


def change(world: World, campaign: Campaign, given: dict[str, Any] | None) -> None:
    """Submit and approve another version, with this bonus."""
    drafted = amended(world, campaign, given)
    campaign_desk.submit(world.house, world.organiser, campaign.id)
    campaign_desk.approve(world.house, world.officer, campaign.id, drafted)


def amended(world: World, campaign: Campaign, given: dict[str, Any] | None) -> int:
    with world.house.db.reading_session() as session:
        now = campaigns.rules_of(session, session.get_one(Campaign, campaign.id))
    assert now
    rules = now.model_validate(now.stored() | {"bonus": given})
    change_in = ChangeIn(title=campaign.title, rules=rules)
    return campaign_desk.amend(world.house, world.organiser, campaign.id, change_in).number


def scan(world: World, who: Resident, code: str, **more: Any) -> UUID:
    return UUID(world.scan(who, code, **more)["action"]["id"])


def void(world: World, action: UUID) -> None:
    void_action(world.house, world.officer, action, WORD)


def grant_of(world: World, action: UUID) -> CampaignGrant | None:
    with world.house.db.reading_session() as session:
        return session.get(CampaignGrant, action)


def granted(world: World, *actions: UUID) -> list[tuple[int, Short | None] | None]:
    found = [grant_of(world, action) for action in actions]
    return [(one.granted - one.returned, one.short) if one else None for one in found]


def pool(world: World, campaign: Campaign) -> tuple[int, int, int]:
    """Budget, granted, and what the account holds."""
    with world.house.db.reading_session() as session:
        found = session.get_one(CampaignPool, campaign.id)
        return found.budget, found.granted, ledger.in_pool(session.connection(), campaign.id)


def balance(world: World, who: Resident) -> int:
    with world.house.db.reading() as connection:
        return ledger.balance(connection, who.id)


def letters(world: World, who: Resident) -> list[Message]:
    with world.house.db.reading_session() as session:
        query = select(Message).where(Message.resident_id == who.id, Message.kind == bonuses.USED_UP.kind)
        return list(session.exec(query))


def set_back(world: World) -> None:
    """The log is brought once more from its beginning."""
    start = "UPDATE subscriber_cursor SET tx = -9000000000000000000, position = 0 WHERE subscriber = :name"
    with world.house.db.transaction() as connection:
        connection.execute(sa.text(start), {"name": GRANTING.name})


def holds(world: World) -> None:
    """Every invariant holds, and the figures are what the log says."""
    assert world.breaches() == []
    assert world.figure_differences() == []


# --- granting ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("given", "points"), [(bonus(amount=5), 5), (bonus("percent", 25), 2)])
def test_a_record_gets_its_bonus_once_and_a_line_of_its_own(
    world: World, given: dict[str, Any], points: int
) -> None:
    campaign, code = opened(world, given, title="六五环境日")
    who = world.resident()
    action = scan(world, who, code)
    assert pool(world, campaign) == (1000, 0, 1000)
    me = browser(world, who)
    assert f"“六五环境日”另加约 {points} 分" in me.get(f"/me/actions/{action}")
    world.house.relay.drain()
    assert pool(world, campaign) == (1000, points, 1000 - points)
    assert balance(world, who) == 10 + points
    with world.house.db.reading() as connection:
        line, first = statement(connection, who.id)
    assert isinstance(line, BonusLine)
    assert (line.title, line.points, line.balance_after) == ("六五环境日", points, 10 + points)
    assert first.balance_after == 10
    page = me.get("/me/statement")
    assert "“六五环境日”加分" in page
    assert f"/rewards/campaigns/{campaign.id}" in page
    assert f"“六五环境日”另加了 {points} 分" in me.get(f"/me/actions/{action}")
    before = contents(world.house)
    set_back(world)
    world.house.relay.drain()
    assert set(written(before, contents(world.house))) <= OTHER_BOOKS
    holds(world)


def test_what_earns_no_points_gets_no_bonus(world: World) -> None:
    campaign, code = opened(world, bonus(), "clean_plate", "walk")
    without, waits, rejected, plain = world.residents(4)
    consents.withdraw(world.house, without.id, Document.POINTS)
    off = scan(world, without, code, kind="clean_plate")
    few = scan(world, plain, code, kind="walk", quantity="500")  # too few steps for a whole point
    pending = scan(world, waits, code, kind="clean_plate", waits=Waits.PHOTO)
    refused = scan(world, rejected, code, kind="clean_plate", waits=Waits.PHOTO)
    elsewhere = scan(world, plain, world.code("own_cup"))
    world.house.relay.drain()
    reject_action(world.house, world.officer, refused, WORD)
    world.house.relay.drain()
    assert granted(world, off, few, pending, refused, elsewhere) == [None] * 5
    confirm_action(world.house, world.officer, pending, WORD)
    world.house.relay.drain()
    assert granted(world, pending) == [(5, None)]
    assert balance(world, waits) == 7 + 5  # a photo earns less
    assert pool(world, campaign) == (1000, 5, 995)
    holds(world)


def test_a_campaign_without_a_bonus_gives_none(world: World) -> None:
    campaign, code = opened(world, None)
    action = scan(world, world.resident(), code)
    world.house.relay.drain()
    assert granted(world, action) == [None]
    assert contents(world.house)["campaign_pool"] == {}
    assert world.call("GET", f"/campaigns/{campaign.id}/bonus").status_code == 404
    holds(world)


def test_a_resident_gets_no_more_than_the_cap_and_is_told_where_the_record_is(world: World) -> None:
    campaign, code = opened(world, bonus(amount=5, cap=8), "clean_plate", "own_cup", "no_cutlery")
    who, other = world.residents(2)
    actions = [scan(world, who, code, kind=kind) for kind in ("clean_plate", "own_cup", "no_cutlery")]
    theirs = scan(world, other, code, kind="clean_plate")
    world.house.relay.drain()
    assert granted(world, *actions, theirs) == [(5, None), (3, Short.CAP), (0, Short.CAP), (5, None)]
    assert letters(world, who) == []
    assert "已到每人上限" in browser(world, who).get(f"/me/actions/{actions[2]}")
    void(world, actions[0])
    world.house.relay.drain()
    again = scan(world, who, code, kind="clean_plate")  # what was voided frees the cap
    world.house.relay.drain()
    assert granted(world, *actions, again) == [(0, None), (3, Short.CAP), (0, Short.CAP), (5, None)]
    assert pool(world, campaign) == (1000, 13, 987)
    holds(world)


def test_whoever_met_an_empty_budget_is_told_once(world: World) -> None:
    campaign, code = opened(world, bonus(amount=5, budget=8), "clean_plate", "own_cup", title="六五环境日")
    first, second, third = world.residents(3)
    actions = []
    for who, kind in ((first, "clean_plate"), (second, "clean_plate"), (third, "clean_plate")):
        actions.append(scan(world, who, code, kind=kind))
    world.house.relay.drain()
    assert granted(world, *actions) == [(5, None), (3, Short.BUDGET), (0, Short.BUDGET)]
    late = scan(world, third, code, kind="own_cup")
    world.house.relay.drain()
    set_back(world)
    world.house.relay.drain()
    assert granted(world, late) == [(0, Short.BUDGET)]
    assert [len(letters(world, who)) for who in (first, second, third)] == [0, 1, 1]
    assert balance(world, third) == 13  # its own points stand
    told = letters(world, second)[0]
    assert told.params == {"campaign": str(campaign.id)}  # no words and no numbers: they are looked up
    page = browser(world, second).get(f"/me/inbox/{told.id}")
    assert "“六五环境日”的加分预算一共 8 分" in page
    assert "得到的加分：3 分" in page
    assert "budget" in browser(world, second, "en").get(f"/me/inbox/{told.id}")
    assert "加分预算用完了" in browser(world, third).get(f"/me/actions/{late}")
    assert pool(world, campaign) == (8, 8, 0)
    holds(world)


def test_whoever_has_left_gets_nothing(world: World) -> None:
    campaign, code = opened(world, bonus(budget=5))
    gone, here = world.residents(2)
    theirs, action = scan(world, gone, code), scan(world, here, code)
    people.leave(world.house, gone.id)
    world.house.relay.drain()
    assert granted(world, theirs, action) == [None, (5, None)]
    void(world, theirs)
    world.house.relay.drain()
    assert pool(world, campaign) == (5, 5, 0)
    holds(world)


# --- voiding -------------------------------------------------------------------------------------------------


def test_a_voided_record_gives_its_bonus_back(world: World) -> None:
    campaign, code = opened(world, bonus(budget=5))
    who = world.resident()
    action = scan(world, who, code)
    world.house.relay.drain()
    assert pool(world, campaign) == (5, 5, 0)
    void(world, action)
    world.house.relay.drain()
    assert pool(world, campaign) == (5, 0, 5)
    assert balance(world, who) == 0
    assert "“测试活动”加分退回" in browser(world, who).get("/me/statement")
    scan(world, who, code)  # the budget is free for others again
    world.house.relay.drain()
    assert pool(world, campaign) == (5, 5, 0)
    holds(world)


def test_what_was_spent_stays_granted_and_holds_up_no_void(world: World) -> None:
    campaign, code = opened(world, bonus(amount=5, cap=8), "clean_plate", "own_cup")
    who = world.resident()
    action = scan(world, who, code, kind="clean_plate")
    world.house.relay.drain()
    with world.house.db.transaction() as connection:
        ledger.take(connection, Posting("spent", account_of(who.id), "programme:shop", 3, clock.now()))
    void(world, action)
    world.house.relay.drain()
    found = grant_of(world, action)
    assert found
    assert (found.granted, found.returned, balance(world, who)) == (5, 2, 0)
    assert pool(world, campaign) == (1000, 3, 997)
    later = scan(world, who, code, kind="own_cup")
    world.house.relay.drain()
    assert granted(world, later) == [(5, None)]  # of the cap of 8, 3 are spent
    with world.house.db.reading() as connection:
        assert [line for one in BONUS_INVARIANTS for line in one.breaches(connection)] == []


def test_a_record_voided_in_the_same_batch_gets_nothing(world: World) -> None:
    campaign, code = opened(world, bonus())
    who = world.resident()
    action = scan(world, who, code)
    void(world, action)
    world.house.relay.drain()
    assert granted(world, action) == [(0, None)]
    assert pool(world, campaign) == (1000, 0, 1000)
    with world.house.db.reading() as connection:
        assert not [line for line in statement(connection, who.id) if isinstance(line, BonusLine)]
    holds(world)


# --- versions and the end --------------------------------------------------------------------------------------


def test_each_record_follows_the_rule_of_its_moment_and_the_pool_the_last_budget(world: World) -> None:
    campaign, code = opened(world, bonus(amount=5, budget=100), "clean_plate", "own_cup", "no_cutlery")
    who = world.resident()
    first = scan(world, who, code, kind="clean_plate")
    change(world, campaign, bonus(amount=7, budget=300))
    assert pool(world, campaign) == (300, 0, 300)
    second = scan(world, who, code, kind="own_cup")
    change(world, campaign, None)
    assert pool(world, campaign) == (300, 0, 0)
    third = scan(world, who, code, kind="no_cutlery")
    world.house.relay.drain()
    assert granted(world, first, second, third) == [(5, None), (7, None), None]
    assert pool(world, campaign) == (300, 12, 0)
    holds(world)
    change(world, campaign, bonus(amount=1, budget=20))
    assert pool(world, campaign) == (20, 12, 8)
    holds(world)
    with world.house.db.reading() as connection:
        versions = connection.execute(
            sa.select(col(CampaignBonus.version), col(CampaignBonus.budget)).order_by(
                col(CampaignBonus.version)
            )
        ).all()
    assert [tuple(row) for row in versions] == [(1, 100), (2, 300), (3, None), (4, 20)]


def test_a_budget_below_what_was_granted_is_refused_in_the_form(world: World) -> None:
    campaign, code = opened(world, bonus(budget=100))
    for who in world.residents(3):
        scan(world, who, code)
    world.house.relay.drain()
    amended(world, campaign, bonus(budget=14))
    before = contents(world.house)
    with pytest.raises(InvalidField) as error:
        campaign_desk.submit(world.house, world.organiser, campaign.id)
    (said,) = error.value.params["errors"]
    assert (said["field"], said["reason"] % said["params"]) == (
        "bonus.budget",
        "已经发出 15 分，预算不能低于这个数。",
    )
    assert written(before, contents(world.house)) == {}
    change(world, campaign, bonus(budget=15))
    assert pool(world, campaign) == (15, 15, 0)
    holds(world)


def test_what_was_granted_while_it_waited_is_looked_at_again_on_approval(world: World) -> None:
    campaign, code = opened(world, bonus(budget=100))
    drafted = amended(world, campaign, bonus(budget=9))
    campaign_desk.submit(world.house, world.organiser, campaign.id)
    for who in world.residents(2):
        scan(world, who, code)
    world.house.relay.drain()
    before = contents(world.house)
    with pytest.raises(InvalidField):
        campaign_desk.approve(world.house, world.officer, campaign.id, drafted)
    assert written(before, contents(world.house)) == {}
    assert pool(world, campaign) == (100, 10, 90)
    holds(world)


def test_a_reason_with_a_number_is_told_in_the_language_of_the_reader(world: World) -> None:
    from tanpuhui.web.forms import form_errors

    reason = {"field": "bonus.budget", "reason": "已经发出 %(granted)s 分，预算不能低于这个数。"}
    error = InvalidField(errors=[{**reason, "params": {"granted": 15}}])
    for language, said in (("zh", "已经发出 15 分"), ("en", "15 points")):
        with world.app.test_request_context(headers={"Accept-Language": language}):
            assert said in form_errors(error)["bonus.budget"]


def over(world: World, campaign: Campaign) -> None:
    """The days of a campaign pass, and those for late records; the worker takes what steps are due."""
    with world.house.db.reading_session() as session:
        ends_at = session.get_one(Campaign, campaign.id).ends_at
    assert ends_at
    with clock.pretending(ends_at + timedelta(hours=world.house.settings.late_hours, minutes=1)):
        world.house.db.run(lambda connection: tick(world.house, connection, clock.now()))
        world.house.relay.drain()


@pytest.mark.parametrize("how", ["settled", "cancelled"])
def test_what_is_left_returns_to_the_programme_once_all_is_granted(world: World, how: str) -> None:
    campaign, code = opened(world, bonus(budget=100))
    one, other = world.residents(2)
    action, waiting = scan(world, one, code), scan(world, other, code, waits=Waits.PHOTO)
    if how == "settled":
        over(world, campaign)
    else:
        campaign_desk.cancel(world.house, world.officer, campaign.id, "台风")
        world.house.relay.drain()
    assert granted(world, action) == [(5, None)]
    assert pool(world, campaign) == (100, 5, 0)
    holds(world)
    confirm_action(world.house, world.officer, waiting, WORD)  # it was recorded in time
    world.house.relay.drain()
    assert granted(world, waiting) == [(5, None)]
    assert pool(world, campaign) == (100, 10, 0)
    void(world, action)
    world.house.relay.drain()
    assert pool(world, campaign) == (100, 5, 0)
    holds(world)
    with world.house.db.reading() as connection:
        moves = connection.execute(
            sa.text(
                "SELECT reference, CASE WHEN destination = :pool THEN amount ELSE -amount END FROM transfer "
                "WHERE reference LIKE 'pool:%' ORDER BY reference"
            ),
            {"pool": pool_of(campaign.id)},
        ).all()
    assert [moved for _reference, moved in moves] == [100, -95, 5, -5]


# --- at once -------------------------------------------------------------------------------------------------


def test_two_hundred_at_once_use_the_budget_up_exactly(world: World) -> None:
    campaign, code = opened(world, bonus(amount=5, budget=333))
    everybody = world.residents(200)
    second = build_house(world.house.settings)
    done = threading.Event()

    def relay(house: Any) -> None:
        while not done.is_set():
            house.relay.run_once()
            done.wait(0.02)

    relays = [threading.Thread(target=relay, args=(house,), daemon=True) for house in (world.house, second)]
    for thread in relays:
        thread.start()
    results = at_once([lambda who=who: scan(world, who, code) for who in everybody], timeout=120)  # type: ignore[misc]
    done.set()
    for thread in relays:
        thread.join(30)
    assert codes(results) == ["ok"] * 200
    at_once([world.house.relay.drain, second.relay.drain])
    world.house.relay.drain()
    second.db.dispose()
    decided = granted(world, *results)
    assert sorted(one[0] for one in decided if one) == [0] * 133 + [3] + [5] * 66
    assert pool(world, campaign) == (333, 333, 0)
    missed = [who for who, one in zip(everybody, decided, strict=True) if one and one[1] is Short.BUDGET]
    assert sum(len(letters(world, who)) for who in everybody) == len(missed) == 134
    holds(world)


def race(world: World, monkeypatch: pytest.MonkeyPatch) -> tuple[Campaign, list[str]]:
    """Two relays past their cursor, each with a record that would use the budget up, the pool's turn taken away."""
    campaign, code = opened(world, bonus(amount=5, budget=5))
    for who in world.residents(2):
        scan(world, who, code)
    logged = events_of(world)
    barrier = threading.Barrier(2)

    def out_of_turn(session: Any, campaign_id: UUID) -> CampaignPool:
        found: CampaignPool = session.get_one(CampaignPool, campaign_id)
        with suppress(threading.BrokenBarrierError):
            barrier.wait(10)
        return found

    monkeypatch.setattr(bonuses, "locked_pool", out_of_turn)

    def serve(event: Any) -> None:
        with world.house.db.transaction() as connection:
            follow(connection, [event])

    results = at_once([lambda event=event: serve(event) for event in logged])  # type: ignore[misc]
    return campaign, [type(result).__name__ for result in results]


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
def test_out_of_turn_the_database_holds_the_budget(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the engine whose writers do not take turns anyway."""
    campaign, results = race(world, monkeypatch)
    assert sorted(results) == ["IntegrityError", "NoneType"]
    assert pool(world, campaign) == (5, 5, 0)
    with world.house.db.reading() as connection:
        assert [line for one in BONUS_INVARIANTS for line in one.breaches(connection)] == []


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
def test_without_turn_and_constraint_more_is_granted_than_the_budget(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: the race above is a race, and `verify` tells what comes of it."""
    with world.house.db.transaction() as connection:
        connection.execute(sa.text("ALTER TABLE campaign_pool DROP CONSTRAINT ck_campaign_pool_granted"))
        for table in ("account", "transfer"):
            name = "balance" if table == "account" else "balance_after"
            connection.execute(sa.text(f"ALTER TABLE {table} DROP CONSTRAINT ck_{table}_{name}"))
    blind = "UPDATE account SET balance = balance - :amount WHERE path = :path RETURNING balance"
    monkeypatch.setattr(ledger, "_TAKE", Statement(blind, balance="int"))
    campaign, results = race(world, monkeypatch)
    assert results == ["NoneType", "NoneType"]
    assert pool(world, campaign)[1] == 10
    assert any("granted 10 of 5" in line for line in world.breaches())


def test_an_approval_and_the_relay_take_turns(world: World) -> None:
    """A budget is lowered while bonuses are granted out of it: whichever comes first, nobody gets beyond."""
    campaign, code = opened(world, bonus(amount=5, budget=100))
    drafted = amended(world, campaign, bonus(amount=5, budget=12))
    campaign_desk.submit(world.house, world.organiser, campaign.id)
    for who in world.residents(4):
        scan(world, who, code)
    results = at_once(
        [
            lambda: campaign_desk.approve(world.house, world.officer, campaign.id, drafted),
            world.house.relay.drain,
        ]
    )
    world.house.relay.drain()
    approved = not isinstance(results[0], Exception)
    assert pool(world, campaign) == ((12, 12, 0) if approved else (100, 20, 80))
    assert approved or isinstance(results[0], InvalidField)
    holds(world)


# --- out of order --------------------------------------------------------------------------------------------


def events_of(world: World) -> list[Any]:
    """What the subscriber hears of the log, in order."""
    with world.house.db.reading_session() as session:
        query = select(LoggedEvent).order_by(col(LoggedEvent.position))
        wanted = {event.type for event in GRANTING.hears}
        return [
            event_class(row.type).from_payload(row.payload)
            for row in session.exec(query)
            if row.type in wanted
        ]


def history(world: World, given: dict[str, Any]) -> list[Any]:
    """Records of four residents in two campaigns, some voided, some confirmed, one campaign over: none brought yet."""
    campaign, code = opened(world, given, "clean_plate", "own_cup", "no_cutlery")
    _, other = opened(world, bonus("percent", 50, cap=500, budget=900), "walk")
    everybody = world.residents(4)
    made = [
        scan(world, who, code, kind=kind)
        for who in everybody
        for kind in ("clean_plate", "own_cup", "no_cutlery")
    ]
    more = [scan(world, who, other, quantity="6000") for who in everybody]
    pending = scan(world, world.resident(), code, kind="clean_plate", waits=Waits.PHOTO)
    for action in (made[0], made[4], made[5], more[2]):
        void(world, action)
    confirm_action(world.house, world.officer, pending, WORD)
    campaign_desk.cancel(world.house, world.officer, campaign.id, "台风")
    return events_of(world)


def brought(world: World, batches: Sequence[Sequence[Any]]) -> tuple[Any, list[str]]:
    """What stands after these batches, and what `verify` says of it; taken back again."""
    with world.house.db.engine.connect() as connection, connection.begin() as transaction:
        for batch in batches:
            follow(connection, batch)
        found = state(connection), [line for one in BONUS_INVARIANTS for line in one.breaches(connection)]
        transaction.rollback()
        return found


def state(connection: Connection) -> Any:
    grants, accounts, kept = (
        SQLModel.metadata.tables[name] for name in ("campaign_grant", "account", "campaign_pool")
    )
    net = grants.c.granted - grants.c.returned
    return (
        {tuple(row) for row in connection.execute(sa.select(grants.c.action_id, net).where(net > 0))},
        {tuple(row) for row in connection.execute(sa.select(accounts.c.path, accounts.c.balance))},
        {tuple(row) for row in connection.execute(sa.select(kept.c.campaign_id, kept.c.granted))},
    )


def shuffled(events: Sequence[Any], seed: int) -> list[list[Any]]:
    """The events in some order, some of them several times, in batches of some size."""
    chance = random.Random(seed)
    bag = [*events, *chance.sample(events, len(events) // 3)]
    chance.shuffle(bag)
    batches = []
    while bag:
        size = chance.randint(1, 7)
        batches.append(bag[:size])
        bag = bag[size:]
    return batches


#: Few here, where each goes to the database; `tests/unit/test_bonus.py` decides ten thousand orders.
CASES = 12


def test_in_any_order_the_same_comes_out_while_cap_and_budget_reach(world: World) -> None:
    events = history(world, bonus(amount=5, cap=500, budget=500))
    wanted, breaches = brought(world, [events])
    assert breaches == []
    assert len(wanted[0]) == 13
    assert brought(world, [[event] for event in events]) == (wanted, [])
    assert brought(world, [[event] for event in reversed(events)]) == (wanted, [])
    for seed in range(CASES):
        assert brought(world, shuffled(events, seed)) == (wanted, []), f"seed {seed}"


def test_in_any_order_nothing_goes_beyond_cap_and_budget(world: World) -> None:
    """Who gets what of too little depends on the order; how much is granted at most does not."""
    events = history(world, bonus(amount=5, cap=8, budget=21))
    for seed in range(CASES):
        found, breaches = brought(world, shuffled(events, seed))
        assert breaches == [], f"seed {seed}"
        assert max(total for _, total in found[2]) <= 21
    voids_first = sorted(events, key=lambda event: not isinstance(event, ActionVoided))
    assert max(total for _, total in brought(world, [voids_first])[0][2]) == 21


# --- what anybody may read -------------------------------------------------------------------------------------


def test_the_budget_is_public_and_few_people_are_not_found_out(world: World) -> None:
    campaign, code = opened(world, bonus(amount=5, cap=50, budget=1000), title="六五环境日")
    address, page = f"/campaigns/{campaign.id}/bonus", f"/rewards/campaigns/{campaign.id}"
    wanted = {
        "campaign_id": str(campaign.id),
        "title": "六五环境日",
        "unit": "points",
        "amount": 5,
        "cap": 50,
        "budget": 1000,
        "granted": 0,
        "left": 1000,
        "closed": False,
    }
    assert world.call("GET", address).json == wanted
    for who in world.residents(4):
        scan(world, who, code)
    world.house.relay.drain()
    assert world.call("GET", address).json == {**wanted, "granted": None, "left": None}
    assert "不到 5 人" in browser(world).get(page)
    scan(world, world.resident(), code)
    world.house.relay.drain()
    assert world.call("GET", address).json == {**wanted, "granted": 25, "left": 975}
    told = browser(world).get(page)
    assert "已发 25，共 1,000 分" in told
    assert "还剩 975 分" in told
    assert "每次得到积分的记录另加 5 分；每人最多加 50 分" in told
    assert "25 of 1,000" in browser(world, None, "en").get(page)
    assert f'href="{page}"' in browser(world).get(f"/campaigns/{campaign.id}")
    campaign_desk.cancel(world.house, world.officer, campaign.id, "台风")
    world.house.relay.drain()
    assert world.call("GET", address).json == {**wanted, "granted": 25, "left": 0, "closed": True}
    assert "没有发完的预算退回" in browser(world).get(page)


def test_nothing_is_told_before_the_campaign_is_announced(world: World) -> None:
    now = clock.now()
    coming = world.campaign_in(
        world.site("clean_plate"),
        starts_at=now + timedelta(days=9),
        ends_at=now + timedelta(days=10),
        bonus=bonus(),
        announce_days=1,
    )
    campaign = world.launch(coming)
    assert pool(world, campaign) == (1000, 0, 1000)
    for campaign_id in (campaign.id, ids.new_id()):
        assert world.call("GET", f"/campaigns/{campaign_id}/bonus").status_code == 404
        me = browser(world)
        me.get(f"/rewards/campaigns/{campaign_id}")
        assert me.status == 404


def test_the_statement_of_machines_names_the_campaign(world: World) -> None:
    campaign, code = opened(world, bonus(), title="六五环境日")
    who = world.resident()
    action = scan(world, who, code)
    world.house.relay.drain()
    answer = world.call("GET", "/me/statement", world.token(who)).json
    line = answer["lines"][0]
    assert answer["balance"] == line["balance_after"] == 15
    assert (line["type"], line["action_id"], line["campaign_id"], line["campaign"], line["points"]) == (
        "bonus.granted",
        str(action),
        str(campaign.id),
        "六五环境日",
        5,
    )


# --- what the database refuses, and what verify finds --------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ("UPDATE campaign_pool SET granted = budget + 1", "granted"),
        ("UPDATE campaign_pool SET granted = -1", "granted"),
        ("UPDATE campaign_bonus SET amount = 1000", "append-only"),
        ("DELETE FROM campaign_bonus", "append-only"),
        ("DELETE FROM campaign_grant", "kept"),
        ("UPDATE campaign_grant SET granted = granted - 1", "by a void alone"),
        ("UPDATE campaign_grant SET returned = 1", "by a void alone"),
        ("UPDATE campaign_grant SET voided_at = decided_at, returned = granted + 1", "returned"),
        ("UPDATE account SET balance = -1 WHERE path LIKE 'pool:%'", "balance"),
    ],
)
def test_the_database_itself_guards_bonuses(world: World, change: str, refused: str) -> None:
    _, code = opened(world, bonus())
    scan(world, world.resident(), code)
    world.house.relay.drain()
    with pytest.raises(sa.exc.DBAPIError, match=refused), world.house.db.transaction() as connection:
        connection.execute(sa.text(change))


def test_the_database_itself_holds_the_cap(world: World) -> None:
    campaign, code = opened(world, bonus(amount=5, cap=8))
    who = world.resident()
    scan(world, who, code)
    world.house.relay.drain()
    row: dict[str, Any] = {
        "campaign_id": campaign.id,
        "resident_id": who.id,
        "version": 1,
        "due": 5,
        "decided_at": clock.now(),
        "returned": 0,
    }
    for points, more in ((3, True), (1, False)):
        insert = sa.insert(SQLModel.metadata.tables["campaign_grant"]).values(
            **row, action_id=ids.new_id(), granted=points, short="cap"
        )
        if more:
            with world.house.db.transaction() as connection:
                connection.execute(insert)
        else:
            with pytest.raises(sa.exc.DBAPIError, match="cap"), world.house.db.transaction() as connection:
                connection.execute(insert)


TAMPERED = {
    "UPDATE campaign_pool SET granted = granted + 1": "a pool holds",
    "UPDATE campaign_pool SET moves = moves + 1": "a pool holds",
    "UPDATE campaign_pool SET budget = budget + 1": "a pool holds",
    "UPDATE account SET balance = balance + 1 WHERE path LIKE 'pool:%'": "a pool holds",
    "DELETE FROM transfer WHERE reference LIKE 'pool:%'": "a pool holds",
    "UPDATE transfer SET source = 'programme:other' WHERE reference LIKE 'pool:%'": "a pool holds",
    "UPDATE campaign_bonus SET cap = 1": "no resident has more",
    "DELETE FROM transfer WHERE reference LIKE 'bonus:%'": "each bonus",
    "UPDATE transfer SET amount = 4 WHERE reference LIKE 'bonus:%'": "each bonus",
    "DELETE FROM event_log WHERE type = 'bonus.granted'": "each bonus",
    "DELETE FROM campaign_grant": "each bonus",
    "UPDATE campaign_grant SET granted = 4, due = 4": "each bonus",
}


@pytest.mark.parametrize("engine", ["sqlite"])
@pytest.mark.parametrize("change", TAMPERED)
def test_what_was_altered_is_found(world: World, change: str) -> None:
    _, code = opened(world, bonus())
    scan(world, world.resident(), code)
    world.house.relay.drain()
    assert world.breaches() == []
    tamper(world.house, change)
    assert [line for line in world.breaches() if line.startswith(TAMPERED[change])]
