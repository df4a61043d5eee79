"""One deed, one credit: rules of when two records are one deed, and records replaced by better proven ones.

Why: whoever came first won, so a deed declared by its doer kept out the scan that proved it.

On SQLite the table of voids is made anew. A web process that still serves the schema before goes on as it was.

Revision: 0011
Follows: 0010
"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def _aside() -> list[str]:
    """Take the triggers that name the table out of SQLite's way; the statements that bring them back."""
    connection = op.get_bind()
    if connection.dialect.name != "sqlite":
        return []
    named = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND sql LIKE '%action_void%'"
    triggers = connection.exec_driver_sql(named).all()
    for trigger in triggers:
        connection.exec_driver_sql(f"DROP TRIGGER {trigger.name}")
    return [trigger.sql for trigger in triggers]


def _back(triggers: list[str]) -> None:
    for sql in triggers:
        op.get_bind().exec_driver_sql(sql)


def upgrade() -> None:
    op.create_table(
        "clash_rule",
        sa.Column("clash_group", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=False),
        sa.Column("within", sqlmodel.sql.sqltypes.AutoString(length=16), nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=True),
        sa.Column("periods", sqlmodel.sql.sqltypes.AutoString(length=120), nullable=True),
        sa.Column("note", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.CheckConstraint(
            "within IN ('minutes', 'day', 'period') AND (within = 'period') = (periods IS NOT NULL)",
            name=op.f("ck_clash_rule_within"),
        ),
        sa.CheckConstraint("minutes BETWEEN 1 AND 1440", name=op.f("ck_clash_rule_minutes")),
        sa.PrimaryKeyConstraint("clash_group", name=op.f("pk_clash_rule")),
    )
    triggers = _aside()
    with op.batch_alter_table("action_void") as batch_op:
        batch_op.add_column(sa.Column("replaced_by", sa.Uuid(), nullable=True))
        batch_op.alter_column("voided_by", existing_type=sa.Uuid(), nullable=True)
        batch_op.create_foreign_key(op.f("fk_action_void_replaced_by"), "action", ["replaced_by"], ["id"])
        batch_op.create_check_constraint(
            op.f("ck_action_void_by_one"), "(voided_by IS NULL) <> (replaced_by IS NULL)"
        )
        batch_op.create_check_constraint(op.f("ck_action_void_replaced_by"), "replaced_by <> action_id")
    _back(triggers)


def downgrade() -> None:
    triggers = _aside()
    with op.batch_alter_table("action_void") as batch_op:
        batch_op.drop_constraint(op.f("ck_action_void_replaced_by"), type_="check")
        batch_op.drop_constraint(op.f("ck_action_void_by_one"), type_="check")
        batch_op.drop_constraint(op.f("fk_action_void_replaced_by"), type_="foreignkey")
        batch_op.alter_column("voided_by", existing_type=sa.Uuid(), nullable=False)
        batch_op.drop_column("replaced_by")
    _back(triggers)
    op.drop_table("clash_rule")
