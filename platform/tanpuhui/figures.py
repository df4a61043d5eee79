"""Daily figures and distinct participants: the only thing dashboards read.

Rooms tell, through a `Feed`, what each of their events contributes. The relay folds a batch of events into a
few rows, each with one atomic upsert, so that two relays never lose an update. Everything can be emptied
and rebuilt from the event log and comes out equal.
"""

import gc
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, SQLModel

from tanpuhui import participants, period_figures, site_figures
from tanpuhui.db import Statement
from tanpuhui.events import Event, event_class
from tanpuhui.i18n import N_
from tanpuhui.measures import MEASURES, Measured
from tanpuhui.participants import Cell, Change
from tanpuhui.subscribers import Later

DIMENSIONS = ("day", "division_code", "kind", "evidence", "campaign", "city_credited")


class DailyFigure(Measured, table=True):
    """Sums of one day, community, kind, evidence tier and campaign. `campaign` is empty for none.

    `city_credited` rows are reductions that the city's own scheme credits: never added to the district's.
    """

    __tablename__ = "daily_figure"

    day: date = Field(primary_key=True)
    division_code: str = Field(primary_key=True, max_length=12)
    kind: str = Field(primary_key=True, max_length=32)
    evidence: str = Field(primary_key=True, max_length=32)
    campaign: str = Field(primary_key=True, max_length=36)
    city_credited: bool = Field(primary_key=True)


class DailyParticipant(SQLModel, table=True):
    """How many standing actions a resident has on a day, by community and kind; 0 once all are voided."""

    __tablename__ = "daily_participant"

    day: date = Field(primary_key=True)
    division_code: str = Field(primary_key=True, max_length=12)
    kind: str = Field(primary_key=True, max_length=32)
    campaign: str = Field(primary_key=True, max_length=36)
    resident_id: UUID = Field(primary_key=True)
    actions: int = Field(sa_type=sa.BigInteger)


class CampaignParticipant(SQLModel, table=True):
    """How many standing actions a resident has in a campaign, and what they saved; 0 once all are voided.

    `co2e_mg` (low value) leaves out what the city's own scheme credits.
    """

    __tablename__ = "campaign_participant"

    campaign: str = Field(primary_key=True, max_length=36)
    resident_id: UUID = Field(primary_key=True)
    actions: int = Field(sa_type=sa.BigInteger)
    co2e_mg: int = Field(default=0, sa_type=sa.BigInteger, sa_column_kwargs={"server_default": "0"})


class CampaignTotal(SQLModel, table=True):
    """What a campaign adds up to, CO2e in milligrams (low value), so that its page reads one row however many take part.

    What the city's own scheme credits stands apart.
    """

    __tablename__ = "campaign_total"

    campaign: str = Field(primary_key=True, max_length=36)
    participants: int = Field(default=0, sa_type=sa.BigInteger)
    actions: int = Field(default=0, sa_type=sa.BigInteger)
    co2e_mg: int = Field(default=0, sa_type=sa.BigInteger)
    city_actions: int = Field(default=0, sa_type=sa.BigInteger)
    city_co2e_mg: int = Field(default=0, sa_type=sa.BigInteger)


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one event adds (or takes back, with negative measures) to the figures of its day."""

    day: date
    division_code: str
    kind: str
    evidence: str
    campaign: str
    city_credited: bool
    measures: Mapping[str, int]
    resident_id: UUID | None = None
    participations: int = 0
    site_id: UUID | None = None


@dataclass(frozen=True)
class Feed:
    """A room's contributions to the figures for the events it names. Must depend on nothing that changes."""

    hears: tuple[type[Event], ...]
    contributions: Callable[[Connection, Sequence[Any]], Iterable[Contribution]]


