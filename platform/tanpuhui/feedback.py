"""Complaints, suggestions and questions: each has a number, a day by which it is answered, and a tracked answer.

    open ──answer──▶ answered ──"solved", or 30 days of silence──▶ closed
      ▲                 │
      └──"not solved"───┘          (an open one may be closed by its author, too)

What its author does is here; what the bureau does is in `tanpuhui.bureau.answers`. Whatever writes to a feedback has
taken its author's turn.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, Session, SQLModel, col, select

from tanpuhui import clock, idempotency, ids, workdays
from tanpuhui.db import enum_type, session_on
from tanpuhui.errors import (
    FeedbackClosed,
    InvalidField,
    KeyReused,
    NotFound,
    TooManyOpen,
    TooMuchSaid,
)
from tanpuhui.i18n import N_
from tanpuhui.idempotency import Answer
from tanpuhui.letters import Letter
from tanpuhui.people import ResidentStatus, take_turn
from tanpuhui.rooms import House

LONGEST = 2000  # characters of what somebody says at a time
MOST_OPEN = 5  # feedbacks of one resident that wait for an answer
MOST_SAID = 20  # entries of its author in one feedback

#: An answered one whose author says nothing for so long is closed.
CLOSED_AFTER = timedelta(days=30)

#: What stands in place of a person's words once they have left.
WORDS_GONE = "（作者已注销，内容已删除）"


class FeedbackKind(StrEnum):
    """What somebody has to say."""

    COMPLAINT = "complaint"
    SUGGESTION = "suggestion"
    QUESTION = "question"


FEEDBACK_KIND_NAMES = {
    FeedbackKind.COMPLAINT: N_("投诉"),
    FeedbackKind.SUGGESTION: N_("建议"),
    FeedbackKind.QUESTION: N_("咨询"),
}

#: Working days within which each kind is answered: the district's own choice, not taken from a rule.
ANSWER_WITHIN = {FeedbackKind.COMPLAINT: 5, FeedbackKind.SUGGESTION: 10, FeedbackKind.QUESTION: 5}

_PREFIX = {FeedbackKind.COMPLAINT: "TS", FeedbackKind.SUGGESTION: "JY", FeedbackKind.QUESTION: "ZX"}


class FeedbackState(StrEnum):
    """Where it stands."""

    OPEN = "open"
    ANSWERED = "answered"
    CLOSED = "closed"


FEEDBACK_STATE_NAMES = {
    FeedbackState.OPEN: N_("待答复"),
    FeedbackState.ANSWERED: N_("已答复"),
    FeedbackState.CLOSED: N_("已办结"),
}


class Feedback(SQLModel, table=True):
    """A complaint, suggestion or question. `resident_id` is None once its author has left.

    `division_code` is the author's community at the time, all that staff learn of them.
    """

    __tablename__ = "feedback"
    __table_args__ = (
        sa.CheckConstraint(
            "(state = 'open' AND answered_at IS NULL) OR (state = 'answered' AND answered_at IS NOT NULL)"
            " OR state = 'closed'",
            name="answered",
        ),
        sa.CheckConstraint("(closed_at IS NOT NULL) = (state = 'closed')", name="closed"),
        sa.CheckConstraint("resident_id IS NOT NULL OR state = 'closed'", name="author"),
        sa.CheckConstraint("(topic IS NULL) = (topic_id IS NULL)", name="topic"),
        sa.Index("ix_feedback_state_due_on", "state", "due_on"),
    )

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    number: str = Field(max_length=20, unique=True)
    resident_id: UUID | None = Field(default=None, foreign_key="resident.id", index=True)
    division_code: str = Field(foreign_key="division.code", max_length=12)
    kind: FeedbackKind = Field(sa_column=sa.Column(enum_type(FeedbackKind), nullable=False))
    topic: str | None = Field(default=None, max_length=16)
    topic_id: UUID | None = None
    state: FeedbackState = Field(
        default=FeedbackState.OPEN, sa_column=sa.Column(enum_type(FeedbackState), nullable=False)
    )
    opened_at: datetime = Field(default_factory=clock.now)
    due_on: date
    answered_at: datetime | None = None
    closed_at: datetime | None = None


class FeedbackEntry(SQLModel, table=True):
    """Something that was said in a feedback. `staff_id` is None for what its author said."""

    __tablename__ = "feedback_entry"
    __table_args__ = (sa.CheckConstraint("text <> ''", name="text"),)

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    feedback_id: UUID = Field(foreign_key="feedback.id", index=True)
    said_at: datetime = Field(default_factory=clock.now)
    staff_id: UUID | None = Field(default=None, foreign_key="staff.id")
    text: str = Field(max_length=LONGEST)


class FeedbackDay(SQLModel, table=True):
    """How many numbers were given on a day, so that each is given once."""

    __tablename__ = "feedback_day"
    __table_args__ = (sa.CheckConstraint("given > 0", name="given"),)

    day: date = Field(primary_key=True)
    given: int


@dataclass(frozen=True)
class About:
    """What a feedback is about: a topic of the house, and the id of the thing."""

    topic: str
    id: UUID


#: The bureau answered: told to the author.
ANSWERED = Letter("feedback.answered", "letters/answered.html", icon="speech")


# --- what is said --------------------------------------------------------------------------------------------


def tidy(text: str) -> str:
    """What somebody wrote, with one sort of line end. Raises InvalidField for nothing, and for too much."""
    said = "\n".join(text.splitlines()).strip()
    if not said:
        raise InvalidField(errors=[{"field": "text", "reason": N_("请写下您想说的。")}])
    if len(said) > LONGEST:
        raise InvalidField(errors=[{"field": "text", "reason": N_("最多 2000 字，请精简一些。")}])
    return said


def write_in(
    house: House, resident_id: UUID, *, key: str | None, kind: str, text: str, about: About | None = None
) -> Answer:
    """Take in what a resident writes: the answer of `POST /api/v1/feedback`, the same one again for the same key.

    Raises InvalidField, NotFound for a topic that they may not name, TooManyOpen, KeyReused and the refusals of a key.
    """
    key = idempotency.check_key(key)
    if kind not in set(FeedbackKind):
        raise InvalidField(errors=[{"field": "kind", "reason": N_("请选择是投诉、建议还是咨询。")}])
    said, wanted = tidy(text), FeedbackKind(kind)
    asked = idempotency.request_hash({"kind": wanted.value, "text": said, "about": str(about)})

    def work(connection: Connection) -> Answer:
        resident = take_turn(connection, [resident_id]).get(resident_id)
        stored = idempotency.find(connection, [(resident_id, key)]).get((resident_id, key))
        if stored is not None:
            if stored.request_hash != asked:
                raise KeyReused
            return Answer(stored.answer, replayed=True)
        if resident is None or resident.status != ResidentStatus.ACTIVE:
            raise NotFound
        if about is not None:
            _check_topic(house, connection, resident_id, about)
        opened = _open(connection, resident, wanted, said, about)
        body = json.dumps({"feedback": view(opened)})
        row = {
            "owner_id": resident_id,
            "key": key,
            "request_hash": asked,
            "answer": body,
            "stored_at": opened.opened_at,
        }
        idempotency.store(connection, [row])
        return Answer(body, replayed=False)

    return house.db.run(work)


def _check_topic(house: House, connection: Connection, resident_id: UUID, about: About) -> None:
    topic = house.topics.get(about.topic)
    if topic is None or not topic.may_name(connection, resident_id, about.id):
        raise NotFound


def _open(
    connection: Connection, resident: sa.Row[Any], kind: FeedbackKind, said: str, about: About | None
) -> Feedback:
    with session_on(connection) as session:
        _leave_room(session, resident.id)
        now = clock.now()
        feedback = Feedback(
            number=_next_number(connection, kind, clock.day_of(now)),
            resident_id=resident.id,
            division_code=resident.division_code,
            kind=kind,
            topic=about.topic if about else None,
            topic_id=about.id if about else None,
            opened_at=now,
            due_on=due_on(kind, now),
        )
        session.add(feedback)
        session.flush()
        session.add(FeedbackEntry(feedback_id=feedback.id, said_at=now, text=said))
        session.flush()
        session.expunge(feedback)
        return feedback


def _leave_room(session: Session, resident_id: UUID) -> None:
    """Raises TooManyOpen where one more would be too many. Call after taking the resident's turn."""
    waiting = (Feedback.resident_id == resident_id, Feedback.state == FeedbackState.OPEN)
    if session.exec(select(sa.func.count()).select_from(Feedback).where(*waiting)).one() >= MOST_OPEN:
        raise TooManyOpen(most=MOST_OPEN)


