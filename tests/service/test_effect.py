"""The effect of a period: what was said, of whom it is told, and what stands beside it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import time_machine
from sqlmodel import select

from activities import otherwise
from activities.effect import asked_period, effect
from tanpuhui import classes, consents
from tanpuhui.errors import NotAllowed, NotFound
from tanpuhui.people import PRESENT, ClassAccount, Document, Resident, yes_to
from tanpuhui.staff import Role
from tests.browser import browser
from tests.world import COMMUNITY, DISTRICT, World

NOW = datetime(2027, 6, 10, 4, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def time(monkeypatch: pytest.MonkeyPatch) -> Iterator[time_machine.Traveller]:
    monkeypatch.setattr(otherwise, "_LAST", tuple("0123456789abcdef"))  # about every record
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


def agree(world: World, resident: Resident) -> None:
    consents.give(world.house, resident.id, Document.QUESTIONS, PRESENT[Document.QUESTIONS])


def say(world: World, code: str, *said: str) -> list[UUID]:
    """So many people record something and say what they would have done; those of ``""`` say nothing."""
    made = []
    for one, words in zip(world.residents(len(said)), said, strict=True):
        agree(world, one)
        made.append(UUID(world.scan(one, code)["action"]["id"]))
        if words:
            otherwise.answer(world.house, one.id, made[-1], words)
    return made


def found(world: World, name: str = "2027-06", kind: str | None = None) -> Any:
    with world.house.db.snapshot() as connection:
        return effect(connection, asked_period(name), DISTRICT, kind)


def test_what_was_said_is_told_of_those_who_were_asked_and_answered(world: World) -> None:
    plates, cups = world.code("clean_plate"), world.code("own_cup")
    say(world, plates, *["not"] * 6, *["part"] * 5, *["same"] * 9, *["skipped"] * 5, *[""] * 5)
    world.scan(world.resident(), plates)  # never agreed: not asked
    world.house.relay.drain()
    part = found(world).parts["verified"]
    said = {"asked": 30, "answered": 20, "skipped": 5, "silent": 5, "additional": 11}
    assert part.said == {**said, "not": 6, "part": 5, "same": 9, "unknown": 0}
    assert part.share == (550, 342, 742)
    low, high = part.additional_mg
    assert low * 11 == high * 6
    assert part.answered_mg * 11 == high * 20
    assert part.estimated_mg == part.answered_mg // 20 * 31  # of everybody
    say(world, cups, "not", "not", "same", "same")  # four people: left out
    few = found(world, kind="own_cup").parts
    assert few["verified"].share is None
    assert few["verified"].said["not"] is None
    assert few["self_declared"].said["asked"] == 0
    whole = found(world).parts["verified"]
    assert (whole.said["asked"], whole.said["answered"]) == (34, 24)
    # Or the four would follow from all less plates.
    assert found(world, kind="clean_plate").parts["verified"].said["answered"] is None
    assert found(world, "2027-Q1").parts["both"].said["asked"] == 0


def test_page_sheet_and_api_tell_the_same(world: World) -> None:
    say(world, world.code("clean_plate"), *["not"] * 6, *["same"] * 9, *["skipped"] * 5)
    officer = browser(world, world.officer)
    page = officer.get("/bureau/effect?period=2027-06")
    assert "40.0% 不会做或只做一部分" in page
    assert "不推到没有问到的人" in page
    for asked, words in (
        ("period=2027-07", "这段时间还没有开始"),
        ("period=June", "请填写年、季、月"),
        ("period=2027-06-01", "成效按月、季或年来看"),
        ("period=2027-06&kind=flying", "没有这种行为"),
    ):
        assert words in officer.get(f"/bureau/effect?{asked}")
        assert officer.status == 422
    sheet = officer.get("/bureau/effect.csv?period=2027-06").splitlines()
    columns = sheet[0].lstrip("\ufeff").split(",")
    row = dict(zip(columns, sheet[1].split(","), strict=True))
    client = world.client()
    headers = {"Authorization": f"Bearer {world.token(world.officer)}"}
    told = client.get("/api/v1/effect?period=2027-06", headers=headers).get_json()["parts"]["verified"]
    assert told["additional_permille"] == 400
    assert {key: str(value) for key, value in told.items() if value is not None} == {
        key: row[key] for key, value in told.items() if value is not None
    }
    assert client.get("/api/v1/effect?period=2027-07", headers=headers).status_code == 422
    stranger = {"Authorization": f"Bearer {world.token(world.colleague(Role.ORGANISER))}"}
    assert client.get("/api/v1/effect?period=2027-06", headers=stranger).status_code == 403
    assert officer.client.get("/bureau/effect.en.xlsx?period=2027-06").data[:2] == b"PK"


def test_nobody_is_asked_twice_a_day_and_no_class_at_all(world: World, time: Any) -> None:
    one = world.resident()
    agree(world, one)
    first, second = (
        UUID(world.scan(one, world.code(kind))["action"]["id"]) for kind in ("clean_plate", "own_cup")
    )
    with pytest.raises(NotFound):
        otherwise.answer(world.house, one.id, second, "not")
    otherwise.answer(world.house, one.id, first, "skipped")
    with pytest.raises(NotFound):  # also when the first one is settled
        otherwise.answer(world.house, one.id, second, "not")
    time.shift(timedelta(days=1))
    tomorrow = UUID(world.scan(one, world.code("own_cup"))["action"]["id"])
    otherwise.answer(world.house, one.id, tomorrow, "not")
    # Nobody can switch it on for a class; an older yes of one asks nothing.
    admin, school = world.colleague(Role.ADMIN), world.organisation("江宁路小学")
    classes.create(world.house, admin, organisation_id=school, label="一班", division_code=COMMUNITY)
    with world.house.db.session() as session:
        a_class = session.exec(select(ClassAccount.resident_id)).one()
        session.add(yes_to(a_class, Document.QUESTIONS, NOW))
    with pytest.raises(NotAllowed):
        consents.give(world.house, a_class, Document.QUESTIONS, PRESENT[Document.QUESTIONS])
    with world.house.db.reading_session() as session:
        assert Document.QUESTIONS not in consents.switches(session, a_class)
        class_account = session.get_one(Resident, a_class)
    action = world.scan(class_account, world.code("own_cup"))["action"]["id"]
    with pytest.raises(NotFound):
        otherwise.answer(world.house, a_class, UUID(action), "not")
    assert found(world).parts["both"].said["asked"] is None  # one person, and no class
