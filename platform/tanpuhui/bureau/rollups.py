"""What calendar periods and areas add up to, and who took part, read from what the relay has added up: a few rows, whatever the years held.

Weeks and quarters are added up from days and months here; distinct participants never are, they are looked up.
"""

from collections.abc import Sequence
from datetime import date
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
            if kept == "day" and level == _COMMUNITY:
                query = _daily(period_of, codes, by, kind, campaign)
            else:
                query = _kept(kept, list(period_of), codes, by, kind, campaign)
            found += [(period_of[row["first"]], row) for row in connection.execute(query).mappings()]
    return found


def _kept(
    unit: str,
    firsts: Sequence[date],
    areas: Sequence[str],
    by: Sequence[str],
    kind: str | None,
    campaign: str | None,
) -> sa.Select[Any]:
    table = SQLModel.metadata.tables["period_figure"]
    keys = [table.c.first, table.c.area, *(table.c[name] for name in by if name in {"kind", "evidence"})]
    where = [
        table.c.unit == unit,
        table.c.area.in_(areas),
        table.c.campaign == (campaign or ALL),
        table.c.first.in_(firsts),
    ]
    return _summed(table, keys, [*where, table.c.kind == kind] if kind else where)


def _daily(
    firsts: Sequence[date] | dict[date, Any],
    areas: Sequence[str],
    by: Sequence[str],
    kind: str | None,
    campaign: str | None,
) -> sa.Select[Any]:
    """Days of communities: the daily figures themselves."""
    table = SQLModel.metadata.tables["daily_figure"]
    keys = [
        table.c.day.label("first"),
        table.c.division_code.label("area"),
        *(table.c[name] for name in by if name in {"kind", "evidence"}),
    ]
    where: list[sa.ColumnElement[bool]] = [table.c.day.in_(list(firsts)), table.c.division_code.in_(areas)]
    if kind:
        where.append(table.c.kind == kind)
    if campaign:
        where.append(table.c.campaign == campaign)
    return _summed(table, keys, where)


def _summed(
    table: sa.Table, keys: Sequence[sa.ColumnElement[Any]], where: Sequence[sa.ColumnElement[bool]]
) -> sa.Select[Any]:
    tiers = SQLModel.metadata.tables["evidence_tier"]
    parts = [table.c.city_credited, tiers.c.counts_as_verified]
    return (
        sa.select(*keys, *parts, *_all_measures(table))
        .select_from(table.outerjoin(tiers, tiers.c.code == table.c.evidence))
        .where(*where)
        .group_by(*keys, *parts)
    )


@cache
def _all_measures(table: sa.Table) -> tuple[sa.ColumnElement[Any], ...]:
    """The sum of each measure; made once, as making it takes as long as running it."""
    return tuple(sa.func.sum(table.c[name]).label(name) for name in MEASURES)


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
    table = SQLModel.metadata.tables["participant_count"]
    query = sa.select(
        table.c.unit, table.c.first, table.c.area, table.c.kind, table.c.participants, table.c.newcomers
    ).where(
        table.c.unit.in_(sorted({period.unit for period in periods})),
        table.c.first.in_({period.first for period in periods}),
        table.c.area.in_(areas),
        table.c.campaign == (campaign or ALL),
    )
    if kind:
        query = query.where(table.c.kind == kind)
    else:
        query = query.where(table.c.kind != ALL if "kind" in by else table.c.kind == ALL)
    found = {}
    for row in connection.execute(query):
        values = {"period": CalendarPeriod(row.unit, row.first), "area": row.area, "kind": row.kind}
        found[tuple(values[name] for name in by)] = (row.participants, row.newcomers)
    return found
