"""What newcomers of a year were when it was decided what is withheld of it.

Why: their numbers are withheld like all others, and change with records of earlier years, too.

What was decided before knows nothing of them: it is forgotten, and decided anew by the job within minutes, or by who asks first.

Revision: 0043
Follows: 0046
"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0043"
down_revision = "0046"
branch_labels = None
depends_on = None

_STATE = ("actions", "quantity_milli", "co2e_high_mg")


def upgrade() -> None:
    _decide_anew(*_STATE, "newcomers")


def downgrade() -> None:
    _decide_anew(*_STATE)


def _decide_anew(*state: str) -> None:
    op.execute("DELETE FROM withheld_cell")
    op.drop_table("withheld_year")
    op.create_table(
        "withheld_year",
        sa.Column("year", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("decided_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in state),
        sa.PrimaryKeyConstraint("year", name=op.f("pk_withheld_year")),
    )
