"""What pages are made of: vendored files as they were, icons of the right size, small scripts, nothing from elsewhere."""

import gzip
import hashlib
import re
from pathlib import Path

import pytest
from PIL import Image

from tanpuhui.web.assets import FOLDER, asset, fingerprint
from tanpuhui.web.offline import token_colour
from tests.journeys.icons import GROUND, ICONS

ROOT = Path(__file__).parents[2]
TEMPLATES = [
    file
    for room in ("platform/tanpuhui/web", "activities", "rewards")
    for file in (ROOT / room).rglob("*.html")
]
SCRIPTS = sorted(FOLDER.glob("*.js"))
VENDORED = sorted((FOLDER / "vendor").iterdir())
named = {"ids": lambda file: file.name}


@pytest.mark.parametrize("folder", VENDORED, **named)
def test_vendored_files_are_those_that_were_vendored(folder: Path) -> None:
    described = (folder / "VENDORED.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| (\S+) \| (\d+) \| ([0-9a-f]{64}) \|$", described, flags=re.MULTILINE)
    assert {name for name, _, _ in listed} == {file.name for file in folder.iterdir()} - {"VENDORED.md"}
    assert any(name.startswith("LICENSE") for name, _, _ in listed)
    for name, size, digest in listed:
        body = (folder / name).read_bytes()
        assert (len(body), hashlib.sha256(body).hexdigest()) == (int(size), digest), name


@pytest.mark.parametrize("name", ICONS)
def test_icons_have_their_size_and_the_ground_of_the_mark(name: str) -> None:
    pixels, share, _ = ICONS[name]
    icon = Image.open(FOLDER / name).convert("RGBA")
    assert icon.size == (pixels, pixels)
    assert (FOLDER / name).stat().st_size < 10_000
    corner, edge = (icon.getpixel(at) for at in ((0, 0), (pixels // 2, 2)))
    ground = (*bytes.fromhex(GROUND[1:]), 255)
    assert isinstance(corner, tuple)
    assert isinstance(edge, tuple)
    assert all(abs(got - wanted) <= 2 for got, wanted in zip(edge, ground, strict=True))
    assert corner[3] == (255 if share < 1 else 0), "a launcher cuts a maskable icon itself"
    assert f'fill="{GROUND}"' in (FOLDER / "mark.svg").read_text(encoding="utf-8")


def test_the_colours_of_the_browser_are_those_of_the_tokens() -> None:
    document = (ROOT / "platform/tanpuhui/web/templates/document.html").read_text(encoding="utf-8")
    stated = re.search(
        r'theme-color" media="\(prefers-color-scheme: light\)" content="(#[0-9a-f]{6})"', document
    )
    assert stated is not None
    assert stated[1] == token_colour("paper")


@pytest.mark.parametrize("file", SCRIPTS, **named)
def test_own_scripts_are_small_and_make_nothing_of_text(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert len(gzip.compress(text.encode())) < 4_000
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", text
    )
    assert not re.search("[\u4e00-\u9fff]", text), "words stand in templates, where they are translated"


@pytest.mark.parametrize("file", [*TEMPLATES, *SCRIPTS], ids=lambda file: str(file.relative_to(ROOT)))
def test_no_other_window_and_no_other_host(file: Path) -> None:
    """Embedded views open no second window, and a page that needs another host works nowhere without it."""
    text = file.read_text(encoding="utf-8")
    assert not re.search(r"_blank|window\.open|\btarget=", text)
    assert not re.search(r"""(?:src|srcset|action|from|import)\s*[=(]?\s*["'](?:https?:)?//""", text)
    assert not re.search(r"<(?:iframe|object|embed|link[^>]*href=\"(?:https?:)?//)", text)


def test_static_files_are_named_through_their_fingerprint() -> None:
    for file in TEMPLATES:
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"""["']/static/|url_for\(["']static""", text), file.name
        for name in re.findall(r"static\(['\"]([^'\"]+)['\"]\)", text):
            assert asset(name), (file.name, name)


def test_modules_of_a_folder_share_their_fingerprint() -> None:
    """They import each other by relative names."""
    assert fingerprint("vendor/qr/decode.js") == fingerprint("vendor/qr/index.js")
    assert fingerprint("app.js") != fingerprint("queue.js")
    with pytest.raises(FileNotFoundError):
        fingerprint("vendor/qr")
    with pytest.raises(FileNotFoundError):
        fingerprint("../assets.py")
