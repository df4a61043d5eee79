"""Monthly and yearly reports: each made once, frozen, drawn the same each time; small groups left out."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, time, timedelta
from typing import Any
from unittest import mock
from uuid import UUID

import openpyxl
import pypdfium2
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from activities import period_reports
from activities.period_report_papers import report_pdf
from activities.period_report_sheets import REPORT, rows_of
from activities.period_reports import JOB, PeriodReport, order, settled_on
from activities.review import void_action
from tanpuhui import clock, jobs
from tanpuhui.errors import InvalidField, NotAllowed
from tanpuhui.periods import CalendarPeriod
from tanpuhui.rooms import build_house
from tanpuhui.staff import Role
from tests.browser import browser
from tests.threads import at_once
from tests.world import OTHER_COMMUNITY, STREET, World

MONTH = CalendarPeriod.containing("month", clock.today()).before().before()
OTHER_STREET = OTHER_COMMUNITY[:9]


@contextmanager
def on_day(number: int, month: CalendarPeriod = MONTH) -> Iterator[None]:
    """The noon of a day of a month, counted from 1."""
    day = month.first + timedelta(days=number - 1)
    with clock.pretending(datetime.combine(day, time(12), clock.SHANGHAI)):
        yield


@pytest.fixture(autouse=True)
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports are made when a test says so, not by a thread of their own."""
    monkeypatch.setattr(period_reports, "_begin", lambda _house: None)


def a_month(world: World, cups: int = 2, far_metro: int = 1) -> None:
    """Six people eat up without cutlery in one 街镇, six in another; so many there bring a cup; seven take the metro."""
    with on_day(3):
        kinds = ("clean_plate", "no_cutlery", "own_cup", "metro_trip")
        plate, fork, cup, metro = (world.code(kind) for kind in kinds)
        near, far = world.residents(6), [world.resident(OTHER_COMMUNITY) for _ in range(6)]
        for resident in (*near, *far):
            world.scan(resident, plate)
            world.scan(resident, fork)
        for resident in far[:cups]:
            world.scan(resident, cup)
        for resident in (*near, *far[:far_metro]):
            world.scan(resident, metro, quantity=5)
    world.house.relay.drain()


def made(world: World, name: str = MONTH.name) -> PeriodReport:
    """The report, ordered and made."""
    world.house.relay.drain()
    order(world.house, world.officer, name)
    period_reports.tend(world.house)
    with world.house.db.reading_session() as session:
        report = period_reports.report_of(session, name)
    assert report.finished_at is not None
    return report


def row_of(report: PeriodReport, level: str, **keys: Any) -> dict[str, Any]:
    wanted = {"level": level, "street": "", "kind": "", "verified": True, "city": False, **keys}
    (found,) = (
        row for row in report.snapshot["rows"] if all(row[name] == value for name, value in wanted.items())
    )
    return found  # type: ignore[no-any-return]


# --- what it says -------------------------------------------------------------------------------------------


def test_a_report_tells_what_the_records_of_its_month_add_up_to(world: World) -> None:
    a_month(world, cups=6, far_metro=0)
    with on_day(1, MONTH.after()):
        code = world.code("clean_plate")
        for resident in world.residents(5):  # of another month
            world.scan(resident, code)
    report = made(world)
    whole = row_of(report, "whole")
    assert (whole["participants"], whole["records"]) == (12, 30)
    city = row_of(report, "whole", city=True)
    assert (city["participants"], city["records"], city["co2e_mg"] > 0) == (6, 6, True)
    assert report.snapshot["people"]["participants"] == 12
    assert report.snapshot["people"]["newcomers"] == 12
    plate = row_of(report, "kind", kind="clean_plate")
    assert (plate["participants"], plate["quantity_milli"], plate["nox_ug"]) == (12, 12_000, None)
    assert row_of(report, "cell", street=STREET, kind="clean_plate")["co2e_mg"] == 6 * 144_000
    assert [month["month"] for month in report.snapshot["trend"]] == [MONTH.name]
    assert {one["key"] for one in report.snapshot["factors"]} == {
        f"{kind}@1" for kind in ("clean_plate", "no_cutlery", "own_cup", "metro_trip")
    }
    assert len(report.snapshot["names"]["street"]) == 14


