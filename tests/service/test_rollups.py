"""Sums of calendar periods and areas, and distinct participants, read from the rollups: always what counting the deeds anew gives."""

import random
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from tanpuhui import clock, figures, ids, people
from tanpuhui.bureau.rollups import sums
from tanpuhui.events import Event
from tanpuhui.figures import Contribution, Feed
from tanpuhui.measures import MEASURES
from tanpuhui.periods import UNITS, CalendarPeriod
from tanpuhui.rooms import House
from tests.world import COMMUNITY, OTHER_COMMUNITY, World

DISTRICT = "310106"
COMMUNITIES = ("310106006001", "310106006002", "310106011001")
STREETS = ("310106006", "310106011")
TIERS = {"self_declared": False, "site_code": True}


class Counted(Event):
    """Something for these tests to count."""

    type = "test.rolled_up"

    contribution: int


def deeds(chance: random.Random, people: Sequence[UUID], count: int) -> list[Contribution]:
    """Deeds of some people who move about, around two turns of years; some of them taken back later."""
    made: list[Contribution] = []
    for _ in range(count):
        if made and chance.random() < 0.2:
            one = made[chance.randrange(len(made))]
            undone = [
                other
                for other in made
                if other.participations == -1 and other.measures["points"] == -one.measures["points"]
            ]
            if one.participations == 1 and not undone:
                taken_back = {name: -amount for name, amount in one.measures.items()}
                made.append(
                    Contribution(
                        one.day,
                        one.division_code,
                        one.kind,
                        one.evidence,
                        one.campaign,
                        one.city_credited,
                        taken_back,
                        one.resident_id,
                        -1,
                    )
                )
                continue
        amounts = {name: chance.randrange(1000) for name in MEASURES} | {
            "actions": 1,
            "points": len(made) + 1,
        }
        day = chance.choice([date(2025, 12, 20), date(2026, 12, 22)]) + timedelta(days=chance.randrange(24))
        kind, campaign = chance.choice(["walk", "recycle_glass"]), chance.choice(["", "spring", "autumn"])
        made.append(
            Contribution(
                day,
                chance.choice(COMMUNITIES),
                kind,
                chance.choice(list(TIERS)),
                campaign,
                kind == "walk",
                amounts,
                chance.choice(people),
                1,
            )
        )
    return made


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


def expected(
    made: Iterable[Contribution], period: CalendarPeriod, area: str, kind: str | None, campaign: str | None
) -> dict[str, int]:
    """Sums and distinct people, by going through the deeds."""
    within = [
        one for one in made if period.first <= one.day <= period.last and one.division_code.startswith(area)
    ]
    within = [
        one for one in within if (not kind or one.kind == kind) and (not campaign or one.campaign == campaign)
    ]
    standing: dict[tuple[Any, ...], int] = {}
    for one in within:
        key = (one.resident_id, one.day, one.division_code, one.kind, one.campaign)
        standing[key] = standing.get(key, 0) + one.participations
    own = [one for one in within if not one.city_credited]
    return {
        "participants": len({key[0] for key, count in standing.items() if count > 0}),
        "actions": sum(one.measures["actions"] for one in within),
        "points": sum(one.measures["points"] for one in within),
        "co2e_mg": sum(one.measures["co2e_mg"] for one in own),
        "verified_nox_ug": sum(one.measures["nox_ug"] for one in own if TIERS[one.evidence]),
        "self_declared_co2e_high_mg": sum(
            one.measures["co2e_high_mg"] for one in own if not TIERS[one.evidence]
        ),
        "city_so2_known": sum(one.measures["so2_known"] for one in within if one.city_credited),
    }


