"""Populations: how many people live in the district and its 街镇, as a named source states it.

Why: participation is told per thousand residents only where somebody entered how many there are, and by what source.

Revision: 0039
Follows: 0036b
"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0039"
down_revision = "0036b"
branch_labels = None
depends_on = None

_Text = sqlmodel.sql.sqltypes.AutoString


def upgrade() -> None:
    op.create_table(
        "population",
        sa.Column("division_code", _Text(length=12), nullable=False),
        sa.Column("year", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("people", sa.BigInteger(), nullable=False),
        sa.Column("source", _Text(length=300), nullable=False),
        sa.Column("entered_by", sa.Uuid(), nullable=False),
        sa.Column("entered_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.CheckConstraint("people > 0 AND people <= 100000000", name=op.f("ck_population_people")),
        sa.CheckConstraint("year BETWEEN 2000 AND 2999", name=op.f("ck_population_year")),
        sa.CheckConstraint("source <> ''", name=op.f("ck_population_source")),
        sa.ForeignKeyConstraint(
            ["division_code"], ["division.code"], name=op.f("fk_population_division_code")
        ),
        sa.ForeignKeyConstraint(["entered_by"], ["staff.id"], name=op.f("fk_population_entered_by")),
        sa.PrimaryKeyConstraint("division_code", "year", name=op.f("pk_population")),
    )


def downgrade() -> None:
    op.drop_table("population")
