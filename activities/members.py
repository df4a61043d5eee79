"""Members: a resident's own code, on the phone or on a printed card without any name, for a helper to scan.

Cards are printed blank, ten to a page, and belong to nobody until a helper hands one over: then its holder takes part
without a phone number. A lost card is replaced by another; its holder's records and points stay theirs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, Session, SQLModel, col, select

from tanpuhui import audit, clock, ids, signing
from tanpuhui.config import Settings
from tanpuhui.db import session_on
from tanpuhui.divisions import community_exists
from tanpuhui.errors import (
    CardInUse,
    CardRevoked,
    CardUnused,
    CodeInvalid,
    InvalidField,
    NotAMemberCode,
    NotFound,
)
from tanpuhui.events import Event
from tanpuhui.i18n import N_
from tanpuhui.people import (
    CONSENT_VERSION,
    Resident,
    ResidentStatus,
    take_in,
    take_turn,
)
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal
from tanpuhui.signing import Form, Token
from tanpuhui.staff import Role, require

#: Who prints cards and hands them over.
PRINTERS = (Role.ORGANISER, Role.OFFICER, Role.ADMIN)
HELPERS = (Role.HELPER, *PRINTERS)

#: Of one batch: 20 pages, which take some seconds to draw.
MOST_CARDS = 200


class MemberCard(SQLModel, table=True):
    """A resident's own code. Printed ones have a `division_code` in which they are handed out, and at first no holder."""

    __tablename__ = "member_card"
    __table_args__ = (
        sa.Index(
            "uq_member_card_standing",
            "resident_id",
            unique=True,
            sqlite_where=sa.text("revoked_at IS NULL"),
            postgresql_where=sa.text("revoked_at IS NULL"),
        ),
        sa.CheckConstraint("number > 0", name="number"),
        sa.CheckConstraint("resident_id IS NOT NULL OR division_code IS NOT NULL", name="holder"),
        sa.CheckConstraint("(division_code IS NULL) = (issued_by IS NULL)", name="printed"),
    )

    number: int = Field(sa_column=sa.Column(sa.BigInteger, primary_key=True, autoincrement=False))
    resident_id: UUID | None = Field(default=None, foreign_key="resident.id")
    division_code: str | None = Field(default=None, foreign_key="division.code", max_length=12)
    issued_by: UUID | None = Field(default=None, foreign_key="staff.id")
    issued_at: datetime = Field(default_factory=clock.now)
    handed_over_at: datetime | None = None
    revoked_at: datetime | None = None


# --- tokens ------------------------------------------------------------------------------------------------


def token_of(settings: Settings, number: int) -> str:
    """What a member's code says."""
    return signing.keyring(settings).sign(Token(Form.MEMBER, number))


def read_member(settings: Settings, text: str) -> int:
    """The number of a member's code, scanned or typed. Raises CodeInvalid, and NotAMemberCode for any other code of ours."""
    text = text.strip()
    if "/s/" in text:
        text = text.rsplit("/s/", 1)[1].split("?", 1)[0]
    token = signing.keyring(settings).read(text)
    if token.form is not Form.MEMBER:
        raise NotAMemberCode
    return token.number


def holder_of(connection: Connection, number: int, at: datetime | None = None) -> UUID:
    """Whose code it is, or was `at` a moment before it ended. Raises CodeInvalid, CardRevoked, CardUnused (nobody's yet)."""
    with session_on(connection) as session:
        card = session.get(MemberCard, number)
        if card is None:
            raise CodeInvalid
        if card.revoked_at is not None and (at is None or at >= card.revoked_at):
            raise CardRevoked
        if card.resident_id is None:
            raise CardUnused
        return card.resident_id


def last_holder(connection: Connection, number: int) -> UUID | None:
    """Whose code it is or was, ended or not."""
    with session_on(connection) as session:
        card = session.get(MemberCard, number)
        return card.resident_id if card else None


# --- the resident's own ------------------------------------------------------------------------------------


def own_card(house: House, resident_id: UUID) -> MemberCard:
    """The resident's standing code, made when first asked for. Raises NotFound for who has left."""

    def work(connection: Connection) -> MemberCard:
        with session_on(connection) as session:
            _present(connection, resident_id)
            return _standing(session, resident_id) or _new(session, resident_id)

    return house.db.run(work)


def replace_own(house: House, resident_id: UUID, number: int) -> MemberCard:
    """End the resident's code `number` and give another; of two taps the second finds it done. Raises NotFound."""

    def work(connection: Connection) -> MemberCard:
        with session_on(connection) as session:
            _present(connection, resident_id)
            standing = _standing(session, resident_id)
            if standing is not None:
                if standing.number != number:
                    return standing
                _end(session, standing)
            return _new(session, resident_id)

    return house.db.run(work)


def _present(connection: Connection, resident_id: UUID) -> None:
    resident = take_turn(connection, [resident_id]).get(resident_id)
    if resident is None or resident.status != ResidentStatus.ACTIVE:
        raise NotFound


def _standing(session: Session, resident_id: UUID) -> MemberCard | None:
    return session.exec(
        select(MemberCard).where(MemberCard.resident_id == resident_id, col(MemberCard.revoked_at).is_(None))
    ).first()


