"""Observances: the days campaigns follow. Fixed ones return every year; announced ones follow no rule and
stand in the table year by year, never in a formula.

How they are changed, and by whom, is in `activities.observance_changes`; a year as people read it in
`activities.observance_calendar`."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

import sqlalchemy as sa
from sqlmodel import Field, Session, SQLModel, col, select

from activities.quantify.factors import Confidence
from tanpuhui.db import enum_type

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
        if self.year not in (EVERY_YEAR, year):
            return None
        return day_in(year, self.starts_on), day_in(year, self.ends_on)


def day_in(year: int, text: str) -> date:
    """The day that ``MM-DD`` is in `year`; ``YYYY-MM-DD`` is itself."""
    return date.fromisoformat(f"{year}-{text}" if len(text) == 5 else text)


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
