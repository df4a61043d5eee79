"""The steps of a declaration, each taken once: report, confirm, use, or withdraw before it is confirmed."""

from collections.abc import Callable
from datetime import date
from typing import Any, NoReturn
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Session, col, select

from activities import declared
from activities.actions import Action
from activities.declarations import (
    STEPS,
    Declaration,
    DeclarationState,
    DeclaredAction,
    keep_voids_out,
)
from activities.quantify.methodologies import FilingStatus, Methodology
from tanpuhui import audit, clock, ids
from tanpuhui.bureau.participation import period
from tanpuhui.db import session_on
from tanpuhui.errors import (
    DeclarationMovedOn,
    EstimateChanged,
    InvalidField,
    NotFound,
    NothingToDeclare,
)
from tanpuhui.i18n import N_
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal
from tanpuhui.staff import Role, require


def check_period(session: Session, methodology: str, first: date, last: date) -> None:
    """Raises InvalidField for a methodology that is unknown or the city's own, a reversed period, or one not over."""
    found = session.get(Methodology, methodology)
    if found is None:
        _refuse("methodology", N_("请选择方法学。"))
    if found.filing_status is FilingStatus.CITY_METHOD:
        _refuse("methodology", N_("这个方法学的减排量由市级直接核算，本区不申报。"))
    period(first, last)
    if last >= clock.today():
        raise InvalidField(errors=[{"field": "to", "reason": N_("只能上报已经过去的日子，今天还没有结束。")}])


def report(
    house: House,
    principal: Principal,
    methodology: str,
    first: date,
    last: date,
    *,
    seen: tuple[int | None, ...] | None = None,
) -> Declaration:
    """Report to the city every record of `methodology`, from day `first` to day `last`, that can be declared.

    For officers of the district. `seen`: the number of records and milligrams of CO2e that the officer said yes
    to. Raises NotAllowed, InvalidField, NothingToDeclare, EstimateChanged.
    """

    def work(connection: Connection) -> Declaration:
        with session_on(connection) as session:
            _require_officer(house, session, principal)
            check_period(session, methodology, first, last)
            keep_voids_out(connection)
            declaration_id = ids.new_id()
            if not _take_records(connection, declaration_id, methodology, first, last):
                raise NothingToDeclare
            said = {
                "id": declaration_id,
                "methodology": methodology,
                "first": first,
                "last": last,
                "state": DeclarationState.REPORTED,
                "reported_by": principal.id,
                "reported_at": clock.now(),
            }
            _add_up(connection, said)
            declaration = session.get_one(Declaration, declaration_id)
            if seen not in {None, (declaration.actions, declaration.co2e_mg)}:
                raise EstimateChanged
            detail = {"first": first.isoformat(), "last": last.isoformat(), "actions": declaration.actions}
            _note(session, principal, declaration, methodology=methodology, **detail)
            return declaration

    return house.db.run(work)


def _take_records(
    connection: Connection, declaration_id: UUID, methodology: str, first: date, last: date
) -> int:
    """Write down which records are declared; how many they are."""
    chosen = sa.select(sa.literal(declaration_id, sa.Uuid()), col(Action.id), sa.true()).where(
        *declared.undeclared(methodology, first, last)
    )
    taken = sa.insert(DeclaredAction).from_select(["declaration_id", "action_id", "standing"], chosen)
    return connection.execute(taken, execution_options={"preserve_rowcount": True}).rowcount


def _add_up(connection: Connection, said: dict[str, Any]) -> None:
    """Write the declaration with the sums over the records taken: whatever was recorded since is not in them."""
    columns = Declaration.__table__.c  # type: ignore[attr-defined]
    sums = ("co2e_mg", "co2e_mid_mg", "co2e_high_mg")
    values = [
        *(sa.literal(value, columns[name].type) for name, value in said.items()),
        sa.func.count(),
        *(sa.func.sum(col(getattr(Action, name))) for name in sums),
    ]
    query = (
        sa.select(*values)
        .join_from(DeclaredAction, Action, col(Action.id) == col(DeclaredAction.action_id))
        .where(col(DeclaredAction.declaration_id) == said["id"])
    )
    connection.execute(sa.insert(Declaration).from_select([*said, "actions", *sums], query))


