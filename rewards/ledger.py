"""The ledger: accounts and transfers.

A transfer moves whole points from a source to a destination: one row is both sides, so the books always
balance. It is identified by its reference and never changed; a mistake is mended by a transfer the other way.
Residents' accounts (``resident:<id>``) have a stored balance that cannot go below zero; so has what is held for a resident until
a review is decided (``held:<id>``), which nothing spends, what a campaign may still give (``pool:campaign:<id>``), and what vouchers that are not used yet
hold of a reward pool (``reserved:<id>``). Programme accounts
(``programme:<name>``) are where points come from; they have no stored balance, because a row that every scan
updates would make all residents wait for each other: what they gave is the sum of their transfers.

What gives points says when they expire, and so does what takes just those back (`lots`); spending says nothing of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, SQLModel
from sqlmodel.sql.sqltypes import UTCDateTime

from tanpuhui import clock
from tanpuhui.db import Statement, insert_statement
from tanpuhui.errors import InsufficientPoints

ACTIONS_PROGRAMME = "programme:actions"

#: Where points go whose day is over, and where an adjustment takes them from (`adjustments`).
EXPIRED_PROGRAMME = "programme:expired"
ADJUSTMENTS_PROGRAMME = "programme:adjustments"

#: What gives points to a resident or takes them back, and so has to say of which day.
_OF_A_LOT = (
    "source IN ('programme:actions', 'programme:adjustments') OR destination IN ('programme:actions', "
    "'programme:adjustments', 'programme:expired') OR source LIKE 'held:%' "
    "OR (source LIKE 'pool:%' AND destination LIKE 'resident:%')"
)


class Account(SQLModel, table=True):
    """A resident's account, what is held for them, the pool of a campaign, or what vouchers hold. Made by the first transfer to it."""

    __tablename__ = "account"
    __table_args__ = (
        sa.CheckConstraint("balance >= 0", name="balance"),
        sa.CheckConstraint(
            "path LIKE 'resident:%' OR path LIKE 'held:%' OR path LIKE 'pool:%' OR path LIKE 'reserved:%'",
            name="path",
        ),
    )

    path: str = Field(primary_key=True, max_length=64)
    balance: int = Field(sa_type=sa.BigInteger)


def _of_residents(name: str, column: str, where: str, *more: str) -> sa.Index:
    """An index of what residents' accounts give or get, and of nothing else."""
    condition = sa.text(where)
    return sa.Index(
        name, column, *more, unique=bool(more), sqlite_where=condition, postgresql_where=condition
    )


class Transfer(SQLModel, table=True):
    """Points moved. `balance_after` is the balance after it of the resident's side if one is spendable, else of the side with a balance.

    `expires_on`: the last day of the points that it gives, or of those that it takes back; None for what is no resident's lot.
    `tx`: the id of its transaction, which PostgreSQL fills in itself, for the order of the seals; SQLite has one writer, and goes by
    the rows.
    """

    __tablename__ = "transfer"
    __table_args__ = (
        sa.CheckConstraint("amount > 0", name="amount"),
        sa.CheckConstraint("source <> destination", name="sides"),
        sa.CheckConstraint("balance_after >= 0", name="balance_after"),
        sa.Index("ix_transfer_tx", "tx", sqlite_where=sa.text("tx > 0")),
        sa.CheckConstraint(f"expires_on IS NOT NULL OR NOT ({_OF_A_LOT})", name="expires_on"),
        _of_residents("ix_transfer_destination", "destination", "destination LIKE 'resident:%'"),
        _of_residents("ix_transfer_source", "source", "source LIKE 'resident:%'"),
        # A lot expires once, whoever says so.
        _of_residents("uq_transfer_expired", "source", f"destination = '{EXPIRED_PROGRAMME}'", "expires_on"),
    )

    reference: str = Field(primary_key=True, max_length=96)
    source: str = Field(max_length=64)
    destination: str = Field(max_length=64)
    amount: int = Field(sa_type=sa.BigInteger)
    balance_after: int = Field(sa_type=sa.BigInteger)
    recorded_at: datetime
    tx: int = Field(default=0, sa_type=sa.BigInteger, sa_column_kwargs={"server_default": sa.text("0")})
    expires_on: date | None = Field(default=None, sa_column_kwargs={"server_default": "9999-12-31"})


