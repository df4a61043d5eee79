"""The offers of the demo: a budget, things to have for points, and residents who had some; made through the same services."""

from contextlib import suppress
from datetime import timedelta
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlmodel import SQLModel

from rewards import counter, coupons, offer_desk, redemptions
from rewards.demo import a_member, last_here
from rewards.offer_forms import OfferIn
from rewards.reward_pools import PoolIn, create_pool
from tanpuhui import clock
from tanpuhui.errors import Conflict
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal
from tanpuhui.staff import Role

#: kind, title, words, where, points, how many, how many each
_OFFERS = (
    (
        "goods",
        "结实的帆布袋",
        "一只，能装十公斤，可以机洗。",
        "社区服务站前台，周一到周六 9 点到 17 点",
        "20",
        "60",
        "2",
    ),
    (
        "coupon",
        "面馆 5 元券",
        "结账时报券码，抵 5 元，一次用一张。",
        "区内三家面馆，到今年年底",
        "30",
        "",
        "1",
    ),
    ("service", "修一把伞", "换伞骨、换伞柄，带着伞来就行。", "社区修补角，周三、周六下午", "15", "40", "1"),
    (
        "donation",
        "给苏州河边种一丛芦苇",
        "积分换成芦苇苗，春天由志愿者种下。",
        "不用领，种下后在公告栏公布",
        "10",
        "500",
        "10",
    ),
    ("honour", "低碳之星纪念章", "送给愿意戴着它的人。", "社区服务站前台", "0", "100", "1"),
)
_WAITING = ("goods", "旧床单改的围裙", "一条，颜色随机。", "社区缝纫角", "25", "20", "1")


def add_offers(house: House) -> None:
    """A budget and five offers; the residents who were here last redeem what they can, and some of it is handed over."""
    organiser, officer = a_member(house, Role.ORGANISER), a_member(house, Role.OFFICER)
    with clock.pretending(clock.now() - timedelta(hours=3)):
        district = house.settings.district_code
        pool = create_pool(
            house, officer, PoolIn("绿色生活奖励金", "区生态环境局", "奖励日常减排", district, "6000")
        )
        offers = [_offer(house, organiser, officer, pool, *said) for said in _OFFERS]
        _draft(house, organiser, pool, *_WAITING)
    with clock.pretending(clock.now() - timedelta(minutes=30)):
        for resident_id in [last_here(house), *_others(house)]:
            for offer_id in offers[:4]:
                _redeem(house, resident_id, offer_id)
    _hand_over(house, organiser, offers[2])


def _draft(
    house: House,
    by: Principal,
    pool: UUID,
    kind: str,
    title: str,
    words: str,
    where: str,
    price: str,
    stock: str,
    each: str,
) -> UUID:
    now = clock.now()
    said = OfferIn(
        kind=kind,
        title=title,
        words=words,
        collect_at=where,
        price=price,
        stock=stock,
        per_person=each,
        opens_at=now,
        closes_at=now + timedelta(days=60),
        good_days="14",
        scope=f"division:{house.settings.district_code}",
        pool_id=pool,
    )
    offer_id = offer_desk.draft(house, by, said)
    if kind == "coupon":
        codes = "\n".join(f"NOODLE-{uuid4().hex[:6].upper()}" for _ in range(40))
        coupons.import_codes(house, by, offer_id, coupons.pasted(codes))
    offer_desk.submit(house, by, offer_id)
    return offer_id


def _offer(house: House, by: Principal, officer: Principal, pool: UUID, *said: str) -> UUID:
    offer_id = _draft(house, by, pool, *said)
    with house.db.reading_session() as session:
        read = offer_desk.mark_of(offer_desk.managed(session, officer, offer_id).offer)
    offer_desk.approve(house, officer, offer_id, read)
    return offer_id


def _others(house: House) -> list[UUID]:
    """A dozen people who have been here lately."""
    action, resident = SQLModel.metadata.tables["action"], SQLModel.metadata.tables["resident"]
    query = (
        sa.select(action.c.resident_id)
        .join(resident, resident.c.id == action.c.resident_id)
        .where(resident.c.status == "active")
        .group_by(action.c.resident_id)
        .order_by(sa.func.max(action.c.recorded_at).desc())
        .limit(13)
    )
    with house.db.reading() as connection:
        return list(connection.scalars(query))[1:]


def _redeem(house: House, resident_id: UUID, offer_id: UUID) -> None:
    """One of it, unless they have too few points."""
    with suppress(Conflict):
        redemptions.redeem(house, resident_id, offer_id, key=f"demo-{offer_id}")


def _hand_over(house: House, by: Principal, offer_id: UUID) -> None:
    """Half of the vouchers of an offer are used."""
    redemption = SQLModel.metadata.tables["redemption"]
    query = sa.select(redemption.c.id).where(redemption.c.offer_id == offer_id).order_by(redemption.c.id)
    with house.db.reading() as connection:
        vouchers = list(connection.scalars(query))
    for redemption_id in vouchers[::2]:
        counter.hand_over(house, by, redemption_id, key=f"demo-{redemption_id}")
