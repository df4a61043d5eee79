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

#: Transfers below a full tile of level 1.
_TILE = WIDTH * WIDTH

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

_XMIN, _XMAX = (
    f"CAST(CAST(pg_snapshot_{end}(pg_current_snapshot()) AS text) AS bigint)" for end in ("xmin", "xmax")
)
#: In a database restored into another cluster, the transactions of the old one lie beyond those of the new.
_TURN = Statement(
    f"SELECT key, tx, day, {{pg:tx >= {_XMAX}}}{{sqlite:0}} AS restored FROM ledger_sealing {{pg:FOR UPDATE}}",
    key="text",
    tx="int",
    day="date",
    restored="bool",
)
_COLUMNS = "t.reference, t.source, t.destination, t.amount, t.balance_after, t.recorded_at"


def _unsealed(condition: str) -> Statement:
    """Transfers without a seal, in their order. A subquery, not a join: its plan is the same however many are sealed."""
    return Statement(
        f"SELECT {_COLUMNS}, {{pg:t.tx}}{{sqlite:t.rowid}} AS tx FROM transfer t WHERE {condition} "
        "AND (SELECT s.position FROM sealed_transfer s WHERE s.reference = t.reference) IS NULL "
        "ORDER BY {pg:t.tx, t.recorded_at, t.reference}{sqlite:t.rowid} LIMIT :limit",
        reference="text",
        source="text",
        destination="text",
        amount="int",
        balance_after="int",
        recorded_at="time",
        tx="int",
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
_READY = sa.text("SELECT count(*) FROM ledger_tile WHERE seal = :seal AND level = 1")
_FULL = Statement(
    "SELECT hashes FROM ledger_tile WHERE seal = :seal AND level = 1 ORDER BY ordinal", hashes="text"
)
_AT = sa.text("SELECT COALESCE(MAX(position), 0) FROM sealed_transfer")
_LEAVES = Statement(
    "SELECT leaf FROM sealed_transfer WHERE position >= :first AND position < :end ORDER BY position",
    leaf="text",
)
_TILES = insert_statement(
    SQLModel.metadata.tables["ledger_tile"],
    {"seal": "int", "level": "int", "ordinal": "int", "hashes": "text"},
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
    today = clock.day_of(moment)
    book = _Book(connection, Tags(turn.key), turn.day)
    for row in rows:
        day = min(clock.day_of(row.recorded_at), today)  # a clock may have gone fast
        if book.day is None or day > book.day:
            book.turn_to(day, moment)
        book.add(row)
    more = len(rows) == limit
    if not more and book.day is not None:
        book.turn_to(today, moment)
    book.write()
    tx = rows[-1].tx if rows else turn.tx
    if turn.restored:
        tx = turn.tx if more else 0
    connection.execute(sa.update(SQLModel.metadata.tables["ledger_sealing"]).values(tx=tx, day=book.day))
    return more


class _Book:
    """The day that is open: what is added to it, and how it is closed."""

    def __init__(self, connection: Connection, names: Tags, day: date | None) -> None:
        self.day = day
        self._connection, self._names = connection, names
        self._number: int = 1
        self._first: int = 1
        self._previous: str = NO_ROOT
        for last in _LAST.run(connection):
            self._number, self._first, self._previous = last.number + 1, last.next, last.root
        self._next = 1 + (connection.scalar(_AT) or 0)
        self._rows: list[dict[str, Any]] = []

    def add(self, row: Any) -> None:
        """Seal a transfer at the next position."""
        leaf = leaf_of(self._names.transfer(self._next, row))
        owner = owner_of(row.source, row.destination)
        self._rows.append(
            {"position": self._next, "reference": row.reference, "leaf": leaf, "resident_id": owner}
        )
        self._next += 1

    def turn_to(self, day: date, moment: datetime) -> None:
        """Close every day before `day`: the open one with what is in it, those between empty."""
        self.write()
        while self.day is not None and self.day < day:
            self._close(self.day, moment)
            self.day += timedelta(days=1)
        self.day = max(self.day or day, day)

    def write(self) -> None:
        """Write what was added, and the tiles that it filled: so closing a day is quick, however long it was."""
        if not self._rows:
            return
        _SEAL.run(self._connection, self._rows)
        ready, begin = self._ready()
        before = self._leaves(begin, self._rows[0]["position"])
        leaves = before + [row["leaf"] for row in self._rows if row["position"] >= begin]
        tiles: list[dict[str, Any]] = []
        for at in range(0, len(leaves) - _TILE + 1, _TILE):
            hashes = [top_of(leaves[of : of + WIDTH]) for of in range(at, at + _TILE, WIDTH)]
            tiles.append(
                {"seal": self._number, "level": 1, "ordinal": ready + len(tiles), "hashes": "".join(hashes)}
            )
        _TILES.run(self._connection, tiles)
        self._rows = []

    def _ready(self) -> tuple[int, int]:
        """How many tiles of the open day are full, and the first position above them."""
        ready = self._connection.scalar(_READY, {"seal": self._number}) or 0
        return ready, self._first + ready * _TILE

    def _leaves(self, first: int, end: int) -> list[str]:
        return [row.leaf for row in _LEAVES.run(self._connection, first=first, end=end)]

    def _close(self, day: date, moment: datetime) -> None:
        full = [row.hashes for row in _FULL.run(self._connection, seal=self._number)]
        rest = self._leaves(self._ready()[1], self._next)
        builder = Tiles(self._number, full)
        _TILES.run(self._connection, list(builder.of(rest)))
        opened = {
            "count": self._next - self._first,
            "first": self._first,
            "merkle": builder.root,
            "salt": self._names.salt("seal", str(self._number)),
        }
        public = {
            "number": self._number,
            "day": day.isoformat(),
            "previous": self._previous,
            "content": content_of(opened),
        }
        root = root_of(public)
        row = {**public, **opened, "day": day, "root": root, "sealed_at": moment}
        self._connection.execute(sa.insert(SQLModel.metadata.tables["ledger_seal"]).values(row))
        self._number, self._first, self._previous = self._number + 1, self._next, root


class Tiles:
    """The tree of a seal, cut into tiles as its leaves come by; of the leaves themselves none is kept."""

    def __init__(self, seal: int, full: Sequence[str] = ()) -> None:
        """`full`: its tiles of level 1 that are there already."""
        self.root = EMPTY
        self._seal = seal
        self._ready = full
        self._levels: list[list[str]] = [[], []]
        self._full = [len(full) * WIDTH, len(full)]

    def of(self, leaves: Iterable[str]) -> Iterator[dict[str, Any]]:
        """The tiles above `leaves`, as rows; `root` is right once all were taken."""
        for hashes in self._ready:
            yield from self._add(2, top_of(split(hashes)))
        for leaf in leaves:
            yield from self._add(0, leaf)
        level = 0
        while self._full[level] * WIDTH + len(self._levels[level]) > 1:
            if self._levels[level]:
                yield from self._carry(level)
            level += 1
        if self._levels[level]:
            self.root = self._levels[level][0]

    def _add(self, level: int, one: str) -> Iterator[dict[str, Any]]:
        if level == len(self._levels):
            self._levels.append([])
            self._full.append(0)
        self._levels[level].append(one)
        if len(self._levels[level]) == WIDTH:
            yield from self._carry(level)
            self._full[level] += 1

    def _carry(self, level: int) -> Iterator[dict[str, Any]]:
        hashes, self._levels[level] = self._levels[level], []
        if level:
            row = {"seal": self._seal, "level": level, "ordinal": self._full[level]}
            yield {**row, "hashes": "".join(hashes)}
        yield from self._add(level + 1, top_of(hashes))


def top_of(hashes: Sequence[str]) -> str:
    """What a tile comes to, `LEVELS` levels above it."""
    for _ in range(LEVELS):
        hashes = pair(hashes)
    return hashes[0]


def split(hashes: str) -> list[str]:
    """The hashes of a tile."""
    return [hashes[at : at + 64] for at in range(0, len(hashes), 64)]


JOB = Job("seals", timedelta(minutes=1), seal)
