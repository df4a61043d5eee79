"""One place where errors become answers: problem+json (RFC 9457) for machines, a friendly page for people."""

import json
from datetime import date
from typing import Any

import structlog
from flask import Flask, Response, current_app, render_template, request, url_for
from flask_babel import gettext
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException, MethodNotAllowed as HttpMethodNotAllowed

from tanpuhui import errors
from tanpuhui.errors import FormExpired, Refused, TanpuhuiError, TooMany, Unavailable
from tanpuhui.web import auth, resume
from tanpuhui.web.formatting import day, language, unit_name, wait

log = structlog.get_logger(__name__)

#: Seconds after which a request refused for load or an outage may well succeed.
RETRY_AFTER = 3

_BY_STATUS: dict[int, type[TanpuhuiError]] = {
    400: errors.InvalidInput,
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    408: errors.InvalidInput,
    413: errors.TooLarge,
    414: errors.AddressTooLong,
    415: errors.UnsupportedMedia,
    429: errors.TooMany,
    431: errors.TooLarge,
}


def document(error: TanpuhuiError) -> dict[str, Any]:
    """The problem document of `error` in the language of the request."""
    params = dict(error.params)
    shown = dict(params)
    if "kind_en" in shown:
        shown["kind"] = shown.pop("kind_en") if language() == "en" else shown["kind"]
        params.pop("kind_en")
    if "unit" in shown:
        shown["unit"] = unit_name(shown["unit"], 2)
    if "check_on" in shown:
        shown["check_on"] = day(date.fromisoformat(shown["check_on"]))
    if "retry_after" in shown:
        shown["retry_after"] = wait(shown["retry_after"])
    text = gettext(error.text)
    problem: dict[str, Any] = {
        "type": f"urn:tanpuhui:problem:{error.code}",
        "code": error.code,
        "status": error.status,
        "title": text % shown if shown else text,
        "next_step": gettext(error.next_step),
    }
    if "errors" in params:
        problem["errors"] = [_translated(entry) for entry in params.pop("errors")]
    return params | problem


def _translated(entry: dict[str, Any]) -> dict[str, Any]:
    """One of the `errors` with its reason in the page's language, and the `values` put into it."""
    if "reason" not in entry:
        return entry
    reason, values = gettext(entry["reason"]), entry.get("values")
    told = {name: value for name, value in entry.items() if name != "values"}
    return {**told, "reason": reason % values if values else reason}


def wants_json() -> bool:
    """Whether the caller is a machine."""
    if request.path.startswith("/api/"):
        return True
    best = request.accept_mimetypes.best_match(["text/html", "application/problem+json", "application/json"])
    return best is not None and best != "text/html"


def answer(error: TanpuhuiError) -> Response:
    """`error` as a response: problem+json, or a page with a way on."""
    try:
        return _answer(error)
    except Unavailable as outage:  # to show who is logged in asks the database
        return _answer(outage)


def _answer(error: TanpuhuiError) -> Response:
    problem = document(error)
    if wants_json():
        response = Response(json.dumps(problem, ensure_ascii=False), mimetype="application/problem+json")
    else:
        response = Response(_page(error, problem), mimetype="text/html")
    response.status_code = error.status
    if isinstance(error, TooMany):
        response.headers["Retry-After"] = str(error.params.get("retry_after", RETRY_AFTER))
    if isinstance(error, Unavailable):
        response.headers["Retry-After"] = str(RETRY_AFTER)
    if error.status == 401 and wants_json():
        response.headers["WWW-Authenticate"] = "Bearer"
    response.headers["Cache-Control"] = "no-store"
    return response


def _page(error: TanpuhuiError, problem: dict[str, Any]) -> str:
    """The page of a problem. What may well succeed the next time can be tried again, with all that was typed."""
    again = isinstance(error, FormExpired | TooMany) or error.status >= 500
    desk = error.status < 500 and _at_a_desk()
    return render_template(
        "activities/refused.html" if isinstance(error, Refused) else "problem.html",
        problem=problem,
        limit=isinstance(error, Refused) and error.limit,
        shell="desk.html" if desk else "layout.html",
        home=url_for("staff.desk" if desk else "pages.home"),
        form=resume.typed() if again else None,
        again=request.full_path.rstrip("?") if again and request.method == "GET" else "",
        back=_came_from(),
    )


def _at_a_desk() -> bool:
    """Whether a member of staff is at a page of staff's."""
    return request.path.startswith(_DESKS) and auth.colleague() is not None


def _came_from() -> str:
    """The page of ours that led here, for a link back to it; nothing if it is not known, or this one."""
    host, _, path = (request.referrer or "").partition("://")[2].partition("/")
    if host != request.host or (request.method == "GET" and f"/{path}" == request.full_path.rstrip("?")):
        return ""
    return auth.safe_next(f"/{path}", "")


_DESKS = ("/console", "/bureau", "/desk")


def _of_http(error: HTTPException) -> Response:
    if error.response is not None:
        return error.response  # type: ignore[return-value]
    known = _BY_STATUS.get(error.code or 500)
    if known is None:
        known = TanpuhuiError if (error.code or 500) >= 500 else errors.InvalidInput
    params = {"retry_after": RETRY_AFTER} if known is errors.TooMany else {}
    response = answer(known(**params))
    if isinstance(error, HttpMethodNotAllowed) and error.valid_methods:
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return response


def _unexpected(error: Exception) -> Response:
    log.exception("unexpected_error", endpoint=request.endpoint, kind=type(error).__name__)
    if current_app.testing and not isinstance(error, SQLAlchemyError):
        raise error
    return answer(TanpuhuiError())


def too_many() -> Response:
    """What a proxy shows in place of its own page when it turns a request away for coming too often."""
    return answer(TooMany(retry_after=RETRY_AFTER))


def init_app(app: Flask) -> None:
    """Answer every error of `app` here."""
    app.add_url_rule("/too-many", "problems.too_many", too_many)
    app.register_error_handler(TanpuhuiError, answer)
    app.register_error_handler(CSRFError, lambda _error: answer(errors.FormExpired()))
    app.register_error_handler(HTTPException, _of_http)
    app.register_error_handler(Exception, _unexpected)
