"""Posters are decoded as a phone would, from the PDF and from the PNG."""

import hashlib
import math
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pypdfium2
import pytest
import zxingcpp
from hypothesis import given, settings, strategies as st
from PIL import Image, ImageChops

from tanpuhui import pdf
from tanpuhui.pdf import Box, Code, DoesNotFit, MissingGlyphs, Text, missing_glyphs
from tanpuhui.posters import Poster, poster_page, poster_pdf, poster_png

CANTEEN = Poster(
    site_name="静安寺街道社区食堂（愚园路店）",
    headline="扫码记录 · 光盘行动",
    kinds=("光盘用餐 每餐 +10 分", "不用一次性餐具 +3 分", "自带杯 +3 分"),
    url="https://tanpuhui.example/s/ABCDEFGHJKMNPQRSTUVWXYZ2",
    short_code="7KQM-3XPD",
    steps=("用微信或手机相机扫码", "吃光了，点一下确认", "马上看到减了多少、得了多少分"),
    footer="估算减排量，不是交易凭证。CO₂e 按公开因子计算。",
    campaign="全国低碳日 · 6月17日—30日",
)
LONG_NAME = (
    "上海市静安区宝山路街道三宝居民区党群服务中心暨市民低碳生活体验馆（宝昌路五百三十八弄，"
    "原三宝社区食堂）衣物回收与可回收物示范服务点"
)
RECYCLING = replace(
    CANTEEN,
    site_name=LONG_NAME,
    campaign=None,
    kinds=tuple(
        f"{name} 每公斤 +{n} 分" for n, name in enumerate(("旧衣", "废纸", "玻璃", "铝", "塑料 PET", "铁"))
    ),
    url="https://carbon.jingan-district.example./s/ABCDEFGHJKMNPQRSTUVWXYZ2",
)
ENGLISH = replace(
    CANTEEN,
    site_name="Jing'an Temple Community Canteen (Yuyuan Road)",
    headline="Scan it · Clean plate",
    steps=("Scan with WeChat or your camera", "Finish your meal, then tap confirm", "See what you saved"),
    kinds_label="This code records",
    short_code_label="Cannot scan? Open {host} and type",
)
WITH_CARD = replace(RECYCLING, without_phone="没有手机？把会员卡给工作人员扫一下，一样记录。")
POSTERS = pytest.mark.parametrize(
    "poster", [CANTEEN, RECYCLING, ENGLISH, WITH_CARD], ids=["canteen", "recycling", "english", "with-card"]
)


def rendered(data: bytes, dpi: int = 150) -> Image.Image:
    with pypdfium2.PdfDocument(data) as document:
        assert len(document) == 1
        return document[0].render(scale=dpi / 72).to_pil()


def printed_text(data: bytes) -> str:
    with pypdfium2.PdfDocument(data) as document:
        return document[0].get_textpage().get_text_bounded()


def assert_says(image: Image.Image, url: str) -> None:
    (found,) = zxingcpp.read_barcodes(image)
    assert (found.text, found.ec_level) == (url, "Q")
    assert int(found.extra["Version"]) <= 5


def assert_inside(poster: Poster) -> None:
    """No text leaves the margins, crosses another text, or stands on the code."""
    page = poster_page(poster)
    (code,) = (item for item in page.items if isinstance(item, Code))
    areas = []
    for item in page.items:
        if isinstance(item, Text) and item.text:
            wide = pdf.width(item.text, item.size, item.weight)
            left = item.x - wide / 2 if item.centred else item.x
            areas.append((left, item.y - 0.75 * item.size, left + wide, item.y, item.text))
    for left, top, right, bottom, text in areas:
        assert 40 <= left <= right <= page.width - 40, text
        assert 30 <= top <= bottom <= page.height - 12, text
        quiet = code.side / len(code.rows) * 4
        beside = right <= code.x - quiet or left >= code.x + code.side + quiet
        assert beside or bottom <= code.y - quiet or top >= code.y + code.side + quiet, text
    for number, one in enumerate(areas):
        for other in areas[number + 1 :]:
            apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
            assert apart, (one[4], other[4])


@POSTERS
def test_pdf_and_png_say_the_url(poster: Poster) -> None:
    assert_says(rendered(poster_pdf(poster)), poster.url)
    assert_says(Image.open(BytesIO(poster_png(poster))), poster.url)


