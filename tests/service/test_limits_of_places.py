"""Limits of sites, of weeks, and loads, in scans."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine

from activities import limits, sites
from activities.sites import Site
from tanpuhui import reference
from tanpuhui.errors import InvalidField, NotAllowed, TanpuhuiError
from tanpuhui.people import Resident
from tanpuhui.staff import Role
from tests.browser import browser
from tests.threads import at_once, codes
from tests.world import OTHER_COMMUNITY, World

NOON = datetime(2027, 6, 7, 4, 0, tzinfo=UTC)  # a Monday noon in Shanghai


@pytest.fixture(autouse=True)
def time() -> Iterator[time_machine.Traveller]:
    """A Monday noon in Shanghai."""
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


def limit(world: World, site: Site, schedule: str = "", **per_day: int | None) -> None:
    sites.set_limits(
        world.house, world.organiser, site.id, schedule=schedule, records_per_day=per_day, reason="人多"
    )


def outcome(world: World, resident: Resident, code: str, **more: Any) -> str:
    try:
        world.scan(resident, code, **more)
    except TanpuhuiError as refusal:
        return refusal.code
    return "ok"


def test_a_site_may_credit_less_than_the_catalogue(world: World, time: Any) -> None:
    resident, site = world.resident(), world.site("clean_plate")
    code, elsewhere = world.code_at(site), world.code("clean_plate")
    limit(world, site, clean_plate=1)
    assert outcome(world, resident, code) == "ok"
    time.shift(timedelta(hours=5))
    assert outcome(world, resident, code) == "site_limit_reached"
    assert outcome(world, resident, elsewhere) == "ok"
    limit(world, site, clean_plate=None)
    time.shift(timedelta(hours=5))
    assert outcome(world, resident, code) == "ok"
    assert world.breaches() == []


def test_a_site_credits_in_its_hours(world: World, time: Any) -> None:
    first, second = world.residents(2)
    site = world.site("clean_plate")
    code = world.code_at(site)
    limit(world, site, "Mo-Fr 11:00-13:00")
    assert outcome(world, first, code) == "ok"
    time.shift(timedelta(hours=1))
    assert outcome(world, second, code) == "site_not_open"
    # what happened in the hours and is sent later counts
    assert outcome(world, second, code, occurred_at=NOON + timedelta(minutes=30)) == "ok"


def test_limits_are_set_within_ones_scope_and_as_they_can_be(world: World) -> None:
    site = world.site("clean_plate")
    elsewhere = world.colleague(Role.ORGANISER, division=OTHER_COMMUNITY)
    with pytest.raises(NotAllowed):
        sites.set_limits(world.house, elsewhere, site.id, schedule="", records_per_day={}, reason="人多")
    for wrong in ({"schedule": "always"}, {"records_per_day": {"clean_plate": 0}}, {"reason": ""}):
        given: dict[str, Any] = {"schedule": "", "records_per_day": {}, "reason": "人多", **wrong}
        with pytest.raises(InvalidField):
            sites.set_limits(world.house, world.organiser, site.id, **given)


def test_drops_of_ten_minutes_are_one_load(world: World, time: Any) -> None:
    resident, code = world.resident(), world.code("recycle_glass")
    for _ in range(9):  # glass has five records a day
        assert outcome(world, resident, code, quantity="0.1") == "ok"
        time.shift(timedelta(minutes=1))
    assert outcome(world, resident, code, quantity="29.5") == "load_too_large"
    time.shift(timedelta(minutes=1))
    for _ in range(4):
        assert outcome(world, resident, code, quantity="0.1") == "ok"
        time.shift(timedelta(minutes=10))
    assert outcome(world, resident, code, quantity="0.1") == "daily_limit_reached"
    assert world.breaches() == []


def test_a_week_has_its_limit(world: World, time: Any) -> None:
    with world.house.db.transaction() as connection:
        connection.execute(sa.text("UPDATE action_kind SET records_per_week = 3 WHERE code = 'clean_plate'"))
        reference.bump(connection)
    resident, code = world.resident(), world.code("clean_plate")
    results = []
    for _ in range(8):
        results.append(outcome(world, resident, code))
        time.shift(timedelta(days=1))
    assert results == ["ok", "ok", "ok", *["weekly_limit_reached"] * 4, "ok"]


def test_a_limit_of_a_site_holds_under_a_hundred_scans_at_once(world: World) -> None:
    resident, site = world.resident(), world.site("own_cup")
    code = world.code_at(site)
    limit(world, site, own_cup=1)
    with world.house.db.transaction() as connection:
        connection.execute(sa.text("UPDATE action_kind SET min_interval_minutes = 0 WHERE code = 'own_cup'"))
        reference.bump(connection)
    results = codes(at_once([lambda: world.scan(resident, code)] * 100))
    assert results.count("ok") == 1
    assert results.count("site_limit_reached") == 99


def test_without_the_rule_a_hundred_scans_at_once_pass_the_limit_of_the_site(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: then only the catalogue's limit holds, three a day."""
    resident, site = world.resident(), world.site("own_cup")
    code = world.code_at(site)
    limit(world, site, own_cup=1)
    with world.house.db.transaction() as connection:
        connection.execute(sa.text("UPDATE action_kind SET min_interval_minutes = 0 WHERE code = 'own_cup'"))
        reference.bump(connection)
    check = limits.check_day
    monkeypatch.setattr(limits, "check_day", lambda *given: check(*given[:5]))
    assert codes(at_once([lambda: world.scan(resident, code)] * 100)).count("ok") == 3


def test_an_organiser_sets_them_on_a_page_and_what_was_typed_is_kept(world: World) -> None:
    site = world.site("clean_plate")
    desk = browser(world, world.organiser)
    desk.get(f"/console/sites/{site.id}/limits")
    page = desk.send(schedule="mornings", **{"per_day-clean_plate": "1", "reason": "人多"})
    assert desk.status == 422
    assert "开放时间请按这样写" in page
    assert 'value="mornings"' in page
    page = desk.send(schedule="", **{"per_day-clean_plate": "many", "reason": "人多"})
    assert "请填写整数" in page
    desk.send(schedule="Mo-Su 06:00-22:00", **{"per_day-clean_plate": "1", "reason": "人多"})
    assert desk.path == f"/console/sites/{site.id}"
    page = desk.get(f"/console/sites/{site.id}/limits")
    assert 'value="Mo-Su 06:00-22:00"' in page
    assert 'value="1"' in page
