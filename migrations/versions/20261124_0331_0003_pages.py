"""What residents decide of themselves: class accounts, nickname, points switch, consents given again.

Why: residents are in charge of what is held of them, and no child's data is.

It only adds, and lets a consent that was taken back be given again. A web process that still serves the schema
before goes on as it was.

Revision: 0003
Follows: 0002
"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "class_account",
        sa.Column("resident_id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("label", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("link_hash", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=True),
        sa.Column("link_expires_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.CheckConstraint("label <> ''", name=op.f("ck_class_account_label")),
        sa.ForeignKeyConstraint(["created_by"], ["staff.id"], name=op.f("fk_class_account_created_by")),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisation.id"], name=op.f("fk_class_account_organisation_id")
        ),
        sa.ForeignKeyConstraint(["resident_id"], ["resident.id"], name=op.f("fk_class_account_resident_id")),
        sa.PrimaryKeyConstraint("resident_id", name=op.f("pk_class_account")),
        sa.UniqueConstraint("link_hash", name=op.f("uq_class_account_link_hash")),
        sa.UniqueConstraint("organisation_id", "label", name=op.f("uq_class_account_organisation_id_label")),
    )
    with op.batch_alter_table("consent", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("uq_consent_resident_id_document_version"), type_="unique")
        batch_op.create_index(
            "uq_consent_standing",
            ["resident_id", "document"],
            unique=True,
            sqlite_where=sa.text("withdrawn_at IS NULL"),
            postgresql_where=sa.text("withdrawn_at IS NULL"),
        )

    # Not in a batch: SQLite would have to drop the table that every other one refers to.
    op.add_column(
        "resident", sa.Column("nickname", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=True)
    )
    op.add_column(
        "resident", sa.Column("with_points", sa.Boolean(), server_default=sa.text("true"), nullable=False)
    )


def downgrade() -> None:
    op.drop_column("resident", "with_points")
    op.drop_column("resident", "nickname")

    # The schema before knows one consent to a version: the last one given stays.
    op.execute(
        sa.text(
            "DELETE FROM consent WHERE EXISTS (SELECT 1 FROM consent later WHERE later.resident_id = consent.resident_id"
            " AND later.document = consent.document AND later.version = consent.version"
            " AND (later.given_at, later.id) > (consent.given_at, consent.id))"
        )
    )
    with op.batch_alter_table("consent", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_consent_standing",
            sqlite_where=sa.text("withdrawn_at IS NULL"),
            postgresql_where=sa.text("withdrawn_at IS NULL"),
        )
        batch_op.create_unique_constraint(
            batch_op.f("uq_consent_resident_id_document_version"), ["resident_id", "document", "version"]
        )

    op.drop_table("class_account")
