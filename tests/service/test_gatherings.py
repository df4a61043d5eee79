"""Gatherings: places that are never given twice, a line in order, check-in once, a certificate, and nobody's time measured."""

import re
import threading
from datetime import datetime, time as hour, timedelta
from typing import Any
from uuid import UUID

import pypdfium2
import pytest
import sqlalchemy as sa
from sqlmodel import col, select

from activities import (
    check_ins,
    gathering_changes,
    gathering_list,
    gathering_news,
    gatherings,
    members,
    sign_ups,
)
from activities.check_ins import CheckIn, check_in, check_in_member, check_in_token
from activities.gathering_changes import Counts, change, count_walk_ins, counts
from activities.gatherings import Gathering, GatheringIn, create_gathering
from activities.sign_ups import SignUp
from activities.taking_part import give_up, sign_up
from tanpuhui import classes, clock, inbox, people, privacy
from tanpuhui.errors import (
    CardRevoked,
    CardUnused,
    CodeInvalid,
    GatheringBegun,
    GatheringCancelled,
    InvalidField,
    NoPlaceLeft,
    NotAllowed,
    NotAMemberCode,
    NotCheckInTime,
    NotFound,
    ResidentInactive,
    RotatingCodeExpired,
    SignedUpOtherwise,
    SignUpClosed,
    StillWaiting,
    Unavailable,
)
from tanpuhui.jobs import run_due
from tanpuhui.people import Resident
from tanpuhui.schema import Guard
from tanpuhui.sessions import Principal
from tanpuhui.staff import Role, create_organisation
from tests.browser import browser
from tests.threads import at_once, codes
from tests.world import COMMUNITY, OTHER_COMMUNITY, STREET, World

SOON = timedelta(days=3)


def gathering_in(**more: Any) -> GatheringIn:
    """What an organiser says: in three days, from 14:00, for two hours."""
    day = clock.day_of(clock.now() + SOON)
    starts = more.pop("starts_at", datetime.combine(day, hour(14), clock.SHANGHAI))
    said: dict[str, Any] = {
        "title": "旧衣修补日",
        "kind": "repair_day",
        "place": "居委会二楼活动室",
        "division_code": COMMUNITY,
        "starts_at": starts,
        "ends_at": starts + timedelta(hours=2),
        "sign_up_until": starts,
        "places": 2,
    }
    return GatheringIn.model_validate({**said, **more})


def made(world: World, **more: Any) -> Gathering:
    return create_gathering(world.house, world.organiser, gathering_in(**more))


def a_class(world: World) -> UUID:
    admin = world.colleague(Role.ADMIN)
    school = create_organisation(world.house, admin, name="某小学", division_code=COMMUNITY)
    token = classes.create(
        world.house, admin, organisation_id=school.id, label="三年二班", division_code=COMMUNITY
    )
    return classes.open_with(world.house, token)


def line(world: World, gathering: Gathering) -> list[tuple[UUID | None, bool]]:
    """Who stands in line, in its order, and whether they have a place."""
    with world.house.db.reading_session() as session:
        rows = session.exec(
            select(SignUp).where(SignUp.gathering_id == gathering.id).order_by(col(SignUp.number))
        )
        return [(row.resident_id, row.placed_at is not None) for row in rows]


def counted(world: World, gathering: Gathering) -> Counts:
    with world.house.db.reading_session() as session:
        return counts(session, session.get_one(Gathering, gathering.id))


def told(world: World, who: Resident | UUID) -> list[str]:
    """The kinds of a resident's messages on gatherings, the oldest first."""
    resident_id = who if isinstance(who, UUID) else who.id
    with world.house.db.reading_session() as session:
        found, _ = inbox.messages(world.house, session, resident_id)
    return [one.kind for one in reversed(found) if one.kind.startswith("gathering.")]


def during(gathering: Gathering) -> Any:
    """Ten minutes before it begins."""
    return clock.pretending(gathering.starts_at - timedelta(minutes=10))


def without(world: World, *guards: Guard) -> None:
    """Take guards down, to show what they are for."""
    with world.house.db.transaction() as connection:
        for guard in guards:
            for statement in guard.drop(connection.dialect.name):
                connection.execute(sa.text(statement))


# --- places and the line -----------------------------------------------------------------------------------


def test_who_comes_late_waits_and_moves_up_in_order(world: World) -> None:
    gathering = made(world)
    first, second, third, fourth = world.residents(4)
    for who in (first, second, third, fourth, first):
        sign_up(world.house, who.id, gathering.id)
    assert line(world, gathering) == [
        (first.id, True),
        (second.id, True),
        (third.id, False),
        (fourth.id, False),
    ]
    with world.house.db.reading_session() as session:
        standing = sign_ups.standing(session, gathering.id, fourth.id)
    assert standing is not None
    assert standing.ahead == 1
    assert world.breaches() == []
    give_up(world.house, first.id, gathering.id)
    give_up(world.house, first.id, gathering.id)
    assert line(world, gathering) == [(second.id, True), (third.id, True), (fourth.id, False)]
    assert (told(world, third), told(world, fourth), told(world, first)) == (["gathering.place"], [], [])
    sign_up(world.house, first.id, gathering.id)  # at the end of the line
    give_up(world.house, second.id, gathering.id)
    assert line(world, gathering) == [(third.id, True), (fourth.id, True), (first.id, False)]
    assert world.breaches() == []


