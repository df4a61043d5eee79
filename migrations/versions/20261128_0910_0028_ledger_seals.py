"""Seals of the ledger: every transfer in one order for ever, and the root of each day.

Why: changing, deleting, inserting or reordering a transfer is found, by anybody who kept the roots. A transfer keeps the id of its
transaction, so that it is sealed behind the scan and none that commits late is passed over.

Revision: 0028
Follows: 0027
"""

import secrets

import sqlalchemy as sa
import sqlmodel
from alembic import op

from rewards.seals import APPEND_ONLY, GUARDS
from tanpuhui.schema import append_only_ddl

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

_XACT = "CAST(CAST(pg_current_xact_id() AS text) AS bigint)"


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    text = sqlmodel.sql.sqltypes.AutoString
    op.add_column("transfer", sa.Column("tx", sa.BigInteger(), nullable=False, server_default="0"))
    if dialect == "postgresql":
        op.execute(sa.text(f"ALTER TABLE transfer ALTER COLUMN tx SET DEFAULT {_XACT}"))
    op.create_index("ix_transfer_tx", "transfer", ["tx"], sqlite_where=sa.text("tx > 0"))
    op.create_table(
        "sealed_transfer",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("reference", text(length=96), nullable=False),
        sa.Column("leaf", text(length=64), nullable=False),
        sa.Column("resident_id", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_sealed_transfer")),
        sa.UniqueConstraint("reference", name=op.f("uq_sealed_transfer_reference")),
    )
    op.create_index("ix_sealed_transfer_resident_id_position", "sealed_transfer", ["resident_id", "position"])
    op.create_table(
        "ledger_seal",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("merkle", text(length=64), nullable=False),
        sa.Column("salt", text(length=32), nullable=False),
        sa.Column("content", text(length=64), nullable=False),
        sa.Column("previous", text(length=64), nullable=False),
        sa.Column("root", text(length=64), nullable=False),
        sa.Column("sealed_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.CheckConstraint("count >= 0", name=op.f("ck_ledger_seal_count")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_ledger_seal")),
        sa.UniqueConstraint("day", name=op.f("uq_ledger_seal_day")),
    )
    op.create_table(
        "ledger_tile",
        sa.Column("seal", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("level", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("ordinal", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("hashes", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seal", "level", "ordinal", name=op.f("pk_ledger_tile")),
    )
    op.create_table(
        "ledger_sealing",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key", text(length=64), nullable=False),
        sa.Column("tx", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Date(), nullable=True),
        sa.CheckConstraint("id = 1", name=op.f("ck_ledger_sealing_one")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_sealing")),
    )
    sealing = sa.table("ledger_sealing", *map(sa.column, ("id", "key", "tx")))
    op.execute(sa.insert(sealing).values(id=1, key=secrets.token_hex(32), tx=0))
    for table in APPEND_ONLY:
        for statement in append_only_ddl(table, dialect):
            op.execute(sa.text(statement))
    for guard in GUARDS:
        for statement in guard.create(dialect):
            op.execute(sa.text(statement))


def downgrade() -> None:
    dialect = op.get_bind().dialect.name
    for guard in GUARDS:
        for statement in guard.drop(dialect):
            op.execute(sa.text(statement))
    for table in ("ledger_sealing", "ledger_tile", "ledger_seal", "sealed_transfer"):
        op.drop_table(table)
    op.drop_index("ix_transfer_tx", "transfer")
    op.drop_column("transfer", "tx")
