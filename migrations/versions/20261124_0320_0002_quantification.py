"""Quantification: methodologies, proposals, declarations, plantings, emission totals.

Why: every gram is to be explained by a methodology and a reviewed factor, and counted for one end use only.

It only adds: tables, columns that may be empty on `factor_version`, and triggers. A web process that still serves
the schema before goes on as it was.

Revision: 0002
Follows: 0001
"""

from collections.abc import Iterable, Sequence

import sqlalchemy as sa
import sqlmodel
from alembic import context, op

from activities import declarations, trees
from activities.quantify import guards
from tanpuhui.schema import Guard

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


#: The guards of factor versions as this revision puts them up; later ones have their own.
_OVERLAP = """
    SELECT 1 FROM factor_version AS other
    WHERE other.action_code = NEW.action_code
      AND coalesce(other.valid_from, '0001-01-01') <= coalesce(NEW.valid_to, '9999-12-31')
      AND coalesce(NEW.valid_from, '0001-01-01') <= coalesce(other.valid_to, '9999-12-31')
"""

_FROZEN = (
    "id", "action_code", "version", "unit", "scenario_kind", "city_credited", "co2e_low_ng", "co2e_mid_ng", "co2e_high_ng",
    "nox_ng", "pm25_ng", "voc_ng", "so2_ng", "co_ng", "baseline", "source", "source_year", "region", "confidence",
    "valid_from", "proposal_id",
)  # fmt: skip

_TOLD_ONCE = {"valid_to": "NULL", "methodology": "NULL", "derivation": "''"}


def _edited(differs: str) -> str:
    frozen = " OR ".join(f"NEW.{name} {differs} OLD.{name}" for name in _FROZEN)
    told = " OR ".join(
        f"(OLD.{name} {differs} {nothing} AND NEW.{name} {differs} OLD.{name})"
        for name, nothing in _TOLD_ONCE.items()
    )
    return f"{frozen} OR {told}"


_TAKE_TURNS = "PERFORM 1 FROM action_kind WHERE code = NEW.action_code FOR NO KEY UPDATE;"

VERSION_GUARDS = (
    Guard(
        "factor_version",
        "overlap",
        "INSERT",
        f"EXISTS ({_OVERLAP})",
        "validity overlaps with another version of this kind",
        _TAKE_TURNS,
    ),
    Guard("factor_version", "edit", "UPDATE", _edited("{differs}"), "a published version is never edited"),
    Guard("factor_version", "delete", "DELETE", "true", "a published version is never deleted"),
    Guard(
        "factor_version",
        "review",
        "INSERT",
        "NEW.proposal_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM factor_proposal p"
        " WHERE p.id = NEW.proposal_id AND p.state = 'reviewed')",
        "only a reviewed proposal is published",
    ),
)

