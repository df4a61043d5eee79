"""What is told of the bureau's numbers: the same by every way of asking, and nothing of a few people."""

from datetime import date, timedelta
from itertools import product
from uuid import UUID

from sqlmodel import select

from tanpuhui import clock, figures, ids, jobs
from tanpuhui.audit import AuditEntry
from tanpuhui.bureau.participation import Period
from tanpuhui.bureau.rollups import sums
from tanpuhui.bureau.told import FEW, FINE, told_statistics, told_sums, whole_sums
from tanpuhui.bureau.withheld import JOB, decide, decided_at
from tanpuhui.bureau.withholding import Cell, offered
from tanpuhui.events import Event
from tanpuhui.figures import Contribution, Feed
from tanpuhui.periods import UNITS, CalendarPeriod
from tanpuhui.rooms import House
from tanpuhui.staff import Role
from tests.tables import contents
from tests.world import World

DISTRICT = "310106"
STREETS = ("310106006", "310106011")
COMMUNITIES = ("310106006001", "310106006002", "310106011001")
SPRING = [date(2026, 3, 1) + timedelta(days=day) for day in range(0, 60, 2)]
LONELY = date(2026, 3, 15)


class Counted(Event):
    """Something for these tests to count."""

    type = "test.told"

    contribution: int


def fold(house: House, contributions: list[Contribution]) -> None:
    feed = Feed(
        (Counted,), lambda _connection, events: [contributions[event.contribution] for event in events]
    )
    events = [
        Counted(subject_id=ids.new_id(), recorded_at=clock.now(), contribution=at)
        for at in range(len(contributions))
    ]
    with house.db.transaction() as connection:
        figures.fold(connection, [feed], events)


def deed(person: int, community: str, kind: str, day: date, campaign: str = "") -> Contribution:
    measures = {"actions": 1, "quantity_milli": 1000, "co2e_mg": 100 + person, "co2e_high_mg": 200}
    return Contribution(day, community, kind, "site_code", campaign, False, measures, UUID(int=person), 1)


def spring(house: House) -> None:
    """Seven people everywhere every other day; on one day one person alone, with something that is rare."""
    everyday = [
        deed(number + 100 * at, community, kind, day, "week" if day in SPRING[:4] and at == 0 else "")
        for (at, community), kind, day in product(enumerate(COMMUNITIES), ("walk", "glass"), SPRING)
        for number in range(7)
    ]
    fold(
        house, [*everyday, deed(1, COMMUNITIES[0], "cup", LONELY), deed(2, COMMUNITIES[2], "cup", SPRING[-1])]
    )


def test_what_is_withheld_is_so_by_every_way_of_asking(world: World) -> None:
    spring(world.house)
    with world.house.db.transaction() as connection:
        decide(world.house, connection, clock.now())
    hidden: set[Cell] = set()
    shown: set[Cell] = set()
    days = [SPRING[0] + timedelta(days=day) for day in range(70)]
    with world.house.db.reading() as connection:
        for unit in UNITS:
            periods = sorted({CalendarPeriod.containing(unit, day) for day in days})
            for areas in ((DISTRICT,), STREETS, COMMUNITIES):
                for row in told_sums(connection, periods, areas, by=["period", "area", "kind"]):
                    cell = Cell(unit, row["period"].first, row["area"], row["kind"])
                    assert (row["withheld"] == FINE) == (not offered(*cell[:1], cell.area, cell.kind))
                    assert (row["actions"] is None) == (row["withheld"] is not None)
                    (hidden if row["withheld"] else shown).add(cell)
                    # The same cell asked for by itself.
                    if unit in {"month", "week"}:
                        (alone,) = told_sums(connection, [row["period"]], [row["area"]], kind=row["kind"])
                        assert (alone["withheld"], alone["co2e_mg"]) == (row["withheld"], row["co2e_mg"])
        few = Cell("month", date(2026, 3, 1), STREETS[0], "cup")
        assert few in hidden
        assert Cell("month", date(2026, 3, 1), DISTRICT, "walk") in shown
        # A week is told if each of its days is.
        week = CalendarPeriod.containing("week", LONELY)
        assert Cell("week", week.first, DISTRICT, "cup") in hidden
        assert Cell("day", LONELY, DISTRICT, "cup") in hidden
        (all_of_march,) = whole_sums(connection, [CalendarPeriod.parse("2026-03")], [STREETS[0]], kind="cup")
        assert (all_of_march["actions"], all_of_march["participants"], all_of_march["withheld"]) == (
            1,
            1,
            None,
        )


