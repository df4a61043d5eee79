"""The CSV of factors: what `data/factors.csv` holds, read for publication or for proposals, and written."""

from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import SQLModel

from activities.catalogue import PACKAGE_DATA, ActionKind
from activities.quantify.calculation import decimal_text
from activities.quantify.factors import (
    POLLUTANTS,
    Confidence,
    FactorValues,
    FactorVersion,
    all_versions,
    uncancelled,
    versions_by_kind,
)
from activities.quantify.forms import Form, check_derivation, read_derivation, write_derivation
from activities.quantify.methodologies import METHODOLOGIES_FILE, ScenarioKind
from activities.quantify.sheet_plan import KEPT, Plan, plan_for
from activities.quantify.units import insist_on_one_ton
from tanpuhui import cells, csvtext
from tanpuhui.csvtext import Problem
from tanpuhui.reference import Column, LoadCount, Reading, ReferenceFile, Row


def _grams(name: str) -> Column:
    return Column(f"co2e_g_{name}", cells.scaled(9, largest=9_000_000))


def _milligrams(pollutant: str) -> Column:
    return Column(f"{pollutant}_mg", cells.optional(cells.scaled(6, largest=9_000_000, negative=True)))


def _plans(connection: Connection, reading: Reading) -> Iterator[tuple[list[FactorVersion], Plan]]:
    """A plan for each kind in the file, over the rows whose kind and validity can be read."""
    kinds: dict[str, list[Row]] = {}
    for row in _with_methodology(connection, reading):
        if {"action_code", "valid_from", "valid_to"} <= row.values.keys():
            kinds.setdefault(row.values["action_code"], []).append(row)
    published = versions_by_kind(connection)
    for kind, rows in kinds.items():
        versions = published.get(kind, [])
        yield versions, plan_for(rows, versions)


def _with_methodology(connection: Connection, reading: Reading) -> Iterator[Row]:
    """The rows; where the file has no column for it, each with the methodology of the version it restates, or else
    with that which its kind follows now."""
    present = {
        row.kind: row.methodology
        for row in connection.execute(sa.text("SELECT kind, methodology FROM methodology_kind"))
    }
    for row in reading.rows(METHODOLOGIES_FILE):
        present |= dict.fromkeys(row.get("kinds") or (), row.get("methodology"))
    told = {
        (version.action_code, version.valid_from): version.methodology
        for version in uncancelled(all_versions(connection))
    }
    for row in reading.rows(FACTORS_FILE):
        named = row.get("methodology")
        if named is None:
            kind = row.get("action_code")
            named = told.get((kind, row.get("valid_from"))) or present.get(kind)
        yield Row(row.file, row.line, {**row.values, "methodology": named or None})


def _check(connection: Connection, reading: Reading) -> Iterator[Problem]:
    forms = {
        row.code: Form(row.form) for row in connection.execute(sa.text("SELECT code, form FROM methodology"))
    }
    forms |= {row.get("methodology"): row.get("form") for row in reading.rows(METHODOLOGIES_FILE)}
    for row in _with_methodology(connection, reading):
        yield from check_values(row, forms)
    for _, plan in _plans(connection, reading):
        yield from plan.problems


def check_values(row: Row, forms: dict[str, Form]) -> Iterator[Problem]:
    """What a row says in itself: order of the values, of the days, and whether its derivation bears it out."""
    low, mid, high = (row.get(f"co2e_g_{name}") for name in ("low", "mid", "high"))
    if low is not None and mid is not None and low > mid:
        yield row.bad("co2e_g_low", "larger than co2e_g_mid")
    if mid is not None and high is not None and mid > high:
        yield row.bad("co2e_g_mid", "larger than co2e_g_high")
    begins, ends = row.get("valid_from"), row.get("valid_to")
    if begins and ends and begins > ends:
        yield row.bad("valid_to", f"ends ({ends}) before it begins ({begins})")
    methodology = row.get("methodology")
    if methodology is not None and methodology not in forms:
        yield row.bad("methodology", f"unknown methodology {methodology}")
    yield from _check_derivation(row, forms.get(methodology))


def _check_derivation(row: Row, form: Form | None) -> Iterator[Problem]:
    derivation = read_derivation(row.get("derivation") or "")
    if derivation and form is None:
        yield row.bad("derivation", "needs a methodology, whose form tells what the parameters are")
        return
    for value, parameters in derivation.items():
        column = f"{value}_mg" if value in POLLUTANTS else f"co2e_g_{value}"
        stated = row.get(column)
        if stated is None:
            if column in row.values:
                yield row.bad("derivation", f"{column} is empty")
            continue
        assert form is not None
        try:
            check_derivation(form, value, parameters, stated)
        except ValueError as error:
            yield row.bad("derivation", str(error))


