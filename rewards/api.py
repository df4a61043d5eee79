"""The JSON API of this room: a resident's own statement, and the public table of evidence."""

from dataclasses import asdict
from typing import Any, Literal
from uuid import UUID

from flask import Response
from flask_openapi import APIBlueprint
from pydantic import BaseModel, Field

from rewards import bonus_view, ledger
from rewards.bonus_view import PublicBonus
from rewards.events import PointsExpired
from rewards.evidence import tiers
from rewards.own_points import own_lots, own_points
from rewards.pools import BonusUnit
from rewards.statements import AnyLine, BonusLine, Line, PointsLine, SpendingLine, statement
from tanpuhui.errors import NotAllowed
from tanpuhui.measures import POLLUTANTS
from tanpuhui.rooms import House
from tanpuhui.web.api import ACCOUNT_PARAMETER, READING, IsoDay, Query, api_blueprint, iso, json_answer
from tanpuhui.web.auth import machine


class StatementQuery(Query):
    """A page of the statement."""

    limit: int = Field(50, ge=1, le=200)
    before: int | None = Field(None, ge=1, le=2**62)


class LineOut(BaseModel):
    """One fact: an action recorded, confirmed, rejected or voided, the points it moved, the balance after."""

    position: int
    type: Literal["action.recorded", "action.confirmed", "action.rejected", "action.voided"]
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


class BonusLineOut(BaseModel):
    """Points of a campaign's bonus for a record: granted, or taken back because the record was voided."""

    position: int
    type: Literal["bonus.granted", "bonus.returned"]
    action_id: str
    kind: str
    campaign_id: str
    campaign: str = Field(description="Title of the campaign")
    recorded_at: str
    points: int
    balance_after: int | None


class PointsLineOut(BaseModel):
    """Points that expired, or that staff gave or took back; no record belongs to them."""

    position: int
    type: Literal["points.expired", "points.adjusted"]
    recorded_at: str
    points: int
    balance_after: int | None
    expires_on: str | None = Field(description="The day of points that expired")
    reason: str | None = Field(description="Why points were adjusted")


class PointsQuery(Query):
    """A day that is asked about."""

    on: IsoDay | None = Field(None, description="A day, today or before")


class LotOut(BaseModel):
    """Points that expire together: what is left of them."""

    expires_on: str | None = Field(
        description="The last day on which they can be spent; null: they last for good"
    )
    points: int


class OwnPointsOut(BaseModel):
    """The balance, what of it expires when (spent from the top), and the balance at the end of the day asked about."""

    balance: int
    pending: int = Field(description="Points of records that wait for review; they cannot be spent yet")
    lots: list[LotOut]
    on: str | None
    balance_on: int | None


class SpendingLineOut(BaseModel):
    """Points given for a voucher or for a ticket in a draw, or given back."""

    position: int
    type: Literal["voucher.reserved", "voucher.returned", "ticket.taken", "ticket.returned"]
    id: str = Field(description="Of the voucher or the ticket")
    title: str = Field(description="Of the offer or the draw")
    recorded_at: str
    points: int
    balance_after: int | None


class StatementOut(BaseModel):
    """Lines, latest first; `next_before` asks for the page after."""

    balance: int
    pending: int = Field(description="Points of records that wait for review; they cannot be spent yet")
    lines: list[LineOut | BonusLineOut | PointsLineOut | SpendingLineOut]
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


class CampaignPath(BaseModel):
    """The campaign that is asked about."""

    campaign_id: UUID


