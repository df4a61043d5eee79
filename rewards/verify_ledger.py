"""Check the seals of the points ledger of Tanpuhui. Needs Python 3.11 or newer and nothing else; asks no server.

    python verify_ledger.py roots ROOTS
    python verify_ledger.py export EXPORT ROOTS
    python verify_ledger.py statement STATEMENT ROOTS

ROOTS is the published list of daily roots, best a copy that somebody else kept; EXPORT holds every sealed transfer of some days,
STATEMENT the sealed transfers of one account with their proofs. Exit 0: all is as it was sealed; 1: it is not, and the first
difference is told. The formats are described in docs/ledger.md; the platform itself seals with the functions of this file.
"""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

EXPORT, STATEMENT = "tanpuhui-ledger-export-1", "tanpuhui-ledger-statement-1"

#: What the first seal names as the one before it.
NO_ROOT = "0" * 64

#: The root of a day without transfers.
EMPTY = sha256(b"").hexdigest()

PUBLIC = ("content", "day", "number", "previous")
OPENED = ("count", "first", "merkle", "salt")
_NUMBERS = ("position", "amount", "balance_after")
FIELDS = (
    "position",
    "recorded_at",
    "reference",
    "source",
    "destination",
    "amount",
    "balance_after",
    "expires_on",
)

_canonical = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
).encode


class Broken(Exception):
    """Something is not as it was sealed; the text says what."""


# --- the format --------------------------------------------------------------------------------------------


def tag_of(salt: str, text: str) -> str:
    """What stands for `text` in a sealed transfer: nobody finds the text without the salt (hexadecimal)."""
    return sha256(bytes.fromhex(salt) + text.encode()).hexdigest()


def leaf_of(transfer: Sequence[str | int]) -> str:
    """The hash of a sealed transfer, its `FIELDS` in their order: one a line."""
    return sha256("\0{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}".format(*transfer).encode()).hexdigest()


def node_of(left: str, right: str) -> str:
    """The hash of two hashes beside each other in the tree."""
    return sha256(b"\x01" + bytes.fromhex(left) + bytes.fromhex(right)).hexdigest()


def root_of(seal: Mapping[str, Any]) -> str:
    """The root of a day: its number, its day, the root before it, and the hash of what it holds."""
    return sha256(b"\x02" + _canonical({name: seal[name] for name in PUBLIC}).encode()).hexdigest()


def content_of(seal: Mapping[str, Any]) -> str:
    """The hash of what a day holds: how many transfers, from which position on, the root of their tree, a salt."""
    return sha256(b"\x03" + _canonical({name: seal[name] for name in OPENED}).encode()).hexdigest()


def pair(hashes: Sequence[str]) -> list[str]:
    """The next level of a tree: neighbours together, a last one without a neighbour as it is."""
    paired = [node_of(*hashes[at : at + 2]) for at in range(0, len(hashes) - 1, 2)]
    return paired + list(hashes[len(hashes) & ~1 :])


class Tree:
    """A Merkle tree (that of RFC 6962) that grows by one leaf at a time, and keeps a hash for each power of two."""

    def __init__(self) -> None:
        self.count = 0
        self._peaks: list[str] = []

    def add(self, leaf: str) -> None:
        """Add a leaf at the end."""
        self._peaks.append(leaf)
        self.count += 1
        whole = self.count
        while whole % 2 == 0:
            right = self._peaks.pop()
            self._peaks[-1] = node_of(self._peaks[-1], right)
            whole //= 2

    def root(self) -> str:
        """The root of the leaves so far."""
        if not self._peaks:
            return EMPTY
        *rest, root = self._peaks
        for peak in reversed(rest):
            root = node_of(peak, root)
        return root


def climb(leaf: str, index: int, count: int, path: Sequence[str]) -> str:
    """The root that the leaf at `index` of `count` leads to by `path`, its neighbours from below. Raises Broken."""
    if not 0 <= index < count:
        raise Broken(f"place {index} of {count}")
    rest = list(reversed(path))
    while count > 1:
        if index ^ 1 < count:
            if not rest:
                raise Broken("the path is too short")
            beside = rest.pop()
            leaf = node_of(beside, leaf) if index % 2 else node_of(leaf, beside)
        index, count = index // 2, (count + 1) // 2
    if rest:
        raise Broken("the path is too long")
    return leaf


# --- checking ----------------------------------------------------------------------------------------------


def roots_in(lines: Iterable[str]) -> dict[int, dict[str, Any]]:
    """The seals of a list of roots by number, each checked to follow the one before. Raises Broken."""
    seals: dict[int, dict[str, Any]] = {}
    previous = NO_ROOT
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        number, day, content, root = line.split()
        seal = {"number": int(number), "day": day, "previous": previous, "content": content}
        if seal["number"] != len(seals) + 1:
            raise Broken(f"root {number} stands in place {len(seals) + 1}")
        if root_of(seal) != root:
            raise Broken(f"root {number} of {day} does not follow from the one before it")
        seals[len(seals) + 1] = {**seal, "root": root}
        previous = root
    return seals


def check_export(lines: Iterable[str], roots: dict[int, dict[str, Any]]) -> str:
    """Every transfer of some days against the roots; what was found. Raises Broken."""
    records = _records(lines, EXPORT)
    head = next(records)
    first, last, transfers, position = head["first"], head["last"], 0, 0
    for number in range(first, last + 1):
        seal = _seal(next(records, {}), roots, number)
        if number > first and seal["first"] != position:
            raise Broken(f"seal {number} begins at {seal['first']} instead of {position}")
        tree, position = Tree(), seal["first"]
        for _ in range(seal["count"]):
            transfer = _transfer(next(records, {}))
            if transfer["position"] != position:
                raise Broken(f"position {transfer['position']} stands in place of {position}")
            tree.add(_leaf(transfer))
            position += 1
        if tree.root() != seal["merkle"]:
            raise Broken(f"the transfers of {seal['day']} (seal {number}) are not those that were sealed")
        transfers += seal["count"]
    if next(records, None) is not None:
        raise Broken("there is more than was sealed")
    return f"{transfers} transfers of seals {first} to {last}"


