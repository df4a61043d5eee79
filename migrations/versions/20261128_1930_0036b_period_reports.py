"""Monthly and yearly reports of the bureau.

Why: what was published of a month has to be the same whenever somebody asks; so it is written down once, and never changed.

It only adds a table. A web process that still serves the schema before goes on as it was.

Revision: 0036b
Follows: 0040
"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

from activities.period_reports import GUARDS

revision = "0036b"
down_revision = "0040"
branch_labels = None
depends_on = None

_Text = sqlmodel.sql.sqltypes.AutoString
_Moment = sqlmodel.sql.sqltypes.UTCDateTime

_CHECKS = {
    "period": "length(period) IN (4, 7)",
    "done": "done BETWEEN 0 AND steps",
    "made": "(made_at IS NULL) = (format IS NULL)",
    "whole": "finished_at IS NULL OR (made_at IS NOT NULL AND pdf_zh IS NOT NULL AND pdf_en IS NOT NULL)",
}


def upgrade() -> None:
    op.create_table(
        "period_report",
        sa.Column("period", _Text(length=7), nullable=False),
        sa.Column("ordered_by", sa.Uuid(), nullable=True),
        sa.Column("ordered_at", _Moment(), nullable=False),
        sa.Column("steps", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("worked_at", _Moment(), nullable=False),
        sa.Column("format", sa.Integer(), nullable=True),
        sa.Column("made_at", _Moment(), nullable=True),
        sa.Column("snapshot", sa.JSON(), nullable=False),
        sa.Column("pdf_zh", sa.LargeBinary(), nullable=True),
        sa.Column("pdf_en", sa.LargeBinary(), nullable=True),
        sa.Column("finished_at", _Moment(), nullable=True),
        *(sa.CheckConstraint(rule, name=op.f(f"ck_period_report_{name}")) for name, rule in _CHECKS.items()),
        sa.ForeignKeyConstraint(["ordered_by"], ["staff.id"], name=op.f("fk_period_report_ordered_by_staff")),
        sa.PrimaryKeyConstraint("period", name=op.f("pk_period_report")),
    )
    for guard in GUARDS:
        for statement in guard.create(op.get_bind().dialect.name):
            op.execute(sa.text(statement))


def downgrade() -> None:
    for guard in GUARDS:
        for statement in guard.drop(op.get_bind().dialect.name):
            op.execute(sa.text(statement))
    op.drop_table("period_report")
