"""Rotating codes, slips, receipts of a scale, and members' own codes at a helper's desk."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
import time_machine

from activities import cards, codes, helping, members
from activities.codes import CodeKind
from activities.review import void_action
from activities.sites import Site
from tanpuhui import clock, signing
from tanpuhui.errors import InvalidField, NotAllowed, NotFound, TanpuhuiError
from tanpuhui.people import Resident, leave
from tanpuhui.signing import Form, Token
from tanpuhui.staff import Role
from tests.threads import at_once, codes as outcomes
from tests.world import COMMUNITY, OTHER_COMMUNITY, World

NOON = datetime(2027, 6, 7, 4, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def time() -> Iterator[time_machine.Traveller]:
    """Noon in Shanghai, at the beginning of a period of rotating codes."""
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


def refused(code: str, call: Any) -> TanpuhuiError:
    with pytest.raises(TanpuhuiError) as refusal:
        call()
    assert refusal.value.code == code
    assert str(refusal.value)
    return refusal.value


def evidence(answer: dict[str, Any]) -> str:
    return str(answer["action"]["evidence"])


# --- rotating ----------------------------------------------------------------------------------------------


@pytest.fixture
def screen(world: World) -> codes.Code:
    """A rotating code at a canteen."""
    return codes.issue_code(
        world.house, world.organiser, world.site("clean_plate").id, kind=CodeKind.ROTATING
    )


def shown(world: World, screen: codes.Code, **ago: float) -> str:
    return codes.rotating_token(world.house.settings, screen.id, clock.now() - timedelta(**ago))


def test_a_rotating_code_is_stronger_evidence_than_a_poster(world: World, screen: codes.Code) -> None:
    assert evidence(world.scan(world.resident(), shown(world, screen))) == "rotating_code"
    assert world.breaches() == []


def test_a_picture_of_a_rotating_code_is_good_for_a_minute_at_most(
    world: World, screen: codes.Code, time: Any
) -> None:
    picture = shown(world, screen)
    for seconds, good in ((0, True), (29, True), (30, True), (59.9, True), (60, False), (3600, False)):
        time.move_to(NOON + timedelta(seconds=seconds))
        if good:
            world.scan(world.resident(), picture)
        else:
            refused("rotating_code_expired", lambda: world.scan(world.resident(), picture))


def test_the_clock_of_another_process_may_be_a_period_behind(world: World, screen: codes.Code) -> None:
    world.scan(world.resident(), shown(world, screen, seconds=-30))
    refused("rotating_code_expired", lambda: world.scan(world.resident(), shown(world, screen, seconds=-60)))


def test_a_rotating_code_is_not_recorded_afterwards(world: World, screen: codes.Code, time: Any) -> None:
    """Whoever has a picture could say that it happened while the code stood there."""
    picture = shown(world, screen)
    time.shift(timedelta(hours=1))
    for token in (picture, shown(world, screen)):
        refused(
            "rotating_code_expired",
            lambda token=token: world.scan(world.resident(), token, occurred_at=NOON),
        )


def test_the_number_alone_of_a_rotating_code_is_worthless(world: World, screen: codes.Code) -> None:
    refused(
        "code_invalid",
        lambda: world.scan(world.resident(), codes.token_of(world.house.settings, screen.id)),
    )


# --- slips -------------------------------------------------------------------------------------------------


@pytest.fixture
def batch(world: World) -> codes.Code:
    """Three slips, each for half a kilogram of glass."""
    site = world.site("recycle_glass", "recycle_paper", kind="recycling_point")
    return codes.issue_code(
        world.house,
        world.organiser,
        site.id,
        kind=CodeKind.SLIPS,
        copies=3,
        action_kind="recycle_glass",
        quantity_milli=500,
    )


def slip(world: World, batch: codes.Code, serial: int) -> str:
    return codes.slip_token(world.house.settings, batch.id, serial)


def test_a_slip_says_what_and_how_much(world: World, batch: codes.Code) -> None:
    answer = world.scan(world.resident(), slip(world, batch, 1))
    assert (answer["action"]["kind"], answer["action"]["quantity"]) == ("recycle_glass", 0.5)
    assert evidence(answer) == "rotating_code"
    assert world.breaches() == []


def test_a_slip_is_good_once(world: World, batch: codes.Code) -> None:
    first, second = world.residents(2)
    answer = world.scan(first, slip(world, batch, 1), key="one")
    assert world.scan(first, slip(world, batch, 1), key="one") == answer  # the same scan, answered again
    refused("slip_used", lambda: world.scan(first, slip(world, batch, 1), key="two"))
    refused("slip_used", lambda: world.scan(second, slip(world, batch, 1)))
    world.scan(second, slip(world, batch, 2))
    for serial in (0, 4):
        refused("code_expired", lambda serial=serial: world.scan(second, slip(world, batch, serial)))


def test_a_slip_stays_used_when_its_record_is_taken_back(world: World, batch: codes.Code) -> None:
    first, second = world.residents(2)
    answer = world.scan(first, slip(world, batch, 1))
    void_action(world.house, world.organiser, UUID(answer["action"]["id"]), "弄错了")
    refused("slip_used", lambda: world.scan(second, slip(world, batch, 1)))


def test_of_twenty_who_scan_one_slip_at_once_one_is_credited(world: World, batch: codes.Code) -> None:
    token = slip(world, batch, 1)
    calls = [lambda who=who: world.scan(who, token) for who in world.residents(20)]
    results = outcomes(at_once(calls))
    assert results.count("slip_used") == 19, results
    assert world.breaches() == []
    assert world.figure_differences() == []


def test_without_the_unique_serial_one_slip_is_credited_several_times(
    world: World, batch: codes.Code, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: looking first is not enough."""
    monkeypatch.setattr("activities.scans.INSERT_USES.run", lambda *_: [], raising=False)
    token = slip(world, batch, 1)
    calls = [lambda who=who: world.scan(who, token) for who in world.residents(8)]
    assert outcomes(at_once(calls)).count("slip_used") < 7


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"copies": 0}, "copies"),
        ({"copies": 2001}, "copies"),
        ({"copies": None}, "copies"),
        ({"copies": 3, "action_kind": "clean_plate"}, "action_kind"),
        ({"copies": 3, "action_kind": "no_such_kind"}, "action_kind"),
        ({"copies": 3, "action_kind": "recycle_glass", "quantity_milli": 0}, "quantity"),
        ({"copies": 3, "action_kind": "recycle_glass", "quantity_milli": 30001}, "quantity"),
        ({"copies": 3, "quantity_milli": 500}, "quantity"),
    ],
)
def test_a_batch_that_makes_no_sense_is_refused_in_its_field(
    world: World, wrong: dict[str, Any], field: str
) -> None:
    site = world.site("recycle_glass")
    with pytest.raises(InvalidField) as error:
        codes.issue_code(world.house, world.organiser, site.id, kind=CodeKind.SLIPS, **wrong)
    assert [entry["field"] for entry in error.value.params["errors"]] == [field]


