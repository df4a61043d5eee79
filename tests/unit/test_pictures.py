"""A photo is kept small, upright and without anything but what is seen; the same picture is known again, others are not."""

import io
import random
import zlib
from typing import Any

import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, PngImagePlugin

from activities.fingerprints import NEAR, SIDE, distance, fingerprint, is_flat, near_parts, parts
from activities.photos import MOST_BYTES
from activities.pictures import read_photo
from tanpuhui import pictures
from tanpuhui.errors import PhotoBlank, PhotoTooLarge, PhotoUnreadable

TELL_TALE = b"TELL-TALE-310106"


def scene(seed: int, size: tuple[int, int] = (800, 600)) -> Image.Image:
    """A made-up photo: light that falls off, things of all sizes, a little noise."""
    chance = random.Random(seed)
    shade = Image.linear_gradient("L").rotate(chance.randrange(360)).resize((400, 300))
    picture = Image.merge(
        "RGB",
        [
            shade.point([v * strength // 10 for v in range(256)])
            for strength in chance.sample(range(3, 10), 3)
        ],
    )
    draw = ImageDraw.Draw(picture)
    for _ in range(30):
        x, y, w, h = (
            chance.randrange(400),
            chance.randrange(300),
            chance.randrange(20, 160),
            chance.randrange(20, 120),
        )
        colour = tuple(chance.randrange(256) for _ in range(3))
        shape = draw.ellipse if chance.random() < 0.5 else draw.rectangle
        shape((x - w // 2, y - h // 2, x + w // 2, y + h // 2), fill=colour)
    return picture.filter(ImageFilter.GaussianBlur(1.5)).resize(size)


def file_of(picture: Image.Image, form: str = "JPEG", **more: Any) -> bytes:
    made = io.BytesIO()
    picture.save(made, form, **more)
    return made.getvalue()


def test_nothing_written_into_the_file_is_kept() -> None:
    picture = scene(1)
    exif = Image.Exif()
    exif[0x010E] = exif[0x9C9C] = TELL_TALE.decode()
    exif.get_ifd(0x8825).update(
        {1: "N", 2: (31.0, 13.0, 48.0), 3: "E", 4: (121.0, 27.0, 0.0), 29: "TELL-TALE-310106"}
    )
    exif.get_ifd(0x8769)[0x9286] = TELL_TALE
    told = PngImagePlugin.PngInfo()
    told.add_text("Comment", TELL_TALE.decode())
    told.add_itxt("XML:com.adobe.xmp", TELL_TALE.decode())
    stuffed = {
        "JPEG": file_of(picture, exif=exif, comment=TELL_TALE, icc_profile=TELL_TALE, xmp=TELL_TALE)
        + TELL_TALE,
        "PNG": file_of(picture, "PNG", exif=exif, pnginfo=told, icc_profile=TELL_TALE) + TELL_TALE,
        "WEBP": file_of(picture, "WEBP", exif=exif, xmp=TELL_TALE, icc_profile=TELL_TALE),
    }
    for form, data in stuffed.items():
        assert TELL_TALE in data, form  # it is there to be lost
        kept = read_photo(data).jpeg
        assert TELL_TALE not in kept, form
        for mark in (
            b"Exif",
            b"ICC_PROFILE",
            b"xmp",
            b"http",
            b"\xff\xfe",
            b"\xff\xe1",
            b"\xff\xe2",
            b"\xff\xed",
        ):
            assert mark not in kept[:600], (form, mark)
        with Image.open(io.BytesIO(kept)) as read:
            assert (read.format, read.mode) == ("JPEG", "RGB")
            assert not read.getexif()
            assert set(read.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def test_it_is_small_whatever_was_sent() -> None:
    noise = Image.blend(scene(1, (3000, 2000)), Image.effect_noise((3000, 2000), 120).convert("RGB"), 0.5)
    kept = read_photo(file_of(noise, quality=95)).jpeg
    assert len(kept) <= MOST_BYTES
    with Image.open(io.BytesIO(kept)) as read:
        assert max(read.size) == 1280


def test_it_is_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(io.BytesIO(read_photo(file_of(scene(2), exif=exif)).jpeg)) as read:
        assert read.size == (600, 800)


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "RGBA", "LA", "I;16", "1"])
def test_every_kind_of_colours_is_read(mode: str) -> None:
    plain = scene(3)
    picture = _sixteen(plain) if mode == "I;16" else plain.convert(mode)
    form = "JPEG" if mode == "CMYK" else "PNG"
    read = read_photo(file_of(picture, form))
    assert distance(read.fingerprint, read_photo(file_of(plain)).fingerprint) <= NEAR


def _sixteen(picture: Image.Image) -> Image.Image:
    grey = picture.convert("L")
    deep = b"".join(bytes((0, value)) for value in grey.tobytes())
    return Image.frombytes("I;16", grey.size, deep)


def test_of_what_moves_the_first_picture_is_kept() -> None:
    first, second = scene(4, (400, 300)), scene(5, (400, 300))
    moving = file_of(first, "WEBP", save_all=True, append_images=[second], lossless=True)
    assert distance(read_photo(moving).fingerprint, read_photo(file_of(first)).fingerprint) <= NEAR


HEIC = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(200)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a" + bytes(60),
        HEIC,
        b"%PDF-1.7",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        file_of(scene(6))[:4000],
        file_of(scene(6), "PNG")[:4000],
        file_of(scene(6, (200, 150)), "GIF"),
        file_of(scene(6, (200, 150)), "TIFF"),
        b"\xff\xd8\xff\xe0" + bytes(40),
    ],
    ids=["empty", "gif", "heic", "pdf", "svg", "cut jpeg", "cut png", "whole gif", "tiff", "noise"],
)
def test_what_is_no_photo_is_refused(data: bytes) -> None:
    with pytest.raises(PhotoUnreadable):
        read_photo(data)


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few hundred bytes that unpacks to billions of pixels."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")

    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\x00\x00\x00"
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(8001, 8001), (12_000, 8000), (60_000, 60_000)])
def test_a_bomb_is_not_unpacked(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image.Image, "load", lambda *_: pytest.fail("it was unpacked"))
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", lambda *_: pytest.fail("it was unpacked"))
    with pytest.raises(PhotoTooLarge):
        read_photo(bomb(*size))


