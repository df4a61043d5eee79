"""The pages of recovery for everybody (`/recovery`) and for the bureau (`/bureau/recovery`)."""

from collections.abc import Iterator
from datetime import date
from uuid import UUID

from flask import Blueprint, Response, redirect, render_template, request, url_for
from sqlalchemy.engine import Connection
from sqlmodel import select
from werkzeug.wrappers import Response as AnyResponse

from activities import recovered
from activities.mass_balance import Balance, Line, balance
from activities.materials import MaterialKind
from activities.recovery_desk import answer_asked, asked_month, last_months
from activities.sites import Site
from tanpuhui import clock
from tanpuhui.bureau.participation import READERS, may_read
from tanpuhui.csvtext import write_sheet
from tanpuhui.db import session_on
from tanpuhui.errors import Conflict, InvalidField, TanpuhuiError
from tanpuhui.staff import Role
from tanpuhui.web.auth import house, roles_here, staff, staff_required
from tanpuhui.web.forms import form_errors

blueprint = Blueprint("recovery", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]

_ANSWERERS = (Role.OFFICER, Role.ADMIN)


# --- for everybody ------------------------------------------------------------------------------------------


@blueprint.get("/recovery")
def public() -> Answer:
    """Where clothes, glass and the rest went in the last twelve months; with a site in the address, where it handed over to."""
    today = clock.today()
    with house().db.snapshot() as connection:
        site = _named_site(connection)
        return render_template(
            "activities/recovery.html",
            stories=recovered.stories(connection, house().settings.district_code, today),
            first=recovered.months_until(today)[0],
            today=today,
            site=site,
            stops=recovered.from_site(connection, site.id, today) if site else [],
        )


def _named_site(connection: Connection) -> Site | None:
    try:
        site_id = UUID(request.args.get("site", ""))
    except ValueError:
        return None
    with session_on(connection) as session:
        site = session.get(Site, site_id)
        session.expunge_all()
    return site if site and not site.self_reports else None


@blueprint.app_template_global()
def material_brought(kind: str) -> str | None:
    """The code of the material that a kind of action brings in, if it does."""
    with house().db.reading_session() as session:
        return session.exec(select(MaterialKind.material).where(MaterialKind.kind == kind)).first()


@blueprint.app_template_global()
def collects_material(site_id: UUID) -> bool:
    """Whether one can ask where the material of a site went."""
    with house().db.reading() as connection:
        return recovered.collects(connection, site_id)


# --- for the bureau -----------------------------------------------------------------------------------------


@blueprint.get("/bureau/recovery")
@staff_required(*READERS)
def bureau() -> Answer:
    """The balance of a month, what does not add up, and the share of low-value materials over time."""
    return _bureau()


def _bureau(error: TanpuhuiError | None = None, alarm: str = "") -> Answer:
    may_read(house(), staff())
    month = asked_month()
    with house().db.snapshot() as connection:
        found = balance(connection, clock.today().replace(day=1))
        page = render_template(
            "activities/recovery_bureau.html",
            found=found,
            lines=_moved(found, month),
            month=month,
            months=[("", [(f"{one:%Y-%m}", f"{one:%Y-%m}") for one in last_months(24)])],
            shares=recovered.low_value_shares(connection, house().settings.district_code, clock.today()),
            may_answer=bool(roles_here() & set(_ANSWERERS)),
            form=request.form,
            errors={alarm: form_errors(error)} if error else {},
        )
    return (page, error.status) if error else page


def _moved(found: Balance, month: date) -> list[Line]:
    """The balances of a month in which something moved or lay, yards first."""
    order = ("yard", "station", "point")
    lines = [
        line
        for line in found.lines
        if line.month == month
        and any((line.opening, line.brought_in, line.received, line.handed_on, line.counted))
    ]
    return sorted(
        lines,
        key=lambda line: (
            line.material,
            order.index(found.sites[line.site_id].level),
            found.sites[line.site_id].name,
        ),
    )


@blueprint.post("/bureau/recovery/alarms")
@staff_required(*_ANSWERERS)
def answer() -> Answer:
    """Say as the bureau why weights differ."""
    may_read(house(), staff(), _ANSWERERS)
    try:
        answer_asked()
    except (InvalidField, Conflict) as error:
        return _bureau(error, request.form.get("alarm", ""))
    return redirect(url_for("recovery.bureau"), 303)


#: Named as in the API, in any language. Weights in grams.
_COLUMNS = (
    "month", "site_id", "source_register", "site", "level", "division_code", "material", "opening_g", "brought_in_g",
    "received_g", "handed_on_g", "book_g", "counted_g", "difference_g", "tolerance_g", "alarm",
)  # fmt: skip


@blueprint.get("/bureau/recovery.csv")
@staff_required(*READERS)
def balance_csv() -> Answer:
    """The balance of a month as CSV."""
    may_read(house(), staff())
    month = asked_month()
    with house().db.snapshot() as connection:
        found = balance(connection, month)
    body = write_sheet(_COLUMNS, _cells(found, month))
    name = f"tanpuhui-recovery-{month:%Y-%m}.csv"
    return Response(
        body, mimetype="text/csv", headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


def _cells(found: Balance, month: date) -> Iterator[list[str | int | None]]:
    for line in _moved(found, month):
        site = found.sites[line.site_id]
        yield [
            f"{month:%Y-%m}", str(site.id), site.source_register, site.name, site.level.value, site.division_code,
            line.material, line.opening, line.brought_in, line.received, line.handed_on, line.book, line.counted,
            line.difference, line.tolerance, "yes" if line.beyond else "no",
        ]  # fmt: skip
