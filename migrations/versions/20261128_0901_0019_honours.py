"""Honours: the district's own titles, nominations with evidence and consent, decisions and revocations.

Why: role models are named with their consent, and anybody who holds a certificate can check it.

What would name a person stands in a table of its own, whose rows are deleted when the consent is taken back.

Revision: 0019
Follows: 0018
"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

from rewards.honours import GUARDS

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_Text = sqlmodel.sql.sqltypes.AutoString
_Moment = sqlmodel.sql.sqltypes.UTCDateTime


def _choice(name: str, *values: str) -> sa.Enum:
    return sa.Enum(*values, name=name, native_enum=False, create_constraint=True, length=32)


def _key(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [other], name=op.f(f"fk_{table}_{column}"))


def _check(table: str, name: str, rule: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(rule, name=op.f(f"ck_{table}_{name}"))


def upgrade() -> None:
    op.create_table(
        "honour_kind",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("title", _Text(length=20), nullable=False),
        sa.Column("purpose", _Text(length=100), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", _Moment(), nullable=False),
        sa.Column("retired_at", _Moment(), nullable=True),
        _check("honour_kind", "words", "title <> '' AND purpose <> ''"),
        _key("honour_kind", "created_by", "staff.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_honour_kind")),
        sa.UniqueConstraint("title", name=op.f("uq_honour_kind_title")),
    )
    op.create_table(
        "honour",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind_id", sa.Uuid(), nullable=False),
        sa.Column("holder", _choice("holderkind", "person", "class", "team"), nullable=False),
        sa.Column("resident_id", sa.Uuid(), nullable=True),
        sa.Column("division_code", _Text(length=12), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=True),
        sa.Column("reason", _Text(length=160), nullable=True),
        sa.Column("nominated_by", sa.Uuid(), nullable=False),
        sa.Column("nominated_at", _Moment(), nullable=False),
        sa.Column("claim_hash", _Text(length=64), nullable=True),
        sa.Column("claim_until", _Moment(), nullable=True),
        sa.Column("decision", _choice("decision", "honoured", "declined"), nullable=True),
        sa.Column("decided_by", sa.Uuid(), nullable=True),
        sa.Column("decided_at", _Moment(), nullable=True),
        sa.Column("decided_because", _Text(length=200), nullable=True),
        sa.Column("number", _Text(length=24), nullable=True),
        sa.Column("revoked_by", sa.Uuid(), nullable=True),
        sa.Column("revoked_at", _Moment(), nullable=True),
        sa.Column("revoked_because", _Text(length=200), nullable=True),
        _check("honour", "reason", "reason <> ''"),
        _check("honour", "team", "holder <> 'team' OR resident_id IS NULL"),
        _check(
            "honour",
            "claim",
            "(claim_hash IS NULL) = (claim_until IS NULL) AND (claim_hash IS NULL OR holder = 'person')",
        ),
        _check(
            "honour",
            "decision_whole",
            "(decision IS NULL AND decided_by IS NULL AND decided_at IS NULL AND decided_because IS NULL) OR "
            "(decision IS NOT NULL AND decided_by IS NOT NULL AND decided_at IS NOT NULL "
            "AND decided_because IS NOT NULL AND (decided_because <> '' OR decision = 'honoured'))",
        ),
        _check("honour", "decided_by_another", "decided_by IS NULL OR decided_by <> nominated_by"),
        _check("honour", "number", "(number IS NOT NULL) = (decision IS NOT NULL AND decision = 'honoured')"),
        _check(
            "honour",
            "revoked",
            "(revoked_at IS NULL AND revoked_by IS NULL AND revoked_because IS NULL) OR "
            "(revoked_at IS NOT NULL AND revoked_by IS NOT NULL AND revoked_because IS NOT NULL "
            "AND revoked_because <> '' AND number IS NOT NULL)",
        ),
        _key("honour", "kind_id", "honour_kind.id"),
        _key("honour", "resident_id", "resident.id"),
        _key("honour", "division_code", "division.code"),
        _key("honour", "organisation_id", "organisation.id"),
        _key("honour", "nominated_by", "staff.id"),
        _key("honour", "decided_by", "staff.id"),
        _key("honour", "revoked_by", "staff.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_honour")),
        sa.UniqueConstraint("claim_hash", name=op.f("uq_honour_claim_hash")),
        sa.UniqueConstraint("number", name=op.f("uq_honour_number")),
    )
    op.create_index("ix_honour_resident_id", "honour", ["resident_id"])
    op.create_index("ix_honour_decided_at", "honour", ["decided_at"])
    op.create_table(
        "honour_evidence",
        sa.Column("honour_id", sa.Uuid(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("text", _Text(length=200), nullable=False),
        sa.Column("source", _Text(length=200), nullable=False),
        _check("honour_evidence", "words", "text <> '' AND source <> ''"),
        _key("honour_evidence", "honour_id", "honour.id"),
        sa.PrimaryKeyConstraint("honour_id", "ordinal", name=op.f("pk_honour_evidence")),
    )
    op.create_table(
        "honour_consent",
        sa.Column("honour_id", sa.Uuid(), nullable=False),
        sa.Column("name", _Text(length=124), nullable=False),
        sa.Column("listed", sa.Boolean(), nullable=False),
        sa.Column("version", _Text(length=16), nullable=False),
        sa.Column("given_at", _Moment(), nullable=False),
        sa.Column("given_by", sa.Uuid(), nullable=True),
        _check("honour_consent", "name", "name <> ''"),
        _key("honour_consent", "honour_id", "honour.id"),
        _key("honour_consent", "given_by", "staff.id"),
        sa.PrimaryKeyConstraint("honour_id", name=op.f("pk_honour_consent")),
    )
    for guard in GUARDS:
        for statement in guard.create(op.get_bind().dialect.name):
            op.execute(sa.text(statement))


def downgrade() -> None:
    for guard in GUARDS:
        for statement in guard.drop(op.get_bind().dialect.name):
            op.execute(sa.text(statement))
    op.drop_table("honour_consent")
    op.drop_table("honour_evidence")
    op.drop_index("ix_honour_decided_at", table_name="honour")
    op.drop_index("ix_honour_resident_id", table_name="honour")
    op.drop_table("honour")
    op.drop_table("honour_kind")
