"""Declarations: every record is reported at most once, each step is taken once, whoever tries at the same moment."""

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlmodel import SQLModel, col

from activities import declarations, declared, declaring, source_export
from activities.actions import Action
from activities.declarations import Declaration, DeclarationState
from activities.declared import ReductionState, Sums, open_estimates, state_of, states
from activities.declaring import confirm, report, use, withdraw
from activities.quantify.factors import all_versions
from activities.review import void_action
from tanpuhui import clock, ids, reference
from tanpuhui.bureau.participation import Period
from tanpuhui.errors import (
    AlreadyDeclared,
    DeclarationMovedOn,
    EstimateChanged,
    InvalidField,
    NotAllowed,
    NotFound,
    NothingToDeclare,
)
from tanpuhui.rooms import House, build_house
from tanpuhui.sessions import Principal
from tanpuhui.staff import Role, Staff
from tests.past import DAY, DAYS, FOOD, ITEMS, confirmed, recorded, reported
from tests.tables import contents, written
from tests.threads import at_once, codes
from tests.world import COMMUNITY, World

PLATE = Sums(1, 144_000, 340_000, 449_000)


def sums(world: World) -> dict[ReductionState, Sums]:
    """What the records of the days add up to in each state, without what is empty."""
    with world.house.db.snapshot() as connection:
        found = states(connection, *DAYS)
    return {
        state: Sums(*(getattr(one, name) for name in Sums.__slots__))
        for state, one in found.items()
        if one.actions
    }


def times(one: Sums, number: int) -> Sums:
    return Sums(*(number * getattr(one, name) for name in Sums.__slots__))


def declared_in(world: World) -> dict[UUID, list[UUID]]:
    """The records of every declaration that stand in it."""
    found: dict[UUID, list[UUID]] = {}
    with world.house.db.reading() as connection:
        table = SQLModel.metadata.tables["declared_action"]
        for row in connection.execute(sa.select(table).where(table.c.standing)):
            found.setdefault(row.declaration_id, []).append(row.action_id)
    return found


# --- what could be declared ---------------------------------------------------------------------------------


def publish_with_pollutants(world: World, begins: date) -> None:
    """A version of the clean plate that knows SO2, which it raises."""
    table = SQLModel.metadata.tables["factor_version"]
    with world.house.db.transaction() as connection:
        (old,) = all_versions(connection, "clean_plate")
        end = begins - timedelta(days=1)
        connection.execute(sa.update(table).where(table.c.id == old.id).values(valid_to=end))
        fresh = {**old.model_dump(), "id": "clean_plate@2", "version": 2, "valid_from": begins}
        connection.execute(sa.insert(table), {**fresh, "so2_ng": -5_000})
        reference.bump(connection)


def test_what_is_open_stands_is_the_districts_own_and_says_what_it_knows(world: World) -> None:
    publish_with_pollutants(world, DAYS[1])
    recorded(world, 2)
    recorded(world, 1, day=DAYS[1])
    (voided,) = recorded(world)
    void_action(world.house, world.officer, voided, "重复扫码")
    recorded(world, kind="bike_trip", quantity="2")  # credited by the city
    recorded(world, kind="own_cup")  # of another methodology
    recorded(world, day=DAY - timedelta(days=1))
    with world.house.db.reading() as connection:
        found = open_estimates(connection, FOOD, *DAYS)
        assert open_estimates(connection, "shared_bikes", *DAYS).actions == 0
        assert open_estimates(connection, ITEMS, *DAYS).actions == 1
    assert (found.actions, found.co2e_mg, found.co2e_mid_mg, found.co2e_high_mg) == (
        3,
        432_000,
        1_020_000,
        1_347_000,
    )
    assert (found.verified_actions, found.verified_co2e_mg) == (3, 432_000)
    assert found.pollutants == {"nox": None, "pm25": None, "voc": None, "so2": -5, "co": None}
    assert found.known == {"nox": 0, "pm25": 0, "voc": 0, "so2": 1, "co": 0}
    assert sums(world)[ReductionState.ESTIMATED].actions == 4  # of all methodologies, the city's apart


def test_what_is_self_declared_is_told_apart(world: World) -> None:
    with world.house.db.transaction() as connection:
        connection.execute(
            sa.text("UPDATE evidence_tier SET counts_as_verified = false WHERE code = 'site_code'")
        )
    recorded(world, 2)
    with world.house.db.reading() as connection:
        found = open_estimates(connection, FOOD, *DAYS)
    assert (found.actions, found.verified_actions, found.verified_co2e_mg) == (2, 0, 0)


# --- report -------------------------------------------------------------------------------------------------


