"""Open data of what residents do: the factors and the sites."""

from collections.abc import Iterator
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import col

from activities.catalogue import ActionKind
from activities.quantify.factors import POLLUTANTS, all_versions, uncancelled
from activities.sites import Site, SiteCredits
from tanpuhui.bureau.open_data import Dataset
from tanpuhui.bureau.sheets import Column, Row, Sort, Table
from tanpuhui.divisions import Division, street_of
from tanpuhui.i18n import N_
from tanpuhui.rooms import House

_PER_UNIT = N_("纳克，每单位")

_POLLUTANT_NAMES = {"nox": "NOx", "pm25": "PM2.5", "voc": "VOCs", "so2": "SO2", "co": "CO"}

FACTORS = Table(
    "factors",
    N_("减排因子"),
    (
        Column("factor_version", N_("因子版本"), meaning=N_("行为代码加版本号；每条记录都写明用的是哪一版。")),
        Column("kind", N_("行为代码"), meaning=N_("行为在各数据集中的代码。")),
        Column("name_zh", N_("中文名称")),
        Column("name_en", N_("英文名称")),
        Column("unit", N_("计量单位"), meaning=N_("因子按一个这样的单位给出。")),
        Column("scenario_kind", N_("场景类别"), meaning=N_("沪环规〔2025〕10号的三类之一。")),
        Column("methodology", N_("方法学代码"), meaning=N_("空着：没有所属的方法学。")),
        Column("city_credited", N_("市级核算"), Sort.FLAG, meaning=N_("是：减排量由市级核算，本区只给积分。")),
        *(
            Column(f"co2e_{level}_ng", name, Sort.WHOLE, _PER_UNIT, meaning, N_("见 source 列"))
            for level, name, meaning in (
                ("low", N_("CO₂e 较低值"), N_("统计一律采用较低值。")),
                ("mid", N_("CO₂e 居中值"), N_("来源给出的范围的中间。")),
                ("high", N_("CO₂e 较高值"), N_("来源给出的范围的上端。")),
            )
        ),
        *(
            Column(
                f"{key}_ng",
                name,
                Sort.WHOLE,
                _PER_UNIT,
                N_("空着：没有已知的因子，不等于零。负数：比对照情形排得多。"),
                N_("见 source 列"),
            )
            for key, name in _POLLUTANT_NAMES.items()
        ),
        Column("baseline", N_("对照情形"), meaning=N_("如果不这样做，会发生什么。")),
        Column("source", N_("来源文件"), meaning=N_("数值出自哪份文件。")),
        Column("source_year", N_("来源年份"), Sort.TEXT),
        Column("region", N_("适用地区")),
        Column("confidence", N_("可信度"), meaning=N_("A 原文，B 报道，C 转引，D 推算。")),
        Column("valid_from", N_("生效日"), Sort.DAY, meaning=N_("空着：一直有效。")),
        Column("valid_to", N_("失效日"), Sort.DAY, meaning=N_("空着：仍然有效。")),
    ),
)  # fmt: skip


def factor_rows(_house: House, connection: Connection, _now: datetime) -> Iterator[Row]:
    """A row for every factor version that was published and not cancelled."""
    query = sa.select(col(ActionKind.code), col(ActionKind.name_zh), col(ActionKind.name_en))
    names = {row.code: (row.name_zh, row.name_en) for row in connection.execute(query)}
    for version in uncancelled(all_versions(connection)):
        yield (
            version.id,
            version.action_code,
            *names[version.action_code],
            version.unit,
            str(version.scenario_kind),
            version.methodology,
            version.city_credited,
            version.co2e_low_ng,
            version.co2e_mid_ng,
            version.co2e_high_ng,
            *(getattr(version, f"{name}_ng") for name in POLLUTANTS),
            version.baseline,
            version.source,
            str(version.source_year),
            version.region,
            str(version.confidence),
            version.valid_from,
            version.valid_to,
        )


_SAID = N_("点位的管理者")

SITES = Table(
    "sites",
    N_("点位清单"),
    (
        Column("site", N_("点位编号"), meaning=N_("不变的编号。")),
        Column("source_register", N_("源清单编号"), meaning=N_("在区污染源与碳排放源清单里的编号；空着：还没有登记。"), source=_SAID),
        Column("name", N_("名称"), source=_SAID),
        Column("kind", N_("点位类型代码"), source=_SAID),
        Column("street_code", N_("街镇代码"), meaning=N_("统计用区划代码。")),
        Column("street", N_("街镇")),
        Column("community_code", N_("居（村）委会代码"), meaning=N_("统计用区划代码。")),
        Column("community", N_("居（村）委会")),
        Column("open", N_("是否开放"), Sort.FLAG, meaning=N_("否：管理者暂停了记录。"), source=_SAID),
        Column("hours", N_("开放时间"), source=_SAID),
        Column("kinds", N_("可记录的行为"), meaning=N_("行为代码，空格隔开。")),
        Column("latitude", N_("纬度"), Sort.DECIMAL, N_("度"), N_("空着：没有登记。"), _SAID, 6),
        Column("longitude", N_("经度"), Sort.DECIMAL, N_("度"), N_("空着：没有登记。"), _SAID, 6),
        Column("datum", N_("坐标系"), meaning=N_("gcj02 或 wgs84；两者相差几百米。"), source=_SAID),
    ),
)  # fmt: skip


def site_rows(_house: House, connection: Connection, _now: datetime) -> Iterator[Row]:
    """A row for every site, by division and name. Desks of self-reports are no places."""
    names = {
        row.code: row.name for row in connection.execute(sa.select(col(Division.code), col(Division.name)))
    }
    kinds: dict[object, list[str]] = {}
    offered = sa.select(col(SiteCredits.site_id), col(SiteCredits.kind)).order_by(col(SiteCredits.kind))
    for row in connection.execute(offered):
        kinds.setdefault(row.site_id, []).append(row.kind)
    query = (
        sa.select(*Site.__table__.c)  # type: ignore[attr-defined]
        .where(~col(Site.self_reports))
        .order_by(col(Site.division_code), col(Site.name), col(Site.id))
    )
    for site in connection.execute(query):
        street = street_of(site.division_code)
        yield (
            str(site.id),
            site.source_register,
            site.name,
            str(site.kind),
            street,
            names.get(street),
            site.division_code,
            names.get(site.division_code),
            site.status == "open",
            site.hours or None,
            " ".join(kinds.get(site.id, [])),
            site.latitude_e6,
            site.longitude_e6,
            str(site.datum) if site.datum else None,
        )


DATASETS = (
    Dataset(FACTORS, N_("每一个已发布的因子版本：一个单位的行为估算减排多少，数值从哪里来。"), N_("发布新版本时更新"), factor_rows),
    Dataset(SITES, N_("居民可以记录绿色行为的点位。"), N_("点位变动时更新"), site_rows),
)  # fmt: skip
