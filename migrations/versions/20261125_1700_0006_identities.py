"""Identities elsewhere by which residents log in, as keyed fingerprints.

Why: log-in goes through an identity provider; a district may offer another one beside the phone.

It only adds. A web process that still serves the schema before goes on as it was.

Revision: 0006
Follows: 0005
"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "identity",
        sa.Column("provider", sqlmodel.sql.sqltypes.AutoString(length=16), nullable=False),
        sa.Column("fingerprint", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("resident_id", sa.Uuid(), nullable=False),
        sa.Column("linked_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.CheckConstraint("length(fingerprint) = 64", name=op.f("ck_identity_fingerprint")),
        sa.CheckConstraint("provider NOT IN ('', 'phone')", name=op.f("ck_identity_provider")),
        sa.ForeignKeyConstraint(["resident_id"], ["resident.id"], name=op.f("fk_identity_resident_id")),
        sa.PrimaryKeyConstraint("provider", "fingerprint", name=op.f("pk_identity")),
        sa.UniqueConstraint("resident_id", "provider", name=op.f("uq_identity_resident_id_provider")),
    )


def downgrade() -> None:
    op.drop_table("identity")