# --- what follows -------------------------------------------------------------------------------------------


def confirm(
    house: House, principal: Principal, declaration_id: UUID, *, city_reference: str, confirmed_mg: int
) -> Declaration:
    """Write down what the city confirmed, in milligrams of CO2e, under its reference.

    For officers of the district. Raises NotAllowed, NotFound, DeclarationMovedOn, InvalidField for a reference
    that is missing or another declaration's, and for more than was reported.
    """

    def told(session: Session, declaration: Declaration) -> dict[str, Any]:
        reference = _line(city_reference, "city_reference", 100, N_("请填写市级文号（1 到 100 字）。"))
        taken = select(Declaration.id).where(Declaration.city_reference == reference)
        if session.exec(taken).first():
            _refuse("city_reference", N_("这个市级文号已用于另一份申报。"))
        if not 0 <= confirmed_mg <= declaration.co2e_mg:
            _refuse("confirmed_mg", N_("市级确认的量不能为负，也不能多于上报的量。"))
        return {"city_reference": reference, "confirmed_mg": confirmed_mg, "confirmed_at": clock.now()}

    return _step(house, principal, declaration_id, DeclarationState.CONFIRMED, told)


def use(house: House, principal: Principal, declaration_id: UUID, *, used_for: str) -> Declaration:
    """Write down the one end use of a confirmed reduction.

    For officers of the district. Raises NotAllowed, NotFound, DeclarationMovedOn, InvalidField.
    """

    def told(_session: Session, _declaration: Declaration) -> dict[str, Any]:
        purpose = _line(used_for, "used_for", 200, N_("请写明用途（1 到 200 字）。"))
        return {"used_for": purpose, "used_at": clock.now()}

    return _step(house, principal, declaration_id, DeclarationState.USED, told)


def withdraw(house: House, principal: Principal, declaration_id: UUID, *, reason: str) -> Declaration:
    """Take a report back before the city has confirmed it: its records are free again.

    For officers of the district. Raises NotAllowed, NotFound, DeclarationMovedOn, InvalidField (no reason).
    """

    def told(_session: Session, _declaration: Declaration) -> dict[str, Any]:
        return {"withdrawn_because": audit.reason(reason), "withdrawn_at": clock.now()}

    def free(session: Session, declaration: Declaration) -> None:
        records = sa.update(DeclaredAction).where(col(DeclaredAction.declaration_id) == declaration.id)
        session.connection().execute(records.values(standing=False))

    return _step(house, principal, declaration_id, DeclarationState.WITHDRAWN, told, free)


def _step(
    house: House,
    principal: Principal,
    declaration_id: UUID,
    state: DeclarationState,
    told: Callable[[Session, Declaration], dict[str, Any]],
    then: Callable[[Session, Declaration], None] | None = None,
) -> Declaration:
    """Bring a declaration to `state` with what is `told`; of two who try at once the second sees what the first did."""

    def work(connection: Connection) -> Declaration:
        with session_on(connection) as session:
            _require_officer(house, session, principal)
            wanted = select(Declaration).where(Declaration.id == declaration_id).with_for_update()
            declaration = session.exec(wanted).first()
            if declaration is None:
                raise NotFound
            if (declaration.state, state) not in STEPS:
                raise DeclarationMovedOn(state=declaration.state)
            declaration.sqlmodel_update({**told(session, declaration), "state": state})
            session.add(declaration)
            session.flush()
            if then:
                then(session, declaration)
            _note(session, principal, declaration, reason=declaration.withdrawn_because or "")
            return declaration

    return house.db.run(work)


def _require_officer(house: House, session: Session, principal: Principal) -> None:
    require(session, principal, {Role.OFFICER}, division_code=house.settings.district_code)


def _line(text: str, field: str, longest: int, reason: str) -> str:
    line = " ".join(text.split())
    if not 1 <= len(line) <= longest:
        _refuse(field, reason)
    return line


def _refuse(field: str, reason: str) -> NoReturn:
    raise InvalidField(errors=[{"field": field, "reason": reason}])


def _note(session: Session, principal: Principal, declaration: Declaration, **more: Any) -> None:
    audit.note_by(
        session,
        principal,
        deed=f"declaration.{declaration.state}",
        subject=declared.subject(declaration.id),
        **more,
    )
