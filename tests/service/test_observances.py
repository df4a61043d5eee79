"""Observances: dated or awaiting and never guessed; entered by officers with their source, once, over any file."""

import csv
import threading
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from click.testing import CliRunner
from sqlmodel import Session, SQLModel, col, select

from activities import observance_changes as changes
from activities.catalogue import PACKAGE_DATA
from activities.commands import load_reference_command
from activities.events import ObservanceDated
from activities.observance_calendar import CalendarEntry, Span, calendar_of
from activities.observance_changes import GUARDS, ObservanceChange, add, edit, enter, take_back
from activities.observance_words import Said
from activities.observances import EVERY_YEAR, Observance
from tanpuhui import clock, ids
from tanpuhui.audit import AuditEntry
from tanpuhui.errors import InvalidField, InvalidReference, NotAllowed, ObservanceChanged
from tanpuhui.outbox import LoggedEvent
from tanpuhui.reference import current_version, load_reference
from tanpuhui.sessions import Principal
from tanpuhui.staff import Role
from tanpuhui.subscribers import SameTransaction
from tests.sheets import edit as edit_sheet, reference_copy, setting
from tests.threads import at_once, codes
from tests.world import COMMUNITY, World

DAY, WEEK = "low_carbon_day", "energy_saving_week"
NOTICE = "发改环资〔2027〕1号（示例）"
LAST_ROW = 30  # 全国低碳日 2026, the last of the file


