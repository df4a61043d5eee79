"""The ledger: whole points, both sides in one row, never below zero, never changed."""

import pytest
import sqlalchemy as sa

from rewards import ledger
from rewards.ledger import ACTIONS_PROGRAMME, Posting, account_of
from rewards.lots import NEVER
from rewards.statements import statement
from tanpuhui import clock, ids
from tanpuhui.errors import InsufficientPoints
from tanpuhui.rooms import House
from tests.tables import contents, written
from tests.threads import at_once, codes
from tests.world import World

RESIDENT = ids.new_id()
ACCOUNT = account_of(RESIDENT)


def earn(reference: str, amount: int, account: str = ACCOUNT) -> Posting:
    return Posting(reference, ACTIONS_PROGRAMME, account, amount, clock.now(), NEVER)


def spend(reference: str, amount: int) -> Posting:
    return Posting(reference, ACCOUNT, "programme:shop", amount, clock.now())


def credit(house: House, *postings: Posting) -> list[int]:
    with house.db.transaction() as connection:
        return ledger.credit(connection, postings, [posting.destination for posting in postings])


def test_credits_of_a_batch_run_up_in_order(house: House) -> None:
    other = account_of(ids.new_id())
    credit(house, earn("before", 1))
    assert credit(house, earn("a", 10), earn("b", 5, other), earn("c", 7)) == [18, 5, 18]
    with house.db.reading() as connection:
        found = ledger.find(connection, ["a", "b", "c", "none"])
        assert {reference: row.balance_after for reference, row in found.items()} == {
            "a": 11,
            "b": 5,
            "c": 18,
        }
        assert ledger.balance(connection, RESIDENT) == 18
        assert ledger.balance(connection, ids.new_id()) == 0


def test_a_reference_is_never_posted_twice(house: House) -> None:
    credit(house, earn("a", 10))
    before = contents(house)
    with pytest.raises(sa.exc.IntegrityError):
        credit(house, earn("a", 10))
    assert written(before, contents(house)) == {}


def test_points_are_taken_down_to_zero_and_no_further(house: House) -> None:
    credit(house, earn("a", 10))
    with house.db.transaction() as connection:
        assert ledger.take(connection, spend("b", 4)) == 6
        assert ledger.take(connection, spend("c", 6)) == 0
    before = contents(house)
    with pytest.raises(InsufficientPoints), house.db.transaction() as connection:
        ledger.take(connection, spend("d", 1))
    assert written(before, contents(house)) == {}


def test_points_are_not_spent_twice_at_once(house: House) -> None:
    credit(house, earn("a", 10))

    def take(reference: str) -> int:
        with house.db.transaction() as connection:
            return ledger.take(connection, spend(reference, 10))

    results = at_once([lambda n=n: take(f"s{n}") for n in range(4)])
    assert sorted(codes(results)) == ["insufficient_points"] * 3 + ["ok"]


def test_the_database_itself_refuses_what_is_not_a_transfer(house: House) -> None:
    credit(house, earn("a", 10))
    for change, constraint in (
        ("UPDATE account SET balance = -1", "balance"),
        ("INSERT INTO account (path, balance) VALUES ('programme:actions', 0)", "path"),
        (_transfer(amount=0), "amount"),
        (_transfer(amount=-5), "amount"),
        (_transfer(destination="'a'", source="'a'"), "sides"),
        (_transfer(balance_after=-1), "balance_after"),
    ):
        with pytest.raises(sa.exc.IntegrityError, match=constraint), house.db.transaction() as connection:
            connection.execute(sa.text(change))


def _transfer(**changed: object) -> str:
    row: dict[str, object] = {
        "reference": "'x'",
        "source": "'s'",
        "destination": "'d'",
        "amount": 1,
        "balance_after": 1,
        "recorded_at": "'2026-01-01 00:00:00'",
    } | changed
    return f"INSERT INTO transfer ({', '.join(row)}) VALUES ({', '.join(map(str, row.values()))})"


@pytest.mark.parametrize("change", ["UPDATE transfer SET amount = 1", "DELETE FROM transfer"])
def test_transfers_are_append_only(house: House, change: str) -> None:
    credit(house, earn("a", 10))
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), house.db.transaction() as connection:
        connection.execute(sa.text(change))


def test_a_statement_pages_backwards(world: World) -> None:
    resident = world.resident()
    for kind in ("clean_plate", "own_cup", "no_cutlery"):
        world.scan(resident, world.code(kind))
        world.scan(world.resident(), world.code(kind))  # somebody else's lines stay out
    with world.house.db.reading() as connection:
        first = statement(connection, resident.id, limit=2)
        rest = statement(connection, resident.id, limit=2, before=first[-1].position)
    lines = [(line.deed.kind, line.points, line.balance_after, line.voided) for line in [*first, *rest]]
    assert lines == [("no_cutlery", 3, 16, False), ("own_cup", 3, 13, False), ("clean_plate", 10, 10, False)]
