"""Observances: the days campaigns follow. Fixed ones return every year; announced ones follow no rule and
stand in the table year by year, never in a formula."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, Session, SQLModel, col, select

from activities.catalogue import PACKAGE_DATA
from activities.quantify.factors import Confidence
from tanpuhui import cells
from tanpuhui.csvtext import Problem
from tanpuhui.db import enum_type
from tanpuhui.reference import Column, LoadCount, Reading, ReferenceFile, store

#: `year` of an observance that returns every year.
EVERY_YEAR = 0


class ObservanceKind(StrEnum):
    """Whether the day is known for ever or announced by a yearly notice."""

    FIXED = "fixed"
    ANNOUNCED = "announced"


class Observance(SQLModel, table=True):
    """An observance of one year, or (year 0) of every year.

    `starts_on` and `ends_on`, both included, are ``MM-DD`` for a fixed one and ``YYYY-MM-DD`` otherwise.
    """

    __tablename__ = "observance"
    __table_args__ = (
        sa.CheckConstraint(
            "(kind = 'fixed' AND year = 0 AND length(starts_on) = 5 AND length(ends_on) = 5)"
            " OR (kind = 'announced' AND year BETWEEN 2000 AND 2999"
            " AND length(starts_on) = 10 AND length(ends_on) = 10"
            " AND substr(starts_on, 1, 4) = CAST(year AS VARCHAR(4)))",
            name="dates",
        ),
        sa.CheckConstraint("starts_on <= ends_on", name="order"),
        sa.CheckConstraint("source <> ''", name="source"),
    )

    key: str = Field(primary_key=True, max_length=32)
    year: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    name_zh: str = Field(max_length=64)
    name_en: str = Field(max_length=64)
    kind: ObservanceKind = Field(sa_type=enum_type(ObservanceKind))
    starts_on: str = Field(max_length=10)
    ends_on: str = Field(max_length=10)
    source: str
    confidence: Confidence = Field(sa_type=enum_type(Confidence))

    def span(self, year: int) -> tuple[date, date] | None:
        """First and last day in `year`; None when it is not known for that year."""
        if self.kind is ObservanceKind.FIXED:
            return date.fromisoformat(f"{year}-{self.starts_on}"), date.fromisoformat(
                f"{year}-{self.ends_on}"
            )
        if self.year != year:
            return None
        return date.fromisoformat(self.starts_on), date.fromisoformat(self.ends_on)


def observances_of(session: Session, year: int) -> list[tuple[Observance, date, date]]:
    """The observances known for `year` with first and last day, in the order of the calendar."""
    query = select(Observance).where(col(Observance.year).in_([EVERY_YEAR, year]))
    spans = [(observance, observance.span(year)) for observance in session.exec(query)]
    known = [(observance, *span) for observance, span in spans if span]
    return sorted(known, key=lambda entry: (entry[1], entry[0].key))


@dataclass(frozen=True, slots=True)
class Ahead:
    """An observance of a year that is not over: its days, None as long as they are not announced."""

    key: str
    year: int
    name_zh: str
    name_en: str
    span: tuple[date, date] | None


def ahead(session: Session, today: date) -> list[Ahead]:
    """Every observance of this year and the next that is not over, those with known days first, by day."""
    by_key: dict[str, list[Observance]] = {}
    for row in session.exec(select(Observance).order_by(col(Observance.key), col(Observance.year))):
        by_key.setdefault(row.key, []).append(row)
    found = []
    for rows in by_key.values():
        for year in (today.year, today.year + 1):
            span = next((known for row in rows if (known := row.span(year))), None)
            if span is None or span[1] >= today:
                found.append(Ahead(rows[-1].key, year, rows[-1].name_zh, rows[-1].name_en, span))
    return sorted(found, key=lambda one: (one.span is None, one.span or (), one.year, one.key))


# --- reference file -----------------------------------------------------------------------------------------


def _month_day_or_day(cell: str) -> str:
    """``MM-DD`` of every year (the 29th of February is not) or a whole date."""
    if len(cell) == 5:
        cells.day(f"2001-{cell}")
        return cell
    return str(cells.day(cells.text(cell)))


def _check(_connection: Connection, reading: Reading) -> Iterator[Problem]:
    for row in reading.rows(OBSERVANCES_FILE):
        kind, year = row.get("kind"), row.get("year")
        starts, ends = row.get("starts_on"), row.get("ends_on")
        fixed = kind is ObservanceKind.FIXED
        if kind and "year" in row.values and fixed != (year is None):
            yield row.bad("year", f"must {'' if fixed else 'not '}be empty for a {kind} observance")
        for column, value in (("starts_on", starts), ("ends_on", ends)):
            if kind and value and fixed != (len(value) == 5):
                yield row.bad(column, f"must be written {'MM-DD' if fixed else 'YYYY-MM-DD'}")
        if starts and ends and len(starts) == len(ends) and ends < starts:
            yield row.bad("ends_on", f"ends ({ends}) before it starts ({starts})")
        if year and starts and len(starts) == 10 and starts[:4] != str(year):
            yield row.bad("starts_on", f"does not lie in {year}")


def _write(connection: Connection, reading: Reading) -> LoadCount:
    rows = [row.values for row in reading.rows(OBSERVANCES_FILE)]
    return store(connection, "observance", [{**row, "year": row["year"] or EVERY_YEAR} for row in rows])


OBSERVANCES_FILE = ReferenceFile(
    what="observance",
    pattern="observances.csv",
    columns=(
        Column("key", cells.code),
        Column("name_zh", cells.name),
        Column("name_en", cells.name),
        Column("kind", cells.choice(ObservanceKind)),
        Column("year", cells.optional(cells.whole(2000, 2999))),
        Column("starts_on", _month_day_or_day),
        Column("ends_on", _month_day_or_day),
        Column("source", cells.text),
        Column("confidence", cells.choice(Confidence)),
    ),
    key=("key", "year"),
    home=PACKAGE_DATA,
    check=_check,
    write=_write,
)
