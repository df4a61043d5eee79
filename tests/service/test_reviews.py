"""Reviews: a record that waits counts nowhere and its points cannot be spent, until one person decides once."""

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlmodel import col

from activities import review_desk, scans
from activities.records import own_totals
from activities.review import confirm_action, reject_action, void_action
from activities.reviews import GUARDS, ActionReview, Waits
from rewards import ledger
from rewards.statements import statement
from tanpuhui import clock, people
from tanpuhui.errors import AlreadyReviewed, InvalidField, NotAllowed, NotFound, TooSoon, WaitsForReview
from tanpuhui.sessions import new_api_token
from tanpuhui.staff import Role
from tests.browser import browser
from tests.threads import at_once
from tests.world import World

WORD = "照片看得清，是这件事"


def waiting(world: World) -> tuple[Any, UUID, int]:
    """A resident with one record that waits, and what it would earn."""
    resident = world.resident()
    answer = world.scan(resident, world.code("clean_plate"), waits=Waits.PHOTO)
    assert answer["points"]["posted"] == 0
    assert answer["points"]["balance"] == 0
    return resident, UUID(answer["action"]["id"]), answer["points"]["pending"]


def points(world: World, resident: Any) -> tuple[int, int]:
    with world.house.db.reading() as connection:
        return ledger.balance(connection, resident.id), ledger.held(connection, resident.id)


def records(world: World, resident: Any) -> int:
    with world.house.db.reading() as connection:
        totals = own_totals(connection, resident.id, clock.today())
    return totals.own.records + totals.city.records


def holds(world: World) -> None:
    """Every invariant holds, and the figures are what the log says."""
    assert world.breaches() == []
    assert world.figure_differences() == []


def change_review(world: World, action: UUID, change: str) -> None:
    statement_ = sa.text(f"UPDATE action_review SET {change} WHERE action_id = :action")
    with world.house.db.transaction() as connection:
        connection.execute(statement_.bindparams(sa.bindparam("action", type_=sa.Uuid())), {"action": action})


def test_a_waiting_record_counts_nowhere(world: World) -> None:
    resident, _, earns = waiting(world)
    assert earns > 0
    assert points(world, resident) == (0, earns)
    assert records(world, resident) == 0
    holds(world)


def test_confirmed_it_counts_and_can_be_spent_and_voided(world: World) -> None:
    resident, action, earns = waiting(world)
    confirm_action(world.house, world.officer, action, WORD)
    assert points(world, resident) == (earns, 0)
    assert records(world, resident) == 1
    holds(world)
    void_action(world.house, world.officer, action, "不是这个人")
    assert points(world, resident) == (0, 0)
    assert records(world, resident) == 0
    holds(world)
    with world.house.db.reading() as connection:
        lines = statement(connection, resident.id)
    assert [(line.deed.type, line.points, line.held) for line in lines] == [
        ("action.voided", -earns, 0),
        ("action.confirmed", earns, 0),
        ("action.recorded", 0, earns),
    ]


def test_rejected_it_never_counted(world: World) -> None:
    resident, action, _ = waiting(world)
    reject_action(world.house, world.officer, action, "照片里看不到")
    assert points(world, resident) == (0, 0)
    assert records(world, resident) == 0
    holds(world)
    with pytest.raises(AlreadyReviewed):
        void_action(world.house, world.officer, action, "再撤一次")


def test_refusals(world: World) -> None:
    _, action, _ = waiting(world)
    with pytest.raises(InvalidField):
        confirm_action(world.house, world.officer, action, " ")
    with pytest.raises(NotAllowed):
        confirm_action(world.house, world.colleague(Role.OFFICER, division="310106011"), action, WORD)
    with pytest.raises(WaitsForReview):
        void_action(world.house, world.officer, action, "先撤销")
    proven = UUID(world.scan(world.resident(), world.code("clean_plate"))["action"]["id"])
    with pytest.raises(NotFound):
        confirm_action(world.house, world.officer, proven, WORD)


def test_of_many_who_decide_at_once_one_does(world: World) -> None:
    resident, action, earns = waiting(world)
    officers = [world.colleague(Role.OFFICER) for _ in range(6)]

    def decide(number: int) -> str:
        deed = confirm_action if number % 2 else reject_action
        try:
            deed(world.house, officers[number], action, WORD)
        except AlreadyReviewed:
            return "late"
        return "confirmed" if number % 2 else "rejected"

    said = at_once([lambda number=number: decide(number) for number in range(6)])
    decided = [word for word in said if word != "late"]
    assert len(decided) == 1
    assert points(world, resident) == ((earns, 0) if decided == ["confirmed"] else (0, 0))
    holds(world)


