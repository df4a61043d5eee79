"""Which browser confirmed a scan: a random number of our own in a cookie, so that many accounts on one phone are seen.

Nothing of the device is read: no fingerprint, no model, no address. Kept is a keyed hash of that number which changes
every day, beside the resident and the code, for 30 days; the record itself carries nothing of it.
"""

import hashlib
import hmac
import secrets
from datetime import date, datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, SQLModel, col

from tanpuhui import clock
from tanpuhui.config import Settings
from tanpuhui.db import insert_statement
from tanpuhui.rooms import House

KEPT = timedelta(days=30)


class DeviceUse(SQLModel, table=True):
    """On a day a browser confirmed scans of a code for a resident. `mark` leads to no browser on any other day."""

    __tablename__ = "device_use"
    __table_args__ = (
        sa.Index("ix_device_use_resident_id", "resident_id"),
        sa.Index("ix_device_use_seen_at", "seen_at"),
    )

    day: date = Field(primary_key=True)
    mark: str = Field(primary_key=True, max_length=32)
    resident_id: UUID = Field(primary_key=True, foreign_key="resident.id")
    code_id: int = Field(sa_column=sa.Column(sa.BigInteger, primary_key=True, autoincrement=False))
    seen_at: datetime


_INSERT = insert_statement(
    SQLModel.metadata.tables["device_use"],
    {"day": "date", "mark": "text", "resident_id": "uuid", "code_id": "int", "seen_at": "time"},
    extra="WHERE true ON CONFLICT DO NOTHING",
)


def new_number() -> str:
    """The random number of a browser."""
    return secrets.token_urlsafe(16)


def mark_of(settings: Settings, number: str, day: date) -> str:
    """What is kept of a browser's `number` on a day."""
    return hmac.new(settings.key("device"), f"{day}|{number}".encode(), hashlib.sha256).hexdigest()[:32]


def note(house: House, number: str, resident_id: UUID, code_id: int) -> None:
    """A browser confirmed a scan. Written only what is new that day, after the scan's own transaction."""
    now = clock.now()
    row = {
        "day": clock.day_of(now),
        "mark": mark_of(house.settings, number, clock.day_of(now)),
        "resident_id": resident_id,
        "code_id": code_id,
    }
    with house.db.reading() as connection:
        same = [col(getattr(DeviceUse, name)) == value for name, value in row.items()]
        if connection.execute(sa.select(sa.literal(1)).where(*same)).first():
            return
    with house.db.transaction() as connection:
        _INSERT.run(connection, [{**row, "seen_at": now}])