def test_small_groups_are_left_out_and_cannot_be_worked_out(world: World) -> None:
    a_month(world)
    report = made(world)
    cup = row_of(report, "kind", kind="own_cup")
    assert (cup["hidden"], cup["participants"], cup["records"], cup["co2e_mg"]) == (True, None, None, None)
    # kinds add up to a whole: with one of them alone left out it would be known
    own = [row for row in report.snapshot["rows"] if row["level"] == "kind" and not row["city"]]
    assert row_of(report, "whole")["hidden"] or sum(row["hidden"] for row in own) > 1
    told = [row for row in report.snapshot["rows"] if not row["hidden"]]
    assert told
    assert [row for row in told if 0 < row["participants"] < 5] == []
    assert row_of(report, "cell", street=OTHER_STREET, kind="metro_trip", city=True)["hidden"]
    # nobody is told what one 街镇 saved of a pollutant, nor all of it while some of it is of too few
    assert {row["nox_ug"] for row in report.snapshot["rows"] if row["level"] == "street"} == {None}
    for row in rows_of(report.snapshot):
        cells = dict(zip((column.key for column in REPORT.columns), row, strict=True))
        if cells["hidden"]:
            numbers = [cells[column.key] for column in REPORT.columns if column.sort in {"whole", "decimal"}]
            assert set(numbers) == {None}


def test_verified_and_self_declared_never_stand_in_one_number(world: World) -> None:
    with on_day(3):
        world.open_self_reports("own_cup")
        plate = world.code("clean_plate")
        for resident in world.residents(6):
            world.scan(resident, plate)
            world.self_report(resident, "own_cup")
    report = made(world)
    verified, declared = row_of(report, "whole"), row_of(report, "whole", verified=False)
    assert (verified["records"], declared["records"]) == (6, 6)
    assert verified["co2e_mg"] == 6 * 144_000
    assert [(part["verified"], part["co2e_mg"]) for part in report.snapshot["trend"][-1]["parts"]] == [
        (True, verified["co2e_mg"]),
        (False, declared["co2e_mg"]),
    ]
    page = browser(world, world.officer).get(f"/bureau/reports/{MONTH.name}")
    assert "自报（含照片）" in page


def test_a_pollutant_of_too_few_is_left_out_though_the_kinds_together_are_of_many(world: World) -> None:
    with on_day(3):
        plate, bus = world.code("clean_plate"), world.code("bus_trip")
        people = world.residents(8)
        for resident in people:
            world.scan(resident, plate)
        world.scan(people[0], bus, quantity=5)
    report = made(world)
    for row in report.snapshot["rows"]:
        if row["level"] in {"whole", "street"}:
            assert row["nox_ug"] is None, row


def test_a_year_gives_nothing_away_that_its_months_left_out(world: World) -> None:
    """A year less the months that were told is the month that was not."""
    year = CalendarPeriod.containing("year", clock.today()).before()
    months = year.parts("month")
    with on_day(3, months[1]):
        plate = world.code("clean_plate")
        people = world.residents(9)
        for resident in people:
            world.scan(resident, plate)
    with on_day(3, months[2]):
        for resident in people[:2]:
            world.scan(resident, plate)
    report = made(world, year.name)  # and its months before it
    with world.house.db.reading_session() as session:
        found = {one.period: one.finished_at for one in period_reports.reports(session)}
    assert list(found) == [year.name, *(month.name for month in months[:0:-1])]
    assert all(found.values())
    told = {month["month"]: month["participants"] for month in report.snapshot["trend"]}
    assert told[months[2].name] is None
    assert row_of(report, "whole")["hidden"] or told[months[1].name] is None
    assert row_of(report, "kind", kind="clean_plate")["hidden"] == row_of(report, "whole")["hidden"]
    assert report.pdf_zh


