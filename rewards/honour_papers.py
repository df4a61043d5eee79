"""The words of an honour on paper: its certificate and its poster.

They hang on walls and are passed on, so they are Chinese whatever the reader's language, and the same for everybody.
"""

from urllib.parse import urlsplit

from rewards.honours import Told
from rewards.medal_posters import MedalPoster
from tanpuhui import clock
from tanpuhui.certificates import Certificate
from tanpuhui.config import Settings


def certificate_of(settings: Settings, found: Told, district: str) -> Certificate:
    """The certificate of an honour whose holder may be named; `district` is the name of the one that gives it."""
    return Certificate(
        title="荣誉证书",
        headline=found.name or "",
        facts=(
            ("荣誉", found.kind.title),
            ("提名方", found.nominated_for),
            ("授予日期", _day(found)),
            ("证书编号", found.honour.number or ""),
        ),
        text=found.reason or "",
        footer=f"扫左边的码，或打开 {_host(settings)}/honours 输入证书编号，可以核对本证书是否有效。"
        "荣誉由提名人以外的工作人员评定，不收费，不含积分，不排名次。",
        issuer=f"{district} · 碳普惠",
        emblem="medal",
        url=address_of(settings, found),
    )


def poster_of(settings: Settings, found: Told, district: str) -> MedalPoster:
    """The poster of an honour whose holder may be named."""
    return MedalPoster(
        issuer=f"{district} · 碳普惠",
        title=found.kind.title,
        holder=found.name or "",
        reason=found.reason or "",
        note=f"{found.nominated_for} 提名 · {_day(found)} 授予 · 编号 {found.honour.number}",
        invitation="扫码核对这项荣誉",
        address=f"{_host(settings)}/honours",
        url=address_of(settings, found),
    )


def address_of(settings: Settings, found: Told) -> str:
    """The page by which anybody can check an honour."""
    return f"{settings.public_url}/honours/{found.honour.number}"


def _host(settings: Settings) -> str:
    return urlsplit(settings.public_url).netloc


def _day(found: Told) -> str:
    assert found.honour.decided_at is not None
    day = clock.day_of(found.honour.decided_at)
    return f"{day.year}年{day.month}月{day.day}日"
