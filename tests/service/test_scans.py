"""Scans: what is credited, what is refused, and that a refusal or a race leaves nothing behind."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
import time_machine
from sqlmodel import SQLModel

from activities import codes as activity_codes, scans, sites
from activities.review import void_action
from activities.sites import SiteStatus
from tanpuhui import clock, ids, people, reference
from tanpuhui.errors import InvalidIdempotencyKey, KeyReused, MissingIdempotencyKey, TanpuhuiError
from tanpuhui.idempotency import check_key
from tanpuhui.people import Resident
from tanpuhui.rooms import House, build_house
from tests.tables import contents, written
from tests.threads import at_once, codes
from tests.world import COMMUNITY, World

NOON = datetime(2027, 6, 7, 4, 0, tzinfo=UTC)  # a Monday noon in Shanghai


@pytest.fixture(autouse=True)
def time() -> Iterator[time_machine.Traveller]:
    """Noon in Shanghai, so that no test of these depends on the hour it runs at."""
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


def later(time: Any, **apart: float) -> None:
    time.shift(timedelta(**apart))


def change_kind(house: House, kind: str, **columns: Any) -> None:
    """Set limits of a kind, as a load of reference data would."""
    settings = ", ".join(f"{name} = :{name}" for name in columns)
    with house.db.transaction() as connection:
        connection.execute(
            sa.text(f"UPDATE action_kind SET {settings} WHERE code = :kind"), {"kind": kind, **columns}
        )
        reference.bump(connection)


def actions(house: House) -> int:
    with house.db.reading() as connection:
        return int(connection.scalar(sa.text("SELECT count(*) FROM action")) or 0)


# --- what is credited --------------------------------------------------------------------------------------

CREDITED = {
    # kind: quantity, CO2e low/mid/high in g, points, left today
    "clean_plate": (None, 144, 340, 449, 10, 2),
    "bus_trip": ("10", 269, 269, 269, 10, 5),
    "metro_trip": ("10", 467, 467, 467, 10, 5),
    "bike_trip": ("2.5", 121.75, 121.75, 121.75, 5, 7),
    "ebike_trip": ("3.2", 197.76, 197.76, 197.76, 3, 7),
    "walk": ("6000", 98.4, 98.4, 120, 6, 0),
    "clothing_reuse": ("2.5", 3200, 3200, 9000, 50, 2),
    "recycle_glass": ("1.25", 386.25, 386.25, 386.25, 7, 4),
    "recycle_paper": ("0.1", 346.1, 391.3, 391.3, 0, 4),
    "tree_planting": ("3", 4200, 4200, 75000, 150, 0),
}


def code_for(world: World, kind: str, resident: Resident) -> str:
    """The token of a code by which `resident` may have `kind` credited now; trees were planted a year before."""
    site = world.site(kind)
    if kind != "tree_planting":
        return world.code_at(site)
    with clock.pretending(NOON.replace(year=NOON.year - 1)):
        world.plant(resident, world.code_at(site, staffed=True), 5)
    return world.code_at(site, staffed=True)


def credited(world: World, kind: str) -> None:
    quantity, low, mid, high, points, left = CREDITED[kind]
    resident = world.resident()
    answer = world.scan(resident, code_for(world, kind, resident), quantity=quantity)
    action = answer["action"]
    reduction = action["reduction"]
    co2e = [reduction[name] for name in ("co2e_mg", "co2e_mid_mg", "co2e_high_mg")]
    assert co2e == [round(grams * 1000) for grams in (low, mid, high)]
    assert reduction["factor_version"] == f"{kind}@1"
    assert reduction["city_credited"] is (kind in {"bus_trip", "metro_trip", "bike_trip"})
    assert action["evidence"] == ("staff_confirmed" if kind == "tree_planting" else "site_code")
    assert action["occurred_at"] == "2027-06-07T04:00:00Z"
    assert (answer["points"], answer["left_today"]) == ({"posted": points, "balance": points}, left)
    pollutants = {name: reduction[name] for name in ("nox_ug", "pm25_ug", "voc_ug", "so2_ug", "co_ug")}
    if kind == "bike_trip":
        known = {"nox_ug": 121871, "pm25_ug": 6160, "voc_ug": 165093, "so2_ug": None, "co_ug": 1425692}
        assert pollutants == known
    else:
        assert pollutants == dict.fromkeys(pollutants)
    mine = {"account": f"resident:{resident.id}"}
    query = sa.text("SELECT reference, source, amount FROM transfer WHERE destination = :account")
    with world.house.db.reading() as connection:
        moved = [tuple(row) for row in connection.execute(query, mine)]
    assert moved == ([(f"action:{action['id']}", "programme:actions", points)] if points else [])


def test_every_action_of_the_plan_is_credited(world: World) -> None:
    for kind in CREDITED:
        credited(world, kind)
    assert world.breaches() == []


def test_the_answer_carries_the_running_balance_and_what_is_left(world: World, time: Any) -> None:
    resident, code = world.resident(), world.code("clean_plate")
    answers = []
    for _ in range(3):
        answers.append(world.scan(resident, code))
        later(time, hours=5)  # lunch, supper, and one outside of every meal period
    assert [(answer["points"]["balance"], answer["left_today"]) for answer in answers] == [
        (10, 2),
        (20, 1),
        (30, 0),
    ]


def test_a_site_of_several_kinds_asks_which(world: World) -> None:
    resident, code = world.resident(), world.code("recycle_glass", "recycle_paper")
    with pytest.raises(TanpuhuiError) as refusal:
        world.scan(resident, code, quantity="1")
    assert refusal.value.code == "kind_required"
    assert refusal.value.params["kinds"] == ["recycle_glass", "recycle_paper"]
    assert world.scan(resident, code, kind="recycle_paper", quantity="1")["action"]["kind"] == "recycle_paper"


def test_a_later_factor_changes_no_past_action(world: World) -> None:
    resident, code = world.resident(), world.code("clothing_reuse")
    first = world.scan(resident, code, key="first", quantity="1")["action"]
    before = contents(world.house)["action"]
    with world.house.db.transaction() as connection:
        connection.execute(
            sa.text("UPDATE factor_version SET valid_to = '2027-06-06' WHERE id = 'clothing_reuse@1'")
        )
        names = [column.name for column in SQLModel.metadata.tables["factor_version"].c]
        changed = {
            "id": "'clothing_reuse@2'",
            "version": "2",
            "co2e_low_ng": "1000000000",
            "valid_from": "CAST('2027-06-07' AS date)" if not world.house.db.is_sqlite else "'2027-06-07'",
            "valid_to": "NULL",
        }
        picked = ", ".join(changed.get(name, name) for name in names)
        copy = f"INSERT INTO factor_version ({', '.join(names)}) SELECT {picked} FROM factor_version WHERE id = :id"
        connection.execute(sa.text(copy), {"id": "clothing_reuse@1"})
        reference.bump(connection)
    assert contents(world.house)["action"] == before
    assert world.scan(resident, code, key="first", quantity="1")["action"] == first  # the stored answer, too
    second = world.scan(world.resident(), code, quantity="1")["action"]["reduction"]
    assert (second["factor_version"], second["co2e_mg"]) == ("clothing_reuse@2", 1000)
    assert world.breaches() == []


# --- idempotency -------------------------------------------------------------------------------------------


def ask(world: World, resident: Any, code: str, key: str, **more: Any) -> scans.Answer:
    request = scans.read_request(world.house, who=resident.id, key=key, code=code, **more)
    return world.house.part(scans.Desk).record(request)


def test_the_same_key_gets_the_same_text_and_another_body_is_refused(world: World) -> None:
    resident, code = world.resident(), world.code("clothing_reuse")
    first = ask(world, resident, code, "k", quantity="1")
    again = ask(world, resident, code, "k", quantity="1.000")
    assert (first.replayed, again.replayed) == (False, True)
    assert again.body == first.body
    before = contents(world.house)
    for body in ({"quantity": "2"}, {"quantity": None}, {"quantity": "1", "kind": "clothing_reuse"}):
        with pytest.raises(KeyReused):
            ask(world, resident, code, "k", **body)
    assert written(before, contents(world.house)) == {}
    other = ask(world, world.resident(), code, "k", quantity="2")  # keys belong to their owner
    assert not other.replayed


def test_a_replay_is_answered_even_when_the_code_is_gone(world: World) -> None:
    resident, site = world.resident(), world.site("clean_plate")
    token = world.code_at(site)
    first = ask(world, resident, token, "k")
    activity_codes.revoke_code(
        world.house, world.organiser, activity_codes.read_token(world.house.settings, token).number, "换新"
    )
    assert ask(world, resident, token, "k").body == first.body
    with pytest.raises(TanpuhuiError) as refusal:
        ask(world, resident, token, "k2")
    assert refusal.value.code == "code_revoked"


@pytest.mark.parametrize("key", ["", None, " ", "has space", "x" * 129, "钥匙", "line\nbreak", "k\n"])
def test_a_key_that_cannot_serve_is_refused(key: str | None) -> None:
    with pytest.raises(MissingIdempotencyKey if not key else InvalidIdempotencyKey):
        check_key(key)


def test_a_refused_key_is_free_again(world: World) -> None:
    resident, code = world.resident(), world.code("clothing_reuse")
    with pytest.raises(TanpuhuiError):
        ask(world, resident, code, "k")
    assert not ask(world, resident, code, "k", quantity="1").replayed


# --- refusals ----------------------------------------------------------------------------------------------


def refused(world: World, code: str, *args: Any, **kwargs: Any) -> TanpuhuiError:
    """That this scan is refused with `code` and leaves every table as it was, but for what its resident may look up."""
    before = contents(world.house)
    with pytest.raises(TanpuhuiError) as refusal:
        world.scan(*args, **kwargs)
    assert refusal.value.code == code
    assert refusal.value.status in range(400, 500)
    assert str(refusal.value)  # the sentence can be filled with its parameters
    changes = written(before, contents(world.house))
    assert ("scan_attempt" in changes) is getattr(refusal.value, "kept", False)
    assert changes.keys() <= {"scan_attempt"}
    return refusal.value


WRONG_QUANTITIES = [
    ("clothing_reuse", None, "quantity_missing"),
    ("bike_trip", None, "quantity_missing"),
    ("clothing_reuse", "0", "quantity_not_positive"),
    ("clothing_reuse", "-1", "quantity_not_positive"),
    ("clothing_reuse", "0.099", "quantity_out_of_range"),
    ("clothing_reuse", "30.001", "quantity_out_of_range"),
    ("clean_plate", "2", "quantity_out_of_range"),
    ("clothing_reuse", "NaN", "quantity_not_a_number"),
    ("clothing_reuse", "Infinity", "quantity_not_a_number"),
    ("clothing_reuse", "1e3", "quantity_not_a_number"),
    ("clothing_reuse", "一", "quantity_not_a_number"),
    ("clothing_reuse", "1.0001", "quantity_too_precise"),
    ("clothing_reuse", "9" * 40, "quantity_too_precise"),
]


def test_a_wrong_quantity_is_refused(world: World) -> None:
    resident = world.resident()
    places = {kind: world.code(kind) for kind, _quantity, _code in WRONG_QUANTITIES}
    for kind, quantity, code in WRONG_QUANTITIES:
        refused(world, code, resident, places[kind], quantity=quantity)


def test_bounds_of_a_quantity_belong_to_it(world: World) -> None:
    code = world.code("clothing_reuse")
    assert world.scan(world.resident(), code, quantity="0.1")["action"]["quantity"] == 0.1
    assert world.scan(world.resident(), code, quantity="30")["action"]["quantity"] == 30


def test_times_outside_what_is_taken_are_refused(world: World, time: Any) -> None:
    code = world.code("clean_plate")
    resident = world.resident()
    later(time, hours=100)
    now = clock.now()
    refused(world, "occurred_in_future", resident, code, occurred_at=now + timedelta(minutes=2, seconds=1))
    refused(world, "occurred_too_long_ago", resident, code, occurred_at=now - timedelta(hours=72, seconds=1))
    ahead = world.scan(resident, code, occurred_at=now + timedelta(minutes=2))["action"]
    assert ahead["occurred_at"] == now.isoformat().replace("+00:00", "Z")  # a fast clock is put right
    oldest = world.scan(resident, code, occurred_at=now - timedelta(hours=72))["action"]
    assert oldest["occurred_at"] == (now - timedelta(hours=72)).isoformat().replace("+00:00", "Z")


def test_a_time_before_the_code_existed_is_refused(world: World, time: Any) -> None:
    later(time, hours=1)
    code = world.code("clean_plate")
    later(time, hours=1)
    refused(
        world, "before_code", world.resident(), code, occurred_at=clock.now() - timedelta(hours=1, seconds=1)
    )
    world.scan(world.resident(), code, occurred_at=clock.now() - timedelta(hours=1))


def test_a_staffed_code_is_good_for_its_time_only(world: World, time: Any) -> None:
    code = world.code("tree_planting", staffed=True)
    resident = world.resident()
    later(time, hours=8)
    refused(world, "code_expired", resident, code)
    refused(world, "code_expired", resident, code, occurred_at=clock.now() - timedelta(seconds=1))


def test_codes_sites_and_kinds_that_cannot_be_used_are_refused(world: World) -> None:
    resident = world.resident()
    site = world.site("clean_plate")
    token = world.code_at(site)
    refused(world, "unknown_kind", resident, token, kind="flying")
    refused(world, "kind_not_at_site", resident, token, kind="own_cup")
    refused(world, "evidence_too_weak", resident, world.code("tree_planting"))
    refused(world, "kind_disabled", resident, world.code("household_pv", staffed=True), quantity="5")
    sites.set_status(world.house, world.organiser, site.id, SiteStatus.CLOSED, "装修")
    refused(world, "site_closed", resident, token)
    sites.set_status(world.house, world.organiser, site.id, SiteStatus.OPEN, "开放")
    world.scan(resident, token)
    unknown = activity_codes.token_of(world.house.settings, 1)
    refused(world, "code_invalid", resident, unknown)
    refused(world, "code_invalid", resident, token[:-1] + ("A" if token[-1] != "A" else "B"))
    people.leave(world.house, resident.id)
    refused(world, "resident_inactive", resident, token)


def test_a_kind_without_a_factor_on_the_day_is_refused(world: World) -> None:
    with world.house.db.transaction() as connection:
        connection.execute(
            sa.text("UPDATE factor_version SET valid_to = '2027-06-06' WHERE id = 'own_cup@1'")
        )
        reference.bump(connection)
    refused(world, "no_factor", world.resident(), world.code("own_cup"))


def test_limits_of_a_day(world: World, time: Any) -> None:
    resident, code = world.resident(), world.code("no_cutlery")
    world.scan(resident, code)
    later(time, minutes=59, seconds=59)
    soon = refused(world, "too_soon", resident, code)
    assert soon.params["minutes"] == 1
    later(time, seconds=1)
    world.scan(resident, code)
    later(time, hours=1)
    world.scan(resident, code)
    later(time, hours=1)
    assert refused(world, "daily_limit_reached", resident, code).params["limit"] == 3
    world.scan(world.resident(), code)  # each resident has limits of their own


def test_the_quantity_of_a_day_is_bounded(world: World, time: Any) -> None:
    resident, code = world.resident(), world.code("bike_trip")
    world.scan(resident, code, quantity="40")
    later(time, minutes=3)
    assert refused(world, "daily_quantity_reached", resident, code, quantity="20.001").params["left"] == "20"
    world.scan(resident, code, quantity="20")


def test_one_deed_is_not_credited_as_two_kinds(world: World, time: Any) -> None:
    resident, code = world.resident(), world.code("bus_trip", "metro_trip", "bike_trip")
    world.scan(resident, code, kind="bus_trip", quantity="3")
    later(time, minutes=4)
    refused(world, "same_deed", resident, code, kind="metro_trip", quantity="3")
    refused(world, "same_deed", resident, code, kind="bike_trip", quantity="3")
    later(time, minutes=1)
    world.scan(resident, code, kind="metro_trip", quantity="3")


def test_a_late_record_before_an_earlier_one_minds_the_interval_too(world: World, time: Any) -> None:
    resident, code = world.resident(), world.code("clean_plate")
    later(time, hours=4)
    world.scan(resident, code)
    refused(world, "too_soon", resident, code, occurred_at=clock.now() - timedelta(minutes=119))
    world.scan(resident, code, occurred_at=clock.now() - timedelta(minutes=120))


def test_the_day_turns_at_midnight_in_shanghai(world: World, time: Any) -> None:
    resident, code = world.resident(), world.code("no_cutlery")
    time.move_to(datetime(2027, 6, 8, 17, 0, tzinfo=UTC))  # 01:00 on the ninth
    midnight = datetime(2027, 6, 8, 16, 0, tzinfo=UTC)
    for hours in (3, 2, 1):
        world.scan(resident, code, occurred_at=midnight - timedelta(hours=hours))
    refused(world, "daily_limit_reached", resident, code, occurred_at=midnight - timedelta(hours=5))
    assert world.scan(resident, code, occurred_at=midnight)["left_today"] == 2
    with world.house.db.reading() as connection:
        days = (
            connection.execute(sa.text("SELECT CAST(day AS text) FROM action ORDER BY occurred_at"))
            .scalars()
            .all()
        )
    assert days == ["2027-06-08"] * 3 + ["2027-06-09"]


def test_an_interval_reaches_across_midnight(world: World, time: Any) -> None:
    resident, code = world.resident(), world.code("clean_plate")
    time.move_to(datetime(2027, 6, 8, 16, 30, tzinfo=UTC))
    world.scan(resident, code, occurred_at=datetime(2027, 6, 8, 15, 30, tzinfo=UTC))
    refused(world, "too_soon", resident, code)


def test_a_voided_record_frees_the_limit_and_keeps_its_number(world: World) -> None:
    resident, code = world.resident(), world.code("walk")
    for _ in range(3):
        action = world.scan(resident, code, quantity="6000")["action"]
        refused(world, "daily_limit_reached", resident, code, quantity="6000")
        void_action(world.house, world.organiser, UUID(action["id"]), "步数有误")
    world.scan(resident, code, quantity="6000")
    with world.house.db.reading() as connection:
        ordinals = connection.execute(sa.text("SELECT ordinal FROM action ORDER BY ordinal")).scalars().all()
    assert ordinals == [1, 2, 3, 4]
    assert world.breaches() == []


def test_the_database_itself_refuses_a_wrong_action(world: World) -> None:
    world.scan(world.resident(), world.code("clean_plate"))
    table = SQLModel.metadata.tables["action"]
    with world.house.db.reading() as connection:
        row = dict(connection.execute(sa.select(table)).mappings().one())
    for changed, constraint in (
        ({"quantity_milli": 0}, "quantity"),
        ({"ordinal": 0}, "ordinal"),
        ({"co2e_mg": 10**12}, "co2e_range"),
        ({"ordinal": 1}, "resident_id"),
        ({"resident_id": ids.new_id()}, "(?i)foreign key"),
    ):
        copy = sa.insert(table).values({**row, "ordinal": 7, "id": ids.new_id(), **changed})
        with (
            pytest.raises(sa.exc.IntegrityError, match=constraint),
            world.house.db.transaction() as connection,
        ):
            connection.execute(copy)


# --- campaigns ---------------------------------------------------------------------------------------------


def test_a_scan_belongs_to_the_campaign_open_at_its_site(world: World, time: Any) -> None:
    site, elsewhere = world.site("recycle_paper"), world.site("recycle_paper")
    code, other = world.code_at(site), world.code_at(elsewhere)
    campaign = world.campaign(site)

    def campaign_of(code: str, **more: Any) -> str | None:
        found: str | None = world.scan(world.resident(), code, quantity="1", **more)["action"]["campaign_id"]
        return found

    assert campaign_of(code) == str(campaign.id)
    assert campaign_of(other) is None
    later(time, hours=1)  # the end is not included
    assert campaign_of(code) is None
    assert campaign_of(code, occurred_at=clock.now() - timedelta(seconds=1)) == str(campaign.id)


# --- what a scan writes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("campaign", [False, True])
def test_no_row_shared_between_residents_is_written(world: World, campaign: bool) -> None:
    site = world.site("clothing_reuse")
    code = world.code_at(site)
    if campaign:
        world.campaign(site)
    others = world.residents(2)
    for other in others:
        world.scan(other, code, quantity="1")
    resident = world.resident()
    statements: list[str] = []

    def listen(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        statements.append(statement)

    before = contents(world.house)
    sa.event.listen(world.house.db.engine, "before_cursor_execute", listen)
    answer = world.scan(resident, code, quantity="2")
    sa.event.remove(world.house.db.engine, "before_cursor_execute", listen)
    after = contents(world.house)

    tables = [re.search(r"^\s*(?:INSERT INTO|UPDATE|DELETE FROM)\s+(\w+)", text) for text in statements]
    assert sorted(found[1] for found in tables if found) == [
        "account",
        "action",
        "event_log",
        "stored_answer",
        "transfer",
    ]
    locks = [re.search(r"FOR [A-Z ]*(?:UPDATE|SHARE)(?: OF (\w+))?", text) for text in statements]
    if world.house.db.is_sqlite:
        assert not any(locks)
    else:
        locking = [text for text, found in zip(statements, locks, strict=True) if found]
        assert len(locking) == 1
        assert "FROM resident r" in locking[0]
        assert "FOR NO KEY UPDATE OF r" in locking[0]

    assert written(before, after) == {
        table: {"inserted": 1} for table in ("account", "action", "event_log", "stored_answer", "transfer")
    }
    mine = str(resident.id)
    new = {table: dict(after[table].items() - before[table].items()) for table in written(before, after)}
    text = {table: " ".join(map(str, *rows.values())) for table, rows in new.items()}
    assert all(mine in line for line in text.values())
    assert answer["action"]["id"] in text["action"]
    for other in others:
        assert not any(str(other.id) in line for line in text.values())


# --- races -------------------------------------------------------------------------------------------------


@pytest.fixture
def houses(world: World) -> Iterator[list[House]]:
    """Two houses on one database, as two processes would have."""
    second = build_house(world.house.settings)
    yield [world.house, second]
    second.db.dispose()


def scan_through(house: House, resident: Any, code: str, key: str, **more: Any) -> scans.Answer:
    request = scans.read_request(house, who=resident.id, key=key, code=code, **more)
    return house.part(scans.Desk).record(request)


def test_a_daily_limit_holds_under_fifty_scans_of_one_resident(world: World, houses: list[House]) -> None:
    change_kind(world.house, "recycle_paper", min_interval_minutes=0, merge_minutes=0)
    resident, code = world.resident(), world.code("recycle_paper")
    results = at_once(
        [lambda n=n: scan_through(houses[n % 2], resident, code, f"k{n}", quantity="1") for n in range(50)]
    )
    assert sorted(codes(results)) == ["daily_limit_reached"] * 45 + ["ok"] * 5
    balances = [
        json.loads(result.body)["points"]["balance"] for result in results if isinstance(result, scans.Answer)
    ]
    assert sorted(balances) == [5, 10, 15, 20, 25]
    assert world.breaches() == []
    assert world.figure_differences() == []


def test_one_key_sent_many_times_at_once_is_one_action(world: World, houses: list[House]) -> None:
    resident, code = world.resident(), world.code("clothing_reuse")
    results = at_once(
        [lambda n=n: scan_through(houses[n % 2], resident, code, "k", quantity="1") for n in range(30)]
    )
    assert len({result.body for result in results}) == 1
    assert [result.replayed for result in results].count(False) == 1
    assert actions(world.house) == 1


@pytest.mark.parametrize("lock", [True, False], ids=["turns", "no turns"])
@pytest.mark.parametrize("constraint", [True, False], ids=["unique", "not unique"])
def test_turns_and_the_constraint_each_hold_the_limit(
    world: World, houses: list[House], monkeypatch: pytest.MonkeyPatch, lock: bool, constraint: bool
) -> None:
    """The negative control is "no turns, not unique": there the race is real, and a limit of one is broken.

    Two processes both read the day before either writes. SQLite's one writer makes them take turns anyway.
    """
    resident, code = world.resident(), world.code("walk")
    postgres = not world.house.db.is_sqlite
    if not lock:
        unlocked = str(people._TAKE_TURN._text).replace("{lock:r}", "")
        take = people.Statement(unlocked, **people._TAKE_TURN._returns)

        def no_turn(connection: Any, ids: Any) -> Any:
            return {row.id: row for row in take.run(connection, ids=ids)}

        monkeypatch.setattr(scans, "take_turn", no_turn)
    if not constraint and postgres:
        with world.house.db.transaction() as connection:
            connection.execute(
                sa.text("ALTER TABLE action DROP CONSTRAINT uq_action_resident_id_day_kind_ordinal")
            )
    both, met, read_days = threading.Barrier(2), threading.local(), scans.read_days

    def read_then_wait(*args: Any) -> Any:
        rows = read_days(*args)
        if not getattr(met, "once", False):
            met.once = True
            with suppress(threading.BrokenBarrierError):
                both.wait(timeout=0.7)
        return rows

    monkeypatch.setattr(scans, "read_days", read_then_wait)
    results = at_once(
        [
            lambda house=house: scan_through(house, resident, code, f"k{id(house)}", quantity="6000")
            for house in houses
        ]
    )
    broken = postgres and not lock and not constraint
    assert sorted(codes(results)) == (["ok", "ok"] if broken else ["daily_limit_reached", "ok"])
    assert actions(world.house) == (2 if broken else 1)
    assert bool([line for line in world.breaches() if "limit" in line]) is broken


def test_many_residents_on_one_code_do_not_get_in_each_others_way(world: World, houses: list[House]) -> None:
    code = world.code("clean_plate")
    residents = world.residents(40)
    results = at_once(
        [lambda n=n, r=r: scan_through(houses[n % 2], r, code, "k") for n, r in enumerate(residents)]
    )
    assert set(codes(results)) == {"ok"}
    assert len({json.loads(result.body)["action"]["id"] for result in results}) == 40
    assert world.breaches() == []


def test_one_bad_scan_of_a_batch_spoils_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that fails as a whole is done again one by one."""
    desk = world.house.part(scans.Desk)
    good, bad, code = world.resident(), world.resident(), world.code("clean_plate")
    requests = [scans.read_request(world.house, who=who.id, key="k", code=code) for who in (good, bad)]
    insert = scans.INSERT_ACTIONS

    class Failing:
        def run(self, connection: Any, rows: list[dict[str, Any]]) -> Any:
            if any(row["resident_id"] == bad.id for row in rows):
                rows = [{**row, "quantity_milli": 0} if row["resident_id"] == bad.id else row for row in rows]
            return insert.run(connection, rows)

    monkeypatch.setattr(scans, "INSERT_ACTIONS", Failing())
    answers = desk._record_batch(requests)
    assert isinstance(answers[0], scans.Answer)
    assert isinstance(answers[1], sa.exc.IntegrityError)
    assert actions(world.house) == 1
    assert world.breaches() == []


def test_a_lowered_limit_does_not_judge_the_past(world: World, time: Any) -> None:
    resident, code = world.resident(), world.code("no_cutlery", community=COMMUNITY)
    for _ in range(3):
        world.scan(resident, code)
        later(time, hours=1)
    change_kind(world.house, "no_cutlery", records_per_day=2)
    assert world.breaches() == []
    refused(world, "daily_limit_reached", resident, code)
