"""Bad input: every wrong request has its own stable code and a sentence in the caller's language, and leaves no row."""

import base64
import hmac
import io
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from werkzeug.test import TestResponse

from activities import codes
from activities.sites import SiteStatus, set_status
from tanpuhui import clock, people
from tanpuhui.errors import TanpuhuiError, all_errors
from tanpuhui.rooms import build_house
from tanpuhui.staff import Role
from tests.databases import Shelf, settings_for
from tests.tables import contents, written
from tests.translations import stored, strings
from tests.world import COMMUNITY, DISTRICT, World

JSON = "application/json"
CHINESE = re.compile("[\u4e00-\u9fff]")
PLACEHOLDER = re.compile(r"%\(\w+\)s")
NOBODY = "00000000-0000-7000-8000-000000000000"


@dataclass
class Place:
    """A world in which nothing happens but bad requests, and the codes to send to it."""

    world: World
    codes: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, str | None] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def sent(
        self, language: str, token: str = "resident", key: str | None = "fresh", **more: Any
    ) -> TestResponse:
        """What is answered to a scan."""
        headers = {"Accept-Language": language} if language else {}
        if key is not None:
            headers["Idempotency-Key"] = f"key-{next(self.numbers)}" if key == "fresh" else key
        return self.world.call("POST", "/scans", self.tokens[token], headers=headers, **more)


