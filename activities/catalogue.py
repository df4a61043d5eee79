"""The catalogue: what residents can do, how strong evidence can be, and the published limits.

A kind is put together from two files: its names and unit stand beside its factor in factors.csv, its limits
in catalogue.csv. Limits are settings and change in place; the unit never does: records are counted in it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, SQLModel, col

from tanpuhui import cells
from tanpuhui.csvtext import Problem
from tanpuhui.reference import Column, LoadCount, Reading, ReferenceFile, Row, store

PACKAGE_DATA = Path(__file__).parent / "reference"

#: Largest quantity anywhere: nine digits before the point, three after.
LARGEST_QUANTITY = 999_999_999


class EvidenceTier(SQLModel, table=True):
    """How strongly a record is proven; a higher rank is stronger."""

    __tablename__ = "evidence_tier"
    __table_args__ = (
        sa.CheckConstraint("rank >= 1", name="rank"),
        sa.CheckConstraint("name_zh <> '' AND name_en <> ''", name="names"),
    )

    code: str = Field(primary_key=True, max_length=32)
    name_zh: str = Field(max_length=64)
    name_en: str = Field(max_length=64)
    rank: int = Field(unique=True)
    counts_as_verified: bool
    note: str = ""


class ActionKind(SQLModel, table=True):
    """A kind of green action with its limits. Quantities in thousandths of `unit`, intervals in minutes.

    `asks` is `nothing` when the default quantity is all there is to say. Kinds of one `clash_group` may be
    the same deed seen twice. What is handed in within `merge_minutes` of a load's first record belongs to that load,
    which counts as one record and has at most `quantity_max_milli`. A kind that is not `enabled` is not credited in this
    district.
    """

    __tablename__ = "action_kind"
    __table_args__ = (
        sa.CheckConstraint("name_zh <> '' AND name_en <> '' AND category <> '' AND unit <> ''", name="names"),
        sa.CheckConstraint(
            "asks <> '' AND (asks <> 'nothing' OR quantity_default_milli IS NOT NULL)", name="asks"
        ),
        sa.CheckConstraint(
            "quantity_min_milli > 0 AND quantity_min_milli <= quantity_max_milli"
            " AND quantity_max_milli <= quantity_per_day_milli AND quantity_per_day_milli <= 999999999999",
            name="quantities",
        ),
        sa.CheckConstraint(
            "quantity_default_milli IS NULL"
            " OR quantity_default_milli BETWEEN quantity_min_milli AND quantity_max_milli",
            name="default",
        ),
        sa.CheckConstraint("records_per_day >= 1", name="records_per_day"),
        sa.CheckConstraint("min_interval_minutes BETWEEN 0 AND 1440", name="min_interval"),
        sa.CheckConstraint("records_per_week >= records_per_day", name="records_per_week"),
        sa.CheckConstraint("quantity_per_week_milli >= quantity_per_day_milli", name="quantity_per_week"),
        sa.CheckConstraint("merge_minutes BETWEEN 0 AND 120", name="merge_minutes"),
        sa.CheckConstraint("clash_group IS NULL OR clash_group <> ''", name="clash_group"),
    )

    code: str = Field(primary_key=True, max_length=32)
    name_zh: str = Field(max_length=64)
    name_en: str = Field(max_length=64)
    category: str = Field(max_length=32)
    unit: str = Field(max_length=64)
    asks: str = Field(max_length=64)
    quantity_default_milli: int | None = Field(default=None, sa_type=sa.BigInteger)
    quantity_min_milli: int = Field(sa_type=sa.BigInteger)
    quantity_max_milli: int = Field(sa_type=sa.BigInteger)
    records_per_day: int
    quantity_per_day_milli: int = Field(sa_type=sa.BigInteger)
    min_interval_minutes: int
    records_per_week: int | None = None
    quantity_per_week_milli: int | None = Field(default=None, sa_type=sa.BigInteger)
    merge_minutes: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    clash_group: str | None = Field(default=None, max_length=32)
    lowest_evidence: str = Field(foreign_key="evidence_tier.code", max_length=32)
    enabled: bool = True
    note: str = ""


# --- reference files ----------------------------------------------------------------------------------------


def _known(connection: Connection, rows: list[Row], column: str, stored: Any) -> set[str]:
    return {row.get(column) for row in rows} | set(connection.scalars(sa.select(col(stored))))


def _check_evidence(connection: Connection, reading: Reading) -> Iterator[Problem]:
    rows = reading.rows(EVIDENCE_FILE)
    given = {row.get("evidence") for row in rows}
    ranks = {
        tier.rank: f"stored {tier.code}"
        for tier in connection.execute(sa.select(col(EvidenceTier.code), col(EvidenceTier.rank)))
        if tier.code not in given
    }
    for row in rows:
        rank = row.get("rank")
        if rank is not None and ranks.setdefault(rank, row.get("evidence")) != row.get("evidence"):
            yield row.bad("rank", f"rank {rank} is taken by {ranks[rank]}")


def _write_evidence(connection: Connection, reading: Reading) -> LoadCount:
    rows = {row.values["evidence"]: dict(row.values) for row in reading.rows(EVIDENCE_FILE)}
    table = SQLModel.metadata.tables["evidence_tier"]
    tiers = list(connection.execute(sa.select(table.c.code, table.c.rank)))
    moving = [tier.code for tier in tiers if tier.code in rows and rows[tier.code]["rank"] != tier.rank]
    if moving:  # out of each other's way first: ranks are unique at every moment
        aside = sa.update(table).where(table.c.code.in_(moving)).values(rank=table.c.rank + 1_000_000)
        connection.execute(aside)
    return store(connection, "evidence_tier", [{"code": row.pop("evidence"), **row} for row in rows.values()])


EVIDENCE_FILE = ReferenceFile(
    what="evidence tier",
    pattern="evidence.csv",
    columns=(
        Column("evidence", cells.code),
        Column("name_zh", cells.name),
        Column("name_en", cells.name),
        Column("rank", cells.whole(1, 1000)),
        Column("counts_as_verified", cells.yes_no),
        Column("note", cells.note),
    ),
    key=("evidence",),
    home=PACKAGE_DATA,
    check=_check_evidence,
    write=_write_evidence,
)

_NAMES = ("name_zh", "name_en", "category", "unit")


def _check_names(connection: Connection, reading: Reading) -> Iterator[Problem]:
    limited = _known(connection, reading.rows(CATALOGUE_FILE), "action_code", ActionKind.code)
    kinds = connection.execute(sa.select(col(ActionKind.code), col(ActionKind.unit)))
    units = {kind.code: kind.unit for kind in kinds}
    first: dict[str, Row] = {}
    for row in reading.rows(NAMES_FILE):
        code = row.get("action_code")
        if code is None:
            continue
        if code not in limited:
            yield row.bad("action_code", f"{code} has no limits in catalogue.csv")
        before = first.setdefault(code, row)
        for name in _NAMES:
            if name in row.values and name in before.values and row.get(name) != before.get(name):
                yield row.bad(name, f"not the same as for {code} in line {before.line}")
        if code in units and row.get("unit") not in {None, units[code]}:
            yield row.bad("unit", f"{code} is counted in {units[code]}; another unit needs another kind")


def _write_names(connection: Connection, reading: Reading) -> LoadCount:
    """Reword the kinds there are; new ones are made with their limits, from catalogue.csv."""
    there = set(connection.scalars(sa.select(col(ActionKind.code))))
    kinds = {row.values["action_code"]: row.values for row in reading.rows(NAMES_FILE)}
    rows = [
        {"code": code, **{name: values[name] for name in _NAMES}}
        for code, values in kinds.items()
        if code in there
    ]
    return store(connection, "action_kind", rows)


NAMES_FILE = ReferenceFile(
    what="name of a kind",
    pattern="factors.csv",
    columns=(
        Column("action_code", cells.code),
        Column("name_zh", cells.name),
        Column("name_en", cells.name),
        Column("category", cells.code),
        Column("unit", cells.name),
    ),
    home=PACKAGE_DATA,
    check=_check_names,
    write=_write_names,
)

_COLUMN_OF = {
    "quantity_default": "quantity_default_milli",
    "quantity_min": "quantity_min_milli",
    "quantity_max": "quantity_max_milli",
    "quantity_per_day": "quantity_per_day_milli",
    "quantity_per_week": "quantity_per_week_milli",
}
_LIMITS = (
    *_COLUMN_OF.values(),
    "asks",
    "records_per_day",
    "min_interval_minutes",
    "records_per_week",
    "merge_minutes",
    "clash_group",
    "lowest_evidence",
    "note",
)


def _check_limits(connection: Connection, reading: Reading) -> Iterator[Problem]:
    named = _known(connection, reading.rows(NAMES_FILE), "action_code", ActionKind.code)
    tiers = _known(connection, reading.rows(EVIDENCE_FILE), "evidence", EvidenceTier.code)
    for row in reading.rows(CATALOGUE_FILE):
        code, evidence = row.get("action_code"), row.get("lowest_evidence")
        if code and code not in named:
            yield row.bad("action_code", f"{code} has no names and no factor in factors.csv")
        if evidence and evidence not in tiers:
            yield row.bad("lowest_evidence", f"unknown evidence tier {evidence}")
        default, low, high, per_day, per_week = (row.get(name) for name in _COLUMN_OF)
        if low is not None and high is not None and low > high:
            yield row.bad("quantity_min", "larger than quantity_max")
        if high is not None and per_day is not None and high > per_day:
            yield row.bad("quantity_max", "larger than quantity_per_day")
        if per_week is not None and per_day is not None and per_day > per_week:
            yield row.bad("quantity_per_week", "smaller than quantity_per_day")
        times = row.get("records_per_day"), row.get("records_per_week")
        if None not in times and times[0] > times[1]:
            yield row.bad("records_per_week", "smaller than records_per_day")
        if default is None:
            if row.get("asks") == "nothing" and "quantity_default" in row.values:
                yield row.bad("quantity_default", "must not be empty when nothing is asked")
        elif (low is not None and default < low) or (high is not None and default > high):
            yield row.bad("quantity_default", "outside quantity_min and quantity_max")


def _write_kinds(connection: Connection, reading: Reading) -> LoadCount:
    table = SQLModel.metadata.tables["action_kind"]
    kinds = {row["code"]: dict(row) for row in connection.execute(sa.select(table)).mappings()}
    for row in reading.rows(NAMES_FILE):
        kind = kinds.setdefault(row.values["action_code"], {"code": row.values["action_code"]})
        kind.update({name: row.values[name] for name in _NAMES})
    for row in reading.rows(CATALOGUE_FILE):
        kind = kinds.setdefault(row.values["action_code"], {"code": row.values["action_code"]})
        # The column `enabled` may be absent; the note then says whether a new kind starts switched off.
        kind.setdefault("enabled", "off by default" not in row.values["note"])
        limits = {_COLUMN_OF.get(name, name): value for name, value in row.values.items()}
        limits["merge_minutes"] = limits["merge_minutes"] or 0
        kind.update({name: value for name, value in limits.items() if name in _LIMITS})
        if limits["enabled"] is not None:
            kind["enabled"] = limits["enabled"]
    return store(connection, "action_kind", kinds.values())


def _quantity(cell: str) -> int:
    value: int = cells.scaled(3, largest=LARGEST_QUANTITY)(cell)
    if value == 0:
        raise ValueError("must be larger than 0")
    return value


CATALOGUE_FILE = ReferenceFile(
    what="kind of action",
    pattern="catalogue.csv",
    columns=(
        Column("action_code", cells.code),
        Column("asks", cells.name),
        Column("quantity_default", cells.optional(_quantity)),
        Column("quantity_min", _quantity),
        Column("quantity_max", _quantity),
        Column("records_per_day", cells.whole(1, 1000)),
        Column("quantity_per_day", _quantity),
        Column("min_interval_minutes", cells.whole(0, 1440)),
        Column("clash_group", cells.optional(cells.code)),
        Column("lowest_evidence", cells.code),
        Column("records_per_week", cells.optional(cells.whole(1, 7000)), may_be_absent=True),
        Column("quantity_per_week", cells.optional(_quantity), may_be_absent=True),
        Column("merge_minutes", cells.optional(cells.whole(0, 120)), may_be_absent=True),
        Column("enabled", cells.yes_no, may_be_absent=True),
        Column("note", cells.note),
    ),
    key=("action_code",),
    home=PACKAGE_DATA,
    check=_check_limits,
    write=_write_kinds,
)

REFERENCE_FILES = (EVIDENCE_FILE, NAMES_FILE, CATALOGUE_FILE)
