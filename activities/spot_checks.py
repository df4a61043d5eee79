"""Spot checks (抽查): records drawn at random, by site or campaign and month, that officers of the district look into.

Which ones is settled by a random seed: the records are put in the order of sha256(seed || action id) and the first ones
are taken. The seed is kept, so that anybody can draw again (`draw_again`), and nobody picks by hand. This is not the log of
who did what (`tanpuhui.audit`).
"""

import hashlib
import heapq
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.sql.sqltypes import UTCDateTime

from activities.actions import Action, ActionVoid
from activities.campaigns import Campaign, CampaignSite
from activities.reviews import ActionReview, ReviewState
from activities.sites import Site
from tanpuhui import clock, ids
from tanpuhui.config import Settings
from tanpuhui.db import enum_type
from tanpuhui.i18n import N_
from tanpuhui.jobs import Job
from tanpuhui.rooms import House
from tanpuhui.schema import Guard

#: How many months back the job makes up for.
MONTHS_BACK = 12

#: How many samples one run of the job draws at most; the next run goes on.
AT_A_TIME = 50


class Outcome(StrEnum):
    """What an officer found of a record."""

    RIGHT = "right"
    WRONG_QUANTITY = "wrong_quantity"
    WRONG_KIND = "wrong_kind"
    DID_NOT_HAPPEN = "did_not_happen"
    WRONG_OTHER = "wrong_other"
    CANNOT_TELL = "cannot_tell"


WRONG = frozenset(Outcome) - {Outcome.RIGHT, Outcome.CANNOT_TELL}


class SpotCheck(SQLModel, table=True):
    """The sample of a site or of a campaign in a month (its first day). `population`: how many records it was drawn from.

    `drawn_by`: who drew by hand; None for the job. A sample without items says that there was nothing to look into.
    """

    __tablename__ = "spot_check"
    __table_args__ = (
        sa.UniqueConstraint("site_id", "month"),
        sa.UniqueConstraint("campaign_id", "month"),
        sa.CheckConstraint("(site_id IS NULL) <> (campaign_id IS NULL)", name="one_scope"),
        sa.CheckConstraint("population >= 0", name="population"),
        sa.CheckConstraint("length(seed) = 32", name="seed"),
        sa.Index("ix_spot_check_month", "month"),
    )

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    site_id: UUID | None = Field(default=None, foreign_key="site.id")
    campaign_id: UUID | None = Field(default=None, foreign_key="campaign.id")
    month: date
    seed: str = Field(max_length=32)
    population: int
    drawn_at: datetime
    drawn_by: UUID | None = Field(default=None, foreign_key="staff.id")


class SpotCheckItem(SQLModel, table=True):
    """A record in a sample, with what was found of it: once, by whom and when; in words unless it is right."""

    __tablename__ = "spot_check_item"
    __table_args__ = (
        sa.CheckConstraint(
            "(outcome IS NULL AND words IS NULL AND judged_at IS NULL AND judged_by IS NULL) OR "
            "(outcome IS NOT NULL AND words IS NOT NULL AND (words <> '' OR outcome = 'right') "
            "AND judged_at IS NOT NULL AND judged_by IS NOT NULL)",
            name="judgement",
        ),
        sa.UniqueConstraint("spot_check_id", "ordinal"),
    )

    spot_check_id: UUID = Field(foreign_key="spot_check.id", primary_key=True)
    action_id: UUID = Field(foreign_key="action.id", primary_key=True, index=True)
    ordinal: int
    outcome: Outcome | None = Field(default=None, sa_type=enum_type(Outcome))
    words: str | None = Field(default=None, max_length=200)
    judged_at: datetime | None = None
    judged_by: UUID | None = Field(default=None, foreign_key="staff.id")


#: What was drawn stays, and is judged once, whoever asks.
GUARDS = (
    Guard("spot_check", "fixed", "UPDATE", "true", "a sample is never changed"),
    Guard("spot_check", "kept", "DELETE", "true", "a sample is kept"),
    Guard(
        "spot_check_item",
        "once",
        "UPDATE",
        "OLD.outcome IS NOT NULL OR NEW.spot_check_id <> OLD.spot_check_id OR NEW.action_id <> OLD.action_id "
        "OR NEW.ordinal <> OLD.ordinal",
        "a record is judged once",
    ),
    Guard("spot_check_item", "kept", "DELETE", "true", "an item is kept"),
)


# --- months ------------------------------------------------------------------------------------------------


def month_before(day: date) -> date:
    """The first day of the month before that of `day`."""
    return (day.replace(day=1) - timedelta(days=1)).replace(day=1)


def month_after(day: date) -> date:
    """The first day of the month after that of `day`."""
    return (day.replace(day=1) + timedelta(days=31)).replace(day=1)


def months_over(settings: Settings, now: datetime) -> list[date]:
    """The months that can be drawn, the latest first: over, and no late record can come any more."""
    found = [month_before(clock.day_of(now - timedelta(hours=settings.late_hours)))]
    while len(found) < MONTHS_BACK:
        found.append(month_before(found[-1]))
    return found


