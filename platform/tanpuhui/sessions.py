"""Sessions of browsers and tokens of machines: kept as hashes in the database, so that any can be ended.

A request asks `Doorkeeper.identify`, which looks many callers' tokens up together (see `batching`).
"""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, cast
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, SQLModel, col, select

from tanpuhui import clock, ids
from tanpuhui.batching import Batcher
from tanpuhui.db import Statement
from tanpuhui.errors import NotAuthenticated
from tanpuhui.rooms import House

Kind = Literal["resident", "staff"]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking, and for which account. `role` restricts a machine's token to the grants of one role.

    `family`: the family account that a resident shares, as far as the caller needs to know. `guardian`: who asks for that
    family, whose account `id` then is; None for whoever asks for themselves.
    """

    kind: Kind
    id: UUID
    session_id: UUID
    role: str | None = None
    family: UUID | None = None
    guardian: UUID | None = None

    @property
    def person(self) -> UUID:
        """Who logged in, whichever account they act for."""
        return self.guardian or self.id

    def acting_for(self, family: bool) -> "Principal":
        """The same person, asking for their family or for themselves."""
        if family and self.family:
            return replace(self, id=self.family, guardian=self.person)
        return replace(self, id=self.person, guardian=None)


class BrowserSession(SQLModel, table=True):
    """A logged-in browser. The cookie holds the token, this row its hash.

    `for_family`: it acts for the family that its resident shares, as long as they do.
    """

    __tablename__ = "browser_session"
    __table_args__ = (sa.CheckConstraint("kind IN ('resident', 'staff')", name="kind"),)

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    token_hash: str = Field(max_length=64, unique=True)
    kind: str = Field(max_length=16)
    subject_id: UUID = Field(index=True)
    opened_at: datetime
    seen_at: datetime
    expires_at: datetime
    ended_at: datetime | None = None
    for_family: bool = Field(default=False, sa_column_kwargs={"server_default": sa.text("false")})


class ApiToken(SQLModel, table=True):
    """A token for a machine or a test. Shown once, kept as a hash."""

    __tablename__ = "api_token"
    __table_args__ = (sa.CheckConstraint("kind IN ('resident', 'staff')", name="kind"),)

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    token_hash: str = Field(max_length=64, unique=True)
    kind: str = Field(max_length=16)
    subject_id: UUID = Field(index=True)
    role: str | None = Field(default=None, max_length=16)
    issued_at: datetime = Field(default_factory=clock.now)
    revoked_at: datetime | None = None


def fingerprint(token: str) -> str:
    """What is kept of a token: it is random and long, so a plain hash does."""
    return hashlib.sha256(token.encode()).hexdigest()


def new_session(house: House, *, kind: Kind, subject_id: UUID) -> str:
    """Open a session; the token for the cookie."""
    token = secrets.token_urlsafe(32)
    now = clock.now()
    with house.db.session() as session:
        session.add(
            BrowserSession(
                token_hash=fingerprint(token),
                kind=kind,
                subject_id=subject_id,
                opened_at=now,
                seen_at=now,
                expires_at=now + _lifetime(house, kind),
            )
        )
    return token


def new_api_token(house: House, *, kind: Kind, subject_id: UUID, role: str | None = None) -> str:
    """Issue a token for a machine; shown once."""
    token = f"tph_{secrets.token_urlsafe(32)}"
    with house.db.session() as session:
        session.add(ApiToken(token_hash=fingerprint(token), kind=kind, subject_id=subject_id, role=role))
    return token


def session_was_of(house: House, token: str) -> Principal | None:
    """Whose session the cookie `token` is or, having ended, was; None for one that is not known."""
    with house.db.reading_session() as session:
        row = session.exec(
            select(BrowserSession).where(BrowserSession.token_hash == fingerprint(token))
        ).first()
        return Principal(cast(Kind, row.kind), row.subject_id, row.id) if row else None


def list_open(house: House, principal: Principal) -> Sequence[BrowserSession]:
    """The open sessions of the same person, latest first."""
    with house.db.reading_session() as session:
        return session.exec(
            select(BrowserSession)
            .where(
                BrowserSession.kind == principal.kind,
                BrowserSession.subject_id == principal.person,
                col(BrowserSession.ended_at).is_(None),
                BrowserSession.expires_at > clock.now(),
            )
            .order_by(col(BrowserSession.opened_at).desc())
        ).all()


def end_session(house: House, principal: Principal, session_id: UUID | None = None) -> None:
    """End one of the person's own sessions, this one unless another is named."""
    _end(house, principal.kind, principal.person, session_id or principal.session_id)


