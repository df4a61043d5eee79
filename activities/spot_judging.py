"""What officers of the district do with spot checks: read them, draw a month by hand, and say what they found, once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Session, col, select

from activities.actions import Action, ActionVoid
from activities.campaigns import Campaign
from activities.catalogue import ActionKind
from activities.sites import Site
from activities.spot_checks import Outcome, Scope, SpotCheck, SpotCheckItem, draw, months_over, undrawn
from tanpuhui import audit, clock
from tanpuhui.bureau.participation import READERS, may_read
from tanpuhui.db import session_on
from tanpuhui.errors import AlreadyJudged, InvalidField, JudgesOwnRecords, NotFound
from tanpuhui.i18n import N_
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal
from tanpuhui.staff import Role, covers, grants_of, require

JUDGES = (Role.OFFICER,)

OUTCOME_NAMES = {
    Outcome.RIGHT: N_("没有问题"),
    Outcome.WRONG_QUANTITY: N_("数量不对"),
    Outcome.WRONG_KIND: N_("种类不对"),
    Outcome.DID_NOT_HAPPEN: N_("没有发生"),
    Outcome.WRONG_OTHER: N_("其他错误"),
    Outcome.CANNOT_TELL: N_("看不出来"),
}


# --- drawing by hand ---------------------------------------------------------------------------------------


def draw_month(house: House, principal: Principal, month: date) -> int:
    """Draw every sample of a month that is over and has none yet, each in a turn of its own; how many were drawn.

    Raises NotAllowed, InvalidField (``month``: not over, or more than a year ago).
    """
    may_read(house, principal, JUDGES)
    if month not in months_over(house.settings, clock.now()):
        raise InvalidField(errors=[{"field": "month", "reason": N_("请选择已经结束的月份。")}])
    with house.db.reading() as connection:
        scopes = list(undrawn(connection, month))

    def one(scope: Scope) -> bool:
        return house.db.run(
            lambda connection: draw(house, connection, scope, month, clock.now(), principal.id)
        )

    drawn = sum(one(scope) for scope in scopes)
    if drawn:
        with house.db.session() as session:
            audit.note_by(
                session,
                principal,
                deed="spot_check.drawn",
                subject=f"month:{month:%Y-%m}",
                samples=drawn,
            )
    return drawn


# --- reading -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample, the name of its site or campaign, and how many of its items have been looked into."""

    check: SpotCheck
    name: str
    items: int
    judged: int


def samples_of(session: Session, month: date) -> Sequence[Sample]:
    """The samples of a month that hold something, those with most left to do first; sites before campaigns."""
    rows = session.exec(
        select(
            SpotCheck,
            sa.func.coalesce(col(Site.name), col(Campaign.title)),
            sa.func.count(col(SpotCheckItem.action_id)),
            sa.func.count(col(SpotCheckItem.outcome)),
        )
        .join(SpotCheckItem, col(SpotCheckItem.spot_check_id) == col(SpotCheck.id))
        .join(Site, col(Site.id) == col(SpotCheck.site_id), isouter=True)
        .join(Campaign, col(Campaign.id) == col(SpotCheck.campaign_id), isouter=True)
        .where(SpotCheck.month == month)
        .group_by(*SpotCheck.__table__.c, col(Site.name), col(Campaign.title))  # type: ignore[attr-defined]
    ).all()
    found = [Sample(*row) for row in rows]
    return sorted(found, key=lambda one: (one.check.site_id is None, one.judged - one.items, one.name))


@dataclass(frozen=True, slots=True)
class Looked:
    """An item, its record and the unit, where it was made, what became of it; `own`: not for this officer to judge."""

    item: SpotCheckItem
    action: Action
    unit: str
    site: Site
    void: ActionVoid | None
    own: bool


