"""Any days are made of calendar periods: each day once, and few of them."""

from datetime import date, timedelta

import pytest

from tanpuhui.site_figures import pieces


@pytest.mark.parametrize(
    ("first", "last", "names"),
    [
        ("2026-01-01", "2026-12-31", ["2026"]),
        ("2025-12-29", "2026-01-04", ["2026-W01"]),
        ("2026-01-01", "2026-06-30", ["2026-Q1", "2026-Q2"]),
        ("2026-01-01", "2026-05-11", ["2026-Q1", "2026-04", "2026-05-01", "2026-05-02", "2026-05-03", "2026-W19", "2026-05-11"]),
        ("2026-06-05", "2026-06-05", ["2026-06-05"]),
        ("2026-06-05", "2026-06-04", []),
    ],
)  # fmt: skip
def test_days_are_made_of_the_largest_periods_that_fit(first: str, last: str, names: list[str]) -> None:
    begins, ends = date.fromisoformat(first), date.fromisoformat(last)
    found = pieces(begins, ends)
    assert [one.name for one in found] == names
    days = [part.first for one in found for part in one.parts("day")]
    assert days == [begins + timedelta(days=at) for at in range((ends - begins).days + 1)]
