"""From a number of the bureau to what it is made of: daily figures, and the events that were folded into each.

Nothing of it is stored: the figures are read as they stand, and of each event its contribution is computed again by the feeds that
the relay folds with. So each level adds up to the level above, or it is seen that it does not.
"""

import base64
import hmac
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import SQLModel, col

from tanpuhui.bureau.participation import NUMBERS, PARTS, REDUCTIONS
from tanpuhui.bureau.told import told_sums, whole_sums
from tanpuhui.bureau.view import Choices, View, read_view
from tanpuhui.events import Event, event_class
from tanpuhui.figures import DIMENSIONS, DailyFigure, Feed
from tanpuhui.i18n import N_
from tanpuhui.outbox import EventFailure, SubscriberCursor
from tanpuhui.periods import CalendarPeriod

#: So many figures or events stand on a page.
PAGE = 50

#: Of which figures a number is the sum, besides those of all actions.
_OWN = "own"

#: Number -> the measure of `measures.MEASURES` that is added up, and of which part of the figures ("" is all of them).
MADE_OF: Mapping[str, tuple[str, str]] = {
    "actions": ("actions", ""),
    "points": ("points", ""),
    "own_actions": ("actions", _OWN),
    "co2e_known": ("actions", _OWN),
    "quantity_milli": ("quantity_milli", _OWN),
    **{name: (name, _OWN) for name in REDUCTIONS},
    **{f"{part}_{name}": (name, part) for part in PARTS for name in ("actions", *REDUCTIONS)},
}
assert MADE_OF.keys() == set(NUMBERS)

#: The number that is no sum: of distinct people (`bureau.traced_people`). Its figures are those of all actions.
PEOPLE = "participants"

#: Every number that can be traced.
TRACED = (PEOPLE, *MADE_OF)

DEFAULT_MEASURE = "co2e_mg"


@dataclass(frozen=True)
class Asked:
    """A number of the bureau: a measure (of `TRACED`) of what an officer looks at, perhaps of one tier of evidence alone."""

    view: View
    measure: str
    evidence: str | None = None

    @property
    def summed(self) -> str:
        """The measure that is added up in its figures and events."""
        return "actions" if self.measure == PEOPLE else self.measure

    def address(self) -> dict[str, Any]:
        """It as a query that `read_asked` reads."""
        tier = {"evidence": self.evidence} if self.evidence else {}
        return self.view.address() | tier | {"measure": self.measure}


def read_asked(
    connection: Connection, query: Mapping[str, str], district: str
) -> tuple[Asked, Choices, dict[str, str]]:
    """The number that an address asks for, what else there is, and what was wrong, by field; then the default stands there."""
    view, offered, wrong = read_view(connection, query, district)
    measure = query.get("measure", "").strip() or DEFAULT_MEASURE
    if measure not in TRACED:
        wrong["measure"] = N_("没有这个数。")
        measure = DEFAULT_MEASURE
    evidence = query.get("evidence", "").strip() or None
    if evidence is not None and evidence not in tiers(connection):
        wrong["evidence"] = N_("没有这个证据等级。")
        evidence = None
    if evidence is not None and measure == PEOPLE:
        wrong["evidence"] = N_("同一个人的记录可以有不同的证据等级，人数不按它分。")
        evidence = None
    return Asked(view, measure, evidence), offered, wrong


def tiers(connection: Connection) -> Sequence[str]:
    """The codes of the tiers of evidence, the strongest first."""
    table = SQLModel.metadata.tables["evidence_tier"].c
    return connection.scalars(sa.select(table.code).order_by(table.rank.desc(), table.code)).all()


# --- the number and its figures ------------------------------------------------------------------------------


class FigureKey(NamedTuple):
    """Which daily figure: in the order of `figures.DIMENSIONS`."""

    day: date
    division_code: str
    kind: str
    evidence: str
    campaign: str
    city_credited: bool

    @property
    def name(self) -> str:
        """It as an address names it."""
        return "~".join(
            (
                self.day.isoformat(),
                self.division_code,
                self.kind,
                self.evidence,
                self.campaign,
                str(int(self.city_credited)),
            )
        )

    @classmethod
    def parse(cls, name: str) -> "FigureKey | None":
        """The key called `name`, if it is one."""
        try:
            day, division_code, kind, evidence, campaign, city = name.split("~")
            return cls(date.fromisoformat(day), division_code, kind, evidence, campaign, city == "1")
        except ValueError:
            return None


class Figure(NamedTuple):
    """A daily figure and how much of the number it is."""

    key: FigureKey
    amount: int


