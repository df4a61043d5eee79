"""Self-reports: what residents say they did, without a code; the lowest tier, counted apart.

Each record hangs at a site and a code. A self-report hangs at the desk of its district: a site that is no place, with one code
that is never shown. An officer opens it and says which kinds may be reported; while it is closed, nothing is.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Session, col, select

from activities.catalogue import ActionKind, EvidenceTier
from activities.codes import EVIDENCE, Code, CodeKind, issue
from activities.drafts import ScanRequest
from activities.known import Knowledge
from activities.limits import left_of_day
from activities.photos import Photo
from activities.quantify.calculation import parse_quantity
from activities.records import counted_days
from activities.sites import Site, SiteCredits, SiteKind, SiteStatus
from tanpuhui import audit, clock, idempotency, reference
from tanpuhui.errors import InvalidField, SelfReportsClosed
from tanpuhui.i18n import N_
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal
from tanpuhui.signing import Form, Token
from tanpuhui.staff import Role, require

#: Who opens and closes the desk.
KEEPERS = (Role.OFFICER, Role.ADMIN)

_TIER = EVIDENCE[CodeKind.SELF]


def allowed_kinds(house: House, session: Session) -> Sequence[ActionKind]:
    """The kinds that a resident's own word is enough for, by code; trees are checked by those who planted them."""
    survival = house.part(Knowledge).at(session.connection()).survival
    lowest = select(EvidenceTier.code).where(EvidenceTier.code == _TIER)
    query = (
        select(ActionKind)
        .where(col(ActionKind.lowest_evidence).in_(lowest), ActionKind.enabled)
        .order_by(ActionKind.code)
    )
    return [kind for kind in session.exec(query) if kind.code not in survival]


def desk_of(house: House, session: Session) -> Site | None:
    """The desk of the district, if it was ever opened."""
    district = house.settings.district_code
    return session.exec(select(Site).where(col(Site.self_reports), Site.division_code == district)).first()


def ticked(session: Session, desk: Site | None) -> set[str]:
    """The kinds that are ticked at the desk."""
    if desk is None:
        return set()
    return set(session.exec(select(SiteCredits.kind).where(SiteCredits.site_id == desk.id)))


def set_desk(
    house: House, principal: Principal, kinds: Collection[str], *, is_open: bool, reason: str
) -> None:
    """Open or close the desk of the district, with the kinds that may be reported.

    Raises NotAllowed, InvalidField (no reason, a kind that asks for more than somebody's word, open without a kind).
    """
    reason = audit.reason(reason)
    with house.db.session() as session:
        require(session, principal, KEEPERS, division_code=house.settings.district_code)
        if set(kinds) - {kind.code for kind in allowed_kinds(house, session)}:
            raise InvalidField(errors=[{"field": "kinds", "reason": N_("请从列表中选择可以自报的行为。")}])
        if is_open and not kinds:
            raise InvalidField(errors=[{"field": "kinds", "reason": N_("开放自报，至少选一种行为。")}])
        reference.take_turns(session.connection())  # of two officers at once one makes the desk
        desk = desk_of(house, session) or _make(house, session, principal)
        desk.status = SiteStatus.OPEN if is_open else SiteStatus.CLOSED
        session.add(desk)
        before = ticked(session, desk)
        session.execute(
            sa.delete(SiteCredits).where(
                col(SiteCredits.site_id) == desk.id, col(SiteCredits.kind).not_in(list(kinds))
            )
        )
        session.add_all(SiteCredits(site_id=desk.id, kind=kind) for kind in sorted(set(kinds) - before))
        audit.note_by(
            session,
            principal,
            deed=f"self_reports.{desk.status.value}",
            subject=f"site:{desk.id}",
            reason=reason,
            kinds=sorted(kinds),
        )
        session.flush()
        reference.bump(session.connection())


def _make(house: House, session: Session, principal: Principal) -> Site:
    desk = Site(
        name="居民自报",
        kind=SiteKind.OTHER,
        division_code=house.settings.district_code,
        created_by=principal.id,
        self_reports=True,
    )
    session.add(desk)
    session.flush()
    issue(
        session,
        principal,
        Code(id=0, site_id=desk.id, kind=CodeKind.SELF, evidence=_TIER, issued_by=principal.id),
    )
    return desk


# --- reporting ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Offer:
    """What a resident may report now: the kinds, and how many more of each the day allows. Empty: the desk is closed."""

    kinds: Sequence[ActionKind]
    left: dict[str, int]


def offer(house: House, resident_id: UUID | None, *, shares: bool = False) -> Offer:
    """What may be reported today, by this resident or anybody; `shares` as for `activities.scans.preview`."""
    now = clock.now()
    with house.db.reading_session() as session:
        desk = desk_of(house, session)
        if desk is None or desk.status is not SiteStatus.OPEN:
            return Offer((), {})
        chosen = ticked(session, desk)
        kinds = [kind for kind in allowed_kinds(house, session) if kind.code in chosen]
        mine, theirs = counted_days(session.connection(), resident_id, [clock.day_of(now)], shares=shares)
        session.expunge_all()
    return Offer(kinds, {kind.code: left_of_day(kind, [*mine, *theirs], now) for kind in kinds})


def read_report(
    house: House,
    *,
    who: UUID | str,
    key: str | None,
    kind: str,
    quantity: str | int | Decimal | None = None,
    occurred_at: datetime | None = None,
    photo: Photo | None = None,
    for_family: bool = False,
) -> ScanRequest:
    """A self-report as asked for by a page or the API; `activities.scans.Desk` records it like any scan.

    Raises SelfReportsClosed, and the refusals of a bad key or quantity.
    """
    key = idempotency.check_key(key)
    milli = None if quantity is None else parse_quantity(quantity)
    with house.db.reading_session() as session:
        desk = desk_of(house, session)
        if desk is None or desk.status is not SiteStatus.OPEN:
            raise SelfReportsClosed
        code = session.exec(select(Code.id).where(Code.site_id == desk.id, Code.kind == CodeKind.SELF)).one()
    asked = {
        "self_report": kind,
        "quantity": milli,
        "occurred_at": occurred_at,
        "photo": photo and photo.fingerprint,
    }
    return ScanRequest(
        who,
        key,
        Token(Form.PLACE, code),
        kind,
        milli,
        occurred_at,
        idempotency.request_hash(asked),
        self_reported=True,
        photo=photo,
        for_family=for_family,
    )


def earliest(house: House) -> datetime:
    """From when on it may have happened."""
    return clock.now() - timedelta(hours=house.settings.late_hours)
