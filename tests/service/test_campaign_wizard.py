"""Launching a campaign on the console's pages: from a template to the approval of the bureau."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from sqlmodel import select

from activities import campaigns
from activities.campaigns import Campaign, CampaignVersion, Stage
from tanpuhui import clock
from tests.browser import browser
from tests.world import DISTRICT, World

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
        return list(session.exec(select(CampaignVersion).order_by(CampaignVersion.number)).all())


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
