"""The bureau's statistics to take away: choose days, breakdown and form; what is wrong is said beside its field."""

from collections.abc import Mapping, Sequence
from typing import Any

from flask import Blueprint, Response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from tanpuhui.bureau.pages import asked_period
from tanpuhui.bureau.participation import READERS, may_read
from tanpuhui.bureau.sheets import Row, Table, csv_of, json_of, xlsx_of
from tanpuhui.bureau.statistics_sheets import BREAKDOWNS, VIEW, check, rows_of, table_of, view_rows
from tanpuhui.bureau.view import read_view
from tanpuhui.errors import InvalidField
from tanpuhui.web.auth import house, staff, staff_required
from tanpuhui.web.formatting import language
from tanpuhui.web.forms import form_errors

blueprint = Blueprint("statistics", __name__)

_KINDS = {
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "csv": "text/csv",
    "json": "application/json",
}


@blueprint.get("/bureau/statistics")
@staff_required(*READERS)
def export() -> str | Response | tuple[str, int]:
    """The form; once a form of file is chosen, the file."""
    may_read(house(), staff())
    within, errors = asked_period()
    by = [name for text in request.args.getlist("by") for name in text.split(",") if name]
    form = request.args.get("form", "")
    try:
        chosen = check(by)
    except InvalidField as error:
        chosen, errors = (), {**errors, **form_errors(error)}
    if form in _KINDS and not errors:
        return _file(form, chosen)
    page = render_template(
        "bureau/statistics_export.html",
        within=within,
        by=by or ["division", "kind"],
        breakdowns=BREAKDOWNS,
        errors=errors,
    )
    return (page, 422) if errors else page


def _file(form: str, by: tuple[str, ...]) -> Response:
    within, _ = asked_period()
    with house().db.snapshot() as connection:
        rows = list(rows_of(connection, within, by, house().settings.district_code, language()))
    days = {"from": within.first.isoformat(), "to": within.last.isoformat(), "by": list(by)}
    return _sheet(table_of(by), rows, form, f"{within.first}-{within.last}", days)


@blueprint.get("/bureau/statistics.<any(csv, json, xlsx):form>")
@staff_required(*READERS)
def download(form: str) -> AnyResponse:
    """What the page of the bureau shows, with its filters, as a file; what is wrong with them is said on that page."""
    may_read(house(), staff())
    with house().db.snapshot() as connection:
        view, offered, wrong = read_view(connection, request.args, house().settings.district_code)
        if wrong:
            return redirect(f"{url_for('bureau.overview')}?{request.query_string.decode('latin-1')}")
        inside = offered.streets if view.area == offered.district.code else offered.communities
        areas = [one.code for one in inside if one.code != view.area and one.code.startswith(view.area)]
        rows = list(view_rows(connection, view, areas, language()))
    return _sheet(VIEW, rows, form, f"{view.period.name}-{view.area}", view.address())


def _sheet(table: Table, rows: Sequence[Row], form: str, name: str, about: Mapping[str, Any]) -> Response:
    match form:
        case "csv":
            body = b"".join(csv_of(table, rows))
        case "json":
            body = b"".join(json_of(table, rows, about))
        case _:
            body = xlsx_of(table, rows, language())
    disposition = f'attachment; filename="tanpuhui-statistics-{name}.{form}"'
    headers = {"Content-Disposition": disposition, "Cache-Control": "no-store"}
    return Response(body, mimetype=_KINDS[form], headers=headers)
