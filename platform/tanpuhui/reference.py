"""Reference data: CSV files that a room declares, loaded all together or not at all.

A load goes through three steps over every file: read (columns and cells), check (what the rows say together
and beside the database), write. Problems of the first two are collected; one is enough to write nothing. The
rooms' files are taken in the order of the rooms and, within a room, in the order declared: parents first.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, SQLModel

from tanpuhui import audit, clock
from tanpuhui.cells import Convert
from tanpuhui.csvtext import Problem, Sheet, read_sheet
from tanpuhui.db import Statement, session_on
from tanpuhui.errors import InvalidReference
from tanpuhui.events import Event

if TYPE_CHECKING:
    from tanpuhui.rooms import House


class ReferenceState(SQLModel, table=True):
    """One row: how often reference data changed. Caches of reference data key on `version`."""

    __tablename__ = "reference_state"
    __table_args__ = (
        sa.CheckConstraint("id = 1", name="one_row"),
        sa.CheckConstraint("version >= 0", name="version"),
    )

    id: int = Field(default=1, primary_key=True, sa_column_kwargs={"autoincrement": False})
    version: int = Field(sa_type=sa.BigInteger)
    updated_at: datetime


_CURRENT = Statement("SELECT version FROM reference_state")
_BUMP = Statement(
    """
    INSERT INTO reference_state (id, version, updated_at) SELECT 1, 1, q.at FROM {rows} WHERE true
    ON CONFLICT (id) DO UPDATE SET version = reference_state.version + 1, updated_at = excluded.updated_at
    """,
    rows={"at": "time"},
)
_TAKE_TURNS = Statement("{pg:SELECT pg_advisory_xact_lock(31010601)}{sqlite:SELECT 1}")


def current_version(connection: Connection) -> int:
    """How often reference data changed so far; 0 before the first load."""
    transaction = connection.get_transaction()
    known = connection.info.get("reference_version")
    if transaction is not None and known and known[0] is transaction:  # read before in this very transaction
        return int(known[1])
    rows = _CURRENT.run(connection)
    version = rows[0].version if rows else 0
    connection.info["reference_version"] = (transaction, version)
    return int(version)


def take_turns(connection: Connection) -> None:
    """Until the end of the transaction nobody else changes what takes turns here."""
    _TAKE_TURNS.run(connection)


def bump(connection: Connection) -> None:
    """Say that reference data changed; to be called in the transaction that changes it."""
    _BUMP.run(connection, [{"at": clock.now()}])
    connection.info.pop("reference_version", None)


# --- what rooms declare -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Column:
    """A column of a reference file. The values of one that is absent, where it may be, are None."""

    name: str
    convert: Convert
    may_be_absent: bool = False


@dataclass(frozen=True)
class Row:
    """A row as read: `values` by column name. A cell that could not be read is missing from `values`."""

    file: str
    line: int
    values: Mapping[str, Any]

    def get(self, column: str) -> Any:
        """The value of `column`, None when empty or unreadable."""
        return self.values.get(column)

    def bad(self, column: str, reason: str) -> Problem:
        """A problem of this row."""
        return Problem(self.file, self.line, column, reason)


class LoadCount(NamedTuple):
    """Rows written by a load; where it `kept` what people entered since; and what is to be published of it."""

    new: int = 0
    changed: int = 0
    kept: tuple[Problem, ...] = ()
    events: tuple[Event, ...] = ()


def _nothing_to_check(_connection: Connection, _reading: "Reading") -> Iterable[Problem]:
    return ()


def _nothing_to_write(_connection: Connection, _reading: "Reading") -> LoadCount:
    return LoadCount()


@dataclass(frozen=True, eq=False)
class ReferenceFile:
    """What one room reads from the CSV files whose name matches `pattern`.

    Several rooms may read different columns of the same file; a column that nobody reads is a mistake in it.
    `key`: columns that no two rows may share. `home`: the folder of the package's own copy, if it brings one.
    `check` yields problems, `write` stores the rows; both get the reading of all files. `about_unknown` may have
    something to add about the name of a column that nobody knows.
    """

    what: str
    pattern: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    home: Path | None = None
    check: Callable[[Connection, "Reading"], Iterable[Problem]] = _nothing_to_check
    write: Callable[[Connection, "Reading"], LoadCount] = _nothing_to_write
    about_unknown: Callable[[str], str] = lambda _column: ""


@dataclass
class Reading:
    """The rows of every reference file, and the problems met so far."""

    rows_of: dict[ReferenceFile, list[Row]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def rows(self, file: ReferenceFile) -> list[Row]:
        """Rows read for `file`, also those with unreadable cells; empty when it was not given."""
        return self.rows_of.get(file, [])


# --- loading ------------------------------------------------------------------------------------------------


class Loaded(NamedTuple):
    """What became of the rows one room read from a file."""

    file: str
    what: str
    rows: int
    new: int
    changed: int


@dataclass(frozen=True)
class LoadReport:
    """The result of a load: counts in the order written, and the version of reference data after it.

    `kept`: the cells in which the files differ from what people entered since, which stands.
    """

    loaded: tuple[Loaded, ...]
    version: int
    kept: tuple[Problem, ...] = ()


def load_reference(house: "House", directory: Path | None = None) -> LoadReport:
    """Load the CSV files of `directory`, or those that the rooms bring, in one transaction.

    Loading the same files again changes nothing. Raises InvalidReference with `errors`, a list of
    ``{"file", "line", "column", "reason"}`` of all bad rows, having written nothing.
    """
    files = [file for room in house.rooms for file in room.reference]
    reading = read_files(files, _paths(files, directory), missing=str(directory or "the packages"))

    def work(connection: Connection) -> LoadReport:
        take_turns(connection)
        found = [*reading.problems, *(bad for file in files for bad in file.check(connection, reading))]
        if found:
            raise InvalidReference(errors=[bad._asdict() for bad in sorted(set(found))])
        counts = {file: file.write(connection, reading) for file in files if reading.rows(file)}
        loaded = tuple(_loaded(file, reading.rows(file), count) for file, count in counts.items())
        if any(count.new or count.changed for count in loaded):
            bump(connection)
            _note(connection, loaded)
        house.publish(connection, [event for count in counts.values() for event in count.events])
        kept = tuple(problem for count in counts.values() for problem in count.kept)
        return LoadReport(loaded, current_version(connection), kept)

    return house.db.run(work)


def _note(connection: Connection, loaded: Sequence["Loaded"]) -> None:
    """Files are loaded by whoever runs the platform: no officer is asked, so the audit says what changed."""
    counts = {entry.what: [entry.new, entry.changed] for entry in loaded if entry.new or entry.changed}
    with session_on(connection) as session:
        audit.note(
            session,
            actor_kind="operator",
            actor_id=None,
            deed="reference.loaded",
            subject=f"reference:{current_version(connection)}",
            new_and_changed=counts,
        )


def _loaded(file: ReferenceFile, rows: Sequence[Row], count: LoadCount) -> Loaded:
    names = ", ".join(sorted({row.file for row in rows}))
    return Loaded(names, file.what, len(rows), count.new, count.changed)


def _paths(files: Sequence[ReferenceFile], directory: Path | None) -> list[Path]:
    folders = [directory] if directory else sorted({file.home for file in files if file.home})
    return [path for folder in folders for path in sorted(folder.glob("[!.]*.csv"))]


def read_files(files: Sequence[ReferenceFile], paths: Sequence[Path], *, missing: str = "") -> Reading:
    """Read `paths` for `files`; every problem of columns and cells is collected in the result."""
    reading = read_sheets(files, [read_sheet(path) for path in paths])
    if not paths:
        reading.problems.append(Problem(missing, 0, "", "no CSV file here"))
    return reading


def read_sheets(files: Sequence[ReferenceFile], sheets: Iterable[Sheet]) -> Reading:
    """The same for files that are opened already."""
    reading = Reading()
    for sheet in sheets:
        readers = [file for file in files if fnmatch(sheet.file, file.pattern)]
        if not readers:
            reading.problems.append(Problem(sheet.file, 0, "", "no room reads a file of this name"))
            continue
        reading.problems.extend(sheet.problems)
        reading.problems.extend(_wrong_columns(sheet, readers))
        for file in readers:
            rows = [_row(sheet, line, cells, file, reading.problems) for line, cells in sheet.lines]
            reading.rows_of.setdefault(file, []).extend(rows)
    for file, rows in reading.rows_of.items():
        reading.problems.extend(_repeated(file, rows))
    return reading


def _wrong_columns(sheet: Sheet, readers: Sequence[ReferenceFile]) -> Iterator[Problem]:
    known = {column.name: column for file in readers for column in file.columns}
    given = sheet.header
    for name in given:
        if name not in known:
            more = (file.about_unknown(name) for file in readers)
            yield Problem(sheet.file, 1, name, ": ".join(["unknown column", *filter(None, more)]))
        elif given.count(name) > 1:
            yield Problem(sheet.file, 1, name, "the column appears more than once")
    for name, column in known.items():
        if given and name not in given and not column.may_be_absent:
            yield Problem(sheet.file, 1, name, "the column is missing")


def _row(sheet: Sheet, line: int, cells: Sequence[str], file: ReferenceFile, problems: list[Problem]) -> Row:
    """The row's values; what cannot be read goes to `problems`, unless the row has too few or many cells,
    which is told once already."""
    given = dict(zip(sheet.header, cells, strict=False))
    values: dict[str, Any] = {}
    for column in file.columns:
        if column.name not in given:
            if column.may_be_absent and column.name not in sheet.header:
                values[column.name] = None
            continue
        try:
            values[column.name] = column.convert(given[column.name].strip())
        except ValueError as error:
            if len(cells) == len(sheet.header):
                problems.append(Problem(sheet.file, line, column.name, str(error)))
    return Row(sheet.file, line, values)


def _repeated(file: ReferenceFile, rows: Sequence[Row]) -> Iterator[Problem]:
    first: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        if not file.key or any(name not in row.values for name in file.key):
            continue
        key = tuple(row.get(name) for name in file.key)
        before = first.setdefault(key, row)
        if before is not row:
            yield row.bad(file.key[0], f"the same {' and '.join(file.key)} as in line {before.line}")


def store(
    connection: Connection, table: str, rows: Iterable[Mapping[str, Any]], *, keep: Iterable[str] = ()
) -> LoadCount:
    """Insert `rows` into `table`, or update in place those whose primary key is there already.

    Columns named in `keep` are set when a row is new and never touched afterwards.
    """
    target = SQLModel.metadata.tables[table]
    key = [column.name for column in target.primary_key]
    there = {
        tuple(row[name] for name in key): row for row in connection.execute(sa.select(target)).mappings()
    }
    new, changed, kept = [], 0, set(keep)
    for row in rows:
        identity = tuple(row[name] for name in key)
        stored = there.get(identity)
        if stored is None:
            new.append(dict(row))
            continue
        different = {name: row[name] for name in row if name not in kept and row[name] != stored[name]}
        if different:
            same = [target.c[name] == value for name, value in zip(key, identity, strict=True)]
            connection.execute(sa.update(target).where(*same).values(different))
            changed += 1
    if new:
        connection.execute(sa.insert(target), new)
    return LoadCount(len(new), changed)
