"""Bonuses of campaigns: pools with a budget, the rules of each version, and what was decided for each record.

Why: a campaign gives points on top out of a budget of its own, never beyond it.

A web process that still serves the schema before goes on as it was. Going back fails while a pool holds points: they belong to a
campaign.

Revision: 0018
Follows: 0017
"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

from rewards.grants import GUARDS
from tanpuhui.schema import append_only_ddl

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_TIME = sqlmodel.sql.sqltypes.UTCDateTime
_BEFORE = "path LIKE 'resident:%' OR path LIKE 'held:%'"
_WHOLE = (
    "(unit IS NULL AND amount IS NULL AND cap IS NULL AND budget IS NULL) OR "
    "(unit IS NOT NULL AND amount >= 1 AND cap >= 1 AND budget >= 1)"
)


def _accounts(path: str) -> None:
    with op.batch_alter_table("account") as batch_op:
        batch_op.drop_constraint(op.f("ck_account_path"), type_="check")
        batch_op.create_check_constraint(op.f("ck_account_path"), path)


def _one_of(name: str, *values: str) -> sa.Enum:
    return sa.Enum(*values, name=name, native_enum=False, create_constraint=True, length=32)


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    op.create_table(
        "campaign_pool",
        sa.Column("campaign_id", sa.Uuid(), nullable=False),
        sa.Column("title", sqlmodel.sql.sqltypes.AutoString(length=60), nullable=False),
        sa.Column("budget", sa.BigInteger(), nullable=False),
        sa.Column("granted", sa.BigInteger(), nullable=False),
        sa.Column("moves", sa.Integer(), nullable=False),
        sa.Column("closed_at", _TIME(), nullable=True),
        sa.CheckConstraint("granted BETWEEN 0 AND budget", name=op.f("ck_campaign_pool_granted")),
        sa.CheckConstraint("moves >= 0", name=op.f("ck_campaign_pool_moves")),
        sa.PrimaryKeyConstraint("campaign_id", name=op.f("pk_campaign_pool")),
    )
    op.create_table(
        "campaign_bonus",
        sa.Column("campaign_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("unit", _one_of("bonusunit", "percent", "points"), nullable=True),
        sa.Column("amount", sa.Integer(), nullable=True),
        sa.Column("cap", sa.Integer(), nullable=True),
        sa.Column("budget", sa.BigInteger(), nullable=True),
        sa.Column("valid_from", _TIME(), nullable=False),
        sa.CheckConstraint(_WHOLE, name=op.f("ck_campaign_bonus_whole")),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaign_pool.campaign_id"], name=op.f("fk_campaign_bonus_campaign_id")
        ),
        sa.PrimaryKeyConstraint("campaign_id", "version", name=op.f("pk_campaign_bonus")),
    )
    _create_grants()
    _accounts(f"{_BEFORE} OR path LIKE 'pool:%'")
    for statement in append_only_ddl("campaign_bonus", dialect):
        op.execute(sa.text(statement))
    for guard in GUARDS:
        for statement in guard.create(dialect):
            op.execute(sa.text(statement))


def _create_grants() -> None:
    op.create_table(
        "campaign_grant",
        sa.Column("action_id", sa.Uuid(), nullable=False),
        sa.Column("campaign_id", sa.Uuid(), nullable=False),
        sa.Column("resident_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("granted", sa.BigInteger(), nullable=False),
        sa.Column("short", _one_of("short", "cap", "budget"), nullable=True),
        sa.Column("decided_at", _TIME(), nullable=False),
        sa.Column("voided_at", _TIME(), nullable=True),
        sa.Column("returned", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("granted BETWEEN 0 AND due", name=op.f("ck_campaign_grant_granted")),
        sa.CheckConstraint("(short IS NULL) = (granted = due)", name=op.f("ck_campaign_grant_shortfall")),
        sa.CheckConstraint(
            "returned BETWEEN 0 AND granted AND (returned = 0 OR voided_at IS NOT NULL)",
            name=op.f("ck_campaign_grant_returned"),
        ),
        sa.CheckConstraint(
            "version IS NOT NULL OR (due = 0 AND voided_at IS NOT NULL)",
            name=op.f("ck_campaign_grant_version"),
        ),
        sa.ForeignKeyConstraint(
            ["campaign_id", "version"],
            ["campaign_bonus.campaign_id", "campaign_bonus.version"],
            name=op.f("fk_campaign_grant_campaign_id_version"),
        ),
        sa.ForeignKeyConstraint(["resident_id"], ["resident.id"], name=op.f("fk_campaign_grant_resident_id")),
        sa.PrimaryKeyConstraint("action_id", name=op.f("pk_campaign_grant")),
    )
    op.create_index(
        "ix_campaign_grant_campaign_id_resident_id", "campaign_grant", ["campaign_id", "resident_id"]
    )


def downgrade() -> None:
    dialect = op.get_bind().dialect.name
    for guard in GUARDS:
        for statement in guard.drop(dialect):
            op.execute(sa.text(statement))
    _accounts(_BEFORE)
    for table in ("campaign_grant", "campaign_bonus", "campaign_pool"):
        op.drop_table(table)
