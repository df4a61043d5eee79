"""Which numbers of the district are not told, and of which years that was decided.

Why: what is withheld beside a small number depends on all numbers of its year, and has to be the same in every table.

Revision: 0040
Follows: 0035
"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0040"
down_revision = "0035"
branch_labels = None
depends_on = None

_TEXT = sqlmodel.sql.sqltypes.AutoString


def upgrade() -> None:
    op.create_table(
        "withheld_cell",
        sa.Column("unit", _TEXT(length=8), nullable=False),
        sa.Column("area", _TEXT(length=12), nullable=False),
        sa.Column("kind", _TEXT(length=32), nullable=False),
        sa.Column("first", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("unit", "area", "kind", "first", name=op.f("pk_withheld_cell")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "withheld_year",
        sa.Column("year", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("decided_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        *(
            sa.Column(name, sa.BigInteger(), nullable=False)
            for name in ("actions", "quantity_milli", "co2e_high_mg")
        ),
        sa.PrimaryKeyConstraint("year", name=op.f("pk_withheld_year")),
    )


def downgrade() -> None:
    op.drop_table("withheld_year")
    op.drop_table("withheld_cell")
