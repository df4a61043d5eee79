"""The numbers of a closing report: read from the records themselves, with the small ones left out.

The figures of dashboards come a moment later, behind the relay; a report is made once and has to be exact at that moment, also
when everything is caught up at once after an outage. So it reads the records, which are few enough for once.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.orm import aliased
from sqlmodel import col

from activities.actions import Action
from activities.attempts import KEPT, ScanAttempt
from activities.catalogue import ActionKind, EvidenceTier
from activities.quantify.factors import POLLUTANTS, FactorVersion
from activities.reviews import standing
from tanpuhui import clock
from tanpuhui.bureau.suppression import Sum, left_out, told
from tanpuhui.divisions import Division

#: What a row adds up; in milligrams of CO2e.
AMOUNTS = ("co2e_mg", "co2e_mid_mg", "co2e_high_mg")

#: What a row tells, or leaves out altogether.
TOLD = ("participants", "records", *AMOUNTS)

#: The tables of a report. Every record stands in one row of each, what the city credits apart; streets hold their communities,
#: and what is proven or not its tiers of evidence.
TABLES = ("whole", "kind", "day", "street", "community", "proof", "evidence")

#: A cell: the table, the row's key, and whether the city credits it.
Cell = tuple[str, str, bool]

Row = dict[str, Any]


@dataclass(frozen=True)
class Within:
    """Whose records are added up: those of a campaign at its `sites`, of all its versions; by their index."""

    campaign_id: UUID
    sites: Sequence[UUID]

    def these(self) -> Any:
        """The condition that a record is one of them."""
        return sa.and_(col(Action.site_id).in_(self.sites), col(Action.campaign_id) == self.campaign_id)


_PEOPLE = sa.func.count(col(Action.resident_id).distinct())
_SUMS: tuple[Any, ...] = (
    _PEOPLE.label("participants"),
    sa.func.count().label("records"),
    *(sa.func.sum(col(getattr(Action, name))).label(name) for name in AMOUNTS),
)


def participants(connection: Connection, within: Within) -> int:
    """How many took part."""
    return connection.scalar(sa.select(_PEOPLE).where(within.these(), standing())) or 0


def new_participants(connection: Connection, within: Within, starts_at: datetime) -> int:
    """How many of them had no standing record anywhere before the campaign began."""
    earlier: Any = aliased(Action)
    before = sa.exists().where(
        earlier.resident_id == col(Action.resident_id),
        earlier.day <= clock.day_of(starts_at),
        earlier.occurred_at < starts_at,
        standing(earlier),
    )
    return connection.scalar(sa.select(_PEOPLE).where(within.these(), standing(), ~before)) or 0


def tables(connection: Connection, within: Within) -> dict[str, list[Row]]:
    """The rows of each of `TABLES`, what is left out as None; and of ``whole``, the district's own and the city's.

    What all records add up to is public, so nothing of a table may be worked out with it.
    """
    tier = col(EvidenceTier.code) == col(Action.evidence)
    counts = sa.case((col(EvidenceTier.counts_as_verified), sa.literal("verified")), else_="self_declared")
    found = {
        "whole": _rows(connection, within, sa.literal("all")),
        "kind": _rows(connection, within, col(Action.kind)),
        "day": _rows(connection, within, col(Action.day)),
        "street": _rows(connection, within, sa.func.substr(col(Action.division_code), 1, 9)),
        "community": _rows(connection, within, col(Action.division_code)),
        "proof": _rows(connection, within, counts, tier),
        "evidence": _rows(connection, within, col(Action.evidence)),
    }
    tiers = sa.select(col(EvidenceTier.code), col(EvidenceTier.counts_as_verified))
    verified = {code: bool(counts) for code, counts in connection.execute(tiers)}
    people: dict[Cell, int] = {
        (name, row["key"], row["city"]): row["participants"] for name, rows in found.items() for row in rows
    }
    hidden = left_out(people, [*_sums(found, verified)])
    for name, rows in found.items():
        for row in rows:
            if (name, row["key"], row["city"]) in hidden:
                row.update(dict.fromkeys(TOLD))
    # Of a community even that somebody of it was there is of a few people only.
    found["community"] = [row for row in found["community"] if row["records"] is not None]
    return found


def _rows(connection: Connection, within: Within, key: Any, given: Any = None) -> list[Row]:
    """A row for each `key`, the district's own first. `given`: what the key needs of other tables."""
    keys = [key.label("key"), col(Action.city_credited).label("city")]
    query = sa.select(*keys, *_SUMS).where(within.these(), standing()).group_by(*keys)
    if given is not None:
        query = query.where(given)
    rows = [_plain(row) for row in connection.execute(query).mappings()]
    return sorted(rows, key=lambda row: (row["city"], row["key"]))


