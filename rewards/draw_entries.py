"""What residents do with draws: take a ticket, give it back before the draw closes, collect what it won.

Residents' turns come first, the draw's row then; entries of many at once do not wait for each other.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Session, col, select

from rewards import spending
from rewards.draw_making import managed, note
from rewards.draws import Draw, DrawEntry, DrawState
from rewards.events import Ticket, TicketReturned, TicketTaken
from rewards.published_draws import public_draw
from tanpuhui import clock, ids, outbox
from tanpuhui.db import session_on
from tanpuhui.errors import (
    DrawElsewhere,
    DrawMovedOn,
    DrawNotOpen,
    InvalidField,
    ResidentInactive,
)
from tanpuhui.i18n import N_
from tanpuhui.people import ResidentStatus, take_turn
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal

#: Where the points of tickets go.
DRAWS_PROGRAMME = "programme:draws"


def paid_reference(entry_id: UUID) -> str:
    """The reference of the transfer that pays a ticket."""
    return f"draw:{entry_id}"


def back_reference(entry_id: UUID) -> str:
    """The reference of the transfer that brings the points of a ticket back."""
    return f"draw:{entry_id}:back"


def enter(house: House, resident_id: UUID, draw_id: UUID) -> DrawEntry:
    """Take a ticket and pay its points, in one transaction; a second tap finds the first ticket.

    Raises NotFound, ResidentInactive, DrawElsewhere (it is for other communities), DrawNotOpen, InsufficientPoints.
    """

    def work(connection: Connection) -> DrawEntry:
        resident = take_turn(connection, [resident_id]).get(resident_id)
        if resident is None or resident.status != ResidentStatus.ACTIVE:
            raise ResidentInactive
        with session_on(connection) as session:
            draw = public_draw(session, draw_id)
            session.refresh(draw, with_for_update={"read": True})
            if standing := own_entry(session, resident_id, draw_id):
                return standing
            now = clock.now()
            if draw.state(now) is not DrawState.OPEN:
                raise DrawNotOpen
            if not resident.division_code.startswith(draw.division_code):
                raise DrawElsewhere
            ticket = ids.certificate_number("L", clock.local(now).year)
            entry = DrawEntry(draw_id=draw_id, resident_id=resident_id, ticket=ticket, entered_at=now)
            session.add(entry)
            session.flush()
            if draw.price:
                spending.spend(
                    connection,
                    resident_id,
                    draw.price,
                    reference=paid_reference(entry.id),
                    destination=DRAWS_PROGRAMME,
                    moment=now,
                )
                outbox.append(connection, [_told(TicketTaken, entry, draw.price, now)])
            return entry

    return house.db.run(work)


def give_up(house: House, resident_id: UUID, draw_id: UUID) -> None:
    """Give a ticket back before the draw closes; its points come back. Again changes nothing. Raises NotFound, DrawNotOpen."""

    def work(connection: Connection) -> None:
        take_turn(connection, [resident_id])
        with session_on(connection) as session:
            draw = public_draw(session, draw_id)
            session.refresh(draw, with_for_update={"read": True})
            entry = own_entry(session, resident_id, draw_id)
            if entry is None:
                return
            if draw.state(clock.now()) is not DrawState.OPEN:
                raise DrawNotOpen
            take_back(session, [entry], draw.price)

    house.db.run(work)


def take_back(session: Session, entries: Sequence[DrawEntry], price: int) -> None:
    """Take tickets out of a draw and bring their points back; the residents' turns are the caller's."""
    now, connection = clock.now(), session.connection()
    for entry in entries:
        entry.given_up_at = now
        session.add(entry)
        session.flush()
        if price and entry.resident_id:
            spending.give_back(
                connection,
                entry.resident_id,
                price,
                reference=back_reference(entry.id),
                source=DRAWS_PROGRAMME,
                moment=now,
            )
            outbox.append(connection, [_told(TicketReturned, entry, price, now)])


def _told(kind: type[Ticket], entry: DrawEntry, points: int, now: datetime) -> Ticket:
    return kind(
        subject_id=entry.id,
        resident_id=entry.resident_id,
        recorded_at=now,
        draw_id=entry.draw_id,
        points=points,
    )


def own_entry(session: Session, resident_id: UUID, draw_id: UUID) -> DrawEntry | None:
    """A resident's ticket in a draw, unless it was given back."""
    mine = (DrawEntry.resident_id == resident_id, DrawEntry.draw_id == draw_id)
    return session.exec(select(DrawEntry).where(*mine, col(DrawEntry.given_up_at).is_(None))).first()


def own_entries(session: Session, resident_id: UUID) -> Sequence[tuple[DrawEntry, Draw]]:
    """A resident's tickets, the latest first."""
    mine = (DrawEntry.resident_id == resident_id, col(DrawEntry.given_up_at).is_(None))
    query = select(DrawEntry, Draw).join(Draw).where(*mine)
    return session.exec(query.order_by(col(DrawEntry.entered_at).desc()).limit(100)).all()


def forget(connection: Connection, resident_id: UUID) -> None:
    """Who leaves gives back what is still open; of the other tickets nobody knows any more whose they were.

    The caller has taken the resident's turn.
    """
    with session_on(connection) as session:
        for entry, draw in own_entries(session, resident_id):
            session.refresh(draw, with_for_update={"read": True})
            if draw.state(clock.now()) is DrawState.OPEN:
                take_back(session, [entry], draw.price)
    mine = col(DrawEntry.resident_id) == resident_id
    connection.execute(sa.update(DrawEntry).where(mine).values(resident_id=None))


# --- handing over ------------------------------------------------------------------------------------------


def winning(session: Session, draw: Draw, typed: str) -> DrawEntry:
    """The winning ticket of a draw that was typed or shown. Raises InvalidField (``ticket``)."""
    ticket = ids.read_certificate_number(typed[:40])
    mine = (DrawEntry.draw_id == draw.id, DrawEntry.ticket == ticket)
    found = session.exec(select(DrawEntry).where(*mine, col(DrawEntry.place).is_not(None))).first()
    if found is None:
        reason = N_("这张抽奖券没有在这次抽奖中中奖，请核对券号。")
        raise InvalidField(errors=[{"field": "ticket", "reason": reason}])
    return found


def hand_over(house: House, principal: Principal, draw_id: UUID, typed: str) -> DrawEntry:
    """Note that a prize was handed over to who showed its ticket, once.

    Raises NotFound, NotAllowed, InvalidField (``ticket``: not a winner, or handed over before), DrawMovedOn (too late, or not held yet).
    """
    with house.db.session() as session:
        draw = managed(session, principal, draw_id)
        if draw.collect_by is None or clock.now() > draw.collect_by:
            raise DrawMovedOn
        entry = winning(session, draw, typed)
        free = (col(DrawEntry.id) == entry.id, col(DrawEntry.handed_at).is_(None))
        done = session.connection().execute(
            sa.update(DrawEntry).where(*free).values(handed_at=clock.now(), handed_by=principal.id)
        )
        if not done.rowcount:
            reason = N_("这张抽奖券的奖品已经领过了。")
            raise InvalidField(errors=[{"field": "ticket", "reason": reason}])
        note(session, principal, draw, "handed_over")
        session.refresh(entry)
        return entry


def handed(session: Session, draw_id: UUID) -> Sequence[str]:
    """The tickets whose prizes were handed over."""
    query = select(DrawEntry.ticket).where(
        DrawEntry.draw_id == draw_id, col(DrawEntry.handed_at).is_not(None)
    )
    return session.exec(query).all()
