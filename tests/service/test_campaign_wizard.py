"""Launching a campaign on the console's pages: from a template to the approval of the bureau."""

import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from sqlmodel import col, select
from werkzeug.datastructures import MultiDict

from activities import campaign_desk, campaign_templates, campaigns
from activities.campaign_forms import Form, chosen_sites, form_from, form_of, read_change
from activities.campaigns import Campaign, CampaignVersion, Stage, VersionState
from activities.observances import ahead
from activities.sites import SiteIn, create_site
from activities.template_format import keeps_to
from tanpuhui import clock
from tanpuhui.staff import Role, create_organisation
from tests.browser import Browser, browser
from tests.tables import contents, written
from tests.world import COMMUNITY, DISTRICT, OTHER_COMMUNITY, STREET, World

NOW = datetime(2027, 5, 20, 2, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def time() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


def environment_day(**changed: Any) -> dict[str, Any]:
    """The form around Environment Day, as an organiser of the district fills it in."""
    return {
        "title": "六五环境日",
        "words": "带上杯子来。",
        "division_code": DISTRICT,
        "when.by": "observance",
        "when.observance.day": "environment_day:2027",
        "when.observance.before": "2",
        "when.observance.until_offset": "2",
        "which": "all",
        "who": "all",
        "bonus.by": "percent",
        "announce_days": "7",
        **changed,
    }


def only_campaign(world: World) -> Campaign:
    with world.house.db.reading_session() as session:
        return session.exec(select(Campaign)).one()


def versions(world: World) -> list[CampaignVersion]:
    with world.house.db.reading_session() as session:
        return list(session.exec(select(CampaignVersion).order_by(col(CampaignVersion.number))).all())


def stage(world: World) -> Stage:
    campaign = only_campaign(world)
    with world.house.db.reading_session() as session:
        pending = campaigns.open_version(session, campaign.id)
    return campaigns.stage_of(campaign, pending.state if pending else None, clock.now())


def test_the_first_way_from_a_template_to_an_approved_campaign(world: World) -> None:
    site = world.site("own_cup", name="临汾食堂")
    me = browser(world, world.organiser)
    chosen = me.get("/console/campaigns/new")
    assert "光盘行动周" in chosen
    form = me.get("/console/campaigns/new/environment-day")
    assert 'value="六五环境日活动"' in form
    assert "六五环境日（2027年6月5日）" in form
    assert "全国低碳日（2027年，日期待公布）" in form
    preview = me.send("/new/environment-day", **environment_day())
    assert me.path.endswith("/preview")
    assert "2027年6月3日 至 2027年6月7日" in re.sub(r"</?span[^>]*>", "", preview)
    assert "带上杯子来。" in preview
    assert "临汾食堂" in preview
    assert stage(world) is Stage.DRAFT
    told = me.send("/submit")
    assert "区里正在审批" in told
    assert stage(world) is Stage.SUBMITTED

    officer = browser(world, world.officer)
    assert "1 个活动等待审批" in officer.get("/bureau")
    assert "六五环境日" in officer.get("/bureau/campaigns")
    campaign = only_campaign(world)
    page = officer.get(f"/bureau/campaigns/{campaign.id}")
    assert "2027年六五环境日前 2 天至后 2 天：2027年6月3日至2027年6月7日" in page
    officer.send("/approve")
    assert officer.path == "/bureau/campaigns"
    assert stage(world) is Stage.APPROVED
    listed = me.get("/console/campaigns")
    assert "已批准。" in listed
    me.send("/seen")
    assert "要告诉您的事" not in me.get("/console/campaigns")
    posters = me.get(f"/console/posters?campaign={campaign.id}")
    assert f'value="{site.id}" checked' in posters
    assert f'value="{campaign.id}" selected' in posters


def draft_of(world: World, **changed: Any) -> Browser:
    """An organiser who has drafted a campaign."""
    me = browser(world, world.organiser)
    me.get("/console/campaigns/new/blank")
    me.send("/new/blank", **environment_day(**changed))
    assert me.path.endswith("/preview"), me.page.text
    return me


# --- what is refused -----------------------------------------------------------------------------------------

DATES = {"when.by": "dates"}
WEEKLY = {"when.by": "weekly", "when.weekly.from_time": "09:00", "when.weekly.to_time": "11:00"}
REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "end before start": (
        {**DATES, "when.dates.starts_at": "2027-06-05T10:00", "when.dates.ends_at": "2027-06-05T09:00"},
        "when.dates",
        "结束时间应晚于开始时间。",
    ),
    "no dates": (DATES, "when.dates.starts_at", "请填写日期和时间。"),
    "no such date": (
        {**DATES, "when.dates.starts_at": "2027-02-30T10:00", "when.dates.ends_at": "2027-06-05T09:00"},
        "when.dates.starts_at",
        "请填写日期和时间。",
    ),
    "far away": (
        {**DATES, "when.dates.starts_at": "1999-01-01T00:00", "when.dates.ends_at": "9999-12-31T23:59"},
        "when.dates.starts_at",
        "年份应在 2000 到 2999 之间。",
    ),
    "over": (
        {**DATES, "when.dates.starts_at": "2027-05-01T00:00", "when.dates.ends_at": "2027-05-02T00:00"},
        "when",
        "这些日子已经过去了。",
    ),
    "no way to say when": ({"when.by": "someday"}, "when", "请从列表中选择。"),
    "no observance": ({"when.observance.day": ""}, "when.observance.day", "请选择一个节日。"),
    "an unknown observance": ({"when.observance.day": "moon_day:2027"}, "when", "没有这个节日。"),
    "overlapping anchors": (
        {"when.observance.until": "arbor_day", "when.observance.before": "0"},
        "when",
        "按这两个日子算，结束早于开始，请改一改。",
    ),
    "crossed offsets": (
        {"when.observance.before": "-5", "when.observance.until_offset": "0"},
        "when",
        "按这两个日子算，结束早于开始，请改一改。",
    ),
    "an offset too far": ({"when.observance.before": "61"}, "when.observance.before", "不能小于 -60。"),
    "an offset in words": ({"when.observance.before": "两天"}, "when.observance.before", "请填整数。"),
    "no weekday": (
        {**WEEKLY, "when.weekly.first": "2027-06-01", "when.weekly.last": "2027-06-30"},
        "when.weekly.weekdays",
        "至少选 1 项。",
    ),
    "a week that ends before it begins": (
        {
            **WEEKLY,
            "when.weekly.first": "2027-06-30",
            "when.weekly.last": "2027-06-01",
            "when.weekly.weekdays": "6",
        },
        "when.weekly",
        "结束日期不能早于开始日期。",
    ),
    "no site": ({"which": "ticked"}, "site_ids", "至少选 1 项。"),
    "no site of a kind": ({"which": "kinds", "site_kinds": "event"}, "site_ids", "至少选 1 项。"),
    "an unknown kind": ({"kinds": ["own_cup", "fly"]}, "kinds", "有不存在或已停用的行为。"),
    "a kind of no site": ({"kinds": ["recycle_glass"]}, "kinds", "所选的点位都不记录这些行为。"),
    "nobody": ({"who": "some"}, "divisions", "请选至少一个街镇或居（村）委会，或者选“所有居民”。"),
    "accounts of nobody": ({"accounts": "school"}, "accounts", "填写的内容不符合要求。"),
    "people of nowhere": ({"who": "some", "divisions": "999999"}, "divisions", "没有这个区划。"),
    "a goal of zero": ({"goals.kg": "0"}, "goals.kg", "不能小于 1。"),
    "a goal below zero": ({"goals.actions": "-3"}, "goals.actions", "不能小于 1。"),
    "a goal in words": ({"goals.participants": "很多"}, "goals.participants", "请填整数。"),
    "half a bonus": ({"bonus.amount": "10"}, "bonus.budget", "缺少这一项。"),
    "a bonus of zero": (
        {"bonus.amount": "0", "bonus.cap": "1", "bonus.budget": "1"},
        "bonus.amount",
        "不能小于 1。",
    ),
    "no title": ({"title": "六"}, "title", "至少 2 个字。"),
    "too many words": ({"words": "字" * 1001}, "words", "最多 1000 个字。"),
    "an early announcement": ({"announce_days": "61"}, "announce_days", "不能大于 60。"),
    "for an unreadable one": ({"division_code": "x" * 36}, "division_code", "请从列表中选择。"),
}


