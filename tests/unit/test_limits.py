"""The limits themselves, as pure rules."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from activities import limits
from activities.catalogue import ActionKind
from activities.limits import Recorded, check_day, check_quantity, check_time, readable
from tanpuhui import clock, ids
from tanpuhui.errors import (
    Clash,
    DailyLimitReached,
    DailyQuantityReached,
    LoadTooLarge,
    Refused,
    SiteLimitReached,
    TimeInFuture,
    TimeTooOld,
    TooSoon,
    WeeklyLimitReached,
    WeeklyQuantityReached,
)

NOW = datetime(2027, 6, 7, 4, 0, tzinfo=UTC)
DAY = clock.day_of(NOW)


def kind(**changed: object) -> ActionKind:
    wanted = {
        "code": "bus_trip",
        "name_zh": "公交",
        "name_en": "Bus",
        "category": "travel",
        "unit": "km",
        "asks": "km",
        "quantity_default_milli": None,
        "quantity_min_milli": 500,
        "quantity_max_milli": 60_000,
        "records_per_day": 3,
        "quantity_per_day_milli": 100_000,
        "min_interval_minutes": 5,
        "clash_group": "trip",
        "lowest_evidence": "site_code",
        "merge_minutes": 0,
    }
    return ActionKind(**{**wanted, **changed})


def earlier(
    minutes: float,
    quantity: int = 1000,
    code: str = "bus_trip",
    group: str | None = "trip",
    interval: int = 5,
) -> Recorded:
    moment = NOW - timedelta(minutes=minutes)
    return Recorded(code, code, code, group, clock.day_of(moment), moment, quantity, interval)


def left(*records: Recorded, quantity: int = 1000, **changed: object) -> int:
    return check_day(kind(**changed), quantity, NOW, DAY, records)


def test_what_is_left_counts_down() -> None:
    assert left() == 2
    assert left(earlier(10)) == 1
    assert left(earlier(10), earlier(20)) == 0
    with pytest.raises(DailyLimitReached) as refusal:
        left(earlier(10), earlier(20), earlier(30))
    assert refusal.value.params == {"kind": "公交", "kind_en": "Bus", "limit": 3}


def test_yesterday_counts_for_the_interval_only() -> None:
    yesterday = earlier(12 * 60 + 1)
    assert yesterday.day != DAY
    assert left(yesterday, yesterday, yesterday) == 2
    with pytest.raises(TooSoon):
        left(yesterday, min_interval_minutes=12 * 60 + 2)


@pytest.mark.parametrize(("minutes", "told"), [(0, 5), (1, 4), (4, 1), (4.99, 1), (-1, 4), (-4.999999, 1)])
def test_the_interval_counts_both_ways_and_tells_how_long(minutes: float, told: int) -> None:
    with pytest.raises(TooSoon) as refusal:
        left(earlier(minutes))
    assert refusal.value.params["minutes"] == told
    assert left(earlier(5)) == 1
    assert left(earlier(-5)) == 1


def test_kinds_of_one_group_clash_within_the_longer_interval() -> None:
    with pytest.raises(Clash) as refusal:
        left(earlier(9, code="metro_trip", interval=10))
    assert refusal.value.params["kind"] == "metro_trip"
    assert left(earlier(10, code="metro_trip", interval=10)) == 2
    with pytest.raises(Clash):
        left(earlier(4, code="metro_trip", interval=1))
    assert left(earlier(4, code="walk", group="walk")) == 2
    assert left(earlier(4, code="walk", group=None), clash_group=None) == 2


def test_the_days_quantity_is_bounded() -> None:
    assert left(earlier(10, 50_000), quantity=50_000) == 1
    with pytest.raises(DailyQuantityReached) as refusal:
        left(earlier(10, 50_000), quantity=50_001)
    assert refusal.value.params["left"] == "50"
    assert left(earlier(10, 100_000, code="metro_trip"), quantity=60_000) == 2  # another kind's quantity


@given(st.lists(st.integers(-2000, 2000), max_size=12), st.integers(500, 60_000))
def test_whatever_was_recorded_a_scan_fits_or_is_refused(minutes: list[int], quantity: int) -> None:
    records = [earlier(apart) for apart in minutes]
    same_day = [record for record in records if record.day == DAY]
    near = [record for record in records if abs(record.occurred_at - NOW) < timedelta(minutes=5)]
    total = sum(record.quantity_milli for record in same_day) + quantity
    if len(same_day) >= 3 or near or total > 100_000:
        with pytest.raises(Refused):
            left(*records, quantity=quantity)
    else:
        assert left(*records, quantity=quantity) == 2 - len(same_day)


# --- loads -------------------------------------------------------------------------------------------------


def drop(minutes: float, quantity: int = 1000) -> Recorded:
    return earlier(minutes, quantity, group=None, interval=1)


def loads_left(*records: Recorded, **changed: object) -> int:
    return left(*records, **{"clash_group": None, "min_interval_minutes": 1, "merge_minutes": 10, **changed})  # type: ignore[arg-type]


def test_what_is_handed_in_within_the_window_is_one_load() -> None:
    assert loads_left(drop(9)) == 2
    assert loads_left(drop(10)) == 1
    assert loads_left(drop(9), drop(5), drop(2)) == 2
    assert loads_left(drop(15), drop(6), drop(4)) == 1  # the second load began six minutes ago
    with pytest.raises(DailyLimitReached):
        loads_left(drop(60), drop(40), drop(20))
    assert loads_left(drop(60), drop(40), drop(5)) == 0  # it belongs to the third load


def test_a_load_has_the_largest_quantity_of_a_record() -> None:
    assert loads_left(drop(5, 59_000), quantity=1000) == 2
    with pytest.raises(LoadTooLarge) as refusal:
        loads_left(drop(5, 59_000), quantity=1001)
    assert refusal.value.params["left"] == "1"
    assert loads_left(drop(11, 59_000), quantity=1001, quantity_per_day_milli=200_000) == 1


@given(st.lists(st.integers(0, 600), max_size=15))
def test_splitting_a_load_never_makes_more_loads_than_waiting(minutes: list[int]) -> None:
    """Drops of one window are one load, so nobody is better off for splitting; without a window each drop counts."""
    moments = [NOW + timedelta(minutes=minute) for minute in minutes]
    merged = limits.loads(kind(merge_minutes=10), moments)
    assert merged <= limits.loads(kind(), moments) == len(moments)
    spread = [moment for moment in moments for _ in range(3)]
    assert limits.loads(kind(merge_minutes=10), spread) == merged


# --- the week and the site ---------------------------------------------------------------------------------


def day_ago(days: int, quantity: int = 1000) -> Recorded:
    return earlier(days * 24 * 60, quantity)


def test_the_week_runs_from_monday_to_sunday() -> None:
    assert DAY.weekday() == 0
    sunday = day_ago(1)
    assert left(sunday, sunday, sunday, records_per_week=3) == 2  # last week's
    tuesday, wednesday = day_ago(-1), day_ago(-2)  # recorded late: the week has records of later days
    with pytest.raises(WeeklyLimitReached):
        left(tuesday, tuesday, wednesday, records_per_week=3)
    assert left(tuesday, wednesday, records_per_week=3) == 2


def test_the_quantity_of_a_week_is_bounded() -> None:
    later = day_ago(-1, 60_000)
    assert left(later, quantity=40_000, quantity_per_week_milli=100_000) == 2
    with pytest.raises(WeeklyQuantityReached) as refusal:
        left(later, quantity=40_001, quantity_per_week_milli=100_000)
    assert refusal.value.params["left"] == "40"


def test_a_site_may_credit_less_than_the_catalogue() -> None:
    here, there = ids.new_id(), ids.new_id()
    at_here = replace(earlier(30), site_id=here)
    assert check_day(kind(), 1000, NOW, DAY, [at_here], (there, 1)) == 1
    with pytest.raises(SiteLimitReached):
        check_day(kind(), 1000, NOW, DAY, [at_here], (here, 1))
    assert check_day(kind(), 1000, NOW, DAY, [at_here], (here, 2)) == 1


def test_quantities() -> None:
    assert check_quantity(kind(), 500) == 500
    assert check_quantity(kind(), 60_000) == 60_000
    assert check_quantity(kind(quantity_default_milli=1000), None) == 1000
    for quantity, code in (
        (None, "missing"),
        (499, "out_of_range"),
        (60_001, "out_of_range"),
        (0, "not_positive"),
        (-1, "not_positive"),
    ):
        with pytest.raises(Refused) as refusal:
            check_quantity(kind(), quantity)
        assert refusal.value.code == f"quantity_{code}"


def test_times() -> None:
    assert check_time(None, NOW, 72) == NOW
    assert check_time(NOW + limits.SKEW, NOW, 72) == NOW
    assert check_time(NOW - timedelta(hours=72), NOW, 72) == NOW - timedelta(hours=72)
    with pytest.raises(TimeInFuture):
        check_time(NOW + limits.SKEW + timedelta(microseconds=1), NOW, 72)
    with pytest.raises(TimeTooOld) as refusal:
        check_time(NOW - timedelta(hours=72, microseconds=1), NOW, 72)
    assert refusal.value.params == {"hours": 72}


@pytest.mark.parametrize(
    ("milli", "text"), [(0, "0"), (1, "0.001"), (500, "0.5"), (2500, "2.5"), (30_000, "30"), (1_230, "1.23")]
)
def test_quantities_are_readable(milli: int, text: str) -> None:
    assert readable(milli) == text
