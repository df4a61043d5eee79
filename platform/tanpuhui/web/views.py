"""The view a visitor chose (standard, or the elder view with large text and large targets), which stays with the account of who is
logged in; the style page; what was typed before a session ended."""

from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from tanpuhui import displays
from tanpuhui.displays import Display
from tanpuhui.web import resume
from tanpuhui.web.auth import colleague, house, owner_of, safe_next, visitor

STANDARD = "standard"
VIEWS = (STANDARD, *Display)
VIEW_COOKIE = "tph_view"
_YEAR = 365 * 24 * 3600

blueprint = Blueprint("views", __name__)


def chosen_view() -> str:
    """One of `VIEWS`: what this browser chose before, else the standard view."""
    chosen = request.cookies.get(VIEW_COOKIE, "")
    return chosen if chosen in VIEWS else VIEWS[0]


@blueprint.app_context_processor
def _for_every_page() -> dict[str, Any]:
    return {"view": chosen_view(), "help_phone": house().settings.help_phone}


@blueprint.get("/view/<any(standard, elder, 'elder-large'):wanted>")
def change_view(wanted: str) -> AnyResponse:
    """Remember the view, with the account of a resident who is logged in, too, and come back."""
    if (me := visitor()) is not None and request.method == "GET":
        with house().db.transaction() as connection:
            displays.choose(connection, me.person, None if wanted == STANDARD else Display(wanted))
    return _remember(redirect(safe_next(request.args.get("next"), url_for("pages.home"))), wanted)


def take_over(answer: AnyResponse, resident_id: UUID) -> AnyResponse:
    """Let this browser show what its resident chose for their account, unless something else was chosen in it before."""
    if VIEW_COOKIE in request.cookies:
        return answer
    with house().db.reading() as connection:
        display = displays.chosen(connection, resident_id)
    return _remember(answer, display) if display else answer


def _remember(answer: AnyResponse, wanted: str) -> AnyResponse:
    answer.set_cookie(VIEW_COOKIE, wanted, max_age=_YEAR, samesite="Lax", httponly=True)
    return answer


blueprint.before_app_request(resume.forget_what_was_sent)


@blueprint.get("/resume")
def what_was_typed() -> str | AnyResponse:
    """What was typed before the session ended, with a button that sends it now."""
    form = resume.kept({owner_of(found) for found in (colleague(), visitor()) if found})
    return render_template("resume.html", form=form) if form else redirect(url_for("pages.home"))


@blueprint.get("/style")
def style() -> str:
    """The design language: every component in every state."""
    return render_template("style.html")
