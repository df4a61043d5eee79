"""Draws as everybody may read them: the list, the tickets once they are fixed, the winners, and the record that anybody repeats one by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Session, col, select

from rewards import repeat_draw
from rewards.draws import Draw, DrawEntry, DrawState
from tanpuhui import clock
from tanpuhui.errors import NotFound


def public_draws(session: Session) -> Sequence[Draw]:
    """The draws that everybody may know of: those that can be entered first, the one that closes first at their head."""
    found = session.exec(select(Draw).where(col(Draw.approved_at).is_not(None)).limit(200)).all()
    now = clock.now()

    def order(draw: Draw) -> tuple[bool, float]:
        is_open = draw.state(now) is DrawState.OPEN
        return not is_open, draw.closes_at.timestamp() * (1 if is_open else -1)

    return sorted(found, key=order)


def public_draw(session: Session, draw_id: UUID) -> Draw:
    """A draw that everybody may know of. Raises NotFound."""
    draw = session.get(Draw, draw_id)
    if draw is None or draw.approved_at is None:
        raise NotFound
    return draw


@dataclass(frozen=True, slots=True)
class Published:
    """What is published of a draw so far; tickets and winners once they are fixed."""

    draw: Draw
    tickets: Sequence[str]
    winners: Sequence[Mapping[str, str]]

    @property
    def record(self) -> dict[str, Any]:
        """The record that `rewards.repeat_draw` checks."""
        draw = self.draw
        return {
            "format": repeat_draw.FORMAT,
            "id": str(draw.id),
            "title": draw.title,
            "prizes": draw.prizes,
            "closes_at": draw.closes_at.isoformat(),
            "commitment": draw.commitment,
            "witness": draw.witness,
            "tickets": list(self.tickets),
            "digest": draw.digest,
            "witnessed": draw.witnessed,
            "seed": draw.seed,
            "winners": [dict(winner) for winner in self.winners],
        }


def published(session: Session, draw_id: UUID) -> Published:
    """What everybody may read of a draw. Raises NotFound."""
    draw = public_draw(session, draw_id)
    if draw.closed_at is None:
        return Published(draw, (), ())
    return Published(draw, tickets_of(session, draw_id), winners_of(session, draw_id))


def titles(connection: Connection, draw_ids: Sequence[UUID]) -> dict[UUID, str]:
    """What these draws are called."""
    query = sa.select(col(Draw.id), col(Draw.title)).where(col(Draw.id).in_(draw_ids))
    return {row[0]: row[1] for row in connection.execute(query)} if draw_ids else {}


def tickets_of(session: Session, draw_id: UUID) -> Sequence[str]:
    """The tickets of a draw, sorted."""
    query = select(DrawEntry.ticket).where(DrawEntry.draw_id == draw_id, col(DrawEntry.given_up_at).is_(None))
    return sorted(session.exec(query))


def winners_of(session: Session, draw_id: UUID) -> Sequence[Mapping[str, str]]:
    """Who won what, by ticket, the first prize first."""
    query = select(DrawEntry).where(DrawEntry.draw_id == draw_id, col(DrawEntry.place).is_not(None))
    won = session.exec(query.order_by(col(DrawEntry.place)))
    return [{"ticket": entry.ticket, "prize": entry.prize or ""} for entry in won]


def entered(session: Session, draw_id: UUID) -> int:
    """How many tickets there are so far."""
    count = select(sa.func.count()).select_from(DrawEntry)
    mine = (DrawEntry.draw_id == draw_id, col(DrawEntry.given_up_at).is_(None))
    return session.exec(count.where(*mine)).one()
