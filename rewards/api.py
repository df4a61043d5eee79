"""The JSON API of this room: a resident's own statement, and the public table of evidence."""

from dataclasses import asdict
from typing import Any

from flask import Response
from flask_openapi import APIBlueprint
from pydantic import BaseModel, Field

from rewards import ledger
from rewards.evidence import tiers
from rewards.statements import Line, statement
from tanpuhui.errors import NotAllowed
from tanpuhui.figures import POLLUTANTS
from tanpuhui.rooms import House
from tanpuhui.web.api import ACCOUNT_PARAMETER, READING, Query, api_blueprint, iso, json_answer
from tanpuhui.web.auth import machine


class StatementQuery(Query):
    """A page of the statement."""

    limit: int = Field(50, ge=1, le=200)
    before: int | None = Field(None, ge=1, le=2**62)


class LineOut(BaseModel):
    """One fact: an action recorded, confirmed, rejected or voided, the points it moved, the balance after."""

    position: int
    type: str
    action_id: str
    kind: str
    quantity: float
    unit: str
    occurred_at: str
    recorded_at: str
    reason: str | None
    points: int
    pending: int = Field(description="Points that wait with this record for review")
    balance_after: int | None
    co2e_mg: int
    city_credited: bool = Field(description="Counted by the city: in no total of the district")
    factor_version: str
    nox_ug: int | None
    pm25_ug: int | None
    voc_ug: int | None
    so2_ug: int | None
    co_ug: int | None


class StatementOut(BaseModel):
    """Lines, latest first; `next_before` asks for the page after."""

    balance: int
    pending: int = Field(description="Points of records that wait for review; they cannot be spent yet")
    lines: list[LineOut]
    next_before: int | None


class TierOut(BaseModel):
    """An evidence tier; a higher rank is stronger. Grams that do not count as verified stand as self-declared."""

    code: str
    name_zh: str
    name_en: str
    rank: int
    points_percent: int = Field(description="Share of the points of a kind, in percent")
    counts_as_verified: bool


class EvidenceOut(BaseModel):
    """Every evidence tier, the weakest first."""

    evidence: list[TierOut]


def blueprint(house: House) -> APIBlueprint:
    """The operations of this room under `/api/v1`."""
    api = api_blueprint("rewards-api", __name__)

    @api.get(
        "/me/statement",
        summary="One's own statement",
        responses={"200": StatementOut, **READING},
        openapi_extensions={"parameters": [ACCOUNT_PARAMETER]},
    )
    def get_statement(query: StatementQuery) -> Response:
        principal = machine()
        if principal.kind != "resident":
            raise NotAllowed
        with house.db.reading() as connection:
            lines = statement(connection, principal.id, limit=query.limit, before=query.before)
            balance = ledger.balance(connection, principal.id)
            pending = ledger.held(connection, principal.id)
        more = len(lines) == query.limit
        return json_answer(
            {
                "balance": balance,
                "pending": pending,
                "lines": [_line(line) for line in lines],
                "next_before": lines[-1].position if more else None,
            }
        )

    return api


def public_blueprint(house: House) -> APIBlueprint:
    """What anybody may read."""
    api = api_blueprint("evidence-api", __name__, public=True)

    @api.get("/evidence", summary="Every tier of evidence", responses={"200": EvidenceOut, **READING})
    def get_evidence() -> Response:
        with house.db.reading() as connection:
            return json_answer({"evidence": [asdict(tier) for tier in tiers(connection)]})

    return api


def _line(line: Line) -> dict[str, Any]:
    deed = line.deed
    sign = line.sign
    pollutants = {f"{name}_ug": getattr(deed, f"{name}_ug") for name in POLLUTANTS}
    return {
        "position": line.position,
        "type": deed.type,
        "action_id": str(deed.subject_id),
        "kind": deed.kind,
        "quantity": (-1 if line.voided else 1) * deed.quantity_milli / 1000,
        "unit": deed.unit,
        "occurred_at": iso(deed.occurred_at),
        "recorded_at": iso(deed.recorded_at),
        "reason": line.reason,
        "points": line.points,
        "pending": line.held,
        "balance_after": line.balance_after,
        "co2e_mg": sign * deed.co2e_mg,
        "city_credited": deed.city_credited,
        "factor_version": deed.factor_version,
        **{name: None if amount is None else sign * amount for name, amount in pollutants.items()},
    }
