"""Organisations: taken in by admins, chosen for sites and invitations, and blind to one another."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlmodel import select

from activities import campaign_notices, campaign_reports, campaign_templates, codes, gatherings
from activities.campaign_templates import shipped
from activities.material_hand_overs import HandOverIn, record
from activities.sites import Site, SiteIn, create_site
from rewards import draw_making, offer_desk
from rewards.draw_making import DrawIn, Prize
from rewards.offer_pictures import Picture
from rewards.pool_notices import PoolNotice, PoolNoticeKind
from tanpuhui import clock, ids
from tanpuhui.audit import AuditEntry
from tanpuhui.errors import InvalidField, NotAllowed
from tanpuhui.rooms import build_house
from tanpuhui.sessions import Principal
from tanpuhui.staff import Organisation, Role, create_organisation
from tests.browser import browser
from tests.tables import contents, written
from tests.threads import at_once
from tests.world import COMMUNITY, DISTRICT, OTHER_COMMUNITY, PASSWORD, STREET, World


def organisation(world: World, name: str = "第一小学", division: str = COMMUNITY) -> Organisation:
    return create_organisation(world.house, admin(world), name=name, division_code=division)


def admin(world: World, division: str = DISTRICT) -> Principal:
    return world.colleague(Role.ADMIN, division=division)


def test_an_organisation_is_kept_as_told_and_audited(world: World) -> None:
    boss = admin(world)
    made = create_organisation(world.house, boss, name="  第一  小学 ", division_code=STREET)
    with world.house.db.reading_session() as session:
        found = session.exec(select(Organisation)).one()
        entry = session.exec(select(AuditEntry).where(AuditEntry.deed == "organisation.created")).one()
    assert (found.id, found.name, found.division_code) == (made.id, "第一 小学", STREET)
    assert (entry.actor_id, entry.subject) == (boss.id, f"organisation:{made.id}")
    assert entry.detail == {"division": STREET}


@pytest.mark.parametrize(
    ("name", "division", "fields"),
    [
        ("学", STREET, ["name"]),
        (" " * 9, STREET, ["name"]),
        ("学" * 81, STREET, ["name"]),
        ("第一小学", STREET, ["name"]),
        (" 第一小学 ", OTHER_COMMUNITY, ["name"]),
        ("第二小学", "310106999", ["division_code"]),
        ("学", "", ["name", "division_code"]),
    ],
)
def test_an_organisation_out_of_shape_is_refused(
    world: World, name: str, division: str, fields: list[str]
) -> None:
    organisation(world)
    boss = admin(world)
    before = contents(world.house)
    with pytest.raises(InvalidField) as error:
        create_organisation(world.house, boss, name=name, division_code=division)
    assert [bad["field"] for bad in error.value.params["errors"]] == fields
    assert written(before, contents(world.house)) == {}


def test_only_admins_of_the_division_take_organisations_in(world: World) -> None:
    ours = organisation(world)
    strangers = [
        admin(world, OTHER_COMMUNITY[:9]),
        admin(world, COMMUNITY),  # of less than the street
        world.colleague(Role.ADMIN, organisation=ours.id),
        world.colleague(*(set(Role) - {Role.ADMIN})),
        Principal("resident", world.resident().id, ours.id),
    ]
    before = contents(world.house)
    for stranger in strangers:
        with pytest.raises(NotAllowed):
            create_organisation(world.house, stranger, name="第二小学", division_code=STREET)
    assert written(before, contents(world.house)) == {}
    create_organisation(world.house, admin(world, STREET), name="第二小学", division_code=STREET)


def test_of_two_who_choose_one_name_at_once_the_second_is_told(world: World) -> None:
    second = build_house(world.house.settings)
    boss = admin(world)

    def attempt(house: Any) -> str:
        try:
            create_organisation(house, boss, name="第一小学", division_code=STREET)
        except InvalidField as error:
            return str(error.params["errors"][0]["reason"])
        return "made"

    results = at_once([lambda house=house: attempt(house) for house in [world.house, second] * 2])  # type: ignore[misc]
    second.db.dispose()
    assert sorted(results) == ["made", *["已有同名的单位。"] * 3]
    with pytest.raises(sa.exc.IntegrityError), world.house.db.session() as session:
        session.add(Organisation(name="第一小学", division_code=COMMUNITY))


def test_an_admin_adds_an_organisation_and_its_organiser_runs_a_site(world: World) -> None:
    """From the form on the staff page to a site that belongs to the organisation."""
    boss = browser(world, admin(world))
    boss.get("/console/staff")
    page = boss.send("/organisations", name="第一小学", division_code=STREET)
    assert (boss.path, boss.status) == ("/console/staff", 200)
    assert "第一小学" in page
    assert "已有同名的单位" in boss.send("/organisations", name="第一小学", division_code=STREET)
    assert boss.status == 422
    assert 'href="/language/en?next=/console/staff"' in boss.page.text
    assert "至少" not in boss.send("/organisations", name="第二小学", division_code=STREET)
    option = re.search(r'value="(organisation:[^"]+)"\s*>第一小学', boss.get("/console/staff"))
    assert option
    assert "每个角色须对应" in boss.send("/console/staff", role="organiser", scope="")
    link = re.search(
        r"<code>(http[^<]+)</code>", boss.send("/console/staff", role="organiser", scope=option[1])
    )
    assert link

    teacher = browser(world)
    teacher.get(urlsplit(link[1]).path)
    teacher.send(name="李老师", password=PASSWORD)
    form = teacher.get("/console/sites/new")
    assert "第一小学" in form
    assert "第二小学" not in form
    assert "不属于某个单位" not in form
    fields = {"name": "学校食堂", "kind": "canteen", "kinds": ["clean_plate"]}
    school = option[1].partition(":")[2]
    refused = teacher.send(**fields, division_code=OTHER_COMMUNITY, organisation_id=school)
    assert "点位应在所属单位的区划内" in refused
    page = teacher.send(**fields, division_code=COMMUNITY, organisation_id=school)
    assert teacher.path.startswith("/console/sites/")
    assert "第一小学" in page
    assert "学校食堂" in teacher.get("/console")
    assert "第一小学" in teacher.get("/console/campaigns/new/blank")
    teacher.get("/console/staff")
    assert teacher.status == 403


def test_an_admin_sees_the_staff_and_organisations_of_their_own_scope(world: World) -> None:
    organisation(world, "本街小学", COMMUNITY)
    there = organisation(world, "他街小学", OTHER_COMMUNITY)
    world.colleague(Role.ORGANISER, organisation=there.id)
    page = browser(world, admin(world, STREET)).get("/console/staff")
    assert "本街小学" in page
    assert "他街小学" not in page
    assert "静安区" not in page
    assert page.count("<tr>") == 2  # the heading, and themselves


# --- one organisation cannot see or change what is another's ------------------------------------------------


class Tenant:
    """An organisation with a site, a code, a record and a campaign around it."""

    def __init__(self, world: World, name: str) -> None:
        self.organisation = organisation(world, f"{name}小学")
        self.organiser = world.colleague(*Role, organisation=self.organisation.id)
        self.site = create_site(
            world.house,
            self.organiser,
            SiteIn(
                name=f"{name}食堂",
                kind="canteen",
                division_code=COMMUNITY,
                organisation_id=self.organisation.id,
                kinds=["clean_plate"],
            ),
        )
        self.code = codes.issue_code(world.house, self.organiser, self.site.id)
        token = codes.token_of(world.house.settings, self.code.id)
        self.action = UUID(world.scan(world.resident(), token)["action"]["id"])
        now = clock.now()
        campaign_in = world.campaign_in(
            self.site,
            title=f"{name}光盘周",
            starts_at=now,
            ends_at=now.replace(year=now.year + 1),
            organisation_id=self.organisation.id,
        )
        self.campaign = world.launch(campaign_in, by=self.organiser)
        draw_in = DrawIn(
            title=f"{name}抽奖",
            organisation_id=self.organisation.id,
            price=0,
            prizes=[Prize(name="袋", count=1)],
            closes_at=now.replace(year=now.year + 1),
        )
        self.draw = draw_making.create_draw(world.house, self.organiser, draw_in).id
        with world.house.db.session() as session:
            campaign_reports.make(world.house, session, self.campaign.id, clock.now())
        badge = {"kind": "honour", "price": "0", "scope": f"organisation:{self.organisation.id}"}
        self.pool = world.pool()
        badge |= {"pool_id": self.pool, "title": f"{name}纪念章"}
        self.offer = world.offer(self.organiser, **badge)
        self.draft = offer_desk.draft(world.house, self.organiser, world.offer_in(**badge))
        offer_desk.set_picture(world.house, self.organiser, self.draft, Picture(b"jpeg", b"jpeg", 1, 1), "")
        self.voucher = world.redeem(world.resident(), self.offer)["voucher"]
        self.pool_notice = ids.new_id()
        with world.house.db.session() as session:
            told = {"kind": PoolNoticeKind.LOW, "left": 1, "budget": 100, "told_at": clock.now()}
            session.add(PoolNotice(id=self.pool_notice, pool_id=self.pool, **told))
        with world.house.db.reading_session() as session:
            self.notice = campaign_notices.notices_of(session, self.campaign.id)[0].id
        self.gathering = gatherings.create_gathering(
            world.house,
            self.organiser,
            gatherings.GatheringIn(
                **{name: value for name, value in self.new_gathering.items() if name != "scope"},
                division_code=COMMUNITY,
                organisation_id=self.organisation.id,
            ),
        )
        self.hand_over = self._hand_over(world, name)
        self.template = campaign_templates.publish_campaign(
            world.house,
            self.organiser,
            self.campaign.id,
            author="不具名",
            licence="CC0-1.0",
            title_en="A week",
        ).code

    def _hand_over(self, world: World, name: str) -> UUID:
        """Material that a point of this organisation handed over to a station of its own."""
        point, station = (
            create_site(
                world.house,
                self.organiser,
                SiteIn(
                    name=f"{name}{level}",
                    kind="other",
                    division_code=COMMUNITY,
                    organisation_id=self.organisation.id,
                    kinds=kinds,
                    level=level,
                ),
            )
            for level, kinds in (("point", ["clothing_reuse"]), ("station", []))
        )
        said = HandOverIn(
            from_site_id=point.id,
            to_site_id=station.id,
            material="clothes",
            grams=5_000,
            handed_at=clock.now(),
        )
        return record(world.house, self.organiser, said).id

    @property
    def new_gathering(self) -> dict[str, Any]:
        """The form that would announce a gathering of this organisation."""
        starts = clock.now() + timedelta(minutes=20)
        return {
            "title": f"{self.organisation.name}培训",
            "kind": "training",
            "place": "礼堂",
            "scope": f"o:{self.organisation.id}",
            "starts_at": starts,
            "ends_at": starts + timedelta(hours=2),
            "sign_up_until": starts,
            "places": "9",
        }

    @property
    def new_site(self) -> dict[str, Any]:
        """The form that would register one more site of this organisation."""
        return {
            "name": "冒名食堂",
            "kind": "canteen",
            "division_code": COMMUNITY,
            "organisation_id": str(self.organisation.id),
            "kinds": ["clean_plate"],
        }

    @property
    def new_campaign(self) -> dict[str, Any]:
        """The form that would launch a campaign over this organisation's site."""
        return {
            "title": "冒名活动",
            "division_code": DISTRICT,
            "when.by": "dates",
            "when.dates.starts_at": "2030-01-01T00:00",
            "when.dates.ends_at": "2030-02-01T00:00",
            "which": "ticked",
            "site_ids": [str(self.site.id)],
            "announce_days": "7",
        }

    @property
    def new_offer(self) -> dict[str, Any]:
        """The form that would offer something in this organisation's name."""
        return {"title": "冒名兑换", "kind": "goods", "scope": f"organisation:{self.organisation.id}"}


