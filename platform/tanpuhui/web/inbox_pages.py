"""The resident's inbox."""

from datetime import date
from uuid import UUID

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from tanpuhui import inbox
from tanpuhui.errors import NotFound
from tanpuhui.web.auth import house, resident, resident_required, visitor

blueprint = Blueprint("inbox", __name__)

Answer = str | AnyResponse


@blueprint.app_template_filter()
def iso_day(text: str) -> date:
    """A day as messages keep it."""
    return date.fromisoformat(text)


@blueprint.app_template_global()
def unread_messages() -> int:
    """How many messages the visitor has not read; 0 for whoever is not logged in."""
    who = visitor()
    if who is None:
        return 0
    if "_unread" not in g:
        with house().db.reading() as connection:
            g.setdefault("_unread", inbox.unread(house(), connection, who.id))
    number: int = g.get("_unread")
    return number


@blueprint.get("/me/inbox")
@resident_required
def messages() -> Answer:
    """One's messages, the newest first; opening one marks it as read."""
    try:
        before = UUID(request.args["before"]) if "before" in request.args else None
    except ValueError:
        raise NotFound from None
    with house().db.reading_session() as session:
        found, more = inbox.messages(house(), session, resident().id, before)
    return render_template(
        "inbox.html",
        messages=found,
        letters=house().letters,
        first=before is None,
        older=found[-1].id if more else None,
    )


@blueprint.get("/me/inbox/<uuid:message_id>")
@resident_required
def message(message_id: UUID) -> Answer:
    """One message. Showing it is what makes it read; to ask again changes nothing."""
    who = resident()
    found = inbox.open_message(house(), who.id, message_id)
    letter = house().letters[found.kind]
    with house().db.reading() as connection:
        seen = letter.look(connection, who.id, found.params)
    return render_template("message.html", message=found, letter=letter, seen=seen)


@blueprint.post("/me/inbox/read")
@resident_required
def mark_read() -> Answer:
    """Everything up to the newest message that was shown counts as read."""
    try:
        newest = UUID(request.form.get("newest", ""))
    except ValueError:
        raise NotFound from None
    inbox.mark_read(house(), resident().id, newest)
    return redirect(url_for("inbox.messages"), 303)
