"""Campaigns in words: how pages of console and bureau write what rules say, and what differs between two versions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import flask_babel
from sqlmodel import Session, col, select

from activities.campaign_dates import Window, window_of
from activities.campaign_life import STEP_NAMES, Step
from activities.campaign_notices import CampaignNotice, NoticeKind
from activities.campaign_rules import (
    Bonus,
    ByDates,
    ByObservance,
    Goals,
    Rules,
    Teams,
    Weekly,
)
from activities.campaigns import Stage
from activities.catalogue import ActionKind
from activities.observances import Observance
from activities.sites import SITE_KIND_NAMES, Site
from activities.template_format import AroundObservance, ForDays, Template
from tanpuhui import clock
from tanpuhui.divisions import Division
from tanpuhui.errors import InvalidField
from tanpuhui.i18n import N_
from tanpuhui.people import AccountKind
from tanpuhui.web.formatting import day, language, moment, name_of, said, whole

#: As they are, with their type.
gettext: Callable[..., str] = flask_babel.gettext
ngettext: Callable[..., str] = flask_babel.ngettext

TEAM_KINDS = {
    "community": N_("居（村）委会"),
    "building": N_("楼宇"),
    "school": N_("学校"),
    "class": N_("班级"),
}

WEEKDAYS = (N_("周一"), N_("周二"), N_("周三"), N_("周四"), N_("周五"), N_("周六"), N_("周日"))

#: Whose an account is.
ACCOUNT_NAMES = {
    AccountKind.PERSON: N_("个人账户"),
    AccountKind.CLASS: N_("班级账户"),
    AccountKind.FAMILY: N_("家庭账户"),
}

#: What comes next, by where a campaign stands.
NEXT = {
    Stage.DRAFT: N_("还没有提交。预览一下，没问题就提交审批。"),
    Stage.SUBMITTED: N_("区里正在审批，批准后会在这里告诉您。等待期间不能修改，要改请先撤回。"),
    Stage.RETURNED: N_("区里退回了。请按退回的原因修改，再提交一次。"),
    Stage.AWAITING: N_("已批准。节日的日期还没有公布，公布后活动会自动排上日期，并告诉您。"),
    Stage.APPROVED: N_("已批准。到预告的日子，居民就能看到。现在可以打印海报。"),
    Stage.ANNOUNCED: N_("居民已经能看到预告。到时间会自动开始，现在可以打印海报。"),
    Stage.OPEN: N_("正在进行。到时间会自动结束。"),
    Stage.CLOSED: N_("已经结束。等晚到的记录都收齐，会自动结算，并做好总结报告。"),
    Stage.SETTLED: N_("已经结算，总结报告做好了。可以谢谢大家，也可以提名先进。过一段时间自动归档。"),
    Stage.ARCHIVED: N_("已经归档，只供查看。"),
    Stage.CANCELLED: N_("已经取消，之后的记录不计入活动。"),
}


@dataclass(frozen=True, slots=True)
class Line:
    """A rule in words: what it is called, and what it says."""

    label: str
    text: str


@dataclass(frozen=True, slots=True)
class Difference:
    """A rule of which two versions say different things."""

    label: str
    before: str
    after: str


# --- rules ---------------------------------------------------------------------------------------------------


def lines(session: Session, title: str, rules: Rules) -> list[Line]:
    """Everything that a version says, one rule a line."""
    none = gettext("没有")
    kinds = listed(kind_names(session, rules.kinds)) if rules.kinds else gettext("点位能记录的都算")
    return [
        Line(gettext("名称"), title),
        Line(gettext("说明"), rules.words or none),
        Line(gettext("时间"), when_words(session, rules)),
        Line(gettext("点位"), _sites(session, rules)),
        Line(gettext("行为"), kinds),
        Line(gettext("谁能参加"), who_words(session, rules.divisions, rules.accounts)),
        Line(gettext("额外积分"), bonus_words(rules.bonus) if rules.bonus else none),
        Line(gettext("目标"), goal_words(rules.goals) if rules.goals else none),
        Line(gettext("分队"), team_words(rules.teams, named=True) if rules.teams else none),
        Line(
            gettext("预告"),
            ngettext("提前 %(num)s 天", "提前 %(num)s 天", rules.announce_days)
            if rules.announce_days
            else gettext("开始时才公布"),
        ),
    ]


def differences(before: list[Line], after: list[Line]) -> list[Difference]:
    """The rules that are not the same in both."""
    return [
        Difference(old.label, old.text, new.text)
        for old, new in zip(before, after, strict=True)
        if old.text != new.text
    ]


def listed(names: list[str]) -> str:
    """Names one after the other."""
    return gettext("、").join(names)


def kind_names(session: Session, codes: list[str]) -> list[str]:
    """What kinds are called, in their order; a code that is not known stays as it is."""
    known = {kind.code: name_of(kind) for kind in session.exec(select(ActionKind))}
    return [known.get(code, code) for code in codes]


def _sites(session: Session, rules: Rules) -> str:
    names = session.exec(select(Site.name).where(col(Site.id).in_(rules.site_ids)).order_by(Site.name)).all()
    count = ngettext("%(num)s 个点位", "%(num)s 个点位", len(names))
    return gettext("%(count)s：%(names)s", count=count, names=listed(list(names)))


def who_words(session: Session, divisions: Sequence[str] | None, accounts: Sequence[str] | None) -> str:
    """Who may take part: residents of divisions with accounts of these kinds; none for all."""
    only = account_words(accounts)
    if not divisions:
        return only or gettext("所有居民")
    query = select(Division.name).where(col(Division.code).in_(divisions)).order_by(Division.code)
    places = gettext("%(places)s的居民", places=listed(list(session.exec(query))))
    return gettext("%(places)s，%(only)s", places=places, only=only) if only else places


def account_words(accounts: Sequence[str] | None) -> str:
    """That some kinds of account alone may take part; nothing where all may."""
    names = [gettext(name) for kind, name in ACCOUNT_NAMES.items() if accounts and kind in accounts]
    return gettext("只限%(accounts)s", accounts=listed(names)) if 0 < len(names) < len(ACCOUNT_NAMES) else ""


def bonus_words(bonus: Bonus) -> str:
    """The bonus with its limits."""
    amount = (
        gettext("每次多得 %(amount)s%% 的积分", amount=whole(bonus.amount))
        if bonus.by == "percent"
        else ngettext("每次多得 %(num)s 分", "每次多得 %(num)s 分", bonus.amount)
    )
    limits = gettext(
        "每人最多 %(cap)s 分，总共 %(budget)s 分，发完为止", cap=whole(bonus.cap), budget=whole(bonus.budget)
    )
    return gettext("%(amount)s；%(limits)s", amount=amount, limits=limits)


def goal_words(goals: Goals) -> str:
    """The goals there are."""
    found = []
    if goals.participants:
        found.append(
            ngettext(
                "%(shown)s 人参加", "%(shown)s 人参加", goals.participants, shown=whole(goals.participants)
            )
        )
    if goals.actions:
        found.append(
            ngettext("%(shown)s 条记录", "%(shown)s 条记录", goals.actions, shown=whole(goals.actions))
        )
    if goals.kg:
        found.append(gettext("估算减排 %(kg)s 千克", kg=whole(goals.kg)))
    return listed(found)


def team_words(teams: Teams, *, named: bool = False) -> str:
    """Into which teams residents may go, by name if `named`."""
    kind = gettext(TEAM_KINDS[teams.kind])
    if teams.kind == "community":
        return gettext("按%(kind)s，自愿加入", kind=kind)
    count = ngettext("%(num)s 个队", "%(num)s 个队", len(teams.names))
    said = gettext("按%(kind)s，%(count)s，自愿加入", kind=kind, count=count)
    return gettext("%(said)s：%(names)s", said=said, names=listed(teams.names)) if named else said


# --- when ----------------------------------------------------------------------------------------------------


def when_words(session: Session, rules: Rules) -> str:
    """When it is; of what is anchored, to what, and its days if they are known."""
    when = rules.when
    try:
        window = window_of(session, rules)
    except InvalidField as error:
        return gettext(error.params["errors"][0]["reason"])
    if isinstance(when, ByDates):
        assert window is not None
        return gettext("%(start)s 至 %(end)s", start=moment(window.starts_at), end=moment(window.ends_at))
    if isinstance(when, Weekly):
        days = gettext("%(first)s至%(last)s", first=day(when.first), last=day(when.last))
        return gettext(
            "%(days)s，%(hours)s", days=days, hours=weekly_words(when.weekdays, when.from_time, when.to_time)
        )
    anchor = anchor_words(session, when, when.year)
    return gettext("%(anchor)s：%(days)s", anchor=anchor, days=window_words(window))


def window_words(window: Window | None) -> str:
    """The days of a window; that they wait, if there is none."""
    if window is None:
        return span_words(None)
    return span_words((clock.day_of(window.starts_at), clock.day_of(window.ends_at - timedelta(seconds=1))))


def span_words(span: tuple[date, date] | None) -> str:
    """First and last day; that they are not announced, if nobody knows them."""
    if span is None:
        return gettext("日期待公布")
    first, last = map(day, span)
    return first if first == last else gettext("%(first)s至%(last)s", first=first, last=last)


def anchor_words(session: Session, when: ByObservance | AroundObservance, year: int | None = None) -> str:
    """What it is anchored to, with the offsets."""
    name = observance_name(session, when.key)
    begin = gettext("%(year)s年%(name)s", year=year, name=name) if year else name
    if when.until is None:
        if when.from_offset == when.until_offset == 0:
            return begin
        days = gettext(
            "%(first)s至%(last)s", first=_offset(when.from_offset), last=_offset(when.until_offset)
        )
        return gettext("%(name)s%(offset)s", name=begin, offset=days)
    end = observance_name(session, when.until)
    return gettext(
        "%(first)s至%(last)s",
        first=gettext("%(name)s%(offset)s", name=begin, offset=_offset(when.from_offset)),
        last=gettext("%(name)s%(offset)s", name=end, offset=_offset(when.until_offset)),
    )


def _offset(days: int) -> str:
    if days < 0:
        return ngettext("前 %(num)s 天", "前 %(num)s 天", -days)
    if days > 0:
        return ngettext("后 %(num)s 天", "后 %(num)s 天", days)
    return gettext("当天")


def observance_name(session: Session, key: str) -> str:
    """What an observance is called; the key if nobody knows it."""
    found = session.exec(select(Observance).where(Observance.key == key)).first()
    return name_of(found) if found else key


def weekly_words(weekdays: list[int], from_time: str, to_time: str) -> str:
    """The hours of a week."""
    days = listed([gettext(WEEKDAYS[number - 1]) for number in sorted(set(weekdays))])
    return gettext("每%(days)s %(hours)s", days=days, hours=f"{from_time}–{to_time}")


# --- templates -----------------------------------------------------------------------------------------------


def template_lines(session: Session, template: Template) -> list[Line]:
    """What a template proposes."""
    none = gettext("没有")
    return [
        Line(gettext("时间"), template_when(session, template)),
        Line(
            gettext("行为"),
            listed(kind_names(session, template.kinds)) if template.kinds else gettext("点位能记录的都算"),
        ),
        Line(
            gettext("适合的点位"),
            listed([gettext(SITE_KIND_NAMES[kind]) for kind in template.site_kinds]) or gettext("都可以"),
        ),
        Line(gettext("谁能参加"), account_words(template.accounts) or gettext("由举办方自己定")),
        Line(gettext("额外积分"), bonus_words(template.bonus) if template.bonus else none),
        Line(gettext("目标"), goal_words(template.goals) if template.goals else gettext("由举办方自己定")),
    ]


def template_when(session: Session, template: Template) -> str:
    """When a campaign of this template is."""
    when = template.when
    if isinstance(when, AroundObservance):
        return anchor_words(session, when)
    if isinstance(when, ForDays):
        return ngettext("连续 %(num)s 天", "连续 %(num)s 天", when.days)
    hours = weekly_words(when.weekdays, when.from_time, when.to_time)
    weeks = ngettext("%(num)s 周", "%(num)s 周", when.weeks)
    return gettext("%(hours)s，共 %(weeks)s", hours=hours, weeks=weeks)


def template_title(template: Template) -> str:
    """The title in the page's language, or the Chinese one."""
    return (language() == "en" and template.title.en) or template.title.zh


