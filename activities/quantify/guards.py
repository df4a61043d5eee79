"""What the database itself refuses about factor versions, for both engines.

Versions of one kind never overlap; a published version is never edited, except that an open one may be
closed and its note reworded; none is ever deleted. The migration and `metadata.create_all` run the same
statements.
"""

from typing import Any

import sqlalchemy as sa

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

#: Statements to run after the table is made, by dialect name.
CREATE: dict[str, tuple[str, ...]] = {
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

#: Statements to run after the table is dropped, by dialect name (triggers go with the table).
DROP: dict[str, tuple[str, ...]] = {
    "sqlite": (),
    "postgresql": tuple(f"DROP FUNCTION IF EXISTS factor_version_{name}()" for name in _MESSAGES),
}


def guard(table: sa.Table) -> None:
    """Have `metadata.create_all` and `drop_all` run the statements with `table`."""

    def run(statements: dict[str, tuple[str, ...]], connection: Any) -> None:
        for statement in statements[connection.dialect.name]:
            connection.exec_driver_sql(statement)

    sa.event.listen(table, "after_create", lambda _table, connection, **_: run(CREATE, connection))
    sa.event.listen(table, "after_drop", lambda _table, connection, **_: run(DROP, connection))
