"""What this room holds of a resident."""

import base64
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from activities import check_ins, otherwise, photos, place_hints, sign_ups
from activities.attempts import KEPT
from activities.devices import KEPT as DEVICES_KEPT
from tanpuhui.config import Settings
from tanpuhui.holdings import Holding, discard, older, own, table
from tanpuhui.i18n import N_

_WITHOUT_NAME = N_("长期保存，合计才对得上；注销后只挂在一个找不到您的编号下。")


def _actions(resident_id: UUID) -> sa.Select[Any]:
    action, void, review, photo = map(table, ("action", "action_void", "action_review", "action_photo"))
    shown = [column for column in action.c if column.name != "resident_id"]
    return (
        sa.select(
            *shown,
            void.c.voided_at,
            void.c.reason.label("voided_because"),
            sa.func.coalesce(void.c.replaced_by, review.c.replaced_by).label("replaced_by"),
            review.c.state.label("review"),
            review.c.due_on.label("review_due_on"),
            review.c.decided_at.label("reviewed_at"),
            review.c.reason.label("review_reason"),
            photo.c.received_at.label("photo_received_at"),
            photo.c.deleted_at.label("photo_deleted_at"),
        )
        .select_from(
            action.outerjoin(void, void.c.action_id == action.c.id)
            .outerjoin(review, review.c.action_id == action.c.id)
            .outerjoin(photo, photo.c.action_id == action.c.id)
        )
        .where(action.c.resident_id == resident_id)
        .order_by(action.c.occurred_at, action.c.id)
    )


def _of_actions(name: str) -> Callable[[UUID], sa.Select[Any]]:
    """The rows of table `name` that stand beside a resident's actions."""

    def query(resident_id: UUID) -> sa.Select[Any]:
        action, beside = table("action"), table(name)
        return (
            sa.select(*beside.c)
            .select_from(beside.join(action, action.c.id == beside.c.action_id))
            .where(action.c.resident_id == resident_id)
            .order_by(*beside.primary_key)
        )

    return query


def _checks(resident_id: UUID) -> sa.Select[Any]:
    check, planting = table("tree_check"), table("planting")
    return (
        sa.select(*check.c)
        .select_from(check.join(planting, planting.c.id == check.c.planting_id))
        .where(planting.c.resident_id == resident_id)
        .order_by(*check.primary_key)
    )


def _photos(resident_id: UUID) -> sa.Select[Any]:
    action, photo = table("action"), table("action_photo")
    return (
        sa.select(photo.c.action_id, photo.c.received_at, photo.c.jpeg)
        .select_from(photo.join(action, action.c.id == photo.c.action_id))
        .where(action.c.resident_id == resident_id, photo.c.jpeg.is_not(None))
        .order_by(*photo.primary_key)
    )


def _as_text(_settings: Settings, row: dict[str, Any]) -> dict[str, Any]:
    """A photo as base64, which any computer turns into the picture again."""
    return row | {"jpeg": base64.b64encode(row["jpeg"]).decode()}


def _spot_checks(resident_id: UUID) -> sa.Select[Any]:
    action, item, check = table("action"), table("spot_check_item"), table("spot_check")
    shown = [column for column in item.c if column.name not in {"ordinal", "judged_by"}]
    return (
        sa.select(*shown, check.c.month)
        .select_from(
            item.join(action, action.c.id == item.c.action_id).join(check, check.c.id == item.c.spot_check_id)
        )
        .where(action.c.resident_id == resident_id)
        .order_by(*item.primary_key)
    )


def _sign_ups(resident_id: UUID) -> sa.Select[Any]:
    sign_up, gathering = table("sign_up"), table("gathering")
    shown = [column for column in sign_up.c if column.name not in {"id", "resident_id"}]
    return (
        sa.select(gathering.c.title, gathering.c.starts_at, *shown)
        .select_from(sign_up.join(gathering, gathering.c.id == sign_up.c.gathering_id))
        .where(sign_up.c.resident_id == resident_id)
        .order_by(sign_up.c.id)
    )


