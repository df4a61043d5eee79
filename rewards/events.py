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


class Voucher(Event):
    """Points moved for a voucher, which is the `subject_id`, of an offer: `points` is its price, 0 for what costs nothing."""

    offer_id: UUID
    points: int


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