def test_who_moves_up_twice_is_told_twice(world: World) -> None:
    gathering = made(world, places=1)
    first, second = world.residents(2)
    for who in (first, second):
        sign_up(world.house, who.id, gathering.id)
    for _ in range(2):
        give_up(world.house, first.id, gathering.id)
        give_up(world.house, second.id, gathering.id)
        for who in (first, second):
            sign_up(world.house, who.id, gathering.id)
    give_up(world.house, first.id, gathering.id)
    assert told(world, second) == ["gathering.place"] * 3


def test_nobody_signs_up_for_what_is_closed_cancelled_or_begun(world: World) -> None:
    gathering = made(world, sign_up_until=gathering_in().starts_at - timedelta(hours=5))
    early, late = world.residents(2)
    mine = sign_up(world.house, early.id, gathering.id)
    with clock.pretending(gathering.sign_up_until):
        with pytest.raises(SignUpClosed):
            sign_up(world.house, late.id, gathering.id)
        assert sign_up(world.house, early.id, gathering.id).id == mine.id
    with clock.pretending(gathering.starts_at), pytest.raises(GatheringBegun):
        give_up(world.house, early.id, gathering.id)
    gathering_changes.cancel(world.house, world.organiser, gathering.id, "台风预警")
    with pytest.raises(GatheringCancelled):
        sign_up(world.house, late.id, gathering.id)
    people.leave(world.house, late.id)
    with pytest.raises(ResidentInactive):
        sign_up(world.house, late.id, made(world).id)
    with pytest.raises(NotFound):
        sign_up(world.house, early.id, early.id)


def test_one_account_is_one_place_and_a_class_says_how_many(world: World) -> None:
    gathering, class_id, other = made(world, places=30), a_class(world), world.resident()
    for who, number in ((other.id, 2), (other.id, 0), (class_id, 61), (class_id, 31)):
        with pytest.raises(InvalidField):
            sign_up(world.house, who, gathering.id, number)
    sign_up(world.house, other.id, gathering.id)
    sign_up(world.house, class_id, gathering.id, 30)  # one place is taken: the class waits
    with pytest.raises(SignedUpOtherwise):
        sign_up(world.house, class_id, gathering.id, 29)
    behind = world.resident()
    sign_up(world.house, behind.id, gathering.id)  # strictly in order: nobody passes the class
    assert counted(world, gathering) == Counts(placed=1, waiting=31, came=0, walk_ins=0)
    assert world.breaches() == []
    give_up(world.house, other.id, gathering.id)
    assert counted(world, gathering) == Counts(placed=30, waiting=1, came=0, walk_ins=0)
    assert told(world, class_id) == ["gathering.place"]


def test_two_hundred_at_once_get_fifty_places(world: World) -> None:
    gathering = made(world, places=50)
    crowd = world.residents(200)

    def patiently(who: Resident) -> SignUp:
        """As a page says: busy, so once more."""
        while True:
            try:
                return sign_up(world.house, who.id, gathering.id)
            except Unavailable:
                continue

    assert codes(at_once([lambda who=who: patiently(who) for who in crowd])) == ["ok"] * 200
    stands = [placed for _who, placed in line(world, gathering)]
    assert stands == [True] * 50 + [False] * 150
    assert world.breaches() == []


def careless(world: World, gathering: Gathering, crowd: list[Resident]) -> list[str]:
    """What a service would do that counts, and then writes, without taking turns."""
    counted_by_all = threading.Barrier(len(crowd))

    def one(number: int) -> None:
        with world.house.db.reading_session() as session:
            free = sign_ups.taken(session, gathering.id) < gathering.places
        counted_by_all.wait(60)
        now = clock.now()
        row = SignUp(
            gathering_id=gathering.id,
            resident_id=crowd[number].id,
            number=number + 1,
            signed_up_at=now,
            placed_at=now if free else None,
        )
        with world.house.db.session() as session:
            session.add(row)

    return codes(at_once([lambda number=number: one(number) for number in range(len(crowd))]))


def test_the_database_gives_no_place_twice_and_without_its_guard_it_would(world: World) -> None:
    crowd = world.residents(200)
    guarded, open_to_all = made(world, places=50), made(world, places=50)
    assert careless(world, guarded, crowd).count("ok") == 50
    assert counted(world, guarded).placed == 50
    assert world.breaches() == []
    without(world, *(guard for guard in sign_ups.GUARDS if guard.name == "places"))
    assert careless(world, open_to_all, crowd) == ["ok"] * 200
    assert counted(world, open_to_all).placed == 200
    assert any("no more people have a place" in line for line in world.breaches())


