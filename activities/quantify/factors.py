"""Factor versions: what one unit of an action saves, with where the number comes from.

A published version is never changed. A better factor is a new version, valid from a day; records keep the
version they were computed with.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, Session, SQLModel

from activities.catalogue import PACKAGE_DATA
from activities.quantify.guards import guard
from tanpuhui import cells
from tanpuhui.csvtext import Problem
from tanpuhui.db import enum_type
from tanpuhui.reference import Column, LoadCount, Reading, ReferenceFile, Row

POLLUTANTS = ("nox", "pm25", "voc", "so2", "co")


class ScenarioKind(StrEnum):
    """The three kinds of 沪环规〔2025〕10号."""

    PROJECT = "减排项目"
    SCENARIO = "减排场景"
    BEHAVIOUR = "行为场景"


class Confidence(StrEnum):
    """How good a source is: A primary text, B press, C second-hand, D derived by arithmetic."""

    A = "A"
    B = "B"
    C = "C"
    D = "D"


class FactorVersion(SQLModel, table=True):
    """What one `unit` of an action saves, in nanograms, valid from `valid_from` to `valid_to` inclusive.

    An empty `valid_from` is the beginning of time, an empty `valid_to` means still valid. A pollutant that is
    None has no known factor, which is not zero; a negative one is emitted more than in the baseline.
    `city_credited`: the city's own scheme credits the reduction, the district gives points only.
    """

    __tablename__ = "factor_version"
    __table_args__ = (
        sa.UniqueConstraint("action_code", "version"),
        sa.CheckConstraint("version >= 1 AND id = action_code || '@' || version", name="identity"),
        sa.CheckConstraint(
            "0 <= co2e_low_ng AND co2e_low_ng <= co2e_mid_ng AND co2e_mid_ng <= co2e_high_ng"
            " AND co2e_high_ng <= 9000000000000000",
            name="co2e",
        ),
        *(
            sa.CheckConstraint(f"{name}_ng BETWEEN -9000000000000 AND 9000000000000", name=name)
            for name in POLLUTANTS
        ),
        sa.CheckConstraint("valid_from <= valid_to", name="validity"),
        sa.CheckConstraint("unit <> '' AND baseline <> '' AND region <> ''", name="texts"),
        sa.CheckConstraint("source <> ''", name="source"),
        sa.CheckConstraint("source_year BETWEEN 1900 AND 2999", name="source_year"),
    )

    id: str = Field(primary_key=True, max_length=48)
    action_code: str = Field(foreign_key="action_kind.code", max_length=32)
    version: int
    unit: str = Field(max_length=64)
    scenario_kind: ScenarioKind = Field(sa_type=enum_type(ScenarioKind))
    city_credited: bool
    co2e_low_ng: int = Field(sa_type=sa.BigInteger)
    co2e_mid_ng: int = Field(sa_type=sa.BigInteger)
    co2e_high_ng: int = Field(sa_type=sa.BigInteger)
    nox_ng: int | None = Field(default=None, sa_type=sa.BigInteger)
    pm25_ng: int | None = Field(default=None, sa_type=sa.BigInteger)
    voc_ng: int | None = Field(default=None, sa_type=sa.BigInteger)
    so2_ng: int | None = Field(default=None, sa_type=sa.BigInteger)
    co_ng: int | None = Field(default=None, sa_type=sa.BigInteger)
    baseline: str
    source: str
    source_year: int
    region: str = Field(max_length=64)
    confidence: Confidence = Field(sa_type=enum_type(Confidence))
    valid_from: date | None = None
    valid_to: date | None = None
    note: str = ""


guard(SQLModel.metadata.tables["factor_version"])


def overlap(one: tuple[date | None, date | None], other: tuple[date | None, date | None]) -> bool:
    """Whether two validities (first and last day, None = open) share a day."""
    return (one[0] or date.min) <= (other[1] or date.max) and (other[0] or date.min) <= (one[1] or date.max)


def select_valid(versions: Iterable[FactorVersion], day: date) -> FactorVersion | None:
    """The one of a kind's `versions` valid on `day` (a day in Asia/Shanghai)."""
    for version in versions:
        begun = version.valid_from is None or version.valid_from <= day
        if begun and (version.valid_to is None or day <= version.valid_to):
            return version
    return None


