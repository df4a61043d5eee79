"""Campaigns: a window and sites; whether one is open follows from time alone."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
import time_machine
from pydantic import ValidationError
from sqlmodel import SQLModel

from activities import campaigns
from activities.campaigns import Campaign, CampaignIn
from tanpuhui import clock, ids
from tanpuhui.errors import InvalidField, NotAllowed, NotFound
from tanpuhui.rooms import build_house
from tanpuhui.staff import Role
from tests.tables import contents, written
from tests.world import COMMUNITY, DISTRICT, OTHER_COMMUNITY, STREET, World


@pytest.fixture(autouse=True)
def time() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(datetime(2027, 6, 5, 2, 0, tzinfo=UTC), tick=False) as traveller:
        yield traveller


def campaign_in(*site_ids: UUID, hours: int = 2, **changed: Any) -> CampaignIn:
    now = clock.now()
    wanted = {
        "title": "六五环境日",
        "division_code": DISTRICT,
        "starts_at": now,
        "ends_at": now + timedelta(hours=hours),
    }
    return CampaignIn.model_validate({**wanted, "site_ids": list(site_ids), **changed})


def launch(world: World, *site_ids: UUID, **changed: Any) -> Campaign:
    return campaigns.create_campaign(world.house, world.organiser, campaign_in(*site_ids, **changed))


def campaign_of(world: World, code: str, **more: Any) -> UUID | None:
    found = world.scan(world.resident(), code, quantity="1", **more)["action"]["campaign_id"]
    return UUID(found) if found else None


def test_a_cancelled_campaign_counts_nothing_from_then_on(world: World, time: Any) -> None:
    site = world.site("recycle_glass")
    code = world.code_at(site)
    campaign = launch(world, site.id)
    second = World(build_house(world.house.settings))
    assert second.scan(world.resident(), code, key="a", quantity="1")["action"]["campaign_id"] == str(
        campaign.id
    )
    time.shift(timedelta(minutes=30))
    campaigns.cancel_campaign(world.house, world.organiser, campaign.id, "台风")
    cancelled_at = clock.now()
    assert second.scan(world.resident(), code, key="b", quantity="1")["action"]["campaign_id"] is None
    time.shift(timedelta(minutes=30))
    assert campaign_of(world, code) is None
    late = campaign_of(world, code, occurred_at=cancelled_at - timedelta(seconds=1))
    assert late == campaign.id  # what was done before it ended early still belongs to it
    campaigns.cancel_campaign(world.house, world.organiser, campaign.id, "又一次")
    with world.house.db.reading_session() as session:
        assert session.get_one(Campaign, campaign.id).cancelled_at == cancelled_at
    second.house.db.dispose()


def test_of_several_open_campaigns_the_one_that_began_last_has_the_scan(world: World, time: Any) -> None:
    site = world.site("recycle_glass")
    code = world.code_at(site)
    long = launch(world, site.id, hours=48)
    time.shift(timedelta(hours=1))
    short = launch(world, site.id, hours=1)
    future = launch(
        world, site.id, starts_at=clock.now() + timedelta(hours=6), ends_at=clock.now() + timedelta(hours=7)
    )
    assert campaign_of(world, code) == short.id
    time.shift(timedelta(hours=1))
    assert campaign_of(world, code) == long.id
    time.shift(timedelta(hours=5))
    assert campaign_of(world, code) == future.id


def test_a_campaign_takes_sites_of_ones_own_scope(world: World) -> None:
    here, there = world.site("own_cup"), world.site("own_cup", community=OTHER_COMMUNITY)
    street = world.colleague(Role.ORGANISER, division=STREET)
    before = contents(world.house)
    with pytest.raises(NotAllowed):
        campaigns.create_campaign(world.house, street, campaign_in(here.id, there.id, division_code=STREET))
    with pytest.raises(NotFound):
        campaigns.create_campaign(
            world.house, street, campaign_in(here.id, ids.new_id(), division_code=STREET)
        )
    now = clock.now()
    with pytest.raises(InvalidField):
        campaigns.create_campaign(
            world.house, street, campaign_in(here.id, division_code=STREET, ends_at=now)
        )
    assert written(before, contents(world.house)) == {}
    mine = campaigns.create_campaign(world.house, street, campaign_in(here.id, here.id, division_code=STREET))
    wide = launch(world, here.id, there.id)
    with world.house.db.reading_session() as session:
        assert [found.id for found in campaigns.list_campaigns(session, street)] == [mine.id]
        assert {found.id for found in campaigns.list_campaigns(session, world.organiser)} == {
            mine.id,
            wide.id,
        }
        assert {found.id for found in campaigns.sites_of(session, wide.id)} == {here.id, there.id}
        assert campaigns.list_campaigns(session, world.colleague(Role.HELPER)) == []
    with pytest.raises(NotAllowed):
        campaigns.cancel_campaign(world.house, street, wide.id, "不归我管")
    with pytest.raises(NotFound):
        campaigns.cancel_campaign(world.house, street, ids.new_id(), "没有")


@pytest.mark.parametrize(
    "changed",
    [
        {"title": "x"},
        {"title": "题" * 61},
        {"starts_at": "2027-06-05T10:00:00"},
        {"site_ids": []},
        {"budget": 5},
    ],
)
def test_a_campaign_out_of_shape_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        campaign_in(ids.new_id(), **changed)


def test_the_database_itself_guards_campaigns(world: World) -> None:
    site = world.site("own_cup")
    campaign = launch(world, site.id)
    link = SQLModel.metadata.tables["campaign_site"]
    for change in (
        sa.text("UPDATE campaign SET ends_at = starts_at"),
        sa.text("UPDATE campaign SET division_code = 'x'"),
        sa.insert(link).values(campaign_id=campaign.id, site_id=site.id),
        sa.insert(link).values(campaign_id=campaign.id, site_id=ids.new_id()),
    ):
        with pytest.raises(sa.exc.IntegrityError), world.house.db.transaction() as connection:
            connection.execute(change)
    assert site.division_code == COMMUNITY
