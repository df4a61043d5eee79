"""The bureau's targets as JSON."""

from datetime import date
from typing import Any
from uuid import UUID

from flask import Response
from flask_openapi import APIBlueprint
from pydantic import BaseModel, Field

from tanpuhui import clock
from tanpuhui.bureau.target_measures import Counted
from tanpuhui.bureau.target_progress import Progress, progress
from tanpuhui.bureau.targets import FIRST_YEAR, LAST_YEAR, Target, Way, divided, parts_of, readable
from tanpuhui.rooms import House
from tanpuhui.web.api import READING, Query, api_blueprint, json_answer
from tanpuhui.web.auth import machine


class TargetsQuery(Query):
    """A year; this one if none is named."""

    year: int | None = Field(None, ge=FIRST_YEAR, le=LAST_YEAR)


class DividedOut(BaseModel):
    """How the parts of a target sum to it, one way. `gap_milli` is its amount less their sum; null where they cannot be summed."""

    way: Way
    parts: int
    sum_milli: int
    gap_milli: int | None
    counting_otherwise: int = Field(description="Parts that count something else and are in no sum")
    overlapping: int = Field(
        description="Parts whose figures hold the same records, so that they are not to be added up"
    )


class TargetOut(BaseModel):
    """A target, in thousandths of `unit`. `reached_milli` is null if it is entered by hand and nobody has said anything yet.

    `expected_milli`: spread evenly from the first of January to `due_on`.
    """

    id: UUID
    code: str
    parent: str | None
    measure: Counted
    kind: str | None
    subject: str | None
    unit: str
    division: str
    department: str | None
    amount_milli: int
    due_on: date
    basis: str
    notes: str
    version: int
    reached_milli: int | None
    reached_share_permille: int | None
    as_of: date
    expected_milli: int
    divided: list[DividedOut]


class TargetsOut(BaseModel):
    """The targets of a year that the token may read, each behind its parent."""

    year: int
    targets: list[TargetOut]


def blueprint(house: House) -> APIBlueprint:
    """The operation of targets under `/api/v1`."""
    api = api_blueprint("targets-api", __name__)

    @api.get("/targets", summary="Targets and how far they are", responses={"200": TargetsOut, **READING})
    def get_targets(query: TargetsQuery) -> Response:
        year = query.year or clock.today().year
        with house.db.reading_session() as session:
            found = readable(session, house, machine(), year)
            reached = progress(session.connection(), found, clock.today())
            parts = parts_of(session, found)
        codes = {one.id: one.code for one in found}
        return json_answer(
            {"year": year, "targets": [_out(one, codes, parts[one.id], reached[one.id]) for one in found]}
        )

    return api


def _out(one: Target, codes: dict[UUID, str], parts: list[Target], reached: Progress) -> dict[str, Any]:
    return {
        "id": str(one.id),
        "code": one.code,
        "parent": codes.get(one.parent_id) if one.parent_id else None,
        "measure": one.measure.value,
        "kind": one.kind or None,
        "subject": one.subject or None,
        "unit": one.unit,
        "division": one.division_code,
        "department": one.department or None,
        "amount_milli": one.amount_milli,
        "due_on": one.due_on.isoformat(),
        "basis": one.basis,
        "notes": one.notes,
        "version": one.version,
        "reached_milli": reached.reached_milli,
        "reached_share_permille": reached.share,
        "as_of": reached.as_of.isoformat(),
        "expected_milli": reached.expected_milli,
        "divided": [
            {
                "way": each.way.value,
                "parts": len(each.parts),
                "sum_milli": each.sum_milli,
                "gap_milli": each.gap_milli,
                "counting_otherwise": len(each.others),
                "overlapping": len(each.overlapping),
            }
            for each in divided(one, parts)
        ],
    }
