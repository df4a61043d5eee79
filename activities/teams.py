"""Teams of a campaign, and who is on its board: both by one's own choice, apart from each other, and given up at any time.

Nobody is put into a team. Who left one, or the platform, is in no number of a board from that moment on, because boards
(`activities.boards`) read what stands here and the figures, and nothing else. On the board of people is who chose it for this
campaign and agreed to be on boards at all (`Document.BOARDS`); taking that back takes one off every board.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, Session, SQLModel, col, select

from activities import occasions
from activities.campaign_rules import Rules, Teams
from activities.campaigns import Campaign, rules_of
from activities.occasions import OccasionState
from tanpuhui import clock
from tanpuhui.consents import agree, stands
from tanpuhui.db import session_on
from tanpuhui.divisions import Division
from tanpuhui.errors import InvalidField, NotFound
from tanpuhui.figures import CampaignParticipant
from tanpuhui.i18n import N_
from tanpuhui.people import Document, Resident, ResidentStatus, take_turn
from tanpuhui.rooms import House
from tanpuhui.schema import Guard

#: Until a campaign is over one may join a team; what counts for it is everything that one recorded in the campaign.
JOINABLE = frozenset({OccasionState.AWAITING, OccasionState.COMING, OccasionState.OPEN})


class CampaignEntry(SQLModel, table=True):
    """A resident is in a team of a campaign. `team`: a name of the rules, or where communities are teams, the code of one."""

    __tablename__ = "campaign_entry"
    __table_args__ = (sa.CheckConstraint("team <> ''", name="team"),)

    campaign_id: UUID = Field(foreign_key="campaign.id", primary_key=True)
    resident_id: UUID = Field(foreign_key="resident.id", primary_key=True, index=True)
    team: str = Field(max_length=30)
    entered_at: datetime = Field(default_factory=clock.now)


class BoardListing(SQLModel, table=True):
    """A resident chose to be on the board of people of a campaign."""

    __tablename__ = "board_listing"

    campaign_id: UUID = Field(foreign_key="campaign.id", primary_key=True)
    resident_id: UUID = Field(foreign_key="resident.id", primary_key=True, index=True)
    listed_at: datetime = Field(default_factory=clock.now)


#: Who has left is in no team; who has not agreed to be on boards is on none.
GUARDS = (
    Guard(
        "campaign_entry",
        "present",
        "INSERT",
        "NOT EXISTS (SELECT 1 FROM resident r WHERE r.id = NEW.resident_id AND r.status = 'active')",
        "only who takes part joins a team",
    ),
    Guard(
        "board_listing",
        "agreed",
        "INSERT",
        "NOT EXISTS (SELECT 1 FROM consent c WHERE c.resident_id = NEW.resident_id"
        " AND c.document = 'boards' AND c.withdrawn_at IS NULL)",
        "only who agreed is on a board",
    ),
)


# --- teams ---------------------------------------------------------------------------------------------------


def is_team(rules: Rules | None, team: str) -> bool:
    """Whether `team` is one of those that the rules know."""
    if rules is None or rules.teams is None:
        return False
    if rules.teams.kind == "community":
        return len(team) == 12 and (not rules.divisions or team.startswith(tuple(rules.divisions)))
    return team in rules.teams.names


def names_of(session: Session, teams: Teams, entered: Sequence[str]) -> dict[str, str]:
    """What teams are called in public."""
    if teams.kind != "community":
        return {team: team for team in entered}
    query = select(Division.code, Division.name).where(col(Division.code).in_(entered))
    return dict(session.exec(query).all())


def choices(session: Session, rules: Rules, home: str) -> Sequence[tuple[str, str]]:
    """The teams that a resident of community `home` may join, each with its name; of communities only one's own."""
    if rules.teams is None or not may_take_part(rules, home):
        return []
    entered = [home] if rules.teams.kind == "community" else rules.teams.names
    return list(names_of(session, rules.teams, entered).items())


def may_take_part(rules: Rules, home: str) -> bool:
    """Whether what residents of community `home` record counts for the campaign."""
    return not rules.divisions or home.startswith(tuple(rules.divisions))


def join(house: House, resident_id: UUID, campaign_id: UUID, team: str) -> None:
    """Be in `team` from now on, in place of another one of the campaign. Again changes nothing.

    Raises NotFound, and InvalidField (``team``) where there is no such team for this resident, or the campaign is over.
    """

    def work(connection: Connection) -> None:
        with session_on(connection) as session:
            resident = _at_their_turn(session, resident_id)
            rules = rules_of(session, _open(session, campaign_id, "team", JOINABLE))
            if rules is None or rules.teams is None:
                raise _refused("team", N_("这次活动不分队。"))
            if not may_take_part(rules, resident.division_code):
                raise _refused("team", N_("您所在的居（村）委会不在这次活动的范围内。"))
            if team not in dict(choices(session, rules, resident.division_code)):
                raise _refused("team", N_("请从列表中选择一个队。"))
            entry = session.get(CampaignEntry, (campaign_id, resident_id))
            if entry is None:
                session.add(CampaignEntry(campaign_id=campaign_id, resident_id=resident_id, team=team))
            elif entry.team != team:
                entry.team, entry.entered_at = team, clock.now()
                session.add(entry)

    house.db.run(work)


