"""Log-in by an identity provider beside the phone: one resident, nothing but a fingerprint, and never half done."""

import re
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import sqlalchemy as sa
import structlog
import time_machine
from joserfc.jwk import RSAKey
from sqlmodel import Session

from tanpuhui import classes, clock, people, staff
from tanpuhui.config import Settings
from tanpuhui.errors import (
    IdentityProviderDown,
    IdentityTaken,
    InvalidField,
    LastWayIn,
    NotAllowed,
    NotFound,
    OtherIdentityLinked,
)
from tanpuhui.events import event_class
from tanpuhui.identities import OutsideIdentity, fingerprint, link, linked, unlink
from tanpuhui.people import CONSENT_VERSION, PRESENT, Document, Resident, take_in
from tanpuhui.rooms import House, build_house
from tanpuhui.staff import Role
from tests.browser import Browser, browser
from tests.databases import settings_for
from tests.provider import CLIENT, NAME, NAME_EN, SECRET, CityPass, city_pass
from tests.tables import contents, written
from tests.threads import at_once, codes
from tests.world import COMMUNITY, STREET, World

JOINING = {"division_code": COMMUNITY, "consent_version": CONSENT_VERSION}


@pytest.fixture(scope="module")
def served() -> Iterator[CityPass]:
    """One provider for all tests."""
    with city_pass() as provider:
        yield provider


@pytest.fixture
def provider(served: CityPass) -> CityPass:
    """The provider as it is when nothing is wrong."""
    fresh = CityPass(served.base)
    for name in ("subject", "error", "asks", "claims", "algorithm", "signs_with", "down", "document", "key"):
        setattr(served, name, getattr(fresh, name))
    served.asked.clear()
    return served


@pytest.fixture
def town(world: World, provider: CityPass) -> Iterator[World]:
    """A world whose residents may log in by the provider, too."""
    house = build_house(
        settings_for(world.house.settings.database_url, world.house.settings.var, **provider.settings)
    )
    yield World(house)
    asker: Any = house.providers["oidc"]
    asker._http.close()
    house.db.dispose()


def identity(house: House, subject: str = "citizen-1") -> OutsideIdentity:
    """An identity that the provider has proven."""
    return OutsideIdentity(house, "oidc", fingerprint(house.settings, "https://pass.example", subject))


def held(house: House) -> int:
    """How many identities are linked."""
    return len(contents(house)["identity"])


# --- the rules ---------------------------------------------------------------------------------------------


def test_a_newcomer_without_a_number_is_known_by_the_identity_alone(world: World) -> None:
    joined = take_in(world.house, identity(world.house), **JOINING)
    assert joined.phone_cipher == b""
    with world.house.db.reading_session() as session:
        found = identity(world.house).find(session)
        assert found is not None
        assert found.id == joined.id
        assert identity(world.house, "citizen-2").find(session) is None
    before = contents(world.house)
    assert take_in(world.house, identity(world.house), **JOINING).id == joined.id
    assert written(before, contents(world.house)) == {}
    assert world.breaches() == []
    with world.house.db.reading() as connection:
        payloads = connection.execute(sa.text("SELECT type, payload FROM event_log ORDER BY position")).all()
    assert [kind for kind, _ in payloads] == ["resident.joined", "identity.linked"]
    for kind, payload in payloads:
        event = event_class(kind).from_payload(payload)
        assert event.resident_id == joined.id


def test_what_is_kept_of_a_subject_needs_the_key_of_the_deployment(world: World, tmp_path: Any) -> None:
    ours = world.house.settings
    kept = fingerprint(ours, "https://pass.example", "citizen-1")
    assert re.fullmatch("[0-9a-f]{64}", kept)
    assert kept == fingerprint(ours, "https://pass.example", "citizen-1")
    others = Settings(env="test", var=tmp_path, secret_key="another key " * 4)
    assert len(
        {
            kept,
            fingerprint(ours, "https://pass.example", "citizen-2"),
            fingerprint(ours, "https://other.example", "citizen-1"),
            fingerprint(others, "https://pass.example", "citizen-1"),
        }
    ) == 4  # fmt: skip


