"""What the tables of a house hold, for tests that say what was written, and what was not."""

from typing import Any

import sqlalchemy as sa
from sqlmodel import SQLModel

from tanpuhui.rooms import House

Content = dict[tuple[Any, ...], tuple[Any, ...]]


def contents(house: House) -> dict[str, Content]:
    """Every table: primary key -> row. On PostgreSQL a row begins with the transaction that wrote it."""
    with house.db.reading() as connection:
        return {table.name: _content(connection, table) for table in SQLModel.metadata.sorted_tables}


def _content(connection: sa.Connection, table: sa.Table) -> Content:
    columns: list[Any] = [sa.literal("-").label("writer"), *table.c]
    if connection.dialect.name == "postgresql":
        columns[0] = sa.text("CAST(xmin AS text) AS writer")
    keys = [column.name for column in table.primary_key]
    rows = connection.execute(sa.select(*columns).select_from(table)).mappings()
    return {tuple(row[key] for key in keys): tuple(row.values()) for row in rows}


def written(before: dict[str, Content], after: dict[str, Content]) -> dict[str, dict[str, int]]:
    """What changed between two `contents`: table -> how many rows were inserted, changed, deleted."""
    found = {}
    for table, rows in after.items():
        old = before[table]
        counts = {
            "inserted": len(rows.keys() - old.keys()),
            "changed": sum(rows[key] != old[key] for key in rows.keys() & old.keys()),
            "deleted": len(old.keys() - rows.keys()),
        }
        if any(counts.values()):
            found[table] = {what: count for what, count in counts.items() if count}
    return found
