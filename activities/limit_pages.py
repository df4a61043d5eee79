"""The limits of a site, set by its organisers: opening hours, and how often a day it credits a resident each kind."""

from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from activities import sites
from activities.sites import MANAGERS
from tanpuhui.errors import InvalidField
from tanpuhui.i18n import N_
from tanpuhui.web.auth import house, staff, staff_required
from tanpuhui.web.forms import form_errors

blueprint = Blueprint("site_limits", __name__, template_folder="templates")


@blueprint.route("/console/sites/<uuid:site_id>/limits", methods=["GET", "POST"])
@staff_required(*MANAGERS)
def page(site_id: UUID) -> str | AnyResponse | tuple[str, int]:
    """Show and set the limits of a site."""
    with house().db.reading_session() as session:
        site = sites.get_site(session, staff(), site_id)
        kinds = sites.kinds_of(session, site_id)
        stored = {
            "schedule": site.schedule,
            **{f"per_day-{k}": n for k, n in sites.limits_of(session, site_id).items()},
        }
    errors: dict[str, str] = {}
    if request.method == "POST":
        try:
            sites.set_limits(
                house(),
                staff(),
                site_id,
                schedule=request.form.get("schedule", ""),
                records_per_day={kind.code: _number(kind.code) for kind in kinds},
                reason=request.form.get("reason", ""),
            )
            return redirect(url_for("console.site", site_id=site_id), 303)
        except InvalidField as error:
            errors = form_errors(error)
    shown = request.form if request.method == "POST" else stored
    answer = render_template("activities/site_limits.html", site=site, kinds=kinds, form=shown, errors=errors)
    return (answer, 422) if errors else answer


def _number(kind: str) -> int | None:
    """The number typed for a kind; None for an empty field. Raises InvalidField."""
    name = f"per_day-{kind}"
    text = request.form.get(name, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 4):
        raise InvalidField(errors=[{"field": name, "reason": N_("请填写整数，留空表示按目录的规定。")}])
    return int(text)
