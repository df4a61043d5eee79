"""The one background process: relay and scheduled jobs, led by whoever holds the lease.

Any number of workers may run. One leads; the others wait and take over within seconds of its death. The lease
only saves work: what makes each event and each job happen once is the cursor and the claim in the database.
"""

import os
import socket
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Field, SQLModel
from sqlmodel.sql.sqltypes import UTCDateTime

from tanpuhui import clock, ids, jobs
from tanpuhui.errors import TanpuhuiError, Unavailable
from tanpuhui.rooms import House

log = structlog.get_logger(__name__)

LEASE_FOR = timedelta(seconds=5)
RENEW_EVERY = 1.0
POLL_EVERY = 0.1
JOB_TICK_SECONDS = 20


class Lease(SQLModel, table=True):
    """Who leads, since when, and until when unless renewed. `taken_at` is empty where a process of an older release leads."""

    __tablename__ = "lease"

    name: str = Field(primary_key=True, max_length=32)
    holder: str = Field(max_length=80)
    renewed_at: datetime
    expires_at: datetime
    taken_at: datetime | None = None


_TAKE = sa.text(
    "INSERT INTO lease (name, holder, renewed_at, expires_at, taken_at) VALUES ('worker', :holder, :now, :until, :now) "
    "ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, renewed_at = excluded.renewed_at, "
    "expires_at = excluded.expires_at, "
    "taken_at = CASE WHEN lease.holder = excluded.holder THEN lease.taken_at ELSE excluded.taken_at END WHERE lease.holder = excluded.holder OR lease.expires_at < :now"
).bindparams(*(sa.bindparam(name, type_=UTCDateTime()) for name in ("now", "until")))


class Worker:
    """Runs relay and jobs until `stop`. In the embedded server it is a thread; alone, a process."""

    def __init__(self, house: House) -> None:
        self._house = house
        self.holder = f"{socket.gethostname()}:{os.getpid()}:{ids.new_id().hex[-6:]}"
        self._stopping = threading.Event()
        self._leading_until = 0.0
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Run in a thread of its own."""
        self._thread = threading.Thread(target=self.run, name="tanpuhui-worker", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish the batch under way, hand the lease back, and return."""
        self._stopping.set()
        if self._thread:
            self._thread.join(timeout=15)

    def run(self) -> None:
        """Lead when possible, wait otherwise; never dies of an outage of the database, or of a mistake."""
        scheduler = BackgroundScheduler(timezone="UTC", logger=_Quiet())
        scheduler.add_job(
            self._run_jobs,
            "interval",
            seconds=JOB_TICK_SECONDS,
            next_run_time=clock.now(),
            coalesce=True,
            max_instances=1,
            misfire_grace_time=None,
        )
        scheduler.start()
        try:
            while not self._stopping.is_set():
                if not self._guarded(self._round):
                    self._stopping.wait(POLL_EVERY if self.leads else RENEW_EVERY)
        finally:
            scheduler.shutdown(wait=True)
            self._guarded(self._release)

    @property
    def leads(self) -> bool:
        """Whether this worker holds the lease right now."""
        return time.monotonic() < self._leading_until

    def _round(self) -> bool:
        """Renew the lease when due and relay once; whether there may be more to do at once."""
        if time.monotonic() > self._leading_until - LEASE_FOR.total_seconds() + RENEW_EVERY:
            self._renew()
        return self.leads and self._house.relay.run_once() > 0

    def _renew(self) -> None:
        started = time.monotonic()
        now = clock.now()
        with self._house.db.transaction() as connection:
            taken = connection.execute(
                _TAKE, {"holder": self.holder, "now": now, "until": now + LEASE_FOR}
            ).rowcount
        was_leading = self._leading_until > 0
        self._leading_until = started + LEASE_FOR.total_seconds() if taken else 0.0
        if bool(taken) != was_leading:
            log.info("lease", holder=self.holder, leads=bool(taken))

    def _release(self) -> bool:
        with self._house.db.transaction() as connection:
            connection.execute(
                sa.text("DELETE FROM lease WHERE name = 'worker' AND holder = :holder"),
                {"holder": self.holder},
            )
        return False

    def _run_jobs(self) -> None:
        if not self.leads:
            return
        for job in (job for room in self._house.rooms for job in room.jobs):
            try:
                jobs.run_due(self._house, job, clock.now())
            except Unavailable as error:  # no mistake of the job's: the next tick finds the database again
                log.warning("job_waits", job=job.name, reason=type(error).__name__)
            except Exception:  # whatever a job raises, the others run, and it is free for the next tick
                log.exception("job_failed", job=job.name)

    def _guarded(self, work: Callable[[], bool]) -> bool:
        try:
            return work()
        except (SQLAlchemyError, TanpuhuiError) as error:
            log.warning("worker_waits", reason=type(error).__name__)
        except Exception:  # a thread that ends would leave the embedded server without its relay, unseen
            log.exception("worker_round_failed")
        self._stopping.wait(RENEW_EVERY)
        return False


class _Quiet:
    """APScheduler's logger: it speaks of every tick, we log what the jobs do."""

    def __getattr__(self, _name: str) -> Callable[..., None]:
        return lambda *_args, **_kwargs: None
