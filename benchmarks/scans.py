"""Scans on each engine: what is run beside what, and which ratios follow."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.deployments import Deployment, on_postgres, on_sqlite
from benchmarks.report import Finding, Spread, cpu, ratio
from benchmarks.rounds import Hello, Pgbench, Round, Scans, Subject, WithWorker, take_turns
from benchmarks.statements import capture

PARTS = ("scans", "campaign", "fsync", "relay")


@dataclass(frozen=True)
class Plan:
    """What to measure. `slow_disk` is the library that makes fsync take 2 ms, if it could be built."""

    parts: Sequence[str]
    rounds: int
    seconds: float
    connections: int
    slow_disk: Path | None
    say: Callable[[str], None]


@dataclass
class Outcome:
    """What came of one engine."""

    what: str
    subjects: dict[str, list[Round]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sound: bool = True


def measure_postgres(plan: Plan) -> Outcome:
    """gunicorn on PostgreSQL."""
    with on_postgres() as usual, _slow(plan, on_postgres) as slow:
        outcome = Outcome(usual.what)
        scan = capture(usual)
        outcome.notes.append(f"one scan alone sends {len(scan.sent)} statements, BEGIN and COMMIT among them")
        subjects = _subjects(plan, usual, slow)
        if "scans" in plan.parts:
            subjects.append(Pgbench("pgbench", usual, plan.connections, scan))
        if "relay" in plan.parts:
            watched = Scans("", usual, plan.connections, usual.crowd.spread, watch_lag=True)
            subjects.append(WithWorker("scan + worker", watched))
        outcome.subjects = take_turns(subjects, rounds=plan.rounds, seconds=plan.seconds, say=plan.say)
        outcome.findings = list(_postgres_findings(outcome.subjects))
        _check(usual, outcome)
    return outcome


def measure_sqlite(plan: Plan) -> Outcome:
    """`tanpuhui serve` on SQLite: relay and web share the process, so the lag is watched in every scan round."""
    with on_sqlite() as usual, _slow(plan, on_sqlite) as slow:
        outcome = Outcome(usual.what)
        subjects = _subjects(plan, usual, slow, watch_lag="relay" in plan.parts)
        outcome.subjects = take_turns(subjects, rounds=plan.rounds, seconds=plan.seconds, say=plan.say)
        outcome.findings = list(_sqlite_findings(outcome.subjects))
        _check(usual, outcome)
    return outcome


def _slow(
    plan: Plan, deploy: Callable[[Path | None], AbstractContextManager[Deployment]]
) -> AbstractContextManager[Deployment | None]:
    """A second deployment whose fsync takes 2 ms longer, if wanted and possible."""
    return deploy(plan.slow_disk) if "fsync" in plan.parts and plan.slow_disk else nullcontext(None)


def _subjects(
    plan: Plan, usual: Deployment, slow: Deployment | None, *, watch_lag: bool = False
) -> list[Subject]:
    """Hello, scans spread over many sites, and beside them what the plan asks for."""
    at_once, crowd = plan.connections, usual.crowd
    subjects: list[Subject] = [
        Hello("hello", usual, at_once),
        Scans("scan", usual, at_once, crowd.spread, watch_lag=watch_lag),
    ]
    if "campaign" in plan.parts:
        subjects.append(Scans("scan, one campaign", usual, at_once, crowd.campaign))
    if slow:
        subjects.append(Scans("scan, fsync + 2 ms", slow, at_once, slow.crowd.spread))
    return subjects


def _postgres_findings(made: dict[str, list[Round]]) -> Iterator[Finding]:
    scan, hello = made["scan"], made["hello"]
    both = ("web", "database")
    yield Finding("rate of scans / rate of hello", ratio(scan, hello), 1 / 3, 1 / 5)
    yield Finding("CPU per scan, web and PostgreSQL, ms", cpu(scan, both), 0.9, upwards=False, digits=3)
    yield Finding("CPU per hello, web, ms", cpu(hello, ("web",)), digits=3)
    if "pgbench" in made:
        yield Finding("rate of scans / rate of pgbench", ratio(scan, made["pgbench"]), 0.6, 0.3)
        yield Finding(
            "CPU of PostgreSQL per pgbench transaction, ms", cpu(made["pgbench"], ("database",)), digits=3
        )
    yield from _shared_findings(made)
    if "scan + worker" in made:
        yield Finding("rate with the worker running / without", ratio(made["scan + worker"], scan))
        yield _lag_finding(made["scan + worker"])


def _sqlite_findings(made: dict[str, list[Round]]) -> Iterator[Finding]:
    scan, hello = made["scan"], made["hello"]
    yield Finding("rate of scans / rate of hello", ratio(scan, hello), 1 / 6)
    yield Finding(
        "p99 latency of scans, ms", Spread.of(one.p99_ms for one in scan), 100, upwards=False, digits=0
    )
    yield Finding("CPU per scan, web, relay and SQLite, ms", cpu(scan, ("web",)), digits=3)
    yield Finding("CPU per hello, ms", cpu(hello, ("web",)), digits=3)
    yield from _shared_findings(made)
    if any(one.lag_seconds for one in scan):
        yield _lag_finding(scan)


def _shared_findings(made: dict[str, list[Round]]) -> Iterator[Finding]:
    if "scan, one campaign" in made:
        spread = ratio(made["scan, one campaign"], made["scan"])
        yield Finding("rate in one campaign / spread over sites", spread, 0.9)
        yield Finding("the same by CPU (spread / one campaign)", _by_cpu(made))
    if "scan, fsync + 2 ms" in made:
        yield Finding(
            "rate with fsync + 2 ms / without", ratio(made["scan, fsync + 2 ms"], made["scan"]), 0.7
        )


def _by_cpu(made: dict[str, list[Round]]) -> Spread:
    """CPU of the servers for a scan spread over sites / for one in the campaign, round by round."""
    parts = [part for part in made["scan"][0].cpu_ms if part != "client"]
    pairs = zip(made["scan"], made["scan, one campaign"], strict=True)
    return Spread.of(
        sum(apart.cpu_ms[part] for part in parts) / sum(together.cpu_ms[part] for part in parts)
        for apart, together in pairs
    )


def _lag_finding(rounds: Sequence[Round]) -> Finding:
    """The p99 of the lag samples of each round."""
    tops = [statistics.quantiles(one.lag_seconds, n=100)[98] for one in rounds if len(one.lag_seconds) > 1]
    return Finding("relay lag under load, p99, s", Spread.of(tops), 1.0, upwards=False)


def _check(deployment: Deployment, outcome: Outcome) -> None:
    """Whether what the load left behind is whole."""
    deployment.house.relay.drain()
    for arguments in (("verify",), ("rebuild", "--check")):
        done = deployment.command(*arguments)
        name = f"tanpuhui {' '.join(arguments)}"
        outcome.notes.append(f"{name}: {'clean' if done.returncode == 0 else 'BREACHES'}")
        if done.returncode:
            outcome.sound = False
            outcome.notes.append(f"{done.stdout[-2000:]}{done.stderr[-2000:]}")