def all_versions(on: Session | Connection, action_code: str | None = None) -> list[FactorVersion]:
    """Every published version, of one kind or of all, by kind and version; detached from any session."""
    connection = on.connection() if isinstance(on, Session) else on
    table = SQLModel.metadata.tables["factor_version"]
    query = sa.select(table).order_by(table.c.action_code, table.c.version)
    if action_code is not None:
        query = query.where(table.c.action_code == action_code)
    return [FactorVersion(**row) for row in connection.execute(query).mappings()]


def valid_on(on: Session | Connection, action_code: str, day: date) -> FactorVersion | None:
    """The version of `action_code` valid on `day` (a day in Asia/Shanghai), None if there is none."""
    return select_valid(all_versions(on, action_code), day)


# --- reference file -----------------------------------------------------------------------------------------


def _grams(name: str) -> Column:
    return Column(f"co2e_g_{name}", cells.scaled(9, largest=9_000_000))


def _milligrams(pollutant: str) -> Column:
    return Column(f"{pollutant}_mg", cells.optional(cells.scaled(6, largest=9_000_000, negative=True)))


#: Columns of the file whose values a published version keeps for ever, and what they are called in the table.
_KEPT = {
    "unit": "unit",
    "scenario_kind": "scenario_kind",
    "city_credited": "city_credited",
    **{f"co2e_g_{name}": f"co2e_{name}_ng" for name in ("low", "mid", "high")},
    **{f"{name}_mg": f"{name}_ng" for name in POLLUTANTS},
    "baseline": "baseline",
    "source": "source",
    "source_year": "source_year",
    "region": "region",
    "confidence": "confidence",
}


@dataclass
class _Plan:
    """What the rows of one kind ask for beside its published versions (by id), and what speaks against it."""

    fresh: list[Row] = field(default_factory=list)
    closings: dict[str, date] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def _validity(row: Row) -> tuple[date | None, date | None]:
    return row.get("valid_from"), row.get("valid_to")


def _plan(rows: list[Row], published: list[FactorVersion]) -> _Plan:
    """A row belongs to the published version that begins on the same day, or is a new one.

    A published version without an end is closed by a later new one, unless its own row in the file says that
    it goes on.
    """
    plan = _Plan()
    by_start = {version.valid_from: version for version in published}
    restated = set()
    for row in sorted(rows, key=lambda row: row.get("valid_from") or date.min):
        version = by_start.get(row.get("valid_from"))
        if version is None:
            plan.fresh.append(row)
        else:
            restated.add(version.id)
            _compare(row, version, plan)
    for version in published:
        if version.valid_to is None and version.id not in restated:
            later = [start for row in plan.fresh if (start := row.get("valid_from")) is not None]
            after = [start for start in later if start > (version.valid_from or date.min)]
            if after:
                plan.closings[version.id] = min(after) - timedelta(days=1)
    _find_overlaps(rows, [version for version in published if version.id not in restated], plan)
    return plan


def _compare(row: Row, version: FactorVersion, plan: _Plan) -> None:
    """A published version may only be closed and its note reworded."""
    for column, name in _KEPT.items():
        if column in row.values and row.get(column) != getattr(version, name):
            began = f" and after {version.valid_from}" if version.valid_from else ""
            reason = (
                f"differs from published {version.id}, which is never edited:"
                f" a new version needs a valid_from of its own{began}"
            )
            plan.problems.append(row.bad(column, reason))
    ends = row.get("valid_to")
    if ends and version.valid_to is None:
        plan.closings[version.id] = ends
    elif ends and ends != version.valid_to:
        plan.problems.append(row.bad("valid_to", f"published {version.id} ended on {version.valid_to}"))
    if row.get("note") is not None and row.get("note") != version.note:
        plan.notes[version.id] = row.get("note")


