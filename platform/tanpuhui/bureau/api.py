"""The bureau's statistics and the synergy of a period as JSON."""

from datetime import date
from fractions import Fraction
from typing import Any

from flask import Response
from flask_openapi import APIBlueprint
from pydantic import BaseModel, ConfigDict, Field

from tanpuhui import audit
from tanpuhui.bureau.cocontrol import Basis, Indicator, Pair, Quadrant, Reading, quadrant, rounded
from tanpuhui.bureau.participation import PARTS, may_read, period_or_month, statistics
from tanpuhui.bureau.synergy import KindPart, Part, synergy
from tanpuhui.bureau.told import told_statistics
from tanpuhui.measures import POLLUTANTS
from tanpuhui.rooms import House
from tanpuhui.web.api import READING, IsoDay, Query, api_blueprint, json_answer
from tanpuhui.web.auth import machine


class StatisticsQuery(Query):
    """Days, both included, and what to break down by."""

    from_: IsoDay | None = Field(None, alias="from")
    to: IsoDay | None = None
    by: str = Field("", max_length=80, description="day, division, community, kind, evidence, campaign")
    reason: str = Field(
        "",
        max_length=200,
        description="Why numbers of a few people are needed; then none is withheld, and it is audited",
    )


class StatisticsOut(BaseModel):
    """Rows of integers: CO2e in milligrams (`co2e_mg` is the low value), pollutants in micrograms, quantities in thousandths.

    `actions` and `points` are of all actions. Estimated reductions without a prefix are the district's own (of
    `own_actions`), and the sum of the `verified_` part (evidence that counts as verified) and the `self_declared_` part
    (self-declared or by photo). The `city_` part is credited by the city's own scheme and in none of them. Each part has
    its `actions`, `co2e_mg`, `co2e_mid_mg`, `co2e_high_mg`, and for each pollutant the amount (`nox_ug`) and the number of
    its actions with a factor for it (`nox_known`); `co2e_known` counts the own actions with a factor for CO2e.

    A pollutant is null where no factor for it is known; `participants` is null by evidence, as people are
    not told apart by it.

    `withheld` is null, or says why all numbers of a row are: `few` people are behind it or behind a neighbour from which it could be
    worked out, or it is `fine`r than what is told at all. By campaign a row is told if the days hold the whole of the campaign.
    """

    model_config = ConfigDict(populate_by_name=True)

    from_: date = Field(alias="from")
    to: date
    by: list[str]
    rows: list[dict[str, int | str | None]]


class SynergyQuery(Query):
    """Days, both included, and optionally one kind of action."""

    from_: IsoDay | None = Field(None, alias="from")
    to: IsoDay | None = None
    kind: str | None = Field(None, max_length=32)
    reason: str = Field(
        "",
        max_length=200,
        description="Why numbers of a few people are needed; then none is withheld, and it is audited",
    )


class EmissionTotalOut(BaseModel):
    """What the district emits of a substance in the year of the period, and who says so."""

    year: int
    substance: str
    kilograms: int
    source: str


class EquivalentsOut(BaseModel):
    """Pollution equivalents by the annex of the environmental protection tax law; null where undefined.

    `as_soot`: the law has no value for PM2.5, which is counted as soot by assumption. `no_value`: none for VOCs either.
    """

    value: str | None = Field(description="A decimal, rounded half up")
    basis: Basis


class ElasticityOut(BaseModel):
    """Els = (ER of the pollutant / Q of it) / (ER of CO2e / Q of it); null where undefined, `reading` says why.

    ER is the reduction of the period by the compared actions, Q the district's total of the whole year.
    """

    value: str | None = Field(description="A decimal, rounded half up")
    reading: Reading


class ComparedOut(BaseModel):
    """The same actions by both measures: those with a factor for the pollutant."""

    actions: int
    reduction_ug: int
    co2e_mg: int


class IndicatorOut(BaseModel):
    """One pollutant. `known` of the actions have a factor for it; the reduction is null if none has."""

    pollutant: str
    reduction_ug: int | None
    known: int
    equivalents: EquivalentsOut
    compared: ComparedOut
    elasticity: ElasticityOut
    quadrant: Quadrant | None = Field(description="x: reduction of CO2e, y: reduction of the pollutant")


class LawfulOut(BaseModel):
    """Pollution equivalents of the pollutants that the law itself has a value for; null if none is known."""

    value: str | None
    of: list[str]


class KindOut(BaseModel):
    """Where one kind of action lies, for one pollutant."""

    kind: str
    pollutant: str
    compared: ComparedOut
    quadrant: Quadrant


class SynergyPartOut(BaseModel):
    """Estimated reductions of a part and its indicators; CO2e in milligrams, `co2e_mg` is the low value."""

    actions: int
    verified_actions: int
    co2e_mg: int
    verified_co2e_mg: int
    co2e_mid_mg: int
    co2e_high_mg: int
    equivalents: LawfulOut
    pollutants: list[IndicatorOut]
    kinds: list[KindOut]