@pytest.fixture(autouse=True)
def time() -> Iterator[time_machine.Traveller]:
    """The year 2026, whose holidays are known; the next year's are not."""
    with time_machine.travel(datetime(2026, 11, 28, 12, tzinfo=clock.SHANGHAI), tick=False) as traveller:
        yield traveller


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a copy of the reference file of observances alone."""
    folder = reference_copy(tmp_path)
    for other in set(folder.glob("*.csv")) - {folder / "observances.csv"}:
        other.unlink()
    return folder


def said(starts_on: str = "2027-06-16", ends_on: str = "", source: str = NOTICE, level: str = "A") -> Said:
    return Said(starts_on, ends_on, source, level)


def entry(world: World, key: str, year: int) -> CalendarEntry:
    with world.house.db.reading_session() as session:
        return next(one for one in calendar_of(session, year) if one.key == key)


def history(world: World, key: str = DAY, year: int = 2027) -> list[ObservanceChange]:
    with world.house.db.reading_session() as session:
        found = session.exec(
            select(ObservanceChange)
            .where(ObservanceChange.key == key, ObservanceChange.year == year)
            .order_by(col(ObservanceChange.revision))
        ).all()
        session.expunge_all()
        return list(found)


def told(world: World) -> list[tuple[str, int, date | None, date | None]]:
    """What the event log says of dates, in its order."""
    with world.house.db.reading_session() as session:
        rows = session.exec(
            select(LoggedEvent.payload)
            .where(LoggedEvent.type == "observance.dated")
            .order_by(col(LoggedEvent.position))
        ).all()
    events = [ObservanceDated.from_payload(row) for row in rows]
    return [(event.key, event.year, event.starts_on, event.ends_on) for event in events]


def audited(world: World) -> list[AuditEntry]:
    with world.house.db.reading_session() as session:
        query = select(AuditEntry).where(col(AuditEntry.deed).startswith("observance."))
        return list(session.exec(query.order_by(col(AuditEntry.at), col(AuditEntry.id))).all())


def fields(error: InvalidField) -> set[str]:
    return {wrong["field"] for wrong in error.params["errors"]}


# --- the calendar of a year --------------------------------------------------------------------------------


def test_every_year_is_what_the_file_says_or_awaiting(world: World) -> None:
    with (PACKAGE_DATA / "observances.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    announced = {row["key"] for row in rows if row["kind"] == "announced"}
    assert announced == {DAY, WEEK}
    with world.house.db.reading_session() as session:
        for year in range(2013, 2028):
            calendar = calendar_of(session, year)
            of_year = {
                row["key"]: tuple(date.fromisoformat(row[name]) for name in ("starts_on", "ends_on"))
                for row in rows
                if row["year"] == str(year)
            }
            fixed = {
                row["key"]: tuple(
                    date.fromisoformat(f"{year}-{row[name]}") for name in ("starts_on", "ends_on")
                )
                for row in rows
                if row["kind"] == "fixed"
            }
            dated = {one.key: one.span for one in calendar if one.span}
            assert dated == of_year | fixed, year
            assert {one.key for one in calendar if one.awaiting} == announced - of_year.keys(), year
            assert len(calendar) == len(fixed) + 2
            spans = [one.span for one in calendar if one.span]
            assert spans == sorted(spans)
            assert all(one.source for one in calendar if one.span)


def test_years_without_data_are_awaiting_and_tell_the_last_known_as_past(world: World) -> None:
    for year, before in ((2016, date(2015, 6, 15)), (2018, date(2017, 6, 13)), (2027, date(2026, 6, 17))):
        found = entry(world, DAY, year)
        assert (found.span, found.source, found.confidence) == (None, "", None)
        assert found.known == Span(before, before)
    assert entry(world, DAY, 2012).known is None


def test_in_2020_it_was_the_fourth_day_of_the_week(world: World) -> None:
    """No rule finds it: in the other years of the file it is the third."""
    nth = {}
    for year in (2013, 2014, 2015, 2017, *range(2019, 2027)):
        day, week = entry(world, DAY, year).span, entry(world, WEEK, year).span
        assert day is not None
        assert week is not None
        nth[year] = (day.first - week.first).days + 1
    assert nth.pop(2020) == 4
    assert set(nth.values()) == {3}


def test_working_days_are_those_announced_and_unknown_where_nothing_is(world: World) -> None:
    assert entry(world, "environment_day", 2026).working_days == 1
    assert entry(world, "environment_day", 2021).working_days == 0  # a Saturday
    assert entry(world, WEEK, 2020).working_days == 5
    assert entry(world, "bus_travel_week", 2024).working_days == 3  # 中秋节: Monday to Friday would say five
    for key in ("environment_day", "bus_travel_week"):
        assert entry(world, key, 2027).working_days is None
    assert entry(world, DAY, 2027).working_days is None


def test_a_leap_day_is_a_day_of_its_own_year_alone(world: World) -> None:
    enter(world.house, world.officer, DAY, 2024, said("2024-02-29"), seen=0)
    assert entry(world, DAY, 2024).span == Span(date(2024, 2, 29), date(2024, 2, 29))
    enter(world.house, world.officer, WEEK, 2028, said("2028-02-26", "2028-03-03"), seen=0)
    assert entry(world, WEEK, 2028).span == Span(date(2028, 2, 26), date(2028, 3, 3))
    with pytest.raises(InvalidField):
        enter(world.house, world.officer, DAY, 2027, said("2027-02-29"), seen=0)
    with pytest.raises(InvalidField):
        add(world.house, world.officer, Said("02-29", "", NOTICE, "A", "闰日", "Leap Day"))


# --- officers ----------------------------------------------------------------------------------------------


def test_a_date_is_entered_moved_and_taken_back_and_everything_is_told(world: World) -> None:
    with world.house.db.reading() as connection:
        version = current_version(connection)
    first, second = world.officer, world.second_officer
    enter(world.house, first, DAY, 2027, said(), seen=0)
    found = entry(world, DAY, 2027)
    assert (found.span, found.source, found.revision) == (
        Span(date(2027, 6, 16), date(2027, 6, 16)),
        NOTICE,
        1,
    )
    assert found.name_zh == "全国低碳日"
    enter(world.house, second, DAY, 2027, said("2027-06-17"), seen=1)
    enter(world.house, second, DAY, 2027, said("2027-06-17", source="通知正式文本"), seen=2)
    take_back(world.house, first, DAY, 2027, "通知已撤销", seen=3)
    gone = entry(world, DAY, 2027)
    assert (gone.awaiting, gone.revision, gone.known) == (True, 4, Span(date(2026, 6, 17), date(2026, 6, 17)))

    steps = [(one.changed_by, one.was_starts_on, one.starts_on, one.source) for one in history(world)]
    assert steps == [
        (first.id, None, "2027-06-16", NOTICE),
        (second.id, "2027-06-16", "2027-06-17", NOTICE),
        (second.id, "2027-06-17", "2027-06-17", "通知正式文本"),
        (first.id, "2027-06-17", None, "通知已撤销"),
    ]
    one, other = date(2027, 6, 16), date(2027, 6, 17)
    assert told(world) == [
        (DAY, 2027, one, one),
        (DAY, 2027, other, other),  # not told: that the source was reworded
        (DAY, 2027, None, None),
    ]
    notes = audited(world)
    assert [note.deed.removeprefix("observance.") for note in notes] == [
        *("entered", "moved", "moved", "taken_back")
    ]
    assert {note.subject for note in notes} == {"observance:low_carbon_day:2027"}
    assert notes[0].detail["before"] is None
    assert [note.detail[side]["starts_on"] for note, side in ((notes[1], "before"), (notes[1], "after"))] == [
        *("2027-06-16", "2027-06-17")
    ]
    assert (notes[3].reason, notes[3].detail["after"]) == ("通知已撤销", None)
    with world.house.db.reading() as connection:
        assert current_version(connection) == version + 4
    assert world.breaches() == []


def test_the_id_of_the_fact_is_that_of_the_change(world: World) -> None:
    enter(world.house, world.officer, DAY, 2027, said(), seen=0)
    with world.house.db.reading_session() as session:
        subject = session.exec(
            select(LoggedEvent.subject_id).where(LoggedEvent.type == "observance.dated")
        ).one()
    assert subject == history(world)[0].id


def test_who_hears_it_in_the_transaction_can_still_stop_it(world: World) -> None:
    """Campaigns move in the same transaction: either both stand, or neither."""
    heard: list[Any] = []

    def hear(connection: sa.Connection, events: Any) -> None:
        with Session(bind=connection, join_transaction_mode="rollback_only") as session:
            heard.append(session.get_one(Observance, (DAY, 2027)).starts_on)
        heard.extend(events)
        raise RuntimeError("not today")

    world.house.__dict__["same_transaction"] = (SameTransaction("test", (ObservanceDated,), hear),)
    with pytest.raises(RuntimeError):
        enter(world.house, world.officer, DAY, 2027, said(), seen=0)
    assert heard[0] == "2027-06-16"
    assert (heard[1].starts_on, heard[1].year) == (date(2027, 6, 16), 2027)
    assert entry(world, DAY, 2027).awaiting
    assert history(world) == []
    assert told(world) == []
    assert audited(world) == []


def test_a_name_stays_when_every_year_was_taken_back(world: World) -> None:
    for year in (2013, 2014, 2015, 2017, *range(2019, 2027)):
        take_back(world.house, world.officer, DAY, year, "登记有误", seen=0)
    found = entry(world, DAY, 2026)
    assert (found.awaiting, found.name_en, found.known) == (True, "National Low-Carbon Day", None)
    enter(world.house, world.officer, DAY, 2026, said("2026-06-17"), seen=1)
    assert entry(world, DAY, 2026).span == Span(date(2026, 6, 17), date(2026, 6, 17))
    assert world.breaches() == []


def test_only_officers_of_the_district_change_anything(world: World) -> None:
    fixed = Said("09-16", "", NOTICE, "A", "国际臭氧层保护日", "Ozone Day")
    for who in (
        world.organiser,
        *(world.colleague(role) for role in (Role.AUDITOR, Role.ADMIN, Role.HELPER)),
        world.colleague(Role.OFFICER, division=COMMUNITY),
        Principal("resident", world.resident().id, ids.new_id()),
    ):
        for attempt in (
            lambda who=who: enter(world.house, who, DAY, 2027, said(), seen=0),
            lambda who=who: take_back(world.house, who, DAY, 2026, NOTICE, seen=0),
            lambda who=who: add(world.house, who, fixed),
            lambda who=who: edit(world.house, who, "earth_day", fixed, seen=0),
        ):
            with pytest.raises(NotAllowed):
                attempt()
    assert told(world) == []


@pytest.mark.parametrize(
    ("key", "year", "words", "wrong"),
    [
        (DAY, 2027, said(""), {"starts_on"}),
        (DAY, 2027, said("16.6.2027"), {"starts_on"}),
        (DAY, 2027, said("20270616"), {"starts_on"}),
        (DAY, 2027, said("2027-06-31"), {"starts_on"}),
        (DAY, 2027, said("2026-06-16"), {"starts_on", "ends_on"}),
        (DAY, 2027, said("2027-06-16", "2028-06-16"), {"ends_on"}),
        (DAY, 2027, said("2027-06-16", "2027-06-15"), {"ends_on"}),
        (DAY, 2027, said("2027-06-16", "soon"), {"ends_on"}),
        (WEEK, 2027, said("2027-06-01", "2027-07-02"), {"ends_on"}),
        (DAY, 2027, said(source=""), {"source"}),
        (DAY, 2027, said(source=" 字 "), {"source"}),
        (DAY, 2027, said(source="字" * 201), {"source"}),
        (DAY, 2027, said(level="E"), {"confidence"}),
        (DAY, 2027, Said(""), {"starts_on", "source", "confidence"}),
        (DAY, 1999, said("1999-06-16"), {"year"}),
        (DAY, 2029, said("2029-06-16"), {"year"}),
        (DAY, 10**30, said(), {"year"}),
        ("earth_day", 2027, said(), {"key"}),
        ("no_such_day", 2027, said(), {"key"}),
    ],
)
@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_what_cannot_be_is_refused_beside_its_field(
    world: World, key: str, year: int, words: Said, wrong: set[str]
) -> None:
    with pytest.raises(InvalidField) as refused:
        enter(world.house, world.officer, key, year, words, seen=0)
    assert fields(refused.value) == wrong
    assert told(world) == []


def test_a_month_is_the_longest_and_is_taken(world: World) -> None:
    enter(world.house, world.officer, WEEK, 2027, said("2027-06-01", "2027-07-01"), seen=0)
    assert entry(world, WEEK, 2027).span == Span(date(2027, 6, 1), date(2027, 7, 1))


# --- two at once -------------------------------------------------------------------------------------------


def test_said_twice_alike_it_is_said_once_and_somebody_later_is_told(world: World) -> None:
    for _ in range(2):
        enter(world.house, world.officer, DAY, 2027, said(), seen=0)
    enter(world.house, world.officer, DAY, 2027, said(), seen=1)  # saved again as it stands
    for seen in (0, 7, -1):
        with pytest.raises(ObservanceChanged):
            enter(world.house, world.second_officer, DAY, 2027, said("2027-06-17"), seen=seen)
    with pytest.raises(ObservanceChanged):
        enter(world.house, world.second_officer, DAY, 2027, said(), seen=0)
    for _ in range(2):
        take_back(world.house, world.officer, DAY, 2027, "通知已撤销", seen=1)
    take_back(world.house, world.officer, DAY, 2028, "本来就没有", seen=0)
    assert [one.revision for one in history(world)] == [1, 2]
    assert len(told(world)) == 2


def test_of_many_officers_at_once_one_enters_and_the_others_are_told(world: World) -> None:
    officers = [world.colleague(Role.OFFICER) for _ in range(6)]
    days = [f"2027-06-{day}" for day in range(10, 16)]
    results = at_once(
        [
            lambda who=who, day=day: enter(world.house, who, DAY, 2027, said(day), seen=0)
            for who, day in zip(officers, days, strict=True)
        ]
    )
    assert sorted(codes(results)) == ["observance_changed"] * 5 + ["ok"]
    (change,) = history(world)
    assert change.starts_on == days[codes(results).index("ok")]
    assert len(told(world)) == 1
    assert world.breaches() == []


def careless(world: World, day: str, ready: threading.Barrier) -> None:
    """A service that takes no turn: it looks first, and writes when everybody has looked."""
    with world.house.db.reading_session() as session:
        revision = len(session.exec(select(ObservanceChange).where(ObservanceChange.key == DAY)).all()) + 1
        last = session.get_one(Observance, (DAY, 2026))
        values = changes.said_by(last) | {"starts_on": day, "ends_on": day}
    ready.wait(30)
    with world.house.db.session() as session:
        session.add(ObservanceChange(key=DAY, year=2027, revision=revision, **values, changed_at=clock.now()))


def test_the_database_counts_each_change_once_and_without_its_rule_two_would_win(world: World) -> None:
    def both() -> list[str]:
        ready = threading.Barrier(2)
        days = ("2027-06-16", "2027-06-17")
        results = at_once([lambda day=day: careless(world, day, ready) for day in days])
        return sorted(type(result).__name__ for result in results)

    assert both() == ["IntegrityError", "NoneType"]
    drop_rule(world)
    assert both() == ["NoneType", "NoneType"]
    revisions = [one.revision for one in history(world)]
    assert revisions == [1, 2, 2]
    assert any("no gap" in breach for breach in world.breaches())


def drop_rule(world: World) -> None:
    """Take the unique rule away; SQLite, which cannot, gets the same table without it."""
    with world.house.db.transaction() as connection:
        if connection.dialect.name == "postgresql":
            name = "uq_observance_change_key_year_revision"
            connection.execute(sa.text(f"ALTER TABLE observance_change DROP CONSTRAINT {name}"))
            return
        drop_guards(connection)
        connection.execute(sa.text("ALTER TABLE observance_change RENAME TO before"))
        connection.execute(sa.text("CREATE TABLE observance_change AS SELECT * FROM before"))
        connection.execute(sa.text("DROP TABLE before"))


def drop_guards(connection: sa.Connection) -> None:
    for guard in GUARDS:
        for statement in guard.drop(connection.dialect.name):
            connection.execute(sa.text(statement))


# --- the database itself ------------------------------------------------------------------------------------


def tampered(world: World) -> list[Any]:
    table, log = (SQLModel.metadata.tables[name] for name in ("observance", "observance_change"))
    of = (table.c.key == DAY) & (table.c.year == 2027)
    row = {**changes.said_by(history(world)[-1]), "key": DAY, "year": 2027}
    return [
        sa.update(table).where(of).values(starts_on="2027-06-20", ends_on="2027-06-20"),
        sa.update(table).where(of).values(source="没有写下的依据"),
        sa.delete(table).where(of),
        sa.update(log).values(source="改写历史"),
        sa.delete(log),
        sa.insert(table).values({**row, "key": WEEK, "starts_on": "2027-06-20", "ends_on": "2027-06-21"}),
    ]


def test_no_date_changes_but_by_its_history_and_without_the_guards_it_would(world: World) -> None:
    enter(world.house, world.officer, DAY, 2027, said(), seen=0)
    enter(world.house, world.officer, WEEK, 2027, said("2027-06-14", "2027-06-20"), seen=0)
    take_back(world.house, world.officer, WEEK, 2027, "通知已撤销", seen=1)
    for statement in tampered(world):
        with pytest.raises(sa.exc.IntegrityError), world.house.db.transaction() as connection:
            connection.execute(statement)
    assert world.breaches() == []
    with world.house.db.transaction() as connection:
        drop_guards(connection)
    for statement in tampered(world):
        with world.house.db.engine.connect() as connection, connection.begin() as transaction:
            assert connection.execute(statement).rowcount, statement
            transaction.rollback()
    with world.house.db.transaction() as connection:
        connection.execute(tampered(world)[0])
    assert any("latest change" in breach for breach in world.breaches())


def test_the_table_refuses_what_breaks_its_rules(world: World) -> None:
    enter(world.house, world.officer, DAY, 2027, said(), seen=0)
    sound = history(world)[0].model_dump() | {"id": ids.new_id(), "revision": 2}
    table = SQLModel.metadata.tables["observance_change"]
    for wrong in (
        {"revision": 0},
        {"revision": 1},
        {"source": ""},
        {"year": 0},
        {"kind": "fixed"},
        {"starts_on": None},
        {"starts_on": "2027-06-17"},
        {"ends_on": "2028-06-17"},
        {"starts_on": "2026-06-16"},
        {"confidence": "E"},
    ):
        refused = pytest.raises((sa.exc.IntegrityError, sa.exc.StatementError))
        with refused, world.house.db.transaction() as connection:
            connection.execute(sa.insert(table).values(sound | wrong))
    with world.house.db.engine.connect() as connection, connection.begin() as transaction:
        connection.execute(sa.insert(table).values(sound))  # the control
        transaction.rollback()


# --- fixed ones --------------------------------------------------------------------------------------------

OZONE = Said("09-16", "", "联合国大会决议", "B", "国际臭氧层保护日", "International Day for the Ozone Layer")


def test_a_fixed_day_is_added_edited_and_taken_back(world: World) -> None:
    key = add(world.house, world.officer, OZONE)
    assert key == "international_day_for_the_ozone"
    assert add(world.house, world.officer, OZONE) == key  # the second tap
    day = date(2026, 9, 16)
    assert entry(world, key, 2026).span == Span(day, day)
    years = (2026, 2027, 2028)
    assert told(world) == [(key, year, day.replace(year=year), day.replace(year=year)) for year in years]
    with pytest.raises(InvalidField) as refused:
        add(world.house, world.second_officer, OZONE)
    assert fields(refused.value) == {"name_en"}

    longer = Said("09-16", "09-18", OZONE.source, "B", "臭氧层宣传周", OZONE.name_en)
    edit(world.house, world.second_officer, key, longer, seen=1)
    assert entry(world, key, 2030).span == Span(date(2030, 9, 16), date(2030, 9, 18))
    assert entry(world, key, 2027).name_zh == "臭氧层宣传周"
    with pytest.raises(ObservanceChanged):
        edit(world.house, world.officer, key, OZONE, seen=1)
    take_back(world.house, world.officer, key, EVERY_YEAR, "登记有误", seen=2)
    with world.house.db.reading_session() as session:
        assert key not in {one.key for one in calendar_of(session, 2027)}
    assert told(world)[-1] == (key, 2028, None, None)
    assert add(world.house, world.officer, OZONE) == key
    assert [one.revision for one in history(world, key, EVERY_YEAR)] == [1, 2, 3, 4]
    assert world.breaches() == []


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_fixed_day_that_cannot_be_is_refused_beside_its_field(world: World) -> None:
    sound = {name: getattr(OZONE, name) for name in Said.__dataclass_fields__}
    for wrong, where in (
        ({"starts_on": "9-16"}, {"starts_on"}),
        ({"starts_on": "02-30"}, {"starts_on"}),
        ({"starts_on": "2026-09-16"}, {"starts_on"}),
        ({"starts_on": "12-30", "ends_on": "01-02"}, {"ends_on"}),
        ({"ends_on": "11-16"}, {"ends_on"}),
        ({"name_zh": ""}, {"name_zh"}),
        ({"name_zh": "字" * 65}, {"name_zh"}),
        ({"name_en": "x"}, {"name_en"}),
        ({"name_en": "22 September"}, {"name_en"}),
        ({"name_en": "Earth day"}, {"name_en"}),
        ({"source": "", "confidence": ""}, {"source", "confidence"}),
    ):
        with pytest.raises(InvalidField) as refused:
            add(world.house, world.officer, Said(**sound | wrong))
        assert fields(refused.value) == where, wrong
    with pytest.raises(InvalidField) as refused:
        edit(world.house, world.officer, DAY, OZONE, seen=0)
    assert fields(refused.value) == {"key"}
    assert told(world) == []


# --- reference files ---------------------------------------------------------------------------------------


def test_what_an_officer_entered_stands_over_a_file_and_the_conflict_is_told(
    world: World, files: Path
) -> None:
    enter(world.house, world.officer, DAY, 2026, said("2026-06-18"), seen=0)
    enter(world.house, world.officer, WEEK, 2027, said("2027-06-14", "2027-06-20"), seen=0)
    take_back(world.house, world.officer, WEEK, 2025, "没有查到通知", seen=0)
    before = history(world, year=2026), told(world)
    for _ in range(2):
        report = load_reference(world.house, files)
    assert [(one.new, one.changed) for one in report.loaded] == [(0, 0)]
    kept = {(problem.line, problem.column): problem.reason for problem in report.kept}
    assert kept[32, "starts_on"] == "kept what an officer entered (2026-06-18); the file says 2026-06-17"
    assert kept[29, "starts_on"] == "kept what an officer entered (no date); the file says 2025-06-23"
    assert {line for line, _ in kept} == {29, 32}
    assert entry(world, DAY, 2026).span == Span(date(2026, 6, 18), date(2026, 6, 18))
    assert entry(world, WEEK, 2025).awaiting
    assert not entry(world, WEEK, 2027).awaiting  # the file does not know that year
    assert (history(world, year=2026), told(world)) == before
    differing = [note.subject for note in audited(world) if note.deed == "observance.file_differs"]
    assert sorted(differing) == ["observance:energy_saving_week:2025", "observance:low_carbon_day:2026"]
    shown = CliRunner().invoke(load_reference_command, [str(files)], obj=world.house)
    assert shown.exit_code == 0
    assert "observances.csv:32 starts_on: kept what an officer entered (2026-06-18)" in shown.stderr
    assert world.breaches() == []


def test_a_file_that_says_the_same_as_the_officer_is_no_conflict(world: World, files: Path) -> None:
    row = {"starts_on": "2026-06-18", "ends_on": "2026-06-18", "source": NOTICE, "confidence": "A"}
    enter(world.house, world.officer, DAY, 2026, said("2026-06-18"), seen=0)
    edit_sheet(files / "observances.csv", setting(LAST_ROW, **row))
    assert load_reference(world.house, files).kept == ()


def test_a_newer_file_enters_and_moves_what_nobody_has_entered(world: World, files: Path) -> None:
    """Then campaigns must move with it as with an officer's word, so it is told and written down alike."""
    enter(world.house, world.officer, WEEK, 2027, said("2027-06-14", "2027-06-20"), seen=0)

    def change(rows: list[dict[str, str]]) -> None:
        rows[LAST_ROW] |= {"starts_on": "2026-06-18", "ends_on": "2026-06-18"}
        rows.append(rows[LAST_ROW] | {"year": "2027", "starts_on": "2027-06-16", "ends_on": "2027-06-16"})

    edit_sheet(files / "observances.csv", change)
    report = load_reference(world.house, files)
    assert [(one.new, one.changed) for one in report.loaded] == [(1, 1)]
    assert report.kept == ()
    assert told(world)[1:] == [
        (DAY, 2026, date(2026, 6, 18), date(2026, 6, 18)),
        (DAY, 2027, date(2027, 6, 16), date(2027, 6, 16)),
    ]
    (change_of_file,) = history(world)
    assert (change_of_file.changed_by, change_of_file.revision) == (None, 1)
    assert history(world, year=2026)[0].was_starts_on == "2026-06-17"
    with pytest.raises(ObservanceChanged):  # somebody whose page is from before the file
        enter(world.house, world.officer, DAY, 2027, said("2027-06-15"), seen=0)
    enter(world.house, world.officer, DAY, 2027, said("2027-06-15"), seen=1)
    assert load_reference(world.house, files).kept
    assert entry(world, DAY, 2027).span == Span(date(2027, 6, 15), date(2027, 6, 15))
    assert world.breaches() == []