_ADD_FIGURES = Statement(
    f"INSERT INTO daily_figure ({', '.join(DIMENSIONS + MEASURES)}) "
    f"SELECT {', '.join(f'q.{name}' for name in DIMENSIONS + MEASURES)} FROM {{rows}} WHERE true "
    f"ON CONFLICT ({', '.join(DIMENSIONS)}) DO UPDATE SET "
    + ", ".join(f"{name} = daily_figure.{name} + excluded.{name}" for name in MEASURES),
    rows={
        "day": "date",
        "division_code": "text",
        "kind": "text",
        "evidence": "text",
        "campaign": "text",
        "city_credited": "bool",
        **dict.fromkeys(MEASURES, "int"),
    },
    each=True,
)

_PARTICIPANT_KEY = ("day", "division_code", "kind", "campaign", "resident_id")

_ADD_PARTICIPANTS = Statement(
    "INSERT INTO daily_participant (day, division_code, kind, campaign, resident_id, actions) "
    "SELECT q.day, q.division_code, q.kind, q.campaign, q.resident_id, q.actions FROM {rows} WHERE true "
    "ON CONFLICT (day, division_code, kind, campaign, resident_id) "
    "DO UPDATE SET actions = daily_participant.actions + excluded.actions "
    "RETURNING day, division_code, kind, campaign, resident_id, actions",
    rows={
        "day": "date",
        "division_code": "text",
        "kind": "text",
        "campaign": "text",
        "resident_id": "uuid",
        "actions": "int",
    },
    day="date",
    division_code="text",
    kind="text",
    campaign="text",
    resident_id="uuid",
    actions="int",
)


_ADD_CAMPAIGN_PARTICIPANTS = Statement(
    "INSERT INTO campaign_participant (campaign, resident_id, actions, co2e_mg) "
    "SELECT q.campaign, q.resident_id, q.actions, q.co2e_mg FROM {rows} WHERE true "
    "ON CONFLICT (campaign, resident_id) DO UPDATE SET actions = campaign_participant.actions + excluded.actions, "
    "co2e_mg = campaign_participant.co2e_mg + excluded.co2e_mg RETURNING campaign, resident_id, actions",
    rows={"campaign": "text", "resident_id": "uuid", "actions": "int", "co2e_mg": "int"},
    campaign="text",
    resident_id="uuid",
    actions="int",
)

_TOTALS = ("participants", "actions", "co2e_mg", "city_actions", "city_co2e_mg")

_ADD_TOTALS = Statement(
    f"INSERT INTO campaign_total (campaign, {', '.join(_TOTALS)}) "
    f"SELECT q.campaign, {', '.join(f'q.{name}' for name in _TOTALS)} FROM {{rows}} WHERE true "
    "ON CONFLICT (campaign) DO UPDATE SET "
    + ", ".join(f"{name} = campaign_total.{name} + excluded.{name}" for name in _TOTALS),
    rows={"campaign": "text", **dict.fromkeys(_TOTALS, "int")},
    each=True,
)


@dataclass
class _Sums:
    figures: dict[tuple[Any, ...], dict[str, int]] = field(
        default_factory=lambda: defaultdict(lambda: dict.fromkeys(MEASURES, 0))
    )
    participants: dict[tuple[Any, ...], int] = field(default_factory=lambda: defaultdict(int))
    saved: dict[tuple[str, UUID], int] = field(default_factory=lambda: defaultdict(int))
    sites: dict[site_figures.DailyKey, site_figures.Amounts] = field(default_factory=dict)

    def add(self, contribution: Contribution) -> None:
        """Count `contribution` in."""
        row = self.figures[tuple(getattr(contribution, name) for name in DIMENSIONS)]
        for name, amount in contribution.measures.items():
            row[name] += amount
        if contribution.site_id:
            at, measures = (contribution.day, contribution.site_id, contribution.kind), contribution.measures
            actions, quantity = self.sites.get(at, (0, 0))
            self.sites[at] = (
                actions + measures.get("actions", 0),
                quantity + measures.get("quantity_milli", 0),
            )
        if contribution.resident_id and contribution.participations:
            key = tuple(getattr(contribution, name) for name in _PARTICIPANT_KEY)
            self.participants[key] += contribution.participations
            if contribution.campaign and not contribution.city_credited:
                saved = contribution.measures.get("co2e_mg", 0)
                self.saved[contribution.campaign, contribution.resident_id] += saved


