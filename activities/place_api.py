"""The JSON API of places: the public list of sites, and what people on the spot say of one."""

from typing import Annotated, Any
from uuid import UUID

from flask import Response
from flask_openapi import APIBlueprint
from pydantic import BaseModel, Field

from activities.places import Place, Search, find, one
from activities.site_reports import CONDITION_NAMES, SiteCondition, read_condition, report
from activities.sites import SiteKind
from tanpuhui import clock
from tanpuhui.rooms import House
from tanpuhui.web.api import READING, WRITING, Query, Strict, api_blueprint, iso, json_answer
from tanpuhui.web.auth import machine


class PlacesQuery(Query):
    """What to look for. Several conditions must all hold."""

    kind: SiteKind | None = Field(None, description="What sort of place")
    action: str | None = Field(None, max_length=32, description="A kind of action that can be recorded there")
    division: str | None = Field(
        None,
        pattern=r"^([0-9]{6}|[0-9]{9}|[0-9]{12})$",
        description="A district, 街镇 or community, by its code",
    )
    page: int = Field(1, ge=1, le=100_000)

    def search(self) -> Search:
        """The same for the list."""
        return Search(self.kind, self.action, self.division)


class StandingOut(BaseModel):
    """How a site stands: paused by staff, or what was said of it last within 24 hours; open if nothing was.

    `said`: how many residents say what, where they disagree.
    """

    condition: Annotated[str, Field(json_schema_extra={"enum": list(CONDITION_NAMES)})]
    reported_at: str | None
    by_staff: bool
    said: dict[str, int]


class PlaceOut(BaseModel):
    """A site, the kinds of action it credits, and how it stands."""

    id: UUID
    name: str
    kind: SiteKind
    division_code: str
    hours: str
    kinds: list[str]
    standing: StandingOut
    page: str


class PlacesOut(BaseModel):
    """A page of open sites by name; `page` counts from 1."""

    sites: list[PlaceOut]
    total: int
    page: int
    pages: int


class ReportIn(Strict):
    """How one found the site."""

    condition: Annotated[str, Field(json_schema_extra={"enum": [found.value for found in SiteCondition]})]


class PlacePath(BaseModel):
    """A site."""

    site_id: UUID


def public_blueprint(house: House) -> APIBlueprint:
    """What anybody may read under `/api/v1`."""
    api = api_blueprint("places-api", __name__, public=True)

    @api.get("/sites", summary="Open sites, and how they stand", responses={"200": PlacesOut, **READING})
    def get_sites(query: PlacesQuery) -> Response:
        with house.db.reading() as connection:
            found = find(connection, query.search(), clock.now(), number=query.page)
        return json_answer(
            {
                "sites": [_place(house, place) for place in found.places],
                "total": found.total,
                "page": found.number,
                "pages": found.last,
            }
        )

    return api


def blueprint(house: House) -> APIBlueprint:
    """What residents and staff say."""
    api = api_blueprint("site-reports-api", __name__)

    @api.post(
        "/sites/<site_id>/reports",
        summary="Say how one found a site",
        responses={"201": PlaceOut, **WRITING},
    )
    def post_report(path: PlacePath, body: ReportIn) -> Response:
        report(house, machine().acting_for(False), path.site_id, read_condition(body.condition))
        with house.db.reading() as connection:
            place = one(connection, path.site_id, clock.now())
        return json_answer(_place(house, place), 201)

    return api


def _place(house: House, place: Place) -> dict[str, Any]:
    standing = place.standing
    last = standing.words[0] if standing.words else None
    told = PlaceOut(
        id=place.id,
        name=place.name,
        kind=place.kind,
        division_code=place.division_code,
        hours=place.hours,
        kinds=list(place.kinds),
        standing=StandingOut(
            condition=standing.condition,
            reported_at=iso(last.reported_at) if last else None,
            by_staff=last is not None and last.by_staff,
            said={found.value: count for found, count in standing.said.items()},
        ),
        page=f"{house.settings.public_url}/sites/{place.id}",
    )
    return told.model_dump(mode="json")
