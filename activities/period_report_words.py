"""A monthly or yearly report in words: the sections that page and PDF draw, from its snapshot alone, in the language of the moment."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import flask_babel

from activities.campaign_report_words import POLLUTANTS, Section, untold
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

Snapshot = Mapping[str, Any]
Row = Mapping[str, Any]


def title(snapshot: Snapshot) -> str:
    """What a report is called."""
    district = snapshot["names"]["district"]
    if snapshot["unit"] == "year":
        return gettext("%(district)s碳普惠 %(year)s 年度报告", district=district, year=snapshot["period"])
    year, month = snapshot["period"].split("-")
    return gettext(
        "%(district)s碳普惠 %(year)s 年 %(month)s 月报告", district=district, year=year, month=int(month)
    )


def made(snapshot: Snapshot) -> str:
    """When it was made, and of which days it is."""
    first, last = (date.fromisoformat(snapshot[name]) for name in ("first", "last"))
    return gettext(
        "%(first)s至%(last)s的记录 · %(moment)s 生成",
        first=day(first),
        last=day(last),
        moment=moment(datetime.fromisoformat(snapshot["made_at"])),
    )


def sections(snapshot: Snapshot) -> list[Section]:
    """The whole report, part by part; one without anything to tell is not there."""
    parts = (
        *(
            _people(snapshot),
            _totals(snapshot),
            _pollutants(snapshot),
            _trend(snapshot),
            _by_street(snapshot),
        ),
        *(_by_kind(snapshot), _campaigns(snapshot), _factors(snapshot), _how()),
    )
    return [part for part in parts if part is not None]


# --- pieces ------------------------------------------------------------------------------------------------


def _told(number: int | None, words: Callable[[int], object] = whole) -> str:
    return untold() if number is None else str(words(number))


def _rows(snapshot: Snapshot, level: str) -> list[Row]:
    return [row for row in snapshot["rows"] if row["level"] == level]


def _proof(row: Row) -> str:
    name = gettext("经过验证") if row["verified"] else gettext("自报（含照片）")
    return gettext("%(name)s，市级核算", name=name) if row["city"] else name


def _amounts(row: Row) -> tuple[str, ...]:
    return (
        _told(row["participants"]),
        _told(row["records"]),
        *(_told(row[name], kilograms) for name in ("co2e_mg", "co2e_mid_mg", "co2e_high_mg")),
    )


def _heads(*first: str) -> tuple[str, ...]:
    return (
        *first,
        gettext("参与人数"),
        gettext("记录次数"),
        gettext("较低值"),
        gettext("居中值"),
        gettext("较高值"),
    )


def _bars(values: Sequence[int | None]) -> tuple[int | None, ...]:
    most = max((value for value in values if value), default=0)
    return tuple(None if value is None else max(value, 0) * 1000 // most if most else 0 for value in values)


# --- sections ----------------------------------------------------------------------------------------------


def _people(snapshot: Snapshot) -> Section:
    people = snapshot["people"]
    new, everybody = people["newcomers"], people["participants"]
    facts = (
        (gettext("参与人数"), _told(everybody)),
        (gettext("其中第一次参与"), _told(new)),
        (gettext("以前参与过"), _told(None if new is None else everybody - new)),
    )
    note = gettext(
        "去重后的账户数，一个班级或家庭账户算一个。至少有一条没有撤销、不在等待审核的记录才算参与。"
    )
    return Section(gettext("谁在参与？"), (), facts, note=note)


def _totals(snapshot: Snapshot) -> Section:
    rows = tuple((_proof(row), *_amounts(row)) for row in _rows(snapshot, "whole"))
    text = (
        gettext("估算减排量，单位千克 CO₂e。经过验证的、居民自报的和市级核算的分开列，互不相加。")
        if rows
        else gettext("这段时间没有记录。")
    )
    return Section(gettext("加起来有多少？"), (text,), (), _heads(gettext("证据")), rows)


def _pollutants(snapshot: Snapshot) -> Section | None:
    rows = [
        (
            name,
            _proof(row),
            _told(row[f"{key}_ug"], grams_of),
            _told(row[f"{key}_known"]),
            _told(row["records"]),
        )
        for row in _rows(snapshot, "whole")
        for key, name in POLLUTANTS.items()
        if row[f"{key}_known"] != 0
    ]
    if not rows:
        return None
    head = (
        gettext("污染物"),
        gettext("证据"),
        gettext("减少"),
        gettext("有因子的记录"),
        gettext("全部记录"),
    )
    note = gettext(
        "只加有因子的记录，最后两列是其中有因子的条数和全部条数。没有因子不等于零；没有列出的，一条有因子的记录也没有。"
    )
    return Section(gettext("同时减少了多少污染物？"), (), (), head, tuple(rows), note=note)


def _part_names(rows: Iterable[Row]) -> dict[tuple[bool, bool], str]:
    """The parts that there are, never added to each other: the district's own first, verified before self-declared."""
    found = {(row["city"], not row["verified"]): _proof(row) for row in rows}
    return {(city, not declared): found[city, declared] for city, declared in sorted(found)}


