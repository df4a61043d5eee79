"""Codes of every kind, members' own codes, and scans that were refused.

Why: scanning is to resist cheating, to work for people without a phone, and to explain every refusal.

It adds tables, columns that may be empty or have a default, and replaces the check of what a code proves by one that allows all it
allowed before. A web process that still serves the schema before goes on as it was.

Revision: 0007
Follows: 0006
"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_EVIDENCE_BEFORE = "evidence IN ('site_code', 'staff_confirmed')"
_STAFFED_BEFORE = "evidence = 'site_code' OR (valid_from IS NOT NULL AND valid_until IS NOT NULL)"
_KINDS = ("place", "rotating", "slips", "desk", "measured")
_CHECKS = {
    "evidence_of_kind": "(kind = 'place' AND evidence IN ('site_code', 'staff_confirmed')) OR "
    "(kind = 'rotating' AND evidence = 'rotating_code') OR (kind = 'slips' AND evidence = 'rotating_code') OR "
    "(kind = 'desk' AND evidence = 'staff_confirmed') OR (kind = 'measured' AND evidence = 'measured')",
    "staffed": "kind <> 'place' OR evidence = 'site_code' OR (valid_from IS NOT NULL AND valid_until IS NOT NULL)",
    "slips": "(kind = 'slips') = (copies IS NOT NULL)",
    "copies": "copies BETWEEN 1 AND 2000",
    "measured": "kind <> 'measured' OR action_kind IS NOT NULL",
    "quantity": "quantity_milli IS NULL OR (kind = 'slips' AND action_kind IS NOT NULL AND quantity_milli > 0)",
}


def upgrade() -> None:
    op.create_table(
        "member_card",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("resident_id", sa.Uuid(), nullable=True),
        sa.Column("division_code", sqlmodel.sql.sqltypes.AutoString(length=12), nullable=True),
        sa.Column("issued_by", sa.Uuid(), nullable=True),
        sa.Column("issued_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("handed_over_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.Column("revoked_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.CheckConstraint(
            "(division_code IS NULL) = (issued_by IS NULL)", name=op.f("ck_member_card_printed")
        ),
        sa.CheckConstraint("number > 0", name=op.f("ck_member_card_number")),
        sa.CheckConstraint(
            "resident_id IS NOT NULL OR division_code IS NOT NULL", name=op.f("ck_member_card_holder")
        ),
        sa.ForeignKeyConstraint(
            ["division_code"], ["division.code"], name=op.f("fk_member_card_division_code")
        ),
        sa.ForeignKeyConstraint(["issued_by"], ["staff.id"], name=op.f("fk_member_card_issued_by")),
        sa.ForeignKeyConstraint(["resident_id"], ["resident.id"], name=op.f("fk_member_card_resident_id")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_member_card")),
    )
    with op.batch_alter_table("member_card", schema=None) as batch_op:
        batch_op.create_index(
            "uq_member_card_standing",
            ["resident_id"],
            unique=True,
            sqlite_where=sa.text("revoked_at IS NULL"),
            postgresql_where=sa.text("revoked_at IS NULL"),
        )

    op.create_table(
        "code_use",
        sa.Column("code_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("serial", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("action_id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("serial >= 1", name=op.f("ck_code_use_serial")),
        sa.ForeignKeyConstraint(["action_id"], ["action.id"], name=op.f("fk_code_use_action_id")),
        sa.PrimaryKeyConstraint("code_id", "serial", name=op.f("pk_code_use")),
        sa.UniqueConstraint("action_id", name=op.f("uq_code_use_action_id")),
    )
    op.create_table(
        "scan_attempt",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("resident_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("code_id", sa.BigInteger(), nullable=False),
        sa.Column("site_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=False),
        sa.Column("reason", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=False),
        sa.Column("params", sa.JSON(), nullable=False),
        sa.Column("first_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("last_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.CheckConstraint("last_at >= first_at", name=op.f("ck_scan_attempt_order")),
        sa.CheckConstraint("times >= 1", name=op.f("ck_scan_attempt_times")),
        sa.ForeignKeyConstraint(["resident_id"], ["resident.id"], name=op.f("fk_scan_attempt_resident_id")),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("fk_scan_attempt_site_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scan_attempt")),
        sa.UniqueConstraint(
            "resident_id",
            "day",
            "code_id",
            "kind",
            "reason",
            name=op.f("uq_scan_attempt_resident_id_day_code_id_kind_reason"),
        ),
    )
    with op.batch_alter_table("scan_attempt", schema=None) as batch_op:
        batch_op.create_index("ix_scan_attempt_last_at", ["last_at"], unique=False)

    # Not in a batch: SQLite would have to drop the table that others refer to.
    op.add_column("action", sa.Column("recorded_by", sa.Uuid(), nullable=True))

    with op.batch_alter_table("code") as batch_op:
        batch_op.drop_constraint(op.f("ck_code_evidence"), type_="check")
        batch_op.drop_constraint(op.f("ck_code_staffed"), type_="check")
        batch_op.add_column(sa.Column("kind", sa.String(length=32), server_default="place", nullable=False))
        batch_op.add_column(
            sa.Column("action_kind", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=True)
        )
        batch_op.add_column(sa.Column("quantity_milli", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("copies", sa.Integer(), nullable=True))
        batch_op.create_foreign_key(op.f("fk_code_action_kind"), "action_kind", ["action_kind"], ["code"])
        kinds = ", ".join(f"'{kind}'" for kind in _KINDS)
        batch_op.create_check_constraint(op.f("ck_code_codekind"), f"kind IN ({kinds})")
        for name, condition in _CHECKS.items():
            batch_op.create_check_constraint(op.f(f"ck_code_{name}"), condition)


def downgrade() -> None:
    with op.batch_alter_table("code") as batch_op:
        for name in ("codekind", *_CHECKS):
            batch_op.drop_constraint(op.f(f"ck_code_{name}"), type_="check")
    # The schema before has no word for other codes: they end here, and what they credited stays.
    op.execute(
        sa.text(
            "UPDATE code SET evidence = 'site_code', revoked_at = COALESCE(revoked_at, issued_at) WHERE kind <> 'place'"
        )
    )
    with op.batch_alter_table("code") as batch_op:
        batch_op.drop_constraint(op.f("fk_code_action_kind"), type_="foreignkey")
        for column in ("copies", "quantity_milli", "action_kind", "kind"):
            batch_op.drop_column(column)
        batch_op.create_check_constraint(op.f("ck_code_evidence"), _EVIDENCE_BEFORE)
        batch_op.create_check_constraint(op.f("ck_code_staffed"), _STAFFED_BEFORE)

    op.drop_column("action", "recorded_by")

    with op.batch_alter_table("scan_attempt", schema=None) as batch_op:
        batch_op.drop_index("ix_scan_attempt_last_at")

    op.drop_table("scan_attempt")
    op.drop_table("code_use")
    with op.batch_alter_table("member_card", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_member_card_standing",
            sqlite_where=sa.text("revoked_at IS NULL"),
            postgresql_where=sa.text("revoked_at IS NULL"),
        )

    op.drop_table("member_card")
