"""Signing up: who has a place at a gathering, and who waits for one, strictly in the order in which they came.

    place free, nobody waits ──▶ placed            else ──▶ waiting ──a place becomes free──▶ placed

Whoever writes here has taken the resident's turn first and the gathering's turn then (`gatherings.take_turn_of`), so that
places are counted exactly; the database refuses one place too many, and a place given past those who wait longer.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, Session, SQLModel, col, select

from activities.gatherings import Gathering, take_turn_of
from tanpuhui import clock, ids
from tanpuhui.db import session_on
from tanpuhui.errors import InvalidField, SignedUpOtherwise
from tanpuhui.i18n import N_
from tanpuhui.people import ClassAccount
from tanpuhui.schema import Guard

#: People in one sign-up: a school class and who comes with it.
MOST_PEOPLE = 60

#: So long after a gathering it is forgotten who had signed up.
KEPT = timedelta(days=90)


class SignUp(SQLModel, table=True):
    """A resident has, or waits for, places at a gathering: one, or a class as many as it has `people`.

    `number`: where it stands in the line. `placed_at`: when it got its places, empty while it waits. `resident_id` is None
    once it is forgotten who it was; what is given up before the gathering begins is deleted.
    """

    __tablename__ = "sign_up"
    __table_args__ = (
        sa.UniqueConstraint("gathering_id", "resident_id"),
        sa.UniqueConstraint("gathering_id", "number"),
        sa.CheckConstraint(f"people BETWEEN 1 AND {MOST_PEOPLE}", name="people"),
        sa.CheckConstraint("number > 0", name="number"),
        sa.CheckConstraint("placed_at >= signed_up_at", name="order"),
    )

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    gathering_id: UUID = Field(foreign_key="gathering.id")
    resident_id: UUID | None = Field(default=None, foreign_key="resident.id", index=True)
    number: int
    people: int = 1
    signed_up_at: datetime
    placed_at: datetime | None = None


_LOCK = "PERFORM 1 FROM gathering WHERE id = NEW.gathering_id FOR NO KEY UPDATE;"
_OTHERS = "FROM sign_up s WHERE s.gathering_id = NEW.gathering_id AND s.id <> NEW.id"
_TOO_MANY = (
    f"NEW.placed_at IS NOT NULL AND (SELECT COALESCE(sum(s.people), 0) {_OTHERS} AND s.placed_at IS NOT NULL) "
    "+ NEW.people > (SELECT g.places FROM gathering g WHERE g.id = NEW.gathering_id)"
)
_OUT_OF_LINE = f"NEW.placed_at IS NOT NULL AND EXISTS (SELECT 1 {_OTHERS} AND s.placed_at IS NULL AND s.number < NEW.number)"
_GIVEN = "OLD.placed_at IS NULL AND "

#: Never more than the places there are, never past who waits longer; what was given is not taken back but by its holder.
GUARDS = (
    Guard("sign_up", "places", "INSERT", _TOO_MANY, "more people than places", _LOCK),
    Guard("sign_up", "places_later", "UPDATE", _GIVEN + _TOO_MANY, "more people than places", _LOCK),
    Guard("sign_up", "line", "INSERT", _OUT_OF_LINE, "others have waited longer", _LOCK),
    Guard("sign_up", "line_later", "UPDATE", _GIVEN + _OUT_OF_LINE, "others have waited longer", _LOCK),
    Guard(
        "sign_up",
        "fixed",
        "UPDATE",
        "NEW.id <> OLD.id OR NEW.gathering_id <> OLD.gathering_id OR NEW.number <> OLD.number "
        "OR NEW.people <> OLD.people OR NEW.signed_up_at <> OLD.signed_up_at "
        "OR (OLD.placed_at IS NOT NULL AND NEW.placed_at {differs} OLD.placed_at) "
        "OR (NEW.resident_id IS NOT NULL AND NEW.resident_id {differs} OLD.resident_id)",
        "only a place is given, or a person forgotten",
    ),
)


# --- the line ----------------------------------------------------------------------------------------------


def own_sign_up(session: Session, gathering_id: UUID, resident_id: UUID) -> SignUp | None:
    """A resident's sign-up for a gathering, if there is one."""
    mine = select(SignUp).where(SignUp.gathering_id == gathering_id, SignUp.resident_id == resident_id)
    return session.exec(mine).first()


def taken(session: Session, gathering_id: UUID) -> int:
    """How many places of a gathering are taken."""
    placed = select(sa.func.coalesce(sa.func.sum(SignUp.people), 0)).where(
        SignUp.gathering_id == gathering_id, col(SignUp.placed_at).is_not(None)
    )
    return int(session.exec(placed).one())


def anybody(session: Session, gathering_id: UUID) -> bool:
    """Whether anybody has signed up for a gathering."""
    return (
        session.exec(select(SignUp.id).where(SignUp.gathering_id == gathering_id).limit(1)).first()
        is not None
    )