class SynergyOut(BaseModel):
    """Pollution beside carbon. `own` counts for the district; `city` is credited by the city and not in it.

    `withheld` are kinds with records that are in no number: few people are behind them, or behind a neighbour from which it could be
    worked out.
    """

    model_config = ConfigDict(populate_by_name=True)

    from_: date = Field(alias="from")
    to: date
    kind: str | None
    year: int | None = Field(description="The year of the totals; null for a period not within one year")
    emission_totals: list[EmissionTotalOut]
    withheld: list[str]
    own: SynergyPartOut
    city: SynergyPartOut


def blueprint(house: House) -> APIBlueprint:
    """The operations of the bureau under `/api/v1`."""
    api = api_blueprint("bureau-api", __name__)

    @api.get(
        "/statistics", summary="Participation and reductions", responses={"200": StatisticsOut, **READING}
    )
    def get_statistics(query: StatisticsQuery) -> Response:
        may_read(house, machine())
        within = period_or_month(query.from_, query.to)
        by = list(dict.fromkeys(name for name in query.by.split(",") if name))
        if query.reason:
            with house.db.session() as session:
                subject = f"statistics:{within.first}..{within.last}"
                audit.saw(session, machine(), subject, audit.reason(query.reason), by=by)
                rows = [{**row, "withheld": None} for row in statistics(session.connection(), within, by)]
        else:
            with house.db.reading() as connection:
                rows = told_statistics(connection, within, by, house.settings.district_code)
        return json_answer(
            {
                "from": within.first.isoformat(),
                "to": within.last.isoformat(),
                "by": by,
                "rows": [_plain(row) for row in rows],
            }
        )

    @api.get(
        "/synergy",
        summary="Synergy of cutting pollution and carbon",
        responses={"200": SynergyOut, **READING},
    )
    def get_synergy(query: SynergyQuery) -> Response:
        may_read(house, machine())
        within = period_or_month(query.from_, query.to)
        if query.reason:
            with house.db.session() as session:
                subject = f"statistics:{within.first}..{within.last}"
                audit.saw(session, machine(), subject, audit.reason(query.reason), kind=query.kind)
        with house.db.snapshot() as connection:
            district = house.settings.district_code
            found = synergy(connection, within, district, query.kind, see_all=bool(query.reason))
        return json_answer(
            {
                "from": found.within.first.isoformat(),
                "to": found.within.last.isoformat(),
                "kind": found.kind,
                "year": found.year,
                "emission_totals": [
                    total.model_dump(include=set(EmissionTotalOut.model_fields)) for total in found.totals
                ],
                "withheld": found.withheld,
                "own": _part(found.own),
                "city": _part(found.city),
            }
        )

    return api


# --- statistics --------------------------------------------------------------------------------------------


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    names = [f"{part}{name}" for part in ("", *(f"{part}_" for part in PARTS)) for name in POLLUTANTS]
    unknown = {f"{name}_ug": None for name in names if not row[f"{name}_known"]}  # nor of what is withheld
    plain = {name: value.isoformat() if isinstance(value, date) else value for name, value in row.items()}
    return plain | unknown


# --- synergy -----------------------------------------------------------------------------------------------


def _part(part: Part) -> dict[str, Any]:
    value, counted = part.lawful()
    return {
        **part.numbers,
        "equivalents": {"value": _decimal(value), "of": list(counted)},
        "pollutants": [_indicator(one) for one in part.indicators.values()],
        "kinds": [line for kind in part.kinds for line in _kind(kind)],
    }


def _indicator(one: Indicator) -> dict[str, Any]:
    return {
        "pollutant": one.pollutant,
        "reduction_ug": one.pair.saved_ug,
        "known": one.pair.known,
        "equivalents": {"value": _decimal(one.equivalents.value), "basis": one.equivalents.basis},
        "compared": _compared(one.pair),
        "elasticity": {"value": _decimal(one.elasticity.value), "reading": one.elasticity.reading},
        "quadrant": one.quadrant,
    }


def _kind(kind: KindPart) -> list[dict[str, Any]]:
    return [
        {
            "kind": kind.kind,
            "pollutant": pollutant,
            "compared": _compared(pair),
            "quadrant": quadrant(pair.compared_co2e_mg, pair.compared_ug),
        }
        for pollutant, pair in kind.pairs.items()
        if pair.compared
    ]


def _compared(pair: Pair) -> dict[str, int]:
    return {
        "actions": pair.compared,
        "reduction_ug": pair.compared_ug,
        "co2e_mg": pair.compared_co2e_mg,
    }


def _decimal(value: Fraction | None) -> str | None:
    """A fraction with at least six decimals and six significant digits."""
    return None if value is None else f"{rounded(value, places=6, significant=6):f}"
