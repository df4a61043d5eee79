"""Voiding: a record is never edited, it is taken back by another, with its points, and both are seen."""

from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlmodel import SQLModel

from activities.review import own_action, recent_actions, void_action
from rewards import ledger
from rewards.ledger import Posting, account_of
from rewards.statements import statement
from tanpuhui import clock, ids
from tanpuhui.errors import AlreadyVoided, InvalidField, NotAllowed, NotFound, PointsSpent
from tanpuhui.rooms import build_house
from tanpuhui.sessions import Principal
from tanpuhui.staff import Role
from tests.tables import contents, written
from tests.threads import at_once, codes
from tests.world import OTHER_COMMUNITY, STREET, World


def recorded(world: World, kind: str = "clean_plate") -> tuple[UUID, UUID]:
    """A fresh action of a fresh resident: their ids."""
    resident = world.resident()
    answer = world.scan(resident, world.code(kind))
    return UUID(answer["action"]["id"]), resident.id


def test_a_voided_action_takes_its_points_back_and_both_lines_are_seen(world: World) -> None:
    action_id, resident_id = recorded(world)
    before = contents(world.house)
    void_action(world.house, world.officer, action_id, "  重复\n扫码 ")
    after = contents(world.house)
    assert after["action"] == before["action"]
    assert written(before, after)["transfer"] == {"inserted": 1}
    with world.house.db.reading() as connection:
        assert ledger.balance(connection, resident_id) == 0
        taken_back, credited = statement(connection, resident_id)
    assert (taken_back.voided, taken_back.points, taken_back.balance_after, taken_back.reason) == (
        True,
        -10,
        0,
        "重复 扫码",
    )
    assert (credited.voided, credited.points, credited.balance_after, credited.reason) == (
        False,
        10,
        10,
        None,
    )
    assert taken_back.deed.subject_id == credited.deed.subject_id == action_id
    with world.house.db.reading_session() as session:
        _action, void, _site = own_action(session, resident_id, action_id)
        assert void is not None
        assert (void.reason, void.voided_by) == ("重复 扫码", world.officer.id)
        with pytest.raises(NotFound):
            own_action(session, ids.new_id(), action_id)
    assert world.breaches() == []
    assert world.figure_differences() == []


def test_an_action_without_points_can_be_voided(world: World) -> None:
    resident = world.resident()
    answer = world.scan(resident, world.code("recycle_paper"), quantity="0.1")
    assert answer["points"] == {"posted": 0, "balance": 0}
    void_action(world.house, world.organiser, UUID(answer["action"]["id"]), "误报")
    with world.house.db.reading() as connection:
        assert [line.points for line in statement(connection, resident.id)] == [0, 0]
    assert world.breaches() == []


def test_points_already_spent_keep_an_action_from_being_voided(world: World) -> None:
    action_id, resident_id = recorded(world)
    gift = Posting("gift", account_of(resident_id), "programme:shop", 1, clock.now())
    with world.house.db.transaction() as connection:
        ledger.take(connection, gift)
    officer = world.officer
    before = contents(world.house)
    with pytest.raises(PointsSpent):
        void_action(world.house, officer, action_id, "重复扫码")
    assert written(before, contents(world.house)) == {}


def test_two_voids_at_once_are_one(world: World) -> None:
    action_id, _resident = recorded(world)
    second = build_house(world.house.settings)
    officer = world.officer
    results = at_once(
        [
            lambda house=house: void_action(house, officer, action_id, "重复扫码")
            for house in (world.house, second, world.house, second)
        ]
    )
    second.db.dispose()
    assert sorted(codes(results)) == ["already_voided"] * 3 + ["ok"]
    with pytest.raises(AlreadyVoided):
        void_action(world.house, officer, action_id, "重复扫码")
    assert world.breaches() == []
    assert world.figure_differences() == []


@pytest.mark.parametrize("reason", ["", " ", "\n\t", "短", "长" * 201])
def test_a_void_needs_a_reason(world: World, reason: str) -> None:
    with pytest.raises(InvalidField):
        void_action(world.house, world.officer, ids.new_id(), reason)


def test_only_staff_of_the_place_may_void(world: World) -> None:
    action_id, resident_id = recorded(world)
    strangers = [
        Principal("resident", resident_id, resident_id),
        world.colleague(Role.OFFICER, division=OTHER_COMMUNITY[:9]),
        world.colleague(Role.HELPER, Role.MERCHANT, Role.AUDITOR),
        Principal("staff", world.officer.id, world.officer.id, Role.AUDITOR),  # a token of another role
        Principal("resident", world.officer.id, world.officer.id),
    ]
    before = contents(world.house)
    for stranger in strangers:
        with pytest.raises(NotAllowed):
            void_action(world.house, stranger, action_id, "重复扫码")
    with pytest.raises(NotFound):
        void_action(world.house, world.officer, ids.new_id(), "重复扫码")
    assert written(before, contents(world.house)) == {}
    void_action(world.house, world.colleague(Role.ORGANISER, division=STREET), action_id, "重复扫码")


def test_staff_see_the_actions_of_their_own_places(world: World) -> None:
    here = world.colleague(Role.ORGANISER, division=STREET)
    elsewhere = world.colleague(Role.ORGANISER, division=OTHER_COMMUNITY[:9])
    helper = world.colleague(Role.HELPER)
    first, _ = recorded(world)
    second, _ = recorded(world)
    void_action(world.house, here, first, "重复扫码")
    with world.house.db.reading_session() as session:
        seen = recent_actions(session, here)
        assert [(action.id, void is not None) for action, void, _site, _review in seen] == [
            (second, False),
            (first, True),
        ]
        site_id = seen[1][0].site_id
        assert [row[0].id for row in recent_actions(session, here, site_id=site_id)] == [first]
        assert recent_actions(session, elsewhere) == []
        assert recent_actions(session, helper) == []


def test_the_database_itself_guards_voids(world: World) -> None:
    action_id, _ = recorded(world)
    other_id, _ = recorded(world)
    void_action(world.house, world.officer, action_id, "重复扫码")
    table = SQLModel.metadata.tables["action_void"]
    row = {"action_id": other_id, "voided_at": clock.now(), "voided_by": world.officer.id, "reason": "x"}
    for changed in (
        {"reason": ""},
        {"action_id": action_id},
        {"action_id": ids.new_id()},
        {"voided_by": ids.new_id()},
    ):
        with pytest.raises(sa.exc.IntegrityError), world.house.db.transaction() as connection:
            connection.execute(sa.insert(table).values({**row, **changed}))


def test_records_voids_and_the_audit_trail_are_append_only(world: World) -> None:
    action_id, _ = recorded(world)
    void_action(world.house, world.officer, action_id, "重复扫码")
    for change in (
        "UPDATE action SET quantity_milli = 9000",
        "DELETE FROM action",
        "UPDATE action_void SET reason = 'x'",
        "DELETE FROM action_void",
        "UPDATE audit_entry SET reason = 'x'",
        "DELETE FROM audit_entry",
    ):
        with (
            pytest.raises(sa.exc.DBAPIError, match="append-only"),
            world.house.db.transaction() as connection,
        ):
            connection.execute(sa.text(change))
