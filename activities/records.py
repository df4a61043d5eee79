"""Reading records back: a resident's own totals and what is left today; for staff, one record in their scope."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Session, col

from activities.actions import READ_DAYS, Action, ActionVoid
from activities.catalogue import ActionKind, EvidenceTier
from activities.limits import left_of_day
from activities.quantify.factors import POLLUTANTS, FactorVersion
from activities.quantify.methodologies import Methodology
from activities.quantify.traces import Trace, trace_of
from activities.reviews import standing
from activities.sites import MANAGERS, Site
from tanpuhui import families
from tanpuhui.errors import NotFound
from tanpuhui.sessions import Principal
from tanpuhui.staff import require


@dataclass(frozen=True, slots=True)
class Part:
    """Standing records that count for the district, or those that the city credits.

    `verified` of the `records` are proven by evidence, the others are the resident's own word. Milligrams of CO2e, the
    low value first. `pollutants`: micrograms saved and by how many of the records; None where no record has a factor.
    """

    records: int
    verified: int
    co2e_mg: int
    co2e_mid_mg: int
    co2e_high_mg: int
    pollutants: Mapping[str, tuple[int | None, int]]


@dataclass(frozen=True, slots=True)
class Totals:
    """A resident's standing records of today and of the month: the district's own, what the city credits apart.

    `today_records` and `today_co2e_mg` are the district's own, `today_city` how many records the city credits.
    """

    today_records: int
    today_city: int
    today_co2e_mg: int
    own: Part
    city: Part


def deed_of(session: Session, action: Action) -> dict[str, Any]:
    """What an event says of a record, as it was frozen."""
    tier = session.get_one(EvidenceTier, action.evidence)
    kind = session.get_one(ActionKind, action.kind)
    fields = action.model_dump(exclude={"id", "ordinal", "recorded_at", "recorded_by"})
    return fields | {"subject_id": action.id, "unit": kind.unit, "verified": tier.counts_as_verified}


def own_totals(connection: Connection, resident_id: UUID, today: date) -> Totals:
    """What a resident did on `today` and since the first of its month. What was voided does not count."""
    this_month = col(Action.day).between(today.replace(day=1), today)
    rows = own_sums(connection, resident_id, [col(Action.day)], this_month)
    of_today = [row for row in rows if row["day"] == today]
    return Totals(
        today_records=sum(row["actions"] for row in of_today if not row["city_credited"]),
        today_city=sum(row["actions"] for row in of_today if row["city_credited"]),
        today_co2e_mg=sum(int(row["co2e_mg"]) for row in of_today if not row["city_credited"]),
        own=part_of(rows, city_credited=False),
        city=part_of(rows, city_credited=True),
    )


def own_sums(
    connection: Connection, resident_id: UUID, by: Sequence[Any], within: Any = None
) -> Sequence[sa.RowMapping]:
    """Sums of a resident's standing records: a row for each group of `by`, of verified or not and of whose they are.

    `within`: a condition on the records, for fewer than all. `part_of` adds rows up.
    """
    keys = (*by, col(Action.city_credited), col(EvidenceTier.counts_as_verified).label("verified"))
    amounts: list[Any] = [col(Action.co2e_mg), col(Action.co2e_mid_mg), col(Action.co2e_high_mg)]
    pollutants: list[Any] = [getattr(Action, f"{name}_ug") for name in POLLUTANTS]
    sums: Any = (
        sa.select(
            *keys,
            sa.func.count().label("actions"),
            sa.func.sum(col(Action.quantity_milli)).label("quantity_milli"),
            *(sa.func.sum(column).label(column.name) for column in (*amounts, *pollutants)),
            *(
                sa.func.count(column).label(f"{name}_known")
                for name, column in zip(POLLUTANTS, pollutants, strict=True)
            ),
        )
        .join_from(Action, EvidenceTier, col(EvidenceTier.code) == col(Action.evidence), isouter=True)
        .where(col(Action.resident_id) == resident_id)
        .where(standing())
        .group_by(*keys)
    )
    if within is not None:
        sums = sums.where(within)
    return connection.execute(sums).mappings().all()


def part_of(rows: Sequence[sa.RowMapping], *, city_credited: bool) -> Part:
    """Rows of `own_sums` added up: those that count for the district, or those that the city credits."""
    rows = [row for row in rows if bool(row["city_credited"]) is city_credited]

    def pollutant(name: str) -> tuple[int | None, int]:
        known = sum(row[f"{name}_known"] for row in rows)
        return (sum(int(row[f"{name}_ug"] or 0) for row in rows) if known else None), known

    return Part(
        records=sum(row["actions"] for row in rows),
        verified=sum(row["actions"] for row in rows if row["verified"]),
        co2e_mg=sum(int(row["co2e_mg"]) for row in rows),
        co2e_mid_mg=sum(int(row["co2e_mid_mg"]) for row in rows),
        co2e_high_mg=sum(int(row["co2e_high_mg"]) for row in rows),
        pollutants={name: pollutant(name) for name in POLLUTANTS},
    )


def has_any(connection: Connection, resident_id: UUID) -> bool:
    """Whether a resident has a record at all, a voided one included."""
    own = sa.exists().where(col(Action.resident_id) == resident_id)
    return bool(connection.scalar(sa.select(own)))


@dataclass(frozen=True, slots=True)
class Last:
    """The resident's latest standing record that was looked for."""

    kind: str
    quantity_milli: int


