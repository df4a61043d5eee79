"""Declarations: which estimated reductions were reported to the city, confirmed there, and used. Each once.

Only the city records reductions. A district reports the estimates of one methodology and period; the city answers
with a reference and what it confirms; a confirmed reduction has one end use. A record stands in at most one
declaration, so no reduction is used twice; what the city credits itself, and what was voided, is never declared.

Here are the tables and what the database itself refuses; `declaring` takes the steps, `declared` reads.
"""

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, SQLModel, col

from tanpuhui import clock, ids
from tanpuhui.db import Statement, enum_type
from tanpuhui.i18n import N_
from tanpuhui.schema import Guard


class DeclarationState(StrEnum):
    """Where a declaration stands. What is in none that stands is only estimated."""

    REPORTED = "reported"
    CONFIRMED = "confirmed"
    USED = "used"
    WITHDRAWN = "withdrawn"


DECLARATION_STATE_NAMES = {
    DeclarationState.REPORTED: N_("已上报"),
    DeclarationState.CONFIRMED: N_("市级已确认"),
    DeclarationState.USED: N_("已使用"),
    DeclarationState.WITHDRAWN: N_("已撤回"),
}


#: From where to where a declaration goes. Each step is taken once: none leads back.
STEPS = (
    (DeclarationState.REPORTED, DeclarationState.CONFIRMED),
    (DeclarationState.CONFIRMED, DeclarationState.USED),
    (DeclarationState.REPORTED, DeclarationState.WITHDRAWN),
)


class Declaration(SQLModel, table=True):
    """Reductions reported together, with what they summed up to. Milligrams of CO2e.

    `confirmed_mg` is what the city confirmed, at most what was reported (its low value).
    """

    __tablename__ = "declaration"
    __table_args__ = (
        sa.CheckConstraint("first <= last", name="period"),
        sa.CheckConstraint("actions > 0", name="actions"),
        sa.CheckConstraint(
            "0 <= co2e_mg AND co2e_mg <= co2e_mid_mg AND co2e_mid_mg <= co2e_high_mg", name="co2e_range"
        ),
        sa.CheckConstraint(
            "(state IN ('confirmed', 'used')) = (confirmed_at IS NOT NULL)"
            " AND (confirmed_at IS NULL) = (city_reference IS NULL)"
            " AND (confirmed_at IS NULL) = (confirmed_mg IS NULL) AND city_reference <> ''",
            name="confirmed",
        ),
        sa.CheckConstraint("confirmed_mg BETWEEN 0 AND co2e_mg", name="confirmed_mg"),
        sa.CheckConstraint(
            "(state = 'used') = (used_at IS NOT NULL) AND (used_at IS NULL) = (used_for IS NULL)"
            " AND used_for <> ''",
            name="used",
        ),
        sa.CheckConstraint(
            "(state = 'withdrawn') = (withdrawn_at IS NOT NULL)"
            " AND (withdrawn_at IS NULL) = (withdrawn_because IS NULL) AND withdrawn_because <> ''",
            name="withdrawn",
        ),
    )

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    methodology: str = Field(foreign_key="methodology.code", max_length=32)
    first: date
    last: date
    state: DeclarationState = Field(
        default=DeclarationState.REPORTED,
        sa_column=sa.Column(enum_type(DeclarationState), nullable=False, index=True),
    )
    actions: int = Field(sa_type=sa.BigInteger)
    co2e_mg: int = Field(sa_type=sa.BigInteger)
    co2e_mid_mg: int = Field(sa_type=sa.BigInteger)
    co2e_high_mg: int = Field(sa_type=sa.BigInteger)
    reported_by: UUID = Field(foreign_key="staff.id")
    reported_at: datetime = Field(default_factory=clock.now)
    confirmed_at: datetime | None = None
    city_reference: str | None = Field(default=None, max_length=100, unique=True)
    confirmed_mg: int | None = Field(default=None, sa_type=sa.BigInteger)
    used_at: datetime | None = None
    used_for: str | None = Field(default=None, max_length=200)
    withdrawn_at: datetime | None = None
    withdrawn_because: str | None = Field(default=None, max_length=200)


class DeclaredAction(SQLModel, table=True):
    """A record stands in a declaration; `standing` is false once that was withdrawn.

    Records are written before their declaration, which then says what they add up to: the key to it is checked at
    the end of the transaction.
    """

    __tablename__ = "declared_action"
    __table_args__ = (
        sa.Index(
            "uq_declared_action_standing",
            "action_id",
            unique=True,
            sqlite_where=sa.text("standing"),
            postgresql_where=sa.text("standing"),
        ),
    )

    declaration_id: UUID = Field(
        sa_column=sa.Column(
            sa.Uuid(),
            sa.ForeignKey("declaration.id", deferrable=True, initially="DEFERRED"),
            primary_key=True,
        )
    )
    action_id: UUID = Field(foreign_key="action.id", primary_key=True)
    standing: bool = True


