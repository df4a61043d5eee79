"""The JSON API of gatherings: what is coming, for everybody; signing up and giving up, for residents."""

from typing import Any
from uuid import UUID

from flask import Response
from flask_openapi import APIBlueprint
from pydantic import BaseModel, Field

from activities import gathering_list, sign_ups, taking_part
from activities.gathering_list import Seen
from activities.gatherings import GatheringKind
from tanpuhui import clock
from tanpuhui.errors import NotAllowed, NotFound
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal
from tanpuhui.web.api import READING, WRITING, Query, Strict, api_blueprint, iso, json_answer
from tanpuhui.web.auth import machine


class GatheringsQuery(Query):
    """What to look for. Several conditions must all hold."""

    kind: GatheringKind | None = Field(None, description="What sort of gathering")
    campaign_id: UUID | None = Field(None, description="Those of a campaign")
    near: str | None = Field(
        None,
        pattern=r"^[0-9]{12}$",
        description="Those nearest to this community first, else the soonest first",
    )


class GatheringOut(BaseModel):
    """A gathering. `places_left` is 0 while anybody waits for a place."""

    id: UUID
    title: str
    kind: GatheringKind
    words: str
    where: str
    site_id: UUID | None
    division_code: str
    held_by: str
    campaign_id: UUID | None
    starts_at: str
    ends_at: str
    sign_up_until: str
    sign_up_open: bool
    places: int
    places_left: int
    page: str


class GatheringsOut(BaseModel):
    """The gatherings that are coming or take place now, at most 100."""

    gatherings: list[GatheringOut]


class SignUpIn(Strict):
    """How many people sign up: one, or those of a school class."""

    people: int = Field(1, ge=1, le=sign_ups.MOST_PEOPLE)


class SignUpOut(BaseModel):
    """Where one stands: with a place, or in line behind `ahead` people."""

    gathering_id: UUID
    state: str = Field(description="placed or waiting", json_schema_extra={"enum": ["placed", "waiting"]})
    people: int
    ahead: int


class GatheringPath(BaseModel):
    """A gathering."""

    gathering_id: UUID


def public_blueprint(house: House) -> APIBlueprint:
    """What anybody may read under `/api/v1`."""
    api = api_blueprint("gatherings-api", __name__, public=True)

    @api.get("/gatherings", summary="Gatherings that are coming", responses={"200": GatheringsOut, **READING})
    def get_gatherings(query: GatheringsQuery) -> Response:
        only = query.model_dump(include={"kind", "campaign_id"}, exclude_none=True)
        with house.db.reading_session() as session:
            found = gathering_list.coming(session, clock.now(), home=query.near, **only)
        return json_answer({"gatherings": [_gathering(house, one) for one in found]})

    return api


def blueprint(house: House) -> APIBlueprint:
    """What residents do."""
    api = api_blueprint("sign-ups-api", __name__)

    @api.post(
        "/gatherings/<gathering_id>/sign-up",
        summary="Sign up, or wait in line where it is full",
        description="Sent twice it is done once.",
        responses={"200": SignUpOut, **WRITING},
    )
    def post_sign_up(path: GatheringPath, body: SignUpIn) -> Response:
        who = _resident()
        taking_part.sign_up(house, who.id, path.gathering_id, body.people)
        with house.db.reading_session() as session:
            found = sign_ups.standing(session, path.gathering_id, who.id)
        if found is None:  # given up meanwhile, by another device
            raise NotFound
        return json_answer(_standing(found))

    @api.delete(
        "/gatherings/<gathering_id>/sign-up",
        summary="Give the place, or the waiting, up",
        description="Sent twice it is done once.",
        responses={"204": None, **WRITING},
    )
    def delete_sign_up(path: GatheringPath) -> Response:
        taking_part.give_up(house, _resident().id, path.gathering_id)
        return Response(status=204)

    return api


def _resident() -> Principal:
    """Raises NotAllowed."""
    principal = machine()
    if principal.kind != "resident":
        raise NotAllowed
    return principal


def _gathering(house: House, seen: Seen) -> dict[str, Any]:
    one = seen.gathering
    told = GatheringOut(
        **one.model_dump(
            include={"id", "title", "kind", "words", "site_id", "division_code", "campaign_id", "places"}
        ),
        where=seen.where,
        held_by=seen.held_by,
        starts_at=iso(one.starts_at),
        ends_at=iso(one.ends_at),
        sign_up_until=iso(one.sign_up_until),
        sign_up_open=seen.may_sign_up(clock.now()),
        places_left=seen.left,
        page=f"{house.settings.public_url}/gatherings/{one.id}",
    )
    return told.model_dump(mode="json")


def _standing(found: sign_ups.Standing) -> dict[str, Any]:
    return SignUpOut(
        gathering_id=found.sign_up.gathering_id,
        state="placed" if found.sign_up.placed_at else "waiting",
        people=found.sign_up.people,
        ahead=found.ahead,
    ).model_dump(mode="json")