# --- measured ----------------------------------------------------------------------------------------------


@pytest.fixture
def scale(world: World) -> codes.Code:
    """A scale for clothes."""
    site = world.site("clothing_reuse", kind="clothes_bin")
    return codes.issue_code(
        world.house, world.organiser, site.id, kind=CodeKind.MEASURED, action_kind="clothing_reuse"
    )


def receipt(world: World, scale: codes.Code, grams: int, serial: int) -> str:
    """What the scale prints: it holds a key of its own and nothing else of ours."""
    key = signing.keyring(world.house.settings).partner_key(scale.id)
    return signing.sign_measured(key, 0, Token(Form.MEASURED, scale.id, (grams, serial)))


def test_a_scale_says_how_much(world: World, scale: codes.Code) -> None:
    answer = world.scan(world.resident(), receipt(world, scale, 2500, 1))
    assert (answer["action"]["kind"], answer["action"]["quantity"]) == ("clothing_reuse", 2.5)
    assert evidence(answer) == "measured"


def test_what_a_resident_says_does_not_count_beside_what_was_weighed(world: World, scale: codes.Code) -> None:
    assert (
        world.scan(world.resident(), receipt(world, scale, 2500, 1), quantity="30")["action"]["quantity"]
        == 2.5
    )


def test_a_receipt_is_good_once_and_keeps_to_the_limits(world: World, scale: codes.Code) -> None:
    world.scan(world.resident(), receipt(world, scale, 2500, 1))
    refused("slip_used", lambda: world.scan(world.resident(), receipt(world, scale, 2500, 1)))
    refused("quantity_out_of_range", lambda: world.scan(world.resident(), receipt(world, scale, 30_001, 2)))
    refused("quantity_out_of_range", lambda: world.scan(world.resident(), receipt(world, scale, 1, 3)))


