"""What must always hold of draws; `tanpuhui verify` asks."""

from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import col, select

from rewards import repeat_draw
from rewards.draws import Draw
from rewards.published_draws import tickets_of, winners_of
from tanpuhui.db import session_on, uuid_text
from tanpuhui.rooms import Invariant

#: What each ticket paid and got back: nothing where it was free.
_PAID = """
SELECT id, price, paid, returned FROM (
SELECT e.id, d.price, e.given_up_at,
COALESCE((SELECT t.amount FROM transfer t WHERE t.reference = {paid}), 0) AS paid,
COALESCE((SELECT sum(t.amount) FROM transfer t WHERE t.reference IN ({back}, {late})), 0) AS returned
FROM draw_entry e JOIN draw d ON d.id = e.draw_id) tickets
WHERE paid <> price OR returned <> CASE WHEN given_up_at IS NULL THEN 0 ELSE price END
"""
_MOVED = (
    "SELECT COALESCE(sum(CASE WHEN destination = 'programme:draws' THEN amount ELSE -amount END), 0) FROM transfer "
    "WHERE 'programme:draws' IN (source, destination) OR reference LIKE 'draw:%'"
)
_DUE = (
    "SELECT COALESCE(sum(CASE WHEN e.given_up_at IS NULL THEN d.price ELSE 0 END), 0) FROM draw_entry e "
    "JOIN draw d ON d.id = e.draw_id"
)


def _payments(connection: Connection) -> Iterator[str]:
    """Each ticket was paid once, and its points came back if it was given up."""
    written = uuid_text(connection, "e.id")
    query = _PAID.format(
        late=f"'draw\\:' || {written} || '\\:back\\:late'",
        paid=f"'draw\\:' || {written}",
        back=f"'draw\\:' || {written} || '\\:back'",
    )
    for row in connection.execute(sa.text(query)):
        yield f"ticket {row.id} costs {row.price}, paid {row.paid}, got {row.returned} back"
    moved, due = connection.scalar(sa.text(_MOVED)), connection.scalar(sa.text(_DUE))
    if moved != due:
        yield f"draws hold {moved} points, their tickets say {due}"


def _fair(connection: Connection) -> Iterator[str]:
    """Whoever repeats a draw gets the winners that stand there."""
    with session_on(connection) as session:
        for draw in session.exec(select(Draw).where(col(Draw.closed_at).is_not(None))):
            tickets = tickets_of(session, draw.id)
            if draw.cancelled_at is None and repeat_draw.digest_of(tickets) != draw.digest:
                yield f"draw {draw.id}: its tickets are not those it closed with"
            if draw.seed is None:
                continue
            if repeat_draw.sha256(draw.seed) != draw.commitment:
                yield f"draw {draw.id}: its seed is not the one that was committed to"
            won = repeat_draw.winners(draw.seed, draw.witnessed, tickets, draw.prizes)
            if won != list(winners_of(session, draw.id)):
                yield f"draw {draw.id}: its winners are not those that the rule gives"


DRAW_INVARIANTS = (
    Invariant("a ticket is paid once, and paid back when it is given up", _payments),
    Invariant("every draw can be repeated", _fair),
)
