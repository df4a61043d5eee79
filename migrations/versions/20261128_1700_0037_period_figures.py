"""Figures by month and year, by 街镇 and district, and counts of distinct participants.

Why: adding up the daily figures of a year, and counting its people, for each look at a page takes seconds.

Filled from the figures that there are, by the rules that keep them, so that nothing has to be rebuilt.

Revision: 0037
Follows: 0034
"""

from collections import defaultdict
from typing import Any
from uuid import UUID

import sqlalchemy as sa
import sqlmodel
from alembic import op
from sqlalchemy.engine import Connection

from tanpuhui import participants, period_figures
from tanpuhui.participants import Cell, Change

revision = "0037"
down_revision = "0034"
branch_labels = None
depends_on = None

_TEXT = sqlmodel.sql.sqltypes.AutoString
_POLLUTANTS = ("nox", "pm25", "voc", "so2", "co")
_MEASURES = (
    *("actions", "quantity_milli", "co2e_mg", "co2e_mid_mg", "co2e_high_mg"),
    *(f"{pollutant}_ug" for pollutant in _POLLUTANTS),
    *(f"{pollutant}_known" for pollutant in _POLLUTANTS),
    "points",
)
_SLICE = 10_000


def upgrade() -> None:
    op.create_table(
        "participant_year",
        sa.Column("resident_id", sa.Uuid(), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=True),
        sa.Column("first_division", _TEXT(length=12), nullable=False),
        sa.Column("days", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("resident_id", "year", name=op.f("pk_participant_year")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "participant_count",
        sa.Column("unit", _TEXT(length=8), nullable=False),
        sa.Column("area", _TEXT(length=12), nullable=False),
        sa.Column("kind", _TEXT(length=32), nullable=False),
        sa.Column("campaign", _TEXT(length=36), nullable=False),
        sa.Column("first", sa.Date(), nullable=False),
        sa.Column("participants", sa.BigInteger(), nullable=False),
        sa.Column("newcomers", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "unit", "area", "kind", "campaign", "first", name=op.f("pk_participant_count")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "period_figure",
        sa.Column("unit", _TEXT(length=8), nullable=False),
        sa.Column("area", _TEXT(length=12), nullable=False),
        sa.Column("campaign", _TEXT(length=36), nullable=False),
        sa.Column("first", sa.Date(), nullable=False),
        sa.Column("kind", _TEXT(length=32), nullable=False),
        sa.Column("evidence", _TEXT(length=32), nullable=False),
        sa.Column("city_credited", sa.Boolean(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _MEASURES),
        sa.CheckConstraint("unit IN ('day', 'month', 'year')", name=op.f("ck_period_figure_unit")),
        sa.PrimaryKeyConstraint(
            *("unit", "area", "campaign", "first", "kind", "evidence", "city_credited"),
            name=op.f("pk_period_figure"),
        ),
        sqlite_with_rowid=False,
    )
    connection = op.get_bind()
    _add_up(connection)
    _count(connection)


def _add_up(connection: Connection) -> None:
    key = ("day", "division_code", "kind", "evidence", "campaign", "city_credited")
    figures = sa.table(
        "daily_figure",
        *(sa.column(name, sa.Date() if name == "day" else None) for name in key[:-1]),
        sa.column("city_credited", sa.Boolean()),
        *map(sa.column, _MEASURES),
    )
    rows = connection.execute(sa.select(figures)).mappings()
    while some := rows.fetchmany(_SLICE):
        period_figures.add(connection, ((tuple(row[name] for name in key), row) for row in some))  # type: ignore[misc,arg-type]


def _count(connection: Connection) -> None:
    people = sa.table(
        "daily_participant",
        sa.column("day", sa.Date()),
        *map(sa.column, ("division_code", "kind", "campaign")),
        sa.column("resident_id", sa.Uuid()),
        sa.column("actions"),
    )
    rows = connection.execute(sa.select(people).where(people.c.actions > 0))
    while some := rows.fetchmany(_SLICE):
        changes: dict[UUID, list[Change]] = defaultdict(list)
        for row in some:
            changes[row.resident_id].append(Change(row.day, _cell(row), True))
        participants.count(connection, changes)


def _cell(row: Any) -> Cell:
    return Cell(row.division_code, row.kind, row.campaign)


def downgrade() -> None:
    op.drop_table("period_figure")
    op.drop_table("participant_count")
    op.drop_table("participant_year")
