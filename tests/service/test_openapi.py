"""The API's own description is valid, and true: whatever is sent, nothing is answered that it does not say."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import hypothesis
import pytest
import schemathesis
from hypothesis import given, settings, strategies
from openapi_spec_validator import validate
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_schema_conformance,
    status_code_conformance,
)

from activities import campaign_desk, campaign_reports, codes, members
from activities.campaign_desk import CampaignIn
from activities.campaign_rules import by_dates
from activities.campaign_templates import shipped
from activities.material_hand_overs import HandOverIn, record
from rewards import offer_desk
from tanpuhui import clock
from tanpuhui.bureau.target_changes import set_target
from tanpuhui.bureau.target_forms import TargetIn
from tanpuhui.staff import Role
from tests.databases import Shelf
from tests.past import DAYS, FOOD, confirmed, recorded, reported
from tests.service.test_gatherings import made
from tests.world import COMMUNITY, DISTRICT, STREET, World

ADDRESS = "/api/v1/openapi.json"
CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]

OPERATIONS = [
    ("POST", "/api/v1/scans"),
    ("GET", "/api/v1/me/statement"),
    ("GET", "/api/v1/me/points"),
    ("GET", "/api/v1/factors"),
    ("GET", "/api/v1/statistics"),
    ("GET", "/api/v1/sites"),
    ("POST", "/api/v1/sites"),
    ("POST", "/api/v1/sites/{site_id}/codes"),
    ("POST", "/api/v1/codes/{code_id}/revoke"),
    ("POST", "/api/v1/actions/{action_id}/void"),
    ("POST", "/api/v1/campaigns"),
    ("GET", "/api/v1/factors/{version_id}"),
    ("GET", "/api/v1/methodologies"),
    ("POST", "/api/v1/me/self-reports"),
    ("GET", "/api/v1/evidence"),
    ("GET", "/api/v1/actions/{action_id}"),
    ("GET", "/api/v1/what-if"),
    ("GET", "/api/v1/synergy"),
    ("GET", "/api/v1/quality"),
    ("GET", "/api/v1/effect"),
    ("POST", "/api/v1/sites/{site_id}/records"),
    ("POST", "/api/v1/plantings"),
    ("GET", "/api/v1/gatherings"),
    ("POST", "/api/v1/gatherings/{gathering_id}/sign-up"),
    ("DELETE", "/api/v1/gatherings/{gathering_id}/sign-up"),
    ("GET", "/api/v1/me/plantings"),
    ("GET", "/api/v1/declarations"),
    ("GET", "/api/v1/declarations/states"),
    ("POST", "/api/v1/declarations"),
    ("POST", "/api/v1/declarations/{declaration_id}/confirm"),
    ("POST", "/api/v1/declarations/{declaration_id}/use"),
    ("POST", "/api/v1/declarations/{declaration_id}/withdraw"),
    ("GET", "/api/v1/console/sites"),
    ("POST", "/api/v1/sites/{site_id}/reports"),
    ("POST", "/api/v1/feedback"),
    ("GET", "/api/v1/me/feedback"),
    ("GET", "/api/v1/limits"),
    ("GET", "/api/v1/observances"),
    ("PUT", "/api/v1/bureau/observances/{key}/{year}"),
    ("DELETE", "/api/v1/bureau/observances/{key}/{year}"),
    ("GET", "/api/v1/campaigns/{campaign_id}/bonus"),
    ("GET", "/api/v1/campaigns/{campaign_id}/boards"),
    ("GET", "/api/v1/honours/{honour}"),
    ("GET", "/api/v1/ledger/roots"),
    ("GET", "/api/v1/draws"),
    ("GET", "/api/v1/draws/{draw_id}"),
    ("PUT", "/api/v1/draws/{draw_id}/ticket"),
    ("GET", "/api/v1/me/tickets"),
    ("GET", "/api/v1/campaigns"),
    ("GET", "/api/v1/campaigns/{campaign_id}"),
    ("GET", "/api/v1/campaigns/{campaign_id}/report"),
    ("POST", "/api/v1/campaigns/{campaign_id}/submit"),
    ("POST", "/api/v1/campaigns/{campaign_id}/cancel"),
    ("POST", "/api/v1/campaigns/{campaign_id}/approve"),
    ("POST", "/api/v1/campaigns/{campaign_id}/return"),
    ("GET", "/api/v1/campaign-templates"),
    ("POST", "/api/v1/campaign-templates"),
    ("GET", "/api/v1/offers"),
    ("GET", "/api/v1/console/offers"),
    ("POST", "/api/v1/console/offers"),
    ("GET", "/api/v1/console/offers/{offer_id}"),
    ("PUT", "/api/v1/console/offers/{offer_id}"),
    ("POST", "/api/v1/console/offers/{offer_id}/submit"),
    ("POST", "/api/v1/console/offers/{offer_id}/coupons"),
    ("POST", "/api/v1/console/offers/{offer_id}/stock"),
    ("POST", "/api/v1/console/offers/{offer_id}/pause"),
    ("POST", "/api/v1/console/offers/{offer_id}/end"),
    ("POST", "/api/v1/console/offers/{offer_id}/approve"),
    ("POST", "/api/v1/console/offers/{offer_id}/return"),
    ("GET", "/api/v1/pools"),
    ("POST", "/api/v1/offers/{offer_id}/redeem"),
    ("GET", "/api/v1/me/vouchers"),
    ("POST", "/api/v1/me/vouchers/{voucher_id}/cancel"),
    ("POST", "/api/v1/vouchers/settle"),
    ("GET", "/api/v1/targets"),
    ("POST", "/api/v1/hand-overs"),
    ("GET", "/api/v1/hand-overs"),
    ("POST", "/api/v1/hand-overs/{hand_over_id}/confirm"),
    ("POST", "/api/v1/hand-overs/{hand_over_id}/reverse"),
    ("GET", "/api/v1/recovery/balances"),
]

#: What anybody may read without a token.
PUBLIC = {
    ("get", "/api/v1/factors"),
    ("get", "/api/v1/factors/{version_id}"),
    ("get", "/api/v1/methodologies"),
    ("get", "/api/v1/evidence"),
    ("get", "/api/v1/sites"),
    ("get", "/api/v1/limits"),
    ("get", "/api/v1/observances"),
    ("get", "/api/v1/campaigns/{campaign_id}/bonus"),
    ("get", "/api/v1/campaigns/{campaign_id}/boards"),
    ("get", "/api/v1/honours/{honour}"),
    ("get", "/api/v1/ledger/roots"),
    ("get", "/api/v1/gatherings"),
    ("get", "/api/v1/offers"),
    ("get", "/api/v1/pools"),
    ("get", "/api/v1/draws"),
    ("get", "/api/v1/draws/{draw_id}"),
}

#: There is no wrong way to ask for what takes no parameter.
WITHOUT_PARAMETERS = {
    "GET /api/v1/quality",
    "GET /api/v1/draws",
    "GET /api/v1/console/offers",
    "GET /api/v1/console/sites",
    "GET /api/v1/campaigns",
    "GET /api/v1/campaign-templates",
    "GET /api/v1/methodologies",
    "GET /api/v1/limits",
    "GET /api/v1/evidence",
    "GET /api/v1/pools",
}

CALLERS = ("resident", "organiser", "officer", None)

#: Examples of each operation, for data that fits the description and for data that does not: by whoever may call it,
#: and by the others, most of whom are refused whatever they send.
THOROUGHLY, BRIEFLY = 30, 10


@pytest.fixture(scope="module")
def world(shelves: dict[str, Shelf], tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One world for the whole module, on SQLite: what is shown here is the web's and not the database's."""
    shelf = shelves.setdefault("sqlite", Shelf(tmp_path_factory.mktemp("sqlite"), None))
    with shelf.database(loaded=True) as url:
        house = shelf.house(url, tmp_path_factory.mktemp("var"))
        yield World(house)
        house.db.dispose()