# --- once, and the same -------------------------------------------------------------------------------------


def test_a_report_stays_as_it_was_and_is_drawn_the_same(world: World) -> None:
    a_month(world)
    report = made(world)
    with world.house.db.reading() as connection:
        action = connection.scalar(sa.text("SELECT id FROM action ORDER BY id LIMIT 1"))
    void_action(world.house, world.officer, UUID(str(action)), "重复扫码")
    made(world)  # is not made again
    with world.house.db.reading_session() as session:
        again = period_reports.report_of(session, MONTH.name)
    assert (again.snapshot, again.pdf_zh, again.pdf_en) == (report.snapshot, report.pdf_zh, report.pdf_en)
    for language, drawn in (("zh", report.pdf_zh), ("en", report.pdf_en)):
        assert report_pdf(report.snapshot, language) == drawn
    for statement in (
        "UPDATE period_report SET snapshot = '{}'",
        "UPDATE period_report SET done = 0",
        "DELETE FROM period_report",
    ):
        with pytest.raises(DBAPIError, match="report"), world.house.db.transaction() as connection:
            connection.execute(sa.text(statement))


def test_the_scheduler_makes_each_once_though_two_workers_tick(world: World) -> None:
    a_month(world)
    with on_day(5, MONTH.before()):
        world.scan(world.resident(), world.code("clean_plate"))
    world.house.relay.drain()
    other = build_house(world.house.settings)
    drawn: list[str] = []

    def counting(snapshot: dict[str, Any], language: str) -> bytes:
        drawn.append(f"{snapshot['period']}.{language}")
        return b"%PDF"

    def ticks(house: Any) -> None:
        jobs.run_due(house, JOB, clock.now())
        period_reports.tend(house)

    with mock.patch("activities.period_report_papers.report_pdf", counting):
        at_once([lambda: ticks(world.house), lambda: ticks(other)])
        period_reports.tend(world.house)
    other.db.dispose()
    settled = [
        period.name
        for period in (MONTH.before(), MONTH, MONTH.after())
        if settled_on(period, world.house.settings.late_hours) <= clock.today()
    ]
    assert {name for name in settled if name >= MONTH.before().name} <= {one[:-3] for one in drawn}
    assert len(drawn) == len(set(drawn))
    with world.house.db.reading_session() as session:
        found = period_reports.reports(session)
    assert all(report.finished_at and report.ordered_by is None for report in found)