def test_an_officer_and_a_file_at_once_take_turns_and_the_officer_stands(world: World, files: Path) -> None:
    edit_sheet(
        files / "observances.csv",
        lambda rows: rows.append(
            rows[LAST_ROW] | {"year": "2027", "starts_on": "2027-06-16", "ends_on": "2027-06-16"}
        ),
    )

    def officer() -> None:
        for seen in (0, 1):  # once more, having looked again
            try:
                return enter(world.house, world.officer, DAY, 2027, said("2027-06-17"), seen=seen)
            except ObservanceChanged:
                continue
        return None

    results = at_once([officer, *[lambda: load_reference(world.house, files)] * 3])
    assert codes(results) == ["ok"] * 4
    assert entry(world, DAY, 2027).span == Span(date(2027, 6, 17), date(2027, 6, 17))
    assert load_reference(world.house, files).kept
    assert world.breaches() == []


def test_a_file_whose_days_lie_outside_their_year_is_refused(world: World, files: Path) -> None:
    edit_sheet(files / "observances.csv", setting(LAST_ROW, ends_on="2027-06-17"))
    with pytest.raises(InvalidReference) as refused:
        load_reference(world.house, files)
    (wrong,) = refused.value.params["errors"]
    assert (wrong["line"], wrong["column"], wrong["reason"]) == (32, "ends_on", "does not lie in 2026")


def test_a_first_file_is_what_there_is_and_tells_nobody(world: World) -> None:
    assert told(world) == []
    assert history(world) == []
