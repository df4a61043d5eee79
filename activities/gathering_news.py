"""What those who signed up for a gathering are told: a place became theirs, it was changed or cancelled, it is tomorrow.

What is owed follows from the sign-ups and from what stands in the inboxes, where each message is once. It is told in a
transaction of its own, right after what gave rise to it: residents' turns are taken before a gathering's, never within it.
What a crash left untold, and the reminders, the job tells within a minute.
"""

from collections.abc import Iterator
from datetime import datetime, time, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import col

from activities.gathering_list import Seen, seen
from activities.gatherings import Gathering
from activities.sign_ups import SignUp
from tanpuhui import clock
from tanpuhui.db import session_on
from tanpuhui.errors import NotFound
from tanpuhui.i18n import N_
from tanpuhui.inbox import Message, Note, tell
from tanpuhui.jobs import Job
from tanpuhui.letters import Letter
from tanpuhui.people import Resident, ResidentStatus, take_turn
from tanpuhui.rooms import House

#: So many are told in one transaction.
AT_A_TIME = 500

#: From this time of the day before, Asia/Shanghai, people are reminded.
REMIND_AT = time(9)


def _what(connection: Connection, _resident_id: UUID, params: Any) -> Seen | None:
    """The gathering as it is now."""
    with session_on(connection) as session:
        try:
            return seen(session, UUID(params["gathering"]))
        except NotFound:
            return None


def _letter(kind: str, icon: str) -> Letter:
    return Letter(f"gathering.{kind}", f"activities/letters/gathering_{kind}.html", icon=icon, look=_what)


PLACE = _letter("place", "check")
CHANGED = _letter("changed", "alert")
CANCELLED = _letter("cancelled", "alert")
REMINDER = _letter("reminder", "clock")
LETTERS = (PLACE, CHANGED, CANCELLED, REMINDER)


def remind_from(starts_at: datetime) -> datetime:
    """When those who come are reminded: on the day before."""
    return datetime.combine(clock.day_of(starts_at) - timedelta(days=1), REMIND_AT, clock.SHANGHAI)


# --- what is owed ------------------------------------------------------------------------------------------


def _text(column: Any) -> Any:
    return sa.cast(column, sa.Text)


_CODE = _text(col(Gathering.code))
_AS_CHANGED = _CODE + ":" + _text(col(Gathering.changes))


def _rules(connection: Connection, now: datetime) -> Iterator[tuple[Letter, Any, tuple[Any, ...]]]:
    """Each letter, the reference that makes it once, and to whom it is owed."""
    stands = (col(Gathering.cancelled_at).is_(None), col(Gathering.starts_at) > now)
    moved_up = col(SignUp.placed_at) > col(SignUp.signed_up_at)
    yield PLACE, _CODE + ":" + _text(col(SignUp.number)), (*stands, moved_up)
    signed_up_before = col(SignUp.signed_up_at) <= col(Gathering.changed_at)
    yield CHANGED, _AS_CHANGED, (*stands, signed_up_before)
    yield CANCELLED, _CODE, (col(Gathering.cancelled_at).is_not(None), col(Gathering.ends_at) > now)
    yield REMINDER, _AS_CHANGED, (*stands, sa.or_(sa.false(), *_tomorrow(connection, now)))


def _tomorrow(connection: Connection, now: datetime) -> Iterator[Any]:
    """The sign-ups for what is tomorrow. Who got the place today has just read when it is, and so has everybody if it was
    changed today."""
    near = sa.select(col(Gathering.id), col(Gathering.starts_at), col(Gathering.changed_at)).where(
        col(Gathering.starts_at) > now, col(Gathering.starts_at) < now + timedelta(days=2)
    )
    for row in connection.execute(near):
        begins = remind_from(row.starts_at)
        if begins <= now and (row.changed_at is None or row.changed_at < begins):
            yield sa.and_(col(Gathering.id) == row.id, col(SignUp.placed_at) < begins)


def owed(
    connection: Connection, now: datetime, only: UUID | None = None, among: set[UUID] | None = None
) -> list[Note]:
    """What is to be told and was not, up to `AT_A_TIME`; of the gathering `only`, to the residents `among`."""
    notes: list[Note] = []
    for letter, reference, wanted in _rules(connection, now):
        told = sa.exists().where(
            col(Message.resident_id) == col(SignUp.resident_id),
            col(Message.kind) == letter.kind,
            col(Message.reference) == reference,
        )
        query = (
            sa.select(col(SignUp.resident_id), col(SignUp.gathering_id), reference.label("once"))
            .join(Gathering, col(Gathering.id) == col(SignUp.gathering_id))
            .join(Resident, col(Resident.id) == col(SignUp.resident_id))
            .where(col(Resident.status) == ResidentStatus.ACTIVE, *wanted, ~told)
        )
        if only is not None:
            query = query.where(col(Gathering.id) == only)
        if among is not None:
            query = query.where(col(SignUp.resident_id).in_(among))
        notes += [
            Note(letter, row.resident_id, row.once, {"gathering": str(row.gathering_id)}, told_at=now)
            for row in connection.execute(query.limit(AT_A_TIME))
        ]
    return notes[:AT_A_TIME]


# --- telling -----------------------------------------------------------------------------------------------


def _tell(connection: Connection, now: datetime, only: UUID | None = None) -> int:
    """Tell what is owed; how many. Turns first, then once more: who gave up meanwhile is told nothing."""
    residents = {note.resident_id for note in owed(connection, now, only)}
    if not residents:
        return 0
    take_turn(connection, sorted(residents))
    notes = owed(connection, now, only, residents)
    tell(connection, notes)
    return len(notes)


def tell_now(house: House, gathering_id: UUID) -> None:
    """Tell everybody whom something that just happened to a gathering concerns."""
    while house.db.run(lambda connection: _tell(connection, clock.now(), gathering_id)) == AT_A_TIME:
        pass


def tell_due(_house: House, connection: Connection, now: datetime) -> None:
    """Tell what is due, and what was left untold."""
    _tell(connection, now)


JOBS = (Job("gathering_news", N_("通知报名的人活动有变化"), timedelta(minutes=1), tell_due),)
