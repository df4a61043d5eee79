"""A small district for tests, made through the services that people use."""

import itertools
import json
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from unittest import mock
from uuid import UUID

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from activities import campaign_desk, campaigns, codes, plantings, scans, self_reports, sites
from activities.campaign_desk import CampaignIn
from activities.campaign_rules import ByDates, Rules, by_dates
from activities.drafts import Draft, draft_of
from activities.quantify import proposals, publication
from activities.quantify.factors import FactorValues, FactorVersion, all_versions
from activities.reviews import Waits
from rewards import (
    counter,
    draw_making,
    honour_decisions,
    honour_holders,
    nominations,
    offer_desk,
    offer_forms,
    redemptions,
)
from rewards.coupons import import_codes, pasted
from rewards.draw_making import DrawIn, Prize
from rewards.draws import Draw
from rewards.honours import HolderKind, Honour
from rewards.nominations import Nomination
from rewards.offer_forms import OfferIn
from rewards.reward_pools import PoolIn, create_pool
from rewards.scopes import scopes_of
from tanpuhui import clock, figures, people, staff
from tanpuhui.people import Resident
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal, new_api_token
from tanpuhui.staff import Role
from tanpuhui.web import create_app
from tests import once

DISTRICT = "310106"
STREET = "310106006"
COMMUNITY = "310106006002"
OTHER_COMMUNITY = "310106011002"
PASSWORD = "correct horse battery"


def _waiting(waits: Waits) -> Any:
    """Drafts as ever, except that a photo is all that proves them, and that they wait for review."""

    def draft(*given: Any) -> Draft:
        drafted = draft_of(*given)
        fields = drafted.fields | {"evidence": "photo", "verified": False}
        return replace(drafted, waits=waits, fields=fields)

    return draft


