"""What is measured: the app as it is deployed, on PostgreSQL behind gunicorn and embedded on SQLite."""

import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.crowd import Crowd
from benchmarks.machine import cpu_of_tree
from tanpuhui import clock, schema
from tanpuhui.reference import load_reference
from tanpuhui.rooms import House, build_house
from tanpuhui.worker import Lease
from tests.databases import KEY, Postgres, free_port, settings_for

ROOT = Path(__file__).resolve().parent.parent
WEB_PROCESSES, WEB_THREADS = 2, 16


@dataclass
class Deployment:
    """A running platform with a crowd in it. `cpu` tells for each part how many CPU seconds it has used."""

    house: House
    environment: dict[str, str]
    folder: Path
    port: int
    what: str
    crowd: Crowd
    cpu: dict[str, Callable[[], float]] = field(default_factory=dict)
    server: Postgres | None = None

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `tanpuhui` on this deployment."""
        command = [sys.executable, "-m", "tanpuhui.cli", *arguments]
        return subprocess.run(
            command, env=self.environment, cwd=self.folder, capture_output=True, text=True, check=False
        )

    def settle(self) -> None:
        """Do the housekeeping that writing the residents has left, so that it does not fall into a round."""
        housekeeping = (
            ("VACUUM (ANALYZE)", "CHECKPOINT") if self.server else ("PRAGMA wal_checkpoint(TRUNCATE)",)
        )
        with self.house.db.engine.connect() as connection:
            raw = connection.connection.driver_connection
            assert raw is not None
            if self.server:
                raw.autocommit = True
            for statement in housekeeping:
                raw.execute(statement)
            connection.invalidate()

    @contextmanager
    def worker(self) -> Iterator[Callable[[], float]]:
        """`tanpuhui worker` beside the web processes, once it leads; yields its CPU clock."""
        with _running(self, "-m", "tanpuhui.cli", "worker") as process:
            end = time.monotonic() + 60
            while not self._led():
                if time.monotonic() > end or process.poll() is not None:
                    raise RuntimeError("the worker did not start:\n" + self.said())
                time.sleep(0.05)
            yield lambda: cpu_of_tree(process.pid)

    def _led(self) -> bool:
        """Whether some worker holds the lease."""
        with self.house.db.reading_session() as session:
            lease = session.get(Lease, "worker")
            return lease is not None and lease.expires_at > clock.now()

    def said(self) -> str:
        """The end of what the processes wrote."""
        return (self.folder / "output.txt").read_text()[-3000:]


@contextmanager
def _running(
    deployment: Deployment, *arguments: str, preload: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process of the deployment, ended with SIGTERM; what it says goes to a file."""
    environment = deployment.environment | ({"LD_PRELOAD": str(preload)} if preload else {})
    with (deployment.folder / "output.txt").open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments], env=environment, cwd=ROOT, stdout=output, stderr=output
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_served(deployment: Deployment, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{deployment.port}/healthz", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the server did not start:\n" + deployment.said())


@contextmanager
def _prepared(url: str, folder: Path, what: str) -> Iterator[Deployment]:
    """A house on `url`, migrated and loaded, with its places; nothing serves it yet."""
    house = build_house(settings_for(url, folder))
    try:
        schema.migrate(house)
        load_reference(house)
        environment = {
            **os.environ,
            "TANPUHUI_ENV": "test",
            "TANPUHUI_VAR": str(folder),
            "TANPUHUI_DATABASE_URL": url,
            "TANPUHUI_SECRET_KEY": KEY,
        }
        yield Deployment(house, environment, folder, free_port(), what, Crowd(house))
    finally:
        house.db.dispose()


@contextmanager
def on_postgres(slow_disk: Path | None = None) -> Iterator[Deployment]:
    """`gunicorn wsgi:app` on a PostgreSQL of our own, with fsync on; `slow_disk` is preloaded into PostgreSQL."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tanpuhui-bench-")))
        server = Postgres(fsync=True, environment={"LD_PRELOAD": str(slow_disk)} if slow_disk else {})
        stack.callback(server.destroy)
        what = (
            f"gunicorn wsgi:app, {WEB_PROCESSES} workers (gthread, {WEB_THREADS} threads), {_version(server)}"
        )
        deployment = stack.enter_context(_prepared(server.create("bench"), folder, what))
        deployment.server = server
        options = f"-w {WEB_PROCESSES} -k gthread --threads {WEB_THREADS} --keep-alive 75 --no-control-socket"
        bind = f"127.0.0.1:{deployment.port}"
        web = stack.enter_context(
            _running(deployment, "-m", "gunicorn", *options.split(), "-b", bind, "wsgi:app")
        )
        _wait_until_served(deployment, web)
        postmaster = int((Path(server.data) / "postmaster.pid").read_text().split("\n", 1)[0])
        deployment.cpu = {
            "web": lambda: cpu_of_tree(web.pid),
            "database": lambda: cpu_of_tree(postmaster),
        }
        yield deployment


@contextmanager
def on_sqlite(slow_disk: Path | None = None) -> Iterator[Deployment]:
    """`tanpuhui serve`: web, relay and database in one process; `slow_disk` is preloaded into it."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tanpuhui-bench-")))
        url = f"sqlite:///{folder / 'tanpuhui.sqlite3'}"
        deployment = stack.enter_context(_prepared(url, folder, "tanpuhui serve, SQLite"))
        serve = ("-m", "tanpuhui.cli", "serve", "--port", str(deployment.port))
        process = stack.enter_context(_running(deployment, *serve, preload=slow_disk))
        _wait_until_served(deployment, process)
        deployment.cpu = {"web": lambda: cpu_of_tree(process.pid)}
        yield deployment


def _version(server: Postgres) -> str:
    said = subprocess.run(
        [server.programs / "postgres", "--version"], capture_output=True, text=True, check=True
    )
    found = re.search(r"(\d+(?:\.\d+)?)", said.stdout)
    return f"PostgreSQL {found[1] if found else '?'} (fsync on)"
