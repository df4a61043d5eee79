"""Targets of a year: the district's, divided among departments (条) and 街镇 (块), down to the third level.

A target that is divided keeps its own amount: its parts sum to it, or the gap is shown. The two ways of dividing stand side by side,
so that a target may be given whole to the departments and whole to the 街镇, and each way is summed by itself.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, Session, SQLModel, col, select

from tanpuhui import clock, ids
from tanpuhui.bureau.participation import READERS
from tanpuhui.bureau.target_measures import MEASURES, Counted
from tanpuhui.db import enum_type
from tanpuhui.errors import NotAllowed, NotFound
from tanpuhui.i18n import N_
from tanpuhui.rooms import House
from tanpuhui.schema import Guard
from tanpuhui.sessions import Principal
from tanpuhui.staff import Role, grants_of, require

EDITORS = (Role.OFFICER, Role.ADMIN)
DEEPEST = 3
FIRST_YEAR, LAST_YEAR = 2000, 2999

#: What a target says, but for its place in the tree.
SAID = (
    *("measure", "kind", "subject", "unit", "amount_milli", "division_code", "department"),
    *("answerer_id", "basis", "due_on", "notes"),
)
#: What makes it this target and not another one beside it.
WHICH = ("measure", "kind", "subject", "division_code", "department")
_STANDS = sa.text("withdrawn_at IS NULL")


class Target(SQLModel, table=True):
    """What a year is to bring, in thousandths of `unit`: of the whole district, or of a department or a division.

    `code` names it in sheets and is given once. `kind` limits what is counted to one kind of action; `subject` says in words what a
    quantity is that is entered by hand. `answerer_id`: the member of staff who answers for it. `basis`: the document that it rests on.
    Every change raises `version`.
    """

    __tablename__ = "target"
    __table_args__ = (
        sa.UniqueConstraint("year", "code"),
        sa.UniqueConstraint("id", "year"),
        sa.ForeignKeyConstraint(["parent_id", "year"], ["target.id", "target.year"]),
        sa.CheckConstraint("year BETWEEN 2000 AND 2999", name="year"),
        sa.CheckConstraint("parent_id <> id", name="parent"),
        sa.CheckConstraint("code <> '' AND unit <> '' AND basis <> ''", name="words"),
        sa.CheckConstraint("amount_milli > 0 AND amount_milli <= 100000000000000", name="amount"),
        sa.CheckConstraint("(measure = 'free') = (subject <> '')", name="subject"),
        sa.CheckConstraint(
            "(measure <> 'quantity' OR kind <> '') AND (measure <> 'free' OR kind = '')", name="kind"
        ),
        sa.CheckConstraint(
            "CAST(due_on AS VARCHAR(10)) BETWEEN CAST(year AS VARCHAR(4)) || '-01-01'"
            " AND CAST(year AS VARCHAR(4)) || '-12-31'",
            name="due_on",
        ),
        sa.CheckConstraint("version >= 1", name="version"),
        sa.CheckConstraint("(withdrawn_at IS NULL) = (withdrawn_why = '')", name="withdrawn"),
        sa.Index("ix_target_parent_id", "parent_id"),
        sa.Index(
            "uq_target_root",
            "year",
            *WHICH,
            unique=True,
            sqlite_where=sa.text("parent_id IS NULL AND withdrawn_at IS NULL"),
            postgresql_where=sa.text("parent_id IS NULL AND withdrawn_at IS NULL"),
        ),
        sa.Index(
            "uq_target_part",
            "parent_id",
            *WHICH,
            unique=True,
            sqlite_where=_STANDS,
            postgresql_where=_STANDS,
        ),
    )

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    year: int
    code: str = Field(max_length=24)
    parent_id: UUID | None = None
    measure: Counted = Field(sa_type=enum_type(Counted))
    kind: str = Field(default="", max_length=32)
    subject: str = Field(default="", max_length=60)
    unit: str = Field(max_length=20)
    amount_milli: int = Field(sa_type=sa.BigInteger)
    division_code: str = Field(foreign_key="division.code", max_length=12)
    department: str = Field(default="", max_length=40)
    answerer_id: UUID = Field(foreign_key="staff.id", index=True)
    basis: str = Field(max_length=200)
    due_on: date
    notes: str = Field(default="", max_length=500)
    version: int = 1
    created_by: UUID = Field(foreign_key="staff.id")
    created_at: datetime = Field(default_factory=clock.now)
    withdrawn_at: datetime | None = None
    withdrawn_why: str = Field(default="", max_length=200)

    def which(self) -> tuple[str, ...]:
        """What makes it this target and not another one beside it."""
        return tuple(str(getattr(self, name)) for name in WHICH)


class TargetProgress(SQLModel, table=True):
    """How much of a target had been reached by a day, all told, as whoever answers for it says with `evidence`.

    The latest day counts, and of a day what was said last. Nothing is edited.
    """

    __tablename__ = "target_progress"
    __table_args__ = (
        sa.CheckConstraint("amount_milli >= 0 AND amount_milli <= 100000000000000", name="amount"),
        sa.CheckConstraint("evidence <> ''", name="evidence"),
        sa.Index("ix_target_progress_target_id_as_of", "target_id", "as_of"),
    )

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    target_id: UUID = Field(foreign_key="target.id")
    as_of: date
    amount_milli: int = Field(sa_type=sa.BigInteger)
    evidence: str = Field(max_length=500)
    said_by: UUID = Field(foreign_key="staff.id")
    said_at: datetime = Field(default_factory=clock.now)


_PLACE = "NEW.parent_id {differs} OLD.parent_id OR NEW.year <> OLD.year OR NEW.code <> OLD.code"

#: A target keeps its place, so that no circle can come about; each change counts; nothing is deleted.
GUARDS = (
    Guard("target", "placed", "UPDATE", _PLACE, "keeps its place in the tree"),
    Guard("target", "counted", "UPDATE", "NEW.version <> OLD.version + 1", "each change counts"),
    Guard("target", "ended", "UPDATE", "OLD.withdrawn_at IS NOT NULL", "a withdrawn one is not changed"),
    Guard("target", "kept", "DELETE", "true", "nothing is deleted"),
    Guard("target_progress", "fixed", "UPDATE", "true", "nothing is edited"),
    Guard("target_progress", "kept", "DELETE", "true", "nothing is deleted"),
)


# --- who sees what ------------------------------------------------------------------------------------------


def may_edit(session: Session, house: House, principal: Principal) -> None:
    """Let officers and admins of the district pass. Raises NotAllowed."""
    require(session, principal, EDITORS, division_code=house.settings.district_code)


def is_editor(session: Session, house: House, principal: Principal) -> bool:
    """Whether somebody may change targets, for what a page offers (never for permission)."""
    try:
        may_edit(session, house, principal)
    except NotAllowed:
        return False
    return True


def _reach(session: Session, house: House, principal: Principal) -> tuple[str, ...]:
    """The divisions whose targets somebody may read, with the roles of the bureau. Raises NotAllowed if there is none."""
    district = house.settings.district_code
    held = [one.division_code for one in grants_of(session, principal) if one.role in READERS]
    found = tuple(code for code in held if code and (district.startswith(code) or code.startswith(district)))
    if not found:
        raise NotAllowed
    return found


def _answers_for(session: Session, principal: Principal) -> set[UUID]:
    """The targets that somebody has a task for."""
    task = SQLModel.metadata.tables["target_task"]
    query = sa.select(task.c.target_id).where(task.c.answerer_id == principal.id)
    return set(session.connection().scalars(query))


def readable(session: Session, house: House, principal: Principal, year: int) -> list[Target]:
    """The targets of a year that somebody may read, each behind its parent, in the order of their codes.

    Whoever works for the district reads all; for a 街镇, its branch and what they answer for, with all that is below, and what they have
    a task for. Raises NotAllowed.
    """
    reach = _reach(session, house, principal)
    standing = select(Target).where(Target.year == year, col(Target.withdrawn_at).is_(None))
    ordered = in_order(session.exec(standing).all())
    if _is_whole(reach, house):
        return ordered
    branch: set[UUID] = set()
    for one in ordered:
        if _is_own(one, reach, principal) or one.parent_id in branch:
            branch.add(one.id)
    seen = branch | _answers_for(session, principal)
    return [one for one in ordered if one.id in seen]


def one_readable(session: Session, house: House, principal: Principal, target_id: UUID) -> Target:
    """A target that somebody may read, withdrawn or not. Raises NotAllowed, NotFound."""
    reach = _reach(session, house, principal)
    found = session.get(Target, target_id)
    if found is None:
        raise NotFound
    if _is_whole(reach, house) or found.id in _answers_for(session, principal):
        return found
    above: Target | None = found
    while above is not None:
        if _is_own(above, reach, principal):
            return found
        above = session.get(Target, above.parent_id) if above.parent_id else None
    raise NotFound


def _is_whole(reach: tuple[str, ...], house: House) -> bool:
    """Whether the whole district lies within reach."""
    return any(house.settings.district_code.startswith(code) for code in reach)


def _is_own(target: Target, reach: tuple[str, ...], principal: Principal) -> bool:
    """Whether a target begins a branch of somebody of a 街镇."""
    return target.division_code.startswith(reach) or target.answerer_id == principal.id


def parts_of(session: Session, targets: Iterable[Target]) -> dict[UUID, list[Target]]:
    """All standing parts of each target, whoever may read them: a sum of some of them would tell a gap that is none."""
    found: dict[UUID, list[Target]] = {one.id: [] for one in targets}
    query = select(Target).where(col(Target.parent_id).in_(list(found)), col(Target.withdrawn_at).is_(None))
    for part in in_order(session.exec(query).all()):
        assert part.parent_id is not None
        found[part.parent_id].append(part)
    return found


def years(session: Session) -> list[int]:
    """The years that have targets, this one and the next."""
    this = clock.today().year
    return sorted({*session.exec(select(Target.year).distinct()), this, this + 1})


# --- the tree -----------------------------------------------------------------------------------------------


def _natural(code: str) -> list[tuple[int, int | str]]:
    """Codes in the order in which people count: 1.2 before 1.10."""
    parts = code.replace("-", ".").split(".")
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts]


def in_order(found: Iterable[Target]) -> list[Target]:
    """Targets by their codes, each behind its parent; one whose parent is not among them stands like a root."""
    among = sorted(found, key=lambda one: _natural(one.code))
    known = {one.id for one in among}
    below: dict[UUID | None, list[Target]] = defaultdict(list)
    for one in among:
        below[one.parent_id if one.parent_id in known else None].append(one)
    ordered: list[Target] = []

    def walk(parent_id: UUID | None) -> None:
        for one in below[parent_id]:
            ordered.append(one)
            walk(one.id)

    walk(None)
    return ordered


def depths(ordered: Sequence[Target]) -> dict[UUID, int]:
    """How deep each of `in_order` stands among them, from 0."""
    found: dict[UUID, int] = {}
    for one in ordered:
        found[one.id] = found.get(one.parent_id, -1) + 1 if one.parent_id else 0
    return found


class Way(StrEnum):
    """A way in which a target is divided."""

    DEPARTMENTS = "departments"
    DIVISIONS = "divisions"


WAY_NAMES = {Way.DEPARTMENTS: N_("分到部门"), Way.DIVISIONS: N_("分到街镇")}


def way_of(parent: Target, part: Target) -> Way:
    """By which way of division `part` belongs to `parent`."""
    return Way.DIVISIONS if part.division_code != parent.division_code else Way.DEPARTMENTS


@dataclass(frozen=True)
class Division:
    """A target divided one way. `gap_milli`: its amount less the sum of its parts; None where they cannot be summed.

    `others`: parts that count something else, which are in no sum. `overlapping`: parts whose figures hold the same records.
    """

    way: Way
    parts: tuple[Target, ...]
    sum_milli: int = 0
    gap_milli: int | None = None
    others: tuple[Target, ...] = ()
    overlapping: tuple[Target, ...] = field(default=())


def divided(parent: Target, parts: Sequence[Target]) -> list[Division]:
    """How `parts` sum to their parent, by each way in which it is divided."""
    found = []
    for way in Way:
        of_way = [one for one in parts if way_of(parent, one) is way]
        if of_way:
            found.append(_divided(parent, way, of_way))
    return found


def _divided(parent: Target, way: Way, parts: Sequence[Target]) -> Division:
    alike = [one for one in parts if _counts_alike(parent, one)]
    overlapping = tuple(one for one in parts if any(_overlap(one, other) for other in parts))
    others = tuple(one for one in parts if one not in alike)
    total = sum(one.amount_milli for one in alike)
    adds_up = bool(alike) and MEASURES[parent.measure].adds_up
    if parent.measure is Counted.VENUES and any(one.kind != parent.kind for one in alike):
        adds_up = False  # one place may serve by several kinds
    gap = parent.amount_milli - total if adds_up else None
    return Division(way, tuple(parts), total, gap, others, overlapping)


def _counts_alike(parent: Target, part: Target) -> bool:
    """Whether a part counts what its parent counts, or one kind of it."""
    if (parent.measure, parent.unit, parent.subject) != (part.measure, part.unit, part.subject):
        return False
    return parent.kind in {"", part.kind}


def _overlap(one: Target, other: Target) -> bool:
    """Whether the figures of two targets hold the same records."""
    if one is other or one.measure != other.measure or one.measure is Counted.FREE:
        return False
    nested = one.division_code.startswith(other.division_code) or other.division_code.startswith(
        one.division_code
    )
    return nested and (not one.kind or not other.kind or one.kind == other.kind)
