"""Expiry: what is left of a lot when its day is over goes, once, and whoever has some is told 30 and 7 days ahead.

A lot ends with its day in Asia/Shanghai. From one in the morning on a tick of the worker goes through the accounts in batches and
takes what is left, each resident in their turn; how far it came is kept, so that it goes on where it was stopped. After an
outage days are caught up in their order; until a lot is taken its points can still be spent. A notice ahead that is overtaken by
the next one, or by the end, is not sent any more. Two who work at once take nothing twice: what is left is read in the
resident's turn, and a lot has one transfer.
"""

from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, SQLModel
from sqlmodel.sql.sqltypes import UTCDateTime

from rewards import ledger, lots
from rewards.events import PointsExpired
from rewards.ledger import EXPIRED_PROGRAMME, Posting, account_of
from rewards.rules import expiry, lifetimes
from tanpuhui import clock
from tanpuhui.db import Statement, enum_type
from tanpuhui.i18n import N_
from tanpuhui.inbox import Note, tell
from tanpuhui.jobs import Job
from tanpuhui.letters import Letter
from tanpuhui.people import take_turn
from tanpuhui.rooms import House

#: So many accounts are looked through at a tick.
BATCH = 1000

#: A lot is taken so long after its day: whoever wrote something down at the last moment is through by then.
AFTER = timedelta(hours=1)


class ExpiryStep(StrEnum):
    """What is done about a lot day, in this order."""

    MONTH = "month"
    WEEK = "week"
    END = "end"


#: How many days ahead residents are told.
AHEAD = {ExpiryStep.MONTH: 30, ExpiryStep.WEEK: 7}


class ExpiryPass(SQLModel, table=True):
    """How far a step about the lots of a day has come: through all accounts up to `after`; how many had points, and how many."""

    __tablename__ = "expiry_pass"
    __table_args__ = (sa.CheckConstraint("accounts >= 0 AND points >= 0", name="counts"),)

    lot_day: date = Field(primary_key=True)
    step: ExpiryStep = Field(sa_column=sa.Column(enum_type(ExpiryStep), primary_key=True))
    after: str = Field(default="", max_length=64)
    accounts: int = 0
    points: int = Field(default=0, sa_type=sa.BigInteger)
    ended_at: datetime | None = None


def tick(house: House, connection: Connection, now: datetime) -> None:
    """Take one batch of the first step that is due."""
    found = next(due(connection, now), None)
    if found is not None:
        take_batch(house, connection, *found, now)


# --- what is due -----------------------------------------------------------------------------------------------


def due(connection: Connection, now: datetime) -> Iterator[tuple[date, ExpiryStep]]:
    """The steps that are due and not done, by the day of the lots."""
    table = SQLModel.metadata.tables["expiry_pass"]
    done = {
        (row.lot_day, ExpiryStep(row.step))
        for row in connection.execute(sa.select(table).where(table.c.ended_at.is_not(None)))
    }
    today = clock.day_of(now)
    for day in _days(connection, done, today + timedelta(days=AHEAD[ExpiryStep.MONTH])):
        step = _step(day, today, now)
        if step and (day, step) not in done:
            yield day, step


def _step(day: date, today: date, now: datetime) -> ExpiryStep | None:
    if day < today:
        return ExpiryStep.END if now >= clock.day_bounds(day)[1] + AFTER else None
    return ExpiryStep.WEEK if (day - today).days <= AHEAD[ExpiryStep.WEEK] else ExpiryStep.MONTH


def _days(connection: Connection, done: set[tuple[date, ExpiryStep]], until: date) -> Iterator[date]:
    """The ends of months on which a lot may end, from the first that was not taken."""
    ended = [day for day, step in done if step is ExpiryStep.END]
    first = max(ended) + timedelta(days=1) if ended else _first(connection)
    while first is not None and (day := lots.last_day(first, 0)) <= until:
        yield day
        first = day + timedelta(days=1)


def _first(connection: Connection) -> date | None:
    """The earliest day on which a lot can end; None while nobody is here or nothing is said of expiry.

    Ids are in the order of joining, and nobody is given anything before.
    """
    versions = lifetimes(connection)
    joined = connection.execute(_FIRST_HERE).scalar()
    if joined is None or not versions:
        return None
    begins = [max(clock.day_of(joined), one.valid_from or date.min) for one in versions]
    return min(expiry(versions, day) for day in begins)


