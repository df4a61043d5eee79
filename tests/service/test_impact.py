"""A resident's impact over time and by kind: what it adds up, what it keeps apart, and how fast it is read."""

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import select

from activities import records
from activities.actions import Action
from activities.impact import EVERYTHING, Impact, impact
from activities.quantify.factors import POLLUTANTS
from activities.review import void_action
from tanpuhui import clock, ids
from tanpuhui.people import Resident
from tests.browser import browser
from tests.world import World

NOON = datetime(2026, 11, 20, 12, tzinfo=clock.SHANGHAI)
TODAY = NOON.date()


def read(world: World, resident: Resident, period: str = "", kind: str = "") -> Impact:
    """The impact as it stands on the day of `NOON`."""
    with world.house.db.reading() as connection:
        return impact(connection, resident.id, TODAY, period, kind)


def a_year_of_deeds(world: World) -> Resident:
    """Two clean plates in November, one in March, one two years before; a ride of the city's; a neighbour's plate."""
    resident = world.resident()
    for moment, kind, quantity in (
        (NOON.replace(year=2024, month=5), "clean_plate", None),
        (NOON.replace(month=3), "clean_plate", None),
        (NOON.replace(day=1), "recycle_paper", "2.5"),
        (NOON.replace(day=1), "clean_plate", None),
        (NOON, "clean_plate", None),
        (NOON, "bike_trip", "3"),
    ):
        with clock.pretending(moment):
            world.scan(resident, world.code(kind), quantity=quantity)
            world.scan(world.resident(), world.code("clean_plate"))
    return resident


def test_the_latest_twelve_months_stand_month_by_month(world: World) -> None:
    found = read(world, a_year_of_deeds(world))
    assert [span.first for span in found.spans] == [date(2025, 12, 1)] + [
        date(2026, month, 1) for month in range(1, 12)
    ]
    plate, paper = 144_000, 2 * 3_461_000 + 3_461_000 // 2
    by_month = {span.first.month: (span.own.records, span.own.co2e_mg) for span in found.spans}
    assert by_month[3] == (1, plate)
    assert by_month[11] == (3, 2 * plate + paper)
    assert by_month[12] == (0, 0)
    assert (found.own.records, found.own.co2e_mg) == (4, 3 * plate + paper)
    assert (found.own.co2e_mid_mg, found.own.co2e_high_mg) == (
        3 * 340_000 + 3_913_000 * 5 // 2,
        3 * 449_000 + 3_913_000 * 5 // 2,
    )
    assert found.years == [2026, 2024]


def test_the_citys_part_is_apart_and_a_pollutant_says_how_many_records_know_it(world: World) -> None:
    found = read(world, a_year_of_deeds(world))
    assert (found.city.records, found.city.co2e_mg) == (1, 3 * 48_700)
    assert found.city.pollutants["nox"] == (146_246, 1)
    assert found.own.pollutants == dict.fromkeys(POLLUTANTS, (None, 0))
    bike = next(one for one in found.kinds if one.kind == "bike_trip")
    assert (bike.quantity_milli, bike.own.records, bike.city.records) == (3000, 0, 1)


def test_a_year_everything_and_a_kind_narrow_it(world: World) -> None:
    resident = a_year_of_deeds(world)
    assert read(world, resident, "2024").records == 1
    assert [span.first.year for span in read(world, resident, EVERYTHING).spans] == [2024, 2025, 2026]
    assert read(world, resident, EVERYTHING).records == 6
    only = read(world, resident, EVERYTHING, "clean_plate")
    assert (only.own.records, only.city.records, only.quantity_milli) == (4, 0, 4000)
    assert {one.kind for one in only.kinds} == {"clean_plate", "recycle_paper", "bike_trip"}
    for period, kind in (("", "😀"), ("1999", ""), ("九九九九", ""), ("0000", ""), ("9999", ""), ("x", "y")):
        assert read(world, resident, period, kind).records == 0, (period, kind)


def test_what_is_voided_no_longer_counts(world: World) -> None:
    resident = world.resident()
    with clock.pretending(NOON):
        done = world.scan(resident, world.code("clean_plate"))
        world.scan(resident, world.code("own_cup"))
        before = read(world, resident)
        void_action(world.house, world.officer, UUID(done["action"]["id"]), "重复扫码")
        after = read(world, resident)
    assert (before.own.records, after.own.records) == (2, 1)
    assert before.own.co2e_mg - after.own.co2e_mg == 144_000
    assert [one.kind for one in after.kinds] == ["own_cup"]


