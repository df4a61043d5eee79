"""Seals: every transfer is sealed behind the scan, in one order for ever, and each day's root is published.

A transfer to be sealed is written down with a tag in place of each account and reference, and hashed (`rewards.verify_ledger`, which
everybody may run). The hashes of a day are a Merkle tree; the day's root names the root before it. A transfer recorded late goes into
the seal that is open then. The order is that of the transactions, and nothing is sealed that a transaction still running could
precede (decision 0029). What leads from a tag back is a key that is kept with the transfers and published nowhere.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from hashlib import blake2b
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, SQLModel

from rewards.verify_ledger import EMPTY, NO_ROOT, content_of, leaf_of, pair, root_of, tag_of
from tanpuhui import clock
from tanpuhui.db import Statement, insert_statement
from tanpuhui.jobs import Job
from tanpuhui.rooms import House
from tanpuhui.schema import Guard

#: Transfers sealed in one transaction: a second's work at most, for whoever waits behind it.
BATCH = 20_000

#: Hashes in a tile: a proof reads one tile every four levels of the tree.
WIDTH = 16
LEVELS = 4

#: Accounts that are nobody's: their names stand in the seals as they are.
_PUBLIC = ("programme:", "pool:")


class SealedTransfer(SQLModel, table=True):
    """A transfer in its place for ever. `leaf`: its hash as it was when it was sealed; `resident_id`: whose points it moves."""

    __tablename__ = "sealed_transfer"
    __table_args__ = (sa.Index("ix_sealed_transfer_resident_id_position", "resident_id", "position"),)

    position: int = Field(sa_column=sa.Column(sa.BigInteger, primary_key=True, autoincrement=False))
    reference: str = Field(max_length=96, unique=True)
    leaf: str = Field(max_length=64)
    resident_id: UUID | None = None


class LedgerSeal(SQLModel, table=True):
    """A day that is sealed: `count` transfers from position `first` on, and what `rewards.verify_ledger` makes of them."""

    __tablename__ = "ledger_seal"
    __table_args__ = (sa.CheckConstraint("count >= 0", name="count"),)

    number: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    day: date = Field(unique=True)
    first: int = Field(sa_type=sa.BigInteger)
    count: int = Field(sa_type=sa.BigInteger)
    merkle: str = Field(max_length=64)
    salt: str = Field(max_length=32)
    content: str = Field(max_length=64)
    previous: str = Field(max_length=64)
    root: str = Field(max_length=64)
    sealed_at: datetime


class LedgerTile(SQLModel, table=True):
    """Up to `WIDTH` hashes beside each other in the tree of a seal, `4 * level` levels above the transfers."""

    __tablename__ = "ledger_tile"

    seal: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    level: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    ordinal: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    hashes: str = Field(sa_type=sa.Text)


class LedgerSealing(SQLModel, table=True):
    """The one row of whoever seals, there from the first: the key of the tags, how far the transfers are sealed, the day that is open."""

    __tablename__ = "ledger_sealing"
    __table_args__ = (sa.CheckConstraint("id = 1", name="one"),)

    id: int = Field(default=1, primary_key=True, sa_column_kwargs={"autoincrement": False})
    key: str = Field(max_length=64)
    tx: int = Field(sa_type=sa.BigInteger)
    day: date | None = None


_FOLLOWS = (
    "NEW.number <> 1 + (SELECT count(*) FROM ledger_seal) OR NEW.first <> 1 + (SELECT COALESCE(SUM(count), 0) FROM ledger_seal) "
    f"OR NEW.previous <> COALESCE((SELECT root FROM ledger_seal WHERE number = NEW.number - 1), '{NO_ROOT}')"
)
GUARDS = (
    Guard("ledger_seal", "follows", "INSERT", _FOLLOWS, "a seal follows the one before it"),
    Guard("ledger_sealing", "key_stays", "UPDATE", "NEW.key <> OLD.key", "the key of the tags never changes"),
    Guard("ledger_sealing", "stays", "DELETE", "OLD.id = 1", "the key of the tags is never deleted"),
)

#: Tables whose rows are added and never changed.
APPEND_ONLY = ("sealed_transfer", "ledger_seal", "ledger_tile")


# --- how a transfer is written down ------------------------------------------------------------------------


class Tags:
    """What stands for accounts and references: hashes that only who has the salt can tell what of."""

    def __init__(self, key: str) -> None:
        """`key`: that of the ledger, in hexadecimal."""
        self._keyed = blake2b(key=bytes.fromhex(key), digest_size=16)

    def salt(self, what: str, text: str) -> str:
        """The salt of an `account`, a `reference` or a `seal`."""
        keyed = self._keyed.copy()
        keyed.update(f"{what} {text}".encode())
        return keyed.hexdigest()

    def account(self, path: str) -> str:
        """An account as it stands in the seals; what waits for a resident has the tag of the resident."""
        if path.startswith(_PUBLIC):
            return path
        kind, _, owner = path.partition(":")
        return f"{kind}:{tag_of(self.salt('account', owner), owner)}"

    def reference(self, reference: str) -> str:
        """A reference as it stands in the seals."""
        return f"{reference.partition(':')[0]}:{tag_of(self.salt('reference', reference), reference)}"

    def transfer(self, position: int, row: Any) -> tuple[str | int, ...]:
        """A transfer as it is sealed at `position`: the `FIELDS` of `rewards.verify_ledger`."""
        return (
            position,
            row.recorded_at.isoformat(timespec="microseconds")[:26] + "Z",
            self.reference(row.reference),
            self.account(row.source),
            self.account(row.destination),
            row.amount,
            row.balance_after,
        )


def tags(connection: Connection) -> Tags:
    """The tags of this ledger."""
    return Tags(connection.execute(sa.text("SELECT key FROM ledger_sealing")).scalar_one())


def owner_of(source: str, destination: str) -> str | None:
    """Whose points a transfer moves, if anybody's: the 32 digits of their id."""
    for path in (destination, source):
        if not path.startswith(_PUBLIC):
            owner = path.partition(":")[2].replace("-", "")
            if len(owner) == 32:
                return owner
    return None


