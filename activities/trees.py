"""Trees: planting earns a certificate; each yearly check credits the trees that are still alive.

A lifetime of growth is never credited on the planting day. A check is a record of the kind whose methodology has the
form `survival`: its quantity is trees alive x one year, in tree-years. It is made by an ordinary scan
(`activities.drafts`), in whose transaction its row is written.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, SQLModel, col, select

from activities import limits
from activities.actions import ActionVoid
from activities.catalogue import ActionKind
from activities.quantify.calculation import parse_quantity
from activities.quantify.forms import tree_years
from tanpuhui import ids
from tanpuhui.db import Statement, insert_statement, session_on
from tanpuhui.errors import (
    CheckTooEarly,
    MoreTreesThanPlanted,
    NothingPlanted,
    QuantityMissing,
    QuantityNotPositive,
    TreesNotWhole,
)
from tanpuhui.schema import Guard


class Planting(SQLModel, table=True):
    """Trees that a resident planted at a site on a day, confirmed by staff. `number` is on the certificate."""

    __tablename__ = "planting"
    __table_args__ = (
        sa.UniqueConstraint("resident_id", "site_id", "kind", "planted_on"),
        sa.CheckConstraint("trees BETWEEN 1 AND 1000", name="trees"),
    )

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    number: str = Field(max_length=24, unique=True)
    resident_id: UUID = Field(foreign_key="resident.id")
    site_id: UUID = Field(foreign_key="site.id")
    code_id: int = Field(sa_type=sa.BigInteger)
    kind: str = Field(max_length=32)
    trees: int
    planted_on: date
    recorded_at: datetime


class TreeCheck(SQLModel, table=True):
    """How many trees of a planting were alive in its `year`-th year (1: a year after planting).

    `alive_before` is what the check before found (at first: the trees planted). `ordinal` counts the checks of that
    year, those of voided records included: as for records, its uniqueness lets only one of two at once pass.
    """

    __tablename__ = "tree_check"
    __table_args__ = (
        sa.UniqueConstraint("planting_id", "year", "ordinal"),
        sa.CheckConstraint("year >= 1 AND ordinal >= 1", name="numbers"),
        sa.CheckConstraint("alive BETWEEN 1 AND alive_before", name="alive"),
    )

    action_id: UUID = Field(foreign_key="action.id", primary_key=True)
    planting_id: UUID = Field(foreign_key="planting.id")
    year: int
    ordinal: int
    alive: int
    alive_before: int
    checked_on: date


GUARDS = tuple(
    Guard(table, name, event, "true", "is append-only")
    for table in ("planting", "tree_check")
    for name, event in (("no_update", "UPDATE"), ("no_delete", "DELETE"))
)

INSERT_CHECKS: Statement = insert_statement(
    SQLModel.metadata.tables["tree_check"],
    {
        "action_id": "uuid",
        "planting_id": "uuid",
        "year": "int",
        "ordinal": "int",
        "alive": "int",
        "alive_before": "int",
        "checked_on": "date",
    },
)


# --- a planting and what became of it -----------------------------------------------------------------------


@dataclass(frozen=True)
class Grove:
    """A planting with its standing checks by year; `made` counts the checks of each year, voided ones included."""

    planting: Planting
    checks: tuple[TreeCheck, ...]
    made: Mapping[int, int]

    @property
    def alive(self) -> int:
        """What the last standing check found, at first the trees planted: a dead tree does not come back."""
        return min((check.alive for check in self.checks), default=self.planting.trees)

    @property
    def first_check_on(self) -> date:
        """The day on which the first year is over."""
        return due_on(self.planting.planted_on, 1)

    @property
    def next_year(self) -> int:
        """The first year without a standing check: a missed year is made up before the next one."""
        checked = {check.year for check in self.checks}
        return next(year for year in range(1, len(checked) + 2) if year not in checked)

    @property
    def next_check_on(self) -> date:
        """The first day on which the next check counts."""
        return due_on(self.planting.planted_on, self.next_year)

    def checked_by(self, action_id: UUID) -> bool:
        """Whether this action is a standing check of it."""
        return any(check.action_id == action_id for check in self.checks)


def due_on(planted_on: date, year: int) -> date:
    """The day on which `year` whole years have passed; of 29 February, in a common year, the day after."""
    try:
        return planted_on.replace(year=planted_on.year + year)
    except ValueError:
        return date(planted_on.year + year, 3, 1)


def groves_of(
    connection: Connection, resident_id: UUID, *, site_id: UUID | None = None, kind: str | None = None
) -> list[Grove]:
    """A resident's plantings (at one site, of one kind), the oldest first."""
    wanted = [col(Planting.resident_id) == resident_id]
    if site_id is not None:
        wanted.append(col(Planting.site_id) == site_id)
    if kind is not None:
        wanted.append(col(Planting.kind) == kind)
    return _groves(connection, *wanted)


