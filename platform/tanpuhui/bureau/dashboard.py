"""The numbers of a view, ready to be shown: totals beside what they were before, the trend, places, kinds, evidence.

Read from what the relay has added up, and from small tables; never from records. What is of few people, or would give such a number
away, is withheld (`bureau.told`), unless somebody may see it all.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import SQLModel

from tanpuhui.bureau.changes import Change, changes
from tanpuhui.bureau.cocontrol import Pair
from tanpuhui.bureau.participation import NUMBERS
from tanpuhui.bureau.populations import Population, populations_until
from tanpuhui.bureau.reach import CampaignLine, Reach, campaign_lines, card_holders, elder_accounts, reach
from tanpuhui.bureau.synergy import KindPart
from tanpuhui.bureau.told import told_sums, whole_sums
from tanpuhui.bureau.venues import Venues, venues
from tanpuhui.bureau.view import Choices, View
from tanpuhui.measures import POLLUTANTS
from tanpuhui.periods import CalendarPeriod

Numbers = Mapping[str, Any]

_COMMUNITY = 12  # digits of the code of a community

#: What is compared with the period before and with the same a year before.
COMPARED = (
    "participants",
    "actions",
    "co2e_mg",
    "co2e_mid_mg",
    "co2e_high_mg",
    *(f"{name}_ug" for name in POLLUTANTS),
)

_NOTHING: Numbers = {**dict.fromkeys(NUMBERS, 0), "participants": 0, "newcomers": 0, "withheld": None}


@dataclass(frozen=True)
class Line:
    """A line of a table: of what it is (a period, the code of an area, a kind, a tier), and its numbers.

    `withheld` says why they are not told, if they are not: `told.FEW` or `told.FINE`.
    """

    of: Any
    row: Numbers

    @property
    def withheld(self) -> str | None:
        """Why the numbers are not told."""
        reason: str | None = self.row["withheld"]
        return reason

    @property
    def numbers(self) -> Numbers | None:
        """The numbers, if they are told."""
        return None if self.withheld else self.row


@dataclass(frozen=True)
class Compared:
    """An earlier period, and how each number of `COMPARED` changed since."""

    period: CalendarPeriod
    changes: Mapping[str, Change]


@dataclass(frozen=True)
class Dashboard:
    """What the page tells. `hidden`: whether anything of it is withheld. `venues`: None for a campaign, by which they are not counted."""

    view: View
    total: Line
    before: Compared
    year_before: Compared
    parts: Sequence[Line]
    places: Sequence[Line]
    kinds: Sequence[Line]
    tiers: Sequence[Line]
    own_kinds: Sequence[KindPart]
    city_kinds: Sequence[KindPart]
    reach: Reach
    venues: Venues | None
    populations: Mapping[str, Population]
    card_holders: int | None
    elder_accounts: int | None
    campaigns: Sequence[CampaignLine]

    @property
    def newcomers(self) -> tuple[int, int] | None:
        """Who took part for the first time, and who had before; None where that is withheld, or cannot be told."""
        row = self.total.numbers
        if row is None or row["newcomers"] is None:
            return None
        return row["newcomers"], row["participants"] - row["newcomers"]

    @property
    def hidden(self) -> bool:
        """Whether anything is withheld."""
        lines = (self.total, *self.parts, *self.places, *self.kinds)
        alone = self.view.kind is None and self.view.campaign is None
        return (
            any(line.withheld for line in lines)
            or (alone and self.newcomers is None)
            or self.card_holders is None
            or self.elder_accounts is None
            or any(one.participants is None for one in self.campaigns)
        )


def dashboard(connection: Connection, view: View, offered: Choices, *, see_all: bool = False) -> Dashboard:
    """The numbers of the view. `see_all`: with nothing withheld."""
    read = _reader(connection, view, whole_sums if see_all else told_sums)
    before, year_before = view.period.before(), view.period.year_before()
    spans = read([view.period, before, year_before], [view.area], "period")
    total = spans.get(view.period, _NOTHING)
    kinds = {} if view.campaign else read([view.period], [view.area], "kind")
    below = [one.code for one in _below(view, offered)]
    return Dashboard(
        view=view,
        total=Line(view.period, total),
        before=Compared(before, _changes(total, spans.get(before, _NOTHING))),
        year_before=Compared(year_before, _changes(total, spans.get(year_before, _NOTHING))),
        parts=_lines(view.parts, read(view.parts, [view.area], "period")),
        places=_lines(below, read([view.period], below, "area")),
        kinds=sorted(
            _lines([of for of, row in kinds.items() if row["actions"] != 0], kinds), key=_most_first
        ),
        tiers=_by_strength(connection, {} if view.campaign else read([view.period], [view.area], "evidence")),
        own_kinds=_kind_parts(kinds, city=False),
        city_kinds=_kind_parts(kinds, city=True),
        reach=reach(connection, view),
        venues=None if view.campaign else _venues(connection, view),
        populations=populations_until(connection, view.period.last.year),
        card_holders=card_holders(connection, see_all=see_all),
        elder_accounts=elder_accounts(connection, see_all=see_all),
        campaigns=campaign_lines(connection, view, see_all=see_all),
    )


def _venues(connection: Connection, view: View) -> Venues:
    return venues(connection, view.period.first, view.period.last, view.area, view.kind)


def _reader(
    connection: Connection, view: View, sums: Callable[..., list[dict[str, Any]]]
) -> Callable[[Sequence[CalendarPeriod], Sequence[str], str], dict[Any, Numbers]]:
    """Reads rows of the view for some periods and areas, each by its key."""

    def read(periods: Sequence[CalendarPeriod], areas: Sequence[str], by: str) -> dict[Any, Numbers]:
        if not periods or not areas:
            return {}
        rows = sums(connection, periods, areas, by=(by,), kind=view.kind, campaign=view.campaign)
        return {row[by]: row for row in rows}

    return read


def _lines(keys: Sequence[Any], rows: Mapping[Any, Numbers]) -> list[Line]:
    return [Line(of, rows.get(of, _NOTHING)) for of in keys]


def _below(view: View, offered: Choices) -> Sequence[Any]:
    """The divisions that make up the area: of a community there are none."""
    if view.area == offered.district.code:
        return offered.streets
    return offered.communities if len(view.area) < _COMMUNITY else ()


def _most_first(line: Line) -> tuple[int, int, str]:
    """What is not told comes last: its place would tell of it."""
    row = line.numbers or _NOTHING
    return -row["co2e_mg"], -row["city_co2e_mg"], str(line.of)


def _by_strength(connection: Connection, found: Mapping[str, Numbers]) -> list[Line]:
    """Tiers of evidence, the strongest first; one that the reference data forgot comes last."""
    tiers = SQLModel.metadata.tables["evidence_tier"].c
    ranks = {code: -rank for code, rank in connection.execute(sa.select(tiers.code, tiers.rank))}
    used = [code for code, row in found.items() if row["actions"]]
    return _lines(sorted(used, key=lambda code: (ranks.get(code, 0), code)), found)


def _changes(now: Numbers, then: Numbers) -> dict[str, Change]:
    return changes(
        None if now["withheld"] else now,
        None if then["withheld"] else then,
        COMPARED,
        recorded=then["actions"] != 0,
    )


# --- pollution beside carbon -------------------------------------------------------------------------------


def pair_of(row: Numbers, pollutant: str, *, city: bool = False) -> Pair:
    """A pollutant beside CO2e over the own records of a row of one kind, or over those that the city credits.

    They are compared where all of them have a factor for it: of the others these sums do not tell the carbon apart.
    """
    part = "city_" if city else ""
    actions, known, ug = (
        row["city_actions" if city else "own_actions"],
        row[f"{part}{pollutant}_known"],
        row[f"{part}{pollutant}_ug"],
    )
    together = known if known == actions else 0
    return Pair(actions, known, ug, together, ug if together else 0, row[f"{part}co2e_mg"] if together else 0)


def _kind_parts(kinds: Mapping[str, Numbers], *, city: bool) -> list[KindPart]:
    """Each kind that is told with its pollutants beside CO2e, for the picture of the quadrants."""
    return [
        KindPart(kind, {}, {name: pair_of(row, name, city=city) for name in POLLUTANTS})
        for kind, row in kinds.items()
        if not row["withheld"]
    ]
