"""Family accounts: made and shared by guardians, nothing known of a child, and one deed counted once for all of them."""

import json
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
import time_machine
from sqlmodel import select

from activities import codes, helping, members, review, scans, self_reports
from activities.attempts import attempts_of
from activities.photos import Photo
from rewards import ledger
from tanpuhui import classes, clock, consents, families, ids, people, privacy, staff
from tanpuhui.errors import (
    AlreadyPlanted,
    CountedTogether,
    DeedOfFamily,
    DeedOfGuardian,
    FamilyFull,
    InFamilyAlready,
    InvalidField,
    NoFamily,
    NoPhotoHere,
    NotAllowed,
    NotFound,
    PhotoSeenBefore,
    SlipUsed,
)
from tanpuhui.families import FamilyGuardian
from tanpuhui.people import PRESENT, AccountKind, Document, Resident, ResidentStatus, take_turn
from tests.tables import contents
from tests.threads import at_once, codes as outcomes
from tests.world import COMMUNITY, OTHER_COMMUNITY, World

NOON = datetime(2027, 6, 7, 4, 0, tzinfo=UTC)
VERSION = PRESENT[Document.FAMILY]


def make(world: World, guardian: Resident, label: str = "我家", **more: Any) -> Resident:
    """The family of a guardian, as the account that it is."""
    agreed = {"adult": True, "version": VERSION, **more}
    return account(world, families.make(world.house, guardian.id, label=label, **agreed))


def share(world: World, family_of: Resident, second: Resident) -> None:
    code = families.invite(world.house, family_of.id)
    families.join(world.house, second.id, code, adult=True, version=VERSION)


def account(world: World, account_id: UUID) -> Resident:
    with world.house.db.reading_session() as session:
        return session.get_one(Resident, account_id)


def standing(world: World) -> list[UUID]:
    """Whose records there are that were not taken back."""
    query = "SELECT resident_id FROM action a WHERE NOT EXISTS (SELECT 1 FROM action_void v WHERE v.action_id = a.id)"
    with world.house.db.reading() as connection:
        return list(connection.execute(sa.text(query).columns(resident_id=sa.Uuid())).scalars())


def school_class(world: World) -> Resident:
    school = staff.create_organisation(
        world.house, world.colleague(staff.Role.ADMIN), name="第一小学", division_code=COMMUNITY[:9]
    )
    organiser = world.colleague(staff.Role.ORGANISER, organisation=school.id)
    token = classes.create(
        world.house, organiser, organisation_id=school.id, label="三（2）班", division_code=COMMUNITY
    )
    return account(world, classes.open_with(world.house, token))


# --- making and sharing ------------------------------------------------------------------------------------


def test_a_family_is_an_account_of_which_no_person_is_known(world: World) -> None:
    guardian = world.resident()
    family = make(world, guardian, " 我家 ")
    assert family.account_kind is AccountKind.FAMILY
    assert (family.phone_cipher, family.nickname, family.shares) == (b"", None, True)
    assert family.phone_index == f"family:{family.id.hex}"
    assert family.division_code == guardian.division_code
    with world.house.db.reading_session() as session:
        found = families.family_of(session, guardian.id)
        assert found
        assert (found.label, found.guardians, found.invited_until) == ("我家", 1, None)
        assert consents.stands(session.connection(), guardian.id, Document.FAMILY)
    assert make(world, guardian, "另一个").id == family.id  # tapped twice
    assert world.scan(family, world.code("clean_plate"))["points"]["balance"] == 10
    with world.house.db.reading() as connection:
        assert ledger.balance(connection, guardian.id) == 0  # the points are the family's own
    with world.house.db.transaction() as connection:
        kinds = {row.id: (row.account_kind, row.shares) for row in take_turn(connection, [guardian.id, family.id])
                 .values()}  # fmt: skip
    assert kinds == {guardian.id: ("person", True), family.id: ("family", True)}
    assert world.breaches() == []


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("adult", {"adult": False}),
        ("version", {"version": "2020-01"}),
        ("label", {"label": "  "}),
        ("label", {"label": "一二三四五六七八九十一二三"}),
        ("label", {"label": "13812345678"}),
    ],
)
def test_what_is_wrong_is_told_beside_its_field(world: World, field: str, wrong: dict[str, Any]) -> None:
    guardian = world.resident()
    before = contents(world.house)
    with pytest.raises(InvalidField) as error:
        make(world, guardian, **wrong)
    assert [bad["field"] for bad in error.value.params["errors"]] == [field]
    assert contents(world.house) == before


