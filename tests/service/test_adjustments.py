"""Adjustments: one proposes, another approves, the resident reads why; nobody moves points alone."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from rewards import adjustments, ledger
from rewards.adjustments import GoodwillIn, adjust_reference
from rewards.ledger import ADJUSTMENTS_PROGRAMME, Posting, account_of
from tanpuhui import clock, feedback, ids, people
from tanpuhui.errors import InvalidField, NotAllowed, TanpuhuiError
from tanpuhui.people import Resident
from tanpuhui.sessions import Principal
from tanpuhui.staff import Role
from tests.browser import browser
from tests.tables import contents, written
from tests.threads import at_once, codes
from tests.world import COMMUNITY, OTHER_COMMUNITY, World

WHY = "机器坏了，三次没记上"


def written_in(world: World, resident: Resident) -> str:
    """The number of what a resident wrote in."""
    feedback.write_in(world.house, resident.id, key=str(ids.new_id()), kind="complaint", text="没有记上")
    with world.house.db.reading_session() as session:
        return feedback.own(session, resident.id)[0].number


def propose(world: World, resident: Resident, points: str = "30", by: Principal | None = None) -> UUID:
    goodwill = GoodwillIn(written_in(world, resident), points, WHY)
    return adjustments.propose(world.house, by or world.officer, goodwill)


def approve(world: World, adjustment: UUID, by: Principal | None = None) -> None:
    adjustments.decide(world.house, by or world.second_officer, adjustment, "approved")


def balance(world: World, resident: Resident) -> int:
    with world.house.db.reading() as connection:
        return ledger.balance(connection, resident.id)


def test_from_a_letter_to_points_with_the_reason_and_back(world: World) -> None:
    resident = world.resident()
    number = written_in(world, resident)
    first, second, me = (browser(world, who) for who in (world.officer, world.second_officer, resident))
    first.get(f"/bureau/adjustments?about={number}")
    page = first.send("/adjustments", about=number, points="0", reason="")
    assert first.status == 422
    assert "请填 1 到 10000 的整数" in page
    assert "请写明原因" in page
    assert number in page
    first.send("/adjustments", about=number, points="30", reason=WHY)
    address = first.path
    assert "请另一位工作人员决定" in first.get(address)
    assert balance(world, resident) == 0
    assert WHY in second.get("/bureau/adjustments")
    second.get(address)
    assert "已批准" in second.send("/decide")
    assert balance(world, resident) == 30
    statement = me.get("/me/statement")
    assert "工作人员补发积分" in statement
    assert WHY in statement
    assert "+30" in statement

    second.get(address)
    second.send("/reverse", reason="补发了两次")
    back = second.path
    assert back != address
    second.get(address)
    assert "看收回的那一次" in second.page.text
    first.get(back)
    first.send("/decide")
    assert balance(world, resident) == 0
    statement = me.get("/me/statement")
    assert "补发了两次" in statement
    assert "\N{MINUS SIGN}30" in statement
    inbox = me.get("/me/inbox")
    assert inbox.count("工作人员调整了您的积分") == 2
    lines = world.call("GET", "/me/statement", world.token(resident)).get_json()["lines"]
    assert [(line["type"], line["points"], line["reason"]) for line in lines] == [
        ("points.adjusted", -30, "补发了两次"),
        ("points.adjusted", 30, WHY),
    ]
    assert world.breaches() == []
    people.leave(world.house, resident.id)
    assert WHY not in str(contents(world.house)["adjustment"])
    assert number not in str(contents(world.house)["adjustment"])
    assert world.breaches() == []


def test_nobody_decides_alone_and_not_outside_their_division(world: World) -> None:
    resident = world.resident()
    adjustment = propose(world, resident)
    organiser, elsewhere = world.organiser, world.colleague(Role.OFFICER, division=OTHER_COMMUNITY)
    before = contents(world.house)
    for who, code in (
        (world.officer, "approver_is_proposer"),
        (elsewhere, "not_allowed"),
        (organiser, "not_allowed"),
    ):
        with pytest.raises(NotAllowed) as refused:
            approve(world, adjustment, who)
        assert refused.value.code == code
    with pytest.raises(InvalidField):
        adjustments.propose(world.house, elsewhere, GoodwillIn(written_in(world, resident), "3", WHY))
    assert written(before, contents(world.house)).keys() <= {
        "feedback",
        "feedback_entry",
        "feedback_day",
        "stored_answer",
    }
    adjustments.decide(world.house, world.colleague(Role.OFFICER, division=COMMUNITY), adjustment, "declined")
    with pytest.raises(TanpuhuiError) as late:
        approve(world, adjustment)
    assert late.value.code == "adjustment_decided"
    assert balance(world, resident) == 0


def test_of_many_who_approve_at_once_one_moves_the_points_once(world: World) -> None:
    resident = world.resident()
    adjustment = propose(world, resident)
    others = [world.colleague(Role.OFFICER) for _ in range(4)]
    results = at_once([lambda who=who: approve(world, adjustment, who) for who in others])
    assert sorted(codes(results)) == ["adjustment_decided"] * 3 + ["ok"]
    assert balance(world, resident) == 30
    results = at_once(
        [
            lambda who=who: adjustments.propose_reversal(world.house, who, adjustment, "发错了")
            for who in others
        ]
    )
    assert sorted(codes(results)) == ["already_reversed"] * 3 + ["ok"]
    assert world.breaches() == []


def test_what_was_given_is_taken_back_as_a_whole_or_not_at_all(world: World) -> None:
    resident = world.resident()
    adjustment = propose(world, resident)
    approve(world, adjustment)
    back = adjustments.propose_reversal(world.house, world.officer, adjustment, "发错了")
    with world.house.db.transaction() as connection:
        ledger.take(connection, Posting("spent", account_of(resident.id), "programme:shop", 1, clock.now()))
    before = contents(world.house)
    with pytest.raises(TanpuhuiError) as refused:
        approve(world, back)
    assert refused.value.code == "insufficient_points"
    assert written(before, contents(world.house)) == {}
    with clock.pretending(clock.now() + timedelta(days=800)), pytest.raises(TanpuhuiError) as over:
        approve(world, back)
    assert over.value.code == "insufficient_points"


def test_what_is_out_of_shape_is_refused_beside_its_field(world: World) -> None:
    by, number = world.officer, written_in(world, world.resident())
    before = contents(world.house)
    for about, points, reason, fields in (
        *(
            (number, points, "", ["points", "reason"])
            for points in ("", "0", "-5", "1.5", "10001", "9" * 40, "３")
        ),
        ("TS-20200101-0001", "5", WHY, ["about"]),
        ("", "", "", ["about", "points", "reason"]),
    ):
        with pytest.raises(InvalidField) as refused:
            adjustments.propose(world.house, by, GoodwillIn(about, points, reason))
        assert [bad["field"] for bad in refused.value.params["errors"]] == fields
    assert written(before, contents(world.house)) == {}


def test_the_database_itself_keeps_two_people_apart(world: World) -> None:
    """Whatever the code above it does: no decision by the proposer, no second decision, no transfer without one."""
    resident = world.resident()
    adjustment = propose(world, resident)
    own = world.officer.id if world.house.db.url.get_backend_name() != "sqlite" else world.officer.id.hex

    def change(text: str, **values: Any) -> None:
        with world.house.db.transaction() as connection:
            connection.execute(sa.text(text), values)

    decided = "UPDATE adjustment SET decision = 'approved', decided_at = proposed_at, decided_by = "
    with pytest.raises(sa.exc.DBAPIError, match="second_person"):
        change(decided + "proposed_by")
    for text in ("UPDATE adjustment SET amount = 31", "UPDATE adjustment SET reason = 'x'"):
        with pytest.raises(sa.exc.DBAPIError, match="not rewritten"):
            change(text)
    with pytest.raises(sa.exc.DBAPIError, match="is kept"):
        change("DELETE FROM adjustment")
    posting = Posting(
        adjust_reference(adjustment),
        ADJUSTMENTS_PROGRAMME,
        account_of(resident.id),
        30,
        clock.now(),
        clock.today(),
    )
    with (
        pytest.raises(sa.exc.DBAPIError, match="approved proposal alone"),
        world.house.db.transaction() as connection,
    ):
        ledger.credit(connection, [posting], [])
    approve(world, adjustment)
    with pytest.raises(sa.exc.DBAPIError, match="decided once"):
        change("UPDATE adjustment SET decided_by = :own", own=own)
    assert balance(world, resident) == 30
    assert world.breaches() == []
