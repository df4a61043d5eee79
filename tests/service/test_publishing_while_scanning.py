"""A factor changes while people scan: every record is computed by one version, whole, and keeps it."""

import threading
from dataclasses import asdict
from datetime import timedelta
from itertools import count
from typing import Any

import sqlalchemy as sa
from sqlmodel import SQLModel

from activities.drafts import Draft
from activities.quantify.calculation import quantify
from activities.quantify.factors import FactorVersion, all_versions
from activities.review import void_action
from tanpuhui import clock
from tests.threads import at_once, codes
from tests.world import World

SCANNERS, SCANS, PUBLICATIONS = 4, 3, 5
KIND = "own_cup"


def records(world: World) -> list[Any]:
    """The records in the order in which they were made."""
    table = SQLModel.metadata.tables["action"]
    with world.house.db.reading() as connection:
        return list(connection.execute(sa.select(table).order_by(table.c.recorded_at, table.c.id)))


def versions(world: World) -> dict[str, FactorVersion]:
    with world.house.db.reading() as connection:
        return {version.id: version for version in all_versions(connection, KIND)}


def go(world: World) -> list[str]:
    """Scans of several people while one factor of today after the other is published; how they went."""
    world.publish_factor(KIND, valid_from=clock.today() - timedelta(days=30))
    code = world.code(KIND)
    under_way, published = threading.Event(), threading.Event()

    def scan() -> None:
        for number in count():
            if number >= SCANS and published.is_set():
                break
            world.scan(world.resident(), code)
            under_way.set()

    def publish() -> None:
        # Each ends the one before and is the one of today until the next.
        assert under_way.wait(30)
        first = clock.today() - timedelta(days=PUBLICATIONS)
        for number in range(PUBLICATIONS):
            values = {f"co2e_{name}_ng": (number + 1) * 10**9 for name in ("low", "mid", "high")}
            pollutants = {"nox_ng": -(number + 1) * 10**6, "so2_ng": None if number % 2 else 10**6}
            world.publish_factor(
                KIND, valid_from=first + timedelta(days=number + 1), derivation="", **values, **pollutants
            )
        published.set()

    return codes(at_once([*[scan] * SCANNERS, publish]))


def broken(world: World) -> list[str]:
    """Records whose numbers are not those of the version that they name."""
    known = versions(world)
    return [
        f"{record.id} {record.factor_version}"
        for record in records(world)
        for told in [asdict(quantify(record.quantity_milli, known[record.factor_version]))]
        if {name: getattr(record, name) for name in told} != told
    ]


def test_every_record_has_one_version_whole_and_keeps_it(world: World) -> None:
    assert go(world) == ["ok"] * (SCANNERS + 1)
    assert len(records(world)) >= SCANNERS * SCANS
    assert broken(world) == []
    used = [versions(world)[record.factor_version].version for record in records(world)]
    assert max(used) > min(used), "nothing was published while people scanned"
    someone, code = world.resident(), world.code(KIND)
    answered = world.scan(someone, code, key="a-scan")
    before = [tuple(record) for record in records(world)]
    last = world.publish_factor(KIND, valid_from=clock.today() + timedelta(days=1), co2e_low_ng=0)
    with clock.pretending(clock.now() + timedelta(days=1)):
        assert world.scan(someone, code, key="a-scan") == answered, "a request is answered again as it was"
        world.scan(world.resident(), code)
    newest = records(world)[-1]
    assert (newest.factor_version, newest.co2e_mg) == (last.id, 0)
    # A correction is a void and a new record, which has today's factor: the old one stays as it was.
    void_action(world.house, world.officer, records(world)[0].id, "更正")
    assert [tuple(record) for record in records(world)][:-1] == before
    assert world.breaches() == []
    assert world.figure_differences() == []


def test_a_build_that_mixes_versions_is_noticed(world: World, monkeypatch: Any) -> None:
    """The negative control: a record names the version that was known at first, whatever it was computed by."""
    row = Draft.row
    monkeypatch.setattr(Draft, "row", lambda draft: {**row(draft), "factor_version": f"{KIND}@1"})
    go(world)
    assert broken(world)
