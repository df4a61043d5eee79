"""Repeat a draw: check its published record, and get the same winners. This file needs Python and nothing else.

    python repeat_draw.py record.json

The rule, the same for every draw:

1. Before anybody could enter, the SHA-256 of a secret seed was published (``commitment``).
2. When entries closed, the tickets were published, sorted, and their digest: the SHA-256 of all of them, a line each.
3. Then the seed was revealed. If a public number was named beforehand (``witness``), it was written down as ``witnessed``.
4. Each ticket gets the SHA-256 of ``seed|digest|witnessed|ticket``; the smallest wins the first prize, and so on.

Nobody can choose the winners: the seed was fixed before the tickets were, and the tickets before the seed was known.
"""

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FORMAT = "tanpuhui-draw-1"


def sha256(text: str) -> str:
    """The SHA-256 of a text in UTF-8, as 64 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def digest_of(tickets: Sequence[str]) -> str:
    """The digest of the tickets of a draw, whatever their order: of the sorted ones, each with a line feed after it."""
    return sha256("".join(f"{ticket}\n" for ticket in sorted(tickets)))


def ranking(seed: str, witnessed: str, tickets: Sequence[str]) -> list[str]:
    """The tickets in the order in which they win."""
    digest = digest_of(tickets)
    return sorted(tickets, key=lambda ticket: sha256(f"{seed}|{digest}|{witnessed}|{ticket}"))


def prizes_in_order(prizes: Sequence[Mapping[str, Any]]) -> list[str]:
    """The name of each single prize, the first prize first."""
    return [str(prize["name"]) for prize in prizes for _ in range(int(prize["count"]))]


def winners(
    seed: str, witnessed: str, tickets: Sequence[str], prizes: Sequence[Mapping[str, Any]]
) -> list[dict[str, str]]:
    """Who wins what, the first prize first; fewer than there are prizes if there are fewer tickets."""
    order = ranking(seed, witnessed, tickets)
    return [
        {"ticket": ticket, "prize": prize}
        for ticket, prize in zip(order, prizes_in_order(prizes), strict=False)
    ]


def faults(record: Mapping[str, Any]) -> list[str]:
    """What does not hold of a published record of a draw that was held; nothing if all of it does."""
    if record.get("format") != FORMAT:
        return [f"this is no record of the format {FORMAT}"]
    tickets, seed = list(record["tickets"]), str(record["seed"] or "")
    found = []
    if not seed:
        found.append("the seed is not revealed yet")
    elif sha256(seed) != record["commitment"]:
        found.append("the seed is not the one that was committed to")
    if len(set(tickets)) != len(tickets):
        found.append("a ticket stands there twice")
    if digest_of(tickets) != record["digest"]:
        found.append("the tickets are not those whose digest was published")
    if record["witness"] and not record["witnessed"]:
        found.append("the public number that was named beforehand is missing")
    if winners(seed, str(record["witnessed"]), tickets, record["prizes"]) != list(record["winners"]):
        found.append("the winners are not those that the rule gives")
    return found


def main(arguments: Sequence[str]) -> int:
    """Check the file that is named; 0 if all of it holds."""
    if len(arguments) != 1:
        print(__doc__)
        return 2
    try:
        record = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
        found = faults(record)
    except (OSError, ValueError, KeyError, TypeError) as error:
        found = [f"this is no record of a draw: {error!r}"]
    for fault in found:
        print("WRONG:", fault)
    if not found:
        print(
            f"RIGHT: {len(record['tickets'])} tickets, {len(record['winners'])} winners, as the rule gives them."
        )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
