"""What is declared and what could be: sums by state, and every record of a declaration to trace it by.

Sums are over the records themselves, in milligrams of CO2e and micrograms of pollutants. What was voided, and what
the city credits itself, is in none of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Session, col, select

from activities.actions import Action, of_days
from activities.catalogue import ActionKind, EvidenceTier
from activities.declarations import STANDING, Declaration, DeclarationState, DeclaredAction
from activities.quantify.factors import POLLUTANTS, FactorVersion
from activities.reviews import standing
from tanpuhui import audit
from tanpuhui.db import Database
from tanpuhui.i18n import N_
from tanpuhui.staff import Staff


class ReductionState(StrEnum):
    """How far a reduction has come: only the city confirms."""

    ESTIMATED = "estimated"
    REPORTED = "reported"
    CONFIRMED = "confirmed"
    USED = "used"


REDUCTION_STATE_NAMES = {
    ReductionState.ESTIMATED: N_("估算减排量"),
    ReductionState.REPORTED: N_("已上报"),
    ReductionState.CONFIRMED: N_("市级已确认"),
    ReductionState.USED: N_("已使用"),
}


@dataclass(frozen=True, slots=True)
class Sums:
    """Records and what they add up to: milligrams of CO2e, the low, mid and high value."""

    actions: int = 0
    co2e_mg: int = 0
    co2e_mid_mg: int = 0
    co2e_high_mg: int = 0


@dataclass(frozen=True, slots=True)
class StateSums(Sums):
    """`Sums` of the records in a state, and what the city has confirmed of their declarations, each in full.

    A confirmation is of a declaration and cannot be split by day: None where nothing is confirmed yet.
    """

    confirmed_mg: int | None = None


@dataclass(frozen=True, slots=True)
class Estimates(Sums):
    """`Sums` with what else is known: what is verified by evidence (the rest is self-declared), and pollutants.

    `pollutants` holds micrograms, None where no record has a factor; `known` how many records have one.
    """

    verified_actions: int = 0
    verified_co2e_mg: int = 0
    pollutants: Mapping[str, int | None] = field(default_factory=dict)
    known: Mapping[str, int] = field(default_factory=dict)


_CO2E = ("co2e_mg", "co2e_mid_mg", "co2e_high_mg")


def _totals() -> list[Any]:
    return [
        sa.func.count().label("actions"),
        *(sa.func.coalesce(sa.func.sum(col(getattr(Action, name))), 0).label(name) for name in _CO2E),
    ]


def _countable() -> tuple[Any, ...]:
    """The records that are the district's own and stand."""
    return (
        col(Action.city_credited).is_(False),
        standing(),
    )


# --- what could be declared ---------------------------------------------------------------------------------


def undeclared(methodology: str, first: date, last: date) -> tuple[Any, ...]:
    """The conditions on `Action` and `FactorVersion` under which a record can be declared."""
    return (
        col(Action.factor_version) == col(FactorVersion.id),
        col(FactorVersion.methodology) == methodology,
        of_days(first, last),
        *_countable(),
        ~sa.exists().where(col(DeclaredAction.action_id) == col(Action.id), STANDING),
    )


def open_estimates(connection: Connection, methodology: str, first: date, last: date) -> Estimates:
    """What could be declared of `methodology`, from day `first` to day `last`."""
    return _estimates(connection, *undeclared(methodology, first, last))


def estimates_of(connection: Connection, declaration_id: UUID) -> Estimates:
    """What the records of a declaration add up to."""
    return _estimates(
        connection,
        col(DeclaredAction.declaration_id) == declaration_id,
        col(DeclaredAction.action_id) == col(Action.id),
    )


def _estimates(connection: Connection, *conditions: Any) -> Estimates:
    verified = col(Action.evidence).in_(select(EvidenceTier.code).where(EvidenceTier.counts_as_verified))
    columns = [
        *_totals(),
        sa.func.count(sa.case((verified, 1))).label("verified_actions"),
        sa.func.coalesce(sa.func.sum(sa.case((verified, col(Action.co2e_mg)))), 0).label("verified_co2e_mg"),
    ]
    for name in POLLUTANTS:
        column = col(getattr(Action, f"{name}_ug"))
        columns += [sa.func.sum(column).label(name), sa.func.count(column).label(f"{name}_known")]
    row = connection.execute(sa.select(*columns).where(*conditions)).mappings().one()
    sums = {name: int(row[name]) for name in ("actions", *_CO2E, "verified_actions", "verified_co2e_mg")}
    return Estimates(
        **sums,
        pollutants={name: _whole(row[name]) for name in POLLUTANTS},
        known={name: row[f"{name}_known"] for name in POLLUTANTS},
    )


# --- what is declared ---------------------------------------------------------------------------------------

_CONFIRMED = (DeclarationState.CONFIRMED, DeclarationState.USED)


