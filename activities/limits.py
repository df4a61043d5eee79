"""Limits: what one resident may have credited. Pure rules over the records already there.

The limits themselves are data (`catalogue`); a limit that is reached is a refusal with its reason.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from activities.catalogue import ActionKind
from tanpuhui.errors import (
    Clash,
    DailyLimitReached,
    DailyQuantityReached,
    QuantityMissing,
    QuantityNotPositive,
    QuantityOutOfRange,
    TimeInFuture,
    TimeTooOld,
    TooSoon,
)

#: How far a phone's clock may run ahead before its time counts as being in the future.
SKEW = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A standing record of the same resident."""

    kind: str
    name_zh: str
    name_en: str
    clash_group: str | None
    day: date
    occurred_at: datetime
    quantity_milli: int
    min_interval_minutes: int


def check_quantity(kind: ActionKind, quantity_milli: int | None) -> int:
    """The quantity to record, in thousandths of the kind's unit.

    A kind that asks for nothing has its default. Raises QuantityMissing, QuantityNotPositive, QuantityOutOfRange.
    """
    if quantity_milli is None:
        if kind.quantity_default_milli is None:
            raise QuantityMissing(unit=kind.unit)
        return kind.quantity_default_milli
    if quantity_milli <= 0:
        raise QuantityNotPositive
    if not kind.quantity_min_milli <= quantity_milli <= kind.quantity_max_milli:
        raise QuantityOutOfRange(
            minimum=readable(kind.quantity_min_milli),
            maximum=readable(kind.quantity_max_milli),
            unit=kind.unit,
        )
    return quantity_milli


def check_time(occurred_at: datetime | None, now: datetime, late_hours: int) -> datetime:
    """When it happened: now, unless said otherwise within the time that late records are taken.

    Raises TimeInFuture, TimeTooOld.
    """
    if occurred_at is None:
        return now
    if occurred_at > now + SKEW:
        raise TimeInFuture
    if occurred_at < now - timedelta(hours=late_hours):
        raise TimeTooOld(hours=late_hours)
    return min(occurred_at, now)


def check_day(
    kind: ActionKind, quantity_milli: int, occurred_at: datetime, day: date, earlier: Iterable[Recorded]
) -> int:
    """Whether one more record of `kind` fits; how many more fit on that day after it.

    `earlier` are the resident's standing records of the day and its neighbours. Raises DailyLimitReached,
    DailyQuantityReached, TooSoon, Clash.
    """
    records = list(earlier)
    same = [record for record in records if record.kind == kind.code]
    today = [record.quantity_milli for record in same if record.day == day]
    if len(today) >= kind.records_per_day:
        raise DailyLimitReached(kind=kind.name_zh, kind_en=kind.name_en, limit=kind.records_per_day)
    interval = timedelta(minutes=kind.min_interval_minutes)
    if near := [record for record in same if abs(occurred_at - record.occurred_at) < interval]:
        left = interval - min(abs(occurred_at - record.occurred_at) for record in near)
        minutes = -(-int(left.total_seconds()) // 60)
        raise TooSoon(kind=kind.name_zh, kind_en=kind.name_en, minutes=max(1, minutes))
    for record in records:
        if kind.clash_group and record.kind != kind.code and record.clash_group == kind.clash_group:
            window = max(kind.min_interval_minutes, record.min_interval_minutes)
            if abs(occurred_at - record.occurred_at) < timedelta(minutes=window):
                raise Clash(kind=record.name_zh, kind_en=record.name_en)
    total = sum(today)
    if total + quantity_milli > kind.quantity_per_day_milli:
        raise DailyQuantityReached(
            kind=kind.name_zh,
            kind_en=kind.name_en,
            left=readable(max(0, kind.quantity_per_day_milli - total)),
            unit=kind.unit,
        )
    return kind.records_per_day - len(today) - 1


def readable(milli: int) -> str:
    """Thousandths as a decimal without needless zeros: 2500 -> ``2.5``."""
    whole, rest = divmod(milli, 1000)
    return str(whole) if not rest else f"{whole}.{rest:03d}".rstrip("0")
