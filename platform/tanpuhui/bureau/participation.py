"""Participation statistics: who takes part and what it adds up to, read from the figures alone.

Reductions that the city's own scheme credits stand apart (`city_credited`) and are never added to the
district's own, which are told as verified by their evidence and as self-declared. `participants` counts distinct
residents exactly.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Session, SQLModel

from tanpuhui import clock
from tanpuhui.errors import InvalidField, NotAllowed
from tanpuhui.i18n import N_
from tanpuhui.measures import MEASURES
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal
from tanpuhui.staff import Role, require

READERS = (Role.OFFICER, Role.AUDITOR, Role.ADMIN)
MAX_SPAN = timedelta(days=3 * 366)

#: What statistics can be broken down by; `division` is the 街镇, `community` the residents' committee.
BREAKDOWNS = ("day", "division", "community", "kind", "evidence", "campaign")

#: What actions save, with the number of those whose factor for a pollutant is known.
REDUCTIONS = tuple(name for name in MEASURES if name not in {"actions", "quantity_milli", "points"})

#: Own actions by the tier of their evidence (`counts_as_verified`), and what the city credits. Every action is in one.
PARTS = ("verified", "self_declared", "city")

#: The numbers of a row of statistics. `actions` and `points` are of all actions; what has no prefix otherwise is of the
#: district's own. Every action has a factor for CO2e (else it is refused), so `co2e_known` equals `own_actions`.
NUMBERS = (
    *("actions", "points", "own_actions", "quantity_milli", "co2e_known", *REDUCTIONS),
    *(f"{part}_{name}" for part in PARTS for name in ("actions", *REDUCTIONS)),
)


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


#: The earliest year that a day in a form or an address may lie in: what is before is a slip of the finger.
FIRST_YEAR = 2000


def read_day(text: str, field: str) -> date:
    """A day written 2026-06-05, from the year 2000 on. Raises InvalidField at `field`."""
    try:
        found = date.fromisoformat(text)
    except ValueError:
        found = date.min
    if found.year < FIRST_YEAR:
        raise InvalidField(errors=[{"field": field, "reason": N_("请填写日期，例如 2026-06-05。")}])
    return found


def period_or_month(first: date | None, last: date | None) -> Period:
    """The period asked for; what is left open becomes the 30 days until `last`, or until today."""
    last = last or clock.today()
    return period(first or last - timedelta(days=29), last)


def may_read(house: House, principal: Principal | None, roles: Collection[Role] = READERS) -> None:
    """Let only people pass who have one of `roles` for the whole district. Raises NotAllowed."""
    with house.db.reading_session() as session:
        require(session, principal, roles, division_code=house.settings.district_code)


def reads_statistics(session: Session, house: House, principal: Principal | None) -> bool:
    """Whether somebody reads the statistics of the district, for what a page offers (never for permission)."""
    try:
        require(session, principal, READERS, division_code=house.settings.district_code)
    except NotAllowed:
        return False
    return True


def statistics(connection: Connection, within: Period, by: Sequence[str] = ()) -> list[dict[str, Any]]:
    """One row for each combination of `by` (of `BREAKDOWNS`), the total if `by` is empty.

    Each row holds its keys, `participants` (None by evidence, which people are not told apart by) and every number
    of `NUMBERS`: integers, milligrams and micrograms.
    """
    for name in by:
        if name not in BREAKDOWNS:
            raise InvalidField(errors=[{"field": "by", "reason": N_("不支持按此项统计。")}])
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for found in connection.execute(_sums(within, by)).mappings():
        identity = tuple(found[name] for name in by)
        row = rows.setdefault(identity, {**dict(zip(by, identity, strict=True)), **dict.fromkeys(NUMBERS, 0)})
        take_in(row, found)
    if not by:
        rows.setdefault((), dict.fromkeys(NUMBERS, 0))
    people = {} if "evidence" in by else _participants(connection, within, by)
    for identity, row in rows.items():
        row["participants"] = None if "evidence" in by else people.get(identity, 0)
    return list(rows.values())


def _sums(within: Period, by: Sequence[str]) -> sa.Select[Any]:
    """Every measure, summed up by `by` and by the part that it belongs to."""
    figures = SQLModel.metadata.tables["daily_figure"]
    tiers = SQLModel.metadata.tables["evidence_tier"]
    keys = _keys(figures, by)
    parts = [figures.c.city_credited, tiers.c.counts_as_verified]
    return (
        sa.select(*keys, *parts, *(sa.func.sum(figures.c[name]).label(name) for name in MEASURES))
        .select_from(figures.outerjoin(tiers, tiers.c.code == figures.c.evidence))
        .where(figures.c.day.between(within.first, within.last))
        .group_by(*keys, *parts)
        .order_by(*keys)
    )


def take_in(row: dict[str, Any], found: sa.RowMapping) -> None:
    """Add the sums of one part to the row: to that part and, unless the city credits it, to the district's own."""
    verified = "verified" if found["counts_as_verified"] else "self_declared"
    part = "city" if found["city_credited"] else verified
    actions = int(found["actions"])
    row["actions"] += actions
    row["points"] += int(found["points"])
    row[f"{part}_actions"] += actions
    for name in REDUCTIONS:
        row[f"{part}_{name}"] += int(found[name])
    if part != "city":
        row["own_actions"] += actions
        row["co2e_known"] += actions
        row["quantity_milli"] += int(found["quantity_milli"])
        for name in REDUCTIONS:
            row[name] += int(found[name])


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
