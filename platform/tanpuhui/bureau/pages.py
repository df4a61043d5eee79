"""The bureau's pages: the dashboard, and events that wait for staff."""

from collections.abc import Sequence
from datetime import date, timedelta

from flask import Blueprint, redirect, render_template, request, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response as AnyResponse

from tanpuhui import audit, clock, outbox
from tanpuhui.bureau.cocontrol import QUADRANTS
from tanpuhui.bureau.dashboard import Line, dashboard
from tanpuhui.bureau.participation import READERS, Period, may_read, period_or_month, read_day
from tanpuhui.bureau.populations import per_thousand
from tanpuhui.bureau.quadrant_points import points
from tanpuhui.bureau.tiles import tile_rows
from tanpuhui.bureau.view import View, read_view
from tanpuhui.errors import InvalidField, NotFound
from tanpuhui.staff import Role
from tanpuhui.web.auth import house, staff, staff_required
from tanpuhui.web.forms import form_errors

blueprint = Blueprint("bureau", __name__)

Answer = str | AnyResponse | tuple[str, int]

_MENDERS = (Role.OFFICER, Role.ADMIN)


@blueprint.get("/bureau")
@staff_required(*READERS)
def overview() -> Answer:
    """The dashboard: what a period added up to, where, by what, and beside what it was before."""
    return _dashboard({}, see_all=False)


@blueprint.post("/bureau")
@staff_required(*READERS)
def see_all() -> Answer:
    """The same view with nothing withheld, once, for who says why."""
    may_read(house(), staff())
    try:
        reason = audit.reason(request.form.get("reason", ""))
    except InvalidField as error:
        return _dashboard(form_errors(error), see_all=False)
    return _dashboard({}, see_all=True, reason=reason)


def _dashboard(asking: dict[str, str], *, see_all: bool, reason: str = "") -> Answer:
    """The page; `asking` is what is wrong with the reason for seeing all of it."""
    may_read(house(), staff())
    district = house().settings.district_code
    with house().db.snapshot() as connection:
        view, offered, wrong = read_view(connection, request.args, district)
        found = dashboard(connection, view, offered, see_all=see_all)
    if see_all:
        _note_that_all_was_seen(view, reason)
    streets = (offered.district, *offered.streets, *offered.communities)
    today = clock.today()
    page = render_template(
        "bureau/overview.html",
        found=found,
        view=view,
        offered=offered,
        area=offered.division(view.area),
        names={one.code: one.name for one in streets},
        anchor=min(max(today, view.period.first), view.period.last),
        errors={field: gettext(text) for field, text in wrong.items()},
        asking=asking,
        see_all=see_all,
        tile_rows=tile_rows(district) if view.area == district else (),
        lines_of={line.of: line for line in found.places},
        levels=levels(found.places),
        pictures={"own": points(found.own_kinds), "city": points(found.city_kinds)},
        today=today,
        quadrants=QUADRANTS,
        per_thousand=per_thousand,
    )
    return page, 422 if wrong or asking else 200


#: How dark a tile may be; the number stands in it anyway.
_DARKEST = 4


def levels(places: Sequence[Line]) -> dict[str, int]:
    """How dark the tile of each place is: 0 for nothing saved or nothing told, the darkest for the most."""
    saved = {line.of: max(0, line.numbers["co2e_mg"]) if line.numbers else 0 for line in places}
    most = max(saved.values(), default=0)
    return {of: -(-amount * _DARKEST // most) if amount else 0 for of, amount in saved.items()}


def _note_that_all_was_seen(view: View, reason: str) -> None:
    with house().db.session() as session:
        subject = f"dashboard:{view.period.name}:{view.area}"
        audit.saw(session, staff(), subject, reason, kind=view.kind, campaign=view.campaign)


def asked_period() -> tuple[Period, dict[str, str]]:
    """The period that the address asks for, or the last 30 days with what is wrong with it."""
    try:
        first, last = (
            read_day(text, name) if (text := request.args.get(name)) else None for name in ("from", "to")
        )
        return period_or_month(first, last), {}
    except InvalidField as error:
        return period_or_month(None, None), form_errors(error)


def spans() -> list[tuple[int | None, date, date]]:
    """Periods to choose from: so many days until today, and this year (no number)."""
    today = clock.today()
    last = [(days, today - timedelta(days=days - 1), today) for days in (7, 30, 90)]
    return [*last, (None, today.replace(month=1, day=1), today)]


@blueprint.get("/bureau/parked")
@staff_required(*_MENDERS)
def parked() -> Answer:
    """Events that a subscriber gave up."""
    may_read(house(), staff(), _MENDERS)
    with house().db.reading() as connection:
        failures = outbox.parked(connection)
        lag = outbox.lag_seconds(connection, house().later)
    titles = house().later_titles
    return render_template("bureau/parked.html", failures=failures, lag=lag, titles=titles)


@blueprint.post("/bureau/parked")
@staff_required(*_MENDERS)
def deliver_again() -> Answer:
    """Give a parked event another row of attempts."""
    subscriber, position = request.form.get("subscriber", ""), request.form.get("position", type=int)
    who = staff()
    may_read(house(), who, _MENDERS)
    with house().db.session() as session:
        if (
            position is None
            or not 0 < position < 2**62
            or not outbox.deliver_again(session.connection(), subscriber, position)
        ):
            raise NotFound
        audit.note_by(
            session,
            who,
            deed="event.delivered_again",
            subject=f"event:{position}",
            subscriber=subscriber,
        )
    return redirect(url_for("bureau.parked"), 303)
