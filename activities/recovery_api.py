"""The JSON API of the recovery chain: hand-overs for staff of their sites, and the balance."""

from typing import Annotated, Any
from uuid import UUID

from flask import Response, request
from flask_openapi import APIBlueprint
from pydantic import BaseModel, Field, ValidationError
from sqlmodel import Session, col

from activities import material_hand_overs as hand_overs
from activities.mass_balance import Line, balance
from activities.material_hand_overs import Handed, HandOverIn
from activities.recycling import Fate, HandOver
from activities.sites import MANAGERS
from tanpuhui import clock, ids
from tanpuhui.errors import NotAllowed
from tanpuhui.idempotency import check_key
from tanpuhui.periods import CalendarPeriod
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal
from tanpuhui.staff import require
from tanpuhui.web.api import (
    KEY_HEADER,
    READING,
    WRITING,
    IsoDatetime,
    IsoDay,
    Query,
    Strict,
    api_blueprint,
    invalid,
    iso,
    json_answer,
)
from tanpuhui.web.auth import machine

#: Keys of hand-overs, among all that is named by a key.
_KEYS = UUID("6f0b6a3e-8b1c-4a55-9d53-0f4c1f4f7a34")

#: How many hand-overs one answer holds at most.
MOST = 500


class HandOverBody(Strict):
    """A hand-over: to a site further down, or from a yard to a taker with what becomes of it."""

    from_site_id: Annotated[UUID, Field(strict=False)]
    to_site_id: Annotated[UUID, Field(strict=False)] | None = Field(
        None, description="The receiving station or yard; null for what leaves a yard for a taker"
    )
    fate: Annotated[Fate, Field(strict=False)] | None = Field(None, description="Only of what leaves a yard")
    taker: str = Field("", max_length=80, description="Who takes it, only of what leaves a yard")
    material: str = Field(max_length=32)
    grams: int = Field(description="By the sender's scale")
    handed_at: IsoDatetime
    vehicle: str = Field("", max_length=20)
    receipt: str = Field("", max_length=40, description="The number of the sender's paper; it stands once")


class ConfirmBody(Strict):
    """What arrived, by the receiver's scale."""

    grams: int


class ReasonBody(Strict):
    """Why."""

    reason: str = Field(min_length=2, max_length=200)


class HandOverOut(BaseModel):
    """A hand-over. Weights in grams; `state`: waiting, confirmed, out (left the district) or reversed."""

    id: UUID
    from_site_id: UUID
    to_site_id: UUID | None
    fate: str | None
    taker: str
    material: str
    grams: int
    confirmed_grams: int | None
    difference_g: int | None
    handed_at: str
    vehicle: str
    receipt: str | None
    state: str
    reversed_because: str | None


class HandOversOut(BaseModel):
    """Hand-overs of one's own sites, the latest first, at most 500."""

    hand_overs: list[HandOverOut]


class HandOversQuery(Query):
    """Which hand-overs."""

    from_: IsoDay | None = Field(None, alias="from", description="From this day on, in Asia/Shanghai")
    to: IsoDay | None = Field(None, description="Until this day")


class BalanceQuery(Query):
    """Which month."""

    month: str | None = Field(None, description="Such as 2026-11; the present one if left out")


class BalanceOut(BaseModel):
    """The balance of a site and material in a month, in grams: opening + brought_in + received - handed_on = book."""

    site_id: UUID
    material: str
    opening_g: int
    brought_in_g: int
    received_g: int
    handed_on_g: int
    book_g: int
    counted_g: int | None
    tolerance_g: int
    beyond: bool


class AlarmOut(BaseModel):
    """Weights that differ by more than the tolerance, of the month asked for."""

    alarm: str
    kind: str
    site_id: UUID
    material: str
    difference_g: int
    tolerance_g: int
    answer: str | None


class BalancesOut(BaseModel):
    """The balances of a month."""

    month: str
    balances: list[BalanceOut]
    alarms: list[AlarmOut]


class HandOverPath(BaseModel):
    """A hand-over."""

    hand_over_id: UUID