@pytest.mark.parametrize("colour", ["black", "white", "#20364a"])
def test_a_picture_of_nothing_is_refused(colour: str) -> None:
    with pytest.raises(PhotoBlank):
        read_photo(file_of(Image.new("RGB", (1200, 900), colour)))


def test_a_single_pixel_is_nothing() -> None:
    with pytest.raises(PhotoBlank):
        read_photo(file_of(Image.new("RGB", (1, 1), "red"), "PNG"))


# --- known again -------------------------------------------------------------------------------------------

ALTERED = {
    "resized": lambda p: file_of(p.resize((640, 480))),
    "stretched": lambda p: file_of(p.resize((1000, 900))),
    "compressed hard": lambda p: file_of(p, quality=20),
    "compressed twice": lambda p: file_of(Image.open(io.BytesIO(file_of(p, quality=40))).resize((800, 600))),
    "as webp": lambda p: file_of(p, "WEBP", quality=50),
    "brighter": lambda p: file_of(ImageEnhance.Brightness(p).enhance(1.25)),
    "darker": lambda p: file_of(ImageEnhance.Brightness(p).enhance(0.75)),
    "more contrast": lambda p: file_of(ImageEnhance.Contrast(p).enhance(1.25)),
    "grey": lambda p: file_of(p.convert("L")),
    "blurred": lambda p: file_of(p.filter(ImageFilter.GaussianBlur(4))),
    "trimmed": lambda p: file_of(p.crop((8, 6, p.width - 8, p.height - 6))),
}


@pytest.mark.parametrize("name", ALTERED)
def test_an_altered_copy_is_known_again(name: str) -> None:
    far = []
    for seed in range(10):
        picture = scene(seed)
        first = read_photo(file_of(picture)).fingerprint
        apart = distance(first, read_photo(ALTERED[name](picture)).fingerprint)
        if apart > NEAR:
            far.append((seed, apart))
    assert len(far) <= 1, far  # one in ten at most slips through to the reviewer


def test_different_pictures_are_told_apart() -> None:
    found = [read_photo(file_of(scene(seed, (400, 300)))).fingerprint for seed in range(60)]
    nearest = min(distance(one, other) for place, one in enumerate(found) for other in found[:place])
    assert nearest > NEAR, nearest


def test_whatever_is_near_shares_a_part_that_is_searched() -> None:
    chance = random.Random(7)
    for _ in range(300):
        one = chance.getrandbits(64)
        other = one
        for place in chance.sample(range(64), NEAR):
            other ^= 1 << place
        assert distance(one, other) == NEAR
        assert any(
            theirs in set(near_parts(ours)) for ours, theirs in zip(parts(one), parts(other), strict=True)
        )


def test_the_fingerprint_fits_its_column_and_sees_structure() -> None:
    greys = [(x * 7 + y * 3) % 256 for y in range(SIDE) for x in range(SIDE)]
    assert 0 < fingerprint(greys) < 2**64
    assert not is_flat(greys)
    assert is_flat([0] * SIDE * SIDE)
    assert (Image.MAX_IMAGE_PIXELS or 0) > pictures.MOST_PIXELS
