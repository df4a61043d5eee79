"""Evidence packs of a year of a division or an organisation.

Why: what was shown for a low-carbon community has to be the same whenever somebody asks; so it is written down once, with its files.

It only adds a table. A web process that still serves the schema before goes on as it was.

Revision: 0042
Follows: 0035b
"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

from activities.evidence_packs import GUARDS

revision = "0042"
down_revision = "0035b"
branch_labels = None
depends_on = None

_Text = sqlmodel.sql.sqltypes.AutoString

_CHECKS = {
    "one_scope": "(division_code IS NULL) <> (organisation_id IS NULL)",
    "number": "number >= 1",
    "format": "format >= 1",
    "digest": "length(digest) = 64",
}


def upgrade() -> None:
    op.create_table(
        "evidence_pack",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("division_code", _Text(length=12), nullable=True),
        sa.Column("organisation_id", sa.Uuid(), nullable=True),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("format", sa.Integer(), nullable=False),
        sa.Column("made_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("made_by", sa.Uuid(), nullable=False),
        sa.Column("snapshot", sa.JSON(), nullable=False),
        sa.Column("files", sa.LargeBinary(), nullable=False),
        sa.Column("digest", _Text(length=64), nullable=False),
        *(sa.CheckConstraint(rule, name=op.f(f"ck_evidence_pack_{name}")) for name, rule in _CHECKS.items()),
        sa.ForeignKeyConstraint(
            ["division_code"], ["division.code"], name=op.f("fk_evidence_pack_division_code")
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisation.id"],
            name=op.f("fk_evidence_pack_organisation_id"),
        ),
        sa.ForeignKeyConstraint(["made_by"], ["staff.id"], name=op.f("fk_evidence_pack_made_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evidence_pack")),
        sa.UniqueConstraint(
            "division_code", "year", "number", name=op.f("uq_evidence_pack_division_code_year_number")
        ),
        sa.UniqueConstraint(
            "organisation_id", "year", "number", name=op.f("uq_evidence_pack_organisation_id_year_number")
        ),
    )
    op.create_index("ix_evidence_pack_made_at", "evidence_pack", ["made_at"])
    for guard in GUARDS:
        for statement in guard.create(op.get_bind().dialect.name):
            op.execute(sa.text(statement))


def downgrade() -> None:
    for guard in GUARDS:
        for statement in guard.drop(op.get_bind().dialect.name):
            op.execute(sa.text(statement))
    op.drop_table("evidence_pack")
