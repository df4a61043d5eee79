"""A campaign as its organisers watch it: what goes wrong at its sites, what scans were refused for, and what is late.

Counts alone: whose scans were refused is not told here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Session, col, select

from activities.actions import Action
from activities.attempts import ScanAttempt
from activities.campaign_life import LATE_AFTER, Step, due_steps, steps_of
from activities.campaign_readiness import with_code
from activities.campaigns import Campaign, sites_of
from activities.sites import Site, SiteStatus
from tanpuhui import clock, errors, outbox
from tanpuhui.errors import Refused
from tanpuhui.i18n import N_


class Trouble(StrEnum):
    """What may be wrong with a site of a campaign."""

    CLOSED = "closed"
    NO_CODE = "no_code"
    SILENT = "silent"


TROUBLE_WORDS = {
    Trouble.CLOSED: N_("点位现在是关闭的，扫码不会记上。能开就请打开。"),
    Trouble.NO_CODE: N_("没有使用中的码，居民没有东西可扫。请先发一张。"),
    Trouble.SILENT: N_("开始以来还没有记录。请看看海报是不是贴好了、看得见。"),
}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why scans are refused, as its organisers call it, and what they can do about it; the errors that it stands for."""

    name: str
    advice: str
    errors: tuple[type[Refused], ...]


@dataclass(frozen=True, slots=True)
class Refusals:
    """How often scans were refused for a reason, and when last."""

    reason: Reason
    times: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Watched:
    """What its organisers should look at. `overdue`: steps that nobody has taken; `parked`: events that no figure has yet."""

    refused: Sequence[Refusals]
    sites: Sequence[tuple[Site, Trouble]]
    overdue: Sequence[tuple[Step, datetime]]
    parked: int


def watch(session: Session, campaign: Campaign, now: datetime, late_hours: int) -> Watched:
    """What there is to look at in a campaign at `now`; of one that has not begun, what its sites lack."""
    sites = sites_of(session, campaign.id)
    over = campaign.until is not None and campaign.until <= now
    return Watched(
        refused=refused(session, campaign, [site.id for site in sites]),
        sites=[] if over else list(_troubled(session, campaign, sites, now)),
        overdue=list(_overdue(session, campaign, now, late_hours)),
        parked=len(outbox.parked(session.connection())),
    )


def refused(session: Session, campaign: Campaign, site_ids: Sequence[UUID]) -> list[Refusals]:
    """What was refused at its sites while it ran, as far as it is still kept, the most frequent first."""
    if campaign.starts_at is None or campaign.until is None:
        return []
    query = (
        select(ScanAttempt.reason, sa.func.sum(col(ScanAttempt.times)), sa.func.max(col(ScanAttempt.last_at)))
        .where(
            col(ScanAttempt.site_id).in_(site_ids),
            col(ScanAttempt.last_at) >= campaign.starts_at,
            col(ScanAttempt.first_at) < campaign.until,
        )
        .group_by(col(ScanAttempt.reason))
    )
    counted = {code: (int(times), last) for code, times, last in session.exec(query)}
    found = []
    for reason in REASONS:
        of_reason = [counted[error.code] for error in reason.errors if error.code in counted]
        if of_reason:
            times, last = sum(times for times, _ in of_reason), max(last for _, last in of_reason)
            found.append(Refusals(reason, times, last))
    return sorted(found, key=lambda one: -one.times)


def _troubled(
    session: Session, campaign: Campaign, sites: Sequence[Site], now: datetime
) -> Iterator[tuple[Site, Trouble]]:
    ids = [site.id for site in sites]
    ready = with_code(session, ids, now)
    begun = campaign.starts_at is not None and campaign.starts_at <= now
    heard = _heard(session, campaign, ids) if begun else set(ids)
    for site in sites:
        if site.status is SiteStatus.CLOSED:
            yield site, Trouble.CLOSED
        elif site.id not in ready:
            yield site, Trouble.NO_CODE
        elif site.id not in heard:
            yield site, Trouble.SILENT


