"""The limits themselves, as pure rules."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from activities import limits
from activities.catalogue import ActionKind
from activities.limits import Recorded, check_day, check_quantity, check_time, readable
from tanpuhui import clock
from tanpuhui.errors import (
    Clash,
    DailyLimitReached,
    DailyQuantityReached,
    Refused,
    TimeInFuture,
    TimeTooOld,
    TooSoon,
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
