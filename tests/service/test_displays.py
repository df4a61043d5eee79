"""The elder view stays with the account: on the next phone, in the copy, until it is changed or the account closed; and is counted."""

import re
from collections.abc import Sequence
from functools import partial
from typing import Any
from unittest import mock
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from tanpuhui import displays, families, people, privacy
from tanpuhui.displays import Display, DisplayChoice
from tanpuhui.people import PRESENT, Document, Resident
from tanpuhui.sms import SmsSender
from tanpuhui.staff import Role
from tests.browser import Browser, browser
from tests.service.test_dashboard import opened, words
from tests.service.test_families import school_class
from tests.service.test_login import Outbox
from tests.tables import contents
from tests.threads import at_once
from tests.world import COMMUNITY, World

PHONE = "13812345678"


def shown(me: Browser, path: str = "/") -> str:
    """The view in which a page comes."""
    found = re.search(r'data-view="([\w-]+)"', me.get(path))
    assert found
    return found[1]


def kept(world: World) -> dict[object, str]:
    return {key[0]: str(row[-1]) for key, row in contents(world.house)["display_choice"].items()}


def log_in(world: World, me: Browser) -> None:
    me.get("/login")
    me.send("/login", phone=PHONE)
    me.send("/login/code", code=world.house.extras[SmsSender].code())
    assert me.path == "/"


@pytest.fixture
def resident(world: World) -> Resident:
    world.house.extras[SmsSender] = Outbox()
    return people.join(
        world.house, phone=f"+86{PHONE}", division_code=COMMUNITY, consent_version=people.CONSENT_VERSION
    )


def test_the_choice_follows_to_a_second_browser(world: World, resident: Resident) -> None:
    first, second, third = browser(world, resident), browser(world), browser(world)
    first.get("/view/elder-large?next=/me")
    assert (first.path, shown(first), kept(world)) == ("/me", "elder-large", {resident.id: "elder-large"})
    assert shown(second) == "standard"
    log_in(world, second)
    assert shown(second) == "elder-large"
    # Chosen in this browser before: that stands, here and with the account.
    third.get("/view/standard")
    world.house.extras[SmsSender].sent.clear()
    with_pause(world)
    log_in(world, third)
    assert (shown(third), kept(world)) == ("standard", {resident.id: "elder-large"})
    second.get("/view/elder")  # while logged in: both
    assert (shown(second), kept(world)) == ("elder", {resident.id: "elder"})
    second.get("/view/standard")
    assert (shown(second), kept(world)) == ("standard", {})


def with_pause(world: World) -> None:
    """As if the last code had been sent long ago."""
    with world.house.db.transaction() as connection:
        connection.execute(sa.text("DELETE FROM login_code"))


def test_who_is_not_logged_in_and_whoever_is_no_person_keep_it_in_their_browser(world: World) -> None:
    nobody, officer = browser(world), browser(world, world.officer)
    pupils = browser(world, school_class(world))
    for one in (nobody, officer, pupils):
        one.get("/view/elder")
        assert shown(one) == "elder"
    gone = world.resident()
    people.leave(world.house, gone.id)
    with world.house.db.transaction() as connection:
        displays.choose(connection, gone.id, Display.ELDER)
    assert kept(world) == {}
    assert world.breaches() == []
    with world.house.db.session() as session:
        session.add(DisplayChoice(resident_id=gone.id, display=Display.ELDER))
    assert len(world.breaches()) == 1
    wrong = sa.text("UPDATE display_choice SET display = 'tiny'")
    with world.house.db.engine.connect() as connection, pytest.raises(IntegrityError):
        connection.execute(wrong)


def test_who_acts_for_a_family_chooses_for_themselves(world: World) -> None:
    guardian = world.resident()
    family = families.make(
        world.house, guardian.id, label="我们家", adult=True, version=PRESENT[Document.FAMILY]
    )
    me = browser(world, guardian)
    me.get("/me")
    me.send("/me/family/account", account="family")
    me.get("/view/elder")
    assert (kept(world), family == guardian.id) == ({guardian.id: "elder"}, False)


def test_it_is_shown_copied_and_forgotten(world: World, resident: Resident) -> None:
    me = browser(world, resident)
    me.get("/view/elder")
    assert privacy.rows_of(world.house, resident.id)["display"] == [{"display": Display.ELDER}]
    assert "您选的关怀版" in me.get("/me/privacy")
    columns = {one["name"] for one in sa.inspect(world.house.db.engine).get_columns("display_choice")}
    assert columns == {"resident_id", "display"}  # not when, not how often
    people.leave(world.house, resident.id)
    assert kept(world) == {}
    assert world.breaches() == []


def test_a_choice_and_a_leaving_at_once_leave_nothing_behind(world: World) -> None:
    for resident in world.residents(3):
        results = at_once(
            [partial(choose, world, [resident]), partial(people.leave, world.house, resident.id)]
        )
        assert (results, kept(world)) == ([None, None], {})


def test_without_the_turn_a_choice_would_stay(world: World) -> None:
    """The negative control; writers of SQLite take turns anyway."""
    if world.house.db.is_sqlite:
        return

    def read_and_be_late(connection: sa.Connection, resident_ids: Sequence[UUID]) -> dict[UUID, Any]:
        read = sa.select(sa.literal("active").label("status"), sa.literal("person").label("account_kind"))
        people.leave(world.house, resident_ids[0])
        return {resident_ids[0]: connection.execute(read).one()}

    with mock.patch.object(displays, "take_turn", read_and_be_late):
        choose(world, world.residents(1))
    assert len(world.breaches()) == 1


def test_the_dashboard_counts_accounts_and_not_fewer_than_five(world: World) -> None:
    residents = world.residents(6)
    choose(world, residents[:4])
    assert "选了关怀版的账户 人少，不显示" in words(opened(world))
    officer = opened(world)
    officer.send("/bureau", reason="适老化检查")
    assert "选了关怀版的账户 4" in words(officer)
    choose(world, residents)
    assert "选了关怀版的账户 6" in words(opened(world, "/bureau?period=2020"))  # now, whatever is looked at
    auditor = opened(world, "/bureau", world.colleague(Role.AUDITOR))
    assert not any(str(one.id) in auditor.page.get_data(as_text=True) for one in residents)
    choose(world, residents, None)
    assert "选了关怀版的账户 0" in words(opened(world))


def choose(world: World, residents: Sequence[Resident], display: Display | None = Display.ELDER) -> None:
    for one in residents:
        with world.house.db.transaction() as connection:
            displays.choose(connection, one.id, display)
