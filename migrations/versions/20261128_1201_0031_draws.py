"""Draws: fair draws whose seed is committed to before anybody enters, and the tickets in them.

Why: places in a draw are something to spend points on, and anybody can work out again who won.

Revision: 0031
Follows: 0030
"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

from rewards.draws import GUARDS

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

_Text = sqlmodel.sql.sqltypes.AutoString
_Moment = sqlmodel.sql.sqltypes.UTCDateTime


def _key(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [other], name=op.f(f"fk_{table}_{column}"))


def _check(table: str, name: str, rule: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(rule, name=op.f(f"ck_{table}_{name}"))


def upgrade() -> None:
    op.create_table(
        "draw",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("title", _Text(length=60), nullable=False),
        sa.Column("words", _Text(length=1000), nullable=False),
        sa.Column("division_code", _Text(length=12), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=True),
        sa.Column("price", sa.Integer(), nullable=False),
        sa.Column("prizes", sa.JSON(), nullable=False),
        sa.Column("witness", _Text(length=100), nullable=False),
        sa.Column("closes_at", _Moment(), nullable=False),
        sa.Column("commitment", _Text(length=64), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", _Moment(), nullable=False),
        sa.Column("approved_by", sa.Uuid(), nullable=True),
        sa.Column("approved_at", _Moment(), nullable=True),
        sa.Column("cancelled_at", _Moment(), nullable=True),
        sa.Column("cancel_reason", _Text(length=200), nullable=True),
        sa.Column("closed_at", _Moment(), nullable=True),
        sa.Column("tickets", sa.Integer(), nullable=True),
        sa.Column("digest", _Text(length=64), nullable=True),
        sa.Column("witnessed", _Text(length=100), nullable=False),
        sa.Column("drawn_at", _Moment(), nullable=True),
        sa.Column("seed", _Text(length=64), nullable=True),
        _check("draw", "price", "price BETWEEN 0 AND 10000"),
        _check("draw", "approved", "(approved_at IS NULL) = (approved_by IS NULL)"),
        _check("draw", "second_person", "approved_by <> created_by"),
        _check("draw", "cancelled", "(cancelled_at IS NULL) = (cancel_reason IS NULL)"),
        _check(
            "draw",
            "closed",
            "(closed_at IS NULL) = (digest IS NULL) AND (closed_at IS NULL) = (tickets IS NULL) "
            "AND (closed_at IS NULL OR (approved_at IS NOT NULL AND closed_at >= closes_at))",
        ),
        _check("draw", "witnessed", "witnessed = '' OR (witness <> '' AND closed_at IS NOT NULL)"),
        _check(
            "draw",
            "drawn",
            "(drawn_at IS NULL) = (seed IS NULL) AND (drawn_at IS NULL OR (closed_at IS NOT NULL "
            "AND drawn_at > closed_at AND cancelled_at IS NULL AND (witness = '' OR witnessed <> '')))",
        ),
        _key("draw", "division_code", "division.code"),
        _key("draw", "organisation_id", "organisation.id"),
        _key("draw", "created_by", "staff.id"),
        _key("draw", "approved_by", "staff.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_draw")),
    )
    op.create_index("ix_draw_closes_at", "draw", ["closes_at"])
    op.create_table(
        "draw_entry",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("draw_id", sa.Uuid(), nullable=False),
        sa.Column("resident_id", sa.Uuid(), nullable=True),
        sa.Column("ticket", _Text(length=24), nullable=False),
        sa.Column("entered_at", _Moment(), nullable=False),
        sa.Column("given_up_at", _Moment(), nullable=True),
        sa.Column("place", sa.Integer(), nullable=True),
        sa.Column("prize", _Text(length=40), nullable=True),
        sa.Column("handed_at", _Moment(), nullable=True),
        sa.Column("handed_by", sa.Uuid(), nullable=True),
        _check("draw_entry", "place", "(place IS NULL) = (prize IS NULL) AND place >= 1"),
        _check("draw_entry", "given_up", "given_up_at IS NULL OR place IS NULL"),
        _check(
            "draw_entry",
            "handed",
            "(handed_at IS NULL) = (handed_by IS NULL) AND (handed_at IS NULL OR place IS NOT NULL)",
        ),
        _key("draw_entry", "draw_id", "draw.id"),
        _key("draw_entry", "resident_id", "resident.id"),
        _key("draw_entry", "handed_by", "staff.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_draw_entry")),
        sa.UniqueConstraint("ticket", name=op.f("uq_draw_entry_ticket")),
        sa.UniqueConstraint("draw_id", "place", name=op.f("uq_draw_entry_draw_id_place")),
    )
    op.create_index("ix_draw_entry_resident_id", "draw_entry", ["resident_id"])
    op.create_index(
        "uq_draw_entry_one",
        "draw_entry",
        ["draw_id", "resident_id"],
        unique=True,
        sqlite_where=sa.text("given_up_at IS NULL"),
        postgresql_where=sa.text("given_up_at IS NULL"),
    )
    for guard in GUARDS:
        for statement in guard.create(op.get_bind().dialect.name):
            op.execute(sa.text(statement))


def downgrade() -> None:
    for guard in GUARDS:
        for statement in guard.drop(op.get_bind().dialect.name):
            op.execute(sa.text(statement))
    op.drop_table("draw_entry")
    op.drop_table("draw")
