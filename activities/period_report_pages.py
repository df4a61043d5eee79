"""The bureau's pages of monthly and yearly reports: what there is, to ask for one, to look on while it is made, to read and to take away."""

from collections.abc import Iterator

from flask import Blueprint, Response, redirect, render_template, request, url_for
from sqlalchemy.engine import Connection
from werkzeug.wrappers import Response as AnyResponse

from activities import period_report_numbers, period_reports
from activities.period_report_sheets import REPORT, rows_of
from activities.period_report_words import made, sections, title
from activities.period_reports import UNITS, PeriodReport, settled_on
from tanpuhui import clock
from tanpuhui.bureau.participation import READERS, may_read
from tanpuhui.bureau.sheets import csv_of, json_of, xlsx_of
from tanpuhui.bureau.view import View
from tanpuhui.errors import InvalidField, NotFound
from tanpuhui.periods import CalendarPeriod
from tanpuhui.staff import Role
from tanpuhui.web.auth import house, roles_here, staff, staff_required
from tanpuhui.web.forms import form_errors

blueprint = Blueprint("period_reports", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]

_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@blueprint.get("/bureau/reports")
@staff_required(*READERS)
def listed() -> Answer:
    """Every report, and the form to ask for one."""
    may_read(house(), staff())
    return _listed()


def _listed(error: InvalidField | None = None) -> Answer:
    with house().db.reading_session() as session:
        found = period_reports.reports(session)
        wanted = list(_not_made(session.connection(), {report.period for report in found}))
    if any(report.finished_at is None for report in found):
        period_reports.look_after(house())
    page = render_template(
        "activities/period_reports.html",
        reports=found,
        wanted=wanted,
        officer=Role.OFFICER in roles_here(),
        form=request.form,
        errors=form_errors(error) if error else {},
    )
    return (page, error.status) if error else page


def _not_made(connection: Connection, known: set[str]) -> Iterator[str]:
    """The periods that are settled and have no report, the latest first, years before months."""
    first = period_report_numbers.first_day(connection)
    if first is None:
        return
    for unit in reversed(UNITS):
        period = CalendarPeriod.containing(unit, clock.today())
        while period.last >= first:
            if settled_on(period, house().settings.late_hours) <= clock.today() and period.name not in known:
                yield period.name
            period = period.before()


@blueprint.post("/bureau/reports")
@staff_required(Role.OFFICER)
def ask() -> Answer:
    """Ask for a report, and look on."""
    may_read(house(), staff(), (Role.OFFICER,))
    try:
        name = period_reports.order(house(), staff(), request.form.get("period", ""))
    except InvalidField as error:
        return _listed(error)
    return redirect(url_for("period_reports.one", name=name), 303)


@blueprint.get("/bureau/reports/<name>")
@staff_required(*READERS)
def one(name: str) -> Answer:
    """A report to read; how far it is until then."""
    report = _report(name)
    if report.finished_at is None:
        period_reports.look_after(house())
        return render_template("activities/period_report_made.html", report=report)
    return render_template(
        "activities/period_report.html",
        report=report,
        title=title(report.snapshot),
        made=made(report.snapshot),
        parts=sections(report.snapshot),
        view=View(CalendarPeriod.parse(report.period), house().settings.district_code),
    )


@blueprint.get("/bureau/reports/<name>.<any(zh, en):wanted>.pdf")
@staff_required(*READERS)
def pdf(name: str, wanted: str) -> Response:
    """The report to print, as it was drawn."""
    report = _report(name)
    return _file(report.pdf_zh if wanted == "zh" else report.pdf_en, "application/pdf", name, f"{wanted}.pdf")


@blueprint.get("/bureau/reports/<name>.<any(csv, json, 'zh.xlsx', 'en.xlsx'):form>")
@staff_required(*READERS)
def sheet(name: str, form: str) -> Response:
    """The numbers of the report as a sheet."""
    report = _report(name)
    if report.made_at is None:
        raise NotFound
    rows = rows_of(report.snapshot)
    match form:
        case "csv":
            return _file(b"".join(csv_of(REPORT, rows)), "text/csv", name, form)
        case "json":
            about = {"period": name, "made_at": report.snapshot["made_at"]}
            return _file(b"".join(json_of(REPORT, rows, about)), "application/json", name, form)
        case _:
            return _file(xlsx_of(REPORT, rows, form.partition(".")[0]), _XLSX, name, form)


def _report(name: str) -> PeriodReport:
    may_read(house(), staff())
    with house().db.reading_session() as session:
        return period_reports.report_of(session, name)


def _file(body: bytes | None, kind: str, name: str, form: str) -> Response:
    if body is None:
        raise NotFound
    disposition = f'attachment; filename="tanpuhui-report-{name}.{form}"'
    return Response(
        body, mimetype=kind, headers={"Content-Disposition": disposition, "Cache-Control": "no-store"}
    )