REASON = {"reason": "不归我管"}

#: What an officer would say of a day.
DAY = {
    "key": "our_day",
    "name_zh": "我们的日子",
    "name_en": "Our day",
    "starts_on": "2027-07-07",
    "ends_on": "2027-07-07",
    "source": "通知",
    "confidence": "A",
    "seen": "0",
}


def typed(fields: dict[str, Any]) -> dict[str, str]:
    """Fields as a form sends them."""
    return {
        name: f"{clock.local(value):%Y-%m-%dT%H:%M}" if isinstance(value, datetime) else str(value)
        for name, value in fields.items()
    }


#: A template as somebody would publish it.
FILE = shipped()["environment-day"].text.replace('"environment-day"', '"not-of-ours"')


#: Steps of an offer that nobody approved yet.
OF_DRAFTS = {"/edit", "/submit", "/picture", "/picture/remove", "/picture.jpg"}


def _offer(step: str, desk: str = "/console/offers") -> Callable[[Tenant], str]:
    """The address of a step of a tenant's offer; of a draft where it is a draft's."""
    return lambda them: f"{desk}/{them.draft if step in OF_DRAFTS else them.offer}{step}"


def _counter(step: str) -> Callable[[Tenant], str]:
    """The address of a step at the counter with a tenant's voucher."""
    return lambda them: f"/console/counter/{them.voucher['id']}{step}"


