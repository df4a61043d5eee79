"""Signals: something unusual was seen at a code or a site, for people to look at. Nothing is decided by them.

A signal blocks nobody, refuses nothing and stands on no resident's page. It is raised after the fact (`raise_signals`)
and ends when staff of the place dismiss it, with a reason, or act: withdraw the code, void records. What may be unusual
is told by `activities.sightings`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, Session, SQLModel, col, select

from activities.codes import Code
from activities.sites import MANAGERS, Site, get_site
from tanpuhui import audit, clock, ids
from tanpuhui.db import Statement, enum_type, insert_statement, session_on
from tanpuhui.errors import NotFound
from tanpuhui.i18n import N_
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal
from tanpuhui.staff import grants_of

#: How long a decided signal stays on the list.
LISTED = timedelta(days=30)


class SignalKind(StrEnum):
    """What was seen."""

    BURST = "burst"
    DEVICE = "device"
    HOURS = "hours"
    POSTED = "posted"
    FAR = "far"


KIND_NAMES = {
    SignalKind.BURST: N_("短时间内很多人扫同一张码"),
    SignalKind.DEVICE: N_("同一部手机用了很多账号"),
    SignalKind.HOURS: N_("在没有人的时间扫码"),
    SignalKind.POSTED: N_("码可能被发到了网上"),
    SignalKind.FAR: N_("扫码的位置离点位很远"),
}


class SignalState(StrEnum):
    """What became of a signal."""

    OPEN = "open"
    DISMISSED = "dismissed"
    ACTED = "acted"


class Signal(SQLModel, table=True):
    """Something unusual that was seen on a `day` of a `subject`, and what staff made of it.

    One for each kind, subject and day; seen again, its `count` and `last_at` follow. `detail` holds numbers alone.
    Nothing in it names a resident.
    """

    __tablename__ = "signal"
    __table_args__ = (
        sa.UniqueConstraint("kind", "subject", "day"),
        sa.CheckConstraint('"count" >= 1', name="count"),
        sa.CheckConstraint("last_at >= first_at", name="order"),
        sa.CheckConstraint(
            "(state = 'open') = (decided_at IS NULL) AND (state = 'open') = (decided_by IS NULL) "
            "AND (state = 'open') = (reason = '')",
            name="decided",
        ),
        sa.Index("ix_signal_state_site_id", "state", "site_id"),
    )

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    kind: SignalKind = Field(sa_column=sa.Column(enum_type(SignalKind), nullable=False))
    subject: str = Field(max_length=64)
    day: date
    site_id: UUID = Field(foreign_key="site.id")
    code_id: int | None = Field(default=None, sa_type=sa.BigInteger)
    action_id: UUID | None = None
    count: int
    first_at: datetime
    last_at: datetime
    detail: dict[str, int] = Field(default_factory=dict, sa_type=sa.JSON)
    raised_at: datetime
    state: SignalState = Field(
        default=SignalState.OPEN, sa_column=sa.Column(enum_type(SignalState), nullable=False)
    )
    decided_by: UUID | None = Field(default=None, foreign_key="staff.id")
    decided_at: datetime | None = None
    reason: str = Field(default="", max_length=200)


# --- raising -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sighting:
    """What was seen: where, on which day, how often, and between which moments.

    It is about the code if it names one, else the action, else the site. `detail`: numbers that its page puts into
    words (``usual``, ``minutes``, ``streets``, ``metres``), never anything personal.
    """

    site_id: UUID
    count: int
    first_at: datetime
    last_at: datetime
    code_id: int | None = None
    action_id: UUID | None = None
    detail: dict[str, int] = field(default_factory=dict)

    @property
    def subject(self) -> str:
        """What it is about."""
        if self.code_id is not None:
            return f"code:{self.code_id}"
        return f"action:{self.action_id}" if self.action_id else f"site:{self.site_id}"


_ROW = {
    "id": "uuid",
    "kind": "text",
    "subject": "text",
    "day": "date",
    "site_id": "uuid",
    "code_id": "int",
    "action_id": "uuid",
    "count": "int",
    "first_at": "time",
    "last_at": "time",
    "detail": "json",
    "raised_at": "time",
    "state": "text",
    "reason": "text",
}


def _raising(count: str, when: str) -> Statement:
    return insert_statement(
        SQLModel.metadata.tables["signal"],
        _ROW,
        extra="WHERE true ON CONFLICT (kind, subject, day) DO UPDATE SET "
        f'"count" = {count}, detail = excluded.detail, '
        "first_at = CASE WHEN excluded.first_at < signal.first_at THEN excluded.first_at ELSE signal.first_at END, "
        "last_at = CASE WHEN excluded.last_at > signal.last_at THEN excluded.last_at ELSE signal.last_at END "
        f"WHERE {when}",
    )


_SEEN_SO_FAR = _raising('excluded."count"', 'excluded."count" > signal."count"')
_SEEN_AGAIN = _raising('signal."count" + excluded."count"', "true")


def raise_signals(
    connection: Connection, kind: SignalKind, sightings: Sequence[Sighting], *, adding: bool = False
) -> None:
    """Raise a signal for each of `sightings`, in the caller's transaction; the day is that of `last_at`.

    Of one kind, subject and day there is one signal, whatever was decided on it: seen again, its count follows and
    nothing is doubled. `count` is how many were seen so far that day, and a smaller one changes nothing, so the same
    may be told again and again. With `adding` it is how many were seen since the last time: then tell each once, as a
    later subscriber of the relay does, and at most one sighting of a subject in one call. Not for the scan's own
    transaction.
    """
    rows = [
        {
            "id": ids.new_id(),
            "kind": kind.value,
            "subject": seen.subject,
            "day": clock.day_of(seen.last_at),
            "site_id": seen.site_id,
            "code_id": seen.code_id,
            "action_id": seen.action_id,
            "count": seen.count,
            "first_at": seen.first_at,
            "last_at": seen.last_at,
            "detail": seen.detail,
            "raised_at": clock.now(),
            "state": SignalState.OPEN.value,
            "reason": "",
        }
        for seen in sightings
    ]
    if rows:
        (_SEEN_AGAIN if adding else _SEEN_SO_FAR).run(connection, rows)


def tell_posted(house: House, principal: Principal, code_id: int) -> None:
    """Staff of the place saw a code online. Told again, a signal that was dismissed is open again.

    Raises NotFound, NotAllowed.
    """

    def work(connection: Connection) -> None:
        with session_on(connection) as session:
            code = managed_code(session, principal, code_id)
            now = clock.now()
            seen = Sighting(code.site_id, 1, now, now, code_id=code_id, detail={"told": 1})
            raise_signals(connection, SignalKind.POSTED, [seen])
            session.execute(
                sa.update(Signal)
                .where(
                    col(Signal.kind) == SignalKind.POSTED,
                    col(Signal.subject) == seen.subject,
                    col(Signal.day) == clock.day_of(now),
                    col(Signal.state) == SignalState.DISMISSED,
                )
                .values(state=SignalState.OPEN, decided_by=None, decided_at=None, reason="")
            )
            _note(session, principal, "code.seen_online", f"code:{code_id}")

    house.db.run(work)


# --- looking at them ---------------------------------------------------------------------------------------


def managed_code(session: Session, principal: Principal, code_id: int) -> Code:
    """A code at a site in the scope of `principal`. Raises NotFound, NotAllowed."""
    code = session.get(Code, code_id)
    if code is None:
        raise NotFound
    get_site(session, principal, code.site_id)
    return code


def list_signals(
    session: Session, principal: Principal, *, decided: bool = False, limit: int = 200
) -> Sequence[tuple[Signal, Site]]:
    """The open signals in the scope of `principal`, or those `decided` in the last 30 days; the latest first."""
    within = [
        col(Site.organisation_id) == given.organisation_id
        if given.organisation_id
        else col(Site.division_code).startswith(given.division_code or "-")
        for given in grants_of(session, principal)
        if given.role in MANAGERS
    ]
    if not within:
        return []
    query = select(Signal, Site).join(Site, col(Site.id) == col(Signal.site_id)).where(sa.or_(*within))
    if decided:
        query = query.where(
            Signal.state != SignalState.OPEN, col(Signal.decided_at) >= clock.now() - LISTED
        ).order_by(col(Signal.decided_at).desc())
    else:
        query = query.where(Signal.state == SignalState.OPEN).order_by(col(Signal.last_at).desc())
    return session.exec(query.limit(limit)).all()


def signals_of_code(session: Session, code_id: int) -> Sequence[Signal]:
    """The signals about a code, the latest first. The caller has checked the scope."""
    return session.exec(
        select(Signal).where(Signal.code_id == code_id).order_by(col(Signal.last_at).desc()).limit(20)
    ).all()


# --- deciding ----------------------------------------------------------------------------------------------


def dismiss(house: House, principal: Principal, signal_id: UUID, reason: str) -> None:
    """It was nothing, for a reason that is kept. One that is decided already stays as it is.

    Raises NotFound, NotAllowed, InvalidField (no reason).
    """
    reason = audit.reason(reason)
    with house.db.session() as session:
        signal = session.get(Signal, signal_id, with_for_update=True)
        if signal is None:
            raise NotFound
        get_site(session, principal, signal.site_id)
        if signal.state == SignalState.OPEN:
            _decide(session, principal, signal, SignalState.DISMISSED, reason)


def acted_on(session: Session, principal: Principal, code_id: int, reason: str) -> None:
    """Staff did something about a code: its open signals are settled. The caller has checked the scope."""
    found = session.exec(
        select(Signal)
        .where(Signal.code_id == code_id, Signal.state == SignalState.OPEN)
        .order_by(col(Signal.id))
        .with_for_update()
    ).all()
    for signal in found:
        _decide(session, principal, signal, SignalState.ACTED, reason)


def _decide(session: Session, principal: Principal, signal: Signal, state: SignalState, reason: str) -> None:
    signal.state, signal.reason = state, reason
    signal.decided_by, signal.decided_at = principal.id, clock.now()
    session.add(signal)
    _note(session, principal, f"signal.{state.value}", f"signal:{signal.id}", reason)


def _note(
    session: Session, principal: Principal, deed: str, subject: str, reason: str = "", **more: Any
) -> None:
    audit.note_by(
        session,
        principal,
        deed=deed,
        subject=subject,
        reason=reason,
        **more,
    )
