"""The real processes of a deployment: started, killed by their id, and asked.

SQLite is one process (`tanpuhui serve`); PostgreSQL is gunicorn with two web processes, and `tanpuhui worker`
beside it. Every process leads a group of its own, so that a kill reaches exactly what was started here.
"""

import contextlib
import http.client
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa

from tests.databases import KEY, free_port

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent
PATIENCE = 40.0


class Process:
    """One program in a process group of its own; what it prints goes to a file."""

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str], name: str) -> None:
        self.log = folder / f"{name}-{time.monotonic_ns()}.log"
        with self.log.open("wb") as out:
            self._popen = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = self._popen.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._popen.poll() is None

    def children(self) -> list[int]:
        """The ids of the processes it started itself."""
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def kill(self) -> None:
        """kill -9 of the whole group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()

    def terminate(self, timeout: float = 20.0) -> tuple[int, float]:
        """SIGTERM; the exit code and the seconds it took. Raises TimeoutExpired."""
        started = time.monotonic()
        self._popen.send_signal(signal.SIGTERM)
        return self._popen.wait(timeout), time.monotonic() - started


class Deployment:
    """A deployment on `url`. `build` names one of `wrong_builds` to serve instead of the product.

    `keep_alive`: seconds for which gunicorn holds an idle connection, as docs/operations.md says.
    """

    def __init__(self, url: str, folder: Path, *, build: str = "", keep_alive: int = 75) -> None:
        self.url, self.folder, self.build, self.keep_alive = url, folder, build, keep_alive
        self.is_sqlite = url.startswith("sqlite")
        self.port = free_port()
        self.web: Process | None = None
        self.workers: list[Process] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for process in self._processes():
            process.kill()

    @property
    def environment(self) -> dict[str, str]:
        """What every process of the deployment is told."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TANPUHUI_")}
        return kept | {
            "TANPUHUI_ENV": "test",
            "TANPUHUI_DATABASE_URL": self.url,
            "TANPUHUI_SECRET_KEY": KEY,
            "TANPUHUI_VAR": str(self.folder / "var"),
            "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
            "PYTHONUNBUFFERED": "1",
        }

    def start(self) -> None:
        """Start what is not running, and wait until it serves."""
        if not self.is_sqlite and not any(worker.running for worker in self.workers):
            self.add_worker()
        if self.web is None or not self.web.running:
            self.start_web()
        self.wait_ready()

    def start_web(self) -> None:
        """Start the web, without waiting for it."""
        if self.is_sqlite:
            wrong = [sys.executable, "-m", "tests.faults.wrong_builds", self.build]
            command = [
                *(wrong if self.build else [str(PROGRAMS / "tanpuhui")]),
                "serve",
                "--port",
                str(self.port),
            ]
        else:
            app = f"tests.faults.wrong_builds:app('{self.build}')" if self.build else "wsgi:app"
            command = [str(PROGRAMS / "gunicorn"), app, "-w", "2", "-k", "gthread", "--threads", "16"]
            command += ["-b", f"127.0.0.1:{self.port}", "--keep-alive", str(self.keep_alive)]
            command += ["--no-control-socket", "--log-level", "warning"]
        self.web = Process(command, self.folder, self.environment, "web")

    def add_worker(self) -> Process:
        """Start one more `tanpuhui worker`."""
        worker = Process([str(PROGRAMS / "tanpuhui"), "worker"], self.folder, self.environment, "worker")
        self.workers.append(worker)
        return worker

    def wait_ready(self) -> None:
        """Wait until the web answers."""
        assert self.web is not None
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            assert self.web.running, f"the web ended:\n{self.web.log.read_text()[-4000:]}"
            try:
                if get(self.port, "/healthz")[0] == 200:
                    return
            except (OSError, http.client.HTTPException):
                time.sleep(0.05)
        raise AssertionError(f"the web does not answer:\n{self.web.log.read_text()[-4000:]}")

    def readiness(self) -> dict[str, Any]:
        """The checks of `/readyz`."""
        checks: dict[str, Any] = json.loads(get(self.port, "/readyz")[1])["checks"]
        return checks

    def wait_drained(self, timeout: float = PATIENCE) -> float:
        """Wait until the relay has brought every event; the seconds it took."""
        started = time.monotonic()
        while time.monotonic() < started + timeout:
            checks = self.readiness()
            if checks.get("relay_lag_seconds") == 0:
                return time.monotonic() - started
            time.sleep(0.1)
        raise AssertionError(f"the relay lags: {checks}")

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a `tanpuhui` command of this deployment."""
        return subprocess.run(
            [str(PROGRAMS / "tanpuhui"), *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def audit(self) -> list[str]:
        """What `verify`, `rebuild --check` and SQLite's own check find, once the relay has caught up."""
        self.wait_drained()
        found = []
        for arguments in (("verify",), ("rebuild", "--check")):
            done = self.command(*arguments)
            if done.returncode:
                found.append(f"{' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}"[-3000:])
        if self.is_sqlite and (said := integrity(self.url)) != "ok":
            found.append(f"integrity_check: {said}")
        return found

    def unexpected(self) -> list[str]:
        """Lines of the logs that tell of an error nobody foresaw."""
        words = ("unexpected_error", "Traceback", "unhandled")
        lines = [line for process in self._processes() for line in process.log.read_text().splitlines()]
        return [line for line in lines if any(word in line for word in words)]

    def _processes(self) -> list[Process]:
        return [process for process in (self.web, *self.workers) if process]


def get(port: int, path: str) -> tuple[int, bytes]:
    """Status and body of a GET. Raises OSError, HTTPException."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def integrity(url: str) -> str:
    """What SQLite says of its own file."""
    connection = sqlite3.connect(str(sa.make_url(url).database))
    try:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])
    finally:
        connection.close()
