"""The files of an evidence pack: drawn from its snapshot alone, the same bytes each time."""

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from io import BytesIO
from typing import Any
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from activities.campaign_report_papers import sections_pdf
from activities.evidence_numbers import MEASURED, TABLES
from activities.evidence_words import made, sections, title
from activities.period_report_papers import words_in
from tanpuhui.bureau.participation import PARTS
from tanpuhui.csvtext import write_sheet

MANIFEST = "MANIFEST.sha256"

#: What each file of a pack is.
KINDS = {
    "evidence.zh.pdf": "application/pdf",
    "evidence.en.pdf": "application/pdf",
    "evidence.csv": "text/csv",
    "evidence.json": "application/json",
    MANIFEST: "text/plain",
}

_EVER = (1980, 1, 1, 0, 0, 0)  # the earliest that a ZIP knows: it says nothing of when it was made


def pack_zip(snapshot: Mapping[str, Any]) -> bytes:
    """Every file of a pack, and a manifest as ``sha256sum -c`` reads it. Stored as they are: no other compressor makes other bytes."""
    files = {f"evidence.{language}.pdf": _pdf(snapshot, language) for language in ("zh", "en")}
    files["evidence.csv"] = write_sheet(_HEADER, _lines(snapshot))
    files["evidence.json"] = json.dumps(snapshot, ensure_ascii=False, sort_keys=True, indent=1).encode()
    lines = [f"{sha256(body).hexdigest()}  {name}\n" for name, body in files.items()]
    files[MANIFEST] = "".join(lines).encode()
    out = BytesIO()
    with ZipFile(out, "w", ZIP_STORED) as pack:
        for name, body in files.items():
            entry = ZipInfo(name, _EVER)
            entry.external_attr = 0o644 << 16
            entry.create_system = 3
            pack.writestr(entry, body)
    return out.getvalue()


def file_of(pack: bytes, name: str) -> bytes:
    """A file of a pack, one of `KINDS`."""
    with ZipFile(BytesIO(pack)) as files:
        return files.read(name)


def _pdf(snapshot: Mapping[str, Any], language: str) -> bytes:
    with words_in(language) as tongue:
        return sections_pdf(title(snapshot), made(snapshot), sections(snapshot), tongue)


_HEADER = ("section", "key", "name_zh", "name_en", "part", "withheld", "participants", *MEASURED, "value")


def _line(
    section: str, key: str, value: str | int | None = None, **cells: Any
) -> tuple[str | int | None, ...]:
    known = {"section": section, "key": key, "value": value, **cells}
    return tuple(known.get(name) for name in _HEADER)


def _lines(snapshot: Mapping[str, Any]) -> Iterator[tuple[str | int | None, ...]]:
    """One number or thing a line; an empty cell is withheld, of no factor, or has no meaning there."""
    for key in ("kind", "key", "name", "within", "district"):
        yield _line("scope", key, snapshot["scope"][key])
    for key in ("year", "made_at", "number", "format"):
        yield _line("pack", key, snapshot[key])
    yield _line("pack", "replaces", (snapshot["replaces"] or {}).get("id"))
    for table in TABLES:
        for row in snapshot["tables"][table]:
            if row["withheld"] != "fine":
                yield from (_line(table, row["key"], **cells) for cells in _parts(snapshot, table, row))
    yield from _things(snapshot)


def _things(snapshot: Mapping[str, Any]) -> Iterator[tuple[str | int | None, ...]]:
    for venue in snapshot["venues"]:
        yield _line("venue", venue["kind"], venue["name"])
    for one in snapshot["campaigns"]:
        yield _line("campaign", "/".join(one["days"]), one["title"])
    for one in snapshot["gatherings"]:
        yield _line("gathering", one["day"], one["title"], participants=one["came"])
    for one in snapshot.get("honours", ()):
        yield _line("honour", one["day"], one["title"], part=one["holder"])
    for row in snapshot["checked"]:
        part = "verified" if row["verified"] else "self_declared"
        ends = dict(zip(("low_permille", "high_permille"), row["interval"], strict=True))
        for key, number in {**{name: row[name] for name in ("judged", "wrong", "permille")}, **ends}.items():
            yield _line("checked", key, number, part=part)
    for row in snapshot["factors"]:
        yield _line("factor", row["key"], row["source"], name_zh=row["zh"], name_en=row["en"])


def _parts(snapshot: Mapping[str, Any], table: str, row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A line for each part of a row; people are told of the row, in a line of their own."""
    names = snapshot["kinds"].get(row["key"], {}) if table == "kind" else {}
    about = {"withheld": row["withheld"], "name_zh": names.get("zh"), "name_en": names.get("en")}
    yield {**about, "part": "people", "participants": row["participants"]}
    for part in PARTS:
        numbers = dict(row[part])
        for name in numbers:
            pollutant, _, unit = name.partition("_")
            if unit == "ug" and numbers.get(f"{pollutant}_known") == 0:
                numbers[name] = None  # no factor is not zero
        yield {**about, "part": part, **numbers}
