"""What officers do with targets: set one, divide it, change it, withdraw it; and what whoever answers for one says was reached.

Locks are taken from the top of the tree downwards, so that two who change a branch at once take turns.
"""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy.engine import Connection
from sqlmodel import Session, col, select

from tanpuhui import audit, clock
from tanpuhui.bureau.participation import read_day
from tanpuhui.bureau.target_forms import TargetIn, amount_milli, known, line, misplaced, read_target
from tanpuhui.bureau.target_measures import MEASURES, Counted
from tanpuhui.bureau.target_tasks import TargetTask, TaskState
from tanpuhui.bureau.targets import (
    DEEPEST,
    FIRST_YEAR,
    LAST_YEAR,
    SAID,
    Target,
    TargetProgress,
    is_editor,
    may_edit,
    one_readable,
    parts_of,
)
from tanpuhui.db import session_on
from tanpuhui.errors import InvalidField, NotAllowed, NotFound, TargetChanged, TargetHeld
from tanpuhui.i18n import N_
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal

Result = TypeVar("Result")


def in_turn(house: House, work: Callable[[Session], Result]) -> Result:
    """Do `work` in a transaction; of two who clash, the second sees what the first did."""

    def once(connection: Connection) -> Result:
        with session_on(connection) as session:
            return work(session)

    return house.db.run(once)


def held(values: Target | Mapping[str, Any]) -> dict[str, Any]:
    """What a target says, as the audit keeps it."""
    found = {name: values[name] if isinstance(values, Mapping) else getattr(values, name) for name in SAID}
    return {name: value if isinstance(value, int) else str(value) for name, value in found.items()}


def note(session: Session, by: Principal, deed: str, target: Target, reason: str, **detail: Any) -> None:
    """Write in the audit what somebody did with a target."""
    subject = f"target:{target.id}"
    audit.note_by(
        session, by, deed=deed, subject=subject, reason=reason, year=target.year, code=target.code, **detail
    )


# --- the tree -----------------------------------------------------------------------------------------------


def check_year(year: int) -> None:
    """Raises InvalidField for a year that no target is of."""
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise InvalidField(errors=[{"field": "year", "reason": N_("请填写年份，例如 2026。")}])


def set_target(
    house: House,
    principal: Principal,
    year: int,
    said: TargetIn,
    *,
    parent_id: UUID | None = None,
    chosen: UUID | None = None,
) -> UUID:
    """Set a target of the district, or a part of another one; its id. Sent twice (`chosen`) it is set once.

    For officers and admins of the district. Raises NotAllowed, NotFound, InvalidField.
    """

    def work(session: Session) -> UUID:
        may_edit(session, house, principal)
        check_year(year)
        chain = _chain(session, parent_id, year)
        if chosen and session.get(Target, chosen):
            return chosen
        values = read_target(said, known(session, house), year)
        parent = chain[-1] if chain else None
        _check(house, session, values, parent, len(chain))
        target = Target(year=year, code=_next_code(session, year, parent), parent_id=parent_id, **values,
                        created_by=principal.id)  # fmt: skip
        if chosen:
            target.id = chosen
        session.add(target)
        note(session, principal, "target.set", target, values["basis"], values=held(values))
        return target.id

    return in_turn(house, work)


def change_target(
    house: House, principal: Principal, target_id: UUID, said: TargetIn, *, reason: str, seen: int
) -> None:
    """Change a target. `seen`: the version that the officer looked at.

    For officers and admins of the district. Raises NotAllowed, NotFound, InvalidField, TargetChanged (somebody else was first).
    """

    def work(session: Session) -> None:
        may_edit(session, house, principal)
        *above, target = _chain(session, target_id, None)
        check_seen(target, seen)
        problems = []
        try:
            values = read_target(said, known(session, house), target.year)
            _check(house, session, values, above[-1] if above else None, len(above), target)
        except InvalidField as error:
            problems += error.params["errors"]
        try:
            why = audit.reason(reason)
        except InvalidField as error:
            problems += error.params["errors"]
        if problems:
            raise InvalidField(errors=problems)
        apply(session, principal, target, values, why)

    in_turn(house, work)


