"""Changes of observances: what officers of the district say of a day, each with its source, and what a newer file brought.

Every change is a row that stays, with what was before and what is from then on. It counts up (`revision`): of two who change
the same at once one does, and the other is told. An observance never says anything but its latest change, which the database
itself sees to; so nothing that an officer entered is undone in silence, by whatever file is loaded.
"""

from collections.abc import Callable
from datetime import date, datetime
from typing import Any, TypeVar
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, Session, SQLModel, col, select

from activities.events import ObservanceDated
from activities.observance_words import Said, last_year, read_key, read_said, read_source
from activities.observances import EVERY_YEAR, Observance, ObservanceKind, day_in
from activities.quantify.factors import Confidence
from tanpuhui import audit, clock, ids, reference
from tanpuhui.bureau.participation import FIRST_YEAR
from tanpuhui.db import enum_type, session_on
from tanpuhui.errors import InvalidField, ObservanceChanged
from tanpuhui.i18n import N_
from tanpuhui.rooms import House
from tanpuhui.schema import Guard
from tanpuhui.sessions import Principal
from tanpuhui.staff import Role, require

EDITORS = (Role.OFFICER,)

Result = TypeVar("Result")

#: What an observance and a change of it say alike.
SAID = ("name_zh", "name_en", "kind", "starts_on", "ends_on", "source", "confidence")


class ObservanceChange(SQLModel, table=True):
    """A change of an observance in a year (0: of a fixed one), by an officer, or with a reference file (`changed_by` None).

    Without `starts_on` it was taken back; without `was_starts_on` there was none before. `source`: why it is so.
    """

    __tablename__ = "observance_change"
    __table_args__ = (
        sa.UniqueConstraint("key", "year", "revision"),
        sa.CheckConstraint("revision >= 1", name="revision"),
        sa.CheckConstraint("source <> ''", name="source"),
        sa.CheckConstraint("(year = 0) = (kind = 'fixed') AND year BETWEEN 0 AND 2999", name="year"),
        sa.CheckConstraint("(starts_on IS NULL) = (ends_on IS NULL) AND starts_on <= ends_on", name="order"),
        sa.CheckConstraint(
            "(kind = 'fixed' AND length(starts_on) = 5 AND length(ends_on) = 5) OR (kind = 'announced'"
            " AND substr(starts_on, 1, 5) = CAST(year AS VARCHAR(4)) || '-'"
            " AND substr(ends_on, 1, 5) = CAST(year AS VARCHAR(4)) || '-')",
            name="dates",
        ),
    )

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    key: str = Field(max_length=32)
    year: int
    revision: int
    name_zh: str = Field(max_length=64)
    name_en: str = Field(max_length=64)
    kind: ObservanceKind = Field(sa_type=enum_type(ObservanceKind))
    starts_on: str | None = Field(default=None, max_length=10)
    ends_on: str | None = Field(default=None, max_length=10)
    source: str
    confidence: Confidence = Field(sa_type=enum_type(Confidence))
    was_starts_on: str | None = Field(default=None, max_length=10)
    was_ends_on: str | None = Field(default=None, max_length=10)
    changed_at: datetime
    changed_by: UUID | None = Field(default=None, foreign_key="staff.id")


def _latest_of(row: str, more: str) -> str:
    return (
        f"(SELECT 1 FROM observance_change c WHERE c.key = {row}.key AND c.year = {row}.year AND c.revision ="
        f" (SELECT max(d.revision) FROM observance_change d WHERE d.key = c.key AND d.year = c.year) AND ({more}))"
    )


_DIFFERS = " OR ".join(f"c.{name} {{differs}} NEW.{name}" for name in SAID)

#: An observance says what its latest change says. Rows of the first file have none yet.
GUARDS = (
    Guard(
        "observance", "begun", "INSERT", f"EXISTS {_latest_of('NEW', _DIFFERS)}", "its history says otherwise"
    ),
    Guard(
        "observance",
        "told",
        "UPDATE",
        f"NOT EXISTS {_latest_of('NEW', f'NOT ({_DIFFERS})')}",
        "every change is written down",
    ),
    Guard(
        "observance",
        "taken_back",
        "DELETE",
        f"NOT EXISTS {_latest_of('OLD', 'c.starts_on IS NULL')}",
        "every change is written down",
    ),
    Guard("observance_change", "fixed", "UPDATE", "true", "the history is never changed"),
    Guard("observance_change", "kept", "DELETE", "true", "the history is kept"),
)