def test_what_is_refused_is_said_beside_its_field_and_what_was_typed_stays(world: World) -> None:
    world.site("own_cup")
    me = browser(world, world.organiser)
    before = contents(world.house)
    for what, (changed, field, reason) in REFUSED.items():
        me.get("/console/campaigns/new/environment-day")
        page = me.send("/new/environment-day", **environment_day(**{"words": "打过的字", **changed}))
        assert me.status == 422, what
        beside = re.search(rf'<p class="error" id="{re.escape(field)}-error">.*?<span>(.*?)</span>', page)
        assert beside, what
        assert beside[1] == reason, what
        assert changed.get("words", "打过的字") in page, what
        assert f'value="{changed.get("which", "all")}" checked' in page, what
    me.get("/console/campaigns/new/environment-day")
    me.send("/new/environment-day", **environment_day(division_code="310115"))
    assert me.status == 403  # a division that is not one's own
    assert written(before, contents(world.house)) == {}


def test_a_template_of_a_newer_version_is_refused_with_path_and_reason(world: World) -> None:
    me = browser(world, world.organiser)
    me.get("/console/campaign-templates")
    newer = json.dumps({"format": 2, "code": "next-year"}).encode()
    page = me.send("/campaign-templates", scope=DISTRICT, file=(io.BytesIO(newer), "next.json"))
    assert me.status == 422
    assert "<code>$.format</code>" in page
    assert "更新的文件格式" in page
    assert f'value="{DISTRICT}" selected' in page
    assert "请选择一个模板文件。" in me.send("/campaign-templates", scope=DISTRICT)


