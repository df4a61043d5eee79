"""The bureau's page of synergy: pollution beside carbon over a period, and the year's totals it is related to."""

from fractions import Fraction
from typing import Any

from babel.numbers import format_decimal
from flask import Blueprint, redirect, render_template, request, url_for

from tanpuhui.bureau.cocontrol import QUADRANTS, READINGS, rounded
from tanpuhui.bureau.pages import Answer, asked_period, spans
from tanpuhui.bureau.participation import READERS, may_read
from tanpuhui.bureau.quadrant_points import points
from tanpuhui.bureau.synergy import (
    ENTERERS,
    SUBSTANCES,
    TotalIn,
    enter_total,
    synergy,
    totals,
)
from tanpuhui.errors import InvalidField
from tanpuhui.web.auth import house, roles_here, staff, staff_required
from tanpuhui.web.formatting import language
from tanpuhui.web.forms import form_errors, typed_whole

blueprint = Blueprint("synergy", __name__)


@blueprint.app_template_filter()
def digits(value: Fraction) -> str:
    """A ratio as people read it: 5,263.16; a small one is never shown as 0."""
    text: str = format_decimal(
        rounded(value), format="#,##0.00################", locale=language(), decimal_quantization=False
    )
    return text.replace("-", "\N{MINUS SIGN}")


@blueprint.get("/bureau/synergy")
@staff_required(*READERS)
def indicators() -> Answer:
    """Pollution beside carbon over a period: equivalents, cross-elasticity, quadrant; and the year's totals."""
    return _page({})


@blueprint.post("/bureau/synergy")
@staff_required(*ENTERERS)
def enter() -> Answer:
    """Enter or replace the district's total of a substance in a year."""
    form = request.form
    total = TotalIn(
        year=typed_whole(form.get("year", "")),
        substance=form.get("substance", ""),
        kilograms=typed_whole(form.get("kilograms", "")),
        source=form.get("source", ""),
        reason=form.get("reason", ""),
    )
    try:
        enter_total(house(), staff(), total)
    except InvalidField as error:
        return _page(form_errors(error))
    asked: dict[str, Any] = {
        name: request.args[name] for name in ("from", "to", "kind") if name in request.args
    }
    return redirect(url_for("synergy.indicators", **asked, _anchor="totals"), 303)


def _page(entering: dict[str, str]) -> Answer:
    """The page; `entering` is what is wrong with the total that was sent."""
    may_read(house(), staff())
    within, errors = asked_period()
    district = house().settings.district_code
    with house().db.snapshot() as connection:
        kind = request.args.get("kind") or None
        try:
            found = synergy(connection, within, district, kind)
        except InvalidField as error:
            errors |= form_errors(error)
            found = synergy(connection, within, district)
        page = render_template(
            "bureau/synergy.html",
            found=found,
            errors=errors,
            spans=spans(),
            points={"own": points(found.own.kinds), "city": points(found.city.kinds)},
            totals=totals(connection),
            substances=SUBSTANCES,
            readings=READINGS,
            quadrants=QUADRANTS,
            may_enter=bool(roles_here() & set(ENTERERS)),
            entering=entering,
            form=request.form,
        )
    return page, 422 if errors or entering else 200
