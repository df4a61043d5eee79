"""Member cards are decoded from the printed sheet as a phone would, all ten of a page."""

import base64
import random
from dataclasses import replace

import pypdfium2
import pytest
import zxingcpp
from PIL import Image, ImageFilter

from activities.card_sheets import CARD_HEIGHT, CARD_WIDTH, Card, Words, cards_pdf
from tanpuhui import signing
from tanpuhui.pdf import DoesNotFit, MissingGlyphs

WORDS = Words(
    title="碳普惠会员卡",
    how="给现场工作人员扫这个码，或报下面的短码，替您记录绿色行动。",
    lost="卡丢了：带上存根，到宝山路街道三宝居民区第二居委会或任一登记台换一张，记录和积分都还在。",
    help="打电话问人：021 1234 5678\ntanpuhui.example",
    stub="会员卡存根",
    stub_hint="请留在家里，\n丢了卡凭它\n换一张",
    cutting="沿十字线裁开；沿虚线撕下的存根交给持卡人",
)
LONGEST_HOST = "https://carbon.jingan-district.example."


def cards(count: int, host: str = "https://tanpuhui.example") -> list[Card]:
    chance = random.Random(7)
    tokens = [base64.b32encode(b"\x30" + chance.randbytes(14)).decode() for _ in range(count)]
    return [Card(f"{host}/s/{token}", signing.typed_form(token)) for token in tokens]


def pages(data: bytes, dpi: int = 300) -> list[Image.Image]:
    with pypdfium2.PdfDocument(data) as document:
        return [page.render(scale=dpi / 72).to_pil() for page in document]


def assert_says(image: Image.Image, wanted: list[Card]) -> None:
    found = zxingcpp.read_barcodes(image)
    assert {one.text for one in found} == {card.url for card in wanted}
    assert {one.ec_level for one in found} == {"Q"}
    assert max(int(one.extra["Version"]) for one in found) <= 5


@pytest.mark.parametrize("host", ["https://tanpuhui.example", LONGEST_HOST])
def test_all_ten_are_read_steady_blurred_askew_and_small(host: str) -> None:
    wanted = cards(10, host)
    (sheet,) = pages(cards_pdf(wanted, WORDS))
    assert_says(sheet, wanted)
    assert_says(sheet.filter(ImageFilter.GaussianBlur(4)), wanted)
    assert_says(sheet.rotate(20, Image.Resampling.BICUBIC, expand=True, fillcolor="white"), wanted)
    assert_says(sheet.reduce(4), wanted)


def test_the_eleventh_card_begins_a_page() -> None:
    wanted = cards(11)
    sheets = pages(cards_pdf(wanted, WORDS), dpi=200)
    assert len(sheets) == 2
    assert_says(sheets[0], wanted[:10])
    assert_says(sheets[1], wanted[10:])


def test_a_card_is_as_large_as_a_bank_card_and_its_words_stand_on_it_and_on_the_stub() -> None:
    assert pytest.approx((85.6, 54)) == (CARD_WIDTH / 72 * 25.4, CARD_HEIGHT / 72 * 25.4)
    (wanted,) = cards(1)
    with pypdfium2.PdfDocument(cards_pdf([wanted], WORDS)) as document:
        assert document[0].get_size() == pytest.approx((595.28, 841.89), abs=0.01)
        text = document[0].get_textpage().get_text_bounded()
    lines = "".join(text.split())
    for words in (WORDS.title, WORDS.how, WORDS.lost, WORDS.help, WORDS.stub, WORDS.stub_hint):
        assert "".join(words.split()) in lines, words
    assert wanted.short_code in lines
    assert wanted.short_code.replace("-", "") in lines  # on the stub, a group of four on each line


def test_the_same_cards_give_the_same_bytes() -> None:
    assert cards_pdf(cards(3), WORDS) == cards_pdf(cards(3), WORDS)


def test_words_that_cannot_be_printed_are_refused() -> None:
    with pytest.raises(MissingGlyphs):
        cards_pdf(cards(1), replace(WORDS, lost="找🌱居委会"))
    with pytest.raises(DoesNotFit):
        cards_pdf(cards(1), replace(WORDS, lost="很长" * 200))
