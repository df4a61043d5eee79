"""Hand-over files of declarations, made in the background.

Why: a file of a million records takes a minute; whoever asks for it looks on meanwhile, and a server that is stopped loses nothing.

It only adds tables. A web process that still serves the schema before goes on as it was.

Revision: 0045
Follows: 0043
"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

from activities.declaration_files import GUARDS

revision = "0045"
down_revision = "0043"
branch_labels = None
depends_on = None

_Text = sqlmodel.sql.sqltypes.AutoString
_Time = sqlmodel.sql.sqltypes.UTCDateTime

_CHECKS = {
    "done": "done BETWEEN 0 AND records",
    "attempt": "attempt >= 1",
    "whole": "(finished_at IS NULL) = (size IS NULL) AND (finished_at IS NULL) = (fingerprint IS NULL)"
    " AND (finished_at IS NULL OR done = records)",
}


def upgrade() -> None:
    op.create_table(
        "declaration_file",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("declaration_id", sa.Uuid(), nullable=False),
        sa.Column("asked_by", sa.Uuid(), nullable=False),
        sa.Column("asked_at", _Time(), nullable=False),
        sa.Column("records", sa.BigInteger(), nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("worked_at", _Time(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("fingerprint", _Text(length=64), nullable=True),
        sa.Column("finished_at", _Time(), nullable=True),
        *(
            sa.CheckConstraint(rule, name=op.f(f"ck_declaration_file_{name}"))
            for name, rule in _CHECKS.items()
        ),
        sa.ForeignKeyConstraint(
            ["declaration_id"], ["declaration.id"], name=op.f("fk_declaration_file_declaration_id")
        ),
        sa.ForeignKeyConstraint(["asked_by"], ["staff.id"], name=op.f("fk_declaration_file_asked_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_declaration_file")),
    )
    for name in ("declaration_id", "asked_at"):
        op.create_index(op.f(f"ix_declaration_file_{name}"), "declaration_file", [name])
    op.create_index(
        "uq_declaration_file_unfinished",
        "declaration_file",
        ["declaration_id"],
        unique=True,
        sqlite_where=sa.text("finished_at IS NULL"),
        postgresql_where=sa.text("finished_at IS NULL"),
    )
    op.create_table(
        "declaration_file_piece",
        sa.Column("file_id", sa.Uuid(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["file_id"],
            ["declaration_file.id"],
            name=op.f("fk_declaration_file_piece_file_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("file_id", "attempt", "number", name=op.f("pk_declaration_file_piece")),
    )
    for guard in GUARDS:
        for statement in guard.create(op.get_bind().dialect.name):
            op.execute(sa.text(statement))


def downgrade() -> None:
    for guard in GUARDS:
        for statement in guard.drop(op.get_bind().dialect.name):
            op.execute(sa.text(statement))
    op.drop_table("declaration_file_piece")
    op.drop_table("declaration_file")
