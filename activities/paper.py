"""What is printed for a site: the words of posters and slips, and the addresses of their codes.

They hang in the street and lie in people's pockets, so they are Chinese whatever the reader's language.
"""

from collections.abc import Sequence
from datetime import timedelta
from urllib.parse import urlsplit

from activities import codes
from activities.catalogue import ActionKind
from activities.codes import Code
from activities.sites import Site
from tanpuhui import clock, signing
from tanpuhui.config import Settings
from tanpuhui.i18n import unit_name
from tanpuhui.labels import Slip
from tanpuhui.posters import Poster
from tanpuhui.web.formatting import plain_quantity


def poster_of(
    settings: Settings, site: Site, kinds: Sequence[ActionKind], code_id: int, campaign: str | None = None
) -> Poster:
    """The poster of the code of a place, with the title of a campaign if one is to stand there."""
    token = codes.token_of(settings, code_id)
    return Poster(
        site_name=site.name,
        headline=kinds[0].name_zh if len(kinds) == 1 else "绿色行动",
        kinds=tuple(kind.name_zh for kind in kinds),
        url=codes.address_of(settings, token),
        short_code=signing.typed_form(token),
        steps=("用手机相机\n或微信扫码", "核对内容，\n点“确认记录”", "看到估算\n减排量和积分"),
        campaign=campaign,
        without_phone="没有手机？把会员卡给工作人员扫一下，一样记录。",
        footer="减排量为估算值，按公开的因子计算。积分没有货币价值，不能转让。",
    )


def slip_of(settings: Settings, site: Site, kind: ActionKind | None, code: Code, serial: int) -> Slip:
    """Slip number `serial` of a batch; `kind` is the one it credits, if only one."""
    token = codes.slip_token(settings, code.id, serial)
    once = f"只能用一次 · 第 {serial} 张"
    if code.valid_until:
        last = clock.day_of(code.valid_until - timedelta(seconds=1))
        once += f"\n有效到 {last.year}年{last.month}月{last.day}日"
    return Slip(
        site_name=site.name,
        what=_what(kind, code),
        once=once,
        url=codes.address_of(settings, token),
        short_code=signing.typed_form(token),
        host=f"扫码，或打开 {urlsplit(settings.public_url).netloc} 输入短码",
    )


def _what(kind: ActionKind | None, code: Code) -> str:
    if kind is None:
        return "绿色行动"
    if code.quantity_milli is None:
        return kind.name_zh
    return f"{kind.name_zh}\n{plain_quantity(code.quantity_milli)} {unit_name(kind.unit, 'zh')}"
