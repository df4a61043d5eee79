"""What would you have done otherwise, on the page of a record: one tap to answer or to skip."""

from uuid import UUID

from flask import Blueprint, redirect, request, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response as AnyResponse

from activities import otherwise
from activities.actions import Action
from activities.otherwise import OTHERWISE_NAMES
from activities.pages import known, own_action
from tanpuhui.web.auth import house, resident, resident_required

blueprint = Blueprint("otherwise", __name__, template_folder="templates")


@blueprint.app_template_global()
def otherwise_asked(action: Action) -> tuple[str, list[tuple[str, str]]] | None:
    """The question about a record of the visitor's, with its answers, if there is one."""
    if not otherwise.is_asked_about(action.id):
        return None
    with house().db.reading() as connection:
        if not otherwise.is_open(connection, action.id, action.resident_id):
            return None
    kind = known().kinds.get(action.kind)
    asked = otherwise.question(kind.category if kind else "")
    return gettext(asked), [(said.value, gettext(name)) for said, name in OTHERWISE_NAMES.items()]


@blueprint.post("/me/actions/<uuid:action_id>/otherwise")
@resident_required
def answer(action_id: UUID) -> AnyResponse:
    """Keep the answer; then back to the record."""
    with house().db.reading_session() as session:
        owner = own_action(session, resident(), action_id)[0].resident_id
    otherwise.answer(house(), owner, action_id, request.form.get("answer", ""))
    return redirect(url_for("activities.result", action_id=action_id, _anchor="otherwise"), 303)
