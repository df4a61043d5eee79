"""Certificates of donations: whoever gives points for a donation offer can show what was given, how much and when.

A certificate names nobody. Its number is 60 random bits, so that nobody can walk through them; it is checked on a public page.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, Session, SQLModel, col, select

from rewards.offers import Offer, OfferKind
from rewards.vouchers import Redemption, VoucherState
from tanpuhui import clock, ids
from tanpuhui.divisions import Division
from tanpuhui.errors import NotFound
from tanpuhui.schema import Guard
from tanpuhui.staff import Organisation


class DonationCertificate(SQLModel, table=True):
    """The certificate of points that were given for a donation. `held_by`: who stood for the offer then, by name."""

    __tablename__ = "donation_certificate"
    __table_args__ = (sa.CheckConstraint("held_by <> ''", name="held_by"),)

    number: str = Field(max_length=24, primary_key=True)
    redemption_id: UUID = Field(foreign_key="redemption.id", unique=True)
    held_by: str = Field(max_length=120)


GUARDS = (
    Guard(
        "donation_certificate",
        "of_donation",
        "INSERT",
        "NOT EXISTS (SELECT 1 FROM redemption r JOIN offer o ON o.id = r.offer_id "
        "WHERE r.id = NEW.redemption_id AND o.kind = 'donation')",
        "a certificate is of a donation",
    ),
    Guard("donation_certificate", "fixed", "UPDATE", "true", "a certificate is not rewritten"),
    Guard("donation_certificate", "kept", "DELETE", "true", "a certificate is kept"),
)


@dataclass(frozen=True, slots=True)
class Donated:
    """A certificate, what was given for it, and the offer it was given for."""

    certificate: DonationCertificate
    redemption: Redemption
    offer: Offer

    @property
    def stands(self) -> bool:
        """Whether the points were given and have not come back."""
        return self.redemption.state is VoucherState.SETTLED


def certify(session: Session, redemption: Redemption, offer: Offer) -> None:
    """Give a donation its certificate, in the transaction that gives the points; nothing for any other offer."""
    if offer.kind is not OfferKind.DONATION:
        return
    name = sa.func.coalesce(col(Organisation.name), col(Division.name))
    query: Any = (
        select(name)
        .select_from(Division)
        .join(Organisation, col(Organisation.id) == offer.organisation_id, isouter=True)
        .where(col(Division.code) == offer.division_code)
    )
    number = ids.certificate_number("D", clock.day_of(redemption.made_at).year)
    held_by = str(session.exec(query).one())[:120]
    session.add(DonationCertificate(number=number, redemption_id=redemption.id, held_by=held_by))
    session.flush()


def number_of(session: Session, redemption_id: UUID) -> str | None:
    """The number of the certificate of a voucher, if it has one."""
    query = select(DonationCertificate.number).where(DonationCertificate.redemption_id == redemption_id)
    return session.exec(query).first()


def donated(session: Session, typed: str) -> Donated:
    """What the certificate with this number is of, as it was typed; whether it stands or not. Raises NotFound."""
    query = (
        select(DonationCertificate, Redemption, Offer)
        .join(Redemption, col(Redemption.id) == col(DonationCertificate.redemption_id))
        .join(Offer, col(Offer.id) == col(Redemption.offer_id))
        .where(DonationCertificate.number == ids.read_certificate_number(typed[:80]))
    )
    for found in session.exec(query):
        return Donated(*found)
    raise NotFound
