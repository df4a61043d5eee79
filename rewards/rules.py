"""What an action is worth in points: a rule per kind, and a share per evidence tier.

Points are settings of the district. A changed rule becomes a new version valid from the day it is loaded, so
that a late record of an earlier day is paid as that day was. So does how long points last: what was given keeps its day.
"""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, SQLModel

from rewards import lots
from tanpuhui import cells, clock
from tanpuhui.csvtext import Problem
from tanpuhui.reference import Column, LoadCount, Reading, ReferenceFile, store


class PointsRule(SQLModel, table=True):
    """Points for one unit of a kind, in millionths of a point, from `valid_from` (None: always) on.

    The rule of a day is the highest version whose `valid_from` is not after it.
    """

    __tablename__ = "points_rule"
    __table_args__ = (
        sa.UniqueConstraint("kind", "version"),
        sa.CheckConstraint("version >= 1 AND id = kind || '@' || version", name="identity"),
        sa.CheckConstraint("micro_points_per_unit BETWEEN 0 AND 1000000000000", name="points"),
    )

    id: str = Field(primary_key=True, max_length=48)
    kind: str = Field(max_length=32)
    version: int
    micro_points_per_unit: int = Field(sa_type=sa.BigInteger)
    valid_from: date | None = None


class EvidenceWeight(SQLModel, table=True):
    """The share of the points that an evidence tier earns, in percent."""

    __tablename__ = "evidence_weight"
    __table_args__ = (sa.CheckConstraint("points_percent BETWEEN 0 AND 100", name="percent"),)

    evidence: str = Field(primary_key=True, max_length=32)
    points_percent: int


class PointsLifetime(SQLModel, table=True):
    """Points given from `valid_from` (None: always) on last `months`, and on to the end of that month (`lots.last_day`)."""

    __tablename__ = "points_lifetime"
    __table_args__ = (
        sa.CheckConstraint("version >= 1", name="version"),
        sa.CheckConstraint("months BETWEEN 6 AND 120", name="months"),
    )

    version: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    months: int
    valid_from: date | None = None


class Priced(Protocol):
    """Anything that says what a unit is worth."""

    @property
    def micro_points_per_unit(self) -> int:
        """Millionths of a point for one unit."""


def points_for(rule: Priced, percent: int, quantity_milli: int) -> int:
    """Whole points for a quantity in thousandths of the unit; the product is rounded down, once."""
    return rule.micro_points_per_unit * quantity_milli * percent // (1_000_000 * 1_000 * 100)


def rules(connection: Connection) -> dict[str, list[PointsRule]]:
    """Every rule by kind, newest version first."""
    table = SQLModel.metadata.tables["points_rule"]
    query = sa.select(table).order_by(table.c.kind, table.c.version.desc())
    found: dict[str, list[PointsRule]] = {}
    for row in connection.execute(query).mappings():
        found.setdefault(row["kind"], []).append(PointsRule(**row))
    return found


def rule_on(versions: list[PointsRule], day: date) -> PointsRule | None:
    """The one of a kind's rules (newest first, as in `rules`) that holds on `day` in Asia/Shanghai."""
    return next((rule for rule in versions if rule.valid_from is None or rule.valid_from <= day), None)


def weights(connection: Connection) -> dict[str, int]:
    """Percent of the points by evidence tier."""
    table = SQLModel.metadata.tables["evidence_weight"]
    return {row.evidence: row.points_percent for row in connection.execute(sa.select(table))}


def lifetimes(connection: Connection) -> list[PointsLifetime]:
    """How long points last, by version, the newest first."""
    table = SQLModel.metadata.tables["points_lifetime"]
    query = sa.select(table).order_by(table.c.version.desc())
    return [PointsLifetime(**row) for row in connection.execute(query).mappings()]


def months_on(versions: list[PointsLifetime], day: date) -> int | None:
    """For how many months points last that are given on `day`; None: for good. `versions` as in `lifetimes`."""
    return next((one.months for one in versions if one.valid_from is None or one.valid_from <= day), None)


def expiry(versions: list[PointsLifetime], day: date) -> date:
    """The last day of points that are given on `day`; `versions` as in `lifetimes`."""
    months = months_on(versions, day)
    return lots.NEVER if months is None else lots.last_day(day, months)


# --- reference files ----------------------------------------------------------------------------------------


def _write_rules(connection: Connection, reading: Reading) -> LoadCount:
    published = rules(connection)
    fresh = list(_fresh(reading, published))
    if fresh:
        connection.execute(sa.insert(SQLModel.metadata.tables["points_rule"]), fresh)
    changed = sum(rule["version"] > 1 for rule in fresh)
    return LoadCount(len(fresh) - changed, changed)


def _fresh(reading: Reading, published: dict[str, list[PointsRule]]) -> Iterator[dict[str, Any]]:
    for row in reading.rows(POINTS_FILE):
        kind, points = row.values["action_code"], row.values["points_per_unit"]
        before = published.get(kind, [None])[0]
        if before is not None and before.micro_points_per_unit == points:
            continue
        version = before.version + 1 if before else 1
        yield {
            "id": f"{kind}@{version}",
            "kind": kind,
            "version": version,
            "micro_points_per_unit": points,
            "valid_from": clock.today() if before else None,
        }


POINTS_FILE = ReferenceFile(
    what="points rule",
    pattern="catalogue.csv",
    columns=(
        Column("action_code", cells.code),
        Column("points_per_unit", cells.scaled(6, largest=1_000_000)),
    ),
    key=("action_code",),
    write=_write_rules,
)


def _write_weights(connection: Connection, reading: Reading) -> LoadCount:
    return store(connection, "evidence_weight", [row.values for row in reading.rows(WEIGHTS_FILE)])


WEIGHTS_FILE = ReferenceFile(
    what="evidence weight",
    pattern="evidence.csv",
    columns=(Column("evidence", cells.code), Column("points_percent", cells.whole(0, 100))),
    key=("evidence",),
    write=_write_weights,
)


def _write_lifetime(connection: Connection, reading: Reading) -> LoadCount:
    """The first one holds from the start, unless points were given before it: those were promised to last."""
    table = SQLModel.metadata.tables["points_lifetime"]
    before = next(iter(lifetimes(connection)), None)
    (row,) = reading.rows(LIFETIME_FILE)
    months = row.values["points_last_months"]
    if before is not None and before.months == months:
        return LoadCount()
    given = connection.execute(sa.text("SELECT 1 FROM transfer LIMIT 1")).first() is not None
    version = before.version + 1 if before else 1
    values = {
        "version": version,
        "months": months,
        "valid_from": clock.today() if before or given else None,
    }
    connection.execute(sa.insert(table), values)
    return LoadCount(0, 1) if before else LoadCount(1, 0)


def _check_lifetime(_connection: Connection, reading: Reading) -> Iterator[Problem]:
    for row in reading.rows(LIFETIME_FILE)[1:]:
        yield row.bad("points_last_months", "one row says how long points last")


LIFETIME_FILE = ReferenceFile(
    what="lifetime of points",
    pattern="points.csv",
    columns=(Column("points_last_months", cells.whole(6, 120)),),
    home=Path(__file__).parent / "reference",
    check=_check_lifetime,
    write=_write_lifetime,
)

REFERENCE_FILES = (POINTS_FILE, WEIGHTS_FILE, LIFETIME_FILE)