# --- sealing -----------------------------------------------------------------------------------------------

_XMIN, _XMAX = (f"CAST(CAST(pg_snapshot_{end}(pg_current_snapshot()) AS text) AS bigint)" for end in ("xmin", "xmax"))
#: In a database restored into another cluster, the transactions of the old one lie beyond those of the new.
_TURN = Statement(
    f"SELECT key, tx, day, {{pg:tx >= {_XMAX}}}{{sqlite:0}} AS restored FROM ledger_sealing {{pg:FOR UPDATE}}",
    key="text",
    tx="int",
    day="date",
    restored="bool",
)
_COLUMNS = "t.reference, t.source, t.destination, t.amount, t.balance_after, t.recorded_at"
_TYPES = {
    "reference": "text",
    "source": "text",
    "destination": "text",
    "amount": "int",
    "balance_after": "int",
    "recorded_at": "time",
    "tx": "int",
}


def _unsealed(condition: str) -> Statement:
    """Transfers without a seal, in their order. A subquery, not a join: its plan is the same however many are sealed."""
    return Statement(
        f"SELECT {_COLUMNS}, {{pg:t.tx}}{{sqlite:t.rowid}} AS tx FROM transfer t WHERE {condition} "
        "AND (SELECT s.position FROM sealed_transfer s WHERE s.reference = t.reference) IS NULL "
        "ORDER BY {pg:t.tx, t.recorded_at, t.reference}{sqlite:t.rowid} LIMIT :limit",
        **_TYPES,
    )


_NEXT = _unsealed(f"{{pg:t.tx >= :tx AND t.tx < {_XMIN}}}{{sqlite:t.rowid > :tx}}")
_LEFT = _unsealed(f"{{pg:(t.tx < {_XMIN} OR t.tx >= {_XMAX})}}{{sqlite:true}}")
_SEAL = insert_statement(
    SQLModel.metadata.tables["sealed_transfer"],
    {"position": "int", "reference": "text", "leaf": "text", "resident_id": "uuid"},
)
_LAST = Statement(
    "SELECT number, first + count AS next, root FROM ledger_seal ORDER BY number DESC LIMIT 1",
    number="int",
    next="int",
    root="text",
)
_AT = sa.text("SELECT COALESCE(MAX(position), 0) FROM sealed_transfer")
_LEAVES = Statement(
    "SELECT leaf FROM sealed_transfer WHERE position >= :first AND position < :end ORDER BY position", leaf="text"
)
_TILES = insert_statement(
    SQLModel.metadata.tables["ledger_tile"], {"seal": "int", "level": "int", "ordinal": "int", "hashes": "text"}
)


def seal(_house: House, connection: Connection, moment: datetime) -> None:
    """Seal what is there and close the days that are over, as a job of the worker."""
    seal_batch(connection, moment)


def seal_all(house: House) -> None:
    """Seal until nothing is left, a transaction a batch."""
    while house.db.run(lambda connection: seal_batch(connection, clock.now())):
        pass