def test_a_receipt_that_somebody_made_heavier_is_worthless(world: World, scale: codes.Code) -> None:
    other = codes.issue_code(
        world.house, world.organiser, scale.site_id, kind=CodeKind.MEASURED, action_kind="clothing_reuse"
    )
    key = signing.keyring(world.house.settings).partner_key(other.id)
    forged = signing.sign_measured(key, 0, Token(Form.MEASURED, scale.id, (25_000, 1)))
    refused("code_invalid", lambda: world.scan(world.resident(), forged))


# --- members -----------------------------------------------------------------------------------------------


@pytest.fixture
def desk(world: World) -> Site:
    """A site at which helpers record."""
    return world.site("recycle_glass", "clothing_reuse", kind="recycling_point")


def own(world: World, resident: Resident) -> str:
    card = members.own_card(world.house, resident.id)
    return members.token_of(world.house.settings, card.number)


def helped(world: World, desk: Site, member: str, *, key: str = "k", **more: Any) -> Any:
    more = {"kind": "recycle_glass", "quantity": "2", **more}
    return helping.record_for(world.house, world.organiser, desk.id, key=key, member=member, **more)


def test_a_helper_records_for_a_member(world: World, desk: Site) -> None:
    resident = world.resident()
    answer = helped(world, desk, own(world, resident))
    assert '"evidence": "staff_confirmed"' in answer.body
    assert helped(world, desk, own(world, resident)).body == answer.body  # sent twice, recorded once
    with world.house.db.reading() as connection:
        rows = connection.execute(sa.text("SELECT resident_id, recorded_by FROM action")).all()
        assert len(rows) == 1
        assert str(rows[0].recorded_by).replace("-", "") == world.organiser.id.hex
    assert world.breaches() == []


def test_a_members_code_and_a_sites_code_are_told_apart(world: World, desk: Site) -> None:
    resident = world.resident()
    refused("member_code_here", lambda: world.scan(resident, own(world, resident)))
    refused("not_a_member_code", lambda: helped(world, desk, world.code_at(desk)))


def test_the_code_of_a_desk_is_no_code_for_residents(world: World, desk: Site) -> None:
    helped(world, desk, own(world, world.resident()))
    with world.house.db.reading_session() as session:
        (code,) = codes.codes_of(session, desk.id)
    assert code.kind is CodeKind.DESK
    token = codes.token_of(world.house.settings, code.id)
    refused("code_invalid", lambda: world.scan(world.resident(), token, kind="recycle_glass", quantity="1"))
    codes.revoke_code(world.house, world.organiser, code.id, "活动结束")
    helped(world, desk, own(world, world.resident()))  # helpers go on with a new one


def test_helpers_keep_to_their_scope(world: World, desk: Site) -> None:
    elsewhere = world.colleague(Role.HELPER, division=OTHER_COMMUNITY)
    member = own(world, world.resident())
    with pytest.raises(NotAllowed):
        helping.record_for(
            world.house, elsewhere, desk.id, key="k", member=member, kind="recycle_glass", quantity="1"
        )
    here = world.colleague(Role.HELPER, division=COMMUNITY)
    helping.record_for(world.house, here, desk.id, key="k", member=member, kind="recycle_glass", quantity="1")


def test_what_was_scanned_without_network_lands_on_its_day(world: World, desk: Site, time: Any) -> None:
    helped(world, desk, own(world, world.resident()))
    member = own(world, world.resident())
    time.shift(timedelta(days=2))
    answer = helped(world, desk, member, key="late", occurred_at=NOON + timedelta(hours=1))
    assert '"occurred_at": "2027-06-07T05:00:00Z"' in answer.body


def test_a_replaced_code_of_ones_own_is_good_for_nothing(world: World, desk: Site) -> None:
    resident = world.resident()
    old = own(world, resident)
    number = members.read_member(world.house.settings, old)
    fresh = members.replace_own(world.house, resident.id, number)
    assert members.replace_own(world.house, resident.id, number) == fresh  # the second tap
    refused("card_revoked", lambda: helped(world, desk, old))
    helped(world, desk, own(world, resident))