def test_a_file_is_published_downloaded_and_adopted(world: World) -> None:
    world.site("own_cup")
    me = browser(world, world.organiser)
    me.get("/console/campaign-templates")
    content = campaign_templates.shipped()["training-session"].text.replace("training-session", "our-session")
    page = me.send("/campaign-templates", scope=DISTRICT, file=(io.BytesIO(content.encode()), "ours.json"))
    assert me.path == "/console/campaign-templates/our-session"
    assert "作者：碳普惠项目" in page
    answer = me.client.get("/console/campaign-templates/our-session.json")
    assert answer.data.decode() == content
    assert answer.headers["Content-Disposition"] == 'attachment; filename="our-session.json"'
    me.get("/console/campaigns/new/our-session")
    days = {"when.dates.starts_at": "2027-05-24T00:00", "when.dates.ends_at": "2027-05-25T00:00"}
    me.send("/new/our-session", **environment_day(**{"when.by": "dates"}, **days))
    assert only_campaign(world).template == "our-session"
    me.get("/console/campaign-templates/our-session")
    me.send("/withdraw")
    assert me.path == "/console/campaign-templates"
    me.get("/console/campaign-templates/our-session")
    assert me.status == 404
    assert me.get(f"/console/campaigns/{only_campaign(world).id}/edit")
    assert me.status == 200


