"""The thanks of a campaign's organisers: once it is over, for its page and for everybody who took part.

Nothing is written for a participant: whoever has a part in a campaign of the last weeks reads its thanks on the first page.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, SQLModel, col

from activities.campaigns import Campaign, managed
from activities.occasions import own_part
from tanpuhui import audit, clock
from tanpuhui.db import session_on
from tanpuhui.errors import CampaignMovedOn, InvalidField
from tanpuhui.i18n import N_
from tanpuhui.rooms import House
from tanpuhui.schema import Guard
from tanpuhui.sessions import Principal

#: Thanks of so many characters.
SHORTEST, LONGEST = 2, 200

#: So long participants read them on the first page.
SHOWN = timedelta(days=30)


class CampaignThanks(SQLModel, table=True):
    """What the organisers of a campaign say to those who took part. Mended once at most."""

    __tablename__ = "campaign_thanks"
    __table_args__ = (
        sa.CheckConstraint("words <> ''", name="words"),
        sa.CheckConstraint(
            "(mended_at IS NULL) = (mended_by IS NULL) AND mended_at >= written_at", name="mended"
        ),
    )

    campaign_id: UUID = Field(foreign_key="campaign.id", primary_key=True)
    words: str = Field(max_length=LONGEST)
    written_at: datetime
    written_by: UUID = Field(foreign_key="staff.id")
    mended_at: datetime | None = None
    mended_by: UUID | None = Field(default=None, foreign_key="staff.id")


GUARDS = (
    Guard(
        "campaign_thanks",
        "mended_once",
        "UPDATE",
        "OLD.mended_at IS NOT NULL OR NEW.mended_at IS NULL OR NEW.campaign_id <> OLD.campaign_id "
        "OR NEW.written_at <> OLD.written_at OR NEW.written_by <> OLD.written_by",
        "thanks are mended once",
    ),
)


@dataclass(frozen=True, slots=True)
class Thanks:
    """Thanks as those read them who took part."""

    campaign_id: UUID
    title: str
    words: str


def thank(house: House, principal: Principal, campaign_id: UUID, words: str) -> None:
    """Say thanks, or mend what was said; the same again changes nothing.

    Raises NotFound, NotAllowed, InvalidField (too short or too long), CampaignMovedOn: it is not over, was cancelled, or the
    words were mended before.
    """
    line = " ".join(words.split())
    if not SHORTEST <= len(line) <= LONGEST:
        raise InvalidField(errors=[{"field": "words", "reason": N_("请写 2 到 200 个字。")}])

    def work(connection: Connection) -> None:
        with session_on(connection) as session:
            campaign = managed(session, principal, campaign_id, locked=True)
            said, now = session.get(CampaignThanks, campaign_id), clock.now()
            if said is not None and said.words == line:
                return
            over = campaign.ends_at is not None and campaign.ends_at <= now and campaign.cancelled_at is None
            if not over or (said is not None and said.mended_at is not None):
                raise CampaignMovedOn
            if said is None:
                said = CampaignThanks(
                    campaign_id=campaign_id, words=line, written_at=now, written_by=principal.id
                )
            else:
                said.words, said.mended_at, said.mended_by = line, now, principal.id
            session.add(said)
            audit.note_by(
                session,
                principal,
                deed="campaign.thanked",
                subject=f"campaign:{campaign_id}",
            )
            session.flush()

    house.db.run(work)


def thanks_of(connection: Connection, campaign_id: UUID) -> CampaignThanks | None:
    """The thanks of a campaign, if they were said."""
    with session_on(connection) as session:
        found = session.get(CampaignThanks, campaign_id)
        if found is not None:
            session.expunge(found)
        return found


def thanks_to(connection: Connection, resident_id: UUID, now: datetime) -> Sequence[Thanks]:
    """The thanks of the last weeks for campaigns in which a resident has a part, the latest first."""
    recent = (
        sa.select(col(CampaignThanks.campaign_id), col(Campaign.title), col(CampaignThanks.words))
        .join_from(CampaignThanks, Campaign, col(Campaign.id) == col(CampaignThanks.campaign_id))
        .where(col(CampaignThanks.written_at) > now - SHOWN)
        .order_by(col(CampaignThanks.written_at).desc(), col(CampaignThanks.campaign_id))
    )
    said = [Thanks(*row) for row in connection.execute(recent)]
    part = own_part(connection, resident_id, [one.campaign_id for one in said]) if said else {}
    return [one for one in said if part.get(one.campaign_id, 0) > 0]