# --- writing down ------------------------------------------------------------------------------------------


def latest(session: Session, key: str, year: int) -> ObservanceChange | None:
    """The latest change of an observance in a year; None if it stands as the first file said it."""
    return session.exec(
        select(ObservanceChange)
        .where(ObservanceChange.key == key, ObservanceChange.year == year)
        .order_by(col(ObservanceChange.revision).desc())
        .limit(1)
    ).first()


def said_by(row: Observance | ObservanceChange) -> dict[str, Any]:
    """What an observance says, or one of its changes."""
    return {name: getattr(row, name) for name in SAID}


def record(
    session: Session, key: str, year: int, said: dict[str, Any], *, by: UUID | None
) -> ObservanceChange:
    """Write a change down and let the observance say so; without ``starts_on`` it goes. The caller has taken its turn."""
    row, last = session.get(Observance, (key, year)), latest(session, key, year)
    change = ObservanceChange(
        key=key,
        year=year,
        revision=last.revision + 1 if last else 1,
        **said,
        was_starts_on=row.starts_on if row else None,
        was_ends_on=row.ends_on if row else None,
        changed_at=clock.now(),
        changed_by=by,
    )
    session.add(change)
    session.flush()  # the history first: the observance may only say what stands there
    if row is None:
        session.add(Observance(key=key, year=year, **said))
    elif change.starts_on is None:
        session.delete(row)
    else:
        for name, value in said.items():
            setattr(row, name, value)
    session.flush()
    return change


def subject_of(change: ObservanceChange) -> str:
    """What the audit calls an observance in a year."""
    return f"observance:{change.key}:{change.year}"


def dated(change: ObservanceChange) -> list[ObservanceDated]:
    """What is told of a change: one event for each year whose dates moved; none if only words did."""
    if (change.starts_on, change.ends_on) == (change.was_starts_on, change.was_ends_on):
        return []
    years = [change.year] if change.year else range(clock.today().year, last_year() + 1)
    return [
        ObservanceDated(
            subject_id=change.id,
            recorded_at=change.changed_at,
            key=change.key,
            year=year,
            starts_on=_day(year, change.starts_on),
            ends_on=_day(year, change.ends_on),
        )
        for year in years
    ]


def _day(year: int, text: str | None) -> date | None:
    return day_in(year, text) if text else None


# --- what officers do --------------------------------------------------------------------------------------


def enter(house: House, principal: Principal, key: str, year: int, said: Said, *, seen: int) -> None:
    """Enter the dates of an announced observance in a year, or move them. `seen`: the revision the officer looked at.

    Raises NotAllowed, InvalidField, ObservanceChanged (somebody else was first).
    """

    def work(session: Session) -> None:
        _check_year(year)
        known = _known(session, key, ObservanceKind.ANNOUNCED)
        wanted = {**said_by(known), **read_said(said, year)}
        stands = session.get(Observance, (key, year)) is not None
        deed = "observance.moved" if stands else "observance.entered"
        _settle(house, session, principal, (key, year), wanted, seen, deed)

    _in_turn(house, principal, work)


def take_back(house: House, principal: Principal, key: str, year: int, source: str, *, seen: int) -> None:
    """Take the dates of a year back, with the source that says so: the year is awaiting again. Year 0: of a fixed one.

    Raises NotAllowed, InvalidField, ObservanceChanged.
    """

    def work(session: Session) -> None:
        if year != EVERY_YEAR:
            _check_year(year)
        kind = ObservanceKind.FIXED if year == EVERY_YEAR else ObservanceKind.ANNOUNCED
        stood = session.get(Observance, (key, year)) or latest(session, key, year)
        wanted = {
            **said_by(stood or _known(session, key, kind)),
            "starts_on": None,
            "ends_on": None,
            "source": read_source(source),
        }
        _settle(house, session, principal, (key, year), wanted, seen, "observance.taken_back")

    _in_turn(house, principal, work)