@pytest.fixture(scope="module")
def schema(world: World) -> Any:
    """The description as Schemathesis reads it from the app."""
    config = schemathesis.Config.from_dict({"generation": {"with-security-parameters": False}})
    return schemathesis.openapi.from_wsgi(ADDRESS, world.app, config=config)


@pytest.fixture(scope="module")
def tokens(world: World) -> dict[str | None, dict[str, str]]:
    """The Authorization header of each sort of caller."""
    bearers = {
        "resident": world.token(world.resident()),
        "organiser": world.token(world.organiser, Role.ORGANISER),
        "officer": world.token(world.officer, Role.OFFICER),
    }
    return {None: {}, **{who: {"Authorization": f"Bearer {token}"} for who, token in bearers.items()}}


def test_the_description_is_valid(world: World) -> None:
    answer = world.client().get(ADDRESS)
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    document = answer.get_json()
    validate(document)
    assert document["openapi"].startswith("3.")
    assert document["components"]["securitySchemes"] == {"bearer": {"type": "http", "scheme": "bearer"}}


def test_the_description_names_every_operation_and_no_other(world: World) -> None:
    paths = world.client().get(ADDRESS).get_json()["paths"]
    described = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert described == set(OPERATIONS)
    served = {
        (method, rule.rule.replace("<int:", "{").replace("<", "{").replace(">", "}"))
        for rule in world.app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
        if rule.rule.startswith("/api/")
    }
    assert served == described | {("GET", ADDRESS)}


