"""A closing report in words: the sections that page and PDF draw, from its snapshot alone, in the language of the moment."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import flask_babel

from activities.campaign_words import listed
from activities.otherwise import OTHERWISE_NAMES
from tanpuhui.i18n import N_
from tanpuhui.web.formatting import (
    day,
    grams_of,
    kilograms,
    language,
    moment,
    said,
    set_right,
    short_day,
    whole,
)

gettext: Callable[..., str] = flask_babel.gettext
ngettext: Callable[..., str] = flask_babel.ngettext

Snapshot = Mapping[str, Any]

#: How pollutants are written where nothing can be set lower.
POLLUTANTS = {"nox": "NOx", "pm25": "PM2.5", "voc": "VOCs", "so2": "SO2", "co": "CO"}

#: Why scans are refused, in short; by the code of the refusal.
REFUSALS = {
    "too_soon": N_("离上一次记录太近"),
    "daily_limit_reached": N_("当天的次数用完了"),
    "daily_quantity_reached": N_("当天的数量用完了"),
    "weekly_limit_reached": N_("一周的次数用完了"),
    "weekly_quantity_reached": N_("一周的数量用完了"),
    "site_limit_reached": N_("当天在这个点位的次数用完了"),
    "site_closed": N_("点位暂停开放"),
    "site_not_open": N_("不在开放时间"),
    "same_deed": N_("同一件事已经记录过"),
    "proven_better": N_("已有更可靠的证明"),
    "code_revoked": N_("码已停用"),
    "code_expired": N_("码已过期"),
    "code_not_yet_valid": N_("码还没有生效"),
    "rotating_code_expired": N_("动态码已经换了"),
    "slip_used": N_("一次性码已经用过"),
}


#: In characters: low, mid and high beside each other, or two days.
_LONGEST_NUMBER = 40


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a report. `bars`: for each row a share of the largest in permille, None where it is not told.

    `columns`: the bars are drawn side by side, with the first and the last row named below.
    """

    title: str
    text: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    head: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    bars: tuple[int | None, ...] = ()
    columns: bool = False
    note: str = ""

    @property
    def wordy(self) -> frozenset[int]:
        """The columns after the first that hold words, which are read from the left and may be long: no cell begins with a digit, or one is
        longer than any number."""
        return frozenset(
            at
            for at, cells in enumerate(zip(*self.rows, strict=False))
            if at
            and (
                any(len(cell) > _LONGEST_NUMBER for cell in cells)
                or not any(cell[:1].isdigit() for cell in cells)
            )
        )


def title(snapshot: Snapshot) -> str:
    """What a report is called."""
    return gettext("“%(title)s”总结报告", title=snapshot["campaign"]["title"])


def made(snapshot: Snapshot) -> str:
    """When it was made."""
    return gettext("%(moment)s 自动生成", moment=moment(datetime.fromisoformat(snapshot["made_at"])))


def sections(snapshot: Snapshot) -> list[Section]:
    """The whole report, part by part; one without anything to tell is not there."""
    parts = (
        *(_about(snapshot), _totals(snapshot), _proof(snapshot), _people(snapshot), _by_kind(snapshot)),
        *(_by_day(snapshot), _by_place(snapshot), _pollutants(snapshot), _otherwise(snapshot)),
        *(_refused(snapshot), _checked(snapshot), _bonus(snapshot), _factors(snapshot), _how(snapshot)),
    )
    return [part for part in parts if part is not None]


# --- what it was ---------------------------------------------------------------------------------------------


