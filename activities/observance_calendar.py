"""The calendar of a year: every observance with its dates, or awaiting them. Nothing here guesses.

An announced observance without a row for the year is awaiting; its last known dates may be told, as what they are: past.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple

from sqlmodel import Session, col, select

from activities.observance_changes import ObservanceChange
from activities.observances import EVERY_YEAR, Observance, ObservanceKind
from activities.quantify.factors import Confidence
from tanpuhui import workdays


class Span(NamedTuple):
    """Days from `first` to `last`, both included."""

    first: date
    last: date


@dataclass(frozen=True, slots=True)
class CalendarEntry:
    """An observance in a year. `span` is None while its dates are awaited: then `known` says the last ones before.

    `working_days`: how many of its days offices work; None while the holidays of the year are not known here.
    `revision` counts the changes since the first file.
    """

    key: str
    year: int
    name_zh: str
    name_en: str
    kind: ObservanceKind
    revision: int
    span: Span | None = None
    source: str = ""
    confidence: Confidence | None = None
    working_days: int | None = None
    known: Span | None = None

    @property
    def awaiting(self) -> bool:
        """Whether the dates of the year are not announced yet."""
        return self.span is None

    @property
    def derived(self) -> bool:
        """Whether its dates were reckoned from others and no notice was read: to be checked."""
        return self.confidence is Confidence.D

    @property
    def fixed(self) -> bool:
        """Whether it returns every year on the same day."""
        return self.kind is ObservanceKind.FIXED


def calendar_of(session: Session, year: int) -> list[CalendarEntry]:
    """Every observance in `year`, in the order of the calendar; those that are awaited come last."""
    rows = session.exec(select(Observance).order_by(col(Observance.year))).all()
    latest = latest_changes(session)
    entries = [_dated(row, year, latest) for row in rows if row.year in (EVERY_YEAR, year)]
    dated = {entry.key for entry in entries}
    every: list[Observance | ObservanceChange] = [*latest.values(), *rows]
    announced = {said.key: said for said in every if said.kind is ObservanceKind.ANNOUNCED}
    entries += [_awaiting(said, year, rows, latest) for key, said in announced.items() if key not in dated]
    return sorted(entries, key=lambda entry: (entry.awaiting, entry.span or (), entry.key))


def latest_changes(session: Session) -> dict[tuple[str, int], ObservanceChange]:
    """The latest change of every observance and year that was ever changed."""
    found = session.exec(select(ObservanceChange).order_by(col(ObservanceChange.revision))).all()
    return {(change.key, change.year): change for change in found}


def removed(session: Session) -> list[ObservanceChange]:
    """What returned every year until an officer took it back."""
    found = latest_changes(session).values()
    return [change for change in found if change.kind is ObservanceKind.FIXED and change.starts_on is None]


def working_days(first: date, last: date) -> int | None:
    """How many of these days of one year offices work; None while its holidays are not known here."""
    if not workdays.is_announced(first.year):
        return None
    days = (first + timedelta(days=passed) for passed in range((last - first).days + 1))
    return sum(map(workdays.is_workday, days))


def _dated(row: Observance, year: int, latest: dict[tuple[str, int], ObservanceChange]) -> CalendarEntry:
    span = row.span(year)
    assert span is not None
    change = latest.get((row.key, row.year))
    return CalendarEntry(
        key=row.key,
        year=year,
        name_zh=row.name_zh,
        name_en=row.name_en,
        kind=row.kind,
        revision=change.revision if change else 0,
        span=Span(*span),
        source=row.source,
        confidence=row.confidence,
        working_days=working_days(*span),
    )


def _awaiting(
    said: Observance | ObservanceChange,
    year: int,
    rows: Sequence[Observance],
    latest: dict[tuple[str, int], ObservanceChange],
) -> CalendarEntry:
    earlier = [row for row in rows if row.key == said.key and row.year < year]
    known = earlier[-1].span(earlier[-1].year) if earlier else None
    change = latest.get((said.key, year))
    return CalendarEntry(
        key=said.key,
        year=year,
        name_zh=said.name_zh,
        name_en=said.name_en,
        kind=said.kind,
        revision=change.revision if change else 0,
        known=Span(*known) if known else None,
    )
