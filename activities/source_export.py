"""Pollution and carbon together, by the register of sources: for each site what was done there, what it saved, and what it weighed.

Every line is of a registered site. A line of kind `activity` is what a kind of action at a site adds up to; a line of kind `material`
what a material weighed there. So no number stands twice, and every column may be added up. Sites without a number in the register of
sources stand apart. The sums over both are those of the statistics of the same days.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import col, select

from activities.actions import Action, of_days
from activities.catalogue import ActionKind
from activities.mass_balance import standing
from activities.materials import Material, MaterialKind
from activities.recycling import HandOver, HandOverConfirmation, HandOverReversal
from activities.sites import Site
from tanpuhui.bureau.participation import Period
from tanpuhui.bureau.sheets import Column, Row, Sort, Table
from tanpuhui.db import session_on
from tanpuhui.divisions import Division
from tanpuhui.i18n import N_
from tanpuhui.measures import POLLUTANTS

#: Weights of a material at a site, in grams. `out_g`: to a site further down; `left_g`: out of the district.
WEIGHTS = ("brought_in_g", "received_g", "out_g", "left_g")

_CO2E = ("co2e_mg", "co2e_mid_mg", "co2e_high_mg")

#: What is summed up of actions. `<pollutant>_known`: how many of the actions have a factor for it.
SUMS = (
    "actions",
    "quantity_milli",
    *_CO2E,
    *(f"{name}_{what}" for name in POLLUTANTS for what in ("ug", "known")),
)

_POLLUTANTS = {"nox": "NOx", "pm25": "PM2.5", "voc": "VOCs", "so2": "SO2", "co": "CO"}

_RECORDS, _HAND_OVERS = N_("扫码记录，撤销、待审核和未通过的不算"), N_("双方的交接单，冲销的不算")


def _columns() -> Iterator[Column]:
    yield Column("source_register", N_("源清单编号"), meaning=N_("没有编号的点位另列一份文件"))
    yield Column("site_id", N_("点位标识"))
    yield Column("site", N_("点位"))
    yield Column("level", N_("回收链的级别"), meaning=N_("point 点，station 站，yard 场"))
    yield Column("division_code", N_("区划代码"))
    yield Column("division", N_("区划"))
    yield Column(
        "line", N_("行的种类"), meaning=N_("activity：一种行为在这里的合计；material：一种材料在这里的重量")
    )
    yield Column("code", N_("行为或材料的代码"))
    yield Column("name", N_("行为或材料"))
    yield Column("unit", N_("数量的单位"))
    yield Column(
        "city_credited", N_("是否市级核算"), Sort.FLAG, meaning=N_("由市级方法学核算的，不计入本区合计")
    )
    yield Column("actions", N_("记录次数"), Sort.WHOLE, source=_RECORDS)
    yield Column("quantity_milli", N_("活动数量"), Sort.DECIMAL, source=_RECORDS, places=3)
    for key, name in (
        ("co2e_mg", N_("CO₂e 较低值")),
        ("co2e_mid_mg", N_("CO₂e 居中值")),
        ("co2e_high_mg", N_("CO₂e 较高值")),
    ):
        yield Column(key, name, Sort.WHOLE, N_("毫克"), N_("估算减排量"), _RECORDS)
    for key, name in _POLLUTANTS.items():
        yield Column(
            f"{key}_ug", name, Sort.WHOLE, N_("微克"), N_("估算减少量；没有因子的不等于零，不加"), _RECORDS
        )
        yield Column(f"{key}_known", f"{name} n", Sort.WHOLE, meaning=N_("其中有这种污染物因子的记录次数"))
    yield Column("brought_in_g", N_("居民送来"), Sort.WHOLE, N_("克"), source=_RECORDS)
    yield Column("received_g", N_("收到交接"), Sort.WHOLE, N_("克"), N_("以接收一方的秤为准"), _HAND_OVERS)
    yield Column("out_g", N_("交给下一级"), Sort.WHOLE, N_("克"), N_("以交出一方的秤为准"), _HAND_OVERS)
    yield Column("left_g", N_("运出本区"), Sort.WHOLE, N_("克"), N_("以交出一方的秤为准"), _HAND_OVERS)


#: What the files hold. Of sites without a number there is a file of its own.
TABLE = Table("sources", N_("按源清单"), tuple(_columns()))
COLUMNS = tuple(column.key for column in TABLE.columns)


@dataclass(frozen=True)
class Export:
    """The lines of sites that have a number in the register of sources, and of those that have none yet."""

    within: Period
    registered: list[dict[str, Any]]
    without: list[dict[str, Any]]

    @property
    def sites_without(self) -> int:
        """How many sites have no number."""
        return len({line["site_id"] for line in self.without})

    @property
    def sites_registered(self) -> int:
        """How many sites have one."""
        return len({line["site_id"] for line in self.registered})

    def total(self, name: str, *, city: bool | None = None) -> int:
        """The sum of a column over all lines; `city`: of what the city credits, or of the district's own, alone."""
        return sum(
            line[name] or 0
            for line in (*self.registered, *self.without)
            if city is None or line["city_credited"] is city
        )


