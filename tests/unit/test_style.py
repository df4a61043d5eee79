"""The design language holds: colours are tokens, text can be read, the sheet is light."""

import gzip
import re
from itertools import product
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WEB = ROOT / "platform" / "tanpuhui" / "web"
SHEET = (WEB / "static" / "app.css").read_text(encoding="utf-8")
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


#: Colours that CSS knows by name, as far as anybody would reach for them.
NAMED = (
    "black|white|gray|grey|silver|red|maroon|green|lime|olive|teal|blue|navy|aqua|cyan|purple|fuchsia|magenta|yellow|orange|gold|brown"
    "|pink|violet|indigo|crimson|tomato|coral|salmon|beige|ivory|khaki|lavender"
)
PAINT = r"#[0-9a-fA-F]{3,8}\b|\b(?:rgb|hsl|hwb|lab|lch|oklab|oklch|color)a?\("


def test_no_rule_names_a_colour_of_its_own() -> None:
    rules = re.sub(r":root \{.*?\}|/\*.*?\*/", "", SHEET, flags=re.S)
    values = re.findall(r"[\w-]+:\s*([^;{}]+);", rules)
    assert not [value for value in values if re.search(rf"(?<![\w-])(?:{NAMED})(?![\w-])", value)]


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_template_paints(file: Path) -> None:
    """Neither text nor drawings bring colours along: they take the sheet's, or that of the text around them."""
    text = re.sub(
        r'\{% macro mark\(\).*?endmacro %\}|<meta name="theme-color".*?>',
        "",
        file.read_text(encoding="utf-8"),
        flags=re.S,
    )
    painted = re.findall(r'\b(?:fill|stroke|color|bgcolor|background)="([^"]*)"', text)
    assert {paint for paint in painted if not paint.startswith("url(#")} <= {"none", "currentColor"}
    assert not re.findall(PAINT, re.sub(r'href="[^"]*"|&#\w+;|"#', "", text))


def test_the_mark_wears_the_colours_of_the_sheet() -> None:
    """In the page, as the tab's icon, and around the page where a browser shows it."""
    icons = (WEB / "templates" / "icons.html").read_text(encoding="utf-8")
    of_the_sheet = {*LIGHT.values(), *DARK.values(), "#fff"}
    for drawing in (
        icons.partition("macro mark")[2],
        (WEB / "static" / "mark.svg").read_text(encoding="utf-8"),
    ):
        worn = set(re.findall(r"#[0-9a-f]{3,6}", drawing))
        assert worn == {LIGHT["leaf"], DARK["sun"], "#fff"}
        assert worn <= of_the_sheet
    document = (WEB / "templates" / "document.html").read_text(encoding="utf-8")
    assert re.findall(r"(light|dark)\)\" content=\"(#\w+)", document) == [
        ("light", LIGHT["paper"]),
        ("dark", DARK["paper"]),
    ]


@pytest.mark.parametrize("file", sorted((WEB / "static").glob("*.js")), ids=lambda file: file.name)
def test_scripts_set_no_looks(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert not re.search(r"\.style\b|cssText|innerHTML|insertRule|adoptedStyleSheets|[\"']style[\"']", text)
    assert not re.search(PAINT, text)


def test_the_sheet_is_light() -> None:
    size = len(gzip.compress(SHEET.encode()))
    print(f"own CSS: {size / 1000:.1f} KB compressed")
    assert size < 30_000


# --- nothing unused ----------------------------------------------------------------------------------------

PAGES = {file: file.read_text(encoding="utf-8") for file in TEMPLATES}
COMPONENTS = PAGES[WEB / "templates" / "ui.html"]
MACROS = re.findall(r"\{%-? macro (\w+)", COMPONENTS)

#: Parts of other components, with nothing to show by themselves.
PARTS = {"csrf", "once", "described", "error_line", "post_button"}


@pytest.mark.parametrize("macro", MACROS)
def test_every_component_is_used_and_stands_on_the_style_page(macro: str) -> None:
    assert any(re.search(rf"\bui\.{macro}\(", text) for text in PAGES.values()) or re.search(
        rf"(?<!macro ){macro}\(", COMPONENTS
    )
    assert macro in PARTS or f"ui.{macro}(" in PAGES[WEB / "templates" / "style.html"]


def test_every_icon_is_used() -> None:
    icons = re.findall(r'^  "(\w+)":', PAGES[WEB / "templates" / "icons.html"], re.M)
    assert len(icons) > 30
    rooms = ("platform/tanpuhui", "activities", "rewards")
    python = "".join(
        file.read_text(encoding="utf-8") for room in rooms for file in (ROOT / room).rglob("*.py")
    )
    drawn = python + "".join(text for file, text in PAGES.items() if file.name != "icons.html")
    assert [name for name in icons if f'"{name}"' not in drawn] == []


def test_every_class_of_the_sheet_is_worn() -> None:
    rules = re.sub(r"/\*.*?\*/", "", SHEET, flags=re.S)
    selectors = [part for part in re.findall(r"([^{}]+)\{", rules) if not part.strip().startswith("@")]
    classes = {name for selector in selectors for name in re.findall(r"\.([a-zA-Z][\w-]*)", selector)}
    worn = {
        name
        for text in PAGES.values()
        for quoted in re.findall(r'"([^"]*)"', text) + re.findall(r"'([^']*)'", text)
        for name in re.findall(r"[\w-]+", quoted)
    }
    assert len(classes) > 90
    assert classes - worn == set()


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: str(file.relative_to(ROOT)))
def test_templates_carry_no_looks_of_their_own(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    script = r"""<script (?:defer|type="module") src="\{\{ static\('[\w./-]+\.js'\) \}\}"></script>"""
    assert not re.search(r"\sstyle=|<style|<script|\son[a-z]+=", re.sub(script, "", text))


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: str(file.relative_to(ROOT)))
def test_templates_use_only_classes_that_the_sheet_knows(file: Path) -> None:
    text = re.sub(r"\{[%#{].*?[%#}]\}", " ", file.read_text(encoding="utf-8"), flags=re.S)
    used = {name for names in re.findall(r'class="([^"]*)"', text) for name in names.split()}
    known = set(re.findall(r"\.([a-zA-Z][\w-]*)", SHEET))
    assert used <= known, used - known