def groves_at(connection: Connection, site_id: UUID, limit: int = 50) -> list[Grove]:
    """The latest plantings at a site, whoever planted them, the latest first."""
    latest: Any = (
        select(Planting.id)
        .where(Planting.site_id == site_id)
        .order_by(col(Planting.planted_on).desc(), col(Planting.id).desc())
        .limit(limit)
    )
    return _groves(connection, col(Planting.id).in_(latest))[::-1]


def _groves(connection: Connection, *wanted: sa.ColumnElement[bool]) -> list[Grove]:
    query: Any = (
        select(Planting, TreeCheck, ActionVoid.action_id)
        .join(TreeCheck, col(TreeCheck.planting_id) == col(Planting.id), isouter=True)
        .join(ActionVoid, col(ActionVoid.action_id) == col(TreeCheck.action_id), isouter=True)
        .where(*wanted)
        .order_by(col(Planting.planted_on), col(Planting.id), col(TreeCheck.year), col(TreeCheck.ordinal))
    )
    with session_on(connection) as session:
        rows = session.exec(query).all()
        session.expunge_all()
    by_planting: dict[UUID, list[Any]] = {}
    for row in rows:
        by_planting.setdefault(row[0].id, []).append(row)
    return [_grove(group) for group in by_planting.values()]


def _grove(rows: Sequence[Any]) -> Grove:
    checks = [(check, voided) for _, check, voided in rows if check is not None]
    return Grove(
        rows[0][0],
        tuple(check for check, voided in checks if voided is None),
        {check.year: check.ordinal for check, _ in checks},
    )


def early_checks(connection: Connection) -> Iterator[str]:
    """A line for every check recorded before its year was over; there must be none."""
    query: Any = select(TreeCheck, col(Planting.planted_on)).join(
        Planting, col(Planting.id) == col(TreeCheck.planting_id)
    )
    with session_on(connection) as session:
        for check, planted_on in session.exec(query):
            if check.checked_on < due_on(planted_on, check.year):
                yield f"{check.action_id}: year {check.year} checked on {check.checked_on}"


# --- the yearly check ---------------------------------------------------------------------------------------


def check_of(
    connection: Connection,
    resident_id: UUID,
    site_id: UUID,
    kind: ActionKind,
    *,
    alive_milli: int | None,
    day: date,
    planting_id: UUID | None = None,
) -> dict[str, Any]:
    """The row of the check that a resident's scan makes, but for the action; call after taking their turn.

    Of several plantings that are due the oldest is checked, unless `planting_id` names one. `alive_milli` is how
    many trees are alive, in thousandths. Raises NothingPlanted, CheckTooEarly, QuantityMissing,
    QuantityNotPositive, TreesNotWhole, MoreTreesThanPlanted, QuantityOutOfRange.
    """
    groves = groves_of(connection, resident_id, site_id=site_id, kind=kind.code)
    if planting_id is not None:
        groves = [grove for grove in groves if grove.planting.id == planting_id]
    if not groves:
        raise NothingPlanted
    grove = next((grove for grove in groves if grove.next_check_on <= day), None)
    if grove is None:
        raise CheckTooEarly(check_on=min(grove.next_check_on for grove in groves).isoformat())
    year = grove.next_year
    return {
        "planting_id": grove.planting.id,
        "year": year,
        "ordinal": grove.made.get(year, 0) + 1,
        "alive": _alive(kind, alive_milli, grove.alive),
        "alive_before": grove.alive,
        "checked_on": day,
    }


def _alive(kind: ActionKind, alive_milli: int | None, before: int) -> int:
    """How many trees are alive. Never guessed: the kind's default quantity does not count here."""
    if alive_milli is None:
        raise QuantityMissing(unit="tree")
    alive = whole_trees(alive_milli)
    if alive > before:
        raise MoreTreesThanPlanted(trees=before)
    limits.check_quantity(kind, quantity_of(alive))
    return alive


def whole_trees(milli: int) -> int:
    """Thousandths of trees as a number of trees. Raises QuantityNotPositive, TreesNotWhole."""
    if milli <= 0:
        raise QuantityNotPositive
    if milli % 1000:
        raise TreesNotWhole
    return milli // 1000


def quantity_of(alive: int) -> int:
    """What a check credits: the trees alive over one year, in thousandths of a tree-year."""
    return parse_quantity(tree_years(alive, 1))
