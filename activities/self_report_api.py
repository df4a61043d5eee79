"""Self-reports as JSON: without a photo; that is offered on the page."""

from flask import Response, request
from flask_openapi import APIBlueprint
from pydantic import Field

from activities.api import Quantity, ScanOut, answer_of
from activities.scans import Desk
from activities.self_reports import read_report
from tanpuhui.rooms import House
from tanpuhui.sessions import fingerprint
from tanpuhui.web.api import ACCOUNT_PARAMETER, KEY_HEADER, WRITING, IsoDatetime, Strict, api_blueprint
from tanpuhui.web.auth import bearer, for_family


class SelfReportIn(Strict):
    """What the resident did, of a kind that the district takes without a code."""

    kind: str = Field(min_length=1, max_length=32)
    quantity: Quantity | None = Field(
        None, description="In the unit of the kind, at most three decimals; of walking the steps of the day"
    )
    occurred_at: IsoDatetime | None = Field(None, description="When it happened, if not now")


def blueprint(house: House) -> APIBlueprint:
    """The operation of self-reports under `/api/v1`."""
    api = api_blueprint("self-reports-api", __name__, proving_themselves=("post_self_report",))
    desk = house.part(Desk)

    @api.post(
        "/me/self-reports",
        summary="Report a deed of one's own",
        responses={"201": ScanOut, **WRITING},
        openapi_extensions={"parameters": [KEY_HEADER, ACCOUNT_PARAMETER]},
    )
    def post_self_report(body: SelfReportIn) -> Response:
        return answer_of(
            lambda: desk.record(
                read_report(
                    house,
                    who=fingerprint(bearer()),
                    key=request.headers.get("Idempotency-Key"),
                    kind=body.kind,
                    quantity=body.quantity,
                    occurred_at=body.occurred_at,
                    for_family=for_family(),
                )
            )
        )

    return api