def test_only_a_person_makes_joins_or_is_asked_for_what_is_a_persons(world: World) -> None:
    guardian = world.resident()
    family, pupils = make(world, guardian), school_class(world)
    assert pupils.account_kind is AccountKind.CLASS
    code = families.invite(world.house, guardian.id)
    for one in (family, pupils):
        with pytest.raises(NotAllowed):
            make(world, one)
        with pytest.raises(NotAllowed):
            families.join(world.house, one.id, code, adult=True, version=VERSION)
        with pytest.raises(NotAllowed):
            people.rename(world.house, one.id, "小明")
        with pytest.raises(NotAllowed):
            consents.give(world.house, one.id, Document.PLACE_HINTS, PRESENT[Document.PLACE_HINTS])
        with world.house.db.reading_session() as session:
            assert Document.PLACE_HINTS not in consents.switches(session, one.id)
        world.open_self_reports("walk")
        with pytest.raises(NoPhotoHere):
            world.self_report(one, "walk", 5000, photo=Photo(b"\xff\xd8", 1))
        for column in ("phone_cipher = '13812345678'", "nickname = '小明'"):
            with pytest.raises(sa.exc.IntegrityError), world.house.db.transaction() as connection:
                connection.execute(
                    sa.text(f"UPDATE resident SET {column} WHERE id = :id").bindparams(
                        sa.bindparam("id", one.id, sa.Uuid())
                    )
                )
    assert world.self_report(family, "walk", 5000)["points"]["posted"] > 0
    assert world.breaches() == []


def test_twenty_taps_at_once_make_one_family(world: World) -> None:
    guardian = world.resident()
    made = at_once([lambda: make(world, guardian).id] * 20)
    assert len(set(made)) == 1
    assert [len(contents(world.house)[table]) for table in ("family_account", "family_guardian")] == [1, 1]
    assert world.breaches() == []


def test_a_second_guardian_comes_by_an_invitation_and_a_third_does_not(world: World) -> None:
    first, second, third = world.residents(3)
    family = make(world, first)
    replaced, code = (families.invite(world.house, first.id) for _ in range(2))
    assert len(code) == 12
    typed = f" {code[:4]}-{code[4:8]}-{code[8:]} ".lower()
    with world.house.db.reading_session() as session:
        assert families.invited_to(session, typed) == "我家"
        assert families.invited_to(session, replaced) is None
    with pytest.raises(InFamilyAlready):
        families.join(world.house, first.id, code, adult=True, version=VERSION)
    with pytest.raises(InvalidField):
        families.join(world.house, second.id, code, adult=False, version=VERSION)
    assert families.join(world.house, second.id, typed, adult=True, version=VERSION) == family.id
    with pytest.raises(NotFound):  # it is good once
        families.join(world.house, third.id, code, adult=True, version=VERSION)
    for guardian in (first, second):
        with pytest.raises(FamilyFull):
            families.invite(world.house, guardian.id)
        with world.house.db.reading_session() as session:
            found = families.family_of(session, guardian.id)
            assert found
            assert (found.id, found.guardians) == (family.id, 2)
    families.rename(world.house, second.id, "三楼那家")  # both are equal
    families.end(world.house, first.id)
    with pytest.raises(NoFamily):
        families.invite(world.house, first.id)
    share(world, second, third)
    assert world.breaches() == []


def test_an_invitation_ends_after_a_day_and_with_its_family(world: World) -> None:
    first, second = world.residents(2)
    make(world, first)
    with time_machine.travel(clock.now(), tick=False) as time:
        code = families.invite(world.house, first.id)
        time.shift(families.INVITATION_GOOD_FOR)
        with pytest.raises(NotFound):
            families.join(world.house, second.id, code, adult=True, version=VERSION)
    code = families.invite(world.house, first.id)
    families.end(world.house, first.id)
    with pytest.raises(NotFound):
        families.join(world.house, second.id, code, adult=True, version=VERSION)