def test_the_database_keeps_the_line(world: World) -> None:
    gathering = made(world, places=2)
    class_id, first, late = a_class(world), *world.residents(2)
    sign_up(world.house, first.id, gathering.id)
    sign_up(world.house, class_id, gathering.id, 2)
    sign_up(world.house, late.id, gathering.id)
    pass_by = sa.update(SignUp).where(col(SignUp.resident_id) == late.id).values(placed_at=clock.now())
    take_back = sa.update(SignUp).where(col(SignUp.resident_id) == first.id).values(placed_at=None)
    hand_on = (
        sa.update(SignUp).where(col(SignUp.resident_id) == first.id).values(resident_id=world.resident().id)
    )
    enlarge = sa.update(SignUp).where(col(SignUp.resident_id) == first.id).values(people=2)
    for wrong in (pass_by, take_back, hand_on, enlarge):
        with pytest.raises(sa.exc.DBAPIError):
            run(world, wrong)
    without(world, *(guard for guard in sign_ups.GUARDS if guard.name == "line_later"))
    run(world, pass_by)
    assert line(world, gathering)[2] == (late.id, True)


def run(world: World, statement: Any) -> None:
    with world.house.db.transaction() as connection:
        connection.execute(statement)


def test_of_many_who_give_up_and_leave_at_once_each_place_goes_to_the_next_in_line(world: World) -> None:
    gathering = made(world, places=20)
    crowd = world.residents(60)
    for who in crowd:
        sign_up(world.house, who.id, gathering.id)
    going = crowd[:10], crowd[10:16], crowd[20:24]  # with a place, leaving with one, waiting
    calls = [
        *(lambda who=who: give_up(world.house, who.id, gathering.id) for who in (*going[0], *going[2])),
        *(lambda who=who: people.leave(world.house, who.id) for who in going[1]),
    ]
    assert codes(at_once(calls)) == ["ok"] * 20
    stayed = [who for who in crowd if who not in (*going[0], *going[1], *going[2])]
    assert line(world, gathering) == [(who.id, number < 20) for number, who in enumerate(stayed)]
    with world.house.db.transaction() as connection:
        gathering_news.tell_due(world.house, connection, clock.now())
    moved_up = [who for who in stayed[:20] if who not in crowd[:20]]
    assert len(moved_up) == 16
    assert all(told(world, who) == ["gathering.place"] for who in moved_up)
    assert not any(told(world, who) for who in stayed if who not in moved_up)
    assert world.breaches() == []


# --- who makes, changes and cancels ------------------------------------------------------------------------


def test_an_organiser_makes_one_in_its_scope_once(world: World) -> None:
    chosen = UUID(int=7)
    twice = at_once(
        [lambda: create_gathering(world.house, world.organiser, gathering_in(), chosen=chosen)] * 2
    )
    assert {one.id for one in twice} == {chosen}
    for who in (
        world.colleague(Role.ORGANISER, division=OTHER_COMMUNITY),
        world.colleague(Role.HELPER),
        world.colleague(Role.AUDITOR),
        Principal("resident", world.resident().id, UUID(int=0)),
    ):
        with pytest.raises(NotAllowed):
            create_gathering(world.house, who, gathering_in())
    site, elsewhere = world.site("clean_plate"), world.site("clean_plate", community=OTHER_COMMUNITY)
    assert made(world, site_id=site.id, place="").site_id == site.id
    start = gathering_in().starts_at
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("starts_at", {"starts_at": clock.now() - timedelta(minutes=1)}),
        ("ends_at", {"ends_at": start}),
        ("ends_at", {"ends_at": start + timedelta(hours=25)}),
        ("sign_up_until", {"sign_up_until": start + timedelta(minutes=1)}),
        ("place", {"place": ""}),
        ("site_id", {"site_id": elsewhere.id}),
        ("scope", {"division_code": "310106999"}),
        ("title", {"title": "修补 \U0001f9f5"}),
        ("title", {"title": "W" * 60}),
    ]
    for field, more in wrong:
        with pytest.raises(InvalidField) as refused:
            made(world, **more)
        assert field in [error["field"] for error in refused.value.params["errors"]]


def test_an_organisation_holds_its_own(world: World) -> None:
    admin = world.colleague(Role.ADMIN)
    tenant, other = (
        create_organisation(world.house, admin, name=name, division_code=COMMUNITY)
        for name in ("甲社", "乙社")
    )
    mine, theirs = (world.colleague(Role.ORGANISER, organisation=one.id) for one in (tenant, other))
    gathering = create_gathering(world.house, mine, gathering_in(organisation_id=tenant.id))
    with world.house.db.reading_session() as session:
        assert gathering_list.seen(session, gathering.id).held_by == "甲社"
        assert [seen.gathering.id for seen in gathering_list.of_staff(session, mine, clock.now())] == [
            gathering.id
        ]
        assert gathering_list.of_staff(session, theirs, clock.now()) == []
    with pytest.raises(NotAllowed):
        gathering_changes.cancel(world.house, theirs, gathering.id, "抢生意")
    with pytest.raises(NotAllowed):
        change(world.house, theirs, gathering.id, gathering_in(organisation_id=tenant.id, places=9))
    with pytest.raises(NotAllowed):  # nor can it be given to somebody else's
        change(world.house, mine, gathering.id, gathering_in(organisation_id=other.id))


