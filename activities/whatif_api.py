"""What if, as JSON: a period computed again with other factors."""

from collections.abc import Iterable
from datetime import date
from typing import Any, Literal

from flask import Response
from flask_openapi import APIBlueprint
from pydantic import BaseModel, ConfigDict, Field

from activities.quantify import whatif
from activities.quantify.factors import POLLUTANTS, FactorVersion
from activities.quantify.whatif import Choices, Comparison, Part, Row
from tanpuhui.bureau.participation import may_read, period_or_month
from tanpuhui.errors import InvalidField
from tanpuhui.i18n import N_
from tanpuhui.rooms import House
from tanpuhui.web.api import READING, IsoDay, Query, api_blueprint, json_answer
from tanpuhui.web.auth import machine


class WhatIfQuery(Query):
    """Days, both included, and the factors to compute with; `version` and `proposal` may be repeated."""

    from_: IsoDay | None = Field(None, alias="from")
    to: IsoDay | None = None
    version: list[str] = Field(
        default_factory=list, max_length=100, description="Published versions, such as clean_plate@2"
    )
    proposal: list[str] = Field(default_factory=list, max_length=100, description="Numbers of open proposals")
    preset: Literal["newest"] | None = Field(
        None, description="newest: for every other kind, the published version that takes effect last"
    )


class ComparisonOut(BaseModel):
    """One part of the records, as recorded and as computed again; milligrams of CO2e, micrograms of pollutants.

    A pollutant is null where no factor for it is known, with the number of records that have one beside it. A
    difference is null unless a factor is known in both, for the same records.
    """

    recorded: dict[str, int | None]
    recomputed: dict[str, int | None]
    difference: dict[str, int | None]
    percent: dict[str, str | None] = Field(description="Cut to two digits; null where undefined")


class RowOut(BaseModel):
    """Records of a kind and a 街镇 (null: of all). `city` is credited by the city and never added to `own`."""

    kind: str | None
    division: str | None
    records: int
    concerned: int = Field(description="Records that another version than their own was computed for")
    moved: int = Field(description="Records whose city_credited would differ")
    own: ComparisonOut
    city: ComparisonOut


class FactorUsedOut(BaseModel):
    """A factor: a published version or a proposal."""

    version: str | None
    proposal: str | None
    city_credited: bool
    source: str
    source_year: int
    region: str
    confidence: str


class RecordedByOut(FactorUsedOut):
    """A version that records of the period were computed by."""

    records: int


class ReplacementOut(BaseModel):
    """What records of a kind were computed by, and what they were computed with here."""

    kind: str
    recorded: list[RecordedByOut]
    replacement: FactorUsedOut


class WhatIfOut(BaseModel):
    """The answer. No record was changed."""

    model_config = ConfigDict(populate_by_name=True)

    from_: date = Field(alias="from")
    to: date
    replacements: list[ReplacementOut]
    total: RowOut
    by_kind: list[RowOut]
    by_division: list[RowOut]
    rows: list[RowOut] = Field(description="By kind and 街镇, where there are records")


def blueprint(house: House) -> APIBlueprint:
    """The operation under `/api/v1`."""
    api = api_blueprint("whatif-api", __name__)

    @api.get(
        "/what-if",
        summary="A period computed again with other factors",
        responses={"200": WhatIfOut, **READING},
    )
    def get_what_if(query: WhatIfQuery) -> Response:
        may_read(house, machine())
        within = period_or_month(query.from_, query.to)
        with house.db.snapshot() as connection:
            offered = whatif.choices(connection)
            chosen = offered.replacements(
                _listed(query.version), _listed(query.proposal), newest=query.preset == "newest"
            )
            if not chosen:
                raise InvalidField(errors=[{"field": "version", "reason": N_("请选择要换成的因子。")}])
            rows = whatif.what_if(connection, within.first, within.last, chosen)
        total = whatif.total(rows)
        return json_answer(
            {
                "from": within.first.isoformat(),
                "to": within.last.isoformat(),
                "replacements": _replacements(offered, chosen, total),
                "total": _row(total),
                "by_kind": [_row(row) for row in whatif.by_kind(rows, list(chosen))],
                "by_division": [_row(row) for row in whatif.by_street(rows)],
                "rows": [_row(row) for row in rows],
            }
        )

    return api


def _listed(values: Iterable[str]) -> list[str]:
    """Repeated values and comma lists, in order."""
    return [text for value in values for part in value.split(",") if (text := part.strip())]


def _replacements(offered: Choices, chosen: dict[str, FactorVersion], total: Row) -> list[dict[str, Any]]:
    used = sorted(total.versions.items())
    return [
        {
            "kind": kind,
            "recorded": [
                {**_factor(offered.versions[version]), "records": records}
                for (of, version), records in used
                if of == kind
            ],
            "replacement": _factor(factor),
        }
        for kind, factor in sorted(chosen.items())
    ]


def _factor(factor: FactorVersion) -> dict[str, Any]:
    proposal = whatif.proposal_of(factor)
    told = ("city_credited", "source", "source_year", "region", "confidence")
    return {
        "version": None if proposal else factor.id,
        "proposal": str(proposal) if proposal else None,
        **{name: getattr(factor, name) for name in told},
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "kind": row.kind or None,
        "division": row.street or None,
        **{name: getattr(row, name) for name in ("records", "concerned", "moved")},
        "own": _comparison(row.own),
        "city": _comparison(row.city),
    }


def _comparison(comparison: Comparison) -> dict[str, Any]:
    return {
        "recorded": _part(comparison.recorded),
        "recomputed": _part(comparison.recomputed),
        "difference": {measure: comparison.difference(measure) for measure in whatif.MEASURES},
        "percent": {measure: comparison.percent(measure) for measure in whatif.MEASURES},
    }


def _part(part: Part) -> dict[str, int | None]:
    return {
        "records": part.records,
        **{measure: part.value(measure) for measure in whatif.MEASURES},
        **{f"{name}_known": part.known[f"{name}_ug"] for name in POLLUTANTS},
    }
