"""Boards of a campaign: its teams, and the people who chose to be on it, by what came of their deeds.

Page, API, CSV and print all take a board from here, so that what is hidden is hidden everywhere. A board reads figures
(`CampaignParticipant`) and choices (`activities.teams`) only.

What is stated is cut to ten grams, and ranks follow what is stated: who stands beside an equal number has an equal rank, and
the next rank is the next number. Nobody who is hidden leaves a gap.

Of fewer than `FEWEST_TOLD` nothing is told, nor what would give them away: whoever is not on a board is, together, nobody or at
least so many, because the totals of the campaign are public.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Session, col

from activities import occasions
from activities.campaign_rules import Rules
from activities.campaigns import Campaign, rules_of
from activities.occasions import FEWEST_TOLD, Occasion
from activities.teams import BoardListing, CampaignEntry, is_team, names_of
from tanpuhui.db import session_on
from tanpuhui.figures import CampaignParticipant
from tanpuhui.people import PRESENT, AccountKind, Consent, Document, Resident, ResidentStatus

#: Milligrams: what is stated of CO2e is cut to so much.
STEP = 10_000

#: So many people are listed at most, and whole ranks only.
MOST_PEOPLE = 100


class Measure(StrEnum):
    """What boards rank by: what came of deeds. Never what somebody did in the app: no log-ins, scans, shares or time."""

    CO2E = "co2e"
    CO2E_PER_HEAD = "co2e_per_head"
    PARTICIPANTS = "participants"


@dataclass(frozen=True, slots=True)
class TeamRow:
    """A team: how many of its members have a standing record in the campaign, and what these saved, in milligrams of CO2e
    (low value, without what the city credits), together and each on average. `ranks`: by each measure.
    """

    name: str
    participants: int
    co2e_mg: int
    co2e_per_head_mg: int
    ranks: Mapping[Measure, int]

    def value(self, measure: Measure) -> int:
        """What it is ranked by."""
        return {
            Measure.CO2E: self.co2e_mg,
            Measure.CO2E_PER_HEAD: self.co2e_per_head_mg,
            Measure.PARTICIPANTS: self.participants,
        }[measure]


@dataclass(frozen=True, slots=True)
class PersonRow:
    """Somebody on the board of people. `nickname` is empty for who has none; `kind` says what account it is."""

    nickname: str
    kind: AccountKind
    co2e_mg: int
    rank: int


@dataclass(frozen=True, slots=True)
class Boards:
    """The boards of a campaign. `teams` is None where it has none.

    `teams_hidden`: some teams are not told of, because of too few; `people_hidden`: the board of people is not shown, because
    too few are not on it; `people_more`: there are more people than are listed.
    """

    occasion: Occasion
    teams: Sequence[TeamRow] | None
    teams_hidden: bool
    people: Sequence[PersonRow]
    people_hidden: bool
    people_more: bool

    def teams_by(self, measure: Measure) -> list[TeamRow]:
        """The teams by their rank in `measure`."""
        return sorted(self.teams or (), key=lambda row: (row.ranks[measure], row.name))


def boards(connection: Connection, campaign_id: UUID, now: datetime) -> Boards:
    """The boards of a campaign that everybody may know of. Raises NotFound.

    Give it a snapshot (`Database.snapshot`): teams and totals are then of one moment.
    """
    occasion = occasions.one(connection, campaign_id, now)
    everybody = occasions.counted(connection, campaign_id).participants
    with session_on(connection) as session:
        rules = rules_of(session, session.get_one(Campaign, campaign_id))
        teams, teams_hidden = _teams(session, campaign_id, rules, everybody)
        people = _people(connection, campaign_id)
    listed, more = _whole_ranks(people)
    people_hidden = everybody >= FEWEST_TOLD and _gives_away(everybody - len(listed))
    return Boards(
        occasion=occasion,
        teams=teams if rules is not None and rules.teams is not None else None,
        teams_hidden=teams_hidden,
        people=[] if people_hidden else listed,
        people_hidden=people_hidden and bool(listed),
        people_more=more and not people_hidden,
    )


def _gives_away(others: int) -> bool:
    """Whether so many, who are not told of, could be worked out from the total of all."""
    return 0 < others < FEWEST_TOLD


def dense_ranks(values: Sequence[int]) -> list[int]:
    """The rank of each value: the largest is first, equal ones are equal, and no rank is left out."""
    order = {value: rank for rank, value in enumerate(sorted(set(values), reverse=True), start=1)}
    return [order[value] for value in values]


def stated(mg: int) -> int:
    """An amount as boards state it."""
    return max(mg, 0) // STEP * STEP


# --- teams ---------------------------------------------------------------------------------------------------


_TEAMS = (
    sa.select(
        col(CampaignEntry.team), sa.func.count(), sa.func.sum(col(CampaignParticipant.co2e_mg)).label("mg")
    )
    .join_from(
        CampaignEntry,
        CampaignParticipant,
        sa.and_(
            col(CampaignParticipant.campaign) == sa.bindparam("campaign"),
            col(CampaignParticipant.resident_id) == col(CampaignEntry.resident_id),
            col(CampaignParticipant.actions) > 0,
        ),
    )
    .where(col(CampaignEntry.campaign_id) == sa.bindparam("campaign_id"))
    .group_by(col(CampaignEntry.team))
)


def _teams(
    session: Session, campaign_id: UUID, rules: Rules | None, everybody: int
) -> tuple[list[TeamRow], bool]:
    """The teams that may be told of, and whether there are others with records."""
    if rules is None or rules.teams is None:
        return [], False
    given = {"campaign": str(campaign_id), "campaign_id": campaign_id}
    found = [row for row in session.connection().execute(_TEAMS, given) if is_team(rules, row[0])]
    names = names_of(session, rules.teams, [team for team, _heads, _mg in found])
    rows = [
        TeamRow(names[team], heads, stated(int(mg)), stated(int(mg) // heads), {})
        for team, heads, mg in found
        if team in names
    ]
    told = [row for row in rows if row.participants >= FEWEST_TOLD]
    if told and _gives_away(everybody - sum(row.participants for row in told)):
        told.remove(min(told, key=lambda row: (row.participants, row.name)))
    return _ranked(told), len(told) < len(rows)


def _ranked(rows: Sequence[TeamRow]) -> list[TeamRow]:
    ranks = {measure: dense_ranks([row.value(measure) for row in rows]) for measure in Measure}
    ranked = [
        replace(row, ranks={measure: ranks[measure][at] for measure in Measure})
        for at, row in enumerate(rows)
    ]
    return sorted(ranked, key=lambda row: (row.ranks[Measure.CO2E], row.name))


# --- people --------------------------------------------------------------------------------------------------


_PEOPLE = (
    sa.select(
        sa.func.coalesce(col(Resident.nickname), ""),
        col(Resident.account_kind),
        col(CampaignParticipant.co2e_mg),
    )
    .join_from(BoardListing, Resident, col(Resident.id) == col(BoardListing.resident_id))
    .join(
        Consent,
        sa.and_(
            col(Consent.resident_id) == col(BoardListing.resident_id),
            col(Consent.document) == Document.BOARDS.value,
            col(Consent.version) == PRESENT[Document.BOARDS],
            col(Consent.withdrawn_at).is_(None),
        ),
    )
    .join(
        CampaignParticipant,
        sa.and_(
            col(CampaignParticipant.campaign) == sa.bindparam("campaign"),
            col(CampaignParticipant.resident_id) == col(BoardListing.resident_id),
            col(CampaignParticipant.actions) > 0,
        ),
    )
    .where(
        col(BoardListing.campaign_id) == sa.bindparam("campaign_id"),
        col(Resident.status) == ResidentStatus.ACTIVE,
    )
)


def _people(connection: Connection, campaign_id: UUID) -> list[PersonRow]:
    """Who chose to be on the board, agreed to be on boards, and has a standing record; by rank."""
    given = {"campaign": str(campaign_id), "campaign_id": campaign_id}
    found = [(name, kind, stated(int(mg))) for name, kind, mg in connection.execute(_PEOPLE, given)]
    ranks = dense_ranks([mg for _name, _kind, mg in found])
    rows = [PersonRow(*one, rank) for one, rank in zip(found, ranks, strict=True)]
    return sorted(rows, key=lambda row: (row.rank, not row.nickname, row.nickname, row.kind))


def _whole_ranks(rows: Sequence[PersonRow]) -> tuple[list[PersonRow], bool]:
    """As many ranks as have room, whoever shares one together; the first one always. And whether there are more."""
    if len(rows) <= MOST_PEOPLE:
        return list(rows), False
    first_out = rows[MOST_PEOPLE].rank
    listed = [row for row in rows if row.rank < max(first_out, 2)]
    return listed, len(listed) < len(rows)
