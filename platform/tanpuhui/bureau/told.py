"""Sums of calendar periods as they are told: the same numbers in every page, file and answer, with those of a few people withheld.

Which cells are withheld is decided for a whole year at once (`bureau.withholding`), kept, and decided anew by a job soon after figures
of that year changed. What has come since is told only of enough people.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from datetime import date, datetime, timedelta
from itertools import product
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, SQLModel

from tanpuhui.bureau import beside_campaigns
from tanpuhui.bureau.participation import NUMBERS, Period, statistics
from tanpuhui.bureau.rollups import sums
from tanpuhui.bureau.suppression import FEWEST, told
from tanpuhui.bureau.withholding import (
    NEWCOMERS,
    UNITS,
    Cell,
    newcomers_offered,
    offered,
    withheld,
    withheld_newcomers,
)
from tanpuhui.i18n import N_
from tanpuhui.jobs import Job
from tanpuhui.participants import ALL
from tanpuhui.periods import CalendarPeriod
from tanpuhui.rooms import House

#: Why a number is not told: too few people are behind it or behind a neighbour, or it is finer than what is told at all.
FEW, FINE = "few", "fine"


class WithheldCell(SQLModel, table=True):
    """A number that is not told. `kind` may be `ALL`, or `NEWCOMERS` for the number of these."""

    __tablename__ = "withheld_cell"
    __table_args__ = ({"sqlite_with_rowid": False},)

    unit: str = Field(primary_key=True, max_length=8)
    area: str = Field(primary_key=True, max_length=12)
    kind: str = Field(primary_key=True, max_length=32)
    first: date = Field(primary_key=True)


class WithheldYear(SQLModel, table=True):
    """When it was last decided what is withheld of a year, and what the district's figures of it summed up to then."""

    __tablename__ = "withheld_year"

    year: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    decided_at: datetime
    actions: int = Field(sa_type=sa.BigInteger)
    quantity_milli: int = Field(sa_type=sa.BigInteger)
    co2e_high_mg: int = Field(sa_type=sa.BigInteger)
    newcomers: int = Field(sa_type=sa.BigInteger)


# --- deciding ----------------------------------------------------------------------------------------------


_DISTRICT = 6  # digits of its code

#: A year, what its figures sum up to, and what is withheld of it.
_Decision = tuple[int, "_State", frozenset[Cell]]

#: The numbers of `WithheldYear`: where they stay the same, so does what is withheld.
_State = tuple[int, int, int, int]

_STATE = ("actions", "quantity_milli", "co2e_high_mg", "newcomers")


def decide(_house: House, connection: Connection, now: datetime) -> None:
    """Decide anew for every year whose figures have changed since."""
    _keep(connection, _decisions(connection), now)


def _ahead(house: House) -> Callable[[House, Connection, datetime], None]:
    """The same, worked out before the transaction: a year may take a second."""
    with house.db.snapshot() as connection:
        decisions = _decisions(connection)
    return lambda _house, connection, now: _keep(connection, decisions, now)


JOB = Job("withholding", N_("决定哪些小数目不公布"), timedelta(minutes=10), decide, ahead=_ahead)


def _decisions(connection: Connection) -> list[_Decision]:
    years = SQLModel.metadata.tables["withheld_year"]
    known = {
        row.year: tuple(getattr(row, name) for name in _STATE) for row in connection.execute(sa.select(years))
    }
    return [
        (year, state, _decided(connection, year))
        for year, state in _states(connection).items()
        if known.get(year) != state
    ]


def _decided(connection: Connection, year: int) -> frozenset[Cell]:
    """What is withheld of a year, by its figures as they stand."""
    people = _people(connection, year)
    left = beside_campaigns.of_year(connection, people, CalendarPeriod("year", date(year, 1, 1)))
    return withheld(people, *left) | withheld_newcomers(_newcomers(connection, year))


def _keep(connection: Connection, decisions: Sequence[_Decision], now: datetime) -> None:
    years, cells = (SQLModel.metadata.tables[name] for name in ("withheld_year", "withheld_cell"))
    for year, state, hidden in decisions:
        connection.execute(sa.delete(years).where(years.c.year == year))
        connection.execute(
            sa.delete(cells).where(cells.c.first.between(date(year, 1, 1), date(year, 12, 31)))
        )
        if hidden:
            connection.execute(sa.insert(cells), [cell._asdict() for cell in sorted(hidden)])
        connection.execute(
            sa.insert(years).values(year=year, decided_at=now, **dict(zip(_STATE, state, strict=True)))
        )