def test_a_report_takes_every_open_record_and_adds_up(world: World) -> None:
    actions = recorded(world, 3)
    (other,) = recorded(world, kind="own_cup")
    officer = world.officer
    before = contents(world.house)
    made = report(world.house, officer, FOOD, *DAYS)
    assert written(before, contents(world.house)) == {
        "declaration": {"inserted": 1},
        "declared_action": {"inserted": 3},
        "audit_entry": {"inserted": 1},
    }
    assert (made.state, made.reported_by) == (DeclarationState.REPORTED, officer.id)
    assert Sums(made.actions, made.co2e_mg, made.co2e_mid_mg, made.co2e_high_mg) == times(PLATE, 3)
    assert {key: sorted(found) for key, found in declared_in(world).items()} == {made.id: sorted(actions)}
    assert sums(world)[ReductionState.REPORTED] == times(PLATE, 3)
    with world.house.db.reading_session() as session:
        connection = session.connection()
        assert declared.estimates_of(connection, made.id).co2e_mg == made.co2e_mg
        assert open_estimates(connection, FOOD, *DAYS).actions == 0
        assert state_of(connection, actions[0]) is ReductionState.REPORTED
        assert state_of(connection, other) is ReductionState.ESTIMATED
        (deed,) = declared.history(session, made)
        assert (deed.deed, deed.name) == ("declaration.reported", session.get_one(Staff, officer.id).name)
    assert world.breaches() == []


def test_a_later_report_takes_only_what_is_not_declared_yet(world: World) -> None:
    first = reported(world, 2)
    with pytest.raises(NothingToDeclare):
        report(world.house, world.officer, FOOD, *DAYS)
    late, gone = recorded(world, 2)
    void_action(world.house, world.officer, gone, "重复扫码")
    second = report(world.house, world.officer, FOOD, *DAYS)
    assert (first.actions, second.actions) == (2, 1)
    assert declared_in(world)[second.id] == [late]
    assert world.breaches() == []


def test_where_there_is_nothing_to_declare_nothing_is_written(world: World) -> None:
    recorded(world, kind="bike_trip", quantity="2")
    officer = world.officer
    before = contents(world.house)
    for methodology, refusal in ((FOOD, NothingToDeclare), ("shared_bikes", InvalidField)):  # the city's own
        with pytest.raises(refusal):
            report(world.house, officer, methodology, *DAYS)
    assert written(before, contents(world.house)) == {}


@pytest.mark.parametrize(
    ("methodology", "first", "last", "field"),
    [
        ("no_such", DAY, DAY, "methodology"),
        ("", DAY, DAY, "methodology"),
        (FOOD, DAYS[1], DAYS[0], "to"),
        (FOOD, DAY, clock.today(), "to"),
        (FOOD, DAY, clock.today() + timedelta(days=30), "to"),
        (FOOD, DAY - timedelta(days=2000), DAY, "to"),
    ],
)
def test_only_a_methodology_and_days_that_are_over_are_reported(
    world: World, methodology: str, first: date, last: date, field: str
) -> None:
    recorded(world)
    with pytest.raises(InvalidField) as refused:
        report(world.house, world.officer, methodology, first, last)
    assert [entry["field"] for entry in refused.value.params["errors"]] == [field]
    assert declared_in(world) == {}


def test_what_has_changed_since_it_was_shown_is_not_reported(world: World) -> None:
    recorded(world, 2)
    seen = (2, 288_000)
    recorded(world)
    for shown in (seen, (3, 288_000), (None, None)):
        with pytest.raises(EstimateChanged):
            report(world.house, world.officer, FOOD, *DAYS, seen=shown)
    assert declared_in(world) == {}
    assert report(world.house, world.officer, FOOD, *DAYS, seen=(3, 432_000)).actions == 3


# --- what follows -------------------------------------------------------------------------------------------

Step = Callable[[World, UUID], Declaration]
_references = (f"沪环〔2026〕{number}号" for number in itertools.count(1))
STEPS: dict[DeclarationState, Step] = {
    DeclarationState.CONFIRMED: lambda world, which: confirm(
        world.house, world.officer, which, city_reference=next(_references), confirmed_mg=1000
    ),
    DeclarationState.USED: lambda world, which: use(
        world.house, world.officer, which, used_for="大型活动碳中和"
    ),
    DeclarationState.WITHDRAWN: lambda world, which: withdraw(
        world.house, world.officer, which, reason="填错了日期"
    ),
}