def test_a_child_is_brought_by_a_guardians_number_only(world: World) -> None:
    before = contents(world.house)
    with pytest.raises(InvalidField) as refusal:
        take_in(
            world.house,
            identity(world.house),
            **JOINING,
            of_age=False,
            guardian_version=PRESENT[Document.GUARDIAN],
        )
    assert [error["field"] for error in refusal.value.params["errors"]] == ["guardian_version"]
    assert written(before, contents(world.house)) == {}


def test_a_resident_links_and_unlinks(world: World) -> None:
    resident, house = world.resident(), world.house
    link(house, resident.id, identity(house))
    before = contents(house)
    link(house, resident.id, identity(house))
    assert written(before, contents(house)) == {}
    with house.db.reading_session() as session:
        assert linked(session, resident.id).keys() == {"oidc"}
        assert identity(house).find(session) == session.get(Resident, resident.id)
    unlink(house, resident.id, "oidc")
    with pytest.raises(NotFound):
        unlink(house, resident.id, "oidc")
    assert held(house) == 0
    with house.db.reading() as connection:
        kinds = connection.execute(sa.text("SELECT type FROM event_log ORDER BY position")).scalars().all()
    assert kinds == ["resident.joined", "identity.linked", "identity.unlinked"]


def test_an_identity_is_one_residents_and_a_resident_has_one_of_a_provider(world: World) -> None:
    first, second = world.residents(2)
    house = world.house
    link(house, first.id, identity(house))
    before = contents(house)
    with pytest.raises(IdentityTaken):
        link(house, second.id, identity(house))
    with pytest.raises(OtherIdentityLinked):
        link(house, first.id, identity(house, "citizen-2"))
    assert written(before, contents(house)) == {}
    for values in ("'oidc', 'f', ", "'phone', 'g', ", "'oidc', 'short', ", "'', 'g', "):
        kept = values.replace("'f'", f"'{identity(house).key}'").replace("'g'", f"'{'a' * 64}'")
        insert = f"INSERT INTO identity (provider, fingerprint, resident_id, linked_at) SELECT {kept} id, joined_at FROM resident"
        with pytest.raises(sa.exc.IntegrityError), house.db.transaction() as connection:
            connection.execute(
                sa.text(f"{insert} WHERE id = :id").bindparams(sa.bindparam("id", second.id, sa.Uuid()))
            )


def test_the_last_way_in_stays(world: World) -> None:
    joined = take_in(world.house, identity(world.house), **JOINING)
    before = contents(world.house)
    with pytest.raises(LastWayIn):
        unlink(world.house, joined.id, "oidc")
    assert written(before, contents(world.house)) == {}
    with world.house.db.transaction() as connection:
        connection.execute(sa.text("DELETE FROM identity"))
    (breach,) = world.breaches()
    assert breach.startswith("every resident has a way in: ")


def test_no_persons_identity_opens_a_class(world: World) -> None:
    house = world.house
    with house.db.session() as session:
        school = staff.Organisation(name="静安小学", division_code=STREET)
        session.add(school)
        session.flush()
        school_id = school.id
    organiser = world.colleague(Role.ORGANISER, organisation=school_id)
    token = classes.create(
        house, organiser, organisation_id=school_id, label="三（2）班", division_code=COMMUNITY
    )
    with pytest.raises(NotAllowed):
        link(house, classes.open_with(house, token), identity(house))
    assert held(house) == 0


def test_leaving_forgets_the_identity_and_it_may_join_anew(world: World) -> None:
    house = world.house
    first = take_in(house, identity(house), **JOINING)
    people.leave(house, first.id)
    assert held(house) == 0
    with pytest.raises(NotFound):
        link(house, first.id, identity(house))
    assert take_in(house, identity(house), **JOINING).id != first.id
    assert world.breaches() == []


