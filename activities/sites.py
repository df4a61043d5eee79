"""Sites: where something green can be done, and which kinds of action each may credit."""

from collections.abc import Collection, Sequence
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field as InField
from sqlmodel import Field, Session, SQLModel, col, select

from activities.catalogue import ActionKind
from tanpuhui import audit, clock, ids, reference
from tanpuhui.db import enum_type
from tanpuhui.divisions import Division, DivisionLevel
from tanpuhui.errors import InvalidField, NotFound
from tanpuhui.i18n import N_
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal
from tanpuhui.staff import Organisation, Role, grants_of, require

MANAGERS = (Role.ORGANISER, Role.OFFICER, Role.ADMIN)


class SiteKind(StrEnum):
    """What sort of place a site is."""

    CANTEEN = "canteen"
    RECYCLING_POINT = "recycling_point"
    CLOTHES_BIN = "clothes_bin"
    TRANSIT_STOP = "transit_stop"
    PARCEL_STATION = "parcel_station"
    PLANTING_PLOT = "planting_plot"
    EVENT = "event"
    OTHER = "other"


SITE_KIND_NAMES = {
    SiteKind.CANTEEN: N_("食堂、餐厅"),
    SiteKind.RECYCLING_POINT: N_("可回收物回收点"),
    SiteKind.CLOTHES_BIN: N_("旧衣回收箱"),
    SiteKind.TRANSIT_STOP: N_("公交、地铁、骑行点"),
    SiteKind.PARCEL_STATION: N_("快递驿站"),
    SiteKind.PLANTING_PLOT: N_("植树点"),
    SiteKind.EVENT: N_("活动现场"),
    SiteKind.OTHER: N_("其他"),
}


class SiteStatus(StrEnum):
    """Whether scans at a site are credited."""

    OPEN = "open"
    CLOSED = "closed"


class Site(SQLModel, table=True):
    """A place. `division_code` is the community it stands in, `organisation_id` who runs it (if a tenant)."""

    __tablename__ = "site"

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    name: str = Field(max_length=60)
    kind: SiteKind = Field(sa_column=sa.Column(enum_type(SiteKind), nullable=False))
    division_code: str = Field(foreign_key="division.code", index=True, max_length=12)
    organisation_id: UUID | None = Field(default=None, foreign_key="organisation.id", index=True)
    hours: str = Field(default="", max_length=80)
    status: SiteStatus = Field(
        default=SiteStatus.OPEN, sa_column=sa.Column(enum_type(SiteStatus), nullable=False)
    )
    created_by: UUID = Field(foreign_key="staff.id")
    created_at: datetime = Field(default_factory=clock.now)


class SiteCredits(SQLModel, table=True):
    """A site may credit a kind of action."""

    __tablename__ = "site_credits"

    site_id: UUID = Field(foreign_key="site.id", primary_key=True)
    kind: str = Field(foreign_key="action_kind.code", primary_key=True, max_length=32)


class SiteIn(BaseModel):
    """What an organiser says of a new site."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    name: str = InField(min_length=2, max_length=60)
    kind: SiteKind
    division_code: str = InField(max_length=12)
    organisation_id: UUID | None = None
    hours: str = InField(default="", max_length=80)
    kinds: list[str] = InField(min_length=1, max_length=20)


def create_site(house: House, principal: Principal, site_in: SiteIn) -> Site:
    """Register a site. Raises NotAllowed outside the organiser's scope, InvalidField for unknown parts."""
    with house.db.session() as session:
        require(
            session,
            principal,
            MANAGERS,
            division_code=site_in.division_code,
            organisation_id=site_in.organisation_id,
        )
        _check(session, site_in)
        site = Site(**site_in.model_dump(exclude={"kinds"}), created_by=principal.id)
        session.add(site)
        session.flush()
        for kind in dict.fromkeys(site_in.kinds):
            session.add(SiteCredits(site_id=site.id, kind=kind))
        audit.note(
            session,
            actor_kind=principal.kind,
            actor_id=principal.id,
            deed="site.created",
            subject=f"site:{site.id}",
            kinds=site_in.kinds,
        )
        session.flush()
        reference.bump(session.connection())
        return site


def set_status(house: House, principal: Principal, site_id: UUID, status: SiteStatus, reason: str) -> None:
    """Open or close a site. Raises NotFound, NotAllowed, InvalidField (no reason)."""
    reason = audit.reason(reason)
    with house.db.session() as session:
        site = get_site(session, principal, site_id)
        site.status = status
        session.add(site)
        audit.note(
            session,
            actor_kind=principal.kind,
            actor_id=principal.id,
            deed=f"site.{status.value}",
            subject=f"site:{site.id}",
            reason=reason,
        )
        session.flush()
        reference.bump(session.connection())


def get_site(
    session: Session, principal: Principal, site_id: UUID, roles: Collection[Role] = MANAGERS
) -> Site:
    """The site, if `principal` may manage it. Raises NotFound, NotAllowed."""
    site = session.get(Site, site_id)
    if site is None:
        raise NotFound
    require(
        session,
        principal,
        roles,
        division_code=site.division_code,
        organisation_id=site.organisation_id,
    )
    return site


def list_sites(session: Session, principal: Principal) -> Sequence[Site]:
    """The sites in the scope of `principal`, by name."""
    within = [
        col(Site.organisation_id) == given.organisation_id
        if given.organisation_id
        else col(Site.division_code).startswith(given.division_code or "-")
        for given in grants_of(session, principal)
        if given.role in MANAGERS
    ]
    if not within:
        return []
    return session.exec(select(Site).where(sa.or_(*within)).order_by(Site.name)).all()


def kinds_of(session: Session, site_id: UUID) -> Sequence[ActionKind]:
    """The kinds of action a site may credit, by code."""
    return session.exec(
        select(ActionKind)
        .join(SiteCredits, col(SiteCredits.kind) == col(ActionKind.code))
        .where(SiteCredits.site_id == site_id)
        .order_by(ActionKind.code)
    ).all()


def _check(session: Session, site_in: SiteIn) -> None:
    from tanpuhui.pdf import missing_glyphs  # late: only posters and this need the font

    errors = []
    if missing_glyphs(site_in.name):
        errors.append({"field": "name", "reason": N_("名称中有无法印在海报上的字符，请换一种写法。")})
    division = session.get(Division, site_in.division_code)
    if division is None or division.level != DivisionLevel.COMMUNITY:
        errors.append({"field": "division_code", "reason": N_("请选择点位所在的居（村）委会。")})
    organisation = session.get(Organisation, site_in.organisation_id) if site_in.organisation_id else None
    if site_in.organisation_id and organisation is None:
        errors.append({"field": "organisation_id", "reason": N_("没有这个单位。")})
    elif organisation and not site_in.division_code.startswith(organisation.division_code):
        errors.append({"field": "division_code", "reason": N_("点位应在所属单位的区划内。")})
    known = session.exec(select(ActionKind.code).where(col(ActionKind.code).in_(site_in.kinds))).all()
    if set(site_in.kinds) - set(known):
        errors.append({"field": "kinds", "reason": N_("请从列表中选择可记录的行为。")})
    if errors:
        raise InvalidField(errors=errors)
