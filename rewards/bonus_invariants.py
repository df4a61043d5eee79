"""What must always hold of bonuses; `tanpuhui verify` asks."""

from collections.abc import Iterator, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import col, select

from rewards import ledger
from rewards.events import Bonus, BonusGranted, BonusReturned
from rewards.grants import CampaignGrant, reference_of
from rewards.ledger import account_of, pool_of
from rewards.pools import CAMPAIGNS_PROGRAMME, CampaignBonus, CampaignPool
from tanpuhui.db import Statement, session_on
from tanpuhui.rooms import Invariant

_EVENTS = Statement(
    "SELECT position, type, payload FROM event_log WHERE position > :position "
    "AND type IN ('bonus.granted', 'bonus.returned') ORDER BY position LIMIT 5000",
    position="int",
    type="text",
    payload="text",
)
_TYPES: dict[str, type[Bonus]] = {event.type: event for event in (BonusGranted, BonusReturned)}
_NET = col(CampaignGrant.granted) - col(CampaignGrant.returned)


def _pools(connection: Connection) -> Iterator[str]:
    """A pool holds what its budget leaves over what was granted, a closed one nothing; its budget is that of its last version."""
    with session_on(connection) as session:
        net = select(CampaignGrant.campaign_id, sa.func.sum(_NET)).group_by(col(CampaignGrant.campaign_id))
        granted = {campaign_id: int(points) for campaign_id, points in session.exec(net)}
        budgets = {
            one.campaign_id: one.budget
            for one in session.exec(select(CampaignBonus).order_by(col(CampaignBonus.version)))
            if one.budget
        }
        found = session.exec(select(CampaignPool)).all()
    for pool in found:
        holds = ledger.in_pool(connection, pool.campaign_id)
        if holds != pool.left:
            yield f"{pool_of(pool.campaign_id)} holds {holds}, its budget leaves {pool.left}"
        if pool.granted != granted.get(pool.campaign_id, 0):
            yield f"campaign {pool.campaign_id} granted {pool.granted}, its grants sum to {granted.get(pool.campaign_id, 0)}"
        if pool.granted > pool.budget or pool.budget != budgets.get(pool.campaign_id):
            yield f"campaign {pool.campaign_id} granted {pool.granted} of {pool.budget}, approved {budgets.get(pool.campaign_id)}"
    moved = connection.scalar(sa.text("SELECT count(*) FROM transfer WHERE reference LIKE 'pool:%'"))
    told = sum(pool.moves for pool in found)
    if moved != told:
        yield f"{moved} transfers between programme and pools, the pools count {told}"
    astray = sa.text(
        "SELECT reference FROM transfer WHERE reference LIKE 'pool:%' AND source <> :programme AND destination <> :programme"
    )
    for reference in connection.scalars(astray, {"programme": CAMPAIGNS_PROGRAMME}):
        yield f"transfer {reference} is not between programme and pool"


def _caps(connection: Connection) -> Iterator[str]:
    """Nobody has more of a campaign's bonus than its widest cap."""
    caps = (
        sa.select(col(CampaignBonus.campaign_id), sa.func.max(CampaignBonus.cap).label("cap"))
        .group_by(col(CampaignBonus.campaign_id))
        .subquery()
    )
    own = sa.func.sum(_NET)
    query = (
        sa.select(col(CampaignGrant.campaign_id), col(CampaignGrant.resident_id), own, caps.c.cap)
        .join(caps, caps.c.campaign_id == col(CampaignGrant.campaign_id))
        .group_by(col(CampaignGrant.campaign_id), col(CampaignGrant.resident_id), caps.c.cap)
        .having(own > caps.c.cap)
    )
    for campaign_id, resident_id, points, cap in connection.execute(query):
        yield f"resident {resident_id} has {points} of campaign {campaign_id}, at most {cap}"


def _grants(connection: Connection) -> Iterator[str]:
    """Each grant and each return is one transfer and one event, and nothing else is there."""
    position = matched = 0
    while rows := _EVENTS.run(connection, position=position):
        position = rows[-1].position
        events = [_TYPES[row.type].from_payload(row.payload) for row in rows]
        references = [reference_of(event) for event in events]
        found = ledger.find(connection, references)
        actions = [event.subject_id for event in events]
        with session_on(connection) as session:
            query = select(CampaignGrant).where(col(CampaignGrant.action_id).in_(actions))
            grants = {grant.action_id: grant for grant in session.exec(query)}
        for event, reference in zip(events, references, strict=True):
            assert event.resident_id is not None
            sides = pool_of(event.campaign_id), account_of(event.resident_id)
            grant, moved = grants.get(event.subject_id), found.get(reference)
            back = isinstance(event, BonusReturned)
            decided = (grant.returned if back else grant.granted) if grant else None
            due = (*(sides[::-1] if back else sides), event.points)
            did = (moved.source, moved.destination, moved.amount) if moved else None
            matched += moved is not None
            if did != due or decided != event.points:
                yield f"{event.type} of {event.subject_id}: due {due}, decided {decided}, done {did}"
    counted = sa.select(
        sa.func.count(sa.case((col(CampaignGrant.granted) > 0, 1))),
        sa.func.count(sa.case((col(CampaignGrant.returned) > 0, 1))),
    )
    wanted = sum(connection.execute(counted).one())
    total = connection.scalar(sa.text("SELECT count(*) FROM transfer WHERE reference LIKE 'bonus:%'"))
    if not wanted == total == matched:
        yield f"{wanted} grants and returns, {total} transfers of bonuses, of which {matched} come from events"


BONUS_INVARIANTS: Sequence[Invariant] = (
    Invariant("a pool holds what its budget leaves, and grants no more", _pools),
    Invariant("no resident has more of a bonus than the cap", _caps),
    Invariant("each bonus is decided once and moved as decided", _grants),
)
