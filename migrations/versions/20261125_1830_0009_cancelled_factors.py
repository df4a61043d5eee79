"""A factor version that was published by mistake can be cancelled before its first day.

Why: until now the wrong factor had to begin before anything could be done about it.

It adds columns that may be empty and changes triggers. What each version closed is taken from the audit. A web process
that still serves the schema before does not know what was cancelled: let it end before anything is.

Revision: 0009
Follows: 0008
"""

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
import sqlmodel
from alembic import context, op

from activities import declarations
from activities.quantify import guards
from tanpuhui.schema import Guard

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

#: SQLite makes the table anew, and would find these triggers without it.
_WITHOUT_THE_TABLE = (*guards.METHODOLOGY_GUARDS, *declarations.GUARDS)


def _run(statements: Iterable[str]) -> None:
    for statement in statements:
        op.get_bind().exec_driver_sql(statement)


def _create(which: Sequence[Guard]) -> None:
    for guard in which:
        _run(guard.create(op.get_bind().dialect.name))


def _drop(which: Sequence[Guard]) -> None:
    for guard in which:
        _run(guard.drop(op.get_bind().dialect.name))


def upgrade() -> None:
    _drop(_before().VERSION_GUARDS)
    _drop(_WITHOUT_THE_TABLE)
    with op.batch_alter_table("factor_version", schema=None) as batch_op:
        batch_op.add_column(sa.Column("closes", sqlmodel.sql.sqltypes.AutoString(length=48), nullable=True))
        batch_op.add_column(sa.Column("cancelled_on", sa.Date(), nullable=True))
        batch_op.add_column(sa.Column("cancelled_by", sa.Uuid(), nullable=True))
        batch_op.add_column(
            sa.Column("cancelled_because", sqlmodel.sql.sqltypes.AutoString(length=200), nullable=True)
        )
        batch_op.create_foreign_key(
            batch_op.f("fk_factor_version_closes"), "factor_version", ["closes"], ["id"]
        )
        batch_op.create_foreign_key(
            batch_op.f("fk_factor_version_cancelled_by"), "staff", ["cancelled_by"], ["id"]
        )
        batch_op.create_check_constraint(
            batch_op.f("ck_factor_version_cancelled"),
            "cancelled_on IS NULL OR (valid_from IS NOT NULL AND cancelled_on < valid_from)",
        )
        batch_op.create_check_constraint(
            batch_op.f("ck_factor_version_cancellation"),
            "(cancelled_on IS NULL) = (cancelled_by IS NULL) AND (cancelled_on IS NULL) = (cancelled_because IS NULL)"
            " AND cancelled_because <> ''",
        )
    _tell_what_was_closed()
    _create(_WITHOUT_THE_TABLE)
    _create(guards.VERSION_GUARDS)


def _tell_what_was_closed() -> None:
    entry = sa.table("audit_entry", sa.column("deed"), sa.column("detail", sa.JSON))
    version = sa.table("factor_version", sa.column("id"), sa.column("closes"))
    published = sa.select(entry.c.detail).where(entry.c.deed == "factor.published")
    for detail in op.get_bind().scalars(published).all():
        if detail.get("closed"):
            told = sa.update(version).where(version.c.id == detail["version"]).values(closes=detail["closed"])
            op.get_bind().execute(told)


def downgrade() -> None:
    """What was cancelled would begin after all: then there is no way back."""
    if op.get_bind().scalar(sa.text("SELECT count(*) FROM factor_version WHERE cancelled_on IS NOT NULL")):
        raise RuntimeError("a factor version was cancelled; the schema before 0007 cannot say so")
    _drop(guards.VERSION_GUARDS)
    _drop(_WITHOUT_THE_TABLE)
    with op.batch_alter_table("factor_version", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("ck_factor_version_cancellation"), type_="check")
        batch_op.drop_constraint(batch_op.f("ck_factor_version_cancelled"), type_="check")
        batch_op.drop_constraint(batch_op.f("fk_factor_version_cancelled_by"), type_="foreignkey")
        batch_op.drop_constraint(batch_op.f("fk_factor_version_closes"), type_="foreignkey")
        for name in ("cancelled_because", "cancelled_by", "cancelled_on", "closes"):
            batch_op.drop_column(name)
    _create(_WITHOUT_THE_TABLE)
    _create(_before().VERSION_GUARDS)


def _before() -> Any:
    return context.script.get_revision("0002").module
