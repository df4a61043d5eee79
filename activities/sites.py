"""Sites: where something green can be done, and which kinds of action each may credit."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field as InField
from sqlmodel import Field, Session, SQLModel, col, select

from activities.catalogue import ActionKind
from activities.geodesy import Datum, Point
from activities.schedules import read_schedule
from tanpuhui import audit, clock, ids, reference
from tanpuhui.db import enum_type
from tanpuhui.divisions import Division, DivisionLevel
from tanpuhui.errors import InvalidField, NotFound
from tanpuhui.i18n import N_
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal
from tanpuhui.staff import Organisation, Role, grants_of, made_before, require

MANAGERS = (Role.ORGANISER, Role.OFFICER, Role.ADMIN)

#: Coordinates are kept in millionths of a degree.
MICRO = 1_000_000


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


class RecoveryLevel(StrEnum):
    """Where in the recovery chain (点站场) a site stands: material goes from points to stations to yards."""

    POINT = "point"
    STATION = "station"
    YARD = "yard"


RECOVERY_LEVEL_NAMES = {
    RecoveryLevel.POINT: N_("点：居民来的地方"),
    RecoveryLevel.STATION: N_("站：可回收物中转站"),
    RecoveryLevel.YARD: N_("场：可回收物集散场"),
}


class SiteStatus(StrEnum):
    """Whether scans at a site are credited."""

    OPEN = "open"
    CLOSED = "closed"


class Site(SQLModel, table=True):
    """A place. `division_code` is the community it stands in, `organisation_id` who runs it (if a tenant).

    `hours` are words for people; `schedule` says when scans are credited (see `activities.schedules`), empty: always.
    Where it stands, in millionths of a degree and a stated datum, if anybody has said so.
    `source_register`: the number under which the place stands in the district's register of sources, if that is known.
    `self_reports`: it is no place but where a district takes what residents report themselves (`activities.self_reports`);
    then `division_code` is the district.
    `level`: where in the recovery chain it stands, for good.
    `closed_at`: when it was last closed, also if it was opened again.
    """

    __tablename__ = "site"
    __table_args__ = (
        sa.CheckConstraint("latitude_e6 BETWEEN -90000000 AND 90000000", name="latitude"),
        sa.CheckConstraint("longitude_e6 BETWEEN -180000000 AND 180000000", name="longitude"),
        sa.CheckConstraint("source_register <> ''", name="source_register"),
        sa.CheckConstraint(
            "(latitude_e6 IS NULL) = (datum IS NULL) AND (longitude_e6 IS NULL) = (datum IS NULL)",
            name="position",
        ),
        sa.Index(
            "uq_site_self_reports",
            "division_code",
            unique=True,
            sqlite_where=sa.text("self_reports"),
            postgresql_where=sa.text("self_reports"),
        ),
    )

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    name: str = Field(max_length=60)
    kind: SiteKind = Field(sa_column=sa.Column(enum_type(SiteKind), nullable=False))
    division_code: str = Field(foreign_key="division.code", index=True, max_length=12)
    organisation_id: UUID | None = Field(default=None, foreign_key="organisation.id", index=True)
    hours: str = Field(default="", max_length=80)
    schedule: str = Field(default="", max_length=120, sa_column_kwargs={"server_default": ""})
    status: SiteStatus = Field(
        default=SiteStatus.OPEN, sa_column=sa.Column(enum_type(SiteStatus), nullable=False)
    )
    created_by: UUID = Field(foreign_key="staff.id")
    created_at: datetime = Field(default_factory=clock.now)
    closed_at: datetime | None = None
    self_reports: bool = Field(default=False, sa_column_kwargs={"server_default": sa.false()})
    latitude_e6: int | None = None
    longitude_e6: int | None = None
    datum: Datum | None = Field(default=None, sa_column=sa.Column(enum_type(Datum)))
    level: RecoveryLevel = Field(
        default=RecoveryLevel.POINT,
        sa_column=sa.Column(enum_type(RecoveryLevel), nullable=False, server_default="point"),
    )
    source_register: str | None = Field(default=None, max_length=64)

    @property
    def position(self) -> Point | None:
        """Where it stands, if that is known."""
        if self.latitude_e6 is None or self.longitude_e6 is None or self.datum is None:
            return None
        return Point(self.latitude_e6 / MICRO, self.longitude_e6 / MICRO, self.datum)


class SiteCredits(SQLModel, table=True):
    """A site may credit a kind of action, to a resident at most `records_per_day` times, if it says so."""

    __tablename__ = "site_credits"
    __table_args__ = (sa.CheckConstraint("records_per_day >= 1", name="records_per_day"),)

    site_id: UUID = Field(foreign_key="site.id", primary_key=True)
    kind: str = Field(foreign_key="action_kind.code", primary_key=True, max_length=32)
    records_per_day: int | None = None


class SiteIn(BaseModel):
    """What an organiser says of a new site. Only stations and yards may credit nothing."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    name: str = InField(min_length=2, max_length=60)
    kind: SiteKind
    division_code: str = InField(max_length=12)
    organisation_id: UUID | None = None
    hours: str = InField(default="", max_length=80)
    kinds: list[str] = InField(default=[], max_length=20)
    level: RecoveryLevel = RecoveryLevel.POINT


