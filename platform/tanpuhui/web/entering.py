"""How a browser comes in, whichever provider tells who is there.

What a log-in needs until its end travels in the browser's own signed cookie, under the provider's code: the cookie is
this site's, and `SameSite=Lax` sends it along when a provider sends the person back.
"""

from collections.abc import Mapping

from flask import redirect, session as form_session, url_for
from werkzeug.wrappers import Response as AnyResponse

from tanpuhui import clock, sessions
from tanpuhui.identities import way_in
from tanpuhui.people import Resident, WayIn
from tanpuhui.web.auth import house, log_in_browser, safe_next
from tanpuhui.web.formatting import language
from tanpuhui.web.views import take_over

#: How long after the proof a newcomer may take to read the consent and join (seconds).
_PROOF_GOOD_FOR = 30 * 60


def elsewhere() -> dict[str, str]:
    """The providers on other sites: code -> name, in the page's language."""
    return {code: one.name(language()) for code, one in house().providers.items() if one.outside}


def name_of(code: str) -> str:
    """What people call a provider, in the page's language."""
    return house().providers[code].name(language())


def begin(code: str, given: Mapping[str, str], *, for_resident: str = "") -> str:
    """Begin a log-in, or for a resident who is logged in a link; where the person goes on, if it is elsewhere."""
    begun = house().providers[code].begin(given)
    form_session[f"begun_{code}"] = {**begun.pending, "for": for_resident, "address": begun.address}
    form_session.pop("proof", None)
    return begun.address


def pending(code: str) -> dict[str, str] | None:
    """What was kept when the log-in began."""
    found: dict[str, str] | None = form_session.get(f"begun_{code}")
    return found


def used_up(code: str) -> dict[str, str]:
    """The same, to be used once."""
    found: dict[str, str] = form_session.pop(f"begun_{code}", {})
    return found


def come_in(way: WayIn) -> AnyResponse:
    """A known resident is logged in; a newcomer goes on to join."""
    with house().db.reading_session() as session:
        known = way.find(session)
    if known is not None:
        return enter(known)
    form_session["proof"] = [way.provider, way.key, clock.now().timestamp()]
    return redirect(url_for("pages.join"), 303)


def proven() -> WayIn | None:
    """What this browser proved a short while ago."""
    provider, key, proven_at = form_session.get("proof") or ("", "", 0)
    good = provider in house().providers and clock.now().timestamp() - proven_at < _PROOF_GOOD_FOR
    return way_in(house(), provider, key) if good else None


def enter(person: Resident) -> AnyResponse:
    """Log a resident in with this browser and go on to where they were going."""
    target = safe_next(form_session.get("next"), url_for("pages.home"))
    for key in ("proof", "next", *(f"begun_{code}" for code in house().providers)):
        form_session.pop(key, None)
    token = sessions.new_session(house(), kind="resident", subject_id=person.id)
    return take_over(log_in_browser(redirect(target, 303), token, "resident"), person.id)