def export(connection: Connection, within: Period) -> Export:
    """What was done, saved and weighed at each site in a period."""
    lines = [*_activities(connection, within), *_materials(connection, within)]
    with session_on(connection) as session:
        wanted = {line["site_id"] for line in lines}
        sites = {one.id: one for one in session.exec(select(Site).where(col(Site.id).in_(wanted))).all()}
        names = {one.code: one.name for one in session.exec(select(Division)).all()}
        session.expunge_all()
    found = [_of_site(sites[line["site_id"]], names, line) for line in lines]
    found.sort(
        key=lambda one: [
            str(one[name] or "")
            for name in ("source_register", "division_code", "site", "site_id", "line", "code")
        ]
    )
    return Export(
        within,
        [line for line in found if line["source_register"]],
        [line for line in found if not line["source_register"]],
    )


def _of_site(site: Site, divisions: Mapping[str, str], line: dict[str, Any]) -> dict[str, Any]:
    told = {
        "source_register": site.source_register,
        "site_id": str(site.id),
        "site": site.name,
        "level": site.level.value,
        "division_code": site.division_code,
        "division": divisions.get(site.division_code, ""),
    }
    return dict.fromkeys(COLUMNS) | line | told


def _activities(connection: Connection, within: Period) -> Iterator[dict[str, Any]]:
    """A line for each site, kind and whether the city credits it, of the records that stand."""
    known = {name: sa.func.count(getattr(Action, f"{name}_ug")) for name in POLLUTANTS}
    sums: list[Any] = [
        sa.func.count().label("actions"),
        *(sa.func.sum(getattr(Action, name)).label(name) for name in ("quantity_milli", *_CO2E)),
    ]
    for name in POLLUTANTS:
        sums += [
            sa.func.sum(getattr(Action, f"{name}_ug")).label(f"{name}_ug"),
            known[name].label(f"{name}_known"),
        ]
    query = (
        sa.select(
            col(Action.site_id),
            col(Action.kind).label("code"),
            col(ActionKind.name_zh).label("name"),
            col(ActionKind.unit),
            col(Action.city_credited),
            *sums,
        )
        .join(ActionKind, col(ActionKind.code) == col(Action.kind))
        .where(of_days(within.first, within.last), standing())
        .group_by(
            col(Action.site_id),
            col(Action.kind),
            col(ActionKind.name_zh),
            col(ActionKind.unit),
            col(Action.city_credited),
        )
    )
    for row in connection.execute(query).mappings():
        numbers = {name: None if row[name] is None else int(row[name]) for name in SUMS}
        yield {**row, **numbers, "line": "activity", "city_credited": bool(row["city_credited"])}


def _materials(connection: Connection, within: Period) -> Iterator[dict[str, Any]]:
    """A line for each site and material that came in or went out."""
    weights: dict[tuple[UUID, str], dict[str, int]] = {}
    for name, query in _weighed(within):
        for site_id, material, grams in connection.execute(query):
            weights.setdefault((site_id, material), dict.fromkeys(WEIGHTS, 0))[name] = int(grams)
    rows = connection.execute(sa.select(col(Material.code), col(Material.name_zh)))
    names = {row.code: row.name_zh for row in rows}
    for (site_id, material), grams in weights.items():
        yield {
            "site_id": site_id,
            "line": "material",
            "code": material,
            "name": names[material],
            "unit": "g",
            **grams,
        }


def _weighed(within: Period) -> Iterator[tuple[str, Any]]:
    """A query of (site, material, grams) for each of `WEIGHTS`."""
    days = within.first, within.last
    stands = ~sa.exists().where(col(HandOverReversal.hand_over_id) == col(HandOver.id))
    yield (
        "brought_in_g",
        sa.select(col(Action.site_id), col(MaterialKind.material), sa.func.sum(col(Action.quantity_milli)))
        .join(MaterialKind, col(MaterialKind.kind) == col(Action.kind))
        .where(of_days(*days), standing())
        .group_by(col(Action.site_id), col(MaterialKind.material)),
    )
    yield (
        "received_g",
        sa.select(
            col(HandOver.to_site_id), col(HandOver.material), sa.func.sum(col(HandOverConfirmation.grams))
        )
        .join(HandOverConfirmation, col(HandOverConfirmation.hand_over_id) == col(HandOver.id))
        .where(col(HandOver.day).between(*days), stands)
        .group_by(col(HandOver.to_site_id), col(HandOver.material)),
    )
    for name, leaves in (
        ("out_g", col(HandOver.to_site_id).is_not(None)),
        ("left_g", col(HandOver.to_site_id).is_(None)),
    ):
        yield (
            name,
            sa.select(col(HandOver.from_site_id), col(HandOver.material), sa.func.sum(col(HandOver.grams)))
            .where(col(HandOver.day).between(*days), stands, leaves)
            .group_by(col(HandOver.from_site_id), col(HandOver.material)),
        )


def cells(lines: Iterable[Mapping[str, Any]]) -> Iterator[Row]:
    """Lines as a sheet writes them."""
    for line in lines:
        yield [line[name] for name in COLUMNS]
