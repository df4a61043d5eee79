"""`python -m benchmarks.recovery [ACTIONS] [--engine sqlite|postgres]`: the mass balance over two years of ten million actions.

A house of its own on a SQLite file and, where its programs are, on PostgreSQL: 300 points, 14 stations and two yards, every point emptied
every other week. The figures are added up from the records as the relay's are (that those are equal is for the tests). The pages are asked
for in the process; the balance is also made of the records themselves, to see that it is the same and what that takes.
"""

import random
import statistics
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlmodel import SQLModel

from activities import mass_balance, recovered
from benchmarks import engines, report
from benchmarks.crowd import Crowd
from tanpuhui import clock, ids, period_figures
from tanpuhui.db import Statement
from tanpuhui.measures import MEASURES
from tanpuhui.rooms import House
from tests.browser import browser
from tests.world import DISTRICT, World

ACTIONS, SLICE, LOOKS = 10_000_000, 500_000, 5
POINTS, STATIONS, YARDS = 300, 14, 2
FIRST, LAST = date(2024, 12, 1), date(2026, 11, 20)
DAYS = (LAST - FIRST).days + 1
KINDS = {"clothing_reuse": "clothes", "recycle_glass": "glass", "clean_plate": ""}

_ADD = Statement(
    "INSERT INTO action (id, resident_id, site_id, day, occurred_at, recorded_at, kind, ordinal, quantity_milli, evidence, code_id, "
    "division_code, factor_version, city_credited, co2e_mg, co2e_mid_mg, co2e_high_mg) "
    "{pg:WITH RECURSIVE n(n) AS (SELECT CAST(:start AS bigint) UNION ALL SELECT n + 1 FROM n WHERE n + 1 < :stop)} SELECT "
    "{sqlite:printf('%08x000070008000%012x', n / 1000, n)}"
    "{pg:CAST(lpad(to_hex(n / 1000), 8, '0') || '000070008000' || lpad(to_hex(n), 12, '0') AS uuid)}, "
    "{sqlite:'01970000000070008000' || (:people + n % 20000)}{pg:CAST('01970000000070008000' || (:people + n % 20000) AS uuid)}, "
    "s.id, {sqlite:date(:first, '+' || (n * :days / :actions) || ' days')}{pg:CAST(:first AS date) + CAST(n * :days / :actions AS int)}, "
    "{sqlite:date(:first, '+' || (n * :days / :actions) || ' days') || ' 04:00:00.000000'}"
    "{pg:CAST(:first AS date) + CAST(n * :days / :actions AS int) + interval '4 hours'}, "
    "{sqlite:date(:first, '+' || (n * :days / :actions) || ' days') || ' 04:00:00.000000'}"
    "{pg:CAST(:first AS date) + CAST(n * :days / :actions AS int) + interval '4 hours'}, "
    "k.kind, 1 + n / 20000 % 1000, 500 + n % 4000, 'site_code', 1, '310106006002', k.kind || '@1', false, 100, 100, 200 "
    "FROM {sqlite:(WITH RECURSIVE n(n) AS (SELECT :start UNION ALL SELECT n + 1 FROM n WHERE n + 1 < :stop) SELECT n FROM n) AS n}{pg:n} "
    "{sqlite:CROSS }JOIN bench_point s ON s.at = n / 3 % :points {sqlite:CROSS }JOIN bench_kind k ON k.at = n % 3"
)

_SITES = (
    "INSERT INTO site_figure (unit, first, site_id, kind, actions, quantity_milli) "
    "SELECT 'month', {month}, site_id, kind, count(*), sum(quantity_milli) FROM action GROUP BY 2, 3, 4"
)


def _fill(house: House, actions: int) -> World:
    """Records, figures and hand-overs of two years."""
    crowd = Crowd(house)
    world = crowd.world
    sites = {
        level: [
            world.site(*(KINDS if level == "point" else ()), kind="other", level=level).id
            for _ in range(count)
        ]
        for level, count in (("point", POINTS), ("station", STATIONS), ("yard", YARDS))
    }
    people = crowd.gather_numbered(20_000)
    bench_point, bench_kind = (
        sa.Table(name, sa.MetaData(), sa.Column("at", sa.Integer, primary_key=True), sa.Column(of, kind))
        for name, of, kind in (("bench_point", "id", sa.Uuid()), ("bench_kind", "kind", sa.String(32)))
    )
    for table, values in ((bench_point, sites["point"]), (bench_kind, list(KINDS))):
        table.create(house.db.engine)
        with house.db.transaction() as connection:
            name = list(table.c)[1].name
            connection.execute(sa.insert(table), [{"at": at, name: one} for at, one in enumerate(values)])
    for start in range(0, actions, SLICE):
        with house.db.transaction() as connection:
            _ADD.run(
                connection,
                start=start,
                stop=min(start + SLICE, actions),
                people=people,
                first=FIRST.isoformat(),
                days=DAYS,
                actions=actions,
                points=POINTS,
            )
    with house.db.transaction() as connection:
        month = (
            "date(day, 'start of month')" if house.db.is_sqlite else "CAST(date_trunc('month', day) AS date)"
        )
        connection.execute(sa.text(_SITES.format(month=month)))
        question = sa.text("SELECT first, kind, sum(quantity_milli) AS grams FROM site_figure GROUP BY 1, 2")
        of_months = question.columns(first=sa.Date(), kind=sa.Text(), grams=sa.BigInteger())
        nothing = dict.fromkeys(MEASURES, 0)
        daily = [
            ((first, "310106006002", kind, "site_code", "", False), nothing | {"quantity_milli": int(grams)})
            for first, kind, grams in connection.execute(of_months)
        ]
        period_figures.add(connection, daily)
        _hand_over(connection, world, sites, actions)
    if not house.db.is_sqlite:
        with house.db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("VACUUM ANALYZE"))
    return world