def template_words(template: Template) -> str:
    """The words in the page's language, or the Chinese ones."""
    return (language() == "en" and template.words.en) or template.words.zh


# --- notices -------------------------------------------------------------------------------------------------


_PLAIN = {
    NoticeKind.APPROVED: N_("已批准。"),
    NoticeKind.RETURNED: N_("被退回了，请按原因修改后再提交。"),
    NoticeKind.NOT_MOVED: N_("节日的日期改了，但活动已经开始，没有跟着改。"),
    NoticeKind.NO_DAYS: N_("节日公布的日期排不出还没过去的日子，请修改活动的时间。"),
    NoticeKind.REPORTED: N_("总结报告做好了。可以写一句感谢，也可以提名先进。"),
}


def notice_words(notice: CampaignNotice) -> str:
    """What organisers are told, in words."""
    told = {name: day(date.fromisoformat(text)) for name, text in notice.params.items() if name in _DAYS}
    match notice.kind:
        case NoticeKind.MOVED:
            days = gettext("%(first)s至%(last)s", first=told["first"], last=told["last"])
            was = gettext("（原来从%(was)s开始）", was=told["was"]) if "was" in told else ""
            return gettext("日期定了：%(days)s%(was)s。", days=days, was=was)
        case NoticeKind.AWAITING:
            return gettext("原来从%(was)s开始，现在日期撤回了，等待重新公布。", was=told["was"])
        case NoticeKind.LATE:
            step = gettext(STEP_NAMES[Step(notice.params["step"])])
            return gettext("“%(step)s”晚了一些才完成：系统当时停了一段时间。", step=step)
        case NoticeKind.BEGINS:
            return _begins(notice)
        case kind:
            return gettext(_PLAIN[kind])


def _begins(notice: CampaignNotice) -> str:
    """When it begins, and what is not ready."""
    at = moment(datetime.fromisoformat(notice.params["at"]))
    no_code, paused = notice.params["no_code"], notice.params["paused"]
    told = [gettext("活动 %(at)s 开始。", at=at)]
    if no_code:
        told.append(
            ngettext("还有 %(num)s 个点位没有可用的码。", "还有 %(num)s 个点位没有可用的码。", no_code)
        )
    if paused:
        told.append(ngettext("还有 %(num)s 个点位暂停开放。", "还有 %(num)s 个点位暂停开放。", paused))
    if not no_code and not paused:
        told.append(gettext("点位都有可用的码。海报贴好了吗？"))
    return said(*told)


_DAYS = frozenset({"first", "last", "was"})