def last_record(
    connection: Connection,
    resident_id: UUID,
    today: date,
    *,
    site_id: UUID | None = None,
    kind: str | None = None,
) -> Last | None:
    """The resident's latest standing record of the past year at a site, or of a kind; so that nothing is asked twice.

    Goes back through the resident's own records by their index until one fits.
    """
    found: Any = (
        sa.select(col(Action.kind), col(Action.quantity_milli))
        .where(col(Action.resident_id) == resident_id, col(Action.day) >= today - timedelta(days=366))
        .where(standing())
        .order_by(col(Action.day).desc(), col(Action.id).desc())
        .limit(1)
    )
    if site_id is not None:
        # No index by site fits this: that of spot checks would go through the records of everybody there.
        found = found.where(sa.func.coalesce(col(Action.site_id), col(Action.site_id)) == site_id)
    if kind is not None:
        found = found.where(col(Action.kind) == kind)
    row = connection.execute(found).first()
    return Last(row.kind, row.quantity_milli) if row else None


def counted_days(
    connection: Connection, resident_id: UUID | None, days: Iterable[date], *, shares: bool
) -> tuple[list[Any], list[Any]]:
    """The rows of `activities.actions.READ_DAYS` of a resident; and, if the account `shares`, of those who count together."""
    if resident_id is None:
        return [], []
    beside = {one.id: one for one in families.counted_with(connection, resident_id)} if shares else {}
    wanted = [day.isoformat() for day in days]
    rows = READ_DAYS.run(connection, residents=[resident_id, *beside], days=wanted)
    mine = [row for row in rows if row.resident_id == resident_id]
    theirs = [
        row
        for row in rows
        if row.resident_id != resident_id and beside[row.resident_id].counts(row.occurred_at)
    ]
    return mine, theirs


def left_today(
    connection: Connection, action: Action, kind: ActionKind, today: date, *, shares: bool = False
) -> int | None:
    """How many more records of the kind `today` allows; None when `action` is of another day."""
    if action.day != today:
        return None
    mine, theirs = counted_days(connection, action.resident_id, [today], shares=shares)
    return left_of_day(kind, [*mine, *theirs])


def sum_of(session: Session, action: Action) -> Trace:
    """How the numbers of a record came about: by its own version, whatever was published since."""
    kind = session.get_one(ActionKind, action.kind)
    factor = session.get_one(FactorVersion, action.factor_version)
    methodology = session.get(Methodology, factor.methodology) if factor.methodology else None
    return trace_of(kind, action.quantity_milli, factor, methodology)


def managed_action(
    session: Session, principal: Principal, action_id: UUID
) -> tuple[Action, ActionVoid | None, Site]:
    """An action at a site that `principal` manages, with what became of it. Raises NotFound, NotAllowed."""
    action = session.get(Action, action_id)
    if action is None:
        raise NotFound
    site = session.get_one(Site, action.site_id)
    require(
        session,
        principal,
        MANAGERS,
        division_code=site.division_code,
        organisation_id=site.organisation_id,
    )
    return action, session.get(ActionVoid, action_id), site
