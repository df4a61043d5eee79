"""The last steps of a trace: an event of a figure leads to its action, and the action to the factor version it was computed by."""

from uuid import UUID

from flask import Blueprint, render_template
from flask_babel import gettext
from sqlmodel import Session
from werkzeug.wrappers import Response as AnyResponse

from activities import declared, records
from activities.actions import Action, ActionVoid
from activities.codes import KIND_NAMES, Code
from activities.declared import REDUCTION_STATE_NAMES
from activities.events import ActionConfirmed, ActionRecorded, ActionVoided
from activities.reviews import ActionReview
from activities.sites import Site
from tanpuhui.bureau.participation import READERS, may_read
from tanpuhui.bureau.tracing import Asked, FoldedEvent
from tanpuhui.bureau.tracing_pages import Opened, ask, keep_look, open_figure
from tanpuhui.db import session_on
from tanpuhui.errors import NotFound
from tanpuhui.i18n import N_
from tanpuhui.web.auth import house, staff, staff_required

blueprint = Blueprint("traced", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]

_EVENTS = {
    ActionRecorded.type: N_("已记录"),
    ActionConfirmed.type: N_("审核通过"),
    ActionVoided.type: N_("已撤销"),
}


@blueprint.app_template_filter()
def event_name(event_type: str) -> str:
    """What an event says, in a word."""
    return gettext(_EVENTS[event_type]) if event_type in _EVENTS else event_type


@blueprint.get("/bureau/trace/actions/<uuid:action_id>")
@staff_required(*READERS)
def action(action_id: UUID) -> Answer:
    """A record behind a figure: what was done and proven, what became of it, and its sum with the factor version."""
    may_read(house(), staff())
    with house().db.snapshot() as connection:
        opened = open_figure(connection)
        if isinstance(opened, Asked):
            return ask(opened)
        own = [event for event in opened.folded.events if event.subject_id == action_id]
        if not own:
            raise NotFound
        with session_on(connection) as session:
            page = _page(session, opened, own, action_id)
    keep_look(opened.grant, f"action:{action_id}", opened.asked, figure=opened.figure.key.name)
    return page


def _page(session: Session, opened: Opened, own: list[FoldedEvent], action_id: UUID) -> str:
    found = session.get_one(Action, action_id)
    state = declared.state_of(session.connection(), action_id)
    code = session.get(Code, found.code_id)
    return render_template(
        "activities/traced.html",
        opened=opened,
        action=found,
        events=own,
        person=opened.person(found.resident_id),
        site=session.get_one(Site, found.site_id),
        code_name=gettext(KIND_NAMES[code.kind]) if code else "",
        void=session.get(ActionVoid, action_id),
        review=session.get(ActionReview, action_id),
        state=gettext(REDUCTION_STATE_NAMES[state]) if state else "",
        trace=records.sum_of(session, found),
    )
