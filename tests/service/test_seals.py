"""The sealed ledger: one order for ever, a root a day, and any change of it found, in the database and in what is taken away."""

import json
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from rewards import ledger, sealed, sealing, seals, verify_ledger
from rewards.ledger import ACTIONS_PROGRAMME, Posting, account_of
from rewards.lots import NEVER
from rewards.seal_invariants import SEAL_INVARIANTS
from rewards.verify_ledger import Broken, Tree, check_export, check_statement, climb, leaf_of, roots_in
from tanpuhui import clock, ids
from tanpuhui.rooms import House
from tanpuhui.staff import Role
from tests.browser import browser
from tests.threads import at_once
from tests.world import World

ME, OTHER = ids.new_id(), ids.new_id()
_numbers = count(1)


def earn(house: House, *owners: UUID, amount: int = 5) -> list[str]:
    """One transfer to each of `owners`, in one transaction; their references."""
    made = [
        Posting(
            f"action:number-{next(_numbers)}",
            ACTIONS_PROGRAMME,
            account_of(owner),
            amount,
            clock.now(),
            NEVER,
        )
        for owner in owners
    ]
    with house.db.transaction() as connection:
        ledger.credit(connection, made, [])
    return [posting.reference for posting in made]


def spend(house: House, owner: UUID, amount: int) -> None:
    with house.db.transaction() as connection:
        reference = f"void:{next(_numbers)}"
        ledger.take(connection, Posting(reference, account_of(owner), "programme:shop", amount, clock.now()))


def three_days(house: House) -> None:
    """Three sealed days of 40, 0 and 3 transfers, and one transfer of today that waits for the end of its day."""
    now = clock.now()
    with clock.pretending(now - timedelta(days=3)):
        earn(house, *[ME, OTHER] * 19)
        spend(house, ME, 7)
        spend(house, OTHER, 1)
    with clock.pretending(now - timedelta(days=1)):
        earn(house, OTHER, ME, OTHER, amount=2)
    earn(house, ME)
    sealing.seal_all(house)


def breaches(house: House) -> list[str]:
    with house.db.reading() as connection:
        return [line for invariant in SEAL_INVARIANTS for line in invariant.breaches(connection)]


def published(house: House) -> dict[int, dict[str, Any]]:
    with house.db.reading() as connection:
        return roots_in(sealed.roots_text(sealed.roots(connection)).splitlines())


def exported(house: House) -> list[str]:
    with house.db.reading() as connection:
        last = sealed.last_number(connection)
    return "".join(sealed.export(house.db, 1, last)).splitlines()


def own(house: House) -> list[str]:
    return "".join(sealed.own(house.db, ME)).splitlines()


# --- sealing -----------------------------------------------------------------------------------------------


def test_days_are_sealed_in_order_and_late_ones_go_into_the_next_seal(house: House) -> None:
    three_days(house)
    with house.db.reading() as connection:
        found = sealed.seals(connection)
    days = [(clock.today() - timedelta(days=ago)).isoformat() for ago in (3, 2, 1)]
    assert [(seal["day"], seal["count"]) for seal in found] == list(zip(days, (40, 0, 3), strict=True))
    with clock.pretending(clock.now() - timedelta(days=2)):
        late = earn(house, OTHER)
    sealing.seal_all(house)
    with clock.pretending(clock.now() + timedelta(days=1)):
        sealing.seal_all(house)
    with house.db.reading() as connection:
        assert sealed.seals(connection)[:3] == found
        assert [seal["count"] for seal in sealed.seals(connection)[3:]] == [2]
        position = connection.scalar(
            sa.text("SELECT position FROM sealed_transfer WHERE reference = :late"), {"late": late[0]}
        )
    assert position == 45
    assert breaches(house) == []


