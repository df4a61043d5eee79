"""Keep the translations: ``python -m tests.translations`` extracts, updates both catalogues and compiles them.

Two catalogues, one for each direction. Our own texts are Chinese in the code, and ``en`` translates them. The
texts of the reference data (baselines, regions, notes of factors, sources of observances) are English in the
files, and ``zh`` translates those.
"""

import csv
import io
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).parent.parent
TRANSLATIONS = ROOT / "platform" / "tanpuhui" / "web" / "translations"
LANGUAGES = ("en", "zh")

_SOURCES = ("platform/tanpuhui", "activities", "rewards")
_METHODS = [("**.py", "python"), ("**/templates/**.html", "jinja2")]
_KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "N_": None, "NN_": (1, 1)}
_FACTORS = ROOT / "activities" / "reference" / "factors.csv"
_OBSERVANCES = ROOT / "activities" / "reference" / "observances.csv"
_ENGLISH = re.compile(r"^[ -~]+$|[A-Za-z]{4,}")
_DATA_COLUMNS = {_FACTORS: ("baseline", "region", "note"), _OBSERVANCES: ("source",)}


def wanted(language: str) -> Catalog:
    """The texts that the catalogue of `language` has to translate."""
    catalog = Catalog(locale=language)
    for file, text in _data_texts() if language == "zh" else _own_texts():
        catalog.add(text, locations=[(file, 0)])
    return catalog


def _own_texts() -> Iterator[tuple[str, str | tuple[str, ...]]]:
    for source in _SOURCES:
        found = extract_from_dir(ROOT / source, _METHODS, keywords=_KEYWORDS, options_map={})
        for file, _line, text, _comments, _context in sorted(found, key=lambda entry: (entry[0], entry[1])):
            first = text if isinstance(text, str) else text[0]
            if not first.isascii():
                yield f"{source}/{file}", text


def _data_texts() -> Iterator[tuple[str, str]]:
    for file, columns in _DATA_COLUMNS.items():
        with file.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                for column in columns:
                    if _ENGLISH.search(row[column]):
                        yield file.relative_to(ROOT).as_posix(), row[column]


def stored(language: str) -> Catalog:
    """The catalogue of `language` as it stands in the repository."""
    file = _file(language, "po")
    if not file.exists():
        return Catalog(locale=language)
    with file.open("rb") as lines:
        return read_po(lines, locale=language)


def updated(language: str) -> Catalog:
    """The stored catalogue with what is new added and what is gone left out."""
    fresh, old = wanted(language), stored(language)
    for message in fresh:
        known = old.get(message.id) if message.id else None
        if known:
            message.string = known.string
    return fresh


def po(catalog: Catalog) -> bytes:
    """The catalogue as text for translators, without anything that changes by itself."""
    out = io.BytesIO()
    write_po(out, catalog, omit_header=True, sort_by_file=True, include_lineno=False, width=110)
    header = f'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n"Language: {catalog.locale}\\n"\n'
    plural = f'"Plural-Forms: {catalog.plural_forms}\\n"\n\n'
    return (header + plural).encode() + out.getvalue()


def mo(catalog: Catalog) -> bytes:
    """The catalogue as the programme reads it."""
    out = io.BytesIO()
    with io.BytesIO(po(catalog)) as lines:
        readable = read_po(lines, locale=catalog.locale)
    readable.creation_date = readable.revision_date = datetime(2000, 1, 1, tzinfo=UTC)  # else: now
    write_mo(out, readable)
    return out.getvalue()


def content(compiled_catalogue: bytes) -> dict[str, str]:
    """What a compiled catalogue says, without its header, which also names the version of Babel."""
    with io.BytesIO(compiled_catalogue) as lines:
        return {str(message.id): str(message.string) for message in read_mo(lines) if message.id}


def untranslated(catalog: Catalog) -> list[str]:
    """The texts that lack a translation, or whose translation is marked as doubtful."""
    return [
        str(message.id)
        for message in catalog
        if message.id and (message.fuzzy or not all(strings(message.string)))
    ]


def strings(string: str | tuple[str, ...] | list[str] | None) -> list[str]:
    """The translations of one text: one, or one for each plural form; an empty one where there is none."""
    return [string or ""] if isinstance(string, str) or string is None else list(string) or [""]


def _file(language: str, suffix: str) -> Path:
    return TRANSLATIONS / language / "LC_MESSAGES" / f"messages.{suffix}"


def compiled(language: str) -> bytes:
    """The compiled catalogue in the repository."""
    return _file(language, "mo").read_bytes()


def main() -> int:
    """Update and compile; the number of texts that still want a translation is the exit status (at most 1)."""
    missing: list[str] = []
    for language in LANGUAGES:
        catalog = updated(language)
        _file(language, "po").parent.mkdir(parents=True, exist_ok=True)
        _file(language, "po").write_bytes(po(catalog))
        _file(language, "mo").write_bytes(mo(catalog))
        missing += [f"{language}: {text}" for text in untranslated(catalog)]
    print("\n".join(missing) or "every text is translated")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