@dataclass(frozen=True, slots=True)
class Posting:
    """A transfer to be made. `reference` is unique for ever: posting it again is an error, never a second
    credit."""

    reference: str
    source: str
    destination: str
    amount: int
    recorded_at: datetime
    expires_on: date | None = None


def account_of(resident_id: UUID) -> str:
    """The path of a resident's account."""
    return f"resident:{resident_id}"


def held_for(resident_id: UUID) -> str:
    """The path of the points that wait with a resident's records."""
    return f"held:{resident_id}"


def reserved_of(pool_id: UUID) -> str:
    """The path of what vouchers that are not used yet hold of a reward pool."""
    return f"reserved:{pool_id}"


def pool_of(campaign_id: UUID) -> str:
    """The path of what a campaign may still give."""
    return f"pool:campaign:{campaign_id}"


_CREDIT = insert_statement(
    SQLModel.metadata.tables["account"],
    {"path": "text", "balance": "int"},
    extra="WHERE true ON CONFLICT (path) DO UPDATE SET balance = account.balance + excluded.balance "
    "RETURNING path, balance",
)
_TAKE = Statement(
    "UPDATE account SET balance = balance - :amount WHERE path = :path AND balance >= :amount "
    "RETURNING balance",
    balance="int",
)
_TAKE_ALL = Statement(
    "UPDATE account SET balance = account.balance - q.amount FROM {rows} WHERE account.path = q.path "
    "RETURNING account.path, account.balance",
    rows={"path": "text", "amount": "int"},
    path="text",
    balance="int",
)
_POST = insert_statement(
    SQLModel.metadata.tables["transfer"],
    {
        "reference": "text",
        "source": "text",
        "destination": "text",
        "amount": "int",
        "balance_after": "int",
        "recorded_at": "time",
        "expires_on": "date",
    },
)


def credit(connection: Connection, postings: Sequence[Posting], looked_at: Sequence[str]) -> list[int]:
    """Post transfers into residents' accounts; the balances of `looked_at` (accounts, maybe uncredited) after.

    The caller has taken the residents' turns. Each account may be credited several times in a batch.
    """
    gained: dict[str, int] = dict.fromkeys(looked_at, 0)
    for posting in postings:
        gained[posting.destination] = gained.get(posting.destination, 0) + posting.amount
    rows = _CREDIT.run(connection, [{"path": path, "balance": gained[path]} for path in sorted(gained)])
    balances: dict[str, int] = {row.path: row.balance for row in rows}
    running = {path: balances[path] - gained[path] for path in gained}
    made = []
    for posting in postings:
        running[posting.destination] += posting.amount
        made.append(_row(posting, running[posting.destination]))
    if made:
        _POST.run(connection, made)
    return [balances[path] for path in looked_at]


def take(connection: Connection, posting: Posting) -> int:
    """Post a transfer out of a resident's account; the balance after. Raises InsufficientPoints."""
    rows = _TAKE.run(connection, amount=posting.amount, path=posting.source)
    if not rows:
        raise InsufficientPoints
    balance: int = rows[0].balance
    _POST.run(connection, [_row(posting, balance)])
    return balance


def take_all(connection: Connection, postings: Sequence[Posting]) -> None:
    """Post many transfers out of residents' accounts. The caller has taken their turns and knows that they have the points."""
    lost: dict[str, int] = {}
    for posting in postings:
        lost[posting.source] = lost.get(posting.source, 0) + posting.amount
    rows = _TAKE_ALL.run(connection, [{"path": path, "amount": lost[path]} for path in sorted(lost)])
    running = {row.path: row.balance + lost[row.path] for row in rows}
    made = []
    for posting in postings:
        running[posting.source] -= posting.amount
        made.append(_row(posting, running[posting.source]))
    _POST.run(connection, made)


