"""`GET /api/v1/statistics`: the bureau's numbers, from the figures alone."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings, strategies
from sqlmodel import SQLModel

from activities.review import void_action
from tanpuhui import clock
from tanpuhui.bureau.participation import Period, statistics
from tanpuhui.staff import Role
from tests.world import COMMUNITY, OTHER_COMMUNITY, STREET, World

Ask = Callable[..., dict[str, Any]]

POLLUTANTS = ("nox", "pm25", "voc", "so2", "co")
CO2E = ("co2e_mg", "co2e_mid_mg", "co2e_high_mg")
AMOUNTS = (*CO2E, *(f"{name}_{what}" for name in POLLUTANTS for what in ("ug", "known")))
PARTS = ("verified", "self_declared", "city")

MEASURED = {
    *("participants", "actions", "own_actions", "quantity_milli", "points", "co2e_known"),
    *AMOUNTS,
    *(f"{part}_{name}" for part in PARTS for name in ("actions", *AMOUNTS)),
}


@pytest.fixture
def ask(world: World) -> Ask:
    """Ask for statistics as an officer who has a reason to see those of a few people, after the relay has caught up."""
    token = world.token(world.officer, Role.OFFICER)

    def asked(**query: str) -> dict[str, Any]:
        world.house.relay.drain()
        answer = world.call("GET", "/statistics", token, query_string={"reason": "核对", **query})
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
    assert row.keys() == {*MEASURED, "withheld"}
    unknown = {name for name, value in row.items() if value is None} - {"withheld"}
    prefixes = ("", *(f"{part}_" for part in PARTS))
    assert unknown == {f"{prefix}{name}_ug" for prefix in prefixes for name in POLLUTANTS}
    assert {value for name, value in row.items() if name not in {*unknown, "withheld"}} == {0}


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
        assert all(row.keys() == MEASURED | {"withheld", *by.split(",")} for row in rows)


FIGURES = strategies.lists(
    strategies.fixed_dictionaries(
        {
            "kind": strategies.sampled_from(["clean_plate", "walk", "bike_trip"]),
            "evidence": strategies.sampled_from(
                [
                    "self_declared",
                    "photo",
                    "site_code",
                    "rotating_code",
                    "staff_confirmed",
                    "measured",
                    "lost",
                ]
            ),
            "city_credited": strategies.booleans(),
            "actions": strategies.integers(0, 50),
            "co2e_mg": strategies.integers(0, 10**12),
            "points": strategies.integers(0, 10**6),
            "known": strategies.integers(0, 50),
            "ug": strategies.integers(-(10**12), 10**12),
        }
    ),
    max_size=12,
    unique_by=lambda figure: (figure["kind"], figure["evidence"], figure["city_credited"]),
)


@settings(
    max_examples=25, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(figures=FIGURES)
@pytest.mark.parametrize("by", ["", "kind", "evidence"])
def test_every_total_adds_up(world: World, by: str, figures: list[dict[str, Any]]) -> None:
    """Verified and self-declared are the district's own; own and the city's are all; no coverage exceeds its part."""
    table = SQLModel.metadata.tables["daily_figure"]
    day = clock.today()
    key: dict[str, Any] = {"day": day, "division_code": COMMUNITY, "campaign": ""}
    rows = [_figure(**key, **figure) for figure in figures]
    with world.house.db.transaction() as connection:
        connection.execute(sa.delete(table))
        if rows:
            connection.execute(sa.insert(table), rows)
    with world.house.db.reading() as connection:
        found = statistics(connection, Period(day, day), [by] if by else [])
    for row in found:
        assert (
            row["verified_actions"] + row["self_declared_actions"] == row["own_actions"] == row["co2e_known"]
        )
        assert row["own_actions"] + row["city_actions"] == row["actions"]
        for name in AMOUNTS:
            assert row[f"verified_{name}"] + row[f"self_declared_{name}"] == row[name]
        for name in POLLUTANTS:
            for part in ("own", *PARTS):
                known = row[f"{name}_known" if part == "own" else f"{part}_{name}_known"]
                assert 0 <= known <= row[f"{part}_actions"]
    for name in ("actions", "points"):
        assert sum(row[name] for row in found) == sum(row[name] for row in rows)
    for name in AMOUNTS:
        everything = sum(row[name] + row[f"city_{name}"] for row in found)
        assert everything == sum(row[name] for row in rows)
    verified = {"site_code", "rotating_code", "staff_confirmed", "measured"}
    proven = [row for row in rows if row["evidence"] in verified and not row["city_credited"]]
    assert sum(row["verified_co2e_mg"] for row in found) == sum(row["co2e_mg"] for row in proven)


def _figure(known: int, ug: int, **values: Any) -> dict[str, Any]:
    """A figure with a factor for each pollutant for some of its actions (another number for each)."""
    actions, co2e = values["actions"], values["co2e_mg"]
    covered = {name: min(actions, known // number) for number, name in enumerate(POLLUTANTS, 1)}
    return {
        **values,
        "co2e_mid_mg": 2 * co2e,
        "co2e_high_mg": 3 * co2e,
        **{f"{name}_known": count for name, count in covered.items()},
        **{f"{name}_ug": ug if count else 0 for name, count in covered.items()},
    }


def test_each_part_says_for_how_many_of_its_actions_a_pollutant_is_known(world: World, ask: Ask) -> None:
    """One's own word and a photo are self-declared; both have their numbers apart, as has what the city credits."""
    scans(world)
    plain = {"day": clock.today(), "division_code": COMMUNITY, "campaign": "", "city_credited": False}
    own_word = {"actions": 4, "co2e_mg": 5, "co2e_mid_mg": 6, "co2e_high_mg": 7, "so2_ug": -8, "so2_known": 3}
    with world.house.db.transaction() as connection:
        for evidence in ("self_declared", "photo"):
            row = {**plain, **own_word, "kind": "walk", "evidence": evidence}
            connection.execute(sa.insert(SQLModel.metadata.tables["daily_figure"]), row)
    (row,) = ask()["rows"]
    assert [row[f"{part}_actions"] for part in ("own", *PARTS)] == [11, 3, 8, 1]
    assert [row[f"self_declared_{name}"] for name in CO2E] == [10, 12, 14]
    assert [row[f"verified_{name}"] for name in CO2E] == [3 * 144_000, 3 * 340_000, 3 * 449_000]
    assert [row[f"city_{name}"] for name in CO2E] == [2 * 48_700] * 3
    assert (row["so2_ug"], row["so2_known"], row["self_declared_so2_ug"]) == (-16, 6, -16)
    assert (row["verified_so2_ug"], row["verified_so2_known"]) == (None, 0)
    assert (row["nox_ug"], row["city_nox_ug"], row["city_nox_known"]) == (None, 97_497, 1)


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
