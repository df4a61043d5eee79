"""`POST /api/v1/scans` and what a resident reads of it: names, types and bytes that other people's programs rely on."""

from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest

from activities.review import void_action
from tanpuhui import clock
from tanpuhui.sessions import end_all, new_session
from tanpuhui.web.auth import COOKIES
from tests.tables import contents, written
from tests.world import World

REDUCTION = {
    "co2e_mg": int,
    "co2e_mid_mg": int,
    "co2e_high_mg": int,
    "nox_ug": int | None,
    "pm25_ug": int | None,
    "voc_ug": int | None,
    "so2_ug": int | None,
    "co_ug": int | None,
    "factor_version": str,
    "city_credited": bool,
}
ACTION = {
    "id": str,
    "kind": str,
    "quantity": int | float,
    "unit": str,
    "occurred_at": str,
    "evidence": str,
    "site_id": str,
    "campaign_id": str | None,
    "reduction": dict,
}
SCAN = {"action": dict, "points": dict, "left_today": int}
LINE = {
    "position": int,
    "type": str,
    "action_id": str,
    "kind": str,
    "quantity": int | float,
    "unit": str,
    "occurred_at": str,
    "recorded_at": str,
    "reason": str | None,
    "points": int,
    "pending": int,
    "balance_after": int | None,
    "co2e_mg": int,
    "city_credited": bool,
    "factor_version": str,
    **{name: kind for name, kind in REDUCTION.items() if name.endswith("_ug")},
}