def _write(connection: Connection, reading: Reading) -> LoadCount:
    table = SQLModel.metadata.tables["factor_version"]
    fresh: list[dict[str, Any]] = []
    changed: set[str] = set()
    for published, plan in _plans(connection, reading):
        for version_id, values in plan.changes.items():
            connection.execute(sa.update(table).where(table.c.id == version_id).values(values))
        changed |= plan.changes.keys()
        given = (row.get("version") or 0 for row in plan.fresh)
        last = max((*(version.version for version in published), *given), default=0)
        for row in plan.fresh:
            number = row.get("version") or last + 1
            last = max(last, number)
            values = row_values(row)
            identity = {"id": f"{values['action_code']}@{number}", "version": number}
            fresh.append({**identity, "closes": plan.closes.get(row.line), **values})
    if fresh:
        connection.execute(sa.insert(table), fresh)
    return LoadCount(len(fresh), len(changed))


def row_values(row: Row) -> dict[str, Any]:
    """The fields of `factors.FactorValues` that a checked row holds."""
    return {
        "action_code": row.values["action_code"],
        **{name: row.values[column] for column, name in KEPT.items()},
        "valid_from": row.values["valid_from"],
        "valid_to": row.values["valid_to"],
        "note": row.values["note"],
        "methodology": row.get("methodology"),
        "derivation": row.get("derivation") or "",
    }


def _unit(cell: str) -> str:
    return insist_on_one_ton(cells.name(cell))


def _methodology(cell: str) -> str:
    """A code; an empty cell says that the factor follows none."""
    return cells.code(cell) if cell else ""


def _derivation(cell: str) -> str:
    """A derivation in its canonical wording."""
    return write_derivation(read_derivation(cell))


def _name_pollutants(column: str) -> str:
    if column.endswith(("_mg", "_g", "_ug")):
        return f"the pollutants are {', '.join(f'{name}_mg' for name in POLLUTANTS)}"
    return ""


FACTORS_FILE = ReferenceFile(
    what="factor version",
    pattern="factors.csv",
    columns=(
        Column("action_code", cells.code),
        Column("unit", _unit),
        Column("scenario_kind", cells.choice(ScenarioKind)),
        Column("city_credited", cells.yes_no),
        *(_grams(name) for name in ("low", "mid", "high")),
        *(_milligrams(pollutant) for pollutant in POLLUTANTS),
        Column("baseline", cells.text),
        Column("source", cells.text),
        Column("source_year", cells.whole(1900, 2999)),
        Column("region", cells.name),
        Column("confidence", cells.choice(Confidence)),
        Column("note", cells.note),
        Column("valid_from", cells.optional(cells.day), may_be_absent=True),
        Column("valid_to", cells.optional(cells.day), may_be_absent=True),
        Column("methodology", _methodology, may_be_absent=True),
        Column("derivation", cells.optional(_derivation), may_be_absent=True),
        Column("version", cells.optional(cells.whole(1, 9999)), may_be_absent=True),
    ),
    key=("action_code", "valid_from"),
    home=PACKAGE_DATA,
    check=_check,
    write=_write,
    about_unknown=_name_pollutants,
)


# --- writing ------------------------------------------------------------------------------------------------

#: The columns of the packages' own file, in its order, and those that only versions have.
_COLUMNS = (
    *("action_code", "name_zh", "name_en", "category", "unit", "scenario_kind", "city_credited"),
    *(f"co2e_g_{name}" for name in ("low", "mid", "high")),
    *(f"{name}_mg" for name in POLLUTANTS),
    *("baseline", "source", "source_year", "region", "confidence", "note", "derivation"),
    *("valid_from", "valid_to", "methodology", "version"),
)


def write_sheet(versions: Iterable[tuple[FactorVersion, ActionKind]]) -> str:
    """The CSV text of published versions with their kinds. Loaded into an empty house, it gives the same versions."""
    rows = (_cells_of(version, kind) for version, kind in versions)
    return csvtext.write_sheet(_COLUMNS, rows).decode("utf-8-sig")


def _cells_of(version: FactorVersion, kind: ActionKind) -> list[str]:
    names = {name: getattr(kind, name) for name in ("name_zh", "name_en", "category")}
    said = {**cells_of(version), **names, "version": str(version.version)}
    return [said[column] for column in _COLUMNS]


def cells_of(values: FactorValues) -> dict[str, str]:
    """What a row says in the columns of `FACTORS_FILE`, but for the number of the version."""
    said: dict[str, Any] = {
        **values.model_dump(include=set(FactorValues.model_fields)),
        "city_credited": "yes" if values.city_credited else "no",
        **{f"co2e_g_{name}": _decimal(values, f"co2e_{name}_ng", 9) for name in ("low", "mid", "high")},
        **{f"{name}_mg": _decimal(values, f"{name}_ng", 6) for name in POLLUTANTS},
    }
    names = (column.name for column in FACTORS_FILE.columns if column.name != "version")
    return {name: "" if said[name] is None else str(said[name]) for name in names}


def _decimal(values: FactorValues, name: str, places: int) -> str:
    value = getattr(values, name)
    return "" if value is None else decimal_text(value, places)
