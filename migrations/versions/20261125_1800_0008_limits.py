"""Limits of the week, loads that count as one, limits and opening hours of a site.

Why: loads were split into drops of 0.1 kg elsewhere, and a bin that is shut at night credits nobody at night.

It only adds columns that may be empty or have a default. A web process that still serves the schema before goes on as it was.

Revision: 0008
Follows: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_OF_A_KIND = {
    "records_per_week": "records_per_week >= records_per_day",
    "quantity_per_week": "quantity_per_week_milli >= quantity_per_day_milli",
    "merge_minutes": "merge_minutes BETWEEN 0 AND 120",
}
_COLUMNS = ("merge_minutes", "quantity_per_week_milli", "records_per_week")


def upgrade() -> None:
    op.add_column("site", sa.Column("schedule", sa.String(length=120), server_default="", nullable=False))
    with op.batch_alter_table("site_credits") as batch_op:
        batch_op.add_column(sa.Column("records_per_day", sa.Integer(), nullable=True))
        batch_op.create_check_constraint(op.f("ck_site_credits_records_per_day"), "records_per_day >= 1")
    # On SQLite the checks of a table that others refer to come with the column.
    for name, column in zip(
        _OF_A_KIND, ("records_per_week", "quantity_per_week_milli", "merge_minutes"), strict=True
    ):
        type_ = "BIGINT" if column.startswith("quantity") else "INTEGER"
        default = "DEFAULT 0 NOT NULL" if column == "merge_minutes" else ""
        op.execute(
            sa.text(
                f"ALTER TABLE action_kind ADD COLUMN {column} {type_} {default} "
                f"CONSTRAINT ck_action_kind_{name} CHECK ({_OF_A_KIND[name]})"
            )
        )


def downgrade() -> None:
    for name, column in zip(reversed(_OF_A_KIND), _COLUMNS, strict=True):
        if op.get_bind().dialect.name == "postgresql":
            op.drop_constraint(op.f(f"ck_action_kind_{name}"), "action_kind", type_="check")
        op.drop_column("action_kind", column)
    with op.batch_alter_table("site_credits") as batch_op:
        batch_op.drop_constraint(op.f("ck_site_credits_records_per_day"), type_="check")
        batch_op.drop_column("records_per_day")
    op.drop_column("site", "schedule")
