"""Bonuses: points on top for what is recorded in a campaign, granted behind the relay in batches, never beyond the budget.

What an action gets is decided once, in the order of recording, by the rule in force when it was recorded: what is due, as far as
the resident's cap and the budget reach, in part if they do not reach for all. What was decided is not decided again when a void
later frees cap or budget; that is for records that come after it. A void that comes first leaves a row of its own, so that the
record it speaks of gets nothing whenever it arrives.

Turns are taken in one order: the residents', then the pool's.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection
from sqlmodel import Session, col, select

from activities.events import (
    ActionConfirmed,
    ActionRecorded,
    ActionVoided,
    CampaignAdvanced,
    CampaignCancelled,
    Deed,
)
from rewards import ledger
from rewards.crediting import credit_reference, expires_on
from rewards.events import Bonus, BonusGranted, BonusReturned
from rewards.grants import CampaignGrant, Credit, Short, decide, grant_reference, net_of, return_reference
from rewards.ledger import Posting, account_of, pool_of
from rewards.pools import CampaignPool, count_granted, level, locked_pool, pools, versions_of
from tanpuhui import clock, outbox
from tanpuhui.db import session_on
from tanpuhui.figures import Contribution, Feed
from tanpuhui.i18n import N_
from tanpuhui.inbox import Note, tell
from tanpuhui.letters import Letter
from tanpuhui.people import ResidentStatus, take_turn
from tanpuhui.subscribers import Later

# --- a batch ---------------------------------------------------------------------------------------------------


@dataclass
class _Batch:
    """What a batch of events says of one campaign: voids come first, and of an action that is voided nothing else counts."""

    voids: dict[UUID, ActionVoided] = field(default_factory=dict)
    records: dict[UUID, Deed] = field(default_factory=dict)
    over_at: datetime | None = None


def follow(connection: Connection, events: Sequence[Deed | CampaignAdvanced | CampaignCancelled]) -> None:
    """Grant and take back what follows from a batch of records and voids; close the pools of campaigns that are over.

    Each event may come again, and in any order.
    """
    found = _by_campaign(events)
    batches = {campaign_id: found[campaign_id] for campaign_id in sorted(pools(connection, list(found)))}
    if not batches:
        return
    theirs = {
        deed.resident_id
        for batch in batches.values()
        for deed in (*batch.records.values(), *batch.voids.values())
        if deed.resident_id
    }
    here = take_turn(connection, sorted(theirs)) if theirs else {}
    active = {resident_id for resident_id, row in here.items() if row.status == ResidentStatus.ACTIVE}
    with session_on(connection) as session:
        for campaign_id, batch in batches.items():
            _serve(session, campaign_id, batch, active)


def _by_campaign(
    events: Sequence[Deed | CampaignAdvanced | CampaignCancelled],
) -> dict[UUID, _Batch]:
    found: dict[UUID, _Batch] = defaultdict(_Batch)
    for event in events:
        if isinstance(event, CampaignCancelled) or (
            isinstance(event, CampaignAdvanced) and event.step == "settle"
        ):
            found[event.subject_id].over_at = event.recorded_at
        elif isinstance(event, Deed) and event.campaign_id:
            if isinstance(event, ActionVoided):
                found[event.campaign_id].voids[event.subject_id] = event
            elif not (isinstance(event, ActionRecorded) and event.pending):
                found[event.campaign_id].records[event.subject_id] = event
    return found


def _serve(session: Session, campaign_id: UUID, batch: _Batch, active: set[UUID]) -> None:
    """Decide what a batch asks for in one campaign, and move the points: back into the pool, then out of it."""
    connection = session.connection()
    pool = locked_pool(session, campaign_id)
    assert pool is not None  # a pool is never deleted
    wanted = [*batch.voids, *batch.records]
    decided = {
        grant.action_id: grant
        for grant in session.exec(select(CampaignGrant).where(col(CampaignGrant.action_id).in_(wanted)))
    }
    returned = _take_back(session, pool, batch.voids, decided)
    back = sum(grant.returned for grant in returned)
    fresh = [
        deed for action, deed in batch.records.items() if action not in decided and action not in batch.voids
    ]
    granted = _grant(
        session,
        pool,
        [deed for deed in fresh if deed.resident_id in active],
        pool.budget - pool.granted + back,
    )
    given = sum(grant.granted for grant in granted)
    count_granted(session, pool, given - back, batch.over_at)
    level(session, pool, pool.left + given)
    _pay(connection, pool, [grant for grant in granted if grant.granted])
    _announce(connection, BonusGranted, batch.records, [(one, one.granted) for one in granted])
    _announce(connection, BonusReturned, batch.voids, [(one, one.returned) for one in returned])
    if missed := [_used_up(grant) for grant in granted if grant.short is Short.BUDGET]:
        tell(connection, missed)


def _take_back(
    session: Session,
    pool: CampaignPool,
    voids: Mapping[UUID, ActionVoided],
    decided: Mapping[UUID, CampaignGrant],
) -> list[CampaignGrant]:
    """Mark what is voided and bring its bonus back, as far as its resident still has it; what was granted of it.

    Of a bonus whose day is over nothing comes back.
    """
    connection, now = session.connection(), clock.now()
    hit = [decided[action] for action in sorted(voids) if action in decided and not decided[action].voided_at]
    has = ledger.balances(connection, [account_of(grant.resident_id) for grant in hit])
    given = ledger.find(connection, [grant_reference(grant.action_id) for grant in hit])
    back = []
    for grant in hit:
        account, void = account_of(grant.resident_id), voids[grant.action_id]
        grant.voided_at = void.recorded_at
        credit = given.get(grant_reference(grant.action_id))
        if credit and credit.expires_on >= clock.day_of(now):
            grant.returned = min(grant.granted, has.get(account, 0))
        session.add(grant)
        if grant.returned:
            has[account] -= grant.returned
            reference = return_reference(grant.action_id)
            assert credit is not None
            funds = pool_of(pool.campaign_id)
            back.append(Posting(reference, account, funds, grant.returned, now, credit.expires_on))
    session.add_all(_never(voids[action]) for action in sorted(voids.keys() - decided.keys()))
    session.flush()
    if back:
        ledger.restore(connection, pool_of(pool.campaign_id), back)
    return hit


def _never(void: ActionVoided) -> CampaignGrant:
    """What says that a voided record gets nothing, whenever it comes."""
    assert void.campaign_id is not None
    assert void.resident_id is not None
    return CampaignGrant(
        action_id=void.subject_id,
        campaign_id=void.campaign_id,
        resident_id=void.resident_id,
        decided_at=clock.now(),
        voided_at=void.recorded_at,
    )


def _grant(session: Session, pool: CampaignPool, records: Sequence[Deed], left: int) -> list[CampaignGrant]:
    """Decide for records that were not decided before, in the order of recording, while there is something `left`."""
    made_for = ledger.find(session.connection(), [credit_reference(deed.subject_id) for deed in records])
    credited = [
        (made_for[reference], deed, deed.resident_id)
        for deed in records
        if (reference := credit_reference(deed.subject_id)) in made_for and deed.resident_id
    ]
    versions = versions_of(session, pool.campaign_id)
    has = net_of(session, pool.campaign_id, {resident_id for _, _, resident_id in credited})
    earned = [
        Credit(deed.subject_id, resident_id, credit.amount, credit.recorded_at)
        for credit, deed, resident_id in credited
    ]
    made = [
        CampaignGrant(campaign_id=pool.campaign_id, decided_at=clock.now(), **asdict(decision))
        for decision in decide(earned, versions, has, left)
    ]
    session.add_all(made)
    session.flush()
    return made


def _pay(connection: Connection, pool: CampaignPool, granted: Sequence[CampaignGrant]) -> None:
    account = pool_of(pool.campaign_id)
    postings = [
        Posting(
            grant_reference(grant.action_id),
            account,
            account_of(grant.resident_id),
            grant.granted,
            grant.decided_at,
            expires_on(connection, grant.decided_at),
        )
        for grant in granted
    ]
    if postings:
        ledger.disburse(connection, account, postings)


def _announce(
    connection: Connection,
    kind: type[Bonus],
    deeds: Mapping[UUID, Deed],
    moved: Sequence[tuple[CampaignGrant, int]],
) -> None:
    """Append what was moved to the log, with what the figures need of its record."""
    events = []
    for grant, points in moved:
        deed = deeds[grant.action_id]
        if points:
            told = {name: getattr(deed, name) for name in _OF_THE_RECORD}
            events.append(kind(campaign_id=grant.campaign_id, recorded_at=clock.now(), points=points, **told))
    if events:
        outbox.append(connection, events)


_OF_THE_RECORD = (
    "subject_id",
    "resident_id",
    "day",
    "kind",
    "evidence",
    "division_code",
    "city_credited",
)


# --- what the resident is told -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OwnBonus:
    """A campaign by its title, its budget, and what a resident has of it."""

    title: str
    budget: int
    own: int


def _look(connection: Connection, resident_id: UUID, params: Mapping[str, Any]) -> OwnBonus | None:
    campaign_id = UUID(params["campaign"])
    pool = pools(connection, [campaign_id]).get(campaign_id)
    if pool is None:
        return None
    with session_on(connection) as session:
        own = net_of(session, campaign_id, {resident_id})[resident_id]
    return OwnBonus(pool.title, pool.budget, own)


#: Somebody's bonus met an empty budget.
USED_UP = Letter("bonus.used_up", "rewards/letters/used_up.html", icon="points", look=_look)


def _used_up(grant: CampaignGrant) -> Note:
    campaign = str(grant.campaign_id)
    return Note(USED_UP, grant.resident_id, campaign, {"campaign": campaign}, told_at=grant.decided_at)


# --- figures -------------------------------------------------------------------------------------------------


def _contributions(_connection: Connection, events: Sequence[Bonus]) -> Iterator[Contribution]:
    """The points of each bonus, on the day of its record."""
    for event in events:
        sign = -1 if isinstance(event, BonusReturned) else 1
        yield Contribution(
            day=event.day,
            division_code=event.division_code,
            kind=event.kind,
            evidence=event.evidence,
            campaign=str(event.campaign_id),
            city_credited=event.city_credited,
            measures={"points": sign * event.points},
        )


#: A batch is small: its residents' turns are held while it is decided.
GRANTING = Later(
    "campaign bonus",
    N_("发放活动加分"),
    (ActionRecorded, ActionConfirmed, ActionVoided, CampaignAdvanced, CampaignCancelled),
    follow,
    batch=200,
)
BONUS_FEED = Feed((BonusGranted, BonusReturned), _contributions)
