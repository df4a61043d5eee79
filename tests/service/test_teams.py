"""Teams: rules, joining and leaving by one's own choice, and being listed by consent alone; the database refuses the rest."""

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from pydantic import ValidationError
from sqlmodel import select

from activities import campaign_desk, teams
from activities.campaign_rules import Rules, Teams
from activities.campaigns import Campaign, rules_of
from activities.teams import BoardListing, CampaignEntry
from tanpuhui import clock, consents, ids, people, schema
from tanpuhui.errors import InvalidField, NotFound
from tanpuhui.people import PRESENT, Document
from tests.browser import browser
from tests.service.test_families import make, school_class
from tests.tables import contents, written
from tests.threads import at_once, codes
from tests.world import COMMUNITY, OTHER_COMMUNITY, World

NAMES = ["甲楼", "乙楼"]
BUILDINGS = {"kind": "building", "names": NAMES}
VERSION = PRESENT[Document.BOARDS]


def entries(world: World) -> list[CampaignEntry]:
    with world.house.db.reading_session() as session:
        return list(session.exec(select(CampaignEntry)).all())


def listings(world: World) -> list[BoardListing]:
    with world.house.db.reading_session() as session:
        return list(session.exec(select(BoardListing)).all())


# --- rules ---------------------------------------------------------------------------------------------------


def test_teams_are_named_once_each_and_communities_name_themselves() -> None:
    assert Teams(kind="school", names=["  第一  小学 ", "第二小学"]).names == ["第一 小学", "第二小学"]
    assert Teams(kind="community").names == []
    for wrong in (
        {"kind": "building", "names": []},
        {"kind": "building", "names": ["甲楼"]},
        {"kind": "building", "names": ["甲楼", "甲楼 "]},
        {"kind": "building", "names": ["Tower A", "tower  a"]},
        {"kind": "building", "names": ["甲楼", " "]},
        {"kind": "building", "names": ["甲楼", "乙" * 31]},
        {"kind": "building", "names": ["甲楼", "乙\N{RIGHT-TO-LEFT OVERRIDE}楼"]},
        {"kind": "building", "names": [str(number) for number in range(201)]},
        {"kind": "community", "names": NAMES},
        {"kind": "street", "names": NAMES},
    ):
        with pytest.raises(ValidationError):
            Teams.model_validate(wrong)


def test_the_form_takes_teams_shows_them_and_refuses_beside_the_field(world: World) -> None:
    site = world.site("clean_plate")
    me = browser(world, world.organiser)
    start = clock.local(clock.now() + timedelta(days=1))
    form = {
        "title": "楼宇赛",
        "division_code": COMMUNITY[:6],
        "when.by": "dates",
        "when.dates.starts_at": f"{start:%Y-%m-%dT%H:%M}",
        "when.dates.ends_at": f"{start + timedelta(days=1):%Y-%m-%dT%H:%M}",
        "which": "ticked",
        "site_ids": str(site.id),
        "who": "all",
        "announce_days": "60",
    }
    for names, reason in (
        ("甲楼", "请至少写两个队"),
        ("甲楼\n 甲楼", "有两个队同名"),
        ("甲楼\n" + "乙" * 31, "30"),
    ):
        me.get("/console/campaigns/new/blank")
        page = me.send("/new/blank", **form, **{"teams.kind": "building", "teams.names": names})
        assert me.status == 422
        assert reason in page
        assert "甲楼" in page  # what was typed is kept
    preview = me.send("/new/blank", **form, **{"teams.kind": "building", "teams.names": "甲楼\n\n乙楼\n"})
    assert "按楼宇，2 个队，自愿加入" in preview
    assert "登录后加入" not in preview
    with world.house.db.reading_session() as session:
        campaign = session.exec(select(Campaign)).one()
    assert "甲楼\n乙楼" in me.get(f"/console/campaigns/{campaign.id}/edit")
    assert "2 个队，自愿加入：甲楼、乙楼" in me.get(f"/console/campaigns/{campaign.id}")


# --- joining -------------------------------------------------------------------------------------------------


