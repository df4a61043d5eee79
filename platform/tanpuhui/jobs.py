"""Scheduled work. A job is a tick over our own tables; each occurrence is claimed by a unique row, so that it
runs once whichever process ticks first, and an occurrence missed while nobody ran is caught up."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, SQLModel
from sqlmodel.sql.sqltypes import UTCDateTime

if TYPE_CHECKING:
    from tanpuhui.rooms import House


@dataclass(frozen=True)
class Job:
    """Work to be done every `every`, counted from the epoch in UTC. `title`: what it does, for people; `name` is for the database.

    `run` works in the claim's transaction.

    What takes long is worked out `ahead` of it, where nobody waits; what that returns runs in place of `run`.
    """

    name: str
    title: str
    every: timedelta
    run: Callable[["House", Connection, datetime], None]
    ahead: Callable[["House"], Callable[["House", Connection, datetime], None]] | None = None


class JobRun(SQLModel, table=True):
    """One occurrence of a job, claimed and done in one transaction."""

    __tablename__ = "job_run"

    job: str = Field(primary_key=True, max_length=64)
    slot: datetime = Field(primary_key=True)
    ran_at: datetime


def slot_of(job: Job, moment: datetime) -> datetime:
    """The latest occurrence of `job` at or before `moment`."""
    step = int(job.every.total_seconds())
    seconds = int(moment.timestamp()) // step * step
    return datetime.fromtimestamp(seconds, tz=moment.tzinfo)


def run_due(house: "House", job: Job, moment: datetime) -> bool:
    """Run the latest occurrence of `job` unless it was run; whether this call ran it.

    The claim and the work commit together: killed half way, the occurrence is free again.
    """
    slot = slot_of(job, moment)
    with house.db.reading() as connection:
        if connection.execute(_DONE, {"job": job.name, "slot": slot}).first():
            return False
    run = job.ahead(house) if job.ahead else job.run
    with house.db.transaction() as connection:
        claimed = connection.execute(_CLAIM, {"job": job.name, "slot": slot, "now": moment})
        if not claimed.rowcount:
            return False
        run(house, connection, moment)
        return True


_DONE = sa.text("SELECT 1 FROM job_run WHERE job = :job AND slot = :slot").bindparams(
    sa.bindparam("slot", type_=UTCDateTime())
)
_CLAIM = sa.text(
    "INSERT INTO job_run (job, slot, ran_at) VALUES (:job, :slot, :now) ON CONFLICT DO NOTHING"
).bindparams(sa.bindparam("slot", type_=UTCDateTime()), sa.bindparam("now", type_=UTCDateTime()))
