"""Orders of posters for many sites.

Why: hundreds of posters take longer to draw than anybody waits for an answer; whichever web process is asked, it can tell how far
the file is, and hand it over once it is whole.

It only adds. A web process that still serves the schema before goes on as it was.

Revision: 0010
Follows: 0009
"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "poster_print",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("asked_by", sa.Uuid(), nullable=False),
        sa.Column("asked_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("site_ids", sa.JSON(), nullable=False),
        sa.Column("paper", sqlmodel.sql.sqltypes.AutoString(length=8), nullable=False),
        sa.Column("campaign", sqlmodel.sql.sqltypes.AutoString(length=36), nullable=False),
        sa.Column("steps", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("problems", sa.JSON(), nullable=False),
        sa.Column("file", sa.LargeBinary(), nullable=True),
        sa.Column("worked_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("finished_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.CheckConstraint("done BETWEEN 0 AND steps", name=op.f("ck_poster_print_done")),
        sa.CheckConstraint("paper IN ('A4', 'A5', '50mm')", name=op.f("ck_poster_print_paper")),
        sa.CheckConstraint(
            "file IS NULL OR (finished_at IS NOT NULL AND done = steps)", name=op.f("ck_poster_print_whole")
        ),
        sa.ForeignKeyConstraint(["asked_by"], ["staff.id"], name=op.f("fk_poster_print_asked_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_poster_print")),
    )
    with op.batch_alter_table("poster_print", schema=None) as batch_op:
        batch_op.create_index("ix_poster_print_asked_at", ["asked_at"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("poster_print", schema=None) as batch_op:
        batch_op.drop_index("ix_poster_print_asked_at")
    op.drop_table("poster_print")
