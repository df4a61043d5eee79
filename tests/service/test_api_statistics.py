"""`GET /api/v1/statistics`: the bureau's numbers, from the figures alone."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from activities.review import void_action
from tanpuhui import clock
from tanpuhui.staff import Role
from tests.world import COMMUNITY, OTHER_COMMUNITY, STREET, World

Ask = Callable[..., dict[str, Any]]

MEASURED = {
    "participants",
    "actions",
    "own_actions",
    "city_actions",
    "verified_actions",
    "quantity_milli",
    "points",
    "co2e_mg",
    "co2e_mid_mg",
    "co2e_high_mg",
    "city_co2e_mg",
    "verified_co2e_mg",
    *(f"{name}_{what}" for name in ("nox", "pm25", "voc", "so2", "co") for what in ("ug", "known")),
}


@pytest.fixture
def ask(world: World) -> Ask:
    """Ask for statistics as an officer, after the relay has caught up."""
    token = world.token(world.officer, Role.OFFICER)

    def asked(**query: str) -> dict[str, Any]:
        world.house.relay.drain()
        answer = world.call("GET", "/statistics", token, query_string=query)
        assert answer.status_code == 200, answer.get_json()
        found: dict[str, Any] = answer.get_json()
        return found

    return asked


def scans(world: World) -> None:
    """Two residents of one community and one of another; a trip that the city credits among it."""
    plate, bike = world.code("clean_plate"), world.code("bike_trip")
    first, second, third = world.resident(), world.resident(), world.resident(OTHER_COMMUNITY)
    for resident in (first, second, third):
        world.scan(resident, plate)
    world.scan(first, bike, quantity=2)


def test_an_empty_period_is_one_row_of_zeros(ask: Ask) -> None:
    today = clock.today()
    found = ask()
    assert found.keys() == {"from", "to", "by", "rows"}
    assert (found["from"], found["to"]) == ((today - timedelta(days=29)).isoformat(), today.isoformat())
    assert found["by"] == []
    (row,) = found["rows"]
    assert row.keys() == MEASURED
    unknown = {name for name, value in row.items() if value is None}
    assert unknown == {f"{name}_ug" for name in ("nox", "pm25", "voc", "so2", "co")}
    assert {value for name, value in row.items() if name not in unknown} == {0}


def test_the_total_counts_people_once_and_keeps_the_citys_part_apart(world: World, ask: Ask) -> None:
    scans(world)
    (row,) = ask()["rows"]
    assert (row["participants"], row["actions"], row["own_actions"], row["city_actions"]) == (3, 4, 3, 1)
    assert (row["co2e_mg"], row["city_co2e_mg"]) == (3 * 144_000, 2 * 48_700)
    assert row["points"] == 3 * 10 + 4
    assert (row["verified_actions"], row["verified_co2e_mg"]) == (3, 3 * 144_000)


def test_a_pollutant_nobody_has_a_factor_for_is_null(world: World, ask: Ask) -> None:
    world.scan(world.resident(), world.code("clean_plate"))
    (row,) = ask()["rows"]
    assert (row["nox_ug"], row["nox_known"]) == (None, 0)


def test_every_breakdown_adds_up_to_the_total(world: World, ask: Ask) -> None:
    scans(world)
    (total,) = ask()["rows"]
    for by in ("day", "division", "community", "kind", "evidence", "campaign", "day,division,kind"):
        rows = ask(by=by)["rows"]
        for name in ("actions", "co2e_mg", "points"):
            assert sum(row[name] for row in rows) == total[name], by
        assert all(row.keys() == MEASURED | set(by.split(",")) for row in rows)


def test_by_division_and_kind(world: World, ask: Ask) -> None:
    scans(world)
    found = ask(by="division,kind,division")
    assert found["by"] == ["division", "kind"]
    counted = {(row["division"], row["kind"]): (row["participants"], row["actions"]) for row in found["rows"]}
    assert counted == {
        (STREET, "clean_plate"): (2, 2),
        (STREET, "bike_trip"): (1, 1),
        (OTHER_COMMUNITY[:9], "clean_plate"): (1, 1),
    }
    communities = {row["community"] for row in ask(by="community")["rows"]}
    assert communities == {COMMUNITY, OTHER_COMMUNITY}
    (day,) = ask(by="day")["rows"]
    assert day["day"] == clock.today().isoformat()


def test_people_are_not_told_apart_by_evidence(world: World, ask: Ask) -> None:
    """The number is not known, which is not the same as nobody."""
    scans(world)
    (row,) = ask(by="evidence")["rows"]
    assert (row["evidence"], row["actions"], row["participants"]) == ("site_code", 4, None)


def test_a_void_takes_the_action_and_the_participant_back(world: World, ask: Ask) -> None:
    resident = world.resident()
    action = world.scan(resident, world.code("clean_plate"))["action"]["id"]
    assert ask()["rows"][0]["participants"] == 1
    void_action(world.house, world.officer, UUID(action), "重复扫码")
    (row,) = ask()["rows"]
    assert {row[name] for name in ("participants", "actions", "co2e_mg", "points")} == {0}


def test_only_the_days_asked_for_are_counted(world: World, ask: Ask) -> None:
    today = clock.today()
    code = world.code("clean_plate")
    with clock.pretending(clock.now() + timedelta(days=2)):
        world.scan(world.resident(), code)
    world.scan(world.resident(), code)
    later = (today + timedelta(days=2)).isoformat()
    spans = {(today.isoformat(), today.isoformat()): 1, (later, later): 1, (today.isoformat(), later): 2}
    for (first, last), actions in spans.items():
        found = ask(**{"from": first, "to": last})
        assert (found["from"], found["to"]) == (first, last)
        assert found["rows"][0]["actions"] == actions


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("role", "status"), [(Role.AUDITOR, 200), (Role.ADMIN, 200), (Role.MERCHANT, 403)])
def test_who_may_read(world: World, role: Role, status: int) -> None:
    token = world.token(world.colleague(role), role)
    assert world.call("GET", "/statistics", token).status_code == status