def _plain(row: sa.RowMapping) -> Row:
    key = row["key"]
    return {
        "key": key if isinstance(key, str) else key.isoformat(),
        "city": bool(row["city"]),
        **{name: int(row[name]) for name in TOLD},
    }


def _sums(found: Mapping[str, list[Row]], verified: Mapping[str, bool]) -> Iterable[Sum[Cell]]:
    """How the rows add up: each table to the whole, communities to their street, tiers to verified and self-declared."""

    def cells(name: str, city: bool) -> tuple[Cell, ...]:
        return tuple((name, row["key"], city) for row in found[name] if row["city"] is city)

    yield Sum((*cells("whole", False), *cells("whole", True)))
    for city in (False, True):
        for whole in cells("whole", city):
            for name in ("kind", "day", "street", "proof"):
                yield Sum(cells(name, city), whole)
        for street in cells("street", city):
            yield Sum(tuple(one for one in cells("community", city) if one[1].startswith(street[1])), street)
        for proof in cells("proof", city):
            counts = proof[1] == "verified"
            yield Sum(tuple(one for one in cells("evidence", city) if verified[one[1]] is counts), proof)


def pollutants(connection: Connection, within: Within) -> list[Row]:
    """What each pollutant adds up to in micrograms, and of how many records a factor is known; None of fewer than five people.

    A pollutant of which no record has a factor has no row: unknown is not zero.
    """
    found = []
    for name in POLLUTANTS:
        column = col(getattr(Action, f"{name}_ug"))
        query: Any = (
            sa.select(
                col(Action.city_credited).label("city"),
                sa.func.sum(column).label("ug"),
                sa.func.count().label("known"),
                _PEOPLE.label("participants"),
            )
            .where(within.these(), standing(), column.is_not(None))
            .group_by(col(Action.city_credited))
            .order_by(col(Action.city_credited))
        )
        for row in connection.execute(query):
            tells = told(row.participants)
            found.append(
                {
                    "key": name,
                    "city": bool(row.city),
                    "ug": int(row.ug) if tells else None,
                    "known": row.known if tells else None,
                }
            )
    return sorted(found, key=lambda row: row["city"])


def refusals(connection: Connection, within: Within, begins: datetime, until: datetime) -> list[Row]:
    """Scans at the sites that were refused between two moments, by reason, as far as they are still kept."""
    query = (
        sa.select(
            col(ScanAttempt.reason),
            sa.func.sum(col(ScanAttempt.times)).label("times"),
            sa.func.count(col(ScanAttempt.resident_id).distinct()).label("people"),
        )
        .where(
            col(ScanAttempt.site_id).in_(within.sites),
            col(ScanAttempt.first_at) >= max(begins, clock.now() - KEPT),
            col(ScanAttempt.first_at) < until,
        )
        .group_by(col(ScanAttempt.reason))
        .order_by(col(ScanAttempt.reason))
    )
    return [
        {"key": row.reason, "times": int(row.times) if told(row.people) else None}
        for row in connection.execute(query)
    ]


def factors(connection: Connection, within: Within) -> list[Row]:
    """The factor versions by which the records were computed, each with its source."""
    used = sa.select(col(Action.factor_version)).where(within.these(), standing())
    query = (
        sa.select(
            *(
                col(getattr(FactorVersion, name))
                for name in ("id", "source", "source_year", "region", "unit")
            ),
            col(ActionKind.name_zh),
            col(ActionKind.name_en),
        )
        .join_from(FactorVersion, ActionKind, col(ActionKind.code) == col(FactorVersion.action_code))
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


def names(connection: Connection, found: Mapping[str, Iterable[Row]]) -> None:
    """Write down what the rows of kinds, tiers and places are called, so that the report keeps its words."""
    for table, model, zh, en in (
        ("kind", ActionKind, "name_zh", "name_en"),
        ("evidence", EvidenceTier, "name_zh", "name_en"),
        ("street", Division, "name", "name"),
        ("community", Division, "name", "name"),
    ):
        wanted = {row["key"] for row in found[table]}
        columns: Any = (col(getattr(model, name)) for name in ("code", zh, en))
        rows = connection.execute(sa.select(*columns).where(col(model.code).in_(wanted)))
        called = {code: (in_zh, in_en) for code, in_zh, in_en in rows}
        for row in found[table]:
            row["zh"], row["en"] = called.get(row["key"], (row["key"], row["key"]))
