"""The recovery chain: levels of sites, materials, hand-overs with their confirmations and reversals, stock, answers to alarms.

Why: what residents bring in is followed from point to station to yard and out, and where weights do not add up somebody is told.

It only adds. A web process that still serves the schema before goes on as it was.

Revision: 0034
Follows: 0032
"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

from activities.recycling import APPEND_ONLY, GUARDS
from tanpuhui.schema import append_only_ddl

revision = "0034"
down_revision = "0032"
branch_labels = None
depends_on = None

_Text = sqlmodel.sql.sqltypes.AutoString
_Moment = sqlmodel.sql.sqltypes.UTCDateTime

_LEVEL = (
    "VARCHAR(32) NOT NULL DEFAULT 'point' "
    "CONSTRAINT ck_site_recoverylevel CHECK (level IN ('point', 'station', 'yard'))"
)


def _key(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [other], name=op.f(f"fk_{table}_{column}"))


def _check(table: str, name: str, rule: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(rule, name=op.f(f"ck_{table}_{name}"))


def upgrade() -> None:
    op.execute(sa.text(f"ALTER TABLE site ADD COLUMN level {_LEVEL}"))
    _create_materials()
    _create_hand_overs()
    _create_stock()
    dialect = op.get_bind().dialect.name
    for table in APPEND_ONLY:
        for statement in append_only_ddl(table, dialect):
            op.execute(sa.text(statement))
    for guard in GUARDS:
        for statement in guard.create(dialect):
            op.execute(sa.text(statement))


def _create_materials() -> None:
    op.create_table(
        "material",
        sa.Column("code", _Text(length=32), nullable=False),
        sa.Column("name_zh", _Text(length=64), nullable=False),
        sa.Column("name_en", _Text(length=64), nullable=False),
        sa.Column("low_value", sa.Boolean(), nullable=False),
        sa.Column("tolerance_permille", sa.Integer(), nullable=False),
        sa.Column("tolerance_floor_g", sa.Integer(), nullable=False),
        sa.Column("note", _Text(), nullable=False),
        _check("material", "names", "name_zh <> '' AND name_en <> ''"),
        _check(
            "material",
            "tolerance",
            "tolerance_permille BETWEEN 0 AND 500 AND tolerance_floor_g BETWEEN 0 AND 100000",
        ),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_material")),
    )
    op.create_table(
        "material_kind",
        sa.Column("kind", _Text(length=32), nullable=False),
        sa.Column("material", _Text(length=32), nullable=False),
        _key("material_kind", "kind", "action_kind.code"),
        _key("material_kind", "material", "material.code"),
        sa.PrimaryKeyConstraint("kind", name=op.f("pk_material_kind")),
    )


def _create_hand_overs() -> None:
    fate = sa.Enum(
        "reused",
        "recycled",
        "residue",
        name="fate",
        native_enum=False,
        create_constraint=True,
        length=32,
    )
    op.create_table(
        "hand_over",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("from_site_id", sa.Uuid(), nullable=False),
        sa.Column("to_site_id", sa.Uuid(), nullable=True),
        sa.Column("fate", fate, nullable=True),
        sa.Column("taker", _Text(length=80), nullable=False),
        sa.Column("material", _Text(length=32), nullable=False),
        sa.Column("grams", sa.BigInteger(), nullable=False),
        sa.Column("handed_at", _Moment(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("vehicle", _Text(length=20), nullable=False),
        sa.Column("receipt", _Text(length=40), nullable=True),
        sa.Column("again", sa.Integer(), nullable=False),
        sa.Column("recorded_by", sa.Uuid(), nullable=False),
        sa.Column("recorded_at", _Moment(), nullable=False),
        _check("hand_over", "grams", "grams BETWEEN 1 AND 30000000"),
        _check("hand_over", "two_sites", "from_site_id <> to_site_id"),
        _check(
            "hand_over",
            "one_end",
            "(to_site_id IS NULL) = (fate IS NOT NULL) AND (to_site_id IS NULL) = (taker <> '')",
        ),
        _check("hand_over", "past", "handed_at <= recorded_at"),
        _check("hand_over", "receipt", "receipt <> '' AND again >= 0"),
        _key("hand_over", "from_site_id", "site.id"),
        _key("hand_over", "to_site_id", "site.id"),
        _key("hand_over", "material", "material.code"),
        _key("hand_over", "recorded_by", "staff.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hand_over")),
        sa.UniqueConstraint(
            "from_site_id", "receipt", "again", name=op.f("uq_hand_over_from_site_id_receipt_again")
        ),
    )
    op.create_index("ix_hand_over_from_site_id_day", "hand_over", ["from_site_id", "day"])
    op.create_index("ix_hand_over_to_site_id_day", "hand_over", ["to_site_id", "day"])
    op.create_table(
        "hand_over_confirmation",
        sa.Column("hand_over_id", sa.Uuid(), nullable=False),
        sa.Column("grams", sa.BigInteger(), nullable=False),
        sa.Column("confirmed_by", sa.Uuid(), nullable=False),
        sa.Column("confirmed_at", _Moment(), nullable=False),
        _check("hand_over_confirmation", "grams", "grams BETWEEN 1 AND 30000000"),
        _key("hand_over_confirmation", "hand_over_id", "hand_over.id"),
        _key("hand_over_confirmation", "confirmed_by", "staff.id"),
        sa.PrimaryKeyConstraint("hand_over_id", name=op.f("pk_hand_over_confirmation")),
    )
    op.create_table(
        "hand_over_reversal",
        sa.Column("hand_over_id", sa.Uuid(), nullable=False),
        sa.Column("reason", _Text(length=200), nullable=False),
        sa.Column("reversed_by", sa.Uuid(), nullable=False),
        sa.Column("reversed_at", _Moment(), nullable=False),
        _check("hand_over_reversal", "reason", "reason <> ''"),
        _key("hand_over_reversal", "hand_over_id", "hand_over.id"),
        _key("hand_over_reversal", "reversed_by", "staff.id"),
        sa.PrimaryKeyConstraint("hand_over_id", name=op.f("pk_hand_over_reversal")),
    )


def _create_stock() -> None:
    op.create_table(
        "stock_take",
        sa.Column("site_id", sa.Uuid(), nullable=False),
        sa.Column("material", _Text(length=32), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("grams", sa.BigInteger(), nullable=False),
        sa.Column("reason", _Text(length=200), nullable=False),
        sa.Column("counted_by", sa.Uuid(), nullable=False),
        sa.Column("counted_at", _Moment(), nullable=False),
        _check("stock_take", "grams", "grams BETWEEN 0 AND 300000000"),
        _check("stock_take", "revision", "revision >= 1 AND (revision = 1 OR reason <> '')"),
        _key("stock_take", "site_id", "site.id"),
        _key("stock_take", "material", "material.code"),
        _key("stock_take", "counted_by", "staff.id"),
        sa.PrimaryKeyConstraint("site_id", "material", "month", "revision", name=op.f("pk_stock_take")),
    )
    op.create_table(
        "alarm_answer",
        sa.Column("alarm", _Text(length=120), nullable=False),
        sa.Column("difference_g", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("site_id", sa.Uuid(), nullable=False),
        sa.Column("reason", _Text(length=200), nullable=False),
        sa.Column("answered_by", sa.Uuid(), nullable=False),
        sa.Column("answered_at", _Moment(), nullable=False),
        _check("alarm_answer", "reason", "reason <> ''"),
        _key("alarm_answer", "site_id", "site.id"),
        _key("alarm_answer", "answered_by", "staff.id"),
        sa.PrimaryKeyConstraint("alarm", "difference_g", name=op.f("pk_alarm_answer")),
    )
    op.create_index("ix_alarm_answer_site_id", "alarm_answer", ["site_id"])


def downgrade() -> None:
    dialect = op.get_bind().dialect.name
    for guard in GUARDS:
        for statement in guard.drop(dialect):
            op.execute(sa.text(statement))
    for table in (*reversed(APPEND_ONLY), "material_kind", "material"):
        op.drop_table(table)
    op.drop_column("site", "level")