def release(connection: Connection, posting: Posting) -> int:
    """Post a transfer from what is held into a resident's account; the balance after. Raises InsufficientPoints."""
    if not _TAKE.run(connection, amount=posting.amount, path=posting.source):
        raise InsufficientPoints
    return credit(connection, [posting], [posting.destination])[0]


def disburse(connection: Connection, pool: str, postings: Sequence[Posting]) -> None:
    """Post transfers out of a pool into residents' accounts, with one update of the pool. Raises InsufficientPoints.

    The caller has taken the residents' turns.
    """
    if not _TAKE.run(connection, amount=sum(posting.amount for posting in postings), path=pool):
        raise InsufficientPoints
    credit(connection, postings, [])


def reserve(connection: Connection, posting: Posting) -> int:
    """Post a transfer out of a resident's account into what vouchers hold; the balance after. Raises InsufficientPoints."""
    balance = take(connection, posting)
    _CREDIT.run(connection, [{"path": posting.destination, "balance": posting.amount}])
    return balance


def restore(connection: Connection, pool: str, postings: Sequence[Posting]) -> None:
    """Post transfers out of residents' accounts back into a pool, with one update of it. Raises InsufficientPoints."""
    for posting in postings:
        take(connection, posting)
    _CREDIT.run(connection, [{"path": pool, "balance": sum(posting.amount for posting in postings)}])


def find(connection: Connection, references: Sequence[str]) -> Mapping[str, sa.Row[tuple[str, ...]]]:
    """The transfers among `references`, by reference."""
    return {row.reference: row for row in _FIND.run(connection, references=references)}


def balance(connection: Connection, resident_id: UUID) -> int:
    """A resident's balance in whole points."""
    return _balance_at(connection, account_of(resident_id))


def held(connection: Connection, resident_id: UUID) -> int:
    """How many points of a resident wait with their records."""
    return _balance_at(connection, held_for(resident_id))


def balance_on(connection: Connection, resident_id: UUID, day: date) -> int:
    """A resident's balance at the end of a day in Asia/Shanghai: what had come until then, less what had gone."""
    asked = {"path": account_of(resident_id), "until": clock.day_bounds(day)[1]}
    return int(connection.execute(_BALANCE_AT, asked).scalar_one())


def in_pool(connection: Connection, campaign_id: UUID) -> int:
    """How many points the pool of a campaign holds."""
    return _balance_at(connection, pool_of(campaign_id))


def _balance_at(connection: Connection, path: str) -> int:
    return balances(connection, [path]).get(path, 0)


def balances(connection: Connection, paths: Sequence[str]) -> dict[str, int]:
    """The balances of these accounts, by path; none of one that nothing was ever posted to."""
    return {row.path: row.balance for row in _BALANCES.run(connection, paths=paths)}


_BALANCE_AT = sa.text(
    "SELECT COALESCE(SUM(amount), 0) FROM (SELECT amount FROM transfer WHERE destination = :path "
    "AND destination LIKE 'resident:%' AND recorded_at < :until UNION ALL SELECT -amount FROM transfer "
    "WHERE source = :path AND source LIKE 'resident:%' AND recorded_at < :until) moved"
).bindparams(sa.bindparam("until", type_=UTCDateTime()))

_BALANCES = Statement(
    "SELECT path, balance FROM account WHERE path {in:paths:text}", path="text", balance="int"
)

_FIND = Statement(
    "SELECT reference, source, destination, amount, balance_after, recorded_at, expires_on FROM transfer "
    "WHERE reference {in:references:text}",
    reference="text",
    source="text",
    destination="text",
    amount="int",
    balance_after="int",
    recorded_at="time",
    expires_on="date",
)


def _row(posting: Posting, balance_after: int) -> dict[str, object]:
    return {
        "reference": posting.reference,
        "source": posting.source,
        "destination": posting.destination,
        "amount": posting.amount,
        "balance_after": balance_after,
        "recorded_at": posting.recorded_at,
        "expires_on": posting.expires_on,
    }
