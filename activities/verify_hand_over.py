"""Check a hand-over file of Tanpuhui. Needs Python 3.11 or newer and nothing else; asks no server.

    python verify_hand_over.py FILE [FINGERPRINT]

FILE holds the estimated reductions of one methodology and period, as a district reported them to the city; FINGERPRINT is what the
district says that it handed over. Every line is read, every reduction computed again from quantity and factor, and everything added
up again. Exit 0: all of it holds; 1: it does not, and the first difference is told with its line. The format is described in
docs/hand-over.md; the platform itself writes with the functions of this file.
"""

import heapq
import json
import re
import sys
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from hashlib import sha256
from tempfile import TemporaryFile
from typing import IO, Any

FORMAT = "tanpuhui-hand-over-1"

MANIFEST = "manifest.json"
PARTS = ("sites.jsonl", "factors.jsonl", "records.jsonl")

POLLUTANTS = ("nox", "pm25", "voc", "so2", "co")

#: What is computed of a record, from what of its factor, and by what it is divided: thousandths of a unit times nanograms are
#: milligrams of CO2e or micrograms of a pollutant.
COMPUTED = {
    "co2e_mg": ("co2e_low_ng", 1_000_000_000),
    "co2e_mid_mg": ("co2e_mid_ng", 1_000_000_000),
    "co2e_high_mg": ("co2e_high_ng", 1_000_000_000),
    **{f"{name}_ug": (f"{name}_ng", 1_000_000) for name in POLLUTANTS},
}
CO2E = ("co2e_mg", "co2e_mid_mg", "co2e_high_mg")
_MICROGRAMS = tuple(f"{name}_ug" for name in POLLUTANTS)

_LONGEST_LINE = 100_000

Row = Mapping[str, Any]
Check = Callable[[Any], bool]


class Broken(Exception):
    """Something does not hold; the text says where and what."""