@pytest.mark.parametrize(
    "path",
    [
        (),
        (DeclarationState.CONFIRMED,),
        (DeclarationState.CONFIRMED, DeclarationState.USED),
        (DeclarationState.WITHDRAWN,),
    ],
    ids=lambda path: "-".join(("reported", *path)),
)
def test_each_step_is_taken_once_and_in_its_order(world: World, path: Sequence[DeclarationState]) -> None:
    made = reported(world)
    for state in path:
        assert STEPS[state](world, made.id).state is state
    stands = path[-1] if path else DeclarationState.REPORTED
    before = contents(world.house)
    for state, step in STEPS.items():
        if (stands, state) not in declarations.STEPS:
            with pytest.raises(DeclarationMovedOn) as refused:
                step(world, made.id)
            assert refused.value.params == {"state": stands}
    assert written(before, contents(world.house)) == {}
    with world.house.db.reading_session() as session:
        deeds = [deed.deed for deed in declared.history(session, made)]
    assert deeds == [f"declaration.{state}" for state in (DeclarationState.REPORTED, *path)]
    assert world.breaches() == []


def test_a_reduction_is_counted_in_the_state_it_has_come_to(world: World) -> None:
    made = reported(world, 2)
    found = [sums(world)]
    for state in (DeclarationState.CONFIRMED, DeclarationState.USED):
        STEPS[state](world, made.id)
        found.append(sums(world))
    wanted = (ReductionState.REPORTED, ReductionState.CONFIRMED, ReductionState.USED)
    assert found == [{state: times(PLATE, 2)} for state in wanted]
    recorded(world)
    assert sums(world) == {ReductionState.ESTIMATED: PLATE, ReductionState.USED: times(PLATE, 2)}


def test_what_the_city_confirmed_is_told_of_whole_declarations(world: World) -> None:
    made = reported(world, 2)
    recorded(world, day=DAYS[1])
    later = report(world.house, world.officer, FOOD, DAYS[1], DAYS[1])

    def found(first: date, last: date) -> dict[ReductionState, tuple[int, int | None]]:
        with world.house.db.snapshot() as connection:
            return {
                state: (one.actions, one.confirmed_mg)
                for state, one in states(connection, first, last).items()
                if state in {ReductionState.REPORTED, ReductionState.CONFIRMED}
            }

    confirm(world.house, world.officer, made.id, city_reference="沪环〔2026〕1号", confirmed_mg=200_000)
    assert found(*DAYS) == {ReductionState.REPORTED: (1, None), ReductionState.CONFIRMED: (2, 200_000)}
    confirm(world.house, world.officer, later.id, city_reference="沪环〔2026〕2号", confirmed_mg=44_000)
    assert found(*DAYS) == {ReductionState.REPORTED: (0, None), ReductionState.CONFIRMED: (3, 244_000)}
    # Of the first declaration no record is of this day, and its period is not over before it.
    assert found(DAYS[1], DAYS[1])[ReductionState.CONFIRMED] == (1, 244_000)
    before = DAY - timedelta(days=1)
    assert found(before, before)[ReductionState.CONFIRMED] == (0, 0)


def test_the_city_confirms_at_most_what_was_reported_under_a_reference_of_its_own(world: World) -> None:
    first, second = confirmed(world), reported(world)
    assert (first.confirmed_mg, first.city_reference) == (100_000, "沪环〔2026〕1号")
    for reference_, milligrams, field in (
        ("", 0, "city_reference"),
        ("  ", 0, "city_reference"),
        ("长" * 101, 0, "city_reference"),
        (" 沪环〔2026〕1号\n", 0, "city_reference"),
        ("沪环〔2026〕2号", second.co2e_mg + 1, "confirmed_mg"),
        ("沪环〔2026〕2号", -1, "confirmed_mg"),
    ):
        with pytest.raises(InvalidField) as refused:
            confirm(world.house, world.officer, second.id, city_reference=reference_, confirmed_mg=milligrams)
        assert [entry["field"] for entry in refused.value.params["errors"]] == [field]
    whole = {"city_reference": "沪环〔2026〕2号", "confirmed_mg": second.co2e_mg}
    assert confirm(world.house, world.officer, second.id, **whole).confirmed_mg == second.co2e_mg
    assert world.breaches() == []


def test_a_use_and_a_withdrawal_say_what_for_and_why(world: World) -> None:
    first, second = confirmed(world), reported(world)
    for used_for in ("", " \n", "长" * 201):
        with pytest.raises(InvalidField):
            use(world.house, world.officer, first.id, used_for=used_for)
    for reason in ("", "短", "长" * 201):
        with pytest.raises(InvalidField):
            withdraw(world.house, world.officer, second.id, reason=reason)
    assert use(world.house, world.officer, first.id, used_for=" 会议\n碳中和 ").used_for == "会议 碳中和"
    assert withdraw(world.house, world.officer, second.id, reason=" 填错了\n").withdrawn_because == "填错了"


