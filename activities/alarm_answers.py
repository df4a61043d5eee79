"""Answers to alarms of the mass balance: why weights differ, in the words of staff. Added, never edited."""

from uuid import UUID

from sqlalchemy.engine import Connection
from sqlmodel import Session

from activities.mass_balance import AlarmKind, balance
from activities.material_hand_overs import require_either
from activities.recycling import AlarmAnswer, HandOver
from activities.sites import get_site
from tanpuhui import audit, clock
from tanpuhui.db import session_on
from tanpuhui.errors import AlarmMoved, NotFound
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal


def answer(house: House, principal: Principal, alarm: str, difference_g: int, reason: str) -> AlarmAnswer:
    """Say why the weights of `alarm` differ by so many grams.

    For staff of its site; of a hand-over, of either site. Raises NotFound, NotAllowed, InvalidField, AlarmMoved (answered before, or the
    difference is another one by now).
    """

    def work(connection: Connection) -> AlarmAnswer:
        with session_on(connection) as session:
            site_id = _site_of(session, principal, alarm)
            reason_kept = audit.reason(reason)
            standing = balance(connection, clock.today().replace(day=1), [site_id]).open
            if (alarm, difference_g) not in {(one.key, one.difference) for one in standing}:
                raise AlarmMoved
            row = AlarmAnswer(
                alarm=alarm,
                difference_g=difference_g,
                site_id=site_id,
                reason=reason_kept,
                answered_by=principal.id,
            )
            session.add(row)
            audit.note_by(
                session,
                principal,
                deed="alarm.answered",
                subject=f"site:{site_id}",
                reason=row.reason,
                alarm=alarm,
                grams=difference_g,
            )
            return row

    return house.db.run(work)  # of two who answer at once, the second is told


def _site_of(session: Session, principal: Principal, alarm: str) -> UUID:
    """The site of an alarm that `principal` may answer. Raises NotFound, NotAllowed."""
    kind, _, rest = alarm.partition(":")
    try:
        named = UUID(rest.partition(":")[0])
    except ValueError:
        raise NotFound from None
    if kind != AlarmKind.TRANSIT:
        return get_site(session, principal, named).id
    row = session.get(HandOver, named)
    if row is None or row.to_site_id is None:
        raise NotFound
    require_either(session, principal, row)
    return row.to_site_id
