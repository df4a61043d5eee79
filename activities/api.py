"""The JSON API of this room: scans, sites and codes, review."""

from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, TypeVar
from uuid import UUID

from flask import Response, g, request
from flask_openapi import APIBlueprint
from pydantic import BaseModel, BeforeValidator, Field, ValidationError, WithJsonSchema

from activities import codes, review, sites
from activities.bands import read_json
from activities.scans import Desk, read_request
from tanpuhui.errors import NotAllowed, QuantityNotANumber, TanpuhuiError
from tanpuhui.idempotency import Answer
from tanpuhui.rooms import House
from tanpuhui.sessions import fingerprint
from tanpuhui.web.api import (
    ACCOUNT_PARAMETER,
    KEY_HEADER,
    READING,
    WRITING,
    IsoDatetime,
    Strict,
    api_blueprint,
    invalid,
    json_answer,
)
from tanpuhui.web.auth import bearer, for_family, machine

Input = TypeVar("Input", bound=BaseModel)


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise ValueError("a quantity is a number or the text of one")  # noqa: TRY004 - pydantic wants it
    if isinstance(value, Decimal) and not value.is_finite():
        raise QuantityNotANumber
    return value


Quantity = Annotated[
    int | Decimal | str,
    BeforeValidator(_number),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string", "maxLength": 40}]}),
]


_POSITION = {
    "anyOf": [
        {
            "type": "object",
            "required": ["latitude", "longitude", "accuracy_m"],
            "properties": {
                "latitude": {"type": "number", "description": "WGS-84 degrees"},
                "longitude": {"type": "number", "description": "WGS-84 degrees"},
                "accuracy_m": {"type": "number", "description": "By how many metres it may err"},
            },
        },
        {},
    ]
}


class ScanIn(Strict):
    """A scan. `kind` may be left out where the site credits only one; of trees, `quantity` is how many are alive."""

    code: str = Field(
        min_length=1,
        max_length=300,
        description="The token, or the whole scanned address. A rotating code is good for a minute, a slip and a receipt once; "
        "the receipt of a scale or partner (docs/partners.md) says the quantity itself, and so may a slip",
    )
    kind: str | None = Field(None, max_length=32)
    quantity: Quantity | None = Field(None, description="In the unit of the kind, at most three decimals")
    occurred_at: IsoDatetime | None = Field(None, description="When it happened, if not now")
    planting: Annotated[UUID, Field(strict=False)] | None = Field(
        None, description="A check of trees: which planting, if not the oldest that is due"
    )
    position: Annotated[Any, WithJsonSchema(_POSITION)] = Field(
        None,
        description="Where the phone is now, only for residents who agreed to the place hint: the distance to the site is kept "
        "as one of four words and the position is dropped. Without that consent, with `occurred_at`, or where it is not such "
        "an object, nothing of it is kept and the scan is recorded all the same",
    )


class ReductionOut(BaseModel):
    """Estimated reduction: CO2e in milligrams (`co2e_mg` is the low value), pollutants in micrograms."""

    co2e_mg: int
    co2e_mid_mg: int
    co2e_high_mg: int
    nox_ug: int | None
    pm25_ug: int | None
    voc_ug: int | None
    so2_ug: int | None
    co_ug: int | None
    factor_version: str
    city_credited: bool


class ActionOut(BaseModel):
    """A recorded action."""

    id: UUID
    kind: str
    quantity: float
    unit: str
    occurred_at: str
    evidence: str
    site_id: UUID
    campaign_id: UUID | None
    reduction: ReductionOut


class PointsOut(BaseModel):
    """Whole points. `pending`, only of a record that waits for review: what it earns once it is confirmed."""

    posted: int
    balance: int
    pending: int = 0


class ScanOut(BaseModel):
    """What a scan earned. `replaced`, only if there are any: weaker records of the same deed that were taken back."""

    action: ActionOut
    points: PointsOut
    left_today: int
    replaced: list[UUID] = []


class SiteOut(BaseModel):
    """A site and the kinds it credits."""

    id: UUID
    name: str
    kind: str
    division_code: str
    organisation_id: UUID | None
    hours: str
    status: str
    kinds: list[str]


class SitesOut(BaseModel):
    """Sites by name."""

    sites: list[SiteOut]


class SiteBody(Strict):
    """A new site."""

    name: str = Field(min_length=2, max_length=60)
    kind: Annotated[str, Field(json_schema_extra={"enum": [kind.value for kind in sites.SiteKind]})]
    division_code: str = Field(max_length=12)
    organisation_id: Annotated[UUID, Field(strict=False)] | None = None
    hours: str = Field("", max_length=80)
    kinds: list[Annotated[str, Field(max_length=32)]] = Field(min_length=1, max_length=20)


