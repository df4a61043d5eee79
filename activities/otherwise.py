"""What would you have done otherwise? A light question beside some records, of whoever agreed to be asked.

Which records are asked about follows from their ids alone, so that nobody picks whom to ask; of several of a resident's day the first one
is, so that nobody is asked twice a day. One tap answers or skips it, once; classes are never asked.
Answers estimate how much of a reduction would have been there anyway; they change no record and no points, and only sums are told.
They are kept by consent: taken back or after leaving, they are deleted.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.orm import aliased
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.sql.sqltypes import UTCDateTime

from activities.actions import Action
from activities.error_rates import wilson
from activities.reviews import standing
from tanpuhui import clock, consents
from tanpuhui.bureau.suppression import Sum, left_out, told
from tanpuhui.db import enum_type
from tanpuhui.errors import InvalidField, NotFound
from tanpuhui.i18n import N_
from tanpuhui.people import PRESENT, Consent, Document, take_turn
from tanpuhui.rooms import House
from tanpuhui.schema import Guard

#: Of so many records one is asked about.
ONE_IN = 8

#: The last digit of the id of such a record, in hexadecimal.
_LAST = ("0", "8")


class Otherwise(StrEnum):
    """What would have been done without the campaign, or without the platform."""

    SAME = "same"
    PART = "part"
    NOT = "not"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"


OTHERWISE_NAMES = {
    Otherwise.SAME: N_("一样会做"),
    Otherwise.PART: N_("会做一部分"),
    Otherwise.NOT: N_("不会做"),
    Otherwise.UNKNOWN: N_("说不好"),
}

#: What counts as an answer.
ANSWERS = tuple(OTHERWISE_NAMES)

#: The question, by the category of a kind where it helps.
_QUESTIONS = {
    "travel": N_("要是没有碳普惠，这一趟您会怎么走？"),
    "food": N_("要是没有碳普惠，这一顿您会怎么做？"),
    "recycling": N_("要是没有碳普惠，这些东西您会怎么处理？"),
}
_QUESTION = N_("要是没有碳普惠，这件事您会怎么做？")


class OtherwiseAnswer(SQLModel, table=True):
    """What was said of a record, or that the question was skipped."""

    __tablename__ = "otherwise_answer"

    action_id: UUID = Field(foreign_key="action.id", primary_key=True)
    answer: Otherwise = Field(sa_type=enum_type(Otherwise))
    answered_at: datetime


#: An answer is given once.
GUARDS = (Guard("otherwise_answer", "once", "UPDATE", "true", "an answer is given once"),)


def is_asked_about(action_id: UUID) -> bool:
    """Whether a record is one of those that are asked about."""
    return action_id.hex[-1] in _LAST


def _asked_about(action: Any = Action) -> Any:
    text = sa.cast(col(action.id), sa.Text)
    return sa.or_(*(text.like(f"%{digit}") for digit in _LAST))


def drawn() -> Any:
    """The condition that a record is asked about: drawn, and no other of its resident's day that is was recorded before it."""
    other: Any = aliased(Action)
    earlier = sa.or_(
        other.recorded_at < col(Action.recorded_at),
        sa.and_(other.recorded_at == col(Action.recorded_at), other.id < col(Action.id)),
    )
    first = ~sa.exists().where(
        other.resident_id == col(Action.resident_id),
        other.day == col(Action.day),
        _asked_about(other),
        earlier,
    )
    return sa.and_(_asked_about(), first)


def question(category: str) -> str:
    """The question about a kind of `category`, in Chinese."""
    return _QUESTIONS.get(category, _QUESTION)


def is_open(connection: Connection, action_id: UUID, resident_id: UUID) -> bool:
    """Whether the resident is asked about this record of theirs: it is drawn, they agreed, and it was not answered or taken back."""
    if not is_asked_about(action_id) or not consents.stands(connection, resident_id, Document.QUESTIONS):
        return False
    if not consents.is_asked(connection, resident_id, Document.QUESTIONS):
        return False
    answered = sa.exists().where(col(OtherwiseAnswer.action_id) == col(Action.id))
    own = (col(Action.id) == action_id, col(Action.resident_id) == resident_id)
    return (
        connection.execute(sa.select(col(Action.id)).where(*own, drawn(), standing(), ~answered)).first()
        is not None
    )


