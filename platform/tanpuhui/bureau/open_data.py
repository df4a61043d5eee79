"""Open data: what everybody may take away of the platform, each dataset with its dictionary, licence and time.

A room declares its datasets; here they are found, and kept as files for some minutes, so that many who ask read the database once.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy.engine import Connection

from tanpuhui import clock
from tanpuhui.bureau.sheets import Row, Table, csv_of, json_of, xlsx_of
from tanpuhui.errors import NotFound

if TYPE_CHECKING:
    from tanpuhui.rooms import House

FORMS = ("csv", "json", "zh.xlsx", "en.xlsx")

#: For so long a file is handed out as it was made.
KEPT = timedelta(minutes=5)


@dataclass(frozen=True)
class Dataset:
    """A table for everybody. `about` says what it is, `rhythm` when it changes; both are marked for translation."""

    table: Table
    about: str
    rhythm: str
    rows: Callable[["House", Connection, datetime], Iterable[Row]]

    @property
    def key(self) -> str:
        """Its name in addresses."""
        return self.table.key


def datasets(house: "House") -> Sequence[Dataset]:
    """Every dataset, the floor's first."""
    return [dataset for room in house.rooms for dataset in room.datasets]


def dataset(house: "House", key: str) -> Dataset:
    """The dataset `key`. Raises NotFound."""
    for one in datasets(house):
        if one.key == key:
            return one
    raise NotFound


@dataclass(frozen=True)
class File:
    """A dataset as a file, and the moment that it was read at."""

    body: bytes
    read_at: datetime


class Files:
    """The files of a process that were made in the last minutes."""

    def __init__(self, house: "House") -> None:
        self._house = house
        self._lock = threading.Lock()
        self._made: dict[tuple[str, str], File] = {}

    def of(self, key: str, form: str) -> File:
        """The dataset `key` in a form of `FORMS`. Raises NotFound."""
        found = dataset(self._house, key)
        if form not in FORMS:
            raise NotFound
        with self._lock:  # whoever asks meanwhile waits for the file instead of making it too
            made = self._made.get((key, form))
            if made is None or not timedelta() <= clock.now() - made.read_at < KEPT:
                made = self._made[key, form] = self._make(found, form)
        return made

    def _make(self, found: Dataset, form: str) -> File:
        now = clock.now()
        with self._house.db.snapshot() as connection:
            rows = list(found.rows(self._house, connection, now))
        return File(_written(self._house, found.table, rows, form, now), now)


def _written(house: "House", table: Table, rows: Sequence[Row], form: str, now: datetime) -> bytes:
    match form:
        case "csv":
            return b"".join(csv_of(table, rows))
        case "json":
            return b"".join(json_of(table, rows, {**licence(house), "read_at": now.isoformat()}))
        case _:
            return xlsx_of(table, rows, form.partition(".")[0])


def licence(house: "House") -> dict[str, str]:
    """Under what everybody may use the data."""
    settings = house.settings
    return {"licence": settings.open_data_licence, "licence_url": settings.open_data_licence_url}
