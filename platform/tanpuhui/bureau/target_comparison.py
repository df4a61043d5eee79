"""A sheet of targets beside those that stand: what would be new, what would change, and what is wrong with which row.

Sums that do not agree are gaps and no problems; what contradicts itself, or the tree, is one.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from tanpuhui.bureau.target_forms import Known, TargetIn, misplaced, read_target
from tanpuhui.bureau.target_measures import MEASURES, Counted
from tanpuhui.bureau.target_sheets import CODE, COLUMN_OF, Line, Problem, Table, rows_of
from tanpuhui.bureau.targets import DEEPEST, WHICH, Target
from tanpuhui.errors import InvalidField
from tanpuhui.i18n import N_

#: What tells whether a target fits below its parent, and beside its siblings.
_FITS = (*WHICH, "due_on")


@dataclass(frozen=True)
class Change:
    """What a row of a sheet would do: a new target (`target` None), or a changed one. `was` and `now`: cells by column."""

    row: int
    code: str
    parent: str
    values: Mapping[str, Any]
    target: Target | None = None
    was: Mapping[str, str] = field(default_factory=dict)
    now: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What a sheet would do to the targets of a year: parents before their parts."""

    changes: tuple[Change, ...]
    unchanged: int
    absent: int
    problems: tuple[Problem, ...]

    @property
    def new(self) -> list[Change]:
        """The targets that would be set."""
        return [one for one in self.changes if one.target is None]

    @property
    def changed(self) -> list[Change]:
        """The targets that would change."""
        return [one for one in self.changes if one.target is not None]

    @property
    def digest(self) -> str:
        """Stands for all that would be done, and to which versions."""
        said = [
            (one.code, one.parent, one.target.version if one.target else 0, sorted(one.now.items()))
            for one in self.changes
        ]
        return hashlib.sha256(json.dumps(said, ensure_ascii=False).encode()).hexdigest()


def compare(
    table: Table,
    year: int,
    standing: Sequence[Target],
    withdrawn: Iterable[str],
    known: Known,
    names: Mapping[UUID, str],
    district: str,
) -> Plan:
    """What the rows would do to the `standing` targets of a year; `withdrawn`: codes of the year that are no longer in use."""
    return _Comparison(table, year, standing, set(withdrawn), known, names, district).plan()