@pytest.fixture(scope="module")
def place(shelves: dict[str, Shelf], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One world for the whole table: bad requests change nothing, which is what is shown."""
    shelf = shelves.setdefault("sqlite", Shelf(tmp_path_factory.mktemp("sqlite"), None))
    with shelf.database(loaded=True) as url:
        house = shelf.house(url, tmp_path_factory.mktemp("var"))
        world = World(house)
        found = Place(world)
        with clock.pretending(clock.now() - timedelta(minutes=10)):
            _fill(found)
        world.scan(world.resident(), found.codes["plate"])  # whatever is read once is read now
        yield found
        house.db.dispose()


def _fill(place: Place) -> None:
    world, settings = place.world, place.world.house.settings
    key = settings.key("codes")
    good = world.code("clean_plate")
    revoked, closed = world.code("clean_plate"), world.site("clean_plate")
    codes.revoke_code(world.house, world.organiser, codes.read_token(settings, revoked).number, "poster lost")
    place.codes = {
        "plate": good,
        "clothes": world.code("clothing_reuse"),
        "several": world.code("clean_plate", "own_cup"),
        "trees": world.code("tree_planting"),
        "forged": good[:-1] + ("A" if good[-1] != "A" else "B"),
        "another id": codes.token_of(settings, 1)[:10] + good[10:],
        "truncated": good[:-1],
        "too long": good + "A",
        "not base32": "1" * 10 + "?" * 14,
        "foreign": _of_version(b"another deployment's key " * 2, 1, codes.read_token(settings, good).number),
        "never issued": codes.token_of(settings, 7),
        "old version": _of_version(key, 0, codes.read_token(settings, good).number),
        "new version": _of_version(key, 15, codes.read_token(settings, good).number),
        "revoked": revoked,
        "closed": world.code_at(closed),
    }
    set_status(world.house, world.organiser, closed.id, SiteStatus.CLOSED, "holidays")
    gone = world.resident()
    place.tokens = {
        "resident": world.token(world.resident()),
        "organiser": world.token(world.organiser, Role.ORGANISER),
        "officer": world.token(world.officer, Role.OFFICER),
        "helper": world.token(world.colleague(Role.HELPER), Role.HELPER),
        "street": world.token(world.colleague(Role.OFFICER, division="310106011"), Role.OFFICER),
        "none": None,
        "garbage": "tph_" + "x" * 43,
        "short": "x",
        "overlong": "x" * 5000,
        "revoked": world.token(gone),
    }
    people.leave(world.house, gone.id)


def _of_version(key: bytes, version: int, code_id: int) -> str:
    head = bytes([version << 4]) + code_id.to_bytes(5, "big")
    return base64.b32encode(head + hmac.digest(key, head, "sha256")[:9]).decode()


def assert_problem(zh: TestResponse, en: TestResponse, status: int, code: str) -> None:
    """The same problem twice: by default in Chinese, and in English."""
    for answer in (zh, en):
        problem = answer.get_json()
        assert (answer.status_code, problem.get("code")) == (status, code), problem
        assert answer.content_type == "application/problem+json"
        assert problem["status"] == status
        assert problem["type"] == f"urn:tanpuhui:problem:{code}"
        assert answer.headers["Cache-Control"] == "no-store"
    chinese, english = _sentences(zh), _sentences(en)
    assert len(chinese) == len(english)
    assert all(CHINESE.search(text) for text in chinese)
    assert not any(CHINESE.search(text) for text in english)
    assert "%(" not in "".join(chinese + english)


def _sentences(answer: TestResponse) -> list[str]:
    problem = answer.get_json()
    listed = [entry["reason"] for entry in problem.get("errors") or ()]
    return [text for text in (problem["title"], problem.get("next_step"), *listed) if text]


# --- scans -------------------------------------------------------------------------------------------------

NUMBER, PRECISE, FIELDS = "quantity_not_a_number", "quantity_too_precise", "invalid_fields"

#: What is sent beside a code (by its name above): the status and the code of the answer.
SCANS: dict[str, tuple[str, dict[str, Any], int, str]] = {
    "forged": ("forged", {}, 404, "code_invalid"),
    "forged id": ("another id", {}, 404, "code_invalid"),
    "foreign": ("foreign", {}, 404, "code_invalid"),
    "never issued": ("never issued", {}, 404, "code_invalid"),
    "truncated": ("truncated", {}, 422, "code_incomplete"),
    "too long": ("too long", {}, 422, "code_incomplete"),
    "not base32": ("not base32", {}, 422, "code_incomplete"),
    "old version": ("old version", {}, 410, "code_version_unknown"),
    "new version": ("new version", {}, 410, "code_version_unknown"),
    "revoked": ("revoked", {}, 410, "code_revoked"),
    "site closed": ("closed", {}, 422, "site_closed"),
    "evidence too weak": ("trees", {"quantity": 1}, 422, "evidence_too_weak"),
    "unknown kind": ("plate", {"kind": "teleport"}, 422, "unknown_kind"),
    "unknown kind in Chinese": ("plate", {"kind": "光盘"}, 422, "unknown_kind"),
    "empty kind": ("plate", {"kind": ""}, 422, "unknown_kind"),
    "kind elsewhere": ("plate", {"kind": "bike_trip"}, 422, "kind_not_at_site"),
    "which kind": ("several", {}, 422, "kind_required"),
    "quantity missing": ("clothes", {}, 422, "quantity_missing"),
    "quantity null": ("clothes", {"quantity": None}, 422, "quantity_missing"),
    "negative": ("clothes", {"quantity": -1}, 422, "quantity_not_positive"),
    "negative text": ("clothes", {"quantity": "-0.5"}, 422, "quantity_not_positive"),
    "zero": ("clothes", {"quantity": 0}, 422, "quantity_not_positive"),
    "minus zero": ("clothes", {"quantity": "-0.0"}, 422, "quantity_not_positive"),
    "NaN": ("clothes", {"quantity": float("nan")}, 422, NUMBER),
    "Infinity": ("clothes", {"quantity": float("inf")}, 422, NUMBER),
    "-Infinity": ("clothes", {"quantity": float("-inf")}, 422, NUMBER),
    "NaN text": ("clothes", {"quantity": "NaN"}, 422, NUMBER),
    "infinite text": ("clothes", {"quantity": "1e999"}, 422, NUMBER),
    "words": ("clothes", {"quantity": "two"}, 422, NUMBER),
    "empty text": ("clothes", {"quantity": ""}, 422, NUMBER),
    "two numbers": ("clothes", {"quantity": "1 2"}, 422, NUMBER),
    "hexadecimal": ("clothes", {"quantity": "0x10"}, 422, NUMBER),
    "thousands": ("clothes", {"quantity": "1,000"}, 422, NUMBER),
    "underscore": ("clothes", {"quantity": "1_0"}, 422, NUMBER),
    "100 digits": ("clothes", {"quantity": int("9" * 100)}, 422, PRECISE),
    "100 digits text": ("clothes", {"quantity": "9" * 100}, 422, PRECISE),
    "100 decimals": ("clothes", {"quantity": "1." + "1" * 100}, 422, PRECISE),
    "four decimals": ("clothes", {"quantity": 1.0001}, 422, PRECISE),
    "ten thousand characters": ("clothes", {"quantity": "1" * 10_000}, 422, PRECISE),
    "too much": ("clothes", {"quantity": 30.001}, 422, "quantity_out_of_range"),
    "too little": ("clothes", {"quantity": 0.099}, 422, "quantity_out_of_range"),
    "not one plate": ("plate", {"quantity": 2}, 422, "quantity_out_of_range"),
    "bool": ("clothes", {"quantity": True}, 422, FIELDS),
    "list": ("clothes", {"quantity": [1]}, 422, FIELDS),
    "object": ("clothes", {"quantity": {"kg": 1}}, 422, FIELDS),
    "in the future": ("plate", {"occurred_at": timedelta(hours=1)}, 422, "occurred_in_future"),
    "far in the future": ("plate", {"occurred_at": "2199-12-31T23:59:59Z"}, 422, "occurred_in_future"),
    "before the code": ("plate", {"occurred_at": timedelta(hours=-1)}, 422, "before_code"),
    "too long ago": ("plate", {"occurred_at": timedelta(hours=-100)}, 422, "occurred_too_long_ago"),
    "in another century": ("plate", {"occurred_at": "1900-01-01T00:00:00Z"}, 422, "occurred_too_long_ago"),
    "year one": ("plate", {"occurred_at": "0001-01-01T00:00:00+14:00"}, 422, FIELDS),
    "year 9999": ("plate", {"occurred_at": "9999-12-31T23:59:59-12:00"}, 422, FIELDS),
    "no offset": ("plate", {"occurred_at": "2026-11-23T08:00:00"}, 422, FIELDS),
    "a day only": ("plate", {"occurred_at": "2026-11-23"}, 422, FIELDS),
    "no such day": ("plate", {"occurred_at": "2026-02-30T08:00:00Z"}, 422, FIELDS),
    "no such offset": ("plate", {"occurred_at": "2026-11-23T08:00:00+99:00"}, 422, FIELDS),
    "seconds as number": ("plate", {"occurred_at": 1_780_000_000}, 422, FIELDS),
    "seconds as text": ("plate", {"occurred_at": "1780000000"}, 422, FIELDS),
    "seconds as decimal": ("plate", {"occurred_at": 1780000000.5}, 422, FIELDS),
    "time as bool": ("plate", {"occurred_at": False}, 422, FIELDS),
    "full-width digits": ("plate", {"occurred_at": "２０２６-11-23T08:00:00Z"}, 422, FIELDS),
    "empty time": ("plate", {"occurred_at": ""}, 422, FIELDS),
    "unknown field": ("plate", {"points": 1000}, 422, FIELDS),
    "resident of another": ("plate", {"resident_id": NOBODY}, 422, FIELDS),
    "code as number": ("", {"code": 7}, 422, FIELDS),
    "code as list": ("", {"code": ["A" * 24]}, 422, FIELDS),
    "code null": ("", {"code": None}, 422, FIELDS),
    "code missing": ("", {}, 422, FIELDS),
    "code empty": ("", {"code": ""}, 422, FIELDS),
    "code overlong": ("", {"code": "A" * 301}, 422, FIELDS),
    "code blank": ("", {"code": " "}, 422, "code_incomplete"),
    "code in emoji": ("", {"code": "🌱" * 24}, 422, "code_incomplete"),
    "kind as number": ("plate", {"kind": 1}, 422, FIELDS),
    "kind overlong": ("plate", {"kind": "k" * 33}, 422, FIELDS),
}


#: Refusals that their resident can look up.
KEPT = {error.code for error in all_errors() if getattr(error, "kept", False)}


@pytest.mark.parametrize("name", SCANS)
def test_a_wrong_scan_is_refused_with_its_own_code(place: Place, name: str) -> None:
    code, fields, status, problem = SCANS[name]
    body = {"code": place.codes[code], **fields} if code else fields
    if isinstance(fields.get("occurred_at"), timedelta):
        body["occurred_at"] = (clock.now() + fields["occurred_at"]).isoformat()
    before = contents(place.world.house)
    zh, en = (place.sent(language, data=json.dumps(body), content_type=JSON) for language in ("", "en"))
    assert_problem(zh, en, status, problem)
    assert set(written(before, contents(place.world.house))) == (
        {"scan_attempt"} if problem in KEPT else set()
    )


def test_the_same_codes_are_good_when_nothing_is_wrong(place: Place) -> None:
    """The negative control of the table: it is the wrongness that is refused."""
    token = place.world.token(place.world.resident())
    for number, (code, quantity) in enumerate((("plate", None), ("clothes", 0.1), ("clothes", 29.9))):
        body = {"code": place.codes[code], "quantity": quantity}
        with clock.pretending(clock.now() + timedelta(hours=1 + number)):
            body["occurred_at"] = (clock.now() - timedelta(minutes=5)).isoformat()
            answer = place.world.post_scan(token, body, key=f"good-{number}")
        assert answer.status_code == 201, answer.get_json()


def test_a_code_issued_just_now_credits_nothing_of_before(place: Place) -> None:
    """A phone's clock may be slow by a minute or two, not by an hour."""
    world = place.world
    body = {"code": world.code("clean_plate"), "occurred_at": (clock.now() - timedelta(hours=1)).isoformat()}
    before = contents(world.house)
    assert_problem(place.sent("", json=body), place.sent("en", json=body), 422, "before_code")
    assert set(written(before, contents(world.house))) == {"scan_attempt"}


# --- bodies that are no request at all ---------------------------------------------------------------------

BODIES: dict[str, tuple[bytes, str, int, str]] = {
    "empty": (b"", JSON, 400, "invalid_request"),
    "no JSON": (b"code=abc", JSON, 400, "invalid_request"),
    "cut off": (b'{"code": "A', JSON, 400, "invalid_request"),
    "array": (b'[{"code": "A"}]', JSON, 400, "invalid_request"),
    "text": (b'"code"', JSON, 400, "invalid_request"),
    "number": (b"1", JSON, 400, "invalid_request"),
    "null": (b"null", JSON, 400, "invalid_request"),
    "two documents": (b"{}{}", JSON, 400, "invalid_request"),
    "a name twice": (b'{"code": "A", "code": "B"}', JSON, 400, "invalid_request"),
    "nested lists": (b'{"code": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", JSON, 400, "invalid_request"),
    "nested objects": (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, JSON, 400, "invalid_request"),
    "nested a little": (b'{"code": ' + b"[" * 20 + b"]" * 20 + b"}", JSON, 400, "invalid_request"),
    "invalid UTF-8": (b'{"code": "\xff\xfe"}', JSON, 400, "invalid_request"),
    "UTF-16": ('{"code": "A"}'.encode("utf-16"), JSON, 400, "invalid_request"),
    "NUL": (b'{"code": "A\\u0000"}', JSON, 400, "invalid_request"),
    "NUL in a name": (b'{"a\\u0000": 1}', JSON, 400, "invalid_request"),
    "raw NUL": (b'{"code": "A\x00"}', JSON, 400, "invalid_request"),
    "lone surrogate": (b'{"code": "\\ud800"}', JSON, 400, "invalid_request"),
    "5000 digits": (b'{"code": ' + b"9" * 5000 + b"}", JSON, 400, "invalid_request"),
    "NaN as code": (b'{"code": NaN}', JSON, 422, FIELDS),
    "form": (b"code=A", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
    "plain text": (b'{"code": "A"}', "text/plain", 415, "unsupported_media_type"),
    "no type": (b'{"code": "A"}', "", 415, "unsupported_media_type"),
    "1 MB": (b'{"code": "' + b"A" * 2**20 + b'"}', JSON, 413, "body_too_large"),
    "1 MB of blanks": (b" " * 2**20 + b"{}", JSON, 413, "body_too_large"),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_is_no_request_is_refused(place: Place, name: str) -> None:
    body, media, status, problem = BODIES[name]
    before = contents(place.world.house)
    zh, en = (place.sent(language, data=body, content_type=media) for language in ("", "en"))
    assert_problem(zh, en, status, problem)
    assert written(before, contents(place.world.house)) == {}


def test_a_large_body_is_refused_without_its_length_too(place: Place) -> None:
    """Chunked: servers hand the stream on with `wsgi.input_terminated` and no Content-Length."""

    def sent(language: str) -> TestResponse:
        return place.sent(
            language,
            input_stream=io.BytesIO(b'{"code": "' + b"A" * 2**20 + b'"}'),
            content_type=JSON,
            environ_overrides={"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"},
        )

    assert_problem(sent(""), sent("en"), 413, "body_too_large")


def test_a_small_chunked_body_is_read(place: Place) -> None:
    answer = place.sent(
        "",
        input_stream=io.BytesIO(b'{"code": "short"}'),
        content_type=JSON,
        environ_overrides={"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"},
    )
    assert answer.get_json()["code"] == "code_incomplete"


# --- keys --------------------------------------------------------------------------------------------------

KEYS = {
    "missing": (None, "idempotency_key_missing"),
    "empty": ("", "idempotency_key_missing"),
    "overlong": ("k" * 129, "idempotency_key_invalid"),
    "blank inside": ("a b", "idempotency_key_invalid"),
    "latin": ("clé", "idempotency_key_invalid"),
    "control": ("a\x7fb", "idempotency_key_invalid"),
}


@pytest.mark.parametrize("name", KEYS)
def test_a_key_that_cannot_serve_is_refused(place: Place, name: str) -> None:
    key, problem = KEYS[name]
    body = {"code": place.codes["plate"]}
    before = contents(place.world.house)
    assert_problem(place.sent("", key=key, json=body), place.sent("en", key=key, json=body), 400, problem)
    assert written(before, contents(place.world.house)) == {}


# --- who ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["none", "garbage", "short", "overlong", "revoked"])
def test_without_a_known_token_nothing_is_recorded(place: Place, who: str) -> None:
    before = contents(place.world.house)
    body = {"code": place.codes["plate"]}
    zh, en = (place.sent(language, token=who, json=body) for language in ("", "en"))
    assert_problem(zh, en, 401, "not_authenticated")
    assert zh.headers["WWW-Authenticate"] == "Bearer"
    assert written(before, contents(place.world.house)) == {}


@pytest.mark.parametrize("who", ["none", "short", "overlong"])
def test_without_a_token_the_body_is_not_even_read(place: Place, who: str) -> None:
    zh, en = (place.sent(language, token=who, data=b"{", content_type=JSON) for language in ("", "en"))
    assert_problem(zh, en, 401, "not_authenticated")


@pytest.mark.parametrize(
    "header", ["Basic dXNlcjpwYXNz", "Bearer", "Bearer ", "bearer\ttoken", "Bearer " + "é" * 43, "Bearer a b"]
)
def test_an_authorization_that_is_none_is_refused(place: Place, header: str) -> None:
    answer = place.world.call("GET", "/me/statement", headers={"Authorization": header})
    assert (answer.status_code, answer.get_json()["code"]) == (401, "not_authenticated")


def _staff_calls(world: World) -> list[tuple[str, str, Any]]:
    site = world.site("clean_plate")
    code = codes.read_token(world.house.settings, world.code_at(site)).number
    action = world.scan(world.resident(), world.code_at(site))["action"]["id"]
    rules = {"when": WINDOW, "site_ids": [str(site.id)]}
    new_site = {"name": "新点位", "kind": "canteen", "division_code": COMMUNITY, "kinds": ["clean_plate"]}
    campaign = {"title": "六五环境日", "division_code": DISTRICT, "rules": rules}
    return [
        ("GET", "/console/sites", None),
        ("POST", "/sites", new_site),
        ("POST", f"/sites/{site.id}/codes", {}),
        ("POST", f"/codes/{code}/revoke", {"reason": "poster lost"}),
        ("POST", f"/actions/{action}/void", {"reason": "twice"}),
        ("POST", "/campaigns", campaign),
        ("GET", "/statistics", None),
    ]


@pytest.mark.parametrize(("who", "allowed"), [("resident", 0), ("helper", 1), ("street", 1)])
def test_a_token_without_the_role_or_the_scope_changes_nothing(place: Place, who: str, allowed: int) -> None:
    calls = _staff_calls(place.world)
    before = contents(place.world.house)
    passed = 0
    for method, path, body in calls:
        zh, en = (
            place.world.call(
                method, path, place.tokens[who], json=body, headers={"Accept-Language": language}
            )
            for language in ("zh", "en")
        )
        if zh.status_code == 200:
            passed += 1
            assert zh.get_json() == {"sites": []}
        else:
            assert_problem(zh, en, 403, "not_allowed")
    assert passed == allowed
    assert written(before, contents(place.world.house)) == {}


@pytest.mark.parametrize("who", ["organiser", "officer"])
def test_staff_tokens_do_not_act_as_residents(place: Place, who: str) -> None:
    body = {"code": place.codes["plate"]}
    assert_problem(
        place.sent("", token=who, json=body), place.sent("en", token=who, json=body), 403, "not_allowed"
    )
    statement = place.world.call("GET", "/me/statement", place.tokens[who])
    assert (statement.status_code, statement.get_json()["code"]) == (403, "not_allowed")


# --- staff's requests --------------------------------------------------------------------------------------

SITE = {"name": "新点位", "kind": "canteen", "division_code": COMMUNITY, "kinds": ["clean_plate"]}
LONG = {"valid_from": "2026-11-23T00:00:00Z", "valid_until": "2026-11-26T00:00:01Z"}
WINDOW = {"by": "dates", "starts_at": "2027-06-05T00:00:00Z", "ends_at": "2027-06-06T00:00:00Z"}


def campaign_of(*site_ids: str, **rules: Any) -> dict[str, Any]:
    """A campaign of these sites as the API takes it."""
    return {
        "title": "六五环境日",
        "division_code": DISTRICT,
        "rules": {"when": WINDOW, "site_ids": list(site_ids), **rules},
    }


STAFF: dict[str, tuple[str, dict[str, Any], int, str]] = {
    "site of unknown sort": ("/sites", {**SITE, "kind": "castle"}, 422, FIELDS),
    "site name of blanks": ("/sites", {**SITE, "name": "   "}, 422, FIELDS),
    "site name missing": ("/sites", {k: v for k, v in SITE.items() if k != "name"}, 422, FIELDS),
    "site in no community": ("/sites", {**SITE, "division_code": DISTRICT}, 422, FIELDS),
    "site in an unknown community": ("/sites", {**SITE, "division_code": "310106006999"}, 422, FIELDS),
    "site in another district": ("/sites", {**SITE, "division_code": "310101002001"}, 403, "not_allowed"),
    "site of unknown kinds": ("/sites", {**SITE, "kinds": ["teleport"]}, 422, FIELDS),
    "site of no kind": ("/sites", {**SITE, "kinds": []}, 422, FIELDS),
    "site of a tenant unknown": ("/sites", {**SITE, "organisation_id": NOBODY}, 422, FIELDS),
    "site of a tenant misspelt": ("/sites", {**SITE, "organisation_id": "x"}, 422, FIELDS),
    "site of many kinds": ("/sites", {**SITE, "kinds": ["clean_plate"] * 21}, 422, FIELDS),
    "code at no site": (f"/sites/{NOBODY}/codes", {}, 404, "not_found"),
    "code at a misspelt site": ("/sites/first/codes", {}, 422, FIELDS),
    "code of half a window": ("{site}/codes", {"valid_from": "2026-11-23T00:00:00Z"}, 422, FIELDS),
    "code for too long": ("{site}/codes", LONG, 422, FIELDS),
    "code ending first": (
        "{site}/codes",
        {"valid_from": "2026-11-23T01:00:00Z", "valid_until": "2026-11-23T00:00:00Z"},
        422,
        FIELDS,
    ),
    "revoking none": ("/codes/7/revoke", {"reason": "gone"}, 404, "not_found"),
    "revoking zero": ("/codes/0/revoke", {"reason": "gone"}, 422, FIELDS),
    "revoking far too many": (f"/codes/{2**70}/revoke", {"reason": "gone"}, 422, FIELDS),
    "revoking a word": ("/codes/first/revoke", {"reason": "gone"}, 404, "not_found"),
    "revoking without reason": ("/codes/7/revoke", {}, 422, FIELDS),
    "voiding none": (f"/actions/{NOBODY}/void", {"reason": "gone"}, 404, "not_found"),
    "voiding for a blank": (f"/actions/{NOBODY}/void", {"reason": "   "}, 422, FIELDS),
    "campaign of no site": ("/campaigns", campaign_of(), 422, FIELDS),
    "campaign of an unknown site": ("/campaigns", campaign_of(NOBODY), 404, "not_found"),
    "campaign ending first": (
        "/campaigns",
        campaign_of(NOBODY, when={**WINDOW, "ends_at": "2027-06-04T00:00:00Z"}),
        422,
        FIELDS,
    ),
    "campaign of a blank title": ("/campaigns", campaign_of(NOBODY) | {"title": "  "}, 422, FIELDS),
    "campaign in no division": (
        "/campaigns",
        campaign_of("{id}") | {"division_code": "310106zzz"},
        422,
        FIELDS,
    ),
}


@pytest.mark.parametrize("name", STAFF)
def test_a_wrong_request_of_staff_is_refused(place: Place, name: str) -> None:
    path, body, status, problem = STAFF[name]
    site = place.world.site("clean_plate")
    path = path.replace("{site}", f"/sites/{site.id}")
    body = json.loads(json.dumps(body).replace("{id}", str(site.id)))
    before = contents(place.world.house)
    zh, en = (
        place.world.call(
            "POST", path, place.tokens["organiser"], json=body, headers={"Accept-Language": language}
        )
        for language in ("", "en")
    )
    assert_problem(zh, en, status, problem)
    assert written(before, contents(place.world.house)) == {}


QUERIES = {
    "from no day": ("/statistics?from=2026-02-30", "officer", 422, FIELDS),
    "from a second": ("/statistics?from=1767225600", "officer", 422, FIELDS),
    "from year one": ("/statistics?to=0001-01-02", "officer", 422, FIELDS),
    "backwards": ("/statistics?from=2026-06-05&to=2026-06-04", "officer", 422, FIELDS),
    "too long": ("/statistics?from=2020-01-01&to=2026-06-04", "officer", 422, FIELDS),
    "by a name": ("/statistics?by=resident", "officer", 422, FIELDS),
    "by the database's name": ("/statistics?by=day,co2e_mg;", "officer", 422, FIELDS),
    "unknown parameter": ("/statistics?until=2026-06-04", "officer", 422, FIELDS),
    "python's name": ("/statistics?from_=2026-06-04", "officer", 422, FIELDS),
    "page of none": ("/me/statement?limit=0", "resident", 422, FIELDS),
    "page of a million": ("/me/statement?limit=1000000", "resident", 422, FIELDS),
    "before everything": ("/me/statement?before=-1", "resident", 422, FIELDS),
    "before too much": (f"/me/statement?before={2**63}", "resident", 422, FIELDS),
    "NUL": ("/factors?kind=%00", "none", 400, "invalid_request"),
    "NUL in an address": ("/sites/%00/codes", "organiser", 405, "method_not_allowed"),
    "no such address": ("/nowhere", "none", 404, "not_found"),
    "factor on no day": ("/factors?on=yesterday", "none", 422, FIELDS),
}


@pytest.mark.parametrize("name", QUERIES)
def test_a_wrong_query_is_refused(place: Place, name: str) -> None:
    path, who, status, problem = QUERIES[name]
    zh, en = (
        place.world.call("GET", path, place.tokens[who], headers={"Accept-Language": language})
        for language in ("", "en")
    )
    assert_problem(zh, en, status, problem)


def test_the_wrong_method_is_told_the_right_one(place: Place) -> None:
    zh, en = (
        place.world.call("DELETE", "/scans", place.tokens["resident"], headers={"Accept-Language": language})
        for language in ("", "en")
    )
    assert_problem(zh, en, 405, "method_not_allowed")
    assert zh.headers["Allow"] == "OPTIONS, POST"


# --- errors as a whole -------------------------------------------------------------------------------------


def test_every_error_has_a_code_of_its_own() -> None:
    errors = [error for error in all_errors() if error.__module__ == "tanpuhui.errors"]
    listed = [error.code for error in errors]
    assert len(listed) > 40
    assert len(listed) == len(set(listed))
    assert all(error.status in range(400, 504) for error in errors)
    assert {error.__name__ for error in all_errors()} == {error.__name__ for error in errors}


@pytest.mark.parametrize("error", all_errors(), ids=lambda error: error.code)
def test_every_error_is_said_in_english_too(error: type[TanpuhuiError]) -> None:
    english = stored("en")
    texts = [error.text, error.next_step]
    for text in texts:
        message = english.get(text)
        assert message is not None, text
        (translation,) = strings(message.string)
        assert translation
        assert not CHINESE.search(translation)
        assert sorted(PLACEHOLDER.findall(text)) == sorted(PLACEHOLDER.findall(translation))


def test_an_outage_of_the_database_is_said_to_be_one(tmp_path_factory: pytest.TempPathFactory) -> None:
    away = "postgresql+psycopg://nobody@127.0.0.1:1/none?connect_timeout=1"
    house = build_house(settings_for(away, tmp_path_factory.mktemp("away")))
    world = World(house)
    code = codes.token_of(house.settings, 7)
    zh, en = (
        world.post_scan("tph_" + "x" * 43, {"code": code}, **{"Accept-Language": language})
        for language in ("", "en")
    )
    assert_problem(zh, en, 503, "unavailable")
    assert zh.headers["Retry-After"] == "3"
    house.db.dispose()