def test_after_a_sign_up_only_place_time_and_more_places_change_and_all_are_told(world: World) -> None:
    gathering = made(world)
    change(world.house, world.organiser, gathering.id, gathering_in(title="新名字", places=1))
    first, second, third = world.residents(3)
    for who in (first, second, third):
        sign_up(world.house, who.id, gathering.id)
    same = {"title": "新名字", "places": 1}
    fixed = ({"title": "又改名"}, {"kind": "other"}, {"words": "另一件事"}, {"division_code": STREET})
    for more in fixed:
        with pytest.raises(InvalidField):
            change(world.house, world.organiser, gathering.id, gathering_in(**same | more))
    change(world.house, world.organiser, gathering.id, gathering_in(**same))  # nothing new: nobody is told
    assert told(world, first) == []
    change(world.house, world.organiser, gathering.id, gathering_in(**same | {"place": "三楼", "places": 2}))
    with pytest.raises(InvalidField):
        change(world.house, world.organiser, gathering.id, gathering_in(**same | {"place": "三楼"}))
    assert [placed for _who, placed in line(world, gathering)] == [True, True, False]
    assert told(world, first) == ["gathering.changed"]
    assert sorted(told(world, second)) == ["gathering.changed", "gathering.place"]
    assert told(world, third) == ["gathering.changed"]
    later = gathering_in().starts_at + timedelta(hours=1)
    change(
        world.house, world.organiser, gathering.id, gathering_in(**same | {"places": 2, "starts_at": later})
    )
    assert told(world, first) == ["gathering.changed"] * 2
    for statement in ("title = '别的'", "places = 1"):
        with pytest.raises(sa.exc.DBAPIError):
            run(world, sa.text(f"UPDATE gathering SET {statement}"))
    without(world, *(guard for guard in gatherings.GUARDS if guard.name in {"promised", "places"}))
    run(world, sa.text("UPDATE gathering SET title = '别的', places = 1"))
    assert any("no more people" in line for line in world.breaches())


def test_all_are_told_of_the_cancelling_and_why(world: World) -> None:
    gathering = made(world, places=1)
    first, second = world.residents(2)
    for who in (first, second):
        sign_up(world.house, who.id, gathering.id)
    with pytest.raises(InvalidField):
        gathering_changes.cancel(world.house, world.organiser, gathering.id, " ")
    for _ in range(2):
        gathering_changes.cancel(world.house, world.organiser, gathering.id, "台风预警")
    assert told(world, first) == told(world, second) == ["gathering.cancelled"]
    with pytest.raises(GatheringCancelled):
        change(world.house, world.organiser, gathering.id, gathering_in())
    with pytest.raises(sa.exc.DBAPIError):
        run(world, sa.text("UPDATE gathering SET cancelled_at = NULL, cancel_reason = NULL"))
    give_up(world.house, first.id, gathering.id)
    assert line(world, gathering) == [(second.id, False)]  # nobody moves up to what does not take place
    me = browser(world, second)
    assert "取消了" in me.get("/me/inbox")
    assert "台风预警" in me.get(f"/gatherings/{gathering.id}")
    begun = made(world)
    with clock.pretending(begun.starts_at):
        for deed in (
            lambda: gathering_changes.cancel(world.house, world.organiser, begun.id, "太晚了"),
            lambda: change(world.house, world.organiser, begun.id, gathering_in(places=9)),
        ):
            with pytest.raises(GatheringBegun):
                deed()


# --- reminders ---------------------------------------------------------------------------------------------


def remind(world: World, at: datetime) -> bool:
    (job,) = gathering_news.JOBS
    with clock.pretending(at):
        return run_due(world.house, job, clock.now())


def test_the_day_before_everybody_with_a_place_is_reminded_once(world: World) -> None:
    gathering = made(world)
    first, second, waiting = world.residents(3)
    for who in (first, second, waiting):
        sign_up(world.house, who.id, gathering.id)
    begins = gathering_news.remind_from(gathering.starts_at)
    assert clock.local(begins) == datetime.combine(gathering.day - timedelta(days=1), hour(9), clock.SHANGHAI)
    remind(world, begins - timedelta(minutes=1))
    assert told(world, first) == []
    assert remind(world, begins)
    assert not remind(world, begins)  # the slot is claimed
    remind(world, begins + timedelta(minutes=1))
    assert told(world, first) == told(world, second) == ["gathering.reminder"]
    with clock.pretending(begins + timedelta(hours=1)):
        give_up(world.house, first.id, gathering.id)
    remind(world, begins + timedelta(hours=2))
    assert told(world, waiting) == ["gathering.place"]  # which says when it is


def test_a_late_reminder_is_caught_up_but_never_after_it_began(world: World) -> None:
    late, begun, moved = (made(world, title=title) for title in ("晚到", "开始了", "改期"))
    residents = world.residents(3)
    for gathering, who in zip((late, begun, moved), residents, strict=True):
        sign_up(world.house, who.id, gathering.id)
    with clock.pretending(gathering_news.remind_from(moved.starts_at) + timedelta(minutes=5)):
        change(
            world.house,
            world.organiser,
            moved.id,
            gathering_in(title="改期", starts_at=moved.starts_at + timedelta(days=7)),
        )
    with world.house.db.transaction() as connection:
        gathering_news._tell(connection, late.starts_at - timedelta(minutes=1), late.id)
        gathering_news._tell(connection, begun.starts_at, begun.id)
    assert [told(world, who) for who in residents] == [
        ["gathering.reminder"], [], ["gathering.changed"]
    ]  # fmt: skip
    remind(world, gathering_news.remind_from(moved.starts_at + timedelta(days=7)))
    assert told(world, residents[2]) == ["gathering.changed", "gathering.reminder"]