def test_the_database_knows_one_whole_decision(world: World) -> None:
    _, action, _ = waiting(world)
    for half in ("state = 'confirmed'", "reason = 'x'"):
        with pytest.raises(sa.exc.DBAPIError):
            change_review(world, action, half)
    reject_action(world.house, world.officer, action, WORD)
    with pytest.raises(sa.exc.DBAPIError):
        change_review(world, action, "state = 'confirmed'")


def test_figures_follow_the_decisions_and_are_rebuilt_equal(world: World) -> None:
    resident = world.residents(4)
    code = world.code("clean_plate")
    made = [UUID(world.scan(one, code, waits=Waits.PHOTO)["action"]["id"]) for one in resident]
    world.scan(world.resident(), code)
    confirm_action(world.house, world.officer, made[0], WORD)
    confirm_action(world.house, world.officer, made[1], WORD)
    void_action(world.house, world.officer, made[1], "撤销")
    reject_action(world.house, world.officer, made[2], WORD)
    world.house.relay.drain()
    with world.house.db.reading() as connection:
        assert connection.scalar(sa.text("SELECT sum(actions) FROM daily_figure")) == 2
    holds(world)


def test_the_resident_reads_that_it_waits_and_why_it_was_rejected(world: World) -> None:
    resident, action, _ = waiting(world)
    me = browser(world, resident)
    assert "待审核" in me.get(f"/me/actions/{action}")
    me.get(f"/me/actions/{action}/card")
    assert me.status == 404
    reject_action(world.house, world.officer, action, "照片里看不到餐盘")
    world.house.relay.drain()
    assert "照片里看不到餐盘" in me.get(f"/me/actions/{action}")
    assert "没有通过审核" in me.get("/me/inbox")
    assert "审核未通过" in me.get("/me/statement")


def test_a_scan_takes_the_place_of_a_claim_that_waits(world: World) -> None:
    resident, claim, _ = waiting(world)
    answer = world.scan(resident, world.code("clean_plate"))
    assert answer["replaced"] == [str(claim)]
    earns = answer["points"]["posted"]
    assert points(world, resident) == (earns, 0)
    assert records(world, resident) == 1
    holds(world)
    with pytest.raises(AlreadyReviewed):
        confirm_action(world.house, world.officer, claim, WORD)
    world.house.relay.drain()
    me = browser(world, resident)
    assert "换成了更可靠的一条" in me.get("/me/inbox")
    assert "换成新记录" in me.get("/me/statement")
    with world.house.db.reading() as connection:
        assert connection.scalar(sa.text("SELECT sum(actions) FROM daily_figure")) == 1


