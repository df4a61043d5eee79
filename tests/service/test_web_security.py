"""What keeps a browser safe: headers, cookies, forms, where it is sent, and what a log-in tells."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient
from werkzeug.http import parse_cookie
from werkzeug.test import TestResponse

from tanpuhui import clock
from tanpuhui.people import CONSENT_VERSION
from tanpuhui.rooms import build_house
from tanpuhui.sms import SmsSender
from tanpuhui.staff import FAILURES_UNTIL_LOCK, LOCK_FOR, Role
from tanpuhui.web import create_app
from tanpuhui.web.auth import COOKIES, safe_next
from tests.browser import browser
from tests.databases import settings_for
from tests.tables import contents, written
from tests.world import COMMUNITY, PASSWORD, STREET, World

sqlite = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
PHONE = "13912345678"


class Phone:
    """Keeps the messages that are sent."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, str]] = []

    def send(self, phone: str, text: str) -> None:
        """Keep it."""
        self.messages.append((phone, text))

    @property
    def code(self) -> str:
        """The code of the last message."""
        found = re.search(r"\d{6}", self.messages[-1][1])
        assert found is not None
        return found[0]


@pytest.fixture
def phone(world: World) -> Phone:
    """The phone to which this house sends everything."""
    sender = Phone()
    world.house.extras[SmsSender] = sender
    return sender


def send(client: FlaskClient, page: str, data: dict[str, str], action: str | None = None) -> TestResponse:
    """Open `page` and send `data` with the form token that stands on it."""
    shown = client.get(page)
    assert shown.status_code == 200, page
    token = re.search(r'name="csrf_token" value="([^"]+)"', shown.text)
    assert token is not None
    return client.post(action or page, data={**data, "csrf_token": token[1]})


def cookie(answer: TestResponse, name: str) -> dict[str, Any]:
    """The attributes of a cookie that an answer sets."""
    (line,) = (line for line in answer.headers.getlist("Set-Cookie") if line.startswith(f"{name}="))
    parts = [part.strip() for part in line.split(";")]
    found: dict[str, Any] = {"value": parse_cookie(parts[0])[name]}
    for part in parts[1:]:
        key, _, value = part.partition("=")
        found[key.lower()] = value or True
    return found


# --- headers -----------------------------------------------------------------------------------------------


@sqlite
def test_every_answer_says_how_it_is_to_be_treated(world: World) -> None:
    token = world.token(world.resident())
    bearer = {"Authorization": f"Bearer {token}"}
    client = world.client()
    answers = [
        client.get("/"),
        client.get("/login"),
        client.get("/nowhere"),
        client.post("/login"),
        client.get("/s/" + "A" * 24),
        client.get("/me"),
        client.get("/static/app.css"),
        client.get("/healthz"),
        client.get("/readyz"),
        client.get("/metrics"),
        client.get("/api/v1/factors"),
        client.get("/api/v1/openapi.json"),
        client.get("/api/v1/me/statement"),
        client.get("/api/v1/me/statement", headers=bearer),
        client.post("/api/v1/scans", headers=bearer, data=b"A" * 2**17, content_type="application/json"),
        client.delete("/"),
    ]
    assert {answer.status_code for answer in answers} == {200, 302, 400, 401, 404, 405, 413}
    for answer in answers:
        headers = answer.headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "Server" not in headers
        assert "Cache-Control" in headers
        answer.close()
        if answer.mimetype == "text/html":
            policy = headers["Content-Security-Policy"]
            assert "default-src 'self'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert headers["Referrer-Policy"] == "same-origin"
            assert "geolocation=(self)" in headers["Permissions-Policy"]
        if answer.request.path != "/static/app.css":
            assert headers["Cache-Control"] == "no-store"
    assert {answer.mimetype for answer in answers} >= {"text/html", "text/css", "application/json"}


@sqlite
def test_every_address_sends_the_headers(world: World) -> None:
    """Walked through the map of addresses, as nobody, as a resident and as a colleague, so that none is forgotten."""
    clients = [
        world.client(),
        browser(world, world.resident()).client,
        browser(world, world.officer).client,
    ]
    pages = 0
    for path in paths(world, "GET"):
        for client in clients:
            answer = client.get(path)
            headers = answer.headers
            assert answer.status_code < 500, path
            assert headers["X-Content-Type-Options"] == "nosniff", path
            assert "Cache-Control" in headers, path
            if answer.mimetype == "text/html":
                pages += 1
                policy = headers["Content-Security-Policy"]
                assert "frame-ancestors 'none'" in policy, path
                assert "unsafe" not in policy, path
                assert headers["Referrer-Policy"] == "same-origin", path
                assert "geolocation=(" in headers["Permissions-Policy"], path
            answer.close()
    assert pages > 200


