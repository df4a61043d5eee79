"""One deed, one credit: the better proven record of a deed stays, whichever way it came."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace as changed
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from sqlmodel import col, select

from activities import codes, helping, limits, members, replacing, scans
from activities.actions import Action, ActionVoid
from activities.catalogue import ActionKind
from activities.codes import CodeKind
from rewards import ledger
from rewards.ledger import Posting, account_of
from rewards.statements import statement
from tanpuhui import clock, signing
from tanpuhui.errors import CannotReplace, Clash, InvalidReference, ProvenBetter, TooSoon
from tanpuhui.people import Resident
from tanpuhui.reference import load_reference
from tanpuhui.signing import Form, Token
from tests.sheets import edit, reference_copy, setting
from tests.threads import at_once, codes as outcomes
from tests.world import World

NOON = datetime(2027, 6, 7, 4, 0, tzinfo=UTC)
RANKS = {"self": 1, "poster": 3, "rotating": 4, "slip": 4, "desk": 5, "measured": 6}

Scan = Callable[[str], dict[str, Any]]


@pytest.fixture(autouse=True)
def time() -> Iterator[time_machine.Traveller]:
    """Noon in Shanghai, at the beginning of a period of rotating codes."""
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


@pytest.fixture(autouse=True)
def declaring(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes with a key that begins with "self" is recorded as its doer's own word."""
    draft_of = scans.draft_of

    def as_declared(*args: Any) -> Any:
        draft = draft_of(*args)
        if draft.request.key.startswith("self"):
            draft.fields |= {"evidence": "self_declared", "verified": False}
        return draft

    monkeypatch.setattr(scans, "draft_of", as_declared)


def ways(world: World, resident: Resident, kind: str = "own_cup") -> dict[str, Scan]:
    """Every path of entry, at one site: each records a deed of the resident under a key."""
    house, who, site = world.house, world.organiser, world.site(kind)
    poster = world.code_at(site)

    def code(of: CodeKind, **more: Any) -> codes.Code:
        return codes.issue_code(house, who, site.id, kind=of, **more)

    screen, scale = code(CodeKind.ROTATING), code(CodeKind.MEASURED, action_kind=kind)
    slips = code(CodeKind.SLIPS, copies=1, action_kind=kind, quantity_milli=1000)
    card = members.token_of(house.settings, members.own_card(house, resident.id).number)
    key = signing.keyring(house.settings).partner_key(scale.id)
    weighed = signing.sign_measured(key, 0, Token(Form.MEASURED, scale.id, (1000, 1)))

    def scan(token: Callable[[], str]) -> Scan:
        return lambda key: world.scan(resident, token(), key=key)

    def desk(key: str) -> dict[str, Any]:
        answer = helping.record_for(house, who, site.id, key=key, member=card, kind=kind, quantity=None)
        told: dict[str, Any] = json.loads(answer.body)
        return told

    return {
        "self": scan(lambda: poster),
        "poster": scan(lambda: poster),
        "rotating": scan(lambda: codes.rotating_token(house.settings, screen.id, clock.now())),
        "slip": scan(lambda: codes.slip_token(house.settings, slips.id, 1)),
        "desk": desk,
        "measured": scan(lambda: weighed),
    }


def standing(world: World) -> list[Action]:
    with world.house.db.reading_session() as session:
        voided = select(ActionVoid.action_id)
        return list(session.exec(select(Action).where(col(Action.id).not_in(voided))))


@pytest.mark.parametrize("first", RANKS)
def test_of_two_ways_the_stronger_stays(world: World, time: Any, first: str) -> None:
    for second in tuple(RANKS):
        resident = world.resident()
        way = ways(world, resident)
        before = way[first](f"{first}-1-{second}")
        time.shift(timedelta(minutes=5))
        if first == second == "slip":
            continue  # used up, whatever the deed
        if RANKS[second] > RANKS[first]:
            answer = way[second](f"{second}-2-{first}")
            assert answer["replaced"] == [before["action"]["id"]]
            assert answer["points"]["balance"] == answer["points"]["posted"]
            assert answer["left_today"] == before["left_today"]
            assert way[second](f"{second}-2-{first}") == answer
        elif first != second or first != "measured":
            with pytest.raises(TooSoon if RANKS[second] == RANKS[first] else ProvenBetter):
                way[second](f"{second}-2-{first}")
    assert world.breaches() == []
    assert world.figure_differences() == []


def test_the_resident_sees_both_lines(world: World) -> None:
    resident = world.resident()
    way = ways(world, resident)
    way["self"]("self-one")
    way["poster"]("two-two")
    with world.house.db.reading() as connection:
        lines = statement(connection, resident.id)
        assert [line.replaced for line in lines] == [True, False, False]
        assert sum(line.points for line in lines) == ledger.balance(connection, resident.id)


