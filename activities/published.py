"""The limits as they are published: each kind that is credited, with everything that bounds a record of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from activities.catalogue import ActionKind, EvidenceTier
from activities.clashes import ClashRule
from activities.known import Known
from activities.limits import left_of_day, loads
from activities.records import counted_days
from tanpuhui import clock


@dataclass(frozen=True, slots=True)
class SameDeed:
    """A kind that may be the same deed: within so many minutes only one of the two is credited."""

    kind: ActionKind
    minutes: int


@dataclass(frozen=True, slots=True)
class Left:
    """What a resident has left of a kind today: so many records, with so much altogether, in thousandths.

    `week_full`: nothing, and nothing on the other days of this week either.
    """

    records: int
    quantity_milli: int
    week_full: bool


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds the records of a kind; `yearly`: it is credited by yearly checks of what was planted.

    `periods`: parts of a day, as ``05:00-10:00``, in each of which it is one deed with its group (`activities.clashes`).
    `left` is None for whoever is not logged in, and for a yearly kind.
    """

    kind: ActionKind
    weakest: EvidenceTier
    same_deed: tuple[SameDeed, ...]
    yearly: bool
    periods: tuple[str, ...] = ()
    left: Left | None = None


def same_deed(kind: ActionKind, kinds: Iterable[ActionKind], rule: ClashRule | None) -> tuple[SameDeed, ...]:
    """The others of `kinds` that may be the same deed as `kind`, by the rule of their group."""
    minutes = rule.minutes if rule else None
    others = (
        SameDeed(other, minutes or max(kind.min_interval_minutes, other.min_interval_minutes))
        for other in kinds
        if kind.clash_group and other.clash_group == kind.clash_group and other.code != kind.code
    )
    return tuple(one for one in others if one.minutes)


def published(
    connection: Connection, known: Known, resident_id: UUID | None = None, *, shares: bool = False
) -> list[Limits]:
    """The limits of every kind that is credited here; with a resident, what is left of each today.

    `shares`: what others did counts together with the resident's deeds.
    """
    now = clock.now()
    today = clock.day_of(now)
    rows: list[Any] = []
    if resident_id is not None:
        days = [today - timedelta(days=back) for back in range(today.isoweekday())]
        mine, theirs = counted_days(connection, resident_id, days, shares=shares)
        rows = [row for row in (*mine, *theirs) if not row.voided]
    kinds = [kind for kind in known.kinds.values() if kind.enabled]
    return [
        Limits(
            kind,
            known.tiers[kind.lowest_evidence],
            same_deed(kind, kinds, rule := known.clashes.get(kind.clash_group or "")),
            yearly := kind.code in known.survival,
            tuple((rule.periods or "").split()) if rule else (),
            None if resident_id is None or yearly else left_of(kind, rows, now, today),
        )
        for kind in kinds
    ]


def left_of(kind: ActionKind, week: Iterable[Any], now: datetime, today: date) -> Left:
    """What is left of `kind` beside the standing records of the `week` until now."""
    mine = [row for row in week if row.kind == kind.code]
    times: dict[date, list[datetime]] = {today: []}
    for row in mine:
        times.setdefault(row.day, []).append(row.occurred_at)
    this_day = [row for row in mine if row.day == today]
    records = left_of_day(kind, this_day, now)
    quantity = kind.quantity_per_day_milli - sum(row.quantity_milli for row in this_day)
    week_records, week_quantity = records, quantity
    if kind.records_per_week is not None:
        with_now = {**times, today: [*times[today], now]}
        week_records = kind.records_per_week + 1 - sum(loads(kind, of_day) for of_day in with_now.values())
    if kind.quantity_per_week_milli is not None:
        week_quantity = kind.quantity_per_week_milli - sum(row.quantity_milli for row in mine)
    quantity = min(quantity, week_quantity)
    full = quantity < kind.quantity_min_milli or min(records, week_records) <= 0
    week_full = (kind.records_per_week is not None and week_records <= 0) or (
        kind.quantity_per_week_milli is not None and week_quantity < kind.quantity_min_milli
    )
    return Left(0 if full else min(records, week_records), 0 if full else quantity, week_full)
