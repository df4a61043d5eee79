"""The JSON API of honours: anybody may check one by its number."""

from datetime import datetime
from typing import Annotated, Literal

from flask import Response
from flask_openapi import APIBlueprint
from pydantic import BaseModel, Field

from rewards.published_honours import published, view
from tanpuhui.rooms import House
from tanpuhui.web.api import READING, api_blueprint, iso, json_answer


class HonourPath(BaseModel):
    """An honour."""

    honour: Annotated[str, Field(max_length=40, description="The number on the certificate")]


class HonourOut(BaseModel):
    """An honour. `name` and `reason` are None where the holder has taken the consent back or has left."""

    number: str
    state: Literal["standing", "revoked"]
    title: str
    purpose: str
    holder: Literal["person", "class", "team"]
    name: str | None
    reason: str | None
    nominated_for: str = Field(description="The organisation or division that nominated")
    honoured_at: str
    revoked_at: str | None
    revoked_because: str | None
    page: str


def public_blueprint(house: House) -> APIBlueprint:
    """What anybody may read under `/api/v1`."""
    api = api_blueprint("honours-api", __name__, public=True)

    @api.get("/honours/<honour>", summary="Check an honour", responses={"200": HonourOut, **READING})
    def get_honour(path: HonourPath) -> Response:
        with house.db.reading_session() as session:
            found = view(published(session, path.honour), house.settings.public_url)
        moments = {name: iso(value) for name, value in found.items() if isinstance(value, datetime)}
        return json_answer({**found, **moments})

    return api
