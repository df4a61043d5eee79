"""Family accounts: a family takes part as one, beside its guardians' own accounts, so that no child's data is held.

A guardian makes it, and may invite a second one with a one-time code; both are equal, and either acts for it. The account is a
resident without a phone number; its label is the guardians' word for it.

One deed is counted once: a family's deeds count together with those of each guardian (`counted_with`). Two guardians stay two
people to each other: each eats and travels for themselves.
"""

import base64
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, Session, SQLModel, col, select
from sqlmodel.sql.expression import SelectOfScalar

from tanpuhui import clock, ids, signing
from tanpuhui.consents import take_back
from tanpuhui.db import Statement, session_on
from tanpuhui.errors import (
    FamilyFull,
    InFamilyAlready,
    InvalidField,
    NoFamily,
    NotAllowed,
    NotFound,
    Unavailable,
)
from tanpuhui.i18n import N_
from tanpuhui.nicknames import tidy
from tanpuhui.people import (
    PRESENT,
    AccountKind,
    Document,
    Resident,
    ResidentStatus,
    close,
    take_turn,
    yes_to,
)
from tanpuhui.rooms import House
from tanpuhui.schema import Guard
from tanpuhui.sessions import fingerprint

MOST_GUARDIANS = 2
INVITATION_GOOD_FOR = timedelta(days=1)
_LETTERS = 12

#: What was done while they shared counts together for so long after: a week and its neighbours, as the limits look at them.
REMEMBERED = timedelta(days=9)

Result = TypeVar("Result")


class FamilyAccount(SQLModel, table=True):
    """A family that takes part as one. It holds no child's data and lists no members; its guardians are `FamilyGuardian`."""

    __tablename__ = "family_account"
    __table_args__ = (
        sa.CheckConstraint("label <> ''", name="label"),
        sa.CheckConstraint("(invite_hash IS NULL) = (invite_expires_at IS NULL)", name="invitation"),
    )

    resident_id: UUID = Field(foreign_key="resident.id", primary_key=True)
    label: str = Field(max_length=64)
    created_at: datetime = Field(default_factory=clock.now)
    invite_hash: str | None = Field(default=None, max_length=64, unique=True)
    invite_expires_at: datetime | None = None


class FamilyGuardian(SQLModel, table=True):
    """A resident shares a family's account, or did `until` a moment."""

    __tablename__ = "family_guardian"
    __table_args__ = (
        sa.Index(
            "uq_family_guardian_standing",
            "guardian_id",
            unique=True,
            sqlite_where=sa.text("until IS NULL"),
            postgresql_where=sa.text("until IS NULL"),
        ),
        sa.Index(
            "uq_family_guardian_place",
            "family_id",
            "place",
            unique=True,
            sqlite_where=sa.text("until IS NULL"),
            postgresql_where=sa.text("until IS NULL"),
        ),
        sa.Index("ix_family_guardian_guardian_id", "guardian_id"),
        sa.Index("ix_family_guardian_family_id", "family_id"),
        sa.CheckConstraint(f"place BETWEEN 1 AND {MOST_GUARDIANS}", name="place"),
        sa.CheckConstraint("until IS NULL OR until >= since", name="order"),
    )

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    family_id: UUID = Field(foreign_key="resident.id")
    guardian_id: UUID = Field(foreign_key="resident.id")
    place: int
    since: datetime = Field(default_factory=clock.now)
    until: datetime | None = None


_FAMILY = (
    "EXISTS (SELECT 1 FROM resident r WHERE r.id = NEW.family_id AND r.account_kind = 'family' AND r.shares)"
)
_GUARDIAN = "EXISTS (SELECT 1 FROM resident r WHERE r.id = NEW.guardian_id AND r.account_kind = 'person' AND r.shares)"

