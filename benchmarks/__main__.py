"""`python -m benchmarks [PART ...] [--engine postgres|sqlite] [--rounds N] [--seconds S] [--connections N]`."""

import argparse
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import machine, report
from benchmarks.scans import PARTS, Outcome, Plan, measure_postgres, measure_sqlite
from tests.databases import postgres_programs

ENGINES = {"postgres": measure_postgres, "sqlite": measure_sqlite}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=report.__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; default: all")
    parser.add_argument("--engine", choices=ENGINES, action="append", help="default: both")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a round")
    parser.add_argument("--connections", type=int, default=32)
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))} (there are {', '.join(PARTS)})")
    return chosen


def _show(outcome: Outcome) -> None:
    print(f"\n{outcome.what}")
    print("\n".join(report.table(outcome.subjects)))
    print()
    for finding in outcome.findings:
        print(finding.line())
    for note in outcome.notes:
        print(f"  {note}")


def main() -> int:
    """Measure, print, keep; 1 if the load left anything unsound behind or a request failed."""
    chosen = _arguments()
    about = machine.description()
    print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in about.items()))
    print(
        f"{chosen.connections} connections; after a warm-up {chosen.rounds} rounds of {chosen.seconds:g} s of each "
        "subject in turn; median (lowest..highest)"
    )
    outcomes: dict[str, Outcome] = {}
    with tempfile.TemporaryDirectory(prefix="tanpuhui-disk-") as folder:
        Path(folder).chmod(0o755)
        slow_disk = machine.build_slow_disk(Path(folder))
        parts = chosen.parts or PARTS
        if "fsync" in parts and slow_disk is None:
            print("gcc is not on this machine: the rounds with a slow fsync are left out")
        for engine in chosen.engine or ENGINES:
            if engine == "postgres" and postgres_programs() is None:
                print("PostgreSQL's programs are not on this machine: left out")
                continue
            plan = Plan(
                parts,
                chosen.rounds,
                chosen.seconds,
                chosen.connections,
                slow_disk,
                _progress,
            )
            outcomes[engine] = ENGINES[engine](plan)
            _show(outcomes[engine])
    name = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    content = {"machine": about, "arguments": vars(chosen), **outcomes}
    print(f"\nEvery round is in {report.keep(name, content)}")
    return 0 if all(_sound(outcome) for outcome in outcomes.values()) else 1


def _sound(outcome: Outcome) -> bool:
    failed = any(one.failed for rounds in outcome.subjects.values() for one in rounds)
    return outcome.sound and not failed


def _progress(line: str) -> None:
    print(f"  {line} ...", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