# --- two at once -------------------------------------------------------------------------------------------


def racing(world: World, *, constrained: bool = True) -> list[Any]:
    """Eight browsers with one new identity join at once in two processes, each having looked before any has written."""
    houses = [world.house, build_house(world.house.settings)]
    if not constrained:
        with world.house.db.transaction() as connection:
            connection.execute(sa.text("CREATE TABLE copy AS SELECT * FROM identity"))
            connection.execute(sa.text("DROP TABLE identity"))
            connection.execute(sa.text("ALTER TABLE copy RENAME TO identity"))

    class Early(OutsideIdentity):
        """Knows what was there when it first looked."""

        looked = False

        def find(self, session: Session) -> Resident | None:
            if not type(self).looked:
                type(self).looked = True
                return None
            return super().find(session)

    def call(house: House) -> Any:
        early = type("Early", (Early,), {"looked": False})
        way = early(house, "oidc", identity(house).key)
        return take_in(house, way, **JOINING).id

    results = at_once([lambda house=house: call(house) for house in houses * 4])
    houses[1].db.dispose()
    return results


def test_one_new_identity_in_two_browsers_at_once_makes_one_resident(world: World) -> None:
    results = racing(world)
    assert codes(results) == ["ok"] * 8
    assert len(set(results)) == 1
    tables = contents(world.house)
    assert [len(tables[name]) for name in ("resident", "identity", "consent")] == [1, 1, 2]
    assert world.breaches() == []


