"""Making draws: drafted within a scope, approved by another person, called off with a reason, and the public number written down."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlmodel import Session, col, select

from rewards import repeat_draw
from rewards.draws import DEAREST, Draw, sealed_seed
from tanpuhui import audit, clock, ids
from tanpuhui.divisions import Division
from tanpuhui.errors import ApproverIsSubmitter, DrawMovedOn, InvalidField, NotFound
from tanpuhui.i18n import N_
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal
from tanpuhui.staff import Organisation, Role, grants_of, made_before, require

MANAGERS = (Role.ORGANISER, Role.MERCHANT, Role.OFFICER, Role.ADMIN)
APPROVERS = (Role.OFFICER,)

MOST_PRIZES = 500


class Prize(BaseModel):
    """So many of one thing to be won."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    name: str = Field(min_length=1, max_length=40)
    count: int = Field(ge=1, le=MOST_PRIZES)


class DrawIn(BaseModel):
    """What its managers say of a draw. `price`: whole points a ticket costs, 0 for none."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    title: str = Field(min_length=2, max_length=60)
    words: str = Field(default="", max_length=1000)
    division_code: str = Field(default="", max_length=12)
    organisation_id: UUID | None = None
    price: int = Field(ge=0, le=DEAREST)
    prizes: list[Prize] = Field(min_length=1, max_length=20)
    witness: str = Field(default="", max_length=100)
    closes_at: AwareDatetime


def create_draw(house: House, principal: Principal, draw_in: DrawIn, *, chosen: UUID | None = None) -> Draw:
    """Draft a draw in one's scope; with a `chosen` id once, however often it is asked. Raises NotAllowed, InvalidField."""
    with house.db.session() as session:
        organisation = session.get(Organisation, draw_in.organisation_id) if draw_in.organisation_id else None
        division = organisation.division_code if organisation else draw_in.division_code
        require(
            session,
            principal,
            MANAGERS,
            division_code=division or None,
            organisation_id=draw_in.organisation_id,
        )
        if made := made_before(session, principal, Draw, chosen):
            return made
        _check(session, draw_in, division)
        seed = f"{ids.random_number(256):064x}"
        draw = Draw(
            id=chosen or ids.new_id(),
            **draw_in.model_dump(exclude={"prizes", "division_code"}),
            division_code=division,
            prizes=[prize.model_dump() for prize in draw_in.prizes],
            commitment=repeat_draw.sha256(seed),
            sealed=sealed_seed(house.settings, seed),
            created_by=principal.id,
        )
        session.add(draw)
        note(session, principal, draw, "drafted")
        session.flush()
        return draw


def _check(session: Session, draw_in: DrawIn, division: str) -> None:
    wrong = []
    if session.get(Division, division) is None:
        wrong.append(("scope", N_("请选择由谁举办。")))
    if draw_in.closes_at <= clock.now():
        wrong.append(("closes_at", N_("截止时间应在现在以后。")))
    if sum(prize.count for prize in draw_in.prizes) > MOST_PRIZES:
        wrong.append(("prizes", N_("奖品一共最多 500 份。")))
    if wrong:
        raise InvalidField(errors=[{"field": field, "reason": reason} for field, reason in wrong])


def approve(house: House, principal: Principal, draw_id: UUID) -> None:
    """Open a draw, by another person than its maker; its terms are frozen and the hash of its seed is public. Again changes nothing.

    Raises NotFound, NotAllowed, ApproverIsSubmitter, DrawMovedOn (its closing time is past, or it was cancelled).
    """
    with house.db.session() as session:
        draw = managed(session, principal, draw_id, APPROVERS, locked=True)
        if draw.created_by == principal.id:
            raise ApproverIsSubmitter
        if draw.approved_at and not draw.cancelled_at:
            return
        now = clock.now()
        if draw.cancelled_at or draw.closes_at <= now:
            raise DrawMovedOn
        draw.approved_by, draw.approved_at = principal.id, now
        session.add(draw)
        note(session, principal, draw, "approved")


def cancel(house: House, principal: Principal, draw_id: UUID, reason: str) -> None:
    """Hold a draw not at all, with a reason that everybody reads; the points go back. Again changes nothing.

    Raises NotFound, NotAllowed, InvalidField (no reason), DrawMovedOn (it was held).
    """
    reason = audit.reason(reason)
    with house.db.session() as session:
        draw = managed(session, principal, draw_id, locked=True)
        if draw.drawn_at:
            raise DrawMovedOn
        if draw.cancelled_at:
            return
        draw.cancelled_at, draw.cancel_reason = clock.now(), reason
        session.add(draw)
        note(session, principal, draw, "cancelled", reason=reason)


def witness(house: House, principal: Principal, draw_id: UUID, number: str) -> None:
    """Write the public number down that a closed draw waits for, once; an officer does. The same again changes nothing.

    Raises NotFound, NotAllowed, InvalidField (no number), DrawMovedOn (it waits for none, or has another).
    """
    number = " ".join(number.split())
    if not 1 <= len(number) <= 100:
        raise InvalidField(errors=[{"field": "witnessed", "reason": N_("请照公告填写这个号码。")}])
    with house.db.session() as session:
        draw = managed(session, principal, draw_id, APPROVERS, locked=True)
        if draw.witnessed == number:
            return
        if not draw.witness or draw.witnessed or draw.closed_at is None or draw.cancelled_at:
            raise DrawMovedOn
        draw.witnessed = number
        session.add(draw)
        note(session, principal, draw, "witnessed", number=number)


def managed(
    session: Session,
    principal: Principal,
    draw_id: UUID,
    roles: Sequence[Role] = MANAGERS,
    *,
    locked: bool = False,
) -> Draw:
    """A draw of one's own scope. Raises NotFound, NotAllowed."""
    draw = session.get(Draw, draw_id, with_for_update=locked)
    if draw is None:
        raise NotFound
    division_code, organisation_id = draw.division_code, draw.organisation_id
    require(session, principal, roles, division_code=division_code, organisation_id=organisation_id)
    return draw


def note(session: Session, principal: Principal, draw: Draw, deed: str, **more: Any) -> None:
    """Keep what a member of staff did to a draw."""
    audit.note_by(
        session,
        principal,
        deed=f"draw.{deed}",
        subject=f"draw:{draw.id}",
        **more,
    )


def of_scope(session: Session, principal: Principal) -> Sequence[Draw]:
    """The draws in the scope of `principal`, the latest first."""
    scopes: list[Any] = [
        col(Draw.organisation_id) == given.organisation_id
        if given.organisation_id
        else col(Draw.division_code).startswith(given.division_code)
        for given in grants_of(session, principal)
        if given.role in MANAGERS
    ]
    query = select(Draw).where(sa.or_(sa.false(), *scopes))
    return session.exec(query.order_by(col(Draw.created_at).desc(), col(Draw.id))).all()