# --- check-in ----------------------------------------------------------------------------------------------


def member_code(world: World, who: Resident) -> str:
    return members.token_of(world.house.settings, members.own_card(world.house, who.id).number)


def test_a_helper_checks_in_by_the_members_code_once(world: World) -> None:
    gathering, who = made(world), world.resident()
    sign_up(world.house, who.id, gathering.id)
    helper, member = world.colleague(Role.HELPER, division=STREET), member_code(world, who)
    with during(gathering):
        done = at_once([lambda: check_in_member(world.house, helper, gathering.id, member)] * 12)
        assert {arrival.check_in.number for arrival in done} == {done[0].check_in.number}
        assert sorted(arrival.again for arrival in done) == [False] + [True] * 11
        assert {arrival.ending for arrival in done} == {member[-4:]}
        printed = f"http://x/s/{member}?from=card"
        assert check_in_member(world.house, helper, gathering.id, printed).ending == member[-4:]
        for stranger in (
            world.colleague(Role.HELPER, division=OTHER_COMMUNITY),
            world.colleague(Role.AUDITOR),
        ):
            with pytest.raises(NotAllowed):
                check_in_member(world.house, stranger, gathering.id, member)
        with pytest.raises(NotAMemberCode):
            check_in_member(world.house, helper, gathering.id, world.code("clean_plate"))
        with pytest.raises(CodeInvalid):
            check_in_member(world.house, helper, gathering.id, "A" * 24)
        card = members.print_cards(world.house, world.organiser, COMMUNITY, 1)[0]
        with pytest.raises(CardUnused):
            check_in_member(
                world.house, helper, gathering.id, members.token_of(world.house.settings, card.number)
            )
        members.replace_own(world.house, who.id, members.own_card(world.house, who.id).number)
        with pytest.raises(CardRevoked):
            check_in_member(world.house, helper, gathering.id, member)
    assert counted(world, gathering) == Counts(placed=1, waiting=0, came=1, walk_ins=0)
    assert world.breaches() == []


def test_check_in_is_open_from_an_hour_before_to_the_end(world: World) -> None:
    gathering = made(world)
    early, late, after = world.residents(3)
    for who in (early, late):
        sign_up(world.house, who.id, gathering.id)
    hour_before = gathering.starts_at - timedelta(hours=1)
    for moment in (hour_before - timedelta(seconds=1), gathering.ends_at):
        with clock.pretending(moment), pytest.raises(NotCheckInTime):
            check_in(world.house, early.id, gathering.id)
    with clock.pretending(hour_before):
        first = check_in(world.house, early.id, gathering.id)
        with pytest.raises(GatheringBegun):
            give_up(world.house, early.id, gathering.id)
        with pytest.raises(GatheringBegun):
            gathering_changes.cancel(world.house, world.organiser, gathering.id, "来不及了")
    with clock.pretending(gathering.ends_at - timedelta(seconds=1)):
        check_in(world.house, late.id, gathering.id)
        with pytest.raises(NoPlaceLeft):
            check_in(world.house, after.id, gathering.id)
    with clock.pretending(gathering.ends_at + timedelta(hours=1)):
        again = check_in(world.house, early.id, gathering.id)  # kindly, the same answer
    assert (again.again, again.check_in.number) == (True, first.check_in.number)
    with pytest.raises(NotFound):
        check_in(world.house, early.id, early.id)


def test_who_had_not_signed_up_may_come_while_places_are_left(world: World) -> None:
    gathering = made(world, places=3)
    signed_up, *crowd = world.residents(9)
    sign_up(world.house, signed_up.id, gathering.id)
    with during(gathering):
        tries = at_once([lambda who=who: check_in(world.house, who.id, gathering.id) for who in crowd])
        assert sorted(codes(tries)) == ["no_place_left"] * 6 + ["ok"] * 2
        check_in(world.house, signed_up.id, gathering.id)
    assert counted(world, gathering) == Counts(placed=3, waiting=0, came=3, walk_ins=0)
    full = made(world, places=1)
    first, waiting = world.residents(2)
    for who in (first, waiting):
        sign_up(world.house, who.id, full.id)
    with during(full), pytest.raises(StillWaiting):
        check_in(world.house, waiting.id, full.id)
    assert world.breaches() == []


