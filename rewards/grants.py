"""What was decided of bonuses, record by record: once, within the cap of a resident, changed by a void alone."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, Session, SQLModel, col, select

from rewards.events import Bonus, BonusReturned
from rewards.pools import CampaignBonus, rule_at
from tanpuhui.db import enum_type
from tanpuhui.schema import Guard


class Short(StrEnum):
    """Why less than what was due was granted."""

    CAP = "cap"
    BUDGET = "budget"


class CampaignGrant(SQLModel, table=True):
    """What was decided for an action, once: `due` by the rule of `version`, `granted` of it, `returned` when it was voided.

    Without `version` it was voided before its record came here.
    """

    __tablename__ = "campaign_grant"
    __table_args__ = (
        sa.ForeignKeyConstraint(
            ["campaign_id", "version"], ["campaign_bonus.campaign_id", "campaign_bonus.version"]
        ),
        sa.Index("ix_campaign_grant_campaign_id_resident_id", "campaign_id", "resident_id"),
        sa.CheckConstraint("granted BETWEEN 0 AND due", name="granted"),
        sa.CheckConstraint("(short IS NULL) = (granted = due)", name="shortfall"),
        sa.CheckConstraint(
            "returned BETWEEN 0 AND granted AND (returned = 0 OR voided_at IS NOT NULL)", name="returned"
        ),
        sa.CheckConstraint("version IS NOT NULL OR (due = 0 AND voided_at IS NOT NULL)", name="version"),
    )

    action_id: UUID = Field(primary_key=True)
    campaign_id: UUID
    resident_id: UUID = Field(foreign_key="resident.id")
    version: int | None = None
    due: int = Field(default=0, sa_type=sa.BigInteger)
    granted: int = Field(default=0, sa_type=sa.BigInteger)
    short: Short | None = Field(default=None, sa_type=enum_type(Short))
    decided_at: datetime
    voided_at: datetime | None = None
    returned: int = Field(default=0, sa_type=sa.BigInteger)


_HAS = (
    "(SELECT COALESCE(sum(g.granted - g.returned), 0) FROM campaign_grant g "
    "WHERE g.campaign_id = NEW.campaign_id AND g.resident_id = NEW.resident_id)"
)
_CAP = (
    "COALESCE((SELECT b.cap FROM campaign_bonus b "
    "WHERE b.campaign_id = NEW.campaign_id AND b.version = NEW.version), 0)"
)

#: Nobody gets more than the cap; what was granted stays as it was decided, and is returned once.
GUARDS = (
    Guard(
        "campaign_grant",
        "cap",
        "INSERT",
        f"NEW.granted > 0 AND NEW.granted + {_HAS} > {_CAP}",
        "more than the cap of a resident",
        first="PERFORM 1 FROM campaign_pool WHERE campaign_id = NEW.campaign_id FOR UPDATE;",
    ),
    Guard(
        "campaign_grant",
        "decided",
        "UPDATE",
        "OLD.voided_at IS NOT NULL OR NEW.voided_at IS NULL OR NEW.action_id <> OLD.action_id "
        "OR NEW.campaign_id <> OLD.campaign_id OR NEW.resident_id <> OLD.resident_id "
        "OR NEW.version {differs} OLD.version OR NEW.due <> OLD.due OR NEW.granted <> OLD.granted "
        "OR NEW.short {differs} OLD.short",
        "what was decided changes by a void alone, once",
    ),
    Guard("campaign_grant", "kept", "DELETE", "true", "what was decided is kept"),
)


def grant_reference(action_id: UUID) -> str:
    """The reference of the transfer that grants the bonus of an action."""
    return f"bonus:{action_id}"


def return_reference(action_id: UUID) -> str:
    """The reference of the transfer that takes the bonus of a voided action back."""
    return f"bonus:{action_id}:back"


def reference_of(event: Bonus) -> str:
    """The reference of the transfer that an event of a bonus tells of."""
    reference = return_reference if isinstance(event, BonusReturned) else grant_reference
    return reference(event.subject_id)


def share(due: int, cap_left: int, budget_left: int) -> tuple[int, Short | None]:
    """How much of what is `due` is granted, in whole points, and why not all of it."""
    within_cap = min(due, max(cap_left, 0))
    granted = min(within_cap, budget_left)
    if granted < within_cap:
        return granted, Short.BUDGET
    return granted, Short.CAP if granted < due else None


@dataclass(frozen=True, slots=True)
class Credit:
    """Points that an action earned by itself, and when."""

    action_id: UUID
    resident_id: UUID
    points: int
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Decision:
    """What an action gets on top: `due` by the rule of `version`, `granted` of it, and why not all of it."""

    action_id: UUID
    resident_id: UUID
    version: int
    due: int
    granted: int
    short: Short | None


def decide(
    earned: Iterable[Credit], versions: Sequence[CampaignBonus], has: Mapping[UUID, int], left: int
) -> list[Decision]:
    """What each action gets, in the order of recording: within what its resident `has` of the cap, and what is `left`."""
    net, made = defaultdict(int, has), []
    for credit in sorted(earned, key=lambda one: (one.recorded_at, one.action_id)):
        rule = rule_at(versions, credit.recorded_at)
        due = rule.due(credit.points) if rule else 0
        if not rule or not due:
            continue
        granted, short = share(due, rule.cap - net[credit.resident_id], left)
        net[credit.resident_id] += granted
        left -= granted
        made.append(Decision(credit.action_id, credit.resident_id, rule.version, due, granted, short))
    return made


def net_of(session: Session, campaign_id: UUID, resident_ids: set[UUID]) -> dict[UUID, int]:
    """What each resident has of the bonus of a campaign."""
    net = sa.func.sum(col(CampaignGrant.granted) - col(CampaignGrant.returned))
    query = (
        select(CampaignGrant.resident_id, net)
        .where(CampaignGrant.campaign_id == campaign_id, col(CampaignGrant.resident_id).in_(resident_ids))
        .group_by(col(CampaignGrant.resident_id))
    )
    return defaultdict(int, {resident_id: int(net) for resident_id, net in session.exec(query)})