def test_somebody_joins_changes_and_leaves_on_the_page(world: World) -> None:
    campaign = world.campaign(world.site("clean_plate"), teams=BUILDINGS)
    resident = world.resident()
    me, boss = browser(world, resident), browser(world, world.organiser)
    page = f"/campaigns/{campaign.id}"
    assert "登录后加入一个队" in browser(world).get(page)
    me.get(page)
    assert "请从列表中选择一个队" in me.send("/team", team="丙楼")
    assert (me.status, entries(world)) == (422, [])
    assert "您在“甲楼”队" in me.send("/team", team="甲楼")
    assert "您在“乙楼”队" in me.send("/team", team="乙楼")
    assert [one.team for one in entries(world)] == ["乙楼"]
    counted = boss.get(f"/console/campaigns/{campaign.id}")
    assert "乙楼" in counted
    me.get(page)
    assert "已经退出" in me.send("/team/leave")
    assert entries(world) == []
    before = contents(world.house)
    teams.leave(world.house, resident.id, campaign.id)  # again changes nothing
    assert written(before, contents(world.house)) == {}


def test_who_may_join_what(world: World) -> None:
    """Refused beside the field, and nothing half done: no such team, none at all, elsewhere, over, given up, left."""
    site, now = world.site("clean_plate"), clock.now()
    here, elsewhere = world.resident(), world.resident(OTHER_COMMUNITY)
    local = world.campaign(site, divisions=[COMMUNITY], teams={"kind": "community"})
    over = world.campaign(
        site, teams=BUILDINGS, starts_at=now - timedelta(hours=3), ends_at=now - timedelta(hours=1)
    )
    gone = world.campaign(site, teams=BUILDINGS)
    campaign_desk.cancel(world.house, world.organiser, gone.id, "台风")
    plain = world.campaign(site)
    before = contents(world.house)
    for who, campaign, team in (
        (here, local, OTHER_COMMUNITY),
        (here, local, "甲楼"),
        (elsewhere, local, OTHER_COMMUNITY),
        (here, over, "甲楼"),
        (here, gone, "甲楼"),
        (here, plain, "甲楼"),
    ):
        with pytest.raises(InvalidField) as error:
            teams.join(world.house, who.id, campaign.id, team)
        assert [one["field"] for one in error.value.params["errors"]] == ["team"]
    with pytest.raises(NotFound):
        teams.join(world.house, here.id, ids.new_id(), "甲楼")
    assert written(before, contents(world.house)) == {}
    teams.join(world.house, here.id, local.id, COMMUNITY)
    me = browser(world, here)
    assert "队" in me.get(f"/campaigns/{local.id}")
    assert "不在这次活动的范围内" in browser(world, elsewhere).get(f"/campaigns/{local.id}")
    people.leave(world.house, here.id)
    assert entries(world) == []
    with pytest.raises(NotFound):
        teams.join(world.house, here.id, local.id, COMMUNITY)
    with (
        pytest.raises(sa.exc.DatabaseError, match="only who takes part joins a team"),
        world.house.db.session() as session,
    ):
        session.add(CampaignEntry(campaign_id=local.id, resident_id=here.id, team=COMMUNITY))


def test_of_twenty_taps_at_once_one_team_is_left(world: World) -> None:
    campaign = world.campaign(world.site("clean_plate"), teams=BUILDINGS)
    resident = world.resident()

    def tap(at: int) -> Any:
        return lambda: teams.join(world.house, resident.id, campaign.id, NAMES[at % 2])

    assert codes(at_once([tap(at) for at in range(20)])) == ["ok"] * 20
    (entry,) = entries(world)
    assert entry.team in NAMES
    # Without the turn that `join` takes, the database still knows one team for each: it refuses the second row.
    with pytest.raises(sa.exc.IntegrityError), world.house.db.transaction() as connection:
        connection.execute(sa.insert(CampaignEntry).values(**entry.model_dump() | {"team": "另一队"}))


def test_a_team_that_a_new_version_drops_counts_for_nobody(world: World) -> None:
    site, now = world.site("clean_plate"), clock.now()
    campaign_in = world.campaign_in(
        site, starts_at=now - timedelta(hours=1), ends_at=now + timedelta(hours=1), teams=BUILDINGS
    )
    campaign = world.launch(campaign_in)
    resident = world.resident()
    teams.join(world.house, resident.id, campaign.id, "甲楼")
    rules = campaign_in.rules.model_copy(update={"teams": Teams(kind="building", names=["乙楼", "丙楼"])})
    change = campaign_desk.ChangeIn(title=campaign.title, rules=Rules.model_validate(rules.stored()))
    version = campaign_desk.amend(world.house, world.organiser, campaign.id, change)
    campaign_desk.submit(world.house, world.organiser, campaign.id)
    campaign_desk.approve(world.house, world.officer, campaign.id, version.number)
    with world.house.db.reading_session() as session:
        found = teams.counts(session, campaign.id, rules_of(session, session.get_one(Campaign, campaign.id)))
    assert [(one.name, one.joined) for one in found] == [("乙楼", 0), ("丙楼", 0)]
    page = browser(world, resident).get(f"/campaigns/{campaign.id}")
    assert "您原来的队没有了" in page
    assert "您在“甲楼”队" not in page


