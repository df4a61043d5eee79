"""The numbers of an evidence pack: of an area from the sums that are told of it anyway, of an organisation from the records at its sites.

Rows of a few people are withheld: of an area as everywhere (`bureau.told`), of an organisation as in closing reports, so that of
every sum all is told or at least two rows are missing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import col

from activities.actions import Action
from activities.campaigns import Campaign, CampaignSite
from activities.catalogue import ActionKind, EvidenceTier
from activities.check_ins import CheckIn
from activities.error_rates import rates_at
from activities.gatherings import Gathering
from activities.quantify.factors import FactorVersion
from activities.reviews import standing
from activities.sign_ups import SignUp
from activities.sites import Site, SiteCredits
from tanpuhui import clock
from tanpuhui.bureau.participation import PARTS, REDUCTIONS
from tanpuhui.bureau.suppression import FEWEST, Sum, left_out, told
from tanpuhui.bureau.told import FEW, told_sums
from tanpuhui.measures import POLLUTANTS
from tanpuhui.periods import CalendarPeriod

Row = dict[str, Any]

#: What each part of a row tells: records, and what they save in milligrams and micrograms, with how many have a factor.
MEASURED = ("actions", *REDUCTIONS)

#: The tables of a pack.
TABLES = ("year", "month", "kind")


@dataclass(frozen=True)
class Scope:
    """Whose pack it is: an area by its code, or an organisation."""

    division_code: str | None = None
    organisation_id: UUID | None = None

    @property
    def key(self) -> str:
        """The code, or the id."""
        return self.division_code or str(self.organisation_id)

    def sites(self) -> Any:
        """The condition that a site is theirs: it stands there, or they run it."""
        if self.organisation_id:
            return col(Site.organisation_id) == self.organisation_id
        return sa.and_(col(Site.division_code).startswith(self.division_code or "-"), ~col(Site.self_reports))

    def owns(self, table: Any) -> Any:
        """The condition that a campaign or a gathering is theirs."""
        if self.organisation_id:
            return col(table.organisation_id) == self.organisation_id
        return col(table.division_code).startswith(self.division_code or "-")


def numbers(connection: Connection, scope: Scope, year: int, now: datetime) -> dict[str, Any]:
    """Everything that a pack says of a year up to `now`, as JSON keeps it. None stands for a number that is withheld."""
    period = CalendarPeriod("year", date(year, 1, 1))
    sites = sorted(connection.scalars(sa.select(col(Site.id)).where(scope.sites())))
    if scope.division_code:
        tables = _of_area(connection, period, scope.division_code)
    else:
        tables = _of_sites(connection, period, sites)
    return {
        "tables": tables,
        "venues": _venues(connection, scope, period, now),
        "campaigns": _campaigns(connection, scope, period, now),
        "gatherings": _gatherings(connection, scope, period, now),
        "checked": _checked(connection, sites, period),
        "factors": _factors(connection, period, None if scope.division_code else sites),
        "kinds": _names(connection),
    }


# --- what it adds up to ------------------------------------------------------------------------------------


def _of_area(connection: Connection, period: CalendarPeriod, code: str) -> dict[str, list[Row]]:
    asked: dict[str, tuple[Sequence[CalendarPeriod], tuple[str, ...]]] = {
        "year": ([period], ()),
        "month": (period.parts("month"), ("period",)),
        "kind": ([period], ("kind",)),
    }
    found = {}
    for table, (periods, by) in asked.items():
        rows = told_sums(connection, periods, [code], by=by)
        found[table] = [_row(_key(row, by), row, row["withheld"]) for row in rows]
    return found


def _key(row: Mapping[str, Any], by: tuple[str, ...]) -> str:
    if not by:
        return "all"
    key = row[by[0]]
    return key.name if isinstance(key, CalendarPeriod) else str(key)


def _row(key: str, found: Mapping[str, Any], withheld: str | None) -> Row:
    parts = {
        part: {name: None if withheld else int(found[f"{part}_{name}"]) for name in MEASURED}
        for part in PARTS
    }
    return {
        "key": key,
        "withheld": withheld,
        "participants": None if withheld else found["participants"],
        **parts,
    }


def _of_sites(connection: Connection, period: CalendarPeriod, sites: Sequence[UUID]) -> dict[str, list[Row]]:
    """The same from the standing records at some sites, by their index."""
    keys = {
        "year": sa.literal("all"),
        "month": sa.func.substr(sa.cast(col(Action.day), sa.Text), 1, 7),
        "kind": col(Action.kind),
    }
    found = {table: _rows(connection, period, sites, key) for table, key in keys.items()}
    people = {(table, key): row["participants"] for table, rows in found.items() for key, row in rows.items()}
    whole = ("year", "all")
    sums = [Sum(tuple((table, key) for key in found[table]), whole) for table in ("month", "kind")]
    hidden = left_out(people, sums if whole in people else ())
    tables = {
        table: [_row(key, row, FEW if (table, key) in hidden else None) for key, row in sorted(rows.items())]
        for table, rows in found.items()
    }
    nothing = {f"{part}_{name}": 0 for part in PARTS for name in MEASURED}
    tables["year"] = tables["year"] or [_row("all", {"participants": 0, **nothing}, None)]
    return tables


def _rows(connection: Connection, period: CalendarPeriod, sites: Sequence[UUID], key: Any) -> dict[str, Row]:
    part = sa.case(
        (col(Action.city_credited), "city"),
        (col(EvidenceTier.counts_as_verified), "verified"),
        else_="self_declared",
    )
    these = (
        col(Action.site_id).in_(sites),
        col(Action.day).between(period.first, period.last),
        standing(),
    )
    sums = [
        *(
            sa.func.sum(col(getattr(Action, name))).label(name)
            for name in ("co2e_mg", "co2e_mid_mg", "co2e_high_mg")
        ),
        *(sa.func.sum(col(getattr(Action, f"{name}_ug"))).label(f"{name}_ug") for name in POLLUTANTS),
        *(sa.func.count(col(getattr(Action, f"{name}_ug"))).label(f"{name}_known") for name in POLLUTANTS),
    ]
    named = [] if isinstance(key, sa.BindParameter) else [key]
    people = (
        sa.select(key.label("key"), sa.func.count(col(Action.resident_id).distinct()).label("participants"))
        .where(*these)
        .group_by(*named)
    )
    rows: dict[str, Row] = {
        row.key: {
            "participants": row.participants,
            **{f"{one}_{name}": 0 for one in PARTS for name in MEASURED},
        }
        for row in connection.execute(people)
        if row.participants
    }
    query = (
        sa.select(key.label("key"), part.label("part"), sa.func.count().label("actions"), *sums)
        .join(EvidenceTier, col(EvidenceTier.code) == col(Action.evidence))
        .where(*these)
        .group_by(*named, part)
    )
    for row in connection.execute(query).mappings():
        rows[row["key"]] |= {f"{row['part']}_{name}": int(row[name] or 0) for name in MEASURED}
    return rows


# --- what was done there -----------------------------------------------------------------------------------


def _venues(connection: Connection, scope: Scope, period: CalendarPeriod, now: datetime) -> list[Row]:
    """The sites that were there before the year was over, each with the kinds that it credits now."""
    _, end = clock.day_bounds(period.last)
    query: Any = (
        sa.select(
            col(Site.id),
            col(Site.name),
            col(Site.kind),
            col(Site.status),
            col(SiteCredits.kind).label("credits"),
        )
        .outerjoin(SiteCredits, col(SiteCredits.site_id) == col(Site.id))
        .where(scope.sites(), col(Site.created_at) <= min(end, now))
        .order_by(col(Site.name), col(Site.id), col(SiteCredits.kind))
    )
    found: dict[UUID, Row] = {}
    for row in connection.execute(query):
        venue = found.setdefault(
            row.id, {"name": row.name, "kind": str(row.kind), "status": str(row.status), "credits": []}
        )
        venue["credits"] += [row.credits] if row.credits else []
    return list(found.values())


def _campaigns(connection: Connection, scope: Scope, period: CalendarPeriod, now: datetime) -> list[Row]:
    """Campaigns that ran in the year: theirs, or at a site of theirs."""
    first, end = clock.day_bounds(period.first)[0], min(clock.day_bounds(period.last)[1], now)
    at_sites = (
        sa.select(col(CampaignSite.campaign_id))
        .join(Site, col(Site.id) == col(CampaignSite.site_id))
        .where(scope.sites())
    )
    query = (
        sa.select(
            col(Campaign.title), col(Campaign.starts_at), col(Campaign.ends_at), col(Campaign.cancelled_at)
        )
        .where(
            sa.or_(scope.owns(Campaign), col(Campaign.id).in_(at_sites)),
            col(Campaign.starts_at) < end,
            col(Campaign.ends_at) > first,
            sa.or_(
                col(Campaign.cancelled_at).is_(None), col(Campaign.cancelled_at) > col(Campaign.starts_at)
            ),
        )
        .order_by(col(Campaign.starts_at), col(Campaign.id))
    )
    found = []
    for row in connection.execute(query):
        until = min(row.ends_at, row.cancelled_at or row.ends_at)
        days = [
            clock.day_of(row.starts_at).isoformat(),
            clock.day_of(until - timedelta(microseconds=1)).isoformat(),
        ]
        if until > first:
            found.append({"title": row.title, "days": days})
    return found


def _gatherings(connection: Connection, scope: Scope, period: CalendarPeriod, now: datetime) -> list[Row]:
    """Gatherings of the year that were held, with how many people checked in, if they are enough."""
    first, end = clock.day_bounds(period.first)[0], min(clock.day_bounds(period.last)[1], now)
    people = sa.func.coalesce(sa.func.sum(col(SignUp.people)).filter(col(CheckIn.sign_up_id).is_not(None)), 0)
    query = (
        sa.select(
            col(Gathering.id),
            col(Gathering.title),
            col(Gathering.kind),
            col(Gathering.starts_at),
            col(Gathering.walk_ins),
            people.label("came"),
        )
        .outerjoin(SignUp, col(SignUp.gathering_id) == col(Gathering.id))
        .outerjoin(CheckIn, col(CheckIn.sign_up_id) == col(SignUp.id))
        .where(
            scope.owns(Gathering),
            col(Gathering.starts_at) >= first,
            col(Gathering.starts_at) < end,
            col(Gathering.cancelled_at).is_(None),
        )
        .group_by(col(Gathering.id))
        .order_by(col(Gathering.starts_at), col(Gathering.id))
    )
    return [
        {
            "title": row.title,
            "kind": str(row.kind),
            "day": clock.day_of(row.starts_at).isoformat(),
            "came": int(row.came) if told(int(row.came)) else None,
            "walk_ins": row.walk_ins if told(row.walk_ins) else None,
        }
        for row in connection.execute(query)
    ]


# --- how far it can be relied on ---------------------------------------------------------------------------


def _checked(connection: Connection, sites: Sequence[UUID], period: CalendarPeriod) -> list[Row]:
    return [
        {
            "verified": verified,
            "judged": rate.judged,
            "wrong": rate.wrong,
            "permille": rate.permille,
            "interval": list(rate.interval),
        }
        for verified, rate in rates_at(connection, sites, period.first, period.last).items()
        if rate.judged >= FEWEST
    ]


def _factors(connection: Connection, period: CalendarPeriod, sites: Sequence[UUID] | None) -> list[Row]:
    """The factor versions that records at `sites` were computed by; without sites, those in force in the year."""
    if sites is None:
        where = sa.and_(
            col(FactorVersion.cancelled_on).is_(None),
            sa.or_(col(FactorVersion.valid_from).is_(None), col(FactorVersion.valid_from) <= period.last),
            sa.or_(col(FactorVersion.valid_to).is_(None), col(FactorVersion.valid_to) >= period.first),
        )
    else:
        used = sa.select(col(Action.factor_version)).where(
            col(Action.site_id).in_(sites),
            col(Action.day).between(period.first, period.last),
            standing(),
        )
        where = col(FactorVersion.id).in_(used)
    columns = (col(getattr(FactorVersion, name)) for name in ("id", "source", "source_year", "region"))
    query = (
        sa.select(*columns, col(ActionKind.name_zh), col(ActionKind.name_en))
        .join_from(FactorVersion, ActionKind, col(ActionKind.code) == col(FactorVersion.action_code))
        .where(where)
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


def _names(connection: Connection) -> dict[str, dict[str, str]]:
    """What kinds were called, so that the pack keeps its words."""
    columns = (col(getattr(ActionKind, name)) for name in ("code", "name_zh", "name_en"))
    rows = connection.execute(sa.select(*columns).order_by(col(ActionKind.code)))
    return {code: {"zh": zh, "en": en} for code, zh, en in rows}
