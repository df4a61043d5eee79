"""The view a visitor chose (standard, or the elder view with large text and large targets); the style page; what was
typed before a session ended."""

from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from tanpuhui.web import resume
from tanpuhui.web.auth import colleague, house, owner_of, safe_next, visitor

VIEWS = ("standard", "elder", "elder-large")
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
    """Remember the view and come back."""
    answer = redirect(safe_next(request.args.get("next"), url_for("pages.home")))
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
