"""The recovery chain (点站场): hand-overs from points to stations to yards and out of the district, and what corrects them.

Nothing here is edited. A hand-over is confirmed once by who received it, with a weight of its own beside the sender's; a wrong one is
taken back by a reversal and entered again; a count of the stock, or an answer to an alarm, is followed by another one. Here are
the tables and what the database itself refuses; `material_hand_overs` and `stock` take the steps, `mass_balance` adds up.
"""

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from tanpuhui import clock, ids
from tanpuhui.db import enum_type
from tanpuhui.i18n import N_
from tanpuhui.schema import Guard

#: More than any lorry carries: what is above is a slip of the finger. Grams.
MOST_GRAMS = 30_000_000


class Fate(StrEnum):
    """What becomes of a material that leaves the yard."""

    REUSED = "reused"
    RECYCLED = "recycled"
    RESIDUE = "residue"


FATE_NAMES = {
    Fate.REUSED: N_("再使用"),
    Fate.RECYCLED: N_("再生利用"),
    Fate.RESIDUE: N_("不能利用，作残渣处置"),
}


class HandOver(SQLModel, table=True):
    """Material handed over, in grams by the sender's scale: to a site further down, or from a yard to a named taker.

    `day` is that of `handed_at` in Asia/Shanghai. `receipt`: the number on the sender's paper; `again`: how often that number was
    entered and reversed before, so that it stands once.
    """

    __tablename__ = "hand_over"
    __table_args__ = (
        sa.UniqueConstraint("from_site_id", "receipt", "again"),
        sa.CheckConstraint(f"grams BETWEEN 1 AND {MOST_GRAMS}", name="grams"),
        sa.CheckConstraint("from_site_id <> to_site_id", name="two_sites"),
        sa.CheckConstraint(
            "(to_site_id IS NULL) = (fate IS NOT NULL) AND (to_site_id IS NULL) = (taker <> '')",
            name="one_end",
        ),
        sa.CheckConstraint("handed_at <= recorded_at", name="past"),
        sa.CheckConstraint("receipt <> '' AND again >= 0", name="receipt"),
        sa.Index("ix_hand_over_to_site_id_day", "to_site_id", "day"),
        sa.Index("ix_hand_over_from_site_id_day", "from_site_id", "day"),
    )

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    from_site_id: UUID = Field(foreign_key="site.id")
    to_site_id: UUID | None = Field(default=None, foreign_key="site.id")
    fate: Fate | None = Field(default=None, sa_column=sa.Column(enum_type(Fate)))
    taker: str = Field(default="", max_length=80)
    material: str = Field(foreign_key="material.code", max_length=32)
    grams: int = Field(sa_type=sa.BigInteger)
    handed_at: datetime
    day: date
    vehicle: str = Field(default="", max_length=20)
    receipt: str | None = Field(default=None, max_length=40)
    again: int = 0
    recorded_by: UUID = Field(foreign_key="staff.id")
    recorded_at: datetime = Field(default_factory=clock.now)


class HandOverConfirmation(SQLModel, table=True):
    """A hand-over arrived: what the receiver weighed, in grams. Once, beside the sender's weight."""

    __tablename__ = "hand_over_confirmation"
    __table_args__ = (sa.CheckConstraint(f"grams BETWEEN 1 AND {MOST_GRAMS}", name="grams"),)

    hand_over_id: UUID = Field(foreign_key="hand_over.id", primary_key=True)
    grams: int = Field(sa_type=sa.BigInteger)
    confirmed_by: UUID = Field(foreign_key="staff.id")
    confirmed_at: datetime = Field(default_factory=clock.now)


class HandOverReversal(SQLModel, table=True):
    """A hand-over was taken back, by whom and why: both of its weights leave every sum."""

    __tablename__ = "hand_over_reversal"
    __table_args__ = (sa.CheckConstraint("reason <> ''", name="reason"),)

    hand_over_id: UUID = Field(foreign_key="hand_over.id", primary_key=True)
    reason: str = Field(max_length=200)
    reversed_by: UUID = Field(foreign_key="staff.id")
    reversed_at: datetime = Field(default_factory=clock.now)


