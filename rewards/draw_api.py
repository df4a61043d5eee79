"""The JSON API of draws: what everybody may read of them, and a resident's own tickets."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from flask import Response
from flask_openapi import APIBlueprint
from pydantic import BaseModel, Field

from rewards import draw_entries, published_draws
from rewards.draws import Draw, DrawEntry
from tanpuhui import clock
from tanpuhui.errors import NotAllowed
from tanpuhui.rooms import House
from tanpuhui.web.api import ACCOUNT_PARAMETER, READING, WRITING, api_blueprint, iso, json_answer
from tanpuhui.web.auth import machine


class DrawPath(BaseModel):
    """A draw."""

    draw_id: UUID


class PrizeOut(BaseModel):
    """So many of one thing to be won."""

    name: str
    count: int


class DrawOut(BaseModel):
    """A draw that can be entered, or could be."""

    id: str
    title: str
    state: Literal["open", "closed", "drawn", "cancelled"]
    price: Annotated[int, Field(description="Whole points that a ticket costs; 0 for none")]
    prizes: list[PrizeOut]
    division_code: str
    closes_at: str
    drawn_at: str | None
    commitment: Annotated[str, Field(description="SHA-256 of the seed")]


class DrawsOut(BaseModel):
    """Those that can be entered first."""

    draws: list[DrawOut]


class WinnerOut(BaseModel):
    """What a ticket won."""

    ticket: str
    prize: str


class DrawRecordOut(BaseModel):
    """Everything that is needed to repeat a draw; tickets once it is closed, seed and winners once it was held."""

    format: str
    id: str
    title: str
    prizes: list[PrizeOut]
    closes_at: str
    commitment: str
    witness: Annotated[str, Field(description="The public number that is mixed in; empty for none")]
    tickets: list[str]
    digest: str | None
    witnessed: str
    seed: str | None
    winners: list[WinnerOut]


class TicketOut(BaseModel):
    """A resident's own ticket. `prize` once it has won."""

    draw_id: str
    ticket: str
    entered_at: str
    place: int | None
    prize: str | None
    handed_at: str | None


class TicketsOut(BaseModel):
    """One's own tickets, the latest first."""

    tickets: list[TicketOut]


def blueprint(house: House) -> APIBlueprint:
    """What residents do under `/api/v1`."""
    api = api_blueprint("draws-api", __name__)

    @api.get(
        "/me/tickets",
        summary="One's own tickets in draws",
        responses={"200": TicketsOut, **READING},
        openapi_extensions={"parameters": [ACCOUNT_PARAMETER]},
    )
    def get_tickets() -> Response:
        with house.db.reading_session() as session:
            found = draw_entries.own_entries(session, _resident())
            return json_answer({"tickets": [_ticket(entry) for entry, _draw in found]})

    @api.put(
        "/draws/<draw_id>/ticket",
        summary="Take a ticket in a draw; again it is the same one",
        responses={"200": TicketOut, **WRITING},
        openapi_extensions={"parameters": [ACCOUNT_PARAMETER]},
    )
    def put_ticket(path: DrawPath) -> Response:
        return json_answer(_ticket(draw_entries.enter(house, _resident(), path.draw_id)))

    return api


def public_blueprint(house: House) -> APIBlueprint:
    """What anybody may read under `/api/v1`."""
    api = api_blueprint("public-draws-api", __name__, public=True)

    @api.get("/draws", summary="Every draw", responses={"200": DrawsOut, **READING})
    def get_draws() -> Response:
        with house.db.reading_session() as session:
            return json_answer(
                {"draws": [_draw(draw, clock.now()) for draw in published_draws.public_draws(session)]}
            )

    @api.get(
        "/draws/<draw_id>",
        summary="What is needed to repeat a draw",
        responses={"200": DrawRecordOut, **READING},
    )
    def get_draw(path: DrawPath) -> Response:
        with house.db.reading_session() as session:
            return json_answer(published_draws.published(session, path.draw_id).record)

    return api


def _resident() -> UUID:
    principal = machine()
    if principal.kind != "resident":
        raise NotAllowed
    return principal.id


def _draw(draw: Draw, now: datetime) -> dict[str, Any]:
    return {
        "id": str(draw.id),
        "title": draw.title,
        "state": draw.state(now).value,
        "price": draw.price,
        "prizes": draw.prizes,
        "division_code": draw.division_code,
        "closes_at": iso(draw.closes_at),
        "drawn_at": iso(draw.drawn_at) if draw.drawn_at else None,
        "commitment": draw.commitment,
    }


def _ticket(entry: DrawEntry) -> dict[str, Any]:
    return {
        "draw_id": str(entry.draw_id),
        "ticket": entry.ticket,
        "entered_at": iso(entry.entered_at),
        "place": entry.place,
        "prize": entry.prize,
        "handed_at": iso(entry.handed_at) if entry.handed_at else None,
    }
