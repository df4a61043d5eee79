"""Rooms and the house. A room brings itself through one `Room`; the house is the rooms of a deployment,
put together once by the composition root and passed to whoever needs it."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache, cached_property
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from sqlalchemy.engine import Connection
from sqlmodel import SQLModel

from tanpuhui import outbox
from tanpuhui.config import Settings
from tanpuhui.db import Database
from tanpuhui.events import Event
from tanpuhui.figures import Feed, figures_subscriber
from tanpuhui.holdings import Holding
from tanpuhui.jobs import Job
from tanpuhui.letters import Letter
from tanpuhui.reference import ReferenceFile
from tanpuhui.subscribers import Later, SameTransaction
from tanpuhui.topics import Topic

if TYPE_CHECKING:
    import click
    from flask import Blueprint

    from tanpuhui.bureau.open_data import Dataset
    from tanpuhui.identities import Provider
    from tanpuhui.quality import Check


Part = TypeVar("Part")

#: What a room says of a division (by its code) or an organisation (by its id), from a day to a day.
Evidence = Callable[[Connection, str | None, UUID | None, date, date], Mapping[str, Any]]


@dataclass(frozen=True)
class Invariant:
    """A rule that must always hold; `breaches` yields a line for every row that breaks it."""

    name: str
    breaches: Callable[[Connection], Iterator[str]]


@dataclass(frozen=True)
class Room:
    """What a room brings. Blueprints, commands and providers are made on demand, so that workers load no web code.

    `demo` adds to the demo data of a house in which everybody has lived their month. `report` is what the room adds to the
    closing report of a campaign, by key, as JSON keeps it; `evidence` what it adds to an evidence pack of a division or an organisation,
    from a day to a day. `trail`: what the audit trail calls the room's deeds (``site.created``)
    and their subjects (``site``). `checks`: what it asks at the quality desk.
    """

    name: str
    tables: tuple[type[SQLModel], ...] = ()
    blueprints: Callable[["House"], Sequence["Blueprint"]] = lambda _house: ()
    commands: Callable[[], Sequence["click.Command"]] = lambda: ()
    same_transaction: tuple[SameTransaction, ...] = ()
    later: tuple[Later, ...] = ()
    feeds: tuple[Feed, ...] = ()
    jobs: tuple[Job, ...] = ()
    reference: tuple[ReferenceFile, ...] = ()
    invariants: tuple[Invariant, ...] = ()
    holdings: tuple[Holding, ...] = ()
    letters: tuple[Letter, ...] = ()
    topics: tuple[Topic, ...] = ()
    datasets: "tuple[Dataset, ...]" = ()
    providers: Callable[["House"], Sequence["Provider"]] = lambda _house: ()
    demo: Callable[["House"], None] = lambda _house: None
    report: Callable[[Connection, UUID], Mapping[str, Any]] = lambda _connection, _campaign_id: {}
    evidence: "Evidence" = lambda _connection, _division, _organisation, _first, _last: {}
    trail: Mapping[str, str] = field(default_factory=dict)
    checks: tuple["Check", ...] = ()


@dataclass
class House:
    """The composed platform: settings, database and rooms."""

    settings: Settings
    db: Database
    rooms: tuple[Room, ...]
    extras: dict[Any, Any] = field(default_factory=dict)
    _lock: Any = field(default_factory=threading.RLock, repr=False)

    def part(self, kind: Callable[["House"], Part]) -> Part:
        """The one `kind` of this house, made from the house when first asked for."""
        with self._lock:
            if kind not in self.extras:
                self.extras[kind] = kind(self)
            part: Part = self.extras[kind]
            return part

    @cached_property
    def same_transaction(self) -> tuple[SameTransaction, ...]:
        """Subscribers inside the transaction, in the order of the rooms."""
        return tuple(subscriber for room in self.rooms for subscriber in room.same_transaction)

    @cached_property
    def feeds(self) -> tuple[Feed, ...]:
        """Everything that contributes to the figures."""
        return tuple(feed for room in self.rooms for feed in room.feeds)

    @cached_property
    def holdings(self) -> tuple[Holding, ...]:
        """Every kind of data that is held of a resident, the floor's first."""
        return tuple(holding for room in self.rooms for holding in room.holdings)

    @cached_property
    def letters(self) -> dict[str, Letter]:
        """Every kind of message, by its name."""
        return {letter.kind: letter for room in self.rooms for letter in room.letters}

    @cached_property
    def trail(self) -> dict[str, str]:
        """What deeds and their subjects are called in the audit trail, by key."""
        return {key: words for room in self.rooms for key, words in room.trail.items()}

    @cached_property
    def topics(self) -> dict[str, Topic]:
        """Everything that a resident may write about, by its key."""
        return {topic.key: topic for room in self.rooms for topic in room.topics}

    @cached_property
    def providers(self) -> dict[str, "Provider"]:
        """Who can tell who is there, by code: the phone first."""
        return {provider.code: provider for room in self.rooms for provider in room.providers(self)}

    @cached_property
    def later(self) -> tuple[Later, ...]:
        """Subscribers behind the relay: the figures first, then those of the rooms."""
        own = tuple(subscriber for room in self.rooms for subscriber in room.later)
        return (figures_subscriber(self.feeds), *own)

    @property
    def later_titles(self) -> dict[str, str]:
        """What each subscriber behind the relay does, in words, by its name."""
        return {one.name: one.title for one in self.later}

    @cached_property
    def relay(self) -> outbox.Relay:
        """The relay of this process."""
        return outbox.Relay(self)

    def publish(self, connection: Connection, events: Sequence[Event]) -> list[dict[str, Any]]:
        """Append `events` to the log and run the same-transaction subscribers.

        Returns what they add to the answer of each event, in the order of `events`.
        """
        if not events:
            return []
        outbox.append(connection, events)
        additions: list[dict[str, Any]] = [{} for _ in events]
        for subscriber in self.same_transaction:
            heard = [index for index, event in enumerate(events) if isinstance(event, subscriber.hears)]
            if not heard:
                continue
            added = subscriber.handle(connection, [events[index] for index in heard])
            for index, addition in zip(heard, added or (), strict=False):
                additions[index].update(addition)
        return additions


@cache
def installed_rooms() -> tuple[Room, ...]:
    """The rooms that the installed packages declare, the floor first, then by name."""
    found = [point.load() for point in entry_points(group="tanpuhui.rooms")]
    return tuple(sorted(found, key=lambda room: (room.name != "floor", room.name)))


def build_house(settings: Settings | None = None, *, pool_size: int = 8) -> House:
    """Put the house together from `settings` (default: the environment). Opens no connection yet.

    Raises ConfigurationError in production when something meant for development is left on.
    """
    settings = settings or Settings()
    settings.check()
    return House(settings, Database(settings.database_url, pool_size=pool_size), installed_rooms())
