"""When this browser opened a rotating code, kept in the signed cookie of its forms.

Who opened a code while it stood on the screen may log in, join and confirm at leisure. An address handed on carries nothing:
another browser has not opened it. One opening is good for one record.
"""

from datetime import datetime

from flask import session as form_session

from activities.codes import OPENED_FOR, CodeKind
from activities.scans import Preview
from tanpuhui import clock, signing
from tanpuhui.web.auth import house

_KEY = "opened"

#: The last codes that are remembered: a cookie is small, and nobody confirms several at once.
_MOST = 3


def opened_at(token: str) -> datetime | None:
    """When this browser opened `token` in time, if that is not too long ago. Raises the refusals of a bad token."""
    moment = _remembered().get(_name(token))
    return datetime.fromtimestamp(moment, clock.SHANGHAI) if moment else None


def note(token: str, seen: Preview) -> None:
    """Remember that this browser opened `token`, which was just found good, unless it is remembered already."""
    if seen.code.code.kind is CodeKind.ROTATING:
        remember(token)


def remember(token: str) -> None:
    """Remember that this browser opened `token` while it stood on a screen, unless it is remembered already."""
    fresh = {_name(token): int(clock.now().timestamp())} | _remembered()
    form_session[_KEY] = dict(sorted(fresh.items(), key=lambda entry: entry[1])[-_MOST:])


def spend(token: str) -> None:
    """The opening of `token` has led to a record and leads to no other."""
    if _KEY in form_session:
        form_session[_KEY] = {name: at for name, at in _remembered().items() if name != _name(token)}


def _remembered() -> dict[str, int]:
    oldest = (clock.now() - OPENED_FOR).timestamp()
    return {name: at for name, at in form_session.get(_KEY, {}).items() if at > oldest}


def _name(token: str) -> str:
    read = signing.keyring(house().settings).read(token)
    return "-".join(map(str, (read.form.value, read.number, *read.more)))
