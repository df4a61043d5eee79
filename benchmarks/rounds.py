"""Rounds: what is compared takes turns, so that whatever else the machine does falls on all of it alike."""

import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from benchmarks.crowd import hello_request
from benchmarks.deployments import ROOT, Deployment
from benchmarks.machine import cores, cpu_of_everything, cpu_of_tree
from benchmarks.statements import STRIDE, CapturedScan, run_pgbench
from tanpuhui import outbox


@dataclass
class Round:
    """One round of one subject. Rates per second, latencies and CPU per request in milliseconds.

    `others` is the share of the machine that processes outside this benchmark took meanwhile; `failed` counts
    the answers that were not the wanted one; `lag_seconds` are samples of the relay's lag.
    """

    rate: float
    done: int
    p50_ms: float
    p99_ms: float
    cpu_ms: dict[str, float]
    others: float = 0.0
    failed: dict[str, int] = field(default_factory=dict)
    lag_seconds: list[float] = field(default_factory=list)


class Subject(Protocol):
    """Something that can be run for some seconds."""

    name: str

    def run(self, seconds: float) -> Round:
        """One round."""


#: Scans a second on each core to be ready for before any round was seen, and the room above what was seen.
_FIRST_GUESS, _ROOM = 1500, 1.5


def _residents_for(seconds: float, last_rate: float | None) -> int:
    """How many residents a round of `seconds` may need."""
    return int(seconds * (last_rate * _ROOM if last_rate else _FIRST_GUESS * cores())) + 200


@contextmanager
def _spent(deployment: Deployment) -> Iterator[dict[str, float]]:
    """CPU seconds that each part of the deployment spends in the block, and "others": their share of all."""
    spent: dict[str, float] = {}
    everything, start = cpu_of_everything(), time.monotonic()
    ours = cpu_of_tree(os.getpid())
    before = {part: clock() for part, clock in deployment.cpu.items()}
    yield spent
    spent |= {part: clock() - before[part] for part, clock in deployment.cpu.items()}
    ours = cpu_of_tree(os.getpid()) - ours + spent.get("database", 0.0)
    busy = cpu_of_everything() - everything
    spent["others"] = max(0.0, busy - ours) / (cores() * (time.monotonic() - start))


@dataclass
class Hello:
    """A request that needs no database, sent over and over."""

    name: str
    deployment: Deployment
    connections: int

    def run(self, seconds: float) -> Round:
        """One round of load from a client process."""
        return _drive(self.deployment, [hello_request()], self.connections, seconds, again=True)


@dataclass
class Scans:
    """Scans, each of a resident who has not scanned yet, with a key of its own."""

    name: str
    deployment: Deployment
    connections: int
    codes: Sequence[str]
    watch_lag: bool = False
    last_rate: float | None = None

    def run(self, seconds: float) -> Round:
        """One round of load from a client process."""
        crowd = self.deployment.crowd
        requests = crowd.scans(_residents_for(seconds, self.last_rate), self.codes)
        self.deployment.settle()
        with _lag(self.deployment, watch=self.watch_lag) as lag:
            made = _drive(self.deployment, requests, self.connections, seconds)
        crowd.give_back(made.done + made.failed.get("unanswered", 0))
        made.lag_seconds = lag
        self.last_rate = made.rate
        return made


def _drive(
    deployment: Deployment,
    requests: Sequence[bytes],
    connections: int,
    seconds: float,
    *,
    again: bool = False,
) -> Round:
    with tempfile.NamedTemporaryFile(prefix="requests-") as file:
        file.write(b"\0".join(requests))
        file.flush()
        command = [sys.executable, "-m", "benchmarks.client", str(deployment.port), file.name]
        command += ["--connections", str(connections), "--seconds", str(seconds)]
        command += ["--again"] if again else []
        with _spent(deployment) as spent:
            said = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    seen: dict[str, Any] = json.loads(said.stdout)
    wanted = "200" if again else "201"
    failed = {status: count for status, count in seen["statuses"].items() if status != wanted}
    if seen["unanswered"]:
        failed["unanswered"] = seen["unanswered"]
    others = spent.pop("others")
    spent["client"] = seen["cpu_seconds"]
    return Round(
        rate=seen["in_time"] / seen["seconds"],
        done=seen["answered"],
        p50_ms=seen["p50_ms"],
        p99_ms=seen["p99_ms"],
        cpu_ms=_each(spent, seen["answered"]),
        others=others,
        failed=failed,
    )


def _each(spent: Mapping[str, float], count: int) -> dict[str, float]:
    return {part: 1000 * seconds / max(1, count) for part, seconds in spent.items()}


@contextmanager
def _lag(deployment: Deployment, *, watch: bool) -> Iterator[list[float]]:
    """Samples of the relay's lag in seconds, every 100 ms while the block runs; none unless `watch`."""
    samples: list[float] = []
    if not watch:
        yield samples
        return
    over = threading.Event()

    def take_samples() -> None:
        while not over.wait(0.1):
            with deployment.house.db.reading() as connection:
                samples.append(outbox.lag_seconds(connection, deployment.house.later))

    watcher = threading.Thread(target=take_samples)
    watcher.start()
    try:
        yield samples
    finally:
        over.set()
        watcher.join()


@dataclass
class Pgbench:
    """The statements of one scan, sent by pgbench to the same database."""

    name: str
    deployment: Deployment
    connections: int
    scan: CapturedScan
    last_rate: float | None = None

    def run(self, seconds: float) -> Round:
        """One round of pgbench, in whole seconds."""
        script = self.deployment.folder / "scan.sql"
        script.write_text(self.scan.script())
        seconds = max(1, round(seconds))
        count = 2 * _residents_for(seconds, self.last_rate)  # its clients do not all come equally often
        count += count % STRIDE == 0
        first = self.deployment.crowd.gather_numbered(count)
        self.deployment.settle()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with _spent(self.deployment) as spent:
            seen = run_pgbench(
                self.deployment, script, first=first, size=count, clients=self.connections, seconds=seconds
            )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        others, _ = spent.pop("others"), spent.pop("web")
        spent["client"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        self.last_rate = seen.rate
        return Round(seen.rate, seen.done, seen.latency_ms, float("nan"), _each(spent, seen.done), others)


@dataclass
class WithWorker:
    """Scans while `tanpuhui worker` relays them, started anew for the round, and the relay's lag meanwhile."""

    name: str
    scans: Scans

    def run(self, seconds: float) -> Round:
        """One round, once the worker leads and what earlier rounds left is delivered."""
        deployment = self.scans.deployment
        deployment.house.relay.drain()
        with deployment.worker() as clock:
            deployment.cpu["worker"] = clock
            try:
                return self.scans.run(seconds)
            finally:
                del deployment.cpu["worker"]


def take_turns(
    subjects: Sequence[Subject], *, rounds: int, seconds: float, say: Callable[[str], None]
) -> dict[str, list[Round]]:
    """A warm-up of every subject, then `rounds` rounds of each; the rounds by subject.

    Each round begins with another subject, so that none always follows the same one.
    """
    made: dict[str, list[Round]] = {subject.name: [] for subject in subjects}
    for number in range(rounds + 1):
        say(f"round {number} of {rounds}" if number else "warm-up")
        at = number % len(subjects)
        for subject in (*subjects[at:], *subjects[:at]):
            done = subject.run(seconds)
            if number:
                made[subject.name].append(done)
    return made
