"""The inbox: each thing is told once, to those who are still here, and worded when it is read."""

import re
from datetime import timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa

from activities import review
from activities.letters import TELLING_VOIDED, VOIDED
from tanpuhui import clock, inbox, people
from tanpuhui.errors import NotFound
from tanpuhui.inbox import PAGE, WELCOME, Message, Note, tell
from tanpuhui.people import Resident
from tanpuhui.rooms import installed_rooms
from tests.browser import browser
from tests.threads import at_once, codes
from tests.world import World


def messages(world: World, resident: Resident) -> list[Message]:
    """What stands in a resident's inbox, the newest first."""
    with world.house.db.reading_session() as session:
        return list(inbox.messages(world.house, session, resident.id)[0])


def unread(world: World, resident: Resident) -> int:
    with world.house.db.reading() as connection:
        return inbox.unread(world.house, connection, resident.id)


def voided(world: World, resident: Resident, reason: str = "登记了两次") -> UUID:
    """A record of the resident that was voided; the relay has not come by yet."""
    action = UUID(world.scan(resident, world.code("clean_plate"))["action"]["id"])
    review.void_action(world.house, world.organiser, action, reason)
    return action


def set_back(world: World, subscriber: str) -> None:
    """Let the relay bring everything to `subscriber` once more."""
    with world.house.db.transaction() as connection:
        connection.execute(
            sa.text(
                "UPDATE subscriber_cursor SET tx = -9000000000000000000, position = 0 WHERE subscriber = :name"
            ),
            {"name": subscriber},
        )


def test_whoever_joins_is_welcomed_once(world: World) -> None:
    resident = world.resident()
    (message,) = messages(world, resident)
    assert (message.kind, message.reference, message.read_at) == ("welcome", "joined", None)
    assert message.told_at == resident.joined_at
    me = browser(world, resident)
    page = me.get("/")
    assert "1 条未读消息" in page
    assert "1 条未读消息" in me.get("/me")
    page = me.get(f"/me/inbox/{message.id}")
    assert page.index("扫一次码") < page.index("看看省下多少") < page.index("定好您的开关")
    assert "条未读消息" not in me.get("/")
    assert "Welcome to Tanpuhui" in browser(world, resident, "en").get("/me/inbox")


def test_a_voided_record_is_told_with_its_reason_and_the_way_to_it(world: World) -> None:
    resident = world.resident()
    action = voided(world, resident, "<b>登记了两次</b>")
    assert len(messages(world, resident)) == 1
    world.house.relay.drain()
    told = messages(world, resident)[0]
    assert (told.kind, told.reference) == ("action.voided", str(action))
    assert told.params.keys() == {"action", "kind", "day"}  # no words: the reason is looked up
    for language, title in (
        ("zh", "您的“光盘行动”记录被撤销了"),
        ("en", "Your record “Clean plate” was voided"),
    ):
        me = browser(world, resident, language)
        assert title in me.get("/me/inbox")
        page = me.get(f"/me/inbox/{told.id}")
        assert "<bdi>&lt;b&gt;登记了两次&lt;/b&gt;</bdi>" in re.sub(
            r"</?span[^>]*>", "", page
        )  # marked as Chinese
        assert f"/me/actions/{action}" in page
    assert world.breaches() == []


def test_an_event_that_comes_again_gives_one_message(world: World) -> None:
    resident = world.resident()
    voided(world, resident)
    world.house.relay.drain()
    before = messages(world, resident)
    inbox.open_message(world.house, resident.id, before[0].id)
    set_back(world, TELLING_VOIDED.name)
    world.house.relay.drain()
    after = messages(world, resident)
    assert [message.id for message in after] == [message.id for message in before]
    assert after[0].read_at is not None  # and it stays read


