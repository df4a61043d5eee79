"""Sealing: a job puts every transfer into its place behind the scan, in one order for ever, and closes the days.

The order is that of the transactions, and nothing is sealed that a transaction still running could precede (decision 0029). A transfer
recorded late goes into the seal that is open then.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import SQLModel

from rewards.seals import LEVELS, WIDTH, Tags, owner_of
from rewards.verify_ledger import EMPTY, NO_ROOT, content_of, leaf_of, pair, root_of
from tanpuhui import clock
from tanpuhui.db import Statement, insert_statement
from tanpuhui.i18n import N_
from tanpuhui.jobs import Job
from tanpuhui.rooms import House

#: Transfers sealed in one transaction: a second's work at most, for whoever waits behind it.
BATCH = 20_000

#: Transfers below a full tile of level 1.
_TILE = WIDTH * WIDTH

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
_COLUMNS = "t.reference, t.source, t.destination, t.amount, t.balance_after, t.recorded_at, t.expires_on"


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
        expires_on="date",
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


JOB = Job("seals", N_("封存积分账"), timedelta(minutes=1), seal)