@sqlite
@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example/x", "/\\evil.example"])
def test_no_address_sends_anybody_elsewhere(world: World, target: str) -> None:
    """Whatever it is told to go on to, by any of the names that pages use, and whoever asks."""
    clients = [world.client(), browser(world, world.resident()).client, browser(world, world.officer).client]
    told = dict.fromkeys(("next", "back", "to", "url", "return", "redirect"), target)
    sent = 0
    for path in paths(world, "GET"):
        for client in clients:
            answer = client.get(path, query_string=told, headers={"Referer": target})
            where = answer.headers.get("Location", "")
            assert not re.match(r"[\\/]{2}|[a-z]+:", where, re.IGNORECASE), (path, where)
            if answer.mimetype == "text/html":
                assert not re.search(r'(?:href|action)="(?:https?:)?[\\/]{1,2}evil', answer.text), path
            sent += bool(where)
            answer.close()
    assert sent > 20


def paths(world: World, method: str) -> list[str]:
    """Every address that answers to `method`, with something in place of what it asks for."""
    found = []
    for rule in world.app.url_map.iter_rules():
        if method in (rule.methods or ()):
            path = re.sub(r"<[^>]*uuid[^>]*>", "0" * 8 + "-0000-7000-8000-" + "0" * 12, rule.rule)
            path = re.sub(r"<[^>]*int[^>]*>", "1", path)
            path = re.sub(r"<any\(([^,)]+)[^>]*>", r"\1", path)
            found.append(re.sub(r"<[^>]*>", "x", path))
    return found


# --- where one is sent -------------------------------------------------------------------------------------

ELSEWHERE = [
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "https://evil.example",
    "HTTPS:evil.example",
    "http:/evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    " //evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "/me\r\nSet-Cookie: a=b",
    "/me\x00",
    "/me\u2028",
    "me",
    "?next=/",
    "#",
    "",
    None,
]


@pytest.mark.parametrize("target", ELSEWHERE)
def test_nobody_is_sent_elsewhere(target: str | None) -> None:
    assert safe_next(target, "/home") == "/home"


@pytest.mark.parametrize(
    "target", ["/", "/me", "/s/ABC?key=1&kind=bike_trip", "/me?from=2026-01-01", "/a//b"]
)
def test_one_is_sent_back_within_the_site(target: str) -> None:
    assert safe_next(target, "/home") == target


@sqlite
@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example"])
def test_a_log_in_goes_nowhere_else(world: World, phone: Phone, target: str) -> None:
    world.colleague(Role.OFFICER)
    client = world.client()
    staff = send(
        client, "/staff/login", {"name": "staff 1", "password": PASSWORD}, f"/staff/login?next={target}"
    )
    assert (staff.status_code, staff.location) == (303, "/desk")
    assert client.get(f"/language/en?next={target}").location == "/"
    client.get("/login", query_string={"next": target})
    send(client, "/login", {"phone": PHONE})
    send(client, "/login/code", {"code": phone.code})
    joined = send(
        client,
        f"/join?street={STREET}",
        {"division_code": COMMUNITY, "consent_version": CONSENT_VERSION, "age": "14"},
        "/join",
    )
    assert (joined.status_code, joined.location) == (303, "/")


# --- forms -------------------------------------------------------------------------------------------------


@sqlite
def test_every_form_needs_its_token(world: World) -> None:
    """Whatever takes a POST from a browser refuses one without; the API takes none from a browser."""
    client = world.client()
    before = contents(world.house)
    checked = 0
    for path in paths(world, "POST"):
        if path.startswith("/api/"):
            continue
        for data in ({}, {"csrf_token": "made up"}):
            answer = client.post(path, data=data)
            assert (answer.status_code, "form_expired" in answer.text) == (400, True), path
        checked += 1
    assert checked >= 10
    assert written(before, contents(world.house)) == {}


