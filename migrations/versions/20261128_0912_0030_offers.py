"""Reward pools, offers with their coupon codes, and vouchers; what vouchers hold has an account of its own.

Why: residents give points for what offers say, out of budgets that cannot go below zero, and nothing is given twice.

A web process that still serves the schema before goes on as it was. Going back fails while a voucher holds points: they belong to its
resident.

Revision: 0030
Follows: 0029
"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

from rewards import offers, reward_pools, vouchers

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

_GUARDS = (*reward_pools.GUARDS, *offers.GUARDS, *vouchers.GUARDS)
_BEFORE = "path LIKE 'resident:%' OR path LIKE 'held:%' OR path LIKE 'pool:%'"
_text = sqlmodel.sql.sqltypes.AutoString
_time = sqlmodel.sql.sqltypes.UTCDateTime


def _accounts(path: str) -> None:
    with op.batch_alter_table("account") as batch_op:
        batch_op.drop_constraint(op.f("ck_account_path"), type_="check")
        batch_op.create_check_constraint(op.f("ck_account_path"), path)


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    _accounts(f"{_BEFORE} OR path LIKE 'reserved:%'")
    _create_tables()
    for guard in _GUARDS:
        for statement in guard.create(dialect):
            op.execute(sa.text(statement))


def _create_tables() -> None:
    op.create_table(
        "reward_pool",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("title", _text(length=40), nullable=False),
        sa.Column("funder", _text(length=60), nullable=False),
        sa.Column("purpose", _text(length=160), nullable=False),
        sa.Column("division_code", _text(length=12), nullable=False),
        sa.Column("budget", sa.BigInteger(), nullable=False),
        sa.Column("reserved", sa.BigInteger(), nullable=False),
        sa.Column("spent", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", _time(), nullable=False),
        sa.CheckConstraint(
            "title <> '' AND funder <> '' AND purpose <> ''", name=op.f("ck_reward_pool_words")
        ),
        sa.CheckConstraint("budget >= 1", name=op.f("ck_reward_pool_budget")),
        sa.CheckConstraint(
            "reserved >= 0 AND spent >= 0 AND reserved + spent <= budget", name=op.f("ck_reward_pool_left")
        ),
        sa.ForeignKeyConstraint(["created_by"], ["staff.id"], name=op.f("fk_reward_pool_created_by")),
        sa.ForeignKeyConstraint(
            ["division_code"], ["division.code"], name=op.f("fk_reward_pool_division_code")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reward_pool")),
    )
    op.create_table(
        "offer",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "goods",
                "coupon",
                "service",
                "donation",
                "honour",
                name="offerkind",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("title", _text(length=40), nullable=False),
        sa.Column("words", _text(length=400), nullable=False),
        sa.Column("collect_at", _text(length=120), nullable=False),
        sa.Column("price", sa.Integer(), nullable=False),
        sa.Column("stock", sa.Integer(), nullable=False),
        sa.Column("taken", sa.Integer(), nullable=False),
        sa.Column("per_person", sa.Integer(), nullable=False),
        sa.Column("opens_at", _time(), nullable=False),
        sa.Column("closes_at", _time(), nullable=False),
        sa.Column("good_days", sa.Integer(), nullable=False),
        sa.Column("divisions", sa.JSON(), nullable=False),
        sa.Column("division_code", _text(length=12), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=True),
        sa.Column("pool_id", sa.Uuid(), nullable=False),
        sa.Column("drafted_by", sa.Uuid(), nullable=False),
        sa.Column("drafted_at", _time(), nullable=False),
        sa.Column("submitted_at", _time(), nullable=True),
        sa.Column("returned_because", _text(length=200), nullable=False),
        sa.Column("approved_by", sa.Uuid(), nullable=True),
        sa.Column("approved_at", _time(), nullable=True),
        sa.Column("paused_at", _time(), nullable=True),
        sa.Column("ended_at", _time(), nullable=True),
        sa.CheckConstraint("price >= 0 AND (price = 0) = (kind = 'honour')", name=op.f("ck_offer_price")),
        sa.CheckConstraint("title <> '' AND words <> '' AND collect_at <> ''", name=op.f("ck_offer_words")),
        sa.CheckConstraint(
            "(approved_at IS NULL) = (approved_by IS NULL) AND (approved_at IS NULL OR submitted_at IS NOT NULL)",
            name=op.f("ck_offer_approved"),
        ),
        sa.CheckConstraint(
            "approved_at IS NOT NULL OR (taken = 0 AND paused_at IS NULL AND ended_at IS NULL)",
            name=op.f("ck_offer_begun"),
        ),
        sa.CheckConstraint(
            "approved_by IS NULL OR approved_by <> drafted_by", name=op.f("ck_offer_approved_by_another")
        ),
        sa.CheckConstraint("closes_at > opens_at", name=op.f("ck_offer_window")),
        sa.CheckConstraint("good_days >= 1", name=op.f("ck_offer_good_days")),
        sa.CheckConstraint("per_person >= 1", name=op.f("ck_offer_per_person")),
        sa.CheckConstraint("taken >= 0 AND taken <= stock", name=op.f("ck_offer_stock")),
        sa.ForeignKeyConstraint(["approved_by"], ["staff.id"], name=op.f("fk_offer_approved_by")),
        sa.ForeignKeyConstraint(["division_code"], ["division.code"], name=op.f("fk_offer_division_code")),
        sa.ForeignKeyConstraint(["drafted_by"], ["staff.id"], name=op.f("fk_offer_drafted_by")),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisation.id"], name=op.f("fk_offer_organisation_id")
        ),
        sa.ForeignKeyConstraint(["pool_id"], ["reward_pool.id"], name=op.f("fk_offer_pool_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_offer")),
    )
    op.create_index("ix_offer_approved_at_closes_at", "offer", ["approved_at", "closes_at"], unique=False)
    op.create_index(op.f("ix_offer_organisation_id"), "offer", ["organisation_id"], unique=False)
    op.create_index(op.f("ix_offer_pool_id"), "offer", ["pool_id"], unique=False)
    op.create_table(
        "redemption",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("offer_id", sa.Uuid(), nullable=False),
        sa.Column("pool_id", sa.Uuid(), nullable=False),
        sa.Column("resident_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("price", sa.Integer(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "open",
                "settled",
                "cancelled",
                "lapsed",
                name="voucherstate",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("made_at", _time(), nullable=False),
        sa.Column("expires_at", _time(), nullable=False),
        sa.Column("settlements", sa.Integer(), nullable=False),
        sa.Column("settled_at", _time(), nullable=True),
        sa.Column("settled_by", sa.Uuid(), nullable=True),
        sa.Column("ended_at", _time(), nullable=True),
        sa.Column("cancelled_by", sa.Uuid(), nullable=True),
        sa.Column("reason", _text(length=200), nullable=False),
        sa.Column("reminded_at", _time(), nullable=True),
        sa.CheckConstraint(
            "(state = 'settled') = (settled_at IS NOT NULL) AND (settled_at IS NULL OR settlements >= 1)",
            name=op.f("ck_redemption_settled"),
        ),
        sa.CheckConstraint(
            "(state IN ('cancelled', 'lapsed')) = (ended_at IS NOT NULL) AND (cancelled_by IS NULL OR (state = 'cancelled' AND reason <> ''))",
            name=op.f("ck_redemption_ended"),
        ),
        sa.CheckConstraint("expires_at > made_at", name=op.f("ck_redemption_order")),
        sa.CheckConstraint(
            "number > 0 AND price >= 0 AND settlements >= 0", name=op.f("ck_redemption_numbers")
        ),
        sa.ForeignKeyConstraint(["cancelled_by"], ["staff.id"], name=op.f("fk_redemption_cancelled_by")),
        sa.ForeignKeyConstraint(["offer_id"], ["offer.id"], name=op.f("fk_redemption_offer_id")),
        sa.ForeignKeyConstraint(["pool_id"], ["reward_pool.id"], name=op.f("fk_redemption_pool_id")),
        sa.ForeignKeyConstraint(["resident_id"], ["resident.id"], name=op.f("fk_redemption_resident_id")),
        sa.ForeignKeyConstraint(["settled_by"], ["staff.id"], name=op.f("fk_redemption_settled_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_redemption")),
        sa.UniqueConstraint("number", name=op.f("uq_redemption_number")),
    )
    op.create_index(
        "ix_redemption_offer_id_resident_id", "redemption", ["offer_id", "resident_id"], unique=False
    )
    op.create_index(
        "ix_redemption_open",
        "redemption",
        ["expires_at"],
        unique=False,
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_index("ix_redemption_pool_id_made_at", "redemption", ["pool_id", "made_at"], unique=False)
    op.create_index(
        "ix_redemption_resident_id_made_at", "redemption", ["resident_id", "made_at"], unique=False
    )
    op.create_index("ix_redemption_settled_at", "redemption", ["settled_at"], unique=False)
    op.create_table(
        "offer_coupon",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("offer_id", sa.Uuid(), nullable=False),
        sa.Column("holder", _text(length=48), nullable=False),
        sa.Column("code", _text(length=64), nullable=False),
        sa.Column("redemption_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint("code <> ''", name=op.f("ck_offer_coupon_code")),
        sa.ForeignKeyConstraint(["offer_id"], ["offer.id"], name=op.f("fk_offer_coupon_offer_id")),
        sa.ForeignKeyConstraint(
            ["redemption_id"], ["redemption.id"], name=op.f("fk_offer_coupon_redemption_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_offer_coupon")),
        sa.UniqueConstraint("holder", "code", name=op.f("uq_offer_coupon_holder_code")),
        sa.UniqueConstraint("redemption_id", name=op.f("uq_offer_coupon_redemption_id")),
    )
    op.create_index(
        "ix_offer_coupon_offer_id_redemption_id", "offer_coupon", ["offer_id", "redemption_id"], unique=False
    )


def downgrade() -> None:
    dialect = op.get_bind().dialect.name
    for guard in _GUARDS:
        for statement in guard.drop(dialect):
            op.execute(sa.text(statement))
    for table in ("offer_coupon", "redemption", "offer", "reward_pool"):
        op.drop_table(table)
    _accounts(_BEFORE)