def test_a_claim_that_waits_takes_no_place(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may yet be rejected, and then the weaker record would be gone for nothing."""
    resident, code = world.resident(), world.code("clean_plate")
    draft_of = scans.draft_of

    def self_declared(*given: Any) -> Any:
        draft = draft_of(*given)
        return replace(draft, fields=draft.fields | {"evidence": "self_declared", "verified": False})

    with monkeypatch.context() as patched:
        patched.setattr(scans, "draft_of", self_declared)
        world.scan(resident, code)
    with pytest.raises(TooSoon):
        world.scan(resident, code, waits=Waits.PHOTO)
    assert records(world, resident) == 1
    holds(world)


@pytest.mark.parametrize("guarded", [True, False])
def test_past_the_turn_the_trigger_alone_lets_one_decide(world: World, guarded: bool) -> None:
    """The negative control: without the trigger both of two officers decide, and `verify` says so."""
    _, action, _ = waiting(world)
    officers = [world.colleague(Role.OFFICER).id for _ in range(2)]
    if not guarded:
        with world.house.db.transaction() as connection:
            for statement_ in GUARDS[0].drop(connection.dialect.name):
                connection.execute(sa.text(statement_))

    def decide(number: int) -> None:
        to = {"state": ("confirmed", "rejected")[number], "decided_by": officers[number]}
        to |= {"decided_at": clock.now(), "reason": WORD}
        with world.house.db.transaction() as connection:
            connection.execute(
                sa.update(ActionReview).where(col(ActionReview.action_id) == action).values(to)
            )

    outcomes = at_once([partial(decide, number) for number in range(2)])
    assert outcomes.count(None) == (1 if guarded else 2)
    assert world.breaches() != []


def test_whoever_leaves_leaves_nothing_that_waits(world: World) -> None:
    resident, action, earns = waiting(world)
    other, _, _ = waiting(world)
    people.leave(world.house, resident.id)
    with world.house.db.reading_session() as session:
        assert [row[0].resident_id for row in review_desk.queue(session, world.officer)] == [other.id]
        assert review_desk.waiting(session, world.officer, clock.today()).records == 1
    with pytest.raises(NotFound):
        confirm_action(world.house, world.officer, action, WORD)
    assert points(world, resident) == (0, earns)  # held for good, as a balance stays: nobody can spend it
    holds(world)


def test_an_officer_confirms_in_one_tap_and_rejects_with_a_reason(world: World) -> None:
    resident, first, earns = waiting(world)
    second = UUID(world.scan(resident, world.code("own_cup"), waits=Waits.PHOTO)["action"]["id"])
    desk = browser(world, world.officer)
    assert "2 条记录等待审核" in desk.get("/bureau")
    assert "2 条记录等待审核" in desk.get("/console")
    listed = desk.get("/bureau/reviews")
    assert listed.index(str(first)) < listed.index(str(second))
    desk.send(f"{first}/confirm")
    assert desk.path == "/bureau/reviews"
    assert "看过了，是这件事。" in desk.page.get_data(as_text=True)
    confirm_action(world.house, world.officer, first, WORD)  # the second tap
    assert points(world, resident)[0] == earns
    desk.get(f"/bureau/reviews/{second}")
    assert "请选一个原因，或者自己写。" in desk.send("reject")
    assert desk.status == 422
    desk.get(f"/bureau/reviews/{second}")
    assert review_desk.REASONS[0] in desk.send("reject", said=review_desk.REASONS[0])
    assert "没有等着审核的记录" in desk.get("/bureau/reviews")
    holds(world)
    later = browser(world, world.colleague(Role.OFFICER))
    assert "/reject" not in later.get(f"/bureau/reviews/{second}")
    elsewhere = browser(world, world.colleague(Role.OFFICER, division="310106011"))
    assert "没有等着审核的记录" in elsewhere.get("/bureau/reviews")
    elsewhere.get(f"/bureau/reviews/{second}")
    assert elsewhere.status == 403


def test_what_is_late_is_marked_and_counted(world: World) -> None:
    waiting(world)
    with clock.pretending(clock.now() + timedelta(days=30)):
        desk = browser(world, world.officer)
        assert "其中 1 条已超期" in desk.get("/bureau")
        assert "已超期" in desk.get("/bureau/reviews")


def test_an_appeal_stands_in_the_queue_by_its_day(world: World) -> None:
    resident, action, _ = waiting(world)
    me, desk = browser(world, resident), browser(world, world.officer)
    assert "没有等着答复的申诉" in desk.get("/bureau/appeals")
    reject_action(world.house, world.officer, action, review_desk.REASONS[1])
    assert "觉得不对，申诉" in me.get(f"/me/actions/{action}")
    me.get(f"/feedback?kind=complaint&action={action}")
    me.send("/feedback", kind="complaint", text="照片里的就是我的餐盘。")
    me.get("/feedback?kind=question")
    me.send("/feedback", kind="question", text="几点开门？")
    queue = desk.get("/bureau/appeals")
    assert queue.count("TS-") == 1
    assert "ZX-" not in queue
    assert review_desk.REASONS[1] in queue
    assert "还有" in queue
    with clock.pretending(clock.now() + timedelta(days=30)):
        assert "已超期" in browser(world, world.officer).get("/bureau/appeals")


def test_the_record_as_json_says_that_it_waits(world: World) -> None:
    resident, action, earns = waiting(world)
    token = new_api_token(world.house, kind="resident", subject_id=resident.id)
    record = world.call("GET", f"/actions/{action}", token).get_json()
    assert (record["review"], record["voided"]) == ("pending", False)
    assert world.call("GET", "/me/statement", token).get_json()["pending"] == earns
    reject_action(world.house, world.officer, action, WORD)
    assert world.call("GET", f"/actions/{action}", token).get_json()["review_reason"] == WORD
