"""Synergy of cutting pollution and carbon together, over a period, read from the figures; the totals it is related to.

The district's own actions and those that the city credits stand apart. What is undefined is None and is shown as
undefined, never as 0. The sums themselves are in `tanpuhui.bureau.cocontrol`.

Kinds of a few people, and what would give them away, are left out (`tanpuhui.bureau.told`), also from all sums: these say nothing that
the kinds that are told do not say.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from functools import reduce
from operator import add
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, Session, SQLModel, col, select

from tanpuhui import audit, clock
from tanpuhui.bureau.cocontrol import Indicator, Pair, indicator, lawful_total
from tanpuhui.bureau.participation import Period
from tanpuhui.bureau.told import untold_kinds
from tanpuhui.db import session_on
from tanpuhui.errors import InvalidField
from tanpuhui.i18n import N_
from tanpuhui.measures import POLLUTANTS
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal
from tanpuhui.staff import Role, require

SUBSTANCES = ("co2e", *POLLUTANTS)
FIRST_YEAR, LARGEST_TOTAL = 2000, 10**15
SOURCE_LENGTH = (2, 300)
ENTERERS = (Role.OFFICER, Role.ADMIN)


class EmissionTotal(SQLModel, table=True):
    """What the district emits of a substance in a year, in kilograms, as a named source states it.

    The cross-elasticity relates reductions to these totals. Officers enter them; none comes with the platform.
    """

    __tablename__ = "emission_total"
    __table_args__ = (
        sa.CheckConstraint("substance IN ('co2e', 'nox', 'pm25', 'voc', 'so2', 'co')", name="substance"),
        sa.CheckConstraint("kilograms > 0 AND kilograms <= 1000000000000000", name="kilograms"),
        sa.CheckConstraint("year BETWEEN 2000 AND 2999", name="year"),
        sa.CheckConstraint("source <> ''", name="source"),
    )

    year: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    substance: str = Field(primary_key=True, max_length=8)
    kilograms: int = Field(sa_type=sa.BigInteger)
    source: str = Field(max_length=300)
    entered_by: UUID = Field(foreign_key="staff.id")
    entered_at: datetime = Field(default_factory=clock.now)


# --- the year's totals -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TotalIn:
    """A total as somebody enters it; a number that could not be read is None. `reason`: why it replaces another."""

    year: int | None
    substance: str
    kilograms: int | None
    source: str
    reason: str = ""


def enter_total(house: House, principal: Principal, entered: TotalIn) -> EmissionTotal:
    """Enter the district's total of a substance in a year, or replace it, which needs a reason.

    For officers and admins of the district. The audit keeps what stood there before. Raises NotAllowed, InvalidField.
    """
    source = " ".join(entered.source.split())

    def work(connection: Connection) -> EmissionTotal:
        with session_on(connection) as session:
            require(session, principal, ENTERERS, division_code=house.settings.district_code)
            year, kilograms = _checked(entered, source)
            before = _standing(session, year, entered.substance)
            why = audit.reason(entered.reason) if before else ""
            old = {"old_kilograms": before.kilograms, "old_source": before.source} if before else {}
            total = before or EmissionTotal(
                year=year,
                substance=entered.substance,
                kilograms=kilograms,
                source=source,
                entered_by=principal.id,
            )
            total.kilograms, total.source = kilograms, source
            total.entered_by, total.entered_at = principal.id, clock.now()
            session.add(total)
            audit.note_by(
                session,
                principal,
                deed="emission_total.replaced" if before else "emission_total.entered",
                subject=f"emission_total:{year}:{entered.substance}",
                reason=why,
                kilograms=kilograms,
                source=source,
                **old,
            )
            return total

    return house.db.run(work)  # of two who enter it first at once, the second is asked for a reason


def _checked(entered: TotalIn, source: str) -> tuple[int, int]:
    errors = []
    this_year = clock.today().year
    if entered.year is None or not FIRST_YEAR <= entered.year <= this_year:
        errors.append({"field": "year", "reason": N_("请填写 2000 年至今年之间的年份。")})
    if entered.substance not in SUBSTANCES:
        errors.append({"field": "substance", "reason": N_("请选择物质。")})
    if entered.kilograms is None or not 0 < entered.kilograms <= LARGEST_TOTAL:
        errors.append(
            {"field": "kilograms", "reason": N_("请以整数千克填写，大于 0，不超过 10 的 15 次方。")}
        )
    if not SOURCE_LENGTH[0] <= len(source) <= SOURCE_LENGTH[1]:
        errors.append({"field": "source", "reason": N_("请写明出处（2 到 300 字）。")})
    if errors or entered.year is None or entered.kilograms is None:
        raise InvalidField(errors=errors)
    return entered.year, entered.kilograms


def _standing(session: Session, year: int, substance: str) -> EmissionTotal | None:
    """What is entered already, locked: of two who replace it at once, the second sees what the first wrote."""
    return session.get(EmissionTotal, (year, substance), with_for_update=True)


def totals(connection: Connection, years: Sequence[int] = ()) -> list[EmissionTotal]:
    """The totals of `years` (of all, if empty), the latest year first, each with its substances in their order."""
    query = select(EmissionTotal)
    if years:
        query = query.where(col(EmissionTotal.year).in_(years))
    with session_on(connection) as session:
        found = session.exec(query).all()
    return sorted(found, key=lambda total: (-total.year, SUBSTANCES.index(total.substance)))


# --- a period ----------------------------------------------------------------------------------------------

#: Actions and their CO2e in milligrams; `verified_*` is the part whose evidence counts as verified.
NUMBERS = ("actions", "co2e_mg", "co2e_mid_mg", "co2e_high_mg", "verified_actions", "verified_co2e_mg")


@dataclass(frozen=True)
class KindPart:
    """What the actions of one kind saved (`numbers`, of `NUMBERS`), and each pollutant beside CO2e."""

    kind: str
    numbers: dict[str, int]
    pairs: dict[str, Pair]


@dataclass(frozen=True)
class Part:
    """Actions that count for the district, or those that the city credits: by kind, summed up, and the indicators."""

    kinds: list[KindPart]
    numbers: dict[str, int]
    indicators: dict[str, Indicator]

    def lawful(self) -> tuple[Fraction | None, tuple[str, ...]]:
        """Pollution equivalents by the law alone, and of which pollutants (`lawful_total`)."""
        return lawful_total({name: one.equivalents for name, one in self.indicators.items()})


@dataclass(frozen=True)
class Synergy:
    """The indicators of a period, of all kinds or of `kind`.

    `year` is that of its `totals`, None if it is not within one year; `kinds` are those with records in the period, `withheld` those of
    them that are not told and are in no sum.
    """

    within: Period
    kind: str | None
    year: int | None
    totals: list[EmissionTotal]
    kinds: list[str]
    withheld: list[str]
    own: Part
    city: Part


def synergy(
    connection: Connection,
    within: Period,
    district: str,
    kind: str | None = None,
    *,
    see_all: bool = False,
) -> Synergy:
    """The indicators of the period, of all kinds or of one. Raises InvalidField for an unknown kind.

    Reductions are those of the period, totals those of the whole year: nothing is scaled. `see_all`: with nothing withheld, for who
    gave a reason; the caller keeps it (`audit.saw`).
    """
    if kind is not None and kind not in _known_kinds(connection):
        raise InvalidField(errors=[{"field": "kind", "reason": N_("没有这种绿色行为。")}])
    year = within.first.year if within.first.year == within.last.year else None
    entered = totals(connection, [year]) if year else []
    of_year = {total.substance: total.kilograms for total in entered} if year else None
    rows = [row for row in connection.execute(_by_kind(within)).mappings() if row["actions"]]
    untold = frozenset[str]() if see_all else untold_kinds(connection, within, district)
    chosen = [row for row in rows if kind in {None, row["kind"]} and row["kind"] not in untold]
    own, city = (
        _part([_kind_part(row) for row in chosen if row["city_credited"] == credited], of_year)
        for credited in (False, True)
    )
    kinds = sorted({row["kind"] for row in rows})
    withheld = [one for one in kinds if one in untold and kind in {None, one}]
    return Synergy(within, kind, year, entered, kinds, withheld, own, city)


def _known_kinds(connection: Connection) -> set[str]:
    return set(connection.scalars(sa.select(SQLModel.metadata.tables["action_kind"].c.code)))


def _by_kind(within: Period) -> sa.Select[Any]:
    """Sums by kind and by who credits it.

    A figure is of one day and kind, so its actions have a factor for a pollutant all or none, but for a day on which the
    factor changed. Pollution and carbon are compared over the figures in which all have one.
    """
    figures, tiers = (SQLModel.metadata.tables[name] for name in ("daily_figure", "evidence_tier"))

    def where(condition: sa.ColumnElement[bool], column: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
        return sa.func.sum(sa.case((condition, column), else_=0))

    plain = ("actions", "co2e_mg", "co2e_mid_mg", "co2e_high_mg")
    amounts = [f"{pollutant}_{name}" for pollutant in POLLUTANTS for name in ("ug", "known")]
    sums: dict[str, sa.ColumnElement[Any]] = {
        name: sa.func.sum(figures.c[name]) for name in (*plain, *amounts)
    }
    for name in ("actions", "co2e_mg"):
        sums[f"verified_{name}"] = where(tiers.c.counts_as_verified, figures.c[name])
    for pollutant in POLLUTANTS:
        known = figures.c[f"{pollutant}_known"]
        together = sa.and_(known > 0, known == figures.c.actions)
        sums[f"{pollutant}_compared"] = where(together, known)
        sums[f"{pollutant}_compared_ug"] = where(together, figures.c[f"{pollutant}_ug"])
        sums[f"{pollutant}_compared_co2e_mg"] = where(together, figures.c.co2e_mg)
    keys = [figures.c.kind, figures.c.city_credited]
    return (
        sa.select(*keys, *(column.label(name) for name, column in sums.items()))
        .select_from(figures.outerjoin(tiers, tiers.c.code == figures.c.evidence))
        .where(figures.c.day.between(within.first, within.last))
        .group_by(*keys)
        .order_by(*keys)
    )


def _kind_part(row: sa.RowMapping) -> KindPart:
    def pair(pollutant: str) -> Pair:
        names = ("known", "ug", "compared", "compared_ug", "compared_co2e_mg")
        return Pair(int(row["actions"]), **{name: int(row[f"{pollutant}_{name}"]) for name in names})

    numbers = {name: int(row[name]) for name in NUMBERS}
    return KindPart(row["kind"], numbers, {pollutant: pair(pollutant) for pollutant in POLLUTANTS})


def _part(kinds: list[KindPart], of_year: dict[str, int] | None) -> Part:
    pairs = {name: reduce(add, (kind.pairs[name] for kind in kinds), Pair()) for name in POLLUTANTS}
    return Part(
        kinds,
        {name: sum(kind.numbers[name] for kind in kinds) for name in NUMBERS},
        {name: indicator(name, pair, of_year) for name, pair in pairs.items()},
    )
