"""Staff: organisations, log-in by password, roles and their scopes.

A grant is a role within a division (and everything below it) or within one organisation. Services ask
`require` before they act; nothing is allowed by the page that shows a button.
"""

import secrets
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar
from uuid import UUID

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from sqlalchemy.engine import Connection
from sqlmodel import Field, Session, SQLModel, col, select

from tanpuhui import audit, clock, ids
from tanpuhui.db import enum_type, session_on
from tanpuhui.divisions import Division
from tanpuhui.errors import InvalidField, NotAllowed, NotFound, TooMany, WrongLogin
from tanpuhui.i18n import N_
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal, fingerprint


class Role(StrEnum):
    """What a member of staff may do, within a scope."""

    HELPER = "helper"
    ORGANISER = "organiser"
    MERCHANT = "merchant"
    OFFICER = "officer"
    ADMIN = "admin"
    AUDITOR = "auditor"


ROLE_NAMES = {
    Role.HELPER: N_("协助员"),
    Role.ORGANISER: N_("组织者"),
    Role.MERCHANT: N_("商户"),
    Role.OFFICER: N_("生态环境局工作人员"),
    Role.ADMIN: N_("管理员"),
    Role.AUDITOR: N_("审计员"),
}


class Organisation(SQLModel, table=True):
    """A community, school, company or association that runs sites: a tenant of the platform."""

    __tablename__ = "organisation"

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    name: str = Field(max_length=80, unique=True)
    division_code: str = Field(foreign_key="division.code", max_length=12)
    created_at: datetime = Field(default_factory=clock.now)


class Staff(SQLModel, table=True):
    """A member of staff, with an account of their own (there are no shared or default accounts)."""

    __tablename__ = "staff"

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    name: str = Field(max_length=40, unique=True)
    password_hash: str = Field(max_length=200)
    active: bool = True
    failures: int = 0
    locked_until: datetime | None = None
    created_at: datetime = Field(default_factory=clock.now)


class RoleGrant(SQLModel, table=True):
    """A role within a division or an organisation."""

    __tablename__ = "role_grant"
    __table_args__ = (
        sa.CheckConstraint("(division_code IS NULL) <> (organisation_id IS NULL)", name="one_scope"),
        sa.UniqueConstraint("staff_id", "role", "division_code", "organisation_id"),
    )

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    staff_id: UUID = Field(foreign_key="staff.id", index=True)
    role: Role = Field(sa_column=sa.Column(enum_type(Role), nullable=False))
    division_code: str | None = Field(default=None, foreign_key="division.code", max_length=12)
    organisation_id: UUID | None = Field(default=None, foreign_key="organisation.id")


class Invitation(SQLModel, table=True):
    """A one-time link by which a member of staff chooses a name and a password. Kept as a hash."""

    __tablename__ = "invitation"

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    token_hash: str = Field(max_length=64, unique=True)
    grants: list[dict[str, Any]] = Field(sa_type=sa.JSON)
    invited_by: UUID | None = None
    created_at: datetime = Field(default_factory=clock.now)
    expires_at: datetime
    used_at: datetime | None = None


#: Who hands out a role, within their own scope; any other is handed out by admins.
INVITERS = {Role.HELPER: frozenset({Role.ADMIN, Role.ORGANISER})}

INVITATION_GOOD_FOR = timedelta(days=3)
FAILURES_UNTIL_LOCK, LOCK_FOR = 5, timedelta(minutes=15)
MIN_PASSWORD = 10

_hasher = PasswordHasher()
_dummy = _hasher.hash(secrets.token_urlsafe(16))  # so that an unknown name takes as long as a wrong password


# --- organisations -----------------------------------------------------------------------------------------


def create_organisation(house: House, principal: Principal, *, name: str, division_code: str) -> Organisation:
    """Take an organisation in; it may then run sites, and grants may be for it.

    For admins in whose scope the division lies. Raises NotAllowed, InvalidField for an unknown division, and
    for a name that is in use or not of 2 to 80 characters.
    """
    name = " ".join(name.split())

    def work(connection: Connection) -> Organisation:
        with session_on(connection) as session:
            known = session.get(Division, division_code) is not None
            require(session, principal, {Role.ADMIN}, division_code=division_code if known else None)
            _check_organisation(session, name, known)
            organisation = Organisation(name=name, division_code=division_code)
            session.add(organisation)
            audit.note_by(
                session,
                principal,
                deed="organisation.created",
                subject=f"organisation:{organisation.id}",
                division=division_code,
            )
            return organisation

    return house.db.run(work)  # of two who choose one name at once, the second is told


