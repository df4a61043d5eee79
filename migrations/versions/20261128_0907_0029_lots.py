"""Lots of points, their expiry, and adjustments that take two.

Why: points expire on a day that is known from the start, and nobody moves points alone.

What was given before lasts for good: nothing was said of expiry when it was given. So does what a web process writes that still
serves the schema before. Going back forgets the days.

Revision: 0029
Follows: 0028
"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

from rewards.adjustments import GUARDS
from tanpuhui.schema import append_only_ddl

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

_Text = sqlmodel.sql.sqltypes.AutoString
_Moment = sqlmodel.sql.sqltypes.UTCDateTime
_OF_A_LOT = (
    "source IN ('programme:actions', 'programme:adjustments') OR destination IN ('programme:actions', "
    "'programme:adjustments', 'programme:expired') OR source LIKE 'held:%' "
    "OR (source LIKE 'pool:%' AND destination LIKE 'resident:%')"
)
_INDEXES = (
    ("ix_transfer_destination", ["destination"], "destination LIKE 'resident:%'", False),
    ("ix_transfer_source", ["source"], "source LIKE 'resident:%'", False),
    ("uq_transfer_expired", ["source", "expires_on"], "destination = 'programme:expired'", True),
)


def _check(table: str, name: str, rule: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(rule, name=op.f(f"ck_{table}_{name}"))


def _one_of(name: str, *values: str) -> sa.Enum:
    return sa.Enum(*values, name=name, native_enum=False, create_constraint=True, length=32)


def upgrade() -> None:
    # One statement for both engines; neither rewrites the table, nor loses its triggers.
    op.execute(
        sa.text(
            "ALTER TABLE transfer ADD COLUMN expires_on DATE DEFAULT '9999-12-31' "
            f"CONSTRAINT ck_transfer_expires_on CHECK (expires_on IS NOT NULL OR NOT ({_OF_A_LOT}))"
        )
    )
    for name, columns, where, unique in _INDEXES:
        condition = sa.text(where)
        op.create_index(
            name, "transfer", columns, unique=unique, sqlite_where=condition, postgresql_where=condition
        )
    op.create_table(
        "points_lifetime",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("months", sa.Integer(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=True),
        _check("points_lifetime", "version", "version >= 1"),
        _check("points_lifetime", "months", "months BETWEEN 6 AND 120"),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_points_lifetime")),
    )
    op.create_table(
        "expiry_pass",
        sa.Column("lot_day", sa.Date(), nullable=False),
        sa.Column("step", _one_of("expirystep", "month", "week", "end"), nullable=False),
        sa.Column("after", _Text(length=64), nullable=False),
        sa.Column("accounts", sa.Integer(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", _Moment(), nullable=True),
        _check("expiry_pass", "counts", "accounts >= 0 AND points >= 0"),
        sa.PrimaryKeyConstraint("lot_day", "step", name=op.f("pk_expiry_pass")),
    )
    _create_adjustments()
    dialect = op.get_bind().dialect.name
    for statement in append_only_ddl("points_lifetime", dialect):
        op.execute(sa.text(statement))
    for guard in GUARDS:
        for statement in guard.create(dialect):
            op.execute(sa.text(statement))


def _create_adjustments() -> None:
    def key(column: str, other: str) -> sa.ForeignKeyConstraint:
        return sa.ForeignKeyConstraint([column], [other], name=op.f(f"fk_adjustment_{column}"))

    op.create_table(
        "adjustment",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", _one_of("adjustmentkind", "goodwill", "reversal"), nullable=False),
        sa.Column("resident_id", sa.Uuid(), nullable=False),
        sa.Column("division_code", _Text(length=12), nullable=False),
        sa.Column("about", _Text(length=20), nullable=True),
        sa.Column("amount", sa.Integer(), nullable=False),
        sa.Column("reverses", sa.Uuid(), nullable=True),
        sa.Column("reason", _Text(length=200), nullable=True),
        sa.Column("proposed_by", sa.Uuid(), nullable=False),
        sa.Column("proposed_at", _Moment(), nullable=False),
        sa.Column("decision", _one_of("adjustmentdecision", "approved", "declined"), nullable=True),
        sa.Column("decided_by", sa.Uuid(), nullable=True),
        sa.Column("decided_at", _Moment(), nullable=True),
        _check("adjustment", "amount", "amount BETWEEN 1 AND 10000"),
        _check("adjustment", "reason", "reason <> ''"),
        _check("adjustment", "reverses", "(kind = 'reversal') = (reverses IS NOT NULL)"),
        _check(
            "adjustment",
            "decision_whole",
            "(decision IS NULL AND decided_by IS NULL AND decided_at IS NULL) OR "
            "(decision IS NOT NULL AND decided_by IS NOT NULL AND decided_at IS NOT NULL)",
        ),
        _check("adjustment", "second_person", "decided_by IS NULL OR decided_by <> proposed_by"),
        key("resident_id", "resident.id"),
        key("division_code", "division.code"),
        key("reverses", "adjustment.id"),
        key("proposed_by", "staff.id"),
        key("decided_by", "staff.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_adjustment")),
    )
    op.create_index("ix_adjustment_resident_id", "adjustment", ["resident_id"])
    op.create_index("ix_adjustment_proposed_at", "adjustment", ["proposed_at"])
    standing = sa.text("decision IS NULL OR decision = 'approved'")
    op.create_index(
        "uq_adjustment_reverses",
        "adjustment",
        ["reverses"],
        unique=True,
        sqlite_where=standing,
        postgresql_where=standing,
    )


def downgrade() -> None:
    for guard in GUARDS:
        for statement in guard.drop(op.get_bind().dialect.name):
            op.execute(sa.text(statement))
    for table in ("adjustment", "expiry_pass", "points_lifetime"):
        op.drop_table(table)
    for name, *_ in _INDEXES:
        op.drop_index(name, table_name="transfer")
    op.execute(sa.text("ALTER TABLE transfer DROP COLUMN expires_on"))
