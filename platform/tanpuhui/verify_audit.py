"""Checks a copy of Tanpuhui's audit trail without the platform: Python alone is needed.

    python3 verify_audit.py TRAIL.jsonl HEADS.txt

TRAIL.jsonl is what an auditor downloaded of the trail, HEADS.txt the list of heads that everybody can download, as it was kept
somewhere else. Says "As it was sealed", or names the first entry that is not; then the exit status is 1.

An entry is hashed with its position and the hash before it; the head of a day is the hash at which the trail stood when the day was
closed. So an entry that was changed, taken out, put in between or moved does not fit its hash, a trail rewritten as a whole does not
fit the heads, and one whose end was cut off does not reach them.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from hashlib import sha256
from pathlib import Path
from typing import Any

FORMAT = "tanpuhui-audit-1"

#: What of an entry is sealed, in this order. `at` is UTC, `detail` an object.
FIELDS = ("id", "at", "actor_kind", "actor_id", "deed", "subject", "reason", "detail")

#: Stands for the hash before the first entry.
NOTHING = "0" * 64

_SHANGHAI = timezone(timedelta(hours=8))


def link_of(previous: str, position: int, entry: Mapping[str, Any]) -> str:
    """The hash of `entry` in its place: SHA-256 of a JSON list of the hash before, the position and the `FIELDS`."""
    sealed = [previous, position, *(entry[name] for name in FIELDS)]
    return sha256(json.dumps(sealed, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def breaches(trail: Iterable[Mapping[str, Any]], heads: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What is wrong with a trail, the first bad entry first; nothing behind a broken link can be said.

    `trail`: entries with `position` and `hash`, in their order; an `id` of None stands for an entry that is gone. `heads`: each
    with `day`, `position` and `hash`, in their order.
    """
    previous, position, closed = NOTHING, 0, ""
    waiting = list(reversed(heads))
    for entry in trail:
        position += 1
        if entry["position"] != position:
            yield f"position {position}: missing, the next one is {entry['position']}"
            return
        if entry["id"] is None:
            yield f"position {position}: its entry is gone"
            return
        if link_of(previous, position, entry) != entry["hash"]:
            yield f"position {position}: {entry['deed']} of {entry['subject']} ({entry['id']}) is not as it was sealed"
            return
        day = f"{datetime.fromisoformat(entry['at']).astimezone(_SHANGHAI):%Y-%m-%d}"
        if day < closed:
            yield f"position {position}: {entry['id']} says it is of {day}; it came after {closed} was closed"
        while waiting and waiting[-1]["position"] == position:
            head = waiting.pop()
            if head["hash"] != entry["hash"]:
                yield f"position {position}: the trail up to here is not the one whose head was kept of {head['day']}"
                return
            closed = head["day"]
        previous = entry["hash"]
    for head in reversed(waiting):
        yield f"position {position + 1}: cut off; the head of {head['day']} stands at position {head['position']}"
        return


def heads_in(lines: Iterable[str]) -> list[dict[str, Any]]:
    """The heads of a list, a line a day: day, position, hash. Raises ValueError."""
    found = []
    for line in lines:
        if line.strip() and not line.startswith("#"):
            day, position, digest = line.split()
            found.append({"day": day, "position": int(position), "hash": digest})
    return found


def trail_in(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The entries of a downloaded trail. Raises ValueError."""
    records: Iterator[dict[str, Any]] = (json.loads(line) for line in lines if line.strip())
    if next(records, {}).get("format") != FORMAT:
        raise ValueError(f"the file is no {FORMAT}")
    yield from records


def main(arguments: Sequence[str]) -> int:
    """Check the two files; 0 if all holds, 1 if not, 2 if they are not there."""
    if len(arguments) != 2:
        sys.stdout.write(f"{__doc__}\n")
        return 2
    try:
        heads = heads_in(Path(arguments[1]).read_text(encoding="utf-8").splitlines())
        with Path(arguments[0]).open(encoding="utf-8") as lines:
            wrong = next(breaches(trail_in(lines), heads), None)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        wrong = f"unreadable ({error!r})"
    except OSError as error:
        sys.stdout.write(f"{error}\n")
        return 2
    sys.stdout.write(f"NOT AS SEALED: {wrong}\n" if wrong else f"As it was sealed, with {len(heads)} heads\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
