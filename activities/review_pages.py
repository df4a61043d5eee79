"""The pages of review: what waits, and the decision on each."""

from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response as AnyResponse

from activities import review, review_desk
from activities.replacing import BETTER_PROVEN
from activities.review_desk import LOOKED_AT, REASONS, Waiting
from activities.sites import MANAGERS
from tanpuhui import clock
from tanpuhui.bureau.answers import ANSWERERS
from tanpuhui.errors import AlreadyReviewed, InvalidField
from tanpuhui.i18n import N_
from tanpuhui.web.auth import house, roles_here, saw, staff, staff_required
from tanpuhui.web.forms import form_errors

blueprint = Blueprint("reviews", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]

_PREPARED = {LOOKED_AT, BETTER_PROVEN, *REASONS}


@blueprint.app_template_filter()
def review_reason(reason: str) -> str:
    """Why something was decided so: a prepared sentence in the page's language, own words as they are."""
    return str(gettext(reason)) if reason in _PREPARED else reason


@blueprint.app_template_global()
def reviews_waiting() -> Waiting:
    """What waits for review in the scope of the member of staff who is asking."""
    with house().db.reading_session() as session:
        return review_desk.waiting(session, staff(), clock.today())


@blueprint.get("/bureau/reviews")
@staff_required(*MANAGERS)
def queue() -> Answer:
    """The records that wait, the most urgent first, and what was decided lately."""
    with house().db.reading_session() as session:
        return render_template(
            "activities/reviews.html",
            found=review_desk.queue(session, staff()),
            decided=review_desk.decided(session, staff()),
            waiting=review_desk.waiting(session, staff(), clock.today()),
            today=clock.today(),
            may_answer=bool(roles_here() & set(ANSWERERS)),
        )


@blueprint.get("/bureau/reviews/<uuid:action_id>")
@staff_required(*MANAGERS)
def one(action_id: UUID) -> Answer:
    """A record that waits, or what was decided on it; who looked is written down."""
    page = _one(action_id)
    saw(f"action:{action_id}")
    return page


def _one(action_id: UUID, errors: dict[str, str] | None = None) -> str:
    with house().db.reading_session() as session:
        action, reviewed, site = review_desk.one(session, staff(), action_id)
        return render_template(
            "activities/review_one.html",
            action=action,
            review=reviewed,
            site=site,
            today=clock.today(),
            reasons=[(reason, gettext(reason), "") for reason in REASONS],
            form=request.form,
            errors=errors,
        )


@blueprint.post("/bureau/reviews/<uuid:action_id>/confirm")
@staff_required(*MANAGERS)
def confirm(action_id: UUID) -> Answer:
    """Confirm a record in one tap; a second tap changes nothing."""
    try:
        review.confirm_action(house(), staff(), action_id, LOOKED_AT)
    except AlreadyReviewed as error:
        return _one(action_id, form_errors(error)), error.status
    return redirect(url_for("reviews.queue"), 303)


@blueprint.post("/bureau/reviews/<uuid:action_id>/reject")
@staff_required(*MANAGERS)
def reject(action_id: UUID) -> Answer:
    """Reject a record with a prepared sentence, or in one's own words, which go first."""
    try:
        review.reject_action(house(), staff(), action_id, _reason())
    except (InvalidField, AlreadyReviewed) as error:
        return _one(action_id, form_errors(error)), error.status
    return redirect(url_for("reviews.queue"), 303)


def _reason() -> str:
    """What was typed, or else what was chosen. Raises InvalidField for neither."""
    own, prepared = request.form.get("reason", "").strip(), request.form.get("said", "")
    if not own and prepared not in REASONS:
        raise InvalidField(errors=[{"field": "said", "reason": N_("请选一个原因，或者自己写。")}])
    return own or prepared