def test_what_was_killed_half_way_is_taken_up_and_ends_with_the_numbers_it_had(world: World) -> None:
    a_month(world)
    order(world.house, world.officer, MONTH.name)
    with (
        mock.patch("activities.period_report_papers.report_pdf", side_effect=KeyboardInterrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        period_reports.tend(world.house)
    page = browser(world, world.officer).get(f"/bureau/reports/{MONTH.name}")
    assert "数字已经定下来" in page
    assert 'http-equiv="refresh"' in page
    with world.house.db.reading_session() as session:
        before = period_reports.report_of(session, MONTH.name)
    with on_day(9):
        world.scan(world.resident(), world.code("clean_plate"))
    world.house.relay.drain()
    period_reports.tend(world.house)  # too soon: its maker may still be at it
    with clock.pretending(clock.now() + period_reports.LEFT_ALONE * 2):
        period_reports.tend(world.house)
    with world.house.db.reading_session() as session:
        after = period_reports.report_of(session, MONTH.name)
    assert after.finished_at is not None
    assert (after.snapshot, after.made_at) == (before.snapshot, before.made_at)
    assert after.done == after.steps


def test_nothing_is_begun_while_the_relay_is_behind(world: World) -> None:
    a_month(world)
    with on_day(20):
        world.scan(world.resident(), world.code("clean_plate"))  # not taken in yet
    order(world.house, world.officer, MONTH.name)
    period_reports.tend(world.house)
    page = browser(world, world.officer).get(f"/bureau/reports/{MONTH.name}")
    assert "正在等后台进程" in page
    world.house.relay.drain()
    period_reports.tend(world.house)
    with world.house.db.reading_session() as session:
        assert period_reports.report_of(session, MONTH.name).finished_at


# --- pages --------------------------------------------------------------------------------------------------


def test_an_officer_asks_reads_and_takes_away(world: World) -> None:
    a_month(world)
    officer = browser(world, world.officer)
    assert "还没有报告" in officer.get("/bureau/reports")
    assert "正在生成报告" in officer.send("/bureau/reports", period=MONTH.name)
    period_reports.tend(world.house)
    page = officer.get(f"/bureau/reports/{MONTH.name}")
    assert "谁在参与" in page
    assert "不公布" in page
    assert "不是经过核证或签发的减排量" in page
    assert f"/bureau/trace?period={MONTH.name}&amp;measure=participants" in page
    client, base = officer.client, f"/bureau/reports/{MONTH.name}"
    for language, words in (("zh", "怎么读这份报告"), ("en", "estimated")):
        paper = pypdfium2.PdfDocument(client.get(f"{base}.{language}.pdf").data)
        text = "".join(page.get_textpage().get_text_bounded() for page in paper)
        paper.close()
        assert words in text
    rows = json.loads(client.get(f"{base}.json").data)["rows"]
    sheet = openpyxl.load_workbook(io.BytesIO(client.get(f"{base}.zh.xlsx").data)).worksheets[0]
    assert sheet.max_row == len(rows) + 1
    assert client.get(f"{base}.csv").data.count(b"\r\n") == len(rows) + 1
    public = json.loads(world.client().get("/open-data/monthly.json").data)["rows"]
    assert public == rows
    with world.house.db.reading() as connection:
        deeds = connection.scalars(
            sa.text("SELECT subject FROM audit_entry WHERE deed = 'report.ordered'")
        ).all()
    assert deeds == [f"report:{MONTH.name}"]
    auditor = browser(world, world.colleague(Role.AUDITOR), "en")
    assert "Who takes part?" in auditor.get(base)
    assert "<form" not in auditor.get("/bureau/reports").partition('id="content"')[2]


def test_what_cannot_be_asked_is_answered_in_words(world: World) -> None:
    a_month(world)
    officer = browser(world, world.officer)
    this_month = CalendarPeriod.containing("month", clock.today())
    for name, words in (
        ("", "请填写年"),
        ("2026-13", "请填写年"),
        ("2026-06/2026-05", "请填写年"),
        ("昨天", "请填写年"),
        ("2026-Q2", "报告只按月或按年"),
        ("2026-W23", "报告只按月或按年"),
        (this_month.name, "还没有结束"),
        (this_month.after().name, "还没有结束"),
        ("2098", "还没有结束"),
        ("2001-01", "还没有任何记录"),
    ):
        officer.get("/bureau/reports")
        page = officer.send("/bureau/reports", period=name)
        assert officer.status == 422, name
        assert words in page, name
    with clock.pretending(clock.day_bounds(MONTH.last)[1] + timedelta(hours=30)), pytest.raises(InvalidField):
        order(world.house, world.officer, MONTH.name)
    for path in ("nothing", MONTH.name, f"{MONTH.name}.csv", f"{MONTH.name}.zh.pdf", "..%2f.csv"):
        officer.get(f"/bureau/reports/{path}")
        assert officer.status == 404, path
    for who in (
        world.colleague(Role.OFFICER, division=STREET),
        world.colleague(Role.AUDITOR),
        world.organiser,
    ):
        with pytest.raises(NotAllowed):
            order(world.house, who, MONTH.name)
