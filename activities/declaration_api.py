"""Declarations as JSON: what was reported, confirmed and used, and the steps that officers take."""

from dataclasses import asdict
from datetime import date
from typing import Any
from uuid import UUID

from flask import Response
from flask_openapi import APIBlueprint
from pydantic import BaseModel, ConfigDict, Field

from activities import declared, declaring
from activities.declarations import Declaration, DeclarationState
from tanpuhui.bureau.participation import may_read, period
from tanpuhui.rooms import House
from tanpuhui.web.api import READING, WRITING, IsoDay, Query, Strict, api_blueprint, iso, json_answer
from tanpuhui.web.auth import machine


class DeclarationsQuery(Query):
    """Of a state, a methodology, or with days in a period; the newest first."""

    state: DeclarationState | None = None
    methodology: str | None = Field(None, max_length=32)
    from_: IsoDay | None = Field(None, alias="from")
    to: IsoDay | None = None
    limit: int = Field(100, ge=1, le=500)


class DeclarationOut(BaseModel):
    """Reductions reported together. Milligrams of CO2e; `co2e_mg` is the low value, the most that is confirmed."""

    model_config = ConfigDict(populate_by_name=True)

    id: UUID
    methodology: str
    from_: date = Field(alias="from")
    to: date
    state: DeclarationState
    actions: int
    co2e_mg: int
    co2e_mid_mg: int
    co2e_high_mg: int
    reported_at: str
    confirmed_at: str | None
    city_reference: str | None
    confirmed_mg: int | None
    used_at: str | None
    used_for: str | None
    withdrawn_at: str | None
    withdrawn_because: str | None


class DeclarationsOut(BaseModel):
    """Declarations, the newest first."""

    declarations: list[DeclarationOut]


class StatesQuery(Query):
    """Days, both included."""

    from_: IsoDay = Field(alias="from")
    to: IsoDay


class StateOut(BaseModel):
    """Records in a state and what they add up to, in milligrams of CO2e.

    `confirmed_mg` is what the city confirmed of the declarations with days in the period, each in full; null for
    what it has not confirmed.
    """

    actions: int
    co2e_mg: int
    co2e_mid_mg: int
    co2e_high_mg: int
    confirmed_mg: int | None


class StatesOut(BaseModel):
    """The standing records of a period by how far they have come; what the city credits itself is not among them."""

    model_config = ConfigDict(populate_by_name=True)

    from_: date = Field(alias="from")
    to: date
    estimated: StateOut
    reported: StateOut
    confirmed: StateOut
    used: StateOut


class ReportIn(Strict):
    """Report every record of a methodology and period that is not declared yet."""

    methodology: str = Field(min_length=1, max_length=32)
    from_: IsoDay = Field(alias="from")
    to: IsoDay = Field(description="A day that is over")


class ConfirmIn(Strict):
    """What the city confirmed."""

    city_reference: str = Field(min_length=1, max_length=100)
    confirmed_mg: int = Field(ge=0, lt=2**63, description="Milligrams of CO2e, at most what was reported")


class UseIn(Strict):
    """The one end use."""

    used_for: str = Field(min_length=1, max_length=200)


class WithdrawIn(Strict):
    """Why."""

    reason: str = Field(min_length=2, max_length=200)


class DeclarationPath(BaseModel):
    """A declaration."""

    declaration_id: UUID


def blueprint(house: House) -> APIBlueprint:
    """The operations on declarations under `/api/v1`."""
    api = api_blueprint("declarations-api", __name__)

    @api.get("/declarations", summary="Declarations", responses={"200": DeclarationsOut, **READING})
    def get_declarations(query: DeclarationsQuery) -> Response:
        may_read(house, machine())
        with house.db.reading_session() as session:
            found = declared.declarations(
                session,
                state=query.state,
                methodology=query.methodology,
                first=query.from_,
                last=query.to,
                limit=query.limit,
            )
        return json_answer({"declarations": [_declaration(one) for one in found]})

    @api.get(
        "/declarations/states",
        summary="What is estimated, reported, confirmed and used",
        responses={"200": StatesOut, **READING},
    )
    def get_states(query: StatesQuery) -> Response:
        may_read(house, machine())
        within = period(query.from_, query.to)
        with house.db.snapshot() as connection:
            found = declared.states(connection, within.first, within.last)
        sums = {state.value: asdict(found[state]) for state in found}
        return json_answer({"from": within.first.isoformat(), "to": within.last.isoformat(), **sums})

    @api.post("/declarations", summary="Report to the city", responses={"201": DeclarationOut, **WRITING})
    def post_report(body: ReportIn) -> Response:
        made = declaring.report(house, machine(), body.methodology, body.from_, body.to)
        return json_answer(_declaration(made), 201)

    @api.post(
        "/declarations/<declaration_id>/confirm",
        summary="Write down what the city confirmed",
        responses={"200": DeclarationOut, **WRITING},
    )
    def post_confirm(path: DeclarationPath, body: ConfirmIn) -> Response:
        return _answer(declaring.confirm(house, machine(), path.declaration_id, **body.model_dump()))

    @api.post(
        "/declarations/<declaration_id>/use",
        summary="Write down the one end use",
        responses={"200": DeclarationOut, **WRITING},
    )
    def post_use(path: DeclarationPath, body: UseIn) -> Response:
        return _answer(declaring.use(house, machine(), path.declaration_id, used_for=body.used_for))

    @api.post(
        "/declarations/<declaration_id>/withdraw",
        summary="Take a report back before it is confirmed",
        responses={"200": DeclarationOut, **WRITING},
    )
    def post_withdraw(path: DeclarationPath, body: WithdrawIn) -> Response:
        return _answer(declaring.withdraw(house, machine(), path.declaration_id, reason=body.reason))

    return api


def _answer(declaration: Declaration) -> Response:
    return json_answer(_declaration(declaration))


def _declaration(declaration: Declaration) -> dict[str, Any]:
    told = declaration.model_dump(exclude={"reported_by", "first", "last"})
    moments = {name: moment and iso(moment) for name, moment in told.items() if name.endswith("_at")}
    days = {"from": declaration.first.isoformat(), "to": declaration.last.isoformat()}
    return {**told, **moments, **days, "id": str(declaration.id)}
