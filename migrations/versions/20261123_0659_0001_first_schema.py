"""first schema

Why: everything begins here. Tables in alphabetical order of their dependencies, then what the database itself
refuses: changing history (append-only tables) and overlapping or edited factor versions.

It must not break the version of the code that runs before it: a web process may still serve the old schema
while this migration runs. Lock briefly.

Revision: 0001
Follows:
"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

from tanpuhui.schema import append_only_ddl

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


APPEND_ONLY = ("action", "action_void", "audit_entry", "event_log", "transfer")


# --- what the database refuses about factor versions, as this revision knew them ---

_OVERLAP = """
    SELECT 1 FROM factor_version AS other
    WHERE other.action_code = NEW.action_code
      AND coalesce(other.valid_from, '0001-01-01') <= coalesce(NEW.valid_to, '9999-12-31')
      AND coalesce(NEW.valid_from, '0001-01-01') <= coalesce(other.valid_to, '9999-12-31')
"""

_FROZEN = (
    "id",
    "action_code",
    "version",
    "unit",
    "scenario_kind",
    "city_credited",
    "co2e_low_ng",
    "co2e_mid_ng",
    "co2e_high_ng",
    "nox_ng",
    "pm25_ng",
    "voc_ng",
    "so2_ng",
    "co_ng",
    "baseline",
    "source",
    "source_year",
    "region",
    "confidence",
    "valid_from",
)


def _edited(differs: str) -> str:
    frozen = " OR ".join(f"NEW.{name} {differs} OLD.{name}" for name in _FROZEN)
    return f"{frozen} OR (OLD.valid_to IS NOT NULL AND NEW.valid_to {differs} OLD.valid_to)"


def _sqlite(name: str, event: str, when: str, message: str) -> str:
    return (
        f"CREATE TRIGGER factor_version_{name} BEFORE {event} ON factor_version WHEN {when}"
        f" BEGIN SELECT RAISE(ABORT, 'factor_version: {message}'); END"
    )


def _postgresql(name: str, event: str, when: str, message: str, first: str = "") -> tuple[str, str]:
    function = (
        f"CREATE OR REPLACE FUNCTION factor_version_{name}() RETURNS trigger LANGUAGE plpgsql AS $$"
        f" BEGIN {first} IF {when} THEN RAISE EXCEPTION 'factor_version: {message}'"
        " USING ERRCODE = 'check_violation'; END IF; RETURN NEW; END $$"
    )
    trigger = (
        f"CREATE TRIGGER factor_version_{name} BEFORE {event} ON factor_version"
        f" FOR EACH ROW EXECUTE FUNCTION factor_version_{name}()"
    )
    return function, trigger


# Two transactions publishing for one kind would not see each other: the row of the kind makes them take
# turns, with a lock that does not keep records of that kind waiting.
_TAKE_TURNS = "PERFORM 1 FROM action_kind WHERE code = NEW.action_code FOR NO KEY UPDATE;"

_MESSAGES = {
    "overlap": "validity overlaps with another version of this kind",
    "edit": "a published version is never edited",
    "delete": "a published version is never deleted",
}

_CREATE_GUARDS: dict[str, tuple[str, ...]] = {
    "sqlite": (
        _sqlite("overlap", "INSERT", f"EXISTS ({_OVERLAP})", _MESSAGES["overlap"]),
        _sqlite("edit", "UPDATE", _edited("IS NOT"), _MESSAGES["edit"]),
        _sqlite("delete", "DELETE", "true", _MESSAGES["delete"]),
    ),
    "postgresql": (
        *_postgresql("overlap", "INSERT", f"EXISTS ({_OVERLAP})", _MESSAGES["overlap"], _TAKE_TURNS),
        *_postgresql("edit", "UPDATE", _edited("IS DISTINCT FROM"), _MESSAGES["edit"]),
        *_postgresql("delete", "DELETE", "true", _MESSAGES["delete"]),
    ),
}

_DROP_GUARDS: dict[str, tuple[str, ...]] = {
    "sqlite": (),
    "postgresql": tuple(f"DROP FUNCTION IF EXISTS factor_version_{name}()" for name in _MESSAGES),
}


def upgrade() -> None:
    op.create_table(
        "account",
        sa.Column("path", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("balance", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("path LIKE 'resident:%'", name=op.f("ck_account_path")),
        sa.CheckConstraint("balance >= 0", name=op.f("ck_account_balance")),
        sa.PrimaryKeyConstraint("path", name=op.f("pk_account")),
    )
    op.create_table(
        "api_token",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("token_hash", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("kind", sqlmodel.sql.sqltypes.AutoString(length=16), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("role", sqlmodel.sql.sqltypes.AutoString(length=16), nullable=True),
        sa.Column("issued_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("revoked_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.CheckConstraint("kind IN ('resident', 'staff')", name=op.f("ck_api_token_kind")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_token")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_api_token_token_hash")),
    )
    with op.batch_alter_table("api_token", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_api_token_subject_id"), ["subject_id"], unique=False)

    op.create_table(
        "audit_entry",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("actor_kind", sqlmodel.sql.sqltypes.AutoString(length=16), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("deed", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("subject", sqlmodel.sql.sqltypes.AutoString(length=128), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entry")),
    )
    with op.batch_alter_table("audit_entry", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_audit_entry_at"), ["at"], unique=False)

    op.create_table(
        "browser_session",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("token_hash", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("kind", sqlmodel.sql.sqltypes.AutoString(length=16), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("opened_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("seen_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("expires_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("ended_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.CheckConstraint("kind IN ('resident', 'staff')", name=op.f("ck_browser_session_kind")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_browser_session")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_browser_session_token_hash")),
    )
    with op.batch_alter_table("browser_session", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_browser_session_subject_id"), ["subject_id"], unique=False)

    op.create_table(
        "daily_figure",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("division_code", sqlmodel.sql.sqltypes.AutoString(length=12), nullable=False),
        sa.Column("kind", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=False),
        sa.Column("evidence", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=False),
        sa.Column("campaign", sqlmodel.sql.sqltypes.AutoString(length=36), nullable=False),
        sa.Column("city_credited", sa.Boolean(), nullable=False),
        sa.Column("actions", sa.BigInteger(), nullable=False),
        sa.Column("quantity_milli", sa.BigInteger(), nullable=False),
        sa.Column("co2e_mg", sa.BigInteger(), nullable=False),
        sa.Column("co2e_mid_mg", sa.BigInteger(), nullable=False),
        sa.Column("co2e_high_mg", sa.BigInteger(), nullable=False),
        sa.Column("nox_ug", sa.BigInteger(), nullable=False),
        sa.Column("pm25_ug", sa.BigInteger(), nullable=False),
        sa.Column("voc_ug", sa.BigInteger(), nullable=False),
        sa.Column("so2_ug", sa.BigInteger(), nullable=False),
        sa.Column("co_ug", sa.BigInteger(), nullable=False),
        sa.Column("nox_known", sa.BigInteger(), nullable=False),
        sa.Column("pm25_known", sa.BigInteger(), nullable=False),
        sa.Column("voc_known", sa.BigInteger(), nullable=False),
        sa.Column("so2_known", sa.BigInteger(), nullable=False),
        sa.Column("co_known", sa.BigInteger(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "day",
            "division_code",
            "kind",
            "evidence",
            "campaign",
            "city_credited",
            name=op.f("pk_daily_figure"),
        ),
    )
    op.create_table(
        "daily_participant",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("division_code", sqlmodel.sql.sqltypes.AutoString(length=12), nullable=False),
        sa.Column("kind", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=False),
        sa.Column("campaign", sqlmodel.sql.sqltypes.AutoString(length=36), nullable=False),
        sa.Column("resident_id", sa.Uuid(), nullable=False),
        sa.Column("actions", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "day", "division_code", "kind", "campaign", "resident_id", name=op.f("pk_daily_participant")
        ),
    )
    op.create_table(
        "division",
        sa.Column("code", sqlmodel.sql.sqltypes.AutoString(length=12), nullable=False),
        sa.Column("name", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column(
            "level",
            sa.Enum(
                "district",
                "street",
                "community",
                name="divisionlevel",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("parent_code", sqlmodel.sql.sqltypes.AutoString(length=12), nullable=True),
        sa.CheckConstraint(
            "(level = 'district' AND length(code) = 6 AND parent_code IS NULL) OR (level = 'street' AND length(code) = 9 AND parent_code IS NOT NULL AND parent_code = substr(code, 1, 6)) OR (level = 'community' AND length(code) = 12 AND parent_code IS NOT NULL AND parent_code = substr(code, 1, 9))",
            name=op.f("ck_division_nesting"),
        ),
        sa.CheckConstraint("name <> ''", name=op.f("ck_division_name")),
        sa.ForeignKeyConstraint(["parent_code"], ["division.code"], name=op.f("fk_division_parent_code")),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_division")),
    )
    with op.batch_alter_table("division", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_division_parent_code"), ["parent_code"], unique=False)

    op.create_table(
        "event_failure",
        sa.Column("subscriber", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("parked_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.CheckConstraint("attempts >= 0", name=op.f("ck_event_failure_attempts")),
        sa.PrimaryKeyConstraint("subscriber", "position", name=op.f("pk_event_failure")),
    )
    with op.batch_alter_table("event_failure", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_event_failure_parked_at"), ["parked_at"], unique=False)

    op.create_table(
        "event_log",
        sa.Column(
            "position",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("tx", sa.BigInteger(), nullable=False),
        sa.Column("type", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("resident_id", sa.Uuid(), nullable=True),
        sa.Column("recorded_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_event_log")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("event_log", schema=None) as batch_op:
        batch_op.create_index("ix_event_log_resident_id_position", ["resident_id", "position"], unique=False)
        batch_op.create_index("ix_event_log_tx_position", ["tx", "position"], unique=False)

    op.create_table(
        "evidence_tier",
        sa.Column("code", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=False),
        sa.Column("name_zh", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("name_en", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("counts_as_verified", sa.Boolean(), nullable=False),
        sa.Column("note", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.CheckConstraint("name_zh <> '' AND name_en <> ''", name=op.f("ck_evidence_tier_names")),
        sa.CheckConstraint("rank >= 1", name=op.f("ck_evidence_tier_rank")),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_evidence_tier")),
        sa.UniqueConstraint("rank", name=op.f("uq_evidence_tier_rank")),
    )
    op.create_table(
        "evidence_weight",
        sa.Column("evidence", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=False),
        sa.Column("points_percent", sa.Integer(), nullable=False),
        sa.CheckConstraint("points_percent BETWEEN 0 AND 100", name=op.f("ck_evidence_weight_percent")),
        sa.PrimaryKeyConstraint("evidence", name=op.f("pk_evidence_weight")),
    )
    op.create_table(
        "invitation",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("token_hash", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("grants", sa.JSON(), nullable=False),
        sa.Column("invited_by", sa.Uuid(), nullable=True),
        sa.Column("created_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("expires_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("used_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invitation")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_invitation_token_hash")),
    )
    op.create_table(
        "job_run",
        sa.Column("job", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("slot", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("ran_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("job", "slot", name=op.f("pk_job_run")),
    )
    op.create_table(
        "lease",
        sa.Column("name", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=False),
        sa.Column("holder", sqlmodel.sql.sqltypes.AutoString(length=80), nullable=False),
        sa.Column("renewed_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("expires_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_lease")),
    )
    op.create_table(
        "login_code",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("phone_index", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("address_index", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("code_hash", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("sent_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("expires_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("used_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.CheckConstraint("tries BETWEEN 0 AND 5", name=op.f("ck_login_code_tries")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_login_code")),
    )
    with op.batch_alter_table("login_code", schema=None) as batch_op:
        batch_op.create_index(
            "ix_login_code_address_index_sent_at", ["address_index", "sent_at"], unique=False
        )
        batch_op.create_index("ix_login_code_phone_index_sent_at", ["phone_index", "sent_at"], unique=False)

    op.create_table(
        "observance",
        sa.Column("key", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=False),
        sa.Column("year", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name_zh", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("name_en", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "fixed",
                "announced",
                name="observancekind",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("starts_on", sqlmodel.sql.sqltypes.AutoString(length=10), nullable=False),
        sa.Column("ends_on", sqlmodel.sql.sqltypes.AutoString(length=10), nullable=False),
        sa.Column("source", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column(
            "confidence",
            sa.Enum(
                "A", "B", "C", "D", name="confidence", native_enum=False, create_constraint=True, length=32
            ),
            nullable=False,
        ),
        sa.CheckConstraint(
            "(kind = 'fixed' AND year = 0 AND length(starts_on) = 5 AND length(ends_on) = 5) OR (kind = 'announced' AND year BETWEEN 2000 AND 2999 AND length(starts_on) = 10 AND length(ends_on) = 10 AND substr(starts_on, 1, 4) = CAST(year AS VARCHAR(4)))",
            name=op.f("ck_observance_dates"),
        ),
        sa.CheckConstraint("source <> ''", name=op.f("ck_observance_source")),
        sa.CheckConstraint("starts_on <= ends_on", name=op.f("ck_observance_order")),
        sa.PrimaryKeyConstraint("key", "year", name=op.f("pk_observance")),
    )
    op.create_table(
        "points_rule",
        sa.Column("id", sqlmodel.sql.sqltypes.AutoString(length=48), nullable=False),
        sa.Column("kind", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("micro_points_per_unit", sa.BigInteger(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=True),
        sa.CheckConstraint(
            "version >= 1 AND id = kind || '@' || version", name=op.f("ck_points_rule_identity")
        ),
        sa.CheckConstraint(
            "micro_points_per_unit BETWEEN 0 AND 1000000000000", name=op.f("ck_points_rule_points")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_points_rule")),
        sa.UniqueConstraint("kind", "version", name=op.f("uq_points_rule_kind_version")),
    )
    op.create_table(
        "reference_state",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_reference_state_one_row")),
        sa.CheckConstraint("version >= 0", name=op.f("ck_reference_state_version")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reference_state")),
    )
    op.create_table(
        "staff",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("password_hash", sqlmodel.sql.sqltypes.AutoString(length=200), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("locked_until", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.Column("created_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_staff")),
        sa.UniqueConstraint("name", name=op.f("uq_staff_name")),
    )
    op.create_table(
        "stored_answer",
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("key", sqlmodel.sql.sqltypes.AutoString(length=128), nullable=False),
        sa.Column("request_hash", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("stored_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("owner_id", "key", name=op.f("pk_stored_answer")),
    )
    op.create_table(
        "subscriber_cursor",
        sa.Column("subscriber", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("tx", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("subscriber", name=op.f("pk_subscriber_cursor")),
    )
    op.create_table(
        "transfer",
        sa.Column("reference", sqlmodel.sql.sqltypes.AutoString(length=96), nullable=False),
        sa.Column("source", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("destination", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("balance_after", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("ck_transfer_amount")),
        sa.CheckConstraint("balance_after >= 0", name=op.f("ck_transfer_balance_after")),
        sa.CheckConstraint("source <> destination", name=op.f("ck_transfer_sides")),
        sa.PrimaryKeyConstraint("reference", name=op.f("pk_transfer")),
    )
    op.create_table(
        "action_kind",
        sa.Column("code", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=False),
        sa.Column("name_zh", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("name_en", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("category", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=False),
        sa.Column("unit", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("asks", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("quantity_default_milli", sa.BigInteger(), nullable=True),
        sa.Column("quantity_min_milli", sa.BigInteger(), nullable=False),
        sa.Column("quantity_max_milli", sa.BigInteger(), nullable=False),
        sa.Column("records_per_day", sa.Integer(), nullable=False),
        sa.Column("quantity_per_day_milli", sa.BigInteger(), nullable=False),
        sa.Column("min_interval_minutes", sa.Integer(), nullable=False),
        sa.Column("clash_group", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=True),
        sa.Column("lowest_evidence", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("note", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.CheckConstraint(
            "asks <> '' AND (asks <> 'nothing' OR quantity_default_milli IS NOT NULL)",
            name=op.f("ck_action_kind_asks"),
        ),
        sa.CheckConstraint(
            "clash_group IS NULL OR clash_group <> ''", name=op.f("ck_action_kind_clash_group")
        ),
        sa.CheckConstraint(
            "name_zh <> '' AND name_en <> '' AND category <> '' AND unit <> ''",
            name=op.f("ck_action_kind_names"),
        ),
        sa.CheckConstraint(
            "min_interval_minutes BETWEEN 0 AND 1440", name=op.f("ck_action_kind_min_interval")
        ),
        sa.CheckConstraint(
            "quantity_default_milli IS NULL OR quantity_default_milli BETWEEN quantity_min_milli AND quantity_max_milli",
            name=op.f("ck_action_kind_default"),
        ),
        sa.CheckConstraint(
            "quantity_min_milli > 0 AND quantity_min_milli <= quantity_max_milli AND quantity_max_milli <= quantity_per_day_milli AND quantity_per_day_milli <= 999999999999",
            name=op.f("ck_action_kind_quantities"),
        ),
        sa.CheckConstraint("records_per_day >= 1", name=op.f("ck_action_kind_records_per_day")),
        sa.ForeignKeyConstraint(
            ["lowest_evidence"], ["evidence_tier.code"], name=op.f("fk_action_kind_lowest_evidence")
        ),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_action_kind")),
    )
    op.create_table(
        "campaign",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("title", sqlmodel.sql.sqltypes.AutoString(length=60), nullable=False),
        sa.Column("division_code", sqlmodel.sql.sqltypes.AutoString(length=12), nullable=False),
        sa.Column("starts_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("ends_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("cancelled_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.CheckConstraint("ends_at > starts_at", name=op.f("ck_campaign_window")),
        sa.ForeignKeyConstraint(["created_by"], ["staff.id"], name=op.f("fk_campaign_created_by")),
        sa.ForeignKeyConstraint(["division_code"], ["division.code"], name=op.f("fk_campaign_division_code")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaign")),
    )
    op.create_table(
        "organisation",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sqlmodel.sql.sqltypes.AutoString(length=80), nullable=False),
        sa.Column("division_code", sqlmodel.sql.sqltypes.AutoString(length=12), nullable=False),
        sa.Column("created_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["division_code"], ["division.code"], name=op.f("fk_organisation_division_code")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organisation")),
        sa.UniqueConstraint("name", name=op.f("uq_organisation_name")),
    )
    op.create_table(
        "resident",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("phone_index", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("phone_cipher", sa.LargeBinary(), nullable=False),
        sa.Column("division_code", sqlmodel.sql.sqltypes.AutoString(length=12), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "active",
                "closed",
                name="residentstatus",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("joined_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["division_code"], ["division.code"], name=op.f("fk_resident_division_code")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_resident")),
        sa.UniqueConstraint("phone_index", name=op.f("uq_resident_phone_index")),
    )
    op.create_table(
        "action",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("resident_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("kind", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("quantity_milli", sa.BigInteger(), nullable=False),
        sa.Column("occurred_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("recorded_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("evidence", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=False),
        sa.Column("site_id", sa.Uuid(), nullable=False),
        sa.Column("code_id", sa.BigInteger(), nullable=False),
        sa.Column("division_code", sqlmodel.sql.sqltypes.AutoString(length=12), nullable=False),
        sa.Column("campaign_id", sa.Uuid(), nullable=True),
        sa.Column("factor_version", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("city_credited", sa.Boolean(), nullable=False),
        sa.Column("co2e_mg", sa.BigInteger(), nullable=False),
        sa.Column("co2e_mid_mg", sa.BigInteger(), nullable=False),
        sa.Column("co2e_high_mg", sa.BigInteger(), nullable=False),
        sa.Column("nox_ug", sa.BigInteger(), nullable=True),
        sa.Column("pm25_ug", sa.BigInteger(), nullable=True),
        sa.Column("voc_ug", sa.BigInteger(), nullable=True),
        sa.Column("so2_ug", sa.BigInteger(), nullable=True),
        sa.Column("co_ug", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "co2e_mg <= co2e_mid_mg AND co2e_mid_mg <= co2e_high_mg", name=op.f("ck_action_co2e_range")
        ),
        sa.CheckConstraint("ordinal >= 1", name=op.f("ck_action_ordinal")),
        sa.CheckConstraint("quantity_milli > 0", name=op.f("ck_action_quantity")),
        sa.ForeignKeyConstraint(["resident_id"], ["resident.id"], name=op.f("fk_action_resident_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_action")),
        sa.UniqueConstraint(
            "resident_id", "day", "kind", "ordinal", name=op.f("uq_action_resident_id_day_kind_ordinal")
        ),
    )
    op.create_table(
        "consent",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("resident_id", sa.Uuid(), nullable=False),
        sa.Column("document", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=False),
        sa.Column("version", sqlmodel.sql.sqltypes.AutoString(length=16), nullable=False),
        sa.Column("text_sha256", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("given_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("withdrawn_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.CheckConstraint("withdrawn_at IS NULL OR withdrawn_at >= given_at", name=op.f("ck_consent_order")),
        sa.ForeignKeyConstraint(["resident_id"], ["resident.id"], name=op.f("fk_consent_resident_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consent")),
        sa.UniqueConstraint(
            "resident_id", "document", "version", name=op.f("uq_consent_resident_id_document_version")
        ),
    )
    op.create_table(
        "factor_version",
        sa.Column("id", sqlmodel.sql.sqltypes.AutoString(length=48), nullable=False),
        sa.Column("action_code", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
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
        sa.CheckConstraint("source <> ''", name=op.f("ck_factor_version_source")),
        sa.CheckConstraint(
            "unit <> '' AND baseline <> '' AND region <> ''", name=op.f("ck_factor_version_texts")
        ),
        sa.CheckConstraint(
            "version >= 1 AND id = action_code || '@' || version", name=op.f("ck_factor_version_identity")
        ),
        sa.CheckConstraint(
            "0 <= co2e_low_ng AND co2e_low_ng <= co2e_mid_ng AND co2e_mid_ng <= co2e_high_ng AND co2e_high_ng <= 9000000000000000",
            name=op.f("ck_factor_version_co2e"),
        ),
        sa.CheckConstraint(
            "co_ng BETWEEN -9000000000000 AND 9000000000000", name=op.f("ck_factor_version_co")
        ),
        sa.CheckConstraint(
            "nox_ng BETWEEN -9000000000000 AND 9000000000000", name=op.f("ck_factor_version_nox")
        ),
        sa.CheckConstraint(
            "pm25_ng BETWEEN -9000000000000 AND 9000000000000", name=op.f("ck_factor_version_pm25")
        ),
        sa.CheckConstraint(
            "so2_ng BETWEEN -9000000000000 AND 9000000000000", name=op.f("ck_factor_version_so2")
        ),
        sa.CheckConstraint("source_year BETWEEN 1900 AND 2999", name=op.f("ck_factor_version_source_year")),
        sa.CheckConstraint("valid_from <= valid_to", name=op.f("ck_factor_version_validity")),
        sa.CheckConstraint(
            "voc_ng BETWEEN -9000000000000 AND 9000000000000", name=op.f("ck_factor_version_voc")
        ),
        sa.ForeignKeyConstraint(
            ["action_code"], ["action_kind.code"], name=op.f("fk_factor_version_action_code")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_factor_version")),
        sa.UniqueConstraint("action_code", "version", name=op.f("uq_factor_version_action_code_version")),
    )
    op.create_table(
        "role_grant",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("staff_id", sa.Uuid(), nullable=False),
        sa.Column(
            "role",
            sa.Enum(
                "helper",
                "organiser",
                "merchant",
                "officer",
                "admin",
                "auditor",
                name="role",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("division_code", sqlmodel.sql.sqltypes.AutoString(length=12), nullable=True),
        sa.Column("organisation_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint(
            "(division_code IS NULL) <> (organisation_id IS NULL)", name=op.f("ck_role_grant_one_scope")
        ),
        sa.ForeignKeyConstraint(
            ["division_code"], ["division.code"], name=op.f("fk_role_grant_division_code")
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisation.id"], name=op.f("fk_role_grant_organisation_id")
        ),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_role_grant_staff_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_role_grant")),
        sa.UniqueConstraint(
            "staff_id",
            "role",
            "division_code",
            "organisation_id",
            name=op.f("uq_role_grant_staff_id_role_division_code_organisation_id"),
        ),
    )
    with op.batch_alter_table("role_grant", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_role_grant_staff_id"), ["staff_id"], unique=False)

    op.create_table(
        "site",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sqlmodel.sql.sqltypes.AutoString(length=60), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "canteen",
                "recycling_point",
                "clothes_bin",
                "transit_stop",
                "parcel_station",
                "planting_plot",
                "event",
                "other",
                name="sitekind",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("division_code", sqlmodel.sql.sqltypes.AutoString(length=12), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=True),
        sa.Column("hours", sqlmodel.sql.sqltypes.AutoString(length=80), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "open", "closed", name="sitestatus", native_enum=False, create_constraint=True, length=32
            ),
            nullable=False,
        ),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["created_by"], ["staff.id"], name=op.f("fk_site_created_by")),
        sa.ForeignKeyConstraint(["division_code"], ["division.code"], name=op.f("fk_site_division_code")),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisation.id"], name=op.f("fk_site_organisation_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_site")),
    )
    with op.batch_alter_table("site", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_site_division_code"), ["division_code"], unique=False)
        batch_op.create_index(batch_op.f("ix_site_organisation_id"), ["organisation_id"], unique=False)

    op.create_table(
        "action_void",
        sa.Column("action_id", sa.Uuid(), nullable=False),
        sa.Column("voided_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("voided_by", sa.Uuid(), nullable=False),
        sa.Column("reason", sqlmodel.sql.sqltypes.AutoString(length=200), nullable=False),
        sa.CheckConstraint("reason <> ''", name=op.f("ck_action_void_reason")),
        sa.ForeignKeyConstraint(["action_id"], ["action.id"], name=op.f("fk_action_void_action_id")),
        sa.ForeignKeyConstraint(["voided_by"], ["staff.id"], name=op.f("fk_action_void_voided_by")),
        sa.PrimaryKeyConstraint("action_id", name=op.f("pk_action_void")),
    )
    op.create_table(
        "campaign_site",
        sa.Column("campaign_id", sa.Uuid(), nullable=False),
        sa.Column("site_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaign.id"], name=op.f("fk_campaign_site_campaign_id")),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("fk_campaign_site_site_id")),
        sa.PrimaryKeyConstraint("campaign_id", "site_id", name=op.f("pk_campaign_site")),
    )
    with op.batch_alter_table("campaign_site", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_campaign_site_site_id"), ["site_id"], unique=False)

    op.create_table(
        "code",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("site_id", sa.Uuid(), nullable=False),
        sa.Column("evidence", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=False),
        sa.Column("valid_from", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.Column("valid_until", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.Column("issued_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("issued_by", sa.Uuid(), nullable=False),
        sa.Column("revoked_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.CheckConstraint(
            "evidence = 'site_code' OR (valid_from IS NOT NULL AND valid_until IS NOT NULL)",
            name=op.f("ck_code_staffed"),
        ),
        sa.CheckConstraint("evidence IN ('site_code', 'staff_confirmed')", name=op.f("ck_code_evidence")),
        sa.CheckConstraint("id > 0", name=op.f("ck_code_id")),
        sa.CheckConstraint("valid_until IS NULL OR valid_until > valid_from", name=op.f("ck_code_validity")),
        sa.ForeignKeyConstraint(["issued_by"], ["staff.id"], name=op.f("fk_code_issued_by")),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("fk_code_site_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_code")),
    )
    with op.batch_alter_table("code", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_code_site_id"), ["site_id"], unique=False)

    op.create_table(
        "site_credits",
        sa.Column("site_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=False),
        sa.ForeignKeyConstraint(["kind"], ["action_kind.code"], name=op.f("fk_site_credits_kind")),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("fk_site_credits_site_id")),
        sa.PrimaryKeyConstraint("site_id", "kind", name=op.f("pk_site_credits")),
    )
    dialect = op.get_bind().dialect.name
    for statement in _CREATE_GUARDS[dialect]:
        op.execute(sa.text(statement))
    for table in APPEND_ONLY:
        for statement in append_only_ddl(table, dialect):
            op.execute(sa.text(statement.replace(":", "\\:")))


def downgrade() -> None:
    op.drop_table("site_credits")
    with op.batch_alter_table("code", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_code_site_id"))

    op.drop_table("code")
    with op.batch_alter_table("campaign_site", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_campaign_site_site_id"))

    op.drop_table("campaign_site")
    op.drop_table("action_void")
    with op.batch_alter_table("site", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_site_organisation_id"))
        batch_op.drop_index(batch_op.f("ix_site_division_code"))

    op.drop_table("site")
    with op.batch_alter_table("role_grant", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_role_grant_staff_id"))

    op.drop_table("role_grant")
    op.drop_table("factor_version")
    op.drop_table("consent")
    op.drop_table("action")
    op.drop_table("resident")
    op.drop_table("organisation")
    op.drop_table("campaign")
    op.drop_table("action_kind")
    op.drop_table("transfer")
    op.drop_table("subscriber_cursor")
    op.drop_table("stored_answer")
    op.drop_table("staff")
    op.drop_table("reference_state")
    op.drop_table("points_rule")
    op.drop_table("observance")
    with op.batch_alter_table("login_code", schema=None) as batch_op:
        batch_op.drop_index("ix_login_code_phone_index_sent_at")
        batch_op.drop_index("ix_login_code_address_index_sent_at")

    op.drop_table("login_code")
    op.drop_table("lease")
    op.drop_table("job_run")
    op.drop_table("invitation")
    op.drop_table("evidence_weight")
    op.drop_table("evidence_tier")
    with op.batch_alter_table("event_log", schema=None) as batch_op:
        batch_op.drop_index("ix_event_log_tx_position")
        batch_op.drop_index("ix_event_log_resident_id_position")

    op.drop_table("event_log")
    with op.batch_alter_table("event_failure", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_event_failure_parked_at"))

    op.drop_table("event_failure")
    with op.batch_alter_table("division", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_division_parent_code"))

    op.drop_table("division")
    op.drop_table("daily_participant")
    op.drop_table("daily_figure")
    with op.batch_alter_table("browser_session", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_browser_session_subject_id"))

    op.drop_table("browser_session")
    with op.batch_alter_table("audit_entry", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_audit_entry_at"))

    op.drop_table("audit_entry")
    with op.batch_alter_table("api_token", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_api_token_subject_id"))

    op.drop_table("api_token")
    op.drop_table("account")
    dialect = op.get_bind().dialect.name
    for statement in _DROP_GUARDS[dialect]:
        op.execute(sa.text(statement))
    if dialect == "postgresql":
        op.execute(sa.text("DROP FUNCTION IF EXISTS refuse_change()"))