def blueprint(house: House) -> APIBlueprint:
    """The operations of the recovery chain under `/api/v1`."""
    api = api_blueprint("recovery-api", __name__)

    @api.post(
        "/hand-overs",
        summary="Enter a hand-over of material",
        description="For staff of the sending site. Sent again with the same key it is entered once.",
        responses={"201": HandOverOut, **WRITING},
        openapi_extensions={"parameters": [KEY_HEADER]},
    )
    def post_hand_over(body: HandOverBody) -> Response:
        who, key = _staff(), check_key(request.headers.get("Idempotency-Key"))
        try:
            said = HandOverIn.model_validate(body.model_dump())
        except ValidationError as error:
            raise invalid(error) from error
        chosen = ids.id_of(_KEYS, who.kind, who.id, key)
        row = hand_overs.record(house, who, said, chosen=chosen)
        return json_answer(_one(house, who, row.id), 201)

    @api.get(
        "/hand-overs", summary="Hand-overs of one's own sites", responses={"200": HandOversOut, **READING}
    )
    def get_hand_overs(query: HandOversQuery) -> Response:
        conditions = [
            *([col(HandOver.day) >= query.from_] if query.from_ else []),
            *([col(HandOver.day) <= query.to] if query.to else []),
        ]
        with house.db.reading_session() as session:
            found = hand_overs.of_sites(session, _own(session, _staff()), *conditions, limit=MOST)
        return json_answer({"hand_overs": [_told(one) for one in found]})

    @api.post(
        "/hand-overs/<hand_over_id>/confirm",
        summary="Say what arrived",
        description="For staff of the receiving site, once.",
        responses={"200": HandOverOut, **WRITING},
    )
    def post_confirm(path: HandOverPath, body: ConfirmBody) -> Response:
        who = _staff()
        hand_overs.confirm(house, who, path.hand_over_id, body.grams)
        return json_answer(_one(house, who, path.hand_over_id))

    @api.post(
        "/hand-overs/<hand_over_id>/reverse",
        summary="Take a hand-over back",
        description="For staff of either site. It leaves every sum and may be entered again.",
        responses={"200": HandOverOut, **WRITING},
    )
    def post_reverse(path: HandOverPath, body: ReasonBody) -> Response:
        who = _staff()
        hand_overs.reverse(house, who, path.hand_over_id, body.reason)
        return json_answer(_one(house, who, path.hand_over_id))

    @api.get(
        "/recovery/balances",
        summary="The mass balance of one's own sites",
        responses={"200": BalancesOut, **READING},
    )
    def get_balances(query: BalanceQuery) -> Response:
        period = (
            CalendarPeriod.parse(query.month, "month")
            if query.month
            else CalendarPeriod.containing("month", clock.today())
        )
        month = min(period.first.replace(day=1), clock.today().replace(day=1))
        with house.db.snapshot() as connection:
            with Session(connection) as session:
                own = _own(session, _staff())
            found = balance(connection, month, own)
        lines = [_line(line) for line in found.lines if line.month == month]
        told = [
            AlarmOut(
                alarm=one.key,
                kind=one.kind.value,
                site_id=one.site_id,
                material=one.material,
                difference_g=one.difference,
                tolerance_g=one.tolerance,
                answer=one.answer.reason if one.answer else None,
            ).model_dump(mode="json")
            for one in found.alarms
            if one.month == month
        ]
        return json_answer({"month": f"{month:%Y-%m}", "balances": lines, "alarms": told})

    return api


def _staff() -> Principal:
    """Raises NotAllowed."""
    principal = machine()
    if principal.kind != "staff":
        raise NotAllowed
    return principal


def _own(session: Session, who: Principal) -> list[UUID]:
    """The sites of one's scope. Raises NotAllowed where one manages none by any role."""
    require(session, who, MANAGERS)
    return [site.id for site in hand_overs.own_sites(session, who)]


def _one(house: House, who: Principal, hand_over_id: UUID) -> dict[str, Any]:
    with house.db.reading_session() as session:
        return _told(hand_overs.one(session, who, hand_over_id))


def _told(one: Handed) -> dict[str, Any]:
    row, confirmed = one.hand_over, one.confirmation
    state = "reversed" if not one.stands else "waiting" if one.waits else "confirmed" if confirmed else "out"
    told = HandOverOut(
        **row.model_dump(
            include={
                *("id", "from_site_id", "to_site_id", "fate", "taker", "material", "grams"),
                *("vehicle", "receipt"),
            }
        ),
        handed_at=iso(row.handed_at),
        confirmed_grams=confirmed.grams if confirmed else None,
        difference_g=one.difference if confirmed else None,
        state=state,
        reversed_because=one.reversal.reason if one.reversal else None,
    )
    return told.model_dump(mode="json")


def _line(line: Line) -> dict[str, Any]:
    return BalanceOut(
        site_id=line.site_id,
        material=line.material,
        opening_g=line.opening,
        brought_in_g=line.brought_in,
        received_g=line.received,
        handed_on_g=line.handed_on,
        book_g=line.book,
        counted_g=line.counted,
        tolerance_g=line.tolerance,
        beyond=line.beyond,
    ).model_dump(mode="json")