def test_several_who_seal_at_once_seal_everything_once(house: House) -> None:
    for _ in range(6):
        earn(house, ME, OTHER, ME)

    def work() -> None:
        for _ in range(9):
            house.db.run(lambda connection: sealing.seal_batch(connection, clock.now(), limit=2))

    assert at_once([work] * 4) == [None] * 4
    with house.db.reading() as connection:
        found = connection.execute(
            sa.text("SELECT position, reference FROM sealed_transfer ORDER BY 1")
        ).all()
    assert [row[0] for row in found] == list(range(1, 19))
    assert len({row[1] for row in found}) == 18
    assert breaches(house) == []


@pytest.mark.parametrize("engine", ["postgres"])
def test_a_transaction_that_commits_late_is_not_passed_over(house: House) -> None:
    """The numbers of its transaction and of a later one cross: the later one waits for it, and both are sealed."""
    with house.db.transaction() as slow:
        ledger.credit(
            slow, [Posting("action:slow", ACTIONS_PROGRAMME, account_of(ME), 5, clock.now(), NEVER)], []
        )
        quick = earn(house, OTHER)
        sealing.seal_all(house)
        assert _sealed_references(house) == []
    sealing.seal_all(house)
    assert _sealed_references(house) == ["action:slow", *quick]


@pytest.mark.parametrize("engine", ["postgres"])
def test_in_a_restored_database_the_rest_is_sealed_and_nothing_twice(house: House) -> None:
    """A new cluster counts transactions from the start again: what was sealed and what was not lie beyond its numbers."""
    old = earn(house, ME, OTHER)
    sealing.seal_all(house)
    left = earn(house, ME)
    with house.db.transaction() as connection, unguarded(connection, "transfer"):
        connection.execute(sa.text("UPDATE transfer SET tx = tx + 1000000"))
        connection.execute(sa.text("UPDATE ledger_sealing SET tx = tx + 1000000"))
    new = earn(house, OTHER)
    sealing.seal_all(house)
    newer = earn(house, OTHER)
    sealing.seal_all(house)
    assert sorted(_sealed_references(house)) == sorted([*old, *left, *new, *newer])
    assert breaches(house) == []


def _sealed_references(house: House) -> list[str]:
    with house.db.reading() as connection:
        return list(connection.scalars(sa.text("SELECT reference FROM sealed_transfer ORDER BY position")))


# --- what was sealed stays so ------------------------------------------------------------------------------


def test_the_database_refuses_to_change_what_is_sealed(house: House) -> None:
    three_days(house)
    row = "4, '2030-01-01', 1, 0, 'm', 's', 'c', 'p', 'r', '2030-01-01 00:00:00'"
    for change, words in (
        *((f"UPDATE {table} SET {column} = {column}", "append-only") for table, column in _COLUMNS.items()),
        *((f"DELETE FROM {table}", "append-only") for table in _COLUMNS),
        ("UPDATE ledger_sealing SET key = 'ab'", "never changes"),
        ("DELETE FROM ledger_sealing", "never deleted"),
        (
            "INSERT INTO ledger_seal (number, day, first, count, merkle, salt, content, previous, root, sealed_at) "
            f"VALUES ({row})",
            "follows the one before",
        ),
        (_TWICE.format("1, 'action:another'"), "(?i)unique"),
        (_TWICE.format("99, (SELECT reference FROM transfer LIMIT 1)"), "(?i)unique"),
    ):
        with pytest.raises(sa.exc.DBAPIError, match=words), house.db.transaction() as connection:
            connection.execute(sa.text(change))


_TWICE = "INSERT INTO sealed_transfer (position, reference, leaf) SELECT {}, 'x'"
_COLUMNS = {"sealed_transfer": "leaf", "ledger_seal": "root", "ledger_tile": "hashes", "transfer": "amount"}


