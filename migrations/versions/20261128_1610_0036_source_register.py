"""The number of a site in the register of sources.

Why: what is handed over to the city is told by the one register of sources of pollution and carbon.

It only adds a column that may be empty. A web process that still serves the schema before goes on as it was.

Revision: 0036
Follows: 0031
"""

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # On SQLite the check of a table that others refer to comes with its column.
    op.execute(
        sa.text(
            "ALTER TABLE site ADD COLUMN source_register VARCHAR(64) "
            "CONSTRAINT ck_site_source_register CHECK (source_register <> '')"
        )
    )


def downgrade() -> None:
    op.drop_column("site", "source_register")