def test_the_page_tells_each_part_and_keeps_the_filter_in_its_links(world: World) -> None:
    resident = world.resident()
    world.scan(resident, world.code("clean_plate"))
    world.scan(resident, world.code("bike_trip"), quantity="3")
    me = browser(world, resident)
    assert 'href="/me/impact"' in me.get("/")
    text = " ".join(re.sub(r"<[^>]+>|\s+", " ", me.get("/me/impact")).split())
    for said in (
        "相当于一盏 10 瓦的灯亮 34 小时的电",
        "1 条记录，其中经过验证 1 条，自报 0 条。",
        "居中 340 克，较高 449 克",
        "市级核算，另列 146 克",
        "（1 条中 1 条有因子）",
        "1 条 · 3 公里",
    ):
        assert said in text
    page = me.get("/me/impact?period=all&kind=bike_trip")
    assert "/me/impact?kind=bike_trip" in page
    assert "灯" not in page
    assert "/me/impact?period=all" in page


def test_what_is_asked_for_and_is_not_there_is_a_friendly_page(world: World) -> None:
    resident = world.resident()
    me = browser(world, resident)
    assert "/scan" in me.get("/me/impact")
    assert "还没有记录" in me.page.text
    world.scan(resident, world.code("clean_plate"))
    for query in ("kind=😀", "period=😀", "period=1999&kind=no_such", "kind=<script>", "period=" + "9" * 400):
        page = me.get(f"/me/impact?{query}")
        assert me.status == 200, query
        assert "这里没有记录" in page
        assert "<script>" not in page


KINDS = (
    "clean_plate",
    "own_cup",
    "no_cutlery",
    "bus_trip",
    "metro_trip",
    "bike_trip",
    "walk",
    "recycle_paper",
)


def many_records(world: World, residents: list[Resident], count: int) -> None:
    """`count` records of each resident, eight kinds a day, copied from one scan."""
    world.scan(residents[0], world.code("clean_plate"))
    with world.house.db.transaction() as connection:
        table = Action.__table__  # type: ignore[attr-defined]
        row = dict(connection.execute(sa.select(table)).mappings().one())
        connection.execute(
            sa.insert(table),
            [
                {
                    **row,
                    "id": ids.new_id(),
                    "resident_id": resident.id,
                    "day": TODAY - timedelta(days=1 + number // len(KINDS)),
                    "kind": KINDS[number % len(KINDS)],
                    "city_credited": KINDS[number % len(KINDS)].endswith("_trip"),
                }
                for resident in residents
                for number in range(count)
            ],
        )


def test_everything_of_ones_own_is_read_by_the_index_of_ones_records(world: World) -> None:
    """The impact, and what was done last time: none of them looks at another resident's records."""
    residents = world.residents(40)
    many_records(world, residents, 250)
    who = residents[7].id
    with world.house.db.reading_session() as session:
        site_id = session.exec(select(Action.site_id)).first()
    with world.house.db.transaction() as connection:
        connection.execute(sa.text("ANALYZE"))
    for look in (
        lambda connection: impact(connection, who, TODAY, EVERYTHING),
        lambda connection: records.last_record(connection, who, TODAY, kind="own_cup"),
        lambda connection: records.last_record(connection, who, TODAY, site_id=site_id),
    ):
        plan = plan_of(world, look)
        assert "uq_action_resident_id_day_kind_ordinal" in plan or "sqlite_autoindex_action" in plan, plan
        assert not re.search(r"Seq Scan on action( |$)|SCAN action( |$)", plan, re.M), plan


def plan_of(world: World, look: Callable[[Connection], object]) -> str:
    """How the database goes about the one statement of `look`."""
    asked: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
        asked.append((statement, parameters))

    with world.house.db.reading() as connection:
        sa.event.listen(connection, "before_cursor_execute", note)
        look(connection)
        ((statement, parameters),) = [one for one in asked if one[0].startswith("SELECT")]
        explain = "EXPLAIN QUERY PLAN " if world.house.db.is_sqlite else "EXPLAIN "
        rows = connection.exec_driver_sql(explain + statement, parameters)
        return "\n".join(str(row[-1]) for row in rows)