class StockTake(SQLModel, table=True):
    """What lay at a site at the end of a month (its first day), as counted. Grams. The last revision holds; a later one says why."""

    __tablename__ = "stock_take"
    __table_args__ = (
        sa.CheckConstraint(f"grams BETWEEN 0 AND {MOST_GRAMS * 10}", name="grams"),
        sa.CheckConstraint("revision >= 1 AND (revision = 1 OR reason <> '')", name="revision"),
    )

    site_id: UUID = Field(foreign_key="site.id", primary_key=True)
    material: str = Field(foreign_key="material.code", primary_key=True, max_length=32)
    month: date = Field(primary_key=True)
    revision: int = Field(primary_key=True)
    grams: int = Field(sa_type=sa.BigInteger)
    reason: str = Field(default="", max_length=200)
    counted_by: UUID = Field(foreign_key="staff.id")
    counted_at: datetime = Field(default_factory=clock.now)


class AlarmAnswer(SQLModel, table=True):
    """Why the weights of an alarm differ, in the words of staff. It answers that very difference: another one is open again."""

    __tablename__ = "alarm_answer"
    __table_args__ = (sa.CheckConstraint("reason <> ''", name="reason"),)

    alarm: str = Field(primary_key=True, max_length=120)
    difference_g: int = Field(primary_key=True, sa_type=sa.BigInteger)
    site_id: UUID = Field(foreign_key="site.id", index=True)
    reason: str = Field(max_length=200)
    answered_by: UUID = Field(foreign_key="staff.id")
    answered_at: datetime = Field(default_factory=clock.now)


# --- what the database refuses ------------------------------------------------------------------------------

#: Rows are added and never changed.
APPEND_ONLY = ("hand_over", "hand_over_confirmation", "hand_over_reversal", "stock_take", "alarm_answer")

#: Material goes down: from a point to a station or a yard, from a station to a yard, from a yard out of the district.
DOWNSTREAM = (
    "CASE WHEN t.id IS NULL THEN f.level = 'yard' "
    "ELSE (f.level = 'point' AND t.level <> 'point') OR (f.level = 'station' AND t.level = 'yard') END"
)

#: A confirmation and a reversal of one hand-over take turns.
_TURN = "PERFORM 1 FROM hand_over h WHERE h.id = NEW.hand_over_id FOR NO KEY UPDATE;"

GUARDS = (
    Guard(
        "hand_over",
        "downstream",
        "INSERT",
        "NOT EXISTS (SELECT 1 FROM site f LEFT JOIN site t ON t.id = NEW.to_site_id "
        f"WHERE f.id = NEW.from_site_id AND {DOWNSTREAM})",
        "material goes from a point to a station to a yard, and from there out",
    ),
    Guard(
        "hand_over",
        "again",
        "INSERT",
        "NEW.receipt IS NOT NULL AND NEW.again <> (SELECT count(*) FROM hand_over h JOIN hand_over_reversal r "
        "ON r.hand_over_id = h.id WHERE h.from_site_id = NEW.from_site_id AND h.receipt = NEW.receipt)",
        "a receipt stands once",
    ),
    Guard(
        "hand_over_confirmation",
        "standing",
        "INSERT",
        "EXISTS (SELECT 1 FROM hand_over_reversal r WHERE r.hand_over_id = NEW.hand_over_id) "
        "OR EXISTS (SELECT 1 FROM hand_over h WHERE h.id = NEW.hand_over_id AND h.to_site_id IS NULL)",
        "what was reversed, or went out of the district, is not confirmed",
        _TURN,
    ),
    Guard(
        "hand_over_reversal",
        "turn",
        "INSERT",
        "NOT EXISTS (SELECT 1 FROM hand_over h WHERE h.id = NEW.hand_over_id)",
        "only a hand-over that is there is reversed",
        _TURN,
    ),
    Guard("site", "level", "UPDATE", "NEW.level <> OLD.level", "the level of a site stays"),
)