def test_of_ten_who_use_one_invitation_at_once_one_comes_in(world: World) -> None:
    first, *others = world.residents(11)
    make(world, first)
    code = families.invite(world.house, first.id)
    results = at_once(
        [
            lambda one=one: families.join(world.house, one.id, code, adult=True, version=VERSION)
            for one in others
        ]
    )
    assert sorted(outcomes(results)) == ["not_found"] * 9 + ["ok"]
    assert world.breaches() == []


def test_the_database_knows_no_third_guardian_and_no_other_part(world: World) -> None:
    first, second, third, alone = world.residents(4)
    family = make(world, first)
    share(world, first, second)
    other = make(world, third)
    pupils = school_class(world)

    def refuses(**row: Any) -> None:
        with pytest.raises(sa.exc.IntegrityError), world.house.db.session() as session:
            session.add(FamilyGuardian(**row))

    with world.house.db.session() as session:
        session.execute(sa.update(Resident).values(shares=True))
    for place in (1, 2, 3):
        refuses(family_id=family.id, guardian_id=alone.id, place=place)
    refuses(family_id=other.id, guardian_id=first.id, place=2)  # shares one already
    refuses(family_id=other.id, guardian_id=pupils.id, place=2)
    refuses(family_id=other.id, guardian_id=family.id, place=2)
    refuses(family_id=alone.id, guardian_id=pupils.id, place=1)
    with world.house.db.session() as session:
        session.execute(sa.update(Resident).where(Resident.id == alone.id).values(shares=False))
    refuses(family_id=other.id, guardian_id=alone.id, place=2)  # whose scans would not know
    for statement in (
        "UPDATE resident SET account_kind = 'person' WHERE account_kind = 'family'",
        "UPDATE family_guardian SET place = 2 WHERE place = 1",
        "INSERT INTO class_account SELECT resident_id, (SELECT id FROM organisation), 'x', "
        "(SELECT created_by FROM class_account LIMIT 1), created_at, NULL, NULL FROM family_account LIMIT 1",
    ):
        with pytest.raises(sa.exc.IntegrityError), world.house.db.transaction() as connection:
            connection.execute(sa.text(statement))


# --- one deed, counted once --------------------------------------------------------------------------------


@pytest.fixture
def time() -> Any:
    """Noon in Shanghai."""
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


def test_a_deed_is_recorded_for_me_or_for_my_family(world: World, time: Any) -> None:
    me, other = world.residents(2)
    family = make(world, me, "楼上那家")
    share(world, me, other)
    code, elsewhere = world.code("clean_plate"), world.code("clean_plate")
    world.scan(me, code)
    time.shift(timedelta(minutes=3))
    with pytest.raises(DeedOfGuardian):
        world.scan(family, elsewhere)
    world.scan(other, code)  # another person, another plate
    time.shift(timedelta(hours=6))
    world.scan(family, code)
    with pytest.raises(DeedOfFamily) as refusal:
        world.scan(me, code)
    assert refusal.value.params == {"label": "楼上那家"}
    with pytest.raises(DeedOfFamily):
        world.scan(other, elsewhere)
    assert sorted(standing(world)) == sorted([me.id, other.id, family.id])
    with world.house.db.reading() as connection:
        told = {one.row.reason for who in (me, family) for one in attempts_of(connection, who.id)}
    assert told == {"deed_of_family", "deed_of_guardian"}
    assert world.breaches() == []


def test_a_better_proof_takes_no_place_in_another_account(world: World, time: Any) -> None:
    me = world.resident()
    family = make(world, me)
    world.open_self_reports("own_cup")
    weak = world.self_report(family, "own_cup")["action"]["id"]
    code = world.code("own_cup")
    with pytest.raises(DeedOfFamily):
        world.scan(me, code)
    assert world.scan(family, code)["replaced"] == [weak]  # where the deed stands, it does
    assert world.breaches() == []