def test_every_period_and_area_is_what_counting_anew_gives(world: World) -> None:
    chance = random.Random(20260605)
    residents = [ids.new_id() for _ in range(9)]
    made = deeds(chance, residents, 400)
    for start in range(0, len(made), 37):
        fold(world.house, made[start : start + 37])
    days = sorted({one.day for one in made})
    periods = sorted({CalendarPeriod.containing(unit, day) for unit in UNITS for day in days[::3]})
    with world.house.db.reading() as connection:
        for areas in ((DISTRICT,), STREETS, COMMUNITIES):
            for kind, campaign in ((None, None), ("walk", None), (None, "spring")):
                rows = sums(connection, periods, areas, by=("period", "area"), kind=kind, campaign=campaign)
                found = {(row["period"], row["area"]): row for row in rows}
                for period in periods:
                    for area in areas:
                        wanted = expected(made, period, area, kind, campaign)
                        row = found.get((period, area), dict.fromkeys(wanted, 0))
                        assert {name: row[name] for name in wanted} == wanted, (period, area, kind, campaign)
        year = CalendarPeriod.parse("2026")
        by_kind = sums(connection, [year], [DISTRICT], by=["kind"])
        assert [row["kind"] for row in by_kind] == ["recycle_glass", "walk"]
        for row in by_kind:
            wanted = expected(made, year, DISTRICT, row["kind"], None)
            assert {name: row[name] for name in wanted} == wanted
        by_evidence = sums(connection, [year], [DISTRICT], by=["evidence"])
        assert {row["evidence"]: row["participants"] for row in by_evidence} == dict.fromkeys(TIERS)
        assert (
            sum(row["actions"] for row in by_evidence)
            == expected(made, year, DISTRICT, None, None)["actions"]
        )
        both = sums(connection, [year, year.before()], STREETS)
        assert both[0]["participants"] is None  # people of several periods and areas together are not known
        assert both[0]["actions"] == sum(
            expected(made, one, DISTRICT, None, None)["actions"] for one in (year, year.before())
        )
        assert sums(connection, [CalendarPeriod.parse("2020")], [DISTRICT])[0]["participants"] == 0


def test_newcomers_are_counted_once_where_and_when_they_began(house: House) -> None:
    chance = random.Random(7)
    residents = [ids.new_id() for _ in range(12)]
    made = deeds(chance, residents, 120)
    fold(house, made)
    fold(house, [])
    standing: dict[tuple[Any, ...], int] = {}
    for one in made:
        key = (one.resident_id, one.day, one.division_code, one.kind, one.campaign)
        standing[key] = standing.get(key, 0) + one.participations
    began = {
        person: min((key[1], key[2]) for key, count in standing.items() if key[0] == person and count > 0)
        for person in {key[0] for key, count in standing.items() if count > 0}
    }
    with house.db.reading() as connection:
        for unit in UNITS:
            periods = sorted({CalendarPeriod.containing(unit, one.day) for one in made})
            for areas in ((DISTRICT,), STREETS, COMMUNITIES):
                found = {
                    (row["period"], row["area"]): row["newcomers"]
                    for row in sums(connection, periods, areas, by=("period", "area"))
                }
                for period in periods:
                    for area in areas:
                        wanted = sum(
                            period.first <= day <= period.last and place.startswith(area)
                            for day, place in began.values()
                        )
                        assert found.get((period, area), 0) == wanted


def test_a_resident_who_moves_or_leaves_changes_nothing_of_the_past(world: World) -> None:
    resident, other = world.resident(COMMUNITY), world.resident(COMMUNITY)
    for one in (resident, other):
        world.scan(one, world.code("clean_plate"))
    people.move(world.house, resident.id, OTHER_COMMUNITY)
    world.scan(resident, world.code("own_cup"))
    world.house.relay.drain()
    people.leave(world.house, resident.id)
    today = CalendarPeriod.containing("year", clock.today())
    with world.house.db.reading() as connection:
        rows = sums(connection, [today], [COMMUNITY, OTHER_COMMUNITY], by=["area"])
        assert {row["area"]: (row["participants"], row["newcomers"]) for row in rows} == {
            COMMUNITY: (2, 2),
            OTHER_COMMUNITY: (1, 0),
        }
        assert sums(connection, [today], [DISTRICT])[0]["participants"] == 2
