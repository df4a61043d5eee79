"""Printed cards as helpers see them: the list of their scope, one looked up by its letters, a batch to print again.

Nobody's name stands anywhere. Of its use a card tells only the last site and day.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import sqlalchemy as sa
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from activities.actions import Action
from activities.members import HELPERS, PRINTERS, MemberCard, printed_card, read_member, token_of
from activities.sites import Site
from tanpuhui import signing
from tanpuhui.config import Settings
from tanpuhui.divisions import Division
from tanpuhui.errors import TanpuhuiError
from tanpuhui.sessions import Principal
from tanpuhui.signing import Form, Token
from tanpuhui.staff import grants_of, require

#: How many letters at the end of its short code name a card to people.
ENDING = 8

#: With fewer letters, too many cards would be meant.
SHORTEST_ENDING = 3


@dataclass(frozen=True)
class PrintedCard:
    """A printed card: the end of its short code, its community, and where and when it was last used, if it was."""

    card: MemberCard
    ending: str
    community: str
    site: str | None
    day: date | None


def listed(
    session: Session, settings: Settings, principal: Principal, ending: str = "", limit: int = 200
) -> Sequence[PrintedCard]:
    """The printed cards in the scope of `principal`, the last handed over first; only those whose code ends so."""
    inside = _within(session, principal)
    if ending:
        numbers = session.exec(select(MemberCard.number).where(inside)).all()
        wanted = [number for number in numbers if _ends(settings, number, signing.letters_of(ending))]
        inside = sa.and_(inside, col(MemberCard.number).in_(wanted[:limit]))
    return _read(session, settings, inside, limit)


def looked_up(session: Session, settings: Settings, principal: Principal, number: int) -> PrintedCard:
    """One printed card in the scope of `principal`. Raises NotFound, NotAllowed."""
    printed_card(session, principal, number)
    (found,) = _read(session, settings, col(MemberCard.number) == number, 1)
    return found


def number_in(settings: Settings, text: str) -> int | None:
    """The number of the card whose whole code was scanned or typed; None for anything else."""
    try:
        return read_member(settings, text)
    except TanpuhuiError:
        return None


def batch_of(session: Session, principal: Principal, number: int) -> Sequence[MemberCard]:
    """The cards that were printed together with this one, to be printed again. Raises NotFound, NotAllowed."""
    card = printed_card(session, principal, number)
    require(session, principal, PRINTERS, division_code=card.division_code)
    return session.exec(
        select(MemberCard)
        .where(
            MemberCard.division_code == card.division_code,
            MemberCard.issued_by == card.issued_by,
            MemberCard.issued_at == card.issued_at,
        )
        .order_by(col(MemberCard.number))
    ).all()


def _within(session: Session, principal: Principal) -> sa.ColumnElement[bool]:
    scopes = [
        col(MemberCard.division_code).startswith(given.division_code)
        for given in grants_of(session, principal)
        if given.role in HELPERS and given.division_code
    ]
    return sa.and_(col(MemberCard.division_code).is_not(None), sa.or_(sa.false(), *scopes))


def _ends(settings: Settings, number: int, letters: str) -> bool:
    spellings = signing.keyring(settings).spellings(Token(Form.MEMBER, number))
    return len(letters) >= SHORTEST_ENDING and any(text.endswith(letters) for text in spellings)


def _read(
    session: Session, settings: Settings, which: sa.ColumnElement[bool], limit: int
) -> list[PrintedCard]:
    use = aliased(Action)
    last_use = (
        sa.select(col(use.id))
        .where(
            col(use.resident_id) == col(MemberCard.resident_id),
            col(use.recorded_by).is_not(None),
            col(use.occurred_at) >= col(MemberCard.handed_over_at),
            sa.or_(col(MemberCard.revoked_at).is_(None), col(use.occurred_at) < col(MemberCard.revoked_at)),
        )
        .order_by(col(use.occurred_at).desc())
        .limit(1)
        .correlate(MemberCard)
        .scalar_subquery()
    )
    query = (
        sa.select(MemberCard, col(Division.name), col(Site.name), col(Action.day))
        .join(Division, col(Division.code) == col(MemberCard.division_code))
        .outerjoin(Action, col(Action.id) == last_use)
        .outerjoin(Site, col(Site.id) == col(Action.site_id))
        .where(which)
        .order_by(
            sa.nulls_last(col(MemberCard.handed_over_at).desc()),
            col(MemberCard.issued_at).desc(),
            col(MemberCard.number),
        )
        .limit(limit)
    )
    return [
        PrintedCard(card, token_of(settings, card.number)[-ENDING:], community, site, day)
        for card, community, site, day in session.execute(query)
    ]
