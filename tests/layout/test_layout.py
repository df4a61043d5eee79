"""The layout of the house: what each file may be called, hold and import; and that the guards can fail."""

import ast
import os
import platform as python_platform
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from sqlmodel import SQLModel

import activities
import rewards
import tanpuhui
from tanpuhui.rooms import installed_rooms

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "tanpuhui": ROOT / "platform" / "tanpuhui",
    "activities": ROOT / "activities",
    "rewards": ROOT / "rewards",
}
MODULES = sorted(path for folder in PACKAGES.values() for path in folder.rglob("*.py"))
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_platform_is_a_shelf_and_no_package() -> None:
    assert not (ROOT / "platform" / "__init__.py").exists()
    assert [path.name for path in (ROOT / "platform").iterdir() if path.name != "__pycache__"] == ["tanpuhui"]
    assert not Path(python_platform.__file__).is_relative_to(ROOT)


@pytest.mark.parametrize(
    "arguments",
    [
        ["-c", "import platform; print(platform.system()); import sqlalchemy, tanpuhui, activities, rewards"],
        ["-m", "pytest", "-q", "--collect-only", "-p", "no:randomly", "tests/unit/test_ids.py"],
    ],
    ids=["python", "pytest"],
)
def test_python_starts_from_the_root_of_the_repository(arguments: list[str]) -> None:
    """With an `__init__.py` on the shelf the current folder would hide Python's own `platform`."""
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_each_package_has_one_importable_name() -> None:
    for package, folder in PACKAGES.items():
        found = {"tanpuhui": tanpuhui, "activities": activities, "rewards": rewards}[package]
        assert found.__file__
        assert Path(found.__file__).resolve() == (folder / "__init__.py").resolve()


def test_every_folder_with_modules_is_a_package() -> None:
    for folder in {path.parent for path in MODULES}:
        assert (folder / "__init__.py").is_file(), folder


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_named_for_what_it_holds(path: Path) -> None:
    name = path.parent.name if path.name == "__init__.py" else path.stem
    assert name not in sys.stdlib_module_names
    assert name not in {"utils", "util", "helpers", "helper", "common", "misc", "models", "base", "core"}


