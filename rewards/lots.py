"""Lots: how long points last, and what is left of those that a resident was given.

A transfer that gives points carries the day on which they expire (`expires_on`), known from the start; so does a transfer that
takes just those back. The points of one such day are a lot. Spending belongs to no lot: it takes the lots in turn, the one that
expires first before the others. So nothing is stored of a lot. With what was given of each less what was taken back (`given`),
and all that was spent less what came back of it (`spent`):

    left of a lot = given of it - what of `spent` the earlier lots could not bear, never below zero

and the sum of what is left is the balance. What is spent and comes back is in its lots again by the same sum. Points that come
to a resident when the day of their lot is over (a review that took that long, a voucher cancelled late) would be lost at once:
they get a later day instead (`in_time`, `too_late`), so that nothing ever comes into a lot that has expired.

`left` is the rule; `standing` is the same sum made by the database, for many residents at once.
"""

from calendar import monthrange
from collections.abc import Mapping, Sequence
from datetime import date

from sqlalchemy.engine import Connection

from tanpuhui.db import Statement

#: The day of points that were given while nothing was said of expiry: they last for good.
NEVER = date(9999, 12, 31)

#: What comes back too late lasts for so many months more, counted as for any other points.
MONTHS_OF_GRACE = 1


def last_day(given_on: date, months: int) -> date:
    """The last day of points given on a day: `months` later, and on to the end of that month."""
    month = given_on.year * 12 + given_on.month - 1 + months
    year, month = divmod(month, 12)
    return date(year, month + 1, monthrange(year, month + 1)[1])


def in_time(expires_on: date, today: date) -> date:
    """The day of a lot for points that come to a resident today: its own, or a later one if that is over."""
    return expires_on if expires_on >= today else last_day(today, MONTHS_OF_GRACE)


def left(given: Mapping[date, int], spent: int) -> dict[date, int]:
    """What is left of each lot, by its day, the earliest first; without those of which nothing is."""
    found = {}
    for day in sorted(given):
        borne = min(given[day], spent)
        spent -= borne
        if given[day] > borne:
            found[day] = given[day] - borne
    return found


def too_late(given: Mapping[date, int], spent: int, back: int, today: date) -> int:
    """How many of `back` points that were spent and come back belong to lots whose day is over."""
    before, after = left(given, spent), left(given, spent - back)
    return sum(points - before.get(day, 0) for day, points in after.items() if day < today)


_SIDES = (
    "SELECT destination AS path, expires_on, amount FROM transfer "
    "WHERE {where} AND destination LIKE 'resident:%' UNION ALL "
    "SELECT source, expires_on, -amount FROM transfer WHERE {and_where} AND source LIKE 'resident:%'"
)
_OF_THESE = _SIDES.format(where="destination {in:paths:text}", and_where="source {in:paths:text}")

#: `left` in SQL, over the sides of transfers that stand in the braces.
_LEFT = (
    "SELECT path, expires_on, CASE WHEN over >= given THEN given ELSE over END AS points FROM ("
    "SELECT t.path, t.expires_on, t.given, "
    "SUM(t.given) OVER (PARTITION BY t.path ORDER BY t.expires_on) - COALESCE(s.spent, 0) AS over "
    "FROM (SELECT path, expires_on, SUM(amount) AS given FROM sides WHERE expires_on IS NOT NULL "
    "GROUP BY path, expires_on) t "
    "LEFT JOIN (SELECT path, -SUM(amount) AS spent FROM sides WHERE expires_on IS NULL GROUP BY path) s "
    "ON s.path = t.path) lots WHERE over > 0 AND given > 0"
)
_STANDING = Statement(
    f"WITH sides AS ({_OF_THESE}) {_LEFT} AND expires_on <= {{pg:CAST(:until AS date)}}{{sqlite::until}} ORDER BY path, expires_on",
    path="text",
    expires_on="date",
    points="int",
)
_SUMS = Statement(
    f"SELECT path, expires_on, SUM(amount) AS points FROM ({_OF_THESE}) sides GROUP BY path, expires_on",
    path="text",
    expires_on="date",
    points="int",
)

#: For `tanpuhui verify`: balances that are not what their lots have left, over all residents.
NOT_THE_LOTS = (
    f"WITH sides AS ({_SIDES.format(where='true', and_where='true')}), standing AS "
    f"(SELECT path, SUM(points) AS points FROM ({_LEFT}) l GROUP BY path) "
    "SELECT a.path, a.balance, COALESCE(l.points, 0) FROM account a LEFT JOIN standing l ON l.path = a.path "
    "WHERE a.path LIKE 'resident:%' AND a.balance <> COALESCE(l.points, 0)"
)


def standing(connection: Connection, paths: Sequence[str], until: date = NEVER) -> dict[str, dict[date, int]]:
    """What is left of the lots of residents' accounts that expire by a day, by account and day."""
    found: dict[str, dict[date, int]] = {}
    for row in _STANDING.run(connection, paths=paths, until=until.isoformat()):
        found.setdefault(row.path, {})[row.expires_on] = int(row.points)
    return found


def sums(connection: Connection, path: str) -> tuple[dict[date, int], int]:
    """What an account was given of each lot, and what of all that was spent: what `left` and `too_late` ask for."""
    found = {row.expires_on: int(row.points) for row in _SUMS.run(connection, paths=[path])}
    spent = -found.pop(None, 0)
    return found, spent