def _new(session: Session, resident_id: UUID | None, **printed: Any) -> MemberCard:
    number = 0
    while number == 0 or session.get(MemberCard, number) is not None:
        number = ids.random_number(40)
    card = MemberCard(number=number, resident_id=resident_id, **printed)
    session.add(card)
    session.flush()
    return card


def _end(session: Session, card: MemberCard) -> None:
    card.revoked_at = clock.now()
    session.add(card)
    session.flush()  # before another stands


# --- printed cards -----------------------------------------------------------------------------------------


def print_cards(house: House, principal: Principal, division_code: str, count: int) -> Sequence[MemberCard]:
    """A batch of blank cards for a community, issued at one moment. Raises NotAllowed, InvalidField."""
    if not 1 <= count <= MOST_CARDS:
        raise InvalidField(errors=[{"field": "count", "reason": N_("一次可以印 1 到 200 张。")}])
    with house.db.session() as session:
        require(session, principal, PRINTERS, division_code=division_code)
        if not community_exists(session, division_code):
            raise InvalidField(errors=[{"field": "division_code", "reason": N_("请选择居（村）委会。")}])
        batch = {"division_code": division_code, "issued_by": principal.id, "issued_at": clock.now()}
        made = [_new(session, None, **batch) for _ in range(count)]
        _note(session, principal, "member_card.printed", division_code, count=count)
        return made


def hand_over(house: House, principal: Principal, number: int, *, consented: bool) -> Resident:
    """Give a blank card to somebody who takes part without a phone: a new resident of the card's community.

    `consented`: the helper read out the privacy text and the person said yes. Raises NotAllowed, NotFound, CardInUse,
    InvalidField without consent.
    """
    if not consented:
        raise InvalidField(errors=[{"field": "consented", "reason": N_("请先念给本人听，并得到本人同意。")}])
    with house.db.reading_session() as session:
        division_code = printed_card(session, principal, number).division_code or ""
    way = _CardInHand(principal, number)
    return take_in(house, way, division_code=division_code, consent_version=CONSENT_VERSION)


@dataclass(frozen=True, slots=True)
class _CardInHand:
    """A blank card as somebody's way in: who holds it takes part, and helpers scan it."""

    provider: ClassVar[str] = "card"

    principal: Principal
    number: int

    @property
    def key(self) -> str:
        """The card's number."""
        return str(self.number)

    def find(self, session: Session) -> Resident | None:
        """Nobody: a card that somebody holds already is refused. Raises CardInUse."""
        card = printed_card(session, self.principal, self.number, lock=True)
        if card.resident_id is not None or card.revoked_at is not None:
            raise CardInUse
        return None

    def give_to(self, session: Session, resident: Resident) -> Sequence[Event]:
        """Put a newcomer into the session, as the holder of the card."""
        resident.phone_index = f"card:{resident.id.hex}"
        session.add(resident)
        session.flush()
        card = session.get_one(MemberCard, self.number)
        card.resident_id, card.handed_over_at = resident.id, resident.joined_at
        session.add(card)
        _note(session, self.principal, "member_card.handed_over", _subject(self.number))
        return ()


def replace_printed(house: House, principal: Principal, lost: int, blank: int, reason: str) -> MemberCard:
    """Make a blank card the one of the holder of a lost one, which is good for nothing from now on.

    Raises NotAllowed, NotFound, CardRevoked (replaced before), CardUnused (it had no holder), CardInUse, InvalidField.
    """
    reason = audit.reason(reason)
    with house.db.session() as session:
        first, second = sorted((lost, blank))  # locked in one order
        cards = {number: printed_card(session, principal, number, lock=True) for number in (first, second)}
        old, new = cards[lost], cards[blank]
        if old.revoked_at is not None:
            raise CardRevoked
        if old.resident_id is None:
            raise CardUnused
        if new.resident_id is not None or new.revoked_at is not None:
            raise CardInUse
        _end(session, old)
        new.resident_id, new.handed_over_at = old.resident_id, clock.now()
        session.add(new)
        _note(session, principal, "member_card.replaced", _subject(lost), reason=reason, by=_subject(blank))
        session.flush()
        return new


def revoke_printed(house: House, principal: Principal, number: int, reason: str) -> None:
    """End a printed card; ending it twice changes nothing. Raises NotAllowed, NotFound, InvalidField (no reason)."""
    reason = audit.reason(reason)
    with house.db.session() as session:
        card = printed_card(session, principal, number, lock=True)
        if card.revoked_at is None:
            _end(session, card)
            _note(session, principal, "member_card.revoked", _subject(number), reason=reason)


def printed_card(session: Session, principal: Principal, number: int, *, lock: bool = False) -> MemberCard:
    """A printed card in a helper's scope. Raises NotFound, NotAllowed."""
    card = session.get(MemberCard, number, with_for_update=lock)
    if card is None or card.division_code is None:
        raise NotFound
    require(session, principal, HELPERS, division_code=card.division_code)
    return card


def _subject(number: int) -> str:
    return f"member_card:{number}"


def _note(session: Session, principal: Principal, deed: str, subject: str, **more: Any) -> None:
    audit.note_by(session, principal, deed=deed, subject=subject, **more)
