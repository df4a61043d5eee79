"""The bureau's pages of declarations: what was reported to the city, and each next step.

A report is shown before it is made: the address of the preview is the question, the form below it carries what the
officer was shown. The list of records that goes with a declaration names no resident: the city checks activity data,
factor and sum, and a person is not part of any of them.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask_babel import gettext
from sqlalchemy import RowMapping
from sqlmodel import Session
from werkzeug.wrappers import Response as AnyResponse

from activities import declared, declaring
from activities.declarations import DECLARATION_STATE_NAMES, Declaration
from activities.declared import REDUCTION_STATE_NAMES
from activities.factor_words import title_of
from activities.quantify.calculation import decimal_text
from activities.quantify.factors import POLLUTANTS
from activities.quantify.methodologies import FILING_NAMES, FilingStatus, Methodology, all_methodologies
from tanpuhui import audit, clock
from tanpuhui.bureau.participation import READERS, Period, may_read, period, read_day
from tanpuhui.csvtext import stream_sheet
from tanpuhui.errors import (
    DeclarationMovedOn,
    EstimateChanged,
    InvalidField,
    NotFound,
    NothingToDeclare,
    TanpuhuiError,
)
from tanpuhui.i18n import N_
from tanpuhui.sessions import Principal
from tanpuhui.staff import Role
from tanpuhui.web.api import iso
from tanpuhui.web.auth import house, roles_here, staff, staff_required
from tanpuhui.web.formatting import plain_quantity
from tanpuhui.web.forms import form_errors

blueprint = Blueprint("declarations", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]

DEED_NAMES = {
    "declaration.reported": N_("上报市级"),
    "declaration.confirmed": N_("登记市级确认"),
    "declaration.used": N_("登记用途"),
    "declaration.withdrawn": N_("撤回申报"),
    "declaration.handed_over": N_("下载交接文件"),
}


@blueprint.get("/bureau/declarations")
@staff_required(*READERS)
def listed() -> Answer:
    """What the records of a period add up to in each state, and the declarations with days in it."""
    may_read(house(), staff())
    today = clock.today()
    within, errors = Period(today.replace(month=1, day=1), today), {}
    try:
        asked = {name: text for name in ("from", "to") if (text := request.args.get(name))}
        last = read_day(asked["to"], "to") if "to" in asked else today
        first = read_day(asked["from"], "from") if "from" in asked else last.replace(month=1, day=1)
        within = period(first, last)
    except InvalidField as error:
        errors = form_errors(error)
    with house().db.snapshot() as connection:
        states = declared.states(connection, within.first, within.last)
    with house().db.reading_session() as session:
        found = declared.declarations(session, first=within.first, last=within.last)
        page = render_template(
            "activities/declarations.html",
            within=within,
            errors=errors,
            states=[(state.value, gettext(REDUCTION_STATE_NAMES[state]), states[state]) for state in states],
            declarations=found,
            titles=_titles(session),
            state_names=DECLARATION_STATE_NAMES,
            officer=Role.OFFICER in roles_here(),
        )
    return page, 422 if errors else 200


# --- report -------------------------------------------------------------------------------------------------


@dataclass
class Question:
    """What is to be reported, as it was typed."""

    methodology: str
    first: str
    last: str

    def read(self) -> tuple[str, date, date]:
        """Methodology and period. Raises InvalidField."""
        first, last = read_day(self.first, "from"), read_day(self.last, "to")
        with house().db.reading_session() as session:
            declaring.check_period(session, self.methodology, first, last)
        return self.methodology, first, last


@blueprint.get("/bureau/declarations/new")
@staff_required(Role.OFFICER)
def preview() -> Answer:
    """Choose methodology and period; once chosen, what would be declared."""
    may_read(house(), staff(), (Role.OFFICER,))
    if "methodology" in request.args:
        return _new_page(_question(request.args))
    end = clock.today().replace(day=1) - timedelta(days=1)
    return _new_page(Question("", end.replace(day=1).isoformat(), end.isoformat()), typed=False)


@blueprint.post("/bureau/declarations/new")
@staff_required(Role.OFFICER)
def report() -> Answer:
    """Report what the preview has shown; if that is no longer so, it is shown again."""
    may_read(house(), staff(), (Role.OFFICER,))
    question = _question(request.form)
    shown = tuple(request.form.get(name, type=int) for name in ("actions", "co2e_mg"))
    try:
        made = declaring.report(house(), staff(), *question.read(), seen=shown)
    except (InvalidField, NothingToDeclare, EstimateChanged) as error:
        return _new_page(question, error)
    return redirect(url_for("declarations.one", declaration_id=made.id), 303)


def _question(typed: Mapping[str, str]) -> Question:
    return Question(typed.get("methodology", ""), typed.get("from", ""), typed.get("to", ""))


def _new_page(question: Question, error: TanpuhuiError | None = None, *, typed: bool = True) -> Answer:
    within = estimates = None
    if typed and not isinstance(error, InvalidField):
        try:
            methodology, first, last = question.read()
            within = Period(first, last)
            with house().db.reading() as connection:
                estimates = declared.open_estimates(connection, methodology, first, last)
        except InvalidField as found:
            error = found
    with house().db.reading_session() as session:
        methodologies = all_methodologies(session)
    wanted = next((one for one in methodologies if one.code == question.methodology), None)
    page = render_template(
        "activities/declaration_new.html",
        question=question,
        errors=form_errors(error) if error else {},
        methodologies=[(one.code, title_of(one)) for one in methodologies],
        title=title_of(wanted),
        filing=wanted
        and wanted.filing_status is not FilingStatus.FILED
        and FILING_NAMES[wanted.filing_status],
        within=within,
        estimates=estimates,
    )
    return page, error.status if error else 200


# --- one declaration ----------------------------------------------------------------------------------------


@blueprint.get("/bureau/declarations/<uuid:declaration_id>")
@staff_required(*READERS)
def one(declaration_id: UUID) -> Answer:
    """A declaration, its history, and the form of its next step."""
    may_read(house(), staff())
    return _page(declaration_id)


@blueprint.post("/bureau/declarations/<uuid:declaration_id>/confirm")
@staff_required(Role.OFFICER)
def confirm(declaration_id: UUID) -> Answer:
    """Write down what the city confirmed."""

    def take(who: Principal) -> None:
        reference, milligrams = request.form.get("city_reference", ""), _milligrams("confirmed_kg")
        declaring.confirm(house(), who, declaration_id, city_reference=reference, confirmed_mg=milligrams)

    return _step(declaration_id, take)


@blueprint.post("/bureau/declarations/<uuid:declaration_id>/use")
@staff_required(Role.OFFICER)
def use(declaration_id: UUID) -> Answer:
    """Write down the one end use."""
    said = request.form.get("used_for", "")
    return _step(declaration_id, lambda who: declaring.use(house(), who, declaration_id, used_for=said))


@blueprint.post("/bureau/declarations/<uuid:declaration_id>/withdraw")
@staff_required(Role.OFFICER)
def withdraw(declaration_id: UUID) -> Answer:
    """Take a report back before it is confirmed."""
    said = request.form.get("reason", "")
    return _step(declaration_id, lambda who: declaring.withdraw(house(), who, declaration_id, reason=said))


def _step(declaration_id: UUID, take: Callable[[Principal], object]) -> Answer:
    """Take a step; what is wrong with it is said on the page of the declaration."""
    may_read(house(), staff(), (Role.OFFICER,))
    try:
        take(staff())
    except (InvalidField, DeclarationMovedOn) as error:
        return _page(declaration_id, error)
    return redirect(url_for("declarations.one", declaration_id=declaration_id), 303)


def _page(declaration_id: UUID, error: TanpuhuiError | None = None) -> Answer:
    errors = form_errors(error) if error else {}
    if "confirmed_mg" in errors:
        errors["confirmed_kg"] = errors.pop("confirmed_mg")
    with house().db.reading() as connection:
        estimates = declared.estimates_of(connection, declaration_id)
    with house().db.reading_session() as session:
        found = _found(session, declaration_id)
        page = render_template(
            "activities/declaration.html",
            declaration=found,
            state_name=gettext(DECLARATION_STATE_NAMES[found.state]),
            title=title_of(session.get(Methodology, found.methodology)),
            estimates=estimates,
            reported_kg=decimal_text(found.co2e_mg, 6),
            history=declared.history(session, found),
            deed_names=DEED_NAMES,
            officer=Role.OFFICER in roles_here(),
            form=request.form,
            errors=errors,
        )
    return page, error.status if error else 200


_KILOGRAMS = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?")


def _milligrams(name: str) -> int:
    """What stands in a field as kilograms. Raises InvalidField for what is no number of whole milligrams."""
    text = request.form.get(name, "").strip().replace(",", "")
    if not _KILOGRAMS.fullmatch(text):
        raise InvalidField(
            errors=[{"field": name, "reason": N_("请填写千克数，最多六位小数，例如 1280.5。")}]
        )
    return int(Decimal(text) * 10**6)


def _found(session: Session, declaration_id: UUID) -> Declaration:
    found = session.get(Declaration, declaration_id)
    if found is None:
        raise NotFound
    return found


# --- every record of a declaration --------------------------------------------------------------------------

#: Named as in the API, in any language: whoever takes the file, and whenever, it is the same byte for byte.
_COLUMNS = (
    "action_id", "day", "occurred_at", "kind", "quantity", "unit", "evidence", "factor_version", "methodology",
    "co2e_mg", "co2e_mid_mg", "co2e_high_mg", *(f"{name}_ug" for name in POLLUTANTS), "site_id", "division_code",
)  # fmt: skip


@blueprint.get("/bureau/declarations/<uuid:declaration_id>.csv")
@staff_required(*READERS)
def records(declaration_id: UUID) -> Answer:
    """Every record of a declaration as CSV, by which its sums can be computed again; that it was taken is written down."""
    may_read(house(), staff())
    with house().db.session() as session:
        found = _found(session, declaration_id)
        audit.note_by(session, staff(), deed="declaration.exported", subject=declared.subject(declaration_id))
    rows = _lines(declared.records(house().db, declaration_id), found.methodology)
    name = f"tanpuhui-declaration-{found.methodology}-{found.first}-{found.last}.csv"
    return Response(
        stream_sheet(_COLUMNS, rows),
        mimetype="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _lines(rows: Iterator[RowMapping], methodology: str) -> Iterator[list[str | int | None]]:
    for row in rows:
        written = {
            **row,
            "action_id": str(row["id"]),
            "day": row["day"].isoformat(),
            "occurred_at": iso(row["occurred_at"]),
            "quantity": plain_quantity(row["quantity_milli"]),
            "methodology": methodology,
            "site_id": str(row["site_id"]),
        }
        yield [written[name] for name in _COLUMNS]


# --- what was typed -----------------------------------------------------------------------------------------


def _titles(session: Session) -> dict[str, str]:
    return {one.code: title_of(one) for one in all_methodologies(session)}
