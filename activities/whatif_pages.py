"""What if, as a page of the bureau: choose factors and a period, read the difference, take it away as CSV.

The address holds the whole question, so that it can be kept and passed on. Nothing here changes anything.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask_babel import gettext
from sqlalchemy.engine import Connection
from werkzeug.wrappers import Response as AnyResponse

from activities.pages import kind_name
from activities.quantify import whatif
from activities.quantify.factors import FactorVersion
from activities.quantify.whatif import MEASURES, Choices, Row
from tanpuhui import divisions
from tanpuhui.bureau.pages import asked_period
from tanpuhui.bureau.participation import READERS, Period, may_read
from tanpuhui.csvtext import write_sheet
from tanpuhui.db import session_on
from tanpuhui.errors import InvalidField
from tanpuhui.i18n import N_
from tanpuhui.web.auth import house, staff, staff_required
from tanpuhui.web.formatting import day, factor_mass
from tanpuhui.web.forms import form_errors

blueprint = Blueprint("whatif", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]

#: What the numbers of a record are called in a table, and the unit they are kept in.
MEASURE_NAMES = {
    "co2e_mg": (N_("减排量（较低值）"), "mg"),
    "co2e_mid_mg": (N_("减排量（居中值）"), "mg"),
    "co2e_high_mg": (N_("减排量（较高值）"), "mg"),
    "nox_ug": ("NOx", "µg"),
    "pm25_ug": ("PM2.5", "µg"),
    "voc_ug": ("VOCs", "µg"),
    "so2_ug": ("SO2", "µg"),
    "co_ug": ("CO", "µg"),
}


@dataclass
class Question:
    """What is asked, as the address says it, and what is wrong with it."""

    within: Period
    newest: bool = False
    versions: list[str] = field(default_factory=list)
    proposals: list[str] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)

    def address(self, **changes: Any) -> str:
        """The address of this question, with `changes`."""
        asked = {
            "from": self.within.first,
            "to": self.within.last,
            "preset": "newest" if self.newest else None,
            "version": self.versions,
            "proposal": self.proposals,
        }
        return url_for("whatif.report", **{**asked, **changes})


@blueprint.get("/bureau/whatif")
@staff_required(*READERS)
def report() -> Answer:
    """The question, and once factors are chosen the answer; as CSV with `format=csv`."""
    may_read(house(), staff())
    question = _question()
    with house().db.snapshot() as connection:
        offered = whatif.choices(connection)
        if request.args.get("with"):
            return redirect(_added(question, offered, request.args["with"]))
        chosen: dict[str, FactorVersion] = {}
        try:
            chosen = offered.replacements(question.versions, question.proposals, newest=question.newest)
        except InvalidField as error:
            question.errors |= dict.fromkeys(["with"], *form_errors(error).values())
        rows = None
        if chosen and not question.errors:
            rows = whatif.what_if(connection, question.within.first, question.within.last, chosen)
        streets = _streets(connection)
    if rows is not None and request.args.get("format") == "csv":
        return _csv(question, rows, chosen, streets)
    named = _named(question, offered)
    kinds = [factor.action_code for factor, _ in named]
    page = render_template(
        "activities/whatif.html",
        question=question,
        offered=_offered(offered),
        named=named,
        answer=None if rows is None else _answer(rows, kinds, chosen, streets),
        factors=offered.versions,
        measures=MEASURE_NAMES,
        proposal_of=whatif.proposal_of,
    )
    return page, 422 if question.errors else 200


# --- the question -------------------------------------------------------------------------------------------


def _question() -> Question:
    within, errors = asked_period()
    return Question(
        within,
        newest=request.args.get("preset") == "newest",
        versions=request.args.getlist("version"),
        proposals=request.args.getlist("proposal"),
        errors=errors,
    )


def _added(question: Question, offered: Choices, text: str) -> str:
    """The address of the question with one more factor, in place of another of its kind."""
    known = {**offered.versions, **offered.proposals}
    kind = known[text].action_code if text in known else None

    def others(asked: Iterable[str]) -> list[str]:
        return [one for one in asked if one not in known or known[one].action_code != kind]

    versions, proposals = others(question.versions), others(question.proposals)
    (proposals if text in offered.proposals else versions).append(text)
    asked = {name: request.args[name] for name in ("from", "to") if name in request.args}
    return question.address(**asked, version=versions, proposal=proposals)


def _offered(offered: Choices) -> list[tuple[str, list[tuple[str, str]]]]:
    """Versions and open proposals by kind, for a select: kind -> (id, what tells it from the others)."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for factor in (*offered.versions.values(), *offered.proposals.values()):
        groups.setdefault(factor.action_code, []).append((factor.id, _described(factor)))
    return sorted(groups.items())


