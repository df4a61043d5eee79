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


class Spending(Event):
    """Points moved for something, which is the `subject_id`: `points` is its price, 0 for what costs nothing."""

    points: int


class Voucher(Spending):
    """It was a voucher of an offer."""

    offer_id: UUID


class VoucherReserved(Voucher):
    """A resident gave points for a voucher; they are held until it is used."""

    type = "voucher.reserved"


class VoucherSettled(Voucher):
    """What the voucher is for was handed over, or given at once; the points are spent."""

    type = "voucher.settled"


class VoucherReopened(Voucher):
    """Staff took a settlement back minutes after it: the voucher is good again."""

    type = "voucher.reopened"


class VoucherReturned(Voucher):
    """The voucher was cancelled or lapsed: the resident has the points back."""

    type = "voucher.returned"


class Ticket(Spending):
    """It was a ticket in a draw."""

    draw_id: UUID


class TicketTaken(Ticket):
    """A resident paid for a ticket."""

    type = "ticket.taken"


class TicketReturned(Ticket):
    """The ticket was given back, or its draw called off: the resident has the points back."""

    type = "ticket.returned"