def states(connection: Connection, first: date, last: date) -> dict[ReductionState, StateSums]:
    """What the records of the days from `first` to `last` add up to in each state; withdrawn ones are estimated.

    For numbers of one moment, read in a snapshot.
    """
    standing = sa.and_(col(DeclaredAction.action_id) == col(Action.id), STANDING)
    records = (
        sa.select(col(Declaration.state), *_totals())
        .select_from(sa.outerjoin(Action, DeclaredAction, standing).outerjoin(Declaration))
        .where(of_days(first, last), *_countable())
        .group_by(col(Declaration.state))
    )
    confirmations = (
        sa.select(col(Declaration.state), sa.func.sum(col(Declaration.confirmed_mg)))
        .where(col(Declaration.state).in_(_CONFIRMED))
        .where(col(Declaration.first) <= last, col(Declaration.last) >= first)
        .group_by(col(Declaration.state))
    )
    sums: dict[str, Any] = {state or "estimated": row for state, *row in connection.execute(records)}
    confirmed: dict[str, Any] = dict.fromkeys(_CONFIRMED, 0)
    for state, milligrams in connection.execute(confirmations):
        confirmed[state] = milligrams
    found = {}
    for reached in ReductionState:
        actions, low, mid, high = map(int, sums.get(reached, (0, 0, 0, 0)))
        found[reached] = StateSums(actions, low, mid, high, _whole(confirmed.get(reached)))
    return found


def _whole(number: Any) -> int | None:
    """PostgreSQL sums whole numbers up to a decimal."""
    return None if number is None else int(number)


def state_of(connection: Connection, action_id: UUID) -> ReductionState | None:
    """How far a record has come; None for one that is never declared: voided, credited by the city, or unknown."""
    declared = (
        sa.select(col(Declaration.state))
        .join(DeclaredAction, col(DeclaredAction.declaration_id) == col(Declaration.id))
        .where(col(DeclaredAction.action_id) == col(Action.id), STANDING)
        .scalar_subquery()
    )
    query = sa.select(declared).select_from(Action).where(col(Action.id) == action_id, *_countable())
    row = connection.execute(query).first()
    return None if row is None else ReductionState(row[0] or "estimated")


def declarations(
    session: Session,
    *,
    state: DeclarationState | None = None,
    methodology: str | None = None,
    first: date | None = None,
    last: date | None = None,
    limit: int = 500,
) -> Sequence[Declaration]:
    """The latest declarations, the newest first: of a state, a methodology, with days from `first` to `last`."""
    wanted = (
        select(Declaration).order_by(col(Declaration.reported_at).desc(), col(Declaration.id)).limit(limit)
    )
    if state:
        wanted = wanted.where(Declaration.state == state)
    if methodology:
        wanted = wanted.where(Declaration.methodology == methodology)
    if first:
        wanted = wanted.where(Declaration.last >= first)
    if last:
        wanted = wanted.where(Declaration.first <= last)
    return session.exec(wanted).all()


@dataclass(frozen=True, slots=True)
class Deed:
    """A step of a declaration: when, by whom, what (`declaration.reported`, ...).

    `fingerprint`: that of the hand-over file that was taken away, if one was.
    """

    at: datetime
    name: str
    deed: str
    fingerprint: str = ""


def history(session: Session, declaration: Declaration) -> list[Deed]:
    """Every step of a declaration, the first one first, with the name of the member of staff."""
    steps = audit.history(session, subject(declaration.id), declaration.reported_at)
    actors = {step.actor_id for step in steps}
    names = dict(session.exec(select(Staff.id, Staff.name).where(col(Staff.id).in_(actors))).all())
    return [
        Deed(step.at, names[step.actor_id], step.deed, step.detail.get("fingerprint", ""))
        for step in steps
        if step.actor_id
    ]


def subject(declaration_id: UUID) -> str:
    """What the audit trail calls a declaration."""
    return f"declaration:{declaration_id}"


_BATCH = 5_000


def records(database: Database, declaration_id: UUID) -> Iterator[sa.RowMapping]:
    """Every record of a declaration with its unit, by id.

    Read batch by batch: what stands in a declaration never changes, so no transaction is kept open for however
    long the reader takes.
    """
    after = UUID(int=0)
    while True:
        query = (
            sa.select(*Action.__table__.c, col(ActionKind.unit))  # type: ignore[attr-defined]
            .join(DeclaredAction, col(DeclaredAction.action_id) == col(Action.id))
            .join(ActionKind, col(ActionKind.code) == col(Action.kind))
            .where(
                col(DeclaredAction.declaration_id) == declaration_id, col(DeclaredAction.action_id) > after
            )
            .order_by(col(DeclaredAction.action_id))
            .limit(_BATCH)
        )
        with database.reading() as connection:
            rows = connection.execute(query).mappings().all()
        yield from rows
        if len(rows) < _BATCH:
            return
        after = rows[-1]["id"]
