"""The daily figures added up once more, by month and year, by 街镇 and district: a page reads as little of two years as of a day.

What is added up of a day and a community stands in `daily_figure`; what is larger stands here, moved by the same batches of the
relay: of everything (`campaign` is `ALL`), and of each campaign besides. Weeks are seven days, quarters three months.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import date

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field

from tanpuhui.db import Statement
from tanpuhui.measures import MEASURES, Measured
from tanpuhui.participants import ALL, areas_of
from tanpuhui.periods import CalendarPeriod

#: The units that are kept. A day of a community is a daily figure.
KEPT = ("day", "month", "year")

_KEY = ("unit", "area", "campaign", "first", "kind", "evidence", "city_credited")


class PeriodFigure(Measured, table=True):
    """Sums of a day, month or year that begins on `first`, of an area (a district, 街镇 or community by its code), of a kind and
    evidence tier; of one campaign, or of everything (`ALL`)."""

    __tablename__ = "period_figure"
    __table_args__ = (
        sa.CheckConstraint("unit IN ('day', 'month', 'year')", name="unit"),
        {"sqlite_with_rowid": False},
    )

    unit: str = Field(primary_key=True, max_length=8)
    area: str = Field(primary_key=True, max_length=12)
    campaign: str = Field(primary_key=True, max_length=36)
    first: date = Field(primary_key=True)
    kind: str = Field(primary_key=True, max_length=32)
    evidence: str = Field(primary_key=True, max_length=32)
    city_credited: bool = Field(primary_key=True)


_ADD = Statement(
    f"INSERT INTO period_figure ({', '.join(_KEY + MEASURES)}) "
    f"SELECT {', '.join(f'q.{name}' for name in _KEY + MEASURES)} FROM {{rows}} WHERE true "
    f"ON CONFLICT ({', '.join(_KEY)}) DO UPDATE SET "
    + ", ".join(f"{name} = period_figure.{name} + excluded.{name}" for name in MEASURES),
    rows={
        "unit": "text",
        "area": "text",
        "campaign": "text",
        "first": "date",
        "kind": "text",
        "evidence": "text",
        "city_credited": "bool",
        **dict.fromkeys(MEASURES, "int"),
    },
    each=True,
)

#: (day, community, kind, evidence, campaign, credited by the city): the key of a daily figure.
DailyKey = tuple[date, str, str, str, str, bool]


def add(connection: Connection, daily: Iterable[tuple[DailyKey, Mapping[str, int]]]) -> None:
    """Add what is added to daily figures, one atomic upsert a sum, in key order (so relays never deadlock)."""
    sums: dict[tuple[str, str, str, date, str, str, bool], list[int]] = defaultdict(
        lambda: [0] * len(MEASURES)
    )
    for (day, division_code, kind, evidence, campaign, city), measures in daily:
        amounts = [measures[name] for name in MEASURES]
        for unit, area, first in _larger(day, division_code):
            for scope in (ALL, campaign) if campaign else (ALL,):
                row = sums[unit, area, scope, first, kind, evidence, city]
                for at, amount in enumerate(amounts):
                    row[at] += amount
    names = _KEY + MEASURES
    _ADD.run(connection, [dict(zip(names, (*key, *row), strict=True)) for key, row in sorted(sums.items())])


def _larger(day: date, division_code: str) -> Iterator[tuple[str, str, date]]:
    community, *above = areas_of(division_code)
    for unit in KEPT:
        first = CalendarPeriod.containing(unit, day).first
        for area in above if unit == "day" else (community, *above):
            yield unit, area, first
