"""From a number of participants to the people behind it: in which day and community each is counted, and their records there.

People do not add up over days and communities. So each is counted once, where they first took part in the period: on the first day, and of
several communities of that day in the one of the lowest code. Those who are counted so add up to the number, and nobody is listed twice.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import SQLModel

from tanpuhui.bureau.tracing import PAGE, Asked, FigureKey, folded_until, of_the_day
from tanpuhui.events import event_class
from tanpuhui.figures import DIMENSIONS, Feed
from tanpuhui.participants import read_days

#: Of so many residents the days are read at once.
_AT_ONCE = 5000


class Place(NamedTuple):
    """A community on a day."""

    day: date
    division_code: str

    @property
    def name(self) -> str:
        """It as an address names it."""
        return f"{self.day.isoformat()}~{self.division_code}"

    @classmethod
    def parse(cls, name: str) -> "Place | None":
        """The place called `name`, if it is one."""
        day, _, division_code = name.partition("~")
        try:
            return cls(date.fromisoformat(day), division_code)
        except ValueError:
            return None


class Present(NamedTuple):
    """How many people took part there, and how many of them are counted there: those who had not yet in the period."""

    place: Place
    people: int
    counted: int


@dataclass(frozen=True)
class Record:
    """A record that stands and makes somebody a participant. `figure` is the daily figure that it is in."""

    action_id: UUID
    figure: FigureKey
    recorded_at: datetime


# --- where people are counted --------------------------------------------------------------------------------


def places_of(connection: Connection, asked: Asked, after: str = "") -> tuple[list[Present], bool]:
    """A page of the days and communities in which somebody took part, in order, and whether there are more.

    `after`: the name of the last one before the page, or a day from which on. Whoever was there is read, and no one else.
    """
    places = _places(connection, asked, after)
    people = _people(connection, asked, places[:PAGE])
    begun = _begun(connection, asked, {one for there in people.values() for one in there})
    found = [
        Present(place, len(people[place]), sum(begun.get(one) == place for one in people[place]))
        for place in places[:PAGE]
    ]
    return found, len(places) > PAGE


def people_at(connection: Connection, asked: Asked, place: Place) -> list[UUID]:
    """Who is counted there."""
    people = _people(connection, asked, [place]).get(place, ())
    begun = _begun(connection, asked, people)
    return sorted(one for one in people if begun.get(one) == place)


def _places(connection: Connection, asked: Asked, after: str) -> list[Place]:
    """One more than a page, from the figures, which are few."""
    table = SQLModel.metadata.tables["daily_figure"]
    key = (table.c.day, table.c.division_code)
    query = sa.select(*key).where(*_within(table, asked), table.c.actions > 0).group_by(*key)
    if (last := Place.parse(after)) is not None:
        named = [sa.literal(value, column.type) for value, column in zip(last, key, strict=True)]
        query = query.where(sa.tuple_(*key) > sa.tuple_(*named), table.c.day >= last.day)
    rows = connection.execute(query.order_by(*key).limit(PAGE + 1))
    return [Place(*row) for row in rows]


def _people(connection: Connection, asked: Asked, places: Sequence[Place]) -> dict[Place, set[UUID]]:
    """Whoever has a standing record there."""
    table = SQLModel.metadata.tables["daily_participant"]
    found: dict[Place, set[UUID]] = {place: set() for place in places}
    for place in places:
        query = sa.select(table.c.resident_id).where(
            *_within(table, asked),
            table.c.day == place.day,
            table.c.division_code == place.division_code,
            table.c.actions > 0,
        )
        found[place].update(connection.scalars(query))
    return found


def _within(table: sa.Table, asked: Asked) -> Iterator[sa.ColumnElement[bool]]:
    """What the number is of, for a table by day, community, kind and campaign."""
    view = asked.view
    yield table.c.day.between(view.period.first, view.period.last)
    yield sa.func.substr(table.c.division_code, 1, len(view.area)) == view.area
    if view.kind:
        yield table.c.kind == view.kind
    if view.campaign:
        yield table.c.campaign == view.campaign


def _begun(connection: Connection, asked: Asked, residents: set[UUID] | Sequence[UUID]) -> dict[UUID, Place]:
    """Where each of `residents` first took part in what the number is of."""
    table = SQLModel.metadata.tables["participant_year"]
    years = {asked.view.period.first.year, asked.view.period.last.year}
    found: dict[UUID, Place] = {}
    wanted = sorted(residents)
    for first in range(0, len(wanted), _AT_ONCE):
        some = wanted[first : first + _AT_ONCE]
        query = sa.select(table.c.resident_id, table.c.year, table.c.days).where(
            table.c.resident_id.in_(some), table.c.year.in_(sorted(years))
        )
        for resident_id, year, days in connection.execute(query):
            begun = min(_first_places(asked, year, days), default=None)
            if begun is not None:
                found[resident_id] = min(begun, found.get(resident_id, begun))
    return found


def _first_places(asked: Asked, year: int, days: str) -> Iterator[Place]:
    """The first day of each community in one year of a resident's bits."""
    view, new_year = asked.view, date(year, 1, 1)
    before = max((view.period.first - new_year).days, 0)
    until = (view.period.last - new_year).days + 1
    mask = (1 << until) - (1 << before) if until > before else 0
    for cell, bits in read_days(days).items():
        here = bits & mask
        if (
            here
            and cell.division_code.startswith(view.area)
            and view.kind in {None, cell.kind}
            and view.campaign in {None, cell.campaign}
        ):
            yield Place(new_year + timedelta(days=(here & -here).bit_length() - 1), cell.division_code)


# --- their records -------------------------------------------------------------------------------------------


def records_of(
    connection: Connection, feeds: Sequence[Feed], asked: Asked, place: Place, residents: Sequence[UUID]
) -> Mapping[UUID, Sequence[Record]]:
    """The records of `residents` there that stand, in the order of their events; whose events these are has an index."""
    standing: dict[tuple[UUID, UUID], int] = {}
    records: dict[tuple[UUID, UUID], Record] = {}
    is_folded = folded_until(connection)
    for row in connection.execute(of_the_day(connection, feeds, place.day, residents)):
        if not is_folded(row.tx, row.position):
            continue
        for key, change in _participations(connection, feeds, row):
            if _is_there(asked, place, key):
                whose = (row.resident_id, row.subject_id)
                standing[whose] = standing.get(whose, 0) + change
                records.setdefault(whose, Record(row.subject_id, key, row.recorded_at))
    found: dict[UUID, list[Record]] = {one: [] for one in residents}
    for whose, record in records.items():
        if standing[whose] > 0:
            found[whose[0]].append(record)
    return found


def _participations(
    connection: Connection, feeds: Sequence[Feed], row: Any
) -> Iterator[tuple[FigureKey, int]]:
    """What an event changes of who takes part, by the figure that it is folded into."""
    event = event_class(row.type).from_payload(row.payload)
    for feed in feeds:
        if isinstance(event, feed.hears):
            for one in feed.contributions(connection, [event]):
                if one.participations:
                    yield FigureKey(*(getattr(one, name) for name in DIMENSIONS)), one.participations


def _is_there(asked: Asked, place: Place, key: FigureKey) -> bool:
    view = asked.view
    return (
        (key.day, key.division_code) == place
        and view.kind in {None, key.kind}
        and view.campaign in {None, key.campaign}
    )
