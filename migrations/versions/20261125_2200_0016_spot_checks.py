"""Spot checks: records drawn at random by site or campaign and month, and what officers found of them.

Why: an error rate that the bureau can trust needs records that nobody picked by hand.

Actions get an index by site and day, so that a draw reads the records of one site in one month alone. On a large table
PostgreSQL takes a while to make it and stops scans meanwhile: migrate at night.

Revision: 0016
Follows: 0015
"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

from activities.spot_checks import GUARDS

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_OUTCOMES = ("right", "wrong_quantity", "wrong_kind", "did_not_happen", "wrong_other", "cannot_tell")
_JUDGEMENT = (
    "(outcome IS NULL AND words IS NULL AND judged_at IS NULL AND judged_by IS NULL) OR "
    "(outcome IS NOT NULL AND words IS NOT NULL AND (words <> '' OR outcome = 'right') "
    "AND judged_at IS NOT NULL AND judged_by IS NOT NULL)"
)


def upgrade() -> None:
    op.create_table(
        "spot_check",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("site_id", sa.Uuid(), nullable=True),
        sa.Column("campaign_id", sa.Uuid(), nullable=True),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("seed", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=False),
        sa.Column("population", sa.Integer(), nullable=False),
        sa.Column("drawn_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("drawn_by", sa.Uuid(), nullable=True),
        sa.CheckConstraint(
            "(site_id IS NULL) <> (campaign_id IS NULL)", name=op.f("ck_spot_check_one_scope")
        ),
        sa.CheckConstraint("population >= 0", name=op.f("ck_spot_check_population")),
        sa.CheckConstraint("length(seed) = 32", name=op.f("ck_spot_check_seed")),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("fk_spot_check_site_id")),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaign.id"], name=op.f("fk_spot_check_campaign_id")),
        sa.ForeignKeyConstraint(["drawn_by"], ["staff.id"], name=op.f("fk_spot_check_drawn_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_spot_check")),
        sa.UniqueConstraint("site_id", "month", name=op.f("uq_spot_check_site_id_month")),
        sa.UniqueConstraint("campaign_id", "month", name=op.f("uq_spot_check_campaign_id_month")),
    )
    op.create_index("ix_spot_check_month", "spot_check", ["month"])
    op.create_table(
        "spot_check_item",
        sa.Column("spot_check_id", sa.Uuid(), nullable=False),
        sa.Column("action_id", sa.Uuid(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column(
            "outcome",
            sa.Enum(*_OUTCOMES, name="outcome", native_enum=False, create_constraint=True, length=32),
            nullable=True,
        ),
        sa.Column("words", sqlmodel.sql.sqltypes.AutoString(length=200), nullable=True),
        sa.Column("judged_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.Column("judged_by", sa.Uuid(), nullable=True),
        sa.CheckConstraint(_JUDGEMENT, name=op.f("ck_spot_check_item_judgement")),
        sa.ForeignKeyConstraint(
            ["spot_check_id"], ["spot_check.id"], name=op.f("fk_spot_check_item_spot_check_id")
        ),
        sa.ForeignKeyConstraint(["action_id"], ["action.id"], name=op.f("fk_spot_check_item_action_id")),
        sa.ForeignKeyConstraint(["judged_by"], ["staff.id"], name=op.f("fk_spot_check_item_judged_by")),
        sa.PrimaryKeyConstraint("spot_check_id", "action_id", name=op.f("pk_spot_check_item")),
        sa.UniqueConstraint(
            "spot_check_id", "ordinal", name=op.f("uq_spot_check_item_spot_check_id_ordinal")
        ),
    )
    op.create_index("ix_spot_check_item_action_id", "spot_check_item", ["action_id"])
    op.create_index("ix_action_site_id_day", "action", ["site_id", "day"])
    for guard in GUARDS:
        for statement in guard.create(op.get_bind().dialect.name):
            op.execute(sa.text(statement))


def downgrade() -> None:
    for guard in GUARDS:
        for statement in guard.drop(op.get_bind().dialect.name):
            op.execute(sa.text(statement))
    op.drop_index("ix_action_site_id_day", table_name="action")
    op.drop_index("ix_spot_check_item_action_id", table_name="spot_check_item")
    op.drop_table("spot_check_item")
    op.drop_index("ix_spot_check_month", table_name="spot_check")
    op.drop_table("spot_check")
