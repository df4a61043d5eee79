"""A resident's points as they stand: the balance, what waits, what expires when, and the balance of any day before."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from sqlalchemy.engine import Connection

from rewards import ledger, lots
from rewards.ledger import account_of
from tanpuhui import clock
from tanpuhui.errors import InvalidField
from tanpuhui.i18n import N_


@dataclass(frozen=True, slots=True)
class OwnPoints:
    """What a resident can spend, what waits with their records, and the balance at the end of day `on`, if one was asked about."""

    balance: int
    pending: int
    on: date | None = None
    balance_on: int | None = None


@dataclass(frozen=True, slots=True)
class OwnLots:
    """What is `left` of each lot by its day, in the order in which it is spent."""

    left: Mapping[date, int]

    @property
    def lasting(self) -> int:
        """What does not expire."""
        return self.left.get(lots.NEVER, 0)

    @property
    def expiring(self) -> list[tuple[date, int]]:
        """What expires when, the soonest first."""
        return [(day, points) for day, points in self.left.items() if day != lots.NEVER]


def own_points(connection: Connection, resident_id: UUID, on: date | None = None) -> OwnPoints:
    """What a resident has. Raises InvalidField for a day that is still to come."""
    if on is not None and on > clock.today():
        raise InvalidField(errors=[{"field": "on", "reason": N_("请选今天或以前的日期。")}])
    return OwnPoints(
        balance=ledger.balance(connection, resident_id),
        pending=ledger.held(connection, resident_id),
        on=on,
        balance_on=None if on is None else ledger.balance_on(connection, resident_id, on),
    )


def own_lots(connection: Connection, resident_id: UUID) -> OwnLots:
    """Until when a resident's points last. It adds up every transfer of theirs: for whoever asks about lots, and nobody else."""
    account = account_of(resident_id)
    return OwnLots(lots.standing(connection, [account]).get(account, {}))
