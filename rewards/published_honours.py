"""What everybody may read of honours: one by its number, and the list of those who agreed to be listed."""

from typing import Any

from sqlmodel import Session, col

from rewards.honours import Honour, HonourConsent, Told, one, read_number, told


def published(session: Session, number: str) -> Told:
    """The honour with this number, revoked or not. Raises NotFound."""
    return one(session, Honour.number == read_number(number))


def listed(session: Session) -> list[Told]:
    """Standing honours whose holders agreed to be listed, the latest first. There is no other order."""
    return told(
        session,
        col(Honour.number).is_not(None),
        col(Honour.revoked_at).is_(None),
        col(HonourConsent.listed).is_(True),
    )


def view(found: Told, public_url: str) -> dict[str, Any]:
    """An honour as the API shows it."""
    honour = found.honour
    assert honour.decided_at is not None
    return {
        "number": honour.number,
        "state": found.state.value,
        "title": found.kind.title,
        "purpose": found.kind.purpose,
        "holder": honour.holder.value,
        "name": found.name,
        "reason": found.reason,
        "nominated_for": found.nominated_for,
        "honoured_at": honour.decided_at,
        "revoked_at": honour.revoked_at,
        "revoked_because": honour.revoked_because,
        "page": f"{public_url}/honours/{honour.number}",
    }