def _check_organisation(session: Session, name: str, division_known: bool) -> None:
    errors = []
    if not 2 <= len(name) <= 80:
        errors.append({"field": "name", "reason": N_("单位名称应为 2 到 80 个字。")})
    elif session.exec(select(Organisation.id).where(Organisation.name == name)).first():
        errors.append({"field": "name", "reason": N_("已有同名的单位。")})
    if not division_known:
        errors.append({"field": "division_code", "reason": N_("请选择单位所在的区划。")})
    if errors:
        raise InvalidField(errors=errors)


# --- invitations -------------------------------------------------------------------------------------------


def grant(
    role: Role, *, division_code: str | None = None, organisation_id: UUID | None = None
) -> dict[str, Any]:
    """A grant as an invitation carries it."""
    return {
        "role": role.value,
        "division_code": division_code,
        "organisation_id": str(organisation_id) if organisation_id else None,
    }


def invite(house: House, grants: Sequence[dict[str, Any]], *, by: Principal | None = None) -> str:
    """Make a one-time link for somebody who is to have `grants`; its token, shown once.

    Raises InvalidField for a grant without one existing division or organisation, NotAllowed unless `by` is
    an admin of every scope granted, or its organiser where the role is that of a helper (`None`: the machine's own operator).
    """
    token = secrets.token_urlsafe(24)
    with house.db.session() as session:
        for wanted in grants:
            division_code = _division_of(session, wanted)
            if by:
                inviters, own = INVITERS.get(Role(wanted["role"])), wanted["organisation_id"]
                require(
                    session,
                    by,
                    inviters or {Role.ADMIN},
                    division_code=division_code,
                    organisation_id=UUID(own) if inviters and own else None,
                )
        row = Invitation(
            token_hash=fingerprint(token),
            grants=list(grants),
            invited_by=by.id if by else None,
            expires_at=clock.now() + INVITATION_GOOD_FOR,
        )
        session.add(row)
        audit.note(
            session,
            actor_kind="staff" if by else "operator",
            actor_id=by.id if by else None,
            deed="staff.invited",
            subject=f"invitation:{row.id}",
            grants=list(grants),
        )
    return token


def first_invitation(house: House) -> str | None:
    """The token of a link for the very first member of staff, or None if there is one already.

    Replaces unused links of earlier starts. The first member of staff may do everything in the district,
    and hands it on.
    """
    with house.db.session() as session:
        if session.exec(select(Staff.id).limit(1)).first():
            return None
        session.exec(
            sa.delete(Invitation).where(
                col(Invitation.used_at).is_(None), col(Invitation.invited_by).is_(None)
            )
        )
    district = house.settings.district_code
    roles = (Role.ADMIN, Role.OFFICER, Role.ORGANISER)
    return invite(house, [grant(role, division_code=district) for role in roles])


def invitation_stands(house: House, token: str) -> bool:
    """Whether `token` can still be used."""
    with house.db.reading_session() as session:
        return _standing_invitation(session, token) is not None


def accept(house: House, token: str, *, name: str, password: str) -> Staff:
    """Use an invitation up: a new member of staff with the name and password they chose.

    Raises NotFound for a link that is unknown, used or expired, InvalidField for a name in use or a weak
    password.
    """
    name = " ".join(name.split())

    def work(connection: Connection) -> Staff:
        with session_on(connection) as session:
            return _accept(session, token, name, password)

    return house.db.run(work)  # of two who choose one name at once, the second is told


def _accept(session: Session, token: str, name: str, password: str) -> Staff:
    invitation = _standing_invitation(session, token)
    if invitation is None:
        raise NotFound
    errors = []
    if not 2 <= len(name) <= 40:
        errors.append({"field": "name", "reason": N_("用户名应为 2 到 40 个字。")})
    elif session.exec(select(Staff.id).where(Staff.name == name)).first():
        errors.append({"field": "name", "reason": N_("这个用户名已被使用。")})
    if not MIN_PASSWORD <= len(password) <= 200 or len(set(password)) < 5:
        errors.append({"field": "password", "reason": N_("密码至少 10 位，并且不要只用几个相同的字符。")})
    if errors:
        raise InvalidField(errors=errors)
    staff = add_staff(session, name=name, password=password, grants=invitation.grants)
    invitation.used_at = clock.now()
    session.add(invitation)
    return staff