def apply(
    session: Session, principal: Principal, target: Target, values: Mapping[str, Any], why: str
) -> None:
    """Let a target, which is locked and checked, say something else; saying the same changes nothing."""
    before = held(target)
    after = held(values)
    if before == after:
        return
    for name in SAID:
        setattr(target, name, values[name])
    target.version += 1
    session.add(target)
    was = {name: before[name] for name in SAID if before[name] != after[name]}
    now = {name: after[name] for name in was}
    note(session, principal, "target.changed", target, why, was=was, now=now, version=target.version)


def withdraw_target(house: House, principal: Principal, target_id: UUID, *, reason: str, seen: int) -> None:
    """Withdraw a target that has no parts and no open tasks; what was said of it stays.

    For officers and admins of the district. Raises NotAllowed, NotFound, InvalidField, TargetChanged, TargetHeld.
    """

    def work(session: Session) -> None:
        may_edit(session, house, principal)
        target = _chain(session, target_id, None)[-1]
        check_seen(target, seen)
        why = audit.reason(reason)
        tasks = select(TargetTask.id).where(
            TargetTask.target_id == target.id, TargetTask.state == TaskState.OPEN
        )
        if parts_of(session, [target])[target.id] or session.exec(tasks).first():
            raise TargetHeld
        target.withdrawn_at, target.withdrawn_why = clock.now(), why
        target.version += 1
        session.add(target)
        note(session, principal, "target.withdrawn", target, why)

    in_turn(house, work)


def check_seen(target: Target, seen: int) -> None:
    """Raises TargetChanged unless `seen` is the version that stands, and it stands."""
    if target.version != seen or target.withdrawn_at is not None:
        raise TargetChanged


def _chain(session: Session, target_id: UUID | None, year: int | None) -> list[Target]:
    """A target and all above it, the root first, each locked. Raises NotFound; with `year`, also if it is of another or withdrawn."""
    wanted: list[UUID] = []
    while target_id is not None:
        found = session.get(Target, target_id)
        if found is None:
            raise NotFound
        wanted.insert(0, found.id)
        target_id = found.parent_id
    chain = [session.get_one(Target, one, with_for_update=True, populate_existing=True) for one in wanted]
    if year is not None and any(one.year != year or one.withdrawn_at for one in chain):
        raise NotFound
    return chain


def _check(
    house: House,
    session: Session,
    values: dict[str, Any],
    parent: Target | None,
    depth: int,
    target: Target | None = None,
) -> None:
    """Raises InvalidField where a target does not fit into the tree, or what was said of it before."""
    above = {"division_code": parent.division_code, "due_on": parent.due_on} if parent else None
    problems = misplaced(values, house.settings.district_code, above, depth, DEEPEST)
    beside = select(Target).where(
        Target.year == (parent.year if parent else values["due_on"].year),
        Target.parent_id == (parent.id if parent else None),
        col(Target.withdrawn_at).is_(None),
    )
    which = Target(**values).which()
    if any(one.which() == which and one is not target for one in session.exec(beside)):
        reason = N_("已经有这样一项目标：同一上级、同一部门和街镇、同一指标。")
        problems.append({"field": "measure", "reason": reason})
    if target is not None:
        problems += unsettled(session, target, values)
    if problems:
        raise InvalidField(errors=problems)


