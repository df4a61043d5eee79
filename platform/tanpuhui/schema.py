"""The schema of the database: Alembic migrations, run the same way on both engines."""

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from tanpuhui.rooms import House

_INSTALLED = Path(__file__).parent / "_migrations"
_CHECKOUT = Path(__file__).parents[2] / "migrations"


def alembic_config(house: House | None = None) -> Config:
    """Alembic's configuration, for the database of `house`."""
    config = Config()
    config.set_main_option("script_location", str(_INSTALLED if _INSTALLED.is_dir() else _CHECKOUT))
    config.set_main_option("path_separator", "os")
    config.set_main_option(
        "file_template", "%%(year)d%%(month).2d%%(day).2d_%%(hour).2d%%(minute).2d_%%(rev)s_%%(slug)s"
    )
    config.attributes["house"] = house
    return config


@cache
def heads() -> tuple[str, ...]:
    """The newest revision."""
    return tuple(ScriptDirectory.from_config(alembic_config()).get_heads())


def migrate(house: House, revision: str = "head") -> None:
    """Bring the database to `revision`; processes that start at once take turns."""
    command.upgrade(alembic_config(house), revision)


def append_only_ddl(table: str, dialect: str) -> list[str]:
    """Statements that make the database refuse UPDATE (and DELETE) on `table`."""
    if dialect == "sqlite":
        return [
            f"CREATE TRIGGER IF NOT EXISTS {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            for verb in ("UPDATE", "DELETE")
        ]
    return [
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$",
        f"CREATE OR REPLACE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
        "FOR EACH ROW EXECUTE FUNCTION refuse_change()",
    ]
