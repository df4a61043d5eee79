"""Holdings: what is held of a resident. Each room declares its own; nothing else lists them.

The privacy centre, the download, the published periods, the job that keeps to them and the closing of an account are
all read from the same declarations.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import SQLModel

from tanpuhui.config import Settings

Query = Callable[[UUID], sa.Select[Any]]


def _as_it_is(_settings: Settings, row: dict[str, Any]) -> dict[str, Any]:
    return row


@dataclass(frozen=True)
class Holding:
    """One kind of data held of residents. Texts are Chinese sources.

    `key` names its files in the download; `tables` are those whose rows it accounts for; `query` selects a resident's
    rows, without what is secret; `reveal` makes what is encrypted readable for its owner. `lasts` says in words how
    long it is kept: where that is `kept`, it holds ``%(days)s`` and `purge` deletes what is older than a moment.
    `forget` is what closing the account does with it; without, the rows stay under a number that leads to nobody.
    `by_consent`: the code of the switch by which alone it is held; switching that off forgets it, too.
    """

    key: str
    what: str
    why: str
    tables: tuple[str, ...]
    query: Query
    lasts: str
    kept: timedelta | None = None
    purge: Callable[[Connection, datetime], None] | None = None
    forget: Callable[[Connection, UUID], None] | None = None
    by_consent: str = ""
    reveal: Callable[[Settings, dict[str, Any]], dict[str, Any]] = _as_it_is

    def __post_init__(self) -> None:
        """A period without its deletion, or the other way round, is a promise that nobody keeps."""
        if (self.kept is None) != (self.purge is None) or (self.kept is None) == ("%(days)s" in self.lasts):
            raise ValueError(f"holding {self.key}: its period, its words and its deletion do not agree")
        if self.by_consent and self.forget is None:
            raise ValueError(f"holding {self.key}: a consent that is taken back has to delete it")


def table(name: str) -> sa.Table:
    """A table of any room, by its name."""
    return SQLModel.metadata.tables[name]


def own(name: str, column: str = "resident_id", *, hidden: Collection[str] = ()) -> Query:
    """The rows of table `name` whose `column` is the resident, without the columns that are `hidden`."""

    def query(resident_id: UUID) -> sa.Select[Any]:
        rows = table(name)
        shown = [found for found in rows.c if found.name not in {column, *hidden}]
        return sa.select(*shown).where(rows.c[column] == resident_id).order_by(*rows.primary_key)

    return query


def discard(name: str, column: str = "resident_id") -> Callable[[Connection, UUID], None]:
    """Deletes the resident's rows of table `name`."""

    def forget(connection: Connection, resident_id: UUID) -> None:
        rows = table(name)
        connection.execute(sa.delete(rows).where(rows.c[column] == resident_id))

    return forget


def older(name: str, column: str) -> Callable[[Connection, datetime], None]:
    """Deletes the rows of table `name` whose `column` is before a moment; an empty one is not."""

    def purge(connection: Connection, before: datetime) -> None:
        rows = table(name)
        connection.execute(sa.delete(rows).where(rows.c[column] < before))

    return purge
