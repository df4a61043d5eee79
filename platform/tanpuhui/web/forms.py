"""Forms: what is wrong is said where it is wrong, and what is sent twice is made once."""

import re
import unicodedata
from datetime import datetime
from typing import Any
from uuid import UUID

from flask import request

from tanpuhui import clock, ids
from tanpuhui.errors import TanpuhuiError
from tanpuhui.sessions import Principal
from tanpuhui.web.formatting import said
from tanpuhui.web.problems import document


def form_errors(error: TanpuhuiError, field: str = "") -> dict[str, str]:
    """`error` by field, in the language of the page; what belongs to none under `field` ("": above).

    The latter with what one can do about it.
    """
    problem: dict[str, Any] = document(error)
    listed = [(entry.get("field") or field, entry["reason"]) for entry in problem.get("errors") or ()]
    return dict(listed) or {field: said(problem["title"], problem["next_step"])}


def chosen_id(by: Principal) -> UUID | None:
    """The id of what this form makes, the same for every tap on its button; None if the form carries none (`ui.once`).

    Somebody else, or other words in the same form, make something else.
    """
    try:
        form = UUID(request.form.get("once", ""))
    except ValueError:
        return None
    typed = sorted((name, text) for name, text in request.form.items(multi=True) if name != "csrf_token")
    return ids.id_of(form, by.kind, by.id, request.path, typed)


def local_moment(text: str) -> datetime | None:
    """The local time that a form's field says, as a moment; None for what is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (
        found.replace(tzinfo=clock.SHANGHAI) if found.tzinfo is None and 2000 <= found.year < 3000 else None
    )


def typed_whole(text: str) -> int | None:
    """A whole number as it is typed or pasted, with its thousands parted or not; None for anything else."""
    plain = re.sub(r"[,\s]", "", unicodedata.normalize("NFKC", text))
    return int(plain) if re.fullmatch(r"[0-9]{1,18}", plain) else None
