"""Figures: folded from events, subtracted by voids, never lost, and equal to a rebuild at any time."""

from datetime import date, timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa
import time_machine

from activities.review import void_action
from tanpuhui import clock, figures, ids
from tanpuhui.events import Event
from tanpuhui.figures import Contribution, Feed
from tanpuhui.outbox import Relay
from tanpuhui.rooms import House, build_house
from tests.tables import contents
from tests.threads import at_once
from tests.world import COMMUNITY, OTHER_COMMUNITY, World


class Counted(Event):
    """Something for the tests to count."""

    type = "test.counted"


def rows(house: House, columns: str, table: str = "daily_figure") -> list[tuple[object, ...]]:
    with house.db.reading() as connection:
        found = connection.execute(sa.text(f"SELECT {columns} FROM {table} ORDER BY {columns}"))
        return [tuple(row) for row in found]


def rebuild(house: House, *, check: bool = False) -> list[str]:
    with house.db.engine.connect() as connection, connection.begin() as transaction:
        differences = figures.rebuild(connection, house.feeds, check=check)
        if check:
            transaction.rollback()
        return differences


def test_figures_add_up_and_voids_take_back(world: World) -> None:
    here, there = world.resident(), world.resident(OTHER_COMMUNITY)
    bike, glass = world.code("bike_trip"), world.site("recycle_glass")
    campaign = world.campaign(glass)
    glass_code = world.code_at(glass)
    world.scan(here, bike, quantity="1")
    world.scan(there, bike, quantity="2")
    world.scan(here, glass_code, quantity="1.5")
    void = world.scan(there, glass_code, quantity="3")["action"]
    world.house.relay.drain()
    sums = "division_code, kind, actions, quantity_milli, co2e_mg, nox_ug, nox_known, so2_known, points, campaign"
    bikes = [
        (COMMUNITY, "bike_trip", 1, 1000, 48700, 48748, 1, 0, 2, ""),
        (OTHER_COMMUNITY, "bike_trip", 1, 2000, 97400, 97497, 1, 0, 4, ""),
    ]
    mine = (COMMUNITY, "recycle_glass", 1, 1500, 463500, 0, 0, 0, 9, str(campaign.id))
    theirs = (OTHER_COMMUNITY, "recycle_glass", 1, 3000, 927000, 0, 0, 0, 18, str(campaign.id))
    assert sorted(map(str, rows(world.house, sums))) == sorted(map(str, [*bikes, mine, theirs]))
    assert len(rows(world.house, "resident_id, kind, actions", "daily_participant")) == 4

    void_action(world.house, world.officer, UUID(void["id"]), "误投")
    world.house.relay.drain()
    nothing = (OTHER_COMMUNITY, "recycle_glass", 0, 0, 0, 0, 0, 0, 0, str(campaign.id))
    assert sorted(map(str, rows(world.house, sums))) == sorted(map(str, [*bikes, mine, nothing]))
    assert (
        sum(int(str(row[2])) for row in rows(world.house, "resident_id, kind, actions", "daily_participant"))
        == 3
    )
    assert world.breaches() == []
    assert rebuild(world.house, check=True) == []


def test_a_void_of_a_late_record_changes_the_day_of_the_deed(world: World) -> None:
    resident = world.resident()
    with time_machine.travel(clock.now() - timedelta(days=2)):
        code = world.code("clean_plate")
        action = world.scan(resident, code)["action"]
    void_action(world.house, world.officer, UUID(action["id"]), "误报")
    world.house.relay.drain()
    (figure,) = rows(world.house, "day, actions, co2e_mg, points")
    assert figure[1:] == (0, 0, 0)
    assert str(figure[0]) == str(clock.day_of(clock.now() - timedelta(days=2)))


