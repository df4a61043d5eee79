"""The screen of a rotating code: one full page for a tablet at the site, with a new code every period."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Response, jsonify, render_template
from flask_babel import gettext
from werkzeug.wrappers import Response as AnyResponse

from activities import codes
from activities.codes import PERIOD, Code, CodeKind
from activities.scans import Preview, preview
from activities.sites import MANAGERS, get_site
from tanpuhui import clock, signing
from tanpuhui.errors import NotFound
from tanpuhui.web.auth import house, staff, staff_required

blueprint = Blueprint("screens", __name__, template_folder="templates")

Answer = str | AnyResponse

#: A code comes onto the screen so long before its period begins, when it is good already, and leaves it so long before it
#: stops being good: people need a moment to open what they see.
EARLY = timedelta(seconds=3)


@blueprint.get("/console/codes/<int(max=1099511627775):code_id>/screen")
@staff_required(*MANAGERS)
def screen(code_id: int) -> Answer:
    """The page that stays on the tablet. Without a script it loads itself anew for each code."""
    seen, shown = _shown(code_id)
    host = urlsplit(house().settings.public_url).netloc
    page = {"code_id": code_id, "seen": seen, "now": clock.now(), "host": host}
    return render_template("activities/screen.html", **page, **shown)


@blueprint.get("/console/codes/<int(max=1099511627775):code_id>/screen/now")
@staff_required(*MANAGERS)
def screen_now(code_id: int) -> Response:
    """The code that is to stand there now, for the page's script."""
    _seen, shown = _shown(code_id)
    return jsonify(shown)


def _shown(code_id: int) -> tuple[Preview, dict[str, Any]]:
    """What the code records, and what is shown of it.

    Raises NotFound, NotAllowed, and the refusals of a code that residents could not use.
    """
    with house().db.reading_session() as session:
        code = session.get(Code, code_id)
        if code is None or code.kind is not CodeKind.ROTATING:
            raise NotFound
        get_site(session, staff(), code.site_id)
    settings = house().settings
    seen = preview(house(), codes.rotating_token(settings, code_id, clock.now() + EARLY))
    return seen, showing(
        lambda moment: codes.rotating_token(settings, code_id, moment), gettext("扫这个码记录")
    )


def showing(token_at: Callable[[datetime], str], title: str) -> dict[str, Any]:
    """The picture of a code that changes with every period, whose token at a moment is `token_at`, with its times in
    milliseconds: `next_in` until the next one is due, `good_for` until it should not stand there any more."""
    from tanpuhui import qr  # late: drawing would slow every start

    now, period, early = clock.now(), PERIOD.total_seconds(), EARLY.total_seconds()
    token = token_at(now + EARLY)
    ends = (codes.period_of(now + EARLY) + 1) * period - now.timestamp()
    return {
        "svg": qr.svg(codes.address_of(house().settings, token), title=title),
        "typed": signing.typed_form(token),
        "next_in": int((ends - early) * 1000),
        "good_for": int((ends + period - early) * 1000),
    }