def test_a_withdrawn_report_frees_its_records(world: World) -> None:
    kept, gone = recorded(world, 2)
    made = report(world.house, world.officer, FOOD, *DAYS)
    withdraw(world.house, world.officer, made.id, reason="有一条重复")
    assert sums(world) == {ReductionState.ESTIMATED: times(PLATE, 2)}
    void_action(world.house, world.officer, gone, "重复扫码")
    again = report(world.house, world.officer, FOOD, *DAYS)
    assert declared_in(world) == {again.id: [kept]}
    with world.house.db.reading() as connection:
        assert state_of(connection, kept) is ReductionState.REPORTED
        assert state_of(connection, gone) is None
        assert declared.estimates_of(connection, made.id).actions == 2  # what was said then
        assert state_of(connection, ids.new_id()) is None
    assert world.breaches() == []


def test_what_is_declared_is_not_voided(world: World) -> None:
    (action,) = recorded(world)
    made = report(world.house, world.officer, FOOD, *DAYS)
    officer = world.officer
    before = contents(world.house)
    with pytest.raises(AlreadyDeclared) as refused:
        void_action(world.house, officer, action, "重复扫码")
    assert (refused.value.code, refused.value.status) == ("already_declared", 409)
    assert refused.value.text == "这条记录已随申报上报市级，须先撤回该申报。"
    assert written(before, contents(world.house)) == {}
    withdraw(world.house, officer, made.id, reason="有一条重复")
    void_action(world.house, officer, action, "重复扫码")
    assert world.breaches() == []


def test_only_officers_of_the_district_take_steps(world: World) -> None:
    made, officer = reported(world), world.officer
    recorded(world)
    strangers = [
        world.organiser,
        world.colleague(Role.ADMIN, Role.AUDITOR),
        world.colleague(Role.OFFICER, division=COMMUNITY[:9]),
        Principal("staff", officer.id, officer.id, Role.AUDITOR),  # a token of another role
        Principal("resident", officer.id, officer.id),
    ]
    before = contents(world.house)
    for stranger in strangers:
        for step in (
            lambda who: report(world.house, who, FOOD, *DAYS),
            lambda who: confirm(world.house, who, made.id, city_reference="1", confirmed_mg=0),
            lambda who: use(world.house, who, made.id, used_for="会议"),
            lambda who: withdraw(world.house, who, made.id, reason="不要了"),
        ):
            with pytest.raises(NotAllowed):
                step(stranger)
    assert written(before, contents(world.house)) == {}
    with pytest.raises(NotFound):
        withdraw(world.house, officer, ids.new_id(), reason="没有这份")


# --- at the same moment -------------------------------------------------------------------------------------


@contextmanager
def offices(world: World, number: int) -> Iterator[list[tuple[House, Principal]]]:
    """As many officers, in two processes' worth of houses."""
    second = build_house(world.house.settings)
    houses = (world.house, second)
    yield [(houses[at % 2], world.colleague(Role.OFFICER)) for at in range(number)]
    second.db.dispose()


def test_of_eight_officers_who_report_at_once_one_does(world: World) -> None:
    actions = recorded(world, 40)
    with offices(world, 8) as eight:
        results = at_once([lambda at=at: report(*at, FOOD, *DAYS) for at in eight])
    assert sorted(codes(results)) == ["nothing_to_declare"] * 7 + ["ok"]
    (made,) = (result for result in results if isinstance(result, Declaration))
    assert sorted(declared_in(world)[made.id]) == sorted(actions)
    assert sums(world) == {ReductionState.REPORTED: times(PLATE, 40)}
    assert world.breaches() == []


def test_periods_that_overlap_share_no_record_when_reported_at_once(world: World) -> None:
    spans = [(DAY, DAY + timedelta(days=more)) for more in range(4)]
    for more in range(4):
        recorded(world, 5, day=DAY + timedelta(days=more))
    with offices(world, 4) as four:
        results = at_once(
            [lambda at=at, span=span: report(*at, FOOD, *span) for at, span in zip(four, spans, strict=True)]
        )
    assert set(codes(results)) <= {"ok", "nothing_to_declare"}
    found = [action for actions in declared_in(world).values() for action in actions]
    assert len(found) == len(set(found)) == 20
    assert world.breaches() == []


def looked_at(house: House) -> list[UUID]:
    """What is open, by a look that is over before anything is written."""
    with house.db.reading() as connection:
        query = sa.select(col(Action.id)).where(*declared.undeclared(FOOD, *DAYS))
        return list(connection.scalars(query))


def write_down(connection: sa.Connection, actions: Sequence[UUID], officer: Principal) -> None:
    """Declare `actions` without another look."""
    declaration_id = ids.new_id()
    rows = [{"declaration_id": declaration_id, "action_id": action, "standing": True} for action in actions]
    connection.execute(sa.insert(SQLModel.metadata.tables["declared_action"]), rows)
    said = {"id": declaration_id, "methodology": FOOD, "first": DAYS[0], "last": DAYS[1]}
    by = {"reported_by": officer.id, "reported_at": clock.now()}
    declaring._add_up(connection, {**said, "state": DeclarationState.REPORTED, **by})