def test_two_spans_that_differ_by_a_day_give_nothing_away(world: World) -> None:
    """Any days may be asked for; a span is told only as the sum of periods that are told."""
    spring(world.house)
    with world.house.db.reading() as connection:
        days = {
            row["day"]: {"withheld": row["withheld"]}
            for row in told_statistics(connection, Period(SPRING[0], SPRING[-1]), ["day", "kind"], DISTRICT)
            if row["kind"] == "cup"
        }
        assert days[LONELY] == {"withheld": FEW}
        told = {}
        for first, last in product(SPRING[:16:3], SPRING[:16]):
            if first <= last:
                rows = told_statistics(connection, Period(first, last), ["kind"], DISTRICT)
                told[first, last] = {row["kind"]: row["actions"] for row in rows}
        inside = [kinds for (first, last), kinds in told.items() if first <= LONELY <= last]
        assert inside
        assert all(kinds["cup"] is None for kinds in inside)
        assert any(kinds.get("walk") for kinds in inside)
        by_street = told_statistics(connection, Period(SPRING[0], SPRING[3]), ["division", "kind"], DISTRICT)
        assert {row["withheld"] for row in by_street} == {FINE}
        by_campaign = told_statistics(connection, Period(SPRING[0], SPRING[-1]), ["campaign"], DISTRICT)
        assert {row["campaign"]: row["withheld"] for row in by_campaign} == {"": FINE, "week": None}
        shorter = told_statistics(connection, Period(SPRING[0], SPRING[2]), ["campaign"], DISTRICT)
        assert {row["campaign"]: row["withheld"] for row in shorter} == {"": FINE, "week": FINE}


def test_a_campaign_is_told_as_a_whole_in_the_district_and_no_finer(world: World) -> None:
    spring(world.house)
    fold(world.house, [deed(1, COMMUNITIES[0], "walk", SPRING[5], "small")])
    first_days = CalendarPeriod.containing("week", SPRING[1])
    with world.house.db.reading() as connection:
        for name in ("2026-03", "2026-Q1", "2026"):
            period = [CalendarPeriod.parse(name)]
            (week,) = told_sums(connection, period, [DISTRICT], campaign="week")
            assert (week["withheld"], week["participants"], week["actions"]) == (None, 7, 7 * 2 * 4)
            (small,) = told_sums(connection, period, [DISTRICT], campaign="small")
            assert (small["withheld"], small["participants"]) == (FEW, None)
        march = [CalendarPeriod.parse("2026-03")]
        finer = [
            *told_sums(connection, [first_days], [DISTRICT], campaign="week"),
            *told_sums(connection, march[0].parts("day"), [DISTRICT], by=["period"], campaign="week"),
            *told_sums(connection, march, [COMMUNITIES[0]], campaign="week"),
            *told_sums(connection, march, STREETS, by=["area"], campaign="week"),
            *told_sums(connection, march, [DISTRICT], by=["kind"], campaign="week"),
            *told_sums(connection, march, [DISTRICT], by=["evidence"], campaign="week"),
            *told_sums(connection, march, [DISTRICT], kind="walk", campaign="week"),
        ]
        assert {(row["withheld"], row["actions"]) for row in finer} == {(FINE, None)}
        assert len(finer) == 1 + 4 + 1 + 1 + 2 + 1 + 1


def test_what_campaigns_leave_over_is_withheld(world: World) -> None:
    """Everybody reads what a campaign adds up to; two people who did something beside it on its days do not come back."""
    fold(
        world.house,
        [
            *(deed(person, COMMUNITIES[0], "walk", day, "week") for person in range(9) for day in SPRING[:2]),
            *(deed(person, COMMUNITIES[0], "walk", SPRING[0]) for person in (20, 21)),
            *(deed(person, COMMUNITIES[2], "walk", day) for person in range(30, 39) for day in SPRING[:6]),
        ],
    )
    within = Period(SPRING[0], SPRING[5])
    for _decided in (False, True):
        with world.house.db.reading() as connection:
            (week,) = (
                row
                for row in told_statistics(connection, within, ["campaign"], DISTRICT)
                if row["campaign"] == "week"
            )
            assert week["actions"] == 18
            days = told_statistics(connection, within, ["day"], DISTRICT)
            assert {row["withheld"] for row in days} == {None}
            places = told_statistics(connection, within, ["day", "division"], DISTRICT)
            untold = {(row["day"], row["division"]) for row in places if row["withheld"]}
            assert untold == set(product(SPRING[:2], STREETS))
            by_street = told_sums(connection, [CalendarPeriod.parse("2026-03")], STREETS, by=["area"])
            assert {row["area"]: row["withheld"] for row in by_street} == dict.fromkeys(STREETS, FEW)
            # The control: without it, the street less the campaign is what the two did.
            (street,) = whole_sums(connection, [CalendarPeriod.parse("2026-03")], [STREETS[0]])
            assert street["actions"] - week["actions"] == 2
        jobs.run_due(world.house, JOB, clock.now())


