"""The picture of the grams on a record's page, and the card to share: what it says, and what it must not."""

import io
import re
import struct
from dataclasses import replace
from datetime import datetime, timedelta
from html import unescape
from uuid import UUID

import pytest
import zxingcpp
from PIL import Image

from activities.quantify import publication
from activities.review import void_action
from activities.share_cards import Card, card_png
from tanpuhui import clock, people
from tanpuhui.people import Resident
from tests.browser import Browser, browser
from tests.world import OTHER_COMMUNITY, World

NOON = datetime(2026, 11, 20, 12, 34, 56, tzinfo=clock.SHANGHAI)

CARD = Card(
    issuer="静安区 · 碳普惠",
    kind="光盘行动",
    quantity="1 餐",
    label="估算减排量（二氧化碳当量）",
    amount="144",
    unit="克",
    likeness="相当于一盏 10 瓦的灯亮 34 小时的电",
    lamps=34,
    note="每盏灯代表 1 小时",
    invitation="做一件绿色小事，看见它省下多少",
    address="tph.example.cn",
    url="https://tph.example.cn/",
)


def text_of(page: str) -> str:
    """What a page says, without its tags."""
    return " ".join(unescape(re.sub(r"<[^>]+>|\s+", " ", page)).split())


def record(world: World, resident: Resident, kind: str = "clean_plate", quantity: str | None = None) -> str:
    """A new record; its address."""
    return f"/me/actions/{world.scan(resident, world.code(kind), quantity=quantity)['action']['id']}"


def picture(me: Browser, address: str) -> bytes:
    """The card of the record at `address`."""
    answer = me.client.get(f"{address}/card.png", headers={"Accept-Language": me.language})
    assert answer.status_code == 200
    assert answer.mimetype == "image/png"
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.data


def chunks(png: bytes) -> dict[bytes, bytes]:
    """The chunks of a PNG, by their names."""
    found, at = {}, 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        found[png[at + 4 : at + 8]] = png[at + 8 : at + 8 + length]
        at += 12 + length
    return found


# --- the picture on the page -------------------------------------------------------------------------------


