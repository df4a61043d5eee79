"""Crediting: what follows in points from an action recorded, decided or voided, in the action's own transaction."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from activities.events import ActionConfirmed, ActionRecorded, ActionRejected, ActionVoided, Deed
from rewards import ledger, lots
from rewards.ledger import ACTIONS_PROGRAMME, Posting, account_of, held_for
from rewards.rules import (
    PointsLifetime,
    PointsRule,
    expiry,
    lifetimes,
    points_for,
    rule_on,
    rules,
    weights,
)
from tanpuhui import clock, reference
from tanpuhui.errors import InsufficientPoints, PointsSpent
from tanpuhui.figures import Contribution, Feed
from tanpuhui.subscribers import SameTransaction


def credit_reference(action_id: UUID) -> str:
    """The reference of the transfer that credits an action."""
    return f"action:{action_id}"


def confirm_reference(action_id: UUID) -> str:
    """The reference of the transfer that lets a resident spend what was held."""
    return f"confirm:{action_id}"


def reversal_reference(action_id: UUID) -> str:
    """The reference of the transfer that takes the credit of a voided or rejected action back."""
    return f"void:{action_id}"


@dataclass(frozen=True)
class _Tariff:
    version: int
    rules: dict[str, list[PointsRule]]
    weights: dict[str, int]
    lifetimes: list[PointsLifetime]


class _TariffOffice:
    """The points rules in memory, renewed when reference data has moved."""

    def __init__(self) -> None:
        self._tariffs: dict[str, _Tariff] = {}
        self._lock = threading.Lock()

    def at(self, connection: Connection) -> _Tariff:
        """The rules that hold in the transaction of `connection`."""
        database = str(connection.engine.url)
        version = reference.current_version(connection)
        tariff = self._tariffs.get(database)
        if tariff is None or tariff.version != version:
            with self._lock:
                tariff = _Tariff(version, rules(connection), weights(connection), lifetimes(connection))
                self._tariffs[database] = tariff
        return tariff


_office = _TariffOffice()


def expires_on(connection: Connection, given_at: datetime) -> date:
    """The last day of points that are given at a moment."""
    return expiry(_office.at(connection).lifetimes, clock.day_of(given_at))


def points_of(tariff: _Tariff, event: Deed) -> int:
    """Whole points that a deed earns; 0 where no rule is published for its kind, or its resident wants none."""
    if isinstance(event, ActionRecorded) and not event.with_points:
        return 0
    rule = rule_on(tariff.rules.get(event.kind, []), event.day)
    return points_for(rule, tariff.weights.get(event.evidence, 0), event.quantity_milli) if rule else 0


def credit_actions(connection: Connection, events: Sequence[ActionRecorded]) -> list[dict[str, Any]]:
    """Credit recorded actions; adds ``points: {posted, balance}`` to the answer of each.

    What a pending one earns is held, and told as ``pending`` beside them.
    """
    tariff = _office.at(connection)
    points = [points_of(tariff, event) for event in events]
    accounts = [_account(event) for event in events]
    postings = [
        Posting(
            credit_reference(event.subject_id),
            ACTIONS_PROGRAMME,
            _credited(event),
            amount,
            event.recorded_at,
            expiry(tariff.lifetimes, clock.day_of(event.recorded_at)),
        )
        for event, amount in zip(events, points, strict=True)
        if amount
    ]
    balances = ledger.credit(connection, postings, accounts)
    return [
        {"points": {"posted": 0, "balance": balance, "pending": amount}}
        if event.pending
        else {"points": {"posted": amount, "balance": balance}}
        for event, amount, balance in zip(events, points, balances, strict=True)
    ]


def release_confirmed(connection: Connection, events: Sequence[ActionConfirmed]) -> None:
    """Let residents spend what was held for records that are confirmed: in the lot of the record, while its day lasts."""
    credited = ledger.find(connection, [credit_reference(event.subject_id) for event in events])
    for event in events:
        if original := credited.get(credit_reference(event.subject_id)):
            ledger.release(
                connection,
                Posting(
                    confirm_reference(event.subject_id),
                    original.destination,
                    _account(event),
                    original.amount,
                    event.recorded_at,
                    lots.in_time(original.expires_on, clock.day_of(event.recorded_at)),
                ),
            )


def return_rejected(connection: Connection, events: Sequence[ActionRejected]) -> None:
    """Give back what was held for records that are rejected."""
    credited = ledger.find(connection, [credit_reference(event.subject_id) for event in events])
    for event in events:
        if original := credited.get(credit_reference(event.subject_id)):
            ledger.take(
                connection,
                Posting(
                    reversal_reference(event.subject_id),
                    original.destination,
                    original.source,
                    original.amount,
                    event.recorded_at,
                    original.expires_on,
                ),
            )


def reverse_actions(connection: Connection, events: Sequence[ActionVoided]) -> list[dict[str, Any]]:
    """Take the points of voided actions back; adds the balance after. Raises PointsSpent if they are gone.

    Of points whose day is over nothing is taken: they have expired, or were spent in time.
    """
    changes: list[dict[str, Any]] = []
    given = given_for(connection, [event.subject_id for event in events])
    for event in events:
        original = given.get(event.subject_id)
        if original is None or original.expires_on < clock.day_of(event.recorded_at):
            changes.append({})
            continue
        try:
            balance = ledger.take(
                connection,
                Posting(
                    reversal_reference(event.subject_id),
                    _account(event),
                    ACTIONS_PROGRAMME,
                    original.amount,
                    event.recorded_at,
                    original.expires_on,
                ),
            )
        except InsufficientPoints as error:
            raise PointsSpent from error
        changes.append({"points": {"balance": balance}})
    return changes


def given_for(connection: Connection, action_ids: Sequence[UUID]) -> dict[UUID, Any]:
    """The transfers by which actions gave their residents something to spend: the credit, or the release of what was held."""
    references = [of(action_id) for action_id in action_ids for of in (credit_reference, confirm_reference)]
    found = ledger.find(connection, references)
    given = {}
    for action_id in action_ids:
        confirmed = found.get(confirm_reference(action_id))
        if one := confirmed or found.get(credit_reference(action_id)):
            given[action_id] = one
    return given


def contributions(connection: Connection, events: Sequence[Deed]) -> Iterator[Contribution]:
    """The points of each deed, as they were posted or reversed, for the figures."""
    events = [event for event in events if not (isinstance(event, ActionRecorded) and event.pending)]
    transfers = ledger.find(connection, [reference_of(event) for event in events])
    for event in events:
        transfer = transfers.get(reference_of(event))
        if transfer is not None:
            sign = -1 if isinstance(event, ActionVoided) else 1
            yield Contribution(
                day=event.day,
                division_code=event.division_code,
                kind=event.kind,
                evidence=event.evidence,
                campaign=str(event.campaign_id) if event.campaign_id else "",
                city_credited=event.city_credited,
                measures={"points": sign * transfer.amount},
            )


def reference_of(event: Deed) -> str:
    """The reference of the transfer that followed from a fact, if any did."""
    if isinstance(event, ActionVoided | ActionRejected):
        return reversal_reference(event.subject_id)
    confirmed = isinstance(event, ActionConfirmed)
    return confirm_reference(event.subject_id) if confirmed else credit_reference(event.subject_id)


def _credited(event: ActionRecorded) -> str:
    assert event.resident_id is not None
    return held_for(event.resident_id) if event.pending else account_of(event.resident_id)


def _account(event: Deed) -> str:
    assert event.resident_id is not None
    return account_of(event.resident_id)


CREDITING = SameTransaction("crediting", (ActionRecorded,), credit_actions)
REVERSING = SameTransaction("reversing", (ActionVoided,), reverse_actions)
RELEASING = SameTransaction("releasing", (ActionConfirmed,), release_confirmed)
RETURNING = SameTransaction("returning", (ActionRejected,), return_rejected)
POINTS_FEED = Feed((ActionRecorded, ActionConfirmed, ActionVoided), contributions)