def _campaign(step: str, desk: str = "/console") -> Callable[[Tenant], str]:
    """The address of a step of a tenant's campaign."""
    return lambda them: f"{desk}/campaigns/{them.campaign.id}{step}"


def _template(step: str) -> Callable[[Tenant], str]:
    """The address of a step of a template that a tenant published."""
    return lambda them: f"/console/campaign-templates/{them.template}{step}"


def _gathering(step: str) -> Callable[[Tenant], str]:
    """The address of a step of a tenant's gathering."""
    return lambda them: f"/console/gatherings/{them.gathering.id}{step}"


#: Every endpoint of the console, of campaigns and offers and their approval: method, endpoint, its address for a tenant, the form, the answer to a stranger.
ENDPOINTS: list[tuple[str, str, Callable[[Tenant], str], Callable[[Tenant], dict[str, Any]], int]] = [
    ("GET", "console.sites", lambda _: "/console", lambda _: {}, 200),
    ("GET", "console.new_site", lambda _: "/console/sites/new", lambda _: {}, 200),
    ("POST", "console.new_site", lambda _: "/console/sites/new", lambda them: them.new_site, 403),
    ("GET", "console.site", lambda them: f"/console/sites/{them.site.id}", lambda _: {}, 403),
    (
        "POST",
        "console.set_status",
        lambda them: f"/console/sites/{them.site.id}/status",
        lambda _: {"status": "closed", **REASON},
        403,
    ),
    (
        "POST",
        "console.set_status",
        lambda them: f"/console/sites/{them.site.id}/status",
        lambda _: {"status": "closed"},
        403,
    ),
    ("POST", "console.issue", lambda them: f"/console/sites/{them.site.id}/codes", lambda _: {}, 403),
    ("POST", "console.reissue", lambda them: f"/console/codes/{them.code.id}/reissue", lambda _: REASON, 403),
    ("POST", "console.reissue", lambda them: f"/console/codes/{them.code.id}/reissue", lambda _: {}, 403),
    ("GET", "console.poster", lambda them: f"/console/codes/{them.code.id}/poster.pdf", lambda _: {}, 403),
    ("GET", "console.poster", lambda them: f"/console/codes/{them.code.id}/poster.png", lambda _: {}, 403),
    ("GET", "console.void", lambda them: f"/console/actions/{them.action}/void", lambda _: {}, 403),
    ("POST", "console.void", lambda them: f"/console/actions/{them.action}/void", lambda _: REASON, 403),
    ("GET", "campaigns.listed", lambda _: "/console/campaigns", lambda _: {}, 200),
    ("GET", "campaigns.one", _campaign(""), lambda _: {}, 403),
    ("GET", "campaigns.board_pdf", _campaign("/board.pdf"), lambda _: {}, 403),
    ("POST", "campaigns.take_back", _campaign("/take-back"), lambda _: {}, 403),
    ("POST", "campaigns.cancel", _campaign("/cancel"), lambda _: REASON, 403),
    (
        "POST",
        "campaigns.seen",
        lambda them: f"/console/campaigns/notices/{them.notice}/seen",
        lambda _: {},
        403,
    ),
    ("GET", "campaign_forms.choose", lambda _: "/console/campaigns/new", lambda _: {}, 200),
    ("GET", "campaign_forms.new", lambda _: "/console/campaigns/new/blank", lambda _: {}, 200),
    # Of the sites of others none is known in one's form.
    (
        "POST",
        "campaign_forms.new",
        lambda _: "/console/campaigns/new/blank",
        lambda them: them.new_campaign,
        422,
    ),
    ("GET", "campaign_forms.edit", _campaign("/edit"), lambda _: {}, 403),
    ("POST", "campaign_forms.edit", _campaign("/edit"), lambda them: them.new_campaign, 403),
    ("GET", "campaign_forms.preview", _campaign("/preview"), lambda _: {}, 403),
    ("POST", "campaign_forms.submit", _campaign("/submit"), lambda _: {}, 403),
    ("GET", "campaign_reports.one", _campaign("/report"), lambda _: {}, 403),
    ("GET", "campaign_reports.pdf", _campaign("/report.en.pdf"), lambda _: {}, 403),
    ("GET", "campaign_reports.csv", _campaign("/report.csv"), lambda _: {}, 403),
    ("POST", "campaign_reports.thank", _campaign("/thanks"), lambda _: {"words": "冒名感谢"}, 403),
    ("GET", "approvals.queue", lambda _: "/bureau/campaigns", lambda _: {}, 200),
    ("GET", "approvals.one", _campaign("", "/bureau"), lambda _: {}, 403),
    ("POST", "approvals.approve", _campaign("/approve", "/bureau"), lambda _: {"number": "1"}, 403),
    (
        "POST",
        "approvals.send_back",
        _campaign("/return", "/bureau"),
        lambda _: {"number": "1", **REASON},
        403,
    ),
    # Templates are for everybody to read; whose they are says who withdraws them.
    ("GET", "templates.shelf", lambda _: "/console/campaign-templates", lambda _: {}, 200),
    (
        "POST",
        "templates.publish",
        lambda _: "/console/campaign-templates",
        lambda them: {"scope": str(them.organisation.id), "file": (BytesIO(FILE.encode()), "t.json")},
        403,
    ),
    ("GET", "templates.one", _template(""), lambda _: {}, 200),
    ("GET", "templates.download", _template(".json"), lambda _: {}, 200),
    ("POST", "templates.withdraw", _template("/withdraw"), lambda _: {}, 403),
    ("POST", "templates.approve", _template("/approve"), lambda _: {"digest": "0" * 64}, 403),
    ("POST", "templates.end_approval", _template("/end-approval"), lambda _: {}, 403),
    ("GET", "templates.of_campaign", _campaign("/publish"), lambda _: {}, 403),
    (
        "POST",
        "templates.of_campaign",
        _campaign("/publish"),
        lambda _: {"author": "冒名", "licence": "CC0-1.0"},
        403,
    ),
    ("GET", "gathering_desk.listed", lambda _: "/console/gatherings", lambda _: {}, 200),
    ("GET", "gathering_desk.new", lambda _: "/console/gatherings/new", lambda _: {}, 200),
    (
        "POST",
        "gathering_desk.new",
        lambda _: "/console/gatherings/new",
        lambda them: typed(them.new_gathering),
        403,
    ),
    ("GET", "gathering_desk.one", _gathering(""), lambda _: {}, 403),
    ("GET", "gathering_desk.edit", _gathering("/edit"), lambda _: {}, 403),
    ("POST", "gathering_desk.edit", _gathering("/edit"), lambda them: typed(them.new_gathering), 403),
    ("POST", "gathering_desk.cancel", _gathering("/cancel"), lambda _: REASON, 403),
    ("POST", "gathering_desk.walk_ins", _gathering("/walk-ins"), lambda _: {"people": "9"}, 403),
    ("GET", "gathering_desk.check_in_page", _gathering("/check-in"), lambda _: {}, 403),
    ("POST", "gathering_desk.check_in", _gathering("/check-in"), lambda _: {"member": "A" * 24}, 403),
    ("GET", "gathering_desk.screen", _gathering("/screen"), lambda _: {}, 403),
    ("GET", "gathering_desk.screen_now", _gathering("/screen/now"), lambda _: {}, 403),
    # The calendar is the district's: of an organisation nobody opens it.
    ("GET", "observances.listed", lambda _: "/bureau/observances", lambda _: {}, 403),
    ("GET", "observances.one", lambda _: "/bureau/observances/environment_day", lambda _: {}, 403),
    ("GET", "observances.new", lambda _: "/bureau/observances/new-day", lambda _: {}, 403),
    ("POST", "observances.new", lambda _: "/bureau/observances/new-day", lambda _: DAY, 403),
    (
        "POST",
        "observances.change",
        lambda _: "/bureau/observances/low_carbon_day/2027/enter",
        lambda _: DAY,
        403,
    ),
    (
        "POST",
        "observances.change_fixed",
        lambda _: "/bureau/observances/environment_day/edit",
        lambda _: DAY,
        403,
    ),
    ("GET", "offer_desk.listed", lambda _: "/console/offers", lambda _: {}, 200),
    ("GET", "offer_desk.new", lambda _: "/console/offers/new", lambda _: {}, 200),
    ("POST", "offer_desk.new", lambda _: "/console/offers/new", lambda them: them.new_offer, 422),
    ("GET", "offer_desk.edit", _offer("/edit"), lambda _: {}, 403),
    ("POST", "offer_desk.edit", _offer("/edit"), lambda them: them.new_offer, 403),
    ("GET", "offer_desk.one", _offer(""), lambda _: {}, 403),
    ("POST", "offer_desk.submit", _offer("/submit"), lambda _: {}, 403),
    ("POST", "offer_desk.stock", _offer("/stock"), lambda _: {"stock": "1", **REASON}, 403),
    ("POST", "offer_desk.pause", _offer("/pause"), lambda _: {"paused": "yes"}, 403),
    ("POST", "offer_desk.end", _offer("/end"), lambda _: {"end_reason": "不归我管"}, 403),
    ("POST", "offer_desk.coupons", _offer("/coupons"), lambda _: {"codes": "A-1"}, 403),
    ("GET", "offer_desk.picture", _offer("/picture.jpg"), lambda _: {}, 403),
    ("POST", "offer_desk.put_picture", _offer("/picture"), lambda _: {"picture_words": "冒名"}, 403),
    ("POST", "offer_desk.remove_picture", _offer("/picture/remove"), lambda _: {}, 403),
    ("GET", "offer_desk.bureau", lambda _: "/bureau/rewards", lambda _: {}, 200),
    (
        "POST",
        "offer_desk.create_pool",
        lambda _: "/bureau/rewards/pools",
        lambda _: {"title": "冒名预算", "division_code": DISTRICT, "budget": "1"},
        403,
    ),
    ("GET", "offer_desk.pool", lambda them: f"/bureau/rewards/pools/{them.pool}", lambda _: {}, 403),
    (
        "POST",
        "offer_desk.budget",
        lambda them: f"/bureau/rewards/pools/{them.pool}/budget",
        lambda _: {"budget": "1", **REASON},
        403,
    ),
    ("GET", "offer_desk.approval", _offer("", "/bureau/rewards/offers"), lambda _: {}, 403),
    ("POST", "offer_desk.approve", _offer("/approve", "/bureau/rewards/offers"), lambda _: {"mark": ""}, 403),
    (
        "POST",
        "offer_desk.send_back",
        _offer("/return", "/bureau/rewards/offers"),
        lambda _: {"mark": "", **REASON},
        403,
    ),
    (
        "POST",
        "offer_desk.see_notice",
        lambda them: f"/bureau/rewards/notices/{them.pool_notice}/seen",
        lambda _: {},
        403,
    ),
    ("GET", "counter.scan", lambda _: "/console/counter", lambda _: {}, 200),
    ("POST", "counter.find", lambda _: "/console/counter", lambda them: {"code": them.voucher["code"]}, 403),
    ("GET", "counter.one", _counter(""), lambda _: {}, 403),
    ("POST", "counter.hand_over", _counter("/hand-over"), lambda _: {"key": "stolen"}, 403),
    ("POST", "counter.undo", _counter("/undo"), lambda _: {}, 403),
    ("POST", "counter.cancel", _counter("/cancel"), lambda _: REASON, 403),
    ("GET", "counter.settlements", lambda _: "/console/settlements", lambda _: {}, 200),
    ("GET", "counter.settlements_csv", lambda _: "/console/settlements.csv", lambda _: {}, 200),
]