@sqlite
def test_a_form_token_belongs_to_its_browser(world: World) -> None:
    shown = world.client().get("/login").text
    token = re.search(r'name="csrf_token" value="([^"]+)"', shown)
    assert token is not None
    answer = world.client().post("/login", data={"phone": PHONE, "csrf_token": token[1]})
    assert answer.status_code == 400


# --- log-in of residents -----------------------------------------------------------------------------------


def test_a_resident_joins_comes_back_and_leaves(world: World, phone: Phone) -> None:
    client = world.client()
    asked = send(client, "/login", {"phone": "139 1234-5678"})
    assert (asked.status_code, asked.location) == (303, "/login/code")
    assert phone.messages[0][0] == f"+86{PHONE}"
    right = send(client, "/login/code", {"code": phone.code})
    assert (right.status_code, right.location) == (303, "/join")
    page = f"/join?street={STREET}"
    refused = send(client, page, {"division_code": COMMUNITY})
    assert refused.status_code == 422
    joined = send(client, page, {"division_code": COMMUNITY, "consent_version": CONSENT_VERSION, "age": "14"})
    assert (joined.status_code, joined.location) == (303, "/")
    assert client.get("/me").status_code == 200

    again = world.client()
    with clock.pretending(clock.now() + timedelta(minutes=2)):
        send(again, "/login", {"phone": PHONE})
        entered = send(again, "/login/code", {"code": phone.code})
        assert (entered.status_code, entered.location) == (303, "/")
        left = send(again, "/me", {}, "/logout")
        assert left.status_code == 303
        assert again.get("/me").status_code == 302
        assert client.get("/me").status_code == 200
    with world.house.db.reading() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM resident")) == 1
    assert world.breaches() == []


def test_the_answer_does_not_tell_whether_a_number_is_known(world: World, phone: Phone) -> None:
    known = world.house.extras[SmsSender] and "13900000001"
    world.resident()
    answers = []
    for number in (known, "13899999999"):
        client = world.client()
        answer = send(client, "/login", {"phone": number})
        shown = client.get("/login/code").text
        shown = re.sub(r'value="[^"]+"', "", shown).replace(number[-4:], "")
        wrong = send(client, "/login/code", {"code": "000000"})
        answers.append((answer.status_code, answer.location, shown, wrong.status_code))
    assert answers[0] == answers[1]
    assert answers[0][0] == 303
    assert len(phone.messages) == 2


@sqlite
def test_a_wrong_code_lets_nobody_in(world: World, phone: Phone) -> None:
    client = world.client()
    send(client, "/login", {"phone": PHONE})
    right = phone.code
    wrong = f"{(int(right) + 1) % 10**6:06d}"
    for code in (wrong, "", "1", right + "0", "x" * 1000):
        answer = send(client, "/login/code", {"code": code})
        assert answer.status_code == 401
        assert COOKIES["resident"] not in answer.headers.get("Set-Cookie", "")
    # Five tries are all there are: the right code comes too late.
    assert send(client, "/login/code", {"code": right}).status_code == 401
    assert client.get("/me").status_code == 302


@sqlite
def test_a_code_is_good_for_its_own_number_once_and_for_ten_minutes(world: World, phone: Phone) -> None:
    client, other = world.client(), world.client()
    send(client, "/login", {"phone": PHONE})
    first = phone.code
    send(other, "/login", {"phone": "13812345678"})
    assert send(other, "/login/code", {"code": first}).status_code == (303 if phone.code == first else 401)
    assert send(client, "/login/code", {"code": first}).status_code == 303
    assert send(client, "/login/code", {"code": first}).status_code == 401
    with clock.pretending(clock.now() + timedelta(minutes=5)):
        send(client, "/login", {"phone": PHONE})
    with clock.pretending(clock.now() + timedelta(minutes=16)):
        assert send(client, "/login/code", {"code": phone.code}).status_code == 401


@sqlite
def test_asking_too_often_is_refused_with_the_time_to_wait(world: World, phone: Phone) -> None:
    client = world.client()
    assert send(client, "/login", {"phone": PHONE}).status_code == 303
    answer = send(client, "/login", {"phone": PHONE})
    assert answer.status_code == 429
    assert len(phone.messages) == 1