def test_what_was_voided_leaves_the_deed_free(world: World, time: Any) -> None:
    me = world.resident()
    family = make(world, me)
    code = world.code("clean_plate")
    first = world.scan(family, code)["action"]["id"]
    review.void_action(world.house, world.organiser, UUID(first), "扫错了")
    assert world.scan(me, code)["left_today"] == 2
    assert world.breaches() == []


def test_what_a_day_allows_is_counted_together(world: World, time: Any) -> None:
    me = world.resident()
    family = make(world, me)
    code = world.code("own_cup")
    for who, left in ((me, 2), (family, 1), (me, 0)):
        time.shift(timedelta(minutes=40))
        assert world.scan(who, code)["left_today"] == left
    time.shift(timedelta(minutes=40))
    assert scans.preview(world.house, code, family.id, shares=True).left == {"own_cup": 0}
    assert scans.preview(world.house, code, family.id).left == {"own_cup": 2}
    with pytest.raises(CountedTogether):
        world.scan(family, code)
    time.shift(timedelta(days=1))
    assert world.scan(family, code)["left_today"] == 2
    assert world.breaches() == []


def test_slips_and_photos_are_good_once_for_both(world: World, time: Any) -> None:
    me = world.resident()
    family = make(world, me)
    site = world.site("own_cup")
    slips = codes.issue_code(world.house, world.organiser, site.id, kind=codes.CodeKind.SLIPS, copies=1)
    world.scan(family, codes.slip_token(world.house.settings, slips.id, 1))
    time.shift(timedelta(hours=2))
    with pytest.raises(SlipUsed):
        world.scan(me, codes.slip_token(world.house.settings, slips.id, 1))
    world.open_self_reports("walk", "own_cup")
    world.self_report(me, "own_cup", photo=Photo(b"\xff\xd8 a cup", 310106))
    with pytest.raises(NoPhotoHere):
        world.self_report(family, "walk", 5000, photo=Photo(b"\xff\xd8 a cup", 310106))
    with pytest.raises(PhotoSeenBefore):
        world.self_report(me, "walk", 5000, photo=Photo(b"\xff\xd8 a cup", 310106))


def test_trees_are_planted_for_me_or_for_my_family(world: World, time: Any) -> None:
    me = world.resident()
    family = make(world, me)
    plot = world.code("tree_planting", kind="planting_plot", staffed=True)
    world.plant(me, plot)
    with pytest.raises(AlreadyPlanted):
        world.plant(family, plot)
    time.shift(timedelta(days=1))
    plot = world.code("tree_planting", kind="planting_plot", staffed=True)
    results = at_once([lambda one=one: world.plant(one, plot) for one in [me, family] * 5])
    assert sorted(set(outcomes(results))) == ["already_planted", "ok"]
    assert outcomes(results).count("ok") == 1
    assert world.breaches() == []


def test_who_ends_it_does_not_record_the_deed_again(world: World, time: Any) -> None:
    me, other = world.residents(2)
    make(world, me)
    family = make(world, other)
    code = world.code("clean_plate")
    world.scan(family, code)
    families.end(world.house, other.id)
    time.shift(timedelta(minutes=1))
    with pytest.raises(DeedOfFamily):
        world.scan(other, code)
    again = make(world, other)
    assert again.id != family.id
    with pytest.raises(DeedOfFamily):
        world.scan(again, code)
    time.shift(timedelta(hours=5))  # supper is another meal
    world.scan(other, code)
    assert world.breaches() == []


def test_those_who_parted_are_two_again(world: World, time: Any) -> None:
    me, other = world.residents(2)
    family = make(world, me)
    share(world, me, other)
    families.end(world.house, other.id)
    time.shift(timedelta(minutes=1))
    code = world.code("clean_plate")
    world.scan(other, code)
    world.scan(family, code)
    own = make(world, other, "新家")
    with pytest.raises(DeedOfGuardian):
        world.scan(own, code)
    time.shift(timedelta(hours=5))
    world.scan(own, code)
    world.scan(family, code)
    assert world.breaches() == []


