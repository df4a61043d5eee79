"""The facts of this room."""

from datetime import date
from uuid import UUID

from tanpuhui.events import Event


class Bonus(Event):
    """Points of a campaign's bonus moved for an action, which is the `subject_id`; its day, kind and place as its record says them."""

    campaign_id: UUID
    points: int
    day: date
    kind: str
    evidence: str
    division_code: str
    city_credited: bool


class BonusGranted(Bonus):
    """A resident got points on top, out of the budget of a campaign."""

    type = "bonus.granted"


class BonusReturned(Bonus):
    """The record was voided: its bonus went back to the pool, as far as the resident had not spent it."""

    type = "bonus.returned"


class PointsExpired(Event):
    """The day of a lot was over: what a resident, who is the `subject_id`, had left of it is gone."""

    type = "points.expired"

    points: int
    expires_on: date


class PointsAdjusted(Event):
    """Two members of staff gave a resident `points`, or took back those of an earlier adjustment (below 0); the `subject_id` is it."""

    type = "points.adjusted"

    points: int
