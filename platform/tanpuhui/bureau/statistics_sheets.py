"""The bureau's statistics as a table: the same numbers as the answer of the API, with those of a few people withheld."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import SQLModel

from tanpuhui.bureau.participation import PARTS, Period
from tanpuhui.bureau.sheets import Cell, Column, Row, Sort, Table
from tanpuhui.bureau.told import told_statistics, told_sums
from tanpuhui.bureau.view import View
from tanpuhui.errors import InvalidField
from tanpuhui.i18n import N_
from tanpuhui.measures import POLLUTANTS

_RECORDS = N_("居民的记录，按记录时的因子版本计算")
_KG = N_("千克 CO₂e")

#: What the table can be broken down by, and what each is called.
BREAKDOWNS = {
    "day": N_("按天"),
    "division": N_("按街镇"),
    "community": N_("按居（村）委会"),
    "kind": N_("按行为"),
}

_KEYS = {
    "day": Column("day", N_("日期"), Sort.DAY, meaning=N_("按上海时间计日。")),
    "division": Column("division", N_("街镇代码"), meaning=N_("统计用区划代码；按记录当时居民所选的居（村）委会归入。")),
    "community": Column("community", N_("居（村）委会代码"), meaning=N_("统计用区划代码。")),
    "kind": Column("kind", N_("行为代码"), meaning=N_("行为在各数据集中的代码。")),
}  # fmt: skip

_NAMES = {
    "division": Column("division_name", N_("街镇")),
    "community": Column("community_name", N_("居（村）委会")),
    "kind": Column("kind_name", N_("行为")),
}

_NUMBERS = (
    Column("part", N_("部分"), meaning=N_("all 全部；verified 经过验证；self_declared 自报（含照片）；city 市级核算，不计入本区。后三部分合起来是全部记录，减排量不要相加。")),
    Column("participants", N_("参与人数"), Sort.WHOLE, N_("人"), N_("去重后的账户数，不能跨行相加；只在 all 行里。"), _RECORDS),
    Column("records", N_("记录次数"), Sort.WHOLE, N_("条"), N_("不含已撤销和等待审核的。"), _RECORDS),
    Column("points", N_("积分"), Sort.WHOLE, meaning=N_("发出的积分；只在 all 行里。"), source=_RECORDS),
    Column("co2e_low_kg", N_("CO₂e 较低值"), Sort.DECIMAL, _KG, N_("估算减排量，不是经过核证或签发的减排量。"), _RECORDS, 6),
    Column("co2e_mid_kg", N_("CO₂e 居中值"), Sort.DECIMAL, _KG, N_("估算减排量，不是经过核证或签发的减排量。"), _RECORDS, 6),
    Column("co2e_high_kg", N_("CO₂e 较高值"), Sort.DECIMAL, _KG, N_("估算减排量，不是经过核证或签发的减排量。"), _RECORDS, 6),
    *(
        column
        for key, name in (("nox", "NOx"), ("pm25", "PM2.5"), ("voc", "VOCs"), ("so2", "SO2"), ("co", "CO"))
        for column in (
            Column(f"{key}_g", name, Sort.DECIMAL, N_("克"), N_("只加有因子的记录；空着：没有因子或不公布，不等于零。"), _RECORDS, 6),
            Column(f"{key}_records", N_("有因子的记录"), Sort.WHOLE, N_("条"), N_("前一列由多少条记录加成。"), _RECORDS),
        )
    ),
    Column("hidden", N_("未公布"), Sort.FLAG, meaning=N_("是：不到五个人，或公布了会推算出不到五个人的数，或分得太细。数字空着，不是零。")),
)  # fmt: skip


def check(by: Sequence[str]) -> tuple[str, ...]:
    """What to break down by, each once. Raises InvalidField for what there is not: nothing is finer than a day."""
    for name in by:
        if name not in BREAKDOWNS:
            reason = N_("没有这样的统计，时间最细到天。")
            raise InvalidField(errors=[{"field": "by", "reason": reason}])
    return tuple(name for name in BREAKDOWNS if name in by)


def table_of(by: Sequence[str]) -> Table:
    """The table of a breakdown."""
    keys = [column for name in by for column in (_KEYS[name], *([_NAMES[name]] if name in _NAMES else []))]
    return Table("statistics", N_("统计"), (*keys, *_NUMBERS))


def rows_of(
    connection: Connection, within: Period, by: Sequence[str], district: str, language: str
) -> Iterator[Row]:
    """The rows of `table_of(by)`: of each combination all records, and then each of its parts; names in `language`."""
    names = _names(connection, language)
    for found in told_statistics(connection, within, by, district):
        keys: list[Cell] = []
        for name in by:
            keys.append(_day(found[name]) if name == "day" else found[name])
            if name in _NAMES:
                keys.append(names[name].get(found[name]))
        yield from _lines(keys, found)


#: What the page of the bureau shows of a view, as one table.
VIEW = Table(
    "view",
    N_("统计"),
    (
        Column("period", N_("时段"), meaning=N_("年、季、月、周或日，按上海时间计日。")),
        Column("area", N_("地区代码"), meaning=N_("统计用区划代码。")),
        Column("area_name", N_("地区")),
        _KEYS["kind"],
        _NAMES["kind"],
        *_NUMBERS,
    ),
)


def view_rows(connection: Connection, view: View, areas: Sequence[str], language: str) -> Iterator[Row]:
    """What a view adds up to, then by kind, by each of `areas` in it, and by part of its period; as its page tells it."""
    names = _names(connection, language)
    left_out: dict[str, Any] = {"kind": view.kind, "campaign": view.campaign}
    for periods, places, by in (
        ([view.period], [view.area], ()),
        ([view.period], [view.area], ("kind",)),
        ([view.period], areas, ("area",)),
        (view.parts, [view.area], ("period",)),
    ):
        if not periods or not places or (view.kind and "kind" in by):
            continue
        for found in told_sums(connection, periods, places, by=by, **left_out):
            area, kind = found.get("area", view.area), found.get("kind", view.kind)
            period = found.get("period", view.period)
            called = names["division"].get(area), kind, names["kind"].get(kind or "")
            yield from _lines([period.name, area, *called], found)


def _lines(keys: Sequence[Cell], found: Mapping[str, Any]) -> Iterator[Row]:
    """The line of all records, and one for each of its parts."""
    hidden = found["withheld"] is not None
    nothing: tuple[Cell, ...] = (None,) * (3 + 2 * len(POLLUTANTS))
    yield (*keys, "all", found["participants"], found["actions"], found["points"], *nothing, hidden)
    for part in () if hidden else PARTS:
        if found[f"{part}_actions"]:
            yield (*keys, part, None, found[f"{part}_actions"], None, *_amounts(found, part), hidden)


def _day(value: Any) -> date:
    return value if isinstance(value, date) else date.fromisoformat(value)


def _amounts(found: Mapping[str, Any], part: str) -> Iterator[Cell]:
    for name in ("co2e_mg", "co2e_mid_mg", "co2e_high_mg"):
        yield found[f"{part}_{name}"]
    for name in POLLUTANTS:
        known = found[f"{part}_{name}_known"]
        yield found[f"{part}_{name}_ug"] if known else None
        yield known


def _names(connection: Connection, language: str) -> dict[str, dict[str, str]]:
    tables = SQLModel.metadata.tables
    places, kinds = tables["division"].c, tables["action_kind"].c
    of_places = {row[0]: row[1] for row in connection.execute(sa.select(places.code, places.name))}
    called = kinds.name_zh if language == "zh" else kinds.name_en
    of_kinds = {row[0]: row[1] for row in connection.execute(sa.select(kinds.code, called))}
    return {"division": of_places, "community": of_places, "kind": of_kinds}
