"""What a target may count: a closed list of outcomes, and nothing else.

Whoever is assessed by log-ins, installs, clicks, shares or time online makes others click: such a number is no target here, neither
by a measure nor in the words of a quantity that is entered by hand.
"""

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum

from tanpuhui.i18n import N_

#: Amounts are kept in thousandths of the unit; the largest fits the numbers of every spreadsheet exactly.
LARGEST_AMOUNT = 10**14


class Counted(StrEnum):
    """What a target counts."""

    CO2E = "co2e"
    VERIFIED = "verified_actions"
    PARTICIPANTS = "participants"
    QUANTITY = "quantity"
    VENUES = "venues"
    FREE = "free"


@dataclass(frozen=True)
class Measure:
    """An outcome. `number`: the number of `participation.statistics` that it is read from, if any, of which `per_milli` are a
    thousandth of the unit (or `milli` thousandths are one).

    `unit` is empty where the kind, or whoever sets the target, says it. `adds_up`: whether the parts of a division have the whole as their sum.
    """

    name: str
    how: str
    number: str = ""
    unit: str = ""
    milli: int = 1
    per_milli: int = 1
    whole: bool = False
    of_kind: bool = False
    adds_up: bool = True


MEASURES: dict[Counted, Measure] = {
    Counted.CO2E: Measure(
        N_("减排量"),
        N_("本区记录的估算减排量，取较低值；由市级核算的不计。"),
        number="co2e_mg",
        unit="kg",
        per_milli=1000,
    ),
    Counted.VERIFIED: Measure(
        N_("经过验证的记录"),
        N_("本区记录中证据经过验证的条数；自报的和由市级核算的不计。"),
        number="verified_actions",
        unit="record",
        milli=1000,
        whole=True,
    ),
    Counted.PARTICIPANTS: Measure(
        N_("参与的居民"),
        N_("有有效记录的居民，一个人只算一次；跨街镇、跨行为不能相加。"),
        number="participants",
        unit="person",
        milli=1000,
        whole=True,
        adds_up=False,
    ),
    Counted.QUANTITY: Measure(
        N_("数量"),
        N_("本区记录中这种行为的数量，例如回收的千克数；由市级核算的不计。"),
        number="quantity_milli",
        of_kind=True,
    ),
    Counted.VENUES: Measure(
        N_("服务点位"),
        N_("期间至少有一条有效记录的点位；只挂了码、没有人用的不算。"),
        unit="venue",
        milli=1000,
        whole=True,
    ),
    Counted.FREE: Measure(
        N_("自定"),
        N_("由负责人填写累计数，并写明证据；平台不计算。"),
    ),
}

#: Units that the catalogue of actions has no word for.
UNIT_NAMES = {"record": N_("条"), "person": N_("人"), "venue": N_("个点位")}

#: Numbers of what people do with a screen. "安装" alone is none: solar panels are installed, too.
_FORMAL = re.compile(
    r"登录|登陆|log-?\s?ins?\b|sign-?\s?ins?\b|点击|clicks?\b|转发|点赞|分享(?:量|数|次)|\b(?:re)?shares?\b|\blikes?\b|下载|downloads?\b"
    r"|浏览|访问(?:量|数|次)|阅读(?:量|数)|page\s?views?|\bvisits?\b|在线(?:时|人)|使用时长|停留|time online|screen time|日活|月活|活跃(?:用户|度|率|数)"
    r"|active users?|打卡|粉丝|followers?\b|关注(?:量|数|人)|注册(?:量|数|人|用户|率)|registrations?\b|sign-?\s?ups?\b|扫码(?:量|数|次)|\bscans\b"
    r"|(?:app|小程序|公众号|应用|软件|平台).*(?:安装|使用|打开|用户)|(?:安装|打开).*(?:app|小程序|应用|软件)|\binstall(?:s|ations?)?\b.*\bapp|\bapp\b.*\binstall",
    re.IGNORECASE,
)


def is_formal(words: str) -> bool:
    """Whether `words` count what people do with a screen, and not what comes of it."""
    return _FORMAL.search(unicodedata.normalize("NFKC", words)) is not None
