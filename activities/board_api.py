"""The JSON API of boards, for everybody."""

from typing import Any
from uuid import UUID

from flask import Response
from flask_openapi import APIBlueprint
from pydantic import BaseModel, Field

from activities.boards import Boards, Measure, TeamRow, boards
from tanpuhui import clock
from tanpuhui.people import AccountKind
from tanpuhui.rooms import House
from tanpuhui.web.api import READING, api_blueprint, json_answer


class RanksOut(BaseModel):
    """Dense ranks: equal values are equal, and no rank is left out."""

    co2e: int
    co2e_per_head: int
    participants: int


class TeamOut(BaseModel):
    """A team of a campaign. CO2e in milligrams (low value), cut to ten grams, without what the city credits."""

    name: str
    participants: int = Field(description="Members with a standing record in the campaign")
    co2e_mg: int
    co2e_per_head_mg: int = Field(description="Of each of the participants")
    ranks: RanksOut


class PersonOut(BaseModel):
    """Somebody who chose to be on this board. `nickname` is empty for who has none."""

    nickname: str
    account_kind: AccountKind
    co2e_mg: int
    rank: int


class BoardsOut(BaseModel):
    """The boards of a campaign, each by CO2e. `teams` is null where it has none.

    `teams_hidden`, `people_hidden`: not all is told, because somebody could be found out.
    """

    campaign_id: UUID
    title: str
    teams: list[TeamOut] | None
    teams_hidden: bool
    people: list[PersonOut]
    people_hidden: bool
    people_more: bool


class CampaignPath(BaseModel):
    """A campaign."""

    campaign_id: UUID


def public_blueprint(house: House) -> APIBlueprint:
    """What anybody may read under `/api/v1`."""
    api = api_blueprint("boards-api", __name__, public=True)

    @api.get(
        "/campaigns/<campaign_id>/boards",
        summary="Boards of a campaign: its teams, and who chose to be listed",
        responses={"200": BoardsOut, **READING},
    )
    def get_boards(path: CampaignPath) -> Response:
        with house.db.snapshot() as connection:
            return json_answer(_boards(boards(connection, path.campaign_id, clock.now())))

    return api


def _boards(found: Boards) -> dict[str, Any]:
    return {
        "campaign_id": str(found.occasion.id),
        "title": found.occasion.title,
        "teams": None if found.teams is None else [_team(row) for row in found.teams],
        "teams_hidden": found.teams_hidden,
        "people": [
            {"nickname": row.nickname, "account_kind": row.kind, "co2e_mg": row.co2e_mg, "rank": row.rank}
            for row in found.people
        ],
        "people_hidden": found.people_hidden,
        "people_more": found.people_more,
    }


def _team(row: TeamRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "participants": row.participants,
        "co2e_mg": row.co2e_mg,
        "co2e_per_head_mg": row.co2e_per_head_mg,
        "ranks": {measure.value: row.ranks[measure] for measure in Measure},
    }