def test_at_once_it_is_told_once(world: World) -> None:
    resident = world.resident()

    def call() -> None:
        note = Note(
            VOIDED, resident.id, "the same", {"action": "x", "kind": "clean_plate", "day": "2026-06-05"}
        )
        world.house.db.run(lambda connection: tell(connection, [note, note]))

    assert codes(at_once([call] * 6)) == ["ok"] * 6
    assert len(messages(world, resident)) == 2


def test_whoever_has_left_is_told_nothing(world: World) -> None:
    """Voided before they left, brought by the relay afterwards."""
    resident = world.resident()
    voided(world, resident)
    people.leave(world.house, resident.id)
    world.house.relay.drain()
    assert messages(world, resident) == []
    assert world.breaches() == []
    with world.house.db.transaction() as connection:  # the negative control: such a row would be found
        connection.execute(
            sa.insert(Message).values(
                resident_id=resident.id, kind="welcome", reference="joined", params={}, told_at=clock.now()
            )
        )
    assert any("has left" in line for line in world.breaches())


def test_pages_of_fifty_and_older_ones_behind_them(world: World) -> None:
    resident = world.resident()
    start = clock.now() + timedelta(minutes=1)
    notes = [
        Note(WELCOME, resident.id, f"number {n}", told_at=start + timedelta(seconds=n))
        for n in range(PAGE + 5)
    ]
    world.house.db.run(lambda connection: tell(connection, notes))
    me = browser(world, resident)
    page = me.get("/me/inbox")
    assert page.count("未读</span>") == PAGE
    older = re.search(r'href="(/me/inbox\?before=[^"]+)"', page)
    assert older
    page = me.get(older[1])
    assert page.count("未读</span>") == 6
    assert "before=" not in page
    for wrong in ("x", str(messages(world, world.resident())[0].id)):
        me.get(f"/me/inbox?before={wrong}")
        assert me.status == 404


def test_all_that_was_shown_is_marked_and_what_came_later_is_not(world: World) -> None:
    resident = world.resident()
    me = browser(world, resident)
    me.get("/me/inbox")
    later = clock.now() + timedelta(seconds=5)
    world.house.db.run(
        lambda connection: tell(connection, [Note(WELCOME, resident.id, "later", told_at=later)])
    )
    me.send("/me/inbox/read")
    assert me.path == "/me/inbox"
    assert [message.reference for message in messages(world, resident) if not message.read_at] == ["later"]
    me.send("/me/inbox/read")
    assert unread(world, resident) == 0
    assert "全部标为已读" not in me.get("/me/inbox")


def test_a_message_is_its_owners_alone(world: World) -> None:
    resident, other = world.residents(2)
    (theirs,) = messages(world, resident)
    me = browser(world, other)
    me.get(f"/me/inbox/{theirs.id}")
    assert me.status == 404
    me.get("/me/inbox")
    for newest in (str(theirs.id), "x"):
        me.send("/me/inbox/read", newest=newest)
        assert me.status == 404
        me.get("/me/inbox")
    assert (unread(world, resident), unread(world, other)) == (1, 1)
    with pytest.raises(NotFound):
        inbox.open_message(world.house, other.id, theirs.id)
    anyone = browser(world)
    anyone.get("/me/inbox")
    assert anyone.path == "/login"


def test_an_empty_inbox_leads_on(world: World) -> None:
    resident = world.resident()
    with world.house.db.transaction() as connection:
        connection.execute(sa.delete(Message))
    page = browser(world, resident).get("/me/inbox")
    assert "还没有消息" in page
    assert 'href="/help"' in page


def test_a_kind_that_no_room_can_word_any_more_is_left_out(world: World) -> None:
    resident = world.resident()
    with world.house.db.transaction() as connection:
        connection.execute(sa.update(Message).values(kind="of a room that is gone"))
    assert (messages(world, resident), unread(world, resident)) == ([], 0)


def test_every_kind_of_message_has_one_letter() -> None:
    kinds = [letter.kind for room in installed_rooms() for letter in room.letters]
    assert len(kinds) == len(set(kinds)) >= 3
