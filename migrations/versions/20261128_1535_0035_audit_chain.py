"""The chain of the audit trail: the place and the hash of every entry, and the head of every day.

Why: an entry that was changed, taken out, put in or moved is found, and so is a trail whose end was cut off, by anybody who kept
the heads. The indexes are for the trail's page: by person, by deed, by subject.

Revision: 0035
Follows: 0038
"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

from tanpuhui.audit_chain import APPEND_ONLY
from tanpuhui.schema import append_only_ddl

revision = "0035"
down_revision = "0038"
branch_labels = None
depends_on = None

_Text = sqlmodel.sql.sqltypes.AutoString
_Moment = sqlmodel.sql.sqltypes.UTCDateTime

_INDEXES = {f"ix_audit_entry_{column}_at": [column, "at"] for column in ("actor_id", "deed", "subject")}


def upgrade() -> None:
    op.create_table(
        "audit_link",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.Column("hash", _Text(length=64), nullable=False),
        sa.Column("sealed_at", _Moment(), nullable=False),
        sa.CheckConstraint("position >= 1", name=op.f("ck_audit_link_position")),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_audit_link")),
        sa.UniqueConstraint("entry_id", name=op.f("uq_audit_link_entry_id")),
    )
    op.create_table(
        "audit_head",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("hash", _Text(length=64), nullable=False),
        sa.Column("taken_at", _Moment(), nullable=False),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_audit_head")),
    )
    for name, columns in _INDEXES.items():
        op.create_index(name, "audit_entry", columns)
    for table in APPEND_ONLY:
        for statement in append_only_ddl(table, op.get_bind().dialect.name):
            op.execute(sa.text(statement))


def downgrade() -> None:
    for name in _INDEXES:
        op.drop_index(name, "audit_entry")
    op.drop_table("audit_head")
    op.drop_table("audit_link")