def add_staff(session: Session, *, name: str, password: str, grants: Sequence[dict[str, Any]]) -> Staff:
    """A new member of staff with `grants`; the caller has checked name and password."""
    staff = Staff(name=name, password_hash=_hasher.hash(password))
    session.add(staff)
    session.flush()
    for given in grants:
        organisation = given["organisation_id"]
        session.add(
            RoleGrant(
                staff_id=staff.id,
                role=Role(given["role"]),
                division_code=given["division_code"],
                organisation_id=UUID(organisation) if organisation else None,
            )
        )
    audit.note(
        session, actor_kind="staff", actor_id=staff.id, deed="staff.joined", subject=f"staff:{staff.id}"
    )
    session.flush()
    return staff


def _standing_invitation(session: Session, token: str) -> Invitation | None:
    return session.exec(
        select(Invitation)
        .where(
            Invitation.token_hash == fingerprint(token),
            col(Invitation.used_at).is_(None),
            Invitation.expires_at > clock.now(),
        )
        .with_for_update()
    ).first()


def _division_of(session: Session, wanted: dict[str, Any]) -> str:
    """The division that the scope of a grant is, or lies in."""
    code, organisation_id = wanted["division_code"], wanted["organisation_id"]
    if bool(code) != bool(organisation_id):
        if organisation_id and (organisation := session.get(Organisation, UUID(organisation_id))):
            return organisation.division_code
        if code and session.get(Division, code):
            return str(code)
    raise InvalidField(errors=[{"field": "grants", "reason": N_("每个角色须对应一个现有的区划或单位。")}])


# --- log-in ------------------------------------------------------------------------------------------------


def log_in(house: House, *, name: str, password: str) -> Staff:
    """The active member of staff with this name and password.

    Raises WrongLogin (never saying which part was wrong), or TooMany after five failures in a row.
    """
    name = " ".join(name.split())
    with house.db.reading_session() as session:
        hashed = session.exec(select(Staff.password_hash).where(Staff.name == name)).first()
    right = _password_matches(hashed or _dummy, password)  # slow on purpose: hold no transaction meanwhile
    with house.db.session() as session:
        staff = session.exec(select(Staff).where(Staff.name == name).with_for_update()).first()
        now = clock.now()
        if staff and staff.locked_until and staff.locked_until > now:
            raise TooMany(retry_after=int((staff.locked_until - now).total_seconds()) + 1)
        if staff:
            right = right and staff.active and staff.password_hash == hashed
            staff.failures = 0 if right else staff.failures + 1
            if staff.failures >= FAILURES_UNTIL_LOCK:
                staff.failures, staff.locked_until = 0, now + LOCK_FOR
            session.add(staff)
            audit.note(
                session,
                actor_kind="staff",
                actor_id=staff.id,
                deed="staff.logged_in" if right else "staff.login_failed",
                subject=f"staff:{staff.id}",
            )
    if not staff or not right:
        raise WrongLogin
    return staff


def _password_matches(hashed: str, password: str) -> bool:
    try:
        return _hasher.verify(hashed, password)
    except (VerifyMismatchError, InvalidHashError):
        return False


# --- what they may do --------------------------------------------------------------------------------------


def grants_of(session: Session, principal: Principal) -> Sequence[RoleGrant]:
    """The grants that `principal` acts with: none for residents, those of one role for a role's API token."""
    if principal.kind != "staff":
        return ()
    query = (
        select(RoleGrant).join(Staff).where(RoleGrant.staff_id == principal.id, col(Staff.active).is_(True))
    )
    if principal.role:
        query = query.where(RoleGrant.role == Role(principal.role))
    return session.exec(query).all()


def covers(given: RoleGrant, *, division_code: str | None, organisation_id: UUID | None) -> bool:
    """Whether a grant's scope holds the division or the organisation."""
    if given.organisation_id is not None:
        return given.organisation_id == organisation_id
    return division_code is not None and division_code.startswith(given.division_code or "-")


Row = TypeVar("Row", bound=SQLModel)


def made_before(session: Session, principal: Principal, table: type[Row], chosen: UUID | None) -> Row | None:
    """What a form that is sent twice made the first time, by the id it chose. The forms of one person take turns."""
    if chosen is None:
        return None
    session.get(Staff, principal.id, with_for_update=True)
    return session.get(table, chosen)


def require(
    session: Session,
    principal: Principal | None,
    roles: Collection[Role],
    *,
    division_code: str | None = None,
    organisation_id: UUID | None = None,
) -> Principal:
    """Let pass only staff with one of `roles` in a scope that covers what they act on.

    Without a division and an organisation any scope will do. Raises NotAllowed.
    """
    if principal is not None:
        anywhere = division_code is None and organisation_id is None
        for given in grants_of(session, principal):
            if given.role in roles and (
                anywhere or covers(given, division_code=division_code, organisation_id=organisation_id)
            ):
                return principal
    raise NotAllowed
