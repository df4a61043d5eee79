"""The design language holds: colours are tokens, text can be read, the sheet is light."""

import gzip
import re
from itertools import product
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHEET = (ROOT / "platform" / "tanpuhui" / "web" / "static" / "app.css").read_text(encoding="utf-8")
TEMPLATES = [
    file
    for room in ("platform/tanpuhui/web", "activities", "rewards")
    for file in (ROOT / room).rglob("*.html")
]
LIGHT, DARK = (
    dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))
    for block in re.findall(r":root \{(.*?)\}", SHEET, re.S)[:2]
)


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Contrast ratio of WCAG 2."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_every_text_colour_can_be_read_on_every_ground(theme: dict[str, str]) -> None:
    texts = ("ink", "quiet", "leaf", "leaf-deep", "sun", "alert")
    grounds = ("paper", "surface", "sunk", "leaf-tint", "sun-tint", "alert-tint")
    for text, ground in product(texts, grounds):
        assert contrast(theme[text], theme[ground]) >= 4.5, (text, ground)
    assert contrast(theme["on-leaf"], theme["leaf"]) >= 4.5
    assert contrast(theme["on-leaf"], theme["leaf-deep"]) >= 4.5
    assert contrast(theme["edge"], theme["surface"]) >= 3  # the border of a field


def test_both_themes_define_the_same_colours() -> None:
    assert LIGHT.keys() == DARK.keys()


def test_colours_stand_among_the_tokens_only() -> None:
    rules = re.sub(r":root \{.*?\}", "", SHEET, flags=re.S)
    rules = re.sub(r'url\("data:[^"]*"\)', "", rules)
    assert not re.findall(r"#[0-9a-fA-F]{3,8}\b|rgba?\(|hsla?\(", rules)


def test_the_sheet_is_light() -> None:
    assert len(gzip.compress(SHEET.encode())) < 30_000


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: str(file.relative_to(ROOT)))
def test_templates_carry_no_looks_of_their_own(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert not re.search(r"\sstyle=|<style|<script|\son[a-z]+=", text)


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: str(file.relative_to(ROOT)))
def test_templates_use_only_classes_that_the_sheet_knows(file: Path) -> None:
    text = re.sub(r"\{[%#{].*?[%#}]\}", " ", file.read_text(encoding="utf-8"), flags=re.S)
    used = {name for names in re.findall(r'class="([^"]*)"', text) for name in names.split()}
    known = set(re.findall(r"\.([a-zA-Z][\w-]*)", SHEET))
    assert used <= known, used - known
