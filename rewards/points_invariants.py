"""What must always hold of lots that expired and of adjustments; `tanpuhui verify` asks."""

from collections.abc import Iterator, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from rewards import ledger
from rewards.adjustments import adjust_reference
from rewards.events import PointsAdjusted, PointsExpired
from rewards.expiry import expired_reference
from rewards.ledger import ADJUSTMENTS_PROGRAMME, EXPIRED_PROGRAMME, account_of
from tanpuhui import clock
from tanpuhui.db import Statement
from tanpuhui.rooms import Invariant

_EVENTS = Statement(
    "SELECT position, type, payload FROM event_log WHERE position > :position "
    "AND type IN ('points.expired', 'points.adjusted') ORDER BY position LIMIT 5000",
    position="int",
    type="text",
    payload="text",
)
_COUNT = sa.text(
    "SELECT count(*) FROM transfer WHERE reference LIKE 'expired:%' OR reference LIKE 'adjust:%'"
)
_APPROVED = sa.text("SELECT count(*) FROM adjustment WHERE decision = 'approved'")
_ONE_SIDED = sa.text(
    "SELECT reference FROM transfer WHERE (source NOT LIKE 'programme:%' AND source NOT IN (SELECT path FROM account)) "
    "OR (destination NOT LIKE 'programme:%' AND destination NOT IN (SELECT path FROM account))"
)


def _moved(connection: Connection) -> Iterator[str]:
    """Each lot that expired and each approved adjustment is one transfer and one event, and nothing else is there."""
    position = matched = adjusted = 0
    while rows := _EVENTS.run(connection, position=position):
        position = rows[-1].position
        for row in rows:
            due, reference = _due(row)
            moved = ledger.find(connection, [reference]).get(reference)
            matched += moved is not None
            adjusted += row.type == PointsAdjusted.type
            did = (moved.source, moved.destination, moved.amount) if moved else None
            if did != due:
                yield f"{row.type} {reference}: due {due}, done {did}"
    total, approved = connection.scalar(_COUNT), connection.scalar(_APPROVED)
    if total != matched:
        yield f"{total} transfers of lots and adjustments, of which {matched} come from events"
    if approved != adjusted:
        yield f"{approved} adjustments are approved, {adjusted} made"


def _due(row: sa.Row[tuple[str, ...]]) -> tuple[tuple[str, str, int], str]:
    """The sides and the amount that an event tells of, and the reference of its transfer."""
    if row.type == PointsExpired.type:
        expired = PointsExpired.from_payload(row.payload)
        sides = account_of(expired.subject_id), EXPIRED_PROGRAMME
        return (*sides, expired.points), expired_reference(expired.subject_id, expired.expires_on)
    adjusted = PointsAdjusted.from_payload(row.payload)
    assert adjusted.resident_id is not None
    sides = ADJUSTMENTS_PROGRAMME, account_of(adjusted.resident_id)
    if adjusted.points < 0:
        sides = sides[::-1]
    return (*sides, abs(adjusted.points)), adjust_reference(adjusted.subject_id)


def _too_early(connection: Connection) -> Iterator[str]:
    """Nothing expires before its day is over."""
    rows = Statement(
        "SELECT reference, recorded_at, expires_on FROM transfer WHERE destination = 'programme:expired'",
        reference="text",
        recorded_at="time",
        expires_on="date",
    ).run(connection)
    for row in rows:
        if clock.day_of(row.recorded_at) <= row.expires_on:
            yield f"transfer {row.reference} took points on {clock.day_of(row.recorded_at)}"


def _two_sides(connection: Connection) -> Iterator[str]:
    """Each side of a transfer is a programme, which has no balance, or an account that is there."""
    for reference in connection.scalars(_ONE_SIDED):
        yield f"transfer {reference} has a side without an account"


POINTS_INVARIANTS: Sequence[Invariant] = (
    Invariant("every transfer has two sides", _two_sides),
    Invariant("nothing expires before its day is over", _too_early),
    Invariant("lots that expired and adjustments are moved as told, once", _moved),
)