def leave(house: House, resident_id: UUID, campaign_id: UUID) -> None:
    """Be in no team of the campaign any more, also when it is over. Again changes nothing."""
    _give_up(house, CampaignEntry, resident_id, campaign_id)


# --- the board of people -------------------------------------------------------------------------------------


def list_me(house: House, resident_id: UUID, campaign_id: UUID, *, version: str | None = None) -> None:
    """Be on the campaign's board of people; with `version`, agreeing to the present text on boards. Again changes nothing.

    Raises NotFound, and InvalidField without a consent that stands (``boards``), for another version than the present one
    (``version``), or for a campaign that was given up (``boards``).
    """

    def work(connection: Connection) -> None:
        with session_on(connection) as session:
            _at_their_turn(session, resident_id)
            _open(session, campaign_id, "boards", JOINABLE | {OccasionState.OVER})
            if version is not None:
                agree(session, resident_id, Document.BOARDS, version)
            if not stands(connection, resident_id, Document.BOARDS):
                raise _refused("boards", N_("请先同意“参加榜单”的说明。"))
            if session.get(BoardListing, (campaign_id, resident_id)) is None:
                session.add(BoardListing(campaign_id=campaign_id, resident_id=resident_id))

    house.db.run(work)


def hide_me(house: House, resident_id: UUID, campaign_id: UUID) -> None:
    """Be on the campaign's board of people no more. Again changes nothing."""
    _give_up(house, BoardListing, resident_id, campaign_id)


def _give_up(
    house: House, table: type[CampaignEntry] | type[BoardListing], resident_id: UUID, campaign_id: UUID
) -> None:
    with house.db.session() as session:
        take_turn(session.connection(), [resident_id])
        row = session.get(table, (campaign_id, resident_id))
        if row is not None:
            session.delete(row)


def _at_their_turn(session: Session, resident_id: UUID) -> Resident:
    take_turn(session.connection(), [resident_id])
    resident = session.get(Resident, resident_id)
    if resident is None or resident.status != ResidentStatus.ACTIVE:
        raise NotFound
    return resident


def _open(session: Session, campaign_id: UUID, field: str, states: frozenset[OccasionState]) -> Campaign:
    """The campaign, if everybody may know of it and it stands in one of `states`."""
    now = clock.now()
    state = occasions.one(session.connection(), campaign_id, now).state(now)
    if state not in states:
        over = state is OccasionState.OVER
        raise _refused(field, N_("活动已经结束，不能再加入。") if over else N_("活动已经取消了。"))
    return session.get_one(Campaign, campaign_id)


def _refused(field: Literal["team", "boards"] | str, reason: str) -> InvalidField:
    return InvalidField(errors=[{"field": field, "reason": reason}])


# --- one's own, and the organisers' view ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Part:
    """What a resident chose in a campaign. `team`: its name, None for none. `lost`: their team is there no more.

    `choices`: the teams that they may join. `listed`, `agreed`: on the board of people, and whether the consent stands.
    """

    team: str | None
    lost: bool
    choices: Sequence[tuple[str, str]]
    listed: bool
    agreed: bool


def part_of(session: Session, campaign_id: UUID, rules: Rules | None, resident_id: UUID) -> Part:
    """What a resident chose in a campaign with these rules."""
    resident = session.get_one(Resident, resident_id)
    entry = session.get(CampaignEntry, (campaign_id, resident_id))
    known = entry is not None and is_team(rules, entry.team)
    agreed = stands(session.connection(), resident_id, Document.BOARDS)
    name = None
    if entry is not None and known and rules is not None and rules.teams is not None:
        name = names_of(session, rules.teams, [entry.team]).get(entry.team)
    return Part(
        team=name,
        lost=entry is not None and not known,
        choices=choices(session, rules, resident.division_code) if rules else [],
        listed=agreed and session.get(BoardListing, (campaign_id, resident_id)) is not None,
        agreed=agreed,
    )


@dataclass(frozen=True, slots=True)
class Count:
    """How many have joined a team, and how many of them have a standing record."""

    name: str
    joined: int
    participants: int


def counts(session: Session, campaign_id: UUID, rules: Rules | None) -> list[Count]:
    """Every team with its members, for the organisers: how many, never who. Communities that nobody entered are left out."""
    if rules is None or rules.teams is None:
        return []
    recorded = sa.and_(
        col(CampaignParticipant.campaign) == str(campaign_id),
        col(CampaignParticipant.resident_id) == col(CampaignEntry.resident_id),
        col(CampaignParticipant.actions) > 0,
    )
    query = (
        sa.select(col(CampaignEntry.team), sa.func.count(), sa.func.count(col(CampaignParticipant.actions)))
        .join_from(CampaignEntry, CampaignParticipant, recorded, isouter=True)
        .where(col(CampaignEntry.campaign_id) == campaign_id)
        .group_by(col(CampaignEntry.team))
    )
    found = {team: (joined, taking) for team, joined, taking in session.connection().execute(query)}
    teams = sorted(found) if rules.teams.kind == "community" else rules.teams.names
    names = names_of(session, rules.teams, teams)
    return [
        Count(names[team], *found.get(team, (0, 0)))
        for team in teams
        if team in names and is_team(rules, team)
    ]
