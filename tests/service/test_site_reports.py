"""What people on the spot say of a site: one word each, the last one, for a day; and nobody learns whose it is."""

import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from sqlmodel import SQLModel

from activities import places, site_reports, sites
from activities.site_reports import SiteCondition, Standing, report
from activities.sites import Site, SiteStatus
from tanpuhui import clock, ids, people, privacy
from tanpuhui.errors import NotAllowed, NotFound, ResidentInactive, TooManyReports
from tanpuhui.people import Resident
from tanpuhui.sessions import Principal
from tanpuhui.staff import Role
from tests.browser import browser
from tests.tables import contents, written
from tests.threads import at_once, codes
from tests.world import OTHER_COMMUNITY, World

OPEN, FULL, CLOSED = SiteCondition
NOON = datetime(2027, 6, 5, 4, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def time() -> Iterator[time_machine.Traveller]:
    """Noon in Shanghai; a test goes on from there."""
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


def as_principal(resident: Resident) -> Principal:
    return Principal("resident", resident.id, resident.id)


def say(world: World, who: Resident | Principal, site: Site, condition: SiteCondition) -> None:
    principal = as_principal(who) if isinstance(who, Resident) else who
    report(world.house, principal, site.id, condition)


def standing(world: World, site: Site) -> Standing:
    with world.house.db.reading() as connection:
        return places.one(connection, site.id, clock.now()).standing


def reports(world: World) -> list[Any]:
    with world.house.db.reading() as connection:
        table = SQLModel.metadata.tables["site_report"]
        return list(connection.execute(sa.select(table).order_by(table.c.ordinal)))


# --- what counts -------------------------------------------------------------------------------------------


def test_the_last_word_counts_for_a_day(world: World, time: Any) -> None:
    site = world.site("recycle_glass")
    assert standing(world, site).condition == "open"
    assert standing(world, site).words == ()
    say(world, world.resident(), site, FULL)
    time.shift(timedelta(hours=2))
    found = standing(world, site)
    assert (found.condition, found.words[0].reported_at, found.words[0].by_staff) == ("full", NOON, False)
    time.shift(timedelta(hours=22))
    assert standing(world, site).condition == "open"
    assert standing(world, site).words == ()


def test_where_residents_disagree_the_latest_counts_and_all_are_told(world: World, time: Any) -> None:
    site, (first, second, third) = world.site("recycle_glass"), world.residents(3)
    for who, condition in ((first, FULL), (second, FULL), (third, CLOSED)):
        say(world, who, site, condition)
        time.shift(timedelta(minutes=1))
    assert standing(world, site).condition == "closed"
    assert standing(world, site).said == {FULL: 2, CLOSED: 1}
    say(world, first, site, CLOSED)  # one person has one word
    assert standing(world, site).said == {FULL: 1, CLOSED: 2}
    time.shift(timedelta(minutes=1))
    say(world, second, site, CLOSED)
    assert standing(world, site).said == {}


def test_staff_answer_what_was_said_before(world: World, time: Any) -> None:
    site, (first, second, third) = world.site("recycle_glass"), world.residents(3)
    for who, condition in ((first, FULL), (second, CLOSED)):
        say(world, who, site, condition)
    time.shift(timedelta(minutes=5))
    say(world, world.organiser, site, OPEN)
    found = standing(world, site)
    assert (found.condition, found.words[0].by_staff, found.said) == ("open", True, {})
    time.shift(timedelta(minutes=5))
    say(world, third, site, FULL)
    assert (standing(world, site).condition, standing(world, site).said) == ("full", {})


def test_what_staff_closed_is_paused_whatever_is_said(world: World, time: Any) -> None:
    site = world.site("recycle_glass")
    sites.set_status(world.house, world.organiser, site.id, SiteStatus.CLOSED, "维修")
    say(world, world.resident(), site, OPEN)
    say(world, world.organiser, site, OPEN)
    assert standing(world, site).condition == "paused"


def test_a_word_stops_no_scan_and_earns_nothing(world: World) -> None:
    site, resident = world.site("clean_plate"), world.resident()
    code = world.code_at(site)
    before = contents(world.house)
    say(world, resident, site, CLOSED)
    assert written(before, contents(world.house)) == {"site_report": {"inserted": 1}}
    assert world.scan(resident, code)["action"]["kind"] == "clean_plate"


# --- who may say how much ----------------------------------------------------------------------------------


def test_everybody_has_one_word_on_a_site_and_a_second_tap_is_no_other(world: World, time: Any) -> None:
    site, resident = world.site("recycle_glass"), world.resident()
    say(world, resident, site, FULL)
    before = contents(world.house)
    time.shift(timedelta(minutes=9))
    say(world, resident, site, FULL)
    assert written(before, contents(world.house)) == {}
    say(world, resident, site, OPEN)
    (row,) = reports(world)
    assert (row.condition, row.reported_at, row.ordinal) == (OPEN, NOON + timedelta(minutes=9), 2)


def test_twenty_words_a_day_and_no_more(world: World, time: Any) -> None:
    site, resident, other = world.site("recycle_glass"), world.resident(), world.site("own_cup")
    say(world, resident, other, OPEN)
    for number in range(19):
        say(world, resident, site, (FULL, OPEN)[number % 2])
    before = contents(world.house)
    with pytest.raises(TooManyReports) as refusal:
        say(world, resident, other, FULL)
    assert refusal.value.params == {"limit": 20, "retry_after": 12 * 3600 + 1}
    assert written(before, contents(world.house)) == {}
    say(world, world.resident(), other, FULL)
    time.shift(timedelta(hours=12))
    say(world, resident, other, FULL)
    assert [row.ordinal for row in reports(world) if row.resident_id == resident.id] == [1, 20]


def test_staff_speak_within_their_scope_and_are_written_down(world: World) -> None:
    site = world.site("recycle_glass")
    helper = world.colleague(Role.HELPER)
    say(world, helper, site, FULL)
    say(world, helper, site, FULL)
    say(world, world.organiser, site, OPEN)
    assert [row.ordinal for row in reports(world)] == [None, None]
    before = contents(world.house)
    for stranger in (
        world.colleague(Role.ORGANISER, division=OTHER_COMMUNITY),
        world.colleague(Role.MERCHANT),
        world.colleague(Role.AUDITOR),
    ):
        with pytest.raises(NotAllowed):
            say(world, stranger, site, FULL)
    assert "site_report" not in written(before, contents(world.house))
    with world.house.db.reading() as connection:
        noted = connection.scalar(sa.text("SELECT count(*) FROM audit_entry WHERE deed = 'site.reported'"))
    assert noted == 2


def test_of_what_is_not_there_nothing_is_said(world: World) -> None:
    resident, site = world.resident(), world.site("own_cup")
    for who in (as_principal(resident), world.organiser):
        with pytest.raises(NotFound):
            report(world.house, who, ids.new_id(), FULL)
    people.leave(world.house, resident.id)
    for gone in (resident.id, ids.new_id()):
        with pytest.raises(ResidentInactive):
            report(world.house, Principal("resident", gone, gone), site.id, FULL)
    assert reports(world) == []


def test_thirty_reports_of_one_resident_at_once_are_twenty(world: World) -> None:
    places_there = [world.site("own_cup") for _ in range(30)]
    resident = world.resident()
    results = at_once([lambda site=site: say(world, resident, site, FULL) for site in places_there])
    assert sorted(codes(results)) == ["ok"] * 20 + ["too_many_reports"] * 10
    assert [row.ordinal for row in reports(world)] == list(range(1, 21))


@pytest.mark.parametrize("turns", [True, False], ids=["turns", "no turns"])
@pytest.mark.parametrize("constraint", [True, False], ids=["unique", "not unique"])
def test_turns_and_the_constraint_each_hold_the_one_word(
    world: World, monkeypatch: pytest.MonkeyPatch, turns: bool, constraint: bool
) -> None:
    """The negative control is "no turns, not unique": there both taps are kept. SQLite's one writer takes turns anyway."""
    site, resident, postgres = world.site("own_cup"), world.resident(), not world.house.db.is_sqlite
    if not turns:
        take = people.Statement(
            "SELECT r.id, r.status FROM resident r WHERE r.id {in:ids:uuid}", id="uuid", status="text"
        )
        monkeypatch.setattr(
            site_reports,
            "take_turn",
            lambda connection, ids: {row.id: row for row in take.run(connection, ids=ids)},
        )
    if postgres and not constraint:
        with world.house.db.transaction() as connection:
            for name in ("site_id_resident_id", "resident_id_day_ordinal"):
                connection.execute(sa.text(f"ALTER TABLE site_report DROP CONSTRAINT uq_site_report_{name}"))
    both, met, count = threading.Barrier(2), threading.local(), site_reports._said_on

    def count_then_wait(*args: Any) -> int:
        found = count(*args)
        if not getattr(met, "once", False):
            met.once = True
            with suppress(threading.BrokenBarrierError):
                both.wait(timeout=0.7)
        return found

    monkeypatch.setattr(site_reports, "_said_on", count_then_wait)
    results = at_once([lambda: say(world, resident, site, FULL)] * 2)
    assert codes(results) == ["ok", "ok"]
    broken = postgres and not turns and not constraint
    assert len(reports(world)) == (2 if broken else 1)


def test_the_database_itself_guards_reports(world: World) -> None:
    site, resident = world.site("own_cup"), world.resident()
    say(world, resident, site, FULL)
    say(world, world.organiser, site, FULL)
    table = SQLModel.metadata.tables["site_report"]
    row = dict(reports(world)[0]._mapping) if reports(world)[0].ordinal else dict(reports(world)[1]._mapping)
    other = world.site("own_cup").id
    for wrong in (
        row | {"id": ids.new_id()},
        row | {"id": ids.new_id(), "site_id": other},
        row | {"id": ids.new_id(), "site_id": other, "ordinal": 21},
        row | {"id": ids.new_id(), "site_id": other, "ordinal": None},
        row | {"id": ids.new_id(), "site_id": other, "ordinal": 2, "staff_id": world.organiser.id},
        row | {"id": ids.new_id(), "site_id": other, "ordinal": 2, "resident_id": None},
        row | {"id": ids.new_id(), "site_id": ids.new_id(), "ordinal": 2},
    ):
        with pytest.raises(sa.exc.IntegrityError), world.house.db.transaction() as connection:
            connection.execute(sa.insert(table).values(wrong))
    with pytest.raises(sa.exc.IntegrityError), world.house.db.transaction() as connection:
        connection.execute(sa.text("UPDATE site_report SET condition = 'haunted'"))


# --- how long it is kept -----------------------------------------------------------------------------------


def test_words_go_after_thirty_days_and_with_whoever_said_them(world: World, time: Any) -> None:
    site, stays, leaves = world.site("own_cup"), world.resident(), world.resident()
    say(world, stays, site, FULL)
    say(world, leaves, site, CLOSED)
    people.leave(world.house, leaves.id)
    assert [row.resident_id for row in reports(world)] == [stays.id]
    for days, left in ((30, 1), (1, 0)):
        time.shift(timedelta(days=days))
        with world.house.db.transaction() as connection:
            privacy.keep_to_periods(world.house, connection, clock.now())
        assert len(reports(world)) == left


# --- pages -------------------------------------------------------------------------------------------------


def test_a_resident_says_it_with_one_tap(world: World, time: Any) -> None:
    site, resident = world.site("recycle_glass"), world.resident()
    me = browser(world, resident)
    page = me.get(f"/sites/{site.id}")
    assert "24 小时内没有人报告" in page
    page = me.send("/reports", condition="full")
    assert me.path == f"/sites/{site.id}"
    assert "您的报告：满了（刚刚）" in page
    time.shift(timedelta(hours=2))
    page = browser(world).get(f"/sites/{site.id}")
    assert "最近报告：2 小时前" in page
    assert str(resident.id) not in page
    assert "Last report: 2 hours ago" in browser(world, language="en").get(f"/sites/{site.id}")


def test_whoever_is_not_logged_in_is_asked_to_and_led_back(world: World) -> None:
    site = world.site("recycle_glass")
    anyone = browser(world)
    anyone.get(f"/sites/{site.id}")
    anyone.send("/reports", condition="full")
    assert anyone.path == "/login"
    with anyone.client.session_transaction() as kept:
        assert kept["next"] == f"/sites/{site.id}"
    assert reports(world) == []


@pytest.mark.parametrize("condition", ["", "paused", "😀", "x" * 5000])
def test_a_condition_that_there_is_not_is_refused_kindly(world: World, condition: str) -> None:
    site = world.site("recycle_glass")
    me = browser(world, world.resident())
    me.get(f"/sites/{site.id}")
    assert "请选择：可以使用、满了或没开。" in me.send("/reports", condition=condition)
    assert (me.status, reports(world)) == (422, [])


def test_the_twenty_first_word_is_refused_on_the_page_of_the_site(world: World) -> None:
    site, resident = world.site("recycle_glass"), world.resident()
    for number in range(20):
        say(world, resident, site, (FULL, OPEN)[number % 2])
    me = browser(world, resident)
    me.get(f"/sites/{site.id}")
    assert "您今天已经报告了 20 次" in me.send("/reports", condition="closed")
    assert me.status == 429


def test_the_organiser_sees_what_was_said_and_says_it_is_seen_to(world: World) -> None:
    site = world.site("recycle_glass")
    say(world, world.resident(), site, FULL)
    desk = browser(world, world.organiser)
    assert "满了" in desk.get(f"/console/sites/{site.id}")
    page = desk.send("/reports")
    assert desk.path == f"/console/sites/{site.id}"
    assert "工作人员最近报告：刚刚" in page
    assert "已处理" not in page
    assert [row.condition for row in reports(world) if row.staff_id] == [OPEN]


# --- the API -----------------------------------------------------------------------------------------------


def test_machines_report_too(world: World, time: Any) -> None:
    site, resident = world.site("recycle_glass"), world.resident()
    path = f"/sites/{site.id}/reports"
    answer = world.call("POST", path, world.token(resident), json={"condition": "full"})
    assert answer.status_code == 201
    assert answer.get_json()["standing"] == {
        "condition": "full",
        "reported_at": "2027-06-05T04:00:00Z",
        "by_staff": False,
        "said": {},
    }
    world.call("POST", path, world.token(world.resident()), json={"condition": "closed"})
    time.shift(timedelta(minutes=1))
    token = world.token(world.organiser, Role.ORGANISER)
    told = world.call("POST", path, token, json={"condition": "open"}).get_json()["standing"]
    assert (told["condition"], told["by_staff"], told["said"]) == ("open", True, {})
    for body, status in (({"condition": "paused"}, 422), ({}, 422), ({"condition": 1}, 422)):
        assert world.call("POST", path, world.token(resident), json=body).status_code == status
    assert world.call("POST", path, json={"condition": "full"}).status_code == 401
    nowhere = f"/sites/{ids.new_id()}/reports"
    assert world.call("POST", nowhere, world.token(resident), json={"condition": "full"}).status_code == 404
