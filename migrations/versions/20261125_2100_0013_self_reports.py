"""Where residents report themselves, photos they offer, and the fingerprints by which a picture is known again.

Why: walking, one's own cup and a meal eaten up at home have no code to scan.

A web process that still serves the schema before goes on as it was, as long as nobody has reported anything. Going back fails once
somebody has: those records hang at a code that the schema before has no word for.

Revision: 0013
Follows: 0012
"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

from activities.photos import GUARDS

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_KINDS_BEFORE = "kind IN ('place', 'rotating', 'slips', 'desk', 'measured')"
_KINDS = "kind IN ('place', 'rotating', 'slips', 'desk', 'measured', 'self')"
_EVIDENCE_BEFORE = (
    "(kind = 'place' AND evidence IN ('site_code', 'staff_confirmed')) OR "
    "(kind = 'rotating' AND evidence = 'rotating_code') OR (kind = 'slips' AND evidence = 'rotating_code') OR "
    "(kind = 'desk' AND evidence = 'staff_confirmed') OR (kind = 'measured' AND evidence = 'measured')"
)
_EVIDENCE = f"{_EVIDENCE_BEFORE} OR (kind = 'self' AND evidence = 'self_declared')"
_STANDING = sa.text("jpeg IS NOT NULL")
_SELF_REPORTS = sa.text("self_reports")


def _codes(kinds: str, evidence: str) -> None:
    with op.batch_alter_table("code") as batch_op:
        for name, condition in (("codekind", kinds), ("evidence_of_kind", evidence)):
            batch_op.drop_constraint(op.f(f"ck_code_{name}"), type_="check")
            batch_op.create_check_constraint(op.f(f"ck_code_{name}"), condition)


def upgrade() -> None:
    # Not in a batch: SQLite would have to drop the table that others refer to.
    op.add_column("site", sa.Column("self_reports", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_index(
        "uq_site_self_reports",
        "site",
        ["division_code"],
        unique=True,
        sqlite_where=_SELF_REPORTS,
        postgresql_where=_SELF_REPORTS,
    )
    _codes(_KINDS, _EVIDENCE)
    op.create_table(
        "action_photo",
        sa.Column("action_id", sa.Uuid(), nullable=False),
        sa.Column("jpeg", sa.LargeBinary(), nullable=True),
        sa.Column("received_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("deleted_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.CheckConstraint("(jpeg IS NULL) = (deleted_at IS NOT NULL)", name=op.f("ck_action_photo_deleted")),
        sa.CheckConstraint("length(jpeg) BETWEEN 1 AND 200000", name=op.f("ck_action_photo_size")),
        sa.ForeignKeyConstraint(["action_id"], ["action.id"], name=op.f("fk_action_photo_action_id")),
        sa.PrimaryKeyConstraint("action_id", name=op.f("pk_action_photo")),
    )
    op.create_index(
        "ix_action_photo_standing",
        "action_photo",
        ["received_at"],
        sqlite_where=_STANDING,
        postgresql_where=_STANDING,
    )
    op.create_table(
        "photo_fingerprint",
        sa.Column("fingerprint", sa.BigInteger(), autoincrement=False, nullable=False),
        *(sa.Column(f"part_{number}", sa.Integer(), nullable=False) for number in range(4)),
        sa.Column("day", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", name=op.f("pk_photo_fingerprint")),
    )
    for column in ("part_0", "part_1", "part_2", "part_3", "day"):
        op.create_index(op.f(f"ix_photo_fingerprint_{column}"), "photo_fingerprint", [column])
    for guard in GUARDS:
        for statement in guard.create(op.get_bind().dialect.name):
            op.execute(sa.text(statement))


def downgrade() -> None:
    for guard in GUARDS:
        for statement in guard.drop(op.get_bind().dialect.name):
            op.execute(sa.text(statement))
    op.drop_table("photo_fingerprint")
    op.drop_table("action_photo")
    _codes(_KINDS_BEFORE, _EVIDENCE_BEFORE)
    op.drop_index("uq_site_self_reports", table_name="site")
    op.drop_column("site", "self_reports")