# --- the form itself -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {
            "when.by": "dates",
            "when.dates.starts_at": "2027-06-05T09:30",
            "when.dates.ends_at": "2027-06-06T17:00",
        },
        {
            **WEEKLY,
            "when.weekly.first": "2027-06-01",
            "when.weekly.last": "2027-06-30",
            "when.weekly.weekdays": ["6", "2"],
        },
        {"when.observance.until": "national_ecology_day", "when.observance.before": "-1"},
        {
            "who": "some",
            "divisions": [STREET, OTHER_COMMUNITY],
            "accounts": ["class", "family"],
            "kinds": ["own_cup"],
            "goals.kg": "7",
            "bonus.by": "points",
            "bonus.amount": "2",
            "bonus.cap": "20",
            "bonus.budget": "500",
            "teams.of": "school",
            "teams.names": "一小\n二小",
        },
    ],
)
def test_the_form_of_what_was_filled_in_says_the_same(world: World, changed: dict[str, Any]) -> None:
    site = world.site("own_cup")
    form: Form = MultiDict(environment_day(**changed))
    read = read_change(form, [site])
    again = read_change(form_of(read.title, read.rules), [site])
    assert again == read


def test_sites_are_chosen_by_kind_and_by_street(world: World) -> None:
    here = [world.site("own_cup", kind=kind, name=f"{kind} here") for kind in ("canteen", "event")]
    there = world.site("own_cup", kind="canteen", community=OTHER_COMMUNITY, name="there")
    sites = [*here, there]

    def chosen(**fields: Any) -> list[str]:
        return [site.name for site in chosen_sites(MultiDict(fields), sites)]

    assert chosen(which="all") == ["canteen here", "event here", "there"]
    assert chosen(which="kinds", site_kinds=["canteen"]) == ["canteen here", "there"]
    assert chosen(which="kinds", streets=[STREET]) == ["canteen here", "event here"]
    assert chosen(which="kinds", site_kinds=["canteen"], streets=[STREET]) == ["canteen here"]
    assert chosen(which="kinds") == []
    assert chosen(which="ticked", site_ids=[str(there.id), "x"], site_kinds=["event"]) == ["there"]


def test_every_template_is_adopted_as_it_is(world: World) -> None:
    for code, shelved in campaign_templates.shipped().items():
        template = shelved.template
        kind = template.site_kinds[0] if template.site_kinds else "canteen"
        site = world.site(*(template.kinds or ["own_cup"]), kind=kind)
        with world.house.db.reading_session() as session:
            form = form_from(template, ahead(session, clock.today()), [site], clock.today())
        if not template.site_kinds:
            form["which"] = "all"
        change = read_change(form, [site])
        assert keeps_to(template, change.rules), code
        made = campaign_desk.CampaignIn(
            title=change.title, division_code=DISTRICT, template=code, rules=change.rules
        )
        campaign = campaign_desk.draft(world.house, world.organiser, made)
        assert campaign_desk.submit(world.house, world.organiser, campaign.id).state is VersionState.SUBMITTED


# --- whose it is, and what becomes of it ---------------------------------------------------------------------


def test_an_organisation_launches_its_own_campaign(world: World) -> None:
    boss = world.colleague(Role.ADMIN)
    school = create_organisation(world.house, boss, name="第一小学", division_code=COMMUNITY)
    teacher = world.colleague(Role.ORGANISER, organisation=school.id)
    site_in = SiteIn(
        name="学校食堂",
        kind="canteen",
        division_code=COMMUNITY,
        organisation_id=school.id,
        kinds=["clean_plate"],
    )
    create_site(world.house, teacher, site_in)
    world.site("clean_plate", name="街上的食堂")
    me = browser(world, teacher)
    form = me.get("/console/campaigns/new/blank")
    assert "第一小学" in form
    assert "静安区</option>" not in form
    assert "街上的食堂" not in form
    me.send("/new/blank", **environment_day(division_code=str(school.id)))
    assert me.path.endswith("/preview")
    campaign = only_campaign(world)
    assert (campaign.organisation_id, campaign.division_code) == (school.id, COMMUNITY)
    assert "第一小学" in me.get("/console/campaigns")
    other = browser(world, world.colleague(Role.ORGANISER, division=OTHER_COMMUNITY))
    for path in ("", "/edit", "/preview", "/publish"):
        other.get(f"/console/campaigns/{campaign.id}{path}")
        assert other.status == 403, path