@contextmanager
def unguarded(connection: sa.Connection, table: str) -> Iterator[None]:
    """The guards of `table` put aside, as whoever owns the database can."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text(f"ALTER TABLE {table} DISABLE TRIGGER ALL"))
        yield
        connection.execute(sa.text(f"ALTER TABLE {table} ENABLE TRIGGER ALL"))
        return
    found = connection.execute(
        sa.text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :t"), {"t": table}
    ).all()
    for name, _ in found:
        connection.execute(sa.text(f"DROP TRIGGER {name}"))
    yield
    for _, sql in found:
        connection.execute(sa.text(sql))


_OF = "reference = (SELECT reference FROM sealed_transfer WHERE position = {})"
TAMPERING = {
    "an amount": ("transfer", f"UPDATE transfer SET amount = amount + 1 WHERE {_OF.format(7)}"),
    "a destination": ("transfer", f"UPDATE transfer SET destination = 'resident:x' WHERE {_OF.format(41)}"),
    "a day of expiry": ("transfer", f"UPDATE transfer SET expires_on = '2030-01-31' WHERE {_OF.format(7)}"),
    "a time": ("transfer", f"UPDATE transfer SET recorded_at = '2026-01-01 00:00:00' WHERE {_OF.format(1)}"),
    "a transfer deleted": ("transfer", f"DELETE FROM transfer WHERE {_OF.format(43)}"),
    "a waiting transfer": ("transfer", f"UPDATE transfer SET balance_after = 9 WHERE {_OF.format(44)}"),
    "a place deleted": ("sealed_transfer", "DELETE FROM sealed_transfer WHERE position = 20"),
    "the last place deleted": ("sealed_transfer", "DELETE FROM sealed_transfer WHERE position = 43"),
    "two places swapped": (
        "sealed_transfer",
        "UPDATE sealed_transfer SET position = CASE position WHEN 3 THEN -1 ELSE 3 END WHERE position IN (3, 4);"
        "UPDATE sealed_transfer SET position = 4 WHERE position = -1",
    ),
    "a place inserted": (
        "sealed_transfer",
        "INSERT INTO sealed_transfer (position, reference, leaf) VALUES (0, 'action:none', 'x')",
    ),
    "a leaf": (
        "sealed_transfer",
        "UPDATE sealed_transfer SET leaf = merkle FROM ledger_seal WHERE position = 5",
    ),
    "an owner": ("sealed_transfer", "UPDATE sealed_transfer SET resident_id = NULL WHERE position = 5"),
    "a seal": ("ledger_seal", "UPDATE ledger_seal SET merkle = root WHERE number = 3"),
    "a day": ("ledger_seal", "UPDATE ledger_seal SET day = '2020-01-01' WHERE number = 2"),
    "a seal deleted": ("ledger_seal", "DELETE FROM ledger_seal WHERE number = 2"),
    "a tile": ("ledger_tile", "UPDATE ledger_tile SET hashes = '00' WHERE seal = 1"),
}


def test_whatever_is_changed_in_the_database_is_found(house: House) -> None:
    three_days(house)
    assert breaches(house) == []
    for what, (table, change) in TAMPERING.items():
        with house.db.engine.connect() as connection, connection.begin() as transaction:
            with unguarded(connection, table):
                for statement in change.split(";"):
                    assert connection.execute(sa.text(statement)).rowcount >= 1, what
            found = [line for one in SEAL_INVARIANTS for line in one.breaches(connection)]
            assert found, what
            transaction.rollback()
    assert breaches(house) == []


def test_a_transfer_slipped_in_among_sealed_ones_is_found(house: House) -> None:
    earn(house, ME, OTHER)
    earn(house, ME)
    sealing.seal_all(house)
    with house.db.transaction() as connection:
        place = "rowid" if house.db.is_sqlite else "tx"
        connection.execute(
            sa.text(
                f"INSERT INTO transfer ({place}, reference, source, destination, amount, balance_after, recorded_at) "
                "VALUES (0, 'action:slipped', 'programme:actions', 'resident:x', 1, 1, '2026-01-01 00:00:00')"
            )
        )
    sealing.seal_all(house)
    assert breaches(house) == ["transfer action:slipped stands among sealed ones and is not sealed"]


# --- what is taken away ------------------------------------------------------------------------------------


def changes(lines: Sequence[str], chance: random.Random) -> Iterator[tuple[str, list[str]]]:
    """`lines` with any one of them changed, left out, there twice, or in another place."""
    for at, line in enumerate(lines):
        yield f"without {line}", [*lines[:at], *lines[at + 1 :]]
        yield f"twice {line}", [*lines[:at], line, *lines[at:]]
        other = chance.choice([place for place in range(len(lines)) if lines[place] != line])
        swapped = list(lines)
        swapped[at], swapped[other] = swapped[other], swapped[at]
        yield f"{line} with {lines[other]}", swapped
        for changed in _changed(json.loads(line)):
            yield f"{line} as {changed}", [*lines[:at], json.dumps(changed), *lines[at + 1 :]]


def _changed(value: Any) -> Iterator[Any]:
    """`value` with any one thing in it changed."""
    if isinstance(value, dict):
        for key in value:
            yield from ({**value, key: other} for other in _changed(value[key]))
            yield {name: one for name, one in value.items() if name != key}
    elif isinstance(value, list):
        for at, one in enumerate(value):
            yield from ([*value[:at], other, *value[at + 1 :]] for other in _changed(one))
        yield [*value, value[0]] if value else ["00" * 32]
    elif isinstance(value, int):
        yield value + 1
    else:
        yield value[:-1] + ("2" if value.endswith("1") else "1")


@pytest.mark.parametrize("engine", ["sqlite"])
def test_whatever_is_changed_in_an_export_or_a_statement_is_found(house: House) -> None:
    three_days(house)
    with clock.pretending(clock.now() + timedelta(days=1)):
        sealing.seal_all(house)
    roots = published(house)
    for lines, check, said in (
        (exported(house), check_export, "44 transfers of seals 1 to 4"),
        (
            own(house),
            check_statement,
            "22 transfers of one account, and 0 that wait for their seal; balance 95",
        ),
    ):
        assert check(lines, roots) == said
        for what, tampered in changes(lines, random.Random(7)):
            found = ""
            try:
                check(tampered, roots)
            except (Broken, ValueError, KeyError, TypeError, AttributeError) as error:
                found = repr(error)
            assert found, what
    text = _roots_text(house).splitlines()
    for at in range(1, len(text)):
        for tampered in ([*text[:at], *text[at + 1 :]], [*text[:at], text[at][:-1] + "x", *text[at + 1 :]]):
            if len(tampered) == len(text) or at + 1 < len(text):
                with pytest.raises(Broken):
                    roots_in(tampered)


def _roots_text(house: House) -> str:
    with house.db.reading() as connection:
        return sealed.roots_text(sealed.roots(connection))


def test_nothing_of_others_is_in_what_is_taken_away(house: House) -> None:
    three_days(house)
    mine, export, roots = "\n".join(own(house)), "\n".join(exported(house)), _roots_text(house)
    assert str(ME) in mine
    assert str(OTHER) not in mine
    for text in (export, roots):
        assert str(ME) not in text
        assert str(OTHER) not in text
        assert "number-" not in text
    assert check_statement(own(house), published(house)).endswith(
        "and 1 that wait for their seal; balance 95"
    )
    assert "count" not in roots


@pytest.mark.parametrize("engine", ["sqlite"])
def test_the_script_runs_by_itself(house: House, tmp_path: Path) -> None:
    three_days(house)
    script = tmp_path / "verify_ledger.py"
    script.write_text(Path(verify_ledger.__file__).read_text())
    (tmp_path / "roots.txt").write_text(_roots_text(house))
    (tmp_path / "export").write_text("\n".join(exported(house)))
    (tmp_path / "statement").write_text("\n".join(own(house)))
    (tmp_path / "wrong").write_text("\n".join(exported(house)).replace('"amount":5', '"amount":6', 1))

    def run(*arguments: str) -> tuple[int, str]:
        command = [sys.executable, "-I", str(script), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
        return done.returncode, done.stdout

    assert run("roots", "roots.txt") == (0, "As it was sealed: 3 roots\n")
    assert run("export", "export", "roots.txt") == (
        0,
        "As it was sealed: 43 transfers of seals 1 to 3; 3 roots\n",
    )
    assert run("statement", "statement", "roots.txt")[0] == 0
    code, said = run("export", "wrong", "roots.txt")
    assert (code, said.startswith("NOT AS SEALED: the transfers of ")) == (1, True)
    assert run("export", "statement", "roots.txt")[0] == run("export", "gone", "roots.txt")[0] == 1
    assert run()[0] == run("export", "roots.txt")[0] == 2


# --- the tree ----------------------------------------------------------------------------------------------


def test_the_tree_is_that_of_rfc_6962() -> None:
    """The example of Certificate Transparency: eight leaves, and the published roots of the first one to eight."""
    leaves = [sha256(b"\0" + bytes.fromhex(text)).hexdigest() for text in _CT_LEAVES]
    tree = Tree()
    roots = []
    for leaf in leaves:
        tree.add(leaf)
        roots.append(tree.root())
    assert roots[0] == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert roots[2] == "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"
    assert roots[7] == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


_CT_LEAVES = (
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
)


@pytest.mark.parametrize("size", [1, 2, 15, 16, 17, 255, 256, 257, 300])
def test_every_leaf_climbs_to_the_root_by_its_tiles(size: int) -> None:
    leaves = [leaf_of((at, "", "", "", "", 1, 1, "")) for at in range(size)]
    builder = sealing.Tiles(1)
    above = {(row["level"], row["ordinal"]): row["hashes"] for row in builder.of(leaves)}
    tree = Tree()
    for leaf in leaves:
        tree.add(leaf)
    assert builder.root == tree.root()
    tiles = {(1, level, at): sealing.split(text) for (level, at), text in above.items()}
    for at in range(0, size, seals.WIDTH):
        tiles[(1, 0, at // seals.WIDTH)] = leaves[at : at + seals.WIDTH]
    for index in range(size):
        path = sealed.path_of(tiles, {"number": 1, "count": size, "first": 1}, index + 1)
        assert climb(leaves[index], index, size, path) == tree.root()


# --- pages -------------------------------------------------------------------------------------------------


def test_pages_and_api_tell_the_roots_and_only_the_bureau_exports(world: World) -> None:
    resident = world.resident()
    with clock.pretending(clock.now() - timedelta(days=2)):
        earn(world.house, resident.id, OTHER)
    sealing.seal_all(world.house)
    roots = published(world.house)
    client = world.client()
    assert roots[1]["root"] in client.get("/ledger").text
    assert [root["root"] for root in client.get("/api/v1/ledger/roots?limit=1").json["roots"]] == [
        roots[1]["root"]
    ]
    assert client.get("/ledger/roots.txt").text == _roots_text(world.house)
    assert client.get("/ledger/verify_ledger.py").data == Path(verify_ledger.__file__).read_bytes()
    assert client.get("/me/ledger.jsonl").status_code == 302
    assert client.post("/bureau/ledger").status_code in {302, 400}
    me = browser(world, resident)
    check_statement(me.get("/me/ledger.jsonl").splitlines(), roots)
    auditor = browser(world, world.colleague(Role.AUDITOR))
    day = roots[1]["day"]
    auditor.get("/bureau/ledger")
    taken = auditor.send(**{"from": day, "to": day})
    assert check_export(taken.splitlines(), roots) == "2 transfers of seals 1 to 1"
    auditor.get("/bureau/ledger")
    refused = auditor.send(**{"from": "2020-01-01", "to": "2020-01-02"})
    assert (auditor.status, "没有已经封存的账目" in refused) == (422, True)
    with world.house.db.reading() as connection:
        deeds = connection.scalars(sa.text("SELECT deed FROM audit_entry")).all()
    assert deeds.count("ledger.exported") == 1
