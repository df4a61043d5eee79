"""The bureau's statistics as JSON."""

from datetime import date, timedelta
from typing import Any

from flask import Response
from flask_openapi import APIBlueprint
from pydantic import BaseModel, ConfigDict, Field

from tanpuhui import clock
from tanpuhui.bureau.participation import may_read, period, statistics
from tanpuhui.figures import POLLUTANTS
from tanpuhui.rooms import House
from tanpuhui.web.api import READING, IsoDay, Query, api_blueprint, json_answer
from tanpuhui.web.auth import machine


class StatisticsQuery(Query):
    """Days, both included, and what to break down by."""

    from_: IsoDay | None = Field(None, alias="from")
    to: IsoDay | None = None
    by: str = Field("", max_length=80, description="day, division, community, kind, evidence, campaign")


class StatisticsOut(BaseModel):
    """Rows of integers: CO2e in milligrams, pollutants in micrograms, quantities in thousandths.

    A pollutant is null where no factor for it is known; `participants` is null by evidence, as people are
    not told apart by it.
    """

    model_config = ConfigDict(populate_by_name=True)

    from_: date = Field(alias="from")
    to: date
    by: list[str]
    rows: list[dict[str, int | str | None]]


def blueprint(house: House) -> APIBlueprint:
    """The operations of the bureau under `/api/v1`."""
    api = api_blueprint("bureau-api", __name__)

    @api.get(
        "/statistics", summary="Participation and reductions", responses={"200": StatisticsOut, **READING}
    )
    def get_statistics(query: StatisticsQuery) -> Response:
        may_read(house, machine())
        last = query.to or clock.today()
        within = period(query.from_ or last - timedelta(days=29), last)
        by = list(dict.fromkeys(name for name in query.by.split(",") if name))
        with house.db.reading() as connection:
            rows = statistics(connection, within, by)
        return json_answer(
            {
                "from": within.first.isoformat(),
                "to": within.last.isoformat(),
                "by": by,
                "rows": [_plain(row) for row in rows],
            }
        )

    return api


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    unknown = {f"{name}_ug": None for name in POLLUTANTS if not row[f"{name}_known"]}
    plain = {name: value.isoformat() if isinstance(value, date) else value for name, value in row.items()}
    return plain | unknown
