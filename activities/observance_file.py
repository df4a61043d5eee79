"""The reference file of observances. What officers entered stands over it: where the file differs, that is told."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy.engine import Connection
from sqlmodel import Session, select

from activities.catalogue import PACKAGE_DATA
from activities.observance_changes import ObservanceChange, dated, latest, record, said_by, subject_of
from activities.observances import EVERY_YEAR, Observance, ObservanceKind
from activities.quantify.factors import Confidence
from tanpuhui import audit, cells
from tanpuhui.csvtext import Problem
from tanpuhui.db import session_on
from tanpuhui.reference import Column, LoadCount, Reading, ReferenceFile, Row, store

#: The deed under which the audit keeps that a file differs.
_DIFFERS = "observance.file_differs"


def _month_day_or_day(cell: str) -> str:
    """``MM-DD`` of every year (the 29th of February is not) or a whole date."""
    if len(cell) == 5:
        cells.day(f"2001-{cell}")
        return cell
    return str(cells.day(cells.text(cell)))


def _check(_connection: Connection, reading: Reading) -> Iterator[Problem]:
    for row in reading.rows(OBSERVANCES_FILE):
        kind, year = row.get("kind"), row.get("year")
        starts, ends = row.get("starts_on"), row.get("ends_on")
        fixed = kind is ObservanceKind.FIXED
        if kind and "year" in row.values and fixed != (year is None):
            yield row.bad("year", f"must {'' if fixed else 'not '}be empty for a {kind} observance")
        for column, value in (("starts_on", starts), ("ends_on", ends)):
            if kind and value and fixed != (len(value) == 5):
                yield row.bad(column, f"must be written {'MM-DD' if fixed else 'YYYY-MM-DD'}")
            if year and value and len(value) == 10 and value[:4] != str(year):
                yield row.bad(column, f"does not lie in {year}")
        if starts and ends and len(starts) == len(ends) and ends < starts:
            yield row.bad("ends_on", f"ends ({ends}) before it starts ({starts})")


def _write(connection: Connection, reading: Reading) -> LoadCount:
    """The first file is what there is; of a later one every difference is a change like an officer's."""
    rows = reading.rows(OBSERVANCES_FILE)
    with session_on(connection) as session:
        if not any(session.exec(select(table).limit(1)).first() for table in (Observance, ObservanceChange)):
            first = [{**row.values, "year": row.values["year"] or EVERY_YEAR} for row in rows]
            return store(connection, "observance", first)
        counts = [_take_in(session, row) for row in rows]
    return LoadCount(
        new=sum(count.new for count in counts),
        changed=sum(count.changed for count in counts),
        kept=tuple(problem for count in counts for problem in count.kept),
        events=tuple(event for count in counts for event in count.events),
    )


def _take_in(session: Session, row: Row) -> LoadCount:
    """Let the observance say what `row` does, unless an officer has said otherwise."""
    said = {name: value for name, value in row.values.items() if name not in {"key", "year"}}
    key, year = row.values["key"], row.values["year"] or EVERY_YEAR
    stands, last = session.get(Observance, (key, year)), latest(session, key, year)
    if stands is not None and said_by(stands) == said:
        return LoadCount()
    if last is not None and last.changed_by is not None:
        return LoadCount(kept=tuple(_told(session, row, last, said)))
    change = record(session, key, year, said, by=None)
    return LoadCount(new=stands is None, changed=stands is not None, events=tuple(dated(change)))


def _told(session: Session, row: Row, last: ObservanceChange, said: dict[str, Any]) -> Iterator[Problem]:
    """Say where a file differs from what an officer entered; to the officers too (`differences`), once for each wording."""
    mine = said_by(last)
    wording = {"file": said, "kept": mine}
    if not any(note.detail == wording for note in differences(session, last)):
        audit.note(
            session,
            actor_kind="operator",
            actor_id=None,
            deed=_DIFFERS,
            subject=subject_of(last),
            file=wording["file"],
            kept=wording["kept"],
        )
    for column, value in said.items():
        if value != mine[column]:
            entered = f"{mine[column]!s}" if mine[column] else "no date"
            yield row.bad(column, f"kept what an officer entered ({entered}); the file says {value!s}")


def differences(session: Session, change: ObservanceChange) -> list[audit.AuditEntry]:
    """Where files have differed from this latest change of an observance, and were not followed."""
    notes = audit.history(session, subject_of(change), change.changed_at)
    return [note for note in notes if note.deed == _DIFFERS]


OBSERVANCES_FILE = ReferenceFile(
    what="observance",
    pattern="observances.csv",
    columns=(
        Column("key", cells.code),
        Column("name_zh", cells.name),
        Column("name_en", cells.name),
        Column("kind", cells.choice(ObservanceKind)),
        Column("year", cells.optional(cells.whole(2000, 2999))),
        Column("starts_on", _month_day_or_day),
        Column("ends_on", _month_day_or_day),
        Column("source", cells.text),
        Column("confidence", cells.choice(Confidence)),
    ),
    key=("key", "year"),
    home=PACKAGE_DATA,
    check=_check,
    write=_write,
)
