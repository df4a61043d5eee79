"""Clashes: when two records of a resident are one deed. The rules are data; which is credited follows from the evidence.

The kinds of a group stand in catalogue.csv (`clash_group`), the rule of the group in clashes.csv. A group without a rule,
and two records of a kind of no group, are judged by the smallest intervals of their kinds.
"""

import re
from collections.abc import Iterator
from datetime import datetime, time, timedelta
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, SQLModel, col

from activities.catalogue import CATALOGUE_FILE, PACKAGE_DATA, ActionKind
from tanpuhui import cells, clock
from tanpuhui.csvtext import Problem
from tanpuhui.reference import Column, LoadCount, Reading, ReferenceFile, store


class Within(StrEnum):
    """What makes two records of a group one deed."""

    MINUTES = "minutes"
    DAY = "day"
    PERIOD = "period"


class ClashRule(SQLModel, table=True):
    """The rule of a group of kinds.

    `minutes`: how near two records are one deed; empty for the larger smallest interval of their kinds. `periods`: parts
    of a day in Asia/Shanghai, as ``05:00-10:00 10:30-15:00``, whose records are one deed; they are settings of the
    district. Outside of every period the minutes hold.
    """

    __tablename__ = "clash_rule"
    __table_args__ = (
        sa.CheckConstraint(
            "within IN ('minutes', 'day', 'period') AND (within = 'period') = (periods IS NOT NULL)",
            name="within",
        ),
        sa.CheckConstraint("minutes BETWEEN 1 AND 1440", name="minutes"),
    )

    clash_group: str = Field(primary_key=True, max_length=32)
    within: str = Field(max_length=16)
    minutes: int | None = None
    periods: str | None = Field(default=None, max_length=120)
    note: str = ""


def one_deed(rule: ClashRule | None, first: datetime, second: datetime, interval_minutes: int) -> bool:
    """Whether records at `first` and `second` are one deed; `interval_minutes` is the larger one of their kinds."""
    minutes = rule.minutes if rule and rule.minutes is not None else interval_minutes
    if abs(first - second) < timedelta(minutes=minutes):
        return True
    if rule is None or rule.within == Within.MINUTES or clock.day_of(first) != clock.day_of(second):
        return False
    if rule.within == Within.DAY:
        return True
    period = _period_of(rule, first)
    return period is not None and period == _period_of(rule, second)


def _period_of(rule: ClashRule, moment: datetime) -> tuple[time, time] | None:
    local = moment.astimezone(clock.SHANGHAI).time()
    return next((span for span in read_periods(rule.periods or "") if span[0] <= local < span[1]), None)


def read_periods(text: str) -> list[tuple[time, time]]:
    """Parts of a day, each from its first minute to before its last. Raises ValueError, also where they overlap."""
    spans: list[tuple[time, time]] = []
    for part in text.split():
        match = re.fullmatch(r"(\d\d:\d\d)-(\d\d:\d\d)", part)
        if match is None:
            raise ValueError(f"{part!r} is not a period such as 05:00-10:00")
        start, end = (time.fromisoformat(side) for side in match.groups())
        if start >= end:
            raise ValueError(f"{part} ends before it begins")
        if spans and start < spans[-1][1]:
            raise ValueError(f"{part} overlaps the period before it, or comes before it")
        spans.append((start, end))
    return spans


def _periods(cell: str) -> str:
    if not read_periods(cells.text(cell)):
        raise ValueError("names no period")
    if len(cell) > 120:
        raise ValueError("longer than 120 characters")
    return cell


def _check(connection: Connection, reading: Reading) -> Iterator[Problem]:
    given = {row.get("action_code"): row.get("clash_group") for row in reading.rows(CATALOGUE_FILE)}
    stored = connection.execute(sa.select(col(ActionKind.code), col(ActionKind.clash_group)))
    groups = {kind.code: kind.clash_group for kind in stored} | given
    for row in reading.rows(CLASHES_FILE):
        group, within = row.get("clash_group"), row.get("within")
        if group and group not in groups.values():
            yield row.bad("clash_group", f"no kind of catalogue.csv is of the group {group}")
        if (
            within
            and "periods" in row.values
            and (within == Within.PERIOD) != (row.get("periods") is not None)
        ):
            yield row.bad("periods", "must be given for within = period, and for nothing else")


def _write(connection: Connection, reading: Reading) -> LoadCount:
    return store(connection, "clash_rule", [dict(row.values) for row in reading.rows(CLASHES_FILE)])


CLASHES_FILE = ReferenceFile(
    what="clash rule",
    pattern="clashes.csv",
    columns=(
        Column("clash_group", cells.code),
        Column("within", cells.choice(Within)),
        Column("minutes", cells.optional(cells.whole(1, 1440))),
        Column("periods", cells.optional(_periods)),
        Column("note", cells.note),
    ),
    key=("clash_group",),
    home=PACKAGE_DATA,
    check=_check,
    write=_write,
)
