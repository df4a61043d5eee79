"""What holders of vouchers are told in their inbox, and the jobs that lapse vouchers and tell of it in time."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from rewards.redemptions import about_to_lapse, lapse
from rewards.vouchers import Held, Redemption, own_voucher
from tanpuhui.db import session_on
from tanpuhui.errors import NotFound
from tanpuhui.i18n import N_
from tanpuhui.inbox import Note, tell
from tanpuhui.jobs import Job
from tanpuhui.letters import Letter
from tanpuhui.rooms import House


def _seen(connection: Connection, resident_id: UUID, params: Mapping[str, Any]) -> Held | None:
    """The voucher that the message is about."""
    with session_on(connection) as session:
        try:
            return own_voucher(session, resident_id, UUID(params["voucher"]))
        except NotFound:
            return None


ABOUT_TO_LAPSE = Letter(
    "voucher.about_to_lapse", "rewards/letters/about_to_lapse.html", icon="clock", look=_seen
)
LAPSED = Letter("voucher.lapsed", "rewards/letters/voucher_lapsed.html", icon="undo", look=_seen)
TAKEN_BACK = Letter("voucher.cancelled", "rewards/letters/voucher_cancelled.html", icon="undo", look=_seen)

LETTERS = (ABOUT_TO_LAPSE, LAPSED, TAKEN_BACK)


def _tell(connection: Connection, letter: Letter, vouchers: Sequence[Redemption], now: datetime) -> None:
    tell(
        connection,
        [
            Note(letter, one.resident_id, str(one.id), {"voucher": str(one.id)}, told_at=now)
            for one in vouchers
        ],
    )


def _lapse(_house: House, connection: Connection, now: datetime) -> None:
    _tell(connection, LAPSED, lapse(connection, now), now)


def _remind(_house: House, connection: Connection, now: datetime) -> None:
    _tell(connection, ABOUT_TO_LAPSE, about_to_lapse(connection, now), now)


#: Two jobs, because each takes residents' turns before it takes any other.
JOBS = (
    Job("lapse vouchers", N_("让过期的兑换券失效"), timedelta(minutes=5), _lapse),
    Job("remind of vouchers", N_("提醒居民兑换券快到期了"), timedelta(hours=1), _remind),
)
