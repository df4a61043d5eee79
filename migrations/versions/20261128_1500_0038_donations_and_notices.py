"""Certificates of donations, and what those who answer for a pool are told.

Why: whoever gives points for a tree can show it, and a budget does not run out in silence.

Donations from before get their certificates here. A web process that still serves the schema before gives donations without one until
it is replaced: `tanpuhui verify` names them. Going back forgets the numbers.

Revision: 0038
Follows: 0033
"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

from rewards.donations import GUARDS
from tanpuhui import clock, ids

revision = "0038"
down_revision = "0033"
branch_labels = None
depends_on = None

_text = sqlmodel.sql.sqltypes.AutoString
_time = sqlmodel.sql.sqltypes.UTCDateTime


def upgrade() -> None:
    op.create_table(
        "donation_certificate",
        sa.Column("number", _text(length=24), nullable=False),
        sa.Column("redemption_id", sa.Uuid(), nullable=False),
        sa.Column("held_by", _text(length=120), nullable=False),
        sa.CheckConstraint("held_by <> ''", name=op.f("ck_donation_certificate_held_by")),
        sa.ForeignKeyConstraint(
            ["redemption_id"], ["redemption.id"], name=op.f("fk_donation_certificate_redemption_id")
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_donation_certificate")),
        sa.UniqueConstraint("redemption_id", name=op.f("uq_donation_certificate_redemption_id")),
    )
    op.create_table(
        "pool_notice",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("pool_id", sa.Uuid(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "low",
                "soon",
                name="poolnoticekind",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("left", sa.BigInteger(), nullable=False),
        sa.Column("budget", sa.BigInteger(), nullable=False),
        sa.Column("runs_out_on", sa.Date(), nullable=True),
        sa.Column("told_at", _time(), nullable=False),
        sa.Column("over_at", _time(), nullable=True),
        sa.Column("seen_at", _time(), nullable=True),
        sa.Column("seen_by", sa.Uuid(), nullable=True),
        sa.CheckConstraint("(seen_at IS NULL) = (seen_by IS NULL)", name=op.f("ck_pool_notice_seen")),
        sa.CheckConstraint("kind <> 'soon' OR runs_out_on IS NOT NULL", name=op.f("ck_pool_notice_soon")),
        sa.ForeignKeyConstraint(["pool_id"], ["reward_pool.id"], name=op.f("fk_pool_notice_pool_id")),
        sa.ForeignKeyConstraint(["seen_by"], ["staff.id"], name=op.f("fk_pool_notice_seen_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pool_notice")),
    )
    op.create_index("ix_pool_notice_pool_id_told_at", "pool_notice", ["pool_id", "told_at"])
    op.create_index(
        "uq_pool_notice_standing",
        "pool_notice",
        ["pool_id", "kind"],
        unique=True,
        sqlite_where=sa.text("over_at IS NULL"),
        postgresql_where=sa.text("over_at IS NULL"),
    )
    _certify()
    for guard in GUARDS:
        for statement in guard.create(op.get_bind().dialect.name):
            op.execute(sa.text(statement))


def _certify() -> None:
    """A certificate for each donation that was made before."""
    bind = op.get_bind()
    made = bind.execute(
        sa.text(
            "SELECT r.id, r.made_at, COALESCE(g.name, d.name) FROM redemption r JOIN offer o ON o.id = r.offer_id "
            "JOIN division d ON d.code = o.division_code LEFT JOIN organisation g ON g.id = o.organisation_id "
            "WHERE o.kind = 'donation'"
        ).columns(sa.column("id", sa.Uuid()), sa.column("made_at", _time()), sa.column("name", sa.Text()))
    ).all()
    certificate = sa.table(
        "donation_certificate",
        sa.column("number", sa.Text()),
        sa.column("redemption_id", sa.Uuid()),
        sa.column("held_by", sa.Text()),
    )
    rows = [
        {
            "number": ids.certificate_number("D", clock.day_of(made_at).year),
            "redemption_id": redemption_id,
            "held_by": name[:120],
        }
        for redemption_id, made_at, name in made
    ]
    if rows:
        bind.execute(sa.insert(certificate), rows)


def downgrade() -> None:
    for guard in GUARDS:
        for statement in guard.drop(op.get_bind().dialect.name):
            op.execute(sa.text(statement))
    op.drop_table("pool_notice")
    op.drop_table("donation_certificate")
