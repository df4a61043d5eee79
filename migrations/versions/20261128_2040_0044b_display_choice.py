"""The elder view with the account.

Why: who needs large text should not have to find the switch again on the next phone.

It only adds a table. A web process that still serves the schema before goes on as it was.

Revision: 0044b
Follows: 0047
"""

import sqlalchemy as sa
from alembic import op

revision = "0044b"
down_revision = "0047"
branch_labels = None
depends_on = None


def upgrade() -> None:
    display = sa.Enum(
        *("elder", "elder-large"), name="display", native_enum=False, create_constraint=True, length=32
    )
    op.create_table(
        "display_choice",
        sa.Column("resident_id", sa.Uuid(), nullable=False),
        sa.Column("display", display, nullable=False),
        sa.ForeignKeyConstraint(["resident_id"], ["resident.id"], name=op.f("fk_display_choice_resident_id")),
        sa.PrimaryKeyConstraint("resident_id", name=op.f("pk_display_choice")),
    )


def downgrade() -> None:
    op.drop_table("display_choice")
