"""Venues: of the sites there were, at how many something was recorded. Numbers of sites only; which one is told nowhere here.

A site was there if it was set up by the end of the days asked for, credits something (or the kind asked for) and had not closed before
they began, or if something was recorded there.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import SQLModel

from tanpuhui import clock
from tanpuhui.periods import UNITS
from tanpuhui.site_figures import pieces


@dataclass(frozen=True)
class Venues:
    """Sites that were there, and those of them at which something was recorded: by 街镇 and by what sort of place they are."""

    by_street: Counter[str]
    used_by_street: Counter[str]
    by_kind: Counter[str]
    used_by_kind: Counter[str]

    @property
    def silent_kinds(self) -> Sequence[str]:
        """Sorts of places at none of which anything was recorded."""
        return sorted(kind for kind in self.by_kind if not self.used_by_kind[kind])


def venues(connection: Connection, first: date, last: date, area: str, kind: str | None = None) -> Venues:
    """The sites of a division by its code from day `first` to `last`; with a `kind` of action, what was recorded of it.

    Read from the figures: one look for each site and each calendar period that the days are made of.
    """
    rows = [] if last < first else connection.execute(_query(first, last, area, kind)).all()
    found = [row for row in rows if row.used or row.there]
    used = [row for row in rows if row.used]
    return Venues(
        _sum((row.street, row.sites) for row in found),
        _sum((row.street, row.sites) for row in used),
        _sum((row.kind, row.sites) for row in found),
        _sum((row.kind, row.sites) for row in used),
    )


def _sum(numbers: Iterable[tuple[str, int]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for name, number in numbers:
        found[name] += number
    return found


def _query(first: date, last: date, area: str, kind: str | None) -> sa.Select[Any]:
    """How many sites of each 街镇 and sort there are, apart by whether they were there and whether something was recorded."""
    site, offers = (SQLModel.metadata.tables[name].c for name in ("site", "site_credits"))
    begins, ends = clock.day_bounds(first)[0], clock.day_bounds(last)[1]
    some = sa.exists().where(offers.site_id == site.id)
    # A point credits something, always: it need not be looked up.
    offered = some.where(offers.kind == kind) if kind else sa.or_(site.level == "point", some)
    there = sa.and_(site.created_at < ends, sa.or_(site.status == "open", site.closed_at > begins), offered)
    apart = (
        sa.func.substr(site.division_code, 1, 9).label("street"),
        site.kind,
        _used(site.id, first, last, kind).label("used"),
        there.label("there"),
    )
    of_area = (site.self_reports.is_(False), site.division_code.startswith(area))
    return sa.select(*apart, sa.func.count().label("sites")).where(*of_area).group_by(*apart)


def _used(
    site_id: sa.ColumnElement[Any], first: date, last: date, kind: str | None
) -> sa.ColumnElement[bool]:
    """Whether a site has standing actions in one of the periods that make up the days."""
    figures = SQLModel.metadata.tables["site_figure"].c
    made_of = pieces(first, last)
    looks = []
    for unit in reversed(UNITS):
        if firsts := [one.first for one in made_of if one.unit == unit]:
            what = [figures.kind == kind] if kind else []
            of_unit = (figures.unit == unit, figures.first.in_(firsts), figures.site_id == site_id)
            looks.append(sa.exists().where(*of_unit, *what, figures.actions > 0))
    return sa.or_(*looks)