def fold(connection: Connection, feeds: Sequence[Feed], events: Sequence[Event]) -> None:
    """Add what `events` contribute, one atomic upsert per figure, in key order (so relays never deadlock)."""
    with _nothing_collected():
        _fold(connection, _sum_up(connection, feeds, events))


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """A batch makes many objects that live until its end: looking for garbage among them takes a fifth of its time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _fold(connection: Connection, sums: _Sums) -> None:
    if sums.figures:
        rows = [
            dict(zip(DIMENSIONS, key, strict=True)) | measures
            for key, measures in sorted(sums.figures.items(), key=lambda item: item[0])
        ]
        _ADD_FIGURES.run(connection, rows)
        period_figures.add(connection, sums.figures.items())
    site_figures.add(connection, sums.sites.items())
    if sums.participants:
        rows = [
            {**dict(zip(_PARTICIPANT_KEY, key, strict=True)), "actions": count}
            for key, count in sorted(sums.participants.items(), key=lambda item: item[0])
        ]
        participants.count(connection, _changes(sums, _ADD_PARTICIPANTS.run(connection, rows)))
    _add_to_campaigns(connection, sums)


def _changes(sums: _Sums, counted: Sequence[Any]) -> dict[UUID, list[Change]]:
    """Who from now on has a standing action of a day, community, kind and campaign and had none before, or the other way round."""
    changes: dict[UUID, list[Change]] = defaultdict(list)
    for *key, actions in counted:
        before = actions - sums.participants[tuple(key)]
        if (actions > 0) != (before > 0):
            day, division_code, kind, campaign, resident_id = key
            changes[resident_id].append(Change(day, Cell(division_code, kind, campaign), actions > 0))
    return changes


def _add_to_campaigns(connection: Connection, sums: _Sums) -> None:
    """Add to the totals of campaigns; who had no standing action there before is one participant more."""
    totals: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(_TOTALS, 0))
    for (_day, _division, _kind, _evidence, campaign, city), measures in sums.figures.items():
        if campaign:
            totals[campaign]["city_actions" if city else "actions"] += measures["actions"]
            totals[campaign]["city_co2e_mg" if city else "co2e_mg"] += measures["co2e_mg"]
    gained: dict[tuple[str, UUID], int] = defaultdict(int)
    for (_day, _division, _kind, campaign, resident_id), count in sums.participants.items():
        if campaign:
            gained[campaign, resident_id] += count
    if gained:
        rows = [
            {
                "campaign": key[0],
                "resident_id": key[1],
                "actions": count,
                "co2e_mg": sums.saved.get(key, 0),
            }
            for key, count in sorted(gained.items())
        ]
        for row in _ADD_CAMPAIGN_PARTICIPANTS.run(connection, rows):
            before = row.actions - gained[row.campaign, row.resident_id]
            totals[row.campaign]["participants"] += (row.actions > 0) - (before > 0)
    if totals:
        _ADD_TOTALS.run(
            connection, [{"campaign": campaign, **sum_} for campaign, sum_ in sorted(totals.items())]
        )


def _sum_up(connection: Connection, feeds: Sequence[Feed], events: Sequence[Event]) -> _Sums:
    sums = _Sums()
    for feed in feeds:
        heard = [event for event in events if isinstance(event, feed.hears)]
        if heard:
            for contribution in feed.contributions(connection, heard):
                sums.add(contribution)
    return sums


def figures_subscriber(feeds: Sequence[Feed]) -> Later:
    """The later subscriber that keeps the figures."""
    hears = tuple({event: None for feed in feeds for event in feed.hears})
    return Later(
        "figures", N_("计入统计数"), hears, lambda connection, events: fold(connection, feeds, events)
    )


# --- rebuild -----------------------------------------------------------------------------------------------

_TABLES = (
    *("daily_figure", "period_figure", "site_figure"),
    *("daily_participant", "participant_year", "participant_count"),
    *("campaign_participant", "campaign_total"),
)
_READ_UP_TO = Statement(
    "SELECT position, tx, type, payload FROM event_log WHERE "
    "{pg:(tx, position) > (:tx, :position) AND (tx, position) <= (:last_tx, :last) ORDER BY tx, position}"
    "{sqlite:position > :position AND position <= :last ORDER BY position} LIMIT 10000",
    position="int",
    tx="int",
    type="text",
    payload="text",
)


def rebuild(
    connection: Connection,
    feeds: Sequence[Feed],
    *,
    check: bool = False,
    progress: Callable[[int], None] = lambda _count: None,
) -> list[str]:
    """Empty the figures and build them again from the log, up to where the relay has come.

    The caller's transaction holds the cursor, so the relay waits meanwhile. With `check` the stored figures
    are compared with the rebuilt ones instead; the differences are returned, and the caller rolls back.
    """
    lock = Statement(
        "SELECT tx, position FROM subscriber_cursor WHERE subscriber = 'figures' {lock:subscriber_cursor}",
        tx="int",
        position="int",
    ).run(connection)
    if check:
        for table in _TABLES:
            connection.execute(sa.text(f"CREATE TEMPORARY TABLE stored_{table} AS SELECT * FROM {table}"))
    for table in _TABLES:
        connection.execute(sa.text(f"DELETE FROM {table}"))
    tx, position, done = -(2**63) + 1, 0, 0
    wanted = {event.type for feed in feeds for event in feed.hears}
    waiting = _failed_positions(connection)
    while lock:
        last = {"last_tx": lock[0].tx, "last": lock[0].position}
        rows = _READ_UP_TO.run(connection, tx=tx, position=position, **last)
        if not rows:
            break
        events = [
            event_class(row.type).from_payload(row.payload)
            for row in rows
            if row.type in wanted and row.position not in waiting
        ]
        fold(connection, feeds, events)
        tx, position, done = rows[-1].tx, rows[-1].position, done + len(rows)
        progress(done)
    if not check:
        return []
    return [line for table in _TABLES for line in _differences(connection, SQLModel.metadata.tables[table])]


def _failed_positions(connection: Connection) -> frozenset[int]:
    """Events that the figures have not taken in yet: waiting for a retry, or parked."""
    found = connection.scalars(sa.text("SELECT position FROM event_failure WHERE subscriber = 'figures'"))
    return frozenset(found)


#: So many differences of a table are told, on each side.
_MOST_TOLD = 1000


def _differences(connection: Connection, table: sa.Table) -> list[str]:
    """What stands in only one of the stored table and the rebuilt one; found by the database, which holds them both.

    A row of which all is voided is the same as none.
    """
    stored = sa.table(f"stored_{table.name}", *(sa.column(one.name, one.type) for one in table.c))
    keys = [one.name for one in table.c if one.primary_key]
    values = [one.name for one in table.c if not one.primary_key]
    before, after = (
        {tuple(row[name] for name in keys): tuple(row[name] for name in values) for row in rows}
        for rows in (_only_in(connection, stored, table, table), _only_in(connection, table, stored, table))
    )
    return [
        f"{table.name} {'/'.join(map(str, key))}: stored {before.get(key)}, rebuilt {after.get(key)}"
        for key in sorted(before.keys() | after.keys(), key=str)
    ]


def _only_in(
    connection: Connection, this: sa.FromClause, other: sa.FromClause, table: sa.Table
) -> Sequence[sa.RowMapping]:
    counted = [one.name for one in table.c if not one.primary_key and isinstance(one.type, sa.BigInteger)]
    says = sa.or_(*(this.c[name] != 0 for name in counted)) if counted else this.c.first_day.is_not(None)
    rows = sa.except_(
        sa.select(*(this.c[one.name] for one in table.c)).where(says),
        sa.select(*(other.c[one.name] for one in table.c)),
    )
    return connection.execute(rows.limit(_MOST_TOLD)).mappings().all()
