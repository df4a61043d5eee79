"""Spending: points of a resident for something, and back if it comes to nothing.

Nothing is said of lots: what is spent takes them in turn, and what comes back is in them again (`lots`). Only what would come
back into a lot whose day is over gets a later day, in a transfer of its own. The caller has taken the resident's turn.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy.engine import Connection

from rewards import ledger, lots
from rewards.ledger import Posting, account_of
from tanpuhui import clock


def spend(
    connection: Connection,
    resident_id: UUID,
    amount: int,
    *,
    reference: str,
    destination: str,
    moment: datetime,
) -> int:
    """Take `amount` points to `destination`, a programme or what vouchers hold; the balance after. Raises InsufficientPoints."""
    posting = Posting(reference, account_of(resident_id), destination, amount, moment)
    return (ledger.take if destination.startswith("programme:") else ledger.reserve)(connection, posting)


def late_reference(reference: str) -> str:
    """The reference of the transfer that brings back what comes too late for its lot."""
    return f"{reference}:late"


def give_back(
    connection: Connection, resident_id: UUID, amount: int, *, reference: str, source: str, moment: datetime
) -> int:
    """Bring `amount` points that were spent back from `source`, a programme or what vouchers hold; the balance after.

    What comes too late for its lot comes in a transfer of its own (`late_reference`). Raises InsufficientPoints.
    """
    account, today = account_of(resident_id), clock.day_of(moment)
    given, spent = lots.sums(connection, account)
    late = lots.too_late(given, spent, amount, today)
    postings = []
    if amount > late:
        postings.append(Posting(reference, source, account, amount - late, moment))
    if late:
        day = lots.last_day(today, lots.MONTHS_OF_GRACE)
        postings.append(Posting(late_reference(reference), source, account, late, moment, day))
    if source.startswith("programme:"):
        return ledger.credit(connection, postings, [account])[0]
    ledger.disburse(connection, source, postings)
    return ledger.balance(connection, resident_id)
