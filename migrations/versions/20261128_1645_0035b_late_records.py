"""An index of the records that arrived more than a day after they occurred.

Why: the quality desk counts them by site, and they are few. An index of these alone costs other records a comparison.

Revision: 0035b
Follows: 0039
"""

import sqlalchemy as sa
from alembic import op

revision = "0035b"
down_revision = "0039"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_action_late",
        "action",
        ["recorded_at"],
        postgresql_where=sa.text("recorded_at - occurred_at > interval '24 hours'"),
        sqlite_where=sa.text("julianday(recorded_at) - julianday(occurred_at) > 1"),
    )


def downgrade() -> None:
    op.drop_index("ix_action_late", "action")