def _states(connection: Connection) -> dict[int, _State]:
    figures, counts = (SQLModel.metadata.tables[name] for name in ("period_figure", "participant_count"))
    began = sa.select(counts.c.first, sa.func.sum(counts.c.newcomers)).where(
        counts.c.unit == "year", sa.func.length(counts.c.area) == 6, counts.c.campaign == ALL
    )
    newcomers = {row[0].year: int(row[1]) for row in connection.execute(began.group_by(counts.c.first))}
    measured = (figures.c.actions, figures.c.quantity_milli, figures.c.co2e_high_mg)
    query = (
        sa.select(figures.c.first, *map(sa.func.sum, measured))
        .where(figures.c.unit == "year", sa.func.length(figures.c.area) == 6, figures.c.campaign == ALL)
        .group_by(figures.c.first)
    )
    return {
        row[0].year: (int(row[1]), int(row[2]), int(row[3]), newcomers.get(row[0].year, 0))
        for row in connection.execute(query)
    }


def _people(connection: Connection, year: int) -> dict[Cell, int]:
    """The distinct people of every offered cell of a year, without those of nobody."""
    counts, figures = (SQLModel.metadata.tables[name] for name in ("participant_count", "period_figure"))
    known = (
        sa.select(figures.c.area)
        .where(figures.c.unit == "year", figures.c.first == date(year, 1, 1))
        .distinct()
    )
    areas = sorted(connection.scalars(known))
    found: dict[Cell, int] = {}
    for unit in UNITS:
        for level in sorted({len(area) for area in areas}):
            codes = [area for area in areas if len(area) == level]
            if not offered(unit, codes[0], ALL):
                continue
            query = sa.select(
                counts.c.unit, counts.c.first, counts.c.area, counts.c.kind, counts.c.participants
            ).where(
                counts.c.unit == unit,
                counts.c.area.in_(codes),
                counts.c.campaign == ALL,
                counts.c.first.between(date(year, 1, 1), date(year, 12, 31)),
                counts.c.participants > 0,
            )
            if not offered(unit, codes[0], "any kind"):
                query = query.where(counts.c.kind == ALL)
            found |= {Cell(*row[:4]): row[4] for row in connection.execute(query)}
    return found


def _newcomers(connection: Connection, year: int) -> dict[Cell, tuple[int, int]]:
    """Participants and newcomers of the cells of a year of which newcomers are told."""
    counts = SQLModel.metadata.tables["participant_count"].c
    query = sa.select(
        counts.unit, counts.first, counts.area, counts.kind, counts.participants, counts.newcomers
    ).where(
        counts.unit.in_([unit for unit in UNITS if unit != "day"]),
        counts.kind == ALL,
        counts.campaign == ALL,
        counts.first.between(date(year, 1, 1), date(year, 12, 31)),
        counts.newcomers > 0,
    )
    found = {Cell(*row[:4]): (row[4], row[5]) for row in connection.execute(query)}
    return {
        cell: people for cell, people in found.items() if newcomers_offered(cell.unit, cell.area, cell.kind)
    }


def _withheld(connection: Connection, cells: Collection[Cell]) -> set[Cell]:
    """What is withheld in the units, areas and periods of `cells`. Of a year that was not decided yet it is decided for this once."""
    units = {cell.unit for cell in cells}
    areas = {cell.area for cell in cells}
    firsts = {cell.first for cell in cells}
    years, table = SQLModel.metadata.tables["withheld_year"], SQLModel.metadata.tables["withheld_cell"]
    wanted = {first.year for first in firsts}
    undecided = wanted - set(connection.scalars(sa.select(years.c.year).where(years.c.year.in_(wanted))))
    found: set[Cell] = set()
    for year in sorted(undecided & _states(connection).keys() if undecided else ()):
        found |= _decided(connection, year)
    query = sa.select(table.c.unit, table.c.first, table.c.area, table.c.kind).where(
        table.c.unit.in_(units), table.c.area.in_(areas), table.c.first.in_(firsts)
    )
    kept = {Cell(*row) for row in connection.execute(query)}
    return kept | {
        cell for cell in found if cell.unit in units and cell.area in areas and cell.first in firsts
    }


# --- telling -----------------------------------------------------------------------------------------------