def test_an_emptied_house_is_rebuilt_equal(world: World) -> None:
    code = world.code("clean_plate")
    for resident in world.residents(3):
        action = world.scan(resident, code)["action"]
    void_action(world.house, world.officer, UUID(action["id"]), "误报")
    world.house.relay.drain()
    before = rows(world.house, "kind, actions, co2e_mg, points")
    with world.house.db.transaction() as connection:
        for table in ("daily_figure", "daily_participant"):
            connection.execute(sa.text(f"DELETE FROM {table}"))
    # One figure and two participants; the third was voided.
    assert len(rebuild(world.house, check=True)) == 1 + 2
    rebuild(world.house)
    assert rows(world.house, "kind, actions, co2e_mg, points") == before
    assert rebuild(world.house, check=True) == []


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE daily_figure SET co2e_mg = co2e_mg + 1",
        "UPDATE daily_figure SET points = 0",
        "DELETE FROM daily_figure",
        "DELETE FROM daily_participant",
        "UPDATE daily_participant SET actions = actions + 1",
        "INSERT INTO daily_participant SELECT day, division_code, 'walk', campaign, resident_id, 1 FROM daily_participant",
    ],
)
def test_a_manipulated_figure_is_found(world: World, change: str) -> None:
    world.scan(world.resident(), world.code("clean_plate"))
    world.house.relay.drain()
    assert rebuild(world.house, check=True) == []
    with world.house.db.transaction() as connection:
        connection.execute(sa.text(change))
    stored = contents(world.house)
    assert len(rebuild(world.house, check=True)) == 1
    assert contents(world.house) == stored  # a check changes nothing
    rebuild(world.house)
    assert rebuild(world.house, check=True) == []


def test_what_the_relay_has_not_brought_yet_is_no_difference(world: World) -> None:
    code = world.code("clean_plate")
    world.scan(world.resident(), code)
    world.house.relay.drain()
    world.scan(world.resident(), code)
    assert rebuild(world.house, check=True) == []
    rebuild(world.house)
    world.house.relay.drain()
    assert rows(world.house, "actions") == [(2,)]
    assert rebuild(world.house, check=True) == []


def test_an_event_that_waits_for_a_retry_is_neither_missed_nor_counted_twice(world: World) -> None:
    """A rebuild leaves out what the figures have not taken in, and the retry brings it afterwards."""
    code = world.code("clean_plate")
    world.scan(world.resident(), code)
    broken = True

    def stumble(_connection: sa.Connection, _events: object) -> list[Contribution]:
        if broken:
            raise ValueError("the disk of the feed is on fire")
        return []

    feeds = world.house.feeds
    world.house.__dict__["feeds"] = (*feeds, Feed(feeds[0].hears, stumble))
    relay = Relay(world.house)
    relay.drain()
    assert rows(world.house, "actions") == []
    broken = False
    rebuild(world.house)
    assert rows(world.house, "actions") == []
    with time_machine.travel(clock.now() + timedelta(seconds=3)):
        relay.drain()
    assert rows(world.house, "actions") == [(1,)]
    assert rebuild(world.house, check=True) == []


def test_two_relays_folding_at_once_lose_nothing(world: World) -> None:
    second = build_house(world.house.settings)
    code = world.code("clean_plate")
    residents = world.residents(30)
    relays = [Relay(world.house), Relay(second)]

    def scan_all() -> None:
        for resident in residents:
            world.scan(resident, code)

    def fold(relay: Relay) -> None:
        while not rows(world.house, "sum(actions)") or (rows(world.house, "sum(actions)")[0][0] or 0) < len(
            residents
        ):
            relay.run_once()

    results = at_once([scan_all, lambda: fold(relays[0]), lambda: fold(relays[1])], timeout=40)
    assert results == [None, None, None]
    second.db.dispose()
    assert rows(world.house, "actions, points") == [(30, 300)]
    assert rebuild(world.house, check=True) == []


def test_two_folds_of_one_figure_at_once_both_count(house: House) -> None:
    """The upsert is atomic: no fold reads what it then overwrites."""
    feed = Feed((Counted,), lambda _connection, events: [_one(event) for event in events])

    def fold() -> None:
        event = Counted(subject_id=ids.new_id(), recorded_at=clock.now())
        with house.db.transaction() as connection:
            figures.fold(connection, [feed], [event])

    assert at_once([fold] * 12) == [None] * 12
    assert rows(house, "actions, co2e_mg") == [(12, 60)]


def _one(event: Counted) -> Contribution:
    measures = {"actions": 1, "co2e_mg": 5}
    return Contribution(
        date(2026, 6, 5), COMMUNITY, "walk", "site_code", "", False, measures, event.subject_id, 1
    )
