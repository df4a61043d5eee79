"""Time: one clock, UTC inside, days counted in Asia/Shanghai."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)


def local(moment: datetime) -> datetime:
    """`moment` as people in the district read it."""
    return moment.astimezone(SHANGHAI)


def day_of(moment: datetime) -> date:
    """The calendar day in Asia/Shanghai on which `moment` falls."""
    return moment.astimezone(SHANGHAI).date()


def today() -> date:
    """The present day in Asia/Shanghai."""
    return day_of(now())


def day_bounds(day: date) -> tuple[datetime, datetime]:
    """First moment of `day` in Asia/Shanghai and first moment of the next, both in UTC."""
    start = datetime.combine(day, time.min, SHANGHAI).astimezone(UTC)
    return start, datetime.combine(day + timedelta(days=1), time.min, SHANGHAI).astimezone(UTC)
