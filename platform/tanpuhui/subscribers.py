"""Who hears events. A subscriber takes a batch: one event at a desk, hundreds behind the relay.

*Same transaction* subscribers run before the commit of the action that caused the event, and may add to its
answer. *Later* subscribers are served by the relay (see `outbox`), each with a cursor of its own, its result
and its cursor in one transaction.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from tanpuhui.events import Event

#: What a same-transaction subscriber adds to the answer of each event of the batch, in the batch's order.
Additions = Sequence[dict[str, Any]]


@dataclass(frozen=True)
class SameTransaction:
    """A subscriber that runs inside the transaction of the fact."""

    name: str
    hears: tuple[type[Event], ...]
    handle: Callable[[Connection, Sequence[Any]], Additions | None]


@dataclass(frozen=True)
class Later:
    """A subscriber that runs behind the relay. It must not mind an order other than that of recording.

    `title`: what it does, for people; `name` is for the database.
    """

    name: str
    title: str
    hears: tuple[type[Event], ...]
    handle: Callable[[Connection, Sequence[Any]], None]
    batch: int = 1000