#: Each account is what its row says; persons share families, and the scans of both know of it; that they did is not rewritten.
GUARDS = (
    *(
        Guard(
            f"{kind}_account",
            "kind",
            "INSERT",
            f"NOT EXISTS (SELECT 1 FROM resident r WHERE r.id = NEW.resident_id AND r.account_kind = '{kind}')",
            "its account is of another kind",
        )
        for kind in (AccountKind.CLASS.value, AccountKind.FAMILY.value)
    ),
    Guard(
        "family_guardian",
        "parts",
        "INSERT",
        f"NOT {_FAMILY} OR NOT {_GUARDIAN}",
        "a person shares a family, and both say so",
    ),
    Guard(
        "family_guardian",
        "ends",
        "UPDATE",
        "OLD.until IS NOT NULL OR NEW.family_id <> OLD.family_id OR NEW.guardian_id <> OLD.guardian_id "
        "OR NEW.place <> OLD.place OR NEW.since <> OLD.since",
        "sharing only ends, once",
    ),
    Guard(
        "resident",
        "account_kind",
        "UPDATE",
        "NEW.account_kind <> OLD.account_kind",
        "what an account is stays",
    ),
)


# --- making, inviting, ending ------------------------------------------------------------------------------


def make(house: House, guardian_id: UUID, *, label: str, adult: bool, version: str) -> UUID:
    """Make the family account of a guardian, who is of age and agrees to the family's text; its id.

    Of two taps the second finds it made. Raises InvalidField (label, age, consent), NotAllowed for a class or a family,
    NotFound for who has left.
    """

    def work(connection: Connection) -> UUID:
        with session_on(connection) as session:
            guardian = _person(session, guardian_id)
            if standing := _link_of(session, guardian_id):
                return standing.family_id
            chosen = tidy(label, "label") or ""
            _check(adult, version, chosen)
            family_id = ids.new_id()
            session.add(
                Resident(
                    id=family_id,
                    phone_index=f"family:{family_id.hex}",
                    phone_cipher=b"",
                    division_code=guardian.division_code,
                    account_kind=AccountKind.FAMILY,
                    shares=True,
                )
            )
            session.flush()
            session.add(FamilyAccount(resident_id=family_id, label=chosen))
            _share(session, guardian, family_id, place=1)
            return family_id

    return house.db.run(work)


def invite(house: House, guardian_id: UUID) -> str:
    """A code for the second guardian, shown once; the one before ends. Raises NoFamily, FamilyFull."""
    code = _new_code()
    with house.db.session() as session:
        take_turn(session.connection(), [guardian_id])
        link = _link_of(session, guardian_id)
        if link is None:
            raise NoFamily
        take_turn(session.connection(), [link.family_id])
        if len(_links(session, link.family_id)) >= MOST_GUARDIANS:
            raise FamilyFull
        account = session.get_one(FamilyAccount, link.family_id)
        account.invite_hash, account.invite_expires_at = fingerprint(code), clock.now() + INVITATION_GOOD_FOR
        session.add(account)
    return code


def invited_to(session: Session, code: str) -> str | None:
    """What the family of an unused invitation is called; None if it is unknown, used or too old."""
    found = session.exec(_offered(code)).first()
    return found.label if found else None


def join(house: House, guardian_id: UUID, code: str, *, adult: bool, version: str) -> UUID:
    """Share the family of an invitation, which is used up; the family's id.

    Raises NotFound for an invitation that is unknown, used or too old, InFamilyAlready, FamilyFull, InvalidField (age,
    consent), NotAllowed for a class or a family.
    """

    def work(connection: Connection) -> UUID:
        with session_on(connection) as session:
            guardian = _person(session, guardian_id)
            account = session.exec(_offered(code)).first()
            if account is None:
                raise NotFound
            if _link_of(session, guardian_id):
                raise InFamilyAlready
            _check(adult, version)
            take_turn(connection, [account.resident_id])
            session.expire_all()
            if session.exec(_offered(code)).first() is None:
                raise NotFound  # used at this very moment, or the family has ended
            standing = _links(session, account.resident_id)
            if len(standing) >= MOST_GUARDIANS:
                raise FamilyFull
            taken = {link.place for link in standing}
            place = next(place for place in range(1, MOST_GUARDIANS + 1) if place not in taken)
            account.invite_hash = account.invite_expires_at = None
            session.add(account)
            _share(session, session.get_one(Resident, guardian.id), account.resident_id, place=place)
            return account.resident_id

    return house.db.run(work)


def rename(house: House, guardian_id: UUID, label: str) -> None:
    """Call the guardian's family something else. Raises NoFamily, InvalidField."""
    chosen = tidy(label, "label")
    with house.db.session() as session:
        take_turn(session.connection(), [guardian_id])
        link = _link_of(session, guardian_id)
        if link is None:
            raise NoFamily
        take_turn(session.connection(), [link.family_id])
        if chosen is None:
            raise InvalidField(errors=[_NO_LABEL])
        account = session.get_one(FamilyAccount, link.family_id)
        account.label = chosen
        session.add(account)