def test_what_was_submitted_is_taken_back_changed_sent_back_and_changed_again(world: World) -> None:
    world.site("own_cup")
    me = draft_of(world)
    campaign = only_campaign(world)
    me.send("/submit")
    edit = f"/console/campaigns/{campaign.id}/edit"
    me.get(edit)
    assert me.status == 409
    me.get(f"/console/campaigns/{campaign.id}")
    form = me.send("/take-back")
    assert me.path == edit
    assert 'value="environment_day:2027" selected' in form
    me.send("/edit", **environment_day(title="环境日之后"))
    me.send("/submit")

    own = browser(world, world.officer)
    own.get(f"/bureau/campaigns/{campaign.id}")
    refused = own.send("/return", reason=" ")
    assert own.status == 422
    assert 'id="reason-error"' in refused
    own.send("/return", reason="请写清楚带什么")
    assert stage(world) is Stage.RETURNED
    page = me.get(f"/console/campaigns/{campaign.id}")
    assert "请写清楚带什么" in page
    assert "请写清楚带什么" in me.get(edit)
    me.send("/edit", **environment_day(words="带杯子"))
    me.send("/submit")
    own.get(f"/bureau/campaigns/{campaign.id}")
    own.send("/approve")
    assert stage(world) is Stage.APPROVED
    assert [one.state for one in versions(world)] == [VersionState.APPROVED]


def test_a_change_of_an_approved_campaign_says_what_differs(world: World) -> None:
    site = world.site("own_cup", "clean_plate", name="食堂")
    start = clock.now() + timedelta(days=3)
    campaign = world.campaign(site, title="自带杯日", starts_at=start, ends_at=start + timedelta(days=1))
    me = browser(world, world.organiser)
    form = me.get(f"/console/campaigns/{campaign.id}/edit")
    assert "要再审批一次" in form
    me.send("/edit", **environment_day(title="自带杯日", **{"goals.kg": "5"}, kinds=["own_cup"]))
    page = me.get(f"/console/campaigns/{campaign.id}")
    assert "有一份修改还没有提交" in page
    assert "现在：估算减排 5 千克" in page
    assert "原来：点位能记录的都算" in page
    assert "有修改" in me.get("/console/campaigns")
    me.get(f"/console/campaigns/{campaign.id}/preview")
    me.send("/submit")
    officer = browser(world, world.officer)
    page = officer.get(f"/bureau/campaigns/{campaign.id}")
    assert "现在：自带杯日" not in page  # the kind differs, the title does not
    assert "现在：估算减排 5 千克" in page


def test_who_submitted_is_told_that_somebody_else_approves(world: World) -> None:
    world.site("own_cup")
    boss = world.colleague(Role.OFFICER, Role.ORGANISER)
    me = browser(world, boss)
    me.get("/console/campaigns/new/blank")
    me.send("/new/blank", **environment_day())
    me.send("/submit")
    campaign = only_campaign(world)
    page = me.get(f"/bureau/campaigns/{campaign.id}")
    assert "请另一位工作人员来审批" in page
    assert "/approve" not in page
    world.app.config["WTF_CSRF_ENABLED"] = False
    answer = me.client.post(f"/bureau/campaigns/{campaign.id}/approve", data={"number": 1})
    assert answer.status_code == 403
    assert "提交活动的人不能审批自己的活动。" in answer.text
    assert stage(world) is Stage.SUBMITTED


def test_what_is_wrong_by_the_time_it_is_submitted_is_said_in_the_form(world: World, time: Any) -> None:
    world.site("own_cup")
    draft_of(world)
    time.move_to(datetime(2027, 7, 1, tzinfo=UTC))
    me = browser(world, world.organiser)
    me.get(f"/console/campaigns/{only_campaign(world).id}/preview")
    page = me.send("/submit")
    assert me.status == 422
    assert "这些日子已经过去了。" in page
    assert 'value="六五环境日"' in page
    assert f'action="/console/campaigns/{only_campaign(world).id}/edit"' in page
    assert stage(world) is Stage.DRAFT


