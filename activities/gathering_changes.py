"""What becomes of a gathering by its organiser: changed, cancelled, and how many came without an account.

Until somebody has signed up anything may change; afterwards only the place, the times and more places, and everybody who
signed up is told.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Session, col, select

from activities import gathering_news
from activities.check_ins import CheckIn, check_window
from activities.gatherings import MOST_PLACES, Gathering, GatheringIn, check, may_manage, note, take_turn_of
from activities.sign_ups import SignUp, anybody, move_up
from activities.sites import MANAGERS
from tanpuhui import audit, clock
from tanpuhui.errors import GatheringBegun, GatheringCancelled, InvalidField
from tanpuhui.i18n import N_
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal
from tanpuhui.staff import require

#: What may change when people have signed up.
STILL_OPEN = frozenset({"place", "site_id", "starts_at", "ends_at", "sign_up_until", "places"})

#: Which field of the form a fixed one stands in.
_FIELD = {"division_code": "scope", "organisation_id": "scope"}


@dataclass(frozen=True, slots=True)
class Counts:
    """How many people signed up and have a place, wait for one, came with an account, and came without one."""

    placed: int
    waiting: int
    came: int
    walk_ins: int


def counts(session: Session, gathering: Gathering) -> Counts:
    """How many people have to do with a gathering."""
    rows = session.exec(
        select(
            col(SignUp.placed_at).is_not(None), col(CheckIn.number).is_not(None), sa.func.sum(SignUp.people)
        )
        .join(CheckIn, col(CheckIn.sign_up_id) == col(SignUp.id), isouter=True)
        .where(SignUp.gathering_id == gathering.id)
        .group_by(col(SignUp.placed_at).is_not(None), col(CheckIn.number).is_not(None))
    ).all()
    return Counts(
        placed=sum(int(people) for placed, _came, people in rows if placed),
        waiting=sum(int(people) for placed, _came, people in rows if not placed),
        came=sum(int(people) for _placed, came, people in rows if came),
        walk_ins=gathering.walk_ins,
    )


def change(house: House, principal: Principal, gathering_id: UUID, gathering_in: GatheringIn) -> Gathering:
    """Let a gathering be what the form says now. With nothing new nothing happens.

    Raises NotFound, NotAllowed, GatheringCancelled, GatheringBegun, InvalidField.
    """
    with house.db.session() as session:
        gathering = _own(session, principal, gathering_id)
        before = {name: getattr(gathering, name) for name in GatheringIn.model_fields}
        wanted = gathering_in.model_dump()
        new = {name for name, value in wanted.items() if before[name] != value}
        if not new:
            return gathering
        promised = anybody(session, gathering_id)
        if promised:
            _check_promised(gathering, gathering_in, new)
        require(
            session,
            principal,
            MANAGERS,
            division_code=gathering_in.division_code,
            organisation_id=gathering_in.organisation_id,
        )
        check(session, principal, gathering_in)
        for name in new:
            setattr(gathering, name, wanted[name])
        if promised:
            gathering.changes += 1
            gathering.changed_at = clock.now()
        session.add(gathering)
        session.flush()
        move_up(session, gathering, clock.now())
        note(session, principal, gathering, "changed", fields=sorted(new))
    gathering_news.tell_now(house, gathering_id)
    return gathering


def _check_promised(gathering: Gathering, gathering_in: GatheringIn, new: set[str]) -> None:
    wrong = {_FIELD.get(name, name): N_("已经有人报名，这一项不能再改。") for name in new - STILL_OPEN}
    if gathering_in.places < gathering.places:
        wrong["places"] = N_("已经有人报名，名额只能增加。")
    if wrong:
        raise InvalidField(errors=[{"field": field, "reason": reason} for field, reason in wrong.items()])


def cancel(house: House, principal: Principal, gathering_id: UUID, reason: str) -> None:
    """Cancel a gathering that has not begun; everybody who signed up is told why. Twice changes nothing.

    Raises NotFound, NotAllowed, GatheringBegun, InvalidField (no reason).
    """
    reason = audit.reason(reason)
    with house.db.session() as session:
        try:
            gathering = _own(session, principal, gathering_id)
        except GatheringCancelled:
            return
        gathering.cancelled_at, gathering.cancel_reason = clock.now(), reason
        session.add(gathering)
        note(session, principal, gathering, "cancelled", reason=reason)
    gathering_news.tell_now(house, gathering_id)


def _own(session: Session, principal: Principal, gathering_id: UUID) -> Gathering:
    """One's own gathering, which stands and has not begun. Raises NotFound, NotAllowed, GatheringCancelled, GatheringBegun."""
    gathering = take_turn_of(session, gathering_id)
    may_manage(session, principal, gathering)
    if gathering.cancelled_at is not None:
        raise GatheringCancelled
    checked_in = select(CheckIn.number).join(SignUp).where(SignUp.gathering_id == gathering_id)
    if clock.now() >= gathering.starts_at or session.exec(checked_in.limit(1)).first():
        raise GatheringBegun
    return gathering


def counted_until(gathering: Gathering) -> datetime:
    """Until when it can be said how many came: organisers count when the chairs are put away."""
    return clock.day_bounds(clock.day_of(gathering.ends_at))[1]


def count_walk_ins(house: House, principal: Principal, gathering_id: UUID, people: int) -> None:
    """Say how many people came without an account, all in all; from the opening of check-in to the end of the day.

    Raises NotFound, NotAllowed, GatheringCancelled, NotCheckInTime, InvalidField.
    """
    if not 0 <= people <= MOST_PLACES:
        raise InvalidField(errors=[{"field": "people", "reason": N_("人数应为 0 到 5000。")}])
    with house.db.session() as session:
        gathering = take_turn_of(session, gathering_id)
        may_manage(session, principal, gathering)
        check_window(gathering, clock.now(), until=counted_until(gathering))
        if gathering.walk_ins != people:
            gathering.walk_ins = people
            session.add(gathering)
            note(session, principal, gathering, "walk_ins", people=people)
