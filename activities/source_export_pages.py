"""The bureau's page of sources: pollution, carbon and weights of a period by the register of sources, as CSV and XLSX."""

from typing import Any

from flask import Blueprint, Response, render_template
from werkzeug.wrappers import Response as AnyResponse

from activities import source_export
from activities.source_export import TABLE, Export
from tanpuhui import audit
from tanpuhui.bureau.pages import asked_period, spans
from tanpuhui.bureau.participation import READERS, may_read
from tanpuhui.bureau.sheets import csv_of, xlsx_of
from tanpuhui.errors import InvalidField
from tanpuhui.web.auth import house, staff, staff_required
from tanpuhui.web.formatting import language

blueprint = Blueprint("sources", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]

_TYPES = {
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


@blueprint.get("/bureau/sources")
@staff_required(*READERS)
def page() -> Answer:
    """What the export holds, what it adds up to, and which sites have no number yet."""
    may_read(house(), staff())
    within, errors = asked_period()
    with house().db.snapshot() as connection:
        found = source_export.export(connection, within)
    shown = render_template(
        "activities/sources.html",
        found=found,
        within=within,
        errors=errors,
        spans=spans(),
        without=_sites_without(found),
    )
    return (shown, 422) if errors else shown


def _sites_without(found: Export) -> list[dict[str, Any]]:
    """Each site without a number, once."""
    return list({line["site_id"]: line for line in found.without}.values())


@blueprint.get("/bureau/sources.<any(csv, xlsx):form>")
@staff_required(*READERS)
def export(form: str) -> Answer:
    """The lines of sites that have a number in the register."""
    found = _asked("registered")
    return _file(found, found.registered, "sources", form)


@blueprint.get("/bureau/sources-without-number.<any(csv, xlsx):form>")
@staff_required(*READERS)
def export_without(form: str) -> Answer:
    """The lines of sites that have none yet."""
    found = _asked("without_number")
    return _file(found, found.without, "sources-without-number", form)


def _asked(part: str) -> Export:
    """The export that the address asks for, noted: its lines are whole, also where few people are behind them.

    Raises InvalidField, NotAllowed.
    """
    may_read(house(), staff())
    within, errors = asked_period()
    if errors:
        raise InvalidField(errors=[{"field": name, "reason": reason} for name, reason in errors.items()])
    with house().db.session() as session:
        audit.saw(session, staff(), f"sources:{within.first}:{within.last}", part=part)
    with house().db.snapshot() as connection:
        return source_export.export(connection, within)


def _file(found: Export, lines: list[dict[str, Any]], name: str, form: str) -> Response:
    rows = source_export.cells(lines)
    body = xlsx_of(TABLE, rows, language()) if form == "xlsx" else csv_of(TABLE, rows)
    name = f"tanpuhui-{name}-{found.within.first}-{found.within.last}.{form}"
    return Response(
        body, mimetype=_TYPES[form], headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )
