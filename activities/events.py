"""The facts of this room. Other rooms may import this module and nothing else of `activities`."""

from datetime import date, datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

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
    """A resident did something green and proved it. `subject_id` is the action.

    Without `with_points` the resident had switched points off: it is recorded and earns none.
    A `pending` one waits for review: it counts nowhere until `ActionConfirmed`.
    """

    type = "action.recorded"

    with_points: bool = True
    pending: bool = False


class ActionConfirmed(Deed):
    """A record that waited for review was confirmed: from now on it counts, on the day it happened."""

    type = "action.confirmed"

    reason: str
    confirmed_by: UUID


class ActionRejected(Deed):
    """A record that waited for review was rejected, with a reason. It never counted, so nothing is subtracted.

    Either a member of staff rejected it, or `replaced_by`, a better proven record of the same deed, took its place.
    """

    type = "action.rejected"

    reason: str
    rejected_by: UUID | None = None
    replaced_by: UUID | None = None


class ActionVoided(Deed):
    """A recorded action was taken back, with a reason. Carries the numbers that are to be subtracted.

    Either a member of staff voided it, or `replaced_by`, a better proven record of the same deed, took its place.
    """

    type = "action.voided"

    reason: str
    voided_by: UUID | None = None
    replaced_by: UUID | None = None


class TreesPlanted(Event):
    """A resident planted trees, confirmed by staff. `subject_id` is the planting, `number` stands on its certificate.

    It carries no reduction and no points: a check a year later records what is alive as an action of its own.
    `division_code` is the resident's community at the time; `day` is counted in Asia/Shanghai.
    """

    type = "trees.planted"

    day: date
    kind: str
    trees: int
    number: str
    site_id: UUID
    code_id: int
    division_code: str
    campaign_id: UUID | None = None


class ObservanceDated(Event):
    """The dates of an observance in a year were entered, moved or taken back, by an officer or with a newer reference file.

    `subject_id` is the change's own id. Both days are included; None: taken back, the year is awaiting again. One that
    returns every year is told for this year and those ahead that can be entered, an event each.
    """

    type = "observance.dated"

    key: str
    year: int
    starts_on: date | None
    ends_on: date | None


class BonusRules(BaseModel):
    """Points on top: `amount` percent of an action's points, or `amount` points an action; to one resident at most `cap`
    points in the whole campaign, to all at most `budget`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: Literal["percent", "points"]
    amount: int
    cap: int
    budget: int


class CampaignSubmitted(Event):
    """A version of a campaign's rules waits for approval. `subject_id` is the campaign."""

    type = "campaign.submitted"

    version: int
    bonus: BonusRules | None


class CampaignApproved(Event):
    """A version of a campaign's rules holds from now on, for records made from `recorded_at`. `subject_id` is the campaign."""

    type = "campaign.approved"

    version: int
    title: str
    bonus: BonusRules | None


class CampaignAdvanced(Event):
    """A campaign came to the next step of its life: announce, remind, open, close, settle, report, honour, archive.

    `due_at`: when it should have. `late`: nobody was there to do it in time.
    """

    type = "campaign.advanced"

    step: str
    due_at: datetime
    late: bool


class CampaignCancelled(Event):
    """A campaign was cancelled, with a reason. What was recorded in it stays. `subject_id` is the campaign."""

    type = "campaign.cancelled"

    reason: str
    cancelled_by: UUID
