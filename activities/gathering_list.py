"""Gatherings as they are read: one, those that are coming near somebody, those of a member of staff."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Session, SQLModel, col

from activities.gatherings import Gathering
from activities.members import HELPERS
from activities.sites import Site
from tanpuhui.divisions import Division
from tanpuhui.errors import NotFound
from tanpuhui.sessions import Principal
from tanpuhui.staff import Organisation, Role, grants_of

#: So many are listed.
LISTED = 100


@dataclass(frozen=True, slots=True)
class Seen:
    """A gathering as everybody sees it. `taken`: places that are; `waits`: somebody waits for one."""

    gathering: Gathering
    held_by: str
    site: str
    taken: int
    waits: bool

    @property
    def where(self) -> str:
        """The place in words and the site, whichever there is."""
        return " · ".join(part for part in (self.site, self.gathering.place) if part)

    @property
    def left(self) -> int:
        """How many places somebody who comes now could have: none while others wait."""
        return 0 if self.waits else max(self.gathering.places - self.taken, 0)

    def may_sign_up(self, now: datetime) -> bool:
        """Whether one can sign up now, for a place or to wait for one."""
        return self.gathering.cancelled_at is None and now < self.gathering.sign_up_until


def _seen() -> sa.Select[Any]:
    sign_up = SQLModel.metadata.tables["sign_up"]
    theirs = sign_up.c.gathering_id == col(Gathering.id)
    taken = sa.select(sa.func.coalesce(sa.func.sum(sign_up.c.people), 0)).where(
        theirs, sign_up.c.placed_at.is_not(None)
    )
    return (
        sa.select(
            Gathering,
            sa.func.coalesce(col(Organisation.name), col(Division.name)),
            sa.func.coalesce(col(Site.name), ""),
            taken.scalar_subquery(),
            sa.exists().where(theirs, sign_up.c.placed_at.is_(None)),
        )
        .join(Division, col(Division.code) == col(Gathering.division_code))
        .join(Organisation, col(Organisation.id) == col(Gathering.organisation_id), isouter=True)
        .join(Site, col(Site.id) == col(Gathering.site_id), isouter=True)
    )


def _read(session: Session, query: sa.Select[Any]) -> list[Seen]:
    return [
        Seen(one, held_by, site, int(taken), bool(waits))
        for one, held_by, site, taken, waits in session.execute(query)
    ]


def seen(session: Session, gathering_id: UUID) -> Seen:
    """A gathering. Raises NotFound."""
    found = _read(session, _seen().where(col(Gathering.id) == gathering_id))
    if not found:
        raise NotFound
    return found[0]


def coming(
    session: Session, now: datetime, *, home: str | None = None, limit: int = LISTED, **only: Any
) -> list[Seen]:
    """The gatherings that are not over, the nearest to community `home` first, then the soonest; `only`: columns that
    have to be equal."""
    query = _seen().where(col(Gathering.cancelled_at).is_(None), col(Gathering.ends_at) > now)
    query = query.where(*(col(getattr(Gathering, name)) == value for name, value in only.items()))
    if home:
        code = col(Gathering.division_code)
        near = sa.case((code == home, 0), (code.startswith(home[:9]), 1), (code == home[:6], 2), else_=3)
        query = query.order_by(near)
    return _read(session, query.order_by(col(Gathering.starts_at), col(Gathering.id)).limit(limit))


def of_staff(session: Session, principal: Principal, now: datetime, limit: int = LISTED) -> list[Seen]:
    """The gatherings in the scope of `principal`: those that are not over, the soonest first, then the latest that are."""
    query, over = _seen().where(in_scope(session, principal)), col(Gathering.ends_at) <= now
    starts_at = col(Gathering.starts_at)
    found = _read(session, query.where(~over).order_by(starts_at).limit(limit))
    return found + _read(session, query.where(over).order_by(starts_at.desc()).limit(limit))


def in_scope(session: Session, principal: Principal, roles: Collection[Role] = HELPERS) -> Any:
    """The condition that a gathering lies in the scope that `principal` has by one of `roles`."""
    within = (
        col(Gathering.organisation_id) == given.organisation_id
        if given.organisation_id
        else col(Gathering.division_code).startswith(given.division_code or "-")
        for given in grants_of(session, principal)
        if given.role in roles
    )
    return sa.or_(sa.false(), *within)


def title_of(connection: Connection, gathering_id: UUID) -> str:
    """What a gathering is called; nothing for one that there is not."""
    return connection.scalar(sa.select(col(Gathering.title)).where(col(Gathering.id) == gathering_id)) or ""
