"""Alembic's environment: one transaction a migration, turns between processes, a short patience for other locks."""

from alembic import context
from sqlalchemy import Connection
from sqlmodel import SQLModel

from tanpuhui.rooms import House, build_house

TURN = 31010600  # the advisory lock that migrating processes share


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=SQLModel.metadata,
        compare_type=True,
        render_as_batch=connection.dialect.name == "sqlite",
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        context.run_migrations()


house: House = context.config.attributes.get("house") or build_house()
with house.db.turn(TURN) as connection:
    run(connection)
