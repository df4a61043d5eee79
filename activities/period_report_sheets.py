"""The numbers of monthly and yearly reports as a table: beside a report, and of all months together as open data."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.engine import Connection

from activities import period_reports
from activities.quantify.factors import POLLUTANTS
from tanpuhui.bureau.open_data import Dataset
from tanpuhui.bureau.sheets import Column, Row, Sort, Table
from tanpuhui.i18n import N_
from tanpuhui.rooms import House

_RECORDS = N_("居民的记录，按记录时的因子版本计算")
_KG = N_("千克 CO₂e")
_ESTIMATED = N_("估算减排量，不是经过核证或签发的减排量。各行的单位都是千克，逐条向下取整后相加。")

_COLUMNS = (
    Column("period", N_("月份或年份"), meaning=N_("按上海时间计日。")),
    Column("level", N_("层级"), meaning=N_("whole 全区，kind 按行为，street 按街镇，cell 按街镇和行为。上一层是下一层的合计，不要把不同层级的行相加。")),
    Column("street_code", N_("街镇代码"), meaning=N_("统计用区划代码；按记录当时居民所选的居（村）委会归入。")),
    Column("street", N_("街镇")),
    Column("kind", N_("行为代码"), meaning=N_("行为在各数据集中的代码。")),
    Column("kind_zh", N_("中文名称")),
    Column("kind_en", N_("英文名称")),
    Column("verified", N_("经过验证"), Sort.FLAG, meaning=N_("否：居民自报，含有照片的。两种行不要加成一个数。")),
    Column("city_credited", N_("市级核算"), Sort.FLAG, meaning=N_("是：减排量由市级核算，不计入本区，也不要与本区的行相加。")),
    Column("participants", N_("参与人数"), Sort.WHOLE, N_("人"), N_("去重后的账户数，不能跨行相加。一个班级或家庭账户算一个。"), _RECORDS),
    Column("records", N_("记录次数"), Sort.WHOLE, N_("条"), N_("不含已撤销和等待审核的。"), _RECORDS),
    Column("quantity", N_("数量"), Sort.DECIMAL, meaning=N_("按 unit 列的单位；只在写明行为的行里。"), source=_RECORDS, places=3),
    Column("unit", N_("数量的单位")),
    Column("co2e_low_kg", N_("CO₂e 较低值"), Sort.DECIMAL, _KG, _ESTIMATED, _RECORDS, 6),
    Column("co2e_mid_kg", N_("CO₂e 居中值"), Sort.DECIMAL, _KG, _ESTIMATED, _RECORDS, 6),
    Column("co2e_high_kg", N_("CO₂e 较高值"), Sort.DECIMAL, _KG, _ESTIMATED, _RECORDS, 6),
    *(
        column
        for key, name in (("nox", "NOx"), ("pm25", "PM2.5"), ("voc", "VOCs"), ("so2", "SO2"), ("co", "CO"))
        for column in (
            Column(f"{key}_g", name, Sort.DECIMAL, N_("克"), N_("只加有因子的记录；空着：没有因子或不公布，不等于零。按街镇的行不公布。"), _RECORDS, 6),
            Column(f"{key}_records", N_("有因子的记录"), Sort.WHOLE, N_("条"), N_("前一列由多少条记录加成。"), _RECORDS),
        )
    ),
    Column("hidden", N_("未公布"), Sort.FLAG, meaning=N_("是：不到五个人，或公布了会推算出不到五个人的数。数字空着，不是零。")),
)  # fmt: skip

REPORT = Table("report", N_("报告的数字"), _COLUMNS)
MONTHLY = Table("monthly", N_("每月参与和减排"), _COLUMNS)


def rows_of(snapshot: Mapping[str, Any]) -> Iterator[Row]:
    """The numbers of a report, level by level."""
    names = snapshot["names"]
    for row in snapshot["rows"]:
        kind = names["kind"].get(row["kind"], {})
        yield (
            snapshot["period"],
            row["level"],
            row["street"] or None,
            names["street"].get(row["street"]),
            row["kind"] or None,
            kind.get("zh"),
            kind.get("en"),
            row["verified"],
            row["city"],
            row["participants"],
            row["records"],
            row.get("quantity_milli"),
            kind.get("unit"),
            row["co2e_mg"],
            row["co2e_mid_mg"],
            row["co2e_high_mg"],
            *(row[f"{name}_{what}"] for name in POLLUTANTS for what in ("ug", "known")),
            row["hidden"],
        )


def _monthly_rows(_house: House, connection: Connection, _now: datetime) -> Iterator[Row]:
    for snapshot in period_reports.monthly(connection).values():
        yield from rows_of(snapshot)


DATASET = Dataset(
    MONTHLY,
    N_("每个月有多少人参与、记录了多少、估算减排多少，按街镇和行为。与当月的报告一致，公布后不再改变。"),
    N_("每月初，上个月不会再有补记之后"),
    _monthly_rows,
)