def test_a_record_says_what_its_grams_are_like_and_where_that_comes_from(world: World) -> None:
    resident = world.resident()
    me = browser(world, resident)
    page = me.get(record(world, resident))
    assert "相当于一盏 10 瓦的灯亮 34 小时的电" in text_of(page)
    assert "每盏灯代表 1 小时 · 按每千瓦时电 420 克折算，零头舍去" in text_of(page)
    assert "/factors/household_pv@1" in unescape(page)
    rows = re.findall(r'<rect[^>]*width="(\d+)" height="(\d+)" fill="url\(#lamp\)"', page)
    assert sum(int(width) // 26 * (int(height) // 26) for width, height in rows) == 34


def test_what_the_city_credits_is_not_shown_as_the_districts(world: World) -> None:
    resident = world.resident()
    page = text_of(browser(world, resident).get(record(world, resident, "metro_trip", "16")))
    assert "不重复计入，只给积分。 相当于一盏 10 瓦的灯亮 7.4 天的电" in page


def test_a_voided_record_has_neither_picture_nor_card(world: World) -> None:
    resident = world.resident()
    address = record(world, resident)
    void_action(world.house, world.officer, UUID(address.rpartition("/")[2]), "重复扫码")
    me = browser(world, resident)
    page = me.get(address)
    assert "灯" not in text_of(page)
    assert "/card" not in page
    for wanted in ("card", "card.png"):
        assert "回到首页" in me.get(f"{address}/{wanted}")
        assert me.status == 404


def test_a_day_without_a_factor_of_electricity_says_nothing_and_the_days_before_keep_theirs(
    world: World,
) -> None:
    resident = world.resident()
    with clock.pretending(NOON):
        before = record(world, resident)
        publication.retire(world.house, world.officer, "household_pv@1", clock.today(), "另有来源")
    with clock.pretending(NOON + timedelta(days=1)):
        after = record(world, resident)
    me = browser(world, resident)
    assert "相当于一盏" in me.get(before)
    assert "相当于一盏" not in me.get(after)
    picture(me, after)  # the card does without, too
    assert "相当于一盏" not in me.get(f"{after}/card")


# --- the card ----------------------------------------------------------------------------------------------


def test_the_card_leads_to_the_home_page_and_is_reached_from_the_record(world: World) -> None:
    resident = world.resident()
    me = browser(world, resident)
    address = record(world, resident)
    assert f'href="{address}/card"' in me.get(address)
    page = me.get(f"{address}/card")
    assert f'src="{address}/card.png"' in page
    assert 'download="tanpuhui.png"' in page
    image = Image.open(io.BytesIO(picture(me, address)))
    assert image.size == (1080, 1440)
    found = zxingcpp.read_barcode(image)
    assert found
    assert found.text == f"{world.house.settings.public_url}/"


def test_equal_deeds_of_two_residents_make_the_same_card_byte_for_byte(world: World) -> None:
    """At other places, times and communities, with a nickname: nothing of that is in the picture or beside it."""
    one, other = world.resident(), world.resident(OTHER_COMMUNITY)
    people.rename(world.house, one.id, "小明")
    first = record(world, one)
    with clock.pretending(NOON):
        second = record(world, other)
    pictures = [picture(browser(world, who), address) for who, address in ((one, first), (other, second))]
    assert pictures[0] == pictures[1]
    assert set(chunks(pictures[0])) == {b"IHDR", b"pHYs", b"IDAT", b"IEND"}, "no text, no time, no profile"


def test_the_card_speaks_the_language_of_the_page(world: World) -> None:
    resident = world.resident()
    address = record(world, resident)
    me, guest = browser(world, resident), browser(world, resident, "en")
    assert picture(me, address) != picture(guest, address)
    page = text_of(guest.get(f"{address}/card"))
    assert "Share card" in page
    alt = re.search(r'alt="([^"]*)"', guest.page.text)
    assert alt
    assert alt[1] == (
        "Clean plate · 1\N{NO-BREAK SPACE}meal · Estimated reduction (carbon dioxide equivalent) 144 g · "
        "As much as the electricity of a 10-watt lamp for 34\N{NO-BREAK SPACE}hours"
    )


def test_nobody_opens_the_card_of_another_ones_record(world: World) -> None:
    address = record(world, world.resident())
    other = browser(world, world.resident())
    nobody = browser(world)
    for wanted in ("card", "card.png"):
        other.get(f"{address}/{wanted}")
        assert other.status == 404
        nobody.get(f"{address}/{wanted}")
        assert nobody.path == "/login"
        other.get(f"/me/actions/not-a-record/{wanted}")
        assert other.status == 404


@pytest.mark.parametrize(
    ("amount", "unit", "likeness", "lamps"),
    [
        ("1", "毫克", "相当于一盏 10 瓦的灯亮不到 1 秒的电", 0),
        ("99.9", "千克", "灯" * 40, 60),
        ("12,345", "t", "", 0),
    ],
)
def test_the_card_holds_the_least_and_the_most(amount: str, unit: str, likeness: str, lamps: int) -> None:
    long_kind = "Recycled aluminium cans and everything else of that kind, by weight"
    card = replace(CARD, amount=amount, unit=unit, likeness=likeness, lamps=lamps, kind=long_kind)
    image = Image.open(io.BytesIO(card_png(card)))
    found = zxingcpp.read_barcode(image)
    assert found
    assert found.text == CARD.url


def test_the_same_card_is_drawn_once_and_would_be_the_same_again() -> None:
    """How long a drawing takes is measured by `benchmarks/cards.py`."""
    first = card_png(CARD)
    assert card_png(CARD) is first
    card_png.cache_clear()
    assert card_png(CARD) == first