def _check_ins(resident_id: UUID) -> sa.Select[Any]:
    check_in, sign_up, gathering = map(table, ("check_in", "sign_up", "gathering"))
    return (
        sa.select(
            gathering.c.title,
            gathering.c.starts_at,
            check_in.c.number,
            check_in.c.checked_in_at,
            check_in.c.checked_in_by.is_not(None).label("by_a_helper"),
        )
        .select_from(
            check_in.join(sign_up, sign_up.c.id == check_in.c.sign_up_id).join(
                gathering, gathering.c.id == sign_up.c.gathering_id
            )
        )
        .where(check_in.c.resident_id == resident_id)
        .order_by(check_in.c.sign_up_id)
    )


def _of_campaigns(name: str) -> Callable[[UUID], sa.Select[Any]]:
    """A resident's rows of table `name`, with the campaign that each is about."""

    def query(resident_id: UUID) -> sa.Select[Any]:
        rows, campaign = table(name), table("campaign")
        shown = [column for column in rows.c if column.name not in {"campaign_id", "resident_id"}]
        return (
            sa.select(campaign.c.title, *shown)
            .select_from(rows.join(campaign, campaign.c.id == rows.c.campaign_id))
            .where(rows.c.resident_id == resident_id)
            .order_by(*rows.primary_key)
        )

    return query


