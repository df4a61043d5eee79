"""What if: a period computed again with other factors, beside what was recorded. Nothing is written.

The same sum with the same rounding, record by record (`calculation.quantify`), so that the answer is to the
milligram what would have been recorded. The sum of the quantities would not do: it rounds down once for all
of them, and each record was rounded for itself.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import SQLModel, col, select

from activities.catalogue import ActionKind
from activities.quantify.calculation import quantify
from activities.quantify.factors import POLLUTANTS, FactorVersion, all_versions, uncancelled
from activities.quantify.proposals import OPEN, FactorProposal, values_in
from tanpuhui.db import session_on
from tanpuhui.errors import InvalidField
from tanpuhui.i18n import N_

#: The numbers of a record: milligrams of CO2e, micrograms of pollutants.
MEASURES = ("co2e_mg", "co2e_mid_mg", "co2e_high_mg", *(f"{name}_ug" for name in POLLUTANTS))


# --- the comparison -----------------------------------------------------------------------------------------


@dataclass
class Part:
    """Records that count for the district (or for the city): how many, their sums, how many have a factor."""

    records: int = 0
    sums: Counter[str] = field(default_factory=Counter)
    known: Counter[str] = field(default_factory=Counter)

    def add(self, numbers: Any, records: int) -> None:
        """Count in `records` records that each have these `numbers` (by `MEASURES`)."""
        self.records += records
        for measure in MEASURES:
            value: int | None = getattr(numbers, measure)
            if value is not None:
                self.sums[measure] += records * value
                self.known[measure] += records

    def value(self, measure: str) -> int | None:
        """The sum over the records with a factor; None where a pollutant has a factor for none of them."""
        return self.sums[measure] if self.known[measure] or measure.startswith("co2e") else None


@dataclass
class Comparison:
    """A part as recorded and as computed again. `unlike`: records for which only one of the two has a factor."""

    recorded: Part = field(default_factory=Part)
    recomputed: Part = field(default_factory=Part)
    unlike: Counter[str] = field(default_factory=Counter)

    def difference(self, measure: str) -> int | None:
        """Computed again less recorded; None where a factor is not known in both, for the same records."""
        before, after = self.recorded.value(measure), self.recomputed.value(measure)
        return None if before is None or after is None or self.unlike[measure] else after - before

    def percent(self, measure: str) -> str | None:
        """The difference in percent of what was recorded; None where that is undefined."""
        difference, before = self.difference(measure), self.recorded.value(measure)
        return None if difference is None or not before else percent(difference, before)


@dataclass
class Row:
    """Records of a kind and a 街镇 (either empty: of all). The district's own part and the city's stay apart.

    `concerned`: records computed again with another version; `moved`: those that `city_credited` would differ
    for. `versions`: kind and version -> records computed by it.
    """

    kind: str = ""
    street: str = ""
    records: int = 0
    concerned: int = 0
    moved: int = 0
    versions: Counter[tuple[str, str]] = field(default_factory=Counter)
    own: Comparison = field(default_factory=Comparison)
    city: Comparison = field(default_factory=Comparison)

    def take_in(self, other: "Row") -> None:
        """Add the records of `other`."""
        self.records += other.records
        self.concerned += other.concerned
        self.moved += other.moved
        self.versions.update(other.versions)
        for mine, theirs in ((self.own, other.own), (self.city, other.city)):
            mine.unlike.update(theirs.unlike)
            for part, more in ((mine.recorded, theirs.recorded), (mine.recomputed, theirs.recomputed)):
                part.records += more.records
                part.sums.update(more.sums)
                part.known.update(more.known)


def percent(difference: int, base: int) -> str:
    """`difference` in percent of the size of `base` (not 0), cut towards zero to two digits: '-33.33'."""
    hundredths = abs(difference) * 10_000 // abs(base)
    sign = "-" if difference < 0 and hundredths else ""
    return f"{sign}{hundredths // 100}.{hundredths % 100:02d}"


def what_if(
    connection: Connection, first: date, last: date, replacements: Mapping[str, FactorVersion]
) -> list[Row]:
    """Records of the days `first` to `last` that were not taken back, as recorded and with `replacements`.

    `replacements`: kind -> factor. One row for each kind and 街镇 with records, of the kinds that keep their
    factor as well. `connection` is a snapshot (`tanpuhui.db.Database.snapshot`): rows are read as they come.
    """
    rows: dict[tuple[str, str], Row] = {}
    for group in _groups(connection, first, last):
        key = (group.kind, group.street)
        if key not in rows:
            rows[key] = Row(*key)
        _count(rows[key], group, replacements.get(group.kind))
    return [rows[key] for key in sorted(rows)]


def _groups(connection: Connection, first: date, last: date) -> Iterator[Any]:
    """Records that are alike in all that counts here, and how many there are.

    What a version gives for a quantity is always the same, so the recorded numbers make no more groups; as
    part of the key they are exact however many records there are, where a sum in the database could overflow.
    """
    action, void, review = (
        SQLModel.metadata.tables[name] for name in ("action", "action_void", "action_review")
    )
    unconfirmed = sa.exists().where(review.c.action_id == action.c.id, review.c.state != "confirmed")
    street = sa.func.substr(action.c.division_code, 1, 9).label("street")
    named = ("kind", "factor_version", "city_credited", "quantity_milli", *MEASURES)
    keys = [street, *(action.c[name] for name in named)]
    query = (
        sa.select(*keys, sa.func.count().label("records"))
        .where(
            action.c.day.between(first, last),
            ~sa.exists().where(void.c.action_id == action.c.id),
            ~unconfirmed,
        )
        .group_by(*keys)
    )
    yield from connection.execute(query, execution_options={"stream_results": True, "yield_per": 5000})


def _count(row: Row, group: Any, replacement: FactorVersion | None) -> None:
    """Add a group of records to its row."""
    records = group.records
    row.records += records
    row.versions[group.kind, group.factor_version] += records
    numbers, city = group, group.city_credited
    if replacement is not None and replacement.id != group.factor_version:
        numbers, city = quantify(group.quantity_milli, replacement), replacement.city_credited
        row.concerned += records
        row.moved += records if city != group.city_credited else 0
    before, after = (row.city if credited else row.own for credited in (group.city_credited, city))
    before.recorded.add(group, records)
    after.recomputed.add(numbers, records)
    for measure in MEASURES:
        if (getattr(group, measure) is None) != (getattr(numbers, measure) is None):
            before.unlike[measure] += records
            if after is not before:
                after.unlike[measure] += records


def total(rows: Iterable[Row]) -> Row:
    """All `rows` as one."""
    found = Row()
    for row in rows:
        found.take_in(row)
    return found


def by_kind(rows: Iterable[Row], kinds: Sequence[str] = ()) -> list[Row]:
    """One row for each kind, by code; also for those of `kinds` without records."""
    found = {kind: Row(kind=kind) for kind in kinds}
    for row in rows:
        found.setdefault(row.kind, Row(kind=row.kind)).take_in(row)
    return [found[kind] for kind in sorted(found)]


def by_street(rows: Iterable[Row], streets: Sequence[str] = ()) -> list[Row]:
    """One row for each 街镇, by code; also for those of `streets` without records."""
    found = {street: Row(street=street) for street in streets}
    for row in rows:
        found.setdefault(row.street, Row(street=row.street)).take_in(row)
    return [found[street] for street in sorted(found)]


# --- what to compute with -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Choices:
    """What a period can be computed with: published versions by id, and open proposals by their number.

    A proposal stands as the version that it would become, under the proposal's own number.
    """

    versions: Mapping[str, FactorVersion]
    proposals: Mapping[str, FactorVersion]

    def newest(self) -> dict[str, FactorVersion]:
        """The published version of each kind that takes effect last."""
        by_start = sorted(self.versions.values(), key=lambda version: version.valid_from or date.min)
        return {version.action_code: version for version in by_start}

    def replacements(
        self, versions: Iterable[str] = (), proposals: Iterable[str] = (), *, newest: bool = False
    ) -> dict[str, FactorVersion]:
        """What is asked for by id, by kind; for the other kinds the `newest` if that is asked for.

        Raises InvalidField for an id that is not known and for two factors of one kind.
        """
        chosen: dict[str, FactorVersion] = {}
        for name, asked, offered, unknown in (
            ("version", versions, self.versions, N_("没有这个因子版本。")),
            ("proposal", proposals, self.proposals, N_("没有这项待发布的提案，或其单位与该行为不同。")),
        ):
            for text in dict.fromkeys(asked):
                factor = offered.get(text)
                if factor is None:
                    raise InvalidField(errors=[{"field": name, "reason": unknown}])
                if chosen.setdefault(factor.action_code, factor) is not factor:
                    raise InvalidField(errors=[{"field": name, "reason": N_("每种行为只能换成一个因子。")}])
        return {**(self.newest() if newest else {}), **chosen}


def choices(connection: Connection) -> Choices:
    """What there is to compute with."""
    with session_on(connection) as session:
        units = {kind.code: kind.unit for kind in session.exec(select(ActionKind))}
        opened = session.exec(
            select(FactorProposal)
            .where(col(FactorProposal.state).in_(OPEN))
            .order_by(FactorProposal.action_code, col(FactorProposal.proposed_at))
        ).all()
        proposals = {
            str(proposal.id): _as_version(proposal)
            for proposal in opened
            if proposal.unit == units[proposal.action_code]
        }
    return Choices({version.id: version for version in uncancelled(all_versions(connection))}, proposals)


def _as_version(proposal: FactorProposal) -> FactorVersion:
    return FactorVersion(**values_in(proposal), id=str(proposal.id), version=0, proposal_id=proposal.id)


def proposal_of(factor: FactorVersion) -> UUID | None:
    """The proposal that `factor` stands for, None for a published version."""
    return None if factor.version else factor.proposal_id
