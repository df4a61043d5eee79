"""Every deed that the code notes has words for the audit trail, and no words are left of deeds that are gone."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tanpuhui.rooms import installed_rooms

ROOT = Path(__file__).parents[2]
ROOMS = ("platform/tanpuhui", "activities", "rewards")
NOTERS = {"note", "note_by", "saw", "_note", "_settle"}
DEED = re.compile(r"[a-z_]+(\.[a-z_]+)+")
ANYTHING = "[a-z_.]+"


def patterns(node: ast.expr, constants: dict[str, ast.expr]) -> Iterator[str]:
    """The deeds that an expression may be, as regular expressions."""
    match node:
        case ast.Constant(value=str(text)):
            yield re.escape(text)
        case ast.JoinedStr(values=parts):
            yield "".join(
                re.escape(str(part.value)) if isinstance(part, ast.Constant) else ANYTHING for part in parts
            )
        case ast.IfExp(body=one, orelse=other):
            yield from patterns(one, constants)
            yield from patterns(other, constants)
        case ast.Name(id=name) if name in constants:
            yield from patterns(constants[name], constants)


def noted(file: Path) -> Iterator[str]:
    """The deeds that a file notes, as regular expressions; of the rest of a call's words none looks like one."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    constants = {
        node.targets[0].id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = [(getattr(call.func, "attr", getattr(call.func, "id", "")), call) for call in calls]
    found = [
        pattern
        for name, call in names
        if name in NOTERS
        for part in [*call.args, *(word.value for word in call.keywords if word.arg == "deed")]
        if name != "saw"  # its deed follows from its subject
        for pattern in patterns(part, constants)
    ]
    prefixes = [pattern.partition(ANYTHING)[0] for pattern in found if pattern.endswith(ANYTHING)]
    for pattern in found:
        if "\\." in pattern:
            yield pattern
        elif re.fullmatch(r"[a-z_]+", pattern) and prefixes:  # what a wrapper puts behind its own prefix
            yield prefixes[0] + pattern


def test_what_somebody_was_shown_has_words() -> None:
    """The deed of `audit.saw` is made of the subject, which is written where it is called or just before."""
    deeds = {key for room in installed_rooms() for key in room.trail}
    shown = set()
    for file in (file for room in ROOMS for file in sorted((ROOT / room).rglob("*.py"))):
        text = file.read_text(encoding="utf-8")
        if "saw(" in text or "keep_look(" in text:
            shown |= set(re.findall(r'(?:saw|keep_look)\([^)]*?f"([a-z_]+):|subject = f"([a-z_]+):', text))
    kinds = {one or other for one, other in shown}
    assert len(kinds) >= 8
    assert {f"{kind}.seen" for kind in kinds} - deeds == set(), "a room's `trail` has no words for these"
    assert kinds - deeds == set(), "a room's `trail` has no words for these subjects"


def test_every_deed_has_words_and_every_word_a_deed() -> None:
    words = {key for room in installed_rooms() for key in room.trail}
    deeds, kinds = {key for key in words if "." in key}, {key for key in words if "." not in key}
    assert {deed.partition(".")[0] for deed in deeds} - kinds <= {"photo", "self_reports"}
    found = {
        pattern
        for room in ROOMS
        for file in sorted((ROOT / room).rglob("*.py"))
        if file.name not in {"audit.py", "trail_words.py"}
        for pattern in noted(file)
    }
    assert len(found) > 60
    missing = [pattern for pattern in sorted(found) if not any(re.fullmatch(pattern, deed) for deed in deeds)]
    assert missing == [], "a room's `trail` has no words for these deeds"
    shown = {"photo.seen", *(f"{kind}.seen" for kind in kinds)}  # audit.saw makes them of the subject
    gone = [deed for deed in deeds - shown if not any(re.fullmatch(pattern, deed) for pattern in found)]
    assert sorted(gone) == [], "nothing notes these deeds"