def _about(snapshot: Snapshot) -> Section:
    about = snapshot["campaign"]
    first, last = (date.fromisoformat(text) for text in about["days"])
    days = day(first) if first == last else gettext("%(first)s至%(last)s", first=day(first), last=day(last))
    sites = ngettext("%(num)s 个点位", "%(num)s 个点位", len(about["sites"]))
    shown = listed(about["sites"][:12]) + (gettext("等") if len(about["sites"]) > 12 else "")
    facts = [
        (gettext("举办方"), about["owner"]),
        (gettext("时间"), days),
        (gettext("地区"), about["where"]),
        (gettext("点位"), gettext("%(count)s：%(names)s", count=sites, names=shown)),
        (
            gettext("行为"),
            listed([kind[language()] for kind in about["kinds"]]) or gettext("点位能记录的都算"),
        ),
        (gettext("谁能参加"), listed(about["divisions"]) or gettext("所有居民")),
        (gettext("规则"), _approved(about)),
    ]
    text = (gettext("活动提前结束了。报告只算到那时为止。"),) if about["cancelled"] else ()
    return Section(gettext("这次活动"), text, tuple(facts))


def _approved(about: Mapping[str, Any]) -> str:
    number = gettext("第 %(number)s 版", number=about["version"])
    if about["approved_at"] is None:
        return number
    when = moment(datetime.fromisoformat(about["approved_at"]))
    if about["by_template"]:
        return gettext("%(number)s，%(when)s 照预先同意的模板批准", number=number, when=when)
    return gettext("%(number)s，%(when)s 批准", number=number, when=when)


# --- what it adds up to --------------------------------------------------------------------------------------


def untold() -> str:
    """What stands for a number that is left out."""
    return gettext("不公布")


def _told(number: int | None, words: Callable[[int], object] = whole) -> str:
    return untold() if number is None else str(words(number))


def _line(row: Mapping[str, Any], label: str) -> tuple[str, ...]:
    return (
        label,
        _told(row["participants"]),
        _told(row["records"]),
        *(_told(row[name], kilograms) for name in ("co2e_mg", "co2e_mid_mg", "co2e_high_mg")),
    )


def _heads(first: str) -> tuple[str, ...]:
    return (
        first,
        gettext("参加的人"),
        gettext("记录条数"),
        gettext("减排量（较低值）"),
        gettext("减排量（居中值）"),
        gettext("减排量（较高值）"),
    )


def _label(row: Mapping[str, Any], name: str) -> str:
    return gettext("%(name)s（市级核算）", name=name) if row["city"] else name


def _whole(snapshot: Snapshot, *, city: bool) -> Mapping[str, Any]:
    nothing = dict.fromkeys(("participants", "records", "co2e_mg", "co2e_mid_mg", "co2e_high_mg"), 0)
    return next((row for row in snapshot["tables"]["whole"] if row["city"] is city), nothing)


def _totals(snapshot: Snapshot) -> Section:
    own, city = _whole(snapshot, city=False), _whole(snapshot, city=True)
    rows = [_line(own, gettext("本区"))]
    if city["records"] != 0:
        rows.append(_line(city, gettext("市级核算，另列")))
    facts = [(gettext("参加的人"), _told(snapshot["participants"]))]
    facts += _goals(snapshot, own, city)
    if snapshot["waiting"] != 0:
        waiting = snapshot["waiting"]
        facts.append(
            (gettext("还在等待审核，没有算进来"), gettext("不到 5 条") if waiting is None else whole(waiting))
        )
    note = gettext("减排量是估算值，单位千克 CO₂e；只说一个数时用较低值。市级核算的不计入本区，也不相加。")
    return Section(gettext("一共"), (), tuple(facts), _heads(""), tuple(rows), note=note)