def write_void(connection: sa.Connection, action_id: UUID, officer: Principal) -> None:
    """Void without a look at what is declared."""
    row = {"action_id": action_id, "voided_at": clock.now(), "voided_by": officer.id, "reason": "重复扫码"}
    connection.execute(sa.insert(SQLModel.metadata.tables["action_void"]), row)


def outcomes(results: Sequence[Any]) -> list[str]:
    """Which of these were written, and which the database has refused."""
    return sorted("refused" if isinstance(result, IntegrityError) else str(result) for result in results)


def drop(house: House, *names: str) -> None:
    """Take guards down (`table.name`), or the index under which a record is declared once."""
    with house.db.transaction() as connection:
        for guard in declarations.GUARDS:
            if f"{guard.table}.{guard.name}" in names:
                for statement in guard.drop(connection.dialect.name):
                    connection.exec_driver_sql(statement)
        if "index" in names:
            connection.exec_driver_sql("DROP INDEX uq_declared_action_standing")


@pytest.mark.parametrize("guarded", [True, False])
def test_who_looks_first_and_writes_later_is_stopped_by_the_database_alone(
    world: World, guarded: bool
) -> None:
    """The negative control of eight officers at once: without the index every one of them declares every record."""
    recorded(world, 3)
    officer, looked = world.officer, threading.Barrier(8)
    if not guarded:
        drop(world.house, "index")

    def hasty() -> None:
        actions = looked_at(world.house)
        looked.wait(30)
        with world.house.db.transaction() as connection:
            write_down(connection, actions, officer)

    results = at_once([hasty] * 8)
    assert outcomes(results) == (["None"] + ["refused"] * 7 if guarded else ["None"] * 8)
    breaches = {line.split(": ")[0] for line in world.breaches()}
    assert breaches == (set() if guarded else {"a record stands in one declaration at most"})


def test_a_report_and_a_void_at_once_never_both_have_a_record(world: World) -> None:
    seen = []
    with offices(world, 2) as (one, other):
        for _ in range(12):
            (action,) = recorded(world)
            results = at_once(
                [
                    lambda: report(*one, FOOD, *DAYS),
                    lambda action=action: void_action(*other, action, "重复扫码"),
                ]
            )
            seen.append(tuple(codes(results)))
    assert set(seen) <= {("ok", "already_declared"), ("nothing_to_declare", "ok")}
    assert world.breaches() == []


NEVER_BOTH = "what is voided or credited by the city stands in no declaration"


@pytest.mark.parametrize("guarded", [True, False])
def test_a_void_that_looked_before_a_report_is_stopped_by_the_database_alone(
    world: World, guarded: bool
) -> None:
    """The negative control: each has looked before the other writes."""
    (action,) = recorded(world)
    officer, looked = world.officer, threading.Barrier(2)
    if not guarded:
        drop(world.house, "action_void.declared", "declared_action.fit")

    def hasty_report() -> None:
        actions = looked_at(world.house)
        looked.wait(30)
        with world.house.db.transaction() as connection:
            write_down(connection, actions, officer)

    def hasty_void() -> None:
        with world.house.db.reading() as connection:
            assert not declarations.is_declared(connection, action)
        looked.wait(30)
        with world.house.db.transaction() as connection:
            write_void(connection, action, officer)

    results = at_once([hasty_report, hasty_void])
    assert outcomes(results) == (["None", "refused"] if guarded else ["None", "None"])
    both = any(line.startswith(NEVER_BOTH) for line in world.breaches())
    assert both is not guarded


@pytest.mark.parametrize("engine", ["postgres"])
@pytest.mark.parametrize("locked", [True, False])
def test_on_postgresql_the_guards_need_their_lock(world: World, locked: bool) -> None:
    """Two open transactions do not see each other: without the lock both guards let pass, and both commit."""
    (action,) = recorded(world)
    officer = world.officer
    if not locked:
        with world.house.db.transaction() as connection:
            for guard in declarations.GUARDS:
                if guard.first:
                    for statement in replace(guard, first="").create("postgresql"):
                        connection.exec_driver_sql(statement)
    with world.house.db.engine.connect() as one, world.house.db.engine.connect() as other:
        write_down(one, [action], officer)
        other.execute(sa.text("SET LOCAL lock_timeout = '200ms'"))
        if locked:
            with pytest.raises(DBAPIError, match="lock timeout"):
                write_void(other, action, officer)
            other.rollback()
        else:
            write_void(other, action, officer)
        one.commit()
        if locked:
            with pytest.raises(IntegrityError, match="stands in a declaration"):
                write_void(other, action, officer)
            other.rollback()
        else:
            other.commit()
    assert any(line.startswith(NEVER_BOTH) for line in world.breaches()) is not locked


