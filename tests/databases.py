"""Databases for tests: SQLite files, and a PostgreSQL of our own (never a server that was there before).

Each engine is migrated once and loaded once; every test then gets a fresh copy. All of them lie in memory where there
is room for it, so that no test waits for a disk at every commit.
"""

import contextlib
import os
import pwd
import random
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.util import LRUCache

from tanpuhui import schema
from tanpuhui.config import Settings
from tanpuhui.reference import load_reference
from tanpuhui.rooms import House, build_house

_ROOM = 2 * 2**30  # bytes; a run needs about half of it
_MEMORY = Path("/dev/shm")

#: Where everything lies that is gone after a run.
SCRATCH = _MEMORY if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOM else Path("/tmp")

_CHANCE = random.SystemRandom()  # the other one is seeded alike in every process

KEY = "a-key-for-tests-that-is-long-enough-0123456789"


def settings_for(url: str, var: Path, **more: object) -> Settings:
    """Settings of a test deployment on `url`."""
    return Settings(env="test", var=var, database_url=url, secret_key=KEY, **more)


def postgres_programs() -> Path | None:
    """The folder with initdb and postgres, if this machine has one."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return folders[-1] if folders else None


def free_port() -> int:
    """A port that is free right now, below those that callers are given: none takes it while its server is down."""
    while True:
        port = _CHANCE.randrange(15_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Postgres:
    """A PostgreSQL server in a folder of its own, run as a user other than root."""

    def __init__(self, *, fsync: bool = False, environment: dict[str, str] | None = None) -> None:
        programs = postgres_programs()
        assert programs is not None
        self.programs = programs
        self.fsync = fsync
        self.environment = environment or {}
        place = "/tmp" if fsync else SCRATCH  # a short name, because its socket is in it
        self.folder = Path(tempfile.mkdtemp(prefix="tanpuhui-pg-", dir=place))
        self.port = free_port()
        if os.getuid() == 0:
            shutil.chown(self.folder, "postgres")
        self._run("initdb", "-D", self.data, "-A", "trust", "-U", "tanpuhui", "-E", "UTF8", "--locale=C")
        self.start()

    @property
    def data(self) -> str:
        return str(self.folder / "data")

    @cached_property
    def version(self) -> int:
        """The major version of the server."""
        return int(Path(self.data, "PG_VERSION").read_text())

    def start(self) -> None:
        durable = "" if self.fsync else "-c fsync=off -c synchronous_commit=off -c full_page_writes=off "
        options = (
            f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 {durable}"
            "-c max_connections=200 -c shared_buffers=256MB"
        )
        log = str(self.folder / "log")
        self._run("pg_ctl", "-D", self.data, "-w", "-t", "60", "-o", options, "-l", log, "start")

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "-D", self.data, "-w", "-m", mode, "stop", check=False)

    def destroy(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://tanpuhui@127.0.0.1:{self.port}/{database}"

    def create(self, database: str, template: str = "template1") -> str:
        """A database, as a copy of `template`; its address."""
        how = " STRATEGY file_copy" if self.version >= 15 else ""  # the quicker way where there is a choice
        self._admin(f'CREATE DATABASE "{database}" TEMPLATE "{template}"{how}')
        return self.url(database)

    def drop(self, database: str) -> None:
        self._admin(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    def _admin(self, statement: str) -> None:
        engine = sa.create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as connection:
            connection.execute(sa.text(statement))
        engine.dispose()

    def _run(self, program: str, *arguments: str, check: bool = True) -> None:
        command = [str(self.programs / program), *arguments]
        extra: dict[str, object] = {}
        if os.getuid() == 0:
            user = pwd.getpwnam("postgres")
            extra = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        subprocess.run(
            command,
            check=check,
            cwd=self.folder,
            env={**os.environ, **self.environment, "HOME": str(self.folder)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            timeout=120,
            **extra,  # type: ignore[call-overload]
        )


class Shelf:
    """Fresh databases of one engine, copied from a migrated and a loaded template."""

    def __init__(self, folder: Path, postgres: Postgres | None) -> None:
        self.folder, self.postgres = folder, postgres
        self._made: set[str] = set()
        self._compiled: tuple[sa.Dialect, LRUCache[Any, Any]] | None = None

    def house(self, url: str, var: Path) -> House:
        """A house on a database of this shelf. All of them share the statements that were compiled for one."""
        house = build_house(settings_for(url, var))
        if self._compiled:
            house.db.engine.pool._dialect = self._compiled[0]
            for engine in (house.db.engine, house.db.reader, house.db._snapshots):
                engine.dialect, engine._compiled_cache = self._compiled
        return house

    @contextlib.contextmanager
    def database(self, *, loaded: bool) -> Iterator[str]:
        """The address of a fresh database, gone afterwards."""
        template = self._template(loaded=loaded)
        name = f"t{uuid.uuid4().hex[:12]}"
        if self.postgres:
            yield self.postgres.create(name, template)
            self.postgres.drop(name)
        else:
            file = self.folder / f"{name}.sqlite3"
            shutil.copy(self.folder / f"{template}.sqlite3", file)
            yield f"sqlite:///{file}"
            for leftover in self.folder.glob(f"{name}.*"):
                leftover.unlink()

    def empty(self) -> str:
        """The address of a database without a schema; the caller's to keep."""
        name = f"e{uuid.uuid4().hex[:12]}"
        return self.postgres.create(name) if self.postgres else f"sqlite:///{self.folder / name}.sqlite3"

    def _template(self, *, loaded: bool) -> str:
        name = "loaded" if loaded else "migrated"
        if name not in self._made:
            url = self.postgres.create(name) if self.postgres else f"sqlite:///{self.folder}/{name}.sqlite3"
            house = build_house(settings_for(url, self.folder))
            schema.migrate(house)
            if loaded:
                load_reference(house)
            house.db.dispose()
            self._made.add(name)
            self._compiled = self._compiled or (house.db.engine.dialect, LRUCache(10_000))
        return name
