"""Reference files for tests: a folder with a copy of those that come with the platform, to be spoilt."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from activities.catalogue import PACKAGE_DATA
from rewards.rules import LIFETIME_FILE
from tanpuhui.divisions import DIVISIONS_FILE

Change = Callable[[list[dict[str, str]]], Any]


def reference_copy(place: Path) -> Path:
    """A new folder in `place` with the packages' reference files."""
    folder = place / "reference"
    shutil.copytree(PACKAGE_DATA, folder)
    assert DIVISIONS_FILE.home is not None
    shutil.copy(DIVISIONS_FILE.home / "divisions_310106.csv", folder)
    assert LIFETIME_FILE.home is not None
    shutil.copy(LIFETIME_FILE.home / "points.csv", folder)
    return folder


def edit(file: Path, change: Change) -> None:
    """Rewrite a CSV file after `change` was made to its rows; columns are those of all rows."""
    with file.open(encoding="utf-8", newline="") as source:
        rows = list(csv.DictReader(source))
    change(rows)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with file.open("w", encoding="utf-8", newline="") as target:
        writer = csv.DictWriter(target, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def setting(index: int, **cells: str) -> Change:
    """A change of some cells of one row, counted from 0."""
    return lambda rows: rows[index].update(cells)