@dataclass
class World:
    """A house with reference data, and ways to put people, sites and scans into it."""

    house: House
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    # --- people -------------------------------------------------------------------------------------------

    def resident(self, community: str = COMMUNITY) -> Resident:
        """A new resident."""
        phone = f"+86139{next(self._numbers):08d}"
        return people.join(
            self.house, phone=phone, division_code=community, consent_version=people.CONSENT_VERSION
        )

    def residents(self, count: int) -> list[Resident]:
        """New residents."""
        return [self.resident() for _ in range(count)]

    def colleague(
        self, *roles: Role, division: str | None = DISTRICT, organisation: UUID | None = None
    ) -> Principal:
        """A new member of staff with `roles` in a division or an organisation."""
        scope = {"organisation_id": organisation} if organisation else {"division_code": division}
        with self.house.db.session() as session:
            grants = [staff.grant(role, **scope) for role in roles]
            member = staff.add_staff(
                session, name=f"staff {next(self._numbers)}", password=PASSWORD, grants=grants
            )
            return Principal("staff", member.id, member.id)

    @cached_property
    def organiser(self) -> Principal:
        """An organiser of the whole district."""
        return self.colleague(Role.ORGANISER)

    @cached_property
    def officer(self) -> Principal:
        """An officer of the bureau."""
        return self.colleague(Role.OFFICER)

    def token(self, who: Resident | Principal, role: Role | None = None) -> str:
        """An API token."""
        if isinstance(who, Resident):
            return new_api_token(self.house, kind="resident", subject_id=who.id)
        return new_api_token(self.house, kind=who.kind, subject_id=who.id, role=role)

    # --- places -------------------------------------------------------------------------------------------

    def site(self, *kinds: str, community: str = COMMUNITY, **more: Any) -> sites.Site:
        """A new site that credits `kinds`."""
        more = {"name": f"点位 {next(self._numbers)}", "kind": "canteen", **more}
        site_in = sites.SiteIn(division_code=community, kinds=list(kinds), **more)
        return sites.create_site(self.house, self.organiser, site_in)

    def code(self, *kinds: str, staffed: bool = False, **more: Any) -> str:
        """The token of a code at a new site that credits `kinds`."""
        return self.code_at(self.site(*kinds, **more), staffed=staffed)

    def code_at(self, site: sites.Site, *, staffed: bool = False) -> str:
        """The token of a new code at `site`."""
        now = clock.now()
        window = (
            {"valid_from": now - timedelta(hours=1), "valid_until": now + timedelta(hours=8)}
            if staffed
            else {}
        )
        code = codes.issue_code(self.house, self.organiser, site.id, **window)
        return codes.token_of(self.house.settings, code.id)

    def campaign_in(
        self,
        *site_list: sites.Site,
        starts_at: datetime,
        ends_at: datetime,
        title: str = "测试活动",
        division_code: str = DISTRICT,
        organisation_id: UUID | None = None,
        **rules: Any,
    ) -> CampaignIn:
        """A campaign between two moments, as an organiser fills it in."""
        when = rules.pop("when", None) or by_dates(starts_at, ends_at)
        site_ids = [str(site.id) for site in site_list]
        asked = {"when": when, "site_ids": site_ids, "announce_days": 60, **rules}
        return CampaignIn(
            title=title,
            division_code="" if organisation_id else division_code,
            organisation_id=organisation_id,
            rules=Rules.model_validate(asked),
        )

    def launch(self, campaign_in: CampaignIn, by: Principal | None = None) -> campaigns.Campaign:
        """Draft, submit and approve a campaign, in time if it is over by now."""
        when = campaign_in.rules.when
        past = isinstance(when, ByDates) and when.ends_at <= clock.now()
        with clock.pretending(when.starts_at) if past else nullcontext():
            made = campaign_desk.draft(self.house, by or self.organiser, campaign_in)
            version = campaign_desk.submit(self.house, by or self.organiser, made.id)
            return campaign_desk.approve(self.house, self.officer, made.id, version.number)

    def campaign(self, *site_list: sites.Site, hours: int = 1, **more: Any) -> campaigns.Campaign:
        """A campaign that is open now."""
        now = clock.now()
        window = {"starts_at": now - timedelta(hours=hours), "ends_at": now + timedelta(hours=hours)}
        return self.launch(self.campaign_in(*site_list, **{**window, **more}))

    # --- scans --------------------------------------------------------------------------------------------

    def scan(
        self,
        resident: Resident,
        code: str,
        *,
        key: str | None = None,
        kind: str | None = None,
        quantity: Any = None,
        occurred_at: datetime | None = None,
        planting: UUID | None = None,
        waits: Waits | None = None,
    ) -> dict[str, Any]:
        """Record a scan, as one that waits for review if `waits` says so; the answer. Raises what the desk raises."""
        request = scans.read_request(
            self.house,
            who=resident.id,
            key=key or f"key-{next(self._numbers)}",
            code=code,
            kind=kind,
            quantity=quantity,
            occurred_at=occurred_at,
            planting=planting,
        )
        with mock.patch.object(scans, "draft_of", _waiting(waits)) if waits else nullcontext():
            answer: dict[str, Any] = json.loads(self.house.part(scans.Desk).record(request).body)
        return answer

    def open_self_reports(self, *kinds: str) -> None:
        """Open the desk at which residents report `kinds` themselves."""
        self_reports.set_desk(self.house, self.officer, kinds, is_open=True, reason="试行")

    def self_report(
        self, resident: Resident, kind: str, quantity: Any = None, *, key: str | None = None, **more: Any
    ) -> dict[str, Any]:
        """Record a self-report; the answer. Raises what the desk raises."""
        key = key or f"key-{next(self._numbers)}"
        asked = self_reports.read_report(
            self.house, who=resident.id, key=key, kind=kind, quantity=quantity, **more
        )
        answer: dict[str, Any] = json.loads(self.house.part(scans.Desk).record(asked).body)
        return answer

    def plant(
        self,
        resident: Resident,
        code: str,
        trees: Any = 5,
        *,
        key: str | None = None,
        kind: str | None = None,
    ) -> dict[str, Any]:
        """Register trees planted today; the certificate. Raises what the service raises."""
        key = key or f"key-{next(self._numbers)}"
        answer = plantings.plant(self.house, resident.id, key=key, code=code, trees=trees, kind=kind)
        certificate: dict[str, Any] = json.loads(answer.body)["planting"]
        return certificate

    # --- factors ------------------------------------------------------------------------------------------

    @cached_property
    def second_officer(self) -> Principal:
        """The officer who reviews what `officer` proposes."""
        return self.colleague(Role.OFFICER)

    def publish_factor(self, kind: str, **changes: Any) -> FactorVersion:
        """A new version of `kind`: what the last one says, with `changes`, through proposal and review."""
        with self.house.db.reading_session() as session:
            last = all_versions(session, kind)[-1]
        values = FactorValues(**{**proposals.values_in(last), "valid_to": None, **changes})
        proposal = proposals.propose(self.house, self.officer, values, "有了更好的来源")
        proposals.review(self.house, self.second_officer, proposal.id, "核对过来源")
        return publication.publish(self.house, self.officer, proposal.id)

    # --- honours ------------------------------------------------------------------------------------------

    @cached_property
    def honour_kind(self) -> UUID:
        """A title of the district."""
        return nominations.create_kind(self.house, self.officer, "低碳之星", "带动邻居一起减排的居民")

    def nomination(self, **changes: Any) -> Nomination:
        """What a form says that nominates a person, with `changes`."""
        said: dict[str, Any] = {
            "kind_id": self.honour_kind,
            "holder": HolderKind.PERSON,
            "scope": f"division:{DISTRICT}",
            "reason": "每天骑车上班，还教邻居使用会员码",
            "evidence": [("登记台帮忙六次", "值班表")],
        }
        return Nomination(**{**said, **changes})

    def nominate(self, by: Principal | None = None, **changes: Any) -> tuple[UUID, str]:
        """Nominate somebody; the id, and the token of the invitation."""
        return nominations.nominate(self.house, by or self.organiser, self.nomination(**changes))

    def accept(self, resident: Resident, token: str, name: str = "绿小一", *, listed: bool = False) -> UUID:
        """Accept an invitation, with consent."""
        version = people.PRESENT[people.Document.HONOURS]
        return honour_holders.accept(
            self.house, resident.id, token, name=name, listed=listed, version=version
        )

    def honour(self, resident: Resident, name: str = "绿小一", *, listed: bool = False) -> UUID:
        """An honour that stands."""
        honour_id = self.accept(resident, self.nominate()[1], name, listed=listed)
        honour_decisions.decide(self.house, self.officer, honour_id, "honoured")
        return honour_id

    def number(self, honour_id: UUID) -> str:
        """The number on the certificate of an honour."""
        with self.house.db.reading_session() as session:
            number = session.get_one(Honour, honour_id).number
        assert number is not None
        return number

    # --- rewards ------------------------------------------------------------------------------------------

    def earn(self, *residents: Resident) -> None:
        """Points for each: what 30 kg of clothes bring."""
        code = self.code("clothing_reuse")
        for resident in residents:
            self.scan(resident, code, quantity=30)

    def organisation(self, name: str, division: str = STREET) -> UUID:
        """An organisation that was taken in."""
        admin = self.colleague(Role.ADMIN)
        return staff.create_organisation(self.house, admin, name=name, division_code=division).id

    def scope_of(self, who: Principal) -> str:
        """On whose behalf somebody of one organisation or division offers."""
        with self.house.db.reading_session() as session:
            return scopes_of(session, who, offer_forms.OFFERERS)[0].key

    def pool(self, budget: int = 100_000, title: str = "街道奖励金") -> UUID:
        """A reward pool of the district."""
        said = PoolIn(title, "静安区生态环境局", "奖励减排", DISTRICT, str(budget))
        return create_pool(self.house, self.officer, said)

    def offer_in(self, **changes: Any) -> OfferIn:
        """What a form says of an offer of the district that is open now, with `changes`."""
        now = clock.now()
        said: dict[str, Any] = {
            "kind": "goods",
            "title": "帆布袋",
            "words": "结实的帆布袋，一只。",
            "collect_at": "社区服务站前台",
            "price": "10",
            "stock": "50",
            "per_person": "1",
            "opens_at": now - timedelta(hours=1),
            "closes_at": now + timedelta(days=30),
            "good_days": "7",
            "scope": f"division:{DISTRICT}",
        }
        said |= changes
        if "pool_id" not in said:
            said["pool_id"] = self.pool()
        return OfferIn(**said)

    def offer(self, by: Principal | None = None, coupons: str = "", **changes: Any) -> UUID:
        """An offer that the bureau approved."""
        by = by or self.organiser
        offer_id = offer_desk.draft(self.house, by, self.offer_in(**changes))
        if coupons:
            import_codes(self.house, by, offer_id, pasted(coupons))
        self.approve_offer(offer_id, by)
        return offer_id

    def approve_offer(self, offer_id: UUID, by: Principal | None = None) -> None:
        """Submit a drafted offer and approve it."""
        offer_desk.submit(self.house, by or self.organiser, offer_id)
        with self.house.db.reading_session() as session:
            read = offer_desk.mark_of(offer_desk.managed(session, self.officer, offer_id).offer)
        offer_desk.approve(self.house, self.officer, offer_id, read)

    def redeem(self, resident: Resident, offer_id: UUID, key: str | None = None) -> dict[str, Any]:
        """A voucher; the answer. Raises what the service raises."""
        key = key or f"key-{next(self._numbers)}"
        answer: dict[str, Any] = json.loads(
            redemptions.redeem(self.house, resident.id, offer_id, key=key).body
        )
        return answer

    def hand_over(self, by: Principal, voucher: dict[str, Any], key: str | None = None) -> None:
        """Settle a voucher at a counter. Raises what the service raises."""
        key = key or f"key-{next(self._numbers)}"
        found = counter.find(self.house, by, voucher["code"])
        counter.hand_over(self.house, by, found.redemption.id, key=key)

    def draw(self, **changes: Any) -> Draw:
        """A draw that is open for two days and costs nothing, with `changes`."""
        said: dict[str, Any] = {
            "title": "世界环境日抽奖",
            "division_code": DISTRICT,
            "price": 0,
            "prizes": [Prize(name="布袋", count=2), Prize(name="水壶", count=3)],
            "closes_at": clock.now() + timedelta(days=2),
        }
        drafted = draw_making.create_draw(self.house, self.organiser, DrawIn(**{**said, **changes}))
        draw_making.approve(self.house, self.officer, drafted.id)
        return drafted

    # --- what holds ---------------------------------------------------------------------------------------

    def breaches(self) -> list[str]:
        """What `tanpuhui verify` would report."""
        with self.house.db.reading() as connection:
            return [
                f"{invariant.name}: {line}"
                for room in self.house.rooms
                for invariant in room.invariants
                for line in invariant.breaches(connection)
            ]

    def figure_differences(self) -> list[str]:
        """What `tanpuhui rebuild --check` would report, after the relay has caught up."""
        self.house.relay.drain()
        with self.house.db.engine.connect() as connection, connection.begin() as transaction:
            differences = figures.rebuild(connection, self.house.feeds, check=True)
            transaction.rollback()
            return differences

    # --- the web ------------------------------------------------------------------------------------------

    @cached_property
    def app(self) -> Any:
        """The web app over this house. Its templates are compiled once for all tests of a process."""
        app = create_app(self.house, testing=True)
        app.jinja_env.bytecode_cache = once.TEMPLATES
        return app

    def client(self) -> FlaskClient:
        """A browser of its own."""
        client: FlaskClient = self.app.test_client()
        return client

    def call(
        self,
        method: str,
        path: str,
        token: str | None = None,
        *,
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> TestResponse:
        """A call of the API at ``/api/v1`` + `path`, with a bearer token, by a client that keeps no cookies."""
        bearer = {"Authorization": f"Bearer {token}"} if token else {}
        client = self.app.test_client(use_cookies=False)
        answer: TestResponse = client.open(
            f"/api/v1{path}", method=method, headers={**bearer, **(headers or {})}, **more
        )
        return answer

    def post_scan(
        self, token: str | None, body: Any, key: str | None = "key", **headers: str
    ) -> TestResponse:
        """`POST /api/v1/scans` with `body` as JSON."""
        keyed = {"Idempotency-Key": key} if key is not None else {}
        return self.call("POST", "/scans", token, json=body, headers={**keyed, **headers})
