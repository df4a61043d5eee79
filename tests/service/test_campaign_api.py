"""The API of campaigns and templates: the whole way without a browser, each within their scope."""

from datetime import timedelta
from typing import Any

import pytest

from activities import campaign_desk
from activities.campaign_rules import by_dates
from activities.campaign_templates import shipped
from tanpuhui import clock, ids
from tanpuhui.errors import CampaignMovedOn
from tanpuhui.staff import Role
from tests.tables import contents, written
from tests.world import DISTRICT, STREET, World


def body(world: World, **changed: Any) -> dict[str, Any]:
    start = clock.now() + timedelta(days=2)
    site = world.site("own_cup")
    rules = {"when": by_dates(start, start + timedelta(days=1)), "site_ids": [str(site.id)]}
    return {"title": "自带杯", "division_code": DISTRICT, "rules": rules, **changed}


def told(world: World, token: str, method: str, path: str, status: int = 200, json: Any = None) -> Any:
    answer = world.call(method, path, token, json=json)
    assert answer.status_code == status, answer.text
    return answer.get_json()


def test_a_campaign_goes_its_way_by_the_api(world: World) -> None:
    mine, officer = world.token(world.organiser), world.token(world.officer)
    made = told(world, mine, "POST", "/campaigns", 201, body(world))
    assert (made["stage"], made["state"], made["version"], made["in_force"]) == (
        "submitted",
        "submitted",
        1,
        None,
    )
    here = f"/campaigns/{made['id']}"
    told(world, mine, "POST", f"{here}/approve", 403, {"version": 1})
    told(world, officer, "POST", f"{here}/approve", 409, {"version": 2})
    back = told(world, officer, "POST", f"{here}/return", 200, {"version": 1, "reason": "请写说明"})
    assert (back["stage"], back["versions"][0]["reason"]) == ("returned", "请写说明")
    again = told(world, mine, "POST", f"{here}/submit")
    assert again["stage"] == "submitted"
    approved = told(world, officer, "POST", f"{here}/approve", 200, {"version": 1})
    assert (approved["stage"], approved["in_force"]) == ("announced", 1)
    listed = told(world, mine, "GET", "/campaigns")["campaigns"]
    assert [(one["id"], one["stage"]) for one in listed] == [(made["id"], "announced")]
    assert told(world, mine, "GET", here)["versions"][0]["rules"]["announce_days"] == 7
    assert told(world, mine, "POST", f"{here}/cancel", 200, {"reason": "台风"})["stage"] == "cancelled"


def test_each_sees_and_changes_only_ones_own_scope(world: World) -> None:
    made = told(world, world.token(world.organiser), "POST", "/campaigns", 201, body(world))
    street = world.token(world.colleague(Role.ORGANISER, Role.OFFICER, division=STREET))
    assert told(world, street, "GET", "/campaigns")["campaigns"] == []
    here = f"/campaigns/{made['id']}"
    told(world, street, "GET", here, 403)
    for step, sent in (
        ("submit", None),
        ("cancel", {"reason": "不归我管"}),
        ("approve", {"version": 1}),
        ("return", {"version": 1, "reason": "不归我管"}),
    ):
        told(world, street, "POST", f"{here}/{step}", 403, sent)
    told(world, street, "GET", f"/campaigns/{ids.new_id()}", 404)
    told(world, world.token(world.resident()), "GET", "/campaigns", 403)
    told(world, world.token(world.resident()), "GET", "/campaign-templates", 403)


def test_what_is_wrong_with_a_body_is_said_with_its_place(world: World) -> None:
    sent = body(world)
    sent["rules"]["goals"] = {"kg": 0}
    refused = told(world, world.token(world.organiser), "POST", "/campaigns", 422, sent)
    assert refused["errors"] == [{"field": "rules.goals.kg", "reason": "不能小于 1。"}]
    unknown = told(
        world, world.token(world.organiser), "POST", "/campaigns", 422, body(world, template="none")
    )
    assert unknown["errors"][0]["field"] == "template"


def test_what_is_refused_as_it_is_submitted_leaves_no_draft(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drafting and submitting are one: nothing is left of a campaign that comes half way."""
    token, sent = world.token(world.organiser), body(world)
    before = contents(world.house)

    def refuse(*_given: Any) -> bool:
        raise CampaignMovedOn

    with monkeypatch.context() as patched:
        patched.setattr(campaign_desk, "approved_before", refuse)
        told(world, token, "POST", "/campaigns", 409, sent)
    assert written(before, contents(world.house)) == {}
    told(world, token, "POST", "/campaigns", 201, sent)


def test_templates_are_listed_and_published(world: World) -> None:
    token = world.token(world.organiser)
    found = told(world, token, "GET", "/campaign-templates")["templates"]
    assert [one["code"] for one in found] == list(shipped())
    document = {**found[0]["document"], "code": "of-ours", "author": "静安区"}
    made = told(
        world, token, "POST", "/campaign-templates", 201, {"division_code": DISTRICT, "document": document}
    )
    assert (made["code"], made["owner"], made["approved"], made["document"]) == (
        "of-ours",
        "静安区",
        False,
        document,
    )
    newer = {"division_code": DISTRICT, "document": {**document, "format": 2}}
    refused = told(world, token, "POST", "/campaign-templates", 422, newer)
    assert refused["errors"][0]["field"] == "$.format"
    assert "更新的文件格式" in refused["errors"][0]["reason"]
