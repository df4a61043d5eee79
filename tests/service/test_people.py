"""Residents: joining once, consenting to a readable text, and leaving without a trace of the person."""

import hashlib

import pytest
import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from sqlmodel import SQLModel, select

from tanpuhui import clock, ids, login, people
from tanpuhui.errors import InvalidField, NotAuthenticated, NotFound
from tanpuhui.people import CONSENT_VERSION, Consent, Resident, consent_text, join, leave, normalise_phone
from tanpuhui.rooms import build_house
from tanpuhui.sessions import Doorkeeper, new_session
from tanpuhui.sms import SmsSender
from tests.databases import settings_for
from tests.tables import contents, written
from tests.threads import at_once
from tests.world import COMMUNITY, DISTRICT, STREET, World

PHONE = "+8613812345678"


def join_in(
    world: World, phone: str = PHONE, community: str = COMMUNITY, consent: str = CONSENT_VERSION
) -> Resident:
    return join(world.house, phone=phone, division_code=community, consent_version=consent)


@pytest.mark.parametrize(
    "text",
    [
        "13812345678",
        "+8613812345678",
        "8613812345678",
        " 138 1234-5678 ",
        "１３８１２３４５６７８",
        "(+86)13812345678",
    ],
)
def test_one_number_has_one_form(text: str) -> None:
    assert normalise_phone(text) == PHONE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1381234567",
        "138123456789",
        "12812345678",
        "+4413812345678",
        "1381234567x",
        "13８1234567",
        "1381234567٨",
        "13812345678;",
    ],
)
def test_what_is_no_mobile_number_is_refused(text: str) -> None:
    with pytest.raises(InvalidField) as error:
        normalise_phone(text)
    assert error.value.params["errors"][0]["field"] == "phone"


def test_joining_twice_is_joining_once(world: World) -> None:
    first = join_in(world)
    before = contents(world.house)
    assert join_in(world).id == first.id
    assert written(before, contents(world.house)) == {}
    assert world.breaches() == []


def test_joining_at_once_with_one_number_makes_one_resident(world: World) -> None:
    second = build_house(world.house.settings)
    calls = [
        lambda house=house: (
            join(house, phone=PHONE, division_code=COMMUNITY, consent_version=CONSENT_VERSION).id
        )
        for house in [world.house, second] * 4
    ]
    results = at_once(calls)
    second.db.dispose()
    assert len(set(results)) == 1
    held = contents(world.house)
    assert (len(held["resident"]), len(held["consent"]), len(held["event_log"])) == (1, 2, 1)


def test_consent_is_bound_to_the_text_that_was_read(world: World) -> None:
    resident = join_in(world)
    with world.house.db.reading_session() as session:
        (consent,) = session.exec(select(Consent).where(Consent.document == "privacy")).all()
    assert (consent.resident_id, consent.document, consent.version) == (
        resident.id,
        "privacy",
        CONSENT_VERSION,
    )
    assert consent.text_sha256 == hashlib.sha256(consent_text("zh").encode()).hexdigest()
    assert consent_text("zh") != consent_text("en")
    assert len(consent_text("en")) > 200
    for version, language in (("2020-01", "zh"), ("../consent-2026-11", "zh"), (CONSENT_VERSION, "xx")):
        with pytest.raises(NotFound):
            consent_text(language, version)


def test_joining_asks_for_a_community_and_the_present_text(world: World) -> None:
    before = contents(world.house)
    for community, consent, fields in (
        (STREET, CONSENT_VERSION, ["division_code"]),
        (DISTRICT, CONSENT_VERSION, ["division_code"]),
        ("999999999999", CONSENT_VERSION, ["division_code"]),
        (COMMUNITY, "2020-01", ["consent_version"]),
        (COMMUNITY, "", ["consent_version"]),
        ("", "", ["division_code", "consent_version"]),
    ):
        with pytest.raises(InvalidField) as error:
            join_in(world, community=community, consent=consent)
        assert [bad["field"] for bad in error.value.params["errors"]] == fields
    assert written(before, contents(world.house)) == {}