#: Nobody's of an organisation: a pool is a division's.
OF_DIVISIONS = {"offer_desk.pool"}


#: What anybody with an account may read, whoever's it is.
SHARED = ("templates.shelf", "templates.one", "templates.download", "campaign_forms.choose")


def test_the_table_names_every_endpoint_of_the_console(world: World) -> None:
    rooms = (
        "console.",
        "campaigns.",
        "campaign_",
        "approvals.",
        "templates.",
        "gathering_desk.",
        "observances.",
        "offer_desk.",
        "counter.",
    )
    rules = [rule for rule in world.app.url_map.iter_rules() if rule.endpoint.startswith(rooms)]
    offered = {
        (method, rule.endpoint) for rule in rules for method in (rule.methods or set()) & {"GET", "POST"}
    }
    assert offered == {(method, endpoint) for method, endpoint, *_ in ENDPOINTS}


def test_one_organisation_cannot_see_or_change_what_is_anothers(world: World) -> None:
    """Whatever roles a member of staff has: in one organisation, they open nothing of another's."""
    ours, theirs = Tenant(world, "甲"), Tenant(world, "乙")
    stranger, owner = browser(world, ours.organiser), browser(world, theirs.organiser)
    world.app.config["WTF_CSRF_ENABLED"] = (
        False  # what keeps a stranger out is the scope, not the form's token
    )
    before = contents(world.house)
    for method, endpoint, address, form, status in ENDPOINTS:
        data = form(theirs) if method == "POST" else None
        answer = stranger.client.open(
            address(theirs), method=method, data=data, headers={"Accept": "text/html"}
        )
        assert answer.status_code == status, (method, endpoint)
        # 乙 is in every name of theirs.
        assert endpoint in SHARED or b"\xe4\xb9\x99" not in answer.data, (method, endpoint)
    assert written(before, contents(world.house)) == {}
    for method, endpoint, address, *_ in ENDPOINTS:
        if method == "GET" and endpoint not in OF_DIVISIONS and not endpoint.startswith("observances."):
            assert owner.client.get(address(theirs), follow_redirects=True).status_code == 200, endpoint
    with world.house.db.reading_session() as session:
        assert session.get_one(Site, theirs.site.id).status == "open"


@pytest.mark.parametrize("path", ["/bureau", "/bureau/parked", "/bureau/ledger"])
def test_the_bureaus_pages_ask_for_the_whole_district(world: World, path: str) -> None:
    """An officer of one organisation, or of one 街镇, does not read the district's figures."""
    school = organisation(world)
    for principal in (
        world.colleague(Role.OFFICER, Role.ADMIN, organisation=school.id),
        world.colleague(Role.OFFICER, Role.ADMIN, division="310106006"),
    ):
        assert browser(world, principal).client.get(path).status_code == 403
    assert browser(world, world.officer).client.get(path).status_code == 200
