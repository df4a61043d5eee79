"""The bureau's pages: the overview of a period, and events that wait for staff."""

from datetime import date, timedelta
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from sqlalchemy.engine import Connection
from werkzeug.wrappers import Response as AnyResponse

from tanpuhui import audit, clock, divisions, outbox
from tanpuhui.bureau.participation import READERS, Period, may_read, period_or_month, read_day, statistics
from tanpuhui.db import session_on
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
    """Participants, actions and reductions of a period, by 街镇, day and kind."""
    may_read(house(), staff())
    within, errors = asked_period()
    with house().db.reading() as connection:
        page = render_template(
            "bureau/overview.html",
            within=within,
            errors=errors,
            total=statistics(connection, within)[0],
            streets=_streets(connection, within),
            days=_days(connection, within),
            kinds=statistics(connection, within, ["kind"]),
            spans=spans(),
        )
    return page, 422 if errors else 200


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


def _streets(connection: Connection, within: Period) -> list[dict[str, Any]]:
    """Every 街镇 in the order of its code, also those where nobody took part yet."""
    rows = {row["division"]: row for row in statistics(connection, within, ["division"])}
    with session_on(connection) as session:
        known = divisions.children(session, house().settings.district_code)
    return [{"name": street.name, **rows.get(street.code, _NOTHING)} for street in known]


def _days(connection: Connection, within: Period) -> list[dict[str, Any]]:
    """Every day of the period, also the empty ones."""
    rows = {row["day"]: row for row in statistics(connection, within, ["day"])}
    span = range((within.last - within.first).days + 1)
    return [
        {**rows.get(day, _NOTHING), "day": day} for day in (within.first + timedelta(days=at) for at in span)
    ]


_NOTHING = {"participants": 0, "actions": 0, "city_actions": 0, "co2e_mg": 0}


@blueprint.get("/bureau/parked")
@staff_required(*_MENDERS)
def parked() -> Answer:
    """Events that a subscriber gave up."""
    may_read(house(), staff(), _MENDERS)
    with house().db.reading() as connection:
        failures = outbox.parked(connection)
        lag = outbox.lag_seconds(connection, house().later)
    return render_template("bureau/parked.html", failures=failures, lag=lag)


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
