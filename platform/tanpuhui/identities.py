"""Ways in: log-in goes through an identity provider, of which the phone with its one-time code is the first.

Of an identity elsewhere only a keyed fingerprint of its subject is kept: it finds the resident again, and tells nobody
who that is there. No name, number or address of the provider's is asked for.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, Session, SQLModel, select

from tanpuhui import clock
from tanpuhui.config import Settings
from tanpuhui.db import session_on
from tanpuhui.errors import IdentityTaken, LastWayIn, NotAllowed, NotFound, OtherIdentityLinked
from tanpuhui.events import Event
from tanpuhui.people import PHONE, AccountKind, PhoneNumber, Resident, ResidentStatus, WayIn, take_turn
from tanpuhui.rooms import House


class Identity(SQLModel, table=True):
    """Somebody's identity with a provider, as a keyed fingerprint, and the resident it lets in."""

    __tablename__ = "identity"
    __table_args__ = (
        sa.UniqueConstraint("resident_id", "provider"),
        sa.CheckConstraint("length(fingerprint) = 64", name="fingerprint"),
        sa.CheckConstraint("provider NOT IN ('', 'phone')", name="provider"),
    )

    provider: str = Field(max_length=16, primary_key=True)
    fingerprint: str = Field(max_length=64, primary_key=True)
    resident_id: UUID = Field(foreign_key="resident.id")
    linked_at: datetime = Field(default_factory=clock.now)


class IdentityLinked(Event):
    """A resident can log in by `provider` from now on."""

    type = "identity.linked"

    provider: str


class IdentityUnlinked(Event):
    """A resident can no longer log in by `provider`."""

    type = "identity.unlinked"

    provider: str


# --- what a provider is ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Begun:
    """A log-in that has begun.

    `pending` is what the person's browser keeps until the end; `address` is where they go on, if that is elsewhere.
    """

    pending: dict[str, str]
    address: str = ""


class Provider(Protocol):
    """Somebody who can tell who is there. `code` is stored; `outside`: the person goes to another site and comes back."""

    code: str
    outside: bool

    def name(self, language: str) -> str:
        """What people call it, in ``zh`` or ``en``."""

    def begin(self, given: Mapping[str, str]) -> Begun:
        """Begin a log-in with what is `given` by the person and the page."""

    def end(self, pending: Mapping[str, str], answer: Mapping[str, str]) -> WayIn:
        """End the log-in with the `answer` that came; what is proven by it. Raises NotAuthenticated, Unavailable."""


def fingerprint(settings: Settings, issuer: str, subject: str) -> str:
    """What is kept of a subject: nobody without the deployment's key can tell or guess it."""
    text = f"{issuer}\n{subject}"
    return hmac.new(settings.key("identity"), text.encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class OutsideIdentity:
    """An identity with a provider elsewhere; `key` is its fingerprint."""

    house: House = field(repr=False)
    provider: str
    key: str

    def find(self, session: Session) -> Resident | None:
        """The active resident who linked this identity, if any."""
        return session.exec(
            select(Resident)
            .join(Identity)
            .where(
                Identity.provider == self.provider,
                Identity.fingerprint == self.key,
                Resident.status == ResidentStatus.ACTIVE,
            )
        ).first()

    def give_to(self, session: Session, resident: Resident) -> Sequence[Event]:
        """Put a newcomer into the session who is known by nothing but this identity."""
        session.add(resident)
        session.flush()
        return [_linked(session, self, resident.id)]


def way_in(house: House, provider: str, key: str) -> WayIn:
    """The way in that `provider` proved and that stands for `key` there, as it was written down."""
    if provider == PHONE:
        return PhoneNumber(house.settings, key)
    return OutsideIdentity(house, provider, key)


# --- linking -----------------------------------------------------------------------------------------------


def linked(session: Session, resident_id: UUID) -> dict[str, datetime]:
    """The providers elsewhere by which a resident comes in, and since when."""
    rows = session.exec(select(Identity).where(Identity.resident_id == resident_id)).all()
    return {row.provider: row.linked_at for row in rows}


def link(house: House, resident_id: UUID, way: WayIn) -> None:
    """Let a resident in by an outside identity, too. Linking what is linked changes nothing.

    Raises IdentityTaken if it lets another resident in, OtherIdentityLinked if another one of the provider lets this
    resident in, NotAllowed for a class or a family (no person's identity opens it), NotFound for a closed account.
    """

    def work(connection: Connection) -> None:
        with session_on(connection) as session:
            _turn_of(connection, resident_id)
            if session.get_one(Resident, resident_id).account_kind is not AccountKind.PERSON:
                raise NotAllowed
            holder = session.get(Identity, (way.provider, way.key))
            if holder and holder.resident_id != resident_id:
                raise IdentityTaken
            if holder:
                return
            if way.provider in linked(session, resident_id):
                raise OtherIdentityLinked
            house.publish(connection, [_linked(session, way, resident_id)])

    house.db.run(work)  # of two residents who link one identity at once, the second is told


def unlink(house: House, resident_id: UUID, provider: str) -> None:
    """Let a resident in by `provider` no longer, and forget the identity.

    Raises NotFound if none is linked, LastWayIn if the resident could then not come in at all.
    """

    def work(connection: Connection) -> None:
        with session_on(connection) as session:
            _turn_of(connection, resident_id)
            since = linked(session, resident_id)
            if provider not in since:
                raise NotFound
            if len(since) == 1 and not session.get_one(Resident, resident_id).phone_cipher:
                raise LastWayIn
            session.exec(
                sa.delete(Identity).where(
                    sa.column("resident_id", sa.Uuid()) == resident_id, sa.column("provider") == provider
                )
            )
            now = clock.now()
            gone = IdentityUnlinked(
                subject_id=resident_id, resident_id=resident_id, recorded_at=now, provider=provider
            )
            house.publish(connection, [gone])

    house.db.run(work)


def _turn_of(connection: Connection, resident_id: UUID) -> None:
    """One resident's changes take turns; a closed account has none."""
    row = take_turn(connection, [resident_id]).get(resident_id)
    if row is None or row.status != ResidentStatus.ACTIVE:
        raise NotFound


def _linked(session: Session, way: WayIn, resident_id: UUID) -> IdentityLinked:
    row = Identity(provider=way.provider, fingerprint=way.key, resident_id=resident_id)
    session.add(row)
    session.flush()
    return IdentityLinked(
        subject_id=resident_id, resident_id=resident_id, recorded_at=row.linked_at, provider=way.provider
    )
