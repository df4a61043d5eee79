"""Venues: how many sites serve, of any days, area and kind; what counting the records anew gives, however they came."""

import random
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import product
from uuid import UUID

import pytest
import sqlalchemy as sa
from alembic import command

from activities.review import void_action
from activities.reviews import Waits
from activities.sites import Site, SiteStatus, set_status
from tanpuhui import clock, figures, ids, schema
from tanpuhui.bureau.venues import Venues, venues
from tanpuhui.events import Event
from tanpuhui.figures import Contribution, Feed
from tanpuhui.periods import UNITS, CalendarPeriod
from tanpuhui.rooms import House
from tests.service.test_dashboard import opened, words
from tests.service.test_targets import make, reached
from tests.world import COMMUNITY, DISTRICT, OTHER_COMMUNITY, STREET, World

NOON = datetime(2026, 6, 17, 4, tzinfo=UTC)
KINDS = ("clean_plate", "own_cup")


class Counted(Event):
    """Something for these tests to count."""

    type = "test.used_site"

    contribution: int


def deeds(chance: random.Random, places: Sequence[Site], count: int) -> list[Contribution]:
    """Records around two turns of years, in any order; some of them taken back later."""
    made: list[Contribution] = []
    standing: list[Contribution] = []
    for _ in range(count):
        if standing and chance.random() < 0.35:
            one = standing.pop(chance.randrange(len(standing)))
            made.append(contribution(one.day, UUID(str(one.site_id)), one.kind, -1))
            continue
        first = chance.choice([date(2025, 12, 24), date(2026, 3, 28), date(2026, 12, 24)])
        day = first + timedelta(days=chance.randrange(14))
        standing.append(contribution(day, chance.choice(places).id, chance.choice(KINDS), 1))
        made.append(standing[-1])
    return made


def contribution(day: date, site_id: UUID, kind: str, sign: int) -> Contribution:
    return Contribution(day, COMMUNITY, kind, "site_code", "", False, {"actions": sign}, None, 0, site_id)


def fold(house: House, contributions: Sequence[Contribution]) -> None:
    feed = Feed(
        (Counted,), lambda _connection, events: [contributions[event.contribution] for event in events]
    )
    events = [
        Counted(subject_id=ids.new_id(), recorded_at=clock.now(), contribution=at)
        for at in range(len(contributions))
    ]
    with house.db.transaction() as connection:
        figures.fold(connection, [feed], events)


def read(house: House, first: date, last: date, area: str, kind: str | None = None) -> Venues:
    with house.db.reading() as connection:
        return venues(connection, first, last, area, kind)


def counted(
    made: Sequence[Contribution], places: Sequence[Site], first: date, last: date, area: str, kind: str | None
) -> Venues:
    """The same, by going through the records; each of these places was open all the time."""
    standing: Counter[UUID] = Counter()
    for one in made:
        if first <= one.day <= last and kind in (None, one.kind) and one.site_id:
            standing[one.site_id] += one.measures["actions"]
    here = [one for one in places if one.division_code.startswith(area)]
    used = [one for one in here if standing[one.id] > 0]
    return Venues(
        Counter(one.division_code[:9] for one in here),
        Counter(one.division_code[:9] for one in used),
        Counter(str(one.kind) for one in here),
        Counter(str(one.kind) for one in used),
    )


def test_any_days_areas_and_kinds_are_what_counting_anew_gives(world: World) -> None:
    chance = random.Random(20260605)
    with clock.pretending(datetime(2025, 1, 1, tzinfo=UTC)):
        places = [
            world.site(*KINDS, community=community, kind=kind)
            for community, kind in product(
                (COMMUNITY, OTHER_COMMUNITY), ("canteen", "parcel_station", "other")
            )
        ]
    made = deeds(chance, places, 60)
    for start in range(0, len(made), 7):
        fold(world.house, made[start : start + 7])
    days = sorted({one.day for one in made})
    spans = {
        (one.first, one.last)
        for unit in UNITS
        for day in days[::3]
        if (one := CalendarPeriod.containing(unit, day))
    }
    spans |= {(min(pair), max(pair)) for pair in (chance.sample(days, 2) for _ in range(10))}
    for (first, last), area, kind in product(
        sorted(spans), (DISTRICT, STREET, OTHER_COMMUNITY), (None, *KINDS)
    ):
        wanted = counted(made, places, first, last, area, kind)
        assert read(world.house, first, last, area, kind) == wanted, (first, last, area, kind)
    # Another order of the same records, all at once: the same figures.
    before = stored(world.house)
    with world.house.db.transaction() as connection:
        connection.execute(sa.text("DELETE FROM site_figure"))
    chance.shuffle(made)
    fold(world.house, made)
    assert stored(world.house) == before


def stored(house: House) -> list[tuple[object, ...]]:
    with house.db.reading() as connection:
        query = "SELECT unit, first, site_id, kind, actions FROM site_figure WHERE actions <> 0"
        return sorted(tuple(map(str, row)) for row in connection.execute(sa.text(query)))