@dataclass(frozen=True)
class Told:
    """A number as it is told: `amount` is None where it is withheld, `withheld` says why."""

    amount: int | None
    withheld: str | None


def number(connection: Connection, asked: Asked, *, whole: bool) -> Told:
    """What the number is; with nothing withheld if `whole`."""
    of_tier = _sums(connection, asked, [asked.view.period], (), whole=whole)
    if not of_tier:  # nothing of that evidence, if that may be told
        (row,) = _sums(connection, replace(asked, evidence=None), [asked.view.period], (), whole=whole)
        return Told(None if row["withheld"] else 0, row["withheld"])
    (row,) = of_tier
    return Told(row[asked.measure], row["withheld"])


def parts(connection: Connection, asked: Asked, *, whole: bool) -> list[tuple[CalendarPeriod, Told]]:
    """The smaller periods that add up to it, those of something or of what is withheld; none for a day."""
    if not asked.view.parts:
        return []
    rows = _sums(connection, asked, asked.view.parts, ("period",), whole=whole)
    return [(row["period"], Told(row[asked.measure], row["withheld"])) for row in rows]


def _sums(
    connection: Connection, asked: Asked, periods: Sequence[CalendarPeriod], by: Sequence[str], *, whole: bool
) -> list[dict[str, Any]]:
    of, view = whole_sums if whole else told_sums, asked.view
    if asked.evidence:
        by = (*by, "evidence")
    rows = of(connection, periods, [view.area], by=by, kind=view.kind, campaign=view.campaign)
    return [row for row in rows if row["evidence"] == asked.evidence] if asked.evidence else rows


def figures_total(connection: Connection, asked: Asked) -> tuple[int, int]:
    """How many daily figures it is made of, and what they add up to."""
    figures = _figures(asked).subquery()
    count, total = connection.execute(sa.select(sa.func.count(), sa.func.sum(figures.c.amount))).one()
    return count, int(total or 0)


def figures_of(connection: Connection, asked: Asked, after: str = "") -> tuple[list[Figure], bool]:
    """A page of the daily figures that it is made of, by day and community, and whether there are more.

    `after`: the name of the last one before the page, or a day from which on.
    """
    query = _figures(asked)
    last, day = FigureKey.parse(after), _day(after)
    if last is not None:
        query = query.where(sa.tuple_(*_KEY) > sa.tuple_(*_typed(last)))
    elif day is not None:
        query = query.where(col(DailyFigure.day) >= day)
    rows = connection.execute(query.order_by(*_KEY).limit(PAGE + 1)).all()
    return [Figure(FigureKey(*row[:-1]), int(row[-1])) for row in rows[:PAGE]], len(rows) > PAGE


def figure(connection: Connection, asked: Asked, name: str) -> Figure | None:
    """The daily figure called `name`, if the number is made of it."""
    key = FigureKey.parse(name)
    if key is None:
        return None
    row = connection.execute(
        _figures(asked).where(*(column == value for column, value in zip(_KEY, key, strict=True)))
    ).first()
    return Figure(key, int(row[-1])) if row else None


def _typed(key: FigureKey) -> list[sa.ColumnElement[Any]]:
    return [sa.literal(value, column.type) for value, column in zip(key, _KEY, strict=True)]


_KEY = tuple(DailyFigure.__table__.c[name] for name in DIMENSIONS)  # type: ignore[attr-defined]


def _figures(asked: Asked) -> sa.Select[Any]:
    """The daily figures that the number is made of: their key, and how much each is of it."""
    measure, part = MADE_OF[asked.summed]
    table, tiers = SQLModel.metadata.tables["daily_figure"], SQLModel.metadata.tables["evidence_tier"]
    verified = sa.func.coalesce(tiers.c.counts_as_verified, sa.false())
    own = ~table.c.city_credited
    of_part: dict[str, tuple[sa.ColumnElement[bool], ...]] = {
        "": (),
        _OWN: (own,),
        "city": (table.c.city_credited,),
        "verified": (own, verified),
        "self_declared": (own, ~verified),
    }
    query = (
        sa.select(*_KEY, table.c[measure].label("amount"))
        .select_from(table.outerjoin(tiers, tiers.c.code == table.c.evidence))
        .where(
            table.c.day.between(asked.view.period.first, asked.view.period.last),
            sa.func.substr(table.c.division_code, 1, len(asked.view.area)) == asked.view.area,
            *of_part[part],
        )
    )
    if asked.evidence:
        query = query.where(table.c.evidence == asked.evidence)
    if asked.view.kind:
        query = query.where(table.c.kind == asked.view.kind)
    return query.where(table.c.campaign == asked.view.campaign) if asked.view.campaign else query


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