def test_a_late_record_is_judged_by_its_evidence_too(world: World, time: Any) -> None:
    resident = world.resident()
    way = ways(world, resident)
    poster = world.code("own_cup")
    time.shift(timedelta(hours=3))
    way["self"]("self-now")
    happened = clock.now() - timedelta(minutes=10)
    assert "replaced" in world.scan(resident, poster, key="late-one", occurred_at=happened)
    with pytest.raises(ProvenBetter):
        world.scan(resident, poster, key="self-late", occurred_at=happened - timedelta(minutes=5))


def spend(world: World, resident: Resident, points: int) -> None:
    with world.house.db.transaction() as connection:
        account = account_of(resident.id)
        ledger.take(connection, Posting("spent", account, "programme:shop", points, clock.now()))


def test_points_that_were_spent_do_not_stand_in_the_way(world: World) -> None:
    resident = world.resident()
    way = ways(world, resident)
    earned = way["self"]("self-one")["points"]["balance"]
    spend(world, resident, earned)
    answer = way["poster"]("two-two")
    assert answer["points"]["balance"] == answer["points"]["posted"] - earned


@pytest.mark.parametrize("why", ["declared", "spent"])
def test_what_cannot_be_taken_back_stays_and_nothing_is_recorded(
    world: World, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    resident = world.resident()
    way = ways(world, resident)
    before = way["self"]("self-one")
    if why == "declared":
        monkeypatch.setattr(replacing, "is_declared", lambda *_: True)
    else:
        spend(world, resident, before["points"]["balance"])
        with world.house.db.transaction() as connection:  # points switched off: the new record earns none
            connection.exec_driver_sql(
                f"UPDATE resident SET with_points = {'0' if world.house.db.is_sqlite else 'false'}"
            )
    with pytest.raises(CannotReplace):
        way["poster"]("two-two")
    assert [str(action.id) for action in standing(world)] == [before["action"]["id"]]


def a_hundred_at_once(world: World) -> list[str]:
    way = ways(world, world.resident())
    names = list(RANKS)
    given = [(name, f"{name}-{number}") for number, name in enumerate((names * 17)[:100])]
    return outcomes(at_once([lambda one=one: way[one[0]](one[1]) for one in given]))


def test_of_a_hundred_attempts_at_once_the_strongest_stands(world: World) -> None:
    results = a_hundred_at_once(world)
    assert [action.evidence for action in standing(world)] == ["measured"]
    assert set(results) <= {"ok", "too_soon", "proven_better", "slip_used"}
    assert world.breaches() == []
    assert world.figure_differences() == []


def test_without_the_rule_a_hundred_attempts_at_once_are_credited_more_than_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: then the day's limit is all that holds, and `verify` tells."""
    monkeypatch.setattr(limits, "deeds", lambda *_: [])
    monkeypatch.setattr(limits, "_check_interval", lambda *_: None)
    assert a_hundred_at_once(world).count("ok") == 3
    assert len(standing(world)) == 3
    assert any("no two standing records are one deed" in breach for breach in world.breaches())


# --- groups -------------------------------------------------------------------------------------------------


def test_a_period_has_one_meal_and_the_better_proof_of_it_stays(world: World, time: Any) -> None:
    resident = world.resident()
    way = ways(world, resident, "clean_plate")
    lunch = way["poster"]("lunch-one")
    time.shift(timedelta(hours=3))
    with pytest.raises(Clash):
        way["poster"]("lunch-two")
    with pytest.raises(ProvenBetter):
        way["self"]("self-lunch")
    assert way["desk"]("lunch-desk")["replaced"] == [lunch["action"]["id"]]
    time.shift(timedelta(hours=2))
    assert "replaced" not in way["poster"]("supper-1")
    assert [action.evidence for action in standing(world)] == ["staff_confirmed", "site_code"]
    assert world.breaches() == []


def test_one_trip_by_two_ways_is_one_and_the_next_leg_another(world: World, time: Any) -> None:
    resident = world.resident()
    metro, bus, desk = world.code("metro_trip"), world.code("bus_trip"), world.code("bus_trip", staffed=True)
    first = world.scan(resident, metro, quantity="3")
    time.shift(timedelta(minutes=2))
    with pytest.raises(Clash):
        world.scan(resident, bus, quantity="3")
    assert world.scan(resident, desk, quantity="3")["replaced"] == [first["action"]["id"]]
    time.shift(timedelta(minutes=6))
    world.scan(resident, metro, quantity="3")
    assert [action.kind for action in standing(world)] == ["bus_trip", "metro_trip"]
    assert world.breaches() == []


def test_one_better_record_takes_the_place_of_all_weaker_ones(world: World, time: Any) -> None:
    resident = world.resident()
    desk = world.code("metro_trip", staffed=True)
    world.scan(resident, world.code("bus_trip"), quantity="3")
    time.shift(timedelta(minutes=8))
    world.scan(resident, world.code("bike_trip"), quantity="1")
    happened = clock.now() - timedelta(minutes=4)
    assert len(world.scan(resident, desk, quantity="3", occurred_at=happened)["replaced"]) == 2
    assert [action.kind for action in standing(world)] == ["metro_trip"]
    assert world.breaches() == []


def test_the_page_does_not_call_a_day_full_whose_record_would_be_replaced(world: World, time: Any) -> None:
    resident = world.resident()
    poster, desk = world.code("walk"), world.code("walk", staffed=True)
    world.scan(resident, poster, quantity=3000)  # one a day
    time.shift(timedelta(hours=1))
    assert scans.preview(world.house, poster, resident.id).left == {"walk": 0}
    assert scans.preview(world.house, desk, resident.id).left == {"walk": 1}
    assert "replaced" in world.scan(resident, desk, quantity=3000)
    assert scans.preview(world.house, desk, resident.id).left == {"walk": 0}
    assert world.breaches() == []


# --- batches ------------------------------------------------------------------------------------------------


def test_a_record_that_stays_does_not_touch_the_other_scans_of_its_batch(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixed, open_, plain = world.residents(3)
    poster, screen = world.code("own_cup"), world.code("own_cup", staffed=True)
    weak = {one.id: world.scan(one, poster, key="self-one")["action"]["id"] for one in (fixed, open_)}
    monkeypatch.setattr(replacing, "is_declared", lambda _, action_id: str(action_id) == weak[fixed.id])
    requests = [
        scans.read_request(world.house, who=one.id, key="together", code=screen)
        for one in (fixed, open_, plain)
    ]
    seen: list[str] = []
    with statements(world, seen):
        refused, replacing_one, ordinary = world.house.part(scans.Desk)._record_batch(requests)
    assert isinstance(refused, CannotReplace)
    assert json.loads(replacing_one.body)["replaced"] == [weak[open_.id]]
    assert "replaced" not in json.loads(ordinary.body)
    assert len(standing(world)) == 3
    assert sum("SAVEPOINT" in one and "RELEASE" not in one for one in seen) >= 2
    assert world.breaches() == []


@contextmanager
def statements(world: World, seen: list[str]) -> Iterator[None]:
    """Gathers the statements that are run meanwhile."""

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    def savepoint(_connection: Any, name: str, *_: Any) -> None:
        seen.append(f"SAVEPOINT {name}")

    engine = world.house.db.engine
    sa.event.listen(engine, "before_cursor_execute", note)
    sa.event.listen(engine, "savepoint", savepoint)
    try:
        yield
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)
        sa.event.remove(engine, "savepoint", savepoint)


def test_an_ordinary_scan_runs_no_statement_of_replacing(world: World) -> None:
    resident, seen = world.resident(), list[str]()
    code = world.code("own_cup")
    with statements(world, seen):
        world.scan(resident, code)
    assert seen
    assert not [one for one in seen if re.search(r"SAVEPOINT|advisory|INTO action_void|declared_action", one)]


# --- the rules as data --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "column", "message"),
    [
        ({"within": "week"}, "within", "week"),
        ({"minutes": "0"}, "minutes", "1"),
        ({"periods": "10:00-09:00"}, "periods", "ends before it begins"),
        ({"periods": "05:00-10:00 09:00-12:00"}, "periods", "overlaps"),
        ({"periods": ""}, "periods", "must be given"),
        ({"within": "day"}, "periods", "nothing else"),
        ({"clash_group": "mael"}, "clash_group", "no kind"),
    ],
)
def test_a_bad_rule_is_told_and_nothing_is_loaded(
    world: World, tmp_path: Path, changes: dict[str, str], column: str, message: str
) -> None:
    folder = reference_copy(tmp_path)
    edit(folder / "clashes.csv", setting(0, **changes))
    with pytest.raises(InvalidReference) as caught:
        load_reference(world.house, folder)
    (problem,) = caught.value.params["errors"]
    assert (problem["file"], problem["column"]) == ("clashes.csv", column)
    assert message in problem["reason"]


def test_a_changed_rule_holds_from_the_next_scan_on(world: World, time: Any, tmp_path: Path) -> None:
    resident = world.resident()
    way = ways(world, resident, "clean_plate")
    way["poster"]("lunch-one")
    time.shift(timedelta(hours=3))
    with pytest.raises(Clash):
        way["poster"]("lunch-two")
    folder = reference_copy(tmp_path)
    edit(folder / "clashes.csv", setting(0, periods="05:00-10:00 10:00-13:00 13:00-22:00"))
    load_reference(world.house, folder)
    assert "replaced" not in way["poster"]("lunch-six")
    assert world.breaches() == []


def test_the_yearly_check_of_trees_is_never_replaced() -> None:
    kind = ActionKind(code="tree_planting", min_interval_minutes=30, clash_group=None)
    check = limits.Recorded(
        "tree_planting", "树", "tree", None, NOON.date(), NOON, 1000, 30, rank=1, lasting=True
    )
    assert limits.weaker(kind, 5, NOON, [check], {}) == []
    assert limits.weaker(kind, 5, NOON, [changed(check, lasting=False)], {}) != []
