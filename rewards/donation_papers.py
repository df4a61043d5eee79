"""The words of a donation on paper: its certificate and its poster.

They are passed on, so they are Chinese whatever the reader's language, and the same for everybody and each time.
"""

from urllib.parse import urlsplit

from rewards.donations import Donated
from rewards.medal_posters import MedalPoster
from tanpuhui import clock
from tanpuhui.certificates import Certificate
from tanpuhui.config import Settings

#: Characters of an offer's words on a poster.
LONGEST = 160


def certificate_of(settings: Settings, found: Donated, district: str) -> Certificate:
    """The certificate of a donation; `district` is the name of the one whose points were given."""
    return Certificate(
        title="捐赠证书",
        headline=_given(found),
        facts=(
            ("捐给", found.offer.title),
            ("由谁落实", found.certificate.held_by),
            ("捐赠日期", _day(found)),
            ("证书编号", found.certificate.number),
        ),
        text=found.offer.words,
        footer=f"扫左边的码，或打开 {_host(settings)}/donations 输入证书编号，可以核对本证书。"
        "捐出的是碳积分，没有货币价值，本证书不是捐款票据，也不写姓名。",
        issuer=f"{district} · 碳普惠",
        url=address_of(settings, found),
    )


def poster_of(settings: Settings, found: Donated, district: str) -> MedalPoster:
    """The poster of a donation."""
    return MedalPoster(
        issuer=f"{district} · 碳普惠",
        title=_given(found),
        holder=found.offer.title,
        reason=_shortened(found.offer.words),
        note=f"由 {found.certificate.held_by} 落实 · {_day(found)} · 编号 {found.certificate.number}",
        invitation="扫码核对这次捐赠",
        address=f"{_host(settings)}/donations",
        url=address_of(settings, found),
    )


def address_of(settings: Settings, found: Donated) -> str:
    """The page by which anybody can check a donation."""
    return f"{settings.public_url}/donations/{found.certificate.number}"


def _shortened(words: str) -> str:
    """As much as a poster holds."""
    return words if len(words) <= LONGEST else f"{words[: LONGEST - 1]}…"


def _given(found: Donated) -> str:
    return f"捐出 {found.redemption.price:,} 积分"


def _host(settings: Settings) -> str:
    return urlsplit(settings.public_url).netloc


def _day(found: Donated) -> str:
    day = clock.day_of(found.redemption.made_at)
    return f"{day.year}年{day.month}月{day.day}日"