_NEW_TABLES = (
    *guards.METHODOLOGY_GUARDS,
    *guards.PROPOSAL_GUARDS,
    *declarations.GUARDS,
    *trees.GUARDS,
)


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
    op.create_table(
        "methodology",
        sa.Column("code", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=False),
        sa.Column("title_zh", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("title_en", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column(
            "form",
            sa.Enum(
                "factor",
                "difference",
                "generation",
                "survival",
                "replacement",
                name="form",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column(
            "scenario_kind",
            sa.Enum(
                "减排项目",
                "减排场景",
                "行为场景",
                name="scenariokind",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column(
            "filing_status",
            sa.Enum(
                "not_filed",
                "submitted",
                "filed",
                "city_method",
                name="filingstatus",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("city_reference", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("baseline_zh", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("baseline_en", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("applicability_zh", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("applicability_en", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("evidence_zh", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("evidence_en", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("sources", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.CheckConstraint(
            "baseline_zh <> '' AND baseline_en <> '' AND applicability_zh <> '' AND applicability_en <> '' AND evidence_zh <> '' AND evidence_en <> '' AND sources <> ''",
            name=op.f("ck_methodology_texts"),
        ),
        sa.CheckConstraint(
            "filing_status NOT IN ('filed', 'city_method') OR city_reference <> ''",
            name=op.f("ck_methodology_city_reference"),
        ),
        sa.CheckConstraint("title_zh <> '' AND title_en <> ''", name=op.f("ck_methodology_titles")),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_methodology")),
    )
    op.create_table(
        "declaration",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("methodology", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=False),
        sa.Column("first", sa.Date(), nullable=False),
        sa.Column("last", sa.Date(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "reported",
                "confirmed",
                "used",
                "withdrawn",
                name="declarationstate",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("actions", sa.BigInteger(), nullable=False),
        sa.Column("co2e_mg", sa.BigInteger(), nullable=False),
        sa.Column("co2e_mid_mg", sa.BigInteger(), nullable=False),
        sa.Column("co2e_high_mg", sa.BigInteger(), nullable=False),
        sa.Column("reported_by", sa.Uuid(), nullable=False),
        sa.Column("reported_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("confirmed_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.Column("city_reference", sqlmodel.sql.sqltypes.AutoString(length=100), nullable=True),
        sa.Column("confirmed_mg", sa.BigInteger(), nullable=True),
        sa.Column("used_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.Column("used_for", sqlmodel.sql.sqltypes.AutoString(length=200), nullable=True),
        sa.Column("withdrawn_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.Column("withdrawn_because", sqlmodel.sql.sqltypes.AutoString(length=200), nullable=True),
        sa.CheckConstraint(
            "(state = 'used') = (used_at IS NOT NULL) AND (used_at IS NULL) = (used_for IS NULL) AND used_for <> ''",
            name=op.f("ck_declaration_used"),
        ),
        sa.CheckConstraint(
            "(state = 'withdrawn') = (withdrawn_at IS NOT NULL) AND (withdrawn_at IS NULL) = (withdrawn_because IS NULL) AND withdrawn_because <> ''",
            name=op.f("ck_declaration_withdrawn"),
        ),
        sa.CheckConstraint(
            "(state IN ('confirmed', 'used')) = (confirmed_at IS NOT NULL) AND (confirmed_at IS NULL) = (city_reference IS NULL) AND (confirmed_at IS NULL) = (confirmed_mg IS NULL) AND city_reference <> ''",
            name=op.f("ck_declaration_confirmed"),
        ),
        sa.CheckConstraint(
            "0 <= co2e_mg AND co2e_mg <= co2e_mid_mg AND co2e_mid_mg <= co2e_high_mg",
            name=op.f("ck_declaration_co2e_range"),
        ),
        sa.CheckConstraint("actions > 0", name=op.f("ck_declaration_actions")),
        sa.CheckConstraint("confirmed_mg BETWEEN 0 AND co2e_mg", name=op.f("ck_declaration_confirmed_mg")),
        sa.CheckConstraint("first <= last", name=op.f("ck_declaration_period")),
        sa.ForeignKeyConstraint(
            ["methodology"], ["methodology.code"], name=op.f("fk_declaration_methodology")
        ),
        sa.ForeignKeyConstraint(["reported_by"], ["staff.id"], name=op.f("fk_declaration_reported_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_declaration")),
        sa.UniqueConstraint("city_reference", name=op.f("uq_declaration_city_reference")),
    )
    with op.batch_alter_table("declaration", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_declaration_state"), ["state"], unique=False)

    op.create_table(
        "emission_total",
        sa.Column("year", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("substance", sqlmodel.sql.sqltypes.AutoString(length=8), nullable=False),
        sa.Column("kilograms", sa.BigInteger(), nullable=False),
        sa.Column("source", sqlmodel.sql.sqltypes.AutoString(length=300), nullable=False),
        sa.Column("entered_by", sa.Uuid(), nullable=False),
        sa.Column("entered_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.CheckConstraint("source <> ''", name=op.f("ck_emission_total_source")),
        sa.CheckConstraint(
            "substance IN ('co2e', 'nox', 'pm25', 'voc', 'so2', 'co')",
            name=op.f("ck_emission_total_substance"),
        ),
        sa.CheckConstraint(
            "kilograms > 0 AND kilograms <= 1000000000000000", name=op.f("ck_emission_total_kilograms")
        ),
        sa.CheckConstraint("year BETWEEN 2000 AND 2999", name=op.f("ck_emission_total_year")),
        sa.ForeignKeyConstraint(["entered_by"], ["staff.id"], name=op.f("fk_emission_total_entered_by")),
        sa.PrimaryKeyConstraint("year", "substance", name=op.f("pk_emission_total")),
    )
    op.create_table(
        "factor_proposal",
        sa.Column("action_code", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=False),
        sa.Column("unit", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column(
            "scenario_kind",
            sa.Enum(
                "减排项目",
                "减排场景",
                "行为场景",
                name="scenariokind",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("city_credited", sa.Boolean(), nullable=False),
        sa.Column("co2e_low_ng", sa.BigInteger(), nullable=False),
        sa.Column("co2e_mid_ng", sa.BigInteger(), nullable=False),
        sa.Column("co2e_high_ng", sa.BigInteger(), nullable=False),
        sa.Column("nox_ng", sa.BigInteger(), nullable=True),
        sa.Column("pm25_ng", sa.BigInteger(), nullable=True),
        sa.Column("voc_ng", sa.BigInteger(), nullable=True),
        sa.Column("so2_ng", sa.BigInteger(), nullable=True),
        sa.Column("co_ng", sa.BigInteger(), nullable=True),
        sa.Column("baseline", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("source", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("source_year", sa.Integer(), nullable=False),
        sa.Column("region", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column(
            "confidence",
            sa.Enum(
                "A", "B", "C", "D", name="confidence", native_enum=False, create_constraint=True, length=32
            ),
            nullable=False,
        ),
        sa.Column("valid_from", sa.Date(), nullable=True),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.Column("note", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("methodology", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=True),
        sa.Column("derivation", sqlmodel.sql.sqltypes.AutoString(), server_default="", nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "proposed",
                "reviewed",
                "published",
                "declined",
                name="proposalstate",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("reason", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("proposed_by", sa.Uuid(), nullable=False),
        sa.Column("proposed_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("reviewed_by", sa.Uuid(), nullable=True),
        sa.Column("reviewed_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.Column("remark", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("published_by", sa.Uuid(), nullable=True),
        sa.Column("published_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.CheckConstraint(
            "(state = 'published') = (published_by IS NOT NULL) AND (published_by IS NULL) = (published_at IS NULL)",
            name=op.f("ck_factor_proposal_published"),
        ),
        sa.CheckConstraint("reason <> ''", name=op.f("ck_factor_proposal_reason")),
        sa.CheckConstraint("source <> ''", name=op.f("ck_factor_proposal_source")),
        sa.CheckConstraint(
            "state NOT IN ('reviewed', 'published') OR reviewed_by IS NOT NULL",
            name=op.f("ck_factor_proposal_reviewed"),
        ),
        sa.CheckConstraint(
            "unit <> '' AND baseline <> '' AND region <> ''", name=op.f("ck_factor_proposal_texts")
        ),
        sa.CheckConstraint(
            "(reviewed_by IS NULL) = (reviewed_at IS NULL)", name=op.f("ck_factor_proposal_review")
        ),
        sa.CheckConstraint(
            "0 <= co2e_low_ng AND co2e_low_ng <= co2e_mid_ng AND co2e_mid_ng <= co2e_high_ng AND co2e_high_ng <= 9000000000000000",
            name=op.f("ck_factor_proposal_co2e"),
        ),
        sa.CheckConstraint(
            "co_ng BETWEEN -9000000000000 AND 9000000000000", name=op.f("ck_factor_proposal_co")
        ),
        sa.CheckConstraint(
            "nox_ng BETWEEN -9000000000000 AND 9000000000000", name=op.f("ck_factor_proposal_nox")
        ),
        sa.CheckConstraint(
            "pm25_ng BETWEEN -9000000000000 AND 9000000000000", name=op.f("ck_factor_proposal_pm25")
        ),
        sa.CheckConstraint("reviewed_by <> proposed_by", name=op.f("ck_factor_proposal_second_officer")),
        sa.CheckConstraint(
            "so2_ng BETWEEN -9000000000000 AND 9000000000000", name=op.f("ck_factor_proposal_so2")
        ),
        sa.CheckConstraint("source_year BETWEEN 1900 AND 2999", name=op.f("ck_factor_proposal_source_year")),
        sa.CheckConstraint("valid_from <= valid_to", name=op.f("ck_factor_proposal_validity")),
        sa.CheckConstraint(
            "voc_ng BETWEEN -9000000000000 AND 9000000000000", name=op.f("ck_factor_proposal_voc")
        ),
        sa.ForeignKeyConstraint(
            ["action_code"], ["action_kind.code"], name=op.f("fk_factor_proposal_action_code")
        ),
        sa.ForeignKeyConstraint(
            ["methodology"], ["methodology.code"], name=op.f("fk_factor_proposal_methodology")
        ),
        sa.ForeignKeyConstraint(["proposed_by"], ["staff.id"], name=op.f("fk_factor_proposal_proposed_by")),
        sa.ForeignKeyConstraint(["published_by"], ["staff.id"], name=op.f("fk_factor_proposal_published_by")),
        sa.ForeignKeyConstraint(["reviewed_by"], ["staff.id"], name=op.f("fk_factor_proposal_reviewed_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_factor_proposal")),
    )
    with op.batch_alter_table("factor_proposal", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_factor_proposal_state"), ["state"], unique=False)

    op.create_table(
        "methodology_kind",
        sa.Column("kind", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=False),
        sa.Column("methodology", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=False),
        sa.ForeignKeyConstraint(["kind"], ["action_kind.code"], name=op.f("fk_methodology_kind_kind")),
        sa.ForeignKeyConstraint(
            ["methodology"], ["methodology.code"], name=op.f("fk_methodology_kind_methodology")
        ),
        sa.PrimaryKeyConstraint("kind", name=op.f("pk_methodology_kind")),
    )
    op.create_table(
        "declared_action",
        sa.Column("declaration_id", sa.Uuid(), nullable=False),
        sa.Column("action_id", sa.Uuid(), nullable=False),
        sa.Column("standing", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["action_id"], ["action.id"], name=op.f("fk_declared_action_action_id")),
        sa.ForeignKeyConstraint(
            ["declaration_id"],
            ["declaration.id"],
            name=op.f("fk_declared_action_declaration_id"),
            deferrable=True,
            initially="DEFERRED",
        ),
        sa.PrimaryKeyConstraint("declaration_id", "action_id", name=op.f("pk_declared_action")),
    )
    with op.batch_alter_table("declared_action", schema=None) as batch_op:
        batch_op.create_index(
            "uq_declared_action_standing",
            ["action_id"],
            unique=True,
            sqlite_where=sa.text("standing"),
            postgresql_where=sa.text("standing"),
        )

    op.create_table(
        "planting",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("number", sqlmodel.sql.sqltypes.AutoString(length=24), nullable=False),
        sa.Column("resident_id", sa.Uuid(), nullable=False),
        sa.Column("site_id", sa.Uuid(), nullable=False),
        sa.Column("code_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=False),
        sa.Column("trees", sa.Integer(), nullable=False),
        sa.Column("planted_on", sa.Date(), nullable=False),
        sa.Column("recorded_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.CheckConstraint("trees BETWEEN 1 AND 1000", name=op.f("ck_planting_trees")),
        sa.ForeignKeyConstraint(["resident_id"], ["resident.id"], name=op.f("fk_planting_resident_id")),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("fk_planting_site_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_planting")),
        sa.UniqueConstraint("number", name=op.f("uq_planting_number")),
        sa.UniqueConstraint(
            "resident_id",
            "site_id",
            "kind",
            "planted_on",
            name=op.f("uq_planting_resident_id_site_id_kind_planted_on"),
        ),
    )
    op.create_table(
        "tree_check",
        sa.Column("action_id", sa.Uuid(), nullable=False),
        sa.Column("planting_id", sa.Uuid(), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("alive", sa.Integer(), nullable=False),
        sa.Column("alive_before", sa.Integer(), nullable=False),
        sa.Column("checked_on", sa.Date(), nullable=False),
        sa.CheckConstraint("alive BETWEEN 1 AND alive_before", name=op.f("ck_tree_check_alive")),
        sa.CheckConstraint("year >= 1 AND ordinal >= 1", name=op.f("ck_tree_check_numbers")),
        sa.ForeignKeyConstraint(["action_id"], ["action.id"], name=op.f("fk_tree_check_action_id")),
        sa.ForeignKeyConstraint(["planting_id"], ["planting.id"], name=op.f("fk_tree_check_planting_id")),
        sa.PrimaryKeyConstraint("action_id", name=op.f("pk_tree_check")),
        sa.UniqueConstraint(
            "planting_id", "year", "ordinal", name=op.f("uq_tree_check_planting_id_year_ordinal")
        ),
    )
    _drop(VERSION_GUARDS)
    with op.batch_alter_table("factor_version", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("methodology", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=True)
        )
        batch_op.add_column(
            sa.Column("derivation", sqlmodel.sql.sqltypes.AutoString(), server_default="", nullable=False)
        )
        batch_op.add_column(sa.Column("proposal_id", sa.Uuid(), nullable=True))
        batch_op.create_unique_constraint(batch_op.f("uq_factor_version_proposal_id"), ["proposal_id"])
        batch_op.create_foreign_key(
            batch_op.f("fk_factor_version_methodology"), "methodology", ["methodology"], ["code"]
        )
        batch_op.create_foreign_key(
            batch_op.f("fk_factor_version_proposal_id"), "factor_proposal", ["proposal_id"], ["id"]
        )

    _create(VERSION_GUARDS)
    _create(_NEW_TABLES)


def downgrade() -> None:
    _drop(_NEW_TABLES)
    _drop(VERSION_GUARDS)
    with op.batch_alter_table("factor_version", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_factor_version_proposal_id"), type_="foreignkey")
        batch_op.drop_constraint(batch_op.f("fk_factor_version_methodology"), type_="foreignkey")
        batch_op.drop_constraint(batch_op.f("uq_factor_version_proposal_id"), type_="unique")
        batch_op.drop_column("proposal_id")
        batch_op.drop_column("derivation")
        batch_op.drop_column("methodology")

    first = context.script.get_revision("0001").module
    _run(first._CREATE_GUARDS[op.get_bind().dialect.name])

    op.drop_table("tree_check")
    op.drop_table("planting")
    with op.batch_alter_table("declared_action", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_declared_action_standing",
            sqlite_where=sa.text("standing"),
            postgresql_where=sa.text("standing"),
        )

    op.drop_table("declared_action")
    op.drop_table("methodology_kind")
    with op.batch_alter_table("factor_proposal", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_factor_proposal_state"))

    op.drop_table("factor_proposal")
    op.drop_table("emission_total")
    with op.batch_alter_table("declaration", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_declaration_state"))

    op.drop_table("declaration")
    op.drop_table("methodology")