@pytest.mark.parametrize(
    "steps",
    [
        (DeclarationState.CONFIRMED,) * 4,
        (DeclarationState.WITHDRAWN,) * 4,
        (DeclarationState.CONFIRMED, DeclarationState.WITHDRAWN) * 2,
        (DeclarationState.USED,) * 4,
    ],
    ids="-".join,
)
def test_of_two_officers_who_take_a_step_at_once_one_does(
    world: World, steps: Sequence[DeclarationState]
) -> None:
    made = confirmed(world) if DeclarationState.USED in steps else reported(world)
    said = {
        DeclarationState.CONFIRMED: lambda at, n: confirm(
            *at, made.id, city_reference=f"沪环〔2027〕{n}号", confirmed_mg=1
        ),
        DeclarationState.USED: lambda at, n: use(*at, made.id, used_for=f"会议 {n}"),
        DeclarationState.WITHDRAWN: lambda at, n: withdraw(*at, made.id, reason=f"原因 {n}"),
    }
    with offices(world, 4) as four:
        results = at_once(
            [
                lambda at=at, n=n, step=step: said[step](at, n)
                for n, (at, step) in enumerate(zip(four, steps, strict=True))
            ]
        )
    assert sorted(codes(results)) == ["declaration_moved_on"] * 3 + ["ok"]
    assert world.breaches() == []


def test_a_city_reference_given_twice_at_once_is_taken_once(world: World) -> None:
    which = [reported(world).id for _ in range(3)]
    with offices(world, 3) as three:
        results = at_once(
            [
                lambda at=at, one=one: confirm(*at, one, city_reference="沪环〔2026〕9号", confirmed_mg=1)
                for at, one in zip(three, which, strict=True)
            ]
        )
    assert sorted(codes(results)) == ["invalid_fields"] * 2 + ["ok"]


# --- what the database refuses ------------------------------------------------------------------------------


@pytest.fixture
def filed(world: World) -> dict[str, Any]:
    """A declaration in each state, a voided record, one of the city's, one that is open."""
    officer = world.officer
    found: dict[str, Any] = {"officer": officer.id}
    found["withdrawn"] = STEPS[DeclarationState.WITHDRAWN](world, reported(world).id).id
    (found["voided"],) = recorded(world)
    void_action(world.house, officer, found["voided"], "重复扫码")
    found["confirmed"] = confirmed(world, "沪环〔2025〕1号").id
    found["used"] = STEPS[DeclarationState.USED](world, confirmed(world, "沪环〔2025〕2号").id).id
    (found["declared"],) = recorded(world)
    found["reported"] = report(world.house, officer, FOOD, *DAYS).id
    (found["city"],) = recorded(world, kind="bike_trip", quantity="2")
    (found["open"],) = recorded(world)
    (found["other"],) = recorded(world, kind="own_cup")
    (found["early"],) = recorded(world, day=DAY - timedelta(days=1))
    return found


Statements = Callable[[dict[str, Any]], list[sa.Executable]]


def change(which: str, **values: Any) -> Statements:
    """An UPDATE of the declaration in a state."""
    table = SQLModel.metadata.tables["declaration"]
    return lambda filed: [sa.update(table).where(table.c.id == filed[which]).values(values)]


def adding(*actions: str, to: str | None = None, standing: bool = True, **said: Any) -> Statements:
    """The INSERTs of a declaration of `actions` (clean plates, unless `said` otherwise), or of records `to` one."""

    def statements(filed: dict[str, Any]) -> list[sa.Executable]:
        made = filed[to] if to else ids.new_id()
        rows = [{"declaration_id": made, "action_id": filed[name], "standing": standing} for name in actions]
        inserts: list[sa.Executable] = [
            sa.insert(SQLModel.metadata.tables["declared_action"]).values(row) for row in rows
        ]
        if to or said.get("without"):
            return inserts
        own = times(PLATE, len(actions))
        values = {name: getattr(own, name) for name in Sums.__slots__}
        values |= {"id": made, "methodology": FOOD, "first": DAYS[0], "last": DAYS[1], "state": "reported"}
        values |= {"reported_by": filed["officer"], "reported_at": clock.now(), **said}
        return [*inserts, sa.insert(SQLModel.metadata.tables["declaration"]).values(values)]

    return statements


def deleting(table: str) -> Statements:
    return lambda _filed: [sa.delete(SQLModel.metadata.tables[table])]


