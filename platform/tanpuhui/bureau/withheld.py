"""What is withheld of a year: decided for all of it at once (`bureau.withholding`), kept, and decided anew by a job soon after its figures changed."""

from collections.abc import Callable, Collection, Sequence
from datetime import date, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, SQLModel

from tanpuhui.bureau import beside_campaigns
from tanpuhui.bureau.withholding import UNITS, Cell, newcomers_offered, offered, withheld, withheld_newcomers
from tanpuhui.i18n import N_
from tanpuhui.jobs import Job
from tanpuhui.participants import ALL
from tanpuhui.periods import CalendarPeriod
from tanpuhui.rooms import House


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


def withheld_among(connection: Connection, cells: Collection[Cell]) -> set[Cell]:
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


def decided_at(connection: Connection, year: int) -> datetime | None:
    """When it was last decided what is withheld of a year; None if not yet."""
    years = SQLModel.metadata.tables["withheld_year"]
    return connection.execute(sa.select(years.c.decided_at).where(years.c.year == year)).scalar()
