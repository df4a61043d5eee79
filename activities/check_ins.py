"""Check-in: who has a place at a gathering, and came, gets a certificate of attendance.

By a helper who scans the member's code, or by the code on the screen at the place, which the resident scans. Once for each
sign-up, however often it is tried. The certificate says what was attended, when and by whom it was held; how long somebody
stayed nobody asks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, Session, SQLModel, col, select

from activities.codes import letters_in, period_of
from activities.gathering_list import Seen, seen
from activities.gatherings import Gathering, may_manage, note, take_turn_of
from activities.members import HELPERS, holder_of, read_member
from activities.sign_ups import SignUp, check_people, enter, has_room, own_sign_up
from tanpuhui import clock, ids, signing
from tanpuhui.config import Settings
from tanpuhui.db import session_on
from tanpuhui.errors import (
    CodeInvalid,
    GatheringCancelled,
    NoPlaceLeft,
    NotCheckInTime,
    NotFound,
    ResidentInactive,
    RotatingCodeExpired,
    StillWaiting,
)
from tanpuhui.people import ResidentStatus, take_turn
from tanpuhui.rooms import House
from tanpuhui.schema import Guard
from tanpuhui.sessions import Principal
from tanpuhui.signing import Form, Token

#: Check-in opens so long before it begins: long enough for a queue at the door, too short to come for the certificate alone.
OPENS_BEFORE = timedelta(hours=1)


class CheckIn(SQLModel, table=True):
    """Somebody came. `number` is that of the certificate; `checked_in_by` the helper, None for the code on the screen.

    `resident_id` is None once its holder has given the certificate up or left; then its number is good for nothing.
    """

    __tablename__ = "check_in"

    sign_up_id: UUID = Field(foreign_key="sign_up.id", primary_key=True)
    resident_id: UUID | None = Field(default=None, foreign_key="resident.id", index=True)
    number: str = Field(max_length=24, unique=True)
    checked_in_at: datetime
    checked_in_by: UUID | None = Field(default=None, foreign_key="staff.id")


GUARDS = (
    Guard(
        "check_in",
        "placed",
        "INSERT",
        "NOT EXISTS (SELECT 1 FROM sign_up s WHERE s.id = NEW.sign_up_id AND s.placed_at IS NOT NULL)",
        "there is no place for it",
    ),
    Guard(
        "check_in",
        "fixed",
        "UPDATE",
        "NEW.sign_up_id <> OLD.sign_up_id OR NEW.number <> OLD.number OR NEW.checked_in_at <> OLD.checked_in_at "
        "OR NEW.checked_in_by {differs} OLD.checked_in_by "
        "OR (NEW.resident_id IS NOT NULL AND NEW.resident_id {differs} OLD.resident_id)",
        "only its holder is forgotten",
    ),
    Guard("check_in", "kept", "DELETE", "true", "who came is counted for good"),
)


# --- the code on the screen --------------------------------------------------------------------------------


def is_check_in(settings: Settings, text: str) -> bool:
    """Whether a token, or a scanned address, is a check-in code of ours."""
    try:
        return signing.keyring(settings).read(letters_in(text)).form is Form.GATHERING
    except CodeInvalid:
        return False


def check_in_token(settings: Settings, gathering: Gathering, moment: datetime) -> str:
    """What the screen of a gathering shows at `moment`."""
    return signing.keyring(settings).sign(Token(Form.GATHERING, gathering.code, (period_of(moment),)))


def gathering_of_token(session: Session, settings: Settings, text: str, opened_at: datetime) -> Gathering:
    """The gathering whose check-in code was opened at a moment. Raises CodeInvalid, RotatingCodeExpired."""
    token = signing.keyring(settings).read(text)
    found = (
        session.exec(select(Gathering).where(Gathering.code == token.number)).first()
        if token.form is Form.GATHERING
        else None
    )
    if found is None:
        raise CodeInvalid
    if abs(token.more[0] - period_of(opened_at)) > 1:
        raise RotatingCodeExpired
    return found


# --- checking in -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Arrival:
    """A check-in and its sign-up; `again`: it was made before. `ending`: the last letters of the member's code."""

    check_in: CheckIn
    sign_up: SignUp
    again: bool
    ending: str = ""


def check_window(gathering: Gathering, now: datetime, *, until: datetime | None = None) -> None:
    """Refuse check-in before it opens and after the end. Raises GatheringCancelled, NotCheckInTime."""
    if gathering.cancelled_at is not None:
        raise GatheringCancelled
    opens = gathering.starts_at - OPENS_BEFORE
    if not opens <= now < (until or gathering.ends_at):
        raise NotCheckInTime(opens=_clock(opens), ends=_clock(gathering.ends_at))


def _clock(moment: datetime) -> str:
    return f"{clock.local(moment):%Y-%m-%d %H:%M}"


