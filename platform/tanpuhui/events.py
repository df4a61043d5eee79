"""Facts. An event says what happened, in the past tense, with ids only and never personal data.

Every event class of every room derives from `Event`; its docstring is its reference (docs/events.md).
"""

from datetime import datetime
from typing import Any, ClassVar, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict

_classes: dict[str, type["Event"]] = {}


class Event(BaseModel):
    """A fact. `subject_id` is what it is about, `resident_id` whom it concerns (if anybody)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: ClassVar[str] = ""

    subject_id: UUID
    resident_id: UUID | None = None
    recorded_at: datetime

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Make the class known under its type, the name under which it is stored."""
        super().__pydantic_init_subclass__(**kwargs)
        if cls.type:
            if cls.type in _classes and _classes[cls.type].__qualname__ != cls.__qualname__:
                raise TypeError(f"two events are called {cls.type}")
            _classes[cls.type] = cls

    @classmethod
    def from_payload(cls, payload: str) -> Self:
        """Read an event back from its stored JSON."""
        return cls.model_validate_json(payload)


def event_class(event_type: str) -> type[Event]:
    """The class stored under `event_type`; KeyError if no installed room knows it."""
    return _classes[event_type]


def event_classes() -> list[type[Event]]:
    """Every known event class, by type."""
    return [_classes[name] for name in sorted(_classes)]