def freeing(which: str) -> Statements:
    table = SQLModel.metadata.tables["declared_action"]
    return lambda filed: [
        sa.update(table).where(table.c.declaration_id == filed[which]).values(standing=False)
    ]


def voiding(which: str) -> Statements:
    return lambda filed: [
        sa.insert(SQLModel.metadata.tables["action_void"]).values(
            action_id=filed[which], voided_at=clock.now(), voided_by=filed["officer"], reason="重复扫码"
        )
    ]


NOW = clock.now()
CONFIRMED = {
    "state": "confirmed",
    "confirmed_at": NOW,
    "city_reference": "沪环〔2024〕1号",
    "confirmed_mg": 1,
}
USED = {"state": "used", "used_at": NOW, "used_for": "会议"}
WITHDRAWN = {"state": "withdrawn", "withdrawn_at": NOW, "withdrawn_because": "错了"}
NOTHING = {
    "confirmed_at": None,
    "city_reference": None,
    "confirmed_mg": None,
    "used_at": None,
    "used_for": None,
}

REFUSED: dict[str, Statements] = {
    **{
        f"editing {name}": change("reported", **{name: value})
        for name, value in {
            "methodology": ITEMS,
            "first": DAY - timedelta(days=1),
            "last": DAY + timedelta(days=7),
            "actions": 2,
            "co2e_mg": 1,
            "co2e_mid_mg": 341_000,
            "co2e_high_mg": 450_000,
            "reported_at": NOW,
        }.items()
    },
    "using what is not confirmed": change("reported", **{**CONFIRMED, **USED}),
    "confirming twice": change("confirmed", confirmed_mg=2),
    "confirming what was used": change("used", **{**NOTHING, **CONFIRMED}),
    "taking a confirmation back": change("confirmed", state="reported", **NOTHING),
    "using twice": change("used", used_for="另一个会议"),
    "taking a use back": change("used", state="confirmed", used_at=None, used_for=None),
    "withdrawing what is confirmed": change("confirmed", **{**NOTHING, **WITHDRAWN}),
    "withdrawing what is used": change("used", **{**NOTHING, **WITHDRAWN}),
    "reporting what was withdrawn": change("withdrawn", state="reported", withdrawn_at=None, withdrawn_because=None),
    "confirming what was withdrawn": change(
        "withdrawn", **{**CONFIRMED, "withdrawn_at": None, "withdrawn_because": None}
    ),
    "confirming more than was reported": change("reported", **{**CONFIRMED, "confirmed_mg": 144_001}),
    "confirming less than nothing": change("reported", **{**CONFIRMED, "confirmed_mg": -1}),
    "confirming without a reference": change("reported", **{**CONFIRMED, "city_reference": None}),
    "confirming under an empty reference": change("reported", **{**CONFIRMED, "city_reference": ""}),
    "a reference of another": change("reported", **{**CONFIRMED, "city_reference": "沪环〔2025〕1号"}),
    "using for nothing": change("confirmed", **{**USED, "used_for": ""}),
    "withdrawing without a reason": change("reported", **{**WITHDRAWN, "withdrawn_because": None}),
    "deleting a declaration": deleting("declaration"),
    "deleting declared records": deleting("declared_action"),
    "declaring a voided record": adding("voided"),
    "declaring what the city credits": adding("city", methodology="shared_bikes"),
    "declaring a record twice": adding("declared"),
    "declaring a record that is used": adding("open", "declared"),
    "a record added to a report": adding("open", to="reported"),
    "a record added to what is confirmed": adding("open", to="confirmed"),
    "a record added to what was withdrawn": adding("open", to="withdrawn"),
    "a record that does not stand": adding("open", standing=False),
    "a declaration without a record": adding(actions=1, co2e_mg=144_000),
    "records without their declaration": adding("open", without=True),
    "another number of records": adding("open", actions=2),
    "a smaller sum": adding("open", co2e_mg=143_999),
    "a larger middle": adding("open", co2e_mid_mg=340_001),
    "a larger sum": adding("open", co2e_high_mg=450_000),
    "a record before the period": adding("open", "early"),
    "a record of another methodology": adding("open", methodology=ITEMS),
    "one record of another methodology": adding("open", "other", co2e_mg=184_000, co2e_mid_mg=380_000, co2e_high_mg=489_000),
    "a period that ends before it begins": adding("open", first=DAYS[1], last=DAYS[0]),
    "a declaration that begins as confirmed": adding("open", **CONFIRMED),
    "freeing the records of a report": freeing("reported"),
    "freeing the records of what is used": freeing("used"),
    "voiding a declared record": voiding("declared"),
}  # fmt: skip


