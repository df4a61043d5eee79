"""What the floor itself holds of a resident."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tanpuhui import clock, families, idempotency, login
from tanpuhui.config import Settings
from tanpuhui.feedback import WORDS_GONE
from tanpuhui.holdings import Holding, discard, older, own, table
from tanpuhui.i18n import N_
from tanpuhui.people import open_phone

_WHILE_TAKING_PART = N_("参加期间保存，注销时立即删除。")
_WITHOUT_NAME = N_("长期保存，合计才对得上；注销后只挂在一个找不到您的编号下。")


def _account(resident_id: UUID) -> sa.Select[Any]:
    resident, school = table("resident"), table("class_account")
    shown = (
        "phone_cipher",
        "phone_index",
        "nickname",
        "division_code",
        "joined_at",
        "with_points",
        "status",
        "account_kind",
    )
    return (
        sa.select(*(resident.c[name] for name in shown), school.c.label.label("class_label"))
        .select_from(resident.outerjoin(school, school.c.resident_id == resident.c.id))
        .where(resident.c.id == resident_id)
    )


def _with_phone(settings: Settings, row: dict[str, Any]) -> dict[str, Any]:
    """The number itself in place of how it is kept."""
    sealed = row.pop("phone_cipher")
    row.pop("phone_index")
    return {"phone": open_phone(settings, sealed) if sealed else None, **row}


def _family(resident_id: UUID) -> sa.Select[Any]:
    """What a guardian shares, or of a family since when it is shared; not with whom."""
    link, account = table("family_guardian"), table("family_account")
    theirs = (link.c.guardian_id == resident_id) | (link.c.family_id == resident_id)
    return (
        sa.select(account.c.label, link.c.since, link.c.until)
        .select_from(link.outerjoin(account, account.c.resident_id == link.c.family_id))
        .where(theirs)
        .order_by(link.c.since)
    )


def _codes(resident_id: UUID) -> sa.Select[Any]:
    code, resident = table("login_code"), table("resident")
    number = sa.select(resident.c.phone_index).where(resident.c.id == resident_id).scalar_subquery()
    shown = (code.c.sent_at, code.c.expires_at, code.c.tries, code.c.used_at)
    return sa.select(*shown).where(code.c.phone_index == number).order_by(code.c.sent_at)


def _forget_codes(connection: Connection, resident_id: UUID) -> None:
    code, resident = table("login_code"), table("resident")
    number = sa.select(resident.c.phone_index).where(resident.c.id == resident_id).scalar_subquery()
    connection.execute(sa.delete(code).where(code.c.phone_index == number))


def _said(resident_id: UUID) -> sa.Select[Any]:
    feedback, entry = table("feedback"), table("feedback_entry")
    shown = ("number", "kind", "topic", "topic_id", "state", "opened_at", "due_on", "closed_at")
    return (
        sa.select(
            *(feedback.c[name] for name in shown),
            entry.c.said_at,
            entry.c.staff_id.is_not(None).label("by_staff"),
            entry.c.text,
        )
        .select_from(feedback.join(entry, entry.c.feedback_id == feedback.c.id))
        .where(feedback.c.resident_id == resident_id)
        .order_by(feedback.c.opened_at, entry.c.said_at)
    )


def _forget_said(connection: Connection, resident_id: UUID) -> None:
    """Take the author and their words away; the number, the days and the answers stay for the count."""
    feedback, entry = table("feedback"), table("feedback_entry")
    mine = feedback.c.resident_id == resident_id
    theirs = entry.c.staff_id.is_(None) & entry.c.feedback_id.in_(sa.select(feedback.c.id).where(mine))
    connection.execute(sa.update(entry).where(theirs).values(text=WORDS_GONE))
    still = mine & (feedback.c.state != "closed")
    connection.execute(sa.update(feedback).where(still).values(state="closed", closed_at=clock.now()))
    gone = {"resident_id": None, "topic": None, "topic_id": None}
    connection.execute(sa.update(feedback).where(mine).values(gone))


def _purge_said(connection: Connection, before: datetime) -> None:
    feedback, entry = table("feedback"), table("feedback_entry")
    over = sa.select(feedback.c.id).where(feedback.c.closed_at < before)
    connection.execute(sa.delete(entry).where(entry.c.feedback_id.in_(over)))
    connection.execute(sa.delete(feedback).where(feedback.c.closed_at < before))


HOLDINGS = (
    Holding(
        key="account",
        what=N_("账户：手机号码、居（村）委会、昵称、加入时间"),
        why=N_("手机号码用来登录，居（村）委会用来按街镇统计，昵称只在您参加的榜单上显示。"),
        tables=("resident", "class_account"),
        query=_account,
        reveal=_with_phone,
        lasts=N_("参加期间保存，注销时立即删除；居（村）委会留作统计。"),
        forget=discard("class_account"),
    ),
    Holding(
        key="display",
        what=N_("您选的关怀版和字号"),
        why=N_(
            "换一部手机登录时不用再选。只记现在选的，不记什么时候选、用没用；全区有多少账户选了它，只数合计。"
        ),
        tables=("display_choice",),
        query=own("display_choice"),
        lasts=N_("保存到您改回普通版或注销时，立即删除。"),
        forget=discard("display_choice"),
    ),
    Holding(
        key="consents",
        what=N_("您的同意"),
        why=N_("证明您同意过哪一份说明的哪一版，什么时候同意或撤回。"),
        tables=("consent",),
        query=own("consent", hidden={"id"}),
        lasts=N_("撤回后 %(days)s 天删除。"),
        kept=timedelta(days=3 * 365),
        purge=older("consent", "withdrawn_at"),
    ),
    Holding(
        key="family",
        what=N_("家庭账户：昵称，从什么时候起共用"),
        why=N_("让您替家里记录，同一次行为只记一次。不写有谁，不写孩子的任何信息。"),
        tables=("family_account", "family_guardian"),
        query=_family,
        lasts=N_("结束共用后 %(days)s 天删除，注销时立即删除。"),
        kept=families.REMEMBERED,
        purge=families.purge,
        forget=families.forget,
    ),
    Holding(
        key="identities",
        what=N_("您关联的其他登录方式"),
        why=N_("让您用它登录。只存一串代号，看不出您在那边是谁，也不要那边的姓名和号码。"),
        tables=("identity",),
        query=own("identity", hidden={"fingerprint"}),
        lasts=N_("解除关联或注销时立即删除。"),
        forget=discard("identity"),
    ),
    Holding(
        key="login_codes",
        what=N_("发给您的验证码"),
        why=N_("防止有人反复发送或猜验证码。验证码本身不保存。"),
        tables=("login_code",),
        query=_codes,
        lasts=N_("发送后 %(days)s 天删除，注销时立即删除。"),
        kept=timedelta(days=2),
        purge=login.purge,
        forget=_forget_codes,
    ),
    Holding(
        key="sessions",
        what=N_("登录过的设备"),
        why=N_("让您看到并结束自己的登录。不记录设备型号和网络地址。"),
        tables=("browser_session",),
        query=own("browser_session", "subject_id", hidden={"id", "token_hash", "kind"}),
        lasts=N_("登录到期后 %(days)s 天删除，注销时立即删除。"),
        kept=timedelta(days=180),
        purge=older("browser_session", "expires_at"),
        forget=discard("browser_session", "subject_id"),
    ),
    Holding(
        key="tokens",
        what=N_("给程序用的密钥"),
        why=N_("让您允许的程序替您记录。只存指纹。"),
        tables=("api_token",),
        query=own("api_token", "subject_id", hidden={"id", "token_hash", "kind", "role"}),
        lasts=N_("停用后 %(days)s 天删除，注销时立即删除。"),
        kept=timedelta(days=180),
        purge=older("api_token", "revoked_at"),
        forget=discard("api_token", "subject_id"),
    ),
    Holding(
        key="answers",
        what=N_("最近提交的回执"),
        why=N_("网络不好重复提交时，给您同一个结果，不会重复记录。"),
        tables=("stored_answer",),
        query=own("stored_answer", "owner_id", hidden={"request_hash"}),
        lasts=N_("提交后 %(days)s 天删除，注销时立即删除。"),
        kept=timedelta(days=30),
        purge=idempotency.purge,
        forget=discard("stored_answer", "owner_id"),
    ),
    Holding(
        key="messages",
        what=N_("收件箱里的消息"),
        why=N_("告诉您与您有关的事，例如记录被撤销的原因。"),
        tables=("message",),
        query=own("message", hidden={"id"}),
        lasts=N_("发出后 %(days)s 天删除，注销时立即删除。"),
        kept=timedelta(days=365),
        purge=older("message", "told_at"),
        forget=discard("message"),
    ),
    Holding(
        key="feedback",
        what=N_("您写的投诉、建议和咨询，以及答复"),
        why=N_("按期答复您，并改进工作。答复的人只看到您的居（村）委会。"),
        tables=("feedback", "feedback_entry"),
        query=_said,
        lasts=N_("办结后 %(days)s 天删除；注销时抹去您写的内容，只留编号和答复。"),
        kept=timedelta(days=2 * 365),
        purge=_purge_said,
        forget=_forget_said,
    ),
    Holding(
        key="participation",
        what=N_("每天参加了哪些行为"),
        why=N_("数清楚每天有多少人参加，一个人只数一次。"),
        tables=("daily_participant", "participant_year", "campaign_participant"),
        query=own("daily_participant"),
        lasts=_WITHOUT_NAME,
    ),
    Holding(
        key="events",
        what=N_("流水：加入、记录、撤销"),
        why=N_("让每个合计都能重新算出来，谁也改不了。"),
        tables=("event_log",),
        query=own("event_log", hidden={"tx"}),
        lasts=_WITHOUT_NAME,
    ),
)
