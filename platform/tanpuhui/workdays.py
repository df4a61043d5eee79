"""Working days of the country: by the announced holidays and the days worked in their place, where they are known.

The State Council announces a year's holidays towards the end of the year before. Until the list knows them, Monday to
Friday count, and pages say so (`is_announced`).
"""

from datetime import date, timedelta

import chinese_calendar


def is_announced(year: int) -> bool:
    """Whether the holidays of `year` are known here."""
    try:
        chinese_calendar.is_workday(date(year, 1, 1))
    except NotImplementedError:
        return False
    return True


def is_workday(day: date) -> bool:
    """Whether offices work on `day`; Monday to Friday in a year whose holidays are not known."""
    try:
        return bool(chinese_calendar.is_workday(day))
    except NotImplementedError:
        return day.weekday() < 5


def after(day: date, count: int) -> date:
    """The `count`-th working day after `day`; `day` itself does not count."""
    while count:
        day += timedelta(days=1)
        count -= is_workday(day)
    return day
