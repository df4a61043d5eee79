"""The bureau's forms of factors: proposing one, amending a proposal, and proposing what a file says."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from activities import factor_words as words
from activities.catalogue import ActionKind
from activities.factor_desk import kind_of, present
from activities.quantify import proposals
from activities.quantify.factor_cells import narrow, read_values
from activities.quantify.factor_sheet import cells_of
from activities.quantify.factors import all_versions, uncancelled
from activities.quantify.forms import SHAPES
from activities.quantify.methodologies import methodology_of
from activities.quantify.proposal_import import Imported, import_sheet
from activities.quantify.proposals import FactorProposal
from tanpuhui import clock
from tanpuhui.bureau.participation import may_read, read_day
from tanpuhui.errors import InvalidField, InvalidReference, NotAllowed, TanpuhuiError
from tanpuhui.i18n import N_
from tanpuhui.staff import Role
from tanpuhui.web.auth import house, staff, staff_required
from tanpuhui.web.forms import chosen_id, form_errors
from tanpuhui.web.problems import document

blueprint = Blueprint("factor_forms", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]


@blueprint.route("/bureau/factors/kinds/<code>/new", methods=["GET", "POST"])
@staff_required(Role.OFFICER)
def new(code: str) -> Answer:
    """Propose a new version of a kind, beginning with what the present one says."""
    may_read(house(), staff(), {Role.OFFICER})
    with house().db.reading_session() as session:
        found = kind_of(session, code)
        before = present(all_versions(session, code), clock.today())
    tomorrow = (clock.today() + timedelta(days=1)).isoformat()
    cells = {**cells_of(before), "valid_from": tomorrow, "valid_to": ""} if before else {}

    def submit() -> FactorProposal:
        values = read_values(found, request.form)
        reason = request.form.get("reason", "")
        return proposals.propose(house(), staff(), values, reason, chosen=chosen_id(staff()))

    return _form_page(found, {**cells, "reason": ""}, submit)


@blueprint.route("/bureau/factors/proposals/<uuid:proposal_id>/edit", methods=["GET", "POST"])
@staff_required(Role.OFFICER)
def edit(proposal_id: UUID) -> Answer:
    """Amend one's own proposal while it waits for review."""
    may_read(house(), staff(), {Role.OFFICER})
    with house().db.reading_session() as session:
        found = proposals.get_proposal(session, proposal_id)
        about = kind_of(session, found.action_code)
    if found.proposed_by != staff().id:
        raise NotAllowed

    def submit() -> FactorProposal:
        values = read_values(about, request.form)
        return proposals.amend(house(), staff(), proposal_id, values, request.form.get("reason", ""))

    return _form_page(about, {**cells_of(found), "reason": found.reason}, submit, found)


def _form_page(
    about: ActionKind,
    cells: Mapping[str, str],
    submit: Callable[[], FactorProposal],
    amended: FactorProposal | None = None,
) -> Answer:
    """The form of a proposal, filled with `cells` or with what was typed; what it was sent for, if it was."""
    form: Mapping[str, str] = request.form if request.method == "POST" else cells
    errors: dict[str, str] = {}
    status = 200
    if request.method == "POST":
        try:
            return redirect(url_for("factor_desk.proposal", proposal_id=submit().id), 303)
        except TanpuhuiError as error:
            errors, status = form_errors(error), error.status
    with house().db.reading_session() as session:
        methodology = methodology_of(session.connection()).get(about.code)
        versions = uncancelled(all_versions(session, about.code))
    page = render_template(
        "activities/factor_desk_form.html",
        kind=about,
        form=form,
        errors=errors,
        proposal=amended,
        versions=versions,
        methodology=methodology,
        shape=SHAPES[methodology.form] if methodology else None,
        parameters=words.parameters_of(methodology, about) if methodology else [],
        worked=words.worked_out(methodology, narrow(form.get("derivation", ""))) if errors else [],
        credited=words.options({"yes" if city else "no": text for city, text in words.CREDITED_BY.items()}),
        scenarios=words.options(words.SCENARIO_NAMES),
        confidence=words.options(words.CONFIDENCE),
    )
    return page, status


# --- a file ---------------------------------------------------------------------------------------------------


@blueprint.route("/bureau/factors/import", methods=["GET", "POST"])
@staff_required(Role.OFFICER)
def import_file() -> Answer:
    """Propose everything that differs in a CSV file."""
    may_read(house(), staff(), {Role.OFFICER})
    errors: dict[str, str] = {}
    rows: list[dict[str, Any]] = []
    status = 200
    if request.method == "POST":
        try:
            told = _import()
            return redirect(url_for("factor_desk.factors", **vars(told)), 303)
        except InvalidReference as error:
            rows, status = document(error)["errors"], error.status
        except InvalidField as error:
            errors, status = form_errors(error), error.status
    page = render_template("activities/factor_desk_import.html", form=request.form, errors=errors, rows=rows)
    return page, status


def _import() -> Imported:
    upload = request.files.get("file")
    content = upload.read() if upload else b""
    if not content:
        raise InvalidField(errors=[{"field": "file", "reason": N_("请选择一个 CSV 文件。")}])
    begins = read_day(request.form["begins"], "begins") if request.form.get("begins") else None
    return import_sheet(house(), staff(), content, request.form.get("reason", ""), begins=begins)
