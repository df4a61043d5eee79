"""A closed task of a target can be opened again, with a word in its log.

Why: one that was closed by mistake had to be set anew, and what had followed of it stood elsewhere.

It adds columns that may be empty. A web process that still serves the schema before goes on as it was. Going back loses with what a task
that was opened again had been closed.

Revision: 0046b
Follows: 0044
"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

from tanpuhui.bureau.target_tasks import GUARDS, REOPENING

revision = "0046b"
down_revision = "0044"
branch_labels = None
depends_on = None

_LOG = [guard for guard in GUARDS if guard.table == "target_follow_up"]
_ENDED = [guard for guard in GUARDS if (guard.table, guard.name) == ("target_task", "ended")]
_NEW = ("outcome", "reference", "closed_at", "closed_by")


def _put(*guards: object) -> None:
    for guard in guards:
        for statement in guard.create(op.get_bind().dialect.name):  # type: ignore[attr-defined]
            op.execute(sa.text(statement))


def _take(*guards: object) -> None:
    for guard in guards:
        for statement in guard.drop(op.get_bind().dialect.name):  # type: ignore[attr-defined]
            op.execute(sa.text(statement))


def upgrade() -> None:
    _take(*_LOG, *_ENDED)
    with op.batch_alter_table("target_follow_up") as batch_op:
        batch_op.add_column(sa.Column("reopens", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("outcome", sqlmodel.sql.sqltypes.AutoString(length=500), nullable=True))
        batch_op.add_column(
            sa.Column("reference", sqlmodel.sql.sqltypes.AutoString(length=300), nullable=True)
        )
        batch_op.add_column(sa.Column("closed_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True))
        batch_op.add_column(sa.Column("closed_by", sa.Uuid(), nullable=True))
        batch_op.create_foreign_key(op.f("fk_target_follow_up_closed_by"), "staff", ["closed_by"], ["id"])
        batch_op.create_unique_constraint(op.f("uq_target_follow_up_task_id_reopens"), ["task_id", "reopens"])
        batch_op.create_check_constraint(
            op.f("ck_target_follow_up_reopens"),
            " AND ".join(f"(reopens IS NULL) = ({name} IS NULL)" for name in _NEW),
        )
    _put(*_LOG, *REOPENING)


def downgrade() -> None:
    _take(*_LOG, *REOPENING)
    with op.batch_alter_table("target_follow_up") as batch_op:
        batch_op.drop_constraint(op.f("ck_target_follow_up_reopens"), type_="check")
        batch_op.drop_constraint(op.f("uq_target_follow_up_task_id_reopens"), type_="unique")
        batch_op.drop_constraint(op.f("fk_target_follow_up_closed_by"), type_="foreignkey")
        for name in ("reopens", *_NEW):
            batch_op.drop_column(name)
    _put(*_LOG, *_ENDED)
