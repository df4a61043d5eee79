"""Limits: what one resident may have credited. Pure rules over the records already there.

The limits themselves are data (`catalogue`); a limit that is reached is a refusal with its reason.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import Any
from uuid import UUID

from activities.catalogue import ActionKind
from activities.clashes import ClashRule, one_deed
from tanpuhui.errors import (
    Clash,
    DailyLimitReached,
    DailyQuantityReached,
    LoadTooLarge,
    ProvenBetter,
    QuantityMissing,
    QuantityNotPositive,
    QuantityOutOfRange,
    SiteLimitReached,
    TimeInFuture,
    TimeTooOld,
    TooSoon,
    WeeklyLimitReached,
    WeeklyQuantityReached,
)

#: How far a phone's clock may run ahead before its time counts as being in the future.
SKEW = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A standing record of the same resident. `rank`: of its evidence; `lasting`: never replaced, however weak."""

    kind: str
    name_zh: str
    name_en: str
    clash_group: str | None
    day: date
    occurred_at: datetime
    quantity_milli: int
    min_interval_minutes: int
    site_id: UUID | None = None
    id: UUID | None = None
    rank: int = 0
    lasting: bool = False


#: The rules of clashes, by group.
Rules = Mapping[str, ClashRule]


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
    kind: ActionKind,
    quantity_milli: int,
    occurred_at: datetime,
    day: date,
    earlier: Iterable[Recorded],
    at_site: tuple[UUID, int] | None = None,
    rules: Rules = MappingProxyType({}),
) -> int:
    """Whether one more record of `kind` fits; how many more loads fit on that day after it.

    `earlier` are the resident's standing records of the day and its neighbours, and of its week for a kind that has a
    limit of the week. `at_site`: the site and how many loads it credits a resident on a day, if it has a limit of its
    own. Raises DailyLimitReached, SiteLimitReached, WeeklyLimitReached, DailyQuantityReached, WeeklyQuantityReached,
    LoadTooLarge, TooSoon, Clash.
    """
    records = list(earlier)
    same = [record for record in records if record.kind == kind.code]
    today = [record for record in same if record.day == day]
    after = loads(kind, [*(record.occurred_at for record in today), occurred_at])
    if after > kind.records_per_day:
        raise DailyLimitReached(kind=kind.name_zh, kind_en=kind.name_en, limit=kind.records_per_day)
    if at_site is not None:
        here = [record.occurred_at for record in today if record.site_id == at_site[0]]
        if loads(kind, [*here, occurred_at]) > at_site[1]:
            raise SiteLimitReached(kind=kind.name_zh, kind_en=kind.name_en, limit=at_site[1])
    _check_interval(kind, occurred_at, records, same, rules)
    _check_quantities(kind, quantity_milli, occurred_at, day, same)
    return kind.records_per_day - after


