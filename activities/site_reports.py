"""What people on the spot say of a site: open, full, closed. The last word counts for a while.

Everybody has one word on a site, the last one: another replaces it, and the same one again within `SAME_WORD` is a
second tap. Nobody is told whose word it is. A word earns no points and stops no scan; whether scans are credited is
for staff alone to say (`activities.sites.set_status`).
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, Session, SQLModel, col, select

from activities.sites import MANAGERS, Site, get_site
from tanpuhui import audit, clock, ids
from tanpuhui.db import enum_type, session_on
from tanpuhui.errors import InvalidField, NotFound, ResidentInactive, TooManyReports
from tanpuhui.i18n import N_
from tanpuhui.people import ResidentStatus, take_turn
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal
from tanpuhui.staff import Role

#: Bins are emptied and doors are opened once a day: what was said before tells nothing of now.
COUNTS_FOR = timedelta(hours=24)

#: The same word of the same person within this is a second tap.
SAME_WORD = timedelta(minutes=10)

#: More than anybody passes on foot in a day.
WORDS_A_DAY = 20

REPORTERS = (*MANAGERS, Role.HELPER)


class SiteCondition(StrEnum):
    """How somebody found a site."""

    OPEN = "open"
    FULL = "full"
    CLOSED = "closed"


#: How a site stands that staff closed, whatever anybody says.
PAUSED = "paused"

CONDITION_NAMES = {
    SiteCondition.OPEN.value: N_("可以使用"),
    SiteCondition.FULL.value: N_("满了"),
    SiteCondition.CLOSED.value: N_("没开"),
    PAUSED: N_("暂停开放"),
}


class SiteReport(SQLModel, table=True):
    """A resident's or a colleague's last word on a site. Kept for 30 days.

    `ordinal` is the how-manieth word it is for the resident on that day: its uniqueness and bound keep the limit true
    whatever races. Staff have none.
    """

    __tablename__ = "site_report"
    __table_args__ = (
        sa.UniqueConstraint("site_id", "resident_id"),
        sa.UniqueConstraint("site_id", "staff_id"),
        sa.UniqueConstraint("resident_id", "day", "ordinal"),
        sa.CheckConstraint("(resident_id IS NULL) <> (staff_id IS NULL)", name="one_voice"),
        sa.CheckConstraint(
            "(resident_id IS NULL) = (ordinal IS NULL)"
            f" AND (ordinal IS NULL OR ordinal BETWEEN 1 AND {WORDS_A_DAY})",
            name="ordinal",
        ),
    )

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    site_id: UUID = Field(foreign_key="site.id")
    resident_id: UUID | None = Field(default=None, foreign_key="resident.id")
    staff_id: UUID | None = Field(default=None, foreign_key="staff.id")
    condition: SiteCondition = Field(sa_column=sa.Column(enum_type(SiteCondition), nullable=False))
    reported_at: datetime
    day: date
    ordinal: int | None = None


# --- saying it ---------------------------------------------------------------------------------------------


def read_condition(text: str) -> SiteCondition:
    """The condition that a form or a body names. Raises InvalidField."""
    try:
        return SiteCondition(text)
    except ValueError:
        reason = N_("请选择：可以使用、满了或没开。")
        raise InvalidField(errors=[{"field": "condition", "reason": reason}]) from None


def report(house: House, principal: Principal, site_id: UUID, condition: SiteCondition) -> None:
    """Say how one found a site; one's earlier word on it goes.

    Raises NotFound, NotAllowed for staff outside their scope, TooManyReports after a resident's `WORDS_A_DAY`.
    """

    def work(connection: Connection) -> None:
        with session_on(connection) as session:
            if principal.kind == "staff":
                _say_as_staff(session, principal, site_id, condition)
            else:
                _say(session, principal.id, site_id, condition)

    house.db.run(work)


def _say(session: Session, resident_id: UUID, site_id: UUID, condition: SiteCondition) -> None:
    who = take_turn(session.connection(), [resident_id]).get(resident_id)
    if who is None or who.status != ResidentStatus.ACTIVE:
        raise ResidentInactive
    if session.get(Site, site_id) is None:
        raise NotFound
    now = clock.now()
    word = session.exec(
        select(SiteReport).where(SiteReport.site_id == site_id, SiteReport.resident_id == resident_id)
    ).first()
    if word and _same(word, condition, now):
        return
    said = _said_on(session, resident_id, clock.day_of(now))
    if said >= WORDS_A_DAY:
        _, tomorrow = clock.day_bounds(clock.day_of(now))
        raise TooManyReports(limit=WORDS_A_DAY, retry_after=int((tomorrow - now).total_seconds()) + 1)
    session.merge(
        SiteReport(
            id=word.id if word else ids.new_id(),
            site_id=site_id,
            resident_id=resident_id,
            condition=condition,
            reported_at=now,
            day=clock.day_of(now),
            ordinal=said + 1,
        )
    )


def _said_on(session: Session, resident_id: UUID, day: date) -> int:
    """How many words the resident has said on `day`, those included that a later one replaced."""
    latest = select(sa.func.max(SiteReport.ordinal)).where(
        SiteReport.resident_id == resident_id, SiteReport.day == day
    )
    return session.exec(latest).one() or 0


def _say_as_staff(session: Session, principal: Principal, site_id: UUID, condition: SiteCondition) -> None:
    get_site(session, principal, site_id, REPORTERS)
    now = clock.now()
    word = session.exec(
        select(SiteReport).where(SiteReport.site_id == site_id, SiteReport.staff_id == principal.id)
    ).first()
    if word and _same(word, condition, now):
        return
    session.merge(
        SiteReport(
            id=word.id if word else ids.new_id(),
            site_id=site_id,
            staff_id=principal.id,
            condition=condition,
            reported_at=now,
            day=clock.day_of(now),
        )
    )
    audit.note_by(
        session,
        principal,
        deed="site.reported",
        subject=f"site:{site_id}",
        condition=condition.value,
    )


def _same(word: SiteReport, condition: SiteCondition, now: datetime) -> bool:
    return word.condition == condition and now - word.reported_at < SAME_WORD


# --- what it tells -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Word:
    """What somebody said of a site, and whether staff said it."""

    condition: SiteCondition
    reported_at: datetime
    by_staff: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """How a site stands: whether staff closed it, and the `words` that count now, the latest first."""

    paused: bool
    words: tuple[Word, ...] = ()

    @property
    def condition(self) -> str:
        """A key of `CONDITION_NAMES`: the latest word; without one, a site is open."""
        if self.paused:
            return PAUSED
        return (self.words[0].condition if self.words else SiteCondition.OPEN).value

    @property
    def said(self) -> Mapping[SiteCondition, int]:
        """How many residents say what, if they disagree. What was said before staff last looked is answered."""
        since = max((word.reported_at for word in self.words if word.by_staff), default=None)
        fresh = [
            word for word in self.words if not word.by_staff and (since is None or word.reported_at > since)
        ]
        counts = Counter(word.condition for word in fresh)
        return {found: counts[found] for found in SiteCondition if counts[found]} if len(counts) > 1 else {}


def words_on(
    connection: Connection, site_ids: Collection[UUID], now: datetime
) -> dict[UUID, tuple[Word, ...]]:
    """What counts at `now` of what was said of these sites, the latest first; no key for a site nobody spoke of."""
    found: dict[UUID, list[Word]] = {}
    rows = connection.execute(
        sa.select(
            col(SiteReport.site_id),
            col(SiteReport.condition),
            col(SiteReport.reported_at),
            col(SiteReport.staff_id).is_not(None),
        )
        .where(col(SiteReport.site_id).in_(site_ids), col(SiteReport.reported_at) > now - COUNTS_FOR)
        .order_by(col(SiteReport.reported_at).desc(), col(SiteReport.id).desc())
    )
    for site_id, condition, reported_at, by_staff in rows:
        found.setdefault(site_id, []).append(Word(condition, reported_at, by_staff))
    return {site_id: tuple(words) for site_id, words in found.items()}


def own_word(connection: Connection, resident_id: UUID, site_id: UUID, now: datetime) -> Word | None:
    """A resident's own word on a site, while it counts."""
    row = connection.execute(
        sa.select(col(SiteReport.condition), col(SiteReport.reported_at)).where(
            col(SiteReport.site_id) == site_id,
            col(SiteReport.resident_id) == resident_id,
            col(SiteReport.reported_at) > now - COUNTS_FOR,
        )
    ).first()
    return Word(row.condition, row.reported_at, by_staff=False) if row else None