def test_two_taps_submit_once(world: World) -> None:
    world.site("own_cup")
    me = draft_of(world)
    campaign = only_campaign(world)
    world.app.config["WTF_CSRF_ENABLED"] = False
    for _ in range(2):
        assert me.client.post(f"/console/campaigns/{campaign.id}/submit").status_code == 303
    assert [one.state for one in versions(world)] == [VersionState.SUBMITTED]
    campaign_desk.approve(world.house, world.officer, campaign.id, 1)
    assert me.client.post(f"/console/campaigns/{campaign.id}/submit").status_code == 303


def test_a_campaign_is_cancelled_with_a_reason(world: World) -> None:
    world.site("own_cup")
    me = draft_of(world)
    campaign = only_campaign(world)
    me.get(f"/console/campaigns/{campaign.id}")
    refused = me.send("/cancel", reason="x")
    assert me.status == 422
    assert "请写明原因" in refused
    assert "已经取消" in me.send("/cancel", reason="台风")
    assert stage(world) is Stage.CANCELLED
    assert "已取消" in me.get("/console/campaigns")


# --- as everybody sees it ------------------------------------------------------------------------------------


def test_a_campaign_whose_days_are_not_announced_waits_in_public_too(world: World) -> None:
    site = world.site("own_cup")
    when = {"by": "observance", "key": "low_carbon_day", "year": 2027}
    now = clock.now()
    campaign = world.launch(world.campaign_in(site, title="低碳日见", starts_at=now, ends_at=now, when=when))
    anyone = browser(world)
    listed = anyone.get("/campaigns")
    group = listed[listed.index('id="awaiting"') :]
    assert "低碳日见" in group
    assert "日期待公布" in group
    page = anyone.get(f"/campaigns/{campaign.id}")
    assert "2027年全国低碳日" in page
    assert "日期待公布" in page
    assert not re.search(r"\d+月\d+日", page)
    assert "等待公布日期" in browser(world, world.organiser).get("/console/campaigns")


def test_the_page_of_a_campaign_says_what_it_is_about(world: World) -> None:
    site = world.site("own_cup", "clean_plate")
    now = clock.now()
    when = {
        "by": "weekly",
        "first": "2027-05-01",
        "last": "2027-06-30",
        "weekdays": [4, 6],
        "from_time": "09:00",
        "to_time": "24:00",
    }
    campaign = world.launch(
        world.campaign_in(
            site,
            starts_at=now,
            ends_at=now,
            when=when,
            words="带杯子来。",
            kinds=["own_cup"],
            divisions=[STREET],
            goals={"participants": 10, "actions": 40},
            bonus={"by": "percent", "amount": 50, "cap": 30, "budget": 1000},
        )
    )
    code = world.code_at(site)
    anyone = browser(world)

    def page(more: int) -> str:
        for resident in world.residents(more):
            world.scan(resident, code, kind="own_cup")
        world.house.relay.drain()
        return anyone.get(f"/campaigns/{campaign.id}")

    told = page(4)
    for words in (
        "带杯子来。",
        "自带杯",
        "每周四、周六 09:00–24:00",
        "10 人参加、40 条记录",
        "本来的积分上再加 50%",
    ):
        assert words in told, words
    assert "石门二路街道的居民" in told or "的居民" in told
    assert "光盘" not in told[told.index("怎么参加") : told.index("参加的点位")]
    assert "4 / 10" not in told  # of so few nothing is told
    told = page(1)
    assert "5 / 10" in told
    assert "5 / 40" in told
    desk = browser(world, world.organiser).get(f"/console/campaigns/{campaign.id}")
    assert "5 / 10" in desk


def test_of_a_few_the_organisers_are_told_and_nobody_else(world: World) -> None:
    site = world.site("own_cup")
    campaign = world.campaign(site, goals={"participants": 10})
    world.scan(world.resident(), world.code_at(site))
    world.house.relay.drain()
    assert "1 / 10" in browser(world, world.organiser).get(f"/console/campaigns/{campaign.id}")
    assert "1 / 10" not in browser(world).get(f"/campaigns/{campaign.id}")
