"""The bureau's page of synergy: pollution beside carbon over a period, and the year's totals it is related to."""

import re
import unicodedata
from fractions import Fraction
from typing import Any, NamedTuple

from babel.numbers import format_decimal
from flask import Blueprint, redirect, render_template, request, url_for

from tanpuhui.bureau.cocontrol import QUADRANTS, READINGS, Pair, Quadrant, quadrant, rounded
from tanpuhui.bureau.pages import Answer, asked_period, spans
from tanpuhui.bureau.participation import READERS, may_read
from tanpuhui.bureau.synergy import (
    ENTERERS,
    SUBSTANCES,
    Part,
    TotalIn,
    enter_total,
    synergy,
    totals,
)
from tanpuhui.errors import InvalidField
from tanpuhui.measures import POLLUTANTS
from tanpuhui.web.auth import house, roles_here, staff, staff_required
from tanpuhui.web.formatting import language
from tanpuhui.web.forms import form_errors

blueprint = Blueprint("synergy", __name__)


class Point(NamedTuple):
    """A kind of action in the picture of the quadrants, from -100 to 100; `number` is that of its row beside it."""

    number: int
    kind: str
    pair: Pair
    x: int
    y: int
    place: Quadrant


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
        year=_whole(form.get("year", "")),
        substance=form.get("substance", ""),
        kilograms=_whole(form.get("kilograms", "")),
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


def _whole(text: str) -> int | None:
    """A whole number as it is typed or pasted, with its thousands parted or not; None for anything else."""
    plain = re.sub(r"[,\s]", "", unicodedata.normalize("NFKC", text))
    return int(plain) if re.fullmatch(r"[0-9]{1,18}", plain) else None


def _page(entering: dict[str, str]) -> Answer:
    """The page; `entering` is what is wrong with the total that was sent."""
    may_read(house(), staff())
    within, errors = asked_period()
    with house().db.snapshot() as connection:
        kind = request.args.get("kind") or None
        try:
            found = synergy(connection, within, kind)
        except InvalidField as error:
            errors |= form_errors(error)
            found = synergy(connection, within)
        page = render_template(
            "bureau/synergy.html",
            found=found,
            errors=errors,
            spans=spans(),
            points={"own": _points(found.own), "city": _points(found.city)},
            totals=totals(connection),
            substances=SUBSTANCES,
            readings=READINGS,
            quadrants=QUADRANTS,
            may_enter=bool(roles_here() & set(ENTERERS)),
            entering=entering,
            form=request.form,
        )
    return page, 422 if errors or entering else 200


def _points(part: Part) -> dict[str, list[Point]]:
    """For each pollutant that can be compared, where the kinds of action lie; each axis to its own scale."""
    shown = [kind for kind in part.kinds if any(pair.compared for pair in kind.pairs.values())]
    found = {}
    for name in POLLUTANTS:
        pairs = {
            (number, kind.kind): kind.pairs[name]
            for number, kind in enumerate(shown, 1)
            if kind.pairs[name].compared
        }
        widest = max((abs(pair.compared_co2e_mg) for pair in pairs.values()), default=0)
        highest = max((abs(pair.compared_ug) for pair in pairs.values()), default=0)
        found[name] = [
            Point(
                *which,
                pair,
                _along(pair.compared_co2e_mg, widest),
                _along(pair.compared_ug, highest),
                quadrant(pair.compared_co2e_mg, pair.compared_ug),
            )
            for which, pair in pairs.items()
        ]
    return {name: points for name, points in found.items() if points}


def _along(value: int, most: int) -> int:
    """`value` to a scale of `most` = 100; what is off the axis is seen to be."""
    if not value:
        return 0
    return max(12, abs(value) * 100 // most) * (1 if value > 0 else -1)
