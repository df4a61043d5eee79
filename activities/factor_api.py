"""The public JSON API of factors and methodologies: what every number rests on, for anybody."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from flask import Response
from flask_openapi import APIBlueprint
from pydantic import BaseModel, Field

from activities.catalogue import ActionKind
from activities.quantify.factors import Confidence, VersionState, version_state
from activities.quantify.forms import SHAPES, plain, read_derivation
from activities.quantify.methodologies import FilingStatus, Methodology, ScenarioKind, all_methodologies
from activities.quantify.register import Entry, Search, entries, followers, kinds_of, of_kind
from tanpuhui import clock
from tanpuhui.i18n import translated
from tanpuhui.rooms import House
from tanpuhui.web.api import READING, IsoDay, Query, api_blueprint, iso, json_answer


class FactorsQuery(Query):
    """What to look for. Several conditions must all hold."""

    q: str = Field(
        "", max_length=100, description="Words in the names, the code, the source or the region; all of them"
    )
    kind: str | None = Field(None, max_length=32)
    category: str | None = Field(None, max_length=32)
    scenario_kind: ScenarioKind | None = None
    confidence: Confidence | None = Field(
        None, description="A primary text, B press, C second-hand, D by arithmetic"
    )
    filing_status: FilingStatus | None = Field(None, description="Of the methodology that is followed")
    city_credited: bool | None = Field(None, description="Credited by the city: points here, no reduction")
    methodology: str | None = Field(None, max_length=32)
    on: IsoDay | None = Field(None, description="Valid on this day")

    def search(self) -> Search:
        """The same for the register."""
        return Search(**self.model_dump())


class FactorOut(BaseModel):
    """A published factor version: what one unit saves, in nanograms; a pollutant without a factor is null.

    `derivation` holds the parameters that a value follows from, by value; empty where the source states the value.
    """

    id: str
    action_code: str
    title_zh: str
    title_en: str
    version: int
    state: VersionState
    unit: str
    scenario_kind: str
    city_credited: bool
    co2e_low_ng: int
    co2e_mid_ng: int
    co2e_high_ng: int
    nox_ng: int | None
    pm25_ng: int | None
    voc_ng: int | None
    so2_ng: int | None
    co_ng: int | None
    baseline: str
    source: str
    source_year: int
    region: str
    confidence: str
    valid_from: date | None
    valid_to: date | None
    published_at: str | None = Field(description="Null where it came with the platform's reference data")
    cancelled_on: date | None = Field(description="The day on which it was cancelled, before it began")
    cancelled_because: str | None
    note: str
    methodology: str | None
    filing_status: FilingStatus | None
    derivation: dict[str, dict[str, str]]
    page: str


class FactorsOut(BaseModel):
    """Every factor version asked for."""

    factors: list[FactorOut]


class OneFactorOut(BaseModel):
    """A factor version, the identifiers of all versions of its kind, and a worked example."""

    factor: FactorOut
    history: list[str]
    example: dict[str, Any]


class MethodologyOut(BaseModel):
    """A methodology; `factors` are the versions of its kinds that are valid today and follow it."""

    code: str
    title_zh: str
    title_en: str
    form: str
    form_zh: str
    form_en: str
    formula: str
    scenario_kind: str
    filing_status: FilingStatus
    city_reference: str
    baseline_zh: str
    baseline_en: str
    applicability_zh: str
    applicability_en: str
    evidence_zh: str
    evidence_en: str
    sources: list[str]
    kinds: list[str]
    factors: list[str]
    page: str


class MethodologiesOut(BaseModel):
    """Every methodology."""

    methodologies: list[MethodologyOut]


class FactorPath(BaseModel):
    """A factor version, such as clean_plate@1."""

    version_id: str = Field(max_length=48)


def blueprint(house: House) -> APIBlueprint:
    """What anybody may read under `/api/v1`."""
    api = api_blueprint("factors-api", __name__, public=True)

    @api.get("/factors", summary="Every published factor", responses={"200": FactorsOut, **READING})
    def get_factors(query: FactorsQuery) -> Response:
        search = query.search()
        with house.db.reading_session() as session:
            found = [_factor(house, entry) for entry in entries(session) if search.finds(entry)]
        return json_answer({"factors": found})

    @api.get(
        "/factors/<version_id>", summary="One published factor", responses={"200": OneFactorOut, **READING}
    )
    def get_factor(path: FactorPath) -> Response:
        with house.db.reading_session() as session:
            family = of_kind(session, path.version_id)
            entry = next(one for one in family if one.version.id == path.version_id)
            body = {
                "factor": _factor(house, entry),
                "history": [one.version.id for one in family],
                "example": entry.example().document(),
            }
        return json_answer(body)

    @api.get("/methodologies", summary="Every methodology", responses={"200": MethodologiesOut, **READING})
    def get_methodologies() -> Response:
        with house.db.reading_session() as session:
            everything = entries(session)
            found = [
                _methodology(
                    house, one, kinds_of(session, one.code), followers(everything, one.code, clock.today())
                )
                for one in all_methodologies(session)
            ]
        return json_answer({"methodologies": found})

    return api


# --- what is answered ---------------------------------------------------------------------------------------


def _factor(house: House, entry: Entry) -> dict[str, Any]:
    version = entry.version
    derivation = read_derivation(version.derivation)
    told = FactorOut(
        **version.model_dump(exclude={"derivation"}),
        title_zh=entry.kind.name_zh,
        title_en=entry.kind.name_en,
        state=version_state(version, clock.today()),
        published_at=iso(entry.published_at) if entry.published_at else None,
        filing_status=entry.methodology.filing_status if entry.methodology else None,
        derivation={
            value: {name: plain(number) for name, number in given.items()}
            for value, given in derivation.items()
        },
        page=f"{house.settings.public_url}/factors/{version.id}",
    )
    return told.model_dump(mode="json")


def _methodology(
    house: House, methodology: Methodology, kinds: Sequence[ActionKind], present: Sequence[Entry]
) -> dict[str, Any]:
    shape = SHAPES[methodology.form]
    told = MethodologyOut(
        **methodology.model_dump(exclude={"sources"}),
        form_zh=translated(shape.title, "zh"),
        form_en=translated(shape.title, "en"),
        formula=shape.formula,
        sources=methodology.sources.splitlines(),
        kinds=[kind.code for kind in kinds],
        factors=[entry.version.id for entry in present],
        page=f"{house.settings.public_url}/methodologies/{methodology.code}",
    )
    return told.model_dump(mode="json")
