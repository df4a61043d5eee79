"""Log-in by a provider on another site, and linking one: plain redirects, no window but this one, no script.

A log-in begins with a link, not a form: a page's policy on forms would also govern every redirect after them. Linking
begins with a form all the same, so that no other site can begin it, and goes on with a link on the page after that.
"""

from collections.abc import Callable
from functools import wraps

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from tanpuhui.errors import (
    IdentityLoginLost,
    IdentityNotProven,
    IdentityProviderDown,
    IdentityRefused,
    IdentityTaken,
    LastWayIn,
    NotFound,
    OtherIdentityLinked,
)
from tanpuhui.identities import link, unlink
from tanpuhui.web import auth, entering, problems
from tanpuhui.web.auth import house, resident, resident_required

blueprint = Blueprint("identities", __name__)

Answer = str | AnyResponse | tuple[str, int]

_TOLD = (
    IdentityLoginLost,
    IdentityNotProven,
    IdentityProviderDown,
    IdentityRefused,
    IdentityTaken,
    LastWayIn,
    OtherIdentityLinked,
)


def _telling(view: Callable[[str], Answer]) -> Callable[[str], Answer]:
    """Say what did not work with a provider, and the way on. Raises NotFound for one that there is not."""

    @wraps(view)
    def guarded(provider: str) -> Answer:
        if provider not in entering.elsewhere():
            raise NotFound
        try:
            return view(provider)
        except _TOLD as error:
            page = render_template(
                "login_elsewhere.html",
                problem=problems.document(error),
                provider=provider,
                name=entering.name_of(provider),
            )
            return page, error.status

    return guarded


@blueprint.get("/login/with/<provider>")
@_telling
def go(provider: str) -> Answer:
    """Begin a log-in: on to the provider's own page."""
    return redirect(entering.begin(provider, {}))


@blueprint.get("/login/with/<provider>/back")
@_telling
def back(provider: str) -> Answer:
    """The provider sent the person back: log them in, let them join, or link what they came with."""
    pending = entering.used_up(provider)
    way = house().providers[provider].end(pending, request.args)
    if not pending["for"]:
        return entering.come_in(way)
    who = auth.visitor()
    if who is None or str(who.person) != pending["for"]:
        raise IdentityLoginLost
    link(house(), who.person, way)
    return redirect(url_for("pages.profile", _anchor="ways"), 303)


@blueprint.post("/me/identities/<provider>")
@resident_required
@_telling
def begin_link(provider: str) -> Answer:
    """Begin to link an identity to one's account."""
    entering.begin(provider, {}, for_resident=str(resident().person))
    return redirect(url_for("identities.linking", provider=provider), 303)


@blueprint.get("/me/identities/<provider>")
@resident_required
@_telling
def linking(provider: str) -> Answer:
    """On the way to the provider: what is about to happen, and the link that leads there."""
    pending = entering.pending(provider) or {}
    if pending.get("for") != str(resident().person):
        return redirect(url_for("pages.profile"))
    return render_template("linking.html", name=entering.name_of(provider), address=pending["address"])


@blueprint.post("/me/identities/<provider>/unlink")
@resident_required
@_telling
def end_link(provider: str) -> Answer:
    """Forget an identity that was linked."""
    unlink(house(), resident().person, provider)
    return redirect(url_for("pages.profile", _anchor="ways"), 303)
