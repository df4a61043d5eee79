"""A resident's impact: what their standing records saved, over time and by kind. Read from their own records."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import col

from activities.actions import Action
from activities.records import Part, own_sums, part_of

#: The period of everything, beside years and the latest twelve months.
EVERYTHING = "all"

_MONTHS_SHOWN = 12


@dataclass(frozen=True, slots=True)
class OfKind:
    """The records of one kind: the quantity in thousandths of its unit; the district's own, the city's apart."""

    kind: str
    quantity_milli: int
    own: Part
    city: Part


@dataclass(frozen=True, slots=True)
class Span:
    """A month or (`whole_year`) a year, from `first` on."""

    first: date
    whole_year: bool
    own: Part
    city: Part


@dataclass(frozen=True, slots=True)
class Impact:
    """What is looked at (`period` and `kind`), added up, span by span and kind by kind; and what else there is.

    `years`: those with records, the latest first. `kinds` are all of the period's, the most recorded first.
    """

    period: str
    kind: str
    years: Sequence[int]
    own: Part
    city: Part
    quantity_milli: int
    spans: Sequence[Span]
    kinds: Sequence[OfKind]

    @property
    def records(self) -> int:
        """All that is looked at, the district's and the city's."""
        return self.own.records + self.city.records


def impact(
    connection: Connection, resident_id: UUID, today: date, period: str = "", kind: str = ""
) -> Impact:
    """The impact of a resident in the latest twelve months, in a year (``2026``), or ever (`EVERYTHING`).

    Of one `kind`, if it names one. A period that is none of these, or a kind without records, has nothing in it.
    """
    month = sa.extract("year", col(Action.day)) * 12 + sa.extract("month", col(Action.day)) - 1
    rows = own_sums(connection, resident_id, [month.label("month"), col(Action.kind)])
    numbers = [int(row["month"]) for row in rows]
    first, last = _bounds(period, today, min(numbers, default=_number(today)))
    of_period = [row for row, number in zip(rows, numbers, strict=True) if first <= number <= last]
    looked_at = [row for row in of_period if not kind or row["kind"] == kind]
    return Impact(
        period=period,
        kind=kind,
        years=sorted({number // 12 for number in numbers}, reverse=True),
        own=part_of(looked_at, city_credited=False),
        city=part_of(looked_at, city_credited=True),
        quantity_milli=sum(int(row["quantity_milli"]) for row in looked_at),
        spans=_spans(looked_at, first, last),
        kinds=_kinds(of_period),
    )


def _number(day: date) -> int:
    """A month as one number, so that months can be counted through."""
    return day.year * 12 + day.month - 1


def _bounds(period: str, today: date, earliest: int) -> tuple[int, int]:
    """The first and the last month of a period; none in between, if it is none."""
    this_month = _number(today)
    if not period:
        return this_month - _MONTHS_SHOWN + 1, this_month
    if period == EVERYTHING:
        return earliest, this_month
    if re.fullmatch("[1-9][0-9]{3}", period):
        return int(period) * 12, min(int(period) * 12 + 11, this_month)
    return 0, -1


def _spans(rows: Sequence[sa.RowMapping], first: int, last: int) -> list[Span]:
    """Every month from `first` to `last`, or every year where they are more than twelve months."""
    whole_years = last - first >= _MONTHS_SHOWN
    size = 12 if whole_years else 1
    found = []
    for number in range(first // size, last // size + 1):
        within = [row for row in rows if int(row["month"]) // size == number]
        begins = date(number, 1, 1) if whole_years else date(number // 12, number % 12 + 1, 1)
        parts = part_of(within, city_credited=False), part_of(within, city_credited=True)
        found.append(Span(begins, whole_years, *parts))
    return found


def _kinds(rows: Sequence[sa.RowMapping]) -> list[OfKind]:
    found = []
    for kind, grouped in groupby(sorted(rows, key=lambda row: row["kind"]), key=lambda row: row["kind"]):
        of_kind = list(grouped)
        quantity = sum(int(row["quantity_milli"]) for row in of_kind)
        parts = part_of(of_kind, city_credited=False), part_of(of_kind, city_credited=True)
        found.append(OfKind(kind, quantity, *parts))
    return sorted(found, key=lambda one: -(one.own.records + one.city.records))
