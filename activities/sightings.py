"""What may be unusual at a code, looked for every two minutes, after the fact; how much is unusual is a setting.

- many accounts on one printed code within ten minutes, far above its own week before (`burst`), or from unusually many
  街镇 (`posted`);
- attempts with codes that were used or expired piling up, as a passed-on picture makes them (`posted`);
- refused attempts outside the hours of a site, and records at night at a site that states none (`hours`);
- more accounts on one phone in a day than a family has (`device`).

It reads what is there, so what was told before is told again and nothing is counted twice.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import col

from activities.actions import Action
from activities.attempts import ScanAttempt
from activities.codes import Code, CodeKind
from activities.devices import DeviceUse
from activities.signals import Sighting, SignalKind, raise_signals
from activities.sites import Site
from activities.voiding import first_id
from tanpuhui import clock
from tanpuhui.errors import RotatingCodeExpired, SiteNotOpen, SlipUsed
from tanpuhui.i18n import N_
from tanpuhui.jobs import Job
from tanpuhui.rooms import House

EVERY = timedelta(minutes=2)

#: What is counted together, how far each look goes back (a worker may have stood still), and what tells the usual.
SPAN, LOOK_BACK, USUAL = timedelta(minutes=10), timedelta(hours=2), timedelta(days=7)

#: The hours in which nobody is expected where a site states none.
NIGHT = range(5)


def look(house: House, connection: Connection, moment: datetime) -> None:
    """Raise what is unusual at `moment`."""
    bursts, spread = crowds(house, connection, moment)
    raise_signals(connection, SignalKind.BURST, bursts)
    raise_signals(connection, SignalKind.POSTED, spread)
    at_hand = house.settings
    replays = (RotatingCodeExpired.code, SlipUsed.code)
    refused = refusals(connection, moment, replays, at_hand.signal_replay_accounts)
    raise_signals(connection, SignalKind.POSTED, refused)
    shut = refusals(connection, moment, (SiteNotOpen.code,), at_hand.signal_hours_accounts)
    raise_signals(connection, SignalKind.HOURS, shut)
    raise_signals(connection, SignalKind.HOURS, at_night(connection, moment, at_hand.signal_hours_accounts))
    raise_signals(connection, SignalKind.DEVICE, shared(connection, moment, at_hand.signal_device_accounts))


JOBS = (Job("signals", N_("查看扫码有没有异常"), EVERY, look),)


# --- many at once ------------------------------------------------------------------------------------------

#: A record as far as crowds go: when, whose, and from which 街镇.
Mark = tuple[datetime, UUID, str]


def crowds(house: House, connection: Connection, moment: datetime) -> tuple[list[Sighting], list[Sighting]]:
    """Printed codes with many accounts within a short time, and those with accounts of many 街镇."""
    settings = house.settings
    since = moment - LOOK_BACK
    found: tuple[list[Sighting], list[Sighting]] = ([], [])
    few = min(settings.signal_burst_accounts, settings.signal_burst_streets)
    for code_id, site_id in _busy(connection, since, few):
        week = _marks(connection, code_id, since - USUAL)
        now = [mark for mark in week if mark[0] >= since]
        before = [mark for mark in week if mark[0] < since]
        for out, least, key, of in (
            (found[0], settings.signal_burst_accounts, "accounts", _account),
            (found[1], settings.signal_burst_streets, "streets", _street),
        ):
            most, first, last = peak(now, of)
            if most < least:
                continue
            usual = peak(before, of)[0]
            if most >= settings.signal_times_usual * usual:
                detail = {key: most, "usual": usual, "minutes": int(SPAN.total_seconds()) // 60}
                out.append(Sighting(site_id, most, first, last, code_id=code_id, detail=detail))
    return found


def _account(mark: Mark) -> UUID:
    return mark[1]


def _street(mark: Mark) -> str:
    return mark[2]


def peak(
    marks: Sequence[Mark], of: Callable[[Mark], UUID | str], span: timedelta = SPAN
) -> tuple[int, datetime, datetime]:
    """The most different `of` within any `span`, with the first and the last moment of that span's records."""
    most, best = 0, (datetime.min.replace(tzinfo=clock.SHANGHAI),) * 2
    inside: Counter[UUID | str] = Counter()
    start = 0
    for mark in marks:
        inside[of(mark)] += 1
        while mark[0] - marks[start][0] > span:
            gone = of(marks[start])
            inside[gone] -= 1
            if not inside[gone]:
                del inside[gone]
            start += 1
        if len(inside) > most:
            most, best = len(inside), (marks[start][0], mark[0])
    return most, *best


def _busy(connection: Connection, since: datetime, accounts: int) -> Sequence[tuple[int, UUID]]:
    """Printed codes with at least so many accounts since a moment, and where they hang."""
    different = sa.func.count(sa.distinct(col(Action.resident_id)))
    rows = connection.execute(
        sa.select(col(Code.id), col(Code.site_id))
        .join(Action, col(Action.code_id) == col(Code.id))
        .where(
            col(Action.id) >= first_id(since),
            col(Action.recorded_at) >= since,
            col(Code.kind) == CodeKind.PLACE,
            col(Code.evidence) == "site_code",
        )
        .group_by(col(Code.id), col(Code.site_id))
        .having(different >= accounts)
    )
    return [(row[0], row[1]) for row in rows]


