"""The JSON API of helpers: record for a member at the desk of a site."""

from flask import Response, request
from flask_openapi import APIBlueprint
from pydantic import Field

from activities.api import Quantity, ScanOut, SitePath, answer_of
from activities.helping import record_for
from tanpuhui.errors import NotAllowed
from tanpuhui.rooms import House
from tanpuhui.web.api import KEY_HEADER, WRITING, IsoDatetime, Strict, api_blueprint
from tanpuhui.web.auth import machine


class RecordIn(Strict):
    """What a member did. `kind` may be left out where the site credits only one."""

    member: str = Field(min_length=1, max_length=300, description="The member's code, typed or scanned")
    kind: str | None = Field(None, max_length=32)
    quantity: Quantity | None = Field(None, description="In the unit of the kind, at most three decimals")
    occurred_at: IsoDatetime | None = Field(None, description="When it happened, if not now")


def blueprint(house: House) -> APIBlueprint:
    """The operation under `/api/v1`."""
    api = api_blueprint("helping-api", __name__)

    @api.post(
        "/sites/<site_id>/records",
        summary="Record for a member",
        responses={"201": ScanOut, **WRITING},
        openapi_extensions={"parameters": [KEY_HEADER]},
    )
    def post_record(path: SitePath, body: RecordIn) -> Response:
        principal = machine()
        if principal.kind != "staff":
            raise NotAllowed
        key = request.headers.get("Idempotency-Key")
        return answer_of(lambda: record_for(house, principal, path.site_id, key=key, **dict(body)))

    return api
