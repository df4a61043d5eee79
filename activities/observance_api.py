"""Observances as JSON: the public calendar of a year, and the dates that officers enter."""

from datetime import date
from typing import Any, Literal

from flask import Response
from flask_openapi import APIBlueprint
from pydantic import BaseModel, Field

from activities import observance_changes as changes
from activities.observance_calendar import CalendarEntry, Span, calendar_of
from activities.observance_words import Said
from activities.observances import ObservanceKind
from activities.quantify.factors import Confidence
from tanpuhui import clock
from tanpuhui.rooms import House
from tanpuhui.web.api import READING, WRITING, IsoDay, Query, Strict, api_blueprint, json_answer
from tanpuhui.web.auth import machine


class YearQuery(Query):
    """Which year; this one, if none is named."""

    year: int | None = Field(None, ge=2000, le=2199)


class SpanOut(BaseModel):
    """Days, both included."""

    starts_on: date
    ends_on: date


class ObservanceOut(BaseModel):
    """An observance in a year. While it is awaiting it has no dates, and `last_known` says those of an earlier year.

    `working_days`: how many of its days offices work; null while the holidays of the year are not known.
    `revision` counts the changes since the first file.
    """

    key: str
    year: int
    name_zh: str
    name_en: str
    kind: ObservanceKind
    state: Literal["dated", "awaiting"]
    starts_on: date | None
    ends_on: date | None
    working_days: int | None
    source: str | None
    confidence: Confidence | None = Field(description="A primary text, B press, C second-hand, D derived")
    last_known: SpanOut | None = Field(description="Only while awaiting: past dates, no forecast")
    revision: int


class ObservancesOut(BaseModel):
    """Every observance of a year, in the order of the calendar; those that are awaited come last."""

    year: int
    observances: list[ObservanceOut]


class ObservancePath(BaseModel):
    """An announced observance in a year."""

    key: str = Field(pattern="^[a-z][a-z0-9_]{0,31}$")
    year: int = Field(ge=2000, le=2999)


class DatesIn(Strict):
    """The dates as they were announced, and where."""

    starts_on: IsoDay
    ends_on: IsoDay | None = Field(None, description="Included; one day if left out")
    source: str = Field(min_length=2, max_length=200)
    confidence: Literal["A", "B", "C", "D"]
    revision: int = Field(ge=0, description="The one that was read: whoever has read an older one is refused")


class TakingBackQuery(Query):
    """Why the dates no longer stand."""

    source: str = Field(min_length=2, max_length=200)
    revision: int = Field(ge=0)


def public_blueprint(house: House) -> APIBlueprint:
    """What anybody may read under `/api/v1`."""
    api = api_blueprint("observances-api", __name__, public=True)

    @api.get(
        "/observances", summary="The observances of a year", responses={"200": ObservancesOut, **READING}
    )
    def get_observances(query: YearQuery) -> Response:
        year = query.year or clock.today().year
        with house.db.reading_session() as session:
            entries = calendar_of(session, year)
        return json_answer({"year": year, "observances": [_entry(entry) for entry in entries]})

    return api


def blueprint(house: House) -> APIBlueprint:
    """What officers enter."""
    api = api_blueprint("observance-dates-api", __name__)

    @api.put(
        "/bureau/observances/<key>/<year>",
        summary="Enter or move the dates of a year",
        responses={"200": ObservanceOut, **WRITING},
    )
    def put_dates(path: ObservancePath, body: DatesIn) -> Response:
        said = Said(
            starts_on=body.starts_on.isoformat(),
            ends_on=body.ends_on.isoformat() if body.ends_on else "",
            source=body.source,
            confidence=body.confidence,
        )
        changes.enter(house, machine(), path.key, path.year, said, seen=body.revision)
        return _answer(house, path)

    @api.delete(
        "/bureau/observances/<key>/<year>",
        summary="Take the dates of a year back",
        responses={"200": ObservanceOut, **WRITING},
    )
    def delete_dates(path: ObservancePath, query: TakingBackQuery) -> Response:
        changes.take_back(house, machine(), path.key, path.year, query.source, seen=query.revision)
        return _answer(house, path)

    return api


def _answer(house: House, path: ObservancePath) -> Response:
    with house.db.reading_session() as session:
        entry = next(entry for entry in calendar_of(session, path.year) if entry.key == path.key)
    return json_answer(_entry(entry))


def _entry(entry: CalendarEntry) -> dict[str, Any]:
    told = ObservanceOut(
        key=entry.key,
        year=entry.year,
        name_zh=entry.name_zh,
        name_en=entry.name_en,
        kind=entry.kind,
        state="awaiting" if entry.awaiting else "dated",
        starts_on=entry.span.first if entry.span else None,
        ends_on=entry.span.last if entry.span else None,
        working_days=entry.working_days,
        source=entry.source or None,
        confidence=entry.confidence,
        last_known=_span(entry.known),
        revision=entry.revision,
    )
    return told.model_dump(mode="json")


def _span(span: Span | None) -> SpanOut | None:
    return SpanOut(starts_on=span.first, ends_on=span.last) if span else None
