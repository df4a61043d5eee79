"""The API of those who give offers: from a draft to the end, and what it refuses on the way, field by field."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from rewards import offer_desk, offer_pictures
from tanpuhui import clock
from tanpuhui.staff import Role
from tests.tables import contents, written
from tests.unit.test_pictures import file_of, scene
from tests.world import DISTRICT, World


def body(world: World, **changes: Any) -> dict[str, Any]:
    now = clock.now()
    said = {
        "kind": "goods",
        "title": "帆布袋",
        "words": "结实的帆布袋，一只。",
        "collect_at": "社区服务站前台",
        "price": 10,
        "stock": 5,
        "opens_at": now.isoformat(),
        "closes_at": (now + timedelta(days=30)).isoformat(),
        "scope": f"division:{DISTRICT}",
        **changes,
    }
    return said if "pool_id" in said else {"pool_id": str(world.pool()), **said}


@pytest.mark.parametrize("engine", ["sqlite"])  # what they do is asked of both elsewhere
def test_an_offer_by_the_api_from_its_draft_to_its_end(world: World) -> None:
    run_by, officer = world.token(world.organiser), world.token(world.officer)

    def post(step: str, token: str = run_by, **said: Any) -> Any:
        return world.call("POST", f"{address}{step}", token, json=said or None)

    made = world.call("POST", "/console/offers", run_by, json=body(world))
    assert (made.status_code, made.json["state"], made.json["mark"]) == (201, "draft", None)
    address = f"/console/offers/{made.json['id']}"
    edited = world.call("PUT", address, run_by, json=body(world, title="布袋两只", good_days=9))
    assert (edited.json["title"], edited.json["good_days"]) == ("布袋两只", 9)
    picture = offer_pictures.read(file_of(scene(7)))
    offer_desk.set_picture(world.house, world.organiser, _id(made), picture, "两只布袋")
    waiting = post("/submit").json
    assert (waiting["state"], waiting["picture"]["words"]) == ("waiting", "两只布袋")
    assert post("/approve", mark=waiting["mark"]).status_code == 403  # an organiser approves nothing
    returned = post("/return", officer, mark=waiting["mark"], reason="写清楚多大")
    assert (returned.json["state"], returned.json["returned_because"]) == ("draft", "写清楚多大")
    assert post("/approve", officer, mark=waiting["mark"]).json["code"] == "offer_moved_on"
    mark = post("/submit").json["mark"]
    assert post("/approve", officer, mark=mark).json["state"] == "open"
    assert world.call("PUT", address, run_by, json=body(world)).json["code"] == "offer_moved_on"
    resident = world.resident()
    world.earn(resident)
    world.redeem(resident, _id(made))
    low = post("/stock", stock=0, reason="没了")
    assert (low.status_code, low.json["errors"][0]["field"]) == (422, "stock")
    stocked = post("/stock", stock=1, reason="只有一只").json
    assert (stocked["stock"], stocked["taken"]) == (1, 1)
    assert [post("/pause", paused=on).json["state"] for on in (True, False)] == ["paused", "open"]
    assert post("/end", reason="").status_code == 422
    assert post("/end", reason="收回").json["state"] == "ended"
    listed = world.call("GET", "/console/offers", run_by).json["offers"]
    assert [one["id"] for one in listed] == [made.json["id"]]
    assert world.breaches() == []


def _id(made: Any) -> UUID:
    return UUID(made.json["id"])


@pytest.mark.parametrize("engine", ["sqlite"])
def test_what_the_api_of_offers_refuses_is_told_and_nothing_is_half_done(world: World) -> None:
    run_by, house = world.token(world.organiser), world.house
    both = world.colleague(Role.ORGANISER, Role.OFFICER)
    coupon = world.call("POST", "/console/offers", run_by, json=body(world, kind="coupon", stock=0)).json
    address = f"/console/offers/{coupon['id']}"
    pool = str(world.pool())
    before = contents(house)

    def fields(method: str, path: str, said: dict[str, Any]) -> list[str]:
        answer = world.call(method, path, run_by, json=said)
        assert answer.status_code == 422, answer.text
        return [one["field"] for one in answer.json["errors"]]

    wrong = {
        "title": " ",
        "price": 0,
        "stock": 0,
        "divisions": ["310999"],
        "closes_at": clock.now().isoformat(),
    }
    assert sorted(fields("POST", "/console/offers", body(world, pool_id=pool, **wrong))) == [
        "closes_at",
        "divisions",
        "price",
        "stock",
        "title",
    ]
    for changes, field in (
        ({"price": -1}, "price"),
        ({"price": "10"}, "price"),
        ({"price": True}, "price"),
        ({"kind": "honour"}, "price"),
        ({"kind": "money"}, "kind"),
        ({"pool_id": coupon["id"]}, "pool_id"),
        ({"scope": "division:999"}, "scope"),
        ({"opens_at": 0}, "opens_at"),
        ({"colour": "green"}, "colour"),
    ):
        said = body(world, **{"pool_id": pool, **changes})
        for method, path in (("POST", "/console/offers"), ("PUT", address)):
            assert field in fields(method, path, said), changes
    assert fields("POST", f"{address}/submit", {}) == ["stock"]
    listed = world.call("POST", f"{address}/coupons", run_by, json={"codes": ["A", "B", "A", " ", "x" * 65]})
    assert [one["reason"].split("：")[0] for one in listed.json["errors"]] == [
        "第 3 行",
        "第 4 行",
        "第 5 行",
    ]
    assert world.call("POST", f"{address}/coupons", run_by, json={"codes": []}).status_code == 422
    resident = world.token(world.resident())
    for method, path, said in (
        ("GET", "/console/offers", None),
        ("GET", address, None),
        ("POST", "/console/offers", body(world, pool_id=pool)),
        ("POST", f"{address}/coupons", {"codes": ["A"]}),
    ):
        assert world.call(method, path, resident, json=said).status_code == 403, path
        assert world.call(method, path, None, json=said).status_code == 401, path
    changed = written(before, contents(house))
    assert not {"offer", "offer_coupon", "audit_entry"} & changed.keys()

    assert world.call("POST", f"{address}/coupons", run_by, json={"codes": ["A", "B"]}).json == {
        "imported": 2,
        "stock": 2,
    }
    mine = world.call("POST", "/console/offers", world.token(both), json=body(world, pool_id=pool)).json
    own = f"/console/offers/{mine['id']}"
    mark = world.call("POST", f"{own}/submit", world.token(both)).json["mark"]
    refused = world.call("POST", f"{own}/approve", world.token(both), json={"mark": mark})
    assert refused.json["code"] == "approver_is_submitter"