def assert_shape(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Exactly these names, each of its type; a bool is no number."""
    assert found.keys() == wanted.keys()
    wrong = {name: found[name] for name, kind in wanted.items() if not isinstance(found[name], kind)}
    assert not wrong
    assert not [name for name, kind in wanted.items() if kind is not bool and isinstance(found[name], bool)]


def moment(text: str) -> datetime:
    """A time of an answer: UTC, written with Z."""
    assert text.endswith("Z")
    return datetime.fromisoformat(text)


# --- the answer --------------------------------------------------------------------------------------------


def test_the_answer_has_these_names_and_types(world: World) -> None:
    before = clock.now()
    answer = world.post_scan(world.token(world.resident()), {"code": world.code("clean_plate")})
    assert answer.status_code == 201
    assert answer.content_type == "application/json"
    assert "Idempotent-Replayed" not in answer.headers
    body = answer.get_json()
    assert_shape(body, SCAN)
    action = body["action"]
    assert_shape(action, ACTION)
    assert_shape(action["reduction"], REDUCTION)
    assert_shape(body["points"], {"posted": int, "balance": int})
    assert UUID(action["id"]) != UUID(action["site_id"])
    assert before <= moment(action["occurred_at"]) <= clock.now()
    assert (action["kind"], action["quantity"], action["unit"]) == ("clean_plate", 1, "meal")
    low, mid, high = (action["reduction"][name] for name in ("co2e_mg", "co2e_mid_mg", "co2e_high_mg"))
    assert (low, mid, high) == (144_000, 340_000, 449_000)
    assert body["points"] == {"posted": 10, "balance": 10}
    assert body["left_today"] == 2


def test_an_unknown_pollutant_is_null_and_a_known_one_a_number(world: World) -> None:
    token = world.token(world.resident())
    body = world.post_scan(token, {"code": world.code("bike_trip"), "quantity": 2}).get_json()
    reduction = body["action"]["reduction"]
    assert reduction["so2_ug"] is None
    assert (reduction["nox_ug"], reduction["pm25_ug"]) == (97_497, 4_928)
    assert reduction["city_credited"] is True
    assert body["action"]["quantity"] == 2


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@pytest.mark.parametrize("quantity", [2.5, "2.5", "2.500", " ２．５ "])
def test_a_quantity_may_be_a_number_or_its_text(world: World, quantity: Any) -> None:
    answer = world.post_scan(
        world.token(world.resident()), {"code": world.code("clothing_reuse"), "quantity": quantity}
    )
    assert answer.status_code == 201
    action = answer.get_json()["action"]
    assert (action["quantity"], action["reduction"]["co2e_mg"]) == (2.5, 3_200_000)
    assert '"quantity": 2.5,' in answer.text


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_whole_scanned_address_is_a_code(world: World) -> None:
    code = world.code("clean_plate")
    for number, spelling in enumerate((f"https://elsewhere.example/s/{code}?from=wechat", code.lower())):
        answer = world.post_scan(world.token(world.resident()), {"code": spelling}, key=f"k{number}")
        assert answer.status_code == 201


def test_a_late_record_keeps_its_moment_whatever_its_offset(world: World) -> None:
    code = world.code("clean_plate")
    with clock.pretending(clock.now() + timedelta(days=1)):
        happened = clock.now().replace(microsecond=0) - timedelta(hours=5)
        stated = happened.astimezone(timezone(timedelta(hours=8))).isoformat()
        token = world.token(world.resident())
        answer = world.post_scan(token, {"code": code, "occurred_at": stated})
        assert answer.status_code == 201
        assert moment(answer.get_json()["action"]["occurred_at"]) == happened
        # The same moment in another spelling is the same request.
        again = world.post_scan(
            token, {"occurred_at": happened.isoformat().replace("+00:00", "Z"), "code": code}
        )
    assert again.status_code == 201
    assert again.headers["Idempotent-Replayed"] == "true"


# --- the same key ------------------------------------------------------------------------------------------


def test_the_same_key_gets_the_same_bytes_and_credits_once(world: World) -> None:
    token, code = world.token(world.resident()), world.code("clothing_reuse")
    first = world.post_scan(token, {"code": code, "quantity": 1.5})
    before = contents(world.house)
    again = world.post_scan(token, {"quantity": "1.50", "code": code})
    assert (again.status_code, again.data) == (201, first.data)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert written(before, contents(world.house)) == {}


def test_the_same_key_with_another_body_is_a_conflict(world: World) -> None:
    token, code = world.token(world.resident()), world.code("clothing_reuse")
    world.post_scan(token, {"code": code, "quantity": 1})
    before = contents(world.house)
    other = world.post_scan(token, {"code": code, "quantity": 2})
    assert (other.status_code, other.get_json()["code"]) == (409, "idempotency_key_reused")
    assert written(before, contents(world.house)) == {}


def test_a_key_belongs_to_its_resident(world: World) -> None:
    code = world.code("clean_plate")
    answers = [world.post_scan(world.token(resident), {"code": code}) for resident in world.residents(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].get_json()["action"]["id"] != answers[1].get_json()["action"]["id"]


# --- who ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_only_a_bearer_token_opens_the_api(world: World) -> None:
    resident, code = world.resident(), world.code("clean_plate")
    client = world.client()
    client.set_cookie(COOKIES["resident"], new_session(world.house, kind="resident", subject_id=resident.id))
    answer = client.post("/api/v1/scans", json={"code": code}, headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer.get_json()["code"]) == (401, "not_authenticated")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    # With the token neither cookie nor form token is asked for: nothing a browser sends by itself counts.
    assert world.post_scan(world.token(resident), {"code": code}).status_code == 201


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_revoked_token_is_not_known(world: World) -> None:
    resident = world.resident()
    token = world.token(resident)
    assert world.call("GET", "/me/statement", token).status_code == 200
    end_all(world.house, "resident", resident.id)
    assert world.call("GET", "/me/statement", token).status_code == 401


# --- statement ---------------------------------------------------------------------------------------------


def test_the_statement_shows_the_scan_and_its_void(world: World) -> None:
    resident = world.resident()
    token = world.token(resident)
    scan = world.post_scan(token, {"code": world.code("bike_trip"), "quantity": 2}).get_json()["action"]
    void_action(world.house, world.officer, UUID(scan["id"]), "重复扫码")
    answer = world.call("GET", "/me/statement", token)
    assert answer.status_code == 200
    body = answer.get_json()
    assert body.keys() == {"balance", "pending", "lines", "next_before"}
    assert (body["balance"], body["next_before"]) == (0, None)
    voided, recorded = body["lines"]
    for line in (voided, recorded):
        assert_shape(line, LINE)
        assert line["action_id"] == scan["id"]
        assert line["occurred_at"] == scan["occurred_at"]
        assert line["so2_ug"] is None
        moment(line["recorded_at"])
    assert [line["type"] for line in (voided, recorded)] == ["action.voided", "action.recorded"]
    assert [line["reason"] for line in (voided, recorded)] == ["重复扫码", None]
    for name in ("quantity", "points", "co2e_mg", "nox_ug"):
        assert recorded[name] == -voided[name] != 0
    assert recorded["co2e_mg"] == scan["reduction"]["co2e_mg"]


def test_the_statement_is_read_page_by_page(world: World) -> None:
    resident = world.resident()
    token = world.token(resident)
    for kind in ("clean_plate", "own_cup", "no_cutlery"):
        world.scan(resident, world.code(kind))
    first = world.call("GET", "/me/statement?limit=2", token).get_json()
    rest = world.call("GET", f"/me/statement?limit=2&before={first['next_before']}", token).get_json()
    kinds = [line["kind"] for line in first["lines"] + rest["lines"]]
    assert kinds == ["no_cutlery", "own_cup", "clean_plate"]
    assert [line["balance_after"] for line in first["lines"] + rest["lines"]] == [16, 13, 10]
    assert rest["next_before"] is None


def test_nobody_sees_another_statement(world: World) -> None:
    resident, other = world.residents(2)
    world.scan(resident, world.code("clean_plate"))
    assert world.call("GET", "/me/statement", world.token(other)).get_json()["lines"] == []
