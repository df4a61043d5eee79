"""One place where errors become answers: problem+json (RFC 9457) for machines, a friendly page for people."""

import json
from typing import Any

import structlog
from flask import Flask, Response, current_app, render_template, request
from flask_babel import gettext
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException, MethodNotAllowed as HttpMethodNotAllowed

from tanpuhui import errors
from tanpuhui.errors import Refused, TanpuhuiError, TooMany, Unavailable
from tanpuhui.web.formatting import language, unit_name

log = structlog.get_logger(__name__)

#: Seconds after which a request refused for load or an outage may well succeed.
RETRY_AFTER = 3

_BY_STATUS: dict[int, type[TanpuhuiError]] = {
    400: errors.InvalidInput,
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    408: errors.InvalidInput,
    413: errors.TooLarge,
    414: errors.TooLarge,
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
        shown["unit"] = unit_name(shown["unit"])
    text = gettext(error.text)
    problem: dict[str, Any] = {
        "type": f"urn:tanpuhui:problem:{error.code}",
        "code": error.code,
        "status": error.status,
        "title": text % shown if shown else text,
    }
    if isinstance(error, Refused):
        problem["next_step"] = gettext(error.next_step)
    if "errors" in params:
        problem["errors"] = [_translated(entry) for entry in params.pop("errors")]
    return params | problem


def _translated(entry: dict[str, Any]) -> dict[str, Any]:
    return {**entry, "reason": gettext(entry["reason"])} if "reason" in entry else entry


def wants_json() -> bool:
    """Whether the caller is a machine."""
    if request.path.startswith("/api/"):
        return True
    best = request.accept_mimetypes.best_match(["text/html", "application/problem+json", "application/json"])
    return best is not None and best != "text/html"


def answer(error: TanpuhuiError) -> Response:
    """`error` as a response: problem+json, or the page `problem.html`."""
    problem = document(error)
    if wants_json():
        response = Response(json.dumps(problem, ensure_ascii=False), mimetype="application/problem+json")
    else:
        template = "activities/refused.html" if isinstance(error, Refused) else "problem.html"
        response = Response(render_template(template, problem=problem), mimetype="text/html")
    response.status_code = error.status
    if isinstance(error, TooMany):
        response.headers["Retry-After"] = str(error.params.get("retry_after", RETRY_AFTER))
    if isinstance(error, Unavailable):
        response.headers["Retry-After"] = str(RETRY_AFTER)
    if error.status == 401 and wants_json():
        response.headers["WWW-Authenticate"] = "Bearer"
    response.headers["Cache-Control"] = "no-store"
    return response


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


def init_app(app: Flask) -> None:
    """Answer every error of `app` here."""
    app.register_error_handler(TanpuhuiError, answer)
    app.register_error_handler(CSRFError, lambda _error: answer(errors.FormExpired()))
    app.register_error_handler(HTTPException, _of_http)
    app.register_error_handler(Exception, _unexpected)
