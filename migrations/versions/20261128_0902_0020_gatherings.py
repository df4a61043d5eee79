"""Gatherings: who signs up for a place, who waits, who came.

Why: trainings, plantings and repair days have as many places as there are chairs; nobody is promised one too many, and who
came gets a certificate.

Revision: 0020
Follows: 0019
"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

from activities import check_ins, gatherings, sign_ups

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_KINDS = ("training", "planting", "repair_day", "other")
_GUARDS = (*gatherings.GUARDS, *sign_ups.GUARDS, *check_ins.GUARDS)


def upgrade() -> None:
    text, moment = sqlmodel.sql.sqltypes.AutoString, sqlmodel.sql.sqltypes.UTCDateTime
    op.create_table(
        "gathering",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.BigInteger(), nullable=False),
        sa.Column("title", text(length=60), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(*_KINDS, name="gatheringkind", native_enum=False, create_constraint=True, length=32),
            nullable=False,
        ),
        sa.Column("words", text(length=1000), nullable=False),
        sa.Column("place", text(length=80), nullable=False),
        sa.Column("site_id", sa.Uuid(), nullable=True),
        sa.Column("division_code", text(length=12), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=True),
        sa.Column("campaign_id", sa.Uuid(), nullable=True),
        sa.Column("starts_at", moment(), nullable=False),
        sa.Column("ends_at", moment(), nullable=False),
        sa.Column("sign_up_until", moment(), nullable=False),
        sa.Column("places", sa.Integer(), nullable=False),
        sa.Column("numbers", sa.Integer(), nullable=False),
        sa.Column("changes", sa.Integer(), nullable=False),
        sa.Column("changed_at", moment(), nullable=True),
        sa.Column("walk_ins", sa.Integer(), nullable=False),
        sa.Column("cancelled_at", moment(), nullable=True),
        sa.Column("cancel_reason", text(length=200), nullable=True),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", moment(), nullable=False),
        sa.CheckConstraint("code > 0", name=op.f("ck_gathering_code")),
        sa.CheckConstraint("places BETWEEN 1 AND 5000", name=op.f("ck_gathering_places")),
        sa.CheckConstraint("walk_ins BETWEEN 0 AND 5000", name=op.f("ck_gathering_walk_ins")),
        sa.CheckConstraint(
            "ends_at > starts_at AND sign_up_until <= starts_at", name=op.f("ck_gathering_window")
        ),
        sa.CheckConstraint("site_id IS NOT NULL OR place <> ''", name=op.f("ck_gathering_where")),
        sa.CheckConstraint(
            "(cancelled_at IS NULL) = (cancel_reason IS NULL)", name=op.f("ck_gathering_cancelled")
        ),
        sa.CheckConstraint(
            "numbers >= 0 AND (changes > 0) = (changed_at IS NOT NULL)", name=op.f("ck_gathering_changed")
        ),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("fk_gathering_site_id")),
        sa.ForeignKeyConstraint(
            ["division_code"], ["division.code"], name=op.f("fk_gathering_division_code")
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisation.id"], name=op.f("fk_gathering_organisation_id")
        ),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaign.id"], name=op.f("fk_gathering_campaign_id")),
        sa.ForeignKeyConstraint(["created_by"], ["staff.id"], name=op.f("fk_gathering_created_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gathering")),
        sa.UniqueConstraint("code", name=op.f("uq_gathering_code")),
    )
    op.create_index("ix_gathering_starts_at", "gathering", ["starts_at"])
    op.create_index(op.f("ix_gathering_campaign_id"), "gathering", ["campaign_id"])
    op.create_table(
        "sign_up",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("gathering_id", sa.Uuid(), nullable=False),
        sa.Column("resident_id", sa.Uuid(), nullable=True),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("people", sa.Integer(), nullable=False),
        sa.Column("signed_up_at", moment(), nullable=False),
        sa.Column("placed_at", moment(), nullable=True),
        sa.CheckConstraint("people BETWEEN 1 AND 60", name=op.f("ck_sign_up_people")),
        sa.CheckConstraint("number > 0", name=op.f("ck_sign_up_number")),
        sa.CheckConstraint("placed_at >= signed_up_at", name=op.f("ck_sign_up_order")),
        sa.ForeignKeyConstraint(["gathering_id"], ["gathering.id"], name=op.f("fk_sign_up_gathering_id")),
        sa.ForeignKeyConstraint(["resident_id"], ["resident.id"], name=op.f("fk_sign_up_resident_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sign_up")),
        sa.UniqueConstraint("gathering_id", "resident_id", name=op.f("uq_sign_up_gathering_id_resident_id")),
        sa.UniqueConstraint("gathering_id", "number", name=op.f("uq_sign_up_gathering_id_number")),
    )
    op.create_index(op.f("ix_sign_up_resident_id"), "sign_up", ["resident_id"])
    op.create_table(
        "check_in",
        sa.Column("sign_up_id", sa.Uuid(), nullable=False),
        sa.Column("resident_id", sa.Uuid(), nullable=True),
        sa.Column("number", text(length=24), nullable=False),
        sa.Column("checked_in_at", moment(), nullable=False),
        sa.Column("checked_in_by", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(["sign_up_id"], ["sign_up.id"], name=op.f("fk_check_in_sign_up_id")),
        sa.ForeignKeyConstraint(["resident_id"], ["resident.id"], name=op.f("fk_check_in_resident_id")),
        sa.ForeignKeyConstraint(["checked_in_by"], ["staff.id"], name=op.f("fk_check_in_checked_in_by")),
        sa.PrimaryKeyConstraint("sign_up_id", name=op.f("pk_check_in")),
        sa.UniqueConstraint("number", name=op.f("uq_check_in_number")),
    )
    op.create_index(op.f("ix_check_in_resident_id"), "check_in", ["resident_id"])
    for guard in _GUARDS:
        for statement in guard.create(op.get_bind().dialect.name):
            op.execute(sa.text(statement))


def downgrade() -> None:
    for guard in _GUARDS:
        for statement in guard.drop(op.get_bind().dialect.name):
            op.execute(sa.text(statement))
    for table in ("check_in", "sign_up", "gathering"):
        op.drop_table(table)
