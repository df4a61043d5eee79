"""The recovery chain in words: levels, fates, alarms and what to do about them; and weights as people type them."""

import re
import unicodedata
from decimal import Decimal

from flask_babel import gettext

from activities.mass_balance import ALARM_NAMES, Alarm, AlarmKind
from activities.recycling import FATE_NAMES, Fate
from activities.sites import RecoveryLevel
from tanpuhui.errors import InvalidField
from tanpuhui.i18n import N_
from tanpuhui.web.formatting import Amount, kilograms

LEVEL_NAMES = {
    RecoveryLevel.POINT: N_("回收点"),
    RecoveryLevel.STATION: N_("中转站"),
    RecoveryLevel.YARD: N_("集散场"),
}

_TO_DO = {
    AlarmKind.COUNTED: N_(
        "请核对这个月的交接有没有漏登、错登，必要时再盘点一次。都没有问题的话，写明原因，例如“有人投放时没有扫码”。"
    ),
    AlarmKind.NEGATIVE: N_(
        "多半是有人投放时没有扫码，或收到的交接还没有确认。请先确认收到的，或做一次月末盘点；查过没有问题，就写明原因。"
    ),
    AlarmKind.TRANSIT: N_(
        "请与对方核对磅单。哪一边抄错了，就冲销这次交接，再登记一次；重量确实不同，就写明原因，例如“路上淋了雨”。"
    ),
}

_WEIGHT = re.compile(r"[0-9]{1,9}(\.[0-9]{1,3})?")


def level_name(level: RecoveryLevel) -> str:
    """Where in the chain a site stands, in a word."""
    return str(gettext(LEVEL_NAMES[level]))


def fate_name(fate: Fate) -> str:
    """What becomes of a material, in words."""
    return str(gettext(FATE_NAMES[fate]))


def alarm_name(alarm: Alarm) -> str:
    """What does not add up, in words."""
    return str(gettext(ALARM_NAMES[alarm.kind]))


def alarm_to_do(alarm: Alarm) -> str:
    """What staff can do about it."""
    return str(gettext(_TO_DO[alarm.kind]))


def weight(grams: int) -> Amount:
    """Grams in kilograms, with two decimals, so that the numbers of a column compare: 1280 -> 1.28 千克."""
    return kilograms(grams * 1000)


def read_weight(text: str, field: str = "grams") -> int:
    """What was typed as kilograms, in grams. Raises InvalidField at `field` for what is no number of whole grams."""
    plain = re.sub(r"[,\s]", "", unicodedata.normalize("NFKC", text))
    if not _WEIGHT.fullmatch(plain):
        reason = N_("请填写千克数，最多三位小数，例如 12.5。")
        raise InvalidField(errors=[{"field": field, "reason": reason}])
    return int(Decimal(plain) * 1000)
