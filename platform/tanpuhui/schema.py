"""The schema of the database: Alembic migrations, run the same way on both engines."""

from dataclasses import dataclass
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


def _sqlite(table: str, name: str, event: str, when: str, message: str, only: str = "") -> str:
    when = f"{only} AND ({when})" if only else when
    return (
        f"CREATE TRIGGER {table}_{name} BEFORE {event} ON {table} WHEN {when}"
        f" BEGIN SELECT RAISE(ABORT, '{table}: {message}'); END"
    )


def _postgresql(
    table: str, name: str, event: str, when: str, message: str, first: str = "", only: str = ""
) -> tuple[str, str]:
    function = (
        f"CREATE OR REPLACE FUNCTION {table}_{name}() RETURNS trigger LANGUAGE plpgsql AS $$"
        f" BEGIN {first} IF {when} THEN RAISE EXCEPTION '{table}: {message}'"
        " USING ERRCODE = 'check_violation'; END IF;"
        f" RETURN {'OLD' if event == 'DELETE' else 'NEW'}; END $$"
    )
    trigger = (
        f"CREATE OR REPLACE TRIGGER {table}_{name} BEFORE {event} ON {table}"
        f" FOR EACH ROW {f'WHEN ({only}) ' if only else ''}EXECUTE FUNCTION {table}_{name}()"
    )
    return function, trigger


@dataclass(frozen=True)
class Guard:
    """A condition under which the database refuses `event` (INSERT, UPDATE or DELETE) on `table`.

    `when` is written with NEW and OLD; ``{differs}`` stands for the engine's null-safe inequality. `first` is
    PL/pgSQL run before, to take a lock. `only`: which rows it looks at, cheap to tell, where most are none of its business.
    """

    table: str
    name: str
    event: str
    when: str
    message: str
    first: str = ""
    only: str = ""

    def create(self, dialect: str) -> tuple[str, ...]:
        """Statements that put the guard up."""
        what = self.table, self.name, self.event
        if dialect == "sqlite":
            return (_sqlite(*what, self.when.replace("{differs}", "IS NOT"), self.message, self.only),)
        return _postgresql(
            *what, self.when.replace("{differs}", "IS DISTINCT FROM"), self.message, self.first, self.only
        )

    def drop(self, dialect: str) -> tuple[str, ...]:
        """Statements that take the guard down."""
        if dialect == "sqlite":
            return (f"DROP TRIGGER IF EXISTS {self.table}_{self.name}",)
        return (f"DROP FUNCTION IF EXISTS {self.table}_{self.name}() CASCADE",)
