"""How the bureau answers what residents write in: the queue by due date, and the answer that is never lost.

Staff see the community of an author and what was said, nothing that leads to the person.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Session, col, select

from tanpuhui import audit
from tanpuhui.db import session_on
from tanpuhui.errors import FeedbackClosed, FeedbackMovedOn, NotFound
from tanpuhui.feedback import ANSWERED, Feedback, FeedbackEntry, FeedbackState, entries, tidy
from tanpuhui.inbox import Note, tell
from tanpuhui.people import take_turn
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal
from tanpuhui.staff import Role, grants_of, require
from tanpuhui.topics import Topic

ANSWERERS = (Role.OFFICER, Role.ADMIN)

#: So many are listed at once.
PAGE = 50

_ORDER = {
    FeedbackState.OPEN: (col(Feedback.due_on), col(Feedback.number)),
    FeedbackState.ANSWERED: (col(Feedback.answered_at).desc(), col(Feedback.number)),
    FeedbackState.CLOSED: (col(Feedback.closed_at).desc(), col(Feedback.number)),
}


def _within(session: Session, principal: Principal) -> Any:
    """The condition that a feedback comes from a division that `principal` answers for."""
    codes = [
        given.division_code
        for given in grants_of(session, principal)
        if given.role in ANSWERERS and given.division_code
    ]
    return sa.or_(sa.false(), *(col(Feedback.division_code).startswith(code) for code in codes))


def queue(
    session: Session, principal: Principal, state: FeedbackState, page: int = 1
) -> tuple[Sequence[Feedback], bool]:
    """A page of what is in `state` in the scope of `principal`, and whether there are more: open ones by due date."""
    listed = select(Feedback).where(Feedback.state == state, _within(session, principal))
    query = listed.order_by(*_ORDER[state]).offset(PAGE * (page - 1)).limit(PAGE + 1)
    found = session.exec(query).all()
    return found[:PAGE], len(found) > PAGE


def appeals(session: Session, principal: Principal, topics: Iterable[Topic]) -> Sequence[Feedback]:
    """What in the scope of `principal` contests a decision and waits for an answer, by due date."""
    about = [
        sa.and_(col(Feedback.topic) == topic.key, topic.appeal(col(Feedback.topic_id)))
        for topic in topics
        if topic.appeal
    ]
    waiting = (Feedback.state == FeedbackState.OPEN, _within(session, principal), sa.or_(sa.false(), *about))
    return session.exec(select(Feedback).where(*waiting).order_by(*_ORDER[FeedbackState.OPEN])).all()


def overdue(session: Session, principal: Principal, today: date) -> int:
    """How many open ones in the scope of `principal` should have been answered before `today`."""
    late = (Feedback.state == FeedbackState.OPEN, Feedback.due_on < today, _within(session, principal))
    return session.exec(select(sa.func.count()).select_from(Feedback).where(*late)).one()


def one(session: Session, principal: Principal, feedback_id: UUID) -> Feedback:
    """A feedback that `principal` answers for. Raises NotFound, NotAllowed."""
    found = session.get(Feedback, feedback_id)
    if found is None:
        raise NotFound
    require(session, principal, ANSWERERS, division_code=found.division_code)
    return found


def answer(house: House, principal: Principal, feedback_id: UUID, *, text: str, seen: UUID) -> None:
    """Answer a feedback; its author is told in the inbox. `seen`: the last entry that the officer has read.

    The same answer sent twice is one. Raises InvalidField, NotFound, NotAllowed, FeedbackClosed, and FeedbackMovedOn
    when something was said since: then nothing is written, and the officer is shown it.
    """
    said = tidy(text)

    def work(connection: Connection) -> None:
        with session_on(connection) as session:
            feedback = one(session, principal, feedback_id)
            if feedback.resident_id:
                take_turn(connection, [feedback.resident_id])
            session.refresh(feedback, with_for_update=True)
            last = entries(session, feedback.id)[-1]
            if last.staff_id == principal.id and last.text == said:
                return
            if feedback.state is FeedbackState.CLOSED or feedback.resident_id is None:
                raise FeedbackClosed
            if last.id != seen:
                raise FeedbackMovedOn
            entry = FeedbackEntry(feedback_id=feedback.id, staff_id=principal.id, text=said)
            feedback.state = FeedbackState.ANSWERED
            feedback.answered_at = feedback.answered_at or entry.said_at
            session.add_all([feedback, entry])
            audit.note_by(
                session,
                principal,
                deed="feedback.answered",
                subject=f"feedback:{feedback.id}",
                entry=str(entry.id),
            )
            params = {"feedback": str(feedback.id), "number": feedback.number, "kind": feedback.kind.value}
            tell(connection, [Note(ANSWERED, feedback.resident_id, str(entry.id), params)])

    house.db.run(work)
