"""Slowing down who guesses codes or numbers: too many refused scans from one account, or from an address nobody has logged in at."""

import hashlib

from flask import Flask, Response, current_app, request

from tanpuhui.errors import NotAuthenticated, TooMany
from tanpuhui.flood import Flood
from tanpuhui.web import auth

#: Refused scans a minute: nobody's finger is as quick, and a canteen at noon makes fewer.
MOST_OF_ACCOUNT, MOST_OF_ADDRESS = 60, 600

_WATCHED = frozenset(
    {
        "activities.scan",
        "activities.confirm",
        "activities.typed_code",
        "activities-api.post_scan",
        "helping-api.post_record",
        "helping.record",
        "counter.find",
        "vouchers-api.post_settle",
        "honours.verify",
        "honours-api.get_honour",
    }
)


def init_app(app: Flask) -> None:
    """Watch the scans of `app`."""
    app.extensions["flood"] = Flood(MOST_OF_ACCOUNT), Flood(MOST_OF_ADDRESS)
    app.before_request(_stop)
    app.after_request(_count)


def _stop() -> None:
    """Raises TooMany."""
    if request.endpoint not in _WATCHED:
        return
    accounts, addresses = _floods()
    wait = accounts.wait(_account()) if _account() else 0
    if not wait and (crowded := addresses.wait(_address())) and not _known():
        wait = crowded
    if wait:
        raise TooMany(retry_after=wait)


def _count(response: Response) -> Response:
    if request.endpoint in _WATCHED and 400 <= response.status_code < 500 and response.status_code != 429:
        accounts, addresses = _floods()
        if _account():
            accounts.note(_account())
        addresses.note(_address())
    return response


def _floods() -> tuple[Flood, Flood]:
    found: tuple[Flood, Flood] = current_app.extensions["flood"]
    return found


def _address() -> str:
    return request.remote_addr or ""


def _account() -> str:
    """What the request says who it is, as a name that tells nothing; "" for nobody."""
    said = request.headers.get("Authorization") or "".join(
        request.cookies.get(name, "") for name in auth.COOKIES.values()
    )
    return hashlib.sha256(said.encode()).hexdigest() if said else ""


def _known() -> bool:
    """Whether somebody who is logged in asks; looked up only where an address has failed too often."""
    try:
        return (auth.visitor() or auth.colleague() or auth.machine()) is not None
    except NotAuthenticated:
        return False
