"""Factor versions: what one unit of an action saves, with where the number comes from.

A published version is never changed. A better factor is a new version, valid from a day; records keep the
version they were computed with.
"""

from collections.abc import Iterable
from datetime import date
from enum import StrEnum
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, Session, SQLModel

from activities.quantify.methodologies import ScenarioKind
from tanpuhui.db import enum_type
from tanpuhui.i18n import N_

POLLUTANTS = ("nox", "pm25", "voc", "so2", "co")


class Confidence(StrEnum):
    """How good a source is: A primary text, B press, C second-hand, D derived by arithmetic."""

    A = "A"
    B = "B"
    C = "C"
    D = "D"


class FactorValues(SQLModel):
    """What a factor says, published or proposed: nanograms saved by one `unit`, and where that comes from.

    An empty `valid_from` is the beginning of time, an empty `valid_to` means still valid. A pollutant that is
    None has no known factor, which is not zero; a negative one is emitted more than in the baseline.
    `city_credited`: the city's own scheme credits the reduction, the district gives points only. `derivation`
    tells the parameters that values follow from, as `forms.read_derivation` reads it; empty where the source
    states the values themselves.
    """

    action_code: str = Field(foreign_key="action_kind.code", max_length=32)
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
    methodology: str | None = Field(default=None, foreign_key="methodology.code", max_length=32)
    derivation: str = Field(default="", sa_column_kwargs={"server_default": ""})


def value_checks() -> tuple[sa.CheckConstraint, ...]:
    """The constraints that published and proposed values share."""
    return (
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


class FactorVersion(FactorValues, table=True):
    """A published factor. Immutable: only an open `valid_to` may be closed, and what was not told be told once.

    `proposal_id` is the proposal it was published from; None for one that came with reference data. `closes` is the
    open version that it ended when it was published. One that was cancelled before its first day never counted.
    """

    __tablename__ = "factor_version"
    __table_args__ = (
        sa.UniqueConstraint("action_code", "version"),
        sa.CheckConstraint("version >= 1 AND id = action_code || '@' || version", name="identity"),
        sa.CheckConstraint(
            "cancelled_on IS NULL OR (valid_from IS NOT NULL AND cancelled_on < valid_from)", name="cancelled"
        ),
        sa.CheckConstraint(
            "(cancelled_on IS NULL) = (cancelled_by IS NULL)"
            " AND (cancelled_on IS NULL) = (cancelled_because IS NULL) AND cancelled_because <> ''",
            name="cancellation",
        ),
        *value_checks(),
    )

    id: str = Field(primary_key=True, max_length=48)
    version: int
    proposal_id: UUID | None = Field(default=None, foreign_key="factor_proposal.id", unique=True)
    closes: str | None = Field(default=None, foreign_key="factor_version.id", max_length=48)
    cancelled_on: date | None = None
    cancelled_by: UUID | None = Field(default=None, foreign_key="staff.id")
    cancelled_because: str | None = Field(default=None, max_length=200)


class VersionState(StrEnum):
    """Where a published version stands on a day. It follows from its validity, unless it was cancelled."""

    UPCOMING = "upcoming"
    CURRENT = "current"
    RETIRED = "retired"
    CANCELLED = "cancelled"


VERSION_STATE_NAMES = {
    VersionState.UPCOMING: N_("尚未生效"),
    VersionState.CURRENT: N_("现行"),
    VersionState.RETIRED: N_("已失效"),
    VersionState.CANCELLED: N_("已取消，从未生效"),
}


def version_state(version: FactorVersion, today: date) -> VersionState:
    """Whether `version` is still to come, valid, or over on the day `today`, or was cancelled before it began."""
    if version.cancelled_on is not None:
        return VersionState.CANCELLED
    if version.valid_from is not None and today < version.valid_from:
        return VersionState.UPCOMING
    ended = version.valid_to is not None and version.valid_to < today
    return VersionState.RETIRED if ended else VersionState.CURRENT


def uncancelled(versions: Iterable[FactorVersion]) -> list[FactorVersion]:
    """Of some `versions`, those that were not cancelled."""
    return [version for version in versions if version.cancelled_on is None]


def overlap(one: tuple[date | None, date | None], other: tuple[date | None, date | None]) -> bool:
    """Whether two validities (first and last day, None = open) share a day."""
    return (one[0] or date.min) <= (other[1] or date.max) and (other[0] or date.min) <= (one[1] or date.max)


def select_valid(versions: Iterable[FactorVersion], day: date) -> FactorVersion | None:
    """The one of a kind's `versions` valid on `day` (a day in Asia/Shanghai)."""
    for version in versions:
        if version.cancelled_on is not None:
            continue
        begun = version.valid_from is None or version.valid_from <= day
        if begun and (version.valid_to is None or day <= version.valid_to):
            return version
    return None


def closed_by(versions: Iterable[FactorVersion], begins: date | None) -> FactorVersion | None:
    """Of a kind's `versions`, the one without an end from which one that `begins` later takes over."""
    for version in uncancelled(versions):
        if version.valid_to is None and (version.valid_from or date.min) < (begins or date.min):
            return version
    return None


def in_the_way(versions: Iterable[FactorVersion], values: FactorValues) -> FactorVersion | None:
    """Of a kind's `versions`, one that shares a day with `values` even once the open one before them is closed."""
    versions = uncancelled(versions)
    closed = closed_by(versions, values.valid_from)
    wanted = values.valid_from, values.valid_to
    for version in versions:
        if version is not closed and overlap((version.valid_from, version.valid_to), wanted):
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


def versions_by_kind(on: Session | Connection) -> dict[str, list[FactorVersion]]:
    """Every published version of each kind that has one, in the order of `all_versions`."""
    found: dict[str, list[FactorVersion]] = {}
    for version in all_versions(on):
        found.setdefault(version.action_code, []).append(version)
    return found


def valid_on(on: Session | Connection, action_code: str, day: date) -> FactorVersion | None:
    """The version of `action_code` valid on `day` (a day in Asia/Shanghai), None if there is none."""
    return select_valid(all_versions(on, action_code), day)