_NEXT = sa.text(
    "INSERT INTO feedback_day (day, given) VALUES (:day, 1) "
    "ON CONFLICT (day) DO UPDATE SET given = feedback_day.given + 1 RETURNING given"
).bindparams(sa.bindparam("day", type_=sa.Date()))


def _next_number(connection: Connection, kind: FeedbackKind, day: date) -> str:
    """The next number of the day, such as ``TS-20261125-0007``; whoever comes at the same moment waits for it."""
    given = connection.execute(_NEXT, {"day": day}).scalar_one()
    return f"{_PREFIX[kind]}-{day:%Y%m%d}-{given:04d}"


def due_on(kind: FeedbackKind, now: datetime) -> date:
    """The last day on which an answer is in time."""
    return workdays.after(clock.day_of(now), ANSWER_WITHIN[kind])


# --- what becomes of it ---------------------------------------------------------------------------------------


def say(house: House, resident_id: UUID, feedback_id: UUID, text: str) -> None:
    """Let the author add something. Of an answered one it says "not solved": it is open again, with a new day.

    The same words a second time add nothing. Raises InvalidField, NotFound, FeedbackClosed, TooManyOpen, TooMuchSaid.
    """
    said = tidy(text)
    with house.db.session() as session:
        feedback = _take(session, resident_id, feedback_id)
        before = entries(session, feedback.id)
        if before[-1].staff_id is None and before[-1].text == said:
            return
        if feedback.state is FeedbackState.CLOSED:
            raise FeedbackClosed
        if sum(entry.staff_id is None for entry in before) >= MOST_SAID:
            raise TooMuchSaid(most=MOST_SAID)
        now = clock.now()
        if feedback.state is FeedbackState.ANSWERED:
            _leave_room(session, resident_id)
            feedback.state, feedback.answered_at = FeedbackState.OPEN, None
            feedback.due_on = due_on(feedback.kind, now)
            session.add(feedback)
        session.add(FeedbackEntry(feedback_id=feedback.id, said_at=now, text=said))