#: Said in the very words of the partial index: SQLite uses it for no others.
STANDING = sa.text("declared_action.standing")


# --- a report and a void never pass each other --------------------------------------------------------------

#: Both look at what the other writes. On PostgreSQL a report holds this advisory lock alone, voids hold it together;
#: SQLite's writers take turns anyway.
_ALONE, _TOGETHER = (f"pg_advisory_xact_lock{shared}(31010603)" for shared in ("", "_shared"))
_KEEP_VOIDS_OUT, _KEEP_REPORTS_OUT = (
    Statement(f"{{pg:SELECT {lock}}}{{sqlite:SELECT 1}}") for lock in (_ALONE, _TOGETHER)
)


def keep_voids_out(connection: Connection) -> None:
    """Until the end of the transaction nothing is voided, nor reported by another."""
    _KEEP_VOIDS_OUT.run(connection)


def keep_reports_out(connection: Connection) -> None:
    """Until the end of the transaction nothing is reported; others may void meanwhile."""
    _KEEP_REPORTS_OUT.run(connection)


def is_declared(connection: Connection, action_id: UUID) -> bool:
    """Whether a record stands in a declaration."""
    found = sa.select(col(DeclaredAction.action_id)).where(
        col(DeclaredAction.action_id) == action_id, STANDING
    )
    return connection.execute(found).first() is not None


# --- what the database refuses ------------------------------------------------------------------------------

_SAID = (
    "methodology",
    "first",
    "last",
    "actions",
    "co2e_mg",
    "co2e_mid_mg",
    "co2e_high_mg",
    "reported_by",
    "reported_at",
)

_ALLOWED = ", ".join(f"('{before}', '{after}')" for before, after in STEPS)

#: Records of another methodology or period, and sums that are not those of the records.
_OTHER_THAN_ITS_RECORDS = """NOT EXISTS (
    SELECT 1 FROM (
        SELECT count(*) AS actions, sum(a.co2e_mg) AS low, sum(a.co2e_mid_mg) AS mid, sum(a.co2e_high_mg) AS high,
            min(a.day) AS first_day, max(a.day) AS last_day,
            count(CASE WHEN f.methodology = NEW.methodology THEN 1 END) AS fitting
        FROM declared_action d JOIN action a ON a.id = d.action_id JOIN factor_version f ON f.id = a.factor_version
        WHERE d.declaration_id = NEW.id
    ) s
    WHERE s.actions = NEW.actions AND s.low = NEW.co2e_mg AND s.mid = NEW.co2e_mid_mg AND s.high = NEW.co2e_high_mg
        AND s.first_day >= NEW.first AND s.last_day <= NEW.last AND s.fitting = NEW.actions
)"""

GUARDS = (
    Guard(
        "declaration",
        "said",
        "UPDATE",
        " OR ".join(f"NEW.{name} {{differs}} OLD.{name}" for name in _SAID),
        "what was reported is never edited",
    ),
    Guard(
        "declaration",
        "step",
        "UPDATE",
        f"(OLD.state, NEW.state) NOT IN (VALUES {_ALLOWED})",
        "goes from reported to confirmed to used, each once, or is withdrawn before it is confirmed",
    ),
    Guard("declaration", "begin", "INSERT", "NEW.state <> 'reported'", "a declaration begins as reported"),
    Guard(
        "declaration",
        "records",
        "INSERT",
        _OTHER_THAN_ITS_RECORDS,
        "adds up to its records, all of its methodology and period",
    ),
    Guard("declaration", "delete", "DELETE", "true", "a declaration is never deleted"),
    Guard(
        "declared_action",
        "fit",
        "INSERT",
        "EXISTS (SELECT 1 FROM action_void v WHERE v.action_id = NEW.action_id)"
        " OR EXISTS (SELECT 1 FROM action a WHERE a.id = NEW.action_id AND a.city_credited)",
        "what was voided or is credited by the city is never declared",
        f"PERFORM {_ALONE};",
    ),
    Guard(
        "declared_action",
        "begin",
        "INSERT",
        "NOT NEW.standing OR EXISTS (SELECT 1 FROM declaration d WHERE d.id = NEW.declaration_id)",
        "a declaration that was made takes no further record",
    ),
    Guard(
        "declared_action",
        "change",
        "UPDATE",
        "NEW.declaration_id <> OLD.declaration_id OR NEW.action_id <> OLD.action_id OR NOT OLD.standing"
        " OR NEW.standing OR NOT EXISTS (SELECT 1 FROM declaration d"
        " WHERE d.id = OLD.declaration_id AND d.state = 'withdrawn')",
        "a declared record only leaves with its whole declaration",
    ),
    Guard("declared_action", "delete", "DELETE", "true", "a declared record is never deleted"),
    Guard(
        "action_void",
        "declared",
        "INSERT",
        "EXISTS (SELECT 1 FROM declared_action d WHERE d.action_id = NEW.action_id AND d.standing)",
        "the record stands in a declaration",
        f"PERFORM {_TOGETHER};",
    ),
)
