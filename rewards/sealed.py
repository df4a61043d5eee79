"""What everybody, an auditor and a resident can take away of the seals: the roots, every transfer of some days, one's own with proofs.

Whatever is sealed never changes, so it is read a piece at a time, each in a statement of its own, however slowly it is taken.
"""

import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from rewards.ledger import account_of
from rewards.sealing import split
from rewards.seals import LEVELS, WIDTH, tags
from rewards.verify_ledger import EXPORT, FIELDS, PUBLIC, STATEMENT, pair
from tanpuhui.db import Database, Statement
from tanpuhui.errors import InvalidField
from tanpuhui.i18n import N_

_PIECE = 5000
_PROOFS = 200

_SEALS = Statement(
    "SELECT number, day, first, count, merkle, salt, content, previous, root FROM ledger_seal "
    "WHERE number BETWEEN :first AND :last ORDER BY number",
    number="int",
    day="date",
    first="int",
    count="int",
    merkle="text",
    salt="text",
    content="text",
    previous="text",
    root="text",
)
_COLUMNS = (
    "s.position, t.reference, t.source, t.destination, t.amount, t.balance_after, t.recorded_at, t.expires_on"
)
_FROM = "FROM sealed_transfer s JOIN transfer t ON t.reference = s.reference"
_BETWEEN = Statement(
    f"SELECT {_COLUMNS} {_FROM} WHERE s.position >= :first AND s.position < :end ORDER BY s.position",
    position="int",
    reference="text",
    source="text",
    destination="text",
    amount="int",
    balance_after="int",
    recorded_at="time",
    expires_on="date",
)
_OWN = Statement(
    f"SELECT {_COLUMNS} {_FROM} WHERE s.resident_id = :resident AND s.position > :after AND s.position <= :last "
    f"ORDER BY s.position LIMIT {_PROOFS}",
    position="int",
    reference="text",
    source="text",
    destination="text",
    amount="int",
    balance_after="int",
    recorded_at="time",
    expires_on="date",
)
_SUM = Statement(
    "SELECT count(*) AS transfers, count(CASE WHEN s.position >= :beyond THEN 1 END) AS waiting, max(s.position) AS last, CAST(COALESCE(sum(CASE WHEN t.destination = :account THEN t.amount "
    f"WHEN t.source = :account THEN -t.amount ELSE 0 END), 0) AS bigint) AS balance {_FROM} WHERE s.resident_id = :resident",
    transfers="int",
    waiting="int",
    last="int",
    balance="int",
)
_LEAVES = Statement(
    "SELECT s.position, s.leaf FROM {rows} JOIN sealed_transfer s ON s.position >= q.first AND s.position < q.beyond "
    "ORDER BY s.position",
    rows={"first": "int", "beyond": "int"},
    position="int",
    leaf="text",
)
_TILES = Statement(
    "SELECT t.seal, t.level, t.ordinal, t.hashes FROM {rows} JOIN ledger_tile t "
    "ON t.seal = q.seal AND t.level = q.level AND t.ordinal = q.ordinal",
    rows={"seal": "int", "level": "int", "ordinal": "int"},
    seal="int",
    level="int",
    ordinal="int",
    hashes="text",
)

Seal = Mapping[str, Any]

#: Tiles by seal, level and place; at level 0 the hashes of the transfers themselves.
Tree = Mapping[tuple[int, int, int], Sequence[str]]


# --- roots -------------------------------------------------------------------------------------------------


def seals(connection: Connection, first: int = 1, last: int = 2**31 - 1) -> list[Seal]:
    """The seals from number `first` to `last`, as `rewards.verify_ledger` reads them, salt included: not for everybody."""
    found = _SEALS.run(connection, first=first, last=last)
    return [{**row._mapping, "day": row.day.isoformat()} for row in found]


def roots(connection: Connection, after: int = 0, limit: int = 2**31 - 1) -> list[Seal]:
    """What everybody may read of `limit` seals from the one after number `after` on. How much a day holds is not told: it could be one's."""
    end = min(after + limit, 2**31 - 1)
    return [{name: seal[name] for name in (*PUBLIC, "root")} for seal in seals(connection, after + 1, end)]


def last_number(connection: Connection) -> int:
    """The number of the latest seal; 0 before the first."""
    return connection.scalar(sa.text("SELECT COALESCE(MAX(number), 0) FROM ledger_seal")) or 0


def numbers(connection: Connection, first: date, last: date) -> tuple[int, int]:
    """The first and the last number of the seals from day `first` to day `last`. Raises InvalidField if there are none."""
    between = sa.text("SELECT MIN(number), MAX(number) FROM ledger_seal WHERE day BETWEEN :first AND :last")
    days = (sa.bindparam(name, type_=sa.Date()) for name in ("first", "last"))
    found = connection.execute(between.bindparams(*days), {"first": first, "last": last}).one()
    if found[0] is None:
        raise InvalidField(errors=[{"field": "to", "reason": N_("这些日子里没有已经封存的账目。")}])
    return found[0], found[1]


def roots_text(found: Sequence[Seal]) -> str:
    """The list of roots as a plain file, a line a day."""
    lines = (f"{seal['number']} {seal['day']} {seal['content']} {seal['root']}\n" for seal in found)
    return "# number day content root\n" + "".join(lines)