def told_sums(
    connection: Connection,
    periods: Sequence[CalendarPeriod],
    areas: Sequence[str],
    *,
    by: Sequence[str] = (),
    kind: str | None = None,
    campaign: str | None = None,
) -> list[dict[str, Any]]:
    """`bureau.rollups.sums`, with `withheld` in each row: None, `FEW` or `FINE`; then each of its numbers is None.

    Rows that are withheld are there even if nothing was recorded: that is not told either.
    """
    rows = sums(connection, periods, areas, by=by, kind=kind, campaign=campaign)
    cells = [tuple(_cells(row, periods, areas, kind)) for row in rows]
    if campaign:
        reasons = _reasons_of_campaigns(connection, [(campaign, row) for row in rows])
        coarse = [all(len(one.area) == _DISTRICT and one.kind == ALL for one in found) for found in cells]
        reasons = [
            one if is_coarse and "evidence" not in by else FINE
            for one, is_coarse in zip(reasons, coarse, strict=True)
        ]
    else:
        asked = (Cell(period.unit, period.first, area, ALL) for period in periods for area in areas)
        hidden = _withheld(connection, {part for cell in asked for part in _parts(cell)})
        _hide_newcomers(rows, cells, hidden)
        reasons = [_reason(row, found, hidden) for row, found in zip(rows, cells, strict=True)]
        rows += _of_nobody(hidden, rows, periods, areas, by, kind)
        reasons += [FEW] * (len(rows) - len(reasons))
    for row, reason in zip(rows, reasons, strict=True):
        row["withheld"] = reason
        if reason:
            row.update(dict.fromkeys((*NUMBERS, "participants", "newcomers")))
    return sorted(rows, key=lambda row: tuple(row[name] for name in by))


def _hide_newcomers(
    rows: Sequence[dict[str, Any]], cells: Sequence[Sequence[Cell]], hidden: Set[Cell]
) -> None:
    """Do not tell of newcomers where they, or who took part besides, are few, or would give such a number away."""
    for row, found in zip(rows, cells, strict=True):
        new = row["newcomers"]
        if new is not None and not (
            told(new)
            and told(row["participants"] - new)
            and all(newcomers_offered(cell.unit, cell.area, cell.kind) for cell in found)
            and not any(cell._replace(kind=NEWCOMERS) in hidden for cell in found)
        ):
            row["newcomers"] = None


def whole_sums(
    connection: Connection,
    periods: Sequence[CalendarPeriod],
    areas: Sequence[str],
    *,
    by: Sequence[str] = (),
    kind: str | None = None,
    campaign: str | None = None,
) -> list[dict[str, Any]]:
    """The same with nothing withheld, for who gave a reason; the caller keeps it (`audit.saw`)."""
    rows = sums(connection, periods, areas, by=by, kind=kind, campaign=campaign)
    return [{**row, "withheld": None} for row in rows]


def _cells(
    row: Mapping[str, Any], periods: Sequence[CalendarPeriod], areas: Sequence[str], kind: str | None
) -> Iterator[Cell]:
    """The cells of the cube that a row is made of."""
    what = row.get("kind") or kind or ALL
    for period, area in product(
        [row["period"]] if "period" in row else periods, [row["area"]] if "area" in row else areas
    ):
        yield Cell(period.unit, period.first, area, what)


def _parts(cell: Cell) -> Iterator[Cell]:
    """The cells by which it is decided whether one is told: of a week, its days."""
    if cell.unit == "week":
        for day in CalendarPeriod(cell.unit, cell.first).parts("day"):
            yield cell._replace(unit="day", first=day.first)
    else:
        yield cell


def _reason(row: Mapping[str, Any], cells: Sequence[Cell], hidden: set[Cell]) -> str | None:
    if not all(offered(cell.unit, cell.area, cell.kind) for cell in cells):
        return FINE
    few = row["participants"] is not None and not told(row["participants"])
    return FEW if few or any(part in hidden for cell in cells for part in _parts(cell)) else None


def _of_nobody(
    hidden: Set[Cell],
    rows: Sequence[Mapping[str, Any]],
    periods: Sequence[CalendarPeriod],
    areas: Sequence[str],
    by: Sequence[str],
    kind: str | None,
) -> list[dict[str, Any]]:
    """Rows of cells that are withheld though nothing was recorded there, where rows are cells."""
    if not {"period", "area"} <= {
        *by,
        *(["period"] if len(periods) == 1 else []),
        *(["area"] if len(areas) == 1 else []),
    }:
        return []
    if "evidence" in by or not by:
        return []
    there = {tuple(row[name] for name in by) for row in rows}
    found = []
    for cell in hidden:
        if cell.kind == NEWCOMERS:
            continue
        values = {"period": CalendarPeriod(cell.unit, cell.first), "area": cell.area, "kind": cell.kind}
        key = tuple(values[name] for name in by)
        fitting = cell.kind != ALL if "kind" in by and not kind else cell.kind == (kind or ALL)
        if fitting and values["period"] in periods and key not in there:
            found.append(
                {**dict(zip(by, key, strict=True)), **dict.fromkeys((*NUMBERS, "participants", "newcomers"))}
            )
    return found


