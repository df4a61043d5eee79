"""Whatever goes wrong is said in plain words, in the language of the page, with a way on and what was typed."""

import re
from html import unescape
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask, request
from flask.testing import FlaskClient

from tanpuhui import errors
from tanpuhui.errors import all_errors
from tanpuhui.rooms import build_house
from tanpuhui.sessions import new_session
from tanpuhui.web import create_app
from tanpuhui.web.api import MAX_BODY
from tanpuhui.web.auth import COOKIES
from tanpuhui.web.problems import RETRY_AFTER, answer
from tests.browser import browser
from tests.databases import settings_for
from tests.document import ours
from tests.world import COMMUNITY, World

sqlite = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
HELP = "021 1234 5678"
ERRORS = ours(all_errors())

#: What fills the sentences.
PARAMS: dict[str, Any] = {
    "label": "42",
    "retry_after": 45,
    "unit": "kg",
    "kind": "光盘行动",
    "kind_en": "Clean plate",
    "minimum": "0.1",
    "maximum": "20",
    "left": "2",
    "minutes": "30",
    "hours": "72",
    "check_on": "2027-03-12",
    "number": "SH-0001",
    "trees": "5",
    "characters": "𠀀",
    "problems": "…",
    "kinds": ["clean_plate"],
    "most": 5,
    "limit": 20,
    "people": 28,
    "opens": "2027-03-12 13:00",
    "ends": "2027-03-12 16:00",
    "moment": "2027-03-12 15:10",
}

#: What is not translated: names of things of the trade, and the other language's own name.
NAMES = re.compile(
    r"Idempotency-Key|Content-Type|application/json|JSON|KB|MB|JPEG|PNG|WebP|HEIC|CO₂e?|SH-0001|English|中文|光盘行动"
)


def words(page: str) -> str:
    """What people read on a page, and what is read out to them."""
    spoken = " ".join(re.findall(r'(?:aria-label|alt|title|placeholder)="([^"]*)"', page))
    page = re.sub(r"<(script|style|svg|template)\b.*?</\1>|<code>.*?</code>", " ", page, flags=re.S)
    page = re.sub(r"(?:代码：|Code: )[a-z_]+", " ", page)
    return NAMES.sub(" ", unescape(re.sub(r"<[^>]+>", " ", page) + " " + spoken))


def in_one_language(page: str, language: str) -> bool:
    """Whether a page of ours has no piece of the other language."""
    piece = r"[\u4e00-\u9fff，。、]" if language == "en" else r"[A-Za-z]{3,}"
    return not re.search(piece, words(page))


def main(page: str) -> str:
    """The part of the page that tells of the problem."""
    found = re.search(r"<main.*?</main>", page, re.S)
    assert found
    return found[0]


@pytest.fixture
def app(world: World) -> Flask:
    """The app of a district that has a telephone number for help."""
    settings = settings_for(world.house.settings.database_url, world.house.settings.var, help_phone=HELP)
    house = build_house(settings)
    request_app: Flask = create_app(house, testing=True)
    return request_app


# --- every error -------------------------------------------------------------------------------------------


@sqlite
@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_error_has_a_page_with_a_way_on(app: Flask, language: str) -> None:
    """One language, a sentence of what to do, a way home, a number to ring; the status, and when to come back."""
    for error in ERRORS:
        with app.test_request_context("/", headers={"Accept": "text/html", "Accept-Language": language}):
            told = answer(error(**PARAMS))
        page = told.get_data(as_text=True)
        assert told.status_code == error.status, error
        assert told.mimetype == "text/html"
        assert in_one_language(page, language), (error.code, words(main(page)))
        title, step = re.findall(r"<h1>(.+?)</h1>\s*<p>(.+?)</p>", main(page))[0]
        assert "%(" not in title + step
        assert step.endswith("。" if language == "zh" else ".")
        assert 'href="/"' in main(page)
        assert f'href="tel:{HELP.replace(" ", "")}"' in main(page)
        assert error.code in main(page)
        wanted = {429: "45", 503: str(RETRY_AFTER)}.get(error.status)
        assert told.headers.get("Retry-After") == wanted


