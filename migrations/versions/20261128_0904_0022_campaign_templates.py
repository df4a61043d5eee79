"""Campaign templates that somebody published, and those that the bureau approved before.

Why: a campaign that follows a template others have used is made in minutes; one that keeps to a template which the bureau
approved needs no approval of its own, and the database itself holds that to be so.

Revision: 0022
Follows: 0021
"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

from activities.campaign_templates import GUARDS

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_TEXT = sqlmodel.sql.sqltypes.AutoString
_TIME = sqlmodel.sql.sqltypes.UTCDateTime


def upgrade() -> None:
    op.create_table(
        "campaign_template",
        sa.Column("code", _TEXT(length=64), nullable=False),
        sa.Column("division_code", _TEXT(length=12), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=True),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("published_by", sa.Uuid(), nullable=False),
        sa.Column("published_at", _TIME(), nullable=False),
        sa.Column("withdrawn_by", sa.Uuid(), nullable=True),
        sa.Column("withdrawn_at", _TIME(), nullable=True),
        sa.CheckConstraint("document <> ''", name=op.f("ck_campaign_template_document")),
        sa.CheckConstraint(
            "(withdrawn_at IS NULL) = (withdrawn_by IS NULL)", name=op.f("ck_campaign_template_withdrawn")
        ),
        sa.ForeignKeyConstraint(
            ["division_code"], ["division.code"], name=op.f("fk_campaign_template_division_code")
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisation.id"], name=op.f("fk_campaign_template_organisation_id")
        ),
        sa.ForeignKeyConstraint(
            ["published_by"], ["staff.id"], name=op.f("fk_campaign_template_published_by")
        ),
        sa.ForeignKeyConstraint(
            ["withdrawn_by"], ["staff.id"], name=op.f("fk_campaign_template_withdrawn_by")
        ),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_campaign_template")),
    )
    op.create_table(
        "template_approval",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("code", _TEXT(length=64), nullable=False),
        sa.Column("digest", _TEXT(length=64), nullable=False),
        sa.Column("approved_by", sa.Uuid(), nullable=False),
        sa.Column("approved_at", _TIME(), nullable=False),
        sa.Column("ended_by", sa.Uuid(), nullable=True),
        sa.Column("ended_at", _TIME(), nullable=True),
        sa.CheckConstraint("length(digest) = 64", name=op.f("ck_template_approval_digest")),
        sa.CheckConstraint(
            "(ended_at IS NULL) = (ended_by IS NULL)", name=op.f("ck_template_approval_ended")
        ),
        sa.ForeignKeyConstraint(["approved_by"], ["staff.id"], name=op.f("fk_template_approval_approved_by")),
        sa.ForeignKeyConstraint(["ended_by"], ["staff.id"], name=op.f("fk_template_approval_ended_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_template_approval")),
    )
    op.create_index(
        "uq_template_approval_standing",
        "template_approval",
        ["code"],
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    for guard in GUARDS:
        for statement in guard.create(op.get_bind().dialect.name):
            op.execute(sa.text(statement))


def downgrade() -> None:
    for guard in GUARDS:
        for statement in guard.drop(op.get_bind().dialect.name):
            op.execute(sa.text(statement))
    op.drop_index("uq_template_approval_standing", table_name="template_approval")
    op.drop_table("template_approval")
    op.drop_table("campaign_template")
