"""Helping: a helper at the desk of a site records for a member whose code they scan.

The record is the member's like any other, confirmed by staff; it keeps who scanned. What a helper scanned without network
comes later with the time it happened and a key of its own, and is recorded once.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from sqlmodel import Session, col, select

from activities import attempts, records
from activities.actions import Action, ActionVoid
from activities.catalogue import ActionKind
from activities.codes import EVIDENCE, CodeKind, desk_code, token_of
from activities.known import Knowledge
from activities.members import HELPERS, holder_of, last_holder, read_member
from activities.reviews import ActionReview, unconfirmed
from activities.scans import Desk, read_request
from activities.sites import Site, SiteStatus, get_site, in_scope, kinds_of
from tanpuhui import clock, idempotency
from tanpuhui.errors import CardRevoked, NotFound
from tanpuhui.idempotency import Answer
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal


def record_for(
    house: House,
    principal: Principal,
    site_id: UUID,
    *,
    key: str | None,
    member: str,
    kind: str | None = None,
    quantity: str | int | Decimal | None = None,
    occurred_at: datetime | None = None,
) -> Answer:
    """Record for the holder of the code `member` at a site; the answer of a scan, the same one again for the same key.

    Raises NotAllowed outside the helper's scope, the refusals of the member's code, and those of a scan.
    """
    number = read_member(house.settings, member)
    with house.db.session() as session:
        get_site(session, principal, site_id, HELPERS)
        code = desk_code(session, principal, site_id)
    resident_id = _holder(house, number, occurred_at, code.id, kind)
    request = read_request(
        house,
        who=resident_id,
        key=key,
        code=token_of(house.settings, code.id),
        kind=kind,
        quantity=quantity,
        occurred_at=occurred_at,
    )
    return house.part(Desk).record(replace(request, recorded_by=principal.id))


def _holder(house: House, number: int, at: datetime | None, code_id: int, kind: str | None) -> UUID:
    """`holder_of`; that a code had ended is kept for who held it."""
    with house.db.reading() as connection:
        try:
            return holder_of(connection, number, at)
        except CardRevoked as ended:
            refusal, holder = ended, last_holder(connection, number)
    if holder is not None:
        attempts.keep_one(house, holder, code_id, kind, refusal)
    raise refusal


def recorded_before(
    house: House,
    principal: Principal,
    site_id: UUID,
    *,
    member: str,
    key: str,
    occurred_at: datetime | None = None,
) -> UUID | None:
    """The action that `key` recorded for the holder of the code `member`, if it did. Raises like `record_for`."""
    number = read_member(house.settings, member)
    with house.db.reading_session() as session:
        get_site(session, principal, site_id, HELPERS)
        owner = holder_of(session.connection(), number, occurred_at), key
        stored = idempotency.find(session.connection(), [owner]).get(owner)
    return UUID(json.loads(stored.answer)["action"]["id"]) if stored else None


def kinds_at(house: House, session: Session, site_id: UUID) -> Sequence[ActionKind]:
    """What helpers may record at a site: all but trees, which are checked by those who planted them."""
    known = house.part(Knowledge).at(session.connection())
    rank = known.tiers[EVIDENCE[CodeKind.DESK]].rank
    return [
        kind
        for kind in kinds_of(session, site_id)
        if kind.enabled and kind.code not in known.survival and known.tiers[kind.lowest_evidence].rank <= rank
    ]


@dataclass(frozen=True)
class Helped:
    """What a helper recorded for a member, and how many more of its kind the day allows (None: of another day)."""

    action: Action
    voided: ActionVoid | None
    unconfirmed: ActionReview | None
    kind: ActionKind
    site: Site
    left: int | None


def helped(session: Session, principal: Principal, site_id: UUID, action_id: UUID) -> Helped:
    """A record that a helper made at a site in the scope of `principal`. Raises NotFound, NotAllowed."""
    site = get_site(session, principal, site_id, HELPERS)
    action = session.get(Action, action_id)
    if action is None or action.site_id != site_id or action.recorded_by is None:
        raise NotFound
    kind = session.get_one(ActionKind, action.kind)
    left = records.left_today(session.connection(), action, kind, clock.today(), shares=True)
    voided, review = session.get(ActionVoid, action_id), unconfirmed(session, action_id)
    return Helped(action, voided, review, kind, site, left)


def recorded_here(
    session: Session, principal: Principal, site_id: UUID, day: date
) -> tuple[Site, Sequence[tuple[Action, ActionVoid | None, ActionReview | None]]]:
    """What helpers recorded at a site on a day, the latest first, with what became of it. Raises NotFound, NotAllowed."""
    site = get_site(session, principal, site_id, HELPERS)
    found = session.exec(
        select(Action, ActionVoid, ActionReview)
        .join(ActionVoid, col(ActionVoid.action_id) == col(Action.id), isouter=True)
        .join(ActionReview, col(ActionReview.action_id) == col(Action.id), isouter=True)
        .where(Action.site_id == site_id, Action.day == day, col(Action.recorded_by).is_not(None))
        .order_by(col(Action.id).desc())
        .limit(200)
    ).all()
    return site, found


def desks(session: Session, principal: Principal) -> Sequence[Site]:
    """The open sites at which `principal` may help, by name."""
    open_places = col(Site.status) == SiteStatus.OPEN, ~col(Site.self_reports)
    query = select(Site).where(in_scope(session, principal, HELPERS), *open_places).order_by(Site.name)
    return session.exec(query).all()
