"""Taking part in a gathering: a resident signs up, and gives it up again, with one tap each."""

from uuid import UUID

from sqlalchemy.engine import Connection

from activities import gathering_news
from activities.gatherings import take_turn_of
from activities.sign_ups import SignUp, came, check_people, enter, move_up, own_sign_up
from tanpuhui import clock
from tanpuhui.db import session_on
from tanpuhui.errors import GatheringBegun, GatheringCancelled, ResidentInactive, SignUpClosed
from tanpuhui.people import ResidentStatus, take_turn
from tanpuhui.rooms import House


def sign_up(house: House, resident_id: UUID, gathering_id: UUID, people: int = 1) -> SignUp:
    """Sign a resident up for a place, or for the line that waits for one; twice is once.

    Raises NotFound, ResidentInactive, GatheringCancelled, SignUpClosed, InvalidField (``people``), SignedUpOtherwise.
    """

    def work(connection: Connection) -> SignUp:
        resident = take_turn(connection, [resident_id]).get(resident_id)
        if resident is None or resident.status != ResidentStatus.ACTIVE:
            raise ResidentInactive
        with session_on(connection) as session:
            gathering = take_turn_of(session, gathering_id)
            now = clock.now()
            if own_sign_up(session, gathering_id, resident_id) is None:
                if gathering.cancelled_at is not None:
                    raise GatheringCancelled
                if now >= gathering.sign_up_until:
                    raise SignUpClosed
                check_people(session, gathering, resident_id, people)
            return enter(session, gathering, resident_id, people, now)

    return house.db.run(work)


def give_up(house: House, resident_id: UUID, gathering_id: UUID) -> None:
    """Give a place, or the waiting for one, up; the first in line gets it and is told. Twice changes nothing.

    Raises NotFound, GatheringBegun.
    """

    def work(connection: Connection) -> None:
        take_turn(connection, [resident_id])
        with session_on(connection) as session:
            gathering = take_turn_of(session, gathering_id)
            mine = own_sign_up(session, gathering_id, resident_id)
            if mine is None:
                return
            if clock.now() >= gathering.starts_at or came(session, mine.id):
                raise GatheringBegun
            session.delete(mine)
            session.flush()
            move_up(session, gathering, clock.now())

    house.db.run(work)
    gathering_news.tell_now(house, gathering_id)
