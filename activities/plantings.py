"""Planting: a staffed code of a plot confirms trees planted today, and earns a certificate.

No grams and no points: those come with the yearly checks (`activities.trees`).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Session, col, select

from activities.catalogue import ActionKind
from activities.codes import check_token, read_token
from activities.drafts import check_code, check_evidence, choose_kind
from activities.events import TreesPlanted
from activities.known import Knowledge, Known, KnownCode
from activities.quantify.calculation import parse_quantity
from activities.sites import Site, get_site
from activities.trees import Grove, Planting, groves_at, groves_of, whole_trees
from tanpuhui import clock, families, idempotency, ids
from tanpuhui.db import session_on
from tanpuhui.errors import (
    AlreadyPlanted,
    CodeInvalid,
    KeyReused,
    NoPlantingHere,
    NotFound,
    QuantityMissing,
    QuantityOutOfRange,
    ResidentInactive,
)
from tanpuhui.idempotency import Answer
from tanpuhui.people import ResidentStatus
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal
from tanpuhui.signing import Token


def plant(
    house: House,
    resident_id: UUID,
    *,
    key: str | None,
    code: str,
    trees: str | int | None,
    kind: str | None = None,
) -> Answer:
    """Record trees that a resident planted today: the answer of `POST /api/v1/plantings`.

    The same key gets the same answer again. `kind` may be left out where the site credits one kind of planting.
    Raises the refusals of key, token and code, NoPlantingHere, AlreadyPlanted, QuantityMissing,
    QuantityNotANumber, QuantityNotPositive, TreesNotWhole, QuantityOutOfRange.
    """
    key = idempotency.check_key(key)
    token = read_token(house.settings, code)
    if trees is None:
        raise QuantityMissing(unit="tree")
    number = whole_trees(parse_quantity(trees))
    asked = idempotency.request_hash({"code": token.number, "kind": kind, "trees": number})

    def work(connection: Connection) -> Answer:
        now = clock.now()
        rows, together = families.take_turns(connection, resident_id)
        stored = idempotency.find(connection, [(resident_id, key)]).get((resident_id, key))
        if stored is not None:
            if stored.request_hash != asked:
                raise KeyReused
            return Answer(stored.answer, replayed=True)
        planters = [resident_id, *(one.id for one in together)]
        body = _plant(house, connection, rows.get(resident_id), planters, token, kind, number, now)
        row = {"owner_id": resident_id, "key": key, "request_hash": asked, "answer": body, "stored_at": now}
        idempotency.store(connection, [row])
        return Answer(body, replayed=False)

    return families.again(lambda: house.db.run(work))


def _plant(
    house: House,
    connection: Connection,
    resident: sa.Row[Any] | None,
    planters: Sequence[UUID],
    token: Token,
    wanted: str | None,
    trees: int,
    now: datetime,
) -> str:
    """Record the planting and its event; the certificate as JSON. `resident` is the row of `take_turn`.

    `planters`: the resident and those whose deeds count together with theirs.
    """
    if resident is None or resident.status != ResidentStatus.ACTIVE:
        raise ResidentInactive
    known = house.part(Knowledge).at(connection)
    code = known.code(connection, token.number)
    kind = _kind(known, code, wanted)
    assert code is not None
    check_code(code, now, now)
    check_token(code.code, token, now)
    check_evidence(known, code, kind)
    if trees > most_trees(kind):
        raise QuantityOutOfRange(minimum="1", maximum=str(most_trees(kind)), unit="tree")
    planting = _record(connection, planters, code, kind, trees, now)
    house.publish(connection, [_event(planting, code, resident)])
    certificate = view(Grove(planting, checks=(), made={}), code.site.name)
    return json.dumps({"planting": certificate}, ensure_ascii=False)


def _kind(known: Known, code: KnownCode | None, wanted: str | None) -> ActionKind:
    if code is None:
        raise CodeInvalid
    growing = [kind for kind in code.kinds if kind in known.survival]
    if not growing:
        raise NoPlantingHere
    kind = choose_kind(known, code, growing[0] if wanted is None and len(growing) == 1 else wanted)
    if kind.code not in known.survival:
        raise NoPlantingHere
    return kind


def most_trees(kind: ActionKind) -> int:
    """How many trees one planting can have: no more than one check can credit."""
    return min(kind.quantity_max_milli // 1000, 1000)


def _record(
    connection: Connection,
    planters: Sequence[UUID],
    code: KnownCode,
    kind: ActionKind,
    trees: int,
    now: datetime,
) -> Planting:
    with session_on(connection) as session:
        day = clock.day_of(now)
        before = _planted(session, planters, code.site.id, kind.code, day)
        if before is not None:
            raise AlreadyPlanted(number=before.number)
        planting = Planting(
            number=ids.certificate_number("T", day.year),
            resident_id=planters[0],
            site_id=code.site.id,
            code_id=code.code.id,
            kind=kind.code,
            trees=trees,
            planted_on=day,
            recorded_at=now,
        )
        session.add(planting)
        session.flush()
        session.expunge(planting)
        return planting


def _planted(
    session: Session, planters: Sequence[UUID], site_id: UUID, kind: str, day: date
) -> Planting | None:
    return session.exec(
        select(Planting)
        .where(col(Planting.resident_id).in_(planters), Planting.site_id == site_id)
        .where(Planting.kind == kind, Planting.planted_on == day)
    ).first()


def _event(planting: Planting, code: KnownCode, resident: sa.Row[Any]) -> TreesPlanted:
    who = resident.division_code, resident.account_kind
    campaign = code.campaign_at(planting.recorded_at, planting.kind, who)
    return TreesPlanted(
        subject_id=planting.id,
        resident_id=planting.resident_id,
        recorded_at=planting.recorded_at,
        day=planting.planted_on,
        kind=planting.kind,
        trees=planting.trees,
        number=planting.number,
        site_id=planting.site_id,
        code_id=planting.code_id,
        division_code=resident.division_code,
        campaign_id=campaign.id if campaign else None,
    )


# --- reading back -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plot:
    """A resident's plantings at a site: those due for a check, what was planted today, when the next check is.

    `most`: how many trees one planting can have.
    """

    due: tuple[Grove, ...]
    today: Planting | None
    next_check_on: date | None
    most: int


def plot(
    connection: Connection, resident_id: UUID | None, site_id: UUID, kind: ActionKind, today: date
) -> Plot:
    """What the page of a plot's code asks the resident (or somebody who is not logged in)."""
    groves = groves_of(connection, resident_id, site_id=site_id, kind=kind.code) if resident_id else []
    return Plot(
        due=tuple(grove for grove in groves if grove.next_check_on <= today),
        today=next((grove.planting for grove in groves if grove.planting.planted_on == today), None),
        next_check_on=min((grove.next_check_on for grove in groves), default=None),
        most=most_trees(kind),
    )


