"""What time does to draws, each step once whoever ticks first: the tickets are fixed, the seed is revealed, points of a cancelled one go back."""

from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection
from sqlmodel import Session, col, select

from rewards import repeat_draw
from rewards.draw_entries import take_back
from rewards.draw_letters import CALLED_OFF, WON
from rewards.draws import PAUSE, Draw, DrawEntry, open_seed
from rewards.published_draws import tickets_of
from tanpuhui.db import session_on
from tanpuhui.i18n import N_
from tanpuhui.inbox import Note, tell
from tanpuhui.jobs import Job
from tanpuhui.people import take_turn
from tanpuhui.rooms import House

log = structlog.get_logger(__name__)

#: So many tickets of cancelled draws are given back in one tick: their residents' turns are held meanwhile.
BATCH = 500


def tick(house: House, connection: Connection, now: datetime) -> None:
    """Do what is due. A draw whose seed cannot be opened stands still, and says so, until somebody looks."""
    with session_on(connection) as session:
        for draw_id in _to_close(session, now):
            _close(session, draw_id, now)
        for draw_id in _to_hold(session, now):
            try:
                with connection.begin_nested():
                    _hold(house, session, draw_id, now)
            except Exception:  # whatever it is, the other draws go on
                log.exception("draw", draw=str(draw_id))
        _give_back(session)


def _to_close(session: Session, now: datetime) -> list[UUID]:
    due = (
        col(Draw.approved_at).is_not(None),
        col(Draw.closed_at).is_(None),
        col(Draw.cancelled_at).is_(None),
    )
    return list(session.exec(select(Draw.id).where(*due, Draw.closes_at <= now).order_by(col(Draw.id))))


def _close(session: Session, draw_id: UUID, now: datetime) -> None:
    """Fix the tickets: nobody enters any more, and what is published is what is drawn from."""
    draw = session.get_one(Draw, draw_id, with_for_update=True, populate_existing=True)
    if draw.closed_at or draw.cancelled_at:
        return
    tickets = tickets_of(session, draw_id)
    draw.closed_at, draw.tickets, draw.digest = now, len(tickets), repeat_draw.digest_of(tickets)
    session.add(draw)
    session.flush()


def _to_hold(session: Session, now: datetime) -> list[UUID]:
    due = (col(Draw.drawn_at).is_(None), col(Draw.cancelled_at).is_(None), col(Draw.closed_at) <= now - PAUSE)
    complete = sa.or_(col(Draw.witness) == "", col(Draw.witnessed) != "")
    return list(session.exec(select(Draw.id).where(*due, complete).order_by(col(Draw.id))))


def _hold(house: House, session: Session, draw_id: UUID, now: datetime) -> None:
    """Reveal the seed, and with it who won; they are told. The tickets are fixed, so the winners are known before any turn is taken."""
    draw = session.get_one(Draw, draw_id)
    seed = open_seed(house.settings, draw)
    won = repeat_draw.winners(seed, draw.witnessed, tickets_of(session, draw_id), draw.prizes)
    entries = {
        entry.ticket: entry
        for entry in session.exec(
            select(DrawEntry).where(col(DrawEntry.ticket).in_([winner["ticket"] for winner in won]))
        )
    }
    take_turn(session.connection(), [entry.resident_id for entry in entries.values() if entry.resident_id])
    session.refresh(draw, with_for_update=True)
    if draw.drawn_at or draw.cancelled_at:
        return
    draw.drawn_at, draw.seed = now, seed
    session.add(draw)
    for place, winner in enumerate(won, start=1):
        entry = entries[winner["ticket"]]
        session.refresh(entry)
        entry.place, entry.prize = place, winner["prize"]
        session.add(entry)
    session.flush()
    about = {"draw": str(draw_id)}
    tell(
        session.connection(),
        [
            Note(WON, entry.resident_id, str(draw_id), about, told_at=now)
            for entry in entries.values()
            if entry.resident_id
        ],
    )


def _give_back(session: Session) -> None:
    """Bring the points of cancelled draws back, some at a time, and tell whose they are."""
    query = (
        select(DrawEntry, Draw)
        .join(Draw)
        .where(
            col(Draw.cancelled_at).is_not(None),
            col(DrawEntry.given_up_at).is_(None),
            col(DrawEntry.resident_id).is_not(None),
        )
        .order_by(col(DrawEntry.resident_id), col(DrawEntry.id))
        .limit(BATCH)
    )
    found = session.exec(query).all()
    if not found:
        return
    take_turn(session.connection(), sorted({entry.resident_id for entry, _ in found if entry.resident_id}))
    for entry, draw in found:
        session.refresh(entry)
        if entry.given_up_at is None and entry.resident_id:
            take_back(session, [entry], draw.price)
            about = {"draw": str(draw.id)}
            tell(session.connection(), [Note(CALLED_OFF, entry.resident_id, str(draw.id), about)])


JOB = Job("draws", N_("按时推进抽奖的每一步"), timedelta(minutes=1), tick)
