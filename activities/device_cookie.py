"""The cookie by which a browser that confirmed a scan is known again: a random number of ours (see `activities.devices`)."""

from contextlib import suppress
from uuid import UUID

from flask import request
from werkzeug.wrappers import Response

from activities import devices
from tanpuhui.errors import Unavailable
from tanpuhui.web.auth import house

COOKIE = "tph_device"

_YEAR = 365 * 86400


def note_device(response: Response, resident_id: UUID, code_id: int) -> Response:
    """Note a confirmed scan of this browser and let it keep its number; the record stands whatever becomes of this."""
    number = request.cookies.get(COOKIE, "")
    if not 20 <= len(number) <= 30:
        number = devices.new_number()
        response.set_cookie(
            COOKIE,
            number,
            max_age=_YEAR,
            secure=house().settings.public_url.startswith("https://"),
            httponly=True,
            samesite="Lax",
            path="/s/",
        )
    with suppress(Unavailable):
        devices.note(house(), number, resident_id, code_id)
    return response