def _described(factor: FactorVersion) -> str:
    name = gettext("提案") if whatif.proposal_of(factor) else factor.id
    begins = gettext("%(day)s起", day=day(factor.valid_from)) if factor.valid_from else ""
    parts = (name, str(factor_mass(factor.co2e_low_ng)), str(factor.source_year), begins)
    return " · ".join(filter(None, parts))


def _named(question: Question, offered: Choices) -> list[tuple[FactorVersion, str]]:
    """The factors named one by one, each with the address of the question without it."""
    known = {**offered.versions, **offered.proposals}
    return [
        (
            known[text],
            question.address(
                version=[one for one in question.versions if one != text],
                proposal=[one for one in question.proposals if one != text],
            ),
        )
        for text in (*question.versions, *question.proposals)
        if text in known
    ]


# --- the answer ---------------------------------------------------------------------------------------------


def _streets(connection: Connection) -> dict[str, str]:
    """The name of every 街镇 of the district."""
    with session_on(connection) as session:
        known = divisions.children(session, house().settings.district_code)
        return {street.code: street.name for street in known}


def _answer(
    rows: Sequence[Row], named: Sequence[str], chosen: dict[str, FactorVersion], streets: dict[str, str]
) -> dict[str, Any]:
    """The sums, and of each kind that is named or would change the versions recorded and the one chosen."""
    total = whatif.total(rows)
    kinds = whatif.by_kind(rows, named)
    return {
        "total": total,
        "kinds": kinds,
        "streets": [
            (streets.get(row.street, row.street), row) for row in whatif.by_street(rows, list(streets))
        ],
        "replaced": [
            (row.kind, [(version, records) for (_, version), records in sorted(row.versions.items())], factor)
            for row in kinds
            if (factor := chosen.get(row.kind)) and (row.concerned or row.kind in named)
        ],
    }


def _csv(
    question: Question, rows: Sequence[Row], chosen: dict[str, FactorVersion], streets: dict[str, str]
) -> Response:
    """The answer in one long table: a row for each group, part and measure; empty where nothing is known."""
    within = question.within
    header = (N_("从"), N_("到"), N_("行为代码"), N_("行为"), N_("街镇代码"), N_("街镇"), N_("换成的因子"), N_("由谁核算"), N_("指标"), N_("计量单位"),
              N_("记录数"), N_("其中有因子"), N_("记录值"), N_("换算后记录数"), N_("换算后有因子"), N_("换算后的值"),
              N_("差额"), N_("差额百分比"))  # fmt: skip
    groups = [
        whatif.total(rows),
        *whatif.by_kind(rows, list(chosen)),
        *whatif.by_street(rows, list(streets)),
        *rows,
    ]
    body = write_sheet(
        [gettext(text) for text in header],
        (
            (within.first.isoformat(), within.last.isoformat(), *line)
            for row in groups
            for line in _lines(row, chosen, streets)
        ),
    )
    name = f"tanpuhui-what-if-{within.first}-{within.last}.csv"
    return Response(
        body, mimetype="text/csv", headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


def _lines(
    row: Row, chosen: dict[str, FactorVersion], streets: dict[str, str]
) -> Iterator[tuple[str | int | None, ...]]:
    everything = gettext("全部")
    kind, street = kind_name(row.kind) or everything, streets.get(row.street, row.street) or everything
    replaced = chosen[row.kind].id if row.kind in chosen else ""
    for text, part in ((gettext("本区"), row.own), (gettext("市级"), row.city)):
        before, after = part.recorded, part.recomputed
        for measure in MEASURES:
            name, unit = MEASURE_NAMES[measure]
            yield (
                *(row.kind, kind, row.street, street, replaced, text, gettext(name), unit),
                *(before.records, before.known[measure], before.value(measure)),
                *(after.records, after.known[measure], after.value(measure)),
                *(part.difference(measure), part.percent(measure)),
            )
