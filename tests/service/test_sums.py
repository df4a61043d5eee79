"""The sum over the records is the sum over the figures, whatever is scanned, voided and published in between."""

import random
from collections import Counter, defaultdict
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import SQLModel

from activities.catalogue import ActionKind
from activities.quantify.calculation import quantify
from activities.quantify.factor_sheet import write_sheet
from activities.quantify.factors import FactorVersion, all_versions, select_valid
from activities.review import void_action
from tanpuhui import clock
from tanpuhui.errors import Refused
from tanpuhui.figures import DIMENSIONS
from tanpuhui.measures import MEASURES, POLLUTANTS
from tanpuhui.people import Resident
from tanpuhui.reference import load_reference
from tests.world import COMMUNITY, OTHER_COMMUNITY, World

#: Kinds with the least and the most thousandths of a scan; clean_plate asks for nothing.
KINDS: dict[str, tuple[int, int] | None] = {
    "clean_plate": None,
    "recycle_glass": (100, 9_999),
    "bike_trip": (300, 7_000),
    "metro_trip": (500, 9_999),
    "walk": (500_000, 9_999_999),
}

SUMS = tuple(measure for measure in MEASURES if measure != "points")


class Life:
    """People who scan, officers who void, and factors that change, as chance has it, hour after hour."""

    def __init__(self, world: World, folder: Path, seed: int) -> None:
        self.world, self.folder, self.chance = world, folder, random.Random(seed)
        self.hour = clock.now() - timedelta(days=9)
        self.done: Counter[str] = Counter()
        communities = (COMMUNITY, COMMUNITY, OTHER_COMMUNITY)
        with clock.pretending(self.hour):
            self.residents = [world.resident(community) for community in communities]
            self.codes = {kind: world.code(kind) for kind in KINDS}
            site = world.site("recycle_glass")
            world.campaign(site, hours=24 * 4)
            self.campaign_code = world.code_at(site)

    def go_on(self, steps: int) -> None:
        """Let `steps` things happen, at most some hours apart."""
        for _ in range(steps):
            self.hour += timedelta(minutes=self.chance.randrange(1, 200))
            with clock.pretending(self.hour):
                deed = self.chance.choices((self.scan, self.void, self.publish), (16, 3, 1))[0]
                deed()
                self.done[deed.__name__] += 1

    def scan(self) -> None:
        """Somebody does something; a limit may be in the way."""
        resident: Resident = self.chance.choice(self.residents)
        kind = self.chance.choice(list(KINDS))
        code = (
            self.campaign_code if kind == "recycle_glass" and self.chance.random() < 0.5 else self.codes[kind]
        )
        bounds = KINDS[kind]
        quantity = f"{self.chance.randint(*bounds) / 1000:.3f}" if bounds else None
        moment = self.hour - timedelta(hours=self.chance.choice((0, 0, 0, 20)))
        with self.world.house.db.reading() as connection:
            factor = select_valid(all_versions(connection, kind), clock.day_of(moment))
        try:
            action = self.world.scan(resident, code, quantity=quantity, occurred_at=moment)["action"]
        except Refused as refused:
            self.done[refused.code] += 1
        else:
            assert factor is not None
            assert action["reduction"]["factor_version"] == factor.id

    def void(self) -> None:
        """One of the records that stand is taken back."""
        standing = [action.id for action in records(self.world)]
        if standing:
            void_action(self.world.house, self.world.officer, self.chance.choice(standing), "误报")

    def publish(self) -> None:
        """A kind gets another factor from some day on: other numbers, other pollutants known."""
        kind = self.chance.choice(list(KINDS))
        begins = clock.day_of(self.hour) + timedelta(days=self.chance.randrange(2))
        with self.world.house.db.reading_session() as session:
            last = all_versions(session, kind)[-1]
            described = session.get_one(ActionKind, kind)
            if last.valid_from and last.valid_from >= begins:
                return
            fresh = FactorVersion(
                **{
                    **last.model_dump(),
                    "version": last.version + 1,
                    "valid_from": begins,
                    "derivation": "",
                    **self.values(),
                }
            )
            text = write_sheet([(fresh, described)])
        (self.folder / "factors.csv").write_text(text, encoding="utf-8")
        load_reference(self.world.house, self.folder)

    def values(self) -> dict[str, int | None]:
        """Some factor, in nanograms; a pollutant may be unknown, nothing, or an added emission."""
        low, mid, high = sorted(self.chance.randrange(10**12) for _ in range(3))
        pollutants = {
            f"{name}_ng": self.chance.choice((None, 0, self.chance.randrange(-(10**9), 10**9)))
            for name in POLLUTANTS
        }
        return {"co2e_low_ng": low, "co2e_mid_ng": mid, "co2e_high_ng": high, **pollutants}