def _goals(snapshot: Snapshot, own: Mapping[str, Any], city: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    goals = snapshot["campaign"]["goals"] or {}
    records = None if own["records"] is None or city["records"] is None else own["records"] + city["records"]
    kg = None if own["co2e_mg"] is None else own["co2e_mg"] // 10**6
    for key, label, reached in (
        ("participants", gettext("目标：参加的人"), snapshot["participants"]),
        ("actions", gettext("目标：记录"), records),
        ("kg", gettext("目标：估算减排（千克）"), kg),
    ):
        if goals.get(key):
            words = gettext("%(reached)s，目标 %(goal)s", reached=_told(reached), goal=whole(goals[key]))
            yield label, words


def _proof(snapshot: Snapshot) -> Section | None:
    """Verified and self-declared side by side, never as one number; each with its tiers."""
    names = {"verified": gettext("经过验证"), "self_declared": gettext("自报")}
    rows = [_line(row, _label(row, names[row["key"]])) for row in snapshot["tables"]["proof"]]
    if not rows:
        return None
    rows += [_line(row, "– " + _label(row, row[language()])) for row in snapshot["tables"]["evidence"]]
    text = gettext("经过验证的和居民自报的分开列。“一共”里两样都有，请不要把自报的当作经过验证。")
    return Section(gettext("有多少经过验证？"), (text,), (), _heads(gettext("证据")), tuple(rows))


def _people(snapshot: Snapshot) -> Section:
    facts = (
        (gettext("第一次记录的人"), _told(snapshot["new"])),
        (gettext("以前记录过的人"), _told(snapshot["returning"])),
    )
    note = gettext("第一次：活动开始以前，在哪里都没有记录。一个班级或家庭账户算一个。")
    return Section(gettext("有多少人是第一次？"), (), facts, note=note)


def _bars(rows: Iterable[Mapping[str, Any]], measure: str) -> tuple[int | None, ...]:
    values = [row[measure] for row in rows]
    most = max((value for value in values if value), default=0)
    return tuple(None if value is None else value * 1000 // most if most else 0 for value in values)


def _by_kind(snapshot: Snapshot) -> Section | None:
    rows = snapshot["tables"]["kind"]
    if not rows:
        return None
    lines = tuple(_line(row, _label(row, row[language()])) for row in rows)
    note = gettext("图：记录的条数。")
    return Section(
        gettext("都做了什么？"), (), (), _heads(gettext("行为")), lines, _bars(rows, "records"), note=note
    )


def _by_day(snapshot: Snapshot) -> Section | None:
    rows = snapshot["tables"]["day"]
    if not rows:
        return None
    lines = tuple(_line(row, _label(row, short_day(date.fromisoformat(row["key"])))) for row in rows)
    note = gettext("图：每天记录的条数，按上海时间计日。")
    return Section(
        gettext("每天有多少？"), (), (), _heads(gettext("日期")), lines, _bars(rows, "records"), True, note
    )


def _by_place(snapshot: Snapshot) -> Section | None:
    rows = []
    for street in snapshot["tables"]["street"]:
        rows.append(_line(street, _label(street, street[language()])))
        rows += [
            _line(row, "– " + _label(row, row[language()]))
            for row in snapshot["tables"]["community"]
            if row["key"].startswith(street["key"]) and row["city"] is street["city"]
        ]
    note = gettext(
        "按记录当时居民所选的居（村）委会归入街镇，按代码排列，不作排名。人太少的居（村）委会不列出。"
    )
    head = _heads(gettext("街镇和居（村）委会"))
    return Section(gettext("从哪里来？"), (), (), head, tuple(rows), note=note) if rows else None


def _pollutants(snapshot: Snapshot) -> Section | None:
    rows = [
        (
            _label(row, POLLUTANTS[row["key"]]),
            _told(row["ug"], grams_of),
            _told(row["known"]),
            _told(_whole(snapshot, city=row["city"])["records"]),
        )
        for row in snapshot["pollutants"]
    ]
    head = (gettext("污染物"), gettext("减少"), gettext("有因子的记录"), gettext("全部记录"))
    note = gettext("只加有因子的记录。没有因子不等于零。")
    return Section(gettext("同时减少了多少污染物？"), (), (), head, tuple(rows), note=note) if rows else None


# --- how far it can be relied on -----------------------------------------------------------------------------


def percent(permille: int) -> str:
    """A share as people read it: 375 -> 37.5%."""
    return f"{permille // 10}.{permille % 10}%"


def _otherwise(snapshot: Snapshot) -> Section:
    found = snapshot["otherwise"]
    heading = gettext("没有活动，会怎样？")
    if found is None:
        return Section(heading, (gettext("回答的不到 5 人，不公布。"),))
    rows = tuple(
        (gettext(name), _told(found["answers"][code.value])) for code, name in OTHERWISE_NAMES.items()
    )
    facts = (
        (gettext("问到的记录"), whole(found["asked"])),
        (gettext("回答的"), whole(found["answered"])),
    )
    text: tuple[str, ...] = ()
    if share := found["not_share"]:
        low, high = share["interval"]
        words = gettext(
            "回答的记录里，%(share)s 说没有活动就不会做（95%% 的区间：%(low)s 到 %(high)s）。",
            share=percent(share["permille"]),
            low=percent(low),
            high=percent(high),
        )
        text = (words,)
    note = gettext(
        "从记录里随机挑一部分，只问同意“偶尔问一句”的人，可以不答。回答的不一定代表全部，区间按 Wilson 方法。"
    )
    return Section(heading, text, facts, (gettext("回答"), gettext("记录条数")), rows, note=note)


def _refused(snapshot: Snapshot) -> Section | None:
    rows = tuple(
        (gettext(REFUSALS.get(row["key"], N_("其他原因"))), _told(row["times"]))
        for row in snapshot["refused"]
    )
    note = gettext("没有记上的扫码只保留 30 天，更早的不在这里。")
    head = (gettext("原因"), gettext("次数"))
    return Section(gettext("哪些没有记上？"), (), (), head, rows, note=note) if rows else None


def _checked(snapshot: Snapshot) -> Section | None:
    rows = tuple(
        (
            gettext("经过验证") if row["verified"] else gettext("自报"),
            whole(row["judged"]),
            whole(row["wrong"]),
            f"{percent(row['interval'][0])} – {percent(row['interval'][1])}",
        )
        for row in snapshot["checked"]
    )
    head = (gettext("证据"), gettext("已判断"), gettext("有错"), gettext("区间"))
    note = gettext("随机抽查的记录里有错的；区间按 Wilson 方法，可信程度是百分之九十五。")
    return Section(gettext("抽查出多少有错？"), (), (), head, rows, note=note) if rows else None


def _bonus(snapshot: Snapshot) -> Section | None:
    bonus = snapshot.get("bonus")
    if bonus is None:
        return None
    left = None if bonus["granted"] is None else bonus["budget"] - bonus["granted"]
    facts = (
        (gettext("加分预算"), whole(bonus["budget"])),
        (gettext("已经发出"), _told(bonus["granted"])),
        (gettext("没有用完"), _told(left)),
    )
    return Section(
        gettext("额外积分发了多少？"), (), facts, note=gettext("截至报告生成时。积分和减排量分开计算。")
    )


def _factors(snapshot: Snapshot) -> Section | None:
    rows = tuple(
        (row["key"], row[language()], f"{set_right(row['source'])} · {row['year']} · {row['region']}")
        for row in snapshot["factors"]
    )
    head = (gettext("因子版本"), gettext("行为"), gettext("来源"))
    return Section(gettext("用了哪些因子？"), (), (), head, rows) if rows else None


def _how(snapshot: Snapshot) -> Section:
    return Section(
        gettext("怎么读这份报告"),
        (
            gettext(
                "减排量是按公开因子估算的，不是核证的减排量；活动不是唯一的原因，上面也写了居民自己怎么说。"
            ),
            gettext("不到 5 人的数不公布。为了不让人从别的数推算出来，有的数也一起不公布。"),
            gettext("报告生成后不再改变。之后撤销的记录，在网页上另外说明，不改这里的数。"),
            gettext("格式第 %(format)s 版。", format=snapshot["format"]),
        ),
    )


def since_words(since: Mapping[str, int]) -> str:
    """What became of records after the report was made; nothing if nothing did."""
    told = []
    if since["voided"]:
        told.append(
            ngettext(
                "报告生成以后，又有 %(num)s 条记录被撤销。",
                "报告生成以后，又有 %(num)s 条记录被撤销。",
                since["voided"],
            )
        )
    if since["confirmed"]:
        told.append(
            ngettext(
                "报告生成以后，又有 %(num)s 条记录通过审核。",
                "报告生成以后，又有 %(num)s 条记录通过审核。",
                since["confirmed"],
            )
        )
    return said(*told)