_FIRST_HERE = sa.text("SELECT joined_at FROM resident ORDER BY id LIMIT 1").columns(joined_at=UTCDateTime())


# --- a batch ---------------------------------------------------------------------------------------------------

_ACCOUNTS = Statement(
    "SELECT path FROM account WHERE path > :after AND path LIKE 'resident:%' AND balance > 0 "
    "ORDER BY path LIMIT :limit",
    path="text",
)


def take_batch(house: House, connection: Connection, day: date, step: ExpiryStep, now: datetime) -> None:
    """Do `step` for the next accounts that have points, and write down how far that is."""
    key = {"lot_day": day, "step": step.value}
    connection.execute(_BEGIN, key)
    after = connection.execute(_WHERE, key).scalar_one()
    paths = [row.path for row in _ACCOUNTS.run(connection, after=after, limit=BATCH)]
    hit = lots.standing(connection, paths, day)
    residents = sorted(UUID(path.partition(":")[2]) for path in hit)
    if residents:
        take_turn(connection, residents)
        hit = lots.standing(connection, list(hit), day)  # as the turn before left it
        if step is ExpiryStep.END:
            expire(house, connection, hit, now)
        else:
            tell(connection, [_note(path, day, step, now) for path, left in hit.items() if day in left])
    counted = [sum(left.values()) for left in hit.values()]
    come = {"after": paths[-1] if paths else after, "ended_at": None if len(paths) == BATCH else now}
    connection.execute(_COME, {**key, **come, "accounts": len(counted), "points": sum(counted)})


def expire(
    house: House, connection: Connection, hit: Mapping[str, Mapping[date, int]], now: datetime
) -> None:
    """Take what is left of these lots, by account and day. The caller has taken the residents' turns and read it then."""
    postings, events = [], []
    for path, left in hit.items():
        resident_id = UUID(path.partition(":")[2])
        for day, points in left.items():
            postings.append(
                Posting(expired_reference(resident_id, day), path, EXPIRED_PROGRAMME, points, now, day)
            )
            events.append(
                PointsExpired(
                    subject_id=resident_id,
                    resident_id=resident_id,
                    recorded_at=now,
                    points=points,
                    expires_on=day,
                )
            )
    if postings:
        ledger.take_all(connection, postings)
        house.publish(connection, events)


def expired_reference(resident_id: UUID, day: date) -> str:
    """The reference of the transfer that takes what a resident had left of a lot."""
    return f"expired:{resident_id}:{day.isoformat()}"


_KEY = (sa.bindparam("lot_day", type_=sa.Date()),)
_BEGIN = sa.text(
    "INSERT INTO expiry_pass (lot_day, step, after, accounts, points) VALUES (:lot_day, :step, '', 0, 0) "
    "ON CONFLICT DO NOTHING"
).bindparams(*_KEY)
_WHERE = sa.text("SELECT after FROM expiry_pass WHERE lot_day = :lot_day AND step = :step").bindparams(*_KEY)
_COME = sa.text(
    "UPDATE expiry_pass SET after = CASE WHEN after < :after THEN :after ELSE after END, "
    "ended_at = COALESCE(ended_at, :ended_at), accounts = accounts + :accounts, points = points + :points "
    "WHERE lot_day = :lot_day AND step = :step"
).bindparams(*_KEY, sa.bindparam("ended_at", type_=UTCDateTime()))


# --- told ahead ------------------------------------------------------------------------------------------------


def _look(connection: Connection, resident_id: UUID, params: Mapping[str, Any]) -> int:
    """What the resident has left of the lot as the letter is read."""
    day, account = date.fromisoformat(params["day"]), account_of(resident_id)
    return lots.standing(connection, [account], day).get(account, {}).get(day, 0)


#: Points are about to expire.
EXPIRING = Letter("points.expiring", "rewards/letters/expiring.html", icon="points", look=_look)


def _note(path: str, day: date, step: ExpiryStep, now: datetime) -> Note:
    told = {"day": day.isoformat(), "ahead": AHEAD[step]}
    return Note(EXPIRING, UUID(path.partition(":")[2]), f"{day.isoformat()}:{step.value}", told, told_at=now)


JOB = Job("points expiry", N_("处理到期的积分"), timedelta(minutes=1), tick)
