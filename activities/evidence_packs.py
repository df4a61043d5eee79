"""Evidence packs: what was done in a year in a community, a 街镇 or at an organisation, written down once, with the files drawn from it.

A pack is a snapshot read at one moment; its files (PDF in both languages, CSV, JSON, and a manifest of their SHA-256, in one ZIP) are drawn from
that alone and kept, so they are the same bytes for ever. What happens afterwards changes nothing of it: another one is made, with the next
number of its scope and year, which replaces the one before.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, Session, SQLModel, col, select

from activities.evidence_numbers import Scope, numbers
from tanpuhui import audit, clock, ids, outbox
from tanpuhui.db import session_on
from tanpuhui.divisions import Division
from tanpuhui.errors import InvalidField, NotFound, Unavailable
from tanpuhui.i18n import N_
from tanpuhui.periods import FIRST_YEAR
from tanpuhui.rooms import House
from tanpuhui.schema import Guard
from tanpuhui.sessions import Principal
from tanpuhui.staff import Organisation, Role, Staff, grants_of, made_before, require

#: The form of snapshots that are made today. What was made in an earlier one stays readable.
FORMAT = 1

MAKERS = (Role.OFFICER, Role.ORGANISER)
READERS = (*MAKERS, Role.ADMIN, Role.AUDITOR)

#: Until events have been taken in that are older than so many seconds, no pack is made.
_LAG = 60.0


class EvidencePack(SQLModel, table=True):
    """The evidence of a year of a division or an organisation. `number`: the how-manieth of them; it replaces the one before.

    `files`: a ZIP of what was drawn from `snapshot`; `digest` its SHA-256.
    """

    __tablename__ = "evidence_pack"
    __table_args__ = (
        sa.CheckConstraint("(division_code IS NULL) <> (organisation_id IS NULL)", name="one_scope"),
        sa.CheckConstraint("number >= 1", name="number"),
        sa.CheckConstraint("format >= 1", name="format"),
        sa.CheckConstraint("length(digest) = 64", name="digest"),
        sa.UniqueConstraint("division_code", "year", "number"),
        sa.UniqueConstraint("organisation_id", "year", "number"),
        sa.Index("ix_evidence_pack_made_at", "made_at"),
    )

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    division_code: str | None = Field(default=None, foreign_key="division.code", max_length=12)
    organisation_id: UUID | None = Field(default=None, foreign_key="organisation.id")
    year: int
    number: int
    format: int
    made_at: datetime
    made_by: UUID = Field(foreign_key="staff.id")
    snapshot: dict[str, Any] = Field(sa_type=sa.JSON)
    files: bytes = Field(sa_type=sa.LargeBinary)
    digest: str = Field(max_length=64)


#: A pack says what it said.
GUARDS = (
    Guard("evidence_pack", "frozen", "UPDATE", "true", "an evidence pack is never changed"),
    Guard("evidence_pack", "kept", "DELETE", "true", "an evidence pack is kept"),
    Guard(
        "evidence_pack",
        "follows",
        "INSERT",
        "NEW.number > 1 AND NOT EXISTS (SELECT 1 FROM evidence_pack p WHERE p.year = NEW.year "
        "AND p.number = NEW.number - 1 AND (p.division_code = NEW.division_code "
        "OR p.organisation_id = NEW.organisation_id))",
        "an evidence pack follows the one before",
    ),
)

_TABLE = SQLModel.metadata.tables["evidence_pack"]


# --- of whom, and by whom ----------------------------------------------------------------------------------


def scope_of(session: Session, text: str) -> Scope:
    """The scope called `text`: the code of a division, or the id of an organisation. Raises InvalidField for an unknown one."""
    if session.get(Division, text) is not None:
        return Scope(division_code=text)
    try:
        organisation_id = UUID(text)
    except ValueError:
        organisation_id = None
    if organisation_id and session.get(Organisation, organisation_id) is not None:
        return Scope(organisation_id=organisation_id)
    raise _refused("scope", N_("没有这个社区、街镇或单位，请从列表里选。"))


def _refused(field: str, reason: str) -> InvalidField:
    return InvalidField(errors=[{"field": field, "reason": reason}])


def _year(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) == 4 and int(text) >= FIRST_YEAR):
        raise _refused("year", N_("请填写四位数的年份，例如 2026。"))
    if int(text) > clock.today().year:
        raise _refused("year", N_("这一年还没有开始。"))
    return int(text)


def _place(session: Session, scope: Scope) -> tuple[str, str, str]:
    """Its kind, its name, and the code of the division in which it lies."""
    if scope.organisation_id:
        organisation = session.get_one(Organisation, scope.organisation_id)
        return "organisation", organisation.name, organisation.division_code
    division = session.get_one(Division, scope.division_code)
    return division.level.value, division.name, division.code


def _let_pass(session: Session, principal: Principal, scope: Scope, roles: Collection[Role]) -> None:
    code = _place(session, scope)[2]
    require(session, principal, roles, division_code=code, organisation_id=scope.organisation_id)


def scopes(session: Session, principal: Principal) -> list[tuple[str, list[tuple[str, str]]]]:
    """What `principal` may make packs of, grouped: 街镇, communities of each, organisations; each with its key and name."""
    grants = [one for one in grants_of(session, principal) if one.role in MAKERS]
    codes = tuple(one.division_code for one in grants if one.division_code)
    own = {one.organisation_id for one in grants if one.organisation_id}
    divisions = [
        one
        for one in session.exec(select(Division).order_by(col(Division.code)))
        if codes and one.code.startswith(codes)
    ]
    streets = {one.code: one.name for one in divisions if len(one.code) == 9}
    found = [(N_("街镇"), [*streets.items()])]
    for street in sorted({one.code[:9] for one in divisions if len(one.code) == 12}):
        inside = [(one.code, one.name) for one in divisions if len(one.code) == 12 and one.code[:9] == street]
        found.append((streets.get(street) or session.get_one(Division, street).name, inside))
    organisations = [
        (str(one.id), one.name)
        for one in session.exec(select(Organisation).order_by(col(Organisation.name)))
        if one.id in own or (codes and one.division_code.startswith(codes))
    ]
    return [(name, options) for name, options in (*found, (N_("单位"), organisations)) if options]


# --- making ------------------------------------------------------------------------------------------------


def make(
    house: House,
    principal: Principal,
    scope_name: str,
    year_text: str,
    *,
    draw: Callable[[Mapping[str, Any]], bytes],
    chosen: UUID | None = None,
) -> UUID:
    """Make the pack of a scope and a year, as things stand now; its id. With a `chosen` id once, however often it is asked.

    For officers of the district, and organisers in whose scope it is. `draw` makes the ZIP from the snapshot. Raises NotAllowed,
    InvalidField for an unknown scope and for a year that has not begun, Unavailable while sums are behind.
    """
    with house.db.reading_session() as session:
        scope = scope_of(session, scope_name)
        _let_pass(session, principal, scope, MAKERS)
    year = _year(year_text)
    while (made := _made(house, principal, scope, year, draw, chosen)) is None:
        pass  # somebody made one meanwhile: this one replaces theirs
    return made


def _made(
    house: House,
    principal: Principal,
    scope: Scope,
    year: int,
    draw: Callable[[Mapping[str, Any]], bytes],
    chosen: UUID | None,
) -> UUID | None:
    """Make a pack; None if another one took its number. It is drawn before anything is locked."""
    with house.db.snapshot() as connection:
        last = _last(connection, scope, year)
        pack = _pack(house, connection, principal, scope, year, last, draw)

    def work(connection: Connection) -> UUID | None:
        with session_on(connection) as session:
            before = made_before(session, principal, EvidencePack, chosen)
            if before is not None:
                return before.id
            if (_last(connection, scope, year) or {}).get("number", 0) != pack.number - 1:
                return None
            made = EvidencePack(**{**pack.model_dump(), "id": chosen or pack.id})
            session.add(made)
            detail: dict[str, Any] = {"scope": scope.key, "year": year, "number": made.number}
            audit.note_by(session, principal, deed="evidence.made", subject=f"evidence:{made.id}", **detail)
            return made.id

    return house.db.run(work)  # of two at once, the second finds its number taken


def _last(connection: Connection, scope: Scope, year: int) -> dict[str, Any] | None:
    """The latest pack of a scope and a year, as the next one names it."""
    query = (
        sa.select(_TABLE.c.id, _TABLE.c.number, _TABLE.c.made_at)
        .where(
            _TABLE.c.division_code == scope.division_code,
            _TABLE.c.organisation_id == scope.organisation_id,
            _TABLE.c.year == year,
        )
        .order_by(_TABLE.c.number.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return row and {"id": str(row.id), "number": row.number, "made_at": row.made_at.isoformat()}


def _pack(
    house: House,
    connection: Connection,
    principal: Principal,
    scope: Scope,
    year: int,
    last: Mapping[str, Any] | None,
    draw: Callable[[Mapping[str, Any]], bytes],
) -> EvidencePack:
    now, number = clock.now(), last["number"] + 1 if last else 1
    made = {**snapshot(house, connection, scope, year, now), "number": number, "replaces": last}
    files = draw(made)
    return EvidencePack(
        division_code=scope.division_code,
        organisation_id=scope.organisation_id,
        year=year,
        number=number,
        format=FORMAT,
        made_at=now,
        made_by=principal.id,
        snapshot=made,
        files=files,
        digest=sha256(files).hexdigest(),
    )


def snapshot(house: House, connection: Connection, scope: Scope, year: int, now: datetime) -> dict[str, Any]:
    """Everything that a pack says, as JSON keeps it; words come when it is drawn. Raises Unavailable while sums are behind."""
    if outbox.lag_seconds(connection, house.later) > _LAG:
        raise Unavailable
    first, last = date(year, 1, 1), date(year, 12, 31)
    with session_on(connection) as session:
        kind, name, code = _place(session, scope)
        district = session.get_one(Division, house.settings.district_code).name
        within = session.get_one(Division, code).name
    rooms = {
        key: said
        for room in house.rooms
        for key, said in room.evidence(
            connection, scope.division_code, scope.organisation_id, first, min(last, clock.day_of(now))
        ).items()
    }
    return {
        "format": FORMAT,
        "year": year,
        "made_at": now.isoformat(),
        "over": clock.day_of(now) > last,
        "scope": {
            "kind": kind,
            "key": scope.key,
            "name": name,
            "within": within,
            "district": district,
        },
        **numbers(connection, scope, year, now),
        **rooms,
    }


# --- reading -----------------------------------------------------------------------------------------------


def pack_of(session: Session, principal: Principal, pack_id: UUID) -> EvidencePack:
    """A pack, for who may read it. Raises NotFound, NotAllowed."""
    found = session.get(EvidencePack, pack_id)
    if found is None:
        raise NotFound
    _let_pass(session, principal, Scope(found.division_code, found.organisation_id), READERS)
    return found


def packs(session: Session, principal: Principal) -> Sequence[sa.RowMapping]:
    """The packs in the scope of `principal`, without what they hold, the latest first; `replaced`: a later one is there."""
    grants = [one for one in grants_of(session, principal) if one.role in READERS]
    codes = [one.division_code for one in grants if one.division_code]
    own = [one.organisation_id for one in grants if one.organisation_id]
    later = _TABLE.alias("later")
    place = sa.func.coalesce(_TABLE.c.division_code, col(Organisation.division_code))
    newer = sa.exists().where(
        later.c.year == _TABLE.c.year,
        later.c.number == _TABLE.c.number + 1,
        sa.or_(
            later.c.division_code == _TABLE.c.division_code,
            later.c.organisation_id == _TABLE.c.organisation_id,
        ),
    )
    columns = (_TABLE.c[name] for name in ("id", "year", "number", "made_at", "digest"))
    query = (
        sa.select(
            *columns,
            sa.func.coalesce(col(Organisation.name), col(Division.name)).label("name"),
            col(Staff.name).label("maker"),
            newer.label("replaced"),
        )
        .select_from(_TABLE)
        .join(Staff, col(Staff.id) == _TABLE.c.made_by)
        .outerjoin(Organisation, col(Organisation.id) == _TABLE.c.organisation_id)
        .outerjoin(Division, col(Division.code) == _TABLE.c.division_code)
        .where(
            sa.or_(sa.false(), *(place.startswith(code) for code in codes), _TABLE.c.organisation_id.in_(own))
        )
        .order_by(_TABLE.c.made_at.desc(), _TABLE.c.id)
    )
    return session.connection().execute(query).mappings().all()