def add(house: House, principal: Principal, said: Said) -> str:
    """Add an observance that returns every year; its key, which is made of its English name.

    Sent twice it is added once. Raises NotAllowed, InvalidField.
    """

    def work(session: Session) -> str:
        wanted = {**read_said(said, EVERY_YEAR, named=True), "kind": ObservanceKind.FIXED}
        key = read_key(wanted["name_en"])
        last = latest(session, key, EVERY_YEAR)
        if last and last.changed_by == principal.id and said_by(last) == wanted:
            return key
        if session.exec(select(Observance).where(Observance.key == key)).first():
            reason = N_("已经有这个英文名称的日子了。")
            raise InvalidField(errors=[{"field": "name_en", "reason": reason}])
        seen = last.revision if last else 0
        _settle(house, session, principal, (key, EVERY_YEAR), wanted, seen, "observance.added")
        return key

    return _in_turn(house, principal, work)


def edit(house: House, principal: Principal, key: str, said: Said, *, seen: int) -> None:
    """Change the day, the names or the source of an observance that returns every year.

    Raises NotAllowed, InvalidField, ObservanceChanged.
    """

    def work(session: Session) -> None:
        _known(session, key, ObservanceKind.FIXED)
        wanted = {**read_said(said, EVERY_YEAR, named=True), "kind": ObservanceKind.FIXED}
        _settle(house, session, principal, (key, EVERY_YEAR), wanted, seen, "observance.edited")

    _in_turn(house, principal, work)


def _in_turn(house: House, principal: Principal, work: Callable[[Session], Result]) -> Result:
    """What an officer of the district does in a transaction in which nobody else, and no file, changes an observance."""

    def turn(connection: Connection) -> Result:
        with session_on(connection) as session:
            require(session, principal, EDITORS, division_code=house.settings.district_code)
            reference.take_turns(connection)
            return work(session)

    return house.db.run(turn)


def _check_year(year: int) -> None:
    if not FIRST_YEAR <= year <= last_year():
        reason = N_("只能填写 2000 年到后年的日期。")
        raise InvalidField(errors=[{"field": "year", "reason": reason}])


def _known(session: Session, key: str, kind: ObservanceKind) -> Observance | ObservanceChange:
    """The last that is known of an observance of this kind, whatever the year. Raises InvalidField."""
    rows = select(Observance).where(Observance.key == key).order_by(col(Observance.year).desc())
    changes = (
        select(ObservanceChange).where(ObservanceChange.key == key).order_by(col(ObservanceChange.id).desc())
    )
    found = session.exec(rows.limit(1)).first() or session.exec(changes.limit(1)).first()
    if found is not None and found.kind is kind:
        return found
    fixed = kind is ObservanceKind.FIXED
    reason = N_("没有这个每年固定的日子。") if fixed else N_("没有这个每年公布的日子。")
    raise InvalidField(errors=[{"field": "key", "reason": reason}])


def _settle(
    house: House,
    session: Session,
    principal: Principal,
    of: tuple[str, int],
    wanted: dict[str, Any],
    seen: int,
    deed: str,
) -> None:
    """Let an observance say what is `wanted`, unless it was changed since it was `seen`; said twice alike it is said once."""
    last, row = latest(session, *of), session.get(Observance, of)
    if seen != (last.revision if last else 0):
        if last and last.changed_by == principal.id and said_by(last) == wanted:
            return
        raise ObservanceChanged
    before = said_by(row) if row else None
    if before == wanted or (before is None and wanted["starts_on"] is None):
        return
    change = record(session, *of, wanted, by=principal.id)
    audit.note_by(
        session,
        principal,
        deed=deed,
        subject=subject_of(change),
        reason=change.source,
        before=before,
        after=wanted if change.starts_on else None,
        revision=change.revision,
    )
    house.publish(session.connection(), dated(change))
    reference.bump(session.connection())
