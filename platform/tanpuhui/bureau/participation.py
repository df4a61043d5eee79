"""Participation statistics: who takes part and what it adds up to, read from the figures alone.

Reductions that the city's own scheme credits stand apart (`city_credited`) and are never added to the
district's. `participants` counts distinct residents exactly.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import SQLModel

from tanpuhui.errors import InvalidField
from tanpuhui.figures import MEASURES
from tanpuhui.i18n import N_
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal
from tanpuhui.staff import Role, require

READERS = (Role.OFFICER, Role.AUDITOR, Role.ADMIN)
MAX_SPAN = timedelta(days=3 * 366)

#: What statistics can be broken down by; `division` is the 街镇, `community` the residents' committee.
BREAKDOWNS = ("day", "division", "community", "kind", "evidence", "campaign")


@dataclass(frozen=True)
class Period:
    """Days from `first` to `last`, both included, counted in Asia/Shanghai."""

    first: date
    last: date


def period(first: date, last: date) -> Period:
    """A period that makes sense. Raises InvalidField if it is reversed or longer than three years."""
    if last < first:
        raise InvalidField(errors=[{"field": "to", "reason": N_("结束日期应不早于开始日期。")}])
    if last - first > MAX_SPAN:
        raise InvalidField(errors=[{"field": "to", "reason": N_("一次最多查看三年。")}])
    return Period(first, last)


def may_read(house: House, principal: Principal | None, roles: Collection[Role] = READERS) -> None:
    """Let only people pass who have one of `roles` for the whole district. Raises NotAllowed."""
    with house.db.reading_session() as session:
        require(session, principal, roles, division_code=house.settings.district_code)


def statistics(connection: Connection, within: Period, by: Sequence[str] = ()) -> list[dict[str, Any]]:
    """One row for each combination of `by` (of `BREAKDOWNS`), the total if `by` is empty.

    Each row holds its keys, `participants` (None by evidence, which people are not told apart by), every
    measure of the district's own reductions, `verified_*` and `city_*` parts of actions and CO2e: integers,
    milligrams and micrograms.
    """
    for name in by:
        if name not in BREAKDOWNS:
            raise InvalidField(errors=[{"field": "by", "reason": N_("不支持按此项统计。")}])
    figures = SQLModel.metadata.tables["daily_figure"]
    tiers = SQLModel.metadata.tables["evidence_tier"]
    keys = _keys(figures, by)
    own = sa.not_(figures.c.city_credited)
    verified = sa.and_(own, tiers.c.counts_as_verified)
    columns = [
        sa.func.sum(figures.c.actions).label("actions"),
        sa.func.sum(figures.c.points).label("points"),
        *(_sum(figures.c[name], own).label(name) for name in MEASURES if name not in {"actions", "points"}),
        _sum(figures.c.actions, own).label("own_actions"),
        _sum(figures.c.actions, verified).label("verified_actions"),
        _sum(figures.c.co2e_mg, verified).label("verified_co2e_mg"),
        _sum(figures.c.actions, figures.c.city_credited).label("city_actions"),
        _sum(figures.c.co2e_mg, figures.c.city_credited).label("city_co2e_mg"),
    ]
    query = (
        sa.select(*keys, *columns)
        .select_from(figures.outerjoin(tiers, tiers.c.code == figures.c.evidence))
        .where(figures.c.day.between(within.first, within.last))
        .group_by(*keys)
        .order_by(*keys)
    )
    people = {} if "evidence" in by else _participants(connection, within, by)
    rows = []
    for row in connection.execute(query).mappings():
        identity = tuple(row[name] for name in by)
        values = {name: value if name in by else int(value or 0) for name, value in row.items()}
        rows.append({**values, "participants": None if "evidence" in by else people.get(identity, 0)})
    return rows


def _participants(connection: Connection, within: Period, by: Sequence[str]) -> dict[tuple[Any, ...], int]:
    """Distinct residents with a standing action."""
    people = SQLModel.metadata.tables["daily_participant"]
    keys = _keys(people, by)
    query = (
        sa.select(*keys, sa.func.count(people.c.resident_id.distinct()))
        .where(people.c.day.between(within.first, within.last), people.c.actions > 0)
        .group_by(*keys)
    )
    return {tuple(row[:-1]): row[-1] for row in connection.execute(query)}


def _keys(table: sa.Table, by: Sequence[str]) -> list[sa.ColumnElement[Any]]:
    street = sa.func.substr(table.c.division_code, 1, 9)
    found = {"division": street, "community": table.c.division_code}
    return [(found[name] if name in found else table.c[name]).label(name) for name in by]


def _sum(column: sa.ColumnElement[Any], condition: sa.ColumnElement[bool]) -> sa.ColumnElement[Any]:
    return sa.func.sum(sa.case((condition, column), else_=0))
