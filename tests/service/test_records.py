"""What a resident reads of their own records, and staff of one record in their scope."""

import re
from datetime import datetime
from uuid import UUID

import pytest
import sqlalchemy as sa

from activities import records
from activities.actions import Action
from activities.catalogue import ActionKind
from activities.quantify.factors import POLLUTANTS
from activities.review import void_action
from tanpuhui import clock, ids
from tanpuhui.errors import NotAllowed, NotFound
from tanpuhui.staff import Role
from tests.browser import browser
from tests.world import OTHER_COMMUNITY, World

NOON = datetime(2026, 11, 20, 12, tzinfo=clock.SHANGHAI)


def test_own_totals_count_what_stands_and_keep_the_citys_part_apart(world: World) -> None:
    resident, neighbour = world.resident(), world.resident()
    with clock.pretending(NOON.replace(day=1)):
        plate, bike = world.code("clean_plate"), world.code("bike_trip")
    with clock.pretending(NOON.replace(month=10, day=31)):
        plate_before = world.code("clean_plate")
        world.scan(resident, plate_before)  # last month
    with clock.pretending(NOON.replace(day=1)):
        first = world.scan(resident, plate)["action"]["reduction"]["co2e_mg"]
    with clock.pretending(NOON):
        second = world.scan(resident, plate)["action"]["reduction"]["co2e_mg"]
        ride = world.scan(resident, bike, quantity="3")["action"]["reduction"]
        world.scan(neighbour, plate)
    with clock.pretending(NOON.replace(hour=18)):
        voided = world.scan(resident, plate)["action"]
        with world.house.db.reading() as connection:
            before = records.own_totals(connection, resident.id, clock.today())
        void_action(world.house, world.officer, UUID(voided["id"]), "重复扫码")
        with world.house.db.reading() as connection:
            after = records.own_totals(connection, resident.id, clock.today())
    assert before.today_records == after.today_records + 1
    assert before.own.co2e_mg == after.own.co2e_mg + voided["reduction"]["co2e_mg"]
    assert (after.today_records, after.today_city, after.today_co2e_mg) == (1, 1, second)
    unknown = dict.fromkeys(POLLUTANTS, (None, 0))
    assert after.own == records.Part(2, 2, first + second, 2 * 340_000, 2 * 449_000, unknown)
    assert (after.city.records, after.city.verified, after.city.co2e_mg) == (1, 1, ride["co2e_mg"])
    assert after.city.pollutants == {
        name: (ride[f"{name}_ug"], 0 if ride[f"{name}_ug"] is None else 1) for name in POLLUTANTS
    }
    assert after.city.pollutants["so2"] == (None, 0)


def test_own_totals_say_what_is_verified_and_for_how_many_a_pollutant_is_known(world: World) -> None:
    """A record that is the resident's own word, and one without a factor for a pollutant, are in the sum, told apart."""
    resident = world.resident()
    world.scan(resident, world.code("clean_plate"))
    with world.house.db.transaction() as connection:
        table = Action.__table__  # type: ignore[attr-defined]
        row = dict(connection.execute(sa.select(table)).mappings().one())
        for number, (evidence, so2) in enumerate((("self_declared", -7), ("photo", 3)), row["ordinal"] + 1):
            more = {"id": ids.new_id(), "ordinal": number, "evidence": evidence, "so2_ug": so2}
            connection.execute(sa.insert(table), {**row, **more})
        found = records.own_totals(connection, resident.id, clock.today())
    assert (found.own.records, found.own.verified, found.own.co2e_mg) == (3, 1, 3 * row["co2e_mg"])
    assert found.own.pollutants["so2"] == (-4, 2)
    assert found.city == records.Part(0, 0, 0, 0, 0, dict.fromkeys(POLLUTANTS, (None, 0)))


def test_the_home_page_tells_the_months_records_and_the_citys_part_apart(world: World) -> None:
    resident = world.resident()
    me = browser(world, resident)
    assert "条由市级核算" not in me.get("/")
    world.scan(resident, world.code("clean_plate"))
    world.scan(resident, world.code("bike_trip"), quantity="2")
    text = " ".join(re.sub(r"<[^>]+>|\s+", " ", me.get("/")).split())
    assert "1 条记录，其中经过验证 1 条。" in text
    assert "另有 1 条由市级核算：估算减排 97.4 克 ，不重复计入。" in text
    assert "这部分同时减少： NO x 97.4 毫克 、" in text
    assert "（1 条中 1 条有因子）" in text
    assert "SO 2" not in text
    assert "今天 144 克 1 条记录，另 1 条由市级核算" in text


def test_what_is_left_today_counts_a_voided_record_back(world: World) -> None:
    resident = world.resident()
    with clock.pretending(NOON):
        answer = world.scan(resident, world.code("clean_plate"))
        action_id = UUID(answer["action"]["id"])
        with world.house.db.reading_session() as session:
            action, kind = session.get_one(Action, action_id), session.get_one(ActionKind, "clean_plate")
            left = records.left_today(session.connection(), action, kind, clock.today())
        assert left == answer["left_today"] == kind.records_per_day - 1
        void_action(world.house, world.officer, action_id, "重复扫码")
        with world.house.db.reading_session() as session:
            assert (
                records.left_today(session.connection(), action, kind, clock.today()) == kind.records_per_day
            )
    with world.house.db.reading_session() as session:
        assert records.left_today(session.connection(), action, kind, NOON.date().replace(day=21)) is None


def test_staff_read_a_record_in_their_scope_only(world: World) -> None:
    site = world.site("clean_plate")
    action_id = UUID(world.scan(world.resident(), world.code_at(site))["action"]["id"])
    void_action(world.house, world.officer, action_id, "重复扫码")
    elsewhere = world.colleague(Role.ORGANISER, division=OTHER_COMMUNITY)
    with world.house.db.reading_session() as session:
        action, void, where = records.managed_action(session, world.organiser, action_id)
        assert (action.id, where.id, void and void.reason) == (action_id, site.id, "重复扫码")
        for who, wanted, error in (
            (elsewhere, action_id, NotAllowed),
            (world.colleague(Role.HELPER), action_id, NotAllowed),
            (world.organiser, ids.new_id(), NotFound),
        ):
            with pytest.raises(error):
                records.managed_action(session, who, wanted)