def check_statement(lines: Iterable[str], roots: dict[int, dict[str, Any]]) -> str:
    """The transfers of one account against the roots and each other; what was found. Raises Broken.

    Those that wait for the end of their day have no proof yet; they are counted, and their balances follow on.
    """
    records = _records(lines, STATEMENT)
    head: dict[str, Any] = next(records)
    own = tag_of(head["salt"], head["account"])
    befores, afters = Counter({head["balance"]: 1}), Counter({0: 1})
    seal: dict[str, Any] = {}
    position = count = waiting = 0
    for record in records:
        if "seal" in record:
            number = record["seal"]["number"]
            if waiting or (seal and number <= seal["number"]):
                raise Broken(f"seal {number} is out of order")
            seal = _seal(record, roots, number)
            continue
        transfer = _transfer(record)
        if transfer["position"] <= position:
            raise Broken(f"position {transfer['position']} is out of order")
        position = transfer["position"]
        if _tagged(record["reference"], record["salt"]) != transfer["reference"]:
            raise Broken(f"position {position} is not {record['reference']}")
        if "path" in record:
            _climb(record, seal, waiting)
            count += 1
        else:
            waiting += 1
        after, amount = transfer["balance_after"], transfer["amount"]
        if own not in {_id(transfer["source"]), _id(transfer["destination"])}:
            raise Broken(f"position {position} is of another account")
        if transfer["destination"] == f"resident:{own}":
            befores[after - amount] += 1
            afters[after] += 1
        elif transfer["source"] == f"resident:{own}":
            befores[after + amount] += 1
            afters[after] += 1
    if (count, waiting) != (head["sealed"], head["waiting"]):
        raise Broken(
            f"{count} transfers and {waiting} that wait, instead of {head['sealed']} and {head['waiting']}"
        )
    if befores != afters:  # from 0 to the balance, each begins with the balance that another one left
        raise Broken("the balances do not follow from each other: a transfer is missing or too many")
    return (
        f"{count} transfers of one account, and {waiting} that wait for their seal; balance {head['balance']}"
    )


def _climb(record: dict[str, Any], seal: dict[str, Any], waiting: int) -> None:
    transfer = record["transfer"]
    position = transfer["position"]
    if waiting or not seal:
        raise Broken(f"position {position} is out of order")
    if climb(_leaf(transfer), position - seal["first"], seal["count"], record["path"]) != seal["merkle"]:
        raise Broken(f"position {position} was not sealed like this on {seal['day']} (seal {seal['number']})")


def _records(lines: Iterable[str], form: str) -> Iterator[dict[str, Any]]:
    records = (json.loads(line) for line in lines if line.strip())
    head: dict[str, Any] = next(records, {})
    if head.get("format") != form:
        raise Broken(f"the file is no {form}")
    yield head
    yield from records


def _seal(record: dict[str, Any], roots: dict[int, dict[str, Any]], number: int) -> dict[str, Any]:
    seal: dict[str, Any] = record.get("seal", {})
    if not {*PUBLIC, *OPENED, "root"} <= seal.keys() or seal["number"] != number:
        raise Broken(f"seal {number} is not where it should be")
    published = roots.get(number)
    if published is None:
        raise Broken(f"the list of roots has no root {number}")
    if {name: seal[name] for name in published} != published or content_of(seal) != seal["content"]:
        raise Broken(f"seal {number} is not the one that was published for {published['day']}")
    return seal


def _transfer(record: dict[str, Any]) -> dict[str, Any]:
    transfer: dict[str, Any] = record.get("transfer", {})
    if transfer.keys() != set(FIELDS):
        raise Broken("a transfer is missing or not complete")
    for name in FIELDS:
        value = transfer[name]
        if type(value) is not (int if name in _NUMBERS else str) or "\n" in str(value):
            raise Broken(f"{name} of a transfer is {value!r}")
    return transfer


def _leaf(transfer: dict[str, Any]) -> str:
    return leaf_of([transfer[name] for name in FIELDS])


def _tagged(reference: str, salt: str) -> str:
    return f"{reference.partition(':')[0]}:{tag_of(salt, reference)}"


def _id(account: str) -> str:
    return account.partition(":")[2]


CHECKS: dict[str, Callable[[Iterable[str], dict[int, dict[str, Any]]], str]] = {
    "export": check_export,
    "statement": check_statement,
}


def main(arguments: Sequence[str]) -> int:
    """Run the check that `arguments` ask for; 0 if all holds, 1 if not, 2 if they ask for nothing known."""
    what, *files = arguments or [""]
    if what not in {"roots", *CHECKS} or len(files) != (1 if what == "roots" else 2):
        sys.stdout.write(f"{__doc__}\n")
        return 2
    try:
        with Path(files[-1]).open(encoding="utf-8") as lines:
            roots = roots_in(lines)
        found = f"{len(roots)} roots"
        if what in CHECKS:
            with Path(files[0]).open(encoding="utf-8") as lines:
                found = f"{CHECKS[what](lines, roots)}; {found}"
    except (Broken, ValueError, KeyError, TypeError, AttributeError) as error:
        wrong = error if isinstance(error, Broken) else f"unreadable ({error!r})"
        sys.stdout.write(f"NOT AS SEALED: {wrong}\n")
        return 1
    sys.stdout.write(f"As it was sealed: {found}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