@POSTERS
def test_pdf_is_one_a4_page_with_every_word_as_text(poster: Poster) -> None:
    data = poster_pdf(poster)
    with pypdfium2.PdfDocument(data) as document:
        assert document[0].get_size() == pytest.approx((595.28, 841.89), abs=0.01)
        assert document.get_metadata_dict()["Title"] == f"{poster.headline} · {poster.site_name}"
    text = re.sub(r"\s", "", printed_text(data))
    for words in (poster.site_name, *poster.kinds, *poster.steps, poster.short_code, poster.footer):
        assert re.sub(r"\s", "", words) in text
    for part in poster.headline.split(" · "):
        assert part.replace(" ", "") in text


@POSTERS
def test_nothing_overflows(poster: Poster) -> None:
    assert_inside(poster)


@POSTERS
def test_code_is_eight_centimetres_wide_with_a_quiet_zone_of_four_modules(poster: Poster) -> None:
    (code,) = (item for item in poster_page(poster).items if isinstance(item, Code))
    assert code.side / 72 * 2.54 >= 8
    left, top, right, bottom = (
        edge / 72 * 150 for edge in (code.x, code.y, code.x + code.side, code.y + code.side)
    )
    quiet = code.side / len(code.rows) * 4 / 72 * 150
    strips = (
        (left - quiet, top, left, bottom),
        (right, top, right + quiet, bottom),
        (left, top - quiet, right, top),
        (left, bottom, right, bottom + quiet),
    )
    image = Image.open(BytesIO(poster_png(poster))).convert("L")
    for strip in strips:
        x, y, to_x, to_y = strip
        inside = math.ceil(x), math.ceil(y), math.floor(to_x), math.floor(to_y)
        assert image.crop(inside).getextrema() == (255, 255)


@POSTERS
def test_both_back_ends_draw_the_same_page(poster: Poster) -> None:
    small = (124, 175)
    one = Image.open(BytesIO(poster_png(poster))).convert("L").resize(small, Image.Resampling.BOX)
    other = rendered(poster_pdf(poster)).convert("L").resize(small, Image.Resampling.BOX)
    pixels = ImageChops.difference(one, other).tobytes()
    assert sum(pixels) / len(pixels) < 3


def test_the_same_poster_gives_the_same_bytes() -> None:
    with ThreadPoolExecutor(8) as pool:
        pdfs = set(pool.map(poster_pdf, [CANTEEN, RECYCLING] * 8))
    assert pdfs == {poster_pdf(CANTEEN), poster_pdf(RECYCLING)}
    assert len(pdfs) == 2
    assert poster_png(CANTEEN) == poster_png(CANTEEN)


def test_eight_threads_draw_posters_that_read_right() -> None:
    posters = [replace(CANTEEN, url=f"https://tanpuhui.example/s/{n:024d}") for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(poster_png, posters))
    for poster, data in zip(posters, made, strict=True):
        assert_says(Image.open(BytesIO(data)), poster.url)


def test_a3_is_the_same_page_larger() -> None:
    large = replace(CANTEEN, paper="A3")
    with pypdfium2.PdfDocument(poster_pdf(large)) as document:
        assert document[0].get_size() == pytest.approx((841.86, 1190.61), abs=0.1)
    assert Image.open(BytesIO(poster_png(large))).size == (1754, 2480)
    assert_says(rendered(poster_pdf(large)), large.url)


def test_lines_break_between_phrases_and_drop_the_dot() -> None:
    lines = [item.text for item in poster_page(CANTEEN).items if isinstance(item, Text)]
    assert {"扫码记录", "光盘行动"} <= set(lines)
    assert {"马上看到减了多少、", "得了多少分"} <= set(lines)
    forced = replace(CANTEEN, headline="吃多少\n点多少")
    lines = [item.text for item in poster_page(forced).items if isinstance(item, Text)]
    assert {"吃多少", "点多少"} <= set(lines)


def test_steps_share_one_size() -> None:
    steps = ("扫码", "一步很长很长的说明，必须缩小以后才放得下，而且要分成好几行来写", "完成")
    sizes = {
        t.size for t in poster_page(replace(CANTEEN, steps=steps)).items if getattr(t, "text", "") in steps
    }
    assert len(sizes) == 1


def test_a_poster_without_campaign_kinds_or_steps_can_be_drawn() -> None:
    bare = replace(CANTEEN, campaign=None, kinds=(), steps=())
    assert_inside(bare)
    assert_says(Image.open(BytesIO(poster_png(bare))), bare.url)
    assert not any(isinstance(item, Box) and item.y > 700 and item.radius for item in poster_page(bare).items)


