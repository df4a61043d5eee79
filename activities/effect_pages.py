"""The bureau's page of the effect: what people would have done otherwise, and how many records are wrong."""

from flask import Blueprint, Response, render_template, request

from activities.effect import PARTS, UNITS, Effect, asked_period, effect
from activities.effect_sheets import PART_NAMES, SAID_NAMES, TABLE, WILSON, rows_of
from tanpuhui import clock
from tanpuhui.bureau.participation import READERS, may_read
from tanpuhui.bureau.sheets import csv_of, xlsx_of
from tanpuhui.errors import InvalidField
from tanpuhui.periods import CalendarPeriod
from tanpuhui.web.auth import house, staff, staff_required
from tanpuhui.web.forms import form_errors

blueprint = Blueprint("effect", __name__, template_folder="templates")

_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def _this_month() -> CalendarPeriod:
    return CalendarPeriod.containing("month", clock.today())


def _found(period: CalendarPeriod, kind: str | None) -> Effect:
    with house().db.snapshot() as connection:
        return effect(connection, period, house().settings.district_code, kind)


@blueprint.get("/bureau/effect")
@staff_required(*READERS)
def page() -> str | tuple[str, int]:
    """The effect of a period; of this month, where the address names none, or a wrong one."""
    may_read(house(), staff())
    errors: dict[str, str] = {}
    try:
        period = asked_period(request.args["period"]) if "period" in request.args else _this_month()
        found = _found(period, request.args.get("kind") or None)
    except InvalidField as error:
        errors = form_errors(error)
        found = _found(_this_month(), None)
    periods = [CalendarPeriod.containing(unit, clock.today()) for unit in UNITS]
    answer = render_template(
        "activities/effect.html",
        found=found,
        typed=request.args.get("period", found.period.name),
        errors=errors,
        parts=PARTS,
        wilson=WILSON,
        part_names=PART_NAMES,
        said_names=SAID_NAMES,
        periods=[one for period in periods for one in (period, period.before())],
    )
    return (answer, 422) if errors else answer


@blueprint.get("/bureau/effect.<any(csv, 'zh.xlsx', 'en.xlsx'):form>")
@staff_required(*READERS)
def sheet(form: str) -> Response:
    """The same as a sheet. Raises InvalidField."""
    may_read(house(), staff())
    found = _found(
        asked_period(request.args.get("period", _this_month().name)), request.args.get("kind") or None
    )
    body, kind = (
        (b"".join(csv_of(TABLE, rows_of(found))), "text/csv")
        if form == "csv"
        else (xlsx_of(TABLE, rows_of(found), form.partition(".")[0]), _XLSX)
    )
    name = "-".join(filter(None, ("tanpuhui-effect", found.period.name, found.kind)))
    headers = {"Content-Disposition": f'attachment; filename="{name}.{form}"', "Cache-Control": "no-store"}
    return Response(body, mimetype=kind, headers=headers)
