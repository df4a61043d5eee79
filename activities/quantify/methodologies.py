"""Methodologies: by which rule the kinds of action are quantified, and where that rule stands with the city.

A methodology is data: its form (`forms`), scenario kind, filing status, baseline, applicability, evidence and
source documents. Its form never changes once a factor version follows it: the database refuses that.
"""

from collections.abc import Iterator
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, Session, SQLModel, col, select

from activities.catalogue import PACKAGE_DATA
from activities.quantify.forms import Form
from tanpuhui import cells
from tanpuhui.csvtext import Problem
from tanpuhui.db import enum_type
from tanpuhui.i18n import N_
from tanpuhui.reference import Column, LoadCount, Reading, ReferenceFile, Row, store


class ScenarioKind(StrEnum):
    """The three kinds of 沪环规〔2025〕10号."""

    PROJECT = "减排项目"
    SCENARIO = "减排场景"
    BEHAVIOUR = "行为场景"


class FilingStatus(StrEnum):
    """Where a methodology stands with the city. Only the city records reductions."""

    NOT_FILED = "not_filed"
    SUBMITTED = "submitted"
    FILED = "filed"
    CITY_METHOD = "city_method"


FILING_NAMES = {
    FilingStatus.NOT_FILED: N_("未向市级备案，只作估算"),
    FilingStatus.SUBMITTED: N_("已提交市级，等待备案"),
    FilingStatus.FILED: N_("已在市级备案"),
    FilingStatus.CITY_METHOD: N_("市级已有方法学，由市级核算"),
}


class Methodology(SQLModel, table=True):
    """A rule by which reductions are estimated. Texts in both languages; `sources` one document a line."""

    __tablename__ = "methodology"
    __table_args__ = (
        sa.CheckConstraint("title_zh <> '' AND title_en <> ''", name="titles"),
        sa.CheckConstraint(
            "baseline_zh <> '' AND baseline_en <> '' AND applicability_zh <> '' AND applicability_en <> ''"
            " AND evidence_zh <> '' AND evidence_en <> '' AND sources <> ''",
            name="texts",
        ),
        sa.CheckConstraint(
            "filing_status NOT IN ('filed', 'city_method') OR city_reference <> ''", name="city_reference"
        ),
    )

    code: str = Field(primary_key=True, max_length=32)
    title_zh: str = Field(max_length=64)
    title_en: str = Field(max_length=64)
    form: Form = Field(sa_type=enum_type(Form))
    scenario_kind: ScenarioKind = Field(sa_type=enum_type(ScenarioKind))
    filing_status: FilingStatus = Field(sa_type=enum_type(FilingStatus))
    city_reference: str = ""
    baseline_zh: str
    baseline_en: str
    applicability_zh: str
    applicability_en: str
    evidence_zh: str
    evidence_en: str
    sources: str


class MethodologyKind(SQLModel, table=True):
    """The methodology that new factors of a kind follow."""

    __tablename__ = "methodology_kind"

    kind: str = Field(foreign_key="action_kind.code", primary_key=True, max_length=32)
    methodology: str = Field(foreign_key="methodology.code", max_length=32)


def all_methodologies(session: Session) -> list[Methodology]:
    """Every methodology, by code."""
    return list(session.exec(select(Methodology).order_by(Methodology.code)).all())


def methodology_of(connection: Connection) -> dict[str, Methodology]:
    """The present methodology of each kind that has one."""
    with Session(bind=connection, expire_on_commit=False) as session:
        pairs = session.exec(
            select(MethodologyKind.kind, Methodology).join(
                Methodology, col(Methodology.code) == col(MethodologyKind.methodology)
            )
        ).all()
        session.expunge_all()
        return dict(pairs)


# --- reference file -----------------------------------------------------------------------------------------


def _kinds(cell: str) -> tuple[str, ...]:
    """Codes parted by blanks."""
    return tuple(dict.fromkeys(cells.code(word) for word in cell.split()))


def _documents(cell: str) -> str:
    """One document a line, however the lines end."""
    return "\n".join(
        line.strip() for line in cells.text("\n".join(cell.splitlines())).splitlines() if line.strip()
    )


def _check(connection: Connection, reading: Reading) -> Iterator[Problem]:
    known = set(connection.scalars(sa.text("SELECT code FROM action_kind")))
    for file, rows in reading.rows_of.items():
        if file.what == "kind of action":
            known |= {row.get("action_code") for row in rows}
    forms = {
        row.methodology: row.form
        for row in connection.execute(
            sa.text(
                "SELECT DISTINCT v.methodology, m.form FROM factor_version v JOIN methodology m ON m.code = v.methodology"
            )
        )
    }
    taken: dict[str, Row] = {}
    followers: dict[str, set[str]] = {}
    for link in connection.execute(sa.text("SELECT kind, methodology FROM methodology_kind")):
        followers.setdefault(link.methodology, set()).add(link.kind)
    named = {kind for row in reading.rows(METHODOLOGIES_FILE) for kind in row.get("kinds") or ()}
    for row in reading.rows(METHODOLOGIES_FILE):
        for kind in sorted(followers.get(row.get("methodology"), set()) - named):
            yield row.bad(
                "kinds", f"{kind} follows this methodology and is in no line: name the one it moves to"
            )
        code, status = row.get("methodology"), row.get("filing_status")
        if status in {FilingStatus.FILED, FilingStatus.CITY_METHOD} and not row.get("city_reference"):
            yield row.bad("city_reference", f"must not be empty when {status}")
        if code in forms and row.get("form") not in {None, forms[code]}:
            yield row.bad(
                "form", f"published factors follow {code} as {forms[code]}; another form needs another code"
            )
        for kind in row.get("kinds") or ():
            if kind not in known:
                yield row.bad("kinds", f"unknown kind {kind}")
            before = taken.setdefault(kind, row)
            if before is not row:
                yield row.bad("kinds", f"{kind} has a methodology in line {before.line}")


def _write(connection: Connection, reading: Reading) -> LoadCount:
    rows = [dict(row.values) for row in reading.rows(METHODOLOGIES_FILE)]
    kinds = [
        {"kind": kind, "methodology": row["methodology"]} for row in rows for kind in row.pop("kinds") or ()
    ]
    count = store(connection, "methodology", [{"code": row.pop("methodology"), **row} for row in rows])
    moved = store(connection, "methodology_kind", kinds)
    return LoadCount(count.new, count.changed + moved.new + moved.changed)


METHODOLOGIES_FILE = ReferenceFile(
    what="methodology",
    pattern="methodologies.csv",
    columns=(
        Column("methodology", cells.code),
        Column("title_zh", cells.name),
        Column("title_en", cells.name),
        Column("form", cells.choice(Form)),
        Column("scenario_kind", cells.choice(ScenarioKind)),
        Column("filing_status", cells.choice(FilingStatus)),
        Column("city_reference", cells.note),
        Column("baseline_zh", cells.text),
        Column("baseline_en", cells.text),
        Column("applicability_zh", cells.text),
        Column("applicability_en", cells.text),
        Column("evidence_zh", cells.text),
        Column("evidence_en", cells.text),
        Column("sources", _documents),
        Column("kinds", _kinds),
    ),
    key=("methodology",),
    home=PACKAGE_DATA,
    check=_check,
    write=_write,
)
