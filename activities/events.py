"""The facts of this room. Other rooms may import this module and nothing else of `activities`."""

from datetime import date, datetime
from uuid import UUID

from tanpuhui.events import Event


class Deed(Event):
    """What a recorded action carries, frozen: later factors, limits and moves of people change none of it.

    `division_code` is the resident's community at the time; `day` is counted in Asia/Shanghai. CO2e in
    milligrams, pollutants in micrograms, None where no factor is known. `city_credited`: the city's own
    scheme counts this reduction, so the district does not.
    """

    occurred_at: datetime
    day: date
    kind: str
    unit: str
    quantity_milli: int
    evidence: str
    verified: bool
    site_id: UUID
    code_id: int
    division_code: str
    campaign_id: UUID | None = None
    factor_version: str
    city_credited: bool
    co2e_mg: int
    co2e_mid_mg: int
    co2e_high_mg: int
    nox_ug: int | None = None
    pm25_ug: int | None = None
    voc_ug: int | None = None
    so2_ug: int | None = None
    co_ug: int | None = None


class ActionRecorded(Deed):
    """A resident did something green and proved it. `subject_id` is the action."""

    type = "action.recorded"


class ActionVoided(Deed):
    """A recorded action was taken back, with a reason. Carries the numbers that are to be subtracted."""

    type = "action.voided"

    reason: str
    voided_by: UUID
