"""What calendar periods and areas add up to, and who took part, read from what the relay has added up: a few rows, whatever the years held.

Weeks and quarters are added up from days and months here; distinct participants never are, they are looked up.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import SQLModel

from tanpuhui.bureau.participation import NUMBERS, take_in
from tanpuhui.measures import MEASURES
from tanpuhui.participants import ALL
from tanpuhui.period_figures import KEPT
from tanpuhui.periods import CalendarPeriod

#: What sums can be broken down by. Periods and areas are those that were asked for.
BREAKDOWNS = ("period", "area", "kind", "evidence")

#: Of what units a period is added up, if it is not kept itself.
_ADDED_UP = {"week": "day", "quarter": "month"}

_COMMUNITY = 12  # digits of its code


def sums(
    connection: Connection,
    periods: Sequence[CalendarPeriod],
    areas: Sequence[str],
    *,
    by: Sequence[str] = (),
    kind: str | None = None,
    campaign: str | None = None,
) -> list[dict[str, Any]]:
    """A row for each combination of `by` (of `BREAKDOWNS`) in which something was recorded; one row of all if `by` is empty.

    `areas`: codes of the district, of 街镇 or of communities, none inside another. A row holds its keys (the period as a
    `CalendarPeriod`), every number of `bureau.participation.NUMBERS`, and `participants` and `newcomers`: None where people
    cannot be told apart (by evidence, or in several periods or areas together; newcomers also by kind or campaign).
    """
    rows: dict[tuple[Any, ...], dict[str, Any]] = {} if by else {(): dict.fromkeys(NUMBERS, 0)}
    for period, found in _figures(connection, periods, areas, by, kind, campaign):
        key = tuple(period if name == "period" else found[name] for name in by)
        row = rows.setdefault(key, {**dict(zip(by, key, strict=True)), **dict.fromkeys(NUMBERS, 0)})
        take_in(row, found)
    people = _people(connection, periods, areas, by, kind, campaign)
    for key, row in rows.items():
        row["participants"], row["newcomers"] = (None, None) if people is None else people.get(key, (0, 0))
        if kind or campaign or "kind" in by:
            row["newcomers"] = None
    return sorted(rows.values(), key=lambda row: tuple(row[name] for name in by))


def _figures(
    connection: Connection,
    periods: Sequence[CalendarPeriod],
    areas: Sequence[str],
    by: Sequence[str],
    kind: str | None,
    campaign: str | None,
) -> list[tuple[CalendarPeriod, sa.RowMapping]]:
    """Sums by period, by what of `by` the tables know, and by the part that they belong to."""
    found: list[tuple[CalendarPeriod, sa.RowMapping]] = []
    for unit in sorted({period.unit for period in periods}):
        asked = [period for period in periods if period.unit == unit]
        kept = _ADDED_UP.get(unit, unit)
        assert kept in KEPT
        period_of = {part.first: period for period in asked for part in period.parts(kept)}
        for level in sorted({len(area) for area in areas}):
            codes = [area for area in areas if len(area) == level]
            daily = kept == "day" and level == _COMMUNITY  # those are the daily figures themselves
            query = _query(
                "daily_figure" if daily else "period_figure",
                tuple(name for name in by if name in {"kind", "evidence"}),
                of_kind=kind is not None,
                of_campaign=campaign is not None,
            )
            asked_for = {"firsts": list(period_of), "areas": codes, "unit": kept, "kind": kind}
            rows = connection.execute(query, {**asked_for, "campaign": campaign or ALL}).mappings()
            found += [(period_of[row["first"]], row) for row in rows]
    return found


@cache
def _query(name: str, by: tuple[str, ...], *, of_kind: bool, of_campaign: bool) -> sa.Select[Any]:
    """Sums by period, area and `by`; made once for each shape, as making it takes longer than running it."""
    table = SQLModel.metadata.tables[name]
    tiers = SQLModel.metadata.tables["evidence_tier"]
    daily = name == "daily_figure"
    first = table.c.day.label("first") if daily else table.c.first
    area = table.c.division_code.label("area") if daily else table.c.area
    keys = [first, area, *(table.c[one] for one in by)]
    parts = [table.c.city_credited, tiers.c.counts_as_verified]
    where = [
        _one_of(table.c.day if daily else table.c.first, "firsts"),
        _one_of(table.c.division_code if daily else table.c.area, "areas"),
    ]
    if of_kind:
        where.append(table.c.kind == sa.bindparam("kind"))
    if of_campaign or not daily:
        where.append(table.c.campaign == sa.bindparam("campaign"))
    if not daily:
        where.append(table.c.unit == sa.bindparam("unit"))
    return (
        sa.select(*keys, *parts, *(sa.func.sum(table.c[one]).label(one) for one in MEASURES))
        .select_from(table.outerjoin(tiers, tiers.c.code == table.c.evidence))
        .where(*where)
        .group_by(*keys, *parts)
    )


def _one_of(column: sa.ColumnElement[Any], name: str) -> sa.ColumnElement[bool]:
    return column.in_(sa.bindparam(name, expanding=True))


def _people(
    connection: Connection,
    periods: Sequence[CalendarPeriod],
    areas: Sequence[str],
    by: Sequence[str],
    kind: str | None,
    campaign: str | None,
) -> dict[tuple[Any, ...], tuple[int, int]] | None:
    """Participants and newcomers by the combinations of `by`; None where nothing tells people apart."""
    several = (len(periods) > 1 and "period" not in by) or (len(areas) > 1 and "area" not in by)
    if several or "evidence" in by or (campaign and (kind or "kind" in by)):
        return None
    query = _people_query(None if kind else ("kind" in by))
    asked_for = {
        "units": sorted({period.unit for period in periods}),
        "firsts": sorted({period.first for period in periods}),
        "areas": list(areas),
        "campaign": campaign or ALL,
        "kind": kind,
    }
    found = {}
    for row in connection.execute(query, asked_for):
        values = {"period": CalendarPeriod(row.unit, row.first), "area": row.area, "kind": row.kind}
        found[tuple(values[name] for name in by)] = (row.participants, row.newcomers)
    return found


@cache
def _people_query(by_kind: bool | None) -> sa.Select[Any]:
    """`by_kind`: each kind, or all of them together; None for a given one."""
    table = SQLModel.metadata.tables["participant_count"].c
    columns = (table.unit, table.first, table.area, table.kind, table.participants, table.newcomers)
    if by_kind is None:
        of_kind = table.kind == sa.bindparam("kind")
    else:
        of_kind = table.kind != ALL if by_kind else table.kind == ALL
    return sa.select(*columns).where(
        _one_of(table.unit, "units"),
        _one_of(table.first, "firsts"),
        _one_of(table.area, "areas"),
        table.campaign == sa.bindparam("campaign"),
        of_kind,
    )
