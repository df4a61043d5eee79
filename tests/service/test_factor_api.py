"""The public API of factors, methodologies and evidence, and one record with the sum it rests on."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from activities.review import void_action
from tanpuhui import clock
from tanpuhui.staff import Role
from tests.world import OTHER_COMMUNITY, World


def factors(world: World, query: str = "") -> list[dict[str, Any]]:
    """What `GET /api/v1/factors` answers."""
    answer = world.call("GET", f"/factors{query}")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.get_json()["factors"]
    return found


def identifiers(world: World, query: str) -> set[str]:
    return {factor["id"] for factor in factors(world, query)}


# --- factors ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_every_factor_is_public_with_its_source(world: World) -> None:
    found = factors(world)
    assert len(found) == 18
    assert all(factor["source"] and factor["region"] and factor["source_year"] for factor in found)
    plate = next(factor for factor in found if factor["action_code"] == "clean_plate")
    assert (plate["id"], plate["unit"], plate["co2e_low_ng"]) == ("clean_plate@1", "meal", 144 * 10**9)
    assert (plate["title_zh"], plate["title_en"]) == ("光盘行动", "Clean plate")
    assert (plate["methodology"], plate["filing_status"]) == ("catering_savings", "not_filed")
    assert plate["derivation"] == {"high": {"rate": "93", "factor": "4.83"}}
    assert (plate["state"], plate["published_at"]) == ("current", None)
    assert plate["page"] == f"{world.house.settings.public_url}/factors/clean_plate@1"
    assert plate["nox_ng"] is None
    assert factors(world, "?kind=clean_plate&on=2026-11-23") == [plate]
    assert factors(world, "?kind=no_such") == []


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_each_filter_finds_what_it_says_and_together_they_narrow(world: World) -> None:
    everything = factors(world)
    for query, holds in {
        "?category=food": lambda one: one["id"] in {"clean_plate@1", "no_cutlery@1", "own_cup@1"},
        "?scenario_kind=减排场景": lambda one: one["scenario_kind"] == "减排场景",
        "?confidence=D": lambda one: one["confidence"] == "D",
        "?city_credited=true": lambda one: one["city_credited"],
        "?city_credited=false": lambda one: not one["city_credited"],
        "?methodology=public_transport": lambda one: one["methodology"] == "public_transport",
        "?filing_status=city_method": lambda one: one["filing_status"] == "city_method",
        "?q=光盘": lambda one: one["id"] == "clean_plate@1",
        "?q=CLEAN": lambda one: one["id"] == "clean_plate@1",
        "?q=epa short": lambda one: one["id"] == "recycle_paper@1",
        "?q=ｅｐａ short": lambda one: one["id"] == "recycle_paper@1",
    }.items():
        expected = {one["id"] for one in everything if holds(one)}
        assert expected
        assert expected < {one["id"] for one in everything}
        assert identifiers(world, query) == expected, query
    assert identifiers(world, "?city_credited=true&q=metro") == {"metro_trip@1"}
    assert identifiers(world, "?city_credited=false&q=metro") == set()


def test_old_and_coming_versions_stay_beside_the_present_one(world: World) -> None:
    today = clock.today()
    tomorrow = today + timedelta(days=1)
    world.publish_factor("own_cup", valid_from=today, source="second", derivation="")
    third = world.publish_factor("own_cup", valid_from=tomorrow, source="third")
    found = factors(world, "?kind=own_cup")
    assert [(one["id"], one["state"]) for one in found] == [
        ("own_cup@1", "retired"),
        ("own_cup@2", "current"),
        ("own_cup@3", "upcoming"),
    ]
    assert found[0]["published_at"] is None
    assert found[1]["published_at"] is not None
    assert identifiers(world, f"?kind=own_cup&on={today}") == {"own_cup@2"}
    assert identifiers(world, f"?kind=own_cup&on={tomorrow}") == {third.id}
    assert identifiers(world, "?q=second") == {"own_cup@2"}
    one = world.call("GET", "/factors/own_cup@2").get_json()
    assert one["factor"] == found[1]
    assert one["history"] == ["own_cup@1", "own_cup@2", "own_cup@3"]


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_one_factor_has_an_example_worked_out(world: World) -> None:
    for path in ("/factors/clean_plate@1", "/factors/clean_plate%401"):
        example = world.call("GET", path).get_json()["example"]
        assert (example["quantity"], example["reduction"]["co2e_mg"]) == ("1", 144_000)
        assert example["factor"]["version"] == "clean_plate@1"
    assert world.call("GET", "/factors/recycle_paper@1").get_json()["example"]["quantity"] == "1"


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/factors?on=2026-02-30", 422, "invalid_fields"),
        ("/factors?confidence=E", 422, "invalid_fields"),
        ("/factors?filing_status=perhaps", 422, "invalid_fields"),
        ("/factors?scenario_kind=行为", 422, "invalid_fields"),
        ("/factors?city_credited=maybe", 422, "invalid_fields"),
        (f"/factors?q={'x' * 101}", 422, "invalid_fields"),
        ("/factors?colour=green", 422, "invalid_fields"),
        ("/factors?q=%00", 400, "invalid_request"),
        ("/factors/clean_plate@99", 404, "not_found"),
        ("/factors/clean_plate", 404, "not_found"),
        ("/factors/%00", 404, "not_found"),
        (f"/factors/{'x' * 49}", 422, "invalid_fields"),
    ],
)
def test_a_wrong_question_is_a_problem_with_a_code(world: World, path: str, status: int, code: str) -> None:
    answer = world.call("GET", path)
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
    assert answer.get_json()["code"] == code


# --- methodologies and evidence -----------------------------------------------------------------------------


def test_every_methodology_is_public_with_the_factors_that_follow_it(world: World) -> None:
    world.publish_factor("clean_plate", valid_from=clock.today())
    answer = world.call("GET", "/methodologies").get_json()["methodologies"]
    assert len(answer) == 11
    assert all(one["baseline_zh"] and one["applicability_en"] and one["sources"] for one in answer)
    (catering,) = [one for one in answer if one["code"] == "catering_savings"]
    assert (catering["form"], catering["formula"]) == ("generation", "R = Q × w × f")
    assert catering["form_zh"] == "数量 × 产生量 × 排放因子"
    assert (catering["kinds"], catering["factors"]) == (["clean_plate"], ["clean_plate@2"])
    (transport,) = [one for one in answer if one["code"] == "public_transport"]
    assert transport["filing_status"] == "city_method"
    assert transport["city_reference"]


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_one_public_table_says_what_each_evidence_is_worth(world: World) -> None:
    tiers = world.call("GET", "/evidence").get_json()["evidence"]
    assert [tier["rank"] for tier in tiers] == [1, 2, 3, 4, 5, 6]
    assert tiers[0] == {
        "code": "self_declared",
        "name_zh": "自报",
        "name_en": "Self-declared",
        "rank": 1,
        "points_percent": 50,
        "counts_as_verified": False,
    }
    assert [tier["points_percent"] for tier in tiers] == [50, 70, 100, 100, 100, 100]
    assert [tier["counts_as_verified"] for tier in tiers] == [False, False, True, True, True, True]


# --- one record ---------------------------------------------------------------------------------------------


def test_a_record_is_shown_with_the_sum_of_its_own_version_whatever_is_published_later(world: World) -> None:
    resident = world.resident()
    token = world.token(resident)
    scan = world.scan(resident, world.code("clean_plate"))
    before = world.call("GET", f"/actions/{scan['action']['id']}", token)
    assert before.status_code == 200
    body = before.get_json()
    assert body["action"] == scan["action"]
    assert (body["voided"], body["voided_at"], body["void_reason"]) == (False, None, None)
    assert body["sum"]["reduction"]["co2e_mg"] == scan["action"]["reduction"]["co2e_mg"] == 144_000
    assert body["sum"]["factor"]["version"] == "clean_plate@1"
    assert body["sum"]["glance_zh"].startswith("1 餐 × 144 克/餐 = 144 克")

    new = world.publish_factor("clean_plate", valid_from=clock.today(), co2e_low_ng=150 * 10**9)
    after = world.call("GET", f"/actions/{scan['action']['id']}", token).get_json()
    assert after["action"] == scan["action"]
    told = {name: after["sum"][name] for name in ("reduction", "steps", "formula", "derivation")}
    assert told == {name: body["sum"][name] for name in told}
    assert after["sum"]["factor"]["version"] == "clean_plate@1"
    later = world.scan(
        world.resident(), world.code("clean_plate")
    )  # the negative control: a new record has it
    assert later["action"]["reduction"]["factor_version"] == new.id
    assert later["action"]["reduction"]["co2e_mg"] == 150_000


def test_a_voided_record_says_so_and_why(world: World) -> None:
    resident = world.resident()
    scan = world.scan(resident, world.code("clean_plate"))["action"]
    void_action(world.house, world.officer, UUID(scan["id"]), "重复扫码")
    body = world.call("GET", f"/actions/{scan['id']}", world.token(resident)).get_json()
    assert (body["voided"], body["void_reason"]) == (True, "重复扫码")
    assert body["voided_at"].endswith("Z")
    assert body["action"] == scan


def test_a_record_is_seen_by_whose_it_is_and_who_manages_its_site(world: World) -> None:
    resident, stranger = world.residents(2)
    scan = world.scan(resident, world.code("clean_plate"))["action"]
    path = f"/actions/{scan['id']}"
    away = world.colleague(Role.ORGANISER, division=OTHER_COMMUNITY)
    auditor = world.colleague(Role.AUDITOR)
    for token, status in (
        (world.token(resident), 200),
        (world.token(world.organiser, Role.ORGANISER), 200),
        (world.token(world.officer, Role.OFFICER), 200),
        (world.token(stranger), 404),
        (world.token(away, Role.ORGANISER), 403),
        (world.token(auditor, Role.AUDITOR), 403),
        (None, 401),
    ):
        assert world.call("GET", path, token).status_code == status
    missing = f"/actions/{UUID(int=1)}"
    assert world.call("GET", missing, world.token(world.officer, Role.OFFICER)).status_code == 404
    assert world.call("GET", "/actions/no-number", world.token(resident)).status_code == 422


def test_the_sum_of_a_record_gives_the_numbers_recorded(world: World) -> None:
    """Also for a quantity that does not come out even, and for every pollutant."""
    resident = world.resident()
    scan = world.scan(resident, world.code("bike_trip"), quantity="2.537")["action"]
    body = world.call("GET", f"/actions/{scan['id']}", world.token(resident)).get_json()
    recorded = scan["reduction"]
    assert {name: recorded[name] for name in body["sum"]["reduction"] if name in recorded} == {
        name: value for name, value in body["sum"]["reduction"].items() if name in recorded
    }
    steps = {step["name"]: step["value"] for step in body["sum"]["steps"]}
    assert steps == {name: recorded[name] for name in steps}
    assert steps["so2_ug"] is None