def test_a_few_newcomers_do_not_come_back_by_subtraction(world: World) -> None:
    """Neither from a quarter less its months, nor from the district less its 街镇; decided before or for this once."""
    january, february = date(2026, 1, 5), date(2026, 2, 7)
    fold(world.house, [deed(person, COMMUNITIES[0], "walk", january) for person in range(1, 10)])
    fold(world.house, [deed(person, COMMUNITIES[2], "walk", january) for person in range(11, 20)])
    fold(world.house, [deed(person, COMMUNITIES[0], "walk", february) for person in range(1, 10)])
    fold(world.house, [deed(person, COMMUNITIES[2], "walk", february) for person in range(11, 23)])
    months = [CalendarPeriod.parse("2026-01"), CalendarPeriod.parse("2026-02")]

    def told_newcomers() -> dict[tuple[str, str], int | None]:
        periods = [*months, CalendarPeriod.parse("2026-Q1"), CalendarPeriod.parse("2026")]
        with world.house.db.reading() as connection:
            rows = [
                row
                for areas in ([DISTRICT], STREETS)
                for row in told_sums(connection, periods, areas, by=["period", "area"])
            ]
            assert not any(row["withheld"] for row in rows)
        return {(row["period"].name, row["area"]): row["newcomers"] for row in rows}

    before = told_newcomers()
    assert before["2026-02", DISTRICT] is None
    assert before["2026-Q1", DISTRICT] == before["2026", DISTRICT] == 21
    for area in (DISTRICT, *STREETS):
        untold = [month.name for month in months if before[month.name, area] is None]
        assert len(untold) != 1 or before["2026-Q1", area] is None
    for name in ("2026-01", "2026-02", "2026-Q1", "2026"):
        untold = [area for area in STREETS if before[name, area] is None]
        assert len(untold) != 1 or before[name, DISTRICT] is None
    assert jobs.run_due(world.house, JOB, clock.now())
    assert told_newcomers() == before
    # With a record of the year before, the newcomers of this year are others, though nothing was recorded in it.
    fold(world.house, [deed(person, COMMUNITIES[0], "walk", date(2025, 3, 1)) for person in range(1, 10)])
    with world.house.db.transaction() as connection:
        decide(world.house, connection, clock.now() + timedelta(minutes=20))
        assert decided_at(connection, 2026) == decided_at(connection, 2025)


def test_it_is_decided_anew_when_figures_change_and_not_otherwise(world: World) -> None:
    spring(world.house)
    first, second, third = (clock.now() + timedelta(minutes=minutes) for minutes in (0, 10, 20))
    with world.house.db.transaction() as connection:
        decide(world.house, connection, first)
    before = contents(world.house)
    with world.house.db.transaction() as connection:
        decide(world.house, connection, second)
    assert contents(world.house) == before
    assert jobs.run_due(world.house, JOB, second)
    assert contents(world.house)["withheld_cell"] == before["withheld_cell"]
    fold(world.house, [deed(3, COMMUNITIES[1], "bottle", SPRING[7])])
    year = CalendarPeriod.parse("2026")
    with world.house.db.transaction() as connection:
        # Not decided yet: of one person nothing is told all the same.
        (row,) = told_sums(connection, [year], [DISTRICT], kind="bottle")
        assert row["withheld"] == FEW
    assert jobs.run_due(world.house, JOB, third)
    with world.house.db.reading() as connection:
        assert decided_at(connection, 2026) == third
        assert decided_at(connection, 2020) is None
        assert sums(connection, [year], [DISTRICT], kind="bottle")[0]["participants"] == 1
        assert told_sums(connection, [year], [DISTRICT], kind="bottle")[0]["withheld"] == FEW


def test_with_a_reason_an_officer_sees_more_and_it_is_audited(world: World) -> None:
    resident = world.resident()
    world.scan(resident, world.code("clean_plate"))
    world.house.relay.drain()
    token = world.token(world.officer, Role.OFFICER)
    answer = world.call("GET", "/statistics", token)
    (row,) = answer.get_json()["rows"]
    assert (row["withheld"], row["actions"], row["participants"], row["nox_ug"]) == (FEW, None, None, None)
    refused = world.call("GET", "/statistics", token, query_string={"reason": "x"})
    assert (refused.status_code, refused.get_json()["errors"][0]["field"]) == (422, "reason")
    answer = world.call("GET", "/statistics", token, query_string={"reason": "核对投诉", "by": "kind"})
    (row,) = answer.get_json()["rows"]
    assert (row["withheld"], row["actions"], row["participants"]) == (None, 1, 1)
    with world.house.db.reading_session() as session:
        (entry,) = session.exec(select(AuditEntry).where(AuditEntry.deed == "statistics.seen")).all()
    assert (entry.actor_id, entry.reason, entry.detail) == (world.officer.id, "核对投诉", {"by": ["kind"]})