def _find_overlaps(rows: list[Row], others: list[FactorVersion], plan: _Plan) -> None:
    """Rows of the file among themselves, as they stand there; new ones also with published versions."""
    for index, row in enumerate(rows):
        for before in rows[:index]:
            same_start = row.get("valid_from") == before.get("valid_from")  # told as a repeated key
            if not same_start and overlap(_validity(row), _validity(before)):
                reason = f"validity overlaps with line {before.line}"
                plan.problems.append(row.bad("valid_from", reason))
    for row in plan.fresh:
        for version in others:
            ends = plan.closings.get(version.id, version.valid_to)
            if overlap(_validity(row), (version.valid_from, ends)):
                plan.problems.append(row.bad("valid_from", f"validity overlaps with published {version.id}"))


def _plans(connection: Connection, reading: Reading) -> Iterator[tuple[list[FactorVersion], _Plan]]:
    """A plan for each kind in the file, over the rows whose kind and validity can be read."""
    kinds: dict[str, list[Row]] = {}
    for row in reading.rows(FACTORS_FILE):
        if {"action_code", "valid_from", "valid_to"} <= row.values.keys():
            kinds.setdefault(row.values["action_code"], []).append(row)
    published: dict[str, list[FactorVersion]] = {}
    for version in all_versions(connection):
        published.setdefault(version.action_code, []).append(version)
    for kind, rows in kinds.items():
        versions = published.get(kind, [])
        yield versions, _plan(rows, versions)


def _check(connection: Connection, reading: Reading) -> Iterator[Problem]:
    for row in reading.rows(FACTORS_FILE):
        low, mid, high = (row.get(f"co2e_g_{name}") for name in ("low", "mid", "high"))
        if low is not None and mid is not None and low > mid:
            yield row.bad("co2e_g_low", "larger than co2e_g_mid")
        if mid is not None and high is not None and mid > high:
            yield row.bad("co2e_g_mid", "larger than co2e_g_high")
        begins, ends = _validity(row)
        if begins and ends and begins > ends:
            yield row.bad("valid_to", f"ends ({ends}) before it begins ({begins})")
    for _, plan in _plans(connection, reading):
        yield from plan.problems


def _write(connection: Connection, reading: Reading) -> LoadCount:
    table = SQLModel.metadata.tables["factor_version"]
    fresh = []
    changed: set[str] = set()
    for published, plan in _plans(connection, reading):
        for version_id, ends in plan.closings.items():
            connection.execute(sa.update(table).where(table.c.id == version_id).values(valid_to=ends))
        for version_id, note in plan.notes.items():
            connection.execute(sa.update(table).where(table.c.id == version_id).values(note=note))
        changed |= plan.closings.keys() | plan.notes.keys()
        last = max((version.version for version in published), default=0)
        fresh += [_values(row, last + step) for step, row in enumerate(plan.fresh, start=1)]
    if fresh:
        connection.execute(sa.insert(table), fresh)
    return LoadCount(len(fresh), len(changed))


def _values(row: Row, version: int) -> dict[str, Any]:
    code = row.values["action_code"]
    return {
        "id": f"{code}@{version}",
        "action_code": code,
        "version": version,
        **{name: row.values[column] for column, name in _KEPT.items()},
        "valid_from": row.values["valid_from"],
        "valid_to": row.values["valid_to"],
        "note": row.values["note"],
    }


FACTORS_FILE = ReferenceFile(
    what="factor version",
    pattern="factors.csv",
    columns=(
        Column("action_code", cells.code),
        Column("unit", cells.name),
        Column("scenario_kind", cells.choice(ScenarioKind)),
        Column("city_credited", cells.yes_no),
        *(_grams(name) for name in ("low", "mid", "high")),
        *(_milligrams(pollutant) for pollutant in POLLUTANTS),
        Column("baseline", cells.text),
        Column("source", cells.text),
        Column("source_year", cells.whole(1900, 2999)),
        Column("region", cells.name),
        Column("confidence", cells.choice(Confidence)),
        Column("note", cells.note),
        Column("valid_from", cells.optional(cells.day), may_be_absent=True),
        Column("valid_to", cells.optional(cells.day), may_be_absent=True),
    ),
    key=("action_code", "valid_from"),
    home=PACKAGE_DATA,
    check=_check,
    write=_write,
)
