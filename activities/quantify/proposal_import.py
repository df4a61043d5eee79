"""Proposals from a file: every row that differs from what is published becomes one, all of them or none."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy.engine import Connection
from sqlmodel import Session

from activities.catalogue import NAMES_FILE
from activities.quantify.factor_cells import RULES, values_of
from activities.quantify.factor_sheet import FACTORS_FILE
from activities.quantify.factors import FactorValues, FactorVersion, uncancelled
from activities.quantify.proposal_checks import Standing, accepted, standing
from activities.quantify.proposals import (
    OPEN,
    add_proposal,
    list_proposals,
    require_officer,
    values_in,
)
from tanpuhui import audit
from tanpuhui.csvtext import Problem, parse_sheet
from tanpuhui.db import session_on
from tanpuhui.errors import InvalidField, InvalidReference
from tanpuhui.i18n import N_
from tanpuhui.reference import Reading, Row, read_sheets
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal

#: What a row need not say: empty, it does not differ from what is published.
_MAY_BE_SILENT = {"valid_to", "methodology", "derivation"}


@dataclass(frozen=True)
class Imported:
    """What became of a file's rows: new proposals, rows as published, rows as proposed before."""

    proposed: int = 0
    as_published: int = 0
    as_proposed: int = 0


def import_sheet(
    house: House, principal: Principal, content: bytes, reason: str, *, begins: date | None = None
) -> Imported:
    """Propose what differs in a CSV file like `data/factors.csv` (UTF-8, with or without BOM, or GB18030).

    A row without `valid_from` begins on `begins`. Raises NotAllowed, InvalidField (``reason``, ``file``), and
    InvalidReference with every bad row as ``{"line", "column", "reason", "detail"}``; then nothing is proposed.
    """
    reason = audit.reason(reason)
    reading = read_sheets((NAMES_FILE, FACTORS_FILE), [parse_sheet("factors.csv", content)])
    if not reading.rows(FACTORS_FILE) and not reading.problems:
        raise InvalidField(errors=[{"field": "file", "reason": N_("这个文件里只有列名，没有因子。")}])

    def work(connection: Connection) -> Imported:
        with session_on(connection) as session:
            require_officer(house, session, principal)
            told, bad = _propose_rows(session, principal, _readable(reading), reason, begins)
            bad = [*_unreadable(reading), *bad]
            if bad:
                raise InvalidReference(errors=sorted(bad, key=lambda entry: (entry["line"], entry["column"])))
            return told

    return house.db.run(work)


def _readable(reading: Reading) -> Iterator[Row]:
    """The rows in which every cell could be read."""
    for row in reading.rows(FACTORS_FILE):
        if all(column.name in row.values for column in FACTORS_FILE.columns):
            yield row


def _propose_rows(
    session: Session, principal: Principal, rows: Iterable[Row], reason: str, begins: date | None
) -> tuple[Imported, list[dict[str, Any]]]:
    beside = standing(session)
    pending = [values_in(proposal) for proposal in list_proposals(session, *OPEN)]
    counts = {"proposed": 0, "as_published": 0, "as_proposed": 0}
    bad: list[dict[str, Any]] = []
    for row in rows:
        try:
            counts[_propose_row(session, principal, values_of(row), reason, begins, beside, pending)] += 1
        except InvalidField as error:
            bad += [_entry(row.line, wrong["field"], wrong["reason"]) for wrong in error.params["errors"]]
    return Imported(**counts), bad


def _propose_row(
    session: Session,
    principal: Principal,
    values: FactorValues,
    reason: str,
    begins: date | None,
    beside: Standing,
    pending: Collection[dict[str, Any]],
) -> str:
    """Propose a row unless it says nothing new; which of the counts it belongs to. Raises InvalidField."""
    if any(_same(values, version) for version in uncancelled(beside.versions.get(values.action_code, ()))):
        return "as_published"
    if values.valid_from is None and begins is not None:
        values = values.model_copy(update={"valid_from": begins})
    values = accepted(values, beside)
    if values_in(values) in pending:
        return "as_proposed"
    add_proposal(session, principal, values, reason)
    return "proposed"


def _same(values: FactorValues, version: FactorVersion) -> bool:
    said, published = values_in(values), values_in(version)
    return all(
        value == published[name] or (name in _MAY_BE_SILENT and not value) for name, value in said.items()
    )


# --- what is wrong ------------------------------------------------------------------------------------------


def _unreadable(reading: Reading) -> Iterator[dict[str, Any]]:
    """What the reader of files found, each with the rule that was not kept and the reader's own words."""
    read = {row.line for row in reading.rows(FACTORS_FILE) if _KEY in row.values}
    for problem in sorted(set(reading.problems)):
        yield _entry(problem.line, _printable(problem.column), _rule(problem, read), problem.reason)


#: Where a row that repeats another is told; of all others, a column that could be read has no problem.
_KEY = FACTORS_FILE.key[0]


def _printable(column: str) -> str:
    """The name of a column; of a file that is something else it may be anything."""
    return "".join(filter(str.isprintable, column))[:64]


def _rule(problem: Problem, read: Collection[int]) -> str:
    if problem.line == 0:
        return N_("应是 UTF-8 或 GB18030 编码的 CSV 文件。")
    if problem.line == 1:
        return N_("第一行的列名应与导出的文件相同，用逗号分隔。")
    if not problem.column:
        return N_("这一行不完整，请检查引号，以及格数是否与第一行相同。")
    if problem.column == _KEY and problem.line in read:
        return N_("行为和生效日与前面的一行相同。")
    return RULES.get(problem.column, N_("应是名称或代码，请照导出的文件填写。"))


def _entry(line: int, column: str, reason: str, detail: str = "") -> dict[str, Any]:
    return {"line": line, "column": column, "reason": reason, "detail": detail}
