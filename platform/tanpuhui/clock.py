"""Time: one clock, UTC inside, days counted in Asia/Shanghai."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")

_pretended: datetime | None = None


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return _pretended or datetime.now(UTC)


@contextmanager
def pretending(moment: datetime) -> Iterator[None]:
    """Let the whole process believe it is `moment`: how `tanpuhui demo` lives through a month."""
    global _pretended  # noqa: PLW0603 - one clock for the process
    before, _pretended = _pretended, moment.astimezone(UTC)
    try:
        yield
    finally:
        _pretended = before


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