# --- every transfer of some days -----------------------------------------------------------------------------


def export(db: Database, first: int, last: int) -> Iterator[str]:
    """Every transfer of the seals from `first` to `last`, as lines for `rewards.verify_ledger`; names are tags."""
    with db.reading() as connection:
        names, found = tags(connection), seals(connection, first, last)
    yield _line({"format": EXPORT, "first": first, "last": last})
    for seal in found:
        yield _line({"seal": seal})
        end = seal["first"] + seal["count"]
        for at in range(seal["first"], end, _PIECE):
            with db.reading() as connection:
                rows = _BETWEEN.run(connection, first=at, end=min(at + _PIECE, end))
            yield "".join(_line({"transfer": _named(names.transfer(row.position, row))}) for row in rows)


# --- one's own -----------------------------------------------------------------------------------------------


def own(db: Database, resident_id: UUID) -> Iterator[str]:
    """The sealed transfers of a resident with their proofs, as lines for `rewards.verify_ledger`.

    Of somebody else's nothing is in them but hashes. Those that wait for the end of their day stand at the end, without a proof.
    """
    with db.reading() as connection:
        resident = resident_id if connection.dialect.name == "postgresql" else resident_id.hex
        found = seals(connection)
        sealed = found[-1]["first"] + found[-1]["count"] if found else 1
        total = _SUM.run(connection, resident=resident, account=account_of(resident_id), beyond=sealed)[0]
        names = tags(connection)
    ends = [seal["first"] + seal["count"] for seal in found]
    account = str(resident_id)
    yield _line(
        {
            "format": STATEMENT,
            "account": account,
            "salt": names.salt("account", account),
            "sealed": total.transfers - total.waiting,
            "waiting": total.waiting,
            "balance": total.balance,
        }
    )
    told, after = 0, 0
    while after < (total.last or 0):
        with db.reading() as connection:
            rows = _OWN.run(connection, resident=resident, after=after, last=total.last)
            if not rows:
                return
            at = [bisect_right(ends, row.position) for row in rows]
            of = [found[index] if index < len(found) else None for index in at]
            paths = _paths(
                connection, [(seal, row.position) for seal, row in zip(of, rows, strict=True) if seal]
            )
        for seal, row in zip(of, rows, strict=True):
            if seal and seal["number"] != told:
                yield _line({"seal": seal})
                told = seal["number"]
            record = {
                "transfer": _named(names.transfer(row.position, row)),
                "reference": row.reference,
                "salt": names.salt("reference", row.reference),
            }
            yield _line({**record, "path": paths[row.position]} if seal else record)
        after = rows[-1].position


def _paths(connection: Connection, wanted: Sequence[tuple[Seal, int]]) -> dict[int, list[str]]:
    """The proof of each transfer by its position: the hashes beside it on the way to the root of its day."""
    tiles = _tiles(connection, wanted)
    return {position: path_of(tiles, seal, position) for seal, position in wanted}


def path_of(tiles: Tree, seal: Seal, position: int) -> list[str]:
    """The proof of the transfer at `position`, from the tiles that it leads through."""
    index, count, level = position - seal["first"], seal["count"], 0
    path: list[str] = []
    while count > 1:
        path += _beside(tiles[(seal["number"], level, index // WIDTH)], index % WIDTH)
        index, count, level = index // WIDTH, -(-count // WIDTH), level + 1
    return path


def _beside(hashes: Sequence[str], place: int) -> Iterator[str]:
    """The neighbours within a tile, from below."""
    for _ in range(LEVELS):
        if place ^ 1 < len(hashes):
            yield hashes[place ^ 1]
        hashes, place = pair(hashes), place // 2


def _tiles(connection: Connection, wanted: Sequence[tuple[Seal, int]]) -> Tree:
    """The tiles that the proofs of `wanted` lead through."""
    tiles: dict[tuple[int, int, int], list[str]] = {}
    ranges: dict[int, tuple[int, dict[str, int]]] = {}
    above: dict[tuple[int, int, int], dict[str, int]] = {}
    for seal, position in wanted:
        number, first, count = seal["number"], seal["first"], seal["count"]
        index = (position - first) // WIDTH
        begin = first + index * WIDTH
        ranges[begin] = (number, {"first": begin, "beyond": min(begin + WIDTH, first + count)})
        tiles[(number, 0, index)] = []
        level = 0
        while (count := -(-count // WIDTH)) > 1:
            level, index = level + 1, index // WIDTH
            above[(number, level, index)] = {"seal": number, "level": level, "ordinal": index}
    starts = {seal["number"]: seal["first"] for seal, _ in wanted}
    begins = sorted(ranges)
    for row in _LEAVES.run(connection, [ranges[begin][1] for begin in begins]):
        number = ranges[begins[bisect_right(begins, row.position) - 1]][0]
        tiles[(number, 0, (row.position - starts[number]) // WIDTH)].append(row.leaf)
    for row in _TILES.run(connection, list(above.values())):
        tiles[(row.seal, row.level, row.ordinal)] = split(row.hashes)
    return tiles


def _named(transfer: tuple[str | int, ...]) -> dict[str, str | int]:
    return dict(zip(FIELDS, transfer, strict=True))


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(record, sort_keys=True, separators=(",", ":")) + "\n"
