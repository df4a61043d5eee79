"""How much was recorded at which site, by calendar period: whether a site was used in a year is one look, as of a day.

Used sites do not add up: one that is used in two weeks of a month is one of the month. So of each period it is kept how many standing
actions a site has, moved by the same batches of the relay as all figures; what takes the last one back makes it unused again.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from functools import lru_cache
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, SQLModel

from tanpuhui.db import Statement
from tanpuhui.periods import UNITS, CalendarPeriod


class SiteFigure(SQLModel, table=True):
    """How many standing actions of a kind were done at a site in the period of `unit` that begins on `first`, and how much they
    come to in thousandths of its unit; 0 once all are voided."""

    __tablename__ = "site_figure"
    __table_args__ = (
        sa.CheckConstraint("unit IN ('day', 'week', 'month', 'quarter', 'year')", name="unit"),
        {"sqlite_with_rowid": False},
    )

    unit: str = Field(primary_key=True, max_length=8)
    first: date = Field(primary_key=True)
    site_id: UUID = Field(primary_key=True)
    kind: str = Field(primary_key=True, max_length=32)
    actions: int = Field(sa_type=sa.BigInteger)
    quantity_milli: int = Field(default=0, sa_type=sa.BigInteger, sa_column_kwargs={"server_default": "0"})


_ADD = Statement(
    "INSERT INTO site_figure (unit, first, site_id, kind, actions, quantity_milli) "
    "SELECT q.unit, q.first, q.site_id, q.kind, q.actions, q.quantity_milli FROM {rows} WHERE true "
    "ON CONFLICT (unit, first, site_id, kind) DO UPDATE SET actions = site_figure.actions + excluded.actions, "
    "quantity_milli = site_figure.quantity_milli + excluded.quantity_milli",
    rows={
        "unit": "text",
        "first": "date",
        "site_id": "uuid",
        "kind": "text",
        "actions": "int",
        "quantity_milli": "int",
    },
    each=True,
)

#: Day, site and kind of action.
DailyKey = tuple[date, UUID, str]


#: Standing actions, and their quantity in thousandths of the unit of their kind.
Amounts = tuple[int, int]


def add(connection: Connection, daily: Iterable[tuple[DailyKey, Amounts]]) -> None:
    """Add standing actions of days to all periods that these lie in, one atomic upsert a sum, in key order (so relays never deadlock)."""
    sums: dict[tuple[str, date], dict[tuple[str, str], Amounts]] = defaultdict(dict)
    # Identifiers as texts, as the statement sends them: there are many rows, and identifiers are dear to sort and to write.
    cells = [(site_id.hex, kind, day, amounts) for (day, site_id, kind), amounts in daily if any(amounts)]
    for site_id, kind, day, (actions, quantity) in sorted(cells):
        for period in periods_of(day):
            before = sums[period].get((site_id, kind), (0, 0))
            sums[period][site_id, kind] = before[0] + actions, before[1] + quantity
    rows = [
        {**period, "site_id": site_id, "kind": kind, "actions": amounts[0], "quantity_milli": amounts[1]}
        for (unit, first), of_period in sorted(sums.items())
        for period in ({"unit": unit, "first": first.isoformat()},)
        for (site_id, kind), amounts in of_period.items()
        if any(amounts)
    ]
    if rows:
        _ADD.run(connection, rows)


@lru_cache(4096)
def periods_of(day: date) -> tuple[tuple[str, date], ...]:
    """The periods that a day lies in: unit and first day."""
    return tuple((unit, CalendarPeriod.containing(unit, day).first) for unit in UNITS)


def pieces(first: date, last: date) -> list[CalendarPeriod]:
    """Calendar periods, the largest that fit, that make up the days from `first` to `last`, both included; none if `last` is before."""
    found = []
    while first <= last:
        starting = (CalendarPeriod.containing(unit, first) for unit in reversed(UNITS))
        piece = next(one for one in starting if one.first == first and one.last <= last)
        found.append(piece)
        first = piece.after().first
    return found
