"""The public pages of factors and methodologies, and how a sum is said on a page. Nothing here needs a log-in."""

from typing import Any

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask_babel import gettext
from pydantic import ValidationError
from werkzeug.wrappers import Response as AnyResponse

from activities import factor_words as words
from activities.factor_api import FactorsQuery
from activities.quantify.factor_sheet import write_sheet
from activities.quantify.factors import (
    VERSION_STATE_NAMES,
    Confidence,
    FactorVersion,
    VersionState,
    uncancelled,
    version_state,
)
from activities.quantify.forms import SHAPES
from activities.quantify.methodologies import (
    FILING_NAMES,
    FilingStatus,
    Methodology,
    ScenarioKind,
    all_methodologies,
)
from activities.quantify.register import Entry, History, entries, followers, histories, kinds_of, of_kind
from activities.quantify.traces import Derived, Step, Trace, compound
from tanpuhui import clock
from tanpuhui.errors import InvalidField, NotFound
from tanpuhui.i18n import N_
from tanpuhui.web.api import invalid
from tanpuhui.web.auth import house
from tanpuhui.web.formatting import language, name_of, set_right
from tanpuhui.web.forms import form_errors

blueprint = Blueprint("factors", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]

#: The categories of the platform's own kinds; one of a district's own is called by its code.
CATEGORY_NAMES = {
    "food": N_("餐饮"),
    "travel": N_("出行"),
    "reuse": N_("再利用"),
    "recycling": N_("回收"),
    "energy": N_("能源"),
    "sink": N_("植树"),
}

#: What begins the sum of a deed; of a single one, by its unit.
_DEED = N_("您这一次：")
_ONE_DEED = {"meal": N_("您这一餐："), "order": N_("您这一单：")}


# --- words for every template -------------------------------------------------------------------------------


@blueprint.app_template_filter()
def confidence_name(confidence: Confidence) -> str:
    """How sure a factor is, in plain words."""
    return str(gettext(words.CONFIDENCE[confidence]))


@blueprint.app_template_filter()
def filing_name(status: FilingStatus) -> str:
    """Where a methodology stands with the city."""
    return str(gettext(FILING_NAMES[status]))


@blueprint.app_template_filter()
def scenario_name(kind: ScenarioKind) -> str:
    """A scenario kind of the city's rules."""
    return str(gettext(words.SCENARIO_NAMES[kind]))


@blueprint.app_template_filter()
def told(methodology: Methodology, name: str) -> str:
    """A text of a methodology in the page's language."""
    text: str = getattr(methodology, f"{name}_{language()}")
    return text


@blueprint.app_template_filter()
def said(line: Step | Derived) -> str:
    """A line of a sum in the page's language."""
    return set_right(line.en if language() == "en" else line.zh)


@blueprint.app_template_filter()
def glances(trace: Trace) -> tuple[str, ...]:
    """A sum at a glance, in the page's language: the low value, then those that are derived."""
    return trace.glances[language()]


@blueprint.app_template_filter()
def own_glance(trace: Trace) -> str:
    """The first of these, said to whoever did it."""
    begin = _ONE_DEED.get(trace.factor.unit, _DEED) if trace.quantity_milli == 1000 else _DEED
    return f"{gettext(begin)}{glances(trace)[0]}"


@blueprint.app_template_global()
def state_of(version: FactorVersion) -> VersionState:
    """Where a version stands today."""
    return version_state(version, clock.today())


@blueprint.app_template_global()
def state_name(version: FactorVersion) -> str:
    """The same in words."""
    return str(gettext(VERSION_STATE_NAMES[state_of(version)]))


# --- factors ------------------------------------------------------------------------------------------------


@blueprint.get("/factors")
def index() -> Answer:
    """Every version ever published, by kind. The address says what is looked for, and nothing else."""
    asked = _asked()
    if request.args.to_dict(flat=False) != {name: [text] for name, text in asked.items()}:
        return redirect(url_for("factors.index", **asked))
    errors: dict[str, str] = {}
    with house().db.reading_session() as session:
        everything = entries(session)
        try:
            search = _read(asked).search()
            found = [entry for entry in everything if search.finds(entry)]
        except InvalidField as error:
            found, errors = [], form_errors(error)
        page = render_template(
            "activities/factors.html",
            groups=sorted(histories(found, clock.today()), key=_category_order),
            found=len(found),
            total=len(everything),
            asked=asked,
            narrowed=bool(asked.keys() - {"q", *_BY_LINK}),
            only=_only(asked, everything),
            errors=errors,
            options=_options(everything),
        )
    return page, 422 if errors else 200


def _category_order(group: History) -> int:
    """Our categories as they are named; those of a district's own after them."""
    known = list(CATEGORY_NAMES)
    return known.index(group.kind.category) if group.kind.category in CATEGORY_NAMES else len(known)


#: What links ask for and the form only keeps.
_BY_LINK = ("kind", "methodology")


def _only(asked: dict[str, Any], everything: list[Entry]) -> list[str]:
    """The names of what a link narrowed the page to."""
    names = {("kind", entry.kind.code): name_of(entry.kind) for entry in everything}
    names |= {
        ("methodology", entry.methodology.code): told(entry.methodology, "title")
        for entry in everything
        if entry.methodology
    }
    return [names.get((name, asked[name]), asked[name]) for name in _BY_LINK if name in asked]