def unsettled(session: Session, target: Target, values: Mapping[str, Any]) -> list[dict[str, str]]:
    """What a changed target would break of its parts, and of what was entered for it by hand."""
    problems = []
    parts = parts_of(session, [target])[target.id]
    if any(one.due_on > values["due_on"] for one in parts):
        reason = N_("有分目标的期限比这更晚，请先改分目标。")
        problems.append({"field": "due_on", "reason": reason})
    if any(not one.division_code.startswith(values["division_code"]) for one in parts):
        reason = N_("有分目标不在这个街镇之内，请先改分目标。")
        problems.append({"field": "division_code", "reason": reason})
    if any(one.division_code == values["division_code"] and not one.department for one in parts):
        reason = N_("有分目标没有写部门，与这个街镇相同，请先改分目标。")
        problems.append({"field": "division_code", "reason": reason})
    said = (target.measure, target.subject, target.unit)
    if said != (values["measure"], values["subject"], values["unit"]):
        entered = select(TargetProgress.id).where(TargetProgress.target_id == target.id)
        if session.exec(entered).first():
            reason = N_("已经填过进展，不能改指标、内容和单位；请撤回后另建。")
            problems.append({"field": "measure", "reason": reason})
    return problems


def _next_code(session: Session, year: int, parent: Target | None) -> str:
    """The first free number below the parent's code: 2, 2.1, 2.1.3. None ends in 0: of 1.10 a spreadsheet would make 1.1."""
    taken = set(session.exec(select(Target.code).where(Target.year == year)))
    prefix = f"{parent.code}." if parent else ""
    number = 1
    while f"{prefix}{number}" in taken or number % 10 == 0:
        number += 1
    return f"{prefix}{number}"


# --- what was reached, by hand ------------------------------------------------------------------------------


def may_report(
    session: Session, house: House, principal: Principal, target: Target, *answerers: UUID
) -> None:
    """Let pass whoever may change targets, or answers for this one (or is one of `answerers`). Raises NotAllowed, NotFound."""
    one_readable(session, house, principal, target.id)
    if principal.id not in {target.answerer_id, *answerers} and not is_editor(session, house, principal):
        raise NotAllowed


def enter_progress(
    house: House,
    principal: Principal,
    target_id: UUID,
    *,
    amount: str,
    as_of: str,
    evidence: str,
    chosen: UUID | None = None,
) -> None:
    """Say how much of a target that no figure counts had been reached by a day, all told, and what shows it.

    For whoever answers for it, and officers and admins of the district. Raises NotAllowed, NotFound, InvalidField.
    """

    def work(session: Session) -> None:
        target = session.get(Target, target_id, with_for_update=True)
        if target is None or target.withdrawn_at or target.measure is not Counted.FREE:
            raise NotFound
        may_report(session, house, principal, target)
        if chosen and session.get(TargetProgress, chosen):
            return
        values = _read_progress(target, amount, as_of, evidence)
        entry = TargetProgress(target_id=target.id, said_by=principal.id, **values)
        if chosen:
            entry.id = chosen
        session.add(entry)
        note(session, principal, "target.progress", target, values["evidence"][:200],
             amount_milli=entry.amount_milli, as_of=entry.as_of.isoformat())  # fmt: skip

    in_turn(house, work)


def _read_progress(target: Target, amount: str, as_of: str, evidence: str) -> dict[str, Any]:
    problems: list[dict[str, str]] = []
    found: dict[str, Any] = {"evidence": line(evidence)}
    try:
        found["amount_milli"] = amount_milli(amount, whole=MEASURES[target.measure].whole, zero=True)
    except ValueError as error:
        problems.append({"field": "amount", "reason": str(error)})
    try:
        found["as_of"] = day_so_far(as_of, "as_of")
        if found["as_of"].year != target.year:
            problems.append({"field": "as_of", "reason": N_("日期应在目标的年份之内。")})
    except InvalidField as error:
        problems += error.params["errors"]
    if not 2 <= len(found["evidence"]) <= 500 or not found["evidence"].isprintable():
        problems.append({"field": "evidence", "reason": N_("请写明证据（2 到 500 字）。")})
    if problems:
        raise InvalidField(errors=problems)
    return found


def day_so_far(text: str, name: str) -> date:
    """A day that has come. Raises InvalidField at `name`."""
    found = read_day(text.strip(), name)
    if found > clock.today():
        raise InvalidField(errors=[{"field": name, "reason": N_("日期不能晚于今天。")}])
    return found