def _marks(connection: Connection, code_id: int, since: datetime) -> list[Mark]:
    rows = connection.execute(
        sa.select(col(Action.recorded_at), col(Action.resident_id), col(Action.division_code))
        .where(
            col(Action.id) >= first_id(since),
            col(Action.recorded_at) >= since,
            col(Action.code_id) == code_id,
        )
        .order_by(col(Action.recorded_at))
    )
    return [(row[0], row[1], row[2][:9]) for row in rows]


# --- refused, and at night ---------------------------------------------------------------------------------


def refusals(
    connection: Connection, moment: datetime, reasons: Collection[str], accounts: int
) -> list[Sighting]:
    """Codes on which at least so many accounts were refused today for one of `reasons`."""
    different = sa.func.count(sa.distinct(col(ScanAttempt.resident_id)))
    rows = connection.execute(
        sa.select(
            col(ScanAttempt.code_id),
            col(ScanAttempt.site_id),
            different,
            sa.func.min(col(ScanAttempt.first_at)),
            sa.func.max(col(ScanAttempt.last_at)),
        )
        .where(col(ScanAttempt.day) == clock.day_of(moment), col(ScanAttempt.reason).in_(reasons))
        .where(col(ScanAttempt.last_at) >= clock.day_bounds(clock.day_of(moment))[0])
        .group_by(col(ScanAttempt.code_id), col(ScanAttempt.site_id))
        .having(different >= accounts)
    )
    return [
        Sighting(site_id, count, first_at, last_at, code_id=code_id, detail={"refused": count})
        for code_id, site_id, count, first_at, last_at in rows
    ]


def at_night(connection: Connection, moment: datetime, accounts: int) -> list[Sighting]:
    """Codes at sites that state no hours, with records of at least so many accounts between midnight and five."""
    midnight = clock.day_bounds(clock.day_of(moment))[0]
    if moment - midnight > timedelta(hours=NIGHT.stop) + LOOK_BACK:
        return []  # told by now: no need to go through the whole day
    rows = connection.execute(
        sa.select(col(Action.code_id), col(Action.site_id), col(Action.resident_id), col(Action.occurred_at))
        .join(Site, col(Site.id) == col(Action.site_id))
        .where(
            col(Action.id) >= first_id(midnight),
            col(Action.occurred_at) >= midnight,
            col(Action.occurred_at) < midnight + timedelta(hours=NIGHT.stop),
            col(Site.schedule) == "",
            col(Action.recorded_by).is_(None),
        )
    )
    seen: dict[tuple[int, UUID], list[tuple[UUID, datetime]]] = defaultdict(list)
    for code_id, site_id, resident_id, occurred_at in rows:
        seen[code_id, site_id].append((resident_id, occurred_at))
    return list(_of_the_night(seen, accounts))


def _of_the_night(
    seen: dict[tuple[int, UUID], list[tuple[UUID, datetime]]], accounts: int
) -> Iterator[Sighting]:
    for (code_id, site_id), deeds in seen.items():
        count = len({resident_id for resident_id, _ in deeds})
        moments = [moment for _, moment in deeds]
        if count >= accounts:
            yield Sighting(
                site_id, count, min(moments), max(moments), code_id=code_id, detail={"night": count}
            )


# --- one phone ---------------------------------------------------------------------------------------------


def shared(connection: Connection, moment: datetime, accounts: int) -> list[Sighting]:
    """Codes that a phone used today or yesterday, if it had more than so many accounts on that day."""
    days = [clock.day_of(moment), clock.day_of(moment - timedelta(days=1))]
    different = sa.func.count(sa.distinct(col(DeviceUse.resident_id))).label("accounts")
    phones = (
        sa.select(col(DeviceUse.day), col(DeviceUse.mark), different)
        .where(col(DeviceUse.day).in_(days))
        .group_by(col(DeviceUse.day), col(DeviceUse.mark))
        .having(different > accounts)
        .subquery()
    )
    rows = connection.execute(
        sa.select(
            col(DeviceUse.code_id),
            col(Code.site_id),
            col(DeviceUse.day),
            phones.c.accounts,
            col(DeviceUse.seen_at),
        )
        .join(phones, (phones.c.day == col(DeviceUse.day)) & (phones.c.mark == col(DeviceUse.mark)))
        .join(Code, col(Code.id) == col(DeviceUse.code_id))
        .order_by(col(DeviceUse.seen_at))
    ).all()
    seen: dict[tuple[int, str], Sighting] = {}
    for code_id, site_id, day, count, at in rows:
        known = seen.get((code_id, str(day)))
        most = max(count, known.count if known else 0)
        seen[code_id, str(day)] = Sighting(
            site_id, most, known.first_at if known else at, at, code_id=code_id, detail={"accounts": most}
        )
    return list(seen.values())