def end(house: House, guardian_id: UUID) -> None:
    """Take the consent to the family's text back, and share no longer, from this moment on. Again changes nothing.

    The family whose last guardian this was is closed as a resident's account is: totals stay. Raises NotFound.
    """
    with house.db.session() as session:
        _person(session, guardian_id)
        take_back(session, guardian_id, Document.FAMILY)
        part(house, session, guardian_id)


def part(house: House, session: Session, guardian_id: UUID) -> None:
    """End what somebody shares, whose turn it is; a family that nobody shares any more is closed."""
    link = _link_of(session, guardian_id)
    if link is None:
        return
    take_turn(session.connection(), [link.family_id])
    _end(session, [link])
    if not _links(session, link.family_id):
        close(house, session, session.get_one(Resident, link.family_id))


def _person(session: Session, resident_id: UUID) -> Resident:
    """A person at their turn. Raises NotFound, NotAllowed."""
    take_turn(session.connection(), [resident_id])
    resident = session.get(Resident, resident_id)
    if resident is None or resident.status != ResidentStatus.ACTIVE:
        raise NotFound
    if resident.account_kind is not AccountKind.PERSON:
        raise NotAllowed
    return resident


_NO_LABEL = {"field": "label", "reason": N_("请给家庭账户起个昵称，比如“我家”。")}


def _check(adult: bool, version: str, label: str = "-") -> None:
    errors = [] if label else [_NO_LABEL]
    if not adult:
        errors.append({"field": "adult", "reason": N_("家庭账户由年满 18 周岁的监护人使用，请先确认。")})
    if version != PRESENT[Document.FAMILY]:
        errors.append({"field": "version", "reason": N_("请阅读并同意家庭账户说明。")})
    if errors:
        raise InvalidField(errors=errors)


def _share(session: Session, guardian: Resident, family_id: UUID, *, place: int) -> None:
    now = clock.now()
    guardian.shares = True
    session.add(guardian)
    take_back(session, guardian.id, Document.FAMILY)
    session.add(yes_to(guardian.id, Document.FAMILY, now))
    session.flush()  # before the guard looks
    session.add(FamilyGuardian(family_id=family_id, guardian_id=guardian.id, place=place, since=now))
    session.flush()


def _end(session: Session, links: Sequence[FamilyGuardian]) -> None:
    for link in links:
        link.until = clock.now()
        session.add(link)
    session.flush()


def _new_code() -> str:
    return base64.b32encode(secrets.token_bytes(10)).decode()[:_LETTERS]


def _offered(code: str) -> SelectOfScalar[FamilyAccount]:
    letters = "".join(character for character in signing.letters_of(code) if character.isalnum())
    return select(FamilyAccount).where(
        FamilyAccount.invite_hash == fingerprint(letters),
        col(FamilyAccount.invite_expires_at) > clock.now(),
    )


def _link_of(session: Session, guardian_id: UUID) -> FamilyGuardian | None:
    return session.exec(
        select(FamilyGuardian).where(
            FamilyGuardian.guardian_id == guardian_id, col(FamilyGuardian.until).is_(None)
        )
    ).first()


def _links(session: Session, family_id: UUID) -> Sequence[FamilyGuardian]:
    """Who shares a family now."""
    return session.exec(
        select(FamilyGuardian).where(
            FamilyGuardian.family_id == family_id, col(FamilyGuardian.until).is_(None)
        )
    ).all()


# --- looking -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Family:
    """The family that a guardian shares, as its page shows it."""

    id: UUID
    label: str
    since: datetime
    guardians: int
    invited_until: datetime | None


def family_of(session: Session, guardian_id: UUID) -> Family | None:
    """The family that a resident shares now, if any."""
    link = _link_of(session, guardian_id)
    if link is None:
        return None
    account = session.get_one(FamilyAccount, link.family_id)
    open_until = account.invite_expires_at
    return Family(
        link.family_id,
        account.label,
        link.since,
        len(_links(session, link.family_id)),
        open_until if open_until and open_until > clock.now() else None,
    )


