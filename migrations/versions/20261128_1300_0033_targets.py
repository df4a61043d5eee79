"""Targets of a year, how far they are, their tasks and what follows of them.

Why: the plan asks that targets be divided among departments and 街镇, tracked and assessed.

Revision: 0033
Follows: 0037
"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

from tanpuhui.bureau.target_tasks import GUARDS as TASK_GUARDS
from tanpuhui.bureau.targets import GUARDS as TARGET_GUARDS

revision = "0033"
down_revision = "0037"
branch_labels = None
depends_on = None

_Text = sqlmodel.sql.sqltypes.AutoString
_Moment = sqlmodel.sql.sqltypes.UTCDateTime
GUARDS = (*TARGET_GUARDS, *TASK_GUARDS)
_WHICH = ("measure", "kind", "subject", "division_code", "department")


def _key(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [other], name=op.f(f"fk_{table}_{column}"))


def _check(table: str, name: str, rule: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(rule, name=op.f(f"ck_{table}_{name}"))


def _choice(*values: str, name: str) -> sa.Enum:
    return sa.Enum(*values, name=name, native_enum=False, create_constraint=True, length=32)


def _one(name: str, columns: list[str], where: str) -> None:
    clause = sa.text(where)
    op.create_index(name, "target", columns, unique=True, sqlite_where=clause, postgresql_where=clause)


def upgrade() -> None:
    op.create_table(
        "target",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("code", _Text(length=24), nullable=False),
        sa.Column("parent_id", sa.Uuid(), nullable=True),
        sa.Column(
            "measure",
            _choice("co2e", "verified_actions", "participants", "quantity", "venues", "free", name="counted"),
            nullable=False,
        ),
        sa.Column("kind", _Text(length=32), nullable=False),
        sa.Column("subject", _Text(length=60), nullable=False),
        sa.Column("unit", _Text(length=20), nullable=False),
        sa.Column("amount_milli", sa.BigInteger(), nullable=False),
        sa.Column("division_code", _Text(length=12), nullable=False),
        sa.Column("department", _Text(length=40), nullable=False),
        sa.Column("answerer_id", sa.Uuid(), nullable=False),
        sa.Column("basis", _Text(length=200), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("notes", _Text(length=500), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", _Moment(), nullable=False),
        sa.Column("withdrawn_at", _Moment(), nullable=True),
        sa.Column("withdrawn_why", _Text(length=200), nullable=False),
        _check("target", "year", "year BETWEEN 2000 AND 2999"),
        _check("target", "parent", "parent_id <> id"),
        _check("target", "words", "code <> '' AND unit <> '' AND basis <> ''"),
        _check("target", "amount", "amount_milli > 0 AND amount_milli <= 100000000000000"),
        _check("target", "subject", "(measure = 'free') = (subject <> '')"),
        _check(
            "target", "kind", "(measure <> 'quantity' OR kind <> '') AND (measure <> 'free' OR kind = '')"
        ),
        _check(
            "target",
            "due_on",
            "CAST(due_on AS VARCHAR(10)) BETWEEN CAST(year AS VARCHAR(4)) || '-01-01'"
            " AND CAST(year AS VARCHAR(4)) || '-12-31'",
        ),
        _check("target", "version", "version >= 1"),
        _check("target", "withdrawn", "(withdrawn_at IS NULL) = (withdrawn_why = '')"),
        sa.ForeignKeyConstraint(
            ["parent_id", "year"], ["target.id", "target.year"], name=op.f("fk_target_parent_id_year")
        ),
        _key("target", "division_code", "division.code"),
        _key("target", "answerer_id", "staff.id"),
        _key("target", "created_by", "staff.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_target")),
        sa.UniqueConstraint("year", "code", name=op.f("uq_target_year_code")),
        sa.UniqueConstraint("id", "year", name=op.f("uq_target_id_year")),
    )
    op.create_index("ix_target_parent_id", "target", ["parent_id"])
    op.create_index("ix_target_answerer_id", "target", ["answerer_id"])
    _one("uq_target_root", ["year", *_WHICH], "parent_id IS NULL AND withdrawn_at IS NULL")
    _one("uq_target_part", ["parent_id", *_WHICH], "withdrawn_at IS NULL")
    op.create_table(
        "target_progress",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("target_id", sa.Uuid(), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("amount_milli", sa.BigInteger(), nullable=False),
        sa.Column("evidence", _Text(length=500), nullable=False),
        sa.Column("said_by", sa.Uuid(), nullable=False),
        sa.Column("said_at", _Moment(), nullable=False),
        _check("target_progress", "amount", "amount_milli >= 0 AND amount_milli <= 100000000000000"),
        _check("target_progress", "evidence", "evidence <> ''"),
        _key("target_progress", "target_id", "target.id"),
        _key("target_progress", "said_by", "staff.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_target_progress")),
    )
    op.create_index("ix_target_progress_target_id_as_of", "target_progress", ["target_id", "as_of"])
    op.create_table(
        "target_task",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("target_id", sa.Uuid(), nullable=False),
        sa.Column("title", _Text(length=80), nullable=False),
        sa.Column("answerer_id", sa.Uuid(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("state", _choice("open", "done", "dropped", name="taskstate"), nullable=False),
        sa.Column("outcome", _Text(length=500), nullable=False),
        sa.Column("reference", _Text(length=300), nullable=False),
        sa.Column("closed_at", _Moment(), nullable=True),
        sa.Column("closed_by", sa.Uuid(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", _Moment(), nullable=False),
        _check("target_task", "title", "title <> ''"),
        _check(
            "target_task",
            "closed",
            "(state = 'open') = (closed_at IS NULL) AND (closed_at IS NULL) = (closed_by IS NULL)"
            " AND (state = 'open') = (outcome = '')",
        ),
        _check("target_task", "reference", "reference = '' OR state = 'done'"),
        _check("target_task", "version", "version >= 1"),
        _key("target_task", "target_id", "target.id"),
        _key("target_task", "answerer_id", "staff.id"),
        _key("target_task", "closed_by", "staff.id"),
        _key("target_task", "created_by", "staff.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_target_task")),
    )
    op.create_index("ix_target_task_target_id", "target_task", ["target_id"])
    op.create_index("ix_target_task_answerer_id", "target_task", ["answerer_id"])
    op.create_index("ix_target_task_state_due_on", "target_task", ["state", "due_on"])
    op.create_table(
        "target_follow_up",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("on_day", sa.Date(), nullable=False),
        sa.Column("text", _Text(length=500), nullable=False),
        sa.Column("said_by", sa.Uuid(), nullable=False),
        sa.Column("said_at", _Moment(), nullable=False),
        _check("target_follow_up", "text", "text <> ''"),
        _key("target_follow_up", "task_id", "target_task.id"),
        _key("target_follow_up", "said_by", "staff.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_target_follow_up")),
    )
    op.create_index("ix_target_follow_up_task_id_on_day", "target_follow_up", ["task_id", "on_day"])
    op.create_table(
        "target_reminder",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("step", _choice("month", "week", "overdue", name="step"), nullable=False),
        sa.Column("noted_at", _Moment(), nullable=False),
        sa.Column("seen_at", _Moment(), nullable=True),
        sa.Column("seen_by", sa.Uuid(), nullable=True),
        _check("target_reminder", "seen", "(seen_at IS NULL) = (seen_by IS NULL)"),
        _key("target_reminder", "task_id", "target_task.id"),
        _key("target_reminder", "seen_by", "staff.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_target_reminder")),
        sa.UniqueConstraint("task_id", "due_on", "step", name=op.f("uq_target_reminder_task_id_due_on_step")),
    )
    for guard in GUARDS:
        for statement in guard.create(op.get_bind().dialect.name):
            op.execute(sa.text(statement))


def downgrade() -> None:
    for guard in GUARDS:
        for statement in guard.drop(op.get_bind().dialect.name):
            op.execute(sa.text(statement))
    for table in ("target_reminder", "target_follow_up", "target_task", "target_progress", "target"):
        op.drop_table(table)
