"""Draws: fixed before anybody knows who wins, paid once, held once, repeated by anybody."""

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlmodel import col, select

from rewards import draw_entries, draw_making, draw_ticks, ledger, published_draws, repeat_draw
from rewards.draw_making import DrawIn, Prize
from rewards.draws import GUARDS, PAUSE, Draw, DrawEntry, DrawState
from rewards.ledger import Posting, account_of
from rewards.lots import NEVER
from tanpuhui import clock, people
from tanpuhui.errors import (
    ApproverIsSubmitter,
    DrawElsewhere,
    DrawMovedOn,
    DrawNotOpen,
    InsufficientPoints,
    InvalidField,
    NotAllowed,
    NotFound,
)
from tanpuhui.inbox import Message
from tanpuhui.jobs import run_due
from tanpuhui.people import Resident
from tanpuhui.staff import Role
from tests.browser import browser
from tests.tables import contents, written
from tests.threads import at_once, codes
from tests.world import COMMUNITY, DISTRICT, OTHER_COMMUNITY, World

OPEN_FOR = timedelta(days=2)


def drafted(world: World, **more: Any) -> Draw:
    """A draw that waits for approval."""
    says = {"title": "抽奖", "division_code": DISTRICT, "price": 20, "prizes": [Prize(name="袋", count=1)]}
    return draw_making.create_draw(
        world.house, world.organiser, DrawIn(closes_at=clock.now() + OPEN_FOR, **{**says, **more})
    )


def opened(world: World, **more: Any) -> Draw:
    return world.draw(**{"price": 20, **more})


def give(world: World, *residents: Resident, points: int = 100) -> None:
    """Points to spend, as a grant that `verify` knows nothing of."""
    with world.house.db.transaction() as connection:
        people.take_turn(connection, [one.id for one in residents])
        now = clock.now()
        ledger.credit(
            connection,
            [
                Posting(f"action:{one.id}", "programme:actions", account_of(one.id), points, now, NEVER)
                for one in residents
            ],
            [],
        )


def rich(world: World, count: int, community: str = COMMUNITY) -> list[Resident]:
    found = [world.resident(community) for _ in range(count)]
    give(world, *found)
    return found


def balance(world: World, resident: Resident) -> int:
    with world.house.db.reading() as connection:
        return ledger.balance(connection, resident.id)


def tick(world: World, after: timedelta = timedelta(0)) -> None:
    with clock.pretending(clock.now() + after):
        run_due(world.house, draw_ticks.JOB, clock.now())


def seen(world: World, draw_id: UUID) -> Draw:
    with world.house.db.reading_session() as session:
        return session.get_one(Draw, draw_id)


def record(world: World, draw_id: UUID) -> dict[str, Any]:
    with world.house.db.reading_session() as session:
        return json.loads(json.dumps(published_draws.published(session, draw_id).record))


def held(world: World, count: int = 9, **more: Any) -> tuple[Draw, list[Resident]]:
    draw = opened(world, **more)
    residents = rich(world, count)
    for one in residents:
        draw_entries.enter(world.house, one.id, draw.id)
    tick(world, OPEN_FOR)
    tick(world, OPEN_FOR + PAUSE)
    return draw, residents


def breaches(world: World) -> list[str]:
    """What the invariants of draws say."""
    from rewards.draw_invariants import DRAW_INVARIANTS

    with world.house.db.reading() as connection:
        return [line for invariant in DRAW_INVARIANTS for line in invariant.breaches(connection)]


# --- fair ------------------------------------------------------------------------------------------------------


