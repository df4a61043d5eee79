"""The bureau's pages of target sheets: out as XLSX or CSV, and in again after a look at what would change."""

import json
from typing import Any

from flask import Blueprint, Response, redirect, render_template, request, url_for

from tanpuhui import clock
from tanpuhui.bureau.pages import Answer
from tanpuhui.bureau.participation import READERS
from tanpuhui.bureau.target_imports import apply_sheet, dry_run, exported
from tanpuhui.bureau.target_sheets import COLUMNS, Line, Table, csv_of, read_table, xlsx_of
from tanpuhui.bureau.targets import EDITORS, FIRST_YEAR, LAST_YEAR, may_edit
from tanpuhui.errors import InvalidField, NotAllowed, TanpuhuiError
from tanpuhui.i18n import N_
from tanpuhui.web.auth import house, staff, staff_required
from tanpuhui.web.forms import form_errors

blueprint = Blueprint("target_sheet_desk", __name__)

_TYPES = {"xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "csv": "text/csv"}
#: The rows of a sheet stand in the form that applies it, which is no larger than any other.
LARGEST = 48 * 1024


def _year() -> int:
    year = request.args.get("year", clock.today().year, type=int)
    return min(max(year, FIRST_YEAR), LAST_YEAR)


@blueprint.get("/bureau/targets/export.<any(xlsx, csv):wanted>")
@staff_required(*READERS)
def export(wanted: str) -> Response:
    """The targets of a year that somebody may read, as a sheet."""
    rows = exported(house(), staff(), _year())
    answer = Response(xlsx_of(rows) if wanted == "xlsx" else csv_of(rows), mimetype=_TYPES[wanted])
    answer.headers["Content-Disposition"] = f"attachment; filename=targets-{_year()}.{wanted}"
    return answer


@blueprint.route("/bureau/targets/import", methods=["GET", "POST"])
@staff_required(*EDITORS)
def take_in() -> Answer:
    """Choose a sheet, look at what it would do, apply it."""
    with house().db.reading_session() as session:
        may_edit(session, house(), staff())
    if request.method == "GET":
        return _page(_year())
    try:
        if "rows" in request.form:
            return _apply(_year())
        return _look(_year(), _sent())
    except InvalidField as error:
        return _page(_year(), errors=form_errors(error)), error.status


def _sent() -> Table:
    """The file that was sent. Raises InvalidField if there is none, or too much of it."""
    file = request.files.get("file")
    content = file.read() if file else b""
    if not file or not content:
        raise InvalidField(errors=[{"field": "file", "reason": N_("请选择一个 XLSX 或 CSV 文件。")}])
    table = read_table(file.filename or "", content)
    if len(_carried(table).encode()) > LARGEST:
        reason = N_("文件里的文字太多，请分成两个文件导入。")
        raise InvalidField(errors=[{"field": "file", "reason": reason}])
    return table


def _carried(table: Table) -> str:
    """The rows of a sheet with their numbers, as text, from dry run to applying."""
    rows = [[line.row, *(line.get(column) for column in COLUMNS)] for line in table.lines]
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":"))


def _again(text: str) -> Table:
    """The sheet that the dry run looked at. Raises InvalidField for what no page of ours sent."""
    try:
        rows = [(int(row), [str(cell) for cell in cells]) for row, *cells in json.loads(text)]
        lines = [Line(row, dict(zip(COLUMNS, cells, strict=True))) for row, cells in rows]
    except (ValueError, TypeError, RecursionError):
        raise InvalidField(errors=[{"field": "file", "reason": N_("请重新选择文件。")}]) from None
    return Table(lines)


def _look(year: int, table: Table, error: TanpuhuiError | None = None) -> Answer:
    """What the sheet would do, with every problem; nothing is done."""
    plan = dry_run(house(), staff(), year, table)
    status = error.status if error else 422 if plan.problems else 200
    return _page(year, plan=plan, rows=_carried(table), errors=form_errors(error) if error else {}), status


def _apply(year: int) -> Answer:
    table = _again(request.form["rows"])
    reason, digest = request.form.get("reason", ""), request.form.get("digest", "")
    try:
        apply_sheet(house(), staff(), year, table, reason=reason, digest=digest)
    except NotAllowed:
        raise
    except TanpuhuiError as error:
        return _look(year, table, error)
    return redirect(url_for("target_desk.listed", year=year), 303)


def _page(year: int, **more: Any) -> str:
    given: dict[str, Any] = {"plan": None, "rows": "", "errors": {}, **more}
    return render_template(
        "bureau/targets_import.html", year=year, columns=list(COLUMNS), form=request.form, **given
    )