class _Comparison:
    """A sheet beside the targets of a year."""

    def __init__(
        self,
        table: Table,
        year: int,
        standing: Sequence[Target],
        withdrawn: set[str],
        known: Known,
        names: Mapping[UUID, str],
        district: str,
    ) -> None:
        self.year, self.known, self.district, self.withdrawn = year, known, district, withdrawn
        self.problems = list(table.problems)
        self.by_code = {one.code: one for one in standing}
        self.code_of = {one.id: one.code for one in standing}
        self.cells = {row["编号"]: row for row in rows_of(standing, known, names, self.code_of)}
        self.named = _Named(known)
        self.lines: dict[str, Line] = {}
        for line in table.lines:
            self._take_in(line)
        #: What every target of the year would say, were the sheet applied: of those whose row can be read.
        self.after: dict[str, Mapping[str, Any]] = {
            one.code: {name: getattr(one, name) for name in _FITS} for one in standing
        }

    def wrong(self, row: int, column: str, reason: str) -> None:
        self.problems.append(Problem(row, column, reason))

    def _take_in(self, line: Line) -> None:
        code = line.get("编号")
        if not CODE.fullmatch(code) or len(code) > 24:
            self.wrong(
                line.row, "编号", N_("编号由数字和字母组成，可用点或横线分开，最多 24 个字符，例如 1.2。")
            )
        elif code in self.lines:
            self.wrong(line.row, "编号", N_("这个编号在前面的行里出现过。"))
        elif code in self.withdrawn:
            self.wrong(line.row, "编号", N_("这个编号的目标已经撤回，请换一个编号。"))
        else:
            self.lines[code] = line

    def plan(self) -> Plan:
        read: dict[str, dict[str, Any]] = {}
        for code, line in self.lines.items():
            values = self._read(line)
            if values is not None:
                read[code] = self.after[code] = values
        changes, unchanged = [], 0
        for code in self._parents_first():
            line, target = self.lines[code], self.by_code.get(code)
            values = read.get(code)
            if values is None:
                continue
            self._place(code, line, values, target)
            now = self._now(line, values, target)
            was = {column: self.cells[code][column] for column in now} if target else {}
            if target and not now:
                unchanged += 1
                continue
            changes.append(Change(line.row, code, line.get("上级编号"), values, target, was, now))
        self._doubles(read)
        self._stranded(read)
        return Plan(
            tuple(changes),
            unchanged,
            len(self.by_code.keys() - self.lines.keys()),
            tuple(sorted(set(self.problems))),
        )

    def _read(self, line: Line) -> dict[str, Any] | None:
        """What a row says, as a target holds it; None if something cannot be read."""
        said = TargetIn(
            **{name: line.get(COLUMN_OF[name]) for name in TargetIn.__dataclass_fields__}
            | self.named.of(line)
        )
        answerer = line.get("负责人")
        target = self.by_code.get(line.get("编号"))
        known = self.known
        if target and self.cells[target.code]["负责人"] == answerer and not said.answerer_id:
            # Who has left, or works elsewhere now, may go on to stand there; nobody new is given it.
            known = Known(known.kinds, known.divisions, {**known.answerers, target.answerer_id: answerer})
            said = TargetIn(**{**said.__dict__, "answerer_id": str(target.answerer_id)})
        try:
            return read_target(said, known, self.year)
        except InvalidField as error:
            for wrong in error.params["errors"]:
                self.wrong(line.row, COLUMN_OF[wrong["field"]], wrong["reason"])
            return None

    def _now(self, line: Line, values: Mapping[str, Any], target: Target | None) -> dict[str, str]:
        """The cells of a row that say something else than what stands; of a new one all that say something."""
        if target is None:
            return {column: cell for column, cell in line.cells.items() if cell}
        return {
            COLUMN_OF["amount" if name == "amount_milli" else name]: line.get(
                COLUMN_OF["amount" if name == "amount_milli" else name]
            )
            for name, value in values.items()
            if value != getattr(target, name)
        }

    # --- its place ------------------------------------------------------------------------------------------

    def _above(self, code: str) -> str:
        """The code of the parent: of a row as it says, else as it stands."""
        if code in self.lines:
            return self.lines[code].get("上级编号")
        target = self.by_code.get(code)
        return self.code_of.get(target.parent_id, "") if target and target.parent_id else ""

    def _way_up(self, code: str) -> list[str]:
        """The codes above one, the nearest first; the last of a circle is one that stood there before."""
        found: list[str] = []
        above = self._above(code)
        while above:
            found.append(above)
            if above == code or found.count(above) > 1:
                break
            above = self._above(above)
        return found

    def _parents_first(self) -> list[str]:
        return sorted(self.lines, key=lambda code: (len(self._way_up(code)), self.lines[code].row))

    def _place(self, code: str, line: Line, values: Mapping[str, Any], target: Target | None) -> None:
        above, way = line.get("上级编号"), self._way_up(code)
        if target and above != self._standing_above(target):
            self.wrong(line.row, "上级编号", N_("目标不能换上级；请撤回后另建。"))
            return
        if code in way or len(set(way)) < len(way):
            self.wrong(line.row, "上级编号", N_("上级绕回了自己。"))
            return
        if above and above not in self.lines and above not in self.by_code:
            self.wrong(line.row, "上级编号", N_("没有这个编号的上级目标。"))
            return
        parent = self.after.get(above) if above else None
        if above and parent is None:
            return  # the parent's own row says what is wrong
        for wrong in misplaced(values, self.district, parent, len(way), DEEPEST):
            self.wrong(line.row, COLUMN_OF[wrong["field"]], wrong["reason"])

    def _standing_above(self, target: Target) -> str:
        return self.code_of.get(target.parent_id, "") if target.parent_id else ""

    def _doubles(self, read: Mapping[str, Mapping[str, Any]]) -> None:
        """Of two targets that are one, the row is told: the later one, or the one that is in the sheet."""
        first: dict[tuple[Any, ...], str] = {}
        ordered = sorted(self.after, key=lambda code: self.lines[code].row if code in self.lines else 0)
        for code in ordered:
            values = self.after[code]
            which = (self._above(code), *(str(values[name]) for name in WHICH))
            if which in first and code in read:
                reason = N_("与前面的一行或已有的目标重复：同一上级、同一部门和街镇、同一指标。")
                self.wrong(self.lines[code].row, "指标", reason)
            first.setdefault(which, code)
        stands = {
            (self._standing_above(one), *(str(getattr(one, name)) for name in WHICH)): code
            for code, one in self.by_code.items()
        }
        for code, values in read.items():
            which = (self._above(code), *(str(values[name]) for name in WHICH))
            if stands.get(which, code) != code and first[which] == code:
                reason = N_("另一项目标现在正是这样；请先导入那一项的修改，再导入这一项。")
                self.wrong(self.lines[code].row, "指标", reason)

    def _stranded(self, read: Mapping[str, Mapping[str, Any]]) -> None:
        """Parts that are not in the sheet, and would no longer fit below what a row says."""
        for code, target in self.by_code.items():
            above = self._above(code)
            if code in self.lines or above not in read:
                continue
            values = {name: getattr(target, name) for name in _FITS}
            reasons = {
                "due_on": N_("有分目标的期限比这更晚，请先改分目标。"),
                "division_code": N_("有分目标不在这个街镇之内，请先改分目标。"),
                "department": N_("有分目标没有写部门，与这个街镇相同，请先改分目标。"),
            }
            for wrong in misplaced(values, self.district, read[above], 1, DEEPEST):
                column = "街镇" if wrong["field"] == "department" else COLUMN_OF[wrong["field"]]
                self.wrong(self.lines[above].row, column, reasons[wrong["field"]])


class _Named:
    """The codes and ids of what a sheet names in words; a word that names none stays, and is told as unknown."""

    def __init__(self, known: Known) -> None:
        self.measures = {MEASURES[one].name: one.value for one in Counted}
        self.divisions = {one.name: code for code, one in known.divisions.items()}
        self.staff = {name: str(found) for found, name in known.answerers.items()}
        times = Counter(kind.name_zh for kind in known.kinds.values())
        self.kinds = {kind.name_zh: code for code, kind in known.kinds.items() if times[kind.name_zh] == 1}

    def of(self, line: Line) -> dict[str, str]:
        measure, kind, place = line.get("指标"), line.get("行为"), line.get("街镇")
        return {
            "measure": self.measures.get(measure, measure),
            "kind": self.kinds.get(kind, kind),
            "division_code": self.divisions.get(place, place),
            "answerer_id": self.staff.get(line.get("负责人"), ""),
        }
