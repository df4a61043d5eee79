"""The documents say what is so: generated tables, names, paths, links, commands."""

import hashlib
import importlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tanpuhui.cli import cli
from tanpuhui.config import Settings
from tanpuhui.errors import all_errors
from tanpuhui.events import event_classes
from tanpuhui.rooms import installed_rooms
from tests.document import PARTS, ROOT, ours, written

READMES = ("README.md", "README.zh.md")
DOCUMENTS = tuple(
    str(file.relative_to(ROOT))
    for file in (
        *(ROOT / name for name in READMES),
        ROOT / "CHANGELOG.md",
        *sorted((ROOT / "docs").rglob("*.md")),
    )
)
SCREENS = ("resident-scan.png", "resident-result.png", "console-site.png", "bureau.png")
APACHE_2_0 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"


def text_of(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def without_fences(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def quoted(document: str) -> list[str]:
    """What stands between backticks in running text."""
    return re.findall(r"`([^`\n]+)`", without_fences(text_of(document)))


def fences(document: str) -> list[str]:
    return re.findall(r"^```\w*\n(.*?)^```", text_of(document), flags=re.DOTALL | re.MULTILINE)


def headings(document: str) -> list[str]:
    return re.findall(r"^(#+) ", without_fences(text_of(document)), flags=re.MULTILINE)


def commands() -> set[str]:
    own = set(cli.commands)
    return own | {str(command.name) for room in installed_rooms() for command in room.commands()}


def make_targets() -> dict[str, str]:
    return dict(re.findall(r"^([a-z-]+):.*?##\s*(.+)$", text_of("Makefile"), flags=re.MULTILINE))


# --- generated tables --------------------------------------------------------------------------------------


@pytest.mark.parametrize("document", PARTS)
def test_generated_parts_are_those_of_the_code(document: str) -> None:
    assert text_of(document) == written(document), "run: python -m tests.document"


def test_every_setting_has_one_row() -> None:
    rows = re.findall(r"^\| `TANPUHUI_(\w+)` \|", text_of("docs/settings.md"), flags=re.MULTILINE)
    assert [row.lower() for row in rows] == list(Settings.model_fields)


def test_every_event_has_its_section() -> None:
    installed_rooms()
    events = [event.type for event in ours(event_classes())]  # type: ignore[attr-defined]
    assert events
    assert [
        name for name in re.findall(r"^## (\S+)$", text_of("docs/events.md"), re.M) if "." in name
    ] == events


def test_every_error_has_one_row() -> None:
    rows = re.findall(r"^\| `(\w+)` \| \d{3} \|", text_of("docs/errors.md"), flags=re.MULTILINE)
    assert sorted(rows) == sorted({error.code for error in ours(all_errors())})  # type: ignore[attr-defined]


def test_every_table_of_a_room_is_listed_once() -> None:
    rows = re.findall(
        r"^\| \w+ \| `(\w+)` \| `[\w.]+` \|", text_of("docs/architecture.md"), flags=re.MULTILINE
    )
    assert sorted(rows) == sorted(table.__tablename__ for room in installed_rooms() for table in room.tables)


# --- names, paths, links -----------------------------------------------------------------------------------

_DOTTED = re.compile(r"(tanpuhui|activities|rewards)(\.\w+)+")
_FILE = re.compile(r"(?:[\w.-]+/)+[\w.-]*|[\w-]+\.(?:py|toml|md|txt)")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_names_of_code_exist(document: str) -> None:
    assert [name for name in quoted(document) if _DOTTED.fullmatch(name) and not resolves(name)] == []


def resolves(name: str) -> bool:
    """Whether a dotted name is a module, or leads from one to an attribute."""
    parts = name.split(".")
    for at in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:at]))
        except ModuleNotFoundError:
            continue
        for part in parts[at:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("tanpuhui.outbox.Relay.run_once", True),
        ("tanpuhui.outbox.Relay.run_twice", False),
        ("activities.nowhere.scan", False),
    ],
)
def test_a_name_that_is_gone_is_noticed(name: str, there: bool) -> None:
    assert resolves(name) is there


@pytest.mark.parametrize("document", DOCUMENTS)
def test_paths_and_named_tests_exist(document: str) -> None:
    assert list(missing_paths(document)) == []


def missing_paths(document: str) -> Iterator[str]:
    for token in quoted(document):
        path, _, test = token.partition("::")
        if not _FILE.fullmatch(path) or path.startswith(".") or path == "__init__.py":
            continue
        file = ROOT / path
        if not file.exists() or (test and f"def {test}(" not in file.read_text(encoding="utf-8")):
            yield token