def check_in(
    house: House, resident_id: UUID, gathering_id: UUID, *, people: int = 1, by: Principal | None = None
) -> Arrival:
    """Note that a resident came; the same again is the same. Who had not signed up gets a place if one is left.

    `people`: how many a class is that had not signed up. Raises NotFound, ResidentInactive, GatheringCancelled,
    NotCheckInTime, StillWaiting, NoPlaceLeft, InvalidField (``people``); NotAllowed for a helper of elsewhere.
    """

    def work(connection: Connection) -> Arrival:
        resident = take_turn(connection, [resident_id]).get(resident_id)
        if resident is None or resident.status != ResidentStatus.ACTIVE:
            raise ResidentInactive
        with session_on(connection) as session:
            gathering = take_turn_of(session, gathering_id)
            if by is not None:
                may_manage(session, by, gathering, HELPERS)
            mine = own_sign_up(session, gathering_id, resident_id)
            done = session.get(CheckIn, mine.id) if mine else None
            if mine and done:
                return Arrival(done, mine, again=True)
            now = clock.now()
            check_window(gathering, now)
            mine = mine or _at_the_door(session, gathering, resident_id, people, now)
            if mine.placed_at is None:
                raise StillWaiting
            return _arrive(session, gathering, mine, by, now)

    return house.db.run(work)


def _at_the_door(
    session: Session, gathering: Gathering, resident_id: UUID, people: int, now: datetime
) -> SignUp:
    """A place for somebody who had not signed up. Raises NoPlaceLeft: places are left by those signed up and walk-ins."""
    check_people(session, gathering, resident_id, people)
    if not has_room(session, gathering, people + gathering.walk_ins):
        raise NoPlaceLeft
    return enter(session, gathering, resident_id, people, now)


def _arrive(
    session: Session, gathering: Gathering, mine: SignUp, by: Principal | None, now: datetime
) -> Arrival:
    done = CheckIn(
        sign_up_id=mine.id,
        resident_id=mine.resident_id,
        number=ids.certificate_number("G", gathering.day.year),
        checked_in_at=now,
        checked_in_by=by.id if by else None,
    )
    session.add(done)
    session.flush()
    if by is not None:
        note(session, by, gathering, "checked_in")
    return Arrival(done, mine, again=False)


def check_in_member(house: House, principal: Principal, gathering_id: UUID, member: str) -> Arrival:
    """Check the holder of a member's code in, for helpers in the scope of the gathering.

    Raises the refusals of the code, and those of `check_in`.
    """
    number = read_member(house.settings, member)
    with house.db.reading_session() as session:
        gathering = session.get(Gathering, gathering_id)
        if gathering is None:
            raise NotFound
        may_manage(session, principal, gathering, HELPERS)
        resident_id = holder_of(session.connection(), number)
    done = check_in(house, resident_id, gathering_id, by=principal)
    ending = signing.letters_of(letters_in(member))[-4:]
    return Arrival(done.check_in, done.sign_up, done.again, ending)


def people_who_came(session: Session, gathering: Gathering) -> int:
    """How many people came, with an account and without."""
    by_account = select(sa.func.coalesce(sa.func.sum(SignUp.people), 0)).join(CheckIn)
    return gathering.walk_ins + int(session.exec(by_account.where(SignUp.gathering_id == gathering.id)).one())


# --- certificates ------------------------------------------------------------------------------------------


def own_check_in(session: Session, resident_id: UUID, gathering_id: UUID) -> tuple[CheckIn, int] | None:
    """A resident's check-in at a gathering and of how many people it was, as long as they keep its certificate."""
    mine = (
        select(CheckIn, SignUp.people)
        .join(SignUp)
        .where(CheckIn.resident_id == resident_id, SignUp.gathering_id == gathering_id)
    )
    return session.exec(mine).first()


def own_gatherings(session: Session, resident_id: UUID) -> Sequence[tuple[Seen, SignUp, CheckIn | None]]:
    """What a resident signed up for or holds a certificate of, the latest first."""
    mine = sa.or_(col(SignUp.resident_id) == resident_id, col(CheckIn.resident_id) == resident_id)
    rows = session.exec(
        select(SignUp, CheckIn)
        .join(CheckIn, col(CheckIn.sign_up_id) == col(SignUp.id), isouter=True)
        .join(Gathering, col(Gathering.id) == col(SignUp.gathering_id))
        .where(mine)
        .order_by(col(Gathering.starts_at).desc())
        .limit(100)
    ).all()
    return [
        (seen(session, row.gathering_id), row, done if done and done.resident_id == resident_id else None)
        for row, done in rows
    ]


def give_certificate_up(house: House, resident_id: UUID, gathering_id: UUID) -> None:
    """Forget whose a certificate was: that somebody came stays counted, the number is good no more. Twice is once."""
    with house.db.session() as session:
        take_turn(session.connection(), [resident_id])
        mine = own_check_in(session, resident_id, gathering_id)
        if mine is not None:
            mine[0].resident_id = None
            session.add(mine[0])


def verify(session: Session, text: str) -> Seen | None:
    """The gathering of which somebody holds a certificate with this number, if anybody does; never who."""
    holds = (CheckIn.number == ids.read_certificate_number(text), col(CheckIn.resident_id).is_not(None))
    gathering_id = session.exec(select(SignUp.gathering_id).join(CheckIn).where(*holds)).first()
    return seen(session, gathering_id) if gathering_id else None


def forget(connection: Connection, resident_id: UUID) -> None:
    """Forget whose certificates they were."""
    connection.execute(
        sa.update(CheckIn).where(col(CheckIn.resident_id) == resident_id).values(resident_id=None)
    )
