"""Codes are read back by a reader that knows nothing of how we make them."""

import re
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from xml.etree import ElementTree

import pytest
import zxingcpp
from hypothesis import example, given, settings, strategies as st
from PIL import Image
from qrcode.constants import ERROR_CORRECT_Q
from qrcode.main import QRCode

from tanpuhui import qr

BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LONGEST_HOST = "carbon.jingan-district.example."  # 31 characters

tokens = st.text(BASE32, min_size=24, max_size=24)
# Mostly zeros: what makes whole blocks of data zero, and qrcode 8.2 stumble.
zero_heavy = st.builds(
    lambda token, zeros: token[: 24 - zeros].ljust(24, "0"),
    st.text(CROCKFORD, min_size=24),
    st.integers(0, 20),
)


def read(png: bytes) -> zxingcpp.Barcode:
    (found,) = zxingcpp.read_barcodes(Image.open(BytesIO(png)).convert("L"))
    return found


@settings(max_examples=60, deadline=None)
@given(token=tokens | zero_heavy, host=st.sampled_from(["127.0.0.1:8000", "tanpuhui.example", LONGEST_HOST]))
@example(token="0" * 20 + "ABCD", host="tanpuhui.example")
def test_every_token_fits_and_is_read_back(token: str, host: str) -> None:
    text = f"https://{host}/s/{token}"
    for level in ("M", "Q"):
        found = read(qr.png(text, level=level, box=3))
        assert found.text == text
        assert found.ec_level == level
        assert int(found.extra["Version"]) <= 5


def test_a_host_of_31_characters_fits_in_print_and_32_do_not() -> None:
    token = BASE32[:24]
    assert len(LONGEST_HOST) == 31
    assert len(qr.matrix(f"https://{LONGEST_HOST}/s/{token}", level="Q")) == 37
    with pytest.raises(ValueError, match="do not fit version 5 at level Q"):
        qr.matrix(f"https://x{LONGEST_HOST}/s/{token}", level="Q")
    assert len(qr.matrix(f"https://x{LONGEST_HOST}/s/{token}", level="Q", max_version=6)) == 41


@pytest.mark.parametrize("zeros", [44, 48, 52])
def test_zeros_that_break_qrcode_do_not_break_us(zeros: int) -> None:
    text = "https://tanpuhui.example/s/" + "0" * zeros
    plain: QRCode = QRCode(error_correction=ERROR_CORRECT_Q)
    plain.add_data(text)
    with pytest.raises(ValueError, match=r"glog\(0\)"):  # once this fails, the finer segmentations can go
        plain.make()
    assert read(qr.png(text, level="Q", box=3)).text == text


@pytest.mark.parametrize("text", ["", "x" * 200, "x" * 5000, "扫" * 100])
def test_what_cannot_be_a_code_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"makes no code|do not fit"):
        qr.matrix(text, level="M")


def test_chinese_text_is_read_back() -> None:
    assert read(qr.png("会员卡 张三", level="M")).text == "会员卡 张三"


def test_png_has_square_modules_and_a_quiet_zone_of_four() -> None:
    image = Image.open(BytesIO(qr.png("https://tanpuhui.example/s/1", box=8)))
    side = len(qr.matrix("https://tanpuhui.example/s/1", level="M"))
    assert image.size == ((side + 8) * 8,) * 2
    assert image.convert("L").point(lambda value: 255 - value).getbbox() == (32, 32, *((side + 4) * 8,) * 2)


def test_svg_draws_the_same_modules_dark_on_light() -> None:
    text = "https://tanpuhui.example/s/ABCDEFGHIJKLMNOPQRSTUVWX"
    root = ElementTree.fromstring(qr.svg(text, title="签到 <1> & 二维码"))
    space = "{http://www.w3.org/2000/svg}"
    title, ground, path = root
    assert (title.tag, title.text, root.get("role")) == (space + "title", "签到 <1> & 二维码", "img")
    assert (ground.get("fill"), path.get("fill")) == ("#fff", "#000")
    size = int(root.get("viewBox", "").split()[-1])
    image = Image.new("L", (size, size), 255)
    for x, y, length in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\d+z", path.get("d", "")):
        image.paste(0, (int(x), int(y), int(x) + int(length), int(y) + 1))
    drawn = [[image.getpixel((x + 4, y + 4)) == 0 for x in range(size - 8)] for y in range(size - 8)]
    assert drawn == qr.matrix(text, level="M")
    assert ground.get("width") == ground.get("height") == str(size)


def test_svg_without_title_is_hidden_from_screen_readers() -> None:
    root = ElementTree.fromstring(qr.svg("x"))
    assert root.get("aria-hidden") == "true"
    assert root.get("role") is None


def test_eight_threads_make_codes_that_read_right() -> None:
    texts = [f"https://tanpuhui.example/s/{number:024d}"[: 40 + number % 10] for number in range(80)]
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda text: qr.png(text, level="Q", box=3), texts))
    assert [read(png).text for png in made] == texts
