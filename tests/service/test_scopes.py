"""Every address of console, bureau and API is tried by everybody who works for another organisation.

The addresses are those of the app itself, so that a new one is tried, too, or fails here until its parts have a name. What exactly
a stranger is answered at those of campaigns, templates, gatherings and observances stands in two tables: for pages in
`tests.service.test_organisations`, for the API here.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from werkzeug.routing import Rule

from activities.campaign_rules import by_dates
from tanpuhui import clock, ids
from tanpuhui.staff import Role
from tests.browser import browser
from tests.service.test_organisations import FILE, REASON, Tenant
from tests.tables import contents, written
from tests.world import DISTRICT, World

METHODS = ("GET", "POST", "PUT", "DELETE")

#: What stands in an address, by the name it has there: that of the other organisation, or of nobody.
PARTS: Mapping[str, Callable[[Tenant], Any]] = {
    "site_id": lambda them: them.site.id,
    "code_id": lambda them: them.code.id,
    "action_id": lambda them: them.action,
    "campaign_id": lambda them: them.campaign.id,
    "notice_id": lambda them: them.notice,
    "gathering_id": lambda them: them.gathering.id,
    "code": lambda them: them.template,
    "offer_id": lambda them: them.offer,
    "pool_id": lambda them: them.pool,
    "draw_id": lambda them: them.draw,
    "hand_over_id": lambda them: them.hand_over,
    "redemption_id": lambda them: them.voucher["id"],
    "key": lambda _: "environment_day",
    "year": lambda _: 2027,
    "number": lambda _: 7,
    "first": lambda _: 1,
    "version_id": lambda _: "clean_plate-1",
    "honour": lambda _: "HJ-2027-0001",
    "name": lambda _: "2027-06",
    **{
        name: lambda _: ids.new_id()
        for name in (
            "account_id",
            "adjustment_id",
            "check_id",
            "declaration_id",
            "feedback_id",
            "honour_id",
            "kind_id",
            "order_id",
            "pack_id",
            "print_id",
            "proposal_id",
            "reminder_id",
            "signal_id",
            "target_id",
            "task_id",
            "voucher_id",
        )
    },
}

#: What a choice in an address may be: the first that the address allows.
CHOICES = ("form", "kind", "step", "wanted")

#: A form that says a bit of everything.
FORM = {
    **REASON,
    "status": "closed",
    "number": "1",
    "people": "9",
    "label": "冒名班",
    "title": "冒名",
    "name": "冒名单位",
    "division_code": DISTRICT,
    "role": "officer",
    "scope": f"division:{DISTRICT}",
    "condition": "full",
    "decision": "honoured",
    "outcome": "answered",
    "reply": "不归我管",
    "kinds": "clean_plate",
    "open": "1",
    "count": "10",
    "digest": "0" * 64,
    "posted": "1",
}

#: What is open to whoever reads it: the district's own answers, and what organisations tell everybody.
OPEN = frozenset(
    {
        "boards-api.get_boards",
        "campaign-api.get_templates",
        "campaign_forms.choose",
        "campaign_forms.new",
        "factors-api.get_factor",
        "gatherings-api.get_gatherings",
        "offers-api.get_offers",
        "places-api.get_sites",
        "recovery_desk.new",  # whose stations and yards receive
        "templates.download",
        "templates.one",
        "templates.publish",  # what is wrong with a file is said above the shelf
        "templates.shelf",
    }
)

#: What staff may do everywhere: say how a site stands, as any resident may.
WRITES = frozenset({"places.say_as_staff", "site-reports-api.post_report"})


def tried(world: World) -> list[Rule]:
    """Every address of console, bureau and API."""
    found = [
        rule
        for rule in world.app.url_map.iter_rules()
        if rule.rule.startswith(("/console", "/bureau", "/api/"))
    ]
    assert len(found) > 150
    return found


def asked(rule: Rule, them: Tenant) -> str:
    """The address with what belongs to a tenant in it."""
    parts = {
        name: next(iter(rule._converters[name].items)) if name in CHOICES else PARTS[name](them)  # type: ignore[attr-defined]
        for name in rule.arguments
    }
    built = rule.build(parts, append_unknown=False)
    assert built, rule
    return built[1]


def strangers(world: World, ours: Tenant) -> Iterator[tuple[str, Any]]:
    """Whoever works for an organisation: with every role, and with each alone."""
    yield "everything", ours.organiser
    for role in Role:
        yield role.value, world.colleague(role, organisation=ours.organisation.id)


def test_every_part_of_an_address_has_a_name_here(world: World) -> None:
    named = {name for rule in tried(world) for name in rule.arguments}
    assert named == PARTS.keys() | set(CHOICES)


@pytest.mark.parametrize(
    "engine", ["sqlite"], indirect=True
)  # what keeps a stranger out is asked before the database
def test_no_address_shows_or_changes_what_is_anothers(world: World) -> None:
    """With every role of another organisation, on every address there is: nothing is shown, nothing is written, nothing breaks."""
    ours, theirs = Tenant(world, "甲"), Tenant(world, "乙")
    world.app.config["WTF_CSRF_ENABLED"] = False
    for what, stranger in strangers(world, ours):
        me, token = browser(world, stranger), world.token(stranger)
        before = contents(world.house)
        for rule in tried(world):
            machine = rule.rule.startswith("/api/")
            for method in sorted(set(METHODS) & set(rule.methods or ())):
                where = (what, method, rule.endpoint)
                if rule.endpoint in WRITES and method == "POST":
                    continue
                address = asked(rule, theirs)
                if machine:
                    body = None if method in ("GET", "DELETE") else dict(REASON)
                    answer = world.call(
                        method,
                        address.removeprefix("/api/v1"),
                        token,
                        json=body,
                        headers={"Idempotency-Key": ids.new_id().hex},
                    )
                else:
                    data = dict(FORM) if method == "POST" else None
                    answer = me.client.open(
                        address, method=method, data=data, headers={"Accept": "text/html"}
                    )
                assert answer.status_code < 500, where
                assert rule.endpoint in OPEN or "乙".encode() not in answer.data, where
        assert written(before, contents(world.house)) == {}, what


# --- what exactly the API answers ----------------------------------------------------------------------------


def _body(them: Tenant) -> dict[str, Any]:
    start = clock.now().replace(year=clock.now().year + 1)
    rules = {
        "when": by_dates(start, start.replace(year=start.year + 1)),
        "site_ids": [str(them.site.id)],
    }
    return {"title": "冒名活动", "organisation_id": str(them.organisation.id), "rules": rules}


def _document(them: Tenant) -> dict[str, Any]:
    return {"organisation_id": str(them.organisation.id), "document": json.loads(FILE)}


Body = Callable[[Tenant], dict[str, Any] | None]


def _offered(them: Tenant) -> dict[str, Any]:
    now = clock.now()
    return {
        "kind": "goods",
        "title": "冒名兑换",
        "words": "冒名的东西",
        "collect_at": "冒名柜台",
        "price": 1,
        "stock": 1,
        "opens_at": now.isoformat(),
        "closes_at": now.replace(year=now.year + 1).isoformat(),
        "scope": f"organisation:{them.organisation.id}",
        "pool_id": str(them.pool),
    }


#: Every operation of the API of campaigns and templates, and of staff on observances and offers: the body, the answer to a stranger.
API: Mapping[tuple[str, str], tuple[Body, int]] = {
    ("GET", "campaign-api.get_campaigns"): (lambda _: None, 200),
    ("POST", "campaign-api.post_campaign"): (_body, 403),
    ("GET", "campaign-api.get_campaign"): (lambda _: None, 403),
    ("POST", "campaign-api.post_submit"): (lambda _: None, 403),
    ("POST", "campaign-api.post_cancel"): (lambda _: REASON, 403),
    ("POST", "campaign-api.post_approve"): (lambda _: {"version": 1}, 403),
    ("POST", "campaign-api.post_return"): (lambda _: {"version": 1, **REASON}, 403),
    ("GET", "campaign-api.get_report"): (lambda _: None, 403),
    ("GET", "campaign-api.get_templates"): (lambda _: None, 200),
    ("POST", "campaign-api.post_template"): (_document, 403),
    ("GET", "offer-desk-api.get_own"): (lambda _: None, 200),
    ("GET", "offer-desk-api.get_one"): (lambda _: None, 403),
    ("POST", "offer-desk-api.post_draft"): (_offered, 422),
    ("PUT", "offer-desk-api.put_draft"): (_offered, 403),
    ("POST", "offer-desk-api.post_submit"): (lambda _: None, 403),
    ("POST", "offer-desk-api.post_coupons"): (lambda _: {"codes": ["A-1"]}, 403),
    ("POST", "offer-desk-api.post_stock"): (lambda _: {"stock": 1, **REASON}, 403),
    ("POST", "offer-desk-api.post_pause"): (lambda _: {"paused": True}, 403),
    ("POST", "offer-desk-api.post_end"): (lambda _: REASON, 403),
    ("POST", "offer-desk-api.post_approve"): (lambda _: {"mark": ""}, 403),
    ("POST", "offer-desk-api.post_return"): (lambda _: {"mark": "", **REASON}, 403),
    ("PUT", "observance-dates-api.put_dates"): (lambda _: DATES, 403),
    ("DELETE", "observance-dates-api.delete_dates"): (lambda _: {"revision": 0, "source": "通知"}, 403),
}

DATES = {
    "starts_on": "2027-07-07",
    "ends_on": "2027-07-07",
    "source": "通知",
    "confidence": "A",
    "revision": 0,
}


def test_the_api_of_campaigns_and_offers_keeps_strangers_out(world: World) -> None:
    ours, theirs = Tenant(world, "甲"), Tenant(world, "乙")
    rules = {
        (method, rule.endpoint): rule
        for rule in tried(world)
        if rule.endpoint.startswith(("campaign-api.", "observance-dates-api.", "offer-desk-api."))
        for method in set(METHODS) & set(rule.methods or ())
    }
    assert rules.keys() == API.keys()
    token = world.token(ours.organiser)
    before = contents(world.house)
    for (method, endpoint), (body, status) in API.items():
        address = asked(rules[method, endpoint], theirs).removeprefix("/api/v1")
        said = {"query_string" if method == "DELETE" else "json": body(theirs)}
        answer = world.call(method, address, token, **said)
        assert answer.status_code == status, (endpoint, answer.text)
        assert endpoint in OPEN or "乙" not in answer.text, endpoint
    assert written(before, contents(world.house)) == {}
    own = world.call("GET", f"/campaigns/{theirs.campaign.id}", world.token(theirs.organiser))
    assert own.status_code == 200


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)  # the other one would hold it
@pytest.mark.parametrize("what", ["pages", "api"])
def test_no_address_stumbles_over_nul(world: World, what: str) -> None:
    """A part of an address that no database can hold as text is a page that is not there."""
    everything = world.colleague(*Role)
    me, token = browser(world, everything), world.token(everything)
    tenant = Tenant(world, "甲")
    for rule in world.app.url_map.iter_rules():
        texts = [
            name
            for name in rule.arguments
            if type(rule._converters[name]).__name__ in ("UnicodeConverter", "PathConverter")  # type: ignore[attr-defined]
        ]
        if "GET" not in (rule.methods or ()) or not texts or rule.rule.startswith("/api/") != (what == "api"):
            continue
        for name in texts:
            parts = {
                other: next(iter(rule._converters[other].items))  # type: ignore[attr-defined]
                if hasattr(rule._converters[other], "items")
                else PARTS.get(other, lambda _: "x")(tenant)
                for other in rule.arguments
            }
            address = rule.build(parts | {name: "NUL"}, append_unknown=False)
            assert address
            path = address[1].replace("NUL", "a%00b")
            answer = (
                me.client.get(path)
                if what == "pages"
                else world.call("GET", path.removeprefix("/api/v1"), token)
            )
            assert answer.status_code in (403, 404, 422), (rule.endpoint, name, answer.status_code)
