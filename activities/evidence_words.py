"""An evidence pack in words: the sections that page and PDF draw, from its snapshot alone, in the language of the moment."""

from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from typing import Any

import flask_babel

from activities.campaign_report_words import POLLUTANTS, Section, percent, untold
from activities.gatherings import GATHERING_KIND_NAMES
from activities.sites import SITE_KIND_NAMES
from tanpuhui.i18n import N_
from tanpuhui.web.formatting import day, grams_of, in_kilograms, language, moment, set_right, whole

gettext: Callable[..., str] = flask_babel.gettext

Snapshot = Mapping[str, Any]

PART_NAMES = {
    "verified": N_("经过验证"),
    "self_declared": N_("自报"),
    "city": N_("市级核算，另计"),
}

SCOPE_NAMES = {
    "district": N_("区"),
    "street": N_("街镇"),
    "community": N_("居（村）委会"),
    "organisation": N_("单位"),
}

HOLDER_NAMES = {"person": N_("个人"), "class": N_("班级"), "team": N_("团队或单位")}


def title(snapshot: Snapshot) -> str:
    """What a pack is called."""
    return gettext("%(name)s %(year)s 年低碳实证材料", name=snapshot["scope"]["name"], year=snapshot["year"])


def made(snapshot: Snapshot) -> str:
    """When it was made, and which it replaces."""
    when = gettext("%(moment)s 生成", moment=moment(datetime.fromisoformat(snapshot["made_at"])))
    number = gettext("第 %(number)s 份", number=snapshot["number"])
    last = snapshot["replaces"]
    if last is None:
        return f"{when} · {number}"
    before = gettext(
        "替代 %(moment)s 生成的第 %(number)s 份",
        moment=moment(datetime.fromisoformat(last["made_at"])),
        number=last["number"],
    )
    return f"{when} · {number} · {before}"


def sections(snapshot: Snapshot) -> list[Section]:
    """The whole pack, part by part."""
    return [
        *(_about(snapshot), _totals(snapshot), _by(snapshot, "month"), _by(snapshot, "kind")),
        *(_pollutants(snapshot), _venues(snapshot), _campaigns(snapshot), _gatherings(snapshot)),
        *(_honours(snapshot), _checked(snapshot), _factors(snapshot), _how(snapshot)),
    ]


def _told(number: int | None, words: Callable[[int], object] = whole) -> str:
    return untold() if number is None else str(words(number))


def _few() -> str:
    return gettext("人太少，或者会让别的数被推算出来，不公布。")


def _range(numbers: Mapping[str, Any]) -> str:
    values = [numbers[name] for name in ("co2e_mg", "co2e_mid_mg", "co2e_high_mg")]
    return untold() if None in values else " / ".join(in_kilograms(value) for value in values)


def _kind(snapshot: Snapshot, code: str) -> str:
    return str(snapshot["kinds"].get(code, {}).get(language(), code))


# --- what it adds up to ------------------------------------------------------------------------------------


def _about(snapshot: Snapshot) -> Section:
    scope = snapshot["scope"]
    facts = [
        (gettext("对象"), scope["name"]),
        (gettext("类别"), gettext(SCOPE_NAMES[scope["kind"]])),
        (
            gettext("所在"),
            gettext("%(district)s，%(within)s", district=scope["district"], within=scope["within"]),
        ),
        (gettext("年份"), str(snapshot["year"])),
    ]
    text = [gettext("本材料说明做了什么、按什么因子估算，不是认证，也不是核证的减排量。")]
    if not snapshot["over"]:
        text.append(gettext("这一年还没有结束，只算到生成时。"))
    return Section(gettext("这份材料说的是谁？"), tuple(text), tuple(facts))


