"""Actions: the records themselves, each frozen with the factor version it was computed by."""

from datetime import date, datetime
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, SQLModel, col

from tanpuhui.db import Statement, insert_statement


class Action(SQLModel, table=True):
    """A green action of a resident. Never changed; taken back only by an `ActionVoid`.

    `ordinal` is the how-manieth record of this kind it is for the resident on that day, voided ones
    included: its uniqueness keeps the daily limits true whatever races. Site, code, kind and factor carry no
    foreign key on purpose: their checks would cost half the insert rate (docs/decisions/0004); the scan reads
    them in its own transaction, none is ever deleted, and `tanpuhui verify` looks for orphans. `recorded_by`: the
    helper who scanned the resident's own code, if it was not the resident who scanned.
    """

    __tablename__ = "action"
    __table_args__ = (
        sa.UniqueConstraint("resident_id", "day", "kind", "ordinal"),
        sa.CheckConstraint("quantity_milli > 0", name="quantity"),
        sa.CheckConstraint("ordinal >= 1", name="ordinal"),
        sa.CheckConstraint("co2e_mg <= co2e_mid_mg AND co2e_mid_mg <= co2e_high_mg", name="co2e_range"),
        sa.Index("ix_action_site_id_day", "site_id", "day"),
        sa.Index(
            "ix_action_late",
            "recorded_at",
            postgresql_where=sa.text("recorded_at - occurred_at > interval '24 hours'"),
            sqlite_where=sa.text("julianday(recorded_at) - julianday(occurred_at) > 1"),
        ),
    )

    id: UUID = Field(primary_key=True)
    resident_id: UUID = Field(foreign_key="resident.id")
    day: date
    kind: str = Field(max_length=32)
    ordinal: int
    quantity_milli: int = Field(sa_type=sa.BigInteger)
    occurred_at: datetime
    recorded_at: datetime
    evidence: str = Field(max_length=32)
    site_id: UUID
    code_id: int = Field(sa_type=sa.BigInteger)
    division_code: str = Field(max_length=12)
    campaign_id: UUID | None = None
    factor_version: str = Field(max_length=40)
    city_credited: bool
    co2e_mg: int = Field(sa_type=sa.BigInteger)
    co2e_mid_mg: int = Field(sa_type=sa.BigInteger)
    co2e_high_mg: int = Field(sa_type=sa.BigInteger)
    nox_ug: int | None = Field(default=None, sa_type=sa.BigInteger)
    pm25_ug: int | None = Field(default=None, sa_type=sa.BigInteger)
    voc_ug: int | None = Field(default=None, sa_type=sa.BigInteger)
    so2_ug: int | None = Field(default=None, sa_type=sa.BigInteger)
    co_ug: int | None = Field(default=None, sa_type=sa.BigInteger)
    recorded_by: UUID | None = None


#: Of so many days records are found site by site; of more it is quicker to go through all of them.
_FEW_DAYS = 100

_SITES = sa.select(sa.table("site", sa.column("id", sa.Uuid())).c.id)


def of_days(first: date, last: date) -> sa.ColumnElement[bool]:
    """The condition that a record is of the days from `first` to `last`.

    There is no index by day alone, which every scan would pay for: it names the sites, so that the one by site and day is used.
    """
    days = col(Action.day).between(first, last)
    return days if (last - first).days > _FEW_DAYS else sa.and_(col(Action.site_id).in_(_SITES), days)


class ActionVoid(SQLModel, table=True):
    """An action was taken back, by whom and why. One per action; never changed.

    Either a member of staff voided it, or a better proven record of the same deed replaced it.
    """

    __tablename__ = "action_void"
    __table_args__ = (
        sa.CheckConstraint("reason <> ''", name="reason"),
        sa.CheckConstraint("(voided_by IS NULL) <> (replaced_by IS NULL)", name="by_one"),
        sa.CheckConstraint("replaced_by <> action_id", name="replaced_by"),
    )

    action_id: UUID = Field(foreign_key="action.id", primary_key=True)
    voided_at: datetime
    voided_by: UUID | None = Field(default=None, foreign_key="staff.id")
    reason: str = Field(max_length=200)
    replaced_by: UUID | None = Field(default=None, foreign_key="action.id")


INSERT_ACTIONS: Statement = insert_statement(
    SQLModel.metadata.tables["action"],
    {
        "id": "uuid",
        "resident_id": "uuid",
        "day": "date",
        "kind": "text",
        "ordinal": "int",
        "quantity_milli": "int",
        "occurred_at": "time",
        "recorded_at": "time",
        "evidence": "text",
        "site_id": "uuid",
        "code_id": "int",
        "division_code": "text",
        "campaign_id": "uuid",
        "factor_version": "text",
        "city_credited": "bool",
        "co2e_mg": "int",
        "co2e_mid_mg": "int",
        "co2e_high_mg": "int",
        "nox_ug": "int",
        "pm25_ug": "int",
        "voc_ug": "int",
        "so2_ug": "int",
        "co_ug": "int",
        "recorded_by": "uuid",
    },
)

READ_DAYS = Statement(
    "SELECT a.id, a.resident_id, a.kind, a.day, a.ordinal, a.occurred_at, a.quantity_milli, a.site_id, a.evidence, "
    "CASE WHEN EXISTS (SELECT 1 FROM action_void v WHERE v.action_id = a.id) OR EXISTS (SELECT 1 FROM action_review r "
    "WHERE r.action_id = a.id AND r.state = 'rejected') THEN 1 END AS voided "
    "FROM action a WHERE a.resident_id {in:residents:uuid} AND a.day {in:days:date}",
    id="uuid",
    resident_id="uuid",
    kind="text",
    day="date",
    ordinal="int",
    occurred_at="time",
    quantity_milli="int",
    site_id="uuid",
    evidence="text",
    voided="int",
)
