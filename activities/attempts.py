"""Attempts: scans that were refused, kept with their reason, so that "why was I not credited?" has an answer.

The same refusal of the same code on the same day is one row that counts, so a phone that tries again and again fills
nothing. What can be mended in the form itself (a missing quantity) is not kept, nor is a token that we never signed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, SQLModel, col, select

from activities.drafts import ScanRequest
from activities.known import Knowledge, Known
from activities.sites import Site
from tanpuhui import clock, ids
from tanpuhui.db import insert_statement, session_on
from tanpuhui.errors import Refused, all_errors
from tanpuhui.people import take_turn
from tanpuhui.rooms import House

#: How long a resident can look a refusal up.
KEPT = timedelta(days=30)


class ScanAttempt(SQLModel, table=True):
    """A scan of a resident that was refused, with its reason. `kind` is empty where none was chosen.

    `reason` is the code of the error and `params` what fills its sentence; `times` is how often it was tried that day.
    """

    __tablename__ = "scan_attempt"
    __table_args__ = (
        sa.UniqueConstraint("resident_id", "day", "code_id", "kind", "reason"),
        sa.CheckConstraint("times >= 1", name="times"),
        sa.CheckConstraint("last_at >= first_at", name="order"),
        sa.Index("ix_scan_attempt_last_at", "last_at"),
    )

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    resident_id: UUID = Field(foreign_key="resident.id")
    day: date
    code_id: int = Field(sa_type=sa.BigInteger)
    site_id: UUID = Field(foreign_key="site.id")
    kind: str = Field(default="", max_length=32)
    reason: str = Field(max_length=32)
    params: dict[str, Any] = Field(default_factory=dict, sa_type=sa.JSON)
    first_at: datetime
    last_at: datetime
    times: int = 1


_KEEP = insert_statement(
    SQLModel.metadata.tables["scan_attempt"],
    {
        "id": "uuid",
        "resident_id": "uuid",
        "day": "date",
        "code_id": "int",
        "site_id": "uuid",
        "kind": "text",
        "reason": "text",
        "params": "json",
        "first_at": "time",
        "last_at": "time",
        "times": "int",
    },
    extra="WHERE true ON CONFLICT (resident_id, day, code_id, kind, reason) DO UPDATE SET "
    "times = scan_attempt.times + 1, last_at = excluded.last_at, params = excluded.params",
)


def keep(
    connection: Connection, known: Known, refused: Iterable[tuple[UUID, ScanRequest, Refused]], now: datetime
) -> None:
    """Keep refusals of residents whose turn it is, in the transaction that refuses."""
    rows = [
        row
        for resident_id, request, refusal in refused
        if (row := _row(connection, known, resident_id, request.token.number, request.kind, refusal, now))
    ]
    if rows:
        _KEEP.run(connection, rows)


def keep_one(house: House, resident_id: UUID, number: int, kind: str | None, refusal: Refused) -> None:
    """Keep a refusal that came before there was a scan to record: on opening a code, or of a member's ended code."""

    def work(connection: Connection) -> None:
        take_turn(connection, [resident_id])
        known = house.part(Knowledge).at(connection)
        row = _row(connection, known, resident_id, number, kind, refusal, clock.now())
        if row:
            _KEEP.run(connection, [row])

    house.db.run(work)


def _row(
    connection: Connection,
    known: Known,
    resident_id: UUID,
    number: int,
    kind: str | None,
    refusal: Refused,
    now: datetime,
) -> dict[str, Any] | None:
    """The refusal of the code `number` as it is kept, if it is."""
    code = known.code(connection, number)
    if code is None or not refusal.kept:
        return None
    return {
        "id": ids.new_id(),
        "resident_id": resident_id,
        "day": clock.day_of(now),
        "code_id": code.code.id,
        "site_id": code.site.id,
        "kind": (kind or "") if kind in known.kinds else "",
        "reason": refusal.code,
        "params": refusal.params,
        "first_at": now,
        "last_at": now,
        "times": 1,
    }


@dataclass(frozen=True)
class Attempt:
    """A refused scan as its resident may read it."""

    row: ScanAttempt
    site: Site
    refusal: Refused


def attempts_of(connection: Connection, resident_id: UUID) -> Sequence[Attempt]:
    """The refused scans of a resident in the last 30 days, the latest first."""
    with session_on(connection) as session:
        found = session.exec(
            select(ScanAttempt, Site)
            .join(Site, col(Site.id) == col(ScanAttempt.site_id))
            .where(ScanAttempt.resident_id == resident_id, ScanAttempt.last_at >= clock.now() - KEPT)
            .order_by(col(ScanAttempt.last_at).desc())
        ).all()
        session.expunge_all()
    return [Attempt(row, site, _refusals()[row.reason](**row.params)) for row, site in found]


def _refusals() -> dict[str, type[Refused]]:
    return {error.code: error for error in all_errors() if issubclass(error, Refused)}
