"""How a resident wants pages to look: the elder view, kept with the account, so that it is there on the next phone, too.

Only what is chosen now is kept, of people who log in; not when, and nothing of its use. The standard view is no choice: no row.
"""

from enum import StrEnum
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, SQLModel, col

from tanpuhui.db import Statement, enum_type
from tanpuhui.people import AccountKind, ResidentStatus, take_turn


class Display(StrEnum):
    """The elder view, and the same with still larger text."""

    ELDER = "elder"
    ELDER_LARGE = "elder-large"


class DisplayChoice(SQLModel, table=True):
    """The `display` that a person chose for their account and has now; without a row it is the standard view."""

    __tablename__ = "display_choice"

    resident_id: UUID = Field(foreign_key="resident.id", primary_key=True)
    display: Display = Field(sa_column=sa.Column(enum_type(Display), nullable=False))


_KEEP = Statement(
    "INSERT INTO display_choice (resident_id, display) SELECT q.resident_id, q.display FROM {rows} WHERE true "
    "ON CONFLICT (resident_id) DO UPDATE SET display = excluded.display",
    rows={"resident_id": "uuid", "display": "text"},
)


def choose(connection: Connection, resident_id: UUID, display: Display | None) -> None:
    """Keep what a person chose from now on; None: the standard view. A class, whose phone goes from hand to hand, and whoever has left
    keep nothing."""
    person = take_turn(connection, [resident_id]).get(resident_id)
    if person is None or person.status != ResidentStatus.ACTIVE or person.account_kind != AccountKind.PERSON:
        return
    if display:
        _KEEP.run(connection, [{"resident_id": resident_id, "display": display}])
    else:
        connection.execute(sa.delete(DisplayChoice).where(col(DisplayChoice.resident_id) == resident_id))


def chosen(connection: Connection, resident_id: UUID) -> Display | None:
    """What a person chose; None for the standard view."""
    query = sa.select(col(DisplayChoice.display)).where(col(DisplayChoice.resident_id) == resident_id)
    return connection.scalar(query)
