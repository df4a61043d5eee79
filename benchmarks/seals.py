"""`python -m benchmarks.seals [N]`: how long the seal of a day of N (a million) transfers takes, and its largest batch; and proofs of one's own.

A house of its own on a SQLite file and, where its programs are, on PostgreSQL. The transfers are of the day before, so that the
last batch closes the day. One resident has 5,000 of them, whose statement with proofs is made and checked in the end.
"""

import resource
import sys
import time
from collections.abc import Callable
from datetime import timedelta

from benchmarks import engines, report
from benchmarks.crowd import numbered_id
from rewards import ledger, sealed, sealing, verify_ledger
from rewards.ledger import ACTIONS_PROGRAMME, Posting, account_of
from rewards.lots import NEVER
from tanpuhui import clock, ids
from tanpuhui.rooms import House

TRANSFERS, OWN, RESIDENTS = 1_000_000, 5_000, 200_000
_ONE = numbered_id(0)


def _fill(house: House, transfers: int) -> None:
    """The transfers of a day, as scans post them, 2,000 a transaction."""
    recorded_at = clock.now() - timedelta(days=1)
    every = max(transfers // OWN, 1)
    for start in range(0, transfers, 2000):
        postings = [
            Posting(
                f"action:{ids.new_id()}",
                ACTIONS_PROGRAMME,
                account_of(_ONE if number % every == 0 else numbered_id(1 + number % RESIDENTS)),
                10,
                recorded_at,
                NEVER,
            )
            for number in range(start, min(start + 2000, transfers))
        ]
        with house.db.transaction() as connection:
            ledger.credit(connection, postings, [])


def measure(house: House, transfers: int, cpu: Callable[[], float]) -> dict[str, float]:
    """Seconds, and megabytes more than before."""
    _fill(house, transfers)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began, spent, batches, more = time.perf_counter(), cpu(), [], True
    while more:
        at = time.perf_counter()
        more = house.db.run(lambda connection: sealing.seal_batch(connection, clock.now()))
        batches.append(time.perf_counter() - at)
    found = {
        "seconds": time.perf_counter() - began,
        "cpu_seconds": cpu() - spent,
        "longest_batch": max(batches),
        "megabytes": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024,
    }
    began = time.perf_counter()
    lines = "".join(sealed.own(house.db, _ONE)).splitlines()
    found["proofs"] = time.perf_counter() - began
    with house.db.reading() as connection:
        roots = verify_ledger.roots_in(sealed.roots_text(sealed.roots(connection)).splitlines())
    print("  " + verify_ledger.check_statement(lines, roots))
    return found


def _show(engine: str, transfers: int, found: dict[str, float]) -> None:
    print(
        f"{engine}: {transfers:,} transfers sealed in {found['seconds']:.1f} s ({found['cpu_seconds']:.1f} s of CPU), "
        f"longest batch {found['longest_batch']:.2f} s, {found['megabytes']:.0f} MB; proofs of one's own in {found['proofs']:.2f} s"
    )


def main() -> None:
    """Measure, print, keep."""
    transfers = int(sys.argv[1]) if len(sys.argv) > 1 else TRANSFERS
    outcomes = {}
    for engine in engines.each(None, "seals"):
        with engine.house() as house:
            outcomes[engine.name] = measure(house, transfers, engine.cpu)
        _show(engine.name, transfers, outcomes[engine.name])
    report.keep("seals", outcomes)


if __name__ == "__main__":
    main()