def test_walk_ins_without_an_account_are_a_number_and_take_places(world: World) -> None:
    gathering, who = made(world, places=3), world.resident()
    with pytest.raises(NotCheckInTime):
        count_walk_ins(world.house, world.organiser, gathering.id, 3)
    with during(gathering):
        for _ in range(2):
            count_walk_ins(world.house, world.organiser, gathering.id, 3)
        with pytest.raises(NoPlaceLeft):
            check_in(world.house, who.id, gathering.id)
        count_walk_ins(world.house, world.organiser, gathering.id, 2)
        check_in(world.house, who.id, gathering.id)
        for helper in (
            world.colleague(Role.HELPER),
            world.colleague(Role.ORGANISER, division=OTHER_COMMUNITY),
        ):
            with pytest.raises(NotAllowed):
                count_walk_ins(world.house, helper, gathering.id, 1)
        for wrong in (-1, 5001):
            with pytest.raises(InvalidField):
                count_walk_ins(world.house, world.organiser, gathering.id, wrong)
    with clock.pretending(gathering.ends_at + timedelta(hours=1)):
        count_walk_ins(world.house, world.organiser, gathering.id, 5)  # when the chairs are put away
    assert counted(world, gathering) == Counts(placed=1, waiting=0, came=1, walk_ins=5)


def test_the_database_checks_nobody_in_without_a_place_and_forgets_only_who(world: World) -> None:
    gathering = made(world, places=1)
    first, waiting = world.residents(2)
    for who in (first, waiting):
        sign_up(world.house, who.id, gathering.id)
    with during(gathering):
        check_in(world.house, first.id, gathering.id)
    with world.house.db.reading_session() as session:
        mine = sign_ups.own_sign_up(session, gathering.id, waiting.id)
    assert mine is not None
    row = {"sign_up_id": mine.id, "resident_id": waiting.id, "number": "H1", "checked_in_at": clock.now()}
    for wrong in (
        sa.insert(CheckIn).values(**row),
        sa.update(CheckIn).values(number="H2"),
        sa.update(CheckIn).values(resident_id=waiting.id),
        sa.delete(CheckIn),
    ):
        with pytest.raises(sa.exc.DBAPIError):
            run(world, wrong)
    without(world, *(guard for guard in check_ins.GUARDS if guard.name == "placed"))
    run(world, sa.insert(CheckIn).values(**row))
    assert any("had a place" in line for line in world.breaches())


def test_the_code_on_the_screen_checks_in_by_one_tap(world: World) -> None:
    gathering, who = made(world), world.resident()
    helper = browser(world, world.colleague(Role.HELPER, division=COMMUNITY))
    sign_up(world.house, who.id, gathering.id)
    helper.get(f"/console/gatherings/{gathering.id}/screen")
    assert helper.status == 409  # not yet
    with during(gathering):
        helper = browser(world, world.colleague(Role.HELPER, division=COMMUNITY))
        assert "扫码签到" in helper.get(f"/console/gatherings/{gathering.id}/screen")
        shown = helper.client.get(f"/console/gatherings/{gathering.id}/screen/now").get_json()
        phone = browser(world, who)
        page = phone.get(f"/s/?code={shown['typed']}")
        assert "旧衣修补日" in page
        assert counted(world, gathering).came == 0  # nothing is noted on the way
        phone.send("/gatherings/here/")
        assert "签到成功" in phone.page.text
        token = shown["typed"].replace("-", "")
        assert "您已经签过到了" in phone.get(f"/s/{token}")
        shared = browser(world, world.resident())
        with clock.pretending(clock.now() + timedelta(minutes=2)):
            shared.get(f"/s/{token}")
            assert shared.status == 410  # a picture handed on
            late = browser(world)
            late.get(f"/s/{token}")
            assert late.status == 410
        answer = world.post_scan(world.token(who), {"code": token})
        assert answer.get_json()["code"] == "gathering_code_here"
    assert counted(world, gathering).came == 1
    settings, now = world.house.settings, clock.now()
    with world.house.db.reading_session() as session:
        read = check_ins.gathering_of_token
        assert read(session, settings, check_in_token(settings, gathering, now), now).id == gathering.id
        with pytest.raises(RotatingCodeExpired):
            read(session, settings, check_in_token(settings, gathering, now - timedelta(minutes=2)), now)
        with pytest.raises(CodeInvalid):
            read(session, settings, world.code("clean_plate"), now)


def test_who_opened_the_code_in_time_may_log_in_first(world: World) -> None:
    gathering, who = made(world), world.resident()
    with during(gathering):
        phone = browser(world)
        page = phone.get(f"/s/{check_in_token(world.house.settings, gathering, clock.now())}")
        assert "登录后签到" in page
        here = phone.path
        for name, cookie in [(c.key, c) for c in browser(world, who).client._cookies.values()]:
            phone.client.set_cookie(name, cookie.value)
        with clock.pretending(clock.now() + timedelta(minutes=10)):
            phone.get(here)
            phone.send("/gatherings/here/")
    assert counted(world, gathering).came == 1


# --- certificates ------------------------------------------------------------------------------------------


def attended(world: World, who: UUID, people_in_it: int = 1, **more: Any) -> tuple[Gathering, str]:
    gathering = made(world, places=40, **more)
    sign_up(world.house, who, gathering.id, people_in_it)
    with during(gathering):
        return gathering, check_in(world.house, who, gathering.id).check_in.number