def _heard(session: Session, campaign: Campaign, site_ids: Sequence[UUID]) -> set[UUID]:
    """The sites with a record of the campaign: asked site by site from its first day on, so that none is read to its end."""
    assert campaign.starts_at is not None
    recorded = sa.exists().where(
        col(Action.site_id) == col(Site.id),
        col(Action.day) >= clock.day_of(campaign.starts_at),
        col(Action.campaign_id) == campaign.id,
    )
    return set(session.exec(select(Site.id).where(col(Site.id).in_(site_ids), recorded)))


def _overdue(
    session: Session, campaign: Campaign, now: datetime, late_hours: int
) -> Iterator[tuple[Step, datetime]]:
    """The steps that are due so long that the worker should have taken them."""
    if campaign.cancelled_at:
        return
    taken = {(one.step, one.occasion) for one in steps_of(session, campaign.id)}
    for step, due_at, occasion in due_steps(campaign, late_hours):
        if now - due_at > LATE_AFTER and (step, occasion) not in taken:
            yield step, due_at


# --- what can be done about a refusal ------------------------------------------------------------------------

#: Every refusal that is kept belongs to one of these.
REASONS = (
    Reason(
        N_("点位没开"),
        N_("点位关闭，或者不在开放时间。请到点位页核对状态和时间。"),
        (errors.SiteClosed, errors.SiteNotOpen),
    ),
    Reason(
        N_("码不能用了"),
        N_("码停用、过期或还没生效。请到点位页看看，换一张新的海报。"),
        (errors.CodeRevoked, errors.CodeNotYetValid, errors.CodeExpired),
    ),
    Reason(
        N_("屏幕码过时"),
        N_("扫的是屏幕上换下去的码。请提醒大家扫正在显示的那一个。"),
        (errors.RotatingCodeExpired,),
    ),
    Reason(
        N_("不记这种行为"),
        N_("点位没有开这种行为，或者要求更可靠的证明。请到点位页核对。"),
        (errors.KindNotHere, errors.KindDisabled, errors.EvidenceTooWeak, errors.NoPlantingHere),
    ),
    Reason(
        N_("点位的上限"),
        N_("到了这个点位自己定的上限。如果定低了，请到点位页调高。"),
        (errors.SiteLimitReached,),
    ),
    Reason(
        N_("会员码有问题"),
        N_("扫的是会员码，或者会员码已经换过。请到登记台帮忙记录。"),
        (errors.MemberCodeHere, errors.CardRevoked),
    ),
    Reason(
        N_("时间不对"),
        N_("补记的时间不在允许的范围里。请提醒大家当场记录。"),
        (errors.TimeInFuture, errors.TimeTooOld),
    ),
    Reason(
        N_("没有因子"),
        N_("这种行为现在没有可用的因子，算不出减排量。请告诉区里。"),
        (errors.NoFactor,),
    ),
    Reason(
        N_("到了上限"),
        N_("到了次数或数量的上限，属于正常。问的人多时，请在现场说明上限。"),
        (
            errors.DailyLimitReached,
            errors.DailyQuantityReached,
            errors.WeeklyLimitReached,
            errors.WeeklyQuantityReached,
            errors.LoadTooLarge,
            errors.TooSoon,
            errors.CountedTogether,
        ),
    ),
    Reason(
        N_("已经记过"),
        N_("同一次行为只计一次，一张小票也只用一次，属于正常。"),
        (
            errors.SlipUsed,
            errors.Clash,
            errors.DeedOfFamily,
            errors.DeedOfGuardian,
            errors.ProvenBetter,
            errors.CannotReplace,
        ),
    ),
    Reason(
        N_("植树检查"),
        N_("植树一年查一次，只由种树的人来查。还没到时间，属于正常。"),
        (errors.AlreadyPlanted, errors.NothingPlanted, errors.CheckTooEarly),
    ),
)
