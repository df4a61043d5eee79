"""Open data of the rewards: the budgets out of which they are paid."""

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy.engine import Connection

from rewards.public_pools import public_pools
from tanpuhui.bureau.open_data import Dataset
from tanpuhui.bureau.sheets import Column, Row, Sort, Table
from tanpuhui.i18n import N_
from tanpuhui.rooms import House

_POINTS = N_("积分")
_UNTOLD = N_("空着：用过的人还太少，公布了会看出是谁。")

POOLS = Table(
    "reward-pools",
    N_("奖励预算"),
    (
        Column("pool", N_("预算编号"), meaning=N_("不变的编号。")),
        Column("title", N_("名称")),
        Column("funder", N_("出资单位"), meaning=N_("谁答应支付。")),
        Column("purpose", N_("用途")),
        Column("division_code", N_("地区代码"), meaning=N_("统计用区划代码。")),
        Column("budget", N_("预算"), Sort.WHOLE, _POINTS),
        Column("reserved", N_("留出"), Sort.WHOLE, _POINTS, _UNTOLD),
        Column("spent", N_("已用"), Sort.WHOLE, _POINTS, _UNTOLD),
        Column("left", N_("剩余"), Sort.WHOLE, _POINTS, _UNTOLD),
        Column("hidden", N_("未公布"), Sort.FLAG, meaning=N_("是：这一行有数字因人数太少没有公布。")),
        Column("runs_out_on", N_("预计用完"), Sort.DAY, meaning=N_("按最近几周的速度推算；空着：无法推算。")),
    ),
)


def pool_rows(_house: House, connection: Connection, now: datetime) -> Iterator[Row]:
    """A row for each reward pool, the latest first."""
    for pool in public_pools(connection, now):
        yield (
            str(pool.id),
            pool.title,
            pool.funder,
            pool.purpose,
            pool.division_code,
            pool.budget,
            pool.reserved,
            pool.spent,
            pool.left,
            pool.left is None,
            pool.runs_out_on,
        )


DATASETS = (
    Dataset(
        POOLS, N_("每份奖励预算由谁出资、用了多少、还剩多少。积分没有货币价值。"), N_("随时更新"), pool_rows
    ),
)
