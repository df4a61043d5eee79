"""Signals for people to look at, which browser confirmed a scan, and records voided together.

Why: what is unusual at a code is shown to the staff of the place, who may withdraw the code and void the records on it.

It only adds. A web process that still serves the schema before goes on as it was.

Revision: 0014
Follows: 0013
"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_MOMENT = sqlmodel.sql.sqltypes.UTCDateTime


def _text(length: int) -> sa.types.TypeEngine:
    return sqlmodel.sql.sqltypes.AutoString(length=length)


def upgrade() -> None:
    kinds = ("burst", "device", "hours", "posted", "far")
    op.create_table(
        "signal",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(*kinds, name="signalkind", native_enum=False, create_constraint=True, length=32),
            nullable=False,
        ),
        sa.Column("subject", _text(64), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("site_id", sa.Uuid(), nullable=False),
        sa.Column("code_id", sa.BigInteger(), nullable=True),
        sa.Column("action_id", sa.Uuid(), nullable=True),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("first_at", _MOMENT(), nullable=False),
        sa.Column("last_at", _MOMENT(), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("raised_at", _MOMENT(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "open",
                "dismissed",
                "acted",
                name="signalstate",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("decided_by", sa.Uuid(), nullable=True),
        sa.Column("decided_at", _MOMENT(), nullable=True),
        sa.Column("reason", _text(200), nullable=False),
        sa.CheckConstraint('"count" >= 1', name=op.f("ck_signal_count")),
        sa.CheckConstraint("last_at >= first_at", name=op.f("ck_signal_order")),
        sa.CheckConstraint(
            "(state = 'open') = (decided_at IS NULL) AND (state = 'open') = (decided_by IS NULL) "
            "AND (state = 'open') = (reason = '')",
            name=op.f("ck_signal_decided"),
        ),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("fk_signal_site_id")),
        sa.ForeignKeyConstraint(["decided_by"], ["staff.id"], name=op.f("fk_signal_decided_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signal")),
        sa.UniqueConstraint("kind", "subject", "day", name=op.f("uq_signal_kind_subject_day")),
    )
    op.create_index("ix_signal_state_site_id", "signal", ["state", "site_id"])
    op.create_table(
        "device_use",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("mark", _text(32), nullable=False),
        sa.Column("resident_id", sa.Uuid(), nullable=False),
        sa.Column("code_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seen_at", _MOMENT(), nullable=False),
        sa.ForeignKeyConstraint(["resident_id"], ["resident.id"], name=op.f("fk_device_use_resident_id")),
        sa.PrimaryKeyConstraint("day", "mark", "resident_id", "code_id", name=op.f("pk_device_use")),
    )
    op.create_index("ix_device_use_resident_id", "device_use", ["resident_id"])
    op.create_index("ix_device_use_seen_at", "device_use", ["seen_at"])
    op.create_table(
        "void_order",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("code_id", sa.BigInteger(), nullable=False),
        sa.Column("asked_by", sa.Uuid(), nullable=False),
        sa.Column("asked_at", _MOMENT(), nullable=False),
        sa.Column("reason", _text(200), nullable=False),
        sa.Column("action_ids", sa.JSON(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("problems", sa.JSON(), nullable=False),
        sa.Column("finished_at", _MOMENT(), nullable=True),
        sa.CheckConstraint("reason <> ''", name=op.f("ck_void_order_reason")),
        sa.CheckConstraint("done >= 0", name=op.f("ck_void_order_done")),
        sa.ForeignKeyConstraint(["asked_by"], ["staff.id"], name=op.f("fk_void_order_asked_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_void_order")),
    )
    op.create_index("ix_void_order_code_id", "void_order", ["code_id"])


def downgrade() -> None:
    op.drop_table("void_order")
    op.drop_table("device_use")
    op.drop_table("signal")
