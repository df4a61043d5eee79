"""Who may join a campaign by kind of account: a person, a class, a family.

Why: a contest of school classes is for them alone; who may not join is credited as ever, without the campaign.

Revision: 0027
Follows: 0026
"""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("campaign", sa.Column("accounts", sa.JSON(none_as_null=True), nullable=True))


def downgrade() -> None:
    op.drop_column("campaign", "accounts")