def test_the_certificate_says_what_when_and_by_whom_and_no_person(world: World) -> None:
    who = world.resident()
    gathering, number = attended(world, who.id)
    assert re.fullmatch(r"G20\d\d(-[0-9A-HJKMNP-TV-Z]{4}){3}", number)
    me = browser(world, who)
    assert number in me.get(f"/gatherings/{gathering.id}")
    answer = me.client.get(f"/me/gatherings/{gathering.id}/certificate.pdf", headers=me._headers())
    document = pypdfium2.PdfDocument(answer.get_data())
    assert len(document) == 1
    text = re.sub(r"\s", "", document[0].get_textpage().get_text_bounded())
    with world.house.db.reading_session() as session:
        held_by = gathering_list.seen(session, gathering.id).held_by
    assert all(part in text for part in ("旧衣修补日", number, f"{gathering.day.year}年", held_by))
    assert str(who.id) not in text
    assert "时长" in text  # only to say that none is measured
    assert not re.search(r"\d+(小时|分钟|学时)", text)
    stranger = browser(world, world.resident())
    stranger.get(f"/me/gatherings/{gathering.id}/certificate.pdf")
    assert stranger.status == 404
    anyone = browser(world)
    typed = number.lower().replace("-", " ").replace("0", "o")
    page = anyone.get(f"/gatherings/certificate?number={typed}")
    assert "这张参加证书有效" in page
    assert "旧衣修补日" in page
    for private in (str(who.id), str(gathering.id), "签到从"):
        assert private not in page
    anyone.get(f"/gatherings/certificate?number={number[:-1]}")
    assert anyone.status == 404


def test_its_holder_deletes_a_certificate_and_the_number_stays_counted(world: World) -> None:
    who = world.resident()
    gathering, number = attended(world, who.id)
    me = browser(world, who)
    me.get(f"/gatherings/{gathering.id}")
    me.send("certificate/delete")
    assert "编号作废" in me.page.text
    with world.house.db.reading_session() as session:
        assert check_ins.verify(session, number) is None
    assert counted(world, gathering).came == 1


def test_a_class_gets_one_certificate_for_all(world: World) -> None:
    class_id = a_class(world)
    gathering, _number = attended(world, class_id, 28)
    assert counted(world, gathering).came == 28
    with world.house.db.reading_session() as session:
        found = check_ins.own_check_in(session, class_id, gathering.id)
    assert found is not None
    assert found[1] == 28


# --- what is kept ------------------------------------------------------------------------------------------


def test_ninety_days_later_it_is_forgotten_who_signed_up_and_the_numbers_stay(world: World) -> None:
    came, stayed_away = world.residents(2)
    gathering, number = attended(world, came.id)
    sign_up(world.house, stayed_away.id, gathering.id)
    before = counted(world, gathering)
    with world.house.db.transaction() as connection:
        privacy.keep_to_periods(world.house, connection, gathering.ends_at + timedelta(days=89))
    assert line(world, gathering)[0] == (came.id, True)
    with world.house.db.transaction() as connection:
        privacy.keep_to_periods(world.house, connection, gathering.ends_at + timedelta(days=91))
    assert line(world, gathering) == [(None, True)] * 2
    assert counted(world, gathering) == before
    with world.house.db.reading_session() as session:
        assert check_ins.verify(session, number) is not None  # as long as its holder keeps it
        assert len(check_ins.own_gatherings(session, came.id)) == 1
        assert check_ins.own_gatherings(session, stayed_away.id) == []
    assert world.breaches() == []


def test_who_leaves_frees_the_place_and_is_forgotten_where_they_were(world: World) -> None:
    who, next_one = world.residents(2)
    past, number = attended(world, who.id)
    coming, also = made(world, places=1), made(world, places=1)
    for gathering in (coming, also):
        for one in (who, next_one):
            sign_up(world.house, one.id, gathering.id)
    people.leave(world.house, who.id)
    assert line(world, coming) == line(world, also) == [(next_one.id, True)]
    assert (line(world, past), counted(world, past).came) == ([(None, True)], 1)
    with world.house.db.reading_session() as session:
        assert check_ins.verify(session, number) is None
    (job,) = gathering_news.JOBS
    assert run_due(world.house, job, clock.now())
    assert told(world, next_one) == ["gathering.place"] * 2
    assert world.breaches() == []


# --- pages and API -----------------------------------------------------------------------------------------


def test_a_resident_signs_up_and_gives_up_with_one_tap_each(world: World) -> None:
    far = made(
        world,
        title="别处的培训",
        kind="training",
        division_code=OTHER_COMMUNITY,
        starts_at=gathering_in().starts_at - timedelta(hours=3),
    )
    near, who = made(world), world.resident()
    me, anyone = browser(world, who), browser(world)
    page, public = me.get("/gatherings"), anyone.get("/gatherings")
    assert page.index(near.title) < page.index(far.title)
    assert public.index(far.title) < public.index(near.title)
    for first_page in ("/", "/campaigns"):
        assert "/gatherings" in me.get(first_page)
    assert "登录后报名" in anyone.get(f"/gatherings/{near.id}")
    assert "还剩 2 个" in me.get(f"/gatherings/{near.id}")
    me.send("/sign-up")
    assert "已报名" in me.page.text
    assert "还剩 1 个" in anyone.get(f"/gatherings/{near.id}")
    assert near.title in me.get("/me/gatherings")
    me.get(f"/gatherings/{near.id}")
    me.send("/give-up")
    assert "已经取消报名" in me.page.text
    assert line(world, near) == []
    me.get(f"/gatherings/{near.id}")
    with clock.pretending(near.starts_at):
        me.send("/sign-up")
        assert me.status == 409
        assert "报名已经截止" in me.page.text
    assert line(world, near) == []


