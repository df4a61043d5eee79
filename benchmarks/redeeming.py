"""`python -m benchmarks.redeeming`: what a redemption costs beside a scan: the server's work for one of each by the API, in the process.

Two residents' requests never touch the same rows but for the offer's and its pool's, which every redemption counts in. Rounds of both
take turns, so that a machine that changes its speed changes both.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from benchmarks import machine, report
from tanpuhui import schema
from tanpuhui.people import Resident
from tanpuhui.reference import load_reference
from tanpuhui.rooms import House, build_house
from tests.databases import Postgres, postgres_programs, settings_for
from tests.world import World

#: A round has so many of each.
EACH, ROUNDS = 50, 7


def _milliseconds(ask: Callable[[Resident, int], int], residents: list[Resident], first: int) -> float:
    """Milliseconds of one request, over a round."""
    started = time.perf_counter()
    for number, resident in enumerate(residents):
        status = ask(resident, first + number)
        assert status == 201, status
    return (time.perf_counter() - started) * 1000 / len(residents)


def measure(house: House) -> dict[str, list[float]]:
    """Milliseconds of a scan and of a redemption, by round; the first is not counted."""
    world = World(house)
    plate = world.code("clean_plate")
    offer: UUID = world.offer(stock=str(EACH * (ROUNDS + 1)), price="10")
    client = world.client()
    found: dict[str, list[float]] = {"scan": [], "redeem": []}

    def scan(resident: Resident, number: int) -> int:
        return _post(resident, "/api/v1/scans", {"code": plate}, number)

    def redeem(resident: Resident, number: int) -> int:
        return _post(resident, f"/api/v1/offers/{offer}/redeem", None, number)

    def _post(resident: Resident, path: str, body: dict[str, str] | None, number: int) -> int:
        headers = {
            "Authorization": f"Bearer {tokens[resident.id]}",
            "Idempotency-Key": f"{path[8:14]}-{number}",
        }
        return client.post(path, json=body, headers=headers).status_code

    for turn in range(ROUNDS + 1):
        residents = world.residents(EACH)
        tokens = {resident.id: world.token(resident) for resident in residents}
        world.earn(*residents)
        taken = {
            name: _milliseconds(ask, residents, turn * EACH)
            for name, ask in (("scan", scan), ("redeem", redeem))
        }
        for name, one in taken.items():
            found[name] += [one] if turn else []
    return found


def _house(url: str, folder: Path) -> House:
    house = build_house(settings_for(url, folder))
    schema.migrate(house)
    load_reference(house)
    return house


def _show(engine: str, found: dict[str, list[float]]) -> None:
    scan, redeem = (statistics.median(found[name]) for name in ("scan", "redeem"))
    print(f"{engine}: a scan {scan:.2f} ms, a redemption {redeem:.2f} ms: {redeem / scan:.2f} scans")


def main() -> None:
    """Measure, print, keep."""
    print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in machine.description().items()))
    outcomes = {}
    with tempfile.TemporaryDirectory(prefix="tanpuhui-redeeming-") as folder:
        house = _house(f"sqlite:///{Path(folder) / 'bench.sqlite3'}", Path(folder))
        outcomes["sqlite"] = measure(house)
        house.db.dispose()
        _show("SQLite", outcomes["sqlite"])
        if postgres_programs() is None:
            print("PostgreSQL's programs are not on this machine: left out")
        else:
            server = Postgres(fsync=True)
            try:
                house = _house(server.create("bench"), Path(folder))
                outcomes["postgres"] = measure(house)
                house.db.dispose()
            finally:
                server.destroy()
            _show("PostgreSQL", outcomes["postgres"])
    report.keep("redeeming", outcomes)


if __name__ == "__main__":
    main()
