"""Why was I not credited? A resident's refused scans of the last 30 days, each with its reason and what to do."""

from flask import Blueprint, render_template

from activities import attempts
from activities.attempts import KEPT
from tanpuhui.web.auth import house, resident, resident_required
from tanpuhui.web.problems import document

blueprint = Blueprint("attempts", __name__, template_folder="templates")


@blueprint.get("/me/attempts")
@resident_required
def page() -> str:
    """The refused scans, the latest first."""
    with house().db.reading() as connection:
        found = attempts.attempts_of(connection, resident().id)
    return render_template(
        "activities/attempts.html",
        attempts=[(attempt, document(attempt.refusal)) for attempt in found],
        days=KEPT.days,
    )
