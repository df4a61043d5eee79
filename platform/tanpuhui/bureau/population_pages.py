"""The bureau's page of populations: how many people live where, with who says so."""

from flask import Blueprint, redirect, render_template, request, url_for

from tanpuhui.bureau.pages import Answer
from tanpuhui.bureau.participation import READERS, may_read
from tanpuhui.bureau.populations import ENTERERS, PopulationIn, all_populations, enter_population
from tanpuhui.bureau.view import choices
from tanpuhui.errors import InvalidField
from tanpuhui.web.auth import house, roles_here, staff, staff_required
from tanpuhui.web.forms import form_errors, typed_whole

blueprint = Blueprint("populations", __name__)


@blueprint.get("/bureau/populations")
@staff_required(*READERS)
def listed() -> Answer:
    """What was entered, and a form for more."""
    return _page({})


@blueprint.post("/bureau/populations")
@staff_required(*ENTERERS)
def enter() -> Answer:
    """Enter or replace how many people lived in a division in a year."""
    form = request.form
    entered = PopulationIn(
        division_code=form.get("division", ""),
        year=typed_whole(form.get("year", "")),
        people=typed_whole(form.get("people", "")),
        source=form.get("source", ""),
        reason=form.get("reason", ""),
    )
    try:
        enter_population(house(), staff(), entered)
    except InvalidField as error:
        return _page(form_errors(error))
    return redirect(url_for("populations.listed"), 303)


def _page(entering: dict[str, str]) -> Answer:
    """The page; `entering` is what is wrong with what was sent."""
    may_read(house(), staff())
    district = house().settings.district_code
    with house().db.snapshot() as connection:
        offered = choices(connection, district, district)
        page = render_template(
            "bureau/populations.html",
            populations=all_populations(connection),
            offered=offered,
            names={one.code: one.name for one in (offered.district, *offered.streets)},
            may_enter=bool(roles_here() & set(ENTERERS)),
            entering=entering,
            form=request.form,
        )
    return page, 422 if entering else 200
