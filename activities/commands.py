"""The room's commands: `load-reference` and `quantify`."""

import json
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import Any

import click
from sqlmodel import Session

from activities.catalogue import ActionKind
from activities.quantify import calculation
from activities.quantify.factors import FactorVersion, valid_on
from tanpuhui import clock
from tanpuhui.errors import InvalidReference, NoFactor, TanpuhuiError, UnknownKind
from tanpuhui.reference import load_reference
from tanpuhui.rooms import House


@click.command("load-reference")
@click.argument("directory", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
def load_reference_command(directory: Path | None) -> None:
    """Load the CSV files of DIRECTORY (default: those that come with the platform), all or nothing."""
    house: House = click.get_current_context().obj
    try:
        report = load_reference(house, directory)
    except InvalidReference as error:
        bad = error.params["errors"]
        for problem in bad:
            click.echo("{file}:{line} {column}: {reason}".format(**problem), err=True)
        click.echo(f"{len(bad)} problems, nothing loaded", err=True)
        raise click.exceptions.Exit(1) from None
    for entry in report.loaded:
        click.echo(f"{entry.file}: {entry.what}: {entry.rows} rows, {entry.new} new, {entry.changed} changed")
    click.echo(f"reference data version {report.version}")


@click.command("quantify")
@click.argument("kind")
@click.argument("quantity")
@click.option(
    "--on", "on", type=click.DateTime(["%Y-%m-%d"]), help="Day whose factor counts (default: today)."
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
def quantify_command(kind: str, quantity: str, on: datetime | None, as_json: bool) -> None:
    """Show what QUANTITY of KIND saves and how the number comes about."""
    house: House = click.get_current_context().obj
    try:
        quantity_milli = calculation.parse_quantity(quantity)
        if quantity_milli <= 0:
            raise click.BadParameter("must be larger than 0", param_hint="QUANTITY")
        with house.db.reading_session() as session:
            found, factor = _kind_and_factor(session, kind, on.date() if on else clock.today())
    except TanpuhuiError as error:
        raise click.ClickException(str(error)) from None
    trace = _trace(found, factor, quantity_milli)
    click.echo(json.dumps(trace, ensure_ascii=False, indent=2) if as_json else _text(trace))


COMMANDS = (load_reference_command, quantify_command)


def _kind_and_factor(session: Session, code: str, day: date) -> tuple[ActionKind, FactorVersion]:
    kind = session.get(ActionKind, code)
    if kind is None:
        raise UnknownKind
    factor = valid_on(session, code, day)
    if factor is None:
        raise NoFactor
    return kind, factor


def _trace(kind: ActionKind, factor: FactorVersion, quantity_milli: int) -> dict[str, Any]:
    """The sum as a JSON document: what, how much, each step, and where the factor comes from."""
    described = "unit", "source", "source_year", "region", "confidence", "baseline", "scenario_kind", "note"
    return {
        "kind": kind.code,
        "name_zh": kind.name_zh,
        "name_en": kind.name_en,
        "quantity": calculation.decimal_text(quantity_milli, 3),
        "unit": factor.unit,
        "reduction": asdict(calculation.quantify(quantity_milli, factor)),
        "steps": [asdict(step) for step in calculation.explain(quantity_milli, factor.unit, factor)],
        "factor": {
            "version": factor.id,
            **{name: getattr(factor, name) for name in described},
            "city_credited": factor.city_credited,
            "valid_from": factor.valid_from and factor.valid_from.isoformat(),
            "valid_to": factor.valid_to and factor.valid_to.isoformat(),
        },
    }


def _text(trace: dict[str, Any]) -> str:
    factor = trace["factor"]
    validity = f"{factor['valid_from'] or '…'} – {factor['valid_to'] or '…'}"
    origin = f"{factor['source']}; {factor['source_year']}, {factor['region']}"
    lines = [
        f"{trace['name_zh']} {trace['name_en']} ({trace['kind']}): {trace['quantity']} {trace['unit']}",
        *(step["zh"] for step in trace["steps"]),
        *(step["en"] for step in trace["steps"]),
        f"因子版本 factor version: {factor['version']} ({validity})",
        f"基准 baseline: {factor['baseline']}",
        f"来源 source: {origin}; 可信度 confidence {factor['confidence']}",
    ]
    if factor["city_credited"]:
        lines.append("市级方法学已覆盖，本区只给积分 credited by the city's scheme: district points only")
    return "\n".join(lines)