def test_what_needs_a_token_says_so(world: World) -> None:
    given = {"by": "points", "amount": 5, "cap": 50, "budget": 500}
    things = {
        "{version_id}": "clean_plate@1",
        "{honour}": world.number(world.honour(world.resident())),
        "{campaign_id}": str(world.campaign(world.site("clean_plate"), bonus=given).id),
        "{draw_id}": str(world.draw().id),
    }
    for path, methods in world.client().get(ADDRESS).get_json()["paths"].items():
        for method, operation in methods.items():
            public = (method, path) in PUBLIC
            assert operation.get("security") == (None if public else [{"bearer": []}])
            assert operation["summary"]
            address = re.sub(r"{\w+}", lambda blank: things.get(blank[0], blank[0][1:-1]), path)
            status = world.client().open(address, method=method).status_code
            assert (status == 200) if public else (status in {401, 404}), (method, path)


def a_target(world: World) -> int:
    """The year of a target, once there is one with a part."""
    said = TargetIn(
        "co2e",
        amount="5",
        division_code=DISTRICT,
        answerer_id=str(world.officer.id),
        basis="方案",
        due_on="2026-12-31",
    )
    root = set_target(world.house, world.officer, 2026, said, chosen=UUID(int=1))
    part = replace(said, division_code=STREET, amount="3")
    set_target(world.house, world.officer, 2026, part, parent_id=root, chosen=UUID(int=2))
    return 2026