def seal_batch(connection: Connection, moment: datetime, limit: int = BATCH) -> bool:
    """Seal up to `limit` transfers; whether there may be more. Whoever else seals waits for this transaction."""
    turn = _TURN.run(connection)[0]
    rows = (_LEFT if turn.restored else _NEXT).run(connection, tx=turn.tx, limit=limit)
    today, day = clock.day_of(moment), turn.day
    names = Tags(turn.key)
    position = connection.scalar(_AT)
    assert position is not None
    sealed: list[dict[str, Any]] = []
    for row in rows:
        of = min(clock.day_of(row.recorded_at), today)  # of a clock that went fast, too
        if day is not None and of > day:
            _SEAL.run(connection, sealed)
            sealed = []
            _close(connection, names, day, of, moment)
        day = of if day is None else max(day, of)
        position += 1
        leaf = leaf_of(names.transfer(position, row))
        owner = owner_of(row.source, row.destination)
        sealed.append({"position": position, "reference": row.reference, "leaf": leaf, "resident_id": owner})
    _SEAL.run(connection, sealed)
    more = len(rows) == limit
    if not more and day is not None and day < today:
        _close(connection, names, day, today, moment)
        day = today
    tx = rows[-1].tx if rows else turn.tx
    if turn.restored:
        tx = turn.tx if more else 0
    connection.execute(sa.update(SQLModel.metadata.tables["ledger_sealing"]).values(tx=tx, day=day))
    return more


def _close(connection: Connection, names: Tags, day: date, until: date, moment: datetime) -> None:
    """Seal every day from `day` to before `until`: the first with what is not sealed yet, the others empty."""
    last = _LAST.run(connection)
    number, first, previous = (last[0].number, last[0].next, last[0].root) if last else (0, 1, NO_ROOT)
    end = connection.scalar(_AT)
    assert end is not None
    while day < until:
        number += 1
        builder = Tiles(number)
        for tiles in _in_batches(builder.of(_leaves(connection, first, end + 1))):
            _TILES.run(connection, tiles)
        count = end + 1 - first
        opened = {"count": count, "first": first, "merkle": builder.root, "salt": names.salt("seal", str(number))}
        public = {"number": number, "day": day.isoformat(), "previous": previous, "content": content_of(opened)}
        previous = root_of(public)
        row = {**public, **opened, "day": day, "root": previous, "sealed_at": moment}
        connection.execute(sa.insert(SQLModel.metadata.tables["ledger_seal"]).values(row))
        first, day = end + 1, day + timedelta(days=1)


def _leaves(connection: Connection, first: int, end: int) -> Iterator[str]:
    for at in range(first, end, BATCH):
        for row in _LEAVES.run(connection, first=at, end=min(at + BATCH, end)):
            yield row.leaf


def _in_batches(tiles: Iterable[dict[str, Any]]) -> Iterator[Sequence[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for tile in tiles:
        batch.append(tile)
        if len(batch) == 1000:
            yield batch
            batch = []
    if batch:
        yield batch


class Tiles:
    """The tree of a seal, cut into tiles as its leaves come by; of the leaves themselves none is kept."""

    def __init__(self, seal: int) -> None:
        self.root = EMPTY
        self._seal = seal
        self._levels: list[list[str]] = [[]]
        self._full: list[int] = [0]

    def of(self, leaves: Iterable[str]) -> Iterator[dict[str, Any]]:
        """The tiles above `leaves`, as rows; `root` is right once all were taken."""
        for leaf in leaves:
            yield from self._add(0, leaf)
        level = 0
        while self._full[level] * WIDTH + len(self._levels[level]) > 1:
            if hashes := self._levels[level]:
                if level:
                    yield self._tile(level)
                self._levels[level] = []
                yield from self._add(level + 1, top_of(hashes))
            level += 1
        if self._levels[level]:
            self.root = self._levels[level][0]

    def _add(self, level: int, one: str) -> Iterator[dict[str, Any]]:
        if level == len(self._levels):
            self._levels.append([])
            self._full.append(0)
        self._levels[level].append(one)
        if len(self._levels[level]) == WIDTH:
            if level:
                yield self._tile(level)
            hashes, self._levels[level] = self._levels[level], []
            self._full[level] += 1
            yield from self._add(level + 1, top_of(hashes))

    def _tile(self, level: int) -> dict[str, Any]:
        hashes = "".join(self._levels[level])
        return {"seal": self._seal, "level": level, "ordinal": self._full[level], "hashes": hashes}


def top_of(hashes: Sequence[str]) -> str:
    """What a tile comes to, `LEVELS` levels above it."""
    for _ in range(LEVELS):
        hashes = pair(hashes)
    return hashes[0]


JOB = Job("seals", timedelta(minutes=1), seal)
