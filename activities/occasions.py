"""Occasions: the campaigns as everybody sees them, open, coming and over, with what they add up to.

What a campaign adds up to is read from the figures. Of fewer than `FEWEST_TOLD` participants nothing is told: of so few
somebody could be found out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import col

from activities.campaign_rules import Bonus, Goals, Rules, Teams, When
from activities.campaigns import Campaign, CampaignSite
from activities.places import Place, these
from tanpuhui import clock
from tanpuhui.divisions import Division
from tanpuhui.errors import NotFound
from tanpuhui.figures import CampaignParticipant, CampaignTotal

FEWEST_TOLD = 5

#: So many of those that are over are listed.
PAST = 20

#: A campaign that starts within this is worth telling on the first page.
SOON = timedelta(days=14)


class OccasionState(StrEnum):
    """Where a campaign stands; it follows from time, unless it was cancelled. Awaiting: its days are not announced yet."""

    AWAITING = "awaiting"
    OPEN = "open"
    COMING = "coming"
    OVER = "over"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Occasion:
    """A campaign, `where` it is for, and how many sites take part. Without a window as long as its days are not announced."""

    id: UUID
    title: str
    division_code: str
    where: str
    starts_at: datetime | None
    ends_at: datetime | None
    announces_at: datetime | None
    cancelled_at: datetime | None
    sites: int

    @property
    def begins_on(self) -> date | None:
        """The day on which it begins, in Asia/Shanghai."""
        return clock.day_of(self.starts_at) if self.starts_at else None

    def state(self, now: datetime) -> OccasionState:
        """Where it stands at `now`."""
        if self.cancelled_at:
            return OccasionState.CANCELLED
        if self.starts_at is None or self.ends_at is None:
            return OccasionState.AWAITING
        if now < self.starts_at:
            return OccasionState.COMING
        return OccasionState.OPEN if now < self.ends_at else OccasionState.OVER


@dataclass(frozen=True, slots=True)
class Detail:
    """What a campaign is about, of its rules: what everybody may read. `kinds` empty: all of them."""

    words: str
    when: When
    kinds: Sequence[str]
    goals: Goals | None
    bonus: Bonus | None
    teams: Teams | None


@dataclass(frozen=True, slots=True)
class Totals:
    """What a campaign adds up to, in milligrams of CO2e (low value); what the city credits stands apart."""

    participants: int
    actions: int
    co2e_mg: int
    city_actions: int
    city_co2e_mg: int


@dataclass(frozen=True, slots=True)
class Occasions:
    """The campaigns of the district by where they stand."""

    open: Sequence[Occasion]
    coming: Sequence[Occasion]
    awaiting: Sequence[Occasion]
    over: Sequence[Occasion]


def occasions(connection: Connection, now: datetime) -> Occasions:
    """Every campaign that is open (the first to end first), coming or awaiting its days, and the latest that are over or cancelled."""
    public, standing = _announced(now), col(Campaign.cancelled_at).is_(None)
    started, ended = col(Campaign.starts_at) <= now, col(Campaign.ends_at) <= now
    return Occasions(
        open=_read(connection, public.where(standing, started, ~ended).order_by(col(Campaign.ends_at), _ID)),
        coming=_read(connection, public.where(standing, ~started).order_by(col(Campaign.starts_at), _ID)),
        awaiting=_read(connection, _awaiting().order_by(col(Campaign.title), _ID)),
        over=_read(
            connection,
            public.where(sa.or_(~standing, ended)).order_by(col(Campaign.ends_at).desc(), _ID).limit(PAST),
        ),
    )


def for_home(connection: Connection, home: str, now: datetime, most: int) -> list[Occasion]:
    """Open campaigns, then those that start soon, for division `home` or one that it lies in."""
    upward = {home[:6], home[:9], home}
    query = _announced(now).where(
        col(Campaign.cancelled_at).is_(None),
        col(Campaign.division_code).in_(upward),
        col(Campaign.ends_at) > now,
        col(Campaign.starts_at) <= now + SOON,
    )
    opened = sa.case((col(Campaign.starts_at) <= now, 0), else_=1)
    return _read(connection, query.order_by(opened, col(Campaign.starts_at), _ID).limit(most))


def at_site(connection: Connection, site_id: UUID, now: datetime) -> list[Occasion]:
    """The campaigns, open or coming, in which a site takes part."""
    taking_part = sa.select(col(CampaignSite.campaign_id)).where(col(CampaignSite.site_id) == site_id)
    query = _announced(now).where(
        col(Campaign.cancelled_at).is_(None), col(Campaign.ends_at) > now, col(Campaign.id).in_(taking_part)
    )
    return _read(connection, query.order_by(col(Campaign.starts_at), _ID))


def one(connection: Connection, campaign_id: UUID, now: datetime) -> Occasion:
    """A campaign that is announced, or approved and awaiting its days. Raises NotFound."""
    this = _ID.in_([campaign_id])
    found = _read(connection, _announced(now).where(this)) or _read(connection, _awaiting().where(this))
    if not found:
        raise NotFound
    return found[0]


def sites_of(connection: Connection, campaign_id: UUID, now: datetime) -> list[Place]:
    """The sites of a campaign with how they stand."""
    ids = sa.select(col(CampaignSite.site_id)).where(col(CampaignSite.campaign_id) == campaign_id)
    return these(connection, ids, now)


def detail(rules: Rules) -> Detail:
    """What everybody may read of rules."""
    return Detail(
        words=rules.words,
        when=rules.when,
        kinds=rules.kinds,
        goals=rules.goals,
        bonus=rules.bonus,
        teams=rules.teams,
    )


def totals(connection: Connection, occasion: Occasion) -> Totals | None:
    """What was recorded in a campaign so far, as far as the figures have come; None of too few to be told."""
    found = counted(connection, occasion.id)
    return None if 0 < found.participants < FEWEST_TOLD else found


def counted(connection: Connection, campaign_id: UUID) -> Totals:
    """What was recorded in a campaign so far, however few took part: for its organisers."""
    found = connection.execute(_TOTAL, {"campaign": str(campaign_id)}).mappings().first()
    told = Totals(**found) if found else Totals(0, 0, 0, 0, 0)
    return replace(told, actions=told.actions + told.city_actions)


def own_part(connection: Connection, resident_id: UUID, campaign_ids: Iterable[UUID]) -> Mapping[UUID, int]:
    """How many standing records a resident has in each of these campaigns; no key for none."""
    rows = connection.execute(
        sa.select(col(CampaignParticipant.campaign), col(CampaignParticipant.actions)).where(
            col(CampaignParticipant.campaign).in_([str(found) for found in campaign_ids]),
            col(CampaignParticipant.resident_id) == resident_id,
        )
    )
    return {UUID(campaign): int(actions) for campaign, actions in rows if actions}


_TOTAL = sa.select(
    *(
        col(getattr(CampaignTotal, name))
        for name in ("participants", "actions", "co2e_mg", "city_actions", "city_co2e_mg")
    )
).where(col(CampaignTotal.campaign) == sa.bindparam("campaign"))

_ID = col(Campaign.id)
_SELECT: sa.Select[Any] = sa.select(
    *(
        col(getattr(Campaign, name))
        for name in ("id", "title", "division_code", "starts_at", "ends_at", "announces_at", "cancelled_at")
    ),
    col(Division.name).label("where"),
    sa.select(sa.func.count()).where(col(CampaignSite.campaign_id) == _ID).scalar_subquery().label("sites"),
).join_from(Campaign, Division, col(Division.code) == col(Campaign.division_code))


def _announced(now: datetime) -> sa.Select[Any]:
    """The campaigns that everybody may know of."""
    return _SELECT.where(col(Campaign.announces_at) <= now)


def _awaiting() -> sa.Select[Any]:
    """The campaigns that are approved and whose days are not announced yet."""
    return _SELECT.where(
        col(Campaign.version).is_not(None),
        col(Campaign.starts_at).is_(None),
        col(Campaign.cancelled_at).is_(None),
    )


def _read(connection: Connection, query: sa.Select[Any]) -> list[Occasion]:
    return [Occasion(**row) for row in connection.execute(query).mappings()]