def _check_interval(
    kind: ActionKind,
    occurred_at: datetime,
    records: Sequence[Recorded],
    same: Sequence[Recorded],
    rules: Rules,
) -> None:
    interval = timedelta(minutes=kind.min_interval_minutes)
    if near := [record for record in same if abs(occurred_at - record.occurred_at) < interval]:
        left = interval - min(abs(occurred_at - record.occurred_at) for record in near)
        minutes = -(-int(left.total_seconds()) // 60)
        raise TooSoon(kind=kind.name_zh, kind_en=kind.name_en, minutes=max(1, minutes))
    for record in deeds(kind, occurred_at, records, rules):
        raise Clash(kind=record.name_zh, kind_en=record.name_en)


def deeds(
    kind: ActionKind, occurred_at: datetime, earlier: Iterable[Recorded], rules: Rules
) -> list[Recorded]:
    """Those of the `earlier` records that are the same deed as one of `kind` at `occurred_at`."""
    rule = rules.get(kind.clash_group) if kind.clash_group else None
    return [
        record
        for record in earlier
        if (record.kind == kind.code or (kind.clash_group and record.clash_group == kind.clash_group))
        and one_deed(
            rule,
            occurred_at,
            record.occurred_at,
            max(kind.min_interval_minutes, record.min_interval_minutes),
        )
    ]


def weaker(
    kind: ActionKind, rank: int, occurred_at: datetime, earlier: Iterable[Recorded], rules: Rules
) -> list[Recorded]:
    """The records that one of `kind`, proven by evidence of `rank`, would replace: of the same deed, all proven less.

    Where one of them is as strong, or stays whatever comes, none is replaced. Raises ProvenBetter.
    """
    same = deeds(kind, occurred_at, earlier, rules)
    for record in same:
        if record.rank > rank:
            raise ProvenBetter(kind=record.name_zh, kind_en=record.name_en)
    return [] if any(record.rank == rank or record.lasting for record in same) else same


def _check_quantities(
    kind: ActionKind, quantity_milli: int, occurred_at: datetime, day: date, same: Sequence[Recorded]
) -> None:
    """The quantity of the load it belongs to, of the day, and of the week with its number of records."""
    zh, en, unit = kind.name_zh, kind.name_en, kind.unit
    today = [record for record in same if record.day == day]
    load = _load_of(kind, occurred_at, today)
    if load + quantity_milli > kind.quantity_max_milli:
        left = readable(max(0, kind.quantity_max_milli - load))
        raise LoadTooLarge(kind=zh, kind_en=en, unit=unit, minutes=kind.merge_minutes, left=left)
    total = sum(record.quantity_milli for record in today)
    if total + quantity_milli > kind.quantity_per_day_milli:
        left = readable(max(0, kind.quantity_per_day_milli - total))
        raise DailyQuantityReached(kind=zh, kind_en=en, unit=unit, left=left)
    week = [record for record in same if record.day.isocalendar()[:2] == day.isocalendar()[:2]]
    if kind.records_per_week is not None:
        done = _loads_of_days(
            kind, [*((record.day, record.occurred_at) for record in week), (day, occurred_at)]
        )
        if done > kind.records_per_week:
            raise WeeklyLimitReached(kind=zh, kind_en=en, limit=kind.records_per_week)
    if kind.quantity_per_week_milli is not None:
        total = sum(record.quantity_milli for record in week)
        if total + quantity_milli > kind.quantity_per_week_milli:
            left = readable(max(0, kind.quantity_per_week_milli - total))
            raise WeeklyQuantityReached(kind=zh, kind_en=en, unit=unit, left=left)


def loads(kind: ActionKind, times: Iterable[datetime]) -> int:
    """How many loads the records of one day are: what comes within the window of a load's first record belongs to it."""
    return len(_first_of_loads(kind, times))


def left_of_day(kind: ActionKind, rows: Iterable[Any], now: datetime | None = None) -> int:
    """How many more records of `kind` a day allows beside `rows` of it (`activities.actions.READ_DAYS`).

    With `now`, what still belongs to the last load is at least one.
    """
    times = [row.occurred_at for row in rows if row.kind == kind.code and not row.voided]
    left = max(0, kind.records_per_day - loads(kind, times))
    joins = now is not None and times and loads(kind, [*times, now]) == loads(kind, times)
    return max(left, 1) if joins else left


def _first_of_loads(kind: ActionKind, times: Iterable[datetime]) -> list[datetime]:
    window = timedelta(minutes=kind.merge_minutes)
    firsts: list[datetime] = []
    for moment in sorted(times):
        if not firsts or not window or moment - firsts[-1] >= window:
            firsts.append(moment)
    return firsts


def _load_of(kind: ActionKind, occurred_at: datetime, today: Sequence[Recorded]) -> int:
    """The quantity of the records that are of one load with one at `occurred_at`, in thousandths."""
    if not kind.merge_minutes:
        return 0
    firsts = _first_of_loads(kind, [*(record.occurred_at for record in today), occurred_at])
    mine = max(first for first in firsts if first <= occurred_at)
    end = mine + timedelta(minutes=kind.merge_minutes)
    return sum(record.quantity_milli for record in today if mine <= record.occurred_at < end)


def _loads_of_days(kind: ActionKind, moments: Iterable[tuple[date, datetime]]) -> int:
    by_day: dict[date, list[datetime]] = {}
    for day, moment in moments:
        by_day.setdefault(day, []).append(moment)
    return sum(loads(kind, times) for times in by_day.values())


def readable(milli: int) -> str:
    """Thousandths as a decimal without needless zeros: 2500 -> ``2.5``."""
    whole, rest = divmod(milli, 1000)
    return str(whole) if not rest else f"{whole}.{rest:03d}".rstrip("0")
