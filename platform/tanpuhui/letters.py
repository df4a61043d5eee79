"""Letters: the kinds of message that the inbox brings. Each room declares its own; nothing else lists them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

Params = Mapping[str, Any]


def _nothing(_connection: Connection, _resident_id: UUID, _params: Params) -> Any:
    return None


@dataclass(frozen=True)
class Letter:
    """A kind of message, worded when it is read.

    `template` holds two macros: ``title(p)``, and ``body(p, seen)`` with the way on. ``p`` is what the message keeps: ids,
    codes and numbers, never words and nothing personal. ``seen`` is what `look` finds when the message is opened, so that
    words which may be forgotten (a reason, a text) are not kept a second time.
    """

    kind: str
    template: str
    icon: str = "speech"
    look: Callable[[Connection, UUID, Params], Any] = _nothing