def refused(house: House, statements: Sequence[sa.Executable]) -> bool:
    """Whether the database refuses these statements, made in one transaction."""
    try:
        with house.db.transaction() as connection:
            for statement in statements:
                connection.execute(statement)
    except IntegrityError:
        return True
    return False


def test_the_database_refuses_what_a_service_might_miss(world: World, filed: dict[str, Any]) -> None:
    before = contents(world.house)
    passed = [what for what, statements in REFUSED.items() if not refused(world.house, statements(filed))]
    assert passed == []
    assert written(before, contents(world.house)) == {}


def test_the_database_lets_pass_what_is_right(world: World, filed: dict[str, Any]) -> None:
    """The negative control: the same statements, with nothing wrong in them."""
    for statements in (
        adding("open"),
        adding("other", methodology=ITEMS, co2e_mg=40_000, co2e_mid_mg=40_000, co2e_high_mg=40_000),
        adding("early", first=DAY - timedelta(days=1)),
        change("confirmed", **USED),
        change("reported", **WITHDRAWN),
        freeing("reported"),
        voiding("declared"),
    ):
        assert not refused(world.house, statements(filed))


# --- what verify finds --------------------------------------------------------------------------------------

LOST_OR_ALTERED = {
    "UPDATE declaration SET co2e_mg = co2e_mg - 1 WHERE state = 'reported'": "a declaration adds up to its records",
    "UPDATE declaration SET actions = actions + 1": "a declaration adds up to its records",
    "DELETE FROM declared_action": "a declaration adds up to its records",
    "UPDATE declaration SET last = first": "a declared record is of its declaration's methodology and period",
    f"UPDATE declaration SET methodology = '{ITEMS}'": "a declared record is of its declaration's methodology and period",
    "UPDATE action SET city_credited = true": NEVER_BOTH,
    "INSERT INTO action_void (action_id, voided_at, voided_by, reason) SELECT a.id, a.recorded_at, d.reported_by, 'x' FROM action a, declaration d "
    "WHERE d.state = 'reported'": NEVER_BOTH,
    "UPDATE declared_action SET standing = false": "a declared record stands as long as its declaration",
    "UPDATE declaration SET state = 'withdrawn', withdrawn_at = reported_at, withdrawn_because = 'x' "
    "WHERE state = 'reported'": "a declared record stands as long as its declaration",
    "UPDATE declaration SET confirmed_mg = co2e_mg + 1 WHERE state = 'confirmed'": "no more is confirmed than was reported",
}


def test_what_was_altered_behind_the_guards_is_found(world: World) -> None:
    confirmed(world)
    recorded(world, 2, day=DAYS[1])
    report(world.house, world.officer, FOOD, *DAYS)
    assert world.breaches() == []
    drop(world.house, *(f"{guard.table}.{guard.name}" for guard in declarations.GUARDS))
    with world.house.db.engine.connect() as connection:
        if not world.house.db.is_sqlite:
            connection.execute(sa.text("SET session_replication_role = replica"))
            connection.execute(sa.text("ALTER TABLE declaration DROP CONSTRAINT ck_declaration_confirmed_mg"))
            connection.commit()
        else:
            connection.execute(sa.text("DROP TRIGGER action_no_update"))
            connection.commit()
            connection.connection.execute("PRAGMA ignore_check_constraints=ON")
            connection.connection.execute("PRAGMA foreign_keys=OFF")
        for statement, invariant in LOST_OR_ALTERED.items():
            assert connection.execute(sa.text(statement)).rowcount > 0
            found = {
                wanted.name
                for room in world.house.rooms
                for wanted in room.invariants
                if list(wanted.breaches(connection))
            }
            connection.rollback()
            assert invariant in found, statement
        connection.invalidate()  # with what was switched off
    assert world.breaches() == []


@pytest.mark.parametrize("engine", ["sqlite"])
@pytest.mark.parametrize(("last", "found"), [(date(2026, 10, 31), True), (date(2028, 9, 30), False)])
def test_the_records_of_a_month_are_found_without_reading_all_others(
    world: World, last: date, found: bool
) -> None:
    """By the index by site and day, as the database itself says; of two years all are gone through."""
    asked: list[tuple[str, Any]] = []
    with world.house.db.reading() as connection:
        sa.event.listen(connection, "before_cursor_execute", lambda *said: asked.append(said[2:4]))
        declared.states(connection, date(2026, 10, 1), last)
        source_export.export(connection, Period(date(2026, 10, 1), last))
        raw = connection.connection.driver_connection
        assert raw
        plans = [
            " ".join(row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {text}", bound))
            for text, bound in asked
            if "FROM action" in text and "action.day" in text
        ]
    by_day = "USING INDEX ix_action_site_id_day (site_id=? AND day>? AND day<?)"
    assert [by_day in plan for plan in plans] == [found] * 3
