"""What a resident reads of their own records, and staff of one record in their scope."""

from datetime import datetime
from uuid import UUID

import pytest

from activities import records
from activities.actions import Action
from activities.catalogue import ActionKind
from activities.review import void_action
from tanpuhui import clock, ids
from tanpuhui.errors import NotAllowed, NotFound
from tanpuhui.staff import Role
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
        ride = world.scan(resident, bike, quantity="3")["action"]["reduction"]["co2e_mg"]
        world.scan(neighbour, plate)
    with clock.pretending(NOON.replace(hour=18)):
        voided = world.scan(resident, plate)["action"]
        with world.house.db.reading() as connection:
            before = records.own_totals(connection, resident.id, clock.today())
        void_action(world.house, world.officer, UUID(voided["id"]), "重复扫码")
        with world.house.db.reading() as connection:
            after = records.own_totals(connection, resident.id, clock.today())
    assert before.today_actions == after.today_actions + 1
    assert before.month_co2e_mg == after.month_co2e_mg + voided["reduction"]["co2e_mg"]
    assert after == records.Totals(
        today_actions=2, today_co2e_mg=second, month_co2e_mg=first + second, city_co2e_mg=ride
    )


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
