"""Places: the sites as everybody sees them, with what can be recorded there and how they stand.

"Near" is one's own community, then one's own 街镇, then the rest of the district: that much is known of a resident,
and no more is asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.orm import aliased
from sqlmodel import col

from activities.catalogue import ActionKind
from activities.site_reports import Standing, words_on
from activities.sites import RecoveryLevel, Site, SiteCredits, SiteKind, SiteStatus
from tanpuhui.divisions import Division, street_of
from tanpuhui.errors import InvalidField, NotFound
from tanpuhui.i18n import N_

PAGE = 30

#: How far a place is: in the own community, in the own 街镇, in the rest of the district.
HERE, NEAR, FAR = range(3)


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for: a kind of place, a kind of action, a division and all below it."""

    kind: SiteKind | None = None
    action: str | None = None
    division: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """An open or paused site. `kinds`: codes of what can be recorded; `distance`: `HERE`, `NEAR` or `FAR`."""

    id: UUID
    name: str
    kind: SiteKind
    hours: str
    division_code: str
    community: str
    street: str
    kinds: tuple[str, ...]
    distance: int
    standing: Standing


@dataclass(frozen=True, slots=True)
class Page:
    """A page of places and how many were found altogether. `number` counts from 1."""

    places: Sequence[Place]
    total: int
    number: int
    size: int

    @property
    def last(self) -> int:
        """The number of the last page."""
        return max(1, -(-self.total // self.size))


def find(
    connection: Connection,
    search: Search,
    now: datetime,
    *,
    home: str = "",
    number: int = 1,
    size: int = PAGE,
) -> Page:
    """The open sites that fit, those near the community `home` first, by name: two queries, however many there are.

    Raises InvalidField for a kind of action or a division that is not there.
    """
    _check(connection, search)
    fitting = [
        col(Site.status) == SiteStatus.OPEN,
        ~col(Site.self_reports),
        col(Site.level) == RecoveryLevel.POINT,
    ]
    if search.kind:
        fitting.append(col(Site.kind) == search.kind)
    if search.division:
        fitting.append(col(Site.division_code).startswith(search.division))
    if search.action:
        crediting = sa.select(col(SiteCredits.site_id)).where(col(SiteCredits.kind) == search.action)
        fitting.append(col(Site.id).in_(crediting))
    distance = sa.case(
        (col(Site.division_code) == home, HERE),
        (col(Site.division_code).startswith(street_of(home) or "-"), NEAR),
        else_=FAR,
    ).label("distance")
    picked = (
        sa.select(col(Site.id).label("site_id"), distance, sa.func.count().over().label("total"))
        .where(*fitting)
        .order_by(distance, col(Site.name), col(Site.id))
        .limit(size)
        .offset((number - 1) * size)
        .subquery()
    )
    rows = connection.execute(
        _SELECT.add_columns(picked.c.distance, picked.c.total)
        .join(picked, picked.c.site_id == col(Site.id))
        .order_by(picked.c.distance, *_BY_NAME)
    ).all()
    if rows:
        return Page(_places(connection, rows, now), rows[0].total, number, size)
    counted = (
        connection.scalar(sa.select(sa.func.count()).select_from(Site).where(*fitting)) if number > 1 else 0
    )
    return Page((), counted or 0, number, size)


def one(connection: Connection, site_id: UUID, now: datetime) -> Place:
    """A site. Raises NotFound."""
    rows = connection.execute(_SELECT.where(col(Site.id) == site_id)).all()
    if not rows:
        raise NotFound
    return _places(connection, rows, now)[0]


def these(connection: Connection, sites: sa.Select[Any], now: datetime) -> list[Place]:
    """The sites whose ids `sites` selects, by name, the paused ones as well."""
    rows = connection.execute(_SELECT.where(col(Site.id).in_(sites)).order_by(*_BY_NAME)).all()
    return _places(connection, rows, now)


def divisions(connection: Connection) -> list[tuple[str, str, str]]:
    """The communities in which there is an open site: code, name, name of the 街镇; by code."""
    rows = connection.execute(
        sa.select(col(Division.code), col(Division.name), col(_STREET.name))
        .join(_STREET, col(_STREET.code) == col(Division.parent_code))
        .where(
            sa.exists().where(
                col(Site.division_code) == col(Division.code),
                col(Site.status) == SiteStatus.OPEN,
                ~col(Site.self_reports),
            )
        )
        .order_by(col(Division.code))
    )
    return [(code, name, street_name) for code, name, street_name in rows]


def _check(connection: Connection, search: Search) -> None:
    errors = []
    if search.action is not None and not connection.scalar(
        sa.select(sa.exists().where(col(ActionKind.code) == search.action))
    ):
        errors.append({"field": "action", "reason": N_("没有这种绿色行为。")})
    if search.division is not None and not connection.scalar(
        sa.select(sa.exists().where(col(Division.code) == search.division))
    ):
        errors.append({"field": "division", "reason": N_("没有这个区划。")})
    if errors:
        raise InvalidField(errors=errors)


_COMMUNITY, _STREET = aliased(Division), aliased(Division)
_BY_NAME = (col(Site.name), col(Site.id))
_SELECT: sa.Select[Any] = (
    sa.select(
        *(col(getattr(Site, name)) for name in ("id", "name", "kind", "hours", "status", "division_code")),
        col(_COMMUNITY.name).label("community"),
        col(_STREET.name).label("street"),
        sa.select(sa.func.aggregate_strings(col(SiteCredits.kind), ","))
        .where(col(SiteCredits.site_id) == col(Site.id))
        .scalar_subquery()
        .label("kinds"),
    )
    .select_from(Site)
    .join(_COMMUNITY, col(_COMMUNITY.code) == col(Site.division_code))
    .join(_STREET, col(_STREET.code) == col(_COMMUNITY.parent_code))
    .where(~col(Site.self_reports))
)


def _places(connection: Connection, rows: Sequence[sa.Row[Any]], now: datetime) -> list[Place]:
    words = words_on(connection, [row.id for row in rows], now)
    return [
        Place(
            id=row.id,
            name=row.name,
            kind=row.kind,
            hours=row.hours,
            division_code=row.division_code,
            community=row.community,
            street=row.street,
            kinds=tuple(sorted(row.kinds.split(","))) if row.kinds else (),
            distance=getattr(row, "distance", FAR),
            standing=Standing(row.status != SiteStatus.OPEN, words.get(row.id, ())),
        )
        for row in rows
    ]