def _reasons_of_campaigns(
    connection: Connection, rows: Sequence[tuple[str, Mapping[str, Any]]]
) -> list[str | None]:
    """Why rows of a campaign each, of the district and all kinds, are not told: a row has to hold the whole campaign, as it is told as a
    whole by its own page, and enough people have to have taken part. What is outside of all campaigns is not told.
    """
    totals = SQLModel.metadata.tables["campaign_total"].c
    query = sa.select(totals.campaign, totals.actions + totals.city_actions, totals.participants)
    found = connection.execute(query.where(totals.campaign.in_({campaign for campaign, _row in rows})))
    wholes = {row[0]: (row[1], row[2]) for row in found}

    def reason(campaign: str, actions: int) -> str | None:
        whole, people = wholes.get(campaign, (0, 0))
        if not told(people):
            return FEW
        return None if campaign and actions == whole else FINE

    return [reason(campaign, row["actions"]) for campaign, row in rows]


def told_statistics(
    connection: Connection, within: Period, by: Sequence[str], district: str
) -> list[dict[str, Any]]:
    """`bureau.participation.statistics`, with `withheld` as in `told_sums`.

    Days that are no calendar period are told as the sum of calendar periods, each of which is told: so two spans that differ by a
    day give nothing away. Of campaigns it is told what lies in these days as a whole, and not what was outside of them.
    """
    rows = statistics(connection, within, by)
    pieces = _pieces(within)
    cells = []
    for row in rows:
        area = row.get("community") or row.get("division") or district
        spans = [CalendarPeriod("day", row["day"])] if "day" in by else pieces
        cells.append([Cell(span.unit, span.first, area, row.get("kind", ALL)) for span in spans])
    hidden = _withheld(connection, {cell for found in cells for cell in found})
    reasons = [_reason(row, found, hidden) for row, found in zip(rows, cells, strict=True)]
    if "campaign" in by:
        reasons = _reasons_of_campaigns(connection, [(row["campaign"], row) for row in rows])
        reasons = [one if len(by) == 1 else FINE for one in reasons]
    for row, reason in zip(rows, reasons, strict=True):
        row["withheld"] = reason
        if reason:
            row.update(dict.fromkeys((*NUMBERS, "participants")))
    return rows


def untold_kinds(connection: Connection, within: Period, district: str) -> frozenset[str]:
    """The kinds whose numbers of these days are not told in the district: one of the calendar periods that make them up is withheld."""
    pieces = {(piece.unit, piece.first) for piece in _pieces(within)}
    hidden = _withheld(connection, {Cell(unit, first, district, ALL) for unit, first in pieces})
    counts = SQLModel.metadata.tables["participant_count"].c
    few = sa.select(counts.unit, counts.first, counts.kind).where(
        counts.unit.in_({unit for unit, _ in pieces}),
        counts.first.in_({first for _, first in pieces}),
        counts.area == district,
        counts.campaign == ALL,
        counts.participants.between(1, FEWEST - 1),
    )
    untold = [(cell.unit, cell.first, cell.kind) for cell in hidden]
    untold += [tuple(row) for row in connection.execute(few)]
    return frozenset(
        kind for unit, first, kind in untold if (unit, first) in pieces and kind not in {ALL, NEWCOMERS}
    )


def _pieces(within: Period) -> list[CalendarPeriod]:
    """The largest calendar periods of the cube that make up some days."""
    found: list[CalendarPeriod] = []
    day = within.first
    while day <= within.last:
        fitting = (CalendarPeriod.containing(unit, day) for unit in reversed(UNITS))
        found.append(next(one for one in fitting if one.first == day and one.last <= within.last))
        day = found[-1].after().first
    return found


def decided_at(connection: Connection, year: int) -> datetime | None:
    """When it was last decided what is withheld of a year; None if not yet."""
    years = SQLModel.metadata.tables["withheld_year"]
    return connection.execute(sa.select(years.c.decided_at).where(years.c.year == year)).scalar()
