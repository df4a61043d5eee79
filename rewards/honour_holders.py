"""What the person who is honoured does: accept an invitation under a name of their choice, take the name back, show it again."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Session, col, select

from rewards.honours import Decision, HolderKind, Honour, HonourConsent, Told, forget_name, one, told
from tanpuhui import clock, consents
from tanpuhui.db import session_on
from tanpuhui.errors import ChildsAccount, InvalidField, NotFound
from tanpuhui.i18n import N_
from tanpuhui.nicknames import tidy
from tanpuhui.people import ClassAccount, Consent, Document, take_turn
from tanpuhui.rooms import House
from tanpuhui.sessions import fingerprint


def invitation(session: Session, token: str) -> Told | None:
    """What an invitation is to: None for one that is unknown, accepted or too old."""
    found = told(session, *_open(token), limit=1)
    return found[0] if found else None


def _open(token: str) -> tuple[Any, ...]:
    return (
        col(Honour.claim_hash) == fingerprint(token),
        col(Honour.claim_until) > clock.now(),
        col(Honour.resident_id).is_(None),
        col(Honour.decision).is_(None),
        col(Honour.reason).is_not(None),
    )


def accept(house: House, resident_id: UUID, token: str, *, name: str, listed: bool, version: str) -> UUID:
    """Accept an invitation, and consent to being named: the honour's id. Of several at once one does; twice by the same person it is once.

    `version` is that of the text one agreed to. Raises NotFound, ChildsAccount, InvalidField (``name``, ``version``).
    """
    shown = public_name(name)

    def work(connection: Connection) -> UUID:
        with session_on(connection) as session:
            _agree(session, resident_id, version)
            mine = (Honour.claim_hash == fingerprint(token), Honour.resident_id == resident_id)
            before = session.exec(select(Honour.id).where(*mine)).first()
            if before:
                return before
            taken = sa.update(Honour).where(*_open(token)).values(resident_id=resident_id)
            honour_id = connection.scalar(taken.returning(col(Honour.id)))
            if honour_id is None:
                raise NotFound
            session.add(_yes(honour_id, shown, listed, version))
            return UUID(str(honour_id))

    return house.db.run(work)


def show(house: House, resident_id: UUID, honour_id: UUID, *, name: str, listed: bool, version: str) -> None:
    """Be named for one's own honour as `name` from now on. Raises NotFound, ChildsAccount, InvalidField as `accept`."""
    shown = public_name(name)

    def work(connection: Connection) -> None:
        with session_on(connection) as session:
            _agree(session, resident_id, version)
            own_one(session, resident_id, honour_id)
            forget_name(session, honour_id)
            session.add(_yes(honour_id, shown, listed, version))

    house.db.run(work)


def hide(house: House, resident_id: UUID, honour_id: UUID) -> None:
    """Be named no more for one's own honour: the name is deleted at once. Again changes nothing. Raises NotFound."""
    with house.db.session() as session:
        take_turn(session.connection(), [resident_id])
        own_one(session, resident_id, honour_id)
        forget_name(session, honour_id)


def own(session: Session, resident_id: UUID) -> list[Told]:
    """A resident's honours and nominations, the latest first."""
    return told(session, Honour.resident_id == resident_id)


def own_one(session: Session, resident_id: UUID, honour_id: UUID) -> Told:
    """One of a resident's own that can be shown. Raises NotFound for anybody else's, and for one that was declined."""
    found = one(session, Honour.resident_id == resident_id, Honour.id == honour_id)
    if found.honour.holder is not HolderKind.PERSON or found.honour.decision is Decision.DECLINED:
        raise NotFound
    return found


def public_name(text: str) -> str:
    """The name that is to be shown: as a nickname is read. Raises InvalidField (``name``)."""
    try:
        name = tidy(text)
    except InvalidField as error:
        reasons = [wrong["reason"] for wrong in error.params["errors"]]
        raise InvalidField(errors=[{"field": "name", "reason": reason} for reason in reasons]) from error
    if name is None:
        raise InvalidField(errors=[{"field": "name", "reason": N_("请填写公开显示的名字。")}])
    return name


def _agree(session: Session, resident_id: UUID, version: str) -> None:
    """Take the resident's turn, and their consent to the text. Raises ChildsAccount, InvalidField, NotFound."""
    if not consents.is_asked(session.connection(), resident_id, Document.HONOURS):
        raise ChildsAccount
    consents.agree(session, resident_id, Document.HONOURS, version)
    guarded = select(Consent.id).where(
        Consent.resident_id == resident_id,
        Consent.document == Document.GUARDIAN.value,
        col(Consent.withdrawn_at).is_(None),
    )
    if session.get(ClassAccount, resident_id) or session.exec(guarded).first():
        raise ChildsAccount


def _yes(honour_id: UUID, name: str, listed: bool, version: str) -> HonourConsent:
    return HonourConsent(honour_id=honour_id, name=name, listed=listed, version=version)