@sqlite
@pytest.mark.parametrize("number", ["", "12345", "1391234567", "139123456789", "x" * 5000])
def test_what_is_no_number_is_said_in_the_field(world: World, phone: Phone, number: str) -> None:
    answer = send(world.client(), "/login", {"phone": number})
    assert answer.status_code == 422
    assert "请填写 11 位手机号码。" in answer.text
    assert phone.messages == []


@sqlite
def test_one_ends_ones_own_sessions_and_nobody_elses(world: World, phone: Phone) -> None:
    first, second, stranger = world.client(), world.client(), world.client()
    for number, client in enumerate((first, second)):
        with clock.pretending(clock.now() + timedelta(minutes=2 * number)):
            send(client, "/login", {"phone": PHONE})
            send(client, "/login/code", {"code": phone.code})
            if not number:
                send(
                    client,
                    f"/join?street={STREET}",
                    {"division_code": COMMUNITY, "consent_version": CONSENT_VERSION, "age": "14"},
                )
    page = first.get("/me").text
    sessions = re.findall(r'name="session" value="([^"]+)"', page)
    assert len(sessions) == 2
    send(stranger, "/login", {"phone": "13812345678"})
    send(stranger, "/login/code", {"code": phone.code})
    send(
        stranger,
        f"/join?street={STREET}",
        {"division_code": COMMUNITY, "consent_version": CONSENT_VERSION, "age": "14"},
    )
    for session in sessions:
        send(stranger, "/me", {"session": session}, "/me/sessions/end")
    assert [client.get("/me").status_code for client in (first, second)] == [200, 200]
    for session in sessions:
        if second.get("/me").status_code == 200 and first.get("/me").status_code == 200:
            send(first, "/me", {"session": session}, "/me/sessions/end")
    assert sorted(client.get("/me").status_code for client in (first, second)) == [200, 302]
    assert send(stranger, "/me", {"session": "x"}, "/me/sessions/end").status_code == 404


# --- cookies -----------------------------------------------------------------------------------------------


@sqlite
@pytest.mark.parametrize("public_url", ["http://127.0.0.1:8000", "https://tph.example"])
def test_session_cookies_are_for_the_server_only(world: World, phone: Phone, public_url: str) -> None:
    house = build_house(
        settings_for(world.house.settings.database_url, world.house.settings.var, public_url=public_url)
    )
    house.extras[SmsSender] = phone
    world.colleague(Role.OFFICER)
    client = create_app(house, testing=True).test_client()
    base: dict[str, Any] = {"base_url": public_url}
    shown = client.get("/login", **base)
    form = cookie(shown, "tph_form")
    token = re.search(r'name="csrf_token" value="([^"]+)"', shown.text)
    assert token is not None
    client.post("/login", data={"phone": PHONE, "csrf_token": token[1]}, **base)
    client.post("/login/code", data={"code": phone.code, "csrf_token": token[1]}, **base)
    joining = {
        "division_code": COMMUNITY,
        "consent_version": CONSENT_VERSION,
        "age": "14",
        "csrf_token": token[1],
    }
    resident = cookie(client.post("/join", data=joining, **base), COOKIES["resident"])
    entering = {"name": "staff 1", "password": PASSWORD, "csrf_token": token[1]}
    staff = cookie(client.post("/staff/login", data=entering, **base), COOKIES["staff"])
    for found in (form, resident, staff):
        assert found["httponly"] is True
        assert found["samesite"] == "Lax"
        assert found["path"] == "/"
        assert "domain" not in found
        assert ("secure" in found) == public_url.startswith("https")
    assert int(resident["max-age"]) == 90 * 86400
    assert "max-age" not in staff
    assert "expires" not in staff
    with house.db.reading() as connection:
        stored = connection.scalars(sa.text("SELECT token_hash FROM browser_session")).all()
    assert len(stored) == 2
    assert not {resident["value"], staff["value"]} & set(stored)
    house.db.dispose()


@sqlite
def test_a_cookie_of_one_sort_opens_no_page_of_the_other(world: World, phone: Phone) -> None:
    client = world.client()
    send(client, "/login", {"phone": PHONE})
    send(client, "/login/code", {"code": phone.code})
    answer = send(
        client,
        f"/join?street={STREET}",
        {"division_code": COMMUNITY, "consent_version": CONSENT_VERSION, "age": "14"},
    )
    token = cookie(answer, COOKIES["resident"])["value"]
    browser = world.client()
    browser.set_cookie(COOKIES["staff"], token)
    assert browser.get("/bureau").status_code == 302
    assert browser.get("/me").status_code == 302