def one_sample(
    session: Session, house: House, principal: Principal, check_id: UUID
) -> tuple[SpotCheck, str, Sequence[Looked]]:
    """A sample, its name, and its items in the order of the draw. Raises NotAllowed, NotFound."""
    require(session, principal, READERS, division_code=house.settings.district_code)
    check = session.get(SpotCheck, check_id)
    if check is None:
        raise NotFound
    name = (
        session.get_one(Site, check.site_id).name
        if check.site_id
        else session.get_one(Campaign, check.campaign_id).title
    )
    query: Any = (
        select(SpotCheckItem, Action, col(ActionKind.unit), Site, ActionVoid)  # type: ignore[call-overload]
        .join(Action, col(Action.id) == col(SpotCheckItem.action_id))
        .join(ActionKind, col(ActionKind.code) == col(Action.kind))
        .join(Site, col(Site.id) == col(Action.site_id))
        .join(ActionVoid, col(ActionVoid.action_id) == col(Action.id), isouter=True)
        .where(SpotCheckItem.spot_check_id == check_id)
        .order_by(col(SpotCheckItem.ordinal))
    )
    found = [
        Looked(item, action, unit, site, void, is_own(session, house, principal, action, site))
        for item, action, unit, site, void in session.exec(query)
    ]
    return check, name, found


# --- judging -----------------------------------------------------------------------------------------------


def is_own(session: Session, house: House, principal: Principal, action: Action, site: Site) -> bool:
    """Whether a record is of one's own making: one recorded it, set its site up, or is an organiser there.

    Being an organiser of the whole district does not count: then nobody would be left in a small one.
    """
    if principal.id in {action.recorded_by, site.created_by}:
        return True
    return any(
        given.role is Role.ORGANISER
        and given.division_code != house.settings.district_code
        and covers(given, division_code=site.division_code, organisation_id=site.organisation_id)
        for given in grants_of(session, principal)
    )


def read_judgement(outcome: str, words: str) -> tuple[Outcome, str]:
    """What a form says of a record; only a right one needs no words. Raises InvalidField."""
    try:
        found = Outcome(outcome)
    except ValueError:
        raise InvalidField(errors=[{"field": "outcome", "reason": N_("请选择查看的结果。")}]) from None
    line = " ".join(words.split())
    shortest, longest = (0 if found is Outcome.RIGHT else audit.REASON_LENGTH[0]), audit.REASON_LENGTH[1]
    if not shortest <= len(line) <= longest:
        reason = N_("请用 2 到 200 字写明看到了什么。")
        raise InvalidField(errors=[{"field": "words", "reason": reason}])
    return found, line


def judge(
    house: House, principal: Principal, check_id: UUID, action_id: UUID, outcome: Outcome, words: str = ""
) -> None:
    """Say what one found of a record of a sample. Said twice alike by the same officer it is said once.

    Raises NotFound, JudgesOwnRecords, NotAllowed, InvalidField (no words), AlreadyJudged.
    """
    outcome, words = read_judgement(outcome, words)

    def work(connection: Connection) -> None:
        with session_on(connection) as session:
            item = session.get(SpotCheckItem, (check_id, action_id))
            if item is None:
                raise NotFound
            action = session.get_one(Action, action_id)
            if is_own(session, house, principal, action, session.get_one(Site, action.site_id)):
                raise JudgesOwnRecords
            require(session, principal, JUDGES, division_code=house.settings.district_code)
            if not _said(session, principal, item, outcome, words):
                return
            audit.note_by(
                session,
                principal,
                deed="spot_check.judged",
                subject=f"action:{action_id}",
                reason=words,
                outcome=outcome.value,
            )

    house.db.run(work)


def _said(session: Session, principal: Principal, item: SpotCheckItem, outcome: Outcome, words: str) -> bool:
    """Keep a judgement; False if the same was said before. Raises AlreadyJudged. Of several at once one is kept."""
    kept = session.connection().execute(
        sa.update(SpotCheckItem)
        .where(
            col(SpotCheckItem.spot_check_id) == item.spot_check_id,
            col(SpotCheckItem.action_id) == item.action_id,
            col(SpotCheckItem.outcome).is_(None),
        )
        .values(outcome=outcome, words=words, judged_at=clock.now(), judged_by=principal.id)
    )
    if kept.rowcount:
        return True
    session.refresh(item)
    if (item.judged_by, item.outcome, item.words) != (principal.id, outcome, words):
        raise AlreadyJudged
    return False