def _totals(snapshot: Snapshot) -> Section:
    (whole_year,) = snapshot["tables"]["year"]
    if whole_year["withheld"]:
        return Section(gettext("一年一共多少？"), (_few(),))
    rows = tuple(
        (gettext(name), _told(whole_year[part]["actions"]), _range(whole_year[part]))
        for part, name in PART_NAMES.items()
    )
    people = (
        gettext("居住在这里、有记录的居民")
        if snapshot["scope"]["kind"] != "organisation"
        else gettext("在它的点位有记录的居民")
    )
    note = gettext(
        "估算减排量，单位千克 CO₂e：较低值 / 居中值 / 较高值。经过验证的和自报的分开列，市级核算的另计，不相加。"
    )
    facts = ((people, _told(whole_year["participants"])),)
    return Section(
        gettext("一年一共多少？"),
        (),
        facts,
        (gettext("证据"), gettext("记录条数"), gettext("低 / 中 / 高")),
        rows,
        note=note,
    )


def _by(snapshot: Snapshot, table: str) -> Section:
    heading = {"month": gettext("每个月有多少？"), "kind": gettext("都做了什么？")}[table]
    rows = [row for row in snapshot["tables"][table] if row["withheld"] != "fine"]
    if not rows:
        fine = bool(snapshot["tables"][table])
        words = gettext("居（村）委会的数不分行为公布。") if fine else gettext("这一年没有记录。")
        return Section(heading, (words,))
    if all(row["withheld"] for row in rows):
        return Section(heading, (_few(),))
    lines = tuple(
        (
            row["key"] if table == "month" else _kind(snapshot, row["key"]),
            _told(row["participants"]),
            *(
                cell
                for part in PART_NAMES
                for cell in (_told(row[part]["actions"]), _told(row[part]["co2e_mg"], in_kilograms))
            ),
        )
        for row in rows
    )
    head = (
        gettext("月份") if table == "month" else gettext("行为"),
        gettext("人数"),
        gettext("验证条数"),
        gettext("验证千克"),
        gettext("自报条数"),
        gettext("自报千克"),
        gettext("市级条数"),
        gettext("市级千克"),
    )
    note = gettext("千克 CO₂e 是较低值，居中值和较高值在 CSV 里。人数不能逐行相加：同一个人可能在几行里。")
    return Section(heading, (), (), head, lines, note=note)


def _pollutants(snapshot: Snapshot) -> Section:
    (whole_year,) = snapshot["tables"]["year"]
    if whole_year["withheld"]:
        return Section(gettext("同时减少了多少污染物？"), (_few(),))
    rows = tuple(
        (
            POLLUTANTS[name],
            gettext(words),
            gettext("没有因子")
            if whole_year[part][f"{name}_known"] == 0
            else _told(whole_year[part][f"{name}_ug"], grams_of),
            _told(whole_year[part][f"{name}_known"]),
            _told(whole_year[part]["actions"]),
        )
        for name in POLLUTANTS
        for part, words in PART_NAMES.items()
        if whole_year[part]["actions"] != 0
    )
    head = (
        gettext("污染物"),
        gettext("证据"),
        gettext("减少"),
        gettext("有因子的记录"),
        gettext("全部记录"),
    )
    note = gettext("只加有因子的记录。没有因子不等于零。")
    heading = gettext("同时减少了多少污染物？")
    return Section(
        heading, () if rows else (gettext("这一年没有记录。"),), (), head, rows, note=note if rows else ""
    )


# --- what was done there -----------------------------------------------------------------------------------


def _listed(
    heading: str, nothing: str, head: tuple[str, ...], rows: tuple[tuple[str, ...], ...], note: str = ""
) -> Section:
    """A list; words instead where it is empty."""
    if not rows:
        return Section(heading, (nothing,))
    return Section(heading, (), (), head, rows, note=note)


def _venues(snapshot: Snapshot) -> Section:
    comma = gettext("、")
    rows = tuple(
        (
            venue["name"],
            gettext(SITE_KIND_NAMES.get(venue["kind"], venue["kind"])),
            comma.join(_kind(snapshot, code) for code in venue["credits"]) or "–",
        )
        for venue in snapshot["venues"]
    )
    head = (gettext("点位"), gettext("类型"), gettext("可以记录"))
    return _listed(gettext("有哪些点位？"), gettext("没有点位。"), head, rows, gettext("生成时登记的点位。"))


def _days(first: str, last: str) -> str:
    days = [day(date.fromisoformat(text)) for text in (first, last)]
    return days[0] if first == last else " – ".join(days)