def test_a_draw_is_held_by_time_alone_and_anybody_gets_the_same_winners(world: World, tmp_path: Path) -> None:
    draw, residents = held(world)
    found = record(world, draw.id)
    assert repeat_draw.faults(found) == []
    assert [winner["prize"] for winner in found["winners"]] == ["布袋"] * 2 + ["水壶"] * 3
    assert (len(found["tickets"]), seen(world, draw.id).state(clock.now())) == (9, DrawState.DRAWN)
    assert breaches(world) == []
    file = tmp_path / "record.json"
    file.write_text(json.dumps(found))
    alone = subprocess.run(
        [sys.executable, "-I", "-S", repeat_draw.__file__, str(file)],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert (alone.returncode, alone.stdout.split(":")[0]) == (0, "RIGHT")
    with world.house.db.reading_session() as session:
        won = session.exec(select(Message.resident_id).where(Message.kind == "draw.won")).all()
        winners = session.exec(select(DrawEntry.resident_id).where(col(DrawEntry.place).is_not(None))).all()
    assert sorted(won, key=str) == sorted(winners, key=str)
    tick(world, OPEN_FOR + 2 * PAUSE)
    assert record(world, draw.id) == found
    assert all(balance(world, one) == 80 for one in residents)


def _other_seed(found: dict[str, Any]) -> None:
    found["seed"] = "0" * 64


def _one_more(found: dict[str, Any]) -> None:
    found["tickets"].append("L2026-0000-0000-0000")


def _one_less(found: dict[str, Any]) -> None:
    found["tickets"].pop()


def _twice(found: dict[str, Any]) -> None:
    found["tickets"].append(found["tickets"][0])


def _other_winners(found: dict[str, Any]) -> None:
    found["winners"][0]["ticket"], found["winners"][1]["ticket"] = (
        found["winners"][1]["ticket"],
        found["winners"][0]["ticket"],
    )


def _other_number(found: dict[str, Any]) -> None:
    found["witnessed"] = "12345"


def _other_commitment(found: dict[str, Any]) -> None:
    found["commitment"] = repeat_draw.sha256("0" * 64)
    found["seed"] = "0" * 64


def test_whatever_is_changed_in_a_record_is_found(world: World) -> None:
    draw, _ = held(world)
    changes: tuple[Callable[[dict[str, Any]], None], ...] = (
        _other_seed,
        _one_more,
        _one_less,
        _twice,
        _other_winners,
        _other_number,
        _other_commitment,
    )
    for change in changes:
        found = record(world, draw.id)
        change(found)
        assert repeat_draw.faults(found), change.__name__


def test_the_seed_is_committed_to_first_and_told_last(world: World) -> None:
    draw = opened(world)
    resident = rich(world, 1)[0]
    draw_entries.enter(world.house, resident.id, draw.id)
    before = record(world, draw.id)
    assert (before["seed"], before["digest"], before["tickets"], before["winners"]) == (None, None, [], [])
    tick(world, OPEN_FOR)
    between = record(world, draw.id)
    assert (between["seed"], len(between["tickets"]), between["winners"]) == (None, 1, [])
    tick(world, OPEN_FOR + PAUSE - timedelta(minutes=1))
    assert record(world, draw.id) == between
    tick(world, OPEN_FOR + PAUSE)
    after = record(world, draw.id)
    assert repeat_draw.sha256(after["seed"]) == before["commitment"] == after["commitment"]
    assert after["digest"] == between["digest"]


def test_a_public_number_is_waited_for_and_mixed_in(world: World) -> None:
    draw, _ = held(world, witness="某某公开号码 2026150 期")
    assert record(world, draw.id)["seed"] is None
    with clock.pretending(clock.now() + OPEN_FOR + PAUSE):
        with pytest.raises(NotAllowed):
            draw_making.witness(world.house, world.organiser, draw.id, "03 07 11")
        with pytest.raises(InvalidField):
            draw_making.witness(world.house, world.officer, draw.id, " ")
        draw_making.witness(world.house, world.officer, draw.id, "03 07 11")
        draw_making.witness(world.house, world.officer, draw.id, "03 07  11")
        with pytest.raises(DrawMovedOn):
            draw_making.witness(world.house, world.officer, draw.id, "03 07 12")
    tick(world, OPEN_FOR + 2 * PAUSE)
    found = record(world, draw.id)
    assert (repeat_draw.faults(found), found["witnessed"]) == ([], "03 07 11")
    assert repeat_draw.winners(found["seed"], "", found["tickets"], found["prizes"]) != found["winners"]


def test_the_rule_prefers_nobody() -> None:
    """Over 2,000 seeds each of ten tickets wins a tenth of the single prizes, give or take five deviations."""
    tickets = [f"L2026-{number:04d}" for number in range(10)]
    won = dict.fromkeys(tickets, 0)
    for seed in range(2000):
        won[repeat_draw.winners(f"{seed}", "", tickets, [{"name": "x", "count": 1}])[0]["ticket"]] += 1
    deviation = (2000 * 0.1 * 0.9) ** 0.5
    assert all(abs(times - 200) < 5 * deviation for times in won.values())


# --- tickets ---------------------------------------------------------------------------------------------------


def test_a_ticket_is_taken_once_and_paid_once_however_often_it_is_asked(world: World) -> None:
    draw = opened(world)
    resident = rich(world, 1)[0]
    results = at_once([lambda: draw_entries.enter(world.house, resident.id, draw.id).ticket] * 8)
    assert (len(set(results)), balance(world, resident)) == (1, 80)
    draw_entries.give_up(world.house, resident.id, draw.id)
    draw_entries.give_up(world.house, resident.id, draw.id)
    assert balance(world, resident) == 100
    again = draw_entries.enter(world.house, resident.id, draw.id)
    assert (again.ticket in results, balance(world, resident)) == (False, 80)
    assert breaches(world) == []


def test_without_the_rule_of_one_ticket_the_database_would_hold_two(world: World) -> None:
    """The control: the index alone stands between a race and two tickets."""
    draw, resident = opened(world), rich(world, 1)[0]
    draw_entries.enter(world.house, resident.id, draw.id)

    def second() -> None:
        with world.house.db.session() as session:
            session.add(
                DrawEntry(draw_id=draw.id, resident_id=resident.id, ticket="L2026-2", entered_at=clock.now())
            )

    with pytest.raises(sa.exc.IntegrityError):
        second()
    with world.house.db.transaction() as connection:
        connection.execute(sa.text("DROP INDEX uq_draw_entry_one"))
    second()
    assert breaches(world)


def test_who_cannot_enter_is_told_why_and_nothing_is_half_done(world: World) -> None:
    draw = opened(world, division_code=COMMUNITY)
    poor, stranger, local = world.resident(), rich(world, 1, OTHER_COMMUNITY)[0], rich(world, 1)[0]
    before = contents(world.house)
    for one, why in ((poor, InsufficientPoints), (stranger, DrawElsewhere)):
        with pytest.raises(why):
            draw_entries.enter(world.house, one.id, draw.id)
    with pytest.raises(NotFound):
        draw_entries.enter(world.house, local.id, local.id)
    with clock.pretending(clock.now() + OPEN_FOR), pytest.raises(DrawNotOpen):
        draw_entries.enter(world.house, local.id, draw.id)
    assert written(before, contents(world.house)) == {}


def test_entries_and_the_closing_at_once_leave_one_list(world: World) -> None:
    """Whoever got in is in the digest; whoever came too late has their points."""
    draw = opened(world)
    residents = rich(world, 6)
    moment = draw.closes_at

    def close() -> None:
        run_due(world.house, draw_ticks.JOB, moment)

    calls: list[Any] = [lambda one=one: draw_entries.enter(world.house, one.id, draw.id) for one in residents]  # type: ignore[misc]
    results = codes(at_once([*calls[:3], close, *calls[3:]]))
    inside = [one for one in residents if balance(world, one) == 80]
    found = record(world, draw.id)
    assert len(found["tickets"]) == len(inside) == results.count("ok") - 1
    assert repeat_draw.digest_of(found["tickets"]) == found["digest"]
    assert breaches(world) == []


def test_the_database_keeps_what_was_promised(world: World) -> None:
    draw, residents = held(world)
    other = drafted(world)
    refused = (
        "UPDATE draw SET commitment = 'x'",
        "UPDATE draw SET price = 1 WHERE approved_at IS NOT NULL",
        "UPDATE draw SET digest = 'x' WHERE closed_at IS NOT NULL",
        "UPDATE draw SET seed = 'x' WHERE seed IS NOT NULL",
        "UPDATE draw SET approved_by = created_by, approved_at = closes_at WHERE approved_at IS NULL",
        "DELETE FROM draw",
        "DELETE FROM draw_entry",
        "UPDATE draw_entry SET ticket = 'x' WHERE place = 1",
        "UPDATE draw_entry SET prize = 'x' WHERE place = 1",
        "UPDATE draw_entry SET given_up_at = entered_at WHERE place IS NULL",
    )
    assert len(residents) == 9
    for statement in refused:
        with pytest.raises(sa.exc.DBAPIError), world.house.db.transaction() as connection:
            connection.execute(sa.text(statement))
    for draw_id in (draw.id, other.id):  # over, and not open yet
        with pytest.raises(sa.exc.DBAPIError), world.house.db.session() as session:
            session.add(DrawEntry(draw_id=draw_id, ticket=f"L-{draw_id}"[:24], entered_at=clock.now()))
    assert {guard.name for guard in GUARDS} >= {"fixed", "terms", "open"}


# --- calling off, leaving, handing over ------------------------------------------------------------------------


def test_a_draw_that_is_called_off_gives_every_point_back_once(world: World) -> None:
    draw = opened(world)
    residents = rich(world, 4)
    for one in residents:
        draw_entries.enter(world.house, one.id, draw.id)
    with pytest.raises(InvalidField):
        draw_making.cancel(world.house, world.organiser, draw.id, "")
    draw_making.cancel(world.house, world.organiser, draw.id, "奖品没有到货")
    with pytest.raises(DrawNotOpen):
        draw_entries.enter(world.house, rich(world, 1)[0].id, draw.id)
    for minutes in (0, 1):
        tick(world, timedelta(minutes=minutes))
    assert [balance(world, one) for one in residents] == [100] * 4
    tick(world, OPEN_FOR + PAUSE)
    assert (seen(world, draw.id).closed_at, breaches(world)) == (None, [])
    with world.house.db.reading_session() as session:
        assert len(session.exec(select(Message).where(Message.kind == "draw.called_off")).all()) == 4


def test_who_leaves_takes_the_ticket_out_or_is_nobodys_holder(world: World) -> None:
    draw, residents = opened(world), rich(world, 3)
    for one in residents:
        draw_entries.enter(world.house, one.id, draw.id)
    people.leave(world.house, residents[0].id)
    tick(world, OPEN_FOR)
    people.leave(world.house, residents[1].id)
    tick(world, OPEN_FOR + PAUSE)
    found = record(world, draw.id)
    assert (len(found["tickets"]), len(found["winners"]), repeat_draw.faults(found)) == (2, 2, [])
    with world.house.db.reading_session() as session:
        holders = {entry.resident_id for entry in session.exec(select(DrawEntry))}
    assert holders == {None, residents[2].id}
    assert breaches(world) == []


def test_a_prize_is_handed_over_once_from_however_many_counters(world: World) -> None:
    draw, _ = held(world)
    found = record(world, draw.id)
    winner, loser = (
        found["winners"][0]["ticket"],
        next(
            ticket for ticket in found["tickets"] if ticket not in {one["ticket"] for one in found["winners"]}
        ),
    )

    def hand(ticket: str) -> str:
        try:
            return draw_entries.hand_over(world.house, world.organiser, draw.id, ticket).prize or ""
        except InvalidField as error:
            return str(error.params["errors"][0]["reason"])

    results = at_once([lambda: hand(winner.lower().replace("-", " "))] * 6)
    assert sorted(results) == ["布袋", *["这张抽奖券的奖品已经领过了。"] * 5]
    assert "没有在这次抽奖中中奖" in hand(loser)
    stranger = world.colleague(Role.ORGANISER, division=OTHER_COMMUNITY)
    with pytest.raises(NotAllowed):
        draw_entries.hand_over(world.house, stranger, draw.id, winner)
    with clock.pretending(clock.now() + timedelta(days=90)), pytest.raises(DrawMovedOn):
        draw_entries.hand_over(world.house, world.organiser, draw.id, winner)


def test_a_draw_is_opened_by_a_second_person(world: World) -> None:
    both = world.colleague(Role.OFFICER, Role.ORGANISER)
    says = DrawIn(
        title="抽奖",
        division_code=DISTRICT,
        price=0,
        prizes=[Prize(name="袋", count=1)],
        closes_at=clock.now() + OPEN_FOR,
    )
    draw = draw_making.create_draw(world.house, both, says)
    with pytest.raises(ApproverIsSubmitter):
        draw_making.approve(world.house, both, draw.id)
    with pytest.raises(NotAllowed):
        draw_making.approve(world.house, world.organiser, draw.id)
    with world.house.db.reading_session() as session, pytest.raises(NotFound):
        published_draws.published(session, draw.id)
    at_once([lambda: draw_making.approve(world.house, world.officer, draw.id)] * 3)
    assert seen(world, draw.id).approved_by == world.officer.id
    late = drafted(world)
    with clock.pretending(clock.now() + OPEN_FOR), pytest.raises(DrawMovedOn):
        draw_making.approve(world.house, world.officer, late.id)


# --- pages -----------------------------------------------------------------------------------------------------


def test_from_the_form_to_the_ticket_and_the_counter(world: World) -> None:
    organiser, officer = browser(world, world.organiser), browser(world, world.officer)
    organiser.get("/console/draws/new")
    closes = f"{clock.local(clock.now() + OPEN_FOR):%Y-%m-%dT%H:%M}"
    refused = organiser.send(
        **{"title": "抽", "scope": "", "price": "-1", "closes_at": "", "prize-0": "", "count-0": ""}
    )
    assert organiser.status == 422
    assert all(said in refused for said in ("请选择由谁举办", "请填写日期和时间", "请至少写一种奖品"))
    form = {"title": "低碳日抽奖", "scope": f"division:{DISTRICT}", "price": "20", "closes_at": closes}
    assert "count-0-error" in organiser.send(**form, **{"prize-0": "布袋", "count-0": "0"})
    organiser.send(**form, **{"prize-0": "布袋", "count-0": "1"})
    address = organiser.path
    officer.get(address)
    assert "可以参加" in officer.send(f"{address}/approve")
    resident = rich(world, 1)[0]
    phone = browser(world, resident)
    public = address.replace("/console", "")
    assert "低碳日抽奖" in phone.get("/draws")
    phone.get(public)
    page = phone.send(f"{public}/enter")
    assert "抽奖券已经拿好" in page
    assert "L20" in page
    tick(world, OPEN_FOR)
    tick(world, OPEN_FOR + PAUSE)
    page = phone.get(public)
    assert "恭喜，您中了" in page
    assert "为什么是公平的" in page
    ticket = record(world, UUID(public.rpartition("/")[2]))["winners"][0]["ticket"]
    assert "中了" in phone.get("/me/draws")
    organiser.get(address)
    assert "没有在这次抽奖中中奖" in organiser.send(f"{address}/hand-over", ticket="L2026-1111-1111-1111")
    organiser.get(address)
    assert "已登记领奖：布袋" in organiser.send(f"{address}/hand-over", ticket=ticket)
    assert '"commitment"' in phone.get(f"{public}/record.json")
    assert phone.get("/draws/repeat_draw.py").startswith('"""Repeat a draw')