def _good_requests(world: World) -> dict[tuple[str, str], tuple[str | None, dict[str, Any]]]:
    """For each operation, somebody who may, and a request that is answered with what they wanted."""
    site = world.site("clean_plate")
    code = world.code_at(site)
    action = world.scan(world.resident(), code)["action"]["id"]
    number = codes.read_token(world.house.settings, world.code_at(site)).number
    trees = world.code("tree_planting", staffed=True)
    declared, certain = reported(world).id, confirmed(world, f"沪环 {action}").id
    recorded(world)
    days = {"from": str(DAYS[0]), "to": str(DAYS[1])}
    now = clock.now().replace(microsecond=0)
    window = [(now + timedelta(hours=hours)).isoformat() for hours in (0, 2)]
    world.open_self_reports("walk")
    new_site = {"name": "新点位", "kind": "canteen", "division_code": COMMUNITY, "kinds": ["clean_plate"]}
    given = {"by": "points", "amount": 5, "cap": 50, "budget": 500}
    generous = world.campaign(world.site("clean_plate"), bonus=given)
    with world.house.db.session() as session:
        campaign_reports.make(world.house, session, generous.id, now)
    rules = {"when": by_dates(now, now + timedelta(hours=2)), "site_ids": [str(site.id)]}
    campaign = {"title": "六五环境日", "division_code": DISTRICT, "rules": rules}
    drafted, asked, seen, gone = (
        campaign_desk.draft(world.house, world.organiser, CampaignIn.model_validate(campaign)).id
        for _ in range(4)
    )
    for waiting in (asked, seen):
        campaign_desk.submit(world.house, world.organiser, waiting)
    gathering = str(made(world).id)
    badge = world.offer(kind="honour", price="0")
    holder = world.resident()
    voucher = world.redeem(holder, badge)["voucher"]
    own = {"Authorization": f"Bearer {world.token(holder)}"}
    draw = str(world.draw().id)
    template = shipped()["glass-drive"].template.model_dump(mode="json") | {"code": "of-ours"}
    return {
        ("POST", "/api/v1/scans"): (
            "resident",
            {"headers": {"Idempotency-Key": "good"}, "body": {"code": code}},
        ),
        ("GET", "/api/v1/me/statement"): ("resident", {"query": {"limit": 1}}),
        ("GET", "/api/v1/me/points"): ("resident", {"query": {"on": "2026-11-01"}}),
        ("POST", "/api/v1/me/self-reports"): (
            "resident",
            {"headers": {"Idempotency-Key": "own"}, "body": {"kind": "walk", "quantity": 5000}},
        ),
        ("GET", "/api/v1/factors"): (None, {"query": {"kind": "bike_trip"}}),
        ("GET", "/api/v1/statistics"): ("officer", {"query": {"by": "day,division,kind"}}),
        ("GET", "/api/v1/sites"): (None, {"query": {"action": "clean_plate", "division": COMMUNITY}}),
        ("GET", "/api/v1/console/sites"): ("organiser", {}),
        ("POST", "/api/v1/campaigns"): ("organiser", {"body": campaign}),
        ("GET", "/api/v1/campaigns"): ("organiser", {}),
        ("GET", "/api/v1/campaign-templates"): ("organiser", {}),
        ("POST", "/api/v1/campaign-templates"): (
            "organiser",
            {"body": {"division_code": DISTRICT, "document": template}},
        ),
        ("GET", "/api/v1/campaigns/{campaign_id}/report"): (
            "organiser",
            {"path_parameters": {"campaign_id": str(generous.id)}},
        ),
        ("GET", "/api/v1/campaigns/{campaign_id}"): (
            "organiser",
            {"path_parameters": {"campaign_id": str(drafted)}},
        ),
        ("POST", "/api/v1/campaigns/{campaign_id}/submit"): (
            "organiser",
            {"path_parameters": {"campaign_id": str(drafted)}},
        ),
        ("POST", "/api/v1/campaigns/{campaign_id}/cancel"): (
            "organiser",
            {"path_parameters": {"campaign_id": str(gone)}, "body": {"reason": "typhoon"}},
        ),
        ("POST", "/api/v1/campaigns/{campaign_id}/approve"): (
            "officer",
            {"path_parameters": {"campaign_id": str(asked)}, "body": {"version": 1}},
        ),
        ("POST", "/api/v1/campaigns/{campaign_id}/return"): (
            "officer",
            {"path_parameters": {"campaign_id": str(seen)}, "body": {"version": 1, "reason": "no words"}},
        ),
        ("POST", "/api/v1/sites/{site_id}/reports"): (
            "resident",
            {"path_parameters": {"site_id": str(site.id)}, "body": {"condition": "full"}},
        ),
        ("POST", "/api/v1/sites"): ("organiser", {"body": new_site}),
        ("POST", "/api/v1/sites/{site_id}/codes"): (
            "organiser",
            {
                "path_parameters": {"site_id": str(site.id)},
                "body": {"valid_from": window[0], "valid_until": window[1]},
            },
        ),
        ("POST", "/api/v1/codes/{code_id}/revoke"): (
            "organiser",
            {"path_parameters": {"code_id": number}, "body": {"reason": "lost"}},
        ),
        ("POST", "/api/v1/actions/{action_id}/void"): (
            "officer",
            {"path_parameters": {"action_id": action}, "body": {"reason": "twice"}},
        ),
        ("POST", "/api/v1/sites/{site_id}/records"): (
            "organiser",
            {
                "path_parameters": {"site_id": str(site.id)},
                "headers": {"Idempotency-Key": "helped"},
                "body": {"member": _member(world)},
            },
        ),
        ("POST", "/api/v1/plantings"): (
            "resident",
            {"headers": {"Idempotency-Key": "planted"}, "body": {"code": trees, "trees": 3}},
        ),
        ("GET", "/api/v1/me/plantings"): ("resident", {}),
        ("POST", "/api/v1/feedback"): (
            "resident",
            {"headers": {"Idempotency-Key": "heard"}, "body": {"kind": "question", "text": "几点开门？"}},
        ),
        ("GET", "/api/v1/me/feedback"): ("resident", {}),
        ("GET", "/api/v1/honours/{honour}"): (
            None,
            {"path_parameters": {"honour": world.number(world.honour(world.resident()))}},
        ),
        ("GET", "/api/v1/ledger/roots"): (None, {"query": {"after": 0, "limit": 5}}),
        ("GET", "/api/v1/factors/{version_id}"): (None, {"path_parameters": {"version_id": "bike_trip@1"}}),
        ("GET", "/api/v1/methodologies"): (None, {}),
        ("GET", "/api/v1/evidence"): (None, {}),
        ("GET", "/api/v1/limits"): (None, {}),
        ("GET", "/api/v1/campaigns/{campaign_id}/boards"): (
            None,
            {"path_parameters": {"campaign_id": str(generous.id)}},
        ),
        ("GET", "/api/v1/campaigns/{campaign_id}/bonus"): (
            None,
            {"path_parameters": {"campaign_id": str(generous.id)}},
        ),
        ("GET", "/api/v1/actions/{action_id}"): ("organiser", {"path_parameters": {"action_id": action}}),
        ("GET", "/api/v1/synergy"): ("officer", {"query": {"kind": "clean_plate"}}),
        ("GET", "/api/v1/quality"): ("officer", {}),
        ("GET", "/api/v1/effect"): ("officer", {"query": {"period": "2026-06"}}),
        ("GET", "/api/v1/targets"): ("officer", {"query": {"year": a_target(world)}}),
        ("GET", "/api/v1/declarations"): ("officer", {"query": {"state": "used", **days}}),
        ("GET", "/api/v1/declarations/states"): ("officer", {"query": days}),
        ("POST", "/api/v1/declarations"): ("officer", {"body": {"methodology": FOOD, **days}}),
        ("POST", "/api/v1/declarations/{declaration_id}/confirm"): (
            "officer",
            {
                "path_parameters": {"declaration_id": str(declared)},
                "body": {"city_reference": f"沪环 {declared}", "confirmed_mg": 1},
            },
        ),
        ("POST", "/api/v1/declarations/{declaration_id}/use"): (
            "officer",
            {"path_parameters": {"declaration_id": str(certain)}, "body": {"used_for": "会议"}},
        ),
        ("POST", "/api/v1/declarations/{declaration_id}/withdraw"): (
            "officer",
            {"path_parameters": {"declaration_id": str(declared)}, "body": {"reason": "填错了"}},
        ),
        ("GET", "/api/v1/what-if"): (
            "officer",
            {"query": {"version": ["clean_plate@1"], "preset": "newest"}},
        ),
        **_good_hand_overs(world),
        ("GET", "/api/v1/gatherings"): (None, {}),
        ("POST", "/api/v1/gatherings/{gathering_id}/sign-up"): (
            "resident",
            {"path_parameters": {"gathering_id": gathering}, "body": {"people": 1}},
        ),
        ("DELETE", "/api/v1/gatherings/{gathering_id}/sign-up"): (
            "resident",
            {"path_parameters": {"gathering_id": gathering}},
        ),
        ("GET", "/api/v1/offers"): (None, {"query": {"community": COMMUNITY}}),
        ("GET", "/api/v1/pools"): (None, {}),
        **_good_offers(world, badge),
        ("POST", "/api/v1/offers/{offer_id}/redeem"): (
            "resident",
            {"path_parameters": {"offer_id": str(badge)}, "headers": {"Idempotency-Key": "badge"}},
        ),
        ("GET", "/api/v1/me/vouchers"): ("resident", {}),
        ("POST", "/api/v1/me/vouchers/{voucher_id}/cancel"): (
            None,
            {"path_parameters": {"voucher_id": voucher["id"]}, "headers": own},
        ),
        ("POST", "/api/v1/vouchers/settle"): (
            "organiser",
            {"headers": {"Idempotency-Key": "settled"}, "body": {"code": voucher["code"]}},
        ),
        ("GET", "/api/v1/draws"): (None, {}),
        ("GET", "/api/v1/draws/{draw_id}"): (None, {"path_parameters": {"draw_id": draw}}),
        ("PUT", "/api/v1/draws/{draw_id}/ticket"): ("resident", {"path_parameters": {"draw_id": draw}}),
        ("GET", "/api/v1/me/tickets"): ("resident", {}),
        ("GET", "/api/v1/observances"): (None, {"query": {"year": 2020}}),
        ("PUT", "/api/v1/bureau/observances/{key}/{year}"): (
            "officer",
            {
                "path_parameters": {"key": "low_carbon_day", "year": 2016},
                "body": {"starts_on": "2016-06-14", "source": "通知", "confidence": "A", "revision": 0},
            },
        ),
        ("DELETE", "/api/v1/bureau/observances/{key}/{year}"): (
            "officer",
            {
                "path_parameters": {"key": "low_carbon_day", "year": 2018},
                "query": {"source": "没有查到通知", "revision": 0},
            },
        ),
    }