def own_groves(connection: Connection, resident_id: UUID) -> list[tuple[Grove, Site]]:
    """A resident's plantings with their sites, the oldest first."""
    groves = groves_of(connection, resident_id)
    with session_on(connection) as session:
        wanted = {grove.planting.site_id for grove in groves}
        sites = {site.id: site for site in session.exec(select(Site).where(col(Site.id).in_(wanted)))}
        session.expunge_all()
    return [(grove, sites[grove.planting.site_id]) for grove in groves]


def own_grove(connection: Connection, resident_id: UUID, planting_id: UUID) -> tuple[Grove, Site]:
    """One of a resident's plantings. Raises NotFound for anybody else's."""
    for grove, site in own_groves(connection, resident_id):
        if grove.planting.id == planting_id:
            return grove, site
    raise NotFound


def groves_for_staff(house: House, principal: Principal, site_id: UUID) -> list[Grove]:
    """The latest plantings at a site, for whoever manages it. Raises NotFound, NotAllowed."""
    with house.db.reading_session() as session:
        get_site(session, principal, site_id)
        return groves_at(session.connection(), site_id)


def view(grove: Grove, site: str) -> dict[str, Any]:
    """A planting as the API shows it."""
    planting = grove.planting
    return {
        "id": str(planting.id),
        "number": planting.number,
        "kind": planting.kind,
        "trees": planting.trees,
        "planted_on": planting.planted_on.isoformat(),
        "site_id": str(planting.site_id),
        "site": site,
        "alive": grove.alive,
        "next_check_on": grove.next_check_on.isoformat(),
        "checks": [
            {
                "year": check.year,
                "alive": check.alive,
                "checked_on": check.checked_on.isoformat(),
                "action_id": str(check.action_id),
            }
            for check in grove.checks
        ],
    }
