"""Staff: one-time invitations, passwords, locks, and who may do what where."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest
import sqlalchemy as sa
import time_machine

from activities import campaign_desk, codes as activity_codes, sites
from activities.review import void_action
from tanpuhui import clock, ids, staff
from tanpuhui.errors import InvalidField, NotAllowed, NotFound, TooMany, WrongLogin
from tanpuhui.rooms import build_house
from tanpuhui.sessions import Principal
from tanpuhui.staff import (
    Organisation,
    Role,
    accept,
    first_invitation,
    grant,
    invitation_stands,
    invite,
    log_in,
)
from tests.browser import browser
from tests.tables import contents, written
from tests.threads import at_once, codes
from tests.world import COMMUNITY, DISTRICT, OTHER_COMMUNITY, PASSWORD, STREET, World


@pytest.fixture
def time() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(clock.now(), tick=False) as traveller:
        yield traveller


def invited(world: World, *roles: Role, division: str = DISTRICT, by: Principal | None = None) -> str:
    return invite(world.house, [grant(role, division_code=division) for role in roles], by=by)


# --- invitations -------------------------------------------------------------------------------------------


def test_the_first_link_is_there_while_nobody_is(world: World) -> None:
    lost = first_invitation(world.house)
    token = first_invitation(world.house)  # a second start
    assert lost
    assert token
    assert not invitation_stands(world.house, lost)
    assert token not in repr(contents(world.house))
    first = accept(world.house, token, name="  王  老师 ", password="一个很长很长的密码啊")
    assert first.name == "王 老师"
    assert first_invitation(world.house) is None
    assert log_in(world.house, name="王 老师", password="一个很长很长的密码啊").id == first.id
    everything = repr(contents(world.house))
    assert "一个很长很长的密码啊" not in everything
    assert "$argon2id$" in everything


def test_a_link_works_once_and_for_three_days(world: World, time: Any) -> None:
    used, late = invited(world, Role.HELPER), invited(world, Role.HELPER)
    accept(world.house, used, name="first", password=PASSWORD)
    with pytest.raises(NotFound):
        accept(world.house, used, name="second", password=PASSWORD)
    time.shift(timedelta(days=3) - timedelta(seconds=1))
    assert invitation_stands(world.house, late)
    time.shift(timedelta(seconds=1))
    assert not invitation_stands(world.house, late)
    for token in (late, "", "no such token"):
        with pytest.raises(NotFound):
            accept(world.house, token, name="second", password=PASSWORD)


def test_a_link_used_at_once_by_two_makes_one_account(world: World) -> None:
    second = build_house(world.house.settings)
    token = invited(world, Role.HELPER)
    calls = [
        lambda h=h, n=n: accept(h, token, name=f"name {n}", password=PASSWORD)
        for n, h in enumerate([world.house, second] * 2)
    ]
    assert sorted(codes(at_once(calls))) == ["not_found"] * 3 + ["ok"]
    tokens = [invited(world, Role.HELPER) for _ in range(3)]
    calls = [lambda t=t: accept(second, t, name="同一个名字", password=PASSWORD) for t in tokens]
    assert sorted(codes(at_once(calls))) == ["invalid_fields"] * 2 + ["ok"]
    second.db.dispose()
    assert sum(invitation_stands(world.house, token) for token in tokens) == 2  # the losers may choose again


@pytest.mark.parametrize(
    ("name", "password", "fields"),
    [
        ("x", PASSWORD, ["name"]),
        ("x" * 41, PASSWORD, ["name"]),
        ("taken", PASSWORD, ["name"]),
        (" taken ", PASSWORD, ["name"]),
        ("fine", "short", ["password"]),
        ("fine", "aaaaaaaaaaaa", ["password"]),
        ("fine", "x1y2z" * 50, ["password"]),
        ("", "", ["name", "password"]),
    ],
)
@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_weak_password_or_a_bad_name_is_refused(
    world: World, name: str, password: str, fields: list[str]
) -> None:
    accept(world.house, invited(world, Role.HELPER), name="taken", password=PASSWORD)
    token = invited(world, Role.HELPER)
    before = contents(world.house)
    with pytest.raises(InvalidField) as error:
        accept(world.house, token, name=name, password=password)
    assert [bad["field"] for bad in error.value.params["errors"]] == fields
    assert written(before, contents(world.house)) == {}
    assert invitation_stands(world.house, token)


def test_admins_invite_within_their_scope_only(world: World) -> None:
    admin = world.colleague(Role.ADMIN, division=STREET)
    with world.house.db.session() as session:
        ours = Organisation(name="我们学校", division_code=COMMUNITY)
        theirs = Organisation(name="别的学校", division_code=OTHER_COMMUNITY)
        session.add_all([ours, theirs])
        session.flush()
    invite(
        world.house,
        [grant(Role.HELPER, division_code=COMMUNITY), grant(Role.ORGANISER, organisation_id=ours.id)],
        by=admin,
    )
    officer = world.officer
    before = contents(world.house)
    beyond = [
        grant(Role.HELPER, division_code=DISTRICT),
        grant(Role.HELPER, division_code=OTHER_COMMUNITY),
        grant(Role.HELPER, organisation_id=theirs.id),
    ]
    for wanted in beyond:
        with pytest.raises(NotAllowed):
            invite(world.house, [grant(Role.HELPER, division_code=COMMUNITY), wanted], by=admin)
    with pytest.raises(NotAllowed):
        invited(world, Role.HELPER, division=COMMUNITY, by=Principal("resident", admin.id, admin.id))
    with pytest.raises(NotAllowed):
        invited(world, Role.HELPER, division=COMMUNITY, by=officer)
    nowhere = [
        grant(Role.HELPER),
        grant(Role.HELPER, division_code=""),
        grant(Role.HELPER, division_code="310106999"),
        grant(Role.HELPER, organisation_id=ids.new_id()),
        grant(Role.HELPER, division_code=COMMUNITY, organisation_id=theirs.id),
    ]
    for wanted in nowhere:  # a grant without a place is not a grant for everywhere
        for by in (admin, None):
            with pytest.raises(InvalidField):
                invite(world.house, [wanted], by=by)
    assert written(before, contents(world.house)) == {}


def test_an_organiser_invites_helpers_of_their_own_who_can_do_nothing_else(world: World) -> None:
    with world.house.db.session() as session:
        ours, theirs = (Organisation(name=name, division_code=COMMUNITY) for name in ("我们学校", "别的学校"))
        session.add_all([ours, theirs])
        session.flush()
    organiser = world.colleague(Role.ORGANISER, organisation=ours.id)
    for beyond in (
        grant(Role.HELPER, organisation_id=theirs.id),
        grant(Role.HELPER, division_code=COMMUNITY),
        grant(Role.ORGANISER, organisation_id=ours.id),
    ):
        with pytest.raises(NotAllowed):
            invite(world.house, [beyond], by=organiser)
    me = browser(world, organiser)
    form = me.get(f"/console/helpers?scope=organisation:{ours.id}")
    assert f'value="organisation:{ours.id}" selected' in form
    assert "别的学校" not in form
    page = me.send("/console/helpers", scope=f"organisation:{ours.id}")
    link = re.search(r"<code>(http[^<]+)</code>", page)
    assert link
    helper = browser(world)
    helper.get(urlsplit(link[1]).path)
    helper.send(name="小帮手", password=PASSWORD)
    assert "小帮手" in me.get("/console/helpers")
    opened = set()
    for rule in world.app.url_map.iter_rules():
        if rule.rule.startswith(("/console", "/bureau")) and not rule.arguments and "GET" in rule.methods:
            helper.get(rule.rule)
            if (helper.status, helper.path) == (200, rule.rule):
                opened.add(rule.rule)
    assert opened == {
        "/console/desk",
        "/console/cards",
        "/console/cards/scan",
        "/console/gatherings",
    }


# --- log-in ------------------------------------------------------------------------------------------------


def test_five_failures_in_a_row_lock_the_account_for_a_while(world: World, time: Any) -> None:
    accept(world.house, invited(world, Role.HELPER), name="li", password=PASSWORD)

    def fail() -> None:
        with pytest.raises(WrongLogin):
            log_in(world.house, name="li", password="wrong password")

    for _ in range(4):
        fail()
    log_in(world.house, name="li", password=PASSWORD)  # a success starts the count again
    for _ in range(5):
        fail()
    with pytest.raises(TooMany) as locked:
        log_in(world.house, name="li", password=PASSWORD)
    assert locked.value.params["retry_after"] == 15 * 60 + 1
    time.shift(timedelta(minutes=15))
    log_in(world.house, name="li", password=PASSWORD)
    with world.house.db.reading() as connection:
        deeds = connection.scalars(sa.text("SELECT deed FROM audit_entry")).all()
    assert (deeds.count("staff.logged_in"), deeds.count("staff.login_failed")) == (2, 9)


def test_the_lock_holds_when_many_guess_at_once(world: World) -> None:
    accept(world.house, invited(world, Role.HELPER), name="li", password=PASSWORD)
    second = build_house(world.house.settings)
    guesses = [
        lambda h=h, n=n: log_in(h, name="li", password=f"a wrong guess {n}")
        for n, h in enumerate([world.house, second] * 5)
    ]
    results = at_once(guesses)
    second.db.dispose()
    assert sorted(codes(results)) == ["too_many_requests"] * 5 + ["wrong_login"] * 5
    with pytest.raises(TooMany):
        log_in(world.house, name="li", password=PASSWORD)


def test_nothing_tells_a_wrong_name_from_a_wrong_password(world: World) -> None:
    accept(world.house, invited(world, Role.HELPER), name="li", password=PASSWORD)
    gone = accept(world.house, invited(world, Role.HELPER), name="gone", password=PASSWORD)
    with world.house.db.transaction() as connection:
        update = sa.text("UPDATE staff SET active = :no WHERE name = 'gone'")
        connection.execute(update, {"no": False})
    for name, password in (("li", "wrong password"), ("nobody", PASSWORD), ("", ""), ("gone", PASSWORD)):
        with pytest.raises(WrongLogin):
            log_in(world.house, name=name, password=password)
    with world.house.db.reading_session() as session:
        assert staff.grants_of(session, Principal("staff", gone.id, gone.id)) == []


def test_checking_a_password_holds_up_no_writer(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    accept(world.house, invited(world, Role.HELPER), name="li", password=PASSWORD)
    matches = staff._password_matches

    def and_meanwhile_somebody_joins(hashed: str, password: str) -> bool:
        assert at_once([world.resident], timeout=3)[0].id is not None
        return matches(hashed, password)

    monkeypatch.setattr(staff, "_password_matches", and_meanwhile_somebody_joins)
    assert log_in(world.house, name="li", password=PASSWORD).name == "li"


# --- roles and scopes --------------------------------------------------------------------------------------

MAY_MANAGE = {Role.ORGANISER, Role.OFFICER, Role.ADMIN}

#: scope of a grant -> whether it covers a site of our organisation in COMMUNITY
SCOPES = {
    DISTRICT: True,
    STREET: True,
    COMMUNITY: True,
    COMMUNITY[:9] + "003": False,
    OTHER_COMMUNITY[:9]: False,
    "ours": True,
    "theirs": False,
}


def test_roles_and_scopes_decide_over_sites_codes_and_records(world: World) -> None:
    with world.house.db.session() as session:
        tenants = {name: Organisation(name=name, division_code=COMMUNITY) for name in ("ours", "theirs")}
        session.add_all(tenants.values())
    ours = tenants["ours"].id
    site = world.site("clean_plate", organisation_id=ours)
    site_in = sites.SiteIn(
        name="新点位", kind="canteen", division_code=COMMUNITY, organisation_id=ours, kinds=["own_cup"]
    )

    def try_all(person: Principal) -> dict[str, bool]:
        action = UUID(world.scan(world.resident(), world.code_at(site))["action"]["id"])
        code = activity_codes.issue_code(world.house, world.organiser, site.id)
        deeds: dict[str, Callable[[], Any]] = {
            "create_site": lambda: sites.create_site(world.house, person, site_in),
            "issue_code": lambda: activity_codes.issue_code(world.house, person, site.id),
            "revoke_code": lambda: activity_codes.revoke_code(world.house, person, code.id, "换新"),
            "set_status": lambda: sites.set_status(
                world.house, person, site.id, sites.SiteStatus.OPEN, "照常"
            ),
            "void_action": lambda: void_action(world.house, person, action, "重复扫码"),
        }
        with world.house.db.reading_session() as session:
            seen = bool(sites.list_sites(session, person))
        return {name: allowed(deed) for name, deed in deeds.items()} | {"list_sites": seen}

    for role, scope in [*((role, DISTRICT) for role in Role), *((Role.ORGANISER, scope) for scope in SCOPES)]:
        tenant = tenants.get(scope)
        person = world.colleague(role, division=scope, organisation=tenant.id if tenant else None)
        may = role in MAY_MANAGE and SCOPES[scope]
        assert set(try_all(person).values()) == {may}, f"{role} in {scope}"


def test_roles_and_scopes_decide_over_campaigns(world: World) -> None:
    site = world.site("clean_plate")
    now = clock.now()
    week = world.campaign_in(
        site, title="光盘周", division_code=STREET, starts_at=now, ends_at=now + timedelta(days=7)
    )

    def may_launch(person: Principal) -> bool:
        return allowed(lambda: campaign_desk.draft(world.house, person, week))

    for role, division, may in (
        *((role, DISTRICT, role in MAY_MANAGE) for role in Role),
        (Role.ORGANISER, STREET, True),
        (Role.ORGANISER, COMMUNITY, False),  # of the community, not of the street the campaign is for
        (Role.ORGANISER, OTHER_COMMUNITY[:9], False),
    ):
        assert may_launch(world.colleague(role, division=division)) is may, (role, division)


def allowed(deed: Callable[[], Any]) -> bool:
    try:
        deed()
    except NotAllowed:
        return False
    return True


def test_the_database_itself_wants_one_scope_of_a_grant(world: World) -> None:
    person = world.colleague(Role.HELPER)
    insert = sa.text(
        "INSERT INTO role_grant (id, staff_id, role, division_code, organisation_id) "
        "SELECT :id, staff_id, :role, :division, organisation_id FROM role_grant LIMIT 1"
    ).bindparams(sa.bindparam("id", type_=sa.Uuid()))
    for role, division in (("helper", None), ("king", DISTRICT), ("helper", "999")):
        row = {"id": ids.new_id(), "role": role, "division": division}
        with pytest.raises(sa.exc.IntegrityError), world.house.db.transaction() as connection:
            connection.execute(insert, row)
    assert person.kind == "staff"