def _hand_over(connection: sa.Connection, world: World, sites: dict[str, list[Any]], actions: int) -> None:
    """Every other week from the points, every week from the stations, nine tenths of what is there, all of it confirmed.

    One in a thousand is beyond its tolerance.
    """
    chance = random.Random(1)
    brought = actions // 3 * 2_500 // POINTS * 14 // DAYS  # grams of a material at a point, in two weeks
    usual = {"point": brought * 9 // 10, "station": brought * POINTS // STATIONS // 2 * 8 // 10}
    rows, arrived = [], []
    for week in range(DAYS // 7):
        day = FIRST + timedelta(days=7 * week)
        moment = datetime(day.year, day.month, day.day, 5, tzinfo=UTC)
        for at, sender in enumerate((*sites["point"], *sites["station"])):
            if at < POINTS and (at + week) % 2:
                continue
            below = sites["station"][at % STATIONS] if at < POINTS else sites["yard"][at % YARDS]
            for material in ("clothes", "glass"):
                most = usual["point" if at < POINTS else "station"]
                grams = 1 + chance.randrange(most * 8 // 10, most + 1)
                row = {
                    "id": ids.new_id(),
                    "from_site_id": sender,
                    "to_site_id": below,
                    "material": material,
                    "grams": grams,
                    "handed_at": moment,
                    "day": day,
                    "taker": "",
                    "vehicle": "",
                    "again": 0,
                    "recorded_by": world.organiser.id,
                    "recorded_at": moment,
                }
                rows.append(row)
                weighed = grams * (70 if chance.random() < 0.001 else 99) // 100
                arrived.append(
                    {
                        "hand_over_id": row["id"],
                        "grams": weighed,
                        "confirmed_by": world.organiser.id,
                        "confirmed_at": moment,
                    }
                )
    tables = SQLModel.metadata.tables
    connection.execute(sa.insert(tables["hand_over"]), rows)
    connection.execute(sa.insert(tables["hand_over_confirmation"]), arrived)


def _times(work: Callable[[], object], cpu: Callable[[], float], looks: int = LOOKS) -> dict[str, float]:
    """Milliseconds of the clock, the median, and of CPU, the mean."""
    work()
    taken, spent = [], cpu()
    for _ in range(looks):
        begun = time.perf_counter()
        work()
        taken.append((time.perf_counter() - begun) * 1000)
    return {"median": statistics.median(taken), "cpu": (cpu() - spent) * 1000 / looks}


def measure(house: House, actions: int, cpu: Callable[[], float]) -> dict[str, Any]:
    """The pages, what they are made of, and the same of the records."""
    world = _fill(house, actions)
    officer = browser(world, world.officer)

    def page(address: str) -> Callable[[], object]:
        def look() -> None:
            answer = officer.client.get(address)
            assert answer.status_code == 200, (address, answer.status_code)

        return look

    found: dict[str, Any] = {"actions": actions}
    with clock.pretending(datetime(LAST.year, LAST.month, LAST.day, 12, tzinfo=UTC)):
        for address in ("/bureau/recovery", "/bureau/recovery.csv?month=2026-10", "/recovery"):
            found[address] = _times(page(address), cpu)
        month = LAST.replace(day=1)
        with house.db.snapshot() as connection:
            one = sa.text("SELECT to_site_id FROM hand_over LIMIT 1").columns(to_site_id=sa.Uuid())
            station = connection.scalar(one)
            for name, work in (
                ("the balance of the district", lambda: mass_balance.balance(connection, month)),
                ("of a station", lambda: mass_balance.balance(connection, month, [station])),
                ("what residents read", lambda: recovered.stories(connection, DISTRICT, LAST)),
            ):
                found[name] = _times(work, cpu)
            begun, spent = time.perf_counter(), cpu()
            plain = mass_balance.flows(connection, None, mass_balance.recorded)
            found["what was brought in, of the records"] = {
                "median": (time.perf_counter() - begun) * 1000,
                "cpu": (cpu() - spent) * 1000,
            }
            assert plain == mass_balance.flows(connection, None)
            balance = mass_balance.balance(connection, month)
            found["lines"], found["alarms"] = len(balance.lines), len(balance.alarms)
    return found


def _show(engine: str, found: dict[str, Any]) -> None:
    print(f"{engine}: {found['actions']:,} actions, {found['lines']:,} balances, {found['alarms']:,} alarms")
    for name, times in found.items():
        if isinstance(times, dict):
            print(f"  {name:<40}{times['median']:8.1f} ms ({times['cpu']:.1f} ms of CPU)")


def main() -> None:
    """Measure, print, keep."""
    parser = engines.arguments("recovery", __doc__)
    parser.add_argument("actions", nargs="?", type=int, default=ACTIONS)
    chosen = parser.parse_args()
    outcomes = {}
    for engine in engines.each(chosen.engine, "recovery"):
        with engine.house() as house:
            outcomes[engine.name] = measure(house, chosen.actions, engine.cpu)
        _show(engine.name, outcomes[engine.name])
    report.keep("recovery", outcomes)


if __name__ == "__main__":
    main()