def _campaigns(snapshot: Snapshot) -> Section:
    rows = tuple((one["title"], _days(*one["days"])) for one in snapshot["campaigns"])
    head = (gettext("活动"), gettext("日期"))
    return _listed(gettext("办了哪些活动？"), gettext("这一年没有活动。"), head, rows)


def _gatherings(snapshot: Snapshot) -> Section:
    rows = tuple(
        (
            one["title"],
            gettext(GATHERING_KIND_NAMES.get(one["kind"], one["kind"])),
            day(date.fromisoformat(one["day"])),
            _told(one["came"]),
            _told(one["walk_ins"]),
        )
        for one in snapshot["gatherings"]
    )
    head = (
        gettext("现场活动"),
        gettext("类型"),
        gettext("日期"),
        gettext("签到的人"),
        gettext("没有账户的人"),
    )
    return _listed(gettext("办了哪些现场活动？"), gettext("这一年没有现场活动。"), head, rows)


def _honours(snapshot: Snapshot) -> Section:
    rows = tuple(
        (
            one["title"],
            gettext(HOLDER_NAMES.get(one["holder"], one["holder"])),
            day(date.fromisoformat(one["day"])),
            one["number"] or "–",
        )
        for one in snapshot.get("honours", ())
    )
    head = (gettext("荣誉"), gettext("授予"), gettext("日期"), gettext("证书编号"))
    note = gettext("不写姓名：公开姓名的同意可以随时收回，这份材料不会再改。")
    return _listed(gettext("得到哪些荣誉？"), gettext("这一年没有荣誉。"), head, rows, note)


# --- how far it can be relied on ---------------------------------------------------------------------------


def _checked(snapshot: Snapshot) -> Section:
    rows = tuple(
        (
            gettext("经过验证") if row["verified"] else gettext("自报"),
            whole(row["judged"]),
            whole(row["wrong"]),
            percent(row["permille"]),
            f"{percent(row['interval'][0])} – {percent(row['interval'][1])}",
        )
        for row in snapshot["checked"]
    )
    head = (gettext("证据"), gettext("已判断"), gettext("有错"), gettext("差错率"), gettext("区间"))
    note = gettext("这里的点位随机抽查的记录里有错的；区间按 Wilson 方法，可信程度是百分之九十五。")
    return _listed(
        gettext("抽查出多少有错？"), gettext("抽查判断的记录不到 5 条，不说差错率。"), head, rows, note
    )


def _factors(snapshot: Snapshot) -> Section:
    rows = tuple(
        (row["key"], row[language()], f"{set_right(row['source'])} · {row['year']} · {row['region']}")
        for row in snapshot["factors"]
    )
    head = (gettext("因子版本"), gettext("行为"), gettext("来源"))
    note = (
        gettext("这些记录用过的因子版本。")
        if snapshot["scope"]["kind"] == "organisation"
        else gettext("这一年里生效的因子版本：记录按当天生效的版本计算。")
    )
    return _listed(gettext("用了哪些因子？"), gettext("没有用到因子。"), head, rows, note)


def _how(snapshot: Snapshot) -> Section:
    return Section(gettext("怎么算的，有什么限度？"), tuple(_limits(snapshot)))


def _limits(snapshot: Snapshot) -> Iterator[str]:
    yield gettext(
        "每条记录的估算减排量 = 数量 × 当天生效的公开因子，向下取整一次，再相加。只说一个数时用较低值。"
    )
    if snapshot["scope"]["kind"] == "organisation":
        yield gettext("只算在它的点位做的、生成时有效的记录：撤销的和等待审核的不在其中。")
    else:
        yield gettext("按记录当时居民所选的居（村）委会归入，不论在哪里做。撤销的和等待审核的不在其中。")
    yield gettext("不到 5 人的数不公布，会让它被推算出来的也不公布。")
    yield gettext("这是估算减排量，没有经过核证；只有市级可以核证、登记碳普惠减排量。积分和减排量分开计算。")
    yield gettext(
        "材料生成后不再改变，文件的 SHA-256 写在 MANIFEST.sha256 里。之后要更新，就再做一份，写明替代哪一份。"
    )
    yield gettext("格式第 %(format)s 版。", format=snapshot["format"])
