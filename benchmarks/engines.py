"""What a benchmark is measured on: SQLite in this process, and PostgreSQL where its programs are; houses that are new each time."""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import machine
from tanpuhui import schema
from tanpuhui.reference import load_reference
from tanpuhui.rooms import House, build_house
from tests.databases import Postgres, postgres_programs, settings_for

ENGINES = ("sqlite", "postgres")


@dataclass(frozen=True)
class Engine:
    """An engine by its `name`, with a `folder` for files. `create` makes a database and tells its address; `cpu` counts the seconds of this
    process and the database."""

    name: str
    folder: Path
    create: Callable[[str], str]
    cpu: Callable[[], float]

    @contextmanager
    def house(self, database: str = "bench") -> Iterator[House]:
        """A house of its own, migrated and with its reference data."""
        house = build_house(settings_for(self.create(database), self.folder))
        try:
            schema.migrate(house)
            load_reference(house)
            yield house
        finally:
            house.db.dispose()


def arguments(part: str, about: str | None) -> argparse.ArgumentParser:
    """What every benchmark that runs on both engines may be told."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{part}", description=about)
    parser.add_argument("--engine", choices=ENGINES, action="append", help="default: both")
    return parser


def each(chosen: Sequence[str] | None, part: str) -> Iterator[Engine]:
    """The engines that were chosen (all, if none), one after the other; what is missing on this machine is said."""
    print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in machine.description().items()))
    with tempfile.TemporaryDirectory(prefix=f"tanpuhui-{part}-") as name:
        folder = Path(name)
        for engine in chosen or ENGINES:
            if engine == "sqlite":
                yield Engine(
                    engine,
                    folder,
                    lambda database: f"sqlite:///{folder / database}.sqlite3",
                    time.process_time,
                )
            elif postgres_programs() is None:
                print("PostgreSQL's programs are not on this machine: left out")
            else:
                server = Postgres(fsync=True)
                try:
                    yield Engine(engine, folder, server.create, _cpu_with(server))
                finally:
                    server.destroy()


def _cpu_with(server: Postgres) -> Callable[[], float]:
    postmaster = int(Path(server.data, "postmaster.pid").read_text().split("\n", 1)[0])
    return lambda: time.process_time() + machine.cpu_of_tree(postmaster)