@pytest.mark.parametrize("document", DOCUMENTS)
def test_relative_links_lead_somewhere(document: str) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", without_fences(text_of(document))):
        path, _, anchor = target.partition("#")
        file = (ROOT / document).parent / path if path else ROOT / document
        if "://" in target or Path(path).name in SCREENS:
            continue
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


def anchors(file: Path) -> set[str]:
    """The anchors of a Markdown file's headings."""
    titles = re.findall(r"^#+ (.+)$", without_fences(file.read_text(encoding="utf-8")), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_variable_named_is_a_setting(document: str) -> None:
    named = set(re.findall(r"TANPUHUI_([A-Z_]*[A-Z])\b", text_of(document)))
    assert {name.lower() for name in named} <= set(Settings.model_fields)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_named_exist(document: str) -> None:
    text = text_of(document)
    called = re.findall(r"(?:^|`|/)(tanpuhui|make) ([a-z][a-z-]+)", text, flags=re.MULTILINE)
    known = {"tanpuhui": commands(), "make": set(make_targets())}
    assert [f"{program} {name}" for program, name in called if name not in known[program]] == []


def test_decisions_are_numbered_and_linked() -> None:
    files = sorted(file.name for file in (ROOT / "docs" / "decisions").glob("*.md"))
    assert [int(name[:4]) for name in files] == list(range(1, len(files) + 1))
    index = text_of("docs/architecture.md")
    for name in files:
        title = text_of(f"docs/decisions/{name}").splitlines()[0].removeprefix("# ")
        assert title.startswith(name[:4])
        assert f"[{title}](decisions/{name})" in index


def test_what_is_vendored_is_named() -> None:
    described = [
        file
        for folder in ("platform", "activities", "rewards")
        for file in (ROOT / folder).rglob("VENDORED.md")
    ]
    assert described
    for file in described:
        assert f"(../{file.relative_to(ROOT)})" in text_of("docs/third-party.md")


# --- the readmes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("readme", READMES)
def test_the_readme_names_every_command_and_every_target(readme: str) -> None:
    text = text_of(readme)
    assert {name for name in commands() if f"`tanpuhui {name}" not in text} == set()
    assert {name for name in make_targets() if f"`make {name}`" not in text} == set()


def test_both_readmes_have_the_same_shape_and_the_same_commands() -> None:
    english, chinese = READMES
    assert headings(english) == headings(chinese)
    assert without_comments(fences(english)) == without_comments(fences(chinese))
    pattern = re.compile(r"(?:tanpuhui|make|python) .*")
    assert [q for q in quoted(english) if pattern.match(q)] == [
        q for q in quoted(chinese) if pattern.match(q)
    ]


def without_comments(blocks: list[str]) -> list[list[str]]:
    return [[line.split("  #")[0].rstrip() for line in block.splitlines()] for block in blocks]


@pytest.mark.parametrize("readme", READMES)
@pytest.mark.parametrize("screen", SCREENS)
def test_the_readme_shows_the_first_page_of_each_user(readme: str, screen: str) -> None:
    assert f"(docs/screens/{screen})" in text_of(readme)
    assert (ROOT / "docs" / "screens" / screen).read_bytes().startswith(b"\x89PNG"), "run: make screens"


# --- changelog, licence, words -----------------------------------------------------------------------------


def test_the_changelog_is_kept() -> None:
    version = tomllib.loads(text_of("pyproject.toml"))["project"]["version"]
    sections = re.findall(r"^## \[([^\]]+)\]", text_of("CHANGELOG.md"), flags=re.MULTILINE)
    assert sections
    assert sections[0] in {"Unreleased", version}
    kinds = set(re.findall(r"^### (.+)$", text_of("CHANGELOG.md"), flags=re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_licence_is_the_unmodified_text() -> None:
    assert hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest() == APACHE_2_0


_CLAIMS = re.compile(
    r"\b(?:fully )?compliant\b|\bcomplies with\b|符合[^。]*(?:办法|规定|标准)|合规", re.IGNORECASE
)
_MACHINE = re.compile(r"(?<![\w.])/(?:work|home|root|tmp)/")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_no_document_claims_compliance_or_names_a_machine(document: str) -> None:
    text = text_of(document)
    assert _CLAIMS.findall(text) == []
    assert _MACHINE.findall(text) == []
