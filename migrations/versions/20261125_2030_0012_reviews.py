"""Records that wait for review, and points that are held until then.

Why: what nobody proved can still be recorded, if a person looks at it before it counts.

A web process that still serves the schema before goes on as it was. Going back fails while an account holds points: they belong to
records that wait.

Revision: 0012
Follows: 0011
"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

from activities.reviews import GUARDS

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_DECIDED = (
    "(state = 'pending' AND decided_at IS NULL AND decided_by IS NULL AND replaced_by IS NULL "
    "AND reason IS NULL) OR (state <> 'pending' AND decided_at IS NOT NULL AND reason IS NOT NULL "
    "AND reason <> '' AND (decided_by IS NULL) <> (replaced_by IS NULL) "
    "AND (replaced_by IS NULL OR state = 'rejected'))"
)


def _accounts(path: str) -> None:
    with op.batch_alter_table("account") as batch_op:
        batch_op.drop_constraint(op.f("ck_account_path"), type_="check")
        batch_op.create_check_constraint(op.f("ck_account_path"), path)


def upgrade() -> None:
    op.create_table(
        "action_review",
        sa.Column("action_id", sa.Uuid(), nullable=False),
        sa.Column(
            "why",
            sa.Enum("photo", name="waits", native_enum=False, create_constraint=True, length=32),
            nullable=False,
        ),
        sa.Column("opened_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "pending",
                "confirmed",
                "rejected",
                name="reviewstate",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("decided_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.Column("decided_by", sa.Uuid(), nullable=True),
        sa.Column("reason", sqlmodel.sql.sqltypes.AutoString(length=200), nullable=True),
        sa.Column("replaced_by", sa.Uuid(), nullable=True),
        sa.CheckConstraint(_DECIDED, name=op.f("ck_action_review_decision")),
        sa.CheckConstraint("replaced_by <> action_id", name=op.f("ck_action_review_replaced_by")),
        sa.CheckConstraint("decided_at >= opened_at", name=op.f("ck_action_review_order")),
        sa.ForeignKeyConstraint(["action_id"], ["action.id"], name=op.f("fk_action_review_action_id")),
        sa.ForeignKeyConstraint(["decided_by"], ["staff.id"], name=op.f("fk_action_review_decided_by")),
        sa.ForeignKeyConstraint(["replaced_by"], ["action.id"], name=op.f("fk_action_review_replaced_by")),
        sa.PrimaryKeyConstraint("action_id", name=op.f("pk_action_review")),
    )
    op.create_index("ix_action_review_state_due_on", "action_review", ["state", "due_on"])
    _accounts("path LIKE 'resident:%' OR path LIKE 'held:%'")
    for guard in GUARDS:
        for statement in guard.create(op.get_bind().dialect.name):
            op.execute(sa.text(statement))


def downgrade() -> None:
    for guard in GUARDS:
        for statement in guard.drop(op.get_bind().dialect.name):
            op.execute(sa.text(statement))
    _accounts("path LIKE 'resident:%'")
    op.drop_index("ix_action_review_state_due_on", table_name="action_review")
    op.drop_table("action_review")