names = st.text("静安区社区食堂街道愚园路（）《》，。、·… ABCxyz019-—", min_size=1, max_size=60)


@settings(max_examples=40, deadline=None)
@given(
    name=names,
    headline=names.map(lambda text: text[:24]),
    kinds=st.lists(names.map(lambda t: t[:14]), max_size=8),
)
def test_names_of_sixty_characters_never_overflow(name: str, headline: str, kinds: list[str]) -> None:
    assert_inside(replace(CANTEEN, site_name=name, headline=headline, kinds=tuple(kinds)))


def test_texts_far_too_long_are_refused_and_named() -> None:
    with pytest.raises(DoesNotFit, match="too long for its place: 静静"):
        poster_pdf(replace(CANTEEN, site_name="静" * 1000))
    with pytest.raises(DoesNotFit, match="40 kinds of action"):
        poster_png(replace(CANTEEN, kinds=("一种名字特别特别长的绿色行动",) * 40))
    with pytest.raises(DoesNotFit):
        poster_png(replace(CANTEEN, site_name="W" * 300))


def test_a_url_too_long_for_a_short_code_is_refused() -> None:
    with pytest.raises(ValueError, match="do not fit version 5 at level Q"):
        poster_pdf(replace(CANTEEN, url="https://tanpuhui.example/s/" + "a" * 60))


@pytest.mark.parametrize(
    "field", ["site_name", "headline", "footer", "campaign", "short_code", "kinds_label"]
)
def test_missing_glyphs_are_listed_before_anything_is_drawn(
    field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pdf, "Canvas", None)
    monkeypatch.setattr(Image, "new", None)
    for draw in (poster_pdf, poster_png):
        with pytest.raises(MissingGlyphs, match=r"U\+1F331.*U\+1F957") as caught:
            draw(replace(CANTEEN, **{field: "绿🌱色🥗🌱"}))
        assert caught.value.characters == ["🌱", "🥗"]
    with pytest.raises(MissingGlyphs):
        poster_png(replace(CANTEEN, steps=("扫码", "👍")))


def test_the_font_has_what_we_print() -> None:
    hanzi = [bytes((high, low)) for high in range(0xB0, 0xF8) for low in range(0xA1, 0xFF)]
    gb2312 = b"".join(pair for pair in hanzi if pair < b"\xd7\xfa" or pair >= b"\xd8\xa1").decode("gb2312")
    assert len(gb2312) == 6763
    assert missing_glyphs(gb2312) == []
    assert missing_glyphs("愚谷邨 喆堃 CO₂e PM₂.₅ m² m³ 10⁻⁶ ·×℃≈≤≥—…①⑳→←↑↓「」《》“”％￥") == []
    assert missing_glyphs("a\U0001f331b\x00c\U0001f331") == ["\U0001f331", "\x00"]


def test_the_font_has_every_character_of_the_reference_data() -> None:
    root = Path(__file__).parents[2]
    files = [path for room in ("platform", "activities", "rewards") for path in (root / room).rglob("*.csv")]
    assert {"divisions_310106.csv", "factors.csv"} <= {path.name for path in files}
    for path in files:
        assert missing_glyphs(pdf.plain(path.read_text(encoding="utf-8-sig"))) == [], path.name


@pytest.mark.parametrize("weight", ["Regular", "Bold"])
def test_no_printable_character_is_an_empty_box(weight: pdf.Weight) -> None:
    font = pdf._png_font(weight, 40)
    box = font.getmask("\U0001f331")
    assert box.getbbox() is not None
    for character in "₀₁₂₃₄₅₆₇₈₉⁰⁵⁹邨℃≈①→静":
        mask = font.getmask(character)
        assert mask.getbbox() is not None
        assert bytes(mask) != bytes(box), character
    # A subscript is smaller than its digit and hangs below the baseline.
    digit, below = font.getbbox("2", anchor="ls"), font.getbbox("₂", anchor="ls")
    assert below[3] > digit[3]
    assert below[3] - below[1] < 0.75 * (digit[3] - digit[1])


def test_vendored_fonts_are_the_ones_described() -> None:
    folder = next(iter(pdf._FONTS.values())).parent
    described = (folder / "VENDORED.md").read_text(encoding="utf-8")
    for path in pdf._FONTS.values():
        data = path.read_bytes()
        assert f"| {path.name} | {len(data)} | {hashlib.sha256(data).hexdigest()} |" in described
    assert "SIL OPEN FONT LICENSE Version 1.1" in (folder / "OFL.txt").read_text(encoding="utf-8")
