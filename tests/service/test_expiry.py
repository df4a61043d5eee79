"""Lots: points last until a day that is known from the start, are spent in its order, and go once when it is over."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings, strategies as st

from activities.review import void_action
from rewards import expiry, ledger, lots, rules, spending
from rewards.crediting import reversal_reference
from rewards.expiry import ExpiryStep
from rewards.ledger import ACTIONS_PROGRAMME, Posting, account_of
from tanpuhui import clock, consents, ids, inbox
from tanpuhui.people import PRESENT, Document, Resident, take_turn
from tanpuhui.rooms import House, build_house
from tests.browser import browser
from tests.threads import at_once, codes
from tests.world import World

GIVEN = datetime(2026, 11, 28, 4, tzinfo=clock.SHANGHAI)
LAST = date(2028, 11, 30)  # 24 months, and on to the end of that month
SHOP = "programme:shop"

# --- the sum ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_on", "months", "last"),
    [
        (date(2026, 11, 28), 24, LAST),
        (date(2026, 11, 30), 24, LAST),
        (date(2026, 12, 1), 24, date(2028, 12, 31)),
        (date(2026, 2, 28), 24, date(2028, 2, 29)),
        (date(2026, 1, 31), 1, date(2026, 2, 28)),
    ],
)
def test_points_last_to_the_end_of_a_month(given_on: date, months: int, last: date) -> None:
    assert lots.last_day(given_on, months) == last


_DAYS = [date(2027, month, 28) for month in range(1, 5)]


def test_the_earliest_lot_is_spent_first_and_what_comes_back_is_in_it_again() -> None:
    given_of = dict(zip(_DAYS, (5, 3, 4, 2), strict=True))
    assert lots.left(given_of, 0) == given_of
    assert list(lots.left(given_of, 6).values()) == [2, 4, 2]
    assert lots.left(given_of, 14) == {}
    assert lots.too_late(given_of, 10, 4, today=_DAYS[1]) == 0
    assert (
        lots.too_late(given_of, 10, 4, today=_DAYS[2]) == 2
    )  # of 4 that come back, 2 were of the second lot


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.sampled_from(_DAYS), st.lists(st.integers(1, 9), min_size=1, max_size=3)),
    st.lists(st.integers(1, 9), max_size=4),
    st.lists(st.integers(0, 9), max_size=2),
)
def test_the_database_makes_the_same_sum(
    house: House, given_of: dict[date, list[int]], spent: list[int], back: list[int]
) -> None:
    account, total = account_of(ids.new_id()), sum(map(sum, given_of.values()))
    with house.db.transaction() as connection:
        for day, amounts in given_of.items():
            for amount in amounts:
                post(connection, ACTIONS_PROGRAMME, account, amount, day)
        gone = 0
        for amount in spent:
            if gone + amount <= total:
                post(connection, account, SHOP, amount)
                gone += amount
        for amount in back:
            if 0 < amount <= gone:
                post(connection, SHOP, account, amount)
                gone -= amount
        wanted = lots.left({day: sum(amounts) for day, amounts in given_of.items()}, gone)
        assert lots.standing(connection, [account]).get(account, {}) == wanted
        assert lots.left(*lots.sums(connection, account)) == wanted
        assert lots.standing(connection, [account], _DAYS[1]).get(account, {}) == {
            day: points for day, points in wanted.items() if day <= _DAYS[1]
        }
        assert ledger.balances(connection, [account]).get(account, 0) == sum(wanted.values())


def post(
    connection: sa.Connection, source: str, destination: str, amount: int, day: date | None = None
) -> None:
    posting = Posting(f"test:{ids.new_id()}", source, destination, amount, clock.now(), day)
    if source.startswith("resident:"):
        ledger.take(connection, posting)
    else:
        ledger.credit(connection, [posting], [])


# --- a district ------------------------------------------------------------------------------------------------


@contextmanager
def at(moment: datetime | date) -> Iterator[None]:
    """Pretend that it is a moment, or the morning of a day."""
    day = datetime(moment.year, moment.month, moment.day, 5, tzinfo=clock.SHANGHAI)
    with clock.pretending(moment if isinstance(moment, datetime) else day):
        yield


def tick(house: House) -> None:
    """Do all that is due, as the worker would in its ticks."""
    more = True
    while more:
        with house.db.transaction() as connection:
            expiry.tick(house, connection, clock.now())
            more = next(expiry.due(connection, clock.now()), None) is not None


def have(world: World, *points: int) -> list[Resident]:
    """Residents who were given so many points each, in November 2026."""
    with at(GIVEN):
        found = world.residents(len(points))
        with world.house.db.transaction() as connection:
            day = rules.expiry(rules.lifetimes(connection), clock.today())
            assert day == LAST
            for resident, amount in zip(found, points, strict=True):
                post(connection, ACTIONS_PROGRAMME, account_of(resident.id), amount, day)
    return found


def balance(world: World, resident: Resident) -> int:
    with world.house.db.reading() as connection:
        return ledger.balance(connection, resident.id)


def told(world: World, resident: Resident) -> list[str]:
    with world.house.db.reading_session() as session:
        found, _ = inbox.messages(world.house, session, resident.id)
        return [one.reference for one in found if one.kind == expiry.EXPIRING.kind]


def own_breaches(world: World) -> list[str]:
    """What verify finds, but for transfers that tests made without a record."""
    return [line for line in world.breaches() if "is for nothing that is known" not in line]


def spend(world: World, resident: Resident, amount: int, reference: str) -> int:
    with world.house.db.transaction() as connection:
        take_turn(connection, [resident.id])
        return spending.spend(
            connection, resident.id, amount, reference=reference, destination=SHOP, moment=clock.now()
        )


def give_back(world: World, resident: Resident, amount: int, reference: str) -> int:
    with world.house.db.transaction() as connection:
        take_turn(connection, [resident.id])
        return spending.give_back(
            connection, resident.id, amount, reference=reference, source=SHOP, moment=clock.now()
        )


def test_a_record_says_when_its_points_expire(world: World) -> None:
    with at(GIVEN):
        resident = world.resident()
        world.scan(resident, world.code("clean_plate"))
        answer = world.call("GET", "/me/points?on=2026-11-27", world.token(resident)).get_json()
    assert answer == {
        "balance": 10,
        "pending": 0,
        "lots": [{"expires_on": "2028-11-30", "points": 10}],
        "on": "2026-11-27",
        "balance_on": 0,
    }
    assert world.breaches() == []


def test_residents_are_told_ahead_and_a_lot_goes_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiry, "BATCH", 2)
    some, none, late = have(world, 10, 4, 7)
    with at(GIVEN):
        spend(world, none, 4, "all")
    for day, wanted in {
        date(2028, 10, 30): [],
        date(2028, 10, 31): ["2028-11-30:month"],
        date(2028, 11, 1): ["2028-11-30:month"],
        date(2028, 11, 23): ["2028-11-30:week", "2028-11-30:month"],
        LAST: ["2028-11-30:week", "2028-11-30:month"],
    }.items():
        with at(day):
            tick(world.house)
        assert (told(world, some), told(world, none)) == (wanted, []), day
        assert balance(world, some) == 10
    with at(LAST):
        spend(world, late, 3, "on the last day")
        page = browser(world, some).get("/rewards")
        assert "最早：到 2028年11月30日 为止" in page
    with at(datetime(2028, 12, 1, 0, 59, tzinfo=clock.SHANGHAI)):
        tick(world.house)
    assert balance(world, some) == 10
    with at(date(2028, 12, 1)):
        tick(world.house)
        tick(world.house)
        assert [balance(world, one) for one in (some, none, late)] == [0, 0, 0]
        page = browser(world, some).get("/me/statement")
        assert "积分到期" in page
        assert "有效期到 2028年11月30日" in page
    with world.house.db.reading() as connection:
        taken = ledger.find(connection, [expiry.expired_reference(one.id, LAST) for one in (some, late)])
        done = connection.execute(
            sa.text("SELECT accounts, points FROM expiry_pass WHERE step = 'end' AND lot_day <= '2028-11-30'")
        ).all()
    assert sorted(row.amount for row in taken.values()) == [4, 10]
    assert [tuple(row) for row in done] == [(2, 14)]
    assert own_breaches(world) == []


def test_after_an_outage_days_are_caught_up_in_order_and_nobody_is_warned_of_the_past(world: World) -> None:
    (resident,) = have(world, 10)
    account = account_of(resident.id)
    with at(date(2027, 1, 5)), world.house.db.transaction() as connection:
        post(connection, ACTIONS_PROGRAMME, account, 5, date(2029, 1, 31))
        post(connection, ACTIONS_PROGRAMME, account, 2, date(2029, 4, 30))
    with at(date(2029, 4, 24)):
        tick(world.house)
        with world.house.db.reading() as connection:
            passes = connection.execute(
                sa.text("SELECT lot_day, step FROM expiry_pass ORDER BY ended_at, lot_day")
            ).all()
            assert lots.standing(connection, [account]) == {account: {date(2029, 4, 30): 2}}
    assert [step for _, step in passes] == [*[ExpiryStep.END] * 5, ExpiryStep.WEEK]
    assert told(world, resident) == ["2029-04-30:week"]
    assert own_breaches(world) == []


def test_two_workers_and_a_resident_at_the_same_moment_lose_nothing_and_take_nothing_twice(
    world: World,
) -> None:
    found = have(world, *[10] * 6)
    with at(date(2028, 12, 1)):
        with world.house.db.reading() as connection:
            assert next(expiry.due(connection, clock.now())) == (LAST, ExpiryStep.END)
        second = build_house(world.house.settings)

        def work(house: House) -> None:
            with house.db.transaction() as connection:
                expiry.take_batch(house, connection, LAST, ExpiryStep.END, clock.now())

        calls: list[Any] = [lambda house=house: work(house) for house in (world.house, second)]
        calls += [lambda one=one: spend(world, one, 6, f"at once {one.id}") for one in found]
        results = at_once(calls)
        second.db.dispose()
    spent = codes(results[2:]).count("ok")
    assert set(codes(results)) <= {"ok", "insufficient_points"}
    with world.house.db.reading() as connection:
        taken = ledger.find(connection, [expiry.expired_reference(one.id, LAST) for one in found])
    assert len(taken) == 6
    assert sorted(row.amount for row in taken.values()) == [4] * spent + [10] * (6 - spent)
    assert [balance(world, one) for one in found] == [0] * 6
    assert own_breaches(world) == []


def test_the_database_refuses_what_somebody_out_of_turn_would_take(world: World) -> None:
    """The negative control: read before the others moved, a lot is taken a second time or beyond the balance."""
    one, other = have(world, 10, 10)
    with at(date(2028, 12, 1)):
        with world.house.db.reading() as connection:
            stale = lots.standing(connection, [account_of(one.id), account_of(other.id)])
        spend(world, other, 6, "meanwhile")

        def take(resident: Resident, reference: str = "") -> None:
            path = account_of(resident.id)
            with world.house.db.transaction() as connection:
                posting = Posting(
                    reference or expiry.expired_reference(resident.id, LAST),
                    path,
                    ledger.EXPIRED_PROGRAMME,
                    stale[path][LAST],
                    clock.now(),
                    LAST,
                )
                ledger.take_all(connection, [posting])

        with pytest.raises(sa.exc.IntegrityError, match="balance"):
            take(other)
        take(one)
        with world.house.db.transaction() as connection:
            post(connection, ACTIONS_PROGRAMME, account_of(one.id), 10, lots.NEVER)
        with pytest.raises(sa.exc.IntegrityError):
            take(one)
        with pytest.raises(sa.exc.IntegrityError, match=r"expires_on|uq_transfer_expired"):
            take(one, "under another name")


# --- what comes late -------------------------------------------------------------------------------------------


def test_what_comes_back_after_its_day_lasts_to_the_end_of_the_next_month(world: World) -> None:
    (resident,) = have(world, 10)
    account = account_of(resident.id)
    later = date(2029, 6, 30)
    with at(GIVEN), world.house.db.transaction() as connection:
        post(connection, ACTIONS_PROGRAMME, account, 5, later)
    with at(LAST):
        spend(world, resident, 12, "voucher")
    with at(date(2028, 12, 5)):
        tick(world.house)
        assert balance(world, resident) == 3
        assert give_back(world, resident, 12, "voucher cancelled") == 15
        with world.house.db.reading() as connection:
            assert lots.standing(connection, [account])[account] == {date(2029, 1, 31): 10, later: 5}
    with at(date(2029, 2, 1)):
        tick(world.house)
    assert balance(world, resident) == 5
    assert own_breaches(world) == []


def test_a_record_voided_after_its_day_takes_nothing_that_was_earned_since(world: World) -> None:
    with at(GIVEN):
        resident = world.resident()
        done = world.scan(resident, world.code("clean_plate"))
    action = UUID(done["action"]["id"])
    with at(date(2028, 12, 1)):
        world.scan(resident, world.code("own_cup"))
        tick(world.house)
        assert balance(world, resident) == 3
        void_action(world.house, world.organiser, action, "重复扫码")
        assert balance(world, resident) == 3
    with world.house.db.reading() as connection:
        assert ledger.find(connection, [reversal_reference(action)]) == {}
    assert world.breaches() == []


# --- how long points last --------------------------------------------------------------------------------------


def test_what_was_given_keeps_its_day_when_the_rule_changes(world: World) -> None:
    (resident,) = have(world, 10)
    with world.house.db.transaction() as connection:
        connection.execute(
            sa.text("INSERT INTO points_lifetime (version, months, valid_from) VALUES (2, 12, '2027-02-01')")
        )
        versions = rules.lifetimes(connection)
    assert rules.expiry(versions, date(2027, 1, 31)) == date(2029, 1, 31)
    assert rules.expiry(versions, date(2027, 2, 1)) == date(2028, 2, 29)
    assert rules.expiry([], date(2027, 2, 1)) == lots.NEVER
    with at(date(2028, 12, 1)):
        tick(world.house)
    assert balance(world, resident) == 0
    page = browser(world).get("/rewards/rules")
    assert "2027年2月1日 起" in page
    for change in ("UPDATE points_lifetime SET months = 6", "DELETE FROM points_lifetime"):
        with (
            pytest.raises(sa.exc.DBAPIError, match="append-only"),
            world.house.db.transaction() as connection,
        ):
            connection.execute(sa.text(change))


def test_who_wants_no_points_keeps_records_and_may_change_their_mind(world: World) -> None:
    """From that moment on nothing is credited; what there is stays, and expires as ever."""
    with at(GIVEN):
        resident = world.resident()
        consents.withdraw(world.house, resident.id, Document.POINTS)
        world.scan(resident, world.code("clean_plate"))
        assert balance(world, resident) == 0
        consents.give(world.house, resident.id, Document.POINTS, PRESENT[Document.POINTS])
        world.scan(resident, world.code("own_cup"))
        assert balance(world, resident) == 3
    assert world.breaches() == []
