"""`tanpuhui verify` finds every half-written or altered record, and is quiet otherwise."""

import sqlite3
from uuid import UUID

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from activities.review import void_action
from tanpuhui.cli import cli
from tanpuhui.rooms import House
from tests.world import World


@pytest.fixture
def filled(world: World) -> World:
    """Three actions in a campaign, one of them voided, and their figures."""
    site = world.site("walk")
    world.campaign(site)
    code = world.code_at(site)
    answers = [world.scan(resident, code, quantity="6000") for resident in world.residents(3)]
    void_action(world.house, world.officer, UUID(answers[0]["action"]["id"]), "步数有误")
    world.house.relay.drain()
    assert world.breaches() == []
    return world


def tamper(house: House, statement: str) -> None:
    """Change the database past its triggers and foreign keys, as only its owner can."""
    if house.db.is_sqlite:
        assert house.db.url.database
        raw = sqlite3.connect(house.db.url.database)
        triggers = raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (name,) in triggers:
            raw.execute(f"DROP TRIGGER {name}")
        assert raw.execute(statement).rowcount > 0
        raw.commit()
        raw.close()
    else:
        with house.db.transaction() as connection:
            connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
            assert connection.execute(sa.text(statement)).rowcount > 0


LOST_OR_ALTERED = {
    "DELETE FROM event_log WHERE type = 'action.recorded'": "an action has exactly one event",
    "UPDATE event_log SET subject_id = resident_id WHERE resident_id IS NOT NULL": "an action has exactly one event",
    "DELETE FROM action": "an action.recorded event has its action",
    "DELETE FROM event_log WHERE type = 'action.voided'": "a voided action has exactly one event",
    "DELETE FROM action_void": "an action.voided event has its void",
    "UPDATE action SET site_id = id": "an action's site, code, kind, factor, community and campaign exist",
    "UPDATE action SET code_id = 7": "an action's site, code, kind, factor, community and campaign exist",
    "UPDATE action SET kind = 'flying'": "an action's site, code, kind, factor, community and campaign exist",
    "UPDATE action SET factor_version = 'own_cup@1'": "an action's site, code, kind, factor, community and campaign exist",
    "UPDATE action SET division_code = '9'": "an action's site, code, kind, factor, community and campaign exist",
    "UPDATE action SET campaign_id = id": "an action's site, code, kind, factor, community and campaign exist",
    "UPDATE account SET balance = balance + 1": "a balance is the sum of its transfers",
    "DELETE FROM account": "a balance is the sum of its transfers",
    "UPDATE transfer SET amount = amount + 1 WHERE reference LIKE 'action:%'": "a balance is the sum of its transfers",
    "DELETE FROM transfer WHERE reference LIKE 'action:%'": "credits and reversals follow the events",
    "DELETE FROM transfer WHERE reference LIKE 'void:%'": "credits and reversals follow the events",
    "UPDATE transfer SET source = 'programme:other' WHERE reference LIKE 'action:%'": "credits and reversals follow the events",
    "UPDATE daily_figure SET actions = -1": "figures are never below zero",
    "UPDATE daily_participant SET actions = -1": "figures are never below zero",
    "UPDATE campaign_total SET participants = 9": "a campaign counts those who take part",
    "DELETE FROM consent": "every resident has a standing consent",
}


@pytest.mark.parametrize("engine", ["sqlite"])
@pytest.mark.parametrize("change", LOST_OR_ALTERED)
def test_what_was_lost_or_altered_is_found(filled: World, change: str) -> None:
    tamper(filled.house, change)
    found = {line.split(": ")[0] for line in filled.breaches()}
    assert LOST_OR_ALTERED[change] in found


@pytest.mark.parametrize("engine", ["postgres"])
def test_postgresql_is_asked_the_same_questions(filled: World) -> None:
    for change, invariant in LOST_OR_ALTERED.items():
        with filled.house.db.engine.connect() as connection:
            connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
            connection.execute(sa.text(change))
            found = {
                wanted.name
                for room in filled.house.rooms
                for wanted in room.invariants
                if list(wanted.breaches(connection))
            }
            connection.rollback()
        assert invariant in found, change
    assert filled.breaches() == []


def test_more_records_than_the_limit_are_found(filled: World) -> None:
    with filled.house.db.reading() as connection:
        names = [column["name"] for column in sa.inspect(connection).get_columns("action")]
    other = {"id": "resident_id", "ordinal": "ordinal + 1"}
    picked = ", ".join(other.get(name, name) for name in names)
    tamper(filled.house, f"INSERT INTO action ({', '.join(names)}) SELECT {picked} FROM action")
    over = [
        line
        for line in filled.breaches()
        if line.startswith("no more records of a kind on a day than its limit")
    ]
    assert len(over) == 2  # the third's first record was voided


def test_the_command_says_so_and_ends_accordingly(filled: World) -> None:
    clean = CliRunner().invoke(cli, ["verify"], obj=filled.house)
    assert clean.exit_code == 0
    assert "FAIL" not in clean.output
    assert sum(line.startswith("ok ") for line in clean.output.splitlines()) == sum(
        len(room.invariants) for room in filled.house.rooms
    )
    tamper(filled.house, "UPDATE account SET balance = balance + 1")
    broken = CliRunner().invoke(cli, ["verify"], obj=filled.house)
    assert broken.exit_code == 1
    assert "FAIL a balance is the sum of its transfers" in broken.output


def test_the_rebuild_command_compares_and_mends(filled: World) -> None:
    assert CliRunner().invoke(cli, ["rebuild", "--check"], obj=filled.house).exit_code == 0
    tamper(filled.house, "UPDATE daily_figure SET points = points + 1")
    check = CliRunner().invoke(cli, ["rebuild", "--check"], obj=filled.house)
    assert check.exit_code == 1
    assert "daily_figure" in check.output
    assert CliRunner().invoke(cli, ["rebuild"], obj=filled.house).exit_code == 0
    assert CliRunner().invoke(cli, ["rebuild", "--check"], obj=filled.house).exit_code == 0
