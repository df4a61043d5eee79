"""Calendar periods, counted in Asia/Shanghai: days, ISO weeks, months, quarters and years, each with a name to put into an address."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from tanpuhui.errors import InvalidField
from tanpuhui.i18n import N_

#: From the smallest to the largest.
UNITS = ("day", "week", "month", "quarter", "year")

#: The years that a period may lie in: what is before or after is a slip of the finger.
FIRST_YEAR, LAST_YEAR = 2000, 2099

_NAMES = {
    "year": re.compile(r"(\d{4})"),
    "quarter": re.compile(r"(\d{4})-Q([1-4])"),
    "month": re.compile(r"(\d{4})-(\d\d)"),
    "week": re.compile(r"(\d{4})-W(\d\d)"),
    "day": re.compile(r"(\d{4})-(\d\d)-(\d\d)"),
}


@dataclass(frozen=True, order=True, slots=True)
class CalendarPeriod:
    """The period of `unit` that begins on `first`. Make it by `containing` or `parse`, which know where periods begin."""

    unit: str
    first: date

    @classmethod
    def containing(cls, unit: str, day: date) -> "CalendarPeriod":
        """The period of `unit` that `day` lies in."""
        if unit == "week":
            return cls(unit, day - timedelta(days=day.weekday()))
        if unit == "day":
            return cls(unit, day)
        months = {"month": 1, "quarter": 3, "year": 12}[unit]
        return cls(unit, date(day.year, (day.month - 1) // months * months + 1, 1))

    @classmethod
    def parse(cls, name: str, field: str = "period") -> "CalendarPeriod":
        """The period called `name`: 2026, 2026-Q2, 2026-06, 2026-W23 or 2026-06-05. Raises InvalidField at `field`."""
        for unit, pattern in _NAMES.items():
            if found := pattern.fullmatch(name.strip()):
                try:
                    period = cls._of(unit, *map(int, found.groups()))
                except ValueError:
                    break
                if FIRST_YEAR <= period.first.year <= LAST_YEAR:
                    return period
        raise InvalidField(
            errors=[
                {
                    "field": field,
                    "reason": N_(
                        "请填写年、季、月、周或日，例如 2026、2026-Q2、2026-06、2026-W23、2026-06-05。"
                    ),
                }
            ]
        )

    @classmethod
    def _of(cls, unit: str, year: int, part: int = 1, day: int = 1) -> "CalendarPeriod":
        if unit == "week":
            return cls(unit, date.fromisocalendar(year, part, 1))
        month = 3 * part - 2 if unit == "quarter" else part
        return cls(unit, date(year, month, day))

    @property
    def last(self) -> date:
        """Its last day, which belongs to it."""
        return self.after().first - timedelta(days=1)

    @property
    def name(self) -> str:
        """As `parse` reads it."""
        first = self.first
        if self.unit == "week":
            year, week, _ = first.isocalendar()
            return f"{year}-W{week:02}"
        return {
            "day": first.isoformat(),
            "month": f"{first:%Y-%m}",
            "quarter": f"{first.year}-Q{(first.month + 2) // 3}",
            "year": f"{first.year}",
        }[self.unit]

    def after(self) -> "CalendarPeriod":
        """The next one."""
        days = {"day": 1, "week": 7, "month": 31, "quarter": 92, "year": 366}[self.unit]
        return CalendarPeriod.containing(self.unit, self.first + timedelta(days=days))

    def before(self) -> "CalendarPeriod":
        """The one before."""
        return CalendarPeriod.containing(self.unit, self.first - timedelta(days=1))

    def year_before(self) -> "CalendarPeriod":
        """The same a year before: the same day (of February 29th, the 28th), month or quarter; of a week the one of the same number,
        or the last of that year."""
        if self.unit == "week":
            year, week, _ = self.first.isocalendar()
            last = date(year - 1, 12, 28).isocalendar().week
            return CalendarPeriod(self.unit, date.fromisocalendar(year - 1, min(week, last), 1))
        leap = self.first.month == 2 and self.first.day == 29
        return CalendarPeriod(
            self.unit, self.first.replace(year=self.first.year - 1, day=28 if leap else self.first.day)
        )

    def parts(self, unit: str) -> "tuple[CalendarPeriod, ...]":
        """The periods of a smaller `unit` that make it up: days of a week or month, months of a quarter or year, days of anything."""
        return tuple(self._parts(unit))

    def _parts(self, unit: str) -> "Iterator[CalendarPeriod]":
        part, last = CalendarPeriod.containing(unit, self.first), self.last
        while part.first <= last:
            yield part
            part = part.after()
