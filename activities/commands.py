"""The room's commands: `load-reference` and `quantify`."""

import json
from datetime import date, datetime
from pathlib import Path

import click

from activities.catalogue import ActionKind
from activities.quantify.by_hand import Sum, sum_by_hand
from activities.quantify.calculation import parse_quantity
from activities.quantify.factors import valid_on
from activities.quantify.methodologies import Methodology
from activities.quantify.traces import Trace, trace_of
from activities.quantify.units import in_largest_mass, in_unit
from tanpuhui import clock
from tanpuhui.errors import InvalidReference, NoFactor, TanpuhuiError, UnknownKind
from tanpuhui.i18n import translated
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
    for kept in report.kept:
        click.echo("{file}:{line} {column}: {reason}".format(**kept._asdict()), err=True)
    click.echo(f"reference data version {report.version}")


@click.command("quantify")
@click.argument("words", nargs=-1, metavar="[KIND] QUANTITY")
@click.option(
    "--on", "on", type=click.DateTime(["%Y-%m-%d"]), help="Day whose factor counts (default: today)."
)
@click.option(
    "--factor", "factors", multiple=True, help='A factor by hand, such as "4.83 kg/kg"; repeatable.'
)
@click.option("--baseline", help='With --project: what would have been emitted, such as "5.98 kg/day".')
@click.option("--project", help='What is emitted instead, such as "1.35 kg/day".')
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
def quantify_command(
    words: tuple[str, ...],
    on: datetime | None,
    factors: tuple[str, ...],
    baseline: str | None,
    project: str | None,
    as_json: bool,
) -> None:
    """Show what QUANTITY of KIND saves and how the number comes about.

    With --factor, or --baseline and --project, no KIND and no data are needed: QUANTITY is a number with its unit
    ("93 g", "38552.6 kWh"), the units must cancel to a mass, and a factor without a unit is grams of CO2e for one unit
    of QUANTITY. Masses, energies, powers, lengths and times convert; a year has 365 days; any other word is a unit of
    its own.
    """
    by_hand = bool(factors) or baseline is not None or project is not None
    if not words or (len(words) == 1 and not by_hand):
        raise click.UsageError(f"Missing argument {'QUANTITY' if words or by_hand else 'KIND'!r}.")
    if len(words) > 2:
        raise click.UsageError(f"Got unexpected extra argument {words[2]!r}; quote a quantity with its unit.")
    if by_hand:
        if on is not None:
            raise click.UsageError("--on chooses the factor of a KIND; there is none to choose by hand.")
        try:
            found = sum_by_hand(words[-1], factors, baseline, project)
        except ValueError as error:
            raise click.ClickException(str(error)) from None
        document, lines = found.document(), _sum_lines(found)
    else:
        trace = _trace(words[0], words[1], on.date() if on else clock.today())
        document = trace.document()
        lines = [*_trace_lines(trace, "zh"), "", *_trace_lines(trace, "en")]
    click.echo(json.dumps(document, ensure_ascii=False, indent=2) if as_json else "\n".join(lines))


COMMANDS = (load_reference_command, quantify_command)


def _trace(code: str, quantity: str, day: date) -> Trace:
    house: House = click.get_current_context().obj
    try:
        quantity_milli = parse_quantity(quantity)
        if quantity_milli <= 0:
            raise click.BadParameter("must be larger than 0", param_hint="QUANTITY")
        with house.db.reading_session() as session:
            kind = session.get(ActionKind, code)
            if kind is None:
                raise UnknownKind
            factor = valid_on(session, code, day)
            if factor is None:
                raise NoFactor
            methodology = session.get(Methodology, factor.methodology) if factor.methodology else None
            return trace_of(kind, quantity_milli, factor, methodology)
    except TanpuhuiError as error:
        raise click.ClickException(str(error)) from None


def _sum_lines(found: Sum) -> list[str]:
    """The sum by hand as people read it, with the result in a handy unit where it came out in another."""
    exact = f"{in_unit(found.grams, found.unit)} {found.unit}"
    handy, cut = (" ".join(in_largest_mass(found.grams, digits=digits)) for digits in (None, 3))
    more = [f" = {handy}"] if handy != exact else []
    more += [f" ≈ {cut}"] if cut != handy else []
    return [
        f"公式 formula: {found.formula}{''.join(more)}",
        f"记录 recorded: {found.co2e_mg} 毫克 mg，向下取整 rounded down",
        *(f"换算 conversion: {remark}" for remark in found.remarks),
    ]


_LABELS = {
    "zh": (
        "方法学",
        "公式",
        "因子版本",
        "基准",
        "来源",
        "可信度",
        "来源直接给出因子，未给出参数",
        "：",
        "；",
    ),
    "en": (
        *("methodology", "formula", "factor version", "baseline", "source", "confidence"),
        *("the source states the factor itself, without parameters", ": ", "; "),
    ),
}


def _trace_lines(trace: Trace, language: str) -> list[str]:
    """A trace as people read it: at a glance, every number, and where the factor comes from."""
    methodology, formula, version, baseline, source, confidence, unexplained, colon, stop = _LABELS[language]
    told = trace.document()
    factor, method = told["factor"], told["methodology"]
    lines = [
        f"{told[f'name_{language}']} ({told['kind']}){colon}{told['quantity']} {told[f'unit_{language}']}",
        told[f"glance_{language}"],
        *(step[language] for step in (*told["derivation"], *told["steps"])),
    ]
    if method:
        title, filing, form = (method[f"{name}_{language}"] for name in ("title", "filing_status", "form"))
        lines += [
            f"{methodology}{colon}{title} ({method['code']}){stop}{filing}",
            f"{formula}{colon}{trace.formula}{stop}{form}",
            *([] if trace.derivations else [unexplained]),
        ]
    else:
        lines.append(f"{formula}{colon}{trace.formula}")
    stated, region = (translated(factor[name], language) for name in ("baseline", "region"))
    lines += [
        f"{version}{colon}{factor['version']} ({factor['valid_from'] or '…'} – {factor['valid_to'] or '…'})",
        f"{baseline}{colon}{stated}",
        f"{source}{colon}{factor['source']}{stop}{factor['source_year']}, {region}{stop}"
        f"{confidence} {factor['confidence']}",
        *filter(None, [factor[f"remark_{language}"]]),
    ]
    return lines
