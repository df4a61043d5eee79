"""Sheets of slips: every label is read, stays within its lines, and is the same each time."""

import io
from dataclasses import replace
from typing import Any

import pypdfium2
import pytest
import zxingcpp
from hypothesis import given, settings, strategies as st
from PIL import Image

from tanpuhui import pdf
from tanpuhui.labels import SLIPS, STICKERS, Grid, Slip, sheets, slip_label, sticker_label
from tanpuhui.pdf import Code, DoesNotFit, Text, pages_pdf
from tanpuhui.posters import Poster, poster_page, poster_pdf, poster_png
from tests.readers import assert_read_in_every_way

LONGEST = "https://carbon.jingan-district.example./s/"
SLIP = Slip(
    site_name="静安寺街道两网融合回收点（愚园路店）",
    what="玻璃回收\n0.5 千克",
    once="只能用一次 · 第 12 张\n有效到 2026年12月31日",
    url=f"{LONGEST}EB2XACULA4BZCTLYUOAEMVOJZ7CGTUCR",
    short_code="EB2X-ACUL-A4BZ-CTLY-UOAE-MVOJ-Z7CG-TUCR",
    host="扫码，或打开 carbon.jingan-district.example. 输入短码",
)


def numbered(count: int) -> list[Slip]:
    return [
        replace(SLIP, url=f"{SLIP.url[:-4]}{n:04d}", short_code=f"{SLIP.short_code[:-4]}{n:04d}")
        for n in range(count)
    ]


def printed(slips: list[Slip], dpi: int = 300) -> list[Image.Image]:
    pages = list(sheets(SLIPS, [list(slip_label(slip)) for slip in slips]))
    with pypdfium2.PdfDocument(pages_pdf(pages, title="小票")) as document:
        return [page.render(scale=dpi / 72).to_pil() for page in document]


def cut(sheet: Image.Image, grid: Grid, place: int) -> Image.Image:
    """One label as scissors leave it."""
    dots = sheet.width / 595.28
    row, column = divmod(place, grid.columns)
    x, y = grid.left + column * grid.width, grid.top + row * grid.height
    return sheet.crop(tuple(round(edge * dots) for edge in (x, y, x + grid.width, y + grid.height)))


def test_every_slip_of_two_sheets_is_read() -> None:
    slips = numbered(30)
    found = [code.text for sheet in printed(slips, 200) for code in zxingcpp.read_barcodes(sheet)]
    assert sorted(found) == sorted(slip.url for slip in slips)


@pytest.mark.parametrize("place", [0, 7, 23])
def test_a_slip_that_was_cut_out_is_read_in_every_way(place: int) -> None:
    """A host of 31 characters leaves no room for level Q; a shorter one does."""
    (sheet,) = printed(numbered(24))
    assert_read_in_every_way(cut(sheet, SLIPS, place), numbered(24)[place].url, level="M")
    short = replace(SLIP, url=SLIP.url.replace("carbon.jingan-district.example.", "tanpuhui.example"))
    (sheet,) = printed([short] * (place + 1))
    assert_read_in_every_way(cut(sheet, SLIPS, place), short.url, level="Q")


def assert_inside(label: list[Any], grid: Grid) -> None:
    (code,) = (item for item in label if isinstance(item, Code))
    quiet = 4 * code.side / len(code.rows)
    assert code.x >= quiet
    assert code.y >= quiet
    assert code.x + code.side + quiet <= grid.width
    for text in (item for item in label if isinstance(item, Text)):
        wide = pdf.width(text.text, text.size, text.weight)
        left = text.x - wide / 2 if text.centred else text.x
        assert (
            left >= code.x + code.side + quiet
            or text.y <= code.y - quiet
            or text.y - 0.75 * text.size >= code.y + code.side + quiet
        ), text.text
        assert left + wide <= grid.width - 4, text.text
        assert text.size <= text.y <= grid.height - 4, text.text


NAMES = st.text("静安区社区食堂街道愚园路（）《》，。、·… ABCxyz019-—", min_size=1, max_size=60)


@settings(max_examples=40, deadline=None)
@given(name=NAMES, kind=NAMES.map(lambda text: text[:12]))
def test_names_of_sixty_characters_stay_within_the_lines(name: str, kind: str) -> None:
    assert_inside(list(slip_label(replace(SLIP, site_name=name, what=f"{kind}\n12.345 千克"))), SLIPS)


def test_a_name_far_too_long_is_refused() -> None:
    with pytest.raises(DoesNotFit):
        list(slip_label(replace(SLIP, site_name="静" * 400)))


def test_the_same_slips_make_the_same_file() -> None:
    pages = list(sheets(SLIPS, [list(slip_label(slip)) for slip in numbered(30)]))
    told: list[int] = []
    assert pages_pdf(pages, title="小票") == pages_pdf(pages, title="小票", drawn=told.append)
    assert told == [1, 2]


# --- stickers, and the poster they are made from -----------------------------------------------------------

POSTER = Poster(
    site_name="静安寺街道社区食堂（愚园路店）",
    headline="光盘行动",
    kinds=("光盘行动", "自带杯"),
    url=f"{LONGEST}CA2FSWI6AEB5YXCZXSAEGXOL",
    short_code="CA2F-SWI6-AEB5-YXCZ-XSAE-GXOL",
    steps=("用手机相机\n或微信扫码", "核对内容，\n点“确认记录”", "看到估算\n减排量和积分"),
    footer="减排量为估算值，按公开的因子计算。积分没有货币价值，不能转让。",
    campaign="全国低碳日",
    without_phone="没有手机？把会员卡给工作人员扫一下，一样记录。",
)


@pytest.mark.parametrize("place", [0, 19])
def test_a_sticker_that_was_cut_out_is_read_in_every_way(place: int) -> None:
    labels = [
        list(sticker_label(replace(POSTER, url=f"{POSTER.url[:-2]}{number:02d}")))
        for number in range(place + 1)
    ]
    with pypdfium2.PdfDocument(pages_pdf(list(sheets(STICKERS, labels)), title="贴纸")) as document:
        sheet = document[0].render(scale=300 / 72).to_pil()
    assert_read_in_every_way(cut(sheet, STICKERS, place), f"{POSTER.url[:-2]}{place:02d}", level="Q")


@settings(max_examples=40, deadline=None)
@given(name=NAMES, kinds=st.lists(NAMES.map(lambda text: text[:10]), min_size=1, max_size=3))
def test_stickers_stay_within_their_lines(name: str, kinds: list[str]) -> None:
    assert_inside(list(sticker_label(replace(POSTER, site_name=name, kinds=tuple(kinds)))), STICKERS)


@pytest.mark.parametrize("paper", ["A4", "A5"])
def test_a_poster_is_read_in_every_way(paper: str) -> None:
    """From the picture, and from the file that is printed."""
    poster = replace(POSTER, paper=paper)
    assert_read_in_every_way(Image.open(io.BytesIO(poster_png(poster))), POSTER.url, level="Q")
    with pypdfium2.PdfDocument(poster_pdf(poster)) as document:
        printed_page = document[0].render(scale=150 / 72).to_pil()
    assert_read_in_every_way(printed_page, POSTER.url, level="Q")


def test_a_poster_says_how_to_take_part_without_a_phone() -> None:
    words = "".join(item.text for item in poster_page(POSTER).items if isinstance(item, Text))
    assert POSTER.without_phone in words