# --- log-in of staff ---------------------------------------------------------------------------------------


def test_staff_log_in_and_the_session_ends_when_idle(world: World) -> None:
    world.colleague(Role.OFFICER)
    client = world.client()
    assert client.get("/bureau").location == "/staff/login?next=/bureau"
    entered = send(client, "/staff/login?next=/bureau", {"name": "staff 1", "password": PASSWORD})
    assert (entered.status_code, entered.location) == (303, "/bureau")
    assert client.get("/bureau").status_code == 200
    idle = timedelta(minutes=world.house.settings.staff_session_minutes)
    now = clock.now()
    with clock.pretending(now + idle / 2):
        assert client.get("/bureau").status_code == 200
    with clock.pretending(now + idle * 1.2):
        assert client.get("/bureau").status_code == 200  # not idle: used in between
    with clock.pretending(now + idle * 3):
        assert client.get("/bureau").status_code == 302


def test_a_wrong_password_tells_nothing_and_locks_in_the_end(world: World) -> None:
    world.colleague(Role.OFFICER)

    def tried(name: str, password: str) -> TestResponse:
        return send(world.client(), "/staff/login", {"name": name, "password": password})

    unknown = tried("nobody at all", "wrong horse battery")
    answers = [tried("staff 1", "wrong horse battery") for _ in range(FAILURES_UNTIL_LOCK)]
    assert {answer.status_code for answer in (unknown, *answers)} == {401}
    assert all("用户名或密码不正确。" in answer.text for answer in (unknown, *answers))
    assert not any(COOKIES["staff"] in answer.headers.get("Set-Cookie", "") for answer in answers)
    locked = tried("staff 1", PASSWORD)
    assert locked.status_code == 429
    with clock.pretending(clock.now() + LOCK_FOR + timedelta(seconds=1)):
        assert tried("staff 1", PASSWORD).status_code == 303
    with world.house.db.reading() as connection:
        failed = "SELECT count(*) FROM audit_entry WHERE deed = 'staff.login_failed'"
        assert connection.scalar(sa.text(failed)) == FAILURES_UNTIL_LOCK


@sqlite
def test_a_form_sent_after_the_session_ended_comes_back_to_a_page(world: World) -> None:
    """Back to where one was, if that can be opened; never to an address that only takes forms."""
    client = world.client()

    def back(path: str) -> str | None:
        return send(client, "/login", {}, path).location

    assert back("/console/sites/new") == "/staff/login?next=/console/sites/new"
    assert back("/console/codes/1/reissue") == "/staff/login?next="
    assert back("/me/sessions/end") == "/login?next="


@sqlite
def test_a_role_opens_its_own_pages_only(world: World) -> None:
    pages: dict[str, Callable[[Role], bool]] = {
        "/bureau": lambda role: role in {Role.OFFICER, Role.ADMIN, Role.AUDITOR},
        "/bureau/synergy": lambda role: role in {Role.OFFICER, Role.ADMIN, Role.AUDITOR},
        "/bureau/parked": lambda role: role in {Role.OFFICER, Role.ADMIN},
        "/console/campaigns": lambda role: role in {Role.ORGANISER, Role.OFFICER, Role.ADMIN},
        "/console/cards": lambda role: role not in {Role.MERCHANT, Role.AUDITOR},
        "/console/desk": lambda role: role not in {Role.MERCHANT, Role.AUDITOR},
        "/console/counter": lambda role: role in {Role.MERCHANT, Role.ORGANISER, Role.ADMIN},
        "/console/offers": lambda role: role not in {Role.HELPER, Role.AUDITOR},
        "/bureau/rewards": lambda role: role in {Role.OFFICER, Role.ADMIN},
        "/console/staff": lambda role: role == Role.ADMIN,
    }
    for number, role in enumerate(Role, start=1):
        world.colleague(role)
        client = world.client()
        assert (
            send(client, "/staff/login", {"name": f"staff {number}", "password": PASSWORD}).status_code == 303
        )
        for page, allowed in pages.items():
            assert (client.get(page).status_code == 200) == allowed(role), (role, page)
            assert client.get(page).status_code in {200, 403}