HOLDINGS = (
    Holding(
        key="sign_ups",
        what=N_("您报名的现场活动，排在第几个"),
        why=N_("给您留名额，按先后候补，有变动时告诉您。"),
        tables=("sign_up",),
        query=_sign_ups,
        lasts=N_(
            "活动结束 %(days)s 天后抹去是谁，只留人数；取消报名时立即删除。注销时，还没开始的让给下一位，其余抹去是谁。"
        ),
        kept=sign_ups.KEPT,
        purge=sign_ups.purge,
        forget=sign_ups.forget,
    ),
    Holding(
        key="check_ins",
        what=N_("您到场签到的现场活动，和参加证书的编号"),
        why=N_("给您参加证书。公开核对编号时，只说是哪场活动、哪一天，不说是谁。"),
        tables=("check_in",),
        query=_check_ins,
        lasts=N_("保存到您删除这张证书或注销时；之后抹去是谁，编号作废，只留到场人数。"),
        forget=check_ins.forget,
    ),
    Holding(
        key="teams",
        what=N_("您在活动里加入的队"),
        why=N_("把您的记录算进队的合计。谁在哪个队，从不公布。"),
        tables=("campaign_entry",),
        query=_of_campaigns("campaign_entry"),
        lasts=N_("保存到您退出这个队或注销时，立即删除。"),
        forget=discard("campaign_entry"),
    ),
    Holding(
        key="boards",
        what=N_("您选了上榜的活动"),
        why=N_("只有您选了，那个活动的个人榜上才有您的昵称和减排量。"),
        tables=("board_listing",),
        query=_of_campaigns("board_listing"),
        lasts=N_("保存到您退出这个榜单、关闭“参加榜单”或注销时，立即删除。"),
        forget=discard("board_listing"),
        by_consent="boards",
    ),
    Holding(
        key="photos",
        what=N_("您自愿附上的照片"),
        why=N_("让审核的人看一看，好按照片佐证给分。照片从不要求。"),
        tables=("action_photo",),
        query=_photos,
        lasts=N_("审核后一小时内删除，最长保存 %(days)s 天，注销时立即删除；只留下“有过照片”这一句。"),
        kept=photos.LONGEST,
        purge=photos.delete_before,
        forget=photos.forget,
        reveal=_as_text,
    ),
    Holding(
        key="actions",
        what=N_("您记录的绿色行为，审核的结果，和被撤销的原因"),
        why=N_("算出估算减排量，让每一克都查得到是怎么来的。"),
        tables=("action", "action_void", "action_review"),
        query=_actions,
        lasts=_WITHOUT_NAME,
    ),
    Holding(
        key="declared",
        what=N_("哪些记录已向市级申报"),
        why=N_("同一笔减排量不会被用两次。"),
        tables=("declared_action",),
        query=_of_actions("declared_action"),
        lasts=_WITHOUT_NAME,
    ),
    Holding(
        key="spot_checks",
        what=N_("哪些记录被抽查过，看到了什么"),
        why=N_("每月随机抽查几条，知道记录有多可靠。查看的人看不到是谁的记录。"),
        tables=("spot_check_item",),
        query=_spot_checks,
        lasts=_WITHOUT_NAME,
    ),
    Holding(
        key="plantings",
        what=N_("您种的树"),
        why=N_("发植树证书，并请您每年看一看还活着多少。"),
        tables=("planting",),
        query=own("planting"),
        lasts=_WITHOUT_NAME,
    ),
    Holding(
        key="tree_checks",
        what=N_("每年的成活检查"),
        why=N_("只给还活着的树计算减排量。"),
        tables=("tree_check",),
        query=_checks,
        lasts=_WITHOUT_NAME,
    ),
    Holding(
        key="site_reports",
        what=N_("您报告的点位状况（可以使用、满了、没开）"),
        why=N_("告诉别人现在能不能去。别人看不到是谁报告的。"),
        tables=("site_report",),
        query=own("site_report", hidden={"id", "staff_id", "ordinal"}),
        lasts=N_("报告后 %(days)s 天删除，注销时立即删除。"),
        kept=timedelta(days=30),
        purge=older("site_report", "reported_at"),
        forget=discard("site_report"),
    ),
    Holding(
        key="code_uses",
        what=N_("您用过的一次性码"),
        why=N_("每张只能用一次。"),
        tables=("code_use",),
        query=_of_actions("code_use"),
        lasts=_WITHOUT_NAME,
    ),
    Holding(
        key="attempts",
        what=N_("没有记上的扫码和原因"),
        why=N_("让您查到为什么没记上，并可以申诉。"),
        tables=("scan_attempt",),
        query=own("scan_attempt", hidden={"id"}),
        lasts=N_("最后一次尝试后 %(days)s 天删除，注销时立即删除。"),
        kept=KEPT,
        purge=older("scan_attempt", "last_at"),
        forget=discard("scan_attempt"),
    ),
    Holding(
        key="place_hints",
        what=N_("确认记录时离点位是远是近（不含位置）"),
        why=N_("您同意了远近提示：离得较远的记录，请人看一看。"),
        tables=("place_hint",),
        query=_of_actions("place_hint"),
        lasts=N_("记下后 %(days)s 天删除，关闭远近提示或注销时立即删除。"),
        kept=timedelta(days=90),
        purge=place_hints.purge,
        forget=place_hints.forget,
        by_consent="place_hints",
    ),
    Holding(
        key="otherwise",
        what=N_("您对“不然会怎么做”的回答"),
        why=N_("估计活动真正带来了多少改变。只公布合计，答什么都不影响积分。"),
        tables=("otherwise_answer",),
        query=_of_actions("otherwise_answer"),
        lasts=N_("保存到您关闭“偶尔问一句”或注销时，那时立即删除。"),
        forget=otherwise.forget,
        by_consent="questions",
    ),
    Holding(
        key="reminders",
        what=N_("您要提醒的活动"),
        why=N_("活动开始前一天告诉您地点和时间。"),
        tables=("campaign_reminder",),
        query=own("campaign_reminder"),
        lasts=N_("活动开始后删除，取消提醒或注销时立即删除。"),
        forget=discard("campaign_reminder"),
    ),
    Holding(
        key="devices",
        what=N_("您哪天用哪部手机的浏览器确认过扫码（浏览器的随机编号，每天换一个加密标记）"),
        why=N_("看出一部手机一天用了很多账号。一家人合用手机没有关系。不读取手机的任何信息。"),
        tables=("device_use",),
        query=own("device_use", hidden={"mark"}),
        lasts=N_("使用后 %(days)s 天删除，注销时立即删除。"),
        kept=DEVICES_KEPT,
        purge=older("device_use", "seen_at"),
        forget=discard("device_use"),
    ),
    Holding(
        key="member_cards",
        what=N_("您的会员码"),
        why=N_("没有手机、或手机不方便时，请工作人员扫码替您记录。"),
        tables=("member_card",),
        query=own("member_card", hidden={"issued_by"}),
        lasts=N_("参加期间保存，注销时立即删除。"),
        forget=discard("member_card"),
    ),
)