# --- the fields --------------------------------------------------------------------------------------------


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_note(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return type(value) is int


def _is_flag(value: Any) -> bool:
    return type(value) is bool


def _at_least(smallest: int) -> Check:
    return lambda value: type(value) is int and value >= smallest


def _like(pattern: str) -> Check:
    found = re.compile(pattern)
    return lambda value: isinstance(value, str) and found.fullmatch(value) is not None


def _one_of(*values: str) -> Check:
    return lambda value: value in values and isinstance(value, str)


def _or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _is_day(value: Any) -> bool:
    try:
        return bool(date.fromisoformat(value).isoformat() == value)
    except (TypeError, ValueError):
        return False


def _is_moment(value: Any) -> bool:
    if not isinstance(value, str) or not value.endswith("Z"):
        return False
    try:
        return datetime.fromisoformat(value).utcoffset() == timedelta()
    except ValueError:
        return False


_is_id = _like(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_is_code = _like(r"[a-z][a-z0-9_]*")
_is_hash = _like(r"[0-9a-f]{64}")
_is_division = _like(r"[0-9]{6,12}")

SITE: dict[str, Check] = {
    "site": _is_id,
    "source_register": _or_none(_is_text),
    "name": _is_text,
    "kind": _is_code,
    "division": _is_division,
    "latitude_e6": _or_none(_is_number),
    "longitude_e6": _or_none(_is_number),
    "datum": _or_none(_is_text),
}

FACTOR: dict[str, Check] = {
    "factor_version": _like(r"[a-z][a-z0-9_]*@[1-9][0-9]*"),
    "kind": _is_code,
    "kind_name": _is_text,
    "unit": _is_text,
    "methodology": _is_code,
    "scenario_kind": _is_text,
    **dict.fromkeys(("co2e_low_ng", "co2e_mid_ng", "co2e_high_ng"), _at_least(0)),
    **dict.fromkeys((f"{name}_ng" for name in POLLUTANTS), _or_none(_is_number)),
    "baseline": _is_text,
    "source": _is_text,
    "source_year": _is_number,
    "region": _is_text,
    "confidence": _one_of("A", "B", "C", "D"),
    "valid_from": _or_none(_is_day),
    "derivation": _is_note,
    "note": _is_note,
}

RECORD: dict[str, Check] = {
    "record": _is_id,
    "actor": _like(r"[0-9a-f]{32}"),
    "day": _is_day,
    "kind": _is_code,
    "ordinal": _at_least(1),
    "quantity_milli": _at_least(1),
    "unit": _is_text,
    "occurred_at": _is_moment,
    "recorded_at": _is_moment,
    "evidence": _is_code,
    "code": _at_least(0),
    "by_helper": _is_flag,
    "site": _is_id,
    "division": _is_division,
    "factor_version": FACTOR["factor_version"],
    "calculation": _is_text,
    **dict.fromkeys(COMPUTED, _or_none(_is_number)),
}

METHODOLOGY: dict[str, Check] = {
    "code": _is_code,
    "title": _is_text,
    "form": _is_text,
    "scenario_kind": _is_text,
    "filing_status": _is_text,
    "city_reference": _is_note,
    "sources": _is_text,
}

DECLARATION: dict[str, Check] = {
    "id": _is_id,
    "first": _is_day,
    "last": _is_day,
    "state": _one_of("reported", "confirmed", "used", "withdrawn"),
    "reported_at": _is_moment,
    "confirmed_at": _or_none(_is_moment),
    "city_reference": _or_none(_is_text),
    "confirmed_mg": _or_none(_at_least(0)),
    "used_at": _or_none(_is_moment),
    "used_for": _or_none(_is_text),
    "withdrawn_at": _or_none(_is_moment),
    "withdrawn_because": _or_none(_is_text),
}

#: A tier of evidence, with what its records add up to: verified and self-declared never stand in one sum unsaid.
TIER: dict[str, Check] = {
    "code": _is_code,
    "name": _is_text,
    "verified": _is_flag,
    "records": _at_least(0),
    **dict.fromkeys(CO2E, _at_least(0)),
}

COUNTS: dict[str, Check] = dict.fromkeys(
    ("records", "actors", "sites", "sites_in_source_register", "factors"), _at_least(0)
)
KNOWN: dict[str, Check] = dict.fromkeys(POLLUTANTS, _at_least(0))
PART: dict[str, Check] = {"name": _is_text, "lines": _at_least(0), "bytes": _at_least(0), "sha256": _is_hash}
DISTRICT: dict[str, Check] = {"code": _like(r"[0-9]{6}"), "name": _is_text}


def line_of(row: Row) -> bytes:
    """A row as it is written: its fields in their order, UTF-8, without blanks, one a line."""
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def computed(quantity_milli: int, factor: Row) -> dict[str, int | None]:
    """What a quantity saves by a factor, each rounded down once (also below zero); None where no factor is known."""
    return {
        name: None if factor[of] is None else quantity_milli * factor[of] // divisor
        for name, (of, divisor) in COMPUTED.items()
    }


def calculation(quantity_milli: int, factor: Row) -> str:
    """The sum of the low value in one line, as it stands with each record."""
    value = quantity_milli * factor["co2e_low_ng"] // 1_000_000_000
    return f"{quantity_milli} x {factor['co2e_low_ng']} // 1000000000 = {value}"


# --- adding up ---------------------------------------------------------------------------------------------


#: So many lines are sorted in memory, and so many files of sorted lines stand beside each other.
_RUN, _RUNS = 50_000, 50


class Sorted:
    """Lines in their order, in temporary files: however many there are, the memory stays the same."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._runs: list[IO[str]] = []

    def add(self, line: str) -> None:
        """Take a line in; it ends with a line break."""
        self._lines.append(line)
        if len(self._lines) == _RUN:
            self._runs.append(self._file(sorted(self._lines)))
            self._lines.clear()
        if len(self._runs) == _RUNS:
            self._runs = [self._file(self)]

    def __iter__(self) -> Iterator[str]:
        """Every line in its order."""
        for run in self._runs:
            run.seek(0)
        return heapq.merge(*self._runs, sorted(self._lines))

    @staticmethod
    def _file(lines: Iterable[str]) -> IO[str]:
        file = TemporaryFile("w+", encoding="ascii")  # noqa: SIM115 - closed with the last who reads it
        file.writelines(lines)
        return file


class Totals:
    """What the records of a file add up to; the manifest says the same."""

    def __init__(self) -> None:
        self._pollutants: Counter[str] = Counter()
        self._known: Counter[str] = Counter()
        self._tiers: dict[str, Counter[str]] = {}
        self._deeds = Sorted()
        self.sites: set[str] = set()
        self.factors: set[str] = set()
        self.records = 0

    def add(self, record: Row) -> None:
        """Count one record in."""
        self.records += 1
        deed = f"{record['actor']} {record['day']} {record['kind']} {record['ordinal']}"
        self._deeds.add(f"{deed} {self.records:012}\n")
        self.sites.add(record["site"])
        self.factors.add(record["factor_version"])
        tier = self._tiers.get(record["evidence"])
        if tier is None:
            tier = self._tiers[record["evidence"]] = Counter()
        tier["records"] += 1
        for name in CO2E:
            tier[name] += record[name]
        for name in _MICROGRAMS:
            amount = record[name]
            if amount is not None:
                self._pollutants[name] += amount
                self._known[name] += 1

    def sums(self) -> dict[str, int | None]:
        """Milligrams of CO2e, micrograms of pollutants; None where no record has a factor for one."""
        co2e = {name: sum(tier[name] for tier in self._tiers.values()) for name in CO2E}
        return co2e | {name: self._pollutants[name] if self._known[name] else None for name in _MICROGRAMS}

    def known(self) -> dict[str, int]:
        """How many records have a factor for each pollutant."""
        return {name: self._known[f"{name}_ug"] for name in POLLUTANTS}

    def actors(self) -> tuple[int, int | None]:
        """How many actors there are, and the first line that has actor, day, kind and ordinal of an earlier one, if any does."""
        actors, twice, actor, before = 0, None, "", ""
        for line in self._deeds:
            deed, _, number = line.rpartition(" ")
            if deed == before:
                twice = min(twice or int(number), int(number))
            elif deed[:32] != actor:
                actors, actor = actors + 1, deed[:32]
            before = deed
        return actors, twice

    def counts(self, actors: int, sites_in_source_register: int) -> dict[str, int]:
        """How many there are of each thing."""
        return {
            "records": self.records,
            "actors": actors,
            "sites": len(self.sites),
            "sites_in_source_register": sites_in_source_register,
            "factors": len(self.factors),
        }

    def tiers(self) -> dict[str, dict[str, int]]:
        """Records and milligrams of CO2e by tier of evidence."""
        return {
            code: {name: tier[name] for name in ("records", *CO2E)}
            for code, tier in sorted(self._tiers.items())
        }


# --- checking ----------------------------------------------------------------------------------------------


def verify(path: str, fingerprint: str = "") -> str:
    """Check a hand-over file, and that it is the one with the `fingerprint`; what was found. Raises Broken."""
    with zipfile.ZipFile(path) as file:
        names = file.namelist()
        if sorted(names) != sorted((*PARTS, MANIFEST)):
            raise Broken(f"the file holds {names} instead of {[*PARTS, MANIFEST]}")
        raw = file.read(MANIFEST)
        found = sha256(raw).hexdigest()
        if fingerprint and fingerprint.lower() != found:
            raise Broken(f"the fingerprint is {found} and not the one that was told")
        manifest = _manifest(raw)
        return f"{_parts(file, manifest)}; fingerprint {found}"


def _manifest(raw: bytes) -> Row:
    manifest = _object(raw, MANIFEST)
    if manifest.get("format") != FORMAT:
        raise Broken(f"{MANIFEST}: the format is {manifest.get('format')!r} and not {FORMAT}")
    wanted: dict[str, Any] = {
        "district": DISTRICT,
        "methodology": METHODOLOGY,
        "declaration": DECLARATION,
        "counts": COUNTS,
        "sums": dict.fromkeys(COMPUTED, _or_none(_is_number)),
        "known": KNOWN,
    }
    if list(manifest) != ["format", *wanted, "evidence", "parts"]:
        raise Broken(f"{MANIFEST}: its fields are {list(manifest)}")
    for name, fields in wanted.items():
        _fields(manifest[name], fields, f"{MANIFEST}: {name}")
    for name, fields in (("evidence", TIER), ("parts", PART)):
        if not isinstance(manifest[name], list):
            raise Broken(f"{MANIFEST}: {name} is no list")
        for at, one in enumerate(manifest[name], start=1):
            _fields(one, fields, f"{MANIFEST}: {name} {at}")
    if [part["name"] for part in manifest["parts"]] != list(PARTS):
        raise Broken(f"{MANIFEST}: the parts are not {', '.join(PARTS)}")
    _steps(manifest["declaration"], manifest["sums"]["co2e_mg"])
    return manifest


def _steps(declaration: Row, reported_mg: int) -> None:
    """That a declaration has come where it says, and no further."""
    where = f"{MANIFEST}: declaration"
    if declaration["first"] > declaration["last"]:
        raise Broken(f"{where}: ends before it begins")
    confirmed = declaration["state"] in {"confirmed", "used"}
    for told, names in (
        (confirmed, ("confirmed_at", "city_reference", "confirmed_mg")),
        (declaration["state"] == "used", ("used_at", "used_for")),
        (declaration["state"] == "withdrawn", ("withdrawn_at", "withdrawn_because")),
    ):
        for name in names:
            if (declaration[name] is not None) is not told:
                raise Broken(f"{where}: {name} is {declaration[name]!r} though it is {declaration['state']}")
    if confirmed and declaration["confirmed_mg"] > reported_mg:
        raise Broken(
            f"{where}: confirmed_mg is {declaration['confirmed_mg']}, more than the {reported_mg} reported"
        )
    moments = [declaration[name] for name in ("reported_at", "confirmed_at", "used_at", "withdrawn_at")]
    reached = [datetime.fromisoformat(moment) for moment in moments if moment]
    if reached != sorted(reached):
        raise Broken(f"{where}: its steps are out of order")


def _parts(file: zipfile.ZipFile, manifest: Row) -> str:
    declaration, totals = manifest["declaration"], Totals()
    sites = {row["site"]: row for _, row in _rows(file, manifest, 0, SITE, "site")}
    factors: dict[str, Row] = {}
    for where, factor in _rows(file, manifest, 1, FACTOR, "factor_version"):
        _check_factor(where, factor, manifest["methodology"])
        factors[factor["factor_version"]] = factor
    tiers = {tier["code"]: tier for tier in manifest["evidence"]}
    for where, record in _rows(file, manifest, 2, RECORD, "record"):
        for name, known in (("site", sites), ("factor_version", factors), ("evidence", tiers)):
            if record[name] not in known:
                raise Broken(f"{where}: {name} {record[name]} is nowhere in the file")
        _check_record(where, record, factors[record["factor_version"]], declaration)
        totals.add(record)
    actors, twice = totals.actors()
    if twice:
        raise Broken(f"{PARTS[2]}, line {twice}: the same actor, day, kind and ordinal as an earlier line")
    _compare(manifest, totals, actors, sites, factors)
    low = totals.sums()["co2e_mg"]
    return (
        f"{totals.records} records, {len(sites)} sites, {len(factors)} factors, {low} mg of CO2e (low value)"
    )


def _check_factor(where: str, factor: Row, methodology: Row) -> None:
    if factor["factor_version"].partition("@")[0] != factor["kind"]:
        raise Broken(f"{where}: {factor['factor_version']} is no factor of {factor['kind']}")
    if factor["methodology"] != methodology["code"]:
        raise Broken(f"{where}: follows {factor['methodology']} and not {methodology['code']}")
    if not factor["co2e_low_ng"] <= factor["co2e_mid_ng"] <= factor["co2e_high_ng"]:
        raise Broken(f"{where}: low, mid and high value are out of order")


def _check_record(where: str, record: Row, factor: Row, declaration: Row) -> None:
    for name in ("kind", "unit"):
        if record[name] != factor[name]:
            raise Broken(f"{where}: {name} is {record[name]} and its factor is for {factor[name]}")
    if not declaration["first"] <= record["day"] <= declaration["last"]:
        raise Broken(f"{where}: {record['day']} is not within the period")
    occurred = datetime.fromisoformat(record["occurred_at"])
    if (occurred + timedelta(hours=8)).date().isoformat() != record["day"]:
        raise Broken(f"{where}: {record['occurred_at']} is not on {record['day']} (UTC+8)")
    if occurred > datetime.fromisoformat(record["recorded_at"]):
        raise Broken(f"{where}: was recorded before it occurred")
    if factor["valid_from"] and record["day"] < factor["valid_from"]:
        raise Broken(f"{where}: is earlier than its factor is valid")
    for name, value in computed(record["quantity_milli"], factor).items():
        if record[name] != value:
            raise Broken(f"{where}: {name} is {record[name]}, computed again it is {value}")
    if record["calculation"] != calculation(record["quantity_milli"], factor):
        raise Broken(f"{where}: the calculation is not that of quantity and factor")


def _compare(manifest: Row, totals: Totals, actors: int, sites: Row, factors: Row) -> None:
    """That the manifest says what the parts add up to."""
    registered = sum(site["source_register"] is not None for site in sites.values())
    tiers = {tier["code"]: {name: tier[name] for name in ("records", *CO2E)} for tier in manifest["evidence"]}
    for name, said, is_so in (
        ("counts", manifest["counts"], totals.counts(actors, registered)),
        ("sums", manifest["sums"], totals.sums()),
        ("known", manifest["known"], totals.known()),
        ("evidence", tiers, totals.tiers()),
    ):
        if said != is_so:
            different = [key for key in {**said, **is_so} if said.get(key) != is_so.get(key)]
            key = different[0]
            raise Broken(f"{MANIFEST}: {name}: {key} is {said.get(key)}, added up again {is_so.get(key)}")
    for what, listed, used in (("site", sites, totals.sites), ("factor", factors, totals.factors)):
        if unused := sorted(set(listed) - used):
            raise Broken(f"{what} {unused[0]} has no record")


# --- reading -----------------------------------------------------------------------------------------------


def _rows(
    file: zipfile.ZipFile, manifest: Row, number: int, fields: Mapping[str, Check], key: str
) -> Iterator[tuple[str, Row]]:
    """The rows of a part, each with where it stands, in the order of their `key`; then its size and hash. Raises Broken."""
    name, said = PARTS[number], manifest["parts"][number]
    digest, size, lines, before = sha256(), 0, 0, ""
    with file.open(name) as part:
        while raw := part.readline(_LONGEST_LINE):
            lines += 1
            where = f"{name}, line {lines}"
            digest.update(raw)
            size += len(raw)
            row = _object(raw, where)
            _fields(row, fields, where)
            if line_of(row) != raw:
                raise Broken(f"{where}: is not written as the format says")
            if row[key] <= before:
                problem = "is there twice" if row[key] == before else "is out of order"
                raise Broken(f"{where}: {key} {row[key]} {problem}")
            before = row[key]
            yield where, row
    for what, is_so in (("lines", lines), ("bytes", size), ("sha256", digest.hexdigest())):
        if said[what] != is_so:
            raise Broken(f"{name}: {what} is {is_so}, the manifest says {said[what]}")


def _object(raw: bytes, where: str) -> Row:
    try:
        found = json.loads(raw)
    except ValueError:
        raise Broken(f"{where}: cannot be read") from None
    if not isinstance(found, dict):
        raise Broken(f"{where}: is no object")
    return found


def _fields(row: Any, fields: Mapping[str, Check], where: str) -> None:
    if not isinstance(row, dict) or list(row) != list(fields):
        given = list(row) if isinstance(row, dict) else row
        raise Broken(f"{where}: its fields are {given} instead of {list(fields)}")
    for name, check in fields.items():
        if not check(row[name]):
            raise Broken(f"{where}: {name} is {row[name]!r}")


def main(arguments: Sequence[str]) -> int:
    """Check the file that `arguments` name; 0 if all holds, 1 if not, 2 if they name none."""
    if len(arguments) not in {1, 2}:
        sys.stdout.write(f"{__doc__}\n")
        return 2
    try:
        found = verify(*arguments)
    except (Broken, OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        wrong = error if isinstance(error, Broken) else f"unreadable ({error!r})"
        sys.stdout.write(f"REFUSED: {wrong}\n")
        return 1
    sys.stdout.write(f"All of it holds: {found}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
