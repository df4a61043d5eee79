"""The menu of staff: what their roles open, grouped by task.

A page is added by one line in its group. Whoever has few entries sees them all in the bar; whoever has many sees those of
their daily work there, and every entry behind "全部".
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from flask import request, url_for
from flask_babel import gettext

from tanpuhui.bureau import feedback_desk, target_task_desk
from tanpuhui.i18n import N_
from tanpuhui.staff import Role
from tanpuhui.web import auth

#: So many entries stand in the bar without a menu.
FEW = 6

Roles = frozenset[Role]


@dataclass(frozen=True)
class Entry:
    """A page in the menu. `text`: its name, or what makes it; `daily`: whose work begins there every day.

    `whole`: it opens only for whoever has the role for the whole district.
    """

    key: str
    endpoint: str
    icon: str
    text: str | Callable[[], str]
    roles: Roles
    daily: Roles = frozenset()
    whole: bool = False


@dataclass(frozen=True)
class Link:
    """An entry as a page shows it."""

    key: str
    href: str
    icon: str
    text: str


@dataclass(frozen=True)
class Menu:
    """`bar`: what is one click away. `groups`: everything under its heading; empty where the bar holds it all."""

    bar: tuple[Link, ...]
    groups: tuple[tuple[str, tuple[Link, ...]], ...]


_HELPER, _MERCHANT = frozenset({Role.HELPER}), frozenset({Role.MERCHANT})
_ORGANISER, _OFFICER, _ADMIN = frozenset({Role.ORGANISER}), frozenset({Role.OFFICER}), frozenset({Role.ADMIN})
_AUDITOR = frozenset({Role.AUDITOR})
_DECIDERS = _OFFICER | _ADMIN
_BUREAU = _DECIDERS | _AUDITOR
_MANAGERS = _ORGANISER | _DECIDERS

# fmt: off
MENU: tuple[tuple[str, tuple[Entry, ...]], ...] = (
    (N_("活动与点位"), (
        Entry("sites", "console.sites", "place", N_("点位"), _MANAGERS, _ORGANISER | _ADMIN),
        Entry("campaigns", "campaigns.listed", "flag", N_("活动"), _MANAGERS, _ORGANISER | _ADMIN),
        Entry("offers", "offer_desk.listed", "points", N_("兑换"), _MANAGERS | _MERCHANT),
        Entry("draws", "draw_desk.listed", "gift", N_("抽奖"), _MANAGERS | _MERCHANT),
        Entry("nominations", "honour_desk.listed", "medal", N_("荣誉提名"), _MANAGERS),
        Entry("classes", "classes.listed", "people", N_("班级"), _ORGANISER | _ADMIN),
    )),
    (N_("现场"), (
        Entry("helping", "helping.desks", "scan", N_("登记台"), _MANAGERS | _HELPER, _HELPER | _ORGANISER),
        Entry("cards", "cards.listed", "person", N_("会员卡"), _MANAGERS | _HELPER),
        Entry("gatherings", "gathering_desk.listed", "people", N_("现场活动"), _MANAGERS | _HELPER),
        Entry("recovery", "recovery_desk.listed", "recycling", N_("交接"), _MANAGERS),
        Entry("counter", "counter.scan", "parcel", N_("兑换台"), _ORGANISER | _ADMIN | _MERCHANT, _MERCHANT),
    )),
    (N_("审核与答复"), (
        Entry("approvals", "approvals.queue", "key", N_("审批"), _OFFICER, _OFFICER),
        Entry("reviews", "reviews.queue", "check", N_("审核"), _MANAGERS, _OFFICER),
        Entry("feedback", "feedback_desk.queue", "speech", feedback_desk.menu_text, _DECIDERS, _DECIDERS),
        Entry("self_reports", "self_reports.desk", "list", N_("自报"), _DECIDERS),
        Entry("signals", "signals.listed", "alert", N_("异常提示"), _MANAGERS),
        Entry("adjustments", "adjustment_desk.queue", "points", N_("积分调整"), _DECIDERS),
        Entry("honours", "honour_desk.queue", "medal", N_("荣誉评定"), _BUREAU),
    )),
    (N_("统计"), (
        Entry("bureau", "bureau.overview", "chart", N_("统计"), _BUREAU, _OFFICER | _AUDITOR, whole=True),
        Entry("tracing", "tracing.number", "sum", N_("溯源"), _BUREAU, whole=True),
        Entry("targets", "target_desk.listed", "flag", target_task_desk.menu_text, _BUREAU, _OFFICER),
        Entry("synergy", "synergy.indicators", "leaf", N_("协同"), _BUREAU, whole=True),
        Entry("recovered", "recovery.bureau", "recycling", N_("回收"), _BUREAU, whole=True),
        Entry("effect", "effect.page", "check", N_("成效"), _BUREAU, whole=True),
        Entry("declarations", "declarations.listed", "share", N_("申报"), _BUREAU, whole=True),
        Entry("reports", "period_reports.listed", "list", N_("月报年报"), _BUREAU, whole=True),
        Entry("evidence", "evidence.listed", "medal", N_("实证材料"), _MANAGERS | _AUDITOR),
        Entry("ledger", "ledger.bureau", "shield", N_("账本"), _BUREAU, _AUDITOR, whole=True),
    )),
    (N_("规则"), (
        Entry("factors", "factor_desk.factors", "sum", N_("因子"), _BUREAU, whole=True),
        Entry("observances", "observances.listed", "calendar", N_("日历"), _BUREAU, whole=True),
        Entry("rewards", "offer_desk.bureau", "points", N_("奖励"), _DECIDERS),
    )),
    (N_("系统"), (
        Entry("staff", "staff.members", "people", N_("人员"), _ADMIN),
        Entry("quality", "quality.desk", "check", N_("质量检查"), _BUREAU, _OFFICER, whole=True),
        Entry("audit", "trail.listed", "list", N_("操作记录"), _ADMIN | _AUDITOR, _AUDITOR, whole=True),
        Entry("own_trail", "trail.own", "list", N_("我的操作记录"), frozenset(Role)),
        Entry("parked", "bureau.parked", "queue", N_("待处理"), _DECIDERS, whole=True),
    )),
)
# fmt: on


def menu(here: str | None = None) -> Menu:
    """The menu of whoever is logged in, in the language of the page. `here`: the key of the entry one is at, kept in the bar."""
    roles, whole = auth.roles_here(), auth.roles_here(whole=True)
    groups = tuple(
        (
            gettext(heading),
            tuple((one, _link(one)) for one in entries if one.roles & (whole if one.whole else roles)),
        )
        for heading, entries in MENU
    )
    listed = [pair for _, pairs in groups for pair in pairs]
    if len(listed) <= FEW:
        listed.sort(key=lambda pair: not pair[0].daily & roles)
        return Menu(tuple(link for _, link in listed), ())
    bar = tuple(link for entry, link in listed if entry.daily & roles or entry.key == here)
    return Menu(bar, tuple((name, tuple(link for _, link in pairs)) for name, pairs in groups if pairs))


def _link(entry: Entry) -> Link:
    text = gettext(entry.text) if isinstance(entry.text, str) else entry.text()
    return Link(entry.key, _address(request.root_path, entry.endpoint), entry.icon, text)


@cache
def _address(_root: str, endpoint: str) -> str:
    """Where a page is; found out once for each root, because every page of the desk asks for thirty of them."""
    return url_for(endpoint)