def imports(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def test_nothing_imports_the_composition_root() -> None:
    others = [*MODULES, *(ROOT / "migrations").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
    assert [path for path in others if "wsgi" in imports(path)] == []
    assert "tanpuhui.rooms" in imports(ROOT / "wsgi.py")


def test_modules_with_tables_keep_their_annotations() -> None:
    """SQLModel reads annotations when a class is made; as strings they would name nothing."""
    with_tables = [path for path in MODULES if "table=True" in path.read_text(encoding="utf-8")]
    assert len(with_tables) > 10
    for path in with_tables:
        assert "__future__" not in imports(path), path


def test_every_table_is_brought_by_one_room() -> None:
    brought = [table.__tablename__ for room in installed_rooms() for table in room.tables]
    assert sorted(map(str, brought)) == sorted(SQLModel.metadata.tables)


# --- data that travels with the packages -------------------------------------------------------------------


def test_package_data_is_there_and_not_ignored() -> None:
    files = [
        "platform/tanpuhui/texts/consent-2026-11.zh.md",
        "platform/tanpuhui/texts/consent-2026-11.en.md",
        "platform/tanpuhui/fonts/NotoSansSC-Regular.ttf",
        "platform/tanpuhui/fonts/NotoSansSC-Bold.ttf",
        "platform/tanpuhui/fonts/OFL.txt",
        "platform/tanpuhui/data/divisions_310106.csv",
        "platform/tanpuhui/web/templates/layout.html",
        "platform/tanpuhui/web/static/app.css",
        "platform/tanpuhui/web/static/icons/app-192.png",
        "platform/tanpuhui/web/static/vendor/qr/decode.js",
        "platform/tanpuhui/web/static/vendor/echarts/echarts.common.min.js",
        "platform/tanpuhui/bureau/tiles_310106.csv",
        "platform/tanpuhui/web/translations/en/LC_MESSAGES/messages.mo",
        *(f"activities/reference/{name}.csv" for name in ("catalogue", "evidence", "factors", "observances")),
        "activities/templates/activities/scan.html",
        "rewards/templates/rewards/statement.html",
        "migrations/env.py",
        "migrations/script.py.mako",
    ]
    missing = [name for name in files if not (ROOT / name).is_file() or not (ROOT / name).stat().st_size]
    assert missing == []
    assert set(files) <= {path.relative_to(ROOT).as_posix() for path in own_files()}
    wheel = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["packages"] == ["platform/tanpuhui", "activities", "rewards"]
    assert wheel["force-include"] == {"migrations": "tanpuhui/_migrations"}


def own_files() -> list[Path]:
    """What is in the repository, or would be: everything that is not ignored."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode == 0 and (ROOT / ".git").exists():
        return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]
    ignored = {".venv", "var", "dist", "build", "node_modules"}
    return [
        path
        for path in ROOT.rglob("*")
        if path.is_file()
        and not any(part in ignored or part.endswith("cache") for part in path.relative_to(ROOT).parts)
    ]


#: Written so that this file does not hold what it looks for.
_UNWANTED = re.compile(
    "|".join(
        (
            "py" + r"pi\.(?:org|python)",
            "files.python" + r"hosted\.org",
            "registry" + r"\.(?:npmjs|yarnpkg)",
            "mirrors" + r"\.(?:aliyun|tuna|ustc|cloud|163)",
            r"--(?:extra-)?index-url[ =]+http",
            r"(?<![\w.])/" + r"(?:work|root|home)/[\w.]",
            r"\b[A-Z]:" + r"\\\\Users",
        )
    )
)


def test_no_file_names_a_registry_or_a_path_of_some_machine() -> None:
    found = []
    for path in own_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in _UNWANTED.finditer(text)]
    assert found == []
    assert _UNWANTED.search("https://" + "py" + "pi.org/simple")
    assert _UNWANTED.search("see /" + "home/me/notes")


# --- import contracts --------------------------------------------------------------------------------------

#: contract -> an import that breaks it: into which module, of what
BREAKS = {
    "floor": ("platform/tanpuhui/clock.py", "activities.events"),
    "activities": ("activities/limits.py", "rewards.ledger"),
    "rewards": ("rewards/ledger.py", "activities.limits"),
    "domain": ("activities/limits.py", "flask"),
    "floor-domain": ("platform/tanpuhui/events.py", "flask"),
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python files of the packages, somewhere they may be spoilt."""
    folder = tmp_path_factory.mktemp("contracts")
    for package in PACKAGES.values():
        target = folder / package.relative_to(ROOT)
        shutil.copytree(
            package,
            target,
            ignore=lambda at, names: {n for n in names if Path(at, n).is_file() and not n.endswith(".py")},
        )
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def lint_imports(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join((str(folder / "platform"), str(folder)))
    program = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()"]
    return subprocess.run(
        [*program, "--no-cache", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_contracts_are_kept_and_each_is_tried_below(copy: Path) -> None:
    done = lint_imports(copy)
    assert done.returncode == 0, done.stdout
    contracts = PYPROJECT["tool"]["importlinter"]["contracts"]
    assert f"Contracts: {len(contracts)} kept, 0 broken" in done.stdout
    assert {contract["id"] for contract in contracts} == set(BREAKS)


@pytest.mark.parametrize("contract", BREAKS)
def test_a_contract_fails_when_it_is_broken(copy: Path, contract: str) -> None:
    module, forbidden = BREAKS[contract]
    file = copy / module
    before = file.read_text(encoding="utf-8")
    try:
        file.write_text(f"{before}\nimport {forbidden}\n", encoding="utf-8")
        done = lint_imports(copy, "--contract", contract)
    finally:
        file.write_text(before, encoding="utf-8")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "0 kept, 1 broken" in done.stdout
    assert forbidden.split(".")[0] in done.stdout