def _good_offers(world: World, standing: UUID) -> dict[tuple[str, str], tuple[str | None, dict[str, Any]]]:
    """The same for who gives offers and who approves them; `standing` is one that is approved."""
    pool, offers = world.pool(), "/api/v1/console/offers"
    drafted, coupons, waiting = (
        offer_desk.draft(world.house, world.organiser, world.offer_in(kind=kind, pool_id=pool))
        for kind in ("goods", "coupon", "goods")
    )
    offer_desk.submit(world.house, world.organiser, waiting)
    with world.house.db.reading_session() as session:
        mark = offer_desk.mark_of(offer_desk.managed(session, world.officer, waiting).offer)

    def asked(who: str, offer_id: UUID, **body: Any) -> tuple[str, dict[str, Any]]:
        return who, {"path_parameters": {"offer_id": str(offer_id)}, **({"body": body} if body else {})}

    now = clock.now().replace(microsecond=0)
    said = {
        "kind": "goods",
        "title": "帆布袋",
        "words": "结实的帆布袋",
        "collect_at": "前台",
        "price": 10,
        "stock": 5,
        "opens_at": now.isoformat(),
        "closes_at": (now + timedelta(days=9)).isoformat(),
        "scope": f"division:{DISTRICT}",
        "pool_id": str(pool),
    }
    return {
        ("GET", offers): ("organiser", {}),
        ("POST", offers): ("organiser", {"body": said}),
        ("GET", offers + "/{offer_id}"): asked("organiser", drafted),
        ("PUT", offers + "/{offer_id}"): asked("organiser", drafted, **said),
        ("POST", offers + "/{offer_id}/submit"): asked("organiser", drafted),
        ("POST", offers + "/{offer_id}/coupons"): asked("organiser", coupons, codes=[f"C-{coupons}"]),
        ("POST", offers + "/{offer_id}/stock"): asked("organiser", standing, stock=7, reason="又做了"),
        ("POST", offers + "/{offer_id}/pause"): asked("organiser", standing, paused=True),
        ("POST", offers + "/{offer_id}/end"): asked("organiser", standing, reason="收回"),
        ("POST", offers + "/{offer_id}/approve"): asked("officer", waiting, mark=mark),
        ("POST", offers + "/{offer_id}/return"): asked("officer", waiting, mark=mark, reason="写清楚"),
    }