def _waiting(gathering_id: UUID) -> Any:
    waiting = select(SignUp).where(SignUp.gathering_id == gathering_id, col(SignUp.placed_at).is_(None))
    return waiting.order_by(col(SignUp.number))


def has_room(session: Session, gathering: Gathering, people: int) -> bool:
    """Whether `people` who come now get their places at once: nobody waits, and there are so many."""
    if session.exec(_waiting(gathering.id).limit(1)).first():
        return False
    return taken(session, gathering.id) + people <= gathering.places


def enter(session: Session, gathering: Gathering, resident_id: UUID, people: int, now: datetime) -> SignUp:
    """Put a resident into the line, with a place if there is one. The caller has taken both turns and checked.

    Raises SignedUpOtherwise where they stand in it already with another number of people; with the same one it is theirs.
    """
    mine = own_sign_up(session, gathering.id, resident_id)
    if mine is not None:
        if mine.people != people:
            raise SignedUpOtherwise(people=mine.people)
        return mine
    gathering.numbers += 1
    session.add(gathering)
    mine = SignUp(
        gathering_id=gathering.id,
        resident_id=resident_id,
        number=gathering.numbers,
        people=people,
        signed_up_at=now,
        placed_at=now if has_room(session, gathering, people) else None,
    )
    session.add(mine)
    session.flush()
    return mine


def move_up(session: Session, gathering: Gathering, now: datetime) -> None:
    """Give free places to those who wait, the first in line first; a class that does not fit keeps those behind it back.

    Once it has begun nobody moves up any more. The caller has taken the gathering's turn.
    """
    if gathering.cancelled_at is not None or now >= gathering.starts_at:
        return
    free = gathering.places - taken(session, gathering.id)
    for first in session.exec(_waiting(gathering.id)):
        if first.people > free:
            return
        free -= first.people
        first.placed_at = max(now, first.signed_up_at + timedelta(microseconds=1))
        session.add(first)
        session.flush()


def check_people(session: Session, gathering: Gathering, resident_id: UUID, people: int) -> None:
    """One account is one person; a school class says how many it is. Raises InvalidField."""
    most = MOST_PEOPLE if session.get(ClassAccount, resident_id) else 1
    reason = ""
    if not 1 <= people <= most:
        reason = N_("一个账户只能报一个人；班级账户可以报 1 到 60 人。")
    elif people > gathering.places:
        reason = N_("人数比这次活动的名额还多。")
    if reason:
        raise InvalidField(errors=[{"field": "people", "reason": reason}])


@dataclass(frozen=True, slots=True)
class Standing:
    """A resident's sign-up, and how many people wait before it."""

    sign_up: SignUp
    ahead: int


def standing(session: Session, gathering_id: UUID, resident_id: UUID) -> Standing | None:
    """Where a resident stands in the line of a gathering, if they do."""
    mine = own_sign_up(session, gathering_id, resident_id)
    if mine is None:
        return None
    before = select(sa.func.coalesce(sa.func.sum(SignUp.people), 0)).where(
        SignUp.gathering_id == gathering_id,
        col(SignUp.placed_at).is_(None),
        SignUp.number < mine.number,
    )
    return Standing(mine, 0 if mine.placed_at else int(session.exec(before).one()))


# --- forgetting --------------------------------------------------------------------------------------------


def forget(connection: Connection, resident_id: UUID) -> None:
    """Who leaves gives up what has not begun, and the next in line moves up; of the rest nobody knows whose it was.

    The caller has taken the resident's turn; the gatherings' turns are taken in one order, so that none wait for each other.
    """
    with session_on(connection) as session:
        theirs = select(SignUp.gathering_id).where(SignUp.resident_id == resident_id)
        for gathering_id in sorted(session.exec(theirs).all()):
            gathering = take_turn_of(session, gathering_id)
            mine = own_sign_up(session, gathering_id, resident_id)
            if mine is None:
                continue
            if clock.now() >= gathering.starts_at or came(session, mine.id):
                mine.resident_id = None
                session.add(mine)
                session.flush()
            else:
                session.delete(mine)
                session.flush()
                move_up(session, gathering, clock.now())


def came(session: Session, sign_up_id: UUID) -> bool:
    """Whether a sign-up was checked in."""
    check_in = SQLModel.metadata.tables["check_in"]
    return bool(session.scalar(sa.select(sa.exists().where(check_in.c.sign_up_id == sign_up_id))))


def purge(connection: Connection, before: datetime) -> None:
    """Forget who had signed up for what ended before a moment; the numbers stay."""
    over = sa.select(col(Gathering.id)).where(col(Gathering.ends_at) < before)
    connection.execute(
        sa.update(SignUp)
        .where(col(SignUp.gathering_id).in_(over), col(SignUp.resident_id).is_not(None))
        .values(resident_id=None)
    )
