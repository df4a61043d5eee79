"""What officers decide of honours: a nomination is decided once, by another than the nominator; an honour is revoked for good."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Session, col

from rewards.honour_letters import DECLINED, HONOURED, REVOKED
from rewards.honours import Decision, Honour, Told, forget_name, told
from rewards.nominations import DECIDERS, in_scope
from tanpuhui import audit, clock, ids
from tanpuhui.bureau.participation import READERS
from tanpuhui.db import session_on
from tanpuhui.errors import (
    AlreadyDecided,
    DeciderIsNominator,
    HonourRevoked,
    InvalidField,
    NoConsent,
    NotFound,
)
from tanpuhui.i18n import N_
from tanpuhui.inbox import Note, tell
from tanpuhui.letters import Letter
from tanpuhui.people import take_turn
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal
from tanpuhui.staff import grants_of


def decide(house: House, principal: Principal, honour_id: UUID, decision: str, because: str = "") -> None:
    """Give an honour, or decline it with a reason. Said twice alike by the same officer it is said once.

    Raises NotFound, NotAllowed, DeciderIsNominator, InvalidField (no decision, or none of the reason), NoConsent, AlreadyDecided.
    """
    chosen, words = _read(decision, because)

    def work(connection: Connection) -> None:
        with session_on(connection) as session:
            found = _at_their_turn(session, principal, honour_id)
            if found.honour.nominated_by == principal.id:
                raise DeciderIsNominator
            if chosen is Decision.HONOURED and not found.honour.decision and not found.consent:
                raise NoConsent
            if not _said(session, principal, found.honour, chosen, words):
                return
            if chosen is Decision.DECLINED:
                forget_name(session, honour_id)  # it will never be shown
            _note(session, principal, f"honour.{chosen.value}", honour_id, words)
            _tell(session, found.honour, HONOURED if chosen is Decision.HONOURED else DECLINED)

    house.db.run(work)


def _read(decision: str, because: str) -> tuple[Decision, str]:
    try:
        chosen = Decision(decision)
    except ValueError:
        raise InvalidField(errors=[{"field": "decision", "reason": N_("请选择授予还是不授予。")}]) from None
    return chosen, "" if chosen is Decision.HONOURED else audit.reason(because)


def _said(session: Session, principal: Principal, honour: Honour, decision: Decision, words: str) -> bool:
    """Keep a decision; False if the same was said before. Raises AlreadyDecided. Of several at once one is kept."""
    now = clock.now()
    honoured = decision is Decision.HONOURED
    kept = session.connection().execute(
        sa.update(Honour)
        .where(col(Honour.id) == honour.id, col(Honour.decision).is_(None))
        .values(
            decision=decision,
            decided_by=principal.id,
            decided_at=now,
            decided_because=words,
            number=ids.certificate_number("H", clock.day_of(now).year) if honoured else None,
            claim_hash=None,
            claim_until=None,
        )
    )
    session.refresh(honour)
    if kept.rowcount:
        return True
    if (honour.decided_by, honour.decision, honour.decided_because) != (principal.id, decision, words):
        raise AlreadyDecided
    return False


def revoke(house: House, principal: Principal, honour_id: UUID, because: str) -> None:
    """Revoke an honour with a reason, which its page says. Final; twice alike by the same officer it is said once.

    Raises NotFound, NotAllowed, InvalidField, HonourRevoked.
    """
    words = audit.reason(because)

    def work(connection: Connection) -> None:
        with session_on(connection) as session:
            honour = _at_their_turn(session, principal, honour_id).honour
            if honour.number is None:
                raise NotFound
            kept = connection.execute(
                sa.update(Honour)
                .where(col(Honour.id) == honour_id, col(Honour.revoked_at).is_(None))
                .values(revoked_at=clock.now(), revoked_by=principal.id, revoked_because=words)
            )
            session.refresh(honour)
            if not kept.rowcount:
                if (honour.revoked_by, honour.revoked_because) != (principal.id, words):
                    raise HonourRevoked
                return
            _note(session, principal, "honour.revoked", honour_id, words)
            _tell(session, honour, REVOKED)

    house.db.run(work)


def _at_their_turn(session: Session, principal: Principal, honour_id: UUID) -> Told:
    """An honour that the officer may decide on, as its holder's previous turn left it."""
    found = in_scope(session, principal, honour_id, DECIDERS)
    if found.honour.resident_id:
        take_turn(session.connection(), [found.honour.resident_id])
        session.expire_all()
        found = in_scope(session, principal, honour_id, DECIDERS)
    return found


def _tell(session: Session, honour: Honour, letter: Letter) -> None:
    if honour.resident_id:
        about = {"honour": str(honour.id)}
        tell(session.connection(), [Note(letter, honour.resident_id, str(honour.id), about)])


def to_decide(session: Session, principal: Principal) -> list[Told]:
    """What an officer, or whoever reads for the bureau, has before them: every nomination and honour of their scope, the latest first."""
    scopes: list[Any] = [
        col(Honour.division_code).startswith(given.division_code)
        for given in grants_of(session, principal)
        if given.role in READERS and given.division_code
    ]
    return told(session, sa.or_(sa.false(), *scopes))


def _note(session: Session, principal: Principal, deed: str, honour_id: UUID, reason: str) -> None:
    audit.note_by(
        session,
        principal,
        deed=deed,
        subject=f"honour:{honour_id}",
        reason=reason,
    )
