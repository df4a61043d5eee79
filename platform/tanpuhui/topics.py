"""Topics: what a complaint, suggestion or question can be about. Each room declares its own."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection


@dataclass(frozen=True)
class Topic:
    """A kind of thing that a resident may write about, such as a site or one of their own records.

    `may_name`: whether this resident may name the thing with this id. `look` finds what `template` shows of it, by its
    macros ``label(seen)`` for its author and ``desk(seen)`` for staff. `appeal`: the condition, given the column of the id,
    that a complaint about the thing contests what was decided about it.
    """

    key: str
    template: str
    may_name: Callable[[Connection, UUID, UUID], bool]
    look: Callable[[Connection, UUID], Any]
    appeal: Callable[[Any], Any] | None = None
