"""What must always hold in the ledger; `tanpuhui verify` asks."""

from collections.abc import Iterator, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from activities.events import ActionRecorded, ActionVoided, Deed
from rewards import ledger
from rewards.crediting import credit_reference, reversal_reference
from rewards.ledger import ACTIONS_PROGRAMME, account_of
from rewards.rules import points_for, rule_on, rules, weights
from tanpuhui.db import Statement
from tanpuhui.events import event_class
from tanpuhui.rooms import Invariant

_MOVED = (
    "(SELECT path, sum(amount) AS moved FROM ("
    "SELECT destination AS path, amount FROM transfer WHERE destination LIKE 'resident:%' UNION ALL "
    "SELECT source AS path, -amount FROM transfer WHERE source LIKE 'resident:%') m GROUP BY path)"
)
_UNBALANCED = (
    f"SELECT a.path, a.balance, COALESCE(m.moved, 0) FROM account a LEFT JOIN {_MOVED} m ON m.path = a.path "
    "WHERE a.balance <> COALESCE(m.moved, 0)"
)
_NO_ACCOUNT = (
    f"SELECT m.path, m.moved FROM {_MOVED} m LEFT JOIN account a ON a.path = m.path WHERE a.path IS NULL"
)
_EVENTS = Statement(
    "SELECT position, type, payload FROM event_log WHERE position > :position "
    "AND type IN ('action.recorded', 'action.voided') ORDER BY position LIMIT 5000",
    position="int",
    type="text",
    payload="text",
)


def _balances(connection: Connection) -> Iterator[str]:
    for path, stored, moved in connection.execute(sa.text(_UNBALANCED)):
        yield f"{path} has {stored}, its transfers sum to {moved}"
    for path, moved in connection.execute(sa.text(_NO_ACCOUNT)):
        yield f"{path} was moved {moved} and has no account"


def _postings(connection: Connection) -> Iterator[str]:
    """Each recorded action is credited once, each void takes exactly that back, and nothing else is there."""
    tariff, shares = rules(connection), weights(connection)
    position, matched = 0, 0
    while rows := _EVENTS.run(connection, position=position):
        position = rows[-1].position
        deeds = [event_class(row.type).from_payload(row.payload) for row in rows]
        credited = [credit_reference(deed.subject_id) for deed in deeds]
        reversals = [reversal_reference(deed.subject_id) for deed in deeds if isinstance(deed, ActionVoided)]
        found = ledger.find(connection, credited + reversals)
        for deed in deeds:
            assert isinstance(deed, Deed)
            credit = found.get(credit_reference(deed.subject_id))
            if isinstance(deed, ActionRecorded):
                matched += credit is not None
                rule = rule_on(tariff.get(deed.kind, []), deed.day)
                due = points_for(rule, shares.get(deed.evidence, 0), deed.quantity_milli) if rule else 0
                yield from _credit_breaches(deed, credit, due)
            else:
                reversal = found.get(reversal_reference(deed.subject_id))
                matched += reversal is not None
                yield from _reversal_breaches(deed, credit, reversal)
    total = connection.scalar(sa.text("SELECT count(*) FROM transfer"))
    if total != matched:
        yield f"{total} transfers, of which {matched} come from events"


def _credit_breaches(deed: Deed, credit: sa.Row[tuple[str, ...]] | None, due: int) -> Iterator[str]:
    if credit is None:
        if due:
            yield f"action {deed.subject_id} earns {due} and has no transfer"
        return
    assert deed.resident_id is not None
    if (credit.source, credit.destination) != (ACTIONS_PROGRAMME, account_of(deed.resident_id)):
        yield f"transfer {credit.reference} does not go to the resident of its action"


def _reversal_breaches(
    deed: Deed, credit: sa.Row[tuple[str, ...]] | None, reversal: sa.Row[tuple[str, ...]] | None
) -> Iterator[str]:
    sides = (credit.destination, credit.source, credit.amount) if credit else None
    back = (reversal.source, reversal.destination, reversal.amount) if reversal else None
    if sides != back:
        yield f"void of action {deed.subject_id}: credited {sides}, taken back {back}"


INVARIANTS: Sequence[Invariant] = (
    Invariant("a balance is the sum of its transfers", _balances),
    Invariant("credits and reversals follow the events", _postings),
)
