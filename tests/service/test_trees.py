"""Trees: a planting earns a certificate and nothing else; each yearly check credits what is alive, once."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pypdfium2
import pytest
import sqlalchemy as sa
import time_machine
from click.testing import CliRunner

from activities import plantings, scans, trees
from activities.codes import read_token, revoke_code
from activities.demo import demo_command
from activities.events import TreesPlanted
from activities.review import void_action
from activities.sites import Site
from activities.trees import due_on
from tanpuhui import clock, people, reference
from tanpuhui.errors import KeyReused, NotAllowed, TanpuhuiError
from tanpuhui.people import Resident
from tanpuhui.rooms import House, build_house
from tanpuhui.staff import Role
from tests.browser import browser
from tests.service.test_verify import tamper
from tests.tables import contents, written
from tests.threads import at_once, codes
from tests.world import OTHER_COMMUNITY, World

PLANTED = datetime(2027, 3, 12, 2, 0, tzinfo=UTC)  # ten in the morning of a Friday in Shanghai


@pytest.fixture(autouse=True)
def time() -> Iterator[time_machine.Traveller]:
    """The planting day; a test goes on from there."""
    with time_machine.travel(PLANTED, tick=False) as traveller:
        yield traveller


def years_on(time: Any, years: int, **apart: float) -> None:
    """Go to the same day `years` after the planting day, and a little apart from it."""
    time.move_to(PLANTED.replace(year=PLANTED.year + years) + timedelta(**apart))


def check(world: World, resident: Resident, site: Site, alive: Any, **more: Any) -> dict[str, Any]:
    """A check with a code of the day; the answer. Raises what the desk raises."""
    return world.scan(resident, world.code_at(site, staffed=True), quantity=alive, **more)


def refused(world: World, code: str, call: Any) -> TanpuhuiError:
    """That `call` is refused with `code` and leaves every table as it was, but for what its resident may look up."""
    before = contents(world.house)
    with pytest.raises(TanpuhuiError) as refusal:
        call()
    assert refusal.value.code == code
    assert str(refusal.value)
    assert written(before, contents(world.house)).keys() <= {"scan_attempt"}
    return refusal.value


@pytest.fixture
def site(world: World) -> Site:
    """A plot."""
    return world.site("tree_planting", kind="planting_plot", name="大宁公园植树点")


@pytest.fixture
def code(world: World, site: Site) -> str:
    """Its staffed code of the planting day."""
    return world.code_at(site, staffed=True)


# --- planting ----------------------------------------------------------------------------------------------


def test_a_planting_earns_a_certificate_and_neither_grams_nor_points(
    world: World, site: Site, code: str
) -> None:
    resident = world.resident()
    before = contents(world.house)
    certificate = world.plant(resident, code, 5)
    assert written(before, contents(world.house)) == {
        table: {"inserted": 1} for table in ("planting", "event_log", "stored_answer")
    }
    assert re.fullmatch(r"T2027-[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){2}", certificate["number"])
    assert certificate == {
        "id": certificate["id"],
        "number": certificate["number"],
        "kind": "tree_planting",
        "trees": 5,
        "planted_on": "2027-03-12",
        "site_id": str(site.id),
        "site": "大宁公园植树点",
        "alive": 5,
        "next_check_on": "2028-03-12",
        "checks": [],
    }
    assert world.breaches() == []
    assert world.figure_differences() == []


def test_the_fact_is_in_the_log_for_other_rooms_to_hear(world: World, site: Site, code: str) -> None:
    campaign = world.campaign(site)
    resident = world.resident()
    certificate = world.plant(resident, world.code_at(site, staffed=True), 3)
    with world.house.db.reading() as connection:
        payload = connection.scalar(sa.text("SELECT payload FROM event_log WHERE type = 'trees.planted'"))
    event = TreesPlanted.from_payload(str(payload))
    assert (str(event.subject_id), event.number) == (certificate["id"], certificate["number"])
    assert (event.resident_id, event.trees, event.day) == (resident.id, 3, date(2027, 3, 12))
    assert (event.site_id, event.campaign_id, event.division_code) == (
        site.id,
        campaign.id,
        resident.division_code,
    )


def test_the_same_key_gets_the_same_certificate_and_another_request_is_refused(
    world: World, code: str
) -> None:
    resident, printed = world.resident(), world.code("own_cup")
    first = world.plant(resident, code, 5, key="k")
    assert world.plant(resident, code, "5.0", key="k") == first
    before = contents(world.house)
    with pytest.raises(KeyReused):
        world.plant(resident, code, 4, key="k")
    with pytest.raises(KeyReused):
        world.scan(resident, printed, key="k")
    world.scan(resident, printed, key="cup")
    after = contents(world.house)
    with pytest.raises(KeyReused):
        world.plant(resident, code, 5, key="cup")
    assert contents(world.house) == after
    assert written(before, after)["action"] == {"inserted": 1}
    revoke_code(world.house, world.organiser, read_token(world.house.settings, code).number, "换新")
    assert world.plant(resident, code, 5, key="k") == first  # a replay asks nothing of the code


def test_a_plot_takes_one_planting_of_a_resident_a_day(
    world: World, site: Site, code: str, time: Any
) -> None:
    resident = world.resident()
    number = world.plant(resident, code)["number"]
    refusal = refused(world, "already_planted", lambda: world.plant(resident, code, 1))
    assert refusal.params == {"number": number}
    world.plant(world.resident(), code)
    world.plant(resident, world.code("tree_planting", staffed=True))
    time.shift(timedelta(days=1))
    world.plant(resident, world.code_at(site, staffed=True))
    assert world.breaches() == []


def test_what_cannot_be_planted_is_refused(world: World, site: Site, code: str, time: Any) -> None:
    resident, printed = world.resident(), world.code_at(site)
    canteen = world.code("clean_plate")
    both = world.code("tree_planting", "own_cup", staffed=True)
    later = world.code_at(site, staffed=True)
    for problem, arguments in (
        ("evidence_too_weak", (printed,)),
        ("no_planting_here", (canteen,)),
        ("no_planting_here", (both, 1, None, "own_cup")),
        ("kind_not_at_site", (both, 1, None, "walk")),
        ("unknown_kind", (both, 1, None, "flying")),
        ("quantity_missing", (code, None)),
        ("quantity_not_a_number", (code, "many")),
        ("quantity_not_positive", (code, 0)),
        ("quantity_not_positive", (code, "-1")),
        ("trees_not_whole", (code, "2.5")),
        ("quantity_out_of_range", (code, 21)),
        ("code_incomplete", (code[:-1],)),
        ("idempotency_key_invalid", (code, 1, "a b")),
    ):
        token, count, key, kind = (*arguments, *(1, None, None)[len(arguments) - 1 :])
        refused(world, problem, lambda: world.plant(resident, token, count, key=key, kind=kind))  # noqa: B023
    time.shift(timedelta(hours=9))
    refused(world, "code_expired", lambda: world.plant(resident, later))
    people.leave(world.house, resident.id)
    refused(world, "resident_inactive", lambda: world.plant(resident, later))


def test_the_one_kind_of_trees_at_a_site_need_not_be_named(world: World) -> None:
    both = world.code("tree_planting", "own_cup", staffed=True)
    assert world.plant(world.resident(), both)["kind"] == "tree_planting"
    assert world.scan(world.resident(), both, kind="own_cup")["action"]["evidence"] == "staff_confirmed"


def test_the_kind_is_found_by_its_methodology_and_not_by_its_name(
    world: World, site: Site, code: str
) -> None:
    """A district that quantifies trees by another form credits a scan as of any other kind."""
    resident, cups = world.resident(), world.code("own_cup")
    change_methodology(world.house, "tree_planting", "walking")
    assert world.scan(resident, code, quantity=2)["action"]["quantity"] == 2
    refused(world, "no_planting_here", lambda: world.plant(resident, code))
    change_methodology(world.house, "own_cup", "urban_trees")
    refused(world, "nothing_planted", lambda: world.scan(resident, cups, quantity=1))
    assert world.plant(resident, cups, 1)["kind"] == "own_cup"


def change_methodology(house: House, kind: str, methodology: str) -> None:
    with house.db.transaction() as connection:
        text = "UPDATE methodology_kind SET methodology = :methodology WHERE kind = :kind"
        connection.execute(sa.text(text), {"kind": kind, "methodology": methodology})
        reference.bump(connection)


@pytest.mark.parametrize(
    ("planted", "year", "due"),
    [
        (date(2027, 3, 12), 1, date(2028, 3, 12)),
        (date(2027, 3, 12), 3, date(2030, 3, 12)),
        (date(2028, 2, 29), 1, date(2029, 3, 1)),  # a whole year, and not a day less
        (date(2028, 2, 29), 4, date(2032, 2, 29)),
    ],
)
def test_a_check_is_due_when_whole_years_have_passed(planted: date, year: int, due: date) -> None:
    assert due_on(planted, year) == due


# --- the yearly check --------------------------------------------------------------------------------------


def test_each_year_credits_the_trees_still_alive(world: World, site: Site, code: str, time: Any) -> None:
    resident = world.resident()
    world.plant(resident, code, 5)
    grams, points = [], []
    for year, alive in ((1, 5), (2, 4), (3, 4)):
        years_on(time, year)
        answer = check(world, resident, site, alive)
        action = answer["action"]
        assert (action["quantity"], action["unit"], action["evidence"]) == (
            alive,
            "tree-year",
            "staff_confirmed",
        )
        grams.append(action["reduction"]["co2e_mg"] // 1000)
        points.append(answer["points"]["balance"])
    assert grams == [7000, 5600, 5600]
    assert points == [250, 450, 650]
    (grove, where) = only_grove(world, resident)
    assert (grove.alive, grove.next_check_on.isoformat(), where.id) == (4, "2031-03-12", site.id)
    assert [(one.year, one.alive_before, one.alive) for one in grove.checks] == [
        (1, 5, 5),
        (2, 5, 4),
        (3, 4, 4),
    ]
    assert world.breaches() == []
    assert world.figure_differences() == []


def only_grove(world: World, resident: Resident) -> tuple[trees.Grove, Site]:
    with world.house.db.reading() as connection:
        (found,) = plantings.own_groves(connection, resident.id)
        return found


def test_a_check_writes_its_row_beside_what_every_scan_writes(
    world: World, site: Site, code: str, time: Any
) -> None:
    resident = world.resident()
    world.plant(resident, code)
    years_on(time, 1)
    token = world.code_at(site, staffed=True)
    before = contents(world.house)
    answer = world.scan(resident, token, quantity=3, key="k")
    tables = ("account", "action", "event_log", "stored_answer", "transfer", "tree_check")
    assert written(before, contents(world.house)) == {table: {"inserted": 1} for table in tables}
    assert world.scan(resident, token, quantity="3", key="k") == answer
    with pytest.raises(KeyReused):
        world.scan(resident, token, quantity=2, key="k")


def test_a_check_counts_from_the_day_on_and_not_before(
    world: World, site: Site, code: str, time: Any
) -> None:
    resident = world.resident()
    refused(world, "nothing_planted", lambda: world.scan(resident, code, quantity=1))
    world.plant(resident, code)
    for years, apart, check_on in ((0, 0, "2028-03-12"), (1, -1, "2028-03-12")):
        years_on(time, years, days=apart)
        token = world.code_at(site, staffed=True)
        refusal = refused(world, "check_too_early", lambda: world.scan(resident, token, quantity=1))  # noqa: B023
        assert refusal.params == {"check_on": check_on}
    years_on(time, 1)
    check(world, resident, site, 5)
    time.shift(timedelta(days=40))
    token = world.code_at(site, staffed=True)
    refusal = refused(world, "check_too_early", lambda: world.scan(resident, token, quantity=5))
    assert refusal.params == {"check_on": "2029-03-12"}
    assert world.breaches() == []


def test_what_is_said_to_be_alive_is_checked(world: World, site: Site, code: str, time: Any) -> None:
    resident = world.resident()
    world.plant(resident, code, 5)
    years_on(time, 1)
    token = world.code_at(site, staffed=True)
    for problem, alive in (
        ("quantity_missing", None),  # never the catalogue's default: it would write the other trees off
        ("quantity_not_positive", 0),
        ("quantity_not_positive", -1),
        ("trees_not_whole", "4.5"),
        ("more_trees_than_planted", 6),
        ("more_trees_than_planted", 21),
        ("quantity_not_a_number", "all"),
    ):
        refused(world, problem, lambda: world.scan(resident, token, quantity=alive))  # noqa: B023
    world.scan(resident, token, quantity=3)
    years_on(time, 2)
    token = world.code_at(site, staffed=True)
    refusal = refused(world, "more_trees_than_planted", lambda: world.scan(resident, token, quantity=4))
    assert refusal.params == {"trees": 3}
    world.scan(resident, token, quantity=3)


def test_a_check_belongs_to_the_resident_and_the_plot(world: World, site: Site, code: str, time: Any) -> None:
    resident, other = world.residents(2)
    planting = UUID(world.plant(resident, code)["id"])
    years_on(time, 1)
    here, elsewhere = world.code_at(site, staffed=True), world.code("tree_planting", staffed=True)
    refused(world, "nothing_planted", lambda: world.scan(other, here, quantity=1))
    refused(world, "nothing_planted", lambda: world.scan(other, here, quantity=1, planting=planting))
    refused(world, "nothing_planted", lambda: world.scan(resident, elsewhere, quantity=1))
    refused(world, "nothing_planted", lambda: world.scan(resident, here, quantity=1, planting=uuid4()))
    printed = world.code_at(site)
    refused(world, "evidence_too_weak", lambda: world.scan(resident, printed, quantity=1))
    world.scan(resident, here, quantity=1, planting=planting)


def test_a_planting_is_no_part_of_any_other_scan(world: World, code: str) -> None:
    resident, cups = world.resident(), world.code("own_cup")
    planting = UUID(world.plant(resident, code)["id"])
    refused(world, "no_planting_here", lambda: world.scan(resident, cups, planting=planting))


def test_missed_years_are_made_up_one_a_day_the_first_first(
    world: World, site: Site, code: str, time: Any
) -> None:
    resident = world.resident()
    world.plant(resident, code, 5)
    years_on(time, 3, days=10)
    years = []
    for alive in (4, 4, 3):
        check(world, resident, site, alive)
        years.append(only_grove(world, resident)[0].checks[-1].year)
        token = world.code_at(site, staffed=True)
        problem = "daily_limit_reached" if len(years) < 3 else "check_too_early"
        refused(world, problem, lambda: world.scan(resident, token, quantity=1))  # noqa: B023
        time.shift(timedelta(days=1))
    assert years == [1, 2, 3]
    assert world.breaches() == []


def test_of_two_plantings_the_older_is_checked_first_or_the_one_named(
    world: World, site: Site, code: str, time: Any
) -> None:
    resident = world.resident()
    older = world.plant(resident, code, 2)
    time.shift(timedelta(days=1))
    younger = world.plant(resident, world.code_at(site, staffed=True), 7)
    years_on(time, 1, days=1)
    check(world, resident, site, 2)
    time.shift(timedelta(days=1))
    check(world, resident, site, 7)
    checked = [str(grove.planting.id) for grove, _ in groves(world, resident) if grove.checks]
    assert checked == [older["id"], younger["id"]]
    years_on(time, 2, days=1)  # now all of the older ones have died, which is no record
    check(world, resident, site, 6, planting=UUID(younger["id"]))
    assert [[one.alive for one in grove.checks] for grove, _ in groves(world, resident)] == [[2], [7, 6]]
    assert world.breaches() == []


def groves(world: World, resident: Resident) -> list[tuple[trees.Grove, Site]]:
    with world.house.db.reading() as connection:
        return plantings.own_groves(connection, resident.id)


def test_a_voided_check_frees_its_year_and_what_it_found(
    world: World, site: Site, code: str, time: Any
) -> None:
    resident = world.resident()
    world.plant(resident, code, 5)
    years_on(time, 1)
    wrong = check(world, resident, site, 1)
    void_action(world.house, world.officer, UUID(wrong["action"]["id"]), "数错了")
    assert only_grove(world, resident)[0].alive == 5
    right = check(world, resident, site, 5)
    assert right["points"] == {"posted": 250, "balance": 250}
    years_on(time, 2)
    check(world, resident, site, 4)
    void_action(world.house, world.officer, UUID(right["action"]["id"]), "不是本人的树")
    grove, _ = only_grove(world, resident)
    assert (grove.next_year, grove.alive) == (1, 4)  # a year later four were alive: no more can be said now
    time.shift(timedelta(days=1))
    token = world.code_at(site, staffed=True)
    refused(world, "more_trees_than_planted", lambda: world.scan(resident, token, quantity=5))
    world.scan(resident, token, quantity=4)
    grove, _ = only_grove(world, resident)
    assert [(one.year, one.ordinal, one.alive) for one in grove.checks] == [(1, 3, 4), (2, 1, 4)]
    assert world.breaches() == []
    assert world.figure_differences() == []


def test_a_late_check_counts_on_the_day_it_happened(world: World, site: Site, code: str, time: Any) -> None:
    resident = world.resident()
    world.plant(resident, code, 5)
    years_on(time, 1, hours=-14)  # eight in the evening of the day before
    token = world.code_at(site, staffed=True)
    time.shift(timedelta(hours=4, minutes=30))
    hour = timedelta(hours=1)
    refused(
        world,
        "check_too_early",
        lambda: world.scan(resident, token, quantity=5, occurred_at=clock.now() - hour),
    )
    world.scan(resident, token, quantity=5, occurred_at=clock.now() - hour / 4)
    assert only_grove(world, resident)[0].checks[0].checked_on == date(2028, 3, 12)


# --- what an ordinary scan costs ----------------------------------------------------------------------------


def test_a_scan_of_another_kind_asks_nothing_about_trees(world: World, code: str) -> None:
    """Ten statements with BEGIN, as before there were trees; and none of them knows of plantings."""
    world.plant(world.resident(), code)
    cups = world.code("own_cup")
    world.scan(world.resident(), cups)  # what is kept in memory is there
    resident, statements = world.resident(), []

    def listen(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        statements.append(statement)

    sa.event.listen(world.house.db.engine, "before_cursor_execute", listen)
    world.scan(resident, cups)
    sa.event.remove(world.house.db.engine, "before_cursor_execute", listen)
    asked = [statement for statement in statements if not statement.startswith("BEGIN")]
    assert len(asked) == 9
    assert not [statement for statement in asked if re.search("planting|tree_check|methodology", statement)]


# --- races -------------------------------------------------------------------------------------------------


@pytest.fixture
def houses(world: World) -> Iterator[list[House]]:
    """Two houses on one database, as two processes would have."""
    second = build_house(world.house.settings)
    yield [world.house, second]
    second.db.dispose()


def checked_through(house: House, resident: Resident, token: str, key: str) -> scans.Answer:
    request = scans.read_request(house, who=resident.id, key=key, code=token, quantity=3)
    return house.part(scans.Desk).record(request)


def unlimited(house: House) -> None:
    """Let the day's limits get in nobody's way: what is left is the rule of trees."""
    with house.db.transaction() as connection:
        connection.execute(
            sa.text(
                "UPDATE action_kind SET records_per_day = 1000, quantity_per_day_milli = 900000000 "
                "WHERE code = 'tree_planting'"
            )
        )
        reference.bump(connection)


def tree_checks(house: House) -> int:
    with house.db.reading() as connection:
        return int(connection.scalar(sa.text("SELECT count(*) FROM tree_check")) or 0)


def test_twenty_checks_of_one_year_at_once_credit_one(
    world: World, houses: list[House], site: Site, code: str, time: Any
) -> None:
    resident = world.resident()
    world.plant(resident, code)
    unlimited(world.house)
    years_on(time, 1)
    token = world.code_at(site, staffed=True)
    results = at_once(
        [lambda n=n: checked_through(houses[n % 2], resident, token, f"k{n}") for n in range(20)]
    )
    assert sorted(codes(results)) == ["check_too_early"] * 19 + ["ok"]
    (answer,) = [result for result in results if isinstance(result, scans.Answer)]
    assert json.loads(answer.body)["points"] == {"posted": 150, "balance": 150}
    assert tree_checks(world.house) == 1
    assert world.breaches() == []
    assert world.figure_differences() == []


@pytest.mark.parametrize("lock", [True, False], ids=["turns", "no turns"])
@pytest.mark.parametrize("constraint", [True, False], ids=["unique", "not unique"])
def test_turns_and_the_constraint_each_hold_the_year(
    world: World,
    houses: list[House],
    site: Site,
    code: str,
    time: Any,
    monkeypatch: pytest.MonkeyPatch,
    lock: bool,
    constraint: bool,
) -> None:
    """The negative control is "no turns, not unique": there the race is real, and a year is credited twice.

    Two processes both read the planting before either writes. SQLite's one writer makes them take turns anyway.
    The day's limit, which would hold here too, is out of the way.
    """
    resident, postgres = world.resident(), not world.house.db.is_sqlite
    world.plant(resident, code)
    unlimited(world.house)
    years_on(time, 1)
    token = world.code_at(site, staffed=True)
    if not lock:
        unlocked = str(people._TAKE_TURN._text).replace("{lock:r}", "")
        take = people.Statement(unlocked, **people._TAKE_TURN._returns)

        def no_turn(connection: Any, ids: Any) -> Any:
            return {row.id: row for row in take.run(connection, ids=ids)}

        monkeypatch.setattr(scans, "take_turn", no_turn)
    if postgres:
        dropped = {"action": "uq_action_resident_id_day_kind_ordinal"}
        if not constraint:
            dropped["tree_check"] = "uq_tree_check_planting_id_year_ordinal"
        with world.house.db.transaction() as connection:
            for table, name in dropped.items():
                connection.execute(sa.text(f"ALTER TABLE {table} DROP CONSTRAINT {name}"))
    both, met, read = threading.Barrier(2), threading.local(), trees.groves_of

    def read_then_wait(*args: Any, **kwargs: Any) -> Any:
        found = read(*args, **kwargs)
        if not getattr(met, "once", False):
            met.once = True
            with suppress(threading.BrokenBarrierError):
                both.wait(timeout=0.7)
        return found

    monkeypatch.setattr(trees, "groves_of", read_then_wait)
    results = at_once(
        [lambda house=house: checked_through(house, resident, token, f"k{id(house)}") for house in houses]
    )
    broken = postgres and not lock and not constraint
    assert sorted(codes(results)) == (["ok", "ok"] if broken else ["check_too_early", "ok"])
    assert tree_checks(world.house) == (2 if broken else 1)
    assert bool([line for line in world.breaches() if "one standing check" in line]) is broken


def test_one_planting_sent_many_times_at_once_is_one_certificate(
    world: World, houses: list[House], code: str
) -> None:
    resident = world.resident()

    def planted(number: int, key: str) -> plantings.Answer:
        return plantings.plant(houses[number % 2], resident.id, key=key, code=code, trees=5)

    same = at_once([lambda n=n: planted(n, "k") for n in range(10)])
    assert len({result.body for result in same}) == 1
    assert [result.replayed for result in same].count(False) == 1
    others = at_once([lambda n=n: planted(n, f"k{n}") for n in range(10)])
    assert codes(others) == ["already_planted"] * 10
    assert len(contents(world.house)["planting"]) == 1
    assert world.breaches() == []


@pytest.mark.parametrize("table", ["planting", "tree_check"])
def test_plantings_and_checks_are_never_changed(
    world: World, site: Site, code: str, time: Any, table: str
) -> None:
    resident = world.resident()
    world.plant(resident, code)
    years_on(time, 1)
    check(world, resident, site, 5)
    for statement in (
        f"UPDATE {table} SET {'trees' if table == 'planting' else 'alive'} = 1",
        f"DELETE FROM {table}",
    ):
        with (
            pytest.raises(sa.exc.DBAPIError, match="append-only"),
            world.house.db.transaction() as connection,
        ):
            connection.execute(sa.text(statement))


# --- what `tanpuhui verify` finds ---------------------------------------------------------------------------

LOST_OR_ALTERED = {
    "DELETE FROM planting": "a trees.planted event has its planting",
    "DELETE FROM event_log WHERE type = 'trees.planted'": "a planting has exactly one event",
    "UPDATE tree_check SET alive = 3 WHERE year = 2": "a tree check has an action of its planting, of the trees alive",
    "UPDATE action SET quantity_milli = 3000": "a tree check has an action of its planting, of the trees alive",
    "UPDATE action SET day = '2029-03-13' WHERE quantity_milli = 4000": "a tree check has an action of its planting, of the trees alive",
    "UPDATE tree_check SET alive_before = 4 WHERE year = 2": "a tree check starts from what the check before found",
    "UPDATE planting SET trees = 7": "a tree check starts from what the check before found",
    "DELETE FROM tree_check WHERE year = 1 AND ordinal = 1": "an action of planted trees has its check",
    "UPDATE tree_check SET year = 1, ordinal = 3 WHERE year = 2": "a year of a planting has one standing check",
    "UPDATE planting SET planted_on = '2027-03-13'": "no tree check comes before its year is over",
}


@pytest.fixture
def grown(world: World, site: Site, code: str, time: Any) -> World:
    """A planting with two standing checks and a voided one, and a record of trees from before there were plantings."""
    change_methodology(world.house, "tree_planting", "walking")
    world.scan(world.resident(), code, quantity=2)
    change_methodology(world.house, "tree_planting", "urban_trees")
    time.shift(timedelta(minutes=1))
    resident = world.resident()
    world.plant(resident, code, 5)
    years_on(time, 1)
    wrong = check(world, resident, site, 2)
    void_action(world.house, world.officer, UUID(wrong["action"]["id"]), "数错了")
    check(world, resident, site, 5)
    years_on(time, 2)
    check(world, resident, site, 4)
    world.house.relay.drain()
    assert world.breaches() == []
    return world


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@pytest.mark.parametrize("change", LOST_OR_ALTERED)
def test_what_was_lost_or_altered_is_found(grown: World, change: str) -> None:
    tamper(grown.house, change)
    assert LOST_OR_ALTERED[change] in {line.split(": ")[0] for line in grown.breaches()}


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
def test_postgresql_is_asked_the_same_questions(grown: World) -> None:
    for change, invariant in LOST_OR_ALTERED.items():
        with grown.house.db.engine.connect() as connection:
            connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
            connection.execute(sa.text(change))
            found = {
                wanted.name
                for room in grown.house.rooms
                for wanted in room.invariants
                if list(wanted.breaches(connection))
            }
            connection.rollback()
        assert invariant in found, change
    assert grown.breaches() == []


# --- the API -----------------------------------------------------------------------------------------------


def posted(world: World, token: str | None, body: Any, key: str | None = "k") -> Any:
    headers = {"Idempotency-Key": key} if key else {}
    return world.call("POST", "/plantings", token, json=body, headers=headers)


def test_the_api_takes_a_planting_to_its_first_check(world: World, site: Site, code: str, time: Any) -> None:
    resident = world.resident()
    token = world.token(resident)
    first = posted(world, token, {"code": code, "trees": 5})
    assert (first.status_code, first.content_type) == (201, "application/json")
    assert "Idempotent-Replayed" not in first.headers
    again = posted(world, token, {"trees": 5, "code": f"https://elsewhere.example/s/{code}"})
    assert (again.status_code, again.data) == (201, first.data)
    assert again.headers["Idempotent-Replayed"] == "true"
    certificate = first.get_json()["planting"]
    mine = world.call("GET", "/me/plantings", token)
    assert (mine.status_code, mine.get_json()) == (200, {"plantings": [certificate]})
    assert world.call("GET", "/me/plantings", world.token(world.resident())).get_json() == {"plantings": []}

    early = world.post_scan(token, {"code": code, "quantity": 5}, key="early")
    assert (early.status_code, early.get_json()["code"]) == (409, "check_too_early")
    assert early.get_json()["check_on"] == "2028-03-12"
    assert "2028年3月12日" in early.get_json()["title"]
    years_on(time, 1)
    today = world.code_at(site, staffed=True)
    token = world.token(resident)
    body = {"code": today, "kind": "tree_planting", "quantity": 4, "planting": certificate["id"]}
    done = world.post_scan(token, body, key="check")
    assert done.status_code == 201
    (planting,) = world.call("GET", "/me/plantings", token).get_json()["plantings"]
    assert (planting["alive"], planting["next_check_on"]) == (4, "2029-03-12")
    assert planting["checks"] == [
        {"year": 1, "alive": 4, "checked_on": "2028-03-12", "action_id": done.get_json()["action"]["id"]}
    ]


def test_wrong_requests_have_their_own_codes(world: World, code: str) -> None:
    token, staff = world.token(world.resident()), world.token(world.organiser)
    good = {"code": code, "trees": 1}
    before = contents(world.house)
    for body, status, problem in (
        ({**good, "trees": 0}, 422, "invalid_fields"),
        ({**good, "trees": 1001}, 422, "invalid_fields"),
        ({**good, "trees": "1"}, 422, "invalid_fields"),
        ({**good, "trees": True}, 422, "invalid_fields"),
        ({**good, "trees": 1.5}, 422, "invalid_fields"),
        ({**good, "planted_on": "2020-01-01"}, 422, "invalid_fields"),
        ({"code": code}, 422, "invalid_fields"),
        ({**good, "trees": 21}, 422, "quantity_out_of_range"),
        ({**good, "code": "A" * 24}, 404, "code_invalid"),
        ({**good, "kind": "own_cup"}, 422, "kind_not_at_site"),
    ):
        answer = posted(world, token, body)
        assert (answer.status_code, answer.get_json()["code"]) == (status, problem), body
        assert answer.content_type == "application/problem+json"
    assert posted(world, token, good, key=None).get_json()["code"] == "idempotency_key_missing"
    assert posted(world, None, good).get_json()["code"] == "not_authenticated"
    assert posted(world, staff, good).get_json()["code"] == "not_allowed"
    assert world.call("GET", "/me/plantings", staff).get_json()["code"] == "not_allowed"
    assert written(before, contents(world.house)) == {}
    assert posted(world, token, good).status_code == 201


# --- the pages ---------------------------------------------------------------------------------------------


def test_a_resident_plants_and_checks_by_the_pages(world: World, site: Site, code: str, time: Any) -> None:
    resident = world.resident()
    me = browser(world, resident)
    assert "我种的树" not in me.get("/me")
    page = me.get(f"/s/{code}")
    back = me.address
    assert "今天种了树" in page
    assert "检查成活" not in page
    page = me.send("/plant", trees="")
    assert (me.status, "请填写数量" in page, 'aria-invalid="true"' in page) == (422, True, True)
    assert "1 到 20" in me.send("/plant", trees="21")
    page = re.sub(r"</?span[^>]*>", "", me.send("/plant", trees="５"))
    assert me.path.startswith("/me/plantings/")
    certificate = me.path
    for said in ("植树证书", "大宁公园植树点", "2027年3月12日", "2028年3月12日起", "不计减排量"):
        assert said in page
    me.get(back)  # the back button leads to the certificate, not to a second one
    assert me.path == certificate
    page = me.get(f"/s/{code}")
    assert "已登记" in page
    assert f"/s/{code}/plant" not in page
    assert "2028年3月12日起可以检查" in page
    assert "我种的树" in me.get("/me")
    assert certificate in me.page.text

    years_on(time, 1)
    me = browser(world, resident)
    token = world.code_at(site, staffed=True)
    page = me.get(f"/s/{token}")
    assert "检查成活" in page
    assert "现在可以检查成活" in me.get("/me")
    me.get(f"/s/{token}")
    page = me.send(f"/s/{token}", quantity="6")
    assert (me.status, "不能多于 5 棵" in page) == (422, True)
    page = me.send(f"/s/{token}", quantity="4")
    assert me.path.startswith("/me/actions/")
    assert "5.6" in page
    assert "2029年3月12日起可以做下一次成活检查" in re.sub(r"</?span[^>]*>", "", page)
    assert "已记满" not in page
    page = me.get(certificate)
    assert "第 1 年" in page
    assert "4" in page
    assert world.breaches() == []


def test_somebody_who_is_not_logged_in_is_asked_to_and_comes_back(world: World, code: str) -> None:
    page = browser(world).get(f"/s/{code}")
    assert "登录后，在这里登记今天种下的树" in page
    assert 'method="post"' not in page
    assert re.search(r'href="/login\?next=/s/\w+\?key%3D', page)


def test_of_several_plantings_the_page_asks_which(world: World, site: Site, code: str, time: Any) -> None:
    resident = world.resident()
    world.plant(resident, code, 2)
    time.shift(timedelta(days=1))
    younger = world.plant(resident, world.code_at(site, staffed=True), 7)
    years_on(time, 1, days=1)
    me = browser(world, resident)
    page = me.get(f"/s/{world.code_at(site, staffed=True)}")
    assert "检查哪一次种的树" in page
    me.send("/s/", quantity="6", planting=younger["id"])
    assert [len(grove.checks) for grove, _ in groves(world, resident)] == [0, 1]
    me.get(f"/s/{world.code_at(site, staffed=True)}")
    assert me.send("/plant", trees="1")
    assert me.path.startswith("/me/plantings/")


def test_a_check_too_early_says_from_which_day(world: World, site: Site, code: str) -> None:
    resident = world.resident()
    world.plant(resident, code)
    me = browser(world, resident)
    me.get(f"/s/{world.code('own_cup')}")
    fields = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', me.page.text))
    page = me.client.post(
        f"/s/{code}",
        data={**fields, "kind": "tree_planting", "quantity": "5"},
        headers={"Accept": "text/html", "Accept-Language": "zh"},
    )
    assert (page.status_code, "2028年3月12日" in page.text) == (409, True)
    assert (
        me.client.post(
            f"/s/{code}", data={**fields, "planting": "x"}, headers={"Accept": "text/html"}
        ).status_code
        == 404
    )


def test_the_certificate_prints_and_is_nobody_elses(world: World, code: str) -> None:
    resident = world.resident()
    certificate = world.plant(resident, code, 5)
    address = f"/me/plantings/{certificate['id']}"
    me = browser(world, resident)
    printed = me.client.get(f"{address}/certificate.pdf")
    assert (printed.status_code, printed.content_type) == (200, "application/pdf")
    (sheet,) = pypdfium2.PdfDocument(printed.data)
    text = re.sub(r"\s", "", sheet.get_textpage().get_text_range())
    for said in ("植树证书", "种下5棵树", "大宁公园植树点", "2027年3月12日", certificate["number"]):
        assert said in text
    other = browser(world, world.resident())
    for path in (address, f"{address}/certificate.pdf"):
        other.get(path)
        assert other.status == 404
    assert browser(world).get(address)
    with world.house.db.transaction() as connection:  # a name from before names were looked at
        connection.execute(sa.text("UPDATE site SET name = '𠀀园'"))
    assert "印不出" in me.get(f"{address}/certificate.pdf")


def test_staff_see_what_was_planted_at_their_site_and_no_others(
    world: World, site: Site, code: str, time: Any
) -> None:
    first, second = world.residents(2)
    number = world.plant(first, code, 5)["number"]
    time.shift(timedelta(hours=1))
    latest = world.plant(second, code, 2)["number"]
    years_on(time, 1)
    check(world, first, site, 3)
    page = browser(world, world.organiser).get(f"/console/sites/{site.id}")
    cells = re.findall(r"<t[dh][^>]*>([^<]*)</t[dh]>", page)
    rows = [cells[cells.index(wanted) - 1 :][:5] for wanted in (latest, number)]
    assert rows == [
        ["2027年3月12日", latest, "2", "–", "2028年3月12日"],
        ["2027年3月12日", number, "5", "3", "2029年3月12日"],
    ]
    assert page.index(latest) < page.index(number)
    elsewhere = world.colleague(Role.ORGANISER, division=OTHER_COMMUNITY[:9])
    for who in (elsewhere, world.colleague(Role.HELPER)):
        with pytest.raises(NotAllowed):
            plantings.groves_for_staff(world.house, who, site.id)
    bare = world.site("tree_planting")
    assert "种下的树" not in browser(world, world.organiser).get(f"/console/sites/{bare.id}")


# --- the demo ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_the_demo_has_trees_planted_a_year_ago_and_checked(world: World) -> None:
    done = CliRunner().invoke(demo_command, ["--residents", "10", "--days", "2"], obj=world.house)
    assert done.exit_code == 0, done.output
    held = contents(world.house)
    assert (len(held["planting"]), len(held["tree_check"])) == (8, 6)
    assert world.breaches() == []
    assert world.figure_differences() == []
