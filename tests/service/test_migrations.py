"""Migrations: from nothing to the newest schema and back, on both engines, also with data in it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.script import ScriptDirectory
from sqlmodel import SQLModel

from tanpuhui import schema
from tanpuhui.reference import load_reference
from tanpuhui.rooms import House, build_house
from tests.databases import KEY, Shelf, settings_for
from tests.tables import contents
from tests.world import World


@pytest.fixture
def empty(shelf: Shelf, tmp_path: Path) -> Iterator[House]:
    """A house on a database without a schema."""
    url = shelf.empty()
    house = build_house(settings_for(url, tmp_path))
    yield house
    house.db.dispose()
    if shelf.postgres:
        shelf.postgres.drop(url.rsplit("/", 1)[1])


def tables(house: House) -> set[str]:
    return set(sa.inspect(house.db.engine).get_table_names()) - {"alembic_version"}


def revisions() -> list[str]:
    """Every revision, the first one first."""
    walk = ScriptDirectory.from_config(schema.alembic_config()).walk_revisions()
    return [script.revision for script in walk][::-1]


def fill(house: House) -> World:
    """Something in every corner that the newest code knows."""
    world = World(house)
    world.scan(world.resident(), world.code("bike_trip"), quantity="1")
    world.campaign(world.site("own_cup"))
    house.relay.drain()
    return world


def test_there_is_one_head_and_every_revision_says_why() -> None:
    scripts = ScriptDirectory.from_config(schema.alembic_config())
    assert len(scripts.get_heads()) == 1
    assert schema.heads() == tuple(scripts.get_heads())
    for script in scripts.walk_revisions():
        assert "Why:" in (script.doc + script.longdoc), script.revision
        assert Path(script.path).name[:13].replace("_", "").isdigit()
        assert f"_{script.revision}_" in Path(script.path).name


def test_from_nothing_to_the_newest_schema_and_back(empty: House) -> None:
    schema.migrate(empty)
    assert tables(empty) == set(SQLModel.metadata.tables)
    schema.migrate(empty)  # twice changes nothing
    load_reference(empty)
    world = fill(empty)
    assert world.breaches() == []
    command.check(schema.alembic_config(empty))  # raises where models and database differ
    command.downgrade(schema.alembic_config(empty), "base")
    assert tables(empty) == set()
    if not empty.db.is_sqlite:
        with empty.db.reading() as connection:
            own = "SELECT proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE nspname = 'public'"
            assert connection.scalars(sa.text(own)).all() == []
    again = build_house(empty.settings)
    schema.migrate(again)
    load_reference(again)
    assert fill(again).breaches() == []
    again.db.dispose()


def test_every_revision_is_walked_with_data_in_it(empty: House) -> None:
    """A database filled at the first revision comes to the newest with its rows, one step after the other."""
    first, *rest = revisions()
    schema.migrate(empty, first)
    with empty.db.transaction() as connection:
        for statement in (
            "INSERT INTO division (code, name, level) VALUES ('310106', '静安区', 'district')",
            "INSERT INTO account (path, balance) VALUES ('resident:x', 10)",
            "INSERT INTO transfer (reference, source, destination, amount, balance_after, recorded_at) "
            "VALUES ('action:x', 'programme:actions', 'resident:x', 10, 10, '2026-06-05 04:00:00')",
            "INSERT INTO organisation (id, name, division_code, created_at) "
            "VALUES ('00000000000000000000000000000001', '学校', '310106', '2026-06-05 04:00:00')",
            "INSERT INTO job_run (job, slot, ran_at) VALUES ('j', '2026-06-05 04:00:00', '2026-06-05 04:00:00')",
        ):
            connection.execute(sa.text(statement))
    for revision in rest:
        schema.migrate(empty, revision)
    schema.migrate(empty)
    held = contents(empty)
    assert [len(held[name]) for name in ("division", "account", "transfer", "organisation", "job_run")] == [
        1
    ] * 5
    with empty.db.reading() as connection:
        day = connection.scalar(sa.text("SELECT CAST(expires_on AS VARCHAR(10)) FROM transfer"))
    assert day == "9999-12-31"  # what was given while nothing was said of expiry lasts for good
    command.check(schema.alembic_config(empty))
    load_reference(empty)
    fill(empty)


def test_processes_that_start_at_once_take_turns(empty: House) -> None:
    environment = {
        **os.environ,
        "TANPUHUI_ENV": "test",
        "TANPUHUI_VAR": str(empty.settings.var),
        "TANPUHUI_DATABASE_URL": empty.db.url.render_as_string(hide_password=False),
        "TANPUHUI_SECRET_KEY": KEY,
    }
    migrate = [sys.executable, "-m", "tanpuhui.cli", "migrate"]
    started = [subprocess.Popen(migrate, env=environment, stdout=subprocess.DEVNULL) for _ in range(3)]
    # patience for a machine that does much else: three processes import everything at once
    assert [process.wait(300) for process in started] == [0, 0, 0]
    assert tables(empty) == set(SQLModel.metadata.tables)


def test_a_model_that_no_migration_knows_is_noticed(house: House) -> None:
    """The negative control of `alembic check`."""
    stranger = sa.Table("stranger", SQLModel.metadata, sa.Column("id", sa.Integer, primary_key=True))
    try:
        with pytest.raises(Exception, match="stranger"):
            command.check(schema.alembic_config(house))
    finally:
        SQLModel.metadata.remove(stranger)


def test_the_migrations_are_where_the_wheel_takes_them_from() -> None:
    root = Path(__file__).parents[2]
    found = schema.alembic_config().get_main_option("script_location")
    assert found
    assert {path.name for path in Path(found).iterdir()} >= {"env.py", "script.py.mako", "versions"}
    assert '"migrations" = "tanpuhui/_migrations"' in (root / "pyproject.toml").read_text()
    assert "import sqlmodel" in (root / "migrations" / "script.py.mako").read_text()
