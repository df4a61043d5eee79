"""What this room holds of a resident."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from rewards.ledger import account_of, held_for
from tanpuhui.holdings import Holding, own, table
from tanpuhui.i18n import N_

_WITHOUT_NAME = N_("长期保存，账目才平；注销后只挂在一个找不到您的编号下。")


def _account(resident_id: UUID) -> sa.Select[Any]:
    account = table("account")
    return sa.select(account.c.balance, account.c.path.like("held:%").label("waits_for_review")).where(
        account.c.path.in_((account_of(resident_id), held_for(resident_id)))
    )


def _transfers(resident_id: UUID) -> sa.Select[Any]:
    transfer, paths = table("transfer"), (account_of(resident_id), held_for(resident_id))
    mine = transfer.c.source.in_(paths) | transfer.c.destination.in_(paths)
    return sa.select(*transfer.c).where(mine).order_by(transfer.c.recorded_at, transfer.c.reference)


HOLDINGS = (
    Holding(
        key="balance",
        what=N_("碳积分余额"),
        why=N_("让您知道还有多少积分。"),
        tables=("account",),
        query=_account,
        lasts=_WITHOUT_NAME,
    ),
    Holding(
        key="transfers",
        what=N_("碳积分的每一笔进出"),
        why=N_("让余额的每一分都说得清来去。"),
        tables=("transfer",),
        query=_transfers,
        lasts=_WITHOUT_NAME,
    ),
    Holding(
        key="bonuses",
        what=N_("活动给您的加分"),
        why=N_("让每人的上限和活动的预算都算得准，同一次记录只加一次。"),
        tables=("campaign_grant",),
        query=own("campaign_grant"),
        lasts=_WITHOUT_NAME,
    ),
)
