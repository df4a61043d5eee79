"""The public JSON API of the limits."""

from decimal import Decimal
from typing import Any

from flask import Response
from flask_openapi import APIBlueprint
from pydantic import BaseModel, Field

from activities.known import Knowledge
from activities.published import Limits, published
from tanpuhui.rooms import House
from tanpuhui.web.api import READING, api_blueprint, json_answer


class SameDeedOut(BaseModel):
    """A kind that may be the same deed: of the two, one is credited within so many minutes."""

    kind: str
    within_minutes: int


class LimitsOut(BaseModel):
    """What bounds the records of one resident. Quantities in `unit`; a limit of the week that is null does not exist."""

    kind: str
    name_zh: str
    name_en: str
    unit: str
    quantity_default: float | None = Field(description="What is recorded where no quantity is said")
    quantity_min: float = Field(description="Of one record")
    quantity_max: float = Field(description="Of one record, and of one load")
    records_per_day: int
    records_per_week: int | None
    quantity_per_day: float
    quantity_per_week: float | None
    min_interval_minutes: int
    merge_minutes: int = Field(
        description="What is handed in within so many minutes counts as one record; 0: each does"
    )
    same_deed: list[SameDeedOut]
    one_a_period: list[str] = Field(
        description="Parts of a day, as 05:00-10:00, in each of which it is credited once"
    )
    lowest_evidence: str = Field(description="The weakest evidence that is taken; see /evidence")
    page: str


class AllLimitsOut(BaseModel):
    """Every kind that is credited. Days and weeks (from Monday) are those of Shanghai; a site may be stricter."""

    limits: list[LimitsOut]


def blueprint(house: House) -> APIBlueprint:
    """What anybody may read under `/api/v1`."""
    api = api_blueprint("limits-api", __name__, public=True)

    @api.get("/limits", summary="The limits of every kind", responses={"200": AllLimitsOut, **READING})
    def get_limits() -> Response:
        with house.db.reading() as connection:
            found = published(connection, house.part(Knowledge).at(connection))
        return json_answer({"limits": [_limits(house, one) for one in found]})

    return api


def _limits(house: House, limits: Limits) -> dict[str, Any]:
    kind = limits.kind
    told = LimitsOut(
        kind=kind.code,
        name_zh=kind.name_zh,
        name_en=kind.name_en,
        unit=kind.unit,
        quantity_default=_units(kind.quantity_default_milli),
        quantity_min=_units(kind.quantity_min_milli),
        quantity_max=_units(kind.quantity_max_milli),
        records_per_day=kind.records_per_day,
        records_per_week=kind.records_per_week,
        quantity_per_day=_units(kind.quantity_per_day_milli),
        quantity_per_week=_units(kind.quantity_per_week_milli),
        min_interval_minutes=kind.min_interval_minutes,
        merge_minutes=kind.merge_minutes,
        same_deed=[SameDeedOut(kind=one.kind.code, within_minutes=one.minutes) for one in limits.same_deed],
        one_a_period=list(limits.periods),
        lowest_evidence=kind.lowest_evidence,
        page=f"{house.settings.public_url}/limits#kind-{kind.code}",
    )
    return told.model_dump(mode="json")


def _units(milli: int | None) -> Any:
    """Thousandths as whole units and parts."""
    return None if milli is None else float(Decimal(milli) / 1000)
