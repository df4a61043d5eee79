"""Complaints, suggestions and questions as JSON."""

from datetime import date
from typing import Annotated, Any
from uuid import UUID

from flask import Response, request
from flask_openapi import APIBlueprint
from pydantic import BaseModel, Field

from tanpuhui import feedback
from tanpuhui.errors import NotAllowed
from tanpuhui.feedback import LONGEST, About, FeedbackKind, FeedbackState
from tanpuhui.rooms import House
from tanpuhui.web.api import (
    ACCOUNT_PARAMETER,
    KEY_HEADER,
    READING,
    WRITING,
    Strict,
    api_blueprint,
    iso,
    json_answer,
)
from tanpuhui.web.auth import machine


class AboutIn(Strict):
    """What it is about: one's own record (`action`), or a site (`site`)."""

    topic: str = Field(min_length=1, max_length=16)
    id: Annotated[UUID, Field(strict=False)]


class FeedbackIn(Strict):
    """What a resident has to say."""

    kind: Annotated[FeedbackKind, Field(strict=False)]
    text: str = Field(min_length=1, max_length=LONGEST)
    about: AboutIn | None = None


class AboutOut(BaseModel):
    """What it is about."""

    topic: str
    id: UUID


class FeedbackOut(BaseModel):
    """A complaint, suggestion or question. `due_on`: the last day on which an answer is in time."""

    id: UUID
    number: str
    kind: FeedbackKind
    state: FeedbackState
    about: AboutOut | None
    due_on: date
    opened_at: str
    answered_at: str | None
    closed_at: str | None


class OpenedOut(BaseModel):
    """What was taken in."""

    feedback: FeedbackOut


class EntryOut(BaseModel):
    """Something that was said, by its author or (`by_staff`) by the bureau."""

    said_at: str
    by_staff: bool
    text: str


class ThreadOut(FeedbackOut):
    """With all that was said, the first word first."""

    entries: list[EntryOut]


class ThreadsOut(BaseModel):
    """The newest first, at most 100."""

    feedback: list[ThreadOut]


def blueprint(house: House) -> APIBlueprint:
    """The operations under `/api/v1`."""
    api = api_blueprint("feedback-api", __name__)

    @api.post(
        "/feedback",
        summary="Complain, suggest or ask",
        responses={"201": OpenedOut, **WRITING},
        openapi_extensions={"parameters": [KEY_HEADER, ACCOUNT_PARAMETER]},
    )
    def post_feedback(body: FeedbackIn) -> Response:
        answer = feedback.write_in(
            house,
            _resident(),
            key=request.headers.get("Idempotency-Key"),
            kind=body.kind.value,
            text=body.text,
            about=About(body.about.topic, body.about.id) if body.about else None,
        )
        response = json_answer(answer.body, 201)
        if answer.replayed:
            response.headers["Idempotent-Replayed"] = "true"
        return response

    @api.get(
        "/me/feedback",
        summary="What one wrote in, with the answers",
        responses={"200": ThreadsOut, **READING},
        openapi_extensions={"parameters": [ACCOUNT_PARAMETER]},
    )
    def get_feedback() -> Response:
        with house.db.reading_session() as session:
            found = [
                {**feedback.view(one), "entries": [_entry(entry) for entry in said]}
                for one, said in feedback.threads(session, _resident())
            ]
        return json_answer({"feedback": found})

    return api


def _entry(said: feedback.FeedbackEntry) -> dict[str, Any]:
    return {"said_at": iso(said.said_at), "by_staff": said.staff_id is not None, "text": said.text}


def _resident() -> UUID:
    """The resident whose token was shown. Raises NotAllowed for staff."""
    principal = machine()
    if principal.kind != "resident":
        raise NotAllowed
    return principal.id