_INSERT = sa.text(
    "INSERT INTO otherwise_answer (action_id, answer, answered_at) VALUES (:action_id, :answer, :now) "
    "ON CONFLICT DO NOTHING"
).bindparams(sa.bindparam("action_id", type_=sa.Uuid()), sa.bindparam("now", type_=UTCDateTime()))


def answer(house: House, resident_id: UUID, action_id: UUID, said: str) -> None:
    """Keep an answer, the first one. Raises InvalidField for none of the answers, NotFound for what is not asked (any more)."""
    if said not in set(Otherwise):
        raise InvalidField(errors=[{"field": "answer", "reason": N_("请选一个回答，或者跳过。")}])

    def work(connection: Connection) -> None:
        take_turn(connection, [resident_id])  # a consent that is taken back meanwhile counts
        if connection.scalar(
            select(OtherwiseAnswer.action_id)
            .join(Action, col(Action.id) == col(OtherwiseAnswer.action_id))
            .where(OtherwiseAnswer.action_id == action_id, Action.resident_id == resident_id)
        ):
            return
        if not is_open(connection, action_id, resident_id):
            raise NotFound
        connection.execute(_INSERT, {"action_id": action_id, "answer": said, "now": clock.now()})

    house.db.run(work)


def forget(connection: Connection, resident_id: UUID) -> None:
    """Delete what a resident answered."""
    theirs = select(Action.id).where(Action.resident_id == resident_id)
    connection.execute(sa.delete(OtherwiseAnswer).where(col(OtherwiseAnswer.action_id).in_(theirs)))


def summary(connection: Connection, these: Any) -> dict[str, Any] | None:
    """Of the records that fulfil `these`: how many were asked about, how many answers there are, and of each how many.

    `not_share`: those that would not have been done, in permille with the Wilson interval of 95 %. None where fewer than five people
    answered; an answer of too few is None.
    """
    people = sa.func.count(col(Action.resident_id).distinct()).label("people")
    asked_about = (these, standing(), drawn())
    agreed = sa.exists().where(
        col(Consent.resident_id) == col(Action.resident_id),
        col(Consent.document) == Document.QUESTIONS.value,
        col(Consent.version) == PRESENT[Document.QUESTIONS],
        col(Consent.withdrawn_at).is_(None),
    )
    asked = connection.execute(
        sa.select(sa.func.count().label("records"), people).where(*asked_about, agreed)
    ).one()
    given = (
        sa.select(col(OtherwiseAnswer.answer), sa.func.count().label("records"), people)
        .join_from(Action, OtherwiseAnswer, col(OtherwiseAnswer.action_id) == col(Action.id))
        .where(*asked_about, col(OtherwiseAnswer.answer) != Otherwise.SKIPPED)
    )
    rows = {row.answer: row for row in connection.execute(given.group_by(col(OtherwiseAnswer.answer)))}
    everybody = connection.scalar(
        sa.select(people)
        .join_from(Action, OtherwiseAnswer, col(OtherwiseAnswer.action_id) == col(Action.id))
        .where(*asked_about, col(OtherwiseAnswer.answer) != Otherwise.SKIPPED)
    )
    if not everybody or not told(everybody):
        return None
    counted = {said.value: rows[said].people if said in rows else 0 for said in OTHERWISE_NAMES}
    hidden = left_out(counted, [Sum(tuple(counted))])
    answers = {
        said.value: None if said.value in hidden else (rows[said].records if said in rows else 0)
        for said in OTHERWISE_NAMES
    }
    answered, not_done = sum(row.records for row in rows.values()), answers[Otherwise.NOT.value]
    return {
        "asked": asked.records,
        "answered": answered,
        "answers": answers,
        "not_share": None
        if not_done is None
        else {
            "permille": (2000 * not_done + answered) // (2 * answered),
            "interval": list(wilson(not_done, answered)),
        },
    }
