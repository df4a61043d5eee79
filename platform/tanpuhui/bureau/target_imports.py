"""A sheet of targets beside what stands: looked at first, then applied whole or not at all."""

from collections.abc import Iterable, Mapping
from uuid import UUID

from sqlmodel import Session, col, select

from tanpuhui import audit
from tanpuhui.bureau.target_changes import apply, check_year, held, in_turn, note, unsettled
from tanpuhui.bureau.target_comparison import Plan, compare
from tanpuhui.bureau.target_forms import known
from tanpuhui.bureau.target_sheets import Problem, Table, rows_of
from tanpuhui.bureau.targets import Target, depths, in_order, may_edit, readable
from tanpuhui.errors import TargetChanged
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal
from tanpuhui.staff import Staff


def staff_names(session: Session, wanted: Iterable[UUID]) -> Mapping[UUID, str]:
    """Members of staff by id, also those who have left."""
    return dict(session.exec(select(Staff.id, Staff.name).where(col(Staff.id).in_(list(wanted)))).all())


def exported(house: House, principal: Principal, year: int) -> list[dict[str, str]]:
    """The targets of a year that somebody may read, as rows of a sheet. Raises NotAllowed.

    The branch of a 街镇 names the target that it is a part of, which is not in it itself.
    """
    with house.db.reading_session() as session:
        found = readable(session, house, principal, year)
        names = staff_names(session, {one.answerer_id for one in found})
        codes = dict(session.exec(select(Target.id, Target.code).where(Target.year == year)).all())
        return rows_of(found, known(session, house), names, codes)


def dry_run(house: House, principal: Principal, year: int, table: Table) -> Plan:
    """What a sheet would do to the targets of a year; nothing is done. For officers and admins of the district.

    Raises NotAllowed, InvalidField for a year that is none.
    """
    with house.db.reading_session() as session:
        may_edit(session, house, principal)
        check_year(year)
        return _compared(session, house, year, table)


def apply_sheet(
    house: House, principal: Principal, year: int, table: Table, *, reason: str, digest: str
) -> Plan:
    """Do what the dry run with `digest` said, all of it or nothing; what was done.

    For officers and admins of the district. Raises NotAllowed, InvalidField, and TargetChanged if it would do something else by now.
    """

    def work(session: Session) -> Plan:
        may_edit(session, house, principal)
        check_year(year)
        why = audit.reason(reason)
        _lock(session, year)
        plan = _compared(session, house, year, table)
        if plan.digest != digest or plan.problems:
            raise TargetChanged
        _apply(session, principal, year, plan, why)
        return plan

    return in_turn(house, work)


def _lock(session: Session, year: int) -> None:
    """Lock the targets of a year, from the top of the tree downwards, as everybody else does."""
    found = in_order(session.exec(select(Target).where(Target.year == year)).all())
    depth = depths(found)
    for one in sorted(found, key=lambda one: (depth[one.id], one.id)):
        session.get_one(Target, one.id, with_for_update=True, populate_existing=True)


def _compared(session: Session, house: House, year: int, table: Table) -> Plan:
    found = session.exec(select(Target).where(Target.year == year)).all()
    standing = in_order(one for one in found if one.withdrawn_at is None)
    withdrawn = [one.code for one in found if one.withdrawn_at is not None]
    names = staff_names(session, {one.answerer_id for one in standing})
    district = house.settings.district_code
    plan = compare(table, year, standing, withdrawn, known(session, house), names, district)
    entered = [
        Problem(one.row, "指标", wrong["reason"])
        for one in plan.changed
        for wrong in unsettled(session, one.target, one.values)  # type: ignore[arg-type]
        if wrong["field"] == "measure"
    ]
    problems = tuple(sorted({*plan.problems, *entered}))
    return Plan(plan.changes, plan.unchanged, plan.absent, problems)


def _apply(session: Session, principal: Principal, year: int, plan: Plan, why: str) -> None:
    ids = dict(session.exec(select(Target.code, Target.id).where(Target.year == year)).all())
    for one in plan.changes:
        if one.target is not None:
            apply(session, principal, one.target, one.values, why)
        else:
            parent_id = ids[one.parent] if one.parent else None
            target = Target(
                year=year, code=one.code, parent_id=parent_id, created_by=principal.id, **one.values
            )
            session.add(target)
            ids[one.code] = target.id
            note(session, principal, "target.set", target, why, values=held(one.values))
        session.flush()  # parents first
