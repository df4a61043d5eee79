"""The effect of a period as JSON."""

from typing import Any

from flask import Response
from flask_openapi import APIBlueprint
from pydantic import BaseModel, Field

from activities.effect import PARTS, asked_period, effect
from activities.effect_sheets import TABLE, rows_of
from tanpuhui.bureau.participation import may_read
from tanpuhui.rooms import House
from tanpuhui.web.api import READING, Query, api_blueprint, json_answer
from tanpuhui.web.auth import machine


class EffectQuery(Query):
    """A month, a quarter or a year (2026-06, 2026-Q2, 2026), and optionally one kind of action."""

    period: str = Field(max_length=10)
    kind: str | None = Field(None, max_length=32)


class EffectOut(BaseModel):
    """Of those asked and who answered only. A number is null where fewer than five people are behind it or a neighbour, or none is known.

    Every part has the records that were `asked` about, `answered`, `skipped` and `silent`; of the answers `same`, `part`, `not`, `unknown`, and
    `additional` (`part` and `not`); `additional_permille` of the answers with its Wilson interval of 95 %; the estimated reductions of what
    was answered, from what to what of it is additional, and those of all records of the period, which nothing is added to (milligrams
    of CO2e, low values); and what spot checks found: `checked`, `wrong`, `wrong_permille` with its interval. `both` is `verified` and `self_declared`
    together; `city` is credited by the city and in neither.
    """

    period: str
    kind: str | None
    parts: dict[str, dict[str, int | None]]


def blueprint(house: House) -> APIBlueprint:
    """The operation under `/api/v1`."""
    api = api_blueprint("effect-api", __name__)

    @api.get(
        "/effect", summary="What would have been done otherwise", responses={"200": EffectOut, **READING}
    )
    def get_effect(query: EffectQuery) -> Response:
        may_read(house, machine())
        period = asked_period(query.period)
        with house.db.snapshot() as connection:
            found = effect(connection, period, house.settings.district_code, query.kind)
        keys = [column.key for column in TABLE.columns][3:]
        parts: dict[str, Any] = {
            part: dict(zip(keys, row[3:], strict=True))
            for part, row in zip(PARTS, rows_of(found), strict=True)
        }
        return json_answer({"period": period.name, "kind": query.kind, "parts": parts})

    return api