def test_without_the_second_try_the_slower_are_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: the race above is a race, and the second try is what the slower live on."""
    from tanpuhui.db import Database

    run = Database.run
    monkeypatch.setattr(Database, "run", lambda self, work: run(self, work, attempts=1))
    assert sorted(type(result).__name__ for result in racing(world)) == ["IntegrityError"] * 7 + ["UUID"]


def test_without_the_constraint_there_would_be_several_residents(world: World) -> None:
    """Negative control: the constraint is what makes them one."""
    results = racing(world, constrained=False)
    assert codes(results) == ["ok"] * 8
    assert len(set(results)) == 8


def test_two_residents_link_one_identity_at_once_and_one_is_told(world: World) -> None:
    house, second = world.house, build_house(world.house.settings)
    residents = world.residents(6)
    results = at_once(
        [
            lambda h=h, r=r: link(h, r.id, identity(h))
            for h, r in zip([house, second] * 3, residents, strict=True)
        ]
    )
    second.db.dispose()
    assert sorted(codes(results)) == ["identity_taken"] * 5 + ["ok"]
    assert held(house) == 1


# --- there and back ----------------------------------------------------------------------------------------


def at_the_provider(me: Browser, start: str = "/login/with/oidc") -> str:
    """Go to the provider, and what it sends the browser back to."""
    going = me.client.get(start, headers=me._headers())
    assert going.status_code == 302
    return from_there(going.location)


def from_there(address: str) -> str:
    """What the provider answers at its address, as a path of ours."""
    sent = urlsplit(httpx.get(address).headers["location"])
    return f"{sent.path}?{sent.query}"


def join(me: Browser) -> None:
    """From where a newcomer arrives to a resident."""
    assert me.path == "/join"
    me.get(f"/join?street={STREET}")
    me.send("/join", division_code=COMMUNITY, consent_version=CONSENT_VERSION, age="14")


def test_a_newcomer_comes_back_to_the_scan_with_its_key_and_next_time_at_once(town: World) -> None:
    code = town.code("clean_plate")
    scan = f"/s/{code}?key=my-own-key"
    me = browser(town)
    page = me.get(f"/login?next={scan}")
    assert page.index("获取验证码") < page.index(f"用{NAME}登录")
    me.get(at_the_provider(me))
    assert "先用号码登录" in me.page.text
    child = me.get("/join?child=1")  # a guardian comes by phone
    assert "由监护人用自己的手机号码加入" in child
    assert 'name="street"' not in child
    me.get("/join")
    join(me)
    assert me.address.rstrip("?") == scan
    assert "my-own-key" in me.page.text
    me.send("/s/")
    assert "已记录" in me.page.text

    again = browser(town)
    again.get(f"/login?next={scan}")
    again.get(at_the_provider(again))
    assert again.path.startswith("/me/actions/")  # what that key recorded
    tables = contents(town.house)
    assert [len(tables[name]) for name in ("resident", "identity", "action")] == [1, 1, 1]
    assert town.breaches() == []


def test_nothing_of_the_provider_is_kept_but_the_fingerprint(
    town: World, provider: CityPass, capsys: pytest.CaptureFixture[str]
) -> None:
    structlog.get_logger().info("the log is looked at")
    me = browser(town)
    back = at_the_provider(me)
    me.get(back)
    proven = repr(me.client.get_cookie("tph_form"))
    join(me)
    held_here = repr(contents(town.house))
    logged = "".join(capsys.readouterr())
    assert "the log is looked at" in logged
    code = parse_qs(urlsplit(back).query)["code"][0]
    for secret in ("citizen-1", "王小明", "wang@example.org", "13711112222", code):
        for where in (held_here, logged, proven):
            assert secret not in where
    kept = fingerprint(town.house.settings, provider.base, "citizen-1")
    assert held_here.count(kept) == 2  # the key of its row, and the row
    assert kept not in logged
    page = me.get("/me/privacy")
    assert "您关联的其他登录方式" in page
    assert kept not in page


def test_the_provider_is_asked_for_no_more_than_who_is_there(town: World, provider: CityPass) -> None:
    going = town.client().get("/login/with/oidc")
    asked = {name: values[0] for name, values in parse_qs(urlsplit(going.location).query).items()}
    assert going.location.startswith(f"{provider.base}/authorize?")
    assert (asked["scope"], asked["response_type"], asked["client_id"]) == ("openid", "code", CLIENT)
    assert (asked["code_challenge_method"], len(asked["code_challenge"])) == ("S256", 43)
    assert asked["redirect_uri"] == f"{town.house.settings.public_url}/login/with/oidc/back"
    again = parse_qs(urlsplit(town.client().get("/login/with/oidc").location).query)
    for name in ("state", "nonce", "code_challenge"):
        assert len(asked[name]) >= 32
        assert again[name][0] != asked[name]
    assert SECRET not in going.location


def test_what_the_provider_says_of_itself_is_asked_once_an_hour(
    town: World, provider: CityPass, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        me = browser(town)
        me.get(at_the_provider(me))
    assert provider.asked.count("/.well-known/openid-configuration") == 1
    assert provider.asked.count("/keys") == 1
    monkeypatch.setattr("tanpuhui.oidc.GOOD_FOR", 0)
    town.client().get("/login/with/oidc")
    assert provider.asked.count("/keys") == 2


def test_new_keys_of_the_provider_are_fetched_when_a_token_is_signed_by_one(
    town: World, provider: CityPass
) -> None:
    me = browser(town)
    back = at_the_provider(me)
    provider.key = RSAKey.generate_key(2048, {"use": "sig"}, auto_kid=True)
    me.get(back)
    assert me.path == "/join"


@pytest.mark.parametrize("ways", [["client_secret_post"], ["client_secret_basic", "client_secret_post"]])
def test_the_secret_goes_the_way_the_provider_wants(town: World, provider: CityPass, ways: list[str]) -> None:
    provider.document = {"token_endpoint_auth_methods_supported": ways}
    me = browser(town)
    me.get(at_the_provider(me))
    assert me.path == "/join"


# --- what does not work ------------------------------------------------------------------------------------


def forged(_claims: dict[str, Any]) -> str:
    """No token at all."""
    return "not.a.token"


def changed(**more: Any) -> Any:
    """Claims with changes; None takes one away."""

    def change(claims: dict[str, Any]) -> None:
        claims.update(more)
        for name, value in more.items():
            if value is None:
                claims.pop(name)

    return change


WRONG: dict[str, dict[str, Any]] = {
    "another nonce": {"claims": changed(nonce="of another browser")},
    "no nonce": {"claims": changed(nonce=None)},
    "expired": {"claims": lambda claims: claims.update(exp=claims["iat"] - 61, iat=claims["iat"] - 400)},
    "no end": {"claims": changed(exp=None)},
    "made tomorrow": {"claims": lambda claims: claims.update(iat=claims["iat"] + 86400)},
    "another audience": {"claims": changed(aud="another platform")},
    "another party": {"claims": changed(aud=[CLIENT, "another platform"], azp="another platform")},
    "no audience": {"claims": changed(aud=None)},
    "another issuer": {"claims": changed(iss="https://evil.example")},
    "no issuer": {"claims": changed(iss=None)},
    "nobody": {"claims": changed(sub=None)},
    "an empty subject": {"claims": changed(sub="")},
    "a subject that is no text": {"claims": changed(sub=7)},
    "unsigned": {"algorithm": "none"},
    "signed with the public key as a secret": {"algorithm": "HS256"},
    "signed with another key": {"signs_with": RSAKey.generate_key(2048)},
    "no token": {"claims": forged},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_a_token_that_proves_nothing_lets_nobody_in(
    town: World, provider: CityPass, wrong: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    known = browser(town)
    known.get(at_the_provider(known))
    join(known)
    before = contents(town.house)
    for name, value in wrong.items():
        setattr(provider, name, value)
    refused(town, browser(town), "identity_not_proven", 401, before)
    assert "identity_not_proven" in "".join(capsys.readouterr())


def refused(town: World, me: Browser, code: str, status: int, before: Any, back: str | None = None) -> None:
    """Come back; told kindly in both languages, with the phone as the way on, and nothing done."""
    me.get(back or at_the_provider(me))
    assert (me.status, me.path) == (status, "/login/with/oidc/back")
    assert code in me.page.text
    assert "什么都没有改动" in me.page.text
    assert 'href="/login"' in me.page.text
    assert written(before, contents(town.house)) == {}
    me.get("/me")
    assert me.path == "/login"
    me.get("/join")
    assert me.path == "/login"


def test_who_refuses_at_the_provider_is_taken_at_their_word(town: World, provider: CityPass) -> None:
    before = contents(town.house)
    provider.error = "access_denied"
    refused(town, browser(town), "identity_refused", 401, before)
    me = browser(town)
    me.get("/login?next=/s/ABC")
    me.get(at_the_provider(me))
    assert "扫码不会丢失" in me.get("/login")  # where they were going is not forgotten
    provider.error = "temporarily_unavailable"
    refused(town, browser(town), "identity_provider_down", 503, before)


def test_a_callback_is_good_once_and_in_its_own_browser(town: World) -> None:
    first = browser(town)
    back = at_the_provider(first)
    before = contents(town.house)
    refused(town, browser(town), "identity_login_lost", 401, before, back)  # a stranger's
    other = browser(town)
    at_the_provider(other)
    refused(town, other, "identity_login_lost", 401, before, back)  # who began one of their own
    for wrong in ("/login/with/oidc/back", "/login/with/oidc/back?code=x&state="):
        refused(town, browser(town), "identity_login_lost", 401, before, wrong)
    first.get(back)
    assert first.path == "/join"
    first.get(back)
    assert (first.status, "identity_login_lost" in first.page.text) == (401, True)


def test_a_code_that_was_used_elsewhere_proves_nothing(town: World, provider: CityPass) -> None:
    me = browser(town)
    back = at_the_provider(me)
    provider._codes.clear()
    refused(town, me, "identity_not_proven", 401, contents(town.house), back)
    me = browser(town)
    state = re.search(r"state=[^&]+", at_the_provider(me))
    assert state is not None
    refused(town, me, "identity_not_proven", 401, contents(town.house), f"/login/with/oidc/back?{state[0]}")


def test_a_log_in_takes_a_quarter_of_an_hour_at_most(town: World) -> None:
    me = browser(town)
    back = at_the_provider(me)
    before = contents(town.house)
    with time_machine.travel(clock.now() + timedelta(minutes=15, seconds=2), tick=True):
        refused(town, me, "identity_login_lost", 401, before, back)


def down(provider: CityPass) -> None:
    provider.down = True


def lying(provider: CityPass) -> None:
    provider.document = {"issuer": "https://evil.example"}


def insecure(provider: CityPass) -> None:
    provider.document = {"token_endpoint": "ftp://127.0.0.1/token"}


def keyless(provider: CityPass) -> None:
    provider.document = {"jwks_uri": f"{provider.base}/no-such-page"}


@pytest.mark.parametrize("trouble", [down, lying, insecure, keyless])
def test_a_provider_in_trouble_leaves_the_phone(town: World, provider: CityPass, trouble: Any) -> None:
    trouble(provider)
    before = contents(town.house)
    for language, words in (("zh", "用手机号码登录"), ("en", "Log in by phone")):
        me = browser(town, language=language)
        page = me.get("/login/with/oidc")
        assert (me.status, "identity_provider_down" in page, words in page) == (503, True, True)
    assert written(before, contents(town.house)) == {}
    assert "获取验证码" in browser(town).get("/login")


def test_a_provider_that_fails_on_the_way_back_lets_nobody_in(town: World, provider: CityPass) -> None:
    me = browser(town)
    back = at_the_provider(me)
    provider.down = True
    refused(town, me, "identity_provider_down", 503, contents(town.house), back)


def test_a_provider_that_hangs_keeps_only_a_few_threads(town: World, provider: CityPass) -> None:
    """The others are told within a second and go on serving scans; who talks to it is served once it answers."""
    asker: Any = town.house.providers["oidc"]
    asker._http.timeout = 30
    refused_ones: list[float] = []

    def begin() -> None:
        started = time.monotonic()
        try:
            asker.begin({})
        except IdentityProviderDown:
            refused_ones.append(time.monotonic() - started)
            if len(refused_ones) == 8:
                provider.answers.set()
            raise

    provider.answers.clear()
    try:
        results = at_once([begin] * 12)
    finally:
        provider.answers.set()
    assert sorted(codes(results)) == ["identity_provider_down"] * 8 + ["ok"] * 4
    assert max(refused_ones) < 10


def test_a_provider_that_nobody_answers_for_is_down(world: World) -> None:
    dead = settings_for(
        world.house.settings.database_url,
        world.house.settings.var,
        oidc_issuer="http://127.0.0.1:9",
        oidc_client_id="x",
        oidc_name=NAME,
    )
    house = build_house(dead)
    page = browser(World(house))
    page.get("/login/with/oidc")
    assert (page.status, "identity_provider_down" in page.page.text) == (503, True)
    house.db.dispose()


def test_without_a_provider_there_is_no_such_page(world: World) -> None:
    me = browser(world)
    assert "/login/with/" not in me.get("/login")
    for path in ("/login/with/oidc", "/login/with/phone", "/login/with/oidc/back", "/login/with/x"):
        me.get(path)
        assert me.status == 404
    resident = browser(world, world.resident())
    assert "登录方式" not in resident.get("/me")


# --- linking on the pages ----------------------------------------------------------------------------------


def start_linking(me: Browser) -> str:
    """From the profile to the provider; what it sends back to."""
    me.get("/me")
    me.send("/me/identities/oidc")
    assert me.path == "/me/identities/oidc"
    address = re.search(r'href="(http[^"]+/authorize[^"]+)"', me.page.text)
    assert address is not None
    return from_there(address[1].replace("&amp;", "&"))


def test_a_resident_links_on_the_profile_and_then_logs_in_by_it(town: World) -> None:
    resident = town.resident()
    me = browser(town, resident)
    me.get(start_linking(me))
    assert me.path == "/me"
    with town.house.db.reading_session() as session:
        assert linked(session, resident.id).keys() == {"oidc"}
    again = browser(town)
    again.get("/login?next=/me")
    again.get(at_the_provider(again))
    assert again.path == "/me"
    me.get("/me")
    me.send("/me/identities/oidc/unlink")
    assert (me.path, held(town.house)) == ("/me", 0)


def test_only_the_resident_who_began_to_link_ends_it(town: World) -> None:
    first, second = town.residents(2)
    me = browser(town, first)
    back = start_linking(me)
    before = contents(town.house)
    me.client.set_cookie("tph_resident", browser(town, second).client.get_cookie("tph_resident").value)  # type: ignore[union-attr]
    me.get(back)
    assert (me.status, "identity_login_lost" in me.page.text) == (401, True)
    assert contents(town.house)["identity"] == before["identity"]


def test_another_site_cannot_begin_to_link(town: World) -> None:
    """An address that begins a log-in makes no link to the account; only the form with its token does."""
    me = browser(town, town.resident())
    me.get(at_the_provider(me))
    assert (me.path, held(town.house)) == ("/join", 0)
    assert me.client.post("/me/identities/oidc").status_code == 400
    me.get("/me/identities/oidc")
    assert me.path == "/me"


def test_an_identity_of_another_resident_is_not_linked(town: World) -> None:
    first = browser(town, town.resident())
    first.get(start_linking(first))
    second = browser(town, town.resident())
    second.get(start_linking(second))
    assert (second.status, "identity_taken" in second.page.text) == (409, True)
    assert 'href="/me"' in second.page.text
    assert held(town.house) == 1


def test_the_profile_says_why_the_last_way_in_stays(town: World) -> None:
    me = browser(town)
    me.get(at_the_provider(me))
    join(me)
    page = me.get("/me")
    assert "唯一的登录方式" in page
    assert "unlink" not in page
    token = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert token is not None
    answer = me.client.post("/me/identities/oidc/unlink", data={"csrf_token": token[1]})
    assert (answer.status_code, "last_way_in" in answer.text) == (409, True)
    assert held(town.house) == 1


def test_the_pages_speak_both_languages(town: World) -> None:
    me = browser(town, language="en")
    assert f"Log in with {NAME_EN}" in me.get("/login")
    me.get("/login/with/oidc/back")
    assert "Nothing was changed" in me.page.text
    resident = browser(town, town.resident(), language="en")
    resident.get("/me")
    resident.send("/me/identities/oidc")
    assert f"Go to {NAME_EN}" in resident.page.text


# --- works everywhere --------------------------------------------------------------------------------------


def test_the_cookies_of_a_log_in_are_this_sites_own(town: World) -> None:
    me = browser(town)
    me.get("/login")
    begun = me.client.get("/login/with/oidc")
    entered = me.client.get(from_there(begun.location))
    for answer in (begun, entered):
        set_ = answer.headers.getlist("Set-Cookie")
        assert set_
        for cookie in set_:
            assert "SameSite=Lax" in cookie
            assert "HttpOnly" in cookie
            assert "Domain=" not in cookie
            assert "Partitioned" not in cookie


def test_no_page_opens_another_window() -> None:
    """Not in any template or script of ours: an embedded view has only the one."""
    root = Path(__file__).parents[2]
    files = [
        file
        for folder in ("platform", "activities", "rewards")
        for file in (root / folder).rglob("*")
        if file.suffix in {".html", ".js", ".py"} and "vendor" not in file.parts
    ]
    assert len(files) > 150
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert not re.search(
            r"target=[\"']?_(?:blank|new)|window\.open|window\.opener|rel=[\"']?opener", text
        ), file
