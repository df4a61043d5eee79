"""What was typed is kept: a form whose session or token had run out is offered again, ready to be sent.

After an ended session the fields travel in the browser's own signed cookie, through log-in, to `/resume`, for the person
whose session it was and nobody else. Passwords and files are never kept; nor is anything that another site sent.
"""

from typing import Any

from flask import request, session as form_session

_KEPT = "kept"
_SECRET = {"password", "code", "phone"}

#: Never repeated, neither on a page nor in a cookie: what is good for one sending only, and where somebody is.
_NOT_REPEATED = {"csrf_token", "position"}

#: Fields that forms carry for themselves: sent again, but nothing that anybody typed.
_OURS = (
    "key",
    "once",
    "kind",
    "resident",
    "staff",
    "label",
    "occurred_at",
    "seen",
    "session",
    "document",
    "version",
    "account",
    "next",
)

#: A browser drops cookies of more than 4 KB, so what is longer than this is not kept (characters).
MOST = 1200


def typed() -> dict[str, Any] | None:
    """The form of this request as it can be offered again; None if there is none, or another site sent it."""
    fields = [(name, text) for name, text in request.form.items(multi=True) if name not in _NOT_REPEATED]
    if request.method != "POST" or not _from_here() or request.files or not fields:
        return None
    if _SECRET & {name for name, _ in fields}:
        return None
    shown = [text for name, text in fields if text and name not in _OURS and not name.endswith("_id")]
    return {"action": request.path, "fields": fields, "shown": shown}


def _from_here() -> bool:
    """Whether a page of ours sent the form; a browser too old to say so names its origin."""
    site = request.headers.get("Sec-Fetch-Site")
    if site:
        return site == "same-origin"
    return request.headers.get("Origin", "").partition("://")[2] == request.host


def keep(owner: str) -> bool:
    """Keep the form of this request until `owner` has logged in again; whether there was one to keep."""
    form = typed()
    if form is None or sum(len(name) + len(text) for name, text in form["fields"]) > MOST:
        return False
    form_session[_KEPT] = {**form, "owner": owner}
    return True


def kept(owners: set[str]) -> dict[str, Any] | None:
    """The form that is kept for one of `owners`; one that was somebody else's is dropped."""
    form: dict[str, Any] | None = form_session.get(_KEPT)
    if form is not None and form["owner"] not in owners:
        form_session.pop(_KEPT)
        return None
    return form


def forget_what_was_sent() -> None:
    """Before a form is taken: the one that was kept has arrived."""
    if request.method == "POST" and form_session.get(_KEPT, {}).get("action") == request.path:
        form_session.pop(_KEPT)
