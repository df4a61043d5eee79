"""The numbers of a monthly or yearly report: read from the records at one moment, with the small ones left out.

Every record stands in one cell: its 街镇, its kind, whether its evidence counts as verified, and whether the city credits it.
Cells are added up by kind, by 街镇 and altogether, but verified and self-declared, own and the city's never to each other.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import SQLModel, col

from activities.actions import Action, of_days
from activities.campaigns import Campaign
from activities.catalogue import ActionKind, EvidenceTier
from activities.quantify.factors import POLLUTANTS, FactorVersion
from activities.reviews import standing
from tanpuhui import clock
from tanpuhui.bureau.suppression import FEWEST, Sum, left_out, told
from tanpuhui.bureau.told import told_sums
from tanpuhui.divisions import Division
from tanpuhui.periods import CalendarPeriod

Row = dict[str, Any]

#: What the records are added up by. A cell of a level is a sum of those of the last one.
LEVELS: dict[str, tuple[str, ...]] = {
    "whole": (),
    "kind": ("kind",),
    "street": ("street",),
    "cell": ("street", "kind"),
}

AMOUNTS = ("quantity_milli", "co2e_mg", "co2e_mid_mg", "co2e_high_mg")

#: So many steps have the numbers of a report.
STEPS = len(LEVELS) + 3

#: So many months are told beside the one that a report is of.
MONTHS = 12

Cell = tuple[str, str, str, bool, bool]

_STREET = sa.func.substr(col(Action.division_code), 1, 9)
_VERIFIED = sa.case((col(EvidenceTier.counts_as_verified), 1), else_=0)
_PEOPLE = sa.func.count(col(Action.resident_id).distinct())


def numbers(
    connection: Connection,
    period: CalendarPeriod,
    district: str,
    earlier: Mapping[str, Mapping[str, Any]],
    tell: Callable[[], None],
) -> dict[str, Any]:
    """Everything that a report says of a period, as JSON keeps it; `tell` hears of each of the `STEPS`.

    `earlier`: the snapshots of months, by their names. What they told is published, and is told beside this one.
    """
    found: dict[str, list[Row]] = {}
    for level in LEVELS:
        found[level] = _rows(connection, period, level)
        tell()
    withheld = _withheld(connection, period, district)
    people = _people(connection, period, district, withheld)
    tell()
    given_away = {cell_of(row) for rows in found.values() for row in rows if cell_of(row)[:3] in withheld}
    if period.unit == "year":
        given_away |= _given_away(connection, period, earlier)
    _leave_out(found, given_away)
    tell()
    made = {
        "people": people,
        "rows": [row for rows in found.values() for row in rows],
        "trend": _trend(period, earlier, people, found["whole"]),
        "campaigns": _campaigns(connection, period),
        "factors": _factors(connection, period),
        "names": _names(connection, district, found["kind"]),
    }
    tell()
    return made


# --- what adds up ------------------------------------------------------------------------------------------


def _these(period: CalendarPeriod) -> sa.ColumnElement[bool]:
    return sa.and_(of_days(period.first, period.last), standing())


def _rows(connection: Connection, period: CalendarPeriod, level: str) -> list[Row]:
    """A row for each cell of a level. Pollutants only where all of its records have a factor, or at least it is known how many."""
    named, parts = _keys(level)
    columns: list[Any] = [_PEOPLE.label("participants"), sa.func.count().label("records")]
    columns += [sa.func.sum(col(getattr(Action, name))).label(name) for name in AMOUNTS]
    for name in POLLUTANTS:
        column = col(getattr(Action, f"{name}_ug"))
        columns += [
            sa.func.sum(column).label(f"{name}_ug"),
            sa.func.count(column).label(f"{name}_known"),
        ]
    query = (
        sa.select(*named, *parts, *columns)
        .join(EvidenceTier, col(EvidenceTier.code) == col(Action.evidence))
        .where(_these(period))
        .group_by(*named, *parts)
    )
    return sorted((_plain(level, row) for row in connection.execute(query).mappings()), key=_order)


def _keys(level: str) -> tuple[list[Any], list[Any]]:
    """What the cells of a level are named by, and the parts that are never added up."""
    keys: dict[str, Any] = {"street": _STREET, "kind": col(Action.kind)}
    named = [keys[name].label(name) for name in LEVELS[level]]
    return named, [_VERIFIED.label("verified"), col(Action.city_credited).label("city")]


def _place(found: sa.RowMapping) -> Row:
    return {
        "street": found.get("street", ""),
        "kind": found.get("kind", ""),
        "verified": bool(found["verified"]),
        "city": bool(found["city"]),
    }


def _plain(level: str, found: sa.RowMapping) -> Row:
    row: Row = {"level": level, **_place(found), "hidden": False}
    row |= {name: int(found[name]) for name in ("participants", "records", *AMOUNTS)}
    if not row["kind"]:
        del row["quantity_milli"]  # meals and kilograms do not add up
    for name in POLLUTANTS:
        row[f"{name}_known"] = found[f"{name}_known"]
        row[f"{name}_ug"] = int(found[f"{name}_ug"]) if found[f"{name}_known"] else None
    return row


def _order(row: Row) -> tuple[Any, ...]:
    return row["street"], row["kind"], row["city"], not row["verified"]


def cell_of(row: Row) -> Cell:
    """Which cell a row tells."""
    return row["level"], row["street"], row["kind"], row["verified"], row["city"]


# --- what is left out --------------------------------------------------------------------------------------


def _leave_out(found: Mapping[str, Sequence[Row]], given_away: Collection[Cell] = ()) -> None:
    """Empty what is of a few people, and what would give it away; of pollutants also where they alone would."""
    people = {cell_of(row): row["participants"] for rows in found.values() for row in rows}
    people |= dict.fromkeys(people.keys() & given_away, 1)  # as if of one person: left out
    hidden = left_out(people, [*_sums(found)])
    for rows in found.values():
        for row in rows:
            row["hidden"] = cell_of(row) in hidden
    for name in POLLUTANTS:
        _leave_out_pollutant(found, name)
    for rows in found.values():
        for row in rows:
            if row["hidden"]:
                row.update(dict.fromkeys(_TOLD & row.keys()))


_TOLD = frozenset(
    (
        "participants",
        "records",
        *AMOUNTS,
        *(f"{name}_{what}" for name in POLLUTANTS for what in ("ug", "known")),
    )
)


def _sums(found: Mapping[str, Sequence[Row]]) -> Iterator[Sum[Cell]]:
    """How cells add up. What all records of a place, and the district's own, add up to is told elsewhere: with that nothing may be
    worked out either.
    """
    for rows in found.values():
        for place in sorted({cell_of(row)[:3] for row in rows}):
            here = [row for row in rows if cell_of(row)[:3] == place]
            yield Sum(tuple(map(cell_of, here)))
            yield Sum(tuple(cell_of(row) for row in here if not row["city"]))
    for whole in found["whole"]:
        for level in ("kind", "street"):
            yield Sum(tuple(map(cell_of, _parts(found[level], whole))), cell_of(whole))
    for level in ("kind", "street"):
        for total in found[level]:
            yield Sum(tuple(map(cell_of, _parts(found["cell"], total))), cell_of(total))


def _parts(rows: Iterable[Row], total: Row) -> list[Row]:
    """The rows that add up to `total`."""
    same = ["verified", "city", *(name for name in ("street", "kind") if total[name])]
    return [row for row in rows if all(row[name] == total[name] for name in same)]


def _given_away(
    connection: Connection, period: CalendarPeriod, months: Mapping[str, Mapping[str, Any]]
) -> set[Cell]:
    """The cells of a year that would give away what the reports of its months left out: a year less the months that were told.

    What is missing has to be at least two months, one of them of at least five people.
    """
    told_then = {
        (month, *cell_of(row))
        for month, snapshot in months.items()
        for row in snapshot["rows"]
        if not row["hidden"]
    }
    missing: dict[Cell, list[int]] = defaultdict(list)
    month = sa.func.substr(sa.cast(col(Action.day), sa.String), 1, 7).label("month")
    for level in LEVELS:
        named, parts = _keys(level)
        query = (
            sa.select(month, *named, *parts, _PEOPLE.label("participants"))
            .join(EvidenceTier, col(EvidenceTier.code) == col(Action.evidence))
            .where(_these(period))
            .group_by(month, *named, *parts)
        )
        for row in connection.execute(query).mappings():
            cell = cell_of({"level": level, **_place(row)})
            if (row["month"], *cell) not in told_then:
                missing[cell].append(row["participants"])
    return {cell for cell, people in missing.items() if len(people) == 1 or max(people) < FEWEST}


def _leave_out_pollutant(found: Mapping[str, Sequence[Row]], name: str) -> None:
    """A pollutant is known of some kinds only, so a sum may be of a few people though its row is not.

    It is told of a cell and a kind whose records all have a factor, never of a 街镇, and of all kinds together where those that
    are hidden are at least two with at least five people.
    """

    def empty(row: Row) -> None:
        row[f"{name}_ug"] = row[f"{name}_known"] = None

    for row in (*found["cell"], *found["kind"]):
        if 0 < row[f"{name}_known"] < row["records"]:
            empty(row)
    for row in found["street"]:
        empty(row)
    for whole in found["whole"]:
        kinds = [row for row in _parts(found["kind"], whole) if row[f"{name}_known"] != 0]
        untold = [row["participants"] for row in kinds if row["hidden"] or row[f"{name}_known"] is None]
        shown = [row for row in kinds if row["participants"] >= FEWEST]
        if (untold and (len(untold) == 1 or max(untold) < FEWEST)) or (kinds and not shown):
            empty(whole)


# --- what else is told -------------------------------------------------------------------------------------


def _withheld(connection: Connection, period: CalendarPeriod, district: str) -> set[tuple[str, str, str]]:
    """The places (level, 街镇, kind) of which nothing is told anywhere: a report is no finer than the other pages."""
    streets = connection.scalars(
        sa.select(col(Division.code)).where(col(Division.parent_code) == district)
    ).all()
    found = set()
    for level, named in LEVELS.items():
        areas = streets if "street" in named else [district]
        by = [{"street": "area", "kind": "kind"}[name] for name in named]
        for row in told_sums(connection, [period], areas, by=by):
            if row["withheld"]:
                found.add((level, row.get("area", ""), row.get("kind", "")))
    return found


def _people(
    connection: Connection, period: CalendarPeriod, district: str, withheld: Collection[tuple[str, str, str]]
) -> Row:
    """How many took part, altogether and by 街镇, whatever proves it; and how many of them for the first time."""
    by_street = (
        sa.select(_STREET.label("street"), _PEOPLE.label("people")).where(_these(period)).group_by(_STREET)
    )
    streets = {row.street: row.people for row in connection.execute(by_street)}
    everybody = connection.scalar(sa.select(_PEOPLE).where(_these(period))) or 0
    tells = told(everybody) and ("whole", "", "") not in withheld
    (row,) = told_sums(connection, [period], [district])
    new = row["newcomers"]
    return {
        "participants": everybody if tells else None,
        "newcomers": new if tells and new is not None and told(everybody - new) else None,
        "street": {
            street: number if told(number) and ("street", street, "") not in withheld else None
            for street, number in sorted(streets.items())
        },
    }


def _trend(
    period: CalendarPeriod,
    earlier: Mapping[str, Mapping[str, Any]],
    people: Mapping[str, Any],
    whole: Sequence[Row],
) -> list[Row]:
    """The months of a year, or those until a month, each as its own report told it; a month without a report is not there."""
    months = list(period.parts("month"))
    while period.unit == "month" and len(months) < MONTHS:
        months.insert(0, months[0].before())
    found = []
    for month in months:
        if month == period:
            found.append(_month(month.name, people, whole))
        elif month.name in earlier:
            told_then = earlier[month.name]
            rows = [row for row in told_then["rows"] if row["level"] == "whole"]
            found.append(_month(month.name, told_then["people"], rows))
    return found


def _month(name: str, people: Mapping[str, Any], whole: Iterable[Row]) -> Row:
    parts = [{key: row[key] for key in ("verified", "city", "records", "co2e_mg")} for row in whole]
    return {"month": name, "participants": people["participants"], "parts": parts}


def _campaigns(connection: Connection, period: CalendarPeriod) -> list[Row]:
    """The campaigns that ran in the period, by their beginning; their numbers are of the whole campaign until now."""
    begins, ends = clock.day_bounds(period.first)[0], clock.day_bounds(period.last)[1]
    query = (
        sa.select(Campaign.__table__.c)  # type: ignore[attr-defined]
        .where(col(Campaign.starts_at) < ends, col(Campaign.ends_at) > begins)
        .order_by(col(Campaign.starts_at), col(Campaign.id))
    )
    total = SQLModel.metadata.tables["campaign_total"]
    made = []
    for campaign in connection.execute(query):
        until = min(campaign.ends_at, campaign.cancelled_at or campaign.ends_at)
        if until <= max(begins, campaign.starts_at):
            continue
        found = connection.execute(sa.select(total).where(total.c.campaign == str(campaign.id))).first()
        people = found.participants if found else 0
        records = found.actions + found.city_actions if found else 0
        made.append(
            {
                "title": campaign.title,
                "days": [
                    clock.day_of(at).isoformat()
                    for at in (campaign.starts_at, until - timedelta(microseconds=1))
                ],
                "participants": people if told(people) else None,
                "records": records if told(people) else None,
            }
        )
    return made


def _factors(connection: Connection, period: CalendarPeriod) -> list[Row]:
    """The factor versions by which the records were computed, each with its source."""
    used = sa.select(col(Action.factor_version)).where(_these(period))
    query = (
        sa.select(FactorVersion.__table__.c, col(ActionKind.name_zh), col(ActionKind.name_en))  # type: ignore[attr-defined]
        .join(ActionKind, col(ActionKind.code) == col(FactorVersion.action_code))
        .where(col(FactorVersion.id).in_(used))
        .order_by(col(FactorVersion.id))
    )
    return [
        {
            "key": row.id,
            "zh": row.name_zh,
            "en": row.name_en,
            "source": row.source,
            "year": row.source_year,
            "region": row.region,
        }
        for row in connection.execute(query)
    ]


def _names(connection: Connection, district: str, kinds: Iterable[Row]) -> Row:
    """What kinds and 街镇 are called, so that the report keeps its words; every 街镇, also those where nobody took part."""
    wanted = {row["kind"] for row in kinds}
    query = sa.select(
        col(ActionKind.code), col(ActionKind.name_zh), col(ActionKind.name_en), col(ActionKind.unit)
    )
    found: Row = {"kind": {}, "street": {}}
    for row in connection.execute(query.where(col(ActionKind.code).in_(wanted)).order_by(ActionKind.code)):
        found["kind"][row.code] = {"zh": row.name_zh, "en": row.name_en, "unit": row.unit}
    places = sa.select(col(Division.code), col(Division.name)).order_by(col(Division.code))
    for place in connection.execute(places.where(col(Division.parent_code) == district)):
        found["street"][place.code] = place.name
    found["district"] = connection.scalar(sa.select(col(Division.name)).where(col(Division.code) == district))
    return found


def first_day(connection: Connection) -> date | None:
    """The first day of which there is a record."""
    found: date | None = connection.scalar(
        sa.select(sa.func.min(SQLModel.metadata.tables["daily_figure"].c.day))
    )
    return found