def _member(world: World) -> str:
    """The code of a resident of its own."""
    return members.token_of(world.house.settings, members.own_card(world.house, world.resident().id).number)


def _good_hand_overs(world: World) -> dict[tuple[str, str], tuple[str | None, dict[str, Any]]]:
    """Of material from a point to a station: one to enter, one to confirm, one to reverse."""
    point, station = world.site("clothing_reuse"), world.site(level="station", kind="other")
    said = {
        "from_site_id": str(point.id),
        "to_site_id": str(station.id),
        "material": "clothes",
        "grams": 5_000,
        "handed_at": clock.now().isoformat(),
    }
    waiting, wrong = (
        {
            "path_parameters": {
                "hand_over_id": str(record(world.house, world.organiser, HandOverIn(**said)).id)
            }
        }  # type: ignore[arg-type]
        for _ in range(2)
    )
    one = "/api/v1/hand-overs/{hand_over_id}"
    return {
        ("POST", "/api/v1/hand-overs"): (
            "organiser",
            {"headers": {"Idempotency-Key": "lorry"}, "body": said},
        ),
        ("GET", "/api/v1/hand-overs"): ("organiser", {}),
        ("POST", f"{one}/confirm"): ("organiser", {**waiting, "body": {"grams": 4_900}}),
        ("POST", f"{one}/reverse"): ("organiser", {**wrong, "body": {"reason": "抄错了一位"}}),
        ("GET", "/api/v1/recovery/balances"): ("organiser", {}),
    }


