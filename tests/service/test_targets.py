"""Targets: set, divided, changed and withdrawn by the district's officers; progress from the figures; tasks and reminders."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any
from unittest import mock
from uuid import UUID

import pytest
import sqlalchemy as sa
import time_machine
from sqlalchemy.exc import DatabaseError
from sqlmodel import SQLModel, col, select

from activities.review import void_action
from activities.reviews import Waits
from tanpuhui import clock
from tanpuhui.audit import AuditEntry
from tanpuhui.bureau import target_changes as changes, target_progress
from tanpuhui.bureau.target_changes import change_target, enter_progress, set_target, withdraw_target
from tanpuhui.bureau.target_forms import TargetIn, typed
from tanpuhui.bureau.target_progress import Progress, progress
from tanpuhui.bureau.target_task_changes import (
    TaskIn,
    change_task,
    drop_task,
    finish_task,
    follow_up,
    reopen_task,
    set_task,
)
from tanpuhui.bureau.target_tasks import Step, TargetReminder, TargetTask, follow_ups_of, mark_seen, unseen
from tanpuhui.bureau.targets import Target, readable
from tanpuhui.errors import (
    InvalidField,
    NotAllowed,
    NotFound,
    TargetChanged,
    TargetHeld,
    TaskClosed,
)
from tanpuhui.ids import new_id
from tanpuhui.jobs import Job, run_due
from tanpuhui.sessions import Principal
from tanpuhui.staff import Role
from tests.threads import at_once, codes
from tests.world import DISTRICT, OTHER_COMMUNITY, STREET, World

YEAR = 2026
NOON = datetime(2026, 7, 2, 12, tzinfo=clock.SHANGHAI)  # the 183rd day
OTHER_STREET = OTHER_COMMUNITY[:9]


@pytest.fixture(autouse=True)
def time() -> Iterator[Any]:
    with time_machine.travel(NOON, tick=True) as traveller:
        yield traveller


def said(world: World, **more: Any) -> TargetIn:
    """A target of the district as a form says it."""
    told: dict[str, Any] = {
        "measure": "co2e",
        "amount": "100",
        "division_code": DISTRICT,
        "answerer_id": str(world.officer.id),
        "basis": "实施方案第 20 条",
        "due_on": "2026-12-31",
    }
    return TargetIn(**{**told, **more})


def make(world: World, parent: UUID | None = None, year: int = YEAR, **more: Any) -> UUID:
    return set_target(world.house, world.officer, year, said(world, **more), parent_id=parent)


def read(world: World, target_id: UUID) -> Target:
    with world.house.db.reading_session() as session:
        return session.get_one(Target, target_id)


def shown(world: World, who: Principal, year: int = YEAR) -> list[str]:
    with world.house.db.reading_session() as session:
        return [one.code for one in readable(session, world.house, who, year)]


def reached(world: World, *wanted: UUID) -> list[Progress]:
    world.house.relay.drain()
    with world.house.db.reading_session() as session:
        targets = [session.get_one(Target, one) for one in wanted]
        found = progress(session.connection(), targets, clock.today())
    return [found[one] for one in wanted]


def audited(world: World, target_id: UUID) -> list[AuditEntry]:
    with world.house.db.reading_session() as session:
        query = select(AuditEntry).where(AuditEntry.subject == f"target:{target_id}")
        return list(session.exec(query.order_by(col(AuditEntry.at), col(AuditEntry.id))))


def fields(refused: pytest.ExceptionInfo[InvalidField]) -> list[str]:
    return [entry["field"] for entry in refused.value.params["errors"]]


# --- the tree -----------------------------------------------------------------------------------------------


def test_a_tree_is_set_changed_and_withdrawn_and_every_step_is_audited(world: World) -> None:
    root = make(world)
    street = make(world, root, division_code=STREET, amount="60")
    department = make(world, root, department="区绿化市容局", kind="recycle_glass", amount="100")
    deep = make(world, street, division_code=STREET, department="社区发展办", amount="20")
    assert shown(world, world.officer) == ["1", "1.1", "1.1.1", "1.2"]
    with pytest.raises(InvalidField) as refused:
        make(world, deep, division_code=STREET, department="居委会", amount="1")
    assert fields(refused) == ["parent"]
    change_target(
        world.house, world.officer, street, replace(typed(read(world, street)), amount="62.5"), reason="区里调整", seen=1
    )  # fmt: skip
    assert (read(world, street).amount_milli, read(world, street).version) == (62_500, 2)
    change_target(world.house, world.officer, street, typed(read(world, street)), reason="没有改", seen=2)
    assert read(world, street).version == 2  # the same again is no change
    with pytest.raises(TargetHeld):
        withdraw_target(world.house, world.officer, street, reason="撤销", seen=2)
    withdraw_target(world.house, world.officer, deep, reason="机构撤并", seen=1)
    withdraw_target(world.house, world.officer, department, reason="改由街镇承担", seen=1)
    assert shown(world, world.officer) == ["1", "1.1"]
    assert read(world, make(world, root, department="区商务委")).code == "1.3"  # a number is never used again
    told = [(entry.deed, entry.reason, entry.actor_id) for entry in audited(world, street)]
    who = world.officer.id
    assert told == [
        ("target.set", "实施方案第 20 条", who),
        ("target.changed", "区里调整", who),
    ]
    assert audited(world, street)[1].detail["was"] == {"amount_milli": 60_000}
    assert [entry.reason for entry in audited(world, deep)] == ["实施方案第 20 条", "机构撤并"]
    with pytest.raises(TargetChanged):
        change_target(world.house, world.officer, deep, typed(read(world, deep)), reason="又要了", seen=2)


def test_what_makes_no_sense_is_refused_beside_its_field(world: World) -> None:
    root = make(world)
    street = make(world, root, division_code=STREET, amount="60", due_on="2026-06-30")
    wrong: list[tuple[UUID | None, dict[str, Any], list[str]]] = [
        (None, {"measure": "log_ins"}, ["measure"]),
        (None, {"kind": "teleporting"}, ["kind"]),
        (None, {"measure": "quantity"}, ["kind"]),
        (None, {"measure": "free", "kind": "walk", "subject": "灯", "unit": ""}, ["kind", "subject", "unit"]),
        (None, {"measure": "free", "subject": "APP 安装数", "unit": "次"}, ["subject"]),
        (None, {"subject": "多余的话"}, ["subject"]),
        (None, {"unit": "吨"}, ["unit"]),
        (None, {"amount": "0"}, ["amount"]),
        (None, {"measure": "participants", "amount": "1.5"}, ["amount"]),
        (None, {"division_code": "999999999"}, ["division_code"]),
        (None, {"division_code": STREET, "kind": "walk"}, ["division_code"]),
        (None, {"answerer_id": str(new_id())}, ["answerer_id"]),
        (None, {"answerer_id": "某人", "basis": "", "due_on": "去年"}, ["answerer_id", "basis", "due_on"]),
        (None, {"due_on": "2027-01-01", "kind": "walk"}, ["due_on"]),
        (None, {"notes": "长" * 501, "department": "长" * 41}, ["department", "notes"]),
        (None, {"notes": "看不见\u200b的"}, ["notes"]),
        (None, {}, ["measure"]),  # the same target again
        (root, {"division_code": STREET, "amount": "1"}, ["measure"]),
        (root, {}, ["department"]),
        (street, {"division_code": OTHER_STREET}, ["division_code", "due_on"]),
        (street, {"division_code": STREET, "department": "甲", "due_on": "2026-07-01"}, ["due_on"]),
    ]
    for parent, more, expected in wrong:
        with pytest.raises(InvalidField) as refused:
            make(world, parent, **more)
        assert sorted(fields(refused)) == expected, more
    for year in (1999, 3000):
        with pytest.raises(InvalidField):
            make(world, year=year)
    with pytest.raises(NotFound):
        make(world, new_id())
    with pytest.raises(NotFound):
        make(world, root, 2027)
    bad = {"due_on": "2026-06-29"}, {"amount": "-5", "basis": "x"}
    for more in bad:
        with pytest.raises(InvalidField) as refused:
            change_target(world.house, world.officer, root, said(world, **more), reason="", seen=1)
        assert set(fields(refused)) == {*more, "reason"}
    assert shown(world, world.officer) == ["1", "1.1"]


def test_whoever_may_not_edit_reads_or_sees_nothing(world: World) -> None:
    root = make(world)
    mine = make(world, root, division_code=STREET, amount="60")
    make(world, root, division_code=OTHER_STREET, amount="30")
    below = make(world, mine, division_code=STREET, department="社区发展办", amount="20")
    here, auditor = world.colleague(Role.OFFICER, division=STREET), world.colleague(Role.AUDITOR)
    department = make(world, root, department="区教育局", kind="walk", answerer_id=str(here.id))
    organisation = world.organisation("青年社")
    assert shown(world, world.officer) == shown(world, auditor) == ["1", "1.1", "1.1.1", "1.2", "1.3"]
    assert shown(world, world.colleague(Role.ADMIN)) == shown(world, auditor)
    assert shown(world, here) == ["1.1", "1.1.1", "1.3"]
    a_task(world, root, here)  # who is to do something for a target sees that one
    assert shown(world, here) == ["1", "1.1", "1.1.1", "1.3"]
    for stranger in (world.organiser, world.colleague(Role.OFFICER, organisation=organisation)):
        with pytest.raises(NotAllowed):
            shown(world, stranger)
    for other in (here, auditor, world.organiser):
        for deed in (
            lambda who: set_target(world.house, who, YEAR, said(world), parent_id=None),
            lambda who: change_target(world.house, who, mine, said(world), reason="改一改", seen=1),
            lambda who: withdraw_target(world.house, who, below, reason="不要了", seen=1),
            lambda who: set_task(world.house, who, mine, TaskIn("走访", str(here.id), "2026-08-01")),
        ):
            with pytest.raises(NotAllowed):
                deed(other)
    assert read(world, department).version == 1


def test_of_two_officers_who_change_a_target_at_once_the_second_is_told(world: World) -> None:
    target, other = make(world), world.second_officer

    def change(who: Principal, **more: str) -> Any:
        told = replace(typed(read(world, target)), **more)
        return lambda: change_target(world.house, who, target, told, reason="同时修改", seen=1)

    both = [change(world.officer, amount="200"), change(other, basis="另一份文件")]
    assert sorted(codes(at_once(both))) == ["ok", "target_changed"]
    assert read(world, target).version == 2
    # The negative control: without the look at the version both are taken, and the first one's change is lost.
    before = read(world, target)
    both = [change(world.officer, amount="300"), change(other, notes="只改备注")]
    with mock.patch.object(changes, "check_seen"):
        assert codes(at_once(both)) == ["ok", "ok"]
    after = read(world, target)
    assert after.version == 4
    assert (after.amount_milli == before.amount_milli) or after.notes == ""


def test_of_many_who_divide_a_target_at_once_each_gets_a_number_of_its_own(world: World) -> None:
    root = make(world)
    names = ("区商务委", "区教育局", "区机管局", "区房管局")
    calls: list[Any] = [lambda name=name: make(world, root, department=name, amount="10") for name in names]
    chosen = new_id()
    again = said(world, department="区文旅局", amount="10")
    calls += [lambda: set_target(world.house, world.officer, YEAR, again, parent_id=root, chosen=chosen)] * 2
    assert codes(at_once(calls)) == ["ok"] * 6
    assert shown(world, world.officer) == ["1", "1.1", "1.2", "1.3", "1.4", "1.5"]
    more = [read(world, make(world, root, department=f"部门{at}", amount="1")).code for at in range(6, 12)]
    assert more == ["1.6", "1.7", "1.8", "1.9", "1.11", "1.12"]  # a spreadsheet would make 1.1 of 1.10


def test_the_database_keeps_the_tree_true(world: World) -> None:
    root = make(world)
    part = make(world, root, department="区商务委")
    task = set_task(world.house, world.officer, part, TaskIn("走访", str(world.officer.id), "2026-08-01"))
    follow_up(world.house, world.officer, task, text="走访了三家", on_day="2026-07-01")
    for statement in (
        "UPDATE target SET amount_milli = 5",  # not counted
        "UPDATE target SET parent_id = NULL, version = version + 1 WHERE parent_id IS NOT NULL",
        "UPDATE target SET amount_milli = 0, version = version + 1",
        "UPDATE target SET due_on = '2027-01-01', version = version + 1",
        "DELETE FROM target_follow_up",
        "UPDATE target_follow_up SET text = '别的'",
        "UPDATE target_task SET title = '别的'",
        "UPDATE target_task SET state = 'done', version = version + 1",
        "DELETE FROM target_task",
        "DELETE FROM target WHERE parent_id IS NOT NULL",
    ):
        with pytest.raises(DatabaseError), world.house.db.transaction() as connection:
            connection.execute(sa.text(statement))
    row = {**read(world, part).model_dump(), "id": new_id(), "code": "1.9"}
    with pytest.raises(DatabaseError), world.house.db.transaction() as connection:
        connection.execute(sa.insert(SQLModel.metadata.tables["target"]), row)  # the same target twice


def run(world: World, *statements: str) -> None:
    """Statements in one transaction, past the application."""
    with world.house.db.transaction() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))


def test_a_closed_task_is_opened_again_with_a_word_in_its_log(world: World) -> None:
    target, helper = make(world), world.colleague(Role.OFFICER, division=STREET)
    task = a_task(world, target, helper)
    with pytest.raises(TargetChanged):
        reopen_task(world.house, world.officer, task, reason="还没关", seen=1)
    finish_task(world.house, helper, task, outcome="十家都走访了", reference="台账 3", seen=1)
    closed = task_of(world, task)
    with pytest.raises(NotAllowed):
        reopen_task(world.house, helper, task, reason="点错了", seen=2)
    for reason, seen, error in (("", 2, InvalidField), ("点错了", 1, TargetChanged)):
        with pytest.raises(error):
            reopen_task(world.house, world.officer, task, reason=reason, seen=seen)
    many = [lambda: reopen_task(world.house, world.officer, task, reason="点错了一项", seen=2)] * 4
    assert sorted(codes(at_once(many))) == ["ok", *["target_changed"] * 3]
    found = task_of(world, task)
    assert (found.state, found.version, found.outcome, found.closed_at) == ("open", 3, "", None)
    with world.house.db.reading_session() as session:
        (entry,) = follow_ups_of(session, task)
    assert (entry.text, entry.said_by, entry.reopens) == ("点错了一项", world.officer.id, 3)
    kept = (entry.outcome, entry.reference, entry.closed_at, entry.closed_by)
    assert kept == ("十家都走访了", "台账 3", closed.closed_at, helper.id)
    finish_task(world.house, helper, task, outcome="这次真的好了", reference="台账 4", seen=3)
    reopen_task(world.house, world.officer, task, reason="又错了", seen=4)
    drop_task(world.house, world.officer, task, reason="不做了", seen=5)
    assert [one.deed for one in audited(world, target)].count("target.task_reopened") == 2
    withdraw_target(world.house, world.officer, target, reason="不再需要", seen=1)
    with pytest.raises(TargetChanged):
        reopen_task(world.house, world.officer, task, reason="还要做", seen=6)

    # Nor does the database let it pass: without a word, with another one, changed on the way, or for a target that is gone.
    one, two = (a_task(world, make(world, department=name), helper) for name in ("甲", "乙"))
    drop_task(world.house, world.officer, one, reason="不做了", seen=1)
    reopen = "UPDATE target_task SET state = 'open', outcome = '', reference = '', closed_at = NULL, closed_by = NULL"
    where = "WHERE id = (SELECT id FROM target_task WHERE outcome = '不做了' AND version = 2)"
    word = (
        "INSERT INTO target_follow_up (id, task_id, on_day, text, said_by, said_at, reopens, outcome, reference, closed_at, closed_by) "
        "SELECT created_by, id, due_on, '再来', created_by, created_at, {reopens}, {outcome}, reference, closed_at, closed_by "
        "FROM target_task WHERE {which}"
    )
    right = word.format(reopens="version + 1", outcome="outcome", which="outcome = '不做了' AND version = 2")
    for statements in (
        [f"{reopen}, version = version + 1 {where}"],
        [right, f"{reopen}, version = version + 1, title = '别的' {where}"],
        [right, f"{reopen} {where}"],
        [right.replace("version + 1, outcome", "version + 2, outcome")],
        [right.replace("version + 1, outcome", "version + 1, '别的'")],
        [word.format(reopens="version + 1", outcome="outcome", which="state = 'open'")],
        [right.replace("version + 1, outcome", "NULL, outcome")],
        [
            word.format(reopens="version + 1", outcome="outcome", which="version = 6"),
            f"{reopen}, version = version + 1 WHERE version = 6",
        ],
    ):
        with pytest.raises(DatabaseError):
            run(world, *statements)
    run(world, right, f"{reopen}, version = version + 1 {where}")
    assert task_of(world, one).state == "open"
    assert task_of(world, two).state == "open"


# --- how far it is ------------------------------------------------------------------------------------------


def test_progress_is_what_the_figures_count(world: World) -> None:
    """By division and kind, until the deadline; the city's part, the voided and the waiting are not in it."""
    with clock.pretending(NOON - timedelta(days=30)):
        residents, glass = world.residents(3), world.code("recycle_glass")
    plate = world.code("clean_plate", community=OTHER_COMMUNITY)
    bike = world.code("bike_trip")
    away = world.resident(OTHER_COMMUNITY)
    grams = 0
    with clock.pretending(NOON - timedelta(days=30)):
        world.scan(residents[0], glass, quantity="2.5")
    for one in residents[:2]:
        grams += world.scan(one, glass, quantity="1.5")["action"]["reduction"]["co2e_mg"]
    world.scan(residents[2], bike, quantity="3")
    world.scan(away, plate)
    world.scan(world.resident(), glass, quantity="9", waits=Waits.PHOTO)
    voided = world.scan(world.resident(), glass, quantity="9")["action"]["id"]
    void_action(world.house, world.officer, UUID(voided), "误投")
    total = make(world)
    weight = make(world, measure="quantity", kind="recycle_glass", amount="5")
    in_june = make(
        world, measure="quantity", kind="recycle_glass", department="甲", amount="5", due_on="2026-06-30"
    )
    people = make(world, measure="participants", amount="10")
    here = make(world, people, measure="participants", division_code=STREET, amount="10")
    verified = make(world, measure="verified_actions", amount="4")
    venues = make(world, measure="venues", amount="3")
    of_plates = make(world, measure="venues", kind="clean_plate", amount="1")
    found = reached(world, weight, in_june, people, here, verified, venues, of_plates, total)
    assert [one.reached_milli for one in found[:-1]] == [5_500, 2_500, 4_000, 3_000, 4_000, 3_000, 1_000]
    assert [one.share for one in found[:-1]] == [1100, 500, 400, 300, 1000, 1000, 1000]
    assert found[1].as_of == date(2026, 6, 30)
    with mock.patch.object(target_progress, "is_calendar_year", return_value=False):  # counted from the days
        assert reached(world, weight, in_june, people, here, verified, venues, of_plates, total) == found
    assert [one.expected_milli for one in found[:2]] == [5_000 * 183 // 365, 5_000]
    with world.house.db.reading_session() as session:
        mg = session.scalar(sa.text("SELECT sum(co2e_mg) FROM daily_figure WHERE NOT city_credited"))
    assert found[-1].reached_milli == int(mg) // 1000 > grams // 1000
    with clock.pretending(NOON + timedelta(days=400)):
        assert reached(world, weight)[0].expected_milli == 5_000


def test_what_no_figure_counts_is_entered_with_evidence(world: World) -> None:
    here = world.colleague(Role.OFFICER, division=STREET)
    root = make(world, measure="free", subject="更换的节能灯", unit="盏", amount="200")
    part = make(world, root, measure="free", subject="更换的节能灯", unit="盏", amount="50", division_code=STREET,
                answerer_id=str(here.id))  # fmt: skip
    assert [(one.reached_milli, one.share) for one in reached(world, part)] == [(None, None)]
    enter_progress(world.house, here, part, amount="20", as_of="2026-06-30", evidence="六月验收单")
    enter_progress(world.house, here, part, amount="18", as_of="2026-06-30", evidence="扣除两盏不亮的")
    enter_progress(world.house, world.officer, part, amount="5", as_of="2026-03-31", evidence="一季度报表")
    assert [(one.reached_milli, one.share, one.as_of) for one in reached(world, part)] == [
        (18_000, 360, date(2026, 6, 30))
    ]
    assert reached(world, root)[0].reached_milli is None  # not the sum of its parts
    for amount, as_of, evidence, wrong in (
        ("-1", "2026-07-03", "", ["amount", "as_of", "evidence"]),
        ("1", "2025-12-31", "去年的", ["as_of"]),
    ):
        with pytest.raises(InvalidField) as refused:
            enter_progress(world.house, here, part, amount=amount, as_of=as_of, evidence=evidence)
        assert fields(refused) == wrong
    with pytest.raises(NotFound):  # what is above one's own branch is not there
        enter_progress(world.house, here, root, amount="1", as_of="2026-07-01", evidence="不归我")
    with pytest.raises(NotAllowed):
        enter_progress(
            world.house, world.colleague(Role.AUDITOR), part, amount="1", as_of="2026-07-01", evidence="看看"
        )
    with pytest.raises(NotFound):
        enter_progress(
            world.house, world.officer, make(world), amount="1", as_of="2026-07-01", evidence="由统计数来"
        )
    with pytest.raises(InvalidField) as refused:
        change_target(
            world.house,
            world.officer,
            part,
            replace(typed(read(world, part)), unit="套"),
            reason="改单位",
            seen=1,
        )
    assert fields(refused) == ["measure"]


# --- tasks --------------------------------------------------------------------------------------------------


def a_task(world: World, target: UUID, who: Principal, due_on: str = "2026-08-01") -> UUID:
    return set_task(world.house, world.officer, target, TaskIn("走访十家食堂", str(who.id), due_on))


def task_of(world: World, task_id: UUID) -> TargetTask:
    with world.house.db.reading_session() as session:
        return session.get_one(TargetTask, task_id)


def test_a_task_is_followed_and_done_with_evidence_or_dropped_with_a_reason(world: World) -> None:
    here = world.colleague(Role.OFFICER, division=STREET)
    target = make(world, make(world), division_code=STREET, answerer_id=str(here.id))
    task, other = a_task(world, target, here), a_task(world, target, world.officer)
    follow_up(world.house, here, task, text="走访了三家", on_day="2026-06-20")
    follow_up(world.house, world.officer, task, text="补上五月的", on_day="2026-05-31")
    with world.house.db.reading_session() as session:
        log = [
            (entry.on_day.isoformat(), entry.text, entry.said_by) for entry in follow_ups_of(session, task)
        ]
    assert log == [
        ("2026-06-20", "走访了三家", here.id),
        ("2026-05-31", "补上五月的", world.officer.id),
    ]
    for text, day, wrong in (("", "2026-07-03", ["on_day", "text"]), ("好", "昨天", ["on_day", "text"])):
        with pytest.raises(InvalidField) as refused:
            follow_up(world.house, here, task, text=text, on_day=day)
        assert fields(refused) == wrong
    change_task(
        world.house,
        world.officer,
        task,
        TaskIn("走访十家", str(here.id), "2026-09-01"),
        reason="暑假",
        seen=1,
    )
    with pytest.raises(TargetChanged):
        finish_task(world.house, here, task, outcome="都走访了", reference="台账 3", seen=1)
    with pytest.raises(InvalidField) as refused:
        finish_task(world.house, here, task, outcome="", reference="", seen=2)
    assert fields(refused) == ["outcome", "reference"]
    finish_task(world.house, here, task, outcome="十家都走访了", reference="https://example.org/3", seen=2)
    found = task_of(world, task)
    assert (found.state, found.reference, found.closed_by) == ("done", "https://example.org/3", here.id)
    with pytest.raises(TaskClosed):
        finish_task(world.house, here, task, outcome="再来一次", reference="台账", seen=3)
    with pytest.raises(NotAllowed):
        drop_task(world.house, here, other, reason="不想做", seen=1)
    with pytest.raises(InvalidField):
        drop_task(world.house, world.officer, other, reason="", seen=1)
    with pytest.raises(TargetHeld):
        withdraw_target(world.house, world.officer, target, reason="还有任务", seen=1)
    drop_task(world.house, world.officer, other, reason="与另一项合并", seen=1)
    assert (task_of(world, other).state, task_of(world, other).outcome) == ("dropped", "与另一项合并")
    follow_up(world.house, here, task, text="办结后回访", on_day="2026-07-01")
    deeds = [entry.deed.removeprefix("target.") for entry in audited(world, target)]
    assert sorted(deeds) == sorted(["set", "task_set", "task_set", "followed_up", "followed_up", "task_changed",
                                    "task_done", "task_dropped", "followed_up"])  # fmt: skip
    for told, wrong in (
        (TaskIn("", "", ""), ["title", "due_on", "answerer_id"]),
        (TaskIn("走访", str(here.id), "2027-01-01"), ["due_on"]),
    ):
        with pytest.raises(InvalidField) as refused:
            set_task(world.house, world.officer, target, told)
        assert fields(refused) == wrong


def test_reminders_are_noted_once_by_whoever_comes_first_and_stay_until_seen(world: World, time: Any) -> None:
    here = world.colleague(Role.OFFICER, division=STREET)
    target = make(world)
    task = a_task(world, target, here, "2026-08-01")
    a_task(world, target, here, "2026-12-01")  # far away
    done = a_task(world, target, here, "2026-07-10")
    finish_task(world.house, here, done, outcome="早就好了", reference="台账", seen=1)
    job = next(one for room in world.house.rooms for one in room.jobs if one.name == "target-reminders")

    def tick(job: Job = job) -> bool:
        return run_due(world.house, job, clock.now())

    def told(who: Principal = here) -> list[tuple[Step, UUID]]:
        with world.house.db.reading_session() as session:
            return [(reminder.step, reminder.task_id) for reminder, _, _ in unseen(session, who)]

    def noted() -> list[Step]:
        with world.house.db.reading_session() as session:
            return list(session.exec(select(TargetReminder.step).order_by(col(TargetReminder.noted_at))))

    assert sorted(codes(at_once([tick, tick]))) == ["ok", "ok"]
    assert (told(), noted()) == ([(Step.MONTH, task)], [Step.MONTH])
    # Two workers whose clocks differ by an hour: the row itself is claimed once.
    at_once(
        [
            lambda hours=hours: run_due(world.house, job, clock.now() + timedelta(hours=hours))
            for hours in (1, 2)
        ]
    )
    assert noted() == [Step.MONTH]
    with world.house.db.reading_session() as session:
        first = session.exec(select(TargetReminder.id)).one()
    with pytest.raises(NotAllowed):
        mark_seen(world.house, world.officer, first)
    with pytest.raises(NotFound):
        mark_seen(world.house, here, new_id())
    mark_seen(world.house, here, first)
    mark_seen(world.house, here, first)
    assert told() == []
    time.move_to(NOON + timedelta(days=23))  # nobody ran on the very day
    tick()
    time.move_to(NOON + timedelta(days=32))
    tick()
    tick()
    assert told() == [(Step.OVERDUE, task)]  # of one task the last word
    assert noted() == [Step.MONTH, Step.WEEK, Step.OVERDUE]
    change_task(
        world.house,
        world.officer,
        task,
        TaskIn("走访", str(world.officer.id), "2026-08-20"),
        reason="延期",
        seen=1,
    )
    assert told() == told(world.officer) == []  # the new day has its own
    time.move_to(NOON + timedelta(days=33))
    tick()
    assert told(world.officer) == [(Step.MONTH, task)]
    finish_task(world.house, world.officer, task, outcome="走访完了", reference="台账", seen=2)
    assert told(world.officer) == []