@blueprint.get("/factors.csv")
def csv() -> Response:
    """The same as a file that spreadsheets open, and that can be loaded: without what was cancelled. Raises InvalidField."""
    search = _read(_asked()).search()
    with house().db.reading_session() as session:
        found = [entry for entry in entries(session) if search.finds(entry)]
    text = write_sheet((one.version, one.kind) for one in found if one.version.cancelled_on is None)
    return Response(
        text.encode("utf-8-sig"),
        mimetype="text/csv",
        headers={"Content-Disposition": 'attachment; filename="factors.csv"'},
    )


def _asked() -> dict[str, Any]:
    """What the address asks for; a field left empty asks for nothing."""
    return {
        name: text
        for name in FactorsQuery.model_fields
        if (text := " ".join(request.args.get(name, "").split()))
    }


def _read(asked: dict[str, str]) -> FactorsQuery:
    """What is asked for, checked. Raises InvalidField."""
    try:
        return FactorsQuery.model_validate(asked)
    except ValidationError as error:
        wrong = invalid(error)
        for entry in wrong.params["errors"]:
            if entry["field"] == "on":
                entry["reason"] = N_("请填写日期，例如 2026-06-05。")
        raise wrong from error


def _options(everything: list[Entry]) -> dict[str, list[tuple[str, str]]]:
    """What can be chosen in each field of the form, as far as there is something to find."""
    categories = dict.fromkeys(entry.kind.category for entry in everything)
    scenarios = sorted({entry.version.scenario_kind for entry in everything})
    confidences = sorted({entry.version.confidence for entry in everything})
    statuses = {entry.methodology.filing_status for entry in everything if entry.methodology}
    return {
        "category": [(code, gettext(CATEGORY_NAMES.get(code, code))) for code in categories],
        "scenario_kind": [(kind.value, scenario_name(kind)) for kind in scenarios],
        "confidence": [(letter.value, confidence_name(letter)) for letter in confidences],
        "filing_status": [
            (status.value, filing_name(status)) for status in FILING_NAMES if status in statuses
        ],
        "city_credited": [(str(by).lower(), gettext(text)) for by, text in words.CREDITED_BY.items()],
    }


@blueprint.get("/factors/<version_id>")
def version(version_id: str) -> Answer:
    """One version: how its values come about, what changed, a worked example. Its address stays."""
    with house().db.reading_session() as session:
        family = of_kind(session, version_id)
        at = next(index for index, entry in enumerate(family) if entry.version.id == version_id)
        before = next(iter(reversed(uncancelled(entry.version for entry in family[:at]))), None)
        published = family[at].published_at
        titles = {one.code: words.title_of(one) for one in all_methodologies(session)}
        return render_template(
            "activities/factor.html",
            entry=family[at],
            published_on=published and clock.day_of(published),
            example=family[at].example(),
            before=before,
            changes=_changes(before, family[at].version, titles),
            others=[entry.version for entry in reversed(family) if entry is not family[at]],
        )


def _changes(before: FactorVersion | None, after: FactorVersion, titles: dict[str, str]) -> list[words.Line]:
    """What a version says differently, but for the days it is valid on."""
    lines = words.compared(before, after, titles)
    return [line for line in lines if line.changed and line.field not in {"valid_from", "valid_to"}]


# --- methodologies ------------------------------------------------------------------------------------------


@blueprint.get("/methodologies")
def methodologies() -> Answer:
    """Every methodology with the kinds that follow it."""
    with house().db.reading_session() as session:
        found = [(one, kinds_of(session, one.code)) for one in all_methodologies(session)]
        return render_template("activities/methodologies.html", methodologies=found, shapes=SHAPES)


@blueprint.get("/methodologies/<code>")
def methodology(code: str) -> Answer:
    """One methodology, and the present factors of the kinds that follow it."""
    with house().db.reading_session() as session:
        found = next((one for one in all_methodologies(session) if one.code == code), None)
        if found is None:
            raise NotFound
        present = {entry.kind.code: entry for entry in followers(entries(session), code, clock.today())}
        kinds = {kind.code: kind for kind in kinds_of(session, code)}
        kinds |= {entry.kind.code: entry.kind for entry in present.values()}
        return render_template(
            "activities/methodology.html",
            methodology=found,
            shape=SHAPES[found.form],
            parameters=_parameters(found, list(dict.fromkeys(kind.unit for kind in kinds.values()))),
            kinds=[(kind, present.get(kind.code)) for kind in kinds.values()],
        )


def _parameters(found: Methodology, units: list[str]) -> list[tuple[str, str, str]]:
    """The parameters of a form: symbol, what it is, and its unit for CO2e in each unit the kinds are counted in."""
    return [
        (
            parameter.symbol,
            gettext(parameter.text),
            ", ".join(
                dict.fromkeys(compound(parameter.unit.format(unit=unit), language()) for unit in units)
            ),
        )
        for parameter in SHAPES[found.form].parameters
    ]
