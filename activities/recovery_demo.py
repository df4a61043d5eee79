"""The recovery chain of the demo: what residents brought in is collected, confirmed, passed on, and some of it has an end.

Weights are those of the records so far, as scales see them; somewhere more came in than was scanned, once two scales differ, once a
paper was copied wrong, and the last lorry is still on the way. Names and numbers in the register are made up.
"""

import random
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlmodel import col, select

from activities import alarm_answers, material_hand_overs as hand_overs, sites, source_register, stock
from activities.mass_balance import AlarmKind, balance
from activities.material_hand_overs import HandOverIn
from activities.recycling import Fate, HandOver
from activities.sites import RecoveryLevel, Site, SiteKind
from tanpuhui import clock
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal

#: Who takes what leaves the yard, and what becomes of it: material, share in percent.
_TAKERS = (
    ("clothes", Fate.REUSED, "衣旧情深公益仓库（示范）", 40),
    ("clothes", Fate.RECYCLED, "再生纤维厂（示范）", 35),
    ("clothes", Fate.RESIDUE, "区处置中心（示范）", 5),
    ("glass", Fate.RECYCLED, "玻璃再生厂（示范）", 80),
    ("paper", Fate.RECYCLED, "再生纸厂（示范）", 85),
    ("plastic_pet", Fate.RECYCLED, "再生塑料厂（示范）", 70),
)


def recover(house: House, organiser: Principal, chance: random.Random, start: datetime, days: int) -> None:
    """A month of hand-overs, ending yesterday, through a station and a yard."""
    house.relay.drain()  # what was brought in is read from the figures
    points = _points(house)
    if not any(site.kind is SiteKind.CLOTHES_BIN for site in points):
        return
    with clock.pretending(start):
        station, yard = (
            _open(house, organiser, points[0], name, level)
            for name, level in (("示范中转站", RecoveryLevel.STATION), ("示范集散场", RecoveryLevel.YARD))
        )
        _number(house, organiser, [*points[:-1], station, yard])
    every = max(2, days // 5)
    for day in range(every, days, every):
        with clock.pretending(start + timedelta(days=day, hours=11)):  # five in the afternoon
            for point in points:
                _hand_on(house, organiser, chance, point, station)
            for late in (station, yard):
                _hand_on(house, organiser, chance, late, yard if late is station else None)
    _what_goes_wrong(house, organiser, points, station, yard)


def _points(house: House) -> list[Site]:
    with house.db.reading_session() as session:
        wanted = (SiteKind.CLOTHES_BIN, SiteKind.RECYCLING_POINT)
        found = session.exec(select(Site).where(col(Site.kind).in_(wanted)).order_by(Site.name)).all()
        session.expunge_all()
    return list(found)


def _open(house: House, organiser: Principal, near: Site, name: str, level: RecoveryLevel) -> Site:
    site_in = sites.SiteIn(
        name=name, kind=SiteKind.OTHER, division_code=near.division_code, hours="06:00–18:00", level=level
    )
    return sites.create_site(house, organiser, site_in)


def _number(house: House, organiser: Principal, numbered: Sequence[Site]) -> None:
    for number, site in enumerate(numbered, start=1):
        source_register.set_number(house, organiser, site.id, f"DEMO-{number:04d}", "示范编号")


def _hand_on(
    house: House, organiser: Principal, chance: random.Random, sender: Site, receiver: Site | None
) -> None:
    """Hand over most of what lies at a site, and let it arrive as another scale sees it."""
    for material, grams in _stock(house, sender.id).items():
        if grams < 1_000:
            continue
        if receiver is None:
            _take_away(house, organiser, sender, material, grams)
            continue
        sent = _scale(grams * chance.randrange(85, 100) // 100)
        row = _record(house, organiser, sender, receiver, material, sent, vehicle="示范-01")
        arrived = max(100, _scale(sent * chance.randrange(985, 1006) // 1000))
        hand_overs.confirm(house, organiser, row.id, arrived)


def _take_away(house: House, organiser: Principal, yard: Site, material: str, grams: int) -> None:
    for of, fate, taker, percent in _TAKERS:
        if of == material and (sent := _scale(grams * percent // 100)):
            _record(house, organiser, yard, None, material, sent, fate=fate, taker=taker)


def _scale(grams: int) -> int:
    """As a scale with steps of 100 g shows it."""
    return grams // 100 * 100


def _stock(house: House, site_id: UUID) -> dict[str, int]:
    month = clock.today().replace(day=1)
    with house.db.snapshot() as connection:
        found = balance(connection, month, [site_id])
    return {line.material: line.closing for line in found.lines if line.month == month}


def _record(
    house: House,
    organiser: Principal,
    sender: Site,
    receiver: Site | None,
    material: str,
    grams: int,
    *,
    fate: Fate | None = None,
    taker: str = "",
    vehicle: str = "",
    receipt: str = "",
) -> HandOver:
    said = HandOverIn(
        from_site_id=sender.id,
        to_site_id=receiver.id if receiver else None,
        fate=fate,
        taker=taker,
        material=material,
        grams=grams,
        handed_at=clock.now() - timedelta(minutes=5),
        vehicle=vehicle,
        receipt=receipt,
    )
    return hand_overs.record(house, organiser, said)


def _what_goes_wrong(
    house: House, organiser: Principal, points: Sequence[Site], station: Site, yard: Site
) -> None:
    """Bags that nobody scanned, two scales that differ, a paper copied wrong, and a lorry on the way."""
    first = next(site for site in points if site.kind is SiteKind.CLOTHES_BIN)
    last = next((site for site in points if site.kind is SiteKind.RECYCLING_POINT), first)
    with clock.pretending(clock.now() - timedelta(hours=20)):
        bags = _record(house, organiser, first, station, "clothes", 18_500, receipt="HT-0001")
        hand_overs.confirm(house, organiser, bags.id, 18_300)
        wrong = _record(house, organiser, last, station, "glass", 96_000, receipt="HT-0002")
        hand_overs.reverse(house, organiser, wrong.id, "单据抄错了一位，应为 9.6 千克")
        right = _record(house, organiser, last, station, "glass", 9_600, receipt="HT-0002")
        hand_overs.confirm(house, organiser, right.id, 9_500)
        rained = _record(house, organiser, station, yard, "clothes", 12_000, receipt="ZZ-0001")
        hand_overs.confirm(house, organiser, rained.id, 16_400)
    with clock.pretending(clock.now() - timedelta(hours=3)):
        _record(house, organiser, station, yard, "clothes", 2_200, vehicle="示范-02")
    _answer_one(house, organiser)
    _count(house, organiser, station)


def _answer_one(house: House, organiser: Principal) -> None:
    """Why the two scales differ was found out."""
    with house.db.snapshot() as connection:
        found = balance(connection, clock.today().replace(day=1)).open
    for alarm in found:
        if alarm.kind is AlarmKind.TRANSIT:
            alarm_answers.answer(house, organiser, alarm.key, alarm.difference, "路上淋了雨，衣物吸了水")


def _count(house: House, organiser: Principal, station: Site) -> None:
    """The stock of the station at the end of the last month, where something lay."""
    month: date = stock.month_before(clock.today().replace(day=1))
    with house.db.snapshot() as connection:
        lines = [line for line in balance(connection, month, [station.id]).lines if line.month == month]
    for line in lines:
        stock.take_stock(house, organiser, station.id, line.material, month, max(0, line.book))