def close(house: House, resident_id: UUID, feedback_id: UUID) -> None:
    """Let the author say that it is solved. Closing twice changes nothing. Raises NotFound."""
    with house.db.session() as session:
        feedback = _take(session, resident_id, feedback_id)
        if feedback.state is not FeedbackState.CLOSED:
            feedback.state, feedback.closed_at = FeedbackState.CLOSED, clock.now()
            session.add(feedback)


def _take(session: Session, resident_id: UUID, feedback_id: UUID) -> Feedback:
    """One's own feedback as the previous turn left it. Raises NotFound."""
    take_turn(session.connection(), [resident_id])
    found = session.exec(
        select(Feedback)
        .where(Feedback.id == feedback_id, Feedback.resident_id == resident_id)
        .with_for_update()
    ).first()
    if found is None:
        raise NotFound
    return found


def close_answered(_house: House, connection: Connection, now: datetime) -> None:
    """Close what was answered so long ago that its author seems to be content."""
    silent = (col(Feedback.state) == FeedbackState.ANSWERED, col(Feedback.answered_at) < now - CLOSED_AFTER)
    connection.execute(sa.update(Feedback).where(*silent).values(state=FeedbackState.CLOSED, closed_at=now))


# --- reading back ----------------------------------------------------------------------------------------------


def own(session: Session, resident_id: UUID, limit: int = 100) -> Sequence[Feedback]:
    """What a resident wrote in, the newest first."""
    mine = select(Feedback).where(Feedback.resident_id == resident_id)
    return session.exec(mine.order_by(col(Feedback.opened_at).desc()).limit(limit)).all()


def own_one(session: Session, resident_id: UUID, feedback_id: UUID) -> Feedback:
    """One of a resident's. Raises NotFound for anybody else's."""
    found = session.get(Feedback, feedback_id)
    if found is None or found.resident_id != resident_id:
        raise NotFound
    return found


def entries(session: Session, feedback_id: UUID) -> Sequence[FeedbackEntry]:
    """What was said, the first word first."""
    said = select(FeedbackEntry).where(FeedbackEntry.feedback_id == feedback_id)
    return session.exec(said.order_by(col(FeedbackEntry.said_at), col(FeedbackEntry.id))).all()


def threads(session: Session, resident_id: UUID) -> list[tuple[Feedback, list[FeedbackEntry]]]:
    """What a resident wrote in with all that was said, the newest first."""
    found = own(session, resident_id)
    said = select(FeedbackEntry).where(col(FeedbackEntry.feedback_id).in_([one.id for one in found]))
    by_feedback: dict[UUID, list[FeedbackEntry]] = {one.id: [] for one in found}
    for entry in session.exec(said.order_by(col(FeedbackEntry.said_at), col(FeedbackEntry.id))):
        by_feedback[entry.feedback_id].append(entry)
    return [(one, by_feedback[one.id]) for one in found]


def view(feedback: Feedback) -> dict[str, Any]:
    """A feedback as the API shows it, without what was said."""
    moments = {name: getattr(feedback, name) for name in ("opened_at", "answered_at", "closed_at")}
    return {
        "id": str(feedback.id),
        "number": feedback.number,
        "kind": feedback.kind.value,
        "state": feedback.state.value,
        "about": {"topic": feedback.topic, "id": str(feedback.topic_id)} if feedback.topic else None,
        "due_on": feedback.due_on.isoformat(),
        **{name: moment and moment.isoformat().replace("+00:00", "Z") for name, moment in moments.items()},
    }