def _trend(snapshot: Snapshot) -> Section | None:
    months = snapshot["trend"]
    parts = _part_names(part for month in months for part in month["parts"])
    if not parts:
        return None
    rows = []
    for month in months:
        found = {(part["city"], part["verified"]): part["co2e_mg"] for part in month["parts"]}
        amounts = (_told(found.get(part, 0), kilograms) for part in parts)
        rows.append((month["month"], _told(month["participants"]), *amounts))
    head = (gettext("月份"), gettext("参与人数"), *parts.values())
    bars = _bars([month["participants"] for month in months]) if len(months) > 1 else ()
    note = said(
        gettext("图：每月参与人数。") if bars else "",
        gettext("右边是估算减排量的较低值，各月以当月的报告为准。"),
    )
    return Section(gettext("一个月一个月看"), (), (), head, tuple(rows), bars, bool(bars), note)


def _by(
    snapshot: Snapshot, level: str, label: Callable[[Row], str], keys: Iterable[str]
) -> tuple[tuple[tuple[str, ...], ...], tuple[int | None, ...]]:
    """A line for each part of each key, with a bar of its records."""
    found = _rows(snapshot, level)
    ordered = [row for key in keys for row in found if row[level] == key]
    lines = tuple((label(row), _proof(row), *_amounts(row)) for row in ordered)
    return lines, _bars([row["records"] for row in ordered])


def _by_street(snapshot: Snapshot) -> Section | None:
    names, people = snapshot["names"]["street"], snapshot["people"]["street"]
    rows = _rows(snapshot, "street")
    parts = _part_names(rows)
    if not parts:
        return None
    found = {(row["street"], row["city"], row["verified"]): row["co2e_mg"] for row in rows}
    lines = tuple(
        (
            name,
            _told(people.get(code, 0)),
            *(_told(found.get((code, *part), 0), kilograms) for part in parts),
        )
        for code, name in names.items()
    )
    head = (gettext("街镇"), gettext("参与人数"), *parts.values())
    bars = _bars([people.get(code, 0) for code in names])
    note = gettext(
        "图：参与人数。右边是估算减排量的较低值。按记录当时居民所选的居（村）委会归入街镇，按代码排列，不作排名。"
    )
    return Section(gettext("从哪里来？"), (), (), head, lines, bars, note=note)


def _by_kind(snapshot: Snapshot) -> Section | None:
    names = snapshot["names"]["kind"]
    lines, bars = _by(snapshot, "kind", lambda row: names[row["kind"]][language()], names)
    if not lines:
        return None
    note = gettext("图：记录次数。估算减排量单位千克 CO₂e。")
    return Section(
        gettext("都做了什么？"), (), (), _heads(gettext("行为"), gettext("证据")), lines, bars, note=note
    )


def _campaigns(snapshot: Snapshot) -> Section | None:
    rows = []
    for campaign in snapshot["campaigns"]:
        first, last = (date.fromisoformat(text) for text in campaign["days"])
        days = short_day(first) if first == last else f"{short_day(first)} – {short_day(last)}"
        rows.append((campaign["title"], days, _told(campaign["participants"]), _told(campaign["records"])))
    head = (gettext("活动"), gettext("日期"), gettext("参与人数"), gettext("记录次数"))
    note = gettext("数字是整个活动到报告生成时为止的，不只是这段时间的。每个活动另有总结报告。")
    return Section(gettext("办了哪些活动？"), (), (), head, tuple(rows), note=note) if rows else None


def _factors(snapshot: Snapshot) -> Section | None:
    rows = tuple(
        (row["key"], row[language()], f"{set_right(row['source'])} · {row['year']} · {row['region']}")
        for row in snapshot["factors"]
    )
    head = (gettext("因子版本"), gettext("行为"), gettext("来源"))
    return Section(gettext("用了哪些因子？"), (), (), head, rows) if rows else None


def _how() -> Section:
    return Section(
        gettext("怎么读这份报告"),
        (
            gettext(
                "减排量等于数量乘以记录时的因子版本，逐条向下取整后相加，是估算减排量，不是经过核证或签发的减排量。"
            ),
            gettext("市级核算的行为由市级方法学核算，本区只给积分，不计减排，另列以免重复。"),
            gettext("来源给出一个范围时写较低、居中、较高三个值；只说一个数时用较低值。"),
            gettext("不到 5 人的数不公布。为了不让人从别的数推算出来，有的数也一起不公布。"),
            gettext("报告生成后不再改变。之后撤销的记录不改这里的数。"),
        ),
    )
