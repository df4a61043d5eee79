"""The API of organisers and officers: sites, codes, campaigns and voids, each as far as its token reaches."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from activities import codes
from activities.campaign_rules import by_dates
from tanpuhui import clock
from tanpuhui.staff import Role
from tests.tables import contents, written
from tests.world import COMMUNITY, DISTRICT, OTHER_COMMUNITY, World

SITE = {
    "name": "静安寺食堂",
    "kind": "canteen",
    "division_code": COMMUNITY,
    "kinds": ["clean_plate", "own_cup"],
}


def call(
    world: World, token: str, method: str, path: str, body: Any = None, status: int = 200
) -> dict[str, Any]:
    """The answer, which must have `status`."""
    answer = world.call(method, path, token, json=body)
    assert answer.status_code == status, answer.get_json()
    found: dict[str, Any] = answer.get_json()
    return found


def test_an_organiser_takes_a_site_from_nothing_to_a_credited_scan(world: World) -> None:
    token = world.token(world.organiser, Role.ORGANISER)
    site = call(world, token, "POST", "/sites", SITE, 201)
    assert site == {
        "id": site["id"],
        "name": "静安寺食堂",
        "kind": "canteen",
        "division_code": COMMUNITY,
        "organisation_id": None,
        "hours": "",
        "status": "open",
        "kinds": ["clean_plate", "own_cup"],
    }
    assert call(world, token, "GET", "/console/sites") == {"sites": [site]}
    code = call(world, token, "POST", f"/sites/{site['id']}/codes", {}, 201)
    assert code.keys() == {"id", "token", "url", "evidence"}
    assert code["url"] == f"{world.house.settings.public_url}/s/{code['token']}"
    assert codes.read_token(world.house.settings, code["url"]).number == code["id"]
    resident = world.token(world.resident())
    answer = world.post_scan(resident, {"code": code["url"], "kind": "own_cup"})
    assert answer.status_code == 201
    assert answer.get_json()["action"]["site_id"] == site["id"]


def test_a_staffed_code_confirms_what_a_printed_one_cannot(world: World) -> None:
    token = world.token(world.organiser, Role.ORGANISER)
    site = world.site("tree_planting")
    now = clock.now().replace(microsecond=0)
    window = {"valid_from": now.isoformat(), "valid_until": (now + timedelta(hours=3)).isoformat()}
    printed, staffed = (
        call(world, token, "POST", f"/sites/{site.id}/codes", body, 201) for body in ({}, window)
    )
    assert [code["evidence"] for code in (printed, staffed)] == ["site_code", "staff_confirmed"]
    resident = world.token(world.resident())
    key = {"Idempotency-Key": "key"}
    refused, planted = (
        world.call("POST", "/plantings", resident, json={"code": code["token"], "trees": 1}, headers=key)
        for code in (printed, staffed)
    )
    assert refused.get_json()["code"] == "evidence_too_weak"
    assert (planted.status_code, planted.get_json()["planting"]["trees"]) == (201, 1)


def test_a_revoked_code_is_refused_at_once_and_stays_revoked(world: World) -> None:
    token = world.token(world.organiser, Role.ORGANISER)
    code = call(world, token, "POST", f"/sites/{world.site('clean_plate').id}/codes", {}, 201)
    resident = world.token(world.resident())
    assert world.post_scan(resident, {"code": code["token"]}, key="before").status_code == 201
    for _ in range(2):
        revoked = call(world, token, "POST", f"/codes/{code['id']}/revoke", {"reason": "海报丢失"})
        assert revoked == code
    after = world.post_scan(resident, {"code": code["token"]}, key="after")
    assert (after.status_code, after.get_json()["code"]) == (410, "code_revoked")
    # What was credited before stands, and its key still gives its answer.
    assert world.post_scan(resident, {"code": code["token"]}, key="before").status_code == 201


def test_a_campaign_marks_the_scans_at_its_sites(world: World) -> None:
    token = world.token(world.organiser, Role.ORGANISER)
    site, other = world.site("clean_plate"), world.site("clean_plate")
    now = clock.now().replace(microsecond=0)
    campaign = call(
        world,
        token,
        "POST",
        "/campaigns",
        {
            "title": "六五环境日",
            "division_code": DISTRICT,
            "rules": {
                "when": by_dates(now - timedelta(hours=1), now + timedelta(hours=1)),
                "site_ids": [str(site.id), str(site.id)],
            },
        },
        201,
    )
    assert (campaign["stage"], campaign["starts_at"]) == ("submitted", None)
    officer = world.token(world.officer, Role.OFFICER)
    approved = call(world, officer, "POST", f"/campaigns/{campaign['id']}/approve", {"version": 1})
    assert approved["stage"] == "open"
    assert approved["starts_at"] == (now - timedelta(hours=1)).isoformat().replace("+00:00", "Z")
    found = [
        world.post_scan(world.token(world.resident()), {"code": world.code_at(place)}).get_json()["action"]
        for place in (site, other)
    ]
    assert [action["campaign_id"] for action in found] == [campaign["id"], None]


@pytest.mark.parametrize("role", [Role.ORGANISER, Role.OFFICER])
def test_a_void_is_made_once_and_takes_the_points_back(world: World, role: Role) -> None:
    resident = world.resident()
    action = world.scan(resident, world.code("clean_plate"))["action"]["id"]
    token = world.token(world.colleague(role), role)
    voided = call(world, token, "POST", f"/actions/{action}/void", {"reason": "重复扫码"})
    assert voided == {"id": action, "voided": True}
    before = contents(world.house)
    again = call(world, token, "POST", f"/actions/{action}/void", {"reason": "重复扫码"}, 409)
    assert again["code"] == "already_voided"
    assert written(before, contents(world.house)) == {}
    statement = call(world, world.token(resident), "GET", "/me/statement")
    assert statement["balance"] == 0
    assert world.breaches() == []


def test_a_token_reaches_as_far_as_its_scope(world: World) -> None:
    """An organiser of one 街镇 manages its sites, and cannot touch those of another."""
    member = world.colleague(Role.ORGANISER, division=OTHER_COMMUNITY[:9])
    token = world.token(member, Role.ORGANISER)
    inside = call(world, token, "POST", "/sites", {**SITE, "division_code": OTHER_COMMUNITY}, 201)
    outside = world.site("clean_plate")
    action = world.scan(world.resident(), world.code_at(outside))["action"]["id"]
    number = codes.read_token(world.house.settings, world.code_at(outside)).number
    assert call(world, token, "GET", "/console/sites") == {"sites": [inside]}
    before = contents(world.house)
    for path, body in (
        ("/sites", SITE),
        (f"/sites/{outside.id}/codes", {}),
        (f"/codes/{number}/revoke", {"reason": "not mine"}),
        (f"/actions/{action}/void", {"reason": "not mine"}),
    ):
        assert call(world, token, "POST", path, body, 403)["code"] == "not_allowed"
    assert written(before, contents(world.house)) == {}


def test_a_token_of_one_role_carries_no_other(world: World) -> None:
    member = world.colleague(Role.ORGANISER, Role.OFFICER)
    organiser, officer = (world.token(member, role) for role in (Role.ORGANISER, Role.OFFICER))
    assert call(world, officer, "GET", "/statistics")["rows"]
    assert call(world, organiser, "GET", "/statistics", status=403)["code"] == "not_allowed"


def test_who_did_what_is_kept(world: World) -> None:
    token = world.token(world.organiser, Role.ORGANISER)
    before = contents(world.house)
    site = call(world, token, "POST", "/sites", SITE, 201)
    code = call(world, token, "POST", f"/sites/{site['id']}/codes", {}, 201)
    call(world, token, "POST", f"/codes/{code['id']}/revoke", {"reason": "海报丢失"})
    after = contents(world.house)
    entries = [row for key, row in after["audit_entry"].items() if key not in before["audit_entry"]]
    deeds = {text for row in entries for text in row if isinstance(text, str) and "." in text}
    assert deeds == {"site.created", "code.issued", "code.revoked"}
    assert all(UUID(str(world.organiser.id)) in row for row in entries)