def records(world: World, *, standing: bool = True) -> list[Any]:
    """The records, by id; those that stand, or all."""
    table, voids = (SQLModel.metadata.tables[name] for name in ("action", "action_void"))
    wanted = sa.select(table).order_by(table.c.id)
    if standing:
        wanted = wanted.where(~sa.exists().where(voids.c.action_id == table.c.id))
    with world.house.db.reading() as connection:
        return list(connection.execute(wanted))


def sums_of_records(world: World) -> dict[tuple[Any, ...], dict[str, int]]:
    """The records that stand, added up one by one as the figures are."""
    sums: dict[tuple[Any, ...], dict[str, int]] = defaultdict(lambda: dict.fromkeys(SUMS, 0))
    for action in records(world):
        told = {**action._mapping, "campaign": str(action.campaign_id or "")}
        entry = sums[tuple(told[name] for name in DIMENSIONS)]
        entry["actions"] += 1
        for measure in ("quantity_milli", "co2e_mg", "co2e_mid_mg", "co2e_high_mg"):
            entry[measure] += told[measure]
        for pollutant in POLLUTANTS:
            entry[f"{pollutant}_ug"] += told[f"{pollutant}_ug"] or 0
            entry[f"{pollutant}_known"] += told[f"{pollutant}_ug"] is not None
    return dict(sums)


def sums_of_figures(world: World) -> dict[tuple[Any, ...], dict[str, int]]:
    """The figures; a row that voids have emptied says nothing."""
    table = SQLModel.metadata.tables["daily_figure"]
    world.house.relay.drain()
    with world.house.db.reading() as connection:
        rows = [row._mapping for row in connection.execute(sa.select(table))]
    sums = {tuple(row[name] for name in DIMENSIONS): {name: row[name] for name in SUMS} for row in rows}
    return {key: entry for key, entry in sums.items() if any(entry.values())}


@pytest.mark.parametrize("seed", range(3))
def test_the_sum_over_records_equals_the_sum_over_figures(world: World, tmp_path: Path, seed: int) -> None:
    life = Life(world, tmp_path, seed)
    for _ in range(4):
        life.go_on(40)
        assert sums_of_figures(world) == sums_of_records(world)
    assert life.done["scan"] > 100
    assert min(life.done["void"], life.done["publish"]) > 3
    with world.house.db.reading() as connection:
        used = {action.factor_version for action in records(world)}
        assert used & {version.id for version in all_versions(connection) if version.version > 1}
    assert world.figure_differences() == []
    assert world.breaches() == []


@pytest.mark.parametrize("seed", range(2))
def test_a_record_keeps_its_numbers_and_has_the_factor_of_its_day(
    world: World, tmp_path: Path, seed: int
) -> None:
    life = Life(world, tmp_path, seed)
    life.go_on(60)
    before = {action.id: tuple(action) for action in records(world, standing=False)}
    life.go_on(60)
    after = {action.id: action for action in records(world, standing=False)}
    assert {id_: tuple(after[id_]) for id_ in before} == before
    with world.house.db.reading() as connection:
        versions: dict[str, list[FactorVersion]] = defaultdict(list)
        for version in all_versions(connection):
            versions[version.action_code].append(version)
    for action in after.values():
        (factor,) = [version for version in versions[action.kind] if version.id == action.factor_version]
        told = asdict(quantify(action.quantity_milli, factor))
        assert {name: getattr(action, name) for name in told} == told
