"""Since when the leading worker leads.

Why: a scheduled job that has not run is late only where somebody has been there to run it.

It only adds a column that may be empty. A worker of the release before goes on as it was, and leaves it empty.

Revision: 0046
Follows: 0042
"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0046"
down_revision = "0042"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("lease", sa.Column("taken_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True))


def downgrade() -> None:
    op.drop_column("lease", "taken_at")