# --- drawing -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scope:
    """What is sampled: a site, or a campaign."""

    site_id: UUID | None = None
    campaign_id: UUID | None = None

    def size(self, settings: Settings) -> int:
        """How many records are taken at most."""
        return settings.spot_checks_per_site if self.site_id else settings.spot_checks_per_campaign

    def records(self) -> Any:
        """The condition on `Action`; the index by site and day serves both."""
        if self.site_id:
            return col(Action.site_id) == self.site_id
        taking_part = select(CampaignSite.site_id).where(CampaignSite.campaign_id == self.campaign_id)
        return sa.and_(col(Action.campaign_id) == self.campaign_id, col(Action.site_id).in_(taking_part))


def rank(seed: str, action_id: UUID) -> bytes:
    """The place of a record in the order of a draw: sha256 of the seed and the id, both as they are written."""
    return hashlib.sha256(f"{seed}{action_id}".encode()).digest()


def _stood(at: datetime) -> Any:
    """The condition that a record counted at a moment: neither voided, nor waiting, nor rejected."""
    voided = sa.exists().where(col(ActionVoid.action_id) == col(Action.id), col(ActionVoid.voided_at) <= at)
    reviewed = col(ActionReview.action_id) == col(Action.id)
    confirmed = sa.and_(col(ActionReview.state) == ReviewState.CONFIRMED, col(ActionReview.decided_at) <= at)
    return sa.and_(col(Action.recorded_at) <= at, ~voided, ~sa.exists().where(reviewed, ~confirmed))


def _take(
    connection: Connection, scope: Scope, month: date, at: datetime, seed: str, size: int
) -> tuple[list[UUID], int]:
    """The first `size` records of the draw in their order, and of how many; no more of them are held at a time."""
    last = month_after(month) - timedelta(days=1)
    query = sa.select(col(Action.id)).where(scope.records(), col(Action.day).between(month, last), _stood(at))
    population = 0

    def each() -> Iterator[UUID]:
        nonlocal population
        for action_id in connection.execute(query, execution_options={"yield_per": 1000}).scalars():
            population += 1
            yield action_id

    taken = heapq.nsmallest(size, each(), key=lambda action_id: rank(seed, action_id))
    return taken, population


_CLAIM = sa.text(
    "INSERT INTO spot_check (id, site_id, campaign_id, month, seed, population, drawn_at, drawn_by) VALUES "
    "(:id, :site_id, :campaign_id, :month, :seed, :population, :drawn_at, :drawn_by) ON CONFLICT DO NOTHING"
).bindparams(
    *(sa.bindparam(name, type_=sa.Uuid()) for name in ("id", "site_id", "campaign_id", "drawn_by")),
    sa.bindparam("month", type_=sa.Date()),
    sa.bindparam("drawn_at", type_=UTCDateTime()),
)


def draw(
    house: House, connection: Connection, scope: Scope, month: date, now: datetime, by: UUID | None = None
) -> bool:
    """Draw the sample of a scope in a month, once; whether this call drew it."""
    seed, check_id = secrets.token_hex(16), ids.new_id()
    taken, population = _take(connection, scope, month, now, seed, scope.size(house.settings))
    row = {
        "id": check_id,
        "site_id": scope.site_id,
        "campaign_id": scope.campaign_id,
        "month": month,
        "seed": seed,
        "population": population,
        "drawn_at": now,
        "drawn_by": by,
    }
    if not connection.execute(_CLAIM, row).rowcount:
        return False
    if taken:
        connection.execute(
            sa.insert(SQLModel.metadata.tables["spot_check_item"]),
            [
                {"spot_check_id": check_id, "action_id": action_id, "ordinal": ordinal}
                for ordinal, action_id in enumerate(taken, start=1)
            ],
        )
    return True


def draw_again(connection: Connection, check: SpotCheck, size: int) -> list[UUID]:
    """What the seed of a sample draws: the same records, whenever and by whomever it is asked; in a snapshot."""
    scope = Scope(check.site_id, check.campaign_id)
    return _take(connection, scope, check.month, check.drawn_at, check.seed, size)[0]


def undrawn(connection: Connection, month: date) -> Iterator[Scope]:
    """The sites and campaigns that there were in a month and that have no sample of it yet."""
    start, _ = clock.day_bounds(month)
    end, _ = clock.day_bounds(month_after(month))
    of_month = col(SpotCheck.month) == month
    sites = sa.select(col(Site.id)).where(
        col(Site.created_at) < end, ~sa.exists().where(of_month, col(SpotCheck.site_id) == col(Site.id))
    )
    campaigns = sa.select(col(Campaign.id)).where(
        col(Campaign.starts_at) < end,
        col(Campaign.ends_at) > start,
        ~sa.exists().where(of_month, col(SpotCheck.campaign_id) == col(Campaign.id)),
    )
    yield from (Scope(site_id=site_id) for site_id in connection.execute(sites).scalars().all())
    yield from (Scope(campaign_id=one) for one in connection.execute(campaigns).scalars().all())


def draw_due(house: House, connection: Connection, now: datetime) -> None:
    """Draw what is due and was not drawn yet, the earliest month first, up to `AT_A_TIME` samples."""
    left = AT_A_TIME
    for month in reversed(months_over(house.settings, now)):
        for scope in undrawn(connection, month):
            if not left:
                return
            left -= draw(house, connection, scope, month, now)


JOBS = (Job("spot_checks", N_("随机抽取要抽查的记录"), timedelta(hours=1), draw_due),)
