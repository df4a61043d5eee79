"""Signals are raised at their threshold and once; records on a code are voided together, each whole or not at all."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
import time_machine
from sqlmodel import SQLModel, col, select

from activities import codes as code_service, devices, sightings, signals, sites, voiding
from activities.actions import Action, ActionVoid
from activities.codes import CodeKind
from activities.device_cookie import COOKIE
from activities.devices import DeviceUse
from activities.review import void_action
from activities.signals import Sighting, Signal, SignalKind, SignalState, raise_signals
from rewards import ledger
from rewards.ledger import Posting, account_of
from tanpuhui import clock, ids
from tanpuhui.audit import AuditEntry
from tanpuhui.errors import CodeRevoked, InvalidField, NotAllowed, NotFound, SiteNotOpen, SlipUsed
from tanpuhui.inbox import Message
from tanpuhui.jobs import run_due
from tanpuhui.people import Resident
from tanpuhui.rooms import build_house
from tanpuhui.sessions import Principal, new_session
from tanpuhui.staff import Role, create_organisation
from tanpuhui.web.auth import COOKIES
from tests.browser import browser
from tests.threads import at_once
from tests.world import OTHER_COMMUNITY, World

NOON = datetime(2026, 11, 20, 4, tzinfo=UTC)  # a Friday


def number_of(world: World, token: str) -> int:
    return code_service.read_token(world.house.settings, token).number


def look(world: World, moment: datetime | None = None) -> list[Signal]:
    """One tick of the job; all signals there are."""
    with world.house.db.transaction() as connection:
        sightings.look(world.house, connection, moment or clock.now())
    return standing(world)


def standing(world: World) -> list[Signal]:
    with world.house.db.reading_session() as session:
        return list(session.exec(select(Signal).order_by(col(Signal.kind), col(Signal.id))).all())


def crowd(world: World, code: str, count: int, *, community: str | None = None) -> list[UUID]:
    """So many accounts scan a code; their actions."""
    people = [world.resident(community) if community else world.resident() for _ in range(count)]
    return [UUID(world.scan(one, code)["action"]["id"]) for one in people]


def kinds(found: list[Signal]) -> list[tuple[str, int]]:
    return [(one.kind.value, one.count) for one in found]


# --- raising -----------------------------------------------------------------------------------------------


def test_a_crowd_is_told_at_its_threshold_and_once(world: World) -> None:
    with time_machine.travel(NOON, tick=False) as time:
        code = world.code("clean_plate")
        crowd(world, code, 29)
        assert look(world) == []
        time.shift(timedelta(minutes=9))
        crowd(world, code, 1)
        assert kinds(look(world)) == [("burst", 30)]
        assert kinds(look(world)) == [("burst", 30)]
        crowd(world, code, 2)
        assert kinds(look(world)) == [("burst", 32)]
        assert world.figure_differences() == []  # a rebuild replays events and raises nothing
        assert kinds(look(world)) == [("burst", 32)]
        [signal] = standing(world)
        assert (signal.first_at, signal.last_at - signal.first_at) == (NOON, timedelta(minutes=9))
        assert signal.detail == {"accounts": 32, "usual": 0, "minutes": 10}


def test_a_crowd_spread_over_time_or_usual_for_its_code_is_none(world: World) -> None:
    with time_machine.travel(NOON - timedelta(days=2), tick=False) as time:
        code, slow = world.code("clean_plate"), world.code("clean_plate")
        crowd(world, code, 11)
        time.move_to(NOON)
        crowd(world, slow, 15)
        time.shift(timedelta(minutes=11))
        crowd(world, slow, 15)
        crowd(world, code, 32)
        assert look(world) == []  # 32 is less than three times 11
        crowd(world, code, 1)
        assert kinds(look(world)) == [("burst", 33)]


@time_machine.travel(NOON, tick=False)
def test_accounts_from_many_streets_are_told(world: World) -> None:
    with world.house.db.reading() as connection:
        rows = connection.execute(
            sa.text("SELECT min(code) FROM division WHERE level = 'community' GROUP BY substr(code, 1, 9)")
        )
        places = [row[0] for row in rows][:6]
    code = world.code("clean_plate")
    for place in places[:5]:
        crowd(world, code, 1, community=place)
    assert look(world) == []
    crowd(world, code, 1, community=places[5])
    assert kinds(look(world)) == [("posted", 6)]


def refused(world: World, code: str, count: int, error: type[Exception]) -> None:
    for _ in range(count):
        with pytest.raises(error):
            world.scan(world.resident(), code)


def test_attempts_outside_the_hours_pile_up(world: World) -> None:
    with time_machine.travel(NOON + timedelta(hours=9), tick=False):
        site = world.site("clean_plate")
        code = world.code_at(site)
        sites.set_limits(
            world.house,
            world.organiser,
            site.id,
            schedule="Mo-Fr 07:00-19:00",
            records_per_day={},
            reason="午晚餐",
        )
        refused(world, code, 4, SiteNotOpen)
        assert look(world) == []
        refused(world, code, 1, SiteNotOpen)
        assert kinds(look(world)) == [("hours", 5)]
        assert kinds(look(world)) == [("hours", 5)]


@time_machine.travel(NOON, tick=False)
def test_a_used_slip_that_many_try_is_told(world: World) -> None:
    site = world.site("clean_plate")
    slips = code_service.issue_code(world.house, world.organiser, site.id, kind=CodeKind.SLIPS, copies=1)
    token = code_service.slip_token(world.house.settings, slips.id, 1)
    world.scan(world.resident(), token)
    refused(world, token, 4, SlipUsed)
    assert look(world) == []
    refused(world, token, 1, SlipUsed)
    assert kinds(look(world)) == [("posted", 5)]


@pytest.mark.parametrize(("hour", "told"), [(2, [("hours", 5)]), (5, [])])
def test_records_at_night_where_no_hours_are_stated(world: World, hour: int, told: list[Any]) -> None:
    with time_machine.travel(datetime(2026, 11, 20, hour, tzinfo=clock.SHANGHAI), tick=False):
        code = world.code("clean_plate")
        crowd(world, code, 4)
        assert look(world) == []
        crowd(world, code, 1)
        assert kinds(look(world)) == told


@time_machine.travel(NOON, tick=False)
def test_one_phone_with_many_accounts_is_told_and_a_family_is_not(world: World) -> None:
    code = world.code("clean_plate")
    phone, other = browser(world), browser(world)
    for count in range(1, 9):
        resident, used = world.resident(), other if count > 6 else phone
        session = new_session(world.house, kind="resident", subject_id=resident.id)
        used.client.set_cookie(COOKIES["resident"], session)
        used.get(f"/s/{code}")
        used.send("/s/")
        assert kinds(look(world)) == ([("device", 6)] if count > 5 else [])
    cookie = phone.client.get_cookie(COOKIE, path="/s/")
    assert cookie
    assert (cookie.http_only, cookie.same_site, cookie.max_age) == (True, "Lax", 365 * 86400)
    with world.house.db.reading_session() as session:
        rows = session.exec(select(DeviceUse)).all()
        assert session.exec(select(sa.func.count()).select_from(Action)).one() == 8
    assert len({row.mark for row in rows}) == 2
    assert all(cookie.value not in row.mark for row in rows)
    tomorrow = devices.mark_of(world.house.settings, cookie.value, clock.today() + timedelta(days=1))
    assert tomorrow not in {row.mark for row in rows}


def test_what_is_raised_again_raises_its_count_and_never_doubles(world: World) -> None:
    site, now = world.site("clean_plate"), NOON
    seen = [Sighting(site.id, 3, now, now, code_id=7), Sighting(site.id, 2, now, now)]
    for adding, after in ((False, [3, 2]), (False, [3, 2]), (True, [6, 4])):
        with world.house.db.transaction() as connection:
            raise_signals(connection, SignalKind.FAR, seen, adding=adding)
        assert sorted((one.count for one in standing(world)), reverse=True) == after
    results = at_once([lambda: _raise(world, seen) for _ in range(6)])
    assert results == [None] * 6
    assert sorted(one.count for one in standing(world)) == [4 + 12, 6 + 18]
    twin = standing(world)[0].model_dump() | {"id": ids.new_id()}
    with pytest.raises(sa.exc.IntegrityError), world.house.db.session() as session:
        session.add(Signal(**twin))


def _raise(world: World, seen: list[Sighting]) -> None:
    with world.house.db.transaction() as connection:
        raise_signals(connection, SignalKind.FAR, seen, adding=True)


# --- deciding ----------------------------------------------------------------------------------------------


def told(world: World, code: str) -> Signal:
    signals.tell_posted(world.house, world.organiser, number_of(world, code))
    return next(one for one in standing(world) if one.code_id == number_of(world, code))


def test_a_dismissed_signal_keeps_its_reason_and_is_open_again_when_told_again(world: World) -> None:
    code = world.code("clean_plate")
    signal = told(world, code)
    assert told(world, code).id == signal.id
    with pytest.raises(InvalidField):
        signals.dismiss(world.house, world.organiser, signal.id, " ")
    signals.dismiss(world.house, world.organiser, signal.id, "当天有活动")
    signals.dismiss(world.house, world.officer, signal.id, "再来一次")
    [now] = standing(world)
    assert (now.state, now.reason, now.decided_by) == (
        SignalState.DISMISSED,
        "当天有活动",
        world.organiser.id,
    )
    assert told(world, code).state is SignalState.OPEN
    assert world.scan(world.resident(), code)  # a signal refuses nothing


def test_only_staff_of_the_place_see_and_decide(world: World) -> None:
    code = world.code("clean_plate")
    crowd(world, code, 1)
    signal, number = told(world, code), number_of(world, code)
    other = create_organisation(
        world.house, world.colleague(Role.ADMIN), name="别的单位", division_code=OTHER_COMMUNITY[:9]
    )
    strangers = [
        world.colleague(Role.ORGANISER, organisation=other.id),
        world.colleague(Role.OFFICER, division=OTHER_COMMUNITY[:9]),
        world.colleague(Role.HELPER, Role.MERCHANT, Role.AUDITOR),
    ]
    order_id = voiding.order(
        world.house, world.organiser, number, since=clock.now() - timedelta(days=1), reason="被发到网上"
    )
    for stranger in strangers:
        with world.house.db.reading_session() as session:
            assert signals.list_signals(session, stranger) == []
            assert signals.list_signals(session, stranger, decided=True) == []
            with pytest.raises(NotAllowed):
                voiding.get_order(session, stranger, order_id)
        for deed in (
            lambda who: signals.dismiss(world.house, who, signal.id, "没有问题"),
            lambda who: signals.tell_posted(world.house, who, number),
            lambda who: code_service.renew_code(world.house, who, number),
            lambda who: voiding.go_on(world.house, who, order_id),
            lambda who: voiding.order(world.house, who, number, since=NOON, reason="被发到网上"),
        ):
            with pytest.raises(NotAllowed):
                deed(stranger)
        page = browser(world, stranger)
        assert page.client.get(f"/console/codes/{number}/flagged").status_code in {403, 404}
    with pytest.raises(NotFound):
        signals.dismiss(world.house, world.organiser, ids.new_id(), "没有问题")
    with world.house.db.reading_session() as session:
        [(seen, _site)] = signals.list_signals(session, world.officer, decided=True)
    assert seen.state is SignalState.ACTED


# --- voiding together --------------------------------------------------------------------------------------


def outcome(world: World, order_id: UUID) -> tuple[int, int, int, int, int]:
    with world.house.db.reading_session() as session:
        found = voiding.outcome(session, voiding.get_order(session, world.organiser, order_id))
    return found.voided, found.before, len(found.spent), len(found.declared), found.left


def spend(world: World, action_id: UUID) -> None:
    with world.house.db.transaction() as connection:
        owner = connection.scalar(sa.select(col(Action.resident_id)).where(col(Action.id) == action_id))
        assert owner
        ledger.take(
            connection, Posting(f"gift:{action_id}", account_of(owner), "programme:shop", 1, clock.now())
        )


def test_all_some_spent_and_already_voided(world: World) -> None:
    code = world.code("clean_plate")
    number, since = number_of(world, code), clock.now() - timedelta(minutes=1)
    made, elsewhere = crowd(world, code, 8), crowd(world, world.code("clean_plate"), 1)
    spend(world, made[0])
    void_action(world.house, world.officer, made[1], "重复扫码")
    some = voiding.order(
        world.house,
        world.organiser,
        number,
        since=since,
        reason="不是本人",
        only=[made[2], made[1], elsewhere[0]],
    )
    assert outcome(world, some) == (1, 0, 0, 0, 0)
    everything = voiding.order(world.house, world.organiser, number, since=since, reason="被发到网上")
    assert outcome(world, everything) == (5, 0, 1, 0, 0)
    with pytest.raises(InvalidField):
        voiding.order(world.house, world.organiser, number, since=since, reason="被发到网上", only=elsewhere)
    with world.house.db.reading_session() as session:
        voids = session.exec(select(ActionVoid)).all()
        deeds = [entry.deed for entry in session.exec(select(AuditEntry)).all()]
        assert session.get(ActionVoid, made[0]) is None
        assert session.get(ActionVoid, elsewhere[0]) is None
    assert len(voids) == deeds.count("action.voided") == 7
    assert deeds.count("code.records_voided") == deeds.count("code.records_voided.done") == 2
    world.house.relay.drain()
    with world.house.db.reading_session() as session:
        assert len(session.exec(select(Message).where(Message.kind == "action.voided")).all()) == 7
    (gift,) = world.breaches()  # what was spent above, by no event
    assert gift.startswith("every transfer is for something known: transfer gift:")
    assert world.figure_differences() == []


def test_sent_twice_and_by_two_at_once_it_voids_nothing_twice(world: World) -> None:
    code = world.code("clean_plate")
    number, since = number_of(world, code), clock.now() - timedelta(minutes=1)
    crowd(world, code, 12)
    form, second = ids.new_id(), build_house(world.house.settings)
    organiser, officer = world.organiser, world.officer

    def send(house: Any, who: Principal, chosen: UUID) -> UUID:
        return voiding.order(house, who, number, since=since, reason="被发到网上", chosen=chosen)

    theirs = ids.new_id()
    results = at_once(
        [
            lambda: send(world.house, organiser, form),
            lambda: send(second, organiser, form),
            lambda: send(world.house, officer, theirs),
            lambda: send(second, officer, theirs),
        ]
    )
    second.db.dispose()
    assert all(isinstance(one, UUID | InvalidField) for one in results), results
    with world.house.db.reading_session() as session:
        assert len(session.exec(select(ActionVoid)).all()) == 12
        reversals = session.connection().scalar(sa.text("SELECT count(*) FROM transfer"))
    assert reversals == 24
    assert world.breaches() == []
    assert world.figure_differences() == []


def test_without_the_one_row_a_record_two_at_once_would_void_twice(world: World) -> None:
    """The negative control: what keeps the truth above is the primary key of `action_void`, not luck."""
    code = world.code("clean_plate")
    [action_id] = crowd(world, code, 1)
    void_action(world.house, world.officer, action_id, "重复扫码")
    with pytest.raises(sa.exc.IntegrityError), world.house.db.session() as session:
        session.add(
            ActionVoid(
                action_id=action_id, voided_at=clock.now(), voided_by=world.officer.id, reason="再撤一次"
            )
        )


def test_an_order_stops_in_time_and_goes_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    code = world.code("clean_plate")
    number, since = number_of(world, code), clock.now() - timedelta(minutes=1)
    crowd(world, code, 5)
    monkeypatch.setattr(voiding, "LONGEST", 0.0)
    order_id = voiding.order(world.house, world.organiser, number, since=since, reason="被发到网上")
    assert outcome(world, order_id) == (0, 0, 0, 0, 5)
    monkeypatch.setattr(voiding, "LONGEST", 60.0)
    voiding.go_on(world.house, world.officer, order_id)
    voiding.go_on(world.house, world.organiser, order_id)
    assert outcome(world, order_id) == (5, 0, 0, 0, 0)
    assert world.breaches() == []


def test_revoked_and_a_new_poster(world: World) -> None:
    code = world.code("clean_plate")
    number = number_of(world, code)
    told(world, code)
    page = browser(world, world.organiser)
    page.get("/console/signals")
    page.get(f"/console/codes/{number}/flagged")
    page.send(f"/console/codes/{number}/withdraw", reason="被发到网上")
    with pytest.raises(CodeRevoked):
        world.scan(world.resident(), code)
    assert [one.state for one in standing(world)] == [SignalState.ACTED]
    fresh = {
        result.id
        for result in at_once(
            [lambda: code_service.renew_code(world.house, world.organiser, number) for _ in range(4)]
        )
    }
    assert len(fresh) == 1
    assert world.scan(world.resident(), code_service.token_of(world.house.settings, fresh.pop()))


# --- what is held ------------------------------------------------------------------------------------------


def test_what_is_kept_of_a_browser_goes_after_thirty_days(world: World) -> None:
    with time_machine.travel(NOON, tick=False) as time:
        resident = world.resident()
        devices.note(world.house, devices.new_number(), resident.id, 1)
        jobs = [job for room in world.house.rooms for job in room.jobs if job.name == "housekeeping"]
        for days, left in ((29, 1), (2, 0)):
            time.shift(timedelta(days=days))
            for job in jobs:
                run_due(world.house, job, clock.now())
            with world.house.db.reading_session() as session:
                assert len(session.exec(select(DeviceUse)).all()) == left


# --- a photographed code -----------------------------------------------------------------------------------


def many(world: World, count: int) -> list[Resident]:
    """Accounts, made cheaply: rows as `people.join` writes them."""
    like = world.resident()
    with world.house.db.transaction() as connection:
        table = SQLModel.metadata.tables["resident"]
        row = dict(connection.execute(sa.select(table).where(table.c.id == like.id)).mappings().one())
        rows = [row | {"id": ids.new_id(), "phone_index": f"replay:{number}"} for number in range(count)]
        connection.execute(sa.insert(table), rows)
        consent = SQLModel.metadata.tables["consent"]
        given = connection.execute(sa.select(consent).where(consent.c.resident_id == like.id)).mappings()
        said = [dict(one) for one in given]
        connection.execute(
            sa.insert(consent),
            [
                one | {"resident_id": row["id"]} | ({"id": ids.new_id()} if "id" in one else {})
                for row in rows
                for one in said
            ],
        )
    return [Resident(id=one["id"]) for one in rows]


def test_a_photographed_code_replayed_by_a_thousand_is_told_and_reversed_in_one_entry(world: World) -> None:
    code, since = world.code("clean_plate"), clock.now() - timedelta(minutes=1)
    people = many(world, 1000)
    before = world.figure_differences()
    for one in people:
        answer = json.loads(json.dumps(world.scan(one, code)))
        assert answer["points"]["posted"] == 10
    assert ("burst", 1000) in kinds(look(world)) or standing(world)[0].count >= 300
    order_id = voiding.order(
        world.house, world.organiser, number_of(world, code), since=since, reason="点位码被发到了网上"
    )
    while outcome(world, order_id)[4]:
        voiding.go_on(world.house, world.organiser, order_id)
    assert outcome(world, order_id) == (1000, 0, 0, 0, 0)
    with world.house.db.reading() as connection:
        assert {ledger.balance(connection, one.id) for one in people} == {0}
    assert world.breaches() == before == []
    assert world.figure_differences() == []
