"""The JSON API of plantings. A yearly check is a scan: `POST /api/v1/scans` with the trees alive as its quantity."""

from datetime import date
from uuid import UUID

from flask import Response, request
from flask_openapi import APIBlueprint
from pydantic import BaseModel, Field

from activities import plantings
from tanpuhui.errors import NotAllowed
from tanpuhui.rooms import House
from tanpuhui.web.api import (
    ACCOUNT_PARAMETER,
    KEY_HEADER,
    READING,
    WRITING,
    Strict,
    api_blueprint,
    json_answer,
)
from tanpuhui.web.auth import machine


class PlantingIn(Strict):
    """Trees planted today. `kind` may be left out where the site credits only one kind of planting."""

    code: str = Field(min_length=1, max_length=300, description="The token, or the whole scanned address")
    trees: int = Field(ge=1, le=1000, description="How many trees")
    kind: str | None = Field(None, max_length=32)


class TreeCheckOut(BaseModel):
    """A standing check: what was alive in the planting's `year`-th year, and the action that credits it."""

    year: int
    alive: int
    checked_on: date
    action_id: UUID


class PlantingOut(BaseModel):
    """A planting. `alive`: what the last check found; `next_check_on`: the first day of the next one."""

    id: UUID
    number: str
    kind: str
    trees: int
    planted_on: date
    site_id: UUID
    site: str
    alive: int
    next_check_on: date
    checks: list[TreeCheckOut]


class CertificateOut(BaseModel):
    """What a planting earned: a certificate, no grams and no points."""

    planting: PlantingOut


class PlantingsOut(BaseModel):
    """The oldest first."""

    plantings: list[PlantingOut]


def blueprint(house: House) -> APIBlueprint:
    """The operations of residents who plant trees."""
    api = api_blueprint("trees-api", __name__)

    @api.post(
        "/plantings",
        summary="Register trees planted today",
        responses={"201": CertificateOut, **WRITING},
        openapi_extensions={"parameters": [KEY_HEADER, ACCOUNT_PARAMETER]},
    )
    def post_planting(body: PlantingIn) -> Response:
        answer = plantings.plant(
            house,
            _resident(),
            key=request.headers.get("Idempotency-Key"),
            code=body.code,
            trees=body.trees,
            kind=body.kind,
        )
        response = json_answer(answer.body, 201)
        if answer.replayed:
            response.headers["Idempotent-Replayed"] = "true"
        return response

    @api.get(
        "/me/plantings",
        summary="One's own plantings",
        responses={"200": PlantingsOut, **READING},
        openapi_extensions={"parameters": [ACCOUNT_PARAMETER]},
    )
    def get_plantings() -> Response:
        with house.db.reading() as connection:
            found = plantings.own_groves(connection, _resident())
        return json_answer({"plantings": [plantings.view(grove, site.name) for grove, site in found]})

    return api


def _resident() -> UUID:
    """The resident whose token was shown. Raises NotAllowed for staff."""
    principal = machine()
    if principal.kind != "resident":
        raise NotAllowed
    return principal.id