@sqlite
def test_a_machine_is_told_the_same(app: Flask) -> None:
    for error in ERRORS:
        with app.test_request_context("/api/v1/x", headers={"Accept-Language": "en"}):
            told = answer(error(**PARAMS))
        document = told.get_json(force=True)
        assert (document["code"], document["status"]) == (error.code, error.status)
        assert document["next_step"].endswith(".")
        assert not re.search(
            r"[\u4e00-\u9fff]", document["title"] + document["next_step"].replace("光盘行动", "")
        )


def test_the_bound_of_what_can_be_sent_is_the_one_that_is_told() -> None:
    assert f"{MAX_BODY // 1024} KB" in errors.TooLarge.next_step


@sqlite
@pytest.mark.parametrize(
    ("seconds", "zh", "en"),
    [
        (1, "请 1 秒后", "in 1 second."),
        (60, "请 60 秒后", "in 60 seconds."),
        (101, "请 2 分钟后", "in 2 minutes."),
        (3600, "请 60 分钟后", "in 60 minutes."),
        (86400, "请 24 小时后", "in 24 hours."),
    ],
)
def test_waiting_is_told_in_words_that_one_can_picture(app: Flask, seconds: int, zh: str, en: str) -> None:
    for language, wanted in (("zh", zh), ("en", en)):
        with app.test_request_context("/", headers={"Accept": "text/html", "Accept-Language": language}):
            told = answer(errors.TooMany(retry_after=seconds))
        assert wanted in told.get_data(as_text=True)
        assert told.headers["Retry-After"] == str(seconds)


# --- what people do ----------------------------------------------------------------------------------------

ODD_ADDRESSES = {
    "/no-such-page": 404,
    "/%c3%28": 404,
    "/console/sites/not-an-id": 404,
    "/s/%ff%fe": 302,
    "/?q=%ff%fe": 200,
    "/?q=%00": 400,
    "/me/privacy/download": 405,
    "/logout": 405,
    "/too-many": 429,
    f"/{'a' * 5000}": 414,
    f"/?q={'a' * 90000}": 414,
}


@sqlite
@pytest.mark.parametrize("language", ["zh", "en"])
def test_odd_addresses_get_a_page(app: Flask, language: str) -> None:
    client = app.test_client()
    for address, status in ODD_ADDRESSES.items():
        told = client.get(address, headers={"Accept": "text/html", "Accept-Language": language})
        assert (told.status_code, told.mimetype) == (status, "text/html"), address
        if status >= 400:
            assert in_one_language(told.text, language), address
            assert 'href="/"' in main(told.text)


@sqlite
@pytest.mark.parametrize(
    "header",
    [
        {"Host": "elsewhere.example"},
        {"Host": "a b<script>"},
        {"Host": ""},
        {"Cookie": "tph_form=broken; tph_resident=" + "x" * 43},
        {"Cookie": "tph_resident=%ff; tph_view=<script>; tph_language=xx"},
        {"Cookie": '=;;;=,,"'},
        {"Cookie": "tph_form=" + "eyJ" * 2000},
        {"Accept-Language": "\xff;q=zz"},
        {"Accept": "nonsense"},
        {"Referer": "http://[bad", "Origin": "http://[bad"},
        {"Referer": "http://localhost//elsewhere.example"},
        {"Range": "bytes=99-1"},
    ],
)
def test_odd_headers_break_nothing_and_are_not_repeated(app: Flask, header: dict[str, str]) -> None:
    for address, status in (("/", 200), ("/me", 302), ("/no-such-page", 404)):
        told = app.test_client().get(address, headers={"Accept": "text/html", **header})
        assert told.status_code == status
        assert "elsewhere.example" not in told.text
        assert "<script>" not in told.text


@sqlite
def test_a_form_that_is_too_long_says_so_and_leads_back(world: World) -> None:
    me = browser(world, world.resident())
    me.get("/me/nickname")
    _, hidden = me._form("nickname")
    told = me.client.post(
        "/me/nickname",
        data={**hidden, "nickname": "长" * MAX_BODY},
        headers={"Referer": "http://localhost/me/nickname?a=1", "Accept": "text/html"},
    )
    assert told.status_code == 413
    assert "64 KB" in told.text
    assert '<a class="button wide" href="/me/nickname?a=1" data-back>' in told.text


