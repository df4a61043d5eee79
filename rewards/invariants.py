"""What must always hold in the ledger and of honours; `tanpuhui verify` asks."""

from collections.abc import Iterator, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from activities.events import ActionConfirmed, ActionRecorded, ActionVoided, Deed
from rewards import ledger
from rewards.crediting import confirm_reference, credit_reference, reversal_reference
from rewards.ledger import ACTIONS_PROGRAMME, account_of, held_for
from rewards.rules import points_for, rule_on, rules, weights
from tanpuhui.db import Statement
from tanpuhui.events import event_class
from tanpuhui.rooms import Invariant

_MOVED = (
    "(SELECT path, sum(amount) AS moved FROM ("
    "SELECT destination AS path, amount FROM transfer WHERE destination NOT LIKE 'programme:%' UNION ALL "
    "SELECT source AS path, -amount FROM transfer WHERE source NOT LIKE 'programme:%') m GROUP BY path)"
)
_UNBALANCED = (
    f"SELECT a.path, a.balance, COALESCE(m.moved, 0) FROM account a LEFT JOIN {_MOVED} m ON m.path = a.path "
    "WHERE a.balance <> COALESCE(m.moved, 0)"
)
_NO_ACCOUNT = (
    f"SELECT m.path, m.moved FROM {_MOVED} m LEFT JOIN account a ON a.path = m.path WHERE a.path IS NULL"
)
#: What follows from other things is for their own invariants; `_unknown` sees that there is nothing else.
_OF_ACTIONS = "SELECT count(*) FROM transfer WHERE reference LIKE 'action:%' OR reference LIKE 'confirm:%' OR reference LIKE 'void:%'"
#: What a transfer can be for: the word before the first colon of its reference.
_PURPOSES = ("action", "confirm", "void", "bonus", "pool", "draw")
_UNKNOWN = "SELECT reference FROM transfer WHERE " + " AND ".join(
    f"reference NOT LIKE '{purpose}:%'" for purpose in _PURPOSES
)
_EVENTS = Statement(
    "SELECT position, type, payload FROM event_log WHERE position > :position "
    "AND type IN ('action.recorded', 'action.confirmed', 'action.rejected', 'action.voided') ORDER BY position LIMIT 5000",
    position="int",
    type="text",
    payload="text",
)


def _balances(connection: Connection) -> Iterator[str]:
    for path, stored, moved in connection.execute(sa.text(_UNBALANCED)):
        yield f"{path} has {stored}, its transfers sum to {moved}"
    for path, moved in connection.execute(sa.text(_NO_ACCOUNT)):
        yield f"{path} was moved {moved} and has no account"


def _unknown(connection: Connection) -> Iterator[str]:
    for (reference,) in connection.execute(sa.text(_UNKNOWN)):
        yield f"transfer {reference} is for nothing that is known"


def _postings(connection: Connection) -> Iterator[str]:
    """Each recorded action is credited or held once, each decision moves exactly that on, each void takes it back, and nothing else is there."""
    tariff, shares = rules(connection), weights(connection)
    position, matched = 0, 0
    while rows := _EVENTS.run(connection, position=position):
        position = rows[-1].position
        deeds = [event_class(row.type).from_payload(row.payload) for row in rows]
        credited = [credit_reference(deed.subject_id) for deed in deeds]
        later = [deed.subject_id for deed in deeds if not isinstance(deed, ActionRecorded)]
        followed = [of(subject) for subject in later for of in (reversal_reference, confirm_reference)]
        found = ledger.find(connection, credited + followed)
        for deed in deeds:
            assert isinstance(deed, Deed)
            credit = found.get(credit_reference(deed.subject_id))
            if isinstance(deed, ActionRecorded):
                matched += credit is not None
                rule = rule_on(tariff.get(deed.kind, []), deed.day)
                wanted = rule if deed.with_points else None
                due = points_for(wanted, shares.get(deed.evidence, 0), deed.quantity_milli) if wanted else 0
                yield from _credit_breaches(deed, credit, due)
            else:
                confirmed = isinstance(deed, ActionConfirmed)
                reference = (confirm_reference if confirmed else reversal_reference)(deed.subject_id)
                moved = found.get(reference)
                matched += moved is not None
                yield from _following_breaches(deed, credit, moved)
    total = connection.scalar(sa.text(_OF_ACTIONS))
    if total != matched:
        yield f"{total} transfers, of which {matched} come from events"