class BonusOut(BaseModel):
    """What a campaign gives on top of the points of its records, and how far its budget has gone, in whole points."""

    campaign_id: str
    title: str
    unit: BonusUnit | None = Field(
        description="percent: of a record's own points, rounded down; points: a record; null: it gives none any more"
    )
    amount: int | None
    cap: int | None = Field(description="The most that one resident gets in the campaign")
    budget: int
    granted: int | None = Field(description="null while fewer than five residents have any")
    left: int | None = Field(
        description="null while fewer than five residents have any; 0 once it is closed and the rest went back"
    )
    closed: bool


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
                "lines": [_any_line(line) for line in lines],
                "next_before": lines[-1].position if more else None,
            }
        )

    @api.get(
        "/me/points",
        summary="One's own points: what expires when, and the balance of any day",
        responses={"200": OwnPointsOut, **READING},
        openapi_extensions={"parameters": [ACCOUNT_PARAMETER]},
    )
    def get_points(query: PointsQuery) -> Response:
        principal = machine()
        if principal.kind != "resident":
            raise NotAllowed
        with house.db.reading() as connection:
            found = own_points(connection, principal.id, query.on)
            own = own_lots(connection, principal.id)
        lasting = [{"expires_on": None, "points": own.lasting}] if own.lasting else []
        answer = {
            "balance": found.balance,
            "pending": found.pending,
            "lots": [{"expires_on": day.isoformat(), "points": left} for day, left in own.expiring] + lasting,
            "on": found.on and found.on.isoformat(),
            "balance_on": found.balance_on,
        }
        return json_answer(answer)

    return api


def public_blueprint(house: House) -> APIBlueprint:
    """What anybody may read."""
    api = api_blueprint("evidence-api", __name__, public=True)

    @api.get("/evidence", summary="Every tier of evidence", responses={"200": EvidenceOut, **READING})
    def get_evidence() -> Response:
        with house.db.reading() as connection:
            return json_answer({"evidence": [asdict(tier) for tier in tiers(connection)]})

    @api.get(
        "/campaigns/<campaign_id>/bonus",
        summary="What a campaign gives on top, and how far its budget has gone",
        responses={"200": BonusOut, **READING},
    )
    def get_bonus(path: CampaignPath) -> Response:
        with house.db.reading() as connection:
            return json_answer(_bonus(bonus_view.public_bonus(connection, path.campaign_id)))

    return api


def _bonus(bonus: PublicBonus) -> dict[str, Any]:
    return {
        "campaign_id": str(bonus.campaign_id),
        "title": bonus.title,
        "unit": bonus.rule.unit.value if bonus.rule else None,
        "amount": bonus.rule.amount if bonus.rule else None,
        "cap": bonus.rule.cap if bonus.rule else None,
        "budget": bonus.budget,
        "granted": bonus.granted,
        "left": bonus.left,
        "closed": bonus.closed,
    }


def _any_line(line: AnyLine) -> dict[str, Any]:
    if isinstance(line, Line):
        return _line(line)
    if isinstance(line, SpendingLine):
        return _spending_line(line)
    return _bonus_line(line) if isinstance(line, BonusLine) else _points_line(line)


def _spending_line(line: SpendingLine) -> dict[str, Any]:
    return {
        "position": line.position,
        "type": line.spending.type,
        "id": str(line.spending.subject_id),
        "title": line.title,
        "recorded_at": iso(line.spending.recorded_at),
        "points": line.points,
        "balance_after": line.balance_after,
    }


def _points_line(line: PointsLine) -> dict[str, Any]:
    event = line.event
    return {
        "position": line.position,
        "type": event.type,
        "recorded_at": iso(event.recorded_at),
        "points": line.points,
        "balance_after": line.balance_after,
        "expires_on": event.expires_on.isoformat() if isinstance(event, PointsExpired) else None,
        "reason": line.reason,
    }


def _bonus_line(line: BonusLine) -> dict[str, Any]:
    return {
        "position": line.position,
        "type": line.bonus.type,
        "action_id": str(line.bonus.subject_id),
        "kind": line.bonus.kind,
        "campaign_id": str(line.bonus.campaign_id),
        "campaign": line.title,
        "recorded_at": iso(line.bonus.recorded_at),
        "points": line.points,
        "balance_after": line.balance_after,
    }


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