def test_sites_were_there_from_when_they_were_set_up_until_they_closed(world: World) -> None:
    may, june, july = (CalendarPeriod.parse(f"2026-{month}") for month in ("05", "06", "07"))
    with clock.pretending(NOON):
        site = world.site("clean_plate", kind="canteen")
        world.site("own_cup", community=OTHER_COMMUNITY, kind="other")
        world.site(kind="recycling_point", level="station")  # credits nothing: no venue
        world.open_self_reports("own_cup")
        world.self_report(world.resident(), "own_cup")  # at a desk that is no place
        set_status(world.house, world.officer, site.id, SiteStatus.CLOSED, "装修")
        world.house.relay.drain()
        found = [read(world.house, one.first, one.last, DISTRICT) for one in (may, june, july)]
        assert [one.by_kind for one in found] == [{}, {"canteen": 1, "other": 1}, {"other": 1}]
        assert found[1].silent_kinds == ["canteen", "other"]
        assert read(world.house, june.first, june.last, DISTRICT, "clean_plate").by_kind == {"canteen": 1}
        set_status(world.house, world.officer, site.id, SiteStatus.OPEN, "装修好了")
        assert read(world.house, july.first, july.last, STREET).by_kind == {"canteen": 1}


def test_records_count_as_they_stand_and_the_migration_finds_them_in_the_log(world: World) -> None:
    house = world.house
    late = NOON - timedelta(days=1)
    with clock.pretending(late):
        plate, cup = world.code("clean_plate"), world.code("own_cup", kind="other")
        resident = world.resident()
        action = world.scan(resident, plate)["action"]["id"]
        world.scan(world.resident(), cup, waits=Waits.PHOTO)  # waits for review
    house.relay.drain()
    day = clock.day_of(late)
    assert read(house, day, day, DISTRICT).used_by_kind == {"canteen": 1}
    void_action(house, world.officer, UUID(action), "误报")
    house.relay.drain()
    assert read(house, day, day, DISTRICT).used_by_kind == {}
    with clock.pretending(NOON):
        world.scan(resident, cup)
        house.relay.drain()
        set_status(house, world.officer, world.site("own_cup").id, SiteStatus.CLOSED, "搬走了")
        world.scan(world.resident(), plate)  # the relay has not brought it yet
    assert figures_differ(house) == []
    before = stored(house), closings(house)
    schema_is(house, "0042")
    schema_is(house, "head")
    assert (stored(house), closings(house)) == before
    house.relay.drain()
    assert figures_differ(house) == []
    assert world.breaches() == []
    june = CalendarPeriod.parse("2026-06")
    assert read(house, june.first, june.last, DISTRICT).used_by_kind == {"canteen": 1, "other": 1}


def schema_is(house: House, revision: str) -> None:
    move = command.upgrade if revision == "head" else command.downgrade
    move(schema.alembic_config(house), revision)


def closings(house: House) -> list[str]:
    with house.db.reading() as connection:
        return sorted(str(at) for at in connection.scalars(sa.text("SELECT closed_at FROM site")))


def figures_differ(house: House) -> list[str]:
    with house.db.engine.connect() as connection, connection.begin() as transaction:
        differences = figures.rebuild(connection, house.feeds, check=True)
        transaction.rollback()
        return differences


@pytest.mark.parametrize(
    "change", ["UPDATE site_figure SET actions = actions + 1", "DELETE FROM site_figure"]
)
def test_a_manipulated_figure_of_sites_is_found(world: World, change: str) -> None:
    world.scan(world.resident(), world.code("clean_plate"))
    world.house.relay.drain()
    with world.house.db.transaction() as connection:
        connection.execute(sa.text(change))
    assert len(figures_differ(world.house)) == len(UNITS)
    with world.house.db.transaction() as connection:
        figures.rebuild(connection, world.house.feeds)
    assert figures_differ(world.house) == []


def test_the_page_tells_numbers_of_sites_and_the_target_counts_the_same(world: World) -> None:
    with clock.pretending(NOON):
        plate = world.code("clean_plate", kind="canteen")
        for number in range(2):
            world.site("clean_plate", kind="canteen", name=f"没有人去的食堂{number}")
        world.code("own_cup", kind="parcel_station")
        world.scan(world.resident(), plate)
        world.scan(world.resident(), world.code("own_cup", kind="other", community=OTHER_COMMUNITY))
        officer = opened(world)
        shown = words(officer)
        assert "有记录的点位 2 / 5" in shown
        assert "这个时段完全没有记录的：快递驿站" in shown
        assert "食堂、餐厅 1 2 3" in shown
        assert "江宁路街道 1 3 4" in shown
        assert "没有人去的食堂" not in shown  # no site is named
        assert officer.page.get_data(as_text=True).count('href="/bureau/quality"') >= 2
        of_cups = words(opened(world, "/bureau?kind=own_cup"))
        assert "有记录的点位 1 / 2" in of_cups
        assert "有记录的点位 0 / 4" in words(opened(world, "/bureau?period=2026-06-18&area=310106006"))
        campaign = world.campaign(world.site("own_cup"))
        assert "选了活动时不数点位" in words(opened(world, f"/bureau?campaign={campaign.id}"))
        everywhere = make(world, measure="venues", amount="4")
        here = make(world, everywhere, measure="venues", division_code=STREET, amount="2")
        of_plates = make(world, measure="venues", kind="clean_plate", amount="1")
        by_june = make(world, measure="venues", department="甲", amount="1", due_on="2026-06-30")
        found = reached(world, everywhere, here, of_plates, by_june)
        assert [one.reached_milli for one in found] == [2_000, 1_000, 1_000, 2_000]