def _credit_breaches(deed: Deed, credit: sa.Row[tuple[str, ...]] | None, due: int) -> Iterator[str]:
    if credit is None:
        if due:
            yield f"action {deed.subject_id} earns {due} and has no transfer"
        return
    assert deed.resident_id is not None
    if isinstance(deed, ActionRecorded) and not deed.with_points:
        yield f"transfer {credit.reference} credits a resident who had switched points off"
    if (credit.source, credit.destination) != (ACTIONS_PROGRAMME, _credited(deed)):
        yield f"transfer {credit.reference} does not go to the resident of its action"


def _credited(deed: Deed) -> str:
    assert deed.resident_id is not None
    held = isinstance(deed, ActionRecorded) and deed.pending
    return held_for(deed.resident_id) if held else account_of(deed.resident_id)


def _following_breaches(
    deed: Deed, credit: sa.Row[tuple[str, ...]] | None, moved: sa.Row[tuple[str, ...]] | None
) -> Iterator[str]:
    """A confirmation releases what was held, a rejection gives it back, a void takes what the resident got."""
    assert deed.resident_id is not None
    held, spendable = held_for(deed.resident_id), account_of(deed.resident_id)
    sides = None
    if credit:
        source = spendable if isinstance(deed, ActionVoided) else held
        sides = (source, spendable if isinstance(deed, ActionConfirmed) else credit.source, credit.amount)
    did = (moved.source, moved.destination, moved.amount) if moved else None
    if sides != did:
        yield f"{deed.type} of {deed.subject_id}: due {sides}, done {did}"


def _honours_without_evidence(connection: Connection) -> Iterator[str]:
    rows = connection.execute(
        sa.text(
            "SELECT h.id FROM honour h WHERE (h.reason IS NOT NULL) <> "
            "EXISTS (SELECT 1 FROM honour_evidence e WHERE e.honour_id = h.id)"
        )
    )
    for row in rows:
        yield f"honour {row[0]} has a reason and no evidence, or evidence and no reason"


def _names_without_consent(connection: Connection) -> Iterator[str]:
    """A person is named under their own consent alone, a class or a team under that of a member of staff."""
    rows = connection.execute(
        sa.text(
            "SELECT h.id FROM honour_consent n JOIN honour h ON h.id = n.honour_id "
            "WHERE (h.holder = 'person') <> (n.given_by IS NULL) OR (h.holder = 'person' AND NOT EXISTS "
            "(SELECT 1 FROM consent c WHERE c.resident_id = h.resident_id AND c.document = 'honours' "
            "AND c.withdrawn_at IS NULL))"
        )
    )
    for row in rows:
        yield f"honour {row[0]} names somebody without their consent"


def _honours_of_the_gone(connection: Connection) -> Iterator[str]:
    rows = connection.execute(
        sa.text(
            "SELECT h.id FROM honour h JOIN resident r ON r.id = h.resident_id WHERE r.status <> 'active'"
        )
    )
    for row in rows:
        yield f"honour {row[0]} leads to somebody who has left"


INVARIANTS: Sequence[Invariant] = (
    Invariant("a balance is the sum of its transfers", _balances),
    Invariant("every transfer is for something known", _unknown),
    Invariant("credits and reversals follow the events", _postings),
    Invariant("every nomination has evidence", _honours_without_evidence),
    Invariant("nobody is named for an honour without consent", _names_without_consent),
    Invariant("whoever has left holds no honour", _honours_of_the_gone),
)
