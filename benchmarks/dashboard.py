"""`python -m benchmarks.dashboard [ACTIONS] [--engine sqlite|postgres]`: the bureau's pages over two years of ten million actions.

A house of its own on a SQLite file and, where its programs are, on PostgreSQL. The actions are folded by the code that the relay runs,
10,000 events a batch, so that the figures are true ones; the same deeds stand in a plain table besides, of which the same questions
are asked. Pages are asked for in the process, when a tenth is there and when all are: the server's own time on a core is measured. In the
end a smaller log is rebuilt, to see how long that takes and what memory it needs.
"""

import random
import resource
import statistics
import time
from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa

from activities.catalogue import ActionKind
from activities.events import ActionRecorded
from activities.feeds import ACTIONS_FEED
from benchmarks import engines, machine, report
from benchmarks.crowd import numbered_id
from tanpuhui import clock, figures, ids, outbox
from tanpuhui.bureau import withheld
from tanpuhui.db import insert_statement
from tanpuhui.divisions import Division
from tanpuhui.rooms import House
from tests.browser import browser
from tests.world import World

ACTIONS, RESIDENTS, SITES, DAYS, BATCH = 10_000_000, 200_000, 500, 730, 10_000
REBUILT = 100_000
LOOKS = 40
LAST = date(2026, 11, 20)

_RAW = sa.Table(
    "raw_deed",
    sa.MetaData(),
    sa.Column("day", sa.Date, index=True),
    sa.Column("division_code", sa.String(12)),
    sa.Column("kind", sa.String(32)),
    sa.Column("evidence", sa.String(32)),
    sa.Column("resident_id", sa.Uuid),
    sa.Column("co2e_mg", sa.BigInteger),
)
_RAW_COLUMNS = {
    "day": "date",
    "division_code": "text",
    "kind": "text",
    "evidence": "text",
    "resident_id": "uuid",
    "co2e_mg": "int",
}
_ADD_RAW = insert_statement(_RAW, _RAW_COLUMNS)

#: The same questions as the pages ask, of the rows themselves.
_RAW_QUESTIONS = {
    "a year by street": "SELECT substr(division_code, 1, 9), count(*), sum(co2e_mg) FROM raw_deed WHERE day BETWEEN :first AND :last GROUP BY 1",
    "a year by kind and evidence": "SELECT kind, evidence, count(*), sum(co2e_mg) FROM raw_deed WHERE day BETWEEN :first AND :last GROUP BY 1, 2",
    "people of a year by street": "SELECT substr(division_code, 1, 9), count(DISTINCT resident_id) FROM raw_deed WHERE day BETWEEN :first AND :last GROUP BY 1",
}

_PAGES = (
    "/bureau?period=2026",
    "/bureau?period=2026-Q3",
    "/bureau?period=2026-10",
    "/bureau?period=2026-W46",
    "/bureau?period=2026-11-20",
    "/bureau?period=2026&area=310106006",
    "/bureau?period=2026-10&area=310106006002",
    "/bureau?period=2026&kind=clean_plate",
    "/bureau/quality",
    "/bureau/targets",
    "/bureau/recovery",
)


