"""The JSON API of the sealed ledger: anybody may read the roots."""

from flask import Response
from flask_openapi import APIBlueprint
from pydantic import BaseModel, Field

from rewards.sealed import roots
from tanpuhui.rooms import House
from tanpuhui.web.api import READING, Query, api_blueprint, json_answer


class RootsQuery(Query):
    """A page of the roots."""

    after: int = Field(0, ge=0, le=2**30, description="The number of the root before the first")
    limit: int = Field(400, ge=1, le=2000)


class RootOut(BaseModel):
    """The root of a day. It follows from number, day, the root before it and the hash of what the day holds."""

    number: int
    day: str = Field(description="Asia/Shanghai")
    previous: str
    content: str
    root: str


class RootsOut(BaseModel):
    """Roots, the earliest first; `next_after` asks for the page after."""

    roots: list[RootOut]
    next_after: int | None


def public_blueprint(house: House) -> APIBlueprint:
    """What anybody may read under `/api/v1`."""
    api = api_blueprint("ledger-api", __name__, public=True)

    @api.get(
        "/ledger/roots", summary="The roots of the sealed ledger", responses={"200": RootsOut, **READING}
    )
    def get_roots(query: RootsQuery) -> Response:
        with house.db.reading() as connection:
            found = roots(connection, query.after, query.limit)
        more = len(found) == query.limit
        return json_answer({"roots": found, "next_after": found[-1]["number"] if more else None})

    return api
