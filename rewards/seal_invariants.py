"""What must always hold of the seals; `tanpuhui verify` asks."""

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from rewards.sealed import seals
from rewards.sealing import Tiles
from rewards.seals import owner_of, tags
from rewards.verify_ledger import NO_ROOT, content_of, leaf_of, root_of
from tanpuhui.db import Statement
from tanpuhui.rooms import Invariant

_PIECE = 10_000

_SEALED = Statement(
    "SELECT s.position, s.reference, s.leaf, s.resident_id, t.source, t.destination, t.amount, t.balance_after, t.recorded_at, t.expires_on "
    "FROM sealed_transfer s LEFT JOIN transfer t ON t.reference = s.reference WHERE s.position > :after "
    f"ORDER BY s.position LIMIT {_PIECE}",
    position="int",
    reference="text",
    leaf="text",
    resident_id="uuid",
    source="text",
    destination="text",
    amount="int",
    balance_after="int",
    recorded_at="time",
    expires_on="date",
)
_TILES = sa.text("SELECT level, ordinal, hashes FROM ledger_tile WHERE seal = :seal")
_STRANGE_TILES = sa.text(
    "SELECT count(*) FROM ledger_tile WHERE seal > 1 + (SELECT count(*) FROM ledger_seal)"
)
_PASSED_OVER = Statement(
    "SELECT t.reference FROM transfer t, ledger_sealing l WHERE {pg:t.tx < l.tx}{sqlite:t.rowid <= l.tx} "
    "AND (SELECT s.position FROM sealed_transfer s WHERE s.reference = t.reference) IS NULL LIMIT 100",
    reference="text",
)


def _transfers(connection: Connection) -> Iterator[str]:
    """Every sealed transfer is in its place, and as it was sealed; none was passed over."""
    names, after, due = tags(connection), -(2**62), 1
    while rows := _SEALED.run(connection, after=after):
        for row in rows:
            if row.position != due:
                yield f"position {row.position} is sealed where {due} is due"
            after, due = row.position, row.position + 1
            if row.source is None:
                yield f"transfer {row.reference}, sealed at {row.position}, is gone"
            elif leaf_of(names.transfer(row.position, row)) != row.leaf:
                yield f"transfer {row.reference} is not what was sealed at {row.position}"
            elif (row.resident_id and row.resident_id.hex) != owner_of(row.source, row.destination):
                yield f"position {row.position} is kept for somebody else"
    for row in _PASSED_OVER.run(connection):
        yield f"transfer {row.reference} stands among sealed ones and is not sealed"


def _days(connection: Connection) -> Iterator[str]:
    """Every day is what its transfers come to, and follows from the day before."""
    number, first, previous = 0, 1, NO_ROOT
    for seal in seals(connection):
        number += 1
        if (seal["number"], seal["first"], seal["previous"]) != (number, first, previous):
            yield f"seal {seal['number']} does not follow from the one before it"
        builder = Tiles(seal["number"])
        tree = {
            (tile["level"], tile["ordinal"], tile["hashes"]) for tile in builder.of(_leaves(connection, seal))
        }
        if builder.root != seal["merkle"]:
            yield f"seal {seal['number']} is not of the transfers of {seal['day']}"
        if content_of(seal) != seal["content"] or root_of(seal) != seal["root"]:
            yield f"the root of {seal['day']} does not follow from what it holds"
        if tree != {tuple(row) for row in connection.execute(_TILES, {"seal": seal["number"]})}:
            yield f"the tree of {seal['day']} is not that of its transfers"
        number, first, previous = seal["number"], seal["first"] + seal["count"], seal["root"]
    if strange := connection.scalar(_STRANGE_TILES):
        yield f"{strange} pieces of trees belong to no seal"


_LEAVES = Statement(
    "SELECT position, leaf FROM sealed_transfer WHERE position >= :first AND position < :end ORDER BY position LIMIT "
    f"{_PIECE}",
    position="int",
    leaf="text",
)


def _leaves(connection: Connection, seal: Any) -> Iterator[str]:
    at, end = seal["first"], seal["first"] + seal["count"]
    while rows := _LEAVES.run(connection, first=at, end=end):
        yield from (row.leaf for row in rows)
        at = rows[-1].position + 1


SEAL_INVARIANTS: Sequence[Invariant] = (
    Invariant("every sealed transfer is as it was sealed", _transfers),
    Invariant("every seal is of its transfers and follows the one before", _days),
)
