"""The shell of the JSON API: strict bodies, bearer tokens, and what every operation may answer."""

import json
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any

from flask import Flask, Request, Response, request
from flask_openapi import APIBlueprint
from flask_openapi.models import MediaType, Response as DocumentedResponse, Schema
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, WithJsonSchema

from tanpuhui.errors import InvalidField, InvalidInput, TooLarge, UnsupportedMedia
from tanpuhui.reasons import findings
from tanpuhui.web.auth import ACCOUNT_HEADER, bearer, machine
from tanpuhui.web.problems import answer

MAX_BODY = 64 * 1024
MAX_DEPTH = 8


class Strict(BaseModel):
    """A body or query: nothing unknown, nothing converted."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Query(BaseModel):
    """Query parameters: text on the wire, so converted; nothing unknown."""

    model_config = ConfigDict(extra="forbid")


_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?"
    r"(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)

#: Beyond these a calendar cannot be counted in every time zone, and nothing here happens anyway.
_YEARS = range(1900, 2200)


def _day(value: Any) -> date:
    if not isinstance(value, str) or not _DAY.fullmatch(value) or int(value[:4]) not in _YEARS:
        raise ValueError("a day is a text such as 2026-06-05")
    return date.fromisoformat(value)


def _moment(value: Any) -> datetime:
    if not isinstance(value, str) or not _MOMENT.fullmatch(value) or int(value[:4]) not in _YEARS:
        raise ValueError("a time is an RFC 3339 text with its offset")
    return datetime.fromisoformat(value.upper()).astimezone(UTC)


#: A day as text, never a number of seconds.
IsoDay = Annotated[date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]

#: A moment with its offset as text, never a number of seconds; in UTC once read.
IsoDatetime = Annotated[
    datetime, BeforeValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})
]


def iso(moment: datetime) -> str:
    """A moment as every answer writes it: UTC with ``Z``."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


class StrictRequest(Request):
    """Reads JSON exactly: decimals stay decimal; doubled names, NUL and lone surrogates are refused."""

    max_content_length = (
        MAX_BODY + 1
    )  # one more: of a body without its length, the rest is cut off in silence

    def get_json(self, *_args: Any, **_kwargs: Any) -> Any:
        """The body as a JSON object. Raises InvalidInput, UnsupportedMedia, TooLarge."""
        if not self.is_json:
            raise UnsupportedMedia
        sent = self.get_data(cache=True)
        if len(sent) > MAX_BODY:
            raise TooLarge
        try:
            body = json.loads(
                sent.decode("utf-8"),
                parse_float=Decimal,
                parse_constant=Decimal,  # whoever takes a number refuses NaN and the infinities
                object_pairs_hook=_no_doubles,
            )
        except (ValueError, RecursionError) as error:
            raise InvalidInput from error
        if not isinstance(body, dict):
            raise InvalidInput
        _check_texts(body)
        return body


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) != len(pairs):
        raise ValueError("a name stands twice")
    return names


def _check_texts(value: Any, depth: int = 0) -> None:
    """Refuse what a database cannot hold as text: NUL and lone surrogates, at any depth."""
    if depth > MAX_DEPTH:
        raise InvalidInput
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
            raise InvalidInput
    elif isinstance(value, dict):
        for name, inner in value.items():
            _check_texts(name, depth + 1)
            _check_texts(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _check_texts(inner, depth + 1)


# --- what is documented ------------------------------------------------------------------------------------


class FieldProblem(BaseModel):
    """One field that is wrong."""

    field: str | None = None
    reason: str


class Problem(BaseModel):
    """RFC 9457. `code` is stable; `title` and `next_step` are in the language of the request."""

    type: str
    code: str
    status: int
    title: str
    next_step: str | None = None
    errors: list[FieldProblem] | None = None


_WHAT = {
    400: "The request cannot be understood",
    401: "No token, or not a known one",
    403: "Not allowed with this token",
    404: "Nothing there",
    409: "Conflicts with what is recorded",
    410: "No longer valid",
    413: "Body too large",
    415: "Not JSON",
    422: "Understood, and refused with a reason",
    429: "Too many requests; see Retry-After",
    503: "Nothing was recorded; see Retry-After",
}


def problem_responses(*statuses: int) -> dict[Any, Any]:
    """Documented problem answers for these statuses, as application/problem+json."""
    schema = Schema(**{"$ref": "#/components/schemas/Problem"})
    return {
        str(status): DocumentedResponse(
            description=_WHAT[status],
            content={"application/problem+json": MediaType(schema=schema)},
        )
        for status in statuses
    }


READING = problem_responses(400, 401, 403, 404, 422, 429, 503)
WRITING = problem_responses(400, 401, 403, 404, 409, 410, 413, 415, 422, 429, 503)


#: Where an operation credits or takes in something once: its key.
KEY_HEADER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "1 to 128 visible ASCII characters; the same key is never taken twice",
    "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"},
}


#: Where a resident may act for the family that they share.
ACCOUNT_PARAMETER = {
    "name": ACCOUNT_HEADER,
    "in": "header",
    "required": False,
    "description": "For which account of the token's resident this is: `me`, the resident's own (the default), or `family`, the "
    "family account that they share; 404 `no_family` if they share none. One deed is counted once for both",
    "schema": {"type": "string", "enum": ["me", "family"], "default": "me"},
}


def api_blueprint(
    name: str, import_name: str, *, public: bool = False, proving_themselves: tuple[str, ...] = ()
) -> APIBlueprint:
    """A blueprint under ``/api/v1`` whose callers show a bearer token (unless `public`).

    Operations `proving_themselves` look the token up in a transaction of their own.
    """
    blueprint = APIBlueprint(
        name,
        import_name,
        url_prefix="/api/v1",
        abp_security=None if public else [{"bearer": []}],
    )
    if not public:
        later = {f"{name}.{operation}" for operation in proving_themselves}

        @blueprint.before_request
        def _who() -> None:
            if request.endpoint in later:
                bearer()
            else:
                machine()

    return blueprint


def json_answer(body: str | dict[str, Any], status: int = 200) -> Response:
    """A JSON response; text is taken as JSON already."""
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    return Response(text, status=status, mimetype="application/json")


def invalid(error: ValidationError) -> InvalidField:
    """Pydantic's findings as our error: the field and a reason, nothing of what was sent."""
    return InvalidField(
        errors=[
            {"field": ".".join(str(part) for part in where) or None, **why} for where, why in findings(error)
        ]
    )


def on_validation_error(error: ValidationError) -> Response:
    """What flask-openapi answers to a request that does not fit its model."""
    return answer(invalid(error))


def init_app(app: Flask) -> None:
    """Use the strict request."""
    app.request_class = StrictRequest