def family_id_of(connection: Connection, guardian_id: UUID) -> UUID:
    """The id of the family that a resident shares now. Raises NoFamily."""
    with session_on(connection) as session:
        link = _link_of(session, guardian_id)
    if link is None:
        raise NoFamily
    return link.family_id


def label_of(session: Session, family_id: UUID) -> str:
    """What a family is called."""
    return session.get_one(FamilyAccount, family_id).label


# --- one deed, counted once --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Together:
    """An account whose deeds count together with another's: those from `since` (None: ever) to `until` (None: still).

    `label`: of a family, empty once it has ended; None for a guardian.
    """

    id: UUID
    since: datetime | None
    until: datetime | None
    label: str | None

    def counts(self, moment: datetime) -> bool:
        """Whether a deed at `moment` does."""
        return (self.since is None or self.since <= moment) and (self.until is None or moment <= self.until)


#: What the account shares or shared a short while ago; of a family, also what its guardians do.
_SHARED = Statement(
    "SELECT l.family_id, l.guardian_id, l.since, l.until, f.label FROM family_guardian l "
    "LEFT JOIN family_account f ON f.resident_id = l.family_id WHERE l.guardian_id {in:account:uuid} "
    "OR l.guardian_id IN (SELECT g.guardian_id FROM family_guardian g WHERE g.family_id {in:account:uuid})",
    family_id="uuid",
    guardian_id="uuid",
    since="time",
    until="time",
    label="text",
)


def counted_with(connection: Connection, account_id: UUID) -> Sequence[Together]:
    """The accounts whose deeds count together with those of `account_id`.

    Of a guardian: the families that are or were theirs. Of a family: its guardians, and what else these share.
    What was done after they parted counts for itself.
    """
    rows = _SHARED.run(connection, account=[account_id])
    parted = {row.guardian_id: row.until for row in rows if row.family_id == account_id}
    found = []
    for row in rows:
        label = row.label or ""
        if row.guardian_id == account_id:
            found.append(Together(row.family_id, None, row.until, label))
        elif row.family_id == account_id:
            found.append(Together(row.guardian_id, None, row.until, None))
        else:
            ends = [moment for moment in (row.until, parted[row.guardian_id]) if moment]
            found.append(Together(row.family_id, row.since, min(ends, default=None), label))
    return found


class _Changed(Exception):
    """Who counts together changed just before the turns were taken."""


def take_turns(connection: Connection, account_id: UUID) -> tuple[dict[UUID, Any], Sequence[Together]]:
    """The turn of an account and of all that count together with it; the rows of `take_turn`, and who these are.

    The first thing of a transaction, within `again`. Raises what `again` is for.
    """
    before = {one.id for one in counted_with(connection, account_id)}
    rows = take_turn(connection, [account_id, *before])
    together = counted_with(connection, account_id)
    if not {one.id for one in together} <= before:
        raise _Changed
    return rows, together


def again(work: Callable[[], Result]) -> Result:
    """Do `work`, a whole transaction, and once more if who counts together changed just then. Raises Unavailable."""
    for _ in range(5):
        try:
            return work()
        except _Changed:
            continue
    raise Unavailable


# --- forgetting --------------------------------------------------------------------------------------------


def forget(connection: Connection, resident_id: UUID) -> None:
    """Of a family: its label and invitation, and nobody shares it any more. Of a guardian who leaves: that they ever did."""
    with session_on(connection) as session:
        _end(session, _links(session, resident_id))
    connection.execute(sa.delete(FamilyAccount).where(col(FamilyAccount.resident_id) == resident_id))
    connection.execute(sa.delete(FamilyGuardian).where(col(FamilyGuardian.guardian_id) == resident_id))


def purge(connection: Connection, before: datetime) -> None:
    """Delete what ended before a moment; whoever then shares nothing need not be looked at any more."""
    over = col(FamilyGuardian.until) < before
    gone = sorted(set(connection.scalars(sa.select(col(FamilyGuardian.guardian_id)).where(over))))
    take_turn(connection, gone)
    connection.execute(sa.delete(FamilyGuardian).where(over))
    still = sa.select(col(FamilyGuardian.guardian_id))
    connection.execute(
        sa.update(Resident)
        .where(col(Resident.id).in_(gone), col(Resident.id).not_in(still))
        .values(shares=False)
    )