def test_the_number_is_nowhere_readable(world: World) -> None:
    resident = join_in(world)
    settings = world.house.settings
    everything = repr(contents(world.house))
    for form in (PHONE, PHONE[1:], PHONE[3:], hashlib.sha256(PHONE.encode()).hexdigest()):
        assert form not in everything
    assert people.open_phone(settings, resident.phone_cipher) == PHONE
    again = people.seal_phone(settings, PHONE)
    assert again != resident.phone_cipher  # nobody sees that two sealed numbers are equal
    other = settings_for(settings.database_url, settings.var).model_copy(
        update={"secret_key": type(settings.secret_key)("x" * 40)}
    )
    assert people.blind_index(other, PHONE) != people.blind_index(settings, PHONE)
    with pytest.raises(InvalidTag):
        people.open_phone(other, resident.phone_cipher)


class Silence(SmsSender):
    """Sends nothing anywhere."""

    def send(self, _phone: str, _text: str) -> None:
        """Nothing."""


def test_leaving_keeps_nothing_of_the_person_and_every_total(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login, "sender_for", lambda *_: Silence())
    for number in (PHONE, "13900000001"):
        login.request_code(world.house, phone=number, address="192.0.2.1")
    resident = join_in(world)
    code = world.code("clean_plate")
    world.scan(resident, code)
    machine, browser = (
        world.token(resident),
        new_session(world.house, kind="resident", subject_id=resident.id),
    )
    doorkeeper = Doorkeeper(world.house)
    assert doorkeeper.identify_browser(browser) is not None
    world.house.relay.drain()
    before = contents(world.house)

    leave(world.house, resident.id)
    after = contents(world.house)
    assert written(before, after) == {
        "resident": {"changed": 1},
        "consent": {"changed": 2},
        "api_token": {"deleted": 1},
        "browser_session": {"deleted": 1},
        "stored_answer": {"deleted": 1},
        "message": {"deleted": 1},
        "login_code": {"deleted": 1},  # and not the other number's
    }
    held = repr(after)
    assert people.blind_index(world.house.settings, PHONE) not in held
    assert repr(resident.phone_cipher) not in held
    assert repr(resident.phone_cipher) in repr(before)
    with world.house.db.reading_session() as session:
        left = session.get_one(Resident, resident.id)
        assert left.phone_cipher == b""
        assert people.find_by_phone(session, world.house.settings, PHONE) is None
        assert all(consent.withdrawn_at for consent in session.exec(select(Consent)))
    assert doorkeeper.identify_browser(browser) is None
    with pytest.raises(NotAuthenticated):
        doorkeeper.identify_machine(machine)
    assert world.breaches() == []
    assert world.figure_differences() == []

    leave(world.house, resident.id)  # twice changes nothing
    assert written(after, contents(world.house)) in ({}, {"resident": {"changed": 1}})
    with pytest.raises(NotFound):
        leave(world.house, ids.new_id())

    returned = join_in(world)
    assert returned.id != resident.id
    assert world.scan(returned, code)["points"]["balance"] == 10
    assert world.breaches() == []


def test_a_resident_without_a_standing_consent_is_a_breach(world: World) -> None:
    resident = join_in(world)
    with world.house.db.transaction() as connection:
        connection.execute(sa.text("UPDATE consent SET withdrawn_at = given_at"))
    (breach,) = world.breaches()
    assert "consent" in breach
    assert str(resident.id).replace("-", "") in breach.replace("-", "")


def test_the_database_itself_guards_residents_and_consents(world: World) -> None:
    resident = join_in(world)
    table, consents = SQLModel.metadata.tables["resident"], SQLModel.metadata.tables["consent"]
    with world.house.db.reading() as connection:
        person = dict(connection.execute(sa.select(table)).mappings().one())
        first = sa.select(consents).where(consents.c.document == "privacy")
        consent = dict(connection.execute(first).mappings().one())
    fresh = {"id": ids.new_id(), "phone_index": "other"}
    wrong = [
        sa.insert(table).values({**person, "id": ids.new_id()}),  # a number twice
        sa.insert(table).values({**person, **fresh, "division_code": "000"}),
        sa.text("UPDATE resident SET status = 'asleep'"),
        sa.insert(consents).values({**consent, "id": ids.new_id()}),  # one yes to one version
        sa.insert(consents).values(
            {**consent, "id": ids.new_id(), "version": "x", "resident_id": ids.new_id()}
        ),
        sa.update(consents).values(withdrawn_at=resident.joined_at.replace(year=2000)),
    ]
    for change in wrong:
        with pytest.raises(sa.exc.IntegrityError), world.house.db.transaction() as connection:
            connection.execute(change)
    assert clock.now() >= resident.joined_at
