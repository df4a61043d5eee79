"""What people on the spot say of a site; participants found by campaign.

Why: whoever sets out wants to know whether the bin is full and the door open; and the page of a campaign counts its
participants.

It only adds. A web process that still serves the schema before goes on as it was.

Revision: 0005
Follows: 0004
"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_OF_A_CAMPAIGN = sa.text("campaign <> ''")


def upgrade() -> None:
    op.create_table(
        "site_report",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("site_id", sa.Uuid(), nullable=False),
        sa.Column("resident_id", sa.Uuid(), nullable=True),
        sa.Column("staff_id", sa.Uuid(), nullable=True),
        sa.Column(
            "condition",
            sa.Enum(
                "open",
                "full",
                "closed",
                name="sitecondition",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("reported_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=True),
        sa.CheckConstraint(
            "(resident_id IS NULL) <> (staff_id IS NULL)", name=op.f("ck_site_report_one_voice")
        ),
        sa.CheckConstraint(
            "(resident_id IS NULL) = (ordinal IS NULL) AND (ordinal IS NULL OR ordinal BETWEEN 1 AND 20)",
            name=op.f("ck_site_report_ordinal"),
        ),
        sa.ForeignKeyConstraint(["resident_id"], ["resident.id"], name=op.f("fk_site_report_resident_id")),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("fk_site_report_site_id")),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_site_report_staff_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_site_report")),
        sa.UniqueConstraint(
            "resident_id", "day", "ordinal", name=op.f("uq_site_report_resident_id_day_ordinal")
        ),
        sa.UniqueConstraint("site_id", "resident_id", name=op.f("uq_site_report_site_id_resident_id")),
        sa.UniqueConstraint("site_id", "staff_id", name=op.f("uq_site_report_site_id_staff_id")),
    )
    op.create_index(
        "ix_daily_participant_campaign",
        "daily_participant",
        ["campaign", "resident_id"],
        sqlite_where=_OF_A_CAMPAIGN,
        postgresql_where=_OF_A_CAMPAIGN,
    )


def downgrade() -> None:
    op.drop_index("ix_daily_participant_campaign", table_name="daily_participant")
    op.drop_table("site_report")