def act_for(house: House, principal: Principal, family: bool) -> Principal:
    """From now on this browser acts for the family that its resident shares, or for the resident alone."""
    chosen = principal.acting_for(family)
    if chosen.id != principal.id:
        with house.db.session() as session:
            session.exec(
                sa.update(BrowserSession)
                .where(col(BrowserSession.id) == principal.session_id)
                .values(for_family=chosen.guardian is not None)
            )
    return chosen


def end_all(house: House, kind: Kind, subject_id: UUID) -> None:
    """End every session and revoke every token of a person."""
    _end(house, kind, subject_id, None)
    with house.db.session() as session:
        session.exec(
            sa.update(ApiToken)
            .where(
                col(ApiToken.kind) == kind,
                col(ApiToken.subject_id) == subject_id,
                col(ApiToken.revoked_at).is_(None),
            )
            .values(revoked_at=clock.now())
        )


def _end(house: House, kind: Kind, subject_id: UUID, session_id: UUID | None) -> None:
    with house.db.session() as session:
        ending = (
            sa.update(BrowserSession)
            .where(
                col(BrowserSession.kind) == kind,
                col(BrowserSession.subject_id) == subject_id,
                col(BrowserSession.ended_at).is_(None),
            )
            .values(ended_at=clock.now())
        )
        session.exec(ending.where(col(BrowserSession.id) == session_id) if session_id else ending)


def _lifetime(house: House, kind: Kind) -> timedelta:
    if kind == "staff":
        return timedelta(minutes=house.settings.staff_session_minutes)
    return timedelta(days=house.settings.session_days)


_IDENTIFY_TOKENS = Statement(
    "SELECT token_hash, kind, subject_id, id, role FROM api_token "
    "WHERE token_hash {in:hashes:text} AND revoked_at IS NULL",
    token_hash="text",  # noqa: S106 - a column's type
    kind="text",
    subject_id="uuid",
    id="uuid",
    role="text",
)
_IDENTIFY_SESSIONS = Statement(
    "SELECT s.token_hash, s.kind, s.subject_id, s.id, s.seen_at, s.expires_at, s.for_family, g.family_id "
    "FROM browser_session s LEFT JOIN family_guardian g ON g.guardian_id = s.subject_id AND g.until IS NULL "
    "WHERE s.token_hash {in:hashes:text} AND s.ended_at IS NULL",
    token_hash="text",  # noqa: S106
    kind="text",
    subject_id="uuid",
    id="uuid",
    seen_at="time",
    expires_at="time",
    for_family="bool",
    family_id="uuid",
)
_SEEN_EVERY = timedelta(minutes=1)


def identify_machines(connection: Connection, fingerprints: Sequence[str]) -> dict[str, Principal]:
    """The principals of API tokens, by the tokens' fingerprints; unknown and revoked ones are missing."""
    rows = _IDENTIFY_TOKENS.run(connection, hashes=fingerprints)
    return {row.token_hash: Principal(row.kind, row.subject_id, row.id, row.role) for row in rows}


class Doorkeeper:
    """Tells who is behind a token; one query serves the callers of many threads."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._machines: Batcher[str, Principal | None] = Batcher(self._find_machines)
        self._browsers: Batcher[str, Principal | None] = Batcher(self._find_browsers)

    def identify_machine(self, token: str) -> Principal:
        """The principal of an API token. Raises NotAuthenticated."""
        found = self._machines.submit(fingerprint(token))
        if found is None:
            raise NotAuthenticated
        return found

    def identify_browser(self, token: str) -> Principal | None:
        """The principal of a session cookie, or None when the session has ended."""
        return self._browsers.submit(fingerprint(token))

    def _find_machines(self, hashes: list[str]) -> list[Principal | None]:
        found = self._house.db.read(lambda connection: identify_machines(connection, hashes))
        return [found.get(wanted) for wanted in hashes]

    def _find_browsers(self, hashes: list[str]) -> list[Principal | None]:
        now = clock.now()
        rows = self._house.db.read(lambda connection: _IDENTIFY_SESSIONS.run(connection, hashes=hashes))
        found = {}
        for row in rows:
            if row.expires_at > now:
                who = Principal(cast(Kind, row.kind), row.subject_id, row.id, family=row.family_id)
                found[row.token_hash] = who.acting_for(row.for_family)
                if now - row.seen_at > _SEEN_EVERY:
                    self._note_seen(row.id, cast(Kind, row.kind), now)
        return [found.get(wanted) for wanted in hashes]

    def _note_seen(self, session_id: UUID, kind: Kind, now: datetime) -> None:
        with self._house.db.session() as session:
            session.exec(
                sa.update(BrowserSession)
                .where(col(BrowserSession.id) == session_id)
                .values(seen_at=now, expires_at=now + _lifetime(self._house, kind))
            )
