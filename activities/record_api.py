"""One record as JSON, with the sum it rests on: for whose it is, and for who manages its site."""

from typing import Any
from uuid import UUID

from flask import Response
from flask_openapi import APIBlueprint
from pydantic import BaseModel, Field

from activities import declared, records, review, reviews
from activities.api import ActionOut, ActionPath
from activities.drafts import action_view
from tanpuhui.rooms import House
from tanpuhui.web.api import ACCOUNT_PARAMETER, READING, api_blueprint, iso, json_answer
from tanpuhui.web.auth import machine


class RecordOut(BaseModel):
    """A record as its scan was answered; `sum` shows how each number came about, by the version of the record."""

    action: ActionOut
    sum: dict[str, Any] = Field(description="Formula, steps, derivation, factor and methodology")
    state: str | None = Field(
        description="estimated, reported, confirmed or used; null for what is never declared: voided, or credited by the city"
    )
    review: str | None = Field(
        description="pending: it waits for review and does not count yet; rejected: it does not count; null: no review stands against it"
    )
    review_due_on: str | None = Field(description="By when a pending one is decided")
    review_reason: str | None = Field(description="Why it was rejected")
    voided: bool
    voided_at: str | None
    void_reason: str | None


def blueprint(house: House) -> APIBlueprint:
    """The operation under `/api/v1`."""
    api = api_blueprint("records-api", __name__)

    @api.get(
        "/actions/<action_id>",
        summary="A record with its sum",
        responses={"200": RecordOut, **READING},
        openapi_extensions={"parameters": [ACCOUNT_PARAMETER]},
    )
    def get_action(path: ActionPath) -> Response:
        return json_answer(_record(house, path.action_id))

    return api


def _record(house: House, action_id: UUID) -> dict[str, Any]:
    """A resident's own record, or one at a site that the member of staff manages. Raises NotFound, NotAllowed."""
    principal = machine()
    with house.db.reading_session() as session:
        if principal.kind == "resident":
            action, void, _ = review.own_action(session, principal.id, action_id)
        else:
            action, void, _ = records.managed_action(session, principal, action_id)
        trace = records.sum_of(session, action)
        unconfirmed = reviews.unconfirmed(session, action_id)
        return {
            "action": action_view({**action.model_dump(), "unit": trace.kind.unit}),
            "sum": trace.document(),
            "state": declared.state_of(session.connection(), action.id),
            "review": unconfirmed.state.value if unconfirmed else None,
            "review_due_on": unconfirmed.due_on.isoformat() if unconfirmed else None,
            "review_reason": unconfirmed.reason if unconfirmed else None,
            "voided": void is not None,
            "voided_at": iso(void.voided_at) if void else None,
            "void_reason": void.reason if void else None,
        }