# --- the board of people -------------------------------------------------------------------------------------


def test_nobody_is_listed_without_a_standing_consent(world: World) -> None:
    campaign = world.campaign(world.site("clean_plate"))
    resident = world.resident()
    before = contents(world.house)
    for version, field in ((None, "boards"), ("2026-11", "version")):
        with pytest.raises(InvalidField) as error:
            teams.list_me(world.house, resident.id, campaign.id, version=version)
        assert [one["field"] for one in error.value.params["errors"]] == [field]
    assert written(before, contents(world.house)) == {}
    with (
        pytest.raises(sa.exc.DatabaseError, match="only who agreed is on a board"),
        world.house.db.session() as session,
    ):
        session.add(BoardListing(campaign_id=campaign.id, resident_id=resident.id))
    me = browser(world, resident)
    asked = me.get(f"/campaigns/{campaign.id}/board")
    assert "榜单是公开的" in asked  # the words of the text stand where the yes is asked for
    assert "已经上榜" in me.send("/board/listing")
    assert len(listings(world)) == 1
    assert "已经退出" in me.send("/listing/end")
    assert listings(world) == []
    assert "您已经同意" in me.get(f"/campaigns/{campaign.id}/board")
    me.send("/board/listing")
    assert len(listings(world)) == 1
    me.get("/me/privacy")
    consents.withdraw(world.house, resident.id, Document.BOARDS)
    assert listings(world) == []


def test_listing_and_taking_the_consent_back_at_once_leave_nobody_listed_without_it(world: World) -> None:
    campaign = world.campaign(world.site("clean_plate"))
    resident = world.resident()
    teams.list_me(world.house, resident.id, campaign.id, version=VERSION)
    calls: list[Any] = [lambda: teams.list_me(world.house, resident.id, campaign.id)] * 6
    calls[3:3] = [lambda: consents.withdraw(world.house, resident.id, Document.BOARDS)] * 2
    assert set(codes(at_once(calls))) <= {"ok", "invalid_fields"}
    assert listings(world) == []


def test_classes_and_families_take_part_alike_and_are_not_named(world: World) -> None:
    site = world.site("clean_plate")
    campaign, code = world.campaign(site, teams=BUILDINGS), world.code_at(site)
    for account in (make(world, world.resident()), school_class(world)):
        teams.join(world.house, account.id, campaign.id, "甲楼")
        teams.list_me(world.house, account.id, campaign.id, version=VERSION)
        world.scan(account, code)
    world.house.relay.drain()
    page = browser(world).get(f"/campaigns/{campaign.id}/board")
    assert "一个家庭" in page
    assert "一个班级" in page
    assert "我家" not in page
    assert "三（2）班" not in page


# --- the figures that were there before ----------------------------------------------------------------------


def test_an_upgrade_fills_in_what_participants_saved(world: World) -> None:
    site = world.site("clean_plate", "metro_trip")
    world.campaign(site)
    code = world.code_at(site)
    for who in world.residents(3):
        world.scan(who, code, kind="clean_plate")
        world.scan(who, code, kind="metro_trip", quantity="5")
    world.house.relay.drain()
    late = world.resident()
    world.scan(late, code, kind="clean_plate")  # the figures have not come so far: it is counted once, later
    with world.house.db.reading() as connection:
        saved = "SELECT resident_id, co2e_mg FROM campaign_participant ORDER BY resident_id"
        before = connection.execute(sa.text(saved)).all()
    config = schema.alembic_config(world.house)
    command.downgrade(config, "0024")
    schema.migrate(world.house)
    with world.house.db.reading() as connection:
        assert connection.execute(sa.text(saved)).all() == before
    assert all(mg > 0 for _who, mg in before)
    assert world.figure_differences() == []