@sqlite
def test_a_page_that_is_not_there_keeps_staff_at_their_desk(world: World) -> None:
    desk = browser(world, world.officer)
    for path in ("/bureau/no-such", "/console/no-such"):
        page = desk.get(path)
        assert desk.status == 404
        assert 'class="places"' in page
        assert 'href="/desk"' in main(page)
    assert 'class="places"' not in desk.get("/no-such")
    assert 'class="places"' not in browser(world).get("/bureau-no-such")
    assert 'class="places"' not in browser(world, world.resident()).get("/console/no-such")


@sqlite
def test_who_may_not_is_told_whom_to_ask(world: World) -> None:
    desk = browser(world, world.organiser)
    page = desk.get("/console/staff")
    assert desk.status == 403
    assert "请管理员给您加上权限" in page
    assert 'class="places"' in page


# --- when the house itself is in trouble -------------------------------------------------------------------


@pytest.fixture
def broken(world: World, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    """A browser of somebody who is logged in, at a district whose database has just gone away."""
    client = world.client()
    client.set_cookie(
        COOKIES["resident"], new_session(world.house, kind="resident", subject_id=world.resident().id)
    )
    client.set_cookie(COOKIES["staff"], new_session(world.house, kind="staff", subject_id=world.organiser.id))

    def gone(*_args: Any, **_more: Any) -> Any:
        raise sa.exc.OperationalError(
            "SELECT 1", {}, Exception("could not connect"), connection_invalidated=True
        )

    client.get("/login")  # the form's protection
    monkeypatch.setattr(sa.engine.Engine, "connect", gone)
    world.house.db.dispose()
    return client


@pytest.mark.parametrize("view", ["standard", "elder"])
@pytest.mark.parametrize("language", ["zh", "en"])
def test_pages_without_the_database_are_kind_too(broken: FlaskClient, language: str, view: str) -> None:
    broken.set_cookie("tph_view", view)
    broken.set_cookie("tph_language", language)
    for address in (
        "/",
        "/me",
        "/me/statement",
        "/console",
        "/bureau",
        "/no-such-page",
        "/bureau/no-such",
        "/factors",
    ):
        told = broken.get(address, headers={"Accept": "text/html"})
        assert (told.status_code, told.mimetype) == (503, "text/html"), address
        assert in_one_language(told.text, language)
        assert f'data-view="{view}"' in told.text
        assert f'href="{address}"' in main(told.text)  # try again
        assert told.headers["Retry-After"] == str(RETRY_AFTER)


def test_what_was_typed_is_offered_again_when_the_house_was_in_trouble(world: World) -> None:
    """A stumble of the server costs a press of a button, not the typing."""
    client = world.client()
    client.set_cookie(COOKIES["staff"], new_session(world.house, kind="staff", subject_id=world.organiser.id))
    typed = {"name": "临汾社区食堂", "kind": "canteen", "division_code": COMMUNITY, "kinds": "clean_plate"}
    for failure, status in (
        (errors.Unavailable(), 503),
        (errors.TooMany(retry_after=9), 429),
        (ValueError(), 500),
    ):
        csrf = token_on(client.get("/console/sites/new").text)
        world.app.testing = False
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("activities.sites.create_site", fails_with(failure))
            told = client.post(
                "/console/sites/new",
                data={**typed, "csrf_token": csrf},
                headers={"Sec-Fetch-Site": "same-origin", "Accept": "text/html"},
            )
        assert told.status_code == status
        assert "您填写的内容还在" in told.text
        assert "临汾社区食堂" in told.text
        done = client.post("/console/sites/new", data={**typed, "csrf_token": token_on(told.text)})
        assert done.status_code == 303


def token_on(page: str) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found
    return found[1]


def fails_with(failure: Exception) -> Any:
    def fail(*_args: Any, **_more: Any) -> Any:
        assert request.method == "POST"
        raise failure

    return fail