class Deeds:
    """Deeds as chance has it: the same for each engine, spread over residents, their communities, sites, kinds and days in order."""

    def __init__(self, world: World, actions: int) -> None:
        house = world.house
        self._chance, self._actions, self._made = random.Random(1), actions, 0
        with house.db.reading_session() as session:
            communities = sorted(
                code for code in session.exec(sa.select(Division.code)).scalars() if len(code) == 12
            )  # type: ignore[call-overload]
            self._kinds = sorted(session.exec(sa.select(ActionKind.code)).scalars())  # type: ignore[call-overload]
        self._homes = [self._chance.choice(communities) for _ in range(RESIDENTS)]
        self._sites = [
            world.site("clean_plate", community=self._chance.choice(communities)).id for _ in range(SITES)
        ]

    def batch(self) -> list[ActionRecorded]:
        """The next events, in the order of their days, ten times over, so that a tenth is of two years, too; a few come late."""
        tenth = max(self._actions // 10, BATCH)
        day = LAST - timedelta(days=DAYS - 1 - self._made % tenth * DAYS // tenth)
        self._made += BATCH
        moment = datetime.combine(day, datetime.min.time(), clock.SHANGHAI)
        return [
            self._one(day - timedelta(days=self._chance.choice((0,) * 30 + (1, 2))), moment)
            for _ in range(BATCH)
        ]

    def _one(self, day: date, moment: datetime) -> ActionRecorded:
        who = self._chance.randrange(RESIDENTS)
        kind = self._kinds[min(int(self._chance.expovariate(0.4)), len(self._kinds) - 1)]
        grams = self._chance.randrange(10_000, 900_000)
        evidence = self._chance.choice(("site_code", "site_code", "rotating_code", "self_declared"))
        return ActionRecorded(
            subject_id=ids.new_id(),
            resident_id=numbered_id(who),
            recorded_at=moment,
            occurred_at=moment,
            day=day,
            kind=kind,
            unit="time",
            quantity_milli=1000,
            evidence=evidence,
            verified=evidence != "self_declared",
            site_id=self._sites[who % SITES],
            code_id=1,
            division_code=self._homes[who],
            factor_version=f"{kind}:1",
            city_credited=False,
            co2e_mg=grams,
            co2e_mid_mg=grams,
            co2e_high_mg=2 * grams,
            nox_ug=5,
        )


def _cpu(house: House) -> Callable[[], float]:
    """A clock of the seconds that this process and its sessions in PostgreSQL were on a core."""
    if house.db.is_sqlite:
        return time.process_time
    with house.db.reading() as connection:
        query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'"
        pids = list(connection.scalars(sa.text(query)))
    return lambda: time.process_time() + machine.on_cpu(pids)


def _times(work: Callable[[], object], looks: int, cpu: Callable[[], float]) -> dict[str, float]:
    """Milliseconds on a core, median and 95th percentile; and how long it took, which is more where others want the core, too."""
    work()
    spent, taken = [], []
    for _ in range(looks):
        begun, at = time.perf_counter(), cpu()
        work()
        spent.append((cpu() - at) * 1000)
        taken.append((time.perf_counter() - begun) * 1000)
    return {
        "median": statistics.median(spent),
        "p95": sorted(spent)[int(0.95 * len(spent))],
        "wall": statistics.median(taken),
    }


def _look(world: World) -> dict[str, dict[str, float]]:
    officer = browser(world, world.officer)

    def page(address: str) -> None:
        answer = officer.client.get(address)
        assert answer.status_code == 200, (address, answer.status_code)

    page(_PAGES[0])
    cpu = _cpu(world.house)
    return {address: _times(partial(page, address), LOOKS, cpu) for address in _PAGES}


def _decide(house: House) -> float:
    """Decide what is withheld, as a job does every ten minutes: seconds."""
    begun = time.process_time()
    with house.db.transaction() as connection:
        withheld.decide(house, connection, clock.now())
    return time.process_time() - begun


def _ask_raw(house: House) -> dict[str, float]:
    bound = {"first": date(2026, 1, 1), "last": LAST}
    with house.db.reading() as connection:

        def ask(query: str) -> None:
            connection.execute(sa.text(query), bound).all()

        return {
            question: _times(partial(ask, query), 3, _cpu(house))["median"]
            for question, query in _RAW_QUESTIONS.items()
        }


def measure(house: House, actions: int) -> dict[str, Any]:
    """Fold, look at a tenth and at all, ask the raw rows, rebuild."""
    world = World(house)
    deeds = Deeds(world, actions)
    _RAW.create(house.db.engine)
    cpu = _cpu(house)
    folds: list[float] = []
    found: dict[str, Any] = {}
    for done in range(0, actions, BATCH):
        events = deeds.batch()
        begun = cpu()
        with house.db.transaction() as connection:
            figures.fold(connection, [ACTIONS_FEED], events)
        folds.append(cpu() - begun)
        with house.db.transaction() as connection:
            _ADD_RAW.run(
                connection, [{name: getattr(event, name) for name in _RAW_COLUMNS} for event in events]
            )
        if done + BATCH in {actions // 10, actions}:
            if not house.db.is_sqlite:
                with house.db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                    connection.execute(sa.text("VACUUM ANALYZE"))
            with clock.pretending(datetime.combine(LAST, datetime.max.time(), clock.SHANGHAI)):
                decided = _decide(house)
                found[f"{done + BATCH:,}"] = {
                    "pages": _look(world),
                    "raw": _ask_raw(house),
                    "withholding": decided,
                }
            print(f"  {done + BATCH:,} actions", flush=True)
    found["fold"] = {
        "median": statistics.median(folds),
        "last": statistics.median(folds[-20:]),
        "all": sum(folds),
    }
    return found


def rebuild(house: House) -> dict[str, float]:
    """Seconds for the figures of a log of `REBUILT` events, and megabytes more than before."""
    deeds = Deeds(World(house), REBUILT)
    for _ in range(0, REBUILT, BATCH):
        with house.db.transaction() as connection:
            outbox.append(connection, deeds.batch())
    with house.db.transaction() as connection:  # as if the relay had brought them all
        connection.execute(
            sa.text(
                "INSERT INTO subscriber_cursor (subscriber, tx, position, updated_at) "
                "SELECT 'figures', max(tx), max(position), max(recorded_at) FROM event_log"
            )
        )
    memory, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    with house.db.transaction() as connection:
        figures.rebuild(connection, house.feeds)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024
    return {"seconds": time.perf_counter() - begun, "megabytes": grown}


def _show(engine: str, found: dict[str, Any]) -> None:
    fold = found["fold"]
    print(
        f"\n{engine}: 10,000 events fold in {fold['median']:.2f} s (the last ones {fold['last']:.2f}), all in {fold['all']:.0f} s"
    )
    (few, many) = (key for key in found if key[0].isdigit())
    for address, times in found[many]["pages"].items():
        before = found[few]["pages"][address]["median"]
        print(
            f"  {address:<45} {times['median']:6.1f} ms (95 %: {times['p95']:.1f}; {times['wall']:.1f} by the clock); at {few}: {before:.1f} ms, "
            f"{(times['median'] / before - 1) * 100:+.0f} %"
        )
    print(
        f"  what is withheld is decided in {found[many]['withholding']:.1f} s (two years; by a job, ahead of its transaction)"
    )
    for question, taken in found[many]["raw"].items():
        print(
            f"  the rows themselves, {question:<30} {taken:8.0f} ms; at {few}: {found[few]['raw'][question]:.0f} ms"
        )
    again = found["rebuild"]
    print(
        f"  {REBUILT:,} events rebuilt in {again['seconds']:.1f} s with {again['megabytes']:.0f} MB more: "
        f"10,000,000 at that pace in {again['seconds'] * 10_000_000 / REBUILT / 60:.0f} minutes"
    )


def main() -> None:
    """Measure, print, keep."""
    parser = engines.arguments("dashboard", __doc__)
    parser.add_argument("actions", nargs="?", type=int, default=ACTIONS)
    chosen = parser.parse_args()
    if chosen.actions % (10 * BATCH):
        parser.error(f"ACTIONS is a multiple of {10 * BATCH:,}")
    outcomes = {}
    for engine in engines.each(chosen.engine, "dashboard"):
        with engine.house("pages") as house:
            outcomes[engine.name] = measure(house, chosen.actions)
        with engine.house("rebuilt") as house:
            outcomes[engine.name]["rebuild"] = rebuild(house)
        _show(engine.name, outcomes[engine.name])
    report.keep("dashboard", outcomes)


if __name__ == "__main__":
    main()
