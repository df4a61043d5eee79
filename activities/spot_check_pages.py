"""The bureau's pages of spot checks: the samples of a month, one sample with its records, and the error rates."""

from datetime import date
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response as AnyResponse

from activities import spot_judging
from activities.error_rates import error_rates
from activities.spot_checks import Outcome, draw_again, months_over
from activities.spot_judging import JUDGES, OUTCOME_NAMES
from tanpuhui import clock
from tanpuhui.bureau.participation import READERS, may_read
from tanpuhui.db import session_on
from tanpuhui.errors import InvalidField, TanpuhuiError
from tanpuhui.web.auth import house, roles_here, saw, staff, staff_required
from tanpuhui.web.forms import form_errors

blueprint = Blueprint("spot_checks", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]


def _asked_month(name: str, otherwise: date) -> date:
    """The month that the address or the form names (2026-10), or another where it names none."""
    try:
        return date.fromisoformat(f"{request.values.get(name, '')}-01")
    except ValueError:
        return otherwise


def _options(months: list[date]) -> list[tuple[str, list[tuple[str, str]]]]:
    return [("", [(f"{month:%Y-%m}", f"{month:%Y-%m}") for month in months])]


@blueprint.get("/bureau/spot-checks")
@staff_required(*READERS)
def listed() -> Answer:
    """The samples of a month, with how far each has come."""
    return _list({})


def _list(errors: dict[str, str]) -> Answer:
    may_read(house(), staff())
    months = months_over(house().settings, clock.now())
    month = _asked_month("month", months[0])
    with house().db.reading_session() as session:
        found = spot_judging.samples_of(session, month)
    page = render_template(
        "activities/spot_checks.html",
        month=month,
        months=_options(months),
        samples=found,
        may_judge=bool(roles_here() & set(JUDGES)),
        settings=house().settings,
        errors=errors,
    )
    return (page, 422) if errors else page


@blueprint.post("/bureau/spot-checks")
@staff_required(*JUDGES)
def draw() -> Answer:
    """Draw what was not drawn yet of a month that is over; sent twice, the second finds it done."""
    month = _asked_month("month", date.max)
    try:
        spot_judging.draw_month(house(), staff(), month)
    except InvalidField as error:
        return _list(form_errors(error))
    return redirect(url_for("spot_checks.listed", month=f"{month:%Y-%m}"), 303)


@blueprint.get("/bureau/spot-checks/rates")
@staff_required(*READERS)
def rates() -> Answer:
    """The error rates of the district, its sites and its campaigns over some months."""
    may_read(house(), staff())
    months = months_over(house().settings, clock.now())
    first, last = _asked_month("from", months[-1]), _asked_month("to", months[0])
    first, last = min(first, last), max(first, last)
    with house().db.snapshot() as connection:
        found = error_rates(connection, first, last)
    return render_template(
        "activities/error_rates.html", found=found, months=_options(months), first=first, last=last
    )


@blueprint.get("/bureau/spot-checks/<uuid:check_id>")
@staff_required(*READERS)
def one(check_id: UUID) -> Answer:
    """A sample with its records; who looked is written down."""
    page = _one(check_id)
    saw(f"spot_check:{check_id}")
    return page


def _one(check_id: UUID, wrong: tuple[UUID, TanpuhuiError] | None = None) -> Answer:
    """The page of a sample; `wrong`: the record whose form was refused, and why."""
    with house().db.snapshot() as connection, session_on(connection) as session:
        check, name, items = spot_judging.one_sample(session, house(), staff(), check_id)
        again = None
        if "again" in request.args:
            drawn = draw_again(connection, check, len(items))
            again = drawn == [looked.item.action_id for looked in items]
    page = render_template(
        "activities/spot_check.html",
        check=check,
        name=name,
        items=items,
        again=again,
        outcomes=OUTCOME_NAMES,
        findings=[
            (
                "",
                [
                    (key.value, gettext(text))
                    for key, text in OUTCOME_NAMES.items()
                    if key is not Outcome.RIGHT
                ],
            )
        ],
        may_judge=bool(roles_here() & set(JUDGES)),
        errors={wrong[0]: form_errors(wrong[1])} if wrong else {},
        form=request.form,
    )
    return (page, wrong[1].status) if wrong else page


@blueprint.post("/bureau/spot-checks/<uuid:check_id>/<uuid:action_id>")
@staff_required(*JUDGES)
def judge(check_id: UUID, action_id: UUID) -> Answer:
    """Say what one found of a record; what was written stays in the field until it is taken."""
    form = request.form
    try:
        outcome, words = spot_judging.read_judgement(form.get("outcome", ""), form.get("words", ""))
        spot_judging.judge(house(), staff(), check_id, action_id, outcome, words)
    except InvalidField as error:
        return _one(check_id, (action_id, error))
    return redirect(url_for("spot_checks.one", check_id=check_id, _anchor=f"item-{action_id}"), 303)
