"""`python -m benchmarks.hand_over [RECORDS] [--engine sqlite|postgres]`: the hand-over file of a declaration of a million records.

A house of its own on a SQLite file and, where its programs are, on PostgreSQL. The records are of a month and one kind; they are written
as scans write them, then reported. The file is made as the background makes it, taken as a browser takes it, and checked by the script
that the city runs. Memory is the highest that the process had, less what it had before, with a tenth of the records and with all.
"""

import gc
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from activities import declaration_files, declaring, verify_hand_over
from activities.declarations import Declaration
from activities.quantify.factors import FactorVersion
from activities.verify_hand_over import computed
from benchmarks import engines, report
from benchmarks.crowd import KIND, Crowd
from tanpuhui.db import Statement
from tanpuhui.rooms import House
from tests.world import World

RECORDS, SITES = 1_000_000, 50
METHODOLOGY = "catering_savings"
FIRST = date(2026, 9, 1)
DAYS, A_DAY = 30, 5


_NUMBERS = "WITH RECURSIVE n(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n + 1 < :records)"
_OURS = (
    "kind, ordinal, quantity_milli, evidence, code_id, division_code, factor_version, city_credited, "
    "co2e_mg, co2e_mid_mg, co2e_high_mg"
)

#: The records of a month, as scans write them: ids that grow, residents and sites that do not.
_RECORDS = Statement(
    "INSERT INTO action (id, resident_id, site_id, day, occurred_at, recorded_at, " + _OURS + ") "
    "{pg:" + _NUMBERS + "} SELECT "
    "{sqlite:printf('%08x000070008000%012x', :start + n, n)}"
    "{pg:CAST(lpad(to_hex(:start + n), 8, '0') || '000070008000' || lpad(to_hex(n), 12, '0') AS uuid)}, "
    "{sqlite:'01970000000070008000' || (:people + n / :deeds)}"
    "{pg:CAST('01970000000070008000' || (:people + n / :deeds) AS uuid)}, q.id, "
    "{sqlite:date(:first, '+' || (n % 30) || ' days')}{pg:CAST(:first AS date) + CAST(n % 30 AS int)}, "
    "{sqlite:date(:first, '+' || (n % 30) || ' days') || ' 04:00:00.000000'}"
    "{pg:CAST(:first AS date) + CAST(n % 30 AS int) + interval '4 hours'}, "
    "{sqlite:date(:first, '+' || (n % 30) || ' days') || ' 04:00:00.000000'}"
    "{pg:CAST(:first AS date) + CAST(n % 30 AS int) + interval '4 hours'}, "
    "'"
    + KIND
    + "', 1 + n / 30 % :a_day, 1000, 'site_code', n % 100, '310106006002', '"
    + KIND
    + "@1', false, :low, :mid, :high "
    "FROM {sqlite:(" + _NUMBERS + " SELECT n FROM n) AS n}{pg:n} JOIN {rows} ON q.at = n % :sites",
    rows={"at": "int", "id": "uuid"},
)


def _fill(house: House, crowd: Crowd, records: int, first: date) -> None:
    """The records of a month from `first` on."""
    with house.db.reading_session() as session:
        factor = session.get_one(FactorVersion, f"{KIND}@1").model_dump()
    deeds = DAYS * A_DAY
    saved = computed(1000, factor)
    rows = [{"at": at, "id": crowd.world.site(KIND).id} for at in range(SITES)]
    people = crowd.gather_numbered(records // deeds + 1)
    with house.db.transaction() as connection:
        _RECORDS.run(
            connection,
            rows,
            records=records,
            start=first.toordinal() * 1000,
            people=people,
            deeds=deeds,
            first=first.isoformat(),
            a_day=A_DAY,
            low=saved["co2e_mg"],
            mid=saved["co2e_mid_mg"],
            high=saved["co2e_high_mg"],
            sites=SITES,
        )


@contextmanager
def _measured(cpu: Callable[[], float]) -> Iterator[dict[str, float]]:
    """Seconds, CPU seconds, and the most memory in megabytes above what there was before."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, spent, began = _memory("VmRSS"), cpu(), time.perf_counter()
    found: dict[str, float] = {}
    yield found
    found |= {
        "seconds": time.perf_counter() - began,
        "cpu_seconds": cpu() - spent,
        "megabytes": _memory("VmHWM") - before,
    }


def _memory(what: str) -> float:
    """A line of /proc/self/status, in megabytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{what}:")) / 1024


_CHECK = """
import runpy, sys, time
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    print(time.process_time())
    print(open("/proc/self/status").read())
"""


def _checked(path: Path) -> dict[str, float]:
    """What the script takes for a file, with nothing but Python; its memory is all of it."""
    command = [sys.executable, "-I", "-S", "-c", _CHECK, verify_hand_over.__file__, str(path)]
    began = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    said, spent, *status = done.stdout.splitlines()
    print(f"    {said}")
    return {
        "seconds": time.perf_counter() - began,
        "cpu_seconds": float(spent),
        "megabytes": next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024,
    }


def _of(
    house: House, world: World, declaration: Declaration, folder: Path, cpu: Callable[[], float]
) -> dict[str, Any]:
    """Make, take and check the file of a declaration."""
    found: dict[str, Any] = {"records": declaration.actions}
    house.db.engine.dispose()
    begin, declaration_files._begin = declaration_files._begin, lambda *_: None
    declaration_files.order(house, world.officer, declaration.id)
    declaration_files._begin = begin
    with house.db.reading_session() as session:
        file = declaration_files.latest(session, declaration.id)
    assert file
    with _measured(cpu) as found["made"]:
        declaration_files.make(house, file.id, 1)
    path = folder / "hand-over.zip"
    with _measured(cpu) as found["taken"], path.open("wb") as out:
        for piece in declaration_files.take(house, world.officer, declaration.id)[2]:
            out.write(piece)
    found["megabytes"] = path.stat().st_size / 2**20
    found["checked"] = _checked(path)
    return found


def measure(house: House, records: int, folder: Path, cpu: Callable[[], float]) -> list[dict[str, Any]]:
    """Two months: one with a tenth of the records, one with all."""
    crowd = Crowd(house)
    world, found = crowd.world, []
    for part, first in ((records // 10, FIRST), (records, FIRST + timedelta(days=DAYS))):
        _fill(house, crowd, part, first)
        with _measured(cpu) as reported:
            declaration = declaring.report(
                house, world.officer, METHODOLOGY, first, first + timedelta(days=DAYS - 1)
            )
        assert declaration.actions == part
        found.append({"reported": reported, **_of(house, world, declaration, folder, cpu)})
    return found


def _show(engine: str, found: list[dict[str, Any]]) -> None:
    for one in found:
        print(f"{engine}: {one['records']:,} records, a file of {one['megabytes']:.1f} MB")
        for what in ("reported", "made", "taken", "checked"):
            told = one[what]
            print(
                f"  {what:<10}{told['seconds']:7.1f} s ({told['cpu_seconds']:.1f} s of CPU), {told['megabytes']:.0f} MB"
            )


def main() -> None:
    """Measure, print, keep."""
    parser = engines.arguments("hand_over", __doc__)
    parser.add_argument("records", nargs="?", type=int, default=RECORDS)
    chosen = parser.parse_args()
    outcomes = {}
    for engine in engines.each(chosen.engine, "hand-over"):
        with engine.house() as house:
            outcomes[engine.name] = measure(house, chosen.records, engine.folder, engine.cpu)
        _show(engine.name, outcomes[engine.name])
    report.keep("hand_over", outcomes)


if __name__ == "__main__":
    main()