# --- the events of a figure ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class FoldedEvent:
    """An event that was folded into a figure, and by how much it changed it. `subject_id` is the action."""

    position: int
    type: str
    recorded_at: datetime
    subject_id: UUID
    resident_id: UUID
    amount: int


@dataclass(frozen=True)
class Folded:
    """The events of a figure in the order in which they were folded; `waiting` more of that day and place are not folded yet."""

    events: Sequence[FoldedEvent]
    waiting: int

    @property
    def total(self) -> int:
        """What they add up to."""
        return sum(event.amount for event in self.events)


def folded(connection: Connection, feeds: Sequence[Feed], asked: Asked, key: FigureKey) -> Folded:
    """The events that were folded into the daily figure `key`, with what each is of the number.

    Whoever has one is among the participants of that day, place, kind and campaign, and whose events these are has an index.
    """
    measure, _ = MADE_OF[asked.summed]
    is_folded = folded_until(connection)
    found: list[FoldedEvent] = []
    waiting = 0
    for row in connection.execute(_events(connection, feeds, key)):
        event = event_class(row.type).from_payload(row.payload)
        amounts = list(_amounts(connection, feeds, event, key, measure))
        if not amounts:
            continue
        if is_folded(row.tx, row.position):
            whose = (row.position, row.type, row.recorded_at, row.subject_id, row.resident_id)
            found.append(FoldedEvent(*whose, sum(amounts)))
        else:
            waiting += 1
    return Folded(found, waiting)


def _events(connection: Connection, feeds: Sequence[Feed], key: FigureKey) -> sa.Select[Any]:
    """Everything that was said of that day about those who took part in it there. What is of another figure is left out later."""
    people = SQLModel.metadata.tables["daily_participant"]
    there = sa.select(people.c.resident_id).where(
        people.c.day == key.day,
        people.c.division_code == key.division_code,
        people.c.kind == key.kind,
        people.c.campaign == key.campaign,
    )
    return of_the_day(connection, feeds, key.day, there)


def of_the_day(
    connection: Connection, feeds: Sequence[Feed], day: date, residents: Sequence[UUID] | sa.Select[Any]
) -> sa.Select[Any]:
    """What the feeds hear that was said of a day about some residents, in the order in which it is folded."""
    log = SQLModel.metadata.tables["event_log"]
    heard = tuple({event.type: None for feed in feeds for event in feed.hears})
    query = sa.select(log).where(
        log.c.resident_id.in_(residents),
        log.c.type.in_(heard),
        log.c.payload.contains(f'"day":"{day.isoformat()}"', autoescape=True),
    )
    in_order = connection.dialect.name == "postgresql"
    return query.order_by(*((log.c.tx, log.c.position) if in_order else (log.c.position,)))


def _amounts(
    connection: Connection, feeds: Sequence[Feed], event: Event, key: FigureKey, measure: str
) -> Iterator[int]:
    """What an event contributes to the measure of a figure; nothing at all if it is of another figure."""
    for feed in feeds:
        if isinstance(event, feed.hears):
            for one in feed.contributions(connection, [event]):
                if tuple(getattr(one, name) for name in DIMENSIONS) == key:
                    yield one.measures.get(measure, 0)


def folded_until(connection: Connection) -> Callable[[int, int], bool]:
    """Whether the figures have taken in what stands at (transaction, position) of the log."""
    cursor = connection.execute(
        sa.select(col(SubscriberCursor.tx), col(SubscriberCursor.position)).where(
            col(SubscriberCursor.subscriber) == "figures"
        )
    ).first()
    failed = set(
        connection.scalars(
            sa.select(col(EventFailure.position)).where(col(EventFailure.subscriber) == "figures")
        )
    )
    in_order = connection.dialect.name == "postgresql"

    def reached(tx: int, position: int) -> bool:
        if cursor is None or position in failed:
            return False
        return (tx, position) <= (cursor.tx, cursor.position) if in_order else position <= cursor.position

    return reached


# --- people --------------------------------------------------------------------------------------------------


def pseudonym(key: bytes, trace: str, day: date, resident_id: UUID) -> str:
    """What stands for a resident in one trace, on one day of it: eight letters, others on every other day and in every other trace."""
    digest = hmac.digest(key, f"{trace}|{day.isoformat()}|{resident_id}".encode(), "sha256")
    letters = base64.b32encode(digest[:5]).decode()
    return f"{letters[:4]}-{letters[4:]}"
