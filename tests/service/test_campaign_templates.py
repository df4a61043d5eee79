"""Campaign templates: a strict file format, a shelf of what was published, and campaigns that need no approval of their own."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine

from activities import campaign_desk, campaign_templates, template_format
from activities.campaign_desk import ChangeIn
from activities.campaign_rules import Rules, by_dates
from activities.campaign_templates import TemplateApproval, on_shelf, shelf, shipped
from activities.campaigns import Campaign, CampaignVersion, VersionState
from activities.observances import ahead
from tanpuhui import clock
from tanpuhui.audit import AuditEntry
from tanpuhui.errors import CampaignMovedOn, InvalidField, NotAllowed, NotFound
from tanpuhui.sessions import Principal
from tanpuhui.staff import Role, create_organisation
from tests.tables import contents, written
from tests.threads import at_once
from tests.world import COMMUNITY, DISTRICT, OTHER_COMMUNITY, STREET, World

NOW = datetime(2027, 5, 20, 2, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def time() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


def document(**changed: Any) -> dict[str, Any]:
    """A template of three days with a bonus."""
    return {
        "format": 1,
        "code": "three-days",
        "title": {"zh": "三天"},
        "words": {"zh": "来吧。"},
        "author": "第一小学",
        "licence": "CC-BY-4.0",
        "kinds": ["own_cup", "clean_plate"],
        "when": {"by": "days", "days": 3},
        "bonus": {"by": "points", "amount": 2, "cap": 10, "budget": 100},
        **changed,
    }


def publish(world: World, by: Principal | None = None, **changed: Any) -> campaign_templates.CampaignTemplate:
    content = json.dumps(document(**changed)).encode()
    return campaign_templates.publish(world.house, by or world.organiser, content, division_code=DISTRICT)


def refusals(content: bytes) -> list[tuple[str, str]]:
    with pytest.raises(InvalidField) as refused:
        template_format.read(content)
    return [(one["field"], one["reason"]) for one in refused.value.params["errors"]]


# --- the format ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "path", "reason"),
    [
        ({"format": 2}, "$.format", "更新的文件格式"),
        ({"format": True}, "$.format", "请写明"),
        ({"format": None}, "$.format", "请写明"),
        ({"format": 0}, "$.format", "从列表中选择"),
        ({"colour": "green"}, "$.colour", "没有这一项"),
        ({"code": "Drei Tage"}, "$.code", "不符合要求"),
        ({"title": {"en": "Three days"}}, "$.title.zh", "缺少"),
        ({"title": "三天"}, "$.title", "带名称"),
        ({"words": {"zh": "来", "fr": "Venez"}}, "$.words.fr", "没有这一项"),
        ({"kinds": ["own_cup", 7]}, "$.kinds[1]", "请填文字"),
        ({"kinds": "own_cup"}, "$.kinds", "列表"),
        ({"site_kinds": ["moon"]}, "$.site_kinds[0]", "不符合要求"),
        ({"accounts": ["teacher"]}, "$.accounts[0]", "不符合要求"),
        ({"when": {"by": "moon"}}, "$.when", "从列表中选择"),
        ({"when": {"days": 3}}, "$.when", "从列表中选择"),
        ({"when": {"by": "days", "days": 0}}, "$.when.days", "不能小于"),
        ({"when": {"by": "days", "days": "3"}}, "$.when.days", "请填整数"),
        ({"when": {"by": "days", "days": 3.5}}, "$.when.days", "请填整数"),
        ({"when": {"by": "observance", "key": "x", "from_offset": -61}}, "$.when.from_offset", "不能小于"),
        ({"when": {"by": "observance", "key": "x", "year": 2027}}, "$.when.year", "没有这一项"),
        (
            {"when": {"by": "weekly", "weekdays": [8], "from_time": "09:00", "to_time": "10:00", "weeks": 1}},
            "$.when.weekdays[0]",
            "不能大于",
        ),
        (
            {"when": {"by": "weekly", "weekdays": [1], "from_time": "10:00", "to_time": "10:00", "weeks": 1}},
            "$.when",
            "晚于开始",
        ),
        ({"goals": {"kg": 0}}, "$.goals.kg", "不能小于"),
        ({"goals": {}}, "$.goals", "至少填一个目标"),
        ({"bonus": {"by": "points", "amount": 2, "cap": 10}}, "$.bonus.budget", "缺少"),
        ({"licence": "free for all"}, "$.licence", "不符合要求"),
        ({"announce_days": 61}, "$.announce_days", "不能大于"),
    ],
)
def test_a_bad_file_is_refused_with_the_path_and_the_reason(
    changed: dict[str, Any], path: str, reason: str
) -> None:
    ((where, why),) = refusals(json.dumps(document(**changed)).encode())
    assert where == path
    assert reason in why


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{" + b'"a":' * 9000,
        b'{"format": 1, "format": 1}',
        b'{"format": NaN}',
        b" " * (template_format.LARGEST + 1),
    ],
)
def test_what_is_no_template_at_all_is_refused_as_a_whole(content: bytes) -> None:
    assert [where for where, _why in refusals(content)] == ["$"]


def test_a_file_is_written_the_same_whatever_way_it_came() -> None:
    first = template_format.read(json.dumps(document()).encode()).text()
    turned = dict(reversed(document(announce_days=7, site_kinds=[]).items()))
    assert template_format.read(("\ufeff" + json.dumps(turned, ensure_ascii=False)).encode()).text() == first
    assert template_format.read(first.encode()).text() == first


def test_the_nine_that_come_with_the_platform_are_sound(world: World) -> None:
    assert len(shipped()) == 9
    with world.house.db.reading_session() as session:
        for one in shipped().values():
            assert one.text == one.template.text(), one.code
            assert one.template.title.en
            assert one.template.words.en
            assert one.template.goals is one.template.bonus is None
            assert list(campaign_templates._unknown(session, one.template)) == []
        assert [one.code for one in shelf(session)] == list(shipped())


# --- the shelf -----------------------------------------------------------------------------------------------


def test_what_was_published_is_downloaded_byte_for_byte_and_never_changed(world: World) -> None:
    row = publish(world)
    again = publish(world)
    assert (again.code, again.published_at) == (row.code, row.published_at)
    with world.house.db.reading_session() as session:
        found = on_shelf(session, "three-days")
        assert found.text == row.document == template_format.read(json.dumps(document()).encode()).text()
        assert found.owner == "静安区"
    with pytest.raises(InvalidField) as refused:
        publish(world, author="别人")
    assert refused.value.params["errors"][0]["field"] == "$.code"
    with pytest.raises(InvalidField):
        publish(world, code="environment-day")
    for change in ("document = 'x'", "published_at = '2020-01-01'", "division_code = '310106006'"):
        with pytest.raises(sa.exc.DatabaseError), world.house.db.transaction() as connection:
            connection.execute(sa.text(f"UPDATE campaign_template SET {change}"))
    with pytest.raises(sa.exc.DatabaseError), world.house.db.transaction() as connection:
        connection.execute(sa.text("DELETE FROM campaign_template"))


def test_unknown_kinds_and_observances_are_refused_with_their_path(world: World) -> None:
    when = {"by": "observance", "key": "moon_day", "until": "sun_day"}
    organiser = world.organiser
    before = contents(world.house)
    with pytest.raises(InvalidField) as refused:
        publish(world, organiser, kinds=["own_cup", "fly"], when=when)
    fields = [one["field"] for one in refused.value.params["errors"]]
    assert fields == ["$.kinds[1]", "$.when.key", "$.when.until"]
    assert written(before, contents(world.house)) == {}


def test_each_publishes_and_withdraws_within_its_own_scope(world: World) -> None:
    school = create_organisation(
        world.house, world.colleague(Role.ADMIN), name="第一小学", division_code=COMMUNITY
    )
    teacher = world.colleague(Role.ORGANISER, organisation=school.id)
    content = json.dumps(document()).encode()
    with pytest.raises(NotAllowed):
        campaign_templates.publish(world.house, teacher, content, division_code=DISTRICT)
    campaign_templates.publish(world.house, teacher, content, organisation_id=school.id)
    with pytest.raises(NotAllowed):
        campaign_templates.withdraw(
            world.house, world.colleague(Role.ORGANISER, division=OTHER_COMMUNITY), "three-days"
        )
    campaign_templates.withdraw(world.house, teacher, "three-days")
    campaign_templates.withdraw(world.house, teacher, "three-days")
    with world.house.db.reading_session() as session, pytest.raises(NotFound):
        on_shelf(session, "three-days")
    with pytest.raises(NotFound):
        campaign_templates.withdraw(world.house, teacher, "environment-day")


def test_a_campaign_becomes_a_template_that_another_adopts(world: World) -> None:
    site = world.site("own_cup")
    now = clock.now()
    made = world.campaign(
        site,
        title="自带杯周",
        starts_at=now,
        ends_at=now + timedelta(days=6, hours=1),
        words="带杯子。",
        kinds=["own_cup"],
        divisions=[STREET],
        accounts=["class"],
        goals={"participants": 50},
    )
    row = campaign_templates.publish_campaign(
        world.house, world.organiser, made.id, author="静安区", licence="CC0-1.0", title_en="Own Cup Week"
    )
    found = template_format.read(row.document.encode())
    assert found.title.model_dump() == {"zh": "自带杯周", "en": "Own Cup Week"}
    assert found.when.model_dump() == {"by": "days", "days": 7}
    assert (found.kinds, found.accounts, found.words.zh, found.goals and found.goals.participants) == (
        ["own_cup"],
        ["class"],
        "带杯子。",
        50,
    )
    assert str(site.id) not in row.document
    assert STREET not in row.document
    with pytest.raises(InvalidField) as refused:
        campaign_templates.publish_campaign(
            world.house, world.organiser, made.id, author="", licence="all mine"
        )
    assert [one["field"] for one in refused.value.params["errors"]] == ["author", "licence"]
    draft = campaign_desk.draft(
        world.house, world.organiser, world.campaign_in(site, starts_at=now, ends_at=now + timedelta(days=1))
    )
    with pytest.raises(CampaignMovedOn):
        campaign_templates.publish_campaign(
            world.house, world.organiser, draft.id, author="静安区", licence="CC0-1.0"
        )
    adopted = draft_by(world, row.code, site, kinds=["own_cup"])
    assert adopted.template == row.code


# --- approved before -----------------------------------------------------------------------------------------


def rules(site: Any, days: int = 3, **changed: Any) -> dict[str, Any]:
    start = clock.now() + timedelta(days=10)
    when = changed.pop("when", by_dates(start, start + timedelta(days=days)))
    return {"when": when, "site_ids": [str(site.id)], "kinds": ["own_cup"], **changed}


def draft_by(world: World, code: str | None, site: Any, **changed: Any) -> Campaign:
    campaign_in = campaign_desk.CampaignIn(
        title="照模板",
        division_code=DISTRICT,
        template=code,
        rules=Rules.model_validate(rules(site, **changed)),
    )
    return campaign_desk.draft(world.house, world.organiser, campaign_in)


def approve_template(world: World, code: str = "three-days", by: Principal | None = None) -> None:
    with world.house.db.reading_session() as session:
        digest = on_shelf(session, code).digest
    campaign_templates.approve(world.house, by or world.officer, code, digest)


BONUS = {"by": "points", "amount": 2, "cap": 10, "budget": 100}
KEEPS: dict[str, dict[str, Any]] = {
    "as it is": {"kinds": ["own_cup", "clean_plate"], "bonus": BONUS},
    "less": {"days": 1, "kinds": ["clean_plate"]},
    "own goals": {"goals": {"kg": 5}, "divisions": [STREET], "words": "另一段话"},
}
GOES_BEYOND: dict[str, dict[str, Any]] = {
    "longer": {"days": 4},
    "all kinds": {"kinds": []},
    "another kind": {"kinds": ["own_cup", "no_cutlery"]},
    "more points": {"bonus": {**BONUS, "amount": 3}},
    "a higher cap": {"bonus": {**BONUS, "cap": 11}},
    "a larger budget": {"bonus": {**BONUS, "budget": 101}},
    "another bonus": {"bonus": {**BONUS, "by": "percent"}},
    "other days": {"when": {"by": "observance", "key": "environment_day", "year": 2027}},
}


def test_what_keeps_to_an_approved_template_is_approved_on_submission(world: World) -> None:
    site = world.site("own_cup", "clean_plate", "no_cutlery")
    publish(world)
    approve_template(world)
    for what, changed in KEEPS.items():
        campaign = draft_by(world, "three-days", site, **changed)
        version = campaign_desk.submit(world.house, world.organiser, campaign.id)
        assert (version.state, version.by_template) == (VersionState.APPROVED, True), what
        assert version.decided_by is None
        with world.house.db.reading_session() as session:
            approved = session.get_one(Campaign, campaign.id)
            assert (approved.version, approved.starts_at is not None) == (1, True), what
    assert world.breaches() == []


def test_what_goes_beyond_it_waits_as_ever(world: World) -> None:
    site = world.site("own_cup", "clean_plate", "no_cutlery")
    publish(world)
    approve_template(world)
    for what, changed in GOES_BEYOND.items():
        campaign = draft_by(world, "three-days", site, **changed)
        version = campaign_desk.submit(world.house, world.organiser, campaign.id)
        assert (version.state, version.by_template) == (VersionState.SUBMITTED, False), what


def test_a_draft_that_was_changed_is_looked_at_as_it_is_submitted(world: World) -> None:
    site = world.site("own_cup", "no_cutlery")
    publish(world)
    approve_template(world)
    campaign = draft_by(world, "three-days", site)
    beyond = ChangeIn(title="照模板", rules=Rules.model_validate(rules(site, days=9)))
    campaign_desk.amend(world.house, world.organiser, campaign.id, beyond)
    assert campaign_desk.submit(world.house, world.organiser, campaign.id).state is VersionState.SUBMITTED
    campaign_desk.take_back(world.house, world.organiser, campaign.id)
    within = ChangeIn(title="照模板", rules=Rules.model_validate(rules(site, days=2)))
    campaign_desk.amend(world.house, world.organiser, campaign.id, within)
    assert campaign_desk.submit(world.house, world.organiser, campaign.id).state is VersionState.APPROVED
    campaign_desk.amend(world.house, world.organiser, campaign.id, beyond)  # a change that goes beyond
    assert campaign_desk.submit(world.house, world.organiser, campaign.id).state is VersionState.SUBMITTED


def test_without_an_approval_by_somebody_else_nothing_is_approved(world: World) -> None:
    site = world.site("own_cup")
    publish(world)
    boss = world.colleague(Role.OFFICER, Role.ORGANISER)

    def state(by: Principal) -> VersionState:
        campaign = draft_by(world, "three-days", site)
        return campaign_desk.submit(world.house, by, campaign.id).state

    assert state(world.organiser) is VersionState.SUBMITTED
    approve_template(world, by=boss)
    assert state(boss) is VersionState.SUBMITTED  # one person alone approves nothing
    assert state(world.organiser) is VersionState.APPROVED
    campaign_templates.end_approval(world.house, world.officer, "three-days")
    campaign_templates.end_approval(world.house, world.officer, "three-days")
    assert state(world.organiser) is VersionState.SUBMITTED
    approve_template(world)
    campaign_templates.withdraw(world.house, world.organiser, "three-days")
    with pytest.raises(InvalidField) as refused:
        draft_by(world, "three-days", site)
    assert refused.value.params["errors"][0]["field"] == "template"


def test_only_officers_of_the_district_approve_and_only_what_they_read(world: World) -> None:
    publish(world)
    for stranger in (
        world.organiser,
        world.colleague(Role.OFFICER, division=STREET),
        world.colleague(Role.ADMIN),
    ):
        with pytest.raises(NotAllowed):
            approve_template(world, by=stranger)
    with pytest.raises(CampaignMovedOn):
        campaign_templates.approve(world.house, world.officer, "three-days", "0" * 64)
    assert at_once([lambda: approve_template(world)] * 6) == [None] * 6
    with world.house.db.reading_session() as session:
        assert len(session.exec(sa.select(TemplateApproval)).all()) == 1
        deeds = session.exec(sa.select(AuditEntry.deed).where(AuditEntry.subject == "template:three-days"))
        assert [deed for (deed,) in deeds] == ["template.published", "template.approved"]


def test_the_database_itself_lets_no_version_pass_by_a_template_that_nobody_else_approved(
    world: World,
) -> None:
    site = world.site("own_cup")
    publish(world)
    waiting = [draft_by(world, code, site) for code in ("three-days", None)]
    for campaign in waiting:
        campaign_desk.submit(world.house, world.organiser, campaign.id)
    forced = sa.text(
        "UPDATE campaign_version SET state = 'approved', by_template = :yes, decided_at = submitted_at WHERE campaign_id = :id"
    ).bindparams(sa.bindparam("id", type_=sa.Uuid()))
    for campaign in waiting:
        with pytest.raises(sa.exc.DatabaseError), world.house.db.transaction() as connection:
            connection.execute(forced, {"yes": True, "id": campaign.id})
    approve_template(world, by=world.second_officer)
    with world.house.db.transaction() as connection:  # the control: with an approval it would pass
        connection.execute(forced, {"yes": True, "id": waiting[0].id})


def test_of_an_approval_that_ends_while_campaigns_are_submitted_each_is_seen_whole(world: World) -> None:
    site = world.site("own_cup")
    publish(world)
    approve_template(world)
    drafts = [draft_by(world, "three-days", site) for _ in range(5)]

    def submit(campaign: Campaign) -> Any:
        return campaign_desk.submit(world.house, world.organiser, campaign.id).state

    calls: list[Any] = [lambda one=one: submit(one) for one in drafts]
    calls.insert(2, lambda: campaign_templates.end_approval(world.house, world.officer, "three-days"))
    said = at_once(calls)
    assert not [one for one in said if isinstance(one, Exception)]
    with world.house.db.reading_session() as session:
        ended = session.exec(sa.select(TemplateApproval.ended_at)).scalar_one()
        assert ended is not None
        for campaign in drafts:
            version = session.get_one(CampaignVersion, (campaign.id, 1))
            assert version.by_template is (version.state is VersionState.APPROVED)
    assert campaign_desk.submit(
        world.house, world.organiser, draft_by(world, "three-days", site).id
    ).state is (VersionState.SUBMITTED)


# --- the calendar ahead --------------------------------------------------------------------------------------


def test_the_calendar_ahead_tells_what_is_not_announced(world: World) -> None:
    with world.house.db.reading_session() as session:
        found = ahead(session, clock.today())
    known = [(one.key, one.year) for one in found if one.span]
    assert known[0] == ("environment_day", 2027)
    assert ("arbor_day", 2027) not in known  # over
    assert ("arbor_day", 2028) in known
    unknown = [(one.key, one.year) for one in found if not one.span]
    assert unknown == [
        ("energy_saving_week", 2027),
        ("low_carbon_day", 2027),
        ("energy_saving_week", 2028),
        ("low_carbon_day", 2028),
    ]