class CodeIn(Strict):
    """With both times: a staffed code."""

    valid_from: IsoDatetime | None = None
    valid_until: IsoDatetime | None = None


class CodeOut(BaseModel):
    """A code: its token and the address to print."""

    id: int
    token: str
    url: str
    evidence: str


class ReasonIn(Strict):
    """Why."""

    reason: str = Field(min_length=2, max_length=200)


class VoidOut(BaseModel):
    """The action that was taken back."""

    id: UUID
    voided: bool


class SitePath(BaseModel):
    """A site."""

    site_id: UUID


class CodePath(BaseModel):
    """A code."""

    code_id: int = Field(ge=1, lt=2**40)


class ActionPath(BaseModel):
    """An action."""

    action_id: UUID


def answer_of(record: Callable[[], Answer]) -> Response:
    """The answer to a deed that `record` records, whichever way it came; what became of it is counted.

    Raises what `record` raises.
    """
    try:
        answer = record()
    except TanpuhuiError as error:
        g.scan_result = error.code
        raise
    g.scan_result = "replayed" if answer.replayed else "credited"
    response = json_answer(answer.body, 201)
    if answer.replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return response


def blueprint(house: House) -> APIBlueprint:
    """The operations of this room under `/api/v1`."""
    api = api_blueprint("activities-api", __name__, proving_themselves=("post_scan",))
    desk = house.part(Desk)

    @api.post(
        "/scans",
        summary="Record a scan",
        responses={"201": ScanOut, **WRITING},
        openapi_extensions={"parameters": [KEY_HEADER, ACCOUNT_PARAMETER]},
    )
    def post_scan(body: ScanIn) -> Response:
        return answer_of(
            lambda: desk.record(
                read_request(
                    house,
                    who=fingerprint(bearer()),
                    key=request.headers.get("Idempotency-Key"),
                    code=body.code,
                    kind=body.kind,
                    quantity=body.quantity,
                    occurred_at=body.occurred_at,
                    planting=body.planting,
                    position=read_json(body.position),
                    for_family=for_family(),
                )
            )
        )

    @api.get("/console/sites", summary="Sites of one's scope", responses={"200": SitesOut, **READING})
    def get_own_sites() -> Response:
        principal = machine()
        if principal.kind != "staff":
            raise NotAllowed
        with house.db.reading_session() as session:
            found = [
                _site(site, [kind.code for kind in sites.kinds_of(session, site.id)])
                for site in sites.list_sites(session, principal)
            ]
        return json_answer({"sites": found})

    @api.post("/sites", summary="Register a site", responses={"201": SiteOut, **WRITING})
    def post_site(body: SiteBody) -> Response:
        site = sites.create_site(house, machine(), _read(sites.SiteIn, body))
        return json_answer(_site(site, list(dict.fromkeys(body.kinds))), 201)

    @api.post("/sites/<site_id>/codes", summary="Issue a code", responses={"201": CodeOut, **WRITING})
    def post_code(path: SitePath, body: CodeIn) -> Response:
        code = codes.issue_code(
            house, machine(), path.site_id, valid_from=body.valid_from, valid_until=body.valid_until
        )
        return json_answer(_code(house, code), 201)

    @api.post("/codes/<int:code_id>/revoke", summary="Withdraw a code", responses={"200": CodeOut, **WRITING})
    def post_revoke(path: CodePath, body: ReasonIn) -> Response:
        return json_answer(_code(house, codes.revoke_code(house, machine(), path.code_id, body.reason)))

    @api.post(
        "/actions/<action_id>/void", summary="Take an action back", responses={"200": VoidOut, **WRITING}
    )
    def post_void(path: ActionPath, body: ReasonIn) -> Response:
        review.void_action(house, machine(), path.action_id, body.reason)
        return json_answer({"id": str(path.action_id), "voided": True})

    return api


def _read(model: type[Input], body: BaseModel) -> Input:
    """`body` as the service takes it. Raises InvalidField for what only the service's own model refuses."""
    try:
        return model.model_validate(body.model_dump())
    except ValidationError as error:
        raise invalid(error) from error


def _site(site: sites.Site, kinds: list[str]) -> dict[str, Any]:
    return {
        "id": str(site.id),
        "name": site.name,
        "kind": site.kind,
        "division_code": site.division_code,
        "organisation_id": str(site.organisation_id) if site.organisation_id else None,
        "hours": site.hours,
        "status": site.status,
        "kinds": kinds,
    }


def _code(house: House, code: codes.Code) -> dict[str, Any]:
    token = codes.token_of(house.settings, code.id)
    return {
        "id": code.id,
        "token": token,
        "url": codes.address_of(house.settings, token),
        "evidence": code.evidence,
    }