def test_a_hundred_scans_at_once_for_both_leave_one_record(world: World) -> None:
    me, other = world.residents(2)
    family = make(world, me)
    share(world, me, other)
    codes_there = [world.code("clean_plate") for _ in range(5)]
    calls = [
        lambda who=who, code=code: world.scan(who, code) for code in codes_there * 10 for who in (me, family)
    ]
    with time_machine.travel(NOON, tick=True):
        results = at_once(calls, timeout=120)
    counted = outcomes(results)
    assert counted.count("ok") == 1
    assert set(counted) <= {"ok", "deed_of_family", "deed_of_guardian", "too_soon"}
    assert len(standing(world)) == 1
    assert world.breaches() == []


def test_without_the_guard_both_are_credited_and_verify_finds_them(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: the row of the turn says nothing of who counts together."""
    me = world.resident()
    family = make(world, me)
    code = world.code("clean_plate")
    monkeypatch.setattr(scans, "_shares", lambda _row: False)
    results = at_once([lambda who=who: world.scan(who, code) for who in [me, family] * 10])
    assert outcomes(results).count("ok") == 2
    (breach,) = world.breaches()
    assert breach.startswith("a deed is not counted for a guardian and their family: ")


@pytest.mark.parametrize("guarded", [True, False])
def test_two_processes_wait_for_each_others_turn(
    world: World, monkeypatch: pytest.MonkeyPatch, guarded: bool
) -> None:
    """Both look at the days before either writes: with every turn taken they cannot; with the own one alone they can."""
    me = world.resident()
    family = make(world, me)
    code = world.code("clean_plate")
    both = threading.Barrier(2)
    read_days = scans.read_days

    def together(*given: Any) -> Any:
        found = read_days(*given)
        with suppress(threading.BrokenBarrierError):
            both.wait(3)
        return found

    def own_turn_only(connection: Any, account_id: UUID) -> Any:
        return take_turn(connection, [account_id]), families.counted_with(connection, account_id)

    monkeypatch.setattr(scans, "read_days", together)
    if not guarded:
        monkeypatch.setattr(families, "take_turns", own_turn_only)
    results = at_once([lambda who=who: world.scan(who, code) for who in (me, family)])
    lost = not guarded and not world.house.db.is_sqlite  # SQLite's writers take turns whatever is locked
    assert outcomes(results).count("ok") == (2 if lost else 1)
    assert (world.breaches() != []) == lost


def test_families_and_others_scan_at_once_without_a_deadlock(world: World) -> None:
    """Guardians who share, families, and people who do not, crosswise in the same batches."""
    parents = world.residents(8)
    homes = []
    for first, second in zip(parents[::2], parents[1::2], strict=True):
        homes.append(make(world, first))
        share(world, first, second)
    everybody = [*parents, *homes, *world.residents(8)]
    code = world.code("clean_plate", "own_cup", "bike_trip")
    calls = [
        lambda who=who, kind=kind: world.scan(
            who, code, kind=kind, quantity="1" if kind == "bike_trip" else None
        )
        for kind in ("clean_plate", "own_cup", "bike_trip")
        for who in [*everybody, *everybody[::-1]]
    ]
    with time_machine.travel(NOON, tick=True):
        counted = outcomes(at_once(calls, timeout=120))
    assert set(counted) <= {"ok", "deed_of_family", "deed_of_guardian", "too_soon", "counted_together"}
    assert counted.count("ok") >= 3 * (8 + 4)
    assert world.breaches() == []


def test_who_shares_nothing_pays_for_nothing(world: World) -> None:
    resident, guardian = world.residents(2)
    make(world, guardian)
    code = world.code("clean_plate")
    ran: dict[UUID, list[str]] = {}
    for who in (resident, guardian):
        statements: list[str] = []

        def listen(
            _connection: Any, _cursor: Any, statement: str, *_rest: Any, seen: Any = statements
        ) -> None:
            seen.append(statement)

        world.scan(world.resident(), code)  # nothing is looked at for the first time
        sa.event.listen(world.house.db.engine, "before_cursor_execute", listen)
        world.scan(who, code)
        sa.event.remove(world.house.db.engine, "before_cursor_execute", listen)
        ran[who.id] = [text for text in statements if not text.startswith("BEGIN")]
    assert not any("family_" in text for text in ran[resident.id])
    assert sum("family_" in text for text in ran[guardian.id]) == 2


# --- where else it meets -----------------------------------------------------------------------------------


def test_a_child_without_a_phone_takes_part_at_the_desk(world: World, time: Any) -> None:
    me = world.resident()
    family = make(world, me)
    card = members.token_of(world.house.settings, members.own_card(world.house, family.id).number)
    site = world.site("clean_plate")

    def help_them() -> Any:
        return helping.record_for(
            world.house, world.organiser, site.id, key=ids.new_id().hex, member=card, kind="clean_plate"
        )

    assert json.loads(help_them().body)["points"]["balance"] == 10
    with pytest.raises(DeedOfFamily):
        world.scan(me, world.code_at(site))
    assert standing(world) == [family.id]


def test_a_family_is_one_participant(world: World, time: Any) -> None:
    me, other = world.residents(2)
    family = make(world, me)
    share(world, me, other)
    code = world.code("own_cup")
    for _ in range(2):
        world.scan(family, code)
        time.shift(timedelta(minutes=40))
    world.house.relay.drain()
    with world.house.db.reading() as connection:
        counted = connection.execute(
            sa.text("SELECT DISTINCT resident_id FROM daily_participant WHERE actions > 0").columns(
                resident_id=sa.Uuid()
            )
        ).scalars()
        assert list(counted) == [family.id]
    assert world.figure_differences() == []


def test_self_reports_offer_what_is_left_of_both(world: World, time: Any) -> None:
    me = world.resident()
    family = make(world, me)
    world.open_self_reports("walk")
    world.self_report(me, "walk", 5000)
    assert self_reports.offer(world.house, family.id, shares=True).left == {"walk": 0}
    with pytest.raises(DeedOfGuardian):
        world.self_report(family, "walk", 5000)


# --- the API -----------------------------------------------------------------------------------------------

FOR_FAMILY = {"Tanpuhui-Account": "family"}


def test_a_token_acts_for_the_family_by_a_header(world: World) -> None:
    me, alone = world.residents(2)
    family = make(world, me)
    token, code = world.token(me), world.code("clean_plate", "own_cup")
    body = {"code": code, "kind": "clean_plate"}
    with time_machine.travel(NOON, tick=False):
        first = world.post_scan(token, body, "one", **FOR_FAMILY)
        assert first.status_code == 201
        again = world.post_scan(token, body, "one", **FOR_FAMILY)
        assert (again.text, again.headers["Idempotent-Replayed"]) == (first.text, "true")
        refused = world.post_scan(token, body, "two", **{"Tanpuhui-Account": "me"})
        assert (refused.status_code, refused.json["code"], refused.json["label"]) == (
            409,
            "deed_of_family",
            "我家",
        )
        assert world.post_scan(world.token(alone), body, "three", **FOR_FAMILY).json["code"] == "no_family"
        assert (
            world.post_scan(token, body, "four", **{"Tanpuhui-Account": "us"}).json["code"]
            == "invalid_fields"
        )
    action_id = first.json["action"]["id"]
    for headers, balance, status in ((FOR_FAMILY, 10, 200), ({}, 0, 404)):
        assert world.call("GET", "/me/statement", token, headers=headers).json["balance"] == balance
        assert world.call("GET", f"/actions/{action_id}", token, headers=headers).status_code == status
    world.open_self_reports("walk")
    report = {"kind": "walk", "quantity": 5000}
    answer = world.call(
        "POST", "/me/self-reports", token, json=report, headers={**FOR_FAMILY, "Idempotency-Key": "five"}
    )
    assert answer.status_code == 201
    assert set(standing(world)) == {family.id}
    assert world.call("GET", "/me/statement", world.token(alone), headers=FOR_FAMILY).status_code == 404
    families.end(world.house, me.id)
    assert world.post_scan(token, body, "six", **FOR_FAMILY).json["code"] == "no_family"


# --- ending ------------------------------------------------------------------------------------------------


def gone(world: World, family: Resident) -> bool:
    closed = account(world, family.id)
    assert (closed.status is ResidentStatus.CLOSED) == closed.phone_index.startswith("closed:")
    return closed.status is ResidentStatus.CLOSED


def test_the_last_guardian_closes_the_family_and_totals_stay(world: World, time: Any) -> None:
    me, other = world.residents(2)
    family = make(world, me, "三楼种花的那家")
    share(world, me, other)
    world.scan(family, world.code("clean_plate"))
    members.own_card(world.house, family.id)
    world.house.relay.drain()
    before = contents(world.house)["daily_figure"]
    families.end(world.house, me.id)
    families.end(world.house, me.id)  # again changes nothing
    assert not gone(world, family)
    with world.house.db.reading_session() as session:
        assert families.family_of(session, me.id) is None
        assert not consents.stands(session.connection(), me.id, Document.FAMILY)
        assert families.family_of(session, other.id)
    families.end(world.house, other.id)
    assert gone(world, family)
    held = contents(world.house)
    assert held["family_account"] == {}
    assert "三楼种花的那家" not in str(held)
    assert world.figure_differences() == []
    assert held["daily_figure"] == before != {}
    assert world.breaches() == []


@pytest.mark.parametrize("alone", [True, False])
def test_a_guardian_who_leaves_the_platform_leaves_the_family(world: World, alone: bool) -> None:
    me, other = world.residents(2)
    family = make(world, me)
    if not alone:
        share(world, me, other)
    people.leave(world.house, me.id)
    assert gone(world, family) is alone
    assert str(me.id) not in str(contents(world.house)["family_guardian"])
    assert world.breaches() == []


@pytest.mark.parametrize("_again", range(3))
def test_two_who_end_it_at_once_leave_no_orphan(world: World, _again: int) -> None:
    me, other = world.residents(2)
    family = make(world, me)
    share(world, me, other)
    code = world.code("clean_plate")
    results = at_once(
        [
            lambda: families.end(world.house, me.id),
            lambda: people.leave(world.house, other.id),
            lambda: world.scan(family, code),
            lambda: world.scan(me, code),
        ]
    )
    assert outcomes(results)[:2] == ["ok", "ok"]
    assert set(outcomes(results)[2:]) <= {"ok", "resident_inactive", "deed_of_family", "deed_of_guardian"}
    assert gone(world, family)
    assert world.breaches() == []


def housekeeping(world: World) -> None:
    with world.house.db.transaction() as connection:
        privacy.keep_to_periods(world.house, connection, clock.now())


def test_that_they_shared_is_forgotten_after_nine_days(world: World, time: Any) -> None:
    me, other = world.residents(2)
    make(world, me)
    share(world, me, other)
    families.end(world.house, other.id)
    time.shift(families.REMEMBERED - timedelta(hours=1))
    housekeeping(world)
    assert account(world, other.id).shares
    time.shift(timedelta(hours=2))
    housekeeping(world)
    assert not account(world, other.id).shares
    assert account(world, me.id).shares
    with world.house.db.reading_session() as session:
        assert [one.guardian_id for one in session.exec(select(FamilyGuardian))] == [me.id]
    assert world.breaches() == []


def test_the_privacy_centre_shows_and_gives_it(world: World) -> None:
    me, other = world.residents(2)
    family = make(world, me, "三楼那家")
    share(world, me, other)
    (mine,) = privacy.rows_of(world.house, me.id)["family"]
    assert (mine["label"], mine["until"]) == ("三楼那家", None)
    held = privacy.rows_of(world.house, family.id)
    assert len(held["family"]) == 2
    (row,) = held["account"]
    assert (row["phone"], row["nickname"], row["account_kind"]) == (None, None, "family")
    for guardian in (me, other):  # whom it is shared with is nobody else's business
        assert str(guardian.id) not in json.dumps(held, default=str)


def test_a_family_moves_with_its_records_where_they_were(world: World) -> None:
    me = world.resident()
    family = make(world, me)
    people.move(world.house, family.id, OTHER_COMMUNITY)
    assert account(world, family.id).division_code == OTHER_COMMUNITY
    assert account(world, me.id).division_code == COMMUNITY