def test_of_few_who_came_nothing_is_told_to_everybody(world: World) -> None:
    gathering = made(world, places=10)
    with during(gathering):
        for who in world.residents(4):
            check_in(world.house, who.id, gathering.id)
    with clock.pretending(gathering.ends_at):
        assert "人到场" not in browser(world).get(f"/gatherings/{gathering.id}")
        assert '<span class="value">4' in browser(world, world.organiser).get(
            f"/console/gatherings/{gathering.id}"
        )
        count_walk_ins(world.house, world.organiser, gathering.id, 1)
        assert "5 人到场" in browser(world).get(f"/gatherings/{gathering.id}")


def test_the_console_makes_changes_cancels_and_checks_in(world: World) -> None:
    desk = browser(world, world.organiser)
    desk.get("/console/gatherings/new")
    start = clock.local(gathering_in().starts_at)
    form = {
        "title": "旧衣修补日", "kind": "repair_day", "scope": f"d:{COMMUNITY}", "words": "自带旧衣", "place": "二楼",
        "starts_at": f"{start:%Y-%m-%dT%H:%M}", "ends_at": f"{start + timedelta(hours=2):%Y-%m-%dT%H:%M}",
        "sign_up_until": f"{start:%Y-%m-%dT%H:%M}", "places": "2",
    }  # fmt: skip
    for field, wrong in (("scope", "d:"), ("places", "0"), ("starts_at", "x"), ("title", "x")):
        desk.send(None, **form | {field: wrong})
        assert desk.status == 422, field
        assert "自带旧衣" in desk.page.text  # what was typed is kept
    desk.send(None, **form)
    gathering_id = UUID(desk.path.rsplit("/", 1)[1])
    assert "旧衣修补日" in desk.get("/console/gatherings")
    who = world.resident()
    sign_up(world.house, who.id, gathering_id)
    desk.get(f"/console/gatherings/{gathering_id}/edit")
    desk.send("/edit", **form | {"title": "换个名字", "places": "1"})
    assert "名额只能增加" in desk.page.text
    desk.send("/edit", **form | {"title": "换个名字", "places": "3"})
    assert "旧衣修补日" in desk.page.text  # what is fixed is no part of the form
    helper = browser(world, world.colleague(Role.HELPER))
    helper.get(f"/console/gatherings/{gathering_id}")
    assert helper.status == 403
    with clock.pretending(gathering_in().starts_at):
        helper, desk = browser(world, world.colleague(Role.HELPER)), browser(world, world.organiser)
        page = helper.get(f"/console/gatherings/{gathering_id}/check-in")
        assert "已签到 0 人，已报名 1 人" in page
        helper.send("/check-in", member=member_code(world, who))
        assert f"…{member_code(world, who)[-4:]}" in helper.page.text
        assert str(who.id) not in helper.page.text
        helper.send("/check-in", member=member_code(world, who))
        assert "不用再签" in helper.page.text
        helper.send("/check-in", member="x")
        assert "没有签到" in helper.page.text
        desk.get(f"/console/gatherings/{gathering_id}")
        desk.send("/walk-ins", people="4")
        assert '<span class="value">4' in desk.page.text
        desk.send("/walk-ins", people="x")
        assert desk.status == 422


def test_the_api_signs_up_and_gives_up_once(world: World) -> None:
    gathering = made(world, places=1)
    first, second = world.residents(2)
    tokens = [world.token(who) for who in (first, second)]
    path = f"/gatherings/{gathering.id}/sign-up"
    (listed,) = world.call("GET", "/gatherings").get_json()["gatherings"]
    assert (listed["id"], listed["places_left"], listed["sign_up_open"]) == (str(gathering.id), 1, True)
    for _ in range(2):
        answers = [world.call("POST", path, token, json={}).get_json() for token in tokens]
        assert [(one["state"], one["ahead"]) for one in answers] == [("placed", 0), ("waiting", 0)]
    assert world.call("GET", "/gatherings").get_json()["gatherings"][0]["places_left"] == 0
    for _ in range(2):
        assert world.call("DELETE", path, tokens[0]).status_code == 204
    assert line(world, gathering) == [(second.id, True)]
    assert world.call("POST", path, tokens[0], json={"people": 2}).status_code == 422
    assert world.call("POST", path, json={}).status_code == 401
    assert world.call("POST", path, world.token(world.officer, Role.OFFICER), json={}).status_code == 403
    assert world.call("POST", f"/gatherings/{first.id}/sign-up", tokens[0], json={}).status_code == 404
    assert world.call("GET", "/gatherings?kind=training").get_json()["gatherings"] == []
    assert world.call("GET", f"/gatherings?near={COMMUNITY}&kind=repair_day").status_code == 200
