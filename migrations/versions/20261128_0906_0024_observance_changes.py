"""Changes of observances: what officers said of a day, and what newer files brought, each with its source.

Why: dates that are announced year by year are entered by officers, and no reference file may undo that in silence.

Revision: 0024
Follows: 0023
"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

from activities.observance_changes import GUARDS

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

_DATES = (
    "(kind = 'fixed' AND length(starts_on) = 5 AND length(ends_on) = 5) OR (kind = 'announced'"
    " AND substr(starts_on, 1, 5) = CAST(year AS VARCHAR(4)) || '-'"
    " AND substr(ends_on, 1, 5) = CAST(year AS VARCHAR(4)) || '-')"
)


def _choice(*values: str, name: str) -> sa.Enum:
    return sa.Enum(*values, name=name, native_enum=False, create_constraint=True, length=32)


def upgrade() -> None:
    text = sqlmodel.sql.sqltypes.AutoString
    op.create_table(
        "observance_change",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key", text(length=32), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("name_zh", text(length=64), nullable=False),
        sa.Column("name_en", text(length=64), nullable=False),
        sa.Column("kind", _choice("fixed", "announced", name="observancekind"), nullable=False),
        sa.Column("starts_on", text(length=10), nullable=True),
        sa.Column("ends_on", text(length=10), nullable=True),
        sa.Column("source", text(), nullable=False),
        sa.Column("confidence", _choice("A", "B", "C", "D", name="confidence"), nullable=False),
        sa.Column("was_starts_on", text(length=10), nullable=True),
        sa.Column("was_ends_on", text(length=10), nullable=True),
        sa.Column("changed_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("changed_by", sa.Uuid(), nullable=True),
        sa.CheckConstraint("revision >= 1", name=op.f("ck_observance_change_revision")),
        sa.CheckConstraint("source <> ''", name=op.f("ck_observance_change_source")),
        sa.CheckConstraint(
            "(year = 0) = (kind = 'fixed') AND year BETWEEN 0 AND 2999",
            name=op.f("ck_observance_change_year"),
        ),
        sa.CheckConstraint(
            "(starts_on IS NULL) = (ends_on IS NULL) AND starts_on <= ends_on",
            name=op.f("ck_observance_change_order"),
        ),
        sa.CheckConstraint(_DATES, name=op.f("ck_observance_change_dates")),
        sa.ForeignKeyConstraint(["changed_by"], ["staff.id"], name=op.f("fk_observance_change_changed_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_observance_change")),
        sa.UniqueConstraint("key", "year", "revision", name=op.f("uq_observance_change_key_year_revision")),
    )
    for guard in GUARDS:
        for statement in guard.create(op.get_bind().dialect.name):
            op.execute(sa.text(statement))


def downgrade() -> None:
    for guard in GUARDS:
        for statement in guard.drop(op.get_bind().dialect.name):
            op.execute(sa.text(statement))
    op.drop_table("observance_change")
