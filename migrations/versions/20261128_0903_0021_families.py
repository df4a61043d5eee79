"""What an account is; family accounts and the guardians who share them; for whom a browser acts.

Why: a family takes part with an account of its own, of which no child is known, and one deed counts once for it and its guardians.
What an account is stands in the resident's row, which every scan reads anyway.

Columns are only added. A web process that still serves the schema before goes on as it was, but makes no class meanwhile.

Revision: 0021
Follows: 0020
"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

from tanpuhui.families import GUARDS

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # In words, and not in a batch: SQLite would have to drop the table that every other one refers to, and takes a new
    # check only with its column.
    op.execute(
        sa.text(
            "ALTER TABLE resident ADD COLUMN account_kind VARCHAR(32) DEFAULT 'person' NOT NULL "
            "CONSTRAINT ck_resident_accountkind CHECK (account_kind IN ('person', 'class', 'family')) "
            "CONSTRAINT ck_resident_no_person "
            "CHECK (account_kind = 'person' OR (length(phone_cipher) = 0 AND nickname IS NULL))"
        )
    )
    op.add_column(
        "resident", sa.Column("shares", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.execute(
        sa.text(
            "UPDATE resident SET account_kind = 'class', nickname = NULL "
            "WHERE id IN (SELECT resident_id FROM class_account)"
        )
    )
    op.add_column(
        "browser_session",
        sa.Column("for_family", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    op.create_table(
        "family_account",
        sa.Column("resident_id", sa.Uuid(), nullable=False),
        sa.Column("label", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("created_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("invite_hash", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=True),
        sa.Column("invite_expires_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.CheckConstraint("label <> ''", name=op.f("ck_family_account_label")),
        sa.CheckConstraint(
            "(invite_hash IS NULL) = (invite_expires_at IS NULL)", name=op.f("ck_family_account_invitation")
        ),
        sa.ForeignKeyConstraint(["resident_id"], ["resident.id"], name=op.f("fk_family_account_resident_id")),
        sa.PrimaryKeyConstraint("resident_id", name=op.f("pk_family_account")),
        sa.UniqueConstraint("invite_hash", name=op.f("uq_family_account_invite_hash")),
    )
    op.create_table(
        "family_guardian",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("family_id", sa.Uuid(), nullable=False),
        sa.Column("guardian_id", sa.Uuid(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("since", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("until", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.CheckConstraint("place BETWEEN 1 AND 2", name=op.f("ck_family_guardian_place")),
        sa.CheckConstraint("until IS NULL OR until >= since", name=op.f("ck_family_guardian_order")),
        sa.ForeignKeyConstraint(["family_id"], ["resident.id"], name=op.f("fk_family_guardian_family_id")),
        sa.ForeignKeyConstraint(
            ["guardian_id"], ["resident.id"], name=op.f("fk_family_guardian_guardian_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_family_guardian")),
    )
    standing = {"sqlite_where": sa.text("until IS NULL"), "postgresql_where": sa.text("until IS NULL")}
    op.create_index(
        "uq_family_guardian_standing", "family_guardian", ["guardian_id"], unique=True, **standing
    )
    op.create_index(
        "uq_family_guardian_place", "family_guardian", ["family_id", "place"], unique=True, **standing
    )
    op.create_index("ix_family_guardian_guardian_id", "family_guardian", ["guardian_id"])
    op.create_index("ix_family_guardian_family_id", "family_guardian", ["family_id"])
    for guard in GUARDS:
        for statement in guard.create(op.get_bind().dialect.name):
            op.execute(sa.text(statement))


def downgrade() -> None:
    for guard in GUARDS:
        for statement in guard.drop(op.get_bind().dialect.name):
            op.execute(sa.text(statement))
    # The schema before knows no families: they are closed, and their records stay under their numbers.
    op.execute(
        sa.text(
            "UPDATE resident SET status = 'closed', phone_index = 'closed:' || substr(phone_index, 8) "
            "WHERE account_kind = 'family' AND status = 'active'"
        )
    )
    for index in (
        "ix_family_guardian_family_id",
        "ix_family_guardian_guardian_id",
        "uq_family_guardian_place",
        "uq_family_guardian_standing",
    ):
        op.drop_index(index, table_name="family_guardian")
    op.drop_table("family_guardian")
    op.drop_table("family_account")
    op.drop_column("browser_session", "for_family")
    op.drop_column("resident", "shares")
    op.drop_column("resident", "account_kind")