def test_of_two_who_ask_for_a_code_at_once_both_get_the_same(world: World) -> None:
    resident = world.resident()
    numbers = {card.number for card in at_once([lambda: members.own_card(world.house, resident.id)] * 8)}
    assert len(numbers) == 1


# --- printed cards -----------------------------------------------------------------------------------------


def blank(world: World, count: int = 1) -> list[int]:
    cards = members.print_cards(world.house, world.organiser, COMMUNITY, count)
    return [card.number for card in cards]


def card(world: World, number: int) -> str:
    return members.token_of(world.house.settings, number)


def test_a_card_takes_part_without_a_phone(world: World, desk: Site) -> None:
    (number,) = blank(world)
    refused("card_unused", lambda: helped(world, desk, card(world, number)))
    holder = members.hand_over(world.house, world.organiser, number, consented=True)
    helped(world, desk, card(world, number))
    assert holder.phone_cipher == b""
    refused("card_in_use", lambda: members.hand_over(world.house, world.organiser, number, consented=True))
    assert world.breaches() == []
    assert world.figure_differences() == []


def test_without_consent_no_card_is_handed_over(world: World) -> None:
    (number,) = blank(world)
    with pytest.raises(InvalidField):
        members.hand_over(world.house, world.organiser, number, consented=False)


def test_a_lost_card_is_replaced_and_its_holder_keeps_everything(world: World, desk: Site) -> None:
    lost, fresh, another = blank(world, 3)
    holder = members.hand_over(world.house, world.organiser, lost, consented=True)
    helped(world, desk, card(world, lost))
    members.replace_printed(world.house, world.organiser, lost, fresh, "丢失")
    refused("card_revoked", lambda: helped(world, desk, card(world, lost), key="2"))
    answer = helped(world, desk, card(world, fresh), key="3", kind="clothing_reuse", quantity="1")
    assert '"balance": 32' in answer.body  # 12 for the glass, 20 for the clothes
    with world.house.db.reading() as connection:
        assert members.holder_of(connection, fresh) == holder.id
    refused(
        "card_revoked", lambda: members.replace_printed(world.house, world.organiser, lost, another, "丢失")
    )
    refused(
        "card_in_use", lambda: members.replace_printed(world.house, world.organiser, fresh, fresh, "丢失")
    )


def test_cards_are_handled_within_ones_scope(world: World) -> None:
    (number,) = blank(world)
    elsewhere = world.colleague(Role.ORGANISER, division=OTHER_COMMUNITY)
    for call in (
        lambda: members.print_cards(world.house, elsewhere, COMMUNITY, 1),
        lambda: members.hand_over(world.house, elsewhere, number, consented=True),
        lambda: members.revoke_printed(world.house, elsewhere, number, "丢失"),
    ):
        with pytest.raises(NotAllowed):
            call()
    with pytest.raises(NotFound):
        members.revoke_printed(world.house, world.organiser, 7, "丢失")
    with world.house.db.reading_session() as session:
        assert cards.listed(session, world.house.settings, elsewhere) == []
        (found,) = cards.listed(session, world.house.settings, world.organiser)
        assert found.card.number == number


def test_leaving_takes_ones_code_along(world: World, desk: Site) -> None:
    resident = world.resident()
    member = own(world, resident)
    leave(world.house, resident.id)
    refused("code_invalid", lambda: helped(world, desk, member))
    with pytest.raises(NotFound):
        members.own_card(world.house, resident.id)


# --- guessing ----------------------------------------------------------------------------------------------


def test_a_forged_code_asks_the_database_nothing_whether_its_number_exists_or_not(world: World) -> None:
    """So neither the answer nor its time can tell a known number from an unknown one."""
    good = world.code("clean_plate")
    resident = world.resident()
    asked: list[str] = []
    sa.event.listen(
        world.house.db.engine,
        "before_cursor_execute",
        lambda _connection, _cursor, statement, *_: asked.append(statement),
    )
    answers = []
    for number in (codes.read_token(world.house.settings, good).number, 7):
        genuine = codes.token_of(world.house.settings, number)
        forged = genuine[:-1] + ("A" if genuine[-1] != "A" else "B")
        answers.append(refused("code_invalid", lambda forged=forged: world.scan(resident, forged)))
    assert asked == []
    assert str(answers[0]) == str(answers[1])
    world.scan(resident, good)
    assert asked