@pytest.mark.parametrize("operation", OPERATIONS, ids=" ".join)
def test_a_good_request_is_answered_as_described(
    world: World, schema: Any, tokens: dict[str | None, dict[str, str]], operation: tuple[str, str]
) -> None:
    method, path = operation
    who, request = _good_requests(world)[operation]
    media = {"media_type": "application/json"} if "body" in request else {}
    case = schema[path][method].Case(**request, **media)
    world.house.relay.drain()
    headers = tokens[who]
    if who == "resident":  # one who has used up none of a resident's limits
        headers = {"Authorization": f"Bearer {world.token(world.resident())}"}
    answer = case.call_and_validate(headers=headers, checks=CHECKS)
    assert answer.status_code in {200, 201, 204}


def test_the_checks_see_an_answer_that_is_not_described(
    world: World, schema: Any, tokens: dict[str | None, dict[str, str]]
) -> None:
    """The negative control: a method that is not there is answered 405, which no operation describes."""
    case = schema["/api/v1/sites"]["GET"].Case(method="PUT")
    with pytest.raises(schemathesis.core.failures.FailureGroup) as failed:
        case.call_and_validate(headers=tokens["organiser"], checks=CHECKS)
    assert "Undocumented status code" in str(failed.value)


def _aim(case: Any, world: World, code: str, number: int, site: Any) -> None:
    """Point a request at things that are there, so that more than the first check is reached."""
    known = {
        "site_id": str(site.id),
        "code_id": number,
        "version_id": "clean_plate@1",
        "key": "low_carbon_day",
    }
    case.path_parameters.update({name: known[name] for name in case.path_parameters if name in known})
    if isinstance(case.body, dict) and isinstance(case.body.get("code"), str):
        case.body["code"] = code
    if isinstance(case.body, dict) and isinstance(case.body.get("member"), str):
        case.body["member"] = _member(world)


@pytest.mark.parametrize("who", CALLERS, ids=str)
@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode), ids=lambda mode: mode.value)
def test_whatever_is_sent_is_answered_as_described(
    world: World,
    schema: Any,
    tokens: dict[str | None, dict[str, str]],
    who: str | None,
    mode: schemathesis.GenerationMode,
) -> None:
    site = world.site("clothing_reuse")
    code = world.code_at(site)
    number = codes.read_token(world.house.settings, code).number
    callers = {" ".join(operation): caller for operation, (caller, _) in _good_requests(world).items()}
    impossible = set()
    for found in schema.get_all_operations():
        operation = found.ok()

        @settings(
            max_examples=THOROUGHLY if callers[operation.label] == who else BRIEFLY,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(hypothesis.HealthCheck),
            phases=[hypothesis.Phase.generate],
        )
        @given(case=operation.as_strategy(generation_mode=mode), aimed=strategies.booleans())
        def send(case: Any, aimed: bool) -> None:
            if aimed:
                _aim(case, world, code, number, site)
            case.call_and_validate(headers=tokens[who], checks=CHECKS)

        try:
            send()
        except hypothesis.errors.Unsatisfiable:
            impossible.add(operation.label)
    assert impossible == (set() if mode.is_positive else WITHOUT_PARAMETERS)