def create_site(house: House, principal: Principal, site_in: SiteIn, *, chosen: UUID | None = None) -> Site:
    """Register a site; with a `chosen` id once, however often it is asked.

    Raises NotAllowed outside the organiser's scope, InvalidField for unknown parts.
    """
    with house.db.session() as session:
        require(
            session,
            principal,
            MANAGERS,
            division_code=site_in.division_code,
            organisation_id=site_in.organisation_id,
        )
        if made := made_before(session, principal, Site, chosen):
            return made
        _check(session, site_in)
        site = Site(
            id=chosen or ids.new_id(),
            **site_in.model_dump(exclude={"kinds"}),
            created_by=principal.id,
        )
        session.add(site)
        session.flush()
        for kind in dict.fromkeys(site_in.kinds):
            session.add(SiteCredits(site_id=site.id, kind=kind))
        audit.note_by(
            session,
            principal,
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
        if status is SiteStatus.CLOSED:
            site.closed_at = clock.now()
        session.add(site)
        audit.note_by(
            session,
            principal,
            deed=f"site.{status.value}",
            subject=f"site:{site.id}",
            reason=reason,
        )
        session.flush()
        reference.bump(session.connection())


def set_limits(
    house: House,
    principal: Principal,
    site_id: UUID,
    *,
    schedule: str,
    records_per_day: Mapping[str, int | None],
    reason: str,
) -> None:
    """When a site credits scans, and how often a day it credits a resident each of its kinds (None: as the catalogue).

    Raises NotFound, NotAllowed, InvalidField.
    """
    reason = audit.reason(reason)
    schedule = " ".join(schedule.split())
    read_schedule(schedule)
    if any(number is not None and not 1 <= number <= 1000 for number in records_per_day.values()):
        raise InvalidField(errors=[{"field": "records_per_day", "reason": N_("每天次数应为 1 到 1000。")}])
    with house.db.session() as session:
        site = get_site(session, principal, site_id)
        site.schedule = schedule
        session.add(site)
        for kind, number in records_per_day.items():
            offered = session.get(SiteCredits, (site_id, kind))
            if offered is None:
                raise NotFound
            offered.records_per_day = number
            session.add(offered)
        audit.note_by(
            session,
            principal,
            deed="site.limits",
            subject=f"site:{site.id}",
            reason=reason,
            schedule=schedule,
            records_per_day={kind: number for kind, number in records_per_day.items() if number},
        )
        session.flush()
        reference.bump(session.connection())


def limits_of(session: Session, site_id: UUID) -> dict[str, int]:
    """The kinds for which a site has a limit of its own: kind -> records a day."""
    rows = session.exec(select(SiteCredits).where(SiteCredits.site_id == site_id)).all()
    return {row.kind: row.records_per_day for row in rows if row.records_per_day is not None}


def get_site(
    session: Session, principal: Principal, site_id: UUID, roles: Collection[Role] = MANAGERS
) -> Site:
    """The place, if `principal` may manage it. Raises NotFound, NotAllowed."""
    site = session.get(Site, site_id)
    if site is None or site.self_reports:
        raise NotFound
    require(
        session,
        principal,
        roles,
        division_code=site.division_code,
        organisation_id=site.organisation_id,
    )
    return site


def in_scope(session: Session, principal: Principal, roles: Collection[Role] = MANAGERS) -> Any:
    """The condition that a site lies in the scope that `principal` has by one of `roles`."""
    within = (
        col(Site.organisation_id) == given.organisation_id
        if given.organisation_id
        else col(Site.division_code).startswith(given.division_code or "-")
        for given in grants_of(session, principal)
        if given.role in roles
    )
    return sa.or_(sa.false(), *within)


def list_sites(session: Session, principal: Principal) -> Sequence[Site]:
    """The places in the scope of `principal`, by name."""
    query = select(Site).where(in_scope(session, principal), ~col(Site.self_reports)).order_by(Site.name)
    return session.exec(query).all()


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
    if not site_in.kinds and site_in.level is RecoveryLevel.POINT:
        errors.append({"field": "kinds", "reason": N_("请至少选择一种可记录的行为。")})
    known = session.exec(select(ActionKind.code).where(col(ActionKind.code).in_(site_in.kinds))).all()
    if set(site_in.kinds) - set(known):
        errors.append({"field": "kinds", "reason": N_("请从列表中选择可记录的行为。")})
    if errors:
        raise InvalidField(errors=errors)
