"""What this room holds of a resident."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from rewards import adjustments, draw_entries
from rewards.ledger import account_of, held_for
from rewards.redemptions import forget as give_vouchers_up
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
    shown = ("reference", "source", "destination", "amount", "balance_after", "expires_on", "recorded_at")
    return (
        sa.select(*(transfer.c[name] for name in shown))
        .where(mine)
        .order_by(transfer.c.recorded_at, transfer.c.reference)
    )


def _sealed(resident_id: UUID) -> sa.Select[Any]:
    sealed = table("sealed_transfer")
    shown = (sealed.c.position, sealed.c.reference, sealed.c.leaf)
    return sa.select(*shown).where(sealed.c.resident_id == resident_id).order_by(sealed.c.position)


def _adjustments(resident_id: UUID) -> sa.Select[Any]:
    made = table("adjustment")
    shown = ("id", "kind", "about", "amount", "reverses", "reason", "proposed_at", "decision", "decided_at")
    mine = sa.select(*(made.c[name] for name in shown)).where(made.c.resident_id == resident_id)
    return mine.order_by(made.c.proposed_at, made.c.id)


def _honours(resident_id: UUID) -> sa.Select[Any]:
    honour, kind, evidence = table("honour"), table("honour_kind"), table("honour_evidence")
    shown = ("nominated_at", "reason", "decision", "decided_at", "decided_because", "number")
    revoked = ("revoked_at", "revoked_because")
    return (
        sa.select(
            kind.c.title,
            *(honour.c[name] for name in (*shown, *revoked)),
            evidence.c.text.label("evidence"),
            evidence.c.source.label("evidence_source"),
        )
        .select_from(
            honour.join(kind, kind.c.id == honour.c.kind_id).outerjoin(
                evidence, evidence.c.honour_id == honour.c.id
            )
        )
        .where(honour.c.resident_id == resident_id)
        .order_by(honour.c.nominated_at, honour.c.id, evidence.c.ordinal)
    )


def _forget_honours(connection: Connection, resident_id: UUID) -> None:
    """That there was an honour stays, and its number; who has it, what for and what spoke for it do not."""
    honour, evidence = table("honour"), table("honour_evidence")
    _forget_names(connection, resident_id)
    theirs = connection.scalars(sa.select(honour.c.id).where(honour.c.resident_id == resident_id)).all()
    gone = {"resident_id": None, "reason": None, "claim_hash": None, "claim_until": None}
    connection.execute(sa.update(honour).where(honour.c.id.in_(theirs)).values(gone))
    connection.execute(sa.delete(evidence).where(evidence.c.honour_id.in_(theirs)))


def _names(resident_id: UUID) -> sa.Select[Any]:
    honour, consent = table("honour"), table("honour_consent")
    shown = ("name", "listed", "version", "given_at")
    return (
        sa.select(honour.c.number, *(consent.c[name] for name in shown))
        .select_from(consent.join(honour, honour.c.id == consent.c.honour_id))
        .where(honour.c.resident_id == resident_id)
        .order_by(consent.c.given_at)
    )


def _forget_names(connection: Connection, resident_id: UUID) -> None:
    honour, consent = table("honour"), table("honour_consent")
    theirs = sa.select(honour.c.id).where(honour.c.resident_id == resident_id)
    connection.execute(sa.delete(consent).where(consent.c.honour_id.in_(theirs)))


def _vouchers(resident_id: UUID) -> sa.Select[Any]:
    redemption, offer, coupon = table("redemption"), table("offer"), table("offer_coupon")
    certificate = table("donation_certificate")
    shown = ("price", "state", "made_at", "expires_at", "settled_at", "ended_at", "reason", "reminded_at")
    return (
        sa.select(
            offer.c.title,
            *(redemption.c[name] for name in shown),
            coupon.c.code.label("coupon"),
            certificate.c.number.label("certificate"),
        )
        .select_from(
            redemption.join(offer, offer.c.id == redemption.c.offer_id)
            .outerjoin(coupon, coupon.c.redemption_id == redemption.c.id)
            .outerjoin(certificate, certificate.c.redemption_id == redemption.c.id)
        )
        .where(redemption.c.resident_id == resident_id)
        .order_by(redemption.c.made_at, redemption.c.id)
    )


def _tickets(resident_id: UUID) -> sa.Select[Any]:
    draw, entry = table("draw"), table("draw_entry")
    shown = ("ticket", "entered_at", "given_up_at", "place", "prize", "handed_at")
    return (
        sa.select(draw.c.title, *(entry.c[name] for name in shown))
        .select_from(entry.join(draw, draw.c.id == entry.c.draw_id))
        .where(entry.c.resident_id == resident_id)
        .order_by(entry.c.entered_at)
    )


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
        key="seals",
        what=N_("每一笔进出在账本里封存的位置和指纹"),
        why=N_("让您和任何人都能发现账目有没有被改过。"),
        tables=("sealed_transfer",),
        query=_sealed,
        lasts=_WITHOUT_NAME,
    ),
    Holding(
        key="adjustments",
        what=N_("工作人员给您的积分调整：多少、为什么、是否批准"),
        why=N_("让每一次调整都经两个人，您也看得到原因。"),
        tables=("adjustment",),
        query=_adjustments,
        lasts=N_("长期保存，账目才平；注销时立即删除原因和来信编号。"),
        forget=adjustments.forget,
    ),
    Holding(
        key="bonuses",
        what=N_("活动给您的加分"),
        why=N_("让每人的上限和活动的预算都算得准，同一次记录只加一次。"),
        tables=("campaign_grant",),
        query=own("campaign_grant"),
        lasts=_WITHOUT_NAME,
    ),
    Holding(
        key="vouchers",
        what=N_("您用积分兑换的券"),
        why=N_("让您用得上，让每张只用一次，让商户能和出资的一方结算。"),
        tables=("redemption", "offer_coupon", "donation_certificate"),
        query=_vouchers,
        lasts=N_("长期保存，账目才平；注销时没用的券立即取消，用过的只挂在一个找不到您的编号下。"),
        forget=give_vouchers_up,
    ),
    Holding(
        key="honours",
        what=N_("您接受的荣誉提名：事由、证据和结果"),
        why=N_("让工作人员评定，让拿到证书的人能核对。"),
        tables=("honour", "honour_evidence"),
        query=_honours,
        lasts=N_("长期保存，证书才能核对；注销时立即解除与您的联系，删除事由和证据。"),
        forget=_forget_honours,
    ),
    Holding(
        key="honour_names",
        what=N_("您在荣誉上公开的名字"),
        why=N_("您同意了在这一项荣誉上公开它。"),
        tables=("honour_consent",),
        query=_names,
        lasts=N_("撤回同意、关闭公开荣誉或注销时立即删除。"),
        forget=_forget_names,
        by_consent="honours",
    ),
    Holding(
        key="tickets",
        what=N_("您的抽奖券"),
        why=N_("每人一张，中了奖能领到。"),
        tables=("draw_entry",),
        query=_tickets,
        lasts=N_("长期保存，抽奖才能重算；注销时还没截止的退出，其余解除与您的联系。"),
        forget=draw_entries.forget,
    ),
)
