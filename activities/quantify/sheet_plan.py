"""What the rows of a factor sheet ask for: new versions, what published ones are told, and what speaks against it.

A row belongs to the published version of its kind that begins on the same day, or is a new version. What was
published is only ever closed, and told what it had not said before (methodology, derivation, a better note).
"""

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from activities.quantify.factors import POLLUTANTS, FactorVersion, overlap, uncancelled
from tanpuhui.csvtext import Problem
from tanpuhui.reference import Row

#: Columns of the file whose values a published version keeps for ever, and what they are called in the table.
KEPT = {
    "unit": "unit",
    "scenario_kind": "scenario_kind",
    "city_credited": "city_credited",
    **{f"co2e_g_{name}": f"co2e_{name}_ng" for name in ("low", "mid", "high")},
    **{f"{name}_mg": f"{name}_ng" for name in POLLUTANTS},
    "baseline": "baseline",
    "source": "source",
    "source_year": "source_year",
    "region": "region",
    "confidence": "confidence",
}


#: What a published version may be told once, if it was published without.
_TOLD_ONCE = ("methodology", "derivation")


@dataclass
class Plan:
    """What the rows of one kind ask for beside its published versions (by id), and what speaks against it.

    `closes`: the version that a fresh row ends, by the row's line.
    """

    fresh: list[Row] = field(default_factory=list)
    closes: dict[int, str] = field(default_factory=dict)
    changes: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def change(self, version: FactorVersion, column: str, value: Any) -> None:
        """Have `column` of a published version say `value`."""
        self.changes.setdefault(version.id, {})[column] = value

    def ends(self, version: FactorVersion) -> date | None:
        """The last day of a published version, once this plan is carried out."""
        found: date | None = self.changes.get(version.id, {}).get("valid_to", version.valid_to)
        return found


def _validity(row: Row) -> tuple[date | None, date | None]:
    return row.get("valid_from"), row.get("valid_to")


def plan_for(rows: list[Row], published: list[FactorVersion]) -> Plan:
    """What the `rows` of one kind ask for beside its `published` versions.

    A published version without an end is closed by a later new one, unless its own row says it goes on.
    """
    plan = Plan()
    stand = uncancelled(published)
    by_start = {version.valid_from: version for version in stand}
    restated = set()
    rows = [row for row in rows if row.get("valid_from") in by_start or not _was_cancelled(row, published)]
    for row in sorted(rows, key=lambda row: row.get("valid_from") or date.min):
        version = by_start.get(row.get("valid_from"))
        if version is None:
            plan.fresh.append(row)
        else:
            restated.add(version.id)
            _compare(row, version, plan)
    for version in stand:
        if version.valid_to is None and version.id not in restated:
            begun = version.valid_from or date.min
            after = [row for row in plan.fresh if (row.get("valid_from") or date.min) > begun]
            if after:  # sorted by their first day
                plan.change(version, "valid_to", after[0].values["valid_from"] - timedelta(days=1))
                plan.closes[after[0].line] = version.id
    _find_overlaps(rows, [version for version in stand if version.id not in restated], plan)
    _find_numbers(plan, published)
    return plan


def _was_cancelled(row: Row, published: list[FactorVersion]) -> bool:
    """Whether a row says what a version said that was cancelled."""
    return any(
        version.cancelled_on is not None
        and version.valid_from == row.get("valid_from")
        and all(row.get(column) == getattr(version, name) for column, name in KEPT.items())
        for version in published
    )


def _compare(row: Row, version: FactorVersion, plan: Plan) -> None:
    """A published version may only be closed, its note reworded, and be told what it had not said."""
    for column, name in KEPT.items():
        if column in row.values and row.get(column) != getattr(version, name):
            plan.problems.append(row.bad(column, _edited(version)))
    for name in _TOLD_ONCE:
        told, said = row.get(name), getattr(version, name)
        if told and not said:
            plan.change(version, name, told)
        elif told and told != said:
            plan.problems.append(row.bad(name, _edited(version)))
    ends = row.get("valid_to")
    if ends and version.valid_to is None:
        plan.change(version, "valid_to", ends)
    elif ends and ends != version.valid_to:
        plan.problems.append(row.bad("valid_to", f"published {version.id} ended on {version.valid_to}"))
    if row.get("note") is not None and row.get("note") != version.note:
        plan.change(version, "note", row.get("note"))
    if row.get("version") not in {None, version.version}:
        plan.problems.append(row.bad("version", f"what begins on that day was published as {version.id}"))


def _edited(version: FactorVersion) -> str:
    began = f" and after {version.valid_from}" if version.valid_from else ""
    return (
        f"differs from published {version.id}, which is never edited:"
        f" a new version needs a valid_from of its own{began}"
    )


def _find_overlaps(rows: list[Row], others: list[FactorVersion], plan: Plan) -> None:
    """Rows of the file among themselves, as they stand there; new ones also with published versions."""
    for index, row in enumerate(rows):
        for before in rows[:index]:
            same_start = row.get("valid_from") == before.get("valid_from")  # told as a repeated key
            if not same_start and overlap(_validity(row), _validity(before)):
                reason = f"validity overlaps with line {before.line}"
                plan.problems.append(row.bad("valid_from", reason))
    for row in plan.fresh:
        for version in others:
            if overlap(_validity(row), (version.valid_from, plan.ends(version))):
                plan.problems.append(row.bad("valid_from", f"validity overlaps with published {version.id}"))


def _find_numbers(plan: Plan, published: list[FactorVersion]) -> None:
    """A number that a new row brings with it must be free."""
    taken = {version.version: version.id for version in published}
    for row in plan.fresh:
        number = row.get("version")
        if number is not None and taken.setdefault(number, f"line {row.line}") != f"line {row.line}":
            plan.problems.append(row.bad("version", f"number {number} is taken by {taken[number]}"))
